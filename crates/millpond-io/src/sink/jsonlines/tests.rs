//! What a line looks like, and random tables read back by our own source and by `serde_json`. What runs, crashes and
//! repairs leave in a file is tested with CSV; here only where a file without a header differs.

use arrow_array::{Array, BooleanArray, Float64Array, Int64Array, StringArray};
use arrow_buffer::ScalarBuffer;
use millpond_columns::types::{ColumnType, Type};
use millpond_engine::changes::{Changes, Diffs};
use millpond_error::ErrorKind;
use millpond_store::LocalDisk;
use proptest::prelude::*;
use serde_json::Value;
use tempfile::TempDir;

use super::*;
use crate::sink::{LogicalRun, Prepared, Sink};
use crate::testing::{Bag, Play};

const FRESH: LogicalRun = LogicalRun { continues: false, is_saved: true };
const CONTINUES: LogicalRun = LogicalRun { continues: true, is_saved: true };

/// A folder with the result file `out.jsonl`.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Folder(tempfile::tempdir().expect("a temporary folder"))
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.0.path().join("out.jsonl")).expect("the result file")
    }

    fn open(&self, mode: WriteMode, schema: &Schema, saved: Option<&Value>, run: LogicalRun) -> Result<JsonLinesSink> {
        let disk = Arc::new(LocalDisk::new(self.0.path()).expect("a disk"));
        let mut sink = JsonLinesSink::new(disk, "out.jsonl", mode)?;
        sink.open(schema, saved, run)?;
        Ok(sink)
    }

    #[track_caller]
    fn opened(&self, mode: WriteMode, saved: Option<&Value>, run: LogicalRun) -> JsonLinesSink {
        self.open(mode, &ints(), saved, run).expect("the sink opens")
    }
}

fn ints() -> Schema {
    Schema::new([("n", Type::Int.required())])
}

#[track_caller]
fn write(sink: &JsonLinesSink, epoch: u64, values: &[(i64, i64)]) {
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values(values.iter().map(|(value, _)| *value)));
    let diffs = values.iter().map(|(_, diff)| *diff).collect::<ScalarBuffer<i64>>();
    sink.write(Epoch(epoch), &Changes::new(vec![column], diffs)).expect("rows are written");
}

#[track_caller]
fn prepare(sink: &JsonLinesSink) -> Value {
    sink.prepare().and_then(Prepared::make_durable).expect("the sink is made durable")
}

#[track_caller]
fn check_lines(columns: Vec<(&str, Type, ArrayRef)>, expect: &str) {
    let folder = Folder::new();
    let schema = Schema::new(columns.iter().map(|(name, ty, _)| (*name, ty.optional())));
    let sink = folder.open(WriteMode::Snapshot, &schema, None, FRESH).expect("the sink opens");
    let columns: Vec<ArrayRef> = columns.into_iter().map(|(_, _, column)| column).collect();
    let count = columns[0].len();
    sink.write_snapshot(&Changes::inserts(columns, count)).expect("rows are written");
    prepare(&sink);
    assert_eq!(folder.text(), expect);
}

#[test]
fn strings_and_names_are_escaped_where_they_must_be() {
    let strings = StringArray::from(vec!["bob", "", "say \"hi\"", "a\\b\n\r\t\u{8}\u{0}\u{1f}", "ünï\u{7f}😀"]);
    check_lines(
        vec![("a \"b\"\n", Type::Str, Arc::new(strings))],
        "{\"a \\\"b\\\"\\n\":\"bob\"}\n{\"a \\\"b\\\"\\n\":\"\"}\n{\"a \\\"b\\\"\\n\":\"say \\\"hi\\\"\"}\n\
         {\"a \\\"b\\\"\\n\":\"a\\\\b\\n\\r\\t\\u0008\\u0000\\u001f\"}\n{\"a \\\"b\\\"\\n\":\"ünï\u{7f}😀\"}\n",
    );
}

#[test]
fn every_type_with_and_without_nulls() {
    let ints: ArrayRef = Arc::new(Int64Array::from(vec![Some(i64::MIN), None, Some(7)]));
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.0), Some(-1e-16), None]));
    let bools: ArrayRef = Arc::new(BooleanArray::from(vec![None, Some(true), Some(false)]));
    let strings: ArrayRef = Arc::new(StringArray::from(vec![None, Some(""), Some("x")]));
    check_lines(
        vec![("i", Type::Int, ints), ("f", Type::Float, floats), ("b", Type::Bool, bools), ("s", Type::Str, strings)],
        "{\"i\":-9223372036854775808,\"f\":1.0,\"b\":null,\"s\":null}\n\
         {\"i\":null,\"f\":-1e-16,\"b\":true,\"s\":\"\"}\n\
         {\"i\":7,\"f\":null,\"b\":false,\"s\":\"x\"}\n",
    );
}

