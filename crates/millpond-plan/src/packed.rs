//! Tuples and lists as bytes whose order is that of the values, element by element from the left; a list comes before a
//! longer one that starts with it.
//!
//! The bytes say where each value ends, but not its type, which the column has. An element is a mark, 1 for null and 2 for
//! a value, and the value:
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
//! So null is the smallest value. All zeros of floats are one value and all NaNs are, the largest; in equality and order,
//! too, since tuples are compared by these bytes. The idea is that of FoundationDB's tuple layer.
//!
//! ```
//! use std::sync::Arc;
//!
//! use arrow_array::{ArrayRef, Int64Array};
//! use millpond_plan::{Type, packed};
//!
//! let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
//! let lists = packed::lists(&numbers, Type::Int, &[0, 2, 2, 3]).expect("so few fit a column");
//! assert_eq!(lists.len(), 3);
//! let (elements, offsets) = packed::flatten(&lists, Type::Int.required()).expect("the lists are whole");
//! assert_eq!((&elements, &offsets[..]), (&numbers, &[0, 2, 2, 3][..]));
//! ```

use std::sync::Arc;

use arrow_array::builder::BooleanBufferBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array};
use arrow_buffer::{BooleanBuffer, NullBuffer, NullBufferBuilder};

use crate::float::canonical;
use crate::types::{ColumnType, Storage, Type, byte_values, int_values};

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
    cells: Cells<'a>,
    nulls: Option<&'a NullBuffer>,
}

