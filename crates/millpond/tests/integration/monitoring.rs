//! The numbers of a run are the truth, in the report and while it goes on.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use millpond::csv::{self, OnError, ReadOptions, Streaming, WriteMode};
use millpond::monitor::Snapshot;
use millpond::{
    Backend, ErrorKind, Monitor, Output, RunOptions, Stop, Type, col, common_behavior, count, max, run, tumbling,
};
use serde_json::{Value, json};

/// Long enough on any machine for what takes some milliseconds.
const PATIENCE: Duration = Duration::from_secs(60);

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("logs")).expect("a folder for logs");
        Folder(folder)
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path("logs").join(name), text).expect("a log");
    }

    fn input_bytes(&self) -> u64 {
        let files = fs::read_dir(self.path("logs")).expect("logs");
        files.map(|file| file.and_then(|file| file.metadata()).expect("a log").len()).sum()
    }

    /// The number of visits of each user.
    fn program(&self, options: ReadOptions) -> [Output; 1] {
        let options = ReadOptions { name: Some("visits".into()), ..options };
        let logs = self.path("logs");
        let schema = [("user", Type::Str.required()), ("time", Type::Int.required())];
        let visits = csv::read(logs.to_str().expect("a plain path"), schema).options(options).table();
        [csv::write(
            &visits.groupby(["user"]).reduce([("n", count()), ("last", max(col("time")))]),
            self.path("result.csv").display().to_string(),
        )]
    }

    fn options(&self, monitor: &Monitor) -> RunOptions {
        let state = Backend::filesystem(self.path("state")).expect("a state");
        RunOptions::default().quiet().workers(2).state(state).report(self.path("report.json")).monitor(monitor.clone())
    }

    fn report(&self) -> Value {
        read_json(&self.path("report.json"))
    }
}

/// Stops a run, also when a test fails.
struct Stopping<'a>(&'a Stop);

impl Drop for Stopping<'_> {
    fn drop(&mut self) {
        self.0.request();
    }
}

fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("a report")).expect("JSON")
}

/// Rows of many users: `rows` of them for each.
fn visits(users: u64, rows: u64) -> String {
    let lines = (0..users * rows).map(|row| format!("user {},{row}\n", row % users));
    ["user,time\n".to_owned()].into_iter().chain(lines).collect()
}

/// Then the state of a group is one row.
fn append_only() -> ReadOptions {
    ReadOptions { append_only: true, ..ReadOptions::default() }
}

#[test]
fn the_numbers_of_two_runs_are_the_truth() {
    let (folder, monitor) = (Folder::new(), Monitor::default());
    folder.write("one.csv", &visits(1000, 3));
    folder.write("two.csv", &visits(500, 1));
    run(folder.program(append_only()), &folder.options(&monitor)).unwrap();

    let seen = monitor.snapshot().unwrap();
    let [source] = &seen.sources[..] else { panic!("one source: {seen:?}") };
    assert_eq!((source.name.as_str(), source.kind.as_str()), ("visits", "csv"));
    assert_eq!((source.files_new, source.files_changed, source.files_unchanged, source.files_read), (2, 0, 0, 2));
    assert_eq!((source.rows_read, source.rows_rejected), (3500, 0));
    assert_eq!((source.bytes_read, source.bytes_waiting), (folder.input_bytes(), 0));
    assert_eq!((source.state_rows, source.state_segments), (2, 1), "the table of files");
    assert!(source.state_bytes > 100);
    let [step] = &seen.steps[..] else { panic!("one step: {seen:?}") };
    assert_eq!(step.kind, "reduce");
    assert_eq!((step.rows_in, step.rows_out, step.state_rows), (3500, 1000, 1000));
    assert!(step.state_bytes > 1000 && step.state_segments > 0 && step.busy_s > 0.0, "{step:?}");
    let [output] = &seen.outputs[..] else { panic!("one output: {seen:?}") };
    assert_eq!((output.kind.as_str(), output.rows_written), ("csv", 1000));
    assert_eq!((seen.run.epochs, seen.run.workers, seen.run.streaming, seen.run.lag_s), (1, 2, false, 0.0));
    assert!(seen.run.last_epoch_s > 0.0 && seen.run.last_epoch_s <= seen.run.elapsed_s);
    let saved = seen.run.last_checkpoint.as_ref().expect("the run has saved its state");
    assert_eq!((Some(saved.epoch), seen.run.checkpoints), (seen.run.epoch, 1));
    let blobs: u64 = fs::read_dir(folder.path("state"))
        .unwrap()
        .map(|file| file.unwrap())
        .filter(|file| file.file_name().to_string_lossy().starts_with("runs-"))
        .map(|file| file.metadata().unwrap().len())
        .sum();
    assert!(saved.bytes > step.state_bytes && saved.bytes == blobs, "{saved:?}, {blobs} bytes of blobs");

    // What is there is not read again, and the state is what it was, also for another number of workers.
    let bytes_before = folder.input_bytes();
    folder.write("three.csv", &visits(1500, 1));
    run(folder.program(append_only()), &folder.options(&monitor).workers(3)).unwrap();
    let seen = monitor.snapshot().unwrap();
    let (source, step) = (&seen.sources[0], &seen.steps[0]);
    assert_eq!((source.files_new, source.files_unchanged, source.rows_read), (1, 2, 1500));
    assert_eq!(source.bytes_read, folder.input_bytes() - bytes_before);
    assert_eq!((step.rows_in, step.rows_out), (1500, 2500), "1000 rows are replaced, 500 are new");
    assert_eq!(seen.outputs[0].rows_written, 2500);
    // Rows are replaced in state, and shares of one run are estimated from the ranges of its keys.
    assert!((1500..=3600).contains(&step.state_rows), "{step:?}");
}

