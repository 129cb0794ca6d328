//! The timely adapter: turns a physical plan into one worker's dataflow. The only folder that knows `timely`'s
//! operators.
//!
//! Stateless nodes work batch by batch. A keyed node is two timely operators: a router, which hashes and divides rows
//! where they are made, and the keyed operator, which collects an epoch's packets and steps once the frontier has
//! passed the epoch. An error or a panic in any of them is kept in [`Failure`]; after it the dataflow only drains, and
//! the run ends without a commit.

mod clock;
mod exchange;
mod failure;
mod fused_sink;
mod keyed;
mod sink;
mod stateless;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use millpond_columns::float::canonical_column;
use millpond_error::Result;
use millpond_plan::physical::{Exchange, NodeId, OperatorSpec, PhysicalPlan};
use timely::container::NoopBuilder;
use timely::dataflow::operators::{Concatenate, Input, Probe};
use timely::dataflow::{InputHandle, ProbeHandle, Stream};
use timely::worker::Worker;

use crate::arrangement::SavedArrangement;
use crate::changes::{Changes, Epoch};
use crate::expand;
use crate::hash::{HashSeed, KeyRange};
use crate::metrics::{Metered, StepMetrics};
use crate::operator::Operator;
use crate::operators::operator_for;

pub use failure::Failure;

use clock::clock;
use exchange::route;
use fused_sink::FusedSink;
use keyed::{KeyedPort, keyed};
use sink::sink;
use stateless::{consolidated, map, repeat};

/// Takes the changes of a sink, by its index; called by many threads at once.
pub type Deliver = Box<dyn Fn(usize, Epoch, &Changes) -> Result<()> + Send + Sync>;

/// What all workers of a process share while they build and run a dataflow.
pub struct Context {
    /// The program.
    pub plan: PhysicalPlan,
    /// The seed of key hashes, from the state.
    pub seed: HashSeed,
    /// The saved arrangements of each step, by the step's name; empty for a fresh state.
    pub saved: HashMap<String, Vec<(String, SavedArrangement)>>,
    /// Takes the changes of the sinks.
    pub deliver: Deliver,
    /// The first error of any worker.
    pub failure: Arc<Failure>,
    /// How long a worker may sleep while it waits for others: for ever, unless they may be lost.
    pub patience: Option<Duration>,
    /// The counters of the stateful nodes.
    pub metrics: BTreeMap<NodeId, Arc<StepMetrics>>,
}

type SharedOperator = Rc<RefCell<Box<dyn Operator>>>;

/// One worker's share of a running program.
pub struct Dataflow {
    context: Arc<Context>,
    inputs: Vec<InputHandle<u64, NoopBuilder<Changes>>>,
    probe: ProbeHandle<u64>,
    operators: BTreeMap<NodeId, SharedOperator>,
}

