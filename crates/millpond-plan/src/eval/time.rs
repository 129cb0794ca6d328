//! Functions of points in time and durations, which are integers: one loop over the column for each.

use arrow_array::{Float64Array, Int64Array};
use millpond_columns::types::Type;

use super::arithmetic::int_loop;
use super::cells::{Cells, Common, Data, ErrorCode, Reason, Values};
use super::text::{Texts, parse, texts};
use crate::functions::{TimeFunction, TimePart};
use crate::terms::TermId;
use crate::time::{DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS, date};
use crate::zone::Zone;

/// `function(operands)`, for a subject of type `ty`
pub(crate) fn call(function: &TimeFunction, ty: Type, operands: &[Cells], term: TermId) -> Cells {
    let a = &operands[0];
    match function {
        TimeFunction::Part(part) => self::part(*part, a),
        // A constant divisor in the loop is a multiplication, and there are few units.
        TimeFunction::Whole(unit) => match unit.ns() {
            1 => a.clone(),
            1_000 => ints(a, |value| value / 1_000),
            1_000_000 => ints(a, |value| value / 1_000_000),
            SECOND_NS => ints(a, |value| value / SECOND_NS),
            ns => ints(a, |value| value / ns),
        },
        TimeFunction::Timestamp(None) => a.clone(),
        TimeFunction::Timestamp(Some(unit)) => {
            let ns = unit.ns();
            // Whole units and the rest apart: the nanoseconds may need more bits than a float has.
            let values = int_values(a).iter().map(|value| (value / ns) as f64 + (value % ns) as f64 / ns as f64);
            let data = Data::Float(Float64Array::new(values.collect(), a.data.nulls().cloned()));
            Cells::new(data, a.constant, a.errors.clone())
        }
        TimeFunction::FromTimestamp { unit, .. } => from_timestamp(a, unit.ns(), term),
        TimeFunction::Floor => multiples(operands, term, floor),
        TimeFunction::Round => multiples(operands, term, round),
        TimeFunction::Strftime(format) => {
            let values = Values::new(int_values(a), a.constant);
            texts(Common::of_all(operands), |i, out| format.write(ty, values.get(i), out))
        }
        TimeFunction::Strptime { format, .. } => {
            let (common, text) = (Common::of_all(operands), Texts::of(a));
            parse(
                common,
                text,
                false,
                term,
                |text| format.read(text),
                |text| if format.is_outside(text) { Reason::IntOverflow } else { Reason::Unreadable },
                |values, nulls| Data::Int(Int64Array::new(values.into(), nulls)),
            )
        }
        TimeFunction::ToUtc(zone) => in_zone(a, zone, term, Zone::to_utc),
        TimeFunction::ToNaive(zone) => in_zone(a, zone, term, Zone::to_naive),
    }
}

fn part(part: TimePart, a: &Cells) -> Cells {
    let days = |value: i64| value.div_euclid(DAY_NS);
    let of_second = |value: i64| value.rem_euclid(SECOND_NS);
    match part {
        TimePart::Year => ints(a, |value| date(days(value)).0),
        TimePart::Month => ints(a, |value| date(days(value)).1),
        TimePart::Day => ints(a, |value| date(days(value)).2),
        // 1970 began on a Thursday.
        TimePart::Weekday => ints(a, |value| (days(value) + 3).rem_euclid(7)),
        TimePart::Hour => ints(a, |value| value.rem_euclid(DAY_NS) / HOUR_NS),
        TimePart::Minute => ints(a, |value| value.rem_euclid(HOUR_NS) / MINUTE_NS),
        TimePart::Second => ints(a, |value| value.rem_euclid(MINUTE_NS) / SECOND_NS),
        TimePart::Millisecond => ints(a, |value| of_second(value) / 1_000_000),
        TimePart::Microsecond => ints(a, |value| of_second(value) / 1_000),
        TimePart::Nanosecond => ints(a, of_second),
    }
}

fn int_values(cells: &Cells) -> &[i64] {
    let Data::Int(array) = &cells.data else { unreachable!("the type check wants an integer") };
    array.values()
}

/// A function that cannot fail, of each value.
fn ints(a: &Cells, f: impl Fn(i64) -> i64) -> Cells {
    let values = int_values(a).iter().map(|value| f(*value)).collect();
    let data = Data::Int(Int64Array::new(values, a.data.nulls().cloned()));
    Cells::new(data, a.constant, a.errors.clone())
}

fn from_timestamp(a: &Cells, ns: i64, term: TermId) -> Cells {
    let common = Common::of_all(std::slice::from_ref(a));
    match &a.data {
        Data::Float(array) => {
            const BEYOND: f64 = 9_223_372_036_854_775_808.0;
            let nearest = |value: f64| (value * ns as f64).round();
            let fits = |value: f64| (-BEYOND..BEYOND).contains(&nearest(value));
            let mut any = false;
            let values = array.values().iter().map(|value| {
                any |= !fits(*value);
                nearest(*value) as i64
            });
            let data = Data::Int(Int64Array::new(values.collect(), common.nulls.clone()));
            common.finish(data, any, |i| match fits(array.value(i)) {
                true => ErrorCode::default(),
                false => ErrorCode::new(term, Reason::IntOverflow),
            })
        }
        _ => {
            let values = Values::new(int_values(a), a.constant);
            int_loop((values, Values::One(ns)), common, term, i64::overflowing_mul, |_, _| Reason::IntOverflow)
        }
    }
}

/// What `f` gives for each point, which may be beyond 64 bits.
fn in_zone(a: &Cells, zone: &Zone, term: TermId, f: impl Fn(&Zone, i64) -> Option<i64>) -> Cells {
    let values = Values::new(int_values(a), a.constant);
    let point = |value, _| f(zone, value).map_or((0, true), |found| (found, false));
    int_loop((values, Values::One(0)), Common::of_all(std::slice::from_ref(a)), term, point, |_, _| Reason::IntOverflow)
}

/// The multiple of the second operand that `f` finds for the first.
fn multiples(operands: &[Cells], term: TermId, f: impl Fn(i64, i64) -> (i64, bool)) -> Cells {
    let [a, b] = operands else { unreachable!("the type check wants two operands") };
    let values = [a, b].map(|cells| Values::new(int_values(cells), cells.constant));
    let reason = |_, b| if b == 0 { Reason::DivisionByZero } else { Reason::IntOverflow };
    int_loop((values[0], values[1]), Common::of(a, b), term, f, reason)
}

#[inline]
fn floor(value: i64, step: i64) -> (i64, bool) {
    if step == 0 { (0, true) } else { value.overflowing_sub(value.wrapping_rem_euclid(step)) }
}

#[inline]
fn round(value: i64, step: i64) -> (i64, bool) {
    if step == 0 {
        return (0, true);
    }
    let above = value.wrapping_rem_euclid(step) as u64;
    let below = step.unsigned_abs() - above;
    if above < below { value.overflowing_sub_unsigned(above) } else { value.overflowing_add_unsigned(below) }
}
