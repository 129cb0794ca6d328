//! Rows that a Python program hands over, from a thread of its own.

use std::sync::Arc;
use std::time::Duration;

use millpond_columns::packed;
use millpond_columns::types::{Schema, Type};
use millpond_error::{Error, ErrorKind, Result};
use millpond_io::feed::{Cell, Feed, FeedOptions, Feeder};
use millpond_plan::json::MAX_DEPTH;
use millpond_plan::{text_codec, time};
use pyo3::exceptions::PySystemExit;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

use crate::calls::{Named, calling};
use crate::errors::{Place, origin, raise, raised};
use crate::table::{PyColumn, PyTable, to_schema};

/// A table of the rows that a program hands over. A run calls `start(feed, position)`, which must return at once, and
/// in the end `stop()`, which calls the program's `on_stop`, and then, if the feeding thread does not end in time,
/// `leave()`. `key` are the positions of the primary key's columns; `not_resumable` says why a run cannot save state,
/// with a hint, where commits carry no positions.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "called at one place, in io/python.py, where each has a name")]
pub(crate) fn read_feed(
    start: Py<PyAny>,
    stop: Py<PyAny>,
    leave: Py<PyAny>,
    on_stop: Py<PyAny>,
    schema: Vec<PyColumn>,
    key: Vec<usize>,
    removals: bool,
    not_resumable: Option<(String, String)>,
    autocommit_ms: Option<u64>,
    name: Option<String>,
    place: Place,
) -> PyResult<PyTable> {
    let schema = to_schema(schema)?;
    let feeder = Arc::new(PyFeeder {
        start,
        stop,
        leave,
        on_stop: Arc::new(Named { role: "on_stop of a subject".to_owned(), function: on_stop }),
        columns: Arc::new(Columns::of(&schema)),
    });
    let positions = not_resumable.is_none();
    let autocommit = autocommit_ms.map(Duration::from_millis);
    let options = FeedOptions { schema, key, removals, positions, autocommit };
    let not_resumable = not_resumable.map(|(reason, hint)| Error::invalid(reason).with_hint(hint));
    millpond::feed::source(options, feeder, name, not_resumable, &origin(place)).map(PyTable).map_err(raise)
}

/// Where a program hands its rows over.
#[pyclass(frozen, name = "Feed", module = "millpond._native")]
pub struct PyFeed {
    feed: Feed,
    columns: Arc<Columns>,
}

#[pymethods]
impl PyFeed {
    /// Hands a row over, by the names of its columns, and waits while too many wait to be taken. Names that are no
    /// columns are an error if `strict`.
    fn push(&self, py: Python<'_>, row: &Bound<'_, PyDict>, strict: bool) -> PyResult<()> {
        let room = self.columns.with_cells(row, strict, |cells| self.feed.push(cells))?;
        self.wait(py, room);
        Ok(())
    }

    /// Takes a row away.
    fn remove(&self, py: Python<'_>, row: &Bound<'_, PyDict>) -> PyResult<()> {
        let room = self.columns.with_cells(row, true, |cells| self.feed.remove(cells))?;
        self.wait(py, room);
        Ok(())
    }

    /// Ends an epoch.
    fn commit(&self, py: Python<'_>, position: Option<String>) -> PyResult<()> {
        self.feed.commit(position).map_err(|error| raise_here(py, error))
    }

    /// Whether the run saves its state.
    fn is_saved(&self) -> bool {
        self.feed.is_saved()
    }

    /// Ends the source.
    fn close(&self) {
        self.feed.close();
    }

    /// Says that the feeding thread has ended, with this exception, if one was raised.
    fn end(&self, exception: Option<Bound<'_, PyAny>>) {
        self.feed.end(exception.map_or(Ok(()), |exception| Err(raised(PyErr::from_value(exception)))));
    }
}

impl PyFeed {
    fn wait(&self, py: Python<'_>, room: bool) {
        if !room {
            py.detach(|| self.feed.wait_for_room());
        }
    }
}

/// The columns of a feed.
struct Columns {
    names: Vec<Py<PyString>>,
    schema: Schema,
}

impl Columns {
    fn of(schema: &Schema) -> Self {
        let columns = schema.columns().iter();
        let names = Python::attach(|py| columns.map(|column| PyString::intern(py, &column.name).unbind()).collect());
        Columns { names, schema: schema.clone() }
    }

