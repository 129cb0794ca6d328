//! The saved state of an operator: rows by key, in sorted immutable segments.
//!
//! Start with [`Arrangement`], then, from the bytes up: a `block` holds some rows in columns, a [segment](Segment)
//! holds blocks and an index of them; a `group` is the rows of one key, `cursor` looks up many keys, `merge` walks over
//! all of them; `levels` say which segments are merged when. A `batch` is rows on their way into a block or out of one.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arrow_array::{ArrayRef, new_empty_array};
use bytes::Bytes;
use millpond_columns::types::ColumnType;
use millpond_error::{Error, Result};
pub use millpond_store::BlobRange;
use millpond_store::DAMAGE_HINT;
use serde::{Deserialize, Serialize};

use crate::changes::Diffs;
use crate::hash::KeyRange;
use crate::keyed::KeyedRows;
use crate::memory::Memory;

mod batch;
mod block;
mod cursor;
mod group;
mod levels;
mod merge;
mod saved_map;
mod segment;

use self::batch::Batch;
use self::group::Budget;
use self::levels::{Levels, Sizes};
use self::merge::Walk;
pub use self::saved_map::{SavedMap, SavedValue};
pub use self::segment::{Segment, SegmentBuilder};

/// The types of an arrangement's columns. Part of the saved state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArrangementSchema {
    /// The key columns.
    pub key: Vec<ColumnType>,
    /// The row columns.
    pub row: Vec<ColumnType>,
}

/// A segment as a checkpoint names it.
#[derive(Clone, Debug)]
pub struct SavedSegment {
    /// What errors call it: the path of its file.
    pub name: String,
    /// The bytes of the segment.
    pub bytes: Bytes,
    /// The checksum of its footer, as the checkpoint names it.
    pub checksum: u64,
    /// The keys that count; the segment may hold others.
    pub range: KeyRange,
    /// The level that it is in; of one level, the keys that count are disjoint.
    pub level: u32,
    /// Where the bytes are.
    pub place: BlobRange,
}

/// The segments of one arrangement in a checkpoint, of all workers, in any order.
#[derive(Clone, Debug, Default)]
pub struct SavedArrangement {
    /// The segments.
    pub segments: Vec<SavedSegment>,
}

/// A segment with the keys of it that count.
#[derive(Clone, Debug)]
pub struct SegmentEntry {
    /// The segment.
    pub segment: Arc<Segment>,
    /// The keys that count; the segment may hold others.
    pub range: KeyRange,
    /// The level that it is in, from 0, the oldest and largest.
    pub level: u32,
}

/// How much an arrangement holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateSize {
    /// Rows of the segments, with those that cancel and are not merged away yet.
    pub rows: u64,
    /// Bytes of the segments.
    pub bytes: u64,
    /// The number of segments.
    pub segments: u64,
}

impl std::iter::Sum for StateSize {
    fn sum<I: Iterator<Item = StateSize>>(sizes: I) -> StateSize {
        sizes.fold(StateSize::default(), |a, b| StateSize {
            rows: a.rows + b.rows,
            bytes: a.bytes + b.bytes,
            segments: a.segments + b.segments,
        })
    }
}

/// Which rows of a key a lookup returns.
#[derive(Clone, Copy, Debug)]
pub enum Select<'a> {
    /// All live rows.
    All,
    /// Live rows whose first column (a required int) is at least `from`, in order, up to and without the first live row
    /// whose column `until_column` (a required int) is greater than `until`.
    Range {
        /// The lower bound of the first column, for each key.
        from: &'a [i64],
        /// The upper bound of column `until_column`, for each key.
        until: &'a [i64],
        /// The column that ends the range.
        until_column: usize,
    },
    /// As `Range`, with the live row that ends it.
    Through {
        /// The lower bound of the first column, for each key.
        from: &'a [i64],
        /// The upper bound of column `until_column`, for each key.
        until: &'a [i64],
        /// The column that ends the range.
        until_column: usize,
    },
    /// The last live row whose first column (a required int) is less than `value`.
    Before {
        /// The bound of the first column, for each key.
        value: &'a [i64],
    },
    /// The first live row, in row order, whose first column is not null.
    First,
    /// The last live row, in row order, whose first column is not null.
    Last,
}

/// What [`Arrangement::lookup_rows`] finds.
#[derive(Clone, Debug)]
pub struct RowsFound {
    /// Where the rows that were found for each wanted row start; one longer than there are wanted rows.
    pub offsets: Vec<u32>,
    /// The row columns.
    pub rows: Vec<ArrayRef>,
    /// The multiplicity of each row.
    pub diffs: Diffs,
}

