//! Changes brought together by key: the numbers of their keys are known, a counting scatter places the rows, and only
//! keys whose rows are not in order already are sorted.

use std::cmp::Ordering;

use arrow_array::{ArrayRef, UInt32Array};
use millpond_columns::view::{ColumnView, Values, compare_rows, concat, ints_like, required_ints, take};
use millpond_error::{Error, Result};

use crate::changes::Diffs;
use crate::keyed::{KeyedChanges, KeyedRows};

/// How [`group`] leaves the rows of each key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowOrder {
    /// As they came.
    Arrival,
    /// Ascending by the first row column, which must exist; equal ones in any order, nothing consolidated.
    FirstColumn,
    /// Sorted by all row columns and consolidated; a key whose rows all cancel is dropped.
    Consolidated,
}

/// The rows of `input` by key. `row` are the positions of the row columns to keep.
///
/// # Errors
/// `Input`, if a row is added or removed more than 2^63 times.
pub fn group(input: &KeyedChanges, row: &[usize], order: RowOrder) -> Result<KeyedRows> {
    let rows: Vec<ArrayRef> = row.iter().map(|&c| input.column(c)).collect();
    let mut starts = vec![0u32; input.hashes.len()];
    for &number in &input.key_of_row {
        starts[number as usize] += 1;
    }
    let mut ranks: Vec<(u64, u32)> = input.hashes.iter().copied().zip(0..).collect();
    let keys = ColumnView::of_all(&input.keys);
    ranks.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| compare_rows(&keys, a.1 as usize, b.1 as usize)));

    let mut offsets = Vec::with_capacity(ranks.len() + 1);
    let mut end = 0;
    offsets.push(0);
    for &(_, number) in &ranks {
        let count = std::mem::replace(&mut starts[number as usize], end);
        end += count;
        offsets.push(end);
    }
    let hashes = ranks.iter().map(|&(hash, _)| hash).collect();
    let at = UInt32Array::from_iter_values(ranks.iter().map(|&(_, number)| number));
    let keys = input.keys.iter().map(|column| take(column, &at)).collect();

    if order != RowOrder::Arrival
        && matches!(input.diffs, Diffs::Ones)
        && let Some(columns) = all_ints(&rows)
    {
        let (mut placed, equal_in) = place_ints(&columns, &input.key_of_row, &starts, &offsets);
        let diffs = match order == RowOrder::Consolidated {
            true => count_equal(&mut placed, &equal_in, &mut offsets),
            false => Diffs::Ones,
        };
        let rows = rows.iter().zip(placed).map(|(column, ints)| ints_like(column, ints)).collect();
        return Ok(KeyedRows { hashes, keys, offsets, rows, diffs });
    }

    // Rows without a column and with one diff for all look the same wherever they are placed.
    let positions = if rows.is_empty() && matches!(input.diffs, Diffs::Ones) {
        Positions::InOrder
    } else {
        Positions::At(place(0.., &input.key_of_row, starts))
    };
    let placed = Placed { hashes, keys, offsets, positions, columns: &rows, diffs: &input.diffs, sums: None };
    placed.into_rows(order)
}

/// The values of these columns, if there is one at least and all are integers without nulls.
fn all_ints(columns: &[ArrayRef]) -> Option<Vec<&[i64]>> {
    columns.iter().map(required_ints).collect::<Option<Vec<_>>>().filter(|ints| !ints.is_empty())
}

