//! Speed of the stateful operators alone, on one thread: `cargo run --release --example operator_speed [ROWS]`.
//!
//! Visits of users at a mean distance of 240 s, sessions with a gap of 300 s, in 128 buckets. First runs are in CPU
//! time where the system tells it (Linux), epochs in wall time, of `step` alone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::{ArrayRef, Int64Array, StringArray};
use millpond_columns::types::{Schema, Type};
use millpond_engine::changes::{Changes, Epoch};
use millpond_engine::group::{RowOrder, group};
use millpond_engine::hash::{HashSeed, KeyRange, hash_columns};
use millpond_engine::keyed::{HashedChanges, KeyedChanges};
use millpond_engine::operator::{Bucket, Operator, StepContext, buckets};
use millpond_engine::operators::{Reduce, Session};
use millpond_error::Result;
use millpond_plan::functions::ReducerKind;
use millpond_plan::physical::Form;
use millpond_plan::{Gap, ReduceSpec, ReducerCall, SessionSpec};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const SEED: HashSeed = HashSeed(7);
const BUCKETS: usize = 128;
const COUNT: ReducerCall = ReducerCall { kind: ReducerKind::Count, columns: Vec::new() };

fn schema() -> Schema {
    Schema::new([("user", Type::Str.required()), ("time", Type::Int.required())])
}

fn session(form: Form) -> Session {
    let spec =
        SessionSpec { instance: vec![0], time: 1, floats: false, gap: Gap::Most(300), reducers: vec![COUNT], form };
    Session::new(&spec, &schema(), KeyRange::ALL)
}

fn batch(users: &[u32], times: Vec<i64>) -> KeyedChanges {
    changes(users, times, vec![1; users.len()])
}

fn changes(users: &[u32], times: Vec<i64>, diffs: Vec<i64>) -> KeyedChanges {
    let names: StringArray = users.iter().map(|user| Some(format!("u{user:06}"))).collect();
    let columns: Vec<ArrayRef> = vec![Arc::new(names), Arc::new(Int64Array::from(times))];
    let hashes = hash_columns(SEED, &columns[..1], users.len());
    let rows = HashedChanges { hashes, changes: Changes::new(columns, diffs.into()) };
    KeyedChanges::new(rows, &[0])
}

/// Visits in order of time, in buckets by hash.
fn visits(rows: usize, users: u32, random: &mut StdRng) -> Vec<KeyedChanges> {
    let names: StringArray = (0..users).map(|user| Some(format!("u{user:06}"))).collect();
    let columns: [ArrayRef; 1] = [Arc::new(names)];
    let hashes = hash_columns(SEED, &columns, users as usize);
    let mut buckets = vec![(Vec::new(), Vec::new()); BUCKETS];
    let span = 240 * (rows as i64 / i64::from(users));
    for row in 0..rows as i64 {
        let user = random.random_range(0..users);
        let bucket = &mut buckets[KeyRange::worker_of(hashes[user as usize], BUCKETS)];
        bucket.0.push(user);
        bucket.1.push(row * span / rows as i64);
    }
    buckets.into_iter().map(|(users, times)| batch(&users, times)).collect()
}

/// Steps once; returns the time and the number of output rows.
fn step(operator: &mut dyn Operator, epoch: u64, input: Vec<KeyedChanges>) -> Result<(Duration, usize)> {
    let mut rows = 0;
    let start = Clock::now();
    let context = StepContext { epoch: Epoch(epoch), watermark: None };
    let input = input.into_iter().map(|rows| Bucket::new(vec![Some(rows)]));
    let mut emit = |changes: Changes| {
        rows += changes.rows;
        Ok(())
    };
    operator.step(&context, &mut buckets(input), &mut emit)?;
    Ok((start.elapsed(), rows))
}

/// The CPU time of this thread, or wall time.
struct Clock {
    wall: Instant,
    cpu: Option<Duration>,
}

impl Clock {
    fn now() -> Self {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
        let nanos = text.and_then(|text| text.split(' ').next()?.parse().ok());
        Clock { wall: Instant::now(), cpu: nanos.map(Duration::from_nanos) }
    }

    fn elapsed(&self) -> Duration {
        let now = Clock::now();
        if now.wall - self.wall < Duration::from_millis(100) {
            // The system counts in ticks of some milliseconds.
            return now.wall - self.wall;
        }
        now.cpu.zip(self.cpu).map_or_else(|| now.wall - self.wall, |(now, then)| now - then)
    }
}

fn percentiles(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    format!("p50 {:.3} ms, p99 {:.3} ms, worst {:.3} ms", at(50), at(99), at(100))
}

fn main() -> Result<()> {
    let rows: usize = std::env::args().nth(1).and_then(|rows| rows.parse().ok()).unwrap_or(10_000_000);
    let users = (rows / 50) as u32;
    let mut random = StdRng::seed_from_u64(1);
    let input = visits(rows, users, &mut random);

    for order in [RowOrder::Arrival, RowOrder::FirstColumn, RowOrder::Consolidated] {
        let start = Clock::now();
        let keys: usize = input.iter().map(|bucket| group(bucket, &[1], order).expect("few rows").hashes.len()).sum();
        println!("group {order:?}: {:.3} s, {keys} keys", start.elapsed().as_secs_f64());
    }
    let spec = ReduceSpec { key: vec![0], reducers: vec![COUNT], form: Form::AppendOnly };
    let mut counts = Reduce::new(&spec, &schema(), KeyRange::ALL);
    let (time, out) = step(&mut counts, 0, input.clone())?;
    println!("count per user, first run: {:.3} s, {out} rows out", time.as_secs_f64());

    for form in [Form::AppendOnly, Form::Full] {
        let mut sessions = session(form);
        let (time, out) = step(&mut sessions, 0, input.clone())?;
        println!("sessions {form:?}, first run: {:.3} s, {out} rows out", time.as_secs_f64());
        let last = 240 * (rows as i64 / i64::from(users));
        let mut times = Vec::new();
        for epoch in 1..=1000 {
            let who: Vec<u32> = (0..1000).map(|_| random.random_range(0..users)).collect();
            let input = batch(&who, vec![last + epoch as i64; 1000]);
            times.push(step(&mut sessions, epoch, vec![input])?.0);
        }
        println!("sessions {form:?}, epochs of 1,000 rows: {}", percentiles(times));
    }
    for form in [Form::AppendOnly, Form::Full] {
        let visits = rows / 2;
        let mut sessions = session(form);
        step(&mut sessions, 0, vec![batch(&vec![1; visits], (0..visits as i64).collect())])?;
        let mut times = Vec::new();
        for epoch in 1..=1000 {
            let time = random.random_range(0..visits as i64);
            times.push(step(&mut sessions, epoch, vec![batch(&[1], vec![time])])?.0);
        }
        println!("one user with {visits} visits, {form:?}, epochs of one visit: {}", percentiles(times));
        if form == Form::Full {
            let mut times = Vec::new();
            for epoch in 1001..=2000 {
                let input = changes(&[1], vec![2 * (epoch as i64 - 1000)], vec![-1]);
                times.push(step(&mut sessions, epoch, vec![input])?.0);
            }
            println!("one user with {visits} visits, {form:?}, removals of one visit: {}", percentiles(times));
        }
    }
    Ok(())
}
