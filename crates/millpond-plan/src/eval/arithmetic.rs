//! `+ - * / // % **` and unary minus, with Python's results.
//!
//! Each operator is two functions of one row: a fast one that gives a value and whether it failed, in a loop without
//! branches, and, where a batch has a failure, one that gives the reason.

use arrow_array::builder::StringBuilder;
use arrow_array::{Float64Array, Int64Array, StringArray};
use arrow_buffer::NullBuffer;
use millpond_columns::float::{canonical, one_nan};

use super::cells::{Cells, Common, Data, ErrorCode, Reason, Values, failures, merge_errors, zip};
use super::divisor::Divisor;
use crate::expr::BinaryOp;
use crate::terms::TermId;

/// `a op b` for operands of one type.
pub(crate) fn arithmetic(op: BinaryOp, a: &Cells, b: &Cells, term: TermId) -> Cells {
    match (&a.data, &b.data) {
        (Data::Int(x), Data::Int(y)) => {
            let operands = (Values::new(x.values(), a.constant), Values::new(y.values(), b.constant));
            int(op, operands, Common::of(a, b), term)
        }
        (Data::Float(x), Data::Float(y)) => {
            let operands = (Values::new(x.values(), a.constant), Values::new(y.values(), b.constant));
            float(op, operands, Common::of(a, b), term)
        }
        (Data::Str(x), Data::Str(y)) => concatenate((x, a.constant), (y, b.constant), Common::of(a, b)),
        _ => unreachable!("the type check brings operands to one type"),
    }
}

fn int(op: BinaryOp, operands: (Values<'_, i64>, Values<'_, i64>), pair: Common, term: TermId) -> Cells {
    use Reason::*;
    let overflow = |_, _| IntOverflow;
    let division = |_, b| if b == 0 { DivisionByZero } else { IntOverflow };
    match op {
        BinaryOp::Add => int_loop(operands, pair, term, i64::overflowing_add, overflow),
        BinaryOp::Sub => int_loop(operands, pair, term, i64::overflowing_sub, overflow),
        BinaryOp::Mul => int_loop(operands, pair, term, i64::overflowing_mul, overflow),
        BinaryOp::FloorDiv => match divisor(operands.1) {
            Some(divisor) => int_loop(operands, pair, term, |a, _| (divisor.floor_div(a), false), division),
            None => int_loop(operands, pair, term, int_floor_div, division),
        },
        BinaryOp::Mod => match divisor(operands.1) {
            Some(divisor) => int_loop(operands, pair, term, |a, _| (divisor.remainder(a), false), division),
            None => int_loop(operands, pair, term, int_mod, division),
        },
        BinaryOp::Pow => {
            let reason = |_, b| if b < 0 { Power } else { IntOverflow };
            int_loop(operands, pair, term, int_pow, reason)
        }
        _ => unreachable!("not an arithmetic operator on ints"),
    }
}

/// The one positive divisor of all rows.
fn divisor(values: Values<'_, i64>) -> Option<Divisor> {
    match values {
        Values::One(divisor) => Divisor::new(divisor),
        Values::Each(_) => None,
    }
}

/// A function of two integers that may fail, over the columns.
pub(crate) fn int_loop(
    (a, b): (Values<'_, i64>, Values<'_, i64>),
    pair: Common,
    term: TermId,
    fast: impl Fn(i64, i64) -> (i64, bool),
    reason: impl Fn(i64, i64) -> Reason,
) -> Cells {
    let mut any = false;
    let values = zip(a, b, |a, b| {
        let (value, failed) = fast(a, b);
        any |= failed;
        value
    });
    let data = Data::Int(Int64Array::new(values.into(), pair.nulls.clone()));
    pair.finish(data, any, |i| {
        let (a, b) = (a.get(i), b.get(i));
        if fast(a, b).1 { ErrorCode::new(term, reason(a, b)) } else { ErrorCode::default() }
    })
}

#[inline]
fn int_floor_div(a: i64, b: i64) -> (i64, bool) {
    if b == 0 {
        return (0, true);
    }
    let (quotient, overflow) = a.overflowing_div(b);
    let remainder = a.wrapping_rem(b);
    let below = remainder != 0 && (remainder < 0) != (b < 0);
    (quotient - i64::from(below), overflow)
}

#[inline]
fn int_mod(a: i64, b: i64) -> (i64, bool) {
    if b == 0 {
        return (0, true);
    }
    let remainder = a.wrapping_rem(b);
    let below = remainder != 0 && (remainder < 0) != (b < 0);
    (if below { remainder + b } else { remainder }, false)
}

#[inline]
fn int_pow(a: i64, b: i64) -> (i64, bool) {
    match (a, u32::try_from(b)) {
        _ if b < 0 => (0, true),
        (_, Ok(exponent)) => a.overflowing_pow(exponent),
        (0 | 1, Err(_)) => (a, false),
        (-1, Err(_)) => (if b % 2 == 0 { 1 } else { -1 }, false),
        (_, Err(_)) => (0, true),
    }
}

