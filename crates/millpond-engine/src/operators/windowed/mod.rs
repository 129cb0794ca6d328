//! Windows that are shown late, or that end: a [`Reduce`] or [`Session`] with a lifecycle.
//!
//! The operator inside stays what it is and knows no watermark: it gets the rows that are in time, and its rows by key
//! are the windows' results. Only sessions by a predicate need to be told which of them are closed, since it may hold
//! over any pause ([`WindowOperator::close_before`]). Around the operator stands the lifecycle, which
//! - keeps late rows out;
//! - lets through the changes of windows that are shown already, and no others;
//! - looks up the results of windows that are to be shown, in the state of the operator inside, so none is kept twice;
//! - removes the rows of windows that are over from all arrangements inside.
//!
//! Operators talk forward only, and what a window's end frees is behind what its rows have to pass: so this is one
//! operator, and not a gate before the other one or behind it.
//!
//! A window waits for two instants, which hang on nothing but its bounds (`lifetimes`): from `shown` on its result is
//! in the output, and at `over` it goes. Each of them that is still to come is a row of `timers`, as long as the window
//! exists; a window exists if the changes of the operator inside say so. An epoch reads the timers that its watermark
//! has passed, so its cost hangs on what changes and not on what waits.
//!
//! Arrangement `watermark`: one row, on the worker that owns hash 0; row = the watermark, the number of workers.
//!
//! Results of windows that are over are not in the state. [`Operator::snapshot`] gives those that are shown and not
//! over.

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Int64Array};
use arrow_select::filter::filter;
use millpond_columns::types::{Schema, Type};
use millpond_columns::view::{ints, take};
use millpond_error::Result;
use millpond_plan::{WindowSpec, WindowedSpec};

use super::session::{kept_rows, take_all};
use super::{Instantiate, Reduce, Session, emit_rows, insert, negated, open, types_of};
use crate::arrangement::{Arrangement, ArrangementSchema, SavedArrangement, Select};
use crate::changes::{Changes, Diffs};
use crate::group::{RowOrder, consolidated, group};
use crate::hash::KeyRange;
use crate::keyed::{HashedChanges, KeyedChanges, KeyedRows};
use crate::operator::{Bucket, Buckets, Emit, Operator, OperatorCounters, Pieces, StepContext};

mod lifetimes;
mod timers;

use lifetimes::{Lifetime, Lifetimes, is_past};
use timers::{Timers, windows_of};

/// So many keys' windows are shown or freed at a time.
const CHUNK_KEYS: usize = 1 << 16;

/// Takes rows with those of each key together.
pub type EmitRows<'a> = dyn FnMut(KeyedRows) -> Result<()> + 'a;

/// An operator whose rows are windows: of each key one, or several with start and end as the first two columns. All its
/// arrangements have the operator's key. If a key has several windows, the first column of each arrangement is a time
/// (of a session, its end), and the rows of a window are those with a time from its start to its end.
pub trait WindowOperator: Operator {
    /// Says that windows with bounds that end before `end` are closed: no row of the next step is in them, and none
    /// joins them. Nothing is to be done where no row could.
    fn close_before(&mut self, _end: i64) {}