/// Rows by key, in sorted immutable segments; reading adds up the multiplicities over the segments.
#[derive(Debug)]
pub struct Arrangement {
    schema: ArrangementSchema,
    range: KeyRange,
    levels: Levels,
    /// The entries of all levels.
    entries: Vec<SegmentEntry>,
    /// Whether no slice was merged since the arrangement was opened: a process that runs for one small epoch must also
    /// take its share of the merging.
    fresh: bool,
}

/// A chunk of a key holds so many rows at least, if there are as many.
const PIECE_ROWS: usize = 4;
/// A chunk of a scan holds about so many bytes.
const SCAN_BYTES: usize = 1 << 20;

impl Arrangement {
    /// An empty arrangement for the keys of `range`.
    pub fn new(schema: ArrangementSchema, range: KeyRange) -> Self {
        Arrangement::with_sizes(schema, range, Vec::new(), Sizes::default())
    }

    /// Opens the part of a saved arrangement that lies in `range`. Checks the footers of the segments, not yet their
    /// blocks. A segment that is damaged or of another schema is a `Data` error that names its file.
    pub fn open(schema: ArrangementSchema, range: KeyRange, saved: SavedArrangement) -> Result<Self> {
        let levels = open_levels(&schema, range, saved)?;
        Ok(Arrangement::with_sizes(schema, range, levels, Sizes::default()))
    }

    fn with_sizes(schema: ArrangementSchema, range: KeyRange, levels: Vec<Vec<SegmentEntry>>, sizes: Sizes) -> Self {
        let fresh = !levels.is_empty();
        let levels = Levels::new(schema.clone(), sizes, levels);
        let mut arrangement = Arrangement { schema, range, levels, entries: Vec::new(), fresh };
        arrangement.list_entries();
        arrangement
    }

    /// The types of the columns.
    pub fn schema(&self) -> &ArrangementSchema {
        &self.schema
    }

    /// The keys that this arrangement owns.
    pub fn range(&self) -> KeyRange {
        self.range
    }

    /// Whether no segment holds a row.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// No keys and no rows, in columns of the arrangement's types.
    pub fn no_rows(&self) -> KeyedRows {
        let columns = |types: &[ColumnType]| types.iter().map(|ty| new_empty_array(&ty.ty.to_arrow())).collect();
        let ArrangementSchema { key, row } = &self.schema;
        KeyedRows { hashes: Vec::new(), keys: columns(key), offsets: vec![0], rows: columns(row), diffs: Diffs::Ones }
    }

    /// From now on, what is not saved yet counts as memory of this.
    pub fn count_in(&mut self, memory: Arc<Memory>) {
        self.levels.count_in(memory);
    }

    /// A builder of segments that can be inserted.
    pub fn builder(&self) -> SegmentBuilder {
        self.levels.builder()
    }

    /// Adds the rows of segments that a [builder](Self::builder) made of one step's rows.
    pub fn insert(&mut self, segments: Vec<Segment>) {
        let mut entries: Vec<SegmentEntry> = Vec::with_capacity(segments.len());
        for segment in segments {
            let Some(keys) = segment.hashes() else { continue };
            debug_assert!(self.range.contains(keys.first) && self.range.contains(keys.last), "keys of this worker");
            let mut range = self.range;
            if let Some(before) = entries.last_mut() {
                // No hash is in two segments, so there is one before the first.
                before.range.last = keys.first - 1;
                range.first = keys.first;
            }
            entries.push(SegmentEntry { segment: Arc::new(segment), range, level: 0 });
        }
        if !entries.is_empty() {
            self.entries.extend_from_slice(self.levels.push(entries));
        }
    }

    /// Merges segments, so that their number stays logarithmic: small ones at once, large ones in slices, and of these
    /// about `fuel_rows` rows in this call. With 32 rows of fuel for each row inserted, merging keeps up.
    pub fn maintain(&mut self, fuel_rows: usize) -> Result<()> {
        let fresh = std::mem::take(&mut self.fresh);
        if self.levels.maintain(&mut Budget { rows: fuel_rows }, fresh)? {
            self.list_entries();
        }
        Ok(())
    }

