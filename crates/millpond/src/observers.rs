//! All that looks at a run from outside, from before its program is checked until after its end.

use std::io::Write;
use std::time::Duration;

use millpond_error::Result;
use tracing::{error, info};

use crate::monitor::{HttpAddress, HttpServer, Monitor, Monitoring, Report, Terminal};
use crate::options::RunOptions;
use crate::places::report_path;
use crate::summary::Summary;

/// What looks at one run.
pub(crate) struct Observers {
    monitor: Monitor,
    report: Option<Report>,
    server: Option<HttpServer>,
    terminal: Option<Terminal>,
}

/// Results that wait so long for a checkpoint, or for ten times the rhythm of checkpoints, are a failure.
const OVERDUE: Duration = Duration::from_secs(60);

impl Observers {
    /// Starts whatever the options and the environment ask for.
    pub(crate) fn start(options: &RunOptions) -> Result<Self> {
        let named = report_path(options.report.as_ref());
        let report = named.map(|path| Report::to(&path)).transpose()?;
        let monitor = options.monitor.clone();
        monitor.look_at(None);
        let address = match (options.http, std::env::var("MILLPOND_HTTP")) {
            (Some(address), _) => Some(address),
            (None, Ok(text)) if !text.is_empty() => {
                Some(text.parse::<HttpAddress>().map_err(|e| e.context("MILLPOND_HTTP"))?)
            }
            (None, _) => None,
        };
        let overdue = OVERDUE.max(10 * options.checkpoint_every);
        let server = address.map(|address| HttpServer::start(address, monitor.clone(), overdue)).transpose()?;
        if let Some(server) = server.as_ref().filter(|_| options.monitoring != Monitoring::None) {
            let _ = writeln!(std::io::stderr(), "millpond: metrics at http://{}/metrics", server.address());
        }
        let terminal = Terminal::start(options.monitoring, monitor.clone())?;
        Ok(Observers { monitor, report, server, terminal })
    }

    /// Ends with the run. An error of the run goes before one of the report.
    pub(crate) fn finish(mut self, outcome: Result<Summary>) -> Result<Summary> {
        self.terminal = None;
        self.server = None;
        if let Some(meters) = self.monitor.meters() {
            meters.end();
        }
        match &outcome {
            Ok(_) => info!("run ended"),
            Err(error) => error!(kind = error.kind().name(), "run failed: {error}"),
        }
        let written = self
            .report
            .map_or(Ok(()), |report| report.write(outcome.as_ref().map(|summary| summary.stopped), &self.monitor));
        let summary = outcome?;
        written.map(|()| summary)
    }
}
