//! Sessions by a predicate over the times of neighbours.
//!
//! Unlike a largest gap, a predicate may hold of far neighbours and not of near ones: an event that is added may part a
//! session, too. So the old sessions with an event added inside, or removed, are *torn*: all events that they now
//! have are read. These events, the ones that are added outside of all sessions, and the old sessions next to any of
//! them are put in order, and the predicate says where to cut.
//!
//! With a behaviour, sessions that are closed may still be in the state, until they are shown. All of them end before
//! any event that is in time, so at most the one before all events of a key would be met here: it is left out, and the
//! predicate is not asked. What is left of a torn session may have ended long before the watermark, and so be over as
//! soon as it is made.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array};
use millpond_columns::view::ints;
use millpond_error::Result;
use millpond_plan::{MapStage, instant};

use super::{Candidates, END, START, Session, Spans, TIME};
use crate::arrangement::Select;
use crate::group::{filtered, sum_by_key};
use crate::keyed::KeyedRows;
use crate::operators::first_negative;
use crate::operators::windowed::EmitRows;

/// Old sessions that may fall apart.
struct Torn {
    /// Their bounds, by key; without accumulators.
    spans: Spans,
    /// The row of each among the old sessions.
    rows: Vec<u32>,
    /// Which of the changed events are outside of them.
    outside: Vec<bool>,
}

impl Session {
    /// As [`update_by_max_gap`](Session::update_by_max_gap), by the predicate.
    pub(super) fn update_by_predicate(&self, events: &KeyedRows, emit: &mut EmitRows<'_>) -> Result<KeyedRows> {
        let old = self.neighbours(events)?;
        let torn = self.torn(events, &old)?;
        let mut gone = vec![false; old.rows[START].len()];
        torn.rows.iter().for_each(|&row| gone[row as usize] = true);

        let left = self.rows_of(events, &torn.spans)?;
        if let Some(row) = first_negative(&left.diffs) {
            return Err(self.never_added(&left, crate::operators::key_of_row(&left.offsets, row), row));
        }
        let added = filtered(events, |row| torn.outside[row]);
        let mut candidates = Candidates::new(&old, self.points(&added)?);
        let owners = crate::operators::owners(&torn.spans.offsets);
        let all: Vec<u32> = (0..owners.len() as u32).collect();
        candidates.add(&owners, &all, self.points(&left)?);
        let merged = self.merge(candidates, events.hashes.len(), &mut gone)?;
        self.replace(events, &old, &gone, merged, emit)
    }

    /// A session for each distinct time.
    fn points(&self, events: &KeyedRows) -> Result<Spans> {
        let times = ints(&events.rows[TIME]);
        self.cut(events, |i| times[i - 1] != times[i])
    }

    /// The sessions from the one before all events of a key to the one after them, without those that are closed.
    fn neighbours(&self, events: &KeyedRows) -> Result<KeyedRows> {
        let times = ints(&events.rows[TIME]);
        let bounds = events.offsets.windows(2).map(|pair| (times[pair[0] as usize], times[pair[1] as usize - 1]));
        let (first, last): (Vec<i64>, Vec<i64>) = bounds.unzip();
        let mut before = self.sessions.lookup(&events.hashes, &events.keys, Select::Before { value: &first })?;
        let ends = ints(&before.rows[END]);
        if ends.iter().any(|end| *end < self.open_from) {
            before = filtered(&before, |row| ends[row] >= self.open_from);
        }
        let select = Select::Through { from: &first, until: &last, until_column: START };
        let others = self.sessions.lookup(&events.hashes, &events.keys, select)?;
        sum_by_key(&before, &others)
    }

    /// Finds the old sessions with an event added inside or removed.
    fn torn(&self, events: &KeyedRows, old: &KeyedRows) -> Result<Torn> {
        let times = ints(&events.rows[TIME]);
        let (starts, ends) = (ints(&old.rows[START]), ints(&old.rows[END]));
        let mut spans = Spans { offsets: vec![0], starts: Vec::new(), ends: Vec::new(), accumulators: Vec::new() };
        let mut rows = Vec::new();
        let mut outside = Vec::with_capacity(times.len());
        for k in 0..events.hashes.len() {
            let (mut session, last) = (old.offsets[k] as usize, old.offsets[k + 1] as usize);
            let of_key = events.offsets[k] as usize..events.offsets[k + 1] as usize;
            let mut row = of_key.start;
            while row < of_key.end {
                while session < last && ends[session] < times[row] {
                    session += 1;
                }
                if session == last || starts[session] > times[row] {
                    if events.diffs.get(row) < 0 {
                        return Err(self.never_added(events, k, row));
                    }
                    outside.push(true);
                    row += 1;
                    continue;
                }
                let (start, end) = (starts[session], ends[session]);
                let inside = row..row + times[row..of_key.end].partition_point(|time| *time <= end);
                let parts = |i: usize| events.diffs.get(i) < 0 || (start < times[i] && times[i] < end);
                let torn = inside.clone().any(parts);
                if torn {
                    spans.starts.push(start);
                    spans.ends.push(end);
                    rows.push(session as u32);
                }
                outside.resize(inside.end, !torn);
                row = inside.end;
            }
            spans.offsets.push(rows.len() as u32);
        }
        Ok(Torn { spans, rows, outside })
    }
}

/// For each pair of neighbouring times, whether they are in one session: equal ones always are, and the predicate is
/// not asked.
pub(super) fn together(
    predicate: &MapStage,
    session: &Session,
    pairs: impl Iterator<Item = (i64, i64)> + Clone,
) -> Result<Vec<bool>> {
    let different: Vec<(i64, i64)> = pairs.clone().filter(|(a, b)| a != b).collect();
    let column = |cell: fn(&(i64, i64)) -> i64| -> ArrayRef {
        let times = different.iter().map(cell);
        match session.floats {
            true => Arc::new(Float64Array::from_iter_values(times.map(instant::float))),
            false => session.time.int_array(times.collect::<Vec<i64>>().into(), None),
        }
    };
    let mapped = predicate.apply(&[column(|pair| pair.0), column(|pair| pair.1)], different.len(), None)?;
    let answers: &BooleanArray = mapped.columns[0].as_boolean();
    let mut next = 0;
    let answer = |(a, b): (i64, i64)| {
        if a == b {
            return true;
        }
        next += 1;
        answers.is_valid(next - 1) && answers.value(next - 1)
    };
    Ok(pairs.map(answer).collect())
}
