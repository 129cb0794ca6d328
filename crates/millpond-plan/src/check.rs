//! Checks of names and types: makes typed [`Terms`] of [`Expr`]essions.
//!
//! [`Scope`] says what a name means: a column of a row, or, in the outputs of a reduce, a key or a reducer.

use millpond_error::{Error, Result};

use crate::deep::{check_depth, deep_of};
use crate::dt::{TimeFunction, TimeUnit};
use crate::expr::{BinaryOp, Expr, ExprKind, Literal, UnaryOp, quoted};
use crate::nested;
use crate::notation::{self, Notation, Speller, code, hint, one_of, spoken};
use crate::terms::{Op, TermId, TermType, Terms};
use crate::text::TextFunction;
use crate::types::{ColumnType, Schema, Type};

/// What names and reducers mean in some place of the program.
pub(crate) trait Scope {
    /// The term of `expr`, if this scope gives it a meaning of its own; it does so for every column and reducer.
    fn resolve(&mut self, expr: &Expr, terms: &mut Terms) -> Option<Result<TermId>>;
}

/// The columns of one row.
pub(crate) struct RowScope<'a> {
    pub schema: &'a Schema,
    /// The term of each column.
    pub columns: &'a [TermId],
    /// Whether this is the argument of a reducer.
    pub in_reducer: bool,
}

impl Scope for RowScope<'_> {
    fn resolve(&mut self, expr: &Expr, _: &mut Terms) -> Option<Result<TermId>> {
        match expr.kind() {
            ExprKind::Column(name) => Some(match self.schema.index_of(name) {
                Some(position) => Ok(self.columns[position]),
                None => Err(no_column(name, self.schema.columns().iter().map(|column| column.name.as_str()))),
            }),
            ExprKind::Reducer(..) if self.in_reducer => {
                Some(Err(Error::invalid(format!("{} is inside another reducer", subject(expr)))
                    .with_hint("reduce twice, or use the inner reducer beside the outer one")))
            }
            ExprKind::Reducer(..) => {
                Some(Err(Error::invalid(format!("{} is a reducer outside of a reduce", subject(expr))).with_hint(
                    "reducers stand in the outputs of groupby(...).reduce(...) and windowby(...).reduce(...)",
                )))
            }
            _ => None,
        }
    }
}

/// The terms of `schema`'s columns as inputs.
pub(crate) fn input_terms(terms: &mut Terms, schema: &Schema) -> Vec<TermId> {
    schema.columns().iter().enumerate().map(|(i, column)| terms.input(i, column.ty)).collect()
}

/// Each name once, and none empty.
pub(crate) fn unique<'a>(place: &str, names: impl Iterator<Item = &'a str>) -> Result<()> {
    let mut seen = std::collections::HashSet::new();
    for name in names {
        if name.is_empty() {
            return Err(Error::invalid(format!("{place} has a column without a name")));
        }
        if !seen.insert(name) {
            return Err(Error::invalid(format!("{place} has two columns named {}", quoted(name))));
        }
    }
    Ok(())
}

/// Each name once, and each a column.
pub(crate) fn known(place: &str, schema: &Schema, names: &[String]) -> Result<()> {
    unique(place, names.iter().map(String::as_str))?;
    match names.iter().find(|name| schema.index_of(name).is_none()) {
        Some(name) => Err(no_column(name, schema.columns().iter().map(|column| column.name.as_str()))),
        None => Ok(()),
    }
}

/// The schema of tables that `place` takes to have the same columns: those of the first.
pub(crate) fn same_columns(place: &str, schemas: &[&Schema]) -> Result<Schema> {
    let (first, others) = schemas.split_first().expect("there is a table");
    let names = |schema: &Schema| {
        let names: Vec<String> = schema.columns().iter().map(|column| quoted(&column.name)).collect();
        names.join(", ")
    };
    let mut columns: Vec<(String, ColumnType)> =
        first.columns().iter().map(|column| (column.name.clone(), column.ty)).collect();
    for (number, other) in (2..).zip(others) {
        let same = other.len() == first.len() && first.columns().iter().all(|c| other.index_of(&c.name).is_some());
        if !same {
            let (first, other) = (names(first), names(other));
            let error =
                Error::invalid(format!("table 1 of the {place} has the columns {first}, but table {number} {other}"));
            return Err(error.with_hint("select(...), without(...) and rename(...) make columns equal"));
        }
        for (name, ty) in &mut columns {
            let found = other.columns()[other.index_of(name).expect("the names are the same")].ty;
            same_type(place, name, ty, found, number)?;
        }
    }
    Ok(Schema::new(columns))
}

