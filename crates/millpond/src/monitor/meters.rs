//! The numbers of a run under way. The driver sets them between epochs; whoever looks takes a [`Snapshot`], at any
//! time.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use millpond_engine::Epoch;
use millpond_engine::arrangement::StateSize;
use millpond_engine::memory::Memory;
use millpond_engine::metrics::{StepCounts, StepMetrics};
use millpond_io::source::{EpochInput, Progress, SourceCounts};
use millpond_plan::physical::{NodeId, OperatorSpec, PhysicalPlan};
use parking_lot::{Mutex, MutexGuard};
use tracing::{debug, info, warn};

use super::DEAD_LETTER;
use super::Monitoring;
use super::lag::Lag;
use super::snapshot::{CheckpointSnapshot, RunSnapshot, SinkSnapshot, Snapshot, SourceSnapshot, StepSnapshot};

/// The numbers of one run.
pub(crate) struct Meters {
    started: Instant,
    started_ms: u64,
    processes: usize,
    /// Of all processes.
    workers: usize,
    /// Whether there is a state.
    saves: bool,
    monitoring: Monitoring,
    ended: OnceLock<Duration>,
    memory: OnceLock<Arc<Memory>>,
    /// Whether sources and sinks are open; only then it is known whether the run streams.
    open: AtomicBool,
    streaming: AtomicBool,
    /// 0 before the first.
    epoch: AtomicU64,
    epochs: AtomicU64,
    last_epoch_ns: AtomicU64,
    sources: Vec<SourceMeter>,
    steps: Vec<StepMeter>,
    /// What the steps of the other processes have counted, by process.
    others: Mutex<Vec<Vec<StepCounts>>>,
    sinks: Vec<SinkMeter>,
    /// Notices of error values that went into outputs.
    errors: Mutex<Vec<String>>,
    saved: Mutex<Saved>,
}

struct SourceMeter {
    name: String,
    kind: String,
    state: Mutex<SourceState>,
}

#[derive(Default)]
struct SourceState {
    counts: SourceCounts,
    /// Of epochs that are done; their rows are in `counts`.
    done: Progress,
    waiting: u64,
    /// What its arrangements hold.
    size: StateSize,
    lag: Lag,
    /// The input of the epoch that is under way.
    input: Option<Arc<dyn EpochInput>>,
}

struct StepMeter {
    node: NodeId,
    name: String,
    kind: String,
    metrics: Arc<StepMetrics>,
}

struct SinkMeter {
    name: String,
    kind: String,
    rows_written: AtomicU64,
    /// Of one that holds the present table.
    current_rows: Mutex<Option<u64>>,
}

#[derive(Default)]
struct Saved {
    checkpoints: u64,
    bytes: u64,
    last: Option<CheckpointSnapshot>,
    /// Since when there have been results that no checkpoint holds.
    unsaved_since: Option<Instant>,
}

/// What a health check needs to know.
#[derive(Default)]
pub(crate) struct Health {
    /// How long results have waited for a checkpoint.
    pub unsaved: Option<Duration>,
    /// The age of the last checkpoint.
    pub checkpoint_age: Option<Duration>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock()
}

