//! Tuples, lists and JSON in expressions: made, taken apart and read.
//!
//! ```
//! use millpond_plan::{col, lit, make_tuple};
//!
//! let place = make_tuple([col("city"), col("street")]);
//! assert_eq!(place.item(0).to_string(), "make_tuple(city, street)[0]");
//! assert_eq!(col("event").get("user", lit(None::<i64>)).as_str().to_string(), "event.get(\"user\", None).as_str()");
//! ```

use millpond_columns::types::Type;

use crate::expr::{Expr, ExprKind};

/// The tuple of the values of these expressions. It has a value where elements are null.
#[track_caller]
pub fn make_tuple(elements: impl IntoIterator<Item = impl Into<Expr>>) -> Expr {
    Expr::new(ExprKind::Tuple(elements.into_iter().map(Into::into).collect()))
}

impl Expr {
    /// The element of a tuple, a list or a JSON array with this number, which counts from the end if it is negative, or
    /// the field of a JSON object with this name. An error value where there is none.
    #[track_caller]
    pub fn item(&self, key: impl Into<Expr>) -> Expr {
        Expr::new(ExprKind::Get(self.clone(), key.into(), None))
    }

    /// The same as [`Expr::item`], and `default` where there is none.
    #[track_caller]
    pub fn get(&self, key: impl Into<Expr>, default: impl Into<Expr>) -> Expr {
        Expr::new(ExprKind::Get(self.clone(), key.into(), Some(default.into())))
    }

    /// The int that a JSON value is; null if it is none, an error value if it is outside 64 bits.
    #[track_caller]
    pub fn as_int(&self) -> Expr {
        Expr::new(ExprKind::JsonAs(self.clone(), Type::Int))
    }

    /// The float nearest to the number that a JSON value is; null if it is none, an error value if it is too large for
    /// a float, such as `1e400`.
    #[track_caller]
    pub fn as_float(&self) -> Expr {
        Expr::new(ExprKind::JsonAs(self.clone(), Type::Float))
    }

    /// The text of the string that a JSON value is; null if it is none.
    #[track_caller]
    pub fn as_str(&self) -> Expr {
        Expr::new(ExprKind::JsonAs(self.clone(), Type::Str))
    }

    /// The bool that a JSON value is; null if it is none.
    #[track_caller]
    pub fn as_bool(&self) -> Expr {
        Expr::new(ExprKind::JsonAs(self.clone(), Type::Bool))
    }
}
