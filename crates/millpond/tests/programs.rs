//! The law, on random programs over a folder of files that grow: after every run, the changes that were written add up to
//! what the simplest code computes from all rows. Half of the programs first reduce the rows to the best of each user and
//! time, so that what follows sees rows removed, too.

mod support;

use std::collections::BTreeMap;
use std::fs;

use millpond::csv::{self, WriteMode};
use millpond::{Backend, Expr, RunOptions, Table, col, count, max, run, sliding, sum, tumbling};
use support::{Random, Rows, Visit};

/// How many random histories each test plays; `MILLPOND_CASES` says another number.
fn cases() -> u64 {
    std::env::var("MILLPOND_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(1000)
}

/// A program, and the simplest code that computes the same of some visits.
struct Program {
    table: Box<dyn Fn(&Table) -> Table>,
    expect: Box<Expect>,
}

type Expect = dyn Fn(&[Visit]) -> Rows;

/// Plays a history of `program`: files come and grow, and every run has other workers.
fn play(seed: u64, program: impl Fn(&mut Random) -> Program) {
    let mut random = Random(seed);
    let program = program(&mut random);
    let folder = tempfile::tempdir().expect("a folder");
    let (logs, result) = (folder.path().join("logs"), folder.path().join("result.csv"));
    fs::create_dir_all(&logs).expect("a folder for logs");
    let append_only = random.below(3) == 0;
    let mode = [WriteMode::Changes, WriteMode::Append, WriteMode::Snapshot][random.below(3) as usize];
    let removes = random.below(2) == 0;
    let mut present: Vec<Visit> = Vec::new();
    let mut sum = Rows::new();
    for _ in 0..1 + random.below(4) {
        for _ in 0..random.below(3) {
            let batch: Vec<Visit> = (0..random.below(12)).map(|_| random.visit()).collect();
            support::append(&logs, &format!("{}.csv", random.below(3)), &batch);
            present.extend(batch);
        }
        let visits = support::visits(&logs, append_only);
        let table = (program.table)(&if removes { best(&visits) } else { visits });
        let output = csv::write(&table, result.to_str().expect("a plain path")).mode(mode);
        let options = RunOptions::default()
            .quiet()
            .state(Backend::filesystem(folder.path().join("state")).expect("a plain path"))
            .workers(1 + random.below(4) as usize);
        run([output], &options).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let text = fs::read_to_string(&result).expect("a result file");
        match mode {
            WriteMode::Snapshot => sum = support::snapshot_rows(&text),
            WriteMode::Changes => drop(support::add_changes(&mut sum, &text)),
            WriteMode::Append => {
                sum.clear();
                support::add_changes(&mut sum, &text);
            }
        }
        let rows = if removes { expected_best(&present) } else { present.clone() };
        assert_eq!(sum, (program.expect)(&rows), "seed {seed}: written (left), expected (right)");
    }
}

/// The most pages of each user and time.
fn best(visits: &Table) -> Table {
    visits.groupby(["user", "time"]).reduce([
        ("user", col("user")),
        ("time", col("time")),
        ("pages", max(col("pages"))),
    ])
}

/// [`best`], from scratch.
fn expected_best(visits: &[Visit]) -> Vec<Visit> {
    let mut best: BTreeMap<(String, i64), Option<i64>> = BTreeMap::new();
    for visit in visits {
        let pages = best.entry((visit.user.clone(), visit.time)).or_default();
        *pages = visit.pages.max(*pages);
    }
    best.into_iter().map(|((user, time), pages)| Visit { user, time, pages }).collect()
}

fn check(first_seed: u64, program: impl Fn(&mut Random) -> Program) {
    (first_seed..first_seed + cases()).for_each(|seed| play(seed, &program));
}

/// A row as a result file spells it.
fn row(cells: &[&dyn Cell]) -> String {
    cells.iter().map(|cell| cell.spell()).collect::<Vec<_>>().join(",")
}

trait Cell {
    fn spell(&self) -> String;
}

impl Cell for i64 {
    fn spell(&self) -> String {
        self.to_string()
    }
}

impl Cell for f64 {
    fn spell(&self) -> String {
        format!("{self:?}")
    }
}

impl Cell for str {
    fn spell(&self) -> String {
        format!("\"{}\"", self.replace('"', "\"\""))
    }
}

impl Cell for String {
    fn spell(&self) -> String {
        self.as_str().spell()
    }
}

impl<T: Cell> Cell for Option<T> {
    fn spell(&self) -> String {
        self.as_ref().map(Cell::spell).unwrap_or_default()
    }
}

/// The sum of what is known, if anything is.
fn known_sum(visits: &[&Visit]) -> Option<i64> {
    let known: Vec<i64> = visits.iter().filter_map(|visit| visit.pages).collect();
    (!known.is_empty()).then(|| known.iter().sum())
}

/// What the window tests compute of each window.
fn window_outputs(by_user: bool) -> Vec<(&'static str, Expr)> {
    let mut outputs = vec![
        ("start", col("_pw_window_start")),
        ("end", col("_pw_window_end")),
        ("visits", count()),
        ("pages", sum(col("pages"))),
        ("last", max(col("user"))),
    ];
    if by_user {
        outputs.push(("user", col("_pw_instance")));
    }
    outputs
}

/// The windows of `visits`, each number of `-reach..=reach` tried for each visit. `bounds` gives a number's window.
fn windows<T: Cell + PartialOrd + Copy + 'static>(
    visits: &[Visit],
    by_user: bool,
    numbers: std::ops::RangeInclusive<i64>,
    time: impl Fn(&Visit) -> T,
    bounds: impl Fn(i64) -> (T, T),
) -> Rows {
    let mut groups: BTreeMap<(i64, Option<String>), Vec<&Visit>> = BTreeMap::new();
    for number in numbers {
        let (start, end) = bounds(number);
        for visit in visits.iter().filter(|visit| start <= time(visit) && time(visit) < end) {
            groups.entry((number, by_user.then(|| visit.user.clone()))).or_default().push(visit);
        }
    }
    let mut rows = Rows::new();
    for ((number, user), visits) in groups {
        let (start, end) = bounds(number);
        let last = visits.iter().map(|visit| &visit.user).max().cloned();
        let mut text = row(&[&start, &end, &(visits.len() as i64), &known_sum(&visits), &last]);
        if let Some(user) = user {
            text = format!("{text},{}", user.spell());
        }
        *rows.entry(text).or_default() += 1;
    }
    rows
}

