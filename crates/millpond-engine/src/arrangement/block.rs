//! A block: some 32 KiB of keys and their rows in columns, read in place.
//!
//! The layout, byte by byte, is in `docs/format.md`. A block starts with the numbers of keys and rows and a directory
//! of its columns: the hashes of the keys, the places where their rows start, the multiplicities, then the key columns
//! and the row columns. A column of words is a base and one number of 0, 1, 2, 4 or 8 bytes for each cell, to be added
//! to it (a *frame of reference*), so cell `i` is read without decoding those before it.

use std::cmp::Ordering;
use std::ops::Range;

use millpond_columns::types::{ColumnType, Storage};

use super::ArrangementSchema;
use super::batch::{Batch, GatheredColumn};

/// Bytes before the directory.
const HEADER_BYTES: usize = 8;
/// Bytes of an entry of the directory.
const ENTRY_BYTES: usize = 24;
/// Columns that every block has: hashes, offsets, multiplicities.
const OWN_COLUMNS: usize = 3;
const HASHES: usize = 0;
const OFFSETS: usize = 1;
const DIFFS: usize = 2;

/// A block that has been checked, so that reading cannot fail.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block<'a> {
    bytes: &'a [u8],
    pub(super) keys: u32,
    pub(super) rows: u32,
    key_columns: u32,
}

/// A column of words.
#[derive(Clone, Copy, Debug)]
pub(super) struct Words<'a> {
    base: u64,
    width: u8,
    data: &'a [u8],
}

/// A column of cells.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column<'a> {
    storage: Storage,
    /// The values; of text, the places where each starts and the last ends.
    words: Words<'a>,
    /// One bit for each cell, 1 where it is not null; `None` if no cell is null.
    valid: Option<&'a [u8]>,
    text: &'a [u8],
}

impl<'a> Block<'a> {
    /// The block in `bytes`, which [`check`] has found to be right.
    #[inline]
    pub(super) fn new(bytes: &'a [u8], keys: u32, rows: u32, schema: &ArrangementSchema) -> Self {
        Block { bytes, keys, rows, key_columns: schema.key.len() as u32 }
    }

    #[inline]
    pub(super) fn same_as(self, other: Block<'_>) -> bool {
        std::ptr::eq(self.bytes.as_ptr(), other.bytes.as_ptr())
    }

    /// An upper estimate of the bytes of a row, its share of the keys included.
    pub(super) fn row_bytes(self) -> usize {
        self.bytes.len() / self.rows.max(1) as usize
    }

    /// The hash of each key.
    #[inline]
    pub(super) fn hashes(self) -> Words<'a> {
        self.words(HASHES)
    }

    /// Where the rows of each key start; one more than there are keys.
    #[inline]
    pub(super) fn offsets(self) -> Words<'a> {
        self.words(OFFSETS)
    }

    /// The multiplicity of each row.
    #[inline]
    pub(super) fn diffs(self) -> Words<'a> {
        self.words(DIFFS)
    }

    /// A key column.
    #[inline]
    pub(super) fn key(self, column: usize, ty: ColumnType) -> Column<'a> {
        self.column(OWN_COLUMNS + column, ty.ty.storage())
    }

    /// A row column.
    #[inline]
    pub(super) fn row(self, column: usize, ty: ColumnType) -> Column<'a> {
        self.column(OWN_COLUMNS + self.key_columns as usize + column, ty.ty.storage())
    }

    #[inline]
    fn words(self, column: usize) -> Words<'a> {
        let entry = Entry::read(self.bytes, column);
        Words { base: entry.base, width: entry.width, data: &self.bytes[entry.data as usize..] }
    }

    #[inline]
    fn column(self, column: usize, storage: Storage) -> Column<'a> {
        let entry = Entry::read(self.bytes, column);
        Column {
            storage,
            words: Words { base: entry.base, width: entry.width, data: &self.bytes[entry.data as usize..] },
            valid: (entry.valid != 0).then(|| &self.bytes[entry.valid as usize..]),
            text: if storage == Storage::Bytes { &self.bytes[entry.text as usize..] } else { &[] },
        }
    }
}

