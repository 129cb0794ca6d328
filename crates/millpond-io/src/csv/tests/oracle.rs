//! The fast parser, cut into tiny pieces and read by several threads, against the `csv` crate and against the simplest
//! program that one can write; runs over a growing file against one run over the whole.

use millpond_columns::types::Type;
use proptest::prelude::*;
use proptest::sample::select;

use crate::csv::{OnError, Streaming};
use crate::testing::{Bag, Play, Ran, add_bag};

/// What the simplest parser finds: rows; whether a quote was still open; and whether the last row ended with a newline.
struct Simple {
    rows: Vec<SimpleRow>,
    open: bool,
    ended: bool,
    /// Where what is no row yet starts.
    rest: usize,
}

#[derive(Default)]
struct SimpleRow {
    start: usize,
    fields: Vec<SimpleField>,
}

#[derive(Default)]
struct SimpleField {
    quoted: bool,
    inside: Vec<u8>,
    /// What stands outside of quotes.
    outside: Vec<u8>,
    closed_behind_backslash: bool,
}

impl SimpleRow {
    /// Ends the row: a carriage return before the line end is not part of it. Whether it is a blank line.
    fn end(&mut self) -> bool {
        let last = self.fields.last_mut().unwrap();
        if last.outside.last() == Some(&b'\r') {
            last.outside.pop();
        }
        matches!(&self.fields[..], [only] if !only.quoted && only.outside.is_empty())
    }

    /// Whether it holds what it may not.
    fn is_odd(&self, quote: Option<u8>, escape: Option<u8>) -> bool {
        let fields = || self.fields.iter();
        let (bare, escaped) = match quote {
            Some(quote) => (
                fields().any(|field| !field.quoted && field.outside.contains(&quote)),
                fields().any(|field| field.outside.windows(2).any(|two| two == [b'\\', quote])),
            ),
            None => (false, false),
        };
        fields()
            .any(|field| field.quoted && !field.outside.is_empty() || field.outside.iter().any(|b| b"\r\0".contains(b)))
            || bare && escape.is_none() && (escaped || fields().any(|field| field.closed_behind_backslash))
    }
}

/// The same with another delimiter, which is no structure of the text otherwise.
fn simple_with(text: &[u8], delimiter: u8, quote: Option<u8>) -> Simple {
    let swap = |byte: &u8| match *byte {
        byte if byte == delimiter => b',',
        b',' => delimiter,
        byte => byte,
    };
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    simple(&text.iter().map(swap).collect::<Vec<_>>(), quote, None)
}

fn simple(text: &[u8], quote: Option<u8>, escape: Option<u8>) -> Simple {
    let (mut rows, mut inside) = (vec![], false);
    let new_row = |start| SimpleRow { start, fields: vec![SimpleField::default()] };
    let mut row = new_row(0);
    let mut i = 0;
    while i < text.len() {
        let byte = text[i];
        let field = row.fields.last_mut().unwrap();
        if inside {
            if Some(byte) == escape && i + 1 < text.len() {
                i += 1;
                field.inside.push(text[i]);
            } else if Some(byte) == quote && text.get(i + 1) == Some(&byte) {
                i += 1;
                field.inside.push(byte);
            } else if Some(byte) == quote {
                inside = false;
                field.closed_behind_backslash = text[i - 1] == b'\\';
            } else {
                field.inside.push(byte);
            }
        } else if Some(byte) == quote && field.outside.is_empty() && !field.quoted {
            (inside, field.quoted) = (true, true);
        } else if byte == b',' {
            row.fields.push(SimpleField::default());
        } else if byte == b'\n' {
            let mut row = std::mem::replace(&mut row, new_row(i + 1));
            if !row.end() {
                rows.push(row);
            }
        } else {
            field.outside.push(byte);
        }
        i += 1;
    }
    let (ended, rest) = (!inside && row.end() || row.start == text.len(), row.start);
    if !ended {
        rows.push(row);
    }
    Simple { rows, open: inside, ended, rest }
}

/// What is known of a file that is read as `a: str, b: int?` and grows, and what was read of it.
struct Reading {
    quote: Option<u8>,
    escape: Option<u8>,
    /// Where the next row starts.
    at: usize,
    /// The start of a row that was left out at the end of the text, since a quote was open.
    left_out: Option<usize>,
    rows: Bag,
    bad: u64,
}

impl Reading {
    fn new(quote: Option<u8>, escape: Option<u8>) -> Self {
        // Behind the header.
        Reading { quote, escape, at: 4, left_out: None, rows: Bag::new(), bad: 0 }
    }