#[test]
fn numbers_that_json_has_not_are_strings() {
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -f64::NAN]));
    check_lines(
        vec![("f", Type::Float, floats)],
        "{\"f\":\"NaN\"}\n{\"f\":\"Infinity\"}\n{\"f\":\"-Infinity\"}\n{\"f\":\"NaN\"}\n",
    );
}

#[test]
fn a_change_has_diff_and_time() {
    let folder = Folder::new();
    let sink = folder.opened(WriteMode::Changes, None, FRESH);
    write(&sink, 1_701_270_107_982, &[(1, 1), (2, 2), (3, -1)]);
    prepare(&sink);
    let line = |n, diff| format!("{{\"n\":{n},\"diff\":{diff},\"time\":1701270107982}}\n");
    assert_eq!(folder.text(), [line(1, 1), line(2, 1), line(2, 1), line(3, -1)].concat());
    assert_eq!(sink.rows_written(), 4);
}

#[test]
fn a_table_without_columns_is_a_log_of_diffs_and_times() {
    let folder = Folder::new();
    let sink = folder.open(WriteMode::Changes, &Schema::default(), None, FRESH).expect("the sink opens");
    sink.write(Epoch(2), &Changes::inserts(vec![], 2)).expect("rows are written");
    prepare(&sink);
    assert_eq!(folder.text(), "{\"diff\":1,\"time\":2}\n{\"diff\":1,\"time\":2}\n");
}

#[test]
fn a_column_that_would_be_there_twice_is_refused() {
    for name in ["time", "diff"] {
        let schema = Schema::new([(name, Type::Int.required())]);
        for mode in [WriteMode::Changes, WriteMode::Append] {
            let refused = Folder::new().open(mode, &schema, None, FRESH).expect_err("refused");
            assert_eq!(refused.kind(), ErrorKind::Invalid);
            assert!(refused.message().starts_with(&format!("a column is called \"{name}\"")), "{refused}");
        }
        Folder::new().open(WriteMode::Snapshot, &schema, None, FRESH).expect("a snapshot has only the columns");
    }
}

#[test]
fn an_empty_file_is_committed_and_goes_on() {
    for mode in [WriteMode::Changes, WriteMode::Append, WriteMode::Snapshot] {
        let folder = Folder::new();
        let saved = prepare(&folder.opened(mode, None, FRESH));
        assert_eq!(folder.text(), "");
        let again = folder.opened(mode, Some(&saved), CONTINUES);
        assert_eq!(prepare(&again), saved);
        if mode != WriteMode::Snapshot {
            write(&again, 2, &[(1, 1)]);
            prepare(&again);
            assert_eq!(folder.text(), "{\"n\":1,\"diff\":1,\"time\":2}\n");
        }
    }
}

#[test]
fn a_log_of_all_runs_grows_and_is_cut_back() {
    let folder = Folder::new();
    let empty = prepare(&folder.opened(WriteMode::Append, None, FRESH));
    let first = folder.opened(WriteMode::Append, Some(&empty), FRESH);
    write(&first, 2, &[(1, 1)]);
    let one = prepare(&first);
    write(&first, 4, &[(2, 1)]);
    prepare(&first);
    // A process killed: nothing is cleaned up.
    std::mem::forget(first);
    let second = folder.opened(WriteMode::Append, Some(&one), CONTINUES);
    write(&second, 6, &[(1, -1)]);
    prepare(&second);
    assert_eq!(folder.text(), "{\"n\":1,\"diff\":1,\"time\":2}\n{\"n\":1,\"diff\":-1,\"time\":6}\n");
}

/// A row with how often it is added or removed.
type Row = (Option<String>, Option<i64>, Option<f64>, Option<bool>, i64);

