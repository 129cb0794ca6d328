//! Arrangements against a model of sorted maps: random schemas, changes, merges, restarts and damage.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray};
use arrow_buffer::ScalarBuffer;
use millpond_columns::types::{ColumnType, Type};
use millpond_error::ErrorKind;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use xxhash_rust::xxh3::xxh3_64;

use super::segment::BlockInfo;
use super::*;
use crate::changes::Diffs;
use crate::hash::{HashSeed, hash_columns};

/// A cell in the order of rows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cell {
    Null,
    Bool(bool),
    Int(i64),
    /// By `total_cmp`, as an int of the same order.
    Float(i64),
    Str(String),
    Bytes(Vec<u8>),
}

type Row = Vec<Cell>;
/// Keys by hash.
type Key = (u64, Row);
/// The rows of a key with their multiplicities.
type Group = Vec<(Row, i64)>;
type Model = BTreeMap<Key, BTreeMap<Row, i64>>;

fn ordered(value: f64) -> i64 {
    let bits = value.to_bits() as i64;
    bits ^ ((bits >> 63) as u64 >> 1) as i64
}

fn unordered(order: i64) -> f64 {
    f64::from_bits((order ^ ((order >> 63) as u64 >> 1) as i64) as u64)
}

fn array(ty: ColumnType, cells: impl Iterator<Item = Cell>) -> ArrayRef {
    let wrong = |cell| -> ! { panic!("{cell:?} in a column of type {ty}") };
    macro_rules! collect {
        ($array:ty, $cell:pat => $value:expr) => {
            Arc::new(
                cells
                    .map(|cell| match cell {
                        Cell::Null => None,
                        $cell => Some($value),
                        cell => wrong(cell),
                    })
                    .collect::<$array>(),
            )
        };
    }
    match ty.ty {
        Type::Bool => collect!(BooleanArray, Cell::Bool(value) => value),
        Type::Int | Type::DateTimeNaive | Type::DateTimeUtc | Type::Duration => {
            let ints: Arc<Int64Array> = collect!(Int64Array, Cell::Int(value) => value);
            ty.ty.int_array(ints.values().clone(), ints.nulls().cloned())
        }
        Type::Float => collect!(Float64Array, Cell::Float(value) => unordered(value)),
        Type::Str => collect!(StringArray, Cell::Str(value) => value),
        Type::Bytes | Type::Json | Type::Tuple(_) | Type::List(_) => {
            collect!(arrow_array::BinaryArray, Cell::Bytes(value) => value)
        }
    }
}

fn arrays<'a>(types: &[ColumnType], rows: impl Iterator<Item = &'a Row> + Clone) -> Vec<ArrayRef> {
    types.iter().enumerate().map(|(c, ty)| array(*ty, rows.clone().map(|row| row[c].clone()))).collect()
}

fn cell(array: &ArrayRef, ty: ColumnType, i: usize) -> Cell {
    if array.is_null(i) {
        assert!(ty.optional);
        return Cell::Null;
    }
    assert_eq!(array.data_type(), &ty.ty.to_arrow());
    match ty.ty {
        Type::Bool => Cell::Bool(array.as_boolean().value(i)),
        Type::Int | Type::DateTimeNaive | Type::DateTimeUtc | Type::Duration => {
            Cell::Int(millpond_columns::view::ints(array)[i])
        }
        Type::Float => Cell::Float(ordered(array.as_primitive::<Float64Type>().value(i))),
        Type::Str => Cell::Str(array.as_string::<i32>().value(i).to_owned()),
        Type::Bytes | Type::Json | Type::Tuple(_) | Type::List(_) => {
            Cell::Bytes(array.as_binary::<i32>().value(i).to_owned())
        }
    }
}

fn row(columns: &[ArrayRef], types: &[ColumnType], i: usize) -> Row {
    assert_eq!(columns.len(), types.len());
    columns.iter().zip(types).map(|(column, ty)| cell(column, *ty, i)).collect()
}

fn keyed_rows(schema: &ArrangementSchema, model: &Model) -> KeyedRows {
    let mut offsets = vec![0u32];
    for rows in model.values() {
        offsets.push(offsets[offsets.len() - 1] + rows.len() as u32);
    }
    let diffs: Vec<i64> = model.values().flat_map(|rows| rows.values().copied()).collect();
    let diffs = if diffs.iter().all(|diff| *diff == 1) { Diffs::Ones } else { Diffs::Each(ScalarBuffer::from(diffs)) };
    KeyedRows {
        hashes: model.keys().map(|(hash, _)| *hash).collect(),
        keys: arrays(&schema.key, model.keys().map(|(_, key)| key)),
        offsets,
        rows: arrays(&schema.row, model.values().flat_map(|rows| rows.keys())),
        diffs,
    }
}

