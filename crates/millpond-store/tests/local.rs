//! The real directory.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use millpond_error::ErrorKind;
use millpond_store::{Disk, LocalDisk, StateDir};
use tempfile::{TempDir, tempdir};

fn disk() -> (TempDir, LocalDisk) {
    let folder = tempdir().unwrap();
    let disk = LocalDisk::private(folder.path().join("state")).unwrap();
    (folder, disk)
}

fn mode(folder: &TempDir, name: &str) -> u32 {
    fs::metadata(folder.path().join(name)).unwrap().permissions().mode() & 0o777
}

#[test]
fn what_is_written_is_read() {
    let (_folder, disk) = disk();
    let file = disk.create("a").unwrap();
    file.write_at(2, b"cd").unwrap();
    file.write_at(0, b"ab").unwrap();
    file.sync().unwrap();
    assert_eq!(disk.read("a").unwrap().unwrap(), "abcd");
    assert_eq!(disk.read_at("a", 1, 2).unwrap().unwrap(), b"bc");
    assert_eq!(disk.read_at("a", 3, 9).unwrap().unwrap(), b"d");
    assert_eq!(disk.read_at("a", 9, 9).unwrap().unwrap(), b"");
    assert_eq!(disk.length("a").unwrap(), Some(4));
}

#[test]
fn large_files_are_mapped_and_outlive_their_removal() {
    let (_folder, disk) = disk();
    let content: Vec<u8> = (0..1 << 20).map(|i: u32| (i * 7 % 251) as u8).collect();
    disk.create("a").unwrap().write_at(0, &content).unwrap();
    let bytes = disk.read("a").unwrap().unwrap();
    disk.remove("a").unwrap();
    assert_eq!(bytes, content);
}

#[test]
fn empty_and_missing_files_are_not_the_same() {
    let (_folder, disk) = disk();
    disk.create("empty").unwrap();
    assert_eq!(disk.read("empty").unwrap().unwrap(), "");
    assert_eq!(disk.read("missing").unwrap(), None);
    assert_eq!(disk.read_at("missing", 0, 1).unwrap(), None);
    assert_eq!(disk.length("missing").unwrap(), None);
    assert_eq!(disk.list("missing").unwrap(), Vec::<String>::new());
    disk.remove("missing").unwrap();
}

#[test]
fn opening_cuts_a_file_back() {
    let (_folder, disk) = disk();
    disk.create("a").unwrap().write_at(0, b"abcdef").unwrap();
    disk.open_at("a", 3).unwrap().write_at(3, b"X").unwrap();
    assert_eq!(disk.read("a").unwrap().unwrap(), "abcX");
    assert_eq!(disk.open_at("a", 5).unwrap_err().kind(), ErrorKind::Data);
    assert_eq!(disk.open_at("b", 0).unwrap_err().kind(), ErrorKind::Data);
}

#[test]
fn creating_twice_starts_again() {
    let (_folder, disk) = disk();
    disk.create("a").unwrap().write_at(0, b"long content").unwrap();
    disk.create("a").unwrap().write_at(0, b"new").unwrap();
    assert_eq!(disk.read("a").unwrap().unwrap(), "new");
}

#[test]
fn files_are_listed_by_folder_and_renamed_between_them() {
    let (_folder, disk) = disk();
    for name in ["b", "a", "sub/c"] {
        disk.create(name).unwrap();
    }
    disk.rename("a", "sub/a").unwrap();
    disk.sync_folder("").unwrap();
    disk.sync_folder("sub").unwrap();
    assert_eq!(disk.list("").unwrap(), ["b"]);
    assert_eq!(disk.list("sub").unwrap(), ["a", "c"]);
}

#[test]
fn a_write_through_overwrites_the_beginning_of_a_file_that_exists() {
    let (_folder, disk) = disk();
    assert_eq!(
        disk.create("a").and_then(|_| disk.write_through("b", b"x")).unwrap_err().kind(),
        ErrorKind::Unavailable
    );
    disk.create("a").unwrap().write_at(0, b"abcdef").unwrap();
    disk.write_through("a", b"XY").unwrap();
    assert_eq!(disk.read("a").unwrap().unwrap(), "XYcdef");
}

#[test]
fn state_is_for_its_owner_only_and_results_follow_the_umask() {
    let (folder, disk) = disk();
    disk.create("sub/a").unwrap();
    assert_eq!(
        [mode(&folder, "state"), mode(&folder, "state/sub"), mode(&folder, "state/sub/a")],
        [0o700, 0o700, 0o600]
    );
    let results = LocalDisk::new(folder.path().join("results")).unwrap();
    results.create("a").unwrap();
    fs::write(folder.path().join("plain"), "").unwrap();
    assert_eq!(mode(&folder, "results/a"), mode(&folder, "plain"));
}

