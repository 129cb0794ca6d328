//! What the whole-program tests share: visits, their files, and the simplest code that computes the same results.

pub(crate) mod counting;
pub(crate) mod history;
pub(crate) mod logs;
pub(crate) mod programs;
pub(crate) mod replay;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use millpond::{Table, Type, avg, col, count, csv, jsonlines, max, min, session, sum};
use millpond_engine::memory::Memory;
use serde_json::{Value, json};

/// The largest gap inside a session.
pub(crate) const MAX_GAP: i64 = 300;

/// Often so little memory that some rows have no room.
pub(crate) fn memory(random: &mut Random, workers: usize) -> Option<Arc<Memory>> {
    (random.below(2) == 0).then(|| Arc::new(Memory::tiny(1 << (8 + random.below(12)), workers)))
}

/// A row of input.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Visit {
    pub user: String,
    pub time: i64,
    /// Null where the field is empty.
    pub pages: Option<i64>,
}

/// A small generator (splitmix64), so that a seed is all that a failure needs to be played again.
#[derive(Clone, Debug)]
pub(crate) struct Random(pub u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(crate) fn visit(&mut self) -> Visit {
        let users = 1 + self.below(6);
        Visit {
            user: ["ann", "bob", "c,d", "e\"f", "", "Zoë"][self.below(users) as usize].to_owned(),
            time: 1_700_000_000 + (self.below(40) * 75) as i64,
            pages: (self.below(4) > 0).then(|| self.below(20) as i64 - 5),
        }
    }
}

/// The text of rows, without a header.
pub(crate) fn csv_rows(visits: &[Visit]) -> String {
    let mut text = String::new();
    for visit in visits {
        let user = visit.user.replace('"', "\"\"");
        let pages = visit.pages.map(|pages| pages.to_string()).unwrap_or_default();
        writeln!(text, "\"{user}\",{},{pages}", visit.time).expect("text takes all that is written");
    }
    text
}

/// Appends rows to a file of `logs`; a new file starts with the header.
pub(crate) fn append(logs: &Path, file: &str, visits: &[Visit]) {
    fs::create_dir_all(logs).expect("a folder for logs");
    let path = logs.join(file);
    let header = if path.exists() { "" } else { "user,time,pages\n" };
    let mut file = fs::OpenOptions::new().create(true).append(true).open(path).expect("a log");
    file.write_all(format!("{header}{}", csv_rows(visits)).as_bytes()).expect("rows");
}

/// Appends rows to a file of `logs` as JSON lines, spelled in several ways.
pub(crate) fn append_json(logs: &Path, file: &str, visits: &[Visit]) {
    fs::create_dir_all(logs).expect("a folder for logs");
    let mut file = fs::OpenOptions::new().create(true).append(true).open(logs.join(file)).expect("a log");
    visits.iter().for_each(|visit| writeln!(file, "{}", json_line(visit)).expect("rows"));
}

/// A row as a line of JSON, without its newline.
fn json_line(visit: &Visit) -> String {
    let user = Value::from(visit.user.as_str());
    match (visit.pages, visit.time % 2) {
        (None, 0) => json!({ "time": visit.time, "user": user }).to_string(),
        (None, _) => json!({ "time": visit.time, "user": user, "page": { "counts": [null] } }).to_string(),
        (Some(pages), 0) => json!({ "time": visit.time, "user": user, "page": { "counts": [pages, 7] } }).to_string(),
        (Some(pages), _) => format!(
            " {{\"page\" : {{\"counts\":[ {pages} ]}}, \"x\":[{{}}],\"user\":{user}, \"time\":{} }}\r",
            visit.time
        ),
    }
}

/// The table of visits in the JSON lines of `logs`.
pub(crate) fn json_visits(logs: &Path, append_only: bool) -> Table {
    let schema = [("user", Type::Str.required()), ("time", Type::Int.required()), ("pages", Type::Int.optional())];
    let path = logs.to_str().expect("a plain path");
    let read = jsonlines::read(path, schema).name("visits").field_path("pages", "/page/counts/0");
    if append_only { read.append_only().table() } else { read.table() }
}

/// A result in JSON lines as the same result in CSV.
pub(crate) fn as_csv(text: &str, columns: &[&str]) -> String {
    let mut csv = "header\n".to_owned();
    for line in text.lines() {
        let row: Value = serde_json::from_str(line).expect("a line is JSON");
        let mut fields: Vec<String> = columns.iter().map(|column| cell(&row[column])).collect();
        let change = ["time", "diff"].iter().filter_map(|name| row.get(name).map(cell));
        fields.extend(change);
        csv += &(fields.join(",") + "\n");
    }
    csv
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        // A float that JSON has no number for; no text of the programs is spelled so.
        Value::String(text) if text == "NaN" => "nan".to_owned(),
        Value::String(text) if text == "Infinity" => "inf".to_owned(),
        Value::String(text) if text == "-Infinity" => "-inf".to_owned(),
        Value::String(text) => quoted(text),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Array(_) | Value::Object(_) => quoted(&value.to_string()),
        value => value.to_string(),
    }
}

/// The table of visits in `logs`.
pub(crate) fn visits(logs: &Path, append_only: bool) -> Table {
    let schema = [("user", Type::Str.required()), ("time", Type::Int.required()), ("pages", Type::Int.optional())];
    let read = csv::read(logs.to_str().expect("a plain path"), schema).name("visits");
    if append_only { read.append_only().table() } else { read.table() }
}

