//! How a program of [`millpond::main`] ends: the exit code of each kind of error, and of signals.
//!
//! The programs are this very test program, told by an environment variable what to do; so it has a `main` of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use millpond::connector::{Batches, Epoch, subscribe};
use millpond::{Backend, Error, Result, RunOptions, Stop, Type, csv, run};
use rustix::process::{Pid, Signal, kill_process};

const PROGRAM: &str = "MILLPOND_TEST_PROGRAM";
/// A hang fails.
const WATCHDOG: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    if let Ok(program) = std::env::var(PROGRAM) {
        return millpond::main(|| play(&program));
    }
    each_kind_has_its_exit_code();
    a_signal_stops_a_service_which_saves_its_state();
    a_second_signal_ends_a_run_at_once();
    a_subscriber_that_does_not_return_is_left_behind_and_named();
    without_a_run_a_signal_ends_the_program();
    a_program_may_stop_its_run_itself();
    ExitCode::SUCCESS
}

/// What the processes do.
fn play(program: &str) -> Result<()> {
    match program {
        "well" => Ok(()),
        "invalid" => Err(Error::invalid("it is wrong").with_hint("mend it")),
        "input" => Err(Error::input("it is wrong")),
        "data" => Err(Error::data("it is wrong")),
        "locked" => Err(Error::locked("it is wrong")),
        "changed" => Err(Error::changed("it is wrong")),
        "unavailable" => Err(Error::unavailable("it is wrong")),
        "interrupted" => Err(Error::interrupted("it is stopped")),
        "idle" => {
            say("ready");
            thread::sleep(WATCHDOG);
            Ok(())
        }
        "static" => {
            let visits = csv::read("logs", [("user", Type::Str)]).name("logs").table();
            let outputs = [csv::write(&visits, "visits.csv").mode(csv::WriteMode::Append)];
            let summary = run(outputs, &RunOptions::default().quiet().state(Backend::filesystem("state")?))?;
            eprintln!("{summary}");
            Ok(())
        }
        "service" => service(|_: Epoch, _: &Batches| {
            say("ready");
            Ok(())
        }),
        "stuck" => service(|_: Epoch, _: &Batches| {
            say("ready");
            loop {
                thread::sleep(WATCHDOG);
            }
        }),
        _ => Err(Error::unavailable("no such program")),
    }
}

fn say(word: &str) {
    println!("{word}");
    std::io::stdout().flush().expect("somebody listens");
}

fn service(on_epoch: impl Fn(Epoch, &Batches) -> Result<()> + Send + Sync + 'static) -> Result<()> {
    let visits = csv::read("logs", [("user", Type::Str)]).name("logs").streaming(csv::Streaming::default()).table();
    let outputs =
        [csv::write(&visits, "visits.csv").mode(csv::WriteMode::Append), subscribe(&visits, "watch", on_epoch)];
    run(outputs, &RunOptions::default().quiet().state(Backend::filesystem("state")?)).map(drop)
}

fn start(program: &str, folder: &Path) -> Child {
    start_with(program, folder, "")
}

fn start_with(program: &str, folder: &Path, grace_s: &str) -> Child {
    let this = std::env::current_exe().expect("this program");
    let mut command = Command::new(this);
    command
        .env("MILLPOND_GRACE_S", grace_s)
        .env(PROGRAM, program)
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().expect("a process")
}

/// Waits until the process says that it is ready.
fn ready(child: &mut Child) {
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe"));
    let (send, said) = channel();
    thread::spawn(move || {
        let mut line = String::new();
        let _ = lines.read_line(&mut line);
        let _ = send.send(line);
        let _ = lines.read_to_string(&mut String::new());
    });
    assert_eq!(said.recv_timeout(WATCHDOG).expect("it says something"), "ready\n");
}

fn tell(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).expect("it is there");
}

