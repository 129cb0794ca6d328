//! A random program over files that grow, in runs that are stopped, cut off and started again: after every run that
//! ends well, the results of each epoch are what the simplest code makes of the rows that came up to it.
//!
//! The rows that came, and when, are a result as well: every run also writes the visits themselves. So the history of
//! epochs is what the runs recorded, whatever they saw of the files, and the simplest code replays it. In the end, what
//! was recorded adds up to what the files hold, and so do a snapshot, the logs of single runs, and one run from
//! nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use millpond::csv::{self, Streaming, WriteMode};
use millpond::{Backend, Result, RunOptions, Table, Type, col, jsonlines, run};
use millpond_store::{Disk, LocalDisk, StateDir};
use serde::{Deserialize, Serialize};

use super::logs::{Format, Logs};
use super::programs::Program;
use super::{Random, Rows, Visit, add, as_csv, epochs_of, quoted, snapshot_rows};

/// Long enough on any machine for what takes some milliseconds.
const PATIENCE: Duration = Duration::from_secs(60);
const THREADS: u64 = 4;
/// Rows of more bytes than a process reads alone in an epoch.
const FLOOD: u64 = 60_000;
const VISITS: &str = "visits.csv";
const RESULT: &str = "result";
const TABLE: &str = "table.csv";
const CHANGES: &str = "changes.csv";

/// One run: all that one of its processes has to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    /// Chooses the program.
    pub seed: u64,
    pub folder: PathBuf,
    /// The formats that there are; those that are watched, and not only read.
    pub formats: Vec<Format>,
    pub watched: Vec<Format>,
    pub append_only: bool,
    pub json_result: bool,
    pub workers: usize,
    pub commit_every_ms: u64,
    pub checkpoint_every_ms: u64,
    /// Chooses how much memory there is.
    pub memory_seed: u64,
}

/// The disks of a run: for the state, if it is saved, and for the results.
pub(crate) struct Disks {
    pub state: Option<Arc<dyn Disk>>,
    pub results: Arc<dyn Disk>,
}

impl Job {
    /// The disks of a run that nothing happens to.
    pub(crate) fn disks(&self) -> Disks {
        Disks { state: Some(Arc::new(self.state())), results: Arc::new(self.results("results")) }
    }

    pub(crate) fn state(&self) -> LocalDisk {
        LocalDisk::private(self.folder.join("state")).expect("a path")
    }

    pub(crate) fn results(&self, folder: &str) -> LocalDisk {
        LocalDisk::new(self.folder.join(folder)).expect("a path")
    }

    fn visits(&self, format: Format) -> Table {
        let schema = [("user", Type::Str.required()), ("time", Type::Int.required()), ("pages", Type::Int.optional())];
        let path = self.folder.join(format.name());
        let path = path.to_str().expect("a plain path");
        let (name, append_only) = (Some(format.name().to_owned()), self.append_only);
        let commit_every = Duration::from_millis(self.commit_every_ms);
        let streaming = Streaming { commit_every, ..Streaming::default() };
        let streaming = self.watched.contains(&format).then_some(streaming);
        match format {
            Format::Csv => {
                let options = csv::ReadOptions { append_only, streaming, name, ..csv::ReadOptions::default() };
                csv::read(path, schema).options(options).table()
            }
            Format::JsonLines => {
                let field_paths = vec![("pages".to_owned(), "/page/counts/0".to_owned())];
                let options =
                    jsonlines::ReadOptions { append_only, field_paths, streaming, name, ..Default::default() };
                jsonlines::read(path, schema).options(options).table()
            }
        }
    }

    fn program(&self) -> Program {
        Program::any(&mut Random(self.seed))
    }

    fn tables(&self) -> (Table, Table) {
        let mut visits = self.formats.iter().map(|format| self.visits(*format));
        let first = visits.next().expect("a format");
        let visits = visits.fold(first, |all, visits| all.concat([&visits]));
        let result = (self.program().table)(&visits);
        (visits, result)
    }

    /// The columns of the result, if it is written as JSON lines.
    fn json_columns(&self, result: &Table) -> Option<Vec<String>> {
        let schema = result.schema().expect("a program without mistakes");
        let names: Vec<String> = schema.columns().iter().map(|column| column.name.clone()).collect();
        // These are the names of the fields of a change.
        let is_json = self.json_result && !names.iter().any(|name| ["time", "diff"].contains(&name.as_str()));
        is_json.then_some(names)
    }

