//! The worker threads of a run: each drives its share of the dataflow and answers to the coordinator, one command at a
//! time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use millpond_engine::arrangement::SegmentEntry;
use millpond_engine::dataflow::{Context, Dataflow};
use millpond_engine::{Changes, Epoch};
use millpond_error::{Error, Result};
use millpond_io::source::EpochInput;
use millpond_plan::physical::{NodeId, OperatorSpec, PhysicalPlan};
use millpond_store::{BlobWriter, Disk, Moves, StateReader};
use parking_lot::Mutex;
use timely::WorkerConfig;
use timely::communication::allocator::zero_copy::initialize::{CommsGuard, initialize_networking_from_sockets};
use timely::communication::allocator::{AllocatorBuilder, ProcessBuilder};
use timely::communication::{Hooks, WorkerGuards, initialize_from};
use timely::worker::Worker;

use super::state::{evict_saved, segment_record, write_segments};
use crate::cluster::message::SavedRecords;
use crate::cluster::{Connected, Health, Link};
use crate::lacking::lacking;

/// Input of fewer bytes is read by one thread.
pub(super) const ALONE_BYTES: u64 = 512 << 10;
/// How long a worker without work polls before it sleeps.
const IDLE_SPIN: Duration = Duration::from_micros(20);
/// How long a worker sleeps before it looks whether another process was lost.
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Hands rows of the present table to a sink, by its index.
pub(super) type Snapshot = Box<dyn Fn(usize, &Changes) -> Result<()> + Send + Sync>;

/// What the coordinator asks of every worker.
enum Command {
    /// Read these inputs, by source, and finish the epoch.
    Epoch(Epoch, Vec<(usize, Arc<dyn EpochInput>)>),
    /// Give the segments of all arrangements.
    Checkpoint(Checkpoint),
}

/// What a worker does for a checkpoint beside giving its segments.
struct Checkpoint {
    /// Writes the segments.
    writer: Option<BlobWriter>,
    /// The sinks that are given the present table.
    snapshots: Arc<Vec<bool>>,
    /// Reads from now on what is saved, so that its memory is free again.
    saved: Option<Arc<StateReader>>,
    /// What the checkpoint before has copied to other places.
    moves: Arc<Moves>,
}

/// The segments of one arrangement on one worker.
pub(super) struct SavedSegments {
    /// The node that the arrangement belongs to.
    pub node: NodeId,
    /// The arrangement's name in its operator.
    pub arrangement: &'static str,
    /// Its segments, each with the range of keys that it stands for.
    pub entries: Vec<SegmentEntry>,
}

impl SavedSegments {
    /// What a manifest says of those segments that were written.
    pub(super) fn records(&self) -> SavedRecords {
        let segments = self.entries.iter().filter_map(segment_record).collect();
        SavedRecords { node: self.node.0, arrangement: self.arrangement.to_owned(), segments }
    }
}

/// What connects the workers with each other.
pub(super) struct Fabric {
    builders: Vec<AllocatorBuilder>,
    /// The threads that send to and receive from other processes.
    comms: Option<CommsGuard>,
    /// The number of this process's first worker.
    first: usize,
    health: Arc<Health>,
}

impl Fabric {
    /// Worker threads of one process.
    pub(super) fn local(workers: usize, health: Arc<Health>) -> Result<Self> {
        let built = timely::CommunicationConfig::Process(workers).try_build();
        let (builders, _) = built.map_err(|reason| cannot_start(workers, &reason))?;
        Ok(Fabric { builders, comms: None, first: 0, health })
    }

    /// Worker threads that are connected with those of other processes.
    pub(super) fn cluster(threads: usize, connected: &mut Connected, health: Arc<Health>) -> Result<Self> {
        let process = connected.cluster.process();
        let hooks = Hooks::default();
        let local = ProcessBuilder::new_typed_vector(threads, hooks.refill.clone(), None);
        let names: Vec<String> = (0..connected.data.len()).map(|process| connected.name(process)).collect();
        let link = |(stream, name): (Option<_>, String)| stream.map(|stream| Link::new(stream, name, health.clone()));
        let links = connected.data.drain(..).zip(names).map(link).collect();
        let built = initialize_networking_from_sockets(local, links, process, threads, hooks);
        let (builders, comms) = built.map_err(|reason| cannot_start(threads, &reason.to_string()))?;
        let builders = builders.into_iter().map(AllocatorBuilder::Tcp).collect();
        Ok(Fabric { builders, comms: Some(comms), first: process * threads, health })
    }
}

