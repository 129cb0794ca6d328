//! Incremental data processing: write a pipeline once; each run processes only what is new, updates its saved state,
//! and emits only what changed.
//!
//! ```standalone_crate
//! use std::process::ExitCode;
//!
//! use millpond::{Backend, Result, RunOptions, Type, col, count, csv, max, min, run, session};
//!
//! fn main() -> ExitCode {
//! #   let folder = tempfile::tempdir().unwrap();
//! #   std::env::set_current_dir(&folder).unwrap();
//! #   std::fs::create_dir("logs").unwrap();
//! #   std::fs::write("logs/one.csv", "user_id,access_time\nann,1000\nann,1200\nann,9000\n").unwrap();
//!     millpond::main(program) // an error becomes a message and the exit code of its kind
//! }
//!
//! fn program() -> Result<()> {
//!     let visits = csv::read("logs/", [("user_id", Type::Str), ("access_time", Type::Int)]).name("logs").table();
//!     let sessions = visits
//!         .windowby(col("access_time"), session().max_gap(300))
//!         .instance(col("user_id"))
//!         .reduce([
//!             ("user_id", col("user_id")),
//!             ("length", max(col("access_time")) - min(col("access_time"))),
//!             ("visits", count()),
//!         ]);
//!     run([csv::write(&sessions, "sessions.csv")], &RunOptions::default().state(Backend::filesystem("state")?))?;
//! #   let written = std::fs::read_to_string("sessions.csv").unwrap();
//! #   assert!(written.contains("\"ann\",200,2,") && written.lines().count() == 3, "{written}");
//!     Ok(())
//! }
//! ```
//!
//! Start reading at [`Table`] (what a pipeline is made of), [`csv`] and [`jsonlines`] (where its rows come from and go
//! to) and [`run`] (what happens then). [`main`] makes exit codes of errors, and [`Stop`] ends a run from outside.

mod behavior;
mod cluster;
pub mod connector;
pub mod csv;
pub mod debug;
mod declare;
mod driver;
mod explain_state;
pub mod feed;
pub mod jsonlines;
mod lacking;
pub mod memory_limit;
pub mod monitor;
mod observers;
mod options;
mod output;
mod places;
mod run;
mod stop;
mod summary;
mod table;
mod write;

pub use behavior::{CommonBehavior, ExactlyOnceBehavior, common_behavior, exactly_once_behavior};
pub use cluster::Cluster;
pub use millpond_columns::types::{ColumnType, Schema, Type};
pub use millpond_error::{Error, ErrorKind, Origin, Result};
pub use millpond_plan::{
    Behavior, BoolWords, Dt, Expr, JoinMode, Literal, Side, Text, TimeUnit, any, argmax, argmin, avg, coalesce, col,
    count, count_distinct, earliest, if_else, latest, left, lit, make_tuple, max, min, right, sorted_tuple, sum, tuple,
    unique,
};
pub use monitor::{HttpAddress, Monitor, Monitoring};
pub use options::{Backend, RunOptions};
pub use output::Output;
pub use run::run;
pub use stop::{Stop, main};
pub use summary::{Summary, WindowSummary};
pub use table::{Grouped, Joined, SessionWindow, SlidingWindow, Table, Window, Windowed, session, sliding, tumbling};

/// Arrow's arrays, of the version that [`connector::Changes`] are made of.
pub mod arrow {
    pub use arrow_array as array;
    pub use arrow_buffer as buffer;
    pub use arrow_schema as datatypes;
}
