//! The present table: every row with its multiplicity.
//!
//! Arrangement `rows`: key = all columns, no row column; the diff is the multiplicity.

use millpond_columns::types::Schema;
use millpond_error::Result;
use millpond_plan::KeepSpec;

use super::{Instantiate, arrangement, emit_rows, insert, names_of, never_added, open, show};
use crate::arrangement::{Arrangement, SavedArrangement, Select};
use crate::group::{RowOrder, group, sum_by_key};
use crate::hash::KeyRange;
use crate::operator::{Buckets, Emit, Operator, StepContext};

/// Keeps the present table and passes the changes on, consolidated. Of a float column it keeps one zero and one NaN.
pub struct Keep {
    names: Vec<String>,
    rows: Arrangement,
}

impl Keep {
    /// An empty table of the schema `input`.
    pub fn new(input: &Schema, range: KeyRange) -> Self {
        let columns: Vec<usize> = (0..input.len()).collect();
        Keep { names: names_of(input, &columns), rows: arrangement(input, &columns, Vec::new(), range) }
    }
}

impl Instantiate for KeepSpec {
    fn instantiate(&self, inputs: &[&Schema], range: KeyRange) -> Box<dyn Operator> {
        Box::new(Keep::new(inputs[0], range))
    }
}

impl Operator for Keep {
    fn open(&mut self, mut saved: Vec<(String, SavedArrangement)>) -> Result<()> {
        open(&mut saved, "rows", &mut self.rows)
    }

    fn step(&mut self, _: &StepContext, input: &mut dyn Buckets, emit: &mut Emit<'_>) -> Result<()> {
        let mut builder = self.rows.builder();
        while let Some(bucket) = input.next()? {
            let changes = group(&bucket.only(), &[], RowOrder::Consolidated)?;
            if !changes.diffs.insert_only() {
                // Where the new multiplicity is below zero, a row is left that removes.
                let known = self.rows.lookup(&changes.hashes, &changes.keys, Select::All)?;
                let now = sum_by_key(&known, &changes)?;
                if let Some(row) = super::first_negative(&now.diffs) {
                    let key = super::key_of_row(&now.offsets, row);
                    return Err(never_added(&show(&self.names, &now.keys, key)));
                }
            }
            builder.append(&changes);
            emit_rows(changes, emit)?;
        }
        insert(&mut self.rows, builder.finish()?)
    }

    fn snapshot(&self, emit: &mut Emit<'_>) -> Result<()> {
        self.rows.scan(&mut |rows| emit_rows(rows, emit))
    }

    fn arrangements(&mut self) -> Vec<(&'static str, &mut Arrangement)> {
        vec![("rows", &mut self.rows)]
    }
}
