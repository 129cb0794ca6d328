//! What can be wrong with a row of CSV, and how a user is told.

use std::ops::Range;

use millpond_columns::dialect::hint;
use millpond_columns::types::{Column, Type};

use super::dialect::{Dialect, Odd};
use crate::text::problem::{
    LONE_RETURN, OPEN_QUOTE, RowMessage, a, conversion, nul_bytes, outside, plural, shown, thousands, type_hint,
};

/// What is wrong with a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowError {
    /// It has another number of fields than the header.
    Fields { found: u32 },
    /// A quote is never closed.
    Unclosed,
    /// It holds what it may not, here.
    Odd { at: u32, odd: Odd },
    /// It is not UTF-8; the first wrong byte is here.
    NotUtf8 { at: u32 },
    /// A field is over the limit.
    TooLong { field: u32, bytes: u32 },
    /// A field is not of the type of its column: `slot` in the list of columns that are read.
    Value { slot: u32, start: u32, end: u32 },
}

/// What is needed to put a problem into words.
pub(crate) struct RowExplainer<'a> {
    pub text: &'a [u8],
    /// Where the row is, without its line end.
    pub row: Range<u32>,
    /// The names in the header.
    pub header: &'a [String],
    /// The columns that are read, by slot.
    pub columns: &'a [Column],
    pub dialect: Dialect,
    pub field_limit: usize,
    /// Whether some values read as null beside the empty field.
    pub has_null_values: bool,
}

impl RowExplainer<'_> {
    pub(super) fn explain(&self, wrong: RowError) -> RowMessage {
        match wrong {
            RowError::Fields { found } => {
                let row = self.row();
                if let Some((at, odd)) = self.dialect.odd(row) {
                    let (reason, hint) = odd_reason(row, at, odd);
                    return RowMessage { hint, is_final: odd.is_final(), ..RowMessage::row(reason) };
                }
                let fields = self.header.len();
                let reason = format!("{} where the header has {}", plural(found as usize, "field"), thousands(fields));
                let hint = if found == 1 {
                    Some("is the delimiter right?".to_owned())
                } else {
                    self.is_late_quote(row)
                        .then(|| "white space before a quote makes the quote a part of the value: remove it".to_owned())
                };
                RowMessage { hint, is_final: found as usize > fields, ..RowMessage::row(reason) }
            }
            RowError::Unclosed => {
                RowMessage { to_end: true, hint: Some(open_quote_hint()), ..RowMessage::row(OPEN_QUOTE) }
            }
            RowError::Odd { at, odd } => {
                let row = self.row();
                let at = (at - self.row.start) as usize;
                let field = self.dialect.fields(row).position(|field| at <= field.end);
                // Only the field that is to blame is shown.
                let end = self.dialect.fields(row).find(|field| at <= field.end).map_or(row.len(), |field| field.end);
                let (reason, hint) = odd_reason(&row[..end], at, odd);
                let column = field.and_then(|field| self.header.get(field)).cloned();
                RowMessage { column, hint, is_final: odd.is_final(), ..RowMessage::row(reason) }
            }
            RowError::NotUtf8 { at } => RowMessage::not_utf8(self.row(), (at - self.row.start) as usize),
            RowError::TooLong { field, bytes } => {
                let (bytes, limit) = (thousands(bytes as usize), thousands(self.field_limit));
                let reason = format!("a field of {bytes} bytes is over the limit of {limit}");
                RowMessage {
                    column: self.header.get(field as usize).cloned(),
                    is_final: true,
                    ..RowMessage::row(reason)
                }
            }
            RowError::Value { slot, start, end } => {
                let column = &self.columns[slot as usize];
                let value = self.plain(&self.text[start as usize..end as usize]);
                let value = String::from_utf8_lossy(&value).into_owned();
                let (reason, hint) = not_of_type(&value, column, self.has_null_values);
                let (column, is_final) = (Some(column.name.clone()), end < self.row.end);
                RowMessage { column, value: Some(value), hint, is_final, ..RowMessage::row(reason) }
            }
        }
    }

    fn row(&self) -> &[u8] {
        &self.text[self.row.start as usize..self.row.end as usize]
    }

    /// Whether a field without quotes starts with white space and a quote.
    fn is_late_quote(&self, row: &[u8]) -> bool {
        let Some(quote) = self.dialect.quote else { return false };
        self.dialect
            .fields(row)
            .any(|field| row[field.start..field.end].trim_ascii_start().starts_with(&[quote]) && field.close.is_none())
    }

    /// What a field stands for.
    fn plain(&self, field: &[u8]) -> Vec<u8> {
        let mut value = Vec::new();
        match self.dialect.quote {
            Some(quote) if field.first() == Some(&quote) => self.dialect.unquote(field, &mut value),
            _ => value.extend_from_slice(field),
        }
        value
    }
}

