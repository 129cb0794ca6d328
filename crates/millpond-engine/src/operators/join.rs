//! Rows of two tables with equal keys, side by side: `dL⋈R + L'⋈dR`, with the rows of both tables in the state.
//!
//! Arrangements `left` and `right`: key = the key; row = the columns of the side.
//!
//! Arrangement `counts`, where rows without a match stay or a side gives its identity: key = the key; row = the number
//! of rows on the left and on the right. It tells whether a key has a row on a side without reading its rows.
//!
//! A key's output may be as large as the product of its rows, so it leaves in batches, row of the left by row of the
//! left.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Int64Array, UInt32Array};
use millpond_columns::dialect::hint;
use millpond_columns::types::{Schema, Type};
use millpond_columns::view::{ColumnView, compare_rows, concat, ints, take};
use millpond_error::{Error, Origin, Result};
use millpond_plan::{JoinMode, JoinSpec, Side};

use super::{Instantiate, arrangement, insert, key_of_row, names_of, never_added, open, show, types_of};
use crate::arrangement::{Arrangement, SavedArrangement, Select};
use crate::changes::{Changes, Diffs};
use crate::group::{Keys, RowOrder, RowsOf, align, filtered, group, replacement, too_often};
use crate::hash::KeyRange;
use crate::keyed::KeyedRows;
use crate::operator::{Bucket, Buckets, Emit, Operator, Pieces, StepContext};

/// A batch of the output is emitted when it holds so many rows: few enough for the cache, many enough that what is done
/// once a batch costs nothing.
const BATCH_ROWS: usize = if cfg!(test) { 16 } else { 16 * 1024 };

/// Joins the rows of two tables.
pub struct Join {
    mode: JoinMode,
    id: Option<Side>,
    key_names: Vec<Vec<String>>,
    origin: Origin,
    tables: [Table; 2],
    counts: Option<Arrangement>,
}

/// A side of the join.
struct Table {
    row: Vec<usize>,
    rows: Arrangement,
}

/// The rows of one side for the keys of a bucket.
struct SideRows {
    /// The rows, those of the state before those of the changes.
    columns: Vec<ArrayRef>,
    /// The rows of the state before the changes: sorted by key and row.
    old: KeyedRows,
    /// The changes, as positions behind those of `old`.
    changes: KeyedRows,
    /// Where the changes start in `columns`.
    shift: u32,
}

/// A row of one side: its position, and how often it was there before the changes and is there after them.
#[derive(Clone, Copy, Debug)]
struct Versioned {
    row: u32,
    old: i64,
    new: i64,
}

/// How many rows of each side the keys of a bucket have.
struct Counts {
    before: [Vec<i64>; 2],
    after: [Vec<i64>; 2],
}

/// Output rows under construction, as positions in the columns of a bucket.
struct Output<'a, 'e> {
    join: &'a Join,
    keys: &'a Keys,
    columns: [&'a [ArrayRef]; 2],
    key: Vec<u32>,
    /// The row of each side; `None` where it is missing.
    rows: [Vec<Option<u32>>; 2],
    diffs: Vec<i64>,
    emit: &'a mut Emit<'e>,
}

impl Join {
    /// An operator without state, for the keys of `range`; `inputs` are the schemas of both ports.
    pub fn new(spec: &JoinSpec, inputs: &[&Schema], range: KeyRange) -> Self {
        let key: Vec<usize> = (0..spec.key).collect();
        let table = |side: Side| {
            let input = inputs[side as usize];
            let row: Vec<usize> = (spec.key..input.len()).collect();
            let rows = arrangement(input, &key, types_of(input, &row), range);
            Table { row, rows }
        };
        let keeps = Side::BOTH.into_iter().any(|side| spec.mode.keeps(side));
        // Keys of both sides are in it, so each may be null that is so on one side.
        let columns = key.iter().map(|&c| {
            let [left, right] = [0, 1].map(|side| inputs[side].columns()[c].ty);
            (inputs[0].columns()[c].name.clone(), left.common(right).unwrap_or(left))
        });
        let counted = Schema::new(columns);
        let counts = || arrangement(&counted, &key, vec![Type::Int.required(); 2], range);
        Join {
            mode: spec.mode,
            id: spec.id,
            key_names: inputs.iter().map(|input| names_of(input, &key)).collect(),
            origin: spec.origin.clone(),
            tables: Side::BOTH.map(table),
            counts: (keeps || spec.id.is_some()).then(counts),
        }
    }

