//! What the steps of a run count about themselves: atomic numbers, added to once an epoch by each worker, never by row.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use millpond_error::Result;
use serde::{Deserialize, Serialize};

use crate::arrangement::{Arrangement, SavedArrangement, StateSize};
use crate::operator::{Bucket, Buckets, Emit, Operator, OperatorCounters, Pieces, StepContext};

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
    /// What the operator counts itself: late rows and windows.
    pub operator: OperatorCounters,
    /// What its arrangements hold now.
    pub state: StateSize,
}

impl std::iter::Sum for StepCounts {
    fn sum<I: Iterator<Item = StepCounts>>(counts: I) -> StepCounts {
        counts.fold(StepCounts::default(), |a, b| {
            let mut operator = a.operator;
            operator += b.operator;
            StepCounts {
                rows_in: a.rows_in + b.rows_in,
                rows_out: a.rows_out + b.rows_out,
                busy: a.busy + b.busy,
                operator,
                state: [a.state, b.state].into_iter().sum(),
            }
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
            operator: OperatorCounters { late_rows: get(&self.late_rows), windows_closed: get(&self.windows_closed) },
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

/// Buckets whose rows are counted.
struct Counted<'a> {
    buckets: &'a mut dyn Buckets,
    rows: u64,
}

impl Buckets for Counted<'_> {
    fn next(&mut self) -> Result<Option<Bucket>> {
        let bucket = self.buckets.next()?;
        self.rows += bucket.as_ref().map_or(0, |bucket| bucket.rows() as u64);
        Ok(bucket)
    }
}

impl Operator for Metered {
    fn open(&mut self, saved: Vec<(String, SavedArrangement)>) -> Result<()> {
        self.operator.open(saved)?;
        self.measure();
        Ok(())
    }

    fn step(&mut self, context: &StepContext, input: &mut dyn Buckets, emit: &mut Emit<'_>) -> Result<()> {
        let started = Instant::now();
        let mut rows_out = 0;
        let mut counted = Counted { buckets: input, rows: 0 };
        self.operator.step(context, &mut counted, &mut |changes| {
            rows_out += changes.rows as u64;
            emit(changes)
        })?;
        let OperatorCounters { late_rows, windows_closed } = self.operator.take_counters();
        self.metrics.late_rows.fetch_add(late_rows, Ordering::Relaxed);
        self.metrics.windows_closed.fetch_add(windows_closed, Ordering::Relaxed);
        self.metrics.rows_in.fetch_add(counted.rows, Ordering::Relaxed);
        self.metrics.rows_out.fetch_add(rows_out, Ordering::Relaxed);
        self.measure();
        self.metrics.busy_ns.fetch_add(started.elapsed().as_nanos() as u64, Ordering::Relaxed);
        Ok(())
    }

    fn snapshot(&self, emit: &mut Emit<'_>) -> Result<()> {
        self.operator.snapshot(emit)
    }

    fn arrangements(&mut self) -> Vec<(&'static str, &mut Arrangement)> {
        self.operator.arrangements()
    }

    fn pieces(&self) -> Pieces {
        self.operator.pieces()
    }
}
