//! Sources and sinks.

use std::path::PathBuf;
use std::time::Duration;

use millpond::csv::{OnError, ReadOptions, Streaming, WriteMode};
use millpond::jsonlines;
use millpond_plan::SinkDecl;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::errors::{Place, origin, raise};
use crate::table::{PyColumn, PyTable, to_schema};

/// A table that is written somewhere by a run.
#[pyclass(frozen, name = "Sink", module = "millpond._native")]
pub struct PySink(pub SinkDecl);

#[pymethods]
impl PySink {
    /// The name that the state finds it by.
    #[getter]
    fn name(&self) -> &str {
        &self.0.name
    }
}

/// A table of the rows of CSV files.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "called at one place, in the package's io/csv.py, where each has a name")]
pub(crate) fn read_csv(
    path: &str,
    schema: Vec<PyColumn>,
    delimiter: u8,
    quote: u8,
    escape: Option<u8>,
    null_values: Vec<String>,
    append_only: bool,
    on_error: &str,
    dead_letter: Option<PathBuf>,
    name: Option<String>,
    commit_every_ms: Option<u64>,
    with_metadata: bool,
    place: Place,
) -> PyResult<PyTable> {
    let on_error = to_on_error(on_error, dead_letter)?;
    let streaming = to_streaming(commit_every_ms);
    let options =
        ReadOptions { append_only, delimiter, quote, escape, null_values, on_error, name, streaming, with_metadata };
    millpond::csv::source(path, to_schema(schema)?, options, &origin(place)).map(PyTable).map_err(raise)
}

/// Writes a table to a CSV file.
#[pyfunction]
pub(crate) fn write_csv(
    table: &PyTable,
    path: &str,
    mode: &str,
    escape_formulas: bool,
    name: Option<String>,
    place: Place,
) -> PyResult<PySink> {
    let sink = millpond::csv::sink(&table.0, path, to_mode(mode)?, escape_formulas, name, &origin(place));
    sink.map(PySink).map_err(raise)
}

/// A table of the rows of files of JSON lines.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "called at one place, in io/jsonlines.py, where each has a name")]
pub(crate) fn read_json_lines(
    path: &str,
    schema: Vec<PyColumn>,
    field_paths: Vec<(String, String)>,
    allow_nan: bool,
    append_only: bool,
    on_error: &str,
    dead_letter: Option<PathBuf>,
    name: Option<String>,
    commit_every_ms: Option<u64>,
    with_metadata: bool,
    place: Place,
) -> PyResult<PyTable> {
    let on_error = to_on_error(on_error, dead_letter)?;
    let streaming = to_streaming(commit_every_ms);
    let options =
        jsonlines::ReadOptions { append_only, field_paths, allow_nan, on_error, name, streaming, with_metadata };
    jsonlines::source(path, to_schema(schema)?, options, &origin(place)).map(PyTable).map_err(raise)
}

/// Writes a table to a file of JSON lines.
#[pyfunction]
pub(crate) fn write_json_lines(
    table: &PyTable,
    path: &str,
    mode: &str,
    name: Option<String>,
    place: Place,
) -> PyResult<PySink> {
    jsonlines::sink(&table.0, path, to_mode(mode)?, name, &origin(place)).map(PySink).map_err(raise)
}

fn to_on_error(on_error: &str, dead_letter: Option<PathBuf>) -> PyResult<OnError> {
    Ok(match (on_error, dead_letter) {
        ("fail", None) => OnError::Fail,
        ("skip", None) => OnError::Skip,
        ("dead_letter", Some(path)) => OnError::DeadLetter(path),
        _ => return Err(PyValueError::new_err("on_error and dead_letter do not fit")),
    })
}

/// Streaming, if an interval is given.
fn to_streaming(commit_every_ms: Option<u64>) -> Option<Streaming> {
    commit_every_ms.map(|ms| Streaming { commit_every: Duration::from_millis(ms), ..Streaming::default() })
}

fn to_mode(mode: &str) -> PyResult<WriteMode> {
    Ok(match mode {
        "changes" => WriteMode::Changes,
        "append" => WriteMode::Append,
        "snapshot" => WriteMode::Snapshot,
        _ => return Err(PyValueError::new_err(format!("no mode {mode:?}"))),
    })
}

/// A row for each error value of the program.
#[pyfunction]
pub(crate) fn error_log(place: Place) -> PyTable {
    PyTable(millpond_plan::Table::error_log(&origin(place)))
}

/// A table written down as text.
#[pyfunction]
pub(crate) fn markdown(text: &str, schema: Option<Vec<PyColumn>>, place: Place) -> PyResult<PyTable> {
    let schema = schema.map(to_schema).transpose()?;
    millpond::debug::markdown(text, schema, &origin(place)).map(PyTable).map_err(raise)
}
