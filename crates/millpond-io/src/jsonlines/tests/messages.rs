//! What a user is told about JSON lines that cannot be read.

use millpond_error::ErrorKind;

use crate::jsonlines::{OnError, check};
use crate::testing::Play;

/// Reads `logs/x.jsonl` as `user: str, at: int, score: float?`, and `city: str?` at `/address/city`; the error must be
/// this.
#[track_caller]
fn fails(text: impl AsRef<[u8]>, expect: &str) {
    for threads in [1, 3] {
        let mut play = Play::json_lines("user: str, at: int, score: float?, city: str?");
        play.options.field_paths = vec![("city".into(), "/address/city".into())];
        play.threads = threads;
        play.write("x.jsonl", &text);
        let error = play.run().unwrap_err();
        assert_eq!(play.shorten(&error.to_string()), expect);
        assert_eq!(error.kind(), ErrorKind::Input);
        assert!(play.saved.is_empty());
    }
}

/// The same, for the second line.
#[track_caller]
fn line_fails(line: &str, expect: &str) {
    fails(format!("{{\"user\":\"a\",\"at\":1}}\n{line}\n"), &format!("logs/x.jsonl:2: {expect}"));
}

#[test]
fn a_value_of_another_type() {
    line_fails("{\"user\":\"a\",\"at\":\"12:30\"}", "at: \"12:30\" is not an int");
    line_fails("{\"user\":\"a\",\"at\":3.0}", "at: 3.0 is not an int");
    line_fails("{\"user\":\"a\",\"at\":1e3}", "at: 1e3 is not an int");
    line_fails("{\"user\":\"a\",\"at\":true}", "at: true is not an int");
    line_fails("{\"user\":\"a\",\"at\":\"5\"}", "at: \"5\" is not an int");
    line_fails("{\"user\":5,\"at\":5}", "user: 5 is not a str");
    line_fails("{\"user\":[ 1, 2 ],\"at\":5}", "user: [ 1, 2 ] is not a str");
    line_fails("{\"user\":\"a\",\"at\":1,\"score\":\"1.5\"}", "score: \"1.5\" is not a float");
    line_fails("{\"user\":\"a\",\"at\":1,\"score\":\"inf\"}", "score: \"inf\" is not a float");
    line_fails("{\"user\":\"a\",\"at\":1,\"address\":{\"city\":{}}}", "city: {} is not a str");
    line_fails("{\"at\":{},\"user\":7}", "user: 7 is not a str");
}

#[test]
fn a_number_out_of_range() {
    let told = "is outside the 64-bit range of";
    line_fails("{\"user\":\"a\",\"at\":9223372036854775808}", &format!("at: 9223372036854775808 {told} int"));
    line_fails("{\"user\":\"a\",\"at\":1,\"score\":-1e400}", &format!("score: -1e400 {told} float"));
}

#[test]
fn a_value_that_is_not_there() {
    let hint = |ty| format!("hint: a column of type Type::{ty}.optional() reads null where there is no value");
    line_fails("{\"user\":\"a\"}", &format!("at: the field is missing\n{}", hint("Int")));
    line_fails("{\"user\":null,\"at\":1}", &format!("user: null is not a str\n{}", hint("Str")));
    let mut play = Play::json_lines("city: str");
    play.options.field_paths = vec![("city".into(), "/address/city".into())];
    let error = play.write("x.jsonl", "{\"address\":[]}").run().unwrap_err();
    let expect = format!("logs/x.jsonl:1: city: the field /address/city is missing\n{}", hint("Str"));
    assert_eq!(play.shorten(&error.to_string()), expect);
}

#[test]
fn a_long_value_is_cut() {
    let long = format!("\"{}\"", "é".repeat(200));
    let shown = format!("\"{}… (402 bytes)", "é".repeat(79));
    line_fails(&format!("{{\"user\":\"a\",\"at\":{long}}}"), &format!("at: {shown} is not an int"));
}

