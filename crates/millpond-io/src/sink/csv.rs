//! Rows as CSV text: strings always quoted, numbers and booleans bare and spelled as Python spells them, a null as
//! an empty field, `\n` at the end of a line.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow_array::ArrayRef;
use millpond_engine::changes::Epoch;
use millpond_error::{Error, Result};
use millpond_plan::time::{self, TIME_BYTES};
use millpond_plan::types::Schema;
use millpond_store::Disk;

use super::file::{FileSink, WriteMode};
use super::format::{Cells, END_BYTES, Field, LineEnd, WIDE_BYTES, WriteFormat, WriteRows, write_plain};
use super::number::{FLOAT_BYTES, INT_BYTES, write_float, write_int};

/// A sink that writes one CSV file.
pub type CsvSink = FileSink<CsvFormat>;

/// How a CSV file of results is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CsvSinkOptions {
    /// What the file holds.
    pub mode: WriteMode,
    /// What stands between two fields.
    pub delimiter: u8,
}

impl Default for CsvSinkOptions {
    fn default() -> Self {
        CsvSinkOptions { mode: WriteMode::Changes, delimiter: b',' }
    }
}

impl CsvSinkOptions {
    /// The usual options with another mode.
    pub fn with_mode(mode: WriteMode) -> Self {
        CsvSinkOptions { mode, ..CsvSinkOptions::default() }
    }

    fn format(self) -> Result<CsvFormat> {
        let delimiter = self.delimiter;
        if !matches!(delimiter, b'\t' | b' '..=b'~')
            || delimiter.is_ascii_alphanumeric()
            || b"\"+-.".contains(&delimiter)
        {
            return Err(Error::invalid(format!("{:?} cannot separate fields", char::from(delimiter))));
        }
        Ok(CsvFormat { delimiter })
    }
}

impl CsvSink {
    /// A sink for the file `file` directly inside the root of `disk`.
    pub fn new(disk: Arc<dyn Disk>, file: &str, options: CsvSinkOptions) -> Result<Self> {
        FileSink::of(disk, file, options.mode, options.format()?)
    }

    /// A sink for the file at `path`, on a disk that `disk_at` opens in the folder of the file.
    pub fn at(
        path: &Path,
        options: CsvSinkOptions,
        disk_at: impl FnOnce(&Path) -> Result<Arc<dyn Disk>>,
    ) -> Result<Self> {
        FileSink::of_path(path, options.mode, options.format()?, disk_at)
    }
}

/// CSV with a header, in one dialect.
#[derive(Clone, Copy, Debug)]
pub struct CsvFormat {
    delimiter: u8,
}

impl WriteFormat for CsvFormat {
    type Rows<'a> = CsvRows<'a>;

    fn open(&mut self, schema: &Schema, changes: bool) -> Result<Vec<u8>> {
        let names = schema.columns().iter().map(|column| column.name.as_str());
        let suffix: &[&str] = if changes { &["time", "diff"] } else { &[] };
        Ok(header(names.chain(suffix.iter().copied()), self.delimiter))
    }

    fn rows<'a>(&'a self, columns: &'a [ArrayRef]) -> Result<CsvRows<'a>> {
        let plain = |text: &[u8]| memchr::memchr(b'"', text).is_none();
        let fields = columns.iter().map(|column| Field::new(column, plain)).collect::<Result<Vec<_>>>()?;
        let fixed_bytes = fields.iter().map(fixed_bytes).sum::<usize>() + END_BYTES;
        Ok(CsvRows { fields, delimiter: self.delimiter, fixed_bytes })
    }

    fn end(&self, change: Option<(Epoch, i64)>, first: bool) -> LineEnd {
        let mut bytes = [0; END_BYTES];
        let mut at = 0;
        if let Some((time, diff)) = change {
            if !first {
                bytes[0] = self.delimiter;
                at = 1;
            }
            // An epoch is a number of milliseconds: far below 2^63.
            at = write_int(&mut bytes, at, time.0 as i64);
            bytes[at] = self.delimiter;
            at = write_int(&mut bytes, at + 1, diff);
        }
        bytes[at] = b'\n';
        LineEnd { bytes, length: at + 1 }
    }
}

/// The columns of one batch, ready to be written line by line.
pub struct CsvRows<'a> {
    fields: Vec<Field<'a>>,
    delimiter: u8,
    /// The most that a line can take, apart from what its strings hold.
    fixed_bytes: usize,
}

impl WriteRows for CsvRows<'_> {
    fn bound(&self, rows: Range<usize>) -> usize {
        // A quote in a string is written twice.
        let strings: usize = self.fields.iter().map(|field| field.string_bound(&rows, 2)).sum();
        rows.len() * self.fixed_bytes + strings + WIDE_BYTES
    }

    #[inline]
    fn write_line(&self, row: usize, end: &LineEnd, out: &mut [u8], mut at: usize) -> usize {
        for (i, field) in self.fields.iter().enumerate() {
            if i > 0 {
                out[at] = self.delimiter;
                at += 1;
            }
            if field.is_null(row) {
                continue;
            }
            at = match &field.cells {
                Cells::Int(values) => write_int(out, at, values[row]),
                Cells::Str { offsets, bytes, plain } => {
                    let range = offsets[row] as usize..offsets[row + 1] as usize;
                    if *plain { write_plain(out, at, bytes, range) } else { write_quoted(out, at, &bytes[range]) }
                }
                Cells::Float(values) => write_float(out, at, values[row]),
                // The one delimiter that may stand inside.
                Cells::Time(values, ty) if self.delimiter == b':' => {
                    out[at] = b'"';
                    let end = at + 1 + time::write(*ty, values[row], &mut out[at + 1..]);
                    out[end] = b'"';
                    end + 1
                }
                Cells::Time(values, ty) => at + time::write(*ty, values[row], &mut out[at..]),
                Cells::Bool(values) => {
                    let text: &[u8] = if values.value(row) { b"True" } else { b"False" };
                    out[at..at + text.len()].copy_from_slice(text);
                    at + text.len()
                }
            };
        }
        end.write(out, at)
    }
}

fn fixed_bytes(field: &Field<'_>) -> usize {
    1 + match field.cells {
        Cells::Str { .. } => 2,
        Cells::Int(_) => INT_BYTES,
        Cells::Float(_) => FLOAT_BYTES,
        Cells::Time(..) => TIME_BYTES + 2,
        Cells::Bool(_) => 5,
    }
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
