//! The rows that a predicate keeps.

use millpond_error::{Origin, Result};
use serde_json::{Value, json};

use super::describe::Described;
use super::lower::Lowering;
use super::pipeline::Pipeline;
use super::saved::{Call, Saver};
use super::{Operation, Table};
use crate::eval::{FILTER, Root};
use crate::expr::Expr;
use crate::terms::Op;
use crate::typing;

#[derive(Debug)]
struct Filter {
    predicate: Expr,
}

/// The rows none of whose cells is an error.
#[derive(Debug)]
struct RemoveErrors;

impl Table {
    /// The rows none of whose cells is an error value.
    pub fn remove_errors(&self, origin: &Origin) -> Table {
        self.row_by_row(RemoveErrors, self.schema().clone(), origin).into_part_of(self)
    }

    /// The rows for which `predicate` is true; a row for which it is null is dropped.
    pub fn filter(&self, predicate: Expr, origin: &Origin) -> Result<Table> {
        let predicate = self.bind(&predicate).map_err(|error| error.at(origin))?;
        typing::filter(self.schema(), &predicate).map_err(|error| error.at(origin))?;
        Ok(self.row_by_row(Filter { predicate }, self.schema().clone(), origin).into_part_of(self))
    }
}

impl Operation for Filter {
    fn describe(&self, of: &Described<'_>) -> Option<Value> {
        Some(json!({
            "operator": "filter",
            "predicate": self.predicate.to_string(),
            "input": of.inputs[0],
        }))
    }

    fn asks_identity(&self, identified: bool) -> bool {
        identified
    }

    fn save(&self, saver: &mut Saver) -> (&'static str, Value) {
        ("filter", json!({ "predicate": saver.expr(&self.predicate) }))
    }

    fn lower(&self, table: &Table, lowering: &mut Lowering) -> Result<Pipeline> {
        let mut rows = lowering.pipeline(&table.inputs()[0])?;
        let term = rows.term(table.schema(), |terms, scope| typing::predicate(terms, scope, &self.predicate))?;
        let root = Root { term, origin: self.predicate.origin().cloned() };
        lowering.tap(table, "filter", &rows, &[(FILTER.to_owned(), root.clone())]);
        let root = lowering.errors.predicate(&mut rows, root);
        rows.predicates.push(root);
        Ok(rows)
    }
}

/// The table of a saved `filter`.
pub(super) fn load(call: &Call<'_>) -> Result<Table> {
    call.this()?.filter(call.expr("predicate")?, &call.origin)
}

impl Operation for RemoveErrors {
    fn describe(&self, of: &Described<'_>) -> Option<Value> {
        Some(json!({ "operator": "remove_errors", "input": of.inputs[0] }))
    }

    fn asks_identity(&self, identified: bool) -> bool {
        identified
    }

    fn save(&self, _: &mut Saver) -> (&'static str, Value) {
        ("remove_errors", Value::Null)
    }

    fn lower(&self, table: &Table, lowering: &mut Lowering) -> Result<Pipeline> {
        let mut rows = lowering.pipeline(&table.inputs()[0])?;
        for i in 0..rows.columns.len() {
            let term = rows.columns[i].1.term;
            if rows.terms.is_fallible(term) {
                rows.without_errors_of(term);
                let ty = rows.terms.ty(term);
                rows.columns[i].1.term = rows.terms.add(Op::Sound(term), ty);
            }
        }
        Ok(rows)
    }
}

/// The table of a saved `remove_errors`.
pub(super) fn load_remove_errors(call: &Call<'_>) -> Result<Table> {
    Ok(call.this()?.remove_errors(&call.origin))
}
