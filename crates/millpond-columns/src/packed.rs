//! Tuples and lists as bytes whose order is that of the values, element by element from the left; a list comes before a
//! longer one that starts with it.
//!
//! The bytes say where each value ends, but not its type, which the column has. An element is a mark, 1 for null and 2
//! for a value, and the value:
//!
//! | type                    | bytes                                                                       |
//! |-------------------------|-----------------------------------------------------------------------------|
//! | `bool`                  | 0 or 1                                                                      |
//! | `int`, times            | 8 bytes, the largest first, of the int with its sign bit flipped             |
//! | `float`                 | 8 bytes, the largest first, of its bits: all flipped if negative, else the sign bit |
//! | `str`, `bytes`, `json`  | its bytes, with `00 ff` for each 0, then a 0                                 |
//! | `tuple`                 | its elements                                                                |
//! | `list`                  | its elements, then a 0                                                      |
//!
//! So null is the smallest value. All zeros of floats are one value and all NaNs are, the largest; in equality and
//! order, too, since tuples are compared by these bytes. The idea is that of FoundationDB's tuple layer.
//!
//! ```
//! use std::sync::Arc;
//!
//! use arrow_array::{ArrayRef, Int64Array};
//! use millpond_columns::{Type, packed};
//!
//! let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
//! let lists = packed::lists(&numbers, Type::Int, &[0, 2, 2, 3]).expect("so few fit a column");
//! assert_eq!(lists.len(), 3);
//! let (elements, offsets) = packed::flatten(&lists, Type::Int.required()).expect("the lists are whole");
//! assert_eq!((&elements, &offsets[..]), (&numbers, &[0, 2, 2, 3][..]));
//! ```

use arrow_array::{Array, ArrayRef};

use crate::builder::{ColumnBuilder, Values};
use crate::float::canonical;
use crate::types::{ColumnType, Storage, Type, byte_values};
use crate::view::{self, ColumnView};

const END: u8 = 0;
const NULL: u8 = 1;
const VALUE: u8 = 2;
const SIGN: u64 = 1 << 63;

/// Appends an element without a value.
pub fn put_null(out: &mut Vec<u8>) {
    out.push(NULL);
}

/// Appends an element of type `bool`.
pub fn put_bool(value: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(&[VALUE, u8::from(value)]);
}

/// Appends an element of a type that is stored as integers.
pub fn put_int(value: i64, out: &mut Vec<u8>) {
    put_word(value as u64 ^ SIGN, out);
}

/// Appends an element of type `float`.
pub fn put_float(value: f64, out: &mut Vec<u8>) {
    let bits = canonical(value).to_bits();
    put_word(if bits & SIGN == 0 { bits | SIGN } else { !bits }, out);
}

/// Appends an element of type `str`, `bytes` or, in canonical form, `json`.
pub fn put_bytes(value: &[u8], out: &mut Vec<u8>) {
    out.push(VALUE);
    let mut rest = value;
    while let Some(zero) = memchr::memchr(0, rest) {
        out.extend_from_slice(&rest[..=zero]);
        out.push(0xff);
        rest = &rest[zero + 1..];
    }
    out.extend_from_slice(rest);
    out.push(0);
}

/// Appends an element of a `tuple` or `list` type.
pub fn put_packed(value: &[u8], out: &mut Vec<u8>) {
    out.push(VALUE);
    out.extend_from_slice(value);
}

/// Starts an element of a `tuple` or `list` type: its own elements follow, and then, of a list, [`put_end`].
pub fn put_open(out: &mut Vec<u8>) {
    out.push(VALUE);
}

/// Ends a list.
pub fn put_end(out: &mut Vec<u8>) {
    out.push(END);
}

fn put_word(word: u64, out: &mut Vec<u8>) {
    out.push(VALUE);
    out.extend_from_slice(&word.to_be_bytes());
}

/// The cells of a column, to be made elements.
pub struct Elements<'a> {
    cells: ColumnView<'a>,
    /// Whether they are tuples or lists themselves.
    packed: bool,
}

impl<'a> Elements<'a> {
    /// The cells of `column`, which is of type `ty`.
    pub fn of(column: &'a dyn Array, ty: Type) -> Self {
        Elements { cells: ColumnView::of(column), packed: ty.elements().is_some() }
    }

    /// Appends the cell of this row.
    pub fn put(&self, row: usize, out: &mut Vec<u8>) {
        if self.cells.is_null(row) {
            return put_null(out);
        }
        match self.cells.values {
            view::Values::Bool(values) => put_bool(values.value(row), out),
            view::Values::Int(values) => put_int(values[row], out),
            view::Values::Float(values) => put_float(values[row], out),
            view::Values::Bytes(values) if self.packed => put_packed(values.get(row), out),
            view::Values::Bytes(values) => put_bytes(values.get(row), out),
        }
    }
}

/// A column of lists: one of the cells between each neighbouring pair of `offsets` in `column`, which is of type `ty`.
/// Nothing if they are too long for a column.
pub fn lists(column: &dyn Array, ty: Type, offsets: &[u32]) -> Option<ArrayRef> {
    let elements = Elements::of(column, ty);
    let mut bytes = Vec::new();
    let mut ends = Vec::with_capacity(offsets.len().max(1));
    ends.push(0);
    for pair in offsets.windows(2) {
        (pair[0]..pair[1]).for_each(|row| elements.put(row as usize, &mut bytes));
        put_end(&mut bytes);
        ends.push(i32::try_from(bytes.len()).ok()?);
    }
    Type::Bytes.byte_array(ends, bytes, None).ok()
}

