//! Changes handed to a program: power loss, failing disks, failing receivers and restarts at any point. A receiver that
//! passes over the epochs it has gets every change once, what it gets again under an epoch is what it got before, and a
//! run that ended well is never delivered again.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{self, Random, Rows, Visit};
use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_schema::DataType;
use millpond::connector::{Batches, Changes, Delivery, Epoch, LogicalRun, Prepared, Sink, Subscriber, sink, subscribe};
use millpond::csv::{self, ReadOptions, Streaming};
use millpond::feed::{self, Cell, Feed, FeedOptions, Feeder};
use millpond::{Backend, Error, ErrorKind, Origin, Result, RunOptions, Schema, Table, Type, col, run};
use millpond_io::sink::CollectSink;
use millpond_store::{Disk, Failure, Fault, FaultyDisk, LocalDisk, Operations, SimulatedDisk, StateDir};

/// Long enough on any machine for what takes some milliseconds.
const PATIENCE: Duration = Duration::from_secs(60);
/// Images drawn of all steps of a run.
const IMAGES: u64 = 700;
/// Random histories of failing runs.
const CASES: u64 = 40;

fn count_from(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The rows of changes as a result file spells them.
fn rows_of(changes: &Batches) -> Rows {
    let mut rows = Rows::new();
    for changes in changes {
        let changes = changes.expect("what waits can be read");
        for row in 0..changes.rows {
            let cells: Vec<String> = changes.columns.iter().map(|column| cell(column, row)).collect();
            *rows.entry(cells.join(",")).or_default() += changes.diffs.get(row);
        }
    }
    rows.retain(|_, count| *count != 0);
    rows
}

fn cell(column: &dyn Array, row: usize) -> String {
    match column.data_type() {
        _ if column.is_null(row) => String::new(),
        DataType::Utf8 => support::quoted(column.as_string::<i32>().value(row)),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).to_string(),
        _ => format!("{:?}", column.as_primitive::<Float64Type>().value(row)),
    }
}

/// What a receiver keeps over all runs: each epoch with its changes.
#[derive(Clone, Debug, Default)]
struct Kept {
    epochs: BTreeMap<Epoch, Rows>,
    /// Epochs in the order in which they came in the present run.
    came: Vec<Epoch>,
    /// How often an epoch came that was there.
    again: usize,
    ends: usize,
}

impl Kept {
    fn take(&mut self, epoch: Epoch, rows: Rows) {
        assert!(self.came.last().is_none_or(|last| *last < epoch), "epochs come in order: {:?}, {epoch:?}", self.came);
        self.came.push(epoch);
        if let Some(before) = self.epochs.get(&epoch) {
            assert_eq!(*before, rows, "what comes again is what came before");
            self.again += 1;
        } else {
            let newest = self.epochs.keys().next_back();
            assert!(newest.is_none_or(|newest| *newest < epoch), "what comes again comes before anything new");
            self.epochs.insert(epoch, rows);
        }
    }

    fn sum(&self) -> Rows {
        let mut sum = Rows::new();
        self.epochs.values().flatten().for_each(|(row, count)| *sum.entry(row.clone()).or_default() += count);
        sum.retain(|_, count| *count != 0);
        sum
    }

    fn run(&mut self, came: &[Came]) {
        self.begin_run();
        came.iter().for_each(|Came { epoch, rows, .. }| self.take(*epoch, rows.clone()));
    }

    fn begin_run(&mut self) {
        self.came.clear();
        self.again = 0;
        self.ends = 0;
    }
}

/// Hands out the visits of a list of commits; its position is the number of those that count.
struct Commits(Arc<Vec<Vec<Visit>>>);

impl Feeder for Commits {
    fn start(&self, feed: Feed, position: Option<&str>) -> Result<()> {
        let from: usize = position.map_or(0, |position| position.parse().expect("a number"));
        let commits = self.0.clone();
        thread::spawn(move || {
            let work = || {
                for (number, visits) in commits.iter().enumerate().skip(from) {
                    for Visit { user, time, pages } in visits {
                        feed.push(&[Cell::Str(user), Cell::Int(*time), pages.map_or(Cell::Null, Cell::Int)])?;
                    }
                    feed.commit(Some((number + 1).to_string()))?;
                }
                Ok(())
            };
            feed.end(work());
        });
        Ok(())
    }

    fn stop(&self) {}
}

