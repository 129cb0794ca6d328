//! Rows of several tables that have one identity, as at most one row: the identity, then the other columns.
//!
//! Arrangements `table_<n>`, one for each port: key = the identity; row = the columns that the table gives. Of a table
//! of which only the identities matter there are none, and the multiplicity says how many rows have the identity.

use std::slice::from_ref;

use arrow_array::{ArrayRef, UInt32Array};
use millpond_columns::types::Schema;
use millpond_columns::view::{concat, take};
use millpond_error::{Error, Origin, Result};
use millpond_plan::{Combination, CombineSpec};

use super::{
    Instantiate, arrangement, emit_rows, first_negative, insert, key_of_row, name, names_of, never_added, open, show,
    types_of,
};
use crate::arrangement::{Arrangement, SavedArrangement, Select};
use crate::changes::Diffs;
use crate::group::{Keys, RowOrder, RowsOf, align, group, replacement, sum_by_key};
use crate::hash::KeyRange;
use crate::keyed::KeyedRows;
use crate::operator::{Bucket, Buckets, Emit, Operator, StepContext};

/// The tables that may give cells.
const FIRST: usize = 0;
const SECOND: usize = 1;

/// Combines the rows of each identity.
pub struct Combine {
    combination: Combination,
    key_names: Vec<String>,
    /// For each column beside the identity, its place in the second table's rows, if that says what it is where it has
    /// a row.
    updated: Vec<Option<usize>>,
    origin: Origin,
    tables: Vec<Table>,
}

/// A table that is combined.
struct Table {
    name: &'static str,
    /// The columns that it gives.
    row: Vec<usize>,
    rows: Arrangement,
}

/// What becomes of some identities: no or one row for each.
struct Combined {
    offsets: Vec<u32>,
    columns: Vec<ArrayRef>,
}

impl Combine {
    /// An operator without state, for the keys of `range`; `inputs` are the schemas of its ports.
    pub fn new(spec: &CombineSpec, inputs: &[&Schema], range: KeyRange) -> Self {
        let key: Vec<usize> = (0..spec.key).collect();
        let table = |(number, input): (usize, &&Schema)| {
            let row: Vec<usize> = (spec.key..input.len()).collect();
            let rows = arrangement(input, &key, types_of(input, &row), range);
            Table { name: name(format!("table_{number}")), row, rows }
        };
        Combine {
            combination: spec.combination,
            key_names: names_of(inputs[FIRST], &key),
            updated: (0..spec.row.len()).map(|column| spec.updated.iter().position(|c| *c == column)).collect(),
            origin: spec.origin.clone(),
            tables: inputs.iter().enumerate().map(table).collect(),
        }
    }

    /// The changes of a bucket, table by table, and their keys.
    fn changes(&self, mut bucket: Bucket) -> Result<(Keys, Vec<KeyedRows>)> {
        let changes = self.tables.iter().enumerate().map(|(port, table)| match bucket.take(port) {
            Some(changes) => group(&changes, &table.row, RowOrder::Consolidated),
            None => Ok(table.rows.no_rows()),
        });
        Ok(align(changes.collect::<Result<_>>()?))
    }

    /// What a table has of these keys.
    fn known(&self, table: usize, keys: &Keys) -> Result<KeyedRows> {
        self.tables[table].rows.lookup(&keys.hashes, &keys.columns, Select::All)
    }

    /// Checks that rows of a table were there before they are removed, and that each is alone where it must be.
    fn check(&self, table: usize, rows: &KeyedRows) -> Result<()> {
        if let Some(row) = first_negative(&rows.diffs) {
            return Err(never_added(&self.identity(rows, row)).at(&self.origin));
        }
        if table != FIRST && !self.combination.updates() {
            return Ok(());
        }
        let several = |pair: &[u32]| {
            let rows_of_key = pair[0] as usize..pair[1] as usize;
            let again = rows_of_key.len() > 1 || rows_of_key.clone().any(|row| rows.diffs.get(row) > 1);
            again.then_some(rows_of_key.start)
        };
        match rows.offsets.windows(2).find_map(several) {
            Some(row) => Err(self.not_alone(table, &self.identity(rows, row))),
            None => Ok(()),
        }
    }

    fn identity(&self, rows: &KeyedRows, row: usize) -> String {
        show(&self.key_names, &rows.keys, key_of_row(&rows.offsets, row))
    }

    fn not_alone(&self, table: usize, identity: &str) -> Error {
        let which = if identity.is_empty() { String::new() } else { format!(": {identity}") };
        let (table, place) = (table + 1, self.combination.name());
        let error = Error::input(format!("two rows of table {table} of the {place} have one identity{which}"));
        error.with_hint("with_id_from(...) says what identifies a row").at(&self.origin)
    }

