//! Changes with their key hashes, and rows grouped by key.

use arrow_array::ArrayRef;

use crate::cells::concat;
use crate::changes::{Changes, Diffs};
use crate::group::repeat;

/// The changes of one bucket (a contiguous range of hashes) in one epoch, in no particular order.
#[derive(Clone, Debug, Default)]
pub struct KeyedChanges {
    /// The hash of each row's key columns, `changes.rows` long.
    pub hashes: Vec<u64>,
    /// The rows: all columns of the operator's input, key columns among them.
    pub changes: Changes,
}

impl KeyedChanges {
    /// All rows of these parts, which have the same columns; there is at least one.
    pub fn concat(parts: &[KeyedChanges]) -> KeyedChanges {
        let mut hashes = Vec::with_capacity(parts.iter().map(|part| part.hashes.len()).sum());
        parts.iter().for_each(|part| hashes.extend_from_slice(&part.hashes));
        let columns: Vec<&[ArrayRef]> = parts.iter().map(|part| part.changes.columns.as_slice()).collect();
        let columns = concat(&columns);
        let diffs = Diffs::concat(parts.iter().map(|part| (&part.changes.diffs, part.changes.rows)));
        KeyedChanges { changes: Changes { columns, rows: hashes.len(), diffs }, hashes }
    }
}

/// Rows by key in compressed sparse rows: keys sorted by (hash, key columns), and where a function says *sorted*, the
/// rows of a key sorted by their columns from left to right (nulls first, floats by `total_cmp`, text by bytes) and
/// consolidated: no two equal, none with multiplicity 0.
#[derive(Clone, Debug)]
pub struct KeyedRows {
    /// The hash of each key, ascending.
    pub hashes: Vec<u64>,
    /// The key columns, as long as `hashes`.
    pub keys: Vec<ArrayRef>,
    /// Where the rows of each key start; one longer than `hashes`.
    pub offsets: Vec<u32>,
    /// The row columns, `offsets.last()` long.
    pub rows: Vec<ArrayRef>,
    /// The multiplicity of each row.
    pub diffs: Diffs,
}

impl KeyedRows {
    /// The rows as changes: the key columns, then the row columns.
    pub fn into_changes(self) -> Changes {
        let rows = self.offsets.last().map_or(0, |&end| end) as usize;
        let mut columns: Vec<ArrayRef> = self.keys.iter().map(|column| repeat(column, &self.offsets)).collect();
        columns.extend(self.rows);
        Changes { columns, rows, diffs: self.diffs }
    }
}
