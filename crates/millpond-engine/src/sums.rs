//! Sums in the columns of accumulators: of ints in 128 bits, of floats exactly.
//!
//! A sum of ints is two columns, the high and the low half of 128 bits. A sum of floats is three:
//!
//! | column | type    | what                                                                                       |
//! |--------|---------|--------------------------------------------------------------------------------------------|
//! | `high` | `float` | the float nearest to the sum of the finite values, infinite beyond the range of floats      |
//! | `low`  | `float` | the float nearest to what `high` leaves; 0 if `rest` holds digits                           |
//! | `rest` | `bytes` | nothing, where all values are finite and `high` and `low` together are their sum; else      |
//! |        |         | the numbers of NaN, inf and -inf, and, where `high` and `low` are not the sum, its [digits](ExactSum) |
//!
//! These columns say nothing but what the sum is, so equal sums have equal bytes, whatever was added and taken back on
//! the way. Two floats hold the sum of values that are not too far apart: prices with cents, or ten thousand million
//! measures between 10⁻⁸ and 10⁸. So a loop of two-sums (Knuth) that loses nothing adds most of them; where it does
//! lose something, [`Exact`] begins anew.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{ArrayRef, Float64Array, Int64Array};
use arrow_buffer::NullBuffer;
use millpond_columns::types::Type;
use millpond_columns::view::{ColumnView, Text, Values, bytes, ints};
use millpond_error::{Error, Result};
use millpond_store::DAMAGE_HINT;

use crate::changes::Diffs;
use crate::exact::{DIGITS, ExactSum, Magnitude};

/// Bytes of the three numbers at the start of a rest.
const COUNTS_BYTES: usize = 24;
/// Bytes of a digit of a rest: its position and the digit.
const DIGIT_BYTES: usize = 5;

/// The segments of `offsets`, as ranges of rows.
pub(crate) fn segments(offsets: &[u32]) -> impl ExactSizeIterator<Item = std::ops::Range<usize>> {
    offsets.windows(2).map(|pair| pair[0] as usize..pair[1] as usize)
}

/// A number of rows that was added up in more bits.
///
/// # Errors
/// `Input` if an `int` does not hold it.
pub(crate) fn number_of_rows(number: i128) -> Result<i64> {
    i64::try_from(number).map_err(|_| {
        Error::input(format!("a group has {number} rows, more than an int can count"))
            .with_hint("take fewer rows together")
    })
}

/// The columns of the sums of an `int` or duration column over segments of rows.
///
/// # Errors
/// `Input` if there are so many rows that 128 bits do not hold a sum.
pub(crate) fn int_sums(column: &ArrayRef, diffs: &Diffs, offsets: &[u32]) -> Result<[ArrayRef; 2]> {
    let cells = ColumnView::of(column);
    let Values::Int(values) = cells.values else { unreachable!("an int sum is over an int column") };
    match (cells.nulls, diffs) {
        (None, Diffs::Ones) => {
            halves(segments(offsets).map(|rows| Wide::of(values[rows].iter().map(|value| i128::from(*value)).sum())))
        }
        _ => {
            let term = |i: usize| if cells.is_null(i) { 0 } else { i128::from(values[i]) * i128::from(diffs.get(i)) };
            halves(segments(offsets).map(|rows| rows.map(|i| Wide::of(term(i))).sum()))
        }
    }
}

/// Adds up sums of ints within each segment.
///
/// # Errors
/// As [`int_sums`].
pub(crate) fn merge_int_sums(high: &ArrayRef, low: &ArrayRef, offsets: &[u32]) -> Result<[ArrayRef; 2]> {
    let (high, low) = (ints(high), ints(low));
    halves(segments(offsets).map(|rows| rows.map(|i| Wide::of(wide(high[i], low[i]))).sum()))
}

/// The 128-bit number of two halves.
pub(crate) fn wide(high: i64, low: i64) -> i128 {
    (i128::from(high) << 64) | i128::from(low as u64)
}

