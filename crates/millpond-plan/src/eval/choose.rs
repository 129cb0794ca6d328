//! `if_else`, `coalesce`, `fill_error`, `unique`: cells of one branch or the other, with the nulls and errors of that
//! branch only.

use std::sync::Arc;

use arrow_array::types::ByteArrayType;
use arrow_array::{Array, BooleanArray, Datum, Float64Array, GenericByteArray, Int64Array, Scalar};
use arrow_buffer::{BooleanBuffer, NullBuffer};

use super::cells::{Cells, Common, Data, ErrorCode, Errors, Reason, Values, errors_of, failures, merge_errors, spread};
use crate::terms::TermId;

/// `a` where `condition` is true, `b` where it is false or null.
pub(crate) fn if_else(condition: &Cells, a: &Cells, b: &Cells) -> Cells {
    let Data::Bool(test) = &condition.data else { unreachable!("the type check wants a bool") };
    let constant = condition.constant && a.constant && b.constant;
    let len = [condition, a, b].into_iter().find(|cells| !cells.constant).map_or(1, |cells| cells.data.len());
    let mut mask = spread(test.values(), condition.constant, len);
    if let Some(nulls) = condition.nulls(len) {
        mask = &mask & nulls.inner();
    }
    let chosen = choose(&mask, a, b, constant);
    Cells { errors: merge_errors(condition.errors(len), chosen.errors), ..chosen }
}

/// `a` where it is not null, else `b`.
pub(crate) fn coalesce(a: &Cells, b: &Cells) -> Cells {
    let len = if a.constant { b.data.len() } else { a.data.len() };
    let mut mask = a.valid(len);
    if let Some(errors) = a.errors(len) {
        mask = &mask | &BooleanBuffer::collect_bool(len, |i| errors[i].is_error());
    }
    choose(&mask, a, b, a.constant && b.constant)
}

/// `a` where it is not an error, else `b`.
pub(crate) fn fill_error(a: &Cells, b: &Cells) -> Cells {
    let Some(errors) = &a.errors else { return a.clone() };
    let len = if a.constant { b.data.len() } else { a.data.len() };
    let fine = BooleanBuffer::collect_bool(a.data.len(), |i| !errors[i].is_error());
    choose(&spread(&fine, a.constant, len), a, b, a.constant && b.constant)
}

/// `a`, an error where `b` is another value. NaNs are one value, and so are zeros.
pub(crate) fn unique(a: &Cells, b: &Cells, term: TermId) -> Cells {
    let pair = Common::of(a, b);
    let at = |cells: &Cells, i: usize| if cells.constant { 0 } else { i };
    let several = |i: usize| {
        let (i, j) = (at(a, i), at(b, i));
        match (&a.data, &b.data) {
            (Data::Int(x), Data::Int(y)) => x.value(i) != y.value(j),
            (Data::Float(x), Data::Float(y)) => {
                let (x, y) = (x.value(i), y.value(j));
                x != y && !(x.is_nan() && y.is_nan())
            }
            (Data::Bool(x), Data::Bool(y)) => x.value(i) != y.value(j),
            (Data::Str(x), Data::Str(y)) => x.value(i) != y.value(j),
            (Data::Bytes(x), Data::Bytes(y)) => x.value(i) != y.value(j),
            _ => unreachable!("both operands have one type"),
        }
    };
    let code = |i: usize| if several(i) { ErrorCode::new(term, Reason::Several) } else { ErrorCode::default() };
    let new = failures(pair.len, pair.nulls.as_ref(), code);
    Cells::new(a.data.clone(), a.constant, merge_errors(pair.errors, new))
}

/// `a` where the mask is set, else `b`.
pub(super) fn choose(mask: &BooleanBuffer, a: &Cells, b: &Cells, constant: bool) -> Cells {
    let len = mask.len();
    let nulls = choose_nulls(mask, a, b);
    let data = match (&a.data, &b.data) {
        (Data::Int(x), Data::Int(y)) => {
            let (x, y) = (Values::new(x.values(), a.constant), Values::new(y.values(), b.constant));
            Data::Int(Int64Array::new(choose_values(mask, x, y).into(), nulls))
        }
        (Data::Float(x), Data::Float(y)) => {
            let (x, y) = (Values::new(x.values(), a.constant), Values::new(y.values(), b.constant));
            Data::Float(Float64Array::new(choose_values(mask, x, y).into(), nulls))
        }
        (Data::Bool(x), Data::Bool(y)) => {
            let (x, y) = (spread(x.values(), a.constant, len), spread(y.values(), b.constant, len));
            Data::Bool(BooleanArray::new(&(mask & &x) | &(&!mask & &y), nulls))
        }
        (Data::Str(x), Data::Str(y)) => Data::Str(choose_bytes(mask, (x, a.constant), (y, b.constant))),
        (Data::Bytes(x), Data::Bytes(y)) => Data::Bytes(choose_bytes(mask, (x, a.constant), (y, b.constant))),
        _ => unreachable!("the type check brings branches to one type"),
    };
    Cells::new(data, constant, choose_errors(mask, a, b))
}

