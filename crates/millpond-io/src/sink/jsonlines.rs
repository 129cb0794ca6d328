//! Rows as lines of JSON: one object each, with the columns of the table in their order and then, in a log of changes,
//! `diff` and `time`.
//!
//! A null is `null`. A float that is no number of JSON is one of the strings `"NaN"`, `"Infinity"` and `"-Infinity"`,
//! which the source reads as what they were. A file has no header, so that of an empty table is empty.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow_array::ArrayRef;
use millpond_columns::types::{Schema, Type};
use millpond_columns::view::{Text, Values};
use millpond_engine::changes::Epoch;
use millpond_error::Result;
use millpond_plan::json::string::plain_bytes;
use millpond_plan::time::{self, TIME_BYTES};
use millpond_store::Disk;

use super::file::{FileSink, WriteMode};
use super::format::{END_BYTES, Field, LineEnd, WIDE_BYTES, WriteFormat, WriteRows, write_plain};
use super::number::{FLOAT_BYTES, INT_BYTES, write_float, write_int};

/// A sink that writes one file of JSON lines.
pub type JsonLinesSink = FileSink<JsonLinesFormat>;

impl JsonLinesSink {
    /// A sink for the file `file` directly inside the root of `disk`.
    pub fn new(disk: Arc<dyn Disk>, file: &str, mode: WriteMode) -> Result<Self> {
        FileSink::of(disk, file, mode, JsonLinesFormat::default())
    }

    /// A sink for the file at `path`, on a disk that `disk_at` opens in the folder of the file.
    pub fn at(path: &Path, mode: WriteMode, disk_at: impl FnOnce(&Path) -> Result<Arc<dyn Disk>>) -> Result<Self> {
        FileSink::of_path(path, mode, JsonLinesFormat::default(), disk_at)
    }
}

/// JSON lines, with the columns of one table.
#[derive(Clone, Debug, Default)]
pub struct JsonLinesFormat {
    /// What stands before the value of each column.
    keys: Vec<Vec<u8>>,
    /// Whether the text of a column is JSON, and stands without quotes.
    raw: Vec<bool>,
}

impl WriteFormat for JsonLinesFormat {
    type Rows<'a> = JsonRows<'a>;

    fn open(&mut self, schema: &Schema, _changes: bool) -> Result<Vec<u8>> {
        let is_json = |ty: Type| ty.is_binary() && ty != Type::Bytes;
        self.raw = schema.columns().iter().map(|column| is_json(column.ty.ty)).collect();
        let names = schema.columns().iter().enumerate();
        self.keys = names
            .map(|(i, column)| {
                let name = serde_json::Value::from(column.name.as_str());
                format!("{}{name}:", if i == 0 { '{' } else { ',' }).into_bytes()
            })
            .collect();
        Ok(Vec::new())
    }

    fn rows<'a>(&'a self, columns: &'a [ArrayRef]) -> Result<JsonRows<'a>> {
        let plain = |text: &[u8]| plain_bytes(text) == text.len();
        let fields = columns.iter().map(|column| Field::new(column, plain)).collect::<Vec<_>>();
        let keys: usize = self.keys.iter().map(Vec::len).sum();
        let fixed_bytes = 1 + keys + fields.iter().map(fixed_bytes).sum::<usize>() + END_BYTES;
        Ok(JsonRows { fields, keys: &self.keys, raw: &self.raw, fixed_bytes })
    }

    fn end(&self, change: Option<(Epoch, i64)>, first: bool) -> LineEnd {
        let mut bytes = [0; END_BYTES];
        let mut at = 0;
        if let Some((time, diff)) = change {
            let key: &[u8] = if first { b"\"diff\":" } else { b",\"diff\":" };
            at = put(&mut bytes, at, key);
            at = write_int(&mut bytes, at, diff);
            at = put(&mut bytes, at, b",\"time\":");
            // An epoch is a number of milliseconds: far below 2^63.
            at = write_int(&mut bytes, at, time.0 as i64);
        }
        at = put(&mut bytes, at, b"}\n");
        LineEnd { bytes, length: at }
    }
}