    /// Combines the rows that the tables have of each key, which [`check`](Self::check) has found good.
    fn combine(&self, tables: &[KeyedRows]) -> Combined {
        let keys = tables[FIRST].offsets.len() - 1;
        let has = |table: &KeyedRows, key: usize| table.offsets[key] < table.offsets[key + 1];
        let firsts = tables[FIRST].offsets[keys];
        let mut offsets = Vec::with_capacity(keys + 1);
        offsets.push(0);
        // Positions in the rows of the first table, followed by those of the second.
        let (mut kept, mut updated) = (Vec::new(), Vec::new());
        for key in 0..keys {
            let has_first = has(&tables[FIRST], key);
            let mut others = tables[SECOND..].iter().map(|table| has(table, key));
            let stays = match self.combination {
                Combination::Difference => has_first && !others.any(|has| has),
                Combination::Intersect => has_first && others.all(|has| has),
                Combination::UpdateRows => has_first || others.any(|has| has),
                Combination::UpdateCells => has_first,
            };
            if stays {
                let first = tables[FIRST].offsets[key];
                kept.push(first);
                updated.push(match has(&tables[SECOND], key) {
                    true => firsts + tables[SECOND].offsets[key],
                    false => first,
                });
            }
            offsets.push(kept.len() as u32);
        }
        let (kept, updated) = (UInt32Array::from(kept), UInt32Array::from(updated));
        let column = |(first, second): (&ArrayRef, &Option<usize>)| match second {
            None => take(first, &kept),
            Some(at) => {
                let [both] = &concat(&[from_ref(first), from_ref(&tables[SECOND].rows[*at])])[..] else {
                    unreachable!("one column of each makes one")
                };
                take(both, &updated)
            }
        };
        Combined { offsets, columns: tables[FIRST].rows.iter().zip(&self.updated).map(column).collect() }
    }

    /// The rows of some keys of table `table`, of which the other tables are looked up: of those keys for which `kept`
    /// holds of the first and the second table.
    fn present(&self, table: usize, rows: KeyedRows, emit: &mut Emit<'_>) -> Result<()> {
        let keys = Keys { hashes: rows.hashes.clone(), columns: rows.keys.clone() };
        let mut tables = Vec::with_capacity(self.tables.len());
        for other in 0..self.tables.len() {
            tables.push(if other == table { rows.clone() } else { self.known(other, &keys)? });
        }
        let Combined { offsets, columns } = self.combine(&tables);
        emit_rows(KeyedRows { offsets, rows: columns, diffs: Diffs::Ones, ..rows }, emit)
    }
}

impl Instantiate for CombineSpec {
    fn instantiate(&self, inputs: &[&Schema], range: KeyRange) -> Box<dyn Operator> {
        Box::new(Combine::new(self, inputs, range))
    }
}

impl Operator for Combine {
    fn open(&mut self, mut saved: Vec<(String, SavedArrangement)>) -> Result<()> {
        self.tables.iter_mut().try_for_each(|table| open(&mut saved, table.name, &mut table.rows))
    }

    fn step(&mut self, _: &StepContext, input: &mut dyn Buckets, emit: &mut Emit<'_>) -> Result<()> {
        let mut builders: Vec<_> = self.tables.iter().map(|table| table.rows.builder()).collect();
        while let Some(bucket) = input.next()? {
            let (keys, changes) = self.changes(bucket)?;
            let (mut old, mut new) = (Vec::with_capacity(changes.len()), Vec::with_capacity(changes.len()));
            for (table, changes) in changes.iter().enumerate() {
                let known = self.known(table, &keys)?;
                let now = sum_by_key(&known, changes)?;
                self.check(table, &now)?;
                old.push(known);
                new.push(now);
            }
            let (old, new) = (self.combine(&old), self.combine(&new));
            emit_rows(replacement(&keys.hashes, &keys.columns, &old.rows(), &new.rows())?, emit)?;
            for (builder, changes) in builders.iter_mut().zip(changes) {
                builder.append(&changes.without_idle_keys());
            }
        }
        let tables = self.tables.iter_mut().zip(builders);
        tables.into_iter().try_for_each(|(table, builder)| insert(&mut table.rows, builder.finish()?))
    }

    fn snapshot(&self, emit: &mut Emit<'_>) -> Result<()> {
        self.tables[FIRST].rows.scan(&mut |rows| self.present(FIRST, rows, emit))?;
        if self.combination != Combination::UpdateRows {
            return Ok(());
        }
        self.tables[SECOND].rows.scan(&mut |rows| {
            let keys = Keys { hashes: rows.hashes.clone(), columns: rows.keys.clone() };
            let first = self.known(FIRST, &keys)?;
            let alone: Vec<bool> = first.offsets.windows(2).map(|pair| pair[0] == pair[1]).collect();
            self.present(SECOND, rows.of_keys(&alone), emit)
        })
    }

    fn arrangements(&mut self) -> Vec<(&'static str, &mut Arrangement)> {
        self.tables.iter_mut().map(|table| (table.name, &mut table.rows)).collect()
    }
}

impl Combined {
    fn rows(&self) -> RowsOf<'_> {
        RowsOf { offsets: &self.offsets, columns: &self.columns }
    }
}
