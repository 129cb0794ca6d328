//! Rows by key in plain growing columns: what blocks are encoded from and decoded into.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, ScalarBuffer};
use millpond_columns::types::{ColumnType, Storage};
use millpond_columns::view::{bytes, ints};
use millpond_error::{Error, Result};
use millpond_store::DAMAGE_HINT;

use super::ArrangementSchema;
use super::block::Block;
use crate::changes::Diffs;
use crate::keyed::KeyedRows;

/// A growing column. A cell is a word of 64 bits (an int, the bits of a float, 0 or 1 for a bool), or for text the
/// place where it ends.
#[derive(Clone, Debug)]
pub(super) struct GatheredColumn {
    pub(super) ty: ColumnType,
    /// One word for each cell; before those of text stands a 0, where the first text starts.
    pub(super) words: Vec<u64>,
    pub(super) text: Vec<u8>,
    /// For an optional column, 0 for each null and 1 for each other cell.
    pub(super) valid: Vec<u8>,
}

impl GatheredColumn {
    pub(super) fn new(ty: ColumnType) -> Self {
        let words = if ty.ty.is_stored_as_bytes() { vec![0] } else { Vec::new() };
        GatheredColumn { ty, words, text: Vec::new(), valid: Vec::new() }
    }

    fn clear(&mut self) {
        self.words.truncate(usize::from(self.ty.ty.is_stored_as_bytes()));
        self.text.clear();
        self.valid.clear();
    }

    /// Makes room for `cells` more.
    fn reserve(&mut self, cells: usize) {
        self.words.reserve(cells);
        if self.ty.optional {
            self.valid.reserve(cells);
        }
    }

    /// Adds the cells of `range`.
    fn extend_from_array(&mut self, array: &ArrayRef, range: Range<usize>) {
        let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0);
        debug_assert!(self.ty.optional || nulls.is_none(), "a null in a column of type {}", self.ty);
        match self.ty.ty.storage() {
            Storage::Bool => {
                let values = array.as_boolean().values();
                self.words.extend(range.clone().map(|i| u64::from(values.value(i))));
            }
            Storage::Int => {
                let values = &ints(array)[range.clone()];
                self.words.extend(values.iter().map(|value| *value as u64));
            }
            Storage::Float => {
                let values = &array.as_primitive::<Float64Type>().values()[range.clone()];
                self.words.extend(values.iter().map(|value| value.to_bits()));
            }
            Storage::Bytes => {
                let (offsets, bytes) = bytes(array);
                match nulls {
                    None => {
                        let start = offsets[range.start] as usize;
                        let shift = (self.text.len() as u64).wrapping_sub(start as u64);
                        let ends = &offsets[range.start + 1..range.end + 1];
                        self.words.extend(ends.iter().map(|end| (*end as u64).wrapping_add(shift)));
                        self.text.extend_from_slice(&bytes[start..offsets[range.end] as usize]);
                    }
                    // A null may stand over bytes that are no part of the column.
                    Some(nulls) => {
                        for i in range.clone() {
                            if nulls.is_valid(i) {
                                self.text.extend_from_slice(&bytes[offsets[i] as usize..offsets[i + 1] as usize]);
                            }
                            self.words.push(self.text.len() as u64);
                        }
                    }
                }
            }
        }
        if self.ty.optional {
            match nulls {
                None => self.valid.resize(self.valid.len() + range.len(), 1),
                Some(nulls) => self.valid.extend(range.map(|i| u8::from(nulls.is_valid(i)))),
            }
        }
    }

    fn into_array(self) -> Result<ArrayRef> {
        let nulls = if self.valid.iter().all(|valid| *valid == 1) {
            None
        } else {
            let valid = BooleanBuffer::collect_bool(self.valid.len(), |i| self.valid[i] == 1);
            Some(NullBuffer::new(valid))
        };
        Ok(match self.ty.ty.storage() {
            Storage::Bool => {
                let values = BooleanBuffer::collect_bool(self.words.len(), |i| self.words[i] != 0);
                Arc::new(BooleanArray::new(values, nulls))
            }
            Storage::Int => self.ty.ty.int_array(words_into(self.words), nulls),
            Storage::Float => Arc::new(Float64Array::new(words_into(self.words), nulls)),
            Storage::Bytes => {
                check_text(self.text.len())?;
                let offsets: Vec<i32> = self.words.iter().map(|end| *end as i32).collect();
                let array = self.ty.ty.byte_array(offsets, self.text, nulls);
                array
                    .map_err(|error| Error::data(format!("saved text is not UTF-8: {error}")).with_hint(DAMAGE_HINT))?
            }
        })
    }
}

