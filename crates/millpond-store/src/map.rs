//! Files as memory: the only module of this crate with `unsafe`.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;

use bytes::Bytes;
use memmap2::Mmap;

/// Maps a whole file for reading. The caller promises what [`LocalDisk`](crate::LocalDisk) promises for a private
/// directory, and [`Scratch`](crate::Scratch) for a file without a name: nobody truncates or changes the file while the
/// bytes are alive.
pub(crate) fn map(file: &File) -> io::Result<Bytes> {
    // SAFETY: a scratch file has no name by which another program could open it, and is mapped when all of it is written.
    // Else only files of a state directory are mapped, which this process has locked, and only files above the size that
    // `LocalDisk` copies: blobs. A blob that a manifest names is never written again; it may be unlinked,
    // which leaves the mapping whole. Another program that truncates files of a locked state directory is outside of
    // what the library can guard against; its mode (0700, 0600) keeps other users out.
    let map = unsafe { Mmap::map(file)? };
    Ok(Bytes::from_owner(map))
}