#[test]
fn a_line_that_is_no_object() {
    let hint = "hint: a line is one object in braces, such as {\"name\": \"value\"}";
    for (line, kind) in
        [("[{}]", "an array"), ("\"a\"", "a string"), ("1", "a number"), ("null", "null"), ("true", "a bool")]
    {
        line_fails(line, &format!("{kind} where an object is expected\n{hint}"));
    }
    line_fails("user,at", &format!("not JSON: a value is expected (byte 1)\n{hint}"));
    line_fails("1, 2", &format!("not JSON: a value is expected (byte 1)\n{hint}"));
    line_fails("{", &format!("not JSON: the line ends where a field name in double quotes was expected\n{hint}"));
    line_fails("[", &format!("not JSON: the line ends where a value was expected\n{hint}"));
}

#[test]
fn a_line_that_is_not_json() {
    for (line, told) in [
        ("{\"user\":a}", "a value is expected (byte 9)"),
        ("{\"user\":}", "a value is expected (byte 9)"),
        ("{\"x\":[1,]}", "a value is expected (byte 9)"),
        ("{\"x\":nul}", "a value is expected (byte 6)"),
        ("{user:1}", "a field name in double quotes is expected (byte 2)"),
        ("{\"x\":1,}", "a field name in double quotes is expected (byte 8)"),
        ("{\"x\" 1}", "a colon is expected (byte 6)"),
        ("{\"x\":01}", "a comma or the closing brace is expected (byte 7)"),
        ("{\"x\":{\"y\":1]}", "a comma or the closing brace is expected (byte 12)"),
        ("{\"x\":[1}", "a comma or the closing bracket is expected (byte 8)"),
        ("{} {}", "the object has ended, and more follows (byte 4)"),
        ("{\"x\":-}", "a digit is expected (byte 7)"),
        ("{\"x\":1.}", "a digit is expected (byte 8)"),
        ("{\"x\":1e+}", "a digit is expected (byte 9)"),
        ("{\"x\":\"\\x\"}", "a backslash is not followed by an escape (byte 7)"),
        ("{\"x\":\"\\u12g4\"}", "a backslash is not followed by an escape (byte 7)"),
        ("{\"x\":\"a\tb\"}", "a string holds a control character (byte 8)"),
        ("{\"x\":\"a}", "a string is not closed (byte 6)"),
    ] {
        line_fails(line, &format!("not JSON: {told}"));
    }
}

#[test]
fn what_is_no_number_of_json_is_named() {
    let hint = "hint: the setting allow_nan reads NaN, Infinity and -Infinity in columns of floats";
    for (word, named) in [("NaN", "NaN"), ("Infinity", "Infinity"), ("-Infinity", "Infinity")] {
        let told = format!("not JSON: {named} is no number of JSON (byte 10)\n{hint}");
        line_fails(&format!("{{\"score\":{word}}}"), &told);
        line_fails(&format!("{{\"other\":{word}}}"), &told);
    }
    let python = "hint: JSON writes null, true and false";
    line_fails("{\"user\":None}", &format!("not JSON: a value is expected (byte 9)\n{python}"));
    let text = "hint: JSON writes text in double quotes";
    line_fails("{'user':1}", &format!("not JSON: a field name in double quotes is expected (byte 2)\n{text}"));

    let mut play = Play::json_lines("a: float, b: float?, c: int?");
    play.options.allow_nan = true;
    play.write("x.jsonl", "{\"a\":NaN,\"b\":-Infinity,\"x\":[NaN]}\n{\"a\":Infinity}\n{\"a\":\"NaN\",\"b\":1}\n");
    let rows: Vec<_> = play.run().unwrap().rows.into_keys().map(|row| row.join(" ")).collect();
    assert_eq!(rows, ["NaN -inf null", "NaN 1.0 null", "inf null null"]);
    for (line, told) in [
        ("{\"a\":1,\"c\":NaN}", "c: NaN is not an int"),
        ("{\"a\":1,\"c\":nan}", "not JSON: a value is expected (byte 12)"),
        ("{\"a\":-Inf}", "not JSON: a value is expected (byte 6)"),
    ] {
        let error = play.write("y.jsonl", format!("{line}\n")).run().unwrap_err();
        assert_eq!(play.shorten(error.message()), format!("logs/y.jsonl:1: {told}"));
    }
}

