//! The column `_metadata` in streaming: one writer appends to files in pieces that are cut at any byte, and each row
//! keeps what its file was when it was read, over restarts, failing disks, static runs in between, and several
//! processes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::support::logs::{Format, Logs};
use crate::support::{Random, Visit};
use millpond::csv::{self, Streaming, WriteMode};
use millpond::{Backend, Cluster, ErrorKind, Result, RunOptions, Table, Type, jsonlines, run};
use millpond_store::{Disk, Failure, Fault, FaultyDisk, LocalDisk, Operations};
use serde_json::Value;

const RESULT: &str = "visits";

/// How many random histories each test plays; `MILLPOND_CASES` says another number.
fn cases() -> u64 {
    std::env::var("MILLPOND_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(60)
}

/// A row, the file that it says it is of, and all that it says of the file.
type Row = (String, Visit, String);

struct History {
    folder: tempfile::TempDir,
    random: Random,
    format: Format,
    append_only: bool,
    logs: Logs,
    began: u64,
}

impl History {
    fn table(&self, streaming: Option<Streaming>) -> Table {
        let schema = [("user", Type::Str.required()), ("time", Type::Int.required()), ("pages", Type::Int.optional())];
        let path = self.folder.path().join(self.format.name());
        let path = path.to_str().expect("a plain path");
        let (name, append_only, with_metadata) = (Some("visits".to_owned()), self.append_only, true);
        let visits = match self.format {
            Format::Csv => {
                let options = csv::ReadOptions { append_only, streaming, name, with_metadata, ..Default::default() };
                csv::read(path, schema).options(options).table()
            }
            Format::JsonLines => {
                let field_paths = vec![("pages".to_owned(), "/page/counts/0".to_owned())];
                let options = jsonlines::ReadOptions {
                    append_only,
                    field_paths,
                    streaming,
                    name,
                    with_metadata,
                    ..Default::default()
                };
                jsonlines::read(path, schema).options(options).table()
            }
        };
        visits.rename([("time", "at")])
    }

    /// A run in so many processes, which here are threads; whether it ended well.
    fn play_run(&mut self, is_streaming: bool, fault: Fault, processes: usize) -> bool {
        let commit_every = Duration::from_millis(self.random.below(4));
        let streaming = is_streaming.then(|| Streaming { commit_every, ..Streaming::default() });
        let state = FaultyDisk::new(LocalDisk::private(self.folder.path().join("state")).expect("a path"), fault);
        let results = state.map(|_| LocalDisk::new(self.folder.path()).expect("a path"));
        let (state, results): (Arc<dyn Disk>, Arc<dyn Disk>) = (Arc::new(state), Arc::new(results));
        let stop = Arc::new(AtomicBool::new(false));
        let checkpoint_every = Duration::from_millis([0, 1, 20][self.random.below(3) as usize]);
        let workers = 1 + self.random.below(3) as usize;
        let listeners: Vec<_> = (0..processes).map(|_| TcpListener::bind("127.0.0.1:0").expect("a port")).collect();
        let address = |listener: &TcpListener| listener.local_addr().expect("an address").to_string();
        let addresses: Vec<String> = listeners.iter().map(address).collect();
        drop(listeners);
        let start = |process: usize| {
            let output = jsonlines::write(&self.table(streaming), RESULT).mode(WriteMode::Append);
            let options = RunOptions {
                state: Some(Backend::disk(state.clone())),
                stop: stop.clone().into(),
                checkpoint_every,
                cluster: Some(match processes {
                    1 => Cluster::alone(),
                    _ => Cluster::new(process, addresses.clone(), None).expect("a cluster"),
                }),
                ..RunOptions::default().quiet().workers(workers)
            };
            let output = output.disk(results.clone());
            thread::spawn(move || run([output], &options).map(drop))
        };
        let running: Vec<_> = (0..processes).map(start).collect();
        if is_streaming {
            for _ in 0..self.random.below(6) {
                self.logs.arrive(&mut self.random, &[self.format], 10);
                thread::sleep(Duration::from_millis(self.random.below(8)));
            }
            stop.store(true, Ordering::Relaxed);
        }
        let ends: Vec<Result<()>> = running.into_iter().map(|thread| thread.join().expect("no panic")).collect();
        for error in ends.iter().filter_map(|end| end.as_ref().err()) {
            // Several processes may be asked to stop before they have found each other.
            let unbegun = is_streaming && processes > 1;
            assert!(fault.at > 0 && error.kind() == ErrorKind::Unavailable || unbegun, "{error}");
        }
        ends.iter().all(Result::is_ok)
    }

    /// The rows that are there after all changes, each with its number of copies.
    fn rows(&self) -> BTreeMap<Row, i64> {
        let text = fs::read_to_string(self.folder.path().join(RESULT)).unwrap_or_default();
        let mut rows: BTreeMap<Row, i64> = BTreeMap::new();
        let mut lines =
            text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line is JSON")).peekable();
        while let Some(line) = lines.next() {
            let visit = Visit {
                user: line["user"].as_str().expect("a user").to_owned(),
                time: line["at"].as_i64().expect("a time"),
                pages: line["pages"].as_i64(),
            };
            let metadata = &line["_metadata"];
            let path = metadata["path"].as_str().expect("a path").to_owned();
            *rows.entry((path, visit, metadata.to_string())).or_default() += line["diff"].as_i64().expect("a diff");
            if lines.peek().is_none_or(|next| next["time"] != line["time"]) {
                assert!(rows.values().all(|count| *count >= 0), "a row is taken back with what it never had: {rows:?}");
            }
        }
        rows.retain(|_, count| *count != 0);
        rows
    }

    /// Checks what all rows of the files say of them.
    fn check(&self) {
        let mut found: BTreeMap<(String, Visit), Vec<u64>> = BTreeMap::new();
        let mut reads: BTreeMap<String, BTreeMap<u64, String>> = BTreeMap::new();
        let now = seconds();
        for ((path, visit, metadata), count) in self.rows() {
            let object: Value = serde_json::from_str(&metadata).expect("an object");
            let number = |name: &str| object[name].as_u64().unwrap_or_else(|| panic!("{name} in {metadata}"));
            for name in ["modified_at", "seen_at"] {
                assert!((self.began..=now).contains(&number(name)), "{name} in {metadata}");
            }
            assert!(object["owner"].is_string(), "{metadata}");
            let copies = found.entry((path.clone(), visit)).or_default();
            copies.extend((0..count).map(|_| number("size")));
            let same = reads.entry(path).or_default().entry(number("size")).or_insert_with(|| metadata.clone());
            assert_eq!(*same, metadata, "rows that were read at once");
        }
        let mut expected: BTreeMap<(String, Visit), Vec<u64>> = BTreeMap::new();
        for (path, end, visit) in self.logs.rows() {
            expected.entry((shown(path), visit.clone())).or_default().push(end);
        }
        let row_counts = |rows: &BTreeMap<(String, Visit), Vec<u64>>| {
            rows.iter().map(|(row, copies)| (row.clone(), copies.len())).collect::<BTreeMap<_, _>>()
        };
        assert_eq!(row_counts(&found), row_counts(&expected), "rows (left), those of the files (right)");
        for ((row, ends), sizes) in expected.iter().zip(found.values_mut()) {
            sizes.sort_unstable();
            for (end, size) in ends.iter().zip(sizes.iter()) {
                // It was read as soon as it was there, perhaps before its newline.
                let sizes: BTreeSet<u64> = reads[&row.0].keys().copied().collect();
                let first = sizes.range(end..).next();
                assert!(
                    Some(size) == first || (*end - 2..*end).contains(size),
                    "{row:?} ends at {end}, read at {size}: {sizes:?}"
                );
            }
        }
    }
}

fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs()
}

