//! However many checkpoints were written, of whatever: the directory has few files, few dead bytes, and all that is
//! named.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::sync::Arc;

use millpond_store::{
    ArrangementRecord, BlobRange, Disk, Manifest, Moves, SegmentRecord, SimulatedDisk, StateDir, StepRecord,
};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// One checkpoint: lengths of new segments, and what of the segments before is given up.
#[derive(Clone, Debug, Default)]
struct Commit {
    segments: Vec<usize>,
    dropped: Vec<u64>,
    reopens: bool,
}

/// A program whose segments are bytes that say which they are.
struct Program {
    disk: SimulatedDisk,
    state: StateDir,
    live: BTreeMap<u64, BlobRange>,
    made: u64,
}

fn content(number: u64, length: u64) -> Vec<u8> {
    number.to_le_bytes().into_iter().cycle().take(length as usize).collect()
}

impl Program {
    fn new() -> Self {
        let disk = SimulatedDisk::new();
        let (state, _) = StateDir::open(Arc::new(disk.clone())).unwrap();
        state.genesis(Vec::new()).unwrap();
        Program { disk, state, live: BTreeMap::new(), made: 0 }
    }

    fn commit(&mut self, commit: &Commit) -> Moves {
        if commit.reopens {
            let disk = self.disk.clone();
            // The lock is free when the old one is gone.
            self.state = {
                let spare = StateDir::open(Arc::new(SimulatedDisk::new())).unwrap().0;
                drop(std::mem::replace(&mut self.state, spare));
                StateDir::open(Arc::new(disk)).unwrap().0
            };
        }
        self.live.retain(|number, _| !commit.dropped.contains(number));
        let checkpoint = self.state.begin().unwrap();
        let mut writer = checkpoint.writer(0);
        for length in &commit.segments {
            self.made += 1;
            let place = writer.append(&content(self.made, *length as u64)).unwrap();
            self.live.insert(self.made, place);
        }
        writer.finish().unwrap();
        let record = |place: &BlobRange| SegmentRecord {
            place: place.clone(),
            checksum: 0,
            from: 0,
            to: u64::MAX,
            rows: 1,
            level: 0,
        };
        let arrangement = ArrangementRecord { name: "rows".into(), segments: self.live.values().map(record).collect() };
        let step = StepRecord { name: "keep".into(), arrangements: vec![arrangement] };
        let mut manifest = Manifest { steps: vec![step], ..checkpoint.manifest(self.made + 2) };
        let moves = checkpoint.compact(&mut manifest).unwrap();
        checkpoint.commit(&manifest).unwrap();
        for place in self.live.values_mut() {
            *place = moves.get(place).unwrap_or(place).clone();
        }
        moves
    }

    /// All that is named is there; returns the number of blobs and their bytes, and the bytes that are named.
    fn check(&self) -> (usize, u64, u64) {
        for (number, place) in &self.live {
            assert_eq!(self.state.segment_bytes(place).unwrap(), content(*number, place.length));
        }
        let blobs: Vec<u64> = self
            .disk
            .files()
            .iter()
            .filter(|name| name.starts_with("runs-"))
            .map(|name| self.disk.length(name).unwrap().unwrap())
            .filter(|length| *length > 0)
            .collect();
        (blobs.len(), blobs.iter().sum(), self.live.values().map(|place| place.length).sum())
    }
}

#[test]
fn nothing_is_lost_and_little_is_dead() {
    let cases = std::env::var("MILLPOND_CASES").map_or(40, |cases| cases.parse().unwrap());
    let base: u64 = std::env::var("MILLPOND_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
    for seed in (0..cases).map(|case| base.wrapping_add(case)) {
        let mut random = StdRng::seed_from_u64(seed);
        let mut program = Program::new();
        for _ in 0..random.random_range(1..60) {
            let length = |random: &mut StdRng| match random.random_range(0..3) {
                0 => random.random_range(1..200),
                1 => random.random_range(1..20_000),
                _ => random.random_range(250_000..400_000),
            };
            let segments = (0..random.random_range(0..4)).map(|_| length(&mut random)).collect();
            let share = [0.0, 0.1, 0.5][random.random_range(0..3)];
            let dropped = program.live.keys().copied().filter(|_| random.random_bool(share)).collect();
            program.commit(&Commit { segments, dropped, reopens: random.random_bool(0.3) });
            let (blobs, bytes, live) = program.check();
            let most = live + live / 4 + (32 << 10) + 64 * program.live.len() as u64;
            assert!(
                blobs <= 12 && bytes <= most,
                "{blobs} blobs, {bytes} bytes, {live} live; MILLPOND_SEED={seed} MILLPOND_CASES=1"
            );
        }
    }
}

#[test]
fn six_hundred_small_commits_copy_each_byte_a_few_times() {
    let mut program = Program::new();
    let mut copied = [0u64; 2];
    for number in 0..600 {
        let moves = program.commit(&Commit { segments: vec![100], reopens: number % 100 == 0, ..Commit::default() });
        copied[number / 300] += moves.keys().map(|place| place.length).sum::<u64>();
        let blobs = program.disk.files().iter().filter(|name| name.starts_with("runs-")).count();
        assert!(blobs <= 12, "{blobs} blobs after {number} commits");
    }
    program.check();
    assert!(copied[0] < 300 * 100 * 8, "{copied:?} bytes were copied");
    assert!(copied[1] < copied[0] * 3 / 2, "{copied:?} bytes were copied");
}

#[test]
fn what_is_copied_can_be_read_at_both_places_until_the_commit_is_done() {
    let mut program = Program::new();
    for number in 0..100 {
        program.commit(&Commit { segments: vec![10 + number], ..Commit::default() });
    }
    // One long run is left of many: its blob is mostly dead.
    let commit = Commit { segments: vec![60_000; 20], ..Commit::default() };
    program.commit(&commit);
    let last = program.live.pop_last().unwrap();
    program.live = BTreeMap::from([last.clone()]);
    let moves = program.commit(&Commit::default());
    assert_eq!(moves.keys().collect::<Vec<_>>(), [&last.1]);
    assert_eq!(program.check(), (1, 60_000, 60_000));
}

#[test]
fn a_blob_that_was_cut_is_named_when_it_is_to_be_copied() {
    let mut program = Program::new();
    program.commit(&Commit { segments: vec![60_000; 20], ..Commit::default() });
    let first = program.live.pop_first().unwrap();
    let blob = first.1.blob.clone();
    program.live = BTreeMap::from([program.live.pop_last().unwrap()]);
    let bytes = program.disk.read(&blob).unwrap().unwrap();
    program.disk.put(&blob, &bytes[..bytes.len() - 1]);
    assert!(program.state.check_blobs().unwrap_err().message().starts_with(&format!("{blob} is damaged: it holds")));
    let place = program.live.values().next().unwrap().clone();
    let checkpoint = program.state.begin().unwrap();
    let run = SegmentRecord { place, checksum: 0, from: 0, to: u64::MAX, rows: 1, level: 0 };
    let arrangements = vec![ArrangementRecord { name: "rows".into(), segments: vec![run] }];
    let steps = vec![StepRecord { name: "keep".into(), arrangements }];
    let mut manifest = Manifest { steps, ..checkpoint.manifest(90) };
    let error = checkpoint.compact(&mut manifest).unwrap_err();
    assert!(error.message().starts_with(&format!("{blob} is damaged: it holds")), "{error}");
}
