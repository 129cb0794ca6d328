//! One row for each key: the key columns, then one column for each reducer.
//!
//! Arrangement `groups`: key = the key columns; row = the number of rows, then the other accumulators.
//!
//! If the input may remove, each column with a least or greatest value has an arrangement `order_<n>` (numbered as the
//! reducers come) of its values: a removal may uncover the next one. It is read only for keys that lost a row.

use millpond_error::Result;
use millpond_plan::physical::{Form, ReduceSpec};
use millpond_plan::types::Schema;

use arrow_array::{ArrayRef, UInt32Array};

use super::{
    arrangement, emit_rows, first_negative, insert, name, names_of, never_added, one_each, open, show, types_of,
};
use crate::accumulate::Accumulators;
use crate::arrangement::{Arrangement, RunBuilder, SavedArrangement, Select};
use crate::cells::{concat, ints, take};
use crate::changes::{Changes, Diffs, Epoch};
use crate::group::{RowOrder, RowsOf, consolidated, group, replacement};
use crate::hash::KeyRange;
use crate::keyed::{KeyedChanges, KeyedRows};
use crate::operator::Operator;

/// The number of rows is the first accumulator.
const ROWS: usize = 0;

/// Groups rows by key and keeps one row of reducers for each group.
pub struct Reduce {
    key_names: Vec<String>,
    /// The distinct arguments of the reducers.
    row: Vec<usize>,
    accumulators: Accumulators,
    groups: Arrangement,
    orders: Vec<Order>,
}

/// The values of one argument, in order.
struct Order {
    name: &'static str,
    /// The position of the argument in [`Reduce::row`].
    argument: usize,
    values: Arrangement,
}

/// Keys that changes touched in one bucket.
struct Touched {
    hashes: Vec<u64>,
    keys: Vec<ArrayRef>,
    /// What the state has: no or one row for each key.
    old_offsets: Vec<u32>,
    old: Vec<ArrayRef>,
    /// What it should have: one row for each key. The least and greatest values of `reread` keys are not known yet.
    new: Vec<ArrayRef>,
    reread: Vec<u32>,
}

impl Reduce {
    /// An operator without state, for the keys of `range`.
    pub fn new(spec: &ReduceSpec, input: &Schema, range: KeyRange) -> Self {
        let mut row: Vec<usize> = Vec::new();
        for column in spec.reducers.iter().filter_map(|reducer| reducer.column) {
            if !row.contains(&column) {
                row.push(column);
            }
        }
        let accumulators = Accumulators::new(&spec.reducers, input, &row, true);
        let mut orders: Vec<Order> = Vec::new();
        if spec.form == Form::Full {
            for extreme in accumulators.extremes() {
                if orders.iter().all(|order| order.argument != extreme.argument) {
                    orders.push(Order {
                        name: name(format!("order_{}", orders.len())),
                        argument: extreme.argument,
                        values: arrangement(input, &spec.key, types_of(input, &[row[extreme.argument]]), range),
                    });
                }
            }
        }
        Reduce {
            groups: arrangement(input, &spec.key, accumulators.columns(), range),
            key_names: names_of(input, &spec.key),
            row,
            accumulators,
            orders,
        }
    }

    /// Groups the changes of a bucket and adds them to what the state has. Their values go to `orders`.
    fn touch(&self, bucket: &KeyedChanges, orders: &mut [RunBuilder]) -> Result<Touched> {
        let rows = group(bucket, &self.row, RowOrder::Arrival);
        for (order, builder) in self.orders.iter().zip(orders) {
            builder.append(&consolidated(KeyedRows { rows: vec![rows.rows[order.argument].clone()], ..rows.clone() }));
        }
        let reread = if self.orders.is_empty() { Vec::new() } else { keys_with_removals(&rows) };
        let added = self.accumulators.of_rows(&rows.rows, &rows.diffs, &rows.offsets);
        let KeyedRows { hashes, keys, .. } = rows;
        if self.groups.is_empty() {
            let old_offsets = vec![0; hashes.len() + 1];
            return Ok(Touched { hashes, keys, old_offsets, old: Vec::new(), new: added, reread });
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
            self.accumulators.merge(&both, &offsets)
        };
        Ok(Touched { hashes, keys, old_offsets: known.offsets, old: known.rows, new, reread })
    }

