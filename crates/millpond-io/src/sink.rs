//! Where results go: the contract of a sink, and the sinks.
//!
//! Start with [`Sink`]. [`FileSink`] is the one that programs use, as [`CsvSink`] and [`JsonLinesSink`];
//! [`CallbackSink`] hands changes to a function, after their commit by way of an [`Outbox`]; [`CollectSink`] keeps them
//! for tests, [`HeadSink`] the first of them for previews; [`rejected_rows`] makes rows for a sink of input rows that
//! could not be read.

mod callback;
mod collect;
mod csv;
mod dead_letter;
mod file;
mod format;
mod head;
mod jsonlines;
mod lines;
mod log;
mod number;
mod outbox;
mod place;
mod position;
#[cfg(test)]
mod round_trip;

use std::sync::Arc;

use millpond_columns::types::Schema;
use millpond_engine::changes::{Changes, Epoch};
use millpond_engine::memory::Memory;
use millpond_engine::wire::MISFIT_HINT;
use millpond_error::{Error, Result};
use serde_json::Value;

pub use callback::{CallbackSink, Delivery, Subscriber};
pub use collect::{CollectSink, Collected};
pub use csv::{CsvSink, CsvSinkOptions};
pub use dead_letter::{rejected_rows, rejected_schema};
pub use file::{FileSink, WriteMode};
pub use head::{HeadOrder, HeadSink};
pub use jsonlines::JsonLinesSink;
pub use outbox::{EpochChanges, Outbox};
pub use place::{resolve, temporary};

/// What a user sees as one run: it goes on over crashes until an attempt finishes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogicalRun {
    /// Whether the last attempt did not finish, so that this one continues its run.
    pub continues: bool,
    /// Whether there are commits: the run saves its state.
    pub is_saved: bool,
}

/// What a sink has ready for a checkpoint.
pub struct Prepared {
    /// The position to save: everything written so far.
    pub position: Value,
    /// What makes the position durable.
    sync: Option<Box<dyn FnOnce() -> Result<()> + Send>>,
    /// What is delivered after the commit.
    pub outbox: Outbox,
}

impl Prepared {
    /// A position that is durable already.
    pub fn durable(position: Value) -> Self {
        Prepared { position, sync: None, outbox: Outbox::default() }
    }

    /// A position that is durable once `sync` has returned; it may run on any thread, while later epochs are written.
    pub fn later(position: Value, sync: impl FnOnce() -> Result<()> + Send + 'static) -> Self {
        Prepared { position, sync: Some(Box::new(sync)), outbox: Outbox::default() }
    }

    /// Has the checkpoint keep what is to be delivered after its commit.
    #[must_use]
    pub fn with_outbox(self, outbox: Outbox) -> Self {
        Prepared { outbox, ..self }
    }

    /// Makes the position durable, and returns it.
    pub fn make_durable(self) -> Result<Value> {
        self.sync.map_or(Ok(()), |sync| sync())?;
        Ok(self.position)
    }
}

/// Takes whole lines, and how many there are.
pub type GiveLines<'a> = dyn FnMut(&[u8], u64) -> Result<()> + 'a;

/// Does a sink's formatting in a process that does not own the sink.
pub trait Formatter: Send + Sync {
    /// As [`Sink::write`]: `give` takes what is for [`Sink::write_lines`].
    fn changes(&self, epoch: Epoch, changes: &Changes, give: &mut GiveLines<'_>) -> Result<()>;

    /// As [`Sink::write_snapshot`]: `give` takes what is for [`Sink::write_lines`].
    fn snapshot(&self, changes: &Changes, give: &mut GiveLines<'_>) -> Result<()>;
}

/// Where results go. `write`, `write_snapshot` and `write_lines` are called by many threads at once; the others by the
/// coordinating thread, while no write is under way.
///
/// With saved state, the order is: `count_in`; `open`; a `take_back`, if the newest manifest holds what may not have
/// been delivered; a manifest that holds [`Sink::position`], if there was none yet; a `deliver`; then any number of
/// epochs with writes, each with a `finish_epoch`, and at each checkpoint a `prepare`, followed, when what it returned
/// is durable, by a manifest that holds it, and then, perhaps some epochs later, by a `deliver`, before the next
/// `prepare`. Without saved state: `count_in`, `open`, epochs, now and then a `prepare`, with or without a `deliver`. A
/// run that comes to its end calls `finish`.
///
/// A sink that can be cut back, such as a file, does without `take_back` and `deliver`. One that cannot gives what it
/// would write to an [`Outbox`]; for most of them a [`Subscriber`] is enough.
pub trait Sink: Send + Sync {
    /// Recovers what was committed (`saved` is the position in the newest manifest) and gets ready; `run.continues`
    /// says that the last logical run did not finish.
    fn open(&mut self, schema: &Schema, saved: Option<&Value>, run: LogicalRun) -> Result<()>;

    /// What waits in the sink counts as memory of this; called before `open`.
    fn count_in(&mut self, _memory: &Arc<Memory>) {}

    /// Takes back what the newest manifest holds to be delivered, since the run that wrote it may not have done so.
    fn take_back(&mut self, _outbox: Outbox) -> Result<()> {
        Err(Error::changed(
            "changes wait in the saved state to be delivered, and the output is one that delivers nothing",
        ))
    }

    /// Writes changes of an epoch. A sink that holds the present table only takes note that the table changed.
    fn write(&self, epoch: Epoch, changes: &Changes) -> Result<()>;

    /// Whether the whole present table must be given to `write_snapshot` before the next `prepare`: it has changed,
    /// or what was published is not there. Never true for a sink of changes.
    fn needs_snapshot(&self) -> bool {
        false
    }

    /// Takes rows of the present table. Between two calls of `prepare` it is given all of them, or none.
    fn write_snapshot(&self, changes: &Changes) -> Result<()>;

    /// What formats rows of `schema` for this sink in another process of the run; none, if the process that owns the
    /// sink needs the rows themselves.
    fn formatter(&self, _schema: &Schema) -> Result<Option<Box<dyn Formatter>>> {
        Ok(None)
    }

    /// Writes what a [`Formatter`] of this sink made of so many rows.
    fn write_lines(&self, _lines: &[u8], _count: u64) -> Result<()> {
        Err(Error::unavailable("the output takes rows, and another process formatted them").with_hint(MISFIT_HINT))
    }

    /// Takes note that all changes of an epoch were written.
    fn finish_epoch(&self, _epoch: Epoch) -> Result<()> {
        Ok(())
    }

    /// Makes everything written visible, and durable or ready to be made so, before the manifest is committed.
    fn prepare(&self) -> Result<Prepared>;

    /// Delivers what waited for a commit: the last outbox prepared, or the one taken back. An error ends the run, and
    /// the next one delivers all of it again.
    fn deliver(&self) -> Result<()> {
        Ok(())
    }

    /// Takes note that the run has come to its end, after its last commit and delivery. It is marked as finished after
    /// that.
    fn finish(&self) -> Result<()> {
        Ok(())
    }

    /// The position prepared last, or recovered; at first one that says that nothing is committed.
    fn position(&self) -> Value;

    /// Rows written so far in this process.
    fn rows_written(&self) -> u64;

    /// The rows of the present table, as published last; none, if it does not hold the present table.
    fn current_rows(&self) -> Option<u64> {
        None
    }

    /// What no two sinks of a program may share: the full path of a file.
    fn identity(&self) -> Option<String> {
        None
    }
}
