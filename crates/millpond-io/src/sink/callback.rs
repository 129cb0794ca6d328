//! A sink that hands each epoch's changes to a function of the program.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use millpond_engine::changes::{Changes, Epoch};
use millpond_error::Result;
use millpond_plan::types::Schema;
use serde_json::Value;

use super::{LogicalRun, Prepared, Sink};

/// What a program does with the changes of a table. Called by one thread at a time.
pub trait Subscriber: Send + Sync {
    /// Takes all changes of an epoch, in any order; none if the epoch has left the table as it was.
    fn on_epoch(&self, epoch: Epoch, changes: &[Changes]) -> Result<()>;

    /// Takes note that the run has come to its end.
    fn on_end(&self) -> Result<()> {
        Ok(())
    }
}

impl<F: Fn(Epoch, &[Changes]) -> Result<()> + Send + Sync> Subscriber for F {
    fn on_epoch(&self, epoch: Epoch, changes: &[Changes]) -> Result<()> {
        self(epoch, changes)
    }
}

/// Hands each epoch's changes to a [`Subscriber`] as soon as the epoch is done. Delivery does not wait for a checkpoint:
/// what came after the last one before a crash is delivered again by the next run, in later epochs.
pub struct CallbackSink<S> {
    subscriber: S,
    waiting: Mutex<Vec<Changes>>,
    rows_written: AtomicU64,
}

impl<S: Subscriber> CallbackSink<S> {
    /// A sink for this subscriber.
    pub fn new(subscriber: S) -> Self {
        CallbackSink { subscriber, waiting: Mutex::default(), rows_written: AtomicU64::new(0) }
    }
}

impl<S> fmt::Debug for CallbackSink<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallbackSink").finish_non_exhaustive()
    }
}

impl<S: Subscriber> Sink for CallbackSink<S> {
    fn open(&mut self, _schema: &Schema, _saved: Option<&Value>, _run: LogicalRun) -> Result<()> {
        Ok(())
    }

    fn write(&self, _epoch: Epoch, changes: &Changes) -> Result<()> {
        if !changes.is_empty() {
            self.rows_written.fetch_add(changes.rows as u64, Ordering::Relaxed);
            self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(changes.clone());
        }
        Ok(())
    }

    fn finish_epoch(&self, epoch: Epoch) -> Result<()> {
        let changes = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        self.subscriber.on_epoch(epoch, &changes)
    }

    fn write_snapshot(&self, _changes: &Changes) -> Result<()> {
        Ok(())
    }

    fn prepare(&self) -> Result<Prepared> {
        Ok(Prepared::durable(Value::Null))
    }

    fn finish(&self) -> Result<()> {
        self.subscriber.on_end()
    }

    fn position(&self) -> Value {
        Value::Null
    }

    fn rows_written(&self) -> u64 {
        self.rows_written.load(Ordering::Relaxed)
    }
}
