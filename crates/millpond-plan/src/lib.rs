//! Types, schemas, expressions, the logical plan and its lowering.
//!
//! Start reading at [`logical`]: a program is a graph of [`Table`]s over [`Expr`]essions. [`lower()`] turns the tables
//! that are written somewhere into a [`PhysicalPlan`], which the engine runs.
//!
//! From the ground up, on the types and columns of `millpond_columns`:
//!
//! - [`json`]: JSON as one text; [`time`]: points in time and durations as text; [`text_codec`]: values of all types as
//!   text in files; [`instant`]: float times as ints;
//! - [`literal`]: values of the program; [`functions`]: what expressions call; [`expr`]: expressions as written;
//!   [`methods`]: the calls that write them; [`notation`]: how messages spell all this, as the program's language does;
//! - `terms`, `typing`: typed expressions, and how untyped ones become them; [`eval`]: their meaning, over whole
//!   columns;
//! - `declare`: what a program says of a source; [`SavedPlan`]: a program as bytes; [`physical`]: the plan that runs;
//! - [`logical`]: the plan as written, an operation a file, and how it becomes the plan that runs; [`explain()`]: that
//!   as text;
//! - [`difference()`]: what changed between two descriptions of a step.
//!
//! No file depends on one further down in this list.

mod declare;
mod deep;
mod diagnostics;
mod difference;
mod errors;
pub mod eval;
mod explain;
pub mod expr;
pub mod functions;
pub mod instant;
pub mod json;
mod lengths;
pub mod literal;
pub mod logical;
pub mod methods;
pub mod notation;
pub mod physical;
mod python_repr;
mod saved_plan;
mod terms;
pub mod text_codec;
pub mod time;
mod time_format;
mod typing;
mod zone;

pub use declare::SourceDecl;
pub use difference::{CLOCK, Difference, difference, without_unread};
pub use errors::End;
pub use eval::{MapStage, Mapped};
pub use explain::{explain, explain_saved};
pub use expr::{
    BinaryOp, ColumnRef, Expr, ExprKind, TableId, TableRef, UnaryOp, coalesce, col, if_else, left, lit, right,
};
pub use functions::{BoolWords, Reducer, ReducerKind, TextFunction, TimeFunction, TimePart, TimeUnit};
pub use literal::Literal;
pub use logical::behavior::{Behavior, Lifecycle, Shown, WindowSpec, WindowedSpec};
pub use logical::combine::{Combination, CombineSpec};
pub use logical::group::{ReduceSpec, ReducerCall};
pub use logical::join::{JoinMode, JoinOn, JoinSpec, Side};
pub use logical::session::{AFTER, BEFORE, Gap, SessionGap, SessionSpec, SessionWindow};
pub use logical::window::{INSTANCE, SlidingWindow, WINDOW_END, WINDOW_START, WindowLength, WindowSpans};
pub use logical::{KeepSpec, OnError, SinkDecl, Table, behavior, lower, sources};
pub use methods::reducers::{
    any, argmax, argmin, avg, count, count_distinct, earliest, latest, max, min, sorted_tuple, sum, tuple, unique,
};
pub use methods::{Dt, Text, make_tuple};
pub use physical::PhysicalPlan;
pub use saved_plan::SavedPlan;
pub use time_format::TimeFormat;
pub use zone::Zone;