impl<'a> Words<'a> {
    #[inline(always)]
    pub(super) fn get(self, i: usize) -> u64 {
        let delta = match self.width {
            0 => 0,
            1 => u64::from(self.data[i]),
            2 => u64::from(u16::from_le_bytes(array(self.data, 2 * i))),
            4 => u64::from(u32::from_le_bytes(array(self.data, 4 * i))),
            _ => u64::from_le_bytes(array(self.data, 8 * i)),
        };
        self.base.wrapping_add(delta)
    }

    /// Adds the words of `range` to `out`.
    #[inline]
    pub(super) fn extend(self, range: Range<usize>, out: &mut Vec<u64>) {
        // Single rows are common where segments interleave.
        if range.len() == 1 {
            out.push(self.get(range.start));
        } else {
            self.extend_many(range, out);
        }
    }

    #[inline(never)]
    fn extend_many(self, range: Range<usize>, out: &mut Vec<u64>) {
        let bytes = |width: usize| &self.data[range.start * width..range.end * width];
        match self.width {
            0 => out.resize(out.len() + range.len(), self.base),
            1 => out.extend(bytes(1).iter().map(|delta| self.base.wrapping_add(u64::from(*delta)))),
            2 => out.extend(
                bytes(2).as_chunks::<2>().0.iter().map(|c| self.base.wrapping_add(u64::from(u16::from_le_bytes(*c)))),
            ),
            4 => out.extend(
                bytes(4).as_chunks::<4>().0.iter().map(|c| self.base.wrapping_add(u64::from(u32::from_le_bytes(*c)))),
            ),
            _ => out.extend(bytes(8).as_chunks::<8>().0.iter().map(|c| self.base.wrapping_add(u64::from_le_bytes(*c)))),
        }
    }

    /// The first position in `range` whose word is at least `word`, of ascending words that are about evenly spread.
    #[inline]
    pub(super) fn lower_bound(self, word: u64, range: Range<usize>) -> usize {
        lower_bound(word, range, |i| self.get(i))
    }

    /// As [`Words::lower_bound`], where the position is likely to be near the start.
    #[inline]
    pub(super) fn lower_bound_near(self, word: u64, range: Range<usize>) -> usize {
        gallop(word, range.start, range, |i| self.get(i))
    }

    /// The first of `count` ascending words that is at least `word`, if they are about evenly spread from `first` to
    /// `last`: without a look at either end, which costs a cache line each.
    #[inline]
    pub(super) fn seek(self, word: u64, count: usize, first: u64, last: u64) -> usize {
        let guess = interpolate(word, first, last, count);
        match self.width {
            8 => gallop(word, guess, 0..count, |i| self.base.wrapping_add(u64::from_le_bytes(array(self.data, 8 * i)))),
            _ => gallop(word, guess, 0..count, |i| self.get(i)),
        }
    }
}

/// The first position in `range` whose word is at least `word`, of ascending words: by interpolation, as hashes are
/// spread evenly, then by galloping from there.
#[inline]
pub(super) fn lower_bound(word: u64, range: Range<usize>, get: impl Fn(usize) -> u64) -> usize {
    if range.is_empty() || get(range.start) >= word {
        return range.start;
    }
    let (first, last) = (get(range.start), get(range.end - 1));
    if last < word {
        return range.end;
    }
    let guess = range.start + interpolate(word, first, last, range.len() - 1);
    gallop(word, guess, range, get)
}

/// How far `word` is on the way from `first` to `last`, in steps.
#[inline]
fn interpolate(word: u64, first: u64, last: u64, steps: usize) -> usize {
    let share = word.saturating_sub(first) as f64 / (last.saturating_sub(first)) as f64;
    // What is not a number becomes 0.
    ((share * steps as f64) as usize).min(steps)
}

/// The first position in `range` whose word is at least `word`, near `guess`.
#[inline]
fn gallop(word: u64, guess: usize, range: Range<usize>, get: impl Fn(usize) -> u64) -> usize {
    // The answer is in low..=high.
    let (mut low, mut high) = (range.start, range.end);
    let mut step = 2;
    if guess < high && get(guess) < word {
        low = guess + 1;
        while low + step < high {
            if get(low + step) >= word {
                high = low + step;
                break;
            }
            low += step + 1;
            step *= 2;
        }
    } else {
        high = high.min(guess);
        while low + step < high {
            if get(high - step) < word {
                low = high - step + 1;
                break;
            }
            high -= step;
            step *= 2;
        }
    }
    while low < high {
        let middle = low + (high - low) / 2;
        if get(middle) < word { low = middle + 1 } else { high = middle }
    }
    high
}

