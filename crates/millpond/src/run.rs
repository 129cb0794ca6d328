//! Running a program: its options, and the one line that sums a run up.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use millpond_error::{Error, ErrorKind, Result};
use millpond_io::files::list::{FileSystem, Look};
use millpond_plan::{SinkDecl, lower};
use millpond_store::{Disk, LocalDisk};

use crate::cluster::Cluster;
use crate::driver;
use crate::monitor::{
    HttpAddress, Monitor, Monitoring, Observers, SinkSnapshot, Snapshot, SourceSnapshot, StepSnapshot,
};
use crate::output::Output;
use crate::places::{self, Guard};
use crate::stop::{Running, Stop};

/// Where saved state lives.
#[derive(Clone, Debug)]
pub struct Backend {
    disk: Arc<dyn Disk>,
    /// Of a directory of the local file system.
    path: Option<PathBuf>,
}

impl Backend {
    /// A directory of a local file system; made, with mode 0700, by the first run.
    ///
    /// # Errors
    /// `Invalid`, if the path cannot be made absolute. Touches no disk.
    pub fn filesystem(path: impl AsRef<Path>) -> Result<Self> {
        let disk = LocalDisk::private(&path)?;
        Ok(Backend { disk: Arc::new(disk), path: Some(path.as_ref().to_owned()) })
    }

    /// Any disk, such as a simulated one.
    pub fn disk(disk: Arc<dyn Disk>) -> Self {
        Backend { disk, path: None }
    }

    pub(crate) fn as_disk(&self) -> Arc<dyn Disk> {
        self.disk.clone()
    }
}

/// How a program runs.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Where state is saved; without it every run starts from nothing.
    pub state: Option<Backend>,
    /// The number of worker threads; by default `MILLPOND_WORKERS`, or else one for each core. Results do not depend
    /// on it.
    pub workers: Option<usize>,
    /// Whether to print one line of summary to standard error; notices and the line go nowhere else.
    pub summary: bool,
    /// Stops the run from outside.
    pub stop: Stop,
    /// The time between checkpoints inside a run of many epochs; they are written while the next epochs run, unless it is
    /// zero: then there is one after each epoch. The end of a run always is a checkpoint.
    pub checkpoint_every: Duration,
    /// The processes that run the program together; by default those that the environment names
    /// ([`Cluster::from_env`]).
    pub cluster: Option<Cluster>,
    /// Where the report of the run goes, as JSON, also if it fails; by default to the file that `MILLPOND_REPORT` names,
    /// if it names one.
    pub report: Option<PathBuf>,
    /// Shows the numbers of the run to whoever has a clone.
    pub monitor: Monitor,
    /// What the run shows of itself on standard error while it goes on.
    pub monitoring: Monitoring,
    /// Where the run serves `/metrics` for Prometheus and `/healthz`; by default at the address that `MILLPOND_HTTP`
    /// names, if it names one. An address that other machines can reach needs a token in `MILLPOND_HTTP_TOKEN`.
    pub http: Option<HttpAddress>,
    /// Looks at the files of all sources, for tests: they say what time it is, and what is there.
    #[doc(hidden)]
    pub look: Option<Arc<dyn Look>>,
}

impl Default for RunOptions {
    fn default() -> Self {
        RunOptions {
            state: None,
            workers: None,
            summary: true,
            stop: Stop::default(),
            checkpoint_every: Duration::from_secs(1),
            cluster: None,
            report: None,
            monitor: Monitor::default(),
            monitoring: Monitoring::default(),
            http: None,
            look: None,
        }
    }
}

impl RunOptions {
    /// Saves state in `backend`, and goes on from what is saved there.
    #[must_use]
    pub fn state(mut self, backend: Backend) -> Self {
        self.state = Some(backend);
        self
    }

    /// Saves state in the directory at `path`, and goes on from what is saved there: short for [`RunOptions::state`] with
    /// [`Backend::filesystem`].
    ///
    /// ```
    /// use millpond::RunOptions;
    ///
    /// let options = RunOptions::default().state_at("state/")?;
    /// # Ok::<(), millpond::Error>(())
    /// ```
    ///
    /// # Errors
    /// As of [`Backend::filesystem`].
    pub fn state_at(self, path: impl AsRef<Path>) -> Result<Self> {
        Ok(self.state(Backend::filesystem(path)?))
    }

    /// Uses this number of worker threads.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// Writes a report of the run to this file.
    #[must_use]
    pub fn report(mut self, path: impl Into<PathBuf>) -> Self {
        self.report = Some(path.into());
        self
    }

    /// Shows the numbers of the run to `monitor` and its clones.
    #[must_use]
    pub fn monitor(mut self, monitor: Monitor) -> Self {
        self.monitor = monitor;
        self
    }