/// What keyed rows say, keys without rows included.
fn entries_of(schema: &ArrangementSchema, rows: &KeyedRows) -> Vec<(Key, Group)> {
    (0..rows.hashes.len())
        .map(|k| {
            let key = (rows.hashes[k], row(&rows.keys, &schema.key, k));
            let group = rows.offsets[k] as usize..rows.offsets[k + 1] as usize;
            (key, group.map(|i| (row(&rows.rows, &schema.row, i), rows.diffs.get(i))).collect())
        })
        .collect()
}

/// A random program: a schema, and how cells and hashes are drawn.
struct Draw {
    random: StdRng,
    schema: ArrangementSchema,
    /// How many different values a column has.
    values: i64,
    /// Bits of the hash that count: few make collisions.
    hash_mask: u64,
}

impl Draw {
    fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let column = |random: &mut StdRng| {
            let times = [Type::DateTimeNaive, Type::DateTimeUtc, Type::Duration];
            let others = [Type::Bool, Type::Int, Type::Float, Type::Str, Type::Bytes];
            let ty = [&times[..], &others[..]].concat()[random.random_range(0..8)];
            ColumnType { ty, optional: random.random() }
        };
        let key = (0..random.random_range(0..3)).map(|_| column(&mut random)).collect();
        let mut row: Vec<_> = (0..random.random_range(0..4)).map(|_| column(&mut random)).collect();
        if random.random() {
            let ty = [Type::Int, Type::DateTimeNaive, Type::DateTimeUtc][random.random_range(0..3)];
            row.insert(0, ty.required());
        }
        let values = [2, 10, 1000][random.random_range(0..3)];
        let hash_mask = [u64::MAX, u64::MAX, 7 << 61, 0][random.random_range(0..4)];
        Draw { random, schema: ArrangementSchema { key, row }, values, hash_mask }
    }

    fn cell(&mut self, ty: ColumnType) -> Cell {
        let random = &mut self.random;
        if ty.optional && random.random_bool(0.3) {
            return Cell::Null;
        }
        let value = random.random_range(-self.values..self.values);
        match ty.ty {
            Type::Bool => Cell::Bool(value > 0),
            ty if ty.is_stored_as_int() && random.random_bool(0.01) => {
                Cell::Int([i64::MIN, i64::MAX][random.random_range(0..2)])
            }
            Type::Int | Type::DateTimeNaive | Type::DateTimeUtc | Type::Duration => Cell::Int(value),
            Type::Float => {
                let special = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0];
                let plain = value as f64 / 4.0;
                let value = if random.random_bool(0.1) { special[random.random_range(0..4)] } else { plain };
                Cell::Float(ordered(value))
            }
            Type::Bytes | Type::Json | Type::Tuple(_) | Type::List(_) => {
                Cell::Bytes([&[0xff, 0][..(value & 1) as usize + 1], &value.to_be_bytes()[6..]].concat())
            }
            Type::Str => Cell::Str("é".repeat((value.unsigned_abs() % 5) as usize) + &value.to_string()),
        }
    }

    fn row(&mut self, types: &[ColumnType]) -> Row {
        types.iter().map(|ty| self.cell(*ty)).collect()
    }

    fn key(&mut self) -> Key {
        // As operators do, keys hold one representative of equal floats.
        let types = self.schema.key.clone();
        let mut key = self.row(&types);
        for cell in &mut key {
            if let Cell::Float(value) = cell {
                *cell = Cell::Float(ordered(millpond_columns::float::canonical(unordered(*value))));
            }
        }
        let hash = hash_columns(HashSeed(1), &arrays(&types, std::iter::once(&key)), 1)[0];
        (hash & self.hash_mask, key)
    }

    /// Changes of one epoch; some take back what `model` has.
    fn changes(&mut self, model: &Model) -> Model {
        let mut changes = Model::new();
        let keys = self.random.random_range(0..30);
        for _ in 0..keys {
            let key = self.key();
            let known = model.get(&key);
            let rows = if self.random.random_bool(0.1) { self.random.random_range(0..200) } else { 3 };
            for _ in 0..rows {
                let types = self.schema.row.clone();
                let mut row = self.row(&types);
                let mut diff = [1, 1, 1, -1, 5][self.random.random_range(0..5)];
                if let Some((old, count)) = known.and_then(|rows| rows.iter().next())
                    && count.abs() < 1000
                    && self.random.random_bool(0.2)
                {
                    (row, diff) = (old.clone(), -count);
                }
                *changes.entry(key.clone()).or_default().entry(row).or_default() += diff;
            }
        }
        for rows in changes.values_mut() {
            rows.retain(|_, diff| *diff != 0);
        }
        changes
    }
}