enum Cells<'a> {
    Bool(&'a BooleanBuffer),
    Int(&'a [i64]),
    Float(&'a [f64]),
    Bytes(&'a [i32], &'a [u8]),
    Packed(&'a [i32], &'a [u8]),
}

impl<'a> Elements<'a> {
    /// The cells of `column`, which is of type `ty`.
    pub fn of(column: &'a dyn Array, ty: Type) -> Self {
        let cells = if let Some(values) = int_values(column) {
            Cells::Int(values)
        } else if let Some((offsets, bytes)) = byte_values(column) {
            if ty.elements().is_some() { Cells::Packed(offsets, bytes) } else { Cells::Bytes(offsets, bytes) }
        } else if let Some(values) = column.as_boolean_opt() {
            Cells::Bool(values.values())
        } else {
            Cells::Float(column.as_primitive::<Float64Type>().values())
        };
        Elements { cells, nulls: column.nulls().filter(|nulls| nulls.null_count() > 0) }
    }

    /// Appends the cell of this row.
    pub fn put(&self, row: usize, out: &mut Vec<u8>) {
        if self.nulls.is_some_and(|nulls| nulls.is_null(row)) {
            return put_null(out);
        }
        let slice = |offsets: &[i32]| offsets[row] as usize..offsets[row + 1] as usize;
        match self.cells {
            Cells::Bool(values) => put_bool(values.value(row), out),
            Cells::Int(values) => put_int(values[row], out),
            Cells::Float(values) => put_float(values[row], out),
            Cells::Bytes(offsets, bytes) => put_bytes(&bytes[slice(offsets)], out),
            Cells::Packed(offsets, bytes) => put_packed(&bytes[slice(offsets)], out),
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

/// The elements of all lists of a column, and where those of each start and the last ends. A null has none. Nothing if a list
/// is not whole, or the elements are too many for a column.
pub fn flatten(lists: &dyn Array, element: ColumnType) -> Option<(ArrayRef, Vec<u32>)> {
    let (starts, bytes) = byte_values(lists)?;
    let mut cells = CellBuilder::new(element.ty);
    let mut offsets = Vec::with_capacity(lists.len() + 1);
    offsets.push(0);
    for row in 0..lists.len() {
        if lists.is_valid(row) {
            let mut reader = Reader::new(&bytes[starts[row] as usize..starts[row + 1] as usize]);
            while cells.push_next(&mut reader)? {}
        }
        offsets.push(u32::try_from(cells.len()).ok()?);
    }
    Some((cells.finish()?, offsets))
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
pub struct CellBuilder {
    ty: Type,
    values: Values,
    nulls: NullBufferBuilder,
}

enum Values {
    Bool(BooleanBufferBuilder),
    Int(Vec<i64>),
    Float(Vec<f64>),
    Bytes { offsets: Vec<i32>, bytes: Vec<u8> },
}

impl CellBuilder {
    /// A column of type `ty`.
    pub fn new(ty: Type) -> Self {
        let values = match ty.storage() {
            Storage::Bool => Values::Bool(BooleanBufferBuilder::new(0)),
            Storage::Int => Values::Int(Vec::new()),
            Storage::Float => Values::Float(Vec::new()),
            Storage::Bytes => Values::Bytes { offsets: vec![0], bytes: Vec::new() },
        };
        CellBuilder { ty, values, nulls: NullBufferBuilder::new(0) }
    }

    /// The number of cells so far.
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

    /// Appends the next element; `false` at the end of the list.
    pub fn push_next(&mut self, reader: &mut Reader<'_>) -> Option<bool> {
        match reader.mark()? {
            Mark::End => return Some(false),
            Mark::Null => self.push_null(),
            Mark::Value => self.push(reader)?,
        }
        Some(true)
    }

    /// Appends the value that follows.
    pub fn push(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        match &mut self.values {
            Values::Bool(values) => values.append(reader.bool()?),
            Values::Int(values) => values.push(reader.int()?),
            Values::Float(values) => values.push(reader.float()?),
            Values::Bytes { offsets, bytes } => {
                let before = bytes.len();
                let read = match self.ty.elements() {
                    Some(_) => reader.skip(self.ty).map(|packed| bytes.extend_from_slice(packed)),
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

    /// Appends a value that is stored as these bytes, of a type that is stored so.
    pub fn push_bytes(&mut self, value: &[u8]) -> Option<()> {
        let Values::Bytes { offsets, bytes } = &mut self.values else { return None };
        offsets.push(i32::try_from(bytes.len() + value.len()).ok()?);
        bytes.extend_from_slice(value);
        self.nulls.append_non_null();
        Some(())
    }

    /// Appends a null.
    pub fn push_null(&mut self) {
        match &mut self.values {
            Values::Bool(values) => values.append(false),
            Values::Int(values) => values.push(0),
            Values::Float(values) => values.push(0.0),
            Values::Bytes { offsets, bytes } => offsets.push(bytes.len() as i32),
        }
        self.nulls.append_null();
    }

    /// The column; nothing if text in it is not UTF-8.
    pub fn finish(mut self) -> Option<ArrayRef> {
        let nulls = self.nulls.finish();
        Some(match self.values {
            Values::Bool(mut values) => Arc::new(BooleanArray::new(values.finish(), nulls)),
            Values::Int(values) => self.ty.int_array(values.into(), nulls),
            Values::Float(values) => Arc::new(Float64Array::new(values.into(), nulls)),
            Values::Bytes { offsets, bytes } => self.ty.byte_array(offsets, bytes, nulls).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use proptest::prelude::*;

    use super::*;
    use crate::text_codec;

    /// A value, in the simplest form that can be compared.
    #[derive(Clone, Debug)]
    enum Value {
        Null,
        Bool(bool),
        Int(i64),
        Float(f64),
        Bytes(Vec<u8>),
        Many(Vec<Value>),
    }

    impl Value {
        fn compare(&self, other: &Value) -> Ordering {
            match (self, other) {
                (Value::Null, Value::Null) => Ordering::Equal,
                (Value::Null, _) => Ordering::Less,
                (_, Value::Null) => Ordering::Greater,
                (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
                (Value::Int(a), Value::Int(b)) => a.cmp(b),
                (Value::Float(a), Value::Float(b)) => a.partial_cmp(b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan())),
                (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
                (Value::Many(a), Value::Many(b)) => {
                    let orders = a.iter().zip(b).map(|(a, b)| a.compare(b));
                    orders.into_iter().find(|order| order.is_ne()).unwrap_or(a.len().cmp(&b.len()))
                }
                _ => unreachable!("values of one type"),
            }
        }

        fn put(&self, ty: Type, out: &mut Vec<u8>) {
            match self {
                Value::Null => put_null(out),
                Value::Bool(value) => put_bool(*value, out),
                Value::Int(value) => put_int(*value, out),
                Value::Float(value) => put_float(*value, out),
                Value::Bytes(value) => put_bytes(value, out),
                Value::Many(_) => put_packed(&self.packed(ty), out),
            }
        }

        fn packed(&self, ty: Type) -> Vec<u8> {
            let (Value::Many(values), Some(types)) = (self, ty.elements()) else { unreachable!("a tuple or a list") };
            let mut out = Vec::new();
            values.iter().zip(types.iter().cycle()).for_each(|(value, element)| value.put(element.ty, &mut out));
            if matches!(ty, Type::List(_)) {
                put_end(&mut out);
            }
            out
        }
    }

    fn types() -> impl Strategy<Value = Type> {
        let leaf = prop::sample::select(vec![
            Type::Bool,
            Type::Int,
            Type::Float,
            Type::Str,
            Type::Bytes,
            Type::DateTimeUtc,
            Type::Duration,
        ]);
        let optional = |ty: Type, optional: bool| ColumnType { ty, optional };
        leaf.prop_recursive(3, 8, 3, move |inner| {
            let element = (inner, any::<bool>()).prop_map(move |(ty, may)| optional(ty, may));
            prop_oneof![
                prop::collection::vec(element.clone(), 0..4).prop_map(Type::tuple),
                element.prop_map(Type::list),
            ]
        })
    }

    fn value(ty: Type) -> BoxedStrategy<Value> {
        match ty {
            Type::Tuple(types) => types.iter().map(|ty| element(*ty)).collect::<Vec<_>>().prop_map(Value::Many).boxed(),
            Type::List(ty) => prop::collection::vec(element(*ty), 0..4).prop_map(Value::Many).boxed(),
            Type::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
            Type::Float => {
                let some = prop::sample::select(vec![0.0, -0.0, f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY]);
                prop_oneof![some, any::<f64>(), (-3..3).prop_map(f64::from)].prop_map(Value::Float).boxed()
            }
            Type::Str => "[\0a\u{1}é]{0,3}".prop_map(|text| Value::Bytes(text.into_bytes())).boxed(),
            Type::Bytes => {
                let byte = prop::sample::select(vec![0, 1, 2, 254, 255]);
                prop::collection::vec(byte, 0..4).prop_map(Value::Bytes).boxed()
            }
            _ => prop_oneof![any::<i64>(), -3..3_i64].prop_map(Value::Int).boxed(),
        }
    }

    fn element(ty: ColumnType) -> BoxedStrategy<Value> {
        match ty.optional {
            true => prop_oneof![Just(Value::Null), value(ty.ty)].boxed(),
            false => value(ty.ty),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        /// Pairs, lists of which hold much alike, so that many differ late or not at all.
        #[test]
        fn bytes_are_ordered_as_the_values_are(
            (ty, values) in types().prop_filter("made of values", |ty| ty.elements().is_some())
                .prop_flat_map(|ty| (Just(ty), prop::collection::vec(value(ty), 2..6))),
        ) {
            for a in &values {
                for b in &values {
                    prop_assert_eq!(a.packed(ty).cmp(&b.packed(ty)), a.compare(b), "{:?} {:?}", a, b);
                }
                let packed = a.packed(ty);
                prop_assert!(is_whole(ty, &packed));
                prop_assert!(packed.is_empty() || !is_whole(ty, &packed[..packed.len() - 1]));
                let (mut text, mut back) = (Vec::new(), Vec::new());
                text_codec::write(ty, &packed, &mut text).unwrap();
                prop_assert!(text_codec::read(ty, &text, &mut back), "{}", String::from_utf8_lossy(&text));
                prop_assert_eq!(&back, &packed);
                prop_assert_eq!(ty.name().parse(), Ok(ty));
            }
        }

        /// Lists of a column are taken apart into the same column.
        #[test]
        fn lists_come_apart_as_they_were(
            (ty, values) in types().prop_flat_map(|ty| (Just(ty), prop::collection::vec(element(ty.optional()), 0..8))),
        ) {
            let (mut cells, mut packed) = (CellBuilder::new(ty), Vec::new());
            values.iter().for_each(|value| value.put(ty, &mut packed));
            let mut reader = Reader::new(&packed);
            values.iter().for_each(|_| assert_eq!(cells.push_next(&mut reader), Some(true)));
            let column = cells.finish().unwrap();
            let middle = values.len() as u32 / 2;
            let offsets = [0, middle, middle, values.len() as u32];
            let (elements, found) = flatten(&lists(&column, ty, &offsets).unwrap(), ty.optional()).unwrap();
            prop_assert_eq!(elements.to_data(), column.to_data());
            prop_assert_eq!(found, offsets);
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(ty in types(), bytes: Vec<u8>) {
            if ty.elements().is_some() && is_whole(ty, &bytes) {
                prop_assert!(bytes.is_empty() || !text_codec::text(ty, &bytes).is_empty());
            }
            let mut cells = CellBuilder::new(ty);
            let mut reader = Reader::new(&bytes);
            while cells.push_next(&mut reader) == Some(true) {}
            cells.push_null();
            drop(cells.finish());
        }
    }
}
