//! What happens to files between runs, and what is read then.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};

use millpond_error::ErrorKind;

use crate::csv::{OnError, Streaming};
use crate::source::Reject;
use crate::testing::{Bag, Play, Ran, add_bag};

fn play() -> Play {
    Play::new("user: str, at: int")
}

/// Rows with signs, in order.
fn rows(ran: &Ran) -> String {
    let rows = ran.rows.iter().map(|(row, count)| format!("{}{}", if *count > 0 { "+" } else { "-" }, row.join(":")));
    rows.collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn counts(ran: &Ran, new: u64, changed: u64, unchanged: u64) {
    assert_eq!((ran.counts.files_new, ran.counts.files_changed, ran.counts.files_unchanged), (new, changed, unchanged));
}

/// Makes the times of a file old, so that it is not looked into again just for being young.
fn age(play: &Play, file: &str) {
    let file = File::options().append(true).open(play.path(file)).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(3600)).unwrap();
    std::thread::sleep(Duration::from_millis(120));
}

#[test]
fn only_what_is_new_is_read() {
    let mut play = play();
    play.write("a.csv", "user,at\na,1\n");
    assert_eq!(rows(&play.run().unwrap()), "+a:1");
    let again = play.run().unwrap();
    assert_eq!(rows(&again), "");
    counts(&again, 0, 0, 1);
    play.append("a.csv", "b,2\n").write("b.csv", "at,more,user\r\n3,x,c\r\n");
    let ran = play.run().unwrap();
    assert_eq!(rows(&ran), "+b:2 +c:3");
    counts(&ran, 1, 1, 0);
}

#[test]
fn only_columns_in_use_are_read() {
    let mut play = play();
    play.columns = vec![1];
    assert_eq!(rows(play.write("a.csv", "user,at\na,1\nb,2\n").run().as_ref().unwrap()), "+1 +2");
    play.columns = vec![];
    let ran = play.append("a.csv", "c,3\nd,4\n").run().unwrap();
    assert_eq!(ran.rows.values().sum::<i64>(), 2);
}

#[test]
fn every_type_with_and_without_nulls_and_quotes() {
    let mut play = Play::new("i: int?, f: float?, b: bool?, s: str?, t: str");
    let header = "i,f,b,s,t\n";
    let plain = format!("{header}-1,1.5e3,TRUE,x,y\n,,,,\n+7,-inf,0,é,z");
    let expect = "+-1:1500.0:true:x:y +7:-inf:false:é:z +null:null:null:null:";
    assert_eq!(rows(&play.write("a.csv", plain).run().unwrap()), expect);
    let quoted = "\"2\",\"nan\",\"false\",\"\",\"a\"\"b\"\n";
    assert_eq!(rows(&play.write("b.csv", format!("{header}{quoted}")).run().unwrap()), "+2:NaN:false::a\"b");
    for (bad, told) in [
        ("x,,,,", "i: \"x\" is not an int"),
        (",1.5.,,,", "f: \"1.5.\" is not a float"),
        (",,maybe,,", "b: \"maybe\" is not a bool"),
    ] {
        let error = play.write("c.csv", format!("{header}{bad}\n")).run().unwrap_err();
        assert_eq!(play.shorten(error.message()), format!("logs/c.csv:2: {told}"));
    }
}

#[test]
fn a_last_line_without_a_newline_is_taken_back_when_it_grows() {
    let mut play = play();
    assert_eq!(rows(&play.write("a.csv", "user,at\na,1\nb,2").run().unwrap()), "+a:1 +b:2");
    assert_eq!(rows(&play.append("a.csv", "3").run().unwrap()), "-b:2 +b:23");
    let ran = play.append("a.csv", "\nc,4").run().unwrap();
    assert_eq!((rows(&ran).as_str(), ran.counts.rows_read), ("+c:4", 1));
    assert_eq!(rows(&play.append("a.csv", "\r\n").run().unwrap()), "");
}

/// Broke once: a line that had ended with `\r` at the end of its file was taken for the same one when `\r\n` followed.
#[test]
fn a_carriage_return_at_the_end_of_a_file_belongs_to_the_line_end_that_follows() {
    let mut play = Play::new("at: int, user: str?");
    play.options.on_error = OnError::Skip;
    assert_eq!(rows(&play.write("a.csv", "at,user\n1,a\r").run().unwrap()), "+1:a");
    assert_eq!(rows(&play.append("a.csv", "\r\n").run().unwrap()), "-1:a");
    assert_eq!(rows(&play.append("a.csv", "2,b\r").run().unwrap()), "+2:b");
    assert_eq!(rows(&play.append("a.csv", "\n").run().unwrap()), "");
}

