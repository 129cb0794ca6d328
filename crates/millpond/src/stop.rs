//! A request to end a run, made from outside it.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use millpond_error::{ErrorKind, Result};
use millpond_io::feed::grace;
use parking_lot::{Mutex, MutexGuard};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::lacking::lacking;

/// Stops runs from any thread: give it to [`RunOptions::stop`](crate::RunOptions::stop), and keep a clone.
///
/// A static run ends at once with an `Interrupted` error, and what it had not finished is done by the next one; a
/// streaming run finishes its epoch, saves its state and ends well. A request that comes before the run has begun
/// counts, too.
///
/// ```
/// use std::thread;
/// use millpond::{RunOptions, Stop, Type, csv, run};
///
/// # fn main() -> millpond::Result<()> {
/// # let folder = tempfile::tempdir().unwrap();
/// # std::env::set_current_dir(&folder).unwrap();
/// # std::fs::create_dir("logs").unwrap();
/// # std::fs::write("logs/one.csv", "user\nann\n").unwrap();
/// let visits = csv::read("logs/", [("user", Type::Str)]).streaming(csv::Streaming::default()).table();
/// let output = csv::write(&visits, "visits.csv");
/// let stop = Stop::new();
/// let options = RunOptions::default().quiet().stop(stop.clone());
/// let running = thread::spawn(move || run([output], &options));
/// stop.request();
/// assert!(running.join().unwrap()?.stopped);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// A stop that nobody has requested.
    pub fn new() -> Self {
        Stop::default()
    }

    /// Asks every run that has this stop, or will have it, to end.
    pub fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether somebody has asked; in a program of [`main`] also whether a signal has.
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::Relaxed) || Signals::received().is_some()
    }
}

/// The flag is the request, whoever sets it.
impl From<Arc<AtomicBool>> for Stop {
    fn from(flag: Arc<AtomicBool>) -> Self {
        Stop(flag)
    }
}

/// Runs a program and ends it as `docs/errors.md` says: an error is shown on standard error, and its kind is the exit
/// code.
///
/// While a run goes on, SIGINT (Ctrl-C) and SIGTERM stop it, and the exit code is 130 or 143; a second signal ends the
/// program at once, and so does a [subscriber](crate::connector::subscribe) that has not returned within
/// `MILLPOND_GRACE_S` seconds (5): as after a kill, nothing is lost. When no run goes on they do what they always do.
///
/// (A `main` that returns a `Result` itself ends with exit code 1 after any error: the standard library says so.)
///
/// ```
/// use std::process::ExitCode;
///
/// fn main() -> ExitCode {
///     millpond::main(program)
/// }
///
/// fn program() -> millpond::Result<()> {
///     // Build tables, and run them.
///     Ok(())
/// }
/// ```
pub fn main(program: impl FnOnce() -> Result<()>) -> ExitCode {
    Signals::install();
    let outcome = program();
    let code = match &outcome {
        Err(error) if error.kind() != ErrorKind::Interrupted => {
            eprintln!("{error}");
            error.kind().exit_code()
        }
        _ => match (Signals::received(), outcome) {
            (Some(signal), _) => 128 + signal,
            (None, Ok(())) => 0,
            (None, Err(error)) => error.kind().exit_code(),
        },
    };
    u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// The signals that stop the runs of a program of [`main`].
pub(crate) struct Signals {
    /// The one that came first; 0 before that.
    received: Arc<AtomicUsize>,
    /// Whether the next one ends the process: no run goes on, or one was told to end already.
    deadly: Arc<AtomicBool>,
    runs: Mutex<usize>,
}

static SIGNALS: OnceLock<Signals> = OnceLock::new();

impl Signals {
    fn install() {
        if SIGNALS.get().is_some() {
            return;
        }
        let signals =
            Signals { received: Arc::default(), deadly: Arc::new(AtomicBool::new(true)), runs: Mutex::default() };
        let Signals { received, deadly, .. } = &signals;
        let registered = [SIGINT, SIGTERM].into_iter().try_for_each(|signal| {
            // In this order: what is deadly now is looked at before this signal makes the next one deadly.
            flag::register_conditional_default(signal, deadly.clone())?;
            flag::register_usize(signal, received.clone(), signal as usize)?;
            flag::register(signal, deadly.clone()).map(drop)
        });
        registered.expect("a process may listen to these signals");
        let _ = SIGNALS.set(signals);
    }

    fn received() -> Option<i32> {
        let number = SIGNALS.get()?.received.load(Ordering::Relaxed);
        (number > 0).then_some(number as i32)
    }
}

/// The functions of the program that are being called, each since when.
static CALLS: Mutex<Vec<(String, Instant)>> = Mutex::new(Vec::new());

fn calls() -> MutexGuard<'static, Vec<(String, Instant)>> {
    CALLS.lock()
}

/// Calls a function of the program, which a run that is told to end does not wait for for ever. `role` is what it is
/// there for, such as `on_epoch of "prices"`.
pub(crate) fn calling<T>(role: &str, call: impl FnOnce() -> T) -> T {
    struct Called(Instant);
    impl Drop for Called {
        fn drop(&mut self) {
            calls().retain(|(_, since)| *since != self.0);
        }
    }
    let called = Called(Instant::now());
    calls().push((role.to_owned(), called.0));
    call()
}

/// Ends the process once a signal has come and a function of the program does not return.
fn watch_calls(running: &AtomicBool, grace: Duration) {
    const POLL: Duration = Duration::from_millis(50);
    let mut told_at = None;
    while running.load(Ordering::Relaxed) {
        thread::sleep(POLL);
        let Some(signal) = Signals::received() else { continue };
        let told_at = *told_at.get_or_insert_with(Instant::now);
        let is_stuck = |(_, since): &&(String, Instant)| told_at.max(*since).elapsed() >= grace;
        if let Some((role, _)) = calls().iter().find(is_stuck) {
            let grace_s = grace.as_secs_f64();
            eprintln!("millpond: {role} did not return within {grace_s} s after the run was told to end");
            std::process::exit(128 + signal);
        }
    }
}

/// As long as it lives, a run goes on that signals stop.
pub(crate) struct Running(Arc<AtomicBool>);

impl Running {
    pub(crate) fn begin() -> Result<Self> {
        let running = Running(Arc::new(AtomicBool::new(true)));
        if SIGNALS.get().is_some() {
            let (goes_on, grace) = (running.0.clone(), grace()?);
            let watching = thread::Builder::new().name("millpond:signals".to_owned());
            let watching = watching.spawn(move || watch_calls(&goes_on, grace));
            watching.map_err(|error| lacking("no thread to listen to signals", error))?;
        }
        Running::count(|runs| runs + 1);
        Ok(running)
    }

    fn count(change: impl FnOnce(usize) -> usize) {
        let Some(signals) = SIGNALS.get() else { return };
        let mut runs = signals.runs.lock();
        *runs = change(*runs);
        signals.deadly.store(*runs == 0, Ordering::Relaxed);
        if Signals::received().is_some() {
            signals.deadly.store(true, Ordering::Relaxed);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
        Running::count(|runs| runs.saturating_sub(1));
    }
}
