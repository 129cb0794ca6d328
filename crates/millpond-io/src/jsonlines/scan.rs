//! One pass over a line: whether it is JSON, and where the values of the columns stand in it.
//!
//! Values that no column is in are passed over without recursion; only the paths of the columns are followed by it. The
//! grammar is that of RFC 8259.

use millpond_plan::json::MAX_DEPTH;
use millpond_plan::json::string::{plain_bytes, unescape};

use super::paths::Paths;

/// A value as it stands in the text, or nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub start: u32,
    /// Equal to `start` if there is no value.
    pub end: u32,
}

/// The values of a batch of rows.
#[derive(Debug, Default)]
pub struct Spans {
    /// The start and end of each line.
    pub(super) lines: Vec<Span>,
    /// The values of the columns, row after row.
    pub(super) values: Vec<Span>,
    /// Whether a string of the batch may hold an escape.
    pub(super) escaped: bool,
    key: Vec<u8>,
}

/// Where and why a line is not one JSON object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    pub(super) at: u32,
    pub(super) what: What,
}

/// What stands at the place of a fault, or should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// The line is JSON, but no object.
    NoObject,
    /// `NaN`, `Infinity` or `-Infinity` starts here.
    NoNumber,
    Value,
    Key,
    Colon,
    CommaOrBrace,
    CommaOrBracket,
    /// Something follows the object.
    More,
    Digit,
    Escape,
    /// A control character in a string.
    Control,
    /// The string that starts here does not end.
    OpenString,
    Deep,
}

type Scanned<T> = Result<T, Fault>;

impl Spans {
    pub(super) fn clear(&mut self) {
        self.lines.clear();
        self.values.clear();
        self.escaped = false;
    }

    pub(super) fn rows(&self) -> usize {
        self.lines.len()
    }

    /// Takes up the line from `start` to the end of `text`, unless it is at fault. `allow_nan`: floats that are no
    /// numbers of JSON are values, too.
    pub(super) fn scan(&mut self, text: &[u8], start: usize, paths: &Paths, allow_nan: bool) -> Scanned<()> {
        let first = self.values.len();
        self.values.resize(first + paths.slots(), Span::default());
        let values = &mut self.values[first..];
        let key = &mut self.key;
        let mut scanner = Scanner { text, at: start, paths, values, escaped: false, key, allow_nan };
        let scanned = scanner.row();
        self.escaped |= scanner.escaped;
        match scanned {
            Ok(()) => self.lines.push(Span { start: start as u32, end: text.len() as u32 }),
            Err(_) => self.values.truncate(first),
        }
        scanned
    }
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    paths: &'a Paths,
    values: &'a mut [Span],
    escaped: bool,
    key: &'a mut Vec<u8>,
    allow_nan: bool,
}

