//! Where rows wait for the end of an epoch: the keyed operators of a plan, and those that bring rows together that
//! cancel and may be anywhere.

use std::sync::Arc;

use millpond_plan::physical::{Consolidate, Exchange, NodeId, OperatorSpec, PhysicalPlan};

use crate::epoch_buffer::PortShape;

/// A keyed operator.
pub(super) struct Breaker {
    /// Its number among those of the plan.
    pub number: usize,
    /// The node whose rows it makes.
    pub node: NodeId,
    pub ports: Arc<Vec<PortShape>>,
}

/// How messages come to a keyed operator.
#[derive(Clone, Copy, Debug)]
pub(super) enum Port {
    /// Rows, at the port of this number.
    Rows(usize),
    /// How far event time has come.
    Clock,
}

/// All keyed operators of a plan, in its order.
pub(super) struct Breakers(Vec<Breaker>);

impl Breakers {
    pub(super) fn of(plan: &PhysicalPlan) -> Self {
        let mut breakers = Vec::new();
        for (at, node) in plan.nodes.iter().enumerate() {
            let ports = match &node.operator {
                OperatorSpec::Keyed(_) => {
                    let shape = |port: &millpond_plan::physical::Port| {
                        let Exchange::ByKey(key) = &port.exchange else {
                            unreachable!("the rows of a keyed operator are exchanged by key")
                        };
                        (key.clone(), plan.nodes[port.node.0].schema.clone())
                    };
                    node.ports.iter().map(shape).collect()
                }
                OperatorSpec::Map { consolidate: Consolidate::ByRow, .. }
                | OperatorSpec::Union { consolidate: Consolidate::ByRow }
                | OperatorSpec::Flatten { consolidate: Consolidate::ByRow, .. } => {
                    vec![((0..node.schema.len()).collect(), node.schema.clone())]
                }
                _ => continue,
            };
            breakers.push(Breaker { number: breakers.len(), node: NodeId(at), ports: Arc::new(ports) });
        }
        Breakers(breakers)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Breaker> {
        self.0.iter()
    }

    /// The number of their ports.
    pub(super) fn ports(&self) -> usize {
        self.0.iter().map(|breaker| breaker.ports.len()).sum()
    }

    /// What consolidates the rows of a stateless node, if they need it.
    pub(super) fn behind(&self, node: NodeId) -> Option<&Breaker> {
        self.0.binary_search_by_key(&node, |breaker| breaker.node).ok().map(|at| &self.0[at])
    }

    /// The keyed operator of a node.
    pub(super) fn at(&self, node: NodeId) -> &Breaker {
        self.behind(node).expect("each keyed node is one")
    }
}
