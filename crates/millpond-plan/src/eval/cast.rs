//! `cast`: what the program converts.
//!
//! | from \ to | `bool`            | `int`                         | `float`   | `str`           |
//! |-----------|-------------------|-------------------------------|-----------|-----------------|
//! | `bool`    |                   | 0, 1                          | 0.0, 1.0  | `True`, `False` |
//! | `int`     | is not 0          |                               | nearest   | digits          |
//! | `float`   | is not 0          | towards 0; error if no int    |           | Python's `repr` |
//! | `str`     | `true`, `1`, .. * | as Python's `int()` *         | `float()` * |               |
//!
//! Points in time and durations are cast to `str` and, as [`crate::time`] says, from it (*). Bytes are cast to and from
//! `str` as UTF-8 (*); JSON, tuples and lists as JSON text, and so into each other (*).
//!
//! Text that cannot be read (*) is an error value. A null stays null.

use std::fmt::Write;

use arrow_array::builder::{BinaryBuilder, StringBuilder};
use arrow_array::{Array, BinaryArray, BooleanArray, Float64Array, Int64Array, StringArray};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use millpond_columns::types::Type;

use super::cells::{Cells, Data, ErrorCode, Errors, Reason, failures, merge_errors};
use crate::python_repr;
use crate::terms::TermId;
use crate::text_codec;
use crate::time::{self, TIME_BYTES};

/// `cast(a, to)`
pub(crate) fn cast(a: &Cells, from: Type, to: Type, term: TermId) -> Cells {
    let (data, new) = match &a.data {
        Data::Bool(array) => (from_bool(array, to), None),
        Data::Int(array) if from.is_time() => (Data::Str(from_time(array, from)), None),
        Data::Int(array) => (from_int(array, to), None),
        Data::Float(array) => from_float(array, to, term),
        Data::Str(array) => from_text(array, to, term),
        Data::Bytes(array) => from_bytes(array, from, to, term),
    };
    Cells::new(data, a.constant, merge_errors(a.errors.clone(), new))
}

fn from_bool(array: &BooleanArray, to: Type) -> Data {
    let nulls = array.nulls().cloned();
    match to {
        Type::Bool => Data::Bool(array.clone()),
        Type::Int => Data::Int(Int64Array::new(array.values().iter().map(i64::from).collect(), nulls)),
        Type::Float => {
            let values = array.values().iter().map(|bit| f64::from(u8::from(bit)));
            Data::Float(Float64Array::new(values.collect(), nulls))
        }
        Type::Str => Data::Str(text_of(array, |i, out| {
            out.write_str(if array.value(i) { "True" } else { "False" }).expect("a buffer in memory takes any text");
        })),
        _ => unreachable!("the type check allows no such cast"),
    }
}

fn from_int(array: &Int64Array, to: Type) -> Data {
    let nulls = array.nulls().cloned();
    match to {
        Type::Bool => {
            let values = array.values();
            Data::Bool(BooleanArray::new(BooleanBuffer::collect_bool(values.len(), |i| values[i] != 0), nulls))
        }
        Type::Int => Data::Int(array.clone()),
        Type::Float => {
            let values = array.values().iter().map(|value| *value as f64);
            Data::Float(Float64Array::new(values.collect(), nulls))
        }
        Type::Str => {
            let mut digits = itoa::Buffer::new();
            Data::Str(text_of(array, |i, out| {
                out.write_str(digits.format(array.value(i))).expect("a buffer in memory takes any text");
            }))
        }
        _ => unreachable!("the type check allows no such cast"),
    }
}

fn from_time(array: &Int64Array, from: Type) -> StringArray {
    text_of(array, |i, out| {
        let mut bytes = [0; TIME_BYTES];
        let length = time::write(from, array.value(i), &mut bytes);
        let text = std::str::from_utf8(&bytes[..length]).expect("a time is written in ASCII");
        out.write_str(text).expect("a buffer in memory takes any text");
    })
}

fn from_float(array: &Float64Array, to: Type, term: TermId) -> (Data, Errors) {
    let nulls = array.nulls().cloned();
    let values = array.values();
    match to {
        Type::Bool => {
            let bits = BooleanBuffer::collect_bool(values.len(), |i| values[i] != 0.0);
            (Data::Bool(BooleanArray::new(bits, nulls)), None)
        }
        Type::Int => {
            let no_int = |value: f64| !(-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&value);
            let mut any = false;
            let ints = values.iter().map(|value| {
                any |= no_int(*value);
                *value as i64
            });
            let ints: Vec<i64> = ints.collect();
            let failed = |i: usize| code(no_int(values[i]), term, Reason::NotAnInt);
            let errors = if any { failures(values.len(), nulls.as_ref(), failed) } else { None };
            (Data::Int(Int64Array::new(ints.into(), nulls)), errors)
        }
        Type::Float => (Data::Float(array.clone()), None),
        Type::Str => (Data::Str(text_of(array, |i, out| python_repr::write_float(array.value(i), out))), None),
        _ => unreachable!("the type check allows no such cast"),
    }
}