/// Checks that so many bytes of text have a place in one column.
fn check_text(bytes: usize) -> Result<()> {
    if bytes > i32::MAX as usize {
        return Err(Error::input("over 2 GiB of text in one column of one batch of saved rows")
            .with_hint("take fewer rows together"));
    }
    Ok(())
}

fn words_into<T: arrow_buffer::ArrowNativeType>(words: Vec<u64>) -> ScalarBuffer<T> {
    ScalarBuffer::from(Buffer::from_vec(words))
}

/// The array of these columns.
pub(super) fn into_arrays(columns: Vec<GatheredColumn>) -> Result<Vec<ArrayRef>> {
    columns.into_iter().map(GatheredColumn::into_array).collect()
}

/// Multiplicities, from the words that hold them.
pub(super) fn into_diffs(words: Vec<u64>) -> Diffs {
    if words.iter().all(|diff| *diff == 1) { Diffs::Ones } else { Diffs::Each(words_into(words)) }
}

/// Rows or keys that stand next to each other in a block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece<'a> {
    pub(super) block: Block<'a>,
    pub(super) start: u32,
    pub(super) end: u32,
}

/// Rows to copy out of blocks, in order, with the multiplicities that they shall have.
#[derive(Debug, Default)]
pub(super) struct RowPlan<'a> {
    pub(super) pieces: Vec<Piece<'a>>,
    pub(super) diffs: Vec<u64>,
}

impl<'a> RowPlan<'a> {
    pub(super) fn len(&self) -> usize {
        self.diffs.len()
    }

    /// Adds rows with the multiplicities that they have in their block.
    #[inline]
    pub(super) fn push_rows(&mut self, block: Block<'a>, start: u32, end: u32) {
        if start == end {
            return;
        }
        block.diffs().extend(start as usize..end as usize, &mut self.diffs);
        self.push_piece(block, start, end);
    }

    /// Adds a row with another multiplicity.
    #[inline]
    pub(super) fn push_row(&mut self, block: Block<'a>, row: u32, diff: i64) {
        self.diffs.push(diff as u64);
        self.push_piece(block, row, row + 1);
    }

    #[inline]
    fn push_piece(&mut self, block: Block<'a>, start: u32, end: u32) {
        if let Some(last) = self.pieces.last_mut()
            && last.end == start
            && last.block.same_as(block)
        {
            last.end = end;
        } else {
            self.pieces.push(Piece { block, start, end });
        }
    }

    /// The columns of the planned rows.
    pub(super) fn gather(&self, types: &[ColumnType]) -> Vec<GatheredColumn> {
        let mut columns: Vec<_> = types.iter().map(|ty| GatheredColumn::new(*ty)).collect();
        self.gather_into(&mut columns);
        columns
    }

    fn gather_into(&self, columns: &mut [GatheredColumn]) {
        for (c, column) in columns.iter_mut().enumerate() {
            column.reserve(self.len());
            for piece in &self.pieces {
                piece.block.row(c, column.ty).extend(piece.start as usize..piece.end as usize, column);
            }
        }
    }
}

/// Keys and their rows to copy out of blocks, in order.
#[derive(Debug, Default)]
pub(super) struct Plan<'a> {
    /// Whether the first key is the last one of the plan before.
    pub(super) continues: bool,
    pub(super) keys: Vec<Piece<'a>>,
    pub(super) hashes: Vec<u64>,
    /// Where the rows of each key end.
    pub(super) ends: Vec<u64>,
    pub(super) rows: RowPlan<'a>,
}

impl<'a> Plan<'a> {
    /// Adds the key of the rows that were added last.
    pub(super) fn insert_key(&mut self, block: Block<'a>, key: u32, hash: u64) {
        self.keys.push(Piece { block, start: key, end: key + 1 });
        self.hashes.push(hash);
        self.ends.push(self.rows.len() as u64);
    }

    /// Says that the rows that were added last belong to the last key.
    pub(super) fn extend_key(&mut self) {
        *self.ends.last_mut().expect("the key was added before") = self.rows.len() as u64;
    }

    /// Adds whole keys with all their rows.
    pub(super) fn push_keys(&mut self, block: Block<'a>, start: u32, end: u32) {
        let (first, last) = (start as usize, end as usize);
        let offsets = block.offsets();
        let row = offsets.get(first);
        let shift = (self.rows.len() as u64).wrapping_sub(row);
        self.keys.push(Piece { block, start, end });
        block.hashes().extend(first..last, &mut self.hashes);
        let before = self.ends.len();
        offsets.extend(first + 1..last + 1, &mut self.ends);
        for end in &mut self.ends[before..] {
            *end = end.wrapping_add(shift);
        }
        self.rows.push_rows(block, row as u32, offsets.get(last) as u32);
    }
}

