//! JSON lines: one object a line, and its fields as columns.
//!
//! A column is the field of its name, or what a JSON pointer (RFC 6901) leads to. Lines may hold fields that no column
//! names; they must be JSON (RFC 8259) all the same. Of a field that a line holds twice, the last counts. Lines of
//! white space are passed over. Line numbers count from 1.
//!
//! | type    | JSON                                                                             |
//! |---------|----------------------------------------------------------------------------------|
//! | `bool`  | `true`, `false`                                                                  |
//! | `int`   | a number of digits only, with or without a sign, of 64 bits; not `3.0`           |
//! | `float` | any number in the range of 64 bits; the strings `"NaN"`, `"Infinity"`, `"-Infinity"` |
//! | `str`   | a string; `\u` escapes of half a character are refused                           |
//!
//! In an optional column, `null` and a missing field are null; so is a field below one that is no object or array.
//!
//! The way of a row: the source of text files hands over pieces of whole lines; one pass over a line checks that it is
//! JSON and finds where the values of the columns stand (`scan`, by the tree of `paths`), without looking at them; then
//! each column reads its values from all rows of a batch (`columns`, `string`). `format` puts these together.

mod columns;
mod format;
mod options;
mod paths;
mod problem;
mod scan;

#[cfg(test)]
mod tests;

pub use crate::text::metadata::with_metadata;
pub use crate::text::options::{OnError, Streaming};
pub use format::{JsonLines, JsonLinesSource};
pub use options::{JsonLinesSourceOptions, check, check_field_paths};
