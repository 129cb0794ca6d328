//! What a program reads, epoch by epoch, and the position it has reached.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use millpond_engine::arrangement::{Arrangement, SavedArrangement};
use millpond_engine::changes::{Changes, Epoch};
use millpond_engine::wire::MISFIT_HINT;
use millpond_error::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::files::list::Look;
use crate::wakeup::Wakeup;

/// What a program reads. Lives on the coordinating thread.
pub trait Source: Send {
    /// The arrangements that hold the source's position, by name (a directory: its table of files).
    fn arrangements(&mut self) -> Vec<(&'static str, &mut Arrangement)>;

    /// Takes note that the run saves its state; called before anything else, if it does.
    fn expect_commits(&mut self) {}

    /// Looks at files by means of `look`, and no longer by itself; called before anything is read, if at all.
    fn look_by(&mut self, _look: Arc<dyn Look>) {}

    /// Opens saved positions; called at most once, before the first epoch.
    fn open(&mut self, saved: Vec<(String, SavedArrangement)>) -> Result<()>;

    /// Whether the source goes on until the user stops the run.
    fn is_endless(&self) -> bool {
        false
    }

    /// Called once, before the first epoch. An endless source keeps a clone, to wake the run when there is something
    /// new.
    fn watch(&mut self, _wakeup: &Wakeup) -> Result<()> {
        Ok(())
    }

    /// The time of the next epoch, if the program says it: a source whose time is later than that of another one waits
    /// for it, and is not asked for input.
    fn next_time(&self) -> Option<i64> {
        None
    }

    /// The input of the next epoch. `columns` are the positions in the source's schema that the program uses: the
    /// changes hold these columns, in this order.
    fn next_epoch(&mut self, columns: &[usize]) -> Result<Next>;

    /// Takes up the positions that this epoch's input reached; called after all of it was read and before the
    /// checkpoint.
    fn finish_epoch(&mut self, epoch: Epoch) -> Result<()>;

    /// What reads pieces of this source's input in another process of the run; none, if only the process that asks the
    /// source for input can read it. `columns` are those of [`Source::next_epoch`].
    fn piece_reader(&self, _columns: &[usize]) -> Option<Arc<dyn PieceReader>> {
        None
    }

    /// What was read in this run so far, for the summary.
    fn counts(&self) -> SourceCounts;

    /// Bytes that are there to be read, beyond what `next_epoch` gave out, as far as the source knows.
    fn bytes_waiting(&self) -> u64 {
        0
    }

    /// The rows that were rejected or taken back since the last call, in the order of files and lines; only a source
    /// that was asked to hand them over keeps them. Whoever calls writes them away.
    fn take_rejects(&self) -> Vec<Reject> {
        Vec::new()
    }
}

/// What a source has to read.
pub enum Next {
    /// The input of an epoch.
    Input(Arc<dyn EpochInput>),
    /// Nothing now: it wants to be asked again when it wakes the run, or at this time.
    Later(Instant),
    /// Nothing more in this run.
    End,
}

impl Next {
    /// The input, if there is one.
    pub fn into_input(self) -> Option<Arc<dyn EpochInput>> {
        match self {
            Next::Input(input) => Some(input),
            Next::Later(_) | Next::End => None,
        }
    }
}

/// One epoch's input: a queue of work shared by the worker threads.
pub trait EpochInput: Send + Sync {
    /// Reads, parses and returns the next piece (about 1 MiB of text); `None` at the end. Called by many threads at
    /// once. After an error every call returns that error: the first in the order of files and lines.
    fn next(&self) -> Result<Option<Changes>>;

    /// Bytes to read, so that a small input stays on one thread.
    fn size_hint(&self) -> u64;

    /// Whether other processes can read pieces of it.
    fn is_shared(&self) -> bool {
        false
    }

    /// The next piece, by its number, as bytes for a [`PieceReader`] in another process; `None` at the end, and after
    /// an error. Does not wait for other pieces.
    fn hand_out(&self) -> Option<(u64, Vec<u8>)> {
        None
    }

    /// Takes up what came out of a piece in another process; returns the number of the piece.
    fn hand_in(&self, _result: &[u8]) -> Result<u64> {
        Err(Error::unavailable("this input has no pieces for other processes").with_hint(MISFIT_HINT))
    }

    /// Takes note that a piece could not be read in another process.
    fn give_up(&self, _piece: u64, _error: Error) {}

    /// How much is read; asked for while the epoch is under way, by a thread that only looks.
    fn progress(&self) -> Progress {
        Progress::default()
    }
}

/// Reads pieces of a source's input in another process than the one that owns the source.
pub trait PieceReader: Send + Sync {
    /// The rows of a piece, and what the owner must know of it, as bytes for [`EpochInput::hand_in`].
    fn read(&self, piece: &[u8]) -> Result<(Changes, Vec<u8>)>;
}

/// How much of an epoch's input is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Files read to their end.
    pub files_read: u64,
    /// Rows read and passed on.
    pub rows_read: u64,
    /// Rows left out.
    pub rows_rejected: u64,
    /// Bytes read.
    pub bytes_read: u64,
}

/// What a source read in this run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceCounts {
    /// Files that were not known.
    pub files_new: u64,
    /// Known files that had grown.
    pub files_changed: u64,
    /// Known files with nothing new.
    pub files_unchanged: u64,
    /// Rows read and passed on.
    pub rows_read: u64,
    /// Rows left out because they could not be read as the schema says.
    pub rows_rejected: u64,
    /// Last lines without a newline that wait for the rest.
    pub unfinished_lines: u64,
    /// Bytes of rows over several lines that have no end yet, of files that are watched.
    pub unended_bytes: u64,
    /// Since when the oldest of them is there.
    pub unended_since: Option<Instant>,
    /// What a user should know, a sentence each.
    pub notices: Vec<String>,
}

/// A row that could not be read as the schema says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reject {
    /// The path of the file.
    pub file: String,
    /// The physical line where the row starts, from 1.
    pub line: u64,
    /// The column, where one is to blame.
    pub column: Option<String>,
    /// The value, where one is to blame.
    pub value: Option<String>,
    /// What is wrong, as an error would say it.
    pub reason: String,
    /// The row as it stands in the file, without its line end.
    pub row: String,
    /// Whether it was rejected by an earlier run, and is no more: it had only been half written.
    pub is_taken_back: bool,
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.file, self.line)?;
        if let Some(column) = &self.column {
            write!(f, "{column}: ")?;
        }
        f.write_str(&self.reason)
    }
}
