//! A state directory: where checkpoints of one program are kept, and how a crash at any point leaves it whole.
//!
//! # Files
//!
//! | name | content | written |
//! |---|---|---|
//! | `lock` | who holds the directory | at opening, never synced |
//! | `manifest-<generation>` | one checkpoint ([`Manifest`]); the newest is the state | once, by rename |
//! | `runs-<generation>-<n>` | a blob of sorted segments, named by manifests | once, before the manifest of its generation |
//! | `plan-<hash>` | the plan of the program, named by manifests | once, before the first manifest that names it |
//! | `finished` | the finished mark | created with the directory, overwritten in place |
//! | `manifest.tmp` | a manifest on its way | before its rename |
//!
//! Generations are 16 decimal digits and count commits without gaps. Blob 0 of a generation is shared by all workers;
//! blob *w* + 1 belongs to worker *w*, for segments too large to share. The empty blob 0 of the *next* generation, the
//! *spare*, is created by each commit, so that its name is durable before it is needed: a small commit then takes three
//! syncs (blob, manifest, folder) and not four.
//!
//! # Commit of generation n+1, while n is the newest
//!
//! 1. Remove what manifest n does not name (not the spare): what an attempt left that was cut off.
//! 2. Write blobs, and the plan if manifest n names another one; sync each. What is copied out of old blobs
//!    ([`Checkpoint::compact`]) is written like anything else.
//! 3. Write `manifest.tmp`, sync it. Create the spare of n+2. If step 2 made a new name (more than the spare), sync the
//!    folder.
//! 4. Rename `manifest.tmp` to `manifest-<n+1>`, sync the folder. Only then anything is acknowledged.
//! 5. Remove manifest n, and the blobs and the plan that n+1 does not name. Nothing needs them, since n+1 is durable; a
//!    removal that fails is made up for by step 1 of the next attempt.
//!
//! **Why no crash point loses or doubles a row.** The state is what the newest manifest names. Before the rename that
//! is n, and all its files stand untouched: steps 2 and 3 write only to names of generation n+1 and of a plan that n
//! does not name, and to `manifest.tmp`; a file that a manifest names is never written again. The rename is atomic, so
//! afterwards it is n+1, complete: the bytes of its manifest, blobs and plan were synced (2, 3), and so were their
//! names (the spare's by the commit of n, others' in 3). A power cut between rename and folder sync leaves n or n+1,
//! both whole, neither acknowledged. A process that is killed there leaves n+1 visible but perhaps not durable:
//! [`StateDir::open`] syncs the folder before it builds on a state that is not marked finished. Source positions,
//! state and sink positions are in the one manifest, so they move together; sinks make their bytes durable before the
//! commit and cut back to the position in the manifest when opened, so bytes of a lost attempt are gone and committed
//! ones are there once.
//!
//! A manifest that is damaged is an error, never a reason to use the one before it: that would emit again what was
//! already emitted. By the argument above a crash does not damage one, so nothing is lost by this strictness.
//!
//! # The finished mark
//!
//! A user's run may take several attempts: those that were cut off, and the one that finished. Together they are one
//! *logical run*, and result files that hold one run's changes must hold those of all its attempts. So the manifest has
//! the number of the logical run, and `finished` says whether it came to its end: it holds the generation and checksum
//! of the last manifest of the last finished run. It is written by *one* system call that returns when the bytes are
//! durable ([`Disk::write_through`]), into a file that exists since genesis, and it is the last mutating call of a
//! successful run. Hence: an attempt that is cut off before that call leaves a mark of an older generation, and the
//! next attempt continues the logical run. After the call there is nothing left to cut off. During the call the mark is
//! old, new, or torn; torn counts as not finished, and either reading is right, since the run had done all its work but
//! was not reported as successful. A write that came out as new before power was lost finished the run; all its results
//! were durable before. The mark names generation and checksum, so that the mark of an older checkpoint never fits a
//! newer one; the line stands twice in the file, so that one damaged byte cannot unfinish a run.
//!
//! A logical run that commits nothing needs no mark: the newest manifest is still the one of the run before it, marked
//! finished, and if the attempt is cut off, the next one is a new logical run that has nothing to continue.
//!
//! # Genesis
//!
//! A fresh directory gets its first manifest (generation 1, epoch 0, no steps) before anything else happens
//! ([`StateDir::genesis`]): the hash secret is drawn, and the sinks' first positions are on record, so that a first run
//! that is cut off finds where to cut its result files back to. `finished` is made (blank) and synced with its name
//! before that manifest appears: where there is a manifest there is a mark, so a missing mark is damage.
//!
//! # Assumptions about disks
//!
//! Sync (file, folder, write-through) means durable. Rename within a folder is atomic. Unsynced bytes may come out old,
//! new, torn or zero, but bytes that were synced and not written since stay. Unsynced names may come out in any
//! combination, in order for each name. After a failed sync nothing is assumed: the directory refuses further commits
//! until it is opened again, and everything unsynced is written anew.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use bytes::Bytes;
use millpond_error::{Error, Result};
use parking_lot::Mutex;

