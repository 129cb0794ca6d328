//! The simplest code for windows with behaviours: epochs one after another, rows one at a time, by the words of
//! `millpond_plan::behavior`.

use std::collections::{BTreeMap, BTreeSet};

use super::{Behaves, Copies, Joins, Kind, Program, Row, Rows};

/// What the windows of a program have come to after some epochs.
#[derive(Debug)]
pub(super) struct Replay {
    program: Program,
    pub watermark: Option<i128>,
    /// The rows of each open window, by user and number; those of sessions under number 0, all that are open together.
    pub rows: BTreeMap<(&'static str, i128), BTreeMap<Row, Vec<u64>>>,
    /// Windows that are closed and not shown yet.
    pub held: Vec<Window>,
    epoch: u64,
    /// Results of windows that are gone.
    pub kept: Rows,
    pub late: u64,
    pub closed: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Window {
    user: &'static str,
    start: i128,
    end: i128,
    pub rows: Vec<Copies>,
}

impl Replay {
    pub(super) fn new(program: Program) -> Self {
        let (rows, held, kept) = (BTreeMap::new(), Vec::new(), Rows::new());
        Replay { program, watermark: None, rows, held, epoch: 0, kept, late: 0, closed: 0 }
    }

    /// Whether the watermark has come to `instant`.
    fn is_past(&self, instant: i128) -> bool {
        self.watermark.is_some_and(|watermark| instant <= watermark)
    }

    fn cutoff(&self) -> Option<i128> {
        match self.program.behaves {
            Behaves::Common { cutoff, .. } => cutoff.map(i128::from),
            Behaves::ExactlyOnce { shift } => Some(shift.map_or(0, i128::from)),
        }
    }

    fn is_closed(&self, end: i128) -> bool {
        let gap = match self.program.kind {
            Kind::Sliding(..) => 0,
            Kind::Session(Joins::MaxGap(max_gap)) => i128::from(max_gap) + 1,
            Kind::Session(_) => 1,
        };
        self.cutoff().is_some_and(|cutoff| self.is_past(end + gap + cutoff))
    }

    fn is_shown(&self, start: i128, end: i128) -> bool {
        match self.program.behaves {
            Behaves::Common { delay, .. } => delay.is_none_or(|delay| self.is_past(start + i128::from(delay))),
            Behaves::ExactlyOnce { .. } => self.is_closed(end),
        }
    }

    /// The numbers and bounds of the windows that hold a time.
    fn windows(&self, time: i64) -> Vec<i128> {
        let Kind::Sliding(hop, duration, origin) = self.program.kind else { return vec![0] };
        let (time, first) = (i128::from(time), i128::from(origin.unwrap_or(0)));
        let around = (time - first).div_euclid(i128::from(hop));
        let near = around - i128::from(duration / hop + 2)..=around + 1;
        let holds = |number: &i128| {
            let start = first + number * i128::from(hop);
            start <= time && time < start + i128::from(duration) && (origin.is_none() || *number >= 0)
        };
        near.filter(holds).collect()
    }

    fn bounds(&self, number: i128) -> (i128, i128) {
        let Kind::Sliding(hop, duration, origin) = self.program.kind else { unreachable!() };
        let start = i128::from(origin.unwrap_or(0)) + number * i128::from(hop);
        (start, start + i128::from(duration))
    }

    /// What a step reads of a row, beside its key: rows that are equal in it are equal.
    fn read(&self, (time, user, value): Row) -> Row {
        let outputs = &self.program.outputs;
        let reads_time = matches!(self.program.kind, Kind::Session(_)) || outputs.contains(&"last");
        let reads_value = outputs.iter().any(|output| !["start", "end", "user", "n"].contains(output));
        let user = if self.program.by_user { user } else { "" };
        (if reads_time { time } else { 0 }, user, value.filter(|_| reads_value))
    }

    /// Plays an epoch and gives what is to be seen after it.
    pub(super) fn step(&mut self, changes: &[(Row, i64)]) -> Rows {
        let mut net: BTreeMap<((&'static str, i128), Row), i64> = BTreeMap::new();
        for &(row, diff) in changes {
            let read = self.read(row);
            for number in self.windows(row.0) {
                let late = match self.program.kind {
                    Kind::Sliding(..) => self.is_closed(self.bounds(number).1),
                    Kind::Session(_) => {
                        let bound = self.watermark.zip(self.cutoff()).map(|(watermark, cutoff)| watermark - cutoff);
                        bound.is_some_and(|bound| i128::from(row.0) < bound)
                    }
                };
                if late {
                    self.late += diff.unsigned_abs();
                } else {
                    *net.entry(((read.1, number), read)).or_default() += diff;
                }
            }
        }
        self.epoch += 1;
        for ((window, row), diff) in net {
            let came = self.rows.entry(window).or_default().entry(row).or_default();
            came.extend((0..diff).map(|_| self.epoch));
            // Of equal rows, the first that came is the first to go.
            came.drain(..(-diff).max(0) as usize);
        }
        for rows in self.rows.values_mut() {
            rows.retain(|_, came| !came.is_empty());
        }
        self.rows.retain(|_, rows| !rows.is_empty());
        // Rows that are added and removed in one epoch count, too: they were added.
        let times = changes.iter().filter(|(_, diff)| *diff > 0).map(|(row, _)| i128::from(row.0));
        self.watermark = times.max().max(self.watermark);

        let mut seen = Rows::new();
        for ((user, number), rows) in std::mem::take(&mut self.rows) {
            for window in self.split(user, number, rows) {
                if self.is_closed(window.end) {
                    self.held.push(window);
                    continue;
                }
                if self.is_shown(window.start, window.end) {
                    *seen.entry(self.result(&window)).or_default() += 1;
                }
                self.rows.entry((user, number)).or_default().extend(window.rows);
            }
        }
        let keeps = !matches!(self.program.behaves, Behaves::Common { keep_results: false, .. });
        for window in std::mem::take(&mut self.held) {
            if !self.is_shown(window.start, window.end) {
                self.held.push(window);
                continue;
            }
            self.closed += 1;
            if keeps {
                *self.kept.entry(self.result(&window)).or_default() += 1;
            }
        }
        self.kept.iter().for_each(|(row, count)| *seen.entry(row.clone()).or_default() += count);
        seen
    }

    /// The windows that rows of one user and number make.
    fn split(&self, user: &'static str, number: i128, rows: BTreeMap<Row, Vec<u64>>) -> Vec<Window> {
        let rows: Vec<Copies> = rows.into_iter().collect();
        let Kind::Session(joins) = self.program.kind else {
            let (start, end) = self.bounds(number);
            return vec![Window { user, start, end, rows }];
        };
        let time = |row: &Copies| row.0.0;
        let window = |rows: &[Copies]| {
            let (start, end) = (time(&rows[0]).into(), time(&rows[rows.len() - 1]).into());
            Window { user, start, end, rows: rows.to_vec() }
        };
        rows.chunk_by(|a, b| joins.holds(time(a), time(b))).map(window).collect()
    }

    /// How many windows have rows in the state.
    pub(super) fn live_windows(&self) -> u64 {
        let open = self.rows.iter().map(|((user, number), rows)| self.split(user, *number, rows.clone()).len());
        (open.sum::<usize>() + self.held.len()) as u64
    }

    fn result(&self, window: &Window) -> Vec<String> {
        let Window { user, start, end, rows } = window;
        let copies = rows.iter().flat_map(|((_, _, value), came)| came.iter().map(move |epoch| (*epoch, *value)));
        let mut copies: Vec<(u64, Option<i64>)> = copies.collect();
        copies.sort_unstable();
        let all = || copies.iter().map(|(_, value)| *value);
        let known = || all().flatten();
        let text = |value: Option<i128>| value.map_or("None".to_owned(), |value| value.to_string());
        let cell = |name: &&'static str| match *name {
            "start" => start.to_string(),
            "end" => end.to_string(),
            "user" => (*user).to_owned(),
            "n" => copies.len().to_string(),
            "sum" => text(known().map(i128::from).reduce(|a, b| a + b)),
            "distinct" => known().collect::<BTreeSet<_>>().len().to_string(),
            "list" => {
                let mut values: Vec<Option<i64>> = all().collect();
                values.sort_unstable();
                format!("{values:?}")
            }
            "came" => format!("{:?}", all().collect::<Vec<_>>()),
            "first" => text(known().next().map(i128::from)),
            "newest" => text(known().last().map(i128::from)),
            "last" => {
                let last = rows.iter().map(|((time, _, value), _)| (*time, *value)).max();
                text(last.and_then(|(_, value)| value).map(i128::from))
            }
            _ => text(known().max().map(i128::from)),
        };
        self.program.outputs.iter().map(cell).collect()
    }
}
