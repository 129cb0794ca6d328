//! A sink in memory, for tests and previews.

use std::sync::Arc;

use arrow_array::ArrayRef;
use millpond_columns::types::Schema;
use millpond_engine::changes::{Changes, Diffs, Epoch};
use millpond_error::Result;
use parking_lot::Mutex;
use serde_json::Value;

use super::{LogicalRun, Prepared, Sink};

/// One batch of changes as it reached the sink.
#[derive(Clone, Debug)]
pub struct Collected {
    /// The columns, in the order of the table's schema.
    pub columns: Vec<ArrayRef>,
    /// The number of rows.
    pub rows: usize,
    /// The epoch of all rows of the batch.
    pub epoch: Epoch,
    /// How often each row is added or removed.
    pub diffs: Diffs,
}

/// Keeps all changes in memory. A clone shares them: keep one, and give the other to the run.
#[derive(Clone, Debug, Default)]
pub struct CollectSink {
    batches: Arc<Mutex<Vec<Collected>>>,
}

impl CollectSink {
    /// A sink that holds nothing yet.
    pub fn new() -> Self {
        CollectSink::default()
    }

    /// Takes out what was collected: by epoch, and within an epoch in the order of arrival.
    pub fn take(&self) -> Vec<Collected> {
        let mut batches = std::mem::take(&mut *self.batches.lock());
        batches.sort_by_key(|batch| batch.epoch);
        batches
    }
}

impl Sink for CollectSink {
    fn open(&mut self, _schema: &Schema, _saved: Option<&Value>, _run: LogicalRun) -> Result<()> {
        Ok(())
    }

    fn write(&self, epoch: Epoch, changes: &Changes) -> Result<()> {
        if changes.rows > 0 {
            let Changes { columns, rows, diffs } = changes.clone();
            let batch = Collected { columns, rows, epoch, diffs };
            self.batches.lock().push(batch);
        }
        Ok(())
    }

    fn write_snapshot(&self, _changes: &Changes) -> Result<()> {
        Ok(())
    }

    fn prepare(&self) -> Result<Prepared> {
        Ok(Prepared::durable(Value::Null))
    }

    fn position(&self) -> Value {
        Value::Null
    }

    fn rows_written(&self) -> u64 {
        let batches = self.batches.lock();
        batches.iter().map(|batch| batch.rows as u64).sum()
    }
}
