//! What a run says about itself while it goes on and after its end: numbers, never rows, settings or secrets.
//!
//! - `meters`: the numbers of a run under way; the driver and the steps add to them, once a batch or an epoch.
//! - [`Snapshot`]: the numbers at one moment, from which all of the rest is made.
//! - `terminal`, `dashboard`: what a terminal shows of them.
//! - `http`, `exposition`: a server for Prometheus and for supervisors.
//! - `report`: a file of JSON at the end of a run.
//!
//! A [`Monitor`] shows the numbers to a program of your own.

mod dashboard;
mod exposition;
mod http;
mod lag;
mod meters;
mod report;
mod snapshot;
mod terminal;

use std::sync::Arc;

use parking_lot::Mutex;

pub use http::HttpAddress;
pub(crate) use http::HttpServer;
pub(crate) use meters::Meters;
pub(crate) use report::Report;
pub use snapshot::{CheckpointSnapshot, RunSnapshot, SinkSnapshot, Snapshot, SourceSnapshot, StepSnapshot};
pub use terminal::Monitoring;
pub(crate) use terminal::Terminal;

/// The kind of the outputs of rejected rows.
pub(crate) const DEAD_LETTER: &str = "dead_letter";

/// A view of a run's numbers, from any thread, while it goes on and afterwards; clones see the same run.
///
/// ```
/// use millpond::{Monitor, RunOptions, count, csv, debug, run};
///
/// # fn main() -> millpond::Result<()> {
/// # let folder = tempfile::tempdir().unwrap();
/// # let result = folder.path().join("result.csv").display().to_string();
/// let visits = debug::table_from_markdown("user | pages\nann | 3\nann | 4\nbob | 4");
/// let users = visits.groupby(["user"]).reduce([("visits", count())]);
/// let monitor = Monitor::default();
/// run([csv::write(&users, result)], &RunOptions::default().quiet().monitor(monitor.clone()))?;
///
/// let seen = monitor.snapshot().expect("the program has run");
/// assert_eq!((seen.steps[0].rows_in, seen.steps[0].rows_out), (3, 2));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Monitor(Arc<Mutex<Option<Arc<Meters>>>>);

impl Monitor {
    /// The numbers of the run that was started last; `None` before there is one.
    pub fn snapshot(&self) -> Option<Snapshot> {
        Some(self.meters()?.snapshot())
    }

    /// Whether the run's notices have gone to standard error as they came, as those of a run that goes on do.
    pub fn has_told_notices(&self) -> bool {
        self.meters().is_some_and(|meters| meters.tells_at_once())
    }

    pub(crate) fn meters(&self) -> Option<Arc<Meters>> {
        self.0.lock().clone()
    }

    /// Looks at another run from now on.
    pub(crate) fn look_at(&self, meters: Option<Arc<Meters>>) {
        *self.0.lock() = meters;
    }
}
