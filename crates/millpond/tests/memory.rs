//! A first run over ten times as much input as it may take memory: the same result, and no more memory.
//!
//! The programs are this very test program, told by environment variables what to do; so it has a `main` of its own.
//! Each runs in a control group that ends what takes more, where one can be made; anyway it looks all the time how much
//! memory it has that is its own.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use millpond::connector::{Batches, Epoch, subscribe};
use millpond::{
    Output, Result, RunOptions, Table, Type, col, count, csv, left, max, min, right, run, session, sliding,
};
use xxhash_rust::xxh3::xxh3_64;

const FORM: &str = "MILLPOND_TEST_FORM";
/// Bytes that a program may take.
const LIMIT: u64 = 32 << 20;
/// What it is killed for: what is left of the program, its threads and their stacks comes on top of the limit.
const MOST: u64 = LIMIT / 10 * 13;
const INPUT: u64 = 10 * LIMIT;
const USERS: u64 = 100_000;
const FORMS: [&str; 6] = ["sessions", "hot user", "sliding windows", "subscribe", "join", "snapshot"];

fn main() -> ExitCode {
    if let Ok(form) = std::env::var(FORM) {
        return millpond::main(|| play(&form));
    }
    let folder = tempfile::tempdir().expect("a folder");
    generate(folder.path());
    let group = Group::new();
    // With saved state and without take turns, beginning anywhere; `make torture` runs all.
    let turn = std::process::id() as usize;
    let all = std::env::var_os("MILLPOND_TORTURE").is_some();
    let mut failed = false;
    for (number, form) in FORMS.into_iter().enumerate() {
        let expected = run_form(form, folder.path(), &[], None);
        for saved in [false, true] {
            if !all && saved != (number + turn).is_multiple_of(2) {
                continue;
            }
            let (limit, state) = (LIMIT.to_string(), if saved { "state" } else { "" });
            let variables = [("MILLPOND_MEMORY", limit.as_str()), ("STATE", state)];
            let found = run_form(form, folder.path(), &variables, group.as_ref());
            assert_eq!(found.result, expected.result, "{form}, state {state:?}");
            failed |= found.peak > MOST;
            let (took, without) = (mb(found.peak), mb(expected.peak));
            println!("{form:16} {state:6} {took:4.1} MB, without a limit {without:4.0} MB");
        }
    }
    assert!(!failed, "at most {:.1} MB of memory", mb(MOST));
    ExitCode::SUCCESS
}

fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// Visits, of which one user has half in `hot`, and users.
fn generate(folder: &Path) {
    let mut seed = 7u64;
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        seed >> 33
    };
    for name in ["visits", "hot"] {
        let mut file = BufWriter::new(File::create(folder.join(name)).expect("a file"));
        let mut bytes = 0;
        writeln!(file, "user,time,page").expect("room");
        for row in 0.. {
            let user = if name == "hot" && row % 2 == 0 { 0 } else { next() % USERS };
            let line = format!(
                "user{user:06},{},/articles/{:05}/a-page-with-a-name-of-its-own?and=a&query=as&long=as&many=are&which=all&have&in=common\n",
                row / 4 + next() % 3000,
                next() % 50_000
            );
            file.write_all(line.as_bytes()).expect("room");
            bytes += line.len() as u64;
            if bytes >= INPUT {
                break;
            }
        }
    }
    let users: String = (0..USERS).map(|user| format!("user{user:06},country {}\n", user % 190)).collect();
    fs::write(folder.join("users"), format!("name,country\n{users}")).expect("room");
}

struct Played {
    /// The number of lines of the result, and the sum of their hashes.
    result: String,
    /// The most bytes of memory of its own that it had.
    peak: u64,
}

fn run_form(form: &str, folder: &Path, variables: &[(&str, &str)], group: Option<&Group>) -> Played {
    let place = tempfile::tempdir_in(folder).expect("a folder");
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.env(FORM, form).env("MILLPOND_WORKERS", "2").envs(variables.iter().copied()).current_dir(place.path());
    if let Some(group) = group {
        command.env("GROUP", &group.0);
    }
    let ended = command.output().expect("a process");
    let (said, error) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert!(ended.status.success(), "{form}, {variables:?}: {}: {error}", ended.status);
    let (result, peak) = said.trim().rsplit_once(' ').expect("a result and a number");
    Played { result: result.to_owned(), peak: peak.parse().expect("a number of bytes") }
}

