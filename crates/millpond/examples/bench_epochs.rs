//! Latency of small epochs on top of a large state: prints one line of JSON.
//!
//! `bench_epochs [--rows N] [--users N] [--epochs N] [--epoch-rows N] [--append-only] [--state DIR] [--workers N]`
//!
//! The first epoch brings `rows` visits of `users` users; then each of `epochs` epochs brings `epoch-rows` visits of
//! users drawn uniformly. Latency is from asking the source for an epoch to all its changes having been handed to the
//! sink.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arrow_array::{ArrayRef, Int64Array, StringArray};
use millpond::connector::{
    self, Arrangement, Changes, Epoch, EpochInput, LogicalRun, Next, Prepared, SavedArrangement, Sink, Source,
    SourceCounts,
};
use millpond::{Backend, Error, Result, RunOptions, Schema, Type, col, count, max, min, run, session};

const BATCH_ROWS: u64 = 64 * 1024;
const MEAN_GAP_SECONDS: u64 = 240;

#[derive(Clone, Copy)]
struct Workload {
    rows: u64,
    users: u64,
    epochs: u64,
    epoch_rows: u64,
}

/// A small generator (splitmix64): the same rows in every run.
fn random(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Rows `from..to` of the workload: row `i` is at a time that rises with `i`, of a user drawn uniformly.
fn visits(workload: Workload, from: u64, to: u64) -> Changes {
    let time = |row: u64| 1_700_000_000 + (row * MEAN_GAP_SECONDS / workload.users.max(1)) as i64;
    let users = (from..to).map(|row| format!("user{:07}", random(row) % workload.users));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(users)),
        Arc::new(Int64Array::from_iter_values((from..to).map(time))),
    ];
    Changes::inserts(columns, (to - from) as usize)
}

/// The rows of one epoch, in batches.
struct Batches {
    workload: Workload,
    next: AtomicU64,
    end: u64,
}

impl EpochInput for Batches {
    fn next(&self) -> Result<Option<Changes>> {
        let from = self.next.fetch_add(BATCH_ROWS, Ordering::Relaxed);
        let to = self.end.min(from + BATCH_ROWS);
        Ok((from < to).then(|| visits(self.workload, from, to)))
    }

    fn size_hint(&self) -> u64 {
        (self.end - self.next.load(Ordering::Relaxed)) * 24
    }
}

struct Visits {
    workload: Workload,
    delivered: u64,
    asked: Instant,
    latencies: Arc<Mutex<Vec<f64>>>,
}

impl Source for Visits {
    fn arrangements(&mut self) -> Vec<(&'static str, &mut Arrangement)> {
        Vec::new()
    }

    fn open(&mut self, _: Vec<(String, SavedArrangement)>) -> Result<()> {
        Ok(())
    }

    fn next_epoch(&mut self, _: &[usize]) -> Result<Next> {
        let Workload { rows, epochs, epoch_rows, .. } = self.workload;
        if self.delivered > epochs {
            return Ok(Next::End);
        }
        let (from, to) = match self.delivered {
            0 => (0, rows),
            n => (rows + (n - 1) * epoch_rows, rows + n * epoch_rows),
        };
        let input: Arc<dyn EpochInput> = if self.delivered == 0 {
            Arc::new(Batches { workload: self.workload, next: AtomicU64::new(from), end: to })
        } else {
            Arc::new(Ready(Mutex::new(Some(visits(self.workload, from, to)))))
        };
        self.delivered += 1;
        self.asked = Instant::now();
        Ok(Next::Input(input))
    }

    fn finish_epoch(&mut self, _: Epoch) -> Result<()> {
        if self.delivered > 1 {
            let latency = self.asked.elapsed().as_secs_f64() * 1e3;
            self.latencies.lock().unwrap_or_else(PoisonError::into_inner).push(latency);
        }
        Ok(())
    }

    fn counts(&self) -> SourceCounts {
        SourceCounts::default()
    }
}

/// Rows that were made before the clock started.
struct Ready(Mutex<Option<Changes>>);

impl EpochInput for Ready {
    fn next(&self) -> Result<Option<Changes>> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).take())
    }

    fn size_hint(&self) -> u64 {
        0
    }
}

/// Counts what it is given.
#[derive(Default)]
struct Tally {
    changes: AtomicU64,
}

impl Sink for Tally {
    fn open(&mut self, _: &Schema, _: Option<&serde_json::Value>, _: LogicalRun) -> Result<()> {
        Ok(())
    }

    fn write(&self, _: Epoch, changes: &Changes) -> Result<()> {
        self.changes.fetch_add(changes.rows as u64, Ordering::Relaxed);
        Ok(())
    }

    fn write_snapshot(&self, _: &Changes) -> Result<()> {
        Ok(())
    }

    fn prepare(&self) -> Result<Prepared> {
        Ok(Prepared::durable(self.position()))
    }

    fn position(&self) -> serde_json::Value {
        serde_json::Value::Null
    }

    fn rows_written(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }
}

fn main() -> Result<()> {
    let mut flags: HashMap<String, String> = HashMap::new();
    let mut words = std::env::args().skip(1).peekable();
    while let Some(word) = words.next() {
        let value = words.next_if(|next| !next.starts_with("--")).unwrap_or_default();
        flags.insert(word, value);
    }
    let number = |flag: &str, default: u64| match flags.get(flag) {
        Some(text) => text.parse().map_err(|_| Error::invalid(format!("{flag}: \"{text}\" is not a number"))),
        None => Ok(default),
    };
    let workload = Workload {
        rows: number("--rows", 10_000_000)?,
        users: number("--users", 200_000)?,
        epochs: number("--epochs", 1_000)?,
        epoch_rows: number("--epoch-rows", 1_000)?,
    };
    let latencies = Arc::new(Mutex::new(Vec::new()));
    let schema = Schema::new([("user_id", Type::Str.required()), ("access_time", Type::Int.required())]);
    let shared = latencies.clone();
    let table = connector::source("visits", schema, flags.contains_key("--append-only"), move |_| {
        let latencies = shared.clone();
        Ok(Box::new(Visits { workload, delivered: 0, asked: Instant::now(), latencies }) as Box<dyn Source>)
    });
    let sessions = table.windowby(col("access_time"), session().max_gap(300)).instance(col("user_id")).reduce([
        ("user_id", col("user_id")),
        ("start", min(col("access_time"))),
        ("finish", max(col("access_time"))),
        ("count", count()),
    ]);
    let mut options = RunOptions::default().quiet();
    options.state = flags.get("--state").map(Backend::filesystem).transpose()?;
    options.workers = flags.contains_key("--workers").then(|| number("--workers", 1)).transpose()?.map(|n| n as usize);
    let output = connector::sink(&sessions, "tally", || Ok(Box::new(Tally::default()) as Box<dyn Sink>));
    let summary = run([output], &options)?;

    let mut latencies = latencies.lock().unwrap_or_else(PoisonError::into_inner).clone();
    latencies.sort_by(f64::total_cmp);
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
    println!(
        "{}",
        serde_json::json!({"epochs": latencies.len(), "p50_ms": at(0.5), "p99_ms": at(0.99), "max_ms": at(1.0), "changes": summary.changes_written})
    );
    Ok(())
}
