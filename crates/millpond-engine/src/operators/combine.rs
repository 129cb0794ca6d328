//! Rows of several tables that have one identity, as at most one row: the identity, then the other columns.
//!
//! Arrangement `rows`: key = the identity; row = the number of the table, then the other columns. Of a table of which
//! only the identities matter, the columns are null, and the multiplicity says how many rows have the identity.

use arrow_array::{ArrayRef, UInt32Array};
use millpond_columns::types::Schema;
use millpond_columns::view::{ints, take};
use millpond_error::{Error, Origin, Result};
use millpond_plan::combine::Combination;
use millpond_plan::physical::CombineSpec;

use super::{arrangement, emit_rows, first_negative, insert, key_of_row, names_of, never_added, open, show, types_of};
use crate::arrangement::{Arrangement, SavedArrangement, Select};
use crate::changes::{Changes, Diffs, Epoch};
use crate::group::{RowOrder, RowsOf, group, replacement, sum_by_key};
use crate::hash::KeyRange;
use crate::keyed::{KeyedChanges, KeyedRows};
use crate::operator::Operator;
use crate::operators::Windowed;

/// Combines the rows of each identity.
pub struct Combine {
    combination: Combination,
    key_names: Vec<String>,
    /// The number of the table, then the other columns.
    row: Vec<usize>,
    /// How many tables there are beside the first.
    others: usize,
    /// For each of the other columns, whether the second table's cell counts where it has the row.
    updated: Vec<bool>,
    origin: Origin,
    rows: Arrangement,
}

/// What becomes of some identities: no or one row for each.
struct Combined {
    offsets: Vec<u32>,
    columns: Vec<ArrayRef>,
}

impl Combine {
    /// An operator without state, for the keys of `range`.
    pub fn new(spec: &CombineSpec, input: &Schema, range: KeyRange) -> Self {
        let row: Vec<usize> = std::iter::once(spec.table).chain(spec.row.iter().copied()).collect();
        Combine {
            combination: spec.combination,
            key_names: names_of(input, &spec.key),
            others: spec.tables - 1,
            updated: (0..spec.row.len()).map(|column| spec.updated.contains(&column)).collect(),
            origin: spec.origin.clone(),
            rows: arrangement(input, &spec.key, types_of(input, &row), range),
            row,
        }
    }

    /// Checks that a row is there before it is removed, and that it is alone where it must be.
    fn check(&self, rows: &KeyedRows) -> Result<()> {
        if let Some(row) = first_negative(&rows.diffs) {
            return Err(never_added(&self.identity(rows, row)).at(&self.origin));
        }
        let tables = ints(&rows.rows[0]);
        let one_row = |table: i64| table == 0 || self.combination.updates();
        let several = |pair: &[u32]| {
            let mut rows_of_key = pair[0] as usize..pair[1] as usize;
            let start = rows_of_key.start;
            rows_of_key.find(|&row| {
                let again = row > start && tables[row] == tables[row - 1];
                one_row(tables[row]) && (again || rows.diffs.get(row) > 1)
            })
        };
        match rows.offsets.windows(2).find_map(several) {
            Some(row) => Err(self.not_alone(tables[row] + 1, &self.identity(rows, row))),
            None => Ok(()),
        }
    }

    fn identity(&self, rows: &KeyedRows, row: usize) -> String {
        show(&self.key_names, &rows.keys, key_of_row(&rows.offsets, row))
    }

    fn not_alone(&self, table: i64, identity: &str) -> Error {
        let which = if identity.is_empty() { String::new() } else { format!(": {identity}") };
        let place = self.combination.name();
        let error = Error::input(format!("two rows of table {table} of the {place} have one identity{which}"));
        error.with_hint("with_id_from(...) says what identifies a row").at(&self.origin)
    }

    /// Combines the rows of each key, which [`check`](Self::check) has found good: sorted by table, at most one of each.
    fn combine(&self, rows: &KeyedRows) -> Combined {
        let tables = ints(&rows.rows[0]);
        let mut offsets = Vec::with_capacity(rows.offsets.len());
        offsets.push(0);
        let (mut kept, mut updated) = (Vec::new(), Vec::new());
        for pair in rows.offsets.windows(2) {
            let (start, end) = (pair[0], pair[1]);
            let has_first = start < end && tables[start as usize] == 0;
            let others = (end - start) as usize - usize::from(has_first);
            let stays = match self.combination {
                Combination::Difference => has_first && others == 0,
                Combination::Intersect => has_first && others == self.others,
                Combination::UpdateRows => start < end,
                Combination::UpdateCells => has_first,
            };
            if stays {
                kept.push(start);
                updated.push(end - 1);
            }
            offsets.push(kept.len() as u32);
        }
        let (kept, updated) = (UInt32Array::from(kept), UInt32Array::from(updated));
        let columns = rows.rows[1..].iter().zip(&self.updated);
        let columns = columns.map(|(column, second)| take(column, if *second { &updated } else { &kept })).collect();
        Combined { offsets, columns }
    }
}

impl Operator for Combine {
    fn open(&mut self, mut saved: Vec<(String, SavedArrangement)>) -> Result<()> {
        open(&mut saved, "rows", &mut self.rows)
    }

    fn step(
        &mut self,
        _epoch: Epoch,
        input: &mut dyn Iterator<Item = KeyedChanges>,
        emit: &mut dyn FnMut(Changes),
    ) -> Result<()> {
        let mut builder = self.rows.builder();
        for bucket in input {
            let changes = group(&bucket, &self.row, RowOrder::Consolidated);
            let (hashes, keys) = (&changes.hashes, &changes.keys);
            let (old, new) = if self.rows.is_empty() {
                self.check(&changes)?;
                (Combined { offsets: vec![0; hashes.len() + 1], columns: Vec::new() }, self.combine(&changes))
            } else {
                let known = self.rows.lookup(hashes, keys, Select::All)?;
                let now = sum_by_key(&known, &changes);
                self.check(&now)?;
                (self.combine(&known), self.combine(&now))
            };
            emit_rows(replacement(hashes, keys, &old.rows(), &new.rows()), emit);
            builder.append(&changes);
        }
        insert(&mut self.rows, builder.finish())
    }

    fn snapshot(&self, emit: &mut dyn FnMut(Changes)) -> Result<()> {
        self.rows.scan(&mut |rows| {
            let Combined { offsets, columns } = self.combine(&rows);
            emit_rows(KeyedRows { offsets, rows: columns, diffs: Diffs::Ones, ..rows }, emit);
            Ok(())
        })
    }

    fn arrangements(&mut self) -> Vec<(&'static str, &mut Arrangement)> {
        vec![("rows", &mut self.rows)]
    }

    fn windowed(&mut self) -> Option<&mut Windowed> {
        None
    }
}

impl Combined {
    fn rows(&self) -> RowsOf<'_> {
        RowsOf { offsets: &self.offsets, columns: &self.columns }
    }
}
