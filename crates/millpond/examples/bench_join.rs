//! Visits joined with users, counted per country, with the options as flags, for benchmarks.

use std::process::exit;

use millpond::{Backend, Error, JoinMode, Result, RunOptions, Type, col, count, csv, left, right, run};

const USAGE: &str = "usage: bench_join --visits DIR --users DIR --output FILE [--state DIR] [--how inner|left|right|outer] [--workers N]";

#[derive(Default)]
struct Flags {
    visits: String,
    users: String,
    output: String,
    state: Option<String>,
    how: Option<JoinMode>,
    workers: Option<usize>,
}

fn flags() -> Result<Flags> {
    let mut flags = Flags::default();
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| Error::invalid(format!("{word} needs a value\n{USAGE}")))?;
        let wrong = || Error::invalid(format!("{word}: {value}?\n{USAGE}"));
        match word.as_str() {
            "--visits" => flags.visits = value,
            "--users" => flags.users = value,
            "--output" => flags.output = value,
            "--state" => flags.state = Some(value),
            "--how" => {
                let mode = JoinMode::ALL.into_iter().find(|mode| mode.name() == value);
                flags.how = Some(mode.ok_or_else(wrong)?);
            }
            "--workers" => flags.workers = Some(value.parse().map_err(|_| wrong())?),
            _ => return Err(Error::invalid(format!("unknown flag {word}\n{USAGE}"))),
        }
    }
    Ok(flags)
}

fn program(flags: &Flags) -> Result<()> {
    let visits = csv::read(&flags.visits, [("user_id", Type::Str), ("access_time", Type::Int)]).name("visits");
    let users = csv::read(&flags.users, [("user_id", Type::Str), ("country", Type::Str)]).name("users");
    let joined = visits.table().join(&users.table(), [left("user_id").eq(right("user_id"))]);
    let joined = joined.how(flags.how.unwrap_or(JoinMode::Inner)).select([("country", right("country"))]);
    let counts = joined.groupby(["country"]).reduce([("country", col("country")), ("visits", count())]);
    let state = flags.state.as_ref().map(Backend::filesystem).transpose()?;
    let options = RunOptions { state, workers: flags.workers, ..RunOptions::default() };
    run([csv::write(&counts, &flags.output)], &options).map(drop)
}

fn main() {
    if let Err(error) = flags().and_then(|flags| program(&flags)) {
        eprintln!("{error}");
        exit(error.kind().exit_code());
    }
}
