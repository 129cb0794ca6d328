//! Tuples, lists and JSON: made, taken apart and read.

use arrow_array::builder::BinaryBuilder;
use arrow_array::{Array, BinaryArray};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use millpond_columns::ColumnBuilder;
use millpond_columns::packed::{Elements, Mark, Reader, put_bytes, put_end};
use millpond_columns::types::{Type, byte_values};

use super::cells::{Cells, Common, Data, ErrorCode, Reason, failures, merge_errors};
use super::choose::choose;
use crate::json;
use crate::terms::TermId;

/// A tuple of cells of these types. A null is an element of it like any other.
pub(crate) fn tuple(operands: &[(Cells, Type)], term: TermId) -> Cells {
    let cells: Vec<Cells> = operands.iter().map(|(cells, _)| cells.clone()).collect();
    let Common { len, constant, errors, .. } = Common::of_all(&cells);
    let elements: Vec<(Elements<'_>, bool)> =
        operands.iter().map(|(cells, ty)| (Elements::of(cells.data.array(), *ty), cells.constant)).collect();
    let mut out = Bytes::new(len);
    for row in 0..len {
        out.push(|bytes| elements.iter().for_each(|(cells, one)| cells.put(if *one { 0 } else { row }, bytes)));
    }
    let (data, new) = out.finish(term);
    Cells::new(data, constant, merge_errors(errors, new))
}

/// The element at `position` of tuples of type `ty`.
pub(crate) fn element(a: &Cells, ty: Type, position: usize, term: TermId) -> Cells {
    let elements = ty.elements().unwrap_or_default();
    cells(a, elements[position].ty, term, |_, bytes, out| {
        let mut reader = Reader::new(bytes);
        for element in &elements[..position] {
            reader.skip_element(element.ty)?;
        }
        out.push_next(&mut reader)
    })
}

/// The element of lists or JSON values of type `ty` with this number or name; `default` where there is none.
pub(crate) fn get(a: &Cells, ty: Type, key: &Cells, default: Option<&Cells>, term: TermId) -> Cells {
    let common = Common::of(a, key);
    // One of both must be as long as the result.
    let keyed = Keyed { a, key, common: &common, missing: Reason::Missing };
    let found = match ty {
        Type::List(element) => keyed.cells(element.ty, term, |row, bytes, out| {
            let Data::Int(numbers) = &key.data else { unreachable!("the type check wants an int") };
            let number = numbers.value(if key.constant { 0 } else { row });
            match list_element(bytes, element.ty, number) {
                Some(mut reader) => out.push_next(&mut reader),
                None => Some(false),
            }
        }),
        _ => keyed.cells(Type::Json, term, |row, bytes, out| {
            let row = if key.constant { 0 } else { row };
            let found = match &key.data {
                Data::Int(numbers) => json_element(bytes, numbers.value(row)),
                Data::Str(names) => {
                    let mut name = Vec::new();
                    json::write_string(names.value(row), &mut name);
                    json::field(bytes, &name)
                }
                _ => unreachable!("the type check wants an int or a str"),
            };
            match found {
                Some(value) => out.push_bytes(value).map(|()| true),
                None => Some(false),
            }
        }),
    };
    let Some(default) = default else { return found };
    let len = if default.constant { found.data.len() } else { default.data.len() };
    let missing = |code: ErrorCode| code.parts().is_some_and(|(at, reason)| at == term && reason == Reason::Missing);
    let mask = match found.errors(len) {
        Some(errors) => BooleanBuffer::collect_bool(len, |i| !missing(errors[i])),
        None => BooleanBuffer::new_set(len),
    };
    choose(&mask, &found, default, found.constant && default.constant)
}

/// A reader at the element of a list with this number.
fn list_element(bytes: &[u8], ty: Type, number: i64) -> Option<Reader<'_>> {
    let place = place(number, || {
        let mut reader = Reader::new(bytes);
        std::iter::from_fn(|| reader.skip_element(ty).filter(|mark| *mark != Mark::End)).count()
    })?;
    let mut reader = Reader::new(bytes);
    for _ in 0..place {
        if reader.skip_element(ty)? == Mark::End {
            return None;
        }
    }
    let at = reader.clone();
    (reader.mark()? != Mark::End).then_some(at)
}

fn json_element(value: &[u8], number: i64) -> Option<&[u8]> {
    let place = place(number, || json::elements(value).map_or(0, Iterator::count))?;
    json::elements(value)?.nth(place)
}

/// Where the element of this number stands, of `count()` elements.
fn place(number: i64, count: impl FnOnce() -> usize) -> Option<usize> {
    if number >= 0 {
        return usize::try_from(number).ok();
    }
    count().checked_sub(usize::try_from(number.unsigned_abs()).ok()?)
}

/// The value of type `to` that each JSON value is, or null. A number that `to` has no place for is an error.
pub(crate) fn json_as(a: &Cells, to: Type, term: TermId) -> Cells {
    let mut text = Vec::new();
    let mut packed = Vec::new();
    let common = Common::of_all(std::slice::from_ref(a));
    let missing = if to == Type::Int { Reason::IntOverflow } else { Reason::FloatOverflow };
    Keyed { a, key: a, common: &common, missing }.cells(to, term, |_, value, out| {
        packed.clear();
        let read = match to {
            Type::Int => json::as_int(value).map(|value| millpond_columns::packed::put_int(value, &mut packed)),
            Type::Float => json::as_float(value).map(|value| millpond_columns::packed::put_float(value, &mut packed)),
            Type::Bool => json::as_bool(value).map(|value| millpond_columns::packed::put_bool(value, &mut packed)),
            _ => {
                text.clear();
                json::as_str(value, &mut text).then(|| millpond_columns::packed::put_bytes(&text, &mut packed))
            }
        };
        match read {
            Some(()) => out.push_next(&mut Reader::new(&packed)),
            None if json::is_outside(value, to) => Some(false),
            None => {
                out.append_nulls(1);
                Some(true)
            }
        }
    })
}

