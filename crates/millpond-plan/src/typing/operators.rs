//! The types of operators and of choices between branches.

use millpond_columns::dialect::Notation;
use millpond_columns::types::Type;
use millpond_error::{Error, Result};

use super::casts::castable;
use super::functions::zoned;
use super::{Operand, give_type, literal, typed_none};
use crate::diagnostics::{subject, subjects};
use crate::expr::{BinaryOp, ExprKind, UnaryOp};
use crate::literal::Literal;
use crate::notation::{self, code};
use crate::terms::{Op, TermId, TermType, Terms};

pub(super) fn unary(terms: &mut Terms, op: UnaryOp, (expr, a): Operand<'_>) -> Result<TermId> {
    let ty = terms.ty(a);
    let result = match (op, ty.ty) {
        (UnaryOp::Neg | UnaryOp::Abs, Some(Type::Int | Type::Float | Type::Duration))
        | (UnaryOp::Not, Some(Type::Bool | Type::Int)) => ty,
        (UnaryOp::IsNone | UnaryOp::IsNotNone, Some(_)) => TermType::new(Type::Bool, false),
        (UnaryOp::IsNone | UnaryOp::IsNotNone, None) => {
            return Ok(literal(terms, Literal::Bool(op == UnaryOp::IsNone)));
        }
        (UnaryOp::Unwrap, Some(_)) if !ty.optional => return Ok(a),
        (UnaryOp::Unwrap, Some(of)) => TermType::new(of, false),
        _ => {
            let symbol = match op {
                UnaryOp::Neg => "-",
                UnaryOp::Abs => "abs",
                UnaryOp::Not => "~",
                _ => "unwrap",
            };
            return Err(Error::invalid(format!("{} is {ty}: cannot apply {symbol} to {ty}", subject(expr))));
        }
    };
    Ok(terms.add(Op::Unary(op, a), result))
}

pub(super) fn binary(
    terms: &mut Terms,
    op: BinaryOp,
    (left, a): Operand<'_>,
    (right, b): Operand<'_>,
) -> Result<TermId> {
    use BinaryOp::*;
    let mismatch = |terms: &Terms| operator_error(terms, op, (left, a), (right, b));
    if matches!(op, Eq | Ne) && (terms.ty(a).ty.is_none() || terms.ty(b).ty.is_none()) {
        return Ok(equals_none(terms, op, a, b));
    }
    let (left_type, right_type) = match (terms.ty(a).ty, terms.ty(b).ty) {
        (None, None) => return Err(mismatch(terms)),
        (Some(ty), None) | (None, Some(ty)) => (ty, ty),
        (Some(left), Some(right)) => (left, right),
    };
    let (a, b) = (give_type(terms, a, left_type), give_type(terms, b, right_type));
    let optional = terms.ty(a).optional || terms.ty(b).optional;
    let numbers = is_number(left_type) && is_number(right_type);
    let (a, b, result) = match op {
        Add if left_type == Type::Str && right_type == Type::Str => (a, b, Type::Str),
        _ if let Some(result) = time_arithmetic(op, left_type, right_type) => (a, b, result),
        Add | Sub | Mul | FloorDiv | Mod | Pow | Div if numbers => {
            let float = op == Div || left_type != right_type || (op == Pow && is_negative(terms, b));
            if float || left_type == Type::Float {
                (widen(terms, a), widen(terms, b), Type::Float)
            } else {
                (a, b, Type::Int)
            }
        }
        Eq | Ne if left_type.common(right_type).is_some() => (a, b, Type::Bool),
        Lt | Le | Gt | Ge if left_type != Type::Json && left_type.common(right_type).is_some() => (a, b, Type::Bool),
        Eq | Ne | Lt | Le | Gt | Ge if numbers => (widen_literal(terms, a), widen_literal(terms, b), Type::Bool),
        And | Or | Xor if left_type == right_type && matches!(left_type, Type::Bool | Type::Int) => (a, b, left_type),
        _ => return Err(mismatch(terms)),
    };
    let optional = optional && !matches!(op, Eq | Ne);
    Ok(terms.add(Op::Binary(op, a, b), TermType::new(result, optional)))
}

