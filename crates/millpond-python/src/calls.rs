//! Which function of the program a run is in, so that one that does not return can be named.
//!
//! A run calls functions of the program on one thread, one at a time. While it does so it says which, and counts as it
//! goes; the thread that waits for the run looks now and then. A function of which many short calls follow each other
//! is at work; one whose count stands still is stuck.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::{Mutex, MutexGuard};
use pyo3::prelude::*;

/// A function of the program, and what it is there for.
pub(crate) struct Named {
    /// Such as `on_change of "prices"`.
    pub role: String,
    pub function: Py<PyAny>,
}

impl Named {
    /// What it is, by which name the program has it, and where.
    pub(crate) fn describe(&self, py: Python<'_>) -> String {
        let describe = || py.import("millpond._origin")?.getattr("describe")?.call1((&self.function,))?.extract();
        let found: PyResult<String> = describe();
        found.map_or_else(|_| self.role.clone(), |found| format!("{}, {found},", self.role))
    }
}

/// What one run calls.
#[derive(Default)]
pub(crate) struct Calls {
    now: Mutex<Option<Arc<Named>>>,
    count: AtomicU64,
}

thread_local! {
    /// The calls of the run that this thread works for.
    static CALLS: RefCell<Option<Arc<Calls>>> = const { RefCell::new(None) };
}

impl Calls {
    /// Does the work of a run on this thread.
    pub(crate) fn of_thread<T>(calls: Arc<Calls>, work: impl FnOnce() -> T) -> T {
        CALLS.with_borrow_mut(|own| *own = Some(calls));
        work()
    }

    fn now(&self) -> MutexGuard<'_, Option<Arc<Named>>> {
        self.now.lock()
    }
}

/// Calls `named`, in `work`, once or many times.
pub(crate) fn calling<T>(named: &Arc<Named>, work: impl FnOnce() -> T) -> T {
    let calls = CALLS.with_borrow(Clone::clone);
    let set = |function| {
        if let Some(calls) = &calls {
            *calls.now() = function;
        }
        tick();
    };
    set(Some(named.clone()));
    let outcome = work();
    set(None);
    outcome
}

/// One call has returned.
pub(crate) fn tick() {
    CALLS.with_borrow(|calls| {
        if let Some(calls) = calls {
            calls.count.fetch_add(1, Ordering::Relaxed);
        }
    });
}

/// Looks at the calls of a run.
pub(crate) struct Watch {
    calls: Arc<Calls>,
    count: u64,
    /// Since when the count stands.
    since: Instant,
}

impl Watch {
    pub(crate) fn new(calls: Arc<Calls>) -> Self {
        Watch { calls, count: 0, since: Instant::now() }
    }

    /// The function that the run is in, and since when the same call goes on, as far as anybody has looked.
    pub(crate) fn look(&mut self) -> Option<(Arc<Named>, Instant)> {
        let count = self.calls.count.load(Ordering::Relaxed);
        if count != self.count {
            (self.count, self.since) = (count, Instant::now());
        }
        self.calls.now().clone().map(|named| (named, self.since))
    }
}
