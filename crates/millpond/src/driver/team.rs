//! The worker threads of a run: each drives its share of the dataflow and answers to the coordinator, one command at a
//! time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use millpond_engine::Epoch;
use millpond_engine::arrangement::RunEntry;
use millpond_engine::dataflow::{Context, Dataflow};
use millpond_error::{Error, Result};
use millpond_io::sink::Sink;
use millpond_io::source::EpochInput;
use millpond_plan::physical::{NodeId, OperatorSpec, PhysicalPlan};
use millpond_store::{BlobWriter, Checkpoint, StateDir};
use timely::communication::WorkerGuards;
use timely::worker::Worker;

use super::state::{leave_memory, write_runs};

/// Input of fewer bytes is read by one thread.
const ALONE_BYTES: u64 = 512 << 10;
/// How long a worker without work polls before it sleeps.
const IDLE_SPIN: Duration = Duration::from_micros(20);

/// What the coordinator asks of every worker.
enum Command {
    /// Read these inputs, by source, and finish the epoch.
    Epoch(Epoch, Vec<(usize, Arc<dyn EpochInput>)>),
    /// Give the runs of all arrangements, written if there is a state; give the sinks that are marked the present table.
    Checkpoint(Option<BlobWriter>, Arc<Vec<bool>>),
}

/// The runs of one arrangement on one worker.
pub struct SavedRuns {
    /// The node that the arrangement belongs to.
    pub node: NodeId,
    /// The arrangement's name in its operator.
    pub arrangement: &'static str,
    /// Its runs, each with the range of keys that it stands for.
    pub entries: Vec<RunEntry>,
}

/// All worker threads of a run.
pub struct Team {
    context: Arc<Context>,
    commands: Vec<Sender<Command>>,
    replies: Receiver<Vec<SavedRuns>>,
    guards: Option<WorkerGuards<()>>,
}

impl Team {
    /// Starts the threads, builds the dataflow on each and opens the saved state.
    pub fn start(
        workers: usize,
        context: Arc<Context>,
        sinks: Arc<Vec<Box<dyn Sink>>>,
        interrupt: Option<Arc<AtomicBool>>,
        directory: Option<StateDir>,
    ) -> Result<Self> {
        let (reply, replies) = channel();
        let (commands, receivers): (Vec<_>, Vec<_>) = (0..workers).map(|_| channel::<Command>()).unzip();
        let receivers: Vec<_> = receivers.into_iter().map(|receiver| Mutex::new(Some(receiver))).collect();
        let mut config = timely::Config::process(workers);
        config.worker = config.worker.idle_spin(IDLE_SPIN);
        let shared = context.clone();
        let guards = timely::execute(config, move |worker| {
            let receiver = receivers[worker.index()].lock().unwrap_or_else(PoisonError::into_inner).take();
            let Some(commands) = receiver else { return };
            let mut member = Member {
                dataflow: Dataflow::build(worker, &shared),
                context: shared.clone(),
                sinks: sinks.clone(),
                interrupt: interrupt.clone(),
                directory: directory.clone(),
            };
            while let Ok(command) = commands.recv() {
                let runs = match command {
                    Command::Epoch(epoch, inputs) => {
                        member.epoch(worker, epoch, &inputs);
                        Vec::new()
                    }
                    Command::Checkpoint(writer, snapshots) => member.checkpoint(writer, &snapshots),
                };
                if reply.send(runs).is_err() {
                    break;
                }
            }
        })
        .map_err(|reason| Error::unavailable(format!("cannot start {workers} worker threads: {reason}")))?;
        Ok(Team { context, commands, replies, guards: Some(guards) })
    }

    /// The number of worker threads.
    pub fn workers(&self) -> usize {
        self.commands.len()
    }

    /// Runs one epoch over `inputs` on all workers.
    pub fn epoch(&self, epoch: Epoch, inputs: &[(usize, Arc<dyn EpochInput>)]) -> Result<()> {
        self.ask(|_| Command::Epoch(epoch, inputs.to_vec()))?;
        Ok(())
    }

    /// Collects the runs of all arrangements from all workers, written if there is a checkpoint to write them to, and
    /// lets the sinks marked in `snapshots` have the present table.
    pub fn checkpoint(&self, checkpoint: Option<&Checkpoint>, snapshots: Vec<bool>) -> Result<Vec<SavedRuns>> {
        let snapshots = Arc::new(snapshots);
        self.ask(|worker| {
            let writer = checkpoint.map(|checkpoint| checkpoint.writer(worker));
            Command::Checkpoint(writer, snapshots.clone())
        })
    }

    fn ask(&self, command: impl Fn(usize) -> Command) -> Result<Vec<SavedRuns>> {
        for (worker, commands) in self.commands.iter().enumerate() {
            commands.send(command(worker)).map_err(|_| gone())?;
        }
        let mut all = Vec::new();
        for _ in &self.commands {
            all.extend(self.replies.recv().map_err(|_| gone())?);
        }
        self.context.failure.check()?;
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
    sinks: Arc<Vec<Box<dyn Sink>>>,
    interrupt: Option<Arc<AtomicBool>>,
    directory: Option<StateDir>,
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
                    self.dataflow.send(*source, changes);
                    worker.step();
                    if context.failure.is_set() {
                        return Ok(());
                    }
                    if self.interrupt.as_ref().is_some_and(|flag| flag.load(Ordering::Relaxed)) {
                        return Err(Error::interrupted("stopped on request; nothing of this epoch was saved"));
                    }
                }
            }
            Ok(())
        });
        self.dataflow.finish_epoch(worker, epoch);
    }

    fn checkpoint(&mut self, writer: Option<BlobWriter>, snapshots: &[bool]) -> Vec<SavedRuns> {
        let mut saved = Vec::new();
        let plan = &self.context.plan;
        self.dataflow.visit(&mut |node, operator| {
            for sink in sinks_of(plan, node).filter(|sink| snapshots[*sink]) {
                let mut written = Ok(());
                operator.snapshot(&mut |changes| {
                    if written.is_ok() {
                        written = self.sinks[sink].write_snapshot(&changes);
                    }
                })?;
                written?;
            }
            for (arrangement, runs) in operator.arrangements() {
                self.directory.iter().try_for_each(|directory| leave_memory(directory, runs))?;
                saved.push(SavedRuns { node, arrangement, entries: runs.entries().to_vec() });
            }
            Ok(())
        });
        if let Some(writer) = writer {
            self.context.failure.guard("saving the state", || write_runs(writer, &saved));
        }
        saved
    }
}

/// The sinks that write the present table that `node` keeps.
fn sinks_of(plan: &PhysicalPlan, node: NodeId) -> impl Iterator<Item = usize> {
    plan.nodes.iter().filter_map(move |other| match other.operator {
        OperatorSpec::Sink { input, index } if input == node => Some(index),
        _ => None,
    })
}
