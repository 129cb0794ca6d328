//! The identity of a file: the hash of all bytes read of it.
//!
//! A file is cut into blocks of 1 MiB, which are hashed each by itself, so that what was added can be hashed alone; the
//! hash of the content is the hash of the list of the blocks' hashes. Part of the saved state: it never changes within
//! a format version.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use millpond_error::{Error, Result};
use parking_lot::Mutex;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use super::list::unreadable;

/// The size of a block. Unit tests use tiny ones, so that small inputs have many.
pub const BLOCK_BYTES: usize = if cfg!(test) { 61 } else { 1 << 20 };

/// The hash of a block; the last one of a file may be shorter.
#[inline]
pub fn hash_block(block: &[u8]) -> u128 {
    xxh3_128(block)
}

/// Hashes the blocks of a file as its bytes come.
pub(crate) struct BlockHasher {
    /// The number of the block under way.
    block: usize,
    /// Bytes of it so far.
    length: usize,
    state: Xxh3,
    /// Blocks that are done: number and hash.
    done: Vec<(usize, u128)>,
}

impl BlockHasher {
    /// Starts with the block of this number.
    pub(crate) fn new(block: usize) -> Self {
        BlockHasher { block, length: 0, state: Xxh3::new(), done: Vec::new() }
    }

    /// Takes the next bytes of the file.
    pub(crate) fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK_BYTES - self.length));
            self.state.update(now);
            self.length += now.len();
            if self.length == BLOCK_BYTES {
                self.end_block();
            }
            bytes = later;
        }
    }

    /// The end of the file: its last block may be shorter.
    pub(crate) fn end(&mut self) {
        if self.length > 0 {
            self.end_block();
        }
    }

    /// Takes out the number and hash of each block that is done.
    pub(crate) fn take(&mut self) -> std::vec::Drain<'_, (usize, u128)> {
        self.done.drain(..)
    }

    fn end_block(&mut self) {
        self.done.push((self.block, self.state.digest128()));
        self.state.reset();
        (self.block, self.length) = (self.block + 1, 0);
    }
}

impl std::fmt::Debug for BlockHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlockHasher").field("block", &self.block).field("length", &self.length).finish_non_exhaustive()
    }
}

/// The hash of a content, from the hashes of its blocks.
pub fn hash_of_blocks(blocks: &[u128]) -> u128 {
    let bytes: Vec<u8> = blocks.iter().flat_map(|hash| hash.to_le_bytes()).collect();
    xxh3_128(&bytes)
}

/// The number of whole and partial blocks in `length` bytes.
pub fn block_count(length: u64) -> usize {
    length.div_ceil(BLOCK_BYTES as u64) as usize
}

/// Reads exactly `buffer.len()` bytes at `offset`; a file that ends before is an `Unavailable` error.
pub(crate) fn read_at(file: &File, path: &Path, buffer: &mut [u8], offset: u64) -> Result<()> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], offset + done as u64) {
            Ok(0) => {
                let (shown, at, wanted) = (path.display(), offset + done as u64, offset + buffer.len() as u64);
                return Err(Error::unavailable(format!(
                    "{shown} became shorter while it was read: it ends at byte {at}, before byte {wanted}"
                ))
                .with_hint("run again when the file is at rest"));
            }
            Ok(read) => done += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(path, &error)),
        }
    }
    Ok(())
}

/// The start of a file, whose blocks are to be hashed.
#[derive(Clone, Debug)]
pub struct Prefix<'a> {
    /// The file.
    pub path: &'a Path,
    /// The number of bytes from its start.
    pub length: u64,
}

/// The hashes of the blocks of each prefix. Large ones are read by all processors. `None`: the file is shorter.
pub fn hash_prefixes(prefixes: &[Prefix<'_>]) -> Result<Vec<Option<Vec<u128>>>> {
    const LARGE: u64 = 8 << 20;
    let total: u64 = prefixes.iter().map(|prefix| prefix.length).sum();
    let threads = if total < LARGE { 1 } else { std::thread::available_parallelism().map_or(1, usize::from) };
    let work = Hashing::new(prefixes)?;
    let results: Vec<Result<()>> = std::thread::scope(|scope| {
        let helpers: Vec<_> = (1..threads).map(|_| scope.spawn(|| work.run())).collect();
        let own = work.run();
        let lost = |panic: Box<_>| Err(Error::of_panic("hashing files", &*panic));
        let joined = helpers.into_iter().map(|helper| helper.join().unwrap_or_else(lost));
        std::iter::once(own).chain(joined).collect()
    });
    results.into_iter().collect::<Result<()>>()?;
    Ok(work.finish())
}

/// Blocks of several files, taken one after the other by several threads.
struct Hashing<'a> {
    prefixes: &'a [Prefix<'a>],
    files: Vec<Option<File>>,
    /// The number of the first block of each prefix, and of the end.
    starts: Vec<usize>,
    next: AtomicUsize,
    hashes: Mutex<Vec<u128>>,
}

impl<'a> Hashing<'a> {
    fn new(prefixes: &'a [Prefix<'a>]) -> Result<Self> {
        let mut starts = vec![0];
        let mut files = Vec::with_capacity(prefixes.len());
        for prefix in prefixes {
            let file = File::open(prefix.path).map_err(|error| unreadable(prefix.path, &error))?;
            let size = file.metadata().map_err(|error| unreadable(prefix.path, &error))?.len();
            let long_enough = size >= prefix.length;
            let blocks = if long_enough { block_count(prefix.length) } else { 0 };
            starts.push(starts.last().map_or(0, |start| start + blocks));
            files.push(long_enough.then_some(file));
        }
        let hashes = Mutex::new(vec![0; starts.last().copied().unwrap_or(0)]);
        Ok(Hashing { prefixes, files, starts, next: AtomicUsize::new(0), hashes })
    }

    fn run(&self) -> Result<()> {
        let mut buffer = Vec::new();
        let total = self.starts.last().copied().unwrap_or(0);
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= total {
                return Ok(());
            }
            let index = self.starts.partition_point(|start| *start <= number) - 1;
            let prefix = &self.prefixes[index];
            let Some(file) = &self.files[index] else { continue };
            let offset = ((number - self.starts[index]) * BLOCK_BYTES) as u64;
            let length = (prefix.length - offset).min(BLOCK_BYTES as u64) as usize;
            buffer.resize(length, 0);
            read_at(file, prefix.path, &mut buffer, offset)?;
            let hash = hash_block(&buffer);
            self.hashes.lock()[number] = hash;
        }
    }

    fn finish(self) -> Vec<Option<Vec<u128>>> {
        let hashes = self.hashes.into_inner();
        let ranges = self.starts.windows(2).map(|pair| hashes[pair[0]..pair[1]].to_vec());
        self.files.iter().zip(ranges).map(|(file, hashes)| file.is_some().then_some(hashes)).collect()
    }
}
