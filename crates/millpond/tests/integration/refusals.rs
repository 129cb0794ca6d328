//! Programs that are refused: what is said, at which place, and that its hint leads out of it. Nothing is lost by it.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::Path;

use millpond::connector::{Batches, Epoch, sink, subscribe};
use millpond::csv::{self, WriteMode};
use millpond::{
    ErrorKind, Output, Result, RunOptions, Stop, Summary, Table, Type, col, count, jsonlines, run, session,
};
use millpond_io::sink::{CollectSink, Delivery};
use millpond_store::SimulatedDisk;
use tempfile::TempDir;

/// A folder with three visits of two users in `logs`.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("logs")).unwrap();
    fs::write(folder.path().join("logs/a.csv"), "user,at\nann,1\nbob,2\nann,9\n").unwrap();
    folder
}

fn at(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).display().to_string()
}

fn visits(folder: &TempDir) -> Table {
    csv::read(at(folder, "logs"), [("user", Type::Str), ("at", Type::Int)]).name("visits").table()
}

fn print(table: &Table, name: &str) -> Output {
    subscribe(table, name, |_: Epoch, _: &Batches| Ok(()))
}

fn works(outputs: impl IntoIterator<Item = Output>) -> Summary {
    run(outputs, &RunOptions::default().quiet()).unwrap()
}

/// The program is refused at a place of this file.
#[track_caller]
fn check(outcome: Result<Summary>, kind: ErrorKind, message: &str, hint: &str) {
    let error = outcome.unwrap_err();
    assert_eq!((error.kind(), error.message(), error.hint()), (kind, message, Some(hint)));
    let origin = error.origin().expect("a place in the program");
    assert!(Path::new(&origin.file).ends_with("refusals.rs"), "{origin}");
}

#[track_caller]
fn invalid(outputs: impl IntoIterator<Item = Output>, message: &str, hint: &str) {
    check(run(outputs, &RunOptions::default().quiet()), ErrorKind::Invalid, message, hint);
}

#[test]
fn an_option_that_an_output_does_not_have_is_left_out() {
    let folder = folder();
    let visits = visits(&folder);
    let subscription = || print(&visits, "print");
    let own = || sink(&visits, "own", || Ok(Box::new(CollectSink::new())));
    let file = || csv::write(&visits, at(&folder, "out.csv"));
    let lines = || jsonlines::write(&visits, at(&folder, "out.jsonl"));
    let disk = || std::sync::Arc::new(SimulatedDisk::new());
    let cases = [
        (subscription().mode(WriteMode::Snapshot), "mode: this is an option of result files only"),
        (subscription().name("x"), "name: this is an option of result files only"),
        (own().disk(disk()), "disk: this is an option of result files only"),
        (lines().escape_formulas(), "escape_formulas: this is an option of CSV files only"),
        (file().delivery(Delivery::AtOnce), "delivery: this is an option of subscriptions only"),
        // The first one is told.
        (own().name("x").escape_formulas(), "name: this is an option of result files only"),
    ];
    for (output, message) in cases {
        invalid([output], message, "leave it out");
    }
    assert_eq!(works([subscription(), own(), file(), lines()]).changes_written, 12);
}

#[test]
fn each_output_has_a_file_and_a_name_of_its_own() {
    let folder = folder();
    let visits = visits(&folder);
    let first = print(&visits, "print");
    let place = format!("{}:{}", file!(), line!() - 1);
    let message = format!("two outputs are named \"print\": the other one is declared at {place}");
    let error = run([first, print(&visits, "print")], &RunOptions::default().quiet()).unwrap_err();
    assert_eq!(error.hint(), Some("give each output a file and a name of its own"));
    assert!(error.message().starts_with(&message[..message.rfind(':').unwrap()]), "{error}");
    works([print(&visits, "print"), print(&visits, "print as well")]);

    let out = at(&folder, "out.csv");
    let again = at(&folder, "logs/../out.csv");
    let error = run([csv::write(&visits, &out), csv::write(&visits, &again)], &RunOptions::default().quiet());
    let error = error.unwrap_err();
    let message = format!("two outputs write to one file: the result \"{again}\", and the result \"{out}\" (");
    assert!(error.message().starts_with(&message), "{error}");
    assert_eq!((error.kind(), error.hint()), (ErrorKind::Invalid, Some("give each a file of its own")));
    assert!(!Path::new(&out).exists());
    works([csv::write(&visits, &out), csv::write(&visits, at(&folder, "again.csv"))]);
}

