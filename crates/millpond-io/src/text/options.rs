//! What a user can say about files of any text format.

use std::path::PathBuf;
use std::time::Duration;

use millpond_columns::types::Schema;
use millpond_error::{Error, Result};

use crate::files::list;

/// Which files to read, and as what.
#[derive(Clone, Debug)]
pub(crate) struct FileOptions {
    /// A file, a directory (read with all directories below it) or a glob such as `logs/*.csv`.
    pub path: String,
    /// The columns to read.
    pub schema: Schema,
    /// What to do with a row that cannot be read as the schema says.
    pub on_error: OnError,
    /// Whether files only ever grow by whole lines.
    pub append_only: bool,
    /// Bytes of one row at which reading stops with an error.
    pub row_bytes: usize,
    /// Whether to go on watching the files; otherwise what is there is read, and that is the end.
    pub streaming: Option<Streaming>,
    /// Whether there is a column `_metadata` after those of the schema.
    pub metadata: bool,
}

/// How files are read that arrive and grow while the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streaming {
    /// The time between two epochs, at least. A new row waits for at most so long before it is read.
    pub commit_every: Duration,
    /// About how many bytes of a backlog are read in one epoch, so that memory is bounded.
    pub epoch_bytes: u64,
}

impl Default for Streaming {
    fn default() -> Self {
        Streaming { commit_every: Duration::from_millis(1500), epoch_bytes: 64 << 20 }
    }
}

/// What to do with a row that cannot be read as the schema says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// The run stops with an error that names file, line, column and value.
    #[default]
    Fail,
    /// The row is left out and counted.
    Skip,
    /// The row is left out, counted, and handed over to be written to this file.
    DeadLetter(PathBuf),
}

impl FileOptions {
    /// Checks what can be checked before any state is touched: that there are columns, and that the path exists.
    pub(crate) fn check(&self) -> Result<()> {
        if self.schema.is_empty() {
            return Err(Error::invalid(format!("the schema of \"{}\" has no column", self.path)));
        }
        list::root_of(&self.path).map(drop)
    }
}
