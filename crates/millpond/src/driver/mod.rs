//! The coordinator of a run: it owns the state, the sources, the sinks and the epochs, and commits them together.
//!
//! One epoch is: the sources say what there is to read, all workers read, route, step and write, and when the last one
//! is done the positions of the sources move on. A checkpoint follows a run's last epoch, and inside a long run from
//! time to time; its order is what makes each row count once:
//!
//! 1. every sink makes what it wrote durable and says how far that is;
//! 2. the runs that no blob holds yet are written and synced;
//! 3. one manifest names the runs, the positions of the sources and of the sinks.
//!
//! A crash before 3 leaves the last checkpoint, and the sinks are cut back to it; a crash after 3 leaves the new one.
//! Between the epochs of a long run only the positions and the list of runs are taken; a thread of its own does the
//! rest while the next epochs run.
//!
//! Sinks that cannot be cut back deliver after 3, on the coordinating thread and before the next checkpoint is taken;
//! what they deliver is in the blobs and the manifest, too. A crash after 3 has it delivered again, by the run that
//! finds the manifest without the mark of a finished run.

mod epochs;
mod follow;
mod outputs;
mod remote;
mod save;
mod saved_program;
mod state;
mod team;

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use millpond_columns::dialect::hint;
use millpond_columns::types::Schema;
use millpond_engine::Epoch;
use millpond_engine::arrangement::StateSize;
use millpond_engine::dataflow::{Context, Inboxes};
use millpond_engine::hash::HashSeed;
use millpond_engine::memory::Memory;
use millpond_engine::operator::OperatorCounters;
use millpond_error::{Error, Result};
use millpond_io::files::list::Look;
use millpond_io::sink::{LogicalRun, Outbox, Sink, rejected_rows, rejected_schema};
use millpond_io::source::{EpochInput, Next, Source};
use millpond_io::wakeup::Wakeup;
use millpond_plan::End;
use millpond_plan::physical::{NodeId, OperatorSpec, PhysicalPlan};
use millpond_store::{Checkpoint, Moves, StateDir};
use parking_lot::Mutex;

use crate::cluster::message::{ControlWriter, Request};
use crate::cluster::{Cluster, Connected, Health, connect, end_with_spawner};
use crate::declare::SourceConnector;
use crate::lacking::lacking;
use crate::monitor::Meters;
use crate::options::RunOptions;
use crate::summary::{Summary, WindowSummary};
pub(crate) use epochs::EpochClock;
use outputs::Output;
use remote::{CoordinatorShared, Remotes};
use save::{Save, Saving};
use state::{SavedSteps, State, UNDELIVERED_HINT, evict_saved};
use team::{Fabric, SavedSegments, Team};

/// How long a request to stop may wait while there is nothing to read.
const SIGNAL_POLL: Duration = Duration::from_millis(50);

/// Runs a plan to the end of its input.
pub(crate) fn run(plan: PhysicalPlan, options: &RunOptions) -> Result<Summary> {
    run_from(plan, options, EpochClock::after)
}

/// As [`run`], with a clock of the caller's, made from the last epoch of the state.
pub(crate) fn run_from(plan: PhysicalPlan, options: &RunOptions, clock: fn(Epoch) -> EpochClock) -> Result<Summary> {
    let started = Instant::now();
    let workers = options.worker_count()?;
    let connectors = Connectors::of(&plan)?;
    let sinks = connectors.check()?;
    if options.state.is_some() {
        connectors.check_memory()?;
    }
    end_with_spawner();
    let cluster = options.cluster.clone().map_or_else(Cluster::from_env, Ok)?;
    let connected = match cluster.processes() {
        1 => None,
        _ => Some(connect(&cluster, workers, plan.fingerprint(), options.state.is_some(), &options.stop)?),
    };
    let (process, connected) = match connected {
        Some(connected) if cluster.process() > 0 => {
            follow::follow(plan, (&connectors, &sinks), connected, workers, options)?;
            return Ok(Summary { process: cluster.process(), elapsed: started.elapsed(), ..Summary::default() });
        }
        connected => (cluster.process(), connected),
    };
    let last_words = connected.as_ref().map(StartupAbort::new).transpose()?;
    let names = connectors.sinks.iter().map(|sink| sink.name.as_str());
    let threads = (cluster.processes(), workers);
    let meters = Arc::new(Meters::new(&plan, names, threads, options.state.is_some(), options.monitoring));
    options.monitor.look_at(Some(meters.clone()));
    let outcome = (|| {
        let state = options
            .state
            .as_ref()
            .map(|backend| State::open(backend.as_disk(), &plan, &connectors.sinks))
            .transpose()?;
        let clock = clock(state.as_ref().map_or(Epoch(0), State::epoch));
        let mut run = Run::open(plan, (connectors, sinks), state, clock, meters, connected, options)?;
        let done = run.read_all(options).and_then(|stopped| run.finish().map(|()| stopped));
        if let (Err(error), Some(remotes)) = (&done, &run.remotes) {
            remotes.fail(error);
        }
        let stopped = done?;
        Ok(Summary { stopped, ..run.summary() })
    })();
    if let (Err(error), Some(last_words)) = (&outcome, last_words) {
        last_words.say(error);
    }
    let mut summary: Summary = outcome?;
    (summary.process, summary.elapsed) = (process, started.elapsed());
    Ok(summary)
}

