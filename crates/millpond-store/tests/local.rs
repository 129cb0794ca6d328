//! The real directory.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use millpond_error::{Error, ErrorKind};
use millpond_store::{DAMAGE_HINT, Disk, LocalDisk, SimulatedDisk, StateDir};
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
    let root = disk.root().display().to_string();
    let holder = format!("{root} is in use: held by process {} since 2", std::process::id());
    assert!(error.message().starts_with(&holder) && error.message().ends_with("(UTC)"), "{error}");
    let hint = "wait for it or stop it, or give this program a state directory of its own";
    assert_eq!(error.hint(), Some(hint));
    // A directory of its own, or the end of the other.
    LocalDisk::private(format!("{root}-of-its-own")).unwrap().lock("lock").unwrap();
    drop(held);
    // A process that another test starts has the file, too, until it executes its program.
    while disk.lock("lock").is_err() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
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
            assert_eq!((error.kind(), error.hint()), (ErrorKind::Data, Some(DAMAGE_HINT)));
        }
    }
}

#[test]
fn a_result_goes_to_a_regular_file_whose_name_the_system_takes() {
    let folder = tempdir().unwrap();
    let results = LocalDisk::new(folder.path()).unwrap();
    fs::create_dir(folder.path().join("a")).unwrap();
    let root = folder.path().display();
    let error = results.create("a").unwrap_err();
    assert_eq!(error.to_string(), format!("{root}/a is a directory, not a regular file"));
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let long = "x".repeat(300);
    let error = results.create(&long).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot create {root}/{long}: File name too long (os error 36)"));
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

/// What both kinds of disks say, without the folder of the real one.
#[track_caller]
fn check_both(act: fn(&dyn Disk) -> Error, kind: ErrorKind, text: &str) {
    let folder = tempdir().unwrap();
    let root = format!("{}/", folder.path().display());
    let disks: [&dyn Disk; 2] = [&LocalDisk::new(folder.path()).unwrap(), &SimulatedDisk::new()];
    for disk in disks {
        disk.create("ab").unwrap().write_at(0, b"ab").unwrap();
        let error = act(disk);
        assert_eq!(error.kind(), kind, "{error}");
        assert_eq!(error.to_string().replace(&root, "").replace(" (os error 2)", ""), text);
        assert_eq!(disk.read("ab").unwrap().unwrap(), "ab");
    }
}

#[test]
fn a_simulated_disk_fails_as_a_real_one_does() {
    let (data, invalid, unavailable) = (ErrorKind::Data, ErrorKind::Invalid, ErrorKind::Unavailable);
    check_both(|disk| disk.open_at("a", 3).unwrap_err(), data, "a is missing; 3 bytes of it were saved");
    check_both(|disk| disk.open_at("ab", 3).unwrap_err(), data, "ab holds 2 bytes, of 3 saved ones");
    let text = "cannot rename a to b: No such file or directory";
    check_both(|disk| disk.rename("a", "b").unwrap_err(), unavailable, text);
    let text = "cannot write a: No such file or directory";
    check_both(|disk| disk.write_through("a", b"x").unwrap_err(), unavailable, text);
    let text = "file name \"a\\nb\" holds a control character";
    check_both(|disk| disk.create("a\nb").unwrap_err(), invalid, text);
    let text = "file name \"../a\" must be relative and must not hold empty, \".\" or \"..\" parts";
    check_both(|disk| disk.read("../a").unwrap_err(), invalid, text);
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

/// A directory that all may write to and that somebody else owns cannot be made private; one in it can.
#[test]
fn a_directory_of_another_user_that_others_may_change_is_refused() {
    const TEST: &str = "a_directory_of_another_user_that_others_may_change_is_refused";
    let open = match std::env::var_os("MILLPOND_TEST_OPEN") {
        Some(path) => std::path::PathBuf::from(path),
        None if rustix::process::geteuid().is_root() => {
            // The superuser may do everything: the test goes on as nobody.
            let folder = tempdir().unwrap();
            let program = folder.path().join("program");
            fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
            for path in [folder.path(), &program] {
                fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
            }
            let mut child = Command::new(&program);
            child.args(["--exact", TEST]).env("MILLPOND_TEST_OPEN", folder.path()).current_dir("/");
            // Nobody may write to the list of places that make an error.
            let places = folder.path().join("places");
            child.env("MILLPOND_ERROR_PLACES", &places);
            assert!(child.uid(65_534).gid(65_534).status().unwrap().success());
            if let Some(list) = std::env::var_os("MILLPOND_ERROR_PLACES") {
                let mut list = fs::OpenOptions::new().create(true).append(true).open(list).unwrap();
                list.write_all(&fs::read(places).unwrap()).unwrap();
            }
            return;
        }
        // The usual folder for what is temporary is the superuser's, and open to all.
        None => std::path::PathBuf::from("/tmp"),
    };
    let error = LocalDisk::private(&open).unwrap().lock("lock").map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let (open, own) = (open.display(), format!("{}/state", open.display()));
    let text = format!(
        "{open} belongs to another user, and not only that user may change files in it\n\
         hint: save the state in a directory of its own, such as {own}"
    );
    assert_eq!(error.to_string(), text);
    // As the hint says, unless another run of this test by another user has been there.
    if fs::symlink_metadata(&own).is_err() {
        drop(LocalDisk::private(&own).unwrap().lock("lock").unwrap());
        assert_eq!(fs::metadata(&own).unwrap().permissions().mode() & 0o777, 0o700);
        fs::remove_dir_all(&own).unwrap();
    }
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
