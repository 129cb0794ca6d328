//! A real directory as a [`Disk`].
//!
//! Every call that changes something goes through the C library (`open`, `pwrite`, `fsync`, `ftruncate`, `rename`,
//! `unlink`), so that a preloaded fault injector sees it.

use std::fs::{self, DirBuilder, File, FileType, OpenOptions, Permissions};
use std::io::{self, ErrorKind as Io};
use std::os::unix::fs::{DirBuilderExt, FileExt, FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use millpond_error::{Error, Result};
use parking_lot::Mutex;
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::disk::{Disk, DiskFile, check_folder, check_name};
use crate::lock::Lock;
use crate::manifest::DAMAGE_HINT;
use crate::map;

/// Files below this are read, not mapped: a copy is cheaper, and files that are overwritten in place stay below it.
const MAP_FROM_BYTES: u64 = 64 << 10;

/// A directory of the local file system. Missing folders are made, durably, when a file is created in them.
#[derive(Clone, Debug)]
pub struct LocalDisk {
    root: PathBuf,
    /// Folders 0700, files 0600, large files mapped.
    private: bool,
}

impl LocalDisk {
    /// A directory that people share: modes are the user's umask, and nothing is mapped, since others may truncate
    /// the files. For result files. Touches no disk.
    pub fn new(root: impl AsRef<Path>) -> Result<Self> {
        Self::at(root.as_ref(), false)
    }

    /// A directory that only this program touches, under its lock: folders are made with mode 0700, files with 0600,
    /// and large files are mapped for reading. For saved state. Touches no disk.
    pub fn private(root: impl AsRef<Path>) -> Result<Self> {
        Self::at(root.as_ref(), true)
    }

    fn at(root: &Path, private: bool) -> Result<Self> {
        let root = std::path::absolute(root).map_err(|error| failed("find", root, &error))?;
        Ok(LocalDisk { root, private })
    }

    /// The directory, as an absolute path.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn file_path(&self, name: &str) -> Result<PathBuf> {
        check_name(name)?;
        Ok(self.root.join(name))
    }

    fn folder_path(&self, name: &str) -> Result<PathBuf> {
        check_folder(name)?;
        Ok(if name.is_empty() { self.root.clone() } else { self.root.join(name) })
    }

    /// Makes a file by `options`, and its folder if that is missing; `None` if they say that it must be new and it is
    /// not.
    fn creating(&self, options: &mut OpenOptions, path: &Path) -> Result<Option<File>> {
        options.create(true).mode(if self.private { 0o600 } else { 0o666 });
        let opened = match options.open(path) {
            Err(error) if error.kind() == Io::NotFound => {
                self.make_folders(path.parent().unwrap_or(&self.root))?;
                options.open(path)
            }
            opened => opened,
        };
        match opened {
            Err(error) if error.kind() == Io::AlreadyExists => Ok(None),
            opened => opened.map(Some).map_err(|error| failed("create", path, &error)),
        }
    }

    /// Opens a file that is there; `None` if it is not. It must be a regular file: opening a pipe would wait for
    /// whoever writes to it. In a private directory it must not be a link either, which may lead to what is not ours to
    /// change.
    fn open(&self, options: &mut OpenOptions, extra: OFlags, path: &Path) -> Result<Option<File>> {
        let nofollow = if self.private { OFlags::NOFOLLOW } else { OFlags::empty() };
        let opened = options.custom_flags((extra | nofollow | OFlags::NONBLOCK).bits().cast_signed()).open(path);
        match opened {
            Ok(file) => {
                let kind = file.metadata().map_err(|error| failed("read", path, &error))?.file_type();
                if kind.is_file() { Ok(Some(file)) } else { Err(self.irregular(path, kind_name(kind))) }
            }
            Err(error) if error.kind() == Io::NotFound => Ok(None),
            Err(error) => match fs::symlink_metadata(path).map(|metadata| metadata.file_type()) {
                Ok(kind) if !kind.is_file() && (self.private || !kind.is_symlink()) => {
                    Err(self.irregular(path, kind_name(kind)))
                }
                _ => Err(failed("open", path, &error)),
            },
        }
    }

    fn irregular(&self, path: &Path, what: &str) -> Error {
        let message = format!("{} is {what}, not a regular file", path.display());
        if self.private { Error::data(message).with_hint(DAMAGE_HINT) } else { Error::invalid(message) }
    }

    /// Takes away what group and others may do with a private directory that is there already: whoever can write to it
    /// could put other files in the place of saved ones.
    fn make_private(&self) -> Result<()> {
        let metadata = match fs::metadata(&self.root) {
            Err(error) if error.kind() == Io::NotFound => return Ok(()),
            metadata => metadata.map_err(|error| failed("read", &self.root, &error))?,
        };
        let mode = metadata.permissions().mode();
        if !metadata.is_dir() || mode & 0o077 == 0 {
            return Ok(());
        }
        match fs::set_permissions(&self.root, Permissions::from_mode(0o700)) {
            Err(_) if mode & 0o022 != 0 => {
                let root = self.root.display();
                let what = format!("{root} belongs to another user, and not only that user may change files in it");
                Err(Error::invalid(what)
                    .with_hint(format!("save the state in a directory of its own, such as {root}/state")))
            }
            _ => Ok(()),
        }
    }

    /// Makes a folder and those above it, each durable in the one that holds it.
    fn make_folders(&self, folder: &Path) -> Result<()> {
        if folder.is_dir() {
            return Ok(());
        }
        let parent = folder.parent();
        if let Some(parent) = parent {
            self.make_folders(parent)?;
        }
        let made = DirBuilder::new().mode(if self.private { 0o700 } else { 0o777 }).create(folder);
        match made {
            Err(error) if error.kind() == Io::AlreadyExists && folder.is_dir() => return Ok(()),
            made => made.map_err(|error| failed("make the folder", folder, &error))?,
        }
        parent.map_or(Ok(()), sync_path)
    }
}

