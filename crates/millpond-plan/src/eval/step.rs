//! The number of the last of some regular bounds that a time is not below, see [`crate::window`].

use arrow_array::{Float64Array, Int64Array};

use super::cells::{Cells, Data, ErrorCode, Reason, failures, merge_errors};
use super::divisor::Divisor;
use crate::instant;
use crate::literal::Literal;
use crate::terms::{Bounds, TermId};

/// How far the estimate of a number may be off: it rounds three times, a bound as often.
const SLACK: i64 = 4;
/// Above this, the estimate of a number is no longer exact to one.
const MOST_STEPS: f64 = (1_i64 << 50) as f64;

/// The `k` with `bound(k) <= a < bound(k + 1)`.
pub(crate) fn step(a: &Cells, bounds: &Bounds, term: TermId) -> Cells {
    match (&a.data, &bounds.hop, &bounds.origin, &bounds.shift) {
        (Data::Int(times), Literal::Int(hop), Literal::Int(origin), Literal::Int(shift)) => {
            let (hop, zero) = (*hop, i128::from(*origin) + i128::from(*shift));
            match (i64::try_from(zero), Divisor::new(hop)) {
                (Ok(zero), Some(hop)) => {
                    numbers(a, times.values(), term, Reason::IntOverflow, |time| int_step(time, hop, zero))
                }
                _ => numbers(a, times.values(), term, Reason::IntOverflow, |time| wide_step(time, hop, zero)),
            }
        }
        (Data::Float(times), Literal::Float(hop), Literal::Float(origin), Literal::Float(shift)) => {
            let (hop, origin, shift) = (*hop, *origin, *shift);
            numbers(a, times.values(), term, Reason::NoWindow, |time| float_step(time, hop, origin, shift))
        }
        _ => unreachable!("the type check brings the bounds to the type of the time"),
    }
}

/// The bounds of these numbers, of whole numbers.
pub(crate) fn bound(a: &Cells, bounds: &Bounds, term: TermId) -> Cells {
    let Data::Int(ks) = &a.data else { unreachable!("the number of a window is an int") };
    numbers(a, ks.values(), term, Reason::IntOverflow, |k| i64::try_from(bounds.whole(k)).ok())
}

/// The instants of floats.
pub(crate) fn instant(a: &Cells, term: TermId) -> Cells {
    let Data::Float(times) = &a.data else { unreachable!("only a float becomes an instant") };
    let instant = |time: f64| time.is_finite().then(|| instant::of(time));
    numbers(a, times.values(), term, Reason::NoWindow, instant)
}

/// The floats of instants.
pub(crate) fn of_instant(a: &Cells) -> Cells {
    let Data::Int(instants) = &a.data else { unreachable!("an instant is an int") };
    let times: Vec<f64> = instants.values().iter().map(|instant| instant::float(*instant)).collect();
    let data = Data::Float(Float64Array::new(times.into(), a.data.nulls().cloned()));
    Cells::new(data, a.constant, a.errors.clone())
}

fn numbers<T: Copy>(a: &Cells, times: &[T], term: TermId, reason: Reason, number: impl Fn(T) -> Option<i64>) -> Cells {
    let mut any = false;
    let numbers = times.iter().map(|time| {
        let number = number(*time);
        any |= number.is_none();
        number.unwrap_or(0)
    });
    let numbers: Vec<i64> = numbers.collect();
    let failed =
        |i: usize| if number(times[i]).is_none() { ErrorCode::new(term, reason) } else { ErrorCode::default() };
    let new = if any { failures(times.len(), a.data.nulls(), failed) } else { None };
    let data = Data::Int(Int64Array::new(numbers.into(), a.data.nulls().cloned()));
    Cells::new(data, a.constant, merge_errors(a.errors.clone(), new))
}

#[inline]
fn int_step(time: i64, hop: Divisor, zero: i64) -> Option<i64> {
    match time.checked_sub(zero) {
        Some(distance) => Some(hop.floor_div(distance)),
        None => wide_step(time, hop.get(), zero.into()),
    }
}

fn wide_step(time: i64, hop: i64, zero: i128) -> Option<i64> {
    i64::try_from((i128::from(time) - zero).div_euclid(hop.into())).ok()
}

