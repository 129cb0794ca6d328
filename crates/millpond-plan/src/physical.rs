//! The physical plan: what the engine runs. Columns are positions, expressions are typed and fused, stateful
//! operators have names and fingerprints.
//!
//! A plan is a list of nodes in topological order: the inputs of a node stand before it.

use std::fmt;
use std::sync::Arc;

use millpond_columns::types::Schema;
use millpond_error::Origin;
use serde::{Deserialize, Serialize};

use crate::behavior::Lifecycle;
use crate::combine::Combination;
use crate::eval::MapStage;
use crate::functions::ReducerKind;
use crate::notation::{ATOM, Speller};
use crate::session::Gap;
use crate::table::{SinkDecl, SourceDecl};
use crate::window::WindowSpans;

/// The position of a node in [`PhysicalPlan::nodes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub usize);

/// A whole program, ready to run.
#[derive(Clone, Debug, Default)]
pub struct PhysicalPlan {
    /// Nodes in topological order.
    pub nodes: Vec<Node>,
    /// The sources, by the index that [`OperatorSpec::Source`] names.
    pub sources: Vec<Arc<SourceDecl>>,
    /// The sinks, by the index that [`OperatorSpec::Sink`] names.
    pub sinks: Vec<SinkDecl>,
}

/// One operator with its place in the plan.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it does.
    pub operator: OperatorSpec,
    /// Columns of its output, in order.
    pub schema: Schema,
    /// Whether its output never holds a removal, in any epoch.
    pub append_only: bool,
    /// Name and fingerprint of what this node keeps in the state; `None` for a stateless node.
    pub step: Option<Step>,
}

/// What a node does. All but a union have at most one input.
#[derive(Clone, Debug)]
pub enum OperatorSpec {
    /// Emits the rows of an external source. `columns` are the columns that the plan uses, as positions in the source's schema: the source reads
    /// no others, and the node's schema holds just these, in this order.
    Source {
        /// Position in [`PhysicalPlan::sources`].
        index: usize,
        /// Positions in the source's schema, ascending.
        columns: Vec<usize>,
    },
    /// Stateless: filters and computes columns, batch by batch.
    Map {
        /// Where its rows come from.
        input: NodeId,
        /// What it does to a batch.
        stage: Arc<MapStage>,
        /// How rows of its output that cancel are brought together.
        consolidate: Consolidate,
    },
    /// Stateless: the rows of all inputs, which have one schema, but for nulls that some of them never hold.
    Union {
        /// Where its rows come from.
        inputs: Vec<NodeId>,
        /// Whether rows of different inputs that cancel are brought together, by the hash of the whole row; or never.
        consolidate: Consolidate,
    },
    /// Stateless: repeats each row for every int from that of column `first` to that of the next column, which this int
    /// then takes the place of; a row whose first int is above the second is dropped.
    Expand {
        /// Where its rows come from.
        input: NodeId,
        /// The position of the first of the two columns, both required `int`s.
        first: usize,
    },
    /// Stateless: repeats each row for every element of a column of lists, which becomes the element; a row without elements
    /// is dropped.
    Flatten {
        /// Where its rows come from.
        input: NodeId,
        /// The position of the column.
        column: usize,
        /// Whether rows that cancel are brought together, by the hash of the whole row; or never.
        consolidate: Consolidate,
    },
    /// Groups rows by key; one output row for each group: the key columns, then one column for each reducer.
    Reduce {
        /// Where its rows come from.
        input: NodeId,
        /// Keys and reducers.
        spec: ReduceSpec,
    },
    /// Groups rows of an instance into sessions; one output row for each: the instance columns, `_pw_window_start`,
    /// `_pw_window_end`, then one column for each reducer.
    Session {
        /// Where its rows come from.
        input: NodeId,
        /// Instance, time, gap and reducers.
        spec: SessionSpec,
    },
    /// A `Reduce` or `Session` whose groups are windows that are shown late, or that end, as the [`behavior`](crate::behavior)
    /// of the program says. Its output has the same columns.
    Windowed {
        /// Where its rows come from.
        input: NodeId,
        /// What it computes.
        windows: WindowSpec,
        /// The node whose rows tell the watermark.
        clock: NodeId,
        /// The column of times there: a required `int`, `float` or point in time.
        time: usize,
        /// When windows are shown and over.
        lifecycle: Lifecycle,
    },
    /// Combines the rows of several tables that have one identity into at most one row; its output: the identity columns, then
    /// the others.
    Combine {
        /// Where its rows come from: those of all tables.
        input: NodeId,
        /// Identity, columns and what becomes of them.
        spec: CombineSpec,
    },
    /// Keeps the present table (every row with its multiplicity) for a sink that writes it whole, and passes the changes
    /// on, consolidated. The key is the whole row.
    Keep {
        /// Where its rows come from.
        input: NodeId,
    },
    /// Hands rows to an external sink.
    Sink {
        /// Where its rows come from.
        input: NodeId,
        /// Position in [`PhysicalPlan::sinks`].
        index: usize,
    },
}

