//! Columns that say which cells are errors, for tables that are shown.

use millpond_columns::types::{ColumnType, Schema, Type};
use millpond_error::{Origin, Result};
use serde_json::{Value, json};

use super::describe::Described;
use super::lower::Lowering;
use super::pipeline::Pipeline;
use super::saved::{Call, Saver};
use super::{Operation, Table};
use crate::eval::Root;
use crate::terms::{Op, TermType};

#[derive(Debug)]
struct MarkErrors;

impl Table {
    /// The same rows; behind the columns, for each one, a column of bools that says whether its cell is an error value.
    pub fn mark_errors(&self, origin: &Origin) -> Table {
        let mut columns: Vec<(String, ColumnType)> =
            self.schema().columns().iter().map(|column| (column.name.clone(), column.ty)).collect();
        for column in self.schema().columns() {
            let mut name = format!("is_error({})", column.name);
            while columns.iter().any(|(known, _)| *known == name) {
                name = format!("is_error({name})");
            }
            columns.push((name, Type::Bool.required()));
        }
        self.row_by_row(MarkErrors, Schema::new(columns), origin)
    }
}

impl Operation for MarkErrors {
    fn describe(&self, of: &Described<'_>) -> Option<Value> {
        Some(json!({ "operator": "mark_errors", "input": of.inputs[0] }))
    }

    fn asks_identity(&self, identified: bool) -> bool {
        identified
    }

    fn save(&self, _: &mut Saver) -> (&'static str, Value) {
        ("mark_errors", Value::Null)
    }

    fn lower(&self, table: &Table, lowering: &mut Lowering) -> Result<Pipeline> {
        let mut rows = lowering.pipeline(&table.inputs()[0])?;
        let terms = rows.column_terms();
        let names = table.schema().columns().iter().skip(terms.len()).map(|column| column.name.clone());
        for (name, term) in names.zip(terms) {
            let term = rows.terms.add(Op::IsError(term), TermType::new(Type::Bool, false));
            rows.columns.push((name, Root { term, origin: None }));
        }
        Ok(Pipeline { schema: table.schema().clone(), ..rows })
    }
}

/// The table of a saved `mark_errors`.
pub(super) fn load(call: &Call<'_>) -> Result<Table> {
    Ok(call.this()?.mark_errors(&call.origin))
}