fn fed(commits: &Arc<Vec<Vec<Visit>>>) -> Table {
    let schema = [("user", Type::Str.required()), ("time", Type::Int.required()), ("pages", Type::Int.optional())];
    let options =
        FeedOptions { schema: Schema::new(schema), key: vec![], removals: false, positions: true, autocommit: None };
    let feeder = Arc::new(Commits(commits.clone()));
    Table::from(feed::source(options, feeder, Some("visits".into()), None, &Origin::caller()))
}

/// What came to a receiver on another machine.
#[derive(Clone)]
struct Came {
    epoch: Epoch,
    rows: Rows,
    /// The steps that this machine had made.
    at: u64,
    /// What a loss of power at that moment leaves.
    image: SimulatedDisk,
}

struct Elsewhere {
    machine: SimulatedDisk,
    came: Arc<Mutex<Vec<Came>>>,
}

impl Subscriber for Elsewhere {
    fn on_epoch(&self, epoch: Epoch, changes: &Batches) -> Result<()> {
        // Whatever happens now, the epoch is part of the state.
        let image = self.machine.image_now(epoch.0);
        let (_, manifest) = StateDir::open(Arc::new(image.folder("state"))).expect("the state is whole");
        assert!(manifest.is_some_and(|manifest| manifest.epoch >= epoch.0), "what is delivered is committed");
        let (rows, at) = (rows_of(changes), self.machine.steps());
        self.came.lock().expect("no panic").push(Came { epoch, rows, at, image });
        Ok(())
    }
}

/// Runs the program over `machine`; returns what was delivered.
fn play(machine: &SimulatedDisk, commits: &Arc<Vec<Vec<Visit>>>, every: Duration) -> Result<Vec<Came>> {
    let came = Arc::new(Mutex::new(Vec::new()));
    let receiver = Elsewhere { machine: machine.clone(), came: came.clone() };
    // Some epochs leave this table as it was.
    let output = subscribe(&support::by_user(&fed(commits).filter(col("pages").is_not_none())), "receiver", receiver);
    let mut options = RunOptions::default().quiet().state(Backend::disk(Arc::new(machine.folder("state")))).workers(1);
    options.checkpoint_every = every;
    run([output], &options)?;
    let came = came.lock().expect("no panic");
    Ok(came.clone())
}

fn expected(commits: &[Vec<Visit>]) -> Rows {
    let visits: Vec<Visit> = commits.iter().flatten().filter(|visit| visit.pages.is_some()).cloned().collect();
    support::expected_by_user(&visits)
}

fn check_power_loss(seed: u64, every: Duration) {
    let mut random = Random(seed);
    let mut commits: Vec<Vec<Visit>> = Vec::new();
    let mut machine = SimulatedDisk::new();
    let mut kept = Kept::default();
    let (mut drawn, mut again) = (0, 0);
    for number in 0..3 {
        commits.extend((0..5).map(|_| (0..1 + random.below(3)).map(|_| random.visit()).collect()));
        let all = Arc::new(commits.clone());
        let first = machine.steps() + 1;
        machine.record();
        let came = play(&machine, &all, every).expect("the power is on");
        let steps = first..=machine.steps();
        let images = count_from("MILLPOND_IMAGES", IMAGES).div_ceil(3).div_ceil(steps.clone().count() as u64);
        let mut check = |image: &SimulatedDisk, came: &[Came], story: String| {
            let mut kept = kept.clone();
            kept.run(came);
            let rest = play(image, &all, every).unwrap_or_else(|error| panic!("{story}: {error}"));
            kept.run(&rest);
            assert_eq!(kept.sum(), expected(&commits), "{story}");
            drawn += 1;
            again += kept.again;
        };
        for step in steps {
            let before = came.iter().take_while(|came| came.at < step).count();
            for _ in 0..images {
                let draw = random.next();
                check(
                    &machine.image_at(step, draw),
                    &came[..before],
                    format!("run {number}, step {step}, draw {draw}, seed {seed}"),
                );
            }
        }
        for (before, moment) in came.iter().enumerate() {
            // With or without the epoch that was just being delivered.
            for before in [before, before + 1] {
                check(&moment.image.copy(), &came[..before], format!("run {number}, {before} delivered, seed {seed}"));
            }
        }
        kept.run(&came);
        assert_eq!((kept.sum(), kept.again), (expected(&commits), 0), "run {number}");
        machine = machine.copy();
    }
    assert!(again > 0, "some crash has to fall between a commit and its delivery");
    println!("{drawn} images, nothing lost; {again} epochs came again");
}

