//! A sink of files under power loss, in both formats: at any step, once or twice, nothing is lost and nothing is there
//! twice.
//!
//! A small stand-in for the driver commits a manifest as the real one does. Its input is the numbers of a list, one
//! epoch each, in two runs; its table holds the numbers that are present.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array};
use arrow_buffer::ScalarBuffer;
use millpond_columns::types::{Schema, Type};
use millpond_engine::changes::{Changes, Epoch};
use millpond_error::Result;
use millpond_io::sink::{CsvSink, CsvSinkOptions, JsonLinesSink, LogicalRun, Sink, WriteMode};
use millpond_store::{Disk, SimulatedDisk};
use serde_json::{Value, json};

/// The changes of each epoch: rows with their diffs.
const EPOCHS: [&[(i64, i64)]; 9] =
    [&[], &[], &[(1, 1), (2, 2)], &[(3, 1)], &[], &[(1, -1), (4, 1)], &[(5, 1)], &[(2, -1)], &[(6, 1)]];
/// Where the first run's input ends.
const FIRST_RUN: usize = 6;

/// How the file is written. JSON lines have no header, so a committed file may be empty.
#[derive(Clone, Copy, Debug)]
enum Form {
    Csv(WriteMode),
    JsonLines(WriteMode),
}

impl Form {
    fn mode(self) -> WriteMode {
        let (Form::Csv(mode) | Form::JsonLines(mode)) = self;
        mode
    }

    fn sink(self, disk: Arc<dyn Disk>) -> Result<Box<dyn Sink>> {
        Ok(match self {
            Form::Csv(mode) => Box::new(CsvSink::new(disk, "out", CsvSinkOptions::with_mode(mode))?),
            Form::JsonLines(mode) => Box::new(JsonLinesSink::new(disk, "out", mode)?),
        })
    }

    fn header(self) -> &'static str {
        match self {
            Form::Csv(WriteMode::Snapshot) => "n\n",
            Form::Csv(_) => "n,time,diff\n",
            Form::JsonLines(_) => "",
        }
    }

    fn change(self, value: i64, time: usize, diff: i64) -> String {
        match self {
            Form::Csv(_) => format!("{value},{time},{diff}\n"),
            Form::JsonLines(_) => format!("{{\"n\":{value},\"diff\":{diff},\"time\":{time}}}\n"),
        }
    }

    fn row(self, value: i64) -> String {
        match self {
            Form::Csv(_) => format!("{value}\n"),
            Form::JsonLines(_) => format!("{{\"n\":{value}}}\n"),
        }
    }
}

fn changes(rows: &[(i64, i64)]) -> Changes {
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|(value, _)| *value)));
    Changes::new(vec![column], rows.iter().map(|(_, diff)| *diff).collect::<ScalarBuffer<i64>>())
}

