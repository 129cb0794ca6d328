//! Accumulators: what stays of a group's rows so that its reducers can be answered without them, in columns.
//!
//! | part         | columns                                    | takes back a row           |
//! |--------------|--------------------------------------------|----------------------------|
//! | number of rows | `int`                                    | yes                        |
//! | number of values (rows that are not null) | `int`         | yes                        |
//! | sum of `int` or durations | `int`, `int`: high and low half of 128 bits | yes                     |
//! | sum of `float` | `float`, `float`: a double-double; `int`, `int`, `int`: numbers of NaN, inf, -inf | yes |
//! | least, greatest value | the value, null where there is none | only one beyond the extreme |
//!
//! Reducers share parts: `avg(x)` next to `sum(x)` and `count()` costs nothing over a required column. The compensated
//! sum is Knuth's two-sum on (high, low) pairs, as in Hida, Li, Bailey, *Library for double-double arithmetic*. A
//! float sum whose finite values pass the range of `float` stays infinite.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, Float64Array, Int64Array, UInt32Array, new_null_array};
use arrow_buffer::NullBuffer;
use millpond_error::{Error, Result};
use millpond_plan::physical::{ReducerCall, ReducerKind};
use millpond_plan::types::{ColumnType, Schema, Type};

use crate::cells::{Cells, Values, concat, ints, ints_like, take};
use crate::changes::Diffs;

/// The accumulators of some reducers over the same rows.
#[derive(Clone, Debug)]
pub struct Accumulators {
    parts: Vec<Part>,
    outputs: Vec<Output>,
}

/// One part of an accumulator; the number is the position of its argument among the row columns.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Part {
    Rows,
    Values(usize),
    IntSum(usize),
    FloatSum(usize),
    Least(usize, Type),
    Greatest(usize, Type),
}

/// One reducer: its text for messages, and where its parts start among the accumulator columns.
#[derive(Clone, Debug)]
struct Output {
    name: String,
    answer: Answer,
}

/// How a reducer is answered; numbers are positions of accumulator columns. `values` is the number of values, `None`
/// where no value is null.
#[derive(Clone, Copy, Debug)]
enum Answer {
    /// The column as it is.
    Plain(usize),
    /// Of an `int` or a duration.
    IntSum {
        sum: usize,
        values: Option<usize>,
        ty: Type,
    },
    FloatSum {
        sum: usize,
        values: Option<usize>,
    },
    IntAvg {
        sum: usize,
        values: usize,
    },
    FloatAvg {
        sum: usize,
        values: usize,
    },
}

impl Accumulators {
    /// Accumulators for `reducers` over rows whose columns are those at the positions `row` of `input`. With
    /// `count_rows` the first accumulator column is the number of rows, whether or not a reducer asks for it.
    pub fn new(reducers: &[ReducerCall], input: &Schema, row: &[usize], count_rows: bool) -> Self {
        let mut made = Accumulators { parts: Vec::new(), outputs: Vec::new() };
        if count_rows {
            made.part(Part::Rows);
        }
        for reducer in reducers {
            let (name, answer) = match reducer.column {
                None => ("count()".to_owned(), Answer::Plain(made.part(Part::Rows))),
                Some(column) => {
                    let declared = &input.columns()[column];
                    let argument = row.iter().position(|&c| c == column).expect("each argument is a row column");
                    let text = format!("{}({})", text_of(reducer.kind), declared.name);
                    (text, made.answer(reducer.kind, declared.ty, argument))
                }
            };
            made.outputs.push(Output { name, answer });
        }
        made
    }

    /// The types of the accumulator columns.
    pub fn columns(&self) -> Vec<ColumnType> {
        let int = Type::Int.required();
        let float = Type::Float.required();
        let of_part = |part: &Part| match part {
            Part::Rows | Part::Values(_) => vec![int],
            Part::IntSum(_) => vec![int, int],
            Part::FloatSum(_) => vec![float, float, int, int, int],
            Part::Least(_, ty) | Part::Greatest(_, ty) => vec![ty.optional()],
        };
        self.parts.iter().flat_map(of_part).collect()
    }

    /// For each least or greatest value: its accumulator column, the row column that it is of, and whether it is the
    /// greatest.
    pub fn extremes(&self) -> Vec<Extreme> {
        let extreme = |(part, at): (&Part, usize)| match *part {
            Part::Least(argument, _) => Some(Extreme { column: at, argument, greatest: false }),
            Part::Greatest(argument, _) => Some(Extreme { column: at, argument, greatest: true }),
            _ => None,
        };
        self.parts.iter().zip(self.starts()).filter_map(extreme).collect()
    }