/// Checks that a column has its type of table 1 in table `number`, too, and makes it optional if it is so there.
pub(crate) fn same_type(place: &str, name: &str, ty: &mut ColumnType, found: ColumnType, number: usize) -> Result<()> {
    if found.ty != ty.ty {
        let name_there = quoted(name);
        let error = Error::invalid(format!(
            "column {name_there} is {ty} in table 1 of the {place}, but {found} in table {number}"
        ));
        // A cast to the narrower of two numbers would cut its fraction off, without a word.
        let (number, to) = if holds(found.ty, ty.ty) { (1, found.ty) } else { (number, ty.ty) };
        if !castable(found.ty, ty.ty) {
            return Err(error);
        }
        let word = Speller::PLAN.column(name) == name;
        let call = match Notation::of_program() {
            Notation::Python if word => format!("cast_to_types({name}={to})"),
            Notation::Python => format!("cast_to_types(**{{{name_there}: {to}}})"),
            _ => format!("cast_to_types([({name_there}, {to})])"),
        };
        return Err(error.with_hint(format!("table {number} can be given as .{call}")));
    }
    ty.optional |= found.optional;
    Ok(())
}

/// Whether each value of the other type has its like in the type.
fn holds(ty: Type, other: Type) -> bool {
    matches!((ty, other), (Type::Float, Type::Int | Type::Bool) | (Type::Int, Type::Bool))
}

/// The schema of a select.
pub(crate) fn select(schema: &Schema, columns: &[(String, Expr)]) -> Result<Schema> {
    unique("select", columns.iter().map(|(name, _)| name.as_str()))?;
    let mut terms = Terms::default();
    let inputs = input_terms(&mut terms, schema);
    let mut scope = RowScope { schema, columns: &inputs, in_reducer: false };
    outputs(&mut terms, &mut scope, columns)
}

/// The schema of named expressions.
pub(crate) fn outputs(terms: &mut Terms, scope: &mut dyn Scope, columns: &[(String, Expr)]) -> Result<Schema> {
    let mut types = Vec::with_capacity(columns.len());
    for (name, expr) in columns {
        let term = term(terms, scope, expr)?;
        let ty = terms.ty(term).column().ok_or_else(|| {
            let error = Error::invalid(format!("column {} has no type: it is always None", quoted(name)));
            at(error.with_hint(typed_none_hint()), expr)
        })?;
        types.push((name.as_str(), ty));
    }
    Ok(Schema::new(types))
}

/// Checks the predicate of a filter.
pub(crate) fn filter(schema: &Schema, predicate: &Expr) -> Result<()> {
    let mut terms = Terms::default();
    let inputs = input_terms(&mut terms, schema);
    let mut scope = RowScope { schema, columns: &inputs, in_reducer: false };
    self::predicate(&mut terms, &mut scope, predicate).map(drop)
}

/// The term of a filter's predicate.
pub(crate) fn predicate(terms: &mut Terms, scope: &mut dyn Scope, predicate: &Expr) -> Result<TermId> {
    let term = self::term(terms, scope, predicate)?;
    match terms.ty(term).ty {
        Some(Type::Bool) => Ok(term),
        None => Ok(typed_none(terms, Type::Bool)),
        Some(_) => {
            let ty = terms.ty(term);
            Err(at(
                Error::invalid(format!("{} is {ty}, but a filter needs {}", subject(predicate), Type::Bool)),
                predicate,
            ))
        }
    }
}

