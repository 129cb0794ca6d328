//! A group: the rows of one key in one segment, which may go on over several blocks; and the merging of groups.

use std::cmp::Ordering;

use millpond_columns::types::ColumnType;
use millpond_error::{Error, Result};

use super::batch::RowPlan;
use super::block::{Block, Column};
use super::segment::Segment;

/// The rows of one key in one segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group<'a> {
    pub(super) segment: &'a Segment,
    /// The block of the first row.
    pub(super) first: u32,
    /// The block of the last row.
    pub(super) last: u32,
    /// The first row, in its block.
    pub(super) start: u32,
    /// The end of the rows in the last block.
    pub(super) end: u32,
}

impl<'a> Group<'a> {
    /// The rows of `key` in block `b`, from row `start` on.
    pub(super) fn new(segment: &'a Segment, b: usize, block: Block<'a>, key: usize, start: u32) -> Self {
        let info = &segment.blocks[b];
        if key + 1 == info.keys as usize && info.last_key_ends as usize != b {
            let end = segment.blocks[info.last_key_ends as usize].head_rows;
            return Group { segment, first: b as u32, last: info.last_key_ends, start, end };
        }
        Group { segment, first: b as u32, last: b as u32, start, end: block.offsets().get(key + 1) as u32 }
    }

    /// The rows of the group in its block `b`.
    fn segment(&self, b: u32) -> (u32, u32) {
        let start = if b == self.first { self.start } else { 0 };
        let end = if b == self.last { self.end } else { self.segment.blocks[b as usize].rows };
        (start, end)
    }

    /// The number of the first blocks of the group, after the first one, that start with a row of which `before` holds;
    /// it holds of none after.
    fn skip_blocks(&self, before: impl Fn(&super::segment::BlockInfo) -> bool) -> u32 {
        self.segment.blocks[self.first as usize + 1..self.last as usize + 1].partition_point(before) as u32
    }
}

/// A place in the rows of a group.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowCursor<'a> {
    /// Which of several sources this is, for whom it matters.
    pub(super) source: u32,
    pub(super) group: Group<'a>,
    /// The number of the block.
    pub(super) at: u32,
    pub(super) block: Block<'a>,
    /// The first row column, if there is one.
    prefix: Option<Column<'a>>,
    pub(super) row: u32,
    start: u32,
    end: u32,
}

impl<'a> RowCursor<'a> {
    /// At the first row.
    pub(super) fn first(group: Group<'a>, types: &[ColumnType]) -> Result<Self> {
        RowCursor::at(group, group.first, types)
    }

    /// As one of several sources.
    pub(super) fn with_source(self, source: u32) -> Self {
        RowCursor { source, ..self }
    }

    /// At the first row of block `at`.
    fn at(group: Group<'a>, at: u32, types: &[ColumnType]) -> Result<Self> {
        let block = group.segment.block(at as usize)?;
        let prefix = types.first().map(|ty| block.row(0, *ty));
        let (start, end) = group.segment(at);
        Ok(RowCursor { source: 0, group, at, block, prefix, row: start, start, end })
    }

    /// At the first row whose first column, a required int, is at least `from`; `None` if there is none.
    pub(super) fn at_least(group: Group<'a>, from: i64, types: &[ColumnType]) -> Result<Option<Self>> {
        let skip = group.skip_blocks(|info| info.first_value < from);
        let cursor = RowCursor::at(group, group.first + skip, types)?;
        cursor.after(|prefix, row| (prefix.word(row) as i64) < from, types)
    }

    /// At the last row whose first column, a required int, is less than `value`; `None` if there is none.
    pub(super) fn before(group: Group<'a>, value: i64, types: &[ColumnType]) -> Result<Option<Self>> {
        let skip = group.skip_blocks(|info| info.first_value < value);
        let mut cursor = RowCursor::at(group, group.first + skip, types)?;
        let Some(prefix) = cursor.prefix else { return Ok(None) };
        let (mut low, mut high) = (cursor.row, cursor.end);
        while low < high {
            let middle = low + (high - low) / 2;
            if (prefix.word(middle as usize) as i64) < value { low = middle + 1 } else { high = middle }
        }
        // A block that was skipped to starts with such a row.
        let found = low > cursor.row;
        cursor.row = low.saturating_sub(1);
        Ok(found.then_some(cursor))
    }