use crate::checkpoint::Checkpoint;
use crate::disk::Disk;
use crate::finished::{self, Mark};
use crate::manifest::{BlobRange, DAMAGE_HINT, LogicalRun, Manifest, PartRecord, SinkRecord, checksum_of};
use crate::names::{LOCK, blob_generation, blob_name, manifest_generation, manifest_name, plan_name};
use crate::open_state::{Newest, OpenState, blob_ends, check_lengths, refuse_failed};
use crate::reader::{StateReader, missing};

/// A state directory that one attempt of a run has open; holds its lock until the last clone, checkpoint and writer is
/// dropped. The next run opens it again.
#[derive(Clone, Debug)]
pub struct StateDir {
    inner: Arc<OpenState>,
}

impl StateDir {
    /// Takes the lock, finds the newest manifest and verifies it: its checksum, that the blobs it names are there and
    /// long enough, and that the finished mark fits. `None`: the directory is fresh, and [`StateDir::genesis`] comes
    /// next.
    ///
    /// # Errors
    /// `Locked` if another process has the directory, `Data` for damage (naming the file), `Unavailable` if the disk
    /// fails.
    pub fn open(disk: Arc<dyn Disk>) -> Result<(StateDir, Option<Manifest>)> {
        let lock = disk.lock(LOCK)?;
        let names = disk.list("")?;
        let Some(generation) = names.iter().filter_map(|name| manifest_generation(name)).max() else {
            refuse_orphans(&*disk, &names)?;
            let run = LogicalRun { number: 1, continues: false };
            // The standard library seeds its hash maps from the system's random numbers.
            let hash_seed = RandomState::new().hash_one(());
            return Ok((StateDir::assemble(disk, lock, Newest::default(), run, hash_seed), None));
        };
        let SavedCheckpoint { manifest, manifest_checksum, blobs, .. } = read_checkpoint(&*disk, generation)?;
        refuse_later_blobs(&*disk, &names, generation)?;
        let plan = manifest.plan.clone();
        let finished = read_mark(&*disk, Mark { generation, manifest_checksum })?;
        if !finished {
            disk.sync_folder("")?;
        }
        let spare = names.contains(&blob_name(generation + 1, 0));
        let newest = Newest { generation, manifest_checksum, blobs, plan, finished, spare, ..Newest::default() };
        let run = match finished {
            true => LogicalRun { number: manifest.run.number + 1, continues: false },
            false => LogicalRun { number: manifest.run.number, continues: true },
        };
        Ok((StateDir::assemble(disk, lock, newest, run, manifest.hash_seed), Some(manifest)))
    }

    /// The newest manifest of a directory and the plan that it names, without its lock: a run may go on at the same
    /// time. `None` if the directory is fresh.
    ///
    /// # Errors
    /// As of [`StateDir::open`].
    pub fn look(disk: &dyn Disk) -> Result<Option<(Manifest, Option<Bytes>)>> {
        // What a run commits meanwhile removes the manifest before it: then there is a newer one.
        let mut tries = 10;
        loop {
            let names = disk.list("")?;
            let Some(generation) = names.iter().filter_map(|name| manifest_generation(name)).max() else {
                return refuse_orphans(disk, &names).map(|()| None);
            };
            tries -= 1;
            match read_checkpoint(disk, generation) {
                Err(_) if tries > 0 && disk.length(&manifest_name(generation))?.is_none() => {}
                read => return read.map(|checkpoint| Some((checkpoint.manifest, checkpoint.plan))),
            }
        }
    }