/// The elements of all lists of a column, and where those of each start and the last ends. A null has none. Nothing if
/// a list is not whole, or the elements are too many for a column.
pub fn flatten(lists: &dyn Array, element: ColumnType) -> Option<(ArrayRef, Vec<u32>)> {
    let (starts, bytes) = byte_values(lists)?;
    let mut cells = ColumnBuilder::new(element.ty);
    let mut offsets = Vec::with_capacity(lists.len() + 1);
    offsets.push(0);
    for row in 0..lists.len() {
        if lists.is_valid(row) {
            let mut reader = Reader::new(&bytes[starts[row] as usize..starts[row + 1] as usize]);
            while cells.push_next(&mut reader)? {}
        }
        offsets.push(u32::try_from(cells.len()).ok()?);
    }
    Some((cells.try_finish().ok()?, offsets))
}

/// Reads the elements of a tuple or list.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
}

/// What an element starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// The list ends.
    End,
    /// The element is null.
    Null,
    /// The value of the element follows.
    Value,
}

/// Everything gives nothing where the bytes are not as they were written.
impl<'a> Reader<'a> {
    /// A reader at the first element.
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { bytes }
    }

    /// Whether all was read.
    pub fn is_at_end(&self) -> bool {
        self.bytes.is_empty()
    }

    /// What follows.
    pub fn mark(&mut self) -> Option<Mark> {
        match self.take(1)? {
            [END] => Some(Mark::End),
            [NULL] => Some(Mark::Null),
            [VALUE] => Some(Mark::Value),
            _ => None,
        }
    }

    /// A value of type `bool`.
    pub fn bool(&mut self) -> Option<bool> {
        match self.take(1)? {
            [0] => Some(false),
            [1] => Some(true),
            _ => None,
        }
    }

    /// A value of a type that is stored as integers.
    pub fn int(&mut self) -> Option<i64> {
        Some((self.word()? ^ SIGN) as i64)
    }

    /// A value of type `float`.
    pub fn float(&mut self) -> Option<f64> {
        let word = self.word()?;
        Some(f64::from_bits(if word & SIGN == 0 { !word } else { word & !SIGN }))
    }

    /// Appends a value of type `str`, `bytes` or `json`.
    pub fn bytes(&mut self, out: &mut Vec<u8>) -> Option<()> {
        loop {
            let zero = memchr::memchr(0, self.bytes)?;
            out.extend_from_slice(&self.bytes[..zero]);
            self.bytes = &self.bytes[zero + 1..];
            if self.bytes.first() != Some(&0xff) {
                return Some(());
            }
            out.push(0);
            self.bytes = &self.bytes[1..];
        }
    }

    /// Passes over a value of any type; returns its bytes, which are those of a whole tuple or list.
    pub fn skip(&mut self, ty: Type) -> Option<&'a [u8]> {
        let start = self.bytes;
        match (ty, ty.storage()) {
            (Type::Tuple(elements), _) => {
                for element in elements {
                    self.skip_element(element.ty)?;
                }
            }
            (Type::List(element), _) => while self.skip_element(element.ty)? != Mark::End {},
            (_, Storage::Bool) => drop(self.take(1)?),
            (_, Storage::Int | Storage::Float) => drop(self.take(8)?),
            (_, Storage::Bytes) => loop {
                let zero = memchr::memchr(0, self.bytes)?;
                self.bytes = &self.bytes[zero + 1..];
                if self.bytes.first() != Some(&0xff) {
                    break;
                }
                self.bytes = &self.bytes[1..];
            },
        }
        Some(&start[..start.len() - self.bytes.len()])
    }

    /// Passes over an element.
    pub fn skip_element(&mut self, ty: Type) -> Option<Mark> {
        let mark = self.mark()?;
        if mark == Mark::Value {
            self.skip(ty)?;
        }
        Some(mark)
    }

    fn word(&mut self) -> Option<u64> {
        self.take(8)?.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(count)?;
        self.bytes = rest;
        Some(taken)
    }
}

/// Whether the bytes are one whole value of a `tuple` or `list` type.
pub fn is_whole(ty: Type, bytes: &[u8]) -> bool {
    let mut reader = Reader::new(bytes);
    reader.skip(ty).is_some() && reader.is_at_end()
}

/// Elements on their way into a column.
impl ColumnBuilder {
    /// Appends the next element; `false` at the end of the list. Nothing where the bytes are not as they were written.
    pub fn push_next(&mut self, reader: &mut Reader<'_>) -> Option<bool> {
        match reader.mark()? {
            Mark::End => return Some(false),
            Mark::Null => self.append_nulls(1),
            Mark::Value => self.push(reader)?,
        }
        Some(true)
    }

    /// Appends the value that follows. Nothing where the bytes are not as they were written.
    pub fn push(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let ty = self.ty.ty;
        match &mut self.values {
            Values::Bool(values) => values.append(reader.bool()?),
            Values::Int(values) => values.push(reader.int()?),
            Values::Float(values) => values.push(reader.float()?),
            Values::Bytes { offsets, bytes } => {
                let before = bytes.len();
                let read = match ty.elements() {
                    Some(_) => reader.skip(ty).map(|packed| bytes.extend_from_slice(packed)),
                    None => reader.bytes(bytes),
                };
                let end = read.and_then(|()| i32::try_from(bytes.len()).ok());
                if end.is_none() {
                    bytes.truncate(before);
                }
                offsets.push(end?);
            }
        }
        self.nulls.append_non_null();
        Some(())
    }

    /// Appends a value that is stored as these bytes, of a type that is stored so. Nothing if they are too many for a
    /// column.
    pub fn push_bytes(&mut self, value: &[u8]) -> Option<()> {
        let Values::Bytes { offsets, bytes } = &mut self.values else { return None };
        offsets.push(i32::try_from(bytes.len() + value.len()).ok()?);
        bytes.extend_from_slice(value);
        self.nulls.append_non_null();
        Some(())
    }
}
