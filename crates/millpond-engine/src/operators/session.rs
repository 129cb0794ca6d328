//! Maximal runs of an instance's events, none further than `max_gap` from its neighbour; one row for each. Or, in place
//! of the gap, a `predicate` says whether neighbours are in one session.
//!
//! Arrangement `sessions`: key = the instance columns; row = end, start, accumulators. The sessions of an instance are
//! disjoint, so both ends ascend, and the sessions near a stretch of time are found by one seek.
//!
//! New sessions and the old ones near them are put in order, cut where neighbours are apart, and merged: `max_gap` and
//! `predicate` say which these are. The first step is the same without old sessions.
//!
//! Arrangement `events` (row = time, then the reducers' arguments, then the epoch in which the event arrived if a
//! reducer asks for it) holds all events, if the input may remove, if sessions are made by a predicate, or if a reducer
//! counts distinct values or lists all: for that, the events of each session that changes are read.

use std::ops::Range;

use arrow_array::{ArrayRef, UInt32Array};
use millpond_columns::types::{Schema, Type};
use millpond_columns::view::{concat, ints, take};
use millpond_error::Result;
use millpond_plan::physical::Form;
use millpond_plan::{Gap, SessionSpec};
use millpond_plan::{Literal, instant};

use super::arrivals::with_arrival;
use super::windowed::{EmitRows, WindowOperator};
use super::{Instantiate, arrangement, emit_rows, insert, names_of, never_added, open, show, types_of};
use crate::accumulate::{Accumulators, needs_arrival};
use crate::arrangement::{Arrangement, SavedArrangement, Select};
use crate::changes::{Diffs, Epoch};
use crate::group::{RowOrder, RowsOf, group, replacement, sum_by_key};
use crate::hash::KeyRange;
use crate::keyed::{KeyedChanges, KeyedRows};
use crate::operator::{Buckets, Emit, Operator, Pieces, StepContext};

mod max_gap;
mod predicate;

use max_gap::MaxGap;

/// Columns of the arrangement `sessions`.
const END: usize = 0;
const START: usize = 1;
const ACCUMULATORS: usize = 2;
/// The time's column of the arrangement `events`.
const TIME: usize = 0;

/// Groups the events of each instance into sessions and keeps one row of reducers for each.
pub struct Session {
    /// Names for messages: the instance columns and the time.
    names: Vec<String>,
    /// The time, then the other distinct arguments of the reducers.
    row: Vec<usize>,
    /// Whether the epoch in which an event arrived stands behind them.
    with_arrival: bool,
    gap: Gap,
    /// Sessions that end before it are closed, and their rows are no neighbours; without a behaviour, none are.
    open_from: i64,
    /// The type of the time as it is kept: an `int` or a point in time.
    time: Type,
    /// Whether times are instants of floats.
    floats: bool,
    accumulators: Accumulators,
    sessions: Arrangement,
    events: Option<Arrangement>,
}

/// Sessions in columns; `offsets` says where those of each key start.
struct Spans {
    offsets: Vec<u32>,
    starts: Vec<i64>,
    ends: Vec<i64>,
    accumulators: Vec<ArrayRef>,
}

impl Session {
    /// An operator without state, for the instances of `range`.
    pub fn new(spec: &SessionSpec, input: &Schema, range: KeyRange) -> Self {
        let mut row = vec![spec.time];
        for &column in spec.reducers.iter().flat_map(|reducer| &reducer.columns) {
            if !row.contains(&column) {
                row.push(column);
            }
        }
        let accumulators = Accumulators::new(&spec.reducers, input, &row, false);
        let time = input.columns()[spec.time].ty.ty;
        let mut columns = vec![time.required(); ACCUMULATORS];
        columns.extend(accumulators.columns());
        let with_arrival = needs_arrival(&spec.reducers);
        let mut events = types_of(input, &row);
        events.extend(with_arrival.then(|| Type::Int.required()));
        let by_predicate = matches!(spec.gap, Gap::Where(_));
        let keep_events = spec.form == Form::Full || by_predicate || accumulators.need_all_rows();
        let mut names = names_of(input, &spec.instance);
        names.push(input.columns()[spec.time].name.clone());
        Session {
            sessions: arrangement(input, &spec.instance, columns, range),
            events: keep_events.then(|| arrangement(input, &spec.instance, events, range)),
            names,
            row,
            with_arrival,
            time,
            floats: spec.floats,
            gap: spec.gap.clone(),
            open_from: i64::MIN,
            accumulators,
        }
    }

