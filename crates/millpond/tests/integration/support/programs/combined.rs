//! Tables put together by what identifies their rows.

use std::collections::BTreeMap;

use millpond::{Table, col, count, sum};

use super::dress::Dress;
use super::{Program, Random, Rows, Spelled, Visit, ZERO, known_sum, row};

/// Figures of some visits, changed by those of others with which they share the user, or user and time.
pub(crate) fn combined(random: &mut Random) -> Program {
    let (how, by_time, hidden) = (random.below(5), random.below(2) == 0, random.below(2) == 0);
    let dress = Dress::new(random);
    let figures = move |visits: &Table| {
        let keys: &[&str] = if by_time { &["user", "time"] } else { &["user"] };
        let outputs = [("user", col("user")), ("n", count()), ("pages", sum(col("pages")))];
        visits.groupby(keys.iter().copied()).reduce(outputs)
    };
    let combine = move |visits: &Table| {
        let few = figures(&visits.filter(col("pages").is_none() | col("pages").lt(8)));
        let late = figures(&visits.filter(dress.clock.seconds(col("time")).gt(ZERO)));
        let odd = visits.filter((col("pages") % 2).eq(1));
        let odd = if by_time { odd.with_id_from([col("user"), col("time")]) } else { odd.with_id_from([col("user")]) };
        match how {
            0 => few.difference(&late),
            1 => few.intersect([&late, &odd]),
            2 => few.difference(&odd),
            3 => few.update_rows(&late.select([("pages", col("pages")), ("n", col("n")), ("user", col("user"))])),
            _ => few.update_cells(&late.select([("pages", col("pages"))])),
        }
    };
    let expect = move |visits: &[Visit]| {
        let figures = |of: &dyn Fn(&Visit) -> bool| {
            let mut groups: BTreeMap<(String, Option<i64>), Vec<&Visit>> = BTreeMap::new();
            for visit in visits.iter().filter(|visit| of(visit)) {
                let identity = (visit.user.clone(), by_time.then_some(visit.time));
                groups.entry(identity).or_default().push(visit);
            }
            let figures =
                groups.into_iter().map(|(id, group)| (id, (group.len() as i64, known_sum(group.iter().copied()))));
            figures.collect::<BTreeMap<_, _>>()
        };
        let mut table = figures(&|visit| visit.pages.is_none_or(|pages| pages < 8));
        let late = figures(&|visit| visit.time > ZERO);
        let odd = figures(&|visit| visit.pages.is_some_and(|pages| pages.rem_euclid(2) == 1));
        match how {
            0 => table.retain(|id, _| !late.contains_key(id)),
            1 => table.retain(|id, _| late.contains_key(id) && odd.contains_key(id)),
            2 => table.retain(|id, _| !odd.contains_key(id)),
            3 => table.extend(late),
            _ => table.iter_mut().for_each(|(id, row)| row.1 = late.get(id).map_or(row.1, |late| late.1)),
        }
        table
    };
    Program::new(
        "combined",
        move |visits| {
            let combined = combine(&dress.on(visits));
            if hidden { combined.without(["user"]) } else { combined }
        },
        move |visits| {
            let mut rows = Rows::new();
            for ((user, _), (n, pages)) in expect(visits) {
                let text = if hidden { row(&[&n, &pages]) } else { row(&[&Spelled(dress.user(&user)), &n, &pages]) };
                *rows.entry(text).or_default() += 1;
            }
            rows
        },
    )
}
