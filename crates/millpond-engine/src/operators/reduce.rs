//! One row for each key: the key columns, then one column for each reducer.
//!
//! Arrangement `groups`: key = the key columns; row = the number of rows, then the other accumulators.
//!
//! Arrangements `order_<n>` (numbered as the reducers come): some columns of each group's rows, sorted.
//! - If the input may remove, for each first or last row that a reducer keeps: a removal may uncover the next one. It
//!   is read only for keys that lost a row.
//! - For each number of distinct rows. Of it are read only the rows that changes touch.
//! - For each list: it is read whole for the keys that changes touch.
//!
//! Arrangement `arrivals`, if the input may remove and a reducer asks when rows arrived: all columns that reducers
//! read, and the epoch; it tells when a removed row arrived.

use arrow_array::{ArrayRef, UInt32Array};
use millpond_columns::types::{Schema, Type};
use millpond_columns::view::{concat, ints, take};
use millpond_error::{Error, Result};
use millpond_plan::ReduceSpec;
use millpond_plan::physical::Form;

use super::arrivals::with_arrival;
use super::order::Order;
use super::windowed::{EmitRows, WindowOperator};
use super::{
    Instantiate, arrangement, emit_rows, first_negative, insert, name, names_of, never_added, one_each, open, show,
    types_of,
};
use crate::accumulate::{Accumulators, List, needs_arrival};
use crate::arrangement::{Arrangement, SavedArrangement, SegmentBuilder, Select};
use crate::changes::{Diffs, Epoch};
use crate::group::{RowOrder, RowsOf, group, replacement, sum_by_key};
use crate::hash::KeyRange;
use crate::keyed::{KeyedChanges, KeyedRows};
use crate::operator::{Buckets, Emit, Operator, StepContext};
use crate::sorting::Sorting;

/// The number of rows is the first accumulator.
const ROWS: usize = 0;

/// Groups rows by key and keeps one row of reducers for each group.
pub struct Reduce {
    key_names: Vec<String>,
    /// The distinct arguments of the reducers.
    row: Vec<usize>,
    /// Whether the epoch in which a row arrived stands behind them.
    with_arrival: bool,
    accumulators: Accumulators,
    groups: Arrangement,
    orders: Vec<Order>,
    arrivals: Option<Arrangement>,
}

/// What a step adds to the arrangements.
struct Builders {
    groups: SegmentBuilder,
    orders: Vec<SegmentBuilder>,
    arrivals: Option<SegmentBuilder>,
}

/// Keys that changes touched in one bucket.
struct Touched {
    hashes: Vec<u64>,
    keys: Vec<ArrayRef>,
    /// What the state has: no or one row for each key.
    old_offsets: Vec<u32>,
    old: Vec<ArrayRef>,
    /// What it should have: one row for each key. The first and last rows of `reread` keys are not known yet.
    new: Vec<ArrayRef>,
    reread: Vec<u32>,
    /// The lists of each key before and after.
    lists: [Vec<ArrayRef>; 2],
}

impl Reduce {
    /// An operator without state, for the keys of `range`.
    pub fn new(spec: &ReduceSpec, input: &Schema, range: KeyRange) -> Self {
        let mut row: Vec<usize> = Vec::new();
        for &column in spec.reducers.iter().flat_map(|reducer| &reducer.columns) {
            if !row.contains(&column) {
                row.push(column);
            }
        }
        let accumulators = Accumulators::new(&spec.reducers, input, &row, true);
        let with_arrival = needs_arrival(&spec.reducers);
        let mut types = types_of(input, &row);
        types.extend(with_arrival.then(|| Type::Int.required()));

        let full = spec.form == Form::Full;
        let extremes = accumulators.extremes().into_iter().filter(|_| full).map(|extreme| extreme.sorting);
        let distincts = accumulators.distincts().into_iter().map(|(_, sorting)| sorting);
        let lists = accumulators.lists().iter().map(|list| list.sorting.clone());
        let mut orders: Vec<Order> = Vec::new();
        for sorting in extremes.chain(distincts).chain(lists) {
            if orders.iter().all(|order| order.sorting != sorting) {
                let columns = sorting.columns.iter().map(|&c| types[c]).collect();
                let rows = arrangement(input, &spec.key, columns, range);
                orders.push(Order { name: name(format!("order_{}", orders.len())), sorting, rows });
            }
        }
        Reduce {
            groups: arrangement(input, &spec.key, accumulators.columns(), range),
            arrivals: (full && with_arrival).then(|| arrangement(input, &spec.key, types, range)),
            key_names: names_of(input, &spec.key),
            row,
            with_arrival,
            accumulators,
            orders,
        }
    }

