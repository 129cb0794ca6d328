//! The saved state of a program: found by the names of steps, committed as one.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use millpond_engine::Epoch;
use millpond_engine::arrangement::{Arrangement, SavedArrangement, SavedSegment, SegmentEntry};
use millpond_engine::hash::{HashSeed, KeyRange};
use millpond_error::{Error, Result};
use millpond_io::sink::Sink;
use millpond_plan::physical::{PhysicalPlan, Step};
use millpond_store::{
    ArrangementRecord, BlobWriter, Checkpoint, Disk, Manifest, Moves, SegmentRecord, SinkRecord, StateDir, StateReader,
    StepRecord,
};
use serde_json::Value;

use super::outputs::Output;
use super::saved_program;
use super::team::SavedSegments;
use crate::cluster::message::SavedRecords;

/// What to do about a program that cannot deliver what a run before it left behind.
pub(super) const UNDELIVERED_HINT: &str = "run the program as it was to its end: that delivers them";

/// Saved arrangements by the name of their step.
pub(super) type SavedSteps = HashMap<String, Vec<(String, SavedArrangement)>>;

/// The state directory with its newest manifest.
pub(super) struct State {
    directory: StateDir,
    /// The newest manifest at the start of this run; `None` until the first one of a fresh directory.
    manifest: Option<Manifest>,
}

impl State {
    /// Opens and locks the state, and checks that it belongs to this program.
    pub(super) fn open(disk: Arc<dyn Disk>, plan: &PhysicalPlan, outputs: &[Output]) -> Result<Self> {
        let (directory, mut manifest) = StateDir::open(disk)?;
        if let Some(manifest) = &mut manifest {
            saved_program::check(plan, outputs, manifest, &directory)?;
        }
        Ok(State { directory, manifest })
    }

    /// The seed of key hashes.
    pub(super) fn seed(&self) -> HashSeed {
        HashSeed(self.directory.hash_seed())
    }

    /// Whether this run goes on with a logical run that was cut off.
    pub(super) fn continues(&self) -> bool {
        self.directory.logical_run().continues
    }

    /// The epoch of the newest checkpoint.
    pub(super) fn epoch(&self) -> Epoch {
        Epoch(self.manifest.as_ref().map_or(0, |manifest| manifest.epoch))
    }

    /// The position of the sink of this name in the newest checkpoint.
    pub(super) fn sink_position(&self, name: &str) -> Option<&Value> {
        Some(&self.manifest.as_ref()?.sink(name)?.position)
    }

    /// What the newest checkpoint holds for the sink of this name to deliver and may not have been delivered.
    pub(super) fn undelivered(&self, name: &str) -> Result<Vec<Bytes>> {
        let record = self.undelivered_sinks().find(|sink| sink.name == name);
        record.into_iter().flat_map(|sink| &sink.outbox).map(|part| self.directory.part_bytes(part)).collect()
    }

    /// Refuses a program that lacks a sink for which something waits to be delivered.
    pub(super) fn check_undelivered(&self, outputs: &[Output]) -> Result<()> {
        let gone = |sink: &&SinkRecord| !outputs.iter().any(|output| output.name == sink.name);
        let Some(sink) = self.undelivered_sinks().find(gone) else { return Ok(()) };
        let what =
            format!("the output \"{}\" is gone, and changes wait in the saved state to be delivered to it", sink.name);
        Err(Error::changed(what).with_hint(UNDELIVERED_HINT))
    }

    /// A run that finished has delivered everything.
    fn undelivered_sinks(&self) -> impl Iterator<Item = &SinkRecord> {
        let sinks = self.manifest.iter().filter(|_| self.continues()).flat_map(|manifest| &manifest.sinks);
        sinks.filter(|sink| !sink.outbox.is_empty())
    }

    /// All saved arrangements.
    pub(super) fn saved(&self) -> Result<SavedSteps> {
        let mut steps = SavedSteps::new();
        for step in self.manifest.iter().flat_map(|manifest| &manifest.steps) {
            let mut arrangements = Vec::new();
            for arrangement in &step.arrangements {
                let segments = arrangement
                    .segments
                    .iter()
                    .map(|segment| saved_segment(self.directory.reader(), segment))
                    .collect::<Result<_>>()?;
                arrangements.push((arrangement.name.clone(), SavedArrangement { segments }));
            }
            steps.insert(step.name.clone(), arrangements);
        }
        Ok(steps)
    }

    /// The arrangements of each step, as the newest manifest names them.
    pub(super) fn records(&self) -> Vec<(String, Vec<ArrangementRecord>)> {
        let steps = self.manifest.iter().flat_map(|manifest| &manifest.steps);
        steps.map(|step| (step.name.clone(), step.arrangements.clone())).collect()
    }

    /// Puts the sinks' first positions on record, if the state is fresh: a run that is cut off before its first
    /// checkpoint must find where to cut its result files back to.
    pub(super) fn begin(&mut self, outputs: &[Output], sinks: &[Box<dyn Sink>]) -> Result<()> {
        if self.manifest.is_none() {
            let sinks = outputs.iter().zip(sinks);
            let records = sinks.map(|(output, sink)| sink_record(output, sink.position())).collect();
            self.manifest = Some(self.directory.genesis(records)?);
        }
        Ok(())
    }

