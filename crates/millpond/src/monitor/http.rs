//! A small HTTP/1.1 server that shows the numbers of a run: `/metrics` for Prometheus, `/healthz` for a supervisor.
//!
//! It reads one request of a connection, answers and closes; one connection at a time, each for at most two seconds, of
//! which a request of more than some kilobytes is refused. It listens where it is told; anywhere but on the machine itself
//! only with a token, which a request must then bear: `Authorization: Bearer TOKEN`.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use millpond_error::{Error, Result};
use serde_json::json;

use super::meters::Health;
use super::{Monitor, exposition};

/// The environment variable of the token.
const TOKEN: &str = "MILLPOND_HTTP_TOKEN";
/// Where the server listens if only a port is named, or nothing.
const HOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const PORT: u16 = 20_000;
/// A connection has so much time for its request and for taking the answer.
const PATIENCE: Duration = Duration::from_secs(2);
const REQUEST_BYTES: usize = 8 << 10;

/// Where the server listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpAddress(pub SocketAddr);

impl Default for HttpAddress {
    /// `127.0.0.1:20000`.
    fn default() -> Self {
        HttpAddress(SocketAddr::new(HOST, PORT))
    }
}

impl FromStr for HttpAddress {
    type Err = Error;

    /// Reads `PORT`, `HOST:PORT` or `[HOST]:PORT`; port 0 is any that is free.
    fn from_str(text: &str) -> Result<Self> {
        if let Ok(port) = text.parse() {
            return Ok(HttpAddress(SocketAddr::new(HOST, port)));
        }
        let first = text.to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
        first.map(HttpAddress).ok_or_else(|| {
            Error::invalid(format!("http_address: \"{text}\" is not an address"))
                .with_hint("such as 127.0.0.1:20000, or 20000 for that port of this machine alone, or 0 for any port")
        })
    }
}

impl fmt::Display for HttpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A server that runs until it is dropped.
pub struct HttpServer {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl HttpServer {
    /// Starts to serve what `monitor` sees, with the token of the environment. Results that wait for a checkpoint longer
    /// than `overdue` are a failure.
    pub fn start(address: HttpAddress, monitor: Monitor, overdue: Duration) -> Result<Self> {
        let token = std::env::var(TOKEN).ok().filter(|token| !token.is_empty());
        if token.is_none() && !address.0.ip().to_canonical().is_loopback() {
            return Err(Error::invalid(format!("http_address: {address} can be reached from other machines"))
                .with_hint(format!("set {TOKEN} to a secret that requests must bear, or listen on 127.0.0.1")));
        }
        let failed = |error: io::Error| {
            Error::unavailable(format!("http_address: cannot listen on {address}: {error}"))
                .with_hint("choose another port; 0 is any that is free")
        };
        let listener = TcpListener::bind(address.0).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let stop = Arc::new(AtomicBool::new(false));
        let pages = Pages { monitor, overdue, token };
        let stopped = stop.clone();
        let serve = move || {
            for connection in listener.incoming() {
                if stopped.load(Ordering::Acquire) {
                    return;
                }
                match connection {
                    // A client that goes away has no answer.
                    Ok(connection) => drop(pages.answer(connection)),
                    // Such as too many open files: it may get better.
                    Err(_) => thread::sleep(Duration::from_millis(50)),
                }
            }
        };
        let thread = thread::Builder::new().name("http".to_owned()).spawn(serve).map_err(failed)?;
        Ok(HttpServer { address, stop, thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        let here = match self.address.ip() {
            ip if !ip.is_unspecified() => ip,
            IpAddr::V4(_) => HOST,
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        };
        // Ends its wait for a connection.
        let woken = TcpStream::connect_timeout(&SocketAddr::new(here, self.address.port()), PATIENCE);
        if let (Ok(_), Some(thread)) = (woken, self.thread.take()) {
            let _ = thread.join();
        }
    }
}

/// What the server shows.
struct Pages {
    monitor: Monitor,
    overdue: Duration,
    token: Option<String>,
}

struct Answer {
    status: &'static str,
    content_type: &'static str,
    body: String,
}

impl Answer {
    fn plain(status: &'static str, body: &str) -> Self {
        Answer { status, content_type: "text/plain; charset=utf-8", body: format!("{body}\n") }
    }
}

impl Pages {
    fn answer(&self, mut connection: TcpStream) -> io::Result<()> {
        connection.set_write_timeout(Some(PATIENCE))?;
        let Some(request) = read_request(&mut connection)? else { return Ok(()) };
        let answer = self.answer_to(&request);
        let Answer { status, content_type, body } = &answer;
        let challenge = if status.starts_with("401") { "WWW-Authenticate: Bearer\r\n" } else { "" };
        let allow = if status.starts_with("405") { "Allow: GET, HEAD\r\n" } else { "" };
        let length = body.len();
        let mut text = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n{challenge}{allow}\
             Cache-Control: no-store\r\nConnection: close\r\n\r\n"
        );
        if !request.starts_with("HEAD ") {
            text.push_str(body);
        }
        connection.write_all(text.as_bytes())
    }

    fn answer_to(&self, request: &str) -> Answer {
        let mut lines = request.split("\r\n");
        let mut first = lines.next().unwrap_or_default().split(' ');
        let (Some(method), Some(target), Some("HTTP/1.1" | "HTTP/1.0")) = (first.next(), first.next(), first.next())
        else {
            return Answer::plain("400 Bad Request", "this is not a request of HTTP/1.1");
        };
        if !self.is_allowed(lines) {
            return Answer::plain("401 Unauthorized", "a token is needed");
        }
        if !matches!(method, "GET" | "HEAD") {
            return Answer::plain("405 Method Not Allowed", "only GET and HEAD");
        }
        match target.split('?').next() {
            Some("/metrics") => {
                let body = self.monitor.snapshot().map(|seen| exposition::text(&seen)).unwrap_or_default();
                Answer { status: "200 OK", content_type: exposition::CONTENT_TYPE, body }
            }
            Some("/healthz") => self.health(),
            _ => Answer::plain("404 Not Found", "there is /metrics and /healthz"),
        }
    }

    /// Whether the headers bear the token, if there is one.
    fn is_allowed<'a>(&self, headers: impl Iterator<Item = &'a str>) -> bool {
        let Some(token) = &self.token else { return true };
        let mut fields = headers.filter_map(|line| line.split_once(':'));
        let field = fields.find(|(name, _)| name.eq_ignore_ascii_case("authorization"));
        let borne = field.and_then(|(_, value)| value.trim().split_once(' '));
        borne.is_some_and(|(scheme, borne)| {
            scheme.eq_ignore_ascii_case("bearer") && is_equal(borne.trim().as_bytes(), token.as_bytes())
        })
    }