    /// Reads the whole rows of a text that has grown; returns all rows, with a last line that may yet go on.
    fn read(&mut self, text: &[u8], lines_wait: bool) -> Bag {
        if let Some(start) = self.left_out.filter(|_| text.len() > self.at) {
            let Simple { rows, open, ended, .. } = simple(&text[start..], self.quote, self.escape);
            let is_whole = ended || rows.len() > 1;
            let is_good = self.good(&rows[0]).is_some();
            let is_over = is_whole || open && text.ends_with(b"\n");
            if !is_over && (open || lines_wait || !is_good) {
                return self.rows.clone();
            }
            self.left_out = None;
            if is_good && (is_whole || !open) {
                self.at = start;
                self.bad -= 1;
            }
        }
        let Some(new) = text.get(self.at..) else { return self.rows.clone() };
        let Simple { mut rows, open, ended, rest } = simple(new, self.quote, self.escape);
        let last = if ended { None } else { rows.pop() };
        for row in rows {
            match self.good(&row) {
                Some(cells) => *self.rows.entry(cells).or_default() += 1,
                None => self.bad += 1,
            }
        }
        let mut present = self.rows.clone();
        match last {
            None => self.at += rest,
            Some(row) if open && !lines_wait && text.ends_with(b"\n") => {
                self.left_out = Some(self.at + row.start);
                self.at = text.len();
                self.bad += 1;
            }
            Some(row) => {
                self.at += row.start;
                if let Some(cells) = self.good(&row).filter(|_| !open && !lines_wait) {
                    *present.entry(cells).or_default() += 1;
                }
            }
        }
        present
    }

    fn good(&self, row: &SimpleRow) -> Option<Vec<String>> {
        let [a, b] = &row.fields[..] else { return None };
        if row.is_odd(self.quote, self.escape) {
            return None;
        }
        let value = |field: &SimpleField| {
            String::from_utf8(if field.quoted { field.inside.clone() } else { field.outside.clone() }).ok()
        };
        let number = match &*value(b)? {
            "" => "null".to_owned(),
            digits => digits.parse::<i64>().ok()?.to_string(),
        };
        Some(vec![value(a)?, number])
    }
}

fn soup() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&'static [u8]> = vec![
        b",",
        b",",
        b",",
        b"\n",
        b"\n",
        b"\n",
        b"\r\n",
        b"\r",
        b"\"",
        b"\"",
        b"\"\"",
        b"\\",
        b"\\\"",
        b"\0",
        b"a",
        b"user0123456",
        b"1",
        b"-17",
        b"9223372036854775807",
        b"99999999999999999999",
        b"x,1\n",
        b"y,\n",
        b"\"q\",2\r\n",
        b"\"q\nr\",3\n",
        b"\"a\"\"b\",4\n",
        "é".as_bytes(),
        b"\xff",
        b"                                                                 ",
    ];
    proptest::collection::vec(select(pieces), 0..60).prop_map(|pieces| pieces.concat())
}

/// A table as text, in one of many spellings.
fn spelled() -> impl Strategy<Value = (Vec<u8>, u8, Option<u8>)> {
    let cell = select(vec![
        "",
        "a",
        "user0123456",
        "1",
        "-5",
        "x y",
        "é",
        "q\"q",
        "\"",
        "a,b",
        "l\nm",
        "c\r\nd",
        "t\tt",
        "'",
        "\\",
        ";",
    ]);
    let number = prop_oneof![any::<i64>().prop_map(|n| n.to_string()), Just(String::new())];
    let rows = proptest::collection::vec((cell, number, any::<[bool; 3]>(), 0..8u8), 0..40);
    let spelling = (select(b",;\t|".to_vec()), select(b"\"'".to_vec()), any::<bool>(), any::<bool>(), any::<bool>());
    (rows, spelling).prop_map(|(rows, (delimiter, quote, bom, swapped, ended))| {
        let mut text = if bom { b"\xef\xbb\xbf".to_vec() } else { Vec::new() };
        let (d, q) = (delimiter as char, quote as char);
        let header = if swapped { format!("b{d}{q}more{q}{d}a\r\n") } else { format!("a{d}more{d}b\n") };
        text.extend_from_slice(header.as_bytes());
        for (a, b, [quoted, crlf, blank], _) in rows {
            let special = a.contains([d, q, '\n', '\r']) || a.is_empty();
            let doubled = a.replace(q, &format!("{q}{q}"));
            let a = if quoted || special { format!("{q}{doubled}{q}") } else { a.to_owned() };
            let b = if quoted && crlf && !b.is_empty() { format!("{q}{b}{q}") } else { b };
            let line = if swapped { format!("{b}{d}m{d}{a}") } else { format!("{a}{d}{q}{d}{q}{d}{b}") };
            text.extend_from_slice(line.as_bytes());
            text.extend_from_slice(if crlf { b"\r\n" } else { b"\n" });
            if blank {
                text.extend_from_slice(if crlf { b"\n" } else { b"\r\n" });
            }
        }
        if !ended && text.ends_with(b"\n") && text.iter().filter(|b| **b == b'\n').count() > 1 {
            text.pop();
        }
        (text, delimiter, Some(quote))
    })
}

