//! The cells of one term over a batch: values, nulls and error values.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BinaryArray, BooleanArray, Float64Array, Int64Array, StringArray};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_select::filter::FilterPredicate;
use millpond_columns::float::canonical;
use millpond_columns::types::{self, Storage, Type};

use crate::literal::Literal;
use crate::terms::TermId;

/// Why a cell has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Reason {
    DivisionByZero = 1,
    /// An int outside 64 bits.
    IntOverflow,
    /// A power too large for a float.
    FloatOverflow,
    /// A power that is not real, or of a negative int exponent.
    Power,
    /// A float that is no int of 64 bits.
    NotAnInt,
    /// Text that is not of the type.
    Unreadable,
    /// A null in `unwrap`.
    Null,
    /// Different values in `unique`.
    Several,
    /// A float that lies between no two bounds of windows.
    NoWindow,
    /// Text too long for a column.
    TooLong,
    /// No element of this number or name.
    Missing,
    /// JSON that is no array.
    NotAnArray,
    /// Text split at nothing.
    EmptySeparator,
    /// An error that an earlier node handed on.
    Carried,
}

const REASONS: [Reason; 14] = [
    Reason::DivisionByZero,
    Reason::IntOverflow,
    Reason::FloatOverflow,
    Reason::Power,
    Reason::NotAnInt,
    Reason::Unreadable,
    Reason::Null,
    Reason::Several,
    Reason::NoWindow,
    Reason::TooLong,
    Reason::Missing,
    Reason::NotAnArray,
    Reason::EmptySeparator,
    Reason::Carried,
];

/// The term that failed in a cell, and why; 0 for a cell without an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ErrorCode(u32);

impl ErrorCode {
    pub(crate) fn new(term: TermId, reason: Reason) -> Self {
        ErrorCode(((term.index() as u32) << 4) | reason as u32)
    }

    pub(crate) fn is_error(self) -> bool {
        self.0 != 0
    }

    /// The term and the reason, for an error.
    pub(crate) fn parts(self) -> Option<(TermId, Reason)> {
        let reason = REASONS.get((self.0 as usize & 15).checked_sub(1)?)?;
        Some((TermId::new(self.0 as usize >> 4), *reason))
    }
}

/// One code for each cell; missing when no cell has an error.
pub(crate) type Errors = Option<Arc<[ErrorCode]>>;

/// Values of one representation: `Int` is that of all types that are stored as integers. Where a cell is null or an
/// error, its value means nothing.
#[derive(Clone, Debug)]
pub(crate) enum Data {
    Bool(BooleanArray),
    Int(Int64Array),
    Float(Float64Array),
    Str(StringArray),
    /// Of a type other than `str` that is stored as bytes.
    Bytes(BinaryArray),
}

/// The cells of a term. A constant has one cell, which stands for all rows.
#[derive(Clone, Debug)]
pub(crate) struct Cells {
    pub data: Data,
    pub constant: bool,
    pub errors: Errors,
}

impl Data {
    pub(crate) fn array(&self) -> &dyn Array {
        match self {
            Data::Bool(array) => array,
            Data::Int(array) => array,
            Data::Float(array) => array,
            Data::Str(array) => array,
            Data::Bytes(array) => array,
        }
    }

    /// Of an array of one of the types.
    pub(crate) fn of(array: &dyn Array) -> Option<Data> {
        let any = array.as_any();
        None.or_else(|| any.downcast_ref::<Int64Array>().cloned().map(Data::Int))
            .or_else(|| any.downcast_ref::<StringArray>().cloned().map(Data::Str))
            .or_else(|| any.downcast_ref::<Float64Array>().cloned().map(Data::Float))
            .or_else(|| any.downcast_ref::<BooleanArray>().cloned().map(Data::Bool))
            .or_else(|| any.downcast_ref::<BinaryArray>().cloned().map(Data::Bytes))
            .or_else(|| {
                let values = types::int_values(array)?;
                Some(Data::Int(Int64Array::new(values.clone(), array.nulls().cloned())))
            })
    }

