//! Types of columns, and the one table of how each is stored.
//!
//! | type            | Arrow                  | in saved state     | CSV                                            | JSON              | Python  |
//! |-----------------|------------------------|--------------------|------------------------------------------------|-------------------|---------|
//! | `bool`          | `Boolean`              | 0 or 1             | `true`/`false`, `t`/`f`, `yes`/`no`, `y`/`n`, `on`/`off`, `1`/`0` (any case) | `true`, `false`   | `bool`  |
//! | `int`           | `Int64`                | the int            | decimal digits with an optional sign           | a number          | `int`   |
//! | `float`         | `Float64`              | the bits           | decimal or exponent form, `inf`, `-inf`, `nan` | a number *        | `float` |
//! | `str`           | `Utf8`                 | the bytes          | any text                                       | a string          | `str`   |
//! | `DateTimeNaive` | `Timestamp(ns)`        | ns since 1970, int | `2026-11-22T10:00:00.123456789`                | the same, quoted  | `datetime.datetime` without a zone |
//! | `DateTimeUtc`   | `Timestamp(ns, "UTC")` | ns since 1970, int | the same with `Z`, or an offset                | the same, quoted  | `datetime.datetime` in UTC |
//! | `Duration`      | `Duration(ns)`         | ns, int            | `P1DT2H3M4.5S`                                 | the same, quoted  | `datetime.timedelta` |
//! | `bytes`         | `Binary`               | the bytes          | base64                                         | base64, quoted    | `bytes` |
//! | `json`          | `Binary`               | canonical JSON         | JSON, quoted                                   | any value | `pw.Json` |
//! | `tuple[int, str?]` | `Binary`            | [`crate::packed`]  | a JSON array, quoted                           | an array          | `tuple` |
//! | `list[int]`     | `Binary`               | [`crate::packed`]  | a JSON array, quoted                           | an array          | `list` |
//!
//! Elements of tuples and lists are of any of these types, and are spelled as in JSON. `int?` is an optional int. An
//! optional type holds nulls; in CSV a null is an empty unquoted field, in JSON `null`. (*) `"NaN"`, `"Infinity"` and
//! `"-Infinity"` stand for what JSON has no number for. `millpond_plan::time` says more about points in time and
//! durations; Python's have microseconds only, so what is finer is cut off there (towards minus infinity), and nowhere
//! else.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BinaryArray, DurationNanosecondArray, Int64Array, StringArray, TimestampNanosecondArray,
};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType, Field, TimeUnit};
use parking_lot::Mutex;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::dialect::Notation;

/// The time zone of Arrow's `Timestamp` for [`Type::DateTimeUtc`].
const UTC: &str = "UTC";

/// The values of an array of a type that is stored as integers; `None` for any other array.
pub fn int_values(array: &dyn Array) -> Option<&ScalarBuffer<i64>> {
    let any = array.as_any();
    None.or_else(|| any.downcast_ref::<Int64Array>().map(Int64Array::values))
        .or_else(|| any.downcast_ref::<TimestampNanosecondArray>().map(TimestampNanosecondArray::values))
        .or_else(|| any.downcast_ref::<DurationNanosecondArray>().map(DurationNanosecondArray::values))
}

/// Where the cells of an array of a type that is stored as bytes start and end, and the bytes; `None` for any other
/// array.
pub fn byte_values(array: &dyn Array) -> Option<(&[i32], &[u8])> {
    let any = array.as_any();
    None.or_else(|| any.downcast_ref::<StringArray>().map(|array| (array.value_offsets(), array.value_data())))
        .or_else(|| any.downcast_ref::<BinaryArray>().map(|array| (array.value_offsets(), array.value_data())))
}

/// How the cells of a type are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// True or false.
    Bool,
    /// A 64-bit signed integer.
    Int,
    /// A 64-bit IEEE 754 number.
    Float,
    /// Any number of bytes, which are ordered as the values are.
    Bytes,
}

