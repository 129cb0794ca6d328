//! Changes with their key hashes, and rows grouped by key.

use arrow_array::{ArrayRef, BooleanArray, UInt32Array};
use arrow_select::filter::filter;
use millpond_columns::float::is_canonical_column;
use millpond_columns::view::{concat, repeat, take};

use crate::changes::{Changes, DiffBuffer, Diffs, bytes_of};
use crate::frame_of_reference::CompactColumn;
use crate::hash::{HashSeed, KeyRange, hash_columns};
use crate::interner::KeyInterner;

/// Changes with the hash of each row's key, in no particular order: what the router sends.
#[derive(Clone, Debug, Default)]
pub struct HashedChanges {
    /// The hash of each row's key columns, `changes.rows` long.
    pub hashes: Vec<u64>,
    /// The rows: all columns of the operator's input, key columns among them.
    pub changes: Changes,
}

impl HashedChanges {
    /// Hashes the columns at the positions `key`.
    pub fn new(changes: Changes, seed: HashSeed, key: &[usize]) -> Self {
        debug_assert!(changes.columns.iter().all(is_canonical_column), "no cell holds -0.0 or a second NaN");
        let key: Vec<ArrayRef> = key.iter().map(|column| changes.columns[*column].clone()).collect();
        HashedChanges { hashes: hash_columns(seed, &key, changes.rows), changes }
    }

    /// The bytes that the rows take.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.hashes) + self.changes.bytes()
    }

    /// All rows of these parts, which have the same columns; there is at least one.
    pub fn concat(parts: &[HashedChanges]) -> HashedChanges {
        let mut hashes = Vec::with_capacity(parts.iter().map(|part| part.hashes.len()).sum());
        parts.iter().for_each(|part| hashes.extend_from_slice(&part.hashes));
        let columns: Vec<&[ArrayRef]> = parts.iter().map(|part| part.changes.columns.as_slice()).collect();
        let columns = concat(&columns);
        let diffs = Diffs::concat(parts.iter().map(|part| (&part.changes.diffs, part.changes.rows)));
        HashedChanges { changes: Changes { columns, rows: hashes.len(), diffs }, hashes }
    }
}

/// The changes of one bucket (a contiguous range of hashes) in one epoch, in no particular order, with their keys
/// numbered: each distinct key is there once.
#[derive(Clone, Debug)]
pub struct KeyedChanges {
    /// The hash of each key.
    pub(crate) hashes: Vec<u64>,
    /// The key columns, as long as `hashes`.
    pub(crate) keys: Vec<ArrayRef>,
    /// The number of each row's key.
    pub(crate) key_of_row: Vec<u32>,
    /// The multiplicity of each row.
    pub(crate) diffs: Diffs,
    /// By position in the operator's input.
    columns: Vec<Column>,
}

#[derive(Clone, Debug)]
enum Column {
    /// The position among the key columns.
    Key(usize),
    Row(ArrayRef),
}

/// A first part of so many rows tells whether most keys are new.
const SAMPLE_ROWS: usize = if cfg!(test) { 8 } else { 1024 };

/// Makes [`KeyedChanges`] of the parts of a bucket as they come.
///
/// Where several rows share a key, keys are numbered at once, and of a part's rows only the columns that are no key
/// stay. Where most keys are new, that would only keep a large table for each bucket: the parts wait as they are. Keys
/// that seem new among few rows may repeat among many, so it is looked again as rows come.
#[derive(Debug)]
pub struct KeyedChangesBuilder {
    key: Vec<usize>,
    /// The keys so far, and how many columns a row has; `None` before the first part, and while parts wait.
    numbering: Option<(KeyInterner, usize)>,
    rows: NumberedRows,
    waiting: WaitingRows,
}

/// Rows that wait as they came.
#[derive(Debug, Default)]
struct WaitingRows {
    parts: Vec<HashedChanges>,
    rows: usize,
    bytes: usize,
    /// When there are so many, it is looked whether their keys repeat.
    look_at: usize,
}

/// It is looked again at so many times the rows of the last time, so that all looking is linear.
const LOOK_AGAIN: usize = 4;

impl WaitingRows {
    fn push(&mut self, rows: HashedChanges) {
        self.bytes += rows.bytes();
        self.rows += rows.hashes.len();
        self.parts.push(rows);
        self.look_at = self.look_at.max(LOOK_AGAIN * self.parts[0].hashes.len());
    }

    fn hashes(&self) -> impl Iterator<Item = u64> {
        self.parts.iter().flat_map(|rows| &rows.hashes).copied()
    }

