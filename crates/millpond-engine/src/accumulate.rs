//! Accumulators: what stays of a group's rows so that its reducers can be answered without them, in columns.
//!
//! | part         | columns                                    | takes back a row           |
//! |--------------|--------------------------------------------|----------------------------|
//! | number of rows | `int`                                    | yes                        |
//! | number of values (rows that are not null) | `int`         | yes                        |
//! | sum of `int` or durations | `int`, `int`: high and low half of 128 bits (`sums`) | yes                     |
//! | sum of `float` | `float`, `float`, `bytes`: the exact sum (`sums`) | yes |
//! | first, last row in order of some columns | these columns, null where there is none | only one beyond the extreme |
//! | number of distinct rows of some columns | `int` | the operator counts, see [`Accumulators::distincts`] |
//! | list of the values | none | the operator reads the values, see [`Accumulators::lists`] |
//!
//! The least value of a column is the first row in order of that column; the arguments at the least value are the other
//! columns of the first row in order of it and them; the earliest values are those of the first row in order of arrival
//! and values.
//!
//! Reducers share parts: `avg(x)` next to `sum(x)` and `count()` costs nothing over a required column.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, Float64Array, Int64Array, UInt32Array, new_null_array};
use arrow_buffer::NullBuffer;
use millpond_columns::packed;
use millpond_columns::types::{Column, ColumnType, Schema, Type};
use millpond_columns::view::{ColumnView, Values, compare_rows, concat, ints, ints_like, required_ints, take};
use millpond_error::{Error, Result};
use millpond_plan::ReducerCall;
use millpond_plan::functions::ReducerKind;

use crate::changes::Diffs;
use crate::keyed::KeyedRows;
use crate::sorting::Sorting;
use crate::sums::{self, number_of_rows, segments, wide};

/// The accumulators of some reducers over the same rows.
#[derive(Clone, Debug)]
pub struct Accumulators {
    parts: Vec<Part>,
    lists: Vec<List>,
    outputs: Vec<Answer>,
}

/// A list of all values of a column, which is no accumulator: the operator makes it of the rows.
#[derive(Clone, Debug, PartialEq)]
pub struct List {
    /// The order of its elements.
    pub sorting: Sorting,
    /// Which of the columns of the order it has.
    column: usize,
    element: Type,
    /// Its reducer, for messages.
    name: String,
}

impl List {
    /// A list for each key of `rows`, which are in its [order](Self::sorting) and added.
    ///
    /// # Errors
    /// `Input` if the lists are too long for a column.
    pub fn of(&self, rows: &KeyedRows) -> Result<ArrayRef> {
        let column = &rows.rows[self.column];
        let lists = match &rows.diffs {
            Diffs::Ones => packed::lists(column, self.element, &rows.offsets),
            Diffs::Each(diffs) => {
                // Each element takes a byte at least, and a column has no more of them than an `i32` counts.
                let count = diffs.iter().fold(0i64, |count, diff| count.saturating_add((*diff).max(0)));
                if i32::try_from(count).is_err() {
                    return Err(self.too_long());
                }
                let mut copies: Vec<u32> = Vec::with_capacity(count as usize);
                let mut ends = Vec::with_capacity(diffs.len() + 1);
                ends.push(0);
                for (row, diff) in (0..).zip(diffs.iter()) {
                    copies.extend(std::iter::repeat_n(row, (*diff).max(0) as usize));
                    ends.push(copies.len() as u32);
                }
                let offsets: Vec<u32> = rows.offsets.iter().map(|&row| ends[row as usize]).collect();
                packed::lists(&take(column, &copies.into()), self.element, &offsets)
            }
        };
        lists.ok_or_else(|| self.too_long())
    }

    fn too_long(&self) -> Error {
        let message = format!("{} has over 2 GiB of values in the groups of one batch", self.name);
        Error::input(message).with_hint("take fewer rows together")
    }
}

/// One part of an accumulator; numbers are positions of arguments among the row columns.
#[derive(Clone, Debug, PartialEq)]
enum Part {
    Rows,
    Values(usize),
    IntSum(usize),
    FloatSum(usize),
    ExtremumSlot(Extremum),
    Distinct(Sorting),
}

