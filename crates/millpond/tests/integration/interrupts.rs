//! A run that is asked to stop in the midst of an epoch.

use std::fs;
use std::thread;
use std::time::Duration;

use millpond::{ErrorKind, RunOptions, Stop, Type, col, csv, left, right, run};

/// Two tables with one key make billions of rows: the run ends long before they are written.
#[test]
fn a_join_that_is_asked_to_stop_ends() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("a plain path").to_owned();
    let rows: String = (0..100_000).map(|row| format!("ann,{row}\n")).collect();
    let table = |name: &str| {
        fs::write(path(name), format!("user,row\n{rows}")).expect("room");
        csv::read(path(name), [("user", Type::Str), ("row", Type::Int)]).name(name).table()
    };
    let (visits, orders) = (table("visits"), table("orders"));
    let joined = visits.join(&orders, [left("user").eq(right("user"))]);
    let sums = joined.select([("sum", left("row") + right("row"))]).filter(col("sum").eq(-1));
    let stop = Stop::new();
    let asked = stop.clone();
    let running = thread::spawn(move || {
        thread::sleep(Duration::from_millis(500));
        asked.request();
    });
    let options = RunOptions::default().quiet().state_at(path("state")).expect("a plain path").stop(stop);
    let error = run([csv::write(&sums, path("sums.csv"))], &options).expect_err("it is stopped");
    running.join().expect("it only asks");
    assert_eq!(error.kind(), ErrorKind::Interrupted, "{error}");
    assert_eq!(error.message(), "stopped on request; nothing of this epoch was saved");
}
