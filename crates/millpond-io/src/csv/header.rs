//! The header of a file: which column stands where.

use std::fs::File;
use std::path::Path;

use millpond_columns::types::Schema;
use millpond_error::{Error, Result};

use super::cut::Cutter;
use super::dialect::{Dialect, Odd, Place};
use super::options::Limits;
use super::problem::odd_reason;
use crate::files::content::read_at;
use crate::text::cut::Cut;
use crate::text::format::{BOM, refuse_binary};
use crate::text::problem::{plural, shown, thousands};
use crate::text::waiting::count_lines;

/// The header of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Header {
    /// The names of the columns.
    pub names: Vec<String>,
    /// The physical line that it starts in.
    pub line: u64,
    /// Where the first row starts.
    pub end: u64,
}

/// What the start of a file holds.
#[derive(Debug)]
pub(crate) enum Start {
    /// A header, with a newline behind it.
    Whole(Header),
    /// A header that ends with the file: there may be more of it later.
    Unfinished(Unfinished),
    /// Nothing but blank lines.
    Nothing,
}

/// A header that ends with the file.
#[derive(Debug)]
pub(crate) struct Unfinished {
    /// As it is; an error, if it cannot be read so.
    pub header: Result<Header>,
    /// The physical line that it starts in.
    pub line: u64,
    /// Its length.
    pub bytes: u64,
    /// The lines that it is in.
    pub lines: u64,
    /// The line of a quote that is open in it.
    pub open_quote: Option<u64>,
    /// Whether the file ends with a newline, inside that quote.
    pub ends_line: bool,
}

/// Reads the header of a file of `size` bytes.
pub(crate) fn read(file: &File, path: &Path, size: u64, dialect: &Dialect, limits: &Limits) -> Result<Start> {
    let mut wanted = 4096u64;
    loop {
        let mut text = vec![0; wanted.min(size) as usize];
        read_at(file, path, &mut text, 0)?;
        let whole = text.len() as u64 == size;
        refuse_binary(&text, path)?;
        let start = parse(&text, whole, dialect, path)?;
        let bytes = match &start {
            Some(Start::Unfinished(unfinished)) => unfinished.bytes as usize,
            Some(_) => 0,
            None => text.len(),
        };
        if bytes > limits.row_bytes {
            let limit = thousands(limits.row_bytes);
            return Err(Error::input(format!("{}:1: the header has more than {limit} bytes", path.display())));
        }
        if let Some(start) = start {
            return Ok(start);
        }
        wanted *= 8;
    }
}

/// The header in the first bytes of a file; `None` if it does not end in them.
fn parse(text: &[u8], whole: bool, dialect: &Dialect, path: &Path) -> Result<Option<Start>> {
    let mut start = if text.starts_with(BOM) { BOM.len() } else { 0 };
    loop {
        let mut cutter = Cutter::new(*dialect, start);
        let end = cutter.first_row_end(text, whole);
        let (line_end, next) = match end {
            Some(end) => (end - 1, end),
            None if whole => (text.len(), text.len()),
            None => return Ok(None),
        };
        let row = text[start..line_end].strip_suffix(b"\r").unwrap_or(&text[start..line_end]);
        if row.is_empty() {
            if end.is_none() {
                return Ok(Some(Start::Nothing));
            }
            start = next;
            continue;
        }
        let line_at = |at: usize| 1 + memchr::memchr_iter(b'\n', &text[..at]).count() as u64;
        let line = line_at(start);
        let place = format!("{}:{line}", path.display());
        let open = cutter.open_quote().filter(|_| end.is_none());
        // More of it would not help, nor does a quote that opens in what is taken for the header of a file without newlines.
        if open.is_none() && memchr::memchr(b'\r', row).is_some() {
            names(row, dialect, &place)?;
        } else if open.is_some()
            && let Some(at) = lone_return(row)
        {
            let (reason, hint) = odd_reason(row, at, Odd::Return);
            let error = Error::input(format!("{place}: the header: {reason}"));
            return Err(hint.map_or(error.clone(), |hint| error.with_hint(hint)));
        }
        let header = match open {
            Some(_) => Err(Error::input(format!("{place}: a quote opens in the header and is never closed"))
                .with_hint("a header that is still being written is read by a run after its end")),
            None => names(row, dialect, &place).map(|names| Header { names, line, end: next as u64 }),
        };
        return Ok(Some(match end {
            Some(_) => Start::Whole(header?),
            None => Start::Unfinished(Unfinished {
                header,
                line,
                bytes: (text.len() - start) as u64,
                lines: count_lines(&text[start..]),
                open_quote: open.map(|open| line_at(open as usize)),
                ends_line: text.ends_with(b"\n"),
            }),
        }));
    }
}

/// A carriage return that no newline follows.
fn lone_return(row: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b'\r', row).find(|at| row.get(at + 1) != Some(&b'\n'))
}

