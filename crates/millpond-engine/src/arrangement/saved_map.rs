//! A map in an arrangement: values by name, few enough to be in memory as a whole.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, StringArray};
use millpond_columns::types::{ColumnType, Type};
use millpond_error::{Error, Result};
use millpond_store::DAMAGE_HINT;

use super::{Arrangement, ArrangementSchema, SavedArrangement};
use crate::changes::Diffs;
use crate::hash::{HashSeed, KeyRange, hash_columns};
use crate::keyed::KeyedRows;

/// How a value of a [`SavedMap`] stands in a row.
pub trait SavedValue: Clone + PartialEq {
    /// The columns of a row.
    fn columns() -> Vec<ColumnType>;

    /// The rows of these values, column by column.
    fn to_rows<'a>(values: impl Iterator<Item = &'a Self> + Clone) -> Vec<ArrayRef>
    where
        Self: 'a;

    /// The value in this row, or what is wrong with it.
    fn from_row(rows: &[ArrayRef], row: usize) -> std::result::Result<Self, &'static str>;

    /// The order of their rows.
    fn order(&self, other: &Self) -> Ordering;
}

/// Values by name, in an arrangement and in memory.
#[derive(Debug)]
pub struct SavedMap<V> {
    seed: HashSeed,
    /// What is said of a name that stands in the saved map another number of times than once.
    repeated: fn(&str, i64) -> String,
    arrangement: Arrangement,
    values: BTreeMap<String, V>,
}

impl<V: SavedValue> SavedMap<V> {
    /// An empty map. `repeated` says what is wrong with a saved one that holds a name so many times.
    pub fn new(seed: HashSeed, repeated: fn(&str, i64) -> String) -> Self {
        SavedMap {
            seed,
            repeated,
            arrangement: Arrangement::new(schema::<V>(), KeyRange::ALL),
            values: BTreeMap::new(),
        }
    }

    /// Reads a saved map.
    ///
    /// # Errors
    /// `Data` if it is damaged.
    pub fn open(&mut self, saved: SavedArrangement) -> Result<()> {
        self.arrangement = Arrangement::open(schema::<V>(), KeyRange::ALL, saved)?;
        self.values.clear();
        self.arrangement.scan(&mut |chunk| {
            let names = chunk.keys[0].as_string::<i32>();
            for key in 0..chunk.hashes.len() {
                let rows = chunk.offsets[key] as usize..chunk.offsets[key + 1] as usize;
                let (name, first) = (names.value(key), rows.start);
                let damaged = |what: String| Error::data(what).with_hint(DAMAGE_HINT);
                if rows.len() != 1 || chunk.diffs.get(first) != 1 {
                    return Err(damaged((self.repeated)(name, rows.map(|row| chunk.diffs.get(row)).sum())));
                }
                let value = V::from_row(&chunk.rows, first);
                let value = value.map_err(|what| damaged(format!("the saved state holds {what} of {name}")))?;
                self.values.insert(name.to_owned(), value);
            }
            Ok(())
        })
    }

    /// The values by name.
    pub fn values(&self) -> &BTreeMap<String, V> {
        &self.values
    }

    /// The arrangement that holds them.
    pub fn arrangement(&mut self) -> &mut Arrangement {
        &mut self.arrangement
    }

    /// Gives names new values, or none; each name at most once.
    ///
    /// # Errors
    /// `Data` if the saved map is damaged where it is merged.
    pub fn update(&mut self, values: Vec<(String, Option<V>)>) -> Result<()> {
        let changed: Vec<_> = values.into_iter().filter(|(name, new)| self.values.get(name) != new.as_ref()).collect();
        if changed.is_empty() {
            return Ok(());
        }
        let names = |order: &mut dyn Iterator<Item = usize>| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(order.map(|at| &changed[at].0)))
        };
        let hashes = hash_columns(self.seed, &[names(&mut (0..changed.len()))], changed.len());
        let mut order: Vec<usize> = (0..changed.len()).collect();
        order.sort_by(|a, b| (hashes[*a], &changed[*a].0).cmp(&(hashes[*b], &changed[*b].0)));
        let mut rows: Vec<(&V, i64)> = Vec::with_capacity(2 * changed.len());
        let mut offsets = vec![0];
        for (name, new) in order.iter().map(|at| &changed[*at]) {
            let start = rows.len();
            rows.extend(self.values.get(name).map(|old| (old, -1)));
            rows.extend(new.as_ref().map(|new| (new, 1)));
            rows[start..].sort_by(|(a, _), (b, _)| a.order(b));
            offsets.push(rows.len() as u32);
        }
        let mut builder = self.arrangement.builder();
        builder.append(&KeyedRows {
            hashes: order.iter().map(|at| hashes[*at]).collect(),
            keys: vec![names(&mut order.iter().copied())],
            offsets,
            rows: V::to_rows(rows.iter().map(|(value, _)| *value)),
            diffs: Diffs::Each(rows.iter().map(|(_, diff)| *diff).collect()),
        });
        self.arrangement.insert(builder.finish()?);
        self.arrangement.maintain(32 * changed.len())?;
        for (name, new) in changed {
            match new {
                Some(new) => drop(self.values.insert(name, new)),
                None => drop(self.values.remove(&name)),
            }
        }
        Ok(())
    }
}

fn schema<V: SavedValue>() -> ArrangementSchema {
    ArrangementSchema { key: vec![Type::Str.required()], row: V::columns() }
}

/// A text, such as a position in a program's own words.
impl SavedValue for String {
    fn columns() -> Vec<ColumnType> {
        vec![Type::Str.required()]
    }

    fn to_rows<'a>(values: impl Iterator<Item = &'a Self> + Clone) -> Vec<ArrayRef> {
        vec![Arc::new(StringArray::from_iter_values(values))]
    }

    fn from_row(rows: &[ArrayRef], row: usize) -> std::result::Result<Self, &'static str> {
        Ok(rows[0].as_string::<i32>().value(row).to_owned())
    }

    fn order(&self, other: &Self) -> Ordering {
        self.cmp(other)
    }
}
