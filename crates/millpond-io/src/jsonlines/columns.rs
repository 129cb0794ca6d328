//! Values of JSON, appended to columns batch by batch.

use arrow_buffer::NullBufferBuilder;
use millpond_columns::ColumnBuilder;
use millpond_columns::builder::Values;
use millpond_columns::types::Type;
use millpond_plan::json::string::unescape;
use millpond_plan::{text_codec, time};

use super::scan::{Span, Spans};
use crate::text::value;

/// Rows of a text that are all JSON.
#[derive(Clone, Copy)]
pub(super) struct Batch<'a> {
    pub text: &'a [u8],
    pub spans: &'a Spans,
    /// The number of columns.
    pub slots: usize,
    /// Whether `null` is a value like others.
    pub null_is_value: bool,
}

/// Appends the values of one column in all rows of a batch. For a value that is not of the type, or is missing and may
/// not be, any other value is appended, and `wrong` is told its row and where it stands.
pub(super) fn append_values(column: &mut ColumnBuilder, batch: Batch<'_>, slot: usize, wrong: impl FnMut(usize, Span)) {
    let Batch { text, spans, .. } = batch;
    let ty = column.ty.ty;
    let nulls = column.ty.optional.then_some(&mut column.nulls);
    match &mut column.values {
        Values::Bool(values) => batch.for_each(slot, nulls, wrong, |span| {
            let value = span.map(|(start, _)| text[start]).filter(|first| matches!(first, b't' | b'f'));
            values.append(value == Some(b't'));
            value.is_some()
        }),
        Values::Int(values) if ty.is_time() => batch.for_each(slot, nulls, wrong, |span| {
            let value = span.and_then(|(start, end)| {
                let inside = text[start..end].strip_prefix(b"\"")?.strip_suffix(b"\"")?;
                time::read(ty, inside)
            });
            values.push(value.unwrap_or(0));
            value.is_some()
        }),
        Values::Int(values) => batch.for_each(slot, nulls, wrong, |span| {
            let value = span.and_then(|(start, end)| value::int(text, start, end));
            values.push(value.unwrap_or(0));
            value.is_some()
        }),
        Values::Float(values) => batch.for_each(slot, nulls, wrong, |span| {
            let value = span.and_then(|(start, end)| float(&text[start..end]));
            values.push(value.unwrap_or(0.0));
            value.is_some()
        }),
        Values::Bytes { offsets, bytes } if ty == Type::Str => batch.for_each(slot, nulls, wrong, |span| {
            let read = span.filter(|(start, _)| text[*start] == b'"').is_some_and(|(start, end)| {
                let inside = &text[start + 1..end - 1];
                if spans.escaped {
                    return unescape(inside, bytes);
                }
                bytes.extend_from_slice(inside);
                true
            });
            offsets.push(bytes.len() as i32);
            read
        }),
        Values::Bytes { offsets, bytes } => {
            // JSON's null is a value where there may be no other.
            let null_is_value = ty == Type::Json && nulls.is_none();
            Batch { null_is_value, ..batch }.for_each(slot, nulls, wrong, |span| {
                let read = span.is_some_and(|(start, end)| text_codec::read_json(ty, &text[start..end], bytes));
                offsets.push(bytes.len() as i32);
                read
            });
        }
    }
}

impl Batch<'_> {
    /// Calls `read` with the place of one column's value in every row, `None` if it is null or missing; `read` says
    /// whether it is of the type.
    #[inline]
    fn for_each(
        &self,
        slot: usize,
        mut nulls: Option<&mut NullBufferBuilder>,
        mut wrong: impl FnMut(usize, Span),
        mut read: impl FnMut(Option<(usize, usize)>) -> bool,
    ) {
        for row in 0..self.spans.rows() {
            let span = self.spans.values[row * self.slots + slot];
            let (start, end) = (span.start as usize, span.end as usize);
            let null = start == end || (self.text[start] == b'n' && !self.null_is_value);
            let good = read((!null).then_some((start, end)));
            if let Some(nulls) = &mut nulls {
                nulls.append(!null);
                if null {
                    continue;
                }
            }
            if !good {
                wrong(row, span);
            }
        }
    }
}

/// A number in the range of 64-bit floats, or one of the strings that stand for those which JSON has no number for.
pub(super) fn float(value: &[u8]) -> Option<f64> {
    match value {
        [b'"', name @ .., b'"'] | name @ ([b'N' | b'I', ..] | [b'-', b'I', ..]) => text_codec::float_of_name(name),
        [b'-' | b'0'..=b'9', ..] => value::float(value).filter(|value| value.is_finite()),
        _ => None,
    }
}