    fn order(&self, sorting: &Sorting) -> &Order {
        let order = self.orders.iter().find(|order| order.sorting == *sorting);
        order.expect("each sorting that is read has an order")
    }

    fn never_added(&self, keys: &[ArrayRef], key: usize) -> Error {
        never_added(&show(&self.key_names, keys, key))
    }

    /// The output columns of groups of the state.
    fn answers(&self, groups: &KeyedRows) -> Result<Vec<ArrayRef>> {
        let list =
            |list: &List| list.of(&self.order(&list.sorting).rows.lookup(&groups.hashes, &groups.keys, Select::All)?);
        let lists = self.accumulators.lists().iter().map(list).collect::<Result<Vec<_>>>()?;
        self.accumulators.finish(&groups.rows, &of_known(&lists, &groups.offsets))
    }

    /// The changes of a bucket by key.
    fn rows(&self, bucket: &KeyedChanges, epoch: Epoch) -> Result<KeyedRows> {
        if !self.with_arrival {
            return group(bucket, &self.row, RowOrder::Arrival);
        }
        let rows = group(bucket, &self.row, RowOrder::Consolidated)?;
        with_arrival(rows, epoch, self.arrivals.as_ref(), |rows, key, _| self.never_added(&rows.keys, key))
    }

    /// Groups the changes of a bucket and adds them to what the state has. Their rows go to the orders and the
    /// arrivals.
    fn touch(&self, bucket: &KeyedChanges, epoch: Epoch, builders: &mut Builders) -> Result<Touched> {
        let rows = self.rows(bucket, epoch)?;
        if let Some(arrivals) = &mut builders.arrivals {
            arrivals.append(&rows);
        }
        let mut added = self.accumulators.of_rows(&rows.rows, &rows.diffs, &rows.offsets)?;
        let distincts = self.accumulators.distincts();
        let mut lists: [Vec<Option<ArrayRef>>; 2] = [0, 1].map(|_| vec![None; self.accumulators.lists().len()]);
        for (order, builder) in self.orders.iter().zip(&mut builders.orders) {
            let changes = order.sorting.apply(&rows)?;
            for (column, _) in distincts.iter().filter(|(_, sorting)| *sorting == order.sorting) {
                added[*column] = order.more_distinct(&changes, |key| self.never_added(&changes.keys, key))?;
            }
            let of_order =
                self.accumulators.lists().iter().enumerate().filter(|(_, list)| list.sorting == order.sorting);
            if of_order.clone().next().is_some() {
                let old = order.rows.lookup(&changes.hashes, &changes.keys, Select::All)?;
                let new = sum_by_key(&old, &changes)?;
                if let Some(row) = first_negative(&new.diffs) {
                    return Err(self.never_added(&new.keys, super::key_of_row(&new.offsets, row)));
                }
                for (at, list) in of_order {
                    lists[0][at] = Some(list.of(&old)?);
                    lists[1][at] = Some(list.of(&new)?);
                }
            }
            builder.append(&changes);
        }
        let lists = lists.map(|lists| lists.into_iter().flatten().collect());
        let reread = if self.accumulators.extremes().is_empty() { Vec::new() } else { keys_with_removals(&rows) };
        let KeyedRows { hashes, keys, .. } = rows;
        if self.groups.is_empty() {
            let old_offsets = vec![0; hashes.len() + 1];
            return Ok(Touched { hashes, keys, old_offsets, old: Vec::new(), new: added, reread, lists });
        }
        let known = self.groups.lookup(&hashes, &keys, Select::All)?;
        debug_assert!(known.diffs.insert_only(), "a group has one row");
        let old_rows = known.offsets.last().map_or(0, |&end| end);
        let new = if old_rows == 0 {
            added
        } else {
            let mut positions = Vec::with_capacity(hashes.len() * 2);
            let mut offsets = Vec::with_capacity(hashes.len() + 1);
            offsets.push(0);
            for k in 0..hashes.len() {
                positions.extend(known.offsets[k]..known.offsets[k + 1]);
                positions.push(old_rows + k as u32);
                offsets.push(positions.len() as u32);
            }
            let positions = UInt32Array::from(positions);
            let both = concat(&[&known.rows, &added]);
            let both: Vec<ArrayRef> = both.iter().map(|column| take(column, &positions)).collect();
            self.accumulators.merge(&both, &offsets)?
        };
        Ok(Touched { hashes, keys, old_offsets: known.offsets, old: known.rows, new, reread, lists })
    }

