//! Operations that make other visits of visits, so that operations may follow each other.

use std::collections::{BTreeMap, BTreeSet};

use millpond::{Table, Type, col, make_tuple, max, session, sliding, sorted_tuple, sum};

use super::joined::{accompanied, expected_accompanied};
use super::{Random, Visit, ZERO, known_sum};

/// Makes other visits of visits.
#[derive(Clone)]
pub(crate) struct Shape {
    pub name: &'static str,
    pub table: fn(&Table) -> Table,
    pub expect: fn(Vec<Visit>) -> Vec<Visit>,
}

const SHAPES: [Shape; 13] = [
    Shape { name: "best", table: best, expect: expected_best },
    Shape { name: "doubled", table: doubled, expect: expected_doubled },
    Shape { name: "spelled anew", table: spelled_anew, expect: |visits| visits },
    Shape { name: "coarse", table: coarse, expect: expected_coarse },
    Shape { name: "starts", table: starts, expect: expected_starts },
    Shape { name: "hours", table: hours, expect: expected_hours },
    Shape { name: "updated", table: updated, expect: expected_updated },
    Shape { name: "unmatched", table: unmatched, expect: expected_unmatched },
    Shape { name: "accompanied", table: accompanied, expect: expected_accompanied },
    Shape { name: "overall", table: overall, expect: expected_overall },
    Shape { name: "taken apart", table: taken_apart, expect: expected_taken_apart },
    Shape { name: "listed", table: |visits| listed(visits).flatten("time"), expect: |visits| visits },
    Shape { name: "listed as JSON", table: listed_as_json, expect: |visits| visits },
];

/// Any shape.
pub(crate) fn shape(random: &mut Random) -> Shape {
    SHAPES[random.below(SHAPES.len() as u64) as usize].clone()
}

/// Visits of few pages, and those of unknown or many pages: some are in both.
fn doubled(visits: &Table) -> Table {
    let few = visits.filter(col("pages").lt(5));
    let columns = [("pages", col("pages")), ("user", col("user")), ("time", col("time"))];
    let many = visits.filter(col("pages").is_none() | col("pages").gt(2)).select(columns);
    few.concat([&many])
}

/// [`doubled`], from scratch.
fn expected_doubled(visits: Vec<Visit>) -> Vec<Visit> {
    let few = visits.iter().filter(|visit| visit.pages.is_some_and(|pages| pages < 5));
    let many = visits.iter().filter(|visit| visit.pages.is_none_or(|pages| pages > 2));
    few.chain(many).cloned().collect()
}

/// The same visits, by way of other names and types.
fn spelled_anew(visits: &Table) -> Table {
    let other = visits.with_columns([("twice", col("time") * 2)]).cast_to_types([("time", Type::Float)]);
    let other = other.rename([("user", "who"), ("pages", "time"), ("time", "pages")]).without(["twice"]);
    let back = other.rename([("who", "user"), ("pages", "time"), ("time", "pages")]);
    back.cast_to_types([("time", Type::Int)])
}

/// A visit for each letter of its user, and again 75 seconds later.
fn taken_apart(visits: &Table) -> Table {
    let twice = visits.with_columns([("time", make_tuple([col("time"), col("time") + 75]))]).flatten("time");
    twice.filter(col("user").ne("ann")).flatten("user")
}

/// [`taken_apart`], from scratch.
fn expected_taken_apart(visits: Vec<Visit>) -> Vec<Visit> {
    let others = visits.into_iter().filter(|visit| visit.user != "ann");
    let parts = others.flat_map(|visit| {
        let letters: Vec<String> = visit.user.chars().map(String::from).collect();
        letters.into_iter().flat_map(move |user| {
            [0, 75].map(|later| Visit { user: user.clone(), time: visit.time + later, pages: visit.pages })
        })
    });
    parts.collect()
}

/// The times of all visits that differ in nothing else.
fn listed(visits: &Table) -> Table {
    visits.groupby(["user", "pages"]).reduce([
        ("user", col("user")),
        ("time", sorted_tuple(col("time"))),
        ("pages", col("pages")),
    ])
}

/// The same visits, by way of [`listed`] ones in JSON.
fn listed_as_json(visits: &Table) -> Table {
    let elements = listed(visits).cast_to_types([("time", Type::Json)]).flatten("time");
    elements.with_columns([("time", col("time").as_int().unwrap())])
}

/// The most pages of each user and time.
pub(crate) fn best(visits: &Table) -> Table {
    visits.groupby(["user", "time"]).reduce([
        ("user", col("user")),
        ("time", col("time")),
        ("pages", max(col("pages"))),
    ])
}

