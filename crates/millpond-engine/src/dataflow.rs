//! The timely adapter: turns a physical plan into one worker's dataflow. The only file that knows `timely`'s operators.
//!
//! Stateless nodes work batch by batch. A keyed node is two timely operators: a router, which hashes and divides rows
//! where they are made, and the keyed operator, which collects an epoch's packets and steps once the frontier has passed
//! the epoch. An error or a panic in any of them is kept in [`Failure`]; after it the dataflow only drains, and the run
//! ends without a commit.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use millpond_error::{Error, Result};
use millpond_plan::eval::MapStage;
use millpond_plan::float::canonical_column;
use millpond_plan::physical::{Consolidate, NodeId, OperatorSpec, PhysicalPlan, WindowSpec};
use millpond_plan::types::Schema;
use parking_lot::Mutex;
use timely::Accountable;
use timely::communication::Push;
use timely::container::{CapacityContainerBuilder, NoopBuilder};
use timely::dataflow::channels::Message;
use timely::dataflow::channels::pact::{DistributorPact, Pipeline};
use timely::dataflow::channels::pushers::exchange::Distributor;
use timely::dataflow::operators::generic::Operator as _;
use timely::dataflow::operators::vec::Broadcast;
use timely::dataflow::operators::{Capability, Concatenate, Input, Probe};
use timely::dataflow::{InputHandle, ProbeHandle, Stream};
use timely::progress::Stamp;
use timely::worker::Worker;

use crate::arrangement::SavedArrangement;
use crate::changes::{Changes, Epoch};
use crate::consolidate::Consolidator;
use crate::epoch_buffer::EpochBuffer;
use crate::expand;
use crate::fused_sink::{FusedSink, mapped};
use crate::hash::{HashSeed, KeyRange};
use crate::instant;
use crate::metrics::{Metered, StepMetrics};
use crate::operator::Operator;
use crate::operators::operator_for;
use crate::route::{Packet, Router};

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

/// The first error of a run, from whichever worker.
#[derive(Debug, Default)]
pub struct Failure {
    failed: AtomicBool,
    /// Whether another process is gone, or is about to go: epochs do not come to their end any more.
    abandoned: AtomicBool,
    error: Mutex<Option<Error>>,
}

