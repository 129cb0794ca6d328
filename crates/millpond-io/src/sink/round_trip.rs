//! What the sinks write is what the sources read: every type, with and without nulls, alone and beside others, in every
//! mode.

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Float64Array};
use arrow_buffer::{NullBuffer, ScalarBuffer};
use millpond_columns::types::{ColumnType, Schema, Type};
use millpond_engine::changes::{Changes, Epoch};
use millpond_plan::text_codec;
use millpond_store::{Disk, LocalDisk};
use proptest::prelude::*;
use proptest::sample::select;

use super::{CsvSink, CsvSinkOptions, JsonLinesSink, LogicalRun, Prepared, Sink, WriteMode};
use crate::csv::CsvSourceOptions;
use crate::jsonlines::JsonLinesSourceOptions;
use crate::testing::{Bag, Options, Play, add};

/// The types that a column may have, as a schema names them.
const TYPES: [&str; 12] = [
    "bool",
    "int",
    "float",
    "str",
    "DateTimeNaive",
    "DateTimeUtc",
    "Duration",
    "bytes",
    "json",
    "tuple[int, str?, float]",
    "list[int?]",
    "list[tuple[bytes, DateTimeUtc?]]",
];

/// Texts that look like something else.
const TEXTS: [&str; 20] = [
    "",
    " ",
    "a",
    "null",
    "\\N",
    "NA",
    "True",
    "1",
    "-5",
    "=1+1",
    "'",
    "\"",
    "a,b",
    "\n",
    "\r",
    "\r\n",
    "\t",
    "\0",
    "é\u{feff}",
    "\\\"",
];

fn stored_texts(ty: &str) -> &'static [&'static str] {
    match ty {
        "bytes" => &["", "AA==", "+abc", "/w=="],
        "json" => &["1", "-0.5", "\"\"", "\"null\"", "[]", "{}", "{\"a\":[1,null,\"\\n\"]}", "true"],
        "tuple[int, str?, float]" => &["[1,null,0.5]", "[-9,\"\",\"NaN\"]", "[0,\"a\\\"b\",\"-Infinity\"]"],
        "list[int?]" => &["[]", "[null]", "[1,null,2]"],
        _ => &["[]", "[[\"\",null]]", "[[\"AA==\",\"2026-01-01T00:00:00Z\"]]"],
    }
}

/// A column of cells that are chosen by numbers; a null, where there is none.
fn column(name: &str, ty: ColumnType, cells: &[Option<i64>]) -> ArrayRef {
    // Any value, where there may be no null.
    let required: Vec<_> = cells.iter().map(|cell| cell.or(Some(0))).collect();
    let cells = if ty.optional { cells } else { &required };
    let nulls = ty.optional.then(|| cells.iter().map(Option::is_some).collect::<NullBuffer>());
    let numbers = || cells.iter().map(|cell| cell.unwrap_or(0));
    match ty.ty {
        Type::Bool => Arc::new(BooleanArray::new(numbers().map(|cell| cell % 2 == 0).collect(), nulls)),
        Type::Float => {
            let float = |cell: i64| match cell % 8 {
                0 => f64::NAN,
                1 => f64::INFINITY,
                2 => f64::NEG_INFINITY,
                3 => (cell / 8 % 1000) as f64 / 100.0,
                _ => {
                    Some(f64::from_bits(cell as u64)).filter(|value| value.is_finite() && *value != 0.0).unwrap_or(1.5)
                }
            };
            Arc::new(Float64Array::new(numbers().map(float).collect(), nulls))
        }
        ty if ty.is_stored_as_bytes() => {
            let texts = if ty == Type::Str { &TEXTS } else { stored_texts(name) };
            let (mut offsets, mut bytes) = (vec![0], Vec::new());
            for cell in cells {
                if let Some(cell) = cell {
                    let text = texts[cell.unsigned_abs() as usize % texts.len()].as_bytes();
                    match ty {
                        Type::Str => bytes.extend_from_slice(text),
                        ty => assert!(text_codec::read(ty, text, &mut bytes)),
                    }
                }
                offsets.push(bytes.len() as i32);
            }
            ty.byte_array(offsets, bytes, nulls).unwrap()
        }
        ty => ty.int_array(numbers().collect::<ScalarBuffer<i64>>(), nulls),
    }
}

fn write(mut sink: impl Sink, schema: &Schema, mode: WriteMode, changes: &Changes) {
    sink.open(schema, None, LogicalRun { continues: false, is_saved: false }).unwrap();
    sink.write(Epoch(2), changes).unwrap();
    if mode == WriteMode::Snapshot {
        sink.write_snapshot(changes).unwrap();
    }
    sink.prepare().and_then(Prepared::make_durable).unwrap();
    sink.finish().unwrap();
}