#[test]
fn power_loss_between_commits_of_single_epochs() {
    check_power_loss(1, Duration::ZERO);
}

#[test]
fn power_loss_while_checkpoints_are_written_beside_the_epochs() {
    check_power_loss(2, Duration::from_nanos(1));
}

/// A receiver that fails, after so many epochs, before or after it has kept one.
struct Failing {
    kept: Arc<Mutex<Kept>>,
    /// Epochs until it fails; and whether it keeps the one at which it fails.
    fails: Option<(usize, bool)>,
}

impl Subscriber for Failing {
    fn on_epoch(&self, epoch: Epoch, changes: &Batches) -> Result<()> {
        let mut kept = self.kept.lock().expect("no panic");
        let failing = self.fails.filter(|(after, _)| *after == kept.came.len());
        if failing.is_none_or(|(_, keeps)| keeps) {
            kept.take(epoch, rows_of(changes));
        }
        failing.map_or(Ok(()), |_| Err(Error::unavailable("the receiver is out of order")))
    }

    fn on_end(&self) -> Result<()> {
        self.kept.lock().expect("no panic").ends += 1;
        Ok(())
    }
}

struct History {
    folder: tempfile::TempDir,
    random: Random,
    kept: Arc<Mutex<Kept>>,
    all: Vec<Visit>,
    ended_well: bool,
}

impl History {
    fn arrive(&mut self) {
        let batch: Vec<Visit> = (0..1 + self.random.below(6)).map(|_| self.random.visit()).collect();
        support::append(&self.folder.path().join("logs"), &format!("{}.csv", self.random.below(3)), &batch);
        self.all.extend(batch);
    }

    fn disk(&mut self, faulty: bool) -> Backend {
        let disk = LocalDisk::private(self.folder.path().join("state")).expect("a path");
        if !faulty {
            return Backend::disk(Arc::new(disk));
        }
        let at = 1 + self.random.below(40);
        let failure = [Failure::Io, Failure::Full, Failure::ShortWrite][self.random.below(3) as usize];
        let fault = Fault { operations: Operations::Mutating, at, for_ever: self.random.below(2) == 0, failure };
        Backend::disk(Arc::new(FaultyDisk::new(disk, fault)))
    }

    /// One run that may fail; `calm`: a static one that does not.
    fn play_run(&mut self, calm: bool) {
        self.kept.lock().expect("no panic").begin_run();
        let trouble = if calm { 0 } else { self.random.below(3) };
        let fails = (trouble == 1).then(|| (self.random.below(4) as usize, self.random.below(2) == 0));
        let receiver = Failing { kept: self.kept.clone(), fails };
        let streaming = (!calm && self.random.below(3) > 0)
            .then(|| Streaming { commit_every: Duration::from_millis(1), ..Streaming::default() });
        let visits = visits(&self.folder.path().join("logs"), streaming);
        let output = subscribe(&support::by_user(&visits), "receiver", receiver);
        let backend = self.disk(trouble == 2);
        let stop = Arc::new(AtomicBool::new(false));
        let workers = 1 + self.random.below(3) as usize;
        let mut options = RunOptions::default().quiet().state(backend).workers(workers);
        options.memory = support::memory(&mut self.random, workers);
        options.stop = stop.clone().into();
        options.checkpoint_every = Duration::from_millis([0, 1, 15][self.random.below(3) as usize]);
        let running = thread::spawn(move || run([output], &options).map(drop));
        if streaming.is_some() {
            for _ in 0..self.random.below(4) {
                self.arrive();
                thread::sleep(Duration::from_millis(self.random.below(12)));
            }
            // Some runs are stopped when all has come: without any further input.
            if self.random.below(2) > 0 {
                self.wait(|| running.is_finished());
            }
            stop.store(true, Ordering::Relaxed);
        }
        let ended = running.join().expect("a run does not panic");
        let kept = self.kept.lock().expect("no panic");
        assert!(!self.ended_well || kept.again == 0, "a run that ended well was delivered again");
        // A disk may fail after the end, when the run is marked as finished.
        assert!(kept.ends == usize::from(ended.is_ok()) || trouble == 2);
        if let Err(error) = &ended {
            assert!(trouble > 0 && error.kind() == ErrorKind::Unavailable, "{error}");
        }
        self.ended_well = ended.is_ok();
    }

    fn wait(&self, is_over: impl Fn() -> bool) {
        let (begin, expected) = (Instant::now(), support::expected_by_user(&self.all));
        while self.kept.lock().expect("no panic").sum() != expected && !is_over() {
            assert!(begin.elapsed() < PATIENCE, "what is committed is delivered without further input");
            thread::sleep(Duration::from_millis(1));
        }
    }
}