/// Brings rows of integers to their keys and sorts those of each key, without a look at positions where they are in
/// order. `starts` is where the rows of each number start, `offsets` where those of each key start. Returns the columns
/// and the keys that have equal rows.
fn place_ints(columns: &[&[i64]], key_of_row: &[u32], starts: &[u32], offsets: &[u32]) -> (Vec<Vec<i64>>, Vec<u32>) {
    let mut placed: Vec<Vec<i64>> =
        columns.iter().map(|ints| place(ints.iter().copied(), key_of_row, starts.to_vec())).collect();
    let (sort_prefix, others) = placed.split_first_mut().expect("a row has a column");
    let mut equal_in = Vec::new();
    let (mut order, mut moved): (Vec<(i64, u32)>, Vec<i64>) = Default::default();
    for (key, pair) in (0u32..).zip(offsets.windows(2)) {
        let of_key = pair[0] as usize..pair[1] as usize;
        let sort_prefix = &mut sort_prefix[of_key.clone()];
        if sort_prefix.is_sorted_by(|a, b| a < b) {
            continue;
        }
        let has_equal = if others.is_empty() {
            sort_nearly(sort_prefix, i64::cmp);
            sort_prefix.windows(2).any(|pair| pair[0] == pair[1])
        } else {
            order.clear();
            order.extend(sort_prefix.iter().copied().zip(pair[0]..));
            let differ = |i: u32, j: u32| others.iter().map(move |ints| ints[i as usize].cmp(&ints[j as usize]));
            let compare = |a: &(i64, u32), b: &(i64, u32)| {
                a.0.cmp(&b.0).then_with(|| differ(a.1, b.1).find(|order| order.is_ne()).unwrap_or(Ordering::Equal))
            };
            sort_nearly(&mut order, compare);
            let has_equal = order.windows(2).any(|pair| compare(&pair[0], &pair[1]).is_eq());
            sort_prefix.iter_mut().zip(&order).for_each(|(to, (value, _))| *to = *value);
            for ints in others.iter_mut() {
                moved.clear();
                moved.extend(order.iter().map(|&(_, row)| ints[row as usize]));
                ints[of_key.clone()].copy_from_slice(&moved);
            }
            has_equal
        };
        if has_equal {
            equal_in.push(key);
        }
    }
    (placed, equal_in)
}

/// Leaves one of equal rows, which stand side by side in the keys `equal_in`; returns how many each was.
fn count_equal(columns: &mut [Vec<i64>], equal_in: &[u32], offsets: &mut [u32]) -> Diffs {
    if equal_in.is_empty() {
        return Diffs::Ones;
    }
    let mut diffs = vec![1; columns[0].len()];
    let mut equal_in = equal_in.iter().copied().peekable();
    let (mut start, mut kept) = (0, 0);
    for (key, end) in (0u32..).zip(&mut offsets[1..]) {
        let (rows, first) = (start..*end as usize, kept);
        start = rows.end;
        if equal_in.next_if_eq(&key).is_none() {
            if kept < rows.start {
                columns.iter_mut().for_each(|ints| ints.copy_within(rows.clone(), kept));
            }
            kept += rows.len();
        } else {
            for row in rows {
                if kept > first && columns.iter().all(|ints| ints[row] == ints[kept - 1]) {
                    diffs[kept - 1] += 1;
                } else {
                    columns.iter_mut().for_each(|ints| ints[kept] = ints[row]);
                    kept += 1;
                }
            }
        }
        *end = kept as u32;
    }
    columns.iter_mut().for_each(|ints| ints.truncate(kept));
    diffs.truncate(kept);
    Diffs::Each(diffs.into())
}

/// The values of the rows, key by key; `next` is where the rows of each number start.
fn place<T: Copy + Default>(values: impl Iterator<Item = T>, key_of_row: &[u32], mut next: Vec<u32>) -> Vec<T> {
    let mut placed = vec![T::default(); key_of_row.len()];
    for (value, &number) in values.zip(key_of_row) {
        let place = &mut next[number as usize];
        placed[*place as usize] = value;
        *place += 1;
    }
    placed
}

/// `rows`, sorted and consolidated; keys without a row are dropped.
///
/// # Errors
/// As for [`group`].
pub fn consolidated(rows: KeyedRows) -> Result<KeyedRows> {
    let KeyedRows { hashes, keys, offsets, rows, diffs } = rows;
    Placed { hashes, keys, offsets, positions: Positions::InOrder, columns: &rows, diffs: &diffs, sums: None }
        .into_rows(RowOrder::Consolidated)
}

/// `rows`, sorted and consolidated, with every key kept even if no row is left.
pub(crate) fn sorted(rows: KeyedRows) -> Result<KeyedRows> {
    let KeyedRows { hashes, keys, offsets, rows, diffs } = rows;
    let positions = Positions::InOrder;
    let mut placed = Placed { hashes, keys, offsets, positions, columns: &rows, diffs: &diffs, sums: None };
    let first = placed.consolidate()?;
    Ok(placed.gather(first))
}

