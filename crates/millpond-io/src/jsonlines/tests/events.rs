//! Files of JSON lines between runs, and what is read of them then. What happens to files of any format is tested with
//! CSV.

use crate::jsonlines::{JsonLinesSourceOptions, OnError};
use crate::testing::{Play, Ran};

fn play() -> Play<JsonLinesSourceOptions> {
    Play::json_lines("user: str, at: int")
}

/// Rows with signs, in order.
fn rows(ran: &Ran) -> String {
    let rows = ran.rows.iter().map(|(row, count)| format!("{}{}", if *count > 0 { "+" } else { "-" }, row.join(":")));
    rows.collect::<Vec<_>>().join(" ")
}

/// Reads one file as these columns.
#[track_caller]
fn check(columns: &str, text: &str, expect: &str) {
    let mut play = Play::json_lines(columns);
    let ran = play.write("x.jsonl", text).run().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(rows(&ran), expect);
}

#[test]
fn only_what_is_new_is_read() {
    let mut play = play();
    play.write("a.jsonl", "{\"user\":\"a\",\"at\":1}\n");
    assert_eq!(rows(&play.run().unwrap()), "+a:1");
    assert_eq!(rows(&play.run().unwrap()), "");
    play.append("a.jsonl", "{\"user\":\"b\",\"at\":2}\n");
    play.write("b.jsonl", "\u{feff}{\"at\": 3, \"more\": [{}], \"user\": \"c\"}\r\n\r\n \t\n");
    let ran = play.run().unwrap();
    assert_eq!(rows(&ran), "+b:2 +c:3");
    assert_eq!((ran.counts.files_new, ran.counts.files_changed, ran.counts.rows_read), (1, 1, 2));
}

#[test]
fn only_columns_in_use_are_read() {
    let mut play = play();
    play.columns = vec![1];
    assert_eq!(rows(&play.write("a.jsonl", "{\"user\":7,\"at\":1}\n{\"at\":2}\n").run().unwrap()), "+1 +2");
    play.columns = vec![];
    let ran = play.append("a.jsonl", "{}\n{\"at\":\"x\"}\n").run().unwrap();
    assert_eq!(ran.rows.values().sum::<i64>(), 2);
    play.append("a.jsonl", "{\"at\":x}\n");
    assert!(play.run().is_err(), "a line must be JSON, whatever is read of it");
}

#[test]
fn a_last_line_without_a_newline_is_taken_back_when_it_grows() {
    let mut play = play();
    assert_eq!(rows(&play.write("a.jsonl", "{\"user\":\"a\",\"at\":1}").run().unwrap()), "+a:1");
    assert_eq!(rows(&play.append("a.jsonl", "\n{\"at\":2,\"user\":\"b\"}").run().unwrap()), "+b:2");
    assert_eq!(rows(&play.append("a.jsonl", "\r").run().unwrap()), "");
    assert_eq!(rows(&play.append("a.jsonl", "\n").run().unwrap()), "");
    // A whole object that goes on is none any more.
    play.append("a.jsonl", "{\"at\":3,\"user\":\"c\"}");
    assert_eq!(rows(&play.run().unwrap()), "+c:3");
    let error = play.append("a.jsonl", " {}").run().unwrap_err();
    assert_eq!(
        play.shorten(error.message()),
        "logs/a.jsonl:3: not JSON: the object has ended, and more follows (byte 21)"
    );
}

#[test]
fn a_half_written_last_line_waits_for_the_rest() {
    let mut play = play();
    let notice = |bytes: u64, reason: &str| {
        format!(
            "logs/a.jsonl:2: the last line has no newline, cannot be read, and waits for the rest ({bytes} bytes; {reason})"
        )
    };
    let ends = "not JSON: the line ends where a comma or the closing brace was expected";
    for on_error in [OnError::Fail, OnError::Skip, OnError::DeadLetter("rejected.csv".into())] {
        play.saved.clear();
        play.options.on_error = on_error;
        let ran = play.write("a.jsonl", "{\"user\":\"a\",\"at\":1}\n{\"user\":\"b\"").run().unwrap();
        assert_eq!((rows(&ran).as_str(), ran.counts.notices), ("+a:1", vec![notice(11, ends)]));
        let ran = play.run().unwrap();
        assert_eq!((rows(&ran).as_str(), ran.counts.notices), ("", vec![notice(11, ends)]));
        let ran = play.append("a.jsonl", ",\"at\":2}").run().unwrap();
        assert_eq!((rows(&ran).as_str(), ran.counts.notices.len(), ran.rejects.len()), ("+b:2", 0, 0));
    }
}

