//! All that looks at a run from outside, from before its program is checked until after its end.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use millpond_error::Result;

use super::Monitor;
use super::report::Report;
use crate::run::RunOptions;

/// What looks at one run.
pub struct Observers {
    monitor: Monitor,
    interrupt: Option<Arc<AtomicBool>>,
    report: Option<Report>,
}

impl Observers {
    /// Starts whatever the options and the environment ask for.
    pub fn start(options: &RunOptions) -> Result<Self> {
        let named = options.report.clone().or_else(|| named_by("MILLPOND_REPORT"));
        let report = named.map(|path| Report::to(&path)).transpose()?;
        options.monitor.look_at(None);
        Ok(Observers { monitor: options.monitor.clone(), interrupt: options.interrupt.clone(), report })
    }

    /// Ends with the run. An error of the run goes before one of the report.
    pub fn finish<T>(self, outcome: Result<T>) -> Result<T> {
        if let Some(meters) = self.monitor.meters() {
            meters.end();
        }
        let stopped = self.interrupt.is_some_and(|flag| flag.load(Ordering::Relaxed));
        let written = self.report.map_or(Ok(()), |report| report.write(&outcome, stopped, &self.monitor));
        let value = outcome?;
        written.map(|()| value)
    }
}

/// The path in an environment variable, if there is one.
fn named_by(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|text| !text.is_empty()).map(PathBuf::from)
}
