//! Error values between nodes: how they leave a stage and come into the next, and what tells them apart.

use std::sync::Arc;

use arrow_array::{BooleanArray, StringArray};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use millpond_columns::types::Type;

use super::cells::{Cells, Data, ErrorCode, Reason, errors_of, merge_errors};
use super::choose;
use crate::literal::Literal;

/// `value`, an error of this term where the other is true. `optional`: whether nulls of the value are values.
pub(crate) fn carried(value: &Cells, is_error: &Cells, optional: bool, code: ErrorCode) -> Cells {
    let Data::Bool(marks) = &is_error.data else { unreachable!("whether a cell is an error is a bool") };
    let len = if value.constant { marks.len() } else { value.data.len() };
    let failed = |i: usize| marks.value(if is_error.constant { 0 } else { i });
    let any = marks.values().count_set_bits() > 0;
    let errors =
        if any { errors_of((0..len).map(|i| if failed(i) { code } else { ErrorCode::default() })) } else { None };
    // In a required column, a null was only the form of an error.
    let data = if optional { value.data.clone() } else { value.data.without_nulls() };
    Cells::new(data, value.constant && is_error.constant, merge_errors(value.errors(len), errors))
}

/// The same cells, null where there is an error.
pub(crate) fn or_null(a: &Cells, ty: Type) -> Cells {
    if a.has_error() { choose::fill_error(a, &Cells::literal(&Literal::None, ty)) } else { a.clone() }
}

/// False, and null where there is an error.
pub(crate) fn error_lane(a: &Cells) -> Cells {
    let Some(errors) = &a.errors else { return Cells::literal(&Literal::Bool(false), Type::Bool) };
    let nulls: NullBuffer = errors.iter().map(|code| !code.is_error()).collect();
    let data = BooleanArray::new(BooleanBuffer::new_unset(errors.len()), Some(nulls));
    Cells::new(Data::Bool(data), a.constant, None)
}

/// Which of `rows` cells are no errors.
pub(crate) fn sound(a: &Cells, rows: usize) -> BooleanBuffer {
    let errors = a.errors(rows);
    BooleanBuffer::collect_bool(rows, |i| errors.as_ref().is_none_or(|errors| !errors[i].is_error()))
}

/// Whether there is an error.
pub(crate) fn is_error(a: &Cells) -> Cells {
    let Some(errors) = &a.errors else { return Cells::literal(&Literal::Bool(false), Type::Bool) };
    let marks = BooleanBuffer::collect_bool(errors.len(), |i| errors[i].is_error());
    Cells::new(Data::Bool(BooleanArray::new(marks, None)), a.constant, None)
}

/// Whether there is an error that none of the others is, and that no earlier node made.
pub(crate) fn is_new(a: &Cells, others: &[Cells]) -> Cells {
    let Some(errors) = &a.errors else { return Cells::literal(&Literal::Bool(false), Type::Bool) };
    let others: Vec<(&Arc<[ErrorCode]>, bool)> =
        others.iter().filter_map(|cells| Some((cells.errors.as_ref()?, cells.constant))).collect();
    let passed = |i: usize, code: ErrorCode| {
        code.parts().is_none_or(|(_, reason)| reason == Reason::Carried)
            || others.iter().any(|(errors, constant)| errors[if *constant { 0 } else { i }] == code)
    };
    let marks = BooleanBuffer::collect_bool(errors.len(), |i| errors[i].is_error() && !passed(i, errors[i]));
    Cells::new(Data::Bool(BooleanArray::new(marks, None)), a.constant, None)
}

/// What `text` says of each error, and null where there is none.
pub(crate) fn error_text(a: &Cells, mut text: impl FnMut(usize, ErrorCode) -> String) -> Cells {
    let Some(errors) = &a.errors else { return Cells::literal(&Literal::None, Type::Str) };
    let texts = errors.iter().enumerate().map(|(i, code)| code.is_error().then(|| text(i, *code)));
    Cells::new(Data::Str(texts.collect::<StringArray>()), a.constant, None)
}
