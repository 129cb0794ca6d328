//! What a run did, as numbers and as one line.

use std::fmt;
use std::time::Duration;

use crate::monitor::{DEAD_LETTER, Monitor, SinkSnapshot, Snapshot, SourceSnapshot, StepSnapshot};

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

    pub(crate) fn print(&self, monitor: &Monitor) {
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

pub(crate) fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
