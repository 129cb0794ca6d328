//! Changes brought together by key: a hash table numbers the groups, a counting scatter places the rows, and only
//! groups whose rows are not in order already are sorted.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, Float64Array, UInt32Array};
use arrow_schema::DataType;

use crate::cells::{Cells, Text, Values, compare_rows, concat, ints_like, take};
use crate::changes::Diffs;
use crate::hash::canonical_float;
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

/// The rows of `input` by key. `key` and `row` are the positions of the key columns and of the row columns to keep.
///
/// Float keys are brought to one zero and one NaN, as their hash takes them to be. Keys that merely share a hash stay
/// apart.
pub fn group(input: &KeyedChanges, key: &[usize], row: &[usize], order: RowOrder) -> KeyedRows {
    let changes = &input.changes;
    let keys: Vec<ArrayRef> = key.iter().map(|&c| canonical(&changes.columns[c])).collect();
    let rows: Vec<ArrayRef> = row.iter().map(|&c| changes.columns[c].clone()).collect();
    let groups = number(&input.hashes, &keys);

    let mut starts = vec![0u32; groups.firsts.len()];
    for &group in &groups.of_row {
        starts[group as usize] += 1;
    }
    let mut ranks: Vec<(u64, u32)> =
        (0..).zip(&groups.firsts).map(|(g, &row)| (input.hashes[row as usize], g)).collect();
    let key_cells = Cells::of_all(&keys);
    let first = |group: u32| groups.firsts[group as usize] as usize;
    ranks.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| compare_rows(&key_cells, first(a.1), first(b.1))));

    let mut offsets = Vec::with_capacity(ranks.len() + 1);
    let mut end = 0;
    offsets.push(0);
    for &(_, group) in &ranks {
        let count = std::mem::replace(&mut starts[group as usize], end);
        end += count;
        offsets.push(end);
    }
    let hashes = ranks.iter().map(|&(hash, _)| hash).collect();
    let at = UInt32Array::from_iter_values(ranks.iter().map(|&(_, group)| groups.firsts[group as usize]));
    let keys = keys.iter().map(|column| take(column, &at)).collect();

    // Rows without a column and with one diff for all look the same wherever they are placed.
    let positions = if rows.is_empty() && matches!(changes.diffs, Diffs::Ones) {
        Positions::InOrder
    } else {
        Positions::At(scatter(&groups.of_row, starts))
    };
    let placed = Placed { hashes, keys, offsets, positions, columns: &rows, diffs: &changes.diffs, sums: None };
    placed.into_rows(order)
}

/// `rows`, sorted and consolidated; keys without a row are dropped.
pub fn consolidated(rows: KeyedRows) -> KeyedRows {
    let KeyedRows { hashes, keys, offsets, rows, diffs } = rows;
    Placed { hashes, keys, offsets, positions: Positions::InOrder, columns: &rows, diffs: &diffs, sums: None }
        .into_rows(RowOrder::Consolidated)
}

