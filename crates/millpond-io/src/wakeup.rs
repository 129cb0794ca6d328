//! Waking who waits for input.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

/// Wakes a run that waits for input. Clones wake the same run.
#[derive(Clone, Debug, Default)]
pub struct Wakeup(Arc<(Mutex<bool>, Condvar)>);

impl Wakeup {
    /// Ends the present wait, or the next one if there is none.
    pub fn wake(&self) {
        let (woken, signal) = &*self.0;
        *woken.lock() = true;
        signal.notify_one();
    }

    /// Waits until `wake` was called since the last wait, or until `time`.
    pub fn wait_until(&self, time: Instant) {
        let (woken, signal) = &*self.0;
        let mut woken = woken.lock();
        let left = time.saturating_duration_since(Instant::now());
        signal.wait_while_for(&mut woken, |woken| !*woken, left);
        *woken = false;
    }
}
