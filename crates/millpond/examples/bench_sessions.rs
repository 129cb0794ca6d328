//! The sessions program with its options as flags, for benchmarks and fault tests.

use std::process::exit;

use millpond::csv::WriteMode;
use millpond::{Backend, Error, Result, RunOptions, Type, col, count, csv, max, min, run, session, sliding, tumbling};

const USAGE: &str = "usage: bench_sessions --input DIR --output FILE [--state DIR] [--append-only] [--computed] \
                     [--count] [--windows] [--sliding] [--mode changes|append|snapshot] [--workers N]";

#[derive(Default)]
struct Flags {
    input: String,
    output: String,
    state: Option<String>,
    append_only: bool,
    computed: bool,
    count: bool,
    windows: bool,
    sliding: bool,
    mode: WriteMode,
    workers: Option<usize>,
}

fn flags() -> Result<Flags> {
    let mut flags = Flags::default();
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| Error::invalid(format!("{word} needs a value\n{USAGE}")));
        match word.as_str() {
            "--input" => flags.input = value()?,
            "--output" => flags.output = value()?,
            "--state" => flags.state = Some(value()?),
            "--append-only" => flags.append_only = true,
            "--computed" => flags.computed = true,
            "--count" => flags.count = true,
            "--windows" => flags.windows = true,
            "--sliding" => flags.sliding = true,
            "--mode" => {
                flags.mode = match value()?.as_str() {
                    "changes" => WriteMode::Changes,
                    "append" => WriteMode::Append,
                    "snapshot" => WriteMode::Snapshot,
                    mode => return Err(Error::invalid(format!("--mode: {mode}?\n{USAGE}"))),
                }
            }
            "--workers" => {
                let workers = value()?;
                let parsed = workers.parse().map_err(|_| Error::invalid(format!("--workers: {workers}?\n{USAGE}")));
                flags.workers = Some(parsed?);
            }
            _ => return Err(Error::invalid(format!("unknown flag {word}\n{USAGE}"))),
        }
    }
    Ok(flags)
}

fn program(flags: &Flags) -> Result<()> {
    let mut visits = csv::read(&flags.input, [("user_id", Type::Str), ("access_time", Type::Int)]).name("logs");
    if flags.append_only {
        visits = visits.append_only();
    }
    let mut visits = visits.table();
    if flags.computed {
        visits = visits
            .filter(col("access_time").gt(0))
            .with_columns([("minute", col("access_time").floordiv(60)), ("access_time", col("access_time") + 0)]);
    }
    let results = if flags.count {
        visits.groupby(["user_id"]).reduce([("user_id", col("user_id")), ("count", count())])
    } else if flags.windows || flags.sliding {
        let outputs = [("user_id", col("user_id")), ("window_start", col("_pw_window_start")), ("count", count())];
        let time = col("access_time");
        let windows = match flags.sliding {
            true => visits.windowby(time, sliding(60).duration(600)),
            false => visits.windowby(time, tumbling(300)),
        };
        windows.instance(col("user_id")).reduce(outputs)
    } else {
        let mut outputs = vec![
            ("user_id", col("user_id")),
            ("session_length", max(col("access_time")) - min(col("access_time"))),
            ("session_start", min(col("access_time"))),
            ("session_finish", max(col("access_time"))),
            ("count", count()),
        ];
        if flags.computed {
            outputs.push(("last_minute", max(col("minute"))));
        }
        visits.windowby(col("access_time"), session().max_gap(300)).instance(col("user_id")).reduce(outputs)
    };
    let state = flags.state.as_ref().map(Backend::filesystem).transpose()?;
    let options = RunOptions { state, workers: flags.workers, ..RunOptions::default() };
    run([csv::write(&results, &flags.output).mode(flags.mode)], &options)?;
    Ok(())
}

fn main() {
    if let Err(error) = flags().and_then(|flags| program(&flags)) {
        eprintln!("{error}");
        exit(error.kind().exit_code());
    }
}