fn cannot_start(workers: usize, reason: &str) -> Error {
    lacking(&format!("cannot start {workers} worker threads"), reason)
}

/// All worker threads of this process.
pub(super) struct Team {
    commands: Vec<Sender<Command>>,
    replies: Receiver<Vec<SavedSegments>>,
    guards: Option<WorkerGuards<()>>,
    comms: Option<CommsGuard>,
    first: usize,
    health: Arc<Health>,
    /// Holds the state.
    disk: Option<Arc<dyn Disk>>,
}

impl Team {
    /// Starts the threads, builds the dataflow on each and opens the saved state.
    pub(super) fn start(
        fabric: Fabric,
        context: Arc<Context>,
        snapshot: Snapshot,
        disk: Option<Arc<dyn Disk>>,
    ) -> Result<Self> {
        let Fabric { builders, comms, first, health } = fabric;
        let workers = builders.len();
        let (reply, replies) = channel();
        let (commands, receivers): (Vec<_>, Vec<_>) = (0..workers).map(|_| channel::<Command>()).unzip();
        let receivers: Vec<_> = receivers.into_iter().map(|receiver| Mutex::new(Some(receiver))).collect();
        let config = WorkerConfig::default().idle_spin(IDLE_SPIN);
        let snapshot = Arc::new(snapshot);
        let guards = initialize_from(builders, Box::new(()), move |allocator| {
            let mut worker = Worker::new(config.clone(), allocator, Some(Instant::now()));
            let worker = &mut worker;
            let at = worker.index() - first;
            let receiver = receivers[at].lock().take();
            let Some(commands) = receiver else { return };
            let mut member = Member {
                dataflow: Dataflow::build(worker, &context),
                context: context.clone(),
                snapshot: snapshot.clone(),
            };
            while let Ok(command) = commands.recv() {
                let segments = match command {
                    Command::Epoch(epoch, inputs) => {
                        member.epoch(worker, epoch, &inputs);
                        Vec::new()
                    }
                    Command::Checkpoint(checkpoint) => member.checkpoint(checkpoint),
                };
                if reply.send(segments).is_err() {
                    break;
                }
            }
            drop(member);
            while worker.has_dataflows() {
                if context.failure.is_abandoned() {
                    worker.installed_dataflows().into_iter().for_each(|dataflow| worker.drop_dataflow(dataflow));
                } else {
                    worker.step_or_park(context.patience);
                }
            }
        })
        .map_err(|reason| cannot_start(workers, &reason))?;
        Ok(Team { commands, replies, guards: Some(guards), comms, first, health, disk })
    }

    /// The error of the run, if there is one.
    pub(super) fn check(&self) -> Result<()> {
        self.health.check()
    }

    /// Runs one epoch over `inputs` on all workers.
    pub(super) fn epoch(&self, epoch: Epoch, inputs: &[(usize, Arc<dyn EpochInput>)]) -> Result<()> {
        self.ask(|_| Command::Epoch(epoch, inputs.to_vec()))?;
        Ok(())
    }

    /// Collects the segments of all arrangements from all workers, written if there is something that makes writers for
    /// the workers by their numbers, and lets the sinks marked in `snapshots` have the present table. `moves` is what
    /// the checkpoint before has copied to other places.
    pub(super) fn checkpoint(
        &self,
        writer: Option<&dyn Fn(usize) -> BlobWriter>,
        snapshots: Vec<bool>,
        moves: Arc<Moves>,
    ) -> Result<Vec<SavedSegments>> {
        let snapshots = Arc::new(snapshots);
        let saved = self.disk.clone().map(StateReader::new).map(Arc::new);
        self.ask(|worker| {
            let writer = writer.map(|writer| writer(self.first + worker));
            let (snapshots, saved, moves) = (snapshots.clone(), saved.clone(), moves.clone());
            Command::Checkpoint(Checkpoint { writer, snapshots, saved, moves })
        })
    }

