//! What a user can say about a CSV source, and the checks that need no state.

use millpond_columns::types::Schema;
use millpond_error::Result;

use super::dialect::Dialect;
use super::format::Csv;
use crate::text::format::Format;
use crate::text::options::{FileOptions, OnError, Streaming};

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
    /// What a field of an optional column reads that is null, beside the empty field: such as `\N` or `NULL`. In
    /// columns of text and bytes only without quotes.
    pub null_values: Vec<String>,
    /// What to do with a row that cannot be read as the schema says.
    pub on_error: OnError,
    /// Whether files only ever grow by whole lines: no row is ever taken back, and a last line without a newline waits.
    pub append_only: bool,
    /// Sizes at which reading stops with an error, or leaves a row out.
    pub limits: Limits,
    /// Whether to go on watching the files; otherwise what is there is read, and that is the end.
    pub streaming: Option<Streaming>,
    /// Whether the source has a column `_metadata` after those of the schema: what the file system said of each row's
    /// file when the row was read.
    pub with_metadata: bool,
}

/// Sizes at which reading stops with an error, or leaves a row out, so that a broken file cannot take all memory.
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
            null_values: Vec::new(),
            on_error: OnError::Fail,
            append_only: false,
            limits: Limits::default(),
            streaming: None,
            with_metadata: false,
        }
    }

    /// The files to read, and the format to read them in.
    pub(super) fn split(self) -> (FileOptions, Csv) {
        let escape = self.escape.filter(|escape| Some(*escape) != self.quote);
        let dialect = Dialect { delimiter: self.delimiter, quote: self.quote, escape };
        let files = FileOptions {
            path: self.path,
            schema: self.schema,
            on_error: self.on_error,
            append_only: self.append_only,
            row_bytes: self.limits.row_bytes,
            streaming: self.streaming,
            metadata: self.with_metadata,
        };
        let null_values = self.null_values.into_iter().map(|value| value.into_bytes().into_boxed_slice()).collect();
        (files, Csv { dialect, limits: self.limits, null_values })
    }
}

/// Checks what can be checked before any state is touched: the options, and that the path exists.
pub fn check(options: &CsvSourceOptions) -> Result<()> {
    let (files, format) = options.clone().split();
    format.check(&files.schema)?;
    files.check()
}
