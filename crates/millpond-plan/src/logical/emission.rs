//! Writing the nodes of a plan down.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use millpond_columns::types::Schema;

use super::anchor::{Anchor, AnchorOperator, Keyed};
use super::describe::{self, ReadColumns};
use super::keep::KeepSpec;
use super::lower::ordinal;
use super::pipeline::Pipeline;
use super::{SinkDecl, Table};
use crate::declare::SourceDecl;
use crate::errors::Places;
use crate::physical::{Consolidate, Exchange, Node, NodeId, OperatorSpec, PhysicalPlan, Port, Sink, Step};

/// Nodes written so far.
pub(super) struct Emission<'a> {
    anchors: &'a [Anchor],
    /// The names that the program gives.
    given: &'a HashSet<String>,
    /// Where errors arise.
    places: Arc<Places>,
    /// What an error log tells of.
    logged: &'a [String],
    nodes: Vec<Node>,
    sources: Vec<Arc<SourceDecl>>,
    /// The node of each anchor.
    anchor_nodes: Vec<NodeId>,
    /// Nodes that keep a table.
    kept: Vec<(Table, NodeId)>,
    twins: HashMap<String, usize>,
}

impl<'a> Emission<'a> {
    pub(super) fn new(
        anchors: &'a [Anchor],
        given: &'a HashSet<String>,
        (places, logged): (Arc<Places>, &'a [String]),
    ) -> Self {
        let (nodes, sources, anchor_nodes) = (Vec::new(), Vec::new(), Vec::new());
        Emission {
            anchors,
            given,
            places,
            logged,
            nodes,
            sources,
            anchor_nodes,
            kept: Vec::new(),
            twins: HashMap::new(),
        }
    }

    /// Writes an anchor down, after those that it reads.
    pub(super) fn anchor(&mut self, position: usize) {
        let anchor = &self.anchors[position];
        let inputs: Vec<NodeId> = anchor.inputs.iter().map(|rows| self.map(rows, anchor.adds_up())).collect();
        let mut clock = None;
        let mut ports: Vec<Port> = inputs.iter().map(|input| local(*input)).collect();
        let operator = match &anchor.operator {
            AnchorOperator::Source(source) => {
                self.sources.push(source.clone());
                OperatorSpec::Source { index: self.sources.len() - 1, columns: anchor.outputs() }
            }
            AnchorOperator::Concat { cancels } => OperatorSpec::Union { consolidate: by_row(*cancels) },
            AnchorOperator::Flatten { column, cancels } => {
                let column = anchor.used.range(..column).count();
                OperatorSpec::Flatten { column, consolidate: by_row(*cancels) }
            }
            AnchorOperator::Keyed(Keyed { spec, keys, expands, clock: time, .. }) => {
                clock = time.map(|time| (inputs[0], time));
                if let Some(first) = *expands {
                    ports[0].node = self.expand(inputs[0], first);
                }
                ports.iter_mut().zip(keys).for_each(|(port, key)| port.exchange = Exchange::ByKey(key.clone()));
                OperatorSpec::Keyed(spec.clone())
            }
        };
        let (append_only, step) = (anchor.append_only, anchor.keeps_state().then(|| anchor.described_step()));
        let node = self.push(Node { ports, operator, clock, schema: anchor.used_schema(), append_only, step });
        self.anchor_nodes.push(node);
    }

    /// The node that gives these rows: a map, or the anchor if there is nothing to do. Rows that cancel may be left in
    /// it if the reader adds them up.
    fn map(&mut self, rows: &Pipeline, adds_up: bool) -> NodeId {
        let anchor = &self.anchors[rows.anchor];
        let (input, stage) = (self.anchor_nodes[rows.anchor], rows.stage(anchor).noting(self.places.clone()));
        let mode = if adds_up { Consolidate::No } else { anchor.consolidate(rows, &stage) };
        if stage.is_identity() && mode == Consolidate::No {
            return input;
        }
        for (number, node) in self.nodes.iter_mut().enumerate() {
            if let OperatorSpec::Map { stage: known, consolidate } = &mut node.operator
                && node.ports[0].node == input
                && **known == stage
            {
                if mode != Consolidate::No {
                    *consolidate = mode;
                }
                return NodeId(number);
            }
        }
        let operator = OperatorSpec::Map { stage: Arc::new(stage), consolidate: mode };
        self.stateless(input, operator, rows.schema.clone())
    }

    /// The node that puts each row into all of its windows: from the number in column `first` to that in the next.
    fn expand(&mut self, input: NodeId, first: usize) -> NodeId {
        let columns = self.nodes[input.0].schema.columns().iter().enumerate().filter(|(i, _)| *i != first + 1);
        let schema = Schema::new(columns.map(|(_, column)| (column.name.clone(), column.ty)));
        self.stateless(input, OperatorSpec::Expand { first }, schema)
    }

    /// The node whose rows a sink writes.
    pub(super) fn written(&mut self, sink: &SinkDecl, rows: &Pipeline, read: &ReadColumns) -> NodeId {
        let input = self.map(rows, sink.keeps_table);
        if sink.keeps_table { self.keep(&sink.table, rows, input, read) } else { input }
    }

    /// Writes the sink of this number down.
    pub(super) fn sink(&mut self, index: usize, input: NodeId, rows: &Pipeline) {
        self.stateless(input, OperatorSpec::Sink { index }, rows.schema.clone());
    }

    /// The node that keeps a table; one for each table.
    fn keep(&mut self, table: &Table, rows: &Pipeline, input: NodeId, read: &ReadColumns) -> NodeId {
        if let Some((_, node)) = self.kept.iter().find(|(kept, _)| kept.same_as(table)) {
            return *node;
        }
        let anchor = &self.anchors[rows.anchor].step;
        let name = ordinal(&mut self.twins, self.given, format!("{}/keep", anchor.name));
        let step = Step { name, description: describe::keep(table, read, self.logged) };
        let (schema, append_only) = (rows.schema.clone(), self.nodes[input.0].append_only);
        let exchange = Exchange::ByKey((0..schema.len()).collect());
        let operator = OperatorSpec::Keyed(Arc::new(KeepSpec));
        let ports = vec![Port { node: input, exchange }];
        let node = self.push(Node { ports, operator, clock: None, schema, append_only, step: Some(step) });
        self.kept.push((table.clone(), node));
        node
    }

    /// The whole plan, with these sinks.
    pub(super) fn finish(self, sinks: Vec<Sink>) -> PhysicalPlan {
        PhysicalPlan { nodes: self.nodes, sources: self.sources, sinks, ..PhysicalPlan::default() }
    }

    fn stateless(&mut self, input: NodeId, operator: OperatorSpec, schema: Schema) -> NodeId {
        let append_only = self.nodes[input.0].append_only;
        self.push(Node { ports: vec![local(input)], operator, clock: None, schema, append_only, step: None })
    }

    fn push(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        NodeId(self.nodes.len() - 1)
    }
}

fn local(node: NodeId) -> Port {
    Port { node, exchange: Exchange::None }
}

fn by_row(cancels: bool) -> Consolidate {
    if cancels { Consolidate::ByRow } else { Consolidate::No }
}
