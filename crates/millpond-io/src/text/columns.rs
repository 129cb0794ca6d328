//! Columns as they grow, batch by batch, into Arrow arrays.

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array};
use arrow_buffer::{BooleanBufferBuilder, NullBufferBuilder, ScalarBuffer};
use millpond_plan::types::{ColumnType, Type};

/// One column under construction.
#[derive(Debug)]
pub(crate) struct ColumnBuilder {
    pub values: Values,
    /// For an optional column.
    pub nulls: Option<NullBufferBuilder>,
}

/// The values of a column, with any value where the cell is null.
#[derive(Debug)]
pub(crate) enum Values {
    Bool(BooleanBufferBuilder),
    Int(Vec<i64>),
    Float(Vec<f64>),
    /// Points in time or durations, of this type.
    Time(Vec<i64>, Type),
    Str {
        offsets: Vec<i32>,
        bytes: Vec<u8>,
    },
    /// Of this type, other than `str`, that is stored as bytes.
    Bytes {
        offsets: Vec<i32>,
        bytes: Vec<u8>,
        ty: Type,
    },
}

impl ColumnBuilder {
    pub(crate) fn new(ty: ColumnType) -> Self {
        let values = match ty.ty {
            Type::Bool => Values::Bool(BooleanBufferBuilder::new(0)),
            Type::Int => Values::Int(Vec::new()),
            Type::Float => Values::Float(Vec::new()),
            Type::DateTimeNaive | Type::DateTimeUtc | Type::Duration => Values::Time(Vec::new(), ty.ty),
            Type::Str => Values::Str { offsets: vec![0], bytes: Vec::new() },
            Type::Bytes | Type::Json | Type::Tuple(_) | Type::List(_) => {
                Values::Bytes { offsets: vec![0], bytes: Vec::new(), ty: ty.ty }
            }
        };
        ColumnBuilder { values, nulls: ty.optional.then(|| NullBufferBuilder::new(0)) }
    }

    /// Makes room for about this many rows; `bytes` is the size of the text that they come from.
    pub(crate) fn reserve(&mut self, rows: usize) {
        match &mut self.values {
            Values::Bool(_) => {}
            Values::Int(values) => values.reserve(rows),
            Values::Float(values) => values.reserve(rows),
            Values::Time(values, _) => values.reserve(rows),
            Values::Str { offsets, .. } | Values::Bytes { offsets, .. } => offsets.reserve(rows),
        }
    }

    /// Appends nulls, to an optional column.
    pub(crate) fn append_nulls(&mut self, count: usize) {
        if let Some(nulls) = &mut self.nulls {
            nulls.append_n_nulls(count);
        }
        match &mut self.values {
            Values::Str { offsets, bytes } => offsets.resize(offsets.len() + count, bytes.len() as i32),
            values => (0..count).for_each(|_| values.push_any()),
        }
    }

    /// The finished column.
    pub(crate) fn finish(self) -> ArrayRef {
        let nulls = self.nulls.and_then(|mut nulls| nulls.finish());
        match self.values {
            Values::Bool(mut values) => Arc::new(BooleanArray::new(values.finish(), nulls)),
            Values::Int(values) => Arc::new(Int64Array::new(ScalarBuffer::from(values), nulls)),
            Values::Float(values) => Arc::new(Float64Array::new(ScalarBuffer::from(values), nulls)),
            Values::Time(values, ty) => ty.int_array(ScalarBuffer::from(values), nulls),
            Values::Str { offsets, bytes } => {
                Type::Str.byte_array(offsets, bytes, nulls).expect("text that its format has checked")
            }
            Values::Bytes { offsets, bytes, ty } => {
                ty.byte_array(offsets, bytes, nulls).expect("bytes of any kind, which end where they were appended")
            }
        }
    }
}

impl Values {
    /// Appends any value: the cell is null, or its row is left out.
    pub(crate) fn push_any(&mut self) {
        match self {
            Values::Bool(values) => values.append(false),
            Values::Int(values) => values.push(0),
            Values::Float(values) => values.push(0.0),
            Values::Time(values, _) => values.push(0),
            Values::Str { .. } => {}
            Values::Bytes { offsets, bytes, .. } => offsets.push(bytes.len() as i32),
        }
    }
}