/// The rows of which `keep` holds, and every key.
pub(crate) fn filtered(rows: &KeyedRows, keep: impl Fn(usize) -> bool) -> KeyedRows {
    let mut kept: Vec<u32> = Vec::new();
    let mut offsets = Vec::with_capacity(rows.offsets.len());
    offsets.push(0);
    for pair in rows.offsets.windows(2) {
        kept.extend((pair[0]..pair[1]).filter(|&row| keep(row as usize)));
        offsets.push(kept.len() as u32);
    }
    let diffs = match &rows.diffs {
        Diffs::Ones => Diffs::Ones,
        Diffs::Each(diffs) => Diffs::Each(kept.iter().map(|&row| diffs[row as usize]).collect()),
    };
    let kept = UInt32Array::from(kept);
    let columns = rows.rows.iter().map(|column| take(column, &kept)).collect();
    KeyedRows { hashes: rows.hashes.clone(), keys: rows.keys.clone(), offsets, rows: columns, diffs }
}

/// Rows of some keys: `offsets` into `columns`, one longer than there are keys.
pub struct RowsOf<'a> {
    /// Where the rows of each key start.
    pub offsets: &'a [u32],
    /// The row columns.
    pub columns: &'a [ArrayRef],
}

/// The changes that replace the rows `old` by the rows `new` of the same keys: sorted, consolidated, without the keys
/// that stay as they are.
///
/// # Errors
/// As for [`group`].
pub fn replacement(hashes: &[u64], keys: &[ArrayRef], old: &RowsOf<'_>, new: &RowsOf<'_>) -> Result<KeyedRows> {
    let old_rows = old.offsets.last().map_or(0, |&end| end);
    let new_rows = new.offsets.last().map_or(0, |&end| end);
    if old_rows == 0 {
        let rows = new.columns.to_vec();
        let (hashes, keys, offsets) = (hashes.to_vec(), keys.to_vec(), new.offsets.to_vec());
        return consolidated(KeyedRows { hashes, keys, offsets, rows, diffs: Diffs::Ones });
    }
    let columns = concat(&[old.columns, new.columns]);
    let mut diffs = vec![-1i64; old_rows as usize];
    diffs.resize((old_rows + new_rows) as usize, 1);
    let mut positions = Vec::with_capacity(diffs.len());
    let mut offsets = Vec::with_capacity(hashes.len() + 1);
    offsets.push(0);
    for k in 0..hashes.len() {
        positions.extend(old.offsets[k]..old.offsets[k + 1]);
        positions.extend(old_rows + new.offsets[k]..old_rows + new.offsets[k + 1]);
        offsets.push(positions.len() as u32);
    }
    Placed {
        hashes: hashes.to_vec(),
        keys: keys.to_vec(),
        offsets,
        positions: Positions::At(positions),
        columns: &columns,
        diffs: &Diffs::Each(diffs.into()),
        sums: None,
    }
    .into_rows(RowOrder::Consolidated)
}

/// The rows of both, which have the same keys: consolidated, and every key kept even if no row is left.
pub(crate) fn sum_by_key(left: &KeyedRows, right: &KeyedRows) -> Result<KeyedRows> {
    debug_assert_eq!(left.hashes.len(), right.hashes.len());
    let columns = concat(&[&left.rows, &right.rows]);
    let shift = left.offsets.last().map_or(0, |&end| end);
    let total = (shift + right.offsets.last().map_or(0, |&end| end)) as usize;
    let mut positions = Vec::with_capacity(total);
    let mut offsets = Vec::with_capacity(left.offsets.len());
    offsets.push(0);
    for k in 0..left.hashes.len() {
        positions.extend(left.offsets[k]..left.offsets[k + 1]);
        positions.extend(shift + right.offsets[k]..shift + right.offsets[k + 1]);
        offsets.push(positions.len() as u32);
    }
    let diffs = (0..shift).map(|i| left.diffs.get(i as usize));
    let diffs = diffs.chain((0..total as u32 - shift).map(|i| right.diffs.get(i as usize)));
    let diffs = Diffs::Each(diffs.collect());
    let mut placed = Placed {
        hashes: left.hashes.clone(),
        keys: left.keys.clone(),
        offsets,
        positions: Positions::At(positions),
        columns: &columns,
        diffs: &diffs,
        sums: None,
    };
    let first = placed.consolidate()?;
    Ok(placed.gather(first))
}

