//! Levels: which segments are merged, when, and how far in one call.
//!
//! A *level* is entries with disjoint ranges of keys, in ascending order; taken together they are like one segment. New
//! segments come in as a level at the end, and a level is merged into the one before when that is less than four times
//! as large, so sizes grow geometrically from the end to the start and there are few levels. What is larger is counted
//! in rows, not in rows by width of their range: a segment of one key never takes up the large one that it stands
//! before.
//!
//! A small level is merged whole, and becomes one entry. Of a large one, only the entries near the merged keys are,
//! each from its first key to its last. A compaction goes from the smallest key up. When it has enough rows for a
//! *slice*, the merged segment takes its place in the larger level, and all entries of the inputs are cut to the keys
//! after it. So at any time the levels hold every row once, and a checkpoint that saves them saves the progress of the
//! compaction: what the next process opens is again levels, to which the same rule applies. What a process that ends in
//! the middle of a slice has merged since the last one is lost. No slice is small but where rows cancel, so a level has
//! few entries, too.

use std::sync::Arc;

use millpond_error::Result;

use super::batch::Plan;
use super::group::Budget;
use super::merge::Walk;
use super::segment::{BLOCK_BYTES, Segment, SegmentBuilder};
use super::{ArrangementSchema, SegmentEntry};
use crate::hash::KeyRange;
use crate::memory::Memory;

/// A level is merged when the one before has less than so many times its rows.
const FACTOR: u64 = 4;
/// A large level has at most about so many slices, unless they would be too large.
const SLICES: u64 = 64;

/// The sizes of what is built; smaller in tests.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// About how large a block is, without compression.
    pub(super) block_bytes: usize,
    /// Folds of fewer rows are done at once.
    pub(super) small_rows: u64,
    /// About how many rows a slice has, at least and at most.
    pub(super) slice_rows: (u64, u64),
    /// How large segments of new rows become, at least and at most.
    pub(super) segment_bytes: (usize, usize),
}

impl Default for Sizes {
    fn default() -> Self {
        Sizes {
            block_bytes: BLOCK_BYTES,
            small_rows: 1 << 14,
            slice_rows: (1 << 15, 1 << 19),
            segment_bytes: (1 << 21, 1 << 24),
        }
    }
}

/// All levels, the oldest and largest first.
#[derive(Debug)]
pub(super) struct Levels {
    schema: ArrangementSchema,
    sizes: Sizes,
    levels: Vec<Level>,
    /// Where new segments are, if that is limited.
    memory: Option<Arc<Memory>>,
}

#[derive(Debug, Default)]
struct Level {
    entries: Vec<SegmentEntry>,
    /// About how many rows these hold.
    rows: u64,
    /// The compaction of the levels after this one into it.
    compaction: Option<Box<Compaction>>,
}

/// A compaction under way.
#[derive(Debug)]
struct Compaction {
    /// How many levels are merged into the one before them.
    count: usize,
    walk: Walk,
    builder: SegmentBuilder,
    /// The keys that are not merged yet, but for those in the builder.
    left: KeyRange,
    /// Rows of a slice.
    slice_rows: u64,
    /// Rows read so far for this one.
    read: u64,
    /// About how many rows are left to read.
    rows_left: u64,
    /// Whether it is done in one call.
    small: bool,
}

/// What a compaction has come to.
struct Slice {
    range: KeyRange,
    segment: Segment,
    /// Whether it is the last one.
    last: bool,
}

impl Levels {
    /// The levels of these entries, whose ranges are disjoint within a level and ascend.
    pub(super) fn new(schema: ArrangementSchema, sizes: Sizes, levels: Vec<Vec<SegmentEntry>>) -> Self {
        let levels = levels.into_iter().map(Level::new).collect();
        let mut levels = Levels { schema, sizes, levels, memory: None };
        levels.number(0);
        levels
    }

    /// A builder of segments for these levels.
    pub(super) fn builder(&self) -> SegmentBuilder {
        let (least, most) = self.sizes.segment_bytes;
        let limit = self.memory.as_ref().map_or(usize::MAX, |memory| memory.segment_bytes());
        let sizes = (least.min(limit), most.min(limit));
        SegmentBuilder::with_sizes(self.schema.clone(), self.sizes.block_bytes, sizes, self.memory.clone())
    }

    /// What is built from now on counts as memory of this.
    pub(super) fn count_in(&mut self, memory: Arc<Memory>) {
        self.memory = Some(memory);
    }

    /// All entries.
    pub(super) fn entries(&self) -> impl Iterator<Item = &SegmentEntry> {
        self.levels.iter().flat_map(|level| &level.entries)
    }

    /// The entries of each level.
    pub(super) fn slices(&self) -> impl Iterator<Item = &[SegmentEntry]> {
        self.levels.iter().map(|level| &*level.entries)
    }

