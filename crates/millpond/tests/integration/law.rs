//! The law, on whole programs: the sum of all emitted changes, over any splits of the input into files, appends, runs
//! and numbers of workers, equals one computation over the final input.

use std::fs;
use std::path::Path;

use crate::support::{self, Random, Rows, Visit};
use millpond::csv::{self, WriteMode};
use millpond::{Backend, RunOptions, Table, jsonlines, run};

/// What input and results are written in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Csv,
    JsonLines,
}

/// How many random histories each test plays; `MILLPOND_CASES` says another number.
fn cases() -> u64 {
    std::env::var("MILLPOND_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(700)
}

fn check(seed: u64, format: Format, mode: WriteMode, append_only: bool) {
    let mut random = Random(seed);
    let folder = tempfile::tempdir().expect("a folder");
    let result = |name: &str| {
        folder.path().join(name).with_extension(match format {
            Format::Csv => "csv",
            Format::JsonLines => "jsonl",
        })
    };
    let (logs, sessions, users) = (folder.path().join("logs"), result("sessions"), result("users"));
    let mut all: Vec<Visit> = Vec::new();
    let (mut session_sum, mut user_sum) = (Rows::new(), Rows::new());
    let mut last_epoch = 0;
    for _ in 0..1 + random.below(4) {
        for _ in 0..random.below(3) {
            let batch: Vec<Visit> = (0..random.below(12)).map(|_| random.visit()).collect();
            let file = format!("{}.log", random.below(3));
            match format {
                Format::Csv => support::append(&logs, &file, &batch),
                Format::JsonLines => support::append_json(&logs, &file, &batch),
            }
            all.extend(batch);
        }
        fs::create_dir_all(&logs).expect("a folder for logs");
        let visits = match format {
            Format::Csv => support::visits(&logs, append_only),
            Format::JsonLines => support::json_visits(&logs, append_only),
        };
        let write = |table: &Table, path: &Path| {
            let path = path.to_str().expect("a plain path");
            match format {
                Format::Csv => csv::write(table, path).mode(mode),
                Format::JsonLines => jsonlines::write(table, path).mode(mode),
            }
        };
        let outputs = [write(&support::sessions(&visits), &sessions), write(&support::by_user(&visits), &users)];
        let workers = 1 + random.below(4) as usize;
        let state = Backend::filesystem(folder.path().join("state")).expect("a plain path");
        let memory = support::memory(&mut random, workers);
        let options = RunOptions { memory, ..RunOptions::default().quiet().state(state).workers(workers) };
        run(outputs, &options).unwrap_or_else(|error| panic!("seed {seed}: {error}"));

        let mut newest_epoch = last_epoch;
        for (path, sum, columns) in [
            (&sessions, &mut session_sum, ["user", "start", "finish", "visits", "pages"]),
            (&users, &mut user_sum, ["user", "visits", "fewest", "most", "mean"]),
        ] {
            let mut text = fs::read_to_string(path).expect("a result file");
            if format == Format::JsonLines {
                text = support::as_csv(&text, &columns);
            }
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

fn check_all(first_seed: u64, format: Format, mode: WriteMode) {
    for seed in first_seed..first_seed + cases() {
        check(seed, format, mode, seed % 2 == 0);
    }
}

#[test]
fn change_logs_of_all_runs_add_up() {
    check_all(1_000_000, Format::Csv, WriteMode::Changes);
}

#[test]
fn an_appended_log_adds_up_after_every_run() {
    check_all(2_000_000, Format::Csv, WriteMode::Append);
}

#[test]
fn a_snapshot_is_the_present_table_after_every_run() {
    check_all(3_000_000, Format::Csv, WriteMode::Snapshot);
}

#[test]
fn change_logs_of_json_lines_add_up() {
    check_all(4_000_000, Format::JsonLines, WriteMode::Changes);
}

#[test]
fn an_appended_log_of_json_lines_adds_up_after_every_run() {
    check_all(5_000_000, Format::JsonLines, WriteMode::Append);
}

#[test]
fn a_snapshot_of_json_lines_is_the_present_table_after_every_run() {
    check_all(6_000_000, Format::JsonLines, WriteMode::Snapshot);
}
