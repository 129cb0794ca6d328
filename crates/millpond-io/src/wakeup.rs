//! Waking who waits for input.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

/// Wakes a run that waits for input. Clones wake the same run.
#[derive(Clone, Debug, Default)]
pub struct Wakeup(Arc<(Mutex<bool>, Condvar)>);

impl Wakeup {
    /// Ends the present wait, or the next one if there is none.
    pub fn wake(&self) {
        let (woken, signal) = &*self.0;
        *woken.lock().unwrap_or_else(PoisonError::into_inner) = true;
        signal.notify_one();
    }

    /// Waits until `wake` was called since the last wait, or until `time`.
    pub fn wait_until(&self, time: Instant) {
        let (woken, signal) = &*self.0;
        let guard = woken.lock().unwrap_or_else(PoisonError::into_inner);
        let left = time.saturating_duration_since(Instant::now());
        let waited = signal.wait_timeout_while(guard, left, |woken| !*woken);
        *waited.unwrap_or_else(PoisonError::into_inner).0 = false;
    }
}
