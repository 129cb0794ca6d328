//! What happens to files between runs, and what is read then.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};

use millpond_error::ErrorKind;

use crate::testing::{Play, Ran};

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
        (",,yes,,", "b: \"yes\" is not a bool"),
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
    assert_eq!(rows(&play.write("a.csv", "at,user\n1,a\r").run().unwrap()), "+1:a");
    assert_eq!(rows(&play.append("a.csv", "\r\n").run().unwrap()), "-1:a +1:a\r");
    assert_eq!(rows(&play.append("a.csv", "2,b\r").run().unwrap()), "+2:b");
    assert_eq!(rows(&play.append("a.csv", "\n").run().unwrap()), "");
}

#[test]
fn a_last_line_without_a_newline_waits_in_an_append_only_source() {
    let mut play = play();
    play.options.append_only = true;
    let ran = play.write("a.csv", "user,at\na,1\nb,2").run().unwrap();
    assert_eq!(rows(&ran), "+a:1");
    assert_eq!(ran.counts.notices, ["logs/a.csv: the last line has no newline yet and waits"]);
    assert_eq!(play.run().unwrap().counts.unfinished_lines, 1);
    let ran = play.append("a.csv", "3\n\"c").run().unwrap();
    assert_eq!((rows(&ran).as_str(), ran.counts.unfinished_lines), ("+b:23", 1));
    let quote = "logs/a.csv: the last line has no newline yet and waits (a quote that opens in line 4 is not closed)";
    assert_eq!(ran.counts.notices, [quote]);
}

#[test]
fn a_header_may_arrive_in_parts() {
    for append_only in [false, true] {
        let mut play = play();
        play.options.append_only = append_only;
        assert_eq!(rows(&play.write("a.csv", "").run().unwrap()), "");
        assert_eq!(rows(&play.append("a.csv", "user,at").run().unwrap()), "");
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
    assert!(source.finish_epoch(Epoch(2)).is_err());
    assert!(source.table().records().is_empty());
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
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("became shorter while it was read"));
    assert_eq!(input.next().unwrap_err(), error);
}