    /// Reads the first and last rows of keys that lost a row. This epoch's rows are in the orders.
    fn reread(&self, touched: &mut Touched) -> Result<()> {
        let counts = ints(&touched.new[ROWS]);
        let reread: Vec<u32> = touched.reread.iter().copied().filter(|&k| counts[k as usize] > 0).collect();
        if reread.is_empty() {
            return Ok(());
        }
        let hashes: Vec<u64> = reread.iter().map(|&k| touched.hashes[k as usize]).collect();
        let at = UInt32Array::from(reread.clone());
        let keys: Vec<ArrayRef> = touched.keys.iter().map(|column| take(column, &at)).collect();
        for extreme in self.accumulators.extremes() {
            let select = if extreme.greatest { Select::Last } else { Select::First };
            let found = self.order(&extreme.sorting).rows.lookup(&hashes, &keys, select)?;
            if let Some(row) = first_negative(&found.diffs) {
                return Err(self.never_added(&found.keys, super::key_of_row(&found.offsets, row)));
            }
            let columns = extreme.column..extreme.column + found.rows.len();
            let old = &touched.new[columns.clone()];
            let count = touched.hashes.len() as u32;
            let mut positions: Vec<Option<u32>> = (0..count).map(Some).collect();
            for (&k, place) in reread.iter().zip(found.offsets.windows(2)) {
                positions[k as usize] = (place[0] < place[1]).then_some(count + place[0]);
            }
            let positions = UInt32Array::from(positions);
            let both = concat(&[old, &found.rows]);
            for (column, both) in columns.zip(&both) {
                touched.new[column] = take(both, &positions);
            }
        }
        Ok(())
    }

    /// Emits what changes in the output; returns what changes in the state.
    fn diff_against_state(&self, touched: Touched, emit: &mut EmitRows<'_>) -> Result<KeyedRows> {
        let Touched { hashes, keys, old_offsets, old, mut new, lists, .. } = touched;
        let [old_lists, mut new_lists] = lists;
        let counts = ints(&new[ROWS]);
        if let Some(key) = counts.iter().position(|count| *count < 0) {
            return Err(self.never_added(&keys, key));
        }
        let mut offsets = one_each(hashes.len());
        if counts.contains(&0) {
            let kept: Vec<u32> = (0..hashes.len() as u32).filter(|&k| counts[k as usize] > 0).collect();
            offsets.clear();
            offsets.push(0);
            for count in counts {
                offsets.push(offsets[offsets.len() - 1] + u32::from(*count > 0));
            }
            let kept = UInt32Array::from(kept);
            new = new.iter().map(|column| take(column, &kept)).collect();
            new_lists = new_lists.iter().map(|column| take(column, &kept)).collect();
        }
        let answers = self.accumulators.finish(&new, &new_lists)?;
        let old_answers = if old.is_empty() {
            Vec::new()
        } else {
            self.accumulators.finish(&old, &of_known(&old_lists, &old_offsets))?
        };
        let before = RowsOf { offsets: &old_offsets, columns: &old_answers };
        emit(replacement(&hashes, &keys, &before, &RowsOf { offsets: &offsets, columns: &answers })?)?;
        let before = RowsOf { offsets: &old_offsets, columns: &old };
        replacement(&hashes, &keys, &before, &RowsOf { offsets: &offsets, columns: &new })
    }
}