impl Dataflow {
    /// Builds the dataflow and opens this worker's share of the saved state. Errors go to the context's failure.
    pub fn build(worker: &mut Worker, context: &Arc<Context>) -> Self {
        let range = KeyRange::of_worker(worker.index(), worker.peers());
        let mut operators = BTreeMap::new();
        for (index, node) in context.plan.nodes.iter().enumerate() {
            let OperatorSpec::Keyed(spec) = &node.operator else { continue };
            let mut operator = operator_for(spec.as_ref(), &context.plan.inputs(node).schemas, range);
            if let Some(metrics) = context.metrics.get(&NodeId(index)) {
                operator = Box::new(Metered::new(operator, metrics.clone()));
            }
            let saved = node.step.as_ref().and_then(|step| context.saved.get(&step.name));
            if let Some(saved) = saved {
                context.failure.guard("opening the state", || operator.open(saved.clone()));
            }
            operators.insert(NodeId(index), Rc::new(RefCell::new(operator)));
        }
        let peers = worker.peers();
        let probe = ProbeHandle::new();
        let inputs = worker.dataflow::<u64, _, _>(|scope| {
            let mut inputs: Vec<InputHandle<u64, NoopBuilder<Changes>>> =
                context.plan.sources.iter().map(|_| InputHandle::new_with_builder()).collect();
            let mut streams: Vec<Stream<'_, u64, Changes>> = Vec::new();
            for (index, node) in context.plan.nodes.iter().enumerate() {
                let before = |port: usize| streams[node.ports[port].node.0].clone();
                let stream = match &node.operator {
                    OperatorSpec::Source { index, .. } => scope.input_from(&mut inputs[*index]),
                    OperatorSpec::Map { stage, consolidate } => {
                        let mapped = map(before(0), stage, *consolidate, context);
                        consolidated(mapped, *consolidate, &node.schema, peers, context)
                    }
                    OperatorSpec::Union { consolidate } => {
                        let union = scope.concatenate((0..node.ports.len()).map(before));
                        consolidated(union, *consolidate, &node.schema, peers, context)
                    }
                    OperatorSpec::Expand { first } => {
                        let first = *first;
                        repeat(before(0), context, move |changes, emit| {
                            expand::expand(changes, first, emit);
                            Ok(())
                        })
                    }
                    OperatorSpec::Flatten { column, consolidate } => {
                        let (column, element) = (*column, node.schema.columns()[*column].ty);
                        let elements = repeat(before(0), context, move |changes, emit| {
                            expand::flatten(changes, column, element, emit)
                        });
                        consolidated(elements, *consolidate, &node.schema, peers, context)
                    }
                    OperatorSpec::Keyed(_) => {
                        let ports = node.ports.iter().enumerate().map(|(number, port)| {
                            let Exchange::ByKey(key) = &port.exchange else {
                                unreachable!("the rows of a keyed operator are exchanged by key")
                            };
                            let schema = &context.plan.nodes[port.node.0].schema;
                            let packets = route(before(number), key, schema, peers, context);
                            KeyedPort { packets, key: key.clone(), schema: schema.clone() }
                        });
                        let ports = ports.collect();
                        let clock = node.clock.map(|(from, time)| clock(streams[from.0].clone(), time, context));
                        let operator = operators[&NodeId(index)].clone();
                        let fused = FusedSink::behind(&context.plan, NodeId(index));
                        keyed(scope, ports, clock, operator, fused, context)
                    }
                    OperatorSpec::Sink { index } => sink(before(0), *index, context).probe_with(&probe),
                };
                streams.push(stream);
            }
            inputs
        });
        Dataflow { context: context.clone(), inputs, probe, operators }
    }

    /// Starts an epoch: what is sent from now on belongs to it.
    pub fn begin_epoch(&mut self, epoch: Epoch) {
        for input in &mut self.inputs {
            input.advance_to(epoch.0);
        }
    }

    /// Sends changes of a source into the present epoch, as all rows come in: from here on, floats have
    /// [one zero and one NaN](millpond_columns::float).
    pub fn send(&mut self, source: usize, mut changes: Changes) {
        changes.columns = changes.columns.into_iter().map(canonical_column).collect();
        self.inputs[source].send_batch(&mut changes);
    }

    /// Ends the epoch and works until every worker has finished it, or the run is abandoned.
    pub fn finish_epoch(&mut self, worker: &mut Worker, epoch: Epoch) {
        for input in &mut self.inputs {
            input.advance_to(epoch.0 + 1);
        }
        let (probe, failure) = (self.probe.clone(), &self.context.failure);
        worker.step_or_park_while(self.context.patience, || probe.less_equal(&epoch.0) && !failure.is_abandoned());
    }

    /// Visits the stateful nodes, in the order of the plan.
    pub fn visit(&self, visit: &mut dyn FnMut(NodeId, &mut dyn Operator) -> Result<()>) {
        self.context.failure.guard("saving the state", || {
            self.operators.iter().try_for_each(|(node, operator)| visit(*node, operator.borrow_mut().as_mut()))
        });
    }
}

type Edge<'scope, C> = Stream<'scope, u64, C>;
