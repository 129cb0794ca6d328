//! Changes: rows in columns, each with a multiplicity, at one epoch. What flows along every edge of the dataflow.

use arrow_array::{Array, ArrayRef, BooleanArray};
use arrow_buffer::ScalarBuffer;
use millpond_columns::types::byte_values;

/// One atomic step of the whole pipeline: an even number of milliseconds since the UNIX epoch, strictly increasing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

/// How often each row of [`Changes`] is added (positive) or removed (negative).
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Diffs {
    /// Every row is added once.
    #[default]
    Ones,
    /// One number for each row, never 0.
    Each(ScalarBuffer<i64>),
}

/// Rows that are added or removed.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// The columns, each `rows` long, of the types that the schema of the edge says.
    pub columns: Vec<ArrayRef>,
    /// The number of rows; kept apart, since there may be no column.
    pub rows: usize,
    /// The multiplicities, `rows` long.
    pub diffs: Diffs,
}

impl Diffs {
    /// The diff of each row, if not every one is 1.
    pub fn each(&self) -> Option<&[i64]> {
        match self {
            Diffs::Ones => None,
            Diffs::Each(diffs) => Some(diffs),
        }
    }

    /// The multiplicity of row `i`.
    #[inline]
    pub fn get(&self, i: usize) -> i64 {
        match self {
            Diffs::Ones => 1,
            Diffs::Each(diffs) => diffs[i],
        }
    }

    /// The multiplicities of parts one after another; each part comes with its number of rows.
    pub fn concat<'a>(parts: impl Iterator<Item = (&'a Diffs, usize)> + Clone) -> Self {
        if parts.clone().all(|(diffs, _)| matches!(diffs, Diffs::Ones)) {
            return Diffs::Ones;
        }
        let mut all = Vec::with_capacity(parts.clone().map(|(_, rows)| rows).sum());
        for (diffs, rows) in parts {
            match diffs {
                Diffs::Ones => all.resize(all.len() + rows, 1),
                Diffs::Each(diffs) => all.extend_from_slice(diffs),
            }
        }
        Diffs::Each(ScalarBuffer::from(all))
    }

    /// The multiplicities of the rows that `kept` selects.
    pub fn filter(&self, kept: &BooleanArray) -> Self {
        match self {
            Diffs::Ones => Diffs::Ones,
            Diffs::Each(diffs) => {
                let kept: Vec<i64> = kept.values().set_indices().map(|row| diffs[row]).collect();
                Diffs::Each(ScalarBuffer::from(kept))
            }
        }
    }

    /// The bytes that they take.
    pub(crate) fn bytes(&self) -> usize {
        self.each().map_or(0, size_of_val)
    }

    /// Whether no row is removed.
    pub fn insert_only(&self) -> bool {
        match self {
            Diffs::Ones => true,
            Diffs::Each(diffs) => diffs.iter().all(|diff| *diff > 0),
        }
    }
}

/// The bytes that the cells of these columns take, however much more of other columns they keep alive.
pub(crate) fn bytes_of(columns: &[ArrayRef]) -> usize {
    let bytes = |column: &ArrayRef| {
        let rows = column.len();
        let cells = match byte_values(column) {
            Some((offsets, _)) => rows * 4 + (offsets[rows] - offsets[0]) as usize,
            None => rows * column.data_type().primitive_width().unwrap_or(1),
        };
        cells + if column.nulls().is_some() { rows / 8 } else { 0 }
    };
    columns.iter().map(bytes).sum()
}

/// Multiplicities that grow; empty while all are 1.
#[derive(Debug, Default)]
pub(crate) struct DiffBuffer(Vec<i64>);

impl DiffBuffer {
    /// Appends those of `diffs` at these positions to the `before` that there are.
    pub(crate) fn extend(&mut self, before: usize, diffs: &Diffs, positions: impl ExactSizeIterator<Item = usize>) {
        match diffs {
            Diffs::Ones if self.0.is_empty() => {}
            Diffs::Ones => self.0.resize(before + positions.len(), 1),
            Diffs::Each(diffs) => {
                self.0.resize(before, 1);
                self.0.extend(positions.map(|row| diffs[row]));
            }
        }
    }

    /// The bytes that they take.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.0)
    }

    /// All of them.
    pub(crate) fn finish(self) -> Diffs {
        if self.0.is_empty() { Diffs::Ones } else { Diffs::Each(self.0.into()) }
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

    /// The bytes that the rows take.
    pub fn bytes(&self) -> usize {
        bytes_of(&self.columns) + self.diffs.bytes()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }
}