/// Rows by key.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    pub(super) hashes: Vec<u64>,
    pub(super) keys: Vec<GatheredColumn>,
    /// Where the rows of each key start; one longer than `hashes`.
    pub(super) offsets: Vec<u64>,
    pub(super) rows: Vec<GatheredColumn>,
    pub(super) diffs: Vec<u64>,
}

impl Batch {
    pub(super) fn new(schema: &ArrangementSchema) -> Self {
        let columns = |types: &[ColumnType]| types.iter().map(|ty| GatheredColumn::new(*ty)).collect();
        Batch {
            hashes: Vec::new(),
            keys: columns(&schema.key),
            offsets: vec![0],
            rows: columns(&schema.row),
            diffs: Vec::new(),
        }
    }

    pub(super) fn clear(&mut self) {
        self.hashes.clear();
        self.offsets.truncate(1);
        self.diffs.clear();
        self.keys.iter_mut().chain(&mut self.rows).for_each(GatheredColumn::clear);
    }

    /// The bytes that these rows take when nothing is compressed.
    pub(super) fn plain_bytes(&self) -> usize {
        let text: usize = self.keys.iter().chain(&self.rows).map(|column| column.text.len()).sum();
        text + 8 * (self.hashes.len() * (2 + self.keys.len()) + self.diffs.len() * (1 + self.rows.len()))
    }

    /// Adds keys without rows.
    pub(super) fn push_keys(&mut self, from: &KeyedRows, keys: Range<usize>) {
        self.hashes.extend_from_slice(&from.hashes[keys.clone()]);
        for (column, array) in self.keys.iter_mut().zip(&from.keys) {
            column.extend_from_array(array, keys.clone());
        }
        self.offsets.resize(self.offsets.len() + keys.len(), self.diffs.len() as u64);
    }

    /// Adds rows to the last key.
    pub(super) fn push_rows(&mut self, from: &KeyedRows, rows: Range<usize>) {
        for (column, array) in self.rows.iter_mut().zip(&from.rows) {
            column.extend_from_array(array, rows.clone());
        }
        match &from.diffs {
            Diffs::Ones => self.diffs.resize(self.diffs.len() + rows.len(), 1),
            Diffs::Each(diffs) => self.diffs.extend(diffs[rows].iter().map(|diff| *diff as u64)),
        }
        *self.offsets.last_mut().expect("there is always a first offset") = self.diffs.len() as u64;
    }

    /// Adds keys with their rows.
    pub(super) fn push_groups(&mut self, from: &KeyedRows, keys: Range<usize>) {
        let rows = from.offsets[keys.start] as usize..from.offsets[keys.end] as usize;
        let before = self.offsets.len();
        let shift = (self.diffs.len() as u64).wrapping_sub(rows.start as u64);
        self.push_keys(from, keys.clone());
        self.push_rows(from, rows);
        let ends = &from.offsets[keys.start + 1..keys.end + 1];
        for (end, from) in self.offsets[before..].iter_mut().zip(ends) {
            *end = u64::from(*from).wrapping_add(shift);
        }
    }

    /// Adds what is planned. If the plan goes on with a key, that is the last one here.
    pub(super) fn push_plan(&mut self, plan: &Plan<'_>, continues: bool) {
        let skip = usize::from(continues);
        if continues {
            self.offsets.pop();
        }
        self.hashes.extend_from_slice(&plan.hashes[skip..]);
        for (c, column) in self.keys.iter_mut().enumerate() {
            for (p, piece) in plan.keys.iter().enumerate() {
                let start = piece.start as usize + if p == 0 { skip } else { 0 };
                piece.block.key(c, column.ty).extend(start..piece.end as usize, column);
            }
        }
        let shift = self.diffs.len() as u64;
        self.offsets.extend(plan.ends.iter().map(|end| end + shift));
        plan.rows.gather_into(&mut self.rows);
        self.diffs.extend_from_slice(&plan.rows.diffs);
    }

    pub(super) fn into_keyed_rows(self) -> Result<KeyedRows> {
        Ok(KeyedRows {
            hashes: self.hashes,
            keys: into_arrays(self.keys)?,
            offsets: self.offsets.iter().map(|offset| *offset as u32).collect(),
            rows: into_arrays(self.rows)?,
            diffs: into_diffs(self.diffs),
        })
    }
}

#[cfg(test)]
mod tests {
    use millpond_error::ErrorKind;

    use super::*;

    #[test]
    fn a_column_has_2_gib_of_text_at_most() {
        check_text(i32::MAX as usize).unwrap();
        let error = check_text(1 << 31).unwrap_err();
        let text = "over 2 GiB of text in one column of one batch of saved rows\nhint: take fewer rows together";
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Input, text));
    }
}
