//! Windows with behaviours against a replay of the epochs: one row at a time, by the words of
//! `millpond_plan::behavior`.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, Float64Array, StringArray, UInt32Array};
use millpond_columns::packed;
use millpond_error::Origin;
use millpond_plan::physical::{Consolidate, Exchange, OperatorSpec, PhysicalPlan};
use millpond_plan::{
    Behavior, Expr, Literal, OnError, SessionGap, SessionWindow, SinkDecl, SlidingWindow, SourceDecl, Table,
    WindowLength, argmax, col, count, count_distinct, earliest, latest, lit, lower, max, sorted_tuple, sum, tuple,
};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::changes::Epoch;
use crate::consolidate::consolidate;
use crate::expand::expand;
use crate::hash::{HashSeed, hash_columns};
use crate::instant;
use crate::operator;
use crate::operators::operator_for;
use crate::operators::tests::{check_cases, saved};

mod replay;

use replay::Replay;

const SEED: HashSeed = HashSeed(11);

/// How the tests spell a time: in quarters where it is a float, else in its own unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Int,
    Float,
    Utc,
}

impl Unit {
    fn ty(self) -> Type {
        match self {
            Unit::Int => Type::Int,
            Unit::Float => Type::Float,
            Unit::Utc => Type::DateTimeUtc,
        }
    }

    fn length(self, length: i64) -> Literal {
        match self {
            Unit::Int => Literal::Int(length),
            Unit::Float => Literal::Float(length as f64 / 4.0),
            Unit::Utc => Literal::Duration(length),
        }
    }

    fn point(self, time: i64) -> Literal {
        if self == Unit::Utc { Literal::DateTimeUtc(time) } else { self.length(time) }
    }

    /// A time as a distance from time 0.
    fn since_zero(self, time: Expr) -> Expr {
        if self == Unit::Utc { time - lit(self.point(0)) } else { time }
    }

