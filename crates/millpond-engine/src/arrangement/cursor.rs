//! Looking up many keys at once: seeks that only move forward, segment by segment, then rows gathered column by column.

use std::sync::Arc;

use arrow_array::ArrayRef;
use millpond_columns::types::ColumnType;
use millpond_columns::view::{ColumnView, Values};
use millpond_error::{Error, Result};

use super::batch::{RowPlan, into_arrays, into_diffs};
use super::block::{self, Block};
use super::group::{self, Budget, Group, RowCursor, Until};
use super::segment::{Segment, SegmentBuilder};
use super::{ArrangementSchema, RowsFound, SegmentEntry, Select};
use crate::hash::KeyRange;
use crate::keyed::KeyedRows;

/// See [`Arrangement::lookup`](super::Arrangement::lookup).
pub(super) fn lookup(
    schema: &ArrangementSchema,
    entries: &[SegmentEntry],
    hashes: &[u64],
    keys: &[ArrayRef],
    select: Select<'_>,
) -> Result<KeyedRows> {
    debug_assert!(hashes.is_sorted(), "keys are sorted");
    let groups = find(schema, entries, hashes, keys)?;
    let mut plan = RowPlan::default();
    let mut offsets = Vec::with_capacity(hashes.len() + 1);
    offsets.push(0);
    let mut cursors = Vec::new();
    for (key, groups) in groups.of_keys().enumerate() {
        match groups {
            [] => (),
            [only] => select_from_one(*only, key, select, &schema.row, &mut plan)?,
            several => select_from_several(several, key, select, &schema.row, &mut cursors, &mut plan)?,
        }
        offsets.push(offset_of(plan.len())?);
    }
    let rows = into_arrays(plan.gather(&schema.row))?;
    Ok(KeyedRows { hashes: hashes.to_vec(), keys: keys.to_vec(), offsets, rows, diffs: into_diffs(plan.diffs) })
}

/// See [`Arrangement::lookup_rows`](super::Arrangement::lookup_rows).
pub(super) fn lookup_rows(
    schema: &ArrangementSchema,
    entries: &[SegmentEntry],
    wanted: &KeyedRows,
    enough: &[i64],
) -> Result<RowsFound> {
    let prefix = &schema.row[..wanted.rows.len()];
    let mut plan = RowPlan::default();
    let mut offsets = Vec::with_capacity(enough.len() + 1);
    offsets.push(0);
    let mut builder = SegmentBuilder::new(ArrangementSchema { key: schema.key.clone(), row: prefix.to_vec() });
    builder.append(wanted);
    let wanted_segment = [SegmentEntry { segment: Arc::new(builder.finish_one()?), range: KeyRange::ALL, level: 0 }];
    let groups = find(schema, entries, &wanted.hashes, &wanted.keys)?;
    let wanted_groups = find(schema, &wanted_segment, &wanted.hashes, &wanted.keys)?;
    let mut cursors = Vec::new();
    let mut row = 0;
    for (groups, wanted) in groups.of_keys().zip(wanted_groups.of_keys()) {
        let [wanted] = wanted else { continue };
        cursors.clear();
        for group in groups {
            cursors.push(RowCursor::first(*group, &schema.row)?);
        }
        let mut wanted = RowCursor::first(*wanted, prefix)?;
        let mut more = true;
        while more {
            group::equal_rows(&mut cursors, &schema.row, (&wanted, prefix), enough[row], &mut plan)?;
            offsets.push(plan.len() as u32);
            row += 1;
            more = wanted.skip(1, prefix)?;
        }
    }
    let rows = into_arrays(plan.gather(&schema.row))?;
    Ok(RowsFound { offsets, rows, diffs: into_diffs(plan.diffs) })
}

