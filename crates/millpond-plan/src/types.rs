//! Types of columns, and the one table of how each is stored.
//!
//! | type            | Arrow                  | in saved state     | CSV                                            | JSON              | Python  |
//! |-----------------|------------------------|--------------------|------------------------------------------------|-------------------|---------|
//! | `bool`          | `Boolean`              | 0 or 1             | `true`/`false` (any case), `1`/`0`             | `true`, `false`   | `bool`  |
//! | `int`           | `Int64`                | the int            | decimal digits with an optional sign           | a number          | `int`   |
//! | `float`         | `Float64`              | the bits           | decimal or exponent form, `inf`, `-inf`, `nan` | a number *        | `float` |
//! | `str`           | `Utf8`                 | the bytes          | any text                                       | a string          | `str`   |
//! | `DateTimeNaive` | `Timestamp(ns)`        | ns since 1970, int | `2026-11-22T10:00:00.123456789`                | the same, quoted  | `datetime.datetime` without a zone |
//! | `DateTimeUtc`   | `Timestamp(ns, "UTC")` | ns since 1970, int | the same with `Z`, or an offset                | the same, quoted  | `datetime.datetime` in UTC |
//! | `Duration`      | `Duration(ns)`         | ns, int            | `P1DT2H3M4.5S`                                 | the same, quoted  | `datetime.timedelta` |
//!
//! An optional type holds nulls; in CSV a null is an empty unquoted field, in JSON `null`. (*) `"NaN"`, `"Infinity"` and
//! `"-Infinity"` stand for what JSON has no number for. [`crate::time`] says more about points in time and durations; Python's
//! have microseconds only, so what is finer is cut off there (towards minus infinity), and nowhere else.

use std::fmt;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, DurationNanosecondArray, Int64Array, TimestampNanosecondArray};
use arrow_buffer::{NullBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field, TimeUnit};
use serde::{Deserialize, Serialize};

/// The time zone of Arrow's `Timestamp` for [`Type::DateTimeUtc`].
const UTC: &str = "UTC";

/// The values of an array of a type that is stored as integers; `None` for any other array.
pub fn int_values(array: &dyn Array) -> Option<&ScalarBuffer<i64>> {
    let any = array.as_any();
    None.or_else(|| any.downcast_ref::<Int64Array>().map(Int64Array::values))
        .or_else(|| any.downcast_ref::<TimestampNanosecondArray>().map(TimestampNanosecondArray::values))
        .or_else(|| any.downcast_ref::<DurationNanosecondArray>().map(DurationNanosecondArray::values))
}

/// What a cell holds, apart from null.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Type {
    /// True or false.
    Bool,
    /// A 64-bit signed integer.
    Int,
    /// A 64-bit IEEE 754 number.
    Float,
    /// UTF-8 text.
    Str,
    /// A point in time on a clock whose zone is not known, in nanoseconds since 1970-01-01T00:00:00.
    #[serde(rename = "DateTimeNaive")]
    DateTimeNaive,
    /// A point in time, in nanoseconds since 1970-01-01T00:00:00Z.
    #[serde(rename = "DateTimeUtc")]
    DateTimeUtc,
    /// A duration in nanoseconds.
    #[serde(rename = "Duration")]
    Duration,
}

/// The type of a column: a [`Type`], and whether cells may be null.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ColumnType {
    /// What a cell holds.
    #[serde(rename = "type")]
    pub ty: Type,
    /// Whether a cell may be null.
    pub optional: bool,
}

impl Type {
    /// The Arrow representation.
    pub fn to_arrow(self) -> DataType {
        match self {
            Type::Bool => DataType::Boolean,
            Type::Int => DataType::Int64,
            Type::Float => DataType::Float64,
            Type::Str => DataType::Utf8,
            Type::DateTimeNaive => DataType::Timestamp(TimeUnit::Nanosecond, None),
            Type::DateTimeUtc => DataType::Timestamp(TimeUnit::Nanosecond, Some(UTC.into())),
            Type::Duration => DataType::Duration(TimeUnit::Nanosecond),
        }
    }