impl OperatorSpec {
    /// The nodes whose rows it takes; first the one whose schema its columns are of.
    pub fn inputs(&self) -> Vec<NodeId> {
        match self {
            OperatorSpec::Source { .. } => Vec::new(),
            OperatorSpec::Union { inputs, .. } => inputs.clone(),
            OperatorSpec::Windowed { input, clock, .. } => vec![*input, *clock],
            OperatorSpec::Map { input, .. }
            | OperatorSpec::Expand { input, .. }
            | OperatorSpec::Flatten { input, .. }
            | OperatorSpec::Reduce { input, .. }
            | OperatorSpec::Session { input, .. }
            | OperatorSpec::Combine { input, .. }
            | OperatorSpec::Keep { input }
            | OperatorSpec::Sink { input, .. } => vec![*input],
        }
    }
}

/// Whether a map must cancel equal rows of opposite sign in its output, and how far they may be apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consolidate {
    /// Nothing can cancel that had not before: the input is a source, or append-only, or every column is kept.
    No,
    /// Rows that cancel are in one batch: the output keeps every key column of the keyed operator before it, and a
    /// keyed operator emits all changes of a key in one batch.
    InBatch,
    /// Rows that cancel may be anywhere: they are brought together by the hash of the whole row.
    ByRow,
}

/// Which of its two forms a stateful operator takes, derived from whether its input is append-only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// The input never removes: state holds accumulators only.
    AppendOnly,
    /// The input may remove: state also holds what is needed to take back a row.
    Full,
}

/// The parameters of a `Reduce` node. All positions are columns of the node's input.
#[derive(Clone, Debug)]
pub struct ReduceSpec {
    /// Columns that make up the key.
    pub key: Vec<usize>,
    /// The reducers, in the order of their output columns.
    pub reducers: Vec<ReducerCall>,
    /// The form.
    pub form: Form,
}

/// The parameters of a `Session` node. All positions are columns of the node's input.
#[derive(Clone, Debug)]
pub struct SessionSpec {
    /// Columns that make up the instance (the key); may be empty.
    pub instance: Vec<usize>,
    /// The column of event times: a required `int` or point in time; an `int` where times are floats, the
    /// [instant](crate::instant) of each.
    pub time: usize,
    /// Whether times are floats.
    pub floats: bool,
    /// What neighbours in a session fulfil.
    pub gap: Gap,
    /// The reducers, in the order of their output columns.
    pub reducers: Vec<ReducerCall>,
    /// The form.
    pub form: Form,
}

/// The windows of a `Windowed` node.
#[derive(Clone, Debug)]
pub enum WindowSpec {
    /// Groups whose last key is the number of a window.
    Numbered {
        /// The reduce.
        spec: ReduceSpec,
        /// Start and end by number.
        spans: Arc<WindowSpans>,
    },
    /// Sessions.
    Session(SessionSpec),
}

/// The parameters of a `Combine` node. All positions are columns of the node's input, unless said otherwise.
#[derive(Clone, Debug)]
pub struct CombineSpec {
    /// Which rows it gives.
    pub combination: Combination,
    /// Columns of the identity: the key.
    pub key: Vec<usize>,
    /// The column that says which table a row is of, from 0: a required `int`.
    pub table: usize,
    /// The number of tables.
    pub tables: usize,
    /// The other columns. They are null in a table of which only the identities matter.
    pub row: Vec<usize>,
    /// Positions in `row`, ascending, of what the second table says where it has the row.
    pub updated: Vec<usize>,
    /// The place in the program, for errors in the data.
    pub origin: Origin,
}

/// A reducer over columns.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ReducerCall {
    /// Which reducer.
    pub kind: ReducerKind,
    /// The columns that it reads: as many as it has arguments.
    pub columns: Vec<usize>,
}

/// Where a stateful node's state is found, and what it must match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The user's name for it, or its path in the plan as written, with an ordinal for twins.
    pub name: String,
    /// Everything the state depends on, as canonical JSON: a list of operators with parameters and expressions, each after
    /// those that it is made of; the last is the step's own.
    /// Two programs may share a state exactly if these are equal; the difference explains a refusal.
    pub description: serde_json::Value,
}

