//! `== != < <= > >=`. Equality treats null as a value, like Python's `None`; order gives null where an operand is.
//!
//! Tuples and lists compare element by element, null first; bytes byte by byte. JSON values are equal or not, without
//! an order.
//!
//! Floats compare as in Python: a NaN is not equal to, less than or greater than anything. An `int` and a `float`
//! compare by their exact numbers.

use std::cmp::Ordering;

use arrow_array::types::ByteArrayType;
use arrow_array::{BooleanArray, Datum, GenericByteArray, Scalar};
use arrow_buffer::BooleanBuffer;

use super::cells::{Cells, Common, Data, Values, spread, zip_bool};
use crate::expr::BinaryOp;

/// The comparisons that the others are made of.
#[derive(Clone, Copy)]
enum Test {
    Equal,
    Less,
    LessOrEqual,
}

/// `a op b`
pub(crate) fn compare(op: BinaryOp, a: &Cells, b: &Cells) -> Cells {
    match op {
        BinaryOp::Eq => equality(a, b, false),
        BinaryOp::Ne => equality(a, b, true),
        BinaryOp::Lt => order(Common::of(a, b), Test::Less, a, b),
        BinaryOp::Le => order(Common::of(a, b), Test::LessOrEqual, a, b),
        BinaryOp::Gt => order(Common::of(a, b), Test::Less, b, a),
        BinaryOp::Ge => order(Common::of(a, b), Test::LessOrEqual, b, a),
        _ => unreachable!("not a comparison"),
    }
}

fn order(pair: Common, test: Test, a: &Cells, b: &Cells) -> Cells {
    let values = values(test, a, b, pair.len);
    Cells::new(Data::Bool(BooleanArray::new(values, pair.nulls)), pair.constant, pair.errors)
}

fn equality(a: &Cells, b: &Cells, negated: bool) -> Cells {
    let pair = Common::of(a, b);
    let mut equal = values(Test::Equal, a, b, pair.len);
    if let Some(nulls) = &pair.nulls {
        let both_null = &!&a.valid(pair.len) & &!&b.valid(pair.len);
        equal = &(&equal & nulls.inner()) | &both_null;
    }
    let values = if negated { !&equal } else { equal };
    Cells::new(Data::Bool(BooleanArray::new(values, None)), pair.constant, pair.errors)
}

/// The comparison of the values, whatever is null.
fn values(test: Test, a: &Cells, b: &Cells, len: usize) -> BooleanBuffer {
    match (&a.data, &b.data) {
        (Data::Int(x), Data::Int(y)) => {
            let (x, y) = (Values::new(x.values(), a.constant), Values::new(y.values(), b.constant));
            match test {
                Test::Equal => zip_bool(x, y, |x, y| x == y),
                Test::Less => zip_bool(x, y, |x, y| x < y),
                Test::LessOrEqual => zip_bool(x, y, |x, y| x <= y),
            }
        }
        (Data::Float(x), Data::Float(y)) => {
            let (x, y) = (Values::new(x.values(), a.constant), Values::new(y.values(), b.constant));
            match test {
                Test::Equal => zip_bool(x, y, |x, y| x == y),
                Test::Less => zip_bool(x, y, |x, y| x < y),
                Test::LessOrEqual => zip_bool(x, y, |x, y| x <= y),
            }
        }
        (Data::Int(x), Data::Float(y)) => {
            let (x, y) = (Values::new(x.values(), a.constant), Values::new(y.values(), b.constant));
            zip_bool(x, y, |x, y| holds(test, number_order(x, y)))
        }
        (Data::Float(x), Data::Int(y)) => {
            let (x, y) = (Values::new(x.values(), a.constant), Values::new(y.values(), b.constant));
            zip_bool(x, y, |x, y| holds(test, number_order(y, x).map(Ordering::reverse)))
        }
        (Data::Bool(x), Data::Bool(y)) => {
            let (x, y) = (spread(x.values(), a.constant, len), spread(y.values(), b.constant, len));
            match test {
                Test::Equal => !&(&x ^ &y),
                Test::Less => &!&x & &y,
                Test::LessOrEqual => &!&x | &y,
            }
        }
        (Data::Str(x), Data::Str(y)) => bytes(test, (x, a.constant), (y, b.constant)),
        (Data::Bytes(x), Data::Bytes(y)) => bytes(test, (x, a.constant), (y, b.constant)),
        _ => unreachable!("the type check lets only comparable types through"),
    }
}

fn holds(test: Test, order: Option<Ordering>) -> bool {
    match test {
        Test::Equal => order == Some(Ordering::Equal),
        Test::Less => order == Some(Ordering::Less),
        Test::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
    }
}

/// The order of two numbers, exact even where the int has no float of its own; `None` for a NaN.
fn number_order(int: i64, float: f64) -> Option<Ordering> {
    const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;
    if float.is_nan() {
        None
    } else if float >= TWO_TO_63 {
        Some(Ordering::Less)
    } else if float < -TWO_TO_63 {
        Some(Ordering::Greater)
    } else {
        let whole = float.trunc();
        Some(int.cmp(&(whole as i64)).then(0.0.partial_cmp(&(float - whole))?))
    }
}

fn bytes<T: ByteArrayType>(
    test: Test,
    (a, a_constant): (&GenericByteArray<T>, bool),
    (b, b_constant): (&GenericByteArray<T>, bool),
) -> BooleanBuffer {
    let scalar = |array: &GenericByteArray<T>, constant: bool| constant.then(|| Scalar::new(array.clone()));
    let (a_scalar, b_scalar) = (scalar(a, a_constant), scalar(b, b_constant));
    let left: &dyn Datum = a_scalar.as_ref().map_or(a, |scalar| scalar);
    let right: &dyn Datum = b_scalar.as_ref().map_or(b, |scalar| scalar);
    let compared = match test {
        Test::Equal => arrow_ord::cmp::eq(left, right),
        Test::Less => arrow_ord::cmp::lt(left, right),
        Test::LessOrEqual => arrow_ord::cmp::lt_eq(left, right),
    };
    // The kernel's nulls are left out: the caller has them.
    let compared = compared.expect("both are of one type and the same length");
    compared.values().clone()
}
