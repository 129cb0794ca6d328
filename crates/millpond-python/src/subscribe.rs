//! Changes handed to Python functions, row by row.

use std::sync::Arc;

use millpond::connector::{Batches, Changes, Delivery, Epoch, HashSeed, Subscriber, declare_subscription};
use millpond_columns::types::Schema;
use millpond_engine::hash::hash_columns;
use millpond_error::Result;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::calls::{Named, calling, tick};
use crate::errors::{Place, origin, raise, raised};
use crate::io::PySink;
use crate::rows::Cells;
use crate::table::PyTable;

/// Hands a table's changes to functions: `on_change(key, row, time, is_addition)` for each, `on_time_end(time)` after
/// each epoch, `on_end()` at the end of the run.
#[pyfunction]
pub(crate) fn subscribe(
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
    let named = |what: &str, function| Arc::new(Named { role: format!("{what} of \"{name}\""), function });
    let functions = Arc::new(Functions {
        names,
        schema: table.0.schema().clone(),
        on_change: named("on_change", on_change),
        on_time_end: on_time_end.map(|function| named("on_time_end", function)),
        on_end: on_end.map(|function| named("on_end", function)),
    });
    let delivery = if at_once { Delivery::AtOnce } else { Delivery::AfterCommit };
    PySink(declare_subscription(&table.0, name, &origin(place), functions, delivery))
}

/// The functions of a subscription.
struct Functions {
    names: Vec<Py<PyString>>,
    schema: Schema,
    on_change: Arc<Named>,
    on_time_end: Option<Arc<Named>>,
    on_end: Option<Arc<Named>>,
}

impl Functions {
    /// Calls into Python; what is raised there ends the run.
    fn call(&self, calls: impl FnOnce(Python<'_>) -> PyResult<()>) -> Result<()> {
        Python::attach(calls).map_err(raised)
    }

    /// Calls `on_change` for the rows of one sign, as often as each is added or removed.
    fn changes(&self, py: Python<'_>, time: u64, changes: &Changes, added: bool) -> PyResult<()> {
        let columns = Cells::of_all(&self.schema, &changes.columns);
        let keys = hash_columns(HashSeed(0), &changes.columns, changes.rows);
        let on_change = self.on_change.function.bind(py);
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
                tick();
            }
        }
        Ok(())
    }
}

impl Subscriber for Functions {
    fn on_epoch(&self, epoch: Epoch, changes: &Batches) -> Result<()> {
        self.call(|py| {
            // What replaces a row comes after it.
            calling(&self.on_change, || {
                changes.iter().try_for_each(|changes| self.changes(py, epoch.0, &changes.map_err(raise)?, false))?;
                changes.iter().try_for_each(|changes| self.changes(py, epoch.0, &changes.map_err(raise)?, true))
            })?;
            let Some(on_time_end) = &self.on_time_end else { return Ok(()) };
            calling(on_time_end, || on_time_end.function.call1(py, (epoch.0,)).map(drop))
        })
    }

    fn on_end(&self) -> Result<()> {
        let Some(on_end) = &self.on_end else { return Ok(()) };
        calling(on_end, || self.call(|py| on_end.function.call0(py).map(drop)))
    }
}
