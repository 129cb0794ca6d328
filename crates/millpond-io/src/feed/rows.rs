//! Rows on their way into columns: a builder for each column, filled cell by cell.

use std::borrow::Cow;
use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, BooleanBuilder, Float64Builder, Int64Builder, StringBuilder};
use arrow_array::{Array, ArrayRef};
use millpond_columns::float::canonical;
use millpond_columns::packed;
use millpond_columns::types::{Column, ColumnType, Schema, Type};
use millpond_engine::changes::Changes;
use millpond_error::{Error, Result};
use millpond_plan::{json, text_codec};

/// A row takes so much room at most, so that offsets into text have 32 bits.
const MOST_ROW_BYTES: usize = 1 << 28;

/// A value on its way into a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell<'a> {
    /// No value.
    Null,
    /// A value of a `bool` column.
    Bool(bool),
    /// A value of an `int` column.
    Int(i64),
    /// A value of a `float` column.
    Float(f64),
    /// A value of a `str` column.
    Str(&'a str),
    /// A point in time or a duration, of the type of its column, in nanoseconds.
    Time(Type, i64),
    /// A value of type `bytes`, `json`, or of a tuple or list type, of the type of its column, as it is stored.
    Stored(Type, Cow<'a, [u8]>),
}

impl<'a> Cell<'a> {
    /// A value of a `bytes` column.
    pub fn bytes(value: &'a [u8]) -> Self {
        Cell::Stored(Type::Bytes, Cow::Borrowed(value))
    }

    /// Whether it is none in a column of this type: null, or JSON's null where a value may be missing.
    pub fn is_none(&self, ty: ColumnType) -> bool {
        match self {
            Cell::Null => true,
            Cell::Stored(Type::Json, value) => ty.optional && **value == *json::NULL,
            _ => false,
        }
    }

    /// A value of a `json`, tuple or list column of type `ty`, of its JSON text.
    ///
    /// # Errors
    ///
    /// `Input` if the text is no value of the type.
    pub fn json(ty: Type, text: &str) -> Result<Self> {
        let mut stored = Vec::new();
        match text_codec::read_json(ty, text.as_bytes(), &mut stored) {
            true if ty.is_binary() => Ok(Cell::Stored(ty, Cow::Owned(stored))),
            _ => Err(Error::input(format!("{text:?} is not the JSON of a {ty}"))),
        }
    }
}

/// The columns of some rows, under construction.
#[derive(Debug)]
pub(super) struct Rows {
    schema: Schema,
    columns: Vec<Builder>,
    diffs: Vec<i64>,
    bytes: usize,
}

#[derive(Debug)]
enum Builder {
    Bool(BooleanBuilder),
    Int(Int64Builder),
    Float(Float64Builder),
    Str(StringBuilder),
    /// Points in time or durations, of this type.
    Time(Type, Int64Builder),
    Bytes(BinaryBuilder),
}

impl Rows {
    pub(super) fn new(schema: &Schema) -> Self {
        let columns = schema.columns().iter().map(|column| match column.ty.ty {
            Type::Bool => Builder::Bool(BooleanBuilder::new()),
            Type::Int => Builder::Int(Int64Builder::new()),
            Type::Float => Builder::Float(Float64Builder::new()),
            Type::Str => Builder::Str(StringBuilder::new()),
            Type::Bytes | Type::Json | Type::Tuple(_) | Type::List(_) => Builder::Bytes(BinaryBuilder::new()),
            ty @ (Type::DateTimeNaive | Type::DateTimeUtc | Type::Duration) => Builder::Time(ty, Int64Builder::new()),
        });
        Rows { columns: columns.collect(), schema: schema.clone(), diffs: Vec::new(), bytes: 0 }
    }

    /// The number of rows.
    pub(super) fn len(&self) -> usize {
        self.diffs.len()
    }

    /// About the bytes that the rows take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a row, as a whole or, after an error, not at all. `needed` are the columns that must have a value, unless
    /// they are optional; others may be null in any case.
    pub(super) fn push(&mut self, cells: &[Cell<'_>], diff: i64, needed: impl Fn(usize) -> bool) -> Result<()> {
        if cells.len() != self.columns.len() {
            let (found, wanted) = (cells.len(), self.columns.len());
            return Err(Error::input(format!("a row of {found} values where the schema has {wanted} columns")));
        }
        let mut bytes = size_of::<i64>();
        for (index, (cell, column)) in cells.iter().zip(self.schema.columns()).enumerate() {
            bytes += check(cell, column, needed(index))?;
        }
        if bytes > MOST_ROW_BYTES {
            return Err(Error::input(format!("a row of {bytes} bytes; it may have up to {MOST_ROW_BYTES}")));
        }
        for ((builder, cell), column) in self.columns.iter_mut().zip(cells).zip(self.schema.columns()) {
            builder.append(if cell.is_none(column.ty) { &Cell::Null } else { cell });
        }
        self.diffs.push(diff);
        self.bytes += bytes;
        Ok(())
    }

    /// The rows so far, as changes; none are left.
    pub(super) fn finish(&mut self) -> Changes {
        let columns = self.columns.iter_mut().map(Builder::finish).collect();
        self.bytes = 0;
        Changes::new(columns, std::mem::take(&mut self.diffs).into())
    }
}

impl Builder {
    /// Adds a cell that `check` has let through.
    fn append(&mut self, cell: &Cell<'_>) {
        match (self, cell) {
            (Builder::Bool(column), Cell::Bool(value)) => column.append_value(*value),
            (Builder::Int(column), Cell::Int(value)) => column.append_value(*value),
            (Builder::Float(column), Cell::Float(value)) => column.append_value(canonical(*value)),
            (Builder::Str(column), Cell::Str(value)) => column.append_value(value),
            (Builder::Time(_, column), Cell::Time(_, value)) => column.append_value(*value),
            (Builder::Bytes(column), Cell::Stored(_, value)) => column.append_value(value),
            (Builder::Bool(column), _) => column.append_null(),
            (Builder::Int(column), _) => column.append_null(),
            (Builder::Float(column), _) => column.append_null(),
            (Builder::Str(column), _) => column.append_null(),
            (Builder::Time(_, column), _) => column.append_null(),
            (Builder::Bytes(column), _) => column.append_null(),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Builder::Bool(column) => Arc::new(column.finish()) as Arc<dyn Array>,
            Builder::Int(column) => Arc::new(column.finish()),
            Builder::Float(column) => Arc::new(column.finish()),
            Builder::Str(column) => Arc::new(column.finish()),
            Builder::Bytes(column) => Arc::new(column.finish()),
            Builder::Time(ty, column) => {
                let (_, values, nulls) = column.finish().into_parts();
                ty.int_array(values, nulls)
            }
        }
    }
}

/// The bytes that a cell takes, if it fits its column.
fn check(cell: &Cell<'_>, column: &Column, needed: bool) -> Result<usize> {
    match (cell, column.ty.ty) {
        (Cell::Null, _) if column.ty.optional || !needed => Ok(size_of::<u64>()),
        (Cell::Null, ty) => Err(Error::input(format!("{}: a value is missing, of type {ty}", column.name))),
        (Cell::Bool(_), Type::Bool) => Ok(1),
        (Cell::Int(_), Type::Int) | (Cell::Float(_), Type::Float) => Ok(size_of::<u64>()),
        (Cell::Time(found, _), ty) if *found == ty => Ok(size_of::<u64>()),
        (Cell::Str(text), Type::Str) => Ok(text.len() + size_of::<u32>()),
        (Cell::Stored(found, bytes), ty) if *found == ty && is_stored(ty, bytes) => Ok(bytes.len() + size_of::<u32>()),
        (cell, ty) => Err(Error::input(format!("{}: {cell:?} is not of type {ty}", column.name))),
    }
}

/// Whether the bytes are a value of this type, as it is stored.
fn is_stored(ty: Type, bytes: &[u8]) -> bool {
    let mut canonical = Vec::new();
    match ty {
        Type::Bytes => true,
        Type::Json => json::canonical(bytes, &mut canonical) && canonical == bytes,
        _ => packed::is_whole(ty, bytes),
    }
}
