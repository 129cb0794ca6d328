//! The law over processes of their own: random programs in streaming, as `millpond spawn` starts them, with a kill of
//! any process at any time, and restarts with other numbers of processes and threads.
//!
//! The processes run this very test program, with [`program`] as the only test.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::Random;
use crate::support::history::{Ended, Ending, History, Job, Running};
use crate::support::logs::Format;
use millpond::ErrorKind;

const JOB: &str = "MILLPOND_TEST_JOB";
/// Long enough on any machine for what takes some milliseconds.
const PATIENCE: Duration = Duration::from_secs(60);
/// Processes that have lost one of them, or of which one is asked to stop, end. Those that are not connected yet know
/// nothing of the others, and are all asked.
const GRACE: Duration = Duration::from_millis(300);
const SIGKILL: i32 = 9;

/// How many random histories each test plays; `MILLPOND_CASES` says another number.
fn cases() -> u64 {
    let torture = if std::env::var_os("MILLPOND_TORTURE").is_some() { 500 } else { 10 };
    let named = std::env::var("MILLPOND_CASES").ok().and_then(|text| text.parse().ok());
    named.map_or(torture, |cases: u64| cases.div_ceil(10))
}

/// What a process of a run does. It stops when its standard input ends.
#[test]
#[ignore = "it is the program of the processes that the other tests start"]
fn program() {
    let Ok(job) = std::env::var(JOB) else { return };
    let job: Job = serde_json::from_str(&job).expect("a job");
    let stop = Arc::new(AtomicBool::new(false));
    let asked = stop.clone();
    thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        asked.store(true, Ordering::Relaxed);
    });
    let code = match job.run(job.disks(), stop) {
        Ok(()) => 0,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            error.kind().exit_code()
        }
    };
    std::process::exit(code);
}

/// Addresses that are free, and stay so until the processes are up: each run has a loopback address of its own, where
/// the system has more than one.
fn addresses(processes: usize) -> Vec<String> {
    static RUNS: AtomicU16 = AtomicU16::new(0);
    let [high, low] = RUNS.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let own = Ipv4Addr::new(127, (std::process::id() % 250) as u8 + 1, high, low.max(1));
    let listen = |_| TcpListener::bind((own, 0)).or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
    let listeners: Vec<TcpListener> = (0..processes).map(|process| listen(process).expect("a port")).collect();
    listeners.iter().map(|listener| listener.local_addr().expect("an address").to_string()).collect()
}

/// The processes of a run.
struct Processes {
    running: Vec<Child>,
    /// Which of them were killed.
    killed: Vec<bool>,
    /// The one that is asked to stop.
    asked: usize,
    is_stopped: bool,
}

impl Processes {
    fn start(job: &Job, processes: usize, asked: usize) -> Self {
        let addresses = addresses(processes);
        let job = serde_json::to_string(job).expect("a job");
        let start = |process: usize| {
            Command::new(std::env::current_exe().expect("this program"))
                .args(["--ignored", "--exact", "spawned_programs::program", "--nocapture", "--quiet"])
                .env(JOB, &job)
                .env("MILLPOND_PROCESSES", processes.to_string())
                .env("MILLPOND_PROCESS_ID", process.to_string())
                .env("MILLPOND_ADDRESSES", addresses.join(","))
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .expect("a process")
        };
        Processes {
            running: (0..processes).map(start).collect(),
            killed: vec![false; processes],
            asked,
            is_stopped: false,
        }
    }

    fn ask(&mut self, process: usize) {
        drop(self.running[process].stdin.take());
    }

    fn kill(&mut self, process: usize) {
        self.running[process].kill().expect("a process");
        self.killed[process] = true;
    }

    fn is_over(&mut self) -> bool {
        self.running.iter_mut().all(|process| process.try_wait().expect("a process").is_some())
    }

    fn wait(&mut self, patience: Duration) -> bool {
        let begin = Instant::now();
        while !self.is_over() {
            if begin.elapsed() > patience {
                return false;
            }
            thread::sleep(Duration::from_millis(1));
        }
        true
    }
}

impl Running for Processes {
    fn is_finished(&mut self) -> bool {
        self.is_over()
    }

    fn stop(&mut self) {
        self.is_stopped = true;
        // Whoever is asked to stop, all stop.
        self.ask(self.asked);
    }

    fn cut_off(&mut self, random: &mut Random) {
        // A process is up after some milliseconds; a run of a few epochs takes some ten.
        let most = [20, 60, 200][random.below(3) as usize];
        thread::sleep(Duration::from_millis(random.below(most)));
        self.kill(random.below(self.running.len() as u64) as usize);
        // Either the others find that out, or they are lost as well.
        if random.below(2) == 0 {
            (0..self.running.len()).for_each(|process| self.kill(process));
        }
    }

    fn join(mut self: Box<Self>) -> Ended {
        // A run that nothing happened to ends by itself, however slow the machine is.
        let is_disturbed = self.is_stopped || self.killed.contains(&true);
        if is_disturbed && !self.wait(GRACE) {
            (0..self.running.len()).for_each(|process| self.ask(process));
        }
        assert!(self.wait(PATIENCE), "processes that are asked to stop end");
        let ends: Vec<(ExitStatus, String)> = self.running.iter_mut().map(end_of).collect();
        let is_cut_off = self.killed.contains(&true);
        let is_unbegun = |said: &String| said.starts_with("stopped on request before the run began");
        if !is_cut_off && ends.iter().any(|(_, said)| is_unbegun(said)) {
            return Ended::Unbegun;
        }
        let codes = [ErrorKind::Unavailable, ErrorKind::Interrupted].map(|kind| Some(kind.exit_code()));
        let mut ended = Ended::Well;
        for (process, (status, said)) in ends.iter().enumerate() {
            let is_killed = self.killed[process] && status.signal() == Some(SIGKILL);
            // Process 0 commits; another one may be killed when all is done.
            if status.success() || is_killed && process > 0 {
                continue;
            }
            let may_be = is_cut_off && (is_killed || codes.contains(&status.code()));
            assert!(may_be && !said.contains("panicked"), "process {process} ended with {status}: {ends:#?}");
            ended = Ended::CutOff;
        }
        ended
    }
}

/// How a process that is over ended, and what it said.
fn end_of(process: &mut Child) -> (ExitStatus, String) {
    let mut said = String::new();
    process.stderr.take().expect("a pipe").read_to_string(&mut said).expect("text");
    (process.wait().expect("a process"), said)
}

impl Drop for Processes {
    fn drop(&mut self) {
        for process in &mut self.running {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn start(job: &Job, _: Ending, random: &mut Random) -> Box<dyn Running> {
    let processes = 1 + random.below(3);
    Box::new(Processes::start(job, processes as usize, random.below(processes) as usize))
}

fn check(first_seed: u64, formats: &[Format]) {
    let cut_off = History::play_all(first_seed, cases(), formats, true, &start);
    assert!(cut_off >= cases() / 4, "{cut_off} runs were cut off: the histories show nothing");
}

#[test]
fn a_kill_of_any_process_over_csv_files_loses_nothing() {
    check(4_000_000, &[Format::Csv]);
}

#[test]
fn a_kill_of_any_process_over_json_lines_loses_nothing() {
    check(5_000_000, &[Format::JsonLines]);
}

#[test]
fn a_kill_of_any_process_over_two_sources_loses_nothing() {
    check(6_000_000, &[Format::Csv, Format::JsonLines]);
}
