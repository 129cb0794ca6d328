//! The law: whatever the order of changes, the split into epochs, buckets, workers and restarts, the emitted changes
//! add up to what the simplest code computes from the rows that are left.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, BinaryArray, BooleanArray, Float64Array, Int64Array, StringArray, UInt32Array};
use millpond_columns::types::{ColumnType, Schema, Type};
use millpond_columns::view::take;
use millpond_error::ErrorKind;
use millpond_plan::functions::ReducerKind;
use millpond_plan::physical::Form;
use millpond_plan::{Expr, Gap, ReduceSpec, ReducerCall, SessionSpec, col, if_else, instant, lit};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::arrangement::{BlobRange, SavedSegment};
use crate::changes::{Changes, Epoch};
use crate::exact::{ExactSum, Magnitude};
use crate::hash::{HashSeed, hash_columns};
use crate::keyed::{HashedChanges, KeyedChanges};
use crate::operator::{self, Bucket, StepContext};

mod combine;
mod join;

/// A cell, ordered as the engine orders cells.
#[derive(Clone, Debug)]
enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(String),
    Bytes(Vec<u8>),
}

impl Ord for Value {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Value::Null, Value::Null) => Ordering::Equal,
            (Value::Null, _) => Ordering::Less,
            (_, Value::Null) => Ordering::Greater,
            (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
            (Value::Int(a), Value::Int(b)) => a.cmp(b),
            (Value::Float(a), Value::Float(b)) => a.total_cmp(b),
            (Value::Str(a), Value::Str(b)) => a.as_bytes().cmp(b.as_bytes()),
            (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
            _ => unreachable!("cells of one column have one type"),
        }
    }
}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Value {}

type Row = Vec<Value>;
/// Rows with their multiplicities.
type Table = BTreeMap<Row, i64>;

fn to_column(ty: ColumnType, cells: Vec<&Value>) -> ArrayRef {
    let column: ArrayRef = match ty.ty {
        Type::Bool => Arc::new(BooleanArray::from_iter(cells.iter().map(|v| match v {
            Value::Bool(v) => Some(*v),
            _ => None,
        }))),
        Type::Int | Type::DateTimeNaive | Type::DateTimeUtc | Type::Duration => {
            let ints = Int64Array::from_iter(cells.iter().map(|v| match v {
                Value::Int(v) => Some(*v),
                _ => None,
            }));
            ty.ty.int_array(ints.values().clone(), ints.nulls().cloned())
        }
        Type::Float => Arc::new(Float64Array::from_iter(cells.iter().map(|v| match v {
            Value::Float(v) => Some(*v),
            _ => None,
        }))),
        Type::Str => Arc::new(StringArray::from_iter(cells.iter().map(|v| match v {
            Value::Str(v) => Some(v.as_str()),
            _ => None,
        }))),
        Type::Bytes | Type::Json | Type::Tuple(_) | Type::List(_) => {
            Arc::new(BinaryArray::from_iter(cells.iter().map(|v| match v {
                Value::Bytes(v) => Some(v.as_slice()),
                _ => None,
            })))
        }
    };
    assert!(ty.optional || column.null_count() == 0);
    column
}

fn cell(column: &ArrayRef, row: usize) -> Value {
    use arrow_schema::DataType;
    if column.is_null(row) {
        return Value::Null;
    }
    match column.data_type() {
        DataType::Boolean => Value::Bool(column.as_boolean().value(row)),
        DataType::Float64 => Value::Float(column.as_primitive::<Float64Type>().value(row)),
        DataType::Binary => Value::Bytes(column.as_binary::<i32>().value(row).to_vec()),
        DataType::Utf8 => Value::Str(column.as_string::<i32>().value(row).to_owned()),
        _ => Value::Int(millpond_columns::view::ints(column)[row]),
    }
}

/// Adds `changes` to `table`; returns how many rows there were.
fn add_up(table: &mut Table, changes: &Changes) {
    for row in 0..changes.rows {
        let cells: Row = changes.columns.iter().map(|column| cell(column, row)).collect();
        let diff = changes.diffs.get(row);
        assert_ne!(diff, 0);
        let sum = table.entry(cells).or_default();
        *sum += diff;
    }
    table.retain(|_, diff| *diff != 0);
}

/// What was given to an operator.
#[derive(Default)]
struct History {
    /// The changes of each epoch.
    epochs: Vec<Vec<(Row, i64)>>,
    /// The rows that are left.
    present: Table,
}

impl History {
    /// The rows that are left, of which an operator reads these columns alone: every copy, with the epoch of its
    /// arrival. Of equal copies, a removal takes the one that arrived first.
    fn copies(&self, read: &[usize], key: &[usize]) -> Vec<(Row, u64)> {
        let mut copies: BTreeMap<Row, Vec<u64>> = BTreeMap::new();
        for (epoch, changes) in (0..).step_by(2).zip(&self.epochs) {
            let mut net = Table::new();
            for (row, diff) in changes {
                let cell = |(c, value): (usize, &Value)| match read.contains(&c) || key.contains(&c) {
                    true => value.clone(),
                    false => Value::Null,
                };
                *net.entry(row.iter().enumerate().map(cell).collect()).or_default() += diff;
            }
            for (row, diff) in net {
                let arrived = copies.entry(row).or_default();
                arrived.extend((0..diff).map(|_| epoch));
                arrived.drain(..(-diff).max(0) as usize);
            }
        }
        copies
            .into_iter()
            .flat_map(|(row, arrived)| arrived.into_iter().map(move |epoch| (row.clone(), epoch)))
            .collect()
    }
}

