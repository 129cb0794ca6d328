//! A CSV sink under power loss: at any step, once or twice, nothing is lost and nothing is there twice.
//!
//! A small stand-in for the driver commits a manifest as the real one does. Its input is the numbers of a list, one
//! epoch each, in two runs; its table holds the numbers that are present.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array};
use arrow_buffer::ScalarBuffer;
use millpond_engine::changes::{Changes, Epoch};
use millpond_error::Result;
use millpond_io::sink::{CsvSink, CsvSinkOptions, LogicalRun, Sink, WriteMode};
use millpond_plan::types::{Schema, Type};
use millpond_store::{Disk, SimulatedDisk};
use serde_json::{Value, json};

/// The changes of each epoch: rows with their diffs.
const EPOCHS: [&[(i64, i64)]; 7] =
    [&[(1, 1), (2, 2)], &[(3, 1)], &[], &[(1, -1), (4, 1)], &[(5, 1)], &[(2, -1)], &[(6, 1)]];
/// Where the first run's input ends.
const FIRST_RUN: usize = 4;

fn changes(rows: &[(i64, i64)]) -> Changes {
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|(value, _)| *value)));
    Changes::new(vec![column], rows.iter().map(|(_, diff)| *diff).collect::<ScalarBuffer<i64>>())
}

fn lines(epochs: std::ops::Range<usize>) -> String {
    let mut text = "n,time,diff\n".to_owned();
    for epoch in epochs {
        for (value, diff) in EPOCHS[epoch] {
            for _ in 0..diff.abs() {
                text += &format!("{value},{},{}\n", epoch * 2, diff.signum());
            }
        }
    }
    text
}

fn table(until: usize) -> Vec<(i64, i64)> {
    let mut counts = std::collections::BTreeMap::new();
    for (value, diff) in EPOCHS[..until].concat() {
        *counts.entry(value).or_insert(0) += diff;
    }
    counts.into_iter().filter(|(_, count)| *count > 0).collect()
}

fn expected(mode: WriteMode, until: usize) -> String {
    match mode {
        WriteMode::Append => lines(0..until),
        WriteMode::Changes => lines(if until > FIRST_RUN { FIRST_RUN } else { 0 }..until),
        WriteMode::Snapshot => table(until)
            .iter()
            .fold("n\n".to_owned(), |text, (value, count)| text + &format!("{value}\n").repeat(*count as usize)),
    }
}

fn commit(state: &SimulatedDisk, manifest: &Value) -> Result<()> {
    let file = state.create("manifest.tmp")?;
    file.write_at(0, manifest.to_string().as_bytes())?;
    file.sync()?;
    state.rename("manifest.tmp", "manifest")?;
    state.sync_folder("")
}

/// Runs over all epochs before `until` that are not committed yet: two in a checkpoint.
fn run(disk: &SimulatedDisk, mode: WriteMode, until: usize) -> Result<()> {
    let (state, results) = (disk.folder("state"), disk.folder("results"));
    let manifest =
        state.read("manifest")?.map(|bytes| serde_json::from_slice::<Value>(&bytes).expect("a whole manifest"));
    let mut done = manifest.as_ref().map_or(0, |manifest| manifest["done"].as_u64().expect("a number") as usize);
    let continues = manifest.as_ref().is_some_and(|manifest| manifest["finished"] == false);
    let mut sink = CsvSink::new(Arc::new(results), "out.csv", CsvSinkOptions::with_mode(mode))?;
    let schema = Schema::new([("n", Type::Int.required())]);
    sink.open(&schema, manifest.as_ref().map(|manifest| &manifest["sink"]), LogicalRun { continues })?;
    if manifest.is_none() {
        commit(&state, &json!({ "done": 0, "finished": false, "sink": sink.position() }))?;
    }
    loop {
        let next = until.min(done + 2);
        for (epoch, rows) in EPOCHS.iter().enumerate().take(next).skip(done) {
            sink.write(Epoch(epoch as u64 * 2), &changes(rows))?;
        }
        done = next;
        if sink.needs_snapshot() {
            sink.write_snapshot(&changes(&table(done)))?;
        }
        let position = sink.prepare()?;
        commit(&state, &json!({ "done": done, "finished": done == until, "sink": position }))?;
        if done == until {
            return Ok(());
        }
    }
}

