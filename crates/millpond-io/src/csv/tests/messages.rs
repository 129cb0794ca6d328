//! What a user is told about input that cannot be read.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use millpond_columns::types::Schema;
use millpond_error::ErrorKind;

use crate::csv::{OnError, check};
use crate::testing::Play;

/// Reads `logs/x.csv` as `user: str, at: int`; the error must be this.
#[track_caller]
fn fails(text: impl AsRef<[u8]>, expect: &str) {
    for threads in [1, 3] {
        let mut play = Play::new("user: str, at: int");
        play.threads = threads;
        play.write("x.csv", &text);
        let error = play.run().unwrap_err();
        assert_eq!(play.shorten(&error.to_string()), expect);
        assert_eq!(error.kind(), ErrorKind::Input);
        assert!(play.saved.is_empty());
    }
}

#[test]
fn a_value_of_another_type() {
    fails("user,at\na,1\nb,2\nc,12:30\n", "logs/x.csv:4: at: \"12:30\" is not an int");
    fails("at,user\n1,a\n\"1\"\"\",a\n", "logs/x.csv:3: at: \"1\\\"\" is not an int");
    fails("user,at\na, 1\n", "logs/x.csv:2: at: \" 1\" is not an int\nhint: there is white space around the value");
    fails("user,at\na,1.0\n", "logs/x.csv:2: at: \"1.0\" is not an int");
}

#[test]
fn an_int_outside_64_bits() {
    fails(
        "user,at\na,9223372036854775808\n",
        "logs/x.csv:2: at: \"9223372036854775808\" is outside the 64-bit range of int",
    );
}

#[test]
fn an_empty_field_of_a_required_column() {
    let hint = "hint: a column of type Type::Int.optional() reads an empty field as null";
    fails("user,at\na,\n", &format!("logs/x.csv:2: at: the empty field is not an int\n{hint}"));
}

#[test]
fn too_few_or_too_many_fields() {
    fails("user,at\na,1\nb,2,3\n", "logs/x.csv:3: 3 fields where the header has 2");
    fails("user,at,z\na,1\n", "logs/x.csv:2: 2 fields where the header has 3");
    fails("user,at\na;1\n", "logs/x.csv:2: 1 field where the header has 2\nhint: is the delimiter right?");
}

#[test]
fn lines_are_physical_lines() {
    fails("user,at\n\"a\nb\nc\",1\n\n\r\nx,y\n", "logs/x.csv:7: at: \"y\" is not an int");
    let long = "user,at\n".to_owned() + &"user0123456,1700000000\n".repeat(1000) + "x,y\n" + &"u,1\n".repeat(1000);
    fails(long + "x,z\n", "logs/x.csv:1002: at: \"y\" is not an int");
}

#[test]
fn bytes_that_are_not_utf8() {
    fails(b"user,at\na,1\nb\xff,2\n", "logs/x.csv:3: not UTF-8: byte 0xff\nhint: convert the file to UTF-8");
    fails(b"us\xe9r,at\n", "logs/x.csv:1: the header is not UTF-8");
    fails(b"\xff\xfeu\0", "logs/x.csv is UTF-16 text; this version reads plain UTF-8 text");
    fails(b"\x1f\x8b\x08", "logs/x.csv is compressed (gzip); this version reads plain UTF-8 text");
}