fn apply(model: &mut Model, changes: &Model) {
    for (key, rows) in changes {
        let into = model.entry(key.clone()).or_default();
        for (row, diff) in rows {
            *into.entry(row.clone()).or_default() += diff;
        }
        into.retain(|_, diff| *diff != 0);
    }
    model.retain(|_, rows| !rows.is_empty());
}

fn within(model: &Model, range: KeyRange) -> Model {
    model.iter().filter(|((hash, _), _)| range.contains(*hash)).map(|(k, v)| (k.clone(), v.clone())).collect()
}

/// One program over several workers.
struct Workers {
    workers: Vec<Arrangement>,
    blobs: BTreeMap<String, Bytes>,
    blobs_made: usize,
}

const SMALL: Sizes = Sizes { block_bytes: 500, small_rows: 40, slice_rows: (40, 200), segment_bytes: (2000, 8000) };

impl Workers {
    fn new(schema: &ArrangementSchema, workers: usize, sizes: Sizes) -> Self {
        let worker = |i| Arrangement::with_sizes(schema.clone(), KeyRange::of_worker(i, workers), Vec::new(), sizes);
        Workers { workers: (0..workers).map(worker).collect(), blobs: BTreeMap::new(), blobs_made: 0 }
    }

    fn insert(&mut self, changes: &Model) {
        for worker in &mut self.workers {
            let mut builder = worker.builder();
            let rows = keyed_rows(&worker.schema, &within(changes, worker.range));
            builder.append(&rows);
            worker.insert(builder.finish().unwrap());
        }
    }

    fn save(&mut self) -> SavedArrangement {
        let mut saved = SavedArrangement::default();
        for entry in self.workers.iter().flat_map(|worker| worker.entries()) {
            if entry.segment.place().is_none() {
                self.blobs_made += 1;
                let blob = format!("segment-{}", self.blobs_made);
                let bytes = Bytes::copy_from_slice(entry.segment.bytes());
                entry.segment.set_place(BlobRange { blob: blob.clone(), offset: 0, length: bytes.len() as u64 });
                self.blobs.insert(blob, bytes);
            }
            let place = entry.segment.place().unwrap().clone();
            saved.segments.push(SavedSegment {
                name: place.blob.clone(),
                bytes: self.blobs[&place.blob].clone(),
                checksum: entry.segment.checksum(),
                range: entry.range,
                level: entry.level,
                place,
            });
        }
        saved
    }

    /// As a checkpoint that others follow, which copied some segments to other blobs.
    fn settle(&mut self, at_least: usize, random: &mut StdRng) {
        let mut moves = HashMap::new();
        for SavedSegment { place, .. } in self.save().segments {
            if random.random_bool(0.3) && !moves.contains_key(&place) {
                self.blobs_made += 1;
                let blob = format!("segment-{}", self.blobs_made);
                let bytes = self.blobs.remove(&place.blob).unwrap();
                self.blobs.insert(blob.clone(), bytes);
                moves.insert(place.clone(), BlobRange { blob, ..place });
            }
        }
        for worker in &mut self.workers {
            let read = |place: &BlobRange| Ok((place.blob.clone(), self.blobs[&place.blob].clone()));
            worker.evict_saved(&moves, at_least, &read).unwrap();
            assert!(worker.entries().iter().all(|entry| !moves.contains_key(entry.segment.place().unwrap())));
            assert!(
                worker
                    .entries()
                    .iter()
                    .all(|entry| !entry.segment.is_in_memory() || entry.segment.bytes().len() < at_least)
            );
        }
    }

    fn restart(&mut self, schema: &ArrangementSchema, workers: usize, sizes: Sizes) {
        let saved = self.save();
        let open = |i| {
            let range = KeyRange::of_worker(i, workers);
            let levels = open_levels(schema, range, saved.clone()).unwrap();
            Arrangement::with_sizes(schema.clone(), range, levels, sizes)
        };
        self.workers = (0..workers).map(open).collect();
    }
}

fn check_scan(arrangement: &Arrangement, model: &Model) {
    let mut found = Vec::new();
    let mut emit = |rows: KeyedRows| {
        assert!(!rows.hashes.is_empty());
        found.extend(entries_of(&arrangement.schema, &rows));
        Ok(())
    };
    arrangement.scan(&mut emit).unwrap();
    let expect: Vec<_> = model.iter().map(|(k, rows)| (k.clone(), rows.clone().into_iter().collect())).collect();
    assert_eq!(found, expect);
}