fn any_row() -> impl Strategy<Value = Row> {
    let text = prop_oneof![any::<Option<String>>(), proptest::option::of("[a-z\"\\\\\n\r\t\u{0}\u{1f} é😀]{0,20}")];
    let float = prop_oneof![any::<f64>(), prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0])];
    let diff = prop_oneof![8 => Just(1i64), 3 => Just(-1), 1 => 1i64..4];
    (text, any::<Option<i64>>(), proptest::option::of(float), any::<Option<bool>>(), diff)
}

/// The counts, taken for nanoseconds.
fn times(rows: &[Row], ty: Type) -> ArrayRef {
    let counts = rows.iter().map(|row| row.1).collect::<Int64Array>();
    ty.int_array(counts.values().clone(), arrow_array::Array::nulls(&counts).cloned())
}

fn batch(rows: &[Row]) -> Changes {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|row| row.0.as_deref()).collect::<StringArray>()),
        Arc::new(rows.iter().map(|row| row.1).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|row| row.2).collect::<Float64Array>()),
        Arc::new(rows.iter().map(|row| row.3).collect::<BooleanArray>()),
        times(rows, Type::DateTimeNaive),
        times(rows, Type::DateTimeUtc),
        times(rows, Type::Duration),
    ];
    let diffs = rows.iter().map(|row| row.4).collect::<ScalarBuffer<i64>>();
    Changes { columns, rows: rows.len(), diffs: Diffs::Each(diffs) }
}

/// The rows as the source shows them, and as a document of `serde_json` would hold them.
fn expected(rows: &[Row]) -> (Bag, Vec<Value>) {
    let (mut bag, mut lines) = (Bag::new(), Vec::new());
    for (name, count, mean, open, diff) in rows {
        let shown = |cell: Option<String>| cell.unwrap_or_else(|| "null".to_owned());
        let time = |ty| count.map(|count| millpond_plan::time::text(ty, count));
        let cells = vec![
            shown(name.clone()),
            shown(count.map(|count| count.to_string())),
            shown(mean.map(|mean| format!("{mean:?}"))),
            shown(open.map(|open| open.to_string())),
            shown(time(Type::DateTimeNaive)),
            shown(time(Type::DateTimeUtc)),
            shown(time(Type::Duration)),
            diff.signum().to_string(),
            "8".to_owned(),
        ];
        *bag.entry(cells).or_default() += diff.abs();
        let mean = mean.map(|mean| match mean {
            mean if mean.is_finite() => Value::from("a number"),
            mean if mean.is_nan() => Value::from("NaN"),
            mean => Value::from(if mean > 0.0 { "Infinity" } else { "-Infinity" }),
        });
        let line = serde_json::json!({"na\"me": name, "count": count, "mean": mean, "open": open, "at": time(Type::DateTimeNaive),
            "utc": time(Type::DateTimeUtc), "length": time(Type::Duration), "diff": diff.signum(), "time": 8});
        lines.extend(std::iter::repeat_n(line, diff.unsigned_abs() as usize));
    }
    (bag, lines)
}

const COLUMNS: [(&str, ColumnType); 7] = [
    ("na\"me", Type::Str.optional()),
    ("count", Type::Int.optional()),
    ("mean", Type::Float.optional()),
    ("open", Type::Bool.optional()),
    ("at", Type::DateTimeNaive.optional()),
    ("utc", Type::DateTimeUtc.optional()),
    ("length", Type::Duration.optional()),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn what_is_written_reads_back(rows in proptest::collection::vec(any_row(), 0..100), threads in 1..4usize) {
        let folder = Folder::new();
        let sink = folder.open(WriteMode::Changes, &Schema::new(COLUMNS), None, FRESH).expect("the sink opens");
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
        let (bag, lines) = expected(&rows);
        let text = folder.text();

        let mut play = Play::json_lines("na\"me: str?, count: int?, mean: float?, open: bool?, at: DateTimeNaive?, utc: DateTimeUtc?, length: Duration?, diff: int, time: int");
        play.threads = threads;
        prop_assert_eq!(&play.write("x.jsonl", &text).run().expect("our own lines").rows, &bag);

        let mut found: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        for line in &mut found {
            // How exactly numbers read back is the first part's business.
            if line["mean"].is_f64() {
                line["mean"] = Value::from("a number");
            }
        }
        let sorted = |lines: &[Value]| {
            let mut lines: Vec<String> = lines.iter().map(Value::to_string).collect();
            lines.sort_unstable();
            lines
        };
        prop_assert_eq!(sorted(&found), sorted(&lines));
    }
}
