//! The bytes that give a CSV text its structure, and how quoted fields read.
//!
//! A field is quoted if its very first byte is the quote; anywhere else in an unquoted field a quote is a plain byte.
//! Inside quotes a doubled quote is one quote, and the escape (if there is one) takes the next byte literally. What
//! stands between a closing quote and the end of the field is taken as it is. Rows end with `\n` or `\r\n`; a `\r`
//! elsewhere is a plain byte. These are the rules of the `csv` crate, apart from the lone `\r`.

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

impl Dialect {
    /// Finds the closing quote, from a position inside quotes. `at_end` says that no text will follow.
    pub fn closing(&self, text: &[u8], mut from: usize, at_end: bool) -> Closing {
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

    /// The end of the quoted field that opens at `open`: the position of its delimiter or newline, or the end of the
    /// text. `None` if the quote is never closed.
    pub fn quoted_end(&self, text: &[u8], open: usize) -> Option<usize> {
        match self.closing(text, open + 1, true) {
            Closing::Beyond(_) => None,
            Closing::At(close) => {
                let rest = &text[close + 1..];
                Some(memchr2(self.delimiter, b'\n', rest).map_or(text.len(), |n| close + 1 + n))
            }
        }
    }

    /// Appends what a quoted field, given with its quotes, stands for.
    pub fn unquote(&self, field: &[u8], out: &mut Vec<u8>) {
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
                _ => return out.extend_from_slice(&field[at + 1..]),
            }
            from = at + 2;
        }
    }
}
