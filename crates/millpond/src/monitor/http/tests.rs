use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use millpond_error::ErrorKind;

use super::*;

/// A hang fails.
const WATCHDOG: Duration = Duration::from_secs(60);

fn server(token: Option<&str>) -> HttpServer {
    let token = token.map(str::to_owned);
    let pages = Pages { monitor: Monitor::default(), overdue: Duration::from_secs(60), token };
    HttpServer::serve("0".parse().unwrap(), pages).unwrap()
}

fn connect(server: &HttpServer) -> TcpStream {
    let stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(WATCHDOG)).unwrap();
    stream
}

/// Sends `request` as it is, and returns all that comes back.
fn ask(server: &HttpServer, request: &str) -> String {
    let mut stream = connect(server);
    // The server may have closed before it has read all.
    let _ = stream.write_all(request.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}

#[track_caller]
fn check(server: &HttpServer, request: &str, status: &str) -> String {
    let answer = ask(server, request);
    assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{request:?}: {answer:?}");
    answer
}

/// That the server closes a connection over which `request` came, without a further word.
#[track_caller]
fn check_closed(server: &HttpServer, request: &str) {
    let answer = ask(server, request);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{request:?}: {answer:?}");
}

#[test]
fn requests_are_answered_by_method_and_path() {
    let server = server(None);
    let answer = check(&server, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", "200 OK");
    assert!(answer.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{answer}");
    let answer = check(&server, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", "200 OK");
    assert!(answer.contains("cache-control: no-store\r\n") && answer.contains("\"status\":\"ok\""), "{answer}");
    let answer = check(&server, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "404 Not Found");
    assert!(answer.ends_with("there is /metrics and /healthz\n"), "{answer}");
    let answer = check(&server, "POST /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", "405 Method Not Allowed");
    assert!(answer.contains("allow: GET, HEAD\r\n"), "{answer}");
    check(&server, "GET / HTTP/1.1\r\n\r\n", "404 Not Found");
    check_closed(&server, "GET /metrics\r\n\r\n");
    check_closed(&server, "\r\n\r\nnonsense\r\n\r\n");
}

#[test]
fn a_head_has_no_body_and_an_old_client_is_heard() {
    let server = server(None);
    let answer = ask(&server, "HEAD /healthz?verbose HTTP/1.0\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n") && answer.ends_with("\r\n\r\n"), "{answer:?}");
}

#[test]
fn a_token_must_be_borne_as_it_is() {
    let server = server(Some("s3cret"));
    let with = |field: &str| format!("GET /metrics HTTP/1.1\r\nHost: here\r\n{field}\r\n\r\n");
    check(&server, &with("Authorization: Bearer s3cret"), "200 OK");
    check(&server, &with("authorization:bearer  s3cret "), "200 OK");
    for field in [
        "Accept: */*",
        "Authorization: Bearer s3cre",
        "Authorization: Bearer s3cretx",
        "Authorization: Bearer s3creT",
        "Authorization: Bearers3cret",
        "Authorization: Bearer",
        "Authorization: s3cret",
    ] {
        let answer = check(&server, &with(field), "401 Unauthorized");
        assert!(answer.contains("www-authenticate: Bearer\r\n"), "{answer}");
    }
}

#[test]
fn a_token_is_looked_at_before_the_body_has_come() {
    let server = server(Some("s3cret"));
    check(&server, "POST /metrics HTTP/1.1\r\nHost: here\r\nContent-Length: 1000000\r\n\r\n", "401 Unauthorized");
}

#[test]
fn without_a_token_only_this_machine_is_asked_for() {
    let open = server(None);
    let with = |host: &str| format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let here =
        ["localhost", "LocalHost:1", "localhost.", "127.0.0.1", "127.0.0.1:65535", "127.8.9.1", "[::1]", "[::1]:80"];
    for host in here {
        check(&open, &with(host), "200 OK");
    }
    let elsewhere = [
        "evil.example",
        "evil.example:20000",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil@localhost.example",
        "0.0.0.0",
        "192.168.0.1",
        "[::2]",
        "::1",
        "",
        "local host",
    ];
    for host in elsewhere {
        check(&open, &with(host), "421 Misdirected Request");
    }
    check(&open, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", "421 Misdirected Request");
    check(&open, "GET http://evil.example/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", "421 Misdirected Request");
    check(&open, "GET http://localhost:1/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", "200 OK");
    let guarded = server(Some("s3cret"));
    check(&guarded, &with("evil.example\r\nAuthorization: Bearer s3cret"), "200 OK");
}

#[test]
fn a_request_is_answered_beside_connections_that_say_nothing() {
    let server = server(None);
    // More than there are places for.
    let silent: Vec<TcpStream> = (0..2 * MOST_CONNECTIONS).map(|_| connect(&server)).collect();
    let half: Vec<TcpStream> = (0..20).map(|_| connect(&server)).collect();
    for mut stream in &half {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: loc").unwrap();
    }
    for _ in 0..10 {
        check(&server, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", "200 OK");
    }
    // They end by themselves, one after the other or all at once.
    for mut stream in silent.iter().chain(&half) {
        let _ = stream.read_to_end(&mut Vec::new());
    }
}

#[test]
fn a_request_that_never_ends_is_cut_off() {
    let server = server(None);
    let mut stream = connect(&server);
    let began = Instant::now();
    stream.write_all(b"GET /healthz HTTP/1.1\r\n").unwrap();
    while stream.write_all(b"X: y\r\n").is_ok() {
        thread::sleep(Duration::from_millis(50));
        assert!(began.elapsed() < WATCHDOG, "it may go on for ever");
    }
}

#[test]
fn a_long_head_is_refused() {
    let server = server(None);
    let long = "x".repeat(4 * REQUEST_BYTES);
    check(&server, &format!("GET /healthz HTTP/1.1\r\nX: {long}\r\n\r\n"), "431 Request Header Fields Too Large");
    let many = "X: y\r\n".repeat(MOST_HEADERS + 1);
    check(&server, &format!("GET /healthz HTTP/1.1\r\n{many}\r\n"), "431 Request Header Fields Too Large");
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
        HttpServer::start(address.parse()?, Monitor::default(), Duration::from_secs(60)).map(|server| server.address())
    };
    let address = start("0").unwrap().to_string();
    assert!(TcpStream::connect(&address).is_err());
    assert!(start(&address).is_ok(), "the port is free again");
}

#[test]
fn a_server_ends_while_clients_are_connected() {
    let server = server(None);
    let mut silent = connect(&server);
    drop(server);
    assert_eq!(silent.read(&mut [0]).unwrap_or(0), 0);
}

#[track_caller]
fn check_error(error: &Error, kind: ErrorKind, text: &str) {
    assert_eq!((error.kind(), error.to_string().as_str()), (kind, text));
}

#[test]
fn an_address_is_a_port_or_a_host_and_a_port() {
    let text = "http_address: \"nowhere\" is not an address\n\
                hint: such as 127.0.0.1:20000, or 20000 for that port of this machine alone, or 0 for any port";
    check_error(&"nowhere".parse::<HttpAddress>().unwrap_err(), ErrorKind::Invalid, text);
    for (address, shown) in [("127.0.0.1:20000", "127.0.0.1:20000"), ("20000", "127.0.0.1:20000"), ("0", "127.0.0.1:0")]
    {
        assert_eq!(address.parse::<HttpAddress>().unwrap().to_string(), shown);
    }
}

#[test]
fn other_machines_are_served_with_a_token_only() {
    let start = |token: Option<&str>, address: &str| {
        let (address, overdue) = (address.parse().unwrap(), Duration::from_secs(60));
        HttpServer::start_with(token.map(str::to_owned), address, Monitor::default(), overdue)
    };
    let text = "http_address: 0.0.0.0:0 can be reached from other machines\n\
                hint: set MILLPOND_HTTP_TOKEN to a secret that requests must bear, or listen on 127.0.0.1";
    for token in [None, Some("")] {
        check_error(&start(token, "0.0.0.0:0").err().unwrap(), ErrorKind::Invalid, text);
    }
    // As the hint says, both ways.
    start(None, "127.0.0.1:0").unwrap();
    let server = start(Some("s3cret"), "0.0.0.0:0").unwrap();
    let there = SocketAddr::new(THIS_MACHINE, server.address().port());
    let mut stream = TcpStream::connect(there).unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let start = |address: &str| {
        HttpServer::start_with(None, address.parse().unwrap(), Monitor::default(), Duration::from_secs(60))
    };
    let error = start(&address.to_string()).err().unwrap();
    let text = format!(
        "http_address: cannot listen on {address}: Address already in use (os error 98)\n\
         hint: choose another port; 0 is any that is free"
    );
    check_error(&error, ErrorKind::Unavailable, &text);
    // As the hint says.
    assert_ne!(start("0").unwrap().address().port(), address.port());
}