impl Failure {
    /// Whether to leave without finishing the epoch.
    pub fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Acquire)
    }

    /// Makes all workers of this process leave, even in the midst of an epoch.
    pub fn abandon(&self) {
        self.abandoned.store(true, Ordering::Release);
        self.failed.store(true, Ordering::Release);
    }

    /// Whether an error was kept.
    pub fn is_set(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Keeps `error`, unless there is one already.
    pub fn set(&self, error: Error) {
        self.error.lock().get_or_insert(error);
        self.failed.store(true, Ordering::Release);
    }

    /// The error that was kept, if any.
    pub fn check(&self) -> Result<()> {
        match &*self.error.lock() {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }

    /// Runs `work`, unless an error was kept already, and keeps its error or panic.
    pub fn guard(&self, what: &str, work: impl FnOnce() -> Result<()>) {
        if self.is_set() {
            return;
        }
        match catch_unwind(AssertUnwindSafe(work)) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.set(error),
            Err(panic) => self.set(Error::of_panic(what, &*panic)),
        }
    }
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
            let Some(input) = node.operator.inputs().first().map(|input| &context.plan.nodes[input.0].schema) else {
                continue;
            };
            let Some(mut operator) = operator_for(&node.operator, input, range) else { continue };
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
                let before = |input: &NodeId| streams[input.0].clone();
                let schema_before = |input: &NodeId| &context.plan.nodes[input.0].schema;
                let stream = match &node.operator {
                    OperatorSpec::Source { index, .. } => scope.input_from(&mut inputs[*index]),
                    OperatorSpec::Map { input, stage, consolidate } => {
                        let mapped = map(before(input), stage, *consolidate, context);
                        consolidated(mapped, *consolidate, &node.schema, peers, context)
                    }
                    OperatorSpec::Union { inputs, consolidate } => {
                        let union = scope.concatenate(inputs.iter().map(before));
                        consolidated(union, *consolidate, &node.schema, peers, context)
                    }
                    OperatorSpec::Expand { input, first } => {
                        let first = *first;
                        repeat(before(input), context, move |changes, emit| {
                            expand::expand(changes, first, emit);
                            Ok(())
                        })
                    }
                    OperatorSpec::Flatten { input, column, consolidate } => {
                        let (column, element) = (*column, node.schema.columns()[*column].ty);
                        let elements = repeat(before(input), context, move |changes, emit| {
                            expand::flatten(changes, column, element, emit)
                        });
                        consolidated(elements, *consolidate, &node.schema, peers, context)
                    }
                    OperatorSpec::Reduce { input, .. }
                    | OperatorSpec::Session { input, .. }
                    | OperatorSpec::Combine { input, .. }
                    | OperatorSpec::Keep { input } => {
                        let schema = schema_before(input);
                        let key = key_of(&node.operator, schema);
                        let routed = route(before(input), &key, schema, peers, context);
                        let operator = operators[&NodeId(index)].clone();
                        let tail = FusedSink::behind(&context.plan, NodeId(index));
                        keyed(routed, operator, tail, &key, schema, context)
                    }
                    OperatorSpec::Windowed { input, clock: times, time, .. } => {
                        let schema = schema_before(input);
                        let key = key_of(&node.operator, schema);
                        let routed = route(before(input), &key, schema, peers, context);
                        let clock = clock(before(times), *time, context);
                        let operator = operators[&NodeId(index)].clone();
                        let tail = FusedSink::behind(&context.plan, NodeId(index));
                        windowed(routed, clock, operator, tail, &key, schema, context)
                    }
                    OperatorSpec::Sink { input, index } => sink(before(input), *index, context).probe_with(&probe),
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
    /// [one zero and one NaN](millpond_plan::float).
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

fn key_of(operator: &OperatorSpec, input: &Schema) -> Vec<usize> {
    match operator {
        OperatorSpec::Reduce { spec, .. } => spec.key.clone(),
        OperatorSpec::Session { spec, .. } => spec.instance.clone(),
        OperatorSpec::Windowed { windows: WindowSpec::Numbered { spec, .. }, .. } => spec.key.clone(),
        OperatorSpec::Windowed { windows: WindowSpec::Session(spec), .. } => spec.instance.clone(),
        OperatorSpec::Combine { spec, .. } => spec.key.clone(),
        _ => (0..input.len()).collect(),
    }
}

type Edge<'scope, C> = Stream<'scope, u64, C>;

fn map<'scope>(
    input: Edge<'scope, Changes>,
    stage: &Arc<MapStage>,
    mode: Consolidate,
    context: &Arc<Context>,
) -> Edge<'scope, Changes> {
    let (stage, context) = (stage.clone(), context.clone());
    input.unary::<NoopBuilder<Changes>, _, _, _>(Pipeline, "map", move |_, _| {
        move |input, output| {
            input.for_each(|capability, changes| {
                let changes = std::mem::take(changes);
                context.failure.guard("a map", || {
                    let mut mapped = mapped(&stage, mode, changes, context.seed)?;
                    if !mapped.is_empty() {
                        output.session_with_builder(&capability).give_container(&mut mapped);
                    }
                    Ok(())
                });
            });
        }
    })
}

/// Brings rows together that cancel, if they may be anywhere.
fn consolidated<'scope>(
    input: Edge<'scope, Changes>,
    mode: Consolidate,
    schema: &Schema,
    workers: usize,
    context: &Arc<Context>,
) -> Edge<'scope, Changes> {
    match mode {
        Consolidate::No | Consolidate::InBatch => input,
        Consolidate::ByRow => {
            let key: Vec<usize> = (0..schema.len()).collect();
            let routed = route(input, &key, schema, workers, context);
            let operator: SharedOperator = Rc::new(RefCell::new(Box::new(Consolidator)));
            keyed(routed, operator, None, &key, schema, context)
        }
    }
}

/// Rows that are repeated: `repeat` hands on the pieces of a batch.
fn repeat<'scope>(
    input: Edge<'scope, Changes>,
    context: &Arc<Context>,
    repeat: impl Fn(&Changes, &mut dyn FnMut(Changes)) -> Result<()> + 'static,
) -> Edge<'scope, Changes> {
    let context = context.clone();
    input.unary::<NoopBuilder<Changes>, _, _, _>(Pipeline, "repeat", move |_, _| {
        move |input, output| {
            input.for_each(|capability, changes| {
                let changes = std::mem::take(changes);
                context.failure.guard("repeating rows", || {
                    let mut session = output.session_with_builder(&capability);
                    repeat(&changes, &mut |mut piece| session.give_container(&mut piece))
                });
            });
        }
    })
}

