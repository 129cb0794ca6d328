//! Files of JSON lines as tables, and tables as files of JSON lines.
//!
//! What a line may hold, and how values are read, is said in [`millpond_io::jsonlines`].

use std::sync::Arc;

use millpond_columns::{ColumnType, Schema};
use millpond_error::{Origin, Result};
use millpond_io::jsonlines::{JsonLinesSource, JsonLinesSourceOptions, check, check_field_paths};
use millpond_io::source::Source;
use millpond_plan::{self as plan, SinkDecl, SourceDecl};
use serde_json::json;

pub use millpond_io::jsonlines::{OnError, Streaming};

use crate::csv::described;
use crate::declare::SourceConnector;
use crate::output::Output;
use crate::table::Table;
use crate::write::TextFormat;
pub use crate::write::WriteMode;

/// How files of JSON lines are read.
#[derive(Clone, Debug, Default)]
pub struct ReadOptions {
    /// Promises that files only grow: state is smaller, and a last line without a newline waits for the rest.
    pub append_only: bool,
    /// Columns that are not the field of their name, each with its JSON pointer: `("city", "/address/city")`.
    pub field_paths: Vec<(String, String)>,
    /// Whether `NaN`, `Infinity` and `-Infinity` without quotes, which are not JSON, are values of floats.
    pub allow_nan: bool,
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

/// Files of JSON lines as a table of a Rust program: options by method, then [`table`](Read::table).
#[derive(Clone, Debug)]
pub struct Read {
    path: String,
    schema: Schema,
    options: ReadOptions,
}

/// Reads a file, a directory (with all directories below it) or a glob of files that hold one JSON object a line;
/// `schema` gives the fields to read, by name. Other fields are left out.
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

    /// Reads a column from where a JSON pointer (RFC 6901) leads, such as `/address/city` or `/items/0/name`.
    #[must_use]
    pub fn field_path(mut self, column: &str, pointer: &str) -> Self {
        self.options.field_paths.push((column.to_owned(), pointer.to_owned()));
        self
    }

    /// Reads `NaN`, `Infinity` and `-Infinity` without quotes as floats, as [`ReadOptions::allow_nan`] says.
    #[must_use]
    pub fn allow_nan(mut self) -> Self {
        self.options.allow_nan = true;
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

    /// Reads with these options; a name and paths given before are replaced.
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

/// The table of files of JSON lines, for fronts that carry their own origins.
///
/// # Errors
/// `Invalid`, if two columns have one name, or a path is no JSON pointer or none of a column.
pub fn source(path: &str, schema: Schema, options: ReadOptions, origin: &Origin) -> Result<plan::Table> {
    let ReadOptions { append_only, field_paths, allow_nan, on_error, name, streaming, with_metadata } = options;
    let paths: serde_json::Map<_, _> =
        field_paths.iter().map(|(column, pointer)| (column.clone(), pointer.as_str().into())).collect();
    let mut description = json!({ "json_field_paths": paths, "append_only": append_only });
    if allow_nan {
        description["allow_nan"] = true.into();
    }
    let (file_schema, schema) = (schema.clone(), described(schema, with_metadata, &mut description, origin)?);
    let dead_letter = match &on_error {
        OnError::DeadLetter(file) => Some(Arc::new(TextFormat::dead_letter(file, origin)?)),
        OnError::Fail | OnError::Skip => None,
    };
    let read = JsonLinesSourceOptions {
        field_paths,
        allow_nan,
        on_error,
        append_only,
        streaming,
        with_metadata,
        ..JsonLinesSourceOptions::new(path, file_schema)
    };
    check_field_paths(&read).map_err(|error| error.at(origin))?;
    let (checked, place) = (read.clone(), origin.clone());
    let connector = SourceConnector {
        check: Box::new(move || check(&checked).map_err(|error| error.at(&place))),
        make: Box::new(move |seed| Ok(Box::new(JsonLinesSource::new(read.clone(), seed)) as Box<dyn Source>)),
        dead_letter,
        not_resumable: None,
        path: Some(path.to_owned()),
    };
    plan::Table::source(SourceDecl {
        name,
        kind: "jsonlines".into(),
        schema,
        append_only,
        description,
        origin: origin.clone(),
        connector: Arc::new(connector),
    })
}

/// Writes a table to a file of JSON lines: by default, in each run, the changes of that run. Each line is an object
/// with the columns of the table and, unless the file holds the present table, `diff` and `time`.
#[track_caller]
pub fn write(table: &Table, path: impl Into<String>) -> Output {
    Output::file(TextFormat::JsonLines, table, path.into(), Origin::caller())
}

/// The declaration of a result file, for fronts that carry their own origins.
///
/// # Errors
/// `Invalid`, if a column of a log of changes is called `time` or `diff`, if the end of the file's name says another
/// format or a compression, or if what is there is no regular file.
pub fn sink(
    table: &plan::Table,
    path: &str,
    mode: WriteMode,
    name: Option<String>,
    origin: &Origin,
) -> Result<SinkDecl> {
    TextFormat::JsonLines.sink(table, path, mode, name, origin)
}