#[test]
fn a_last_line_without_a_newline_waits_in_an_append_only_source() {
    let mut play = play();
    play.options.append_only = true;
    let ran = play.write("a.csv", "user,at\na,1\nb,2").run().unwrap();
    assert_eq!(rows(&ran), "+a:1");
    let notice = "logs/a.csv:3: the last line has no newline yet and waits (3 bytes)";
    assert_eq!(ran.counts.notices, [notice]);
    // A file that is old enough is not opened again for what it holds.
    age(&play, "a.csv");
    for _ in 0..2 {
        let ran = play.run().unwrap();
        assert_eq!((ran.counts.unfinished_lines, ran.counts.notices), (1, vec![notice.to_owned()]));
    }
    let ran = play.append("a.csv", "3\n\"c").run().unwrap();
    assert_eq!((rows(&ran).as_str(), ran.counts.unfinished_lines), ("+b:23", 1));
    let quote =
        "logs/a.csv:4: the last row has no end yet and waits (2 bytes; a quote that opens in line 4 is not closed)";
    assert_eq!(ran.counts.notices, [quote]);
}

/// Broke once: it ended the run, or was left out for good.
#[test]
fn a_half_written_last_row_waits_for_the_rest() {
    let what = "the last line has no newline, cannot be read, and waits for the rest";
    let quote = "the last row has no end yet and waits";
    for (start, rest, notice, more) in [
        ("b,", "2\n", format!("logs/a.csv:3: {what} (2 bytes; at: the empty field is not an int)"), "+b:2"),
        ("b", ",2", format!("logs/a.csv:3: {what} (1 byte; 1 field where the header has 2)"), "+b:2"),
        ("b,-", "2\r\n", format!("logs/a.csv:3: {what} (3 bytes; at: \"-\" is not an int)"), "+b:-2"),
        (
            "\"b",
            "\",2\n",
            format!("logs/a.csv:3: {quote} (2 bytes; a quote that opens in line 3 is not closed)"),
            "+b:2",
        ),
        (
            "\"b\nc",
            "\",2\n",
            format!("logs/a.csv:3: {quote} (2 lines, 4 bytes; a quote that opens in line 3 is not closed)"),
            "+b\nc:2",
        ),
    ] {
        for on_error in [OnError::Fail, OnError::Skip, OnError::DeadLetter("rejected.csv".into())] {
            let mut play = play();
            play.options.on_error = on_error;
            let ran = play.write("a.csv", format!("user,at\na,1\n{start}")).run().unwrap();
            assert_eq!((rows(&ran).as_str(), &ran.counts.notices[..]), ("+a:1", &[notice.clone()][..]));
            let ran = play.run().unwrap();
            assert_eq!((rows(&ran).as_str(), &ran.counts.notices[..]), ("", &[notice.clone()][..]));
            counts(&ran, 0, 0, 1);
            let ran = play.append("a.csv", rest).run().unwrap();
            assert_eq!((rows(&ran).as_str(), ran.counts.rows_rejected, ran.rejects.len()), (more, 0, 0));
            assert_eq!(ran.counts.notices, [""; 0]);
        }
    }
    // What was read as a row, and is none any more.
    let mut play = play();
    assert_eq!(rows(&play.write("a.csv", "user,at\na,1").run().unwrap()), "+a:1");
    let ran = play.append("a.csv", "x").run().unwrap();
    assert_eq!((rows(&ran).as_str(), ran.counts.unfinished_lines), ("-a:1", 1));
    assert_eq!(rows(&play.append("a.csv", "\n").write("a.csv", "user,at\na,12\n").run().unwrap()), "+a:12");
}

#[test]
fn a_last_row_that_nothing_can_make_good_ends_the_run() {
    for (row, told) in [
        ("b,2,3", "3 fields where the header has 2"),
        ("\"b\"c,2", "user: a field goes on behind its closing quote, with \"c\""),
        ("x\ry,2", "user: a carriage return (\\r) that neither stands in quotes nor ends a line with \\n"),
    ] {
        let mut play = play();
        play.write("a.csv", format!("user,at\na,1\n{row}"));
        let error = play.run().unwrap_err();
        assert_eq!(play.shorten(error.message()), format!("logs/a.csv:3: {told}"));
    }
    let mut play = play();
    play.write("a.csv", b"user,at\na,1\nb\xc3");
    assert_eq!(play.run().unwrap().counts.unfinished_lines, 1);
    assert_eq!(rows(&play.append("a.csv", b"\xa9,2\n").run().unwrap()), "+b\u{e9}:2");
    let error = play.append("a.csv", b"\xffc,1").run().unwrap_err();
    assert_eq!(play.shorten(error.message()), "logs/a.csv:4: not UTF-8: byte 0xff");
}

