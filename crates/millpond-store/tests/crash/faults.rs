//! Operations that fail: the run ends with `Unavailable`, and the next one converges.

use std::sync::Arc;

use millpond_error::ErrorKind;
use millpond_store::{Disk, Failure, Fault, FaultyDisk, Operations, SimulatedDisk};

use crate::program::{Disks, Promised, RESULTS, SESSION, STATE, Said, Sloppy, Verdict, judge, run};

/// Fails every operation in turn, of the first run and of a later one.
fn check(operations: Operations, failure: Failure, for_ever: bool) {
    for number in [0, 3] {
        let mut at = 0;
        loop {
            at += 1;
            let fault = Fault { operations, at, for_ever, failure };
            if !check_one(fault, number) {
                break;
            }
        }
        assert!(at > 5, "only {at} operations in run {number}");
    }
}

/// False if the run has fewer operations.
fn check_one(fault: Fault, number: usize) -> bool {
    let disk = SimulatedDisk::new();
    let mut promised = Promised { run: number, ..Promised::default() };
    for &available in &SESSION[..number] {
        run(&Disks::of(&disk), available, Sloppy::default(), &mut |_| ()).unwrap();
        promised.epoch = available;
    }
    let faulty = FaultyDisk::new(disk.clone(), fault);
    let disks = Disks { state: folder(&faulty, STATE), results: folder(&faulty, RESULTS) };
    let ended = run(&disks, SESSION[number], Sloppy::default(), &mut |said| {
        if let Said::Committed { epoch } = said {
            promised.epoch = epoch;
        }
    });
    if faulty.count() < fault.at {
        ended.unwrap();
        return false;
    }
    match ended {
        // Garbage that cannot be judged is left alone.
        Ok(()) => assert!(!fault.for_ever, "{fault:?}"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{fault:?}: {error}"),
    }
    let verdict = judge(&disk, promised, Sloppy::default(), &Disks::of);
    assert_eq!(verdict, Verdict::Whole, "{fault:?} in run {number}");
    true
}

/// A folder of a failing disk, which counts with the others.
fn folder(disk: &FaultyDisk<SimulatedDisk>, name: &str) -> Arc<dyn Disk> {
    Arc::new(disk.map(|inner| inner.folder(name)))
}

#[test]
fn every_operation_may_fail_once() {
    check(Operations::All, Failure::Io, false);
}

#[test]
fn every_operation_may_fail_and_all_after_it() {
    check(Operations::All, Failure::Io, true);
}

#[test]
fn every_sync_may_fail_once_or_for_ever() {
    check(Operations::Syncs, Failure::Io, false);
    check(Operations::Syncs, Failure::Io, true);
}

#[test]
fn the_disk_may_be_full_at_every_write() {
    check(Operations::Writes, Failure::Full, false);
    check(Operations::Writes, Failure::Full, true);
}

#[test]
fn every_write_may_stop_half_way() {
    check(Operations::Writes, Failure::ShortWrite, false);
    check(Operations::Mutating, Failure::ShortWrite, true);
}
