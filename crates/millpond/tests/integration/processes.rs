//! Programs run by several processes: the law over changing numbers of processes and threads, lost processes, and what
//! is refused. The processes are threads here, each with a run and sockets of its own; `tests/python` spawns real ones.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::{self, Random, Rows, Visit};
use millpond::csv::{self, OnError, ReadOptions, Streaming, WriteMode};
use millpond::monitor::{Snapshot, StepSnapshot};
use millpond::{Backend, Cluster, ErrorKind, Monitor, Output, Result, RunOptions, Summary, Table, Type, col, run};

/// How many random histories are played; `MILLPOND_CASES` says another number.
fn cases() -> u64 {
    std::env::var("MILLPOND_CASES").ok().and_then(|text| text.parse().ok()).map_or(30, |cases: u64| cases.div_ceil(10))
}

/// Addresses that are free now.
fn addresses(processes: usize) -> Vec<String> {
    let listeners: Vec<_> = (0..processes).map(|_| TcpListener::bind("127.0.0.1:0").expect("a port")).collect();
    listeners.iter().map(|listener| listener.local_addr().expect("an address").to_string()).collect()
}

/// Runs `program` in so many processes; returns what came of each.
fn together(
    processes: usize,
    program: impl Fn(usize, Cluster) -> Result<Summary> + Send + Sync,
) -> Vec<Result<Summary>> {
    let addresses = addresses(processes);
    thread::scope(|scope| {
        let start = |process| {
            let cluster = Cluster::new(process, addresses.clone(), None).expect("a cluster");
            let program = &program;
            scope.spawn(move || program(process, cluster))
        };
        let running: Vec<_> = (0..processes).map(start).collect();
        running.into_iter().map(|running| running.join().expect("no panic")).collect()
    })
}

fn options(folder: &Path, threads: usize, cluster: Cluster) -> RunOptions {
    let state = Backend::filesystem(folder.join("state")).expect("a plain path");
    RunOptions { cluster: Some(cluster), ..RunOptions::default().quiet().state(state).workers(threads) }
}

fn outputs(folder: &Path, mode: WriteMode) -> [Output; 2] {
    let visits = support::visits(&folder.join("logs"), false);
    let write =
        |table: &Table, name: &str| csv::write(table, folder.join(name).to_str().expect("a plain path")).mode(mode);
    [write(&support::sessions(&visits), "sessions.csv"), write(&support::by_user(&visits), "users.csv")]
}

fn check(seed: u64, mode: WriteMode) {
    let mut random = Random(seed);
    let folder = tempfile::tempdir().expect("a folder");
    let mut all: Vec<Visit> = Vec::new();
    let mut sums = [Rows::new(), Rows::new()];
    for _ in 0..1 + random.below(3) {
        for _ in 0..1 + random.below(2) {
            // Now and then enough that all processes read.
            let rows = if random.below(3) == 0 { 30_000 } else { random.below(12) };
            let batch: Vec<Visit> = (0..rows).map(|_| random.visit()).collect();
            support::append(&folder.path().join("logs"), &format!("{}.log", random.below(3)), &batch);
            all.extend(batch);
        }
        let (processes, threads) = (1 + random.below(3) as usize, 1 + random.below(2) as usize);
        for outcome in together(processes, |_, cluster| {
            run(outputs(folder.path(), mode), &options(folder.path(), threads, cluster))
        }) {
            outcome.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        }
        for (name, sum) in ["sessions.csv", "users.csv"].iter().zip(&mut sums) {
            let text = fs::read_to_string(folder.path().join(name)).expect("a result file");
            match mode {
                WriteMode::Snapshot => *sum = support::snapshot_rows(&text),
                _ => drop(support::add_changes(sum, &text)),
            }
        }
        assert_eq!(sums[0], support::expected_sessions(&all), "seed {seed}: sessions");
        assert_eq!(sums[1], support::expected_by_user(&all), "seed {seed}: users");
    }
}

