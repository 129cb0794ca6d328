//! The bytes that give a CSV text its structure, and how quoted fields read.
//!
//! A field is quoted if its very first byte is the quote; anywhere else in an unquoted field a quote is a plain byte.
//! Inside quotes a doubled quote is one quote, and the escape (if there is one) takes the next byte literally. Rows end
//! with `\n` or `\r\n`.
//!
//! Where readers of CSV differ, so that a guess would be a wrong value, a row is refused ([`Odd`]): text between a
//! closing quote and the end of the field, a `\r` or a NUL byte outside quotes, and `\"` where there is no escape and
//! the quote ends up in a field without quotes. What is left are the rules of the `csv` crate.

use memchr::{memchr, memchr2};

/// The bytes that give a CSV text its structure. All are ASCII and different.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dialect {
    pub delimiter: u8,
    pub quote: Option<u8>,
    pub escape: Option<u8>,
}

/// What ends the inside of a quoted field.
pub(crate) enum Closing {
    /// The closing quote stands here.
    At(usize),
    /// The text ends first; from here on it must be looked at again when there is more of it.
    Beyond(usize),
}

/// What a row may not hold outside quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Odd {
    /// Text behind a closing quote.
    AfterQuote,
    /// A carriage return that belongs to no line end.
    Return,
    /// A NUL byte.
    Nul,
    /// A backslash before a quote, which may be meant as an escape.
    Backslash,
}

impl Odd {
    /// Whether the row stays wrong, however it goes on.
    pub(crate) fn is_final(self) -> bool {
        matches!(self, Odd::AfterQuote | Odd::Return)
    }
}

/// A field of a row, as positions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub start: usize,
    pub end: usize,
    /// Its closing quote, if it is quoted.
    pub close: Option<usize>,
}

impl Dialect {
    /// Finds the closing quote, from a position inside quotes. `at_end` says that no text will follow.
    pub(crate) fn closing(&self, text: &[u8], mut from: usize, at_end: bool) -> Closing {
        let Some(quote) = self.quote else { return Closing::Beyond(from) };
        loop {
            let rest = text.get(from..).unwrap_or_default();
            let found = match self.escape {
                Some(escape) => memchr2(quote, escape, rest),
                None => memchr(quote, rest),
            };
            let Some(found) = found else { return Closing::Beyond(text.len()) };
            let at = from + found;
            if at + 1 == text.len() && !(at_end && text[at] == quote) {
                return Closing::Beyond(at);
            }
            if text[at] == quote && text.get(at + 1) != Some(&quote) {
                return Closing::At(at);
            }
            from = at + 2;
        }
    }

    /// The quoted field that opens at `open`: its closing quote, and the position of its delimiter or newline, or the
    /// end of the text. `None` if the quote is never closed.
    pub(crate) fn quoted_end(&self, text: &[u8], open: usize) -> Option<(usize, usize)> {
        match self.closing(text, open + 1, true) {
            Closing::Beyond(_) => None,
            Closing::At(close) => {
                let rest = &text[close + 1..];
                Some((close, memchr2(self.delimiter, b'\n', rest).map_or(text.len(), |n| close + 1 + n)))
            }
        }
    }

    /// The fields of a row, which is given without its line end.
    pub(crate) fn fields<'a>(&'a self, row: &'a [u8]) -> impl Iterator<Item = Place> + 'a {
        let mut next = Some(0);
        std::iter::from_fn(move || {
            let start = next?;
            let quoted = self.quote.is_some() && row.get(start) == self.quote.as_ref();
            let (close, end) = if quoted {
                self.quoted_end(row, start).map_or((None, row.len()), |(close, end)| (Some(close), end))
            } else {
                (None, memchr(self.delimiter, &row[start..]).map_or(row.len(), |n| start + n))
            };
            next = (end < row.len()).then_some(end + 1);
            Some(Place { start, end, close })
        })
    }

    /// What a row holds that it may not, and where. The row is given without its line end; its quotes are closed.
    pub(crate) fn odd(&self, row: &[u8]) -> Option<(usize, Odd)> {
        let (mut backslash, mut bare_quote) = (None, false);
        for Place { start, end, close } in self.fields(row) {
            let plain = close.map_or(start, |close| close + 1);
            if let Some(at) = memchr2(b'\r', 0, &row[plain..end]) {
                let odd = if row[plain + at] == 0 { Odd::Nul } else { Odd::Return };
                return Some((plain + at, odd));
            }
            match (close, self.quote) {
                (Some(_), _) if plain < end => return Some((plain, Odd::AfterQuote)),
                (Some(close), _) if row[close - 1] == b'\\' => {
                    backslash.get_or_insert(close - 1);
                }
                (None, Some(quote)) => {
                    for at in memchr::memchr_iter(quote, &row[start..end]).map(|at| start + at) {
                        bare_quote = true;
                        if at > start && row[at - 1] == b'\\' {
                            backslash.get_or_insert(at - 1);
                        }
                    }
                }
                _ => {}
            }
        }
        backslash.filter(|_| bare_quote && self.escape.is_none()).map(|at| (at, Odd::Backslash))
    }

    /// Appends what a quoted field, given with its quotes, stands for.
    pub(crate) fn unquote(&self, field: &[u8], out: &mut Vec<u8>) {
        let Some(quote) = self.quote else { return out.extend_from_slice(field) };
        let mut from = 1;
        loop {
            let rest = field.get(from..).unwrap_or_default();
            let found = match self.escape {
                Some(escape) => memchr2(quote, escape, rest),
                None => memchr(quote, rest),
            };
            let Some(found) = found else { return out.extend_from_slice(rest) };
            out.extend_from_slice(&rest[..found]);
            let at = from + found;
            match field.get(at + 1) {
                Some(next) if field[at] != quote || *next == quote => out.push(*next),
                _ => return,
            }
            from = at + 2;
        }
    }
}
