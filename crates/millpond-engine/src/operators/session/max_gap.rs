//! Sessions by a largest gap between neighbours.
//!
//! An inserted event is a session of one. New sessions and the old ones near them are put in order, cut where the gap
//! is too wide, and merged: no event is read.
//!
//! If the input may remove, an old session that loses events falls into *pieces*, which take its place among the
//! sessions to merge. To find them, the events within `max_gap` of the removed ones are read:
//! - if they are the whole session, its pieces are computed from them;
//! - if no gap opens among them, the session stays in one piece: an event before the stretch that was read is within
//!   `max_gap` of one that was read and stands before all removed ones, so nothing outside it can come apart. The
//!   removed rows are taken back from the accumulators, if these allow it;
//! - else all events of the session are read.

use std::ops::Range;

use millpond_columns::view::{concat, ints, take};
use millpond_error::Result;
use millpond_plan::instant;

use super::{ACCUMULATORS, Candidates, END, START, Session, Spans, TIME, kept_rows, take_all};
use crate::arrangement::Select;
use crate::changes::Diffs;
use crate::group::sum_by_key;
use crate::keyed::KeyedRows;
use crate::operators::windowed::EmitRows;
use crate::operators::{first_negative, key_of_row, one_each};

/// Old sessions that lose events.
struct Hits {
    /// The key of each, as a position.
    keys: Vec<u32>,
    /// The row of each among the old sessions.
    sessions: Vec<u32>,
    /// The removals of each, which have one key for each hit.
    removals: KeyedRows,
}

impl Session {
    /// Merges the sessions of added `events`, what is left of sessions after removals, and the old sessions near the
    /// `events`.
    pub(super) fn update_by_max_gap(
        &self,
        events: &KeyedRows,
        max_gap: impl MaxGap,
        emit: &mut EmitRows<'_>,
    ) -> Result<KeyedRows> {
        let old = self.near(events, max_gap)?;
        let mut gone = vec![false; old.rows[START].len()];
        let candidates = if events.diffs.insert_only() {
            Candidates::new(&old, self.spans(events)?)
        } else {
            let (inserts, removals) = by_sign(events);
            let mut candidates = Candidates::new(&old, self.spans(&inserts)?);
            let hits = self.hits(removals, &old)?;
            hits.sessions.iter().for_each(|&row| gone[row as usize] = true);
            self.pieces(events, max_gap, &old, &hits, &mut candidates)?;
            candidates
        };
        let merged = self.merge(candidates, events.hashes.len(), &mut gone)?;
        self.replace(events, &old, &gone, merged, emit)
    }

    /// The sessions that the events of each key can join, and those between.
    fn near(&self, events: &KeyedRows, max_gap: impl MaxGap) -> Result<KeyedRows> {
        let times = ints(&events.rows[TIME]);
        let bounds = events
            .offsets
            .windows(2)
            .map(|pair| (max_gap.reach(times[pair[0] as usize]).start, max_gap.reach(times[pair[1] as usize - 1]).end));
        let (from, until): (Vec<i64>, Vec<i64>) = bounds.unzip();
        let select = Select::Range { from: &from, until: &until, until_column: START };
        let near = self.sessions.lookup(&events.hashes, &events.keys, select)?;
        debug_assert!(near.diffs.insert_only(), "sessions are distinct");
        Ok(near)
    }

