//! What rows go through without waiting: the stateless steps behind a source or a keyed operator, up to the sinks and
//! the inboxes of the next keyed operators.
//!
//! A batch goes the whole way while the cache holds it, before the next one is made: so no epoch's rows wait as a whole
//! between two steps.

use std::collections::BTreeMap;
use std::sync::Arc;

use millpond_columns::types::ColumnType;
use millpond_error::Result;
use millpond_plan::eval::MapStage;
use millpond_plan::physical::{Consolidate, NodeId, OperatorSpec};

use super::Context;
use super::breakers::{Breaker, Breakers, Port};
use super::inbox::Inbox;
use crate::changes::{Changes, Epoch};
use crate::consolidate::consolidate;
use crate::expand;
use crate::hash::HashSeed;
use crate::instant;
use crate::route::{Message, Router, buckets_per_worker};

/// The steps behind one node, on one worker.
pub(super) struct Pipeline {
    context: Arc<Context>,
    /// Each stands before those behind it; the first hands on the rows of the node.
    stages: Vec<Stage>,
    packet_bytes: usize,
    /// Where rows of this pipeline wait, and at which port.
    targets: Vec<(usize, Port)>,
}

struct Stage {
    work: Work,
    /// The stages that its rows go to.
    next: Vec<usize>,
}

enum Work {
    Forward,
    Map { stage: Arc<MapStage>, mode: Consolidate },
    Expand { first: usize },
    Flatten { column: usize, element: ColumnType },
    Sink { index: usize },
    Route { target: Target, router: Router },
    Clock { target: Target, time: usize, seen: Option<i64>, greatest: Option<i64> },
}

/// Where messages go.
struct Target {
    /// Its number among those of the pipeline.
    number: usize,
    port: usize,
    /// The inboxes of the workers of this process, the first of which has this number.
    inboxes: Vec<Arc<Inbox>>,
    first: usize,
}

/// Takes messages for workers of other processes, with the number of the target.
pub(super) type Send<'a> = dyn FnMut(usize, Message) + 'a;

impl Pipeline {
    /// What is behind `node`. `worker` is one of this process, and there are `workers` of all processes.
    pub(super) fn behind(
        node: NodeId,
        breakers: &Breakers,
        context: &Arc<Context>,
        worker: usize,
        workers: usize,
    ) -> Self {
        // Each port of each operator has a router, which fills packets for all workers.
        let packet_bytes = context.memory.packet_bytes(breakers.ports() * workers * buckets_per_worker(workers));
        let mut pipeline = Pipeline { context: context.clone(), stages: Vec::new(), packet_bytes, targets: Vec::new() };
        pipeline.push_stage(Work::Forward);
        let mut reached: BTreeMap<NodeId, usize> = BTreeMap::from([(node, 0)]);
        let nodes = &context.plan.nodes;
        for (at, node) in nodes.iter().enumerate().skip(node.0 + 1) {
            let at = NodeId(at);
            let before: Vec<(usize, usize)> =
                (0..).zip(&node.ports).filter_map(|(port, from)| Some((port, *reached.get(&from.node)?))).collect();
            if let OperatorSpec::Keyed(_) = node.operator {
                let breaker = breakers.at(at);
                for (port, from) in before {
                    pipeline.route(from, breaker, port, worker, workers);
                }
                if let Some((from, time)) = node.clock
                    && let Some(from) = reached.get(&from)
                {
                    let target = pipeline.target(breaker, Port::Clock, worker, workers);
                    let clock = pipeline.push_stage(Work::Clock { target, time, seen: None, greatest: None });
                    pipeline.stages[*from].next.push(clock);
                }
                continue;
            }
            if before.is_empty() {
                continue;
            }
            let stage = pipeline.push_stage(match &node.operator {
                OperatorSpec::Map { stage, consolidate } => Work::Map { stage: stage.clone(), mode: *consolidate },
                OperatorSpec::Expand { first } => Work::Expand { first: *first },
                OperatorSpec::Flatten { column, .. } => {
                    Work::Flatten { column: *column, element: node.schema.columns()[*column].ty }
                }
                OperatorSpec::Sink { index } => Work::Sink { index: *index },
                OperatorSpec::Source { .. } | OperatorSpec::Union { .. } | OperatorSpec::Keyed(_) => Work::Forward,
            });
            before.into_iter().for_each(|(_, from)| pipeline.stages[from].next.push(stage));
            match breakers.behind(at) {
                Some(breaker) => pipeline.route(stage, breaker, 0, worker, workers),
                None => drop(reached.insert(at, stage)),
            }
        }
        pipeline
    }

    fn push_stage(&mut self, work: Work) -> usize {
        self.stages.push(Stage { work, next: Vec::new() });
        self.stages.len() - 1
    }

    fn route(&mut self, from: usize, breaker: &Breaker, port: usize, worker: usize, workers: usize) {
        let (key, schema) = breaker.ports[port].clone();
        let router = Router::new(self.context.seed, key, schema, workers, self.packet_bytes);
        let target = self.target(breaker, Port::Rows(port), worker, workers);
        let route = self.push_stage(Work::Route { target, router });
        self.stages[from].next.push(route);
    }

