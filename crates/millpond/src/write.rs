//! Result files of any text format, declared.

use std::path::Path;
use std::sync::Arc;

use millpond_error::{Origin, Result};
use millpond_io::sink::{CsvSink, CsvSinkOptions, JsonLinesSink, Sink, resolve};
use millpond_plan::{self as plan, SinkDecl};
use millpond_store::{Disk, LocalDisk};
use serde_json::json;

pub use millpond_io::sink::WriteMode;

use crate::connector::SinkConnector;
use crate::run::Output;
use crate::table::Table;

/// A text format of result files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextFormat {
    Csv {
        /// Whether a text that a spreadsheet would take for a formula gets a `'` in front of it.
        escape_formulas: bool,
    },
    JsonLines,
}

/// A result file of a Rust program: options by method, then [`run`](crate::run).
#[derive(Clone, Debug)]
pub struct Write {
    format: TextFormat,
    table: Table,
    path: String,
    mode: WriteMode,
    name: Option<String>,
    disk: Option<Arc<dyn Disk>>,
    origin: Origin,
}

impl Write {
    pub(crate) fn new(format: TextFormat, table: &Table, path: String, origin: Origin) -> Self {
        Write { format, table: table.clone(), path, mode: WriteMode::Changes, name: None, disk: None, origin }
    }

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

    /// Puts a `'` in front of each text, in a CSV file, that a spreadsheet would take for a formula, since it starts with `=`,
    /// `+`, `-`, `@`, a tab or a line break. The text then reads back with that `'`.
    #[must_use]
    pub fn escape_formulas(mut self) -> Self {
        if let TextFormat::Csv { escape_formulas } = &mut self.format {
            *escape_formulas = true;
        }
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
        let Write { format, table, path, mode, name, disk, origin } = write;
        let connector = match disk {
            Some(disk) => format.disk_sink(disk, &path, mode),
            None => format.file_sink(Path::new(&path), mode, name.as_deref()),
        };
        Output(table.plan().and_then(|table| {
            format.check(table.schema(), mode).map_err(|error| error.at(&origin))?;
            Ok(format.declare(table, &path, mode, name, connector, &origin))
        }))
    }
}

impl TextFormat {
    /// CSV as it is written without options.
    pub(crate) const CSV: Self = TextFormat::Csv { escape_formulas: false };

    /// Checks that a table of this schema can be written.
    pub(crate) fn check(self, schema: &plan::Schema, mode: WriteMode) -> Result<()> {
        match self {
            TextFormat::Csv { .. } => Ok(()),
            TextFormat::JsonLines => JsonLinesSink::check(schema, mode),
        }
    }

    /// The declaration of a result file.
    pub(crate) fn sink(
        self,
        table: &plan::Table,
        path: &str,
        mode: WriteMode,
        name: Option<String>,
        origin: &Origin,
    ) -> SinkDecl {
        let connector = self.file_sink(Path::new(path), mode, name.as_deref());
        self.declare(table, path, mode, name, connector, origin)
    }

    fn declare(
        self,
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
            kind: self.kind(),
            description: json!({ "path": path, "mode": mode_name(mode) }),
            keeps_table: mode == WriteMode::Snapshot,
            origin: origin.clone(),
            connector: Arc::new(connector),
        }
    }

    fn kind(self) -> &'static str {
        match self {
            TextFormat::Csv { .. } => "csv",
            TextFormat::JsonLines => "jsonlines",
        }
    }

    pub(crate) fn file_sink(self, path: &Path, mode: WriteMode, name: Option<&str>) -> SinkConnector {
        let name = name.map_or_else(|| path.display().to_string(), str::to_owned);
        let path = path.to_owned();
        let checked = path.clone();
        SinkConnector {
            name,
            description: json!({ "path": path.display().to_string(), "mode": mode_name(mode) }),
            check: Box::new(move || resolve(&checked).map(drop)),
            make: Box::new(move || {
                let disk_at = |folder: &Path| Ok(Arc::new(LocalDisk::new(folder)?) as Arc<dyn Disk>);
                Ok(match self {
                    TextFormat::Csv { escape_formulas } => {
                        let mut options = CsvSinkOptions::with_mode(mode);
                        options.escape_formulas = escape_formulas;
                        Box::new(CsvSink::at(&path, options, disk_at)?)
                    }
                    TextFormat::JsonLines => Box::new(JsonLinesSink::at(&path, mode, disk_at)?) as Box<dyn Sink>,
                })
            }),
        }
    }

    fn disk_sink(self, disk: Arc<dyn Disk>, file: &str, mode: WriteMode) -> SinkConnector {
        let file = file.to_owned();
        SinkConnector {
            name: file.clone(),
            description: json!({ "path": file, "mode": mode_name(mode) }),
            check: Box::new(|| Ok(())),
            make: Box::new(move || {
                let disk = disk.clone();
                Ok(match self {
                    TextFormat::Csv { escape_formulas } => {
                        let mut options = CsvSinkOptions::with_mode(mode);
                        options.escape_formulas = escape_formulas;
                        Box::new(CsvSink::new(disk, &file, options)?)
                    }
                    TextFormat::JsonLines => Box::new(JsonLinesSink::new(disk, &file, mode)?) as Box<dyn Sink>,
                })
            }),
        }
    }
}

fn mode_name(mode: WriteMode) -> &'static str {
    match mode {
        WriteMode::Changes => "changes",
        WriteMode::Append => "append",
        WriteMode::Snapshot => "snapshot",
    }
}