/// Tells the other processes why the run fails, if it does so before it begins.
struct StartupAbort(Vec<ControlWriter>);

impl StartupAbort {
    fn new(connected: &Connected) -> Result<Self> {
        let copy = |stream: &std::net::TcpStream| stream.try_clone().map(ControlWriter::new);
        let copies = connected.control.iter().flatten().map(copy).collect::<std::io::Result<_>>();
        copies.map(StartupAbort).map_err(|error| lacking("no handle of a connection to another process", error))
    }

    fn say(&self, error: &Error) {
        for speaker in &self.0 {
            let _ = speaker.send(&Request::Fail(error.into()), &[]);
        }
    }
}

/// The connectors that the program put into its plan, back as what they are.
struct Connectors {
    sources: Vec<Arc<SourceConnector>>,
    sinks: Arc<Vec<Output>>,
}

impl Connectors {
    fn of(plan: &PhysicalPlan) -> Result<Self> {
        let sources = plan.sources.iter().map(|source| {
            let what = format!("the source of kind {:?} has a connector of another kind than a run takes", source.kind);
            let foreign = |_| Error::invalid(what).with_hint("make it by millpond::connector").at(&source.origin);
            source.connector.clone().downcast().map_err(foreign)
        });
        let sources = sources.collect::<Result<Vec<_>>>()?;
        let sinks = Arc::new(Output::of(plan, &sources)?);
        Ok(Connectors { sources, sinks })
    }

    /// Checks what can be checked before any state is touched, and makes the sinks, which touch nothing yet.
    fn check(&self) -> Result<Vec<Box<dyn Sink>>> {
        self.sources.iter().try_for_each(|source| (source.check)())?;
        let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
        for connector in self.sinks.iter() {
            (connector.check)()?;
            let sink = (connector.make)()?;
            let identity = sink.identity();
            let mut made = sinks.iter().zip(self.sinks.iter());
            let twin = made.find(|(other, known)| {
                identity.is_some() && other.identity() == identity || known.name == connector.name
            });
            if let Some((_, other)) = twin {
                return Err(connector.twin_of(other));
            }
            sinks.push(sink);
        }
        Ok(sinks)
    }

    /// Checks that every source can say where it was.
    fn check_memory(&self) -> Result<()> {
        self.sources.iter().find_map(|source| source.not_resumable.clone()).map_or(Ok(()), Err)
    }
}

/// A source of this run.
struct OpenSource {
    node: NodeId,
    source: Box<dyn Source>,
    /// The columns that the plan reads.
    columns: Vec<usize>,
    /// The sink that takes its rejected rows.
    dead_letter: Option<usize>,
}

impl OpenSource {
    /// How much its arrangements hold.
    fn state_size(&mut self) -> StateSize {
        self.source.arrangements().iter().map(|(_, arrangement)| arrangement.size()).sum()
    }
}

/// What the sources have for the next epoch.
struct Inputs {
    /// By the index of the source.
    inputs: Vec<(usize, Arc<dyn EpochInput>)>,
    /// When to ask a source again that has nothing now; `None` if all are at their end.
    later: Option<Instant>,
    /// The time that the program says of them.
    time: Option<i64>,
}

