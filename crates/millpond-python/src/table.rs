//! `Table`: a table of the plan.

use millpond::RunOptions;
use millpond::debug::HeadOrder;
use millpond_columns::types::{ColumnType, Schema};
use millpond_plan::{
    Behavior, Expr, JoinMode, JoinOn, Literal, SessionGap, SessionWindow, Side, SlidingWindow, Table, TableRef,
    WindowLength, lit,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::errors::{Place, origin, raise};
use crate::expr::{PyExpr, to_literal, to_type};
use crate::interrupt::{Ended, interruptible};
use crate::rows;
use crate::stops::{Signals, Stops};

/// A column as Python sees it: name, type, whether it may hold nulls.
pub(crate) type PyColumn = (String, String, bool);

/// A table.
#[pyclass(frozen, name = "Table", module = "millpond._native")]
pub struct PyTable(pub Table);

/// When windows are shown and when they are over.
#[pyclass(frozen, name = "Behavior", module = "millpond._native")]
pub struct PyBehavior(Behavior);

#[pymethods]
impl PyBehavior {
    #[staticmethod]
    fn common(
        delay: Option<&Bound<'_, PyAny>>,
        cutoff: Option<&Bound<'_, PyAny>>,
        keep_results: bool,
    ) -> PyResult<PyBehavior> {
        let (delay, cutoff) = (delay.map(to_literal).transpose()?, cutoff.map(to_literal).transpose()?);
        Ok(PyBehavior(Behavior::Common { delay, cutoff, keep_results }))
    }

    #[staticmethod]
    fn exactly_once(shift: Option<&Bound<'_, PyAny>>) -> PyResult<PyBehavior> {
        Ok(PyBehavior(Behavior::ExactlyOnce { shift: shift.map(to_literal).transpose()? }))
    }
}

type Named<'py> = Vec<(String, PyRef<'py, PyExpr>)>;

fn named(columns: Named<'_>) -> Vec<(String, Expr)> {
    columns.into_iter().map(|(name, expr)| (name, expr.0.clone())).collect()
}

#[pymethods]
impl PyTable {
    fn schema(&self) -> Vec<PyColumn> {
        let columns = self.0.schema().columns().iter();
        columns.map(|column| (column.name.clone(), column.ty.ty.name(), column.ty.optional)).collect()
    }

    /// A column of this very table.
    fn column(&self, name: String, place: Place) -> PyExpr {
        PyExpr(Expr::column(TableRef::Of(self.0.id().clone()), name).at(origin(place)))
    }

    /// Checks that an expression is over columns of this table.
    fn check(&self, expr: &PyExpr, place: Place) -> PyResult<()> {
        self.0.check_columns(&expr.0, &origin(place)).map_err(raise)
    }

    fn named(&self, name: &str, place: Place) -> PyResult<PyTable> {
        self.0.named(name, &origin(place)).map(PyTable).map_err(raise)
    }

    fn copy(&self, place: Place) -> PyTable {
        PyTable(self.0.copy(&origin(place)))
    }

    fn join_select(
        &self,
        right: &PyTable,
        how: &str,
        on: Vec<PyRef<'_, PyExpr>>,
        id: Option<&str>,
        outputs: Named<'_>,
        place: Place,
    ) -> PyResult<PyTable> {
        let mode = JoinMode::ALL.into_iter().find(|mode| mode.name() == how);
        let mode = mode.ok_or_else(|| PyValueError::new_err(format!("no join is {how}")))?;
        let conditions = on.iter().map(|condition| condition.0.clone()).collect();
        let id = id.map(|id| if id == "left" { Side::Left } else { Side::Right });
        let on = JoinOn { mode, conditions, id };
        self.0.join_select(&right.0, on, named(outputs), &origin(place)).map(PyTable).map_err(raise)
    }

    fn explain(&self, place: Place) -> PyResult<String> {
        self.0.explain(&origin(place)).map_err(raise)
    }

    fn select(&self, outputs: Named<'_>, place: Place) -> PyResult<PyTable> {
        self.0.select(named(outputs), &origin(place)).map(PyTable).map_err(raise)
    }

    fn with_columns(&self, outputs: Named<'_>, place: Place) -> PyResult<PyTable> {
        self.0.with_columns(named(outputs), &origin(place)).map(PyTable).map_err(raise)
    }

    fn without(&self, names: Vec<String>, place: Place) -> PyResult<PyTable> {
        self.0.without(&names, &origin(place)).map(PyTable).map_err(raise)
    }

    /// Old names and new ones.
    fn rename(&self, names: Vec<(String, String)>, place: Place) -> PyResult<PyTable> {
        self.0.rename(&names, &origin(place)).map(PyTable).map_err(raise)
    }

    fn cast_to_types(&self, types: Vec<(String, String)>, place: Place) -> PyResult<PyTable> {
        let types = types.into_iter().map(|(name, ty)| Ok((name, to_type(&ty)?))).collect::<PyResult<Vec<_>>>()?;
        self.0.cast_to_types(&types, &origin(place)).map(PyTable).map_err(raise)
    }

    fn concat(&self, others: Vec<PyRef<'_, PyTable>>, place: Place) -> PyResult<PyTable> {
        let others: Vec<Table> = others.iter().map(|other| other.0.clone()).collect();
        self.0.concat(&others, &origin(place)).map(PyTable).map_err(raise)
    }

    fn flatten(&self, column: &str, place: Place) -> PyResult<PyTable> {
        self.0.flatten(column, &origin(place)).map(PyTable).map_err(raise)
    }