    fn health(&self) -> Answer {
        let meters = self.monitor.meters();
        let Health { unsaved, checkpoint_age } = meters.as_ref().map(|meters| meters.health()).unwrap_or_default();
        let overdue = unsaved.filter(|unsaved| *unsaved > self.overdue);
        let run = meters.map(|meters| meters.snapshot().run);
        let body = json!({
            "status": if overdue.is_some() { "failing" } else { "ok" },
            "reason": overdue.map(|unsaved| format!("nothing was saved for {:.0} s", unsaved.as_secs_f64())),
            "epoch": run.as_ref().and_then(|run| run.epoch),
            "lag_s": run.as_ref().map(|run| run.lag_s),
            "last_checkpoint_age_s": checkpoint_age.map(|age| age.as_secs_f64()),
        });
        let status = if overdue.is_some() { "503 Service Unavailable" } else { "200 OK" };
        Answer { status, content_type: "application/json", body: format!("{body}\n") }
    }
}

/// The request up to the end of its headers; `None` if it is too long, too slow, or cut off.
fn read_request(connection: &mut TcpStream) -> io::Result<Option<String>> {
    let deadline = Instant::now() + PATIENCE;
    let mut request = Vec::new();
    let mut part = [0; 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || request.len() > REQUEST_BYTES {
            return Ok(None);
        }
        connection.set_read_timeout(Some(left))?;
        match connection.read(&mut part)? {
            0 => return Ok(None),
            length => request.extend_from_slice(&part[..length]),
        }
    }
    Ok(String::from_utf8(request).ok())
}

/// Compares in a time that does not tell where the first difference is.
fn is_equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |different, (a, b)| different | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(token: Option<&str>) -> Pages {
        let token = token.map(str::to_owned);
        Pages { monitor: Monitor::default(), overdue: Duration::from_secs(60), token }
    }

    #[track_caller]
    fn check(token: Option<&str>, request: &str, status: &str) {
        assert_eq!(pages(token).answer_to(request).status, status, "{request:?}");
    }

    #[test]
    fn requests_are_answered_by_method_and_path() {
        check(None, "GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n", "200 OK");
        check(None, "HEAD /healthz?verbose HTTP/1.0\r\n\r\n", "200 OK");
        check(None, "GET / HTTP/1.1\r\n\r\n", "404 Not Found");
        check(None, "POST /metrics HTTP/1.1\r\n\r\n", "405 Method Not Allowed");
        check(None, "GET /metrics\r\n\r\n", "400 Bad Request");
        check(None, "\r\n\r\n", "400 Bad Request");
    }

    #[test]
    fn a_token_must_be_borne_as_it_is() {
        let with = |field: &str| format!("GET /metrics HTTP/1.1\r\nHost: here\r\n{field}\r\n\r\n");
        check(Some("s3cret"), &with("Authorization: Bearer s3cret"), "200 OK");
        check(Some("s3cret"), &with("authorization:bearer  s3cret "), "200 OK");
        for field in
            ["Accept: */*", "Authorization: Bearer s3cre", "Authorization: Bearer s3creT", "Authorization: s3cret"]
        {
            check(Some("s3cret"), &with(field), "401 Unauthorized");
        }
    }

    #[test]
    fn an_address_is_a_port_of_this_machine_or_all_of_it() {
        let parse = |text: &str| text.parse::<HttpAddress>().map(|address| address.to_string());
        assert_eq!(parse("0").unwrap(), "127.0.0.1:0");
        assert_eq!(parse("0.0.0.0:9000").unwrap(), "0.0.0.0:9000");
        assert_eq!(parse("[::1]:9000").unwrap(), "[::1]:9000");
        let error = parse("nowhere").unwrap_err();
        assert!(error.message().contains("\"nowhere\" is not an address"), "{error}");
    }

    #[test]
    fn a_server_ends_when_it_is_dropped() {
        let start = |address: &str| {
            HttpServer::start(address.parse()?, Monitor::default(), Duration::from_secs(60))
                .map(|server| server.address())
        };
        let address = start("0").unwrap().to_string();
        assert!(TcpStream::connect(&address).is_err());
        assert!(start(&address).is_ok(), "the port is free again");
    }
}