    /// The accumulators of each segment of rows: one row for each neighbouring pair of `offsets`. A row of diff -1 counts and adds
    /// negatively, and is no candidate for a least or greatest value.
    pub fn of_rows(&self, rows: &[ArrayRef], diffs: &Diffs, offsets: &[u32]) -> Vec<ArrayRef> {
        let mut out = Vec::new();
        for part in &self.parts {
            match *part {
                Part::Rows => out.push(count(None, diffs, offsets)),
                Part::Values(argument) => out.push(count(Some(&rows[argument]), diffs, offsets)),
                Part::IntSum(argument) => out.extend(int_sums(&rows[argument], diffs, offsets)),
                Part::FloatSum(argument) => out.extend(float_sums(&rows[argument], diffs, offsets)),
                Part::Least(argument, _) => out.push(extreme(&rows[argument], diffs, offsets, Ordering::Less)),
                Part::Greatest(argument, _) => out.push(extreme(&rows[argument], diffs, offsets, Ordering::Greater)),
            }
        }
        out
    }

    /// Adds up the rows of `accumulators` within each segment.
    pub fn merge(&self, accumulators: &[ArrayRef], offsets: &[u32]) -> Vec<ArrayRef> {
        let mut out = Vec::with_capacity(accumulators.len());
        for (part, at) in self.parts.iter().zip(self.starts()) {
            match part {
                Part::Rows | Part::Values(_) => out.push(add_ints(&accumulators[at], offsets)),
                Part::IntSum(_) => out.extend(merge_int_sums(&accumulators[at], &accumulators[at + 1], offsets)),
                Part::FloatSum(_) => {
                    out.extend(merge_float_sums(&accumulators[at], &accumulators[at + 1], offsets));
                    out.extend(accumulators[at + 2..at + 5].iter().map(|counts| add_ints(counts, offsets)));
                }
                Part::Least(..) => out.push(extreme(&accumulators[at], &Diffs::Ones, offsets, Ordering::Less)),
                Part::Greatest(..) => out.push(extreme(&accumulators[at], &Diffs::Ones, offsets, Ordering::Greater)),
            }
        }
        out
    }

    /// Whether the rows of each segment can be taken back from the accumulators in the same place: not if one of them
    /// is a least or greatest value. To take them back, [`merge`](Self::merge) with what [`of_rows`](Self::of_rows)
    /// makes of their negative diffs.
    pub fn can_take_back(&self, accumulators: &[ArrayRef], rows: &[ArrayRef], offsets: &[u32]) -> Vec<bool> {
        let segments = offsets.len().saturating_sub(1);
        let mut can = vec![true; segments];
        for Extreme { column, argument, greatest } in self.extremes() {
            let better = if greatest { Ordering::Greater } else { Ordering::Less };
            let removed = extreme(&rows[argument], &Diffs::Ones, offsets, better);
            let both = concat(&[&accumulators[column..=column], &[removed]]);
            let cells = Cells::of(&both[0]);
            for (i, can) in can.iter_mut().enumerate() {
                let beyond = cells.is_null(segments + i) || cells.compare(i, segments + i) == better;
                *can &= beyond;
            }
        }
        can
    }