/// A sum of 128-bit numbers with more bits than any number of rows can fill.
#[derive(Clone, Copy)]
struct Wide {
    high: i128,
    low: u128,
}

impl Wide {
    #[inline]
    fn of(number: i128) -> Self {
        Wide { high: number >> 64, low: u128::from(number as u64) }
    }
}

impl std::iter::Sum for Wide {
    #[inline]
    fn sum<I: Iterator<Item = Wide>>(numbers: I) -> Wide {
        let zero = Wide { high: 0, low: 0 };
        numbers.fold(zero, |sum, number| Wide { high: sum.high + number.high, low: sum.low + number.low })
    }
}

fn halves(sums: impl ExactSizeIterator<Item = Wide>) -> Result<[ArrayRef; 2]> {
    let (mut highs, mut lows) = (Vec::with_capacity(sums.len()), Vec::with_capacity(sums.len()));
    for sum in sums {
        let Ok(high) = i64::try_from(sum.high + (sum.low >> 64) as i128) else {
            let error = Error::input("a sum of ints is beyond 128 bits: its group has more rows than an int can count");
            return Err(error.with_hint("take fewer rows together"));
        };
        highs.push(high);
        lows.push(sum.low as i64);
    }
    Ok([Arc::new(Int64Array::from(highs)), Arc::new(Int64Array::from(lows))])
}

/// The float nearest to the quotient of an exact sum and a number of values; 0 if there are none.
pub(crate) fn int_mean(sum: i128, count: i64) -> f64 {
    const EXACT: i128 = 1 << 53;
    if count <= 0 {
        return 0.0;
    }
    if (-EXACT..=EXACT).contains(&sum) && i128::from(count) <= EXACT {
        return sum as f64 / count as f64;
    }
    let mut exact = ExactSum::default();
    exact.add_int(sum);
    exact.magnitude().nearest_mean(count)
}

/// The columns of the sums of a `float` column over segments of rows.
///
/// # Errors
/// `Input` if there are more infinities or NaN than an `int` counts.
pub(crate) fn float_sums(column: &ArrayRef, diffs: &Diffs, offsets: &[u32]) -> Result<[ArrayRef; 3]> {
    let cells = ColumnView::of(column);
    let Values::Float(values) = cells.values else { unreachable!("a float sum is over a float column") };
    let mut sums = FloatSums::with_capacity(offsets.len());
    for rows in segments(offsets) {
        let mut pair = Pair::default();
        match (cells.nulls, diffs) {
            (None, Diffs::Ones) => values[rows.clone()].iter().for_each(|value| pair.add(*value)),
            _ => rows.clone().filter(|&i| !cells.is_null(i)).for_each(|i| pair.add_times(values[i], diffs.get(i))),
        }
        match pair.finish() {
            Some((high, low)) => sums.push(high, low),
            None => {
                let mut exact = Exact::default();
                rows.filter(|&i| !cells.is_null(i)).for_each(|i| exact.add(values[i], diffs.get(i)));
                sums.push_exact(exact)?;
            }
        }
    }
    sums.finish()
}

/// Adds up sums of floats within each segment.
///
/// # Errors
/// As [`float_sums`], and `Data` if a saved sum is damaged.
pub(crate) fn merge_float_sums(columns: &[ArrayRef], offsets: &[u32]) -> Result<[ArrayRef; 3]> {
    let saved = Saved::of(columns);
    let mut sums = FloatSums::with_capacity(offsets.len());
    for rows in segments(offsets) {
        let mut pair = Pair::default();
        for i in rows.clone() {
            pair.add(saved.high[i]);
            pair.add(saved.low[i]);
        }
        match pair.finish().filter(|_| rows.clone().all(|i| saved.rest(i).is_empty())) {
            Some((high, low)) => sums.push(high, low),
            None => {
                let mut exact = Exact::default();
                rows.into_iter().try_for_each(|i| exact.add_saved(&saved, i))?;
                sums.push_exact(exact)?;
            }
        }
    }
    sums.finish()
}

