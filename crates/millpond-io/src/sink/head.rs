//! A sink that keeps the first rows in order, for previews: in memory that hangs on how many are asked for alone.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, Int64Array};
use arrow_ord::sort::{SortColumn, lexsort_to_indices};
use arrow_schema::{ArrowError, SortOptions};
use arrow_select::concat::concat;
use arrow_select::take::take;
use millpond_columns::types::Schema;
use millpond_engine::changes::{Changes, Diffs, Epoch};
use millpond_error::{Error, Result};
use parking_lot::{Mutex, MutexGuard};
use serde_json::Value;

use super::{Collected, LogicalRun, Prepared, Sink};

/// So many rows wait before they are looked through.
const BATCH_ROWS: usize = 1 << 16;

/// What comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadOrder {
    /// The smallest rows, nulls first.
    Rows,
    /// The first changes: by epoch, removals first, then by row.
    Changes,
}

/// Keeps the first rows or changes. A clone shares them: keep one, and give the other to the run.
#[derive(Clone, Debug)]
pub struct HeadSink {
    most: usize,
    order: HeadOrder,
    head: Arc<Mutex<Head>>,
}

#[derive(Debug, Default)]
struct Head {
    /// Batches of epoch, diff and the table's columns; the first holds what was kept.
    batches: Vec<Vec<ArrayRef>>,
    rows: usize,
    removals: bool,
    written: u64,
}

impl HeadSink {
    /// A sink that keeps `most` rows.
    pub fn new(most: usize, order: HeadOrder) -> Self {
        HeadSink { most, order, head: Arc::default() }
    }

    /// Takes out what was kept, in order. Nothing if rows were asked for and some were removed: what follows them is
    /// not known any more.
    ///
    /// # Errors
    /// If the rows are too long for a column.
    pub fn take(&self) -> Result<Option<Vec<Collected>>> {
        let mut head = self.head();
        self.narrow(&mut head)?;
        if head.removals && self.order == HeadOrder::Rows {
            return Ok(None);
        }
        let kept = std::mem::take(&mut head.batches).pop().unwrap_or_default();
        let [epochs, diffs, columns @ ..] = &kept[..] else { return Ok(Some(Vec::new())) };
        let row = |row: usize| Collected {
            columns: columns.iter().map(|column| column.slice(row, 1)).collect(),
            rows: 1,
            epoch: Epoch(ints(epochs)[row] as u64),
            diffs: Diffs::Each(vec![ints(diffs)[row]].into()),
        };
        Ok(Some((0..epochs.len()).map(row).collect()))
    }

    fn head(&self) -> MutexGuard<'_, Head> {
        self.head.lock()
    }

    /// Leaves the first rows of all batches.
    fn narrow(&self, head: &mut Head) -> Result<()> {
        let narrowed = self.first(&head.batches).map_err(|error| {
            Error::input(format!("the first rows cannot be kept for a preview: {error}"))
                .with_hint("show fewer rows or columns: one holds over 2 GiB")
        })?;
        head.rows = narrowed.first().map_or(0, |column| column.len());
        head.batches = if narrowed.is_empty() { Vec::new() } else { vec![narrowed] };
        Ok(())
    }

    fn first(&self, batches: &[Vec<ArrayRef>]) -> std::result::Result<Vec<ArrayRef>, ArrowError> {
        let count = batches.first().map_or(0, Vec::len);
        let whole = |column: usize| {
            let parts: Vec<&dyn Array> = batches.iter().map(|batch| batch[column].as_ref()).collect();
            concat(&parts)
        };
        let columns = (0..count).map(whole).collect::<std::result::Result<Vec<_>, _>>()?;
        let by = if self.order == HeadOrder::Rows { columns.get(2..) } else { Some(&columns[..]) };
        let by = by.filter(|by| !by.is_empty()).unwrap_or(&columns);
        if by.is_empty() {
            return Ok(Vec::new());
        }
        let options = Some(SortOptions { descending: false, nulls_first: true });
        let by: Vec<SortColumn> = by.iter().map(|values| SortColumn { values: values.clone(), options }).collect();
        let first = lexsort_to_indices(&by, Some(self.most))?;
        columns.iter().map(|column| take(column, &first, None)).collect()
    }
}

/// The values of a column of epochs or diffs.
fn ints(column: &ArrayRef) -> &[i64] {
    millpond_columns::types::int_values(column).expect("such a column holds ints")
}

impl Sink for HeadSink {
    fn open(&mut self, _schema: &Schema, _saved: Option<&Value>, _run: LogicalRun) -> Result<()> {
        Ok(())
    }

    fn write(&self, epoch: Epoch, changes: &Changes) -> Result<()> {
        if changes.rows == 0 {
            return Ok(());
        }
        let epochs: ArrayRef = Arc::new(Int64Array::from_value(epoch.0 as i64, changes.rows));
        let diffs = Int64Array::from_iter_values((0..changes.rows).map(|row| changes.diffs.get(row)));
        let mut head = self.head();
        head.removals |= diffs.values().iter().any(|diff| *diff < 0);
        head.rows += changes.rows;
        head.written += changes.rows as u64;
        let own = [epochs, Arc::new(diffs) as ArrayRef];
        head.batches.push(own.into_iter().chain(changes.columns.iter().cloned()).collect());
        if head.rows >= BATCH_ROWS.max(self.most.saturating_mul(2)) {
            self.narrow(&mut head)?;
        }
        Ok(())
    }

