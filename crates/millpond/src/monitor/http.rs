//! A small HTTP/1.1 server that shows the numbers of a run: `/metrics` for Prometheus, `/healthz` for a supervisor.
//!
//! `hyper` reads and writes, on one thread. Connections are served side by side, one request each. What a client can
//! take up is bounded: so many connections, so many bytes and so much time for the head of its request, so much time in
//! all. When all places are taken the connection that came first makes room, since whoever asks is answered at once,
//! and the one that has waited longest has said nothing. A body is never read.
//!
//! The server listens where it is told; anywhere but on the machine itself only with a token, which a request must then
//! bear: `Authorization: Bearer TOKEN`. Without a token a request must be for this machine by name (`Host`): a page in
//! a browser that has its own name lead here (DNS rebinding) reads nothing.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::str::FromStr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{
    ALLOW, AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, WWW_AUTHENTICATE,
};
use hyper::http::uri::Authority;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::{TokioIo, TokioTimer};
use millpond_error::{Error, Result};
use serde_json::json;
use subtle::ConstantTimeEq;
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

use super::meters::Health;
use super::{Monitor, exposition};

/// The environment variable of the token.
const TOKEN: &str = "MILLPOND_HTTP_TOKEN";
/// Where the server listens if only a port is named, or nothing.
const THIS_MACHINE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const PORT: u16 = 20_000;
/// As many connections as many scrapers would need, and few enough never to use up the open files of the process.
const MOST_CONNECTIONS: usize = 64;
/// The least buffer that `hyper` takes; the head of a request must fit into it.
const REQUEST_BYTES: usize = 8 << 10;
const MOST_HEADERS: usize = 64;
/// From the first byte of a connection to the end of its request's head, or if there is no first byte.
const HEAD_TIMEOUT: Duration = Duration::from_secs(2);
/// From the first byte of a connection to the last one of its answer.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(5);
/// Too many open files, perhaps: it may get better.
const PAUSE: Duration = Duration::from_millis(50);

/// Where the server listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpAddress(pub SocketAddr);

impl Default for HttpAddress {
    /// `127.0.0.1:20000`.
    fn default() -> Self {
        HttpAddress(SocketAddr::new(THIS_MACHINE, PORT))
    }
}

impl FromStr for HttpAddress {
    type Err = Error;

