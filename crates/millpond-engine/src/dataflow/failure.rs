//! The first error of a run, and how the others learn of it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use millpond_error::{Error, Result};
use parking_lot::Mutex;

/// The first error of a run, from whichever worker.
#[derive(Debug, Default)]
pub struct Failure {
    failed: AtomicBool,
    /// Whether another process is gone, or is about to go: epochs do not come to their end any more.
    abandoned: AtomicBool,
    error: Mutex<Option<Error>>,
}

impl Failure {
    /// Whether to leave without finishing the epoch.
    pub fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Acquire)
    }

    /// Makes all workers of this process leave, even in the midst of an epoch.
    pub fn abandon(&self) {
        self.abandoned.store(true, Ordering::Release);
        self.failed.store(true, Ordering::Release);
    }

    /// Whether an error was kept.
    pub fn is_set(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Keeps `error`, unless there is one already.
    pub fn set(&self, error: Error) {
        self.error.lock().get_or_insert(error);
        self.failed.store(true, Ordering::Release);
    }

    /// The error that was kept, if any.
    pub fn check(&self) -> Result<()> {
        match &*self.error.lock() {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }

    /// Runs `work`, unless an error was kept already, and keeps its error or panic.
    pub fn guard(&self, what: &str, work: impl FnOnce() -> Result<()>) {
        if self.is_set() {
            return;
        }
        match catch_unwind(AssertUnwindSafe(work)) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.set(error),
            Err(panic) => self.set(Error::of_panic(what, &*panic)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_error_or_panic_is_kept() {
        let failure = Failure::default();
        failure.guard("reading input", || Ok(()));
        failure.check().unwrap();
        failure.guard("reading input", || panic!("a row is gone"));
        failure.guard("routing", || Err(Error::input("never reached")));
        failure.set(Error::input("too late"));
        assert_eq!(failure.check().unwrap_err().message(), "reading input failed: a row is gone");
    }
}
