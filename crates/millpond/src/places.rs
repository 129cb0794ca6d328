//! The places of a program: what it writes must not lie where it reads, nor where it writes something else.
//!
//! Files are told apart by path and by device and inode, so links of any kind are other names of one place. What other
//! programs read and write is theirs to know.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use millpond_error::{Error, Origin, Result};
use millpond_io::files::list::{Found, Listing, Look};
use millpond_io::files::reach::{Folder, Written, first_read};
use millpond_io::sink::{resolve, temporary};
use millpond_plan::{SinkDecl, SourceDecl, sources};
use parking_lot::Mutex;

use crate::declare::{SinkConnector, SourceConnector};

/// Names of files that a state directory holds, or may come to hold.
const STATE_NAMES: [&str; 6] = [
    "lock",
    "finished",
    "manifest.tmp",
    "manifest-0000000000000001",
    "runs-0000000000000001-0",
    "plan-00000000000000000000000000000001",
];
/// How such names begin; no other ends in digits like them.
const STATE_PREFIXES: [&str; 3] = ["manifest-", "runs-", "plan-"];

/// A mistake in where a program reads and writes.
pub(crate) struct Conflict {
    /// What to say of it.
    pub error: Error,
    /// Whether the report would be written there.
    pub is_report: bool,
}

/// Something that a run writes.
struct Output {
    /// As a message names it.
    label: String,
    files: Vec<Written>,
    origin: Option<Origin>,
    is_report: bool,
}

/// What a run writes, and what it reads.
struct Places {
    sources: Vec<Arc<SourceDecl>>,
    /// The results, the dead letters and the report.
    results: Vec<Output>,
    state: Option<Output>,
}

impl Places {
    /// As they are now. `state` is the state directory, `report` the file of the report.
    fn of(sinks: &[SinkDecl], state: Option<&Path>, report: Option<&Path>) -> Self {
        let sources = sources(sinks);
        let mut results = outputs(sinks, &sources);
        results.extend(report.and_then(report_output));
        Places { sources, results, state: state.map(state_output) }
    }

    /// Finds something that is written where a source reads.
    fn read(&self) -> Option<Conflict> {
        // One look at what a source reads is for all that is written.
        let outputs = self.results.iter().chain(&self.state);
        let files = outputs.flat_map(|output| output.files.iter().map(move |file| (output, file.clone())));
        let (owners, files): (Vec<&Output>, Vec<Written>) = files.unzip();
        self.sources.iter().find_map(|source| {
            let path = source.connector.downcast_ref::<SourceConnector>()?.path.as_deref()?;
            let (at, found) = first_read(path, &files)?;
            Some(owners[at].is_read(source, path, &found))
        })
    }
}

/// Finds a place that would be used twice; touches none. `state` is the state directory, `report` the file of the
/// report.
pub(crate) fn conflict(sinks: &[SinkDecl], state: Option<&Path>, report: Option<&Path>) -> Option<Conflict> {
    let places = Places::of(sinks, state, report);
    if let Some(conflict) = places.read() {
        return Some(conflict);
    }
    let results = &places.results;
    if let (Some(state), Some(directory)) = (state, &places.state) {
        let is_inside = |output: &&Output| output.files.iter().any(|file| is_state_file(file, state, directory));
        if let Some(output) = results.iter().find(is_inside) {
            let message =
                format!("{} would take the place of a file of the saved state in {}", output.label, state.display());
            return Some(output.conflict(message, "choose another name, or another directory"));
        }
    }
    results.iter().enumerate().find_map(|(at, output)| {
        let same = |other: &&Output| output.files.iter().any(|file| other.files.iter().any(|known| known.is(file)));
        // Two of one name are told of by name.
        let other = results[..at].iter().find(same)?;
        Some(output.is_one_with(other))
    })
}

/// The key, device and inode of a file.
type Name = (String, u64, u64);

/// Looks at files, and ends the run when a name comes up in a source's path under which it would read what it writes.
#[derive(Debug)]
pub(crate) struct Guard {
    look: Arc<dyn Look>,
    sinks: Vec<SinkDecl>,
    state: Option<PathBuf>,
    report: Option<PathBuf>,
    /// The files that were there, by the path of a source.
    known: Mutex<HashMap<String, Vec<Name>>>,
}

impl Guard {
    pub(crate) fn new(look: Arc<dyn Look>, sinks: Vec<SinkDecl>, state: Option<&Path>, report: Option<&Path>) -> Self {
        let known = Mutex::default();
        Guard { look, sinks, state: state.map(Path::to_owned), report: report.map(Path::to_owned), known }
    }
}

