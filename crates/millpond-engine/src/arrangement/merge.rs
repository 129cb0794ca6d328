//! Walking several levels of segments at once in the order of keys, adding up what is equal: the core of merging and
//! scanning.
//!
//! The walk can stop after any number of rows, even inside a key, and go on later: a place is a few numbers.

use std::cmp::Ordering;
use std::ops::Range;

use millpond_error::Result;

use super::batch::Plan;
use super::block::Block;
use super::group::{self, Budget, Group, Merged, RowCursor};
use super::{ArrangementSchema, SegmentEntry};
use crate::hash::KeyRange;

/// A walk over the rows of several levels, key by key.
#[derive(Debug)]
pub(super) struct Walk {
    schema: ArrangementSchema,
    levels: Vec<Vec<SegmentEntry>>,
    /// The place in each level.
    places: Vec<Place>,
    /// Whether rows of the key at the places were handed out already.
    inside: KeyProgress,
}

/// Where a walk stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KeyProgress {
    /// Between two keys.
    Between,
    /// Inside a key, of which no row was live so far.
    NothingEmitted,
    /// Inside a key, of which a row was handed out.
    Emitted,
}

/// The next row of a level.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    entry: usize,
    block: usize,
    key: u32,
    row: u32,
}

/// The block at a place.
#[derive(Clone, Copy, Debug)]
struct View<'a> {
    place: Place,
    block: Block<'a>,
    /// The hash of the key at the place.
    hash: u64,
    /// The end of the keys of the block that are in the entry's range.
    key_end: u32,
}

impl Walk {
    /// A walk over the keys in `range`. A level is entries in ascending order with disjoint ranges.
    pub(super) fn new<'e>(
        schema: &ArrangementSchema,
        levels: impl Iterator<Item = &'e [SegmentEntry]>,
        range: KeyRange,
    ) -> Result<Self> {
        let levels: Vec<Vec<SegmentEntry>> = levels.map(|entries| cut(entries, range)).collect();
        let mut places = Vec::with_capacity(levels.len());
        for level in &levels {
            let mut place = Place::default();
            enter(level, &mut place)?;
            places.push(place);
        }
        Ok(Walk { schema: schema.clone(), levels, places, inside: KeyProgress::Between })
    }

    /// The hash of the next key; `None` at the end.
    pub(super) fn next_hash(&self) -> Result<Option<u64>> {
        let mut next: Option<u64> = None;
        for (level, place) in self.levels.iter().zip(&self.places) {
            if let Some(view) = view(level, *place)? {
                next = Some(next.map_or(view.hash, |hash| hash.min(view.hash)));
            }
        }
        Ok(next)
    }

    /// Whether the walk stopped between two keys.
    pub(super) fn between_keys(&self) -> bool {
        self.inside == KeyProgress::Between
    }

    /// Plans the next rows and hands the plan to `take`: as many as take about `space` bytes, and as the budget allows.
    /// Returns whether there may be more.
    pub(super) fn next(&mut self, space: usize, budget: &mut Budget, take: impl FnOnce(&Plan<'_>)) -> Result<bool> {
        let Walk { schema, levels, places, inside } = self;
        let levels = &*levels;
        let mut plan = Plan::default();
        let mut views = Vec::with_capacity(levels.len());
        for (level, place) in levels.iter().zip(&*places) {
            views.push(view(level, *place)?);
        }
        let mut step = Step { schema, levels, views, inside: *inside, plan: &mut plan };
        let mut left = space;
        let more = loop {
            let Some(next) = step.smallest() else { break false };
            let row_bytes = step.row_bytes(next.level);
            // One row always fits.
            let fit = if left == space { (left / row_bytes).max(1) } else { left / row_bytes };
            let rows = budget.rows.min(fit);
            if rows == 0 {
                break true;
            }
            let mut part = Budget { rows };
            step.advance(next, &mut part)?;
            let read = rows - part.rows;
            budget.rows -= read;
            left = left.saturating_sub(read * row_bytes);
        };
        let Step { views, inside: stopped, .. } = step;
        for ((place, view), level) in places.iter_mut().zip(views).zip(levels) {
            *place = view.map_or(Place { entry: level.len(), ..Place::default() }, |view| view.place);
        }
        *inside = stopped;
        take(&plan);
        Ok(more)
    }
}

/// The parts of the entries that lie in `range`.
fn cut(entries: &[SegmentEntry], range: KeyRange) -> Vec<SegmentEntry> {
    let cut = |entry: &SegmentEntry| {
        let range = entry.range.intersection(range)?;
        Some(SegmentEntry { segment: entry.segment.clone(), range, ..*entry })
    };
    entries.iter().filter_map(cut).collect()
}