    /// The output columns, in the order of the reducers.
    ///
    /// # Errors
    /// `Input` if the sum of an `int` column does not fit an `int`.
    pub fn finish(&self, accumulators: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
        let known = |values: Option<usize>| values.and_then(|at| positive(&accumulators[at]));
        self.outputs
            .iter()
            .map(|Output { name, answer }| {
                Ok(match *answer {
                    Answer::Plain(at) => accumulators[at].clone(),
                    Answer::IntSum { sum, values, ty } => {
                        let (high, low) = (ints(&accumulators[sum]), ints(&accumulators[sum + 1]));
                        if let Some(i) = (0..high.len()).find(|&i| high[i] != low[i] >> 63) {
                            let value = wide(high[i], low[i]);
                            let (value, hint) = match ty {
                                Type::Int => (
                                    value.to_string(),
                                    "cast the column to float before the sum, or take fewer rows together",
                                ),
                                _ => (format!("{value} ns"), "take fewer rows together"),
                            };
                            return Err(Error::input(format!("{name} is {value}, which is outside the range of {ty}"))
                                .with_hint(hint));
                        }
                        ty.int_array(low.to_vec().into(), known(values))
                    }
                    Answer::FloatSum { sum, values } => {
                        let sums = FloatSums::of(&accumulators[sum..sum + 5]);
                        let sums = (0..sums.high.len()).map(|i| sums.get(i)).collect();
                        Arc::new(Float64Array::new(sums, known(values)))
                    }
                    Answer::IntAvg { sum, values } => {
                        let (high, low) = (ints(&accumulators[sum]), ints(&accumulators[sum + 1]));
                        let numbers = ints(&accumulators[values]);
                        let avg = |i: usize| wide(high[i], low[i]) as f64 / numbers[i] as f64;
                        Arc::new(Float64Array::new((0..high.len()).map(avg).collect(), known(Some(values))))
                    }
                    Answer::FloatAvg { sum, values } => {
                        let sums = FloatSums::of(&accumulators[sum..sum + 5]);
                        let numbers = ints(&accumulators[values]);
                        let avg = |i: usize| sums.get(i) / numbers[i] as f64;
                        Arc::new(Float64Array::new((0..numbers.len()).map(avg).collect(), known(Some(values))))
                    }
                })
            })
            .collect()
    }

    /// The position of each part's first column.
    fn starts(&self) -> impl Iterator<Item = usize> {
        self.parts.iter().scan(0, |next, part| {
            let at = *next;
            *next += part.width();
            Some(at)
        })
    }

    /// The position of the first column of `part`, which is added if it is new.
    fn part(&mut self, part: Part) -> usize {
        if let Some((_, at)) = self.parts.iter().zip(self.starts()).find(|(known, _)| **known == part) {
            return at;
        }
        self.parts.push(part);
        self.parts[..self.parts.len() - 1].iter().map(Part::width).sum()
    }

    /// Adds the parts of a reducer over a column of type `ty`.
    fn answer(&mut self, kind: ReducerKind, ty: ColumnType, argument: usize) -> Answer {
        let values = if ty.optional { Part::Values(argument) } else { Part::Rows };
        match (kind, ty.ty) {
            (ReducerKind::Count, _) => Answer::Plain(self.part(Part::Rows)),
            (ReducerKind::Min, of) => Answer::Plain(self.part(Part::Least(argument, of))),
            (ReducerKind::Max, of) => Answer::Plain(self.part(Part::Greatest(argument, of))),
            (ReducerKind::Sum, Type::Float) => Answer::FloatSum {
                sum: self.part(Part::FloatSum(argument)),
                values: ty.optional.then(|| self.part(values)),
            },
            (ReducerKind::Sum, of) => Answer::IntSum {
                sum: self.part(Part::IntSum(argument)),
                values: ty.optional.then(|| self.part(values)),
                ty: of,
            },
            (ReducerKind::Avg, Type::Float) => {
                Answer::FloatAvg { sum: self.part(Part::FloatSum(argument)), values: self.part(values) }
            }
            (ReducerKind::Avg, _) => {
                Answer::IntAvg { sum: self.part(Part::IntSum(argument)), values: self.part(values) }
            }
        }
    }
}

/// Where a least or greatest value is kept. See [`Accumulators::extremes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extreme {
    /// The position of the accumulator column.
    pub column: usize,
    /// The position of the row column that it is of.
    pub argument: usize,
    /// Whether it is the greatest value.
    pub greatest: bool,
}

impl Part {
    fn width(&self) -> usize {
        match self {
            Part::Rows | Part::Values(_) | Part::Least(..) | Part::Greatest(..) => 1,
            Part::IntSum(_) => 2,
            Part::FloatSum(_) => 5,
        }
    }
}

fn text_of(kind: ReducerKind) -> &'static str {
    match kind {
        ReducerKind::Count => "count",
        ReducerKind::Sum => "sum",
        ReducerKind::Avg => "avg",
        ReducerKind::Min => "min",
        ReducerKind::Max => "max",
    }
}

/// The 128-bit number of two halves.
fn wide(high: i64, low: i64) -> i128 {
    (i128::from(high) << 64) | i128::from(low as u64)
}

/// Nulls where a number is not positive; `None` if there is none.
fn positive(numbers: &ArrayRef) -> Option<NullBuffer> {
    let numbers = ints(numbers);
    numbers.iter().any(|n| *n <= 0).then(|| numbers.iter().map(|n| *n > 0).collect())
}

