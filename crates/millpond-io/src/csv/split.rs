//! Where the fields of a text stand: one pass over its structural bytes, no look at values.

use super::dialect::Dialect;
use super::problem::Wrong;
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
}

impl Splitter {
    /// Splits up to `max_rows` rows from `from` on, which is the start of a row, and returns where the next one starts.
    /// Blank lines are passed over; rows that are wrong go to `problems`.
    pub fn split(
        &self,
        text: &[u8],
        from: usize,
        max_rows: usize,
        spans: &mut Spans,
        problems: &mut Vec<Problem<Wrong>>,
    ) -> usize {
        spans.starts.clear();
        spans.ends.clear();
        spans.quoted = false;
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
                        continue;
                    }
                    spans.quoted = true;
                    if let Some(rest) = self.behind_quoted(text, base, bits) {
                        bits = rest;
                        continue;
                    }
                    let Some(end) = self.dialect.quoted_end(text, at) else {
                        spans.ends.truncate(spans.rows() * self.fields);
                        problems.push(Problem::of_row(row_start, text.len(), Wrong::Unclosed).at(at));
                        return text.len();
                    };
                    base = end;
                    continue 'blocks;
                }
                if byte != b'\n' {
                    spans.ends.push(at as u32);
                    field_start = at + 1;
                    continue;
                }
                let good = self.end_row(text, row_start, field_start, at, spans, problems);
                (row_start, field_start) = (at + 1, at + 1);
                if spans.rows() == max_rows || (!good && self.stop) {
                    return at + 1;
                }
            }
            base += 64;
        }
        if row_start < text.len() {
            self.end_row(text, row_start, field_start, text.len(), spans, problems);
        }
        text.len()
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
        problems: &mut Vec<Problem<Wrong>>,
    ) -> bool {
        let end = if at > field && text[at - 1] == b'\r' { at - 1 } else { at };
        spans.ends.push(end as u32);
        let first = spans.rows() * self.fields;
        if spans.ends.len() == first + self.fields && end != start {
            spans.starts.push(start as u32);
            return true;
        }
        let found = spans.ends.len() - first;
        spans.ends.truncate(first);
        let blank = end == start;
        if !blank {
            problems.push(Problem::of_row(start, end, Wrong::Fields { found: found as u32 }));
        }
        blank
    }
}
