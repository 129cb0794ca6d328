//! What the simulated power cut may and may not leave.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeSet;

use millpond_error::ErrorKind;
use millpond_store::{Disk, SimulatedDisk};

/// A disk with one synced file `a`.
fn with_file(content: &str) -> SimulatedDisk {
    let disk = SimulatedDisk::new();
    disk.put("a", content.as_bytes());
    disk
}

/// All contents of `a` that 5,000 images show, zero bytes as `0`.
fn contents(image: impl Fn(u64) -> SimulatedDisk) -> BTreeSet<String> {
    let read = |seed| image(seed).read("a").unwrap().unwrap();
    (0..5_000).map(|seed| String::from_utf8(read(seed).to_vec()).unwrap().replace('\0', "0")).collect()
}

/// All sets of names that 5,000 images show.
fn names(disk: &SimulatedDisk) -> BTreeSet<String> {
    (0..5_000).map(|seed| disk.image_now(seed).files().join(" ")).collect()
}

fn set(items: &[&str]) -> BTreeSet<String> {
    items.iter().map(|&item| item.to_owned()).collect()
}

#[test]
fn unsynced_bytes_are_old_new_torn_or_zero() {
    let disk = with_file("ab");
    disk.open_at("a", 2).unwrap().write_at(0, b"XY").unwrap();
    let expected = set(&["ab", "aY", "a0", "Xb", "XY", "X0", "0b", "0Y", "00"]);
    assert_eq!(contents(|seed| disk.image_now(seed)), expected);
}

#[test]
fn synced_bytes_stay_while_others_are_appended() {
    let disk = with_file("abc");
    disk.open_at("a", 3).unwrap().write_at(3, b"X").unwrap();
    assert_eq!(contents(|seed| disk.image_now(seed)), set(&["abc", "abcX", "abc0"]));
}

#[test]
fn what_is_cut_off_may_come_back_until_the_next_sync() {
    let disk = with_file("abc");
    let file = disk.open_at("a", 1).unwrap();
    assert_eq!(contents(|seed| disk.image_now(seed)), set(&["a", "ab", "abc", "a0", "a0c", "ab0", "a00"]));
    file.sync().unwrap();
    assert_eq!(contents(|seed| disk.image_now(seed)), set(&["a"]));
}

#[test]
fn a_sync_makes_bytes_durable_but_not_names() {
    let disk = SimulatedDisk::new();
    let file = disk.create("a").unwrap();
    file.write_at(0, b"abc").unwrap();
    file.sync().unwrap();
    assert_eq!(names(&disk), set(&["", "a"]));
    disk.sync_folder("").unwrap();
    assert_eq!(contents(|seed| disk.image_now(seed)), set(&["abc"]));
}

#[test]
fn any_subset_of_unsynced_names_may_persist() {
    let disk = with_file("");
    disk.create("b").unwrap();
    disk.create("c").unwrap();
    disk.remove("a").unwrap();
    let expected = set(&["", "a", "b", "c", "a b", "a c", "b c", "a b c"]);
    assert_eq!(names(&disk), expected);
}

#[test]
fn changes_of_one_name_persist_in_order() {
    let disk = SimulatedDisk::new();
    disk.create("temp").unwrap();
    disk.rename("temp", "final").unwrap();
    assert_eq!(names(&disk), set(&["", "temp", "final"]));
}

#[test]
fn a_folder_is_synced_alone() {
    let disk = SimulatedDisk::new();
    disk.create("a").unwrap();
    disk.folder("sub").create("b").unwrap();
    disk.folder("sub").sync_folder("").unwrap();
    assert_eq!(names(&disk), set(&["sub/b", "a sub/b"]));
}

#[test]
fn a_write_through_is_durable_after_it_and_torn_within_it() {
    let disk = with_file("ab");
    disk.record();
    disk.write_through("a", b"XY").unwrap();
    assert_eq!(contents(|seed| disk.image_now(seed)), set(&["XY"]));
    let within = contents(|seed| disk.image_at(1, seed));
    assert!(within.is_superset(&set(&["ab", "XY", "aY", "Xb"])), "{within:?}");
    assert_eq!(contents(|seed| disk.image_at(0, seed)), set(&["ab"]));
}

#[test]
fn nothing_works_after_the_cut() {
    let disk = with_file("ab");
    let file = disk.open_at("a", 2).unwrap();
    disk.cut_at(2, 0);
    file.write_at(2, b"c").unwrap();
    assert!(disk.image().is_none());
    let errors = [
        file.write_at(3, b"d").unwrap_err(),
        file.sync().unwrap_err(),
        disk.read("a").unwrap_err(),
        disk.list("").unwrap_err(),
        disk.create("b").unwrap_err(),
        disk.write_through("a", b"x").unwrap_err(),
        disk.sync_folder("").unwrap_err(),
    ];
    assert!(errors.iter().all(|error| error.kind() == ErrorKind::Unavailable), "{errors:?}");
    assert!(disk.image().unwrap().read("a").unwrap().unwrap().starts_with(b"ab"));
}

#[test]
fn the_lock_is_free_after_the_guard_and_after_the_cut() {
    let disk = SimulatedDisk::new();
    let guard = disk.lock("lock").unwrap();
    assert_eq!(disk.lock("lock").err().unwrap().kind(), ErrorKind::Locked);
    disk.image_now(0).lock("lock").unwrap();
    drop(guard);
    disk.lock("lock").unwrap();
}

#[test]
fn a_disk_without_power_does_nothing_more() {
    let disk = with_file("abc");
    let open = disk.open_at("a", 3).unwrap();
    disk.cut_at(1, 0);
    let errors = [
        disk.create("b").unwrap_err(),
        open.write_at(0, b"x").unwrap_err(),
        disk.folder("state").read("a").unwrap_err(),
    ];
    let names = ["the disk", "a", "state/a"];
    for (error, name) in errors.iter().zip(names) {
        assert_eq!(error.to_string(), format!("cannot use {name}: the power is off"));
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    }
    assert_eq!(disk.image().unwrap().read("a").unwrap().unwrap(), "abc");
}

#[test]
fn a_simulated_directory_is_locked_once() {
    let disk = SimulatedDisk::new().folder("state");
    let held = disk.lock("lock").unwrap();
    let error = disk.lock("lock").map(drop).unwrap_err();
    let holder = std::process::id();
    assert_eq!(error.to_string(), format!("\"state\" is in use: held by process {holder} (simulated)"));
    assert_eq!(error.kind(), ErrorKind::Locked);
    drop(held);
    disk.lock("lock").unwrap();
}
