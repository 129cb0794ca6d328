//! Values written in the program.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use jiff::tz::Offset;
use millpond_columns::dialect::quoted;
use millpond_columns::types::Type;
use serde::{Deserialize, Serialize};

use crate::time_format::timestamp;

/// A value written in the program.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Literal {
    /// No value; takes the type that its surroundings need.
    None,
    /// True or false.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A floating-point number.
    Float(#[serde(with = "float_text")] f64),
    /// Text.
    Str(Arc<str>),
    /// A point in time on a clock whose zone is not known, in nanoseconds since 1970.
    DateTimeNaive(i64),
    /// A point in time, in nanoseconds since 1970 in UTC.
    DateTimeUtc(i64),
    /// A duration in nanoseconds.
    Duration(i64),
    /// A value of type `bytes`, `json`, or of a tuple or list type, as it is stored.
    Stored(Type, Arc<[u8]>),
}

impl<T: Into<Literal>> From<Option<T>> for Literal {
    fn from(value: Option<T>) -> Self {
        value.map_or(Literal::None, Into::into)
    }
}

impl Literal {
    /// The type; `None` for Python's `None`.
    pub fn ty(&self) -> Option<Type> {
        match self {
            Literal::None => None,
            Literal::Bool(_) => Some(Type::Bool),
            Literal::Int(_) => Some(Type::Int),
            Literal::Float(_) => Some(Type::Float),
            Literal::Str(_) => Some(Type::Str),
            Literal::DateTimeNaive(_) => Some(Type::DateTimeNaive),
            Literal::DateTimeUtc(_) => Some(Type::DateTimeUtc),
            Literal::Duration(_) => Some(Type::Duration),
            Literal::Stored(ty, _) => Some(*ty),
        }
    }

    /// The value of a type that is stored as integers.
    pub fn of_int(ty: Type, value: i64) -> Literal {
        match ty {
            Type::DateTimeNaive => Literal::DateTimeNaive(value),
            Type::DateTimeUtc => Literal::DateTimeUtc(value),
            Type::Duration => Literal::Duration(value),
            _ => Literal::Int(value),
        }
    }

    /// Something to store in a column of this type that is never read as a value.
    pub(crate) fn filler(ty: Type) -> Literal {
        match ty {
            Type::Bool => Literal::Bool(false),
            Type::Float => Literal::Float(0.0),
            Type::Str => Literal::Str("".into()),
            ty if ty.is_binary() => Literal::Stored(ty, [].into()),
            ty => Literal::of_int(ty, 0),
        }
    }

    /// The integer that stores it, if it is of a type that is stored as integers.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Literal::Int(value)
            | Literal::DateTimeNaive(value)
            | Literal::DateTimeUtc(value)
            | Literal::Duration(value) => Some(*value),
            _ => None,
        }
    }
}

/// A float as text in a saved plan, since JSON has no number for some.
mod float_text {
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;

    pub(super) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{value:?}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// Bitwise for floats, so that it agrees with [`Hash`]: `0.0` and `-0.0` differ, a NaN equals itself.
impl PartialEq for Literal {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Literal::None, Literal::None) => true,
            (Literal::Bool(a), Literal::Bool(b)) => a == b,
            (Literal::Int(a), Literal::Int(b)) => a == b,
            (Literal::Float(a), Literal::Float(b)) => a.to_bits() == b.to_bits(),
            (Literal::Str(a), Literal::Str(b)) => a == b,
            (Literal::Stored(ty, a), Literal::Stored(other, b)) => ty == other && a == b,
            _ => self.ty() == other.ty() && self.as_int().is_some() && self.as_int() == other.as_int(),
        }
    }
}

impl Eq for Literal {}

impl Hash for Literal {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
        match self {
            Literal::None => {}
            Literal::Bool(value) => value.hash(state),
            Literal::Int(value) => value.hash(state),
            Literal::Float(value) => value.to_bits().hash(state),
            Literal::Str(value) => value.hash(state),
            Literal::DateTimeNaive(value) | Literal::DateTimeUtc(value) | Literal::Duration(value) => value.hash(state),
            Literal::Stored(ty, bytes) => (ty, bytes).hash(state),
        }
    }
}

/// How Python writes it, and the plan.
impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Literal::None => f.write_str("None"),
            Literal::Bool(true) => f.write_str("True"),
            Literal::Bool(false) => f.write_str("False"),
            Literal::Int(value) => write!(f, "{value}"),
            Literal::Float(value) => f.write_str(&crate::python_repr::float(*value)),
            Literal::Str(value) => f.write_str(&quoted(value)),
            Literal::Stored(Type::Bytes, bytes) => write!(f, "b\"{}\"", bytes.escape_ascii()),
            Literal::Stored(ty, bytes) => write!(f, "{}({})", ty.name(), crate::text_codec::text(*ty, bytes)),
            Literal::DateTimeNaive(value) | Literal::DateTimeUtc(value) | Literal::Duration(value) => {
                let ty = self.ty().expect("only None has no type");
                write!(f, "{}(\"{}\")", ty.name(), crate::time::text(ty, *value))
            }
        }
    }
}

/// A value of a type that has no literal in Python, as a call that makes it. Nothing for values of other types, and for
/// those that are finer than Python's microseconds.
pub(crate) fn python_call(value: &Literal) -> Option<String> {
    match value {
        Literal::Stored(Type::Json, text) => {
            let text = crate::text_codec::text(Type::Json, text);
            let text = if text.contains(['\'', '\\']) { quoted(&text) } else { format!("'{text}'") };
            Some(format!("pw.Json.parse({text})"))
        }
        Literal::Duration(ns) if ns % 1_000_000_000 == 0 => {
            Some(format!("datetime.timedelta(seconds={})", ns / 1_000_000_000))
        }
        Literal::Duration(ns) if ns % 1000 == 0 => Some(format!("datetime.timedelta(microseconds={})", ns / 1000)),
        Literal::DateTimeNaive(ns) if ns % 1000 == 0 => Some(format!("datetime.datetime({})", parts(*ns))),
        Literal::DateTimeUtc(ns) if ns % 1000 == 0 => {
            Some(format!("datetime.datetime({}, tzinfo=datetime.timezone.utc)", parts(*ns)))
        }
        _ => None,
    }
}

/// `2026, 1, 2, 3, 4, 5`, and microseconds if there are some.
fn parts(ns: i64) -> String {
    let at = Offset::UTC.to_datetime(timestamp(ns));
    let mut text = format!("{}, {}, {}, {}, {}", at.year(), at.month(), at.day(), at.hour(), at.minute());
    let microseconds = at.subsec_nanosecond() / 1000;
    if at.second() != 0 || microseconds != 0 {
        text.push_str(&format!(", {}", at.second()));
    }
    if microseconds != 0 {
        text.push_str(&format!(", {microseconds}"));
    }
    text
}