    fn write_snapshot(&self, _changes: &Changes) -> Result<()> {
        Ok(())
    }

    fn prepare(&self) -> Result<Prepared> {
        Ok(Prepared::durable(Value::Null))
    }

    fn position(&self) -> Value {
        Value::Null
    }

    fn rows_written(&self) -> u64 {
        self.head().written
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::StringArray;
    use millpond_engine::wire::MISFIT_HINT;
    use millpond_error::ErrorKind;

    use super::*;

    fn changes(rows: &[(Option<&str>, i64)]) -> Changes {
        let names: StringArray = rows.iter().map(|(name, _)| *name).collect();
        let diffs: Vec<i64> = rows.iter().map(|(_, diff)| *diff).collect();
        Changes::new(vec![Arc::new(names) as ArrayRef], diffs.into())
    }

    fn kept(sink: &HeadSink) -> Option<Vec<(u64, String, i64)>> {
        let row = |batch: &Collected| {
            let names = batch.columns[0].as_any().downcast_ref::<StringArray>().unwrap();
            let name = if names.is_null(0) { "null" } else { names.value(0) };
            (batch.epoch.0, name.to_owned(), batch.diffs.get(0))
        };
        sink.take().unwrap().map(|batches| batches.iter().map(row).collect())
    }

    #[test]
    fn the_smallest_rows_are_kept_nulls_first() {
        let sink = HeadSink::new(3, HeadOrder::Rows);
        sink.write(Epoch(2), &changes(&[(Some("d"), 1), (Some("b"), 2)])).unwrap();
        sink.write(Epoch(4), &changes(&[(Some("a"), 1), (None, 1), (Some("c"), 1)])).unwrap();
        let expected = [(4, "null".to_owned(), 1), (4, "a".to_owned(), 1), (2, "b".to_owned(), 2)];
        assert_eq!(kept(&sink).unwrap(), expected);
    }

    #[test]
    fn columns_that_are_not_one_column_are_no_preview() {
        let sink = HeadSink::new(1, HeadOrder::Rows);
        sink.write(Epoch(2), &changes(&[(Some("a"), 1)])).unwrap();
        let ints: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        sink.write(Epoch(4), &Changes::inserts(vec![ints], 1)).unwrap();
        let error = sink.take().err().unwrap();
        let hint = "show fewer rows or columns: one holds over 2 GiB";
        assert_eq!((error.kind(), error.hint()), (ErrorKind::Input, Some(hint)));
        assert!(error.message().starts_with("the first rows cannot be kept for a preview: "), "{error}");
    }

    #[test]
    fn lines_of_another_process_are_no_rows() {
        let error = HeadSink::new(1, HeadOrder::Rows).write_lines(b"a\n", 1).unwrap_err();
        let text = format!("the output takes rows, and another process formatted them\nhint: {MISFIT_HINT}");
        assert_eq!((error.kind(), error.to_string()), (ErrorKind::Unavailable, text));
    }

    #[test]
    fn rows_are_not_known_once_one_is_removed() {
        let sink = HeadSink::new(1, HeadOrder::Rows);
        sink.write(Epoch(2), &changes(&[(Some("a"), 1), (Some("b"), 1)])).unwrap();
        sink.write(Epoch(4), &changes(&[(Some("a"), -1)])).unwrap();
        assert_eq!(kept(&sink), None);
    }

    #[test]
    fn the_first_changes_are_kept_removals_first() {
        let sink = HeadSink::new(3, HeadOrder::Changes);
        sink.write(Epoch(4), &changes(&[(Some("a"), 1), (Some("b"), -1)])).unwrap();
        sink.write(Epoch(2), &changes(&[(Some("b"), 1)])).unwrap();
        sink.write(Epoch(6), &changes(&[(Some("a"), 1)])).unwrap();
        let expected = [(2, "b".to_owned(), 1), (4, "b".to_owned(), -1), (4, "a".to_owned(), 1)];
        assert_eq!(kept(&sink).unwrap(), expected);
    }

    #[test]
    fn many_rows_are_looked_through_batch_by_batch() {
        let sink = HeadSink::new(2, HeadOrder::Rows);
        for number in (0..200_000_i64).rev() {
            if number % 20_000 == 0 {
                let rows: Vec<i64> = (number..number + 20_000).collect();
                let column = Arc::new(Int64Array::from(rows)) as ArrayRef;
                sink.write(Epoch(2), &Changes::inserts(vec![column], 20_000)).unwrap();
                assert!(sink.head().rows < BATCH_ROWS + 20_000);
            }
        }
        let found = sink.take().unwrap().unwrap();
        assert_eq!(found.iter().map(|row| ints(&row.columns[0])[0]).collect::<Vec<_>>(), [0, 1]);
    }
}