impl Instantiate for ReduceSpec {
    fn instantiate(&self, inputs: &[&Schema], range: KeyRange) -> Box<dyn Operator> {
        Box::new(Reduce::new(self, inputs[0], range))
    }
}

impl Operator for Reduce {
    fn open(&mut self, mut saved: Vec<(String, SavedArrangement)>) -> Result<()> {
        open(&mut saved, "groups", &mut self.groups)?;
        self.orders.iter_mut().try_for_each(|order| open(&mut saved, order.name, &mut order.rows))?;
        self.arrivals.as_mut().map_or(Ok(()), |arrivals| open(&mut saved, "arrivals", arrivals))
    }

    fn step(&mut self, context: &StepContext, input: &mut dyn Buckets, emit: &mut Emit<'_>) -> Result<()> {
        self.step_by_key(context, input, &mut |rows| emit_rows(rows, emit))
    }

    fn snapshot(&self, emit: &mut Emit<'_>) -> Result<()> {
        self.groups.scan(&mut |mut rows| {
            rows.rows = self.answers(&rows)?;
            emit_rows(rows, emit)
        })
    }

    fn arrangements(&mut self) -> Vec<(&'static str, &mut Arrangement)> {
        let orders = self.orders.iter_mut().map(|order| (order.name, &mut order.rows));
        let arrivals = self.arrivals.as_mut().map(|arrivals| ("arrivals", arrivals));
        std::iter::once(("groups", &mut self.groups)).chain(orders).chain(arrivals).collect()
    }
}

impl WindowOperator for Reduce {
    fn step_by_key(&mut self, context: &StepContext, input: &mut dyn Buckets, emit: &mut EmitRows<'_>) -> Result<()> {
        let mut builders = Builders {
            groups: self.groups.builder(),
            orders: self.orders.iter().map(|order| order.rows.builder()).collect(),
            arrivals: self.arrivals.as_ref().map(Arrangement::builder),
        };
        // Buckets with keys to read again wait until this epoch's rows are all in the orders.
        let mut waiting: Vec<Touched> = Vec::new();
        while let Some(bucket) = input.next()? {
            let bucket = bucket.only();
            let touched = self.touch(&bucket, context.epoch, &mut builders)?;
            if touched.reread.is_empty() && waiting.is_empty() {
                builders.groups.append(&self.diff_against_state(touched, emit)?);
            } else {
                waiting.push(touched);
            }
        }
        let Builders { mut groups, orders, arrivals } = builders;
        for (order, builder) in self.orders.iter_mut().zip(orders) {
            insert(&mut order.rows, builder.finish()?)?;
        }
        if let (Some(arrangement), Some(arrivals)) = (&mut self.arrivals, arrivals) {
            insert(arrangement, arrivals.finish()?)?;
        }
        for mut touched in waiting {
            self.reread(&mut touched)?;
            groups.append(&self.diff_against_state(touched, emit)?);
        }
        insert(&mut self.groups, groups.finish()?)
    }

    fn present(&self, hashes: &[u64], keys: &[ArrayRef], select: Select<'_>) -> Result<KeyedRows> {
        let mut rows = self.groups.lookup(hashes, keys, select)?;
        rows.rows = self.answers(&rows)?;
        Ok(rows)
    }
}

/// The cells of the keys that have a row, of columns with one for each key.
fn of_known(columns: &[ArrayRef], offsets: &[u32]) -> Vec<ArrayRef> {
    if columns.is_empty() {
        return Vec::new();
    }
    let known = (0u32..).zip(offsets.windows(2)).filter(|(_, pair)| pair[0] < pair[1]).map(|(key, _)| key);
    let known = UInt32Array::from_iter_values(known);
    columns.iter().map(|column| take(column, &known)).collect()
}

/// The keys with a row that removes.
fn keys_with_removals(rows: &KeyedRows) -> Vec<u32> {
    let Diffs::Each(diffs) = &rows.diffs else { return Vec::new() };
    let removes = |k: &u32| {
        let k = *k as usize;
        diffs[rows.offsets[k] as usize..rows.offsets[k + 1] as usize].iter().any(|diff| *diff < 0)
    };
    (0..rows.hashes.len() as u32).filter(removes).collect()
}
