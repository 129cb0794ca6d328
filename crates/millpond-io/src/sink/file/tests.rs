//! One folder, one sink after another in it: what stands in the file after each run, crash and repair.

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray};
use arrow_buffer::ScalarBuffer;
use millpond_columns::types::Type;
use millpond_engine::changes::Diffs;
use millpond_error::ErrorKind;
use millpond_store::{DAMAGE_HINT, Failure, Fault, FaultyDisk, LocalDisk, Operations};
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::sink::Prepared;
use crate::sink::csv::{CsvSink, CsvSinkOptions, header};

const FRESH: LogicalRun = LogicalRun { continues: false, is_saved: true };
const CONTINUES: LogicalRun = LogicalRun { continues: true, is_saved: true };

/// A folder with the result file `out.csv`.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Folder(tempfile::tempdir().expect("a temporary folder"))
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.0.path().join("out.csv")).expect("the result file")
    }

    fn put(&self, text: &str) {
        std::fs::write(self.0.path().join("out.csv"), text).expect("a file written");
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).expect("the folder");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    fn sink(&self, mode: WriteMode) -> CsvSink {
        let disk = Arc::new(LocalDisk::new(self.0.path()).expect("a disk"));
        CsvSink::new(disk, "out.csv", CsvSinkOptions::with_mode(mode)).expect("a sink")
    }

    fn open(&self, mode: WriteMode, saved: Option<&Value>, run: LogicalRun) -> Result<CsvSink> {
        let mut sink = self.sink(mode);
        sink.open(&ints(), saved, run)?;
        Ok(sink)
    }

    #[track_caller]
    fn opened(&self, mode: WriteMode, saved: Option<&Value>, run: LogicalRun) -> CsvSink {
        self.open(mode, saved, run).expect("the sink opens")
    }
}

fn ints() -> Schema {
    Schema::new([("n", Type::Int.required())])
}

fn rows(values: &[(i64, i64)]) -> Changes {
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values(values.iter().map(|(value, _)| *value)));
    Changes::new(vec![column], values.iter().map(|(_, diff)| *diff).collect::<ScalarBuffer<i64>>())
}

#[track_caller]
fn write(sink: &CsvSink, epoch: u64, values: &[(i64, i64)]) {
    sink.write(Epoch(epoch), &rows(values)).expect("rows are written");
}

#[track_caller]
fn prepare(sink: &CsvSink) -> Value {
    sink.prepare().and_then(Prepared::make_durable).expect("the sink is made durable")
}

/// A process killed: nothing is cleaned up.
fn kill(sink: CsvSink) {
    std::mem::forget(sink);
}

// What a line looks like.

#[track_caller]
fn check_line(columns: Vec<ArrayRef>, expect: &str) {
    let folder = Folder::new();
    let mut sink = folder.sink(WriteMode::Snapshot);
    let types = columns.iter().enumerate().map(|(i, column)| {
        let ty = match column.data_type() {
            arrow_schema::DataType::Int64 => Type::Int,
            arrow_schema::DataType::Float64 => Type::Float,
            arrow_schema::DataType::Boolean => Type::Bool,
            _ => Type::Str,
        };
        (format!("c{i}"), ty.optional())
    });
    sink.open(&Schema::new(types), None, FRESH).expect("the sink opens");
    let count = columns[0].len();
    sink.write_snapshot(&Changes::inserts(columns, count)).expect("rows are written");
    prepare(&sink);
    let text = folder.text();
    assert_eq!(text.split_once('\n').map(|(_, rest)| rest), Some(expect));
}

#[test]
fn strings_are_quoted_and_quotes_doubled() {
    let strings = StringArray::from(vec!["bob", "", "say \"hi\"", "a,b\nc", "\"", "ünï", "twenty-four characters!!"]);
    let expect = "\"bob\"\n\"\"\n\"say \"\"hi\"\"\"\n\"a,b\nc\"\n\"\"\"\"\n\"ünï\"\n\"twenty-four characters!!\"\n";
    check_line(vec![Arc::new(strings)], expect);
}