    /// As [`Operator::step`], with the rows of each key together.
    fn step_by_key(&mut self, context: &StepContext, input: &mut dyn Buckets, emit: &mut EmitRows<'_>) -> Result<()>;

    /// The present rows of some keys.
    fn present(&self, hashes: &[u64], keys: &[ArrayRef], select: Select<'_>) -> Result<KeyedRows>;
}

/// Windows with a lifecycle; see the [module](self).
pub struct Windowed {
    inside: Box<dyn WindowOperator>,
    lifetimes: Lifetimes,
    /// How many columns a key has, and how many bounds of a window stand behind it.
    keys: usize,
    bounds: usize,
    /// The greatest time of all epochs so far, over all workers, as an instant.
    watermark: Option<i64>,
    saved: Arrangement,
    /// The row of `saved`: the watermark, and the number of workers whose timers these are.
    on_record: Option<(i64, i64)>,
    timers: Timers,
    counts: OperatorCounters,
}

/// The watermark before an epoch and after it.
#[derive(Clone, Copy, Debug)]
struct WatermarkStep {
    before: Option<i64>,
    after: Option<i64>,
}

/// Timers of windows that come or go in an epoch.
#[derive(Default)]
struct DueWindows {
    due: Vec<i64>,
    windows: Vec<HashedChanges>,
}

/// Keys with some of their windows.
struct WindowSelection {
    hashes: Vec<u64>,
    keys: Vec<ArrayRef>,
    /// The first start and the last end of the windows of each key, if these have bounds.
    spans: Option<(Vec<i64>, Vec<i64>)>,
}

impl Windowed {
    /// An operator without state, for the keys of `range`.
    pub fn new(WindowedSpec { windows, lifecycle }: &WindowedSpec, input: &Schema, range: KeyRange) -> Self {
        let (inside, mut columns, bounds): (Box<dyn WindowOperator>, _, _) = match windows {
            WindowSpec::Numbered { spec, .. } => {
                (Box::new(Reduce::new(spec, input, range)), types_of(input, &spec.key), 0)
            }
            WindowSpec::Session(spec) => {
                (Box::new(Session::new(spec, input, range)), types_of(input, &spec.instance), 2)
            }
        };
        let keys = columns.len();
        if let WindowSpec::Session(spec) = windows {
            columns.extend(types_of(input, &[spec.time, spec.time]));
        }
        let saved = ArrangementSchema { key: Vec::new(), row: vec![Type::Int.required(); 2] };
        Windowed {
            inside,
            lifetimes: Lifetimes::new(windows, lifecycle),
            keys,
            bounds,
            watermark: None,
            saved: Arrangement::new(saved, range),
            on_record: None,
            timers: Timers::new(&columns, range),
            counts: OperatorCounters::default(),
        }
    }

    /// Removes from the output what windows that are over had in it before this epoch.
    fn retract(&self, due: &KeyedRows, turn: WatermarkStep, emit: &mut Emit<'_>) -> Result<()> {
        let windows = self.gathered(&[windows_of(due)])?;
        self.in_chunks(&windows, |chunk, lifetimes| {
            let expires = |life: &Lifetime| is_past(life.over, turn.after) && is_past(life.shown, turn.before);
            let Some(chosen) = self.choose(chunk, lifetimes.iter().map(expires)) else { return Ok(()) };
            emit_rows(negated(self.present(&chosen)?), emit)
        })
    }

    /// Shows the windows whose time has come, and frees those that are over.
    fn fire_due(&mut self, windows: &KeyedRows, turn: WatermarkStep, emit: &mut Emit<'_>) -> Result<()> {
        let mut over = Vec::new();
        self.in_chunks(windows, |chunk, lifetimes| {
            let stays = |life: &Lifetime| self.lifetimes.keeps_results() || !is_past(life.over, turn.after);
            let becomes_visible =
                |life: &Lifetime| !is_past(life.shown, turn.before) && is_past(life.shown, turn.after);
            if let Some(chosen) = self.choose(chunk, lifetimes.iter().map(|life| becomes_visible(life) && stays(life)))
            {
                emit_rows(self.present(&chosen)?, emit)?;
            }
            let expires = |life: &Lifetime| is_past(life.over, turn.after);
            let closed = lifetimes.iter().filter(|life| expires(life)).count() as u64;
            over.extend(self.choose(chunk, lifetimes.iter().map(expires)).map(|chosen| (chosen, closed)));
            Ok(())
        })?;
        for (_, arrangement) in self.inside.arrangements() {
            for (chosen, _) in &over {
                forget(arrangement, chosen)?;
            }
        }
        self.counts.windows_closed += over.iter().map(|(_, closed)| closed).sum::<u64>();
        Ok(())
    }

    /// The present results of these windows.
    fn present(&self, chosen: &WindowSelection) -> Result<KeyedRows> {
        self.inside.present(&chosen.hashes, &chosen.keys, chosen.select())
    }

    /// Windows by key, those that came and went left out.
    fn gathered(&self, windows: &[HashedChanges]) -> Result<KeyedRows> {
        let (key, bounds): (Vec<usize>, Vec<usize>) = (0..self.keys + self.bounds).partition(|c| *c < self.keys);
        let windows = KeyedChanges::new(HashedChanges::concat(windows), &key);
        let windows = group(&windows, &bounds, RowOrder::Consolidated)?;
        debug_assert!(windows.diffs.insert_only(), "a window that waits exists");
        Ok(windows)
    }

    fn in_chunks(
        &self,
        windows: &KeyedRows,
        mut each: impl FnMut(&KeyedRows, &[Lifetime]) -> Result<()>,
    ) -> Result<()> {
        let mut first = 0;
        while first < windows.hashes.len() {
            let count = CHUNK_KEYS.min(windows.hashes.len() - first);
            let chunk = slice(windows, first, count);
            let rows = chunk.offsets.last().map_or(0, |&end| end) as usize;
            let columns = if self.bounds == 0 { &chunk.keys } else { &chunk.rows };
            each(&chunk, &self.lifetimes.of(columns, rows)?)?;
            first += count;
        }
        Ok(())
    }

    /// The keys of those windows that `chosen` says, if there are any. Those of one key follow each other.
    fn choose(&self, windows: &KeyedRows, chosen: impl Iterator<Item = bool>) -> Option<WindowSelection> {
        let (offsets, rows) = kept_rows(&windows.offsets, &chosen.collect::<Vec<bool>>());
        let keys: Vec<u32> =
            (0..windows.hashes.len() as u32).filter(|&k| offsets[k as usize] < offsets[k as usize + 1]).collect();
        let spans = (self.bounds > 0).then(|| {
            let (starts, ends) = (ints(&windows.rows[0]), ints(&windows.rows[1]));
            let row = |at: u32| rows.values()[at as usize] as usize;
            let span = |&k: &u32| (starts[row(offsets[k as usize])], ends[row(offsets[k as usize + 1] - 1)]);
            keys.iter().map(span).unzip()
        });
        (!keys.is_empty()).then(|| WindowSelection {
            hashes: keys.iter().map(|&k| windows.hashes[k as usize]).collect(),
            keys: take_all(&windows.keys, &keys),
            spans,
        })
    }

    /// The rows of windows that are shown by now.
    fn shown(&self, changes: Changes) -> Result<Changes> {
        let columns = match self.bounds {
            0 => &changes.columns[..self.keys],
            bounds => &changes.columns[self.keys..self.keys + bounds],
        };
        let lifetimes = self.lifetimes.of(columns, changes.rows)?;
        let shown: Vec<bool> = lifetimes.iter().map(|life| is_past(life.shown, self.watermark)).collect();
        Ok(filtered(&changes, &BooleanArray::from(shown)))
    }

    /// Puts the watermark on record, and by how many workers the timers are divided.
    fn save(&mut self) -> Result<()> {
        let workers = self.saved.range().workers() as i64;
        let (Some(watermark), 0) = (self.watermark, self.saved.range().first) else { return Ok(()) };
        let old = self.on_record.replace((watermark, workers));
        if old == self.on_record {
            return Ok(());
        }
        let rows: Vec<(i64, i64, i64)> = old
            .map(|(watermark, workers)| (watermark, workers, -1))
            .into_iter()
            .chain([(watermark, workers, 1)])
            .collect();
        let column =
            |cell: fn(&(i64, i64, i64)) -> i64| -> ArrayRef { Arc::new(rows.iter().map(cell).collect::<Int64Array>()) };
        let mut run = self.saved.builder();
        run.append(&consolidated(KeyedRows {
            hashes: vec![0],
            keys: Vec::new(),
            offsets: vec![0, rows.len() as u32],
            rows: vec![column(|row| row.0), column(|row| row.1)],
            diffs: Diffs::Each(rows.iter().map(|row| row.2).collect()),
        })?);
        insert(&mut self.saved, run.finish()?)
    }
}

impl WatermarkStep {
    /// Notes what windows come and go by these changes of their results; gives the rows that are to be seen.
    fn take_up(
        self,
        rows: KeyedRows,
        lifetimes: &Lifetimes,
        bounds: usize,
        [now, later]: [&mut DueWindows; 2],
    ) -> Result<KeyedRows> {
        let count = rows.offsets.last().map_or(0, |&end| end) as usize;
        let of = match bounds {
            0 => lifetimes.of(&rows.keys, rows.hashes.len())?,
            _ => lifetimes.of(&rows.rows[..bounds], count)?,
        };
        let life = |key: usize, row: usize| of[if bounds == 0 { key } else { row }];
        let starts_and_ends: Vec<&[i64]> = rows.rows[..bounds].iter().map(ints).collect();
        let same = |a: usize, b: usize| starts_and_ends.iter().all(|bound| bound[a] == bound[b]);

        let mut seen = Vec::with_capacity(count);
        let mut moved: [TimerDeltas; 2] = Default::default();
        for (key, pair) in rows.offsets.windows(2).enumerate() {
            let (mut row, end) = (pair[0] as usize, pair[1] as usize);
            while row < end {
                let (first, life) = (row, life(key, row));
                let mut net = 0;
                while row < end && same(first, row) {
                    net += rows.diffs.get(row);
                    row += 1;
                }
                let stays = lifetimes.keeps_results() || !is_past(life.over, self.after);
                seen.resize(row, is_past(life.shown, self.before) && stays);
                if net != 0 {
                    for due in life.timers(self.before) {
                        moved[usize::from(!is_past(due.into(), self.after))].push(due, key, first, net);
                    }
                }
            }
        }
        for (moved, pending) in moved.into_iter().zip([now, later]) {
            moved.into_pending(&rows, bounds, pending);
        }
        if seen.iter().all(|seen| *seen) {
            return Ok(rows);
        }
        let (offsets, kept) = kept_rows(&rows.offsets, &seen);
        let diffs = match &rows.diffs {
            Diffs::Ones => Diffs::Ones,
            Diffs::Each(diffs) => Diffs::Each(kept.values().iter().map(|&row| diffs[row as usize]).collect()),
        };
        let columns = rows.rows.iter().map(|column| take(column, &kept)).collect();
        Ok(KeyedRows { offsets, rows: columns, diffs, ..rows })
    }
}

/// Timers that come or go, by where their windows stand.
#[derive(Default)]
struct TimerDeltas {
    due: Vec<i64>,
    keys: Vec<u32>,
    rows: Vec<u32>,
    diffs: Vec<i64>,
}

impl TimerDeltas {
    fn push(&mut self, due: i64, key: usize, row: usize, diff: i64) {
        self.due.push(due);
        self.keys.push(key as u32);
        self.rows.push(row as u32);
        self.diffs.push(diff);
    }

    fn into_pending(self, rows: &KeyedRows, bounds: usize, pending: &mut DueWindows) {
        if self.due.is_empty() {
            return;
        }
        let hashes = self.keys.iter().map(|&key| rows.hashes[key as usize]).collect();
        let mut columns = take_all(&rows.keys, &self.keys);
        columns.extend(take_all(&rows.rows[..bounds], &self.rows));
        let changes = Changes { columns, rows: self.due.len(), diffs: Diffs::Each(self.diffs.into()) };
        pending.due.extend(self.due);
        pending.windows.push(HashedChanges { hashes, changes });
    }
}

impl WindowSelection {
    /// The rows of the windows, in each arrangement of a [`WindowOperator`].
    fn select(&self) -> Select<'_> {
        match &self.spans {
            None => Select::All,
            Some((from, until)) => Select::Range { from, until, until_column: 0 },
        }
    }
}

/// The rows that are in time; the others are counted.
struct InTime<'a> {
    buckets: &'a mut dyn Buckets,
    lifetimes: &'a Lifetimes,
    watermark: Option<i64>,
    counts: &'a mut OperatorCounters,
}