/// The sums of these accumulator columns as floats.
///
/// # Errors
/// `Data` if a saved sum is damaged.
pub(crate) fn float_answers(columns: &[ArrayRef], known: Option<NullBuffer>) -> Result<ArrayRef> {
    let saved = Saved::of(columns);
    let high = columns[0].as_primitive::<Float64Type>().values().clone();
    if saved.all_pairs() {
        return Ok(Arc::new(Float64Array::new(high, known)));
    }
    let sum = |i: usize| Ok(saved.apart(i)?.unwrap_or(high[i]));
    let sums = (0..high.len()).map(sum).collect::<Result<Vec<f64>>>()?;
    Ok(Arc::new(Float64Array::new(sums.into(), known)))
}

/// The quotients of these sums and `counts`; 0 where there is nothing to count.
///
/// # Errors
/// `Data` if a saved sum is damaged.
pub(crate) fn float_means(columns: &[ArrayRef], counts: &[i64], known: Option<NullBuffer>) -> Result<ArrayRef> {
    let saved = Saved::of(columns);
    let mean = |(i, &count): (usize, &i64)| {
        if count <= 0 {
            return Ok(0.0);
        }
        if saved.rest(i).is_empty()
            && let Some(mean) = pair_mean(saved.high[i], saved.low[i], count)
        {
            return Ok(mean);
        }
        if let Some(apart) = saved.apart(i)? {
            return Ok(apart);
        }
        let mut exact = Exact::default();
        exact.add_saved(&saved, i)?;
        Ok(exact.sum.magnitude().nearest_mean(count))
    };
    let means = counts.iter().enumerate().map(mean).collect::<Result<Vec<f64>>>()?;
    Ok(Arc::new(Float64Array::new(means.into(), known)))
}

/// The float nearest to (`high` + `low`) / `count`, where that is seen at once.
#[inline]
fn pair_mean(high: f64, low: f64, count: i64) -> Option<f64> {
    if count == 1 || high == 0.0 {
        return Some(high);
    }
    // Nothing below is rounded by the end of the range of floats.
    let far_inside = (1e-270..1e290).contains(&high.abs());
    if !far_inside || count > 1 << 53 {
        return None;
    }
    let quotient = high / count as f64;
    if count & (count - 1) == 0 {
        return Some(quotient);
    }
    // What the quotient leaves is exact; its share is off by two roundings at most. If both ends of where it may be give
    // one float, that is the nearest (a rounding test as in Ziv, *Fast evaluation of elementary mathematical functions*, 1991).
    let left = (-quotient).mul_add(count as f64, high);
    let share = (left + low) / count as f64;
    let off = share.abs() * f64::EPSILON * 4.0;
    let (least, most) = (quotient + (share - off), quotient + (share + off));
    (least == most).then_some(least)
}

/// The sum of two floats and what its rounding lost, which is exact unless the sum is not finite (Knuth).
#[inline(always)]
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let part = sum - a;
    (sum, (a - (sum - part)) + (b - part))
}

/// A sum of floats in two floats.
#[derive(Clone, Copy, Default)]
struct Pair {
    high: f64,
    low: f64,
    /// Not 0 once the two are not the sum.
    lost: u64,
}

impl Pair {
    #[inline(always)]
    fn add(&mut self, value: f64) {
        let (high, error) = two_sum(self.high, value);
        let (low, lost) = two_sum(self.low, error);
        *self = Pair { high, low, lost: self.lost | lost.to_bits() };
    }

    #[inline]
    fn add_times(&mut self, value: f64, times: i64) {
        if times.unsigned_abs() <= 1 {
            self.add(value * times as f64);
        } else if times.unsigned_abs() <= 1 << 53 {
            let product = value * times as f64;
            self.add(product);
            self.add(value.mul_add(times as f64, -product));
        } else {
            self.lost = 1;
        }
    }

    /// The nearest float and what it leaves; `None` if these are not the sum.
    #[inline(always)]
    fn finish(self) -> Option<(f64, f64)> {
        let (high, low) = two_sum(self.high, self.low);
        (self.lost == 0 && high.is_finite()).then_some((high, low))
    }
}

