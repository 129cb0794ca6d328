//! `if_else`, `coalesce`, `fill_error`: cells of one branch or the other, with the nulls and errors of that branch
//! only.

use std::sync::Arc;

use arrow_array::{Array, BooleanArray, Datum, Float64Array, Int64Array, Scalar, StringArray};
use arrow_buffer::{BooleanBuffer, NullBuffer};

use super::cells::{Cells, Data, Errors, Values, errors_of, merge_errors, spread};

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

/// `a` where the mask is set, else `b`.
fn choose(mask: &BooleanBuffer, a: &Cells, b: &Cells, constant: bool) -> Cells {
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
        (Data::Str(x), Data::Str(y)) => Data::Str(choose_text(mask, (x, a.constant), (y, b.constant))),
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

fn choose_text(
    mask: &BooleanBuffer,
    (a, a_one): (&StringArray, bool),
    (b, b_one): (&StringArray, bool),
) -> StringArray {
    let scalar = |array: &StringArray, constant: bool| constant.then(|| Scalar::new(array.clone()));
    let (a_scalar, b_scalar) = (scalar(a, a_one), scalar(b, b_one));
    let left: &dyn Datum = a_scalar.as_ref().map_or(a, |scalar| scalar);
    let right: &dyn Datum = b_scalar.as_ref().map_or(b, |scalar| scalar);
    let chosen = arrow_select::zip::zip(&BooleanArray::new(mask.clone(), None), left, right);
    let chosen = chosen.expect("the branches are text, as long as the mask");
    chosen.as_any().downcast_ref::<StringArray>().expect("text stays text").clone()
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
