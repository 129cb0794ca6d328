//! A column as slices, so that loops over rows see no `dyn Array`; and what is done with whole columns.

use std::cmp::Ordering;

use crate::types::{Type, byte_values, int_values};
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, UInt32Array};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_schema::DataType;

/// The cells of a column and which of them are null.
#[derive(Clone, Copy)]
pub struct ColumnView<'a> {
    /// The cells; those of nulls are arbitrary.
    pub values: Values<'a>,
    /// Which are null; `None` if no cell is null.
    pub nulls: Option<&'a NullBuffer>,
}

/// Cells as they are stored.
#[derive(Clone, Copy)]
pub enum Values<'a> {
    /// True or false.
    Bool(&'a BooleanBuffer),
    /// Of a type that is stored as integers.
    Int(&'a [i64]),
    /// Floats.
    Float(&'a [f64]),
    /// Text, or bytes of any other type that is stored so.
    Bytes(Text<'a>),
}

/// The cells of a column that is stored as bytes.
#[derive(Clone, Copy)]
pub struct Text<'a> {
    /// Where each cell starts, and the last ends.
    pub offsets: &'a [i32],
    /// All cells, one after another.
    pub bytes: &'a [u8],
}

impl<'a> Text<'a> {
    /// The cell at this position.
    #[inline(always)]
    pub fn get(&self, i: usize) -> &'a [u8] {
        &self.bytes[self.offsets[i] as usize..self.offsets[i + 1] as usize]
    }
}

impl<'a> ColumnView<'a> {
    /// The view of `column`, which is of one of the [types](crate::types).
    pub fn of(column: &'a dyn Array) -> Self {
        let values = match column.data_type() {
            DataType::Boolean => Values::Bool(column.as_boolean().values()),
            DataType::Float64 => Values::Float(column.as_primitive::<Float64Type>().values()),
            _ => match (byte_values(column), int_values(column)) {
                (Some((offsets, bytes)), _) => Values::Bytes(Text { offsets, bytes }),
                (None, Some(values)) => Values::Int(values),
                (None, None) => unreachable!("no column is stored as {}", column.data_type()),
            },
        };
        let nulls = column.nulls().filter(|nulls| nulls.null_count() > 0);
        ColumnView { values, nulls }
    }

    /// The views of all of `columns`.
    pub fn of_all(columns: &'a [ArrayRef]) -> Vec<Self> {
        columns.iter().map(|column| ColumnView::of(column)).collect()
    }

    /// Whether the cell at this position is null.
    #[inline]
    pub fn is_null(&self, i: usize) -> bool {
        self.nulls.is_some_and(|nulls| nulls.is_null(i))
    }

    /// The order of cells `i` and `j`: nulls first, floats by `total_cmp`, text by bytes.
    pub fn compare(&self, i: usize, j: usize) -> Ordering {
        match (self.is_null(i), self.is_null(j)) {
            (true, true) => return Ordering::Equal,
            (true, false) => return Ordering::Less,
            (false, true) => return Ordering::Greater,
            (false, false) => {}
        }
        match self.values {
            Values::Bool(values) => values.value(i).cmp(&values.value(j)),
            Values::Int(values) => values[i].cmp(&values[j]),
            Values::Float(values) => values[i].total_cmp(&values[j]),
            Values::Bytes(text) => text.get(i).cmp(text.get(j)),
        }
    }

    /// A number for each cell at `positions` (of all cells, if `None`) that orders no two cells wrongly: `a < b` only
    /// if cell `a` comes before cell `b`.
    pub fn sort_prefix(&self, positions: Option<&[u32]>, rows: usize) -> Vec<i64> {
        fn gather(positions: Option<&[u32]>, rows: usize, get: impl Fn(usize) -> i64) -> Vec<i64> {
            match positions {
                Some(positions) => positions.iter().map(|&i| get(i as usize)).collect(),
                None => (0..rows).map(get).collect(),
            }
        }
        let mut sort_prefix = match self.values {
            Values::Bool(values) => gather(positions, rows, |i| i64::from(values.value(i))),
            Values::Int(values) => match positions {
                None => values.to_vec(),
                Some(_) => gather(positions, rows, |i| values[i]),
            },
            Values::Float(values) => gather(positions, rows, |i| total_order(values[i])),
            Values::Bytes(text) => gather(positions, rows, |i| prefix(text.get(i))),
        };
        if let Some(nulls) = self.nulls {
            for (at, value) in sort_prefix.iter_mut().enumerate() {
                if nulls.is_null(positions.map_or(at, |positions| positions[at] as usize)) {
                    *value = i64::MIN;
                }
            }
        }
        sort_prefix
    }

    /// Whether equal [prefixes](Self::sort_prefix) mean equal cells.
    pub fn prefix_is_total(&self) -> bool {
        self.nulls.is_none() && !matches!(self.values, Values::Bytes(_))
    }
}

/// The values of a column that is stored as integers and has no null.
pub fn required_ints(array: &ArrayRef) -> Option<&[i64]> {
    match ColumnView::of(array) {
        ColumnView { values: Values::Int(ints), nulls: None } => Some(ints),
        _ => None,
    }
}

/// Compares rows `i` and `j` from left to right.
pub fn compare_rows(columns: &[ColumnView<'_>], i: usize, j: usize) -> Ordering {
    columns.iter().map(|cells| cells.compare(i, j)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

/// The cells of `column` at `positions`.
pub fn take(column: &ArrayRef, positions: &UInt32Array) -> ArrayRef {
    arrow_select::take::take(column.as_ref(), positions, None).expect("positions lie inside the column")
}

/// The columns of several tables of the same types, one after another.
pub fn concat(tables: &[&[ArrayRef]]) -> Vec<ArrayRef> {
    let Some(first) = tables.first() else { return Vec::new() };
    (0..first.len())
        .map(|c| {
            let parts: Vec<&dyn Array> = tables.iter().map(|table| table[c].as_ref()).collect();
            arrow_select::concat::concat(&parts).expect("columns of one type, with text that an array can hold")
        })
        .collect()
}

/// The slice of a required column that is stored as integers.
pub fn ints(column: &ArrayRef) -> &[i64] {
    match int_values(column) {
        Some(values) => values,
        None => unreachable!("no integers are stored as {}", column.data_type()),
    }
}

/// A column of these values, without nulls, of the type of `like`, which is stored as integers.
pub fn ints_like(like: &ArrayRef, values: Vec<i64>) -> ArrayRef {
    Type::of_ints(like.data_type()).unwrap_or(Type::Int).int_array(values.into(), None)
}

/// A number that orders as `f64::total_cmp` does.
pub fn total_order(value: f64) -> i64 {
    let bits = value.to_bits() as i64;
    bits ^ (((bits >> 63) as u64) >> 1) as i64
}

/// The first eight bytes as a number, in order.
fn prefix(text: &[u8]) -> i64 {
    let mut bytes = [0; 8];
    let length = text.len().min(8);
    bytes[..length].copy_from_slice(&text[..length]);
    (u64::from_be_bytes(bytes) ^ (1 << 63)) as i64
}

/// The offsets and bytes of a column that is stored as bytes.
pub fn bytes(column: &ArrayRef) -> (&[i32], &[u8]) {
    match byte_values(column) {
        Some(values) => values,
        None => unreachable!("no bytes are stored as {}", column.data_type()),
    }
}

/// `column` with each cell repeated for the rows of its key.
pub fn repeat(column: &ArrayRef, offsets: &[u32]) -> ArrayRef {
    let rows = offsets.last().map_or(0, |&end| end) as usize;
    if rows == column.len() && offsets.windows(2).all(|pair| pair[1] - pair[0] == 1) {
        return column.clone();
    }
    let cells = ColumnView::of(column);
    if let (Values::Int(values), None) = (cells.values, cells.nulls) {
        let mut out = Vec::with_capacity(rows);
        for (k, pair) in offsets.windows(2).enumerate() {
            out.resize(pair[1] as usize, values[k]);
        }
        return ints_like(column, out);
    }
    let mut positions = Vec::with_capacity(rows);
    for (k, pair) in (0u32..).zip(offsets.windows(2)) {
        positions.resize(pair[1] as usize, k);
    }
    take(column, &UInt32Array::from(positions))
}
