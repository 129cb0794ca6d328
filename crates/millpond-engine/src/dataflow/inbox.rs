//! What waits for a keyed operator.
//!
//! Rows go into the inbox of the worker that owns them as soon as they are routed, whichever worker of the process
//! routes them, and whatever its owner is doing: nothing queues in the dataflow. Timely only carries what crosses
//! between processes, and how far every operator has come; once all are past an epoch, its rows are all in the inbox.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use millpond_error::Result;
use parking_lot::Mutex;
use timely::Accountable;
use timely::communication::Push;
use timely::dataflow::channels::Message as Envelope;
use timely::dataflow::channels::pushers::exchange::Distributor;
use timely::progress::Stamp;

use crate::changes::Epoch;
use crate::epoch_buffer::{EpochBuffer, Shape};
use crate::route::Message;

/// What waits for one keyed operator on one worker, by epoch.
#[derive(Debug)]
pub(super) struct Inbox {
    shape: Shape,
    open: Mutex<BTreeMap<Epoch, Arc<OpenEpoch>>>,
}

/// What waits for the end of an epoch.
#[derive(Debug)]
struct OpenEpoch {
    rows: EpochBuffer,
    time: Mutex<Option<i64>>,
}

/// The inboxes of all workers of a process, by the number of the keyed operator and the worker.
#[derive(Debug, Default)]
pub struct Inboxes(Mutex<BTreeMap<(usize, usize), Arc<Inbox>>>);

impl Inboxes {
    /// An inbox, which is made if it is not there yet.
    pub(super) fn get_or_make(&self, operator: usize, worker: usize, make: impl FnOnce() -> Inbox) -> Arc<Inbox> {
        self.0.lock().entry((operator, worker)).or_insert_with(|| Arc::new(make())).clone()
    }
}

impl Inbox {
    /// Nothing.
    pub(super) fn new(shape: Shape) -> Self {
        Inbox { shape, open: Mutex::default() }
    }

    /// Takes up what goes in at a port; times go in at any.
    pub(super) fn push(&self, epoch: Epoch, port: usize, message: Message) -> Result<()> {
        let open = match self.open.lock().entry(epoch) {
            Entry::Occupied(open) => open.get().clone(),
            Entry::Vacant(none) => {
                let rows = EpochBuffer::new(self.shape.clone());
                none.insert(Arc::new(OpenEpoch { rows, time: Mutex::default() })).clone()
            }
        };
        match message {
            Message::Rows(packet) => open.rows.push(port, packet),
            Message::Time { time, .. } => {
                let mut latest = open.time.lock();
                *latest = latest.max(Some(time));
                Ok(())
            }
        }
    }

    /// The first epoch that has anything, if it is before `end`; `None` stands for the end of all. Nobody puts anything
    /// into it any more.
    pub(super) fn take_before(&self, end: Option<u64>) -> Option<(Epoch, EpochBuffer, Option<i64>)> {
        let mut open = self.open.lock();
        let first = open.first_entry().filter(|first| end.is_none_or(|end| first.key().0 < end))?;
        let (epoch, open) = first.remove_entry();
        let open = Arc::into_inner(open).expect("whoever put rows in is done");
        Some((epoch, open.rows, open.time.into_inner()))
    }
}

/// Moves messages to the worker that they name.
pub(super) struct ByWorker;

impl Distributor<Message> for ByWorker {
    fn partition<T: Clone, P: Push<Envelope<T, Message>>>(
        &mut self,
        message: &mut Message,
        stamp: &Stamp<T>,
        pushers: &mut [P],
    ) {
        let worker = message.worker();
        Envelope::push_at(message, stamp.clone(), &mut pushers[worker]);
    }

    fn flush<T: Clone, P: Push<Envelope<T, Message>>>(&mut self, _: &Stamp<T>, _: &mut [P]) {}
}

impl Accountable for Message {
    fn record_count(&self) -> i64 {
        match self {
            Message::Rows(packet) => packet.count as i64,
            Message::Time { .. } => 1,
        }
    }
}
