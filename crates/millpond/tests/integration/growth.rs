//! A job that runs again and again: its state stays as small as its data, and a run costs what it did in the beginning,
//! however many runs there were, whatever the pause between them, whether new rows come in new files or at the end of
//! one.
//!
//! State is on a real directory; what is listed and what time it is are said by the test. `MILLPOND_RUNS=52560` is a
//! year of runs every ten minutes.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::support::Random;
use crate::support::counting::CountingDisk;
use millpond::csv::{self, WriteMode};
use millpond::{Backend, RunOptions, Type, col, count, max, min, run, session};
use millpond_io::files::list::{Found, Listing, Look, Stamp};
use millpond_store::{Disk, LocalDisk, SimulatedDisk};
use tempfile::TempDir;

const SECOND: i64 = 1_000_000_000;
/// Rows that are there before the first run.
const HISTORY: u64 = 20_000;

fn runs() -> u64 {
    std::env::var("MILLPOND_RUNS").map_or(1_000, |runs| runs.parse().expect("a number of runs"))
}

/// A directory in memory, where there is one: a sync costs little there.
fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder")
}

/// Files as they would be listed at a time that the test says.
#[derive(Debug)]
struct Files {
    folder: PathBuf,
    now_ns: Mutex<i64>,
    files: Mutex<BTreeMap<String, Found>>,
}

impl Files {
    fn new(folder: &Path) -> Self {
        let now_ns = Mutex::new(1_700_000_000 * SECOND);
        Files { folder: folder.to_owned(), now_ns, files: Mutex::default() }
    }

    fn wait(&self, ns: i64) {
        *self.now_ns.lock().expect("no test fails with it") += ns;
    }

    /// Adds rows to a file; a new one starts with the header.
    fn append(&self, name: &str, rows: &str) {
        let path = self.folder.join(name);
        let header = if path.exists() { "" } else { "user_id,access_time\n" };
        let mut file = fs::OpenOptions::new().create(true).append(true).open(&path).expect("a file");
        file.write_all(format!("{header}{rows}").as_bytes()).expect("rows");
        let now = *self.now_ns.lock().expect("no test fails with it");
        let stamp = Stamp::of(&fs::metadata(&path).expect("a file"));
        let stamp = Stamp { modified_ns: now, changed_ns: now, ..stamp };
        let found = Found { key: name.to_owned(), path, stamp };
        self.files.lock().expect("no test fails with it").insert(name.to_owned(), found);
    }
}

impl Look for Files {
    fn look(&self, _: &str) -> millpond::Result<(i64, Listing)> {
        let files = self.files.lock().expect("no test fails with it").values().cloned().collect();
        Ok((*self.now_ns.lock().expect("no test fails with it"), Listing { files, ..Listing::default() }))
    }
}

fn play(files: &Arc<Files>, state: Arc<dyn Disk>, out: &SimulatedDisk) -> u64 {
    let read =
        csv::read(files.folder.to_str().expect("a plain path"), [("user_id", Type::Str), ("access_time", Type::Int)]);
    let visits = read.name("logs").table();
    let sessions = visits.windowby(col("access_time"), session().max_gap(300)).instance(col("user_id")).reduce([
        ("user_id", col("user_id")),
        ("start", min(col("access_time"))),
        ("end", max(col("access_time"))),
        ("count", count()),
    ]);
    let look: Arc<dyn Look> = files.clone();
    let options =
        RunOptions { look: Some(look), ..RunOptions::default().quiet().state(Backend::disk(state)).workers(1) };
    let output = csv::write(&sessions, "sessions.csv").mode(WriteMode::Changes).disk(Arc::new(out.clone()));
    run([output], &options).expect("a run").rows_read
}

/// The bytes and the number of files of a state directory.
fn size(state: &Path) -> (u64, u64) {
    let lengths =
        fs::read_dir(state).expect("a state").map(|file| file.and_then(|file| file.metadata()).map(|file| file.len()));
    lengths.fold((0, 0), |(bytes, files), length| (bytes + length.expect("a file"), files + 1))
}

/// What one run on all the files saves.
fn fresh(files: &Arc<Files>) -> (u64, u64) {
    let folder = folder();
    let state = folder.path().join("state");
    play(files, Arc::new(LocalDisk::private(&state).expect("a path")), &SimulatedDisk::new());
    size(&state)
}