    /// Runs the program.
    ///
    /// # Errors
    /// As [`run`].
    pub(crate) fn run(&self, disks: Disks, stop: Arc<AtomicBool>) -> Result<()> {
        let (visits, result) = self.tables();
        let visits = visits.select([("user", col("user")), ("at", col("time")), ("pages", col("pages"))]);
        let log = match self.json_columns(&result) {
            Some(_) => jsonlines::write(&result, RESULT),
            None => csv::write(&result, RESULT),
        };
        let outputs = [
            csv::write(&visits, VISITS).mode(WriteMode::Append),
            log.mode(WriteMode::Append),
            csv::write(&result, TABLE).mode(WriteMode::Snapshot),
            csv::write(&result, CHANGES).mode(WriteMode::Changes),
        ];
        let options = RunOptions {
            state: disks.state.map(Backend::disk),
            stop: stop.into(),
            checkpoint_every: Duration::from_millis(self.checkpoint_every_ms),
            memory: super::memory(&mut Random(self.memory_seed), self.workers),
            ..RunOptions::default().quiet().workers(self.workers)
        };
        run(outputs.map(|output| output.disk(disks.results.clone())), &options).map(drop)
    }
}

/// How a run comes to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Static input is read, or the run is asked to stop.
    Well,
    /// At some point in the middle, without a commit.
    CutOff,
}

/// How it did end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Well,
    CutOff,
    /// It was asked to stop before it had begun, and has done nothing.
    Unbegun,
}

/// A run that goes on.
pub(crate) trait Running {
    fn is_finished(&mut self) -> bool;

    /// Asks it to stop.
    fn stop(&mut self);

    /// Cuts it off, or waits until something does so.
    fn cut_off(&mut self, random: &mut Random);

    /// Waits for its end.
    ///
    /// # Panics
    /// Where it ended in another way than it may.
    fn join(self: Box<Self>) -> Ended;
}

/// Starts a run that is to end like this.
pub(crate) type Start = dyn Fn(&Job, Ending, &mut Random) -> Box<dyn Running> + Sync;

/// All runs over the same files and the same state.
pub(crate) struct History {
    job: Job,
    _folder: tempfile::TempDir,
    random: Random,
    program: Program,
    logs: Logs,
    /// What the logs of visits and of results held when a run last ended well.
    committed: [String; 2],
    /// The visits that were recorded, and the results.
    visits: Rows,
    results: Rows,
    /// The changes of results by epoch, and those in the logs of single runs.
    epochs: BTreeMap<u64, Rows>,
    of_runs: BTreeMap<u64, Rows>,
    /// The number of the run that is next.
    next_run: u64,
    cut_off: u64,
    floods: bool,
}

