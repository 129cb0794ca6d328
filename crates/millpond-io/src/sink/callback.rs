//! A sink that hands each epoch's changes to a function of the program.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use millpond_columns::types::Schema;
use millpond_engine::batches::Batches;
use millpond_engine::changes::{Changes, Epoch};
use millpond_engine::memory::Memory;
use millpond_error::Result;
use parking_lot::{Mutex, MutexGuard};
use serde_json::Value;

use super::outbox::{EpochChanges, Outbox};
use super::{LogicalRun, Prepared, Sink};

/// What a program does with the changes of a table. Called by one thread at a time.
pub trait Subscriber: Send + Sync {
    /// Takes all changes of an epoch, in any order; none if the epoch has left the table as it was. An error ends the
    /// run, and where state is saved the next run delivers the epoch again. Those of a large epoch may be in a scratch
    /// file: read them batch by batch.
    fn on_epoch(&self, epoch: Epoch, changes: &Batches) -> Result<()>;

    /// Takes note that the run has come to its end, after all changes were delivered.
    fn on_end(&self) -> Result<()> {
        Ok(())
    }
}

impl<F: Fn(Epoch, &Batches) -> Result<()> + Send + Sync> Subscriber for F {
    fn on_epoch(&self, epoch: Epoch, changes: &Batches) -> Result<()> {
        self(epoch, changes)
    }
}

/// When changes are delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// After the commit that holds their epoch; in a run that saves no state, when the epoch is done. What may not have
    /// been delivered before a crash is delivered by the next run, under the same epochs and before anything new: a
    /// receiver that passes over the epochs that it has gets each change once.
    #[default]
    AfterCommit,
    /// As soon as their epoch is done. What came after the last checkpoint before a crash is computed and delivered
    /// again by the next run, in other epochs.
    AtOnce,
}

/// Hands each epoch's changes to a [`Subscriber`].
///
/// # Why no crash point loses an epoch, or delivers one with other changes
///
/// `prepare` gives the changes of all epochs since the last one to the checkpoint as an [`Outbox`]; they are delivered
/// when its commit is durable, and before another is prepared. So when a checkpoint is committed, all outboxes before
/// it were delivered, and what may be undelivered is in the newest manifest. A run that has delivered everything is
/// marked as finished; without the mark the next run takes the outbox back and begins with it. Nothing was delivered
/// that is in no manifest, so an epoch that is computed again after a crash is new to the receiver.
pub struct CallbackSink {
    subscriber: Arc<dyn Subscriber>,
    delivery: Delivery,
    schema: Schema,
    memory: Arc<Memory>,
    /// Whether changes wait for a commit.
    waits: bool,
    queue: Mutex<Queue>,
    rows_written: AtomicU64,
}

#[derive(Debug, Default)]
struct Queue {
    /// Changes of the epoch that is under way.
    present: Batches,
    /// Epochs that no checkpoint holds yet.
    waiting: Vec<EpochChanges>,
    /// What the commit of the newest checkpoint lets go.
    prepared: Outbox,
}

impl CallbackSink {
    /// A sink for this subscriber, who may be that of several runs of a program.
    pub fn new(subscriber: Arc<dyn Subscriber>, delivery: Delivery) -> Self {
        CallbackSink {
            subscriber,
            delivery,
            schema: Schema::default(),
            memory: Arc::new(Memory::unlimited()),
            waits: false,
            queue: Mutex::default(),
            rows_written: AtomicU64::new(0),
        }
    }

    fn no_changes(&self) -> Batches {
        Batches::new(&self.schema, self.memory.clone())
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock()
    }
}

impl fmt::Debug for CallbackSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallbackSink").field("delivery", &self.delivery).finish_non_exhaustive()
    }
}

impl Sink for CallbackSink {
    fn open(&mut self, schema: &Schema, _saved: Option<&Value>, run: LogicalRun) -> Result<()> {
        self.schema = schema.clone();
        self.queue().present = self.no_changes();
        self.waits = run.is_saved && self.delivery == Delivery::AfterCommit;
        Ok(())
    }

    fn count_in(&mut self, memory: &Arc<Memory>) {
        self.memory = memory.clone();
    }

    fn take_back(&mut self, outbox: Outbox) -> Result<()> {
        self.queue().prepared = outbox;
        Ok(())
    }

    fn write(&self, _epoch: Epoch, changes: &Changes) -> Result<()> {
        if !changes.is_empty() {
            self.rows_written.fetch_add(changes.rows as u64, Ordering::Relaxed);
            self.queue().present.push(changes.clone())?;
        }
        Ok(())
    }

    fn finish_epoch(&self, epoch: Epoch) -> Result<()> {
        let mut queue = self.queue();
        let changes = std::mem::replace(&mut queue.present, self.no_changes());
        if self.waits {
            queue.waiting.push(EpochChanges { epoch, changes });
            return Ok(());
        }
        drop(queue);
        self.subscriber.on_epoch(epoch, &changes)
    }

    fn write_snapshot(&self, _changes: &Changes) -> Result<()> {
        Ok(())
    }

    fn prepare(&self) -> Result<Prepared> {
        let mut queue = self.queue();
        debug_assert!(queue.prepared.epochs().is_empty(), "what was committed is delivered before the next checkpoint");
        let waiting = std::mem::take(&mut queue.waiting);
        queue.prepared = Outbox::new(&self.schema, waiting);
        Ok(Prepared::durable(Value::Null).with_outbox(queue.prepared.clone()))
    }

    fn deliver(&self) -> Result<()> {
        let outbox = std::mem::take(&mut self.queue().prepared);
        outbox.epochs().iter().try_for_each(|EpochChanges { epoch, changes }| self.subscriber.on_epoch(*epoch, changes))
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
