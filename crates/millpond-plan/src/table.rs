//! The logical plan: tables as a user writes them, each made from others, down to sources.
//!
//! A [`Table`] is a handle, cheap to clone. Every method checks names and types at once and gives an error with the
//! place in the user's program; nothing runs until [`lower`](crate::lower()) makes a plan of it.

use std::any::Any;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use millpond_columns::types::{Schema, Type};
use millpond_error::{Origin, Result};

use crate::behavior::Behavior;
use crate::combine::{self, Combination};
use crate::diagnostics;
use crate::expr::{Expr, col, if_else};
use crate::literal::Literal;
use crate::reduce::{self, Grouping};
use crate::session::{SessionGap, SessionWindow};
use crate::terms::Terms;
use crate::typing::{self, nested};
use crate::window::SlidingWindow;

/// A table of the program; see the [module](self).
#[derive(Clone)]
pub struct Table(Arc<Node>);

struct Node {
    operation: Operation,
    schema: Schema,
    identity: Option<Schema>,
    append_only: bool,
    origin: Origin,
}

/// One table after another, since each would otherwise be freed on the stack of the one that is made of it.
impl Drop for Node {
    fn drop(&mut self) {
        let mut inputs = self.operation.take_inputs();
        while let Some(input) = inputs.pop() {
            if let Some(mut node) = Arc::into_inner(input.0) {
                inputs.append(&mut node.operation.take_inputs());
            }
        }
    }
}

impl Operation {
    /// The tables that it is made of.
    pub(crate) fn inputs(&self) -> &[Table] {
        match self {
            Operation::Source(_) => &[],
            Operation::Concat { inputs } | Operation::Combine { inputs, .. } => inputs,
            Operation::Select { input, .. }
            | Operation::Filter { input, .. }
            | Operation::Identify { input, .. }
            | Operation::Flatten { input, .. }
            | Operation::Group { input, .. }
            | Operation::Session { input, .. }
            | Operation::Sliding { input, .. } => std::slice::from_ref(input),
        }
    }

    /// Leaves none of them.
    fn take_inputs(&mut self) -> Vec<Table> {
        // They stay alive in the copies, so that none is freed with what is replaced here.
        let inputs = self.inputs().to_vec();
        *self = Operation::Concat { inputs: Vec::new() };
        inputs
    }
}

/// How a table is made.
#[derive(Debug)]
pub(crate) enum Operation {
    Source(Arc<SourceDecl>),
    /// `keeps_others`: the input's other columns stay, as in `with_columns`.
    Select {
        input: Table,
        columns: Vec<(String, Expr)>,
        keeps_others: bool,
    },
    Filter {
        input: Table,
        predicate: Expr,
    },
    Group {
        input: Table,
        keys: Vec<(String, Expr)>,
        outputs: Vec<(String, Expr)>,
    },
    Session {
        input: Table,
        time: Expr,
        gap: SessionGap,
        instance: Option<Expr>,
        behavior: Option<Behavior>,
        outputs: Vec<(String, Expr)>,
    },
    /// All rows of all tables, which have the columns of the first, in any order.
    Concat {
        inputs: Vec<Table>,
    },
    Sliding {
        input: Table,
        window: SlidingWindow,
        outputs: Vec<(String, Expr)>,
    },
    /// A row for each element of a column, which becomes the element.
    Flatten {
        input: Table,
        column: String,
    },
    /// The same rows, told apart by these values.
    Identify {
        input: Table,
        columns: Vec<Expr>,
    },
    /// Rows of one identity become one.
    Combine {
        inputs: Vec<Table>,
        combination: Combination,
    },
}

/// An external table that the program reads.
#[derive(Clone, Debug)]
pub struct SourceDecl {
    /// The user's name for it.
    pub name: Option<String>,
    /// The kind of connector, such as `csv`.
    pub kind: &'static str,
    /// Its columns, as declared.
    pub schema: Schema,
    /// Whether it never removes a row.
    pub append_only: bool,
    /// Settings that the meaning of its rows depends on. They are part of the description of every step after it. One that
    /// is an object says something of each column, and counts for those that are read.
    pub description: serde_json::Value,
    /// The place in the program.
    pub origin: Origin,
    /// What reads it; opaque to the plan.
    pub connector: Arc<dyn Any + Send + Sync>,
}