    /// Takes note that saved segments were copied to other places, and frees the memory of saved segments of at least
    /// so many bytes: from now on they are read where they are. `read` gives the bytes at a place, and the name that
    /// errors call them.
    pub fn evict_saved(
        &mut self,
        moves: &HashMap<BlobRange, BlobRange>,
        at_least: usize,
        read: &dyn Fn(&BlobRange) -> Result<(String, Bytes)>,
    ) -> Result<()> {
        // A segment that is being merged stands in several entries.
        let mut evicted: HashMap<BlobRange, Arc<Segment>> = HashMap::new();
        let schema = &self.schema;
        self.levels.replace(&mut |segment| {
            let Some(saved) = segment.place() else { return Ok(None) };
            let (moved, in_memory) = (moves.get(saved), segment.is_in_memory());
            let leaves = in_memory && segment.bytes().len() >= at_least;
            let place = moved.unwrap_or(saved).clone();
            if moved.is_none() && !leaves {
                return Ok(None);
            }
            if let Some(segment) = evicted.get(&place) {
                return Ok(Some(segment.clone()));
            }
            let saved = if in_memory && !leaves {
                segment.moved_to(place.clone())
            } else {
                let (name, bytes) = read(&place)?;
                let (checksum, place) = (segment.checksum(), place.clone());
                open_segment(schema, SavedSegment { name, bytes, checksum, range: KeyRange::ALL, level: 0, place })?
            };
            let segment = Arc::new(saved);
            evicted.insert(place, segment.clone());
            Ok(Some(segment))
        })?;
        if !evicted.is_empty() {
            self.list_entries();
        }
        Ok(())
    }

    fn list_entries(&mut self) {
        self.entries.clear();
        self.entries.extend(self.levels.entries().cloned());
    }

    /// What a checkpoint saves: all rows are in these segments, each cut to its range.
    pub fn entries(&self) -> &[SegmentEntry] {
        &self.entries
    }

    /// How much the segments hold. Of a segment that is cut to a range, as of a saved one that several workers share,
    /// as much is counted as the range takes of its hashes.
    pub fn size(&self) -> StateSize {
        self.entries.iter().map(SegmentEntry::size).sum()
    }

    /// The selected live rows (multiplicity not 0) of each of these keys, sorted. The keys are sorted by (hash, key
    /// columns), each at most once, and in the result stand all of them, with or without rows.
    pub fn lookup(&self, hashes: &[u64], keys: &[ArrayRef], select: Select<'_>) -> Result<KeyedRows> {
        cursor::lookup(&self.schema, &self.entries, hashes, keys, select)
    }

    /// For each row of `wanted`, the live rows of the same key that equal it in its columns (which may be fewer than
    /// those of this arrangement), in order, until their multiplicities add up to that row's `enough`. The wanted rows
    /// are sorted and distinct. Reads no more than the search needs, however many rows a key has.
    pub fn lookup_rows(&self, wanted: &KeyedRows, enough: &[i64]) -> Result<RowsFound> {
        cursor::lookup_rows(&self.schema, &self.entries, wanted, enough)
    }

    /// Hands all live rows to `emit`, in ascending order of keys, in chunks of whole keys.
    pub fn scan(&self, emit: &mut dyn FnMut(KeyedRows) -> Result<()>) -> Result<()> {
        self.scan_chunks(SCAN_BYTES, |walk, _| walk.between_keys(), emit)
    }

    /// As [`scan`](Self::scan), in chunks of about so many bytes: a key may go on in the next one.
    pub(crate) fn scan_pieces(&self, bytes: usize, emit: &mut dyn FnMut(KeyedRows) -> Result<()>) -> Result<()> {
        // A row that replaces another comes with it, however large they are.
        self.scan_chunks(bytes, |_, chunk| chunk.diffs.len() >= PIECE_ROWS, emit)
    }

    /// Hands all live rows to `emit`, in chunks of at least so many bytes that end where they may.
    fn scan_chunks(
        &self,
        bytes: usize,
        may_end: impl Fn(&Walk, &Batch) -> bool,
        emit: &mut dyn FnMut(KeyedRows) -> Result<()>,
    ) -> Result<()> {
        let mut walk = Walk::new(&self.schema, self.levels.slices(), self.range)?;
        let mut more = true;
        while more {
            let mut batch = Batch::new(&self.schema);
            while more && (batch.plain_bytes() < bytes || !may_end(&walk, &batch)) {
                let space = bytes.saturating_sub(batch.plain_bytes()).max(bytes / 16).clamp(1, SCAN_BYTES);
                more = walk.next(space, &mut Budget::unlimited(), |plan| {
                    // The first key of a chunk may go on from the one before.
                    batch.push_plan(plan, plan.continues && !batch.hashes.is_empty());
                })?;
            }
            if !batch.hashes.is_empty() {
                emit(batch.into_keyed_rows()?)?;
            }
        }
        Ok(())
    }
}