/// The first or last row in order of some columns.
#[derive(Clone, Debug, PartialEq)]
struct Extremum {
    columns: Vec<usize>,
    types: Vec<ColumnType>,
    /// The one of the columns that is not null in such a row.
    known: usize,
    greatest: bool,
}

/// How a reducer is answered; numbers are positions of accumulator columns. `values` is the number of values, `None`
/// where no value is null.
#[derive(Clone, Copy, Debug)]
enum Answer {
    /// The column as it is.
    Plain(usize),
    /// The list of this number.
    List(usize),
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
    DurationAvg {
        sum: usize,
        values: usize,
    },
    FloatAvg {
        sum: usize,
        values: usize,
    },
}

impl Accumulators {
    /// Accumulators for `reducers` over rows whose columns are those at the positions `row` of `input`, and then the
    /// epoch in which the row arrived, if a [reducer asks for it](needs_arrival). With `count_rows` the first
    /// accumulator column is the number of rows, whether or not a reducer asks for it.
    pub fn new(reducers: &[ReducerCall], input: &Schema, row: &[usize], count_rows: bool) -> Self {
        let mut made = Accumulators { parts: Vec::new(), lists: Vec::new(), outputs: Vec::new() };
        if count_rows {
            made.part(Part::Rows);
        }
        for reducer in reducers {
            let declared: Vec<&Column> = reducer.columns.iter().map(|&c| &input.columns()[c]).collect();
            let position = |&c: &usize| row.iter().position(|&r| r == c).expect("each argument is a row column");
            let arguments: Vec<usize> = reducer.columns.iter().map(position).collect();
            let types: Vec<ColumnType> = declared.iter().map(|column| column.ty).collect();
            let name = reducer.kind.call(declared.iter().map(|column| column.name.clone()));
            let answer = match of_one_row(reducer, reducers, input) {
                Some(of_row) => {
                    // Of several columns by arrival none is optional.
                    let by_arrival = matches!(reducer.kind, ReducerKind::Earliest | ReducerKind::Latest);
                    let lead = match by_arrival {
                        true => (row.len(), Type::Int.required()),
                        false => (arguments[0], types[0]),
                    };
                    let others = of_row.iter().map(|c| (position(c), input.columns()[*c].ty));
                    let (columns, types) = std::iter::once(lead).chain(others).unzip();
                    let greatest = matches!(reducer.kind, ReducerKind::ArgMax | ReducerKind::Latest);
                    let best = Extremum { columns, types, known: usize::from(by_arrival), greatest };
                    let at = of_row.iter().position(|c| reducer.columns.last() == Some(c)).expect("it is one of them");
                    Answer::Plain(made.part(Part::ExtremumSlot(best)) + 1 + at)
                }
                None => made.answer(reducer.kind, &name, &arguments, &types, row.len()),
            };
            made.outputs.push(answer);
        }
        made
    }

    /// The types of the accumulator columns.
    pub fn columns(&self) -> Vec<ColumnType> {
        let int = Type::Int.required();
        let float = Type::Float.required();
        let of_part = |part: &Part| match part {
            Part::Rows | Part::Values(_) | Part::Distinct(_) => vec![int],
            Part::IntSum(_) => vec![int, int],
            Part::FloatSum(_) => vec![float, float, Type::Bytes.required()],
            Part::ExtremumSlot(best) => best.types.iter().map(|ty| ty.ty.optional()).collect(),
        };
        self.parts.iter().flat_map(of_part).collect()
    }

    /// For each first or last row that is kept: its accumulator columns, and of what they are.
    pub fn extremes(&self) -> Vec<ExtremumSlot> {
        let extreme = |(part, at): (&Part, usize)| match part {
            Part::ExtremumSlot(best) => {
                // Nulls come first: rows must be left out only if it is a later column that has to be known.
                let known = best.known > 0 && best.types[best.known].optional;
                let sorting = Sorting { columns: best.columns.clone(), known };
                Some(ExtremumSlot { column: at, sorting, greatest: best.greatest })
            }
            _ => None,
        };
        self.parts.iter().zip(self.starts()).filter_map(extreme).collect()
    }

