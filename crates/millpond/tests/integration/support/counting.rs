//! A disk that counts what is written to it, and how often a file of it is opened.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use millpond::Result;
use millpond_store::{Disk, DiskFile, LocalDisk};

/// A disk that counts; clones count together.
#[derive(Clone, Debug)]
pub(crate) struct CountingDisk {
    disk: LocalDisk,
    written: Arc<AtomicU64>,
    opened: Arc<AtomicU64>,
}

#[derive(Debug)]
struct CountingFile {
    file: Box<dyn DiskFile>,
    written: Arc<AtomicU64>,
}

impl CountingDisk {
    pub(crate) fn new(disk: LocalDisk) -> Self {
        CountingDisk { disk, written: Arc::default(), opened: Arc::default() }
    }

    /// Bytes written and files opened so far.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.written.load(Ordering::Relaxed), self.opened.load(Ordering::Relaxed))
    }

    fn open(&self) {
        self.opened.fetch_add(1, Ordering::Relaxed);
    }

    fn file(&self, file: Result<Box<dyn DiskFile>>) -> Result<Box<dyn DiskFile>> {
        self.open();
        Ok(Box::new(CountingFile { file: file?, written: self.written.clone() }))
    }
}

impl DiskFile for CountingFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.file.write_at(offset, bytes)
    }

    fn sync(&self) -> Result<()> {
        self.file.sync()
    }
}

impl Disk for CountingDisk {
    fn create(&self, name: &str) -> Result<Box<dyn DiskFile>> {
        self.file(self.disk.create(name))
    }

    fn open_at(&self, name: &str, length: u64) -> Result<Box<dyn DiskFile>> {
        self.file(self.disk.open_at(name, length))
    }

    fn read(&self, name: &str) -> Result<Option<Bytes>> {
        self.open();
        self.disk.read(name)
    }

    fn read_at(&self, name: &str, offset: u64, length: usize) -> Result<Option<Vec<u8>>> {
        self.open();
        self.disk.read_at(name, offset, length)
    }

    fn length(&self, name: &str) -> Result<Option<u64>> {
        self.disk.length(name)
    }

    fn list(&self, folder: &str) -> Result<Vec<String>> {
        self.disk.list(folder)
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.disk.remove(name)
    }

    fn sync_folder(&self, folder: &str) -> Result<()> {
        self.disk.sync_folder(folder)
    }

    fn write_through(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.open();
        self.written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.disk.write_through(name, bytes)
    }

    fn lock(&self, name: &str) -> Result<Box<dyn Send + Sync>> {
        self.open();
        self.disk.lock(name)
    }

    fn path(&self, name: &str) -> String {
        self.disk.path(name)
    }
}