#[test]
fn a_result_does_not_lie_where_the_program_reads() {
    let folder = folder();
    let visits = visits(&folder);
    let inside = at(&folder, "logs/out.csv");
    let error = run([csv::write(&visits, &inside)], &RunOptions::default().quiet()).unwrap_err();
    let message = format!("the result \"{inside}\" lies where the source \"{}\" (", at(&folder, "logs"));
    assert!(error.message().starts_with(&message), "{error}");
    let hint = "put it into another directory, or read a pattern that leaves it out; a directory also leaves out names \
                that start with \".\"";
    assert_eq!((error.kind(), error.hint()), (ErrorKind::Invalid, Some(hint)));
    assert!(!Path::new(&inside).exists());
    works([csv::write(&visits, at(&folder, "out.csv"))]);
    works([csv::write(&visits, at(&folder, "logs/.out.csv"))]);
    let pattern = csv::read(at(&folder, "logs/a*.csv"), [("user", Type::Str)]).table();
    works([csv::write(&pattern, &inside)]);
}

#[test]
fn a_session_has_a_gap_or_a_predicate() {
    let folder = folder();
    let near = || session().predicate(|a, b| (b - a).lt(5));
    for (window, problem) in [(session(), "neither is"), (near().max_gap(5), "both are")] {
        let table = visits(&folder).windowby(col("at"), window).reduce([("n", count())]);
        let error = table.schema().unwrap_err();
        let message = format!("session: max_gap or predicate says which rows are in one session; {problem} given");
        assert_eq!((error.kind(), error.message()), (ErrorKind::Invalid, message.as_str()));
        assert_eq!(error.hint(), Some("such as session().max_gap(300)"));
    }
    for window in [session().max_gap(300), near()] {
        let table = visits(&folder).windowby(col("at"), window).reduce([("n", count())]);
        works([print(&table, "sessions")]);
    }
}

/// A changed program is refused with what is different, and the state stays what it was; all ways out lead out.
#[test]
fn the_state_of_another_program_is_refused() {
    let folder = folder();
    let state = at(&folder, "state");
    let options = |state: &str| RunOptions::default().quiet().state_at(state).unwrap();
    let program =
        |column: &str| csv::write(&visits(&folder).groupby([column]).reduce([("n", count())]), at(&folder, "out.csv"));
    run([program("user")], &options(&state)).unwrap();
    let error = run([program("at")], &options(&state)).unwrap_err();
    let message = format!("the state in {state}/ belongs to another program:\n  ");
    assert!(error.message().starts_with(&message), "{error}");
    let hint =
        "run the program as it was, or give it another state directory (or remove this one) to compute everything anew";
    assert_eq!((error.kind(), error.hint()), (ErrorKind::Changed, Some(hint)));
    assert_eq!(run([program("user")], &options(&state)).unwrap().rows_read, 0);
    assert_eq!(run([program("at")], &options(&at(&folder, "other"))).unwrap().rows_read, 3);
    fs::remove_dir_all(&state).unwrap();
    assert_eq!(run([program("at")], &options(&state)).unwrap().rows_read, 3);
}

#[test]
fn an_epoch_that_is_stopped_is_read_by_the_next_run() {
    let folder = folder();
    let options = || RunOptions::default().quiet().state_at(at(&folder, "state")).unwrap();
    let program = || csv::write(&visits(&folder), at(&folder, "out.csv"));
    let stop = Stop::default();
    stop.request();
    let error = run([program()], &options().stop(stop)).unwrap_err();
    let message = "stopped on request; nothing of this epoch was saved";
    assert_eq!((error.kind(), error.message()), (ErrorKind::Interrupted, message));
    assert_eq!(run([program()], &options()).unwrap().rows_read, 3);
}
