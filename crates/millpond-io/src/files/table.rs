//! The table of files: what was read of each file of a source, kept in an arrangement.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array};
use millpond_columns::types::{ColumnType, Type};
use millpond_engine::arrangement::{SavedMap, SavedValue};
use millpond_engine::hash::HashSeed;

use super::list::Stamp;

/// What was read of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileRecord {
    /// What the file system said just before the file was read.
    pub stamp: Stamp,
    /// The time of that, in nanoseconds since the UNIX epoch.
    pub seen_ns: i64,
    /// Bytes read: all before are in `hash`, and reading goes on here, or at `last_row_start`.
    pub read_to: u64,
    /// Rows that count.
    pub rows: u64,
    /// The start of a last line without a newline that was read as a row, or of a last row with an open quote that was
    /// left out (only that ends with a newline); otherwise `read_to`.
    pub last_row_start: u64,
    /// The rows read from there: 1, or 0 if that line is blank or left out.
    pub last_rows: u64,
    /// The hash of the first `read_to` bytes.
    pub hash: u128,
}

const COLUMNS: usize = 12;

impl FileRecord {
    fn to_columns(self) -> [i64; COLUMNS] {
        let FileRecord { stamp, seen_ns, read_to, rows, last_row_start, last_rows, hash } = self;
        [
            stamp.device as i64,
            stamp.inode as i64,
            stamp.size as i64,
            stamp.modified_ns,
            stamp.changed_ns,
            seen_ns,
            read_to as i64,
            rows as i64,
            last_row_start as i64,
            last_rows as i64,
            (hash >> 64) as i64,
            hash as i64,
        ]
    }

    fn from_columns(columns: [i64; COLUMNS]) -> Self {
        let [
            device,
            inode,
            size,
            modified_ns,
            changed_ns,
            seen_ns,
            read_to,
            rows,
            last_row_start,
            last_rows,
            high,
            low,
        ] = columns;
        let stamp = Stamp { device: device as u64, inode: inode as u64, size: size as u64, modified_ns, changed_ns };
        FileRecord {
            stamp,
            seen_ns,
            read_to: read_to as u64,
            rows: rows as u64,
            last_row_start: last_row_start as u64,
            last_rows: last_rows as u64,
            hash: (u128::from(high as u64) << 64) | u128::from(low as u64),
        }
    }

    /// Whether the file may have changed since without a change of its stamp, because it had been changed just before
    /// it was seen. File systems count in ticks of some milliseconds; some only in seconds, or two.
    pub fn is_racy(&self) -> bool {
        const SECOND: i64 = 1_000_000_000;
        let latest = self.stamp.modified_ns.max(self.stamp.changed_ns);
        let tick = if latest % SECOND == 0 { 2 * SECOND } else { SECOND / 10 };
        latest.saturating_add(tick) > self.seen_ns
    }
}

impl SavedValue for FileRecord {
    fn columns() -> Vec<ColumnType> {
        vec![Type::Int.required(); COLUMNS]
    }

    fn to_rows<'a>(values: impl Iterator<Item = &'a Self> + Clone) -> Vec<ArrayRef> {
        let mut rows: [Vec<i64>; COLUMNS] = Default::default();
        for value in values {
            rows.iter_mut().zip(value.to_columns()).for_each(|(column, cell)| column.push(cell));
        }
        rows.into_iter().map(|column| Arc::new(Int64Array::from(column)) as ArrayRef).collect()
    }

    fn from_row(rows: &[ArrayRef], row: usize) -> std::result::Result<Self, &'static str> {
        let mut columns = [0; COLUMNS];
        for (cell, column) in columns.iter_mut().zip(rows) {
            *cell = column.as_primitive::<Int64Type>().value(row);
        }
        Ok(FileRecord::from_columns(columns))
    }

    fn order(&self, other: &Self) -> Ordering {
        self.to_columns().cmp(&other.to_columns())
    }
}

/// The table of files of one source: what is known of each, by its path below the source's root.
pub type FileTable = SavedMap<FileRecord>;

/// An empty table of files.
pub fn file_table(seed: HashSeed) -> FileTable {
    SavedMap::new(seed, |name, times| format!("the table of files of the saved state holds {name} {times} times"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use millpond_error::ErrorKind;
    use millpond_store::DAMAGE_HINT;
    use proptest::prelude::*;

    use super::*;
    use crate::testing::save_arrangement;

    #[test]
    fn a_file_that_is_there_twice_is_damage() {
        let mut table = file_table(HashSeed(3));
        table.update(vec![("a.csv".to_owned(), Some(FileRecord::default()))]).unwrap();
        let mut saved = save_arrangement("files", table.arrangement());
        let mut again = saved.segments[0].clone();
        (again.level, again.place.blob) = (again.level + 1, "again".to_owned());
        saved.segments.push(again);
        let error = table.open(saved).unwrap_err();
        let text = format!("the table of files of the saved state holds a.csv 2 times\nhint: {DAMAGE_HINT}");
        assert_eq!((error.kind(), error.to_string()), (ErrorKind::Data, text));
    }

    proptest! {
        #[test]
        fn what_is_taken_up_is_there_after_a_restart(
            updates in proptest::collection::vec(proptest::collection::btree_map("[ab]{1,3}", any::<(u64, u64, u64)>(), 0..8), 0..12),
        ) {
            let mut table = file_table(HashSeed(3));
            let mut expect = BTreeMap::new();
            for update in updates {
                let records: Vec<_> = update.into_iter().map(|(name, (size, high, low))| {
                    let stamp = Stamp { size, ..Stamp::default() };
                    let hash = (u128::from(high) << 64) | u128::from(low);
                    (name, FileRecord { stamp, hash, ..FileRecord::default() })
                }).collect();
                expect.extend(records.iter().cloned());
                table.update(records.into_iter().map(|(name, record)| (name, Some(record))).collect()).unwrap();
                let saved = save_arrangement("files", table.arrangement());
                table = file_table(HashSeed(3));
                table.open(saved).unwrap();
                prop_assert_eq!(table.values(), &expect);
            }
        }
    }
}
