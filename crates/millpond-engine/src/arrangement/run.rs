//! A run: an immutable, sorted, checksummed string of bytes that holds rows by key.

use std::sync::OnceLock;

use bytes::Bytes;

use super::{ArrangementSchema, RunPlace};
use crate::keyed::KeyedRows;

/// An immutable, sorted, checksummed string of bytes that holds rows by key.
#[derive(Debug)]
pub struct Run {
    bytes: Bytes,
    checksum: u64,
    rows: u64,
    keys: u64,
    place: OnceLock<RunPlace>,
}

impl Run {
    /// The bytes, as a checkpoint saves them.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The checksum of the footer, which in turn holds those of the blocks.
    pub fn checksum(&self) -> u64 {
        self.checksum
    }

    /// The number of rows, of all keys.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The number of keys.
    pub fn keys(&self) -> u64 {
        self.keys
    }

    /// Where the run is saved, if it is.
    pub fn place(&self) -> Option<&RunPlace> {
        self.place.get()
    }

    /// Says where the run was saved; called once, after its bytes were written.
    pub fn set_place(&self, place: RunPlace) {
        let already = self.place.set(place).is_err();
        assert!(!already, "a run is saved once");
    }
}

/// Builds a [`Run`] from rows in ascending order.
#[derive(Debug)]
pub struct RunBuilder {
    schema: ArrangementSchema,
}

impl RunBuilder {
    /// A builder of a run of this schema.
    pub fn new(schema: ArrangementSchema) -> Self {
        RunBuilder { schema }
    }

    /// Adds rows, sorted; their keys come after all keys added before. Keys without rows are left out.
    pub fn append(&mut self, rows: &KeyedRows) {
        let _ = (rows, &self.schema);
        todo!()
    }

    /// The run.
    pub fn finish(self) -> Run {
        todo!()
    }
}