    /// The old sessions that contain the removed events.
    fn hits(&self, removals: KeyedRows, old: &KeyedRows) -> Result<Hits> {
        let times = ints(&removals.rows[TIME]);
        let (starts, ends) = (ints(&old.rows[START]), ints(&old.rows[END]));
        let (mut keys, mut sessions, mut offsets) = (Vec::new(), Vec::new(), Vec::new());
        for k in 0..removals.hashes.len() {
            let (mut session, last) = (old.offsets[k] as usize, old.offsets[k + 1] as usize);
            let mut hit = None;
            for row in removals.offsets[k]..removals.offsets[k + 1] {
                let time = times[row as usize];
                while session < last && ends[session] < time {
                    session += 1;
                }
                if session == last || starts[session] > time {
                    return Err(self.never_added(&removals, k, row as usize));
                }
                if hit != Some(session) {
                    hit = Some(session);
                    keys.push(k as u32);
                    sessions.push(session as u32);
                    offsets.push(row);
                }
            }
        }
        offsets.push(times.len() as u32);
        let removals = KeyedRows {
            hashes: keys.iter().map(|&k| removals.hashes[k as usize]).collect(),
            keys: take_all(&removals.keys, &keys),
            offsets,
            ..removals
        };
        Ok(Hits { keys, sessions, removals })
    }

    /// Adds what is left of the sessions that lose events.
    fn pieces(
        &self,
        events: &KeyedRows,
        max_gap: impl MaxGap,
        old: &KeyedRows,
        hits: &Hits,
        candidates: &mut Candidates,
    ) -> Result<()> {
        let all: Vec<u32> = (0..hits.keys.len() as u32).collect();
        let session = |hit: u32| hits.sessions[hit as usize] as usize;
        let (starts, ends) = (ints(&old.rows[START]), ints(&old.rows[END]));
        let removed = ints(&hits.removals.rows[TIME]);
        let stretch = |hit: u32| {
            let of = hits.removals.offsets[hit as usize] as usize..hits.removals.offsets[hit as usize + 1] as usize;
            let from = max_gap.reach(removed[of.start]).start.max(starts[session(hit)]);
            from..max_gap.reach(removed[of.end - 1]).end.min(ends[session(hit)])
        };
        let close = self.left(events, hits, &all, stretch)?;
        let accumulators = take_all(&old.rows[ACCUMULATORS..], &hits.sessions);
        let can_take_back = self.accumulators.can_take_back(&accumulators, &hits.removals.rows, &hits.removals.offsets);

        let (mut whole, mut in_one, mut torn) = (Vec::new(), Vec::new(), Vec::new());
        let times = ints(&close.rows[TIME]);
        for &hit in &all {
            let rows = close.offsets[hit as usize] as usize..close.offsets[hit as usize + 1] as usize;
            let gap = times[rows].windows(2).any(|pair| max_gap.apart(pair[0], pair[1]));
            if stretch(hit) == (starts[session(hit)]..ends[session(hit)]) {
                whole.push(hit);
            } else if !gap && can_take_back[hit as usize] {
                in_one.push(hit);
            } else {
                torn.push(hit);
            }
        }
        candidates.add(&hits.keys, &whole, self.spans(&select(&close, &whole))?);
        if !torn.is_empty() {
            let left = self.left(events, hits, &torn, |hit| starts[session(hit)]..ends[session(hit)])?;
            candidates.add(&hits.keys, &torn, self.spans(&left)?);
        }
        if !in_one.is_empty() {
            let removals = select(&hits.removals, &in_one);
            let minus = self.accumulators.of_rows(&removals.rows, &removals.diffs, &removals.offsets)?;
            let count = in_one.len() as u32;
            let pairs: Vec<u32> = (0..count).flat_map(|i| [i, count + i]).collect();
            let both = take_all(&concat(&[&take_all(&accumulators, &in_one), &minus]), &pairs);
            let offsets: Vec<u32> = (0..=count).map(|i| 2 * i).collect();
            // Where the stretch that was read ends with the session, the session now ends with the stretch.
            let first = |hit: u32| times[close.offsets[hit as usize] as usize];
            let last = |hit: u32| times[close.offsets[hit as usize + 1] as usize - 1];
            let start = |&hit: &u32| {
                let old = starts[session(hit)];
                if stretch(hit).start > old { old } else { first(hit) }
            };
            let end = |&hit: &u32| {
                let old = ends[session(hit)];
                if stretch(hit).end < old { old } else { last(hit) }
            };
            let spans = Spans {
                offsets: one_each(in_one.len()),
                starts: in_one.iter().map(start).collect(),
                ends: in_one.iter().map(end).collect(),
                accumulators: self.accumulators.merge(&both, &offsets)?,
            };
            candidates.add(&hits.keys, &in_one, spans);
        }
        Ok(())
    }

