//! User sessions over website visits, kept up to date: run it, add a file to `logs/`, run it again.
//!
//! `cargo run --release --example sessions`

use std::process::ExitCode;

use millpond::{Backend, RunOptions, Type, col, count, csv, max, min, run, session};

fn main() -> ExitCode {
    millpond::main(program)
}

fn program() -> millpond::Result<()> {
    let visits = csv::read("logs/", [("user_id", Type::Str), ("access_time", Type::Int)]).name("logs").table();

    let sessions = visits.windowby(col("access_time"), session().max_gap(300)).instance(col("user_id")).reduce([
        ("user_id", col("user_id")),
        ("session_length", max(col("access_time")) - min(col("access_time"))),
        ("session_start", min(col("access_time"))),
        ("session_finish", max(col("access_time"))),
        ("count", count()),
    ]);

    let options = RunOptions::default().state(Backend::filesystem("state")?);
    run([csv::write(&sessions, "sessions.csv")], &options)?;
    Ok(())
}
