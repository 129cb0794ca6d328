//! A checkpoint being written: blobs from many threads, then the commit.
//!
//! The order of the steps, and why it is safe, stands in [`state`](crate::state).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use millpond_error::{Error, Result};
use parking_lot::{Mutex, MutexGuard};

use crate::compact::{self, FULL_BLOB_BYTES};
use crate::disk::{Disk, DiskFile};
use crate::finished::{self, Mark};
use crate::manifest::{BlobRange, Manifest, Moves, checksum_of};
use crate::names::{MANIFEST_TEMP, blob_name, manifest_name, plan_name};
use crate::open_state::{OpenState, blob_ends, refuse_failed};
use crate::reader::too_short;

/// Segments of this size go into a blob of the worker's own: workers do not wait for each other's writes, and what
/// lives long does not stand beside what is soon merged.
const OWN_BLOB_FROM_BYTES: usize = 256 << 10;
/// The further blobs of a worker have numbers so far apart.
const NEXT_BLOB: usize = 10_000;
/// Segments start at multiples of this.
const ALIGN_BYTES: u64 = 64;

/// A checkpoint being written; dropped without a commit, it leaves files that the next one removes.
#[derive(Debug)]
pub struct Checkpoint {
    state: Arc<OpenState>,
    shared: Arc<Shared>,
}

/// The part of a checkpoint that another process writes: blobs of its own in the same directory, which the process that
/// holds the state commits once they are durable.
#[derive(Debug)]
pub struct CheckpointShare {
    shared: Arc<Shared>,
}

/// One worker's way to write segments into a checkpoint.
#[derive(Debug)]
pub struct BlobWriter {
    shared: Arc<Shared>,
    worker: usize,
    apart: bool,
    /// Blobs of its own; the last one is written to.
    own: Vec<Arc<Blob>>,
}

#[derive(Debug)]
struct Shared {
    disk: Arc<dyn Disk>,
    /// The state, in the process that holds it.
    state: Option<Arc<OpenState>>,
    generation: u64,
    /// The number of the blob of all workers.
    common: usize,
    blobs: Mutex<Blobs>,
}

#[derive(Debug, Default)]
struct Blobs {
    /// The blob of all workers.
    common: Option<Arc<Blob>>,
    /// All blobs.
    all: Vec<Arc<Blob>>,
    /// The spare exists durably and may become the common blob.
    spare: bool,
    /// A name was created that is not durable yet.
    new_names: bool,
    /// One more than the greatest number of a writer.
    writers: usize,
}

impl Blobs {
    fn bytes(&self) -> u64 {
        self.all.iter().map(|blob| blob.length.load(Ordering::Relaxed)).sum()
    }
}

#[derive(Debug)]
struct Blob {
    name: String,
    file: Box<dyn DiskFile>,
    length: AtomicU64,
    synced: AtomicBool,
}

impl Checkpoint {
    pub(crate) fn new(state: Arc<OpenState>, generation: u64, spare: bool) -> Self {
        let blobs = Mutex::new(Blobs { spare, ..Blobs::default() });
        let shared = Shared { disk: state.disk.clone(), state: Some(state.clone()), generation, common: 0, blobs };
        Checkpoint { state, shared: Arc::new(shared) }
    }

    /// The generation that the commit will make.
    pub fn generation(&self) -> u64 {
        self.shared.generation
    }

    /// A manifest for this checkpoint with everything filled in but the steps and the sinks.
    pub fn manifest(&self, epoch: u64) -> Manifest {
        Manifest {
            engine: env!("CARGO_PKG_VERSION").to_owned(),
            generation: self.shared.generation,
            epoch,
            hash_seed: self.state.hash_seed,
            run: self.state.run,
            plan: None,
            steps: Vec::new(),
            sinks: Vec::new(),
        }
    }

    /// Writes the plan of the program, unless the newest manifest names it already; returns the name for the manifest.
    /// All writers are done by now.
    pub fn put_plan(&self, plan: &[u8]) -> Result<String> {
        let name = plan_name(plan);
        if self.state.newest().plan.as_ref() != Some(&name) {
            let written = self.shared.disk.create(&name).and_then(|file| write_whole(&*file, plan));
            self.shared.note(written)?;
            self.shared.blobs().new_names = true;
        }
        Ok(name)
    }

    /// A writer of segments for one worker. Writers of several threads may write at the same time.
    pub fn writer(&self, worker: usize) -> BlobWriter {
        let mut blobs = self.shared.blobs();
        blobs.writers = blobs.writers.max(worker + 1);
        drop(blobs);
        BlobWriter::new(self.shared.clone(), worker)
    }

    /// Bytes written to blobs so far.
    pub fn bytes_written(&self) -> u64 {
        self.shared.blobs().bytes()
    }