/// Broke once: what was appended later was left out, too, and nothing said how much.
#[test]
fn after_an_open_quote_a_file_is_left_out_to_its_end_and_what_comes_later_is_read() {
    let told = "logs/a.csv:3: a quote opens here and is never closed: 3 lines (18 bytes) up to the end of the file are left out";
    for on_error in [OnError::Skip, OnError::DeadLetter("rejected.csv".into())] {
        for streaming in [false, true] {
            let mut play = play();
            play.options.on_error = on_error.clone();
            let ran = play.write("a.csv", "user,at\na,1\n\"bob,2\nc,3\ncyd,10\n").run().unwrap();
            assert_eq!((rows(&ran).as_str(), ran.counts.rows_rejected), ("+a:1", 1));
            assert!(ran.counts.notices.contains(&told.to_owned()), "{:?}", ran.counts.notices);
            if on_error != OnError::Skip {
                let rejects: Vec<_> = ran.rejects.iter().map(|reject| play.shorten(&reject.to_string())).collect();
                assert_eq!(rejects, [told]);
                assert_eq!(ran.rejects[0].row, "\"bob,2\nc,3\ncyd,10\n");
            }
            let ran = play.run().unwrap();
            assert_eq!((rows(&ran).as_str(), ran.counts.rows_rejected, ran.counts.notices.len()), ("", 0, 0));
            play.options.streaming = streaming.then(Streaming::default);
            let ran = play.append("a.csv", "d,4\n\"e\",5\n").run().unwrap();
            assert_eq!((rows(&ran).as_str(), ran.counts.rows_rejected), ("+d:4 +e:5", 0));
        }
    }
    // Bad rows before it are counted beside it, in pieces of any size.
    let mut play = play();
    play.options.on_error = OnError::Skip;
    let bad = "x,y\n".repeat(20);
    let ran = play.write("a.csv", format!("user,at\n{bad}b,2\n\"c\n{}", "d,4\n".repeat(50))).run().unwrap();
    assert_eq!((rows(&ran).as_str(), ran.counts.rows_rejected), ("+b:2", 21));
    let told = "logs/a.csv:23: a quote opens here and is never closed: 51 lines (203 bytes) up to the end of the file are left out";
    assert!(ran.counts.notices.contains(&told.to_owned()), "{:?}", ran.counts.notices);
}

/// Broke once: its second half was read as a row of its own.
#[test]
fn a_record_that_was_cut_behind_a_newline_in_quotes_is_read_when_it_is_whole() {
    for (rests, then) in [
        (&["q\",5\nz,6\n"][..], "+p\nq:5 +z:6"),
        (&["q\",5"], "+p\nq:5"),
        (&["q\",5", "6\n"], "+p\nq:56"),
        (&["q", "\"", ",5", "\r\n"], "+p\nq:5"),
        (&["q\"", "\"r\",5\n"], "+p\nq\"r:5"),
        (&["q\"x,5\nz,6\n"], "+q\"x:5 +z:6"),
        (&["q\"x,", "5\nz,6\n"], "+q\"x:5 +z:6"),
        (&["q\",5,6\nz,6\n"], "+z:6"),
        (&["z,6\n"], "+z:6"),
        (&["z", ",6\n"], "+z:6"),
    ] {
        for on_error in [OnError::Skip, OnError::DeadLetter("rejected.csv".into())] {
            for streaming in [false, true] {
                let mut play = play();
                play.options.on_error = on_error.clone();
                let first = play.write("a.csv", "user,at\na,1\n\"p\n").run().unwrap();
                assert_eq!((rows(&first).as_str(), first.counts.rows_rejected), ("+a:1", 1));
                if !(streaming && rests.last().unwrap().ends_with('5')) {
                    play.options.streaming = streaming.then(Streaming::default);
                }
                let mut sum = Bag::new();
                let mut letters = first.rejects.len() as i64;
                for rest in rests {
                    assert_eq!(play.run().unwrap().counts.rows_rejected, 0);
                    let ran = play.append("a.csv", rest).run().unwrap();
                    let taken_back: Vec<_> = ran.rejects.iter().filter(|reject| reject.is_taken_back).collect();
                    for reject in &taken_back {
                        assert_eq!(Reject { is_taken_back: false, ..(*reject).clone() }, first.rejects[0]);
                    }
                    letters -= taken_back.len() as i64;
                    add_bag(&mut sum, ran.rows);
                }
                let sum = sum.iter().map(|(row, count)| format!("{count:+}{}", row.join(":")).replace("+1", "+"));
                assert_eq!(sum.collect::<Vec<_>>().join(" "), then, "{rests:?}");
                let is_read = then.starts_with("+p");
                assert_eq!(letters, i64::from(on_error != OnError::Skip && !is_read), "{rests:?}");
            }
        }
    }
    // What waits is named, from the start of its record.
    let mut play = play();
    play.options.on_error = OnError::Skip;
    play.write("a.csv", "user,at\na,1\n\"p\n").run().unwrap();
    let notice = "logs/a.csv:3: the last row has no end yet and waits (2 lines, 4 bytes; a quote that opens in line 3 is not closed)";
    play.append("a.csv", "q");
    for _ in 0..2 {
        let ran = play.run().unwrap();
        assert_eq!((rows(&ran).as_str(), &ran.counts.notices[..]), ("", &[notice.to_owned()][..]));
    }
    // An error says what becomes of a record that is still being written.
    let error = self::play().write("a.csv", "user,at\na,1\n\"p\n").run().unwrap_err();
    let hint = "a record that is still being written is read by a run after its end; on_error: OnError::Skip leaves it out until then";
    assert_eq!(error.hint(), Some(hint));
}

