//! What windows wait for, in order of time: a queue in an arrangement.
//!
//! Arrangement `timers`: one key for each worker, of no column, whose hash is the first of the worker's range; row =
//! the instant, the hash of the window's key (its bits as an int), the columns of the window. So what comes next is
//! found by one seek, however much waits behind it, and no two workers share a key. A restart with another number of
//! workers divides the rows anew, by the hash that each of them holds.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, UInt32Array};
use millpond_columns::types::{ColumnType, Type};
use millpond_columns::view::{ints, take};
use millpond_error::Result;

use super::super::{insert, negated};
use crate::arrangement::{Arrangement, ArrangementSchema, SavedArrangement, Select};
use crate::changes::{Changes, Diffs};
use crate::group::consolidated;
use crate::hash::KeyRange;
use crate::keyed::{HashedChanges, KeyedRows};

/// Columns of the queue.
const DUE: usize = 0;
const HASH: usize = 1;
const WINDOW: usize = 2;

/// The timers of one worker's windows.
pub(super) struct Timers {
    queue: Arrangement,
}

impl Timers {
    /// No timers, of windows with these columns.
    pub(super) fn new(window: &[ColumnType], range: KeyRange) -> Self {
        let mut row = vec![Type::Int.required(); WINDOW];
        row.extend(window);
        Timers { queue: Arrangement::new(ArrangementSchema { key: Vec::new(), row }, range) }
    }

    /// The queue, to be saved.
    pub(super) fn queue(&mut self) -> &mut Arrangement {
        &mut self.queue
    }

    /// Opens this worker's queue, which was saved by as many workers.
    pub(super) fn open(&mut self, saved: SavedArrangement) -> Result<()> {
        self.queue = Arrangement::open(self.queue.schema().clone(), self.queue.range(), saved)?;
        Ok(())
    }

    /// Takes the timers of this worker's keys out of the queues of another number of workers.
    pub(super) fn divide(&mut self, saved: SavedArrangement) -> Result<()> {
        let all = Arrangement::open(self.queue.schema().clone(), KeyRange::ALL, saved)?;
        let range = self.queue.range();
        all.scan(&mut |rows| {
            let own = (0u32..).zip(ints(&rows.rows[HASH])).filter(|(_, hash)| range.contains(**hash as u64));
            let own = UInt32Array::from_iter_values(own.map(|(row, _)| row));
            let diffs = own.values().iter().map(|&row| rows.diffs.get(row as usize)).collect();
            let columns = rows.rows.iter().map(|column| take(column, &own)).collect();
            self.insert(Changes::new(columns, diffs))
        })
    }

    /// The timers after the watermark `before`, up to `after`.
    pub(super) fn due(&self, before: Option<i64>, after: Option<i64>) -> Result<KeyedRows> {
        let from = before.map_or(i64::MIN, |before| before.saturating_add(1));
        let until = if before < after { after.unwrap_or(i64::MIN) } else { i64::MIN };
        let select = Select::Range { from: &[from], until: &[until], until_column: DUE };
        self.queue.lookup(&[self.queue.range().first], &[], select)
    }

    /// Removes timers.
    pub(super) fn remove(&mut self, timers: KeyedRows) -> Result<()> {
        let mut run = self.queue.builder();
        run.append(&negated(timers));
        insert(&mut self.queue, run.finish()?)
    }

    /// Adds (or removes, by their diffs) timers of windows: the instant of each.
    pub(super) fn add(&mut self, due: Vec<i64>, windows: HashedChanges) -> Result<()> {
        let hashes: Int64Array = windows.hashes.iter().map(|hash| *hash as i64).collect();
        let mut columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(due)), Arc::new(hashes)];
        columns.extend(windows.changes.columns);
        self.insert(Changes { columns, ..windows.changes })
    }

    fn insert(&mut self, timers: Changes) -> Result<()> {
        let Changes { columns, rows, diffs } = timers;
        let hashes = vec![self.queue.range().first];
        let timers = KeyedRows { hashes, keys: Vec::new(), offsets: vec![0, rows as u32], rows: columns, diffs };
        let mut run = self.queue.builder();
        run.append(&consolidated(timers)?);
        insert(&mut self.queue, run.finish()?)
    }
}

/// The windows of timers.
pub(super) fn windows_of(timers: &KeyedRows) -> HashedChanges {
    let hashes: Vec<u64> = ints(&timers.rows[HASH]).iter().map(|hash| *hash as u64).collect();
    let columns = timers.rows[WINDOW..].to_vec();
    let diffs: Diffs = timers.diffs.clone();
    HashedChanges { changes: Changes { columns, rows: hashes.len(), diffs }, hashes }
}