/// Moves to the first key of the first entry, from that of the place on, that has one in its range.
fn enter(level: &[SegmentEntry], place: &mut Place) -> Result<()> {
    while let Some(SegmentEntry { segment, range, .. }) = level.get(place.entry) {
        let hashes = &segment.first_hashes;
        let b = hashes.partition_point(|hash| *hash < range.first).saturating_sub(1);
        if b < hashes.len() {
            let block = segment.block(b)?;
            let key = block.hashes().lower_bound(range.first, 0..block.keys as usize);
            let (block, key, b) = match hashes.get(b + 1) {
                Some(_) if key == block.keys as usize => (segment.block(b + 1)?, 0, b + 1),
                _ => (block, key, b),
            };
            if key < block.keys as usize && block.hashes().get(key) <= range.last {
                let row = block.offsets().get(key) as u32;
                (place.block, place.key, place.row) = (b, key as u32, row);
                return Ok(());
            }
        }
        place.entry += 1;
    }
    Ok(())
}

fn view(level: &[SegmentEntry], place: Place) -> Result<Option<View<'_>>> {
    let Some(entry) = level.get(place.entry) else { return Ok(None) };
    let block = entry.segment.block(place.block)?;
    let hashes = block.hashes();
    let keys = block.keys as usize;
    let key_end = match entry.range.last.checked_add(1) {
        Some(end) => hashes.lower_bound(end, place.key as usize..keys),
        None => keys,
    };
    Ok(Some(View { place, block, hash: hashes.get(place.key as usize), key_end: key_end as u32 }))
}

/// The level with the smallest key.
#[derive(Clone, Copy)]
struct Next {
    level: usize,
    /// Whether another level has the same hash.
    tied: bool,
    /// The smallest hash of the other levels, if that is greater.
    bound: Option<u64>,
}

struct Step<'a, 'p> {
    schema: &'a ArrangementSchema,
    levels: &'a [Vec<SegmentEntry>],
    views: Vec<Option<View<'a>>>,
    inside: KeyProgress,
    plan: &'p mut Plan<'a>,
}

