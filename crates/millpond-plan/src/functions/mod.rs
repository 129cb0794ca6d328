//! The functions of expressions, as the plan names them: their operands and the types of their results.

pub mod reducer;
pub mod text;
pub mod time;

pub use reducer::{Reducer, ReducerKind};
pub use text::{BoolWords, TextFunction};
pub use time::{TimeFunction, TimePart, TimeUnit};