/// The type of an operator's result where one of its operands is a point in time or a duration.
fn time_arithmetic(op: BinaryOp, left: Type, right: Type) -> Option<Type> {
    use BinaryOp::*;
    match (op, left, right) {
        (Sub, left, right) if left == right && left.is_point() => Some(Type::Duration),
        (Add | Sub, point, Type::Duration) if point.is_point() => Some(point),
        (Add, Type::Duration, point) if point.is_point() => Some(point),
        (Add | Sub | Mod, Type::Duration, Type::Duration) => Some(Type::Duration),
        (Mul | FloorDiv, Type::Duration, Type::Int) | (Mul, Type::Int, Type::Duration) => Some(Type::Duration),
        (FloorDiv, Type::Duration, Type::Duration) => Some(Type::Int),
        _ => None,
    }
}

/// `a == None`, where one operand, or each, is a literal `None`.
fn equals_none(terms: &mut Terms, op: BinaryOp, a: TermId, b: TermId) -> TermId {
    let other = if terms.ty(a).ty.is_some() { a } else { b };
    if terms.ty(other).ty.is_none() {
        return literal(terms, Literal::Bool(op == BinaryOp::Eq));
    }
    let test = if op == BinaryOp::Eq { UnaryOp::IsNone } else { UnaryOp::IsNotNone };
    terms.add(Op::Unary(test, other), TermType::new(Type::Bool, false))
}

pub(super) fn if_else(
    terms: &mut Terms,
    (condition, test): Operand<'_>,
    then: Operand<'_>,
    otherwise: Operand<'_>,
) -> Result<TermId> {
    let test = match terms.ty(test).ty {
        Some(Type::Bool) => test,
        None => typed_none(terms, Type::Bool),
        Some(_) => {
            let ty = terms.ty(test);
            let (subject, function) = (subject(condition), Notation::of_program().function("if_else"));
            return Err(Error::invalid(format!("{subject} is {ty}, but {function} needs {}", Type::Bool)));
        }
    };
    let (a, b, ty) = unify(terms, "if_else", then, otherwise)?;
    Ok(terms.add(Op::IfElse(test, a, b), ty))
}

