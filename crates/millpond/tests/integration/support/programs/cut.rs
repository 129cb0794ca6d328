//! The rows of a user, cut in one of the ways that there are.

use millpond::{Expr, Table, Window, col, session, tumbling};

use super::dress::Clock;
use super::{Random, Rows, Visit};

/// How the rows of a user are cut: not at all, into sessions, or into windows.
#[derive(Clone, Copy)]
pub(super) enum Cut {
    Whole,
    Sessions,
    /// Sessions of which each but the last event has the next one in the same 500 seconds, or more than 900 after it.
    Leaps,
    Windows,
}

impl Cut {
    pub(super) fn new(random: &mut Random) -> Self {
        [Cut::Whole, Cut::Sessions, Cut::Leaps, Cut::Windows][random.below(4) as usize]
    }

    /// Visits of these times, cut and reduced.
    pub(super) fn reduce(self, clock: Clock, visits: &Table, outputs: Vec<(&'static str, Expr)>) -> Table {
        let (clock, time) = clock.of_windows();
        let window = match self {
            Cut::Whole => return visits.groupby(["user"]).reduce(outputs),
            Cut::Sessions => session().max_gap(clock.span(300)).into(),
            Cut::Leaps => {
                let slot = |time: &Expr| clock.since_start(time.clone()).floordiv(clock.span(500));
                let together = |a: Expr, b: Expr| slot(&a).eq(slot(&b)) | (b - a).gt(clock.span(900));
                session().predicate(together).into()
            }
            Cut::Windows => Window::from(tumbling(clock.span(500)).origin(clock.start())),
        };
        visits.windowby(time, window).instance(col("user")).reduce(outputs)
    }

    /// Rows for the groups of `visits`, each with what `row` makes of a group.
    pub(super) fn groups<T: Clone>(
        self,
        visits: &[T],
        visit: impl Fn(&T) -> &Visit,
        row: impl Fn(&[T]) -> String,
    ) -> Rows {
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
