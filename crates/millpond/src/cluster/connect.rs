//! Connections to all other processes, made within a time limit.

use std::collections::BTreeMap;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use millpond_error::{Error, Result};

use super::handshake::{Claims, Purpose, Refusal, greet, welcome};
use super::{Cluster, resolve};
use crate::stop::Stop;

/// All processes must be there within this time.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(1);

/// The connections of one process.
pub struct Connected {
    pub cluster: Cluster,
    /// For the dataflow, by process; `None` for this one.
    pub data: Vec<Option<TcpStream>>,
    /// Of process 0 to all others, and of these to process 0.
    pub control: Vec<Option<TcpStream>>,
}

impl Connected {
    /// What messages call a process.
    pub fn name(&self, process: usize) -> String {
        self.cluster.name(process)
    }
}

/// Connects to all other processes. `threads` and `program` are what the others must have, too.
pub fn connect(cluster: &Cluster, threads: usize, program: u64, saves: bool, stop: &Stop) -> Result<Connected> {
    let claims = Claims {
        process: cluster.process,
        processes: cluster.processes(),
        threads,
        engine: env!("CARGO_PKG_VERSION").to_owned(),
        program,
        saves,
    };
    let deadline = Instant::now() + PATIENCE;
    let expected = expected(cluster);
    let listening = (!expected.is_empty()).then(|| listen(cluster, claims.clone())).transpose()?;
    let mut found = BTreeMap::new();
    for process in 0..cluster.process {
        found.insert((process, Purpose::Data), reach(cluster, process, Purpose::Data, &claims, deadline, stop)?);
    }
    if cluster.process > 0 {
        found.insert((0, Purpose::Control), reach(cluster, 0, Purpose::Control, &claims, deadline, stop)?);
    }
    if let Some(listening) = listening {
        listening.collect(cluster, &expected, deadline, stop, &mut found)?;
    }
    let mut of = |purpose| (0..cluster.processes()).map(|process| found.remove(&(process, purpose))).collect();
    Ok(Connected { cluster: cluster.clone(), data: of(Purpose::Data), control: of(Purpose::Control) })
}

/// The connections that others make to this process.
fn expected(cluster: &Cluster) -> Vec<(usize, Purpose)> {
    let later = cluster.process + 1..cluster.processes();
    let data = later.clone().map(|process| (process, Purpose::Data));
    let control = later.filter(|_| cluster.process == 0).map(|process| (process, Purpose::Control));
    data.chain(control).collect()
}

fn check_stop(stop: &Stop) -> Result<()> {
    match stop.is_requested() {
        true => Err(Error::interrupted("stopped on request before the run began")),
        false => Ok(()),
    }
}

/// Connects to a process with a smaller number.
fn reach(
    cluster: &Cluster,
    process: usize,
    purpose: Purpose,
    claims: &Claims,
    deadline: Instant,
    stop: &Stop,
) -> Result<TcpStream> {
    let address = &cluster.addresses[process];
    let mut last = String::new();
    while Instant::now() < deadline {
        check_stop(stop)?;
        for target in resolve(process, address)? {
            let outcome = TcpStream::connect_timeout(&target, Duration::from_secs(2));
            match outcome.map_err(Refusal::from).and_then(|stream| {
                greet(&stream, cluster.key(), purpose, claims)?;
                Ok(stream)
            }) {
                Ok(stream) => return Ok(stream),
                Err(Refusal::Broken(reason)) => last = reason,
                Err(Refusal::Secret) => {
                    return Err(Error::invalid(format!("{} has another secret", cluster.name(process)))
                        .with_hint("set MILLPOND_SECRET to the same text for all processes"));
                }
                Err(Refusal::Mismatch(error)) => return Err(error),
            }
        }
        thread::sleep(PAUSE);
    }
    Err(Error::unavailable(format!("cannot reach {}: {last}", cluster.name(process)))
        .with_hint("check that it was started, and that its address is right"))
}

type Arrival = std::result::Result<((usize, Purpose), TcpStream), Refusal>;

/// Waits for connections, on a thread of its own.
struct Listening {
    arrivals: Receiver<Arrival>,
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

fn listen(cluster: &Cluster, claims: Claims) -> Result<Listening> {
    let address = &cluster.addresses[cluster.process];
    let cannot = |error: std::io::Error| {
        Error::unavailable(format!("process {} cannot listen on {address}: {error}", cluster.process))
            .with_hint("give each process a free port of this machine")
    };
    let listener = TcpListener::bind(&*resolve(cluster.process, address)?).map_err(cannot)?;
    listener.set_nonblocking(true).map_err(cannot)?;
    let (send, arrivals) = channel();
    let stop = Arc::new(AtomicBool::new(false));
    let (stopped, key) = (stop.clone(), cluster.key().to_vec());
    let work = move || accept(&listener, &key, &claims, &stopped, &send);
    let thread = thread::Builder::new().name("millpond:listen".to_owned()).spawn(work).map_err(cannot)?;
    Ok(Listening { arrivals, stop, thread: Some(thread) })
}

/// Each connection has a thread until it is known, so that a slow one holds up no other.
fn accept(listener: &TcpListener, key: &[u8], claims: &Claims, stop: &AtomicBool, send: &Sender<Arrival>) {
    while !stop.load(Ordering::Relaxed) {
        let Ok((stream, _)) = listener.accept() else {
            thread::sleep(PAUSE);
            continue;
        };
        let (key, claims, send) = (key.to_vec(), claims.clone(), send.clone());
        let _ = thread::Builder::new().name("millpond:welcome".to_owned()).spawn(move || {
            let _ = send.send(welcome(&stream, &key, &claims).map(|who| (who, stream)));
        });
    }
}

impl Listening {
    fn collect(
        &self,
        cluster: &Cluster,
        expected: &[(usize, Purpose)],
        deadline: Instant,
        stop: &Stop,
        found: &mut BTreeMap<(usize, Purpose), TcpStream>,
    ) -> Result<()> {
        let mut refused = 0;
        loop {
            let Some((missing, _)) = expected.iter().find(|who| !found.contains_key(who)) else { return Ok(()) };
            check_stop(stop)?;
            if Instant::now() >= deadline {
                let wrong = match refused {
                    0 => String::new(),
                    refused => format!("; {refused} connections did not know the secret"),
                };
                let (name, seconds) = (cluster.name(*missing), PATIENCE.as_secs());
                return Err(Error::unavailable(format!("{name} did not connect within {seconds} s{wrong}"))
                    .with_hint("check that it was started, with the same addresses and the same MILLPOND_SECRET"));
            }
            match self.arrivals.recv_timeout(Duration::from_millis(50)) {
                Ok(Ok((who, stream))) if expected.contains(&who) => drop(found.insert(who, stream)),
                Ok(Err(Refusal::Secret)) => refused += 1,
                Ok(Err(Refusal::Mismatch(error))) => return Err(error),
                _ => {}
            }
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().map(thread::JoinHandle::join);
    }
}
