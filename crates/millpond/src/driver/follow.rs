//! A process of a run that is not the first: it runs workers, and does what process 0 says.

use std::collections::{HashMap, VecDeque};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use millpond_engine::arrangement::SavedArrangement;
use millpond_engine::changes::Changes;
use millpond_engine::dataflow::{Context, Inboxes};
use millpond_engine::hash::HashSeed;
use millpond_engine::wire::{MISFIT_HINT, changes_bytes, write_changes};
use millpond_engine::{Epoch, arrangement};
use millpond_error::{Error, Result};
use millpond_io::sink::{Formatter, Sink};
use millpond_io::source::{EpochInput, PieceReader};
use millpond_plan::physical::{OperatorSpec, PhysicalPlan};
use millpond_store::{ArrangementRecord, CheckpointShare, Disk, StateReader};
use parking_lot::{Condvar, Mutex};

use super::state::{SavedSteps, saved_segment, write_segments};
use super::team::{Fabric, POLL_INTERVAL, SavedSegments, Team};
use super::{Connectors, sink_schemas};
use crate::cluster::message::{ControlWriter, FrameReader, Reply, Request, Share, WireError};
use crate::cluster::{AGAIN_HINT, Connected, Health};
use crate::lacking::lacking;
use crate::monitor::{Meters, Monitoring};
use crate::options::RunOptions;

/// Pieces of input that a worker has at hand, so that it need not wait for the next one.
const AHEAD: usize = 8;
/// How long a request to stop may wait.
const SIGNAL_POLL: Duration = Duration::from_millis(50);

/// Runs the workers of this process until process 0 ends the run.
pub(super) fn follow(
    plan: PhysicalPlan,
    (connectors, sinks): (&Connectors, &[Box<dyn Sink>]),
    mut connected: Connected,
    threads: usize,
    options: &RunOptions,
) -> Result<()> {
    let health = Arc::new(Health::default());
    let leader = connected.name(0);
    let stream = connected.control[0].take().expect("process 0 is connected with all others");
    let reading = stream.try_clone().map_err(|error| lacking(&format!("no thread to listen to {leader}"), error))?;
    let speaker = ControlWriter::new(stream);
    let (send, orders) = channel();
    let pieces = Arc::new(Pieces::default());
    let listener = Listener { health: health.clone(), leader: leader.clone(), pieces: pieces.clone(), send };
    let thread = thread::Builder::new().name("millpond:process-0".to_owned()).spawn(move || listener.listen(reading));
    let thread = thread.map_err(|error| lacking(&format!("no thread to listen to {leader}"), error))?;
    let disk = options.state.as_ref().map(|state| state.as_disk());
    let follower = Follower { health, leader, speaker, orders, pieces, disk };
    let outcome = follower.run(plan, (connectors, sinks), connected, threads, options);
    follower.speaker.close();
    let _ = thread.join();
    outcome
}

struct Follower {
    health: Arc<Health>,
    /// What messages call process 0.
    leader: String,
    speaker: ControlWriter,
    orders: Receiver<Request>,
    pieces: Arc<Pieces>,
    disk: Option<Arc<dyn Disk>>,
}