fn check_lookup(arrangement: &Arrangement, model: &Model, keys: &Model, draw: &mut Draw) {
    let schema = &arrangement.schema;
    let rows = keyed_rows(schema, keys);
    let check = |select: Select<'_>, expect: &dyn Fn(usize, Group) -> Group| {
        let found = arrangement.lookup(&rows.hashes, &rows.keys, select).unwrap();
        let found = entries_of(schema, &found);
        let expect: Vec<_> = keys
            .keys()
            .enumerate()
            .map(|(i, key)| {
                let rows = model.get(key).map(|rows| rows.clone().into_iter().collect()).unwrap_or_default();
                (key.clone(), expect(i, rows))
            })
            .collect();
        assert_eq!(found, expect, "{select:?}");
    };
    let filled = |row: &(Row, i64)| row.0.first() != Some(&Cell::Null);
    check(Select::All, &|_, rows| rows);
    check(Select::First, &|_, rows| rows.into_iter().find(filled).into_iter().collect());
    check(Select::Last, &|_, rows| rows.into_iter().rfind(filled).into_iter().collect());
    let is_int = |ty: &ColumnType| ty.ty.is_stored_as_int() && !ty.optional;
    if !schema.row.first().is_some_and(is_int) {
        return;
    }
    let ints: Vec<_> = (0..schema.row.len()).filter(|c| is_int(&schema.row[*c])).collect();
    let until_column = ints[draw.random.random_range(0..ints.len())];
    let values = draw.values;
    let mut bounds = || (0..keys.len()).map(|_| draw.random.random_range(-values - 1..=values)).collect::<Vec<i64>>();
    let (from, until) = (bounds(), bounds());
    let int = |cell: &Cell| if let Cell::Int(value) = cell { *value } else { panic!("{cell:?}") };
    check(Select::Range { from: &from, until: &until, until_column }, &|i, rows| {
        let rows = rows.into_iter().skip_while(|(row, _)| int(&row[0]) < from[i]);
        rows.take_while(|(row, _)| int(&row[until_column]) <= until[i]).collect()
    });
    check(Select::Through { from: &from, until: &until, until_column }, &|i, rows| {
        let rows = rows.into_iter().skip_while(|(row, _)| int(&row[0]) < from[i]);
        let mut ended = false;
        let through = |(row, _): &(Row, i64)| {
            let more = !ended;
            ended = int(&row[until_column]) > until[i];
            more
        };
        rows.take_while(through).collect()
    });
    check(Select::Before { value: &from }, &|i, rows| {
        rows.into_iter().rfind(|(row, _)| int(&row[0]) < from[i]).into_iter().collect()
    });
}

/// Looks up rows by all of their columns or the first ones: some that are there, some that were, some that never were.
fn check_lookup_rows(arrangement: &Arrangement, model: &Model, keys: &Model, draw: &mut Draw) {
    let schema = &arrangement.schema;
    if schema.row.is_empty() {
        return;
    }
    let columns = draw.random.random_range(1..=schema.row.len());
    let mut wanted = Model::new();
    for (key, rows) in keys {
        let known = model.get(key).into_iter().flatten().filter(|_| draw.random.random_bool(0.5));
        let known: Vec<&Row> = rows.keys().chain(known.map(|(row, _)| row)).collect();
        let rows = known.into_iter().map(|row| (row[..columns].to_vec(), draw.random.random_range(1..4)));
        wanted.insert(key.clone(), rows.collect());
    }
    let prefix = ArrangementSchema { key: schema.key.clone(), row: schema.row[..columns].to_vec() };
    let enough: Vec<i64> = wanted.values().flat_map(|rows| rows.values().copied()).collect();
    let found = arrangement.lookup_rows(&keyed_rows(&prefix, &wanted), &enough).unwrap();
    let expect = |(key, row, enough): (&Key, &Row, i64)| {
        let mut sum = 0;
        let rows = model.get(key).into_iter().flatten().filter(|(found, _)| found[..columns] == row[..]);
        let rows = rows.take_while(|(_, diff)| {
            let more = sum < enough;
            sum += **diff;
            more
        });
        rows.map(|(row, diff)| (row.clone(), *diff)).collect::<Group>()
    };
    let wanted = wanted.iter().flat_map(|(key, rows)| rows.iter().map(move |(row, enough)| (key, row, *enough)));
    let expected: Vec<(Key, Group)> = (0..).zip(wanted.map(expect)).map(|(i, rows)| ((i, vec![]), rows)).collect();
    let of_wanted = ArrangementSchema { key: vec![], row: schema.row.clone() };
    let hashes = (0..enough.len() as u64).collect();
    let RowsFound { offsets, rows, diffs } = found;
    let found = entries_of(&of_wanted, &KeyedRows { hashes, keys: vec![], offsets, rows, diffs });
    assert_eq!(found, expected);
}

