//! Programs many operations deep: each operation takes any tables made before it, so that tables are shared and what
//! is removed goes through everything.

use std::collections::{BTreeMap, BTreeSet};

use millpond::{JoinMode, Side, Table, coalesce, col, left, lit, max, right};

use super::shapes::{Shape, best, expected_best, shape};
use super::{Program, Random, Rows, Visit, row};

/// How many operations a program has.
const DEPTH: usize = 10;

/// What is in a table of such a program, at most, of the visits it is tried with: joins and concats multiply.
const MOST_ROWS: usize = 120;
const MOST_PAGES: u64 = 1 << 20;

/// Makes a table of visits of two others, or of the first alone.
#[derive(Clone)]
enum Operation {
    Shape(Shape),
    Few,
    Concat,
    Join(Key, JoinMode),
    /// What a row of the first table is beside the most pages of its user in the second one, by its identity without
    /// those that the second has.
    Matched,
    Difference,
    Intersect,
    UpdateRows,
    UpdateCells,
}

/// What two visits have in common that are joined.
#[derive(Clone, Copy, PartialEq)]
enum Key {
    User,
    UserAndTime,
    Pages,
    Later,
}

#[derive(Clone)]
struct Step {
    operation: Operation,
    /// Positions among the visits and the results of the steps before.
    inputs: [usize; 2],
}

/// A program of [`DEPTH`] operations; its result is what the last one makes.
pub(crate) fn deep(random: &mut Random) -> Program {
    let sample: Vec<Visit> = (0..30).map(|_| random.visit()).collect();
    let mut tables = vec![sample];
    let mut steps: Vec<Step> = Vec::new();
    while steps.len() < DEPTH {
        // The newest table, as a rule: what is made should be used.
        let newest = tables.len() - 1;
        let any = [newest, newest, random.below(tables.len() as u64) as usize][random.below(3) as usize];
        let step = Step { operation: operation(random), inputs: [any, random.below(tables.len() as u64) as usize] };
        let inputs = step.inputs.map(|input| tables[input].as_slice());
        let rows = step.operation.expect(inputs[0], inputs[1]);
        let is_small = |visit: &Visit| visit.pages.is_none_or(|pages| pages.unsigned_abs() <= MOST_PAGES);
        // One that leaves nothing makes all that follows it trivial.
        if !rows.is_empty() && rows.len() <= MOST_ROWS && rows.iter().all(is_small) {
            tables.push(rows);
            steps.push(step);
        }
    }
    let name = steps.iter().map(|step| format!("{} of {:?}", step.operation.name(), step.inputs));
    let name = name.collect::<Vec<_>>().join("; ");
    let of = steps.clone();
    Program::new(
        name,
        move |visits| {
            let mut tables = vec![visits.clone()];
            for Step { operation, inputs: [first, second] } in &of {
                tables.push(operation.table(&tables[*first], &tables[*second], first == second));
            }
            let columns = [("user", "user"), ("at", "time"), ("pages", "pages")].map(|(name, of)| (name, col(of)));
            tables.last().expect("a table").select(columns)
        },
        move |visits| {
            let mut tables = vec![visits.to_vec()];
            for Step { operation, inputs: [first, second] } in &steps {
                tables.push(operation.expect(&tables[*first], &tables[*second]));
            }
            let mut rows = Rows::new();
            for Visit { user, time, pages } in tables.last().expect("a table") {
                *rows.entry(row(&[user, time, pages])).or_default() += 1;
            }
            rows
        },
    )
}

fn operation(random: &mut Random) -> Operation {
    let key = [Key::User, Key::UserAndTime, Key::Pages, Key::Later][random.below(4) as usize];
    let mode = [JoinMode::Inner, JoinMode::Left, JoinMode::Right, JoinMode::Outer][random.below(4) as usize];
    match random.below(16) {
        0 => Operation::Few,
        1 | 2 => Operation::Concat,
        3..=6 => Operation::Join(key, mode),
        7 => Operation::Matched,
        8 => Operation::Difference,
        9 => Operation::Intersect,
        10 => Operation::UpdateRows,
        11 => Operation::UpdateCells,
        _ => Operation::Shape(shape(random)),
    }
}

