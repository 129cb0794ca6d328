//! Types of columns, how their cells are stored, and how columns are read and made.
//!
//! - [`types`]: types and schemas, and the one table of how each type is stored and spelled; [`dialect`]: the language
//!   of the program, which names types in messages;
//! - [`float`]: the floats that a cell may hold; [`packed`]: tuples and lists as bytes in order;
//! - [`view`]: a column as slices, which loops over rows read; [`builder`]: a column that grows.
//!
//! [`ColumnView::of`] is the one place that tells how an Arrow array of one of the types is stored, and
//! [`ColumnBuilder`] the one that makes such arrays cell by cell.

pub mod builder;
pub mod dialect;
pub mod float;
pub mod packed;
pub mod types;
pub mod view;

pub use builder::ColumnBuilder;
pub use dialect::Notation;
pub use types::{Column, ColumnType, Schema, Storage, Type};
pub use view::ColumnView;
