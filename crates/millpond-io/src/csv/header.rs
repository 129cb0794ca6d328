//! The header of a file: which column stands where.

use std::fs::File;
use std::path::Path;

use millpond_error::{Error, Result};
use millpond_plan::types::Schema;

use super::cut::Cutter;
use super::dialect::Dialect;
use super::options::Limits;
use crate::files::content::read_at;
use crate::text::format::{BOM, refuse_binary};
use crate::text::problem::{plural, shown, thousands};

/// The header of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Header {
    /// The names of the columns.
    pub names: Vec<String>,
    /// Where the first row starts.
    pub end: u64,
}

/// What the start of a file holds.
#[derive(Debug)]
pub(crate) enum Start {
    /// A header, with a newline behind it.
    Whole(Header),
    /// A header at the end of the file, without a newline: there may be more of it later.
    Unfinished(Header),
    /// Nothing but blank lines.
    Nothing,
}

/// Reads the header of a file of `size` bytes.
pub(crate) fn read(file: &File, path: &Path, size: u64, dialect: &Dialect, limits: &Limits) -> Result<Start> {
    let mut wanted = 4096u64;
    loop {
        let mut text = vec![0; wanted.min(size) as usize];
        read_at(file, path, &mut text, 0)?;
        let whole = text.len() as u64 == size;
        refuse_binary(&text, path)?;
        if let Some(start) = parse(&text, whole, dialect, path)? {
            return Ok(start);
        }
        if text.len() > limits.row_bytes {
            let limit = thousands(limits.row_bytes);
            return Err(Error::input(format!("{}:1: the header has more than {limit} bytes", path.display())));
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
        let line = text[start..line_end].strip_suffix(b"\r").unwrap_or(&text[start..line_end]);
        if line.is_empty() {
            if end.is_none() {
                return Ok(Some(Start::Nothing));
            }
            start = next;
            continue;
        }
        let number = 1 + memchr::memchr_iter(b'\n', &text[..start]).count();
        let names = fields(line, dialect)
            .map(|name| String::from_utf8(name).ok())
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| Error::input(format!("{}:{number}: the header is not UTF-8", path.display())))?;
        let header = Header { names, end: next as u64 };
        return Ok(Some(if end.is_some() { Start::Whole(header) } else { Start::Unfinished(header) }));
    }
}

/// The fields of a row, one by one.
pub(crate) fn fields<'a>(row: &'a [u8], dialect: &'a Dialect) -> impl Iterator<Item = Vec<u8>> + 'a {
    let mut next = Some(0);
    std::iter::from_fn(move || {
        let start = next?;
        let quoted = dialect.quote.is_some() && row.get(start) == dialect.quote.as_ref();
        let end = if quoted {
            dialect.quoted_end(row, start).unwrap_or(row.len())
        } else {
            memchr::memchr(dialect.delimiter, &row[start..]).map_or(row.len(), |n| start + n)
        };
        next = (end < row.len()).then_some(end + 1);
        let mut value = Vec::new();
        if quoted {
            dialect.unquote(&row[start..end], &mut value);
        } else {
            value.extend_from_slice(&row[start..end]);
        }
        Some(value)
    })
}

impl Header {
    /// The field of each column of the schema. A column that is not there, or there twice, is an `Input` error.
    pub fn positions(&self, schema: &Schema, limits: &Limits, file: &str) -> Result<Vec<usize>> {
        if self.names.len() > limits.columns {
            let (found, limit) = (plural(self.names.len(), "column"), thousands(limits.columns));
            return Err(Error::input(format!("{file}:1: {found} in the header are over the limit of {limit}")));
        }
        schema.columns().iter().map(|column| self.position(&column.name, file)).collect()
    }

    fn position(&self, name: &str, file: &str) -> Result<usize> {
        let mut found = self.names.iter().enumerate().filter(|(_, n)| *n == name).map(|(i, _)| i);
        match (found.next(), found.next()) {
            (Some(position), None) => Ok(position),
            (Some(first), Some(second)) => {
                let (first, second) = (first + 1, second + 1);
                Err(Error::input(format!("{file}:1: the header names {name:?} twice (fields {first} and {second})")))
            }
            _ => Err(self.missing(name, file)),
        }
    }

    fn missing(&self, name: &str, file: &str) -> Error {
        let mut names: Vec<_> =
            self.names.iter().map(|n| (distance(&n.to_lowercase(), &name.to_lowercase()), n)).collect();
        names.sort_by_key(|(distance, _)| *distance);
        let near: Vec<_> = names.iter().take(3).map(|(_, name)| shown(name)).collect();
        let hint = match (self.names.len(), names.first()) {
            (1, _) => format!("the header is one column, {}: is the delimiter right?", near[0]),
            (_, Some((distance, nearest))) if *distance <= name.len() / 3 + 1 => {
                format!("did you mean {}? the header has {}", shown(nearest), self.listed())
            }
            _ => format!("the header has {}", self.listed()),
        };
        Error::input(format!("{file}:1: no column {name:?} in the header; nearest: {}", near.join(", ")))
            .with_hint(hint)
    }

    fn listed(&self) -> String {
        const MOST: usize = 20;
        let names: Vec<_> = self.names.iter().take(MOST).map(|name| shown(name)).collect();
        let more =
            if self.names.len() > MOST { format!(" and {} more", self.names.len() - MOST) } else { String::new() };
        format!("{}{more}", names.join(", "))
    }
}

/// The number of characters to insert, remove or replace (Levenshtein); very long names are cut.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(100).collect(), b.chars().take(100).collect());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
