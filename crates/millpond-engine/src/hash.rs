//! Key hashes, and the ranges of hashes that workers own.
//!
//! A hash routes a key to its worker, finds its bucket and sorts the state. It is part of the saved state, so what is
//! written here never changes within a format version.

use arrow_array::{Array, ArrayRef};
use millpond_columns::view::{ColumnView, Values};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The secret start of every hash of one state: user data may be chosen by an attacker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashSeed(pub u64);

/// Stands for a null cell: no cell of another kind has these bytes (text is UTF-8, a bool is 0 or 1), but for one of a
/// single byte of type `bytes`, which shares its hash with null.
const NULL: [u8; 1] = [0xff];

/// The hash of each row over all `columns`, from left to right: the hash of a cell is seeded with the hash of the
/// cells before it, and the first with `seed`. Cells that are equal have equal hashes; so have nulls.
pub fn hash_columns(seed: HashSeed, columns: &[ArrayRef], rows: usize) -> Vec<u64> {
    let mut hashes = vec![seed.0; rows];
    if columns.is_empty() {
        hashes.fill(xxh3_64_with_seed(&[], seed.0));
    }
    for column in columns {
        hash_column(column, &mut hashes);
    }
    hashes
}

fn hash_column(column: &ArrayRef, hashes: &mut [u64]) {
    assert_eq!(column.len(), hashes.len(), "columns of one batch have the same length");
    match ColumnView::of(column).values {
        Values::Bool(values) => {
            chain(column, hashes, |i, seed| xxh3_64_with_seed(&[u8::from(values.value(i))], seed));
        }
        Values::Float(values) => {
            chain(column, hashes, |i, seed| xxh3_64_with_seed(&values[i].to_bits().to_le_bytes(), seed));
        }
        Values::Bytes(values) => chain(column, hashes, |i, seed| xxh3_64_with_seed(values.get(i), seed)),
        Values::Int(values) => chain(column, hashes, |i, seed| xxh3_64_with_seed(&values[i].to_le_bytes(), seed)),
    }
}

#[inline(always)]
fn chain(column: &ArrayRef, hashes: &mut [u64], hash: impl Fn(usize, u64) -> u64) {
    match column.nulls() {
        None => {
            for (i, h) in hashes.iter_mut().enumerate() {
                *h = hash(i, *h);
            }
        }
        Some(nulls) => {
            for (i, h) in hashes.iter_mut().enumerate() {
                *h = if nulls.is_valid(i) { hash(i, *h) } else { xxh3_64_with_seed(&NULL, *h) };
            }
        }
    }
}

/// Hashes from `first` to `last`, both included; never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyRange {
    /// The smallest hash.
    pub first: u64,
    /// The largest hash.
    pub last: u64,
}

impl KeyRange {
    /// All hashes.
    pub const ALL: KeyRange = KeyRange { first: 0, last: u64::MAX };

    /// The share of worker `index` out of `workers`: the hashes with `(hash * workers) >> 64 == index`.
    pub fn of_worker(index: usize, workers: usize) -> Self {
        assert!(index < workers, "worker {index} of {workers}");
        // The smallest hash of a worker is its index * 2^64 / workers, rounded up.
        let start = |index: usize| ((index as u128) << 64).div_ceil(workers as u128);
        KeyRange { first: start(index) as u64, last: (start(index + 1) - 1) as u64 }
    }

    /// How many workers have shares of this size.
    pub fn workers(self) -> usize {
        (2f64.powi(64) / (self.last - self.first) as f64).round() as usize
    }

    /// The worker whose share `hash` is in.
    #[inline]
    pub fn worker_of(hash: u64, workers: usize) -> usize {
        ((u128::from(hash) * workers as u128) >> 64) as usize
    }

    /// Whether `hash` is in the range.
    #[inline]
    pub fn contains(self, hash: u64) -> bool {
        self.first <= hash && hash <= self.last
    }

    /// The smallest range that has all of these hashes; `None` if there are none.
    pub fn of_hashes(hashes: impl IntoIterator<Item = u64>) -> Option<KeyRange> {
        hashes.into_iter().map(|hash| KeyRange { first: hash, last: hash }).reduce(KeyRange::hull)
    }

    /// The smallest range that has the hashes of both.
    pub fn hull(self, other: KeyRange) -> KeyRange {
        KeyRange { first: self.first.min(other.first), last: self.last.max(other.last) }
    }

    /// The hashes in both ranges, if there are any.
    pub fn intersection(self, other: KeyRange) -> Option<KeyRange> {
        let (first, last) = (self.first.max(other.first), self.last.min(other.last));
        (first <= last).then_some(KeyRange { first, last })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{BooleanArray, Float64Array, Int64Array, StringArray};

    use super::*;

    fn hash(columns: &[ArrayRef]) -> Vec<u64> {
        hash_columns(HashSeed(7), columns, columns.first().map_or(1, |column| column.len()))
    }

    #[test]
    fn null_differs_from_every_default() {
        let columns: [ArrayRef; 4] = [
            Arc::new(Int64Array::from(vec![None, Some(0)])),
            Arc::new(StringArray::from(vec![None, Some("")])),
            Arc::new(BooleanArray::from(vec![None, Some(false)])),
            Arc::new(Float64Array::from(vec![None, Some(0.0)])),
        ];
        for column in columns {
            let hashes = hash(&[column]);
            assert_ne!(hashes[0], hashes[1]);
        }
    }

    #[test]
    fn cells_do_not_run_into_each_other() {
        let first: ArrayRef = Arc::new(StringArray::from(vec!["a", "ab"]));
        let second: ArrayRef = Arc::new(StringArray::from(vec!["bc", "c"]));
        let hashes = hash(&[first, second]);
        assert_ne!(hashes[0], hashes[1]);
    }

    /// The hash is part of every saved state: this test fails if a change of code or library would break them.
    #[test]
    fn the_hash_never_changes() {
        let int: ArrayRef = Arc::new(Int64Array::from(vec![Some(42), None]));
        let text: ArrayRef = Arc::new(StringArray::from(vec![Some("pond"), Some("")]));
        let expect = |bytes: &[u8], seed| xxhash_rust::xxh3::xxh3_64_with_seed(bytes, seed);
        let first = expect(b"pond", expect(&42i64.to_le_bytes(), 7));
        let second = expect(b"", expect(&[0xff], 7));
        assert_eq!(hash(&[int, text]), [first, second]);
        assert_eq!(first, 16_730_871_323_670_932_250);
    }

    #[test]
    fn shares_of_workers_cover_all_hashes_once() {
        for workers in [1, 2, 3, 5, 7, 8, 64, 1000] {
            let shares: Vec<_> = (0..workers).map(|i| KeyRange::of_worker(i, workers)).collect();
            assert_eq!(shares[0].first, 0);
            assert_eq!(shares[workers - 1].last, u64::MAX);
            for (i, share) in shares.iter().enumerate() {
                assert_eq!(KeyRange::worker_of(share.first, workers), i);
                assert_eq!(KeyRange::worker_of(share.last, workers), i);
                assert_eq!(share.workers(), workers);
                assert!(i == 0 || shares[i - 1].last + 1 == share.first);
            }
        }
    }
}
