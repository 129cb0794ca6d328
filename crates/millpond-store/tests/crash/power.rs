//! Power loss at every step of a session, in many ways.

use std::sync::Arc;

use millpond_store::{Disk, SimulatedDisk, StateDir};

use crate::broken::{Broken, BrokenDisk};
use crate::program::{Disks, Promised, RESULTS, SESSION, STATE, Said, Sloppy, Verdict, judge, run};

/// How the images of a session came out.
#[derive(Debug, Default)]
struct Tally {
    images: u64,
    lost: u64,
    refused: u64,
    wrong: u64,
    first: Option<String>,
}

impl Tally {
    fn add(&mut self, verdict: &Verdict, describe: impl FnOnce() -> String) {
        self.images += 1;
        match verdict {
            Verdict::Whole => return,
            Verdict::Lost(_) => self.lost += 1,
            Verdict::Refused(_) => self.refused += 1,
            Verdict::Wrong(_) => self.wrong += 1,
        }
        self.first.get_or_insert_with(|| format!("{}: {verdict:?}", describe()));
    }

    fn bad(&self) -> u64 {
        self.lost + self.refused + self.wrong
    }
}

/// What was promised at the end of each step (index 0: before the first).
type Promises = Vec<Promised>;

/// The whole session, recorded.
fn session(sloppy: Sloppy, wrap: &dyn Fn(&SimulatedDisk) -> Disks) -> (SimulatedDisk, Promises) {
    let disk = SimulatedDisk::new();
    disk.record();
    let mut promises = vec![Promised::default()];
    for (number, &available) in SESSION.iter().enumerate() {
        let mut promised = Promised { run: number, ..*promises.last().unwrap() };
        let disks = wrap(&disk);
        run(&disks, available, sloppy, &mut |said| {
            promises.resize(disk.steps() as usize + 1, promised);
            match said {
                Said::Committed { epoch } => promised.epoch = epoch,
                Said::Finished => {}
            }
            *promises.last_mut().unwrap() = promised;
        })
        .unwrap();
    }
    (disk, promises)
}

/// Cuts the power at every step of the session, `seeds` times each.
fn sweep(seeds: u64, sloppy: Sloppy, wrap: &dyn Fn(&SimulatedDisk) -> Disks) -> Tally {
    let (disk, promises) = session(sloppy, wrap);
    let mut tally = Tally::default();
    for step in 1..=disk.steps() {
        // What was said before the step holds; the run under way is the one that made the step.
        let before = promises[step as usize - 1];
        let promised = Promised { run: promises[step as usize].run, ..before };
        for seed in 0..seeds {
            let image = disk.image_at(step, seed << 32 | step);
            tally.add(&judge(&image, promised, sloppy, wrap), || format!("step {step}, seed {seed}"));
        }
    }
    tally
}

/// Images of each step in the main sweep; `MILLPOND_POWER_SEEDS` asks for more.
fn seeds() -> u64 {
    std::env::var("MILLPOND_POWER_SEEDS").map_or(100, |seeds| seeds.parse().unwrap())
}

fn breaking(how: Broken) -> impl Fn(&SimulatedDisk) -> Disks {
    move |disk| {
        let state: Arc<dyn Disk> = Arc::new(BrokenDisk::new(disk.folder(STATE), how));
        Disks { state, results: Arc::new(disk.folder(RESULTS)) }
    }
}

#[track_caller]
fn check_caught(how: Broken) {
    let tally = sweep(20, Sloppy::default(), &breaking(how));
    println!("{how:?}: {tally:?}");
    assert!(tally.bad() > 0, "{how:?} was not noticed in {} images", tally.images);
}

#[test]
fn nothing_is_lost_doubled_or_damaged_in_any_image() {
    let tally = sweep(seeds(), Sloppy::default(), &Disks::of);
    println!("{tally:?}");
    assert!(tally.images >= 10_000, "only {} images", tally.images);
    assert_eq!(tally.bad(), 0, "{tally:?}");
}