/// A sum of any floats: the simple twin of [`Pair`].
#[derive(Default)]
struct Exact {
    sum: ExactSum,
    /// Numbers of NaN, inf and -inf.
    apart: [i128; 3],
}

impl Exact {
    fn add(&mut self, value: f64, times: i64) {
        match value {
            _ if value.is_nan() => self.apart[0] += i128::from(times),
            f64::INFINITY => self.apart[1] += i128::from(times),
            f64::NEG_INFINITY => self.apart[2] += i128::from(times),
            _ => self.sum.add(value, times),
        }
    }

    fn add_saved(&mut self, saved: &Saved<'_>, i: usize) -> Result<()> {
        let rest = saved.rest(i);
        if !rest.is_empty() {
            let counts = counts(rest)?;
            self.apart.iter_mut().zip(counts).for_each(|(apart, count)| *apart += i128::from(count));
        }
        let Some((sign, digits)) = rest.get(COUNTS_BYTES..).and_then(<[u8]>::split_first) else {
            if !saved.high[i].is_finite() || !saved.low[i].is_finite() {
                return Err(damaged());
            }
            self.sum.add(saved.high[i], 1);
            self.sum.add(saved.low[i], 1);
            return Ok(());
        };
        let (digits, []) = digits.as_chunks::<DIGIT_BYTES>() else { return Err(damaged()) };
        for &[at, a, b, c, d] in digits {
            if usize::from(at) >= DIGITS {
                return Err(damaged());
            }
            self.sum.add_digit(at.into(), u32::from_le_bytes([a, b, c, d]), *sign != 0);
        }
        Ok(())
    }
}

/// The numbers of NaN, inf and -inf in a rest.
fn counts(rest: &[u8]) -> Result<[i64; 3]> {
    let (numbers, _) = rest.as_chunks::<8>();
    match numbers {
        [nan, positive, negative, ..] => Ok([nan, positive, negative].map(|bytes| i64::from_le_bytes(*bytes))),
        _ => Err(damaged()),
    }
}

fn damaged() -> Error {
    Error::data("the saved state holds a sum of floats that cannot be read").with_hint(DAMAGE_HINT)
}

/// The columns of sums of floats, to read.
struct Saved<'a> {
    high: &'a [f64],
    low: &'a [f64],
    rest: Text<'a>,
}

impl<'a> Saved<'a> {
    fn of(columns: &'a [ArrayRef]) -> Self {
        let floats = |column: &'a ArrayRef| -> &'a [f64] { column.as_primitive::<Float64Type>().values() };
        let (offsets, bytes) = bytes(&columns[2]);
        Saved { high: floats(&columns[0]), low: floats(&columns[1]), rest: Text { offsets, bytes } }
    }

    #[inline(always)]
    fn rest(&self, i: usize) -> &'a [u8] {
        self.rest.get(i)
    }

    /// Whether every sum is `high` and `low` alone.
    fn all_pairs(&self) -> bool {
        self.rest.offsets.first() == self.rest.offsets.last()
    }

    /// What the sum is whatever its finite values are, if there are others.
    fn apart(&self, i: usize) -> Result<Option<f64>> {
        if self.rest(i).is_empty() {
            return Ok(None);
        }
        Ok(match counts(self.rest(i))?.map(|count| count > 0) {
            [true, ..] | [_, true, true] => Some(f64::NAN),
            [_, true, _] => Some(f64::INFINITY),
            [_, _, true] => Some(f64::NEG_INFINITY),
            _ => None,
        })
    }
}

/// The columns of sums of floats, as they grow.
struct FloatSums {
    high: Vec<f64>,
    low: Vec<f64>,
    ends: Vec<i32>,
    rest: Vec<u8>,
}

impl FloatSums {
    fn with_capacity(sums: usize) -> Self {
        let mut ends = Vec::with_capacity(sums + 1);
        ends.push(0);
        FloatSums { high: Vec::with_capacity(sums), low: Vec::with_capacity(sums), ends, rest: Vec::new() }
    }