fn lines(form: Form, epochs: std::ops::Range<usize>) -> String {
    let mut text = form.header().to_owned();
    for epoch in epochs {
        for (value, diff) in EPOCHS[epoch] {
            text += &form.change(*value, epoch * 2, diff.signum()).repeat(diff.unsigned_abs() as usize);
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

fn expected(form: Form, until: usize) -> String {
    match form.mode() {
        WriteMode::Append => lines(form, 0..until),
        WriteMode::Changes => lines(form, if until > FIRST_RUN { FIRST_RUN } else { 0 }..until),
        WriteMode::Snapshot => {
            let rows = table(until).into_iter().map(|(value, count)| form.row(value).repeat(count as usize));
            rows.fold(form.header().to_owned(), |text, rows| text + &rows)
        }
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
fn run(disk: &SimulatedDisk, form: Form, until: usize) -> Result<()> {
    let (state, results) = (disk.folder("state"), disk.folder("results"));
    let manifest =
        state.read("manifest")?.map(|bytes| serde_json::from_slice::<Value>(&bytes).expect("a whole manifest"));
    let mut done = manifest.as_ref().map_or(0, |manifest| manifest["done"].as_u64().expect("a number") as usize);
    let continues = manifest.as_ref().is_some_and(|manifest| manifest["finished"] == false);
    let mut sink = form.sink(Arc::new(results))?;
    let schema = Schema::new([("n", Type::Int.required())]);
    sink.open(&schema, manifest.as_ref().map(|manifest| &manifest["sink"]), LogicalRun { continues, is_saved: true })?;
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
        let position = sink.prepare()?.make_durable()?;
        commit(&state, &json!({ "done": done, "finished": done == until, "sink": position }))?;
        if done == until {
            return Ok(());
        }
    }
}

/// Both runs, of which the first may have finished already.
fn run_all(disk: &SimulatedDisk, form: Form) -> Result<()> {
    let manifest = disk.read("state/manifest")?.map(|bytes| serde_json::from_slice::<Value>(&bytes));
    let saved = manifest.and_then(|manifest| manifest.ok()).unwrap_or(Value::Null);
    let (done, finished) = (saved["done"].as_u64().unwrap_or(0) as usize, saved["finished"] == true);
    if done < FIRST_RUN || (done == FIRST_RUN && !finished) {
        run(disk, form, FIRST_RUN)?;
        assert_eq!(text(disk), expected(form, FIRST_RUN));
    }
    if done < EPOCHS.len() || !finished {
        run(disk, form, EPOCHS.len())?;
    }
    Ok(())
}

fn text(disk: &SimulatedDisk) -> String {
    let bytes = disk.read("results/out").expect("power").expect("the result file");
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// What somebody who opens the file finds: what is committed, at least, or what is about to be; a snapshot is whole.
fn check_visible(disk: &SimulatedDisk, form: Form, place: &str) {
    let manifest = disk.read("state/manifest").expect("power");
    let saved = manifest.map_or(Value::Null, |bytes| serde_json::from_slice(&bytes).expect("a whole manifest"));
    let done = saved["done"].as_u64().unwrap_or(0) as usize;
    let found = disk.read("results/out").expect("power");
    let Some(found) = found else { return assert_eq!(done, 0, "{place}: a committed file is gone") };
    let next = if done < FIRST_RUN { FIRST_RUN } else { EPOCHS.len() }.min(done + 2);
    let fits = |until: usize| match form.mode() {
        WriteMode::Snapshot => found == expected(form, until).as_bytes(),
        _ => found.starts_with(expected(form, until).as_bytes()),
    };
    assert!((done > 0 && fits(done)) || fits(next), "{place}: {:?}", String::from_utf8_lossy(&found));
}

/// Images of every step; each is run to its end, and some of them lose power again on the way.
fn lose_power(form: Form, images: u64) {
    let disk = SimulatedDisk::new();
    disk.record();
    run_all(&disk, form).expect("an undisturbed run");
    assert_eq!(text(&disk), expected(form, EPOCHS.len()));
    for step in 0..=disk.steps() {
        for seed in 0..images {
            let image = disk.image_at(step, seed);
            check_visible(&image, form, &format!("{form:?}, step {step}, seed {seed}"));
            let again = image.copy();
            run_all(&image, form).unwrap_or_else(|error| panic!("{form:?}, step {step}, seed {seed}: {error}"));
            assert_eq!(text(&image), expected(form, EPOCHS.len()), "{form:?}, step {step}, seed {seed}");
            if seed % 8 == 0 {
                let second = 1 + (step * 7 + seed) % 40;
                again.cut_at(second, seed);
                // The second cut may come after the end.
                let _ = run_all(&again, form);
                let Some(image) = again.image() else { continue };
                let place = format!("{form:?}, step {step}, seed {seed}, then step {second}");
                check_visible(&image, form, &place);
                run_all(&image, form).unwrap_or_else(|error| panic!("{place}: {error}"));
                assert_eq!(text(&image), expected(form, EPOCHS.len()), "{place}");
            }
        }
    }
}

#[test]
fn changes_of_a_run_survive_power_loss() {
    lose_power(Form::Csv(WriteMode::Changes), 120);
    lose_power(Form::JsonLines(WriteMode::Changes), 120);
}

#[test]
fn a_log_of_all_runs_survives_power_loss() {
    lose_power(Form::Csv(WriteMode::Append), 120);
    lose_power(Form::JsonLines(WriteMode::Append), 120);
}

#[test]
fn a_snapshot_survives_power_loss() {
    lose_power(Form::Csv(WriteMode::Snapshot), 120);
    lose_power(Form::JsonLines(WriteMode::Snapshot), 120);
}