/// Sessions of each user: user, start, finish, number of visits, sum of pages.
pub(crate) fn sessions(visits: &Table) -> Table {
    visits.windowby(col("time"), session().max_gap(MAX_GAP)).instance(col("user")).reduce([
        ("user", col("user")),
        ("start", min(col("time"))),
        ("finish", max(col("time"))),
        ("visits", count()),
        ("pages", sum(col("pages"))),
    ])
}

/// Figures of each user: user, visits, first and last number of pages in order, mean.
pub(crate) fn by_user(visits: &Table) -> Table {
    visits.groupby(["user"]).reduce([
        ("user", col("user")),
        ("visits", count()),
        ("fewest", min(col("pages"))),
        ("most", max(col("pages"))),
        ("mean", avg(col("pages"))),
    ])
}

/// Rows as a result file spells them, with their multiplicity.
pub(crate) type Rows = BTreeMap<String, i64>;

/// Text as a result file spells it.
pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// A list as it is spelled: in JSON.
fn array(values: &[Option<i64>]) -> String {
    let values: Vec<String> =
        values.iter().map(|value| value.map_or("null".to_owned(), |value| value.to_string())).collect();
    format!("[{}]", values.join(","))
}

fn optional<T: ToString>(value: Option<T>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// [`sessions`], from scratch.
pub(crate) fn expected_sessions(visits: &[Visit]) -> Rows {
    let mut sorted = visits.to_vec();
    sorted.sort();
    let mut rows = Rows::new();
    let mut open: Vec<Visit> = Vec::new();
    let mut close = |open: &mut Vec<Visit>| {
        if let (Some(first), Some(last)) = (open.first(), open.last()) {
            let known: Vec<i64> = open.iter().filter_map(|visit| visit.pages).collect();
            let pages = (!known.is_empty()).then(|| known.iter().sum::<i64>());
            let row =
                format!("{},{},{},{},{}", quoted(&first.user), first.time, last.time, open.len(), optional(pages));
            *rows.entry(row).or_default() += 1;
        }
        open.clear();
    };
    for visit in sorted {
        if open.last().is_some_and(|last| last.user != visit.user || visit.time - last.time > MAX_GAP) {
            close(&mut open);
        }
        open.push(visit);
    }
    close(&mut open);
    rows
}

/// [`by_user`], from scratch.
pub(crate) fn expected_by_user(visits: &[Visit]) -> Rows {
    let mut users: BTreeMap<&str, Vec<Option<i64>>> = BTreeMap::new();
    visits.iter().for_each(|visit| users.entry(&visit.user).or_default().push(visit.pages));
    users
        .into_iter()
        .map(|(user, pages)| {
            let known: Vec<i64> = pages.iter().flatten().copied().collect();
            let mean = (!known.is_empty()).then(|| known.iter().sum::<i64>() as f64 / known.len() as f64);
            let row = format!(
                "{},{},{},{},{}",
                quoted(user),
                pages.len(),
                optional(known.iter().min()),
                optional(known.iter().max()),
                mean.map(|mean| format!("{mean:?}")).unwrap_or_default(),
            );
            (row, 1)
        })
        .collect()
}

/// The changes in the text of a change log, epoch by epoch, in the order of the file.
///
/// # Errors
/// What is not a line of a change log, as one that is being written.
pub(crate) fn epochs_of(text: &str) -> Result<Vec<(u64, Rows)>, String> {
    let mut epochs: Vec<(u64, Rows)> = Vec::new();
    for line in text.lines().skip(1) {
        let mut fields = line.rsplitn(3, ',');
        let diff: Option<i64> = fields.next().and_then(|diff| diff.parse().ok());
        let time: Option<u64> = fields.next().and_then(|time| time.parse().ok());
        let (Some(diff), Some(time), Some(row)) = (diff, time, fields.next()) else {
            return Err(format!("no change: {line}"));
        };
        if epochs.last().is_none_or(|(last, _)| *last != time) {
            epochs.push((time, Rows::new()));
        }
        let (_, changes) = epochs.last_mut().expect("just pushed");
        *changes.entry(row.to_owned()).or_default() += diff;
    }
    match epochs.windows(2).all(|pair| pair[0].0 < pair[1].0) {
        true => Ok(epochs),
        false => Err(format!("epochs do not rise: {:?}", epochs.iter().map(|(epoch, _)| epoch).collect::<Vec<_>>())),
    }
}

/// Adds changes to rows.
///
/// # Panics
/// Where a row is removed that is not there.
pub(crate) fn add(sum: &mut Rows, changes: &Rows) {
    changes.iter().for_each(|(row, diff)| *sum.entry(row.clone()).or_default() += diff);
    sum.retain(|_, count| *count != 0);
    assert!(sum.values().all(|count| *count > 0), "a row was removed that is not there: {sum:?}");
}

/// Adds the changes in the text of a change log to `sum`; returns the epochs, in the order of the file.
///
/// # Panics
/// Where a row is removed that is not there at the end of its epoch.
pub(crate) fn add_changes(sum: &mut Rows, text: &str) -> Vec<u64> {
    let epochs = epochs_of(text).unwrap_or_else(|problem| panic!("{problem}\n{text}"));
    epochs.iter().for_each(|(_, changes)| add(sum, changes));
    epochs.into_iter().map(|(epoch, _)| epoch).collect()
}

/// The rows of the text of a snapshot.
pub(crate) fn snapshot_rows(text: &str) -> Rows {
    let mut rows = Rows::new();
    text.lines().skip(1).for_each(|line| *rows.entry(line.to_owned()).or_default() += 1);
    rows
}
