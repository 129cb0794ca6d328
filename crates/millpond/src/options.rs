//! How a program runs, and where its state is.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use millpond_engine::memory::Memory;
use millpond_error::{Error, Result};
use millpond_io::files::list::Look;
use millpond_plan::OnError;
use millpond_store::{Disk, LocalDisk, Scratch};

use crate::cluster::Cluster;
use crate::memory_limit;
use crate::monitor::{HttpAddress, Monitor, Monitoring};
use crate::stop::Stop;

/// Where saved state lives.
#[derive(Clone, Debug)]
pub struct Backend {
    disk: Arc<dyn Disk>,
    /// Of a directory of the local file system.
    path: Option<PathBuf>,
}

impl Backend {
    /// A directory of a local file system; made, with mode 0700, by the first run.
    ///
    /// # Errors
    /// `Invalid`, if the path cannot be made absolute. Touches no disk.
    pub fn filesystem(path: impl AsRef<Path>) -> Result<Self> {
        let disk = LocalDisk::private(&path)?;
        Ok(Backend { disk: Arc::new(disk), path: Some(path.as_ref().to_owned()) })
    }

    /// Any disk, such as a simulated one.
    pub fn disk(disk: Arc<dyn Disk>) -> Self {
        Backend { disk, path: None }
    }

    pub(crate) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    pub(crate) fn as_disk(&self) -> Arc<dyn Disk> {
        self.disk.clone()
    }
}

/// How a program runs.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Where state is saved; without it every run starts from nothing.
    pub state: Option<Backend>,
    /// The number of worker threads; by default `MILLPOND_WORKERS`, or else one for each core. Results do not depend
    /// on it.
    pub workers: Option<usize>,
    /// About how many bytes of memory the process may take; by default what `MILLPOND_MEMORY` says (`150MB`, `2GiB`),
    /// or else half of the machine's, or of the control group's, divided by the processes of the run on this machine.
    /// What does not fit waits in scratch files, which have no name and are gone when the process ends, in the
    /// directory that `MILLPOND_SCRATCH` names, or else in that of the state, or of temporary files.
    pub memory_limit: Option<u64>,
    /// Whether to print one line of summary to standard error; notices and the line go nowhere else.
    pub summary: bool,
    /// Stops the run from outside.
    pub stop: Stop,
    /// The time between checkpoints inside a run of many epochs; they are written while the next epochs run, unless it
    /// is zero: then there is one after each epoch. The end of a run always is a checkpoint.
    pub checkpoint_every: Duration,
    /// The processes that run the program together; by default those that the environment names
    /// ([`Cluster::from_env`]).
    pub cluster: Option<Cluster>,
    /// Where the report of the run goes, as JSON, also if it fails; by default to the file that `MILLPOND_REPORT`
    /// names, if it names one.
    pub report: Option<PathBuf>,
    /// Shows the numbers of the run to whoever has a clone.
    pub monitor: Monitor,
    /// What the run shows of itself on standard error while it goes on.
    pub monitoring: Monitoring,
    /// Where the run serves `/metrics` for Prometheus and `/healthz`; by default at the address that `MILLPOND_HTTP`
    /// names, if it names one. An address that other machines can reach needs a token in `MILLPOND_HTTP_TOKEN`.
    pub http: Option<HttpAddress>,
    /// Whether the run ends for an error value in a row that reaches an output, or that decides where a row goes: a
    /// key, a time, a predicate. Otherwise it goes on; see [`RunOptions::terminate_on_error`].
    pub terminate_on_error: bool,
    /// Looks at the files of all sources, for tests: they say what time it is, and what is there.
    #[doc(hidden)]
    pub look: Option<Arc<dyn Look>>,
    /// The memory for the rows, for tests.
    #[doc(hidden)]
    pub memory: Option<Arc<Memory>>,
}

impl Default for RunOptions {
    fn default() -> Self {
        RunOptions {
            state: None,
            workers: None,
            memory_limit: None,
            summary: true,
            stop: Stop::default(),
            checkpoint_every: Duration::from_secs(1),
            cluster: None,
            report: None,
            monitor: Monitor::default(),
            monitoring: Monitoring::default(),
            http: None,
            terminate_on_error: true,
            look: None,
            memory: None,
        }
    }
}

impl RunOptions {
    /// Saves state in `backend`, and goes on from what is saved there.
    #[must_use]
    pub fn state(mut self, backend: Backend) -> Self {
        self.state = Some(backend);
        self
    }

    /// Whether the run ends for an error value, such as a division by zero.
    ///
    /// A run that goes on leaves such a cell empty in its outputs, or null. A row is left out where an error decides
    /// whether it is in: as a predicate, as the time of a window, as what identifies it, as what it is joined by. The
    /// rows of which a key of a group is an error are one group. [`Table::error_log`](crate::Table::error_log) is the
    /// table of all errors. The same state serves both.
    #[must_use]
    pub fn terminate_on_error(mut self, terminate: bool) -> Self {
        self.terminate_on_error = terminate;
        self
    }

    pub(crate) fn on_error(&self) -> OnError {
        if self.terminate_on_error { OnError::Terminate } else { OnError::Continue }
    }