    /// The directory, to write checkpoints to.
    pub(super) fn directory(&self) -> &StateDir {
        &self.directory
    }

    /// Marks the logical run as finished; the last change that a run makes.
    pub(super) fn finish(&self) -> Result<()> {
        self.directory.mark_finished()
    }
}

/// Opens a segment that a manifest names.
pub(super) fn saved_segment(reader: &StateReader, record: &SegmentRecord) -> Result<SavedSegment> {
    Ok(SavedSegment {
        name: reader.path(&record.place),
        bytes: reader.segment_bytes(&record.place)?,
        checksum: record.checksum,
        range: KeyRange { first: record.from, last: record.to },
        level: record.level,
        place: record.place.clone(),
    })
}

/// Commits a checkpoint whose segments are written and whose sinks are durable up to the positions in `sinks`. Returns
/// how many bytes were written to blobs, and which saved segments stand in another place from now on.
pub(super) fn commit(
    checkpoint: Checkpoint,
    plan: &PhysicalPlan,
    epoch: Epoch,
    saved: Vec<SavedRecords>,
    sinks: Vec<SinkRecord>,
) -> Result<(u64, Moves)> {
    let program = Some(checkpoint.put_plan(plan.program.bytes())?);
    let mut manifest = Manifest { plan: program, sinks, ..checkpoint.manifest(epoch.0) };
    let mut by_step: HashMap<&str, Vec<SavedRecords>> = HashMap::new();
    for segments in saved {
        if let Some(step) = plan.nodes.get(segments.node).and_then(|node| node.step.as_ref()) {
            by_step.entry(&step.name).or_default().push(segments);
        }
    }
    for step in plan.nodes.iter().filter_map(|node| node.step.as_ref()) {
        manifest.steps.push(step_record(step, by_step.remove(step.name.as_str()).unwrap_or_default()));
    }
    let moves = checkpoint.compact(&mut manifest)?;
    let bytes = checkpoint.bytes_written();
    checkpoint.commit(&manifest)?;
    Ok((bytes, moves))
}

/// Takes note of what the checkpoint before has copied to other places, and frees the memory of segments that it has
/// saved, so that a run that goes on for long needs memory for what it touches and not for all its state. Small ones
/// stay: they are soon merged.
pub(super) fn evict_saved(reader: &StateReader, moves: &Moves, arrangement: &mut Arrangement) -> Result<()> {
    const AT_LEAST: usize = 256 << 10;
    arrangement.evict_saved(moves, AT_LEAST, &|place| Ok((reader.path(place), reader.segment_bytes(place)?)))
}

/// A sink at this position, with nothing to deliver.
pub(super) fn sink_record(output: &Output, position: Value) -> SinkRecord {
    SinkRecord { name: output.name.clone(), position, outbox: Vec::new() }
}

/// Writes the segments that no blob holds yet.
pub(super) fn write_segments(mut writer: BlobWriter, saved: &[SavedSegments]) -> Result<()> {
    for entry in saved.iter().flat_map(|segments| &segments.entries) {
        if entry.segment.place().is_none() {
            entry.segment.set_place(writer.append(entry.segment.bytes())?);
        }
    }
    writer.finish()
}

fn step_record(step: &Step, saved: Vec<SavedRecords>) -> StepRecord {
    let mut arrangements: Vec<ArrangementRecord> = Vec::new();
    for segments in saved {
        let at = arrangements.iter().position(|record| record.name == segments.arrangement).unwrap_or_else(|| {
            arrangements.push(ArrangementRecord { name: segments.arrangement.clone(), segments: Vec::new() });
            arrangements.len() - 1
        });
        arrangements[at].segments.extend(segments.segments);
    }
    arrangements.iter_mut().for_each(|arrangement| join_ranges(&mut arrangement.segments));
    StepRecord { name: step.name.clone(), arrangements }
}

/// What a manifest says of a segment, if it was written.
pub(super) fn segment_record(entry: &SegmentEntry) -> Option<SegmentRecord> {
    Some(SegmentRecord {
        place: entry.segment.place()?.clone(),
        checksum: entry.segment.checksum(),
        from: entry.range.first,
        to: entry.range.last,
        rows: entry.segment.rows(),
        level: entry.level,
    })
}

/// Joins records of one segment whose ranges touch: workers that share a saved segment each name their part of it.
fn join_ranges(segments: &mut Vec<SegmentRecord>) {
    let order = |segment: &SegmentRecord| (segment.level, segment.place.clone(), segment.from);
    segments.sort_by_cached_key(order);
    segments.dedup_by(|next, segment| {
        let joins =
            next.place == segment.place && next.level == segment.level && segment.to.checked_add(1) == Some(next.from);
        if joins {
            segment.to = next.to;
        }
        joins
    });
}
