//! Fields of CSV, appended to columns batch by batch.

use millpond_columns::ColumnBuilder;
use millpond_columns::builder::Values;
use millpond_columns::types::Type;
use millpond_plan::{json, text_codec, time};

use super::dialect::Dialect;
use super::split::Spans;
use crate::text::value;

/// Rows of a text that are all well-formed.
#[derive(Clone, Copy)]
pub(crate) struct Batch<'a> {
    pub text: &'a [u8],
    pub spans: &'a Spans,
    /// The number of fields of a row.
    pub fields: usize,
    pub dialect: &'a Dialect,
    /// What a field reads that is null, beside the empty one.
    pub null_values: &'a [Box<[u8]>],
}

/// Appends one field of all rows of a batch to a column. A value that is not of the type becomes any other value, and
/// `wrong` is told its row, start and end.
pub(crate) fn append_fields(
    column: &mut ColumnBuilder,
    batch: Batch<'_>,
    field: usize,
    mut wrong: impl FnMut(usize, usize, usize),
) {
    let Batch { text, spans, fields, .. } = batch;
    let plain = !spans.quoted && !column.ty.optional;
    match (column.ty.ty, &mut column.values) {
        (Type::Str, Values::Bytes { offsets, bytes }) if plain => append_text(batch, field, offsets, bytes),
        (Type::Int, Values::Int(values)) if plain => {
            let first = values.len();
            values.resize(first + spans.rows(), 0);
            let mut free = values[first..].iter_mut();
            spans.for_each(fields, field, |row, start, end| match (value::int(text, start, end), free.next()) {
                (Some(value), Some(place)) => *place = value,
                _ => wrong(row, start, end),
            });
        }
        _ => append_any(column, batch, field, wrong),
    }
}

/// The same for quoted fields and nulls too.
fn append_any(column: &mut ColumnBuilder, batch: Batch<'_>, field: usize, mut wrong: impl FnMut(usize, usize, usize)) {
    let Batch { text, spans, fields, dialect, .. } = batch;
    let mut unquoted = Vec::new();
    let ColumnBuilder { ty: column_type, values, nulls } = column;
    let ty = column_type.ty;
    // Only in text do quotes tell what is written from what is not there.
    let is_text = matches!(ty, Type::Str | Type::Bytes);
    spans.for_each(fields, field, |row, start, end| {
        let raw = &text[start..end];
        let quoted = spans.quoted && start < end && Some(raw[0]) == dialect.quote;
        let null = column_type.optional && batch.is_null(raw, quoted, is_text, ty == Type::Json);
        if column_type.optional {
            nulls.append(!null);
        }
        if let (Type::Str, Values::Bytes { offsets, bytes }) = (ty, &mut *values) {
            if quoted {
                dialect.unquote(raw, bytes);
            } else {
                bytes.extend_from_slice(raw);
            }
            return offsets.push(bytes.len() as i32);
        }
        let plain = if quoted {
            unquoted.clear();
            dialect.unquote(raw, &mut unquoted);
            &unquoted[..]
        } else {
            raw
        };
        let read = match (ty, &mut *values) {
            _ if null => true,
            (Type::Int, Values::Int(values)) if !quoted => {
                value::int(text, start, end).map(|value| values.push(value)).is_some()
            }
            (_, values) => push(values, ty, plain),
        };
        if null || !read {
            values.push_any();
        }
        if !read {
            wrong(row, start, end);
        }
    });
}

impl Batch<'_> {
    /// Whether a field of an optional column is null.
    #[inline]
    fn is_null(&self, raw: &[u8], quoted: bool, is_text: bool, is_json: bool) -> bool {
        let inside = match raw {
            [] => return true,
            [_, inside @ .., _] if quoted && !is_text => inside,
            _ if quoted => return false,
            _ => raw,
        };
        let spells_none = inside.is_empty() || is_json && inside.trim_ascii() == json::NULL;
        spells_none || !self.null_values.is_empty() && self.null_values.iter().any(|value| **value == *inside)
    }
}

/// Appends what an unquoted field says, if it is of the type; not for text.
fn push(values: &mut Values, ty: Type, field: &[u8]) -> bool {
    match values {
        Values::Bool(values) => value::bool(field).map(|value| values.append(value)).is_some(),
        Values::Int(values) if ty.is_time() => time::read(ty, field).map(|value| values.push(value)).is_some(),
        Values::Int(values) => value::int_slow(field).map(|value| values.push(value)).is_some(),
        Values::Float(values) => value::float(field).map(|value| values.push(value)).is_some(),
        Values::Bytes { offsets, bytes } => {
            let read = text_codec::read(ty, field, bytes);
            if read {
                offsets.push(bytes.len() as i32);
            }
            read
        }
    }
}

/// Appends unquoted text. Short fields are copied as 16 bytes each; the next field overwrites what is too much.
fn append_text(batch: Batch<'_>, field: usize, offsets: &mut Vec<i32>, bytes: &mut Vec<u8>) {
    const SHORT: usize = 16;
    let Batch { text, spans, fields, .. } = batch;
    let mut total = 0;
    spans.for_each(fields, field, |_, start, end| total += end - start);
    let mut at = bytes.len();
    bytes.resize(at + total + SHORT, 0);
    spans.for_each(fields, field, |_, start, end| {
        let length = end - start;
        match text.get(start..start + SHORT) {
            Some(short) if length <= SHORT => bytes[at..at + SHORT].copy_from_slice(short),
            _ => bytes[at..at + length].copy_from_slice(&text[start..end]),
        }
        at += length;
        offsets.push(at as i32);
    });
    bytes.truncate(at);
}