    /// Reads the least and greatest values of keys that lost a row. This epoch's values are in the orders.
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
            let order = self.orders.iter().find(|order| order.argument == extreme.argument);
            let order = order.expect("each argument with a least or greatest value has an order");
            let select = if extreme.greatest { Select::Last } else { Select::First };
            let found = order.values.lookup(&hashes, &keys, select)?;
            if let Some(row) = first_negative(&found.diffs) {
                let key = super::key_of_row(&found.offsets, row);
                return Err(never_added(&show(&self.key_names, &found.keys, key)));
            }
            let old = &touched.new[extreme.column];
            let mut positions: Vec<Option<u32>> = (0..old.len() as u32).map(Some).collect();
            for (&k, place) in reread.iter().zip(found.offsets.windows(2)) {
                positions[k as usize] = (place[0] < place[1]).then_some(old.len() as u32 + place[0]);
            }
            let both = concat(&[std::slice::from_ref(old), &found.rows]);
            touched.new[extreme.column] = take(&both[0], &UInt32Array::from(positions));
        }
        Ok(())
    }

    /// Emits what changes in the output; returns what changes in the state.
    fn settle(&self, touched: Touched, emit: &mut dyn FnMut(Changes)) -> Result<KeyedRows> {
        let Touched { hashes, keys, old_offsets, old, mut new, .. } = touched;
        let counts = ints(&new[ROWS]);
        if let Some(key) = counts.iter().position(|count| *count < 0) {
            return Err(never_added(&show(&self.key_names, &keys, key)));
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
        }
        let answers = self.accumulators.finish(&new)?;
        let old_answers = if old.is_empty() { Vec::new() } else { self.accumulators.finish(&old)? };
        let before = RowsOf { offsets: &old_offsets, columns: &old_answers };
        emit_rows(replacement(&hashes, &keys, &before, &RowsOf { offsets: &offsets, columns: &answers }), emit);
        let before = RowsOf { offsets: &old_offsets, columns: &old };
        Ok(replacement(&hashes, &keys, &before, &RowsOf { offsets: &offsets, columns: &new }))
    }
}

impl Operator for Reduce {
    fn open(&mut self, mut saved: Vec<(String, SavedArrangement)>) -> Result<()> {
        open(&mut saved, "groups", &mut self.groups)?;
        self.orders.iter_mut().try_for_each(|order| open(&mut saved, order.name, &mut order.values))
    }

    fn step(
        &mut self,
        _epoch: Epoch,
        input: &mut dyn Iterator<Item = KeyedChanges>,
        emit: &mut dyn FnMut(Changes),
    ) -> Result<()> {
        let mut groups = self.groups.builder();
        let mut orders: Vec<RunBuilder> = self.orders.iter().map(|order| order.values.builder()).collect();
        // Buckets with keys to read again wait until this epoch's values are all in the orders.
        let mut waiting: Vec<Touched> = Vec::new();
        for bucket in input {
            let touched = self.touch(&bucket, &mut orders)?;
            if touched.reread.is_empty() && waiting.is_empty() {
                groups.append(&self.settle(touched, emit)?);
            } else {
                waiting.push(touched);
            }
        }
        for (order, builder) in self.orders.iter_mut().zip(orders) {
            insert(&mut order.values, builder.finish())?;
        }
        for mut touched in waiting {
            self.reread(&mut touched)?;
            groups.append(&self.settle(touched, emit)?);
        }
        insert(&mut self.groups, groups.finish())
    }

    fn snapshot(&self, emit: &mut dyn FnMut(Changes)) -> Result<()> {
        self.groups.scan(&mut |mut rows| {
            rows.rows = self.accumulators.finish(&rows.rows)?;
            emit_rows(rows, emit);
            Ok(())
        })
    }

    fn arrangements(&mut self) -> Vec<(&'static str, &mut Arrangement)> {
        let orders = self.orders.iter_mut().map(|order| (order.name, &mut order.values));
        std::iter::once(("groups", &mut self.groups)).chain(orders).collect()
    }
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