#[test]
fn the_report_says_what_the_run_did() {
    let (folder, monitor) = (Folder::new(), Monitor::default());
    folder.write("one.csv", &visits(10, 2));
    run(folder.program(ReadOptions::default()), &folder.options(&monitor)).unwrap();
    let report = folder.report();
    let keys: Vec<&str> = report.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        ["error", "millpond", "notices", "outputs", "run", "schema", "sources", "status", "steps", "version"]
    );
    assert_eq!(report["schema"], "millpond.run-report");
    assert_eq!(
        (&report["version"], &report["status"], &report["error"]),
        (&json!(1), &json!("finished"), &Value::Null)
    );
    let seen = monitor.snapshot().unwrap();
    for (part, numbers) in json!(seen).as_object().unwrap() {
        assert_eq!(&report[part], numbers, "{part}");
    }
    assert_eq!(report["sources"][0]["rows_read"], 20);
    assert_eq!(fs::read_dir(folder.path("")).unwrap().count(), 4, "logs, result, state and report, no temporary file");
}

#[test]
fn a_run_that_fails_has_a_report_of_what_it_did_until_then() {
    let (folder, monitor) = (Folder::new(), Monitor::default());
    folder.write("one.csv", "user,time\nann,1\nann,noon\n");
    let error = run(folder.program(ReadOptions::default()), &folder.options(&monitor)).unwrap_err();
    let report = folder.report();
    assert_eq!(report["status"], "failed");
    assert_eq!(report["error"]["kind"], "input");
    assert_eq!(report["error"]["message"], error.message());
    assert!(error.message().contains("\"noon\" is not an int"), "{error}");
    assert_eq!((&report["sources"][0]["files_new"], &report["run"]["epochs"]), (&json!(1), &json!(0)));

    // A program that is refused has one, too.
    folder.write("one.csv", "user,time\nann,1\n");
    run(folder.program(ReadOptions::default()), &folder.options(&monitor)).unwrap();
    let other = csv::read(folder.path("logs").to_str().unwrap(), [("user", Type::Str)]).name("visits").table();
    let outputs = [csv::write(&other.filter(col("nobody")), folder.path("result.csv").display().to_string())];
    let error = run(outputs, &folder.options(&monitor)).unwrap_err();
    let report = folder.report();
    assert_eq!((error.kind(), &report["error"]["kind"]), (ErrorKind::Invalid, &json!("invalid")));
    assert!(report["error"]["origin"].as_str().unwrap().contains("monitoring.rs:"), "{report}");
    assert_eq!((&report["run"], &report["sources"]), (&Value::Null, &json!([])));
}