    /// The sessions of `events`: sorted by time, each key's alone.
    fn spans(&self, events: &KeyedRows) -> Result<Spans> {
        let times = ints(&events.rows[TIME]);
        match &self.gap {
            Gap::Most(max_gap) => self.cut(events, |i| max_gap.apart(times[i - 1], times[i])),
            Gap::MostFloat(max_gap) => self.cut(events, |i| max_gap.apart(times[i - 1], times[i])),
            Gap::Where(predicate) => {
                let mut first = vec![false; times.len() + 1];
                events.offsets.iter().for_each(|&start| first[start as usize] = true);
                // The first event of a key has no neighbour before it.
                let pairs = (0..times.len()).map(|i| if first[i] { (0, 0) } else { (times[i - 1], times[i]) });
                let together = predicate::together(predicate, self, pairs)?;
                self.cut(events, |i| !together[i])
            }
        }
    }

    /// The runs of `events` between those that are `apart` from the one before.
    fn cut(&self, events: &KeyedRows, apart: impl Fn(usize) -> bool) -> Result<Spans> {
        let times = ints(&events.rows[TIME]);
        let mut spans = Spans {
            offsets: Vec::with_capacity(events.offsets.len()),
            starts: Vec::with_capacity(times.len() / 2),
            ends: Vec::with_capacity(times.len() / 2),
            accumulators: Vec::new(),
        };
        let mut cuts = Vec::with_capacity(times.len() / 2);
        spans.offsets.push(0);
        for pair in events.offsets.windows(2) {
            let (first, end) = (pair[0] as usize, pair[1] as usize);
            if first < end {
                cuts.push(first as u32);
                spans.starts.push(times[first]);
                for i in first + 1..end {
                    if apart(i) {
                        spans.ends.push(times[i - 1]);
                        spans.starts.push(times[i]);
                        cuts.push(i as u32);
                    }
                }
                spans.ends.push(times[end - 1]);
            }
            spans.offsets.push(cuts.len() as u32);
        }
        cuts.push(times.len() as u32);
        spans.accumulators = self.accumulators.of_rows(&events.rows, &events.diffs, &cuts)?;
        Ok(spans)
    }

    /// The output columns of sessions; `lists` as [`Accumulators::finish`] takes them.
    fn answers(&self, sessions: &[ArrayRef], lists: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
        let mut columns = vec![sessions[START].clone(), sessions[END].clone()];
        columns.extend(self.accumulators.finish(&sessions[ACCUMULATORS..], lists)?);
        Ok(columns)
    }

    /// The lists of sessions, of all events of each.
    fn lists(&self, events: &KeyedRows) -> Result<Vec<ArrayRef>> {
        self.accumulators.lists().iter().map(|list| list.of(&list.sorting.apply(events)?)).collect()
    }

    /// The lists of sessions of the state.
    fn saved_lists(&self, sessions: &KeyedRows) -> Result<Vec<ArrayRef>> {
        if self.accumulators.lists().is_empty() {
            return Ok(Vec::new());
        }
        let (starts, ends) = (ints(&sessions.rows[START]), ints(&sessions.rows[END]));
        let owners = super::owners(&sessions.offsets);
        self.lists(&self.read(sessions, &owners, |i| starts[i]..ends[i])?)
    }

