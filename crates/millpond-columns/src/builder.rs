//! A column that grows, cell by cell or by the cells of other columns.

use std::sync::Arc;

use arrow_array::builder::BooleanBufferBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array};
use arrow_buffer::{NullBufferBuilder, ScalarBuffer};
use arrow_schema::ArrowError;

use crate::types::{ColumnType, Storage, Type};
use crate::view::{self, ColumnView, bytes, ints};

/// Text up to this length is copied as one piece of this length, which is one load and one store.
const PIECE_BYTES: usize = 16;

/// Appends the cells of a text column at `positions`.
fn extend_text(offsets: &mut Vec<i32>, bytes: &mut Vec<u8>, starts: &[i32], text: &[u8], positions: &[u32]) {
    let cells = || positions.iter().map(|row| starts[*row as usize] as usize..starts[*row as usize + 1] as usize);
    let total: usize = cells().map(|cell| cell.len()).sum();
    let mut at = bytes.len();
    bytes.resize(at + total + PIECE_BYTES, 0);
    for cell in cells() {
        let end = at + cell.len();
        match (bytes[at..].first_chunk_mut::<PIECE_BYTES>(), text[cell.start..].first_chunk::<PIECE_BYTES>()) {
            // What is copied too much is overwritten by the next cell, or cut off.
            (Some(to), Some(from)) if cell.len() <= PIECE_BYTES => *to = u128::from_ne_bytes(*from).to_ne_bytes(),
            _ => bytes[at..end].copy_from_slice(&text[cell]),
        }
        at = end;
        offsets.push(at as i32);
    }
    bytes.truncate(at);
}

/// A growing column.
#[derive(Debug)]
pub struct ColumnBuilder {
    /// The type that it was made for.
    pub ty: ColumnType,
    /// The values, any where a cell is null.
    pub values: Values,
    /// Which cells are null. Who never appends one to a column that is not optional need not append here at all.
    pub nulls: NullBufferBuilder,
}

/// Values as they are stored.
#[derive(Debug)]
pub enum Values {
    /// True or false.
    Bool(BooleanBufferBuilder),
    /// Of a type that is stored as integers.
    Int(Vec<i64>),
    /// Floats, which must be [as cells may hold them](crate::float) in the end.
    Float(Vec<f64>),
    /// Of a type that is stored as bytes.
    Bytes {
        /// Where cells start, and the last ends.
        offsets: Vec<i32>,
        /// All cells, one after another.
        bytes: Vec<u8>,
    },
}

impl ColumnBuilder {
    /// An empty column of this type.
    pub fn new(ty: impl Into<ColumnType>) -> Self {
        let ty = ty.into();
        let values = match ty.ty.storage() {
            Storage::Bool => Values::Bool(BooleanBufferBuilder::new(0)),
            Storage::Int => Values::Int(Vec::new()),
            Storage::Float => Values::Float(Vec::new()),
            Storage::Bytes => Values::Bytes { offsets: vec![0], bytes: Vec::new() },
        };
        ColumnBuilder { ty, values, nulls: NullBufferBuilder::new(0) }
    }

    /// An empty column that is stored as `array` is.
    pub fn like(array: &ArrayRef) -> Self {
        ColumnBuilder::new(Type::stored_as(array.data_type()).unwrap_or(Type::Int))
    }

    /// The number of cells.
    pub fn len(&self) -> usize {
        match &self.values {
            Values::Bool(values) => values.len(),
            Values::Int(values) => values.len(),
            Values::Float(values) => values.len(),
            Values::Bytes { offsets, .. } => offsets.len() - 1,
        }
    }

    /// Whether there is no cell yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends the cells of `array` at `positions`.
    pub fn extend(&mut self, array: &ArrayRef, positions: &[u32]) {
        match &mut self.values {
            Values::Bool(values) => {
                let source = array.as_boolean().values();
                positions.iter().for_each(|row| values.append(source.value(*row as usize)));
            }
            Values::Int(values) => {
                let source = ints(array);
                values.extend(positions.iter().map(|row| source[*row as usize]));
            }
            Values::Float(values) => {
                let source = array.as_primitive::<Float64Type>().values();
                values.extend(positions.iter().map(|row| source[*row as usize]));
            }
            Values::Bytes { offsets, bytes } => {
                let (source, source_bytes) = view::bytes(array);
                extend_text(offsets, bytes, source, source_bytes, positions);
            }
        }
        match array.nulls().filter(|nulls| nulls.null_count() > 0) {
            Some(nulls) => positions.iter().for_each(|row| self.nulls.append(nulls.is_valid(*row as usize))),
            None => self.nulls.append_n_non_nulls(positions.len()),
        }
    }