impl Step {
    /// The name of its operator.
    pub fn operator(&self) -> &str {
        let last = self.description.as_array().and_then(|operators| operators.last());
        last.and_then(|operator| operator["operator"].as_str()).unwrap_or("step")
    }

    /// A 64-bit hash of the description's canonical text.
    pub fn fingerprint(&self) -> u64 {
        xxhash_rust::xxh3::xxh3_64(self.description.to_string().as_bytes())
    }
}

/// One line for each node: `2: session 1 "logs/session-0" (full) instance [0] time 1 max_gap 300: count(), sum(2)`.
impl fmt::Display for PhysicalPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, node) in self.nodes.iter().enumerate() {
            write!(f, "{i}: ")?;
            self.write_node(node, f)?;
            writeln!(f)?;
        }
        Ok(())
    }
}

impl PhysicalPlan {
    /// A 64-bit hash of what the program computes: equal for processes that run the same program.
    pub fn fingerprint(&self) -> u64 {
        let mut text = self.to_string();
        for step in self.nodes.iter().filter_map(|node| node.step.as_ref()) {
            text.push_str(&step.description.to_string());
        }
        xxhash_rust::xxh3::xxh3_64(text.as_bytes())
    }

    fn write_node(&self, node: &Node, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = node.step.as_ref().map(|step| format!("\"{}\"", step.name)).unwrap_or_default();
        match &node.operator {
            OperatorSpec::Source { .. } => {
                let append_only = if node.append_only { " (append-only)" } else { "" };
                write!(f, "source {name}{append_only}: {}", node.schema)
            }
            OperatorSpec::Map { input, stage, consolidate } => {
                write!(f, "map {} {consolidate}{stage}", input.0)
            }
            OperatorSpec::Union { inputs, consolidate } => {
                let inputs: Vec<String> = inputs.iter().map(|input| input.0.to_string()).collect();
                write!(f, "union {} {consolidate}{}", inputs.join(" "), node.schema)
            }
            OperatorSpec::Expand { input, first } => write!(f, "expand {} [{first}]", input.0),
            OperatorSpec::Flatten { input, column, consolidate } => {
                write!(f, "flatten {} {consolidate}[{column}]", input.0)
            }
            OperatorSpec::Reduce { input, spec } => write_reduce(*input, &name, spec, f),
            OperatorSpec::Session { input, spec } => write_session(*input, &name, spec, f),
            OperatorSpec::Windowed { input, windows, clock, time, lifecycle } => {
                match windows {
                    WindowSpec::Numbered { spec, .. } => write_reduce(*input, &name, spec, f)?,
                    WindowSpec::Session(spec) => write_session(*input, &name, spec, f)?,
                }
                write!(f, "; {lifecycle}watermark {} [{time}]", clock.0)
            }
            OperatorSpec::Combine { input, spec } => {
                let CombineSpec { combination, key, table, row, updated, .. } = spec;
                write!(f, "{} {} {name} key {key:?} table {table}: {row:?}", combination.name(), input.0)?;
                if updated.is_empty() { Ok(()) } else { write!(f, " updated {updated:?}") }
            }
            OperatorSpec::Keep { input } => write!(f, "keep {} {name}", input.0),
            OperatorSpec::Sink { input, index } => write!(f, "sink {} {}", input.0, self.sinks[*index].kind),
        }
    }
}

fn write_reduce(input: NodeId, name: &str, spec: &ReduceSpec, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "reduce {} {name} ({}) key {:?}: ", input.0, spec.form, spec.key)?;
    write_reducers(&spec.reducers, f)
}

fn write_session(input: NodeId, name: &str, spec: &SessionSpec, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let SessionSpec { instance, time, floats: _, gap, reducers, form } = spec;
    write!(f, "session {} {name} ({form}) ", input.0)?;
    write!(f, "instance {instance:?} time {time} {gap}: ")?;
    write_reducers(reducers, f)
}

fn write_reducers(reducers: &[ReducerCall], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (i, reducer) in reducers.iter().enumerate() {
        let comma = if i > 0 { ", " } else { "" };
        let columns = reducer.columns.iter().map(|column| (column.to_string(), ATOM)).collect();
        write!(f, "{comma}{}", Speller::PLAN.reducer(reducer.kind.name(), reducer.kind.skips_nones(), columns))?;
    }
    Ok(())
}

/// As a plan shows it, with a space behind it.
impl fmt::Display for Consolidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Consolidate::No => "",
            Consolidate::InBatch => "(consolidate in batch) ",
            Consolidate::ByRow => "(consolidate by row) ",
        })
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Form::AppendOnly => "append-only",
            Form::Full => "full",
        })
    }
}