/// The port that a row goes to, and what it is there.
type Place = Box<dyn Fn(&Row) -> (usize, Row)>;

/// One operator under test, and the simple code that says what it should have emitted.
struct Subject {
    /// The columns of rows.
    schema: Schema,
    /// The columns of each port, and its key.
    ports: Vec<(Schema, Vec<usize>)>,
    place: Place,
    make: Box<dyn Fn(KeyRange) -> Box<dyn Operator>>,
    expect: Box<dyn Fn(&History) -> Table>,
}

/// As a [`Subject`], of an operator with one port.
struct OnePort {
    schema: Schema,
    key: Vec<usize>,
    make: Box<dyn Fn(KeyRange) -> Box<dyn Operator>>,
    expect: Box<dyn Fn(&History) -> Table>,
}

impl OnePort {
    fn subject(self) -> Subject {
        let OnePort { schema, key, make, expect } = self;
        Subject { ports: vec![(schema.clone(), key)], schema, place: Box::new(|row| (0, row.clone())), make, expect }
    }
}

/// The changes of one port, with hashes.
struct PortChanges {
    hashes: Vec<u64>,
    columns: Vec<ArrayRef>,
    diffs: Vec<i64>,
}

impl PortChanges {
    fn new(schema: &Schema, key: &[usize], rows: &[(Row, i64)], collide: bool) -> Self {
        let columns: Vec<ArrayRef> = (schema.columns().iter().enumerate())
            .map(|(c, column)| to_column(column.ty, rows.iter().map(|(row, _)| &row[c]).collect()))
            .collect();
        let keys: Vec<ArrayRef> = key.iter().map(|&c| columns[c].clone()).collect();
        let mut hashes = hash_columns(HashSeed(11), &keys, rows.len());
        if collide {
            hashes.iter_mut().for_each(|hash| *hash &= 0b101 << 61);
        }
        PortChanges { hashes, columns, diffs: rows.iter().map(|(_, diff)| *diff).collect() }
    }

    /// Those in a range of hashes, if there are any.
    fn of(&self, key: &[usize], inside: impl Fn(u64) -> bool) -> Option<KeyedChanges> {
        let rows = (0..self.hashes.len() as u32).filter(|row| inside(self.hashes[*row as usize]));
        let at = UInt32Array::from_iter_values(rows);
        let diffs: Vec<i64> = at.values().iter().map(|&row| self.diffs[row as usize]).collect();
        let rows = HashedChanges {
            hashes: at.values().iter().map(|&row| self.hashes[row as usize]).collect(),
            changes: Changes::new(self.columns.iter().map(|column| take(column, &at)).collect(), diffs.into()),
        };
        (!at.is_empty()).then(|| KeyedChanges::new(rows, key))
    }
}

/// Operators of several workers, and what they emitted.
struct Running<'a> {
    subject: &'a Subject,
    workers: Vec<Box<dyn Operator>>,
    /// Whether keys share a few hashes.
    collide: bool,
    emitted: Table,
    epoch: u64,
}

impl<'a> Running<'a> {
    fn new(subject: &'a Subject, workers: usize, collide: bool) -> Self {
        let workers = (0..workers).map(|i| (subject.make)(KeyRange::of_worker(i, workers))).collect();
        Running { subject, workers, collide, emitted: Table::new(), epoch: 0 }
    }

    /// Plays random epochs with these changes of the rows that are left, some before a restart, and checks each.
    fn play(&mut self, random: &mut StdRng, changes: impl Fn(&mut StdRng, &mut Table) -> Vec<(Row, i64)>) {
        let mut history = History::default();
        for _ in 0..random.random_range(1..8) {
            let changes = changes(random, &mut history.present);
            self.step(&changes, random.random_range(1..4)).unwrap();
            self.check(&history);
            if random.random_ratio(1, 3) {
                self.restart(random.random_range(1..=4));
                self.check(&history);
            }
        }
    }

    fn step(&mut self, rows: &[(Row, i64)], buckets: usize) -> Result<()> {
        let mut placed = vec![Vec::new(); self.subject.ports.len()];
        for (row, diff) in rows {
            let (port, row) = (self.subject.place)(row);
            placed[port].push((row, *diff));
        }
        let ports: Vec<PortChanges> = (self.subject.ports.iter().zip(&placed))
            .map(|((schema, key), rows)| PortChanges::new(schema, key, rows, self.collide))
            .collect();
        let count = self.workers.len();
        let mut emitted = Table::new();
        let mut batches = Vec::new();
        for (w, worker) in self.workers.iter_mut().enumerate() {
            let range = KeyRange::of_worker(w, count);
            let width = u128::from(range.last - range.first) / buckets as u128 + 1;
            let input = (0..buckets as u128).filter_map(|b| {
                let inside = |hash: u64| range.contains(hash) && u128::from(hash - range.first) / width == b;
                let ports = ports.iter().zip(&self.subject.ports).map(|(rows, (_, key))| rows.of(key, inside));
                let ports: Vec<_> = ports.collect();
                ports.iter().any(Option::is_some).then(|| Bucket::new(ports))
            });
            let context = StepContext { epoch: Epoch(self.epoch), watermark: None };
            let mut emit = |changes| {
                batches.push(changes);
                Ok(())
            };
            worker.step(&context, &mut operator::buckets(input), &mut emit)?;
        }
        let total: usize = batches.iter().map(|changes| changes.rows).sum();
        batches.iter().for_each(|changes| add_up(&mut emitted, changes));
        assert_eq!(emitted.len(), total, "the output of an epoch is net");
        batches.iter().for_each(|changes| add_up(&mut self.emitted, changes));
        self.epoch += 2;
        Ok(())
    }