impl Operation {
    fn name(&self) -> &'static str {
        match self {
            Operation::Shape(shape) => shape.name,
            Operation::Few => "few",
            Operation::Concat => "concat",
            Operation::Join(..) => "join",
            Operation::Matched => "matched",
            Operation::Difference => "difference",
            Operation::Intersect => "intersect",
            Operation::UpdateRows => "update_rows",
            Operation::UpdateCells => "update_cells",
        }
    }

    fn table(&self, first: &Table, second: &Table, is_same: bool) -> Table {
        match self {
            Operation::Shape(shape) => (shape.table)(first),
            Operation::Few => first.filter(col("pages").is_none() | col("pages").lt(6)),
            Operation::Concat => first.concat([second]),
            Operation::Join(key, mode) => {
                let second = if is_same { second.copy() } else { second.clone() };
                let same = |name| left(name).eq(right(name));
                let on = match key {
                    Key::User => vec![same("user")],
                    Key::UserAndTime => vec![same("user"), same("time")],
                    Key::Pages => vec![same("pages")],
                    Key::Later => vec![same("user"), (left("time") + 75).eq(right("time"))],
                };
                first.join(&second, on).how(*mode).select([
                    ("user", coalesce([left("user"), right("user"), lit("")])),
                    ("time", coalesce([right("time"), left("time"), lit(0)])),
                    ("pages", coalesce([left("pages"), right("pages")])),
                ])
            }
            Operation::Matched => {
                let most = second.groupby(["user"]).reduce([("user", col("user")), ("most", max(col("pages")))]);
                let beside = best(first).join_left(&most, [left("user").eq(right("user"))]).id(Side::Left).select([
                    ("user", left("user")),
                    ("time", left("time")),
                    ("pages", coalesce([right("most"), left("pages")])),
                ]);
                beside.difference(&best(second))
            }
            Operation::Difference => best(first).difference(&best(second)),
            Operation::Intersect => best(first).intersect([&best(second)]),
            Operation::UpdateRows => best(first).update_rows(&best(second)),
            Operation::UpdateCells => best(first).update_cells(&best(second).select([("pages", col("pages"))])),
        }
    }

    /// [`Self::table`], from scratch.
    fn expect(&self, first: &[Visit], second: &[Visit]) -> Vec<Visit> {
        let identity = |visit: &Visit| (visit.user.clone(), visit.time);
        let best = |visits: &[Visit]| expected_best(visits.to_vec());
        let identities = || second.iter().map(identity).collect::<BTreeSet<_>>();
        match self {
            Operation::Shape(shape) => (shape.expect)(first.to_vec()),
            Operation::Few => first.iter().filter(|visit| visit.pages.is_none_or(|pages| pages < 6)).cloned().collect(),
            Operation::Concat => [first, second].concat(),
            Operation::Join(key, mode) => key.expect(*mode, first, second),
            Operation::Matched => {
                let mut most: BTreeMap<&str, Option<i64>> = BTreeMap::new();
                for visit in second {
                    let most = most.entry(&visit.user).or_default();
                    *most = visit.pages.max(*most);
                }
                let identities = identities();
                let left = best(first).into_iter().filter(|visit| !identities.contains(&identity(visit)));
                let most = |user: &str| most.get(user).copied().flatten();
                left.map(|visit| Visit { pages: most(&visit.user).or(visit.pages), ..visit }).collect()
            }
            Operation::Difference => {
                let identities = identities();
                best(first).into_iter().filter(|visit| !identities.contains(&identity(visit))).collect()
            }
            Operation::Intersect => {
                let identities = identities();
                best(first).into_iter().filter(|visit| identities.contains(&identity(visit))).collect()
            }
            Operation::UpdateRows => {
                let rows = best(first).into_iter().chain(best(second)).map(|visit| (identity(&visit), visit));
                rows.collect::<BTreeMap<_, _>>().into_values().collect()
            }
            Operation::UpdateCells => {
                let cells: BTreeMap<_, _> =
                    best(second).into_iter().map(|visit| (identity(&visit), visit.pages)).collect();
                let rows = best(first).into_iter();
                rows.map(|visit| match cells.get(&identity(&visit)) {
                    Some(pages) => Visit { pages: *pages, ..visit },
                    None => visit,
                })
                .collect()
            }
        }
    }
}

impl Key {
    fn is_same(self, left: &Visit, right: &Visit) -> bool {
        match self {
            Key::User => left.user == right.user,
            Key::UserAndTime => (&left.user, left.time) == (&right.user, right.time),
            Key::Pages => left.pages == right.pages,
            Key::Later => (&left.user, left.time + 75) == (&right.user, right.time),
        }
    }

    fn expect(self, mode: JoinMode, first: &[Visit], second: &[Visit]) -> Vec<Visit> {
        let beside = |left: &Visit, right: &Visit| Visit {
            user: left.user.clone(),
            time: right.time,
            pages: left.pages.or(right.pages),
        };
        let matches = |left: &Visit| second.iter().filter(move |right| self.is_same(left, right)).cloned().collect();
        let mut rows: Vec<Visit> = Vec::new();
        for left in first {
            let matches: Vec<Visit> = matches(left);
            if matches.is_empty() && matches!(mode, JoinMode::Left | JoinMode::Outer) {
                rows.push(left.clone());
            }
            rows.extend(matches.iter().map(|right| beside(left, right)));
        }
        if matches!(mode, JoinMode::Right | JoinMode::Outer) {
            let alone = second.iter().filter(|right| !first.iter().any(|left| self.is_same(left, right)));
            rows.extend(alone.cloned());
        }
        rows
    }
}
