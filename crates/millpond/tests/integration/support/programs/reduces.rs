//! All reducers, over groups, sessions and windows.

use std::collections::{BTreeMap, BTreeSet};

use millpond::{
    Literal, any, argmax, argmin, avg, col, count, count_distinct, earliest, if_else, latest, lit, max, min,
    sorted_tuple, sum, tuple, unique,
};

use super::cut::Cut;
use super::dress::{Clock, Dress};
use super::{Cell, Program, Random, Rows, Spelled, Visit, ZERO, array, known_sum, row};

/// Figures of all visits.
pub(crate) fn totals(_: &mut Random) -> Program {
    Program::new(
        "totals",
        |visits| {
            let outputs = [
                ("visits", count()),
                ("pages", sum(col("pages"))),
                ("last", max(col("user"))),
                ("span", max(col("time")) - min(col("time"))),
            ];
            visits.reduce(outputs)
        },
        |visits| {
            let times = || visits.iter().map(|visit| visit.time);
            let last = visits.iter().map(|visit| visit.user.clone()).max();
            let span = times().max().zip(times().min()).map(|(last, first)| last - first);
            span.iter().map(|span| (row(&[&(visits.len() as i64), &known_sum(visits), &last, span]), 1)).collect()
        },
    )
}

/// Users with an even number of visits, above those with an odd one: mostly, a user only moves between the two.
pub(crate) fn moving(random: &mut Random) -> Program {
    let named = random.below(2) == 0;
    Program::new(
        "moving",
        move |visits| {
            let counts = visits.groupby(["user"]).reduce([("user", col("user")), ("visits", count())]);
            let even = counts.filter((col("visits") % 2).eq(0)).without(["visits"]);
            let odd = counts.filter((col("visits") % 2).eq(1)).without(["visits"]);
            let users = even.concat([&odd]);
            if named { users.filter(col("user").ne("")) } else { users.select([("known", col("user").ne(""))]) }
        },
        move |visits| {
            let users: BTreeSet<&String> = visits.iter().map(|visit| &visit.user).collect();
            let mut rows = Rows::new();
            for user in users {
                let text = match (named, user.is_empty()) {
                    (true, true) => continue,
                    (true, false) => user.spell(),
                    (false, empty) => (!empty).spell(),
                };
                *rows.entry(text).or_default() += 1;
            }
            rows
        },
    )
}

/// One of the pages of each group, the only ones, the mean, the fewest and the most.
pub(crate) fn values(random: &mut Random) -> Program {
    let cut = Cut::new(random);
    // Among two values, some groups have but one.
    let two = || col("pages") % 2;
    let outputs = move || {
        vec![
            ("user", col("user")),
            ("any", any(two())),
            ("only", unique(two()).fill_error(-1)),
            ("same", unique(col("user"))),
            ("n", count()),
            ("mean", avg(col("pages"))),
            ("fewest", min(col("pages"))),
            ("most", max(col("pages"))),
        ]
    };
    Program::new(
        "values",
        move |visits| cut.reduce(Clock::Int, visits, outputs()),
        move |visits| {
            cut.groups(
                visits,
                |visit| visit,
                |group| {
                    let pages: BTreeSet<i64> = group.iter().filter_map(|visit| visit.pages).collect();
                    let two: BTreeSet<i64> = pages.iter().map(|pages| pages.rem_euclid(2)).collect();
                    let only = if two.len() > 1 { Some(-1) } else { two.first().copied() };
                    let known = group.iter().filter(|visit| visit.pages.is_some()).count();
                    let mean = known_sum(group).map(|sum| sum as f64 / known as f64);
                    let (user, n) = (&group[0].user, group.len() as i64);
                    row(&[
                        user,
                        &two.first().copied(),
                        &only,
                        user,
                        &n,
                        &mean,
                        &pages.first().copied(),
                        &pages.last().copied(),
                    ])
                },
            )
        },
    )
}

/// Floats at the ends of their range, and what is no number.
const FLOATS: [f64; 14] = [
    0.0,
    -0.0,
    f64::NAN,
    -f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::MAX,
    f64::MIN,
    5e-324,
    -5e-324,
    f64::MIN_POSITIVE,
    -2.5e-308,
    0.25,
    -1.5,
];

