//! Changes as Python values.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray};
use millpond_io::sink::Collected;
use millpond_plan::types::{Type, int_values};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyTuple;

/// A row, its epoch and its multiplicity.
pub type Change<'py> = (Bound<'py, PyTuple>, u64, i64);

/// Every change of every batch, in order.
pub fn changes<'py>(py: Python<'py>, batches: &[Collected]) -> PyResult<Vec<Change<'py>>> {
    let mut out = Vec::new();
    for batch in batches {
        let columns: Vec<Cells<'_>> = batch.columns.iter().map(Cells::of).collect();
        for row in 0..batch.rows {
            let values: PyResult<Vec<_>> = columns.iter().map(|column| column.get(py, row)).collect();
            out.push((PyTuple::new(py, values?)?, batch.epoch.0, batch.diffs.get(row)));
        }
    }
    Ok(out)
}

/// The cells of a column, by type.
pub enum Cells<'a> {
    Bool(&'a BooleanArray),
    Int(&'a Int64Array),
    Float(&'a Float64Array),
    Str(&'a StringArray),
    /// Points in time or durations.
    Time(Type, &'a [i64], &'a ArrayRef),
}

impl<'a> Cells<'a> {
    pub fn of(column: &'a ArrayRef) -> Self {
        if let Some(values) = column.as_boolean_opt() {
            Cells::Bool(values)
        } else if let Some(values) = column.as_primitive_opt::<Int64Type>() {
            Cells::Int(values)
        } else if let Some(values) = column.as_primitive_opt::<Float64Type>() {
            Cells::Float(values)
        } else if let (Some(ty), Some(values)) = (Type::from_arrow(column.data_type()), int_values(column)) {
            Cells::Time(ty, values, column)
        } else {
            Cells::Str(column.as_string::<i32>())
        }
    }

    /// A cell as a Python value.
    pub fn get<'py>(&self, py: Python<'py>, row: usize) -> PyResult<Bound<'py, PyAny>> {
        match self {
            Cells::Bool(values) => values.is_valid(row).then(|| values.value(row)).into_bound_py_any(py),
            Cells::Int(values) => values.is_valid(row).then(|| values.value(row)).into_bound_py_any(py),
            Cells::Float(values) => values.is_valid(row).then(|| values.value(row)).into_bound_py_any(py),
            Cells::Str(values) => values.is_valid(row).then(|| values.value(row)).into_bound_py_any(py),
            Cells::Time(_, _, column) if column.is_null(row) => Ok(py.None().into_bound(py)),
            Cells::Time(ty, values, _) => {
                static FROM_NANOSECONDS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
                let make = FROM_NANOSECONDS.import(py, "millpond._time", "from_nanoseconds")?;
                make.call1((ty.to_string(), values[row]))
            }
        }
    }
}
