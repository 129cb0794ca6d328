//! Rows repeated: for each int of a range of their own, as a row of each of its windows, or for each element of a list.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, UInt32Array};
use millpond_columns::packed;
use millpond_columns::types::ColumnType;
use millpond_columns::view::{ints, take};
use millpond_error::{Error, Result};
use millpond_store::DAMAGE_HINT;

use crate::changes::{Changes, Diffs};
use crate::operators::owners;

/// A piece of the output has about this many rows.
const PIECE_ROWS: usize = 8 * 1024;

/// Hands on each row once for every int from that of column `first` to that of the next column, both required; the int
/// takes the place of both. The output comes in pieces of some ten thousand rows, however long the ranges are.
///
/// # Errors
///
/// Those of `emit`.
pub fn expand(changes: &Changes, first: usize, emit: &mut dyn FnMut(Changes) -> Result<()>) -> Result<()> {
    let (from, to) = (ints(&changes.columns[first]), ints(&changes.columns[first + 1]));
    let mut rows: Vec<u32> = Vec::new();
    let mut numbers: Vec<i64> = Vec::new();
    for (row, (&from, &to)) in (0u32..).zip(from.iter().zip(to)) {
        numbers.extend(from..=to);
        rows.resize(numbers.len(), row);
        if numbers.len() >= PIECE_ROWS {
            let numbers = Arc::new(Int64Array::from(std::mem::take(&mut numbers)));
            emit(piece(changes, first..first + 2, std::mem::take(&mut rows), numbers))?;
        }
    }
    if !rows.is_empty() {
        emit(piece(changes, first..first + 2, rows, Arc::new(Int64Array::from(numbers))))?;
    }
    Ok(())
}

/// Hands on each row once for every element of its list in `column`; the element takes the place of the list. The
/// output comes in pieces as that of [`expand`].
///
/// # Errors
///
/// `Data` if the bytes of a list are not as they were written; those of `emit`.
pub fn flatten(
    changes: &Changes,
    column: usize,
    element: ColumnType,
    emit: &mut dyn FnMut(Changes) -> Result<()>,
) -> Result<()> {
    let Some((elements, offsets)) = packed::flatten(&changes.columns[column], element) else {
        return Err(Error::data("a list of the saved state is not as it was written").with_hint(DAMAGE_HINT));
    };
    let rows = owners(&offsets);
    for start in (0..rows.len()).step_by(PIECE_ROWS) {
        let rows = rows[start..rows.len().min(start + PIECE_ROWS)].to_vec();
        let elements = elements.slice(start, rows.len());
        emit(piece(changes, column..column + 1, rows, elements))?;
    }
    Ok(())
}

/// The rows at these positions, with `column` in the place of those that are replaced.
fn piece(changes: &Changes, replaced: Range<usize>, rows: Vec<u32>, column: ArrayRef) -> Changes {
    let diffs = match &changes.diffs {
        Diffs::Ones => Diffs::Ones,
        Diffs::Each(diffs) => Diffs::Each(rows.iter().map(|&row| diffs[row as usize]).collect()),
    };
    let at = UInt32Array::from(rows);
    let kept = |column: &ArrayRef| take(column, &at);
    let mut columns: Vec<ArrayRef> = changes.columns[..replaced.start].iter().map(kept).collect();
    columns.push(column);
    columns.extend(changes.columns[replaced.end..].iter().map(kept));
    Changes { columns, rows: at.len(), diffs }
}

#[cfg(test)]
mod tests {
    use arrow_array::StringArray;
    use arrow_array::cast::AsArray;
    use millpond_columns::types::Type;
    use millpond_error::ErrorKind;
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
            Ok(())
        })
        .unwrap();
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

    /// Random lists with random diffs, null ones among them, against one row at a time.
    #[test]
    fn every_row_is_there_for_each_element_as_often_as_it_came() {
        for seed in 0..3000 {
            let mut random = StdRng::seed_from_u64(seed);
            let lists: Vec<Option<Vec<i64>>> = (0..random.random_range(0..20))
                .map(|_| {
                    let list = (0..random.random_range(0..4)).map(|_| random.random_range(-9..9)).collect();
                    random.random_bool(0.8).then_some(list)
                })
                .collect();
            let diffs: Vec<i64> = lists.iter().map(|_| [1, 1, -1, 3][random.random_range(0..4)]).collect();
            let mut out = Vec::new();
            let packed = lists.iter().map(|list| {
                out.clear();
                list.iter().flatten().for_each(|&element| packed::put_int(element, &mut out));
                packed::put_end(&mut out);
                list.is_some().then(|| out.clone())
            });
            let packed: ArrayRef = Arc::new(packed.collect::<arrow_array::BinaryArray>());
            let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..lists.len() as i64));
            let at = random.random_range(0..2);
            let mut columns = vec![numbers];
            columns.insert(at, packed);
            let mut found = Vec::new();
            let collect = &mut |piece: Changes| {
                let (rows, elements) = (ints(&piece.columns[1 - at]), ints(&piece.columns[at]));
                found.extend((0..piece.rows).map(|i| (rows[i], elements[i], piece.diffs.get(i))));
                Ok(())
            };
            flatten(&Changes::new(columns, diffs.iter().copied().collect()), at, Type::Int.required(), collect)
                .unwrap();
            let rows = (0..).zip(&lists).zip(diffs);
            let expect: Vec<_> = rows
                .flat_map(|((row, list), diff)| list.iter().flatten().map(move |&element| (row, element, diff)))
                .collect();
            assert_eq!(found, expect, "seed {seed}");
        }
    }

    #[test]
    fn a_damaged_list_is_an_error() {
        let lists: ArrayRef = Arc::new(arrow_array::BinaryArray::from(vec![&b"\x02\x00"[..]]));
        let error =
            flatten(&Changes::new(vec![lists], vec![1].into()), 0, Type::Int.required(), &mut |_| Ok(())).unwrap_err();
        let text = format!("a list of the saved state is not as it was written\nhint: {DAMAGE_HINT}");
        assert_eq!((error.kind(), error.to_string()), (ErrorKind::Data, text));
    }

    #[test]
    fn pieces_hold_all_rows_in_order() {
        let most = PIECE_ROWS as i64;
        let rows = [("a", 0, most / 3, 1), ("b", 0, most, 1), ("c", 5, 9, -1)];
        let expect: Vec<_> = rows.iter().flat_map(|row| (row.1..=row.2).map(|n| (row.0, n, row.3))).collect();
        check(&rows, &expect);
    }
}
