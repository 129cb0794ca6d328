//! What somebody put among a program's files: a link in the place of a file that is about to be made leads nowhere, and
//! what is not a regular file is refused by name, not waited for.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use crate::support::{self, Random};
use millpond::csv::{self, WriteMode};
use millpond::{Backend, Error, RunOptions, run};
use millpond_error::ErrorKind;

fn play(folder: &Path, mode: WriteMode) -> Result<(), Error> {
    let sessions = support::sessions(&support::visits(&folder.join("logs"), false));
    let options = RunOptions::default().quiet().state(Backend::filesystem(folder.join("state"))?).workers(1);
    let output = csv::write(&sessions, folder.join("sessions.csv").to_str().expect("a plain path")).mode(mode);
    run([output], &options.report(folder.join("report"))).map(drop)
}

fn add_visits(folder: &Path, random: &mut Random) {
    let visits: Vec<_> = (0..20).map(|_| random.visit()).collect();
    support::append(&folder.join("logs"), "visits.csv", &visits);
}

#[test]
fn links_in_the_place_of_new_files_are_replaced() {
    for mode in [WriteMode::Changes, WriteMode::Append, WriteMode::Snapshot] {
        let (folder, twin) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let (folder, twin, mut random) = (folder.path(), twin.path(), Random(3));
        for _ in 0..3 {
            let mut same = random.clone();
            add_visits(folder, &mut random);
            add_visits(twin, &mut same);
            fs::create_dir_all(folder.join("state")).expect("a folder");
            fs::write(folder.join("victim"), "precious").expect("a file");
            let report = format!(".report.{}.tmp", std::process::id());
            for name in [".sessions.csv.millpond-tmp", "state/manifest.tmp", &report] {
                let _ = fs::remove_file(folder.join(name));
                symlink(folder.join("victim"), folder.join(name)).expect("a link");
            }
            play(folder, mode).expect("a run");
            play(twin, mode).expect("a run");
            assert_eq!(fs::read_to_string(folder.join("victim")).expect("a file"), "precious", "{mode:?}");
            assert!(!folder.join("sessions.csv").is_symlink() && !folder.join("report").is_symlink());
            let rows =
                |folder: &Path| fs::read_to_string(folder.join("sessions.csv")).expect("a result").lines().count();
            assert_eq!(rows(folder), rows(twin), "{mode:?}");
        }
    }
}

#[test]
fn a_pipe_or_a_link_in_the_place_of_a_state_file_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    add_visits(folder, &mut Random(3));
    play(folder, WriteMode::Changes).expect("a run");
    let paths = fs::read_dir(folder.join("state")).expect("a state").map(|file| file.expect("a file").path());
    // But for the blob that is there ahead of time.
    let names: Vec<_> = paths.filter(|path| fs::metadata(path).is_ok_and(|file| file.len() > 0)).collect();
    assert_eq!(names.len(), 5, "{names:?}");
    for path in names {
        let bytes = fs::read(&path).expect("a file");
        for kind in ["a named pipe", "a symbolic link"] {
            fs::remove_file(&path).expect("a file");
            match kind {
                "a named pipe" => assert!(Command::new("mkfifo").arg(&path).status().expect("mkfifo").success()),
                _ => symlink(folder.join("victim"), &path).expect("a link"),
            }
            fs::write(folder.join("victim"), &bytes).expect("a file");
            let error = play(folder, WriteMode::Changes).expect_err("not a regular file");
            assert_eq!(error.kind(), ErrorKind::Data);
            assert_eq!(error.message(), format!("{} is {kind}, not a regular file", path.display()));
            assert_eq!(fs::read(folder.join("victim")).expect("a file"), bytes);
        }
        fs::remove_file(&path).expect("a pipe");
        fs::write(&path, bytes).expect("a file");
    }
    play(folder, WriteMode::Changes).expect("a run");
}

#[test]
fn a_state_directory_that_others_may_write_to_becomes_private() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state");
    fs::create_dir(&state).expect("a folder");
    fs::set_permissions(&state, fs::Permissions::from_mode(0o777)).expect("a mode");
    add_visits(folder.path(), &mut Random(3));
    play(folder.path(), WriteMode::Changes).expect("a run");
    assert_eq!(fs::metadata(&state).expect("a state").permissions().mode() & 0o777, 0o700);
}
