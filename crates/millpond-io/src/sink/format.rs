//! What a text format is to the sink that writes files: how rows become lines.
//!
//! A format looks at a batch once (types, nulls, whether any string needs care), then writes lines into a buffer that
//! the caller owns and that is long enough by [`WriteRows::bound`]. Nothing is allocated for a row.

use std::fmt::Debug;
use std::ops::Range;

use arrow_array::{Array, ArrayRef};
use millpond_columns::ColumnView;
use millpond_columns::types::{Schema, Type};
use millpond_columns::view::{Text, Values};
use millpond_engine::changes::Epoch;
use millpond_error::Result;

use super::number::put_array;

/// Room for the end of a line: a time, a diff, what stands around them and the line end, and what writing them may
/// touch. All of it is copied to the end of each line: a copy of a fixed size is faster than an exact one.
pub(super) const END_BYTES: usize = 48;
/// Bytes behind the end of a string that writing it may touch, for the same reason.
pub(super) const WIDE_BYTES: usize = 16;

/// A format whose rows are lines. It is asked once for a batch, never for a row.
pub trait WriteFormat: Clone + Debug + Send + Sync + 'static {
    /// The columns of one batch, ready to be written line by line.
    type Rows<'a>: WriteRows;

    /// Takes note of the table's columns, and returns what a file starts with. `changes`: time and diff follow them.
    fn open(&mut self, schema: &Schema, changes: bool) -> Result<Vec<u8>>;

    /// A column of type `ty` as it is written, where that is not how it is spelled.
    fn escape(&self, column: ArrayRef, _ty: Type) -> Result<ArrayRef> {
        Ok(column)
    }

    /// Looks at the columns of a batch.
    fn rows<'a>(&'a self, columns: &'a [ArrayRef]) -> Result<Self::Rows<'a>>;

    /// The end of a line, of a change at an epoch or of a snapshot. `first`: there is no column before it.
    fn end(&self, change: Option<(Epoch, i64)>, first: bool) -> LineEnd;
}

/// The rows of a batch as lines.
pub trait WriteRows {
    /// The most bytes that writing the lines of `rows` can take or touch.
    fn bound(&self, rows: Range<usize>) -> usize;

    /// Writes one line at `out[at..]`; returns where the next one starts.
    fn write_line(&self, row: usize, end: &LineEnd, out: &mut [u8], at: usize) -> usize;
}

/// What stands at the end of a line: nothing, or time and diff; and the line end.
#[derive(Debug)]
pub struct LineEnd {
    pub(super) bytes: [u8; END_BYTES],
    pub(super) length: usize,
}

impl LineEnd {
    /// Writes the end of a line that stands at `out[at..]`; returns where the next line starts.
    #[inline(always)]
    pub(super) fn write(&self, out: &mut [u8], at: usize) -> usize {
        put_array(out, at, self.bytes);
        at + self.length
    }
}

/// One column of a batch.
pub(super) struct Field<'a> {
    pub(super) cells: ColumnView<'a>,
    /// A type that is stored as its cells are; of points in time and durations, theirs.
    pub(super) ty: Type,
    /// Whether all strings of the batch stand in quotes as they are.
    pub(super) plain: bool,
}

impl<'a> Field<'a> {
    /// Looks at a column; `plain` says of text whether it may stand in quotes as it is.
    pub(super) fn new(column: &'a ArrayRef, plain: impl Fn(&[u8]) -> bool) -> Self {
        let cells = ColumnView::of(column);
        let plain = match cells.values {
            Values::Bytes(Text { offsets, bytes }) => {
                plain(&bytes[offsets[0] as usize..offsets[column.len()] as usize])
            }
            _ => true,
        };
        let ty = Type::stored_as(column.data_type()).expect("columns are of the types");
        Field { cells, ty, plain }
    }

    #[inline(always)]
    pub(super) fn is_null(&self, row: usize) -> bool {
        self.cells.is_null(row)
    }

    /// The most bytes that its strings in `rows` take, if one that is not plain takes up to `widest` for each byte.
    pub(super) fn string_bound(&self, rows: &Range<usize>, widest: usize) -> usize {
        match self.cells.values {
            Values::Bytes(Text { offsets, .. }) => {
                let bytes = (offsets[rows.end] - offsets[rows.start]) as usize;
                if self.plain { bytes } else { widest * bytes }
            }
            _ => 0,
        }
    }
}

/// Writes a plain string in double quotes.
#[inline(always)]
pub(super) fn write_plain(out: &mut [u8], at: usize, bytes: &[u8], range: Range<usize>) -> usize {
    let (start, length) = (range.start, range.len());
    out[at] = b'"';
    match bytes[start..].first_chunk::<WIDE_BYTES>() {
        Some(wide) if length <= WIDE_BYTES => put_array(out, at + 1, *wide),
        _ => out[at + 1..at + 1 + length].copy_from_slice(&bytes[range]),
    }
    out[at + 1 + length] = b'"';
    at + length + 2
}
