//! Running a program while the interpreter is free, and stopping it when the user asks.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use millpond::{Backend, Monitoring, RunOptions};
use millpond_error::{Error, Result};
use millpond_plan::SinkDecl;
use pyo3::prelude::*;

use crate::errors::raise;
use crate::io::PySink;
use crate::logging;

/// How long a signal may wait for Python's handler.
const SIGNAL_POLL: Duration = Duration::from_millis(50);

/// Runs the program that writes these sinks; returns what it has to say, the summary last.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "the options of `run`, of which the package knows the names")]
pub fn run(
    py: Python<'_>,
    sinks: Vec<PyRef<'_, PySink>>,
    state: Option<PathBuf>,
    workers: Option<usize>,
    checkpoint_every_ms: Option<u64>,
    monitoring: &str,
    report: Option<PathBuf>,
    http: Option<&str>,
) -> PyResult<Vec<String>> {
    let sinks: Vec<SinkDecl> = sinks.iter().map(|sink| sink.0.clone()).collect();
    let monitoring = match monitoring {
        "NONE" => Monitoring::None,
        "AUTO_ALL" => Monitoring::AutoAll,
        "IN_OUT" => Monitoring::InOut,
        "ALL" => Monitoring::All,
        _ => Monitoring::Auto,
    };
    let http = http.map(str::parse).transpose().map_err(raise)?;
    interruptible(py, move |stop| {
        let state = state.map(Backend::filesystem).transpose()?;
        let interrupt = Some(stop);
        let mut options =
            RunOptions { state, workers, summary: false, interrupt, monitoring, report, http, ..RunOptions::default() };
        if let Some(ms) = checkpoint_every_ms {
            options.checkpoint_every = Duration::from_millis(ms);
        }
        let summary = millpond::run(sinks, &options)?;
        if summary.process > 0 {
            return Ok(Vec::new());
        }
        let notices = summary.notices.iter().map(|notice| format!("millpond: {notice}"));
        Ok(notices.chain([summary.to_string()]).collect())
    })
}

/// Does `work` on a thread of its own, without the interpreter, while this thread lets Python handle signals. When a
/// handler raises (Ctrl-C), `work` is told by the flag that it is given, and the exception is passed on once `work` has
/// ended.
pub fn interruptible<T: Send + 'static>(
    py: Python<'_>,
    work: impl FnOnce(Arc<AtomicBool>) -> Result<T> + Send + 'static,
) -> PyResult<T> {
    logging::begin(py)?;
    let stop = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stop);
    let (done, mut outcome) = mpsc::sync_channel(1);
    thread::Builder::new()
        .name("millpond".to_owned())
        .spawn(move || {
            // Somebody listens until the work has ended.
            let _ = done.send(work(told));
        })
        .map_err(|error| raise(Error::unavailable(format!("no thread to run on: {error}"))))?;

    let mut raised = None;
    loop {
        let outcome = &mut outcome;
        let waited = py.detach(move || outcome.recv_timeout(SIGNAL_POLL));
        if let Err(exception) = logging::hand_on(py) {
            stop.store(true, Ordering::Relaxed);
            raised.get_or_insert(exception);
        }
        match waited {
            Ok(result) => return raised.map_or_else(|| result.map_err(raise), Err),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(raise(
                    Error::unavailable("the run ended by a defect of Millpond")
                        .with_hint("please report it with the text above"),
                ));
            }
        }
        if let Err(exception) = py.check_signals() {
            stop.store(true, Ordering::Relaxed);
            raised.get_or_insert(exception);
        }
    }
}