#[test]
fn changes_add_up_over_runs_with_any_number_of_processes() {
    (0..cases()).for_each(|case| check(7_000_000 + case, WriteMode::Changes));
}

#[test]
fn a_snapshot_holds_the_rows_of_all_processes() {
    (0..cases() / 3).for_each(|case| check(8_000_000 + case, WriteMode::Snapshot));
}

/// The error is the first in the order of files and lines, whichever process has read it, and all end with its kind.
#[test]
fn a_bad_row_ends_all_processes_with_the_same_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut random = Random(5);
    let rows: Vec<Visit> = (0..200_000).map(|_| random.visit()).collect();
    support::append(&folder.path().join("logs"), "a.log", &rows);
    let path = folder.path().join("logs/a.log");
    let mut text = fs::read_to_string(&path).expect("a log");
    text.push_str("ann,noon,1\n");
    text.push_str(&support::csv_rows(&rows));
    text.push_str("ann,late,1\n");
    fs::write(&path, text).expect("a log");
    let outcomes =
        together(3, |_, cluster| run(outputs(folder.path(), WriteMode::Changes), &options(folder.path(), 1, cluster)));
    for outcome in outcomes {
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input, "{error}");
        assert!(error.message().contains("a.log:200002: time: \"noon\""), "{error}");
    }
}

/// What the column `_metadata` says stays with each row, whichever process reads it and however often: a last line
/// without a newline is taken back with what it was read with.
#[test]
fn metadata_is_added_and_taken_back_by_all_processes() {
    for seed in 0..cases() / 5 {
        let mut random = Random(9_000_000 + seed);
        let folder = tempfile::tempdir().expect("a folder");
        let logs = folder.path().join("logs");
        fs::create_dir_all(&logs).expect("a folder");
        let (mut sum, mut lines) = (Rows::new(), [String::new(), String::new()]);
        for _ in 0..3 {
            for (number, text) in lines.iter_mut().enumerate() {
                let rows = [random.below(3), 300_000][usize::from(random.below(2) == 0)];
                // Goes on in the middle of a line.
                text.push_str(
                    &(0..rows).map(|_| format!("{}\n{}", random.below(10), random.below(10))).collect::<String>(),
                );
                fs::write(logs.join(format!("{number}.csv")), format!("n\n{text}")).expect("a log");
            }
            let (processes, threads) = (1 + random.below(3) as usize, 1 + random.below(2) as usize);
            let out = folder.path().join("out.csv");
            for outcome in together(processes, |_, cluster| {
                let read = csv::read(logs.to_str().expect("a plain path"), [("n", Type::Int)]).with_metadata();
                let output = csv::write(&read.table(), out.to_str().expect("a plain path"));
                run([output], &options(folder.path(), threads, cluster))
            }) {
                outcome.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            }
            support::add_changes(&mut sum, &fs::read_to_string(&out).expect("a result file"));
        }
        // No row is left that was taken back with another object than it was added with.
        assert!(sum.values().all(|count| *count > 0), "seed {seed}");
        for (number, text) in lines.iter().enumerate() {
            let path = format!("/{number}.csv");
            let rows =
                sum.iter().filter(|(row, _)| format!("{row:?}").contains(&path)).map(|(_, count)| count).sum::<i64>();
            assert_eq!(rows, text.lines().count() as i64, "seed {seed}, file {number}");
        }
    }
}