/// Everything that is open while a program runs.
struct Run {
    plan: Arc<PhysicalPlan>,
    connectors: Connectors,
    state: Option<State>,
    sources: Vec<OpenSource>,
    /// Whether some source goes on until the user stops the run.
    endless: bool,
    sinks: Arc<Vec<Box<dyn Sink>>>,
    /// Dropped after the team: the others leave when they have heard the last word.
    team: Team,
    /// The other processes.
    remotes: Option<Arc<Remotes>>,
    /// The workers of all processes.
    peers: usize,
    clock: EpochClock,
    meters: Arc<Meters>,
    /// The checkpoint that is being written.
    saving: Option<Saving>,
    /// What the last checkpoint has copied to other places.
    moves: Arc<Moves>,
}

impl Run {
    fn open(
        plan: PhysicalPlan,
        (connectors, mut sinks): (Connectors, Vec<Box<dyn Sink>>),
        mut state: Option<State>,
        clock: EpochClock,
        meters: Arc<Meters>,
        mut connected: Option<Connected>,
        options: &RunOptions,
    ) -> Result<Self> {
        let seed = state.as_ref().map_or(HashSeed(0), State::seed);
        let processes = connected.as_ref().map_or(1, |connected| connected.cluster.neighbours());
        let memory = options.rows_memory(processes)?;
        meters.watch_memory(&memory);
        let mut saved = state.as_ref().map(State::saved).transpose()?.unwrap_or_default();
        let look = options.look.as_ref();
        let mut sources = open_sources(&plan, &connectors, (seed, look), state.is_some(), &mut saved)?;
        for (index, open) in sources.iter_mut().enumerate() {
            meters.set_state(index, open.state_size());
        }
        open_sinks(&plan, &connectors, state.as_ref(), (&mut sinks, &memory))?;
        if let Some(state) = &mut state {
            state.begin(&connectors.sinks, &sinks)?;
        }
        let sinks = Arc::new(sinks);
        let (written, snapshot) = (sinks.clone(), sinks.clone());
        let deliver = Box::new(move |sink: usize, epoch, changes: &_| written[sink].write(epoch, changes));
        let snapshot = Box::new(move |sink: usize, changes: &_| snapshot[sink].write_snapshot(changes));
        let health = Arc::new(Health::default());
        let patience = connected.is_some().then_some(team::POLL_INTERVAL);
        let failure = health.failure.clone();
        let metrics = meters.steps();
        let threads = options.worker_count()?;
        let endless = sources.iter().any(|open| open.source.is_endless());

        let context = Arc::new(Context {
            plan: plan.clone(),
            seed,
            saved,
            deliver,
            failure,
            patience,
            metrics,
            threads,
            inboxes: Inboxes::default(),
            memory,
            is_interrupted: options.interrupts(endless),
        });
        meters.open(endless);
        let disk = options.state.as_ref().map(|state| state.as_disk());
        let (mut remotes, mut peers) = (None, threads);
        let fabric = match &mut connected {
            None => Fabric::local(threads, health)?,
            Some(connected) => {
                peers *= connected.cluster.processes();
                let desk = CoordinatorShared {
                    health: health.clone(),
                    sinks: sinks.clone(),
                    schemas: sink_schemas(&plan, sinks.len()),
                    inputs: Mutex::default(),
                };
                let others = Arc::new(Remotes::new(connected, desk)?);
                let steps = state.as_ref().map(State::records).unwrap_or_default();
                others.tell(&Request::Open { seed: seed.0, steps, endless });
                remotes = Some(others);
                Fabric::cluster(threads, connected, health)?
            }
        };
        let team = Team::start(fabric, context, snapshot, disk)?;
        let plan = Arc::new(plan);
        let run = Run {
            plan,
            connectors,
            state,
            sources,
            endless,
            sinks,
            team,
            remotes,
            peers,
            clock,
            meters,
            saving: None,
            moves: Arc::default(),
        };
        if let Some(remotes) = &run.remotes {
            let opened = remotes.counts().inspect_err(|error| remotes.fail(error))?;
            run.meters.set_others(opened);
        }
        Ok(run)
    }

    fn is_stopped(&self, options: &RunOptions) -> bool {
        options.stop.is_requested() || self.remotes.as_ref().is_some_and(|remotes| remotes.is_stopped())
    }

