//! A process whose partner says what no process of this version says, or nothing any more: the error names the partner
//! and what came of it, and nothing is committed.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;
use std::{fs, thread};

use millpond_columns::types::Type;
use millpond_engine::wire::MISFIT_HINT;
use millpond_error::{ErrorKind, Origin};
use millpond_plan::{OnError, SinkDecl, lower};
use tempfile::TempDir;

use super::*;
use crate::cluster::AGAIN_HINT;
use crate::cluster::handshake::{Claims, Purpose, greet, welcome};
use crate::cluster::message::{FrameReader, Reply, WireError, write_frame};
use crate::options::RunOptions;
use crate::output::Output as Declared;
use crate::{csv, run as run_program};

/// A program of two processes: process 0 is at the listener's address.
struct Program {
    folder: TempDir,
    addresses: Vec<String>,
}

impl Program {
    /// Over a file of so many rows.
    fn new(rows: usize) -> (Program, TcpListener) {
        let folder = tempfile::tempdir().unwrap();
        let text: String = (0..rows).map(|row| format!("user {row},{row}\n")).collect();
        fs::create_dir(folder.path().join("logs")).unwrap();
        fs::write(folder.path().join("logs/a.csv"), format!("user,at\n{text}")).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addresses = vec![listener.local_addr().unwrap().to_string(), "127.0.0.1:1".to_owned()];
        (Program { folder, addresses }, listener)
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn output(&self) -> Declared {
        let visits = csv::read(self.path("logs"), [("user", Type::Str), ("at", Type::Int)]).name("visits").table();
        csv::write(&visits.groupby(["user"]).reduce([("n", crate::count())]), self.path("out.csv"))
    }

    fn claims(&self, process: usize) -> Claims {
        let program = lower(vec![self.output().declare().unwrap()], OnError::default()).unwrap().fingerprint();
        let engine = env!("CARGO_PKG_VERSION").to_owned();
        Claims { process, processes: 2, threads: 1, engine, program, saves: false }
    }

    fn run(&self, process: usize) -> Result<Summary> {
        let cluster = Cluster::new(process, self.addresses.clone(), None).unwrap();
        let options = RunOptions { cluster: Some(cluster), ..RunOptions::default().quiet().workers(1) };
        run_program([self.output()], &options)
    }

    fn name(&self, process: usize) -> String {
        format!("process {process} ({})", self.addresses[process])
    }

    #[track_caller]
    fn check(&self, outcome: Result<Summary>, kind: ErrorKind, text: &str) {
        let error = outcome.unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (kind, text));
        assert!(!Path::new(&self.path("out.csv")).exists(), "nothing is committed");
    }
}

/// A connection for orders and answers, and what is left to do with the one for rows: to close it.
struct Partner {
    control: TcpStream,
    _data: TcpStream,
}

impl Partner {
    fn say<M: serde::Serialize>(&mut self, message: &M, bytes: &[u8]) {
        write_frame(&mut self.control, message, bytes).unwrap();
    }

    /// Hears until `wanted` finds what it waits for.
    fn hear<M: serde::de::DeserializeOwned, T>(&mut self, wanted: impl Fn(M, &[u8]) -> Option<T>) -> T {
        let mut frames = FrameReader::new(self.control.try_clone().unwrap());
        loop {
            let (message, bytes) = frames.next().unwrap();
            if let Some(found) = wanted(message, bytes) {
                return found;
            }
        }
    }
}

/// What comes of process 1 where process 0 does `lead` and is gone.
fn led(program: &Program, listener: &TcpListener, lead: impl FnOnce(Partner) + Send) -> Result<Summary> {
    thread::scope(|scope| {
        let follower = scope.spawn(|| program.run(1));
        let accept = || {
            let stream = listener.accept().unwrap().0;
            let Ok((1, purpose)) = welcome(&stream, b"", &program.claims(0)) else { panic!("it is the same program") };
            (purpose, stream)
        };
        let connections = [accept(), accept()];
        let [(Purpose::Data, data), (Purpose::Control, control)] = connections else { panic!("rows come first") };
        lead(Partner { control, _data: data });
        follower.join().unwrap()
    })
}

