//! Consolidation: equal rows add up their multiplicities, and rows with multiplicity 0 vanish.

use millpond_error::Result;

use crate::arrangement::{Arrangement, SavedArrangement};
use crate::changes::Changes;
use crate::group::{RowOrder, group};
use crate::hash::{HashSeed, hash_columns};
use crate::keyed::{HashedChanges, KeyedChanges};
use crate::operator::{Buckets, Emit, Operator, StepContext};

/// The same changes with each row at most once.
///
/// # Errors
/// `Input`, if a row is added or removed more than 2^63 times.
pub fn consolidate(changes: Changes, seed: HashSeed) -> Result<Changes> {
    let key: Vec<usize> = (0..changes.columns.len()).collect();
    let hashes = hash_columns(seed, &changes.columns, changes.rows);
    consolidate_keyed(&KeyedChanges::new(HashedChanges { hashes, changes }, &key))
}

/// As [`consolidate`], for changes whose key is the whole row.
fn consolidate_keyed(input: &KeyedChanges) -> Result<Changes> {
    let rows = group(input, &[], RowOrder::Consolidated)?;
    let total = rows.hashes.len();
    debug_assert_eq!(rows.offsets.last().copied().unwrap_or(0) as usize, total, "one row is left of each key");
    Ok(Changes { columns: rows.keys, rows: total, diffs: rows.diffs })
}

/// Consolidates each epoch on its own, where rows that cancel may come from anywhere. Keeps no state.
#[derive(Debug, Default)]
pub struct Consolidator;

impl Operator for Consolidator {
    fn open(&mut self, _: Vec<(String, SavedArrangement)>) -> Result<()> {
        Ok(())
    }

    fn step(&mut self, _: &StepContext, input: &mut dyn Buckets, emit: &mut Emit<'_>) -> Result<()> {
        while let Some(bucket) = input.next()? {
            emit(consolidate_keyed(&bucket.only())?)?;
        }
        Ok(())
    }

    fn snapshot(&self, _: &mut Emit<'_>) -> Result<()> {
        Ok(())
    }

    fn arrangements(&mut self) -> Vec<(&'static str, &mut Arrangement)> {
        Vec::new()
    }
}
