//! A state directory while nothing goes wrong.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::sync::Arc;

use millpond_error::{Error, ErrorKind};
use millpond_store::{
    ArrangementRecord, BlobRange, CheckpointShare, Disk, Failure, Fault, FaultyDisk, LocalDisk, LogicalRun, Manifest,
    Operations, PartRecord, SegmentRecord, SimulatedDisk, SinkRecord, StateDir, StepRecord,
};
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

fn open(disk: &SimulatedDisk) -> (StateDir, Option<Manifest>) {
    StateDir::open(Arc::new(disk.clone())).unwrap()
}

fn fresh(disk: &SimulatedDisk) -> StateDir {
    let state = open(disk).0;
    state.genesis(Vec::new()).unwrap();
    state
}

fn step(places: &[BlobRange]) -> Vec<StepRecord> {
    let record = |place: &BlobRange| SegmentRecord {
        place: place.clone(),
        checksum: 7,
        from: 0,
        to: u64::MAX,
        rows: 1,
        level: 0,
    };
    let segments = places.iter().map(record).collect();
    let arrangements = vec![ArrangementRecord { name: "main".into(), segments }];
    vec![StepRecord { name: "sessions".into(), arrangements }]
}

/// Commits the given runs as a whole state.
fn commit(state: &StateDir, epoch: u64, runs: &[&[u8]]) -> Manifest {
    let checkpoint = state.begin().unwrap();
    let mut writer = checkpoint.writer(0);
    let places: Vec<_> = runs.iter().map(|run| writer.append(run).unwrap()).collect();
    writer.finish().unwrap();
    let manifest = Manifest { steps: step(&places), ..checkpoint.manifest(epoch) };
    checkpoint.commit(&manifest).unwrap();
    manifest
}

#[test]
fn a_commit_reads_back() {
    let disk = SimulatedDisk::new();
    let state = fresh(&disk);
    let written = commit(&state, 42, &[b"first", b"second"]);
    drop(state);
    let (state, read) = open(&disk);
    assert_eq!(read.as_ref(), Some(&written));
    let bytes: Vec<_> = read.unwrap().places().map(|place| state.segment_bytes(place).unwrap()).collect();
    assert_eq!(bytes, ["first", "second"]);
    assert_eq!(state.hash_seed(), written.hash_seed);
}

#[test]
fn the_logical_run_continues_until_it_is_marked_finished() {
    let disk = SimulatedDisk::new();
    let new = |number| LogicalRun { number, continues: false };
    assert_eq!(open(&disk).0.logical_run(), new(1));
    drop(fresh(&disk));
    let (state, _) = open(&disk);
    assert_eq!(state.logical_run(), LogicalRun { number: 1, continues: true });
    state.mark_finished().unwrap();
    drop(state);
    let (state, _) = open(&disk);
    assert!(state.run_finished());
    assert_eq!(state.logical_run(), new(2));
    commit(&state, 2, &[b"x"]);
    assert!(!state.run_finished());
    drop(state);
    assert_eq!(open(&disk).0.logical_run(), LogicalRun { number: 2, continues: true });
}

#[test]
fn a_small_commit_syncs_three_times_and_the_mark_once() {
    let disk = SimulatedDisk::new();
    drop(fresh(&disk));
    let fault = Fault { operations: Operations::Syncs, at: 0, for_ever: false, failure: Failure::Io };
    let counting = FaultyDisk::new(disk, fault);
    let (state, _) = StateDir::open(Arc::new(counting.clone())).unwrap();
    assert_eq!(counting.count(), 1, "an unfinished run syncs the folder before it goes on");
    for generation in 2..5 {
        let before = counting.count();
        commit(&state, generation * 2, &[b"a", b"b", b"c"]);
        assert_eq!(counting.count() - before, 3);
    }
    let before = counting.count();
    state.mark_finished().unwrap();
    state.mark_finished().unwrap();
    drop(state);
    StateDir::open(Arc::new(counting.clone())).unwrap();
    assert_eq!(counting.count() - before, 1);
}

#[test]
fn the_mark_is_the_last_mutating_call_and_one_call() {
    let disk = SimulatedDisk::new();
    let state = fresh(&disk);
    commit(&state, 2, &[b"a"]);
    let before = disk.steps();
    state.mark_finished().unwrap();
    drop(state);
    assert_eq!(disk.steps(), before + 1);
}