/// What a cell holds, apart from null.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
    DateTimeNaive,
    /// A point in time, in nanoseconds since 1970-01-01T00:00:00Z.
    DateTimeUtc,
    /// A duration in nanoseconds.
    Duration,
    /// Bytes.
    Bytes,
    /// A JSON value.
    Json,
    /// So many values of these types; see [`Type::tuple`].
    Tuple(&'static [ColumnType]),
    /// Any number of values of one type; see [`Type::list`].
    List(&'static ColumnType),
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
            Type::Bytes | Type::Json | Type::Tuple(_) | Type::List(_) => DataType::Binary,
        }
    }

    /// A type that has this Arrow representation; `bytes`, where others have it, too.
    pub fn stored_as(arrow: &DataType) -> Option<Type> {
        match arrow {
            DataType::Boolean => Some(Type::Bool),
            DataType::Float64 => Some(Type::Float),
            DataType::Utf8 => Some(Type::Str),
            DataType::Binary => Some(Type::Bytes),
            other => Type::of_ints(other),
        }
    }

    /// The type that is stored as integers and has this Arrow representation.
    pub fn of_ints(arrow: &DataType) -> Option<Type> {
        Some(match arrow {
            DataType::Int64 => Type::Int,
            DataType::Timestamp(TimeUnit::Nanosecond, None) => Type::DateTimeNaive,
            DataType::Timestamp(TimeUnit::Nanosecond, Some(zone)) if **zone == *UTC => Type::DateTimeUtc,
            DataType::Duration(TimeUnit::Nanosecond) => Type::Duration,
            _ => return None,
        })
    }

    /// How it is written wherever it is saved: `tuple[int, str?]`.
    pub fn name(self) -> String {
        self.to_notation(Notation::Plan)
    }

    /// How its cells are stored.
    pub const fn storage(self) -> Storage {
        match self {
            Type::Bool => Storage::Bool,
            Type::Int | Type::DateTimeNaive | Type::DateTimeUtc | Type::Duration => Storage::Int,
            Type::Float => Storage::Float,
            Type::Str | Type::Bytes | Type::Json | Type::Tuple(_) | Type::List(_) => Storage::Bytes,
        }
    }

    /// The type of tuples of these elements.
    pub fn tuple(elements: impl IntoIterator<Item = impl Into<ColumnType>>) -> Type {
        Type::Tuple(known(elements.into_iter().map(Into::into).collect()))
    }

    /// The type of lists of such elements.
    pub fn list(element: impl Into<ColumnType>) -> Type {
        Type::List(&known(vec![element.into()])[0])
    }

    /// The types of the elements of a tuple or of a list, which has one.
    pub fn elements(self) -> Option<&'static [ColumnType]> {
        match self {
            Type::Tuple(elements) => Some(elements),
            Type::List(element) => Some(std::slice::from_ref(element)),
            _ => None,
        }
    }

    /// The type that values of both are of: equal but for elements that may be null in one of them.
    pub fn common(self, other: Type) -> Option<Type> {
        match (self, other) {
            _ if self == other => Some(self),
            (Type::Tuple(a), Type::Tuple(b)) if a.len() == b.len() => {
                let elements: Option<Vec<_>> = a.iter().zip(b).map(|(a, b)| a.common(*b)).collect();
                elements.map(Type::tuple)
            }
            (Type::List(a), Type::List(b)) => a.common(*b).map(Type::list),
            _ => None,
        }
    }

    /// How many tuples and lists stand one in another.
    pub fn depth(self) -> usize {
        self.elements().map_or(0, |elements| 1 + elements.iter().map(|ty| ty.ty.depth()).max().unwrap_or(0))
    }

    /// Whether its values are stored as bytes.
    pub const fn is_stored_as_bytes(self) -> bool {
        matches!(self.storage(), Storage::Bytes)
    }

    /// Whether its values are spelled as something else than they are stored: bytes and what is made of values.
    pub const fn is_binary(self) -> bool {
        self.is_stored_as_bytes() && !matches!(self, Type::Str)
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
        matches!(self.storage(), Storage::Int)
    }

    /// The array of these values, of a type that is stored as bytes.
    ///
    /// # Errors
    ///
    /// If the bytes of a text are not UTF-8.
    pub fn byte_array(
        self,
        offsets: Vec<i32>,
        bytes: Vec<u8>,
        nulls: Option<NullBuffer>,
    ) -> Result<ArrayRef, ArrowError> {
        debug_assert!(self.is_stored_as_bytes(), "{self} is not stored as bytes");
        let (offsets, bytes) = (OffsetBuffer::new(ScalarBuffer::from(offsets)), Buffer::from_vec(bytes));
        Ok(match self {
            Type::Str => Arc::new(StringArray::try_new(offsets, bytes, nulls)?),
            _ => Arc::new(BinaryArray::try_new(offsets, bytes, nulls)?),
        })
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

impl ColumnType {
    /// How it is written wherever it is saved: `int?`.
    pub fn name(self) -> String {
        self.to_notation(Notation::Plan)
    }

    /// The type of values of both; see [`Type::common`].
    pub fn common(self, other: ColumnType) -> Option<ColumnType> {
        Some(ColumnType { ty: self.ty.common(other.ty)?, optional: self.optional || other.optional })
    }
}

/// The one copy of these types, which lives as long as the program, so that a [`Type`] is small and is copied.
fn known(types: Vec<ColumnType>) -> &'static [ColumnType] {
    static KNOWN: Mutex<Option<HashSet<&'static [ColumnType]>>> = Mutex::new(None);
    let mut known = KNOWN.lock();
    let known = known.get_or_insert_default();
    if let Some(types) = known.get(&types[..]) {
        return types;
    }
    let types: &'static [ColumnType] = Vec::leak(types);
    known.insert(types);
    types
}