    /// Emits what changes in the output; returns what changes in the sessions and in the events.
    fn apply(&self, bucket: &KeyedChanges, epoch: Epoch, emit: &mut EmitRows<'_>) -> Result<(KeyedRows, KeyedRows)> {
        let order = if self.events.is_some() { RowOrder::Consolidated } else { RowOrder::FirstColumn };
        let mut events = group(bucket, &self.row, order)?;
        if self.with_arrival {
            let never_added = |rows: &KeyedRows, key, row| self.never_added(rows, key, row);
            events = with_arrival(events, epoch, self.events.as_ref(), never_added)?;
        }
        let sessions = if self.sessions.is_empty() && events.diffs.insert_only() {
            self.first(&events, self.spans(&events)?, emit)?
        } else {
            match &self.gap {
                Gap::Most(max_gap) => self.update_by_max_gap(&events, *max_gap, emit)?,
                Gap::MostFloat(max_gap) => self.update_by_max_gap(&events, *max_gap, emit)?,
                Gap::Where(_) => self.update_by_predicate(&events, emit)?,
            }
        };
        Ok((sessions, events))
    }

    /// The first step of a state: all sessions are new.
    fn first(&self, events: &KeyedRows, mut added: Spans, emit: &mut EmitRows<'_>) -> Result<KeyedRows> {
        let lists = self.complete(events, &mut added)?;
        let offsets = added.offsets.clone();
        let sessions = added.into_columns(self.time);
        let rows = |rows: Vec<ArrayRef>| {
            let (hashes, keys, offsets) = (events.hashes.clone(), events.keys.clone(), offsets.clone());
            KeyedRows { hashes, keys, offsets, rows, diffs: Diffs::Ones }
        };
        emit(rows(self.answers(&sessions, &lists)?))?;
        Ok(rows(sessions))
    }

    /// Replaces the old sessions that are `gone` by new ones: emits what changes in the output; returns what changes in
    /// the sessions.
    fn replace(
        &self,
        events: &KeyedRows,
        old: &KeyedRows,
        gone: &[bool],
        mut new: Spans,
        emit: &mut EmitRows<'_>,
    ) -> Result<KeyedRows> {
        let new_lists = self.complete(events, &mut new)?;
        let (old_offsets, lost) = kept_rows(&old.offsets, gone);
        let old: Vec<ArrayRef> = old.rows.iter().map(|column| take(column, &lost)).collect();
        let old_lists = self.saved_lists(&KeyedRows {
            hashes: events.hashes.clone(),
            keys: events.keys.clone(),
            offsets: old_offsets.clone(),
            rows: old.clone(),
            diffs: Diffs::Ones,
        })?;
        let new_offsets = new.offsets.clone();
        let new = new.into_columns(self.time);
        let (old_answers, new_answers) = (self.answers(&old, &old_lists)?, self.answers(&new, &new_lists)?);
        let difference = |old: &[ArrayRef], new: &[ArrayRef]| {
            let old = RowsOf { offsets: &old_offsets, columns: old };
            replacement(&events.hashes, &events.keys, &old, &RowsOf { offsets: &new_offsets, columns: new })
        };
        emit(difference(&old_answers, &new_answers)?)?;
        difference(&old, &new)
    }

    /// The events of the state in several stretches of time, the n-th of key `owners[n]` of `events`: for each stretch,
    /// a key of the result. The owners ascend.
    fn read(&self, events: &KeyedRows, owners: &[u32], stretch: impl Fn(usize) -> Range<i64>) -> Result<KeyedRows> {
        let arrangement = self.events.as_ref().expect("events are kept where they are read");
        // A lookup takes a key once: the second stretch of a key is in the second round, and so on.
        let mut rounds: Vec<Vec<usize>> = Vec::new();
        let mut round_of = Vec::with_capacity(owners.len());
        for (i, owner) in owners.iter().enumerate() {
            let same = i > 0 && owners[i - 1] == *owner;
            let round: usize = if same { round_of[i - 1] + 1 } else { 0 };
            round_of.push(round);
            if round == rounds.len() {
                rounds.push(Vec::new());
            }
            rounds[round].push(i);
        }
        let mut found = Vec::with_capacity(rounds.len());
        for round in &rounds {
            let keys: Vec<u32> = round.iter().map(|&i| owners[i]).collect();
            let hashes: Vec<u64> = keys.iter().map(|&k| events.hashes[k as usize]).collect();
            let (from, until): (Vec<i64>, Vec<i64>) =
                round.iter().map(|&i| stretch(i)).map(|stretch| (stretch.start, stretch.end)).unzip();
            let select = Select::Range { from: &from, until: &until, until_column: TIME };
            found.push(arrangement.lookup(&hashes, &take_all(&events.keys, &keys), select)?);
        }
        let found = match found.len() {
            0 => arrangement.lookup(&[], &take_all(&events.keys, &[]), Select::All)?,
            1 => found.remove(0),
            _ => in_turn(&found, &round_of),
        };
        let hashes = owners.iter().map(|&k| events.hashes[k as usize]).collect();
        Ok(KeyedRows { hashes, keys: take_all(&events.keys, owners), ..found })
    }

