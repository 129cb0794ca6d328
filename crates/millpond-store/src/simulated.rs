//! A disk in memory that can lose power at any step.
//!
//! Every call that changes something is a *step*, counted from 1. What a power cut leaves is an *image*, a new disk,
//! drawn by a seed among everything that the [`Disk`] contract allows:
//! - bytes written since a file's last sync are old, new, or zero, in pieces of 1 byte to 4 KiB, and the file's length
//!   is any that it had or passed since; bytes that were synced and not written since stay;
//! - of the unsynced creations, renames and removals of a folder, a prefix or any subset has happened, in order for
//!   each name;
//! - a cut during a sync leaves what a cut before it may leave; during a write-through the bytes are old, new or torn.
//!
//! Two ways to use it. [`SimulatedDisk::cut_at`]: the power fails while the program runs; this and every later
//! operation is an error of kind `Unavailable`, and [`SimulatedDisk::image`] has what is left.
//! [`SimulatedDisk::record`]: the program runs once, undisturbed, and [`SimulatedDisk::image_at`] draws any number of
//! images of any step afterwards; this is the cheap one. Folders exist as soon as they are named, durably.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use millpond_error::{Error, Result};
use parking_lot::{Mutex, MutexGuard};

use crate::disk::{Disk, DiskFile, check_folder, check_name};

/// A disk in memory, or a folder of one. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct SimulatedDisk {
    machine: Arc<Mutex<Machine>>,
    /// Empty, or ends with `/`.
    prefix: String,
}

#[derive(Debug, Default)]
struct Machine {
    world: World,
    steps: u64,
    cut: Option<(u64, u64)>,
    image: Option<World>,
    off: bool,
    history: Option<Vec<Moment>>,
    locks: BTreeSet<String>,
}

/// What is on the disk: as the program sees it, and as much of it as is durable.
#[derive(Clone, Debug, Default)]
struct World {
    files: Vec<Arc<File>>,
    names: BTreeMap<Arc<str>, usize>,
    durable_names: BTreeMap<Arc<str>, usize>,
    pending: Vec<NameChange>,
}

#[derive(Clone, Debug, Default)]
struct File {
    bytes: Arc<Vec<u8>>,
    durable: Arc<Vec<u8>>,
    /// Written or cut off since the last sync.
    dirty: Vec<Range<usize>>,
    /// The smallest length since the last sync.
    shortest: usize,
    /// The largest.
    longest: usize,
}

#[derive(Clone, Debug)]
enum NameChange {
    Link(Arc<str>, usize),
    Unlink(Arc<str>),
    Rename(Arc<str>, Arc<str>, usize),
}