#[test]
fn opening_a_finished_state_changes_nothing() {
    let disk = SimulatedDisk::new();
    let state = fresh(&disk);
    state.mark_finished().unwrap();
    drop(state);
    let before = disk.steps();
    open(&disk);
    assert_eq!(disk.steps(), before);
}

#[test]
fn after_a_commit_only_what_it_names_is_there() {
    let disk = SimulatedDisk::new();
    let state = fresh(&disk);
    for epoch in [2, 4, 6] {
        commit(&state, epoch, &[b"whole state"]);
        let generation = epoch / 2 + 1;
        let names = ["finished".to_owned(), format!("manifest-{generation:016}")];
        let blobs = [generation, generation + 1].map(|generation| format!("runs-{generation:016}-0"));
        assert_eq!(disk.files(), [names, blobs].concat());
    }
    for epoch in [8, 10] {
        let manifest = commit(&state, epoch, &[]);
        let spare = format!("runs-{:016}-0", manifest.generation + 1);
        assert_eq!(disk.files(), ["finished", &format!("manifest-{:016}", manifest.generation), &spare]);
    }
}

#[test]
fn what_a_crash_left_is_removed_when_the_next_checkpoint_begins() {
    let disk = SimulatedDisk::new();
    let state = fresh(&disk);
    commit(&state, 2, &[b"whole state"]);
    drop(state);
    disk.put("manifest-0000000000000001", b"left by a crash");
    disk.put("runs-0000000000000001-0", b"left by a crash");
    disk.put("runs-0000000000000003-3", b"left by a crash");
    disk.put("manifest.tmp", b"left by a crash");
    disk.put("notes.txt", b"not ours");
    let (state, _) = open(&disk);
    let expected =
        ["finished", "manifest-0000000000000002", "notes.txt", "runs-0000000000000002-0", "runs-0000000000000003-0"];
    drop(state.begin().unwrap());
    assert_eq!(disk.files(), expected);
    // A checkpoint that is given up leaves something, too.
    let mut writer = state.begin().unwrap().writer(7).apart();
    writer.append(b"given up").unwrap();
    assert_eq!(disk.files().len(), 6);
    drop(state.begin().unwrap());
    assert_eq!(disk.files(), expected);
}

#[test]
fn a_blob_that_two_generations_share_is_kept() {
    let disk = SimulatedDisk::new();
    let state = fresh(&disk);
    let place = commit(&state, 2, &[b"shared"]).places().next().unwrap().clone();
    for epoch in [4, 6, 8, 10] {
        let checkpoint = state.begin().unwrap();
        let manifest = Manifest { steps: step(std::slice::from_ref(&place)), ..checkpoint.manifest(epoch) };
        checkpoint.commit(&manifest).unwrap();
    }
    state.begin().unwrap();
    assert_eq!(state.segment_bytes(&place).unwrap(), "shared");
    drop(state);
    open(&disk);
}