#[test]
fn names_that_leave_the_directory_are_refused() {
    let (folder, disk) = disk();
    for name in ["../a", "/tmp/a", "a\nb", ""] {
        assert_eq!(disk.create(name).unwrap_err().kind(), ErrorKind::Invalid, "{name:?}");
        assert_eq!(disk.read(name).unwrap_err().kind(), ErrorKind::Invalid, "{name:?}");
        assert_eq!(disk.rename("a", name).unwrap_err().kind(), ErrorKind::Invalid, "{name:?}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn errors_name_the_file_and_the_reason() {
    let (folder, disk) = disk();
    let error = disk.rename("a", "b").unwrap_err();
    let path = folder.path().join("state/b");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains(&path.display().to_string()), "{error}");
    assert!(error.message().contains("No such file or directory"), "{error}");
    fs::write(folder.path().join("file"), "").unwrap();
    let not_a_folder = LocalDisk::private(folder.path().join("file")).unwrap();
    assert_eq!(not_a_folder.create("a").unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(not_a_folder.list("").unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn a_second_handle_is_told_who_holds_the_lock() {
    let (_folder, disk) = disk();
    let held = disk.lock("lock").unwrap();
    let Err(error) = disk.lock("lock") else { panic!("locked twice") };
    assert_eq!(error.kind(), ErrorKind::Locked);
    let holder = format!("held by process {} since 2", std::process::id());
    assert!(error.message().contains(&holder) && error.message().ends_with("(UTC)"), "{error}");
    drop(held);
    disk.lock("lock").unwrap();
}

#[test]
fn a_second_process_is_told_who_holds_the_state_until_the_first_is_killed() {
    if let Some(path) = std::env::var_os("MILLPOND_TEST_HOLD") {
        let _state = StateDir::open(std::sync::Arc::new(LocalDisk::private(path).unwrap())).unwrap();
        println!("\nholding");
        std::thread::sleep(std::time::Duration::from_secs(60));
        return;
    }
    let (_folder, disk) = disk();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "a_second_process_is_told_who_holds_the_state_until_the_first_is_killed"])
        .env("MILLPOND_TEST_HOLD", disk.root())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "holding"));
    let disk: std::sync::Arc<dyn Disk> = std::sync::Arc::new(disk);
    let error = StateDir::open(disk.clone()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert!(error.message().contains(&format!("held by process {} since 2", child.id())), "{error}");
    child.kill().unwrap();
    child.wait().unwrap();
    StateDir::open(disk).unwrap();
}

/// Puts what is not a regular file in the place of a file.
fn irregular(path: &std::path::Path, kind: &str) {
    let _ = fs::remove_file(path);
    match kind {
        "a symbolic link" => std::os::unix::fs::symlink("elsewhere", path).unwrap(),
        "a directory" => fs::create_dir(path).unwrap(),
        "a named pipe" => assert!(Command::new("mkfifo").arg(path).status().unwrap().success()),
        _ => drop(std::os::unix::net::UnixListener::bind(path).unwrap()),
    }
}

#[test]
fn what_is_not_a_regular_file_is_refused_by_name_and_never_waited_for() {
    for kind in ["a symbolic link", "a directory", "a named pipe", "a socket"] {
        for name in ["lock", "finished", "manifest-0000000000000001", "runs-0000000000000002-0"] {
            let (folder, disk) = disk();
            let state = StateDir::open(std::sync::Arc::new(disk.clone())).unwrap().0;
            state.genesis(Vec::new()).unwrap();
            drop(state);
            irregular(&folder.path().join("state").join(name), kind);
            let opened = StateDir::open(std::sync::Arc::new(disk.clone())).map(|(state, _)| {
                let checkpoint = state.begin()?;
                checkpoint.writer(0).append(b"a run").map(drop)
            });
            let error = match opened {
                Ok(begun) if name.starts_with("runs") => begun.unwrap_err(),
                Err(error) => error,
                Ok(_) if kind == "a directory" && name.starts_with("manifest") => continue,
                Ok(_) => panic!("{kind} in the place of {name} was taken"),
            };
            let path = folder.path().join("state").join(name);
            assert_eq!(error.message(), format!("{} is {kind}, not a regular file", path.display()));
            assert_eq!(error.kind(), ErrorKind::Data);
        }
    }
}

#[test]
fn a_planted_link_is_replaced_and_what_it_leads_to_stays() {
    let (folder, private) = disk();
    let results = LocalDisk::new(folder.path().join("results")).unwrap();
    private.create("a").unwrap();
    results.create("a").unwrap();
    let victim = folder.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    for (disk, name) in [(&private, "state"), (&results, "results")] {
        for (link, target) in [("one", victim.clone()), ("two", folder.path().join("missing"))] {
            std::os::unix::fs::symlink(target, folder.path().join(name).join(link)).unwrap();
            disk.create(link).unwrap().write_at(0, b"new").unwrap();
            assert!(!folder.path().join(name).join(link).is_symlink());
            assert_eq!(disk.read(link).unwrap().unwrap(), "new");
        }
    }
    assert_eq!(fs::read(&victim).unwrap(), b"precious");
    assert!(!folder.path().join("missing").exists());
    // What is opened, and not made anew, does not follow a link in a private directory.
    std::os::unix::fs::symlink(&victim, folder.path().join("state/lock")).unwrap();
    assert_eq!(private.lock("lock").map(drop).unwrap_err().kind(), ErrorKind::Data);
    assert_eq!(private.write_through("lock", b"x").unwrap_err().kind(), ErrorKind::Data);
    assert_eq!(private.open_at("lock", 0).unwrap_err().kind(), ErrorKind::Data);
    assert_eq!(fs::read(&victim).unwrap(), b"precious");
}

#[test]
fn a_state_directory_that_is_there_becomes_private() {
    for open in [0o777, 0o755, 0o1777, 0o750] {
        let folder = tempdir().unwrap();
        let path = folder.path().join("state");
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(open)).unwrap();
        let disk = LocalDisk::private(&path).unwrap();
        drop(disk.lock("lock").unwrap());
        assert_eq!(mode(&folder, "state"), 0o700, "{open:o}");
    }
}
