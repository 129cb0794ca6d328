//! The law, on whole programs: the sum of all emitted changes, over any splits of the input into files, appends, runs and
//! numbers of workers, equals one computation over the final input.

mod support;

use std::fs;

use millpond::csv::{self, WriteMode};
use millpond::{Backend, RunOptions, run};
use support::{Random, Rows, Visit};

/// How many random histories each test plays; `MILLPOND_CASES` says another number.
fn cases() -> u64 {
    std::env::var("MILLPOND_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(700)
}

fn check(seed: u64, mode: WriteMode, append_only: bool) {
    let mut random = Random(seed);
    let folder = tempfile::tempdir().expect("a folder");
    let (logs, sessions, users) =
        (folder.path().join("logs"), folder.path().join("sessions.csv"), folder.path().join("users.csv"));
    let mut all: Vec<Visit> = Vec::new();
    let (mut session_sum, mut user_sum) = (Rows::new(), Rows::new());
    let mut last_epoch = 0;
    for _ in 0..1 + random.below(4) {
        for _ in 0..random.below(3) {
            let batch: Vec<Visit> = (0..random.below(12)).map(|_| random.visit()).collect();
            support::append(&logs, &format!("{}.csv", random.below(3)), &batch);
            all.extend(batch);
        }
        fs::create_dir_all(&logs).expect("a folder for logs");
        let visits = support::visits(&logs, append_only);
        let outputs = [
            csv::write(&support::sessions(&visits), sessions.to_str().expect("a plain path")).mode(mode),
            csv::write(&support::by_user(&visits), users.to_str().expect("a plain path")).mode(mode),
        ];
        let options = RunOptions::default()
            .quiet()
            .state(Backend::filesystem(folder.path().join("state")).expect("a plain path"))
            .workers(1 + random.below(4) as usize);
        run(outputs, &options).unwrap_or_else(|error| panic!("seed {seed}: {error}"));

        let mut newest_epoch = last_epoch;
        for (path, sum) in [(&sessions, &mut session_sum), (&users, &mut user_sum)] {
            let text = fs::read_to_string(path).expect("a result file");
            match mode {
                WriteMode::Snapshot => *sum = support::snapshot_rows(&text),
                WriteMode::Changes => {
                    let epochs = support::add_changes(sum, &text);
                    assert!(epochs.iter().all(|epoch| *epoch > last_epoch), "seed {seed}: epochs repeat");
                    newest_epoch = newest_epoch.max(epochs.last().copied().unwrap_or(0));
                }
                WriteMode::Append => {
                    sum.clear();
                    support::add_changes(sum, &text);
                }
            }
        }
        last_epoch = newest_epoch;
        assert_eq!(session_sum, support::expected_sessions(&all), "seed {seed}: sessions");
        assert_eq!(user_sum, support::expected_by_user(&all), "seed {seed}: users");
    }
}

fn check_all(first_seed: u64, mode: WriteMode) {
    for seed in first_seed..first_seed + cases() {
        check(seed, mode, seed % 2 == 0);
    }
}

#[test]
fn change_logs_of_all_runs_add_up() {
    check_all(1_000_000, WriteMode::Changes);
}

#[test]
fn an_appended_log_adds_up_after_every_run() {
    check_all(2_000_000, WriteMode::Append);
}

#[test]
fn a_snapshot_is_the_present_table_after_every_run() {
    check_all(3_000_000, WriteMode::Snapshot);
}
