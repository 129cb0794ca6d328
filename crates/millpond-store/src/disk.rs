//! A disk: the few operations that saved state and result files need, each with its promise about power loss.
//!
//! Three implementations: [`LocalDisk`](crate::LocalDisk) for real directories, [`SimulatedDisk`](crate::SimulatedDisk)
//! that can lose power at any step, and [`FaultyDisk`](crate::FaultyDisk) that fails on purpose.

use std::fmt::Debug;

use bytes::Bytes;
use millpond_error::Result;

/// A directory of files. Names are relative, with `/` between folders, and never hold `..`, a leading `/` or a
/// control character.
pub trait Disk: Send + Sync + Debug {
    /// Starts a file, empty; one of that name is replaced. Neither the name nor the bytes are durable yet.
    fn create(&self, name: &str) -> Result<Box<dyn DiskFile>>;

    /// Opens a file for appending after its first `length` bytes; what stands behind them is cut off.
    fn open_at(&self, name: &str, length: u64) -> Result<Box<dyn DiskFile>>;

    /// The bytes of a file; `None` if there is no such file. They may be mapped, not copied.
    fn read(&self, name: &str) -> Result<Option<Bytes>>;

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
}

/// A file that is being written. Safe to share between threads that write to places of their own.
pub trait DiskFile: Send + Sync + Debug {
    /// Writes all of `bytes` at `offset`.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()>;

    /// Makes the file's bytes and length durable.
    fn sync(&self) -> Result<()>;
}