/// One process counts what all have done.
#[test]
fn numbers_are_those_of_all_processes() {
    let folder = tempfile::tempdir().expect("a folder");
    let logs = folder.path().join("logs");
    let mut random = Random(3);
    let rows: Vec<Visit> = (0..100_000).map(|_| random.visit()).collect();
    support::append(&logs, "a.log", &rows);
    let numbers = |processes: usize, threads: usize| {
        let home = tempfile::tempdir().expect("a folder");
        let monitors: Vec<Monitor> = (0..processes).map(|_| Monitor::default()).collect();
        let outcomes = together(processes, |process, cluster| {
            let visits = support::visits(&logs, false);
            let out = home.path().join("users.csv");
            let output = csv::write(&support::by_user(&visits), out.to_str().expect("a plain path"));
            run([output], &options(home.path(), threads, cluster).monitor(monitors[process].clone()))
        });
        outcomes.into_iter().for_each(|outcome| drop(outcome.unwrap_or_else(|error| panic!("{error}"))));
        monitors[0].snapshot().expect("a run")
    };
    let (alone, together) = (numbers(1, 2), numbers(2, 1));
    assert_eq!((alone.run.processes, alone.run.workers), (1, 2));
    assert_eq!((together.run.processes, together.run.workers), (2, 2));
    let steps = |snapshot: &Snapshot| {
        let step = |step: &StepSnapshot| (step.rows_in, step.rows_out, step.state_rows);
        snapshot.steps.iter().map(step).collect::<Vec<_>>()
    };
    assert_eq!(steps(&together), steps(&alone));
    assert_eq!(together.outputs[0].rows_written, alone.outputs[0].rows_written);
    // The states differ by their seeds, and so by which worker has which of the few keys: one that has none saves no run.
    let near = |a: u64, b: u64| a.max(b) <= 2 * a.min(b);
    assert!(near(alone.steps[0].state_bytes, together.steps[0].state_bytes), "{alone:?} {together:?}");
    assert!(near(alone.run.checkpoint_bytes, together.run.checkpoint_bytes), "{alone:?} {together:?}");
}

/// Rejected rows are counted and handed over by whoever reads them, in order.
#[test]
fn rejected_rows_of_all_processes_are_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let (logs, dead) = (folder.path().join("logs"), folder.path().join("dead.csv"));
    fs::create_dir_all(&logs).expect("a folder");
    let line = |i: usize| if i % 50_000 == 7 { format!("u,x{i},\n") } else { format!("user-{i},{i},\n") };
    let text: String = (0..300_000).map(line).collect();
    fs::write(logs.join("a.log"), format!("user,time,pages\n{text}")).expect("a log");
    let outcomes = together(2, |_, cluster| {
        let schema = [("user", Type::Str), ("time", Type::Int)];
        let on_error = OnError::DeadLetter(dead.clone());
        let read = csv::read(logs.to_str().expect("a plain path"), schema);
        let visits = read.options(ReadOptions { on_error, ..ReadOptions::default() }).table();
        let out = folder.path().join("out.csv");
        let visits = visits.select([("user", col("user")), ("at", col("time"))]);
        run([csv::write(&visits, out.to_str().expect("a plain path"))], &options(folder.path(), 1, cluster))
    });
    let summary = outcomes[0].as_ref().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((summary.rows_read, summary.rows_rejected), (299_994, 6));
    let dead = fs::read_to_string(dead).expect("rejected rows");
    let values: Vec<&str> = dead.lines().filter_map(|line| line.split(",\"x").nth(1)).collect();
    assert_eq!(values.len(), 6, "{dead}");
    assert!(values.is_sorted_by_key(|value| value.split('"').next().and_then(|n| n.parse::<u64>().ok())), "{dead}");
}