/// What comes of process 0 where process 1 does `follow` and is gone.
fn followed(program: &Program, listener: TcpListener, follow: impl FnOnce(Partner) + Send) -> Result<Summary> {
    drop(listener);
    thread::scope(|scope| {
        let leader = scope.spawn(|| program.run(0));
        let connect = |purpose| {
            let stream = loop {
                match TcpStream::connect(&program.addresses[0]) {
                    Ok(stream) => break stream,
                    Err(_) => thread::sleep(Duration::from_millis(1)),
                }
            };
            assert!(greet(&stream, b"", purpose, &program.claims(1)).is_ok(), "it is the same program");
            stream
        };
        let data = connect(Purpose::Data);
        follow(Partner { control: connect(Purpose::Control), _data: data });
        leader.join().unwrap()
    })
}

fn opened() -> Request {
    Request::Open { seed: 7, steps: Vec::new(), endless: false }
}

/// Orders, and what process 1 says of process 0 after them.
#[track_caller]
fn check_led(orders: &[Request], kind: ErrorKind, text: &str) {
    let (program, listener) = Program::new(1);
    let outcome = led(&program, &listener, |mut partner| {
        for order in orders {
            partner.say(order, &[]);
            match order {
                Request::Open { .. } => partner.hear(|word, _| matches!(word, Reply::Opened(_)).then_some(())),
                Request::End => partner.hear(|word, _| matches!(word, Reply::Ended).then_some(())),
                _ => {}
            }
        }
    });
    program.check(outcome, kind, &text.replace("{leader}", &program.name(0)));
}

#[test]
fn a_process_without_a_leader_says_what_came_of_it() {
    let unavailable = ErrorKind::Unavailable;
    let again = |what: &str| format!("{{leader}} {what}\nhint: {AGAIN_HINT}");
    check_led(&[], unavailable, &again("was lost: the connection was closed"));
    check_led(&[opened()], unavailable, &again("was lost: the connection was closed"));
    let text = again("closed its connection and did not say that the run is over");
    check_led(&[opened(), Request::End], unavailable, &text);
}

#[test]
fn an_order_that_has_no_place_is_named() {
    let misfit = |what: &str| format!("{{leader}} sent the order {what}\nhint: {MISFIT_HINT}");
    check_led(&[Request::Close], ErrorKind::Unavailable, &misfit("Close before it opened the run"));
    let pieces = Request::Epoch { epoch: 2, shared: vec![0] };
    check_led(&[pieces], ErrorKind::Unavailable, &misfit("Epoch before it opened the run"));
    let (program, listener) = Program::new(1);
    let outcome = led(&program, &listener, |mut partner| {
        partner.say(&opened(), &[]);
        partner.say(&opened(), &[]);
        partner.hear(|word, _| matches!(word, Reply::Opened(_)).then_some(()));
    });
    let text = misfit("Open in the midst of the run").replace("{leader}", &program.name(0));
    program.check(outcome, ErrorKind::Unavailable, &text);
}

#[test]
fn a_leader_that_cannot_be_understood_is_lost() {
    let (program, listener) = Program::new(1);
    let outcome = led(&program, &listener, |mut partner| partner.say(&"go on", &[]));
    let error = outcome.unwrap_err();
    let text = format!("{} was lost: it said what cannot be understood: unknown variant `go on`", program.name(0));
    assert_eq!((error.kind(), error.hint()), (ErrorKind::Unavailable, Some(AGAIN_HINT)));
    assert!(error.message().starts_with(&text), "{error}");
}

/// The error of process 0 ends all, with its kind, hint and place.
#[test]
fn an_error_is_the_same_in_all_processes() {
    let place = Origin { file: "visits.rs".to_owned(), line: 7 };
    let error = Error::data("runs-1 is missing").with_hint("restore it").at(&place);
    check_led(&[Request::Fail(WireError::from(&error))], ErrorKind::Data, &error.to_string());
    let error = Error::input("a.csv:2: at: \"x\" is not an int");
    check_led(&[opened(), Request::Fail(WireError::from(&error))], ErrorKind::Input, &error.to_string());
    let (program, listener) = Program::new(1);
    let outcome = followed(&program, listener, |mut partner| {
        partner.say(&Reply::Failed(WireError::from(&error)), &[]);
        partner.hear(|order, _| matches!(order, Request::Fail(_)).then_some(()));
    });
    program.check(outcome, ErrorKind::Input, &error.to_string());
}