    /// Runs one epoch on the workers of all processes.
    fn epoch(&self, epoch: Epoch, inputs: &[(usize, Arc<dyn EpochInput>)]) -> Result<()> {
        let Some(remotes) = &self.remotes else { return self.team.epoch(epoch, inputs) };
        remotes.begin_epoch(epoch, inputs, team::ALONE_BYTES);
        let own = self.team.epoch(epoch, inputs);
        let others = remotes.counts();
        own?;
        self.meters.set_others(others?);
        Ok(())
    }

    /// Runs epochs until no source has anything more to read, or the user asks to stop; returns whether it was the
    /// latter.
    fn read_all(&mut self, options: &RunOptions) -> Result<bool> {
        let wakeup = Wakeup::default();
        // What the outputs hold from before.
        self.count_sinks();
        // What may not have been delivered by the run before comes before anything new.
        self.deliver()?;
        self.sources.iter_mut().try_for_each(|open| open.source.watch(&wakeup))?;
        let every = options.checkpoint_every;
        // What a service reads first is soon to be seen.
        let mut due = Instant::now() + if self.endless { Duration::ZERO } else { every };
        let mut unsaved = false;
        loop {
            self.team.check()?;
            let Inputs { inputs, later, time } = self.next_inputs()?;
            let idle = inputs.is_empty();
            if self.endless && self.is_stopped(options) {
                return Ok(true);
            }
            if idle && later.is_none() {
                return Ok(false);
            }
            if self.is_saved()? && unsaved && Instant::now() >= due {
                if every.is_zero() {
                    self.checkpoint()?
                } else {
                    self.begin_checkpoint(&wakeup)?
                }
                due = Instant::now() + every;
                unsaved = false;
            }
            if idle {
                let now = Instant::now();
                let next = later.unwrap_or(now).min(now + SIGNAL_POLL);
                wakeup.wait_until(if unsaved && due > now { next.min(due) } else { next });
                continue;
            }
            self.state.iter().try_for_each(|state| state.directory().check_blobs())?;
            let (epoch, began) = (self.clock.next(time), Instant::now());
            let _epoch = tracing::debug_span!("epoch", epoch = epoch.0).entered();
            self.epoch(epoch, &inputs)?;
            for (index, _) in &inputs {
                self.finish_source_epoch(*index, epoch)?;
            }
            self.sinks.iter().try_for_each(|sink| sink.finish_epoch(epoch))?;
            self.count_sinks();
            self.meters.finish_epoch(epoch, began.elapsed());
            self.tell_of_errors();
            unsaved = true;
        }
    }

    fn next_inputs(&mut self) -> Result<Inputs> {
        let time = self.sources.iter().filter_map(|open| open.source.next_time()).min();
        let mut next = Inputs { inputs: Vec::new(), later: None, time };
        for (index, open) in self.sources.iter_mut().enumerate() {
            if open.source.next_time() > time {
                continue;
            }
            let found = open.source.next_epoch(&open.columns)?;
            let input = if let Next::Input(input) = &found { Some(input) } else { None };
            self.meters.set_counts(index, open.source.counts());
            self.meters.see(index, input, open.source.bytes_waiting());
            match found {
                Next::Input(input) => next.inputs.push((index, input)),
                Next::Later(at) => next.later = Some(next.later.map_or(at, |other| other.min(at))),
                Next::End => {}
            }
        }
        Ok(next)
    }

    fn finish_source_epoch(&mut self, index: usize, epoch: Epoch) -> Result<()> {
        let open = &mut self.sources[index];
        open.source.finish_epoch(epoch)?;
        self.meters.set_state(index, open.state_size());
        self.meters.finish_input(index, open.source.counts());
        let Some(sink) = open.dead_letter else { return Ok(()) };
        let rejects = open.source.take_rejects();
        if rejects.is_empty() {
            return Ok(());
        }
        self.sinks[sink].write(epoch, &rejected_rows(&rejects))
    }

    /// Shows what the sinks have counted.
    fn count_sinks(&self) {
        for (index, sink) in self.sinks.iter().enumerate() {
            self.meters.set_rows_written(index, sink.rows_written(), sink.current_rows());
        }
    }

    /// Saves everything at the present epoch and waits until it is durable. The workers write their own segments.
    fn checkpoint(&mut self) -> Result<()> {
        self.finish_saving()?;
        let directory = self.state.as_ref().map(State::directory);
        let checkpoint = directory.map(StateDir::begin).transpose()?;
        let save = self.take_save(checkpoint.as_ref())?;
        match checkpoint {
            Some(checkpoint) => self.moves = save.write(checkpoint, self.peers)?.into(),
            None => save.prepared.into_iter().try_for_each(|prepared| prepared.make_durable().map(drop))?,
        }
        self.deliver()
    }