    /// Counts the distinct rows of new sessions, anew, once `events` have changed; gives their lists.
    fn complete(&self, events: &KeyedRows, new: &mut Spans) -> Result<Vec<ArrayRef>> {
        if !self.accumulators.need_all_rows() {
            return Ok(Vec::new());
        }
        let rows = self.rows_of(events, new)?;
        for (column, sorting) in self.accumulators.distincts() {
            let numbers = sorting.apply(&rows)?.offsets.windows(2).map(|pair| i64::from(pair[1] - pair[0])).collect();
            new.accumulators[column] = Type::Int.int_array(numbers, None);
        }
        self.lists(&rows)
    }

    /// All rows of new sessions, once `events` have changed: for each session, a key of the result.
    fn rows_of(&self, events: &KeyedRows, new: &Spans) -> Result<KeyedRows> {
        let times = ints(&events.rows[TIME]);
        let mut owners: Vec<u32> = Vec::with_capacity(new.starts.len());
        let (mut changed, mut offsets) = (Vec::new(), vec![0]);
        for (key, pair) in (0u32..).zip(new.offsets.windows(2)) {
            let (first, last) = (events.offsets[key as usize] as usize, events.offsets[key as usize + 1] as usize);
            for session in pair[0] as usize..pair[1] as usize {
                let from = first + times[first..last].partition_point(|time| *time < new.starts[session]);
                let until = first + times[first..last].partition_point(|time| *time <= new.ends[session]);
                changed.extend(from as u32..until as u32);
                offsets.push(changed.len() as u32);
                owners.push(key);
            }
        }
        let present = self.read(events, &owners, |i| new.starts[i]..new.ends[i])?;
        let changes = KeyedRows {
            hashes: present.hashes.clone(),
            keys: present.keys.clone(),
            offsets,
            rows: take_all(&events.rows, &changed),
            diffs: Diffs::Each(changed.iter().map(|&row| events.diffs.get(row as usize)).collect()),
        };
        sum_by_key(&present, &changes)
    }

    /// Puts the candidates of each key in order, cuts them where the gap is too wide, and merges what lies between. An
    /// old session that joins others is `gone`; one that stays alone stays as it is and is not in the result.
    fn merge(&self, candidates: Candidates, keys: usize, gone: &mut [bool]) -> Result<Spans> {
        let Candidates { keys: owners, starts, ends, parts, old_rows } = candidates;
        let mut order: Vec<u32> = (0..starts.len() as u32).filter(|&i| i >= old_rows || !gone[i as usize]).collect();
        order.sort_by_key(|&i| (owners[i as usize], starts[i as usize], ends[i as usize]));
        let together = match &self.gap {
            Gap::Most(_) | Gap::MostFloat(_) => Vec::new(),
            Gap::Where(predicate) => {
                let pairs = order.windows(2).map(|pair| match [pair[0] as usize, pair[1] as usize] {
                    [a, b] if owners[a] == owners[b] => (ends[a], starts[b]),
                    _ => (0, 0),
                });
                predicate::together(predicate, self, pairs)?
            }
        };
        // Of the n-th in order, and where the one before it ends.
        let apart = |n: usize, end: i64| match &self.gap {
            Gap::Most(max_gap) => max_gap.apart(end, starts[order[n] as usize]),
            Gap::MostFloat(max_gap) => max_gap.apart(end, starts[order[n] as usize]),
            Gap::Where(_) => !together[n - 1],
        };

        let mut merged = Spans { offsets: vec![0], starts: Vec::new(), ends: Vec::new(), accumulators: Vec::new() };
        let mut members: Vec<u32> = Vec::new();
        let mut cuts: Vec<u32> = vec![0];
        let mut at = 0;
        for key in 0..keys as u32 {
            while at < order.len() && owners[order[at] as usize] == key {
                let first = at;
                let mut end = ends[order[at] as usize];
                at += 1;
                while at < order.len() && owners[order[at] as usize] == key && !apart(at, end) {
                    end = end.max(ends[order[at] as usize]);
                    at += 1;
                }
                let session = &order[first..at];
                if session.len() == 1 && session[0] < old_rows {
                    continue;
                }
                session.iter().filter(|&&i| i < old_rows).for_each(|&i| gone[i as usize] = true);
                members.extend(session);
                cuts.push(members.len() as u32);
                merged.starts.push(starts[session[0] as usize]);
                merged.ends.push(end);
            }
            merged.offsets.push(merged.starts.len() as u32);
        }
        let parts: Vec<&[ArrayRef]> = parts.iter().map(Vec::as_slice).collect();
        merged.accumulators = self.accumulators.merge(&take_all(&concat(&parts), &members), &cuts)?;
        Ok(merged)
    }