    /// An array of type `ty`, which has this representation.
    pub(crate) fn into_array(self, ty: Type) -> ArrayRef {
        match self {
            Data::Bool(array) => Arc::new(array),
            Data::Int(array) if ty.is_time() => {
                let (_, values, nulls) = array.into_parts();
                ty.int_array(values, nulls)
            }
            Data::Int(array) => Arc::new(array),
            Data::Float(array) => Arc::new(array),
            Data::Str(array) => Arc::new(array),
            Data::Bytes(array) => Arc::new(array),
        }
    }

    /// The same values, none of them null.
    pub(crate) fn without_nulls(&self) -> Data {
        match self {
            Data::Bool(array) => Data::Bool(BooleanArray::new(array.values().clone(), None)),
            Data::Int(array) => Data::Int(Int64Array::new(array.values().clone(), None)),
            Data::Float(array) => Data::Float(Float64Array::new(array.values().clone(), None)),
            Data::Str(array) => Data::Str(StringArray::new(array.offsets().clone(), array.values().clone(), None)),
            Data::Bytes(array) => Data::Bytes(BinaryArray::new(array.offsets().clone(), array.values().clone(), None)),
        }
    }

    pub(crate) fn nulls(&self) -> Option<&NullBuffer> {
        self.array().nulls().filter(|nulls| nulls.null_count() > 0)
    }

    pub(crate) fn len(&self) -> usize {
        self.array().len()
    }
}

impl Cells {
    pub(crate) fn new(data: Data, constant: bool, errors: Errors) -> Self {
        debug_assert!(errors.as_ref().is_none_or(|errors| errors.len() == data.len()));
        Cells { data, constant, errors }
    }

    /// One value for all rows; [`Literal::None`] is a null of type `ty`.
    pub(crate) fn literal(value: &Literal, ty: Type) -> Self {
        let data = match (value, ty) {
            (Literal::Bool(value), _) => Data::Bool(BooleanArray::from(vec![*value])),
            (Literal::Int(value), _) => Data::Int(Int64Array::from(vec![*value])),
            (Literal::Float(value), _) => Data::Float(Float64Array::from(vec![canonical(*value)])),
            (Literal::Str(value), _) => Data::Str(StringArray::from(vec![&**value])),
            (Literal::DateTimeNaive(value) | Literal::DateTimeUtc(value) | Literal::Duration(value), _) => {
                Data::Int(Int64Array::from(vec![*value]))
            }
            (Literal::Stored(_, bytes), _) => Data::Bytes(BinaryArray::from(vec![&**bytes])),
            (Literal::None, Type::Str) => Data::Str(StringArray::from(vec![None::<&str>])),
            (Literal::None, ty) => match ty.storage() {
                Storage::Bool => Data::Bool(BooleanArray::from(vec![None])),
                Storage::Int => Data::Int(Int64Array::from(vec![None])),
                Storage::Float => Data::Float(Float64Array::from(vec![None])),
                Storage::Bytes => Data::Bytes(BinaryArray::from(vec![None::<&[u8]>])),
            },
        };
        Cells::new(data, true, None)
    }

    pub(crate) fn has_error(&self) -> bool {
        self.errors.is_some()
    }

    /// Nulls over `len` rows.
    pub(crate) fn nulls(&self, len: usize) -> Option<NullBuffer> {
        match self.data.nulls() {
            Some(_) if self.constant && len != 1 => Some(NullBuffer::new_null(len)),
            nulls => nulls.cloned(),
        }
    }

    /// Which of `len` rows are not null.
    pub(crate) fn valid(&self, len: usize) -> BooleanBuffer {
        self.nulls(len).map_or_else(|| BooleanBuffer::new_set(len), NullBuffer::into_inner)
    }

