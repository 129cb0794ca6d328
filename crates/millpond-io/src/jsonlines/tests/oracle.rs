//! The fast reader, cut into tiny pieces and read by several threads, against `serde_json` reading each line into a
//! document; runs over a growing file against one run over the whole.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value;

use crate::jsonlines::{JsonLinesSourceOptions, OnError, Streaming};
use crate::testing::{Bag, Play, add_bag};

const COLUMNS: &str = "a: str, b: int?, c: float?, d: bool?, e: str?";

fn play(threads: usize) -> Play<JsonLinesSourceOptions> {
    let mut play = Play::json_lines(COLUMNS);
    play.options.field_paths = vec![("e".into(), "/n/1/x".into())];
    play.options.on_error = OnError::Skip;
    play.threads = threads;
    play
}

/// What reading a text gives: the good rows, and the number of bad ones; a bad last line without a newline waits.
fn expected(text: &[u8], append_only: bool) -> (Bag, u64) {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    if append_only {
        lines.pop();
    }
    let (mut bag, mut bad) = (Bag::new(), 0);
    let last = lines.len();
    for (number, line) in lines.into_iter().enumerate() {
        if line.iter().all(|byte| b" \t\r".contains(byte)) {
            continue;
        }
        match row(line) {
            Some(cells) => *bag.entry(cells).or_default() += 1,
            None if number + 1 == last && !append_only => {}
            None => bad += 1,
        }
    }
    (bag, bad)
}

fn row(line: &[u8]) -> Option<Vec<String>> {
    let value: Value = serde_json::from_str(std::str::from_utf8(line).ok()?).ok()?;
    value.is_object().then_some(())?;
    let field = |path: &str| value.pointer(path).filter(|value| !value.is_null());
    let optional = |path: &str, cell: fn(&Value) -> Option<String>| match field(path) {
        None => Some("null".to_owned()),
        Some(value) => cell(value),
    };
    let text = |value: &Value| value.as_str().map(str::to_owned);
    Some(vec![
        text(field("/a")?)?,
        optional("/b", |value| value.as_i64().map(|value| value.to_string()))?,
        optional("/c", |value| value.as_f64().map(|value| format!("{value:?}")))?,
        optional("/d", |value| value.as_bool().map(|value| value.to_string()))?,
        optional("/n/1/x", text)?,
    ])
}

/// Text that may go wrong at any place. Left out is what `serde_json` refuses in fields that are not read, too (numbers
/// and escapes out of range), takes for a float (`-0`) or reads inexactly (long numbers): these have tests of their
/// own.
fn soup() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&'static [u8]> = vec![
        b"{",
        b"{",
        b"}",
        b"}",
        b"[",
        b"]",
        b":",
        b",",
        b",",
        b"\n",
        b"\n",
        b"\n",
        b"\r\n",
        b"\r",
        b" ",
        b"\t",
        b"\"",
        b"\\",
        b"\"a\":",
        b"\"b\":",
        b"\"c\":",
        b"\"n\":[0,",
        b"\"x\":",
        b"\"a\"",
        b"17",
        b"0.5",
        b"1e3",
        b"true",
        b"null",
        b"nul",
        b"{\"a\":\"x\"}\n",
        b"{\"a\":\"\",\"b\":5}\r\n",
        b"{\"a\":\"",
        b"\",\"b\":",
        b"\"}\n",
        b"}\n",
        b"]}\n",
        b"{\"a\":\"q\",\"n\":[{},{\"x\":\"y\"}]}\n",
        "é".as_bytes(),
        b"\xff",
        b"\x00",
        b"\x1f",
        b"\\n",
        b"\\u00e9",
        b"{\"a\":\"long enough to be cut by any piece, whatever its size, more than once\"}\n",
    ];
    (any::<bool>(), proptest::collection::vec(select(pieces), 0..60)).prop_map(|(bom, pieces)| {
        let bom: &[u8] = if bom { b"\xef\xbb\xbf" } else { b"" };
        [bom, &pieces.concat()].concat()
    })
}

/// A value, of any type, in one of many spellings.
fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        (-99_999i32..99_999, -9i32..9).prop_map(|(digits, scale)| format!("{digits}.5e{scale}")),
        select(vec!["true", "false", "null", "null", "{}", "[]", "[ ]", "{ }", "18446744073709551615", "1E2"])
            .prop_map(String::from),
        r#"([a-z ,:{}\[\]é]|\\[bfnrt"/\\]|\\u00[0-9a-fA-F]{2}|\\ud83d\\ude0[0-9]){0,12}"#
            .prop_map(|text| format!("\"{text}\"")),
        any::<String>().prop_map(|text| Value::String(text).to_string()),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(|values| format!("[{}]", values.join(" ,"))),
            proptest::collection::vec((select(vec!["x", "y", "a", ""]), inner), 0..3)
                .prop_map(|fields| object(&fields)),
        ]
    })
}