fn end(mut child: Child) -> (ExitStatus, String) {
    let deadline = Instant::now() + WATCHDOG;
    let status = loop {
        match child.try_wait().expect("a child") {
            Some(status) => break status,
            None if Instant::now() > deadline => {
                let _ = child.kill();
                panic!("it does not end");
            }
            None => thread::sleep(Duration::from_millis(2)),
        }
    };
    let mut errors = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut errors).expect("text");
    (status, errors)
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("logs")).expect("a folder");
    std::fs::write(folder.path().join("logs/a.csv"), "user\nann\n").expect("a file");
    folder
}

fn each_kind_has_its_exit_code() {
    let folder = folder();
    let kinds = [("well", 0, ""), ("invalid", 2, "it is wrong\nhint: mend it\n"), ("interrupted", 130, "")];
    let others = [("input", 3), ("data", 4), ("locked", 5), ("changed", 6), ("unavailable", 7)];
    let others = others.map(|(kind, code)| (kind, code, "it is wrong\n"));
    for (kind, code, message) in kinds.into_iter().chain(others) {
        let (status, errors) = end(start(kind, folder.path()));
        assert_eq!((status.code(), errors.as_str()), (Some(code), message), "{kind}");
    }
}

fn a_signal_stops_a_service_which_saves_its_state() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let folder = folder();
        let mut child = start("service", folder.path());
        ready(&mut child);
        tell(&child, signal);
        let (status, errors) = end(child);
        assert_eq!((status.code(), errors.as_str()), (Some(code), ""));
        let visits = std::fs::read_to_string(folder.path().join("visits.csv")).expect("it is saved");
        let again = end(start("static", folder.path()));
        assert!(visits.lines().count() == 2 && again.1.contains("1 unchanged; 0 rows read"), "{visits}: {}", again.1);
    }
}

fn a_second_signal_ends_a_run_at_once() {
    let folder = folder();
    let mut child = start("stuck", folder.path());
    ready(&mut child);
    tell(&child, Signal::TERM);
    thread::sleep(Duration::from_millis(100));
    assert!(child.try_wait().expect("a child").is_none(), "its epoch is not done");
    tell(&child, Signal::TERM);
    assert_eq!(end(child).0.signal(), Some(Signal::TERM.as_raw()), "a shell says 143");
}

fn a_subscriber_that_does_not_return_is_left_behind_and_named() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let folder = folder();
        let mut child = start_with("stuck", folder.path(), "0.3");
        ready(&mut child);
        tell(&child, signal);
        let (status, errors) = end(child);
        let told = "millpond: on_epoch of \"watch\" did not return within 0.3 s after the run was told to end\n";
        assert_eq!((status.code(), errors.as_str()), (Some(code), told));
        // Nothing is lost: what was not delivered is delivered by the next run.
        let mut again = start("service", folder.path());
        ready(&mut again);
        tell(&again, signal);
        assert_eq!(end(again).0.code(), Some(code));
    }
    let folder = folder();
    let (status, errors) = end(start_with("static", folder.path(), "soon"));
    assert_eq!(status.code(), Some(2));
    assert_eq!(errors, "MILLPOND_GRACE_S: \"soon\" is not a number of seconds\nhint: such as MILLPOND_GRACE_S=10\n");
}

fn without_a_run_a_signal_ends_the_program() {
    let folder = folder();
    let mut child = start("idle", folder.path());
    ready(&mut child);
    tell(&child, Signal::INT);
    assert_eq!(end(child).0.signal(), Some(Signal::INT.as_raw()), "a shell says 130");
}

fn a_program_may_stop_its_run_itself() {
    let folder = folder();
    let logs = folder.path().join("logs").display().to_string();
    let visits = csv::read(logs, [("user", Type::Str)]).streaming(csv::Streaming::default()).table();
    let stop = Stop::new();
    let asked = stop.clone();
    let watch = subscribe(&visits, "watch", move |_: Epoch, _: &Batches| {
        asked.request();
        Ok(())
    });
    let summary = run([watch], &RunOptions::default().quiet().stop(stop)).expect("it ends well");
    assert!(summary.stopped && summary.rows_read == 1 && summary.changes_written == 1, "{summary:?}");
}