/// The segments of `offsets`, as ranges of rows.
fn segments(offsets: &[u32]) -> impl Iterator<Item = std::ops::Range<usize>> {
    offsets.windows(2).map(|pair| pair[0] as usize..pair[1] as usize)
}

/// Adds up the diffs of the rows of each segment (of those that are not null in `column`).
fn count(column: Option<&ArrayRef>, diffs: &Diffs, offsets: &[u32]) -> ArrayRef {
    let nulls = column.and_then(|column| column.nulls()).filter(|nulls| nulls.null_count() > 0);
    let counts: Vec<i64> = match (nulls, diffs) {
        (None, Diffs::Ones) => segments(offsets).map(|rows| rows.len() as i64).collect(),
        (None, Diffs::Each(diffs)) => segments(offsets).map(|rows| diffs[rows].iter().sum()).collect(),
        (Some(nulls), diffs) => {
            let diff = |i: usize| if nulls.is_valid(i) { diffs.get(i) } else { 0 };
            segments(offsets).map(|rows| rows.map(diff).sum()).collect()
        }
    };
    Arc::new(Int64Array::from(counts))
}

fn add_ints(column: &ArrayRef, offsets: &[u32]) -> ArrayRef {
    let values = ints(column);
    Arc::new(Int64Array::from_iter_values(segments(offsets).map(|rows| values[rows].iter().sum())))
}

/// The halves of 128-bit sums.
fn halves(sums: impl Iterator<Item = i128>) -> [ArrayRef; 2] {
    let mut high = Vec::with_capacity(sums.size_hint().0);
    let mut low = Vec::with_capacity(sums.size_hint().0);
    for sum in sums {
        high.push((sum >> 64) as i64);
        low.push(sum as i64);
    }
    [Arc::new(Int64Array::from(high)), Arc::new(Int64Array::from(low))]
}

fn int_sums(column: &ArrayRef, diffs: &Diffs, offsets: &[u32]) -> [ArrayRef; 2] {
    let cells = Cells::of(column);
    let Values::Int(values) = cells.values else { unreachable!("an int sum is over an int column") };
    match (cells.nulls, diffs) {
        (None, Diffs::Ones) => halves(segments(offsets).map(|rows| values[rows].iter().map(|v| i128::from(*v)).sum())),
        _ => {
            let term = |i: usize| if cells.is_null(i) { 0 } else { i128::from(values[i]) * i128::from(diffs.get(i)) };
            halves(segments(offsets).map(|rows| rows.map(term).sum()))
        }
    }
}

fn merge_int_sums(high: &ArrayRef, low: &ArrayRef, offsets: &[u32]) -> [ArrayRef; 2] {
    let (high, low) = (ints(high), ints(low));
    halves(segments(offsets).map(|rows| rows.map(|i| wide(high[i], low[i])).sum()))
}

/// A double-double: the sum of two numbers of which the second is less than half a unit in the last place of the first.
#[derive(Clone, Copy, Default)]
struct Compensated {
    high: f64,
    low: f64,
}

impl Compensated {
    #[inline]
    fn add(self, other: Compensated) -> Self {
        let sum = self.high + other.high;
        let part = sum - self.high;
        let error = (self.high - (sum - part)) + (other.high - part) + (self.low + other.low);
        let high = sum + error;
        // An infinite sum has no error.
        let low = if high.is_finite() { error - (high - sum) } else { 0.0 };
        Compensated { high: if sum.is_finite() { high } else { sum }, low }
    }

    /// `value` times a whole number.
    #[inline]
    fn times(value: f64, factor: i64) -> Self {
        let high = value * factor as f64;
        let low = value.mul_add(factor as f64, -high);
        Compensated { high, low: if low.is_finite() { low } else { 0.0 } }
    }
}

fn float_sums(column: &ArrayRef, diffs: &Diffs, offsets: &[u32]) -> Vec<ArrayRef> {
    let cells = Cells::of(column);
    let Values::Float(values) = cells.values else { unreachable!("a float sum is over a float column") };
    let count = offsets.len().saturating_sub(1);
    let (mut highs, mut lows) = (Vec::with_capacity(count), Vec::with_capacity(count));
    let mut apart: [Vec<i64>; 3] = Default::default();
    for rows in segments(offsets) {
        let mut sum = Compensated::default();
        let mut counts = [0; 3];
        for i in rows {
            if cells.is_null(i) {
                continue;
            }
            let (value, diff) = (values[i], diffs.get(i));
            if value.is_finite() {
                sum = sum.add(if diff == 1 {
                    Compensated { high: value, low: 0.0 }
                } else {
                    Compensated::times(value, diff)
                });
            } else if value.is_nan() {
                counts[0] += diff;
            } else {
                counts[if value > 0.0 { 1 } else { 2 }] += diff;
            }
        }
        highs.push(sum.high);
        lows.push(sum.low);
        apart.iter_mut().zip(counts).for_each(|(column, count)| column.push(count));
    }
    let mut out: Vec<ArrayRef> = vec![Arc::new(Float64Array::from(highs)), Arc::new(Float64Array::from(lows))];
    out.extend(apart.map(|counts| Arc::new(Int64Array::from(counts)) as ArrayRef));
    out
}