/// The columns of one batch, ready to be written line by line.
pub struct JsonRows<'a> {
    fields: Vec<Field<'a>>,
    keys: &'a [Vec<u8>],
    raw: &'a [bool],
    /// The most that a line can take, apart from what its strings hold.
    fixed_bytes: usize,
}

impl WriteRows for JsonRows<'_> {
    fn bound(&self, rows: Range<usize>) -> usize {
        // A control character is written as six bytes.
        let strings: usize = self.fields.iter().map(|field| field.string_bound(&rows, 6)).sum();
        rows.len() * self.fixed_bytes + strings + WIDE_BYTES
    }

    #[inline]
    fn write_line(&self, row: usize, end: &LineEnd, out: &mut [u8], mut at: usize) -> usize {
        if self.fields.is_empty() {
            at = put(out, at, b"{");
        }
        for ((field, key), raw) in self.fields.iter().zip(self.keys).zip(self.raw) {
            at = put(out, at, key);
            if field.is_null(row) {
                at = put(out, at, b"null");
                continue;
            }
            at = match field.cells.values {
                Values::Int(values) if !field.ty.is_time() => write_int(out, at, values[row]),
                Values::Bytes(Text { offsets, bytes }) => {
                    let range = offsets[row] as usize..offsets[row + 1] as usize;
                    if *raw {
                        put(out, at, &bytes[range])
                    } else if field.plain {
                        write_plain(out, at, bytes, range)
                    } else {
                        write_escaped(out, at, &bytes[range])
                    }
                }
                Values::Float(values) => match values[row] {
                    f64::INFINITY => put(out, at, b"\"Infinity\""),
                    f64::NEG_INFINITY => put(out, at, b"\"-Infinity\""),
                    value if value.is_nan() => put(out, at, b"\"NaN\""),
                    value => write_float(out, at, value),
                },
                Values::Int(values) => {
                    out[at] = b'"';
                    let end = at + 1 + time::write(field.ty, values[row], &mut out[at + 1..]);
                    out[end] = b'"';
                    end + 1
                }
                Values::Bool(values) => put(out, at, if values.value(row) { b"true" } else { b"false" }),
            };
        }
        end.write(out, at)
    }
}

fn fixed_bytes(field: &Field<'_>) -> usize {
    match field.cells.values {
        // The quotes, or a null.
        Values::Bytes(_) => 4,
        Values::Int(_) if field.ty.is_time() => TIME_BYTES + 2,
        Values::Int(_) => INT_BYTES,
        Values::Float(_) => FLOAT_BYTES,
        Values::Bool(_) => 5,
    }
}

fn write_escaped(out: &mut [u8], at: usize, mut text: &[u8]) -> usize {
    let mut at = put(out, at, b"\"");
    loop {
        let (plain, rest) = text.split_at(plain_bytes(text));
        at = put(out, at, plain);
        let Some((special, rest)) = rest.split_first() else { return put(out, at, b"\"") };
        at = match special {
            b'"' => put(out, at, b"\\\""),
            b'\\' => put(out, at, b"\\\\"),
            b'\n' => put(out, at, b"\\n"),
            b'\r' => put(out, at, b"\\r"),
            b'\t' => put(out, at, b"\\t"),
            control => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                let [high, low] = [control >> 4, control & 15].map(|digit| HEX[usize::from(digit)]);
                put(out, at, &[b'\\', b'u', b'0', b'0', high, low])
            }
        };
        text = rest;
    }
}

fn put(out: &mut [u8], at: usize, bytes: &[u8]) -> usize {
    out[at..at + bytes.len()].copy_from_slice(bytes);
    at + bytes.len()
}

#[cfg(test)]
mod tests;