#[test]
fn a_report_without_a_place_is_refused_before_anything_runs() {
    let folder = Folder::new();
    folder.write("one.csv", &visits(1, 1));
    for (path, message) in [("nowhere/report.json", "there is no folder"), ("logs", "is not the name of a file")] {
        let options = folder.options(&Monitor::default()).report(folder.path(path));
        let error = run(folder.program(ReadOptions::default()), &options).unwrap_err();
        assert!(error.kind() == ErrorKind::Invalid && error.message().contains(message), "{error}");
    }
    assert!(!folder.path("result.csv").exists() && !folder.path("state").exists());
}

#[test]
fn rejected_rows_and_their_file_are_counted() {
    let (folder, monitor) = (Folder::new(), Monitor::default());
    folder.write("one.csv", "user,time\nann,1\nann,noon\nbob,2\nbob,\n");
    let on_error = OnError::DeadLetter(folder.path("rejected.csv"));
    run(folder.program(ReadOptions { on_error, ..ReadOptions::default() }), &folder.options(&monitor)).unwrap();
    let seen = monitor.snapshot().unwrap();
    assert_eq!((seen.sources[0].rows_read, seen.sources[0].rows_rejected), (2, 2));
    let outputs: Vec<_> = seen.outputs.iter().map(|output| (output.kind.as_str(), output.rows_written)).collect();
    assert_eq!(outputs, [("csv", 2), ("dead_letter", 2)]);
}

#[test]
fn the_summary_counts_changes_and_present_tables_apart() {
    let (folder, monitor) = (Folder::new(), Monitor::default());
    let logs = folder.path("logs").display().to_string();
    let options = folder.options(&monitor);
    let play = || {
        let visits = csv::read(logs.as_str(), [("user", Type::Str), ("at", Type::Int)]).name("visits").table();
        let counts = visits.groupby(["user"]).reduce([("user", col("user")), ("n", count())]);
        let path = |name: &str| folder.path(name).display().to_string();
        let outputs =
            [csv::write(&counts, path("now.csv")).mode(WriteMode::Snapshot), csv::write(&visits, path("result.csv"))];
        run(outputs, &options).unwrap()
    };
    folder.write("one.csv", "user,at\nann,1\nbob,2\nann,3\n");
    let first = play();
    assert_eq!((first.current_rows, first.changes_written, first.checkpoints), (Some(2), 3, 1));
    assert!(first.to_string().contains("3 rows read, 3 changes written, 2 current rows, "), "{first}");
    assert_eq!((first.outputs[0].current_rows, first.outputs[1].rows_written), (Some(2), 3));
    assert_eq!((first.sources[0].rows_read, first.steps[0].rows_in, first.stopped), (3, 3, false));
    // Nothing is written, and the table is there.
    let second = play();
    assert_eq!((second.current_rows, second.outputs[0].rows_written, second.changes_written), (Some(2), 0, 0));
}

#[test]
fn late_rows_and_closed_windows_are_counted() {
    let (folder, monitor) = (Folder::new(), Monitor::default());
    let logs = folder.path("logs").display().to_string();
    let run_over = |file: &str, rows: &str| {
        folder.write(file, rows);
        let visits = csv::read(logs.as_str(), [("user", Type::Str), ("time", Type::Int)]).name("visits").table();
        let windows = visits.windowby(col("time"), tumbling(60)).behavior(common_behavior().cutoff(10));
        let counts = windows.reduce([("start", col("_pw_window_start")), ("n", count())]);
        let output = csv::write(&counts, folder.path("result.csv").display().to_string());
        let summary = run([output], &folder.options(&monitor)).unwrap();
        let seen = monitor.snapshot().unwrap();
        let numbers = (seen.sum_steps(|step| step.late_rows), seen.sum_steps(|step| step.windows_closed));
        assert_eq!(numbers, (summary.late_rows(), summary.windows_closed()));
        numbers
    };
    assert_eq!(run_over("one.csv", "user,time\nann,5\nann,1000\n"), (0, 1));
    assert_eq!(run_over("two.csv", "user,time\nbob,7\nbob,1001\n"), (1, 0));
    assert_eq!(folder.report()["steps"][0]["late_rows"], 1);
}