    /// Keeps the directory small: copies what is left in blobs that are mostly dead, or too many, and says so in
    /// `manifest`, which is about to be committed. Returns what was copied where; the old places stay readable until
    /// the commit is done.
    pub fn compact(&self, manifest: &mut Manifest) -> Result<Moves> {
        let (written, writers) = {
            let blobs = self.shared.blobs();
            (blobs.bytes(), blobs.writers)
        };
        let disk = &*self.shared.disk;
        let victims = compact::victims(disk, manifest, self.shared.generation, written, writers)?;
        let mut writer = BlobWriter::new(self.shared.clone(), compact::WRITER);
        let mut moves = Moves::new();
        for place in victims {
            let bytes = disk.read_at(&place.blob, place.offset, place.length as usize)?.unwrap_or_default();
            if bytes.len() as u64 != place.length {
                return Err(too_short(disk, &place.blob, place.offset + bytes.len() as u64));
            }
            let to = writer.append(&bytes)?;
            moves.insert(place, to);
        }
        writer.finish()?;
        manifest.apply(&moves);
        Ok(moves)
    }

    /// Makes the checkpoint the state: syncs the blobs that are not synced yet, then writes the manifest. All writers
    /// are done by now, and sinks have made durable what `manifest` says of them. When it returns, the commit is
    /// durable.
    ///
    /// After an error (of kind `Unavailable`) the directory is either at this checkpoint or at the one before, and
    /// takes nothing more until it is opened again.
    pub fn commit(self, manifest: &Manifest) -> Result<()> {
        if manifest.generation != self.shared.generation {
            let (found, own) = (manifest.generation, self.shared.generation);
            return Err(Error::invalid(format!("a manifest of generation {found} is not of the checkpoint {own}")));
        }
        refuse_failed(&self.state.newest())?;
        self.check_shares(manifest)?;
        let bytes = manifest.encode();
        let committed = self.write(&bytes);
        let mut newest = self.state.newest();
        if committed.is_err() {
            newest.failed = true;
            return committed;
        }
        newest.generation = manifest.generation;
        newest.manifest_checksum = checksum_of(&bytes);
        let blobs = std::mem::replace(&mut newest.blobs, blob_ends(manifest));
        let plan = std::mem::replace(&mut newest.plan, manifest.plan.clone());
        newest.finished = false;
        newest.spare = true;
        newest.clean = true;
        let before = (manifest.generation > 1).then(|| manifest_name(manifest.generation - 1));
        // The spare of a commit that wrote nothing to it; there was none before the first.
        let spare = (manifest.generation > 1).then(|| blob_name(manifest.generation, 0));
        let unused = blobs.into_keys().chain(spare).filter(|blob| !newest.blobs.contains_key(blob));
        let plan = plan.filter(|plan| newest.plan.as_ref() != Some(plan));
        self.state.remove_unused(unused.chain(before).chain(plan));
        Ok(())
    }

    /// Checks that the blobs which other processes say they wrote are in this directory.
    fn check_shares(&self, manifest: &Manifest) -> Result<()> {
        let prefix = blob_name(self.shared.generation, 0);
        let prefix = prefix.trim_end_matches('0');
        let own: Vec<String> = self.shared.blobs().all.iter().map(|blob| blob.name.clone()).collect();
        for place in manifest.places().filter(|place| place.blob.starts_with(prefix) && !own.contains(&place.blob)) {
            if self.shared.disk.length(&place.blob)?.is_none_or(|length| length < place.offset + place.length) {
                let path = self.shared.disk.path(&place.blob);
                let what = format!("another process saved its state elsewhere: {path} is not there as it wrote it");
                return Err(Error::invalid(what)
                    .with_hint("all processes need the same state directory, such as one on a shared file system"));
            }
        }
        Ok(())
    }

    fn write(&self, manifest: &[u8]) -> Result<()> {
        let disk = &self.shared.disk;
        let generation = self.shared.generation;
        let blobs = self.shared.blobs();
        let mut new_names = blobs.new_names;
        for blob in &blobs.all {
            blob.sync()?;
        }
        if generation == 1 {
            let blank = Mark { generation: 0, manifest_checksum: 0 };
            write_whole(&*disk.create(finished::FILE)?, &blank.encode())?;
            new_names = true;
        }
        write_whole(&*disk.create(MANIFEST_TEMP)?, manifest)?;
        disk.create(&blob_name(generation + 1, 0))?;
        if new_names {
            disk.sync_folder("")?;
        }
        disk.rename(MANIFEST_TEMP, &manifest_name(generation))?;
        disk.sync_folder("")
    }
}

impl CheckpointShare {
    /// A share of the checkpoint that makes `generation`. Small segments go into blob `common`, which no other process
    /// writes.
    pub fn new(disk: Arc<dyn Disk>, generation: u64, common: usize) -> Self {
        let shared = Shared { disk, state: None, generation, common, blobs: Mutex::default() };
        CheckpointShare { shared: Arc::new(shared) }
    }