    /// At the first row whose first column is not null; `None` if there is none.
    pub(super) fn first_filled(group: Group<'a>, types: &[ColumnType]) -> Result<Option<Self>> {
        if types.first().is_none_or(|ty| !ty.optional) {
            return RowCursor::first(group, types).map(Some);
        }
        let skip = group.skip_blocks(|info| info.first_is_null());
        let cursor = RowCursor::at(group, group.first + skip, types)?;
        cursor.after(|prefix, row| prefix.is_null(row), types)
    }

    /// Moves on past the rows of this block of which `before` holds, which are the first ones.
    fn after(mut self, before: impl Fn(&Column<'a>, usize) -> bool, types: &[ColumnType]) -> Result<Option<Self>> {
        let Some(prefix) = self.prefix else { return Ok(Some(self)) };
        let (mut low, mut high) = (self.row, self.end);
        while low < high {
            let middle = low + (high - low) / 2;
            if before(&prefix, middle as usize) { low = middle + 1 } else { high = middle }
        }
        let passed = low - self.row;
        let more = self.skip(passed, types)?;
        Ok(more.then_some(self))
    }

    /// Moves on to the first row that does not stand before the row of `other`, by the columns of `types`; returns
    /// whether there is one.
    pub(super) fn seek(&mut self, other: &RowCursor<'_>, types: &[ColumnType]) -> Result<bool> {
        if self.compare(other, types) != Ordering::Less {
            return Ok(true);
        }
        // The last block that starts before it.
        let (mut low, mut high) = (self.at, self.group.last + 1);
        while low + 1 < high {
            let middle = low + (high - low) / 2;
            let before = RowCursor::at(self.group, middle, types)?.compare(other, types) == Ordering::Less;
            if before { low = middle } else { high = middle }
        }
        if low != self.at {
            self.turn_to(low, types)?;
        }
        let end = self.gallop(other, types);
        self.skip(end - self.row, types)
    }

    /// At the last row, if its first column is not null: as nulls come first, all are null otherwise.
    pub(super) fn last_filled(group: Group<'a>, types: &[ColumnType]) -> Result<Option<Self>> {
        let mut cursor = RowCursor::at(group, group.last, types)?;
        cursor.row = cursor.end - 1;
        Ok(cursor.is_filled().then_some(cursor))
    }

    fn is_filled(&self) -> bool {
        self.prefix.is_none_or(|prefix| !prefix.is_null(self.row as usize))
    }

    /// Moves to the row before, if its first column is not null; otherwise there is none.
    pub(super) fn back(&mut self, types: &[ColumnType]) -> Result<bool> {
        if self.row > self.start {
            self.row -= 1;
        } else if self.at > self.group.first {
            self.turn_to(self.at - 1, types)?;
            self.row = self.end - 1;
        } else {
            return Ok(false);
        }
        Ok(self.is_filled())
    }

    /// Moves on by `rows`, at most to the end of the block's segment; returns whether there is a row.
    #[inline]
    pub(super) fn skip(&mut self, rows: u32, types: &[ColumnType]) -> Result<bool> {
        self.row += rows;
        if self.row < self.end {
            return Ok(true);
        }
        if self.at == self.group.last {
            return Ok(false);
        }
        self.turn_to(self.at + 1, types)?;
        Ok(true)
    }

    /// Moves to the first row of block `at`.
    fn turn_to(&mut self, at: u32, types: &[ColumnType]) -> Result<()> {
        *self = RowCursor::at(self.group, at, types)?.with_source(self.source);
        Ok(())
    }

    /// The order of the two rows.
    #[inline]
    pub(super) fn compare(&self, other: &RowCursor<'_>, types: &[ColumnType]) -> Ordering {
        self.compare_row(self.row, other, types)
    }

    #[inline]
    fn compare_row(&self, row: u32, other: &RowCursor<'_>, types: &[ColumnType]) -> Ordering {
        let (Some(mine), Some(theirs)) = (&self.prefix, &other.prefix) else { return Ordering::Equal };
        let (i, j) = (row as usize, other.row as usize);
        let order = mine.compare(i, theirs, j);
        if order != Ordering::Equal {
            return order;
        }
        let mut rest = types.iter().enumerate().skip(1);
        rest.try_for_each(|(c, ty)| match self.block.row(c, *ty).compare(i, &other.block.row(c, *ty), j) {
            Ordering::Equal => Ok(()),
            order => Err(order),
        })
        .err()
        .unwrap_or(Ordering::Equal)
    }

    /// The end of the rows of this block that stand before the row of `other`; this row does.
    fn gallop(&self, other: &RowCursor<'_>, types: &[ColumnType]) -> u32 {
        let before = |row| self.compare_row(row, other, types) == Ordering::Less;
        let (mut low, mut step) = (self.row, 1);
        while low + step < self.end && before(low + step) {
            low += step;
            step *= 2;
        }
        let mut high = self.end.min(low + step);
        while low + 1 < high {
            let middle = low + (high - low) / 2;
            if before(middle) { low = middle } else { high = middle }
        }
        low + 1
    }
}

/// Where a range of rows ends: at the first live row whose column `column`, a required int, is greater than `value`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Until {
    pub(super) column: usize,
    pub(super) value: i64,
    /// Whether that row belongs to the range.
    pub(super) through: bool,
}