/// JSON values, null where one is JSON's null.
pub(crate) fn json_or_none(a: &Cells) -> Cells {
    let Data::Bytes(values) = &a.data else { return a.clone() };
    let is_value = BooleanBuffer::collect_bool(values.len(), |i| values.is_valid(i) && values.value(i) != json::NULL);
    let nulls = NullBuffer::new(is_value);
    if nulls.null_count() == values.null_count() {
        return a.clone();
    }
    let (offsets, bytes, _) = values.clone().into_parts();
    Cells { data: Data::Bytes(BinaryArray::new(offsets, bytes, Some(nulls))), ..a.clone() }
}

/// Lists, of type `to`, of the elements of values of type `ty`: the characters of texts, the elements of JSON arrays
/// and of tuples.
pub(crate) fn elements(a: &Cells, ty: Type, to: Type, term: TermId) -> Cells {
    let mut list = Vec::new();
    let common = Common::of_all(std::slice::from_ref(a));
    Keyed { a, key: a, common: &common, missing: Reason::NotAnArray }.cells(to, term, |_, value, out| {
        list.clear();
        match ty {
            Type::Str => value.utf8_chunks().for_each(|chunk| {
                let mut letter = [0; 4];
                chunk.valid().chars().for_each(|c| put_bytes(c.encode_utf8(&mut letter).as_bytes(), &mut list));
            }),
            Type::Json => match json::elements(value) {
                Some(elements) => elements.for_each(|element| put_bytes(element, &mut list)),
                None => return Some(false),
            },
            _ => list.extend_from_slice(value),
        }
        put_end(&mut list);
        out.push_bytes(&list).map(|()| true)
    })
}

/// A column of type `to`, one cell for each of `a` that is not null, which `make` appends. It gives `false`, and
/// appends nothing, where there is none.
fn cells(
    a: &Cells,
    to: Type,
    term: TermId,
    make: impl FnMut(usize, &[u8], &mut ColumnBuilder) -> Option<bool>,
) -> Cells {
    let common = Common::of_all(std::slice::from_ref(a));
    Keyed { a, key: a, common: &common, missing: Reason::Missing }.cells(to, term, make)
}

/// Cells stored as bytes, and a second operand of as many rows.
struct Keyed<'a> {
    a: &'a Cells,
    key: &'a Cells,
    common: &'a Common,
    /// Why a cell is an error where there is none to make.
    missing: Reason,
}

impl Keyed<'_> {
    fn cells(
        &self,
        to: Type,
        term: TermId,
        mut make: impl FnMut(usize, &[u8], &mut ColumnBuilder) -> Option<bool>,
    ) -> Cells {
        let (offsets, bytes) = byte_values(self.a.data.array()).expect("the type check wants what is stored as bytes");
        let Common { len, constant, errors, .. } = self.common;
        let mut out = ColumnBuilder::new(to);
        let mut failed: Vec<(usize, Reason)> = Vec::new();
        let is_error = |row: usize| errors.as_ref().is_some_and(|errors| errors[row].is_error());
        for row in 0..*len {
            if !self.common.is_valid(row) || is_error(row) {
                out.append_nulls(1);
                continue;
            }
            let at = if self.a.constant { 0 } else { row };
            let reason = match make(row, &bytes[offsets[at] as usize..offsets[at + 1] as usize], &mut out) {
                Some(true) => continue,
                Some(false) => self.missing,
                None => Reason::TooLong,
            };
            failed.push((row, reason));
            out.append_nulls(1);
        }
        debug_assert!(self.key.constant || self.key.data.len() == *len);
        let mut at = failed.iter().peekable();
        let code = |row: usize| match at.next_if(|(failed, _)| *failed == row) {
            Some((_, reason)) => ErrorCode::new(term, *reason),
            None => ErrorCode::default(),
        };
        let new = if failed.is_empty() { None } else { super::cells::errors_of((0..*len).map(code)) };
        let array = out.finish();
        let data = Data::of(&array).expect("a column has one of the types");
        Cells::new(data, *constant, merge_errors(errors.clone(), new))
    }
}

/// Cells under construction that are stored as bytes.
struct Bytes {
    builder: BinaryBuilder,
    value: Vec<u8>,
    total: usize,
    too_long: bool,
}

impl Bytes {
    fn new(len: usize) -> Self {
        Bytes { builder: BinaryBuilder::with_capacity(len, len * 16), value: Vec::new(), total: 0, too_long: false }
    }

    fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.value.clear();
        write(&mut self.value);
        self.total += self.value.len();
        self.too_long |= self.total > i32::MAX as usize;
        if self.too_long {
            self.value.clear();
        }
        self.builder.append_value(&self.value);
    }

    /// The cells; all are errors if they are too long for a column together.
    fn finish(mut self, term: TermId) -> (Data, super::cells::Errors) {
        let array: BinaryArray = self.builder.finish();
        let code = |_| ErrorCode::new(term, Reason::TooLong);
        let errors = if self.too_long { failures(array.len(), None, code) } else { None };
        (Data::Bytes(array), errors)
    }
}
