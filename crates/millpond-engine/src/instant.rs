//! Event times as ints: an instant of `millpond_plan` orders as the time that it stands for, whatever the type of the
//! time.

use arrow_array::ArrayRef;
use millpond_columns::view::{ColumnView, Values, ints};
use millpond_plan::{Literal, instant};

use crate::changes::Changes;

/// The instants of times: an `int`, `float` or point in time each, never null.
pub fn instants(times: &ArrayRef) -> Vec<i64> {
    match floats(times) {
        Some(times) => times.iter().map(|time| instant::of(*time)).collect(),
        None => ints(times).to_vec(),
    }
}

/// The instants that are so much later than these times, or instants of floats; those past the last instant of a
/// watermark are, too.
pub fn later(times: &ArrayRef, by: &Literal) -> Vec<i128> {
    match by {
        Literal::Float(by) => match floats(times) {
            Some(times) => times.iter().map(|time| instant::of(time + by).into()).collect(),
            None => ints(times).iter().map(|time| instant::of(instant::float(*time) + by).into()).collect(),
        },
        by => {
            let by = by.as_int().expect("a length is of the type of the time");
            ints(times).iter().map(|time| i128::from(*time) + i128::from(by)).collect()
        }
    }
}

/// The greatest time of column `time` in the rows that are added.
pub fn greatest(changes: &Changes, time: usize) -> Option<i64> {
    let added = |row: &usize| changes.diffs.get(*row) > 0;
    let times = &changes.columns[time];
    let rows = (0..changes.rows).filter(added);
    match floats(times) {
        Some(times) => rows.map(|row| times[row]).filter(|time| !time.is_nan()).map(instant::of).max(),
        None => {
            let times = ints(times);
            rows.map(|row| times[row]).max()
        }
    }
}

/// The times, if they are floats.
fn floats(times: &ArrayRef) -> Option<&[f64]> {
    match ColumnView::of(times).values {
        Values::Float(times) => Some(times),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Float64Array, Int64Array};

    use super::*;

    #[test]
    fn instants_order_as_floats_do() {
        let times = [f64::NEG_INFINITY, -1e300, -2.5, -0.0, 0.0, 1e-300, 2.5, f64::INFINITY];
        let column: ArrayRef = Arc::new(Float64Array::from(times.to_vec()));
        let instants = instants(&column);
        for (a, b) in times.windows(2).zip(instants.windows(2)).map(|(a, b)| (a[0] < a[1], b[0] < b[1])) {
            assert_eq!(a, b, "{times:?} {instants:?}");
        }
        assert_eq!(later(&column, &Literal::Float(2.5))[2], instants[3].into());
    }

    #[test]
    fn ints_that_are_too_late_are_past_the_last_instant() {
        let column: ArrayRef = Arc::new(Int64Array::from(vec![1, i64::MAX - 1, i64::MAX]));
        assert_eq!(later(&column, &Literal::Int(5)), [6, i128::from(i64::MAX) + 4, i128::from(i64::MAX) + 5]);
        assert_eq!(later(&column, &Literal::Int(0))[2], i64::MAX.into());
    }

    #[test]
    fn only_rows_that_are_added_count() {
        let times: ArrayRef = Arc::new(Int64Array::from(vec![3, 9, 4]));
        assert_eq!(greatest(&Changes::new(vec![times.clone()], vec![1, -1, 2].into()), 0), Some(4));
        assert_eq!(greatest(&Changes::new(vec![times], vec![-1, -1, -2].into()), 0), None);
        let times: ArrayRef = Arc::new(Float64Array::from(vec![f64::NAN, -3.0]));
        assert_eq!(greatest(&Changes::inserts(vec![times.clone()], 2), 0), Some(instants(&times)[1]));
    }
}