#[test]
fn workers_write_at_the_same_time_into_one_blob_or_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(LocalDisk::private(folder.path()).unwrap());
    let (state, _) = StateDir::open(disk.clone()).unwrap();
    state.genesis(Vec::new()).unwrap();
    let checkpoint = state.begin().unwrap();
    let run = |worker: usize, number: usize| vec![(worker * 16 + number) as u8; 1 + 1000 * (worker + number)];
    let places: Vec<Vec<BlobRange>> = std::thread::scope(|scope| {
        let write = |worker: usize| {
            let writer = checkpoint.writer(worker);
            let mut writer = if worker < 2 { writer.apart() } else { writer };
            let mut places: Vec<_> = (0..16).map(|number| writer.append(&run(worker, number)).unwrap()).collect();
            places.push(writer.append(&vec![worker as u8; 1 << 20]).unwrap());
            writer.finish().unwrap();
            places
        };
        let threads: Vec<_> = (0..4).map(|worker| scope.spawn(move || write(worker))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let manifest = Manifest { steps: step(&places.concat()), ..checkpoint.manifest(2) };
    checkpoint.commit(&manifest).unwrap();
    drop(state);
    let (state, _) = StateDir::open(disk).unwrap();
    for (worker, places) in places.iter().enumerate() {
        for (number, place) in places.iter().take(16).enumerate() {
            assert_eq!(place.offset % 64, 0);
            assert_eq!(state.segment_bytes(place).unwrap(), run(worker, number));
        }
        assert_eq!(state.segment_bytes(&places[16]).unwrap(), vec![worker as u8; 1 << 20]);
    }
    assert_eq!(places[3][0].blob, "runs-0000000000000002-0");
    assert_eq!(places[3][16].blob, "runs-0000000000000002-4");
    assert_eq!(places[0][0].blob, "runs-0000000000000002-1");
}

/// The error is of this kind and reads so, its hint included.
#[track_caller]
fn check_error(error: &Error, kind: ErrorKind, text: &str) {
    assert_eq!((error.kind(), error.to_string().as_str()), (kind, text));
}

#[test]
fn one_checkpoint_at_a_time() {
    let state = fresh(&SimulatedDisk::new());
    let first = state.begin().unwrap();
    let second = state.begin().unwrap_err();
    check_error(&second, ErrorKind::Invalid, "a checkpoint is being written already");
    let early = state.mark_finished().unwrap_err();
    check_error(&early, ErrorKind::Invalid, "a run finishes after its last checkpoint, not before");
    drop(first);
    state.begin().unwrap();
}

#[test]
fn a_manifest_of_another_checkpoint_is_not_committed() {
    let state = fresh(&SimulatedDisk::new());
    let checkpoint = state.begin().unwrap();
    let manifest = Manifest { generation: 9, ..checkpoint.manifest(2) };
    let error = checkpoint.commit(&manifest).unwrap_err();
    check_error(&error, ErrorKind::Invalid, "a manifest of generation 9 is not of the checkpoint 2");
    commit(&state, 2, &[b"a"]);
}

#[test]
fn another_process_must_save_into_the_same_directory() {
    let (disk, elsewhere) = (SimulatedDisk::new(), SimulatedDisk::new());
    let state = fresh(&disk);
    let save = |theirs: &SimulatedDisk| {
        let checkpoint = state.begin().unwrap();
        let share = CheckpointShare::new(Arc::new(theirs.clone()), checkpoint.generation(), 5);
        let place = share.writer(3).append(b"of process 1").unwrap();
        share.finish().unwrap();
        let manifest = Manifest { steps: step(std::slice::from_ref(&place)), ..checkpoint.manifest(2) };
        checkpoint.commit(&manifest).map(|()| place)
    };
    let text = "another process saved its state elsewhere: runs-0000000000000002-5 is not there as it wrote it\n\
                hint: all processes need the same state directory, such as one on a shared file system";
    check_error(&save(&elsewhere).unwrap_err(), ErrorKind::Invalid, text);
    assert_eq!(state.generation(), 1);
    // As the hint says.
    let place = save(&disk).unwrap();
    assert_eq!(state.segment_bytes(&place).unwrap(), "of process 1");
}

#[test]
fn nothing_is_committed_after_a_failed_write() {
    let disk = SimulatedDisk::new();
    drop(fresh(&disk));
    let failures = [
        (Failure::ShortWrite, "Input/output error (os error 5)"),
        (Failure::Full, "No space left on device (os error 28)"),
    ];
    for (failure, reason) in failures {
        let fault = Fault { operations: Operations::Writes, at: 1, for_ever: false, failure };
        let (state, _) = StateDir::open(Arc::new(FaultyDisk::new(disk.clone(), fault))).unwrap();
        let checkpoint = state.begin().unwrap();
        let failed = checkpoint.writer(0).append(b"run").unwrap_err();
        let text = format!("cannot use runs-0000000000000002-0: {reason}");
        check_error(&failed, ErrorKind::Unavailable, &text);
        let manifest = checkpoint.manifest(2);
        let text = "an earlier write of the saved state failed, and nothing is saved after it\n\
                    hint: run the program again: it goes on from the last checkpoint";
        check_error(&checkpoint.commit(&manifest).unwrap_err(), ErrorKind::Unavailable, text);
        check_error(&state.begin().unwrap_err(), ErrorKind::Unavailable, text);
        check_error(&state.mark_finished().unwrap_err(), ErrorKind::Unavailable, text);
        assert_eq!(state.generation(), 1);
    }
    // As the hint says.
    let (state, last) = open(&disk);
    assert_eq!(last.unwrap().generation, 1);
    commit(&state, 2, &[b"run"]);
}

const WAY_OUT: &str =
    "restore the state directory from a backup, or remove it and let the next run compute everything again";
const MANIFEST: &str = "manifest-0000000000000002";
const BLOB: &str = "runs-0000000000000002-0";

/// A finished state with one run and something to be delivered.
fn saved() -> SimulatedDisk {
    let disk = SimulatedDisk::new();
    let state = fresh(&disk);
    let checkpoint = state.begin().unwrap();
    let mut writer = checkpoint.writer(0);
    let run = writer.append(b"a run").unwrap();
    let part = PartRecord::new(writer.append(b"changes").unwrap(), b"changes");
    writer.finish().unwrap();
    let sink = SinkRecord { name: "alerts".into(), position: json!(null), outbox: vec![part] };
    let manifest = Manifest { steps: step(&[run]), sinks: vec![sink], ..checkpoint.manifest(2) };
    checkpoint.commit(&manifest).unwrap();
    state.mark_finished().unwrap();
    drop(state);
    disk
}

/// Reads all that a run reads when it starts.
fn read_all(disk: &SimulatedDisk) -> Result<(), Error> {
    let (state, manifest) = StateDir::open(Arc::new(disk.copy()))?;
    let manifest = manifest.expect("a manifest");
    state.check_blobs()?;
    manifest
        .steps
        .iter()
        .flat_map(|step| &step.arrangements)
        .flat_map(|arrangement| &arrangement.segments)
        .try_for_each(|run| {
            assert_eq!(state.segment_bytes(&run.place)?, "a run");
            Ok::<_, Error>(())
        })?;
    manifest.sinks.iter().flat_map(|sink| &sink.outbox).try_for_each(|part| state.part_bytes(part).map(drop))
}

/// Writes a manifest whose checksum is right.
fn rewrite(disk: &SimulatedDisk, change: impl Fn(&mut Value)) {
    let bytes = disk.read(MANIFEST).unwrap().unwrap();
    let mut json: Value = serde_json::from_slice(bytes.split(|byte| *byte == b'\n').nth(1).unwrap()).unwrap();
    change(&mut json);
    let body = format!("millpond manifest 3\n{json}\n");
    disk.put(MANIFEST, format!("{body}{:016x}\n", xxh3_64(body.as_bytes())).as_bytes());
}

/// What is damaged, how, and what is said of it; the hint is the same for all.
type Damage = (fn(&SimulatedDisk), &'static str);

const DAMAGES: &[Damage] = &[
    (
        |disk| disk.put(MANIFEST, b"millpond m"),
        "manifest-0000000000000002 is damaged: its first line is not that of a manifest",
    ),
    (
        |disk| disk.put(MANIFEST, b"millpond manifest 3\n"),
        "manifest-0000000000000002 is damaged: its checksum does not match",
    ),
    (
        |disk| rewrite(disk, |json| json["epoch"] = json!("soon")),
        "manifest-0000000000000002 is damaged: invalid type: string \"soon\", expected u64",
    ),
    (
        |disk| rewrite(disk, |json| json["hash_seed"] = json!("5eed")),
        "manifest-0000000000000002 is damaged: \"5eed\" is not 16 hexadecimal digits",
    ),
    (
        |disk| rewrite(disk, |json| json["steps"][0]["arrangements"][0]["runs"][0]["blob"] = json!("../runs")),
        "manifest-0000000000000002 is damaged: \"../runs\" is not the name of a blob",
    ),
    (
        |disk| rewrite(disk, |json| json["steps"][0]["arrangements"][0]["runs"][0]["offset"] = json!(u64::MAX)),
        "manifest-0000000000000002 is damaged: a run has an impossible length",
    ),
    (
        |disk| rewrite(disk, |json| json["generation"] = json!(7)),
        "manifest-0000000000000002 holds generation 7, not its own",
    ),
    (
        |disk| rewrite(disk, |json| json["epoch"] = json!(4)),
        "manifest-0000000000000002 is not the manifest that finished was written for",
    ),
    (|disk| disk.remove(MANIFEST).unwrap(), "manifest-0000000000000002 is missing"),
    (|disk| disk.remove("finished").unwrap(), "finished is missing"),
    (|disk| disk.put("finished", b"millpond"), "finished is damaged: it holds 8 bytes"),
    (|disk| disk.remove(BLOB).unwrap(), "runs-0000000000000002-0 is missing"),
    (|disk| disk.put(BLOB, b"a r"), "runs-0000000000000002-0 is damaged: it holds 3 bytes, less than its runs need"),
    (
        |disk| disk.put(BLOB, &[b"a run".as_slice(), &[0; 59], b"chances"].concat()),
        "runs-0000000000000002-0 is damaged: the checksum of what is to be delivered does not match",
    ),
];

/// Damage is told by the name of the file, whatever it is; nothing is changed by that, and both ways out lead out.
#[test]
fn damage_names_the_file_and_the_hint_leads_out_of_it() {
    let disk = saved();
    read_all(&disk).unwrap();
    let backup: Vec<_> = disk.files().into_iter().map(|name| (name.clone(), disk.read(&name).unwrap())).collect();
    for (damage, what) in DAMAGES {
        damage(&disk);
        let damaged = disk.files();
        let error = read_all(&disk).unwrap_err();
        assert_eq!((error.kind(), error.hint()), (ErrorKind::Data, Some(WAY_OUT)));
        assert!(error.message().starts_with(what), "{error}");
        assert_eq!(disk.files(), damaged);
        // Restored from a backup.
        backup.iter().for_each(|(name, bytes)| disk.put(name, bytes.as_ref().unwrap()));
        read_all(&disk).unwrap();
        // Removed.
        let removed = disk.copy();
        removed.files().iter().for_each(|name| removed.remove(name).unwrap());
        commit(&fresh(&removed), 2, &[b"everything again"]);
    }
}

/// Commits a state of one run, made by the program of this plan.
fn commit_plan(state: &StateDir, plan: &[u8]) -> Manifest {
    let checkpoint = state.begin().unwrap();
    let plan = Some(checkpoint.put_plan(plan).unwrap());
    let manifest = Manifest { plan, ..checkpoint.manifest(2) };
    checkpoint.commit(&manifest).unwrap();
    manifest
}

fn plans(disk: &SimulatedDisk) -> Vec<String> {
    disk.files().into_iter().filter(|name| name.starts_with("plan-")).collect()
}

#[test]
fn a_plan_is_one_file_as_long_as_a_manifest_names_it() {
    let disk = SimulatedDisk::new();
    let state = fresh(&disk);
    assert_eq!(state.plan().unwrap(), None);
    let first = commit_plan(&state, b"count visits").plan.unwrap();
    assert_eq!((plans(&disk), state.plan().unwrap().as_deref()), (vec![first.clone()], Some(&b"count visits"[..])));
    drop(state);
    let (state, manifest) = open(&disk);
    assert_eq!(manifest.unwrap().plan.as_ref(), Some(&first));
    // The same program writes nothing.
    disk.put(&first, b"written again?");
    commit_plan(&state, b"count visits");
    disk.put(&first, b"count visits");
    assert_eq!(plans(&disk), [first.as_str()]);
    let second = commit_plan(&state, b"count users").plan.unwrap();
    assert_eq!((plans(&disk), state.plan().unwrap().as_deref()), (vec![second.clone()], Some(&b"count users"[..])));
    // What an attempt leaves that is cut off is removed by the next one.
    state.begin().unwrap().put_plan(b"count pages").unwrap();
    assert_eq!(plans(&disk).len(), 2);
    commit_plan(&state, b"count users");
    assert_eq!(plans(&disk), [second.as_str()]);
}

/// A run commits while somebody looks: each look finds a whole checkpoint.
#[test]
fn a_state_can_be_looked_at_while_a_run_commits() {
    let disk = SimulatedDisk::new();
    let look = |disk: &SimulatedDisk| StateDir::look(disk).unwrap();
    assert_eq!(look(&disk), None);
    let state = fresh(&disk);
    assert_eq!(look(&disk).unwrap().1, None);
    let writer = std::thread::spawn(move || {
        (0..300).for_each(|number| drop(commit_plan(&state, format!("plan {}", number / 2).as_bytes())));
    });
    let mut seen = 0;
    while !writer.is_finished() {
        let (manifest, plan) = look(&disk).unwrap();
        assert!(manifest.generation >= seen);
        seen = manifest.generation;
        assert_eq!(plan.is_some(), manifest.plan.is_some());
    }
    writer.join().unwrap();
    assert_eq!(look(&disk).unwrap().1.as_deref(), Some(&b"plan 149"[..]));
}

#[test]
fn a_plan_that_is_damaged_or_gone_is_named() {
    let disk = SimulatedDisk::new();
    let name = commit_plan(&fresh(&disk), b"count visits").plan.unwrap();
    let refused = |what: &str| {
        let error = StateDir::open(Arc::new(disk.clone())).unwrap_err();
        check_error(&error, ErrorKind::Data, &format!("{name} {what}\nhint: {WAY_OUT}"));
    };
    disk.put(&name, b"count users");
    refused("is damaged: its content is not the one that it is named by");
    disk.remove(&name).unwrap();
    refused("is missing");
    let manifest = "manifest-0000000000000002";
    let text = String::from_utf8(disk.read(manifest).unwrap().unwrap().to_vec()).unwrap();
    let body = text[..text.len() - 17].replace(&name, "../plan");
    disk.put(manifest, format!("{body}{:016x}\n", xxhash_rust::xxh3::xxh3_64(body.as_bytes())).as_bytes());
    let error = StateDir::open(Arc::new(disk.clone())).unwrap_err();
    assert_eq!(error.message(), format!("{manifest} is damaged: \"../plan\" is not the name of a plan"));
}

/// A blob that is cut while a run has the state open is damage, too.
#[test]
fn a_blob_that_is_cut_later_is_named() {
    let disk = saved();
    let (state, manifest) = open(&disk);
    let manifest = manifest.unwrap();
    disk.put(BLOB, b"a r");
    let text =
        format!("runs-0000000000000002-0 is damaged: it holds 3 bytes, less than its runs need\nhint: {WAY_OUT}");
    check_error(&state.check_blobs().unwrap_err(), ErrorKind::Data, &text);
    check_error(&state.segment_bytes(manifest.places().next().unwrap()).unwrap_err(), ErrorKind::Data, &text);
}

#[test]
fn each_directory_has_its_own_secret() {
    let seeds = [(); 3].map(|()| fresh(&SimulatedDisk::new()).hash_seed());
    assert!(seeds[0] != seeds[1] && seeds[1] != seeds[2]);
}

/// What the directory of a manifest with this first line is refused with.
fn refusal(first_line: &str) -> millpond_error::Error {
    let disk = SimulatedDisk::new();
    drop(fresh(&disk));
    let name = "manifest-0000000000000001";
    let text = String::from_utf8(disk.read(name).unwrap().unwrap().to_vec()).unwrap();
    disk.put(name, text.replace("millpond manifest 3\n", first_line).as_bytes());
    let error = StateDir::open(Arc::new(disk)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    error
}

#[test]
fn other_formats_are_refused_with_both_versions_and_a_way_out() {
    let version = env!("CARGO_PKG_VERSION");
    for (format, way_out) in [(1, "go on with the Millpond that wrote the state"), (4, "the newer Millpond")] {
        let error = refusal(&format!("millpond manifest {format}\n"));
        let expected = format!(
            "manifest-0000000000000001 was written by another build of Millpond {version} in state format {format}; \
             this Millpond ({version}) reads format 3"
        );
        assert_eq!(error.message(), expected);
        assert!(error.hint().unwrap().contains(way_out), "{error:?}");
    }
    assert!(refusal("millpond manifest x\n").message().contains("is damaged"));
}

#[test]
fn a_manifest_is_three_lines_of_text() {
    let disk = SimulatedDisk::new();
    let state = fresh(&disk);
    commit(&state, 42, &[b"abc"]);
    let bytes = disk.read("manifest-0000000000000002").unwrap().unwrap();
    let text = std::str::from_utf8(&bytes).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0], "millpond manifest 3");
    let json: serde_json::Value = serde_json::from_str(lines[1]).unwrap();
    let expected = json!({
        "engine": env!("CARGO_PKG_VERSION"),
        "generation": 2,
        "epoch": 42,
        "hash_seed": format!("{:016x}", state.hash_seed()),
        "run": {"number": 1, "continues": false},
        "steps": [{
            "name": "sessions",
            "arrangements": [{"name": "main", "runs": [{
                "blob": "runs-0000000000000002-0", "offset": 0, "length": 3, "checksum": "0000000000000007",
                "from": "0000000000000000", "to": "ffffffffffffffff", "rows": 1, "level": 0,
            }]}],
        }],
        "sinks": [],
    });
    assert_eq!(json, expected);
    assert_eq!(lines[2].len(), 16);
    assert!(text.ends_with('\n'));
}