    /// What each side changes by in a bucket, and the keys.
    fn changes(&self, mut bucket: Bucket) -> Result<(Keys, [KeyedRows; 2])> {
        let mut of_side = |side: Side| {
            let table = &self.tables[side as usize];
            match bucket.take(side as usize) {
                Some(changes) => group(&changes, &table.row, RowOrder::Consolidated),
                None => Ok(table.rows.no_rows()),
            }
        };
        let changes = [of_side(Side::Left)?, of_side(Side::Right)?];
        for (side, changes) in Side::BOTH.into_iter().zip(&changes) {
            self.check_removals(side, changes)?;
        }
        let (keys, changes) = align(changes.into());
        let Ok(changes) = <[KeyedRows; 2]>::try_from(changes) else { unreachable!("two tables stay two") };
        Ok((keys, changes))
    }

    /// Checks that rows are there before they are removed; reads only these.
    fn check_removals(&self, side: Side, changes: &KeyedRows) -> Result<()> {
        if changes.diffs.insert_only() {
            return Ok(());
        }
        let removed = filtered(changes, |row| changes.diffs.get(row) < 0).without_idle_keys();
        let Diffs::Each(diffs) = &removed.diffs else { unreachable!("some row is removed") };
        let wanted: Vec<i64> = diffs.iter().map(|diff| -diff).collect();
        let found = self.tables[side as usize].rows.lookup_rows(&removed, &wanted)?;
        for (row, place) in found.offsets.windows(2).enumerate() {
            let there = total(&found.diffs, place)?;
            if there < wanted[row] {
                let key = self.show(side, &removed.keys, key_of_row(&removed.offsets, row));
                return Err(never_added(&format!("{key}, in the {} table", side.name())).at(&self.origin));
            }
        }
        Ok(())
    }

    /// A key as its side names it.
    fn show(&self, side: Side, keys: &[ArrayRef], key: usize) -> String {
        show(&self.key_names[side as usize], keys, key)
    }

    /// What a side has of those keys that have changes on the other side, all keys kept.
    fn partners(&self, side: Side, keys: &Keys, others: &KeyedRows) -> Result<KeyedRows> {
        let table = &self.tables[side as usize].rows;
        let none = || KeyedRows {
            hashes: keys.hashes.clone(),
            keys: keys.columns.clone(),
            offsets: vec![0; keys.hashes.len() + 1],
            ..table.no_rows()
        };
        if table.is_empty() {
            return Ok(none());
        }
        let wanted: Vec<bool> = others.offsets.windows(2).map(|pair| pair[0] < pair[1]).collect();
        if wanted.iter().all(|wanted| *wanted) {
            return table.lookup(&keys.hashes, &keys.columns, Select::All);
        }
        let at = (0u32..).zip(&wanted).filter(|(_, wanted)| **wanted).map(|(key, _)| key);
        let at = UInt32Array::from_iter_values(at);
        let hashes: Vec<u64> = at.values().iter().map(|&key| keys.hashes[key as usize]).collect();
        let columns: Vec<ArrayRef> = keys.columns.iter().map(|column| take(column, &at)).collect();
        let found = table.lookup(&hashes, &columns, Select::All)?;
        let mut offsets = Vec::with_capacity(wanted.len() + 1);
        let mut next = 0;
        offsets.push(0);
        for wanted in wanted {
            next += usize::from(wanted);
            offsets.push(found.offsets[next]);
        }
        Ok(KeyedRows { hashes: keys.hashes.clone(), keys: keys.columns.clone(), offsets, ..found })
    }

    /// How many rows the keys have on each side before and after these changes.
    fn counts(&self, counts: &Arrangement, keys: &Keys, changes: &[KeyedRows; 2]) -> Result<Counts> {
        let known = counts.lookup(&keys.hashes, &keys.columns, Select::All)?;
        let count = keys.hashes.len();
        let before: [Vec<i64>; 2] = [0, 1].map(|side| {
            let counts = known.rows.get(side).map_or(&[][..], ints);
            let rows = known.offsets.windows(2);
            rows.map(|pair| if pair[0] < pair[1] { counts[pair[0] as usize] } else { 0 }).collect()
        });
        let mut after = before.clone();
        for (after, changes) in after.iter_mut().zip(changes) {
            for (key, pair) in changes.offsets.windows(2).enumerate() {
                after[key] = after[key].checked_add(total(&changes.diffs, pair)?).ok_or_else(too_often)?;
            }
        }
        debug_assert!(before.iter().chain(&after).all(|counts| counts.len() == count));
        let counts = Counts { before, after };
        self.check_identity(keys, &counts)?;
        Ok(counts)
    }