    /// Saves all state and opens it with another number of workers.
    fn restart(&mut self, workers: usize) {
        let saved = saved(&mut self.workers);
        self.workers = (0..workers).map(|i| (self.subject.make)(KeyRange::of_worker(i, workers))).collect();
        for worker in &mut self.workers {
            worker.open(saved.clone()).unwrap();
        }
    }

    fn check(&self, history: &History) {
        let expected = (self.subject.expect)(history);
        assert_eq!(self.emitted, expected, "emitted (left), expected (right)");
        let mut snapshot = Table::new();
        for worker in &self.workers {
            let mut emit = |changes: Changes| {
                add_up(&mut snapshot, &changes);
                Ok(())
            };
            worker.snapshot(&mut emit).unwrap();
        }
        assert_eq!(snapshot, expected, "snapshot (left), expected (right)");
    }
}

/// What a checkpoint of these workers saves.
pub(crate) fn saved(workers: &mut [Box<dyn Operator>]) -> Vec<(String, SavedArrangement)> {
    let mut saved: Vec<(String, SavedArrangement)> = Vec::new();
    for worker in workers {
        for (name, arrangement) in worker.arrangements() {
            let segments = arrangement.entries().iter().map(|entry| {
                let blob = format!("{:p}", Arc::as_ptr(&entry.segment));
                SavedSegment {
                    name: name.to_owned(),
                    bytes: entry.segment.bytes().clone(),
                    checksum: entry.segment.checksum(),
                    range: entry.range,
                    level: entry.level,
                    place: BlobRange { blob, offset: 0, length: entry.segment.bytes().len() as u64 },
                }
            });
            match saved.iter_mut().find(|(known, _)| known == name) {
                Some((_, known)) => known.segments.extend(segments),
                None => saved.push((name.to_owned(), SavedArrangement { segments: segments.collect() })),
            }
        }
    }
    saved
}

const CASES: u64 = 3000;

/// Runs so many random cases. Set `SEED` to run one case alone.
#[track_caller]
pub(super) fn check_cases(cases: u64, case: impl Fn(&mut StdRng)) {
    let one: Option<u64> = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    for seed in one.map_or(0..cases, |seed| seed..seed + 1) {
        let case = || case(&mut StdRng::seed_from_u64(seed));
        if let Err(panic) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(case)) {
            eprintln!("the case of SEED={seed} fails");
            std::panic::resume_unwind(panic);
        }
    }
}

/// Runs random changes through random subjects.
#[track_caller]
fn check_law(subject: impl Fn(&mut StdRng) -> Subject, removals: bool) {
    check_cases(CASES, |random| check_case(&subject(random), random, removals));
}

fn check_case(subject: &Subject, random: &mut StdRng, removals: bool) {
    let collide = random.random_ratio(1, 4);
    let mut running = Running::new(subject, random.random_range(1..=4), collide);
    let mut history = History::default();
    let epochs = random.random_range(1..8);
    let most = if random.random_ratio(1, 8) { 200 } else { 12 };
    for _ in 0..epochs {
        let row = |random: &mut StdRng| {
            let cells = subject.schema.columns().iter().map(|column| random_cell(random, &column.name, column.ty));
            cells.collect()
        };
        let changes = random_changes(random, &mut history.present, most, removals, row);
        running.step(&changes, random.random_range(1..4)).unwrap();
        history.epochs.push(changes);
        running.check(&history);
        if random.random_ratio(1, 3) {
            running.restart(random.random_range(1..=4));
            running.check(&history);
        }
    }
}

/// Up to `most` changes in any order: new rows, and with `removals` some of those that are left.
fn random_changes(
    random: &mut StdRng,
    present: &mut Table,
    most: i32,
    removals: bool,
    row: impl Fn(&mut StdRng) -> Row,
) -> Vec<(Row, i64)> {
    let mut changes: Vec<(Row, i64)> = Vec::new();
    for _ in 0..random.random_range(1..=most) {
        let remove = removals && !present.is_empty() && random.random_ratio(2, 5);
        let (row, diff) = if remove {
            let at = random.random_range(0..present.len());
            let (row, count) = present.iter().nth(at).unwrap();
            (row.clone(), -random.random_range(1..=*count))
        } else {
            (row(random), if random.random_ratio(1, 6) { 2 } else { 1 })
        };
        *present.entry(row.clone()).or_default() += diff;
        present.retain(|_, diff| *diff != 0);
        changes.push((row, diff));
    }
    for i in (1..changes.len()).rev() {
        changes.swap(i, random.random_range(0..=i));
    }
    changes
}

