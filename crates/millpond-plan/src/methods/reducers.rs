//! The functions that write reducers in an expression.

use crate::expr::Expr;
use crate::functions::reducer::Reducer;

/// The number of rows, nulls included.
#[track_caller]
pub fn count() -> Expr {
    Expr::reducer(Reducer::Count, [])
}

/// The sum of an `int`, `float` or duration expression over the rows, without nulls.
///
/// Floats are added up exactly and rounded once, to the nearest float. Ints and durations are added up in 128 bits; a
/// result that does not fit into 64 is an error at the end of the epoch, which is not saved.
#[track_caller]
pub fn sum(argument: impl Into<Expr>) -> Expr {
    Expr::reducer(Reducer::Sum, [argument.into()])
}

/// The mean over the rows, without nulls: of an `int` or `float` expression the `float` that is nearest to the exact
/// sum by the number of values, of a duration a duration, rounded half to even to the nanosecond.
#[track_caller]
pub fn avg(argument: impl Into<Expr>) -> Expr {
    Expr::reducer(Reducer::Avg, [argument.into()])
}

/// The smallest value over the rows, without nulls; NaN is greater than every number.
#[track_caller]
pub fn min(argument: impl Into<Expr>) -> Expr {
    Expr::reducer(Reducer::Min, [argument.into()])
}

/// The largest value over the rows, without nulls; NaN is greater than every number.
#[track_caller]
pub fn max(argument: impl Into<Expr>) -> Expr {
    Expr::reducer(Reducer::Max, [argument.into()])
}

/// One of the values over the rows, without nulls: the smallest.
#[track_caller]
pub fn any(argument: impl Into<Expr>) -> Expr {
    Expr::reducer(Reducer::Any, [argument.into()])
}

/// The one value that all rows have, without nulls; an error value if there are several.
#[track_caller]
pub fn unique(argument: impl Into<Expr>) -> Expr {
    Expr::reducer(Reducer::Unique, [argument.into()])
}

/// `argument` of the row with the smallest `value`; of several such rows, the smallest `argument`. Rows with a null
/// `value` are left out; the `argument` may be null. Several of one `value` in a reduce take one row: the one with the
/// smallest arguments, compared in the order of the names of the outputs that they stand in.
#[track_caller]
pub fn argmin(value: impl Into<Expr>, argument: impl Into<Expr>) -> Expr {
    Expr::reducer(Reducer::ArgMin, [value.into(), argument.into()])
}

/// `argument` of the row with the largest `value`; of several such rows, the largest `argument`. Rows with a null
/// `value` are left out; the `argument` may be null. Several of one `value` in a reduce take one row, as with
/// [`argmin`].
#[track_caller]
pub fn argmax(value: impl Into<Expr>, argument: impl Into<Expr>) -> Expr {
    Expr::reducer(Reducer::ArgMax, [value.into(), argument.into()])
}

/// The value that came first, without nulls: that of the row with the smallest epoch, and the smallest of those that
/// came in one epoch.
///
/// A row that is removed is the first that came of all rows equal to it in what the reduce reads.
#[track_caller]
pub fn earliest(argument: impl Into<Expr>) -> Expr {
    Expr::reducer(Reducer::Earliest, [argument.into()])
}

/// The value that came last, without nulls: that of the row with the largest epoch, and the largest of those that
/// came in one epoch. See [`earliest`] for rows that are removed.
///
/// **Of the lines of a file that a static run reads it is the largest value, not that of the last line**: they are one
/// epoch. If the order of lines matters, let a column tell it: [`argmax`] of a time.
#[track_caller]
pub fn latest(argument: impl Into<Expr>) -> Expr {
    Expr::reducer(Reducer::Latest, [argument.into()])
}

/// The number of distinct values over the rows, without nulls; of several arguments, the number of distinct
/// combinations without a null among them.
#[track_caller]
pub fn count_distinct<E: Into<Expr>>(arguments: impl IntoIterator<Item = E>) -> Expr {
    Expr::reducer(Reducer::CountDistinct, arguments.into_iter().map(Into::into))
}

/// A list of the values over the rows, nulls among them, in the order of their arrival: by epoch, and those that came
/// in one epoch in order. See [`earliest`] for rows that are removed, and [`Expr::skip_nones`] to leave nulls out.
///
/// **The values of the lines of a file that a static run reads stand in order, not as the lines do**: they are one
/// epoch.
#[track_caller]
pub fn tuple(argument: impl Into<Expr>) -> Expr {
    Expr::reducer(Reducer::Tuple { skip_nones: false }, [argument.into()])
}

/// A list of the values over the rows in order, nulls first and NaN last; [`Expr::skip_nones`] leaves them out.
#[track_caller]
pub fn sorted_tuple(argument: impl Into<Expr>) -> Expr {
    Expr::reducer(Reducer::SortedTuple { skip_nones: false }, [argument.into()])
}
