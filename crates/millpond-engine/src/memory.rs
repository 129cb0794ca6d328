//! How much memory the rows of a run may take, and where those wait that it has no room for.
//!
//! The limit is for all workers of a process. It is divided once for all: so much for rows that wait for the end of an
//! epoch, so much for state that is not saved yet, and the rest for what is worked on, in pieces that fit it. Where a
//! share is used up, what comes goes to scratch files. Nobody ever waits for room, so there is nothing to be stuck on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use millpond_error::Result;
use millpond_store::{Extent, Scratch, ScratchFile};

/// A packet of the router takes so many bytes at most.
const PACKET_BYTES: u64 = 64 << 20;
/// A bucket is divided when it takes more than so many bytes, however much room there is: that copies each row once
/// more, which costs more than to work on rows that no cache holds.
const BUCKET_BYTES: u64 = 128 << 20;

/// What a worker takes to read and to write, whatever there is to do: its stack, a piece of input and its columns,
/// lines of results, and memory that the allocator does not give back.
const WORKER_BYTES: u64 = 4 << 20;

/// However little room there is: smaller pieces would cost more than they save.
#[derive(Clone, Copy, Debug)]
struct Least {
    /// Bytes of a packet of the router.
    packet: u64,
    /// Bytes of a bucket that is not divided.
    bucket: u64,
    /// Bytes of a segment that is worth a scratch file.
    segment: u64,
}

const LEAST: Least = Least { packet: 4 << 10, bucket: 256 << 10, segment: 64 << 10 };
/// A few rows.
const LEAST_OF_TESTS: Least = Least { packet: 1, bucket: 512, segment: 256 };

/// The memory of a run in one process.
#[derive(Debug)]
pub struct Memory {
    limit: u64,
    threads: u64,
    least: Least,
    scratch: Scratch,
    /// Bytes of rows that wait for the end of an epoch.
    waiting: Arc<AtomicU64>,
    /// Bytes of state that is not saved yet.
    unsaved: Arc<AtomicU64>,
    /// Bytes written to scratch files so far.
    spilled: AtomicU64,
    /// The bytes that the whole process may take, and whether it takes nearly that.
    process: u64,
    is_tight: AtomicBool,
    /// Bytes that came to wait since that was looked at.
    unchecked: AtomicU64,
}

/// Bytes that count as taken while this lives.
#[derive(Debug)]
pub struct Reserved {
    bytes: u64,
    of: Arc<AtomicU64>,
}

impl Memory {
    /// At most about `process` bytes for all that this process has. The rows of `threads` workers take what is left
    /// beside what it has by now, and what each worker needs in any case.
    pub fn of_process(process: u64, threads: usize, scratch: Scratch) -> Self {
        let besides = taken() + threads as u64 * WORKER_BYTES;
        Memory { process, ..Memory::new(process - besides.min(process / 4 * 3), threads, scratch) }
    }

    /// At most about `limit` bytes for the rows that `threads` workers have.
    pub fn new(limit: u64, threads: usize, scratch: Scratch) -> Self {
        Memory {
            process: u64::MAX,
            is_tight: AtomicBool::new(false),
            unchecked: AtomicU64::new(0),
            limit,
            threads: threads.max(1) as u64,
            least: LEAST,
            scratch,
            waiting: Arc::default(),
            unsaved: Arc::default(),
            spilled: AtomicU64::new(0),
        }
    }

    /// So few bytes that some rows are too many, for tests.
    #[doc(hidden)]
    pub fn tiny(limit: u64, threads: usize) -> Self {
        Memory { least: LEAST_OF_TESTS, ..Memory::new(limit, threads, Scratch::from_env(None)) }
    }

    /// Whatever the rows take.
    pub fn unlimited() -> Self {
        Memory::new(u64::MAX, 1, Scratch::from_env(None))
    }

    /// The bytes that the whole process may take, if that is limited.
    pub fn process(&self) -> Option<u64> {
        (self.process < u64::MAX).then_some(self.process)
    }

    /// The bytes that were written to scratch files so far.
    pub fn spilled(&self) -> u64 {
        self.spilled.load(Ordering::Relaxed)
    }

