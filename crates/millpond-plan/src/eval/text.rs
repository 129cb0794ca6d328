//! Functions on text, with the results of the methods of Python's `str`.
//!
//! Two results follow Rust where Python differs: the case of letters is that of this compiler's version of Unicode, and
//! numbers are read of ASCII digits only.

use std::fmt::Write;

use arrow_array::builder::StringBuilder;
use arrow_array::{Array, BooleanArray, Float64Array, Int64Array, StringArray};
use arrow_buffer::{BooleanBuffer, NullBuffer, OffsetBuffer};
use millpond_columns::ColumnBuilder;
use millpond_columns::packed::{put_bytes, put_end};
use millpond_columns::types::Type;

use super::cells::{Cells, Common, Data, ErrorCode, Reason, Values, failures, merge_errors};
use crate::functions::TextFunction;
use crate::python_repr;
use crate::terms::TermId;

/// The longest text that a column of a batch may have in total.
const MOST_BYTES: usize = i32::MAX as usize;

/// `function(operands)`
pub(crate) fn call(function: &TextFunction, operands: &[Cells], term: TermId) -> Cells {
    let common = Common::of_all(operands);
    let len = common.len;
    let text = Texts::of(&operands[0]);
    let part = || Texts::of(&operands[1]);
    match function {
        TextFunction::Lower if text.is_ascii() => ascii(text, common, u8::to_ascii_lowercase),
        TextFunction::Upper if text.is_ascii() => ascii(text, common, u8::to_ascii_uppercase),
        TextFunction::Lower => texts(common, |i, out| lower(text.get(i), out)),
        TextFunction::Upper => {
            texts(common, |i, out| text.get(i).chars().for_each(|c| write_chars(out, c.to_uppercase())))
        }
        TextFunction::Strip if operands.len() == 1 => {
            texts(common, |i, out| write(out, text.get(i).trim_matches(python_repr::is_space)))
        }
        TextFunction::Strip => {
            let characters = part();
            texts(common, |i, out| write(out, text.get(i).trim_matches(|c| characters.get(i).contains(c))))
        }
        TextFunction::Len => ints(common, (0..len).map(|i| count_chars(text.get(i)))),
        TextFunction::StartsWith => {
            let prefix = part();
            bools(common, |i| text.get(i).starts_with(prefix.get(i)))
        }
        TextFunction::EndsWith => {
            let suffix = part();
            bools(common, |i| text.get(i).ends_with(suffix.get(i)))
        }
        TextFunction::Contains => {
            let part = part();
            bools(common, |i| text.get(i).contains(part.get(i)))
        }
        TextFunction::Find => {
            let part = part();
            ints(common, (0..len).map(|i| find(text.get(i), part.get(i))))
        }
        TextFunction::Count => {
            let part = part();
            ints(common, (0..len).map(|i| text.get(i).matches(part.get(i)).count() as i64))
        }
        TextFunction::Replace => {
            let counts = operands.get(3).map_or(Values::One(-1), int_values);
            replace(common, text, part(), Texts::of(&operands[2]), counts, term)
        }
        TextFunction::Slice => {
            let (start, end) = (int_values(&operands[1]), int_values(&operands[2]));
            texts(common, |i, out| write(out, slice(text.get(i), start.get(i), end.get(i))))
        }
        TextFunction::Split => {
            let cuts = operands.get(2).map_or(Values::One(-1), int_values);
            split(common, text, Some(part()), cuts, term)
        }
        TextFunction::SplitWhitespace => {
            let cuts = operands.get(1).map_or(Values::One(-1), int_values);
            split(common, text, None, cuts, term)
        }
        TextFunction::ParseInt { optional } => {
            parse(common, text, *optional, term, python_repr::parse_int, no_such_text, |values, nulls| {
                Data::Int(Int64Array::new(values.into(), nulls))
            })
        }
        TextFunction::ParseFloat { optional } => {
            parse(common, text, *optional, term, python_repr::parse_float, no_such_text, |values, nulls| {
                Data::Float(Float64Array::new(values.into(), nulls))
            })
        }
        TextFunction::ParseBool { words, optional } => parse(
            common,
            text,
            *optional,
            term,
            |text| words.read(text),
            no_such_text,
            |values, nulls| Data::Bool(BooleanArray::new(values.into(), nulls)),
        ),
    }
}

/// An operand that is text.
#[derive(Clone, Copy)]
pub(super) struct Texts<'a> {
    array: &'a StringArray,
    constant: bool,
}