impl Scanner<'_> {
    fn row(&mut self) -> Scanned<()> {
        self.space();
        if self.peek() != b'{' {
            return Err(self.no_object());
        }
        self.object(0, 0)?;
        self.space();
        if self.at < self.text.len() { self.fault(What::More) } else { Ok(()) }
    }

    #[cold]
    fn no_object(&mut self) -> Fault {
        let at = self.at as u32;
        let skipped = self.skip(0);
        self.space();
        match skipped {
            Err(fault) => fault,
            Ok(()) if self.at < self.text.len() => Fault { at, what: What::Value },
            Ok(()) => Fault { at, what: What::NoObject },
        }
    }

    /// The next byte; 0, which is not part of JSON, at the end.
    #[inline(always)]
    fn peek(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }

    #[inline(always)]
    fn space(&mut self) {
        while matches!(self.peek(), b' ' | b'\t' | b'\r' | b'\n') {
            self.at += 1;
        }
    }

    #[cold]
    fn fault<T>(&self, what: What) -> Scanned<T> {
        Err(Fault { at: self.at as u32, what })
    }

    /// Reads the value of a node, which is `depth` levels deep.
    fn value(&mut self, node: usize, depth: usize) -> Scanned<()> {
        let paths = self.paths;
        for slot in paths.slots_below(node) {
            self.values[*slot] = Span::default();
        }
        let start = self.at as u32;
        match self.peek() {
            b'{' if paths.has_fields(node) => self.object(node, depth)?,
            b'[' if paths.has_elements(node) => self.array(node, depth)?,
            _ => self.skip(depth)?,
        }
        for slot in paths.slots_at(node) {
            self.values[*slot] = Span { start, end: self.at as u32 };
        }
        Ok(())
    }

    fn object(&mut self, node: usize, depth: usize) -> Scanned<()> {
        self.deeper(depth)?;
        let mut next = 0;
        if self.is_empty(b'}') {
            return Ok(());
        }
        loop {
            let (start, end, escaped) = self.key()?;
            let name = &self.text[start..end];
            let child = if escaped {
                self.key.clear();
                if unescape(name, self.key) { self.paths.field(node, self.key, &mut next) } else { None }
            } else {
                self.paths.field(node, name, &mut next)
            };
            match child {
                Some(child) => self.value(child, depth + 1)?,
                None => self.skip(depth + 1)?,
            }
            self.space();
            match self.peek() {
                b',' => self.at += 1,
                b'}' => break,
                _ => return self.fault(What::CommaOrBrace),
            }
            self.space();
        }
        self.at += 1;
        Ok(())
    }

    fn array(&mut self, node: usize, depth: usize) -> Scanned<()> {
        self.deeper(depth)?;
        if self.is_empty(b']') {
            return Ok(());
        }
        for position in 0.. {
            match self.paths.element(node, position) {
                Some(child) => self.value(child, depth + 1)?,
                None => self.skip(depth + 1)?,
            }
            self.space();
            match self.peek() {
                b',' => self.at += 1,
                b']' => break,
                _ => return self.fault(What::CommaOrBracket),
            }
            self.space();
        }
        self.at += 1;
        Ok(())
    }

    fn deeper(&self, depth: usize) -> Scanned<()> {
        if depth == MAX_DEPTH { self.fault(What::Deep) } else { Ok(()) }
    }

    /// Goes into an object or array, and out again if it ends at once.
    #[inline]
    fn is_empty(&mut self, end: u8) -> bool {
        self.at += 1;
        self.space();
        let empty = self.peek() == end;
        self.at += usize::from(empty);
        empty
    }

    /// Passes over a value that is `base` levels deep.
    fn skip(&mut self, base: usize) -> Scanned<()> {
        // A bit for each level: whether it is an object.
        let (mut objects, mut depth) = (0u128, base);
        loop {
            let open = self.peek();
            match open {
                b'"' => drop(self.string()?),
                b'{' | b'[' => {
                    self.deeper(depth)?;
                    if !self.is_empty(open + 2) {
                        objects = objects & !(1 << depth) | u128::from(open == b'{') << depth;
                        depth += 1;
                        if open == b'{' {
                            self.key()?;
                        }
                        continue;
                    }
                }
                _ => self.atom()?,
            }
            loop {
                if depth == base {
                    return Ok(());
                }
                self.space();
                let in_object = objects >> (depth - 1) & 1 == 1;
                match (self.peek(), in_object) {
                    (b',', _) => {
                        self.at += 1;
                        self.space();
                        if in_object {
                            self.key()?;
                        }
                        break;
                    }
                    (b'}', true) | (b']', false) => {
                        self.at += 1;
                        depth -= 1;
                    }
                    (_, true) => return self.fault(What::CommaOrBrace),
                    (_, false) => return self.fault(What::CommaOrBracket),
                }
            }
        }
    }

    /// Reads a key and its colon; see [`Scanner::string`] for what it returns.
    #[inline]
    fn key(&mut self) -> Scanned<(usize, usize, bool)> {
        if self.peek() != b'"' {
            return self.fault(What::Key);
        }
        let key = self.string()?;
        self.space();
        if self.peek() != b':' {
            return self.fault(What::Colon);
        }
        self.at += 1;
        self.space();
        Ok(key)
    }

    /// Reads a string: where it starts and ends inside its quotes, and whether it holds an escape.
    #[inline]
    fn string(&mut self) -> Scanned<(usize, usize, bool)> {
        let start = self.at + 1;
        let mut escaped = false;
        self.at = start;
        loop {
            self.at += plain_bytes(&self.text[self.at..]);
            match self.peek() {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    self.escape()?;
                }
                _ if self.at >= self.text.len() => {
                    self.at = start - 1;
                    return self.fault(What::OpenString);
                }
                _ => return self.fault(What::Control),
            }
        }
        self.escaped |= escaped;
        self.at += 1;
        Ok((start, self.at - 1, escaped))
    }

    fn escape(&mut self) -> Scanned<()> {
        let length = match self.text.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
            Some(b'u') => {
                let digits = self.text.get(self.at + 2..self.at + 6).unwrap_or_default();
                if digits.len() < 4 || !digits.iter().all(u8::is_ascii_hexdigit) {
                    return self.fault(What::Escape);
                }
                6
            }
            _ => return self.fault(What::Escape),
        };
        self.at += length;
        Ok(())
    }

    /// Passes over a number, `true`, `false` or `null`.
    #[inline]
    fn atom(&mut self) -> Scanned<()> {
        let word: &[u8] = match self.peek() {
            b'-' if self.text.get(self.at + 1) == Some(&b'I') => return self.no_number(b"-Infinity"),
            b'-' | b'0'..=b'9' => return self.number(),
            b't' => b"true",
            b'f' => b"false",
            b'n' => b"null",
            b'N' => return self.no_number(b"NaN"),
            b'I' => return self.no_number(b"Infinity"),
            _ => return self.fault(What::Value),
        };
        if !self.text[self.at..].starts_with(word) {
            return self.fault(What::Value);
        }
        self.at += word.len();
        Ok(())
    }

    /// Passes over a float that JSON has no number for, if such are values.
    #[cold]
    fn no_number(&mut self, word: &[u8]) -> Scanned<()> {
        if !self.text[self.at..].starts_with(word) {
            return self.fault(What::Value);
        }
        if !self.allow_nan {
            return self.fault(What::NoNumber);
        }
        self.at += word.len();
        Ok(())
    }

    fn number(&mut self) -> Scanned<()> {
        self.at += usize::from(self.peek() == b'-');
        if self.peek() == b'0' {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == b'.' {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), b'e' | b'E') {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), b'+' | b'-'));
            self.digits()?;
        }
        Ok(())
    }

    #[inline]
    fn digits(&mut self) -> Scanned<()> {
        let start = self.at;
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        if self.at == start { self.fault(What::Digit) } else { Ok(()) }
    }
}