fn shown(path: &Path) -> String {
    path.to_str().expect("a plain path").to_owned()
}

fn play(seed: u64, format: Format) {
    let folder = tempfile::tempdir().expect("a directory");
    let mut random = Random(seed);
    let append_only = random.below(3) == 0;
    let logs = Logs::new(folder.path(), &[format]);
    // Times of files may be those of a clock that ticks less often.
    let mut history = History { folder, random, format, append_only, logs, began: seconds() - 1 };
    for _ in 0..2 + history.random.below(4) {
        let is_streaming = history.random.below(3) > 0;
        history.logs.arrive(&mut history.random, &[format], 10);
        if !is_streaming && !append_only {
            history.logs.settle(&mut history.random, &[format]);
        }
        let at = if history.random.below(3) == 0 { 1 + history.random.below(40) } else { 0 };
        let fault = Fault { operations: Operations::Mutating, at, for_ever: true, failure: Failure::Io };
        let processes = if history.random.below(4) == 0 { 2 } else { 1 };
        if history.play_run(is_streaming, fault, processes) {
            // No row is taken back that is not there.
            history.rows();
        }
    }
    history.logs.finish();
    let none = Fault { operations: Operations::Mutating, at: 0, for_ever: false, failure: Failure::Io };
    assert!(history.play_run(false, none, 1));
    history.check();
}

fn check(first_seed: u64, format: Format) {
    for seed in first_seed..first_seed + cases() {
        let played = std::panic::catch_unwind(|| play(seed, format));
        if let Err(panic) = played {
            eprintln!("seed {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn rows_of_csv_files_keep_what_their_file_was() {
    check(1_000_000, Format::Csv);
}

#[test]
fn rows_of_json_lines_keep_what_their_file_was() {
    check(2_000_000, Format::JsonLines);
}