    /// Hands the cells of a row to `work`. Errors name the line of the program.
    fn with_cells(
        &self,
        row: &Bound<'_, PyDict>,
        strict: bool,
        work: impl FnOnce(&[Cell<'_>]) -> Result<bool>,
    ) -> PyResult<bool> {
        let py = row.py();
        let values: Vec<Option<Bound<'_, PyAny>>> =
            self.names.iter().map(|name| row.get_item(name.bind(py))).collect::<PyResult<_>>()?;
        if strict && values.iter().flatten().count() < row.len() {
            return Err(raise_here(py, self.unknown_column(row)));
        }
        let mut cells = Vec::with_capacity(values.len());
        for (value, column) in values.iter().zip(self.schema.columns()) {
            let cell = match value {
                Some(value) => to_cell(value, column.ty.ty)
                    .map_err(|reason| raise_here(py, Error::input(format!("{}: {reason}", column.name))))?,
                None => Cell::Null,
            };
            cells.push(cell);
        }
        work(&cells).map_err(|error| raise_here(py, error))
    }

    fn unknown_column(&self, row: &Bound<'_, PyDict>) -> Error {
        let names = row.keys().iter().map(|name| name.to_string());
        let unknown = names.into_iter().find(|name| self.schema.index_of(name).is_none()).unwrap_or_default();
        Error::input(format!("the schema has no column {unknown:?}")).with_hint(format!("it is {}", self.schema))
    }
}

/// A value as a cell of a column of type `ty`, or why it is none.
fn to_cell<'a>(value: &'a Bound<'_, PyAny>, ty: Type) -> std::result::Result<Cell<'a>, String> {
    if value.is_none() {
        return Ok(Cell::Null);
    }
    let cell = match ty {
        Type::Bool => value.cast::<PyBool>().ok().map(|value| Cell::Bool(value.is_true())),
        Type::Int if is_int(value) => {
            let int = value.extract().map_err(|_| format!("{} does not fit into an int of 64 bits", show(value)))?;
            Some(Cell::Int(int))
        }
        Type::Float if is_int(value) || value.is_instance_of::<PyFloat>() => {
            let float = value.extract().map_err(|_| format!("{} is too large for a float", show(value)))?;
            Some(Cell::Float(float))
        }
        Type::Str => match value.cast::<PyString>() {
            Ok(text) => Some(Cell::Str(text.to_str().map_err(|_| format!("{} is not valid text", show(value)))?)),
            Err(_) => None,
        },
        Type::Int | Type::Float => None,
        Type::Bytes => match value.cast::<PyBytes>() {
            Ok(bytes) => Some(Cell::bytes(bytes.as_bytes())),
            Err(_) => of_base64(value),
        },
        Type::Json | Type::Tuple(_) | Type::List(_) => {
            let mut stored = Vec::new();
            store(value, ty, &mut stored)?.then_some(Cell::Stored(ty, stored.into()))
        }
        Type::DateTimeNaive | Type::DateTimeUtc | Type::Duration => {
            to_nanoseconds(value, ty)?.map(|ns| Cell::Time(ty, ns))
        }
    };
    cell.ok_or_else(|| {
        let class = value.get_type().name().map_or_else(|_| "?".to_owned(), |name| name.to_string());
        let article = if ty == Type::Int { "an" } else { "a" };
        format!("{} ({class}) is not {article} {ty}", show(value))
    })
}

/// Appends how a value of a `json`, tuple or list column of type `ty` is stored; `false` if it is not of the type.
fn store(value: &Bound<'_, PyAny>, ty: Type, out: &mut Vec<u8>) -> std::result::Result<bool, String> {
    if ty == Type::Json {
        static DUMPS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let dumps = DUMPS.import(value.py(), "millpond._json", "dumps");
        let text = dumps.and_then(|dumps| dumps.call1((value,))).and_then(|text| text.extract::<String>());
        let text = text.map_err(|error| format!("{} is not JSON: {}", show(value), error.value(value.py())))?;
        if text_codec::read_json(ty, text.as_bytes(), out) {
            return Ok(true);
        }
        // What Python has written is JSON.
        return Err(format!("{} is nested more than {MAX_DEPTH} deep", show(value)));
    }
    if !value.is_instance_of::<PyTuple>() && !value.is_instance_of::<PyList>() {
        return Ok(false);
    }
    let values: Vec<Bound<'_, PyAny>> = value.extract().map_err(|_| format!("{} is not a sequence", show(value)))?;
    let types = ty.elements().unwrap_or_default();
    let is_list = matches!(ty, Type::List(_));
    if !is_list && types.len() != values.len() {
        return Ok(false);
    }
    for (value, element) in values.iter().zip(types.iter().cycle()) {
        match to_cell(value, element.ty)? {
            cell if element.optional && cell.is_none(*element) => packed::put_null(out),
            Cell::Null => return Err(format!("{} is in it, which is not optional", show(value))),
            Cell::Bool(value) => packed::put_bool(value, out),
            Cell::Int(value) | Cell::Time(_, value) => packed::put_int(value, out),
            Cell::Float(value) => packed::put_float(value, out),
            Cell::Str(text) => packed::put_bytes(text.as_bytes(), out),
            Cell::Stored(Type::Bytes | Type::Json, bytes) => packed::put_bytes(&bytes, out),
            Cell::Stored(_, bytes) => packed::put_packed(&bytes, out),
        }
    }
    if is_list {
        packed::put_end(out);
    }
    Ok(true)
}

/// Bytes that are spelled as in a file.
fn of_base64<'a>(value: &Bound<'_, PyAny>) -> Option<Cell<'a>> {
    let (text, mut bytes) = (value.cast::<PyString>().ok()?.to_str().ok()?, Vec::new());
    text_codec::read(Type::Bytes, text.as_bytes(), &mut bytes).then_some(Cell::Stored(Type::Bytes, bytes.into()))
}

