//! A row for each element of a column: the column becomes lists where it is none, in the map before, and one node takes
//! any list apart.

use std::collections::BTreeSet;

use millpond_error::{Origin, Result};
use serde_json::{Value, json};

use super::anchor::{Anchor, AnchorOperator};
use super::describe::Described;
use super::lower::Lowering;
use super::pipeline::Pipeline;
use super::saved::{Call, Saver};
use super::{Operation, Table, carry};
use crate::eval::Root;
use crate::expr::col;
use crate::terms::Op;
use crate::typing::nested;

/// A row for each element of a column, which becomes the element.
#[derive(Debug)]
struct Flatten {
    column: String,
}

impl Table {
    /// Each row once for each element of `column`, which becomes the element: of a list, a tuple of one type, a JSON
    /// array, or a text, whose elements are its characters. A row without elements, as that of a null, is left out.
    pub fn flatten(&self, column: &str, origin: &Origin) -> Result<Table> {
        let schema = nested::flattened(self.schema(), column).map_err(|error| error.at(origin))?;
        let operation = Flatten { column: column.to_owned() };
        Ok(Table::new(operation, vec![self.clone()], schema, None, self.append_only(), origin))
    }
}

impl Operation for Flatten {
    fn describe(&self, of: &Described<'_>) -> Option<Value> {
        Some(json!({ "operator": "flatten", "column": self.column, "input": of.inputs[0] }))
    }

    fn save(&self, _: &mut Saver) -> (&'static str, Value) {
        ("flatten", json!({ "column": self.column }))
    }

    fn lower(&self, table: &Table, lowering: &mut Lowering) -> Result<Pipeline> {
        lowering.pipeline_on(table, |lowering| {
            let input = &table.inputs()[0];
            let mut rows = lowering.pipeline(input)?;
            let column = input.schema().index_of(&self.column).expect("the name is checked");
            let known = rows.columns[column].1.clone();
            let (term, _) = nested::elements(&mut rows.terms, (&col(&self.column), known.term))?;
            let origin = if term == known.term { known.origin } else { Some(table.origin().clone()) };
            let root = Root { term, origin };
            lowering.tap_columns(table, "flatten", &rows, &[(self.column.clone(), root.clone())]);
            rows.columns[column].1 = root.clone();
            rows.retype(column);
            let cancels = lowering.cancels(&rows);
            let step = lowering.stateless_step(&rows, "flatten");
            lowering.errors.keep_sound(&mut rows, &carry::column(&self.column), [root]);
            let sound = rows.terms.add(Op::Sound(term), rows.terms.ty(term));
            rows.columns[column].1.term = sound;
            let operator = AnchorOperator::Flatten { column, cancels };
            let mut inputs = vec![rows];
            let (schema, results) = lowering.errors.carry_columns(&mut inputs, table.schema());
            let anchor = Anchor::new(operator, inputs, table, step);
            Ok(Anchor { used: BTreeSet::from([column]), schema, results, ..anchor })
        })
    }
}

/// The table of a saved `flatten`.
pub(super) fn load(call: &Call<'_>) -> Result<Table> {
    call.this()?.flatten(&call.value::<String>("column")?, &call.origin)
}
