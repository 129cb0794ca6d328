//! Types, schemas, expressions, the logical plan and its lowering.
//!
//! Start reading at [`table`]: a program is a graph of [`Table`]s over [`Expr`]essions. [`lower()`] turns the tables that
//! are written somewhere into a [`PhysicalPlan`], which the engine runs.
//!
//! - [`types`]: types of columns and their Arrow representation;
//! - [`expr`]: expressions as written; [`eval`]: their meaning, over whole columns;
//! - [`reducer`]: what is computed of groups; [`text`]: functions on text;
//! - [`nested`]: tuples, lists and JSON in expressions;
//! - [`instant`]: float times as ints;
//! - [`packed`]: tuples and lists as bytes; [`json`]: JSON as one text; [`spelled`]: both as text in files;
//! - [`time`]: points in time and durations as text;
//! - [`window`]: tumbling and sliding windows; [`behavior`]: when windows are shown and over;
//! - [`notation`]: how messages spell all this, as the program's language does;
//! - [`table`]: the logical plan; [`physical`]: the plan that runs;
//! - [`difference()`]: what changed between two descriptions of a step.

pub mod behavior;
mod check;
mod combine;
mod deep;
mod describe;
mod difference;
pub mod dt;
pub mod eval;
pub mod expr;
pub mod float;
pub mod instant;
pub mod json;
mod lower;
pub mod nested;
pub mod notation;
pub mod packed;
pub mod physical;
mod reduce;
pub mod reducer;
mod session;
pub mod spelled;
mod spelling;
pub mod table;
mod terms;
pub mod text;
pub mod time;
mod time_format;
pub mod types;
pub mod window;
mod zone;

pub use behavior::Behavior;
pub use difference::{CLOCK, difference, without_unread};
pub use dt::{Dt, TimeFunction, TimePart, TimeUnit};
pub use eval::{MapStage, Mapped};
pub use expr::{BinaryOp, Expr, ExprKind, Literal, UnaryOp, coalesce, col, if_else, lit};
pub use lower::{lower, sources};
pub use nested::make_tuple;
pub use notation::Notation;
pub use physical::PhysicalPlan;
pub use reducer::{
    Reducer, any, argmax, argmin, avg, count, count_distinct, earliest, latest, max, min, sorted_tuple, sum, tuple,
    unique,
};
pub use session::{AFTER, BEFORE, SessionGap};
pub use table::{SessionWindow, SinkDecl, SourceDecl, Table};
pub use text::{BoolWords, Text, TextFunction};
pub use time_format::TimeFormat;
pub use types::{Column, ColumnType, Schema, Type};
pub use window::{SlidingWindow, WindowLength, WindowSpans};
pub use zone::Zone;