    #[inline(always)]
    fn push(&mut self, high: f64, low: f64) {
        self.high.push(high);
        self.low.push(low);
        // A rest that is too long is found where it was appended.
        self.ends.push(self.rest.len() as i32);
    }

    fn push_exact(&mut self, mut exact: Exact) -> Result<()> {
        let digits = exact.sum.magnitude();
        let high = digits.nearest();
        let mut low = 0.0;
        let mut in_two = false;
        if high.is_finite() {
            exact.sum.add(high, -1);
            let left = exact.sum.magnitude();
            let nearest = left.nearest();
            exact.sum.add(nearest, -1);
            in_two = exact.sum.magnitude().is_zero();
            low = if in_two { nearest } else { 0.0 };
        }
        if !in_two || exact.apart != [0; 3] {
            for number in exact.apart {
                self.rest.extend_from_slice(&number_of_rows(number)?.to_le_bytes());
            }
        }
        if !in_two {
            self.push_digits(&digits);
        }
        check_rest(self.rest.len())?;
        self.push(high, low);
        Ok(())
    }

    fn push_digits(&mut self, sum: &Magnitude) {
        self.rest.push(u8::from(sum.negative));
        for (at, digit) in (0u8..).zip(sum.digits) {
            if digit != 0 {
                self.rest.push(at);
                self.rest.extend_from_slice(&digit.to_le_bytes());
            }
        }
    }

    fn finish(self) -> Result<[ArrayRef; 3]> {
        let rest = Type::Bytes.byte_array(self.ends, self.rest, None);
        let rest = rest.expect("bytes of any kind, which end where they were appended");
        Ok([Arc::new(Float64Array::from(self.high)), Arc::new(Float64Array::from(self.low)), rest])
    }
}

