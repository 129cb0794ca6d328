//! Saved state: disks, blobs, the manifest and the commit protocol.