/// Reads what was written; the rows, with `diff` and without `time`.
fn read<O: Options>(play: &mut Play<O>, file: &str, schema: &Schema, mode: WriteMode) -> Bag {
    let log = [("diff".to_owned(), Type::Int.required())];
    let columns = schema.columns().iter().map(|column| (column.name.clone(), column.ty));
    let columns = columns.chain(if mode == WriteMode::Snapshot { None } else { Some(log[0].clone()) });
    let read = Schema::new(columns);
    play.columns = (0..read.len()).collect();
    play.options = O::new(play.path(file).to_str().unwrap(), read);
    play.run().unwrap().rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_is_written_is_read_back(
        types in proptest::collection::vec((0..TYPES.len(), any::<bool>()), 1..4),
        rows in proptest::collection::vec((proptest::collection::vec(proptest::option::weighted(0.7, any::<i64>()), 3), any::<bool>()), 0..8),
        mode in select(vec![WriteMode::Changes, WriteMode::Append, WriteMode::Snapshot]),
    ) {
        let columns = types.iter().enumerate().map(|(i, (ty, optional))| {
            (["a", "say \"b\"", ""][i], ColumnType { ty: TYPES[*ty].parse().unwrap(), optional: *optional })
        });
        let schema = Schema::new(columns);
        let cells = |i: usize| rows.iter().map(|(row, _)| row[i]).collect::<Vec<_>>();
        let arrays = schema.columns().iter().enumerate();
        let arrays: Vec<ArrayRef> = arrays.map(|(i, of)| column(TYPES[types[i].0], of.ty, &cells(i))).collect();
        let is_log = mode != WriteMode::Snapshot;
        let diffs: Vec<i64> = rows.iter().map(|(_, added)| if *added || !is_log { 1 } else { -1 }).collect();
        let mut expect = Bag::new();
        let mut shown = arrays.clone();
        if is_log {
            shown.push(Type::Int.int_array(diffs.clone().into(), None));
        }
        add(&Changes::inserts(shown, rows.len()), &mut expect);
        let changes = Changes::new(arrays, diffs.into());
        let disk_at = |folder: &std::path::Path| Ok(Arc::new(LocalDisk::new(folder)?) as Arc<dyn Disk>);

        let mut play: Play<CsvSourceOptions> = Play::new("a: int");
        write(CsvSink::at(&play.path("x.csv"), CsvSinkOptions::with_mode(mode), disk_at).unwrap(), &schema, mode, &changes);
        let text = std::fs::read_to_string(play.path("x.csv")).unwrap();
        prop_assert_eq!(&read(&mut play, "x.csv", &schema, mode), &expect, "{}", text);

        let mut play: Play<JsonLinesSourceOptions> = Play::json_lines("a: int");
        write(JsonLinesSink::at(&play.path("x.jsonl"), mode, disk_at).unwrap(), &schema, mode, &changes);
        let text = std::fs::read_to_string(play.path("x.jsonl")).unwrap();
        prop_assert_eq!(&read(&mut play, "x.jsonl", &schema, mode), &expect, "{}", text);
    }
}

#[test]
fn what_a_spreadsheet_takes_for_a_formula_gets_a_quote_in_front() {
    let schema = Schema::new([("=a", Type::Str.optional()), ("b", Type::Int.required())]);
    let texts = ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "a=1", "", "'=1", "\u{ff1d}1"];
    let cells: ArrayRef = Arc::new(arrow_array::StringArray::from_iter(texts.iter().copied().map(Some).chain([None])));
    let numbers = Type::Int.int_array(vec![-1; texts.len() + 1].into(), None);
    let changes = Changes::inserts(vec![cells, numbers], texts.len() + 1);
    let folder = tempfile::tempdir().unwrap();
    for (escape_formulas, quote) in [(false, ""), (true, "'")] {
        let disk = Arc::new(LocalDisk::new(folder.path()).unwrap());
        let options = CsvSinkOptions { escape_formulas, ..CsvSinkOptions::with_mode(WriteMode::Snapshot) };
        write(CsvSink::new(disk, "x.csv", options).unwrap(), &schema, WriteMode::Snapshot, &changes);
        let text = std::fs::read_to_string(folder.path().join("x.csv")).unwrap();
        let row = |text: &&str| {
            let quote = if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\u{ff1d}']) { quote } else { "" };
            format!("\"{quote}{text}\",-1\n")
        };
        assert_eq!(text, format!("{quote}=a,b\n{},-1\n", texts.iter().map(row).collect::<String>()));
    }
}
