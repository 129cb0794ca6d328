//! A small program with saved state: counts nothing, but keeps every row, so that any loss shows.

use std::sync::Arc;

use millpond_error::{Error, Result};
use millpond_store::{
    ArrangementRecord, BlobRange, Disk, DiskFile, Manifest, SegmentRecord, SimulatedDisk, SinkRecord, StateDir,
    StepRecord,
};
use serde_json::json;
use xxhash_rust::xxh3::xxh3_64;

/// The folders of a simulated disk that the program uses.
pub(crate) const STATE: &str = "state";
pub(crate) const RESULTS: &str = "results";

/// Batches of input that are there at the start of each run of the session.
pub(crate) const SESSION: [u64; 4] = [3, 5, 5, 6];

/// What the program may do wrong.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sloppy {
    /// Believes every run without its checksum.
    pub no_checksum: bool,
    /// Appends to result files where they end, not where the manifest says.
    pub no_cut_back: bool,
}

/// The two directories of the program.
#[derive(Clone)]
pub(crate) struct Disks {
    pub state: Arc<dyn Disk>,
    pub results: Arc<dyn Disk>,
}

impl Disks {
    pub(crate) fn of(disk: &SimulatedDisk) -> Disks {
        Disks { state: Arc::new(disk.folder(STATE)), results: Arc::new(disk.folder(RESULTS)) }
    }
}

/// What a run told the world, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Committed { epoch: u64 },
    Finished,
}

/// The rows of a batch of input.
pub(crate) fn rows(epoch: u64) -> String {
    (0..3).map(|row| format!("row {row} of batch {epoch}\n")).collect()
}

/// The rows of all batches after `first` up to `last`.
pub(crate) fn rows_between(first: u64, last: u64) -> String {
    (first + 1..=last).map(rows).collect()
}

/// One attempt of a run, with batches 1 to `available`.
pub(crate) fn run(disks: &Disks, available: u64, sloppy: Sloppy, said: &mut dyn FnMut(Said)) -> Result<()> {
    let (state, saved) = StateDir::open(disks.state.clone())?;
    let (mut manifest, all, changes) = match saved {
        None => {
            let (all, changes) = (ResultFile::create(disks, "all.csv")?, ResultFile::create(disks, "changes.csv")?);
            disks.results.sync_folder("")?;
            (state.genesis(vec![all.record(), changes.record()])?, all, changes)
        }
        Some(manifest) => {
            let all = ResultFile::open(disks, &manifest, "all.csv", sloppy)?;
            let changes = match state.logical_run().continues {
                true => ResultFile::open(disks, &manifest, "changes.csv", sloppy)?,
                false => ResultFile::create(disks, "changes.csv")?,
            };
            (manifest, all, changes)
        }
    };
    let (mut all, mut changes) = (all, changes);
    saved_rows(&state, &manifest, sloppy)?;
    let expected = (manifest.epoch > 0).then(|| plan(manifest.epoch));
    if state.plan()?.as_deref() != expected.as_deref() {
        return Err(Error::changed("the plan is not that of the checkpoint"));
    }
    for epoch in manifest.epoch + 1..=available {
        manifest = step(&state, &manifest, epoch, [&mut all, &mut changes], sloppy)?;
        said(Said::Committed { epoch });
    }
    changes.file.sync()?;
    state.mark_finished()?;
    said(Said::Finished);
    Ok(())
}

/// The plan of the program at an epoch: it changes every other one, there and back.
fn plan(epoch: u64) -> Vec<u8> {
    format!("plan {}", epoch / 2 % 2).repeat(100).into_bytes()
}

/// One epoch: the batch goes to the result files and, as two segments of two workers, to the state.
fn step(
    state: &StateDir,
    before: &Manifest,
    epoch: u64,
    mut sinks: [&mut ResultFile; 2],
    sloppy: Sloppy,
) -> Result<Manifest> {
    let checkpoint = state.begin()?;
    let batch = rows(epoch);
    let (head, tail) = batch.split_at(batch.len() / 2);
    for sink in &mut sinks {
        sink.append(head)?;
        sink.append(tail)?;
        sink.file.sync()?;
    }
    let mut segments: Vec<SegmentRecord> =
        before.steps.iter().flat_map(|step| step.arrangements[0].segments.clone()).collect();
    let mut parts = vec![head.to_owned(), tail.to_owned()];
    if segments.len() > 3 {
        let merged = saved_rows(state, before, sloppy)?;
        (segments, parts) = (Vec::new(), vec![merged + head, tail.to_owned()]);
    }
    for (worker, part) in parts.iter().enumerate() {
        let writer = checkpoint.writer(worker);
        let mut writer = if epoch.is_multiple_of(2) && worker == 1 { writer.apart() } else { writer };
        let place = writer.append(part.as_bytes())?;
        writer.finish()?;
        segments.push(record(place, part.as_bytes()));
    }
    let arrangements = vec![ArrangementRecord { name: "rows".into(), segments }];
    let steps = vec![StepRecord { name: "keep".into(), arrangements }];
    let sinks = sinks.iter().map(|sink| sink.record()).collect();
    let plan = Some(checkpoint.put_plan(&plan(epoch))?);
    let mut manifest = Manifest { plan, steps, sinks, ..checkpoint.manifest(epoch) };
    checkpoint.compact(&mut manifest)?;
    checkpoint.commit(&manifest)?;
    Ok(manifest)
}

fn record(place: BlobRange, bytes: &[u8]) -> SegmentRecord {
    SegmentRecord { place, checksum: xxh3_64(bytes), from: 0, to: u64::MAX, rows: 1, level: 0 }
}