    fn assemble(
        disk: Arc<dyn Disk>,
        lock: Box<dyn Send + Sync>,
        newest: Newest,
        run: LogicalRun,
        hash_seed: u64,
    ) -> StateDir {
        let (newest, reader) = (Mutex::new(newest), StateReader::new(disk.clone()));
        StateDir { inner: Arc::new(OpenState { disk, newest, reader, run, hash_seed, _lock: lock }) }
    }

    /// Commits the first manifest of a fresh directory: no steps yet, and the positions that the sinks start from.
    pub fn genesis(&self, sinks: Vec<SinkRecord>) -> Result<Manifest> {
        let checkpoint = self.begin()?;
        let manifest = Manifest { sinks, ..checkpoint.manifest(0) };
        checkpoint.commit(&manifest)?;
        Ok(manifest)
    }

    /// The newest manifest's logical run is marked finished. Changes with commits and [`StateDir::mark_finished`].
    pub fn run_finished(&self) -> bool {
        self.inner.newest().finished
    }

    /// The logical run that this attempt belongs to: a new one, or one that was cut off. Fixed at opening.
    pub fn logical_run(&self) -> LogicalRun {
        self.inner.run
    }

    /// The secret that keys are hashed with.
    pub fn hash_seed(&self) -> u64 {
        self.inner.hash_seed
    }

    /// The generation of the newest checkpoint; 0 before genesis.
    pub fn generation(&self) -> u64 {
        self.inner.newest().generation
    }

    /// The disk that the directory is on.
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.inner.disk
    }

    /// Reads the segments that manifests name.
    pub fn reader(&self) -> &StateReader {
        &self.inner.reader
    }

    /// As [`StateReader::segment_bytes`].
    pub fn segment_bytes(&self, place: &BlobRange) -> Result<Bytes> {
        self.inner.reader.segment_bytes(place)
    }

    /// The bytes of a part of an outbox that a manifest names, verified.
    pub fn part_bytes(&self, part: &PartRecord) -> Result<Bytes> {
        let bytes = self.segment_bytes(&part.place)?;
        if !part.fits(&bytes) {
            let path = self.inner.disk.path(&part.place.blob);
            return Err(Error::data(format!(
                "{path} is damaged: the checksum of what is to be delivered does not match"
            ))
            .with_hint(DAMAGE_HINT));
        }
        Ok(bytes)
    }

    /// The plan that the newest manifest names, verified; `None` if it names none.
    pub fn plan(&self) -> Result<Option<Bytes>> {
        let plan = self.inner.newest().plan.clone();
        plan.map(|plan| read_plan(&*self.inner.disk, &plan)).transpose()
    }

    /// Checks that the blobs of the newest manifest are as long as they were: what is mapped cannot be read behind the
    /// end of its file, and a process that tries is ended by the system. A file that was cut is a `Data` error that
    /// names it.
    pub fn check_blobs(&self) -> Result<()> {
        check_lengths(&*self.inner.disk, &self.inner.newest().blobs)
    }

    /// Starts the next checkpoint, one at a time. What an earlier attempt left behind is removed first.
    pub fn begin(&self) -> Result<Checkpoint> {
        let mut newest = self.inner.newest();
        refuse_failed(&newest)?;
        if newest.writing {
            return Err(Error::invalid("a checkpoint is being written already"));
        }
        if !std::mem::take(&mut newest.clean) {
            self.inner.collect_garbage(&newest)?;
        }
        newest.writing = true;
        Ok(Checkpoint::new(self.inner.clone(), newest.generation + 1, newest.spare))
    }

    /// Marks the logical run of the newest manifest as finished: one system call, durable when it returns, and none if
    /// it is marked already. To be called last.
    pub fn mark_finished(&self) -> Result<()> {
        let mut newest = self.inner.newest();
        refuse_failed(&newest)?;
        if newest.writing || newest.generation == 0 {
            return Err(Error::invalid("a run finishes after its last checkpoint, not before"));
        }
        if newest.finished {
            return Ok(());
        }
        let mark = Mark { generation: newest.generation, manifest_checksum: newest.manifest_checksum };
        let written = self.inner.disk.write_through(finished::FILE, &mark.encode());
        newest.failed = written.is_err();
        newest.finished = written.is_ok();
        written
    }
}

