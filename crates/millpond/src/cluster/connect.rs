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
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(1);

/// The connections of one process.
pub(crate) struct Connected {
    pub cluster: Cluster,
    /// For the dataflow, by process; `None` for this one.
    pub data: Vec<Option<TcpStream>>,
    /// Of process 0 to all others, and of these to process 0.
    pub control: Vec<Option<TcpStream>>,
}

impl Connected {
    /// What messages call a process.
    pub(crate) fn name(&self, process: usize) -> String {
        self.cluster.name(process)
    }
}

/// Connects to all other processes. `threads` and `program` are what the others must have, too.
pub(crate) fn connect(cluster: &Cluster, threads: usize, program: u64, saves: bool, stop: &Stop) -> Result<Connected> {
    let claims = Claims {
        process: cluster.process,
        processes: cluster.processes(),
        threads,
        engine: env!("CARGO_PKG_VERSION").to_owned(),
        program,
        saves,
    };
    let deadline = Instant::now() + CONNECT_TIMEOUT;
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
    loop {
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
        if Instant::now() >= deadline {
            return Err(Error::unavailable(format!("cannot reach {}: {last}", cluster.name(process)))
                .with_hint("check that it was started, and that its address is right"));
        }
        thread::sleep(PAUSE);
    }
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
                    1 => "; one connection did not know the secret".to_owned(),
                    refused => format!("; {refused} connections did not know the secret"),
                };
                let (name, seconds) = (cluster.name(*missing), CONNECT_TIMEOUT.as_secs());
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

#[cfg(test)]
mod tests {
    use millpond_error::ErrorKind;

    use super::*;

    /// Process `process` of two at these addresses.
    fn cluster(process: usize, addresses: &[String; 2], secret: &str) -> Cluster {
        Cluster::new(process, addresses.to_vec(), Some(secret.to_owned())).expect("a cluster")
    }

    fn claims(process: usize) -> Claims {
        Claims { process, processes: 2, threads: 1, engine: "1".to_owned(), program: 7, saves: false }
    }

    /// Two addresses that are free now.
    fn addresses() -> [String; 2] {
        let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
        listeners.map(|listener| listener.local_addr().expect("an address").to_string())
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(300)
    }

    fn later() -> Instant {
        Instant::now() + CONNECT_TIMEOUT
    }

    #[track_caller]
    fn check<T>(outcome: Result<T>, kind: ErrorKind, text: &str) {
        let error = outcome.err().expect("an error");
        assert_eq!((error.kind(), error.to_string().as_str()), (kind, text));
    }

    fn reached(cluster: &Cluster, deadline: Instant) -> Result<TcpStream> {
        reach(cluster, 0, Purpose::Data, &claims(1), deadline, &Stop::default())
    }

    fn collected(listening: &Listening, cluster: &Cluster, deadline: Instant) -> Result<()> {
        let expected = [(1, Purpose::Data)];
        listening.collect(cluster, &expected, deadline, &Stop::default(), &mut BTreeMap::new())
    }

    #[test]
    fn a_process_that_is_not_there_is_named() {
        let addresses = addresses();
        let (first, second) = (cluster(0, &addresses, "sesame"), cluster(1, &addresses, "sesame"));
        let text = format!(
            "cannot reach process 0 ({}): Connection refused (os error 111)\n\
             hint: check that it was started, and that its address is right",
            addresses[0]
        );
        check(reached(&second, Instant::now()), ErrorKind::Unavailable, &text);
        let listening = listen(&first, claims(0)).expect("a free port");
        let text = format!(
            "process 1 ({}) did not connect within 30 s\n\
             hint: check that it was started, with the same addresses and the same MILLPOND_SECRET",
            addresses[1]
        );
        check(collected(&listening, &first, soon()), ErrorKind::Unavailable, &text);
        // Once both are started, they find each other.
        thread::scope(|scope| {
            scope.spawn(|| reached(&second, later()).expect("process 0 is there"));
            collected(&listening, &first, later()).expect("process 1 is there");
        });
    }

    #[test]
    fn a_process_with_another_secret_is_not_let_in() {
        let addresses = addresses();
        let (first, second) = (cluster(0, &addresses, "sesame"), cluster(1, &addresses, "sesam"));
        let listening = listen(&first, claims(0)).expect("a free port");
        let text = format!(
            "process 0 ({}) has another secret\nhint: set MILLPOND_SECRET to the same text for all processes",
            addresses[0]
        );
        for (times, refused) in [(1, "one connection"), (2, "2 connections")] {
            (0..times).for_each(|_| check(reached(&second, later()), ErrorKind::Invalid, &text));
            let text = format!(
                "process 1 ({}) did not connect within 30 s; {refused} did not know the secret\n\
                 hint: check that it was started, with the same addresses and the same MILLPOND_SECRET",
                addresses[1]
            );
            check(collected(&listening, &first, soon()), ErrorKind::Unavailable, &text);
        }
        // With the same text they find each other.
        let second = cluster(1, &addresses, "sesame");
        thread::scope(|scope| {
            scope.spawn(|| reached(&second, later()).expect("process 0 lets it in"));
            collected(&listening, &first, later()).expect("process 1 knows the secret");
        });
    }

    #[test]
    fn a_port_that_is_taken_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
        let addresses = [taken.local_addr().expect("an address").to_string(), addresses()[1].clone()];
        let text = format!(
            "process 0 cannot listen on {}: Address already in use (os error 98)\n\
             hint: give each process a free port of this machine",
            addresses[0]
        );
        check(listen(&cluster(0, &addresses, ""), claims(0)), ErrorKind::Unavailable, &text);
        drop(taken);
        listen(&cluster(0, &addresses, ""), claims(0)).expect("a free port");
    }

    #[test]
    fn who_waits_for_others_can_be_stopped() {
        let (stop, addresses) = (Stop::default(), addresses());
        stop.request();
        let second = cluster(1, &addresses, "");
        let outcome = reach(&second, 0, Purpose::Data, &claims(1), later(), &stop);
        check(outcome, ErrorKind::Interrupted, "stopped on request before the run began");
    }
}