    fn with_id_from(&self, columns: Vec<PyRef<'_, PyExpr>>, place: Place) -> PyResult<PyTable> {
        let columns = columns.iter().map(|column| column.0.clone()).collect();
        self.0.with_id_from(columns, &origin(place)).map(PyTable).map_err(raise)
    }

    fn difference(&self, other: &PyTable, place: Place) -> PyResult<PyTable> {
        self.0.difference(&other.0, &origin(place)).map(PyTable).map_err(raise)
    }

    fn intersect(&self, others: Vec<PyRef<'_, PyTable>>, place: Place) -> PyResult<PyTable> {
        let others: Vec<Table> = others.iter().map(|other| other.0.clone()).collect();
        self.0.intersect(&others, &origin(place)).map(PyTable).map_err(raise)
    }

    fn update_rows(&self, other: &PyTable, place: Place) -> PyResult<PyTable> {
        self.0.update_rows(&other.0, &origin(place)).map(PyTable).map_err(raise)
    }

    fn update_cells(&self, other: &PyTable, place: Place) -> PyResult<PyTable> {
        self.0.update_cells(&other.0, &origin(place)).map(PyTable).map_err(raise)
    }

    fn filter(&self, condition: &PyExpr, place: Place) -> PyResult<PyTable> {
        self.0.filter(condition.0.clone(), &origin(place)).map(PyTable).map_err(raise)
    }

    fn mark_errors(&self, place: Place) -> PyTable {
        PyTable(self.0.mark_errors(&origin(place)))
    }

    fn remove_errors(&self, place: Place) -> PyTable {
        PyTable(self.0.remove_errors(&origin(place)))
    }

    fn group_reduce(&self, keys: Named<'_>, outputs: Named<'_>, place: Place) -> PyResult<PyTable> {
        self.0.group_reduce(named(keys), named(outputs), &origin(place)).map(PyTable).map_err(raise)
    }

    #[expect(clippy::too_many_arguments, reason = "Python calls it, by position")]
    fn session_reduce(
        &self,
        time: &PyExpr,
        max_gap: Option<&Bound<'_, PyAny>>,
        predicate: Option<&PyExpr>,
        instance: Option<&PyExpr>,
        behavior: Option<&PyBehavior>,
        outputs: Named<'_>,
        place: Place,
    ) -> PyResult<PyTable> {
        let instance = instance.map(|expr| expr.0.clone());
        let gap = match predicate {
            Some(predicate) => SessionGap::Where(predicate.0.clone()),
            None => SessionGap::Most(lit(max_gap.map_or(Ok(Literal::None), to_literal)?)),
        };
        let behavior = behavior.map(|behavior| behavior.0.clone());
        let window = SessionWindow { time: time.0.clone(), gap, instance, behavior };
        self.0.session_reduce(window, named(outputs), &origin(place)).map(PyTable).map_err(raise)
    }

    /// Windows one `hop` apart, as long as `duration`, or else as `ratio` hops.
    #[expect(clippy::too_many_arguments, reason = "Python calls it, by position")]
    fn sliding_reduce(
        &self,
        time: &PyExpr,
        hop: &Bound<'_, PyAny>,
        duration: Option<&Bound<'_, PyAny>>,
        ratio: i64,
        start: Option<&Bound<'_, PyAny>>,
        instance: Option<&PyExpr>,
        behavior: Option<&PyBehavior>,
        outputs: Named<'_>,
        place: Place,
    ) -> PyResult<PyTable> {
        let length = match duration {
            Some(duration) => WindowLength::Duration(to_literal(duration)?),
            None => WindowLength::Hops(ratio),
        };
        let window = SlidingWindow {
            time: time.0.clone(),
            hop: to_literal(hop)?,
            length,
            origin: start.map(to_literal).transpose()?,
            instance: instance.map(|expr| expr.0.clone()),
            behavior: behavior.map(|behavior| behavior.0.clone()),
        };
        self.0.sliding_reduce(window, named(outputs), &origin(place)).map(PyTable).map_err(raise)
    }

    /// All changes, or what the first rows or changes are made of: row, epoch, multiplicity; none, if a signal has
    /// stopped the run.
    #[pyo3(signature = (signals=None, most=None, by_epoch=false, terminate_on_error=true))]
    fn collect<'py>(
        &self,
        py: Python<'py>,
        signals: Option<Py<Signals>>,
        most: Option<usize>,
        by_epoch: bool,
        terminate_on_error: bool,
    ) -> PyResult<Vec<rows::Change<'py>>> {
        let table = self.0.clone();
        let order = if by_epoch { HeadOrder::Changes } else { HeadOrder::Rows };
        let signals = signals.map_or_else(|| Py::new(py, Signals::default()), Ok)?;
        let stops = Stops { signals, asked: None };
        let collect = move |stop| {
            let options = RunOptions { stop, terminate_on_error, ..RunOptions::default() };
            match most {
                Some(most) => millpond::debug::head(&table, most, order, &options),
                None => millpond::debug::collect(&table, &options),
            }
        };
        match interruptible(py, &stops, collect)? {
            Ended::Done(collected) => rows::changes(py, self.0.schema(), &collected.batches),
            Ended::Stopped | Ended::Left(_) => Ok(Vec::new()),
        }
    }
}

/// A schema of Python's columns; the package has checked that names are unique.
pub(crate) fn to_schema(columns: Vec<PyColumn>) -> PyResult<Schema> {
    let columns: PyResult<Vec<_>> = columns
        .into_iter()
        .map(|(name, ty, optional)| Ok((name, ColumnType { ty: to_type(&ty)?, optional })))
        .collect();
    Ok(Schema::new(columns?))
}