#[test]
fn text_behind_a_closing_quote() {
    let told = "user: a field goes on behind its closing quote, with";
    let escape = "hint: where a backslash takes the meaning from a quote, say so: escape=\"\\\\\"";
    let twice = "hint: a quote inside quotes is written twice: \"say \"\"hi\"\"\"";
    let space = "hint: there is white space behind the quote";
    fails("user,at\n\"x\\\"y\",1\n", &format!("logs/x.csv:2: {told} \"y\\\"\"\n{escape}"));
    fails("user,at\n\"x\"y,1\n", &format!("logs/x.csv:2: {told} \"y\"\n{twice}"));
    fails("user,at\n\"x\" ,1\n", &format!("logs/x.csv:2: {told} \" \"\n{space}"));
    fails("user,at\n\"\nx\"\"\"y\r\n", &format!("logs/x.csv:3: {told} \"y\"\n{twice}"));
    fails(
        "\"user\"x,at\n",
        &format!("logs/x.csv:1: the header: {}\n{twice}", &told.replace("user: ", ""))
            .replace("with\n", "with \"x,at\"\n"),
    );
    // Where the quote ends up in a field without quotes, nothing else tells.
    let backslash = "user: a backslash stands before a quote, and a field without quotes holds a quote";
    fails("user,at,z\n\"x\\\",y\",1\n", &format!("logs/x.csv:2: {backslash}\n{escape}"));
    fails("user,at\nthere\\\" ok\",5\n", &format!("logs/x.csv:2: {backslash}\n{escape}"));
    let mut play = Play::new("user: str, at: str");
    play.options.escape = Some(b'\\');
    let ran = play.write("x.csv", "user,at\n\"x\\\"y\",\"a\\\",b\"\n").run().unwrap();
    assert_eq!(ran.rows.into_keys().collect::<Vec<_>>(), [["x\"y", "a\",b"]]);
    // What has one meaning only is read.
    let mut play = Play::new("user: str, at: str");
    let text = "user,at\n\"C:\\dir\\\",5\" pipe\n\"C:\\dir\\\",x\n5\" pipe,a\"b\"\n";
    play.options.on_error = OnError::Skip;
    let ran = play.write("x.csv", text).run().unwrap();
    let rows: Vec<_> = ran.rows.into_keys().collect();
    assert_eq!(rows, [["5\" pipe", "a\"b\""], ["C:\\dir\\", "x"]]);
    assert_eq!(ran.counts.rows_rejected, 1);
}

#[test]
fn white_space_before_a_quote_is_named_where_fields_do_not_fit() {
    let hint = "hint: white space before a quote makes the quote a part of the value: remove it";
    fails("user,at\na, \"1,2\"\n", &format!("logs/x.csv:2: 3 fields where the header has 2\n{hint}"));
}

const LONE_RETURN: &str = "a carriage return (\\r) that neither stands in quotes nor ends a line with \\n\n\
    hint: where the lines of a file end with \\r alone, convert it, such as by tr '\\r' '\\n'";

/// Broke once: a file whose only line was its header gave no rows and no error.
#[test]
fn lines_that_end_with_a_carriage_return_alone_are_named() {
    for text in ["user,at\ra,1\rb,2\r", "user,at\ra,1\rb,2", "user\ra\rb\r", "user,at\r\ra,1\n"] {
        fails(text, &format!("logs/x.csv:1: the header: {LONE_RETURN}"));
    }
    fails("user,at\na,1\rb,2\rc,3\n", &format!("logs/x.csv:2: {LONE_RETURN}"));
    fails("user,at\na,1\r\nb,2\rc,3\r\n", &format!("logs/x.csv:3: {LONE_RETURN}"));
    fails("user,at\na,1\n\rb,2\n", &format!("logs/x.csv:3: user: {LONE_RETURN}"));
    fails("user,at\na,1\r\r\n", &format!("logs/x.csv:2: at: {LONE_RETURN}"));
    let mut play = Play::new("user: str");
    let error = play.write("x.csv", "user\ra\rb\r").run().unwrap_err().to_string();
    assert_eq!(play.shorten(&error), format!("logs/x.csv:1: the header: {LONE_RETURN}"));
    let error = play.write("x.csv", "user\na\rb\n").run().unwrap_err().to_string();
    assert_eq!(play.shorten(&error), format!("logs/x.csv:2: user: {LONE_RETURN}"));
    let ran = play.write("x.csv", "user\n\"a\rb\"\r\n\"\r\r\n\"\n").run().unwrap();
    assert_eq!(ran.rows.into_keys().collect::<Vec<_>>(), [["\r\r\n"], ["a\rb"]]);
}

