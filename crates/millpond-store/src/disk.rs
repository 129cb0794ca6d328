//! A disk: the few operations that saved state and result files need, each with its promise about power loss.
//!
//! Three implementations: [`LocalDisk`](crate::LocalDisk) for real directories, [`SimulatedDisk`](crate::SimulatedDisk)
//! that can lose power at any step, and [`FaultyDisk`](crate::FaultyDisk) that fails on purpose.

use std::fmt::Debug;
use std::sync::Arc;

use bytes::Bytes;
use millpond_error::{Error, Result};

/// A directory of files. Names are relative, with `/` between folders, and never hold `..`, a leading `/` or a
/// control character ([`check_name`]).
pub trait Disk: Send + Sync + Debug {
    /// Starts a file, empty; what a file of that name held is gone. Neither the name (unless it was there before) nor
    /// the bytes are durable yet.
    fn create(&self, name: &str) -> Result<Box<dyn DiskFile>>;

    /// Opens a file for appending after its first `length` bytes; what stands behind them is cut off. A file that is
    /// missing or shorter is an error of kind `Data`.
    fn open_at(&self, name: &str, length: u64) -> Result<Box<dyn DiskFile>>;

    /// The bytes of a file; `None` if there is no such file. They may be mapped, not copied.
    fn read(&self, name: &str) -> Result<Option<Bytes>>;

    /// The bytes of a file from `offset` on, `length` of them or fewer where the file ends; `None` if there is no such
    /// file. Always a copy.
    fn read_at(&self, name: &str, offset: u64, length: usize) -> Result<Option<Vec<u8>>>;

    /// The length of a file in bytes; `None` if there is no such file.
    fn length(&self, name: &str) -> Result<Option<u64>>;

    /// The names of the files directly inside `folder` (`""` is the root), sorted; empty if there is no such folder.
    fn list(&self, folder: &str) -> Result<Vec<String>>;

    /// Gives a file another name, replacing what had it. Atomic; durable after [`Disk::sync_folder`].
    fn rename(&self, from: &str, to: &str) -> Result<()>;

    /// Removes a file; it is no error if there is none.
    fn remove(&self, name: &str) -> Result<()>;

    /// Makes creations, renames and removals in `folder` durable.
    fn sync_folder(&self, folder: &str) -> Result<()>;

    /// Overwrites the first bytes of an existing file in one system call that returns when they are durable.
    fn write_through(&self, name: &str, bytes: &[u8]) -> Result<()>;

    /// Takes the advisory lock of this directory, held until the guard is dropped or the process ends. The error is
    /// of kind `Locked` and names the holder.
    fn lock(&self, name: &str) -> Result<Box<dyn Send + Sync>>;

    /// A file's full name, as messages show it.
    fn path(&self, name: &str) -> String;
}

/// A file that is being written. Safe to share between threads that write to places of their own.
pub trait DiskFile: Send + Sync + Debug {
    /// Writes all of `bytes` at `offset`.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()>;

    /// Makes the file's bytes and length durable.
    fn sync(&self) -> Result<()>;
}

impl<D: Disk + ?Sized> Disk for Arc<D> {
    fn create(&self, name: &str) -> Result<Box<dyn DiskFile>> {
        (**self).create(name)
    }
    fn open_at(&self, name: &str, length: u64) -> Result<Box<dyn DiskFile>> {
        (**self).open_at(name, length)
    }
    fn read(&self, name: &str) -> Result<Option<Bytes>> {
        (**self).read(name)
    }
    fn read_at(&self, name: &str, offset: u64, length: usize) -> Result<Option<Vec<u8>>> {
        (**self).read_at(name, offset, length)
    }
    fn length(&self, name: &str) -> Result<Option<u64>> {
        (**self).length(name)
    }
    fn list(&self, folder: &str) -> Result<Vec<String>> {
        (**self).list(folder)
    }
    fn rename(&self, from: &str, to: &str) -> Result<()> {
        (**self).rename(from, to)
    }
    fn remove(&self, name: &str) -> Result<()> {
        (**self).remove(name)
    }
    fn sync_folder(&self, folder: &str) -> Result<()> {
        (**self).sync_folder(folder)
    }
    fn write_through(&self, name: &str, bytes: &[u8]) -> Result<()> {
        (**self).write_through(name, bytes)
    }
    fn lock(&self, name: &str) -> Result<Box<dyn Send + Sync>> {
        (**self).lock(name)
    }
    fn path(&self, name: &str) -> String {
        (**self).path(name)
    }
}

/// Refuses names that could leave the directory or hide in a terminal: an `Invalid` error for an empty name, a leading
/// `/`, an empty, `.` or `..` part, and control characters.
pub fn check_name(name: &str) -> Result<()> {
    let reason = if name.chars().any(char::is_control) {
        "holds a control character"
    } else if name.split('/').any(|part| matches!(part, "" | "." | "..")) {
        "must be relative and must not hold empty, \".\" or \"..\" parts"
    } else {
        return Ok(());
    };
    Err(Error::invalid(format!("file name {name:?} {reason}")))
}

/// As [`check_name`], and `""` is the root.
pub fn check_folder(name: &str) -> Result<()> {
    if name.is_empty() { Ok(()) } else { check_name(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, allowed: bool) {
        assert_eq!(check_name(name).is_ok(), allowed, "{name:?}");
    }

    #[test]
    fn plain_nested_and_unicode_names_are_allowed() {
        for name in ["a", "runs-1-0", "a/b c/ü.csv", "..a", "a..", "...", ".hidden"] {
            check(name, true);
        }
    }

    #[test]
    fn names_that_leave_the_directory_are_refused() {
        for name in ["", "/", "/etc/passwd", "..", "a/../b", "../a", "a/..", "a//b", "a/", "./a"] {
            check(name, false);
        }
    }

    #[test]
    fn control_characters_are_refused() {
        for name in ["a\nb", "a\0", "\u{1b}[31m", "a\u{7f}", "\u{85}"] {
            check(name, false);
        }
    }
}
