//! Running a program while the interpreter is free, and stopping it when the user asks.

use std::path::PathBuf;
use std::time::Duration;

use millpond::{Backend, Monitor, Monitoring, RunOptions, Summary, memory_limit};
use millpond_plan::SinkDecl;
use pyo3::prelude::*;
use serde_json::json;

use crate::errors::raise;
use crate::interrupt::{Ended, interruptible};
use crate::io::PySink;
use crate::stops::{Signals, Stops};

/// What a run has to say: its number among several processes, its notices, its line of summary, and its numbers as
/// JSON, which is read only when somebody asks for them.
type Did = (usize, Vec<String>, String, String);

/// What the program that saved its state at this path does.
#[pyfunction]
pub(crate) fn explain_state(py: Python<'_>, path: PathBuf) -> PyResult<String> {
    py.detach(|| Backend::filesystem(path)?.explain()).map_err(raise)
}

/// Runs the program that writes these sinks; returns what it did, or, if it was left behind, why. `asked` is a function
/// that says whether the program wants it to end.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "the options of `run`, of which the package knows the names")]
pub(crate) fn run(
    py: Python<'_>,
    sinks: Vec<PyRef<'_, PySink>>,
    state: Option<PathBuf>,
    workers: Option<usize>,
    memory_limit: Option<&str>,
    checkpoint_every_ms: Option<u64>,
    terminate_on_error: bool,
    monitoring: &str,
    report: Option<PathBuf>,
    http: Option<&str>,
    signals: Py<Signals>,
    asked: Option<Py<PyAny>>,
) -> PyResult<(Option<Did>, Option<String>)> {
    let sinks: Vec<SinkDecl> = sinks.iter().map(|sink| sink.0.clone()).collect();
    let monitoring = match monitoring {
        "NONE" => Monitoring::None,
        "AUTO_ALL" => Monitoring::AutoAll,
        "IN_OUT" => Monitoring::InOut,
        "ALL" => Monitoring::All,
        _ => Monitoring::Auto,
    };
    let http = http.map(str::parse).transpose().map_err(raise)?;
    let memory_limit = memory_limit.map(|text| memory_limit::parse("memory_limit", text)).transpose().map_err(raise)?;
    let monitor = Monitor::default();
    let seen = monitor.clone();
    let ended = interruptible(py, &Stops { signals, asked }, move |stop| {
        let state = state.map(Backend::filesystem).transpose()?;
        let mut options = RunOptions {
            state,
            workers,
            memory_limit,
            summary: false,
            stop,
            monitor,
            monitoring,
            report,
            http,
            terminate_on_error,
            ..RunOptions::default()
        };
        if let Some(ms) = checkpoint_every_ms {
            options.checkpoint_every = Duration::from_millis(ms);
        }
        millpond::run(sinks, &options)
    })?;
    let summary = match ended {
        Ended::Done(summary) => summary,
        Ended::Stopped => Summary { stopped: true, ..seen.snapshot().map(Summary::from).unwrap_or_default() },
        Ended::Left(reason) => return Ok((None, Some(reason))),
    };
    let numbers = numbers(&summary);
    let notices = if seen.has_told_notices() { Vec::new() } else { summary.notices.clone() };
    Ok((Some((summary.process, notices, summary.to_string(), numbers)), None))
}

fn numbers(summary: &Summary) -> String {
    let numbers = json!({
        "process": summary.process,
        "stopped": summary.stopped,
        "elapsed_s": summary.elapsed.as_secs_f64(),
        "files_new": summary.files_new,
        "files_changed": summary.files_changed,
        "files_unchanged": summary.files_unchanged,
        "rows_read": summary.rows_read,
        "rows_rejected": summary.rows_rejected,
        "changes_written": summary.changes_written,
        "current_rows": summary.current_rows,
        "late_rows": summary.late_rows(),
        "windows_closed": summary.windows_closed(),
        "epochs": summary.epochs,
        "checkpoints": summary.checkpoints,
        "notices": summary.notices,
        "sources": summary.sources,
        "steps": summary.steps,
        "outputs": summary.outputs,
    });
    numbers.to_string()
}
