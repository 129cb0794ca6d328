//! Sessions over files that grow while it runs, until so many visits are in the result: `bench_stream INPUT OUTPUT
//! VISITS COMMIT_MS [STATE CHECKPOINT_MS]`. Prints the seconds from its start to the last visit.

use std::process::exit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use millpond::connector::{Batches, Delivery, Epoch, subscribe};
use millpond::csv::{Streaming, WriteMode};
use millpond::{Backend, Error, Result, RunOptions, Type, col, count, csv, max, min, run, session};

const USAGE: &str = "usage: bench_stream INPUT OUTPUT VISITS COMMIT_MS [STATE CHECKPOINT_MS]";

fn program() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (4 | 6) = words.len() else { return Err(Error::invalid(USAGE)) };
    let number = |at: usize| words[at].parse::<u64>().map_err(|_| Error::invalid(USAGE));
    let (visits_wanted, commit_every) = (number(2)? as i64, Duration::from_millis(number(3)?));
    let visits = csv::read(&words[0], [("user_id", Type::Str), ("access_time", Type::Int)])
        .name("logs")
        .streaming(Streaming { commit_every, ..Streaming::default() })
        .table();
    let sessions = visits.windowby(col("access_time"), session().max_gap(300)).instance(col("user_id")).reduce([
        ("user_id", col("user_id")),
        ("session_start", min(col("access_time"))),
        ("session_finish", max(col("access_time"))),
        ("count", count()),
    ]);
    let stop = Arc::new(AtomicBool::new(false));
    let mut options = RunOptions { stop: stop.clone().into(), ..RunOptions::default() }.quiet();
    if words.len() == 6 {
        options = options.state(Backend::filesystem(&words[4])?);
        options.checkpoint_every = Duration::from_millis(number(5)?);
    }
    let started = Instant::now();
    let seen = AtomicI64::new(0);
    // The counts of all sessions add up to the visits that were read.
    let watch = subscribe(&sessions, "watch", move |_: Epoch, changes: &Batches| {
        for batch in changes {
            let batch = batch?;
            let counts = batch.columns[3].as_primitive::<Int64Type>();
            let visits: i64 = (0..batch.rows).map(|row| counts.value(row) * batch.diffs.get(row)).sum();
            seen.fetch_add(visits, Ordering::Relaxed);
        }
        if seen.load(Ordering::Relaxed) >= visits_wanted && !stop.swap(true, Ordering::Relaxed) {
            println!("{:.6}", started.elapsed().as_secs_f64());
        }
        Ok(())
    })
    .delivery(Delivery::AtOnce);
    run([csv::write(&sessions, &words[1]).mode(WriteMode::Append), watch], &options).map(drop)
}

fn main() {
    if let Err(error) = program() {
        eprintln!("{error}");
        exit(error.kind().exit_code());
    }
}