    fn column(self, times: Vec<i64>) -> ArrayRef {
        match self {
            Unit::Float => Arc::new(times.into_iter().map(|time| Some(time as f64 / 4.0)).collect::<Float64Array>()),
            _ => self.ty().int_array(times.into(), None),
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// hop, duration, origin
    Sliding(i64, i64, Option<i64>),
    Session(Joins),
}

/// What neighbours in a session fulfil.
#[derive(Clone, Copy, Debug)]
enum Joins {
    /// They are at most this far apart, by `max_gap`.
    MaxGap(i64),
    /// The same by a predicate.
    Near(i64),
    /// They are further apart than this.
    Far(i64),
    /// The second is no multiple of this.
    NotAt(i64),
    /// They are in one slot of this length, or further apart than the second.
    Leaps(i64, i64),
}

#[derive(Clone, Copy, Debug)]
enum Behaves {
    Common { delay: Option<i64>, cutoff: Option<i64>, keep_results: bool },
    ExactlyOnce { shift: Option<i64> },
}

/// A program of one windowby.
#[derive(Clone, Debug)]
struct Program {
    unit: Unit,
    kind: Kind,
    behaves: Behaves,
    append_only: bool,
    by_user: bool,
    /// What is selected of start, end, instance and figures.
    outputs: Vec<&'static str>,
}

/// time, user, value
type Row = (i64, &'static str, Option<i64>);
/// A row, and the epochs in which its copies came, in order.
type Copies = (Row, Vec<u64>);
/// Rows as text, with their multiplicity.
type Rows = BTreeMap<Vec<String>, i64>;

fn here() -> Origin {
    Origin { file: "windows.py".into(), line: 1 }
}

impl Joins {
    fn random(random: &mut StdRng) -> Self {
        match random.random_range(0..8) {
            0..3 => Joins::MaxGap(random.random_range(0..8)),
            // Pauses that are longer than most cutoffs, too.
            3 => Joins::Near(random.random_range(0..40)),
            4 => Joins::Far(random.random_range(0..10)),
            5 | 6 => Joins::NotAt(random.random_range(2..12)),
            _ => Joins::Leaps(random.random_range(2..20), random.random_range(0..20)),
        }
    }

    fn gap(self, unit: Unit) -> SessionGap {
        let length = |length| lit(unit.length(length));
        let (a, b) = (unit.since_zero(col("a")), unit.since_zero(col("b")));
        SessionGap::Where(match self {
            Joins::MaxGap(max_gap) => return SessionGap::Most(length(max_gap)),
            Joins::Near(most) => (b - a).le(length(most)),
            Joins::Far(least) => (b - a).gt(length(least)),
            Joins::NotAt(every) => (b % length(every)).ne(length(0)),
            Joins::Leaps(slot, least) => {
                a.floordiv(length(slot)).eq(b.floordiv(length(slot))) | (b - a).gt(length(least))
            }
        })
    }

    /// Whether neighbours of two times, the earlier one first, are in one session.
    fn holds(self, a: i64, b: i64) -> bool {
        let pause = i128::from(b) - i128::from(a);
        a == b
            || match self {
                Joins::MaxGap(most) | Joins::Near(most) => pause <= i128::from(most),
                Joins::Far(least) => pause > i128::from(least),
                Joins::NotAt(every) => b % every != 0,
                Joins::Leaps(slot, least) => a.div_euclid(slot) == b.div_euclid(slot) || pause > i128::from(least),
            }
    }
}

impl Program {
    fn random(random: &mut StdRng) -> Self {
        let kind = match random.random_range(0..7) {
            0 => {
                let duration = random.random_range(1..20);
                Kind::Sliding(duration, duration, None)
            }
            1 | 2 => {
                let origin = random.random_bool(0.3).then(|| random.random_range(-5..30));
                Kind::Sliding(random.random_range(1..12), random.random_range(1..25), origin)
            }
            _ => Kind::Session(Joins::random(random)),
        };
        let unit = match (kind, random.random_range(0..3)) {
            (Kind::Sliding(..), 0) => Unit::Float,
            (_, 1) => Unit::Utc,
            _ => Unit::Int,
        };
        let mut length = |likely| random.random_bool(likely).then(|| random.random_range(0..25));
        let (delay, cutoff, shift) = (length(0.6), length(0.8), length(0.7));
        let behaves = match random.random_range(0..3) {
            0 => Behaves::ExactlyOnce { shift },
            _ if delay.is_none() && cutoff.is_none() => Behaves::ExactlyOnce { shift },
            _ => Behaves::Common { delay, cutoff, keep_results: random.random() },
        };
        let by_user = random.random_bool(0.7);
        let mut all = vec!["start", "end", "n", "sum", "max", "distinct", "last", "list", "first", "newest", "came"];
        all.extend(by_user.then_some("user"));
        let mut outputs: Vec<_> = all.into_iter().filter(|_| random.random_bool(0.5)).collect();
        if outputs.is_empty() {
            outputs.push("n");
        }
        Program { unit, kind, behaves, append_only: random.random(), by_user, outputs }
    }

    fn behavior(&self) -> Behavior {
        let length = |length: Option<i64>| length.map(|length| self.unit.length(length));
        match self.behaves {
            Behaves::Common { delay, cutoff, keep_results } => {
                Behavior::Common { delay: length(delay), cutoff: length(cutoff), keep_results }
            }
            Behaves::ExactlyOnce { shift } => Behavior::ExactlyOnce { shift: length(shift) },
        }
    }

    fn plan(&self) -> PhysicalPlan {
        let columns =
            [("time", self.unit.ty().required()), ("user", Type::Str.required()), ("value", Type::Int.optional())];
        let source = Table::source(SourceDecl {
            name: None,
            kind: "test".into(),
            schema: Schema::new(columns),
            append_only: self.append_only,
            description: Default::default(),
            origin: here(),
            connector: Arc::new(()),
        });
        let of = |name: &&'static str| -> (String, Expr) {
            let expr = match *name {
                "start" => col("_pw_window_start"),
                "end" => col("_pw_window_end"),
                "user" => col("_pw_instance"),
                "n" => count(),
                "sum" => sum(col("value")),
                "distinct" => count_distinct([col("value")]),
                "list" => sorted_tuple(col("value")),
                "last" => argmax(col("time"), col("value")),
                "first" => earliest(col("value")),
                "newest" => latest(col("value")),
                "came" => tuple(col("value")),
                _ => max(col("value")),
            };
            ((*name).to_owned(), expr)
        };
        let (outputs, time) = (self.outputs.iter().map(of).collect(), col("time"));
        let (instance, behavior) = (self.by_user.then(|| col("user")), Some(self.behavior()));
        let table = match self.kind {
            Kind::Sliding(hop, duration, origin) => {
                let length = if hop == duration {
                    WindowLength::Hops(1)
                } else {
                    WindowLength::Duration(self.unit.length(duration))
                };
                let origin = origin.map(|origin| self.unit.point(origin));
                let window = SlidingWindow { time, hop: self.unit.length(hop), length, origin, instance, behavior };
                source.unwrap().sliding_reduce(window, outputs, &here()).unwrap()
            }
            Kind::Session(joins) => {
                let window = SessionWindow { time, gap: joins.gap(self.unit), instance, behavior };
                source.unwrap().session_reduce(window, outputs, &here()).unwrap()
            }
        };
        let description = Default::default();
        let sink = SinkDecl {
            table,
            name: String::new(),
            kind: "test".into(),
            description,
            keeps_table: false,
            origin: here(),
            connector: Arc::new(()),
        };
        lower(vec![sink], OnError::default()).unwrap()
    }
}

/// The plan at work: every node but routes and threads is the real one.
struct Machine {
    program: Program,
    plan: PhysicalPlan,
    node: usize,
    workers: Vec<Box<dyn Operator>>,
    emitted: Rows,
    counts: OperatorCounters,
    epoch: u64,
}

impl Machine {
    fn new(program: &Program, workers: usize) -> Self {
        let plan = program.plan();
        let node = plan.nodes.iter().position(|node| node.clock.is_some()).unwrap();
        let mut machine = Machine {
            program: program.clone(),
            plan,
            node,
            workers: Vec::new(),
            emitted: Rows::new(),
            counts: OperatorCounters::default(),
            epoch: 0,
        };
        machine.workers = machine.fresh(workers);
        machine
    }

    fn fresh(&self, workers: usize) -> Vec<Box<dyn Operator>> {
        let node = &self.plan.nodes[self.node];
        let OperatorSpec::Keyed(spec) = &node.operator else { unreachable!() };
        let schemas = self.plan.inputs(node).schemas;
        let operator = |worker| operator_for(spec.as_ref(), &schemas, KeyRange::of_worker(worker, workers));
        (0..workers).map(operator).collect()
    }

    fn step(&mut self, changes: &[(Row, i64)]) {
        let columns: Vec<ArrayRef> = vec![
            self.program.unit.column(changes.iter().map(|(row, _)| row.0).collect()),
            Arc::new(StringArray::from_iter_values(changes.iter().map(|(row, _)| row.1))),
            Arc::new(changes.iter().map(|(row, _)| row.2).collect::<Int64Array>()),
        ];
        let diffs: Vec<i64> = changes.iter().map(|(_, diff)| *diff).collect();
        let mut batches: Vec<Vec<Changes>> = Vec::new();
        for index in 0..self.plan.nodes.len() {
            let node = self.plan.nodes[index].clone();
            let before = || batches[node.ports[0].node.0].clone();
            let made = match &node.operator {
                OperatorSpec::Source { columns: used, .. } => {
                    let columns = used.iter().map(|&c| columns[c].clone()).collect();
                    vec![Changes::new(columns, diffs.clone().into())]
                }
                OperatorSpec::Map { stage, consolidate: mode } => {
                    let map = |changes: Changes| {
                        let mapped = stage.apply(&changes.columns, changes.rows, changes.diffs.each()).unwrap();
                        let diffs = match &mapped.selection {
                            Some(kept) => changes.diffs.filter(kept),
                            None => changes.diffs,
                        };
                        let made = Changes { columns: mapped.columns, rows: mapped.rows, diffs };
                        if *mode == Consolidate::InBatch { consolidate(made, SEED).unwrap() } else { made }
                    };
                    let mapped: Vec<Changes> = before().into_iter().map(map).collect();
                    if *mode == Consolidate::ByRow && !mapped.is_empty() {
                        let keyed: Vec<HashedChanges> = (mapped.into_iter())
                            .map(|changes| HashedChanges { hashes: vec![0; changes.rows], changes })
                            .collect();
                        vec![consolidate(HashedChanges::concat(&keyed).changes, SEED).unwrap()]
                    } else {
                        mapped
                    }
                }
                OperatorSpec::Expand { first } => {
                    let mut made = Vec::new();
                    let mut keep = |piece| {
                        made.push(piece);
                        Ok(())
                    };
                    before().iter().for_each(|changes| expand(changes, *first, &mut keep).unwrap());
                    made
                }
                OperatorSpec::Keyed(_) => {
                    let (Some((clock, time)), Exchange::ByKey(key)) = (node.clock, &node.ports[0].exchange) else {
                        unreachable!("windows follow a clock")
                    };
                    let times = batches[clock.0].iter();
                    let watermark = times.filter_map(|changes| instant::greatest(changes, time)).max();
                    self.run(before(), key, watermark)
                }
                OperatorSpec::Sink { .. } => before(),
                other => unreachable!("{other:?}"),
            };
            batches.push(made);
        }
        let mut epoch = Rows::new();
        let written = batches.pop().unwrap();
        let total: i64 = written.iter().flat_map(|c| (0..c.rows).map(|row| c.diffs.get(row).abs())).sum();
        written.iter().for_each(|changes| self.add_up(&mut epoch, changes));
        assert_eq!(epoch.values().map(|diff| diff.abs()).sum::<i64>(), total, "the output of an epoch is net");
        if self.plan.nodes[self.node].append_only {
            assert!(epoch.values().all(|diff| *diff > 0), "append-only: {epoch:?}");
        }
        for (row, diff) in epoch {
            *self.emitted.entry(row).or_default() += diff;
        }
        self.emitted.retain(|_, count| *count != 0);
        self.epoch += 2;
    }

    /// Steps each worker that has rows, and all if the watermark moves.
    fn run(&mut self, input: Vec<Changes>, key: &[usize], watermark: Option<i64>) -> Vec<Changes> {
        let mut made = Vec::new();
        let count = self.workers.len();
        let buckets: Vec<HashedChanges> = (input.into_iter())
            .map(|changes| {
                let columns: Vec<ArrayRef> = key.iter().map(|&c| changes.columns[c].clone()).collect();
                HashedChanges { hashes: hash_columns(SEED, &columns, changes.rows), changes }
            })
            .collect();
        for (w, worker) in self.workers.iter_mut().enumerate() {
            let range = KeyRange::of_worker(w, count);
            let own: Vec<HashedChanges> = (buckets.iter())
                .map(|bucket| {
                    let inside = |row: &u32| range.contains(bucket.hashes[*row as usize]);
                    let at = UInt32Array::from_iter_values((0..bucket.hashes.len() as u32).filter(inside));
                    let diffs = at.values().iter().map(|&row| bucket.changes.diffs.get(row as usize)).collect();
                    HashedChanges {
                        hashes: at.values().iter().map(|&row| bucket.hashes[row as usize]).collect(),
                        changes: Changes::new(bucket.changes.columns.iter().map(|c| take(c, &at)).collect(), diffs),
                    }
                })
                .filter(|bucket| bucket.changes.rows > 0)
                .collect();
            if own.is_empty() && watermark.is_none() {
                continue;
            }
            let bucket = (!own.is_empty()).then(|| KeyedChanges::new(HashedChanges::concat(&own), key));
            let input = bucket.map(|bucket| Bucket::new(vec![Some(bucket)]));
            let context = StepContext { epoch: Epoch(self.epoch), watermark };
            let mut emit = |changes| {
                made.push(changes);
                Ok(())
            };
            worker.step(&context, &mut operator::buckets(input), &mut emit).unwrap();
            self.counts += worker.take_counters();
        }
        made
    }

    fn add_up(&self, rows: &mut Rows, changes: &Changes) {
        let cell = |(column, name): (&ArrayRef, &&str), row: usize| {
            if column.is_null(row) {
                return "None".to_owned();
            }
            match column.data_type() {
                arrow_schema::DataType::Utf8 => column.as_string::<i32>().value(row).to_owned(),
                arrow_schema::DataType::Binary => {
                    let (values, _) = packed::flatten(&column.slice(row, 1), Type::Int.optional()).unwrap();
                    format!("{:?}", values.as_primitive::<Int64Type>().iter().collect::<Vec<Option<i64>>>())
                }
                arrow_schema::DataType::Float64 => {
                    let value = column.as_primitive::<Float64Type>().value(row);
                    assert!(["start", "end"].contains(name));
                    ((value * 4.0) as i64).to_string()
                }
                _ => ints(column)[row].to_string(),
            }
        };
        for row in 0..changes.rows {
            let cells = changes.columns.iter().zip(&self.program.outputs);
            let cells: Vec<String> = cells.map(|column| cell(column, row)).collect();
            *rows.entry(cells).or_default() += changes.diffs.get(row);
        }
        rows.retain(|_, diff| *diff != 0);
    }

    fn restart(&mut self, workers: usize) {
        let saved = saved(&mut self.workers);
        self.workers = self.fresh(workers);
        self.workers.iter_mut().for_each(|worker| worker.open(saved.clone()).unwrap());
    }

    /// How many windows the steps show that are not over.
    fn shown(&self) -> i64 {
        let mut shown = 0;
        for worker in &self.workers {
            let mut emit = |made: Changes| {
                shown += (0..made.rows).map(|row| made.diffs.get(row)).sum::<i64>();
                Ok(())
            };
            worker.snapshot(&mut emit).unwrap();
        }
        shown
    }

    /// The live rows of an arrangement, over all workers.
    fn live_rows(&mut self, name: &str) -> u64 {
        let mut rows = 0;
        for worker in &mut self.workers {
            for (_, arrangement) in worker.arrangements().into_iter().filter(|(known, _)| *known == name) {
                let count = &mut rows;
                arrangement
                    .scan(&mut |found| {
                        *count += u64::from(*found.offsets.last().unwrap());
                        Ok(())
                    })
                    .unwrap();
            }
        }
        rows
    }

    /// The rows of an arrangement's runs, dead ones too.
    fn stored_rows(&mut self, name: &str) -> u64 {
        let arrangements = self.workers.iter_mut().flat_map(|worker| worker.arrangements());
        let named = arrangements.filter(|(known, _)| *known == name);
        named.flat_map(|(_, arrangement)| arrangement.entries().to_vec()).map(|entry| entry.segment.rows()).sum()
    }
}

fn cases() -> u64 {
    std::env::var("MILLPOND_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(2000)
}

fn random_row(random: &mut StdRng, now: i64) -> Row {
    let time = now + random.random_range(-30..8);
    let value = random.random_bool(0.8).then(|| random.random_range(-3..4));
    (time, ["ann", "bob", ""][random.random_range(0..3)], value)
}

fn check_case(random: &mut StdRng) {
    let program = Program::random(random);
    let mut machine = Machine::new(&program, random.random_range(1..=4));
    let mut replay = Replay::new(program.clone());
    let mut present: BTreeMap<Row, i64> = BTreeMap::new();
    let mut now = random.random_range(-20..20);
    let most = if random.random_ratio(1, 8) { 100 } else { 8 };
    for epoch in 0..random.random_range(1..12) {
        now += random.random_range(0..25);
        let mut changes: Vec<(Row, i64)> = Vec::new();
        for _ in 0..random.random_range(1..=most) {
            let (row, diff) = if !program.append_only && !present.is_empty() && random.random_ratio(1, 3) {
                let (row, count) = present.iter().nth(random.random_range(0..present.len())).unwrap();
                (*row, -random.random_range(1..=*count))
            } else {
                (random_row(random, now), 1 + i64::from(random.random_ratio(1, 6)))
            };
            *present.entry(row).or_default() += diff;
            present.retain(|_, count| *count != 0);
            changes.push((row, diff));
        }
        for i in (1..changes.len()).rev() {
            changes.swap(i, random.random_range(0..=i));
        }
        if std::env::var("SEED").is_ok() {
            eprintln!("{program:?}\n{replay:?}\nchanges {changes:?}");
        }
        machine.step(&changes);
        let expected = replay.step(&changes);
        assert_eq!(machine.emitted, expected, "emitted (left), expected (right) in epoch {epoch} of {program:?}");
        let counts = OperatorCounters { late_rows: replay.late, windows_closed: replay.closed };
        assert_eq!(machine.counts, counts, "epoch {epoch} of {program:?}");
        let shown = expected.values().sum::<i64>() - replay.kept.values().sum::<i64>();
        assert_eq!(machine.shown(), shown, "windows in the snapshot of epoch {epoch} of {program:?}");
        // State is what is not over, and nothing else.
        let live = replay.live_windows();
        let windows = if let Kind::Session(_) = program.kind { "sessions" } else { "groups" };
        assert_eq!(machine.live_rows(windows), live, "{windows} in epoch {epoch} of {program:?}");
        assert!(machine.live_rows("timers") <= 2 * live, "timers in epoch {epoch} of {program:?}");
        if let (Kind::Session(_), false) = (program.kind, program.append_only) {
            // Of equal events, those of one epoch are one row where the epoch is kept, and otherwise all.
            let by_epoch = ["first", "newest", "came"].iter().any(|output| program.outputs.contains(output));
            let stored = |came: &Vec<u64>| if by_epoch { came.chunk_by(|a, b| a == b).count() } else { 1 };
            let held = replay.held.iter().flat_map(|window| window.rows.iter().map(|(_, came)| came));
            let rows: usize = replay.rows.values().flat_map(BTreeMap::values).chain(held).map(stored).sum();
            assert!(machine.live_rows("events") <= rows as u64, "events in epoch {epoch} of {program:?}");
        }
        if random.random_ratio(1, 3) {
            machine.restart(random.random_range(1..=4));
        }
    }
}

/// Random programs, histories, numbers of workers and restarts.
#[test]
fn behaviours_are_what_a_replay_of_the_epochs_says() {
    check_cases(cases(), check_case);
}

/// A long stream leaves no more in the state than is open, dead rows of the runs included.
#[test]
fn state_is_bounded_by_what_is_open() {
    let common = Behaves::Common { delay: Some(10), cutoff: Some(5), keep_results: true };
    for (kind, behaves) in [
        (Kind::Sliding(10, 10, None), common),
        (Kind::Sliding(5, 15, None), Behaves::ExactlyOnce { shift: None }),
        (Kind::Session(Joins::MaxGap(3)), common),
        (Kind::Session(Joins::MaxGap(3)), Behaves::Common { delay: None, cutoff: Some(0), keep_results: false }),
        (Kind::Session(Joins::NotAt(10)), common),
        (Kind::Session(Joins::Far(2)), Behaves::Common { delay: None, cutoff: Some(0), keep_results: false }),
    ] {
        let outputs = vec!["start", "n", "max"];
        let program = Program { unit: Unit::Int, kind, behaves, append_only: false, by_user: true, outputs };
        let mut machine = Machine::new(&program, 2);
        let mut random = StdRng::seed_from_u64(7);
        let mut now = 0;
        for epoch in 0..2000 {
            now += random.random_range(0..6);
            let rows: Vec<(Row, i64)> = (0..30).map(|_| (random_row(&mut random, now), 1)).collect();
            machine.step(&rows);
            if epoch % 500 == 0 {
                machine.restart(1 + epoch / 500);
            }
        }
        assert!(machine.counts.windows_closed > 500, "{:?}", machine.counts);
        let names: Vec<&str> = machine.workers[0].arrangements().iter().map(|(name, _)| *name).collect();
        for name in names {
            // Each epoch touches far fewer rows than this, and 2,000 epochs touched far more.
            let (live, stored) = (machine.live_rows(name), machine.stored_rows(name));
            assert!(live < 300, "{name}: {live} rows live, {stored} stored, {kind:?}");
            assert!(stored < 2000, "{name}: {live} rows live, {stored} stored, {kind:?}");
        }
    }
}

/// Sessions at the ends of the range: what would be past the last instant never comes.
#[test]
fn bounds_past_the_range_are_never_reached() {
    let behaves = Behaves::ExactlyOnce { shift: Some(3) };
    let (kind, outputs) = (Kind::Session(Joins::MaxGap(2)), vec!["start", "end", "n"]);
    let program = Program { unit: Unit::Int, kind, behaves, append_only: false, by_user: false, outputs };
    let mut machine = Machine::new(&program, 1);
    let mut replay = Replay::new(program);
    for times in [vec![i64::MIN, i64::MIN + 1, 5], vec![i64::MAX - 1], vec![i64::MAX, i64::MAX - 3]] {
        let changes: Vec<(Row, i64)> = times.into_iter().map(|time| ((time, "", None), 1)).collect();
        machine.step(&changes);
        assert_eq!(machine.emitted, replay.step(&changes));
    }
    machine.step(&[((i64::MAX, "", None), -1)]);
    assert_eq!(machine.emitted.len(), 2, "{:?}", machine.emitted);
}

/// The last instant is one like any other: a session that is closed there is joined no more.
#[test]
fn a_session_is_closed_at_the_last_instant() {
    let behaves = Behaves::Common { delay: None, cutoff: Some(3), keep_results: true };
    let (kind, outputs) = (Kind::Session(Joins::Near(2)), vec!["user", "n"]);
    let program = Program { unit: Unit::Int, kind, behaves, append_only: false, by_user: true, outputs };
    let mut machine = Machine::new(&program, 1);
    let mut replay = Replay::new(program);
    for (user, time) in [("ann", i64::MAX - 4), ("bob", i64::MAX), ("ann", i64::MAX - 3)] {
        let changes = [((time, user, None), 1)];
        machine.step(&changes);
        assert_eq!(machine.emitted, replay.step(&changes));
    }
    assert_eq!(machine.emitted.get(&vec!["ann".to_owned(), "1".to_owned()]), Some(&2), "{:?}", machine.emitted);
}

/// A result that is held back until its start is shown there, at the ends of what there is, too.
#[test]
fn a_window_at_the_last_instant_is_shown() {
    let behaves = Behaves::Common { delay: Some(0), cutoff: None, keep_results: true };
    for kind in [Kind::Session(Joins::MaxGap(2)), Kind::Session(Joins::Near(2))] {
        let outputs = vec!["user", "n"];
        let program = Program { unit: Unit::Int, kind, behaves, append_only: false, by_user: true, outputs };
        let mut machine = Machine::new(&program, 1);
        let mut replay = Replay::new(program);
        for (user, time) in [("ann", i64::MIN), ("bob", i64::MAX)] {
            let changes = [((time, user, None), 1)];
            machine.step(&changes);
            assert_eq!(machine.emitted, replay.step(&changes));
        }
        assert_eq!(machine.emitted.len(), 2, "{:?}", machine.emitted);
    }
}