#[test]
fn nul_bytes_after_a_power_cut_are_counted() {
    let hint = "hint: a power cut leaves them in a file that was being written, and UTF-16 text is full of them";
    let nul = "\0".repeat(1200);
    line_fails(&format!("{nul}{{\"user\":\"a\"}}"), &format!("not JSON: 1,200 NUL bytes (from byte 1)\n{hint}"));
    line_fails(&format!("{{\"user\":\"a{nul}"), &format!("not JSON: 1,200 NUL bytes (from byte 11)\n{hint}"));
    line_fails(&format!("{{\"user\":\"a\"}}{nul}"), &format!("not JSON: 1,200 NUL bytes (from byte 13)\n{hint}"));
    let mut play = Play::json_lines("user: str");
    let ran = play.write("x.jsonl", format!("{{\"user\":\"a\"}}\n{nul}")).run().unwrap();
    let notice = "logs/x.jsonl:2: the last line has no newline, cannot be read, and waits for the rest (1,200 bytes; \
        not JSON: 1,200 NUL bytes (from byte 1))";
    assert_eq!((ran.counts.rows_read, ran.counts.notices), (1, vec![notice.to_owned()]));
}

#[test]
fn lines_that_end_with_a_carriage_return_alone_are_named() {
    let told = "a carriage return (\\r) that neither stands in quotes nor ends a line with \\n\n\
        hint: where the lines of a file end with \\r alone, convert it, such as by tr '\\r' '\\n'";
    fails("{\"user\":\"a\",\"at\":1}\r{\"user\":\"b\",\"at\":2}\r", &format!("logs/x.jsonl:1: {told}"));
    line_fails("{\"user\":\"a\",\"at\":1}\r{\"user\":\"b\",\"at\":2}", told);
}

#[test]
fn a_point_in_time_out_of_range() {
    let mut play = Play::json_lines("at: DateTimeUtc");
    let error = play.write("x.jsonl", "{\"at\":\"9999-12-31T00:00:00Z\"}\n").run().unwrap_err().to_string();
    let expect = "logs/x.jsonl:1: at: \"9999-12-31T00:00:00Z\" is outside the range of DateTimeUtc, which is \
        1677-09-21T00:12:43.145224192Z to 2262-04-11T23:47:16.854775807Z\nhint: a str column takes it";
    assert_eq!(play.shorten(&error), expect);
}

#[test]
fn nesting_has_a_limit() {
    let nested = |depth: usize| format!("{{\"x\":{}1{}}}", "[".repeat(depth), "]".repeat(depth));
    let mut play = Play::json_lines("x: int?");
    play.columns = vec![];
    assert_eq!(play.write("x.jsonl", nested(127)).run().unwrap().counts.rows_read, 1);
    line_fails(&nested(128), "not JSON: objects and arrays are nested more than 128 deep (byte 133)");
    line_fails(&nested(100_000), "not JSON: objects and arrays are nested more than 128 deep (byte 133)");
}

#[test]
fn half_of_a_pair_of_escapes() {
    line_fails("{\"user\":\"\\ud83d\",\"at\":1}", "user: \"\\ud83d\" holds half of a pair of \\u escapes");
}

#[test]
fn bytes_that_are_not_utf8() {
    let told = "not UTF-8: byte 0xff\nhint: convert the file to UTF-8";
    fails(b"{\"user\":\"a\",\"at\":1}\n\n{\"x\":\"\xff\"}\n", &format!("logs/x.jsonl:3: {told}"));
    fails(b"\xff\xfe{\0", "logs/x.jsonl is UTF-16 text; this version reads plain UTF-8 text");
    fails(b"\x1f\x8b\x08", "logs/x.jsonl is compressed (gzip); this version reads plain UTF-8 text");
}

