//! Rows of CSV text straight into columns.
//!
//! A piece of text is read in batches of some thousand rows, which fit the cache: one pass finds where the fields stand
//! (`split`), then each column that the program uses takes its field from all rows of the batch
//! (`columns`). Nothing is allocated for a row or a field.

use super::columns::{Batch, append_fields};
use super::dialect::Dialect;
use super::options::Limits;
use super::problem::RowError;
use super::split::{Spans, Splitter};
use crate::text::problem::Problem;
use crate::text::rows::Rows;

const BATCH_ROWS: usize = 4096;

/// Where the columns stand in the rows of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The names in the header: one for each field.
    pub names: Vec<String>,
    /// The field of each column that is read; `None`, if the header lacks it and all its cells are null.
    pub positions: Vec<Option<usize>>,
    /// The names of the columns that the header lacks.
    pub lacking: Vec<String>,
    /// Whether a blank line is a row: the only field of the file is an optional column, and null.
    pub blank_is_row: bool,
}

/// Reads rows of one text.
pub(crate) struct Parser<'a> {
    pub dialect: Dialect,
    pub limits: Limits,
    /// Whether to stop after the first row that is wrong.
    pub stop: bool,
    pub layout: &'a Layout,
    /// What a field reads that is null.
    pub null_values: &'a [Box<[u8]>],
    pub spans: &'a mut Spans,
}

impl Parser<'_> {
    /// Reads the rows of a text that starts at the start of a row. Returns what is wrong, at most one problem a row, in
    /// the order of rows; these rows are left out.
    pub(super) fn parse(&mut self, text: &[u8], rows: &mut Rows) -> Vec<Problem<RowError>> {
        let Layout { names, blank_is_row, .. } = self.layout;
        let splitter =
            Splitter { dialect: self.dialect, fields: names.len(), stop: self.stop, blank_is_row: *blank_is_row };
        let valid = text.is_ascii() || std::str::from_utf8(text).is_ok();
        let mut problems = Vec::new();
        let mut at = 0;
        while at < text.len() && (problems.is_empty() || !self.stop) {
            let (from, known) = (at, problems.len());
            at = splitter.split(text, at, BATCH_ROWS, self.spans, &mut problems);
            let is_odd = self.spans.bare_quote || outside_lines(&text[from..at]) != self.spans.returns;
            if is_odd || !valid || text.len() > self.limits.field_bytes {
                self.leave_out(text, splitter.fields, &mut problems);
            }
            if from == 0 {
                rows.reserve(self.spans.rows() * (text.len() / at.max(1) + 1));
            }
            self.append(text, rows, &mut problems);
            problems[known..].sort_by_key(|problem| problem.row.start);
        }
        problems
    }

    /// Takes rows that are not UTF-8, hold what they may not, or too long a field, out of the batch.
    #[cold]
    fn leave_out(&mut self, text: &[u8], fields: usize, problems: &mut Vec<Problem<RowError>>) {
        let mut gone = Vec::new();
        for row in 0..self.spans.rows() {
            let start = self.spans.starts[row] as usize;
            let ends = &self.spans.ends[row * fields..(row + 1) * fields];
            let end = ends[fields - 1] as usize;
            let wrong = match std::str::from_utf8(&text[start..end]) {
                Err(error) => Some(RowError::NotUtf8 { at: (start + error.valid_up_to()) as u32 }),
                Ok(_) => match self.dialect.odd(&text[start..end]) {
                    Some((at, odd)) => Some(RowError::Odd { at: (start + at) as u32, odd }),
                    None => self.too_long(start, ends),
                },
            };
            if let Some(wrong) = wrong {
                problems.push(Problem::of_row(start, end, wrong));
                gone.push(row);
            }
        }
        self.spans.remove(&gone, fields);
    }

    fn too_long(&self, start: usize, ends: &[u32]) -> Option<RowError> {
        let mut start = start;
        for (field, end) in ends.iter().enumerate() {
            let bytes = *end as usize - start;
            if bytes > self.limits.field_bytes {
                return Some(RowError::TooLong { field: field as u32, bytes: bytes as u32 });
            }
            start = *end as usize + 1;
        }
        None
    }

    fn append(&self, text: &[u8], rows: &mut Rows, problems: &mut Vec<Problem<RowError>>) {
        let spans = &*self.spans;
        let fields = self.layout.names.len();
        let batch = Batch { text, spans, fields, dialect: &self.dialect, null_values: self.null_values };
        let mut wrong = Vec::new();
        for (slot, (column, field)) in rows.columns().iter_mut().zip(&self.layout.positions).enumerate() {
            match *field {
                Some(field) => {
                    append_fields(column, batch, field, |row, start, end| wrong.push((row, field, slot, start, end)));
                }
                None => column.append_nulls(spans.rows()),
            }
        }
        wrong.sort_unstable();
        wrong.dedup_by_key(|(row, ..)| *row);
        for (row, _, slot, start, end) in &wrong {
            let ends = &spans.ends[row * fields..(row + 1) * fields];
            let wrong = RowError::Value { slot: *slot as u32, start: *start as u32, end: *end as u32 };
            problems.push(Problem::of_row(spans.starts[*row] as usize, ends[fields - 1] as usize, wrong));
        }
        rows.add(spans.rows(), wrong.iter().map(|(row, ..)| *row));
    }
}

/// The number of bytes that stand nowhere but in quotes and line ends, in the text of whole rows: carriage returns and
/// NUL bytes. More of them than line ends are looked at one by one.
fn outside_lines(text: &[u8]) -> usize {
    // So few that they fit a byte.
    const LANE: usize = 128;
    let (chunks, rest) = text.as_chunks::<LANE>();
    let is_one = |byte: u8| u8::from(byte == b'\r') + u8::from(byte == 0);
    let counts = chunks.iter().map(|chunk| usize::from(chunk.iter().fold(0, |count, byte| count + is_one(*byte))));
    counts.sum::<usize>() + rest.iter().map(|byte| usize::from(is_one(*byte))).sum::<usize>()
}
