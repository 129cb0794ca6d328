//! A disk that fails on purpose, for tests of programs that must survive it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use millpond_error::{Error, Result};

use crate::disk::{Disk, DiskFile};

/// When and how a [`FaultyDisk`] fails.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// Which operations count.
    pub operations: Operations,
    /// The operation that fails, from 1; 0: none, only count.
    pub at: u64,
    /// All later ones fail too.
    pub for_ever: bool,
    /// How.
    pub failure: Failure,
}

/// The operations that a [`Fault`] counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operations {
    /// All of them, reading included.
    All,
    /// Those that change something: creating, writing, syncing, renaming, removing.
    Mutating,
    /// Writes of bytes.
    Writes,
    /// Syncs of files and folders, and writes that sync.
    Syncs,
}

/// How an operation fails; each is an error of kind `Unavailable`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The device reports an error; nothing was done.
    Io,
    /// No space is left; nothing was done.
    Full,
    /// Half of the bytes were written, then the device reported an error. As [`Failure::Io`] for what writes no bytes.
    ShortWrite,
}

/// A disk that passes operations on, and fails one of them (or all from one on).
#[derive(Clone, Debug)]
pub struct FaultyDisk<D> {
    inner: D,
    trigger: Arc<Trigger>,
}

#[derive(Debug)]
struct Trigger {
    fault: Fault,
    count: AtomicU64,
}

#[derive(Debug)]
struct FaultyFile {
    inner: Box<dyn DiskFile>,
    path: String,
    trigger: Arc<Trigger>,
}

/// What an operation does; decides whether it counts.
#[derive(Clone, Copy)]
enum Act {
    Read,
    Change,
    Write,
    Sync,
}

impl<D: Disk> FaultyDisk<D> {
    /// Wraps a disk. Locks and the names of files never fail.
    pub fn new(inner: D, fault: Fault) -> Self {
        FaultyDisk { inner, trigger: Arc::new(Trigger { fault, count: AtomicU64::new(0) }) }
    }

    /// Another disk behind the same count: for programs that use several directories.
    pub fn map<E: Disk>(&self, other: impl FnOnce(&D) -> E) -> FaultyDisk<E> {
        FaultyDisk { inner: other(&self.inner), trigger: self.trigger.clone() }
    }

    /// How many operations counted so far.
    pub fn count(&self) -> u64 {
        self.trigger.count.load(Ordering::SeqCst)
    }

    fn pass(&self, act: Act, name: &str) -> Result<()> {
        self.trigger.pass(act, || self.inner.path(name))
    }

    fn file(&self, inner: Box<dyn DiskFile>, name: &str) -> Box<dyn DiskFile> {
        Box::new(FaultyFile { inner, path: self.inner.path(name), trigger: self.trigger.clone() })
    }
}

impl Trigger {
    /// Counts an operation; true if it has to fail.
    fn fires(&self, act: Act) -> bool {
        let counts = match self.fault.operations {
            Operations::All => true,
            Operations::Mutating => !matches!(act, Act::Read),
            Operations::Writes => matches!(act, Act::Write),
            Operations::Syncs => matches!(act, Act::Sync),
        };
        if !counts {
            return false;
        }
        let number = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        let at = self.fault.at;
        at > 0 && (number == at || self.fault.for_ever && number > at)
    }

    fn error(&self, path: &str) -> Error {
        let reason = match self.fault.failure {
            Failure::Full => "No space left on device (os error 28)",
            Failure::Io | Failure::ShortWrite => "Input/output error (os error 5)",
        };
        Error::unavailable(format!("cannot use {path}: {reason}"))
    }

    fn pass(&self, act: Act, path: impl FnOnce() -> String) -> Result<()> {
        if self.fires(act) { Err(self.error(&path())) } else { Ok(()) }
    }
}

impl<D: Disk> Disk for FaultyDisk<D> {
    fn create(&self, name: &str) -> Result<Box<dyn DiskFile>> {
        self.pass(Act::Change, name)?;
        Ok(self.file(self.inner.create(name)?, name))
    }
    fn open_at(&self, name: &str, length: u64) -> Result<Box<dyn DiskFile>> {
        self.pass(Act::Change, name)?;
        Ok(self.file(self.inner.open_at(name, length)?, name))
    }
    fn read(&self, name: &str) -> Result<Option<Bytes>> {
        self.pass(Act::Read, name)?;
        self.inner.read(name)
    }
    fn read_at(&self, name: &str, offset: u64, length: usize) -> Result<Option<Vec<u8>>> {
        self.pass(Act::Read, name)?;
        self.inner.read_at(name, offset, length)
    }
    fn length(&self, name: &str) -> Result<Option<u64>> {
        self.pass(Act::Read, name)?;
        self.inner.length(name)
    }
    fn list(&self, folder: &str) -> Result<Vec<String>> {
        self.pass(Act::Read, folder)?;
        self.inner.list(folder)
    }
    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.pass(Act::Change, to)?;
        self.inner.rename(from, to)
    }
    fn remove(&self, name: &str) -> Result<()> {
        self.pass(Act::Change, name)?;
        self.inner.remove(name)
    }
    fn sync_folder(&self, folder: &str) -> Result<()> {
        self.pass(Act::Sync, folder)?;
        self.inner.sync_folder(folder)
    }
    fn write_through(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.pass(Act::Sync, name)?;
        if self.trigger.fires(Act::Write) {
            if self.trigger.fault.failure == Failure::ShortWrite {
                self.inner.write_through(name, &bytes[..bytes.len() / 2])?;
            }
            return Err(self.trigger.error(&self.inner.path(name)));
        }
        self.inner.write_through(name, bytes)
    }
    fn lock(&self, name: &str) -> Result<Box<dyn Send + Sync>> {
        self.inner.lock(name)
    }
    fn path(&self, name: &str) -> String {
        self.inner.path(name)
    }
}

impl DiskFile for FaultyFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        if self.trigger.fires(Act::Write) {
            if self.trigger.fault.failure == Failure::ShortWrite {
                self.inner.write_at(offset, &bytes[..bytes.len() / 2])?;
            }
            return Err(self.trigger.error(&self.path));
        }
        self.inner.write_at(offset, bytes)
    }
    fn sync(&self) -> Result<()> {
        self.trigger.pass(Act::Sync, || self.path.clone())?;
        self.inner.sync()
    }
}