/// What the `csv` crate reads.
fn by_csv_crate(text: &[u8], delimiter: u8, quote: Option<u8>) -> Bag {
    let mut builder = csv::ReaderBuilder::new();
    builder.delimiter(delimiter).quote(quote.unwrap_or(b'"')).has_headers(true);
    let mut reader = builder.from_reader(text);
    let headers = reader.headers().unwrap().clone();
    let (a, b) = (headers.iter().position(|h| h == "a").unwrap(), headers.iter().position(|h| h == "b").unwrap());
    let mut bag = Bag::new();
    for row in reader.records() {
        let row = row.unwrap();
        let b = if row[b].is_empty() { "null".to_owned() } else { row[b].to_owned() };
        *bag.entry(vec![row[a].to_owned(), b]).or_default() += 1;
    }
    bag
}

/// Adds the dead letters of a run, with those that are taken back.
fn add_letters(bag: &mut Bag, ran: &Ran) {
    for reject in &ran.rejects {
        let letter = vec![reject.line.to_string(), reject.reason.clone(), reject.row.clone()];
        add_bag(bag, Bag::from([(letter, if reject.is_taken_back { -1 } else { 1 })]));
    }
}

fn play(quote: Option<u8>, escape: Option<u8>, threads: usize) -> Play {
    let mut play = Play::new("a: str, b: int?");
    play.options.quote = quote;
    play.options.escape = escape;
    play.options.on_error = OnError::Skip;
    play.threads = threads;
    play
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn any_bytes_read_as_the_simplest_parser_reads_them(
        soup in soup(), quote in select(vec![Some(b'"'), None]), escape in select(vec![None, Some(b'\\')]), threads in 1..4usize,
    ) {
        let text = [b"a,b\n", &soup[..]].concat();
        let mut play = play(quote, escape.filter(|_| quote.is_some()), threads);
        play.write("x.csv", &text);
        let ran = play.run().unwrap();
        let mut reading = Reading::new(quote, escape.filter(|_| quote.is_some()));
        let rows = reading.read(&text, false);
        prop_assert_eq!(&ran.rows, &rows, "{:?}", String::from_utf8_lossy(&text));
        prop_assert_eq!(ran.counts.rows_rejected, reading.bad);
        prop_assert_eq!(ran.counts.rows_read, rows.values().sum::<i64>() as u64);
    }

    #[test]
    fn tables_read_as_the_csv_crate_reads_them((text, delimiter, quote) in spelled(), threads in 1..4usize) {
        let mut play = play(quote, None, threads);
        play.options.delimiter = delimiter;
        play.options.on_error = OnError::Fail;
        play.write("x.csv", &text);
        let ran = play.run().map_err(|error| TestCaseError::fail(format!("{error} in {:?}", String::from_utf8_lossy(&text))))?;
        prop_assert_eq!(ran.rows, by_csv_crate(&text, delimiter, quote), "{:?}", String::from_utf8_lossy(&text));
    }

    #[test]
    fn runs_over_a_growing_file_add_up_to_what_the_simplest_reader_knows(
        soup in soup(), cuts in proptest::collection::vec(any::<(proptest::sample::Index, bool)>(), 0..5), threads in 1..3usize,
        append_only: bool, escape in select(vec![None, Some(b'\\')]), last_streaming: bool, epoch_bytes in 0..200u64,
        letters: bool,
    ) {
        let text = [b"a,b\n", &soup[..]].concat();
        let cuts = cuts.iter().map(|(cut, streaming)| (cut.index(text.len() + 1), *streaming));
        let mut cuts: Vec<(usize, bool)> = cuts.filter(|(cut, _)| *cut >= 3 || *cut == 0).collect();
        cuts.push((text.len(), last_streaming));
        cuts.sort_unstable();
        cuts.dedup_by_key(|(cut, _)| *cut);
        let mut play = play(Some(b'"'), escape, threads);
        play.options.append_only = append_only;
        play.options.limits.row_bytes = 1000;
        if letters {
            play.options.on_error = OnError::DeadLetter("rejected.csv".into());
        }
        let (mut sum, mut left_out) = (Bag::new(), Bag::new());
        let mut done = 0;
        let mut reading = Reading::new(Some(b'"'), escape);
        for (cut, streaming) in cuts {
            play.options.streaming = streaming.then_some(Streaming { epoch_bytes, ..Streaming::default() });
            play.append("x.csv", &text[done..cut]);
            play.write(&format!("{cut}.csv"), "a,b\nfixed,1\n");
            done = cut;
            let ran = play.run().unwrap();
            add_letters(&mut left_out, &ran);
            add_bag(&mut sum, ran.rows);
            *sum.entry(vec!["fixed".into(), "1".into()]).or_default() -= 1;
            let rows = reading.read(&text[..cut], append_only || streaming);
            sum.retain(|_, count| *count != 0);
            prop_assert_eq!(&sum, &rows, "{:?} up to {}", String::from_utf8_lossy(&text), cut);
            if letters {
                prop_assert!(left_out.values().all(|count| *count > 0), "{:?} up to {}", left_out, cut);
                prop_assert_eq!(left_out.values().sum::<i64>() as u64, reading.bad, "{:?} up to {}", text, cut);
            }
        }
    }

    /// Wherever a good file ends for now, also behind a line break inside quotes: its records are read in the end, and
    /// none of them stays among the dead letters.
    #[test]
    fn good_records_are_read_however_they_are_cut(
        (text, delimiter, quote) in spelled(), cuts in proptest::collection::vec(any::<(proptest::sample::Index, bool)>(), 0..8),
        letters: bool, threads in 1..3usize,
    ) {
        let mut cuts: Vec<_> = cuts.iter().map(|(cut, streaming)| (cut.index(text.len() + 1), *streaming)).collect();
        cuts.push((text.len(), false));
        cuts.sort_unstable();
        let mut play = play(quote, None, threads);
        play.options.delimiter = delimiter;
        if letters {
            play.options.on_error = OnError::DeadLetter("rejected.csv".into());
        }
        let (mut sum, mut left_out, mut done) = (Bag::new(), Bag::new(), 0);
        for (cut, streaming) in cuts {
            play.options.streaming = streaming.then(Streaming::default);
            play.append("x.csv", &text[done..cut]);
            done = cut;
            let ran = play.run().map_err(|error| TestCaseError::fail(format!("{error} in {:?} up to {cut}", String::from_utf8_lossy(&text))))?;
            add_letters(&mut left_out, &ran);
            add_bag(&mut sum, ran.rows);
        }
        prop_assert_eq!(sum, by_csv_crate(&text, delimiter, quote), "{:?}", String::from_utf8_lossy(&text));
        left_out.retain(|_, count| *count != 0);
        prop_assert_eq!(left_out, Bag::new());
    }

    /// Wherever the end of a good file may be for now, a run is no failure, and what comes later makes it good.
    #[test]
    fn every_prefix_of_a_good_file_is_read((text, delimiter, quote) in spelled(), cut: proptest::sample::Index, append_only: bool) {
        let cut = cut.index(text.len() + 1);
        let mut play = play(quote, None, 1);
        play.options.delimiter = delimiter;
        play.options.on_error = OnError::Fail;
        play.options.append_only = append_only;
        let run = |play: &mut Play| {
            play.run().map_err(|error| TestCaseError::fail(format!("{error} in {:?}", String::from_utf8_lossy(&text[..cut]))))
        };
        play.write("x.csv", &text[..cut]);
        let open = simple_with(&text[..cut], delimiter, quote).open && cut > 0 && text[cut - 1] == b'\n';
        if open && !append_only {
            // Lines that stand in a quote look like lines behind one that was opened by mistake.
            let error = play.run().unwrap_err();
            prop_assert!(error.message().contains("is never closed"), "{}", error);
            return Ok(());
        }
        let mut sum = run(&mut play)?.rows;
        play.append("x.csv", &text[cut..]);
        add_bag(&mut sum, run(&mut play)?.rows);
        play.append("x.csv", "\n");
        add_bag(&mut sum, run(&mut play)?.rows);
        prop_assert_eq!(sum, by_csv_crate(&text, delimiter, quote), "{:?}", String::from_utf8_lossy(&text));
    }

    #[test]
    fn any_time_reads_exactly(value: i64, scale in 0_u32..18, quoted: bool) {
        let value = value / 10_i64.pow(scale);
        let mut play = Play::new("a: DateTimeNaive, b: DateTimeUtc?, c: Duration, d: Duration?");
        let texts = [Type::DateTimeNaive, Type::DateTimeUtc, Type::Duration].map(|ty| millpond_plan::time::text(ty, value));
        let quote = if quoted { "\"" } else { "" };
        let [a, b, c] = texts.clone().map(|text| format!("{quote}{text}{quote}"));
        let ran = play.write("x.csv", format!("a,b,c,d\n{a},{b},{c},\n")).run().unwrap();
        let [a, b, c] = texts;
        prop_assert_eq!(ran.rows.keys().next().unwrap(), &vec![a, b, c, "null".to_owned()]);
    }
}
