//! The same rows, told apart by values that the program names.

use millpond_error::{Origin, Result};
use serde_json::{Value, json};

use super::describe::Described;
use super::lower::Lowering;
use super::pipeline::Pipeline;
use super::saved::{Call, Saver};
use super::{Operation, Table, combine};
use crate::eval::Root;
use crate::expr::Expr;
use crate::typing;

#[derive(Debug)]
struct Identify {
    columns: Vec<Expr>,
}

impl Table {
    /// The same rows, of which no two have the same values of `columns`: from here on, these identify a row.
    pub fn with_id_from(&self, columns: Vec<Expr>, origin: &Origin) -> Result<Table> {
        let columns = columns.iter().map(|column| self.bind(column)).collect::<Result<Vec<_>>>();
        let columns = columns.map_err(|error| error.at(origin))?;
        let identity = combine::identity(self.schema(), &columns).map_err(|error| error.at(origin))?;
        let (schema, append_only) = (self.schema().clone(), self.append_only());
        Ok(Table::new(Identify { columns }, vec![self.clone()], schema, Some(identity), append_only, origin))
    }
}

impl Operation for Identify {
    /// Described only where an identity is asked for: a program that names one for later keeps its state.
    fn describe(&self, of: &Described<'_>) -> Option<Value> {
        let columns: Vec<String> = self.columns.iter().map(Expr::to_string).collect();
        of.identified.then(|| json!({ "operator": "with_id_from", "columns": columns, "input": of.inputs[0] }))
    }

    fn save(&self, saver: &mut Saver) -> (&'static str, Value) {
        ("with_id_from", json!({ "columns": saver.exprs(&self.columns) }))
    }

    fn lower(&self, table: &Table, lowering: &mut Lowering) -> Result<Pipeline> {
        let mut rows = lowering.pipeline(&table.inputs()[0])?;
        let mut identity = Vec::with_capacity(self.columns.len());
        for expr in &self.columns {
            let term = rows.term(table.schema(), |terms, scope| typing::term(terms, scope, expr))?;
            identity.push(Root { term, origin: rows.origin(term, expr.origin()) });
        }
        Ok(Pipeline { identity, ..rows })
    }
}

/// The table of a saved `with_id_from`.
pub(super) fn load(call: &Call<'_>) -> Result<Table> {
    call.this()?.with_id_from(call.exprs("columns")?, &call.origin)
}