    /// Takes down what is to be saved at the present epoch, and has it written while the next epochs run; `wakeup`
    /// wakes the run when that is done.
    fn begin_checkpoint(&mut self, wakeup: &Wakeup) -> Result<()> {
        let save = self.take_save(None)?;
        if let Some(state) = &self.state {
            self.saving = Some(Saving::start(save, state.directory().clone(), self.peers, wakeup.clone())?);
        }
        Ok(())
    }

    /// What a checkpoint at the present epoch saves; with `checkpoint`, the workers have written their segments to it.
    fn take_save(&mut self, checkpoint: Option<&Checkpoint>) -> Result<Save> {
        let began = Instant::now();
        let snapshots: Vec<bool> = self.sinks.iter().map(|sink| sink.needs_snapshot()).collect();
        let moves = std::mem::take(&mut self.moves);
        if let Some(remotes) = &self.remotes {
            let generation = checkpoint.map(Checkpoint::generation);
            let moves = moves.iter().map(|(from, to)| (from.clone(), to.clone())).collect();
            remotes.tell(&Request::Checkpoint { generation, snapshots: snapshots.clone(), moves });
        }
        let mut shares = Vec::new();
        if snapshots.contains(&true) {
            // All rows must be there before a sink prepares what it publishes.
            shares = self.remotes.as_ref().map_or(Ok(Vec::new()), |remotes| remotes.saved())?;
        }
        let late = !snapshots.contains(&true);
        let make = checkpoint.map(|checkpoint| move |worker| checkpoint.writer(worker));
        let make = make.as_ref().map(|make| make as &(dyn Fn(usize) -> _ + Sync));
        let prepare = || self.sinks.iter().map(|sink| sink.prepare()).collect::<Result<_>>();
        let (mut segments, prepared) = if self.peers == 1 || snapshots.contains(&true) {
            (self.team.checkpoint(make.map(|make| make as _), snapshots, moves.clone())?, prepare()?)
        } else {
            // Results and segments are synced at the same time.
            thread::scope(|scope| {
                let prepared = scope.spawn(prepare);
                let segments = self.team.checkpoint(make.map(|make| make as _), snapshots, moves.clone())?;
                Ok::<_, Error>((
                    segments,
                    prepared.join().unwrap_or_else(|panic| Err(Error::of_panic("writing results", &*panic)))?,
                ))
            })?
        };
        if late && let Some(remotes) = &self.remotes {
            shares = remotes.saved()?;
        }
        // Present tables have just been published.
        self.count_sinks();
        for open in &mut self.sources {
            for (arrangement, table) in open.source.arrangements() {
                if let Some(state) = &self.state {
                    evict_saved(state.directory().reader(), &moves, table)?;
                }
                segments.push(SavedSegments { node: open.node, arrangement, entries: table.entries().to_vec() });
            }
        }
        let (plan, outputs) = (self.plan.clone(), self.connectors.sinks.clone());
        let writers = self.remotes.clone().filter(|_| checkpoint.is_none());
        let meters = self.meters.clone();
        Ok(Save { plan, epoch: self.clock.last(), segments, shares, writers, outputs, prepared, began, meters })
    }

    /// Whether no checkpoint is under way; takes note of one that is done.
    fn is_saved(&mut self) -> Result<bool> {
        if self.saving.as_ref().is_some_and(|saving| !saving.is_finished()) {
            return Ok(false);
        }
        self.finish_saving().map(|()| true)
    }

    fn finish_saving(&mut self) -> Result<()> {
        let Some(saving) = self.saving.take() else { return Ok(()) };
        self.moves = saving.finish()?.into();
        self.deliver()
    }

    /// Lets the sinks hand out what the newest checkpoint holds.
    fn deliver(&self) -> Result<()> {
        self.sinks.iter().try_for_each(|sink| sink.deliver())
    }

    /// The last checkpoint and the end of the logical run. Its mark says that everything was delivered.
    fn finish(&mut self) -> Result<()> {
        self.checkpoint()?;
        self.sinks.iter().try_for_each(|sink| sink.finish())?;
        self.state.as_ref().map_or(Ok(()), State::finish)?;
        self.count_sinks();
        self.remotes.as_ref().map_or(Ok(()), |remotes| remotes.end())
    }