impl Follower {
    fn run(
        &self,
        plan: PhysicalPlan,
        (connectors, sinks): (&Connectors, &[Box<dyn Sink>]),
        mut connected: Connected,
        threads: usize,
        options: &RunOptions,
    ) -> Result<()> {
        let (seed, steps, endless) = match self.order()? {
            Request::Open { seed, steps, endless } => (seed, steps, endless),
            order => return Err(self.unexpected(&order, "before it opened the run")),
        };
        let seed = HashSeed(seed);
        let saved = self.told(self.saved(steps))?;
        let readers = self.told(piece_readers(&plan, connectors, seed))?;
        let schemas = sink_schemas(&plan, sinks.len());
        let formatters = sinks.iter().zip(&schemas).map(|(sink, schema)| sink.formatter(schema));
        let writer = Arc::new(Writer {
            formatters: self.told(formatters.collect::<Result<_>>())?,
            speaker: self.speaker.clone(),
        });
        let snapshots = writer.clone();
        let deliver = Box::new(move |sink, epoch, changes: &_| writer.changes(sink, epoch, changes));
        let snapshot = Box::new(move |sink, changes: &_| snapshots.snapshot(sink, changes));
        let failure = self.health.failure.clone();
        let meters = Meters::new(&plan, std::iter::empty(), (1, threads), self.disk.is_some(), Monitoring::None);
        let metrics = meters.steps();
        let patience = Some(POLL_INTERVAL);
        let memory = self.told(options.rows_memory(connected.cluster.neighbours()))?;
        let context = Arc::new(Context {
            plan,
            seed,
            saved,
            deliver,
            failure,
            patience,
            metrics,
            threads,
            inboxes: Inboxes::default(),
            memory,
            is_interrupted: options.interrupts(endless),
        });
        let (process, processes) = (connected.cluster.process(), connected.cluster.processes());
        let fabric = Fabric::cluster(threads, &mut connected, self.health.clone())?;
        let team = Team::start(fabric, context, snapshot, self.disk.clone())?;
        self.speaker.send(&Reply::Opened(meters.own_counts()), &[])?;
        let peers = threads * processes;
        let mut taken: Vec<SavedSegments> = Vec::new();
        let mut saving: Option<JoinHandle<()>> = None;
        let mut stop_sent = false;
        loop {
            let order = match self.orders.recv_timeout(SIGNAL_POLL) {
                Ok(order) => order,
                Err(RecvTimeoutError::Timeout) => {
                    if endless && options.stop.is_requested() && !std::mem::replace(&mut stop_sent, true) {
                        self.speaker.send(&Reply::Stop, &[])?;
                    }
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return Err(self.closed()),
            };
            match order {
                Request::Epoch { epoch, shared } => {
                    let inputs: Vec<(usize, Arc<dyn EpochInput>)> = shared
                        .into_iter()
                        .filter_map(|source| {
                            let reader = readers.get(&source)?.clone();
                            self.pieces.begin(source);
                            let (pieces, speaker) = (self.pieces.clone(), self.speaker.clone());
                            let health = self.health.clone();
                            let input = RemoteInput { source, ahead: AHEAD * threads, reader, pieces, speaker, health };
                            Some((source, Arc::new(input) as Arc<dyn EpochInput>))
                        })
                        .collect();
                    self.told(team.epoch(Epoch(epoch), &inputs))?;
                    self.speaker.send(&Reply::Done(meters.own_counts()), &[])?;
                }
                Request::Checkpoint { generation, snapshots, moves } => {
                    let share = self.share(generation, peers + 1 + process);
                    let writer = share.as_ref().map(|share| move |worker| share.writer(worker));
                    let writer = writer.as_ref().map(|writer| writer as &dyn Fn(usize) -> _);
                    let moves = Arc::new(moves.into_iter().collect());
                    taken = self.told(team.checkpoint(writer, snapshots, moves))?;
                    let saved = share.map(|share| finish_share(share, &std::mem::take(&mut taken)));
                    let saved = self.told(saved.transpose())?.unwrap_or_default();
                    self.speaker.send(&Reply::Saved(saved), &[])?;
                }
                Request::Write { generation } => {
                    let segments = std::mem::take(&mut taken);
                    let share = self.share(Some(generation), peers + 1 + process);
                    let speaker = self.speaker.clone();
                    saving.take().map(JoinHandle::join);
                    saving = Some(thread::spawn(move || {
                        let written = write_share(share, peers + processes + process, &segments);
                        let written = written.map_err(|error| WireError::from(&error));
                        let _ = speaker.send(&Reply::Written(written), &[]);
                    }));
                }
                Request::End => {
                    self.health.set_ending();
                    self.speaker.send(&Reply::Ended, &[])?;
                }
                Request::Close => return Ok(()),
                Request::Fail(error) => {
                    self.health.failure.abandon();
                    return Err(error.into());
                }
                order @ (Request::Open { .. } | Request::Pieces { .. }) => {
                    return Err(self.unexpected(&order, "in the midst of the run"));
                }
            }
        }
    }

    fn order(&self) -> Result<Request> {
        match self.orders.recv() {
            Ok(Request::Fail(error)) => Err(error.into()),
            Ok(order) => Ok(order),
            Err(_) => Err(self.closed()),
        }
    }

    /// The error of an order that has no place where it came.
    fn unexpected(&self, order: &Request, when: &str) -> Error {
        self.health.failure.abandon();
        let order = format!("{order:?}");
        let name = order.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
        Error::unavailable(format!("{} sent the order {name} {when}", self.leader)).with_hint(MISFIT_HINT)
    }

    /// The error of a connection that process 0 has closed.
    fn closed(&self) -> Error {
        // When all have agreed to end, nobody is missed.
        if !self.health.is_ending()
            && let Err(error) = self.health.check()
        {
            return error;
        }
        let what = format!("{} closed its connection and did not say that the run is over", self.leader);
        Error::unavailable(what).with_hint(AGAIN_HINT)
    }

    /// Tells process 0 of an error, and returns what it makes of it.
    fn told<T>(&self, result: Result<T>) -> Result<T> {
        let Err(error) = result else { return result };
        if self.speaker.send(&Reply::Failed(WireError::from(&error)), &[]).is_ok() {
            while let Ok(order) = self.orders.recv_timeout(Duration::from_secs(5)) {
                if let Request::Fail(verdict) = order {
                    return Err(verdict.into());
                }
            }
        }
        Err(error)
    }

    fn share(&self, generation: Option<u64>, common: usize) -> Option<CheckpointShare> {
        Some(CheckpointShare::new(self.disk.clone()?, generation?, common))
    }

    fn saved(&self, steps: Vec<(String, Vec<ArrangementRecord>)>) -> Result<SavedSteps> {
        let mut saved = SavedSteps::new();
        let Some(disk) = &self.disk else { return Ok(saved) };
        let reader = StateReader::new(disk.clone());
        for (step, arrangements) in steps {
            let open = |arrangement: ArrangementRecord| {
                let segments = arrangement
                    .segments
                    .iter()
                    .map(|segment| saved_segment(&reader, segment))
                    .collect::<Result<Vec<arrangement::SavedSegment>>>()?;
                Ok((arrangement.name, SavedArrangement { segments }))
            };
            saved.insert(step, arrangements.into_iter().map(open).collect::<Result<_>>()?);
        }
        Ok(saved)
    }
}

/// Sends what this process computed for the sinks to process 0.
struct Writer {
    /// By sink.
    formatters: Vec<Option<Box<dyn Formatter>>>,
    speaker: ControlWriter,
}

impl Writer {
    fn changes(&self, sink: usize, epoch: Epoch, changes: &Changes) -> Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        match &self.formatters[sink] {
            Some(formatter) => formatter.changes(epoch, changes, &mut |lines, count| self.lines(sink, lines, count)),
            None => self.speaker.send(&Reply::Changes { sink, epoch: epoch.0 }, &bytes_of(changes)),
        }
    }