/// Keys in order of (hash, key columns), each once.
#[derive(Clone, Debug)]
pub struct Keys {
    /// The hash of each key, ascending.
    pub hashes: Vec<u64>,
    /// The key columns, as long as `hashes`.
    pub columns: Vec<ArrayRef>,
}

/// The keys that any of these tables has, and the tables with all of them: a key that one had not has no row in it.
pub fn align(mut tables: Vec<KeyedRows>) -> (Keys, Vec<KeyedRows>) {
    let parts: Vec<&[ArrayRef]> = tables.iter().map(|table| table.keys.as_slice()).collect();
    let columns = concat(&parts);
    let mut shifts = Vec::with_capacity(tables.len());
    let mut hashes = Vec::with_capacity(tables.iter().map(|table| table.hashes.len()).sum());
    for table in &tables {
        shifts.push(hashes.len());
        hashes.extend_from_slice(&table.hashes);
    }
    let views = ColumnView::of_all(&columns);
    let compare = |a: &u32, b: &u32| {
        let (a, b) = (*a as usize, *b as usize);
        hashes[a].cmp(&hashes[b]).then_with(|| compare_rows(&views, a, b))
    };
    // The keys of each table are in order already.
    let mut ranks: Vec<u32> = (0..hashes.len() as u32).collect();
    ranks.sort_by(compare);
    let firsts: Vec<u32> = ranks.chunk_by(|a, b| compare(a, b).is_eq()).map(|equal| equal[0]).collect();
    if tables.iter().any(|table| table.hashes.len() != firsts.len()) {
        for (table, shift) in tables.iter_mut().zip(shifts) {
            let own = shift..shift + table.hashes.len();
            let mut key = 0;
            let mut offsets = Vec::with_capacity(firsts.len() + 1);
            offsets.push(0);
            for equal in ranks.chunk_by(|a, b| compare(a, b).is_eq()) {
                key += usize::from(equal.iter().any(|rank| own.contains(&(*rank as usize))));
                offsets.push(table.offsets[key]);
            }
            table.offsets = offsets;
        }
    }
    let at = UInt32Array::from(firsts);
    let keys = Keys {
        hashes: at.values().iter().map(|&rank| hashes[rank as usize]).collect(),
        columns: columns.iter().map(|column| take(column, &at)).collect(),
    };
    for table in &mut tables {
        table.hashes.clone_from(&keys.hashes);
        table.keys.clone_from(&keys.columns);
    }
    (keys, tables)
}

/// Where the rows of the groups stand in their columns.
enum Positions {
    /// The first row first, and so on.
    InOrder,
    At(Vec<u32>),
}

/// Rows placed by key, in columns that hold them in some other order. `offsets` count positions.
struct Placed<'a> {
    hashes: Vec<u64>,
    keys: Vec<ArrayRef>,
    offsets: Vec<u32>,
    positions: Positions,
    columns: &'a [ArrayRef],
    diffs: &'a Diffs,
    /// The diff at each position, once equal rows were added up.
    sums: Option<Vec<i64>>,
}

/// What [`Placed::sort`] found.
struct Sorted {
    /// The keys that have equal rows, ascending.
    equal_in: Vec<u32>,
    /// The sort prefixes of the first column in the new order.
    sort_prefix: Vec<i64>,
    /// Whether these are the column: it is required and stored as integers.
    is_first: bool,
}

impl Sorted {
    /// The first column in the new order, if the sort prefixes are it.
    fn first(self) -> Option<Vec<i64>> {
        self.is_first.then_some(self.sort_prefix)
    }
}