/// The names in a header, which is given without its line end. `place` is its file and line.
fn names(row: &[u8], dialect: &Dialect, place: &str) -> Result<Vec<String>> {
    if let Some((at, odd)) = dialect.odd(row) {
        let (reason, hint) = odd_reason(row, at, odd);
        let error = Error::input(format!("{place}: the header: {reason}"));
        return Err(hint.map_or(error.clone(), |hint| error.with_hint(hint)));
    }
    let name = |Place { start, end, close }| {
        let mut name = Vec::new();
        match close {
            Some(_) => dialect.unquote(&row[start..end], &mut name),
            None => name.extend_from_slice(&row[start..end]),
        }
        String::from_utf8(name).map_err(|_| Error::input(format!("{place}: the header is not UTF-8")))
    };
    dialect.fields(row).map(name).collect()
}

impl Header {
    /// The field of each column of the schema; `None` for an optional one that is not there. A column that must be
    /// there, or is there twice, is an `Input` error, and so is a header without any of the columns.
    pub(super) fn positions(&self, schema: &Schema, limits: &Limits, file: &str) -> Result<Vec<Option<usize>>> {
        if self.names.len() > limits.columns {
            let (found, limit) = (plural(self.names.len(), "column"), thousands(limits.columns));
            return Err(Error::input(format!(
                "{file}:{}: {found} in the header are over the limit of {limit}",
                self.line
            )));
        }
        let positions = schema.columns().iter().map(|column| match self.position(&column.name, file)? {
            None if !column.ty.optional => Err(self.missing(&column.name, schema, file)),
            position => Ok(position),
        });
        let positions: Vec<_> = positions.collect::<Result<_>>()?;
        match schema.columns().first() {
            Some(first) if positions.iter().all(Option::is_none) => Err(self.missing(&first.name, schema, file)),
            _ => Ok(positions),
        }
    }

    fn position(&self, name: &str, file: &str) -> Result<Option<usize>> {
        let mut found = self.names.iter().enumerate().filter(|(_, n)| *n == name).map(|(i, _)| i);
        match (found.next(), found.next()) {
            (Some(first), Some(second)) => {
                let (line, first, second) = (self.line, first + 1, second + 1);
                Err(Error::input(format!(
                    "{file}:{line}: the header names {name:?} twice (fields {first} and {second})"
                )))
            }
            (first, _) => Ok(first),
        }
    }

    fn missing(&self, name: &str, schema: &Schema, file: &str) -> Error {
        let is_asked = |known: &str| schema.columns().iter().any(|column| column.name == known);
        let mut names: Vec<_> = self.names.iter().map(|known| (distance(known, name), known)).collect();
        names.sort_by_key(|(distance, _)| *distance);
        let near: Vec<_> = names.iter().take(3).map(|(_, name)| shown(name)).collect();
        let padded = self.names.iter().find(|padded| padded.trim() == name);
        // One that is another column of the schema is not what was meant.
        let nearest = names.iter().find(|(_, known)| !is_asked(known) && !known.is_empty());
        let hint = match nearest {
            _ if let Some(padded) = padded => {
                let padded = shown(padded);
                format!("{padded} has white space around it: remove it there, or name the column of the schema so")
            }
            _ if self.looks_like_a_row() && !self.names.iter().any(|known| is_asked(known)) => {
                let columns: Vec<_> = schema.columns().iter().map(|column| column.name.as_str()).collect();
                format!(
                    "the first line must be the header, with the names of the columns, such as {}; here it is {}",
                    columns.join(","),
                    self.listed()
                )
            }
            _ if self.names.len() == 1 && !is_asked(&self.names[0]) => {
                format!("the header is one column, {}: is the delimiter right?", near[0])
            }
            Some((distance, nearest)) if *distance <= name.len() / 3 + 1 && *distance < name.chars().count() => {
                format!("did you mean {}? the header has {}", shown(nearest), self.listed())
            }
            _ => format!("the header has {}", self.listed()),
        };
        let (line, near) = (self.line, near.join(", "));
        Error::input(format!("{file}:{line}: no column {name:?} in the header; nearest: {near}")).with_hint(hint)
    }

    /// Whether the first line is a row rather than names: one of its fields is a number.
    fn looks_like_a_row(&self) -> bool {
        self.names.iter().any(|name| name.trim().parse::<f64>().is_ok_and(f64::is_finite))
    }

    fn listed(&self) -> String {
        const MOST: usize = 20;
        let names: Vec<_> = self.names.iter().take(MOST).map(|name| shown(name)).collect();
        let more =
            if self.names.len() > MOST { format!(" and {} more", self.names.len() - MOST) } else { String::new() };
        format!("{}{more}", names.join(", "))
    }
}

/// The number of characters to insert, remove or replace (Levenshtein), without regard to case; very long names are
/// cut.
fn distance(a: &str, b: &str) -> usize {
    let cut = |text: &str| text.to_lowercase().chars().take(100).collect::<String>();
    strsim::levenshtein(&cut(a), &cut(b))
}
