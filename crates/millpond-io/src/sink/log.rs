//! A file that grows at its end, written by many threads at once.
//!
//! A writer reserves its place under a lock held for a moment and writes there outside of it, so that formatting and
//! system calls of different threads overlap. Small pieces wait together for a larger write.

use millpond_error::{Error, Result};
use millpond_store::{Disk, DiskFile};
use parking_lot::Mutex;
use xxhash_rust::xxh3::xxh3_64;

/// Pieces shorter than this wait for others.
const DIRECT_BYTES: usize = 128 << 10;
/// Waiting pieces are written when there are this many bytes.
const FLUSH_BYTES: usize = 512 << 10;
/// How much of a file's end is hashed to know it again.
const TAIL_BYTES: usize = 64 << 10;

/// The last bytes of a file up to some length: what it is known by.
#[derive(Clone, Debug, Default)]
pub(super) struct Tail(Vec<u8>);

impl Tail {
    /// The tail of the first `length` bytes of a file; `None` if it is shorter.
    pub(super) fn read(disk: &dyn Disk, name: &str, length: u64) -> Result<Option<Self>> {
        let start = length.saturating_sub(TAIL_BYTES as u64);
        let wanted = (length - start) as usize;
        let bytes = disk.read_at(name, start, wanted)?;
        Ok(bytes.filter(|bytes| bytes.len() == wanted).map(Tail))
    }

    /// The hash that a position holds.
    pub(super) fn hash(&self) -> u64 {
        xxh3_64(&self.0)
    }

    fn push(&mut self, bytes: &[u8]) {
        let new = &bytes[bytes.len().saturating_sub(TAIL_BYTES)..];
        let kept = (TAIL_BYTES - new.len()).min(self.0.len());
        self.0.drain(..self.0.len() - kept);
        self.0.extend_from_slice(new);
    }
}

/// An open file and where it ends.
#[derive(Debug)]
pub(super) struct Log {
    file: Box<dyn DiskFile>,
    end: Mutex<End>,
}

#[derive(Debug)]
struct End {
    /// Where the next write goes. `pending` is not counted.
    reserved: u64,
    pending: Vec<u8>,
    /// The end of everything appended, pending or not.
    tail: Tail,
    /// The length that was synced last.
    synced: u64,
    /// A write or a sync failed: nothing may be called durable from then on.
    failed: bool,
}

impl Log {
    /// A new, empty file.
    pub(super) fn create(disk: &dyn Disk, name: &str) -> Result<Self> {
        Ok(Log::of(disk.create(name)?, 0, Tail::default()))
    }

    /// A file that goes on after `length` bytes, which end with `tail`.
    pub(super) fn open_at(disk: &dyn Disk, name: &str, length: u64, tail: Tail) -> Result<Self> {
        Ok(Log::of(disk.open_at(name, length)?, length, tail))
    }

    fn of(file: Box<dyn DiskFile>, length: u64, tail: Tail) -> Self {
        let end = End { reserved: length, pending: Vec::new(), tail, synced: length, failed: false };
        Log { file, end: Mutex::new(end) }
    }

    /// Appends whole lines. What one thread appends stays in its order.
    pub(super) fn append(&self, bytes: &[u8]) -> Result<()> {
        let mut end = self.lock();
        end.tail.push(bytes);
        if bytes.len() < DIRECT_BYTES {
            end.pending.extend_from_slice(bytes);
            if end.pending.len() < FLUSH_BYTES {
                return Ok(());
            }
            let (place, pieces) = end.take_pending(0);
            drop(end);
            return self.write_at(place, &pieces);
        }
        let (place, pieces) = end.take_pending(bytes.len());
        drop(end);
        self.write_at(place, &pieces)?;
        self.write_at(place + pieces.len() as u64, bytes)
    }

    /// Writes what waits; returns the length of everything appended and its tail. No append is under way.
    pub(super) fn flush(&self) -> Result<(u64, Tail)> {
        let mut end = self.lock();
        if end.failed {
            return Err(earlier_failure());
        }
        let (place, mut pieces) = end.take_pending(0);
        let (length, tail) = (end.reserved, end.tail.clone());
        drop(end);
        self.write_at(place, &pieces)?;
        // The room is used again by the next small pieces.
        pieces.clear();
        let mut end = self.lock();
        if end.pending.is_empty() {
            end.pending = pieces;
        }
        Ok((length, tail))
    }

    /// Whether the first `length` bytes, which were written, are known to be durable.
    pub(super) fn is_durable(&self, length: u64) -> bool {
        self.lock().synced >= length
    }

    /// Makes the first `length` bytes, which were written, durable. More may be appended meanwhile.
    pub(super) fn sync(&self, length: u64) -> Result<()> {
        if self.is_durable(length) {
            return Ok(());
        }
        if self.lock().failed {
            return Err(earlier_failure());
        }
        let synced = self.file.sync();
        let mut end = self.lock();
        end.failed |= synced.is_err();
        if synced.is_ok() {
            end.synced = end.synced.max(length);
        }
        synced
    }

    fn write_at(&self, place: u64, bytes: &[u8]) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.file.write_at(place, bytes).inspect_err(|_| self.lock().failed = true)
    }

    fn lock(&self) -> parking_lot::MutexGuard<'_, End> {
        // A thread that panics ends the run before anything is committed.
        self.end.lock()
    }
}

fn earlier_failure() -> Error {
    Error::unavailable("an earlier write failed, so the file cannot be completed")
}

impl End {
    /// Reserves a place for what waits and `more` bytes after it.
    fn take_pending(&mut self, more: usize) -> (u64, Vec<u8>) {
        let pieces = std::mem::take(&mut self.pending);
        let place = self.reserved;
        self.reserved += (pieces.len() + more) as u64;
        (place, pieces)
    }
}
