//! Reading the blobs of a state.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use millpond_error::{Error, Result};
use parking_lot::Mutex;

use crate::disk::Disk;
use crate::manifest::{BlobRange, DAMAGE_HINT};

/// Reads saved segments, without the lock: also for the other processes of a run, whose first process holds the lock.
#[derive(Debug)]
pub struct StateReader {
    disk: Arc<dyn Disk>,
    mapped: Mutex<HashMap<String, Bytes>>,
}

impl StateReader {
    /// A reader of the state on `disk`.
    pub fn new(disk: Arc<dyn Disk>) -> Self {
        StateReader { disk, mapped: Mutex::default() }
    }

    /// The full name of the blob that holds a segment.
    pub fn path(&self, place: &BlobRange) -> String {
        self.disk.path(&place.blob)
    }

    /// The bytes of a segment that a manifest names; mapped where the disk maps. They are not verified: the segment's
    /// own checksums do that.
    pub fn segment_bytes(&self, place: &BlobRange) -> Result<Bytes> {
        let blob = self.blob(&place.blob)?;
        let end = place.offset.checked_add(place.length).filter(|&end| end <= blob.len() as u64);
        let end = end.ok_or_else(|| too_short(&*self.disk, &place.blob, blob.len() as u64))?;
        Ok(blob.slice(place.offset as usize..end as usize))
    }

    pub(crate) fn blob(&self, name: &str) -> Result<Bytes> {
        let mut mapped = self.mapped.lock();
        if let Some(bytes) = mapped.get(name) {
            return Ok(bytes.clone());
        }
        let bytes = self.disk.read(name)?.ok_or_else(|| missing(&self.disk.path(name)))?;
        mapped.insert(name.to_owned(), bytes.clone());
        Ok(bytes)
    }

    pub(crate) fn forget(&self, name: &str) {
        self.mapped.lock().remove(name);
    }
}

pub(crate) fn missing(path: &str) -> Error {
    Error::data(format!("{path} is missing")).with_hint(DAMAGE_HINT)
}

pub(crate) fn too_short(disk: &dyn Disk, blob: &str, length: u64) -> Error {
    let path = disk.path(blob);
    Error::data(format!("{path} is damaged: it holds {length} bytes, less than its runs need")).with_hint(DAMAGE_HINT)
}
