//! Sources and sinks: what a program reads and writes, and how positions are kept so that nothing counts twice.
//!
//! - [`source`]: what a program reads; start here, with [`csv`] as the example.
//! - [`csv`]: the CSV format: options, header, the fast parser. `text` is the source of files of every text format.
//! - [`jsonlines`]: the JSON lines format.
//! - [`files`]: listing files, the table of files with what was read of each, reading in pieces.
//! - [`feed`]: a source of rows that the program hands over.
//! - [`sink`]: where results go.
//! - [`debug`]: a source of rows written into the program, for tests.

pub mod csv;
pub mod debug;
pub mod feed;
pub mod files;
pub mod jsonlines;
pub mod sink;
pub mod source;
mod text;
pub mod wakeup;

#[cfg(test)]
mod testing;
