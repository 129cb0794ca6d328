//! Where the fields of a text stand: one pass over its structural bytes, no look at values.

use std::ops::Range;

use super::dialect::{Dialect, Odd};
use super::problem::RowError;
use super::scan::Scanner;
use crate::text::problem::Problem;

/// The fields of a batch of rows. The first field of a row starts at `starts[row]`, every other one byte behind the end
/// of the one before it.
#[derive(Debug, Default)]
pub struct Spans {
    /// The start of each row.
    pub starts: Vec<u32>,
    /// The end of each field, row after row.
    pub ends: Vec<u32>,
    /// Whether a field may be quoted.
    pub quoted: bool,
    /// Whether a field without quotes holds a quote.
    pub bare_quote: bool,
    /// The carriage returns of line ends.
    pub returns: usize,
}

impl Spans {
    pub fn rows(&self) -> usize {
        self.starts.len()
    }

    /// Calls `each` with the bytes of one field in every row.
    #[inline]
    pub fn for_each(&self, fields: usize, field: usize, mut each: impl FnMut(usize, usize, usize)) {
        let rows = self.starts.iter().zip(self.ends.chunks_exact(fields)).enumerate();
        if field == 0 {
            rows.for_each(|(row, (start, ends))| each(row, *start as usize, ends[0] as usize));
        } else {
            rows.for_each(|(row, (_, ends))| each(row, ends[field - 1] as usize + 1, ends[field] as usize));
        }
    }

    /// Leaves rows out; `row` holds their positions, ascending.
    pub fn remove(&mut self, rows: &[usize], fields: usize) {
        let mut gone = rows.iter().copied().peekable();
        let mut kept = 0;
        for row in 0..self.rows() {
            if gone.next_if_eq(&row).is_some() {
                continue;
            }
            self.starts[kept] = self.starts[row];
            self.ends.copy_within(row * fields..(row + 1) * fields, kept * fields);
            kept += 1;
        }
        self.starts.truncate(kept);
        self.ends.truncate(kept * fields);
    }
}

/// Splits a text into rows of a fixed number of fields.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Splitter {
    pub dialect: Dialect,
    /// The number of fields of a row.
    pub fields: usize,
    /// Whether to stop at a row that is wrong.
    pub stop: bool,
    /// Whether a blank line is a row.
    pub blank_is_row: bool,
}

impl Splitter {
    /// Splits up to `max_rows` rows from `from` on, which is the start of a row, and returns where the next one starts.
    /// Rows that are wrong go to `problems`.
    pub(super) fn split(
        &self,
        text: &[u8],
        from: usize,
        max_rows: usize,
        spans: &mut Spans,
        problems: &mut Vec<Problem<RowError>>,
    ) -> usize {
        spans.starts.clear();
        spans.ends.clear();
        (spans.quoted, spans.bare_quote, spans.returns) = (false, false, 0);
        let mut odd = None;
        let scanner = Scanner::new(&self.dialect);
        let (mut base, mut row_start, mut field_start) = (from, from, from);
        'blocks: while base < text.len() {
            let mut bits = scanner.at(text, base);
            while bits != 0 {
                let at = base + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                let byte = text[at];
                if Some(byte) == self.dialect.quote {
                    if at != field_start {
                        spans.bare_quote = true;
                        continue;
                    }
                    spans.quoted = true;
                    if let Some(rest) = self.behind_quoted(text, base, bits) {
                        bits = rest;
                        continue;
                    }
                    let Some((close, end)) = self.dialect.quoted_end(text, at) else {
                        spans.ends.truncate(spans.rows() * self.fields);
                        problems.push(Problem::of_row(row_start, text.len(), RowError::Unclosed).at(at));
                        return text.len();
                    };
                    if !matches!(&text[close + 1..end], b"" | b"\r") {
                        odd.get_or_insert(close + 1);
                    }
                    base = end;
                    continue 'blocks;
                }
                if byte != b'\n' {
                    spans.ends.push(at as u32);
                    field_start = at + 1;
                    continue;
                }
                let good = match odd.take() {
                    None => self.end_row(text, row_start, field_start, at, spans, problems),
                    Some(odd) => self.refuse_row(text, row_start..at, odd, spans, problems),
                };
                (row_start, field_start) = (at + 1, at + 1);
                if spans.rows() == max_rows || (!good && self.stop) {
                    return at + 1;
                }
            }
            base += 64;
        }
        if row_start < text.len() {
            match odd {
                None => self.end_row(text, row_start, field_start, text.len(), spans, problems),
                Some(odd) => self.refuse_row(text, row_start..text.len(), odd, spans, problems),
            };
        }
        text.len()
    }

    /// Leaves out a row with text behind a closing quote.
    #[cold]
    fn refuse_row(
        &self,
        text: &[u8],
        line: Range<usize>,
        at: usize,
        spans: &mut Spans,
        problems: &mut Vec<Problem<RowError>>,
    ) -> bool {
        spans.ends.truncate(spans.rows() * self.fields);
        let end = line.end - usize::from(text[line.clone()].ends_with(b"\r"));
        problems.push(Problem::of_row(line.start, end, RowError::Odd { at: at as u32, odd: Odd::AfterQuote }).at(at));
        false
    }

    /// From the marks behind an opening quote, those behind the field, if it ends among them and holds no quote.
    #[inline]
    fn behind_quoted(&self, text: &[u8], base: usize, mut bits: u64) -> Option<u64> {
        if self.dialect.escape.is_some() {
            return None;
        }
        while bits != 0 {
            let at = base + bits.trailing_zeros() as usize;
            bits &= bits - 1;
            if Some(text[at]) == self.dialect.quote {
                let next = *text.get(at + 1)?;
                return (next == self.dialect.delimiter || next == b'\n').then_some(bits);
            }
        }
        None
    }

    /// Takes up the row whose line ends at `at`; whether it is not a wrong one.
    #[inline]
    fn end_row(
        &self,
        text: &[u8],
        start: usize,
        field: usize,
        at: usize,
        spans: &mut Spans,
        problems: &mut Vec<Problem<RowError>>,
    ) -> bool {
        let returns = usize::from(at > field && text[at - 1] == b'\r');
        let end = at - returns;
        spans.returns += returns;
        spans.ends.push(end as u32);
        let first = spans.rows() * self.fields;
        if spans.ends.len() == first + self.fields && (end != start || self.blank_is_row) {
            spans.starts.push(start as u32);
            return true;
        }
        let found = spans.ends.len() - first;
        spans.ends.truncate(first);
        let blank = end == start;
        if !blank {
            problems.push(Problem::of_row(start, end, RowError::Fields { found: found as u32 }));
        }
        blank
    }
}
