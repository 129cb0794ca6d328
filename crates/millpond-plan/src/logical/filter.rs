//! The rows that a predicate keeps.

use millpond_error::{Origin, Result};
use serde_json::{Value, json};

use super::describe::Described;
use super::lower::Lowering;
use super::pipeline::Pipeline;
use super::{Operation, Table};
use crate::eval::Root;
use crate::expr::Expr;
use crate::typing;

#[derive(Debug)]
struct Filter {
    predicate: Expr,
}

impl Table {
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

    fn lower(&self, table: &Table, lowering: &mut Lowering) -> Result<Pipeline> {
        let mut rows = lowering.pipeline(&table.inputs()[0])?;
        let term = rows.term(table.schema(), |terms, scope| typing::predicate(terms, scope, &self.predicate))?;
        rows.predicates.push(Root { term, origin: self.predicate.origin().cloned() });
        Ok(rows)
    }
}