    /// For each number of distinct rows: its accumulator column, and of what it is. [`merge`](Self::merge) adds these
    /// numbers up, which is right only if no row is in two of the merged ones; otherwise, who merges counts anew.
    pub fn distincts(&self) -> Vec<(usize, Sorting)> {
        let distinct = |(part, at): (&Part, usize)| match part {
            Part::Distinct(sorting) => Some((at, sorting.clone())),
            _ => None,
        };
        self.parts.iter().zip(self.starts()).filter_map(distinct).collect()
    }

    /// Whether what merges may ask for all rows: for [distinct](Self::distincts) ones, or for [lists](Self::lists).
    pub fn need_all_rows(&self) -> bool {
        !self.lists.is_empty() || self.parts.iter().any(|part| matches!(part, Part::Distinct(_)))
    }

    /// The lists that stand beside the accumulators, each once.
    pub fn lists(&self) -> &[List] {
        &self.lists
    }

    /// The accumulators of each segment of rows: one row for each neighbouring pair of `offsets`. A row of diff -1
    /// counts and adds negatively, and is no candidate for a first or last row. Distinct rows are not counted: their
    /// number is 0.
    ///
    /// # Errors
    /// `Input` if a segment has more rows than an `int` counts.
    pub fn of_rows(&self, rows: &[ArrayRef], diffs: &Diffs, offsets: &[u32]) -> Result<Vec<ArrayRef>> {
        let mut out = Vec::new();
        for part in &self.parts {
            match part {
                Part::Rows => out.push(count(None, diffs, offsets)?),
                Part::Values(argument) => out.push(count(Some(&rows[*argument]), diffs, offsets)?),
                Part::IntSum(argument) => out.extend(sums::int_sums(&rows[*argument], diffs, offsets)?),
                Part::FloatSum(argument) => out.extend(sums::float_sums(&rows[*argument], diffs, offsets)?),
                Part::ExtremumSlot(best) => out.extend(best.of_rows(rows, diffs, offsets)),
                Part::Distinct(_) => out.push(Arc::new(Int64Array::from(vec![0; offsets.len().saturating_sub(1)]))),
            }
        }
        Ok(out)
    }

    /// Adds up the rows of `accumulators` within each segment.
    ///
    /// # Errors
    /// `Input` if a sum has more rows than an `int` counts, `Data` if a saved sum is damaged.
    pub fn merge(&self, accumulators: &[ArrayRef], offsets: &[u32]) -> Result<Vec<ArrayRef>> {
        let mut out = Vec::with_capacity(accumulators.len());
        for (part, at) in self.parts.iter().zip(self.starts()) {
            let columns = &accumulators[at..at + part.width()];
            match part {
                Part::Rows | Part::Values(_) | Part::Distinct(_) => out.push(add_ints(&columns[0], offsets)?),
                Part::IntSum(_) => out.extend(sums::merge_int_sums(&columns[0], &columns[1], offsets)?),
                Part::FloatSum(_) => out.extend(sums::merge_float_sums(columns, offsets)?),
                Part::ExtremumSlot(best) => {
                    out.extend(best.extreme(&columns.iter().collect::<Vec<_>>(), &Diffs::Ones, offsets));
                }
            }
        }
        Ok(out)
    }

    /// Whether the rows of each segment can be taken back from the accumulators in the same place: not if one of them
    /// is a first or last row. To take them back, [`merge`](Self::merge) with what [`of_rows`](Self::of_rows)
    /// makes of their negative diffs.
    pub fn can_take_back(&self, accumulators: &[ArrayRef], rows: &[ArrayRef], offsets: &[u32]) -> Vec<bool> {
        let segments = offsets.len().saturating_sub(1);
        let mut can = vec![true; segments];
        for (part, at) in self.parts.iter().zip(self.starts()) {
            let Part::ExtremumSlot(best) = part else { continue };
            let removed = best.of_rows(rows, &Diffs::Ones, offsets);
            let both = concat(&[&accumulators[at..at + part.width()], &removed]);
            let cells = ColumnView::of_all(&both);
            for (i, can) in can.iter_mut().enumerate() {
                let none = cells[best.known].is_null(segments + i);
                *can &= none || compare_rows(&cells, i, segments + i) == best.winner();
            }
        }
        can
    }

