//! The queue between a thread that hands rows over and the run that takes them, commit by commit.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use millpond_engine::changes::Changes;
use millpond_error::{Error, Result};
use parking_lot::{Condvar, Mutex, MutexGuard};

use super::rows::{Cell, Rows};
use super::source::FeedOptions;
use crate::wakeup::Wakeup;

/// Whoever hands rows over waits while so many rows wait to be taken, or so many bytes.
const MOST_ROWS: usize = 1 << 20;
const MOST_BYTES: usize = 64 << 20;
/// Rows become columns in chunks of so many rows or bytes, which workers share.
const CHUNK_ROWS: usize = 1 << 16;
const CHUNK_BYTES: usize = 1 << 20;
/// While there is nothing to wait for but a wake-up.
const LONG: Duration = Duration::from_secs(3600);

/// Takes the rows of a program. Clones feed the same source; any thread may use one.
#[derive(Clone, Debug)]
pub struct Feed(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    options: Arc<FeedOptions>,
    is_saved: bool,
    queue: Mutex<Queue>,
    /// Signals room, and the end of the feeder.
    changed: Condvar,
    wakeup: Wakeup,
}

#[derive(Debug)]
struct Queue {
    /// The rows that are not in chunks yet, and the commit they belong to.
    rows: Rows,
    open: Commit,
    /// When the open commit got its first row.
    since: Option<Instant>,
    ready: VecDeque<Commit>,
    ready_rows: usize,
    ready_bytes: usize,
    phase: Phase,
    failure: Option<Error>,
    /// Whether the feeder has ended.
    ended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// Nothing more comes.
    Closed,
    /// Nothing more is taken.
    Stopped,
}

/// The rows of one epoch.
#[derive(Debug, Default)]
pub(super) struct Commit {
    pub chunks: Vec<Changes>,
    pub rows: usize,
    pub bytes: usize,
    /// Where the feeder was after them.
    pub position: Option<String>,
}

/// What there is to take.
#[derive(Debug)]
pub(super) enum Taken {
    Commit(Commit),
    Later(Instant),
    End,
}

impl Feed {
    pub(super) fn new(options: Arc<FeedOptions>, wakeup: Wakeup, is_saved: bool) -> Self {
        let queue = Queue {
            rows: Rows::new(&options.schema),
            open: Commit::default(),
            since: None,
            ready: VecDeque::new(),
            ready_rows: 0,
            ready_bytes: 0,
            phase: Phase::Open,
            failure: None,
            ended: false,
        };
        Feed(Arc::new(Shared { options, is_saved, queue: Mutex::new(queue), changed: Condvar::new(), wakeup }))
    }

    /// Whether the run saves its state, and with it the positions of commits.
    pub fn is_saved(&self) -> bool {
        self.0.is_saved
    }