impl<'a> Texts<'a> {
    pub(super) fn of(cells: &'a Cells) -> Self {
        let Data::Str(array) = &cells.data else { unreachable!("the type check wants text") };
        Texts { array, constant: cells.constant }
    }

    fn get(&self, i: usize) -> &'a str {
        self.array.value(if self.constant { 0 } else { i })
    }

    /// The bytes of all values, which follow on each other.
    fn bytes(&self) -> &'a [u8] {
        let offsets = self.array.value_offsets();
        &self.array.value_data()[offsets[0] as usize..offsets[self.array.len()] as usize]
    }

    fn is_ascii(&self) -> bool {
        self.bytes().is_ascii()
    }
}

fn int_values(cells: &Cells) -> Values<'_, i64> {
    let Data::Int(array) = &cells.data else { unreachable!("the type check wants an int") };
    Values::new(array.values(), cells.constant)
}

/// The text that `write` writes for each row that is not null.
pub(super) fn texts(common: Common, mut write: impl FnMut(usize, &mut StringBuilder)) -> Cells {
    let mut builder = StringBuilder::with_capacity(common.len, common.len * 8);
    for i in 0..common.len {
        if common.is_valid(i) {
            write(i, &mut builder);
            builder.append_value("");
        } else {
            builder.append_null();
        }
    }
    Cells::new(Data::Str(builder.finish()), common.constant, common.errors)
}

fn ints(common: Common, values: impl Iterator<Item = i64>) -> Cells {
    let array = Int64Array::new(values.collect(), common.nulls);
    Cells::new(Data::Int(array), common.constant, common.errors)
}

fn bools(common: Common, value: impl Fn(usize) -> bool) -> Cells {
    let array = BooleanArray::new(BooleanBuffer::collect_bool(common.len, value), common.nulls);
    Cells::new(Data::Bool(array), common.constant, common.errors)
}

/// Text of which every byte is mapped to an ASCII byte.
fn ascii(text: Texts<'_>, common: Common, map: impl Fn(&u8) -> u8) -> Cells {
    let offsets = text.array.value_offsets();
    let lengths = offsets.windows(2).map(|bounds| (bounds[1] - bounds[0]) as usize);
    let bytes: Vec<u8> = text.bytes().iter().map(map).collect();
    let array = StringArray::new(OffsetBuffer::from_lengths(lengths), bytes.into(), common.nulls);
    Cells::new(Data::Str(array), common.constant, common.errors)
}

fn lower(text: &str, out: &mut StringBuilder) {
    // A capital sigma is the one letter whose small form depends on what stands beside it.
    if text.contains('Σ') {
        write(out, &text.to_lowercase());
    } else {
        text.chars().for_each(|c| write_chars(out, c.to_lowercase()));
    }
}

fn write(out: &mut StringBuilder, text: &str) {
    out.write_str(text).expect("a buffer in memory takes any text");
}

fn write_chars(out: &mut StringBuilder, chars: impl Iterator<Item = char>) {
    chars.for_each(|c| out.write_char(c).expect("a buffer in memory takes any text"));
}

fn count_chars(text: &str) -> i64 {
    text.chars().count() as i64
}

fn find(text: &str, part: &str) -> i64 {
    text.find(part).map_or(-1, |at| count_chars(&text[..at]))
}

/// `text[start:end]`
fn slice(text: &str, start: i64, end: i64) -> &str {
    let ascii = text.is_ascii();
    let len = if ascii { text.len() as i64 } else { count_chars(text) };
    let place = |at: i64| if at < 0 { at.saturating_add(len).max(0) } else { at.min(len) } as usize;
    let (start, end) = (place(start), place(end));
    let byte = |at: usize| match ascii {
        true => at,
        false => text.char_indices().nth(at).map_or(text.len(), |(byte, _)| byte),
    };
    if start < end { &text[byte(start)..byte(end)] } else { "" }
}

