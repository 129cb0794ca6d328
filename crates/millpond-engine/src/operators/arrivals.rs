//! When each row arrived: the epoch of the change that added it, as one more column.
//!
//! Where rows can be removed, an arrangement holds them with that epoch as their last column. A row that is removed is
//! the one that arrived first of all rows equal to it.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, UInt32Array};
use millpond_columns::view::{ints, take};
use millpond_error::{Error, Result};

use crate::arrangement::Arrangement;
use crate::changes::{Diffs, Epoch};
use crate::group::filtered;
use crate::keyed::KeyedRows;

/// `changes` with the epoch in which each row arrived, which for a removal is looked up in `present`; still sorted and
/// consolidated, if they were. `never_added` makes the error of a removal (key, row) that matches no row.
pub(super) fn with_arrival(
    mut changes: KeyedRows,
    epoch: Epoch,
    present: Option<&Arrangement>,
    never_added: impl Fn(&KeyedRows, usize, usize) -> Error,
) -> Result<KeyedRows> {
    let now = epoch.0 as i64;
    let rows = changes.offsets.last().map_or(0, |&end| end) as usize;
    let Some(present) = present.filter(|_| !changes.diffs.insert_only()) else {
        changes.rows.push(Arc::new(Int64Array::from(vec![now; rows])));
        return Ok(changes);
    };
    let removed = filtered(&changes, |row| changes.diffs.get(row) < 0);
    let Diffs::Each(removed_diffs) = &removed.diffs else { unreachable!("some row is removed") };
    let wanted: Vec<i64> = removed_diffs.iter().map(|diff| -diff).collect();
    let found = present.lookup_rows(&removed, &wanted)?;
    let arrived = found.rows.last().map_or(&[][..], ints);

    let (mut positions, mut epochs, mut diffs) = (Vec::new(), Vec::new(), Vec::new());
    let mut offsets = Vec::with_capacity(changes.offsets.len());
    offsets.push(0);
    let mut removals = wanted.into_iter().zip(found.offsets.windows(2));
    for (key, pair) in changes.offsets.windows(2).enumerate() {
        for row in pair[0]..pair[1] {
            let diff = changes.diffs.get(row as usize);
            if diff > 0 {
                positions.push(row);
                epochs.push(now);
                diffs.push(diff);
                continue;
            }
            let (mut left, place) = removals.next().expect("each removal was looked up");
            let place = place[0] as usize..place[1] as usize;
            for (at, epoch) in place.clone().zip(&arrived[place]) {
                let taken = found.diffs.get(at).min(left);
                if taken > 0 {
                    positions.push(row);
                    epochs.push(*epoch);
                    diffs.push(-taken);
                    left -= taken;
                }
            }
            if left > 0 {
                return Err(never_added(&changes, key, row as usize));
            }
        }
        offsets.push(positions.len() as u32);
    }
    let positions = UInt32Array::from(positions);
    let mut rows: Vec<ArrayRef> = changes.rows.iter().map(|column| take(column, &positions)).collect();
    rows.push(Arc::new(Int64Array::from(epochs)));
    Ok(KeyedRows { offsets, rows, diffs: Diffs::Each(diffs.into()), ..changes })
}
