//! Rows as CSV text: strings always quoted, numbers and booleans bare and spelled as Python spells them, a null as
//! an empty field, `\n` at the end of a line.
//!
//! [`Rows`] looks at a batch once (types, nulls, whether any string holds a quote), then writes lines into a buffer
//! that the caller owns and that is long enough by [`Rows::bound`]. Nothing is allocated for a row.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_schema::DataType;
use millpond_error::{Error, Result};

use super::number::{FLOAT_BYTES, INT_BYTES, put_array, write_float, write_int};

/// Room for the end of a line: two delimiters, a time, a diff and the line end, and what writing them may touch.
/// All of it is copied to the end of each line: a copy of a fixed size is faster than an exact one.
const END_BYTES: usize = 48;
/// Bytes behind the end of a string that writing it may touch, for the same reason.
const WIDE_BYTES: usize = 16;

/// The columns of one batch, ready to be written line by line.
pub(super) struct Rows<'a> {
    fields: Vec<Field<'a>>,
    delimiter: u8,
    /// The most that a line can take, apart from what its strings hold.
    fixed_bytes: usize,
}

struct Field<'a> {
    cells: Cells<'a>,
    nulls: Option<&'a NullBuffer>,
}

enum Cells<'a> {
    /// `plain`: no string of the batch holds a quote.
    Str {
        offsets: &'a [i32],
        bytes: &'a [u8],
        plain: bool,
    },
    Int(&'a [i64]),
    Float(&'a [f64]),
    Bool(&'a BooleanBuffer),
}

/// What stands at the end of a line: nothing, or time and diff; and the line end.
pub(super) struct LineEnd {
    bytes: [u8; END_BYTES],
    length: usize,
}

impl LineEnd {
    /// The end of a line of a snapshot.
    pub(super) fn bare() -> Self {
        let mut bytes = [0; END_BYTES];
        bytes[0] = b'\n';
        LineEnd { bytes, length: 1 }
    }

    /// The end of a line of a change log. `first`: there is no column before it.
    pub(super) fn change(delimiter: u8, time: u64, diff: i64, first: bool) -> Self {
        let mut bytes = [0; END_BYTES];
        let mut at = 0;
        if !first {
            bytes[0] = delimiter;
            at = 1;
        }
        // An epoch is a number of milliseconds: far below 2^63.
        at = write_int(&mut bytes, at, time as i64);
        bytes[at] = delimiter;
        at = write_int(&mut bytes, at + 1, diff);
        bytes[at] = b'\n';
        LineEnd { bytes, length: at + 1 }
    }
}

impl<'a> Rows<'a> {
    /// Looks at the columns of a batch.
    pub(super) fn new(columns: &'a [ArrayRef], delimiter: u8) -> Result<Self> {
        let fields = columns.iter().map(Field::new).collect::<Result<Vec<_>>>()?;
        let fixed_bytes = fields.iter().map(Field::fixed_bytes).sum::<usize>() + END_BYTES;
        Ok(Rows { fields, delimiter, fixed_bytes })
    }

    /// The most bytes that writing the lines of `rows` can take or touch.
    pub(super) fn bound(&self, rows: std::ops::Range<usize>) -> usize {
        let strings: usize = self.fields.iter().map(|field| field.string_bound(&rows)).sum();
        rows.len() * self.fixed_bytes + strings + WIDE_BYTES
    }

    /// Writes one line at `out[at..]`; returns where the next one starts.
    #[inline]
    pub(super) fn write_line(&self, row: usize, end: &LineEnd, out: &mut [u8], mut at: usize) -> usize {
        for (i, field) in self.fields.iter().enumerate() {
            if i > 0 {
                out[at] = self.delimiter;
                at += 1;
            }
            if field.nulls.is_some_and(|nulls| nulls.is_null(row)) {
                continue;
            }
            at = match &field.cells {
                Cells::Int(values) => write_int(out, at, values[row]),
                Cells::Str { offsets, bytes, plain } => {
                    let range = offsets[row] as usize..offsets[row + 1] as usize;
                    if *plain { write_plain(out, at, bytes, range) } else { write_quoted(out, at, &bytes[range]) }
                }
                Cells::Float(values) => write_float(out, at, values[row]),
                Cells::Bool(values) => {
                    let text: &[u8] = if values.value(row) { b"True" } else { b"False" };
                    out[at..at + text.len()].copy_from_slice(text);
                    at + text.len()
                }
            };
        }
        put_array(out, at, end.bytes);
        at + end.length
    }
}

impl<'a> Field<'a> {
    fn new(column: &'a ArrayRef) -> Result<Self> {
        let cells = match column.data_type() {
            DataType::Int64 => Cells::Int(column.as_primitive::<Int64Type>().values()),
            DataType::Float64 => Cells::Float(column.as_primitive::<Float64Type>().values()),
            DataType::Boolean => Cells::Bool(column.as_boolean().values()),
            DataType::Utf8 => {
                let strings = column.as_string::<i32>();
                let (offsets, bytes) = (strings.value_offsets(), strings.values().as_slice());
                let used = &bytes[offsets[0] as usize..offsets[column.len()] as usize];
                Cells::Str { offsets, bytes, plain: memchr::memchr(b'"', used).is_none() }
            }
            other => return Err(Error::invalid(format!("a column of Arrow type {other} cannot be written as CSV"))),
        };
        Ok(Field { cells, nulls: column.nulls().filter(|nulls| nulls.null_count() > 0) })
    }

    fn fixed_bytes(&self) -> usize {
        1 + match self.cells {
            Cells::Str { .. } => 2,
            Cells::Int(_) => INT_BYTES,
            Cells::Float(_) => FLOAT_BYTES,
            Cells::Bool(_) => 5,
        }
    }

    fn string_bound(&self, rows: &std::ops::Range<usize>) -> usize {
        match &self.cells {
            Cells::Str { offsets, plain, .. } => {
                let bytes = (offsets[rows.end] - offsets[rows.start]) as usize;
                if *plain { bytes } else { 2 * bytes }
            }
            _ => 0,
        }
    }
}

#[inline(always)]
fn write_plain(out: &mut [u8], at: usize, bytes: &[u8], range: std::ops::Range<usize>) -> usize {
    let (start, length) = (range.start, range.len());
    out[at] = b'"';
    match bytes[start..].first_chunk::<WIDE_BYTES>() {
        Some(wide) if length <= WIDE_BYTES => put_array(out, at + 1, *wide),
        _ => out[at + 1..at + 1 + length].copy_from_slice(&bytes[range]),
    }
    out[at + 1 + length] = b'"';
    at + length + 2
}

fn write_quoted(out: &mut [u8], mut at: usize, text: &[u8]) -> usize {
    out[at] = b'"';
    at += 1;
    for piece in text.split_inclusive(|byte| *byte == b'"') {
        out[at..at + piece.len()].copy_from_slice(piece);
        at += piece.len();
        if piece.ends_with(b"\"") {
            out[at] = b'"';
            at += 1;
        }
    }
    out[at] = b'"';
    at + 1
}

/// The line of column names; a name is quoted only where it must be.
pub(super) fn header<'a>(names: impl Iterator<Item = &'a str>, delimiter: u8) -> Vec<u8> {
    let mut line = Vec::new();
    for (i, name) in names.enumerate() {
        if i > 0 {
            line.push(delimiter);
        }
        if name.bytes().any(|byte| byte == delimiter || matches!(byte, b'"' | b'\n' | b'\r')) {
            let start = line.len();
            line.resize(start + 2 * name.len() + 2, 0);
            let end = write_quoted(&mut line, start, name.as_bytes());
            line.truncate(end);
        } else {
            line.extend_from_slice(name.as_bytes());
        }
    }
    line.push(b'\n');
    line
}
