//! Disks that break one promise each.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use millpond_error::Result;
use millpond_store::{Disk, DiskFile};
use xxhash_rust::xxh3::xxh3_64;

/// What a disk does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// Files are not synced.
    NoFileSync,
    /// Folders are not synced.
    NoFolderSync,
    /// The folder is not synced before the manifest is renamed, only after it.
    OneFolderSync,
    /// Blobs are written and synced after the manifest is in its place.
    ManifestFirst,
    /// The finished mark is written, but not through.
    MarkNotThrough,
    /// Files are not synced, and every manifest has the checksum that fits it.
    NoFileSyncNoChecksum,
}

/// A disk that breaks a promise.
#[derive(Debug)]
pub(crate) struct BrokenDisk<D> {
    inner: D,
    how: Broken,
    postponed: Arc<Mutex<Vec<Postponed>>>,
}

/// A write to a blob that waits for the manifest.
#[derive(Debug)]
struct Postponed {
    file: Arc<dyn DiskFile>,
    offset: u64,
    bytes: Vec<u8>,
}

#[derive(Debug)]
struct BrokenFile {
    inner: Arc<dyn DiskFile>,
    how: Broken,
    postponed: Option<Arc<Mutex<Vec<Postponed>>>>,
}

impl<D: Disk> BrokenDisk<D> {
    pub(crate) fn new(inner: D, how: Broken) -> Self {
        BrokenDisk { inner, how, postponed: Arc::default() }
    }

    fn wrap(&self, name: &str, file: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        let postpones = self.how == Broken::ManifestFirst && name.starts_with("runs-");
        let postponed = postpones.then(|| self.postponed.clone());
        Box::new(BrokenFile { inner: file.into(), how: self.how, postponed })
    }

    fn catch_up(&self) -> Result<()> {
        for write in std::mem::take(&mut *self.postponed.lock().unwrap()) {
            write.file.write_at(write.offset, &write.bytes)?;
            write.file.sync()?;
        }
        Ok(())
    }
}

impl<D: Disk> Disk for BrokenDisk<D> {
    fn create(&self, name: &str) -> Result<Box<dyn DiskFile>> {
        Ok(self.wrap(name, self.inner.create(name)?))
    }
    fn open_at(&self, name: &str, length: u64) -> Result<Box<dyn DiskFile>> {
        Ok(self.wrap(name, self.inner.open_at(name, length)?))
    }
    fn read(&self, name: &str) -> Result<Option<Bytes>> {
        let bytes = self.inner.read(name)?;
        if self.how != Broken::NoFileSyncNoChecksum || !name.starts_with("manifest-") {
            return Ok(bytes);
        }
        Ok(bytes.map(|bytes| {
            let body = &bytes[..bytes.len().saturating_sub(17)];
            [body, format!("{:016x}\n", xxh3_64(body)).as_bytes()].concat().into()
        }))
    }
    fn read_at(&self, name: &str, offset: u64, length: usize) -> Result<Option<Vec<u8>>> {
        self.inner.read_at(name, offset, length)
    }
    fn length(&self, name: &str) -> Result<Option<u64>> {
        self.inner.length(name)
    }
    fn list(&self, folder: &str) -> Result<Vec<String>> {
        self.inner.list(folder)
    }
    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.inner.rename(from, to)
    }
    fn remove(&self, name: &str) -> Result<()> {
        self.inner.remove(name)
    }
    fn sync_folder(&self, folder: &str) -> Result<()> {
        let dropped = match self.how {
            Broken::NoFolderSync => true,
            Broken::OneFolderSync => self.inner.length("manifest.tmp")?.is_some(),
            _ => false,
        };
        if !dropped {
            self.inner.sync_folder(folder)?;
        }
        if self.inner.length("manifest.tmp")?.is_none() { self.catch_up() } else { Ok(()) }
    }
    fn write_through(&self, name: &str, bytes: &[u8]) -> Result<()> {
        if self.how == Broken::MarkNotThrough {
            let length = self.inner.length(name)?.unwrap_or(0);
            return self.inner.open_at(name, length)?.write_at(0, bytes);
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

impl DiskFile for BrokenFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let Some(postponed) = &self.postponed else { return self.inner.write_at(offset, bytes) };
        let write = Postponed { file: self.inner.clone(), offset, bytes: bytes.to_vec() };
        postponed.lock().unwrap().push(write);
        Ok(())
    }
    fn sync(&self) -> Result<()> {
        let dropped = matches!(self.how, Broken::NoFileSync | Broken::NoFileSyncNoChecksum) || self.postponed.is_some();
        if dropped { Ok(()) } else { self.inner.sync() }
    }
}