fn from_text(array: &StringArray, to: Type, term: TermId) -> (Data, Errors) {
    let nulls = array.nulls().cloned();
    match to {
        Type::Bool => {
            let (values, errors) = read(array, nulls.as_ref(), term, python_repr::parse_bool, no_such_text);
            (Data::Bool(BooleanArray::new(values.into(), nulls)), errors)
        }
        Type::Int => {
            let (values, errors) = read(array, nulls.as_ref(), term, python_repr::parse_int, no_such_text);
            (Data::Int(Int64Array::new(values.into(), nulls)), errors)
        }
        Type::Float => {
            let (values, errors) = read(array, nulls.as_ref(), term, python_repr::parse_float, no_such_text);
            (Data::Float(Float64Array::new(values.into(), nulls)), errors)
        }
        Type::Str => (Data::Str(array.clone()), None),
        Type::DateTimeNaive | Type::DateTimeUtc | Type::Duration => {
            let parse = |text: &str| time::read(to, python_repr::trim(text).as_bytes());
            let reason = |text: &str| match time::is_outside(to, python_repr::trim(text).as_bytes()) {
                true => Reason::IntOverflow,
                false => Reason::Unreadable,
            };
            let (values, errors) = read(array, nulls.as_ref(), term, parse, reason);
            (Data::Int(Int64Array::new(values.into(), nulls)), errors)
        }
        Type::Bytes => {
            let bytes = BinaryArray::new(array.offsets().clone(), array.values().clone(), nulls);
            (Data::Bytes(bytes), None)
        }
        Type::Json | Type::Tuple(_) | Type::List(_) => read_stored(array.len(), nulls.as_ref(), term, |i, out| {
            text_codec::read(to, array.value(i).as_bytes(), out)
        }),
    }
}

fn from_bytes(array: &BinaryArray, from: Type, to: Type, term: TermId) -> (Data, Errors) {
    let nulls = array.nulls();
    match (from, to) {
        (Type::Bytes, _) => match StringArray::try_from_binary(array.clone()) {
            Ok(texts) => (Data::Str(texts), None),
            Err(_) => {
                let text = |i: usize| std::str::from_utf8(array.value(i)).ok();
                let failed = |i: usize| code(text(i).is_none(), term, Reason::Unreadable);
                let errors = failures(array.len(), nulls, failed);
                let texts = text_of(array, |i, out| {
                    out.write_str(text(i).unwrap_or_default()).expect("a buffer in memory takes any text");
                });
                (Data::Str(texts), errors)
            }
        },
        (_, Type::Str) => {
            let text = text_of(array, |i, out| {
                out.write_str(&text_codec::text(from, array.value(i))).expect("a buffer in memory takes any text");
            });
            (Data::Str(text), None)
        }
        _ => {
            let mut text = Vec::new();
            read_stored(array.len(), nulls, term, |i, out| {
                text.clear();
                text_codec::write(from, array.value(i), &mut text).is_some() && text_codec::read(to, &text, out)
            })
        }
    }
}

/// What `read` appends for each cell that is not null; an error where it gives `false`.
fn read_stored(
    len: usize,
    nulls: Option<&NullBuffer>,
    term: TermId,
    mut read: impl FnMut(usize, &mut Vec<u8>) -> bool,
) -> (Data, Errors) {
    let (mut builder, mut value) = (BinaryBuilder::new(), Vec::new());
    let mut failed = vec![false; len];
    for (i, failed) in failed.iter_mut().enumerate() {
        value.clear();
        if nulls.is_some_and(|nulls| nulls.is_null(i)) {
            builder.append_null();
        } else {
            *failed = !read(i, &mut value);
            builder.append_value(&value);
        }
    }
    let errors = failures(len, nulls, |i| code(failed[i], term, Reason::Unreadable));
    (Data::Bytes(builder.finish()), errors)
}

/// Text that is no spelling of a value.
fn no_such_text(_: &str) -> Reason {
    Reason::Unreadable
}

/// Reads every cell that is not null.
fn read<T: Default>(
    array: &StringArray,
    nulls: Option<&NullBuffer>,
    term: TermId,
    parse: impl Fn(&str) -> Option<T>,
    reason: impl Fn(&str) -> Reason,
) -> (Vec<T>, Errors) {
    let valid = |i: usize| nulls.is_none_or(|nulls| nulls.is_valid(i));
    let mut any = false;
    let mut values = Vec::with_capacity(array.len());
    for i in 0..array.len() {
        let value = if valid(i) { parse(array.value(i)) } else { Some(T::default()) };
        any |= value.is_none();
        values.push(value.unwrap_or_default());
    }
    let failed = |i: usize| code(parse(array.value(i)).is_none(), term, reason(array.value(i)));
    let errors = if any { failures(array.len(), nulls, failed) } else { None };
    (values, errors)
}

fn code(failed: bool, term: TermId, reason: Reason) -> ErrorCode {
    if failed { ErrorCode::new(term, reason) } else { ErrorCode::default() }
}

/// The text that `write` writes for each cell that is not null.
fn text_of(array: &dyn Array, mut write: impl FnMut(usize, &mut StringBuilder)) -> StringArray {
    let mut builder = StringBuilder::with_capacity(array.len(), array.len() * 8);
    for i in 0..array.len() {
        if array.is_valid(i) {
            write(i, &mut builder);
            builder.append_value("");
        } else {
            builder.append_null();
        }
    }
    builder.finish()
}