/// The times of visits, near 0 and on both sides of it.
const ZERO: i64 = 1_700_001_500;

fn int_windows(random: &mut Random) -> Program {
    let by_user = random.below(2) == 0;
    let hop = [7, 60, 75, 150, 1000][random.below(5) as usize];
    let (window, duration) = match random.below(3) {
        0 => (tumbling(hop), hop),
        1 => {
            let ratio = 1 + random.below(4) as i64;
            (sliding(hop).ratio(ratio), hop * ratio)
        }
        _ => {
            let duration = 1 + random.below(400) as i64;
            (sliding(hop).duration(duration), duration)
        }
    };
    let origin = (random.below(2) == 0).then(|| random.below(1200) as i64 - 600);
    let window = match origin {
        Some(origin) => window.origin(origin),
        None => window,
    };
    Program {
        table: Box::new(move |visits| {
            let windowed = visits.windowby(col("time") - ZERO, window.clone());
            let windowed = if by_user { windowed.instance(col("user")) } else { windowed };
            windowed.reduce(window_outputs(by_user))
        }),
        expect: Box::new(move |visits| {
            let first = if origin.is_some() { 0 } else { -500 };
            let bounds = move |number| {
                let start = number * hop + origin.unwrap_or(0);
                (start, start + duration)
            };
            windows(visits, by_user, first..=500, |visit| visit.time - ZERO, bounds)
        }),
    }
}

fn float_windows(random: &mut Random) -> Program {
    let by_user = random.below(2) == 0;
    // 75 seconds are 7.5 steps of ten: so some times are on bounds of hops of 0.1, 0.3, 2.5 and 7.5, or next to them.
    let hop = [0.1, 0.3, 2.5, 7.5, 1.0 / 3.0][random.below(5) as usize];
    let scale = [10.0, 100.0][random.below(2) as usize];
    let ratio = 1 + random.below(3) as i64;
    let duration = (random.below(2) == 0).then(|| hop * (1 + random.below(30)) as f64 / 10.0);
    let origin = (random.below(2) == 0).then(|| random.below(120) as f64 / 10.0 - 6.0);
    let mut window = match duration {
        Some(duration) => sliding(hop).duration(duration),
        None if ratio == 1 => tumbling(hop),
        None => sliding(hop).ratio(ratio),
    };
    if let Some(origin) = origin {
        window = window.origin(origin);
    }
    Program {
        table: Box::new(move |visits| {
            let windowed = visits.windowby((col("time") - ZERO) / scale, window.clone());
            let windowed = if by_user { windowed.instance(col("user")) } else { windowed };
            windowed.reduce(window_outputs(by_user))
        }),
        expect: Box::new(move |visits| {
            let first = if origin.is_some() { 0 } else { -3000 };
            let start = move |number: i64| number as f64 * hop + origin.unwrap_or(0.0);
            let bounds = move |number| {
                let end = duration.map_or_else(|| start(number + ratio), |duration| start(number) + duration);
                (start(number), end)
            };
            windows(visits, by_user, first..=3000, |visit| (visit.time - ZERO) as f64 / scale, bounds)
        }),
    }
}

#[test]
fn windows_over_ints_keep_the_law() {
    check(1_000_000, int_windows);
}

#[test]
fn windows_over_floats_keep_the_law() {
    check(2_000_000, float_windows);
}