/// Runs after pauses of `pause` nanoseconds, each with new rows in the file that `file` names.
fn check(seed: u64, history: u64, pause: fn(&mut Random) -> i64, file: fn(u64, &mut Random) -> String) {
    let (logs, folder) = (self::folder(), self::folder());
    let state = folder.path().join("state");
    let files = Arc::new(Files::new(logs.path()));
    let mut random = Random(seed);
    let visit = |random: &mut Random| format!("user {},{}\n", random.below(HISTORY / 5), random.below(1 << 27));
    files.append("history.csv", &(0..history).map(|_| visit(&mut random)).collect::<String>());
    files.wait(60 * SECOND);
    let disk = CountingDisk::new(LocalDisk::private(&state).expect("a path"));
    assert_eq!(play(&files, Arc::new(disk.clone()), &SimulatedDisk::new()), history);
    let (_, first_files) = size(&state);

    // Bytes written and files opened by each run.
    let mut costs: VecDeque<(u64, u64)> = VecDeque::new();
    let runs = runs();
    let mut last = fresh(&files);
    for number in 1..=runs {
        files.wait(pause(&mut random));
        files.append(&file(number, &mut random), &visit(&mut random));
        let before = disk.counts();
        assert_eq!(play(&files, Arc::new(disk.clone()), &SimulatedDisk::new()), 1);
        let after = disk.counts();
        costs.push_back((after.0 - before.0, after.1 - before.1));
        let (bytes, count) = size(&state);
        // A state of a few rows is mostly what it costs to have one.
        let most = |fresh: u64| 2 * fresh + (16 << 10);
        // The last fresh run had fewer rows; another is only made where that one does not say enough.
        if bytes > most(last.0) || number % (runs / 10).max(1) == 0 {
            last = fresh(&files);
        }
        assert!(
            bytes <= most(last.0) && count <= 3 * first_files,
            "after run {number}: {bytes} bytes, {count} files; afresh {last:?}"
        );
    }
    let (bytes, count) = size(&state);
    println!("{runs} runs: {bytes} bytes in {count} files; afresh {last:?}");
    let hundred = 100.min(costs.len() / 3);
    let sum =
        |costs: &mut dyn Iterator<Item = &(u64, u64)>| costs.fold((0, 0), |sum, cost| (sum.0 + cost.0, sum.1 + cost.1));
    let (start, end) = (sum(&mut costs.iter().take(hundred)), sum(&mut costs.iter().rev().take(hundred)));
    println!("bytes written and files opened by the first {hundred} runs: {start:?}, by the last: {end:?}");
    // A row is written once more for each level that it goes through, and there are as many levels as the logarithm of the
    // rows: next to nothing more where there was history, twice as many after a year of a job that started with no rows.
    let levels = ((history + runs) as f64).ln() / ((history + hundred as u64) as f64).ln();
    let most = |start: u64| 1.5 * levels * start as f64;
    assert!(
        end.0 as f64 <= most(start.0) && end.1 as f64 <= most(start.1),
        "{start:?}, then {end:?}; levels × {levels}"
    );
}

#[test]
fn rows_at_the_end_of_one_file_back_to_back() {
    check(1, HISTORY, |_| 0, |_, _| "today.csv".to_owned());
}

#[test]
fn rows_at_the_end_of_one_file_every_ten_minutes() {
    check(2, HISTORY, |_| 600 * SECOND, |_, _| "today.csv".to_owned());
}

#[test]
fn new_files_some_seconds_apart() {
    check(3, HISTORY, |_| 5 * SECOND, |number, _| format!("{number:06}.csv"));
}

#[test]
fn old_and_new_files_after_pauses_of_any_length() {
    let pause = |random: &mut Random| [0, SECOND / 1000, SECOND, 90 * SECOND, 3600 * SECOND][random.below(5) as usize];
    check(4, HISTORY, pause, |number, random| match random.below(3) {
        0 => format!("{number:06}.csv"),
        file => format!("{:06}-{file}.csv", number / 50),
    });
}

#[test]
fn a_job_that_starts_with_nothing() {
    check(5, 1, |random| random.below(3) as i64 * SECOND, |number, _| format!("{}.csv", number / 100));
}