/// What a row holds that it may not, and what may help. `at` is its place in the row.
pub(super) fn odd_reason(row: &[u8], at: usize, odd: Odd) -> (String, Option<String>) {
    let escape = || "where a backslash takes the meaning from a quote, say so: escape=\"\\\\\"".to_owned();
    match odd {
        Odd::AfterQuote => {
            let more = String::from_utf8_lossy(&row[at..]);
            let more = more.split('\n').next().unwrap_or_default();
            let hint = match row[..at] {
                [.., b'\\', _] => escape(),
                _ if more.trim_start().is_empty() || more.starts_with(char::is_whitespace) => {
                    "there is white space behind the quote".to_owned()
                }
                _ => "a quote inside quotes is written twice: \"say \"\"hi\"\"\"".to_owned(),
            };
            (format!("a field goes on behind its closing quote, with {}", shown(more)), Some(hint))
        }
        Odd::Return => {
            let (reason, hint) = LONE_RETURN;
            (reason.to_owned(), Some(hint.to_owned()))
        }
        Odd::Nul => {
            let (count, hint) = nul_bytes(&row[at..]);
            (format!("{count} outside quotes"), Some(hint))
        }
        Odd::Backslash => {
            ("a backslash stands before a quote, and a field without quotes holds a quote".to_owned(), Some(escape()))
        }
    }
}

/// What helps where a file ends inside quotes.
pub(super) fn open_quote_hint() -> String {
    let skip = hint("on_error: OnError::Skip", "on_error=\"skip\"");
    format!("a record that is still being written is read by a run after its end; {skip} leaves it out until then")
}

/// What databases and programs write where there is no value, in any case.
const NULL_WORDS: [&str; 14] =
    ["\\N", "null", "nil", "none", "na", "n/a", "#n/a", "nan", "-", "--", "?", ".", "undefined", "(null)"];

fn not_of_type(value: &str, column: &Column, has_null_values: bool) -> (String, Option<String>) {
    let ty = column.ty.ty;
    if value.is_empty() {
        let optional = ty.optional();
        let hint = (!column.ty.optional).then(|| format!("a column of type {optional} reads an empty field as null"));
        return (format!("the empty field is not {}", a(ty)), hint);
    }
    let digits = value.strip_prefix(['+', '-']).unwrap_or(value);
    if ty == Type::Int && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.is_empty() {
        return (format!("{} is outside the 64-bit range of int", shown(value)), None);
    }
    if let Some((reason, hint)) = outside(ty, value.as_bytes()) {
        let more = format!("; null_values=[{value:?}] reads it as null in an optional column");
        return (format!("{} {reason}", shown(value)), Some(hint + &more));
    }
    let reason = format!("{} is not {}", shown(value), a(ty));
    if NULL_WORDS.iter().any(|word| value.eq_ignore_ascii_case(word)) {
        let where_optional = if column.ty.optional { "" } else { " in an optional column" };
        let hint = match has_null_values {
            true if !column.ty.optional => "a value of null_values is null only in an optional column".to_owned(),
            _ => format!("null_values=[{value:?}] reads it as null{where_optional}"),
        };
        return (reason, Some(hint));
    }
    let hint = (value.trim() != value).then(|| "there is white space around the value".to_owned());
    (reason, hint.or_else(|| conversion(value, column)).or_else(|| type_hint(ty)))
}
