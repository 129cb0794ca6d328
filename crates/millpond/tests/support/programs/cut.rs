//! The rows of a user, cut in one of the ways that there are.

use millpond::{Expr, Table, col, session, tumbling};

use super::{Random, Rows, Visit};

/// How the rows of a user are cut: not at all, into sessions, or into windows.
#[derive(Clone, Copy)]
pub enum Cut {
    Whole,
    Sessions,
    /// Sessions of which each but the last event has the next one in the same 500 seconds, or more than 900 after it.
    Leaps,
    Windows,
}

impl Cut {
    pub fn new(random: &mut Random) -> Self {
        [Cut::Whole, Cut::Sessions, Cut::Leaps, Cut::Windows][random.below(4) as usize]
    }

    pub fn reduce(self, visits: &Table, outputs: Vec<(&'static str, Expr)>) -> Table {
        match self {
            Cut::Whole => visits.groupby(["user"]).reduce(outputs),
            Cut::Sessions => visits.windowby(col("time"), session().max_gap(300)).instance(col("user")).reduce(outputs),
            Cut::Leaps => {
                let together = |a: Expr, b: Expr| a.floordiv(500).eq(b.floordiv(500)) | (b - a).gt(900);
                let window = session().predicate(together);
                visits.windowby(col("time"), window).instance(col("user")).reduce(outputs)
            }
            Cut::Windows => visits.windowby(col("time"), tumbling(500)).instance(col("user")).reduce(outputs),
        }
    }

    /// Rows for the groups of `visits`, each with what `row` makes of a group.
    pub fn groups<T: Clone>(self, visits: &[T], visit: impl Fn(&T) -> &Visit, row: impl Fn(&[T]) -> String) -> Rows {
        let mut sorted = visits.to_vec();
        sorted.sort_by(|a, b| visit(a).cmp(visit(b)));
        let together = |a: &T, b: &T| {
            let (a, b) = (visit(a), visit(b));
            a.user == b.user
                && match self {
                    Cut::Whole => true,
                    Cut::Sessions => b.time - a.time <= 300,
                    Cut::Leaps => a.time / 500 == b.time / 500 || b.time - a.time > 900,
                    Cut::Windows => a.time / 500 == b.time / 500,
                }
        };
        let mut rows = Rows::new();
        sorted.chunk_by(together).for_each(|group| *rows.entry(row(group)).or_default() += 1);
        rows
    }
}