    fn never_added(&self, rows: &KeyedRows, key: usize, row: usize) -> millpond_error::Error {
        let instance = show(&self.names, &rows.keys, key);
        let separator = if instance.is_empty() { "" } else { ", " };
        let time = self.names.last().map_or("time", String::as_str);
        let value = ints(&rows.rows[TIME])[row];
        let value = if self.floats { Literal::Float(instant::float(value)) } else { Literal::of_int(self.time, value) };
        never_added(&format!("{instance}{separator}{time}={value}"))
    }
}

impl Spans {
    /// The columns of the arrangement `sessions`.
    fn into_columns(self, time: Type) -> Vec<ArrayRef> {
        let bounds = [self.ends, self.starts];
        let mut columns: Vec<ArrayRef> = bounds.map(|bounds| time.int_array(bounds.into(), None)).into();
        columns.extend(self.accumulators);
        columns
    }
}

/// Sessions to merge: the old ones first, then new ones.
struct Candidates {
    keys: Vec<u32>,
    starts: Vec<i64>,
    ends: Vec<i64>,
    /// The accumulators, one part after another.
    parts: Vec<Vec<ArrayRef>>,
    old_rows: u32,
}

impl Candidates {
    fn new(old: &KeyedRows, added: Spans) -> Self {
        let mut candidates = Candidates {
            keys: Vec::new(),
            starts: ints(&old.rows[START]).to_vec(),
            ends: ints(&old.rows[END]).to_vec(),
            parts: vec![old.rows[ACCUMULATORS..].to_vec()],
            old_rows: old.rows[START].len() as u32,
        };
        for (k, pair) in (0u32..).zip(old.offsets.windows(2)) {
            candidates.keys.resize(pair[1] as usize, k);
        }
        let keys: Vec<u32> = (0..old.hashes.len() as u32).collect();
        candidates.add(&keys, &keys, added);
        candidates
    }

    /// Adds sessions; those of the n-th key of `spans` belong to key `keys[some[n]]`.
    fn add(&mut self, keys: &[u32], some: &[u32], spans: Spans) {
        for (&n, pair) in some.iter().zip(spans.offsets.windows(2)) {
            let count = (pair[1] - pair[0]) as usize;
            self.keys.extend(std::iter::repeat_n(keys[n as usize], count));
        }
        self.starts.extend(spans.starts);
        self.ends.extend(spans.ends);
        self.parts.push(spans.accumulators);
    }
}

impl Instantiate for SessionSpec {
    fn instantiate(&self, inputs: &[&Schema], range: KeyRange) -> Box<dyn Operator> {
        Box::new(Session::new(self, inputs[0], range))
    }
}

impl Operator for Session {
    fn open(&mut self, mut saved: Vec<(String, SavedArrangement)>) -> Result<()> {
        open(&mut saved, "sessions", &mut self.sessions)?;
        self.events.as_mut().map_or(Ok(()), |events| open(&mut saved, "events", events))
    }

