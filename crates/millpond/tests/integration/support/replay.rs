//! Windows with behaviours, by the simplest code: epochs one after another, rows one at a time.

use std::collections::BTreeMap;

use millpond::{
    Literal, Table, Window, col, common_behavior, count, earliest, exactly_once_behavior, latest, max, session,
    sorted_tuple, sum, tumbling, tuple,
};

use super::{Random, Rows, Visit, array, optional, quoted};

/// How windows are made of visits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Windows of the length.
    Tumbling,
    /// Sessions with the length as their largest gap.
    Sessions,
    /// The same by a predicate.
    Near,
    /// Sessions of visits further apart than the length.
    Far,
    /// Sessions in which only the first visit is at a multiple of ten.
    Tens,
}

impl Kind {
    /// `ten` is a distance between times of which only some are multiples.
    fn window(self, length: Literal, ten: Literal) -> Window {
        match self {
            Kind::Tumbling => tumbling(length).into(),
            Kind::Sessions => session().max_gap(length).into(),
            Kind::Near => session().predicate(|a, b| (b - a).le(length)).into(),
            Kind::Far => session().predicate(|a, b| (b - a).gt(length)).into(),
            Kind::Tens => session().predicate(|_, b| (b % ten).ne(0)).into(),
        }
    }

    fn together(self, length: i64, a: i64, b: i64) -> bool {
        match self {
            Kind::Tumbling => a.div_euclid(length) == b.div_euclid(length),
            Kind::Sessions | Kind::Near => b - a <= length,
            Kind::Far => a == b || b - a > length,
            Kind::Tens => a == b || b % 10 != 0,
        }
    }
}

/// A windowby of each user's visits.
#[derive(Clone, Debug)]
pub(crate) struct Windows {
    pub kind: Kind,
    pub length: i64,
    pub delay: Option<i64>,
    /// The shift, where results are shown exactly once.
    pub cutoff: Option<i64>,
    pub keep_results: bool,
    pub exactly_once: bool,
    /// Whether times are floats: quarters of what the visits say.
    pub floats: bool,
}

impl Windows {
    pub(crate) fn random(random: &mut Random) -> Self {
        let mut length = || (random.below(3) > 0).then(|| random.below(10) as i64 * 75);
        let (delay, cutoff) = (length(), length());
        let (keep_results, exactly_once) = (random.below(2) == 0, random.below(3) == 0);
        let kinds = [Kind::Tumbling, Kind::Tumbling, Kind::Sessions, Kind::Near, Kind::Far, Kind::Tens];
        let kind = kinds[random.below(kinds.len() as u64) as usize];
        let length = 75 * (1 + random.below(5) as i64);
        let floats = random.below(3) == 0;
        Windows { kind, length, delay, cutoff, keep_results, exactly_once, floats }
    }

    /// So many seconds, of the type of the times.
    fn span(&self, seconds: i64) -> Literal {
        if self.floats { Literal::Float(seconds as f64 / 4.0) } else { Literal::Int(seconds) }
    }

    /// How a result file spells a time.
    fn spell(&self, time: i64) -> String {
        if self.floats { format!("{:?}", time as f64 / 4.0) } else { time.to_string() }
    }

    /// User, start, last time, number of visits, sum of pages, and the pages by their arrival and in order.
    pub(crate) fn of(&self, visits: &Table) -> Table {
        let time = if self.floats { col("time") / 4 } else { col("time") };
        let window = self.kind.window(self.span(self.length), self.span(10));
        let windowed = visits.windowby(time, window).instance(col("user"));
        let windowed = if self.exactly_once {
            let behavior = exactly_once_behavior();
            windowed.behavior(match self.cutoff {
                Some(shift) => behavior.shift(self.span(shift)),
                None => behavior,
            })
        } else {
            let mut behavior = common_behavior().keep_results(self.keep_results);
            if let Some(delay) = self.delay {
                behavior = behavior.delay(self.span(delay));
            }
            if let Some(cutoff) = self.cutoff {
                behavior = behavior.cutoff(self.span(cutoff));
            }
            windowed.behavior(behavior)
        };
        windowed.reduce([
            ("user", col("user")),
            ("start", col("_pw_window_start")),
            // All columns are read, so that only equal visits are equal rows.
            ("until", max(col("time"))),
            ("visits", count()),
            ("pages", sum(col("pages"))),
            ("first", earliest(col("pages"))),
            ("last", latest(col("pages"))),
            ("came", tuple(col("pages"))),
            ("known", tuple(col("pages")).skip_nones()),
            ("sorted", sorted_tuple(col("pages"))),
        ])
    }
}

/// What the windows have come to after some epochs.
#[derive(Clone)]
pub(crate) struct Replay {
    windows: Windows,
    watermark: Option<i64>,
    epochs: u64,
    /// The epochs in which the visits of open windows came, those of equal visits in order.
    open: BTreeMap<Visit, Vec<u64>>,
    /// Windows that are closed and not shown yet: when they are, and their result.
    held: Vec<(i64, String)>,
    /// Results of windows that are over.
    kept: Rows,
    /// How many windows are over.
    pub closed: u64,
}

impl Replay {
    pub(crate) fn new(windows: &Windows) -> Self {
        let (windows, open, held, kept) = (windows.clone(), BTreeMap::new(), Vec::new(), Rows::new());
        Replay { windows, watermark: None, epochs: 0, open, held, kept, closed: 0 }
    }