impl Disk for LocalDisk {
    fn create(&self, name: &str) -> Result<Box<dyn DiskFile>> {
        let path = self.file_path(name)?;
        // What has the name may be a link that somebody put there: it goes, and what it leads to stays.
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        let mut file = self.creating(&mut options, &path)?;
        if file.is_none() {
            if path.is_dir() && !path.is_symlink() {
                return Err(self.irregular(&path, "a directory"));
            }
            self.remove(name)?;
            file = self.creating(&mut options, &path)?;
        }
        let exists = || failed("create", &path, &io::Error::from(Io::AlreadyExists));
        let file = file.ok_or_else(exists)?;
        Ok(Box::new(LocalFile::new(file, path, self.private)))
    }

    fn open_at(&self, name: &str, length: u64) -> Result<Box<dyn DiskFile>> {
        let path = self.file_path(name)?;
        let Some(file) = self.open(OpenOptions::new().write(true), OFlags::empty(), &path)? else {
            return Err(Error::data(format!("{} is missing; {length} bytes of it were saved", path.display())));
        };
        let present = file.metadata().map_err(|error| failed("read", &path, &error))?.len();
        if present < length {
            return Err(Error::data(format!("{} holds {present} bytes, of {length} saved ones", path.display())));
        }
        if present > length {
            file.set_len(length).map_err(|error| failed("truncate", &path, &error))?;
        }
        Ok(Box::new(LocalFile::new(file, path, self.private)))
    }

    fn read(&self, name: &str) -> Result<Option<Bytes>> {
        let path = self.file_path(name)?;
        let Some(file) = self.open(OpenOptions::new().read(true), OFlags::empty(), &path)? else { return Ok(None) };
        let read = || {
            let length = file.metadata()?.len();
            if self.private && length >= MAP_FROM_BYTES {
                return map::map(&file);
            }
            fill(&file, 0, length as usize).map(Bytes::from)
        };
        read().map(Some).map_err(|error| failed("read", &path, &error))
    }

    fn read_at(&self, name: &str, offset: u64, length: usize) -> Result<Option<Vec<u8>>> {
        let path = self.file_path(name)?;
        let Some(file) = self.open(OpenOptions::new().read(true), OFlags::empty(), &path)? else { return Ok(None) };
        let read = || {
            let rest = file.metadata()?.len().saturating_sub(offset);
            fill(&file, offset, rest.min(length as u64) as usize)
        };
        read().map(Some).map_err(|error| failed("read", &path, &error))
    }

    fn length(&self, name: &str) -> Result<Option<u64>> {
        let path = self.file_path(name)?;
        let metadata = if self.private { fs::symlink_metadata(&path) } else { fs::metadata(&path) };
        match metadata {
            Ok(metadata) if metadata.is_file() || !self.private => Ok(Some(metadata.len())),
            Ok(metadata) => Err(self.irregular(&path, kind_name(metadata.file_type()))),
            Err(error) if error.kind() == Io::NotFound => Ok(None),
            Err(error) => Err(failed("read", &path, &error)),
        }
    }