/// A step.
#[derive(Clone, Debug)]
enum Step<'a> {
    Create(&'a str),
    Truncate(usize, usize),
    Write(usize, usize, &'a [u8]),
    Sync(usize),
    Rename(&'a str, &'a str),
    Remove(&'a str),
    SyncFolder(&'a str),
    WriteThrough(usize, &'a [u8]),
}

/// The world while a step happens, before anything of it is durable.
#[derive(Clone, Debug)]
struct Moment {
    world: World,
    /// A write-through that is under way.
    through: Option<(usize, Vec<u8>)>,
}

impl SimulatedDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// A folder of this disk as a disk of its own: the same steps, the same power.
    #[must_use]
    pub fn folder(&self, name: &str) -> SimulatedDisk {
        SimulatedDisk { machine: self.machine.clone(), prefix: format!("{}{name}/", self.prefix) }
    }

    /// Steps so far.
    pub fn steps(&self) -> u64 {
        self.machine().steps
    }

    /// Cuts the power during the given step, counted from the disk's beginning; `seed` chooses the image.
    pub fn cut_at(&self, step: u64, seed: u64) {
        self.machine().cut = Some((step, seed));
    }

    /// What the cut left; `None` while there is power.
    pub fn image(&self) -> Option<SimulatedDisk> {
        let image = self.machine().image.clone()?;
        Some(self.wrap(image))
    }

    /// Remembers the world at each step from now on, for [`SimulatedDisk::image_at`].
    pub fn record(&self) {
        let mut machine = self.machine();
        let present = Moment { world: machine.world.clone(), through: None };
        machine.history = Some(vec![present; machine.steps as usize + 1]);
    }

    /// What a cut during a recorded step could leave; step 0 (or the one at which recording began) is before the first.
    ///
    /// # Panics
    /// If the step was not recorded.
    pub fn image_at(&self, step: u64, seed: u64) -> SimulatedDisk {
        let machine = self.machine();
        let history = machine.history.as_ref().expect("record() comes first");
        self.wrap(history[step as usize].image(seed))
    }

    /// What a cut right now, between two steps, could leave.
    pub fn image_now(&self, seed: u64) -> SimulatedDisk {
        let present = Moment { world: self.machine().world.clone(), through: None };
        self.wrap(present.image(seed))
    }

    /// An independent disk with the same files, all durable: what a clean shutdown leaves.
    #[must_use]
    pub fn copy(&self) -> SimulatedDisk {
        let mut world = self.machine().world.clone();
        world.make_durable();
        self.wrap(world)
    }

    /// The names of all files of this disk or folder, sorted, those in folders included.
    pub fn files(&self) -> Vec<String> {
        let machine = self.machine();
        let names = machine.world.names.keys();
        names.filter_map(|name| name.strip_prefix(self.prefix.as_str())).map(str::to_owned).collect()
    }

    /// Sets the bytes of a file, durably and without a step: how a test damages or provides files.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        let name: Arc<str> = self.full(name).into();
        let mut machine = self.machine();
        let world = &mut machine.world;
        let mut file = File { bytes: Arc::new(bytes.to_vec()), ..File::default() };
        file.sync();
        let at = world.files.len();
        world.files.push(Arc::new(file));
        world.names.insert(name.clone(), at);
        world.durable_names.insert(name, at);
    }

    fn wrap(&self, world: World) -> SimulatedDisk {
        let machine = Machine { world, ..Machine::default() };
        SimulatedDisk { machine: Arc::new(Mutex::new(machine)), prefix: self.prefix.clone() }
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        lock(&self.machine)
    }

    fn full(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// The machine with its power on.
    fn powered(&self, name: &str) -> Result<MutexGuard<'_, Machine>> {
        let machine = self.machine();
        machine.check_power(&self.full(name))?;
        Ok(machine)
    }

    fn handle(&self, name: String, file: usize) -> Box<dyn DiskFile> {
        Box::new(SimulatedFile { machine: self.machine.clone(), name, file })
    }
}

impl Disk for SimulatedDisk {
    fn create(&self, name: &str) -> Result<Box<dyn DiskFile>> {
        check_name(name)?;
        let full = self.full(name);
        let mut machine = self.powered(name)?;
        machine.step(Step::Create(&full))?;
        let file = machine.world.names[full.as_str()];
        Ok(self.handle(full, file))
    }

    fn open_at(&self, name: &str, length: u64) -> Result<Box<dyn DiskFile>> {
        check_name(name)?;
        let full = self.full(name);
        let mut machine = self.powered(name)?;
        let Some(&file) = machine.world.names.get(full.as_str()) else {
            return Err(Error::data(format!("{full} is missing; {length} bytes of it were saved")));
        };
        let present = machine.world.files[file].bytes.len() as u64;
        if present < length {
            return Err(Error::data(format!("{full} holds {present} bytes, of {length} saved ones")));
        }
        if present > length {
            machine.step(Step::Truncate(file, length as usize))?;
        }
        Ok(self.handle(full, file))
    }

    fn read(&self, name: &str) -> Result<Option<Bytes>> {
        check_name(name)?;
        let machine = self.powered(name)?;
        let bytes = machine.world.bytes(&self.full(name)).cloned();
        Ok(bytes.map(|bytes| Bytes::from_owner(Frozen(bytes))))
    }

    fn read_at(&self, name: &str, offset: u64, length: usize) -> Result<Option<Vec<u8>>> {
        check_name(name)?;
        let machine = self.powered(name)?;
        let bytes = machine.world.bytes(&self.full(name));
        Ok(bytes.map(|bytes| bytes.iter().skip(offset as usize).take(length).copied().collect()))
    }

    fn length(&self, name: &str) -> Result<Option<u64>> {
        check_name(name)?;
        let machine = self.powered(name)?;
        Ok(machine.world.bytes(&self.full(name)).map(|bytes| bytes.len() as u64))
    }

    fn list(&self, folder: &str) -> Result<Vec<String>> {
        check_folder(folder)?;
        let folder = if folder.is_empty() { self.prefix.clone() } else { format!("{}{folder}/", self.prefix) };
        let machine = self.powered(&folder)?;
        let names = machine.world.names.keys().filter_map(|name| name.strip_prefix(folder.as_str()));
        Ok(names.filter(|name| !name.contains('/')).map(str::to_owned).collect())
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        check_name(from)?;
        check_name(to)?;
        let mut machine = self.powered(from)?;
        let (from, to) = (self.full(from), self.full(to));
        if !machine.world.names.contains_key(from.as_str()) {
            return Err(Error::unavailable(format!("cannot rename {from} to {to}: No such file or directory")));
        }
        machine.step(Step::Rename(&from, &to))
    }

    fn remove(&self, name: &str) -> Result<()> {
        check_name(name)?;
        let mut machine = self.powered(name)?;
        let full = self.full(name);
        if !machine.world.names.contains_key(full.as_str()) {
            return Ok(());
        }
        machine.step(Step::Remove(&full))
    }

    fn sync_folder(&self, folder: &str) -> Result<()> {
        check_folder(folder)?;
        let folder = self.full(folder);
        self.powered("")?.step(Step::SyncFolder(folder.trim_end_matches('/')))
    }

    fn write_through(&self, name: &str, bytes: &[u8]) -> Result<()> {
        check_name(name)?;
        let full = self.full(name);
        let mut machine = self.powered(name)?;
        let Some(&file) = machine.world.names.get(full.as_str()) else {
            return Err(Error::unavailable(format!("cannot write {full}: No such file or directory")));
        };
        machine.step(Step::WriteThrough(file, bytes))
    }

    fn lock(&self, name: &str) -> Result<Box<dyn Send + Sync>> {
        check_name(name)?;
        let full = self.full(name);
        if !self.powered(name)?.locks.insert(full.clone()) {
            let folder = self.prefix.trim_end_matches('/');
            return Err(Error::locked(format!(
                "{folder:?} is in use: held by process {} (simulated)",
                std::process::id()
            )));
        }
        Ok(Box::new(SimulatedLock { machine: self.machine.clone(), name: full }))
    }

    fn path(&self, name: &str) -> String {
        self.full(name)
    }
}

#[derive(Debug)]
struct SimulatedFile {
    machine: Arc<Mutex<Machine>>,
    name: String,
    file: usize,
}

impl DiskFile for SimulatedFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let mut machine = lock(&self.machine);
        machine.check_power(&self.name)?;
        machine.step(Step::Write(self.file, offset as usize, bytes))
    }

    fn sync(&self) -> Result<()> {
        let mut machine = lock(&self.machine);
        machine.check_power(&self.name)?;
        machine.step(Step::Sync(self.file))
    }
}

