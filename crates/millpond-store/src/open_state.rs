//! An open state, as its directory and the checkpoints into it share it.

use std::collections::BTreeMap;
use std::sync::Arc;

use millpond_error::{Error, Result};
use parking_lot::{Mutex, MutexGuard};

use crate::disk::Disk;
use crate::manifest::{BlobRange, LogicalRun, Manifest};
use crate::names::{Kind, blob_name};
use crate::reader::{StateReader, missing, too_short};

pub(crate) struct OpenState {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) newest: Mutex<Newest>,
    pub(crate) reader: StateReader,
    pub(crate) run: LogicalRun,
    pub(crate) hash_seed: u64,
    pub(crate) _lock: Box<dyn Send + Sync>,
}

/// What the directory holds now.
#[derive(Debug, Default)]
pub(crate) struct Newest {
    /// Of the newest manifest; 0 if there is none.
    pub(crate) generation: u64,
    pub(crate) manifest_checksum: u64,
    /// Blobs that it names, and where the last segment in each ends.
    pub(crate) blobs: BTreeMap<String, u64>,
    /// The file of its plan.
    pub(crate) plan: Option<String>,
    /// Its logical run finished.
    pub(crate) finished: bool,
    /// The spare exists, and its name is durable.
    pub(crate) spare: bool,
    /// The directory holds nothing else of its kinds of names.
    pub(crate) clean: bool,
    /// A checkpoint is being written.
    pub(crate) writing: bool,
    /// A write failed: what is on disk is known only after opening again.
    pub(crate) failed: bool,
}

impl std::fmt::Debug for OpenState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StateDir").field("disk", &self.disk).field("newest", &self.newest).finish_non_exhaustive()
    }
}

impl OpenState {
    pub(crate) fn newest(&self) -> MutexGuard<'_, Newest> {
        self.newest.lock()
    }

    /// Removes what the newest manifest does not name, apart from the spare.
    pub(crate) fn collect_garbage(&self, newest: &Newest) -> Result<()> {
        let spare = blob_name(newest.generation + 1, 0);
        for name in self.disk.list("")? {
            let unused = match Kind::of(&name) {
                Kind::Manifest(generation) => generation != newest.generation,
                Kind::Plan => newest.plan.as_ref() != Some(&name),
                Kind::Blob => !newest.blobs.contains_key(&name) && (name != spare || !newest.spare),
                Kind::Temp => true,
                Kind::Other => false,
            };
            if unused {
                self.disk.remove(&name)?;
                self.reader.forget(&name);
            }
        }
        Ok(())
    }

    /// Removes what a commit left without use. That the commit is durable stays true when this fails.
    pub(crate) fn remove_unused(&self, names: impl Iterator<Item = String>) {
        for name in names {
            let _ = self.disk.remove(&name);
            self.reader.forget(&name);
        }
    }
}

/// The blobs that a manifest names, and where the last segment in each ends.
pub(crate) fn blob_ends(manifest: &Manifest) -> BTreeMap<String, u64> {
    let mut ends: BTreeMap<String, u64> = BTreeMap::new();
    for BlobRange { blob, offset, length } in manifest.places() {
        match ends.get_mut(blob) {
            Some(end) => *end = (*end).max(offset + length),
            None => drop(ends.insert(blob.clone(), offset + length)),
        }
    }
    ends
}

/// Checks that every blob is long enough for the segments in it.
pub(crate) fn check_lengths(disk: &dyn Disk, ends: &BTreeMap<String, u64>) -> Result<()> {
    for (blob, &end) in ends {
        let length = disk.length(blob)?.ok_or_else(|| missing(&disk.path(blob)))?;
        if length < end {
            return Err(too_short(disk, blob, length));
        }
    }
    Ok(())
}

pub(crate) fn refuse_failed(newest: &Newest) -> Result<()> {
    if newest.failed {
        return Err(Error::unavailable("an earlier write of the saved state failed, and nothing is saved after it")
            .with_hint("run the program again: it goes on from the last checkpoint"));
    }
    Ok(())
}
