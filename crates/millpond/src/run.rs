//! Running a program.

use std::sync::Arc;

use millpond_error::{ErrorKind, Result};
use millpond_io::files::list::FileSystem;
use millpond_plan::{SinkDecl, lower};

use crate::cluster::Cluster;
use crate::driver;
use crate::observers::Observers;
use crate::options::{Backend, RunOptions};
use crate::output::Output;
use crate::places::{self, Guard};
use crate::stop::Running;
use crate::summary::Summary;

/// Runs a program: reads what is new, updates the saved state, and writes what changed to every output.
///
/// # Errors
/// A mistake in the program (`Invalid`, before anything runs), rows that cannot be read (`Input`), damaged state
/// (`Data`), state in use (`Locked`) or of another program (`Changed`), a failing disk (`Unavailable`). After an error
/// the saved state is as the last checkpoint left it, and the run can be started again.
pub fn run<O: Into<Output>>(outputs: impl IntoIterator<Item = O>, options: &RunOptions) -> Result<Summary> {
    let sinks = outputs.into_iter().map(|output| output.into().declare()).collect::<Result<Vec<SinkDecl>>>();
    let cluster = options.cluster.clone().map_or_else(Cluster::from_env, Ok)?;
    let _running = Running::begin()?;
    if cluster.process() > 0 {
        // Process 0 shows the run.
        return sinks.and_then(|sinks| lower(sinks, options.on_error())).and_then(|plan| driver::run(plan, options));
    }
    let _run = tracing::info_span!("run").entered();
    let state = options.state.as_ref().and_then(Backend::path);
    let report = places::report_path(options.report.as_ref());
    let conflict = places::conflict(sinks.as_deref().unwrap_or_default(), state, report.as_deref());
    let conflict = match conflict {
        // Nothing is written there, not even what is wrong with it.
        Some(conflict) if conflict.is_report => return Err(conflict.error),
        conflict => places::refuse(conflict),
    };
    let observers = Observers::start(options)?;
    let outcome = conflict.and(sinks).and_then(|sinks| {
        let look = options.look.clone().unwrap_or_else(|| Arc::new(FileSystem));
        let guard = Guard::new(look, sinks.clone(), state, report.as_deref());
        let options = RunOptions { look: Some(Arc::new(guard)), ..options.clone() };
        driver::run(lower(sinks, options.on_error())?, &options)
    });
    let outcome = observers.finish(outcome);
    if options.summary {
        match &outcome {
            Ok(summary) => summary.print(&options.monitor),
            // A service ends in no other way.
            Err(error) if error.kind() == ErrorKind::Interrupted => {
                if let Some(seen) = options.monitor.snapshot() {
                    Summary { stopped: true, ..Summary::from(seen) }.print(&options.monitor);
                }
            }
            Err(_) => {}
        }
    }
    outcome
}