/// Both runs, of which the first may have finished already.
fn run_all(disk: &SimulatedDisk, mode: WriteMode) -> Result<()> {
    let manifest = disk.read("state/manifest")?.map(|bytes| serde_json::from_slice::<Value>(&bytes));
    let saved = manifest.and_then(|manifest| manifest.ok()).unwrap_or(Value::Null);
    let (done, finished) = (saved["done"].as_u64().unwrap_or(0) as usize, saved["finished"] == true);
    if done < FIRST_RUN || (done == FIRST_RUN && !finished) {
        run(disk, mode, FIRST_RUN)?;
        assert_eq!(text(disk), expected(mode, FIRST_RUN));
    }
    if done < EPOCHS.len() || !finished {
        run(disk, mode, EPOCHS.len())?;
    }
    Ok(())
}

fn text(disk: &SimulatedDisk) -> String {
    let bytes = disk.read("results/out.csv").expect("power").expect("the result file");
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// What somebody who opens the file finds: what is committed, at least, or what is about to be; a snapshot is whole.
fn check_visible(disk: &SimulatedDisk, mode: WriteMode, place: &str) {
    let manifest = disk.read("state/manifest").expect("power");
    let saved = manifest.map_or(Value::Null, |bytes| serde_json::from_slice(&bytes).expect("a whole manifest"));
    let done = saved["done"].as_u64().unwrap_or(0) as usize;
    let found = disk.read("results/out.csv").expect("power");
    let Some(found) = found else { return assert_eq!(done, 0, "{place}: a committed file is gone") };
    let next = if done < FIRST_RUN { FIRST_RUN } else { EPOCHS.len() }.min(done + 2);
    let fits = |until: usize| match mode {
        WriteMode::Snapshot => found == expected(mode, until).as_bytes(),
        _ => found.starts_with(expected(mode, until).as_bytes()),
    };
    assert!((done > 0 && fits(done)) || fits(next), "{place}: {:?}", String::from_utf8_lossy(&found));
}

/// Images of every step; each is run to its end, and some of them lose power again on the way.
fn lose_power(mode: WriteMode, images: u64) {
    let disk = SimulatedDisk::new();
    disk.record();
    run_all(&disk, mode).expect("an undisturbed run");
    assert_eq!(text(&disk), expected(mode, EPOCHS.len()));
    for step in 0..=disk.steps() {
        for seed in 0..images {
            let image = disk.image_at(step, seed);
            check_visible(&image, mode, &format!("{mode:?}, step {step}, seed {seed}"));
            let again = image.copy();
            run_all(&image, mode).unwrap_or_else(|error| panic!("{mode:?}, step {step}, seed {seed}: {error}"));
            assert_eq!(text(&image), expected(mode, EPOCHS.len()), "{mode:?}, step {step}, seed {seed}");
            if seed % 8 == 0 {
                let second = 1 + (step * 7 + seed) % 40;
                again.cut_at(second, seed);
                // The second cut may come after the end.
                let _ = run_all(&again, mode);
                let Some(image) = again.image() else { continue };
                let place = format!("{mode:?}, step {step}, seed {seed}, then step {second}");
                check_visible(&image, mode, &place);
                run_all(&image, mode).unwrap_or_else(|error| panic!("{place}: {error}"));
                assert_eq!(text(&image), expected(mode, EPOCHS.len()), "{place}");
            }
        }
    }
}

#[test]
fn changes_of_a_run_survive_power_loss() {
    lose_power(WriteMode::Changes, 120);
}

#[test]
fn a_log_of_all_runs_survives_power_loss() {
    lose_power(WriteMode::Append, 120);
}

#[test]
fn a_snapshot_survives_power_loss() {
    lose_power(WriteMode::Snapshot, 120);
}
