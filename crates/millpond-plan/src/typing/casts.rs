//! Which types are cast to which.

use millpond_columns::types::Type;
use millpond_error::{Error, Result};

use super::functions::zoned;
use super::{Operand, typed_none};
use crate::diagnostics::subject;
use crate::expr::Expr;
use crate::functions::TimeUnit;
use crate::notation::code;
use crate::terms::{Op, TermId, TermType, Terms};

pub(super) fn cast(terms: &mut Terms, (expr, a): Operand<'_>, to: Type) -> Result<TermId> {
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
    from == to || !(from.is_binary() || to.is_binary()) || nested_castable(from, to)
}

/// The error of a cast that is none.
fn no_cast(expr: &Expr, ty: TermType, to: Type) -> Error {
    let error = Error::invalid(format!("{} is {ty}, which cannot be cast to {to}", subject(expr)));
    if ty.ty.is_some_and(Type::is_time) || to.is_time() {
        return error.with_hint(no_time_cast(expr, ty.ty, to));
    }
    no_nested_cast(error, expr, ty.ty, to)
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

/// Whether values can be cast, of which those of one type are stored as bytes other than text.
fn nested_castable(from: Type, to: Type) -> bool {
    match (from, to) {
        (Type::Bytes, to) => to == Type::Str,
        (from, Type::Bytes) => from == Type::Str,
        (from, to) => from.is_stored_as_bytes() && to.is_stored_as_bytes(),
    }
}

/// Adds to the error of a cast that is none what can be done.
fn no_nested_cast(error: Error, expr: &Expr, from: Option<Type>, to: Type) -> Error {
    let (text, json) = (Type::Str, Type::Json);
    error.with_hint(match (from, to) {
        (Some(Type::Json), Type::Int | Type::Float | Type::Bool) => {
            format!("{}.as_{}() reads it, and gives null for others", code(expr), to.name())
        }
        (Some(Type::Bytes), _) | (_, Type::Bytes) => {
            format!("{} is cast to and from {text} only, as UTF-8", Type::Bytes)
        }
        _ => format!("{json}, tuples and lists are cast to and from {text}, as JSON text, and into each other"),
    })
}