    /// Shows this much of the run on standard error while it goes on.
    #[must_use]
    pub fn monitoring(mut self, monitoring: Monitoring) -> Self {
        self.monitoring = monitoring;
        self
    }

    /// Serves `/metrics` and `/healthz` at this address while the run goes on.
    #[must_use]
    pub fn http(mut self, address: HttpAddress) -> Self {
        self.http = Some(address);
        self
    }

    /// Ends the run when `stop`, or a clone of it, is requested.
    #[must_use]
    pub fn stop(mut self, stop: Stop) -> Self {
        self.stop = stop;
        self
    }

    /// Prints nothing.
    #[must_use]
    pub fn quiet(mut self) -> Self {
        self.summary = false;
        self.monitoring = Monitoring::None;
        self
    }

    pub(crate) fn worker_count(&self) -> Result<usize> {
        self.worker_count_by(std::env::var("MILLPOND_WORKERS").ok())
    }

    /// As [`RunOptions::worker_count`]; `variable` is what the environment says.
    fn worker_count_by(&self, variable: Option<String>) -> Result<usize> {
        let named = match (self.workers, variable) {
            (Some(workers), _) => Some(workers),
            (None, Some(text)) => Some(text.trim().parse().map_err(|_| {
                Error::invalid(format!("MILLPOND_WORKERS: \"{text}\" is not a number of worker threads"))
                    .with_hint("such as MILLPOND_WORKERS=4")
            })?),
            (None, None) => None,
        };
        match named {
            Some(workers @ 1..=256) => Ok(workers),
            Some(workers) => Err(Error::invalid(format!("workers must be from 1 to 256, not {workers}"))),
            None => Ok(std::thread::available_parallelism().map_or(1, |cores| cores.get().min(256))),
        }
    }
}

/// The kind of the outputs of rejected rows.
pub(crate) const DEAD_LETTER: &str = "dead_letter";

/// What a run did.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Whether it was stopped before all input was read; the next run reads the rest.
    pub stopped: bool,
    /// Files seen for the first time.
    pub files_new: u64,
    /// Files that had grown.
    pub files_changed: u64,
    /// Files that were as before.
    pub files_unchanged: u64,
    /// Rows read from all sources.
    pub rows_read: u64,
    /// Rows that could not be read and were left out.
    pub rows_rejected: u64,
    /// Changes handed to all sinks of changes.
    pub changes_written: u64,
    /// Rows of all present tables that are written, as they are now; `None` if none is.
    pub current_rows: Option<u64>,
    /// What became of the windows of each `windowby` with a behaviour, in the order of the program.
    pub windows: Vec<WindowSummary>,
    /// What the user may want to know, such as an empty input directory; each a sentence.
    pub notices: Vec<String>,
    /// How long the run took.
    pub elapsed: Duration,
    /// Epochs done.
    pub epochs: u64,
    /// Checkpoints committed to the saved state.
    pub checkpoints: u64,
    /// The numbers of each source, in the order of the program.
    pub sources: Vec<SourceSnapshot>,
    /// The numbers of each step with state, in the order of the plan.
    pub steps: Vec<StepSnapshot>,
    /// The numbers of each output, in the order of the program, then those of rejected rows.
    pub outputs: Vec<SinkSnapshot>,
    /// The number of this process. Only process 0 reads and writes, and so has something to sum up.
    pub process: usize,
}

/// What a run did with the windows of one `windowby` with a behaviour.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WindowSummary {
    /// The step, as the saved state names it.
    pub step: String,
    /// Rows that were ignored because they came too late: one for each window that it would have been in.
    pub late_rows: u64,
    /// Windows that were closed, so that their state was freed.
    pub windows_closed: u64,
}

impl Summary {
    /// Rows ignored as late, over all steps.
    pub fn late_rows(&self) -> u64 {
        self.steps.iter().map(|step| step.late_rows).sum()
    }

    fn print(&self, monitor: &Monitor) {
        if !monitor.has_told_notices() {
            self.notices.iter().for_each(|notice| eprintln!("millpond: {notice}"));
        }
        eprintln!("{self}");
    }

    /// Windows closed, over all steps.
    pub fn windows_closed(&self) -> u64 {
        self.steps.iter().map(|step| step.windows_closed).sum()
    }
}

