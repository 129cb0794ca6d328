//! Power loss, on whole programs: the machine loses power during any change to any disk, and what comes back is any
//! image that the disk's promises allow. A rerun must then make every row count once, in all modes of the result file.
//!
//! State and result file live on one simulated disk. Each run of a small history is recorded, images are drawn of each
//! of its steps, and on each image the program runs again.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use crate::support::replay::{Kind, Replay, Windows, difference};
use crate::support::{self, Random, Rows, Visit};
use millpond::csv::{self, WriteMode};
use millpond::{Backend, RunOptions, run};
use millpond_store::{Disk, SimulatedDisk, StateDir};

/// Images drawn of all steps of all runs, for each mode.
const IMAGES: u64 = 3_400;
const RESULT: &str = "sessions.csv";

fn images() -> u64 {
    std::env::var("MILLPOND_IMAGES").ok().and_then(|text| text.parse().ok()).unwrap_or(IMAGES)
}

/// The program of this test over `machine`: the sessions of users, or windows with a behaviour.
fn play(machine: &SimulatedDisk, logs: &Path, mode: WriteMode, windows: Option<&Windows>) -> millpond::Result<()> {
    let visits = support::visits(logs, false);
    let table = windows.map_or_else(|| support::sessions(&visits), |windows| windows.of(&visits));
    let output = csv::write(&table, RESULT).mode(mode).disk(Arc::new(machine.folder("out")));
    let options = RunOptions::default().quiet().state(Backend::disk(Arc::new(machine.folder("state")))).workers(1);
    run([output], &options).map(drop)
}

fn result(machine: &SimulatedDisk) -> String {
    let bytes = machine.folder("out").read(RESULT).expect("power is on");
    String::from_utf8(bytes.unwrap_or_default().to_vec()).expect("results are text")
}

/// The number of the logical run that the next attempt belongs to.
fn next_run(machine: &SimulatedDisk) -> u64 {
    StateDir::open(Arc::new(machine.folder("state"))).map_or(0, |(state, _)| state.logical_run().number)
}

/// What the logs of finished runs and the present file add up to.
fn total(finished: &[String], present: &str, mode: WriteMode) -> Rows {
    let mut rows = Rows::new();
    match mode {
        WriteMode::Snapshot => return support::snapshot_rows(present),
        WriteMode::Append => {}
        WriteMode::Changes => finished.iter().for_each(|log| drop(support::add_changes(&mut rows, log))),
    }
    support::add_changes(&mut rows, present);
    rows
}

fn check(mode: WriteMode, windows: Option<Windows>) {
    let windows = windows.as_ref();
    let mut replay = windows.map(Replay::new);
    let mut shown = Rows::new();
    let folder = tempfile::tempdir().expect("a folder");
    let logs = folder.path().join("logs");
    fs::create_dir(&logs).expect("a folder for logs");
    let mut random = Random(mode as u64 + 17);
    let mut machine = SimulatedDisk::new();
    let mut all: Vec<Visit> = Vec::new();
    let mut finished: Vec<String> = Vec::new();
    // A first run, a new file, a file that grows, nothing new, and a new file once more.
    let batches = [("a.csv", 8), ("b.csv", 5), ("a.csv", 4), ("a.csv", 0), ("c.csv", 6)];
    let mut drawn = 0;
    for (number, (file, rows)) in (1..).zip(batches) {
        let batch: Vec<Visit> = (0..rows).map(|_| random.visit()).collect();
        support::append(&logs, file, &batch);
        let before = all.clone();
        all.extend(batch);
        let expected = match &mut replay {
            None => support::expected_sessions(&all),
            Some(replay) => {
                let changes = difference(&before, &all);
                if !changes.is_empty() {
                    shown = replay.epoch(&changes);
                }
                shown.clone()
            }
        };

        let first = machine.steps() + 1;
        machine.record();
        play(&machine, &logs, mode, windows).expect("the power is on");
        let steps = first..=machine.steps();
        assert!(steps.clone().count() > 4, "a run changes the disk");
        let per_step = images().div_ceil(batches.len() as u64).div_ceil(steps.clone().count() as u64);
        for step in steps {
            for draw in 0..per_step {
                let seed = random.next();
                let image = machine.image_at(step, seed);
                let mut logs_so_far = finished.clone();
                if next_run(&image) > number {
                    // The run had finished: its log is what the file holds now.
                    logs_so_far.push(result(&image));
                }
                let story = || format!("{mode:?}, run {number}, step {step}, draw {draw}, seed {seed}");
                play(&image, &logs, mode, windows).unwrap_or_else(|error| panic!("{}: {error}", story()));
                let sum = total(&logs_so_far, &result(&image), mode);
                assert_eq!(sum, expected, "{}", story());
                drawn += 1;
            }
        }
        finished.push(result(&machine));
        assert_eq!(total(&finished[..finished.len() - 1], &result(&machine), mode), expected, "run {number}");
        machine = machine.copy();
    }
    println!("{mode:?}: {drawn} images, nothing lost, nothing twice");
}

#[test]
fn a_log_of_changes_survives_power_loss() {
    check(WriteMode::Changes, None);
}

#[test]
fn an_appended_log_survives_power_loss() {
    check(WriteMode::Append, None);
}

#[test]
fn a_snapshot_survives_power_loss() {
    check(WriteMode::Snapshot, None);
}

/// What is held back and what is freed survives, too.
#[test]
fn windows_with_a_behaviour_survive_power_loss() {
    let windows = |kind, exactly_once| Windows {
        kind,
        length: 150,
        delay: Some(300),
        cutoff: Some(450),
        keep_results: false,
        exactly_once,
        floats: false,
    };
    check(WriteMode::Append, Some(windows(Kind::Sessions, true)));
    check(WriteMode::Changes, Some(windows(Kind::Tumbling, false)));
}