/// One of the first so many [`FLOATS`], of a visit's time, as results have it.
fn float_of(visit: &Visit, many: usize) -> f64 {
    let float = FLOATS[(visit.time.div_euclid(75) as usize) % many] + 0.0;
    if float.is_nan() { f64::NAN } else { float }
}

/// The exact sum of some of [`FLOATS`], rounded once.
fn exact_sum(floats: &[f64]) -> f64 {
    let special: f64 = floats.iter().filter(|float| !float.is_finite()).sum();
    if special != 0.0 {
        return special;
    }
    let count = |float: f64| floats.iter().filter(|other| **other == float).count() as i64;
    match count(f64::MAX) - count(f64::MIN) {
        0 => {}
        // Next to it, all others are less than half of its last digit.
        1 => return f64::MAX,
        -1 => return f64::MIN,
        most => return f64::INFINITY.copysign(most as f64),
    }
    // Quarters add up without rounding, and so do multiples of the least float.
    let (tiny, quarters): (Vec<f64>, Vec<f64>) = floats.iter().partition(|float| float.abs() < 1e-300);
    let quarters: f64 = quarters.iter().filter(|float| float.abs() < 2.0).sum();
    if quarters == 0.0 { tiny.into_iter().map(least_floats).sum::<i128>() as f64 * 5e-324 } else { quarters }
}

/// How many times the least float a small one is.
fn least_floats(float: f64) -> i128 {
    let (exponent, digits) = (float.abs().to_bits() >> 52, i128::from(float.abs().to_bits() & ((1 << 52) - 1)));
    let count = if exponent == 0 { digits } else { (digits | 1 << 52) << (exponent - 1) };
    if float < 0.0 { -count } else { count }
}

/// Floats as values, or by their value.
pub(crate) fn floats(random: &mut Random) -> Program {
    let cut = Cut::new(random);
    let many = 6 + random.below(9) as usize;
    let is_key = random.below(3) == 0;
    let value = move || {
        let number = || col("time").floordiv(75) % many as i64;
        (1..many).fold(lit(FLOATS[0]), |value, n| if_else(number().eq(n as i64), FLOATS[n], value))
    };
    let outputs = || {
        vec![
            ("user", col("user")),
            ("sum", sum(col("value"))),
            ("least", min(col("value"))),
            ("most", max(col("value"))),
            ("any", any(col("value"))),
            ("only", unique(col("value")).fill_error(12.5)),
            ("distinct", count_distinct([col("value")])),
            ("mean", avg(if_else(col("value").eq(0.25) | col("value").eq(-1.5), col("value"), lit(Literal::None)))),
        ]
    };
    Program::new(
        "floats",
        move |visits| {
            let visits = visits.with_columns([("value", value())]);
            if is_key {
                let sums =
                    [("value", col("value")), ("n", count()), ("sum", sum(col("value"))), ("mean", avg(col("value")))];
                return visits.groupby(["value"]).reduce(sums);
            }
            cut.reduce(Clock::Int, &visits, outputs())
        },
        move |visits| {
            if is_key {
                let mut groups: BTreeMap<u64, i64> = BTreeMap::new();
                visits.iter().for_each(|visit| *groups.entry(float_of(visit, many).to_bits()).or_default() += 1);
                let text = |(bits, n): (u64, i64)| {
                    let value = f64::from_bits(bits);
                    (row(&[&value, &n, &exact_sum(&vec![value; n as usize]), &value]), 1)
                };
                return groups.into_iter().map(text).collect();
            }
            cut.groups(
                visits,
                |visit| visit,
                |group| {
                    let values: Vec<f64> = group.iter().map(|visit| float_of(visit, many)).collect();
                    let mut order = values.clone();
                    // A NaN is the greatest.
                    order.sort_by(|a, b| a.partial_cmp(b).unwrap_or(a.is_nan().cmp(&b.is_nan())));
                    let (least, most) = (order[0], order[order.len() - 1]);
                    let distinct: BTreeSet<u64> = values.iter().map(|value| value.to_bits()).collect();
                    let only = if distinct.len() == 1 { least } else { 12.5 };
                    let quarters: Vec<f64> = values.iter().copied().filter(|v| [0.25, -1.5].contains(v)).collect();
                    let mean =
                        (!quarters.is_empty()).then(|| quarters.iter().sum::<f64>() / quarters.len() as f64 + 0.0);
                    let sum = exact_sum(&values);
                    row(&[&group[0].user, &sum, &least, &most, &least, &only, &(distinct.len() as i64), &mean])
                },
            )
        },
    )
}

