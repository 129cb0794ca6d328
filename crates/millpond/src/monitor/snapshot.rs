//! The numbers of a run at one moment. As JSON, the part of the run report whose names and meanings the version of the
//! report's schema fixes.

use serde::Serialize;

/// The numbers of a run at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Snapshot {
    /// The run as a whole.
    pub run: RunSnapshot,
    /// Its sources, in the order of the program.
    pub sources: Vec<SourceSnapshot>,
    /// Its stateful steps, in the order of the plan.
    pub steps: Vec<StepSnapshot>,
    /// Its outputs, in the order of the program, then those of rejected rows.
    pub outputs: Vec<SinkSnapshot>,
}

/// The numbers of the run as a whole.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunSnapshot {
    /// When it began, in milliseconds since the UNIX epoch.
    pub started_ms: u64,
    /// Seconds since then, up to its end.
    pub elapsed_s: f64,
    /// Processes that run it together.
    pub processes: usize,
    /// Worker threads of all processes.
    pub workers: usize,
    /// Whether it goes on until it is stopped.
    pub streaming: bool,
    /// The epoch done last, as results name it; `None` before the first.
    pub epoch: Option<u64>,
    /// Epochs done by this run.
    pub epochs: u64,
    /// Seconds that the last epoch took.
    pub last_epoch_s: f64,
    /// Seconds since the oldest input that is not done was seen; 0 if there is none.
    pub lag_s: f64,
    /// Bytes of memory that this process may take; `None` before that is known.
    pub memory_limit: Option<u64>,
    /// Bytes that it had no room for in memory, and wrote to scratch files.
    pub spilled_bytes: u64,
    /// Checkpoints committed by this run.
    pub checkpoints: u64,
    /// Bytes that they wrote to blobs.
    pub checkpoint_bytes: u64,
    /// The last of them.
    pub last_checkpoint: Option<CheckpointSnapshot>,
}

/// One checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CheckpointSnapshot {
    /// The epoch that it saves.
    pub epoch: u64,
    /// When it was committed, in milliseconds since the UNIX epoch.
    pub committed_ms: u64,
    /// Seconds from its begin to the commit.
    pub duration_s: f64,
    /// Bytes that it wrote to blobs.
    pub bytes: u64,
}

/// The numbers of one source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SourceSnapshot {
    /// Its name in the plan.
    pub name: String,
    /// Its kind, such as `csv`.
    pub kind: String,
    /// Files seen for the first time.
    pub files_new: u64,
    /// Files that had grown.
    pub files_changed: u64,
    /// Files that were as before, when they were looked at last.
    pub files_unchanged: u64,
    /// Files read to their present end; one that grows is read again.
    pub files_read: u64,
    /// Rows read and passed on.
    pub rows_read: u64,
    /// Rows that could not be read and were left out.
    pub rows_rejected: u64,
    /// Bytes read.
    pub bytes_read: u64,
    /// Bytes that were seen and are not read yet.
    pub bytes_waiting: u64,
    /// Rows of its state, such as the table of its files, with those that cancel and are not merged away yet.
    pub state_rows: u64,
    /// Bytes of its state.
    pub state_bytes: u64,
    /// Sorted runs that its state consists of.
    pub state_segments: u64,
}

/// The numbers of one stateful step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepSnapshot {
    /// Its name in the plan.
    pub name: String,
    /// What it does, such as `reduce`.
    pub kind: String,
    /// Changes taken in.
    pub rows_in: u64,
    /// Changes handed on.
    pub rows_out: u64,
    /// Seconds spent in it, added up over the workers.
    pub busy_s: f64,
    /// Rows ignored as late, in a step of windows with a behaviour.
    pub late_rows: u64,
    /// Windows that were closed, in such a step.
    pub windows_closed: u64,
    /// Rows of its state, with those that cancel and are not merged away yet.
    pub state_rows: u64,
    /// Bytes of its state.
    pub state_bytes: u64,
    /// Sorted runs that its state consists of.
    pub state_segments: u64,
}

/// The numbers of one output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SinkSnapshot {
    /// Its name, such as the path of a file.
    pub name: String,
    /// Its kind, such as `csv`, or `dead_letter`.
    pub kind: String,
    /// Rows written: changes, or rows of the present table, each time that it is written.
    pub rows_written: u64,
    /// The rows of the present table that it holds; `None` for an output of changes.
    pub current_rows: Option<u64>,
}

impl Snapshot {
    /// The sum of one number over all sources.
    pub fn sum_sources(&self, number: impl Fn(&SourceSnapshot) -> u64) -> u64 {
        self.sources.iter().map(number).sum()
    }

    /// The sum of one number over all steps.
    pub fn sum_steps(&self, number: impl Fn(&StepSnapshot) -> u64) -> u64 {
        self.steps.iter().map(number).sum()
    }

    /// The bytes of the state, of sources and steps.
    pub fn state_bytes(&self) -> u64 {
        self.sum_sources(|source| source.state_bytes) + self.sum_steps(|step| step.state_bytes)
    }

    /// The rows written to all outputs.
    pub fn rows_written(&self) -> u64 {
        self.outputs.iter().map(|output| output.rows_written).sum()
    }
}
