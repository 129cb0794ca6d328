//! The present rows by primary key: what a row that comes replaces.
//!
//! Arrangement `rows`: key = the primary key, row = the other columns, each row once.

use arrow_array::{ArrayRef, UInt32Array};
use arrow_schema::ArrowError;
use arrow_select::concat::concat;
use arrow_select::take::take;
use millpond_columns::types::Schema;
use millpond_engine::arrangement::{Arrangement, ArrangementSchema, SavedArrangement, Segment, Select};
use millpond_engine::changes::{Changes, Diffs};
use millpond_engine::group::{RowOrder, RowsOf, group, replacement};
use millpond_engine::hash::{HashSeed, KeyRange, hash_columns};
use millpond_engine::keyed::{HashedChanges, KeyedChanges, KeyedRows};
use millpond_error::{Error, Result};

/// The present rows of a source with a primary key.
#[derive(Debug)]
pub(super) struct Present {
    seed: HashSeed,
    /// The key columns and the others, by their positions in the schema.
    key: Vec<usize>,
    row: Vec<usize>,
    rows: Arrangement,
}

/// What an epoch does to the present rows.
#[derive(Debug)]
pub(super) struct Step {
    /// The changes, in the columns of the schema.
    pub changes: Changes,
    /// The same, to be added to the arrangement when the epoch is done.
    segments: Vec<Segment>,
}

impl Present {
    pub(super) fn new(schema: &Schema, key: &[usize], seed: HashSeed) -> Self {
        let row: Vec<usize> = (0..schema.len()).filter(|column| !key.contains(column)).collect();
        let arrangement = Arrangement::new(types(schema, key, &row), KeyRange::ALL);
        Present { seed, key: key.to_vec(), row, rows: arrangement }
    }

    pub(super) fn open(&mut self, saved: SavedArrangement) -> Result<()> {
        self.rows = Arrangement::open(self.rows.schema().clone(), KeyRange::ALL, saved)?;
        Ok(())
    }

    pub(super) fn arrangement(&mut self) -> &mut Arrangement {
        &mut self.rows
    }

    /// What these rows change, which take (diff 1) or leave (diff -1) the place of their key, in this order.
    pub(super) fn step(&self, rows: &[Changes]) -> Result<Step> {
        let orders = self.last_of_each_key(rows)?;
        let known = self.rows.lookup(&orders.hashes, &orders.keys, Select::All)?;
        let old = RowsOf { offsets: &known.offsets, columns: &known.rows };
        let new = RowsOf { offsets: &orders.offsets, columns: &orders.rows };
        let changed = replacement(&orders.hashes, &orders.keys, &old, &new)?;
        let mut builder = self.rows.builder();
        builder.append(&changed);
        let Changes { columns, rows, diffs } = changed.into_changes();
        let mut placed: Vec<_> = self.key.iter().chain(&self.row).zip(columns).collect();
        placed.sort_by_key(|(at, _)| **at);
        let columns = placed.into_iter().map(|(_, column)| column).collect();
        Ok(Step { changes: Changes { columns, rows, diffs }, segments: builder.finish()? })
    }

    /// Takes up a step that is done.
    pub(super) fn finish(&mut self, step: Step) -> Result<()> {
        self.rows.insert(step.segments);
        self.rows.maintain(32 * step.changes.rows)
    }

    /// Every key of `rows` with the row that comes last, or none where that takes the key away.
    fn last_of_each_key(&self, rows: &[Changes]) -> Result<KeyedRows> {
        let width = self.key.len() + self.row.len();
        let columns = (0..width).map(|column| {
            let parts: Vec<_> = rows.iter().map(|part| part.columns[column].as_ref()).collect();
            concat(&parts).map_err(too_much)
        });
        let columns: Vec<ArrayRef> = columns.collect::<Result<_>>()?;
        let keys: Vec<ArrayRef> = self.key.iter().map(|column| columns[*column].clone()).collect();
        let diffs = Diffs::concat(rows.iter().map(|part| (&part.diffs, part.rows)));
        let count = rows.iter().map(|part| part.rows).sum();
        let hashes = hash_columns(self.seed, &keys, count);
        let input = HashedChanges { hashes, changes: Changes { columns, rows: count, diffs } };
        let input = KeyedChanges::new(input, &self.key);
        let KeyedRows { hashes, keys, offsets, rows, diffs } = group(&input, &self.row, RowOrder::Arrival)?;
        let mut last = Vec::with_capacity(hashes.len());
        let mut ends = Vec::with_capacity(hashes.len() + 1);
        ends.push(0);
        for end in &offsets[1..] {
            if diffs.get(*end as usize - 1) > 0 {
                last.push(end - 1);
            }
            ends.push(last.len() as u32);
        }
        let last = UInt32Array::from(last);
        let rows: Vec<ArrayRef> =
            rows.iter().map(|column| take(column, &last, None).map_err(too_much)).collect::<Result<_>>()?;
        Ok(KeyedRows { hashes, keys, offsets: ends, rows, diffs: Diffs::Ones })
    }
}

/// Arrow puts columns together unless that would be longer than a column can be.
fn too_much(error: ArrowError) -> Error {
    Error::input("one commit holds over 2 GiB of text in one column").with_hint("commit more often").caused_by(error)
}

fn types(schema: &Schema, key: &[usize], row: &[usize]) -> ArrangementSchema {
    let of = |columns: &[usize]| columns.iter().map(|column| schema.columns()[*column].ty).collect();
    ArrangementSchema { key: of(key), row: of(row) }
}

#[cfg(test)]
mod tests {
    use millpond_error::ErrorKind;

    use super::*;

    #[test]
    fn a_commit_that_is_too_long_says_what_to_do() {
        let error = too_much(ArrowError::OffsetOverflowError(1 << 31));
        let text = "one commit holds over 2 GiB of text in one column\nhint: commit more often";
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Input, text));
    }
}