/// The term of `expr`.
pub(crate) fn term(terms: &mut Terms, scope: &mut dyn Scope, expr: &Expr) -> Result<TermId> {
    check_depth(expr)?;
    let found = match scope.resolve(expr, terms) {
        Some(resolved) => resolved,
        None => deep_of(expr.depth(), || typed(terms, scope, expr)),
    };
    let found = found.map_err(|error| at(error, expr))?;
    Ok(match expr.kind() {
        ExprKind::Column(_) | ExprKind::Literal(_) => found,
        _ => json_or_none(terms, found),
    })
}

/// JSON's null is no value where a value may be missing: files spell both alike.
fn json_or_none(terms: &mut Terms, term: TermId) -> TermId {
    let ty = terms.ty(term);
    match terms.op(term) {
        Op::JsonOrNone(_) => term,
        _ if ty.ty == Some(Type::Json) && ty.optional => terms.add(Op::JsonOrNone(term), ty),
        _ => term,
    }
}

fn typed(terms: &mut Terms, scope: &mut dyn Scope, expr: &Expr) -> Result<TermId> {
    match expr.kind() {
        ExprKind::Literal(value) => Ok(literal(terms, value.clone())),
        ExprKind::Unary(op, a) => {
            let operand = term(terms, scope, a)?;
            unary(terms, *op, (a, operand))
        }
        ExprKind::Binary(op, a, b) => {
            let left = term(terms, scope, a)?;
            let right = term(terms, scope, b)?;
            binary(terms, *op, (a, left), (b, right))
        }
        ExprKind::IfElse(condition, a, b) => {
            let condition_term = term(terms, scope, condition)?;
            let (then, otherwise) = (term(terms, scope, a)?, term(terms, scope, b)?);
            if_else(terms, (condition, condition_term), (a, then), (b, otherwise))
        }
        ExprKind::Coalesce(arguments) => {
            let operands = arguments.iter().map(|a| Ok((a, term(terms, scope, a)?))).collect::<Result<Vec<_>>>()?;
            coalesce(terms, &operands)
        }
        ExprKind::Cast(a, to) => {
            let operand = term(terms, scope, a)?;
            cast(terms, (a, operand), *to)
        }
        ExprKind::FillError(a, b) => {
            let (left, right) = (term(terms, scope, a)?, term(terms, scope, b)?);
            let (left, right, ty) = unify(terms, "fill_error", (a, left), (b, right))?;
            Ok(terms.add(Op::FillError(left, right), ty))
        }
        ExprKind::Text(function, arguments) => {
            let operands = arguments.iter().map(|a| Ok((a, term(terms, scope, a)?))).collect::<Result<Vec<_>>>()?;
            text(terms, function, &operands)
        }
        ExprKind::Time(function, arguments) => {
            let operands = arguments.iter().map(|a| Ok((a, term(terms, scope, a)?))).collect::<Result<Vec<_>>>()?;
            time(terms, function, &operands)
        }
        ExprKind::Tuple(elements) => {
            let operands = elements.iter().map(|a| Ok((a, term(terms, scope, a)?))).collect::<Result<Vec<_>>>()?;
            nested::tuple(terms, &operands)
        }
        ExprKind::Get(a, key, default) => {
            let (from, position) = (term(terms, scope, a)?, term(terms, scope, key)?);
            let default = default.as_ref().map(|a| Ok((a, term(terms, scope, a)?))).transpose()?;
            nested::get(terms, (a, from), (key, position), default)
        }
        ExprKind::JsonAs(a, to) => {
            let operand = term(terms, scope, a)?;
            nested::json_as(terms, (a, operand), *to)
        }
        ExprKind::Column(_) | ExprKind::Reducer(..) => {
            unreachable!("a scope resolves every column and every reducer")
        }
    }
}

/// An operand as it is written, and its term.
pub(crate) type Operand<'a> = (&'a Expr, TermId);

pub(crate) fn literal(terms: &mut Terms, value: Literal) -> TermId {
    let ty = TermType { ty: value.ty(), optional: value == Literal::None };
    terms.add(Op::Literal(value), ty)
}

pub(crate) fn typed_none(terms: &mut Terms, ty: Type) -> TermId {
    terms.add(Op::Literal(Literal::None), TermType::new(ty, true))
}