#[test]
fn numbers_and_bools_are_bare_and_nulls_are_empty() {
    let ints: ArrayRef = Arc::new(Int64Array::from(vec![Some(i64::MIN), None, Some(7)]));
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.0), Some(1e16), None]));
    let bools: ArrayRef = Arc::new(BooleanArray::from(vec![None, Some(true), Some(false)]));
    let strings: ArrayRef = Arc::new(StringArray::from(vec![None, Some(""), Some("x")]));
    check_line(vec![ints, floats, bools, strings], "-9223372036854775808,1.0,,\n,1e+16,True,\"\"\n7,,False,\"x\"\n");
}

#[test]
fn a_slice_of_a_batch_is_written_from_its_own_offsets() {
    let strings: ArrayRef = Arc::new(StringArray::from(vec![Some("a\""), None, Some("b"), Some("c")]));
    let bools: ArrayRef = Arc::new(BooleanArray::from(vec![Some(true), Some(true), None, Some(false)]));
    check_line(vec![strings.slice(2, 2), bools.slice(2, 2)], "\"b\",\n\"c\",False\n");
}

#[test]
fn a_field_longer_than_the_buffer_is_written_whole() {
    let long = "x".repeat(3_000_000);
    let strings: ArrayRef = Arc::new(StringArray::from(vec!["a", &long, "b"]));
    check_line(vec![strings], &format!("\"a\"\n\"{long}\"\n\"b\"\n"));
}

#[test]
fn a_header_name_is_quoted_where_it_must_be() {
    let names = ["plain", "two words", "a,b", "say \"hi\""];
    assert_eq!(header(names.into_iter(), b','), b"plain,two words,\"a,b\",\"say \"\"hi\"\"\"\n");
}

#[test]
fn another_delimiter_stands_between_all_fields() {
    let folder = Folder::new();
    let disk = Arc::new(LocalDisk::new(folder.0.path()).expect("a disk"));
    let options = CsvSinkOptions { delimiter: b';', ..CsvSinkOptions::default() };
    let mut sink = CsvSink::new(disk, "out.csv", options).expect("a sink");
    sink.open(&ints(), None, FRESH).expect("the sink opens");
    write(&sink, 2, &[(1, 1)]);
    prepare(&sink);
    assert_eq!(folder.text(), "n;time;diff\n1;2;1\n");
}

#[test]
fn a_delimiter_that_could_be_part_of_a_field_is_refused() {
    let disk: Arc<dyn Disk> = Arc::new(LocalDisk::new(".").expect("a disk"));
    for delimiter in [b'"', b'\n', b'1', b'-', b'.', b'e', 0xff] {
        let options = CsvSinkOptions { delimiter, ..CsvSinkOptions::default() };
        let refused = CsvSink::new(disk.clone(), "out.csv", options).expect_err("refused");
        let text = format!(
            "delimiter \"{}\" could be part of a field\nhint: such as \",\", \";\" or a tab",
            char::from(delimiter).escape_default()
        );
        assert_eq!((refused.kind(), refused.to_string()), (ErrorKind::Invalid, text));
    }
    // As the hint says.
    for delimiter in *b",;\t" {
        let options = CsvSinkOptions { delimiter, ..CsvSinkOptions::default() };
        CsvSink::new(disk.clone(), "out.csv", options).expect("taken");
    }
}

#[test]
fn a_sink_is_of_a_file_in_its_folder() {
    let disk: Arc<dyn Disk> = Arc::new(LocalDisk::new(".").expect("a disk"));
    for name in ["", "a/b.csv"] {
        let refused = CsvSink::new(disk.clone(), name, CsvSinkOptions::default()).expect_err("refused");
        let message = format!("{name:?} is not the name of a file");
        assert_eq!((refused.kind(), refused.message()), (ErrorKind::Invalid, message.as_str()));
    }
}

