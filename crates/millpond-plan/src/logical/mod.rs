//! The logical plan: tables as a user writes them, each made from others, down to sources; and how they become the plan that
//! runs.
//!
//! A [`Table`] is a handle, cheap to clone. Every method checks names and types at once and gives an error with the
//! place in the user's program; nothing runs until [`lower`] makes a plan of it.
//!
//! Each operation is a file: the method of [`Table`] that checks it and gives its columns, and an `Operation`, which says
//! what a description holds of it and how it is lowered. `describe` and `lower` (with `pipeline`, `anchor` and `emission`) know no
//! operation.

mod anchor;
pub mod behavior;
pub mod combine;
mod concat;
mod describe;
mod emission;
mod filter;
mod flatten;
pub mod group;
mod identify;
mod keep;
mod lower;
mod pipeline;
mod reduce;
mod select;
pub mod session;
mod sink;
mod sliding;
mod source;
pub mod window;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use millpond_columns::types::Schema;
use millpond_error::{Origin, Result};
use serde_json::Value;

use crate::declare::SourceDecl;

use describe::Described;
use lower::Lowering;
use pipeline::Pipeline;

pub use keep::KeepSpec;
pub use lower::{lower, sources};
pub use sink::SinkDecl;

/// A table of the program; see the [module](self).
#[derive(Clone)]
pub struct Table(Arc<Node>);

struct Node {
    operation: Box<dyn Operation>,
    inputs: Vec<Table>,
    schema: Schema,
    identity: Option<Schema>,
    append_only: bool,
    origin: Origin,
}

/// How a table is made of others.
trait Operation: fmt::Debug + Send + Sync {
    /// What its description says: everything that the rows of its table depend on, with the numbers of its inputs. `None` if a
    /// description that asks for no identity passes over it.
    fn describe(&self, of: &Described<'_>) -> Option<Value>;

    /// Whether what identifies the rows of its inputs matters; `identified` says whether it matters of its own rows.
    fn asks_identity(&self, _identified: bool) -> bool {
        false
    }

    /// The external table that it reads.
    fn source(&self) -> Option<&Arc<SourceDecl>> {
        None
    }

    /// Its table over what the table stands on.
    fn lower(&self, table: &Table, lowering: &mut Lowering) -> Result<Pipeline>;
}

/// One table after another, since each would otherwise be freed on the stack of the one that is made of it.
impl Drop for Node {
    fn drop(&mut self) {
        let mut inputs = std::mem::take(&mut self.inputs);
        while let Some(input) = inputs.pop() {
            if let Some(mut node) = Arc::into_inner(input.0) {
                inputs.append(&mut node.inputs);
            }
        }
    }
}

impl Table {
    /// The columns, in order.
    pub fn schema(&self) -> &Schema {
        &self.0.schema
    }

    /// The names and types of what identifies a row, which need not be among the columns; `None` if nothing is known to. The keys of
    /// a reduce do (of a window: the instance and both bounds), and what [`Table::with_id_from`] says. Operations on single
    /// rows keep it.
    pub fn identity(&self) -> Option<&Schema> {
        self.0.identity.as_ref()
    }

    /// Whether rows are only ever added.
    pub fn append_only(&self) -> bool {
        self.0.append_only
    }

    /// The place in the program that made it.
    pub fn origin(&self) -> &Origin {
        &self.0.origin
    }

    /// The external tables that it stands on, each once.
    pub fn sources(&self) -> Vec<&Arc<SourceDecl>> {
        let mut sources: Vec<&Arc<SourceDecl>> = Vec::new();
        let (mut tables, mut seen) = (vec![self], HashSet::new());
        while let Some(table) = tables.pop() {
            if let Some(source) = table.operation().source()
                && !sources.iter().any(|known| Arc::ptr_eq(known, source))
            {
                sources.push(source);
            }
            let inputs = table.inputs().iter().rev();
            tables.extend(inputs.filter(|input| seen.insert(input.address())));
        }
        sources
    }

    /// Whether both are the same table: made by the same call, not just alike.
    pub fn same_as(&self, other: &Table) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// What tells it from other tables of the program.
    pub(crate) fn address(&self) -> *const () {
        Arc::as_ptr(&self.0).cast()
    }

    fn operation(&self) -> &dyn Operation {
        &*self.0.operation
    }

    /// The tables that it is made of.
    fn inputs(&self) -> &[Table] {
        &self.0.inputs
    }

    /// A table that has, for each row of this one, at most one row.
    fn row_by_row(&self, operation: impl Operation + 'static, schema: Schema, origin: &Origin) -> Table {
        let (inputs, identity) = (vec![self.clone()], self.0.identity.clone());
        Table::new(operation, inputs, schema, identity, self.append_only(), origin)
    }

    fn new(
        operation: impl Operation + 'static,
        inputs: Vec<Table>,
        schema: Schema,
        identity: Option<Schema>,
        append_only: bool,
        origin: &Origin,
    ) -> Table {
        let (operation, origin) = (Box::new(operation), origin.clone());
        Table(Arc::new(Node { operation, inputs, schema, identity, append_only, origin }))
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table({})", self.schema())
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests;