impl SegmentEntry {
    fn size(&self) -> StateSize {
        let whole = StateSize { rows: self.segment.rows(), bytes: self.segment.bytes().len() as u64, segments: 1 };
        let Some(keys) = self.segment.hashes() else { return whole };
        match keys.intersection(self.range) {
            Some(within) if within != keys => {
                let width = |range: KeyRange| (range.last - range.first) as f64 + 1.0;
                let part = |count: u64| (count as f64 * width(within) / width(keys)) as u64;
                StateSize { rows: part(whole.rows), bytes: part(whole.bytes), segments: 1 }
            }
            _ => whole,
        }
    }
}

/// The levels of a saved arrangement, oldest first, cut to `range`. Two levels may be one elsewhere: workers number
/// theirs each by themselves.
fn open_levels(schema: &ArrangementSchema, range: KeyRange, saved: SavedArrangement) -> Result<Vec<Vec<SegmentEntry>>> {
    let mut segments = saved.segments;
    segments.retain(|saved| saved.range.intersection(range).is_some());
    // Ranges of one segment that lie next to each other, as several workers save them, become one entry.
    segments.sort_by(|a, b| (a.level, &a.place, a.range).cmp(&(b.level, &b.place, b.range)));
    let mut entries: Vec<SegmentEntry> = Vec::new();
    for saved in segments {
        let Some(within) = saved.range.intersection(range) else { continue };
        let level = saved.level;
        let last = entries.last_mut().filter(|last| last.level == level && last.segment.place() == Some(&saved.place));
        let segment = match last {
            Some(last) if last.range.last.checked_add(1) == Some(within.first) => {
                last.range.last = within.last;
                continue;
            }
            Some(last) => last.segment.clone(),
            None => Arc::new(open_segment(schema, saved)?),
        };
        entries.push(SegmentEntry { segment, range: within, level });
    }
    entries.retain(|entry| entry.segment.hashes().is_some_and(|keys| keys.intersection(entry.range).is_some()));
    let mut levels: Vec<Vec<SegmentEntry>> = Vec::new();
    for entry in entries {
        match levels.last_mut().filter(|level| level[0].level == entry.level) {
            Some(level) => level.push(entry),
            None => levels.push(vec![entry]),
        }
    }
    for level in &mut levels {
        level.sort_by_key(|entry| entry.range);
        if let Some(pair) = level.windows(2).find(|pair| pair[0].range.last >= pair[1].range.first) {
            let place = pair[1].segment.place().map(|place| place.blob.as_str()).unwrap_or_default();
            return Err(Error::data(format!("two segments of one level hold the same keys, one of them in {place}"))
                .with_hint(DAMAGE_HINT));
        }
    }
    Ok(levels)
}

fn open_segment(schema: &ArrangementSchema, saved: SavedSegment) -> Result<Segment> {
    let segment = Segment::open(&saved.name, saved.bytes, saved.checksum)?;
    if !segment.schema().is_stored_like(schema) {
        let message = format!("{}: the saved segment has columns {}, not {schema}", saved.name, segment.schema());
        return Err(Error::data(message).with_hint(DAMAGE_HINT));
    }
    segment.set_place(saved.place);
    Ok(segment)
}

impl ArrangementSchema {
    /// Whether saved rows of the other schema can be read as rows of this one. What is stored as bytes other than text
    /// is saved without its type, which the description of the step has.
    fn is_stored_like(&self, other: &ArrangementSchema) -> bool {
        let alike = |a: &ColumnType, b: &ColumnType| {
            a.optional == b.optional && (a.ty == b.ty || (a.ty.is_binary() && b.ty.is_binary()))
        };
        let all = |a: &[ColumnType], b: &[ColumnType]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b));
        all(&self.key, &other.key) && all(&self.row, &other.row)
    }
}

impl fmt::Display for ArrangementSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |types: &[ColumnType]| types.iter().map(ColumnType::to_string).collect::<Vec<_>>().join(", ");
        write!(f, "({}; {})", list(&self.key), list(&self.row))
    }
}

#[cfg(test)]
mod tests;