/// A cell from a small set, so that rows and keys meet. Times (named so) lie close, or at the ends of the range.
fn random_cell(random: &mut StdRng, name: &str, ty: ColumnType) -> Value {
    if name == "near time" {
        return Value::Int(random.random_range(0..40));
    }
    if name == "float time" {
        let near = f64::from(random.random_range(-20..20));
        let scale = [0.1, 0.1, 0.1, 1.0, 1e16, 1e-310, 1e307][random.random_range(0..7)];
        return Value::Int(instant::of(near * scale));
    }
    if name == "time" {
        let near: i64 = random.random_range(0..40);
        return Value::Int(match random.random_range(0..20) {
            0 => i64::MIN + near / 8,
            1 => i64::MAX - near / 8,
            _ => near,
        });
    }
    if ty.optional && random.random_ratio(1, 4) {
        return Value::Null;
    }
    match ty.ty {
        Type::Bool => Value::Bool(random.random()),
        Type::Int | Type::DateTimeNaive | Type::DateTimeUtc | Type::Duration => {
            Value::Int(random.random_range(-3..4) * if random.random_ratio(1, 9) { 1 << 50 } else { 1 })
        }
        Type::Float => Value::Float(match random.random_range(0..24) {
            0 => f64::NAN,
            1 => f64::INFINITY,
            2 => f64::NEG_INFINITY,
            3 => f64::MAX,
            4 => f64::MIN,
            5 => -1e300,
            6 => 1e300,
            7 => f64::from_bits(1),
            8 => -f64::MIN_POSITIVE,
            9 => -5e-320,
            10..16 => f64::from(random.random_range(-300..300)) / 100.0,
            _ => f64::from(random.random_range(-8..8)) / 4.0,
        }),
        Type::Bytes | Type::Json | Type::Tuple(_) | Type::List(_) => {
            const VALUES: [&[u8]; 5] = [b"", b"\xff", b"\x00\xff", b"\x02\x80\0\0\0\0\0\0\x01\0", b"pond"];
            Value::Bytes(VALUES[random.random_range(0..VALUES.len())].to_vec())
        }
        Type::Str => {
            const TEXTS: [&str; 8] = ["", "a", "a\0", "b", "pond", "millpond", "millponds", "a pond of the mill"];
            Value::Str(TEXTS[random.random_range(0..TEXTS.len())].to_owned())
        }
    }
}

fn random_type(random: &mut StdRng) -> ColumnType {
    let times = [Type::DateTimeNaive, Type::DateTimeUtc, Type::Duration];
    let others = [Type::Bool, Type::Int, Type::Float, Type::Str, Type::Bytes, Type::list(Type::Int)];
    let ty = *[&times[..], &others[..]].concat().get(random.random_range(0..9)).expect("there are nine");
    ColumnType { ty, optional: random.random() }
}

/// A schema of a time, then some keys and values of random types.
fn random_schema(random: &mut StdRng) -> (Schema, Vec<usize>, Vec<usize>) {
    let keys = random.random_range(0..3);
    let values = random.random_range(0..3);
    let time = [Type::Int, Type::DateTimeNaive, Type::DateTimeUtc][random.random_range(0..3)];
    let mut columns = vec![("time".to_owned(), time.required())];
    columns.extend((0..keys).map(|i| (format!("key{i}"), random_type(random))));
    columns.extend((0..values).map(|i| (format!("value{i}"), random_type(random))));
    (Schema::new(columns), (1..=keys).collect(), (1 + keys..1 + keys + values).collect())
}

fn random_reducers(random: &mut StdRng, schema: &Schema, values: &[usize]) -> Vec<ReducerCall> {
    use ReducerKind::*;
    const TUPLE: ReducerKind = Tuple { skip_nones: false };
    const SORTED: ReducerKind = SortedTuple { skip_nones: false };
    let count = ReducerCall { kind: Count, columns: Vec::new() };
    let mut reducers = Vec::new();
    for _ in 0..random.random_range(0..5) {
        if values.is_empty() || random.random_ratio(1, 6) {
            reducers.push(count.clone());
            continue;
        }
        let mut any = || values[random.random_range(0..values.len())];
        let (column, other) = (any(), any());
        let kinds: &[ReducerKind] = match schema.columns()[column].ty.ty {
            Type::Int | Type::Float | Type::Duration => {
                &[Min, Max, ArgMin, ArgMax, Earliest, Latest, CountDistinct, TUPLE, SORTED, Sum, Avg]
            }
            _ => &[Min, Max, ArgMin, ArgMax, Earliest, Latest, CountDistinct, TUPLE, SORTED],
        };
        let kind = match (kinds[random.random_range(0..kinds.len())], random.random()) {
            (TUPLE, true) => Tuple { skip_nones: true },
            (SORTED, true) => SortedTuple { skip_nones: true },
            (kind, _) => kind,
        };
        let two = matches!(kind, ArgMin | ArgMax) || kind == CountDistinct && random.random_ratio(1, 3);
        reducers.push(ReducerCall { kind, columns: if two { vec![column, other] } else { vec![column] } });
    }
    reducers
}

/// The columns that these reducers read.
fn read(reducers: &[ReducerCall]) -> Vec<usize> {
    reducers.iter().flat_map(|reducer| reducer.columns.clone()).collect()
}

/// A list of values of some column: as bytes, which is how it is stored.
fn list(schema: &Schema, column: usize, values: impl Iterator<Item = Value>) -> Value {
    let (values, ty): (Vec<Value>, _) = (values.collect(), schema.columns()[column].ty);
    let column = to_column(ty, values.iter().collect());
    let lists = millpond_columns::packed::lists(&column, ty.ty, &[0, values.len() as u32]).unwrap();
    cell(&lists, 0)
}

