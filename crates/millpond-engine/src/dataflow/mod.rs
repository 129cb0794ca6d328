//! The timely adapter: turns a physical plan into one worker's dataflow. The only folder that knows `timely`'s
//! operators.
//!
//! Rows go through stateless nodes batch by batch, in a `pipeline` behind each source and each keyed node, which ends
//! in sinks and in the `inbox`es of the next keyed nodes. A keyed node steps once the frontier has passed the epoch. An
//! error or a panic anywhere is kept in [`Failure`]; after it the dataflow only drains, and the run ends without a
//! commit.

mod breakers;
mod failure;
mod inbox;
mod keyed;
mod pipeline;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use millpond_columns::float::canonical_column;
use millpond_error::{Error, Result};
use millpond_plan::physical::{KeyedSpec, NodeId, OperatorSpec, PhysicalPlan};
use timely::container::NoopBuilder;
use timely::dataflow::operators::{Input, Probe};
use timely::dataflow::{InputHandle, ProbeHandle, Stream};
use timely::worker::Worker;

use crate::arrangement::SavedArrangement;
use crate::changes::{Changes, Epoch};
use crate::consolidate::Consolidator;
use crate::epoch_buffer::Shape;
use crate::hash::{HashSeed, KeyRange};
use crate::memory::Memory;
use crate::metrics::{Metered, StepMetrics};
use crate::operator::Operator;
use crate::operators::operator_for;
use crate::route::Message;

pub use failure::Failure;
pub use inbox::Inboxes;

use breakers::{Breaker, Breakers, Port};
use inbox::Inbox;
use keyed::keyed;
use pipeline::Pipeline;

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
    /// The workers of this process.
    pub threads: usize,
    /// What waits for keyed nodes on the workers of this process.
    pub inboxes: Inboxes,
    /// The memory that the rows may take.
    pub memory: Arc<Memory>,
    /// Whether the user wants the run to end in the midst of an epoch.
    pub is_interrupted: Box<dyn Fn() -> bool + Send + Sync>,
}

type SharedOperator = Rc<RefCell<Box<dyn Operator>>>;

impl Context {
    /// Whether the epoch is to go on: whoever fails has said so, and the others need not do what is left.
    ///
    /// # Errors
    /// Why it is not.
    pub fn check(&self) -> Result<()> {
        if self.failure.is_set() {
            return self.failure.check();
        }
        if (self.is_interrupted)() {
            return Err(Error::interrupted("stopped on request; nothing of this epoch was saved"));
        }
        Ok(())
    }

    /// The inbox of a worker of this process; there are `workers` of all processes.
    fn inbox(&self, breaker: &Breaker, worker: usize, workers: usize) -> Arc<Inbox> {
        let make = || {
            Inbox::new(Shape { seed: self.seed, ports: breaker.ports.clone(), workers, memory: self.memory.clone() })
        };
        self.inboxes.get_or_make(breaker.number, worker, make)
    }
}

/// One worker's share of a running program.
pub struct Dataflow {
    context: Arc<Context>,
    sources: Vec<OpenSource>,
    probe: ProbeHandle<u64>,
    operators: BTreeMap<NodeId, SharedOperator>,
}

/// A source with what its rows go through.
struct OpenSource {
    pipeline: Pipeline,
    /// Takes messages to the targets of the pipeline; one more than none tells how far the source is.
    handles: Vec<InputHandle<u64, NoopBuilder<Message>>>,
}

