//! The stateful operators: each a pure function from changes to changes, with arrangements for memory.
//!
//! - [`reduce`]: one row for each key;
//! - [`session`]: one row for each session of an instance;
//! - [`windowed`]: either of them, with windows that are shown late or that end;
//! - [`combine`]: rows of several tables that have one identity;
//! - [`join`]: rows of two tables that have equal keys;
//! - [`keep`]: the present table.
//!
//! All work in the same way: group a bucket's changes by key, look up what the touched keys have, compute columns of
//! what they should have, and let the difference of the two be both the change of state and the output.

use std::any::Any;
use std::collections::BTreeSet;
use std::fmt::Write;

use arrow_array::ArrayRef;
use millpond_columns::types::{ColumnType, Schema, Type};
use millpond_columns::view::{ColumnView, Values};
use millpond_error::{Error, Result};
use millpond_plan::physical::KeyedSpec;
use millpond_plan::{CombineSpec, JoinSpec, KeepSpec, Literal, ReduceSpec, SessionSpec, WindowedSpec};
use millpond_store::DAMAGE_HINT;
use parking_lot::Mutex;

use crate::arrangement::{Arrangement, ArrangementSchema, SavedArrangement, Segment};
use crate::changes::Diffs;
use crate::hash::KeyRange;
use crate::keyed::KeyedRows;
use crate::operator::{Emit, Operator};

mod arrivals;
pub mod combine;
pub mod join;
pub mod keep;
mod order;
pub mod reduce;
pub mod session;
pub mod windowed;

pub use combine::Combine;
pub use join::Join;
pub use keep::Keep;
pub use reduce::Reduce;
pub use session::Session;
pub use windowed::Windowed;

/// A spec that the engine has an operator for.
trait Instantiate: KeyedSpec {
    /// The operator for the keys of `range`, without state. `inputs` are the schemas of its ports.
    fn instantiate(&self, inputs: &[&Schema], range: KeyRange) -> Box<dyn Operator>;
}

/// Makes the operator of a spec, if it is of one type.
type Factory = fn(&dyn KeyedSpec, &[&Schema], KeyRange) -> Option<Box<dyn Operator>>;

/// One for each kind of operator.
const FACTORIES: [Factory; 6] = [
    made::<ReduceSpec>,
    made::<SessionSpec>,
    made::<WindowedSpec>,
    made::<CombineSpec>,
    made::<JoinSpec>,
    made::<KeepSpec>,
];

fn made<S: Instantiate>(spec: &dyn KeyedSpec, inputs: &[&Schema], range: KeyRange) -> Option<Box<dyn Operator>> {
    let spec = (spec as &dyn Any).downcast_ref::<S>()?;
    Some(spec.instantiate(inputs, range))
}

/// The operator of `spec` for the keys of `range`, without state. `inputs` are the schemas of the node's ports.
///
/// # Panics
///
/// If the engine has no operator for the spec.
pub fn operator_for(spec: &dyn KeyedSpec, inputs: &[&Schema], range: KeyRange) -> Box<dyn Operator> {
    let operator = FACTORIES.iter().find_map(|make| make(spec, inputs, range));
    operator.unwrap_or_else(|| unreachable!("no operator is known for {}", spec.name()))
}

/// How many rows to merge for each row inserted into an arrangement.
const FUEL_PER_ROW: usize = 32;

/// The types of these columns of `input`.
fn types_of(input: &Schema, columns: &[usize]) -> Vec<ColumnType> {
    columns.iter().map(|&c| input.columns()[c].ty).collect()
}

/// An arrangement keyed by the columns `key` of `input`, without rows.
fn arrangement(input: &Schema, key: &[usize], row: Vec<ColumnType>, range: KeyRange) -> Arrangement {
    Arrangement::new(ArrangementSchema { key: types_of(input, key), row }, range)
}