impl Type {
    /// Its name in a language: `int`, `Type::Int`; `Duration`, `pw.Duration`.
    pub fn to_notation(self, notation: Notation) -> String {
        let names = |types: &[ColumnType]| {
            // A Rust array has elements of one type.
            let mixed = types.iter().any(|ty| ty.optional) && types.iter().any(|ty| !ty.optional);
            let name = |ty: &ColumnType| match notation {
                Notation::Rust if mixed && !ty.optional => format!("{}.required()", ty.to_notation(notation)),
                _ => ty.to_notation(notation),
            };
            types.iter().map(name).collect::<Vec<_>>().join(", ")
        };
        match (notation, self) {
            (Notation::Rust, Type::Tuple(types)) => format!("Type::tuple([{}])", names(types)),
            (Notation::Rust, Type::List(ty)) => format!("Type::list({})", ty.to_notation(notation)),
            (Notation::Python, Type::Tuple([])) => "tuple[()]".to_owned(),
            (_, Type::Tuple(types)) => format!("tuple[{}]", names(types)),
            (_, Type::List(ty)) => format!("list[{}]", ty.to_notation(notation)),
            (Notation::Rust, ty) => format!("Type::{ty:?}"),
            (Notation::Python, Type::Json) => "pw.Json".to_owned(),
            (Notation::Python, ty) if ty.is_time() => format!("pw.{ty:?}"),
            (_, ty) => {
                let name = format!("{ty:?}");
                if ty.is_time() { name } else { name.to_lowercase() }
            }
        }
    }
}

impl ColumnType {
    /// Its name in a language: `int?`, `Type::Int.optional()`, `int | None`.
    pub fn to_notation(self, notation: Notation) -> String {
        let name = self.ty.to_notation(notation);
        match (self.optional, notation) {
            (false, _) => name,
            (true, Notation::Plan) => format!("{name}?"),
            (true, Notation::Rust) => format!("{name}.optional()"),
            (true, Notation::Python) => format!("{name} | None"),
        }
    }
}

/// The types in one sentence: `int, float or str`.
pub fn one_of(types: &[Type]) -> String {
    let names: Vec<String> = types.iter().map(Type::to_string).collect();
    match names.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, before)) => format!("{} or {last}", before.join(", ")),
        None => String::new(),
    }
}

impl From<Type> for ColumnType {
    fn from(ty: Type) -> Self {
        ty.required()
    }
}

/// As the program of this process spells it.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_notation(Notation::of_program()))
    }
}

/// The deepest nesting of tuples and lists.
pub const MAX_DEPTH: usize = 32;

/// Reads a [`Type::name`].
impl FromStr for Type {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut rest = text;
        match read_type(&mut rest, MAX_DEPTH) {
            Some(ty) if rest.is_empty() => Ok(ty),
            _ => Err(format!("{text:?} is no type")),
        }
    }
}

/// Reads a type off the front of a text.
fn read_type(text: &mut &str, depth: usize) -> Option<Type> {
    let end = text.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    *text = rest;
    Some(match name {
        "bool" => Type::Bool,
        "int" => Type::Int,
        "float" => Type::Float,
        "str" => Type::Str,
        "DateTimeNaive" => Type::DateTimeNaive,
        "DateTimeUtc" => Type::DateTimeUtc,
        "Duration" => Type::Duration,
        "bytes" => Type::Bytes,
        "json" => Type::Json,
        "tuple" => Type::tuple(read_elements(text, depth.checked_sub(1)?)?),
        "list" => match read_elements(text, depth.checked_sub(1)?)?[..] {
            [element] => Type::list(element),
            _ => return None,
        },
        _ => return None,
    })
}

/// Reads `[int, str?]`.
fn read_elements(text: &mut &str, depth: usize) -> Option<Vec<ColumnType>> {
    let mut elements = Vec::new();
    *text = text.strip_prefix('[')?;
    while !text.starts_with(']') {
        if !elements.is_empty() {
            *text = text.strip_prefix(", ")?;
        }
        let ty = read_type(text, depth)?;
        let optional = text.strip_prefix('?');
        *text = optional.unwrap_or(text);
        elements.push(ColumnType { ty, optional: optional.is_some() });
    }
    *text = &text[1..];
    Some(elements)
}

impl Serialize for Type {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name())
    }
}

impl<'de> Deserialize<'de> for Type {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// As the program of this process spells it.
impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_notation(Notation::of_program()))
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

/// As the plan writes it: `user: str, age: int?`.
impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, column) in self.columns.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{}: {}", column.name, column.ty.name())?;
        }
        Ok(())
    }
}