/// Sorts rows, which likely are nearly in order: those of two threads that read one file by turns. Returns whether they
/// were in order.
fn sort_nearly<T: Copy>(rows: &mut [T], compare: impl Fn(&T, &T) -> Ordering) -> bool {
    let mut moves = 8 * rows.len();
    let mut in_order = true;
    for i in 1..rows.len() {
        let row = rows[i];
        let mut to = i;
        while to > 0 && compare(&row, &rows[to - 1]).is_lt() {
            rows[to] = rows[to - 1];
            to -= 1;
        }
        rows[to] = row;
        in_order &= to == i;
        moves = moves.saturating_sub(i - to);
        if moves == 0 {
            rows.sort_unstable_by(compare);
            break;
        }
    }
    in_order
}

impl Placed<'_> {
    /// The rows in this order, and the keys that have one.
    fn into_rows(mut self, order: RowOrder) -> Result<KeyedRows> {
        let first = match order {
            RowOrder::Arrival => None,
            RowOrder::FirstColumn => self.sort(false).first(),
            RowOrder::Consolidated => self.consolidate()?,
        };
        let rows = self.gather(first);
        Ok(if order == RowOrder::Consolidated { without_empty_keys(rows) } else { rows })
    }

    /// Sorts and consolidates the rows; returns the first column in the new order if it is known.
    fn consolidate(&mut self) -> Result<Option<Vec<i64>>> {
        let mut sorted = self.sort(true);
        if !sorted.equal_in.is_empty() {
            self.add_up(&sorted.equal_in, &mut sorted.sort_prefix)?;
        }
        Ok(sorted.first())
    }

    /// Sorts the rows of each key that are not in order, by the first column or (`all`) by all.
    fn sort(&mut self, all: bool) -> Sorted {
        let rows = self.offsets.last().map_or(0, |&end| end) as usize;
        if self.columns.is_empty() {
            let several = |&key: &u32| self.offsets[key as usize + 1] - self.offsets[key as usize] > 1;
            let equal_in = (0..self.hashes.len() as u32).filter(|key| all && several(key)).collect();
            return Sorted { equal_in, sort_prefix: vec![0; rows], is_first: false };
        };
        let cells = ColumnView::of_all(self.columns);
        let exact = cells[0].prefix_is_total();
        // What the prefixes leave open.
        let ties: &[ColumnView<'_>] = match (all, exact) {
            (true, true) => &cells[1..],
            (true, false) => &cells,
            (false, true) => &[],
            (false, false) => &cells[..1],
        };
        let positions = match &self.positions {
            Positions::InOrder => None,
            Positions::At(positions) => Some(positions.as_slice()),
        };
        let mut sort_prefix = cells[0].sort_prefix(positions, rows);
        let mut moved: Option<Vec<u32>> = None;
        let mut scratch: Vec<(i64, u32)> = Vec::new();
        let mut equal_in = Vec::new();
        let compare =
            |a: &(i64, u32), b: &(i64, u32)| a.0.cmp(&b.0).then_with(|| compare_rows(ties, a.1 as usize, b.1 as usize));
        for (key, pair) in (0u32..).zip(self.offsets.windows(2)) {
            let (start, end) = (pair[0] as usize, pair[1] as usize);
            if sort_prefix[start..end].is_sorted_by(|a, b| a < b) {
                continue;
            }
            let at = |i: usize| positions.map_or(i as u32, |positions| positions[i]);
            scratch.clear();
            scratch.extend((start..end).map(|i| (sort_prefix[i], at(i))));
            let in_order = sort_nearly(&mut scratch, compare);
            if scratch.windows(2).any(|pair| compare(&pair[0], &pair[1]).is_eq()) {
                equal_in.push(key);
            }
            if in_order {
                continue;
            }
            let moved = moved.get_or_insert_with(|| match positions {
                None => (0..rows as u32).collect(),
                Some(positions) => positions.to_vec(),
            });
            for (i, &(value, position)) in (start..end).zip(&scratch) {
                sort_prefix[i] = value;
                moved[i] = position;
            }
        }
        if let Some(moved) = moved {
            self.positions = Positions::At(moved);
        }
        Sorted { equal_in, sort_prefix, is_first: exact && matches!(cells[0].values, Values::Int(_)) }
    }

    /// Adds up the diffs of equal neighbours of the keys `equal_in` and drops rows whose diffs cancel, and their
    /// prefixes. The rows are sorted.
    fn add_up(&mut self, equal_in: &[u32], sort_prefix: &mut Vec<i64>) -> Result<()> {
        let cells = ColumnView::of_all(self.columns);
        let at = |i: usize| match &self.positions {
            Positions::InOrder => i,
            Positions::At(positions) => positions[i] as usize,
        };
        let mut positions: Vec<u32> = Vec::with_capacity(sort_prefix.len());
        let mut diffs: Vec<i64> = Vec::with_capacity(sort_prefix.len());
        let mut offsets = Vec::with_capacity(self.offsets.len());
        let mut equal_in = equal_in.iter().copied().peekable();
        offsets.push(0);
        for (key, pair) in (0u32..).zip(self.offsets.windows(2)) {
            let (mut i, end) = (pair[0] as usize, pair[1] as usize);
            if equal_in.next_if_eq(&key).is_none() {
                sort_prefix.copy_within(i..end, positions.len());
                positions.extend((i..end).map(|i| at(i) as u32));
                diffs.extend((i..end).map(|i| self.diffs.get(at(i))));
                i = end;
            }
            while i < end {
                let (row, number) = (at(i), sort_prefix[i]);
                let mut diff = self.diffs.get(row);
                i += 1;
                while i < end && sort_prefix[i] == number && compare_rows(&cells, row, at(i)).is_eq() {
                    diff = diff.checked_add(self.diffs.get(at(i))).ok_or_else(too_often)?;
                    i += 1;
                }
                if diff != 0 {
                    sort_prefix[positions.len()] = number;
                    positions.push(row as u32);
                    diffs.push(diff);
                }
            }
            offsets.push(positions.len() as u32);
        }
        sort_prefix.truncate(positions.len());
        self.positions = Positions::At(positions);
        self.offsets = offsets;
        self.sums = Some(diffs);
        Ok(())
    }

    /// Copies the rows to where they are placed. `first` is the first column, if it was copied already.
    fn gather(self, first: Option<Vec<i64>>) -> KeyedRows {
        let Placed { hashes, keys, offsets, positions, columns, diffs, sums } = self;
        let Positions::At(positions) = positions else {
            return KeyedRows { hashes, keys, offsets, rows: columns.to_vec(), diffs: diffs.clone() };
        };
        let diffs = match (sums, diffs) {
            (Some(sums), _) if sums.iter().all(|diff| *diff == 1) => Diffs::Ones,
            (Some(sums), _) => Diffs::Each(sums.into()),
            (None, Diffs::Ones) => Diffs::Ones,
            (None, Diffs::Each(diffs)) => Diffs::Each(positions.iter().map(|&i| diffs[i as usize]).collect()),
        };
        let positions = UInt32Array::from(positions);
        let mut rows: Vec<ArrayRef> = Vec::with_capacity(columns.len());
        if let Some(first) = first {
            rows.push(ints_like(&columns[0], first));
        }
        rows.extend(columns[rows.len()..].iter().map(|column| take(column, &positions)));
        KeyedRows { hashes, keys, offsets, rows, diffs }
    }
}

/// The error for a row whose multiplicity leaves 64 bits.
pub(crate) fn too_often() -> Error {
    Error::input("a row is there more than 2^63 times")
}

/// `rows` without the keys that have no row.
fn without_empty_keys(rows: KeyedRows) -> KeyedRows {
    if rows.offsets.windows(2).all(|pair| pair[0] < pair[1]) {
        return rows;
    }
    let KeyedRows { hashes, keys, offsets, rows, diffs } = rows;
    let kept = (0..hashes.len() as u32).filter(|&k| offsets[k as usize] < offsets[k as usize + 1]);
    let kept = UInt32Array::from_iter_values(kept);
    let starts = kept.values().iter().map(|&k| offsets[k as usize]);
    KeyedRows {
        hashes: kept.values().iter().map(|&k| hashes[k as usize]).collect(),
        keys: keys.iter().map(|column| take(column, &kept)).collect(),
        offsets: starts.chain(offsets.last().copied()).collect(),
        rows,
        diffs,
    }
}
