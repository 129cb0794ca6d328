//! One checkpoint on its way to disk: taken between two epochs, written at once or while later epochs run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use millpond_engine::Epoch;
use millpond_error::{Error, Result};
use millpond_io::sink::Prepared;
use millpond_io::wakeup::Wakeup;
use millpond_plan::physical::PhysicalPlan;
use millpond_store::{BlobWriter, Checkpoint, Moves, PartRecord, SinkRecord, StateDir};

use super::outputs::Output;
use super::remote::Remotes;
use super::state::{commit, sink_record, write_segments};
use super::team::SavedSegments;
use crate::cluster::message::{SavedRecords, Share};
use crate::lacking::lacking;
use crate::monitor::Meters;

/// What one checkpoint saves, as it was at the end of an epoch. Runs are immutable, and sinks only grow behind what
/// they prepared, so none of it changes while it is written.
pub(super) struct Save {
    pub plan: Arc<PhysicalPlan>,
    pub epoch: Epoch,
    pub segments: Vec<SavedSegments>,
    /// What other processes have saved already.
    pub shares: Vec<Share>,
    /// Other processes that have yet to write what they took down.
    pub writers: Option<Arc<Remotes>>,
    pub outputs: Arc<Vec<Output>>,
    /// Of every output's sink.
    pub prepared: Vec<Prepared>,
    /// When it was begun.
    pub began: Instant,
    pub meters: Arc<Meters>,
}

impl Save {
    /// Makes the sinks durable, writes what is to be delivered and the segments that no blob holds yet as writer
    /// `writer`, and commits. Returns which saved segments stand in another place from now on.
    pub(super) fn write(self, checkpoint: Checkpoint, writer: usize) -> Result<Moves> {
        let _checkpoint = tracing::debug_span!("checkpoint", epoch = self.epoch.0).entered();
        if let Some(writers) = &self.writers {
            writers.begin_write(checkpoint.generation());
        }
        let mut writer = checkpoint.writer(writer);
        let sinks = self.outputs.iter().zip(self.prepared);
        let sinks = sinks.map(|(output, prepared)| save_sink(output, prepared, &mut writer));
        let sinks = sinks.collect::<Result<_>>()?;
        write_segments(writer, &self.segments)?;
        let mut records: Vec<SavedRecords> = self.segments.iter().map(SavedSegments::records).collect();
        let mut bytes = 0;
        for share in self.shares.into_iter().chain(self.writers.map_or(Ok(Vec::new()), |writers| writers.written())?) {
            records.extend(share.records);
            bytes += share.bytes;
        }
        let (own, moves) = commit(checkpoint, &self.plan, self.epoch, records, sinks)?;
        self.meters.finish_checkpoint(self.epoch, self.began, own + bytes);
        Ok(moves)
    }
}

fn save_sink(output: &Output, prepared: Prepared, writer: &mut BlobWriter) -> Result<SinkRecord> {
    let mut outbox = Vec::new();
    prepared.outbox.write(&mut |part| {
        outbox.push(PartRecord::new(writer.append(part)?, part));
        Ok(())
    })?;
    Ok(SinkRecord { outbox, ..sink_record(output, prepared.make_durable()?) })
}

/// A checkpoint that is being written by a thread of its own.
pub(super) struct Saving {
    thread: Option<JoinHandle<Result<Moves>>>,
    done: Arc<AtomicBool>,
}

impl Saving {
    /// Starts to write; the run is woken when it is done.
    pub(super) fn start(save: Save, directory: StateDir, writer: usize, wakeup: Wakeup) -> Result<Self> {
        let done = Arc::new(AtomicBool::new(false));
        let told = Told(done.clone(), wakeup);
        let work = move || {
            let _told = told;
            save.write(directory.begin()?, writer)
        };
        let thread = thread::Builder::new()
            .name("checkpoint".to_owned())
            .spawn(work)
            .map_err(|error| lacking("no thread to save the state", error))?;
        Ok(Saving { thread: Some(thread), done })
    }

    /// Whether the commit is done, or has failed.
    pub(super) fn is_finished(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }

    /// Waits for the commit. Returns which saved segments stand in another place since.
    pub(super) fn finish(mut self) -> Result<Moves> {
        self.thread.take().map_or(Ok(Moves::new()), join)
    }
}

/// Says, however the thread ends, that it has ended.
struct Told(Arc<AtomicBool>, Wakeup);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
        self.1.wake();
    }
}

impl Drop for Saving {
    /// The thread holds the lock of the state, so a run that failed waits for it, too.
    fn drop(&mut self) {
        let _ = self.thread.take().map(join);
    }
}

fn join(thread: JoinHandle<Result<Moves>>) -> Result<Moves> {
    thread.join().unwrap_or_else(|panic| Err(Error::of_panic("saving the state", &*panic)))
}
