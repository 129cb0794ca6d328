//! CSV files as tables, and tables as CSV files.

use std::sync::Arc;

use millpond_columns::{ColumnType, Schema};
use millpond_error::{Origin, Result};
use millpond_io::csv::{CsvSource, CsvSourceOptions, check, with_metadata};
use millpond_io::source::Source;
use millpond_plan::{self as plan, SinkDecl, SourceDecl};
use serde_json::{Value, json};

pub use millpond_io::csv::{OnError, Streaming};

use crate::declare::SourceConnector;
use crate::output::Output;
use crate::table::Table;
use crate::write::TextFormat;
pub use crate::write::WriteMode;

/// How CSV files are read.
#[derive(Clone, Debug)]
pub struct ReadOptions {
    /// Promises that files only grow: state is smaller, and a last line without a newline waits for the rest.
    pub append_only: bool,
    /// The byte between fields.
    pub delimiter: u8,
    /// The byte around fields that hold a delimiter or a newline; doubled inside.
    pub quote: u8,
    /// A byte that takes the next one literally inside quotes, where files use one.
    pub escape: Option<u8>,
    /// What a field reads that is null in an optional column, beside the empty field: such as `\N` or `NULL`. Text and
    /// bytes are null only without quotes.
    pub null_values: Vec<String>,
    /// What happens to a row that cannot be read as the schema says.
    pub on_error: OnError,
    /// The name under which the position is kept in the state.
    pub name: Option<String>,
    /// Whether to go on watching the files until the user stops the run; otherwise what is there is read, and that is
    /// the end. Runs of both kinds go on with each other's state.
    pub streaming: Option<Streaming>,
    /// Whether to add a column `_metadata` with what the file system said of a row's file when the row was read: a JSON
    /// object of `path`, `size`, `modified_at`, `seen_at` and `owner`.
    pub with_metadata: bool,
}

impl Default for ReadOptions {
    fn default() -> Self {
        ReadOptions {
            append_only: false,
            delimiter: b',',
            quote: b'"',
            escape: None,
            null_values: Vec::new(),
            on_error: OnError::Fail,
            name: None,
            streaming: None,
            with_metadata: false,
        }
    }
}

/// CSV files as a table of a Rust program: options by method, then [`table`](Read::table).
#[derive(Clone, Debug)]
pub struct Read {
    path: String,
    schema: Schema,
    options: ReadOptions,
}

/// Reads a file, a directory (with all directories below it) or a glob of CSV files with a header line; `schema` gives
/// the columns to read, by name.
pub fn read<N: Into<String>, T: Into<ColumnType>>(
    path: impl Into<String>,
    schema: impl IntoIterator<Item = (N, T)>,
) -> Read {
    let schema = Schema::new(schema.into_iter().map(|(name, ty)| (name, ty.into())));
    Read { path: path.into(), schema, options: ReadOptions::default() }
}

impl Read {
    /// Gives the name under which the position is kept in the state.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.options.name = Some(name.to_owned());
        self
    }

    /// Promises that files only grow: state is smaller, and a last line without a newline waits for the rest.
    #[must_use]
    pub fn append_only(mut self) -> Self {
        self.options.append_only = true;
        self
    }

    /// Goes on watching the files, as `streaming` says, until the user stops the run.
    #[must_use]
    pub fn streaming(mut self, streaming: Streaming) -> Self {
        self.options.streaming = Some(streaming);
        self
    }

    /// Adds a column `_metadata`, as [`ReadOptions::with_metadata`] says.
    #[must_use]
    pub fn with_metadata(mut self) -> Self {
        self.options.with_metadata = true;
        self
    }

    /// Reads these values as null in optional columns, as [`ReadOptions::null_values`] says.
    #[must_use]
    pub fn null_values<V: Into<String>>(mut self, values: impl IntoIterator<Item = V>) -> Self {
        self.options.null_values = values.into_iter().map(Into::into).collect();
        self
    }

    /// Reads with these options; a name given before is replaced.
    #[must_use]
    pub fn options(mut self, options: ReadOptions) -> Self {
        self.options = options;
        self
    }

    /// The table.
    #[track_caller]
    #[must_use]
    pub fn table(self) -> Table {
        let origin = Origin::caller();
        Table::from(source(&self.path, self.schema, self.options, &origin))
    }
}

/// The table of CSV files, for fronts that carry their own origins.
///
/// # Errors
/// `Invalid`, if two columns have one name.
pub fn source(path: &str, schema: Schema, options: ReadOptions, origin: &Origin) -> Result<plan::Table> {
    let name = options.name.clone();
    let on_error = options.on_error.clone();
    let append_only = options.append_only;
    let escape = options.escape.map(|byte| char::from(byte).to_string());
    let mut description = json!({
        "delimiter": char::from(options.delimiter).to_string(),
        "quote": char::from(options.quote).to_string(),
        "escape": escape,
        "append_only": append_only,
    });
    if !options.null_values.is_empty() {
        description["null_values"] = options.null_values.clone().into();
    }
    let (file_schema, schema) = (schema.clone(), described(schema, options.with_metadata, &mut description, origin)?);
    let read = CsvSourceOptions {
        delimiter: options.delimiter,
        quote: Some(options.quote),
        escape: options.escape,
        null_values: options.null_values,
        on_error: options.on_error,
        append_only,
        streaming: options.streaming,
        with_metadata: options.with_metadata,
        ..CsvSourceOptions::new(path, file_schema)
    };
    let dead_letter = match on_error {
        OnError::DeadLetter(file) => Some(Arc::new(TextFormat::dead_letter(&file, origin)?)),
        OnError::Fail | OnError::Skip => None,
    };
    let (checked, place) = (read.clone(), origin.clone());
    let connector = SourceConnector {
        check: Box::new(move || check(&checked).map_err(|error| error.at(&place))),
        make: Box::new(move |seed| Ok(Box::new(CsvSource::new(read.clone(), seed)) as Box<dyn Source>)),
        dead_letter,
        not_resumable: None,
        path: Some(path.to_owned()),
    };
    plan::Table::source(SourceDecl {
        name,
        kind: "csv".into(),
        schema,
        append_only,
        description,
        origin: origin.clone(),
        connector: Arc::new(connector),
    })
}

/// The columns of a source with its column `_metadata`, if it is asked for; then it is part of the description.
pub(crate) fn described(schema: Schema, asked: bool, description: &mut Value, origin: &Origin) -> Result<Schema> {
    if !asked {
        return Ok(schema);
    }
    description["with_metadata"] = true.into();
    with_metadata(&schema).map_err(|error| error.at(origin))
}

/// Writes a table to a CSV file: by default, in each run, the changes of that run.
#[track_caller]
pub fn write(table: &Table, path: impl Into<String>) -> Output {
    Output::file(TextFormat::CSV, table, path.into(), Origin::caller())
}

/// The declaration of a result file, for fronts that carry their own origins. `escape_formulas` is as
/// [`Output::escape_formulas`] says.
///
/// # Errors
/// `Invalid`, if a column of a log of changes is called `time` or `diff`, if the end of the file's name says another
/// format or a compression, or if what is there is no regular file.
pub fn sink(
    table: &plan::Table,
    path: &str,
    mode: WriteMode,
    escape_formulas: bool,
    name: Option<String>,
    origin: &Origin,
) -> Result<SinkDecl> {
    TextFormat::Csv { escape_formulas }.sink(table, path, mode, name, origin)
}