impl<'a> Column<'a> {
    #[inline]
    pub(super) fn is_null(&self, i: usize) -> bool {
        match self.valid {
            None => false,
            Some(valid) => valid[i / 8] >> (i % 8) & 1 == 0,
        }
    }

    /// The cell as a word; for a column that is not text.
    #[inline]
    pub(super) fn word(&self, i: usize) -> u64 {
        self.words.get(i)
    }

    #[inline]
    pub(super) fn text(&self, i: usize) -> &'a [u8] {
        &self.text[self.words.get(i) as usize..self.words.get(i + 1) as usize]
    }

    /// The order of two cells of two columns of one type: nulls first, floats by `total_cmp`, text by bytes.
    #[inline]
    pub(super) fn compare(&self, i: usize, other: &Column<'_>, j: usize) -> Ordering {
        if self.valid.is_some() || other.valid.is_some() {
            match (self.is_null(i), other.is_null(j)) {
                (false, false) => (),
                (mine, theirs) => return theirs.cmp(&mine),
            }
        }
        match self.storage {
            Storage::Bool => self.word(i).cmp(&other.word(j)),
            Storage::Int => (self.word(i) as i64).cmp(&(other.word(j) as i64)),
            Storage::Float => f64::from_bits(self.word(i)).total_cmp(&f64::from_bits(other.word(j))),
            Storage::Bytes => self.text(i).cmp(other.text(j)),
        }
    }

    /// Adds the cells of `range` to `out`.
    #[inline]
    pub(super) fn extend(&self, range: Range<usize>, out: &mut GatheredColumn) {
        if range.is_empty() {
            return;
        }
        if self.storage == Storage::Bytes {
            let start = self.words.get(range.start);
            let shift = (out.text.len() as u64).wrapping_sub(start);
            let before = out.words.len();
            self.words.extend(range.start + 1..range.end + 1, &mut out.words);
            for end in &mut out.words[before..] {
                *end = end.wrapping_add(shift);
            }
            out.text.extend_from_slice(&self.text[start as usize..self.words.get(range.end) as usize]);
        } else {
            self.words.extend(range.clone(), &mut out.words);
        }
        if out.ty.optional {
            match self.valid {
                None => out.valid.resize(out.valid.len() + range.len(), 1),
                Some(_) => out.valid.extend(range.map(|i| u8::from(!self.is_null(i)))),
            }
        }
    }
}

#[inline(always)]
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    *bytes[at..].first_chunk().expect("the block was checked")
}

/// An entry of the directory.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    width: u8,
    data: u32,
    base: u64,
    valid: u32,
    text: u32,
}

impl Entry {
    #[inline]
    fn read(bytes: &[u8], column: usize) -> Self {
        let entry: [u8; ENTRY_BYTES] = array(bytes, HEADER_BYTES + column * ENTRY_BYTES);
        Entry {
            width: entry[0],
            data: u32::from_le_bytes(array(&entry, 4)),
            base: u64::from_le_bytes(array(&entry, 8)),
            valid: u32::from_le_bytes(array(&entry, 16)),
            text: u32::from_le_bytes(array(&entry, 20)),
        }
    }

    fn write(self, bytes: &mut [u8], column: usize) {
        let entry = &mut bytes[HEADER_BYTES + column * ENTRY_BYTES..][..ENTRY_BYTES];
        entry[0] = self.width;
        entry[4..8].copy_from_slice(&self.data.to_le_bytes());
        entry[8..16].copy_from_slice(&self.base.to_le_bytes());
        entry[16..20].copy_from_slice(&self.valid.to_le_bytes());
        entry[20..24].copy_from_slice(&self.text.to_le_bytes());
    }
}

