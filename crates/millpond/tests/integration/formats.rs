//! Saved states of each format: the present one is read, an older one is refused with what to do.
//!
//! `MILLPOND_UPDATE=1 cargo test -p millpond --test integration formats` makes the state of the present format anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::support::{self, Random, Rows, Visit};
use millpond::csv::{self, WriteMode};
use millpond::{Backend, Error, RunOptions, Summary, run};
use millpond_error::ErrorKind;
use millpond_store::LocalDisk;
use tempfile::TempDir;

const RESULT: &str = "sessions.csv";

fn fixture(format: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/state-format-{format}"))
}

fn play(folder: &Path) -> Result<Summary, Error> {
    let sessions = support::sessions(&support::visits(&folder.join("logs"), false));
    let output = csv::write(&sessions, RESULT).mode(WriteMode::Append).disk(Arc::new(LocalDisk::new(folder)?));
    let options = RunOptions::default().quiet().state(Backend::filesystem(folder.join("state"))?).workers(1);
    run([output], &options)
}

/// Names and contents of the files below `folder`.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push((path.clone(), fs::read(path).expect("a file"))),
        }
    }
    found.sort();
    found
}

fn copy(from: &Path) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (path, bytes) in files(from) {
        let to = folder.path().join(path.strip_prefix(from).expect("a path below"));
        fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
        fs::write(to, bytes).expect("a file");
    }
    folder
}

/// The visits of the two runs that made the state.
fn visits() -> [Vec<Visit>; 2] {
    let mut random = Random(2);
    [40, 20].map(|rows| (0..rows).map(|_| random.visit()).collect())
}

#[test]
fn a_state_of_the_present_format_goes_on() {
    let fixture = fixture(3);
    if std::env::var("MILLPOND_UPDATE").is_ok_and(|update| update == "1") {
        let _ = fs::remove_dir_all(&fixture);
        for batch in visits() {
            support::append(&fixture.join("logs"), "visits.csv", &batch);
            play(&fixture).expect("a run");
        }
    }
    let folder = copy(&fixture);
    let seen = play(folder.path()).expect("a run");
    assert_eq!((seen.rows_read, seen.changes_written), (0, 0));
    let more: Vec<Visit> = (0..10).map(|_| Random(7).visit()).collect();
    support::append(&folder.path().join("logs"), "visits.csv", &more);
    assert_eq!(play(folder.path()).expect("a run").rows_read, 10);
    let mut rows = Rows::new();
    support::add_changes(&mut rows, &fs::read_to_string(folder.path().join(RESULT)).expect("a result"));
    assert_eq!(rows, support::expected_sessions(&[visits().concat(), more].concat()));
}

#[test]
fn a_state_of_an_older_format_is_refused_with_what_to_do_and_left_as_it_is() {
    let folder = copy(&fixture(1));
    let before = files(folder.path());
    let error = play(folder.path()).expect_err("an older format");
    assert_eq!(error.kind(), ErrorKind::Data);
    let message = error.message();
    assert!(message.contains("manifest-0000000000000003 was written by"), "{message}");
    assert!(message.contains("in state format 1; this Millpond") && message.ends_with("reads format 3"), "{message}");
    assert!(!message.contains("damaged"), "{message}");
    let hint = "go on with the Millpond that wrote the state, or move the state directory and the result files away and \
                run again: that computes everything anew";
    assert_eq!(error.hint(), Some(hint));
    let mut after = files(folder.path());
    // Who looked at it last is in the lock.
    after
        .iter_mut()
        .zip(&before)
        .filter(|(file, _)| file.0.ends_with("lock"))
        .for_each(|(file, old)| *file = old.clone());
    assert_eq!(after, before);
}
