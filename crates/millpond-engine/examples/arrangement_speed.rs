//! How fast state is hashed, built, opened, looked up and merged: `cargo segment --release -p millpond-engine --example
//! arrangement_speed`. Prints one line for each figure.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arrow_array::{ArrayRef, Int64Array, StringArray};
use millpond_columns::types::Type;
use millpond_engine::arrangement::{
    Arrangement, ArrangementSchema, BlobRange, SavedArrangement, SavedSegment, Segment, SegmentEntry, Select,
};
use millpond_engine::changes::Diffs;
use millpond_engine::hash::{HashSeed, KeyRange, hash_columns};
use millpond_engine::keyed::KeyedRows;

const USERS: i64 = 200_000;

/// A number from 0 to `below`, from a counter.
fn mix(i: u64, below: u64) -> u64 {
    let x = (i ^ 0x5851_f42d_4c95_7f2d).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    ((u128::from(x ^ (x >> 32)) * u128::from(below)) >> 64) as u64
}

/// Sessions (start, end, count) of these users, `each` apiece.
fn sessions(users: impl Iterator<Item = i64>, each: usize, first_start: i64) -> KeyedRows {
    let users: Vec<i64> = users.collect();
    let column: ArrayRef = Arc::new(Int64Array::from(users.clone()));
    let hashes = hash_columns(HashSeed(1), &[column], users.len());
    let mut order: Vec<usize> = (0..users.len()).collect();
    order.sort_unstable_by_key(|i| hashes[*i]);
    order.dedup_by_key(|i| hashes[*i]);
    let rows = order.len() * each;
    let start = |i: usize| first_start + (i % each) as i64 * 5000 + mix(i as u64, 1000) as i64;
    let starts: Vec<i64> = (0..rows).map(start).collect();
    let ends: Vec<i64> = (0..rows).map(|i| start(i) + mix(i as u64 + 9, 3000) as i64).collect();
    let counts: Vec<i64> = (0..rows).map(|i| 1 + mix(i as u64, 9) as i64).collect();
    KeyedRows {
        hashes: order.iter().map(|i| hashes[*i]).collect(),
        keys: vec![Arc::new(Int64Array::from_iter_values(order.iter().map(|i| users[*i])))],
        offsets: (0..=order.len()).map(|i| (i * each) as u32).collect(),
        rows: [starts, ends, counts].map(|column| Arc::new(Int64Array::from(column)) as ArrayRef).to_vec(),
        diffs: Diffs::Ones,
    }
}

fn build(arrangement: &Arrangement, rows: &KeyedRows) -> Vec<Segment> {
    let mut builder = arrangement.builder();
    builder.append(rows);
    builder.finish().expect("memory takes all")
}

/// Opens the segments of an arrangement as if saved.
fn reopen(arrangement: &Arrangement) -> Arrangement {
    let saved = |(number, entry): (usize, &SegmentEntry)| {
        let (bytes, name) = (entry.segment.bytes().clone(), format!("segment-{number}"));
        let place = BlobRange { blob: name.clone(), offset: 0, length: bytes.len() as u64 };
        SavedSegment { name, bytes, checksum: entry.segment.checksum(), range: entry.range, level: entry.level, place }
    };
    let segments = arrangement.entries().iter().enumerate().map(saved).collect();
    Arrangement::open(arrangement.schema().clone(), KeyRange::ALL, SavedArrangement { segments })
        .expect("segments just built")
}

/// The time that this thread has had a core, where the system tells (in steps of some ms); else the time of day. Others
/// may use the machine.
fn now() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    let on_core = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = on_core.and_then(|text| text.split(' ').next()?.parse().ok());
    nanoseconds.map_or_else(|| START.get_or_init(Instant::now).elapsed(), Duration::from_nanos)
}

/// The mean time of several rounds.
fn mean(rounds: u32, mut work: impl FnMut()) -> Duration {
    let start = now();
    (0..rounds).for_each(|_| work());
    (now() - start) / rounds
}