/// A reducer's answer over rows, each with the epoch of its arrival.
fn answer(schema: &Schema, reducer: &ReducerCall, reducers: &[ReducerCall], rows: &[(Row, u64)]) -> Value {
    let Some(&column) = reducer.columns.first() else { return Value::Int(rows.len() as i64) };
    if reducer.kind == ReducerKind::CountDistinct {
        let cells = |row: &Row| -> Row { reducer.columns.iter().map(|&c| row[c].clone()).collect() };
        let distinct: BTreeSet<Row> = rows.iter().map(|(row, _)| cells(row)).collect();
        return Value::Int(distinct.iter().filter(|row| !row.contains(&Value::Null)).count() as i64);
    }
    if let ReducerKind::Tuple { skip_nones } | ReducerKind::SortedTuple { skip_nones } = reducer.kind {
        let by_arrival = matches!(reducer.kind, ReducerKind::Tuple { .. });
        let values = rows.iter().map(|(row, epoch)| (if by_arrival { *epoch } else { 0 }, row[column].clone()));
        let mut values: Vec<(u64, Value)> = values.filter(|(_, value)| !skip_nones || *value != Value::Null).collect();
        values.sort();
        return list(schema, column, values.into_iter().map(|(_, value)| value));
    }
    let known: Vec<&(Row, u64)> = rows.iter().filter(|(row, _)| row[column] != Value::Null).collect();
    let values: Vec<&Value> = known.iter().map(|(row, _)| &row[column]).collect();
    if values.is_empty() {
        return Value::Null;
    }
    let ints = || values.iter().map(|v| if let Value::Int(v) = v { *v } else { unreachable!() });
    let floats = || values.iter().map(|v| if let Value::Float(v) = v { *v } else { unreachable!() });
    // Equal calls of one reducer take cells of one row.
    let like = reducers.iter().filter(|other| other.kind == reducer.kind);
    let argument = |row: &Row| -> Row {
        let like = like.clone().filter(|other| other.columns[0] == column);
        like.map(|other| row[other.columns[1]].clone()).collect()
    };
    let pairs = || known.iter().map(|(row, _)| (row[column].clone(), argument(row), &row[reducer.columns[1]]));
    let is_required = |column: usize| !schema.columns()[column].ty.optional;
    let came = |row: &Row| -> Row {
        let together = |other: usize| other == column || is_required(other) && is_required(column);
        like.clone().filter(|other| together(other.columns[0])).map(|other| row[other.columns[0]].clone()).collect()
    };
    let arrivals = || known.iter().map(|(row, epoch)| (*epoch, came(row), &row[column]));
    match (reducer.kind, values[0]) {
        (ReducerKind::Min, _) => (*values.iter().min().unwrap()).clone(),
        (ReducerKind::Max, _) => (*values.iter().max().unwrap()).clone(),
        (ReducerKind::ArgMin, _) => pairs().min().unwrap().2.clone(),
        (ReducerKind::ArgMax, _) => pairs().max().unwrap().2.clone(),
        (ReducerKind::Earliest, _) => arrivals().min().unwrap().2.clone(),
        (ReducerKind::Latest, _) => arrivals().max().unwrap().2.clone(),
        (ReducerKind::Sum, Value::Int(_)) => Value::Int(ints().sum()),
        (ReducerKind::Sum, _) => Value::Float(nearest(floats(), |sum| sum.nearest())),
        (ReducerKind::Avg, Value::Int(_)) if schema.columns()[column].ty.ty == Type::Duration => {
            let (sum, count) = (ints().sum::<i64>(), values.len() as i64);
            let near = sum / count - 1..=sum / count + 1;
            Value::Int(near.min_by_key(|mean| ((sum - mean * count).abs(), mean % 2 != 0)).unwrap())
        }
        (ReducerKind::Avg, Value::Int(_)) => {
            let mut sum = ExactSum::default();
            ints().for_each(|int| sum.add_int(int.into()));
            Value::Float(sum.magnitude().nearest_mean(values.len() as i64))
        }
        (ReducerKind::Avg, _) => Value::Float(nearest(floats(), |sum| sum.nearest_mean(values.len() as i64))),
        _ => unreachable!("it was answered above"),
    }
}

/// What is made of the exact sum of floats, unless one of them is no number.
fn nearest(floats: impl Iterator<Item = f64> + Clone, of_sum: impl Fn(Magnitude) -> f64) -> f64 {
    let mut sum = ExactSum::default();
    floats.clone().filter(|float| float.is_finite()).for_each(|float| sum.add(float, 1));
    let others: f64 = floats.filter(|float| !float.is_finite()).sum();
    if others == 0.0 { of_sum(sum.magnitude()) } else { millpond_columns::float::canonical(others) }
}

fn by_key(copies: Vec<(Row, u64)>, key: &[usize]) -> BTreeMap<Row, Vec<(Row, u64)>> {
    let mut groups: BTreeMap<Row, Vec<(Row, u64)>> = BTreeMap::new();
    for (row, epoch) in copies {
        groups.entry(key.iter().map(|&c| row[c].clone()).collect()).or_default().push((row, epoch));
    }
    groups
}