    fn step(&mut self, context: &StepContext, input: &mut dyn Buckets, emit: &mut Emit<'_>) -> Result<()> {
        self.step_by_key(context, input, &mut |rows| emit_rows(rows, emit))
    }

    fn snapshot(&self, emit: &mut Emit<'_>) -> Result<()> {
        self.sessions.scan(&mut |mut rows| {
            rows.rows = self.answers(&rows.rows, &self.saved_lists(&rows)?)?;
            emit_rows(rows, emit)
        })
    }

    fn arrangements(&mut self) -> Vec<(&'static str, &mut Arrangement)> {
        let events = self.events.as_mut().map(|events| ("events", events));
        std::iter::once(("sessions", &mut self.sessions)).chain(events).collect()
    }

    fn pieces(&self) -> Pieces {
        Pieces { first: Some(self.row[TIME]), ..Pieces::default() }
    }
}

impl WindowOperator for Session {
    fn close_before(&mut self, end: i64) {
        self.open_from = end;
    }

    fn step_by_key(&mut self, context: &StepContext, input: &mut dyn Buckets, emit: &mut EmitRows<'_>) -> Result<()> {
        let mut sessions = self.sessions.builder();
        let mut events = self.events.as_ref().map(Arrangement::builder);
        while let Some(bucket) = input.next()? {
            let bucket = bucket.only();
            let (session_changes, event_changes) = self.apply(&bucket, context.epoch, emit)?;
            sessions.append(&session_changes);
            if let Some(events) = &mut events {
                events.append(&event_changes);
            }
        }
        if let (Some(arrangement), Some(events)) = (&mut self.events, events) {
            insert(arrangement, events.finish()?)?;
        }
        insert(&mut self.sessions, sessions.finish()?)
    }

    fn present(&self, hashes: &[u64], keys: &[ArrayRef], select: Select<'_>) -> Result<KeyedRows> {
        let mut rows = self.sessions.lookup(hashes, keys, select)?;
        rows.rows = self.answers(&rows.rows, &self.saved_lists(&rows)?)?;
        Ok(rows)
    }
}

/// The cells of each column at `positions`.
pub(super) fn take_all(columns: &[ArrayRef], positions: &[u32]) -> Vec<ArrayRef> {
    let positions = UInt32Array::from(positions.to_vec());
    columns.iter().map(|column| take(column, &positions)).collect()
}

/// The rows that `keep` says, and where those of each key start.
pub(super) fn kept_rows(offsets: &[u32], keep: &[bool]) -> (Vec<u32>, UInt32Array) {
    let mut kept: Vec<u32> = Vec::new();
    let mut kept_offsets = Vec::with_capacity(offsets.len());
    kept_offsets.push(0);
    for pair in offsets.windows(2) {
        kept.extend((pair[0]..pair[1]).filter(|&row| keep[row as usize]));
        kept_offsets.push(kept.len() as u32);
    }
    (kept_offsets, UInt32Array::from(kept))
}

/// The keys of several tables in turn: the n-th comes from table `table_of[n]`, as the next that was not taken yet.
fn in_turn(tables: &[KeyedRows], table_of: &[usize]) -> KeyedRows {
    let columns: Vec<&[ArrayRef]> = tables.iter().map(|table| table.rows.as_slice()).collect();
    let columns = concat(&columns);
    let mut next = vec![0; tables.len()];
    let mut shifts = vec![0; tables.len()];
    for t in 1..tables.len() {
        shifts[t] = shifts[t - 1] + tables[t - 1].offsets.last().map_or(0, |&end| end);
    }
    let mut positions = Vec::new();
    let mut diffs = Vec::new();
    let mut offsets = vec![0];
    for &t in table_of {
        let rows = tables[t].offsets[next[t]]..tables[t].offsets[next[t] + 1];
        next[t] += 1;
        diffs.extend(rows.clone().map(|row| tables[t].diffs.get(row as usize)));
        positions.extend(rows.map(|row| shifts[t] + row));
        offsets.push(positions.len() as u32);
    }
    let rows = take_all(&columns, &positions);
    KeyedRows { hashes: Vec::new(), keys: Vec::new(), offsets, rows, diffs: Diffs::Each(diffs.into()) }
}