    /// Checks that a row that gives its identity matches no two rows.
    fn check_identity(&self, keys: &Keys, counts: &Counts) -> Result<()> {
        let Some(side) = self.id else { return Ok(()) };
        let [own, others] = [side, side.other()].map(|side| &counts.after[side as usize]);
        let Some(key) = own.iter().zip(others).position(|(own, others)| *own > 0 && *others > 1) else { return Ok(()) };
        let key = self.show(side, &keys.columns, key);
        let (side, other) = (side.name(), side.other().name());
        let error = format!(
            "two rows of the {other} table match one row of the {side}, whose id the row of the join has: {key}"
        );
        let leave = hint("leave the id out", "leave id= out");
        let hint = format!("{leave}, or let each key be once in the {other} table");
        Err(Error::input(error).with_hint(hint).at(&self.origin))
    }

    /// Emits what the output of a bucket's keys changes by.
    fn apply(&self, keys: &Keys, changes: [KeyedRows; 2], counts: Option<&Counts>, emit: &mut Emit<'_>) -> Result<()> {
        let [left, right] = changes;
        let known = [self.partners(Side::Left, keys, &right)?, self.partners(Side::Right, keys, &left)?];
        let [known_left, known_right] = known;
        self.emit_changes(keys, [SideRows::new(known_left, left), SideRows::new(known_right, right)], counts, emit)
    }

    /// Emits what the output of these keys changes by, of which `sides` are the rows that take part.
    fn emit_changes(
        &self,
        keys: &Keys,
        sides: [SideRows; 2],
        counts: Option<&Counts>,
        emit: &mut Emit<'_>,
    ) -> Result<()> {
        let views = sides.each_ref().map(|side| ColumnView::of_all(&side.columns));
        let mut output = Output::new(self, keys, sides.each_ref().map(|side| side.columns.as_slice()), emit);
        let mut versions: [Vec<Versioned>; 2] = Default::default();
        for key in 0..keys.hashes.len() {
            for ((versions, side), views) in versions.iter_mut().zip(&sides).zip(&views) {
                side.versions(key, views, versions)?;
            }
            output.product(key as u32, &versions)?;
            if let Some(counts) = counts {
                for side in Side::BOTH.into_iter().filter(|side| self.mode.keeps(*side)) {
                    let other = side.other() as usize;
                    let alone = [counts.before[other][key] == 0, counts.after[other][key] == 0];
                    output.alone(key as u32, side, &versions[side as usize], alone)?;
                }
            }
            output.end_key()?;
        }
        output.flush()
    }
}

impl Counts {
    /// What the counts on record change by.
    fn replacement(&self, keys: &Keys) -> Result<KeyedRows> {
        let rows = |counts: &[Vec<i64>; 2]| {
            let (mut offsets, mut columns): (_, [Vec<i64>; 2]) = (vec![0], Default::default());
            for (left, right) in counts[0].iter().zip(&counts[1]) {
                if *left != 0 || *right != 0 {
                    columns[0].push(*left);
                    columns[1].push(*right);
                }
                offsets.push(columns[0].len() as u32);
            }
            let columns = columns.map(|counts| -> ArrayRef { Arc::new(Int64Array::from(counts)) });
            (offsets, columns)
        };
        let (old_offsets, old) = rows(&self.before);
        let (new_offsets, new) = rows(&self.after);
        let old = RowsOf { offsets: &old_offsets, columns: &old };
        replacement(&keys.hashes, &keys.columns, &old, &RowsOf { offsets: &new_offsets, columns: &new })
    }
}

/// How often all rows of a key are there.
fn total(diffs: &Diffs, of_key: &[u32]) -> Result<i64> {
    let sum: i128 = (of_key[0]..of_key[1]).map(|row| i128::from(diffs.get(row as usize))).sum();
    i64::try_from(sum).map_err(|_| too_often())
}

impl SideRows {
    fn new(old: KeyedRows, changes: KeyedRows) -> Self {
        let shift = old.offsets.last().copied().unwrap_or_default();
        let columns = concat(&[&old.rows, &changes.rows]);
        SideRows { columns, old, changes, shift }
    }

