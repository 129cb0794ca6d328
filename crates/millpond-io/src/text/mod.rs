//! Text files of rows: one source of files for every format.
//!
//! Start with [`format`], which says what a format is. The way of a row: `source` lists files and finds out what is
//! new; `input` is the queue of pieces that threads take; `reader` cuts a file into pieces of whole rows (`cut`); the
//! format turns a piece into columns (`rows`); `problem` says what is wrong with a row, `metadata` which file it is of,
//! `waiting` what is left at its end; `share` has other processes read pieces.

pub(crate) mod cut;
pub(crate) mod format;
pub(crate) mod input;
pub(crate) mod left_out;
pub(crate) mod metadata;
pub(crate) mod options;
pub(crate) mod problem;
pub(crate) mod reader;
pub(crate) mod rows;
pub(crate) mod share;
pub(crate) mod source;
pub(crate) mod value;
pub(crate) mod waiting;
