//! Rows repeated for each int of a range of their own, as a row of each of its windows.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, UInt32Array};

use crate::cells::{ints, take};
use crate::changes::{Changes, Diffs};

/// A piece of the output has about this many rows.
const PIECE_ROWS: usize = 64 * 1024;

/// Hands on each row once for every int from that of column `first` to that of the next column, both required; the int
/// takes the place of both. The output comes in pieces of some ten thousand rows, however long the ranges are.
pub fn expand(changes: &Changes, first: usize, emit: &mut dyn FnMut(Changes)) {
    let (from, to) = (ints(&changes.columns[first]), ints(&changes.columns[first + 1]));
    let mut rows: Vec<u32> = Vec::new();
    let mut numbers: Vec<i64> = Vec::new();
    for (row, (&from, &to)) in (0u32..).zip(from.iter().zip(to)) {
        numbers.extend(from..=to);
        rows.resize(numbers.len(), row);
        if numbers.len() >= PIECE_ROWS {
            emit(piece(changes, first, std::mem::take(&mut rows), std::mem::take(&mut numbers)));
        }
    }
    if !rows.is_empty() {
        emit(piece(changes, first, rows, numbers));
    }
}

/// The rows at these positions, with these ints.
fn piece(changes: &Changes, first: usize, rows: Vec<u32>, numbers: Vec<i64>) -> Changes {
    let diffs = match &changes.diffs {
        Diffs::Ones => Diffs::Ones,
        Diffs::Each(diffs) => Diffs::Each(rows.iter().map(|&row| diffs[row as usize]).collect()),
    };
    let at = UInt32Array::from(rows);
    let kept = |column: &ArrayRef| take(column, &at);
    let mut columns: Vec<ArrayRef> = changes.columns[..first].iter().map(kept).collect();
    columns.push(Arc::new(Int64Array::from(numbers)));
    columns.extend(changes.columns[first + 2..].iter().map(kept));
    Changes { columns, rows: at.len(), diffs }
}

#[cfg(test)]
mod tests {
    use arrow_array::StringArray;
    use arrow_array::cast::AsArray;
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    /// Rows of text, from, to, diff; the output as lines of text, number and diff.
    #[track_caller]
    fn check(rows: &[(&str, i64, i64, i64)], expect: &[(&str, i64, i64)]) {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.0))),
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.1))),
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.2))),
        ];
        let changes = Changes::new(columns, rows.iter().map(|row| row.3).collect());
        let mut found = Vec::new();
        expand(&changes, 1, &mut |piece| {
            assert_eq!(piece.columns.len(), 2);
            for row in 0..piece.rows {
                let text = piece.columns[0].as_string::<i32>().value(row).to_owned();
                found.push((text, ints(&piece.columns[1])[row], piece.diffs.get(row)));
            }
        });
        let found: Vec<_> = found.iter().map(|(text, number, diff)| (text.as_str(), *number, *diff)).collect();
        assert_eq!(found, expect);
    }

    #[test]
    fn a_row_is_repeated_for_each_int_with_its_diff() {
        check(
            &[("a", -1, 1, 1), ("b", 4, 4, -2), ("c", 7, 8, 1)],
            &[("a", -1, 1), ("a", 0, 1), ("a", 1, 1), ("b", 4, -2), ("c", 7, 1), ("c", 8, 1)],
        );
        check(&[("a", i64::MAX, i64::MAX, 1)], &[("a", i64::MAX, 1)]);
    }

    /// Random rows with random diffs, against one row at a time.
    #[test]
    fn every_row_is_in_its_range_as_often_as_it_came() {
        for seed in 0..3000 {
            let mut random = StdRng::seed_from_u64(seed);
            let rows: Vec<(&str, i64, i64, i64)> = (0..random.random_range(0..20))
                .map(|_| {
                    let from = random.random_range(-5..5);
                    let diff = [1, 1, -1, 3][random.random_range(0..4)];
                    (["a", "b", ""][random.random_range(0..3)], from, from + random.random_range(-3..6), diff)
                })
                .collect();
            let mut expect = Vec::new();
            for &(text, from, to, diff) in &rows {
                let mut number = from;
                while number <= to {
                    expect.push((text, number, diff));
                    number += 1;
                }
            }
            eprintln!("seed {seed}");
            check(&rows, &expect);
        }
    }

    #[test]
    fn an_empty_range_drops_the_row() {
        check(&[("a", 1, 0, 1), ("b", i64::MAX, i64::MIN, 1)], &[]);
    }

    #[test]
    fn pieces_hold_all_rows_in_order() {
        let most = PIECE_ROWS as i64;
        let rows = [("a", 0, most / 3, 1), ("b", 0, most, 1), ("c", 5, 9, -1)];
        let expect: Vec<_> = rows.iter().flat_map(|row| (row.1..=row.2).map(|n| (row.0, n, row.3))).collect();
        check(&rows, &expect);
    }
}