    fn snapshot(&self, sink: usize, changes: &Changes) -> Result<()> {
        match &self.formatters[sink] {
            Some(formatter) => formatter.snapshot(changes, &mut |lines, count| self.lines(sink, lines, count)),
            None => self.speaker.send(&Reply::Snapshot { sink }, &bytes_of(changes)),
        }
    }

    fn lines(&self, sink: usize, lines: &[u8], count: u64) -> Result<()> {
        self.speaker.send(&Reply::Lines { sink, count }, lines)
    }
}

fn bytes_of(changes: &Changes) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(changes_bytes(changes));
    write_changes(changes, &mut bytes);
    bytes
}

fn write_share(share: Option<CheckpointShare>, writer: usize, segments: &[SavedSegments]) -> Result<Share> {
    let Some(share) = share else {
        let what = "process 0 asked for what is to be saved, and this process saves no state";
        return Err(Error::unavailable(what).with_hint(MISFIT_HINT));
    };
    write_segments(share.writer(writer), segments)?;
    finish_share(share, segments)
}

/// Makes `segments` durable, which were written for this share.
fn finish_share(share: CheckpointShare, segments: &[SavedSegments]) -> Result<Share> {
    let bytes = share.finish()?;
    Ok(Share { records: segments.iter().map(SavedSegments::records).collect(), bytes })
}

