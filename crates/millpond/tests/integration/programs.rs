//! The law, on random programs over a folder of files that grow: after every run, the changes that were written add up
//! to what the simplest code computes from all rows. Before its own operation, a program may reduce the rows or put
//! tables together, so that what follows sees rows removed.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::support::programs::{self, Program, Shape, shape};
use crate::support::{self, Random, Rows, Visit};
use millpond::csv::{self, WriteMode};
use millpond::{Backend, RunOptions, run};
use millpond_plan::{OnError, SavedPlan, lower};
use millpond_store::{LocalDisk, StateDir};

/// How many random histories a test plays, unless `MILLPOND_CASES` says another number.
const CASES: u64 = 400;

/// Plays a history of `program`: files come and grow, and every run has other workers.
fn play(seed: u64, program: fn(&mut Random) -> Program) {
    let mut random = Random(seed);
    let program = program(&mut random);
    let shapes: Vec<Shape> = (0..random.below(3)).map(|_| shape(&mut random)).collect();
    let mut program = program.after(shapes);
    let folder = tempfile::tempdir().expect("a folder");
    let (logs, result) = (folder.path().join("logs"), folder.path().join("result.csv"));
    fs::create_dir_all(&logs).expect("a folder for logs");
    let append_only = random.below(3) == 0;
    let mode = [WriteMode::Changes, WriteMode::Append, WriteMode::Snapshot][random.below(3) as usize];
    let mut present: Vec<Visit> = Vec::new();
    let mut sum = Rows::new();
    for _ in 0..1 + random.below(4) {
        for _ in 0..random.below(3) {
            let batch: Vec<Visit> = (0..random.below(12)).map(|_| random.visit()).collect();
            support::append(&logs, &format!("{}.csv", random.below(3)), &batch);
            present.extend(batch);
        }
        let table = (program.table)(&support::visits(&logs, append_only));
        let output = csv::write(&table, result.to_str().expect("a plain path")).mode(mode);
        let workers = 1 + random.below(4) as usize;
        let state = Backend::filesystem(folder.path().join("state")).expect("a plain path");
        let memory = support::memory(&mut random, workers);
        let fits = memory.is_none();
        let options = RunOptions { memory, ..RunOptions::default().quiet().state(state).workers(workers) };
        run([output], &options).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        check_plan(&folder.path().join("state"));
        let text = fs::read_to_string(&result).expect("a result file");
        match mode {
            WriteMode::Snapshot => sum = support::snapshot_rows(&text),
            WriteMode::Changes => {
                // What one key changes by may be too much for one batch.
                assert!(!fits || is_net(&text), "seed {seed}: a row is added and removed in one epoch:\n{text}");
                support::add_changes(&mut sum, &text);
            }
            WriteMode::Append => {
                sum.clear();
                support::add_changes(&mut sum, &text);
            }
        }
        assert_eq!(sum, (program.expect)(&present), "seed {seed}, {}: written (left), expected (right)", program.name);
    }
}

/// Checks that the plan of a saved state makes the program again, with the steps that are saved.
fn check_plan(state: &Path) {
    let disk = LocalDisk::new(state).expect("a folder");
    let (manifest, plan) = StateDir::look(&disk).expect("a whole state").expect("a checkpoint");
    let Some(plan) = plan else { return };
    let saved = SavedPlan::from_bytes(&plan[..]);
    let sinks = saved.sinks("the plan").expect("a plan that can be made again");
    assert_eq!(SavedPlan::of(&sinks), saved);
    let plan = lower(sinks, OnError::default()).expect("a program");
    let steps: Vec<&String> = plan.nodes.iter().filter_map(|node| node.step.as_ref()).map(|step| &step.name).collect();
    assert_eq!(steps, manifest.steps.iter().map(|step| &step.name).collect::<Vec<_>>());
}

/// Whether no epoch of a change log both adds and removes a row.
fn is_net(text: &str) -> bool {
    let mut signs: BTreeMap<&str, &str> = BTreeMap::new();
    let changes = text.lines().skip(1).filter_map(|line| line.rsplit_once(','));
    let mut changes = changes.map(|(row, diff)| (row, if diff.starts_with('-') { "-" } else { "+" }));
    changes.all(|(row, sign)| *signs.entry(row).or_insert(sign) == sign)
}

fn check(first_seed: u64, program: fn(&mut Random) -> Program) {
    check_cases(CASES, first_seed, program);
}

fn check_cases(cases: u64, first_seed: u64, program: fn(&mut Random) -> Program) {
    let cases = std::env::var("MILLPOND_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(cases);
    (first_seed..first_seed + cases).for_each(|seed| play(seed, program));
}

#[test]
fn totals_keep_the_law() {
    check(3_000_000, programs::totals);
}

#[test]
fn a_row_may_move_between_the_tables_of_a_concat() {
    check(4_000_000, programs::moving);
}

#[test]
fn tables_combined_by_identity_keep_the_law() {
    check(9_000_000, programs::combined);
}

#[test]
fn joins_keep_the_law() {
    check(13_000_000, programs::joined);
}

#[test]
fn programs_of_many_operations_keep_the_law() {
    check_cases(5000, 14_000_000, programs::deep);
}

#[test]
fn figures_of_groups_keep_the_law() {
    check(6_000_000, programs::values);
}

#[test]
fn floats_of_every_kind_keep_the_law() {
    check(12_000_000, programs::floats);
}

#[test]
fn groups_of_several_columns_keep_the_law() {
    check(10_000_000, programs::distribution);
}

#[test]
fn arguments_and_distinct_values_keep_the_law() {
    check(7_000_000, programs::arguments);
}

#[test]
fn what_came_first_and_last_keeps_the_law() {
    check(8_000_000, programs::arrivals);
}

#[test]
fn concats_renames_and_flattens_keep_the_law() {
    check(5_000_000, programs::plain);
}

#[test]
fn elements_of_every_type_keep_the_law() {
    check(11_000_000, programs::unpacked);
}

#[test]
fn windows_over_ints_keep_the_law() {
    check(1_000_000, programs::int_windows);
}

#[test]
fn windows_over_floats_keep_the_law() {
    check(2_000_000, programs::float_windows);
}
