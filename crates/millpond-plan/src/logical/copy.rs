//! The same table under another identity, so that it can be joined with itself.

use millpond_error::{Origin, Result};
use serde_json::Value;

use super::describe::Described;
use super::lower::Lowering;
use super::pipeline::Pipeline;
use super::saved::{Call, Saver};
use super::{Operation, Table};

#[derive(Debug)]
struct Copy;

impl Table {
    /// The same rows, as a table of its own: columns of the copy are told from those of this table.
    pub fn copy(&self, origin: &Origin) -> Table {
        self.row_by_row(Copy, self.schema().clone(), origin)
    }
}

impl Operation for Copy {
    /// A copy has the rows of its table, so descriptions pass over it.
    fn describe(&self, _: &Described<'_>) -> Option<Value> {
        None
    }

    fn asks_identity(&self, identified: bool) -> bool {
        identified
    }

    fn save(&self, _: &mut Saver) -> (&'static str, Value) {
        ("copy", Value::Null)
    }

    fn lower(&self, table: &Table, lowering: &mut Lowering) -> Result<Pipeline> {
        lowering.pipeline(&table.inputs()[0])
    }
}

/// The table of a saved `copy`.
pub(super) fn load(call: &Call<'_>) -> Result<Table> {
    Ok(call.this()?.copy(&call.origin))
}