    fn summary(&self) -> Summary {
        let mut windows = Vec::new();
        for (node, counts) in self.meters.counts() {
            let node = &self.plan.nodes[node.0];
            if let (Some(_), Some(step)) = (node.clock, &node.step) {
                let OperatorCounters { late_rows, windows_closed } = counts.operator;
                windows.push(WindowSummary { step: step.name.clone(), late_rows, windows_closed });
            }
        }
        Summary { windows, notices: self.meters.notices(), ..Summary::from(self.meters.snapshot()) }
    }

    /// Tells of what a run that goes on after error values has not written.
    fn tell_of_errors(&self) {
        let notice = |(end, error): (End, Error)| {
            let place = error.origin().map(|origin| format!("{origin}: ")).unwrap_or_default();
            let what = match end {
                End::Cell => "cells of an output are left empty",
                End::Row => "rows are left out",
            };
            let log = hint("Table::error_log()", "pw.global_error_log()");
            format!("{place}{what}: {}; {log} has all errors", error.message())
        };
        self.meters.set_errors(self.plan.ended_errors().into_iter().map(notice).collect());
    }
}

fn open_sources(
    plan: &PhysicalPlan,
    connectors: &Connectors,
    (seed, look): (HashSeed, Option<&Arc<dyn Look>>),
    is_saved: bool,
    saved: &mut SavedSteps,
) -> Result<Vec<OpenSource>> {
    let mut dead_letters = plan.sinks.len()..;
    let mut sources = Vec::new();
    for index in 0..plan.sources.len() {
        let node = plan
            .nodes
            .iter()
            .position(|node| matches!(node.operator, OperatorSpec::Source { index: at, .. } if at == index));
        let Some(node) = node else { continue };
        let OperatorSpec::Source { columns, .. } = &plan.nodes[node].operator else { continue };
        let connector = &connectors.sources[index];
        let mut source = (connector.make)(seed)?;
        look.into_iter().for_each(|look| source.look_by(look.clone()));
        if is_saved {
            source.expect_commits();
        }
        if let Some(arrangements) = plan.nodes[node].step.as_ref().and_then(|step| saved.remove(&step.name)) {
            source.open(arrangements)?;
        }
        let dead_letter = connector.dead_letter.as_ref().and_then(|_| dead_letters.next());
        sources.push(OpenSource { node: NodeId(node), source, columns: columns.clone(), dead_letter });
    }
    Ok(sources)
}

/// The columns of each sink's table.
fn sink_schemas(plan: &PhysicalPlan, sinks: usize) -> Vec<Schema> {
    let schema = |sink| {
        plan.nodes.iter().find_map(|node| match node.operator {
            OperatorSpec::Sink { index, .. } if index == sink => Some(node.schema.clone()),
            _ => None,
        })
    };
    (0..sinks).map(|sink| schema(sink).unwrap_or_else(rejected_schema)).collect()
}

fn open_sinks(
    plan: &PhysicalPlan,
    connectors: &Connectors,
    state: Option<&State>,
    (sinks, memory): (&mut [Box<dyn Sink>], &Arc<Memory>),
) -> Result<()> {
    let run = LogicalRun { continues: state.is_some_and(State::continues), is_saved: state.is_some() };
    let rejected = rejected_schema();
    state.map_or(Ok(()), |state| state.check_undelivered(&connectors.sinks))?;
    for (index, sink) in sinks.iter_mut().enumerate() {
        let schema = plan.nodes.iter().find_map(|node| match node.operator {
            OperatorSpec::Sink { index: at, .. } if at == index => Some(&node.schema),
            _ => None,
        });
        let (name, schema) = (&connectors.sinks[index].name, schema.unwrap_or(&rejected));
        sink.count_in(memory);
        sink.open(schema, state.and_then(|state| state.sink_position(name)), run)?;
        let undelivered = state.map_or(Ok(Vec::new()), |state| state.undelivered(name))?;
        if !undelivered.is_empty() {
            let outbox = Outbox::read(schema, &undelivered, memory);
            let taken = outbox.and_then(|outbox| sink.take_back(outbox));
            taken.map_err(|error| error.context(format!("the output \"{name}\"")).with_hint(UNDELIVERED_HINT))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