    /// Puts another segment in the place of each for which `other` has one; it holds the same.
    pub(super) fn replace(&mut self, other: &mut dyn FnMut(&Segment) -> Result<Option<Arc<Segment>>>) -> Result<()> {
        for entry in self.levels.iter_mut().flat_map(|level| &mut level.entries) {
            if let Some(segment) = other(&entry.segment)? {
                entry.segment = segment;
            }
        }
        Ok(())
    }

    /// Adds a level; returns it as it is numbered.
    pub(super) fn push(&mut self, entries: Vec<SegmentEntry>) -> &[SegmentEntry] {
        self.levels.push(Level::new(entries));
        let last = self.levels.len() - 1;
        self.number(last);
        &self.levels[last].entries
    }

    /// Tells the entries from this level on which level they are in.
    fn number(&mut self, from: usize) {
        for (number, level) in (0..).zip(&mut self.levels).skip(from) {
            level.entries.iter_mut().for_each(|entry| entry.level = number);
        }
    }

    /// Compacts as far as the budget goes, small levels and the smallest first. With `finish_slice`, if any slice is
    /// under way, one is finished whatever the budget says. Returns whether entries have changed.
    pub(super) fn maintain(&mut self, budget: &mut Budget, mut finish_slice: bool) -> Result<bool> {
        let mut changed = false;
        loop {
            self.start_compactions()?;
            let Some(at) = self.levels.iter().rposition(|level| level.compaction.is_some()) else { return Ok(changed) };
            let Some(compaction) = &mut self.levels[at].compaction else { return Ok(changed) };
            let slice = if compaction.small {
                compaction.advance(&mut Budget::unlimited())?
            } else if finish_slice {
                // A single key may have more rows than any slice: without its end, all work on it would be lost.
                finish_slice = false;
                compaction.advance(&mut Budget::unlimited())?
            } else {
                compaction.advance(budget)?
            };
            let Some(slice) = slice else { return Ok(changed) };
            self.install(at, slice);
            changed = true;
        }
    }

    /// Starts compactions wherever the rule says so, among levels that none has already.
    fn start_compactions(&mut self) -> Result<()> {
        // Large ones are of two levels. The oldest come first, so that one that was begun in another process goes on
        // before newer segments are merged into what is left of it.
        for start in 0..self.levels.len().saturating_sub(1) {
            let (into, inputs) = (&self.levels[start], &self.levels[start + 1]);
            if !self.is_free(start) || !self.is_free(start + 1) || into.rows + inputs.rows < self.sizes.small_rows {
                continue;
            }
            let Some(keys) = cover(&inputs.entries) else { continue };
            let range = into.widened(keys);
            if into.rows_within(range) < FACTOR * inputs.rows {
                self.start_compaction(start, start + 2, range)?;
            }
        }
        // Small ones are of as many levels as the rule allows, at the end.
        let mut end = self.levels.len();
        while end > 1 {
            end = match self.small_compaction(end) {
                Some(start) => {
                    let keys = self.levels[start..end].iter().filter_map(|level| cover(&level.entries));
                    let Some(range) = keys.reduce(KeyRange::hull) else { break };
                    self.start_compaction(start, end, range)?;
                    start
                }
                None => end - 1,
            };
        }
        Ok(())
    }

    /// The first of the levels up to `end` that are to become one entry at once.
    fn small_compaction(&self, end: usize) -> Option<usize> {
        let mut inputs = 0;
        let mut start = end - 1;
        while start > 0 && self.is_free(start) && self.is_free(start - 1) {
            inputs += self.levels[start].rows;
            let into = self.levels[start - 1].rows;
            if into >= FACTOR * inputs || into + inputs >= self.sizes.small_rows {
                break;
            }
            start -= 1;
        }
        (start + 1 < end).then_some(start)
    }

    /// Starts to merge the levels after `start`, up to `end`, into it; all their keys are in `range`.
    fn start_compaction(&mut self, start: usize, end: usize, range: KeyRange) -> Result<()> {
        let inputs: u64 = self.levels[start + 1..end].iter().map(|level| level.rows).sum();
        let rows = self.levels[start].rows_within(range) + inputs;
        let (least, most) = self.sizes.slice_rows;
        let levels = self.levels[start..end].iter().map(|level| &*level.entries);
        let compaction = Compaction {
            count: end - start - 1,
            walk: Walk::new(&self.schema, levels, range)?,
            builder: self.builder(),
            left: range,
            slice_rows: ((self.levels[start].rows + inputs) / SLICES).clamp(least, most),
            read: 0,
            rows_left: rows,
            small: rows < self.sizes.small_rows,
        };
        self.levels[start].compaction = Some(Box::new(compaction));
        Ok(())
    }

    /// Whether no compaction reads or writes this level.
    fn is_free(&self, at: usize) -> bool {
        let compactions = self.levels[..=at].iter().enumerate();
        compactions.filter_map(|(start, level)| Some(start + level.compaction.as_ref()?.count)).all(|last| last < at)
    }

