//! Result files of any text format, declared.

mod suffix;

use std::path::Path;
use std::sync::Arc;

use millpond_columns::Schema;
use millpond_error::{Origin, Result};
use millpond_io::sink::{CsvSink, CsvSinkOptions, JsonLinesSink, Sink, resolve};
use millpond_plan::{self as plan, SinkDecl};
use millpond_store::{Disk, LocalDisk};
use serde_json::json;

pub use millpond_io::sink::WriteMode;

use crate::declare::SinkConnector;

/// A text format of result files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextFormat {
    Csv {
        /// Whether a text that a spreadsheet would take for a formula gets a `'` in front of it.
        escape_formulas: bool,
    },
    JsonLines,
}

impl TextFormat {
    /// CSV as it is written without options.
    pub(crate) const CSV: Self = TextFormat::Csv { escape_formulas: false };

    /// Checks that a table of this schema can be written to a file of this name.
    pub(crate) fn check(self, schema: &Schema, mode: WriteMode, path: &Path) -> Result<()> {
        mode.check(schema)?;
        suffix::check(self, path)
    }

    /// The declaration of a result file.
    ///
    /// # Errors
    /// `Invalid`, if the file cannot hold the table: by the names of its columns, by its own name or by what is there.
    pub(crate) fn sink(
        self,
        table: &plan::Table,
        path: &str,
        mode: WriteMode,
        name: Option<String>,
        origin: &Origin,
    ) -> Result<SinkDecl> {
        let checked = self.check(table.schema(), mode, Path::new(path));
        checked.and_then(|()| resolve(Path::new(path))).map_err(|error| error.at(origin))?;
        let connector = self.file_sink(Path::new(path), mode, name.as_deref(), origin);
        Ok(self.declare(table, mode, connector, origin))
    }

    /// The file of CSV for the rejected rows of a source.
    ///
    /// # Errors
    /// As for [`TextFormat::sink`].
    pub(crate) fn dead_letter(path: &Path, origin: &Origin) -> Result<SinkConnector> {
        let checked = suffix::check(TextFormat::CSV, path).and_then(|()| resolve(path));
        checked.map_err(|error| error.context("dead letters").at(origin))?;
        Ok(TextFormat::CSV.file_sink(path, WriteMode::Append, None, origin))
    }

    pub(crate) fn declare(
        self,
        table: &plan::Table,
        mode: WriteMode,
        connector: SinkConnector,
        origin: &Origin,
    ) -> SinkDecl {
        let mut description = json!({ "mode": mode.name() });
        if matches!(self, TextFormat::Csv { escape_formulas: true }) {
            description["escape_formulas"] = true.into();
        }
        SinkDecl {
            table: table.clone(),
            name: connector.name.clone(),
            kind: self.kind().into(),
            description,
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

    fn file_sink(self, path: &Path, mode: WriteMode, name: Option<&str>, origin: &Origin) -> SinkConnector {
        let name = name.map_or_else(|| path.display().to_string(), str::to_owned);
        let path = path.to_owned();
        let (checked, place) = (path.clone(), origin.clone());
        SinkConnector {
            name,
            path: Some(path.clone()),
            origin: origin.clone(),
            check: Box::new(move || resolve(&checked).map(drop).map_err(|error| error.at(&place))),
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

    pub(crate) fn disk_sink(self, disk: Arc<dyn Disk>, file: &str, mode: WriteMode, origin: &Origin) -> SinkConnector {
        let file = file.to_owned();
        SinkConnector {
            name: file.clone(),
            path: None,
            origin: origin.clone(),
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