/// A point in time or a duration, also one that is spelled as in a file.
fn to_nanoseconds(value: &Bound<'_, PyAny>, ty: Type) -> std::result::Result<Option<i64>, String> {
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(text.to_str().ok().and_then(|text| time::read(ty, text.as_bytes())));
    }
    static OF_OBJECT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let of_object = OF_OBJECT.import(value.py(), "millpond._time", "of_object");
    let found = of_object.and_then(|of_object| of_object.call1((value,))).and_then(|pair| pair.extract());
    let found: Option<(String, i64)> =
        found.map_err(|_: PyErr| format!("{} does not fit into 64 bits of nanoseconds", show(value)))?;
    Ok(found.filter(|(found, _)| *found == ty.name()).map(|(_, nanoseconds)| nanoseconds))
}

fn is_int(value: &Bound<'_, PyAny>) -> bool {
    value.is_instance_of::<PyInt>() && !value.is_instance_of::<PyBool>()
}

/// A value in a message, short.
fn show(value: &Bound<'_, PyAny>) -> String {
    let quoted = value.cast::<PyString>().ok().and_then(|text| text.to_str().ok()).map(|text| format!("{text:?}"));
    let text = quoted.unwrap_or_else(|| value.repr().map_or_else(|_| "?".to_owned(), |text| text.to_string()));
    if text.chars().count() <= 80 { text } else { text.chars().take(77).chain("...".chars()).collect() }
}

/// The exception for an error at the line of the program that is running. After the end of the run it is one that ends
/// the thread silently.
fn raise_here(py: Python<'_>, error: Error) -> PyErr {
    if error.kind() == ErrorKind::Interrupted {
        return PySystemExit::new_err(());
    }
    let here = py.import("millpond._origin").and_then(|module| module.getattr("here"));
    match here.and_then(|here| here.call0()).and_then(|place| place.extract::<Place>()) {
        Ok(place) => raise(error.at(&origin(place))),
        Err(failure) => failure,
    }
}

/// The functions that start and stop a feeding thread.
struct PyFeeder {
    start: Py<PyAny>,
    stop: Py<PyAny>,
    leave: Py<PyAny>,
    on_stop: Arc<Named>,
    columns: Arc<Columns>,
}

impl Feeder for PyFeeder {
    fn start(&self, feed: Feed, position: Option<&str>) -> Result<()> {
        let feed = PyFeed { feed, columns: self.columns.clone() };
        Python::attach(|py| self.start.call1(py, (feed, position)).map(drop)).map_err(raised)
    }

    fn stop(&self) {
        calling(&self.on_stop, || call_silently(&self.stop));
    }

    fn leave(&self) {
        call_silently(&self.leave);
    }
}

/// Calls a function whose exception ends nothing.
fn call_silently(function: &Py<PyAny>) {
    Python::attach(|py| {
        if let Err(exception) = function.call0(py) {
            exception.write_unraisable(py, None);
        }
    });
}