#[test]
fn two_processes_go_on_for_ever_and_stop_together() {
    let folder = tempfile::tempdir().expect("a folder");
    let logs = folder.path().join("logs");
    let mut random = Random(11);
    let mut all: Vec<Visit> = (0..100).map(|_| random.visit()).collect();
    support::append(&logs, "a.log", &all);
    let stops = [Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false))];
    let sessions = folder.path().join("sessions.csv");
    let program = |process: usize, cluster: Cluster| {
        let streaming = Streaming { commit_every: Duration::from_millis(20), ..Streaming::default() };
        let schema = [("user", Type::Str.required()), ("time", Type::Int.required()), ("pages", Type::Int.optional())];
        let read = csv::read(logs.to_str().expect("a plain path"), schema).name("visits").streaming(streaming);
        let output = csv::write(&support::sessions(&read.table()), sessions.to_str().expect("a plain path"));
        let options = options(folder.path(), 1, cluster);
        let stop = stops[process].clone().into();
        run([output], &RunOptions { stop, checkpoint_every: Duration::from_millis(50), ..options })
    };
    let outcomes = thread::scope(|scope| {
        let running = scope.spawn(|| together(2, program));
        for _ in 0..10 {
            thread::sleep(Duration::from_millis(60));
            let batch: Vec<Visit> = (0..20).map(|_| random.visit()).collect();
            support::append(&logs, "a.log", &batch);
            all.extend(batch);
        }
        thread::sleep(Duration::from_millis(400));
        // Whoever is asked to stop, all stop.
        stops[1].store(true, Ordering::Relaxed);
        running.join().expect("no panic")
    });
    outcomes.into_iter().for_each(|outcome| drop(outcome.unwrap_or_else(|error| panic!("{error}"))));
    let mut sum = Rows::new();
    support::add_changes(&mut sum, &fs::read_to_string(&sessions).expect("results"));
    assert_eq!(sum, support::expected_sessions(&all));
}

#[track_caller]
fn refused(kind: ErrorKind, message: &str, program: impl Fn(usize, Vec<String>) -> Result<Summary> + Send + Sync) {
    let addresses = addresses(2);
    let outcomes = thread::scope(|scope| {
        let (program, addresses) = (&program, &addresses);
        let running: Vec<_> = (0..2).map(|process| scope.spawn(move || program(process, addresses.clone()))).collect();
        running.into_iter().map(|running| running.join().expect("no panic")).collect::<Vec<_>>()
    });
    let found = outcomes
        .iter()
        .any(|outcome| outcome.as_ref().is_err_and(|error| error.kind() == kind && error.message().contains(message)));
    assert!(found, "{outcomes:?}");
}

fn small(folder: &Path, threads: usize, column: &str, cluster: Cluster) -> Result<Summary> {
    let visits = support::visits(&folder.join("logs"), false).groupby([column]).reduce([("n", millpond::count())]);
    let output = csv::write(&visits, folder.join("out.csv").to_str().expect("a plain path"));
    let stopped = Arc::new(AtomicBool::new(false));
    let stop = stopped.clone();
    // Who waits for a process that has given up is stopped.
    let timer = thread::spawn(move || {
        thread::park_timeout(Duration::from_secs(2));
        stop.store(true, Ordering::Relaxed);
    });
    let options = RunOptions { stop: stopped.into(), cluster: Some(cluster), ..RunOptions::default().quiet() };
    let outcome = run([output], &options.workers(threads));
    timer.thread().unpark();
    outcome
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    support::append(&folder.path().join("logs"), "a.log", &[Random(1).visit()]);
    let with = |process, addresses, secret: &str| {
        Cluster::new(process, addresses, Some(secret.to_owned())).expect("a cluster")
    };
    refused(ErrorKind::Invalid, "has another secret", |process, addresses| {
        small(folder.path(), 1, "user", with(process, addresses, ["sesame", "sesam"][process]))
    });
    refused(ErrorKind::Invalid, "run different programs", |process, addresses| {
        small(folder.path(), 1, ["user", "pages"][process], with(process, addresses, "sesame"))
    });
    refused(ErrorKind::Invalid, "threads", |process, addresses| {
        small(folder.path(), 1 + process, "user", with(process, addresses, "sesame"))
    });
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = &taken.local_addr().expect("an address").to_string();
    refused(ErrorKind::Unavailable, "process 0 cannot listen on 127.0.0.1", |process, mut addresses| {
        addresses[0].clone_from(taken);
        small(folder.path(), 1, "user", with(process, addresses, "sesame"))
    });
}
