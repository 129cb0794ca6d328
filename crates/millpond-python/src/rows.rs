//! Changes as Python values, for looking at small tables.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef};
use millpond_io::sink::Collected;
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

/// A row, its epoch and its multiplicity.
pub type Change<'py> = (Bound<'py, PyTuple>, u64, i64);

/// Every change of every batch, in order.
pub fn changes<'py>(py: Python<'py>, batches: &[Collected]) -> PyResult<Vec<Change<'py>>> {
    let mut out = Vec::new();
    for batch in batches {
        for row in 0..batch.rows {
            let values: PyResult<Vec<_>> = batch.columns.iter().map(|column| cell(py, column, row)).collect();
            out.push((PyTuple::new(py, values?)?, batch.epoch.0, batch.diffs.get(row)));
        }
    }
    Ok(out)
}

fn cell<'py>(py: Python<'py>, column: &ArrayRef, row: usize) -> PyResult<Bound<'py, PyAny>> {
    if column.is_null(row) {
        return Ok(py.None().into_bound(py));
    }
    if let Some(values) = column.as_boolean_opt() {
        values.value(row).into_bound_py_any(py)
    } else if let Some(values) = column.as_primitive_opt::<Int64Type>() {
        values.value(row).into_bound_py_any(py)
    } else if let Some(values) = column.as_primitive_opt::<Float64Type>() {
        values.value(row).into_bound_py_any(py)
    } else {
        column.as_string::<i32>().value(row).into_bound_py_any(py)
    }
}
