//! How messages name expressions and columns, and what is wrong with names.

use millpond_columns::dialect::{Notation, quoted};
use millpond_columns::types::Schema;
use millpond_error::{Error, Result};

use crate::deep::MOST_OPERATIONS;
use crate::expr::{ColumnRef, Expr, ExprKind, TableRef};
use crate::notation::spoken;

/// How a message names an expression.
pub(crate) fn subject(expr: &Expr) -> String {
    match expr.kind() {
        ExprKind::Column(ColumnRef { table: TableRef::This | TableRef::Of(_), name }) => {
            format!("column {}", quoted(name))
        }
        ExprKind::Literal(value) => format!("the value {}", value.to_notation(Notation::of_program())),
        _ => format!("`{}`", spoken(expr)),
    }
}

/// Two subjects of one sentence: the second needs no "column" if the first has it.
pub(crate) fn subjects(left: &Expr, right: &Expr) -> (String, String) {
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

/// Refuses an expression that is too deep to be worked with.
pub(crate) fn check_depth(expr: &Expr) -> Result<()> {
    if expr.depth() <= MOST_OPERATIONS {
        return Ok(());
    }
    let error = Error::invalid(format!(
        "an expression is {} operations deep, but {MOST_OPERATIONS} at most are possible",
        expr.depth()
    ));
    Err(at(error.with_hint("compute parts of it in with_columns(...) before"), expr))
}