#[test]
fn a_last_line_without_a_newline_waits_in_an_append_only_source() {
    let mut play = play();
    play.options.append_only = true;
    let ran = play.write("a.jsonl", "{\"user\":\"a\",\"at\":1}\n{\"user\":\"b\"").run().unwrap();
    assert_eq!(rows(&ran), "+a:1");
    assert_eq!(ran.counts.notices, ["logs/a.jsonl:2: the last line has no newline yet and waits (11 bytes)"]);
    assert_eq!(rows(&play.append("a.jsonl", ",\"at\":2}\n").run().unwrap()), "+b:2");
}

#[test]
fn every_type_with_and_without_nulls() {
    let columns = "i: int?, f: float?, b: bool?, s: str?, t: str";
    check(
        columns,
        "{\"i\":-1,\"f\":1.5e3,\"b\":true,\"s\":\"x\",\"t\":\"y\"}\n{\"t\":\"\"}\n{\"i\":null,\"f\":null,\"b\":null,\"s\":null,\"t\":\"null\"}\n",
        "+-1:1500.0:true:x:y +null:null:null:null: +null:null:null:null:null",
    );
    check(
        "i: int",
        "{\"i\":9223372036854775807}\n{\"i\":-9223372036854775808}\n{\"i\":-0}\n{\"i\":0}",
        "+-9223372036854775808 +0 +9223372036854775807",
    );
    check("b: bool", "{\"b\":false}\n{\"b\" : true }", "+false +true");
    check("s: str", "{\"s\":\"\\ud83d\\ude00 \\u0041\\n\\\"\"}\n", "+😀 A\n\"");
}

#[test]
fn numbers_that_json_has_not_are_strings() {
    check("f: float", "{\"f\":\"NaN\"}\n{\"f\":\"Infinity\"}\n{\"f\":\"-Infinity\"}", "+-inf +NaN +inf");
    check("f: float", "{\"f\":12}\n{\"f\":-0}\n{\"f\":18446744073709551616}", "+-0.0 +1.8446744073709552e19 +12.0");
}

#[test]
fn of_a_field_that_is_there_twice_the_last_counts() {
    check(
        "s: str?",
        "{\"s\":\"a\",\"s\":\"b\"}\n{\"s\":\"a\",\"x\":0,\"s\":null}\n{\"s\":1,\"s\":\"c\"}",
        "+b +c +null",
    );
    let mut play = Play::json_lines("city: str?");
    play.options.field_paths = vec![("city".into(), "/address/city".into())];
    play.write(
        "x.jsonl",
        "{\"address\":{\"city\":\"a\"},\"address\":{}}\n{\"address\":{\"city\":\"a\"},\"address\":3}",
    );
    assert_eq!(play.run().unwrap().rows.get(&vec!["null".to_owned()]), Some(&2));
}

#[test]
fn paths_lead_into_objects_and_arrays() {
    let mut play = Play::json_lines("city: str?, first: int?, second: int?, name: str?, zero: int?");
    let paths =
        [("city", "/address/city"), ("first", "/n/0"), ("second", "/n/1/x"), ("name", "/a~1b"), ("zero", "/o/0")];
    play.options.field_paths = paths.map(|(column, path)| (column.into(), path.into())).into();
    let text = "{\"n\":[1,{\"y\":0,\"x\":2},3],\"address\":{\"zip\":[{}],\"city\":\"c\"},\"a/b\":\"d\",\"o\":{\"0\":4}}\n\
        {\"n\":[],\"address\":null,\"a\":{\"b\":1},\"o\":[5]}\n{\"n\":{\"0\":6},\"\\u0061ddress\":{\"c\\u0069ty\":\"e\"}}\n";
    let ran = play.write("x.jsonl", text).run().unwrap();
    assert_eq!(rows(&ran), "+c:1:2:d:4 +e:6:null:null:null +null:null:null:null:5");
}

#[test]
fn two_columns_may_be_one_field() {
    let mut play = Play::json_lines("a: int, b: float, c: int?");
    let paths = [("b", "/a"), ("c", "/a/x")];
    play.options.field_paths = paths.map(|(column, path)| (column.into(), path.into())).into();
    assert_eq!(rows(&play.write("x.jsonl", "{\"a\":3}\n").run().unwrap()), "+3:3.0:null");
}