    /// Reads `PORT`, `HOST:PORT` or `[HOST]:PORT`; port 0 is any that is free.
    fn from_str(text: &str) -> Result<Self> {
        if let Ok(port) = text.parse() {
            return Ok(HttpAddress(SocketAddr::new(THIS_MACHINE, port)));
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
pub(crate) struct HttpServer {
    address: SocketAddr,
    /// Dropped to end the thread.
    running: Option<oneshot::Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

impl HttpServer {
    /// Starts to serve what `monitor` sees, with the token of the environment. Results that wait for a checkpoint
    /// longer than `overdue` are a failure.
    pub(crate) fn start(address: HttpAddress, monitor: Monitor, overdue: Duration) -> Result<Self> {
        HttpServer::start_with(std::env::var(TOKEN).ok(), address, monitor, overdue)
    }

    /// As [`HttpServer::start`], with the token of the caller.
    fn start_with(token: Option<String>, address: HttpAddress, monitor: Monitor, overdue: Duration) -> Result<Self> {
        let token = token.filter(|token| !token.is_empty());
        if token.is_none() && !is_this_machine(address.0.ip()) {
            return Err(Error::invalid(format!("http_address: {address} can be reached from other machines"))
                .with_hint(format!("set {TOKEN} to a secret that requests must bear, or listen on 127.0.0.1")));
        }
        HttpServer::serve(address, Pages { monitor, overdue, token })
    }

    fn serve(address: HttpAddress, pages: Pages) -> Result<Self> {
        let failed = |error: io::Error| {
            Error::unavailable(format!("http_address: cannot listen on {address}: {error}"))
                .with_hint("choose another port; 0 is any that is free")
        };
        let listener = TcpListener::bind(address.0).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener).map_err(failed)?
        };
        let (running, ended) = oneshot::channel::<Infallible>();
        let serve = move || {
            runtime.spawn(accept(listener, Arc::new(pages)));
            // What is still open ends with the runtime.
            let _ = runtime.block_on(ended);
        };
        let thread = thread::Builder::new().name("http".to_owned()).spawn(serve).map_err(failed)?;
        Ok(HttpServer { address, running: Some(running), thread: Some(thread) })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.running = None;
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Takes connections for ever, and serves each beside the others.
async fn accept(listener: tokio::net::TcpListener, pages: Arc<Pages>) {
    let mut connections = JoinSet::new();
    let mut oldest_first: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(_) => {
                sleep(PAUSE).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        oldest_first.retain(|connection| !connection.is_finished());
        if oldest_first.len() >= MOST_CONNECTIONS
            && let Some(oldest) = oldest_first.pop_front()
        {
            oldest.abort();
        }
        oldest_first.push_back(connections.spawn(serve_one(stream, pages.clone())));
    }
}

/// Answers one request.
async fn serve_one(stream: TcpStream, pages: Arc<Pages>) {
    let answer = |request: Request<_>| {
        // The body, if there is one, is still to come.
        let response = pages.answer(&request);
        async { Ok::<_, Infallible>(response) }
    };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(REQUEST_BYTES)
        .max_headers(MOST_HEADERS)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service_fn(answer));
    // A client that goes away, is too slow or speaks otherwise has no answer, or the one that `hyper` gives.
    let _ = timeout(CONNECTION_TIMEOUT, connection).await;
}

/// Whether only this machine can reach the address.
fn is_this_machine(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

/// What the server shows.
struct Pages {
    monitor: Monitor,
    overdue: Duration,
    token: Option<String>,
}

/// Status, content type, text.
struct Answer(StatusCode, &'static str, String);

impl Answer {
    fn plain(status: StatusCode, body: &str) -> Self {
        Answer(status, "text/plain; charset=utf-8", format!("{body}\n"))
    }
}

impl Pages {
    fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let Answer(status, content_type, text) = self.answer_to(request.method(), request.uri(), request.headers());
        let mut response = Response::new(Full::new(Bytes::from(text)));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        response
    }

    fn answer_to(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Answer {
        match &self.token {
            Some(token) if !bears(headers, token) => {
                return Answer::plain(StatusCode::UNAUTHORIZED, "a token is needed");
            }
            None if !is_for_this_machine(uri, headers) => {
                let reason = "this is not a name of this machine: ask for localhost or 127.0.0.1, or set a token in";
                return Answer::plain(StatusCode::MISDIRECTED_REQUEST, &format!("{reason} {TOKEN}"));
            }
            _ => {}
        }
        if !matches!(*method, Method::GET | Method::HEAD) {
            return Answer::plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD");
        }
        match uri.path() {
            "/metrics" => {
                let text = self.monitor.snapshot().map(|seen| exposition::text(&seen)).unwrap_or_default();
                Answer(StatusCode::OK, exposition::CONTENT_TYPE, text)
            }
            "/healthz" => self.health(),
            _ => Answer::plain(StatusCode::NOT_FOUND, "there is /metrics and /healthz"),
        }
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
        let status = if overdue.is_some() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
        Answer(status, "application/json", format!("{body}\n"))
    }
}

/// Whether the headers bear the token.
fn bears(headers: &HeaderMap, token: &str) -> bool {
    let field = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
    let Some((scheme, borne)) = field.split_at_checked(6) else { return false };
    let is_apart = borne.first().is_some_and(u8::is_ascii_whitespace);
    // The time that it takes tells how long the token is, and nothing else.
    scheme.eq_ignore_ascii_case(b"bearer") && is_apart && bool::from(borne.trim_ascii().ct_eq(token.as_bytes()))
}

/// Whether every name that the request has for this server leads here by itself. A request without one comes from no
/// browser.
fn is_for_this_machine(uri: &Uri, headers: &HeaderMap) -> bool {
    let hosts = headers.get_all(HOST).iter().map(|host| Authority::try_from(host.as_bytes()).ok());
    hosts.chain(uri.authority().cloned().map(Some)).all(|authority| {
        authority.is_some_and(|authority| {
            let host = authority.host();
            let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
            let is_name = host.strip_suffix('.').unwrap_or(host).eq_ignore_ascii_case("localhost");
            is_name || literal.parse().is_ok_and(is_this_machine)
        })
    })
}

#[cfg(test)]
mod tests;
