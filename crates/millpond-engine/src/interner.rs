//! Keys numbered in the order in which they first appear, batch by batch; each distinct key is kept once.
//!
//! An open-addressing table with linear probing knows keys by their hash alone. Whether the keys behind equal hashes
//! are equal is checked for a whole batch, column by column. A batch with keys that merely share a hash is numbered
//! again, row by row.

use std::hint::black_box;

use arrow_array::ArrayRef;
use millpond_columns::builder::ColumnBuilder;
use millpond_columns::view::{ColumnView, Text, Values};

/// Marks a slot of the table that holds no key.
const EMPTY: u32 = u32::MAX;

/// The distinct keys so far.
#[derive(Debug)]
pub(crate) struct KeyInterner {
    /// Hash and number of a key, or [`EMPTY`].
    slots: Vec<(u64, u32)>,
    /// The hash of each key.
    hashes: Vec<u64>,
    columns: Vec<KeyColumn>,
}

/// One column of the distinct keys.
#[derive(Debug)]
struct KeyColumn {
    cells: ColumnBuilder,
    /// Of a text column, what most comparisons need of each cell.
    heads: Vec<Head>,
}

/// The first and the last bytes of a text and its length: all of it, up to 16 bytes.
type Head = (u64, u64, usize);

impl KeyInterner {
    /// No keys; they will be of the types of `columns`. Likely there are fewer than `rows` of them.
    pub(crate) fn new(columns: &[ArrayRef], rows: usize) -> Self {
        let columns =
            columns.iter().map(|column| KeyColumn { cells: ColumnBuilder::like(column), heads: Vec::new() }).collect();
        let slots = 1024.min(rows.next_power_of_two() * 2);
        KeyInterner { slots: vec![(0, EMPTY); slots], hashes: Vec::new(), columns }
    }

    /// The number of distinct keys.
    pub(crate) fn len(&self) -> usize {
        self.hashes.len()
    }

    /// The hash of each key.
    pub(crate) fn hashes(&self) -> &[u64] {
        &self.hashes
    }