/// Entries of a level are disjoint and in order, and know their level.
fn check_levels(arrangement: &Arrangement) {
    for (number, level) in (0..).zip(arrangement.levels.slices()) {
        assert!(level.iter().all(|entry| entry.level == number));
        assert!(level.windows(2).all(|pair| pair[0].range.last < pair[1].range.first));
    }
    let of_entries: Vec<_> = arrangement.entries().iter().map(|entry| (entry.level, entry.range)).collect();
    let of_levels: Vec<_> = arrangement.levels.entries().map(|entry| (entry.level, entry.range)).collect();
    assert_eq!(of_entries, of_levels);
}

fn check(seed: u64) {
    let mut draw = Draw::new(seed);
    let schema = draw.schema.clone();
    let sizes = if draw.random.random_bool(0.2) { Sizes::default() } else { SMALL };
    let mut program = Workers::new(&schema, draw.random.random_range(1..=4), sizes);
    let mut model = Model::new();
    for _ in 0..draw.random.random_range(1..14) {
        let changes = draw.changes(&model);
        program.insert(&changes);
        apply(&mut model, &changes);
        if draw.random.random_bool(0.7) {
            let fuel = [0, 1, 10, 100, 1000][draw.random.random_range(0..5)];
            program.workers.iter_mut().for_each(|worker| worker.maintain(fuel).unwrap());
        }
        if draw.random.random_bool(0.2) {
            let at_least = draw.random.random_range(0..2000);
            program.settle(at_least, &mut draw.random);
        }
        if draw.random.random_bool(0.2) {
            program.restart(&schema, draw.random.random_range(1..=4), sizes);
        }
        program.workers.iter().for_each(check_levels);
        let mut keys = draw.changes(&model);
        keys.extend(model.iter().take(20).map(|(key, _)| (key.clone(), BTreeMap::new())));
        for worker in &program.workers {
            let (model, keys) = (within(&model, worker.range), within(&keys, worker.range));
            check_lookup(worker, &model, &keys, &mut draw);
            check_lookup_rows(worker, &model, &keys, &mut draw);
            check_scan(worker, &model);
        }
    }
}