fn visits(logs: &Path, streaming: Option<Streaming>) -> Table {
    let schema = [("user", Type::Str.required()), ("time", Type::Int.required()), ("pages", Type::Int.optional())];
    let options = ReadOptions { streaming, name: Some("visits".into()), ..ReadOptions::default() };
    csv::read(logs.to_str().expect("a plain path"), schema).options(options).table()
}

#[test]
fn every_change_comes_once_though_runs_receivers_and_disks_fail() {
    let mut again = 0;
    for seed in 0..count_from("MILLPOND_CASES", CASES) {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("logs")).expect("a folder for logs");
        let (random, kept) = (Random(seed + 77), Arc::new(Mutex::new(Kept::default())));
        let mut history = History { folder, random, kept, all: Vec::new(), ended_well: false };
        for _ in 0..2 + history.random.below(4) {
            if history.random.below(4) > 0 {
                history.arrive();
            }
            history.play_run(false);
            again += history.kept.lock().expect("no panic").again;
        }
        history.play_run(true);
        assert_eq!(
            history.kept.lock().expect("no panic").sum(),
            support::expected_by_user(&history.all),
            "seed {seed}"
        );
        history.play_run(true);
        assert!(history.kept.lock().expect("no panic").came.iter().all(|epoch| epoch.0 > 0));
    }
    assert!(again > 0 || count_from("MILLPOND_CASES", CASES) < CASES, "some epoch has to come again");
}

/// A state that holds undelivered changes of the users' figures.
fn undelivered(machine: &SimulatedDisk, commits: &Arc<Vec<Vec<Visit>>>) {
    let receiver = |_: Epoch, _: &Batches| Err(Error::unavailable("the receiver is out of order"));
    let output = subscribe(&support::by_user(&fed(commits)), "receiver", receiver);
    let error = run([output], &saved(machine)).expect_err("an error of the receiver ends the run");
    assert_eq!(error.message(), "the receiver is out of order");
}

fn saved(machine: &SimulatedDisk) -> RunOptions {
    RunOptions::default().quiet().state(Backend::disk(Arc::new(machine.folder("state")))).workers(1)
}

fn some_commits() -> Arc<Vec<Vec<Visit>>> {
    let mut random = Random(5);
    Arc::new(vec![vec![random.visit(), random.visit()], vec![random.visit()]])
}

fn nothing(_: Epoch, _: &Batches) -> Result<()> {
    Ok(())
}

#[test]
fn a_program_that_cannot_deliver_what_waits_is_refused() {
    let (machine, commits) = (SimulatedDisk::new(), some_commits());
    undelivered(&machine, &commits);
    let figures = support::by_user(&fed(&commits));
    let renamed = run([subscribe(&figures, "another", nothing)], &saved(&machine)).expect_err("its name is another");
    assert_eq!(renamed.kind(), ErrorKind::Changed);
    assert!(renamed.message().contains("the output \"receiver\" is gone"), "{renamed}");

    let fewer = subscribe(&figures.select([("user", col("user"))]), "receiver", nothing);
    let narrowed = run([fewer], &saved(&machine)).expect_err("its columns are others");
    assert_eq!(narrowed.kind(), ErrorKind::Changed);
    assert!(narrowed.message().contains("output \"receiver\": columns were user: str, visits: int"), "{narrowed}");

    let memory = sink(&figures, "receiver", || Ok(Box::new(CollectSink::new())));
    let memory = run([memory], &saved(&machine)).expect_err("it takes everything at once");
    assert!(memory.kind() == ErrorKind::Changed && memory.message().contains("delivers nothing"), "{memory}");

    run([subscribe(&figures, "receiver", nothing)], &saved(&machine)).expect("the program as it was");
    run([subscribe(&figures, "another", nothing)], &saved(&machine)).expect("nothing waits any more");
}

#[test]
fn a_subscription_that_no_longer_waits_begins_with_what_waited() {
    let (machine, commits) = (SimulatedDisk::new(), some_commits());
    undelivered(&machine, &commits);
    let kept = Arc::new(Mutex::new(Kept::default()));
    let receiver = Failing { kept: kept.clone(), fails: None };
    let output = subscribe(&support::by_user(&fed(&commits)), "receiver", receiver).delivery(Delivery::AtOnce);
    run([output], &saved(&machine)).expect("all is well");
    assert_eq!(kept.lock().expect("no panic").sum(), support::expected_by_user(&commits.concat()));
}