fn reduce(random: &mut StdRng, form: Form) -> Subject {
    let (schema, key, values) = random_schema(random);
    let reducers = random_reducers(random, &schema, &values);
    let spec = ReduceSpec { key: key.clone(), reducers: reducers.clone(), form };
    let (input, by) = (schema.clone(), key.clone());
    OnePort {
        schema,
        key,
        make: Box::new({
            let input = input.clone();
            move |range| Box::new(Reduce::new(&spec, &input, range))
        }),
        expect: Box::new(move |history| {
            let groups = by_key(history.copies(&read(&reducers), &by), &by).into_iter();
            groups
                .map(|(mut row, rows)| {
                    row.extend(reducers.iter().map(|reducer| answer(&input, reducer, &reducers, &rows)));
                    (row, 1)
                })
                .collect()
        }),
    }
    .subject()
}

/// Whether two neighbouring times are in one session.
type Together = Box<dyn Fn(i128, i128) -> bool>;

fn random_gap(random: &mut StdRng) -> (Gap, Together) {
    let most = if random.random_ratio(1, 10) { i64::MAX } else { 6 };
    let max_gap = random.random_range(0..=most);
    (Gap::Most(max_gap), Box::new(move |a, b| b - a <= i128::from(max_gap)))
}

/// Predicates, of which the last hold of far neighbours and not of near ones.
fn random_predicate(random: &mut StdRng, time: Type) -> (Gap, Together) {
    let n: i64 = random.random_range(1..8);
    let (a, b, m) = (col("a"), col("b"), i128::from(n));
    let kinds = if time == Type::Int { 5 } else { 2 };
    let (predicate, together): (Expr, Together) = match random.random_range(0..kinds) {
        0 if time == Type::Int => ((&a - &b).abs().lt(n), Box::new(move |a, b| b - a < m)),
        0 => ((b - a).lt(lit(Literal::Duration(n))), Box::new(move |a, b| b - a < m)),
        1 if time == Type::Int => ((b - a).gt(n), Box::new(move |a, b| b - a > m)),
        1 => ((b - a).gt(lit(Literal::Duration(n))), Box::new(move |a, b| b - a > m)),
        2 => (a.floordiv(n).eq(b.floordiv(n)), Box::new(move |a, b| a.div_euclid(m) == b.div_euclid(m))),
        3 => (((b - a) % 3).ne(1), Box::new(|a, b| (b - a).rem_euclid(3) != 1)),
        // Null where the times are so far apart, and an error where they are equal.
        _ => (
            if_else((&b - &a).gt(n), lit(Literal::None), lit(12).floordiv(&b - &a).gt(1)),
            Box::new(move |a, b| b - a <= m && 12 / (b - a) > 1),
        ),
    };
    (Gap::predicate(&predicate, time).unwrap(), together)
}

fn session(random: &mut StdRng, form: Form) -> Subject {
    let (schema, instance, mut values) = random_schema(random);
    let (gap, together) = random_gap(random);
    if matches!(gap, Gap::Most(..7)) && random.random_ratio(1, 9) {
        values.push(0);
    }
    session_of(random, form, (schema, instance, values), gap, together)
}

fn session_by_predicate(random: &mut StdRng, form: Form) -> Subject {
    let (schema, instance, values) = random_schema(random);
    let time = schema.columns()[0].ty;
    // Times at the ends of the range are too far apart to be subtracted.
    let others = schema.columns()[1..].iter().map(|column| (column.name.clone(), column.ty));
    let schema = Schema::new(std::iter::once(("near time".to_owned(), time)).chain(others));
    let (gap, together) = random_predicate(random, time.ty);
    session_of(random, form, (schema, instance, values), gap, together)
}

/// Over instants of floats, by a gap or a predicate.
fn session_of_floats(random: &mut StdRng, form: Form) -> Subject {
    let (schema, instance, values) = random_schema(random);
    let others = schema.columns()[1..].iter().map(|column| (column.name.clone(), column.ty));
    let schema = Schema::new(std::iter::once(("float time".to_owned(), Type::Int.required())).chain(others));
    let max_gap = [0.0, 5e-324, 0.1, 0.3, 0.5, 2.0, 1e16, 1e307][random.random_range(0..8)];
    let float = |instant: i128| instant::float(instant as i64);
    let together: Together = Box::new(move |a, b| float(b) - float(a) <= max_gap);
    let gap = match random.random_ratio(1, 4) {
        true => Gap::predicate(&(col("b") - col("a")).le(max_gap), Type::Float).unwrap(),
        false => Gap::MostFloat(max_gap),
    };
    session_of(random, form, (schema, instance, values), gap, together)
}