    fn ask(&self, command: impl Fn(usize) -> Command) -> Result<Vec<SavedSegments>> {
        for (worker, commands) in self.commands.iter().enumerate() {
            commands.send(command(worker)).map_err(|_| gone())?;
        }
        let mut all = Vec::new();
        for _ in &self.commands {
            all.extend(self.replies.recv().map_err(|_| gone())?);
        }
        self.health.check()?;
        Ok(all)
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.commands.clear();
        if let Some(guards) = self.guards.take() {
            // Joined inside a guard: a worker that panicked must not take the process along.
            let _ = catch_unwind(AssertUnwindSafe(|| guards.join()));
        }
        self.health.release();
        match self.comms.take() {
            // Threads that lost their process end by themselves.
            Some(comms) if self.health.failure.is_abandoned() => std::mem::forget(comms),
            comms => drop(catch_unwind(AssertUnwindSafe(|| drop(comms)))),
        }
    }
}

fn gone() -> Error {
    Error::unavailable("a worker thread ended before its work was done")
        .with_hint("this is a defect of millpond; nothing of this epoch was saved")
}

/// One worker thread's side.
struct Member {
    dataflow: Dataflow,
    context: Arc<Context>,
    snapshot: Arc<Snapshot>,
}

impl Member {
    fn epoch(&mut self, worker: &mut Worker, epoch: Epoch, inputs: &[(usize, Arc<dyn EpochInput>)]) {
        self.dataflow.begin_epoch(epoch);
        let context = self.context.clone();
        context.failure.guard("reading input", || {
            for (source, input) in inputs {
                if worker.index() > 0 && input.size_hint() < ALONE_BYTES {
                    continue;
                }
                while let Some(changes) = input.next()? {
                    self.dataflow.send(epoch, *source, changes);
                    worker.step();
                    // Also where another process is lost, which is no error of this one.
                    if context.failure.is_set() {
                        return Ok(());
                    }
                    context.check()?;
                }
            }
            Ok(())
        });
        self.dataflow.finish_epoch(worker, epoch);
    }

    fn checkpoint(&mut self, checkpoint: Checkpoint) -> Vec<SavedSegments> {
        let Checkpoint { writer, snapshots, saved: reader, moves } = checkpoint;
        let mut saved = Vec::new();
        let plan = &self.context.plan;
        self.dataflow.visit(&mut |node, operator| {
            for sink in sinks_of(plan, node).filter(|sink| snapshots[*sink]) {
                operator.snapshot(&mut |changes| (self.snapshot)(sink, &changes))?;
            }
            for (arrangement, segments) in operator.arrangements() {
                reader.iter().try_for_each(|reader| evict_saved(reader, &moves, segments))?;
                saved.push(SavedSegments { node, arrangement, entries: segments.entries().to_vec() });
            }
            Ok(())
        });
        if let Some(writer) = writer {
            self.context.failure.guard("saving the state", || write_segments(writer, &saved));
        }
        saved
    }
}

/// The sinks that write the present table that `node` keeps.
fn sinks_of(plan: &PhysicalPlan, node: NodeId) -> impl Iterator<Item = usize> {
    plan.nodes.iter().filter_map(move |other| match other.operator {
        OperatorSpec::Sink { index } if other.ports[0].node == node => Some(index),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use millpond_error::ErrorKind;

    use super::*;

    /// A worker that is gone when it is asked, and one that goes before it answers.
    #[test]
    fn a_worker_that_is_gone_is_an_error() {
        for waits in [false, true] {
            let (command, commands) = channel();
            let commands = waits.then_some(commands);
            let team = Team {
                commands: vec![command],
                replies: channel().1,
                guards: None,
                comms: None,
                first: 0,
                health: Arc::default(),
                disk: None,
            };
            let error = team.epoch(Epoch(2), &[]).unwrap_err();
            let text = "a worker thread ended before its work was done\n\
                        hint: this is a defect of millpond; nothing of this epoch was saved";
            assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Unavailable, text));
            drop(commands);
        }
    }
}
