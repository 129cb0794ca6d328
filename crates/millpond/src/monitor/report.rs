//! The report of a run: one JSON document, written as a whole when the run ends, well or not.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use millpond_error::{Error, ErrorKind, Result};
use millpond_io::sink::resolve;
use serde::Serialize;

use super::Monitor;
use super::snapshot::{RunSnapshot, SinkSnapshot, SourceSnapshot, StepSnapshot};

/// What the schema is called.
const SCHEMA: &str = "millpond.run-report";
/// The version of the schema. New fields may be added to a version; a field that goes or changes its meaning makes a
/// new one.
const VERSION: u32 = 1;

/// Where the report goes.
#[derive(Debug)]
pub(crate) struct Report {
    path: PathBuf,
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    version: u32,
    /// The version of Millpond.
    millpond: &'static str,
    /// `finished`: all input was read; `stopped`: on request, before that; `failed`.
    status: &'static str,
    error: Option<Failure<'a>>,
    notices: Vec<String>,
    /// `null`, if the program was refused before it ran.
    run: Option<RunSnapshot>,
    sources: Vec<SourceSnapshot>,
    steps: Vec<StepSnapshot>,
    outputs: Vec<SinkSnapshot>,
}

#[derive(Serialize)]
struct Failure<'a> {
    kind: &'static str,
    message: &'a str,
    hint: Option<&'a str>,
    /// The place in the program.
    origin: Option<String>,
}

impl Report {
    /// A report to the file at `path`.
    ///
    /// # Errors
    /// `Invalid`, if there is no folder to write it to: better known before a long run than after it.
    pub(crate) fn to(path: &Path) -> Result<Self> {
        let folder = folder_of(path);
        if path.file_name().is_none() || path.is_dir() {
            return Err(Error::invalid(format!("report: \"{}\" is not the name of a file", path.display())));
        }
        if !folder.is_dir() {
            return Err(Error::invalid(format!("report: there is no folder \"{}\"", folder.display())));
        }
        resolve(path).map_err(|error| error.context("report"))?;
        // A program may change its working directory.
        Ok(Report { path: std::path::absolute(path).unwrap_or_else(|_| path.to_owned()) })
    }

    /// Writes what has come of the run that `monitor` looks at: whether it was stopped before the end, or its error.
    pub(crate) fn write(&self, outcome: std::result::Result<bool, &Error>, monitor: &Monitor) -> Result<()> {
        let error = outcome.err();
        let meters = monitor.meters();
        let snapshot = meters.as_ref().map(|meters| meters.snapshot());
        let (run, sources, steps, outputs) = match snapshot {
            Some(seen) => (Some(seen.run), seen.sources, seen.steps, seen.outputs),
            None => Default::default(),
        };
        let document = Document {
            schema: SCHEMA,
            version: VERSION,
            millpond: env!("CARGO_PKG_VERSION"),
            status: match error.map(Error::kind) {
                None if outcome.is_ok_and(|stopped| stopped) => "stopped",
                None => "finished",
                Some(ErrorKind::Interrupted) => "stopped",
                Some(_) => "failed",
            },
            error: error.map(|error| Failure {
                kind: error.kind().name(),
                message: error.message(),
                hint: error.hint(),
                origin: error.origin().map(ToString::to_string),
            }),
            notices: meters.map(|meters| meters.notices()).unwrap_or_default(),
            run,
            sources,
            steps,
            outputs,
        };
        let mut text = serde_json::to_vec_pretty(&document).expect("plain data always has a JSON form");
        text.push(b'\n');
        self.replace(&text).map_err(|error| {
            Error::unavailable(format!("{}: the report cannot be written: {error}", self.path.display()))
        })
    }

    /// Puts a file with this text into the place of what is there.
    fn replace(&self, text: &[u8]) -> std::io::Result<()> {
        let mut name = OsString::from(".");
        name.push(self.path.file_name().unwrap_or_default());
        name.push(format!(".{}.tmp", std::process::id()));
        let temporary = folder_of(&self.path).join(name);
        // What has the name may be a link that somebody put there.
        let _ = fs::remove_file(&temporary);
        let written = File::create_new(&temporary)
            .and_then(|mut file| file.write_all(text).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&temporary, &self.path));
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written
    }
}

/// The folder that the file at `path` is in.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(error: &Error, kind: ErrorKind, text: &str) {
        assert_eq!((error.kind(), error.to_string().as_str()), (kind, text));
    }

    #[test]
    fn a_report_goes_to_a_file_in_a_folder_that_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().display();
        for path in [folder.path(), Path::new("..")] {
            let text = format!("report: \"{}\" is not the name of a file", path.display());
            check(&Report::to(path).unwrap_err(), ErrorKind::Invalid, &text);
        }
        let missing = folder.path().join("missing");
        let text = format!("report: there is no folder \"{root}/missing\"");
        check(&Report::to(&missing.join("report.json")).unwrap_err(), ErrorKind::Invalid, &text);
        fs::create_dir(&missing).unwrap();
        let report = Report::to(&missing.join("report.json")).unwrap();
        fs::remove_dir(&missing).unwrap();
        let write = || report.write(Ok(false), &Monitor::default());
        let text =
            format!("{root}/missing/report.json: the report cannot be written: No such file or directory (os error 2)");
        check(&write().unwrap_err(), ErrorKind::Unavailable, &text);
        fs::create_dir(&missing).unwrap();
        write().unwrap();
        assert_eq!(fs::read_dir(&missing).unwrap().count(), 1);
    }
}