struct SimulatedLock {
    machine: Arc<Mutex<Machine>>,
    name: String,
}

impl Drop for SimulatedLock {
    fn drop(&mut self) {
        lock(&self.machine).locks.remove(&self.name);
    }
}

/// The bytes of a file as they were when they were read.
struct Frozen(Arc<Vec<u8>>);

impl AsRef<[u8]> for Frozen {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

fn lock(machine: &Mutex<Machine>) -> MutexGuard<'_, Machine> {
    machine.lock()
}

impl Machine {
    fn check_power(&self, name: &str) -> Result<()> {
        if self.off { Err(Error::unavailable(format!("cannot use {name}: the power is off"))) } else { Ok(()) }
    }

    fn step(&mut self, step: Step<'_>) -> Result<()> {
        self.steps += 1;
        let seed = self.cut.and_then(|(at, seed)| (at == self.steps).then_some(seed));
        if seed.is_some() || self.history.is_some() {
            let moment = Moment::during(&self.world, &step);
            if let Some(seed) = seed {
                self.image = Some(moment.image(seed));
                self.off = true;
            }
            if let Some(history) = &mut self.history {
                history.push(moment);
            }
        }
        self.check_power("the disk")?;
        self.world.apply(&step);
        Ok(())
    }
}

impl World {
    fn bytes(&self, name: &str) -> Option<&Arc<Vec<u8>>> {
        self.names.get(name).map(|&file| &self.files[file].bytes)
    }