#[test]
fn a_power_cut_during_the_recovery_from_a_power_cut_changes_nothing() {
    let (disk, promises) = session(Sloppy::default(), &Disks::of);
    let mut tally = Tally::default();
    for step in 1..=disk.steps() {
        let promised = Promised { run: promises[step as usize].run, ..promises[step as usize - 1] };
        for seed in 0..3 {
            let first = disk.image_at(step, seed);
            let (epoch, finished) = left_by(&first);
            if finished && epoch > promised.start() {
                // The run was over; what comes next is a run of its own, with nothing to write.
                continue;
            }
            first.record();
            run(&Disks::of(&first), SESSION[promised.run], Sloppy::default(), &mut |_| ()).unwrap();
            let promised = Promised { epoch: epoch.max(promised.epoch), ..promised };
            for second in 1..=first.steps() {
                let image = first.image_at(second, seed << 32 | second);
                let verdict = judge(&image, promised, Sloppy::default(), &Disks::of);
                tally.add(&verdict, || format!("step {step}, then {second}, seed {seed}"));
            }
        }
    }
    println!("{tally:?}");
    assert!(tally.images >= 5_000, "only {} images", tally.images);
    assert_eq!(tally.bad(), 0, "{tally:?}");
}

/// The epoch of the state that a crash left, and whether its run is marked finished.
fn left_by(disk: &SimulatedDisk) -> (u64, bool) {
    let (state, manifest) = StateDir::open(Disks::of(&disk.copy()).state).unwrap();
    (manifest.map_or(0, |manifest| manifest.epoch), state.run_finished())
}

#[test]
fn a_commit_without_file_sync_is_caught_and_never_silently() {
    let tally = sweep(20, Sloppy::default(), &breaking(Broken::NoFileSync));
    println!("{tally:?}");
    assert!(tally.refused > 0 && tally.wrong == 0, "{tally:?}");
}

#[test]
fn a_commit_without_folder_sync_is_caught() {
    check_caught(Broken::NoFolderSync);
}

#[test]
fn a_rename_before_the_blobs_names_are_durable_is_caught() {
    check_caught(Broken::OneFolderSync);
}

#[test]
fn a_manifest_before_its_blobs_is_caught() {
    check_caught(Broken::ManifestFirst);
}

#[test]
fn a_finished_mark_that_is_not_written_through_is_caught() {
    check_caught(Broken::MarkNotThrough);
}

#[test]
fn missing_checksums_let_unsynced_bytes_pass_silently_which_is_caught() {
    let sloppy = Sloppy { no_checksum: true, ..Sloppy::default() };
    let tally = sweep(20, sloppy, &breaking(Broken::NoFileSyncNoChecksum));
    println!("{tally:?}");
    assert!(tally.wrong > 0, "{tally:?}");
}

#[test]
fn a_result_file_that_is_not_cut_back_is_caught() {
    let sloppy = Sloppy { no_cut_back: true, ..Sloppy::default() };
    let tally = sweep(20, sloppy, &Disks::of);
    println!("{tally:?}");
    assert!(tally.wrong > 0, "{tally:?}");
}

#[test]
fn a_result_file_that_is_not_synced_is_caught() {
    let tally = sweep(20, Sloppy::default(), &|disk| {
        let results: Arc<dyn Disk> = Arc::new(BrokenDisk::new(disk.folder(RESULTS), Broken::NoFileSync));
        Disks { state: Arc::new(disk.folder(STATE)), results }
    });
    println!("{tally:?}");
    assert!(tally.bad() > 0, "{tally:?}");
}

#[test]
fn a_cut_while_running_stops_the_program_and_leaves_the_same_kind_of_image() {
    let (recorded, promises) = session(Sloppy::default(), &Disks::of);
    let steps = promises.iter().filter(|promised| promised.run == 0).count() as u64 - 1;
    for step in 1..=steps {
        let disk = SimulatedDisk::new();
        disk.cut_at(step, step);
        let error = run(&Disks::of(&disk), SESSION[0], Sloppy::default(), &mut |_| ()).unwrap_err();
        assert_eq!(error.kind(), millpond_error::ErrorKind::Unavailable, "{error}");
        let image = disk.image().unwrap();
        assert_eq!(image.files(), recorded.image_at(step, step).files(), "step {step}");
        let verdict = judge(&image, promises[step as usize - 1], Sloppy::default(), &Disks::of);
        assert_eq!(verdict, Verdict::Whole, "step {step}");
    }
}
