//! What can be wrong with a line of JSON, and how a user is told.

use millpond_columns::types::{Column, Type};

use super::paths::Paths;
use super::scan::{Fault, Span, What};
use crate::text::problem::{LONE_RETURN, RowMessage, a, conversion, nul_bytes, outside, thousands, type_hint};

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowError {
    /// It is not UTF-8; the first wrong byte is here.
    NotUtf8 { at: u32 },
    /// It is over the limit.
    TooLong,
    /// It is not one JSON object.
    NotJson(Fault),
    /// A value is not of the type of its column (`slot` in the list of columns that are read), or not there.
    Value { slot: u32, start: u32, end: u32 },
}

/// What is needed to put a problem into words.
pub(super) struct RowExplainer<'a> {
    pub text: &'a [u8],
    /// Where the line is.
    pub line: Span,
    pub paths: &'a Paths,
    /// The columns that are read, by slot.
    pub columns: &'a [Column],
    pub row_limit: usize,
}

impl RowExplainer<'_> {
    pub(super) fn explain(&self, wrong: RowError) -> RowMessage {
        match wrong {
            RowError::NotUtf8 { at } => RowMessage::not_utf8(self.line(), (at - self.line.start) as usize),
            RowError::TooLong => {
                let bytes = thousands((self.line.end - self.line.start) as usize);
                let reason = format!("a row of {bytes} bytes is over the limit of {}", thousands(self.row_limit));
                RowMessage { is_final: true, ..RowMessage::row(reason) }
            }
            RowError::NotJson(fault) => self.not_json(fault),
            RowError::Value { slot, start, end } => {
                let column = &self.columns[slot as usize];
                let value = String::from_utf8_lossy(&self.text[start as usize..end as usize]).into_owned();
                let (reason, hint) = match &self.paths.pointers[slot as usize] {
                    _ if start < end => not_of_type(&value, column),
                    None => ("the field is missing".to_owned(), optional(column)),
                    Some(path) => (format!("the field {path} is missing"), optional(column)),
                };
                let (column, value) = (Some(column.name.clone()), (start < end).then_some(value));
                RowMessage { column, value, hint, is_final: true, ..RowMessage::row(reason) }
            }
        }
    }

    fn line(&self) -> &[u8] {
        &self.text[self.line.start as usize..self.line.end as usize]
    }

    fn not_json(&self, fault: Fault) -> RowMessage {
        // What starts like no object does not become one.
        let is_final = !matches!(self.line().trim_ascii_start(), [b'{' | 0, ..] | []);
        let told = self.syntax(fault);
        RowMessage { is_final: is_final || told.is_final, ..told }
    }

    fn syntax(&self, Fault { at, what }: Fault) -> RowMessage {
        let hint = || Some("a line is one object in braces, such as {\"name\": \"value\"}".to_owned());
        if what == What::NoObject {
            let kind = match self.text[at as usize] {
                b'[' => "an array",
                b'"' => "a string",
                b't' | b'f' => "a bool",
                b'n' => "null",
                _ => "a number",
            };
            return RowMessage { hint: hint(), ..RowMessage::row(format!("{kind} where an object is expected")) };
        }
        let place = at - self.line.start + 1;
        let (before, behind) = self.line().split_at((at - self.line.start) as usize);
        if behind.starts_with(&[0]) {
            let (count, hint) = nul_bytes(behind);
            let reason = format!("not JSON: {count} (from byte {})", thousands(place as usize));
            return RowMessage { hint: Some(hint), ..RowMessage::row(reason) };
        }
        if what == What::More && before.contains(&b'\r') {
            let (reason, hint) = LONE_RETURN;
            return RowMessage { hint: Some(hint.to_owned()), is_final: true, ..RowMessage::row(reason) };
        }
        if what == What::NoNumber {
            let word = if behind.starts_with(b"N") { "NaN" } else { "Infinity" };
            let hint = "the setting allow_nan reads NaN, Infinity and -Infinity in columns of floats";
            let reason = format!("not JSON: {word} is no number of JSON (byte {})", thousands(place as usize));
            return RowMessage { hint: Some(hint.to_owned()), ..RowMessage::row(reason) };
        }
        let expected = match what {
            What::NoObject | What::NoNumber | What::Value => "a value is expected",
            What::Key => "a field name in double quotes is expected",
            What::Colon => "a colon is expected",
            What::CommaOrBrace => "a comma or the closing brace is expected",
            What::CommaOrBracket => "a comma or the closing bracket is expected",
            What::More => "the object has ended, and more follows",
            What::Digit => "a digit is expected",
            What::Escape => "a backslash is not followed by an escape",
            What::Control => "a string holds a control character",
            What::OpenString => "a string is not closed",
            What::Deep => "objects and arrays are nested more than 128 deep",
        };
        let reason = match at {
            at if at >= self.line.end => format!("not JSON: the line ends where {}", expected.replace(" is", " was")),
            _ => format!("not JSON: {expected} (byte {})", thousands(place as usize)),
        };
        // An object over several lines, or no JSON from the start.
        let hint = if at >= self.line.end || place == 1 { hint() } else { python_hint(what, behind) };
        RowMessage { hint, is_final: what == What::More, ..RowMessage::row(reason) }
    }
}

/// What helps where a line is written as Python shows a dictionary.
fn python_hint(what: What, behind: &[u8]) -> Option<String> {
    match (what, behind) {
        (What::Value, [b'N' | b'T' | b'F', ..]) => Some("JSON writes null, true and false".to_owned()),
        (What::Value | What::Key, [b'\'', ..]) => Some("JSON writes text in double quotes".to_owned()),
        _ => None,
    }
}

fn not_of_type(value: &str, column: &Column) -> (String, Option<String>) {
    let ty = column.ty.ty;
    let inside = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or_default();
    if let Some((reason, hint)) = outside(ty, inside.as_bytes()) {
        return (format!("{} {reason}", shown(value)), Some(hint));
    }
    let is_number = value.starts_with('-') || value.starts_with(|first: char| first.is_ascii_digit());
    let reason = match ty {
        Type::Int if is_number && !value.contains(['.', 'e', 'E']) => "is outside the 64-bit range of int".to_owned(),
        Type::Float if is_number => "is outside the 64-bit range of float".to_owned(),
        Type::Str if value.starts_with('"') => "holds half of a pair of \\u escapes".to_owned(),
        ty => format!("is not {}", a(ty)),
    };
    let hint = if value == "null" { optional(column) } else { conversion(value, column).or_else(|| type_hint(ty)) };
    (format!("{} {reason}", shown(value)), hint)
}

fn optional(column: &Column) -> Option<String> {
    let optional = column.ty.ty.optional();
    (!column.ty.optional).then(|| format!("a column of type {optional} reads null where there is no value"))
}

/// A value as it stands in the file, cut if it is long.
fn shown(value: &str) -> String {
    const MOST: usize = 80;
    if value.chars().count() <= MOST {
        return value.to_owned();
    }
    let start: String = value.chars().take(MOST).collect();
    format!("{start}… ({} bytes)", thousands(value.len()))
}