    fn file(&mut self, file: usize) -> &mut File {
        Arc::make_mut(&mut self.files[file])
    }

    fn apply(&mut self, step: &Step<'_>) {
        match *step {
            Step::Create(name) => match self.names.get(name) {
                Some(&file) => self.file(file).truncate(0),
                None => {
                    self.files.push(Arc::default());
                    self.change_name(NameChange::Link(name.into(), self.files.len() - 1));
                }
            },
            Step::Truncate(file, length) => self.file(file).truncate(length),
            Step::Write(file, offset, bytes) => self.file(file).write(offset, bytes),
            Step::Sync(file) => self.file(file).sync(),
            Step::Rename(from, to) => self.change_name(NameChange::Rename(from.into(), to.into(), self.names[from])),
            Step::Remove(name) => self.change_name(NameChange::Unlink(name.into())),
            Step::SyncFolder(folder) => self.sync_folder(folder),
            Step::WriteThrough(file, bytes) => {
                let file = self.file(file);
                file.write(0, bytes);
                file.sync();
            }
        }
    }

    fn change_name(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.pending.push(change);
    }

    fn sync_folder(&mut self, folder: &str) {
        let (durable, pending): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.pending).into_iter().partition(|change| change.folder() == folder);
        for change in durable {
            change.apply(&mut self.durable_names);
        }
        self.pending = pending;
    }

    /// Makes everything durable.
    fn make_durable(&mut self) {
        for change in std::mem::take(&mut self.pending) {
            change.apply(&mut self.durable_names);
        }
        for file in &mut self.files {
            Arc::make_mut(file).sync();
        }
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<Arc<str>, usize>) {
        match self {
            NameChange::Link(name, file) => drop(names.insert(name.clone(), *file)),
            NameChange::Unlink(name) => drop(names.remove(name)),
            NameChange::Rename(from, to, file) => {
                names.remove(from);
                names.insert(to.clone(), *file);
            }
        }
    }

    fn names(&self) -> [&Arc<str>; 2] {
        match self {
            NameChange::Link(name, _) | NameChange::Unlink(name) => [name, name],
            NameChange::Rename(from, to, _) => [from, to],
        }
    }

    /// The folder whose sync makes the change durable.
    fn folder(&self) -> &str {
        self.names()[1].rsplit_once('/').map_or("", |(folder, _)| folder)
    }
}

