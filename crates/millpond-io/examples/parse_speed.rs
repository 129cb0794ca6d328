//! How fast CSV files turn into columns: 10 million rows `user_id,access_time`, read from the page cache.
//!
//! `cargo run --release -p millpond-io --example parse_speed [ROWS] [plain|quoted]`

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use millpond_columns::types::{Schema, Type};
use millpond_engine::changes::Epoch;
use millpond_engine::hash::HashSeed;
use millpond_error::{Error, Result};
use millpond_io::csv::{CsvSource, CsvSourceOptions};
use millpond_io::source::{EpochInput, Source};

fn main() -> Result<()> {
    let rows = std::env::args().nth(1).map_or(Ok(10_000_000), |rows| rows.parse());
    let rows: u64 = rows.map_err(|_| Error::invalid("the number of rows is not a number"))?;
    let directory = std::env::temp_dir().join(format!("parse-speed-{}", std::process::id()));
    let failed = |error: std::io::Error| Error::unavailable(error.to_string());
    std::fs::create_dir_all(&directory).map_err(failed)?;
    let only = std::env::args().nth(2);
    for (name, quoted) in [("plain", false), ("quoted", true)] {
        if only.as_ref().is_some_and(|only| only != name) {
            continue;
        }
        let bytes = generate(&directory, rows, quoted).map_err(failed)?;
        for threads in [1, 1, 2, 2] {
            measure(&directory, bytes, threads, name)?;
        }
    }
    std::fs::remove_dir_all(&directory).map_err(failed)
}

/// Writes eight files; returns their bytes.
fn generate(directory: &Path, rows: u64, quoted: bool) -> std::io::Result<u64> {
    const FILES: u64 = 8;
    let quote = if quoted { "\"" } else { "" };
    let mut bytes = 0;
    for number in 0..FILES {
        let mut text = String::from("user_id,access_time\n");
        for row in number * rows / FILES..(number + 1) * rows / FILES {
            let user = row.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 200_000;
            let _ = writeln!(text, "{quote}user{user:07}{quote},{}", 1_700_000_000 + row);
        }
        bytes += text.len() as u64;
        std::fs::File::create(directory.join(format!("{number}.csv")))?.write_all(text.as_bytes())?;
    }
    Ok(bytes)
}

fn measure(directory: &Path, bytes: u64, threads: usize, name: &str) -> Result<()> {
    let schema = Schema::new([("user_id", Type::Str.required()), ("access_time", Type::Int.required())]);
    let mut source = CsvSource::new(CsvSourceOptions::new(directory.to_string_lossy(), schema), HashSeed(1));
    let (start, cpu) = (Instant::now(), cpu_seconds());
    let input = source.next_epoch(&[0, 1])?.into_input().ok_or_else(|| Error::invalid("there is nothing to read"))?;
    let rows = std::thread::scope(|scope| -> Result<usize> {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(|| drain(&input))).collect();
        let counts =
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(Error::unavailable("lost"))));
        counts.sum()
    })?;
    source.finish_epoch(Epoch(2))?;
    let (wall, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let megabytes = bytes as f64 / 1e6;
    println!(
        "{name}: {threads} threads, {rows} rows, {megabytes:.0} MB: {wall:.3} s, {cpu:.2} CPU s, {:.0} MB/s",
        megabytes / wall
    );
    Ok(())
}

fn drain(input: &Arc<dyn EpochInput>) -> Result<usize> {
    let mut rows = 0;
    while let Some(changes) = input.next()? {
        rows += changes.rows;
    }
    Ok(rows)
}

/// User and system time of this process so far, in steps of 10 ms.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks: u64 = fields.iter().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    ticks as f64 / 100.0
}
