//! What process 0 and the others say to each other: a line of JSON, and bytes behind it.

use std::io::{ErrorKind as Io, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use millpond_engine::metrics::StepCounts;
use millpond_error::{Error, ErrorKind, Origin, Result};
use millpond_store::{ArrangementRecord, BlobRange, SegmentRecord};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// What process 0 asks of another.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Open the saved state and build the dataflow.
    Open { seed: u64, steps: Vec<(String, Vec<ArrangementRecord>)>, endless: bool },
    /// Work through an epoch; `shared` are the sources whose input is read by all.
    Epoch { epoch: u64, shared: Vec<usize> },
    /// Pieces of a source's input to read, behind it; the last ones if `last`.
    Pieces { source: usize, last: bool },
    /// Take down what is to be saved, and write it if the checkpoint has begun; give the marked sinks the present
    /// table. The checkpoint before has copied saved segments from one place to another: `moves`.
    Checkpoint { generation: Option<u64>, snapshots: Vec<bool>, moves: Vec<(BlobRange, BlobRange)> },
    /// Write what was taken down last.
    Write { generation: u64 },
    /// The run is over.
    End,
    /// Everyone knows that the run is over.
    Close,
    /// The run failed.
    Fail(WireError),
}

/// What another process says to process 0.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// The dataflow stands; with what its steps have counted, in the order of the plan.
    Opened(Vec<StepCounts>),
    /// Changes for a sink, behind it.
    Changes { sink: usize, epoch: u64 },
    /// Rows of the present table for a sink, behind it.
    Snapshot { sink: usize },
    /// Lines for a sink that this process has formatted, behind it.
    Lines { sink: usize, count: u64 },
    /// Ready to read so many pieces more of a source's input.
    Want { source: usize, count: usize },
    /// What came out of a piece, behind it.
    Read { source: usize },
    /// A piece could not be read.
    Unread { source: usize, piece: u64, error: WireError },
    /// The epoch is done; with what the steps have counted so far, in the order of the plan.
    Done(Vec<StepCounts>),
    /// What the checkpoint saves was taken down, and written if it has begun.
    Saved(Share),
    /// What was taken down was written.
    Written(std::result::Result<Share, WireError>),
    /// Knows that the run is over.
    Ended,
    /// Cannot go on.
    Failed(WireError),
    /// Was asked to stop.
    Stop,
}

/// What one process has saved for a checkpoint.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Share {
    pub records: Vec<SavedRecords>,
    /// What was written for it.
    pub bytes: u64,
}

/// The segments of one arrangement, written by one process.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SavedRecords {
    pub node: usize,
    pub arrangement: String,
    pub segments: Vec<SegmentRecord>,
}

/// An error on its way to another process.
#[derive(Debug, Serialize, Deserialize)]
pub struct WireError {
    code: i32,
    message: String,
    hint: Option<String>,
    place: Option<(String, u32)>,
}

impl From<&Error> for WireError {
    fn from(error: &Error) -> Self {
        WireError {
            code: error.kind().exit_code(),
            message: error.message().to_owned(),
            hint: error.hint().map(str::to_owned),
            place: error.origin().map(|origin| (origin.file.clone(), origin.line)),
        }
    }
}

impl From<WireError> for Error {
    fn from(wire: WireError) -> Self {
        use ErrorKind::{Changed, Data, Input, Interrupted, Invalid, Locked, Unavailable};
        let kinds = [Invalid, Input, Data, Locked, Changed, Unavailable, Interrupted];
        let kind = kinds.into_iter().find(|kind| kind.exit_code() == wire.code).unwrap_or(Unavailable);
        let mut error = Error::new(kind, wire.message);
        if let Some(hint) = wire.hint {
            error = error.with_hint(hint);
        }
        match wire.place {
            Some((file, line)) => error.at(&Origin { file, line }),
            None => error,
        }
    }
}

