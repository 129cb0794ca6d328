//! The saved state of an operator: rows by key, in sorted immutable runs.

use std::sync::Arc;

use arrow_array::ArrayRef;
use bytes::Bytes;
use millpond_error::Result;
use millpond_plan::types::ColumnType;

use crate::hash::KeyRange;
use crate::keyed::KeyedRows;

mod run;

pub use run::{Run, RunBuilder};

/// The types of an arrangement's columns. Part of the saved state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArrangementSchema {
    /// The key columns.
    pub key: Vec<ColumnType>,
    /// The row columns.
    pub row: Vec<ColumnType>,
}

/// Where the bytes of a saved run are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunPlace {
    /// The name of the blob that holds it.
    pub blob: String,
    /// Where it starts in the blob.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
}

/// A run as a checkpoint names it.
#[derive(Clone, Debug)]
pub struct SavedRun {
    /// What errors call it: the path of its file.
    pub name: String,
    /// The bytes of the run.
    pub bytes: Bytes,
    /// The checksum of its footer, as the checkpoint names it.
    pub checksum: u64,
    /// The keys that count; the run may hold others.
    pub range: KeyRange,
    /// Where the bytes are.
    pub place: RunPlace,
}

/// The runs of one arrangement in a checkpoint, of all workers, in any order.
#[derive(Clone, Debug, Default)]
pub struct SavedArrangement {
    /// The runs.
    pub runs: Vec<SavedRun>,
}

/// A run with the keys of it that count.
#[derive(Clone, Debug)]
pub struct RunEntry {
    /// The run.
    pub run: Arc<Run>,
    /// The keys that count; the run may hold others.
    pub range: KeyRange,
}

/// Which rows of a key a lookup returns.
#[derive(Clone, Copy, Debug)]
pub enum Select<'a> {
    /// All live rows.
    All,
    /// Live rows whose first column (a required int) is at least `from`, in order, up to and without the first live row
    /// whose column `until_column` (a required int) is greater than `until`.
    Range {
        /// The lower bound of the first column, for each key.
        from: &'a [i64],
        /// The upper bound of column `until_column`, for each key.
        until: &'a [i64],
        /// The column that ends the range.
        until_column: usize,
    },
    /// The first live row, in row order, whose first column is not null.
    First,
    /// The last live row, in row order, whose first column is not null.
    Last,
}

/// Rows by key, in sorted immutable runs; reading adds up the multiplicities over the runs.
#[derive(Debug)]
pub struct Arrangement {
    schema: ArrangementSchema,
    range: KeyRange,
    entries: Vec<RunEntry>,
}

impl Arrangement {
    /// An empty arrangement for the keys of `range`.
    pub fn new(schema: ArrangementSchema, range: KeyRange) -> Self {
        Arrangement { schema, range, entries: Vec::new() }
    }

    /// Opens the part of a saved arrangement that lies in `range`. Checks the footers of the runs, not yet their blocks.
    /// A run that is damaged or of another schema is a `Data` error that names its file.
    pub fn open(schema: ArrangementSchema, range: KeyRange, saved: SavedArrangement) -> Result<Self> {
        let _ = saved;
        Ok(Arrangement::new(schema, range))
    }

    /// The types of the columns.
    pub fn schema(&self) -> &ArrangementSchema {
        &self.schema
    }

    /// The keys that this arrangement owns.
    pub fn range(&self) -> KeyRange {
        self.range
    }

    /// Whether no run holds a row.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// A builder of a run that can be inserted.
    pub fn builder(&self) -> RunBuilder {
        RunBuilder::new(self.schema.clone())
    }

    /// Adds a run's rows; a run without rows is dropped.
    pub fn insert(&mut self, run: Run) {
        let _ = run;
    }

    /// Merges runs, so that their number stays logarithmic: small ones at once, large ones in slices, about `fuel_rows`
    /// rows in this call. With 32 rows of fuel for each row inserted, merging keeps up.
    pub fn maintain(&mut self, fuel_rows: usize) -> Result<()> {
        let _ = fuel_rows;
        Ok(())
    }

    /// What a checkpoint saves: all rows are in these runs, each cut to its range.
    pub fn entries(&self) -> &[RunEntry] {
        &self.entries
    }

    /// The selected live rows (multiplicity not 0) of each of these keys, sorted. The keys are sorted by (hash, key
    /// columns), each at most once, and in the result stand all of them, with or without rows.
    pub fn lookup(&self, hashes: &[u64], keys: &[ArrayRef], select: Select<'_>) -> Result<KeyedRows> {
        let _ = (hashes, keys, select);
        todo!()
    }

    /// Hands all live rows to `emit`, in ascending order of keys, in chunks of whole keys.
    pub fn scan(&self, emit: &mut dyn FnMut(KeyedRows) -> Result<()>) -> Result<()> {
        let _ = emit;
        todo!()
    }
}
