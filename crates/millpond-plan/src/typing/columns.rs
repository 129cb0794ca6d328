//! The columns of tables: what a select, a filter or a table of several makes of them.

use millpond_columns::dialect::{Notation, quoted};
use millpond_columns::types::{ColumnType, Schema, Type};
use millpond_error::{Error, Result};

use super::casts::castable;
use super::{RowScope, Scope, input_terms, predicate, term, typed_none_hint};
use crate::diagnostics::{at, unique};
use crate::expr::Expr;
use crate::notation::Speller;
use crate::terms::Terms;

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
pub(crate) fn filter(schema: &Schema, condition: &Expr) -> Result<()> {
    let mut terms = Terms::default();
    let inputs = input_terms(&mut terms, schema);
    let mut scope = RowScope { schema, columns: &inputs, in_reducer: false };
    predicate(&mut terms, &mut scope, condition).map(drop)
}