#[test]
fn stored_values_that_cannot_be_spelled_are_refused() {
    let folder = Folder::new();
    let mut sink = folder.sink(WriteMode::Snapshot);
    let list = Type::list(Type::Int);
    sink.open(&Schema::new([("n", list.required())]), None, FRESH).expect("the sink opens");
    let lists: ArrayRef = Arc::new(arrow_array::BinaryArray::from(vec![&b"\x02\x00"[..]]));
    let refused = sink.write_snapshot(&Changes::inserts(vec![lists], 1)).expect_err("refused");
    let message = format!("a batch of {list} values is too long to be written, or damaged");
    assert_eq!((refused.kind(), refused.message()), (ErrorKind::Invalid, message.as_str()));
}

#[test]
fn a_column_of_a_log_has_a_name_of_its_own() {
    for (name, mode) in [("time", WriteMode::Changes), ("diff", WriteMode::Append)] {
        let schema = Schema::new([("user", Type::Str.required()), (name, Type::Int.required())]);
        let text = format!(
            "a column is called {name:?}, and so is one that each change of a log has besides\n\
             hint: rename the column, or write the present table: mode \"snapshot\""
        );
        let refused = mode.check(&schema).expect_err("refused");
        assert_eq!((refused.kind(), refused.to_string()), (ErrorKind::Invalid, text));
        // As the hint says.
        mode.check(&Schema::new([("user", Type::Str.required()), ("at", Type::Int.required())])).expect("renamed");
        WriteMode::Snapshot.check(&schema).expect("the present table");
    }
}

#[test]
fn a_position_that_cannot_be_read_is_refused() {
    let folder = Folder::new();
    let refused =
        folder.open(WriteMode::Append, Some(&serde_json::json!({ "file": 7 })), CONTINUES).expect_err("refused");
    let text = format!(
        "the saved position of {}/out.csv cannot be read: invalid type: integer `7`, expected a string\nhint: {DAMAGE_HINT}",
        folder.0.path().display()
    );
    assert_eq!((refused.kind(), refused.to_string()), (ErrorKind::Data, text));
    assert!(folder.names().is_empty());
}

/// After a write that failed the file is never called complete, and the old one stays.
#[test]
fn a_file_with_a_failed_write_is_not_completed() {
    let folder = Folder::new();
    folder.put("old");
    let fault = Fault { operations: Operations::Writes, at: 1, for_ever: false, failure: Failure::ShortWrite };
    let disk = Arc::new(FaultyDisk::new(LocalDisk::new(folder.0.path()).expect("a disk"), fault));
    let mut sink = CsvSink::new(disk, "out.csv", CsvSinkOptions::default()).expect("a sink");
    sink.open(&ints(), None, FRESH).expect("the sink opens");
    write(&sink, 2, &[(1, 1)]);
    let failed = sink.prepare().map(drop).expect_err("the disk fails");
    assert_eq!(failed.kind(), ErrorKind::Unavailable);
    assert!(failed.message().ends_with(": Input/output error (os error 5)"), "{failed}");
    let again = sink.prepare().map(drop).expect_err("nothing is made good");
    let message = "an earlier write failed, so the file cannot be completed";
    assert_eq!((again.kind(), again.message()), (ErrorKind::Unavailable, message));
    assert_eq!(folder.text(), "old");
}

#[test]
fn a_multiplicity_is_spelled_out() {
    let folder = Folder::new();
    let sink = folder.opened(WriteMode::Changes, None, FRESH);
    write(&sink, 4, &[(1, 1), (2, 3), (3, -2), (4, -1)]);
    prepare(&sink);
    assert_eq!(folder.text(), "n,time,diff\n1,4,1\n2,4,1\n2,4,1\n2,4,1\n3,4,-1\n3,4,-1\n4,4,-1\n");
    assert_eq!(sink.rows_written(), 7);
}

#[test]
fn a_large_multiplicity_fills_the_buffer_many_times() {
    let folder = Folder::new();
    let sink = folder.opened(WriteMode::Snapshot, None, FRESH);
    sink.write_snapshot(&rows(&[(1, 1), (12345, 300_000), (2, 1)])).expect("rows are written");
    prepare(&sink);
    assert_eq!(folder.text(), format!("n\n1\n{}2\n", "12345\n".repeat(300_000)));
}