/// Broke once: such a file was passed over in every run, as one whose header has no end yet.
#[test]
fn a_file_whose_lines_end_with_cr_alone_is_named_although_a_quote_is_open_in_it() {
    for text in ["user,\"at\r1,x\r", "user,at\r1,\"x\r2,y\r"] {
        for append_only in [false, true] {
            let mut play = play();
            play.options.append_only = append_only;
            let error = play.write("a.csv", text).run().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Input);
            let told = "logs/a.csv:1: the header: a carriage return (\\r) that neither stands in quotes nor ends a line with \\n";
            assert_eq!(play.shorten(error.message()), told);
        }
    }
    // One that has been cut between the two bytes of a line break.
    let mut play = Play::new("user: str, at\r\n: int");
    assert_eq!(rows(&play.write("a.csv", "user,\"at\r").run().unwrap()), "");
    assert_eq!(rows(&play.append("a.csv", "\n\"\na,1\n").run().unwrap()), "+a:1");
}

/// Broke once: such a row ended the run, where a shorter one was left out.
#[test]
fn a_row_over_the_limit_is_left_out_as_a_shorter_one_is() {
    let bad = |length: usize| (0..length).map(|i| if i % 7 == 3 { "\n" } else { "\"\"" }).collect::<String>();
    let letters = || OnError::DeadLetter("rejected.csv".into());
    for length in (0..300).step_by(11) {
        // The quote is never closed; it is, but its row is no good; so is one of many lines.
        for (row, end) in
            [("\"", "\nd,4\n"), ("\"", "\"x,1\nd,4\n"), ("\"", "\",1,\"\n\",2\nd,4\ne,5"), ("xx", "\nd,4\n")]
        {
            let filler = if row == "xx" { "\"".repeat(length) } else { bad(length) };
            let text = format!("user,at\na,1\nb,2\n{row}{filler}{end}");
            let mut ran = [64 << 20, 40].map(|limit| {
                let mut play = play();
                play.options.on_error = letters();
                play.options.limits.row_bytes = limit;
                let first = play.write("a.csv", &text).run().unwrap();
                let later = play.append("a.csv", "\nf,6\n").run().unwrap();
                let rejects: Vec<_> = first.rejects.iter().map(|reject| (reject.line, reject.row.clone())).collect();
                assert_eq!(first.counts.rows_rejected as usize, rejects.len());
                ((first.rows, later.rows), rejects, later.rejects.len())
            });
            // The line behind it is its own: a row over several lines is named by its first one.
            ran.iter_mut().flat_map(|(_, rejects, _)| rejects).for_each(|(line, _)| *line = (*line).min(4));
            ran.iter_mut().flat_map(|(_, rejects, _)| rejects).for_each(|(_, row)| *row = row.trim_end().to_owned());
            assert_eq!(ran[0], ran[1], "{text:?}");
        }
    }
}

#[test]
fn a_row_over_the_limit_is_named_with_its_lines_and_bytes() {
    let open = format!("user,at\na,1\n\"bob,2\n{}", "cyd,3\n".repeat(60));
    let told = "logs/a.csv:3: a quote opens here and is never closed: 61 lines (367 bytes) up to the end of the file are left out";
    let closed = format!("{open}\",7\nd,4\n");
    let too_long = "logs/a.csv:3: a row of more than 100 bytes: 62 lines (371 bytes)";
    for (text, told, rows_then, is_notice) in [(&open, told, "+a:1", true), (&closed, too_long, "+a:1 +d:4", false)] {
        for on_error in [OnError::Skip, OnError::DeadLetter("rejected.csv".into())] {
            // A file that is watched may be cut where an epoch has enough.
            for streaming in [false, true] {
                let mut play = play();
                play.options.on_error = on_error.clone();
                play.options.limits.row_bytes = 100;
                play.options.streaming =
                    streaming.then(|| Streaming { epoch_bytes: 1, commit_every: Duration::from_millis(0) });
                let ran = play.write("a.csv", text).run().unwrap();
                assert_eq!((rows(&ran).as_str(), ran.counts.rows_rejected), (rows_then, 1), "{streaming}");
                let notices = ran.counts.notices.join("; ");
                assert!(notices.contains(told) || !is_notice && on_error != OnError::Skip, "{notices}");
                if on_error != OnError::Skip {
                    let rejects: Vec<_> = ran.rejects.iter().map(|reject| play.shorten(&reject.to_string())).collect();
                    assert_eq!(rejects, [told]);
                    assert!(text.contains(ran.rejects[0].row.trim_end()), "{}", ran.rejects[0].row);
                }
                let ran = play.append("a.csv", "e,5\n").run().unwrap();
                assert_eq!((rows(&ran).as_str(), ran.counts.rows_rejected), ("+e:5", 0));
            }
        }
    }
}