/// The sending side of a control connection; whole messages, from any thread.
#[derive(Clone, Debug)]
pub(crate) struct ControlWriter(Arc<Mutex<TcpStream>>);

impl ControlWriter {
    pub(crate) fn new(stream: TcpStream) -> Self {
        ControlWriter(Arc::new(Mutex::new(stream)))
    }

    pub(crate) fn send<M: Serialize>(&self, message: &M, bytes: &[u8]) -> Result<()> {
        let mut stream = self.0.lock();
        write_frame(&mut *stream, message, bytes)
    }

    /// Closes the connection, also for the thread that reads from it.
    pub(crate) fn close(&self) {
        let _ = self.0.lock().shutdown(std::net::Shutdown::Both);
    }
}

/// A body up to this size is sent together with what stands before it.
const SMALL_BYTES: usize = 16 << 10;
/// Memory for a body is taken in steps of this size, as the bytes come.
const STEP_BYTES: usize = 1 << 20;
/// A buffer that a long body has made longer than this is not kept.
const KEPT_BYTES: usize = 4 << 20;

/// Writes a message: the lengths of both parts, 8 bytes each, and the parts.
pub(crate) fn write_frame<M: Serialize>(out: &mut impl Write, message: &M, bytes: &[u8]) -> Result<()> {
    let json = serde_json::to_vec(message).expect("plain data always has a JSON form");
    let (near, apart) = if bytes.len() <= SMALL_BYTES { (bytes, &[][..]) } else { (&[][..], bytes) };
    let mut frame = Vec::with_capacity(16 + json.len() + near.len());
    frame.extend_from_slice(&(json.len() as u64).to_le_bytes());
    frame.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    frame.extend_from_slice(&json);
    frame.extend_from_slice(near);
    let sent = out.write_all(&frame).and_then(|()| out.write_all(apart));
    sent.map_err(|error| Error::unavailable(format!("the connection broke: {error}")))
}

/// Reads messages, one after another, into the same memory. An error says what came of the connection, without the name
/// of the process at its other end.
pub(crate) struct FrameReader<R> {
    input: R,
    buffer: Vec<u8>,
}

impl<R: Read> FrameReader<R> {
    pub(crate) fn new(input: R) -> Self {
        FrameReader { input, buffer: Vec::new() }
    }

    /// The next message, and the bytes behind it.
    pub(crate) fn next<M: DeserializeOwned>(&mut self) -> Result<(M, &[u8])> {
        if self.buffer.len() > KEPT_BYTES {
            self.buffer = Vec::new();
        }
        let lengths: &[u8] = self.part(16)?;
        let length = |bytes: &[u8]| bytes.iter().rev().fold(0u64, |length, byte| length << 8 | u64::from(*byte));
        let (json, bytes) = (length(&lengths[..8]), length(&lengths[8..]));
        let message = serde_json::from_slice(self.part(json)?)
            .map_err(|error| Error::unavailable(format!("it said what cannot be understood: {error}")))?;
        Ok((message, self.part(bytes)?))
    }

    /// So many bytes. Memory is taken as they come, whatever the length says.
    fn part(&mut self, length: u64) -> Result<&[u8]> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let mut read = 0;
        while read < length {
            let until = length.min((read + STEP_BYTES).max(self.buffer.len()));
            if self.buffer.len() < until {
                self.buffer.resize(until, 0);
            }
            self.input.read_exact(&mut self.buffer[read..until]).map_err(|error| {
                Error::unavailable(match error.kind() {
                    Io::UnexpectedEof => "the connection was closed".to_owned(),
                    _ => format!("the connection broke: {error}"),
                })
            })?;
            read = until;
        }
        Ok(&self.buffer[..length])
    }
}

/// Reads one message without bytes.
pub(crate) fn read_frame<M: DeserializeOwned>(input: &mut impl Read) -> Result<M> {
    FrameReader::new(input).next().map(|(message, _)| message)
}