    /// Appends all cells of `array`.
    pub fn append(&mut self, array: &ArrayRef) {
        match &mut self.values {
            Values::Bool(values) => values.append_buffer(array.as_boolean().values()),
            Values::Int(values) => values.extend_from_slice(ints(array)),
            Values::Float(values) => values.extend_from_slice(array.as_primitive::<Float64Type>().values()),
            Values::Bytes { offsets, bytes: all } => {
                let (source, source_bytes) = bytes(array);
                let (first, last) = (source[0] as usize, source[array.len()] as usize);
                let before = all.len();
                all.extend_from_slice(&source_bytes[first..last]);
                i32::try_from(all.len()).expect("text that an array can hold");
                offsets.extend(source[1..=array.len()].iter().map(|end| (before + *end as usize - first) as i32));
            }
        }
        match array.nulls().filter(|nulls| nulls.null_count() > 0) {
            Some(nulls) => self.nulls.append_buffer(nulls),
            None => self.nulls.append_n_non_nulls(array.len()),
        }
    }

    /// Appends nulls.
    pub fn append_nulls(&mut self, count: usize) {
        self.nulls.append_n_nulls(count);
        (0..count).for_each(|_| self.values.push_any());
    }

    /// Makes room for this many more rows, with so many bytes of text and a little more.
    pub fn reserve(&mut self, rows: usize, text_bytes: usize) {
        match &mut self.values {
            Values::Bool(values) => values.reserve(rows),
            Values::Int(values) => values.reserve(rows),
            Values::Float(values) => values.reserve(rows),
            Values::Bytes { offsets, bytes } => {
                offsets.reserve(rows);
                bytes.reserve(text_bytes + text_bytes / 16);
            }
        }
    }

    /// The bytes of a column that is stored as bytes; of any other, 0.
    pub fn text_bytes(&self) -> usize {
        match &self.values {
            Values::Bytes { bytes, .. } => bytes.len(),
            _ => 0,
        }
    }

    /// The bytes that all cells take.
    pub fn bytes(&self) -> usize {
        let values = match &self.values {
            Values::Bool(values) => values.len() / 8,
            Values::Int(values) => values.len() * 8,
            Values::Float(values) => values.len() * 8,
            Values::Bytes { offsets, bytes } => offsets.len() * 4 + bytes.len(),
        };
        values + self.nulls.as_slice().map_or(0, <[u8]>::len)
    }

    /// Drops all cells but the first `length`.
    pub fn truncate(&mut self, length: usize) {
        match &mut self.values {
            Values::Bool(values) => values.truncate(length),
            Values::Int(values) => values.truncate(length),
            Values::Float(values) => values.truncate(length),
            Values::Bytes { offsets, bytes } => {
                offsets.truncate(length + 1);
                bytes.truncate(offsets[length] as usize);
            }
        }
        self.nulls.truncate(length);
    }

    /// Whether a cell is null.
    pub fn has_nulls(&self) -> bool {
        self.nulls.as_slice().is_some()
    }

    /// The values, if they are stored as integers and none is null.
    pub fn ints(&self) -> Option<&[i64]> {
        match &self.values {
            Values::Int(values) if !self.has_nulls() => Some(values),
            _ => None,
        }
    }

    /// Whether cell `i` equals cell `j` of `other`, which is of the same type; so does null null.
    pub fn equals(&self, i: usize, other: &ColumnView<'_>, j: usize) -> bool {
        let is_null = self.has_nulls() && !self.nulls.is_valid(i);
        if is_null || other.is_null(j) {
            return is_null && other.is_null(j);
        }
        match (&self.values, other.values) {
            (Values::Bool(values), view::Values::Bool(others)) => values.get_bit(i) == others.value(j),
            (Values::Int(values), view::Values::Int(others)) => values[i] == others[j],
            (Values::Float(values), view::Values::Float(others)) => values[i].to_bits() == others[j].to_bits(),
            (Values::Bytes { offsets, bytes }, view::Values::Bytes(others)) => {
                bytes[offsets[i] as usize..offsets[i + 1] as usize] == *others.get(j)
            }
            _ => unreachable!("the columns are of one type"),
        }
    }