#[test]
fn a_table_without_columns_is_a_log_of_times_and_diffs() {
    let folder = Folder::new();
    let mut sink = folder.sink(WriteMode::Changes);
    sink.open(&Schema::default(), None, FRESH).expect("the sink opens");
    sink.write(Epoch(2), &Changes::inserts(vec![], 2)).expect("rows are written");
    prepare(&sink);
    assert_eq!(folder.text(), "time,diff\n2,1\n2,1\n");
}

#[test]
fn a_row_removed_too_often_is_no_row_of_a_snapshot() {
    let folder = Folder::new();
    let sink = folder.opened(WriteMode::Snapshot, None, FRESH);
    let refused = sink.write_snapshot(&rows(&[(1, -1)])).expect_err("refused");
    let message = "a row is in the table -1 times: it was removed too often";
    assert_eq!((refused.kind(), refused.message()), (ErrorKind::Input, message));
}

// Runs: mode changes.

#[test]
fn nothing_new_is_a_header() {
    let folder = Folder::new();
    prepare(&folder.opened(WriteMode::Changes, None, FRESH));
    assert_eq!(folder.text(), "n,time,diff\n");
    assert_eq!(folder.names(), ["out.csv"]);
}

#[test]
fn a_new_run_replaces_the_file_at_its_first_commit() {
    let folder = Folder::new();
    let first = folder.opened(WriteMode::Changes, None, FRESH);
    write(&first, 2, &[(1, 1)]);
    let saved = prepare(&first);
    let second = folder.opened(WriteMode::Changes, Some(&saved), FRESH);
    write(&second, 4, &[(2, 1)]);
    assert_eq!(folder.text(), "n,time,diff\n1,2,1\n");
    prepare(&second);
    assert_eq!(folder.text(), "n,time,diff\n2,4,1\n");
    write(&second, 6, &[(3, 1)]);
    prepare(&second);
    assert_eq!(folder.text(), "n,time,diff\n2,4,1\n3,6,1\n");
}

#[test]
fn a_run_that_fails_leaves_the_old_file_and_nothing_beside_it() {
    let folder = Folder::new();
    folder.put("old");
    let sink = folder.opened(WriteMode::Changes, None, FRESH);
    write(&sink, 2, &[(1, 1)]);
    assert_eq!(folder.names(), [".out.csv.millpond-tmp", "out.csv"]);
    drop(sink);
    assert_eq!(folder.names(), ["out.csv"]);
    assert_eq!(folder.text(), "old");
}

#[test]
fn a_run_killed_before_its_first_commit_starts_again() {
    let folder = Folder::new();
    folder.put("old");
    let sink = folder.opened(WriteMode::Changes, None, FRESH);
    let genesis = sink.position();
    write(&sink, 2, &[(1, 1); 100_000]);
    kill(sink);
    let again = folder.opened(WriteMode::Changes, Some(&genesis), CONTINUES);
    write(&again, 2, &[(2, 1)]);
    prepare(&again);
    assert_eq!(folder.text(), "n,time,diff\n2,2,1\n");
    assert_eq!(folder.names(), ["out.csv"]);
}

#[test]
fn a_run_that_continues_keeps_committed_rows_and_cuts_the_others() {
    let folder = Folder::new();
    let first = folder.opened(WriteMode::Changes, None, FRESH);
    write(&first, 2, &[(1, 1)]);
    let saved = prepare(&first);
    write(&first, 4, &[(2, 1)]);
    prepare(&first);
    kill(first);
    assert_eq!(folder.text(), "n,time,diff\n1,2,1\n2,4,1\n");
    let second = folder.opened(WriteMode::Changes, Some(&saved), CONTINUES);
    assert_eq!(folder.text(), "n,time,diff\n1,2,1\n");
    write(&second, 6, &[(3, 1)]);
    prepare(&second);
    assert_eq!(folder.text(), "n,time,diff\n1,2,1\n3,6,1\n");
}

#[test]
fn a_run_that_continues_with_nothing_new_changes_nothing() {
    let folder = Folder::new();
    let first = folder.opened(WriteMode::Changes, None, FRESH);
    write(&first, 2, &[(1, 1)]);
    let saved = prepare(&first);
    let second = folder.opened(WriteMode::Changes, Some(&saved), CONTINUES);
    assert_eq!(prepare(&second), saved);
    assert_eq!(folder.text(), "n,time,diff\n1,2,1\n");
}

