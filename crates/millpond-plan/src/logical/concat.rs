//! All rows of several tables.

use millpond_columns::types::Schema;
use millpond_error::{Origin, Result};
use serde_json::{Value, json};

use super::anchor::{Anchor, AnchorOperator};
use super::describe::Described;
use super::lower::Lowering;
use super::pipeline::Pipeline;
use super::saved::{Call, Saver};
use super::select::json_or_none;
use super::{Operation, Table};
use crate::typing;

/// The tables have the columns of the first, in any order.
#[derive(Debug)]
struct Concat;

impl Table {
    /// All rows of this table and of `others`, which have the same columns in any order. A column is optional if it is
    /// so in one of them.
    pub fn concat(&self, others: &[Table], origin: &Origin) -> Result<Table> {
        let inputs: Vec<Table> = std::iter::once(self).chain(others).cloned().collect();
        let schemas: Vec<&Schema> = inputs.iter().map(Table::schema).collect();
        let schema = typing::same_columns("concat", &schemas).map_err(|error| error.at(origin))?;
        let inputs = json_or_none(inputs, &schema, origin)?;
        let append_only = inputs.iter().all(Table::append_only);
        Ok(Table::new(Concat, inputs, schema, None, append_only, origin))
    }
}

impl Operation for Concat {
    fn describe(&self, of: &Described<'_>) -> Option<Value> {
        Some(json!({ "operator": "concat", "inputs": of.inputs }))
    }

    fn save(&self, _: &mut Saver) -> (&'static str, Value) {
        ("concat", Value::Null)
    }

    fn lower(&self, table: &Table, lowering: &mut Lowering) -> Result<Pipeline> {
        lowering.pipeline_on(table, |lowering| {
            let names: Vec<&String> = table.schema().columns().iter().map(|column| &column.name).collect();
            let mut inputs = Vec::with_capacity(table.inputs().len());
            for input in table.inputs() {
                let mut rows = lowering.pipeline(input)?;
                let position =
                    |name: &&String| input.schema().index_of(name).expect("the tables have the same columns");
                let columns: Vec<usize> = names.iter().map(position).collect();
                rows.narrow(&columns);
                inputs.push(rows);
            }
            let cancels = inputs.iter().any(|rows| lowering.cancels(rows));
            let step = lowering.stateless_step(&inputs[0], "concat");
            let (schema, results) = lowering.errors.carry_columns(&mut inputs, table.schema());
            let anchor = Anchor::new(AnchorOperator::Concat { cancels }, inputs, table, step);
            Ok(Anchor { schema, results, ..anchor })
        })
    }
}

/// The table of a saved `concat`.
pub(super) fn load(call: &Call<'_>) -> Result<Table> {
    call.this()?.concat(call.others(), &call.origin)
}