impl InTime<'_> {
    fn drop_late(&mut self, bucket: KeyedChanges) -> Result<KeyedChanges> {
        let Some(in_time) = self.lifetimes.in_time(&bucket, self.watermark)? else { return Ok(bucket) };
        let late = (0..bucket.rows()).filter(|row| !in_time.value(*row));
        self.counts.late_rows += late.map(|row| bucket.diffs.get(row).unsigned_abs()).sum::<u64>();
        Ok(bucket.filter(&in_time))
    }
}

impl Buckets for InTime<'_> {
    fn next(&mut self) -> Result<Option<Bucket>> {
        while let Some(bucket) = self.buckets.next()? {
            let rows = self.drop_late(bucket.only())?;
            if rows.rows() > 0 {
                return Ok(Some(Bucket::new(vec![Some(rows)])));
            }
        }
        Ok(None)
    }
}

fn filtered(changes: &Changes, kept: &BooleanArray) -> Changes {
    let column = |column: &ArrayRef| filter(column, kept).expect("the mask is as long as the column");
    let columns = changes.columns.iter().map(column).collect();
    Changes { columns, rows: kept.true_count(), diffs: changes.diffs.filter(kept) }
}

/// Removes the rows of windows.
fn forget(arrangement: &mut Arrangement, windows: &WindowSelection) -> Result<()> {
    let mut run = arrangement.builder();
    run.append(&negated(arrangement.lookup(&windows.hashes, &windows.keys, windows.select())?));
    insert(arrangement, run.finish()?)
}