pub(super) fn coalesce(terms: &mut Terms, operands: &[Operand<'_>]) -> Result<TermId> {
    let Some((last, before)) = operands.split_last() else {
        return Err(Error::invalid(format!("{} needs an argument", Notation::of_program().function("coalesce"))));
    };
    let mut result = *last;
    for operand in before.iter().rev() {
        let (a, b, ty) = unify(terms, "coalesce", *operand, result)?;
        let optional = terms.ty(a).optional && terms.ty(b).optional;
        result = (operand.0, terms.add(Op::Coalesce(a, b), TermType { optional, ..ty }));
    }
    Ok(result.1)
}

/// Brings two branches to one type, optional if one of them is.
pub(crate) fn unify(
    terms: &mut Terms,
    function: &str,
    (left, a): Operand<'_>,
    (right, b): Operand<'_>,
) -> Result<(TermId, TermId, TermType)> {
    let (left_type, right_type) = (terms.ty(a), terms.ty(b));
    let ty = match (left_type.ty, right_type.ty) {
        (x, y) if x == y => x,
        (Some(ty), None) | (None, Some(ty)) => Some(ty),
        (Some(x), Some(y)) if is_number(x) && is_number(y) => Some(Type::Float),
        (Some(x), Some(y)) if let Some(ty) = x.common(y) => Some(ty),
        _ => {
            let (left, right) = subjects(left, right);
            let function = Notation::of_program().function(function);
            return Err(Error::invalid(format!(
                "{left} is {left_type}, but {right} is {right_type}: {function} cannot give one or the other"
            )));
        }
    };
    let (a, b) = match ty {
        Some(ty) => (give_type(terms, a, ty), give_type(terms, b, ty)),
        None => (a, b),
    };
    let (a, b) = if ty == Some(Type::Float) { (widen(terms, a), widen(terms, b)) } else { (a, b) };
    let optional = terms.ty(a).optional || terms.ty(b).optional;
    Ok((a, b, TermType { ty, optional }))
}

/// The term as a float.
fn widen(terms: &mut Terms, a: TermId) -> TermId {
    let ty = terms.ty(a);
    match (terms.op(a), ty.ty) {
        (_, Some(Type::Float)) => a,
        (Op::Literal(Literal::Int(value)), _) => {
            let value = *value as f64;
            literal(terms, Literal::Float(value))
        }
        (Op::Literal(Literal::None), _) => typed_none(terms, Type::Float),
        _ => terms.add(Op::Widen(a), TermType::new(Type::Float, ty.optional)),
    }
}

/// An `int` literal as a float, if that is the same number; any other term as it is.
fn widen_literal(terms: &mut Terms, a: TermId) -> TermId {
    match terms.op(a) {
        Op::Literal(Literal::Int(value)) if value.unsigned_abs() <= 1 << 53 => widen(terms, a),
        _ => a,
    }
}

fn is_number(ty: Type) -> bool {
    matches!(ty, Type::Int | Type::Float)
}

fn is_negative(terms: &Terms, a: TermId) -> bool {
    matches!(terms.op(a), Op::Literal(Literal::Int(value)) if *value < 0)
}

fn operator_error(terms: &Terms, op: BinaryOp, (left, a): Operand<'_>, (right, b): Operand<'_>) -> Error {
    let (left_type, right_type) = (terms.ty(a), terms.ty(b));
    let written = (left, right);
    let (left, right) = subjects(left, right);
    let but = if left_type == right_type { "and" } else { "but" };
    let error = Error::invalid(format!(
        "{left} is {left_type}, {but} {right} is {right_type}: cannot apply {} to {left_type} and {right_type}",
        op.symbol()
    ));
    let (Some(left_type), Some(right_type)) = (left_type.ty, right_type.ty) else { return error };
    // The one of this type first, if one is.
    let of = |ty: Type| match (left_type == ty, right_type == ty) {
        (true, _) => Some((written.0, right_type, written.1)),
        (false, true) => Some((written.1, left_type, written.0)),
        (false, false) => None,
    };
    if let Some((json, ..)) = of(Type::Json) {
        let json = code(json);
        error.with_hint(format!("{json}.as_int() makes an int of JSON; so do as_float(), as_str() and as_bool()"))
    } else if let Some((_, ty, other)) = of(Type::Str)
        && op == BinaryOp::Add
        && castable(ty, Type::Str)
    {
        error.with_hint(format!("{} makes text of it", notation::cast(other, Type::Str)))
    } else if let Some((text, ty, other)) = of(Type::Str)
        && is_number(ty)
    {
        match text.kind() {
            ExprKind::Literal(Literal::Str(word)) if crate::python_repr::parse_float(word).is_none() => match op {
                BinaryOp::Eq | BinaryOp::Ne => {
                    error.with_hint(format!("{} is compared as text", notation::cast(other, Type::Str)))
                }
                _ => error,
            },
            _ => error.with_hint(format!("{} reads a number from text", notation::cast(text, ty))),
        }
    } else if let Some((text, ty, _)) = of(Type::Str)
        && ty.is_time()
    {
        let what = if ty == Type::Duration { "a duration" } else { "a point in time" };
        error.with_hint(format!("{} reads {what} from text", notation::cast(text, ty)))
    } else if left_type.is_point() && right_type.is_point() {
        let is_literal = matches!(written.0.kind(), ExprKind::Literal(_));
        let (made, needed) = if is_literal { (written.1, left_type) } else { (written.0, right_type) };
        error.with_hint(format!("{} makes one of the other", zoned(made, needed)))
    } else if let Some((flag, ty, _)) = of(Type::Bool)
        && (is_number(ty) || ty == Type::Bool)
    {
        error.with_hint(format!("{} makes 1 of true and 0 of false", notation::cast(flag, Type::Int)))
    } else {
        error
    }
}