/// Adds the block of these rows to `out`; its length is a multiple of 8.
pub(super) fn encode(batch: &Batch, out: &mut Vec<u8>) {
    let start = out.len();
    let columns = OWN_COLUMNS + batch.keys.len() + batch.rows.len();
    out.resize(start + HEADER_BYTES + columns * ENTRY_BYTES, 0);
    out[start..start + 4].copy_from_slice(&(batch.hashes.len() as u32).to_le_bytes());
    out[start + 4..start + 8].copy_from_slice(&(batch.diffs.len() as u32).to_le_bytes());

    let mut encoder = Encoder { out, start, column: 0 };
    encoder.frame(&batch.hashes, Order::Unsigned);
    encoder.frame(&batch.offsets, Order::Unsigned);
    encoder.frame(&batch.diffs, Order::Signed);
    for column in batch.keys.iter().chain(&batch.rows) {
        encoder.column(column);
    }
}

/// How the words of a column are ordered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Unsigned,
    Signed,
    /// Not by their words: these are either all equal or stored as they are.
    Raw,
}

struct Encoder<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
    column: usize,
}

impl Encoder<'_> {
    fn frame(&mut self, words: &[u64], order: Order) {
        let entry = self.words(words, order);
        self.finish(entry);
    }

    fn column(&mut self, column: &GatheredColumn) {
        let order = match column.ty.ty.storage() {
            Storage::Bool | Storage::Bytes => Order::Unsigned,
            Storage::Int => Order::Signed,
            Storage::Float => Order::Raw,
        };
        let has_null = column.valid.contains(&0);
        let mut entry = if has_null && !column.ty.ty.is_stored_as_bytes() {
            // A null takes the word of its neighbour, so that it does not widen the frame.
            let mut words = column.words.clone();
            let mut last = (0..words.len()).find(|i| column.valid[*i] == 1).map_or(0, |i| words[i]);
            for (word, valid) in words.iter_mut().zip(&column.valid) {
                if *valid == 1 { last = *word } else { *word = last }
            }
            self.words(&words, order)
        } else {
            self.words(&column.words, order)
        };
        if has_null {
            entry.valid = self.align();
            self.out.extend(
                column.valid.chunks(8).map(|bits| bits.iter().enumerate().fold(0, |byte, (i, bit)| byte | bit << i)),
            );
        }
        if column.ty.ty.is_stored_as_bytes() {
            entry.text = self.align();
            self.out.extend_from_slice(&column.text);
        }
        self.finish(entry);
    }

    fn words(&mut self, words: &[u64], order: Order) -> Entry {
        let Some(&first) = words.first() else {
            return Entry { data: self.align(), ..Entry::default() };
        };
        let (base, width) = match order {
            Order::Unsigned => {
                let (min, max) = words.iter().fold((first, first), |(min, max), w| (min.min(*w), max.max(*w)));
                (min, width_of(max - min))
            }
            Order::Signed => {
                let first = first as i64;
                let (min, max) =
                    words.iter().fold((first, first), |(min, max), w| (min.min(*w as i64), max.max(*w as i64)));
                (min as u64, width_of(max.wrapping_sub(min) as u64))
            }
            Order::Raw if words.iter().all(|word| *word == first) => (first, 0),
            Order::Raw => (0, 8),
        };
        let data = self.align();
        let at = self.out.len();
        self.out.resize(at + words.len() * width as usize, 0);
        let to = &mut self.out[at..];
        match width {
            0 => (),
            1 => to.iter_mut().zip(words).for_each(|(to, w)| *to = w.wrapping_sub(base) as u8),
            2 => narrow(to, words, |w| (w.wrapping_sub(base) as u16).to_le_bytes()),
            4 => narrow(to, words, |w| (w.wrapping_sub(base) as u32).to_le_bytes()),
            _ => narrow(to, words, |w| w.wrapping_sub(base).to_le_bytes()),
        }
        Entry { width, data, base, valid: 0, text: 0 }
    }

    /// Pads to a multiple of 8; returns the place in the block.
    fn align(&mut self) -> u32 {
        let length = (self.out.len() - self.start).next_multiple_of(8);
        self.out.resize(self.start + length, 0);
        u32::try_from(length).expect("a block is under 4 GiB")
    }

    fn finish(&mut self, entry: Entry) {
        self.align();
        entry.write(&mut self.out[self.start..], self.column);
        self.column += 1;
    }
}

