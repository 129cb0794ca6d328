//! The socket that timely writes packets to and reads them from, and what happens when the other end is lost.
//!
//! Timely panics when a connection breaks. Here a broken connection is noted first, and the reading thread is then held
//! until all workers have left: so a lost process is an error with a name, and nobody panics.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use millpond_engine::dataflow::Failure;
use millpond_error::{Error, Result};
use parking_lot::Mutex;
use timely::communication::allocator::zero_copy::stream::Stream;

/// How long a process that misses another waits for process 0 to say why; in tests of this file there is none.
const VERDICT: Duration = Duration::from_millis(if cfg!(test) { 100 } else { 2000 });
/// What to do when a process is lost.
pub(crate) const AGAIN_HINT: &str = "the last checkpoint is whole: run the program again";
const PAUSE: Duration = Duration::from_millis(10);

/// How the processes of a run are, as this one sees it.
#[derive(Debug, Default)]
pub(crate) struct Health {
    pub failure: Arc<Failure>,
    lost: Mutex<Option<Error>>,
    /// All have agreed to end: connections may close.
    ending: AtomicBool,
    /// All workers have left.
    released: AtomicBool,
    /// Another process was asked to stop.
    stop: AtomicBool,
}

impl Health {
    /// Notes that a connection to a process is broken, and how: the error of a run that misses it.
    pub(crate) fn lose(&self, process: &str, how: &str) -> Error {
        let error = Error::unavailable(format!("{process} was lost: {how}")).with_hint(AGAIN_HINT);
        if !self.is_ending() {
            self.lost.lock().get_or_insert(error.clone());
            self.failure.abandon();
        }
        error
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Acquire)
    }

    pub(crate) fn set_ending(&self) {
        self.ending.store(true, Ordering::Release);
    }

    pub(crate) fn release(&self) {
        self.released.store(true, Ordering::Release);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    pub(crate) fn set_stopped(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// The error of the run, if there is one; of a process that was lost, perhaps what it or process 0 said last.
    pub(crate) fn check(&self) -> Result<()> {
        if !self.failure.is_set() {
            return Ok(());
        }
        let until = Instant::now() + VERDICT;
        loop {
            self.failure.check()?;
            if let Some(lost) = &*self.lost.lock()
                && Instant::now() >= until
            {
                return Err(lost.clone());
            }
            if Instant::now() >= until + VERDICT {
                let what = "the run was given up, and no process has said why";
                return Err(Error::unavailable(what).with_hint(AGAIN_HINT));
            }
            thread::sleep(PAUSE);
        }
    }
}

/// Timely's last message is a header of zeros; the number of its bytes.
const FAREWELL_BYTES: usize = 48;

/// A connection of the dataflow.
pub(crate) struct Link {
    stream: TcpStream,
    /// The last bytes that were read.
    last: [u8; FAREWELL_BYTES],
    /// What messages call the process at the other end.
    name: String,
    health: Arc<Health>,
}

impl Link {
    pub(crate) fn new(stream: TcpStream, name: String, health: Arc<Health>) -> Self {
        Link { stream, last: [u8::MAX; FAREWELL_BYTES], name, health }
    }

    fn note(&mut self, read: &[u8]) {
        let kept = FAREWELL_BYTES.saturating_sub(read.len());
        self.last.copy_within(FAREWELL_BYTES - kept.., 0);
        self.last[kept..].copy_from_slice(&read[read.len() - (FAREWELL_BYTES - kept)..]);
    }

    /// Whether the other end has said that nothing follows.
    fn is_complete(&self) -> bool {
        self.last == [0; FAREWELL_BYTES]
    }

    /// The other end is gone in the middle of its messages. Even where all have agreed to end, the workers wait for
    /// what it has not sent any more.
    fn lose(&self) {
        self.health.lose(&self.name, "the connection was closed");
        self.health.failure.abandon();
    }
}

impl Read for Link {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.stream.read(buffer) {
                Ok(length) if length > 0 => {
                    self.note(&buffer[..length]);
                    return Ok(length);
                }
                Ok(_) if self.is_complete() && self.health.is_ending() && !self.health.failure.is_abandoned() => {
                    return Ok(0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                _ => {
                    self.lose();
                    while !self.health.released.load(Ordering::Acquire) {
                        thread::sleep(PAUSE);
                    }
                    // Ends the thread without the message of a panic.
                    std::panic::resume_unwind(Box::new("a process was lost"));
                }
            }
        }
    }
}

impl Write for Link {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.stream.write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(_) | Ok(0) => {
                self.lose();
                Ok(bytes.len())
            }
            written => written,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Link {
    fn try_clone(&self) -> io::Result<Self> {
        Ok(Link::new(self.stream.try_clone()?, self.name.clone(), self.health.clone()))
    }

    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.stream.set_nonblocking(nonblocking)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        // What is closed already needs no closing.
        let _ = self.stream.shutdown(how);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use millpond_error::ErrorKind;

    use super::*;

    /// What reading gives when the other end has sent these bytes and is closed: `None` where the thread ends without a
    /// message.
    fn read_closed(health: &Arc<Health>, sent: &[u8]) -> Option<usize> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let stream = TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
        listener.accept().expect("a connection").0.write_all(sent).expect("a write");
        let mut link = Link::new(stream, "process 1".to_owned(), health.clone());
        let mut buffer = [0; 32];
        let mut left = sent.len();
        while left > 0 {
            left -= link.read(&mut buffer).expect("what was sent");
        }
        let read = catch_unwind(AssertUnwindSafe(|| link.read(&mut buffer)));
        read.ok().map(|read| read.expect("no error is made of it"))
    }

    #[test]
    fn a_connection_may_close_when_all_have_agreed_to_end() {
        let health = Arc::new(Health::default());
        health.set_ending();
        assert_eq!(read_closed(&health, &[[7; 20].as_slice(), &[0; FAREWELL_BYTES]].concat()), Some(0));
        assert!(!health.failure.is_abandoned());
    }

    /// Of a process that was lost, what it said last counts; if nobody says anything, that it was lost, and how.
    #[test]
    fn a_process_that_is_lost_is_named() {
        let health = Health::default();
        health.check().expect("all is well");
        health.lose("process 1 (127.0.0.1:4001)", "the connection was closed");
        health.lose("process 2 (127.0.0.1:4002)", "the connection was closed");
        let text = format!("process 1 (127.0.0.1:4001) was lost: the connection was closed\nhint: {AGAIN_HINT}");
        let lost = health.check().unwrap_err();
        assert_eq!((lost.kind(), lost.to_string()), (ErrorKind::Unavailable, text));
        health.failure.set(Error::input("a.csv:3: at: \"x\" is not an int"));
        assert_eq!(health.check().unwrap_err().kind(), ErrorKind::Input);
    }

    #[test]
    fn a_run_that_is_given_up_without_a_reason_says_so() {
        let health = Health::default();
        health.failure.abandon();
        let text = format!("the run was given up, and no process has said why\nhint: {AGAIN_HINT}");
        let given_up = health.check().unwrap_err();
        assert_eq!((given_up.kind(), given_up.to_string()), (ErrorKind::Unavailable, text));
    }

    /// A process that is killed while all end has not said all that its neighbours' workers wait for.
    #[test]
    fn a_connection_that_breaks_while_all_end_lets_the_workers_go() {
        for sent in [[].as_slice(), &[0; FAREWELL_BYTES - 1], &[7; 100]] {
            let health = Arc::new(Health::default());
            health.set_ending();
            health.release();
            assert_eq!(read_closed(&health, sent), None);
            assert!(health.failure.is_abandoned());
            assert!(health.lost.lock().is_none(), "the run was over: nobody is missed");
        }
    }

    /// When a process is lost, the others leave one after the other, and each would panic over those that left before.
    #[test]
    fn a_connection_that_closes_in_a_run_that_is_given_up_is_no_panic() {
        for is_ending in [false, true] {
            let health = Arc::new(Health::default());
            health.failure.abandon();
            if is_ending {
                health.set_ending();
            }
            health.release();
            assert_eq!(read_closed(&health, &[0; FAREWELL_BYTES]), None);
        }
    }
}