    /// Hands a row over; its cells are those of the schema, in order. With a primary key, it replaces the row with that
    /// key. Returns whether there is room for more: if not, call [`wait_for_room`](Feed::wait_for_room).
    ///
    /// # Errors
    /// `Input`, if the row does not fit the schema, `Invalid` after [`close`](Feed::close), `Interrupted` after the end
    /// of the run.
    pub fn push(&self, cells: &[Cell<'_>]) -> Result<bool> {
        self.add(cells, 1)
    }

    /// Takes a row away. With a primary key, its columns say which one, and others may be null.
    ///
    /// # Errors
    /// As for [`push`](Feed::push), and `Invalid` if the source is declared to take nothing away.
    pub fn remove(&self, cells: &[Cell<'_>]) -> Result<bool> {
        if self.0.options.is_append_only() {
            return Err(Error::invalid("rows of this source are declared never to be removed"));
        }
        self.add(cells, -1)
    }

    fn add(&self, cells: &[Cell<'_>], diff: i64) -> Result<bool> {
        let options = &self.0.options;
        let mut queue = self.lock();
        queue.check_open()?;
        queue.rows.push(cells, diff, |column| diff > 0 || options.key.is_empty() || options.key.contains(&column))?;
        if queue.since.is_none() {
            queue.since = Some(Instant::now());
            self.0.wakeup.wake();
        }
        if queue.rows.len() >= CHUNK_ROWS || queue.rows.bytes() >= CHUNK_BYTES {
            queue.end_chunk();
            // Where commits carry positions, they cannot be divided.
            if !options.positions && is_full(queue.open.rows, queue.open.bytes) {
                queue.end_commit(None);
                self.0.wakeup.wake();
            }
        }
        Ok(!is_full(queue.ready_rows, queue.ready_bytes))
    }

    /// Waits until there is room for more rows, or the run is over.
    pub fn wait_for_room(&self) {
        let full = |queue: &mut Queue| queue.phase == Phase::Open && is_full(queue.ready_rows, queue.ready_bytes);
        self.0.changed.wait_while(&mut self.lock(), full);
    }

    /// Ends an epoch: the rows since the last commit count from now on, as a whole. `position` says where the feeder
    /// is, and is saved with them.
    ///
    /// # Errors
    /// `Invalid`, if a position is missing or not expected, or after [`close`](Feed::close); `Interrupted` after the
    /// end of the run.
    pub fn commit(&self, position: Option<String>) -> Result<()> {
        match (self.0.options.positions, &position) {
            (true, None) => return Err(Error::invalid("a commit of a source with positions needs one")),
            (false, Some(_)) => return Err(Error::invalid("a commit has a position, and the source none")),
            _ => {}
        }
        let mut queue = self.lock();
        queue.check_open()?;
        queue.end_commit(position);
        self.0.wakeup.wake();
        Ok(())
    }

    /// Ends the source: what was handed over before still counts.
    pub fn close(&self) {
        let mut queue = self.lock();
        if queue.phase == Phase::Open {
            queue.phase = Phase::Closed;
            queue.end_chunk();
            if self.0.options.positions && queue.open.rows > 0 {
                let error = Error::invalid("rows were handed over after the last commit with a position");
                queue.failure.get_or_insert(error.with_hint("end with a commit of the last position"));
            } else {
                queue.end_commit(None);
            }
        }
        self.0.changed.notify_all();
        self.0.wakeup.wake();
    }

    /// Says that the feeder has ended, well or with an error, which then ends the run once what was committed before is
    /// taken.
    pub fn end(&self, outcome: Result<()>) {
        if let Err(error) = outcome {
            let mut queue = self.lock();
            if queue.phase != Phase::Stopped {
                queue.phase = Phase::Closed;
                queue.failure.get_or_insert(error);
            }
        }
        self.close();
        self.lock().ended = true;
        self.0.changed.notify_all();
    }

    /// What the run reads next.
    pub(super) fn take(&self) -> Result<Taken> {
        let mut queue = self.lock();
        let mut later = Instant::now() + LONG;
        if queue.ready.is_empty() && queue.phase == Phase::Open && !self.0.options.positions {
            let due = self.0.options.autocommit.and_then(|autocommit| Some(queue.since? + autocommit));
            if due.is_some_and(|due| due <= Instant::now()) {
                queue.end_commit(None);
            }
            later = due.map_or(later, |due| due.min(later));
        }
        if let Some(commit) = queue.ready.pop_front() {
            queue.ready_rows -= commit.rows;
            queue.ready_bytes -= commit.bytes;
            self.0.changed.notify_all();
            return Ok(Taken::Commit(commit));
        }
        if queue.phase == Phase::Open {
            return Ok(Taken::Later(later));
        }
        queue.failure.clone().map_or(Ok(Taken::End), Err)
    }

    /// The bytes of all rows that were handed over and not taken yet.
    pub(super) fn bytes_waiting(&self) -> u64 {
        let queue = self.lock();
        (queue.ready_bytes + queue.open.bytes + queue.rows.bytes()) as u64
    }

    /// From now on nothing is taken; whoever waits for room goes on, to be told so.
    pub(super) fn stop(&self) {
        let mut queue = self.lock();
        queue.phase = Phase::Stopped;
        queue.ready.clear();
        self.0.changed.notify_all();
    }

    /// Waits for the feeder's end, for at most `patience`; returns whether it came.
    pub(super) fn wait_for_end(&self, patience: Duration) -> bool {
        let running = |queue: &mut Queue| !queue.ended;
        let mut queue = self.lock();
        self.0.changed.wait_while_for(&mut queue, running, patience);
        queue.ended
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.queue.lock()
    }
}

impl Queue {
    fn check_open(&self) -> Result<()> {
        match self.phase {
            Phase::Open => Ok(()),
            Phase::Closed => Err(Error::invalid("the source is closed")),
            Phase::Stopped => Err(Error::interrupted("the run is over")),
        }
    }

    fn end_chunk(&mut self) {
        if self.rows.len() > 0 {
            self.open.rows += self.rows.len();
            self.open.bytes += self.rows.bytes();
            self.open.chunks.push(self.rows.finish());
        }
    }

    fn end_commit(&mut self, position: Option<String>) {
        self.end_chunk();
        self.since = None;
        if self.open.rows == 0 && position.is_none() {
            return;
        }
        let commit = Commit { position, ..std::mem::take(&mut self.open) };
        self.ready_rows += commit.rows;
        self.ready_bytes += commit.bytes;
        self.ready.push_back(commit);
    }
}

fn is_full(rows: usize, bytes: usize) -> bool {
    rows >= MOST_ROWS || bytes >= MOST_BYTES
}