fn session_of(
    random: &mut StdRng,
    form: Form,
    (schema, instance, values): (Schema, Vec<usize>, Vec<usize>),
    gap: Gap,
    together: Together,
) -> Subject {
    let reducers: Vec<ReducerCall> = random_reducers(random, &schema, &values)
        .into_iter()
        // Sums of times at the ends of the range overflow.
        .filter(|r| !r.columns.contains(&0) || !matches!(r.kind, ReducerKind::Sum | ReducerKind::Avg))
        .collect();
    let floats = schema.columns()[0].name == "float time";
    let spec = SessionSpec { instance: instance.clone(), time: 0, floats, gap, reducers: reducers.clone(), form };
    let (input, by) = (schema.clone(), instance.clone());
    OnePort {
        schema,
        key: instance,
        make: Box::new({
            let input = input.clone();
            move |range| Box::new(Session::new(&spec, &input, range))
        }),
        expect: Box::new(move |history| {
            let time = |row: &Row| if let Value::Int(time) = row[0] { i128::from(time) } else { unreachable!() };
            let mut expected = Table::new();
            let mut columns = read(&reducers);
            columns.push(0);
            for (instance, mut rows) in by_key(history.copies(&columns, &by), &by) {
                rows.sort_by_key(|(row, _)| time(row));
                for session in rows.chunk_by(|a, b| time(&a.0) == time(&b.0) || together(time(&a.0), time(&b.0))) {
                    let mut row = instance.clone();
                    row.push(session[0].0[0].clone());
                    row.push(session[session.len() - 1].0[0].clone());
                    row.extend(reducers.iter().map(|reducer| answer(&input, reducer, &reducers, session)));
                    expected.insert(row, 1);
                }
            }
            expected
        }),
    }
    .subject()
}

fn keep(random: &mut StdRng) -> Subject {
    let (schema, ..) = random_schema(random);
    let input = schema.clone();
    OnePort {
        key: (0..schema.len()).collect(),
        schema,
        make: Box::new(move |range| Box::new(Keep::new(&input, range))),
        expect: Box::new(|history| {
            let mut expected = Table::new();
            for (row, n) in &history.present {
                *expected.entry(row.clone()).or_default() += n;
            }
            expected
        }),
    }
    .subject()
}

#[test]
fn reduce_append_only_keeps_the_law() {
    check_law(|random| reduce(random, Form::AppendOnly), false);
}

#[test]
fn reduce_full_keeps_the_law() {
    check_law(|random| reduce(random, Form::Full), true);
}

#[test]
fn session_append_only_keeps_the_law() {
    check_law(|random| session(random, Form::AppendOnly), false);
}

#[test]
fn session_full_keeps_the_law() {
    check_law(|random| session(random, Form::Full), true);
}

#[test]
fn session_of_floats_append_only_keeps_the_law() {
    check_law(|random| session_of_floats(random, Form::AppendOnly), false);
}

#[test]
fn session_of_floats_full_keeps_the_law() {
    check_law(|random| session_of_floats(random, Form::Full), true);
}

#[test]
fn session_by_predicate_append_only_keeps_the_law() {
    check_law(|random| session_by_predicate(random, Form::AppendOnly), false);
}

#[test]
fn session_by_predicate_full_keeps_the_law() {
    check_law(|random| session_by_predicate(random, Form::Full), true);
}

#[test]
fn keep_keeps_the_law() {
    check_law(keep, true);
}