/// The numbers alone, without windows and notices.
impl From<Snapshot> for Summary {
    fn from(seen: Snapshot) -> Self {
        let is_log = |output: &&SinkSnapshot| output.current_rows.is_none() && output.kind != DEAD_LETTER;
        Summary {
            files_new: seen.sum_sources(|source| source.files_new),
            files_changed: seen.sum_sources(|source| source.files_changed),
            files_unchanged: seen.sum_sources(|source| source.files_unchanged),
            rows_read: seen.sum_sources(|source| source.rows_read),
            rows_rejected: seen.sum_sources(|source| source.rows_rejected),
            changes_written: seen.outputs.iter().filter(is_log).map(|output| output.rows_written).sum(),
            current_rows: seen.outputs.iter().filter_map(|output| output.current_rows).reduce(|a, b| a + b),
            elapsed: Duration::from_secs_f64(seen.run.elapsed_s),
            epochs: seen.run.epochs,
            checkpoints: seen.run.checkpoints,
            sources: seen.sources,
            steps: seen.steps,
            outputs: seen.outputs,
            ..Summary::default()
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files = match (self.files_new, self.files_changed, self.files_unchanged) {
            (0, 0, 0) => String::new(),
            (new, changed, unchanged) => format!("files {new} new, {changed} changed, {unchanged} unchanged; "),
        };
        let rejected = match self.rows_rejected {
            0 => String::new(),
            rejected => format!(" ({} rejected)", counted(rejected, "row")),
        };
        let late = match self.late_rows() {
            0 => String::new(),
            late => format!(", {} ignored as late", counted(late, "row")),
        };
        let current = match self.current_rows {
            None => String::new(),
            Some(rows) => format!(", {}", counted(rows, "current row")),
        };
        let stopped = if self.stopped { "; stopped before the end" } else { "" };
        write!(
            f,
            "millpond: {files}{} read{rejected}{late}, {} written{current}, {:.3} s{stopped}",
            counted(self.rows_read, "row"),
            counted(self.changes_written, "change"),
            self.elapsed.as_secs_f64(),
        )
    }
}

fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Runs a program: reads what is new, updates the saved state, and writes what changed to every output.
///
/// # Errors
/// A mistake in the program (`Invalid`, before anything runs), rows that cannot be read (`Input`), damaged state
/// (`Data`), state in use (`Locked`) or of another program (`Changed`), a failing disk (`Unavailable`). After an error
/// the saved state is as the last checkpoint left it, and the run can be started again.
pub fn run<O: Into<Output>>(outputs: impl IntoIterator<Item = O>, options: &RunOptions) -> Result<Summary> {
    let sinks = outputs.into_iter().map(|output| output.into().declare()).collect::<Result<Vec<SinkDecl>>>();
    let cluster = options.cluster.clone().map_or_else(Cluster::from_env, Ok)?;
    let _running = Running::begin()?;
    if cluster.process() > 0 {
        // Process 0 shows the run.
        return sinks.and_then(lower).and_then(|plan| driver::run(plan, options));
    }
    let _run = tracing::info_span!("run").entered();
    let state = options.state.as_ref().and_then(|state| state.path.as_deref());
    let report = places::report_path(options.report.as_ref());
    let conflict = places::conflict(sinks.as_deref().unwrap_or_default(), state, report.as_deref());
    let conflict = match conflict {
        // Nothing is written there, not even what is wrong with it.
        Some(conflict) if conflict.is_report => return Err(conflict.error),
        conflict => places::refuse(conflict),
    };
    let observers = Observers::start(options)?;
    let outcome = conflict.and(sinks).and_then(|sinks| {
        let look = options.look.clone().unwrap_or_else(|| Arc::new(FileSystem));
        let guard = Guard::new(look, sinks.clone(), state, report.as_deref());
        let options = RunOptions { look: Some(Arc::new(guard)), ..options.clone() };
        driver::run(lower(sinks)?, &options)
    });
    let outcome = observers.finish(outcome);
    if options.summary {
        match &outcome {
            Ok(summary) => summary.print(&options.monitor),
            // A service ends in no other way.
            Err(error) if error.kind() == ErrorKind::Interrupted => {
                if let Some(seen) = options.monitor.snapshot() {
                    Summary { stopped: true, ..Summary::from(seen) }.print(&options.monitor);
                }
            }
            Err(_) => {}
        }
    }
    outcome
}

#[cfg(test)]
mod tests {
    use millpond_error::ErrorKind;

    use super::*;

    #[test]
    fn a_run_has_from_1_to_256_workers() {
        let count = |workers, variable: Option<&str>| {
            RunOptions { workers, ..RunOptions::default() }.worker_count_by(variable.map(str::to_owned))
        };
        let cases = [
            (Some(0), None, "workers must be from 1 to 256, not 0"),
            (None, Some("257"), "workers must be from 1 to 256, not 257"),
            (
                None,
                Some("many"),
                "MILLPOND_WORKERS: \"many\" is not a number of worker threads\nhint: such as MILLPOND_WORKERS=4",
            ),
        ];
        for (workers, variable, text) in cases {
            let error = count(workers, variable).unwrap_err();
            assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Invalid, text));
        }
        assert_eq!(count(None, Some(" 4 ")).unwrap(), 4);
        assert_eq!(count(Some(256), Some("many")).unwrap(), 256);
        assert!(count(None, None).unwrap() >= 1);
    }
}