fn unary(terms: &mut Terms, op: UnaryOp, (expr, a): Operand<'_>) -> Result<TermId> {
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

fn binary(terms: &mut Terms, op: BinaryOp, (left, a): Operand<'_>, (right, b): Operand<'_>) -> Result<TermId> {
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

fn if_else(
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

fn coalesce(terms: &mut Terms, operands: &[Operand<'_>]) -> Result<TermId> {
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

fn cast(terms: &mut Terms, (expr, a): Operand<'_>, to: Type) -> Result<TermId> {
    let ty = terms.ty(a);
    Ok(match ty.ty {
        None => typed_none(terms, to),
        Some(from) if from == to => a,
        Some(from) if !castable(from, to) => return Err(no_cast(expr, ty, to)),
        Some(_) => terms.add(Op::Cast(a), TermType::new(to, ty.optional)),
    })
}

/// Whether values of one type can be converted to another.
pub(crate) fn castable(from: Type, to: Type) -> bool {
    if from.is_time() || to.is_time() {
        return from == to || from == Type::Str || to == Type::Str;
    }
    from == to || !(from.is_binary() || to.is_binary()) || nested::castable(from, to)
}

/// The error of a cast that is none.
fn no_cast(expr: &Expr, ty: TermType, to: Type) -> Error {
    let error = Error::invalid(format!("{} is {ty}, which cannot be cast to {to}", subject(expr)));
    if ty.ty.is_some_and(Type::is_time) || to.is_time() {
        return error.with_hint(no_time_cast(expr, ty.ty, to));
    }
    nested::no_cast_hint(error, expr, ty.ty, to)
}

/// What makes one type of the other, where one of them is a point in time or a duration.
fn no_time_cast(expr: &Expr, from: Option<Type>, to: Type) -> String {
    let dt = expr.dt();
    match (from, to) {
        (Some(Type::DateTimeNaive | Type::DateTimeUtc), Type::Int | Type::Float) => {
            format!("{} is a number of seconds since 1970", code(&dt.timestamp(TimeUnit::Seconds)))
        }
        (Some(Type::Duration), Type::Int | Type::Float) => format!("{} is a number of seconds", code(&dt.seconds())),
        (Some(Type::Int | Type::Float), Type::DateTimeNaive) => {
            format!("{} takes it for seconds since 1970", code(&dt.from_timestamp(TimeUnit::Seconds)))
        }
        (Some(Type::Int | Type::Float), Type::DateTimeUtc) => {
            format!("{} takes it for seconds since 1970", code(&dt.utc_from_timestamp(TimeUnit::Seconds)))
        }
        (Some(from), to) if from.is_point() && to.is_point() => format!("{} makes one of the other", zoned(expr, to)),
        _ => format!("points in time and durations are cast to and from {} only", Type::Str),
    }
}

/// How a `None` gets a type.
pub(crate) fn typed_none_hint() -> &'static str {
    hint("say which: lit(Literal::None).cast(Type::Int)", "say which: pw.cast(int, None)")
}

fn text(terms: &mut Terms, function: &TextFunction, operands: &[Operand<'_>]) -> Result<TermId> {
    let (types, left_out) = function.operands();
    let accepted: Vec<&[Type]> = types.iter().map(std::slice::from_ref).collect();
    let (typed, optional) = arguments(terms, &format!("str.{}", function.name()), &accepted, left_out, operands)?;
    if let (TextFunction::Split, Some((separator, _))) = (function, operands.get(1))
        && matches!(separator.kind(), ExprKind::Literal(Literal::Str(text)) if text.is_empty())
    {
        let error = Error::invalid("the separator of str.split is empty");
        return Err(error.with_hint("without a separator, text is split at white space"));
    }
    let optional = optional || function.is_optional();
    Ok(terms.add(Op::Text(function.clone(), typed), TermType::new(function.ty(), optional)))
}

fn time(terms: &mut Terms, function: &TimeFunction, operands: &[Operand<'_>]) -> Result<TermId> {
    let accepted = function.operands();
    let (typed, optional) = arguments(terms, &format!("dt.{}", function.name()), accepted, 0, operands)?;
    let subject = terms.ty(typed[0]).ty.unwrap_or(accepted[0][0]);
    function.check(subject)?;
    Ok(terms.add(Op::Time(function.clone(), typed), TermType::new(function.ty(subject), optional)))
}

/// The operands of a method, each of one of the types that it accepts there, and whether one of them may be null. So many
/// may be left out at the end.
fn arguments(
    terms: &mut Terms,
    method: &str,
    accepted: &[&[Type]],
    left_out: usize,
    operands: &[Operand<'_>],
) -> Result<(Vec<TermId>, bool)> {
    if !(accepted.len() - left_out..=accepted.len()).contains(&operands.len()) {
        let (most, found) = (accepted.len() - 1, operands.len().saturating_sub(1));
        return Err(Error::invalid(format!("{method} has {found} arguments, but takes {most}")));
    }
    let mut optional = false;
    let mut typed = Vec::with_capacity(operands.len());
    for (i, ((expr, operand), accepted)) in operands.iter().zip(accepted).enumerate() {
        let operand = give_type(terms, *operand, accepted[0]);
        let ty = terms.ty(operand);
        if !ty.ty.is_some_and(|ty| accepted.contains(&ty)) {
            let place = if i == 0 { method.to_owned() } else { format!("argument {i} of {method}") };
            let needed = one_of(accepted);
            let error = Error::invalid(format!("{} is {ty}, but {place} needs {needed}", subject(expr)));
            return Err(match accepted {
                [Type::Duration] => error.with_hint(notation::duration()),
                [needed] if needed.is_point() && ty.ty.is_some_and(Type::is_point) => {
                    error.with_hint(format!("{} makes one of the other", zoned(expr, *needed)))
                }
                [needed] if ty.ty.is_some_and(|ty| castable(ty, *needed)) => {
                    error.with_hint(notation::cast(expr, *needed))
                }
                _ => error,
            });
        }
        optional |= ty.optional;
        typed.push(operand);
    }
    Ok((typed, optional))
}

/// The call that makes a point in time of type `needed` of one of the other type.
fn zoned(expr: &Expr, needed: Type) -> String {
    let (expr, method) = (code(expr), if needed == Type::DateTimeUtc { "to_utc" } else { "to_naive_in_timezone" });
    format!("{expr}.{}.{method}(\"Europe/Berlin\")", hint("dt()", "dt"))
}

/// The term itself, or a null of type `ty` if it is a `None` without a type.
pub(crate) fn give_type(terms: &mut Terms, a: TermId, ty: Type) -> TermId {
    if terms.ty(a).ty.is_none() { typed_none(terms, ty) } else { a }
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
            ExprKind::Literal(Literal::Str(word)) if crate::spelling::parse_float(word).is_none() => match op {
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

/// How a message names an expression.
pub(crate) fn subject(expr: &Expr) -> String {
    match expr.kind() {
        ExprKind::Column(name) => format!("column {}", quoted(name)),
        ExprKind::Literal(value) => format!("the value {}", Notation::of_program().literal(value)),
        _ => format!("`{}`", spoken(expr)),
    }
}

/// Two subjects of one sentence: the second needs no "column" if the first has it.
fn subjects(left: &Expr, right: &Expr) -> (String, String) {
    match (left.column_name(), right.column_name()) {
        (Some(_), Some(right)) => (subject(left), quoted(right)),
        _ => (subject(left), subject(right)),
    }
}

/// Adds the expression's place to an error that has none.
pub(crate) fn at(error: Error, expr: &Expr) -> Error {
    match expr.origin() {
        Some(origin) => error.at(origin),
        None => error,
    }
}

/// An error for a name that none of `known` is, with the nearest of them.
pub(crate) fn no_column<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Error {
    let known: Vec<&str> = known.collect();
    let list = known.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ");
    let error = if known.is_empty() {
        Error::invalid(format!("no column {}: there are no columns", quoted(name)))
    } else {
        Error::invalid(format!("no column {}: there are {list}", quoted(name)))
    };
    match nearest(name, known) {
        Some(near) => error.with_hint(format!("did you mean {}?", quoted(near))),
        None => error,
    }
}

/// The name that somebody who wrote `name` may have meant.
fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = name.chars().count();
    let near = known.into_iter().map(|known| (distance(name, known), known)).filter(|(distance, known)| {
        *distance <= length.max(3) / 3 && *distance < length.min(known.chars().count()).max(1)
    });
    near.min().map(|(_, near)| near)
}

/// Levenshtein distance, without regard to case.
fn distance(a: &str, b: &str) -> usize {
    strsim::levenshtein(&a.to_lowercase(), &b.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::{coalesce, col, if_else, lit};
    use crate::reducer::max;

    /// Columns `b`, `i`, `f`, `s` of the four types, and the same, optional, with `_`.
    fn schema() -> Schema {
        let types = [("b", Type::Bool), ("i", Type::Int), ("f", Type::Float), ("s", Type::Str)];
        let columns = types.into_iter().flat_map(|(name, ty)| {
            [(name.to_owned(), ty.required()), (format!("{name}_"), ColumnType { ty, optional: true })]
        });
        Schema::new(columns)
    }

    #[track_caller]
    fn check(expr: Expr, expected: &str) {
        let found = match select(&schema(), &[("x".into(), expr)]) {
            Ok(schema) => schema.columns()[0].ty.name(),
            Err(error) => match error.hint() {
                Some(hint) => format!("{} ({hint})", error.message()),
                None => error.message().to_owned(),
            },
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn arithmetic_has_pythons_types() {
        check(col("i") + 1, "int");
        check(col("i") / 2, "float");
        check(col("i").floordiv(2), "int");
        check(col("i") % col("f"), "float");
        check(col("i_") * col("f"), "float?");
        check(col("i").pow(2), "int");
        check(col("i").pow(-2), "float");
        check(col("s") + "x", "str");
        check(col("i") + lit(Literal::None), "int?");
        check(-col("f_"), "float?");
    }

    #[test]
    fn a_word_that_is_no_number_is_compared_as_text() {
        check(
            col("i").ne("x"),
            "column \"i\" is Type::Int, but the value \"x\" is Type::Str: cannot apply != to Type::Int and Type::Str \
             (col(\"i\").cast(Type::Str) is compared as text)",
        );
        check(
            col("i").ne("7"),
            "column \"i\" is Type::Int, but the value \"7\" is Type::Str: cannot apply != to Type::Int and Type::Str \
             (lit(\"7\").cast(Type::Int) reads a number from text)",
        );
    }

    #[test]
    fn a_mismatch_names_both_columns_and_types() {
        check(
            col("s") - col("i"),
            "column \"s\" is Type::Str, but \"i\" is Type::Int: cannot apply - to Type::Str and Type::Int \
             (col(\"s\").cast(Type::Int) reads a number from text)",
        );
        check(
            col("s").eq(1),
            "column \"s\" is Type::Str, but the value 1 is Type::Int: cannot apply == to Type::Str and Type::Int \
             (col(\"s\").cast(Type::Int) reads a number from text)",
        );
        check(
            (col("b") & col("b_")) + 1,
            "`b & b_` is Type::Bool.optional(), but the value 1 is Type::Int: cannot apply + to Type::Bool.optional() and Type::Int \
             ((col(\"b\") & col(\"b_\")).cast(Type::Int) makes 1 of true and 0 of false)",
        );
        check(-col("s"), "column \"s\" is Type::Str: cannot apply - to Type::Str");
    }

    #[test]
    fn an_error_has_the_line_of_the_innermost_expression() {
        let line = line!() + 1;
        let bad = col("s") - 1;
        let error = select(&schema(), &[("x".into(), bad + 2)]).unwrap_err();
        assert_eq!(error.origin().map(|origin| origin.line), Some(line));
    }

    #[test]
    fn comparisons_are_bool_and_equality_is_never_null() {
        check(col("i").lt(col("f")), "bool");
        check(col("i_").lt(3), "bool?");
        check(col("i_").eq(3), "bool");
        check(col("s_").eq(lit(Literal::None)), "bool");
        check(lit(Literal::None).eq(lit(Literal::None)), "bool");
    }

    #[test]
    fn branches_unify() {
        check(if_else(col("b"), col("i"), col("f")), "float");
        check(if_else(col("b"), col("i"), col("i_")), "int?");
        check(if_else(col("b"), col("s"), lit(Literal::None)), "str?");
        check(
            if_else(col("b"), col("s"), 1),
            "column \"s\" is Type::Str, but the value 1 is Type::Int: if_else cannot give one or the other",
        );
        check(if_else(col("i"), 1, 2), "column \"i\" is Type::Int, but if_else needs Type::Bool");
        check(coalesce([col("i_"), col("f_")]), "float?");
        check(coalesce([col("i_"), lit(0)]), "int");
        check(coalesce([lit(Literal::None), col("s")]), "str");
        check(coalesce(Vec::<Expr>::new()), "coalesce needs an argument");
    }

    #[test]
    fn none_alone_has_no_type() {
        check(
            lit(Literal::None),
            "column \"x\" has no type: it is always None (say which: lit(Literal::None).cast(Type::Int))",
        );
        check(lit(Literal::None).cast(Type::Int), "int?");
    }

    #[test]
    fn text_functions_need_text() {
        check(col("s").str().lower(), "str");
        check(col("s").str().find(col("s_")), "int?");
        check(col("s").str().slice(lit(Literal::None), 1), "str?");
        check(col("s").str().parse_float(), "float");
        check(col("s").str().try_parse_float(), "float?");
        check(
            (col("i") + 1).str().upper(),
            "`i + 1` is Type::Int, but str.upper needs Type::Str ((col(\"i\") + 1).cast(Type::Str))",
        );
        check(
            col("s").str().starts_with(1),
            "the value 1 is Type::Int, but argument 1 of str.startswith needs Type::Str (lit(1).cast(Type::Str))",
        );
        let short = Expr::new(ExprKind::Text(TextFunction::Find, vec![col("s")]));
        check(short, "str.find has 0 arguments, but takes 1");
        check(col("s").str().split(","), "list[str]");
        check(col("s_").str().split_whitespace_at_most(1), "list[str]?");
        check(
            col("s").str().split(""),
            "the separator of str.split is empty (without a separator, text is split at white space)",
        );
    }

    #[test]
    fn functions_of_time_need_points_durations_or_timestamps() {
        use crate::dt::TimeUnit::Seconds;
        let point = col("i").dt().utc_from_timestamp(Seconds);
        check(point.clone(), "DateTimeUtc");
        check(col("i_").dt().from_timestamp(Seconds).dt().hour(), "int?");
        check(point.dt().timestamp(Seconds), "float");
        check(point.dt().timestamp_ns(), "int");
        check(point.dt().floor(std::time::Duration::from_secs(1)), "DateTimeUtc");
        check((&point - &point).dt().hours(), "int");
        check(
            col("i").dt().year(),
            "column \"i\" is Type::Int, but dt.year needs Type::DateTimeNaive or Type::DateTimeUtc",
        );
        check(
            point.dt().round(5),
            "the value 5 is Type::Int, but argument 1 of dt.round needs Type::Duration \
             (a duration is such as std::time::Duration::from_secs(300))",
        );
    }

    #[test]
    fn formats_and_zones_are_checked() {
        use crate::dt::TimeUnit::Seconds;
        let (naive, utc) = (col("i").dt().from_timestamp(Seconds), col("i").dt().utc_from_timestamp(Seconds));
        check(naive.dt().strftime("%F"), "str");
        check(col("s").dt().strptime("%F"), "DateTimeNaive");
        check(col("s").dt().strptime("%F%z"), "DateTimeUtc");
        check(naive.dt().to_utc("Asia/Tokyo"), "DateTimeUtc");
        check(utc.dt().to_naive_in_timezone("Asia/Tokyo"), "DateTimeNaive");
        check(
            naive.dt().strftime("%F %Q"),
            "the format \"%F %Q\" cannot write a Type::DateTimeNaive: %Q is none of the words that it may have",
        );
        check(
            naive.dt().to_utc("Asia/Kyoto"),
            "there is no time zone \"Asia/Kyoto\" (names are those of the IANA database, such as \"Europe/Berlin\")",
        );
        check(col("i").dt().to_utc("UTC"), "column \"i\" is Type::Int, but dt.to_utc needs Type::DateTimeNaive");
        let zoned = Expr::new(ExprKind::Time(
            TimeFunction::Strptime { format: crate::TimeFormat::new("%F %T").into(), contains_timezone: Some(true) },
            vec![col("s")],
        ));
        check(
            zoned,
            "the format \"%F %T\" has no offset from UTC, but contains_timezone says otherwise \
             (%z reads an offset such as +0100, %:z one such as +01:00)",
        );
    }

    #[test]
    fn a_time_is_made_of_a_number_and_a_number_of_a_time() {
        use crate::dt::TimeUnit::Seconds;
        let (naive, utc) = (col("i").dt().from_timestamp(Seconds), col("i").dt().utc_from_timestamp(Seconds));
        let hint = |expr: Expr| {
            let error = select(&schema(), &[("x".into(), expr)]).unwrap_err();
            error.hint().unwrap().replace("col(\"i\").dt().", "")
        };
        assert_eq!(
            hint(naive.cast(Type::Int)),
            "from_timestamp(TimeUnit::Seconds).dt().timestamp(TimeUnit::Seconds) is a number of seconds since 1970"
        );
        assert_eq!(
            hint((&naive - &naive).cast(Type::Float)),
            "(from_timestamp(TimeUnit::Seconds) - from_timestamp(TimeUnit::Seconds)).dt().seconds() is a number of seconds"
        );
        assert_eq!(
            hint(col("i").cast(Type::DateTimeNaive)),
            "from_timestamp(TimeUnit::Seconds) takes it for seconds since 1970"
        );
        assert_eq!(
            hint(col("f").cast(Type::DateTimeUtc)),
            "col(\"f\").dt().utc_from_timestamp(TimeUnit::Seconds) takes it for seconds since 1970"
        );
        assert_eq!(
            hint(utc.cast(Type::DateTimeNaive)),
            "utc_from_timestamp(TimeUnit::Seconds).dt().to_naive_in_timezone(\"Europe/Berlin\") makes one of the other"
        );
        assert_eq!(
            hint(col("b").cast(Type::Duration)),
            "points in time and durations are cast to and from Type::Str only"
        );
    }

    #[test]
    fn unwrap_makes_required() {
        check(col("i_").unwrap(), "int");
        check(col("i").unwrap(), "int");
    }

    #[test]
    fn an_unknown_column_suggests_the_nearest() {
        let schema = Schema::new([("user_id", Type::Str.required()), ("access_time", Type::Int.required())]);
        let error = select(&schema, &[("x".into(), col("userid"))]).unwrap_err();
        assert_eq!(error.message(), "no column \"userid\": there are \"user_id\", \"access_time\"");
        assert_eq!(error.hint(), Some("did you mean \"user_id\"?"));
        assert_eq!(select(&schema, &[("x".into(), col("bytes"))]).unwrap_err().hint(), None);
    }

    #[test]
    fn reducers_stand_in_a_reduce() {
        let error = select(&schema(), &[("x".into(), max(col("i")) + 1)]).unwrap_err();
        assert_eq!(error.message(), "`max(i)` is a reducer outside of a reduce");
    }

    #[test]
    fn names_are_unique() {
        let error = select(&schema(), &[("x".into(), col("i")), ("x".into(), col("s"))]).unwrap_err();
        assert_eq!(error.message(), "select has two columns named \"x\"");
        let error = select(&schema(), &[(String::new(), col("i"))]).unwrap_err();
        assert_eq!(error.message(), "select has a column without a name");
    }

    #[test]
    fn a_filter_needs_bool() {
        assert!(filter(&schema(), &col("b_")).is_ok());
        let error = filter(&schema(), &(col("i") + 1)).unwrap_err();
        assert_eq!(error.message(), "`i + 1` is Type::Int, but a filter needs Type::Bool");
    }
}