/// One operator over columns `user: str`, `time: int`, `value: int`, in the full form; `steps` are epochs.
#[track_caller]
fn check_error(operator: &str, steps: &[&[(&str, i64, i64, i64)]], expect: &str) {
    let (int, text) = (Type::Int.required(), Type::Str.required());
    let schema = Schema::new([("user", text), ("time", int), ("value", int)]);
    let sum = ReducerCall { kind: ReducerKind::Sum, columns: vec![2] };
    let reducers = vec![sum, ReducerCall { kind: ReducerKind::Min, columns: vec![2] }];
    let input = schema.clone();
    let make: Box<dyn Fn(KeyRange) -> Box<dyn Operator>> = match operator {
        "reduce" => {
            let spec = ReduceSpec { key: vec![0], reducers, form: Form::Full };
            Box::new(move |range| Box::new(Reduce::new(&spec, &input, range)))
        }
        "session" => {
            let spec = SessionSpec {
                instance: vec![0],
                time: 1,
                floats: false,
                gap: Gap::Most(5),
                reducers,
                form: Form::Full,
            };
            Box::new(move |range| Box::new(Session::new(&spec, &input, range)))
        }
        _ => Box::new(move |range| Box::new(Keep::new(&input, range))),
    };
    let key = if operator == "keep" { vec![0, 1, 2] } else { vec![0] };
    let subject = OnePort { schema, key, make, expect: Box::new(|_| Table::new()) }.subject();
    let mut running = Running::new(&subject, 1, false);
    let (last, before) = steps.split_last().unwrap();
    let rows = |step: &[(&str, i64, i64, i64)]| -> Vec<(Row, i64)> {
        let row = |r: &(&str, i64, i64, i64)| (vec![Value::Str(r.0.to_owned()), Value::Int(r.1), Value::Int(r.2)], r.3);
        step.iter().map(row).collect()
    };
    before.iter().for_each(|step| running.step(&rows(step), 1).unwrap());
    let error = running.step(&rows(last), 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
    assert!(error.to_string().contains(expect), "{error}");
}

const BIG: i64 = i64::MAX;

#[test]
fn a_sum_that_does_not_fit_is_null_until_it_fits_again() {
    let ints = |values: &[i64]| -> ArrayRef { Arc::new(Int64Array::from(values.to_vec())) };
    let schema = Schema::new([("value", Type::Int.required())]);
    let sum = ReducerCall { kind: ReducerKind::Sum, columns: vec![0] };
    let accumulators = crate::accumulate::Accumulators::new(&[sum], &schema, &[0], false);
    let of = |values: &[i64], ends: &[u32]| accumulators.of_rows(&[ints(values)], &Diffs::Ones, ends).unwrap();
    let made = of(&[BIG, BIG, 1, i64::MIN, -1, BIG], &[0, 2, 3, 5, 6]);
    let sums = accumulators.finish(&made, &[]).unwrap();
    assert_eq!(*sums[0], Int64Array::from(vec![None, Some(1), None, Some(BIG)]));
    let back: Vec<ArrayRef> = made
        .iter()
        .zip(of(&[-BIG], &[0, 1]))
        .map(|(a, b)| millpond_columns::view::concat(&[&[a.slice(0, 1)], &[b]])[0].clone())
        .collect();
    let sums = accumulators.finish(&accumulators.merge(&back, &[0, 2]).unwrap(), &[]).unwrap();
    assert_eq!(*sums[0], Int64Array::from(vec![BIG]));
}

/// A group of rows that are more than can be counted or listed; fewer, as the hint says, can be.
#[test]
fn a_group_with_too_many_rows_is_an_input_error() {
    let cases = [
        (ReducerKind::Count, BIG, "a group has 18446744073709551614 rows, more than an int can count"),
        (
            ReducerKind::SortedTuple { skip_nones: false },
            1 << 30,
            "sorted_tuple(value) has over 2 GiB of values in the groups of one batch",
        ),
    ];
    for (kind, many, message) in cases {
        let schema = Schema::new([("user", Type::Str.required()), ("value", Type::Int.required())]);
        let reducers = vec![ReducerCall { kind, columns: vec![1] }];
        let (spec, input) = (ReduceSpec { key: vec![0], reducers, form: Form::Full }, schema.clone());
        let make = Box::new(move |range| Box::new(Reduce::new(&spec, &input, range)) as Box<dyn Operator>);
        let subject = OnePort { schema, key: vec![0], make, expect: Box::new(|_| Table::new()) }.subject();
        let rows =
            |times: i64| [1, 2].map(|value| (vec![Value::Str("ann".to_owned()), Value::Int(value)], times)).to_vec();
        let error = Running::new(&subject, 1, false).step(&rows(many), 1).unwrap_err();
        let text = format!("{message}\nhint: take fewer rows together");
        assert_eq!((error.kind(), error.to_string()), (ErrorKind::Input, text));
        Running::new(&subject, 1, false).step(&rows(2), 1).unwrap();
    }
}

#[test]
fn a_saved_state_without_an_arrangement_is_a_data_error() {
    let schema = Schema::new([("user", Type::Str.required())]);
    let error = Keep::new(&schema, KeyRange::ALL).open(Vec::new()).unwrap_err();
    let text = format!("the saved state has no arrangement \"rows\"\nhint: {DAMAGE_HINT}");
    assert_eq!((error.kind(), error.to_string()), (ErrorKind::Data, text));
}

#[test]
fn a_removal_of_nothing_is_an_input_error() {
    let expect = "a row was removed that was never added: user=\"a\"";
    check_error("reduce", &[&[("a", 0, 1, -1)]], expect);
    check_error("reduce", &[&[("a", 0, 1, 1)], &[("a", 0, 1, -2)]], expect);
    check_error("reduce", &[&[("a", 0, 5, 2)], &[("a", 0, 4, -1)]], expect);
    check_error("session", &[&[("a", 0, 1, -1)]], "never added: user=\"a\", time=0");
    check_error("session", &[&[("a", 0, 1, 1)], &[("a", 9, 1, -1)]], "user=\"a\", time=9");
    check_error("session", &[&[("a", 0, 1, 1), ("a", 4, 1, 1)], &[("a", 2, 1, -1)]], "user=\"a\", time=2");
    check_error("session", &[&[("a", 0, 1, 1)], &[("a", 0, 2, -1)]], "user=\"a\", time=0");
    check_error("keep", &[&[("a", 0, 1, 1)], &[("a", 0, 1, -2)]], "user=\"a\", time=0, value=1");
}

/// The types of what operators emit are those of their input, whatever way it takes.
#[test]
fn times_stay_times() {
    let times: ArrayRef = Type::DateTimeUtc.int_array(vec![5, 1, 9].into(), None);
    let lengths: ArrayRef = Type::Duration.int_array(vec![1, 2, 3].into(), None);
    let (utc, duration) = (Type::DateTimeUtc.required(), Type::Duration.required());
    let schema = Schema::new([("time", utc), ("length", duration)]);
    let reducers = vec![
        ReducerCall { kind: ReducerKind::Sum, columns: vec![1] },
        ReducerCall { kind: ReducerKind::Max, columns: vec![0] },
    ];
    let parts = [Type::Duration.to_arrow(), Type::DateTimeUtc.to_arrow()];
    let accumulators = crate::accumulate::Accumulators::new(&reducers, &schema, &[0, 1], false);
    let rows = [times.clone(), lengths];
    for offsets in [vec![0, 3], vec![0, 1, 3], vec![0, 0, 3]] {
        let made = accumulators.of_rows(&rows, &Diffs::Ones, &offsets).unwrap();
        let types: Vec<_> = accumulators.finish(&made, &[]).unwrap().iter().map(|a| a.data_type().clone()).collect();
        assert_eq!(types, parts);
    }
    assert_eq!(millpond_columns::view::ints_like(&times, vec![1]).data_type(), &Type::DateTimeUtc.to_arrow());
}
