//! Where CSV text may be cut: behind a newline that is not inside quotes.

use memchr::{memchr, memrchr};

use super::dialect::{Closing, Dialect};
use crate::text::cut::Cut;

/// Follows a text that grows, and knows where its last whole row ends. A stretch without quotes costs one search for
/// a quote; only quotes are looked at one by one.
#[derive(Clone, Debug)]
pub struct Cutter {
    dialect: Dialect,
    /// All text before is taken into account.
    scanned: usize,
    /// The start of the row that is not yet whole.
    row_start: usize,
    /// The quote that opened the field that is not yet closed; negative where it was passed over.
    open: Option<i64>,
}

impl Cut for Cutter {
    fn row_start(&self) -> usize {
        self.row_start
    }

    fn open_quote(&self) -> Option<i64> {
        self.open
    }

    fn shift(&mut self, gone: usize) {
        self.scanned -= gone;
        self.row_start -= gone;
        self.open = self.open.map(|open| open - gone as i64);
    }

    fn advance(&mut self, text: &[u8], at_end: bool) {
        while self.step(text, at_end, &mut |newlines| memrchr(b'\n', newlines)) {}
    }

    fn first_row_end(&mut self, text: &[u8], at_end: bool) -> Option<usize> {
        let start = self.row_start;
        while self.step(text, at_end, &mut |newlines| memchr(b'\n', newlines)) && self.row_start == start {}
        (self.row_start > start).then_some(self.row_start)
    }

    fn pass_over(&mut self) -> usize {
        // What opens a quote is the byte before it.
        let gone = self.scanned.saturating_sub(1);
        self.scanned -= gone;
        self.row_start = 0;
        self.open = self.open.map(|open| open - gone as i64);
        gone
    }
}

impl Cutter {
    /// For a text whose first row starts at `start`.
    pub(crate) fn new(dialect: Dialect, start: usize) -> Self {
        Cutter { dialect, scanned: start, row_start: start, open: None }
    }

    /// Takes the text up to the next quote into account; whether there may be more to do.
    fn step(&mut self, text: &[u8], at_end: bool, newline: &mut dyn FnMut(&[u8]) -> Option<usize>) -> bool {
        if self.open.is_some() {
            match self.dialect.closing(text, self.scanned, at_end) {
                Closing::At(close) => {
                    self.open = None;
                    self.scanned = close + 1;
                    return true;
                }
                Closing::Beyond(from) => {
                    self.scanned = from;
                    return false;
                }
            }
        }
        let rest = text.get(self.scanned..).unwrap_or_default();
        let quote = self.dialect.quote.and_then(|quote| memchr(quote, rest));
        let plain = &rest[..quote.unwrap_or(rest.len())];
        if let Some(found) = newline(plain) {
            self.row_start = self.scanned + found + 1;
        }
        let Some(quote) = quote else {
            self.scanned = self.scanned.max(text.len());
            return false;
        };
        let at = self.scanned + quote;
        let opens =
            at == self.row_start || matches!(text[at - 1], byte if byte == self.dialect.delimiter || byte == b'\n');
        if opens {
            self.open = Some(at as i64);
        }
        self.scanned = at + 1;
        true
    }
}
