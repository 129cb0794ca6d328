//! Windows of one length, and windows that end.

use std::collections::BTreeMap;

use millpond::{Expr, col, count, max, sliding, sum, tumbling};

use super::super::replay::{Replay, Windows, difference};
use super::{Cell, Program, Random, Rows, Visit, ZERO, known_sum, row};

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
        let mut text = row(&[&start, &end, &(visits.len() as i64), &known_sum(visits.iter().copied()), &last]);
        if let Some(user) = user {
            text = format!("{text},{}", user.spell());
        }
        *rows.entry(text).or_default() += 1;
    }
    rows
}

/// Tumbling or sliding windows over ints.
pub(crate) fn int_windows(random: &mut Random) -> Program {
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
    Program::new(
        "int_windows",
        move |visits| {
            let windowed = visits.windowby(col("time") - ZERO, window.clone());
            let windowed = if by_user { windowed.instance(col("user")) } else { windowed };
            windowed.reduce(window_outputs(by_user))
        },
        move |visits| {
            let first = if origin.is_some() { 0 } else { -500 };
            let bounds = move |number| {
                let start = number * hop + origin.unwrap_or(0);
                (start, start + duration)
            };
            windows(visits, by_user, first..=500, |visit| visit.time - ZERO, bounds)
        },
    )
}

/// Tumbling or sliding windows over floats.
pub(crate) fn float_windows(random: &mut Random) -> Program {
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
    Program::new(
        "float_windows",
        move |visits| {
            let windowed = visits.windowby((col("time") - ZERO) / scale, window.clone());
            let windowed = if by_user { windowed.instance(col("user")) } else { windowed };
            windowed.reduce(window_outputs(by_user))
        },
        move |visits| {
            let first = if origin.is_some() { 0 } else { -3000 };
            let start = move |number: i64| number as f64 * hop + origin.unwrap_or(0.0);
            let bounds = move |number| {
                let end = duration.map_or_else(|| start(number + ratio), |duration| start(number) + duration);
                (start(number), end)
            };
            windows(visits, by_user, first..=3000, |visit| (visit.time - ZERO) as f64 / scale, bounds)
        },
    )
}

/// Windows that are shown late, or that end.
pub(crate) fn behaving(random: &mut Random) -> Program {
    let windows = Windows::random(random);
    let mut replay = Replay::new(&windows);
    let (mut before, mut shown): (Vec<Visit>, Rows) = Default::default();
    let program = Program::new(
        format!("{windows:?}"),
        move |visits| windows.of(visits),
        move |visits| {
            let changes = difference(&before, visits);
            if !changes.is_empty() {
                shown = replay.epoch(&changes);
            }
            before = visits.to_vec();
            shown.clone()
        },
    );
    Program { by_epoch: true, ..program }
}