#[test]
fn nul_bytes_outside_quotes_are_named() {
    let hint = "hint: a power cut leaves them in a file that was being written, and UTF-16 text is full of them";
    fails(
        format!("user,at\na,1\n{}b,2\n", "\0".repeat(30)),
        &format!("logs/x.csv:3: user: 30 NUL bytes outside quotes\n{hint}"),
    );
    fails("u\0s\0e\0r\0\n\0", &format!("logs/x.csv:1: the header: 1 NUL byte outside quotes\n{hint}"));
    let mut play = Play::new("user: str");
    let ran = play.write("x.csv", "user\n\"a\0b\"\n").run().unwrap();
    assert_eq!(ran.rows.into_keys().collect::<Vec<_>>(), [["a\0b"]]);
}

#[test]
fn points_in_time_and_durations_out_of_range() {
    for (ty, value, range) in [
        ("DateTimeNaive", "9999-12-31", "1677-09-21T00:12:43.145224192 to 2262-04-11T23:47:16.854775807"),
        ("DateTimeUtc", "0001-01-01 00:00:00Z", "1677-09-21T00:12:43.145224192Z to 2262-04-11T23:47:16.854775807Z"),
        ("Duration", "P999999D", "-P106751DT23H47M16.854775808S to P106751DT23H47M16.854775807S"),
    ] {
        let mut play = Play::new(&format!("at: {ty}"));
        let error = play.write("x.csv", format!("at\n{value}\n")).run().unwrap_err().to_string();
        let hint =
            format!("hint: a str column takes it; null_values=[{value:?}] reads it as null in an optional column");
        let expect = format!("logs/x.csv:2: at: {value:?} is outside the range of {ty}, which is {range}\n{hint}");
        assert_eq!(play.shorten(&error), expect);
        let mut play = Play::new(&format!("at: {ty}?"));
        play.options.null_values = vec![value.to_owned()];
        let ran = play.write("x.csv", format!("at\n{value}\n")).run().unwrap();
        assert_eq!(ran.rows.into_keys().collect::<Vec<_>>(), [["null"]]);
    }
}

#[test]
fn a_quote_that_is_not_closed() {
    let header = "logs/x.csv:1: a quote opens in the header and is never closed\n\
        hint: a header that is still being written is read by a run after its end";
    fails("user,\"at\na,1\n", header);
    let told = "a quote opens here and is never closed\n\
        hint: a record that is still being written is read by a run after its end; on_error: OnError::Skip leaves it out until then";
    fails("user,at\na,1\n\"b,2\nc,3\n", &format!("logs/x.csv:3: {told}"));
    fails("user,at\na,1\n\"b\n\n\",\"\n", &format!("logs/x.csv:5: {told}"));
}

#[test]
fn a_row_in_place_of_the_header() {
    let missing = "logs/x.csv:1: no column \"user\" in the header; nearest: \"ann\", \"1\"";
    let hint = "hint: the first line must be the header, with the names of the columns, such as user,at; \
        here it is \"ann\", \"1\"";
    fails("ann,1\nbob,2\n", &format!("{missing}\n{hint}"));
}

#[test]
fn a_column_that_the_schema_has_is_not_what_was_meant() {
    let mut play = Play::new("u: str, x: int");
    let error = play.write("x.csv", "u,y\na,1\n").run().unwrap_err();
    let expect =
        "logs/x.csv:1: no column \"x\" in the header; nearest: \"u\", \"y\"\nhint: the header has \"u\", \"y\"";
    assert_eq!(play.shorten(&error.to_string()), expect);
}

