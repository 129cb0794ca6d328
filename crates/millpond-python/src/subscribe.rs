//! Changes handed to Python functions, row by row.

use std::sync::Arc;

use millpond::connector::{Changes, Delivery, Epoch, HashSeed, Subscriber, declare_subscription};
use millpond_engine::hash::hash_columns;
use millpond_error::Result;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::errors::{Place, origin, raised};
use crate::io::PySink;
use crate::rows::Cells;
use crate::table::PyTable;

/// Hands a table's changes to functions: `on_change(key, row, time, is_addition)` for each, `on_time_end(time)` after each
/// epoch, `on_end()` at the end of the run.
#[pyfunction]
pub fn subscribe(
    table: &PyTable,
    on_change: Py<PyAny>,
    on_time_end: Option<Py<PyAny>>,
    on_end: Option<Py<PyAny>>,
    at_once: bool,
    name: &str,
    place: Place,
) -> PySink {
    let columns = table.0.schema().columns();
    let names = Python::attach(|py| columns.iter().map(|c| PyString::intern(py, &c.name).unbind()).collect());
    let functions = Arc::new(Functions { names, on_change, on_time_end, on_end });
    let delivery = if at_once { Delivery::AtOnce } else { Delivery::AfterCommit };
    PySink(declare_subscription(&table.0, name, &origin(place), functions, delivery))
}

/// The functions of a subscription.
struct Functions {
    names: Vec<Py<PyString>>,
    on_change: Py<PyAny>,
    on_time_end: Option<Py<PyAny>>,
    on_end: Option<Py<PyAny>>,
}

impl Functions {
    /// Calls into Python; what is raised there ends the run.
    fn call(&self, calls: impl FnOnce(Python<'_>) -> PyResult<()>) -> Result<()> {
        Python::attach(calls).map_err(raised)
    }

    /// Calls `on_change` for the rows of one sign, as often as each is added or removed.
    fn changes(&self, py: Python<'_>, time: u64, changes: &Changes, added: bool) -> PyResult<()> {
        let columns: Vec<Cells<'_>> = changes.columns.iter().map(Cells::of).collect();
        let keys = hash_columns(HashSeed(0), &changes.columns, changes.rows);
        let on_change = self.on_change.bind(py);
        for (row, key) in keys.iter().enumerate() {
            let diff = changes.diffs.get(row);
            if (diff > 0) != added {
                continue;
            }
            for _ in 0..diff.unsigned_abs() {
                let values = PyDict::new(py);
                for (name, column) in self.names.iter().zip(&columns) {
                    values.set_item(name.bind(py), column.get(py, row)?)?;
                }
                on_change.call1((*key, values, time, added))?;
            }
        }
        Ok(())
    }
}

impl Subscriber for Functions {
    fn on_epoch(&self, epoch: Epoch, changes: &[Changes]) -> Result<()> {
        self.call(|py| {
            // What replaces a row comes after it.
            changes.iter().try_for_each(|changes| self.changes(py, epoch.0, changes, false))?;
            changes.iter().try_for_each(|changes| self.changes(py, epoch.0, changes, true))?;
            self.on_time_end.as_ref().map_or(Ok(()), |call| call.call1(py, (epoch.0,)).map(drop))
        })
    }

    fn on_end(&self) -> Result<()> {
        self.call(|py| self.on_end.as_ref().map_or(Ok(()), |call| call.call0(py).map(drop)))
    }
}