    /// The rows of a key, each once, in order. Those of the state are there only if the other side changes.
    fn versions(&self, key: usize, views: &[ColumnView<'_>], out: &mut Vec<Versioned>) -> Result<()> {
        out.clear();
        let of = |rows: &KeyedRows| -> Range<u32> { rows.offsets[key]..rows.offsets[key + 1] };
        let (mut old, mut changes) = (of(&self.old).peekable(), of(&self.changes).peekable());
        loop {
            let order = match (old.peek(), changes.peek()) {
                (None, None) => return Ok(()),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(old), Some(change)) => compare_rows(views, *old as usize, (self.shift + change) as usize),
            };
            let known = if order.is_le() { old.next() } else { None };
            let change = if order.is_ge() { changes.next() } else { None };
            let count = known.map_or(0, |row| self.old.diffs.get(row as usize));
            let diff = change.map_or(0, |row| self.changes.diffs.get(row as usize));
            let row = known.or(change.map(|row| self.shift + row)).expect("one of them has a row");
            out.push(Versioned { row, old: count, new: count.checked_add(diff).ok_or_else(too_often)? });
        }
    }
}

impl Versioned {
    fn changes(&self) -> bool {
        self.old != self.new
    }
}

impl<'a, 'e> Output<'a, 'e> {
    fn new(join: &'a Join, keys: &'a Keys, columns: [&'a [ArrayRef]; 2], emit: &'a mut Emit<'e>) -> Self {
        let (key, rows, diffs) = (Vec::new(), Default::default(), Vec::new());
        Output { join, keys, columns, key, rows, diffs, emit }
    }

    /// Adds what the product of both sides' rows of a key changes by: each pair at most once.
    fn product(&mut self, key: u32, [left, right]: &[Vec<Versioned>; 2]) -> Result<()> {
        let right_changes = right.iter().any(Versioned::changes);
        for left in left {
            // Most rows stay as they are, and meet only what changes on the other side.
            if !left.changes() && !right_changes {
                continue;
            }
            for right in right {
                if left.changes() || right.changes() {
                    let diff = self.times(key, left.new, right.new)? - self.times(key, left.old, right.old)?;
                    self.push(key, Some(left.row), Some(right.row), diff)?;
                }
            }
        }
        Ok(())
    }

    /// Adds what the rows of one side change by that stand alone, which they do before and after the changes or not.
    fn alone(&mut self, key: u32, side: Side, rows: &[Versioned], [before, after]: [bool; 2]) -> Result<()> {
        for version in rows.iter().filter(|_| before || after) {
            let diff = if after { version.new } else { 0 } - if before { version.old } else { 0 };
            match side {
                Side::Left => self.push(key, Some(version.row), None, diff)?,
                Side::Right => self.push(key, None, Some(version.row), diff)?,
            }
        }
        Ok(())
    }

    fn times(&self, key: u32, left: i64, right: i64) -> Result<i64> {
        // Half of the range, so that two of them can be subtracted.
        left.checked_mul(right).filter(|times| *times <= i64::MAX / 2).ok_or_else(|| {
            let key = self.join.show(Side::Left, &self.keys.columns, key as usize);
            let error = Error::input(format!("a row of the join would be there more than 2^62 times: {key}"));
            error.at(&self.join.origin)
        })
    }

    #[inline]
    fn push(&mut self, key: u32, left: Option<u32>, right: Option<u32>, diff: i64) -> Result<()> {
        if diff == 0 {
            return Ok(());
        }
        self.key.push(key);
        self.rows[0].push(left);
        self.rows[1].push(right);
        self.diffs.push(diff);
        if self.diffs.len() >= 4 * BATCH_ROWS { self.flush() } else { Ok(()) }
    }

    /// All changes of a key were added. They stay together unless they are many.
    fn end_key(&mut self) -> Result<()> {
        if self.diffs.len() >= BATCH_ROWS { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        if self.diffs.is_empty() {
            return Ok(());
        }
        let rows = self.diffs.len();
        let key = UInt32Array::from(std::mem::take(&mut self.key));
        let mut columns: Vec<ArrayRef> = self.keys.columns.iter().map(|column| take(column, &key)).collect();
        let sides = std::mem::take(&mut self.rows);
        for side in Side::BOTH.into_iter().filter(|side| self.join.mode.keeps(side.other())) {
            let there = sides[side as usize].iter().map(|row| Some(row.is_some()));
            columns.push(Arc::new(there.collect::<BooleanArray>()));
        }
        for (side, rows) in Side::BOTH.into_iter().zip(sides) {
            // Nulls in the positions are nulls in the cells.
            let may_miss = self.join.mode.keeps(side.other());
            let positions = match may_miss {
                true => UInt32Array::from(rows),
                false => UInt32Array::from_iter_values(rows.into_iter().flatten()),
            };
            columns.extend(self.columns[side as usize].iter().map(|column| take(column, &positions)));
        }
        let diffs = std::mem::take(&mut self.diffs);
        debug_assert!(columns.iter().all(|column| column.len() == rows));
        (self.emit)(Changes::new(columns, diffs.into()))
    }
}

impl Instantiate for JoinSpec {
    fn instantiate(&self, inputs: &[&Schema], range: KeyRange) -> Box<dyn Operator> {
        Box::new(Join::new(self, inputs, range))
    }
}

impl Operator for Join {
    fn open(&mut self, mut saved: Vec<(String, SavedArrangement)>) -> Result<()> {
        self.arrangements().into_iter().try_for_each(|(name, arrangement)| open(&mut saved, name, arrangement))
    }

    fn step(&mut self, _: &StepContext, input: &mut dyn Buckets, emit: &mut Emit<'_>) -> Result<()> {
        let mut builders = self.tables.each_ref().map(|table| table.rows.builder());
        let mut counts_builder = self.counts.as_ref().map(Arrangement::builder);
        while let Some(bucket) = input.next()? {
            let (keys, changes) = self.changes(bucket)?;
            let counts = self.counts.as_ref().map(|counts| self.counts(counts, &keys, &changes)).transpose()?;
            for (builder, changes) in builders.iter_mut().zip(&changes) {
                builder.append(&changes.clone().without_idle_keys());
            }
            if let (Some(builder), Some(counts)) = (&mut counts_builder, &counts) {
                builder.append(&counts.replacement(&keys)?);
            }
            self.apply(&keys, changes, counts.as_ref(), emit)?;
        }
        for (table, builder) in self.tables.iter_mut().zip(builders) {
            insert(&mut table.rows, builder.finish()?)?;
        }
        match (&mut self.counts, counts_builder) {
            (Some(counts), Some(builder)) => insert(counts, builder.finish()?),
            _ => Ok(()),
        }
    }

    fn snapshot(&self, emit: &mut Emit<'_>) -> Result<()> {
        // All is as if it came now: the rows of the left side with what they match, then those of the right that stand alone.
        self.tables[0].rows.scan(&mut |rows| {
            let keys = Keys { hashes: rows.hashes.clone(), columns: rows.keys.clone() };
            let right = self.partners(Side::Right, &keys, &rows)?;
            self.present(&keys, [rows, right], emit)
        })?;
        if !self.mode.keeps(Side::Right) {
            return Ok(());
        }
        self.tables[1].rows.scan(&mut |rows| {
            let keys = Keys { hashes: rows.hashes.clone(), columns: rows.keys.clone() };
            let left = self.partners(Side::Left, &keys, &rows)?;
            let alone: Vec<bool> = left.offsets.windows(2).map(|pair| pair[0] == pair[1]).collect();
            let rows = rows.of_keys(&alone);
            let keys = Keys { hashes: rows.hashes.clone(), columns: rows.keys.clone() };
            let none = KeyedRows {
                hashes: keys.hashes.clone(),
                keys: keys.columns.clone(),
                offsets: vec![0; keys.hashes.len() + 1],
                ..self.tables[0].rows.no_rows()
            };
            self.present(&keys, [none, rows], emit)
        })
    }

    fn arrangements(&mut self) -> Vec<(&'static str, &mut Arrangement)> {
        let [left, right] = &mut self.tables;
        let counts = self.counts.as_mut().map(|counts| ("counts", counts));
        [("left", &mut left.rows), ("right", &mut right.rows)].into_iter().chain(counts).collect()
    }

    fn pieces(&self) -> Pieces {
        // A row that stands alone in one step may have a partner in the next.
        Pieces { scatters: Side::BOTH.iter().all(|side| !self.mode.keeps(*side)), ..Pieces::default() }
    }
}

impl Join {
    /// Emits the output of some keys, of which these are all rows.
    fn present(&self, keys: &Keys, rows: [KeyedRows; 2], emit: &mut Emit<'_>) -> Result<()> {
        let empty = |rows: &KeyedRows| KeyedRows {
            offsets: vec![0; rows.offsets.len()],
            rows: rows.rows.iter().map(|column| column.slice(0, 0)).collect(),
            diffs: Diffs::Ones,
            ..rows.clone()
        };
        let count =
            |rows: &KeyedRows| rows.offsets.windows(2).map(|pair| total(&rows.diffs, pair)).collect::<Result<_>>();
        let after = [count(&rows[0])?, count(&rows[1])?];
        let counts = Counts { before: [(); 2].map(|()| vec![0; keys.hashes.len()]), after };
        self.emit_changes(keys, rows.map(|rows| SideRows::new(empty(&rows), rows)), Some(&counts), emit)
    }
}