#[test]
fn a_header_without_a_column() {
    let hint = "hint: did you mean \"time\"? the header has \"user\", \"time\"";
    let mut play = Play::new("user: str, tim: int");
    let error = play.write("x.csv", "user,time\n").run().unwrap_err();
    let expect = format!("logs/x.csv:1: no column \"tim\" in the header; nearest: \"time\", \"user\"\n{hint}");
    assert_eq!(play.shorten(&error.to_string()), expect);
    let expect = "logs/x.csv:1: no column \"user\" in the header; nearest: \"user;at\"\n\
        hint: the header is one column, \"user;at\": is the delimiter right?";
    fails("user;at\na;1\n", expect);
    let expect = "logs/x.csv:1: no column \"at\" in the header; nearest: \" at\", \"user\"\n\
        hint: \" at\" has white space around it: remove it there, or name the column of the schema so";
    fails("user, at\na,1\n", expect);
}

#[test]
fn a_header_with_a_column_twice() {
    fails("user,at,user\n", "logs/x.csv:1: the header names \"user\" twice (fields 1 and 3)");
    let mut play = Play::new("user: str, at: int");
    play.write("x.csv", "z,user,at,z\n1,a,2,3\n");
    assert_eq!(play.run().unwrap().counts.rows_read, 1);
}

#[test]
fn sizes_over_the_limits() {
    let mut play = Play::new("user: str, at: int");
    play.options.limits.field_bytes = 100;
    play.write("x.csv", format!("user,z,at\na,b,1\n{},b,1\n", "x".repeat(101)));
    let error = play.run().unwrap_err().to_string();
    assert_eq!(play.shorten(&error), "logs/x.csv:3: user: a field of 101 bytes is over the limit of 100");

    play.options.limits.row_bytes = 1000;
    play.write("x.csv", format!("user,z,at\na,b,1\n\"{},b,1\n", "x\n".repeat(600)));
    let error = play.run().unwrap_err().to_string();
    let hint = "hint: a quote that opens in line 3 is not closed";
    assert_eq!(play.shorten(&error), format!("logs/x.csv:3: a row of more than 1,000 bytes\n{hint}"));

    play.write("x.csv", "x".repeat(2000));
    let error = play.run().unwrap_err().to_string();
    assert_eq!(play.shorten(&error), "logs/x.csv:1: the header has more than 1,000 bytes");

    play.options.limits.columns = 3;
    play.write("x.csv", "user,at,a,b\n");
    let error = play.run().unwrap_err().to_string();
    assert_eq!(play.shorten(&error), "logs/x.csv:1: 4 columns in the header are over the limit of 3");
}

#[test]
fn the_first_error_in_the_order_of_files_is_told() {
    for _ in 0..20 {
        let mut play = Play::new("user: str, at: int");
        play.threads = 4;
        let good = "user,at\n".to_owned() + &"user0123456,1700000000\n".repeat(50);
        play.write("a.csv", format!("{good}x,1\nx,a\n"))
            .write("b.csv", format!("{good}x,b\n"))
            .write("c.csv", "user,at\nx,c\n");
        let error = play.run().unwrap_err().to_string();
        assert_eq!(play.shorten(&error), "logs/a.csv:53: at: \"a\" is not an int");
    }
}

#[test]
fn rejected_rows_are_counted_and_handed_over() {
    let mut play = Play::new("user: str, at: int");
    play.threads = 2;
    play.options.on_error = OnError::DeadLetter("rejects.csv".into());
    play.write("a.csv", "user,at\na,1\nb,x\n\"c\nd\",y,1\ne,2\nf,\n").write("b.csv", b"user,at\n\xff,1\ng,3\n");
    let ran = play.run().unwrap();
    assert_eq!((ran.counts.rows_read, ran.counts.rows_rejected), (3, 4));
    let rejects: Vec<_> =
        ran.rejects.iter().map(|reject| (play.shorten(&reject.to_string()), reject.row.as_str())).collect();
    let expect = [
        ("logs/a.csv:3: at: \"x\" is not an int", "b,x"),
        ("logs/a.csv:4: 3 fields where the header has 2", "\"c\nd\",y,1"),
        ("logs/a.csv:7: at: the empty field is not an int", "f,"),
        ("logs/b.csv:2: not UTF-8: byte 0xff", "\u{fffd},1"),
    ];
    assert_eq!(rejects.iter().map(|(told, row)| (told.as_str(), *row)).collect::<Vec<_>>(), expect);
}