/// Only the bounds themselves decide; the quotient says where to look for them.
#[inline]
fn float_step(time: f64, hop: f64, origin: f64, shift: f64) -> Option<i64> {
    let bound = |k: i64| k as f64 * hop + origin + shift;
    let estimate = ((time - shift - origin) / hop).floor();
    if !(-MOST_STEPS..=MOST_STEPS).contains(&estimate) {
        return None;
    }
    let estimate = estimate as i64;
    let inside = |k: &i64| bound(*k) <= time && time < bound(*k + 1);
    if inside(&estimate) { Some(estimate) } else { (estimate - SLACK..=estimate + SLACK).find(inside) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn numbered(time: i64, hop: i64, zero: i64) -> Option<i64> {
        int_step(time, Divisor::new(hop).unwrap(), zero)
    }

    #[track_caller]
    fn check(time: f64, hop: f64, origin: f64, number: Option<i64>) {
        assert_eq!(float_step(time, hop, origin, 0.0), number);
    }

    #[test]
    fn a_time_on_a_bound_belongs_to_the_window_that_starts_there() {
        check(0.3, 0.1, 0.0, Some(2)); // 3 * 0.1 is 0.30000000000000004, which is above
        check(0.1 * 3.0, 0.1, 0.0, Some(3));
        check(-0.1, 0.1, 0.0, Some(-1));
        check(0.5, 0.5, 0.0, Some(1));
        check(0.7, 0.1, 0.2, Some(5));
        check(-0.0, 0.5, 0.0, Some(0));
    }

    #[test]
    fn a_float_next_to_a_bound_is_on_its_side_of_it() {
        for hop in [0.1, 1.0 / 3.0, 0.5, 7.3, 1e-9, 1e9] {
            for origin in [0.0, 0.1, -12.7, 1e5] {
                for k in [-1_000_003_i64, -77, -3, -1, 0, 1, 2, 3, 10, 12_345, 999_999] {
                    let bound = k as f64 * hop + origin;
                    if bound.next_up() - bound > hop / 4.0 {
                        continue;
                    }
                    check(bound, hop, origin, Some(k));
                    check(bound.next_up(), hop, origin, Some(k));
                    check(bound.next_down(), hop, origin, Some(k - 1));
                }
            }
        }
    }

    proptest! {
        /// A number is right by definition, and is missing only where bounds are too close to be told apart.
        #[test]
        fn a_float_is_between_its_bounds(
            (time, origin, shift) in (-1e6..1e6, -1e6..1e6, prop_oneof![Just(0.0), 0.0..100.0]),
            hop in prop_oneof![1e-3..1.0, 1.0..1e4, Just(0.1), Just(1.0 / 3.0)],
            steps in prop_oneof![Just(None), (-1000_i64..1000).prop_map(Some)],
        ) {
            let bound = |k: i64| k as f64 * hop + origin + shift;
            // Half of the times are bounds.
            let time: f64 = steps.map_or(time, bound);
            let number = float_step(time, hop, origin, shift);
            prop_assert!(number.is_some_and(|k| bound(k) <= time && time < bound(k + 1)), "{number:?}");
            if let Some(steps) = steps {
                prop_assert_eq!(number, Some(steps));
            }
        }

        #[test]
        fn an_int_is_between_its_bounds(time: i64, hop in 1_i64.., zero: i64) {
            let found = i128::from(numbered(time, hop, zero).unwrap_or(0));
            let exact = (i128::from(time) - i128::from(zero)).div_euclid(hop.into());
            if i64::try_from(exact).is_ok() {
                prop_assert_eq!(found, exact);
                let start = exact * i128::from(hop) + i128::from(zero);
                prop_assert!(start <= time.into() && i128::from(time) < start + i128::from(hop));
            } else {
                prop_assert_eq!(numbered(time, hop, zero), None);
            }
        }
    }

    #[test]
    fn a_float_without_a_window_has_no_number() {
        check(f64::NAN, 0.5, 0.0, None);
        check(f64::INFINITY, 0.5, 0.0, None);
        check(f64::NEG_INFINITY, 0.5, 0.0, None);
        check(1e300, 0.5, 0.0, None);
        check(1e300, 1.0, 1e300, None);
        check(f64::MAX, 1e-300, -f64::MAX, None);
    }

    #[test]
    fn ints_are_exact_to_the_ends_of_the_range() {
        assert_eq!(numbered(i64::MIN, 1, 0), Some(i64::MIN));
        assert_eq!(numbered(i64::MIN, 1, 1), None);
        assert_eq!(numbered(i64::MIN, 2, i64::MAX), Some(i64::MIN));
        assert_eq!(numbered(i64::MAX, 3, -5), Some((i64::MAX - 1) / 3 + 2));
        assert_eq!(numbered(-1, 10, 0), Some(-1));
        assert_eq!(numbered(-10, 10, 0), Some(-1));
        assert_eq!(numbered(9, 10, 0), Some(0));
        assert_eq!(wide_step(0, 10, i128::from(i64::MAX) * 2), Some(-1844674407370955162));
    }
}