    /// Errors over `len` rows.
    pub(crate) fn errors(&self, len: usize) -> Errors {
        match &self.errors {
            Some(errors) if self.constant && len != 1 => Some(vec![errors[0]; len].into()),
            errors => errors.clone(),
        }
    }

    /// The rows that a filter keeps.
    pub(crate) fn filter(&self, filter: &FilterPredicate) -> Cells {
        if self.constant {
            return self.clone();
        }
        let kept = filter.filter(self.data.array()).expect("the mask is as long as the batch");
        let data = Data::of(&kept).expect("a filter keeps the type");
        let errors = self.errors.as_ref().and_then(|errors| {
            let codes = arrow_array::UInt32Array::from_iter_values(errors.iter().map(|code| code.0));
            let kept = filter.filter(&codes).expect("the mask is as long as the batch");
            let kept = kept.as_any().downcast_ref::<arrow_array::UInt32Array>().expect("a filter keeps the type");
            errors_of(kept.values().iter().map(|code| ErrorCode(*code)))
        });
        Cells::new(data, false, errors)
    }

    /// An array of `rows` rows of type `ty`, which has this representation.
    pub(crate) fn into_array(self, rows: usize, ty: Type) -> ArrayRef {
        if !self.constant || rows == 1 {
            return self.data.into_array(ty);
        }
        let nulls = self.nulls(rows);
        match &self.data {
            Data::Bool(array) if array.value(0) => Arc::new(BooleanArray::new(BooleanBuffer::new_set(rows), nulls)),
            Data::Bool(_) => Arc::new(BooleanArray::new(BooleanBuffer::new_unset(rows), nulls)),
            Data::Int(array) => {
                let ty = if ty.is_time() { ty } else { Type::Int };
                ty.int_array(vec![array.value(0); rows].into(), nulls)
            }
            Data::Float(array) => Arc::new(Float64Array::new(vec![array.value(0); rows].into(), nulls)),
            Data::Str(array) if nulls.is_none() => {
                Arc::new(StringArray::from_iter_values(std::iter::repeat_n(array.value(0), rows)))
            }
            Data::Str(_) => Arc::new(StringArray::new_null(rows)),
            Data::Bytes(array) if nulls.is_none() => {
                Arc::new(BinaryArray::from_iter_values(std::iter::repeat_n(array.value(0), rows)))
            }
            Data::Bytes(_) => Arc::new(BinaryArray::new_null(rows)),
        }
    }
}

/// The errors of these codes, if there are any.
pub(crate) fn errors_of(codes: impl Iterator<Item = ErrorCode>) -> Errors {
    let codes: Arc<[ErrorCode]> = codes.collect();
    codes.iter().any(|code| code.is_error()).then_some(codes)
}

/// The first error of each row.
pub(crate) fn merge_errors(a: Errors, b: Errors) -> Errors {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.iter().zip(b.iter()).map(|(a, b)| if a.is_error() { *a } else { *b }).collect()),
        (a, b) => a.or(b),
    }
}

/// What the operands of a term have in common.
pub(crate) struct Common {
    pub len: usize,
    pub constant: bool,
    /// Rows where one of them is null.
    pub nulls: Option<NullBuffer>,
    pub errors: Errors,
}

impl Common {
    pub(crate) fn of(a: &Cells, b: &Cells) -> Common {
        let constant = a.constant && b.constant;
        let len = if a.constant { b.data.len() } else { a.data.len() };
        debug_assert!(a.constant || b.constant || a.data.len() == b.data.len());
        let nulls = NullBuffer::union(a.nulls(len).as_ref(), b.nulls(len).as_ref());
        Common { len, constant, nulls, errors: merge_errors(a.errors(len), b.errors(len)) }
    }