fn merge_float_sums(high: &ArrayRef, low: &ArrayRef, offsets: &[u32]) -> [ArrayRef; 2] {
    let high = high.as_primitive::<Float64Type>().values();
    let low = low.as_primitive::<Float64Type>().values();
    let mut highs = Vec::with_capacity(offsets.len());
    let mut lows = Vec::with_capacity(offsets.len());
    for rows in segments(offsets) {
        let term = |i: usize| Compensated { high: high[i], low: low[i] };
        let sum = rows.map(term).fold(Compensated::default(), Compensated::add);
        highs.push(sum.high);
        lows.push(sum.low);
    }
    [Arc::new(Float64Array::from(highs)), Arc::new(Float64Array::from(lows))]
}

/// The columns of float sums.
struct FloatSums<'a> {
    high: &'a [f64],
    low: &'a [f64],
    apart: [&'a [i64]; 3],
}

impl<'a> FloatSums<'a> {
    fn of(columns: &'a [ArrayRef]) -> Self {
        let floats = |column: &'a ArrayRef| -> &'a [f64] { column.as_primitive::<Float64Type>().values() };
        FloatSums {
            high: floats(&columns[0]),
            low: floats(&columns[1]),
            apart: [ints(&columns[2]), ints(&columns[3]), ints(&columns[4])],
        }
    }

    fn get(&self, i: usize) -> f64 {
        let [nan, infinite, negative] = self.apart.map(|counts| counts[i] > 0);
        if nan || (infinite && negative) {
            f64::NAN
        } else if infinite {
            f64::INFINITY
        } else if negative {
            f64::NEG_INFINITY
        } else {
            self.high[i] + self.low[i]
        }
    }
}

/// The least (`better` is `Less`) or greatest cell of each segment, of rows that are added and not null; else null.
fn extreme(column: &ArrayRef, diffs: &Diffs, offsets: &[u32], better: Ordering) -> ArrayRef {
    let segments_len = offsets.len().saturating_sub(1);
    if column.is_empty() {
        return new_null_array(column.data_type(), segments_len);
    }
    let cells = Cells::of(column);
    if let (Values::Int(values), None, Diffs::Ones) = (cells.values, cells.nulls, diffs)
        && offsets.windows(2).all(|pair| pair[0] < pair[1])
    {
        let least = better == Ordering::Less;
        let best = |slice: &[i64]| {
            let best = if least { slice.iter().min() } else { slice.iter().max() };
            best.copied().unwrap_or_default()
        };
        return ints_like(column, segments(offsets).map(|rows| best(&values[rows])).collect());
    }
    if segments_len == column.len()
        && matches!(diffs, Diffs::Ones)
        && offsets.windows(2).all(|pair| pair[1] - pair[0] == 1)
    {
        return column.clone();
    }
    let candidate = |i: &usize| !cells.is_null(*i) && diffs.get(*i) > 0;
    fn find(offsets: &[u32], candidate: impl Fn(&usize) -> bool, better: impl Fn(usize, usize) -> bool) -> UInt32Array {
        segments(offsets)
            .map(|rows| {
                rows.filter(&candidate).reduce(|best, i| if better(i, best) { i } else { best }).map(|i| i as u32)
            })
            .collect()
    }
    let positions = match cells.values {
        Values::Bool(values) => find(offsets, candidate, |i, j| values.value(i).cmp(&values.value(j)) == better),
        Values::Int(values) => find(offsets, candidate, |i, j| values[i].cmp(&values[j]) == better),
        Values::Float(values) => find(offsets, candidate, |i, j| values[i].total_cmp(&values[j]) == better),
        Values::Str(text) => find(offsets, candidate, |i, j| text.get(i).cmp(text.get(j)) == better),
    };
    take(column, &positions)
}