/// Users by their number of pages, unknown ones among them, and by whether they are known.
pub(crate) fn distribution(_: &mut Random) -> Program {
    Program::new(
        "distribution",
        |visits| {
            let known = visits.with_columns([("known", col("pages").is_not_none())]);
            known.groupby(["known", "pages"]).reduce([
                ("pages", col("pages")),
                ("known", col("known")),
                ("users", count_distinct([col("user")])),
                ("first", argmin(col("time"), col("user"))),
            ])
        },
        |visits| {
            let mut groups: BTreeMap<Option<i64>, BTreeSet<(i64, &String)>> = BTreeMap::new();
            for visit in visits {
                groups.entry(visit.pages).or_default().insert((visit.time, &visit.user));
            }
            let text = |(pages, visits): (Option<i64>, BTreeSet<(i64, &String)>)| {
                let users: BTreeSet<&String> = visits.iter().map(|(_, user)| *user).collect();
                let first = visits.first().map(|(_, user)| (*user).clone());
                (row(&[&pages, &pages.is_some(), &(users.len() as i64), &first]), 1)
            };
            groups.into_iter().map(text).collect()
        },
    )
}

/// What is at the least and the greatest number of pages, and how many values there are.
pub(crate) fn arguments(random: &mut Random) -> Program {
    let (cut, dress) = (Cut::new(random), Dress::new(random));
    let outputs = move || {
        vec![
            ("user", col("user")),
            ("least", dress.clock.seconds(argmin(col("pages"), col("time"))) - ZERO),
            ("least_page", argmin(col("pages"), col("page"))),
            ("most", dress.clock.seconds(argmax(col("pages") % 3, col("time")))),
            ("last", argmax(col("time"), col("page"))),
            ("pages", count_distinct([col("pages")])),
            ("pairs", count_distinct([col("pages") % 3, col("page")]) + 1),
        ]
    };
    Program::new(
        "arguments",
        move |visits| cut.reduce(dress.clock, &dress.on(visits), outputs()),
        move |visits| {
            let third = |visit: &Visit| visit.pages.map(|pages| pages.rem_euclid(3));
            cut.groups(
                visits,
                |visit| visit,
                |group| {
                    let known = || group.iter().filter(|visit| visit.pages.is_some());
                    // Of one row: of several with the fewest pages, of the first in order of time and page.
                    let least = known().map(|visit| (visit.pages, visit.time, dress.page(visit))).min();
                    let (least, least_page) = least.map(|(_, time, (.., page))| (time - ZERO, page)).unzip();
                    let most = known().map(|visit| (third(visit), visit.time)).max().map(|(_, time)| time);
                    let last = group.iter().map(|visit| (visit.time, dress.page(visit))).max();
                    let last = last.map(|(_, (.., page))| page);
                    let pages: BTreeSet<Option<i64>> = known().map(|visit| visit.pages).collect();
                    let pairs: BTreeSet<_> = known().map(|visit| (third(visit), dress.page(visit))).collect();
                    let user = Spelled(dress.user(&group[0].user));
                    row(&[&user, &least, &least_page, &most, &last, &(pages.len() as i64), &(pairs.len() as i64 + 1)])
                },
            )
        },
    )
}

/// Visits with the epoch in which each arrived. Of equal ones, the first that came is the first to go.
#[derive(Default)]
struct Arrivals {
    epoch: usize,
    arrived: BTreeMap<Visit, Vec<usize>>,
}

