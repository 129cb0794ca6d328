//! The rows of each group in order: an arrangement of some of their columns, for what accumulators cannot answer.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array};
use millpond_error::{Error, Result};

use crate::arrangement::Arrangement;
use crate::keyed::KeyedRows;
use crate::sorting::Sorting;

/// Some columns of the rows of each group, sorted, with their multiplicities.
pub(super) struct Order {
    /// The name of the arrangement.
    pub name: &'static str,
    /// What it holds of the rows.
    pub sorting: Sorting,
    /// The sorted rows.
    pub rows: Arrangement,
}

impl Order {
    /// By how much `changes` (sorted, consolidated, not added yet) raise the number of distinct rows of each key.
    /// `never_added` makes the error of a key that loses what it does not have.
    pub(super) fn more_distinct(&self, changes: &KeyedRows, never_added: impl Fn(usize) -> Error) -> Result<ArrayRef> {
        let rows = changes.offsets.last().map_or(0, |&end| end) as usize;
        let found = match self.rows.is_empty() {
            true => None,
            false => Some(self.rows.lookup_rows(changes, &vec![1; rows])?),
        };
        // All columns are wanted, so at most one row equals each.
        let before = |row: usize| match &found {
            Some(found) if found.offsets[row] < found.offsets[row + 1] => found.diffs.get(found.offsets[row] as usize),
            _ => 0,
        };
        let mut more = Vec::with_capacity(changes.hashes.len());
        for (key, pair) in changes.offsets.windows(2).enumerate() {
            let mut sum = 0;
            for row in pair[0] as usize..pair[1] as usize {
                let old = before(row);
                let new = old + changes.diffs.get(row);
                if new < 0 {
                    return Err(never_added(key));
                }
                sum += i64::from(new > 0) - i64::from(old > 0);
            }
            more.push(sum);
        }
        Ok(Arc::new(Int64Array::from(more)))
    }
}