#[inline(always)]
fn narrow<const N: usize>(to: &mut [u8], words: &[u64], bytes: impl Fn(u64) -> [u8; N]) {
    for (to, word) in to.as_chunks_mut::<N>().0.iter_mut().zip(words) {
        *to = bytes(*word);
    }
}

fn width_of(largest: u64) -> u8 {
    match largest {
        0 => 0,
        1..=0xff => 1,
        0x100..=0xffff => 2,
        0x1_0000..=0xffff_ffff => 4,
        _ => 8,
    }
}

/// What the index says of a block.
#[derive(Clone, Copy)]
pub(super) struct Expect {
    pub(super) keys: u32,
    pub(super) rows: u32,
    pub(super) head_rows: u32,
    pub(super) first_hash: u64,
}

/// Whether `bytes` are a block of this schema, as the index says, of which every cell can be read. The error says what
/// is wrong.
pub(super) fn check(bytes: &[u8], expect: Expect, schema: &ArrangementSchema) -> Result<(), &'static str> {
    let Expect { keys, rows, head_rows, first_hash } = expect;
    let columns = OWN_COLUMNS + schema.key.len() + schema.row.len();
    if bytes.len() < HEADER_BYTES + columns * ENTRY_BYTES {
        return Err("a block is too short");
    }
    if bytes[..4] != keys.to_le_bytes() || bytes[4..8] != rows.to_le_bytes() {
        return Err("a block has another number of rows than the index says");
    }
    let (keys, rows) = (keys as usize, rows as usize);
    check_words(bytes, HASHES, keys)?;
    check_words(bytes, DIFFS, rows)?;
    let block = Block { bytes, keys: expect.keys, rows: expect.rows, key_columns: schema.key.len() as u32 };
    let ends = check_ascending(bytes, OFFSETS, keys + 1)?;
    let offsets = block.offsets();
    let filled = (0..keys).all(|key| offsets.get(key) < offsets.get(key + 1));
    if ends != rows as u64 || !filled || offsets.get(1) != u64::from(head_rows) {
        return Err("a block's keys have other numbers of rows than the index says");
    }
    if block.hashes().get(0) != first_hash {
        return Err("a block starts with another key than the index says");
    }
    let types = schema.key.iter().map(|ty| (ty, keys)).chain(schema.row.iter().map(|ty| (ty, rows)));
    for (column, (ty, cells)) in (OWN_COLUMNS..).zip(types) {
        let entry = Entry::read(bytes, column);
        if entry.valid != 0 && (!ty.optional || !fits(bytes, entry.valid, cells.div_ceil(8), 1)) {
            return Err("a block's nulls are out of place");
        }
        if ty.ty.is_stored_as_bytes() {
            let end = check_ascending(bytes, column, cells + 1)?;
            if usize::try_from(end).is_err() || !fits(bytes, entry.text, end as usize, 1) {
                return Err("a block's text is out of place");
            }
        } else {
            check_words(bytes, column, cells)?;
        }
    }
    Ok(())
}

fn check_words(bytes: &[u8], column: usize, cells: usize) -> Result<(), &'static str> {
    let entry = Entry::read(bytes, column);
    if !matches!(entry.width, 0 | 1 | 2 | 4 | 8) || !fits(bytes, entry.data, cells, entry.width as usize) {
        return Err("a block's column is out of place");
    }
    Ok(())
}

/// Checks that the words ascend from 0; returns the last.
fn check_ascending(bytes: &[u8], column: usize, cells: usize) -> Result<u64, &'static str> {
    check_words(bytes, column, cells)?;
    let entry = Entry::read(bytes, column);
    let words = Words { base: entry.base, width: entry.width, data: &bytes[entry.data as usize..] };
    let mut last = 0;
    let ascending = (0..cells).all(|i| {
        let before = std::mem::replace(&mut last, words.get(i));
        before <= last
    });
    if words.get(0) != 0 || !ascending {
        return Err("a block's offsets do not ascend");
    }
    Ok(last)
}

fn fits(bytes: &[u8], start: u32, cells: usize, width: usize) -> bool {
    cells.checked_mul(width).and_then(|length| length.checked_add(start as usize)).is_some_and(|end| end <= bytes.len())
}