    fn target(&mut self, breaker: &Breaker, port: Port, worker: usize, workers: usize) -> Target {
        let number = self.targets.len();
        self.targets.push((breaker.number, port));
        let threads = self.context.threads;
        let first = worker / threads * threads;
        let inboxes = (first..first + threads).map(|worker| self.context.inbox(breaker, worker, workers)).collect();
        let port = if let Port::Rows(port) = port { port } else { 0 };
        Target { number, port, inboxes, first }
    }

    /// Where its messages go, by number.
    pub(super) fn targets(&self) -> &[(usize, Port)] {
        &self.targets
    }

    /// Takes rows all the way.
    pub(super) fn push(&mut self, epoch: Epoch, changes: Changes, send: &mut Send<'_>) -> Result<()> {
        push(&mut self.stages, 0, &self.context, epoch, changes, send)
    }

    /// Sends on what the end of an epoch lets go.
    pub(super) fn end_epoch(&mut self, epoch: Epoch, workers: usize, send: &mut Send<'_>) -> Result<()> {
        for stage in &mut self.stages {
            match &mut stage.work {
                Work::Route { target, router } => {
                    router.flush(&mut |packet| target.give(epoch, Message::Rows(packet), send))?;
                }
                Work::Clock { target, seen, greatest, .. } => {
                    let Some(time) = greatest.take().filter(|time| *seen < Some(*time)) else { continue };
                    *seen = Some(time);
                    (0..workers).try_for_each(|worker| target.give(epoch, Message::Time { worker, time }, send))?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Steps may stand one behind another in thousands, more than the stack of a thread has room for.
fn deeper<T>(push: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(128 << 10, 1 << 20, push)
}

/// Takes rows through the first of these stages, which is number `at` of all, and on.
fn push(
    stages: &mut [Stage],
    at: usize,
    context: &Context,
    epoch: Epoch,
    changes: Changes,
    send: &mut Send<'_>,
) -> Result<()> {
    if changes.is_empty() {
        return Ok(());
    }
    let Some((stage, behind)) = stages.split_first_mut() else { return Ok(()) };
    let next = &stage.next;
    let mut hand_on = |changes: Changes, send: &mut Send<'_>| {
        let Some((last, others)) = next.split_last() else { return Ok(()) };
        for to in others {
            deeper(|| push(&mut behind[to - at - 1..], *to, context, epoch, changes.clone(), send))?;
        }
        deeper(|| push(&mut behind[last - at - 1..], *last, context, epoch, changes, send))
    };
    match &mut stage.work {
        Work::Forward => hand_on(changes, send),
        Work::Map { stage, mode } => hand_on(mapped(stage, *mode, changes, context.seed)?, send),
        Work::Expand { first } => expand::expand(&changes, *first, &mut |piece| hand_on(piece, send)),
        Work::Flatten { column, element } => {
            expand::flatten(&changes, *column, *element, &mut |piece| hand_on(piece, send))
        }
        Work::Sink { index } => (context.deliver)(*index, epoch, &changes),
        Work::Route { target, router } => {
            router.push(changes, &mut |packet| target.give(epoch, Message::Rows(packet), send))
        }
        Work::Clock { time, greatest, .. } => {
            *greatest = instant::greatest(&changes, *time).max(*greatest);
            Ok(())
        }
    }
}

impl Target {
    /// Puts a message into the inbox of a worker of this process, or sends it on.
    fn give(&self, epoch: Epoch, message: Message, send: &mut Send<'_>) -> Result<()> {
        let local = message.worker().checked_sub(self.first).and_then(|worker| self.inboxes.get(worker));
        match local {
            Some(inbox) => inbox.push(epoch, self.port, message),
            None => {
                send(self.number, message);
                Ok(())
            }
        }
    }
}

/// What a map makes of changes. Rows that cancel and are in one batch are brought together.
fn mapped(stage: &MapStage, mode: Consolidate, changes: Changes, seed: HashSeed) -> Result<Changes> {
    let apply = |changes: &Changes| stage.apply(&changes.columns, changes.rows, changes.diffs.each());
    let (changes, mapped) = match apply(&changes) {
        Ok(mapped) => (changes, mapped),
        // A row that goes in the epoch in which it came is none, whatever is wrong with it.
        Err(_) if !changes.diffs.insert_only() => {
            let net = consolidate(changes, seed)?;
            let mapped = apply(&net)?;
            (net, mapped)
        }
        Err(error) => return Err(error),
    };
    let diffs = match &mapped.selection {
        Some(kept) => changes.diffs.filter(kept),
        None => changes.diffs,
    };
    let changes = Changes { columns: mapped.columns, rows: mapped.rows, diffs };
    let cancels = mode == Consolidate::InBatch && !changes.diffs.insert_only();
    if cancels { consolidate(changes, seed) } else { Ok(changes) }
}
