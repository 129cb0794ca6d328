//! The CSV source: a file, a directory or a glob.
//!
//! Each file starts with a header, in which the columns are found by name; order and further columns do not matter.
//! Blank lines are passed over. How quotes and line ends read is said in `dialect`, how values read in
//! [`millpond_plan::types`]; white space is part of a value. Line numbers count physical lines from 1; a row is named by
//! the line that it starts in.
//!
//! The way of a row: `source` lists files and finds out what is new; `input` is the queue of pieces that threads take;
//! `reader` cuts a file into pieces of whole rows (`cut`); `parser` turns a piece into columns (`scan`, `split`,
//! `columns`, `value`); `problem` says what is wrong with a row.

mod columns;
mod cut;
mod dialect;
mod header;
mod input;
mod options;
mod parser;
mod problem;
mod reader;
mod scan;
mod source;
mod split;
mod value;

#[cfg(test)]
mod tests;

pub use options::{CsvSourceOptions, Limits, OnError, check};
pub use source::CsvSource;