impl File {
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        let before = self.bytes.len();
        let content = Arc::make_mut(&mut self.bytes);
        if before < end {
            content.resize(end, 0);
        }
        content[offset..end].copy_from_slice(bytes);
        self.dirty.push(offset.min(before)..end);
        self.longest = self.longest.max(end);
    }

    fn truncate(&mut self, length: usize) {
        let before = self.bytes.len();
        if length == before {
            return;
        }
        Arc::make_mut(&mut self.bytes).truncate(length);
        self.dirty.push(length..before);
        self.shortest = self.shortest.min(length);
    }

    fn sync(&mut self) {
        self.durable = self.bytes.clone();
        self.dirty.clear();
        self.shortest = self.bytes.len();
        self.longest = self.bytes.len();
    }

    /// What a power cut may leave of the bytes.
    fn remains(&self, random: &mut Random) -> Arc<Vec<u8>> {
        if self.dirty.is_empty() {
            return self.durable.clone();
        }
        let only_zeros = match random.below(4) {
            0 => return self.durable.clone(),
            1 => return self.bytes.clone(),
            choice => choice == 2,
        };
        let length = match random.below(3) {
            0 => self.bytes.len(),
            1 => self.longest,
            _ => self.shortest + random.below(self.longest - self.shortest + 1),
        };
        let piece = [1, 8, 64, 512, 4096][random.below(5)];
        let mut bytes = self.durable.to_vec();
        bytes.resize(self.longest, 0);
        for range in &self.dirty {
            for from in range.clone().step_by(piece) {
                let piece = from..range.end.min(from + piece);
                match random.below(3) {
                    _ if only_zeros => bytes[piece].fill(0),
                    0 => {}
                    1 => piece.for_each(|at| bytes[at] = self.bytes.get(at).copied().unwrap_or(0)),
                    _ => bytes[piece].fill(0),
                }
            }
        }
        bytes.truncate(length);
        Arc::new(bytes)
    }
}

impl Moment {
    fn during(world: &World, step: &Step<'_>) -> Moment {
        let mut world = world.clone();
        let mut through = None;
        match *step {
            Step::Sync(_) | Step::SyncFolder(_) => {}
            Step::WriteThrough(file, bytes) => through = Some((file, bytes.to_vec())),
            _ => world.apply(step),
        }
        Moment { world, through }
    }

    /// One image that a power cut may leave.
    fn image(&self, seed: u64) -> World {
        let mut random = Random(seed);
        let world = &self.world;
        let mut image = World::default();
        for (name, file) in world.names_after_cut(&mut random) {
            let bytes = match &self.through {
                Some((through, bytes)) if *through == file => world.files[file].torn(bytes, &mut random),
                _ => world.files[file].remains(&mut random),
            };
            let mut file = File { bytes, ..File::default() };
            file.sync();
            image.names.insert(name, image.files.len());
            image.files.push(Arc::new(file));
        }
        image.durable_names = image.names.clone();
        image
    }
}

impl File {
    /// A write-through of `bytes` that was cut.
    fn torn(&self, bytes: &[u8], random: &mut Random) -> Arc<Vec<u8>> {
        let mut file = self.clone();
        file.write(0, bytes);
        match random.below(3) {
            0 => file.durable,
            1 => file.bytes,
            _ => file.remains(random),
        }
    }
}

impl World {
    fn names_after_cut(&self, random: &mut Random) -> BTreeMap<Arc<str>, usize> {
        let mut names = self.durable_names.clone();
        let ordered = random.below(4) == 0;
        if ordered {
            let kept = random.below(self.pending.len() + 1);
            self.pending[..kept].iter().for_each(|change| change.apply(&mut names));
            return names;
        }
        let kept_of_eight = [1, 4, 7][random.below(3)];
        let mut lost: BTreeSet<&Arc<str>> = BTreeSet::new();
        for change in &self.pending {
            let kept = random.below(8) < kept_of_eight && change.names().iter().all(|name| !lost.contains(name));
            if kept {
                change.apply(&mut names);
            } else {
                lost.extend(change.names());
            }
        }
        names
    }
}

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators").
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        (mixed % limit as u64) as usize
    }
}