/// Replaces `into` by the saved arrangement of this name.
fn open(saved: &mut Vec<(String, SavedArrangement)>, name: &str, into: &mut Arrangement) -> Result<()> {
    let Some(at) = saved.iter().position(|(saved, _)| saved == name) else {
        return Err(Error::data(format!("the saved state has no arrangement {name:?}")).with_hint(DAMAGE_HINT));
    };
    *into = Arrangement::open(into.schema().clone(), into.range(), saved.swap_remove(at).1)?;
    Ok(())
}

/// Adds a step's rows to an arrangement and lets it merge.
fn insert(arrangement: &mut Arrangement, segments: Vec<Segment>) -> Result<()> {
    let rows: u64 = segments.iter().map(Segment::rows).sum();
    if rows == 0 {
        return Ok(());
    }
    arrangement.insert(segments);
    arrangement.maintain(rows as usize * FUEL_PER_ROW)
}

/// The same rows, removed where they are added.
fn negated(rows: KeyedRows) -> KeyedRows {
    let count = rows.offsets.last().map_or(0, |&end| end) as usize;
    let diffs = (0..count).map(|row| -rows.diffs.get(row)).collect();
    KeyedRows { diffs: Diffs::Each(diffs), ..rows }
}

/// Emits rows, each after the columns of its key.
fn emit_rows(rows: KeyedRows, emit: &mut Emit<'_>) -> Result<()> {
    let changes = rows.into_changes();
    if changes.is_empty() { Ok(()) } else { emit(changes) }
}

/// The offsets of one row for each of `keys` keys.
fn one_each(keys: usize) -> Vec<u32> {
    (0..=keys as u32).collect()
}

/// A row of `columns` for messages: `user="alice", day=3`.
fn show<'a>(names: &[String], columns: impl IntoIterator<Item = &'a ArrayRef>, row: usize) -> String {
    let mut text = String::new();
    for (name, column) in names.iter().zip(columns) {
        let cells = ColumnView::of(column);
        let separator = if text.is_empty() { "" } else { ", " };
        let _ = match cells.values {
            _ if cells.is_null(row) => write!(text, "{separator}{name}=None"),
            Values::Bool(values) => write!(text, "{separator}{name}={}", values.value(row)),
            Values::Int(values) => {
                let ty = Type::of_ints(column.data_type()).unwrap_or(Type::Int);
                write!(text, "{separator}{name}={}", Literal::of_int(ty, values[row]))
            }
            Values::Float(values) => write!(text, "{separator}{name}={:?}", values[row]),
            Values::Bytes(values) => {
                write!(text, "{separator}{name}={:?}", String::from_utf8_lossy(values.get(row)))
            }
        };
    }
    text
}

/// The error of a removal that matches no row; `row` is as [`show`] writes it.
fn never_added(row: &str) -> Error {
    let row = if row.is_empty() { String::new() } else { format!(": {row}") };
    Error::input(format!("a row was removed that was never added{row}"))
}

/// The position of the first negative diff.
fn first_negative(diffs: &Diffs) -> Option<usize> {
    match diffs {
        Diffs::Ones => None,
        Diffs::Each(diffs) => diffs.iter().position(|diff| *diff < 0),
    }
}

/// The key of each row.
pub(crate) fn owners(offsets: &[u32]) -> Vec<u32> {
    let keys = (0u32..).zip(offsets.windows(2));
    keys.flat_map(|(key, pair)| std::iter::repeat_n(key, (pair[1] - pair[0]) as usize)).collect()
}

/// The key of row `row`.
fn key_of_row(offsets: &[u32], row: usize) -> usize {
    offsets.partition_point(|&start| start as usize <= row) - 1
}

/// A name that lives as long as the program; each is made once.
fn name(text: String) -> &'static str {
    static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut names = NAMES.lock();
    if let Some(known) = names.get(text.as_str()) {
        return known;
    }
    let made: &'static str = Box::leak(text.into_boxed_str());
    names.insert(made);
    made
}

/// The names of these columns of `input`.
fn names_of(input: &Schema, columns: &[usize]) -> Vec<String> {
    columns.iter().map(|&c| input.columns()[c].name.clone()).collect()
}

#[cfg(test)]
mod tests;