impl Look for Guard {
    fn look(&self, path: &str) -> Result<(i64, Listing)> {
        let (seen_ns, listing) = self.look.look(path)?;
        let mut known = self.known.lock();
        let known = known.entry(path.to_owned()).or_default();
        // Both are in ascending order.
        let mut old = known.iter().peekable();
        let is_new = |found: &Found| {
            while old.next_if(|(key, ..)| *key < found.key).is_some() {}
            let same = |(key, device, inode): &&Name| {
                *key == found.key && (*device, *inode) == (found.stamp.device, found.stamp.inode)
            };
            old.next_if(same).is_none()
        };
        if listing.files.iter().any(is_new) {
            // Files that are written are made anew, so they are looked up again.
            refuse(Places::of(&self.sinks, self.state.as_deref(), self.report.as_deref()).read())?;
            let files = listing.files.iter();
            *known = files.map(|found| (found.key.clone(), found.stamp.device, found.stamp.inode)).collect();
        }
        Ok((seen_ns, listing))
    }
}

impl Output {
    fn conflict(&self, message: String, hint: &str) -> Conflict {
        let error = Error::invalid(message).with_hint(hint);
        let error = self.origin.iter().fold(error, |error, origin| error.at(origin));
        Conflict { error, is_report: self.is_report }
    }

    /// Both would be one file.
    fn is_one_with(&self, other: &Output) -> Conflict {
        let place = other.origin.as_ref().map(ToString::to_string).unwrap_or_default();
        let message = match self.is_report {
            true => format!("{} and {} ({place}) would be one file", self.label, other.label),
            false => format!("two outputs write to one file: {}, and {} ({place})", self.label, other.label),
        };
        let Conflict { error, is_report } = self.conflict(message, "give each a file of its own");
        Conflict { error: other.origin.iter().fold(error, |error, origin| error.at(origin)), is_report }
    }

    /// It lies where a source reads, which finds it under the path `found`.
    fn is_read(&self, source: &Arc<SourceDecl>, path: &str, found: &Path) -> Conflict {
        let mut message = format!("{} lies where the source \"{path}\" ({}) reads", self.label, source.origin);
        if !self.label.contains(&format!("\"{}\"", found.display())) {
            message.push_str(&format!(": it would be {} there", found.display()));
        }
        let hint = "put it into another directory, or read a pattern that leaves it out; a directory also leaves out names \
                    that start with \".\"";
        let Conflict { error, is_report } = self.conflict(message, hint);
        Conflict { error: error.at(&source.origin), is_report }
    }
}

/// The result files and dead letters, each with the name that it has while it is written.
fn outputs(sinks: &[SinkDecl], sources: &[Arc<SourceDecl>]) -> Vec<Output> {
    let results = sinks.iter().filter_map(|sink| Some(("result", sink.connector.downcast_ref::<SinkConnector>()?)));
    let dead_letters = sources.iter().filter_map(|source| {
        let connector = source.connector.downcast_ref::<SourceConnector>()?;
        Some(("file of dead letters", &**connector.dead_letter.as_ref()?))
    });
    let output = |(what, connector): (&str, &SinkConnector)| {
        let path = connector.path.as_deref()?;
        // What cannot be written is told of by itself.
        let (folder, name) = resolve(path).ok()?;
        let folder = Folder::new(&folder);
        Some(Output {
            label: format!("the {what} \"{}\"", path.display()),
            files: vec![folder.file(&name), folder.file_not_through_links(temporary(&name))],
            origin: Some(connector.origin.clone()),
            is_report: false,
        })
    };
    results.chain(dead_letters).filter_map(output).collect()
}

fn report_output(path: &Path) -> Option<Output> {
    let absolute = std::path::absolute(path).ok()?;
    Some(Output {
        label: format!("the report \"{}\"", path.display()),
        files: vec![Folder::new(absolute.parent()?).file(absolute.file_name()?)],
        origin: None,
        is_report: true,
    })
}

fn state_output(directory: &Path) -> Output {
    let folder = Folder::new(directory);
    let present = std::fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let present = present
        .filter(|name| STATE_PREFIXES.iter().any(|prefix| name.as_encoded_bytes().starts_with(prefix.as_bytes())));
    let names = STATE_NAMES.iter().map(OsString::from).chain(present);
    Output {
        label: format!("the saved state in \"{}\"", directory.display()),
        files: names.map(|name| folder.file_not_through_links(name)).collect(),
        origin: None,
        is_report: false,
    }
}

/// Whether a result would be the state directory, or a file that it may hold.
fn is_state_file(file: &Written, state: &Path, directory: &Output) -> bool {
    let is_named = STATE_PREFIXES.iter().any(|prefix| file.starts_with(prefix));
    directory.files.iter().any(|known| known.is(file) || is_named && known.is_beside(file)) || file.is_at(state)
}

/// The file that the environment names for the report, if the program names none.
pub(crate) fn report_path(named: Option<&PathBuf>) -> Option<PathBuf> {
    let environment = || std::env::var_os("MILLPOND_REPORT").filter(|text| !text.is_empty()).map(PathBuf::from);
    named.cloned().or_else(environment)
}

/// Refuses a program for a conflict.
pub(crate) fn refuse(conflict: Option<Conflict>) -> Result<()> {
    conflict.map_or(Ok(()), |conflict| Err(conflict.error))
}
