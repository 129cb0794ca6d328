//! The fast parser, cut into tiny pieces and read by several threads, against the `csv` crate and against the simplest
//! program that one can write; runs over a growing file against one run over the whole.

use millpond_plan::types::Type;
use proptest::prelude::*;
use proptest::sample::select;

use crate::csv::{OnError, Streaming};
use crate::testing::{Bag, Play, add_bag};

/// What the simplest parser finds: rows of fields, each with whether it was quoted; whether a quote was still open; and
/// whether the last row ended with a newline.
struct Simple {
    rows: Vec<Vec<(Vec<u8>, bool)>>,
    open: bool,
    ended: bool,
}

fn simple(text: &[u8], quote: Option<u8>, escape: Option<u8>) -> Simple {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let (mut rows, mut row, mut field): (Vec<_>, Vec<_>, Vec<u8>) = (vec![], vec![], vec![]);
    let (mut quoted, mut inside, mut row_bytes) = (false, false, 0);
    let mut i = 0;
    let mut closed_at = 0;
    while i < text.len() {
        let byte = text[i];
        row_bytes += 1;
        if inside {
            if Some(byte) == escape && i + 1 < text.len() {
                i += 1;
                field.push(text[i]);
            } else if Some(byte) == quote && text.get(i + 1) == Some(&byte) {
                i += 1;
                field.push(byte);
            } else if Some(byte) == quote {
                inside = false;
                closed_at = i;
            } else {
                field.push(byte);
            }
        } else if Some(byte) == quote && field.is_empty() && !quoted {
            (inside, quoted) = (true, true);
        } else if byte == b',' {
            row.push((std::mem::take(&mut field), std::mem::take(&mut quoted)));
        } else if byte == b'\n' {
            if field.last() == Some(&b'\r') && !(quoted && closed_at == i - 1) {
                field.pop();
                row_bytes -= 1;
            }
            row.push((std::mem::take(&mut field), std::mem::take(&mut quoted)));
            if row_bytes > 1 {
                rows.push(std::mem::take(&mut row));
            }
            row.clear();
            row_bytes = 0;
        } else {
            field.push(byte);
        }
        i += 1;
    }
    let mut ended = true;
    if row_bytes > 0 {
        if !inside && field.last() == Some(&b'\r') {
            field.pop();
            row_bytes -= 1;
        }
        row.push((field, quoted));
        if row_bytes > 0 {
            rows.push(row);
            ended = false;
        }
    }
    Simple { rows, open: inside, ended }
}

/// What reading `a: str, b: int?` from a text gives: the good rows, and the number of bad ones.
fn expected(text: &[u8], quote: Option<u8>, escape: Option<u8>, append_only: bool) -> (Bag, u64) {
    let Simple { mut rows, open, ended } = simple(text, quote, escape);
    if rows.is_empty() {
        return (Bag::new(), 0);
    }
    if append_only && !ended {
        rows.pop();
    }
    let (mut bag, mut bad) = (Bag::new(), 0);
    let last = rows.len();
    for (i, row) in rows.iter().enumerate().skip(1) {
        let unclosed = open && i + 1 == last && !append_only;
        match good_row(row).filter(|_| !unclosed) {
            Some(cells) => *bag.entry(cells).or_default() += 1,
            None => bad += 1,
        }
    }
    (bag, bad)
}

fn good_row(row: &[(Vec<u8>, bool)]) -> Option<Vec<String>> {
    let [a, b] = row else { return None };
    let text = String::from_utf8(a.0.clone()).ok()?;
    let number = match (&b.0[..], b.1) {
        (b"", false) => "null".to_owned(),
        (digits, _) => std::str::from_utf8(digits).ok()?.parse::<i64>().ok()?.to_string(),
    };
    Some(vec![text, number])
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
        let (rows, bad) = expected(&text, quote, escape.filter(|_| quote.is_some()), false);
        prop_assert_eq!(&ran.rows, &rows, "{:?}", String::from_utf8_lossy(&text));
        prop_assert_eq!(ran.counts.rows_rejected, bad);
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
    fn runs_over_a_growing_file_add_up_to_one_run_over_the_whole(
        soup in soup(), cuts in proptest::collection::vec(any::<(proptest::sample::Index, bool)>(), 0..5), threads in 1..3usize,
        append_only: bool, escape in select(vec![None, Some(b'\\')]), last_streaming: bool, epoch_bytes in 0..200u64,
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
        let mut sum = Bag::new();
        let mut done = 0;
        let mut static_before = false;
        for (cut, streaming) in cuts {
            play.options.streaming = streaming.then_some(Streaming { epoch_bytes, ..Streaming::default() });
            play.append("x.csv", &text[done..cut]);
            play.write(&format!("{cut}.csv"), "a,b\nfixed,1\n");
            done = cut;
            add_bag(&mut sum, play.run().unwrap().rows);
            *sum.entry(vec!["fixed".into(), "1".into()]).or_default() -= 1;
            // A last line that a static run has read as a row stays one until the file grows.
            let lines_wait = append_only || streaming && !static_before;
            static_before |= !streaming;
            if lines_wait || !streaming && cut == text.len() {
                let (mut rows, _) = expected(&text[..cut], Some(b'"'), escape, lines_wait);
                rows.retain(|_, count| *count != 0);
                let mut present = sum.clone();
                present.retain(|_, count| *count != 0);
                prop_assert_eq!(&present, &rows, "{:?} up to {}", String::from_utf8_lossy(&text), cut);
            }
        }
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
