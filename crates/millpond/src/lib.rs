//! Incremental data processing: write a pipeline once; each run processes only what is new, updates its saved state, and
//! emits only what changed.
//!
//! ```standalone_crate
//! use millpond::{Backend, RunOptions, Type, col, count, csv, max, min, run, session};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # std::env::set_current_dir(&folder)?;
//! # std::fs::create_dir("logs")?;
//! # std::fs::write("logs/one.csv", "user_id,access_time\nann,1000\nann,1200\nann,9000\n")?;
//! let visits = csv::read("logs/", [("user_id", Type::Str), ("access_time", Type::Int)]).name("logs").table();
//! let sessions = visits
//!     .windowby(col("access_time"), session().max_gap(300))
//!     .instance(col("user_id"))
//!     .reduce([
//!         ("user_id", col("user_id")),
//!         ("length", max(col("access_time")) - min(col("access_time"))),
//!         ("visits", count()),
//!     ]);
//! run([csv::write(&sessions, "sessions.csv")], &RunOptions::default().state(Backend::filesystem("state")?))?;
//! # let written = std::fs::read_to_string("sessions.csv")?;
//! # assert!(written.contains("\"ann\",200,2,") && written.lines().count() == 3, "{written}");
//! # Ok(())
//! # }
//! ```
//!
//! Start reading at [`Table`] (what a pipeline is made of), [`csv`] and [`jsonlines`] (where its rows come from and go to) and [`run`]
//! (what happens then).

mod behavior;
mod cluster;
pub mod connector;
pub mod csv;
pub mod debug;
mod driver;
pub mod feed;
pub mod jsonlines;
pub mod monitor;
mod places;
mod run;
mod table;
mod write;

pub use behavior::{CommonBehavior, ExactlyOnceBehavior, common_behavior, exactly_once_behavior};
pub use cluster::Cluster;
pub use millpond_error::{Error, ErrorKind, Origin, Result};
pub use millpond_plan::{
    Behavior, BoolWords, ColumnType, Dt, Expr, Literal, Schema, Text, TimeUnit, Type, coalesce, col, if_else, lit,
    make_tuple,
};
pub use millpond_plan::{
    any, argmax, argmin, avg, count, count_distinct, earliest, latest, max, min, sorted_tuple, sum, tuple, unique,
};
pub use monitor::{HttpAddress, Monitor, Monitoring};
pub use run::{Backend, Output, RunOptions, Summary, WindowSummary, run};
pub use table::{Grouped, SessionWindow, SlidingWindow, Table, Window, Windowed, session, sliding, tumbling};
