//! The time of a window, and lengths along it: checked, and as numbers of its type.

use millpond_columns::dialect::{self, Notation};
use millpond_columns::types::{ColumnType, Type, one_of};
use millpond_error::{Error, Result};

use crate::diagnostics::{at, subject};
use crate::expr::Expr;
use crate::literal::Literal;
use crate::notation;
use crate::time;
use crate::typing::castable;

/// What the time of a window may be.
pub(crate) const TIMES: [Type; 4] = [Type::Int, Type::Float, Type::DateTimeNaive, Type::DateTimeUtc];

pub(crate) fn is_time(ty: Type) -> bool {
    TIMES.contains(&ty)
}

/// The type of a window's time, which is never null.
pub(crate) fn time_type(time: &Expr, ty: Option<ColumnType>) -> Result<Type> {
    match ty {
        Some(ColumnType { ty, optional: false }) if is_time(ty) => Ok(ty),
        Some(ty) => {
            let times = one_of(&TIMES);
            let error = Error::invalid(format!("{} is {ty}, but the time of a window must be {times}", subject(time)));
            Err(no_time(error, time, Some(ty.ty)))
        }
        None => {
            let error = format!("the time of a window is always None, but must be {}", one_of(&TIMES));
            Err(at(Error::invalid(error), time))
        }
    }
}

/// The error of a time that is none, with what makes one of it.
pub(crate) fn no_time(error: Error, time: &Expr, ty: Option<Type>) -> Error {
    let error = match ty {
        Some(ty) if is_time(ty) => error.with_hint(notation::required(time)),
        Some(ty) if castable(ty, Type::Int) => error.with_hint(notation::cast(time, Type::Int)),
        _ => error,
    };
    at(error, time)
}

/// A number of the window, of the type of the time; in nanoseconds, as an int, for a point in time.
pub(crate) fn number(what: &str, value: &Literal, ty: Type, time: &Expr) -> Result<Literal> {
    let written = || value.to_notation(Notation::of_program());
    if ty.is_point() {
        let needed = if what == "origin" { ty } else { Type::Duration };
        return match value.as_int().filter(|_| value.ty() == Some(needed)) {
            Some(value) => Ok(Literal::Int(value)),
            None => {
                let time = subject(time);
                let error = Error::invalid(format!("{what} is {}, but must be {needed}: {time} is {ty}", written()));
                Err(if needed == Type::Duration { error.with_hint(dialect::duration()) } else { error })
            }
        };
    }
    match (value, ty) {
        (Literal::Int(_), Type::Int) => Ok(value.clone()),
        (Literal::Int(value), _) => Ok(Literal::Float(*value as f64)),
        (Literal::Float(number), Type::Float) if number.is_finite() => Ok(value.clone()),
        (Literal::Float(_), Type::Float) => Err(Error::invalid(format!("{what} is {}, but must be finite", written()))),
        (Literal::Float(_), _) => {
            let subject = subject(time);
            let (float, int) = (Type::Float, Type::Int);
            let error = Error::invalid(format!("{what} is {}, which is {float}, but {subject} is {int}", written()));
            let cast = notation::cast(time, float);
            Err(error.with_hint(format!("give a whole number, or take {cast} as the time")))
        }
        _ => Err(Error::invalid(format!("{what} is {}, but must be a number", written()))),
    }
}

/// A length along times of this type, for people.
pub(crate) fn spoken(value: &Literal, of: Type) -> String {
    match value.as_int() {
        Some(ns) if of.is_point() => time::text(Type::Duration, ns),
        _ => value.to_string(),
    }
}

pub(crate) fn positive(what: &str, value: Literal) -> Result<Literal> {
    match value {
        Literal::Int(1..) => Ok(value),
        Literal::Float(number) if number > 0.0 => Ok(value),
        _ => Err(Error::invalid(format!("{what} is {value}, but must be more than 0"))),
    }
}