#[test]
fn rows_over_the_limit() {
    let mut play = Play::json_lines("user: str");
    play.options.row_bytes = 1000;
    let row = |bytes: usize| format!("{{\"user\":\"{}\"}}\n", "x".repeat(bytes - 11));
    let text = row(1000) + &row(1001);
    let error = play.write("x.jsonl", &text).run().unwrap_err().to_string();
    assert_eq!(play.shorten(&error), "logs/x.jsonl:2: a row of 1,001 bytes is over the limit of 1,000");
    play.options.on_error = OnError::Skip;
    assert_eq!(play.run().unwrap().counts.rows_read, 1);
    let ran = play.append("x.jsonl", row(5000) + &row(1000)).run().unwrap();
    assert_eq!((ran.counts.rows_read, ran.counts.rows_rejected), (1, 1));
    let notice = "1 row left out; the first: logs/x.jsonl:3: a row of more than 4,000 bytes: 1 line (5,001 bytes)";
    assert_eq!(ran.counts.notices, [notice]);
    play.options.on_error = OnError::Fail;
    let error = play.append("x.jsonl", row(5000)).run().unwrap_err().to_string();
    assert_eq!(play.shorten(&error), "logs/x.jsonl:5: a row of more than 4,000 bytes");
}

#[test]
fn rejected_rows_are_counted_and_handed_over() {
    let mut play = Play::json_lines("user: str, at: int");
    play.threads = 2;
    play.options.on_error = OnError::DeadLetter("rejects.csv".into());
    play.write(
        "a.jsonl",
        "{\"user\":\"a\",\"at\":1}\n\n{\"user\":\"b\",\"at\": \"x\" }\r\n[]\n{\"user\":\"c\",\"at\":2}\n{\"at\":3\n",
    )
    .write("b.jsonl", b"{\"user\":\"\xff\"}\n{\"user\":\"d\",\"at\":4}\n");
    let ran = play.run().unwrap();
    assert_eq!((ran.counts.rows_read, ran.counts.rows_rejected), (3, 4));
    let rejects: Vec<_> = ran.rejects.iter().map(|reject| (play.shorten(&reject.to_string()), &*reject.row)).collect();
    let expect = [
        ("logs/a.jsonl:3: at: \"x\" is not an int", "{\"user\":\"b\",\"at\": \"x\" }"),
        ("logs/a.jsonl:4: an array where an object is expected", "[]"),
        ("logs/a.jsonl:6: not JSON: the line ends where a comma or the closing brace was expected", "{\"at\":3"),
        ("logs/b.jsonl:1: not UTF-8: byte 0xff", "{\"user\":\"\u{fffd}\"}"),
    ];
    assert_eq!(rejects.iter().map(|(told, row)| (told.as_str(), *row)).collect::<Vec<_>>(), expect);
    assert_eq!(ran.rejects[0].value.as_deref(), Some("\"x\""));
}

#[test]
fn the_first_error_in_the_order_of_files_is_told() {
    for _ in 0..20 {
        let mut play = Play::json_lines("user: str, at: int");
        play.threads = 4;
        let good = "{\"user\":\"user0123456\",\"at\":1700000000}\n".repeat(50);
        play.write("a.jsonl", format!("{good}{{\"at\":1,\"user\":2}}\n}}\n"))
            .write("b.jsonl", format!("{good}x\n"))
            .write("c.jsonl", "x\n");
        let error = play.run().unwrap_err().to_string();
        assert_eq!(play.shorten(&error), "logs/a.jsonl:51: user: 2 is not a str");
    }
}

#[track_caller]
fn invalid(paths: &[(&str, &str)], expect: &str) {
    let mut play = Play::json_lines("user: str, at: int");
    play.options.field_paths = paths.iter().map(|(column, path)| ((*column).into(), (*path).into())).collect();
    let error = check(&play.options).unwrap_err();
    assert_eq!(play.shorten(&error.to_string()), expect);
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[test]
fn options_are_checked_before_anything_is_read() {
    let hint = "hint: a path is a JSON pointer such as \"/address/city\" or \"/items/0/name\"";
    invalid(
        &[("user", "name")],
        &format!("json_field_paths: user: \"name\" is no path: it does not start with \"/\"\n{hint}"),
    );
    invalid(
        &[("name", "/name")],
        "json_field_paths: there is no column \"name\" in the schema\nhint: the schema has \"user\", \"at\"",
    );
    invalid(&[("at", "/a"), ("at", "/b")], "json_field_paths: at: there are two paths");
    let mut play = Play::json_lines("user: str");
    play.options.path += "/none";
    assert!(check(&play.options).unwrap_err().message().starts_with("there is no file or directory"));
}
