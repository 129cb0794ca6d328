//! Scratch files: where waits what memory has no room for.
//!
//! A scratch file has no name from the beginning, so nothing is left of it, however the process ends; and nothing in it
//! is ever made durable.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use millpond_error::{Error, Result};

use crate::map::map;

/// What to do where the scratch directory does not do.
const HINT: &str =
    "MILLPOND_SCRATCH names a directory with room for what does not fit memory; a larger memory limit needs less of it";

/// Places that SQLite looks at, too, for files that may be large: `/tmp` is memory on many machines.
const PLACES: [&str; 2] = ["/var/tmp", "/tmp"];

/// A directory for scratch files.
#[derive(Clone, Debug)]
pub struct Scratch {
    directory: PathBuf,
}

/// A file that is gone when it is dropped.
#[derive(Debug)]
pub struct ScratchFile {
    file: File,
    directory: PathBuf,
    end: AtomicU64,
}

/// Some bytes of a scratch file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Where they begin.
    pub offset: u64,
    /// How many there are.
    pub length: usize,
}

impl Scratch {
    /// Scratch files in this directory, which is looked at when the first of them is made.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Scratch { directory: directory.into() }
    }

    /// Scratch files in the directory that `MILLPOND_SCRATCH` names, or else in this one, or else in `TMPDIR`,
    /// `/var/tmp` or `/tmp`.
    pub fn from_env(directory: Option<&Path>) -> Self {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let usual = || PLACES.into_iter().map(PathBuf::from).find(|place| place.is_dir());
        let place = variable("MILLPOND_SCRATCH").or_else(|| directory.map(Path::to_owned));
        Scratch::new(place.or_else(|| variable("TMPDIR")).or_else(usual).unwrap_or_else(std::env::temp_dir))
    }

    /// An empty file.
    ///
    /// # Errors
    /// `Unavailable`, if the directory does not let one be made.
    pub fn file(&self) -> Result<ScratchFile> {
        let made = tempfile::tempfile_in(&self.directory);
        let file = made.map_err(|error| failed("make a scratch file in", &self.directory, &error))?;
        Ok(ScratchFile { file, directory: self.directory.clone(), end: AtomicU64::new(0) })
    }
}

impl ScratchFile {
    /// Writes bytes behind all others; several threads may do so at once.
    ///
    /// # Errors
    /// `Unavailable`, if the directory has no room.
    pub fn append(&self, bytes: &[u8]) -> Result<Extent> {
        let offset = self.end.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let written = self.file.write_all_at(bytes, offset);
        written.map_err(|error| failed("write a scratch file in", &self.directory, &error))?;
        Ok(Extent { offset, length: bytes.len() })
    }

    /// All that was written, of which memory holds no more than what was read last.
    ///
    /// # Errors
    /// `Unavailable`, if the disk does not give it.
    pub fn into_bytes(self) -> Result<Bytes> {
        map(&self.file).map_err(|error| failed("read a scratch file in", &self.directory, &error))
    }

    /// Reads bytes that were written.
    ///
    /// # Errors
    /// `Unavailable`, if the disk does not give them.
    pub fn read(&self, extent: Extent) -> Result<Vec<u8>> {
        let mut bytes = vec![0; extent.length];
        let read = self.file.read_exact_at(&mut bytes, extent.offset);
        read.map_err(|error| failed("read a scratch file in", &self.directory, &error))?;
        Ok(bytes)
    }
}

fn failed(what: &str, directory: &Path, error: &io::Error) -> Error {
    Error::unavailable(format!("cannot {what} {}: {error}", directory.display())).with_hint(HINT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_nothing_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let scratch = Scratch::new(directory.path());
        let file = scratch.file().unwrap();
        let extents: Vec<Extent> = [&b"one"[..], b"", b"three"].map(|bytes| file.append(bytes).unwrap()).into();
        assert_eq!(file.read(extents[2]).unwrap(), b"three");
        assert_eq!(file.read(extents[0]).unwrap(), b"one");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "no file has a name");
        assert_eq!(file.into_bytes().unwrap(), &b"onethree"[..]);
    }

    #[test]
    fn a_directory_that_is_not_there_is_named() {
        let error = Scratch::new("/nowhere/at/all").file().unwrap_err();
        assert!(error.message().starts_with("cannot make a scratch file in /nowhere/at/all: "), "{error}");
        assert_eq!(error.hint(), Some(HINT));
    }
}
