//! Changes: rows in columns, each with a multiplicity, at one epoch. What flows along every edge of the dataflow.

use arrow_array::ArrayRef;
use arrow_buffer::ScalarBuffer;

/// One atomic step of the whole pipeline: an even number of milliseconds since the UNIX epoch, strictly increasing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

/// How often each row of [`Changes`] is added (positive) or removed (negative).
#[derive(Clone, Debug, PartialEq)]
pub enum Diffs {
    /// Every row is added once.
    Ones,
    /// One number for each row, never 0.
    Each(ScalarBuffer<i64>),
}

/// Rows that are added or removed.
#[derive(Clone, Debug)]
pub struct Changes {
    /// The columns, each `rows` long, of the types that the schema of the edge says.
    pub columns: Vec<ArrayRef>,
    /// The number of rows; kept apart, since there may be no column.
    pub rows: usize,
    /// The multiplicities, `rows` long.
    pub diffs: Diffs,
}

impl Diffs {
    /// The multiplicity of row `i`.
    #[inline]
    pub fn get(&self, i: usize) -> i64 {
        match self {
            Diffs::Ones => 1,
            Diffs::Each(diffs) => diffs[i],
        }
    }

    /// Whether no row is removed.
    pub fn insert_only(&self) -> bool {
        match self {
            Diffs::Ones => true,
            Diffs::Each(diffs) => diffs.iter().all(|diff| *diff > 0),
        }
    }
}

impl Changes {
    /// Rows that are each added once.
    pub fn inserts(columns: Vec<ArrayRef>, rows: usize) -> Self {
        debug_assert!(columns.iter().all(|column| column.len() == rows));
        Changes { columns, rows, diffs: Diffs::Ones }
    }

    /// Rows with a multiplicity each.
    pub fn new(columns: Vec<ArrayRef>, diffs: ScalarBuffer<i64>) -> Self {
        let rows = diffs.len();
        debug_assert!(columns.iter().all(|column| column.len() == rows));
        let diffs = if diffs.iter().all(|diff| *diff == 1) { Diffs::Ones } else { Diffs::Each(diffs) };
        Changes { columns, rows, diffs }
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }
}
