//! The law for every operation, in streaming: random programs over files that grow while they run, in pieces that are
//! cut at any byte, with stops, failing disks, restarts with other numbers of workers, and static runs in between.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::support::Random;
use crate::support::history::{Disks, Ended, Ending, History, Job, Running};
use crate::support::logs::Format;
use millpond::{ErrorKind, Result};
use millpond_store::{Failure, Fault, FaultyDisk, Operations};

/// How many random histories each test plays; `MILLPOND_CASES` says another number.
fn cases() -> u64 {
    std::env::var("MILLPOND_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(150)
}

/// A run on threads of this process; a failing disk cuts it off.
struct OnThreads {
    thread: JoinHandle<Result<()>>,
    stop: Arc<AtomicBool>,
    ending: Ending,
}

impl Running for OnThreads {
    fn is_finished(&mut self) -> bool {
        self.thread.is_finished()
    }

    fn stop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    fn cut_off(&mut self, random: &mut Random) {
        // Where the disk has not failed by then, the stop comes first.
        thread::sleep(Duration::from_millis(random.below(8)));
    }

    fn join(self: Box<Self>) -> Ended {
        match self.thread.join().expect("a run does not panic") {
            Ok(()) => Ended::Well,
            Err(error) => {
                assert!(self.ending == Ending::CutOff && error.kind() == ErrorKind::Unavailable, "{error}");
                Ended::CutOff
            }
        }
    }
}

fn start(job: &Job, ending: Ending, random: &mut Random) -> Box<dyn Running> {
    // Most failures come early, where most runs come.
    let most = 4 << random.below(6);
    let at = if ending == Ending::CutOff { 1 + random.below(most) } else { 0 };
    let failure = [Failure::Io, Failure::Full, Failure::ShortWrite][random.below(3) as usize];
    let fault = Fault { operations: Operations::Mutating, at, for_ever: random.below(4) > 0, failure };
    let state = FaultyDisk::new(job.state(), fault);
    let results = state.map(|_| job.results("results"));
    let disks = Disks { state: Some(Arc::new(state)), results: Arc::new(results) };
    let (job, stop) = (job.clone(), Arc::new(AtomicBool::new(false)));
    let seen = stop.clone();
    Box::new(OnThreads { thread: thread::spawn(move || job.run(disks, seen)), stop, ending })
}

fn check(first_seed: u64, formats: &[Format]) {
    let cut_off = History::play_all(first_seed, cases(), formats, false, &start);
    assert!(cut_off >= cases() / 4, "{cut_off} runs were cut off: the histories show nothing");
}

#[test]
fn any_program_over_csv_files_keeps_the_law() {
    check(1_000_000, &[Format::Csv]);
}

#[test]
fn any_program_over_json_lines_keeps_the_law() {
    check(2_000_000, &[Format::JsonLines]);
}

#[test]
fn any_program_over_two_sources_keeps_the_law() {
    check(3_000_000, &[Format::Csv, Format::JsonLines]);
}