fn object(fields: &[(&str, String)]) -> String {
    let fields: Vec<_> = fields.iter().map(|(key, value)| format!("\"{key}\": {value}")).collect();
    format!("{{{}}}", fields.join(", "))
}

/// Lines of objects: mostly with values of the right type, in any order, some twice, with others between them.
fn lines() -> impl Strategy<Value = Vec<u8>> {
    let text = any::<String>().prop_map(|text| Value::String(text).to_string());
    let field = prop_oneof![
        6 => text.clone().prop_map(|text| ("a", text)),
        3 => any::<i64>().prop_map(|number| ("b", number.to_string())),
        2 => (-9_999i32..9_999).prop_map(|number| ("c", format!("{number}.25"))),
        2 => any::<bool>().prop_map(|value| ("\\u0064", value.to_string())),
        2 => text.prop_map(|text| ("n", format!("[0, {{\"x\":{text}}} ]"))),
        2 => (select(vec!["z", "", "a b", "aa"]), value()),
        1 => (select(vec!["a", "b", "c", "d", "n"]), value()),
    ];
    let line = (proptest::collection::vec(field, 0..7), select(vec!["\n", "\r\n", " \n", "\n\n", "\n \t\r\n"]));
    (proptest::collection::vec(line, 0..20), any::<bool>()).prop_map(|(lines, ended)| {
        let mut text: String = lines.iter().map(|(fields, end)| object(fields) + end).collect();
        if !ended && text.ends_with('\n') {
            text.pop();
        }
        text.into_bytes()
    })
}

#[track_caller]
fn reads_as_expected(text: &[u8], threads: usize) -> Result<(), TestCaseError> {
    let mut play = play(threads);
    play.write("x.jsonl", text);
    let ran = play.run().unwrap();
    let (rows, bad) = expected(text, false);
    prop_assert_eq!(&ran.rows, &rows, "{:?}", String::from_utf8_lossy(text));
    prop_assert_eq!(ran.counts.rows_rejected, bad);
    prop_assert_eq!(ran.counts.rows_read, rows.values().sum::<i64>() as u64);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes_read_as_serde_json_reads_them(text in soup(), threads in 1..4usize) {
        reads_as_expected(&text, threads)?;
    }

    #[test]
    fn objects_read_as_serde_json_reads_them(text in lines(), threads in 1..4usize) {
        reads_as_expected(&text, threads)?;
    }

    #[test]
    fn runs_over_a_growing_file_add_up_to_one_run_over_the_whole(
        text in prop_oneof![soup(), lines()], threads in 1..3usize, append_only: bool,
        cuts in proptest::collection::vec(any::<(proptest::sample::Index, bool)>(), 0..5), epoch_bytes in 0..200u64,
    ) {
        let mut cuts: Vec<(usize, bool)> = cuts.iter().map(|(cut, streaming)| (cut.index(text.len() + 1), *streaming)).collect();
        cuts.push((text.len(), false));
        cuts.sort_unstable();
        cuts.dedup_by_key(|(cut, _)| *cut);
        let mut play = play(threads);
        play.options.append_only = append_only;
        let mut sum = Bag::new();
        let mut done = 0;
        let mut static_before = false;
        for (cut, streaming) in cuts {
            play.options.streaming = streaming.then_some(Streaming { epoch_bytes, ..Streaming::default() });
            play.append("x.jsonl", &text[done..cut]);
            done = cut;
            add_bag(&mut sum, play.run().unwrap().rows);
            // A last line that a static run has read as a row stays one until the file grows.
            let lines_wait = append_only || streaming && !static_before;
            static_before |= !streaming;
            if lines_wait || !streaming {
                let (rows, _) = expected(&text[..cut], lines_wait);
                prop_assert_eq!(&sum, &rows, "{:?} up to {}", String::from_utf8_lossy(&text), cut);
            }
        }
    }

    #[test]
    fn any_float_reads_exactly(value: f64, exponent: bool) {
        prop_assume!(value.is_finite());
        let mut play = Play::json_lines("f: float");
        let number = if exponent { format!("{value:e}") } else { format!("{value:?}") };
        let ran = play.write("x.jsonl", format!("{{\"f\":{number}}}\n")).run().unwrap();
        prop_assert_eq!(ran.rows.keys().next().unwrap(), &vec![format!("{value:?}")]);
    }
}