    /// Whether there are at least two rows for each key, now that there are many more than when it was last looked.
    fn repeat_keys(&mut self) -> bool {
        if self.rows < self.look_at {
            return false;
        }
        self.look_at = LOOK_AGAIN * self.rows;
        // All rows of a key are in the sample, or none: so its share of distinct keys is that of all.
        let mut sample: Vec<u64> = self.hashes().filter(|hash| hash % 16 == 0).collect();
        let rows = sample.len();
        sample.sort_unstable();
        sample.dedup();
        rows > 0 && sample.len() * 2 <= rows
    }
}

/// Rows with the numbers of their keys, which grow by whole parts.
#[derive(Debug, Default)]
struct NumberedRows {
    key_of_row: Vec<u32>,
    /// The columns that are no key, and the multiplicities, while there is one part: often it stays alone.
    sole: Option<(Vec<ArrayRef>, Diffs)>,
    /// The same of several parts.
    columns: Vec<CompactColumn>,
    diffs: DiffBuffer,
}

impl NumberedRows {
    /// Takes up the columns of the last `rows` rows, whose numbers were appended.
    fn extend(&mut self, rows: usize, columns: Vec<ArrayRef>, diffs: Diffs) {
        let before = self.key_of_row.len() - rows;
        if before == 0 {
            self.sole = Some((columns, diffs));
            return;
        }
        if let Some((columns, diffs)) = self.sole.take() {
            self.columns = columns.iter().map(CompactColumn::like).collect();
            self.append(0, before, &columns, &diffs);
        }
        self.append(before, rows, &columns, &diffs);
    }

    fn append(&mut self, before: usize, rows: usize, columns: &[ArrayRef], diffs: &Diffs) {
        self.columns.iter_mut().zip(columns).for_each(|(all, column)| all.append(column));
        self.diffs.extend(before, diffs, 0..rows);
    }

    /// The bytes that they take.
    fn bytes(&self) -> usize {
        let sole = self.sole.as_ref().map_or(0, |(columns, diffs)| bytes_of(columns) + diffs.bytes());
        let columns: usize = self.columns.iter().map(CompactColumn::bytes).sum();
        size_of_val(&*self.key_of_row) + sole + columns + self.diffs.bytes()
    }

    /// The number of each row's key, the columns that are no key, and the multiplicities.
    fn finish(self) -> (Vec<u32>, Vec<ArrayRef>, Diffs) {
        let (columns, diffs) = self
            .sole
            .unwrap_or_else(|| (self.columns.into_iter().map(CompactColumn::finish).collect(), self.diffs.finish()));
        (self.key_of_row, columns, diffs)
    }
}

impl KeyedChangesBuilder {
    /// A bucket without rows; `key` are the positions of the key columns.
    pub fn new(key: &[usize]) -> Self {
        KeyedChangesBuilder {
            key: key.to_vec(),
            numbering: None,
            rows: NumberedRows::default(),
            waiting: WaitingRows::default(),
        }
    }

    /// The bytes that the rows take.
    pub fn bytes(&self) -> usize {
        self.numbering.as_ref().map_or(0, |(numbering, _)| numbering.bytes()) + self.rows.bytes() + self.waiting.bytes
    }