fn choose_values<T: Copy>(mask: &BooleanBuffer, a: Values<'_, T>, b: Values<'_, T>) -> Vec<T> {
    match (a, b) {
        (Values::Each(a), Values::Each(b)) => {
            mask.iter().zip(a).zip(b).map(|((bit, a), b)| if bit { *a } else { *b }).collect()
        }
        (Values::Each(a), Values::One(b)) => mask.iter().zip(a).map(|(bit, a)| if bit { *a } else { b }).collect(),
        (Values::One(a), Values::Each(b)) => mask.iter().zip(b).map(|(bit, b)| if bit { a } else { *b }).collect(),
        (Values::One(a), Values::One(b)) => mask.iter().map(|bit| if bit { a } else { b }).collect(),
    }
}

fn choose_bytes<T: ByteArrayType>(
    mask: &BooleanBuffer,
    (a, a_one): (&GenericByteArray<T>, bool),
    (b, b_one): (&GenericByteArray<T>, bool),
) -> GenericByteArray<T> {
    let scalar = |array: &GenericByteArray<T>, constant: bool| constant.then(|| Scalar::new(array.clone()));
    let (a_scalar, b_scalar) = (scalar(a, a_one), scalar(b, b_one));
    let left: &dyn Datum = a_scalar.as_ref().map_or(a, |scalar| scalar);
    let right: &dyn Datum = b_scalar.as_ref().map_or(b, |scalar| scalar);
    let chosen = arrow_select::zip::zip(&BooleanArray::new(mask.clone(), None), left, right);
    let chosen = chosen.expect("the branches are of one type, as long as the mask");
    chosen.as_any().downcast_ref::<GenericByteArray<T>>().expect("the type stays").clone()
}

fn choose_nulls(mask: &BooleanBuffer, a: &Cells, b: &Cells) -> Option<NullBuffer> {
    if a.data.nulls().is_none() && b.data.nulls().is_none() {
        return None;
    }
    let (a, b) = (a.valid(mask.len()), b.valid(mask.len()));
    let nulls = NullBuffer::new(&(mask & &a) | &(&!mask & &b));
    (nulls.null_count() > 0).then_some(nulls)
}

fn choose_errors(mask: &BooleanBuffer, a: &Cells, b: &Cells) -> Errors {
    if !a.has_error() && !b.has_error() {
        return None;
    }
    let none = || Arc::from(vec![Default::default(); mask.len()]);
    let (a, b) = (a.errors(mask.len()).unwrap_or_else(none), b.errors(mask.len()).unwrap_or_else(none));
    errors_of(mask.iter().enumerate().map(|(i, bit)| if bit { a[i] } else { b[i] }))
}

#[cfg(test)]
mod tests {
    use arrow_array::{ArrayRef, StringArray};

    use super::*;

    /// `+` where the cells are one value, `-` where they are an error, `0` where both are null.
    #[track_caller]
    fn check(a: ArrayRef, b: ArrayRef, expect: &str) {
        let cells = |array: &ArrayRef| Cells::new(Data::of(array).unwrap(), false, None);
        let found = unique(&cells(&a), &cells(&b), TermId::new(3));
        let sign = |i: usize| match found.errors.as_ref().and_then(|errors| errors[i].parts()) {
            Some(error) => {
                assert_eq!(error, (TermId::new(3), Reason::Several));
                '-'
            }
            None if found.data.array().is_null(i) => '0',
            None => '+',
        };
        assert_eq!((0..a.len()).map(sign).collect::<String>(), expect);
    }

    #[test]
    fn equal_cells_are_unique() {
        let ints = |values: [Option<i64>; 3]| Arc::new(Int64Array::from_iter(values)) as ArrayRef;
        check(ints([Some(1), None, Some(2)]), ints([Some(1), None, Some(3)]), "+0-");
        let floats = |values: [f64; 4]| Arc::new(Float64Array::from(values.to_vec())) as ArrayRef;
        check(floats([f64::NAN, -0.0, 1.0, -1.0]), floats([f64::NAN, 0.0, f64::NAN, -1.0]), "++-+");
        let bools = |values: [bool; 2]| Arc::new(BooleanArray::from(values.to_vec())) as ArrayRef;
        check(bools([true, false]), bools([true, true]), "+-");
        let texts = |values: [&str; 2]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
        check(texts(["", "a"]), texts(["", "a\0"]), "+-");
    }
}