// Runs: mode append.

#[test]
fn a_log_of_all_runs_grows_and_is_cut_back() {
    let folder = Folder::new();
    let first = folder.opened(WriteMode::Append, None, FRESH);
    write(&first, 2, &[(1, 1)]);
    let one = prepare(&first);
    let second = folder.opened(WriteMode::Append, Some(&one), FRESH);
    write(&second, 4, &[(2, 1)]);
    prepare(&second);
    kill(second);
    let third = folder.opened(WriteMode::Append, Some(&one), CONTINUES);
    write(&third, 6, &[(1, -1)]);
    let two = prepare(&third);
    assert_eq!(folder.text(), "n,time,diff\n1,2,1\n1,6,-1\n");
    let fourth = folder.opened(WriteMode::Append, Some(&two), FRESH);
    assert_eq!(prepare(&fourth), two);
}

#[test]
fn a_long_log_is_known_by_its_tail() {
    let folder = Folder::new();
    let mut saved = None;
    let mut expect = "n,time,diff\n".to_owned();
    for run in 0..6 {
        let sink = folder.opened(WriteMode::Append, saved.as_ref(), FRESH);
        for value in 0..9_000 {
            write(&sink, run, &[(value, 1)]);
            expect += &format!("{value},{run},1\n");
        }
        saved = Some(prepare(&sink));
    }
    assert_eq!(folder.text(), expect);
}

#[test]
fn a_log_refuses_a_file_that_it_did_not_write() {
    let folder = Folder::new();
    folder.put("mine");
    let refused = folder.open(WriteMode::Append, None, FRESH).expect_err("refused");
    let text = format!(
        "{}/out.csv exists, and no saved state says that it is a change log of this program\n\
         hint: choose another file, or move this one away; a log over all runs needs saved state",
        folder.0.path().display()
    );
    assert_eq!((refused.kind(), refused.to_string()), (ErrorKind::Invalid, text));
    assert_eq!(folder.text(), "mine");
    // As the hint says.
    std::fs::rename(folder.0.path().join("out.csv"), folder.0.path().join("mine.csv")).expect("moved");
    prepare(&folder.opened(WriteMode::Append, None, FRESH));
}

#[test]
fn a_log_takes_an_empty_file() {
    let folder = Folder::new();
    folder.put("");
    prepare(&folder.opened(WriteMode::Append, None, FRESH));
    assert_eq!(folder.text(), "n,time,diff\n");
}

#[test]
fn a_log_killed_between_its_first_rename_and_the_manifest_starts_again() {
    let folder = Folder::new();
    let sink = folder.opened(WriteMode::Append, None, FRESH);
    let genesis = sink.position();
    write(&sink, 2, &[(1, 1)]);
    prepare(&sink);
    kill(sink);
    let again = folder.opened(WriteMode::Append, Some(&genesis), CONTINUES);
    write(&again, 4, &[(2, 1)]);
    prepare(&again);
    assert_eq!(folder.text(), "n,time,diff\n2,4,1\n");
}

#[track_caller]
fn check_damage(mode: WriteMode, run: LogicalRun, damage: impl Fn(&Folder), expect: &str) {
    let folder = Folder::new();
    let first = folder.opened(mode, None, FRESH);
    write(&first, 2, &[(1, 1)]);
    let saved = prepare(&first);
    drop(first);
    damage(&folder);
    let refused = folder.open(mode, Some(&saved), run).expect_err("refused");
    let hint = "put the file back as it was, or remove it together with the saved state to start anew";
    assert_eq!((refused.kind(), refused.hint()), (ErrorKind::Data, Some(hint)));
    assert!(refused.message().contains(expect), "{refused}");
    // Put back as it was; removed with the saved state.
    folder.put("n,time,diff\n1,2,1\n");
    folder.open(mode, Some(&saved), run).expect("it is as it was");
    std::fs::remove_file(folder.0.path().join("out.csv")).expect("removed");
    folder.open(mode, None, FRESH).expect("everything starts anew");
}