    /// The events in a stretch of time for each of some hits, without the removed ones.
    fn left(
        &self,
        events: &KeyedRows,
        hits: &Hits,
        some: &[u32],
        stretch: impl Fn(u32) -> Range<i64>,
    ) -> Result<KeyedRows> {
        let owners: Vec<u32> = some.iter().map(|&hit| hits.keys[hit as usize]).collect();
        let present = self.read(events, &owners, |i| stretch(some[i]))?;
        let removals = select(&hits.removals, some);
        let left = sum_by_key(&present, &removals)?;
        match first_negative(&left.diffs) {
            Some(row) => Err(self.never_added(&left, key_of_row(&left.offsets, row), row)),
            None => Ok(left),
        }
    }
}

/// How far apart neighbours may be.
pub(super) trait MaxGap: Copy {
    /// Whether an event at `next` is not in the session that ends at `end`. What is later is apart from all that this
    /// is apart from.
    fn apart(self, end: i64, next: i64) -> bool;

    /// No time before or after these can be in one session with `time` and nothing between.
    fn reach(self, time: i64) -> Range<i64>;
}

impl MaxGap for i64 {
    #[inline]
    fn apart(self, end: i64, next: i64) -> bool {
        next > end && next.abs_diff(end) > self as u64
    }

    fn reach(self, time: i64) -> Range<i64> {
        time.saturating_sub(self)..time.saturating_add(self)
    }
}

/// Of instants of floats.
impl MaxGap for f64 {
    #[inline]
    fn apart(self, end: i64, next: i64) -> bool {
        next > end && instant::float(next) - instant::float(end) > self
    }

    /// A difference that is rounded to the gap is less than the next float after it, and a bound is rounded once more.
    fn reach(self, time: i64) -> Range<i64> {
        let (time, gap) = (instant::float(time), self.next_up());
        instant::of((time - gap).next_down())..instant::of((time + gap).next_up())
    }
}

/// The rows that are added, and those that are removed; both with all keys.
fn by_sign(rows: &KeyedRows) -> (KeyedRows, KeyedRows) {
    let count = rows.offsets.last().map_or(0, |&end| end) as usize;
    let some = |keep: Vec<bool>| {
        let (offsets, kept) = kept_rows(&rows.offsets, &keep);
        let diffs = Diffs::Each(kept.values().iter().map(|&row| rows.diffs.get(row as usize)).collect());
        let columns = rows.rows.iter().map(|column| take(column, &kept)).collect();
        KeyedRows { hashes: rows.hashes.clone(), keys: rows.keys.clone(), offsets, rows: columns, diffs }
    };
    let signs = |added: bool| (0..count).map(|row| (rows.diffs.get(row) > 0) == added).collect();
    (some(signs(true)), some(signs(false)))
}

/// The keys at the positions `some`, with their rows.
fn select(rows: &KeyedRows, some: &[u32]) -> KeyedRows {
    let mut positions = Vec::new();
    let mut offsets = Vec::with_capacity(some.len() + 1);
    offsets.push(0);
    for &k in some {
        positions.extend(rows.offsets[k as usize]..rows.offsets[k as usize + 1]);
        offsets.push(positions.len() as u32);
    }
    KeyedRows {
        hashes: some.iter().map(|&k| rows.hashes[k as usize]).collect(),
        keys: take_all(&rows.keys, some),
        offsets,
        rows: take_all(&rows.rows, &positions),
        diffs: Diffs::Each(positions.iter().map(|&row| rows.diffs.get(row as usize)).collect()),
    }
}
