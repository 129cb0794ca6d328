//! Tables side by side, by keys of every type, of every kind of join.

use millpond::{JoinMode, Table, coalesce, col, count, left, max, right};

use super::dress::Dress;
use super::{Program, Random, Rows, Spelled, Visit, ZERO, row};

/// What two visits have in common that are joined.
#[derive(Clone, Copy, PartialEq)]
enum Key {
    User,
    UserAndTime,
    /// May be missing on both sides.
    Pages,
    /// Users whose visits come 75 seconds after another.
    Later,
}

const KEYS: [Key; 4] = [Key::User, Key::UserAndTime, Key::Pages, Key::Later];
const MODES: [JoinMode; 4] = [JoinMode::Inner, JoinMode::Left, JoinMode::Right, JoinMode::Outer];

/// Visits beside others, or beside figures of them.
pub(crate) fn joined(random: &mut Random) -> Program {
    let (key, mode) = (KEYS[random.below(4) as usize], MODES[random.below(4) as usize]);
    let (figures, narrow, itself) = (random.below(2) == 0, random.below(3) == 0, random.below(3) == 0);
    let dress = Dress::new(random);
    let later = dress.clock.span(75);
    let join = move |visits: &Table| {
        let few = visits.filter(col("pages").is_none() | col("pages").lt(8));
        let late = if itself { few.copy() } else { visits.filter(dress.clock.seconds(col("time")).gt(ZERO)) };
        let late = match (figures, key) {
            (true, Key::User) => late.groupby(["user"]).reduce([("user", col("user")), ("n", count())]),
            (true, Key::Pages) => late.groupby(["pages"]).reduce([("pages", col("pages")), ("n", count())]),
            _ => late.with_columns([("n", coalesce([col("pages"), 0.into()]))]),
        };
        let on = match key {
            Key::User => vec![left("user").eq(right("user"))],
            Key::UserAndTime => vec![right("user").eq(left("user")) & left("time").eq(right("time"))],
            Key::Pages => vec![few.col("pages").eq(late.col("pages"))],
            Key::Later => vec![(left("time") + later.clone()).eq(right("time")), left("user").eq(right("user"))],
        };
        let joined = few.join(&late, on).how(mode);
        match narrow {
            true => joined.select([("pages", left("pages"))]),
            false => joined.select([("user", left("user")), ("n", right("n")), ("pages", left("pages"))]),
        }
    };
    let same = move |a: &Visit, b: &Visit| match key {
        Key::User => a.user == b.user,
        Key::UserAndTime => (&a.user, a.time) == (&b.user, b.time),
        Key::Pages => a.pages == b.pages,
        Key::Later => (&a.user, a.time + 75) == (&b.user, b.time),
    };
    Program::new(
        "joined",
        move |visits| join(&dress.on(visits)),
        move |visits| {
            let few: Vec<&Visit> = visits.iter().filter(|visit| visit.pages.is_none_or(|pages| pages < 8)).collect();
            let late = visits.iter().filter(|visit| visit.time > ZERO).collect();
            let late: Vec<&Visit> = if itself { few.clone() } else { late };
            let mut others: Vec<(&Visit, i64)> = Vec::new();
            for visit in &late {
                if figures && matches!(key, Key::User | Key::Pages) {
                    let of_group = late.iter().filter(|other| same(visit, other)).count() as i64;
                    if !others.iter().any(|(other, _)| same(visit, other)) {
                        others.push((visit, of_group));
                    }
                } else {
                    others.push((visit, visit.pages.unwrap_or(0)));
                }
            }
            let mut rows = Rows::new();
            let mut add = |visit: Option<&Visit>, n: Option<i64>| {
                let user = visit.map(|visit| Spelled(dress.user(&visit.user)));
                let pages = visit.and_then(|visit| visit.pages);
                let text = if narrow { row(&[&pages]) } else { row(&[&user, &n, &pages]) };
                *rows.entry(text).or_default() += 1;
            };
            for visit in &few {
                let mut matches = others.iter().filter(|(other, _)| same(visit, other)).peekable();
                if matches.peek().is_none() && matches!(mode, JoinMode::Left | JoinMode::Outer) {
                    add(Some(visit), None);
                }
                matches.for_each(|(_, n)| add(Some(visit), Some(*n)));
            }
            for (other, n) in others.iter().filter(|_| matches!(mode, JoinMode::Right | JoinMode::Outer)) {
                if !few.iter().any(|visit| same(visit, other)) {
                    add(None, Some(*n));
                }
            }
            rows
        },
    )
}

/// Visits with the most pages of late visits of their user, where there are some.
pub(super) fn accompanied(visits: &Table) -> Table {
    let late = visits.filter(col("time").gt(ZERO) & col("pages").is_not_none());
    let most = late.groupby(["user"]).reduce([("user", col("user")), ("most", max(col("pages")))]);
    let joined = visits.join_left(&most, [left("user").eq(right("user"))]);
    joined.select([("user", col("user")), ("time", col("time")), ("pages", coalesce([col("most"), left("pages")]))])
}

/// [`accompanied`], from scratch.
pub(super) fn expected_accompanied(visits: Vec<Visit>) -> Vec<Visit> {
    let most = |user: &str| {
        let late = visits.iter().filter(|visit| visit.time > ZERO && visit.user == user);
        late.filter_map(|visit| visit.pages).max()
    };
    visits.iter().map(|visit| Visit { pages: most(&visit.user).or(visit.pages), ..visit.clone() }).collect()
}
