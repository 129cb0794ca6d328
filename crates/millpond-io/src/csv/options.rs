//! What a user can say about a CSV source, and the checks that need no state.

use std::path::PathBuf;

use millpond_error::{Error, Result};
use millpond_plan::types::Schema;

use super::dialect::Dialect;
use crate::files::list;

/// How to read CSV files.
#[derive(Clone, Debug)]
pub struct CsvSourceOptions {
    /// A file, a directory (read with all directories below it) or a glob such as `logs/*.csv`.
    pub path: String,
    /// The columns to read, found by name in each file's header; other columns are left out.
    pub schema: Schema,
    /// The byte between fields.
    pub delimiter: u8,
    /// The byte around fields that hold delimiters, newlines or quotes; doubled inside. `None`: there are no quotes.
    pub quote: Option<u8>,
    /// A byte that takes the next one literally inside quotes, beside the doubled quote.
    pub escape: Option<u8>,
    /// What to do with a row that cannot be read as the schema says.
    pub on_error: OnError,
    /// Whether files only ever grow by whole lines: no row is ever taken back, and a last line without a newline waits.
    pub append_only: bool,
    /// Sizes at which reading stops with an error.
    pub limits: Limits,
}

/// What to do with a row that cannot be read as the schema says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// The run stops with an error that names file, line, column and value.
    #[default]
    Fail,
    /// The row is left out and counted.
    Skip,
    /// The row is left out, counted, and handed over to be written to this file.
    DeadLetter(PathBuf),
}

/// Sizes at which reading stops with an error, so that a broken file cannot take all memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one field, as written.
    pub field_bytes: usize,
    /// Bytes of one row.
    pub row_bytes: usize,
    /// Columns of a header.
    pub columns: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { field_bytes: 16 << 20, row_bytes: 64 << 20, columns: 4096 }
    }
}

impl CsvSourceOptions {
    /// The usual form: commas, double quotes, no escape, fail on the first bad row, files may be written anew.
    pub fn new(path: impl Into<String>, schema: Schema) -> Self {
        CsvSourceOptions {
            path: path.into(),
            schema,
            delimiter: b',',
            quote: Some(b'"'),
            escape: None,
            on_error: OnError::Fail,
            append_only: false,
            limits: Limits::default(),
        }
    }

    pub(crate) fn dialect(&self) -> Dialect {
        Dialect { delimiter: self.delimiter, quote: self.quote, escape: self.escape.filter(|e| Some(*e) != self.quote) }
    }
}

/// Checks what can be checked before any state is touched: the options, and that the path exists.
pub fn check(options: &CsvSourceOptions) -> Result<()> {
    let bytes = [("delimiter", Some(options.delimiter)), ("quote", options.quote), ("escape", options.escape)];
    for (name, byte) in bytes {
        let Some(byte) = byte else { continue };
        if !byte.is_ascii() || matches!(byte, b'\n' | b'\r' | 0) {
            let shown = (byte as char).escape_default();
            return Err(Error::invalid(format!(
                "{name} \"{shown}\" is not a single ASCII character that fits in a line"
            )));
        }
    }
    for (name, byte) in &bytes[1..] {
        if *byte == Some(options.delimiter) {
            let shown = (options.delimiter as char).escape_default();
            return Err(Error::invalid(format!("delimiter and {name} are both \"{shown}\"")));
        }
    }
    if options.schema.is_empty() {
        return Err(Error::invalid(format!("the schema of \"{}\" has no column", options.path)));
    }
    list::root_of(&options.path).map(drop)
}