#[test]
fn a_row_over_the_limit_without_a_newline_waits_for_it() {
    let mut play = play();
    play.options.on_error = OnError::DeadLetter("rejected.csv".into());
    play.options.limits.row_bytes = 100;
    assert_eq!(rows(&play.write("a.csv", "user,at\na,1\nb,2").run().unwrap()), "+a:1 +b:2");
    let ran = play.append("a.csv", "3".repeat(200)).run().unwrap();
    assert_eq!((rows(&ran).as_str(), ran.counts.unfinished_lines), ("-b:2", 1));
    let notice = "logs/a.csv:3: the last line has no newline yet and waits (203 bytes)";
    assert_eq!(ran.counts.notices, [notice]);
    assert_eq!(play.run().unwrap().counts.notices, [notice]);
    let ran = play.append("a.csv", "\nc,3\n").run().unwrap();
    assert_eq!((rows(&ran).as_str(), ran.counts.rows_rejected), ("+c:3", 1));
    let told = "logs/a.csv:3: a row of more than 100 bytes: 1 line (204 bytes)";
    assert_eq!(play.shorten(&ran.rejects[0].to_string()), told);
}

/// A row that nothing can make good: it is no dead letter before its line has ended, since more of it may come.
#[test]
fn a_bad_last_line_is_left_out_when_its_newline_comes() {
    for on_error in [OnError::Skip, OnError::DeadLetter("rejected.csv".into())] {
        let mut play = play();
        play.options.on_error = on_error;
        play.write("a.csv", "user,at\na,1\nb,2,3");
        let what = "the last line cannot be read, and is left out as soon as a newline ends it";
        let notice = format!("logs/a.csv:3: {what} (5 bytes; 3 fields where the header has 2)");
        for _ in 0..2 {
            let ran = play.run().unwrap();
            assert_eq!((&ran.counts.notices[..], ran.counts.rows_rejected), (&[notice.clone()][..], 0));
        }
        let ran = play.append("a.csv", ",4\nc,3").run().unwrap();
        assert_eq!((rows(&ran).as_str(), ran.counts.rows_rejected, ran.counts.unfinished_lines), ("+c:3", 1, 0));
        assert!(ran.rejects.iter().all(|reject| reject.row == "b,2,3,4"), "{:?}", ran.rejects);
    }
}

#[test]
fn a_watched_file_says_once_that_an_open_quote_holds_back_what_follows() {
    let mut play = play();
    play.options.streaming = Some(Streaming::default());
    let ran = play.write("a.csv", "user,at\na,1\n\"b,2\nc,3\n").run().unwrap();
    let notice = "logs/a.csv:3: the last row has no end yet and waits (2 lines, 9 bytes; a quote that opens in line 3 is not closed)";
    assert_eq!((rows(&ran).as_str(), &ran.counts.notices[..]), ("+a:1", &[notice.to_owned()][..]));
}

#[test]
fn an_optional_column_that_a_header_lacks_is_null() {
    let mut play = Play::new("user: str, at: int?, score: float?, note: str?");
    play.write("old.csv", "user,at\na,1\nb,\n").write("new.csv", "note,score,at,user\nx,1.5,2,c\n");
    let ran = play.run().unwrap();
    assert_eq!(rows(&ran), "+a:1:null:null +b:null:null:null +c:2:1.5:x");
    let notice = |column| format!("logs/old.csv: no column \"{column}\" in the header: it is null there");
    assert_eq!(ran.counts.notices, [notice("note"), notice("score")]);
    let ran = play.append("old.csv", "d,4\n").run().unwrap();
    assert_eq!(rows(&ran), "+d:4:null:null");
    // One that must be there is missed, and so are all.
    let error = play.write("x.csv", "at\n1\n").run().unwrap_err();
    assert!(error.message().contains("no column \"user\" in the header"), "{error}");
    let mut play = Play::new("user: str?, at: int?");
    let error = play.write("x.csv", "user;at\na;1\n").run().unwrap_err();
    assert!(error.message().contains("no column \"user\" in the header"), "{error}");
}

