//! Rows of CSV text straight into columns.
//!
//! A piece of text is read in batches of some thousand rows, which fit the cache: one pass finds where the fields stand
//! (`split`), then each column that the program uses takes its field from all rows of the batch
//! (`columns`). Nothing is allocated for a row or a field.

use arrow_array::{Array, ArrayRef, BooleanArray};
use arrow_select::filter::filter;
use millpond_engine::changes::Changes;
use millpond_error::{Error, Result};
use millpond_plan::types::Column;

use super::columns::{Batch, ColumnBuilder};
use super::dialect::Dialect;
use super::options::Limits;
use super::problem::{Problem, Wrong};
use super::split::{Spans, Splitter};

const BATCH_ROWS: usize = 4096;

/// Where the columns stand in the rows of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// The number of fields of each row.
    pub fields: usize,
    /// The field of each column that is read.
    pub positions: Vec<usize>,
}

/// Reads rows of one or several texts into the same columns.
pub(crate) struct Parser<'a> {
    dialect: Dialect,
    limits: Limits,
    /// Whether to stop after the first row that is wrong.
    stop: bool,
    columns: Vec<ColumnBuilder>,
    rows: usize,
    /// Rows to leave out at the end, ascending.
    bad: Vec<usize>,
    /// Rows that are taken back.
    retracted: Vec<usize>,
    spans: &'a mut Spans,
}

impl<'a> Parser<'a> {
    pub fn new(dialect: Dialect, limits: Limits, stop: bool, columns: &[Column], spans: &'a mut Spans) -> Self {
        let columns = columns.iter().map(|column| ColumnBuilder::new(column.ty)).collect();
        Parser { dialect, limits, stop, columns, rows: 0, bad: Vec::new(), retracted: Vec::new(), spans }
    }

    /// The number of good rows so far.
    pub fn rows(&self) -> usize {
        self.rows - self.bad.len()
    }

    /// Reads the rows of a text that starts at the start of a row. Returns what is wrong, at most one problem a row, in
    /// the order of rows; these rows are left out.
    pub fn parse(&mut self, text: &[u8], layout: &Layout) -> Vec<Problem> {
        let splitter = Splitter { dialect: self.dialect, fields: layout.fields, stop: self.stop };
        let valid = text.is_ascii() || std::str::from_utf8(text).is_ok();
        let mut problems = Vec::new();
        let mut at = 0;
        while at < text.len() && (problems.is_empty() || !self.stop) {
            let (from, known) = (at, problems.len());
            at = splitter.split(text, at, BATCH_ROWS, self.spans, &mut problems);
            if !valid || text.len() > self.limits.field_bytes {
                self.leave_out(text, layout.fields, &mut problems);
            }
            if from == 0 {
                let rows = self.spans.rows() * (text.len() / at.max(1) + 1);
                self.columns.iter_mut().for_each(|column| column.reserve(rows));
            }
            self.append(text, layout, &mut problems);
            problems[known..].sort_by_key(|problem| problem.row.start);
        }
        problems
    }

    /// Reads one row that is to be taken back; nothing happens if it is not a good one, since then it never counted.
    pub fn retract(&mut self, text: &[u8], layout: &Layout) {
        let first = self.rows;
        if self.parse(text, layout).is_empty() {
            self.retracted.extend(first..self.rows);
        }
    }

    /// Takes rows that are not UTF-8, or hold too long a field, out of the batch.
    #[cold]
    fn leave_out(&mut self, text: &[u8], fields: usize, problems: &mut Vec<Problem>) {
        let mut gone = Vec::new();
        for row in 0..self.spans.rows() {
            let start = self.spans.starts[row] as usize;
            let ends = &self.spans.ends[row * fields..(row + 1) * fields];
            let end = ends[fields - 1] as usize;
            let wrong = match std::str::from_utf8(&text[start..end]) {
                Err(error) => Some(Wrong::NotUtf8 { at: (start + error.valid_up_to()) as u32 }),
                Ok(_) => self.too_long(start, ends),
            };
            if let Some(wrong) = wrong {
                problems.push(Problem::of_row(start, end, wrong));
                gone.push(row);
            }
        }
        self.spans.remove(&gone, fields);
    }

    fn too_long(&self, start: usize, ends: &[u32]) -> Option<Wrong> {
        let mut start = start;
        for (field, end) in ends.iter().enumerate() {
            let bytes = *end as usize - start;
            if bytes > self.limits.field_bytes {
                return Some(Wrong::TooLong { field: field as u32, bytes: bytes as u32 });
            }
            start = *end as usize + 1;
        }
        None
    }

    fn append(&mut self, text: &[u8], layout: &Layout, problems: &mut Vec<Problem>) {
        let spans = &*self.spans;
        let batch = Batch { text, spans, fields: layout.fields, dialect: &self.dialect };
        let mut wrong = Vec::new();
        for (slot, (column, field)) in self.columns.iter_mut().zip(&layout.positions).enumerate() {
            column.append(batch, *field, |row, start, end| wrong.push((row, *field, slot, start, end)));
        }
        wrong.sort_unstable();
        wrong.dedup_by_key(|(row, ..)| *row);
        for (row, _, slot, start, end) in wrong {
            let ends = &spans.ends[row * layout.fields..(row + 1) * layout.fields];
            let wrong = Wrong::Value { slot: slot as u32, start: start as u32, end: end as u32 };
            problems.push(Problem::of_row(spans.starts[row] as usize, ends[layout.fields - 1] as usize, wrong));
            self.bad.push(self.rows + row);
        }
        self.rows += spans.rows();
    }

    /// All rows read, as changes.
    pub fn finish(self) -> Result<Changes> {
        let mut columns = self.columns.into_iter().map(ColumnBuilder::finish).collect::<Result<Vec<_>>>()?;
        let mut diffs = vec![1i64; if self.retracted.is_empty() { 0 } else { self.rows }];
        for row in self.retracted {
            diffs[row] = -1;
        }
        let mut rows = self.rows;
        if !self.bad.is_empty() {
            let mut keep = vec![true; rows];
            for row in &self.bad {
                keep[*row] = false;
            }
            let mut kept = keep.iter();
            diffs.retain(|_| kept.next().is_none_or(|keep| *keep));
            let keep = BooleanArray::from(keep);
            columns = columns.iter().map(|column| keep_rows(column, &keep)).collect::<Result<_>>()?;
            rows -= self.bad.len();
        }
        Ok(if diffs.is_empty() { Changes::inserts(columns, rows) } else { Changes::new(columns, diffs.into()) })
    }
}

fn keep_rows(column: &dyn Array, keep: &BooleanArray) -> Result<ArrayRef> {
    filter(column, keep).map_err(|error| Error::input(format!("rows could not be left out: {error}")))
}