/// `rows`, sorted and consolidated, with every key kept even if no row is left.
pub(crate) fn sorted(rows: KeyedRows) -> KeyedRows {
    let KeyedRows { hashes, keys, offsets, rows, diffs } = rows;
    let positions = Positions::InOrder;
    let mut placed = Placed { hashes, keys, offsets, positions, columns: &rows, diffs: &diffs, sums: None };
    let first = placed.consolidate();
    placed.gather(first)
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
pub fn replacement(hashes: &[u64], keys: &[ArrayRef], old: &RowsOf<'_>, new: &RowsOf<'_>) -> KeyedRows {
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
pub(crate) fn sum_by_key(left: &KeyedRows, right: &KeyedRows) -> KeyedRows {
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
    let first = placed.consolidate();
    placed.gather(first)
}

/// `column` with each cell repeated for the rows of its key.
pub(crate) fn repeat(column: &ArrayRef, offsets: &[u32]) -> ArrayRef {
    let rows = offsets.last().map_or(0, |&end| end) as usize;
    if rows == column.len() && offsets.windows(2).all(|pair| pair[1] - pair[0] == 1) {
        return column.clone();
    }
    let cells = Cells::of(column);
    if let (Values::Int(values), None) = (cells.values, cells.nulls) {
        let mut out = Vec::with_capacity(rows);
        for (k, pair) in offsets.windows(2).enumerate() {
            out.resize(pair[1] as usize, values[k]);
        }
        return ints_like(column, out);
    }
    let mut positions = Vec::with_capacity(rows);
    for (k, pair) in (0u32..).zip(offsets.windows(2)) {
        positions.resize(pair[1] as usize, k);
    }
    take(column, &UInt32Array::from(positions))
}

/// A float column with one zero and one NaN; any other column as it is.
pub(crate) fn canonical(column: &ArrayRef) -> ArrayRef {
    if column.data_type() != &DataType::Float64 {
        return column.clone();
    }
    let floats = column.as_primitive::<Float64Type>();
    if floats.values().iter().all(|v| canonical_float(*v).to_bits() == v.to_bits()) {
        return column.clone();
    }
    Arc::new(Float64Array::new(floats.values().iter().map(|v| canonical_float(*v)).collect(), floats.nulls().cloned()))
}

/// The group of each row, and the first row of each group.
struct Groups {
    of_row: Vec<u32>,
    firsts: Vec<u32>,
}

/// Numbers the distinct keys in the order in which they first appear.
fn number(hashes: &[u64], keys: &[ArrayRef]) -> Groups {
    let groups = number_hashes(hashes);
    let same = keys.iter().all(|column| equal_in_groups(&Cells::of(column), &groups));
    if same { groups } else { number_colliding(hashes, &Cells::of_all(keys)) }
}

/// Numbers distinct hashes, by an open-addressing table with linear probing.
fn number_hashes(hashes: &[u64]) -> Groups {
    const EMPTY: (u64, u32) = (0, u32::MAX);
    let mut of_row = Vec::with_capacity(hashes.len());
    let mut firsts: Vec<u32> = Vec::new();
    let mut slots = vec![EMPTY; 1024.min(hashes.len().next_power_of_two() * 2)];
    let mut mask = slots.len() - 1;
    for (row, &hash) in (0u32..).zip(hashes) {
        // The top bits are alike within a bucket.
        let mut at = hash as usize & mask;
        let group = loop {
            let (found, group) = slots[at];
            if group == u32::MAX {
                let group = firsts.len() as u32;
                slots[at] = (hash, group);
                firsts.push(row);
                break group;
            }
            if found == hash {
                break group;
            }
            at = (at + 1) & mask;
        };
        of_row.push(group);
        if firsts.len() * 2 > slots.len() {
            let old = std::mem::take(&mut slots);
            slots = vec![EMPTY; old.len() * 2];
            mask = slots.len() - 1;
            for slot in old.into_iter().filter(|slot| slot.1 != u32::MAX) {
                let mut at = slot.0 as usize & mask;
                while slots[at].1 != u32::MAX {
                    at = (at + 1) & mask;
                }
                slots[at] = slot;
            }
        }
    }
    Groups { of_row, firsts }
}

/// Whether each cell equals the cell of its group's first row.
fn equal_in_groups(cells: &Cells<'_>, groups: &Groups) -> bool {
    fn all(groups: &Groups, equal: impl Fn(usize, usize) -> bool) -> bool {
        let firsts = &groups.firsts;
        groups.of_row.iter().enumerate().all(|(row, &group)| equal(row, firsts[group as usize] as usize))
    }
    match (cells.values, cells.nulls) {
        (Values::Int(values), None) => all(groups, |i, j| values[i] == values[j]),
        (Values::Str(text), None) => equal_text(text, groups),
        _ => all(groups, |i, j| cells.compare(i, j).is_eq()),
    }
}

/// [`equal_in_groups`] for text: the groups' texts are copied side by side first, so that the cache holds them, and the
/// first 16 bytes are compared as numbers.
fn equal_text(text: Text<'_>, groups: &Groups) -> bool {
    let short = |row: usize| -> (u64, u64, usize) {
        let cell = text.get(row);
        let length = cell.len();
        let (head, tail) = match length {
            8..=16 => (word(cell), word(&cell[length - 8..])),
            _ if text.offsets[row] as usize + 8 <= text.bytes.len() && length < 8 => {
                let padded = word(&text.bytes[text.offsets[row] as usize..]);
                (if length == 0 { 0 } else { padded << (64 - 8 * length as u32) }, 0)
            }
            _ => {
                let mut bytes = [0; 8];
                let kept = length.min(8);
                bytes[8 - kept..].copy_from_slice(&cell[..kept]);
                (u64::from_le_bytes(bytes), 0)
            }
        };
        (head, tail, length)
    };
    let firsts: Vec<(u64, u64, usize)> = groups.firsts.iter().map(|&row| short(row as usize)).collect();
    groups.of_row.iter().enumerate().all(|(row, &group)| {
        let found = short(row);
        let first = groups.firsts[group as usize] as usize;
        found == firsts[group as usize] && (found.2 <= 16 || text.get(row) == text.get(first))
    })
}

/// The first eight bytes as a little-endian number.
fn word(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes[..8].try_into().expect("a slice of eight bytes"))
}

/// The simple twin of [`number_hashes`] for keys that share a hash: sorts the rows by hash and key.
fn number_colliding(hashes: &[u64], keys: &[Cells<'_>]) -> Groups {
    let compare = |a: usize, b: usize| hashes[a].cmp(&hashes[b]).then_with(|| compare_rows(keys, a, b));
    let mut sorted: Vec<u32> = (0..hashes.len() as u32).collect();
    sorted.sort_by(|&a, &b| compare(a as usize, b as usize));
    let mut groups = Groups { of_row: vec![0; hashes.len()], firsts: Vec::new() };
    for (i, &row) in sorted.iter().enumerate() {
        if i == 0 || compare(sorted[i - 1] as usize, row as usize).is_ne() {
            groups.firsts.push(row);
        }
        groups.of_row[row as usize] = groups.firsts.len() as u32 - 1;
    }
    groups
}

/// The rows, group by group; `next` is where each group starts.
fn scatter(of_row: &[u32], mut next: Vec<u32>) -> Vec<u32> {
    let mut positions = vec![0; of_row.len()];
    for (row, &group) in (0u32..).zip(of_row) {
        let at = &mut next[group as usize];
        positions[*at as usize] = row;
        *at += 1;
    }
    positions
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
    equal_rows: bool,
    /// The first column in the new order, if it is a required column that is stored as integers.
    first: Option<Vec<i64>>,
}

impl Placed<'_> {
    /// The rows in this order, and the keys that have one.
    fn into_rows(mut self, order: RowOrder) -> KeyedRows {
        let first = match order {
            RowOrder::Arrival => None,
            RowOrder::FirstColumn => self.sort(false).first,
            RowOrder::Consolidated => self.consolidate(),
        };
        let rows = self.gather(first);
        if order == RowOrder::Consolidated { without_empty_keys(rows) } else { rows }
    }

    /// Sorts and consolidates the rows; returns the first column in the new order as [`Sorted`] does.
    fn consolidate(&mut self) -> Option<Vec<i64>> {
        let sorted = self.sort(true);
        if sorted.equal_rows {
            self.add_up();
            return None;
        }
        sorted.first
    }

    /// Sorts each group that is not in order, by the first column or (`all`) by all.
    fn sort(&mut self, all: bool) -> Sorted {
        if self.columns.is_empty() {
            let equal_rows = all && self.offsets.windows(2).any(|pair| pair[1] - pair[0] > 1);
            return Sorted { equal_rows, first: None };
        };
        let rows = self.offsets.last().map_or(0, |&end| end) as usize;
        let cells = Cells::of_all(self.columns);
        let exact = cells[0].lead_is_exact();
        // What the lead number leaves open.
        let ties: &[Cells<'_>] = match (all, exact) {
            (true, true) => &cells[1..],
            (true, false) => &cells,
            (false, true) => &[],
            (false, false) => &cells[..1],
        };
        let positions = match &self.positions {
            Positions::InOrder => None,
            Positions::At(positions) => Some(positions.as_slice()),
        };
        let mut lead = cells[0].lead(positions, rows);
        let mut moved: Option<Vec<u32>> = None;
        let mut scratch: Vec<(i64, u32)> = Vec::new();
        let mut equal_rows = false;
        for pair in self.offsets.windows(2) {
            let (start, end) = (pair[0] as usize, pair[1] as usize);
            if lead[start..end].is_sorted_by(|a, b| a < b) {
                continue;
            }
            let at = |i: usize| positions.map_or(i as u32, |positions| positions[i]);
            scratch.clear();
            scratch.extend((start..end).map(|i| (lead[i], at(i))));
            let compare = |a: &(i64, u32), b: &(i64, u32)| {
                a.0.cmp(&b.0).then_with(|| compare_rows(ties, a.1 as usize, b.1 as usize))
            };
            let mut in_order = true;
            for neighbours in scratch.windows(2) {
                match compare(&neighbours[0], &neighbours[1]) {
                    Ordering::Less => {}
                    Ordering::Equal => equal_rows = true,
                    Ordering::Greater => {
                        in_order = false;
                        break;
                    }
                }
            }
            if in_order {
                continue;
            }
            scratch.sort_unstable_by(compare);
            equal_rows |= scratch.windows(2).any(|pair| compare(&pair[0], &pair[1]).is_eq());
            let moved = moved.get_or_insert_with(|| match positions {
                None => (0..rows as u32).collect(),
                Some(positions) => positions.to_vec(),
            });
            for (i, &(value, position)) in (start..end).zip(&scratch) {
                lead[i] = value;
                moved[i] = position;
            }
        }
        if let Some(moved) = moved {
            self.positions = Positions::At(moved);
        }
        let is_int = exact && matches!(cells[0].values, Values::Int(_));
        Sorted { equal_rows, first: is_int.then_some(lead) }
    }

    /// Adds up the diffs of equal neighbours and drops rows whose diffs cancel. The rows are sorted.
    fn add_up(&mut self) {
        let cells = Cells::of_all(self.columns);
        let at = |i: usize| match &self.positions {
            Positions::InOrder => i,
            Positions::At(positions) => positions[i] as usize,
        };
        let mut positions: Vec<u32> = Vec::new();
        let mut diffs: Vec<i64> = Vec::new();
        let mut offsets = Vec::with_capacity(self.offsets.len());
        offsets.push(0);
        for pair in self.offsets.windows(2) {
            let (mut i, end) = (pair[0] as usize, pair[1] as usize);
            while i < end {
                let row = at(i);
                let mut diff = self.diffs.get(row);
                i += 1;
                while i < end && compare_rows(&cells, row, at(i)).is_eq() {
                    diff += self.diffs.get(at(i));
                    i += 1;
                }
                if diff != 0 {
                    positions.push(row as u32);
                    diffs.push(diff);
                }
            }
            offsets.push(positions.len() as u32);
        }
        self.positions = Positions::At(positions);
        self.offsets = offsets;
        self.sums = Some(diffs);
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
