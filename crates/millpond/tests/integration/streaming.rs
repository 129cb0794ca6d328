//! The law in streaming: files arrive and grow while programs run, programs are stopped and started again, in streaming
//! and in static mode by turns, with other numbers of workers and other rhythms of checkpoints; the sum of all emitted
//! changes is one computation over the final input. Some histories are of CSV files, others of JSON lines.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{self, Random, Rows, Visit};
use millpond::csv::{self, ReadOptions, Streaming, WriteMode};
use millpond::{Backend, RunOptions, Table, Type, jsonlines, run};

/// Long enough on any machine for what takes some milliseconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many random histories each test plays; `MILLPOND_CASES` says another number.
fn cases() -> u64 {
    std::env::var("MILLPOND_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(25)
}

fn visits(logs: &Path, append_only: bool, streaming: Option<Streaming>) -> Table {
    let schema = [("user", Type::Str.required()), ("time", Type::Int.required()), ("pages", Type::Int.optional())];
    let options = ReadOptions { append_only, streaming, name: Some("visits".into()), ..ReadOptions::default() };
    csv::read(logs.to_str().expect("a plain path"), schema).options(options).table()
}

fn json_visits(logs: &Path, append_only: bool, streaming: Option<Streaming>) -> Table {
    let schema = [("user", Type::Str.required()), ("time", Type::Int.required()), ("pages", Type::Int.optional())];
    let field_paths = vec![("pages".to_owned(), "/page/counts/0".to_owned())];
    let name = Some("visits".into());
    let options = jsonlines::ReadOptions { append_only, field_paths, streaming, name, ..Default::default() };
    jsonlines::read(logs.to_str().expect("a plain path"), schema).options(options).table()
}

struct History {
    folder: tempfile::TempDir,
    random: Random,
    mode: WriteMode,
    append_only: bool,
    json_lines: bool,
    all: Vec<Visit>,
    /// What the logs of the runs before add up to.
    before: Rows,
    /// The log of the run before, which stands until the first commit of the next one.
    last_log: String,
}

impl History {
    fn new(seed: u64, mode: WriteMode) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("logs")).expect("a folder for logs");
        let append_only = seed.is_multiple_of(2);
        History {
            folder,
            random: Random(seed),
            mode,
            append_only,
            json_lines: seed.is_multiple_of(3),
            all: Vec::new(),
            before: Rows::new(),
            last_log: String::new(),
        }
    }

    fn arrive(&mut self) {
        let batch: Vec<Visit> = (0..self.random.below(12)).map(|_| self.random.visit()).collect();
        let file = format!("{}.log", self.random.below(4));
        let append = if self.json_lines { support::append_json } else { support::append };
        append(&self.folder.path().join("logs"), &file, &batch);
        self.all.extend(batch);
    }

    fn result(&self) -> PathBuf {
        self.folder.path().join(if self.json_lines { "sessions.jsonl" } else { "sessions.csv" })
    }

    fn log(&self) -> String {
        fs::read_to_string(self.result()).unwrap_or_default()
    }

    /// What all runs so far have emitted.
    fn emitted(&self) -> Rows {
        let text = self.log();
        // A reader may see half of a last line.
        let mut text = text[..text.rfind('\n').map_or(0, |end| end + 1)].to_owned();
        if text.is_empty() || self.mode == WriteMode::Changes && text == self.last_log {
            return self.before.clone();
        }
        if self.json_lines {
            text = support::as_csv(&text, &["user", "start", "finish", "visits", "pages"]);
        }
        let mut rows = if self.mode == WriteMode::Changes { self.before.clone() } else { Rows::new() };
        match self.mode {
            WriteMode::Snapshot => rows = support::snapshot_rows(&text),
            WriteMode::Changes | WriteMode::Append => drop(support::add_changes(&mut rows, &text)),
        }
        rows
    }

    fn play_run(&mut self, streaming: Option<Streaming>) -> millpond::Result<()> {
        let visits = if self.json_lines { json_visits } else { visits };
        let sessions = support::sessions(&visits(&self.folder.path().join("logs"), self.append_only, streaming));
        let path = self.result();
        let path = path.to_str().expect("a plain path");
        let output = if self.json_lines { jsonlines::write(&sessions, path) } else { csv::write(&sessions, path) };
        let output = output.mode(self.mode);
        let stop = Arc::new(AtomicBool::new(false));
        let state = Backend::filesystem(self.folder.path().join("state"))?;
        let workers = 1 + self.random.below(3) as usize;
        let mut options = RunOptions::default().quiet().state(state).workers(workers);
        options.memory = support::memory(&mut self.random, workers);
        options.stop = stop.clone().into();
        options.checkpoint_every = Duration::from_millis([0, 1, 20][self.random.below(3) as usize]);
        if streaming.is_none() {
            return run([output], &options).map(drop);
        }
        let running = thread::spawn(move || run([output], &options).map(drop));
        for _ in 0..self.random.below(4) {
            self.arrive();
            thread::sleep(Duration::from_millis(self.random.below(8)));
        }
        // Some runs are stopped when all is read, others with input that waits for the next one.
        if self.random.below(3) > 0 {
            let expected = support::expected_sessions(&self.all);
            let begin = Instant::now();
            while self.emitted() != expected && !running.is_finished() && begin.elapsed() < PATIENCE {
                thread::sleep(Duration::from_millis(1));
            }
        }
        stop.store(true, Ordering::Relaxed);
        running.join().expect("the run does not panic")
    }
}

fn check(seed: u64, mode: WriteMode) {
    let mut history = History::new(seed, mode);
    for number in 0..1 + history.random.below(4) {
        let streaming = history.random.below(4) > 0;
        let commit_every = Duration::from_millis(history.random.below(4));
        let streaming = streaming.then(|| Streaming { commit_every, ..Streaming::default() });
        history.play_run(streaming).unwrap_or_else(|error| panic!("seed {seed}, run {number}: {error}"));
        history.before = history.emitted();
        history.last_log = history.log();
    }
    history.play_run(None).unwrap_or_else(|error| panic!("seed {seed}, last run: {error}"));
    assert_eq!(history.emitted(), support::expected_sessions(&history.all), "seed {seed}");
}

fn check_all(first_seed: u64, mode: WriteMode) {
    (first_seed..first_seed + cases()).for_each(|seed| check(seed, mode));
}

#[test]
fn change_logs_of_all_runs_add_up() {
    check_all(1_000, WriteMode::Changes);
}

#[test]
fn an_appended_log_adds_up() {
    check_all(2_000, WriteMode::Append);
}

#[test]
fn a_snapshot_becomes_the_present_table() {
    check_all(3_000, WriteMode::Snapshot);
}

#[test]
fn what_was_read_is_there_when_nothing_else_arrives() {
    let mut history = History::new(2, WriteMode::Changes);
    history.arrive();
    let expected = support::expected_sessions(&history.all);
    let visits = visits(&history.folder.path().join("logs"), false, Some(Streaming::default()));
    let path = history.result();
    let output = csv::write(&support::sessions(&visits), path.to_str().expect("a plain path"));
    let stop = Arc::new(AtomicBool::new(false));
    let options = RunOptions { stop: stop.clone().into(), ..RunOptions::default().quiet() };
    let running = thread::spawn(move || run([output], &options).map(drop));
    let begin = Instant::now();
    while history.emitted() != expected && begin.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(history.emitted(), expected);
    stop.store(true, Ordering::Relaxed);
    running.join().expect("the run does not panic").expect("a run without saved state ends well, too");
}
