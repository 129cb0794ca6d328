//! Process 0's side of the other processes of a run: orders go out, and a thread for each process takes its words in.
//!
//! What another process computed for a sink is written by that thread, before it reads that the process is done: so
//! when all are done with an epoch, all of its changes are written.

use std::collections::HashMap;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use millpond_columns::types::Schema;
use millpond_engine::metrics::StepCounts;
use millpond_engine::wire::read_changes;
use millpond_engine::{Changes, Epoch};
use millpond_error::{Error, Result};
use millpond_io::sink::Sink;
use millpond_io::source::EpochInput;
use parking_lot::Mutex;

use crate::cluster::message::{ControlWriter, FrameReader, Reply, Request, Share, WireError};
use crate::cluster::{Connected, Health};
use crate::lacking::lacking;

/// How long process 0 waits for the others when all is over.
const FAREWELL: Duration = Duration::from_secs(3);

/// What the threads that listen to other processes share.
pub(super) struct CoordinatorShared {
    pub health: Arc<Health>,
    pub sinks: Arc<Vec<Box<dyn Sink>>>,
    /// The columns of each sink's table.
    pub schemas: Vec<Schema>,
    /// The inputs of the present epoch, by source.
    pub inputs: Mutex<HashMap<usize, Arc<dyn EpochInput>>>,
}

/// All other processes.
pub(super) struct Remotes {
    desk: Arc<CoordinatorShared>,
    members: Vec<Remote>,
}

struct Remote {
    speaker: ControlWriter,
    answers: Mutex<Receiver<Reply>>,
    /// Answers to [`Request::Write`], which come while epochs run.
    written: Mutex<Receiver<Reply>>,
    thread: Option<JoinHandle<()>>,
}

impl Remotes {
    /// Starts to listen to all other processes.
    pub(super) fn new(connected: &mut Connected, desk: CoordinatorShared) -> Result<Self> {
        let mut remotes = Remotes { desk: Arc::new(desk), members: Vec::new() };
        for process in 0..connected.control.len() {
            let Some(stream) = connected.control[process].take() else { continue };
            let name = connected.name(process);
            let cannot = |error: std::io::Error| lacking(&format!("no thread to listen to {name}"), error);
            let reading = stream.try_clone().map_err(cannot)?;
            let speaker = ControlWriter::new(stream);
            let (answer, answers) = channel();
            let (write, written) = channel();
            let (desk, reply) = (remotes.desk.clone(), speaker.clone());
            let listener = Listener { desk, reply, name: name.clone(), answer, write, lent: Vec::new() };
            let thread = thread::Builder::new().name(format!("millpond:process-{process}"));
            let thread = Some(thread.spawn(move || listener.listen(reading)).map_err(cannot)?);
            let (answers, written) = (Mutex::new(answers), Mutex::new(written));
            remotes.members.push(Remote { speaker, answers, written, thread });
        }
        Ok(remotes)
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.desk.health.is_stopped()
    }

    /// Tells all; one that is lost is noticed by its thread.
    pub(super) fn tell(&self, order: &Request) {
        for member in &self.members {
            let _ = member.speaker.send(order, &[]);
        }
    }

    /// Starts an epoch; inputs of fewer than `alone_bytes` are read by this process only.
    pub(super) fn begin_epoch(&self, epoch: Epoch, inputs: &[(usize, Arc<dyn EpochInput>)], alone_bytes: u64) {
        let shared = inputs.iter().filter(|(_, input)| input.is_shared() && input.size_hint() >= alone_bytes);
        let shared: HashMap<usize, Arc<dyn EpochInput>> = shared.cloned().collect();
        let mut sources: Vec<usize> = shared.keys().copied().collect();
        sources.sort_unstable();
        *self.desk.inputs.lock() = shared;
        self.tell(&Request::Epoch { epoch: epoch.0, shared: sources });
    }

    /// One answer of each process; an error if one is lost or has failed.
    fn answers(&self) -> Result<Vec<Reply>> {
        let mut answers = Vec::new();
        for member in &self.members {
            match member.answers.lock().recv() {
                Ok(Reply::Failed(error)) => {
                    self.desk.health.failure.set(error.into());
                    self.desk.health.check()?;
                }
                Ok(word) => answers.push(word),
                Err(_) => {
                    self.desk.health.failure.abandon();
                    self.desk.health.check()?;
                }
            }
        }
        Ok(answers)
    }

    /// What the steps of each process have counted: the answer to an epoch, and the first one.
    pub(super) fn counts(&self) -> Result<Vec<Vec<StepCounts>>> {
        let counts = |word| match word {
            Reply::Opened(counts) | Reply::Done(counts) => Some(counts),
            _ => None,
        };
        Ok(self.answers()?.into_iter().filter_map(counts).collect())
    }

    /// What each process saved.
    pub(super) fn saved(&self) -> Result<Vec<Share>> {
        let share = |word| if let Reply::Saved(share) = word { Some(share) } else { None };
        Ok(self.answers()?.into_iter().filter_map(share).collect())
    }