/// Checks that the rests of sums, of so many bytes, have a place in one column.
fn check_rest(bytes: usize) -> Result<()> {
    if bytes > i32::MAX as usize {
        return Err(Error::input("the sums of one batch need over 2 GiB").with_hint("take fewer rows together"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use arrow_array::Array;
    use millpond_columns::view::concat;
    use millpond_error::ErrorKind;
    use proptest::prelude::*;

    use super::*;
    use crate::exact::tests::floats;

    /// The same by the simple twin alone.
    fn exact_sums(values: &Float64Array, diffs: &Diffs, offsets: &[u32]) -> Result<[ArrayRef; 3]> {
        let mut sums = FloatSums::with_capacity(offsets.len());
        for rows in segments(offsets) {
            let mut exact = Exact::default();
            rows.filter(|&i| values.is_valid(i)).for_each(|i| exact.add(values.value(i), diffs.get(i)));
            sums.push_exact(exact)?;
        }
        sums.finish()
    }

    /// As bits, so that zeros and NaN differ.
    fn bits(columns: &[ArrayRef]) -> Vec<(u64, u64, Vec<u8>)> {
        let saved = Saved::of(columns);
        (0..saved.high.len())
            .map(|i| (saved.high[i].to_bits(), saved.low[i].to_bits(), saved.rest(i).to_vec()))
            .collect()
    }

    fn diffs() -> impl Strategy<Value = i64> {
        prop_oneof![6 => Just(1i64), 4 => Just(-1), 2 => -4..4i64, 1 => any::<i32>().prop_map(i64::from), 1 => any::<i64>()]
    }

    /// Rows of a group, some null.
    fn rows() -> impl Strategy<Value = Vec<(Option<f64>, i64)>> {
        let ordinary = (1..100_000i64).prop_map(|cents| cents as f64 / 100.0);
        prop_oneof![
            prop::collection::vec((prop::option::weighted(0.9, floats()), diffs()), 0..10),
            prop::collection::vec((ordinary.prop_map(Some), prop_oneof![9 => Just(1i64), 1 => Just(-1)]), 0..40),
        ]
    }

    fn columns(rows: &[(Option<f64>, i64)]) -> (ArrayRef, Diffs) {
        let diffs = match rows.iter().all(|(_, diff)| *diff == 1) {
            true => Diffs::Ones,
            false => Diffs::Each(rows.iter().map(|(_, diff)| *diff).collect()),
        };
        (Arc::new(rows.iter().map(|(value, _)| *value).collect::<Float64Array>()), diffs)
    }

    proptest! {
        #[test]
        fn pairs_and_exact_sums_agree(rows in rows(), cut in 0..40u32) {
            let cut = cut.min(rows.len() as u32);
            let offsets = [0, cut, cut, rows.len() as u32];
            let (column, diffs) = columns(&rows);
            let fast = float_sums(&column, &diffs, &offsets).unwrap();
            let simple = exact_sums(column.as_primitive(), &diffs, &offsets).unwrap();
            prop_assert_eq!(bits(&fast), bits(&simple));
            let count = rows.len().max(1) as i64;
            for i in 0..3 {
                let saved = Saved::of(&fast);
                if let Some(mean) = pair_mean(saved.high[i], saved.low[i], count).filter(|_| saved.rest(i).is_empty()) {
                    let mut exact = Exact::default();
                    exact.add_saved(&saved, i).unwrap();
                    prop_assert_eq!(mean.to_bits(), exact.sum.magnitude().nearest_mean(count).to_bits());
                }
            }
        }

        /// In another order, in several parts, and with what was taken back on the way.
        #[test]
        fn equal_sums_have_equal_bytes(
            rows in rows().prop_shuffle(), others in prop::collection::vec(floats(), 0..4), cut in 0..40usize,
        ) {
            let (column, diffs) = columns(&rows);
            let whole = float_sums(&column, &diffs, &[0, rows.len() as u32]).unwrap();
            let mut detour: Vec<_> = rows.iter().rev().copied().collect();
            detour.splice(0..0, others.iter().map(|value| (Some(*value), 1)));
            detour.extend(others.iter().map(|value| (Some(*value), -1)));
            let (column, diffs) = columns(&detour);
            let cut = cut.min(detour.len()) as u32;
            let parts = float_sums(&column, &diffs, &[0, cut, detour.len() as u32]).unwrap();
            let merged = merge_float_sums(&parts, &[0, 2]).unwrap();
            prop_assert_eq!(bits(&merged), bits(&whole));
            let (one, other) = (float_answers(&whole, None).unwrap(), float_answers(&merged, None).unwrap());
            prop_assert_eq!(one.to_data(), other.to_data());
        }

        #[test]
        fn sums_of_ints_are_exact(values in prop::collection::vec((any::<i64>(), diffs()), 0..8), cut in 0..8usize) {
            let column: ArrayRef = Arc::new(Int64Array::from_iter_values(values.iter().map(|(value, _)| *value)));
            let diffs = Diffs::Each(values.iter().map(|(_, diff)| *diff).collect());
            let cut = cut.min(values.len()) as u32;
            let expect = values.iter().try_fold(0i128, |sum, (value, diff)| sum.checked_add(i128::from(*value) * i128::from(*diff)));
            let sums = int_sums(&column, &diffs, &[0, values.len() as u32]);
            let number = |sums: &[ArrayRef; 2]| wide(ints(&sums[0])[0], ints(&sums[1])[0]);
            // What leaves 128 bits on its way may still fit in the end.
            if let Some(expect) = expect {
                prop_assert_eq!(number(&sums.unwrap()), expect);
            }
            if let (Some(expect), Ok(parts)) = (expect, int_sums(&column, &diffs, &[0, cut, values.len() as u32])) {
                prop_assert_eq!(number(&merge_int_sums(&parts[0], &parts[1], &[0, 2]).unwrap()), expect);
            }
        }
    }

    /// The sum and the mean of these, over as many rows.
    #[track_caller]
    fn check(values: &[(f64, i64)], sum: &str, mean: &str) {
        let rows: Vec<_> = values.iter().map(|(value, diff)| (Some(*value), *diff)).collect();
        for rows in [rows.clone(), rows.into_iter().rev().collect()] {
            let (column, diffs) = columns(&rows);
            let sums = float_sums(&column, &diffs, &[0, rows.len() as u32]).unwrap();
            let count: i64 = rows.iter().map(|(_, diff)| diff).sum();
            let [answer, average] = [float_answers(&sums, None), float_means(&sums, &[count], None)]
                .map(|column| format!("{:?}", column.unwrap().as_primitive::<Float64Type>().value(0)));
            assert_eq!((answer.as_str(), average.as_str()), (sum, mean));
        }
    }

    #[test]
    fn large_values_that_leave_leave_nothing() {
        check(&[(f64::MAX, 2)], "inf", "1.7976931348623157e308");
        check(&[(f64::MAX, 2), (f64::MAX, -2), (2.0, 1), (3.0, 1)], "5.0", "2.5");
        check(&[(1e308, 1), (1e308, 1), (-1e308, 1)], "1e308", "3.333333333333333e307");
        check(&[(0.1, 1), (0.2, 1), (0.3, 1), (1e300, 1), (1e300, -1)], "0.6", "0.2");
        check(&[(1e16, 1), (1.0, 1), (-1e16, 1)], "1.0", "0.3333333333333333");
        check(&[(f64::from_bits(1), 1), (0.0, 1)], "5e-324", "0.0");
    }

    #[test]
    fn what_is_no_number_leaves_again() {
        check(&[(f64::INFINITY, 1), (1.0, 1)], "inf", "inf");
        check(&[(f64::INFINITY, 1), (f64::NEG_INFINITY, 1), (1.0, 1)], "NaN", "NaN");
        check(&[(f64::NAN, 1), (f64::NEG_INFINITY, 1), (f64::NAN, -1), (1.0, 1)], "-inf", "-inf");
        check(&[(f64::INFINITY, 3), (f64::INFINITY, -3), (1.5, 3)], "4.5", "1.5");
    }

    #[test]
    fn prices_with_cents_need_two_floats_alone() {
        let prices: Vec<f64> = (1..200_000).map(|cents| f64::from(cents) / 100.0).collect();
        let sums = float_sums(
            &(Arc::new(Float64Array::from(prices.clone())) as ArrayRef),
            &Diffs::Ones,
            &[0, prices.len() as u32],
        );
        let sums = sums.unwrap();
        assert!(Saved::of(&sums).all_pairs());
        let merged = merge_float_sums(&concat(&[&sums, &sums]), &[0, 2]).unwrap();
        assert!(Saved::of(&merged).all_pairs());
    }

    #[test]
    fn damaged_sums_are_named() {
        for rest in [vec![1], vec![0; 23], vec![0; 27], [vec![0; 25], vec![99, 1, 1, 1, 1]].concat()] {
            let length = rest.len() as i32;
            let column = |value: f64| Arc::new(Float64Array::from(vec![value])) as ArrayRef;
            let columns = [column(1.0), column(0.0), Type::Bytes.byte_array(vec![0, length], rest, None).unwrap()];
            let error = merge_float_sums(&columns, &[0, 1]).unwrap_err();
            let text = format!("the saved state holds a sum of floats that cannot be read\nhint: {DAMAGE_HINT}");
            assert_eq!((error.kind(), error.to_string()), (ErrorKind::Data, text));
        }
    }

    #[test]
    fn sums_of_one_batch_have_2_gib_at_most() {
        check_rest(i32::MAX as usize).unwrap();
        let error = check_rest(1 << 31).unwrap_err();
        let text = "the sums of one batch need over 2 GiB\nhint: take fewer rows together";
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Input, text));
    }

    #[test]
    fn sums_beyond_128_bits_are_named() {
        let column: ArrayRef = Arc::new(Int64Array::from(vec![i64::MIN; 3]));
        let error = int_sums(&column, &Diffs::Each(vec![i64::MAX; 3].into()), &[0, 3]).unwrap_err();
        let text = "a sum of ints is beyond 128 bits: its group has more rows than an int can count\n\
                    hint: take fewer rows together";
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Input, text));
        int_sums(&column, &Diffs::Each(vec![i64::MAX; 3].into()), &[0, 1, 2, 3]).unwrap();
    }
}