    /// The number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.rows.key_of_row.len() + self.waiting.rows
    }

    /// About how much memory it takes to work on the rows, of so many columns: whole ones are made again.
    pub(crate) fn working_bytes(&self, columns: usize) -> u64 {
        (self.bytes() + self.rows() * 8 * (columns + 1)) as u64
    }

    /// Whether there is no row.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows() == 0
    }

    /// The smallest and the largest hash.
    pub(crate) fn hashes(&self) -> Option<KeyRange> {
        let numbered = self.numbering.iter().flat_map(|(numbering, _)| numbering.hashes());
        KeyRange::of_hashes(numbered.copied().chain(self.waiting.hashes()))
    }

    /// All rows as they came, in pieces of about `most` rows.
    pub(crate) fn into_pieces(mut self, most: usize) -> impl Iterator<Item = HashedChanges> {
        let waiting = std::mem::take(&mut self.waiting).parts;
        let numbered = self.finish();
        let pieces = move |rows: KeyedChanges| {
            (0..rows.rows()).step_by(most).map(move |start| rows.slice(start, most.min(rows.rows() - start)))
        };
        numbered.into_iter().flat_map(pieces).chain(waiting)
    }

    /// Takes rows up.
    pub fn push(&mut self, rows: HashedChanges) {
        if self.waiting.rows > 0 {
            self.waiting.push(rows);
            if self.waiting.repeat_keys() {
                self.number_waiting();
            }
            return;
        }
        let tells = self.numbering.is_none() && rows.hashes.len() >= SAMPLE_ROWS;
        let first = tells.then(|| rows.clone());
        self.number(rows);
        if let (Some(first), Some((numbering, _))) = (first, &self.numbering)
            && numbering.len() * 2 > first.hashes.len()
        {
            (self.numbering, self.rows) = (None, NumberedRows::default());
            self.waiting.push(first);
        }
    }

    fn number_waiting(&mut self) {
        std::mem::take(&mut self.waiting).parts.into_iter().for_each(|rows| self.number(rows));
    }

    fn number(&mut self, HashedChanges { hashes, changes }: HashedChanges) {
        let keys: Vec<ArrayRef> = self.key.iter().map(|&c| changes.columns[c].clone()).collect();
        let width = changes.columns.len();
        let (numbering, _) = self.numbering.get_or_insert_with(|| (KeyInterner::new(&keys, hashes.len()), width));
        numbering.number(&hashes, &keys, &mut self.rows.key_of_row);
        let others = changes.columns.into_iter().enumerate().filter(|(c, _)| !self.key.contains(c));
        self.rows.extend(hashes.len(), others.map(|(_, column)| column).collect(), changes.diffs);
    }

    /// The rows of all parts; `None` if there was no part.
    pub fn finish(mut self) -> Option<KeyedChanges> {
        self.number_waiting();
        let KeyedChangesBuilder { key, numbering, rows, .. } = self;
        let (numbering, width) = numbering?;
        let (hashes, keys) = numbering.finish();
        let (key_of_row, others, diffs) = rows.finish();
        let mut others = others.into_iter();
        let column = |c| match key.iter().position(|&k| k == c) {
            Some(k) => Some(Column::Key(k)),
            None => others.next().map(Column::Row),
        };
        let columns = (0..width).map_while(column).collect();
        Some(KeyedChanges { hashes, keys, key_of_row, diffs, columns })
    }
}

impl KeyedChanges {
    /// Numbers the keys of `rows`; `key` are the positions of the key columns.
    pub fn new(rows: HashedChanges, key: &[usize]) -> Self {
        let mut builder = KeyedChangesBuilder::new(key);
        builder.push(rows);
        builder.finish().expect("there is a part")
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.key_of_row.len()
    }

    /// Some rows, as they came.
    fn slice(&self, start: usize, count: usize) -> HashedChanges {
        let key_of_row = &self.key_of_row[start..start + count];
        let hashes = key_of_row.iter().map(|&key| self.hashes[key as usize]).collect();
        let at = UInt32Array::from(key_of_row.to_vec());
        let column = |column: &Column| match column {
            Column::Row(column) => column.slice(start, count),
            Column::Key(k) => take(&self.keys[*k], &at),
        };
        let diffs = match &self.diffs {
            Diffs::Ones => Diffs::Ones,
            Diffs::Each(diffs) => Diffs::Each(diffs.slice(start, count)),
        };
        HashedChanges {
            hashes,
            changes: Changes { columns: self.columns.iter().map(column).collect(), rows: count, diffs },
        }
    }

    /// The rows that `kept` selects, and their keys.
    pub fn filter(self, kept: &BooleanArray) -> Self {
        let mut numbers = vec![None; self.hashes.len()];
        let mut at: Vec<u32> = Vec::new();
        let rows = kept.values().set_indices();
        let number = |row: usize| {
            let old = self.key_of_row[row];
            *numbers[old as usize].get_or_insert_with(|| {
                at.push(old);
                at.len() as u32 - 1
            })
        };
        let key_of_row = rows.map(number).collect();
        let hashes = at.iter().map(|&old| self.hashes[old as usize]).collect();
        let at = UInt32Array::from(at);
        let column = |column| match column {
            Column::Row(column) => Column::Row(filter(&column, kept).expect("the mask is as long as the column")),
            key => key,
        };
        let columns = self.columns.into_iter().map(column).collect();
        let keys = self.keys.iter().map(|column| take(column, &at)).collect();
        KeyedChanges { hashes, keys, key_of_row, diffs: self.diffs.filter(kept), columns }
    }

    /// The column at this position of the operator's input.
    pub fn column(&self, position: usize) -> ArrayRef {
        match &self.columns[position] {
            Column::Row(column) => column.clone(),
            Column::Key(k) => take(&self.keys[*k], &UInt32Array::from(self.key_of_row.clone())),
        }
    }
}