#[test]
fn a_process_without_state_is_asked_for_none() {
    let (program, listener) = Program::new(1);
    let outcome = led(&program, &listener, |mut partner| {
        partner.say(&opened(), &[]);
        partner.say(&Request::Write { generation: 2 }, &[]);
        let error: WireError = partner.hear(|word, _| match word {
            Reply::Written(Err(error)) => Some(error),
            _ => None,
        });
        partner.say(&Request::Fail(error), &[]);
    });
    let text = format!("process 0 asked for what is to be saved, and this process saves no state\nhint: {MISFIT_HINT}");
    program.check(outcome, ErrorKind::Unavailable, &text);
}

#[test]
fn a_process_that_leaves_or_cannot_be_understood_is_lost() {
    let (program, listener) = Program::new(1);
    let text = format!("{} was lost: the connection was closed\nhint: {AGAIN_HINT}", program.name(1));
    program.check(followed(&program, listener, drop), ErrorKind::Unavailable, &text);

    let (program, listener) = Program::new(1);
    let outcome = followed(&program, listener, |mut partner| {
        partner.say(&"ready", &[]);
        partner.hear(|order, _| matches!(order, Request::Fail(_)).then_some(()));
    });
    let error = outcome.unwrap_err();
    let text = format!("{} was lost: it said what cannot be understood: unknown variant `ready`", program.name(1));
    assert_eq!((error.kind(), error.hint()), (ErrorKind::Unavailable, Some(AGAIN_HINT)));
    assert!(error.message().starts_with(&text), "{error}");
}

/// Process 1 is there, and has been told to begin an epoch.
fn begin_epoch(partner: &mut Partner) {
    partner.say(&Reply::Opened(Vec::new()), &[]);
    partner.hear(|order, _| matches!(order, Request::Epoch { .. }).then_some(()));
}

#[test]
fn rows_and_pieces_that_cannot_be_read_are_told_of_who_sent_them() {
    type Follow = fn(&mut Partner);
    let cases: [(Follow, &str); 3] = [
        (
            |partner| partner.say(&Reply::Changes { sink: 0, epoch: 2 }, b"rows"),
            "another process sent rows that cannot be read: they end too early",
        ),
        (
            |partner| partner.say(&Reply::Read { source: 0 }, b"pieces"),
            "what came back of a piece of input cannot be understood: expected value at line 1 column 1",
        ),
        (|_| (), "was lost: the connection was closed"),
    ];
    for (follow, what) in cases {
        // So many rows that both processes read.
        let (program, listener) = Program::new(100_000);
        let outcome = followed(&program, listener, |mut partner| {
            begin_epoch(&mut partner);
            follow(&mut partner);
            // What comes back says that all before it was heard; the pieces are never given back.
            partner.say(&Reply::Want { source: 0, count: usize::MAX }, &[]);
            partner.hear(|order, _| matches!(order, Request::Pieces { last: true, .. }).then_some(()));
        });
        let name = program.name(1);
        let text = match what.starts_with("was lost") {
            true => format!("{name} {what}\nhint: {AGAIN_HINT}"),
            false => format!("{name}: {what}\nhint: {MISFIT_HINT}"),
        };
        program.check(outcome, ErrorKind::Unavailable, &text);
    }
}

/// A plan takes any connector; a run takes those that this crate makes.
#[test]
fn a_connector_of_another_kind_is_refused() {
    let (program, _listener) = Program::new(1);
    let sink = program.output().declare().unwrap();
    let foreign = SinkDecl { connector: Arc::new(7), origin: Origin { file: "visits.rs".to_owned(), line: 7 }, ..sink };
    let error = run(lower(vec![foreign.clone()], OnError::default()).unwrap(), &RunOptions::default()).unwrap_err();
    let text = "visits.rs:7: the sink of kind \"csv\" has a connector of another kind than a run takes\n\
                hint: make it by millpond::connector";
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Invalid, text));
    let origin = foreign.origin.clone();
    let source = millpond_plan::SourceDecl {
        name: None,
        kind: "queue".into(),
        schema: Schema::new([("user", Type::Str.required())]),
        append_only: true,
        description: serde_json::Value::Null,
        origin,
        connector: Arc::new(7),
    };
    let sink = SinkDecl { table: millpond_plan::Table::source(source).unwrap(), ..program.output().declare().unwrap() };
    let error = run(lower(vec![sink], OnError::default()).unwrap(), &RunOptions::default()).unwrap_err();
    let text = text.replace("the sink of kind \"csv\"", "the source of kind \"queue\"");
    assert_eq!((error.kind(), error.to_string()), (ErrorKind::Invalid, text));
}