#[test]
fn an_arrangement_equals_its_model() {
    let cases = std::env::var("MILLPOND_CASES").map_or(1500, |cases| cases.parse().unwrap());
    let base: u64 = std::env::var("MILLPOND_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
    for seed in (0..cases).map(|case| base.wrapping_add(case)) {
        let result = std::panic::catch_unwind(|| check(seed));
        assert!(result.is_ok(), "failed with MILLPOND_SEED={seed} MILLPOND_CASES=1");
    }
}

/// What a reader of a segment sees: its content, or the kind of error.
fn read(bytes: Bytes, checksum: u64, schema: &ArrangementSchema) -> Result<Vec<(Key, Group)>> {
    let place = BlobRange { blob: "segment-7".to_owned(), offset: 0, length: bytes.len() as u64 };
    let saved =
        SavedSegment { name: "state/segment-7".to_owned(), bytes, checksum, range: KeyRange::ALL, level: 0, place };
    let arrangement = Arrangement::open(schema.clone(), KeyRange::ALL, SavedArrangement { segments: vec![saved] })?;
    let mut found = Vec::new();
    arrangement.scan(&mut |rows| {
        found.extend(entries_of(schema, &rows));
        Ok(())
    })?;
    for key in &found {
        let keys = keyed_rows(schema, &Model::from([(key.0.clone(), BTreeMap::new())]));
        let rows = arrangement.lookup(&keys.hashes, &keys.keys, Select::Last)?;
        assert_eq!(rows.hashes.len(), 1);
    }
    Ok(found)
}

#[track_caller]
fn check_damaged(bytes: Vec<u8>, checksum: u64, schema: &ArrangementSchema) {
    let error = read(Bytes::from(bytes), checksum, schema).expect_err("every byte is covered by a checksum");
    assert_eq!(error.kind(), ErrorKind::Data);
    // A changed byte of the format's version makes it one of another format.
    let is_damage =
        error.message().starts_with("state/segment-7: the saved segment ") && error.hint() == Some(DAMAGE_HINT);
    let is_format = error.message() == "state/segment-7: the segment is of a format that this version does not know";
    assert!(is_damage || is_format, "{error}");
}

/// A small segment with nulls, texts, several blocks, and a key that goes on over blocks.
fn small_segment(schema: &ArrangementSchema) -> Segment {
    let key = |i: u64| (i << 60, vec![Cell::Str(format!("user {i}"))]);
    let row = |i: i64| vec![Cell::Int(i), if i % 3 == 0 { Cell::Null } else { Cell::Str("x".repeat(i as usize % 5)) }];
    let model: Model =
        (0..6).map(|k| (key(k), (0..if k == 3 { 40 } else { 3 }).map(|i| (row(i), 1 + i % 2)).collect())).collect();
    let mut builder = SegmentBuilder::with_sizes(schema.clone(), 400, (usize::MAX, usize::MAX), None);
    builder.append(&keyed_rows(schema, &model));
    let segment = builder.finish_one().unwrap();
    assert!(segment.blocks.iter().any(BlockInfo::continues) && segment.blocks.len() > 3);
    segment
}

fn small_schema() -> ArrangementSchema {
    ArrangementSchema { key: vec![Type::Str.required()], row: vec![Type::Int.required(), Type::Str.optional()] }
}

#[test]
fn a_flipped_bit_anywhere_is_a_data_error() {
    let schema = small_schema();
    let segment = small_segment(&schema);
    assert_eq!(read(segment.bytes().clone(), segment.checksum(), &schema).unwrap().len(), 6);
    for at in 0..segment.bytes().len() {
        for bit in [0, 3, 7] {
            let mut bytes = segment.bytes().to_vec();
            bytes[at] ^= 1 << bit;
            check_damaged(bytes, segment.checksum(), &schema);
        }
    }
}

#[test]
fn a_run_that_is_cut_off_or_too_long_is_a_data_error() {
    let schema = small_schema();
    let segment = small_segment(&schema);
    for length in 0..segment.bytes().len() {
        check_damaged(segment.bytes()[..length].to_vec(), segment.checksum(), &schema);
    }
    check_damaged([segment.bytes(), &[0u8; 8][..]].concat(), segment.checksum(), &schema);
}

/// Not an accident of the disk but a wrong writer: the checksums are right, the content is not.
#[test]
fn wrong_content_under_right_checksums_is_no_panic() {
    let schema = small_schema();
    let segment = small_segment(&schema);
    let mut random = StdRng::seed_from_u64(5);
    for _ in 0..20_000 {
        let mut bytes = segment.bytes().to_vec();
        for _ in 0..random.random_range(1..4) {
            let at = random.random_range(0..bytes.len());
            bytes[at] = [0, 1, 0xff, random.random()][random.random_range(0..4)];
        }
        let checksum = fix_checksums(&mut bytes, &segment);
        if let Err(error) = read(Bytes::from(bytes), checksum, &schema) {
            assert_eq!(error.kind(), ErrorKind::Data, "{error}");
        }
    }
}

/// Writes the checksums of the blocks into the index, and that of the footer into the trailer.
fn fix_checksums(bytes: &mut [u8], segment: &Segment) -> u64 {
    let footer = segment.blocks.iter().map(|block| block.length as usize).sum::<usize>() + 8;
    let index = footer + 8 + 32;
    let mut start = 8;
    for (b, block) in segment.blocks.iter().enumerate() {
        let end = start + block.length as usize;
        let checksum = xxh3_64(&bytes[start..end]);
        bytes[index + b * 48 + 16..][..8].copy_from_slice(&checksum.to_le_bytes());
        start = end;
    }
    let trailer = bytes.len() - 16;
    let checksum = xxh3_64(&bytes[footer..trailer]);
    bytes[trailer..trailer + 8].copy_from_slice(&((trailer - footer) as u64).to_le_bytes());
    bytes[trailer + 8..].copy_from_slice(&checksum.to_le_bytes());
    checksum
}

#[test]
fn a_run_of_another_schema_is_a_data_error() {
    let segment = small_segment(&small_schema());
    let other = ArrangementSchema { row: vec![Type::Int.required()], ..small_schema() };
    check_damaged(segment.bytes().to_vec(), segment.checksum(), &other);
    let error = read(segment.bytes().clone(), segment.checksum(), &other).unwrap_err();
    let message = format!("state/segment-7: the saved segment has columns {}, not {other}", small_schema());
    assert_eq!(error.message(), message);
    check_damaged(segment.bytes().to_vec(), segment.checksum() + 1, &small_schema());
}

#[test]
fn a_run_of_another_format_is_told_apart_from_damage() {
    let segment = small_segment(&small_schema());
    let mut bytes = segment.bytes().to_vec();
    bytes[7] = 2;
    let error = read(Bytes::from(bytes), segment.checksum(), &small_schema()).unwrap_err();
    let text = "state/segment-7: the segment is of a format that this version does not know\n\
                hint: use the version of Millpond that wrote the state, or a newer one";
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Data, text));
}