    /// Asks all to write what they took down last.
    pub(super) fn begin_write(&self, generation: u64) {
        self.tell(&Request::Write { generation });
    }

    /// What all have written.
    pub(super) fn written(&self) -> Result<Vec<Share>> {
        let mut all = Vec::new();
        for member in &self.members {
            match member.written.lock().recv() {
                Ok(Reply::Written(Ok(share))) => all.push(share),
                Ok(Reply::Written(Err(error))) => return Err(error.into()),
                _ => {
                    self.desk.health.failure.abandon();
                    self.desk.health.check()?;
                }
            }
        }
        Ok(all)
    }

    /// Ends the run on all processes: when this returns, each knows that it is over.
    pub(super) fn end(&self) -> Result<()> {
        self.tell(&Request::End);
        self.answers()?;
        self.desk.health.set_ending();
        self.tell(&Request::Close);
        Ok(())
    }

    /// Tells all why the run failed.
    pub(super) fn fail(&self, error: &Error) {
        self.desk.health.failure.abandon();
        self.tell(&Request::Fail(WireError::from(error)));
        self.desk.health.set_ending();
    }
}

impl Drop for Remotes {
    fn drop(&mut self) {
        // The others close when they have heard the last word.
        let until = Instant::now() + FAREWELL;
        let running = |member: &Remote| member.thread.as_ref().is_some_and(|thread| !thread.is_finished());
        while self.members.iter().any(running) && Instant::now() < until {
            thread::sleep(Duration::from_millis(1));
        }
        for member in &mut self.members {
            member.speaker.close();
            member.thread.take().map(JoinHandle::join);
        }
    }
}

/// The thread that takes in the words of one process.
struct Listener {
    desk: Arc<CoordinatorShared>,
    reply: ControlWriter,
    name: String,
    answer: Sender<Reply>,
    write: Sender<Reply>,
    /// The pieces of input that the process has: source and number.
    lent: Vec<(usize, u64)>,
}

impl Listener {
    fn listen(mut self, stream: TcpStream) {
        let mut frames = FrameReader::new(stream);
        let broken = loop {
            match frames.next::<Reply>() {
                Ok((word, bytes)) => self.take(word, bytes),
                Err(error) => break error,
            }
        };
        let lost = self.desk.health.lose(&self.name, broken.message());
        for (source, piece) in std::mem::take(&mut self.lent) {
            if let Some(input) = self.input(source) {
                input.give_up(piece, lost.clone());
            }
        }
    }

    fn input(&self, source: usize) -> Option<Arc<dyn EpochInput>> {
        self.desk.inputs.lock().get(&source).cloned()
    }

    fn take(&mut self, word: Reply, bytes: &[u8]) {
        let failure = &self.desk.health.failure;
        match word {
            Reply::Changes { sink, epoch } => failure.guard("writing results", || {
                let changes = self.changes(sink, bytes)?;
                self.desk.sinks[sink].write(Epoch(epoch), &changes)
            }),
            Reply::Snapshot { sink } => failure.guard("writing results", || {
                let changes = self.changes(sink, bytes)?;
                self.desk.sinks[sink].write_snapshot(&changes)
            }),
            Reply::Lines { sink, count } => {
                failure.guard("writing results", || self.desk.sinks[sink].write_lines(bytes, count))
            }
            Reply::Want { source, count } => self.lend(source, count),
            Reply::Read { source } => {
                if let Some(input) = self.input(source) {
                    match input.hand_in(bytes) {
                        Ok(piece) => self.lent.retain(|lent| *lent != (source, piece)),
                        Err(error) => failure.set(error.context(&self.name)),
                    }
                }
            }
            Reply::Unread { source, piece, error } => {
                self.lent.retain(|lent| *lent != (source, piece));
                if let Some(input) = self.input(source) {
                    input.give_up(piece, error.into());
                }
            }
            Reply::Stop => self.desk.health.set_stopped(),
            Reply::Written(_) => drop(self.write.send(word)),
            answer => drop(self.answer.send(answer)),
        }
    }

    /// Rows for a sink.
    fn changes(&self, sink: usize, bytes: &[u8]) -> Result<Changes> {
        read_changes(bytes, &self.desk.schemas[sink]).map_err(|error| error.context(&self.name))
    }

    /// Hands out pieces of input. A piece never waits here for another one.
    fn lend(&mut self, source: usize, count: usize) {
        let mut pieces = Vec::new();
        let mut last = false;
        let input = self.input(source).filter(|_| !self.desk.health.failure.is_set());
        for _ in 0..count {
            match input.as_ref().and_then(|input| input.hand_out()) {
                Some((piece, bytes)) => {
                    self.lent.push((source, piece));
                    pieces.extend_from_slice(&piece.to_le_bytes());
                    pieces.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
                    pieces.extend_from_slice(&bytes);
                }
                None => {
                    last = true;
                    break;
                }
            }
        }
        let _ = self.reply.send(&Request::Pieces { source, last }, &pieces);
    }
}