impl Meters {
    /// Numbers for a run of `plan` in so many processes of so many threads, all zero. `sinks` are the names of its
    /// sinks, and behind them of those for rejected rows; `saves` says whether there is a state.
    pub(crate) fn new<'a>(
        plan: &PhysicalPlan,
        sinks: impl Iterator<Item = &'a str>,
        (processes, threads): (usize, usize),
        saves: bool,
        monitoring: Monitoring,
    ) -> Self {
        let sources = plan.sources.iter().enumerate().filter_map(|(at, source)| {
            let is_here =
                |operator: &OperatorSpec| matches!(operator, OperatorSpec::Source { index, .. } if *index == at);
            let node = plan.nodes.iter().find(|node| is_here(&node.operator))?;
            let name = node.step.as_ref().map_or(&*source.kind, |step| &step.name);
            Some(SourceMeter { name: name.to_owned(), kind: source.kind.to_string(), state: Mutex::default() })
        });
        let steps = plan.nodes.iter().enumerate().filter_map(|(at, node)| {
            let step = node.step.as_ref().filter(|_| !matches!(node.operator, OperatorSpec::Source { .. }))?;
            Some(StepMeter {
                node: NodeId(at),
                name: step.name.clone(),
                kind: step.operator().to_owned(),
                metrics: Arc::default(),
            })
        });
        let sinks = sinks.enumerate().map(|(at, name)| SinkMeter {
            name: name.to_owned(),
            kind: plan.sinks.get(at).map_or(DEAD_LETTER, |sink| &sink.kind).to_owned(),
            rows_written: AtomicU64::new(0),
            current_rows: Mutex::default(),
        });
        Meters {
            started: Instant::now(),
            started_ms: now_ms(),
            processes,
            workers: processes * threads,
            saves,
            monitoring,
            ended: OnceLock::new(),
            memory: OnceLock::new(),
            errors: Mutex::default(),
            open: AtomicBool::new(false),
            streaming: AtomicBool::new(false),
            epoch: AtomicU64::new(0),
            epochs: AtomicU64::new(0),
            last_epoch_ns: AtomicU64::new(0),
            sources: sources.collect(),
            steps: steps.collect(),
            others: Mutex::default(),
            sinks: sinks.collect(),
            saved: Mutex::default(),
        }
    }

    /// The counters that the steps of the dataflow add to.
    pub(crate) fn steps(&self) -> BTreeMap<NodeId, Arc<StepMetrics>> {
        self.steps.iter().map(|step| (step.node, step.metrics.clone())).collect()
    }

    /// What the steps of this process have counted, in the order of the plan.
    pub(crate) fn own_counts(&self) -> Vec<StepCounts> {
        self.steps.iter().map(|step| step.metrics.counts()).collect()
    }

    /// Takes note of what the steps of the other processes have counted, by process.
    pub(crate) fn set_others(&self, counts: Vec<Vec<StepCounts>>) {
        *lock(&self.others) = counts;
    }

    /// What each step has counted in all processes.
    pub(crate) fn counts(&self) -> Vec<(NodeId, StepCounts)> {
        let others = lock(&self.others);
        let of = |at| others.iter().filter_map(move |counts| counts.get(at)).copied();
        let steps = self.steps.iter().enumerate();
        steps.map(|(at, step)| (step.node, of(at).chain([step.metrics.counts()]).sum())).collect()
    }

    /// Takes note that sources and sinks are open; a run that is `streaming` goes on until it is stopped.
    pub(crate) fn open(&self, streaming: bool) {
        self.streaming.store(streaming, Ordering::Relaxed);
        self.open.store(true, Ordering::Release);
        info!(processes = self.processes, workers = self.workers, streaming, "run started");
    }

    /// Shows what this says from now on.
    pub(crate) fn watch_memory(&self, memory: &Arc<Memory>) {
        let _ = self.memory.set(memory.clone());
    }

    /// Whether sources and sinks are open.
    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Whether functions of the program take part, as sources or as outputs.
    pub(crate) fn calls_program(&self) -> bool {
        let is_file = |kind: &str| matches!(kind, "csv" | "jsonlines" | DEAD_LETTER);
        let kinds = self.sources.iter().map(|source| &source.kind).chain(self.sinks.iter().map(|sink| &sink.kind));
        kinds.into_iter().any(|kind| !is_file(kind) && kind != "table")
    }

    /// Whether the run goes on until it is stopped.
    pub(crate) fn is_streaming(&self) -> bool {
        self.streaming.load(Ordering::Relaxed)
    }

    /// Takes note of what a source has for the next epoch, and of the bytes behind it.
    pub(crate) fn see(&self, source: usize, input: Option<&Arc<dyn EpochInput>>, waiting: u64) {
        let mut state = lock(&self.sources[source].state);
        state.waiting = waiting;
        state.lag.see(input.map(|input| input.size_hint()), waiting, Instant::now());
        state.input = input.cloned();
        drop(state);
        if let Some(input) = input {
            debug!(source = self.sources[source].name, bytes = input.size_hint(), waiting_bytes = waiting, "new input");
        }
    }

    /// Takes note that a source's input is done, and of all that it has counted.
    pub(crate) fn finish_input(&self, source: usize, counts: SourceCounts) {
        let meter = &self.sources[source];
        let mut state = lock(&meter.state);
        state.fold_input();
        state.lag.finish();
        let new = state.replace_counts(counts);
        drop(state);
        self.tell(meter, &new);
    }

    /// Takes note of what a source without an input under way has counted.
    pub(crate) fn set_counts(&self, source: usize, counts: SourceCounts) {
        let meter = &self.sources[source];
        let new = lock(&meter.state).replace_counts(counts);
        self.tell(meter, &new);
    }

    fn tell(&self, source: &SourceMeter, notices: &[String]) {
        for notice in notices {
            warn!(source = source.name, "{notice}");
            self.show(notice);
        }
    }

    fn show(&self, notice: &str) {
        if self.tells_at_once() {
            // Whoever closed it does not want to know.
            let _ = writeln!(std::io::stderr(), "millpond: {notice}");
        }
    }

    /// Takes note of the first error value in each column of an output, of which it may know some.
    pub(crate) fn set_errors(&self, notices: Vec<String>) {
        let mut known = lock(&self.errors);
        for notice in notices {
            if !known.contains(&notice) {
                warn!("{notice}");
                self.show(&notice);
                known.push(notice);
            }
        }
    }

    /// Whether notices go to standard error as they come, and not at the end of the run.
    pub(crate) fn tells_at_once(&self) -> bool {
        self.is_streaming() && self.monitoring.leaves_room()
    }

    /// Takes note of how much a source's arrangements hold.
    pub(crate) fn set_state(&self, source: usize, size: StateSize) {
        lock(&self.sources[source].state).size = size;
    }

    /// Takes note of what a sink has written so far, and of how many rows it holds if it holds the present table.
    pub(crate) fn set_rows_written(&self, sink: usize, rows: u64, current: Option<u64>) {
        self.sinks[sink].rows_written.store(rows, Ordering::Relaxed);
        *lock(&self.sinks[sink].current_rows) = current;
    }

    /// Takes note that an epoch is done.
    pub(crate) fn finish_epoch(&self, epoch: Epoch, took: Duration) {
        self.epoch.store(epoch.0, Ordering::Relaxed);
        self.epochs.fetch_add(1, Ordering::Relaxed);
        self.last_epoch_ns.store(took.as_nanos() as u64, Ordering::Relaxed);
        debug!(epoch = epoch.0, duration_s = took.as_secs_f64(), "epoch done");
        if self.saves {
            lock(&self.saved).unsaved_since.get_or_insert_with(Instant::now);
        }
    }

    /// Takes note of a checkpoint that was committed just now.
    pub(crate) fn finish_checkpoint(&self, epoch: Epoch, began: Instant, bytes: u64) {
        let duration_s = began.elapsed().as_secs_f64();
        debug!(epoch = epoch.0, bytes, duration_s, "checkpoint committed");
        let mut saved = lock(&self.saved);
        saved.checkpoints += 1;
        saved.bytes += bytes;
        saved.last = Some(CheckpointSnapshot { epoch: epoch.0, committed_ms: now_ms(), duration_s, bytes });
        // Epochs that ended after it began are no older than that.
        saved.unsaved_since = (epoch.0 < self.epoch.load(Ordering::Relaxed)).then_some(began);
    }

    /// Takes note that the run has ended, well or not.
    pub(crate) fn end(&self) {
        let _ = self.ended.set(self.started.elapsed());
        for source in &self.sources {
            let mut state = lock(&source.state);
            if let Some(progress) = state.fold_input() {
                state.counts.rows_read += progress.rows_read;
                state.counts.rows_rejected += progress.rows_rejected;
            }
        }
    }

    /// Notices so far.
    pub(crate) fn notices(&self) -> Vec<String> {
        let of_sources = self.sources.iter().flat_map(|source| lock(&source.state).counts.notices.clone());
        of_sources.chain(lock(&self.errors).clone()).collect()
    }

    /// How well the run is.
    pub(crate) fn health(&self) -> Health {
        let saved = lock(&self.saved);
        let age = |last: &CheckpointSnapshot| Duration::from_millis(now_ms().saturating_sub(last.committed_ms));
        Health {
            unsaved: saved.unsaved_since.map(|since| since.elapsed()),
            checkpoint_age: saved.last.as_ref().map(age),
        }
    }

    /// The numbers as they are now.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let sources: Vec<(SourceSnapshot, Option<Instant>)> = self.sources.iter().map(SourceMeter::snapshot).collect();
        let oldest = sources.iter().filter_map(|(_, since)| *since).min();
        let saved = lock(&self.saved);
        let epoch = self.epoch.load(Ordering::Relaxed);
        Snapshot {
            run: RunSnapshot {
                started_ms: self.started_ms,
                elapsed_s: self.ended.get().copied().unwrap_or_else(|| self.started.elapsed()).as_secs_f64(),
                processes: self.processes,
                workers: self.workers,
                streaming: self.is_streaming(),
                epoch: (epoch > 0).then_some(epoch),
                epochs: self.epochs.load(Ordering::Relaxed),
                last_epoch_s: Duration::from_nanos(self.last_epoch_ns.load(Ordering::Relaxed)).as_secs_f64(),
                lag_s: oldest.map_or(0.0, |since| since.elapsed().as_secs_f64()),
                memory_limit: self.memory.get().and_then(|memory| memory.process()),
                spilled_bytes: self.memory.get().map_or(0, |memory| memory.spilled()),
                checkpoints: saved.checkpoints,
                checkpoint_bytes: saved.bytes,
                last_checkpoint: saved.last.clone(),
            },
            sources: sources.into_iter().map(|(source, _)| source).collect(),
            steps: self.steps.iter().zip(self.counts()).map(|(step, (_, counts))| step.snapshot(counts)).collect(),
            outputs: self.sinks.iter().map(SinkMeter::snapshot).collect(),
        }
    }
}

