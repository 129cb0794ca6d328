//! Windows that are shown late, or that end, on whole programs: after every run, what was written adds up to what a
//! replay of the epochs says, where each run is one epoch. In some histories the windows stand on a reduce, so that
//! they lose rows, too.

use std::fs;

use crate::support::programs::shapes::{best, expected_best};
use crate::support::replay::{Replay, Windows, difference};
use crate::support::{self, Random, Rows, Visit};
use millpond::csv::{self, WriteMode};
use millpond::{Backend, RunOptions, run};

/// How many random histories each test plays; `MILLPOND_CASES` says another number.
fn cases() -> u64 {
    std::env::var("MILLPOND_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(80)
}

/// Returns how many rows were late and how many windows closed.
fn play(seed: u64, mode: WriteMode) -> (u64, u64) {
    let mut random = Random(seed);
    let folder = tempfile::tempdir().expect("a folder");
    let (logs, result) = (folder.path().join("logs"), folder.path().join("result.csv"));
    fs::create_dir_all(&logs).expect("a folder for logs");
    let windows = Windows::random(&mut random);
    let (append_only, of_best) = (random.below(2) == 0, random.below(2) == 0);
    let mut replay = Replay::new(&windows);
    let (mut all, mut sum, mut expected): (Vec<Visit>, Rows, Rows) = Default::default();
    let (mut late, mut closed) = (0, 0);
    for number in 0..2 + random.below(4) as i64 {
        // Times move on from run to run, and back a little.
        let mut visit = || {
            let visit = random.visit();
            Visit { time: visit.time / 3 + number * 600, ..visit }
        };
        let batch: Vec<Visit> = (0..number % 3 + 5).map(|_| visit()).collect();
        support::append(&logs, &format!("{}.csv", random.below(2)), &batch);
        let before = all.clone();
        all.extend(batch);
        let changes = match of_best {
            true => difference(&expected_best(before.clone()), &expected_best(all.clone())),
            false => difference(&before, &all),
        };
        if !changes.is_empty() {
            expected = replay.epoch(&changes);
        }

        let visits = support::visits(&logs, append_only);
        let table = windows.of(&if of_best { best(&visits) } else { visits });
        let workers = 1 + random.below(4) as usize;
        let state = Backend::filesystem(folder.path().join("state")).expect("a plain path");
        let memory = support::memory(&mut random, workers);
        let options = RunOptions { memory, ..RunOptions::default().quiet().state(state).workers(workers) };
        let output = csv::write(&table, result.to_str().expect("a plain path")).mode(mode);
        let summary = run([output], &options).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        late += summary.late_rows();
        closed += summary.windows_closed();
        let text = fs::read_to_string(&result).expect("a result file");
        match mode {
            WriteMode::Snapshot => sum = support::snapshot_rows(&text),
            WriteMode::Changes => drop(support::add_changes(&mut sum, &text)),
            WriteMode::Append => {
                sum.clear();
                support::add_changes(&mut sum, &text);
            }
        }
        if windows.exactly_once && mode != WriteMode::Snapshot {
            assert!(!text.contains(",-1\n"), "seed {seed}: a result was removed:\n{text}");
        }
        assert_eq!(sum, expected, "seed {seed}: written (left), expected (right), run {number} of {windows:?}");
        assert_eq!(
            closed, replay.closed,
            "seed {seed}: windows freed (left), over (right), run {number} of {windows:?}"
        );
    }
    (late, closed)
}

fn check(first_seed: u64, mode: WriteMode) {
    let counts = (first_seed..first_seed + cases()).map(|seed| play(seed, mode));
    let (late, closed) = counts.fold((0, 0), |(a, b), (late, closed)| (a + late, b + closed));
    assert!(
        late > cases() / 4 && closed > cases(),
        "{late} late rows, {closed} closed windows: the histories show nothing"
    );
}

#[test]
fn change_logs_add_up_to_a_replay() {
    check(1_000_000, WriteMode::Changes);
}

#[test]
fn an_appended_log_adds_up_to_a_replay() {
    check(2_000_000, WriteMode::Append);
}

#[test]
fn a_snapshot_is_what_a_replay_says() {
    check(3_000_000, WriteMode::Snapshot);
}
