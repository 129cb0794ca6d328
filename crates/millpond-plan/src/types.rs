//! Types of columns, and the one table of how each is stored.
//!
//! | type    | Arrow     | CSV spelling                                   | Python  |
//! |---------|-----------|------------------------------------------------|---------|
//! | `bool`  | `Boolean` | `true`/`false` (any case), `1`/`0`             | `bool`  |
//! | `int`   | `Int64`   | decimal digits with an optional sign           | `int`   |
//! | `float` | `Float64` | decimal or exponent form, `inf`, `-inf`, `nan` | `float` |
//! | `str`   | `Utf8`    | any text                                       | `str`   |
//!
//! An optional type holds nulls; in CSV a null is an empty unquoted field. How JSON spells values is said where it is read.

use std::fmt;

use arrow_schema::{DataType, Field};
use serde::{Deserialize, Serialize};

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
        std::sync::Arc::new(arrow_schema::Schema::new(fields))
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