#[test]
fn a_run_that_goes_on_shows_its_numbers() {
    let (folder, monitor) = (Folder::new(), Monitor::default());
    folder.write("one.csv", &visits(10, 2));
    let stop = Stop::new();
    let streaming = Some(Streaming { commit_every: Duration::from_millis(10), ..Streaming::default() });
    let program = folder.program(ReadOptions { streaming, ..ReadOptions::default() });
    let mut options = folder.options(&monitor);
    options.stop = stop.clone();
    options.checkpoint_every = Duration::from_millis(10);
    let until = |condition: &dyn Fn(&Snapshot) -> bool| {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let seen = monitor.snapshot();
            if let Some(seen) = seen.as_ref().filter(|seen| condition(seen)) {
                return seen.clone();
            }
            assert!(Instant::now() < deadline, "it did not happen: {seen:?}");
            thread::sleep(Duration::from_millis(2));
        }
    };
    thread::scope(|scope| {
        let stopping = Stopping(&stop);
        let running = scope.spawn(|| run(program, &options));
        let is_saved = |seen: &Snapshot| {
            let saved = seen.run.last_checkpoint.as_ref().map(|saved| saved.epoch);
            saved.is_some() && saved == seen.run.epoch
        };
        let seen = until(&|seen| seen.sources[0].rows_read == 20 && is_saved(seen));
        assert!(seen.run.streaming && seen.run.epochs >= 1 && seen.run.lag_s == 0.0, "{seen:?}");
        folder.write("two.csv", &visits(5, 1));
        let seen = until(&|seen| seen.outputs[0].rows_written == 20 && is_saved(seen));
        assert_eq!((seen.sources[0].rows_read, seen.steps[0].rows_in, seen.steps[0].rows_out), (25, 25, 20));
        assert_eq!(seen.sources[0].bytes_read, folder.input_bytes());
        drop(stopping);
        running.join().unwrap().unwrap();
    });
    let report = folder.report();
    assert_eq!((&report["status"], &report["run"]["streaming"]), (&json!("stopped"), &json!(true)));
}

#[test]
fn a_present_table_is_shown_as_it_was_published() {
    let (folder, monitor) = (Folder::new(), Monitor::default());
    folder.write("one.csv", &visits(10, 2));
    let logs = folder.path("logs").display().to_string();
    let streaming = Streaming { commit_every: Duration::from_millis(10), ..Streaming::default() };
    let result = folder.path("result.csv");
    let visits_of = |streams: bool| {
        let read = csv::read(logs.as_str(), [("user", Type::Str)]).name("visits");
        let read = if streams { read.streaming(streaming) } else { read };
        let users = read.table().groupby(["user"]).reduce([("user", col("user")), ("n", count())]);
        csv::write(&users, result.display().to_string()).mode(csv::WriteMode::Snapshot)
    };
    let published = || fs::read_to_string(&result).map_or(0, |text| text.lines().count() as u64 - 1);
    let stop = Stop::new();
    let mut options = folder.options(&monitor);
    options.stop = stop.clone();
    options.checkpoint_every = Duration::from_millis(10);
    let until = |rows: u64| {
        let deadline = Instant::now() + PATIENCE;
        // Nothing happens after the checkpoint that publishes them.
        while monitor.snapshot().is_none_or(|seen| seen.outputs[0].current_rows != Some(rows)) {
            assert!(Instant::now() < deadline, "it did not happen: {:?}", monitor.snapshot());
            thread::sleep(Duration::from_millis(2));
        }
        assert_eq!(published(), rows);
    };
    thread::scope(|scope| {
        let stopping = Stopping(&stop);
        let running = scope.spawn(|| run([visits_of(true)], &options));
        until(10);
        folder.write("two.csv", &visits(12, 1));
        until(12);
        drop(stopping);
        let summary = running.join().unwrap().unwrap();
        assert_eq!((summary.changes_written, summary.current_rows), (0, Some(12)));
    });
    // A run that writes nothing knows how many there are.
    let summary = run([visits_of(false)], &folder.options(&monitor)).unwrap();
    assert_eq!((summary.rows_read, summary.current_rows), (0, Some(12)));
    assert!(summary.to_string().contains(" 0 changes written, 12 current rows, "), "{summary}");
    assert_eq!(folder.report()["outputs"][0]["current_rows"], 12);
}
