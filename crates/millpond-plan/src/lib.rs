//! Types, schemas, expressions, the logical plan and its lowering.
//!
//! Start reading at [`table`]: a program is a graph of [`Table`]s over [`Expr`]essions. [`lower()`] turns the tables that
//! are written somewhere into a [`PhysicalPlan`], which the engine runs.
//!
//! From the ground up:
//!
//! - [`types`]: types of columns and their Arrow representation; [`packed`]: tuples and lists as bytes; [`json`]: JSON as one
//!   text; [`time`]: points in time and durations as text; [`text_codec`]: all of them as text in files;
//! - [`literal`]: values of the program; [`functions`]: what expressions call; [`expr`]: expressions as written; [`methods`]:
//!   the calls that write them;
//! - [`dialect`], [`notation`]: how messages spell all this, as the program's language does;
//! - `terms`, `typing`: typed expressions, and how untyped ones become them; [`eval`]: their meaning, over whole columns;
//! - [`window`]: tumbling and sliding windows; [`session`]: sessions; [`behavior`]: when windows are shown and over;
//!   `reduce`: what is computed of groups; [`combine`]: tables by identity; [`instant`]: float times as ints;
//! - [`table`]: the logical plan; [`physical`]: the plan that runs; `lower`: from one to the other;
//!   [`explain()`]: the second as text;
//! - [`difference()`]: what changed between two descriptions of a step.
//!
//! No file depends on one further down in this list.

pub mod behavior;
pub mod combine;
mod deep;
mod describe;
mod diagnostics;
mod difference;
pub mod eval;
mod explain;
pub mod expr;
pub mod functions;
pub mod instant;
pub mod json;
mod lengths;
pub mod literal;
mod lower;
pub mod methods;
pub mod notation;
pub mod physical;
mod python_repr;
mod reduce;
pub mod session;
pub mod table;
mod terms;
pub mod text_codec;
pub mod time;
mod time_format;
mod typing;
pub mod window;
mod zone;

pub use behavior::{Behavior, Lifecycle, Shown};
pub use combine::Combination;
pub use difference::{CLOCK, difference, without_unread};
pub use eval::{MapStage, Mapped};
pub use explain::explain;
pub use expr::{BinaryOp, Expr, ExprKind, UnaryOp, coalesce, col, if_else, lit};
pub use functions::{BoolWords, Reducer, ReducerKind, TextFunction, TimeFunction, TimePart, TimeUnit};
pub use literal::Literal;
pub use lower::{lower, sources};
pub use methods::reducers::{
    any, argmax, argmin, avg, count, count_distinct, earliest, latest, max, min, sorted_tuple, sum, tuple, unique,
};
pub use methods::{Dt, Text, make_tuple};
pub use physical::PhysicalPlan;
pub use session::{AFTER, BEFORE, Gap, SessionGap, SessionWindow};
pub use table::{SinkDecl, SourceDecl, Table};
pub use time_format::TimeFormat;
pub use window::{INSTANCE, SlidingWindow, WINDOW_END, WINDOW_START, WindowLength, WindowSpans};
pub use zone::Zone;