fn play(form: &str) -> Result<()> {
    if let Ok(group) = std::env::var("GROUP") {
        fs::write(Path::new(&group).join("cgroup.procs"), "0").expect("a control group");
    }
    let peak = Peak::watch();
    let visits = |name: &str| {
        csv::read(format!("../{name}"), [("user", Type::Str), ("time", Type::Int), ("page", Type::Str)])
            .name(name)
            .table()
    };
    let sessions = |visits: &Table| {
        visits.windowby(col("time"), session().max_gap(300)).instance(col("user")).reduce([
            ("user", col("user")),
            ("start", min(col("time"))),
            ("finish", max(col("time"))),
            ("visits", count()),
            ("last", max(col("page"))),
        ])
    };
    let seen = Arc::new((AtomicU64::new(0), AtomicU64::new(0)));
    let write = |table: &Table| csv::write(table, "result.csv");
    let output: Output = match form {
        "sessions" => write(&sessions(&visits("visits"))),
        "hot user" => write(&sessions(&visits("hot"))),
        "sliding windows" => {
            let windows = visits("visits").windowby(col("time"), sliding(100).duration(300)).instance(col("user"));
            write(&windows.reduce([("user", col("user")), ("visits", count()), ("last", max(col("page")))]))
        }
        "subscribe" => {
            let seen = seen.clone();
            subscribe(&sessions(&visits("visits")), "seen", move |_: Epoch, changes: &Batches| {
                for changes in changes {
                    let changes = changes?;
                    let visits = changes.columns[3].to_data();
                    let visits: i64 =
                        visits.buffers()[0].typed_data::<i64>()[visits.offset()..][..changes.rows].iter().sum();
                    seen.0.fetch_add(changes.rows as u64, Ordering::Relaxed);
                    seen.1.fetch_add(visits as u64, Ordering::Relaxed);
                }
                Ok(())
            })
        }
        "join" => {
            let users = csv::read("../users", [("name", Type::Str), ("country", Type::Str)]).name("users").table();
            let joined = visits("visits").join(&users, [left("user").eq(right("name"))]);
            write(&joined.select([("country", right("country")), ("at", left("time")), ("page", left("page"))]))
        }
        "snapshot" => write(&sessions(&visits("visits"))).mode(csv::WriteMode::Snapshot),
        other => unreachable!("{other}"),
    };
    let mut options = RunOptions::default().quiet();
    if std::env::var("STATE").is_ok_and(|state| !state.is_empty()) {
        options = options.state_at("state")?;
    }
    run([output], &options)?;
    let peak = peak.end();
    let (mut lines, mut sum) = (seen.0.load(Ordering::Relaxed), seen.1.load(Ordering::Relaxed));
    if let Ok(file) = File::open("result.csv") {
        // The first line has the names; the last but one column of changes is the time.
        let mut reader = BufReader::new(file);
        let mut line = String::new();
        let has_time = reader.read_line(&mut line).is_ok() && line.contains(",time,diff");
        loop {
            line.clear();
            if reader.read_line(&mut line).expect("a result") == 0 {
                break;
            }
            let mut fields: Vec<&str> = line.trim_end().split(',').collect();
            if has_time {
                fields.remove(fields.len() - 2);
            }
            lines += 1;
            sum = sum.wrapping_add(xxh3_64(fields.join(",").as_bytes()));
        }
    }
    println!("{lines} {sum:016x} {peak}");
    Ok(())
}

/// Looks how much memory this process has that is its own.
struct Peak {
    ended: Arc<AtomicBool>,
    thread: thread::JoinHandle<u64>,
}

impl Peak {
    fn watch() -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let watched = ended.clone();
        let thread = thread::spawn(move || {
            let mut most = 0;
            while !watched.load(Ordering::Relaxed) {
                let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
                let anonymous = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
                let kb = anonymous.and_then(|text| text.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
                most = kb.map_or(most, |kb| most.max(kb * 1024));
                thread::sleep(Duration::from_millis(1));
            }
            most
        });
        Peak { ended, thread }
    }

    fn end(self) -> u64 {
        self.ended.store(true, Ordering::Relaxed);
        self.thread.join().expect("it only looks")
    }
}

/// A control group that ends what takes too much memory.
struct Group(PathBuf);

impl Group {
    /// `None` where none can be made.
    fn new() -> Option<Self> {
        let name = format!("millpond-test-{}", std::process::id());
        for (root, file) in [("/sys/fs/cgroup", "memory.max"), ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")] {
            let group = Group(Path::new(root).join(&name));
            if fs::create_dir(&group.0).is_ok() {
                if fs::write(group.0.join(file), MOST.to_string()).is_ok() {
                    return Some(group);
                }
                drop(group);
            }
        }
        None
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}