/// Rows by key in compressed sparse rows: keys sorted by (hash, key columns), and where a function says *sorted*, the
/// rows of a key sorted by their columns from left to right (nulls first, floats by `total_cmp`, text by bytes) and
/// consolidated: no two equal, none with multiplicity 0.
#[derive(Clone, Debug)]
pub struct KeyedRows {
    /// The hash of each key, ascending.
    pub hashes: Vec<u64>,
    /// The key columns, as long as `hashes`.
    pub keys: Vec<ArrayRef>,
    /// Where the rows of each key start; one longer than `hashes`.
    pub offsets: Vec<u32>,
    /// The row columns, `offsets.last()` long.
    pub rows: Vec<ArrayRef>,
    /// The multiplicity of each row.
    pub diffs: Diffs,
}

impl KeyedRows {
    /// The rows of the keys that `kept` says, and these keys.
    pub fn of_keys(self, kept: &[bool]) -> Self {
        if kept.iter().all(|kept| *kept) {
            return self;
        }
        let (mut keys, mut rows, mut offsets) = (Vec::new(), Vec::new(), vec![0]);
        for (key, pair) in (0u32..).zip(self.offsets.windows(2)).filter(|(key, _)| kept[*key as usize]) {
            keys.push(key);
            rows.extend(pair[0]..pair[1]);
            offsets.push(rows.len() as u32);
        }
        let hashes = keys.iter().map(|&key| self.hashes[key as usize]).collect();
        let diffs = match &self.diffs {
            Diffs::Ones => Diffs::Ones,
            Diffs::Each(diffs) => Diffs::Each(rows.iter().map(|&row| diffs[row as usize]).collect()),
        };
        let (keys, rows) = (UInt32Array::from(keys), UInt32Array::from(rows));
        KeyedRows {
            hashes,
            keys: self.keys.iter().map(|column| take(column, &keys)).collect(),
            offsets,
            rows: self.rows.iter().map(|column| take(column, &rows)).collect(),
            diffs,
        }
    }

    /// The same rows without the keys that have none.
    pub fn without_idle_keys(self) -> Self {
        let kept: Vec<bool> = self.offsets.windows(2).map(|pair| pair[0] < pair[1]).collect();
        self.of_keys(&kept)
    }

    /// The rows as changes: the key columns, then the row columns.
    pub fn into_changes(self) -> Changes {
        let rows = self.offsets.last().map_or(0, |&end| end) as usize;
        let mut columns: Vec<ArrayRef> = self.keys.iter().map(|column| repeat(column, &self.offsets)).collect();
        columns.extend(self.rows);
        Changes { columns, rows, diffs: self.diffs }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    use arrow_array::{Array, Int64Array};

    use super::*;

    /// Rows of these keys, each with its place among all rows.
    fn rows(keys: impl Iterator<Item = i64>, first: i64) -> HashedChanges {
        let keys: Vec<i64> = keys.collect();
        let places: Vec<i64> = (first..).take(keys.len()).collect();
        let columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(keys)), Arc::new(Int64Array::from(places))];
        let rows = columns[0].len();
        HashedChanges::new(Changes { columns, rows, diffs: Diffs::Ones }, HashSeed(7), &[0])
    }

    /// Pushes `parts` of 50 rows whose keys go round and round; returns whether the last rows wait, and all rows.
    fn push(parts: i64, keys: i64) -> (bool, Vec<(i64, i64)>) {
        let mut builder = KeyedChangesBuilder::new(&[0]);
        for part in 0..parts {
            builder.push(rows((part * 50..(part + 1) * 50).map(|row| row % keys), part * 50));
            assert_eq!(builder.rows() as i64, (part + 1) * 50);
        }
        let waits = builder.waiting.rows > 0;
        let rows = builder.finish().expect("there are rows");
        let columns = [0, 1].map(|column| rows.column(column));
        let [keys, places] = columns.each_ref().map(|column| column.as_primitive::<Int64Type>().values());
        (waits, keys.iter().copied().zip(places.iter().copied()).collect())
    }

    #[test]
    fn keys_that_repeat_among_many_rows_are_numbered_though_the_first_were_new() {
        for (keys, waits) in [(20, false), (400, false), (i64::MAX, true)] {
            let (last_wait, rows) = push(64, keys);
            assert_eq!(last_wait, waits, "{keys} keys");
            assert_eq!(rows, (0..64 * 50).map(|row| (row % keys, row)).collect::<Vec<_>>());
        }
        assert!(push(6, 400).0, "while most are new, they wait");
    }
}