impl History {
    /// Plays so many histories; returns how many runs were cut off. With `floods`, so much comes now and then that all
    /// processes read.
    ///
    /// # Panics
    /// Where a promise does not hold; the message says the seed and the program.
    pub(crate) fn play_all(first_seed: u64, cases: u64, formats: &[Format], floods: bool, start: &Start) -> u64 {
        // They mostly wait: for the disk, and for each other.
        let seeds = |thread| (first_seed + thread..first_seed + cases).step_by(THREADS as usize);
        let play = |thread| seeds(thread).map(|seed| History::play(seed, formats, floods, start)).sum::<u64>();
        thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || play(thread))).collect();
            let cut_off = threads.into_iter().map(|thread| thread.join().expect("the law holds"));
            cut_off.sum()
        })
    }

    fn play(seed: u64, formats: &[Format], floods: bool, start: &Start) -> u64 {
        let mut random = Random(seed.wrapping_mul(31));
        let folder = tempfile::tempdir().expect("a directory");
        let job = Job {
            seed,
            folder: folder.path().to_owned(),
            formats: formats.to_vec(),
            watched: Vec::new(),
            append_only: random.below(3) == 0,
            json_result: random.below(3) == 0,
            workers: 1,
            commit_every_ms: 0,
            checkpoint_every_ms: 0,
            memory_seed: 0,
        };
        let program = job.program();
        // The simplest code for windows tries thousands of them for each visit.
        let floods = floods && !program.name.contains("windows");
        let story = format!("seed {seed}, {formats:?}, {}", program.name);
        let mut history = History {
            logs: Logs::new(&job.folder, formats),
            job,
            _folder: folder,
            random,
            program,
            committed: Default::default(),
            visits: Rows::new(),
            results: Rows::new(),
            epochs: BTreeMap::new(),
            of_runs: BTreeMap::new(),
            next_run: 1,
            floods,
            cut_off: 0,
        };
        let played = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..2 + history.random.below(4) {
                history.play_run(start);
            }
            history.play_last(start);
        }));
        if let Err(panic) = played {
            eprintln!("{story}: {:?}", history.job);
            std::panic::resume_unwind(panic);
        }
        history.cut_off
    }

    fn play_run(&mut self, start: &Start) {
        let (random, formats) = (&mut self.random, self.job.formats.clone());
        let ending = if random.below(3) == 0 { Ending::CutOff } else { Ending::Well };
        let is_watched = |random: &mut Random| random.below(4) > 0;
        let watched: Vec<Format> = formats.iter().copied().filter(|_| is_watched(random)).collect();
        for _ in 0..random.below(3) {
            self.logs.arrive(random, &formats, 10);
        }
        let read_once: Vec<Format> = formats.iter().copied().filter(|format| !watched.contains(format)).collect();
        if !self.job.append_only {
            self.logs.settle(random, &read_once);
        }
        self.job.watched = watched.clone();
        self.job.workers = 1 + random.below(4) as usize;
        self.job.commit_every_ms = random.below(4);
        self.job.checkpoint_every_ms = [0, 1, 20][random.below(3) as usize];
        self.job.memory_seed = random.next();
        let mut running = start(&self.job, ending, random);
        if !watched.is_empty() {
            for _ in 0..random.below(5) {
                let is_flood = self.floods && random.below(20) == 0;
                self.logs.arrive(random, &watched, if is_flood { FLOOD } else { 10 });
                thread::sleep(Duration::from_millis(random.below(8)));
            }
        }
        match ending {
            Ending::CutOff => running.cut_off(&mut self.random),
            // Some runs are stopped when all is read, others with input that waits for the next one.
            Ending::Well if watched == formats && self.random.below(3) > 0 => {
                self.logs.finish();
                let begin = Instant::now();
                while !self.is_recorded() && !running.is_finished() {
                    assert!(begin.elapsed() < PATIENCE, "what is written is read");
                    thread::sleep(Duration::from_millis(1));
                }
            }
            Ending::Well => {}
        }
        if !watched.is_empty() {
            running.stop();
        }
        match running.join() {
            Ended::Well => {
                self.ended_well();
                if watched.is_empty() {
                    let last_rows = if self.job.append_only { Vec::new() } else { self.logs.last_rows(&formats) };
                    let rows = as_rows(self.logs.visits().iter().chain(&last_rows));
                    assert_eq!(self.visits, rows, "the visits that were read (left), those of the files (right)");
                }
            }
            Ended::CutOff => {
                assert_eq!(ending, Ending::CutOff, "nothing happened to the run");
                self.cut_off += 1;
                self.take_log_of_run();
            }
            Ended::Unbegun => assert!(!self.take_log_of_run(), "a run that did not begin did something"),
        }
    }

    /// A run that reads all, with the state, and one without.
    fn play_last(&mut self, start: &Start) {
        self.logs.finish();
        let all = self.logs.visits();
        self.job.watched.clear();
        let ended = start(&self.job, Ending::Well, &mut self.random).join();
        assert_eq!(ended, Ended::Well, "nothing happened to the last run");
        self.ended_well();
        assert_eq!(self.visits, as_rows(&all), "the visits that were read (left), all (right)");
        assert_eq!(self.epochs, self.of_runs, "the log of all runs (left), the logs of single runs (right)");

        let job = Job { workers: 1 + self.random.below(3) as usize, ..self.job.clone() };
        let disks = Disks { state: None, results: Arc::new(job.results("at once")) };
        job.run(disks, Arc::default()).unwrap_or_else(|error| panic!("a run from nothing: {error}"));
        let at_once = snapshot_rows(&self.read("at once", TABLE));
        assert_eq!(at_once, (job.program().expect)(&all), "one run from nothing (left), the simplest code (right)");
        if !self.program.by_epoch {
            assert_eq!(self.results, at_once, "all runs (left), one run from nothing (right)");
        }
    }

    fn read(&self, folder: &str, file: &str) -> String {
        fs::read_to_string(self.job.folder.join(folder).join(file)).unwrap_or_default()
    }

    /// Whether the visits that are written are recorded by the run that goes on.
    fn is_recorded(&self) -> bool {
        let text = self.read("results", VISITS);
        // Half of a line, or of an epoch, may be there.
        let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
        let mut rows = Rows::new();
        for (_, changes) in epochs_of(whole).unwrap_or_default() {
            changes.into_iter().for_each(|(row, diff)| *rows.entry(row).or_default() += diff);
        }
        rows.retain(|_, count| *count != 0);
        rows == as_rows(&self.logs.visits())
    }

    /// Checks what is there at the end of a run, epoch by epoch.
    fn ended_well(&mut self) {
        assert!(self.take_log_of_run(), "a run that ends well is finished");
        let result = self.read("results", RESULT);
        let result = match self.job.json_columns(&self.job.tables().1) {
            Some(names) => as_csv(&result, &names.iter().map(String::as_str).collect::<Vec<_>>()),
            None => result,
        };
        let logs = [self.read("results", VISITS), result];
        let new = [0, 1].map(|log| {
            let (before, now) = (&self.committed[log], &logs[log]);
            assert!(now.starts_with(before.as_str()), "what was committed is other now:\n{before}\n{now}");
            let known = epochs_of(before).expect("a log").len();
            epochs_of(now).unwrap_or_else(|problem| panic!("{problem}")).split_off(known)
        });
        self.committed = logs;
        let [visits, results] = new;
        let mut results: BTreeMap<u64, Rows> = results.into_iter().collect();
        for (epoch, changes) in visits {
            add(&mut self.visits, &changes);
            let found = results.remove(&epoch).unwrap_or_default();
            add(&mut self.results, &found);
            let expected = (self.program.expect)(&as_visits(&self.visits));
            assert_eq!(self.results, expected, "epoch {epoch}: written (left), expected (right)");
            if !found.is_empty() {
                self.epochs.insert(epoch, found);
            }
        }
        assert_eq!(results, BTreeMap::new(), "changes in an epoch without input");
        assert_eq!(snapshot_rows(&self.read("results", TABLE)), self.results, "snapshot (left), changes (right)");
    }

    /// Adds the log of a single run, if that is finished: a run that was cut off goes on with it.
    fn take_log_of_run(&mut self) -> bool {
        let (state, _) = StateDir::open(Arc::new(self.job.state())).expect("the state is whole");
        let next_run = state.logical_run().number;
        if next_run == self.next_run {
            return false;
        }
        assert_eq!(next_run, self.next_run + 1, "runs are numbered");
        self.next_run = next_run;
        let changes = epochs_of(&self.read("results", CHANGES)).unwrap_or_else(|problem| panic!("{problem}"));
        for (epoch, changes) in changes {
            assert!(self.of_runs.insert(epoch, changes).is_none(), "epoch {epoch} is in the logs of two runs");
        }
        true
    }
}

