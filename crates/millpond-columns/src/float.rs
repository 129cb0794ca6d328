//! The floats that a cell may hold: one zero and one NaN.
//!
//! `-0.0` equals `0.0`, and no NaN can be told from another by any comparison; as text and as bytes they differ all the
//! same. If both stood in cells, a row could not be taken back by an equal one, and which of the two a reducer answers
//! would hang on what came first. So neither `-0.0` nor a NaN of other bits ever gets into a cell: rows are brought to
//! this form where they enter the dataflow, literals where they become cells, and results by the operation that
//! computes them, if it can give anything else. From there on equal floats have equal bits, and the order of
//! [`f64::total_cmp`] is the order of numbers, with the NaN behind all of them.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, Float64Array};
use arrow_schema::DataType;

/// The float that stands for all that equal it: `0.0` for `-0.0`, one NaN for all.
#[inline(always)]
pub fn canonical(value: f64) -> f64 {
    // `-0.0 + 0.0` is `0.0`; no other number is changed by the addition.
    one_nan(value + 0.0)
}

/// The same where the value is not `-0.0`.
#[inline(always)]
pub fn one_nan(value: f64) -> f64 {
    if value.is_nan() { f64::NAN } else { value }
}

/// Whether a float may be in a cell.
#[inline(always)]
pub fn is_canonical(value: f64) -> bool {
    canonical(value).to_bits() == value.to_bits()
}

/// A column whose floats, if it is of floats, may be in cells.
pub fn canonical_column(column: ArrayRef) -> ArrayRef {
    if is_canonical_column(&column) {
        return column;
    }
    let floats = column.as_primitive::<Float64Type>();
    Arc::new(Float64Array::new(
        floats.values().iter().map(|value| canonical(*value)).collect(),
        floats.nulls().cloned(),
    ))
}

/// Whether a column is of another type, or all its floats may be in cells.
pub fn is_canonical_column(column: &ArrayRef) -> bool {
    column.data_type() != &DataType::Float64
        || column.as_primitive::<Float64Type>().values().iter().fold(true, |all, value| all & is_canonical(*value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_zero_and_one_nan() {
        let payload = f64::from_bits(0xfff8_0000_0000_0123);
        let column: ArrayRef = Arc::new(Float64Array::from(vec![-0.0, payload, -1.5, -f64::NAN, f64::from_bits(1)]));
        assert!(!is_canonical_column(&column));
        let column = canonical_column(column);
        let bits: Vec<u64> =
            column.as_primitive::<Float64Type>().values().iter().map(|value| value.to_bits()).collect();
        assert_eq!(bits, [0, 0x7ff8_0000_0000_0000, (-1.5f64).to_bits(), 0x7ff8_0000_0000_0000, 1]);
        assert!(is_canonical_column(&column));
    }
}
