//! Checks of names and types: makes typed [`Terms`] of [`Expr`]essions.
//!
//! [`Scope`] says what a name means: a column of a row, or, in the outputs of a reduce, a key or a reducer.

mod casts;
mod columns;
mod functions;
pub(crate) mod nested;
mod operators;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use millpond_columns::dialect::hint;
use millpond_columns::types::{Schema, Type};
use millpond_error::{Error, Result};

use crate::deep::deep_of;
use crate::diagnostics::{at, check_depth, no_column, subject};
use crate::expr::{ColumnRef, Expr, ExprKind};
use crate::literal::Literal;
use crate::terms::{Op, TermId, TermType, Terms};

pub(crate) use casts::castable;
pub(crate) use columns::{filter, outputs, same_columns, same_type, select};
pub(crate) use operators::unify;

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
            ExprKind::Column(ColumnRef { name, .. }) => Some(match self.schema.index_of(name) {
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

/// The term of `expr`. A part that stands in several places is made once: else a graph would be walked through as a
/// tree.
pub(crate) fn term(terms: &mut Terms, scope: &mut dyn Scope, expr: &Expr) -> Result<TermId> {
    check_depth(expr)?;
    part(terms, scope, expr, &mut HashMap::new())
}

/// The terms of parts, by their addresses.
type Done = HashMap<*const (), TermId>;

fn part(terms: &mut Terms, scope: &mut dyn Scope, expr: &Expr, done: &mut Done) -> Result<TermId> {
    if let Some(known) = done.get(&expr.address()) {
        return Ok(*known);
    }
    let found = match scope.resolve(expr, terms) {
        Some(resolved) => resolved,
        None => deep_of(expr.depth(), || typed(terms, scope, expr, done)),
    };
    let found = found.map_err(|error| at(error, expr))?;
    let term = match expr.kind() {
        ExprKind::Column(_) | ExprKind::Literal(_) => found,
        _ => json_or_none(terms, found),
    };
    done.insert(expr.address(), term);
    Ok(term)
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

fn typed(terms: &mut Terms, scope: &mut dyn Scope, expr: &Expr, done: &mut Done) -> Result<TermId> {
    let mut term = |terms: &mut Terms, expr: &Expr| part(terms, scope, expr, done);
    match expr.kind() {
        ExprKind::Literal(value) => Ok(literal(terms, value.clone())),
        ExprKind::Unary(op, a) => {
            let operand = term(terms, a)?;
            operators::unary(terms, *op, (a, operand))
        }
        ExprKind::Binary(op, a, b) => {
            let left = term(terms, a)?;
            let right = term(terms, b)?;
            operators::binary(terms, *op, (a, left), (b, right))
        }
        ExprKind::IfElse(condition, a, b) => {
            let condition_term = term(terms, condition)?;
            let (then, otherwise) = (term(terms, a)?, term(terms, b)?);
            operators::if_else(terms, (condition, condition_term), (a, then), (b, otherwise))
        }
        ExprKind::Coalesce(arguments) => {
            let operands = arguments.iter().map(|a| Ok((a, term(terms, a)?))).collect::<Result<Vec<_>>>()?;
            operators::coalesce(terms, &operands)
        }
        ExprKind::Cast(a, to) => {
            let operand = term(terms, a)?;
            casts::cast(terms, (a, operand), *to)
        }
        ExprKind::FillError(a, b) => {
            let (left, right) = (term(terms, a)?, term(terms, b)?);
            let (left, right, ty) = unify(terms, "fill_error", (a, left), (b, right))?;
            Ok(terms.add(Op::FillError(left, right), ty))
        }
        ExprKind::Text(function, arguments) => {
            let operands = arguments.iter().map(|a| Ok((a, term(terms, a)?))).collect::<Result<Vec<_>>>()?;
            functions::text(terms, function, &operands)
        }
        ExprKind::Time(function, arguments) => {
            let operands = arguments.iter().map(|a| Ok((a, term(terms, a)?))).collect::<Result<Vec<_>>>()?;
            functions::time(terms, function, &operands)
        }
        ExprKind::Tuple(elements) => {
            let operands = elements.iter().map(|a| Ok((a, term(terms, a)?))).collect::<Result<Vec<_>>>()?;
            nested::tuple(terms, &operands)
        }
        ExprKind::Get(a, key, default) => {
            let (from, position) = (term(terms, a)?, term(terms, key)?);
            let default = default.as_ref().map(|a| Ok((a, term(terms, a)?))).transpose()?;
            nested::get(terms, (a, from), (key, position), default)
        }
        ExprKind::JsonAs(a, to) => {
            let operand = term(terms, a)?;
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

/// How a `None` gets a type.
pub(crate) fn typed_none_hint() -> &'static str {
    hint("say which: lit(Literal::None).cast(Type::Int)", "say which: pw.cast(int, None)")
}

/// The term itself, or a null of type `ty` if it is a `None` without a type.
pub(crate) fn give_type(terms: &mut Terms, a: TermId, ty: Type) -> TermId {
    if terms.ty(a).ty.is_none() { typed_none(terms, ty) } else { a }
}
