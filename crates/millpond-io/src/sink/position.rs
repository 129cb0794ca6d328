//! What a manifest remembers of a result file: how much of it is committed, and how to know it again.

use millpond_error::{Error, Result};
use millpond_store::DAMAGE_HINT;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::log::Tail;

/// A committed length of a file, with the hash of the bytes before it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    /// The name, for people who read a manifest.
    file: String,
    /// Committed bytes; 0 if nothing was committed, or a file without a header that holds no row yet.
    pub(super) length: u64,
    /// xxh3 of the last 64 KiB before `length`, in hexadecimal.
    tail_hash: String,
    /// The rows of the present table that it holds.
    #[serde(default)]
    pub(super) rows: Option<u64>,
}

impl Position {
    pub(super) fn new(file: &str, length: u64, tail: &Tail) -> Self {
        Position { file: file.to_owned(), length, tail_hash: hash_of(tail), rows: None }
    }

    /// The name of the file, without its folder.
    pub(super) fn file(&self) -> &str {
        &self.file
    }

    /// Where nothing is committed.
    pub(super) fn start(file: &str) -> Self {
        Position::new(file, 0, &Tail::default())
    }

    /// Reads what an earlier run saved.
    pub(super) fn from_saved(saved: &Value, file: &str) -> Result<Self> {
        Position::deserialize(saved).map_err(|error| {
            Error::data(format!("the saved position of {file} cannot be read: {error}")).with_hint(DAMAGE_HINT)
        })
    }

    pub(super) fn to_value(&self) -> Value {
        let mut position = serde_json::json!({ "file": self.file, "length": self.length, "tail_hash": self.tail_hash });
        if let Some(rows) = self.rows {
            position["rows"] = rows.into();
        }
        position
    }

    /// Whether the bytes before `length` end with `tail`.
    pub(super) fn has_tail(&self, tail: &Tail) -> bool {
        self.tail_hash == hash_of(tail)
    }

    /// Whether there is a committed file that holds anything. An empty one is simply written anew.
    pub(super) fn is_committed(&self) -> bool {
        self.length > 0
    }
}

fn hash_of(tail: &Tail) -> String {
    format!("{:016x}", tail.hash())
}
