//! What the steps of a run count about themselves: atomic numbers, added to once an epoch by each worker, never by row.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use millpond_error::Result;
use serde::{Deserialize, Serialize};

use crate::arrangement::{Arrangement, SavedArrangement, StateSize};
use crate::changes::{Changes, Epoch};
use crate::keyed::KeyedChanges;
use crate::operator::Operator;
use crate::operators::Windowed;
use crate::operators::windowed::WindowCounts;

/// The counters of one step, shared by all workers of a process.
#[derive(Debug, Default)]
pub struct StepMetrics {
    rows_in: AtomicU64,
    rows_out: AtomicU64,
    busy_ns: AtomicU64,
    late_rows: AtomicU64,
    windows_closed: AtomicU64,
    state_rows: AtomicU64,
    state_bytes: AtomicU64,
    state_segments: AtomicU64,
}

/// What a step counted so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepCounts {
    /// Changes taken in.
    pub rows_in: u64,
    /// Changes handed on.
    pub rows_out: u64,
    /// Time spent in the step, added up over the workers.
    pub busy: Duration,
    /// What became of late rows and of windows.
    pub windows: WindowCounts,
    /// What its arrangements hold now.
    pub state: StateSize,
}

impl std::iter::Sum for StepCounts {
    fn sum<I: Iterator<Item = StepCounts>>(counts: I) -> StepCounts {
        counts.fold(StepCounts::default(), |a, b| StepCounts {
            rows_in: a.rows_in + b.rows_in,
            rows_out: a.rows_out + b.rows_out,
            busy: a.busy + b.busy,
            windows: WindowCounts {
                late_rows: a.windows.late_rows + b.windows.late_rows,
                windows_closed: a.windows.windows_closed + b.windows.windows_closed,
            },
            state: [a.state, b.state].into_iter().sum(),
        })
    }
}

impl StepMetrics {
    /// The numbers as they are now.
    pub fn counts(&self) -> StepCounts {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        StepCounts {
            rows_in: get(&self.rows_in),
            rows_out: get(&self.rows_out),
            busy: Duration::from_nanos(get(&self.busy_ns)),
            windows: WindowCounts { late_rows: get(&self.late_rows), windows_closed: get(&self.windows_closed) },
            state: StateSize {
                rows: get(&self.state_rows),
                bytes: get(&self.state_bytes),
                segments: get(&self.state_segments),
            },
        }
    }

    /// Replaces one worker's share of the state's size.
    fn resize(&self, old: StateSize, new: StateSize) {
        let replace = |counter: &AtomicU64, old: u64, new: u64| {
            counter.fetch_add(new.wrapping_sub(old), Ordering::Relaxed);
        };
        replace(&self.state_rows, old.rows, new.rows);
        replace(&self.state_bytes, old.bytes, new.bytes);
        replace(&self.state_segments, old.segments, new.segments);
    }
}

/// An operator that counts what goes through another.
pub(crate) struct Metered {
    operator: Box<dyn Operator>,
    metrics: Arc<StepMetrics>,
    /// What this worker's share of the state was when it was looked at last.
    size: StateSize,
}

impl Metered {
    pub(crate) fn new(operator: Box<dyn Operator>, metrics: Arc<StepMetrics>) -> Self {
        Metered { operator, metrics, size: StateSize::default() }
    }

    fn measure(&mut self) {
        let arrangements = self.operator.arrangements();
        let size = arrangements.iter().map(|(_, arrangement)| arrangement.size()).sum();
        self.metrics.resize(self.size, size);
        self.size = size;
    }
}

impl Operator for Metered {
    fn open(&mut self, saved: Vec<(String, SavedArrangement)>) -> Result<()> {
        self.operator.open(saved)?;
        self.measure();
        Ok(())
    }

    fn step(
        &mut self,
        epoch: Epoch,
        input: &mut dyn Iterator<Item = KeyedChanges>,
        emit: &mut dyn FnMut(Changes),
    ) -> Result<()> {
        let started = Instant::now();
        let (mut rows_in, mut rows_out) = (0, 0);
        let mut counted = input.inspect(|bucket| rows_in += bucket.key_of_row.len() as u64);
        self.operator.step(epoch, &mut counted, &mut |changes| {
            rows_out += changes.rows as u64;
            emit(changes);
        })?;
        if let Some(windowed) = self.operator.windowed() {
            let WindowCounts { late_rows, windows_closed } = windowed.take_counts();
            self.metrics.late_rows.fetch_add(late_rows, Ordering::Relaxed);
            self.metrics.windows_closed.fetch_add(windows_closed, Ordering::Relaxed);
        }
        self.metrics.rows_in.fetch_add(rows_in, Ordering::Relaxed);
        self.metrics.rows_out.fetch_add(rows_out, Ordering::Relaxed);
        self.measure();
        self.metrics.busy_ns.fetch_add(started.elapsed().as_nanos() as u64, Ordering::Relaxed);
        Ok(())
    }

    fn snapshot(&self, emit: &mut dyn FnMut(Changes)) -> Result<()> {
        self.operator.snapshot(emit)
    }

    fn arrangements(&mut self) -> Vec<(&'static str, &mut Arrangement)> {
        self.operator.arrangements()
    }

    fn windowed(&mut self) -> Option<&mut Windowed> {
        self.operator.windowed()
    }
}