    /// The bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        let column = |column: &KeyColumn| column.cells.bytes() + size_of_val(&*column.heads);
        size_of_val(&*self.slots) + size_of_val(&*self.hashes) + self.columns.iter().map(column).sum::<usize>()
    }

    /// Appends the numbers of the keys of these rows to `key_of_row`.
    pub(crate) fn number(&mut self, hashes: &[u64], columns: &[ArrayRef], key_of_row: &mut Vec<u32>) {
        let known = self.hashes.len();
        let before = key_of_row.len();
        let firsts = self.number_hashes(hashes, key_of_row);
        let cells = ColumnView::of_all(columns);
        self.keep(columns, &cells, &firsts);
        let numbers = &key_of_row[before..];
        if !self.columns.iter().zip(&cells).all(|(column, cells)| column.equals_all(numbers, cells)) {
            self.forget_from(known);
            key_of_row.truncate(before);
            self.number_colliding(hashes, columns, &cells, key_of_row);
        }
    }

    /// The hashes and the columns of the keys, by number.
    pub(crate) fn finish(self) -> (Vec<u64>, Vec<ArrayRef>) {
        (self.hashes, self.columns.into_iter().map(|column| column.cells.finish()).collect())
    }

    /// Takes equal hashes for equal keys. Returns the rows with new hashes.
    fn number_hashes(&mut self, hashes: &[u64], key_of_row: &mut Vec<u32>) -> Vec<u32> {
        key_of_row.reserve(hashes.len());
        let mut firsts = Vec::new();
        let mut mask = self.slots.len() - 1;
        if hashes.len() * 4 >= self.slots.len() {
            self.warm();
        }
        for (row, &hash) in (0u32..).zip(hashes) {
            // The top bits are alike within a bucket.
            let mut at = hash as usize & mask;
            let number = loop {
                let (found, number) = self.slots[at];
                if number == EMPTY {
                    firsts.push(row);
                    break self.insert(at, hash);
                }
                if found == hash {
                    break number;
                }
                at = (at + 1) & mask;
            };
            key_of_row.push(number);
            mask = self.slots.len() - 1;
        }
        firsts
    }

    /// Brings the table and the heads into the processor's cache. Other buckets have displaced them since the last
    /// batch, and read from end to end they are there far sooner than line by line as rows ask for them.
    fn warm(&self) {
        black_box(self.slots.iter().step_by(4).fold(0, |all, (_, number)| all ^ number));
        for column in &self.columns {
            black_box(column.heads.iter().step_by(2).fold(0, |all, (head, ..)| all ^ head));
        }
    }

    /// The simple twin of [`number_hashes`](Self::number_hashes), for keys that share a hash.
    fn number_colliding(
        &mut self,
        hashes: &[u64],
        columns: &[ArrayRef],
        cells: &[ColumnView<'_>],
        key_of_row: &mut Vec<u32>,
    ) {
        for (row, &hash) in hashes.iter().enumerate() {
            let mask = self.slots.len() - 1;
            let mut at = hash as usize & mask;
            let number = loop {
                let (found, number) = self.slots[at];
                if number == EMPTY {
                    self.keep(columns, cells, &[row as u32]);
                    break self.insert(at, hash);
                }
                let equal =
                    |(column, cells): (&KeyColumn, &ColumnView<'_>)| column.cells.equals(number as usize, cells, row);
                if found == hash && self.columns.iter().zip(cells).all(equal) {
                    break number;
                }
                at = (at + 1) & mask;
            };
            key_of_row.push(number);
        }
    }

    /// Gives the next number to a key whose slot is `at`.
    fn insert(&mut self, at: usize, hash: u64) -> u32 {
        let number = self.hashes.len() as u32;
        self.slots[at] = (hash, number);
        self.hashes.push(hash);
        if self.hashes.len() * 2 > self.slots.len() {
            self.rebuild(self.slots.len() * 2);
        }
        number
    }

    fn rebuild(&mut self, slots: usize) {
        self.slots.clear();
        self.slots.resize(slots, (0, EMPTY));
        let mask = slots - 1;
        for (number, &hash) in (0u32..).zip(&self.hashes) {
            let mut at = hash as usize & mask;
            while self.slots[at].1 != EMPTY {
                at = (at + 1) & mask;
            }
            self.slots[at] = (hash, number);
        }
    }

    /// Keeps the keys of these rows.
    fn keep(&mut self, columns: &[ArrayRef], cells: &[ColumnView<'_>], rows: &[u32]) {
        for ((kept, column), cells) in self.columns.iter_mut().zip(columns).zip(cells) {
            kept.cells.extend(column, rows);
            if let Values::Bytes(text) = cells.values {
                kept.heads.extend(rows.iter().map(|&row| head(text, row as usize)));
            }
        }
    }

    /// Forgets all keys but the first `known`.
    fn forget_from(&mut self, known: usize) {
        self.hashes.truncate(known);
        for column in &mut self.columns {
            column.cells.truncate(known);
            column.heads.truncate(known);
        }
        self.rebuild(self.slots.len());
    }
}

impl KeyColumn {
    /// Whether each cell equals that of the key with the row's number.
    fn equals_all(&self, key_of_row: &[u32], cells: &ColumnView<'_>) -> bool {
        fn all(key_of_row: &[u32], equal: impl Fn(usize, usize) -> bool) -> bool {
            key_of_row.iter().enumerate().all(|(row, &number)| equal(number as usize, row))
        }
        match (cells.values, self.cells.ints()) {
            (Values::Int(values), Some(ints)) if cells.nulls.is_none() => {
                all(key_of_row, |key, row| ints[key] == values[row])
            }
            (Values::Bytes(text), _) if cells.nulls.is_none() && !self.cells.has_nulls() => {
                all(key_of_row, |key, row| {
                    let found = head(text, row);
                    found == self.heads[key] && (found.2 <= 16 || self.cells.equals(key, cells, row))
                })
            }
            _ => all(key_of_row, |key, row| self.cells.equals(key, cells, row)),
        }
    }
}

#[inline(always)]
fn head(text: Text<'_>, row: usize) -> Head {
    let cell = text.get(row);
    let length = cell.len();
    let (head, tail) = match length {
        8..=16 => (word(cell), word(&cell[length - 8..])),
        _ if text.offsets[row] as usize + 8 <= text.bytes.len() && length < 8 => {
            let padded = word(&text.bytes[text.offsets[row] as usize..]);
            (if length == 0 { 0 } else { padded << (64 - 8 * length as u32) }, 0)
        }
        _ => {
            let mut bytes = [0; 8];
            let kept = length.min(8);
            bytes[8 - kept..].copy_from_slice(&cell[..kept]);
            (u64::from_le_bytes(bytes), 0)
        }
    };
    (head, tail, length)
}

/// The first eight bytes as a little-endian number.
#[inline(always)]
fn word(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes[..8].try_into().expect("a slice of eight bytes"))
}
