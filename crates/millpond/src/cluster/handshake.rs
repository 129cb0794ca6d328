//! The first words on a connection: proof of the secret, then a comparison of what both ends are about to run.
//!
//! Each end sends 32 random bytes and answers with an HMAC over those of both, so that neither an old answer nor the
//! other's own one will do, and the secret itself is never sent.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use millpond_error::Error;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::message::{read_frame, write_frame};

const MAGIC: &[u8; 16] = b"millpond run 1\r\n";
const NONCE: usize = 32;
/// How long one end waits for a word of the other.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Purpose {
    /// Packets of the dataflow.
    Data,
    /// What process 0 asks for, and the answers.
    Control,
}

/// What a process is about to run; all but the number must be the same for all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    pub process: usize,
    pub processes: usize,
    pub threads: usize,
    pub engine: String,
    pub program: u64,
    pub saves: bool,
}

impl Claims {
    /// What is wrong between this process and the other.
    fn difference(&self, other: &Claims) -> Option<String> {
        let (a, b) = (self.process, other.process);
        let differ = |what: &str, mine: &dyn std::fmt::Display, theirs: &dyn std::fmt::Display| {
            format!("process {a} runs {mine} {what} and process {b} runs {theirs}")
        };
        if self.engine != other.engine {
            return Some(format!("process {a} is Millpond {} and process {b} is {}", self.engine, other.engine));
        }
        if self.processes != other.processes {
            return Some(format!(
                "process {a} is one of {} processes and process {b} one of {}",
                self.processes, other.processes
            ));
        }
        if self.threads != other.threads {
            return Some(differ("threads", &self.threads, &other.threads));
        }
        if self.program != other.program {
            return Some(format!("process {a} and process {b} run different programs"));
        }
        if self.saves != other.saves {
            return Some(format!("of process {a} and process {b} only one saves its state"));
        }
        None
    }
}

#[derive(Serialize, Deserialize)]
struct Hello {
    claims: Claims,
    purpose: Purpose,
}

/// Why a connection came to nothing.
pub(crate) enum Refusal {
    /// It broke, or the other end is no process of a run: worth another try.
    Broken(String),
    /// The other end does not know the secret.
    Secret,
    /// The two do not fit together.
    Mismatch(Error),
}

impl From<std::io::Error> for Refusal {
    fn from(error: std::io::Error) -> Self {
        Refusal::Broken(error.to_string())
    }
}

type Outcome<T> = std::result::Result<T, Refusal>;

fn prepare(stream: &TcpStream) -> Outcome<()> {
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(HANDSHAKE_TIMEOUT))?;
    Ok(stream.set_write_timeout(Some(HANDSHAKE_TIMEOUT))?)
}

fn configure_socket(stream: &TcpStream) -> Outcome<()> {
    // A machine that is gone without a word is noticed after half a minute.
    let _ = rustix::net::sockopt::set_socket_keepalive(stream, true);
    let _ = rustix::net::sockopt::set_tcp_keepidle(stream, Duration::from_secs(10));
    let _ = rustix::net::sockopt::set_tcp_keepintvl(stream, Duration::from_secs(5));
    let _ = rustix::net::sockopt::set_tcp_keepcnt(stream, 4);
    stream.set_read_timeout(None)?;
    Ok(stream.set_write_timeout(None)?)
}

/// As the end that connects, to `server`.
pub(crate) fn greet(mut stream: &TcpStream, key: &[u8], purpose: Purpose, claims: &Claims) -> Outcome<()> {
    prepare(stream)?;
    let own = nonce()?;
    stream.write_all(MAGIC)?;
    stream.write_all(&own)?;
    let other = read_nonce(stream)?;
    stream.write_all(&mac(key, b"client", &own, &other).finalize().into_bytes())?;
    let mut verdict = [0; 1];
    stream.read_exact(&mut verdict)?;
    if verdict != [1] {
        return Err(Refusal::Secret);
    }
    check_proof(stream, mac(key, b"server", &own, &other))?;
    write_frame(&mut stream, &Hello { claims: claims.clone(), purpose }, &[]).map_err(broken)?;
    let theirs = read_frame::<Claims>(&mut stream).map_err(broken)?;
    match theirs.difference(claims) {
        Some(what) => Err(Refusal::Mismatch(Error::invalid(what).with_hint(MISMATCH_HINT))),
        None => configure_socket(stream),
    }
}

