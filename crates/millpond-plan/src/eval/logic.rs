//! `& | ^ ~` on `bool` and on `int`; and where null is: `is_none`, `unwrap`.
//!
//! On `bool`, null means unknown, as in SQL: `False & None` is false, `True & None` is null. Errors are not known
//! either: one operand's error is the result's, whatever the other is.

use arrow_array::{BooleanArray, Int64Array};

use super::cells::{Cells, Common, Data, ErrorCode, Reason, Values, errors_of, merge_errors, spread, zip};
use crate::expr::BinaryOp;
use crate::terms::TermId;

/// `a & b`, `a | b` or `a ^ b`
pub(crate) fn logic(op: BinaryOp, a: &Cells, b: &Cells) -> Cells {
    let pair = Common::of(a, b);
    let data = match (&a.data, &b.data) {
        (Data::Int(x), Data::Int(y)) => {
            let (x, y) = (Values::new(x.values(), a.constant), Values::new(y.values(), b.constant));
            let values = match op {
                BinaryOp::And => zip(x, y, |x, y| x & y),
                BinaryOp::Or => zip(x, y, |x, y| x | y),
                _ => zip(x, y, |x, y| x ^ y),
            };
            Data::Int(Int64Array::new(values.into(), pair.nulls))
        }
        (Data::Bool(x), Data::Bool(y)) => {
            let len = pair.len;
            let whole = |array: &BooleanArray, cells: &Cells| {
                BooleanArray::new(spread(array.values(), cells.constant, len), cells.nulls(len))
            };
            let (x, y) = (whole(x, a), whole(y, b));
            let combined = match op {
                BinaryOp::And => arrow_arith::boolean::and_kleene(&x, &y),
                BinaryOp::Or => arrow_arith::boolean::or_kleene(&x, &y),
                _ => Ok(BooleanArray::new(x.values() ^ y.values(), pair.nulls)),
            };
            Data::Bool(combined.expect("both are as long"))
        }
        _ => unreachable!("the type check lets two bools or two ints through"),
    };
    Cells::new(data, pair.constant, pair.errors)
}

/// `~a`
pub(crate) fn not(a: &Cells) -> Cells {
    let nulls = a.data.nulls().cloned();
    let data = match &a.data {
        Data::Bool(array) => Data::Bool(BooleanArray::new(!array.values(), nulls)),
        Data::Int(array) => {
            let values: Vec<i64> = array.values().iter().map(|value| !value).collect();
            Data::Int(Int64Array::new(values.into(), nulls))
        }
        _ => unreachable!("the type check lets bool and int through"),
    };
    Cells::new(data, a.constant, a.errors.clone())
}

/// Whether cells are null, or, if `negated`, are not.
pub(crate) fn is_none(a: &Cells, negated: bool) -> Cells {
    let valid = a.valid(a.data.len());
    let values = if negated { valid } else { !&valid };
    Cells::new(Data::Bool(BooleanArray::new(values, None)), a.constant, a.errors.clone())
}

/// The same cells, where a null is an error.
pub(crate) fn unwrap(a: &Cells, term: TermId) -> Cells {
    let Some(nulls) = a.data.nulls() else { return a.clone() };
    let code = ErrorCode::new(term, Reason::Null);
    let new = errors_of(nulls.iter().map(|valid| if valid { ErrorCode::default() } else { code }));
    Cells::new(a.data.without_nulls(), a.constant, merge_errors(a.errors.clone(), new))
}