/// Visits as rows of their log.
fn as_rows<'a>(visits: impl IntoIterator<Item = &'a Visit>) -> Rows {
    let mut rows = Rows::new();
    for Visit { user, time, pages } in visits {
        let pages = pages.map(|pages| pages.to_string()).unwrap_or_default();
        *rows.entry(format!("{},{time},{pages}", quoted(user))).or_default() += 1;
    }
    rows
}

/// The visits of rows of their log.
fn as_visits(rows: &Rows) -> Vec<Visit> {
    let visit = |row: &str| {
        let mut fields = row.rsplitn(3, ',');
        let (pages, time, user) = (fields.next(), fields.next(), fields.next());
        let (pages, time, user) = pages.zip(time).zip(user).map(|((pages, time), user)| (pages, time, user))?;
        let user = user.strip_prefix('"')?.strip_suffix('"')?.replace("\"\"", "\"");
        let pages = if pages.is_empty() { None } else { Some(pages.parse().ok()?) };
        Some(Visit { user, time: time.parse().ok()?, pages })
    };
    let copies = rows.iter().map(|(row, count)| {
        let visit = visit(row).unwrap_or_else(|| panic!("no visit: {row}"));
        std::iter::repeat_n(visit, *count as usize)
    });
    copies.flatten().collect()
}
