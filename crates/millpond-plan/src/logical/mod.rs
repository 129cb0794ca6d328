//! The logical plan: tables as a user writes them, each made from others, down to sources; and how they become the plan
//! that runs.
//!
//! A [`Table`] is a handle, cheap to clone. Every method checks names and types at once and gives an error with the
//! place in the user's program; nothing runs until [`lower`] makes a plan of it.
//!
//! Each operation is a file: the method of [`Table`] that checks it and gives its columns, and an `Operation`, which
//! says what a description holds of it, how it is saved and how it is lowered. `describe`, `saved` and `lower` (with
//! `pipeline`, `anchor` and `emission`) know no operation; one line of this file names what makes its saved call again.

mod anchor;
pub mod behavior;
mod carry;
pub mod combine;
mod concat;
mod copy;
mod describe;
mod emission;
mod filter;
mod flatten;
pub mod group;
mod identify;
pub mod join;
mod keep;
mod log;
mod lower;
mod mark_errors;
mod pipeline;
mod reduce;
mod saved;
mod select;
pub mod session;
mod sink;
mod sliding;
mod source;
pub mod window;

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, OnceLock};

use millpond_columns::dialect::{hint, quoted};
use millpond_columns::types::Schema;
use millpond_error::{Error, Origin, Result};
use serde_json::Value;

use crate::declare::SourceDecl;
use crate::expr::{ColumnRef, Expr, TableId, TableRef};
use crate::notation::spoken;

use describe::Described;
use lower::Lowering;
use pipeline::Pipeline;
use saved::{Call, Saver};

pub use carry::OnError;
pub use keep::KeepSpec;
pub use lower::{lower, sources};
#[cfg(test)]
pub(crate) use saved::made_again;
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
    id: TableId,
    /// Tables with these very columns, of which this one holds a part of the rows.
    part_of: Vec<TableId>,
    /// What the program calls its state.
    name: OnceLock<String>,
}