fn float(op: BinaryOp, operands: (Values<'_, f64>, Values<'_, f64>), pair: Common, term: TermId) -> Cells {
    let division = |_, b| (b == 0.0).then_some(Reason::DivisionByZero);
    match op {
        // Without a -0.0 to begin with, there is none in a sum or a difference.
        BinaryOp::Add => float_loop(operands, pair, term, |a, b| one_nan(a + b), |_, _| None),
        BinaryOp::Sub => float_loop(operands, pair, term, |a, b| one_nan(a - b), |_, _| None),
        BinaryOp::Mul => float_loop(operands, pair, term, |a, b| canonical(a * b), |_, _| None),
        BinaryOp::Div => float_loop(operands, pair, term, |a, b| canonical(a / b), division),
        BinaryOp::FloorDiv => float_loop(operands, pair, term, |a, b| canonical(float_divmod(a, b).0), division),
        BinaryOp::Mod => float_loop(operands, pair, term, |a, b| canonical(float_divmod(a, b).1), division),
        BinaryOp::Pow => float_loop(operands, pair, term, |a, b| canonical(a.powf(b)), float_pow_failure),
        _ => unreachable!("not an arithmetic operator on floats"),
    }
}

fn float_loop(
    (a, b): (Values<'_, f64>, Values<'_, f64>),
    pair: Common,
    term: TermId,
    value: impl Fn(f64, f64) -> f64,
    failure: impl Fn(f64, f64) -> Option<Reason>,
) -> Cells {
    let mut any = false;
    let values = zip(a, b, |a, b| {
        any |= failure(a, b).is_some();
        value(a, b)
    });
    let data = Data::Float(Float64Array::new(values.into(), pair.nulls.clone()));
    pair.finish(data, any, |i| match failure(a.get(i), b.get(i)) {
        Some(reason) => ErrorCode::new(term, reason),
        None => ErrorCode::default(),
    })
}

/// Python's `divmod` on floats (CPython's `float_divmod`).
#[inline]
fn float_divmod(a: f64, b: f64) -> (f64, f64) {
    let mut remainder = a % b;
    let mut quotient = (a - remainder) / b;
    if remainder != 0.0 {
        if (b < 0.0) != (remainder < 0.0) {
            remainder += b;
            quotient -= 1.0;
        }
    } else {
        remainder = 0f64.copysign(b);
    }
    if quotient == 0.0 {
        return (0f64.copysign(a / b), remainder);
    }
    let floor = quotient.floor();
    (if quotient - floor > 0.5 { floor + 1.0 } else { floor }, remainder)
}

/// Where Python raises, or would give a complex number.
#[inline]
fn float_pow_failure(a: f64, b: f64) -> Option<Reason> {
    if !a.is_finite() || !b.is_finite() {
        None
    } else if a == 0.0 && b < 0.0 {
        Some(Reason::DivisionByZero)
    } else if a < 0.0 && b.fract() != 0.0 {
        Some(Reason::Power)
    } else {
        a.powf(b).is_infinite().then_some(Reason::FloatOverflow)
    }
}

/// `-a`
pub(crate) fn negate(a: &Cells, term: TermId) -> Cells {
    one(a, term, i64::overflowing_neg, |value| canonical(-value))
}

/// The absolute value of a number.
pub(crate) fn absolute(a: &Cells, term: TermId) -> Cells {
    one(a, term, i64::overflowing_abs, f64::abs)
}

/// A function of one number, which an int may overflow.
fn one(a: &Cells, term: TermId, of_int: impl Fn(i64) -> (i64, bool), of_float: impl Fn(f64) -> f64) -> Cells {
    match &a.data {
        Data::Int(array) => {
            let mut any = false;
            let computed = array.values().iter().map(|value| {
                let (value, failed) = of_int(*value);
                any |= failed;
                value
            });
            let values: Vec<i64> = computed.collect();
            let failed = |i| match of_int(array.value(i)) {
                (_, true) => ErrorCode::new(term, Reason::IntOverflow),
                (_, false) => ErrorCode::default(),
            };
            let new = if any { failures(array.len(), a.data.nulls(), failed) } else { None };
            let data = Data::Int(Int64Array::new(values.into(), a.data.nulls().cloned()));
            Cells::new(data, a.constant, merge_errors(a.errors.clone(), new))
        }
        Data::Float(array) => {
            let values: Vec<f64> = array.values().iter().map(|value| of_float(*value)).collect();
            let data = Data::Float(Float64Array::new(values.into(), a.data.nulls().cloned()));
            Cells::new(data, a.constant, a.errors.clone())
        }
        _ => unreachable!("the type check lets numbers through"),
    }
}

/// From `int` to `float`.
pub(crate) fn widen(a: &Cells) -> Cells {
    let Data::Int(array) = &a.data else { unreachable!("only an int is widened") };
    let values: Vec<f64> = array.values().iter().map(|value| *value as f64).collect();
    let data = Data::Float(Float64Array::new(values.into(), a.data.nulls().cloned()));
    Cells::new(data, a.constant, a.errors.clone())
}

fn concatenate((a, a_constant): (&StringArray, bool), (b, b_constant): (&StringArray, bool), pair: Common) -> Cells {
    let bytes = |array: &StringArray, constant: bool| {
        let length = array.value_data().len();
        if constant { length * pair.len } else { length }
    };
    let mut builder = StringBuilder::with_capacity(pair.len, bytes(a, a_constant) + bytes(b, b_constant));
    let valid = |nulls: &Option<NullBuffer>, i: usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(i));
    for i in 0..pair.len {
        if valid(&pair.nulls, i) {
            let (left, right) = (if a_constant { 0 } else { i }, if b_constant { 0 } else { i });
            let written = std::fmt::Write::write_str(&mut builder, a.value(left));
            written.expect("a buffer in memory takes any text");
            builder.append_value(b.value(right));
        } else {
            builder.append_null();
        }
    }
    Cells::new(Data::Str(builder.finish()), pair.constant, pair.errors)
}