impl Until {
    /// The first of the rows that ends the range; `end` if none does.
    fn stop(self, block: Block<'_>, start: u32, end: u32, types: &[ColumnType]) -> u32 {
        let column = block.row(self.column, types[self.column]);
        (start..end).find(|row| column.word(*row as usize) as i64 > self.value).unwrap_or(end)
    }
}

/// Why [`merge`] came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Merged {
    /// All cursors have passed their last rows, or the range has ended.
    All,
    /// The limit of rows is reached, with rows left.
    Part,
}

/// Adds the rows from this cursor on to `plan`.
pub(super) fn copy<'a>(
    mut cursor: RowCursor<'a>,
    types: &[ColumnType],
    until: Option<Until>,
    plan: &mut RowPlan<'a>,
) -> Result<()> {
    loop {
        let (block, row, end) = (cursor.block, cursor.row, cursor.end);
        let stop = until.map_or(end, |until| until.stop(block, row, end, types));
        let through = stop < end && until.is_some_and(|until| until.through);
        plan.push_rows(block, row, stop + u32::from(through));
        if stop < end || !cursor.skip(end - row, types)? {
            return Ok(());
        }
    }
}

/// Merges the rows from these cursors on, of one key, adding up the multiplicities of equal rows, and adds the live
/// ones to `plan`, until the budget is used up. A cursor that has passed its last row is removed.
pub(super) fn merge<'a>(
    cursors: &mut Vec<RowCursor<'a>>,
    types: &[ColumnType],
    until: Option<Until>,
    budget: &mut Budget,
    plan: &mut RowPlan<'a>,
) -> Result<Merged> {
    while !cursors.is_empty() {
        if budget.rows == 0 {
            return Ok(Merged::Part);
        }
        let next = smallest(cursors, types);
        let cursor = cursors[next.cursor];
        let (block, row) = (cursor.block, cursor.row);
        if next.tied {
            let diff = pass_equal(cursors, cursor, types, budget)?;
            if diff != 0 {
                let last = until.filter(|until| until.stop(block, row, row + 1, types) == row);
                if last.is_none_or(|until| until.through) {
                    plan.push_row(block, row, diff);
                }
                if last.is_some() {
                    return Ok(Merged::All);
                }
            }
            continue;
        }
        let end = match next.second {
            Some(second) => cursor.gallop(&cursors[second], types),
            None => cursor.end,
        };
        let end = row + budget.take(end - row);
        let stop = until.map_or(end, |until| until.stop(block, row, end, types));
        let through = stop < end && until.is_some_and(|until| until.through);
        plan.push_rows(block, row, stop + u32::from(through));
        if stop < end {
            return Ok(Merged::All);
        }
        if !cursors[next.cursor].skip(end - row, types)? {
            cursors.swap_remove(next.cursor);
        }
    }
    Ok(Merged::All)
}

/// How many more rows may be read in this call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    pub(super) rows: usize,
}

impl Budget {
    pub(super) fn unlimited() -> Self {
        Budget { rows: usize::MAX }
    }

    /// Takes at most `rows`.
    pub(super) fn take(&mut self, rows: u32) -> u32 {
        let taken = self.rows.min(rows as usize);
        self.rows -= taken;
        taken as u32
    }
}

/// Which cursor has the smallest row.
struct Smallest {
    cursor: usize,
    /// Whether another cursor has an equal one.
    tied: bool,
    /// Which cursor has the smallest row of the others.
    second: Option<usize>,
}