    /// The type that has this Arrow representation.
    pub fn from_arrow(arrow: &DataType) -> Option<Type> {
        Some(match arrow {
            DataType::Boolean => Type::Bool,
            DataType::Int64 => Type::Int,
            DataType::Float64 => Type::Float,
            DataType::Utf8 => Type::Str,
            DataType::Timestamp(TimeUnit::Nanosecond, None) => Type::DateTimeNaive,
            DataType::Timestamp(TimeUnit::Nanosecond, Some(zone)) if **zone == *UTC => Type::DateTimeUtc,
            DataType::Duration(TimeUnit::Nanosecond) => Type::Duration,
            _ => return None,
        })
    }

    /// Whether it is a point in time or a duration, stored as nanoseconds.
    pub const fn is_time(self) -> bool {
        self.is_point() || matches!(self, Type::Duration)
    }

    /// Whether it is a point in time.
    pub const fn is_point(self) -> bool {
        matches!(self, Type::DateTimeNaive | Type::DateTimeUtc)
    }

    /// Whether its values are stored as 64-bit integers: an `int`, a point in time or a duration.
    pub const fn is_stored_as_int(self) -> bool {
        self.is_time() || matches!(self, Type::Int)
    }

    /// The array of these values, of a type that is stored as integers.
    pub fn int_array(self, values: ScalarBuffer<i64>, nulls: Option<NullBuffer>) -> ArrayRef {
        debug_assert!(self.is_stored_as_int(), "{self} is not stored as integers");
        match self {
            Type::DateTimeNaive => Arc::new(TimestampNanosecondArray::new(values, nulls)),
            Type::DateTimeUtc => Arc::new(TimestampNanosecondArray::new(values, nulls).with_timezone(UTC)),
            Type::Duration => Arc::new(DurationNanosecondArray::new(values, nulls)),
            _ => Arc::new(Int64Array::new(values, nulls)),
        }
    }

    /// A column type whose cells are never null.
    pub const fn required(self) -> ColumnType {
        ColumnType { ty: self, optional: false }
    }

    /// A column type whose cells may be null.
    pub const fn optional(self) -> ColumnType {
        ColumnType { ty: self, optional: true }
    }
}

impl From<Type> for ColumnType {
    fn from(ty: Type) -> Self {
        ty.required()
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Type::Bool => "bool",
            Type::Int => "int",
            Type::Float => "float",
            Type::Str => "str",
            Type::DateTimeNaive => "DateTimeNaive",
            Type::DateTimeUtc => "DateTimeUtc",
            Type::Duration => "Duration",
        })
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.ty)?;
        if self.optional { f.write_str("?") } else { Ok(()) }
    }
}

/// A named column of a table.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Column {
    /// The name, unique within its schema.
    pub name: String,
    /// The type.
    #[serde(flatten)]
    pub ty: ColumnType,
}

/// The columns of a table, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Schema {
    columns: Vec<Column>,
}

impl Schema {
    /// A schema of these columns; the caller has checked that names are unique.
    pub fn new(columns: impl IntoIterator<Item = (impl Into<String>, ColumnType)>) -> Self {
        let columns = columns.into_iter().map(|(name, ty)| Column { name: name.into(), ty }).collect();
        Schema { columns }
    }

    /// The columns, in order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The number of columns.
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// Whether there is no column.
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// The position of the column of this name.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// The Arrow schema.
    pub fn to_arrow(&self) -> arrow_schema::SchemaRef {
        let fields: Vec<Field> =
            self.columns.iter().map(|c| Field::new(&c.name, c.ty.ty.to_arrow(), c.ty.optional)).collect();
        Arc::new(arrow_schema::Schema::new(fields))
    }
}

impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, column) in self.columns.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{}: {}", column.name, column.ty)?;
        }
        Ok(())
    }
}
