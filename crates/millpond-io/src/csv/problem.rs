//! What can be wrong with a row of CSV, and how a user is told.

use millpond_plan::types::{Column, Type};

use super::dialect::Dialect;
use crate::text::problem::{Told, a, plural, shown, thousands, type_hint};

/// What is wrong with a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// It has another number of fields than the header.
    Fields { found: u32 },
    /// A quote is never closed.
    Unclosed,
    /// It is not UTF-8; the first wrong byte is here.
    NotUtf8 { at: u32 },
    /// A field is over the limit.
    TooLong { field: u32, bytes: u32 },
    /// A field is not of the type of its column: `slot` in the list of columns that are read.
    Value { slot: u32, start: u32, end: u32 },
}

/// What is needed to put a problem into words.
pub(crate) struct Teller<'a> {
    pub text: &'a [u8],
    /// The names in the header.
    pub header: &'a [String],
    /// The columns that are read, by slot.
    pub columns: &'a [Column],
    pub dialect: Dialect,
    pub field_limit: usize,
}

impl Teller<'_> {
    pub fn tell(&self, wrong: Wrong) -> Told {
        match wrong {
            Wrong::Fields { found } => {
                let fields = self.header.len();
                let reason = format!("{} where the header has {}", plural(found as usize, "field"), thousands(fields));
                Told { hint: (found == 1).then(|| "is the delimiter right?".to_owned()), ..Told::row(reason) }
            }
            Wrong::Unclosed => Told::row("a quote opens here and is never closed"),
            Wrong::NotUtf8 { at } => Told::not_utf8(self.text[at as usize]),
            Wrong::TooLong { field, bytes } => {
                let (bytes, limit) = (thousands(bytes as usize), thousands(self.field_limit));
                let reason = format!("a field of {bytes} bytes is over the limit of {limit}");
                Told { column: self.header.get(field as usize).cloned(), ..Told::row(reason) }
            }
            Wrong::Value { slot, start, end } => {
                let column = &self.columns[slot as usize];
                let value = self.plain(&self.text[start as usize..end as usize]);
                let value = String::from_utf8_lossy(&value).into_owned();
                let (reason, hint) = not_of_type(&value, column);
                Told { column: Some(column.name.clone()), value: Some(value), reason, hint }
            }
        }
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

fn not_of_type(value: &str, column: &Column) -> (String, Option<String>) {
    let ty = column.ty.ty;
    if value.is_empty() {
        let hint = (!column.ty.optional).then(|| format!("an optional column ({ty}?) reads an empty field as null"));
        return (format!("the empty field is not {}", a(ty)), hint);
    }
    let digits = value.strip_prefix(['+', '-']).unwrap_or(value);
    if ty == Type::Int && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.is_empty() {
        return (format!("{} is outside the 64-bit range of int", shown(value)), None);
    }
    let hint = (value.trim() != value).then(|| "there is white space around the value".to_owned());
    (format!("{} is not {}", shown(value), a(ty)), hint.or_else(|| type_hint(ty)))
}