fn smallest(cursors: &[RowCursor<'_>], types: &[ColumnType]) -> Smallest {
    let mut found = Smallest { cursor: 0, tied: false, second: None };
    for (i, cursor) in cursors.iter().enumerate().skip(1) {
        match cursor.compare(&cursors[found.cursor], types) {
            Ordering::Less => found = Smallest { cursor: i, tied: false, second: Some(found.cursor) },
            Ordering::Equal => found.tied = true,
            Ordering::Greater => {
                let smaller = |second: usize| cursor.compare(&cursors[second], types) == Ordering::Less;
                if found.second.is_none_or(smaller) {
                    found.second = Some(i);
                }
            }
        }
    }
    found
}

/// The sum of two multiplicities of equal rows. What enters is bounded, so that no sum comes near 64 bits.
#[inline]
fn added(sum: i64, diff: i64) -> Result<i64> {
    sum.checked_add(diff).ok_or_else(|| Error::data("the multiplicity of a row is outside 64 bits"))
}

/// Moves all cursors at a row equal to that of `at` past it; returns the sum of the multiplicities.
fn pass_equal(
    cursors: &mut Vec<RowCursor<'_>>,
    at: RowCursor<'_>,
    types: &[ColumnType],
    budget: &mut Budget,
) -> Result<i64> {
    let mut sum = 0i64;
    let mut i = 0;
    while i < cursors.len() {
        let cursor = &mut cursors[i];
        if cursor.compare(&at, types) != Ordering::Equal {
            i += 1;
            continue;
        }
        sum = added(sum, cursor.block.diffs().get(cursor.row as usize) as i64)?;
        budget.take(1);
        if cursor.skip(1, types)? {
            i += 1;
        } else {
            cursors.swap_remove(i);
        }
    }
    Ok(sum)
}

/// Adds live rows that equal the row of `wanted` in the columns of `prefix`, in order, until their multiplicities add
/// up to `enough`. The cursors move on past what was read.
pub(super) fn equal_rows<'a>(
    cursors: &mut Vec<RowCursor<'a>>,
    types: &[ColumnType],
    (wanted, prefix): (&RowCursor<'_>, &[ColumnType]),
    enough: i64,
    plan: &mut RowPlan<'a>,
) -> Result<()> {
    let mut i = 0;
    while i < cursors.len() {
        if cursors[i].seek(wanted, prefix)? {
            i += 1;
        } else {
            cursors.swap_remove(i);
        }
    }
    let mut found = 0;
    while found < enough && !cursors.is_empty() {
        let at = cursors[smallest(cursors, types).cursor];
        if at.compare(wanted, prefix) != Ordering::Equal {
            return Ok(());
        }
        let diff = pass_equal(cursors, at, types, &mut Budget::unlimited())?;
        if diff != 0 {
            plan.push_row(at.block, at.row, diff);
            found += diff;
        }
    }
    Ok(())
}

/// Adds the first live row from these cursors on to `plan`, if there is one.
pub(super) fn first_live<'a>(
    cursors: &mut Vec<RowCursor<'a>>,
    types: &[ColumnType],
    plan: &mut RowPlan<'a>,
) -> Result<()> {
    while !cursors.is_empty() {
        let at = cursors[smallest(cursors, types).cursor];
        let diff = pass_equal(cursors, at, types, &mut Budget::unlimited())?;
        if diff != 0 {
            plan.push_row(at.block, at.row, diff);
            return Ok(());
        }
    }
    Ok(())
}

/// Adds the last live row from these cursors backwards to `plan`, if there is one.
pub(super) fn last_live<'a>(
    cursors: &mut Vec<RowCursor<'a>>,
    types: &[ColumnType],
    plan: &mut RowPlan<'a>,
) -> Result<()> {
    while !cursors.is_empty() {
        let at = *cursors.iter().max_by(|a, b| a.compare(b, types)).expect("there is a cursor");
        let mut sum = 0i64;
        let mut i = 0;
        while i < cursors.len() {
            let cursor = &mut cursors[i];
            if cursor.compare(&at, types) != Ordering::Equal {
                i += 1;
                continue;
            }
            sum = added(sum, cursor.block.diffs().get(cursor.row as usize) as i64)?;
            if cursor.back(types)? {
                i += 1;
            } else {
                cursors.swap_remove(i);
            }
        }
        if sum != 0 {
            plan.push_row(at.block, at.row, sum);
            return Ok(());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_multiplicity_outside_64_bits_is_named() {
        assert_eq!(added(i64::MAX - 1, 1).unwrap(), i64::MAX);
        for (sum, diff) in [(i64::MAX, 1), (i64::MIN, -1), (1 << 62, 1 << 62)] {
            let error = added(sum, diff).unwrap_err();
            assert_eq!(error.message(), "the multiplicity of a row is outside 64 bits");
        }
    }
}