/// The rows of a key that only one segment holds: all of them are live, and nothing has to be compared.
fn select_from_one<'a>(
    group: Group<'a>,
    key: usize,
    select: Select<'_>,
    types: &[ColumnType],
    plan: &mut RowPlan<'a>,
) -> Result<()> {
    let (cursor, until) = match select {
        Select::All => (Some(RowCursor::first(group, types)?), None),
        Select::Range { from, .. } | Select::Through { from, .. } => {
            (RowCursor::at_least(group, from[key], types)?, until(select, key))
        }
        Select::First | Select::Last | Select::Before { .. } => {
            let cursor = match select {
                Select::First => RowCursor::first_filled(group, types)?,
                Select::Before { value } => RowCursor::before(group, value[key], types)?,
                _ => RowCursor::last_filled(group, types)?,
            };
            if let Some(cursor) = cursor {
                plan.push_rows(cursor.block, cursor.row, cursor.row + 1);
            }
            return Ok(());
        }
    };
    match cursor {
        Some(cursor) => group::copy(cursor, types, until, plan),
        None => Ok(()),
    }
}

fn select_from_several<'a>(
    groups: &[Group<'a>],
    key: usize,
    select: Select<'_>,
    types: &[ColumnType],
    cursors: &mut Vec<RowCursor<'a>>,
    plan: &mut RowPlan<'a>,
) -> Result<()> {
    cursors.clear();
    for group in groups {
        cursors.extend(match select {
            Select::All => Some(RowCursor::first(*group, types)?),
            Select::Range { from, .. } | Select::Through { from, .. } => RowCursor::at_least(*group, from[key], types)?,
            Select::Before { value } => RowCursor::before(*group, value[key], types)?,
            Select::First => RowCursor::first_filled(*group, types)?,
            Select::Last => RowCursor::last_filled(*group, types)?,
        });
    }
    match select {
        Select::First => group::first_live(cursors, types, plan),
        Select::Last | Select::Before { .. } => group::last_live(cursors, types, plan),
        Select::All | Select::Range { .. } | Select::Through { .. } => {
            group::merge(cursors, types, until(select, key), &mut Budget::unlimited(), plan).map(drop)
        }
    }
}

/// Where a selection ends.
fn until(select: Select<'_>, key: usize) -> Option<Until> {
    match select {
        Select::Range { until, until_column, .. } => {
            Some(Until { column: until_column, value: until[key], through: false })
        }
        Select::Through { until, until_column, .. } => {
            Some(Until { column: until_column, value: until[key], through: true })
        }
        _ => None,
    }
}

/// The groups of the keys that were looked up.
struct Groups<'a> {
    /// Where the groups of each key start.
    starts: Vec<u32>,
    groups: Vec<Group<'a>>,
}

impl<'a> Groups<'a> {
    fn of_keys(&self) -> impl Iterator<Item = &[Group<'a>]> {
        self.starts.windows(2).map(|pair| &self.groups[pair[0] as usize..pair[1] as usize])
    }
}

fn find<'a>(
    schema: &ArrangementSchema,
    entries: &'a [SegmentEntry],
    hashes: &[u64],
    keys: &[ArrayRef],
) -> Result<Groups<'a>> {
    let cells = ColumnView::of_all(keys);
    let mut found = Vec::new();
    for entry in entries {
        if let Some(range) = entry.segment.hashes().and_then(|hashes| hashes.intersection(entry.range)) {
            find_in_segment(&schema.key, &entry.segment, range, hashes, &cells, &mut found)?;
        }
    }
    // A counting sort by key.
    let mut starts = vec![0u32; hashes.len() + 1];
    for (key, _) in &found {
        starts[*key as usize + 1] += 1;
    }
    for key in 0..hashes.len() {
        starts[key + 1] += starts[key];
    }
    let Some((_, any)) = found.first() else { return Ok(Groups { starts, groups: Vec::new() }) };
    let mut groups = vec![*any; found.len()];
    let mut next = starts.clone();
    for (key, group) in &found {
        let place = &mut next[*key as usize];
        groups[*place as usize] = *group;
        *place += 1;
    }
    Ok(Groups { starts, groups })
}