/// Broke once: a blank line was passed over where it stands for a null, as in what databases write.
#[test]
fn a_blank_line_is_a_null_of_the_only_column() {
    let mut play = Play::new("a: int?");
    let ran = play.write("a.csv", "\na\r\n1\r\n\r\n2\n\n").run().unwrap();
    assert_eq!((rows(&ran).as_str(), ran.counts.rows_read), ("+1 +2 +null", 4));
    assert_eq!(ran.rows[&vec!["null".to_owned()]], 2);
    let ran = play.append("a.csv", "\r").run().unwrap();
    assert_eq!((rows(&ran).as_str(), ran.counts.rows_read), ("+null", 1));
    assert_eq!(rows(&play.append("a.csv", "\n3").run().unwrap()), "+3");
    let mut play = Play::new("a: str?");
    let ran = play.write("a.csv", "a\nx\n\n\"\"\n").run().unwrap();
    assert_eq!(rows(&ran), "+ +null +x");
    // The column need not be read to be counted; of others, a blank line holds nothing.
    play.columns = vec![];
    play.saved.clear();
    assert_eq!(play.run().unwrap().counts.rows_read, 3);
    for (columns, text) in [("a: int", "a\n1\n\n2\n"), ("a: int?", "a,b\n1,\n\n2,\n"), ("a: str", "a\n1\n\n2\n")] {
        assert_eq!(rows(&Play::new(columns).write("a.csv", text).run().unwrap()), "+1 +2");
    }
}

#[test]
fn what_else_reads_as_null() {
    let mut play = Play::new("i: int?, s: str?, t: str, d: DateTimeNaive?");
    let header = "i,s,t,d\n";
    let text =
        format!("{header}\"\",\"\",\"\",\"\"\n\\N,\\N,\\N,\\N\n\"NA\",\"NA\",NA,\"NA\"\n,,,\n1,N,A,2026-01-01t00:00\n");
    play.options.null_values = vec!["\\N".into(), "NA".into()];
    let expect = "+1:N:A:2026-01-01T00:00:00 +null:::null +null:NA:NA:null +null:null::null +null:null:\\N:null";
    assert_eq!(rows(&play.write("a.csv", text).run().unwrap()), expect);
    let error = play.write("b.csv", format!("{header}null,,,\n")).run().unwrap_err().to_string();
    let hint = "hint: null_values=[\"null\"] reads it as null";
    assert_eq!(play.shorten(&error), format!("logs/b.csv:2: i: \"null\" is not an int\n{hint}"));
    for word in ["\\N", "NULL", "Null", "NA", "N/A", "None", "NaN", "nil", "-"] {
        let error = Play::new("i: int").write("a.csv", format!("i\n{word}\n")).run().unwrap_err();
        let expect = format!("null_values=[{word:?}] reads it as null in an optional column");
        assert_eq!(error.hint(), Some(&*expect));
    }
    let mut play = Play::new("i: int");
    play.options.null_values = vec!["NA".into()];
    let error = play.write("a.csv", "i\nNA\n").run().unwrap_err();
    assert_eq!(error.hint(), Some("a value of null_values is null only in an optional column"));
    play.options.null_values = vec!["a\n".into()];
    let error = crate::csv::check(&play.options).unwrap_err();
    assert_eq!(error.message(), "null_values: \"a\\n\" holds a line break, which no field without quotes does");
}

#[test]
fn a_header_may_arrive_in_parts() {
    for append_only in [false, true] {
        let mut play = play();
        play.options.append_only = append_only;
        assert_eq!(rows(&play.write("a.csv", "").run().unwrap()), "");
        let ran = play.append("a.csv", "user,a").run().unwrap();
        let why = if append_only {
            "the last line has no newline yet and waits (6 bytes)"
        } else {
            "the last line has no newline, cannot be read, and waits for the rest (6 bytes; no column \"at\" in the header; \
             nearest: \"a\", \"user\")"
        };
        assert_eq!((rows(&ran).as_str(), ran.counts.notices), ("", vec![format!("logs/a.csv:1: {why}")]));
        assert_eq!(rows(&play.append("a.csv", "t").run().unwrap()), "");
        assert_eq!(rows(&play.append("a.csv", ",more\na,1,x\n").run().unwrap()), "+a:1");
    }
}

#[test]
fn new_times_of_the_same_content_change_nothing() {
    let mut play = play();
    play.write("a.csv", "user,at\na,1\n").run().unwrap();
    age(&play, "a.csv");
    let ran = play.run().unwrap();
    assert_eq!(rows(&ran), "");
    counts(&ran, 0, 0, 1);
}

#[test]
fn a_change_that_leaves_size_and_times_is_noticed_when_the_file_was_young() {
    let mut play = play();
    play.write("a.csv", "user,at\na,1\n").run().unwrap();
    let time = fs::metadata(play.path("a.csv")).unwrap().modified().unwrap();
    fs::write(play.path("a.csv"), "user,at\na,2\n").unwrap();
    File::options().append(true).open(play.path("a.csv")).unwrap().set_modified(time).unwrap();
    assert!(play.run().unwrap_err().message().contains("was rewritten"));
}