/// The keys from `first` on.
fn slice(rows: &KeyedRows, first: usize, count: usize) -> KeyedRows {
    if count == rows.hashes.len() {
        return rows.clone();
    }
    let offsets = &rows.offsets[first..=first + count];
    let (start, end) = (offsets[0] as usize, offsets[count] as usize);
    KeyedRows {
        hashes: rows.hashes[first..first + count].to_vec(),
        keys: rows.keys.iter().map(|column| column.slice(first, count)).collect(),
        offsets: offsets.iter().map(|offset| offset - start as u32).collect(),
        rows: rows.rows.iter().map(|column| column.slice(start, end - start)).collect(),
        diffs: match &rows.diffs {
            Diffs::Ones => Diffs::Ones,
            Diffs::Each(diffs) => Diffs::Each(diffs.slice(start, end - start)),
        },
    }
}

impl Instantiate for WindowedSpec {
    fn instantiate(&self, inputs: &[&Schema], range: KeyRange) -> Box<dyn Operator> {
        Box::new(Windowed::new(self, inputs[0], range))
    }
}

impl Operator for Windowed {
    fn open(&mut self, mut saved: Vec<(String, SavedArrangement)>) -> Result<()> {
        let named = |name: &str| saved.iter().find(|(saved, _)| saved == name).map(|(_, runs)| runs.clone());
        let (timers, watermark) = (named("timers").unwrap_or_default(), named("watermark").unwrap_or_default());
        // Every worker reads the one row that one of them keeps.
        Arrangement::open(self.saved.schema().clone(), KeyRange::ALL, watermark)?.scan(&mut |rows| {
            self.on_record = ints(&rows.rows[0]).iter().copied().zip(ints(&rows.rows[1]).iter().copied()).next();
            Ok(())
        })?;
        self.watermark = self.on_record.map(|(watermark, _)| watermark);
        open(&mut saved, "watermark", &mut self.saved)?;
        let workers = self.saved.range().workers() as i64;
        match self.on_record.is_none_or(|(_, divided)| divided == workers) {
            true => self.timers.open(timers)?,
            false => self.timers.divide(timers)?,
        }
        self.save()?;
        self.inside.open(saved)
    }