/// Finds the keys with a hash in `range` in one segment. Seeks only move forward: from the place of the key before.
fn find_in_segment<'a>(
    types: &[ColumnType],
    segment: &'a Segment,
    range: KeyRange,
    hashes: &[u64],
    cells: &[ColumnView<'_>],
    found: &mut Vec<(u32, Group<'a>)>,
) -> Result<()> {
    let first = hashes.partition_point(|hash| *hash < range.first);
    let last = hashes.partition_point(|hash| *hash <= range.last);
    let blocks = segment.first_hashes.len();
    let index = |b: usize| segment.first_hashes[b];
    let mut b = 0;
    let mut current: Option<(usize, Block<'a>)> = None;
    for (i, &hash) in (first..last).zip(&hashes[first..last]) {
        // The first group of this hash is in the last block that starts with a smaller one, or starts the next block.
        if b + 1 < blocks && index(b + 1) < hash {
            b = block::lower_bound(hash, b + 1..blocks, index) - 1;
        }
        let block = match current {
            Some((at, block)) if at == b => block,
            _ => segment.block(b)?,
        };
        current = Some((b, block));
        let end = if b + 1 < blocks { index(b + 1) } else { range.last };
        let key = block.hashes().seek(hash, block.keys as usize, index(b), end);
        if let Some(group) = find_equal(types, segment, (b, block, key), hash, cells, i)? {
            found.push((i as u32, group));
        }
    }
    Ok(())
}

/// The group with this hash and key, at or after a place that no smaller hash follows.
fn find_equal<'a>(
    types: &[ColumnType],
    segment: &'a Segment,
    (mut b, mut block, mut key): (usize, Block<'a>, usize),
    hash: u64,
    cells: &[ColumnView<'_>],
    i: usize,
) -> Result<Option<Group<'a>>> {
    loop {
        if key == block.keys as usize {
            b += 1;
            if segment.first_hashes.get(b) != Some(&hash) {
                return Ok(None);
            }
            (block, key) = (segment.block(b)?, 0);
        }
        if block.hashes().get(key) != hash {
            return Ok(None);
        }
        let equal = |(c, (ty, cells)): (usize, (&ColumnType, &ColumnView<'_>))| is_key(cells, i, block, key, c, *ty);
        if types.iter().zip(cells).enumerate().all(equal) {
            let start = block.offsets().get(key) as u32;
            return Ok(Some(Group::new(segment, b, block, key, start)));
        }
        key += 1;
    }
}

/// Whether cell `i` of a key column that was looked up is that of a key in a block.
#[inline]
fn is_key(cells: &ColumnView<'_>, i: usize, block: Block<'_>, key: usize, column: usize, ty: ColumnType) -> bool {
    let column = block.key(column, ty);
    let null = cells.is_null(i);
    if null || column.is_null(key) {
        return null == column.is_null(key);
    }
    match cells.values {
        Values::Bool(values) => u64::from(values.value(i)) == column.word(key),
        Values::Int(values) => values[i] as u64 == column.word(key),
        Values::Float(values) => values[i].to_bits() == column.word(key),
        Values::Bytes(values) => *values.get(i) == *column.text(key),
    }
}

/// So many rows, as an offset.
fn offset_of(rows: usize) -> Result<u32> {
    u32::try_from(rows).map_err(|_| {
        Error::input(format!("one lookup of saved rows finds {rows} of them, more than 4 billion"))
            .with_hint("take fewer rows together")
    })
}

#[cfg(test)]
mod tests {
    use millpond_error::ErrorKind;

    use super::*;

    #[test]
    fn a_lookup_finds_4_billion_rows_at_most() {
        assert_eq!(offset_of(u32::MAX as usize).unwrap(), u32::MAX);
        let error = offset_of(1 << 32).unwrap_err();
        let text = "one lookup of saved rows finds 4294967296 of them, more than 4 billion\n\
                    hint: take fewer rows together";
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Input, text));
    }
}
