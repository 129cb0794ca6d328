//! CSV files as tables, and tables as CSV files.

use std::path::Path;
use std::sync::Arc;

use millpond_error::{Origin, Result};
use millpond_io::csv::{CsvSource, CsvSourceOptions, check};
use millpond_io::sink::{CsvSink, CsvSinkOptions, Sink, resolve};
use millpond_io::source::Source;
use millpond_plan::{self as plan, ColumnType, Schema, SinkDecl, SourceDecl};
use millpond_store::{Disk, LocalDisk};
use serde_json::json;

pub use millpond_io::csv::OnError;
pub use millpond_io::sink::WriteMode;

use crate::connector::{SinkConnector, SourceConnector};
use crate::run::Output;
use crate::table::Table;

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
    /// What happens to a row that cannot be read as the schema says.
    pub on_error: OnError,
    /// The name under which the position is kept in the state.
    pub name: Option<String>,
}

impl Default for ReadOptions {
    fn default() -> Self {
        ReadOptions {
            append_only: false,
            delimiter: b',',
            quote: b'"',
            escape: None,
            on_error: OnError::Fail,
            name: None,
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
    let description = json!({
        "delimiter": char::from(options.delimiter).to_string(),
        "quote": char::from(options.quote).to_string(),
        "escape": escape,
        "append_only": append_only,
    });
    let read = CsvSourceOptions {
        delimiter: options.delimiter,
        quote: Some(options.quote),
        escape: options.escape,
        on_error: options.on_error,
        append_only,
        ..CsvSourceOptions::new(path, schema.clone())
    };
    let dead_letter = match on_error {
        OnError::DeadLetter(file) => Some(Arc::new(file_sink(&file, WriteMode::Append, None))),
        OnError::Fail | OnError::Skip => None,
    };
    let (checked, place) = (read.clone(), origin.clone());
    let connector = SourceConnector {
        check: Box::new(move || check(&checked).map_err(|error| error.at(&place))),
        make: Box::new(move |seed| Ok(Box::new(CsvSource::new(read.clone(), seed)) as Box<dyn Source>)),
        dead_letter,
    };
    plan::Table::source(SourceDecl {
        name,
        kind: "csv",
        schema,
        append_only,
        description,
        origin: origin.clone(),
        connector: Arc::new(connector),
    })
}

/// A result file of a Rust program; see [`write`].
#[derive(Clone, Debug)]
pub struct Write {
    table: Table,
    path: String,
    mode: WriteMode,
    name: Option<String>,
    disk: Option<Arc<dyn Disk>>,
    origin: Origin,
}

/// Writes a table to a CSV file: by default, in each run, the changes of that run.
#[track_caller]
pub fn write(table: &Table, path: impl Into<String>) -> Write {
    let origin = Origin::caller();
    Write { table: table.clone(), path: path.into(), mode: WriteMode::Changes, name: None, disk: None, origin }
}

impl Write {
    /// Chooses what the file holds.
    #[must_use]
    pub fn mode(mut self, mode: WriteMode) -> Self {
        self.mode = mode;
        self
    }

    /// Gives the name under which the position is kept in the state; by default it is the path as written.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// Writes the file, at the root of `disk`, instead of a file of the local file system.
    #[must_use]
    pub fn disk(mut self, disk: Arc<dyn Disk>) -> Self {
        self.disk = Some(disk);
        self
    }
}

impl From<Write> for Output {
    fn from(write: Write) -> Self {
        let connector = match write.disk {
            Some(disk) => disk_sink(disk, &write.path, write.mode),
            None => file_sink(Path::new(&write.path), write.mode, write.name.as_deref()),
        };
        Output(
            write
                .table
                .plan()
                .map(|table| declare(table, &write.path, write.mode, write.name, connector, &write.origin)),
        )
    }
}

/// The declaration of a result file, for fronts that carry their own origins.
pub fn sink(table: &plan::Table, path: &str, mode: WriteMode, name: Option<String>, origin: &Origin) -> SinkDecl {
    let connector = file_sink(Path::new(path), mode, name.as_deref());
    declare(table, path, mode, name, connector, origin)
}

fn declare(
    table: &plan::Table,
    path: &str,
    mode: WriteMode,
    name: Option<String>,
    connector: SinkConnector,
    origin: &Origin,
) -> SinkDecl {
    SinkDecl {
        table: table.clone(),
        name,
        kind: "csv",
        description: json!({ "path": path, "mode": mode_name(mode) }),
        keeps_table: mode == WriteMode::Snapshot,
        origin: origin.clone(),
        connector: Arc::new(connector),
    }
}

fn mode_name(mode: WriteMode) -> &'static str {
    match mode {
        WriteMode::Changes => "changes",
        WriteMode::Append => "append",
        WriteMode::Snapshot => "snapshot",
    }
}

fn file_sink(path: &Path, mode: WriteMode, name: Option<&str>) -> SinkConnector {
    let name = name.map_or_else(|| path.display().to_string(), str::to_owned);
    let path = path.to_owned();
    let checked = path.clone();
    SinkConnector {
        name,
        description: json!({ "path": path.display().to_string(), "mode": mode_name(mode) }),
        check: Box::new(move || resolve(&checked).map(drop)),
        make: Box::new(move || {
            let options = CsvSinkOptions::with_mode(mode);
            let sink = CsvSink::at(&path, options, |folder| Ok(Arc::new(LocalDisk::new(folder)?) as Arc<dyn Disk>))?;
            Ok(Box::new(sink) as Box<dyn Sink>)
        }),
    }
}

fn disk_sink(disk: Arc<dyn Disk>, file: &str, mode: WriteMode) -> SinkConnector {
    let file = file.to_owned();
    SinkConnector {
        name: file.clone(),
        description: json!({ "path": file, "mode": mode_name(mode) }),
        check: Box::new(|| Ok(())),
        make: Box::new(move || {
            Ok(Box::new(CsvSink::new(disk.clone(), &file, CsvSinkOptions::with_mode(mode))?) as Box<dyn Sink>)
        }),
    }
}
