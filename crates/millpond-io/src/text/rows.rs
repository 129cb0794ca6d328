//! Rows on their way into columns: those of one or several pieces of text, good, bad and taken back.

use std::iter::repeat_n;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BinaryArray, BooleanArray};
use arrow_select::filter::filter;
use millpond_columns::ColumnBuilder;
use millpond_columns::types::Column;
use millpond_engine::changes::Changes;

use super::metadata::FileMetadata;

/// Rows under construction.
#[derive(Debug)]
pub struct Rows {
    columns: Vec<ColumnBuilder>,
    rows: usize,
    /// Rows to leave out at the end, ascending.
    bad: Vec<usize>,
    /// Rows that are taken back.
    retracted: Vec<usize>,
    /// What files say of their rows: each up to a number of rows.
    metadata: Vec<(usize, FileMetadata)>,
}

impl Rows {
    /// No rows of these columns.
    pub(crate) fn new(columns: &[Column]) -> Self {
        let columns = columns.iter().map(|column| ColumnBuilder::new(column.ty)).collect();
        Rows { columns, rows: 0, bad: Vec::new(), retracted: Vec::new(), metadata: Vec::new() }
    }

    /// The number of good rows so far.
    pub(crate) fn good(&self) -> usize {
        self.rows - self.bad.len()
    }

    /// The columns, to append the same number of cells to each; [`Rows::add`] follows.
    pub(crate) fn columns(&mut self) -> &mut [ColumnBuilder] {
        &mut self.columns
    }

    /// Makes room for about this many rows.
    pub(crate) fn reserve(&mut self, rows: usize) {
        self.columns.iter_mut().for_each(|column| column.reserve(rows, 0));
    }

    /// Takes up rows whose cells were appended to all columns; `bad` are those to leave out, ascending from 0.
    pub(crate) fn add(&mut self, rows: usize, bad: impl IntoIterator<Item = usize>) {
        self.bad.extend(bad.into_iter().map(|row| self.rows + row));
        self.rows += rows;
    }

    /// Appends what `append` appends as rows that are taken back; whether all of it was good is what it returns. Rows
    /// that are not good never counted.
    pub(crate) fn retract(&mut self, append: impl FnOnce(&mut Self) -> bool) {
        let first = self.rows;
        if append(self) {
            self.retracted.extend(first..self.rows);
        }
    }

    /// Says what the file of the rows since the last call, or since the start, is.
    pub(crate) fn describe(&mut self, metadata: &FileMetadata) {
        self.metadata.push((self.rows, metadata.clone()));
    }

    /// All rows read, as changes, with the column of what was said of their files at the position `metadata_at`.
    pub(crate) fn finish(self, metadata_at: Option<usize>) -> Changes {
        let mut columns: Vec<ArrayRef> = self.columns.into_iter().map(ColumnBuilder::finish).collect();
        if let Some(at) = metadata_at {
            let starts = [0].into_iter().chain(self.metadata.iter().map(|(end, _)| *end));
            let cells =
                starts.zip(&self.metadata).flat_map(|(start, (end, text))| repeat_n(text.as_bytes(), end - start));
            columns.insert(at, Arc::new(BinaryArray::from_iter_values(cells)));
        }
        let mut diffs = vec![1i64; if self.retracted.is_empty() { 0 } else { self.rows }];
        for row in self.retracted {
            diffs[row] = -1;
        }
        let mut rows = self.rows;
        if !self.bad.is_empty() {
            let mut keep = vec![true; rows];
            for row in &self.bad {
                keep[*row] = false;
            }
            let mut kept = keep.iter();
            diffs.retain(|_| kept.next().is_none_or(|keep| *keep));
            let keep = BooleanArray::from(keep);
            columns = columns.iter().map(|column| keep_rows(column, &keep)).collect();
            rows -= self.bad.len();
        }
        if diffs.is_empty() { Changes::inserts(columns, rows) } else { Changes::new(columns, diffs.into()) }
    }
}

fn keep_rows(column: &dyn Array, keep: &BooleanArray) -> ArrayRef {
    filter(column, keep).expect("a column and what is kept of it have the same rows")
}
