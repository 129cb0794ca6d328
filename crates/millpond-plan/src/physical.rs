//! The physical plan: what the engine runs. Columns are positions, expressions are typed and fused, stateful
//! operators have names and fingerprints.
//!
//! A plan is a list of nodes in topological order: the inputs of a node stand before it.

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use millpond_columns::types::Schema;
use millpond_error::{Error, Origin};
use serde::{Deserialize, Serialize};

use crate::declare::SourceDecl;
use crate::errors::End;
use crate::eval::MapStage;
use crate::notation::Speller;
use crate::saved_plan::SavedPlan;

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
    pub sinks: Vec<Sink>,
    /// The program that it was made of.
    pub program: SavedPlan,
}

/// One operator with its place in the plan.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where its rows come from, each input by a port of its own.
    pub ports: Vec<Port>,
    /// What it does.
    pub operator: OperatorSpec,
    /// The node and the column there whose greatest value is the watermark that it follows: a required `int`, `float`
    /// or point in time.
    pub clock: Option<(NodeId, usize)>,
    /// Columns of its output, in order.
    pub schema: Schema,
    /// Whether its output never holds a removal, in any epoch.
    pub append_only: bool,
    /// Name and fingerprint of what this node keeps in the state; `None` for a stateless node.
    pub step: Option<Step>,
}

/// An input of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// The node whose rows come in.
    pub node: NodeId,
    /// How they come.
    pub exchange: Exchange,
}

/// How rows find the worker that takes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exchange {
    /// They stay where they were made.
    None,
    /// They go to the worker that owns the hash of these columns, in this order.
    ByKey(Vec<usize>),
}

/// What a node does. All but a union and a keyed operator have one port, and a source has none.
#[derive(Clone, Debug)]
pub enum OperatorSpec {
    /// Emits the rows of an external source. `columns` are the columns that the plan uses, as positions in the source's
    /// schema: the source reads no others, and the node's schema holds just these, in this order.
    Source {
        /// Position in [`PhysicalPlan::sources`].
        index: usize,
        /// Positions in the source's schema, ascending.
        columns: Vec<usize>,
    },
    /// Stateless: filters and computes columns, batch by batch.
    Map {
        /// What it does to a batch.
        stage: Arc<MapStage>,
        /// How rows of its output that cancel are brought together.
        consolidate: Consolidate,
    },
    /// Stateless: the rows of all inputs, which have one schema, but for nulls that some of them never hold.
    Union {
        /// Whether rows of different inputs that cancel are brought together, by the hash of the whole row; or never.
        consolidate: Consolidate,
    },
    /// Stateless: repeats each row for every int from that of column `first` to that of the next column, which this int
    /// then takes the place of; a row whose first int is above the second is dropped.
    Expand {
        /// The position of the first of the two columns, both required `int`s.
        first: usize,
    },
    /// Stateless: repeats each row for every element of a column of lists, which becomes the element; a row without
    /// elements is dropped.
    Flatten {
        /// The position of the column.
        column: usize,
        /// Whether rows that cancel are brought together, by the hash of the whole row; or never.
        consolidate: Consolidate,
    },
    /// Keeps state by key: each port has the same number of key columns, by which its rows are exchanged.
    Keyed(Arc<dyn KeyedSpec>),
    /// Hands rows to an external sink.
    Sink {
        /// Position in [`PhysicalPlan::sinks`].
        index: usize,
    },
}

/// What a keyed operator does, as its operation says it. The engine makes operators of the specs that it knows by type.
///
/// Displayed, it is its parameters as the text of a plan shows them.
pub trait KeyedSpec: Any + fmt::Debug + fmt::Display + Send + Sync {
    /// Its name in the text of a plan.
    fn name(&self) -> &'static str;

    /// What people are told of it; `inputs` are the columns of each port.
    fn explain(&self, inputs: &Inputs<'_>) -> Explanation;

    /// Why rows of its output may be removed although those of its inputs are not.
    fn why_not_append_only(&self) -> &'static str {
        "a row may be replaced"
    }
}

/// What people are told of a keyed operator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explanation {
    /// What it is: `reduce`, of some nodes.
    pub what: String,
    /// What more is to say in the same line: `, shown late`.
    pub more: String,
    /// The lines below: key, what is computed, what is kept.
    pub lines: Vec<String>,
}

