//! Behaviours of windows, for Rust programs: when results are shown, and when windows are over.

use millpond_plan::{Behavior, Literal};

/// Windows that are shown after a delay and closed after a cutoff; made by [`common_behavior`].
#[derive(Clone, Debug)]
pub struct CommonBehavior {
    delay: Option<Literal>,
    cutoff: Option<Literal>,
    keep_results: bool,
}

/// Windows that are shown once, when they are closed; made by [`exactly_once_behavior`].
#[derive(Clone, Debug)]
pub struct ExactlyOnceBehavior {
    shift: Option<Literal>,
}

/// A behaviour that is given a delay, a cutoff, or both; see [`millpond_plan::behavior`] for what they mean. Lengths
/// are in the unit of the event time: an `int`, a `float` or a `Duration`.
///
/// ```
/// use millpond::{Type, col, common_behavior, count, csv, tumbling};
///
/// let visits = csv::read("logs/", [("user", Type::Str), ("time", Type::Int)]).table();
/// let windows = visits
///     .windowby(col("time"), tumbling(60))
///     .behavior(common_behavior().delay(10).cutoff(300))
///     .reduce([("start", col("_pw_window_start")), ("visits", count())]);
/// assert!(!windows.plan().unwrap().append_only());
/// ```
pub fn common_behavior() -> CommonBehavior {
    CommonBehavior { delay: None, cutoff: None, keep_results: true }
}

/// A behaviour that shows each window once: when the watermark is past its end, or further if there is a
/// [`shift`](ExactlyOnceBehavior::shift). Its result is append-only.
///
/// ```
/// use millpond::{Type, col, count, csv, exactly_once_behavior, session};
///
/// let visits = csv::read("logs/", [("user", Type::Str), ("time", Type::Int)]).table();
/// let sessions = visits
///     .windowby(col("time"), session().max_gap(300))
///     .instance(col("user"))
///     .behavior(exactly_once_behavior().shift(60))
///     .reduce([("user", col("user")), ("visits", count())]);
/// assert!(sessions.plan().unwrap().append_only());
/// ```
pub fn exactly_once_behavior() -> ExactlyOnceBehavior {
    ExactlyOnceBehavior { shift: None }
}

impl CommonBehavior {
    /// Shows the result of a window once the watermark is so far past its start.
    #[must_use]
    pub fn delay(self, delay: impl Into<Literal>) -> Self {
        CommonBehavior { delay: Some(delay.into()), ..self }
    }

    /// Closes a window once the watermark is so far past its end (of a session by a largest gap: its end and
    /// `max_gap`). Late rows are ignored, and its state is freed.
    ///
    /// A session by a predicate is over with its last row: a row that comes after it was closed does not join it, even
    /// where the predicate holds. Let the cutoff be as large as the longest pause for which the predicate holds.
    #[must_use]
    pub fn cutoff(self, cutoff: impl Into<Literal>) -> Self {
        CommonBehavior { cutoff: Some(cutoff.into()), ..self }
    }

    /// Whether the result of a window stays when it is closed; it does unless this says otherwise.
    #[must_use]
    pub fn keep_results(self, keep_results: bool) -> Self {
        CommonBehavior { keep_results, ..self }
    }
}

impl ExactlyOnceBehavior {
    /// Keeps windows open until the watermark is so far past their end. Sessions by a predicate need it: see
    /// [`CommonBehavior::cutoff`].
    #[must_use]
    pub fn shift(self, shift: impl Into<Literal>) -> Self {
        ExactlyOnceBehavior { shift: Some(shift.into()) }
    }
}

impl From<CommonBehavior> for Behavior {
    fn from(behavior: CommonBehavior) -> Self {
        let CommonBehavior { delay, cutoff, keep_results } = behavior;
        Behavior::Common { delay, cutoff, keep_results }
    }
}

impl From<ExactlyOnceBehavior> for Behavior {
    fn from(behavior: ExactlyOnceBehavior) -> Self {
        Behavior::ExactlyOnce { shift: behavior.shift }
    }
}