    /// Nothing yet of what waits for the end of an epoch.
    pub(crate) fn waiting(&self) -> Reserved {
        Reserved { bytes: 0, of: self.waiting.clone() }
    }

    /// Whether so many bytes more may wait.
    pub(crate) fn may_wait(&self, bytes: usize) -> bool {
        let bytes = bytes as u64;
        let fits = self.waiting.load(Ordering::Relaxed) + bytes <= self.limit / 8 * 3;
        fits && !self.is_tight(bytes)
    }

    /// Whether the process takes nearly all that it may: there is more in it than what is counted here.
    fn is_tight(&self, bytes: u64) -> bool {
        if self.process == u64::MAX {
            return false;
        }
        // Looking costs some microseconds.
        if self.unchecked.fetch_add(bytes, Ordering::Relaxed) + bytes >= self.limit / 256 {
            self.unchecked.store(0, Ordering::Relaxed);
            self.is_tight.store(taken() >= self.process / 4 * 3, Ordering::Relaxed);
        }
        self.is_tight.load(Ordering::Relaxed)
    }

    /// The bytes of a packet of one of so many buckets that a worker fills.
    pub(crate) fn packet_bytes(&self, buckets: usize) -> usize {
        let share = self.limit / 8 / self.threads / buckets.max(1) as u64;
        share.clamp(self.least.packet, PACKET_BYTES) as usize
    }

    /// How many parts a bucket is divided into at a time, at most.
    pub(crate) fn parts(&self) -> u64 {
        // A packet of each port and part grows while a bucket is divided, and what grows takes up to twice its size.
        (self.limit / 16 / self.threads / (2 * self.least.packet)).clamp(2, 256)
    }

    /// A bucket of more bytes is divided before it is worked on: that takes a few times its size.
    pub(crate) fn bucket_bytes(&self) -> u64 {
        (self.limit / 24 / self.threads).clamp(self.least.bucket, BUCKET_BYTES)
    }

    /// A segment of new rows takes so many bytes at most.
    pub(crate) fn segment_bytes(&self) -> usize {
        (self.limit / 64 / self.threads).clamp(self.least.segment, u64::from(u32::MAX)) as usize
    }

    /// An empty scratch file.
    pub(crate) fn scratch_file(&self) -> Result<ScratchFile> {
        self.scratch.file()
    }

    /// Writes bytes to a scratch file.
    pub(crate) fn append(&self, file: &ScratchFile, bytes: &[u8]) -> Result<Extent> {
        self.spilled.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        file.append(bytes)
    }

    /// Room in memory for a segment, which counts until this is dropped; `None`, if it belongs into a scratch file.
    pub(crate) fn room_for_segment(&self, bytes: usize) -> Option<Reserved> {
        let bytes = bytes as u64;
        let fits = self.unsaved.load(Ordering::Relaxed) + bytes <= self.limit / 8;
        (fits || bytes < self.least.segment).then(|| {
            let mut reserved = Reserved { bytes: 0, of: self.unsaved.clone() };
            reserved.set(bytes as usize);
            reserved
        })
    }

    /// The bytes of a segment in a scratch file, of which memory holds what was read last; `file` has those before
    /// `last`, if there are any.
    pub(crate) fn keep(&self, file: Option<ScratchFile>, last: &[u8]) -> Result<Bytes> {
        let file = file.map_or_else(|| self.scratch_file(), Ok)?;
        self.append(&file, last)?;
        file.into_bytes()
    }
}

/// The memory that this process has taken so far, without what the system can take back at once.
fn taken() -> u64 {
    let pages = |text: &str| -> Option<u64> {
        let mut fields = text.split(' ').skip(1);
        let (resident, shared): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        Some(resident.saturating_sub(shared))
    };
    let statm = std::fs::read_to_string("/proc/self/statm").ok();
    statm.and_then(|text| pages(&text)).unwrap_or_default() * rustix::param::page_size() as u64
}

impl Reserved {
    /// How many bytes are taken.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Says how many bytes are taken by now.
    pub(crate) fn set(&mut self, bytes: usize) {
        let bytes = bytes as u64;
        self.of.fetch_add(bytes.wrapping_sub(self.bytes), Ordering::Relaxed);
        self.bytes = bytes;
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.set(0);
    }
}
