//! Reducers: what a `reduce` computes of the rows of a group, and the functions that write them in an expression.

use crate::expr::Expr;

/// What a `reduce` computes of the rows of a group. All but `Count` and the tuples leave nulls out, and make null of nulls
/// alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reducer {
    /// `count()`: the number of rows.
    Count,
    /// `sum(a)`, of an `int`, `float` or duration.
    Sum,
    /// `avg(a)`: the mean of an `int` or `float`, a `float`; or of a duration, a duration rounded half to even.
    Avg,
    /// `min(a)`: the smallest value.
    Min,
    /// `max(a)`: the largest value.
    Max,
    /// `any(a)`: one of the values. It is the smallest, so that it does not hang on the order of rows.
    Any,
    /// `unique(a)`: the one value that all rows have; an error value if there are several.
    Unique,
    /// `argmin(a, b)`: `b` of the row with the smallest `a`; of several such rows, the smallest `b`. Rows where `a` is null are
    /// left out, but `b` may be null. Several of one `a` take one row, the one with the smallest `b`s, compared in the order of
    /// the names of their outputs.
    ArgMin,
    /// `argmax(a, b)`: `b` of the row with the largest `a`; of several such rows, the largest `b`. Several of one `a` take one row.
    ArgMax,
    /// `earliest(a)`: the value that came first, by epoch; within an epoch, the smallest.
    ///
    /// Of equal rows (in all columns that the reduce reads), the one that came first is removed first. Several of columns that are
    /// not optional take one row.
    Earliest,
    /// `latest(a)`: the value that came last, by epoch; within an epoch, the largest.
    Latest,
    /// `count_distinct(a, b, ...)`: the number of distinct values, or combinations of values without a null among them.
    CountDistinct,
    /// `tuple(a)`: a list of the values in the order of their arrival, those of one epoch in order.
    Tuple {
        /// Whether nulls are left out; they are elements otherwise.
        skip_nones: bool,
    },
    /// `sorted_tuple(a)`: a list of the values in order, nulls first.
    SortedTuple {
        /// Whether nulls are left out; they are elements otherwise.
        skip_nones: bool,
    },
}

impl Reducer {
    /// All reducers.
    pub const ALL: [Reducer; 14] = [
        Reducer::Count,
        Reducer::Sum,
        Reducer::Avg,
        Reducer::Min,
        Reducer::Max,
        Reducer::Any,
        Reducer::Unique,
        Reducer::ArgMin,
        Reducer::ArgMax,
        Reducer::Earliest,
        Reducer::Latest,
        Reducer::CountDistinct,
        Reducer::Tuple { skip_nones: false },
        Reducer::SortedTuple { skip_nones: false },
    ];

    /// The same without nulls, where that is another one.
    #[must_use]
    pub fn skipping_nones(self) -> Self {
        match self {
            Reducer::Tuple { .. } => Reducer::Tuple { skip_nones: true },
            Reducer::SortedTuple { .. } => Reducer::SortedTuple { skip_nones: true },
            other => other,
        }
    }

    /// Whether it leaves nulls out where the same function otherwise would not.
    pub(crate) fn skips_nones(self) -> bool {
        matches!(self, Reducer::Tuple { skip_nones: true } | Reducer::SortedTuple { skip_nones: true })
    }

    /// The name of its function.
    pub fn name(self) -> &'static str {
        match self {
            Reducer::Count => "count",
            Reducer::Sum => "sum",
            Reducer::Avg => "avg",
            Reducer::Min => "min",
            Reducer::Max => "max",
            Reducer::Any => "any",
            Reducer::Unique => "unique",
            Reducer::ArgMin => "argmin",
            Reducer::ArgMax => "argmax",
            Reducer::Earliest => "earliest",
            Reducer::Latest => "latest",
            Reducer::CountDistinct => "count_distinct",
            Reducer::Tuple { .. } => "tuple",
            Reducer::SortedTuple { .. } => "sorted_tuple",
        }
    }
}

/// The number of rows, nulls included.
#[track_caller]
pub fn count() -> Expr {
    Expr::reducer(Reducer::Count, [])
}

/// The sum of an `int`, `float` or duration expression over the rows, without nulls.
///
/// Floats are added up exactly and rounded once, to the nearest float. Ints and durations are added up in 128 bits; a result
/// that does not fit into 64 is an error at the end of the epoch, which is not saved.
#[track_caller]
pub fn sum(argument: impl Into<Expr>) -> Expr {
    Expr::reducer(Reducer::Sum, [argument.into()])
}

/// The mean over the rows, without nulls: of an `int` or `float` expression the `float` that is nearest to the exact sum by the
/// number of values, of a duration a duration, rounded half to even to the nanosecond.
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
/// `value` are left out; the `argument` may be null. Several of one `value` in a reduce take one row: the one with the smallest
/// arguments, compared in the order of the names of the outputs that they stand in.
#[track_caller]
pub fn argmin(value: impl Into<Expr>, argument: impl Into<Expr>) -> Expr {
    Expr::reducer(Reducer::ArgMin, [value.into(), argument.into()])
}

/// `argument` of the row with the largest `value`; of several such rows, the largest `argument`. Rows with a null
/// `value` are left out; the `argument` may be null. Several of one `value` in a reduce take one row, as with [`argmin`].
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
/// **Of the lines of a file that a static run reads it is the largest value, not that of the last line**: they are one epoch.
/// If the order of lines matters, let a column tell it: [`argmax`] of a time.
#[track_caller]
pub fn latest(argument: impl Into<Expr>) -> Expr {
    Expr::reducer(Reducer::Latest, [argument.into()])
}

/// The number of distinct values over the rows, without nulls; of several arguments, the number of distinct combinations
/// without a null among them.
#[track_caller]
pub fn count_distinct<E: Into<Expr>>(arguments: impl IntoIterator<Item = E>) -> Expr {
    Expr::reducer(Reducer::CountDistinct, arguments.into_iter().map(Into::into))
}

/// A list of the values over the rows, nulls among them, in the order of their arrival: by epoch, and those that came in
/// one epoch in order. See [`earliest`] for rows that are removed, and [`Expr::skip_nones`] to leave nulls out.
///
/// **The values of the lines of a file that a static run reads stand in order, not as the lines do**: they are one epoch.
#[track_caller]
pub fn tuple(argument: impl Into<Expr>) -> Expr {
    Expr::reducer(Reducer::Tuple { skip_nones: false }, [argument.into()])
}

/// A list of the values over the rows in order, nulls first and NaN last; [`Expr::skip_nones`] leaves them out.
#[track_caller]
pub fn sorted_tuple(argument: impl Into<Expr>) -> Expr {
    Expr::reducer(Reducer::SortedTuple { skip_nones: false }, [argument.into()])
}