fn route<'scope>(
    input: Edge<'scope, Changes>,
    key: &[usize],
    schema: &Schema,
    workers: usize,
    context: &Arc<Context>,
) -> Edge<'scope, Packet> {
    let (key, schema, context) = (key.to_vec(), schema.clone(), context.clone());
    input.unary_frontier::<NoopBuilder<Packet>, _, _, _>(Pipeline, "route", move |_, _| {
        let mut open: BTreeMap<u64, (Capability<u64>, Router)> = BTreeMap::new();
        move |(input, frontier), output| {
            input.for_each(|capability, changes| {
                let changes = std::mem::take(changes);
                let Some(capability) = capability.retain_least(output.output_index()) else { return };
                let (capability, router) = open
                    .entry(*capability.time())
                    .or_insert_with(|| (capability, Router::new(context.seed, key.clone(), schema.clone(), workers)));
                context.failure.guard("routing", || {
                    let mut session = output.session_with_builder(&*capability);
                    router.push(changes, &mut |mut packet| session.give_container(&mut packet));
                    Ok(())
                });
            });
            while let Some(entry) = open.first_entry() {
                if frontier.less_equal(entry.key()) {
                    break;
                }
                let (capability, mut router) = entry.remove();
                context.failure.guard("routing", || {
                    let mut session = output.session_with_builder(&capability);
                    router.flush(&mut |mut packet| session.give_container(&mut packet));
                    Ok(())
                });
            }
        }
    })
}

fn keyed<'scope>(
    input: Edge<'scope, Packet>,
    operator: SharedOperator,
    tail: Option<FusedSink>,
    key: &[usize],
    schema: &Schema,
    context: &Arc<Context>,
) -> Edge<'scope, Changes> {
    let workers = input.scope().peers();
    let (key, schema, context) = (key.to_vec(), schema.clone(), context.clone());
    let pact = DistributorPact(|_| ByWorker);
    input.unary_frontier::<NoopBuilder<Changes>, _, _, _>(pact, "keyed", move |_, _| {
        let mut open: BTreeMap<u64, (Capability<u64>, EpochBuffer)> = BTreeMap::new();
        move |(input, frontier), output| {
            input.for_each(|capability, packet| {
                let packet = std::mem::take(packet);
                let Some(capability) = capability.retain_least(output.output_index()) else { return };
                let new = || EpochBuffer::new(context.seed, &key, &schema, workers);
                let (_, gather) = open.entry(*capability.time()).or_insert_with(|| (capability, new()));
                context.failure.guard("gathering rows", || gather.push(packet));
            });
            while let Some(entry) = open.first_entry() {
                if frontier.less_equal(entry.key()) {
                    break;
                }
                let (epoch, (capability, gather)) = entry.remove_entry();
                context.failure.guard("a keyed operator", || {
                    let mut session = output.session_with_builder(&capability);
                    let mut give = |mut changes| session.give_container(&mut changes);
                    step(operator.borrow_mut().as_mut(), Epoch(epoch), gather, tail.as_ref(), &context, &mut give)
                });
            }
        }
    })
}

/// Steps an operator over an epoch's rows. What it emits goes down the tail, or else to `give`.
fn step(
    operator: &mut dyn Operator,
    epoch: Epoch,
    rows: EpochBuffer,
    tail: Option<&FusedSink>,
    context: &Context,
    give: &mut dyn FnMut(Changes),
) -> Result<()> {
    operator.step(epoch, &mut rows.finish(), &mut |changes| match tail {
        _ if changes.is_empty() => {}
        Some(tail) => context.failure.guard("writing results", || {
            let changes = tail.apply(changes, context.seed)?;
            if changes.is_empty() { Ok(()) } else { (context.deliver)(tail.sink, epoch, &changes) }
        }),
        None => give(changes),
    })
}

/// The greatest time that each epoch added on any worker, as instants, on every worker; not those that move nothing.
fn clock<'scope>(input: Edge<'scope, Changes>, time: usize, context: &Arc<Context>) -> Edge<'scope, Vec<i64>> {
    let context = context.clone();
    let greatest =
        input.unary_frontier::<CapacityContainerBuilder<Vec<i64>>, _, _, _>(Pipeline, "clock", move |_, _| {
            let mut open: BTreeMap<u64, (Capability<u64>, i64)> = BTreeMap::new();
            let mut seen = None;
            move |(input, frontier), output| {
                input.for_each(|capability, changes| {
                    context.failure.guard("reading times", || {
                        let (Some(time), Some(capability)) =
                            (instant::greatest(changes, time), capability.retain_least(output.output_index()))
                        else {
                            return Ok(());
                        };
                        let (_, greatest) = open.entry(*capability.time()).or_insert((capability, time));
                        *greatest = time.max(*greatest);
                        Ok(())
                    });
                });
                while let Some(entry) = open.first_entry() {
                    if frontier.less_equal(entry.key()) {
                        break;
                    }
                    let (capability, greatest) = entry.remove();
                    if seen < Some(greatest) {
                        seen = Some(greatest);
                        output.session_with_builder(&capability).give(greatest);
                    }
                }
            }
        });
    greatest.broadcast()
}