/// How a table is made of others.
trait Operation: fmt::Debug + Send + Sync {
    /// What its description says: everything that the rows of its table depend on, with the numbers of its inputs.
    /// `None` if a description that asks for no identity passes over it.
    fn describe(&self, of: &Described<'_>) -> Option<Value>;

    /// Whether what identifies the rows of its inputs matters; `identified` says whether it matters of its own rows.
    fn asks_identity(&self, _identified: bool) -> bool {
        false
    }

    /// Whether something is kept for its table, which may then have a name.
    fn keeps_state(&self) -> bool {
        false
    }

    /// Whether it tells of the errors of the program.
    fn is_error_log(&self) -> bool {
        false
    }

    /// The external table that it reads.
    fn source(&self) -> Option<&Arc<SourceDecl>> {
        None
    }

    /// The call that makes its table: the name of its loader, and the arguments.
    fn save(&self, saver: &mut Saver) -> (&'static str, Value);

    /// Its table over what the table stands on.
    fn lower(&self, table: &Table, lowering: &mut Lowering) -> Result<Pipeline>;
}

/// What makes the tables of saved calls, by the operation that a plan names.
fn loader(operation: &str) -> Option<fn(&Call<'_>) -> Result<Table>> {
    Some(match operation {
        "combine" => combine::load,
        "concat" => concat::load,
        "copy" => copy::load,
        "error_log" => log::load,
        "filter" => filter::load,
        "flatten" => flatten::load,
        "join" => join::load,
        "mark_errors" => mark_errors::load,
        "reduce" => group::load,
        "remove_errors" => filter::load_remove_errors,
        "rename" => select::load_rename,
        "select" => select::load,
        "session" => session::load,
        "source" => source::load,
        "window" => sliding::load,
        "with_columns" => select::load_with_columns,
        "with_id_from" => identify::load,
        "without" => select::load_without,
        _ => return None,
    })
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

    /// The names and types of what identifies a row, which need not be among the columns; `None` if nothing is known
    /// to. The keys of a reduce do (of a window: the instance and both bounds), and what [`Table::with_id_from`] says.
    /// Operations on single rows keep it.
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

    /// Names what is kept for this table: by this name its state is found, wherever in the program the table is made.
    ///
    /// # Errors
    ///
    /// `Invalid` if nothing is kept for it, or it has another name.
    pub fn named(&self, name: &str, origin: &Origin) -> Result<Table> {
        if name.is_empty() {
            return Err(Error::invalid("the name of a table is empty").at(origin));
        }
        if self.operation().source().is_some() {
            let error = Error::invalid("the table of a source is named where it is read");
            return Err(error.with_hint(hint(".name(\"...\")", "name=\"...\"")).at(origin));
        }
        if !self.operation().keeps_state() {
            let error = Error::invalid("nothing is kept for this table, so there is no state to name");
            let hint = "the table of a reduce, of windows, of a join or of tables combined by identity can be named";
            return Err(error.with_hint(hint).at(origin));
        }
        let known = self.0.name.get_or_init(|| name.to_owned());
        if known != name {
            let error = format!("the table is named {} already, and not {}", quoted(known), quoted(name));
            return Err(Error::invalid(error).at(origin));
        }
        Ok(self.clone())
    }

    /// What the program calls its state.
    fn name(&self) -> Option<&str> {
        self.0.name.get().map(String::as_str)
    }

    /// The external tables that it stands on, each once.
    pub fn sources(&self) -> Vec<&Arc<SourceDecl>> {
        let mut sources: Vec<&Arc<SourceDecl>> = Vec::new();
        for source in self.with_all_before().into_iter().filter_map(|table| table.operation().source()) {
            if !sources.iter().any(|known| Arc::ptr_eq(known, source)) {
                sources.push(source);
            }
        }
        sources
    }

    /// This table and all that it is made of, each once, in the order in which a program reads them.
    fn with_all_before(&self) -> Vec<&Table> {
        let (mut waiting, mut seen, mut tables) = (vec![self], HashSet::new(), Vec::new());
        while let Some(table) = waiting.pop() {
            tables.push(table);
            let inputs = table.inputs().iter().rev();
            waiting.extend(inputs.filter(|input| seen.insert(input.address())));
        }
        tables
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

    /// What tells it from other tables of the program.
    pub fn id(&self) -> &TableId {
        &self.0.id
    }

    /// Checks that all columns of an expression that name a table name this one, or one that this one holds a part of.
    ///
    /// # Errors
    ///
    /// `Invalid` if one does not.
    pub fn check_columns(&self, expr: &Expr, origin: &Origin) -> Result<()> {
        self.bind(expr).map(drop).map_err(|error| error.at(origin))
    }

    /// Whether an expression over this table may name this other one: it is the same, or one that this one holds a part
    /// of.
    fn admits(&self, id: &TableId) -> bool {
        self.0.id == *id || self.0.part_of.contains(id)
    }

    /// The expression over the columns of this table, whichever way it names them.
    fn bind(&self, expr: &Expr) -> Result<Expr> {
        expr.map_columns(&|column| match &column.table {
            TableRef::This => Ok(column.clone()),
            TableRef::Of(id) if self.admits(id) => Ok(ColumnRef { table: TableRef::This, name: column.name.clone() }),
            TableRef::Of(id) => {
                let (other, this) = (id.describe(), self.0.id.describe());
                let error = Error::invalid(format!("a column of {other} is used with {this}"));
                let code = hint("col(\"<column>\")", "pw.this.<column>");
                Err(error.with_hint(format!(
                    "columns come from the table whose method is called, {code}; to put those of two tables side by \
                     side, join them"
                )))
            }
            TableRef::Left | TableRef::Right => {
                let column = spoken(&Expr::column(column.table.clone(), &column.name));
                let error = Error::invalid(format!("{column} is used outside of a join"));
                let code = hint("col(\"<column>\")", "pw.this.<column>");
                Err(error.with_hint(format!("a column of the table at hand is {code}")))
            }
        })
    }

    /// The same for named expressions.
    fn bind_all(&self, columns: Vec<(String, Expr)>) -> Result<Vec<(String, Expr)>> {
        columns.into_iter().map(|(name, expr)| Ok((name, self.bind(&expr)?))).collect()
    }

    /// The same table, said to hold a part of the rows of `whole`, with the same columns.
    fn into_part_of(mut self, whole: &Table) -> Table {
        if let Some(node) = Arc::get_mut(&mut self.0) {
            node.part_of = std::iter::once(&whole.0.id).chain(&whole.0.part_of).cloned().collect();
        }
        self
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
        let id = TableId::new(schema.clone(), origin.clone());
        let (part_of, name) = (Vec::new(), OnceLock::new());
        Table(Arc::new(Node { operation, inputs, schema, identity, append_only, origin, id, part_of, name }))
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