    /// The output columns, in the order of the reducers. `lists` are the [lists](Self::lists), a column each. A sum of
    /// ints or durations that does not fit 64 bits is null, which the plan takes for an error value.
    ///
    /// # Errors
    /// `Data` if a saved sum is damaged.
    pub fn finish(&self, accumulators: &[ArrayRef], lists: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
        let known = |values: Option<usize>| values.and_then(|at| positive(&accumulators[at]));
        self.outputs
            .iter()
            .map(|answer| {
                Ok(match *answer {
                    Answer::Plain(at) => accumulators[at].clone(),
                    Answer::List(at) => lists[at].clone(),
                    Answer::IntSum { sum, values, ty } => {
                        let (high, low) = (ints(&accumulators[sum]), ints(&accumulators[sum + 1]));
                        let fits = |i: usize| high[i] == low[i] >> 63;
                        let mut nulls = known(values);
                        if !(0..high.len()).all(fits) {
                            let fitting: NullBuffer = (0..high.len()).map(fits).collect();
                            nulls = NullBuffer::union(nulls.as_ref(), Some(&fitting));
                        }
                        ty.int_array(low.to_vec().into(), nulls)
                    }
                    Answer::FloatSum { sum, values } => {
                        sums::float_answers(&accumulators[sum..sum + 3], known(values))?
                    }
                    Answer::IntAvg { sum, values } => {
                        let (high, low) = (ints(&accumulators[sum]), ints(&accumulators[sum + 1]));
                        let numbers = ints(&accumulators[values]);
                        let avg = |i: usize| sums::int_mean(wide(high[i], low[i]), numbers[i]);
                        Arc::new(Float64Array::new((0..high.len()).map(avg).collect(), known(Some(values))))
                    }
                    Answer::DurationAvg { sum, values } => {
                        let (high, low) = (ints(&accumulators[sum]), ints(&accumulators[sum + 1]));
                        let numbers = ints(&accumulators[values]);
                        let avg = |i: usize| mean(wide(high[i], low[i]), numbers[i]);
                        Type::Duration.int_array((0..high.len()).map(avg).collect(), known(Some(values)))
                    }
                    Answer::FloatAvg { sum, values } => sums::float_means(
                        &accumulators[sum..sum + 3],
                        ints(&accumulators[values]),
                        known(Some(values)),
                    )?,
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

    /// Adds the parts of a reducer over columns of these types; the rows' arrival is at position `arrival`.
    fn answer(
        &mut self,
        kind: ReducerKind,
        name: &str,
        arguments: &[usize],
        types: &[ColumnType],
        arrival: usize,
    ) -> Answer {
        let in_order = |greatest| Extremum { columns: arguments.to_vec(), types: types.to_vec(), known: 0, greatest };
        match kind {
            ReducerKind::Count => return Answer::Plain(self.part(Part::Rows)),
            ReducerKind::CountValues => return Answer::Plain(self.part(Part::Values(arguments[0]))),
            ReducerKind::CountDistinct => {
                let known = types.iter().any(|ty| ty.optional);
                let sorting = Sorting { columns: arguments.to_vec(), known };
                return Answer::Plain(self.part(Part::Distinct(sorting)));
            }
            ReducerKind::Min => return Answer::Plain(self.part(Part::ExtremumSlot(in_order(false)))),
            ReducerKind::Max => return Answer::Plain(self.part(Part::ExtremumSlot(in_order(true)))),
            ReducerKind::ArgMin | ReducerKind::ArgMax | ReducerKind::Earliest | ReducerKind::Latest => {
                unreachable!("they take a cell of a row")
            }
            ReducerKind::Tuple { skip_nones } | ReducerKind::SortedTuple { skip_nones } => {
                let mut columns = arguments.to_vec();
                if matches!(kind, ReducerKind::Tuple { .. }) {
                    columns.insert(0, arrival);
                }
                let column = columns.len() - 1;
                let known = skip_nones && types[0].optional;
                let sorting = Sorting { columns, known };
                let list = List { sorting, column, element: types[0].ty, name: name.to_owned() };
                let at = self.lists.iter().position(|known| *known == list).unwrap_or(self.lists.len());
                if at == self.lists.len() {
                    self.lists.push(list);
                }
                return Answer::List(at);
            }
            ReducerKind::Sum | ReducerKind::Avg => {}
        }
        let (argument, ColumnType { ty, optional }) = (arguments[0], types[0]);
        let values = if optional { Part::Values(argument) } else { Part::Rows };
        let sum = self.part(if ty == Type::Float { Part::FloatSum(argument) } else { Part::IntSum(argument) });
        match (kind, ty) {
            (ReducerKind::Sum, Type::Float) => Answer::FloatSum { sum, values: optional.then(|| self.part(values)) },
            (ReducerKind::Sum, _) => Answer::IntSum { sum, values: optional.then(|| self.part(values)), ty },
            (_, Type::Float) => Answer::FloatAvg { sum, values: self.part(values) },
            (_, Type::Duration) => Answer::DurationAvg { sum, values: self.part(values) },
            _ => Answer::IntAvg { sum, values: self.part(values) },
        }
    }
}

/// The columns that this reducer, if it takes a cell of a first or last row, and those like it take, each once, in the
/// order of the reducers. They are of one row, so that no row is put together of several: of the rows that are first by
/// their value or arrival, the first in order of these columns. Rows with a null in the column of an `earliest` or
/// `latest` are left out, so of these, only required columns go together.
fn of_one_row(reducer: &ReducerCall, reducers: &[ReducerCall], input: &Schema) -> Option<Vec<usize>> {
    let required = |reducer: &ReducerCall| !input.columns()[reducer.columns[0]].ty.optional;
    let alike = |other: &&ReducerCall| match reducer.kind {
        ReducerKind::ArgMin | ReducerKind::ArgMax => other.columns[0] == reducer.columns[0],
        _ => *other == reducer || required(other) && required(reducer),
    };
    match reducer.kind {
        ReducerKind::ArgMin | ReducerKind::ArgMax | ReducerKind::Earliest | ReducerKind::Latest => {}
        _ => return None,
    }
    let mut columns: Vec<usize> = Vec::new();
    for other in reducers.iter().filter(|other| other.kind == reducer.kind).filter(alike) {
        let column = other.columns[other.columns.len() - 1];
        if !columns.contains(&column) {
            columns.push(column);
        }
    }
    Some(columns)
}

/// Where a first or last row is kept. See [`Accumulators::extremes`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtremumSlot {
    /// The position of the first accumulator column.
    pub column: usize,
    /// The order that it is the first or last row of.
    pub sorting: Sorting,
    /// Whether it is the last.
    pub greatest: bool,
}

/// Whether one of these reducers asks in which epoch a row arrived.
pub fn needs_arrival(reducers: &[ReducerCall]) -> bool {
    let asks = |kind| matches!(kind, ReducerKind::Earliest | ReducerKind::Latest | ReducerKind::Tuple { .. });
    reducers.iter().any(|reducer| asks(reducer.kind))
}

impl Part {
    fn width(&self) -> usize {
        match self {
            Part::Rows | Part::Values(_) | Part::Distinct(_) => 1,
            Part::ExtremumSlot(best) => best.columns.len(),
            Part::IntSum(_) => 2,
            Part::FloatSum(_) => 3,
        }
    }
}

/// The mean of `count` numbers of 64 bits with this sum, rounded half to even; 0 if there are none.
fn mean(sum: i128, count: i64) -> i64 {
    if count <= 0 {
        return 0;
    }
    let count = i128::from(count);
    let (floor, rest) = (sum.div_euclid(count), sum.rem_euclid(count));
    let up = match (2 * rest).cmp(&count) {
        Ordering::Less => false,
        Ordering::Equal => floor % 2 != 0,
        Ordering::Greater => true,
    };
    (floor + i128::from(up)) as i64
}

/// Nulls where a number is not positive; `None` if there is none.
fn positive(numbers: &ArrayRef) -> Option<NullBuffer> {
    let numbers = ints(numbers);
    numbers.iter().any(|n| *n <= 0).then(|| numbers.iter().map(|n| *n > 0).collect())
}

/// Adds up the diffs of the rows of each segment (of those that are not null in `column`).
fn count(column: Option<&ArrayRef>, diffs: &Diffs, offsets: &[u32]) -> Result<ArrayRef> {
    let nulls = column.and_then(|column| column.nulls()).filter(|nulls| nulls.null_count() > 0);
    let counts: Vec<i64> = match (nulls, diffs) {
        (None, Diffs::Ones) => segments(offsets).map(|rows| rows.len() as i64).collect(),
        (Some(nulls), Diffs::Ones) => {
            segments(offsets).map(|rows| rows.filter(|&i| nulls.is_valid(i)).count() as i64).collect()
        }
        (nulls, Diffs::Each(diffs)) => {
            let valid = |i: &usize| nulls.is_none_or(|nulls| nulls.is_valid(*i));
            let total = |rows: Range<usize>| number_of_rows(rows.filter(valid).map(|i| i128::from(diffs[i])).sum());
            segments(offsets).map(total).collect::<Result<_>>()?
        }
    };
    Ok(Arc::new(Int64Array::from(counts)))
}

fn add_ints(column: &ArrayRef, offsets: &[u32]) -> Result<ArrayRef> {
    let values = ints(column);
    let total = |rows: Range<usize>| number_of_rows(values[rows].iter().map(|value| i128::from(*value)).sum());
    Ok(Arc::new(Int64Array::from(segments(offsets).map(total).collect::<Result<Vec<i64>>>()?)))
}

impl Extremum {
    /// How a row compares to the ones that it is chosen over.
    fn winner(&self) -> Ordering {
        if self.greatest { Ordering::Greater } else { Ordering::Less }
    }

    /// The columns of the best row of each segment, of rows that are added and known; else nulls.
    fn of_rows(&self, rows: &[ArrayRef], diffs: &Diffs, offsets: &[u32]) -> Vec<ArrayRef> {
        let columns: Vec<&ArrayRef> = self.columns.iter().map(|&c| &rows[c]).collect();
        self.extreme(&columns, diffs, offsets)
    }

    fn extreme(&self, columns: &[&ArrayRef], diffs: &Diffs, offsets: &[u32]) -> Vec<ArrayRef> {
        let (first, winner) = (columns[0], self.winner());
        let segments_len = offsets.len().saturating_sub(1);
        if first.is_empty() {
            return columns.iter().map(|column| new_null_array(column.data_type(), segments_len)).collect();
        }
        if segments_len == first.len()
            && matches!(diffs, Diffs::Ones)
            && (columns.len() == 1 || columns[self.known].null_count() == 0)
            && offsets.windows(2).all(|pair| pair[1] - pair[0] == 1)
        {
            return columns.iter().map(|&column| column.clone()).collect();
        }
        if let [column] = columns
            && let Some(values) = required_ints(column)
            && diffs.insert_only()
            && offsets.windows(2).all(|pair| pair[0] < pair[1])
        {
            let best = |slice: &[i64]| {
                let best = if self.greatest { slice.iter().max() } else { slice.iter().min() };
                best.copied().unwrap_or_default()
            };
            return vec![ints_like(first, segments(offsets).map(|rows| best(&values[rows])).collect())];
        }
        let cells: Vec<ColumnView<'_>> = columns.iter().map(|&column| ColumnView::of(column)).collect();
        let candidate = |i: &usize| !cells[self.known].is_null(*i) && diffs.get(*i) > 0;
        let rest = &cells[1..];
        let then = |i: usize, j: usize| compare_rows(rest, i, j);
        // No candidate has a null in the first column: it is the known one, or when the row arrived.
        let positions = match cells[0].values {
            Values::Bool(values) => find(offsets, candidate, |i, j| {
                values.value(i).cmp(&values.value(j)).then_with(|| then(i, j)) == winner
            }),
            Values::Int(values) => {
                find(offsets, candidate, |i, j| values[i].cmp(&values[j]).then_with(|| then(i, j)) == winner)
            }
            Values::Float(values) => {
                find(offsets, candidate, |i, j| values[i].total_cmp(&values[j]).then_with(|| then(i, j)) == winner)
            }
            Values::Bytes(text) => {
                find(offsets, candidate, |i, j| text.get(i).cmp(text.get(j)).then_with(|| then(i, j)) == winner)
            }
        };
        columns.iter().map(|&column| take(column, &positions)).collect()
    }
}

/// The position of the best candidate of each segment.
fn find(offsets: &[u32], candidate: impl Fn(&usize) -> bool, winner: impl Fn(usize, usize) -> bool) -> UInt32Array {
    segments(offsets)
        .map(|rows| rows.filter(&candidate).reduce(|best, i| if winner(i, best) { i } else { best }).map(|i| i as u32))
        .collect()
}