    fn cutoff(&self) -> Option<i64> {
        if self.windows.exactly_once { Some(self.windows.cutoff.unwrap_or(0)) } else { self.windows.cutoff }
    }

    fn is_past(&self, time: i64) -> bool {
        self.watermark.is_some_and(|watermark| time <= watermark)
    }

    fn is_closed(&self, end: i64) -> bool {
        let wait = match self.windows.kind {
            Kind::Tumbling => 0,
            Kind::Sessions => self.windows.length + 1,
            Kind::Near | Kind::Far | Kind::Tens => 1,
        };
        self.cutoff().is_some_and(|cutoff| self.is_past(end + wait + cutoff))
    }

    fn start(&self, time: i64) -> i64 {
        time.div_euclid(self.windows.length) * self.windows.length
    }

    fn is_late(&self, visit: &Visit) -> bool {
        match (self.windows.kind, self.cutoff(), self.watermark) {
            (Kind::Tumbling, ..) => self.is_closed(self.start(visit.time) + self.windows.length),
            (_, Some(cutoff), Some(watermark)) => visit.time < watermark - cutoff,
            _ => false,
        }
    }

    /// Plays an epoch; gives all results that are to be seen after it.
    pub(crate) fn epoch(&mut self, changes: &[(Visit, i64)]) -> Rows {
        self.epochs += 1;
        for (visit, diff) in changes.iter().filter(|(visit, _)| !self.is_late(visit)).cloned().collect::<Vec<_>>() {
            let came = self.open.entry(visit).or_default();
            came.extend((0..diff).map(|_| self.epochs));
            // Of equal visits, the first that came is the first to go.
            came.drain(..(-diff).max(0) as usize);
        }
        self.open.retain(|_, came| !came.is_empty());
        let added = changes.iter().filter(|(_, diff)| *diff > 0).map(|(visit, _)| visit.time);
        self.watermark = added.max().max(self.watermark);

        let visits: Vec<(Visit, Vec<u64>)> = std::mem::take(&mut self.open).into_iter().collect();
        let Windows { kind, length, .. } = self.windows;
        let together = |a: &(Visit, Vec<u64>), b: &(Visit, Vec<u64>)| {
            a.0.user == b.0.user && kind.together(length, a.0.time, b.0.time)
        };
        let mut shown = Rows::new();
        for window in visits.chunk_by(together) {
            let (first, last) = (window[0].0.time, window[window.len() - 1].0.time);
            let (start, end) = match kind {
                Kind::Tumbling => (self.start(first), self.start(first) + length),
                _ => (first, last),
            };
            let delay = self.windows.delay.filter(|_| !self.windows.exactly_once);
            let shown_at = delay.map_or(i64::MIN, |delay| start + delay);
            if self.is_closed(end) {
                self.held.push((shown_at, self.result(start, window)));
                continue;
            }
            self.open.extend(window.iter().cloned());
            if !self.windows.exactly_once && self.is_past(shown_at) {
                *shown.entry(self.result(start, window)).or_default() += 1;
            }
        }
        for (shown_at, row) in std::mem::take(&mut self.held) {
            if !self.is_past(shown_at) {
                self.held.push((shown_at, row));
                continue;
            }
            self.closed += 1;
            if self.windows.keep_results || self.windows.exactly_once {
                *self.kept.entry(row).or_default() += 1;
            }
        }
        self.kept.iter().for_each(|(row, count)| *shown.entry(row.clone()).or_default() += count);
        shown
    }

    fn result(&self, start: i64, window: &[(Visit, Vec<u64>)]) -> String {
        result(&self.windows.spell(start), window)
    }
}

/// The result of a window that starts at `start`.
fn result(start: &str, window: &[(Visit, Vec<u64>)]) -> String {
    let copies = window.iter().flat_map(|(visit, came)| came.iter().map(move |epoch| (*epoch, visit.pages)));
    let mut copies: Vec<(u64, Option<i64>)> = copies.collect();
    copies.sort_unstable();
    let came: Vec<Option<i64>> = copies.iter().map(|(_, pages)| *pages).collect();
    let known: Vec<Option<i64>> = came.iter().copied().filter(Option::is_some).collect();
    let mut sorted = came.clone();
    sorted.sort_unstable();
    let pages = known.iter().copied().sum::<Option<i64>>().filter(|_| !known.is_empty());
    // The first of the first epoch in which a known number came, and the last of the last one.
    let (first, last) = (known.first().copied().flatten(), known.last().copied().flatten());
    let (user, until) = (quoted(&window[0].0.user), window[window.len() - 1].0.time);
    let lists = [came.as_slice(), &known, &sorted].map(|list| quoted(&array(list))).join(",");
    let figures = [pages, first, last].map(optional).join(",");
    format!("{user},{start},{until},{},{figures},{lists}", came.len())
}

/// What turns the rows `old` into the rows `new`.
pub(crate) fn difference(old: &[Visit], new: &[Visit]) -> Vec<(Visit, i64)> {
    let mut counts: BTreeMap<Visit, i64> = BTreeMap::new();
    old.iter().for_each(|visit| *counts.entry(visit.clone()).or_default() -= 1);
    new.iter().for_each(|visit| *counts.entry(visit.clone()).or_default() += 1);
    counts.into_iter().filter(|(_, count)| *count != 0).collect()
}