/// A place where a table goes.
#[derive(Clone, Debug)]
pub struct SinkDecl {
    /// What is written.
    pub table: Table,
    /// The user's name for it.
    pub name: Option<String>,
    /// The kind of connector, such as `csv`.
    pub kind: &'static str,
    /// Settings that must stay as they are, so that what it got in earlier runs and what it gets later are one history. In a
    /// plan that was lowered, the whole description of what it gets.
    pub description: serde_json::Value,
    /// Whether it writes the present table, which must then be kept.
    pub keeps_table: bool,
    /// The place in the program.
    pub origin: Origin,
    /// What writes it; opaque to the plan.
    pub connector: Arc<dyn Any + Send + Sync>,
}

impl Table {
    /// The rows of an external source.
    pub fn source(source: SourceDecl) -> Result<Table> {
        let names = source.schema.columns().iter().map(|column| column.name.as_str());
        diagnostics::unique("a schema", names).map_err(|error| error.at(&source.origin))?;
        let (schema, append_only, origin) = (source.schema.clone(), source.append_only, source.origin.clone());
        Ok(Table::new(Operation::Source(Arc::new(source)), schema, None, append_only, &origin))
    }

    /// These columns and no others.
    pub fn select(&self, columns: Vec<(String, Expr)>, origin: &Origin) -> Result<Table> {
        let schema = typing::select(self.schema(), &columns).map_err(|error| error.at(origin))?;
        let operation = Operation::Select { input: self.clone(), columns, keeps_others: false };
        Ok(self.row_by_row(operation, schema, origin))
    }

    /// All columns of this table; those named in `columns` are replaced in their place, or added at the end.
    pub fn with_columns(&self, columns: Vec<(String, Expr)>, origin: &Origin) -> Result<Table> {
        let names = columns.iter().map(|(name, _)| name.as_str());
        diagnostics::unique("with_columns", names).map_err(|error| error.at(origin))?;
        let all = all_columns(self.schema(), &columns);
        let schema = typing::select(self.schema(), &all).map_err(|error| error.at(origin))?;
        let operation = Operation::Select { input: self.clone(), columns, keeps_others: true };
        Ok(self.row_by_row(operation, schema, origin))
    }

    /// All columns but these.
    pub fn without(&self, names: &[String], origin: &Origin) -> Result<Table> {
        diagnostics::known("without", self.schema(), names).map_err(|error| error.at(origin))?;
        let kept = self.schema().columns().iter().filter(|column| !names.contains(&column.name));
        self.select(kept.map(|column| (column.name.clone(), col(&column.name))).collect(), origin)
    }

    /// The same columns in the same places; each pair is the name of a column and the name that it gets.
    pub fn rename(&self, names: &[(String, String)], origin: &Origin) -> Result<Table> {
        let old: Vec<String> = names.iter().map(|(old, _)| old.clone()).collect();
        diagnostics::known("rename", self.schema(), &old).map_err(|error| error.at(origin))?;
        let renamed = |name: &String| {
            let new = names.iter().find(|(old, _)| old == name);
            new.map_or_else(|| name.clone(), |(_, new)| new.clone())
        };
        let columns = self.schema().columns().iter();
        let columns: Vec<_> = columns.map(|column| (renamed(&column.name), col(&column.name))).collect();
        diagnostics::unique("rename", columns.iter().map(|(name, _)| name.as_str()))
            .map_err(|error| error.at(origin))?;
        self.select(columns, origin)
    }

    /// The same columns, these cast to other types as [`Expr::cast`] does it.
    pub fn cast_to_types(&self, types: &[(String, Type)], origin: &Origin) -> Result<Table> {
        let names: Vec<String> = types.iter().map(|(name, _)| name.clone()).collect();
        diagnostics::known("cast_to_types", self.schema(), &names).map_err(|error| error.at(origin))?;
        let casts = types.iter().map(|(name, ty)| (name.clone(), col(name).cast(*ty).at(origin.clone())));
        self.with_columns(casts.collect(), origin)
    }

    /// All rows of this table and of `others`, which have the same columns in any order. A column is optional if it is so
    /// in one of them.
    pub fn concat(&self, others: &[Table], origin: &Origin) -> Result<Table> {
        let inputs: Vec<Table> = std::iter::once(self).chain(others).cloned().collect();
        let schemas: Vec<&Schema> = inputs.iter().map(Table::schema).collect();
        let schema = typing::same_columns("concat", &schemas).map_err(|error| error.at(origin))?;
        let inputs = json_or_none(inputs, &schema, origin)?;
        let append_only = inputs.iter().all(Table::append_only);
        Ok(Table::new(Operation::Concat { inputs }, schema, None, append_only, origin))
    }