    /// The column.
    ///
    /// # Panics
    ///
    /// If text was appended that is not UTF-8.
    pub fn finish(self) -> ArrayRef {
        self.try_finish().expect("cells are copied whole, and text was checked")
    }

    /// The column, of text that nothing has checked.
    ///
    /// # Errors
    ///
    /// If it is not UTF-8.
    pub fn try_finish(mut self) -> Result<ArrayRef, ArrowError> {
        let nulls = self.nulls.finish();
        Ok(match self.values {
            Values::Bool(mut values) => Arc::new(BooleanArray::new(values.finish(), nulls)),
            Values::Int(values) => self.ty.ty.int_array(ScalarBuffer::from(values), nulls),
            Values::Float(values) => Arc::new(Float64Array::new(ScalarBuffer::from(values), nulls)),
            Values::Bytes { offsets, bytes } => self.ty.ty.byte_array(offsets, bytes, nulls)?,
        })
    }
}

impl Values {
    /// Appends any value: the cell is null, or its row is left out.
    pub fn push_any(&mut self) {
        match self {
            Values::Bool(values) => values.append(false),
            Values::Int(values) => values.push(0),
            Values::Float(values) => values.push(0.0),
            Values::Bytes { offsets, bytes } => offsets.push(bytes.len() as i32),
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::{Int64Array, StringArray};

    use super::*;

    /// Cells of many lengths, so that copies of whole pieces and of single bytes stand beside each other.
    #[test]
    fn text_is_copied_cell_by_cell() {
        let cells: Vec<String> = (0..60).map(|i: usize| "0123456789abcdef".repeat(3)[..i % 40].to_owned()).collect();
        let source = StringArray::from(cells.clone());
        let positions: Vec<u32> = (0..60).map(|i| (i * 37) % 60).collect();
        let array: ArrayRef = Arc::new(source);
        let mut column = ColumnBuilder::new(Type::Str);
        column.extend(&array, &positions[..20]);
        column.extend(&array, &positions[20..]);
        let copied = column.finish();
        let expected: Vec<&str> = positions.iter().map(|row| cells[*row as usize].as_str()).collect();
        assert_eq!(copied.as_string::<i32>().iter().map(Option::unwrap).collect::<Vec<_>>(), expected);
    }

    /// Columns of every kind of storage, with and without nulls, whole and cut out of longer ones.
    #[test]
    fn whole_columns_are_appended() {
        let cells = |nulls: usize| (0..40).map(move |i: usize| (i % 7 >= nulls).then_some(i));
        for (first, second) in [(0, 0), (0, 3), (3, 0), (2, 3)] {
            let columns = |nulls| -> [ArrayRef; 4] {
                [
                    Arc::new(BooleanArray::from_iter(cells(nulls).map(|cell| cell.map(|i| i % 3 == 0)))),
                    Arc::new(Int64Array::from_iter(cells(nulls).map(|cell| cell.map(|i| i as i64)))),
                    Arc::new(Float64Array::from_iter(cells(nulls).map(|cell| cell.map(|i| i as f64 / 2.0)))),
                    Arc::new(StringArray::from_iter(cells(nulls).map(|cell| cell.map(|i| "é".repeat(i % 11))))),
                ]
            };
            for (left, right) in columns(first).into_iter().zip(columns(second)) {
                let parts = [left.clone(), right.slice(5, 20), right.slice(3, 0), left.slice(39, 1)];
                let mut column = ColumnBuilder::like(&left);
                parts.iter().for_each(|part| column.append(part));
                let expected = arrow_select::concat::concat(&parts.each_ref().map(|part| part.as_ref())).unwrap();
                assert_eq!(column.finish().as_ref(), expected.as_ref());
            }
        }
    }
}
