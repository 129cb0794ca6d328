//! Columns as they grow, batch by batch, into Arrow arrays.

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray};
use arrow_buffer::{BooleanBufferBuilder, Buffer, NullBufferBuilder, OffsetBuffer, ScalarBuffer};
use millpond_error::{Error, Result};
use millpond_plan::types::{ColumnType, Type};

use super::dialect::Dialect;
use super::split::Spans;
use super::value;

/// One column under construction.
#[derive(Debug)]
pub(crate) struct ColumnBuilder {
    values: Values,
    /// For an optional column.
    nulls: Option<NullBufferBuilder>,
}

#[derive(Debug)]
enum Values {
    Bool(BooleanBufferBuilder),
    Int(Vec<i64>),
    Float(Vec<f64>),
    Str { offsets: Vec<i32>, bytes: Vec<u8> },
}

/// Rows of a text that are all well-formed.
#[derive(Clone, Copy)]
pub(crate) struct Batch<'a> {
    pub text: &'a [u8],
    pub spans: &'a Spans,
    /// The number of fields of a row.
    pub fields: usize,
    pub dialect: &'a Dialect,
}

impl ColumnBuilder {
    pub fn new(ty: ColumnType) -> Self {
        let values = match ty.ty {
            Type::Bool => Values::Bool(BooleanBufferBuilder::new(0)),
            Type::Int => Values::Int(Vec::new()),
            Type::Float => Values::Float(Vec::new()),
            Type::Str => Values::Str { offsets: vec![0], bytes: Vec::new() },
        };
        ColumnBuilder { values, nulls: ty.optional.then(|| NullBufferBuilder::new(0)) }
    }

    /// Makes room for about this many rows; `bytes` is the size of the text that they come from.
    pub fn reserve(&mut self, rows: usize) {
        match &mut self.values {
            Values::Bool(_) => {}
            Values::Int(values) => values.reserve(rows),
            Values::Float(values) => values.reserve(rows),
            Values::Str { offsets, .. } => offsets.reserve(rows),
        }
    }

    /// Appends one field of all rows of a batch. A value that is not of the type becomes any other value, and `wrong`
    /// is told its row, start and end.
    pub fn append(&mut self, batch: Batch<'_>, field: usize, mut wrong: impl FnMut(usize, usize, usize)) {
        let Batch { text, spans, fields, .. } = batch;
        let plain = !spans.quoted && self.nulls.is_none();
        match &mut self.values {
            Values::Str { offsets, bytes } if plain => append_text(batch, field, offsets, bytes),
            Values::Int(values) if plain => {
                let first = values.len();
                values.resize(first + spans.rows(), 0);
                let mut free = values[first..].iter_mut();
                spans.for_each(fields, field, |row, start, end| match (value::int(text, start, end), free.next()) {
                    (Some(value), Some(place)) => *place = value,
                    _ => wrong(row, start, end),
                });
            }
            _ => self.append_any(batch, field, wrong),
        }
    }

    /// The same for quoted fields and nulls too.
    fn append_any(&mut self, batch: Batch<'_>, field: usize, mut wrong: impl FnMut(usize, usize, usize)) {
        let Batch { text, spans, fields, dialect } = batch;
        let mut unquoted = Vec::new();
        let ColumnBuilder { values, nulls } = self;
        spans.for_each(fields, field, |row, start, end| {
            let raw = &text[start..end];
            let quoted = spans.quoted && start < end && Some(raw[0]) == dialect.quote;
            let null = start == end && nulls.is_some();
            if let Some(nulls) = nulls.as_mut() {
                nulls.append(!null);
            }
            if let Values::Str { offsets, bytes } = values {
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
            let read = match &mut *values {
                _ if null => true,
                Values::Int(values) if !quoted => {
                    value::int(text, start, end).map(|value| values.push(value)).is_some()
                }
                values => values.push(plain),
            };
            if null || !read {
                values.push_any();
            }
            if !read {
                wrong(row, start, end);
            }
        });
    }

    /// The finished column.
    pub fn finish(self) -> Result<ArrayRef> {
        let nulls = self.nulls.and_then(|mut nulls| nulls.finish());
        Ok(match self.values {
            Values::Bool(mut values) => Arc::new(BooleanArray::new(values.finish(), nulls)),
            Values::Int(values) => Arc::new(Int64Array::new(ScalarBuffer::from(values), nulls)),
            Values::Float(values) => Arc::new(Float64Array::new(ScalarBuffer::from(values), nulls)),
            Values::Str { offsets, bytes } => {
                let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
                let array = StringArray::try_new(offsets, Buffer::from_vec(bytes), nulls);
                Arc::new(array.map_err(|error| Error::input(format!("text that is not UTF-8: {error}")))?)
            }
        })
    }
}

impl Values {
    /// Appends what an unquoted field says, if it is of the type; not for text.
    fn push(&mut self, field: &[u8]) -> bool {
        match self {
            Values::Bool(values) => value::bool(field).map(|value| values.append(value)).is_some(),
            Values::Int(values) => value::int_slow(field).map(|value| values.push(value)).is_some(),
            Values::Float(values) => value::float(field).map(|value| values.push(value)).is_some(),
            Values::Str { .. } => false,
        }
    }

    fn push_any(&mut self) {
        match self {
            Values::Bool(values) => values.append(false),
            Values::Int(values) => values.push(0),
            Values::Float(values) => values.push(0.0),
            Values::Str { .. } => {}
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