    fn list(&self, folder: &str) -> Result<Vec<String>> {
        let path = self.folder_path(folder)?;
        let entries = match fs::read_dir(&path) {
            Err(error) if error.kind() == Io::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|error| failed("list", &path, &error))?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| failed("list", &path, &error))?;
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if !is_folder && let Ok(name) = entry.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        let (from, to) = (self.file_path(from)?, self.file_path(to)?);
        fs::rename(&from, &to).map_err(|error| failed(&format!("rename {} to", from.display()), &to, &error))
    }

    fn remove(&self, name: &str) -> Result<()> {
        let path = self.file_path(name)?;
        match fs::remove_file(&path) {
            Err(error) if error.kind() == Io::NotFound => Ok(()),
            removed => removed.map_err(|error| failed("remove", &path, &error)),
        }
    }

    fn sync_folder(&self, folder: &str) -> Result<()> {
        sync_path(&self.folder_path(folder)?)
    }

    fn write_through(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.file_path(name)?;
        let Some(file) = self.open(OpenOptions::new().write(true), OFlags::DSYNC, &path)? else {
            return Err(failed("write", &path, &io::Error::from_raw_os_error(Errno::NOENT.raw_os_error())));
        };
        let written = file.write_at(bytes, 0).and_then(|written| match written == bytes.len() {
            true => Ok(()),
            false => Err(io::Error::from(Io::WriteZero)),
        });
        written.map_err(|error| failed("write", &path, &error))
    }

    fn lock(&self, name: &str) -> Result<Box<dyn Send + Sync>> {
        let path = self.file_path(name)?;
        if self.private {
            self.make_private()?;
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        let mut file = self.open(&mut options, OFlags::empty(), &path)?;
        if file.is_none() {
            // Another process may make it at this moment.
            file = self.creating(options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed()), &path)?;
        }
        let missing = || failed("lock", &path, &io::Error::from(Io::NotFound));
        let file = file.ok_or_else(missing)?;
        match Lock::take(file).map_err(|error| failed("lock", &path, &error))? {
            Ok(lock) => Ok(Box::new(lock)),
            Err(holder) => Err(Error::locked(format!("{} is in use: held by {holder}", self.root.display()))
                .with_hint("wait for it or stop it, or give this program a state directory of its own")),
        }
    }

    fn path(&self, name: &str) -> String {
        self.root.join(name).display().to_string()
    }
}

/// A file of a [`LocalDisk`] that is being written. A large one is synced beside the writing, again and again, so that
/// little is left to wait for when its owner asks for the sync.
#[derive(Debug)]
struct LocalFile {
    file: Arc<File>,
    path: PathBuf,
    /// Whether what is written stays in the system's cache of files, though it is durable: saved state is read again.
    cached: bool,
    /// Bytes written since the last sync was started.
    unsynced: AtomicU64,
    early: Mutex<Option<JoinHandle<io::Result<()>>>>,
}

/// So many unsynced bytes start a sync beside the writing.
const EARLY_SYNC_BYTES: u64 = 6 << 20;

impl LocalFile {
    fn new(file: File, path: PathBuf, cached: bool) -> Self {
        LocalFile { file: Arc::new(file), path, cached, unsynced: AtomicU64::new(0), early: Mutex::default() }
    }

    /// Starts a sync, unless one is under way. An error stays with its thread until someone joins it: the system
    /// reports a failed write-back once only, so it must not get lost here.
    fn sync_early(&self) -> Result<()> {
        let mut early = self.early.lock();
        if early.as_ref().is_some_and(|sync| !sync.is_finished()) {
            return Ok(());
        }
        self.join(early.take())?;
        self.unsynced.store(0, Ordering::Relaxed);
        let (file, cached) = (self.file.clone(), self.cached);
        let sync = move || {
            file.sync_data()?;
            if !cached {
                release(&file);
            }
            Ok(())
        };
        *early = thread::Builder::new().name("early sync".into()).spawn(sync).ok();
        Ok(())
    }

    fn join(&self, sync: Option<JoinHandle<io::Result<()>>>) -> Result<()> {
        match sync.map(JoinHandle::join) {
            None | Some(Ok(Ok(()))) => Ok(()),
            Some(Ok(Err(error))) => Err(failed("sync", &self.path, &error)),
            Some(Err(_)) => Err(failed("sync", &self.path, &io::Error::other("the thread that synced it ended early"))),
        }
    }
}

impl DiskFile for LocalFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.file.write_all_at(bytes, offset).map_err(|error| failed("write", &self.path, &error))?;
        let unsynced = self.unsynced.fetch_add(bytes.len() as u64, Ordering::Relaxed) + bytes.len() as u64;
        if unsynced >= EARLY_SYNC_BYTES { self.sync_early() } else { Ok(()) }
    }

    fn sync(&self) -> Result<()> {
        let early = self.early.lock().take();
        self.join(early)?;
        self.file.sync_all().map_err(|error| failed("sync", &self.path, &error))
    }
}

/// Lets the system take back the memory in which it keeps what of `file` is durable: the next bytes to be written need
/// it, and memory that was not in use before is dear.
fn release(file: &File) {
    // It is advice: nothing depends on it.
    #[cfg(target_os = "linux")]
    let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed);
}

fn kind_name(kind: FileType) -> &'static str {
    match kind {
        _ if kind.is_symlink() => "a symbolic link",
        _ if kind.is_dir() => "a directory",
        _ if kind.is_fifo() => "a named pipe",
        _ if kind.is_socket() => "a socket",
        _ => "a device",
    }
}

/// Reads `length` bytes from `offset`, or fewer if the file got shorter meanwhile.
fn fill(file: &File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match file.read_at(&mut bytes[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(more) => filled += more,
            Err(error) if error.kind() == Io::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

fn sync_path(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|file| file.sync_all()).map_err(|error| failed("sync the folder", folder, &error))
}

/// `cannot write /data/state/runs-1: No space left on device (os error 28)`.
fn failed(what: &str, path: &Path, error: &io::Error) -> Error {
    let message = format!("cannot {what} {}: {error}", path.display());
    match error.kind() {
        Io::NotADirectory | Io::IsADirectory | Io::InvalidFilename => Error::invalid(message),
        _ => Error::unavailable(message),
    }
}
