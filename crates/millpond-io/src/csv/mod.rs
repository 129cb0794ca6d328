//! The CSV source: a file, a directory or a glob.
//!
//! Each file starts with a header, in which the columns are found by name; order and further columns do not matter.
//! Blank lines are passed over. How quotes and line ends read is said in `dialect`, how values read in
//! [`millpond_columns::types`]; white space is part of a value. Line numbers count physical lines from 1; a row is
//! named by the line that it starts in.
//!
//! The way of a row: the source of text files hands over pieces of whole rows, cut by `cut`; `parser` turns a piece
//! into columns (`scan`, `split`, `columns`); `problem` says what is wrong with a row. `format` puts these together.

mod columns;
mod cut;
mod dialect;
mod format;
mod header;
mod options;
mod parser;
mod problem;
mod scan;
mod split;

#[cfg(test)]
mod tests;

pub use crate::text::metadata::with_metadata;
pub use crate::text::options::{OnError, Streaming};
pub use format::{Csv, CsvSource};
pub use options::{CsvSourceOptions, Limits, check};