fn replace(
    common: Common,
    text: Texts<'_>,
    old: Texts<'_>,
    new: Texts<'_>,
    counts: Values<'_, i64>,
    term: TermId,
) -> Cells {
    let mut too_long = vec![];
    let mut builder = StringBuilder::with_capacity(common.len, text.bytes().len());
    for i in 0..common.len {
        if !common.is_valid(i) {
            builder.append_null();
            continue;
        }
        let (text, old, new) = (text.get(i), old.get(i), new.get(i));
        let count = usize::try_from(counts.get(i)).unwrap_or(usize::MAX);
        // Only text that grows needs its length known beforehand.
        let grown = match new.len() > old.len() {
            true => text.matches(old).take(count).count().saturating_mul(new.len() - old.len()),
            false => 0,
        };
        if grown.saturating_add(text.len()).saturating_add(builder.values_slice().len()) > MOST_BYTES {
            too_long.push(i);
            builder.append_value("");
            continue;
        }
        let mut rest = 0;
        for (at, _) in text.match_indices(old).take(count) {
            write(&mut builder, &text[rest..at]);
            write(&mut builder, new);
            rest = at + old.len();
        }
        builder.append_value(&text[rest..]);
    }
    let code = |i: usize| match too_long.binary_search(&i) {
        Ok(_) => ErrorCode::new(term, Reason::TooLong),
        Err(_) => ErrorCode::default(),
    };
    common.finish(Data::Str(builder.finish()), !too_long.is_empty(), code)
}

/// Lists of the pieces of each text, cut at separators or at runs of white space, at most so often; always if that is
/// negative.
fn split(common: Common, text: Texts<'_>, separator: Option<Texts<'_>>, cuts: Values<'_, i64>, term: TermId) -> Cells {
    let mut lists = ColumnBuilder::new(Type::list(Type::Str));
    let mut list = Vec::new();
    let mut failed = vec![];
    for i in 0..common.len {
        if !common.is_valid(i) {
            lists.append_nulls(1);
            continue;
        }
        list.clear();
        let cuts = usize::try_from(cuts.get(i)).unwrap_or(usize::MAX);
        let mut reason = Reason::TooLong;
        match separator.map(|separator| separator.get(i)) {
            Some("") => reason = Reason::EmptySeparator,
            Some(separator) => {
                let pieces = text.get(i).splitn(cuts.saturating_add(1), separator);
                pieces.for_each(|piece| put_bytes(piece.as_bytes(), &mut list));
            }
            None => split_whitespace(text.get(i), cuts, |piece| put_bytes(piece.as_bytes(), &mut list)),
        }
        put_end(&mut list);
        if reason == Reason::EmptySeparator || lists.push_bytes(&list).is_none() {
            failed.push((i, reason));
            lists.append_nulls(1);
        }
    }
    let code = |i: usize| match failed.binary_search_by_key(&i, |(row, _)| *row) {
        Ok(at) => ErrorCode::new(term, failed[at].1),
        Err(_) => ErrorCode::default(),
    };
    let lists = lists.finish();
    common.finish(Data::of(&lists).expect("a list is stored as bytes"), !failed.is_empty(), code)
}

/// `text.split(None, cuts)`
fn split_whitespace<'a>(text: &'a str, mut cuts: usize, mut put: impl FnMut(&'a str)) {
    let mut rest = text.trim_start_matches(python_repr::is_space);
    while !rest.is_empty() {
        let end = if cuts > 0 { rest.find(python_repr::is_space) } else { None };
        let (piece, after) = rest.split_at(end.unwrap_or(rest.len()));
        put(piece);
        rest = after.trim_start_matches(python_repr::is_space);
        cuts = cuts.saturating_sub(1);
    }
}

/// Text that is no spelling of a value.
fn no_such_text(_: &str) -> Reason {
    Reason::Unreadable
}

/// What `read` reads of each text; what it cannot read is null if that is `optional`, an error otherwise.
pub(super) fn parse<T: Copy + Default>(
    common: Common,
    text: Texts<'_>,
    optional: bool,
    term: TermId,
    read: impl Fn(&str) -> Option<T>,
    reason: impl Fn(&str) -> Reason,
    data: impl FnOnce(Vec<T>, Option<NullBuffer>) -> Data,
) -> Cells {
    let mut any = false;
    let values = (0..common.len).map(|i| {
        let value = if common.is_valid(i) { read(text.get(i)) } else { Some(T::default()) };
        any |= value.is_none();
        value.unwrap_or_default()
    });
    let values: Vec<T> = values.collect();
    let unreadable = |i: usize| common.is_valid(i) && read(text.get(i)).is_none();
    if optional {
        let valid = |i| common.is_valid(i) && !unreadable(i);
        let nulls = match any {
            true => Some(NullBuffer::new(BooleanBuffer::collect_bool(common.len, valid))),
            false => common.nulls,
        };
        return Cells::new(data(values, nulls), common.constant, common.errors);
    }
    let code = |i| if unreadable(i) { ErrorCode::new(term, reason(text.get(i))) } else { ErrorCode::default() };
    let new = if any { failures(common.len, common.nulls.as_ref(), code) } else { None };
    Cells::new(data(values, common.nulls), common.constant, merge_errors(common.errors, new))
}