#[test]
fn a_committed_file_that_was_touched_is_refused() {
    for (mode, run) in [(WriteMode::Append, FRESH), (WriteMode::Append, CONTINUES), (WriteMode::Changes, CONTINUES)] {
        let remove = |folder: &Folder| std::fs::remove_file(folder.0.path().join("out.csv")).expect("removed");
        check_damage(mode, run, remove, "out.csv is missing, but 18 bytes of it are committed");
        check_damage(mode, run, |folder| folder.put("n,time,diff\n"), "out.csv has 12 bytes, but 18 bytes");
        check_damage(mode, run, |folder| folder.put("n,time,diff\n7,2,1\n"), "out.csv was changed");
        check_damage(mode, run, |folder| folder.put("n,time,diff\n7,2,1\n8,2,1\n"), "out.csv was changed");
    }
}

// Runs: mode snapshot.

#[test]
fn a_snapshot_is_replaced_as_a_whole_when_the_table_changed() {
    let folder = Folder::new();
    let sink = folder.opened(WriteMode::Snapshot, None, FRESH);
    assert!(sink.needs_snapshot());
    sink.write_snapshot(&rows(&[(1, 1), (2, 2)])).expect("rows are written");
    let saved = prepare(&sink);
    assert_eq!(folder.text(), "n\n1\n2\n2\n");
    assert!(!sink.needs_snapshot());
    assert_eq!(prepare(&sink), saved);
    write(&sink, 4, &[(1, -1)]);
    assert!(sink.needs_snapshot());
    sink.write_snapshot(&rows(&[(2, 2)])).expect("rows are written");
    assert_eq!(folder.text(), "n\n1\n2\n2\n");
    prepare(&sink);
    assert_eq!(folder.text(), "n\n2\n2\n");
}

#[test]
fn an_empty_table_is_a_header() {
    let folder = Folder::new();
    let sink = folder.opened(WriteMode::Snapshot, None, FRESH);
    prepare(&sink);
    assert_eq!(folder.text(), "n\n");
}

#[test]
fn a_snapshot_is_written_again_if_it_is_not_the_committed_one() {
    let folder = Folder::new();
    let first = folder.opened(WriteMode::Snapshot, None, FRESH);
    first.write_snapshot(&rows(&[(1, 1)])).expect("rows are written");
    let saved = prepare(&first);
    assert!(!folder.opened(WriteMode::Snapshot, Some(&saved), FRESH).needs_snapshot());
    folder.put("n\n2\n");
    assert!(folder.opened(WriteMode::Snapshot, Some(&saved), FRESH).needs_snapshot());
    std::fs::remove_file(folder.0.path().join("out.csv")).expect("removed");
    assert!(folder.opened(WriteMode::Snapshot, Some(&saved), CONTINUES).needs_snapshot());
}

// Against another reader, on random tables, from many threads.

#[derive(Clone, Debug)]
struct Row {
    name: Option<String>,
    count: Option<i64>,
    mean: Option<f64>,
    open: Option<bool>,
    diff: i64,
}

fn any_row() -> impl Strategy<Value = Row> {
    let text = proptest::option::of("[a-z\",\n\r é]{0,20}");
    let diff = prop_oneof![8 => Just(1i64), 3 => Just(-1), 1 => -3i64..4];
    let float = any::<f64>().prop_map(|value| if value.is_nan() { 0.5 } else { value });
    (text, any::<Option<i64>>(), proptest::option::of(float), any::<Option<bool>>(), diff).prop_map(
        |(name, count, mean, open, diff)| Row { name, count, mean, open, diff: if diff == 0 { 1 } else { diff } },
    )
}

fn batch(rows: &[Row]) -> Changes {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|row| row.name.as_deref()).collect::<StringArray>()),
        Arc::new(rows.iter().map(|row| row.count).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|row| row.mean).collect::<Float64Array>()),
        Arc::new(rows.iter().map(|row| row.open).collect::<BooleanArray>()),
    ];
    let diffs = rows.iter().map(|row| row.diff).collect::<ScalarBuffer<i64>>();
    Changes { columns, rows: rows.len(), diffs: Diffs::Each(diffs) }
}