impl<'a> Step<'a, '_> {
    fn smallest(&self) -> Option<Next> {
        let mut found: Option<(u64, Next)> = None;
        for (level, view) in self.views.iter().enumerate() {
            let Some(view) = view else { continue };
            found = Some(match found {
                None => (view.hash, Next { level, tied: false, bound: None }),
                Some((hash, next)) => match view.hash.cmp(&hash) {
                    Ordering::Less => (view.hash, Next { level, tied: false, bound: Some(hash) }),
                    Ordering::Equal => (hash, Next { tied: true, ..next }),
                    Ordering::Greater => {
                        let bound = Some(next.bound.map_or(view.hash, |bound| bound.min(view.hash)));
                        (hash, Next { bound, ..next })
                    }
                },
            });
        }
        found.map(|(_, next)| next)
    }

    fn row_bytes(&self, level: usize) -> usize {
        let plain = 8 * (1 + self.schema.row.len());
        self.views[level].map_or(plain, |view| plain.max(view.block.row_bytes()))
    }

    fn advance(&mut self, next: Next, budget: &mut Budget) -> Result<()> {
        if !next.tied && self.inside == KeyProgress::Between && self.copy_keys(next, budget)? {
            return Ok(());
        }
        self.merge_key(next, budget)
    }

    /// Copies whole keys of the block that no other level has. Returns whether there were any.
    fn copy_keys(&mut self, next: Next, budget: &mut Budget) -> Result<bool> {
        let Some(view) = self.views[next.level] else { return Ok(false) };
        let Place { entry, block: b, key, row } = view.place;
        let block = view.block;
        let (first, mut end) = (key as usize, view.key_end as usize);
        let continues = self.levels[next.level][entry].segment.blocks[b].last_key_ends as usize != b;
        if continues && end == block.keys as usize {
            end -= 1;
        }
        if let Some(bound) = next.bound {
            end = block.hashes().lower_bound_near(bound, first..end.max(first));
        }
        let end = keys_within(block, first..end, u64::from(row) + budget.rows as u64);
        if end <= first {
            return Ok(false);
        }
        self.plan.push_keys(block, key, end as u32);
        let rows = block.offsets().get(end) as u32 - row;
        budget.take(rows);
        self.move_to(next.level, Place { entry, block: b, key: end as u32, row: row + rows })?;
        Ok(true)
    }

    /// Merges the rows of one key.
    fn merge_key(&mut self, next: Next, budget: &mut Budget) -> Result<()> {
        let Some(first) = self.smallest_key(next) else { return Ok(()) };
        let mut cursors = Vec::with_capacity(self.views.len());
        for (level, view) in self.views.iter().enumerate() {
            let Some(view) = view else { continue };
            if view.hash != first.hash || self.compare_keys(view, &first) != Ordering::Equal {
                continue;
            }
            let Place { entry, block: b, key, row } = view.place;
            let group = Group::new(&self.levels[level][entry].segment, b, view.block, key as usize, row);
            cursors.push(RowCursor::first(group, &self.schema.row)?.with_source(level as u32));
        }
        let groups: Vec<(u32, Group<'a>)> = cursors.iter().map(|cursor| (cursor.source, cursor.group)).collect();

        let before = self.plan.rows.len();
        let merged = group::merge(&mut cursors, &self.schema.row, None, budget, &mut self.plan.rows)?;
        if self.plan.rows.len() > before {
            // The key is new to this plan, even where the walk stopped inside of it.
            let known = self.inside == KeyProgress::Emitted && !self.plan.hashes.is_empty();
            if known {
                self.plan.extend_key();
            } else {
                self.plan.continues |= self.inside == KeyProgress::Emitted;
                self.plan.insert_key(first.block, first.place.key, first.hash);
            }
            self.inside = KeyProgress::Emitted;
        } else if self.inside == KeyProgress::Between {
            self.inside = KeyProgress::NothingEmitted;
        }
        if merged == Merged::All {
            self.inside = KeyProgress::Between;
        }
        for (level, group) in groups {
            let (entry, at) = (self.places_entry(level), cursors.iter().find(|cursor| cursor.source == level));
            let place = match at {
                Some(cursor) => {
                    let key = if cursor.at == group.first { self.key_of(level) } else { 0 };
                    Place { entry, block: cursor.at as usize, key, row: cursor.row }
                }
                None => {
                    let key = if group.last == group.first { self.key_of(level) } else { 0 };
                    Place { entry, block: group.last as usize, key: key + 1, row: group.end }
                }
            };
            self.move_to(level as usize, place)?;
        }
        Ok(())
    }

    fn places_entry(&self, level: u32) -> usize {
        self.views[level as usize].map_or(0, |view| view.place.entry)
    }

    fn key_of(&self, level: u32) -> u32 {
        self.views[level as usize].map_or(0, |view| view.place.key)
    }

    /// The view with the smallest key, of those with the smallest hash.
    fn smallest_key(&self, next: Next) -> Option<View<'a>> {
        let mut first = self.views[next.level]?;
        for view in self.views[next.level + 1..].iter().flatten() {
            if view.hash == first.hash && self.compare_keys(view, &first) == Ordering::Less {
                first = *view;
            }
        }
        Some(first)
    }

    fn compare_keys(&self, a: &View<'_>, b: &View<'_>) -> Ordering {
        let (i, j) = (a.place.key as usize, b.place.key as usize);
        let mut columns = self.schema.key.iter().enumerate();
        columns
            .try_for_each(|(c, ty)| match a.block.key(c, *ty).compare(i, &b.block.key(c, *ty), j) {
                Ordering::Equal => Ok(()),
                order => Err(order),
            })
            .err()
            .unwrap_or(Ordering::Equal)
    }

    /// Moves a level to `place`, or if that is behind the last key of its block or range, to the next key.
    fn move_to(&mut self, level: usize, mut place: Place) -> Result<()> {
        let entries = &self.levels[level];
        let same = self.views[level].filter(|view| (view.place.entry, view.place.block) == (place.entry, place.block));
        if let Some(mut view) = same
            && place.key < view.key_end
        {
            view.place = place;
            view.hash = view.block.hashes().get(place.key as usize);
            self.views[level] = Some(view);
            return Ok(());
        }
        let entry = &entries[place.entry];
        if place.key >= entry.segment.blocks[place.block].keys {
            place = Place { entry: place.entry, block: place.block + 1, key: 0, row: 0 };
        }
        let ends = match entry.segment.first_hashes.get(place.block) {
            None => true,
            Some(_) => {
                let hash = entry.segment.block(place.block)?.hashes().get(place.key as usize);
                hash > entry.range.last
            }
        };
        if ends {
            place.entry += 1;
            enter(entries, &mut place)?;
        }
        self.views[level] = view(entries, place)?;
        Ok(())
    }
}

/// The end of the keys in `range` whose rows end by `row`.
fn keys_within(block: Block<'_>, range: Range<usize>, row: u64) -> usize {
    let offsets = block.offsets();
    if range.is_empty() || offsets.get(range.end) <= row {
        return range.end;
    }
    let (mut low, mut high) = (range.start, range.end);
    while low + 1 < high {
        let middle = low + (high - low) / 2;
        if offsets.get(middle) <= row { low = middle } else { high = middle }
    }
    low
}