#[test]
fn skipped_rows_are_counted_and_the_first_is_shown() {
    let mut play = Play::new("user: str, at: int");
    play.options.on_error = OnError::Skip;
    play.write("a.csv", "user,at\na,1\nb,x\nc,y\n");
    let ran = play.run().unwrap();
    assert_eq!(ran.counts.notices, ["2 rows left out; the first: logs/a.csv:3: at: \"x\" is not an int"]);
}

#[track_caller]
fn invalid(path: &str, make: impl Fn(&mut Play), expect: &str) {
    let mut play = Play::new("user: str, at: int");
    play.options.path = play.path(path).to_str().unwrap().to_owned();
    make(&mut play);
    let error = check(&play.options).unwrap_err();
    assert_eq!(play.shorten(&error.to_string()), expect);
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[test]
fn options_are_checked_before_anything_is_read() {
    invalid("none", |_| {}, &format!("there is no file or directory logs/none\nhint: {}", "logs exists"));
    invalid("none/*.csv", |_| {}, "logs/none/*.csv: there is no directory logs/none\nhint: logs exists");
    invalid("x", |play| play.options.path = String::new(), "the path of the source is empty");
    let null = |play: &mut Play| play.options.path = "/dev/null".to_owned();
    invalid("x", null, "/dev/null is neither a regular file nor a directory");
    let no_columns = |play: &mut Play| play.options.schema = Schema::default();
    invalid("", no_columns, "the schema of \"logs/\" has no column");
    invalid("", |play| play.options.delimiter = b'"', "delimiter and quote are both \"\\\"\"");
    invalid(
        "",
        |play| play.options.quote = Some(b'\n'),
        "quote \"\\n\" is not a single ASCII character that fits in a line",
    );
    invalid(
        "",
        |play| play.options.delimiter = 0xe9,
        "delimiter \"\\u{e9}\" is not a single ASCII character that fits in a line",
    );
}

/// A pattern is looked at as a whole, and each of its parts when files are listed.
#[test]
fn a_pattern_that_is_no_glob_is_named() {
    let mut play = Play::new("user: str, at: int");
    for (pattern, message) in [("[a", "at character "), ("a[/]b", "")] {
        play.options.path = play.path(pattern).to_str().unwrap().to_owned();
        let error = play.run().unwrap_err();
        let mut text = format!("logs/{pattern} is not a glob: invalid range pattern");
        if !message.is_empty() {
            text += &format!(" {message}{}", play.options.path.find('[').unwrap() + 1);
        }
        assert_eq!((play.shorten(error.message()), error.kind()), (text, ErrorKind::Invalid));
    }
}

#[test]
fn paths_that_cannot_be_read() {
    let mut play = Play::new("user: str, at: int");
    // In a directory they are left out; as the path that was asked for, they are an error.
    symlink("nowhere", play.path("link")).unwrap();
    symlink("loop", play.path("loop")).unwrap();
    for (file, told) in [("link", "logs/link is a link to nothing"), ("loop", "logs/loop is a link to itself")] {
        play.options.path = play.path(file).to_str().unwrap().to_owned();
        let error = play.run().unwrap_err();
        assert_eq!((play.shorten(error.message()).as_str(), error.kind()), (told, ErrorKind::Invalid));
        fs::remove_file(play.path(file)).unwrap();
    }
    play.options.path = play.path("").to_str().unwrap().trim_end_matches('/').to_owned();
    play.write("below/x.csv", "user,at\n");

    // The superuser may read everything.
    fs::set_permissions(play.path("below"), fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read_dir(play.path("below")).is_err() {
        let error = play.run().unwrap_err();
        assert_eq!(play.shorten(error.message()), "no permission to read logs/below");
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    }
    fs::set_permissions(play.path("below"), fs::Permissions::from_mode(0o755)).unwrap();
}