/// All rows in the state, each run verified.
pub(crate) fn saved_rows(state: &StateDir, manifest: &Manifest, sloppy: Sloppy) -> Result<String> {
    let mut rows = String::new();
    for run in manifest.steps.iter().flat_map(|step| &step.arrangements[0].segments) {
        let bytes = state.segment_bytes(&run.place)?;
        if !sloppy.no_checksum && xxh3_64(&bytes) != run.checksum {
            let path = state.disk().path(&run.place.blob);
            return Err(Error::data(format!("{path} is damaged: a checksum does not match")));
        }
        rows.push_str(&String::from_utf8_lossy(&bytes));
    }
    Ok(rows)
}

/// A result file and how much of it is written.
struct ResultFile {
    name: &'static str,
    file: Box<dyn DiskFile>,
    length: u64,
}

impl ResultFile {
    fn create(disks: &Disks, name: &'static str) -> Result<ResultFile> {
        Ok(ResultFile { name, file: disks.results.create(name)?, length: 0 })
    }

    /// Cuts the file back to what `manifest` says is committed.
    fn open(disks: &Disks, manifest: &Manifest, name: &'static str, sloppy: Sloppy) -> Result<ResultFile> {
        let record = manifest.sink(name).ok_or_else(|| Error::changed(format!("no sink {name}")))?;
        let mut length = record.position["length"].as_u64().ok_or_else(|| Error::data("no length"))?;
        if sloppy.no_cut_back {
            length = disks.results.length(name)?.unwrap_or(0);
        }
        Ok(ResultFile { name, file: disks.results.open_at(name, length)?, length })
    }

    fn append(&mut self, text: &str) -> Result<()> {
        self.file.write_at(self.length, text.as_bytes())?;
        self.length += text.len() as u64;
        Ok(())
    }

    fn record(&self) -> SinkRecord {
        let position = json!({"length": self.length});
        SinkRecord { name: self.name.into(), position, outbox: Vec::new() }
    }
}

/// What is wrong with a disk after a crash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing.
    Whole,
    /// Something acknowledged is not there.
    Lost(String),
    /// The program refuses to go on.
    Refused(Error),
    /// The results or the state are wrong, and nobody says so.
    Wrong(String),
}

/// What was promised when the crash came.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Promised {
    /// The run of the session that was under way, from 0.
    pub run: usize,
    /// The last epoch that was acknowledged.
    pub epoch: u64,
}

impl Promised {
    /// The batches that earlier runs had.
    pub(crate) fn start(self) -> u64 {
        if self.run == 0 { 0 } else { SESSION[self.run - 1] }
    }
}

/// Opens what a crash left, lets the program run again (on disks that `wrap` may break), and judges.
pub(crate) fn judge(
    disk: &SimulatedDisk,
    promised: Promised,
    sloppy: Sloppy,
    wrap: &dyn Fn(&SimulatedDisk) -> Disks,
) -> Verdict {
    match try_judge(disk, promised, sloppy, wrap) {
        Ok(verdict) => verdict,
        Err(error) => Verdict::Refused(error),
    }
}

fn try_judge(
    disk: &SimulatedDisk,
    promised: Promised,
    sloppy: Sloppy,
    wrap: &dyn Fn(&SimulatedDisk) -> Disks,
) -> Result<Verdict> {
    let disks = wrap(disk);
    let available = SESSION[promised.run];
    let start = promised.start();
    let (state, manifest) = StateDir::open(disks.state.clone())?;
    let epoch = manifest.as_ref().map_or(0, |manifest| manifest.epoch);
    if epoch < promised.epoch {
        return Ok(Verdict::Lost(format!("epoch {} was committed, {epoch} is there", promised.epoch)));
    }
    // A run that commits nothing leaves the mark of the run before it.
    let finished = state.run_finished() && epoch > start;
    drop(state);
    if finished {
        // Nobody will write this run's changes again.
        if let wrong @ Verdict::Wrong(_) = expect(&disks, "changes.csv", start, available)? {
            return Ok(wrong);
        }
    }
    run(&disks, available, sloppy, &mut |_| ())?;
    if let wrong @ Verdict::Wrong(_) = results(&disks, available, sloppy)? {
        return Ok(wrong);
    }
    let changes_from = if finished { available } else { start };
    if let wrong @ Verdict::Wrong(_) = expect(&disks, "changes.csv", changes_from, available)? {
        return Ok(wrong);
    }
    run(&disks, available + 1, sloppy, &mut |_| ())?;
    if let wrong @ Verdict::Wrong(_) = expect(&disks, "changes.csv", available, available + 1)? {
        return Ok(wrong);
    }
    results(&disks, available + 1, sloppy)
}

/// Compares state and the appended result file with a recomputation.
pub(crate) fn results(disks: &Disks, available: u64, sloppy: Sloppy) -> Result<Verdict> {
    let (state, manifest) = StateDir::open(disks.state.clone())?;
    let manifest = manifest.ok_or_else(|| Error::data("no manifest after a run"))?;
    let saved = saved_rows(&state, &manifest, sloppy)?;
    if saved != rows_between(0, available) {
        return Ok(Verdict::Wrong(format!("the state holds {saved:?}")));
    }
    expect(disks, "all.csv", 0, available)
}

/// Compares a result file with the rows of some batches.
pub(crate) fn expect(disks: &Disks, name: &str, first: u64, last: u64) -> Result<Verdict> {
    let bytes = disks.results.read(name)?.unwrap_or_default();
    if bytes == rows_between(first, last).as_bytes() {
        return Ok(Verdict::Whole);
    }
    Ok(Verdict::Wrong(format!("{name} holds {:?}, not {first}..{last}", String::from_utf8_lossy(&bytes))))
}
