//! Changes as Python values.

use arrow_array::ArrayRef;
use millpond_columns::ColumnView;
use millpond_columns::packed::{Mark, Reader};
use millpond_columns::types::{Schema, Type};
use millpond_columns::view::Values;
use millpond_io::sink::Collected;
use millpond_plan::json;
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyTuple};

/// A row, its epoch and its multiplicity.
pub(crate) type Change<'py> = (Bound<'py, PyTuple>, u64, i64);

/// Every change of every batch of a table, in order.
pub(crate) fn changes<'py>(py: Python<'py>, schema: &Schema, batches: &[Collected]) -> PyResult<Vec<Change<'py>>> {
    let mut out = Vec::new();
    for batch in batches {
        let columns = Cells::of_all(schema, &batch.columns);
        for row in 0..batch.rows {
            let values: PyResult<Vec<_>> = columns.iter().map(|column| column.get(py, row)).collect();
            out.push((PyTuple::new(py, values?)?, batch.epoch.0, batch.diffs.get(row)));
        }
    }
    Ok(out)
}

/// The cells of a column of this type.
pub(crate) struct Cells<'a>(ColumnView<'a>, Type);

impl<'a> Cells<'a> {
    /// The columns of a table of this schema.
    pub(crate) fn of_all(schema: &Schema, columns: &'a [ArrayRef]) -> Vec<Self> {
        let types = schema.columns().iter().map(|declared| declared.ty.ty);
        columns.iter().zip(types).map(|(column, ty)| Cells(ColumnView::of(column), ty)).collect()
    }

    /// A cell as a Python value.
    pub(crate) fn get<'py>(&self, py: Python<'py>, row: usize) -> PyResult<Bound<'py, PyAny>> {
        let Cells(cells, ty) = self;
        if cells.is_null(row) {
            return Ok(py.None().into_bound(py));
        }
        match cells.values {
            Values::Bool(values) => values.value(row).into_bound_py_any(py),
            Values::Int(values) if ty.is_time() => time(py, *ty, values[row]),
            Values::Int(values) => values[row].into_bound_py_any(py),
            Values::Float(values) => float(py, values[row]),
            Values::Bytes(values) => match ty.elements() {
                Some(_) => elements(py, *ty, &mut Reader::new(values.get(row))),
                None => plain(py, *ty, values.get(row)),
            },
        }
    }
}

fn time(py: Python<'_>, ty: Type, nanoseconds: i64) -> PyResult<Bound<'_, PyAny>> {
    static FROM_NANOSECONDS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    FROM_NANOSECONDS.import(py, "millpond._time", "from_nanoseconds")?.call1((ty.name(), nanoseconds))
}

/// A float. The NaN is one object, so that rows that hold it are equal in Python, too: containers look at the object
/// before they ask whether it equals itself.
fn float(py: Python<'_>, value: f64) -> PyResult<Bound<'_, PyAny>> {
    static NAN: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    match value.is_nan() {
        true => Ok(NAN.import(py, "math", "nan")?.clone()),
        false => value.into_bound_py_any(py),
    }
}

/// The text that a JSON value has in tables, of any text that stands for it; nothing if it stands for none.
#[pyfunction]
pub(crate) fn json_text(text: &str) -> Option<String> {
    let mut stored = Vec::new();
    json::canonical(text.as_bytes(), &mut stored).then(|| String::from_utf8(stored).ok()).flatten()
}

/// Text, bytes or JSON.
fn plain<'py>(py: Python<'py>, ty: Type, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    static PARSE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    match ty {
        Type::Bytes => Ok(PyBytes::new(py, bytes).into_any()),
        Type::Json => PARSE.import(py, "millpond._json", "parse")?.call1((text(bytes)?,)),
        _ => text(bytes)?.into_bound_py_any(py),
    }
}

/// A tuple of the elements of a tuple or a list.
fn elements<'py>(py: Python<'py>, ty: Type, reader: &mut Reader<'_>) -> PyResult<Bound<'py, PyAny>> {
    let mut values = Vec::new();
    match ty {
        Type::Tuple(types) => {
            for element in types {
                let mark = reader.mark().ok_or_else(|| damaged(ty))?;
                values.push(value(py, element.ty, mark, reader)?);
            }
        }
        _ => {
            let element = ty.elements().ok_or_else(|| damaged(ty))?[0];
            loop {
                match reader.mark().ok_or_else(|| damaged(ty))? {
                    Mark::End => break,
                    mark => values.push(value(py, element.ty, mark, reader)?),
                }
            }
        }
    }
    Ok(PyTuple::new(py, values)?.into_any())
}

fn value<'py>(py: Python<'py>, ty: Type, mark: Mark, reader: &mut Reader<'_>) -> PyResult<Bound<'py, PyAny>> {
    let whole = || damaged(ty);
    if mark == Mark::Null {
        return Ok(py.None().into_bound(py));
    }
    match ty {
        Type::Bool => reader.bool().ok_or_else(whole)?.into_bound_py_any(py),
        Type::Int => reader.int().ok_or_else(whole)?.into_bound_py_any(py),
        Type::Float => float(py, reader.float().ok_or_else(whole)?),
        Type::DateTimeNaive | Type::DateTimeUtc | Type::Duration => time(py, ty, reader.int().ok_or_else(whole)?),
        Type::Str | Type::Bytes | Type::Json => {
            let mut bytes = Vec::new();
            reader.bytes(&mut bytes).ok_or_else(whole)?;
            plain(py, ty, &bytes)
        }
        Type::Tuple(_) | Type::List(_) => elements(py, ty, reader),
    }
}

fn text(bytes: &[u8]) -> PyResult<&str> {
    std::str::from_utf8(bytes).map_err(|error| PyValueError::new_err(error.to_string()))
}

fn damaged(ty: Type) -> PyErr {
    PyValueError::new_err(format!("a value of type {ty} is damaged"))
}