    fn step(&mut self, context: &StepContext, input: &mut dyn Buckets, emit: &mut Emit<'_>) -> Result<()> {
        let turn = WatermarkStep { before: self.watermark, after: self.watermark.max(context.watermark) };
        let due = self.timers.due(turn.before, turn.after)?;
        if !self.lifetimes.keeps_results() {
            self.retract(&due, turn, emit)?;
        }
        let (mut now, mut later) = (DueWindows::default(), DueWindows::default());
        let Windowed { inside, lifetimes, bounds, counts, .. } = self;
        inside.close_before(lifetimes.open_from(turn.before));
        let mut in_time = InTime { buckets: input, lifetimes, watermark: turn.before, counts };
        inside.step_by_key(context, &mut in_time, &mut |rows| {
            emit_rows(turn.take_up(rows, lifetimes, *bounds, [&mut now, &mut later])?, emit)
        })?;

        if !later.due.is_empty() {
            let windows = HashedChanges::concat(&later.windows);
            self.timers.add(later.due, windows)?;
        }
        let mut windows = now.windows;
        if !due.rows[0].is_empty() {
            windows.push(windows_of(&due));
            self.timers.remove(due)?;
        }
        if !windows.is_empty() {
            let windows = self.gathered(&windows)?;
            self.fire_due(&windows, turn, emit)?;
        }
        self.watermark = turn.after;
        self.save()
    }

    fn snapshot(&self, emit: &mut Emit<'_>) -> Result<()> {
        self.inside.snapshot(&mut |changes| {
            let changes = self.shown(changes)?;
            if changes.is_empty() { Ok(()) } else { emit(changes) }
        })
    }

    fn arrangements(&mut self) -> Vec<(&'static str, &mut Arrangement)> {
        let own = [("timers", self.timers.queue()), ("watermark", &mut self.saved)];
        self.inside.arrangements().into_iter().chain(own).collect()
    }

    fn pieces(&self) -> Pieces {
        self.inside.pieces()
    }

    fn take_counters(&mut self) -> OperatorCounters {
        std::mem::take(&mut self.counts)
    }
}

#[cfg(test)]
mod tests;