impl Arrivals {
    /// The visits after another epoch.
    fn follow(&mut self, visits: &[Visit]) -> Vec<(Visit, usize)> {
        self.epoch += 1;
        let mut counts: BTreeMap<&Visit, usize> = BTreeMap::new();
        visits.iter().for_each(|visit| *counts.entry(visit).or_default() += 1);
        self.arrived.retain(|visit, _| counts.contains_key(visit));
        for (visit, count) in counts {
            let epochs = self.arrived.entry(visit.clone()).or_default();
            epochs.drain(..epochs.len().saturating_sub(count));
            epochs.resize(count, self.epoch);
        }
        let copies = self.arrived.iter().flat_map(|(visit, epochs)| epochs.iter().map(|epoch| (visit.clone(), *epoch)));
        copies.collect()
    }
}

/// The first and the last values that came, and all.
pub(crate) fn arrivals(random: &mut Random) -> Program {
    let (cut, dress) = (Cut::new(random), Dress::new(random));
    let outputs = move || {
        vec![
            ("user", col("user")),
            ("first", dress.clock.seconds(earliest(col("time")))),
            ("last", dress.clock.seconds(latest(col("time")))),
            ("pages", latest(col("pages")) - earliest(col("pages"))),
            ("n", count()),
            ("all", tuple(col("pages"))),
            ("known", tuple(col("pages")).skip_nones()),
            ("ordered", sorted_tuple(col("page"))),
            ("page", latest(col("page"))),
        ]
    };
    let mut state = Arrivals::default();
    let program = Program::new(
        "arrivals",
        move |visits| cut.reduce(dress.clock, &dress.on(visits), outputs()),
        move |visits| {
            let visits = state.follow(visits);
            cut.groups(
                &visits,
                |(visit, _)| visit,
                |group| {
                    let times = || group.iter().map(|(visit, epoch)| (*epoch, visit.time));
                    let pages = || group.iter().filter_map(|(visit, epoch)| Some((*epoch, visit.pages?)));
                    let first = times().min().map(|(_, time)| time);
                    // Of one row: neither the time nor the page is optional.
                    let last = group.iter().map(|(visit, epoch)| (*epoch, visit.time, dress.page(visit))).max();
                    let (last, page) = last.map(|(_, time, (.., page))| (time, page)).unzip();
                    let pages = pages().max().zip(pages().min()).map(|((_, last), (_, first))| last - first);
                    let mut all: Vec<_> = group.iter().map(|(visit, epoch)| (*epoch, visit.pages)).collect();
                    all.sort_unstable();
                    let all: Vec<Option<i64>> = all.into_iter().map(|(_, pages)| pages).collect();
                    let known: Vec<Option<i64>> = all.iter().copied().filter(Option::is_some).collect();
                    let (known, all) = (array(&known), array(&all));
                    let mut ordered: Vec<_> = group.iter().map(|(visit, _)| dress.page(visit)).collect();
                    ordered.sort_unstable();
                    let ordered: Vec<String> = ordered.into_iter().map(|(.., page)| page).collect();
                    let ordered = format!("[{}]", ordered.join(","));
                    let user = Spelled(dress.user(&group[0].0.user));
                    row(&[&user, &first, &last, &pages, &(group.len() as i64), &all, &known, &ordered, &page])
                },
            )
        },
    );
    Program { by_epoch: true, ..program }
}

/// The pages of each user, by way of a list.
pub(crate) fn unpacked(random: &mut Random) -> Program {
    let dress = Dress::new(random);
    Program::new(
        "unpacked",
        move |visits| {
            let outputs = [("page", sorted_tuple(col("page"))), ("user", col("user"))];
            dress.on(visits).groupby(["user"]).reduce(outputs).flatten("page")
        },
        move |visits| {
            let mut rows = Rows::new();
            for visit in visits {
                let text = row(&[&dress.page(visit).2, &Spelled(dress.user(&visit.user))]);
                *rows.entry(text).or_default() += 1;
            }
            rows
        },
    )
}

/// The visits themselves; a log has a column `time` of its own.
pub(crate) fn plain(_: &mut Random) -> Program {
    Program::new(
        "plain",
        |visits| visits.select([("user", col("user")), ("at", col("time")), ("pages", col("pages"))]),
        |visits| {
            let mut rows = Rows::new();
            let text = |visit: &Visit| row(&[&visit.user, &visit.time, &visit.pages]);
            visits.iter().for_each(|visit| *rows.entry(text(visit)).or_default() += 1);
            rows
        },
    )
}