/// A checkpoint as it was saved, verified.
struct SavedCheckpoint {
    manifest: Manifest,
    manifest_checksum: u64,
    blobs: BTreeMap<String, u64>,
    plan: Option<Bytes>,
}

fn read_checkpoint(disk: &dyn Disk, generation: u64) -> Result<SavedCheckpoint> {
    let name = manifest_name(generation);
    let path = disk.path(&name);
    let bytes = disk.read(&name)?.ok_or_else(|| missing(&path))?;
    let manifest = read_manifest(&bytes, generation, &path)?;
    let blobs = blob_ends(&manifest);
    check_lengths(disk, &blobs)?;
    let plan = manifest.plan.as_ref().map(|plan| read_plan(disk, plan)).transpose()?;
    Ok(SavedCheckpoint { manifest, manifest_checksum: checksum_of(&bytes), blobs, plan })
}

fn read_manifest(bytes: &[u8], generation: u64, path: &str) -> Result<Manifest> {
    let manifest = Manifest::decode(bytes, path)?;
    if manifest.generation != generation {
        let found = manifest.generation;
        return Err(Error::data(format!("{path} holds generation {found}, not its own")).with_hint(DAMAGE_HINT));
    }
    Ok(manifest)
}

/// The plan in the file of this name.
fn read_plan(disk: &dyn Disk, name: &str) -> Result<Bytes> {
    let path = disk.path(name);
    let plan = disk.read(name)?.ok_or_else(|| missing(&path))?;
    if plan_name(&plan) != name {
        let what = format!("{path} is damaged: its content is not the one that it is named by");
        return Err(Error::data(what).with_hint(DAMAGE_HINT));
    }
    Ok(plan)
}

/// Whether the mark in the directory is `expected`.
fn read_mark(disk: &dyn Disk, expected: Mark) -> Result<bool> {
    let path = disk.path(finished::FILE);
    let bytes = disk.read(finished::FILE)?.ok_or_else(|| missing(&path))?;
    if bytes.len() != finished::BYTES {
        return Err(Error::data(format!("{path} is damaged: it holds {} bytes", bytes.len())).with_hint(DAMAGE_HINT));
    }
    let Some(mark) = Mark::decode(&bytes) else { return Ok(false) };
    if mark.generation > expected.generation {
        return Err(missing(&disk.path(&manifest_name(mark.generation))));
    }
    if mark.generation == expected.generation && mark != expected {
        let manifest = disk.path(&manifest_name(mark.generation));
        return Err(
            Error::data(format!("{manifest} is not the manifest that {path} was written for")).with_hint(DAMAGE_HINT)
        );
    }
    Ok(mark == expected)
}

/// Refuses a directory without a manifest that once had one: its mark names one, or it has segments.
fn refuse_orphans(disk: &dyn Disk, names: &[String]) -> Result<()> {
    let has_mark = names.iter().any(|name| name == finished::FILE);
    let bytes = if has_mark { disk.read(finished::FILE)? } else { None };
    match bytes.and_then(|bytes| Mark::decode(&bytes)) {
        Some(mark) if mark.generation > 0 => Err(missing(&disk.path(&manifest_name(mark.generation)))),
        _ => refuse_later_blobs(disk, names, 0),
    }
}

/// Refuses a directory that lost its newest manifests: a blob of generation n+2 has bytes only after n+1 was committed.
fn refuse_later_blobs(disk: &dyn Disk, names: &[String], newest: u64) -> Result<()> {
    let mut last = None;
    for name in names {
        let Some(generation) = blob_generation(name).filter(|&generation| generation > newest + 1) else { continue };
        if disk.length(name)?.is_some_and(|length| length > 0) {
            last = last.max(Some(generation));
        }
    }
    last.map_or(Ok(()), |generation| Err(missing(&disk.path(&manifest_name(generation - 1)))))
}