    /// Of any number of operands, the first of which decides where several have an error.
    pub(crate) fn of_all(operands: &[Cells]) -> Common {
        let len = operands.iter().find(|cells| !cells.constant).map_or(1, |cells| cells.data.len());
        let mut common = Common { len, constant: true, nulls: None, errors: None };
        for cells in operands {
            debug_assert!(cells.constant || cells.data.len() == len);
            common.constant &= cells.constant;
            common.nulls = NullBuffer::union(common.nulls.as_ref(), cells.nulls(len).as_ref());
            common.errors = merge_errors(common.errors, cells.errors(len));
        }
        common
    }

    pub(crate) fn is_valid(&self, i: usize) -> bool {
        self.nulls.as_ref().is_none_or(|nulls| nulls.is_valid(i))
    }

    /// The result, after `failed` says which rows failed (asked only when `any` did).
    pub(crate) fn finish(self, data: Data, any: bool, failed: impl Fn(usize) -> ErrorCode) -> Cells {
        let new = if any { failures(self.len, self.nulls.as_ref(), failed) } else { None };
        Cells::new(data, self.constant, merge_errors(self.errors, new))
    }
}

/// The errors of rows that are not null.
pub(crate) fn failures(len: usize, nulls: Option<&NullBuffer>, failed: impl Fn(usize) -> ErrorCode) -> Errors {
    let valid = |i: usize| nulls.is_none_or(|nulls| nulls.is_valid(i));
    errors_of((0..len).map(|i| if valid(i) { failed(i) } else { ErrorCode::default() }))
}

/// An operand of a loop over values.
#[derive(Clone, Copy)]
pub(crate) enum Values<'a, T> {
    Each(&'a [T]),
    One(T),
}

impl<'a, T: Copy> Values<'a, T> {
    pub(crate) fn new(values: &'a [T], constant: bool) -> Self {
        if constant { Values::One(values[0]) } else { Values::Each(values) }
    }

    pub(crate) fn get(&self, i: usize) -> T {
        match self {
            Values::Each(values) => values[i],
            Values::One(value) => *value,
        }
    }
}

/// `f` over two operands, row by row; one row if both are constants.
pub(crate) fn zip<A: Copy, B: Copy, T>(a: Values<'_, A>, b: Values<'_, B>, mut f: impl FnMut(A, B) -> T) -> Vec<T> {
    match (a, b) {
        (Values::Each(a), Values::Each(b)) => a.iter().zip(b).map(|(a, b)| f(*a, *b)).collect(),
        (Values::Each(a), Values::One(b)) => a.iter().map(|a| f(*a, b)).collect(),
        (Values::One(a), Values::Each(b)) => b.iter().map(|b| f(a, *b)).collect(),
        (Values::One(a), Values::One(b)) => vec![f(a, b)],
    }
}

/// [`zip`] for a function that gives a bool.
pub(crate) fn zip_bool<A: Copy, B: Copy>(
    a: Values<'_, A>,
    b: Values<'_, B>,
    f: impl Fn(A, B) -> bool,
) -> BooleanBuffer {
    match (a, b) {
        (Values::Each(a), Values::Each(b)) => {
            let b = &b[..a.len()];
            BooleanBuffer::collect_bool(a.len(), |i| f(a[i], b[i]))
        }
        (Values::Each(a), Values::One(b)) => BooleanBuffer::collect_bool(a.len(), |i| f(a[i], b)),
        (Values::One(a), Values::Each(b)) => BooleanBuffer::collect_bool(b.len(), |i| f(a, b[i])),
        (Values::One(a), Values::One(b)) => BooleanBuffer::collect_bool(1, |_| f(a, b)),
    }
}

/// Bits over `len` rows.
pub(crate) fn spread(bits: &BooleanBuffer, constant: bool, len: usize) -> BooleanBuffer {
    match constant {
        false => bits.clone(),
        true if bits.value(0) => BooleanBuffer::new_set(len),
        true => BooleanBuffer::new_unset(len),
    }
}
