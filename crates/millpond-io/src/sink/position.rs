//! What a manifest remembers of a result file: how much of it is committed, and how to know it again.

use millpond_error::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A committed length of a file, with the hash of the bytes before it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    /// The name, for messages.
    pub(super) file: String,
    /// Committed bytes; 0 if no row and no header was ever committed.
    pub(super) length: u64,
    /// xxh3 of the last 64 KiB before `length`, in hexadecimal.
    pub(super) tail_hash: String,
    /// The logical run that wrote it.
    pub(super) run: u64,
}

impl Position {
    pub(super) fn new(file: &str, length: u64, tail_hash: u64, run: u64) -> Self {
        Position { file: file.to_owned(), length, tail_hash: format!("{tail_hash:016x}"), run }
    }

    /// Reads what an earlier run saved.
    pub(super) fn from_saved(saved: &Value, file: &str) -> Result<Self> {
        Position::deserialize(saved)
            .map_err(|error| Error::data(format!("the saved position of {file} cannot be read: {error}")))
    }

    pub(super) fn to_value(&self) -> Value {
        serde_json::json!({
            "file": self.file,
            "length": self.length,
            "tail_hash": self.tail_hash,
            "run": self.run,
        })
    }

    pub(super) fn is_committed(&self) -> bool {
        self.length > 0
    }
}