    /// A writer of segments for one worker, by its number among the workers of all processes.
    pub fn writer(&self, worker: usize) -> BlobWriter {
        BlobWriter::new(self.shared.clone(), worker)
    }

    /// Makes everything written durable; returns how many bytes that is. All writers are done by now.
    pub fn finish(self) -> Result<u64> {
        let blobs = self.shared.blobs();
        blobs.all.iter().try_for_each(|blob| blob.sync())?;
        if blobs.new_names {
            self.shared.disk.sync_folder("")?;
        }
        Ok(blobs.bytes())
    }
}

impl Drop for Checkpoint {
    fn drop(&mut self) {
        self.state.newest().writing = false;
    }
}

impl BlobWriter {
    fn new(shared: Arc<Shared>, worker: usize) -> Self {
        BlobWriter { shared, worker, apart: false, own: Vec::new() }
    }

    /// Writes even small segments into a blob of the worker's own.
    #[must_use]
    pub fn apart(self) -> Self {
        BlobWriter { apart: true, ..self }
    }

    /// Writes a segment; returns where it stands. Empty segments are not written: they have no place.
    pub fn append(&mut self, bytes: &[u8]) -> Result<BlobRange> {
        debug_assert!(!bytes.is_empty(), "an empty segment has no place");
        let written = self.blob(bytes.len()).and_then(|blob| blob.append(bytes));
        self.shared.note(written)
    }

    /// Syncs what this writer wrote into a blob of its own. The commit would do it as well; here workers do it at the
    /// same time.
    pub fn finish(self) -> Result<()> {
        let synced = self.own.iter().try_for_each(|blob| blob.sync());
        self.shared.note(synced)
    }

    /// The blob that a segment of `length` bytes goes to.
    fn blob(&mut self, length: usize) -> Result<Arc<Blob>> {
        if length < OWN_BLOB_FROM_BYTES && !self.apart {
            return self.shared.common_blob();
        }
        let has_room = |blob: &&Arc<Blob>| blob.length.load(Ordering::Relaxed) < FULL_BLOB_BYTES;
        if let Some(own) = self.own.last().filter(has_room) {
            return Ok(own.clone());
        }
        let own = self.shared.create_blob(self.worker + 1 + self.own.len() * NEXT_BLOB)?;
        self.own.push(own.clone());
        Ok(own)
    }
}

impl Shared {
    fn blobs(&self) -> MutexGuard<'_, Blobs> {
        self.blobs.lock()
    }

    fn common_blob(&self) -> Result<Arc<Blob>> {
        let mut blobs = self.blobs();
        if let Some(common) = &blobs.common {
            return Ok(common.clone());
        }
        let name = blob_name(self.generation, self.common);
        let file = if blobs.spare { self.disk.open_at(&name, 0)? } else { self.disk.create(&name)? };
        blobs.new_names |= !blobs.spare;
        let blob = Arc::new(Blob::new(name, file));
        blobs.all.push(blob.clone());
        Ok(blobs.common.insert(blob).clone())
    }

    fn create_blob(&self, number: usize) -> Result<Arc<Blob>> {
        let name = blob_name(self.generation, number);
        let file = self.disk.create(&name)?;
        let blob = Arc::new(Blob::new(name, file));
        let mut blobs = self.blobs();
        blobs.new_names = true;
        blobs.all.push(blob.clone());
        Ok(blob)
    }

    /// Remembers a failure: nothing may be committed after it.
    fn note<T>(&self, result: Result<T>) -> Result<T> {
        if let (Err(_), Some(state)) = (&result, &self.state) {
            state.newest().failed = true;
        }
        result
    }
}

impl Blob {
    fn new(name: String, file: Box<dyn DiskFile>) -> Self {
        Blob { name, file, length: AtomicU64::new(0), synced: AtomicBool::new(false) }
    }

    /// Reserves a place, then writes to it without holding anything.
    fn append(&self, bytes: &[u8]) -> Result<BlobRange> {
        let length = bytes.len() as u64;
        let reserve = |end: u64| Some(end.next_multiple_of(ALIGN_BYTES) + length);
        let end = self.length.fetch_update(Ordering::Relaxed, Ordering::Relaxed, reserve);
        let offset = end.unwrap_or_else(|end| end).next_multiple_of(ALIGN_BYTES);
        self.synced.store(false, Ordering::Release);
        self.file.write_at(offset, bytes)?;
        Ok(BlobRange { blob: self.name.clone(), offset, length })
    }

    fn sync(&self) -> Result<()> {
        if !self.synced.swap(true, Ordering::AcqRel) {
            self.file.sync()?;
        }
        Ok(())
    }
}

fn write_whole(file: &dyn DiskFile, bytes: &[u8]) -> Result<()> {
    file.write_at(0, bytes)?;
    file.sync()
}