#[track_caller]
fn refused(change: impl Fn(&mut Play), expect: &str) {
    let mut play = play();
    play.write("a.csv", "user,at\na,1\n")
        .write("b.csv", "user,at\nb,2\n")
        .write("c.csv", "user,at\nc,3\n")
        .run()
        .unwrap();
    change(&mut play);
    let saved = play.saved.clone();
    let error = play.run().unwrap_err();
    assert_eq!(play.shorten(&error.to_string()), expect);
    assert_eq!(error.kind(), ErrorKind::Input);
    assert_eq!(play.saved.len(), saved.len());
}

#[test]
fn deleted() {
    refused(
        |play| fs::remove_file(play.path("b.csv")).unwrap(),
        "logs/b.csv was deleted: this version refuses such a file; nothing was read or changed\n\
         hint: put the file back, or start again with new state",
    );
}

#[test]
fn most_files_deleted() {
    refused(
        |play| ["a.csv", "b.csv"].iter().for_each(|file| fs::remove_file(play.path(file)).unwrap()),
        "2 of the 3 files known in logs are gone, logs/a.csv first: the directory may be unmounted; nothing was read or changed\n\
         hint: mount it, or put the files back, or start again with new state",
    );
}

#[test]
fn renamed() {
    refused(
        |play| fs::rename(play.path("a.csv"), play.path("z.csv")).unwrap(),
        "logs/a.csv was renamed to logs/z.csv: this version refuses such a file; nothing was read or changed\n\
         hint: put the old name back, or start again with new state",
    );
}

#[test]
fn copied_to_another_name_and_deleted() {
    refused(
        |play| {
            play.write("z.csv", "user,at\na,1\nd,4\n");
            fs::remove_file(play.path("a.csv")).unwrap();
        },
        "logs/a.csv was renamed to logs/z.csv: this version refuses such a file; nothing was read or changed\n\
         hint: put the old name back, or start again with new state",
    );
}

#[test]
fn rotated() {
    refused(
        |play| {
            fs::rename(play.path("a.csv"), play.path("a.csv.1")).unwrap();
            play.write("a.csv", "user,at\nz,1\nz,2\n");
        },
        "logs/a.csv was renamed to logs/a.csv.1, and another file took its place: this version refuses such a file; nothing was read or changed\n\
         hint: put the old name back, or start again with new state",
    );
}

#[test]
fn truncated() {
    refused(
        |play| {
            play.write("a.csv", "user,at\n");
        },
        "logs/a.csv was truncated: 12 bytes of it had been read, and it holds 8: this version refuses such a file; nothing was read or changed\n\
         hint: put the old content back, or start again with new state",
    );
}

#[test]
fn rewritten() {
    refused(
        |play| {
            play.write("b.csv", "user,at\nb,7\nc,9\n");
        },
        "logs/b.csv was rewritten: its first 12 bytes, which had been read, are not the same: this version refuses such a file; nothing was read or changed\n\
         hint: put the old content back, and write new rows to a new file or to the end, or start again with new state",
    );
}

#[test]
fn an_empty_directory_says_so() {
    let mut play = play();
    let ran = play.run().unwrap();
    assert_eq!(ran.counts.notices, ["logs/ holds no file"]);
    play.options.path += "/*.csv";
    assert_eq!(play.run().unwrap().counts.notices, ["no file matches logs/*.csv"]);
}

#[test]
fn directories_are_read_with_those_below_them_but_not_hidden_or_unfinished_files() {
    let mut play = play();
    let text = |user: &str| format!("user,at\n{user},1\n");
    play.write("a.csv", text("a")).write("x/b.txt", text("b")).write("x/y/c", text("c"));
    play.write(".hidden", text("h")).write(".git/d", text("d")).write("e.csv~", text("e")).write("x/f.tmp", text("f"));
    let ran = play.run().unwrap();
    assert_eq!(rows(&ran), "+a:1 +b:1 +c:1");
    assert_eq!(ran.counts.notices, ["logs/e.csv~ and 1 more are left out: unfinished by their names"]);
    play.saved.clear();
    play.options.path = play.path("**/*.txt").to_str().unwrap().to_owned();
    assert_eq!(rows(&play.run().unwrap()), "+b:1");
    play.saved.clear();
    play.options.path = play.path(".hidden").to_str().unwrap().to_owned();
    assert_eq!(rows(&play.run().unwrap()), "+h:1");
}

#[test]
fn a_file_with_two_names_is_read_once() {
    let mut play = play();
    play.write("b.csv", "user,at\nb,1\n");
    symlink("b.csv", play.path("a.csv")).unwrap();
    let ran = play.run().unwrap();
    assert_eq!(rows(&ran), "+b:1");
    assert_eq!(ran.counts.notices, ["logs/a.csv is another name of logs/b.csv, which is read once"]);
}