/// What reads pieces of the sources whose input several processes can read.
fn piece_readers(
    plan: &PhysicalPlan,
    connectors: &Connectors,
    seed: HashSeed,
) -> Result<HashMap<usize, Arc<dyn PieceReader>>> {
    let mut readers = HashMap::new();
    for node in &plan.nodes {
        let OperatorSpec::Source { index, columns } = &node.operator else { continue };
        if let Some(reader) = (connectors.sources[*index].make)(seed)?.piece_reader(columns) {
            readers.insert(*index, reader);
        }
    }
    Ok(readers)
}

/// The pieces of input that process 0 has handed to this process, by source.
#[derive(Default)]
struct Pieces {
    queues: Mutex<HashMap<usize, Queue>>,
    arrived: Condvar,
}

#[derive(Default)]
struct Queue {
    pieces: VecDeque<(u64, Vec<u8>)>,
    /// Pieces asked for and not here yet.
    asked: usize,
    /// Process 0 has no more.
    last: bool,
}

impl Pieces {
    fn begin(&self, source: usize) {
        self.queues.lock().insert(source, Queue::default());
    }

    fn arrive(&self, source: usize, last: bool, mut bytes: &[u8]) {
        let mut queues = self.queues.lock();
        let queue = queues.entry(source).or_default();
        queue.last |= last;
        let number = |bytes: &[u8]| bytes.iter().rev().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
        while let Some((head, rest)) = bytes.split_at_checked(16) {
            let (piece, length) = head.split_at(8);
            let Some((body, rest)) = rest.split_at_checked(number(length) as usize) else { break };
            queue.pieces.push_back((number(piece), body.to_vec()));
            queue.asked = queue.asked.saturating_sub(1);
            bytes = rest;
        }
        self.arrived.notify_all();
    }
}

/// The input of a source that process 0 reads together with this process.
struct RemoteInput {
    source: usize,
    /// How many pieces to have at hand.
    ahead: usize,
    reader: Arc<dyn PieceReader>,
    pieces: Arc<Pieces>,
    speaker: ControlWriter,
    health: Arc<Health>,
}

impl RemoteInput {
    fn take(&self) -> Result<Option<(u64, Vec<u8>)>> {
        let mut queues = self.pieces.queues.lock();
        loop {
            let queue = queues.entry(self.source).or_default();
            let piece = queue.pieces.pop_front();
            let missing = self.ahead.saturating_sub(queue.pieces.len() + queue.asked);
            if missing > self.ahead / 2 && !queue.last {
                queue.asked += missing;
                self.speaker.send(&Reply::Want { source: self.source, count: missing }, &[])?;
            }
            if piece.is_some() || queue.last || self.health.failure.is_set() {
                return Ok(piece);
            }
            self.pieces.arrived.wait_for(&mut queues, POLL_INTERVAL);
        }
    }
}

impl EpochInput for RemoteInput {
    fn next(&self) -> Result<Option<Changes>> {
        while let Some((piece, bytes)) = self.take()? {
            match self.reader.read(&bytes) {
                Ok((changes, result)) => {
                    self.speaker.send(&Reply::Read { source: self.source }, &result)?;
                    if !changes.is_empty() {
                        return Ok(Some(changes));
                    }
                }
                // Process 0 knows which error comes first.
                Err(error) => {
                    let error = WireError::from(&error);
                    self.speaker.send(&Reply::Unread { source: self.source, piece, error }, &[])?;
                    return Ok(None);
                }
            }
        }
        Ok(None)
    }

    fn size_hint(&self) -> u64 {
        u64::MAX
    }
}

/// The thread that takes in what process 0 says.
struct Listener {
    health: Arc<Health>,
    leader: String,
    pieces: Arc<Pieces>,
    send: Sender<Request>,
}

impl Listener {
    fn listen(self, stream: TcpStream) {
        let mut frames = FrameReader::new(stream);
        let broken = loop {
            let (order, bytes) = match frames.next::<Request>() {
                Ok(said) => said,
                Err(error) => break error,
            };
            match order {
                Request::Pieces { source, last } => self.pieces.arrive(source, last, bytes),
                Request::Fail(_) => {
                    let _ = self.send.send(order);
                    self.health.failure.abandon();
                    // The verdict is here: nothing that closes from now on is news.
                    self.health.set_ending();
                }
                order => drop(self.send.send(order)),
            }
        };
        self.health.lose(&self.leader, broken.message());
    }
}
