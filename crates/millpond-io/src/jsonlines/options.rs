//! What a user can say about a JSON lines source, and the checks that need no state.

use millpond_columns::types::Schema;
use millpond_error::Result;

use super::format::JsonLines;
use crate::text::format::Format;
use crate::text::options::{FileOptions, OnError, Streaming};

/// How to read files of JSON lines.
#[derive(Clone, Debug)]
pub struct JsonLinesSourceOptions {
    /// A file, a directory (read with all directories below it) or a glob such as `logs/*.jsonl`.
    pub path: String,
    /// The columns to read; other fields are left out.
    pub schema: Schema,
    /// Columns, by name, that are not the field of their name, each with its JSON pointer: `("city", "/address/city")`.
    pub field_paths: Vec<(String, String)>,
    /// Whether `NaN`, `Infinity` and `-Infinity` without quotes, which are not JSON, are values of floats.
    pub allow_nan: bool,
    /// What to do with a row that cannot be read as the schema says.
    pub on_error: OnError,
    /// Whether files only ever grow by whole lines: no row is ever taken back, and a last line without a newline waits.
    pub append_only: bool,
    /// Bytes of one row; a longer one cannot be read. Of one that is four times as long nothing is kept, so that a
    /// broken file cannot take all memory: dead letters hold its start.
    pub row_bytes: usize,
    /// Whether to go on watching the files; otherwise what is there is read, and that is the end.
    pub streaming: Option<Streaming>,
    /// Whether the source has a column `_metadata` after those of the schema: what the file system said of each row's
    /// file when the row was read.
    pub with_metadata: bool,
}

impl JsonLinesSourceOptions {
    /// The usual form: fields by name, fail on the first bad row, files may be written anew, rows up to 16 MiB.
    pub fn new(path: impl Into<String>, schema: Schema) -> Self {
        JsonLinesSourceOptions {
            path: path.into(),
            schema,
            field_paths: Vec::new(),
            allow_nan: false,
            on_error: OnError::Fail,
            append_only: false,
            row_bytes: 16 << 20,
            streaming: None,
            with_metadata: false,
        }
    }

    /// The files to read, and the format to read them in.
    pub(super) fn split(self) -> (FileOptions, JsonLines) {
        let (field_paths, row_bytes, allow_nan) = (self.field_paths.into(), self.row_bytes, self.allow_nan);
        let format = JsonLines { field_paths, row_bytes, allow_nan };
        let files = FileOptions {
            path: self.path,
            schema: self.schema,
            on_error: self.on_error,
            append_only: self.append_only,
            row_bytes: self.row_bytes.saturating_mul(4),
            streaming: self.streaming,
            metadata: self.with_metadata,
        };
        (files, format)
    }
}

/// Checks the paths of columns, for which no file is looked at.
pub fn check_field_paths(options: &JsonLinesSourceOptions) -> Result<()> {
    let (files, format) = options.clone().split();
    format.check(&files.schema)
}

/// Checks what can be checked before any state is touched: the options, and that the path exists.
pub fn check(options: &JsonLinesSourceOptions) -> Result<()> {
    let (files, format) = options.clone().split();
    format.check(&files.schema)?;
    files.check()
}