/// As [`keyed`], for an operator that follows a watermark: it steps where it has input, and wherever the clock moves.
fn windowed<'scope>(
    input: Edge<'scope, Packet>,
    clock: Edge<'scope, Vec<i64>>,
    operator: SharedOperator,
    tail: Option<FusedSink>,
    key: &[usize],
    schema: &Schema,
    context: &Arc<Context>,
) -> Edge<'scope, Changes> {
    let workers = input.scope().peers();
    let (key, schema, context) = (key.to_vec(), schema.clone(), context.clone());
    let pact = DistributorPact(|_| ByWorker);
    input.binary_frontier::<_, NoopBuilder<Changes>, _, _, _, _>(clock, pact, Pipeline, "windowed", move |_, _| {
        let mut open: BTreeMap<u64, (Capability<u64>, EpochBuffer, Option<i64>)> = BTreeMap::new();
        move |(input, frontier), (clock, clock_frontier), output| {
            let new = || EpochBuffer::new(context.seed, &key, &schema, workers);
            input.for_each(|capability, packet| {
                let packet = std::mem::take(packet);
                let Some(capability) = capability.retain_least(output.output_index()) else { return };
                let (_, gather, _) = open.entry(*capability.time()).or_insert_with(|| (capability, new(), None));
                context.failure.guard("gathering rows", || gather.push(packet));
            });
            clock.for_each(|capability, times| {
                let Some(capability) = capability.retain_least(output.output_index()) else { return };
                let (_, _, watermark) = open.entry(*capability.time()).or_insert_with(|| (capability, new(), None));
                *watermark = times.iter().copied().max().max(*watermark);
            });
            while let Some(entry) = open.first_entry() {
                if frontier.less_equal(entry.key()) || clock_frontier.less_equal(entry.key()) {
                    break;
                }
                let (epoch, (capability, gather, watermark)) = entry.remove_entry();
                context.failure.guard("a window operator", || {
                    let mut session = output.session_with_builder(&capability);
                    let mut operator = operator.borrow_mut();
                    if let (Some(windowed), Some(watermark)) = (operator.windowed(), watermark) {
                        windowed.advance(watermark);
                    }
                    let mut give = |mut changes| session.give_container(&mut changes);
                    step(operator.as_mut(), Epoch(epoch), gather, tail.as_ref(), &context, &mut give)
                });
            }
        }
    })
}

fn sink<'scope>(input: Edge<'scope, Changes>, index: usize, context: &Arc<Context>) -> Edge<'scope, Changes> {
    let context = context.clone();
    input.unary::<NoopBuilder<Changes>, _, _, _>(Pipeline, "sink", move |_, _| {
        move |input, _| {
            input.for_each(|capability, changes| {
                let epoch = Epoch(capability.stamp().iter().next().copied().unwrap_or_default());
                context.failure.guard("writing results", || (context.deliver)(index, epoch, changes));
            });
        }
    })
}

/// Moves whole packets to the worker that they name.
struct ByWorker;

impl Distributor<Packet> for ByWorker {
    fn partition<T: Clone, P: Push<Message<T, Packet>>>(
        &mut self,
        packet: &mut Packet,
        stamp: &Stamp<T>,
        pushers: &mut [P],
    ) {
        let worker = packet.worker;
        Message::push_at(packet, stamp.clone(), &mut pushers[worker]);
    }

    fn flush<T: Clone, P: Push<Message<T, Packet>>>(&mut self, _: &Stamp<T>, _: &mut [P]) {}
}

impl Accountable for Changes {
    fn record_count(&self) -> i64 {
        self.rows as i64
    }
}

impl Accountable for Packet {
    fn record_count(&self) -> i64 {
        self.count as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_error_or_panic_is_kept() {
        let failure = Failure::default();
        failure.guard("reading input", || Ok(()));
        failure.check().unwrap();
        failure.guard("reading input", || panic!("a row is gone"));
        failure.guard("routing", || Err(Error::input("never reached")));
        failure.set(Error::input("too late"));
        assert_eq!(failure.check().unwrap_err().message(), "reading input failed: a row is gone");
    }
}