/// A type of a later version is no damage: the codes of types to come are fixed.
#[test]
fn a_column_of_a_type_to_come_is_told_apart_from_damage() {
    use super::segment::FALLIBLE;
    for code in [8, 9, 10, 11, 12, 1 | FALLIBLE, 8 | 0x80, 63] {
        let segment = small_segment(&small_schema());
        let mut bytes = segment.bytes().to_vec();
        let footer = segment.blocks.iter().map(|block| block.length as usize).sum::<usize>() + 8;
        bytes[footer + 4] = code;
        let checksum = fix_checksums(&mut bytes, &segment);
        let error = read(Bytes::from(bytes), checksum, &small_schema()).unwrap_err();
        let text = format!(
            "state/segment-7: the segment has a column of type {code}, a type that this version does not know\n\
             hint: use the version of Millpond that wrote the state, or a newer one"
        );
        assert_eq!((error.kind(), error.to_string()), (ErrorKind::Data, text));
    }
}

/// A segment of bytes that says it is one of text.
#[test]
fn saved_text_that_is_not_utf8_is_a_data_error() {
    let of = |ty: Type| ArrangementSchema { key: vec![], row: vec![ty.required()] };
    let model = Model::from([((0, vec![]), BTreeMap::from([(vec![Cell::Bytes(vec![0xff])], 1)]))]);
    let mut builder = SegmentBuilder::new(of(Type::Bytes));
    builder.append(&keyed_rows(&of(Type::Bytes), &model));
    let segment = builder.finish_one().unwrap();
    let mut bytes = segment.bytes().to_vec();
    let footer = segment.blocks.iter().map(|block| block.length as usize).sum::<usize>() + 8;
    bytes[footer + 4] = 3;
    let checksum = fix_checksums(&mut bytes, &segment);
    let error = read(Bytes::from(bytes), checksum, &of(Type::Str)).unwrap_err();
    assert_eq!((error.kind(), error.hint()), (ErrorKind::Data, Some(DAMAGE_HINT)));
    assert!(error.message().starts_with("saved text is not UTF-8: "), "{error}");
}

#[test]
fn two_runs_of_one_level_hold_no_key_both() {
    let segment = small_segment(&small_schema());
    let saved = |blob: &str, level| SavedSegment {
        name: format!("state/{blob}"),
        bytes: segment.bytes().clone(),
        checksum: segment.checksum(),
        range: KeyRange::ALL,
        level,
        place: BlobRange { blob: blob.to_owned(), offset: 0, length: segment.bytes().len() as u64 },
    };
    let open = |level| {
        let segments = vec![saved("segment-7", 0), saved("segment-8", level)];
        Arrangement::open(small_schema(), KeyRange::ALL, SavedArrangement { segments })
    };
    open(1).unwrap();
    let error = open(0).unwrap_err();
    let text = format!("two segments of one level hold the same keys, one of them in segment-8\nhint: {DAMAGE_HINT}");
    assert_eq!((error.kind(), error.to_string()), (ErrorKind::Data, text));
}

/// One key with 200,000 rows, in one large segment and some small ones, is read at a place without reading all of it.
#[test]
fn a_range_inside_a_large_key_touches_few_blocks() {
    let schema = ArrangementSchema { key: vec![Type::Int.required()], row: vec![Type::Int.required(); 2] };
    let rows = |times: &mut dyn Iterator<Item = i64>| {
        let row = |time| (vec![Cell::Int(time), Cell::Int(time + 5)], 1);
        Model::from([((1 << 40, vec![Cell::Int(7)]), times.map(row).collect())])
    };
    let mut arrangement = Arrangement::new(schema.clone(), KeyRange::ALL);
    let mut insert = |model: &Model| {
        let mut builder = arrangement.builder();
        builder.append(&keyed_rows(&schema, model));
        let segment = builder.finish_one().unwrap();
        arrangement.insert(vec![Segment::open("segment", segment.bytes().clone(), segment.checksum()).unwrap()]);
    };
    insert(&rows(&mut (0..200_000).map(|i| i * 10)));
    insert(&rows(&mut (0..100).map(|i| i * 9_999)));
    let keys = keyed_rows(&schema, &rows(&mut [0].into_iter()));
    let select = Select::Range { from: &[1_000_000], until: &[1_000_051], until_column: 1 };
    let found = arrangement.lookup(&keys.hashes, &keys.keys, select).unwrap();
    let starts: Vec<i64> = found.rows[0].as_primitive::<arrow_array::types::Int64Type>().values().to_vec();
    assert_eq!(starts, [1_000_000, 1_000_010, 1_000_020, 1_000_030, 1_000_040]);
    for select in [Select::First, Select::Last] {
        let found = arrangement.lookup(&keys.hashes, &keys.keys, select).unwrap();
        assert_eq!(found.rows[0].len(), 1);
    }
    let wanted = keyed_rows(&schema, &rows(&mut [1_000_000, 1_000_001].into_iter()));
    let found = arrangement.lookup_rows(&wanted, &[1, 1]).unwrap();
    assert_eq!(found.offsets, [0, 1, 1]);
    let segment = &arrangement.entries()[0].segment;
    assert!(
        segment.blocks.len() > 100 && segment.touched() <= 14,
        "{} of {} blocks",
        segment.touched(),
        segment.blocks.len()
    );

    let all = arrangement.lookup(&keys.hashes, &keys.keys, Select::All).unwrap();
    assert_eq!(all.offsets, [0, 200_100 - 10]);
}