#[test]
fn damage_to_what_waits_is_an_error_that_names_the_file() {
    let (machine, commits) = (SimulatedDisk::new(), some_commits());
    undelivered(&machine, &commits);
    let state = machine.folder("state");
    let (directory, manifest) = StateDir::open(Arc::new(state.clone())).expect("the state is whole");
    drop(directory);
    let part = manifest.expect("a checkpoint").sinks[0].outbox[0].place.clone();
    let mut bytes = state.read(&part.blob).expect("power is on").expect("the blob is there").to_vec();
    bytes[(part.offset + part.length / 2) as usize] ^= 1;
    state.put(&part.blob, &bytes);
    let output = subscribe(&support::by_user(&fed(&commits)), "receiver", nothing);
    let error = run([output], &saved(&machine)).expect_err("the bytes are others");
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(error.message().contains(&part.blob), "{error}");
}

#[test]
fn without_a_commit_to_wait_for_changes_come_when_their_epoch_is_done() {
    let commits = some_commits();
    let events = Arc::new(Mutex::new(Vec::new()));
    let (waits, at_once) = (events.clone(), events.clone());
    let table = support::by_user(&fed(&commits));
    let waits = subscribe(&table, "waits", move |epoch: Epoch, _: &Batches| {
        waits.lock().expect("no panic").push(("waits", epoch));
        Ok(())
    });
    let at_once = subscribe(&table, "at once", move |epoch: Epoch, _: &Batches| {
        at_once.lock().expect("no panic").push(("at once", epoch));
        Ok(())
    })
    .delivery(Delivery::AtOnce);
    let outputs = [waits, at_once];
    let order = |options: &RunOptions| {
        run(outputs.clone(), options).expect("all is well");
        let events = std::mem::take(&mut *events.lock().expect("no panic"));
        events.into_iter().map(|(which, _)| which).collect::<Vec<_>>()
    };
    assert_eq!(order(&RunOptions::default().quiet()), ["waits", "at once", "waits", "at once"]);
    let mut options = saved(&SimulatedDisk::new());
    options.checkpoint_every = Duration::ZERO;
    assert_eq!(order(&options), ["at once", "waits", "at once", "waits"]);
}

/// A sink of a program's own that panics where it makes durable what it wrote: at once, or while later epochs run.
struct Panics {
    later: bool,
}

impl Sink for Panics {
    fn open(&mut self, _: &Schema, _: Option<&serde_json::Value>, _: LogicalRun) -> Result<()> {
        Ok(())
    }

    fn write(&self, _: Epoch, _: &Changes) -> Result<()> {
        Ok(())
    }

    fn write_snapshot(&self, _: &Changes) -> Result<()> {
        Ok(())
    }

    fn prepare(&self) -> Result<Prepared> {
        match self.later {
            true => Ok(Prepared::later(self.position(), || panic!("the tape is torn"))),
            false => panic!("the tape is torn"),
        }
    }

    fn position(&self) -> serde_json::Value {
        serde_json::Value::Null
    }

    fn rows_written(&self) -> u64 {
        0
    }
}

#[test]
fn a_panic_at_a_checkpoint_ends_the_run_and_loses_nothing() {
    for (later, what) in [(false, "writing results"), (true, "saving the state")] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut random = Random(5);
        support::append(&folder.path().join("logs"), "a.log", &[random.visit(), random.visit()]);
        let streaming = later.then(|| Streaming { commit_every: Duration::from_millis(5), ..Streaming::default() });
        let table = visits(&folder.path().join("logs"), streaming);
        let options = RunOptions::default().quiet().state_at(folder.path().join("state")).expect("a plain path");
        let options = RunOptions { checkpoint_every: Duration::from_millis(5), ..options.workers(2) };
        let error = run([sink(&table, "tape", move || Ok(Box::new(Panics { later })))], &options).unwrap_err();
        let text = format!(
            "{what} failed: the tape is torn\n\
             hint: a panic is a defect of millpond, or of a source or sink of your own; the last checkpoint is whole"
        );
        assert_eq!((error.kind(), error.to_string()), (ErrorKind::Unavailable, text));
        let table = visits(&folder.path().join("logs"), None);
        let again = run([sink(&table, "tape", || Ok(Box::new(CollectSink::new())))], &options);
        assert_eq!(again.expect("the last checkpoint is whole").rows_read, 2);
    }
}