/// Broke once: each of these ended a service.
#[test]
fn links_that_lead_nowhere_and_names_that_are_not_utf8_are_left_out() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    for streaming in [None, Some(Streaming::default())] {
        for pattern in ["", "/*", "/**/*"] {
            let mut play = play();
            play.options.streaming = streaming;
            play.write("a.csv", "user,at\na,1\n").write("below/b.csv", "user,at\nb,2\n");
            symlink("nothing", play.path("dangling.csv")).unwrap();
            symlink("loop.csv", play.path("loop.csv")).unwrap();
            symlink("..", play.path("below/up")).unwrap();
            fs::write(play.path("").join(OsStr::from_bytes(b"\xff.csv")), "user,at\nc,3\n").unwrap();
            fs::create_dir(play.path("").join(OsStr::from_bytes(b"d\xff"))).unwrap();
            play.options.path += pattern;
            let ran = play.run().unwrap();
            assert_eq!(rows(&ran), if pattern == "/*" { "+a:1" } else { "+a:1 +b:2" }, "{pattern}");
            let told = |file, what| format!("logs/{file} is left out: {what}");
            let links = [told("dangling.csv", "a link to nothing"), told("loop.csv", "a link to itself")];
            let names = ["\u{fffd}.csv", "d\u{fffd}"].map(|name| told(name, "its name is not UTF-8"));
            let mut expect = links.to_vec();
            match pattern {
                "" => {
                    expect.insert(0, told("below/up", "a link to a directory that it is in"));
                    expect.extend([names[1].clone(), names[0].clone()]);
                }
                "/*" => expect.extend([names[1].clone(), names[0].clone()]),
                _ => {
                    expect.push(told("below/up", "a link to a directory that it is in"));
                    expect.extend([names[1].clone(), names[0].clone()]);
                }
            }
            expect.sort();
            let mut notices = ran.counts.notices.clone();
            notices.sort();
            assert_eq!(notices, expect, "{pattern}");
            // Once repaired, the link is a file like others.
            play.write("nothing", "user,at\ne,5\n");
            assert_eq!(rows(&play.run().unwrap()), "+e:5");
        }
    }
}

#[test]
fn an_input_that_is_not_read_to_its_end_is_not_taken_up() {
    use crate::csv::CsvSource;
    use crate::source::Source;
    use millpond_engine::changes::Epoch;
    use millpond_engine::hash::HashSeed;
    let mut play = play();
    play.write("a.csv", "user,at\n".to_owned() + &"user0123456,1700000000\n".repeat(100));
    let mut source = CsvSource::new(play.options.clone(), HashSeed(1));
    let input = source.next_epoch(&[0, 1]).unwrap().into_input().unwrap();
    input.next().unwrap().unwrap();
    let error = source.finish_epoch(Epoch(2)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(error.message(), "the input of the epoch was not read to its end");
    assert!(source.table().values().is_empty());
}

#[test]
fn a_file_that_is_replaced_while_a_run_starts_is_an_error() {
    use crate::csv::CsvSource;
    use crate::source::Source;
    use millpond_engine::hash::HashSeed;
    let mut play = play();
    play.write("a.csv", "user,at\na,1\n");
    let mut source = CsvSource::new(play.options.clone(), HashSeed(1));
    let input = source.next_epoch(&[0, 1]).unwrap().into_input().unwrap();
    fs::write(play.directory.path().join("new"), "user,at\nb,2\n").unwrap();
    fs::rename(play.directory.path().join("new"), play.path("a.csv")).unwrap();
    let error = input.next().unwrap_err();
    let text = "logs/a.csv was replaced while the run started\nhint: run again when the file is at rest";
    assert_eq!((error.kind(), play.shorten(&error.to_string()).as_str()), (ErrorKind::Unavailable, text));
    // As the hint says.
    assert_eq!(rows(&play.run().unwrap()), "+b:2");
}

#[test]
fn a_file_that_shrinks_while_it_is_read_is_an_error() {
    use crate::csv::CsvSource;
    use crate::source::Source;
    use millpond_engine::hash::HashSeed;
    let mut play = play();
    play.write("a.csv", "user,at\n".to_owned() + &"user0123456,1700000000\n".repeat(100));
    let mut source = CsvSource::new(play.options.clone(), HashSeed(1));
    let input = source.next_epoch(&[0, 1]).unwrap().into_input().unwrap();
    input.next().unwrap().unwrap();
    File::options().write(true).open(play.path("a.csv")).unwrap().set_len(80).unwrap();
    let error = loop {
        match input.next() {
            Ok(changes) => assert!(changes.is_some()),
            Err(error) => break error,
        }
    };
    let hint = "run again when the file is at rest";
    assert_eq!((error.kind(), error.hint()), (ErrorKind::Unavailable, Some(hint)));
    let message = "logs/a.csv became shorter while it was read: it ends at byte 80, before byte ";
    assert!(play.shorten(error.message()).starts_with(message), "{error}");
    assert_eq!(input.next().unwrap_err(), error);
    // As the hint says.
    play.write("a.csv", "user,at\na,1\n");
    assert_eq!(rows(&play.run().unwrap()), "+a:1");
}
