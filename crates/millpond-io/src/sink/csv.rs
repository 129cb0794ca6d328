//! Rows as CSV text: strings always quoted, numbers and booleans bare and spelled as Python spells them, a null as
//! an empty field, `\n` at the end of a line.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use millpond_columns::types::{Schema, Type};
use millpond_columns::view::{Text, Values};
use millpond_engine::changes::Epoch;
use millpond_error::{Error, Result};
use millpond_plan::time::{self, TIME_BYTES};
use millpond_store::Disk;

use super::file::{FileSink, WriteMode};
use super::format::{END_BYTES, Field, LineEnd, WIDE_BYTES, WriteFormat, WriteRows, write_plain};
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
    /// Whether a text that a spreadsheet would take for a formula, since it starts with `=`, `+`, `-`, `@`, a tab or a
    /// line break, gets a `'` in front of it, as OWASP advises against CSV injection. It then reads back with that `'`.
    pub escape_formulas: bool,
}

impl Default for CsvSinkOptions {
    fn default() -> Self {
        CsvSinkOptions { mode: WriteMode::Changes, delimiter: b',', escape_formulas: false }
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
            let shown = char::from(delimiter).escape_default();
            return Err(Error::invalid(format!("delimiter \"{shown}\" could be part of a field"))
                .with_hint("such as \",\", \";\" or a tab"));
        }
        Ok(CsvFormat { delimiter, escape_formulas: self.escape_formulas })
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
    escape_formulas: bool,
}

impl WriteFormat for CsvFormat {
    type Rows<'a> = CsvRows<'a>;

    fn open(&mut self, schema: &Schema, changes: bool) -> Result<Vec<u8>> {
        let names = schema.columns().iter().map(|column| column.name.as_str());
        let suffix: &[&str] = if changes { &["time", "diff"] } else { &[] };
        let names = names.map(|name| match self.escape_formulas && is_formula(name) {
            true => format!("'{name}"),
            false => name.to_owned(),
        });
        let names: Vec<String> = names.collect();
        Ok(header(names.iter().map(String::as_str).chain(suffix.iter().copied()), self.delimiter))
    }

    fn escape(&self, column: ArrayRef, ty: Type) -> Result<ArrayRef> {
        if !self.escape_formulas || ty != Type::Str {
            return Ok(column);
        }
        let text = column.as_string::<i32>();
        if !text.iter().flatten().any(is_formula) {
            return Ok(column);
        }
        let mut bytes = Vec::with_capacity(text.values().len() + text.len());
        let mut offsets = vec![0];
        for cell in text {
            let cell = cell.unwrap_or_default();
            if is_formula(cell) {
                bytes.push(b'\'');
            }
            bytes.extend_from_slice(cell.as_bytes());
            offsets.push(offset_of(bytes.len())?);
        }
        let escaped = Type::Str.byte_array(offsets, bytes, text.nulls().cloned());
        Ok(escaped.expect("text with a character before some cells is text"))
    }

    fn rows<'a>(&'a self, columns: &'a [ArrayRef]) -> Result<CsvRows<'a>> {
        let plain = |text: &[u8]| memchr::memchr(b'"', text).is_none();
        let fields = columns.iter().map(|column| Field::new(column, plain)).collect::<Vec<_>>();
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
            at = match field.cells.values {
                Values::Int(values) if !field.ty.is_time() => write_int(out, at, values[row]),
                Values::Bytes(Text { offsets, bytes }) => {
                    let range = offsets[row] as usize..offsets[row + 1] as usize;
                    if field.plain { write_plain(out, at, bytes, range) } else { write_quoted(out, at, &bytes[range]) }
                }
                Values::Float(values) => write_float(out, at, values[row]),
                // The one delimiter that may stand inside.
                Values::Int(values) if self.delimiter == b':' => {
                    out[at] = b'"';
                    let end = at + 1 + time::write(field.ty, values[row], &mut out[at + 1..]);
                    out[end] = b'"';
                    end + 1
                }
                Values::Int(values) => at + time::write(field.ty, values[row], &mut out[at..]),
                Values::Bool(values) => {
                    let text: &[u8] = if values.value(row) { b"True" } else { b"False" };
                    out[at..at + text.len()].copy_from_slice(text);
                    at + text.len()
                }
            };
        }
        end.write(out, at)
    }
}

/// Whether a spreadsheet takes a text for a formula (OWASP, *CSV Injection*), by its first character.
fn is_formula(text: &str) -> bool {
    text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'])
}

fn fixed_bytes(field: &Field<'_>) -> usize {
    1 + match field.cells.values {
        Values::Bytes(_) => 2,
        Values::Int(_) if field.ty.is_time() => TIME_BYTES + 2,
        Values::Int(_) => INT_BYTES,
        Values::Float(_) => FLOAT_BYTES,
        Values::Bool(_) => 5,
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

/// The line of column names; a name is quoted only where it must be: with structure in it, or where it would be none.
pub(super) fn header<'a>(names: impl Iterator<Item = &'a str>, delimiter: u8) -> Vec<u8> {
    let mut line = Vec::new();
    for (i, name) in names.enumerate() {
        if i > 0 {
            line.push(delimiter);
        }
        if name.is_empty()
            || name.starts_with('\u{feff}')
            || name.bytes().any(|byte| byte == delimiter || matches!(byte, b'"' | b'\n' | b'\r' | 0))
        {
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

/// So many bytes of text, as an offset.
fn offset_of(bytes: usize) -> Result<i32> {
    i32::try_from(bytes).map_err(|_| {
        Error::input(format!("{bytes} bytes of text in one column are too many to be escaped together"))
            .with_hint("write them without escape_formulas")
    })
}

#[cfg(test)]
mod tests {
    use millpond_error::ErrorKind;

    use super::*;

    #[test]
    fn text_that_is_escaped_together_has_2_gib_at_most() {
        assert_eq!(offset_of(i32::MAX as usize).unwrap(), i32::MAX);
        let error = offset_of(1 << 31).unwrap_err();
        let text = "2147483648 bytes of text in one column are too many to be escaped together\n\
                    hint: write them without escape_formulas";
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Input, text));
    }
}