    /// Each row once for each element of `column`, which becomes the element: of a list, a tuple of one type, a JSON array, or a
    /// text, whose elements are its characters. A row without elements, as that of a null, is left out.
    pub fn flatten(&self, column: &str, origin: &Origin) -> Result<Table> {
        let schema = nested::flattened(self.schema(), column).map_err(|error| error.at(origin))?;
        let operation = Operation::Flatten { input: self.clone(), column: column.to_owned() };
        Ok(Table::new(operation, schema, None, self.append_only(), origin))
    }

    /// The rows for which `predicate` is true; a row for which it is null is dropped.
    pub fn filter(&self, predicate: Expr, origin: &Origin) -> Result<Table> {
        typing::filter(self.schema(), &predicate).map_err(|error| error.at(origin))?;
        let schema = self.schema().clone();
        let operation = Operation::Filter { input: self.clone(), predicate };
        Ok(self.row_by_row(operation, schema, origin))
    }

    /// The same rows, of which no two have the same values of `columns`: from here on, these identify a row.
    pub fn with_id_from(&self, columns: Vec<Expr>, origin: &Origin) -> Result<Table> {
        let identity = combine::identity(self.schema(), &columns).map_err(|error| error.at(origin))?;
        let (schema, append_only) = (self.schema().clone(), self.append_only());
        let operation = Operation::Identify { input: self.clone(), columns };
        Ok(Table::new(operation, schema, Some(identity), append_only, origin))
    }

    /// The rows of this table whose identity `other` has not.
    pub fn difference(&self, other: &Table, origin: &Origin) -> Result<Table> {
        self.combine(std::slice::from_ref(other), Combination::Difference, origin)
    }

    /// The rows of this table whose identity all of `others` have.
    pub fn intersect(&self, others: &[Table], origin: &Origin) -> Result<Table> {
        self.combine(others, Combination::Intersect, origin)
    }

    /// The rows of `other`, and those of this table whose identity it has not. Both have the same columns, in any order.
    pub fn update_rows(&self, other: &Table, origin: &Origin) -> Result<Table> {
        self.combine(std::slice::from_ref(other), Combination::UpdateRows, origin)
    }

    /// The rows of this table, with the cells of `other` where that has the identity. All columns of `other` are columns
    /// of this table.
    pub fn update_cells(&self, other: &Table, origin: &Origin) -> Result<Table> {
        self.combine(std::slice::from_ref(other), Combination::UpdateCells, origin)
    }

    fn combine(&self, others: &[Table], combination: Combination, origin: &Origin) -> Result<Table> {
        let inputs: Vec<Table> = std::iter::once(self).chain(others).cloned().collect();
        let described: Vec<_> = inputs
            .iter()
            .map(|table| combine::Input { schema: table.schema(), identity: table.identity(), origin: table.origin() })
            .collect();
        let combine::Checked { schema, identity } =
            combine::check(combination, &described).map_err(|error| error.at(origin))?;
        let inputs = json_or_none(inputs, &schema, origin)?;
        let append_only = combination == Combination::Intersect && inputs.iter().all(Table::append_only);
        Ok(Table::new(Operation::Combine { inputs, combination }, schema, Some(identity), append_only, origin))
    }

    /// One row for each distinct value of the keys; without keys, one row as long as the table has a row. In `outputs`, a key is used plainly, by its name or its
    /// expression; every other column of this table stands in a reducer.
    pub fn group_reduce(
        &self,
        keys: Vec<(String, Expr)>,
        outputs: Vec<(String, Expr)>,
        origin: &Origin,
    ) -> Result<Table> {
        let (schema, identity) = self.reduced(&Grouping::Keys(&keys), &outputs).map_err(|error| error.at(origin))?;
        let operation = Operation::Group { input: self.clone(), keys, outputs };
        Ok(Table::new(operation, schema, Some(identity), false, origin))
    }