/// The lines that a row stands for, as the `csv` crate should read them.
fn expected_lines(row: &Row) -> impl Iterator<Item = String> {
    let float = row.mean.map(|mean| mean.to_bits().to_string());
    let fields = [row.name.clone(), row.count.map(|count| count.to_string()), float];
    let open = row.open.map(|open| if open { "True" } else { "False" });
    let line = format!("{:?} {open:?} 8 {}", fields.map(Option::unwrap_or_default), row.diff.signum());
    std::iter::repeat_n(line, row.diff.unsigned_abs() as usize)
}

fn read_lines(text: &[u8]) -> Vec<String> {
    let records = ::csv::ReaderBuilder::new().from_reader(text).into_records();
    records
        .map(|record| {
            let record = record.expect("the csv crate reads the line");
            let float = if record[2].is_empty() {
                String::new()
            } else {
                record[2].parse::<f64>().expect("a float").to_bits().to_string()
            };
            let open = Some(&record[3]).filter(|open| !open.is_empty());
            format!("{:?} {open:?} {} {}", [&record[0], &record[1], &float], &record[4], &record[5])
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn another_reader_finds_the_same_rows(rows in proptest::collection::vec(any_row(), 0..300), threads in 1..4usize) {
        let folder = Folder::new();
        let mut sink = folder.sink(WriteMode::Changes);
        let schema = Schema::new([
            ("name", Type::Str.optional()),
            ("count", Type::Int.optional()),
            ("mean", Type::Float.optional()),
            ("open", Type::Bool.optional()),
        ]);
        sink.open(&schema, None, FRESH).expect("the sink opens");
        std::thread::scope(|scope| {
            for share in rows.chunks(rows.len().div_ceil(threads).max(1)) {
                let sink = &sink;
                scope.spawn(move || {
                    for piece in share.chunks(37) {
                        sink.write(Epoch(8), &batch(piece)).expect("rows are written");
                    }
                });
            }
        });
        prepare(&sink);
        let mut found = read_lines(folder.text().as_bytes());
        let mut expect: Vec<String> = rows.iter().flat_map(expected_lines).collect();
        found.sort_unstable();
        expect.sort_unstable();
        prop_assert_eq!(found, expect);
    }
}

/// Not a test: `cargo test --release -p millpond-io -- --ignored --nocapture speed_of_three_million_rows`.
#[test]
#[ignore = "a measurement"]
fn speed_of_three_million_rows() {
    let folder = Folder::new();
    let rows = 1_500_000i64;
    let names: ArrayRef =
        Arc::new(StringArray::from_iter_values((0..rows).map(|i| format!("user{:06}", i * 7919 % 200_000))));
    let ints = |start: i64, step: i64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values((0..rows).map(|i| start + i * step % 1_000_003)))
    };
    let columns = vec![names, ints(0, 7), ints(1_701_102_730, 31), ints(1_701_103_000, 37), ints(1, 1)];
    let changes = Changes::inserts(columns, rows as usize);
    for round in 0..5 {
        let mut sink = folder.sink(WriteMode::Changes);
        let schema = ["user_id", "length", "start", "finish", "count"].map(|name| (name, Type::Int.required()));
        sink.open(&Schema::new(schema), None, FRESH).expect("the sink opens");
        let cpu_ns = || -> u64 {
            let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
            text.split(' ').next().and_then(|word| word.parse().ok()).expect("a number")
        };
        let (start, before) = (std::time::Instant::now(), cpu_ns());
        sink.write(Epoch(1_701_270_107_982), &changes).expect("rows are written");
        sink.write(Epoch(1_701_270_107_982), &changes).expect("rows are written");
        let (written, after) = (start.elapsed(), cpu_ns());
        prepare(&sink);
        let cpu_ms = (after - before) / 1_000_000;
        println!("round {round}: written in {written:?}, {cpu_ms} ms CPU; with prepare {:?}", start.elapsed());
    }
}
