//! What asks a run to end from the side of Python: signals, and an event of the program's own.

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};

use pyo3::exceptions::PySystemExit;
use pyo3::prelude::*;

/// A handler of signals that takes note of them, and raises nothing: the run that waits for it looks at what came.
///
/// It is no Python function, since Python may call the handler of the next signal inside that of the last one, and a
/// storm of signals would nest them without end.
#[pyclass(frozen, module = "millpond._native")]
#[derive(Default)]
pub struct Signals {
    /// The number of the first one; 0 before that.
    first: AtomicI32,
    count: AtomicU32,
    /// Whether the thread that waits for the run is in a function of the program, such as a handler of `logging`.
    elsewhere: AtomicBool,
}

#[pymethods]
impl Signals {
    #[new]
    fn new() -> Self {
        Signals::default()
    }

    /// What `signal.signal` takes. A function of the program that keeps the waiting thread busy is interrupted.
    #[pyo3(signature = (number, _frame=None))]
    fn __call__(&self, number: i32, _frame: Option<Bound<'_, PyAny>>) -> PyResult<()> {
        let _ = self.first.compare_exchange(0, number, Ordering::Relaxed, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
        if self.elsewhere.load(Ordering::Relaxed) { Err(PySystemExit::new_err(128 + number)) } else { Ok(()) }
    }

    /// The number of the first signal that came.
    #[getter]
    fn first(&self) -> Option<i32> {
        match self.first.load(Ordering::Relaxed) {
            0 => None,
            number => Some(number),
        }
    }
}

/// How the program may ask one run to end.
pub(crate) struct Stops {
    pub signals: Py<Signals>,
    /// A function that says whether the program wants it to end.
    pub asked: Option<Py<PyAny>>,
}

impl Stops {
    /// The first signal that has come.
    pub(crate) fn first(&self) -> Option<i32> {
        self.signals.get().first()
    }

    /// How many signals have come.
    pub(crate) fn count(&self) -> u32 {
        self.signals.get().count.load(Ordering::Relaxed)
    }

    /// Calls a function of the program, which signals interrupt.
    pub(crate) fn call<T>(&self, work: impl FnOnce() -> PyResult<T>) -> PyResult<T> {
        let signals = self.signals.get();
        signals.elsewhere.store(true, Ordering::Relaxed);
        let outcome = work();
        signals.elsewhere.store(false, Ordering::Relaxed);
        outcome
    }

    /// Whether the program asks for the end.
    pub(crate) fn is_asked(&self, py: Python<'_>) -> PyResult<bool> {
        self.asked.as_ref().map_or(Ok(false), |asked| self.call(|| asked.bind(py).call0()?.is_truthy()))
    }
}