    /// One row for each session. In `outputs`, the instance expression, [`INSTANCE`](crate::INSTANCE), [`WINDOW_START`](crate::WINDOW_START) and
    /// [`WINDOW_END`](crate::WINDOW_END) are used plainly; every column of this table stands in a reducer.
    pub fn session_reduce(
        &self,
        window: SessionWindow,
        outputs: Vec<(String, Expr)>,
        origin: &Origin,
    ) -> Result<Table> {
        let SessionWindow { time, gap, instance, behavior } = window;
        let behavior = behavior.filter(|behavior| !behavior.is_plain());
        let (instance_of, behaves) = (instance.as_ref(), behavior.as_ref());
        let grouping = Grouping::Session { time: &time, gap: &gap, instance: instance_of, behavior: behaves };
        let (schema, identity) = self.reduced(&grouping, &outputs).map_err(|error| error.at(origin))?;
        let append_only = behaves.is_some_and(Behavior::is_append_only);
        let operation = Operation::Session { input: self.clone(), time, gap, instance, behavior, outputs };
        Ok(Table::new(operation, schema, Some(identity), append_only, origin))
    }

    /// One row for each window that holds a row. In `outputs`, the instance expression, [`INSTANCE`](crate::INSTANCE), [`WINDOW_START`](crate::WINDOW_START) and
    /// [`WINDOW_END`](crate::WINDOW_END) are used plainly; every column of this table stands in a reducer.
    pub fn sliding_reduce(
        &self,
        mut window: SlidingWindow,
        outputs: Vec<(String, Expr)>,
        origin: &Origin,
    ) -> Result<Table> {
        window.behavior = window.behavior.filter(|behavior| !behavior.is_plain());
        let (schema, identity) =
            self.reduced(&Grouping::Sliding(&window), &outputs).map_err(|error| error.at(origin))?;
        let append_only = window.behavior.as_ref().is_some_and(Behavior::is_append_only);
        let operation = Operation::Sliding { input: self.clone(), window, outputs };
        Ok(Table::new(operation, schema, Some(identity), append_only, origin))
    }

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
            if let Operation::Source(source) = table.operation()
                && !sources.iter().any(|known| Arc::ptr_eq(known, source))
            {
                sources.push(source);
            }
            let inputs = table.operation().inputs().iter().rev();
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

    /// The columns of a reduce, and what identifies its rows.
    fn reduced(&self, grouping: &Grouping<'_>, outputs: &[(String, Expr)]) -> Result<(Schema, Schema)> {
        let mut rows = Terms::default();
        let columns = typing::input_terms(&mut rows, self.schema());
        let reduction = reduce::reduction(&mut rows, self.schema(), &columns, grouping, outputs)?;
        let ty = |term| reduction.results.ty(term).column().expect("keys and bounds have types");
        let identity = Schema::new(reduction.identity.iter().map(|(name, term)| (name.as_str(), ty(*term))));
        Ok((reduction.schema, identity))
    }

    pub(crate) fn operation(&self) -> &Operation {
        &self.0.operation
    }

    /// A table that has, for each row of this one, at most one row.
    fn row_by_row(&self, operation: Operation, schema: Schema, origin: &Origin) -> Table {
        Table::new(operation, schema, self.0.identity.clone(), self.append_only(), origin)
    }

    fn new(
        operation: Operation,
        schema: Schema,
        identity: Option<Schema>,
        append_only: bool,
        origin: &Origin,
    ) -> Table {
        Table(Arc::new(Node { operation, schema, identity, append_only, origin: origin.clone() }))
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

/// The tables that become one of this schema, with JSON's null as none in columns that hold nulls there.
fn json_or_none(inputs: Vec<Table>, schema: &Schema, origin: &Origin) -> Result<Vec<Table>> {
    let optional = |name: &str| schema.index_of(name).is_some_and(|at| schema.columns()[at].ty.optional);
    let with_none = |table: Table| {
        let columns = table.schema().columns().iter();
        let json = columns.filter(|column| column.ty == Type::Json.required() && optional(&column.name));
        // A branch that may be none makes the value optional.
        let columns: Vec<_> =
            json.map(|column| (column.name.clone(), if_else(true, col(&column.name), Literal::None))).collect();
        if columns.is_empty() { Ok(table) } else { table.with_columns(columns, origin) }
    };
    inputs.into_iter().map(with_none).collect()
}

/// What `with_columns` selects: the columns of `schema`, with those of `columns` in their place or at the end.
pub(crate) fn all_columns(schema: &Schema, columns: &[(String, Expr)]) -> Vec<(String, Expr)> {
    let kept = schema.columns().iter().map(|kept| {
        let new = columns.iter().find(|(name, _)| *name == kept.name);
        new.cloned().unwrap_or_else(|| (kept.name.clone(), col(&kept.name)))
    });
    let added = columns.iter().filter(|(name, _)| schema.index_of(name).is_none()).cloned();
    kept.chain(added).collect()
}
