//! Which terms can be error values: a property of a term's operation and of its operands' types, known before any row
//! is read.
//!
//! All that can fail is listed in [`fails`], but for text or a list that outgrows a column (2 GiB in one batch), which
//! anything that makes text can do: such a cell, and whatever else the list misses, ends the run at the end of its map.

use millpond_columns::types::Type;

use super::{Op, Term, TermId};
use crate::expr::{BinaryOp, UnaryOp};
use crate::functions::{TextFunction, TimeFunction};
use crate::literal::Literal;

/// Whether a cell of `term`, which is made of these terms, can be an error: one that it makes, or that it passes on.
/// `is_fallible` tells it of its operands.
pub(crate) fn is_fallible(terms: &[Term], term: &Term, is_fallible: &dyn Fn(TermId) -> bool) -> bool {
    match &term.op {
        // The first operand's errors end here.
        Op::FillError(_, replacement) => is_fallible(*replacement),
        Op::Carry(..) | Op::ErrorLane(..) | Op::Sound(_) | Op::IsError(_) | Op::IsNew(..) | Op::ErrorText(..) => false,
        Op::Carried { .. } => true,
        op => {
            let mut fallible = fails(terms, term);
            op.operands(|operand| fallible |= is_fallible(operand));
            fallible
        }
    }
}

/// Whether `term` itself can make an error of operands that are none.
pub(crate) fn fails(terms: &[Term], Term { op, ty: to }: &Term) -> bool {
    let ty = |id: &TermId| terms[id.index()].ty.ty;
    match op {
        Op::Unary(UnaryOp::Neg | UnaryOp::Abs, a) => ty(a) != Some(Type::Float),
        Op::Unary(UnaryOp::Unwrap, a) => terms[a.index()].ty.optional,
        Op::Unary(UnaryOp::Not | UnaryOp::IsNone | UnaryOp::IsNotNone, _) => false,
        Op::Binary(op, a, b) => match op {
            BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul => !matches!(ty(a), Some(Type::Float | Type::Str)),
            BinaryOp::Div | BinaryOp::FloorDiv | BinaryOp::Mod => !is_harmless_divisor(terms, *b),
            BinaryOp::Pow => true,
            _ => false,
        },
        Op::Unique(..) => true,
        Op::Cast(a) => match ty(a) {
            Some(Type::Float) => to.ty == Some(Type::Int),
            Some(Type::Str) => !matches!(to.ty, Some(Type::Str | Type::Bytes)),
            Some(Type::Bool | Type::Int) => false,
            from => !from.is_some_and(Type::is_time),
        },
        Op::Text(function, operands) => match function {
            TextFunction::ParseInt { optional }
            | TextFunction::ParseFloat { optional }
            | TextFunction::ParseBool { optional, .. } => !optional,
            TextFunction::Split => !is_text(terms, operands[1]),
            _ => false,
        },
        Op::Time(function, _) => !matches!(
            function,
            TimeFunction::Part(_) | TimeFunction::Whole(_) | TimeFunction::Timestamp(_) | TimeFunction::Strftime(_)
        ),
        Op::Get(_, _, default) => default.is_none(),
        Op::Elements(a) => ty(a) == Some(Type::Json),
        Op::Sum { .. } | Op::JsonAs(_) | Op::Step(..) | Op::Bound(..) | Op::Instant(_) => true,
        _ => false,
    }
}

/// Whether no number divided by it is an error: neither 0 nor, of ints, -1, by which the least int divides to none.
fn is_harmless_divisor(terms: &[Term], divisor: TermId) -> bool {
    match &terms[divisor.index()].op {
        Op::Literal(Literal::Int(value) | Literal::Duration(value)) => !matches!(value, -1 | 0),
        Op::Literal(Literal::Float(value)) => *value != 0.0,
        Op::Widen(a) => is_harmless_divisor(terms, *a),
        _ => false,
    }
}

/// Whether it is a text that is not empty.
fn is_text(terms: &[Term], term: TermId) -> bool {
    matches!(&terms[term.index()].op, Op::Literal(Literal::Str(text)) if !text.is_empty())
}