fn main() {
    let names: ArrayRef = Arc::new(StringArray::from_iter_values((0..10_000_000).map(|i| format!("u{}", i % USERS))));
    let time = mean(3, || drop(hash_columns(HashSeed(1), std::slice::from_ref(&names), names.len())));
    println!("hash 10M short strings: {time:?}");
    drop(names);

    let int = Type::Int.required();
    let schema = ArrangementSchema { key: vec![int], row: vec![int; 3] };
    let empty = Arrangement::new(schema.clone(), KeyRange::ALL);
    let large = sessions(0..USERS, 25, 1_700_000_000);
    let time = mean(5, || drop(build(&empty, &large)));
    println!("build 200k keys with 5M rows of 3 ints: {time:?}");
    drop(large);

    let mut base = Arrangement::new(schema.clone(), KeyRange::ALL);
    base.insert(build(&empty, &sessions(0..USERS, 15, 1_700_000_000)));
    println!("200k keys and 3M rows: {} bytes in {} segments", base.size().bytes, base.size().segments);
    let time = mean(1000, || drop(reopen(&base)));
    println!("open it: {time:?}");

    let keys = sessions((0..1000).map(|i| mix(i, USERS as u64) as i64), 1, 0);
    let lookup = |arrangement: &Arrangement, name: &str| {
        let from = vec![1_700_060_000; keys.hashes.len()];
        let until = vec![1_700_066_000; keys.hashes.len()];
        let range = Select::Range { from: &from, until: &until, until_column: 0 };
        for (what, select) in [("all rows", Select::All), ("a range", range), ("the last row", Select::Last)] {
            let time =
                mean(500, || drop(arrangement.lookup(&keys.hashes, &keys.keys, select).expect("sound segments")));
            println!("look up {what} of 1,000 keys in {name}: {time:?}");
        }
    };
    let mut arrangement = reopen(&base);
    let cold = Instant::now();
    drop(arrangement.lookup(&keys.hashes, &keys.keys, Select::Last).expect("sound segments"));
    println!("the first lookup, which checks the blocks: {:?}", cold.elapsed());
    lookup(&arrangement, "it");
    for i in 0..8u64 {
        let users = (0..1000 << (i / 2)).map(|u| mix(u + i * 100_000, USERS as u64) as i64);
        arrangement.insert(build(&arrangement, &sessions(users, 1, 1_700_080_000 + i as i64 * 1000)));
    }
    lookup(&arrangement, "it and 8 smaller segments");

    let mut rows = 0;
    let scan = now();
    let mut count = |chunk: KeyedRows| {
        rows += chunk.offsets.last().copied().unwrap_or_default();
        Ok(())
    };
    arrangement.scan(&mut count).expect("sound segments");
    println!("scan all: {rows} rows in {:?}", now() - scan);

    let mut arrangement = reopen(&base);
    arrangement.insert(build(&arrangement, &sessions((0..USERS).step_by(2), 12, 1_700_090_000)));
    let merge = now();
    arrangement.maintain(usize::MAX).expect("sound segments");
    println!("merge 3M and 1.2M rows: {:?}, {} segments", now() - merge, arrangement.entries().len());

    let mut arrangement = Arrangement::new(schema, KeyRange::ALL);
    for i in 0..2 {
        arrangement.insert(build(&arrangement, &sessions((i..2 * USERS).step_by(2), 1, 1_700_090_000)));
    }
    let merge = now();
    arrangement.maintain(usize::MAX).expect("sound segments");
    println!("merge twice 200k rows with a key each: {:?}", now() - merge);

    let mut arrangement = reopen(&base);
    let (mut inserts, mut merges) = (Vec::new(), Vec::new());
    for epoch in 0..1000u64 {
        let users = (0..1000).map(|u| mix(u + epoch * 1000, USERS as u64) as i64);
        let rows = sessions(users, 1, 1_700_090_000 + epoch as i64 * 1000);
        let start = Instant::now();
        let segment = build(&arrangement, &rows);
        arrangement.insert(segment);
        inserts.push(start.elapsed());
        let start = Instant::now();
        arrangement.maintain(32_000).expect("sound segments");
        merges.push(start.elapsed());
    }
    for (what, mut times) in [("insert", inserts), ("maintain", merges)] {
        times.sort();
        println!(
            "1,000 epochs of 1,000 rows, {what}: p50 {:?}, p99 {:?}, max {:?}",
            times[500], times[990], times[999]
        );
    }
    println!("segments after that: {}", arrangement.entries().len());
    lookup(&arrangement, "what that leaves");
}