impl SourceState {
    /// Takes what was counted, and returns the notices that are new.
    fn replace_counts(&mut self, counts: SourceCounts) -> Vec<String> {
        let before = std::mem::replace(&mut self.counts, counts);
        self.counts.notices.iter().skip(before.notices.len()).cloned().collect()
    }

    /// Adds what was read of the input under way to what is done.
    fn fold_input(&mut self) -> Option<Progress> {
        let input = self.input.take()?;
        let progress = input.progress();
        self.done.files_read += progress.files_read;
        // An input that says nothing of bytes is taken at its word of how many there are.
        self.done.bytes_read += if progress == Progress::default() { input.size_hint() } else { progress.bytes_read };
        Some(progress)
    }
}

impl SourceMeter {
    /// The numbers, and since when there has been something to do.
    fn snapshot(&self) -> (SourceSnapshot, Option<Instant>) {
        let state = lock(&self.state);
        let input = state.input.as_ref();
        let now = input.map(|input| input.progress()).unwrap_or_default();
        let left = input.map_or(0, |input| input.size_hint().saturating_sub(now.bytes_read));
        let snapshot = SourceSnapshot {
            name: self.name.clone(),
            kind: self.kind.clone(),
            files_new: state.counts.files_new,
            files_changed: state.counts.files_changed,
            files_unchanged: state.counts.files_unchanged,
            files_read: state.done.files_read + now.files_read,
            rows_read: state.counts.rows_read + now.rows_read,
            rows_rejected: state.counts.rows_rejected + now.rows_rejected,
            bytes_read: state.done.bytes_read + now.bytes_read,
            bytes_waiting: state.waiting + left + state.counts.unended_bytes,
            state_rows: state.size.rows,
            state_bytes: state.size.bytes,
            state_segments: state.size.segments,
        };
        (snapshot, [state.lag.since(), state.counts.unended_since].into_iter().flatten().min())
    }
}

impl StepMeter {
    fn snapshot(&self, counts: StepCounts) -> StepSnapshot {
        StepSnapshot {
            name: self.name.clone(),
            kind: self.kind.clone(),
            rows_in: counts.rows_in,
            rows_out: counts.rows_out,
            busy_s: counts.busy.as_secs_f64(),
            late_rows: counts.operator.late_rows,
            windows_closed: counts.operator.windows_closed,
            state_rows: counts.state.rows,
            state_bytes: counts.state.bytes,
            state_segments: counts.state.segments,
        }
    }
}

impl SinkMeter {
    fn snapshot(&self) -> SinkSnapshot {
        SinkSnapshot {
            name: self.name.clone(),
            kind: self.kind.clone(),
            rows_written: self.rows_written.load(Ordering::Relaxed),
            current_rows: *lock(&self.current_rows),
        }
    }
}

impl std::fmt::Debug for Meters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.snapshot().fmt(f)
    }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