impl Dataflow {
    /// Builds the dataflow and opens this worker's share of the saved state. Errors go to the context's failure.
    pub fn build(worker: &mut Worker, context: &Arc<Context>) -> Self {
        let (index, peers) = (worker.index(), worker.peers());
        let range = KeyRange::of_worker(index, peers);
        let breakers = Breakers::of(&context.plan);
        let mut operators = BTreeMap::new();
        let probe = ProbeHandle::new();
        let sources = worker.dataflow::<u64, _, _>(|scope| {
            let mut sources: Vec<Option<OpenSource>> = context.plan.sources.iter().map(|_| None).collect();
            // By keyed operator: how what goes to it comes from other processes.
            let mut inputs: Vec<Vec<(Port, Edge<'_, Message>)>> = breakers.iter().map(|_| Vec::new()).collect();
            for (at, node) in context.plan.nodes.iter().enumerate() {
                let at = NodeId(at);
                let breaker = breakers.behind(at);
                let source = match &node.operator {
                    OperatorSpec::Source { index, .. } => Some(*index),
                    _ if breaker.is_some() => None,
                    _ => continue,
                };
                let pipeline = Pipeline::behind(at, &breakers, context, index, peers);
                let targets = pipeline.targets().to_vec();
                let streams = if let Some(source) = source {
                    let open = |_| scope.new_input_with_builder();
                    let (handles, streams): (Vec<_>, Vec<_>) = (0..targets.len().max(1)).map(open).unzip();
                    sources[source] = Some(OpenSource { pipeline, handles });
                    streams
                } else if let Some(breaker) = breaker {
                    let operator = match &node.operator {
                        OperatorSpec::Keyed(spec) => {
                            let operator: SharedOperator =
                                Rc::new(RefCell::new(context.open_operator(at, spec.as_ref(), range)));
                            operators.insert(at, operator.clone());
                            operator
                        }
                        _ => Rc::new(RefCell::new(Box::new(Consolidator) as Box<dyn Operator>)),
                    };
                    let inputs = std::mem::take(&mut inputs[breaker.number]);
                    let inbox = context.inbox(breaker, index, peers);
                    keyed(scope, inputs, inbox, operator, pipeline, (at, context))
                } else {
                    continue;
                };
                streams[0].clone().probe_with(&probe);
                for ((breaker, port), stream) in targets.into_iter().zip(streams) {
                    inputs[breaker].push((port, stream));
                }
            }
            sources.into_iter().flatten().collect()
        });
        Dataflow { context: context.clone(), sources, probe, operators }
    }

    /// Starts an epoch: what is sent from now on belongs to it.
    pub fn begin_epoch(&mut self, epoch: Epoch) {
        for handle in self.sources.iter_mut().flat_map(|source| &mut source.handles) {
            handle.advance_to(epoch.0);
        }
    }

    /// Sends changes of a source into an epoch, as all rows come in: from here on, floats have
    /// [one zero and one NaN](millpond_columns::float).
    pub fn send(&mut self, epoch: Epoch, source: usize, mut changes: Changes) {
        changes.columns = changes.columns.into_iter().map(canonical_column).collect();
        let OpenSource { pipeline, handles } = &mut self.sources[source];
        let mut send = |target: usize, mut message| handles[target].send_batch(&mut message);
        self.context.failure.guard("a stateless step", || pipeline.push(epoch, changes, &mut send));
    }

    /// Ends the epoch and works until every worker has finished it, or the run is abandoned.
    pub fn finish_epoch(&mut self, worker: &mut Worker, epoch: Epoch) {
        for OpenSource { pipeline, handles } in &mut self.sources {
            let mut send = |target: usize, mut message| handles[target].send_batch(&mut message);
            let end = || pipeline.end_epoch(epoch, worker.peers(), &mut send);
            self.context.failure.guard("routing", end);
            handles.iter_mut().for_each(|handle| handle.advance_to(epoch.0 + 1));
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

impl Context {
    /// The operator of a node for the keys of `range`, with their saved state.
    fn open_operator(&self, at: NodeId, spec: &dyn KeyedSpec, range: KeyRange) -> Box<dyn Operator> {
        let node = &self.plan.nodes[at.0];
        let mut operator = operator_for(spec, &self.plan.inputs(node).schemas, range);
        if let Some(metrics) = self.metrics.get(&at) {
            operator = Box::new(Metered::new(operator, metrics.clone()));
        }
        let saved = node.step.as_ref().and_then(|step| self.saved.get(&step.name));
        if let Some(saved) = saved {
            self.failure.guard("opening the state", || operator.open(saved.clone()));
        }
        for (_, arrangement) in operator.arrangements() {
            arrangement.count_in(self.memory.clone());
        }
        operator
    }
}

type Edge<'scope, C> = Stream<'scope, u64, C>;
