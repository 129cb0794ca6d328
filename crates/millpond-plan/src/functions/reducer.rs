//! Reducers: what a `reduce` computes of the rows of a group.

use serde::{Deserialize, Serialize};

/// What a `reduce` computes of the rows of a group. All but `Count` and the tuples leave nulls out, and make null of
/// nulls alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
    /// `argmin(a, b)`: `b` of the row with the smallest `a`; of several such rows, the smallest `b`. Rows where `a` is
    /// null are left out, but `b` may be null. Several of one `a` take one row, the one with the smallest `b`s,
    /// compared in the order of the names of their outputs.
    ArgMin,
    /// `argmax(a, b)`: `b` of the row with the largest `a`; of several such rows, the largest `b`. Several of one `a`
    /// take one row.
    ArgMax,
    /// `earliest(a)`: the value that came first, by epoch; within an epoch, the smallest.
    ///
    /// Of equal rows (in all columns that the reduce reads), the one that came first is removed first. Several of
    /// columns that are not optional take one row.
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

/// The reducers that the engine has. All but `Count` and the tuples leave nulls out; over nulls alone they give null,
/// so their output is optional where their column is.
///
/// A row has *arrived* in the epoch of the change that added it, where changes that cancel within an epoch are none. A
/// change that removes a row removes the one that arrived first of all rows that are equal in the operator's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReducerKind {
    /// Number of rows, nulls included: `int`.
    Count,
    /// Number of rows where the column is not null: `int`. No program calls it: it tells whether a group has an error
    /// value.
    CountValues,
    /// Sum of an `int`, `float` or duration column, of the same type. An `int` or a duration outside
    /// 64 bits is null, which the plan makes an error value.
    Sum,
    /// Mean of an `int` or `float` column: `float`; of a duration column: a duration, rounded half to even.
    Avg,
    /// Smallest value, of the same type; any type. Floats order as `f64::total_cmp`, text by bytes.
    Min,
    /// Largest value.
    Max,
    /// Of the row with the smallest first column, the second column, which may be null; of several such rows, the
    /// smallest.
    ArgMin,
    /// Of the row with the largest first column, the second column, which may be null; of several such rows, the
    /// largest.
    ArgMax,
    /// The value that arrived first; within an epoch, the smallest.
    Earliest,
    /// The value that arrived last; within an epoch, the largest.
    Latest,
    /// The number of distinct rows of some columns, without those where one is null: `int`. Floats have one zero and
    /// one NaN.
    CountDistinct,
    /// A list of the values, in the order of their arrival; within an epoch, in order.
    Tuple {
        /// Whether nulls are left out; they are elements otherwise.
        skip_nones: bool,
    },
    /// A list of the values in order, nulls first.
    SortedTuple {
        /// Whether nulls are left out; they are elements otherwise.
        skip_nones: bool,
    },
}

impl ReducerKind {
    /// The name of its function.
    pub fn name(self) -> &'static str {
        match self {
            ReducerKind::Count => "count",
            ReducerKind::CountValues => "count_values",
            ReducerKind::Sum => "sum",
            ReducerKind::Avg => "avg",
            ReducerKind::Min => "min",
            ReducerKind::Max => "max",
            ReducerKind::ArgMin => "argmin",
            ReducerKind::ArgMax => "argmax",
            ReducerKind::Earliest => "earliest",
            ReducerKind::Latest => "latest",
            ReducerKind::CountDistinct => "count_distinct",
            ReducerKind::Tuple { .. } => "tuple",
            ReducerKind::SortedTuple { .. } => "sorted_tuple",
        }
    }

    /// Whether it leaves nulls out where the same function otherwise would not.
    pub(crate) fn skips_nones(self) -> bool {
        matches!(self, ReducerKind::Tuple { skip_nones: true } | ReducerKind::SortedTuple { skip_nones: true })
    }
}