/// [`best`], from scratch.
pub(crate) fn expected_best(visits: Vec<Visit>) -> Vec<Visit> {
    let mut best: BTreeMap<(String, i64), Option<i64>> = BTreeMap::new();
    for visit in visits {
        let pages = best.entry((visit.user, visit.time)).or_default();
        *pages = visit.pages.max(*pages);
    }
    best.into_iter().map(|((user, time), pages)| Visit { user, time, pages }).collect()
}

/// The same visits with rough times and numbers: many that came in different epochs are equal.
fn coarse(visits: &Table) -> Table {
    visits.with_columns([("time", col("time").floordiv(1000) * 1000), ("pages", col("pages").floordiv(8))])
}

/// [`coarse`], from scratch.
fn expected_coarse(visits: Vec<Visit>) -> Vec<Visit> {
    let rough = |Visit { user, time, pages }| {
        let pages = pages.map(|pages: i64| pages.div_euclid(8));
        Visit { user, time: i64::div_euclid(time, 1000) * 1000, pages }
    };
    visits.into_iter().map(rough).collect()
}

/// Sessions of each user: where each starts, with all of its pages.
fn starts(visits: &Table) -> Table {
    visits.windowby(col("time"), session().max_gap(150)).instance(col("user")).reduce([
        ("user", col("user")),
        ("time", col("_pw_window_start")),
        ("pages", sum(col("pages"))),
    ])
}

/// [`starts`], from scratch.
fn expected_starts(mut visits: Vec<Visit>) -> Vec<Visit> {
    visits.sort();
    let sessions = visits.chunk_by(|a, b| a.user == b.user && b.time - a.time <= 150);
    sessions.map(|session| Visit { pages: known_sum(session), ..session[0].clone() }).collect()
}

/// The most pages of each user in windows that overlap.
fn hours(visits: &Table) -> Table {
    let window = sliding(200).duration(500);
    visits.windowby(col("time"), window).instance(col("user")).reduce([
        ("user", col("_pw_instance")),
        ("time", col("_pw_window_start")),
        ("pages", max(col("pages"))),
    ])
}

/// [`hours`], from scratch.
fn expected_hours(visits: Vec<Visit>) -> Vec<Visit> {
    let windows = |visit: Visit| {
        let last = visit.time.div_euclid(200) * 200;
        let starts = [last, last - 200, last - 400].into_iter().filter(move |start| visit.time < start + 500);
        starts.map(move |time| Visit { time, ..visit.clone() })
    };
    expected_best(visits.into_iter().flat_map(windows).collect())
}

/// The best of few pages, replaced by the best of late visits.
fn updated(visits: &Table) -> Table {
    best(&visits.filter(col("pages").lt(5))).update_rows(&best(&visits.filter(col("time").gt(ZERO))))
}

/// [`updated`], from scratch.
fn expected_updated(visits: Vec<Visit>) -> Vec<Visit> {
    let few = visits.iter().filter(|visit| visit.pages.is_some_and(|pages| pages < 5)).cloned();
    let few = expected_best(few.collect());
    let late = expected_best(visits.into_iter().filter(|visit| visit.time > ZERO).collect());
    let identity = |visit: &Visit| (visit.user.clone(), visit.time);
    let rows = few.into_iter().chain(late).map(|visit| (identity(&visit), visit));
    rows.collect::<BTreeMap<_, _>>().into_values().collect()
}

/// The best of each user and time, where no number of pages is odd.
fn unmatched(visits: &Table) -> Table {
    let odd = visits.filter((col("pages") % 2).eq(1)).with_id_from([col("user"), col("time")]);
    best(visits).difference(&odd)
}

/// [`unmatched`], from scratch.
fn expected_unmatched(visits: Vec<Visit>) -> Vec<Visit> {
    let is_odd = |visit: &Visit| visit.pages.is_some_and(|pages| pages.rem_euclid(2) == 1);
    let odd = visits.iter().filter(|visit| is_odd(visit)).map(|visit| (visit.user.clone(), visit.time));
    let odd: BTreeSet<(String, i64)> = odd.collect();
    let mut best = expected_best(visits);
    best.retain(|best| !odd.contains(&(best.user.clone(), best.time)));
    best
}

/// One visit that stands for all.
fn overall(visits: &Table) -> Table {
    visits.reduce([("user", max(col("user"))), ("time", max(col("time"))), ("pages", sum(col("pages")))])
}

/// [`overall`], from scratch.
fn expected_overall(visits: Vec<Visit>) -> Vec<Visit> {
    let last = visits.iter().map(|visit| &visit.user).max().zip(visits.iter().map(|visit| visit.time).max());
    last.map(|(user, time)| Visit { user: user.clone(), time, pages: known_sum(&visits) }).into_iter().collect()
}
