//! Work that goes on while the interpreter is free, and ends when the user asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use millpond::Stop;
use millpond::feed::grace;
use millpond_error::{Error, ErrorKind, Result};
use pyo3::prelude::*;
use pyo3::types::PyCFunction;

use crate::calls::{Calls, Watch};
use crate::errors::raise;
use crate::logging;
use crate::stops::Stops;

/// How long a signal may wait for its effect.
const SIGNAL_POLL: Duration = Duration::from_millis(50);

/// How a run ended, as far as the thread knows that waited for it.
pub(crate) enum Ended<T> {
    /// By itself.
    Done(T),
    /// On request, and at once.
    Stopped,
    /// It has not; it was left behind, for this reason.
    Left(String),
}

/// Does `work` on a thread of its own, without the interpreter, while this thread looks at what asks it to end:
/// signals, a handler of the program that raises (its exception is passed on once `work` has ended), and `stops.asked`.
///
/// Told to end, `work` is waited for as long as it takes, with two exceptions: a second signal, and a function of the
/// program that does not return. Then the thread is left behind.
pub(crate) fn interruptible<T: Send + 'static>(
    py: Python<'_>,
    stops: &Stops,
    work: impl FnOnce(Stop) -> Result<T> + Send + 'static,
) -> PyResult<Ended<T>> {
    logging::begin(py)?;
    let grace = grace().map_err(raise)?;
    let stop = Stop::new();
    let was_asked = stops.is_asked(py)?;
    if was_asked {
        stop.request();
    }
    let calls = Arc::new(Calls::default());
    let mut watch = Watch::new(calls.clone());
    let running = Arc::new(AtomicBool::new(true));
    let (told, runs) = (stop.clone(), running.clone());
    let (done, mut outcome) = mpsc::sync_channel(1);
    let body = move || {
        let outcome = Calls::of_thread(calls, || work(told));
        runs.store(false, Ordering::Release);
        // Nobody listens any more to one that was left behind.
        let _ = done.send(outcome);
    };
    thread::Builder::new()
        .name("millpond".to_owned())
        .spawn(body)
        .map_err(|error| raise(Error::unavailable(format!("no thread to run on: {error}"))))?;

    let mut raised: Option<PyErr> = None;
    // How often the end was asked for by somebody who asks twice if he is in a hurry.
    let mut exceptions = 0;
    let mut asked_at = None;
    let mut is_asked = was_asked;
    loop {
        let outcome = &mut outcome;
        let waited = py.detach(move || outcome.recv_timeout(SIGNAL_POLL));
        let mut see = |outcome: PyResult<()>| {
            if let Err(exception) = outcome
                // What a signal has raised in a function of the program is the signal.
                && stops.first().is_none()
            {
                exceptions += 1;
                raised.get_or_insert(exception);
            }
        };
        if asked_at.is_none() {
            see(stops.call(|| logging::hand_on(py)));
        } else if !matches!(waited, Err(RecvTimeoutError::Timeout)) {
            last_words(py, stops, grace)?;
        }
        match waited {
            Ok(Err(error)) if error.kind() != ErrorKind::Interrupted => return Err(raise(error)),
            Ok(result) => {
                return raised.map_or_else(|| Ok(result.map_or(Ended::Stopped, Ended::Done)), Err);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(raise(
                    Error::unavailable("the run ended by a defect of Millpond")
                        .with_hint("please report it with the text above"),
                ));
            }
        }
        see(py.check_signals());
        is_asked |= stops.is_asked(py).unwrap_or_else(|exception| {
            see(Err(exception));
            true
        });
        let hurry = stops.count().max(exceptions);
        if is_asked || hurry > 0 {
            stop.request();
            asked_at.get_or_insert_with(Instant::now);
        }
        let call = watch.look();
        let is_stuck = |(_, since): &(_, Instant)| asked_at.is_some_and(|at| since.max(&at).elapsed() >= grace);
        let reason = match call {
            Some(call) if is_stuck(&call) => {
                let (function, grace_s) = (call.0.describe(py), grace.as_secs_f64());
                format!("{function} did not return within {grace_s} s after the run was told to end")
            }
            Some((function, _)) if hurry > 1 => {
                format!("ended at once by a second signal, in {}", function.describe(py).trim_end_matches(','))
            }
            None if hurry > 1 => "ended at once by a second signal".to_owned(),
            _ => continue,
        };
        leave_behind(py, stops, &reason, running)?;
        return raised.map_or(Ok(Ended::Left(reason)), Err);
    }
}

/// Hands the last events to `logging` after the end was asked for. A handler of the program that does not return is
/// left behind, too.
fn last_words(py: Python<'_>, stops: &Stops, grace: Duration) -> PyResult<()> {
    let running = Arc::new(AtomicBool::new(true));
    let runs = running.clone();
    let (done, ended) = mpsc::sync_channel(1);
    let hand_on = move || {
        let outcome = Python::attach(logging::hand_on);
        runs.store(false, Ordering::Release);
        let _ = done.send(outcome);
    };
    if thread::Builder::new().name("millpond:logging".to_owned()).spawn(hand_on).is_err() {
        return Ok(());
    }
    match py.detach(move || ended.recv_timeout(grace)) {
        Ok(outcome) => outcome,
        Err(_) => {
            let reason = format!("a handler of logging did not return within {} s", grace.as_secs_f64());
            leave_behind(py, stops, &reason, running)
        }
    }
}

/// Says why a thread is not waited for any more.
fn leave_behind(py: Python<'_>, stops: &Stops, reason: &str, running: Arc<AtomicBool>) -> PyResult<()> {
    let code = stops.first().map_or(ErrorKind::Unavailable.exit_code(), |signal| 128 + signal);
    let is_running = PyCFunction::new_closure(py, None, None, move |_, _| running.load(Ordering::Acquire))?;
    py.import("millpond._stops")?.getattr("leave_behind")?.call1((reason, code, is_running)).map(drop)
}