/// What one step adds, of what is there.
type Changes = fn(&mut StdRng, i64, &Model) -> Model;

/// New keys at random places.
fn new_keys(random: &mut StdRng, epoch: i64, _: &Model) -> Model {
    let count = random.random_range(1..20);
    (0..count).map(|i| ((random.random(), vec![]), BTreeMap::from([(vec![Cell::Int(epoch + i)], 1)]))).collect()
}

/// One new key.
fn new_key(random: &mut StdRng, epoch: i64, _: &Model) -> Model {
    Model::from([((random.random(), vec![]), BTreeMap::from([(vec![Cell::Int(epoch)], 1)]))])
}

/// One more row of the same key, and now and then of another one.
fn one_key(random: &mut StdRng, epoch: i64, _: &Model) -> Model {
    let key = if random.random_bool(0.05) { random.random_range(0..4) << 61 } else { 1 << 60 };
    Model::from([((key, vec![]), BTreeMap::from([(vec![Cell::Int(epoch)], 1)]))])
}

/// One of 300 keys gets another row in place of the one that it has.
fn updates(random: &mut StdRng, epoch: i64, model: &Model) -> Model {
    let key = (random.random_range(0..300) << 54, vec![]);
    let old = model.get(&key).into_iter().flat_map(|rows| rows.keys().cloned().map(|row| (row, -1)));
    let rows = old.chain([(vec![Cell::Int(epoch)], 1)]).collect();
    Model::from([(key, rows)])
}

/// Many keys come at first, and then they go, one at a time.
fn removals(random: &mut StdRng, epoch: i64, model: &Model) -> Model {
    match model.iter().nth(random.random_range(0..model.len().max(1))) {
        _ if epoch < 30 => (0..40).flat_map(|_| new_keys(random, epoch, model)).collect(),
        None => Model::new(),
        Some((key, rows)) => Model::from([(key.clone(), rows.keys().map(|row| (row.clone(), -1)).collect())]),
    }
}

/// However many steps there were, in one long process or in as many short ones: few levels, few segments, and no more
/// rows than twice those that are there.
#[test]
fn levels_stay_few_and_small() {
    let schema = ArrangementSchema { key: vec![], row: vec![Type::Int.required()] };
    let sizes = Sizes { block_bytes: 500, small_rows: 100, slice_rows: (100, 200), segment_bytes: (4000, 8000) };
    let kinds: [(&str, Changes); 5] = [
        ("new keys", new_keys),
        ("a new key", new_key),
        ("one key", one_key),
        ("updates", updates),
        ("removals", removals),
    ];
    for (kind, changes) in kinds {
        for restarts in [0.0, 0.5, 1.0] {
            let mut program = Workers::new(&schema, 1, sizes);
            let mut random = StdRng::seed_from_u64(3);
            let mut model = Model::new();
            for epoch in 0..700i64 {
                let changes = changes(&mut random, epoch, &model);
                program.insert(&changes);
                apply(&mut model, &changes);
                program.workers[0].maintain(changes.values().map(BTreeMap::len).sum::<usize>() * 32).unwrap();
                if random.random_bool(restarts) {
                    program.restart(&schema, 1, sizes);
                }
                let worker = &program.workers[0];
                let (levels, segments) = (worker.levels.slices().count(), worker.entries().len());
                let rows: u64 = worker.entries().iter().map(|entry| entry.segment.rows_within(entry.range)).sum();
                let live = model.values().map(BTreeMap::len).sum::<usize>();
                let what = format!(
                    "{kind}, restarts {restarts}, epoch {epoch}: {levels} levels, {segments} segments, {rows} of {live} rows"
                );
                assert!(levels <= 8 && segments <= 8 + live / 40 && rows <= 50 + 2 * live as u64, "{what}");
            }
            check_scan(&program.workers[0], &model);
        }
    }
}