const MISMATCH_HINT: &str = "all processes must run the same program with the same options and version; \
                             MILLPOND_WORKERS sets the number of threads";

/// As the end that was connected to; returns who the other is.
pub(crate) fn welcome(mut stream: &TcpStream, key: &[u8], claims: &Claims) -> Outcome<(usize, Purpose)> {
    prepare(stream)?;
    let other = read_nonce(stream)?;
    let own = nonce()?;
    stream.write_all(MAGIC)?;
    stream.write_all(&own)?;
    if check_proof(stream, mac(key, b"client", &other, &own)).is_err() {
        let _ = stream.write_all(&[0]);
        return Err(Refusal::Secret);
    }
    stream.write_all(&[1])?;
    stream.write_all(&mac(key, b"server", &other, &own).finalize().into_bytes())?;
    let hello = read_frame::<Hello>(&mut stream).map_err(broken)?;
    write_frame(&mut stream, claims, &[]).map_err(broken)?;
    match claims.difference(&hello.claims) {
        Some(what) => Err(Refusal::Mismatch(Error::invalid(what).with_hint(MISMATCH_HINT))),
        None => configure_socket(stream).map(|()| (hello.claims.process, hello.purpose)),
    }
}

fn broken(error: Error) -> Refusal {
    Refusal::Broken(error.message().to_owned())
}

fn nonce() -> Outcome<[u8; NONCE]> {
    let mut bytes = [0; NONCE];
    let mut filled = 0;
    while filled < NONCE {
        let got = rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty());
        filled += got.map_err(|error| Refusal::Broken(format!("no random numbers: {error}")))?;
    }
    Ok(bytes)
}

fn read_nonce(mut stream: &TcpStream) -> Outcome<[u8; NONCE]> {
    let mut magic = [0; MAGIC.len()];
    stream.read_exact(&mut magic)?;
    if magic != *MAGIC {
        return Err(Refusal::Broken("another kind of program is there".to_owned()));
    }
    let mut bytes = [0; NONCE];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn mac(key: &[u8], role: &[u8], client: &[u8], server: &[u8]) -> Hmac<Sha256> {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("an HMAC takes keys of any length");
    [role, client, server].iter().for_each(|part| mac.update(part));
    mac
}

/// Compares in a time that does not depend on the bytes.
fn check_proof(mut stream: &TcpStream, expected: Hmac<Sha256>) -> Outcome<()> {
    let mut proof = [0; 32];
    stream.read_exact(&mut proof)?;
    expected.verify_slice(&proof).map_err(|_| Refusal::Secret)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use millpond_error::ErrorKind;

    use super::*;

    fn claims(process: usize) -> Claims {
        Claims { process, processes: 2, threads: 1, engine: "1".to_owned(), program: 7, saves: false }
    }

    /// What comes of both ends: the one that listens, which is process 0, and the one that connects.
    fn meet(second: &Claims) -> (Outcome<(usize, Purpose)>, Outcome<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        std::thread::scope(|scope| {
            let first = scope.spawn(move || welcome(&listener.accept().expect("a connection").0, b"", &claims(0)));
            let second = greet(&TcpStream::connect(address).expect("a connection"), b"", Purpose::Data, second);
            (first.join().expect("no panic"), second)
        })
    }

    #[test]
    fn what_two_processes_run_differently_is_named_to_both() {
        let others = [
            (Claims { engine: "2".to_owned(), ..claims(1) }, "process 0 is Millpond 1 and process 1 is 2"),
            (Claims { processes: 3, ..claims(1) }, "process 0 is one of 2 processes and process 1 one of 3"),
            (Claims { threads: 4, ..claims(1) }, "process 0 runs 1 threads and process 1 runs 4"),
            (Claims { program: 8, ..claims(1) }, "process 0 and process 1 run different programs"),
            (Claims { saves: true, ..claims(1) }, "of process 0 and process 1 only one saves its state"),
        ];
        for (other, what) in others {
            let (first, second) = meet(&other);
            for refusal in [first.err(), second.err()] {
                let Some(Refusal::Mismatch(error)) = refusal else { panic!("{what}: they do not fit together") };
                let text = format!("{what}\nhint: {MISMATCH_HINT}");
                assert_eq!((error.kind(), error.to_string()), (ErrorKind::Invalid, text));
            }
        }
        let (first, second) = meet(&claims(1));
        assert!(first.is_ok_and(|who| who == (1, Purpose::Data)) && second.is_ok());
    }
}