    /// Puts a slice in the place of what it was merged from.
    fn install(&mut self, at: usize, slice: Slice) {
        let Slice { range, segment, last } = slice;
        let count = self.levels[at].compaction.as_ref().map_or(0, |compaction| compaction.count);
        for level in &mut self.levels[at..=at + count] {
            level.entries = level.entries.iter().flat_map(|entry| without(entry, range)).collect();
        }
        let into = &mut self.levels[at];
        if segment.rows() > 0 {
            into.entries.push(SegmentEntry { segment: segment.into(), range, level: 0 });
            into.entries.sort_by_key(|entry| entry.range);
        }
        if last {
            into.compaction = None;
            debug_assert!(self.levels[at + 1..=at + count].iter().all(|level| level.entries.is_empty()));
            self.levels.drain(at + 1..=at + count);
            // Only a compaction empties levels, and until it ends they keep their place.
            if self.levels[at].entries.is_empty() {
                self.levels.remove(at);
            } else {
                self.levels[at].count_rows();
            }
        } else {
            self.levels[at..=at + count].iter_mut().for_each(Level::count_rows);
        }
        self.number(at);
    }
}

impl Level {
    fn new(entries: Vec<SegmentEntry>) -> Self {
        let mut level = Level { entries, ..Level::default() };
        level.count_rows();
        level
    }

    fn count_rows(&mut self) {
        self.rows = self.entries.iter().map(|entry| entry.segment.rows_within(entry.range)).sum();
    }

    /// About how many rows have keys in `range`.
    fn rows_within(&self, range: KeyRange) -> u64 {
        let within = |entry: &SegmentEntry| Some(entry.segment.rows_within(entry.range.intersection(range)?));
        self.entries.iter().filter_map(within).sum()
    }

    /// The range from the first key to the last of the entries that have some in `range`, and of `range`. If there is
    /// none, the nearest entry takes its place: compactions never leave entries smaller than they found them.
    fn widened(&self, range: KeyRange) -> KeyRange {
        let keys = |entry: &SegmentEntry| entry.segment.hashes()?.intersection(entry.range);
        let near = self.entries.iter().filter_map(keys).filter(|keys| keys.intersection(range).is_some());
        let nearest = || {
            let before = self.entries.iter().rev().filter_map(keys).find(|keys| keys.last < range.first);
            before.or_else(|| self.entries.iter().find_map(keys))
        };
        near.reduce(KeyRange::hull).or_else(nearest).map_or(range, |keys| keys.hull(range))
    }
}

/// The smallest range that covers the keys of these entries; `None` for no keys.
fn cover(entries: &[SegmentEntry]) -> Option<KeyRange> {
    entries.iter().filter_map(|entry| entry.segment.hashes()?.intersection(entry.range)).reduce(KeyRange::hull)
}

/// What is left of an entry without the keys in `range`.
fn without(entry: &SegmentEntry, range: KeyRange) -> impl Iterator<Item = SegmentEntry> {
    let KeyRange { first, last } = entry.range;
    let before = range.first.checked_sub(1).map(|end| KeyRange { first, last: end.min(last) });
    let after = range.last.checked_add(1).map(|start| KeyRange { first: start.max(first), last });
    let segment = entry.segment.clone();
    let pieces = match entry.range.intersection(range) {
        None => [Some(entry.range), None],
        Some(_) => [before, after],
    };
    pieces.into_iter().flatten().filter_map(move |range| {
        let has_keys = range.first <= range.last && segment.hashes()?.intersection(range).is_some();
        has_keys.then(|| SegmentEntry { segment: segment.clone(), range, ..*entry })
    })
}

impl Compaction {
    /// Merges until a slice is done or the budget is used up.
    fn advance(&mut self, budget: &mut Budget) -> Result<Option<Slice>> {
        loop {
            if self.walk.between_keys() {
                let Some(next) = self.walk.next_hash()? else { return self.slice(self.left.last, true).map(Some) };
                // Keys of one hash stay together.
                let cut = next > self.left.first && self.builder.last_hash().is_none_or(|last| next > last);
                let is_full = self.builder.rows() >= self.slice_rows || self.read >= FACTOR * self.slice_rows;
                if cut && is_full && self.rows_left >= self.slice_rows / 2 {
                    return self.slice(next - 1, false).map(Some);
                }
            }
            if budget.rows == 0 {
                return Ok(None);
            }
            let before = budget.rows;
            let Compaction { walk, builder, .. } = self;
            walk.next(builder.space(), budget, |plan: &Plan<'_>| builder.append_plan(plan))?;
            let read = (before - budget.rows) as u64;
            self.read += read;
            self.rows_left = self.rows_left.saturating_sub(read);
        }
    }

    fn slice(&mut self, end: u64, last: bool) -> Result<Slice> {
        let range = KeyRange { first: self.left.first, last: end };
        if !last {
            self.left.first = end + 1;
        }
        self.read = 0;
        let next = self.builder.like();
        let segment = std::mem::replace(&mut self.builder, next).finish_one()?;
        Ok(Slice { range, segment, last })
    }
}
