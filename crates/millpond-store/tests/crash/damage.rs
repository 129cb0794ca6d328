//! Files of the state directory that were damaged, removed, or exchanged.

use std::sync::LazyLock;

use millpond_error::{Error, ErrorKind};
use millpond_store::{Disk, Manifest, SimulatedDisk};

use crate::program::{Disks, Sloppy, Verdict, expect, results, run};

/// A state directory and results after two finished runs.
fn saved() -> SimulatedDisk {
    static SAVED: LazyLock<SimulatedDisk> = LazyLock::new(save);
    SAVED.copy()
}

fn save() -> SimulatedDisk {
    let disk = SimulatedDisk::new();
    for available in [2, 5] {
        run(&Disks::of(&disk), available, Sloppy::default(), &mut |_| ()).unwrap();
    }
    disk
}

/// Runs on a damaged copy. `Ok`: the damage did not matter, and everything is right.
fn run_on(disk: &SimulatedDisk) -> Result<(), Error> {
    let disks = Disks::of(disk);
    run(&disks, 6, Sloppy::default(), &mut |_| ())?;
    assert_eq!(results(&disks, 6, Sloppy::default())?, Verdict::Whole);
    assert_eq!(expect(&disks, "changes.csv", 5, 6)?, Verdict::Whole);
    Ok(())
}

/// The damage is refused and the file named, or it does not matter.
#[track_caller]
fn check(name: &str, what: &str, damage: impl FnOnce(&SimulatedDisk)) -> bool {
    let disk = saved();
    damage(&disk);
    let Err(error) = run_on(&disk) else { return false };
    assert_eq!(error.kind(), ErrorKind::Data, "{name}, {what}: {error}");
    assert!(error.message().contains(name), "{name}, {what}: {error}");
    true
}

fn state_files() -> Vec<String> {
    saved().files().into_iter().filter(|name| name.starts_with("state/")).collect()
}

#[test]
fn every_flipped_bit_is_refused_by_name_or_does_not_matter() {
    let mut refused = 0;
    let mut flips = 0;
    for name in state_files() {
        let bytes = saved().read(&name).unwrap().unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            refused += u64::from(check(&name, &format!("bit {bit}"), |disk| disk.put(&name, &flipped)));
            flips += 1;
        }
    }
    println!("{refused} of {flips} flips were refused");
    assert!(refused > 1_000, "only {refused} of {flips}");
}

#[test]
fn every_truncation_is_refused_by_name_or_does_not_matter() {
    for name in state_files() {
        let bytes = saved().read(&name).unwrap().unwrap();
        for length in 0..bytes.len() {
            check(&name, &format!("cut to {length}"), |disk| disk.put(&name, &bytes[..length]));
        }
    }
}

#[test]
fn the_files_that_matter_cannot_be_removed_unnoticed() {
    let newest = ["state/manifest-0000000000000006", "state/runs-0000000000000006-0", "state/finished"];
    for name in newest {
        assert!(check(name, "removed", |disk| disk.remove(name).unwrap()), "{name}");
    }
}

#[test]
fn all_manifests_removed_is_not_a_fresh_directory() {
    let manifests: Vec<_> = state_files().into_iter().filter(|name| name.contains("/manifest-")).collect();
    assert_eq!(manifests, ["state/manifest-0000000000000006"]);
    let remove = |disk: &SimulatedDisk| manifests.iter().for_each(|name| disk.remove(name).unwrap());
    assert!(check("state/manifest-0000000000000006", "all removed", remove));
    let remove_mark_too = |disk: &SimulatedDisk| {
        remove(disk);
        disk.remove("state/finished").unwrap();
    };
    assert!(check("state/manifest-", "all removed, and the mark", remove_mark_too));
}

#[test]
fn a_manifest_in_the_place_of_another_is_refused() {
    let name = "state/manifest-0000000000000006";
    let newest = Manifest::decode(&saved().read(name).unwrap().unwrap(), name).unwrap();
    let stale = Manifest { generation: 5, ..newest }.encode();
    assert!(check(name, "stale", |disk| disk.put(name, &stale)));
}

#[test]
fn a_manifest_of_another_state_directory_is_refused() {
    let name = "state/manifest-0000000000000006";
    let foreign = save().read(name).unwrap().unwrap();
    assert!(check(name, "foreign", |disk| disk.put(name, &foreign)), "each directory has its own secret");
}

#[test]
fn one_blob_in_the_place_of_another_is_refused() {
    let names: Vec<_> = state_files().into_iter().filter(|name| name.contains("/runs-")).collect();
    for name in &names {
        for other in names.iter().filter(|other| *other != name) {
            let bytes = saved().read(other).unwrap().unwrap();
            check(name, &format!("was {other}"), |disk| disk.put(name, &bytes));
        }
    }
}
