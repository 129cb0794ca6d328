//! Which columns of rows an ordered arrangement holds, and in which order: what a reducer reads that cannot be answered
//! of accumulators alone.

use arrow_array::{Array, ArrayRef};
use arrow_buffer::NullBuffer;
use millpond_error::Result;

use crate::group::{filtered, sorted};
use crate::keyed::KeyedRows;

/// Rows in order of some of their columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sorting {
    /// The positions of the columns among the row columns.
    pub columns: Vec<usize>,
    /// Whether rows with a null in one of the columns are left out.
    pub known: bool,
}

impl Sorting {
    /// These columns of `rows`, sorted and consolidated, with every key.
    ///
    /// # Errors
    /// `Input`, if a row is there more than 2^63 times.
    pub fn apply(&self, rows: &KeyedRows) -> Result<KeyedRows> {
        let columns: Vec<ArrayRef> = self.columns.iter().map(|&c| rows.rows[c].clone()).collect();
        let rows = KeyedRows { rows: columns, ..rows.clone() };
        let nulls = rows.rows.iter().fold(None, |nulls, column| NullBuffer::union(nulls.as_ref(), column.nulls()));
        match nulls.filter(|nulls| self.known && nulls.null_count() > 0) {
            Some(nulls) => sorted(filtered(&rows, |row| nulls.is_valid(row))),
            None => sorted(rows),
        }
    }
}