    /// Saves state in the directory at `path`, and goes on from what is saved there: short for [`RunOptions::state`]
    /// with [`Backend::filesystem`].
    ///
    /// ```
    /// use millpond::RunOptions;
    ///
    /// let options = RunOptions::default().state_at("state/")?;
    /// # Ok::<(), millpond::Error>(())
    /// ```
    ///
    /// # Errors
    /// As of [`Backend::filesystem`].
    pub fn state_at(self, path: impl AsRef<Path>) -> Result<Self> {
        Ok(self.state(Backend::filesystem(path)?))
    }

    /// Uses this number of worker threads.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// Takes about so many bytes of memory at most; see [`RunOptions::memory_limit`](#structfield.memory_limit).
    #[must_use]
    pub fn memory_limit(mut self, bytes: u64) -> Self {
        self.memory_limit = Some(bytes);
        self
    }

    /// Writes a report of the run to this file.
    #[must_use]
    pub fn report(mut self, path: impl Into<PathBuf>) -> Self {
        self.report = Some(path.into());
        self
    }

    /// Shows the numbers of the run to `monitor` and its clones.
    #[must_use]
    pub fn monitor(mut self, monitor: Monitor) -> Self {
        self.monitor = monitor;
        self
    }

    /// Shows this much of the run on standard error while it goes on.
    #[must_use]
    pub fn monitoring(mut self, monitoring: Monitoring) -> Self {
        self.monitoring = monitoring;
        self
    }

    /// Serves `/metrics` and `/healthz` at this address while the run goes on.
    #[must_use]
    pub fn http(mut self, address: HttpAddress) -> Self {
        self.http = Some(address);
        self
    }

    /// Ends the run when `stop`, or a clone of it, is requested.
    #[must_use]
    pub fn stop(mut self, stop: Stop) -> Self {
        self.stop = stop;
        self
    }

    /// Prints nothing.
    #[must_use]
    pub fn quiet(mut self) -> Self {
        self.summary = false;
        self.monitoring = Monitoring::None;
        self
    }

    /// The memory for the rows of one of so many processes on this machine.
    pub(crate) fn rows_memory(&self, processes: usize) -> Result<Arc<Memory>> {
        if let Some(memory) = &self.memory {
            return Ok(memory.clone());
        }
        let limit = match (self.memory_limit, std::env::var("MILLPOND_MEMORY").map(|text| text.trim().to_owned())) {
            (Some(limit), _) => memory_limit::check("memory_limit", limit)?,
            (None, Ok(text)) if !text.is_empty() => memory_limit::parse("MILLPOND_MEMORY", &text)?,
            (None, _) => memory_limit::usual(processes),
        };
        let scratch = Scratch::from_env(self.state.as_ref().and_then(Backend::path));
        Ok(Arc::new(Memory::of_process(limit, self.worker_count()?, scratch)))
    }

    /// Says whether the user wants the run to end in the midst of an epoch. A service, which has no end of its own,
    /// finishes the epoch first.
    pub(crate) fn interrupts(&self, endless: bool) -> Box<dyn Fn() -> bool + Send + Sync> {
        let stop = (!endless).then(|| self.stop.clone());
        Box::new(move || stop.as_ref().is_some_and(Stop::is_requested))
    }

    pub(crate) fn worker_count(&self) -> Result<usize> {
        self.worker_count_by(std::env::var("MILLPOND_WORKERS").ok())
    }

    /// As [`RunOptions::worker_count`]; `variable` is what the environment says.
    fn worker_count_by(&self, variable: Option<String>) -> Result<usize> {
        let named = match (self.workers, variable) {
            (Some(workers), _) => Some(workers),
            (None, Some(text)) => Some(text.trim().parse().map_err(|_| {
                Error::invalid(format!("MILLPOND_WORKERS: \"{text}\" is not a number of worker threads"))
                    .with_hint("such as MILLPOND_WORKERS=4")
            })?),
            (None, None) => None,
        };
        match named {
            Some(workers @ 1..=256) => Ok(workers),
            Some(workers) => Err(Error::invalid(format!("workers must be from 1 to 256, not {workers}"))),
            None => Ok(std::thread::available_parallelism().map_or(1, |cores| cores.get().min(256))),
        }
    }
}

#[cfg(test)]
mod tests {
    use millpond_error::ErrorKind;

    use super::*;

    #[test]
    fn a_run_has_from_1_to_256_workers() {
        let count = |workers, variable: Option<&str>| {
            RunOptions { workers, ..RunOptions::default() }.worker_count_by(variable.map(str::to_owned))
        };
        let cases = [
            (Some(0), None, "workers must be from 1 to 256, not 0"),
            (None, Some("257"), "workers must be from 1 to 256, not 257"),
            (
                None,
                Some("many"),
                "MILLPOND_WORKERS: \"many\" is not a number of worker threads\nhint: such as MILLPOND_WORKERS=4",
            ),
        ];
        for (workers, variable, text) in cases {
            let error = count(workers, variable).unwrap_err();
            assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Invalid, text));
        }
        assert_eq!(count(None, Some(" 4 ")).unwrap(), 4);
        assert_eq!(count(Some(256), Some("many")).unwrap(), 256);
        assert!(count(None, None).unwrap() >= 1);
    }
}