/// The columns of the ports of a node.
#[derive(Clone, Debug)]
pub struct Inputs<'a> {
    /// The schema of each port.
    pub schemas: Vec<&'a Schema>,
    /// Of a node with a watermark: the node that tells it, its columns, and which of them does.
    pub clock: Option<(NodeId, &'a Schema, usize)>,
}

impl Inputs<'_> {
    /// The name of a column of a port, as the program writes it.
    pub fn name(&self, port: usize, column: usize) -> String {
        Speller::of_program().column(&self.schemas[port].columns()[column].name)
    }

    /// The names of some columns of a port.
    pub fn names(&self, port: usize, columns: &[usize]) -> String {
        columns.iter().map(|column| self.name(port, *column)).collect::<Vec<_>>().join(", ")
    }
}

/// Where the rows of a node go, outside of the plan.
#[derive(Clone, Debug)]
pub struct Sink {
    /// The name that its position is found by.
    pub name: String,
    /// The kind of connector, such as `csv`.
    pub kind: Cow<'static, str>,
    /// Everything that makes what it got in earlier runs and what it gets later one history.
    pub description: serde_json::Value,
    /// The place in the program.
    pub origin: Origin,
    /// What writes it; opaque to the plan.
    pub connector: Arc<dyn Any + Send + Sync>,
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

impl Form {
    /// The form for such an input.
    pub(crate) fn of(append_only: bool) -> Self {
        if append_only { Form::AppendOnly } else { Form::Full }
    }
}

/// Where a stateful node's state is found, and what it must match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The user's name for it, or its path in the plan as written, with an ordinal for twins.
    pub name: String,
    /// Everything the state depends on, as canonical JSON: a list of operators with parameters and expressions, each
    /// after those that it is made of; the last is the step's own. Two programs may share a state exactly if these are
    /// equal; the difference explains a refusal.
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

impl Node {
    /// The nodes that it reads, that of its watermark included.
    pub fn inputs(&self) -> impl Iterator<Item = NodeId> {
        self.ports.iter().map(|port| port.node).chain(self.clock.map(|(node, _)| node))
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

    /// The columns of the nodes that a node reads.
    pub fn inputs(&self, node: &Node) -> Inputs<'_> {
        Inputs {
            schemas: node.ports.iter().map(|port| &self.nodes[port.node.0].schema).collect(),
            clock: node.clock.map(|(clock, column)| (clock, &self.nodes[clock.0].schema, column)),
        }
    }

    /// The first error value of each cell of an output and of each row that this process has not written for it so far.
    pub fn ended_errors(&self) -> Vec<(End, Error)> {
        // All maps of a plan share their notes.
        let notes = self.nodes.iter().find_map(|node| match &node.operator {
            OperatorSpec::Map { stage, .. } => Some(stage.ended_errors()),
            _ => None,
        });
        notes.unwrap_or_default()
    }

    fn write_node(&self, node: &Node, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = node.step.as_ref().map(|step| format!("\"{}\"", step.name)).unwrap_or_default();
        let ports: Vec<String> = node.ports.iter().map(|port| port.node.0.to_string()).collect();
        let ports = ports.join(" ");
        match &node.operator {
            OperatorSpec::Source { .. } => {
                let append_only = if node.append_only { " (append-only)" } else { "" };
                write!(f, "source {name}{append_only}: {}", node.schema)
            }
            OperatorSpec::Map { stage, consolidate } => write!(f, "map {ports} {consolidate}{stage}"),
            OperatorSpec::Union { consolidate } => write!(f, "union {ports} {consolidate}{}", node.schema),
            OperatorSpec::Expand { first } => write!(f, "expand {ports} [{first}]"),
            OperatorSpec::Flatten { column, consolidate } => write!(f, "flatten {ports} {consolidate}[{column}]"),
            OperatorSpec::Keyed(spec) => {
                write!(f, "{} {ports} {name}", spec.name())?;
                let parameters = spec.to_string();
                if !parameters.is_empty() {
                    write!(f, " {parameters}")?;
                }
                node.clock.map_or(Ok(()), |(clock, column)| write!(f, "watermark {} [{column}]", clock.0))
            }
            OperatorSpec::Sink { index } => write!(f, "sink {ports} {}", self.sinks[*index].kind),
        }
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
