//! Behaviours: when the result of a window is shown, and when the window is over.
//!
//! The *watermark* of a `windowby` is the greatest time that a row added to its input ever had, over all instances,
//! workers and runs of the program; also one that was removed in the same epoch: times are told row by row, before
//! changes are added up. It moves between epochs, never inside one, so nothing here depends on the order of
//! rows in an epoch or on the number of workers. After each epoch:
//!
//! - With a *delay*, the result of a window is shown once the watermark is at least its start + delay.
//! - With a *cutoff*, a tumbling or sliding window is closed once the watermark is at least its end + cutoff, and a
//!   session once the watermark is past its end + `max_gap` + cutoff, or, if a predicate makes it, past its end +
//!   cutoff. Its result does not change any more, and its state is freed. A result that is shown stays, unless
//!   *`keep_results`* is false: then it is removed when the window closes.
//! - *Exactly once*, a result is shown when its window closes, and never before.
//!
//! The rows of an epoch are compared with the watermark *before* it, those that remove like those that add. A row is
//! late, and ignored, if its window is closed; in sessions, if it is more than the cutoff behind the watermark. So one
//! epoch with everything in it loses nothing, and in all windows a cutoff as large as the greatest disorder of the rows
//! does so, too. A row that is not late never meets a session by `max_gap` that was closed: that one ended more than
//! `max_gap` + cutoff before the watermark, and such a row is at most the cutoff before it.
//!
//! A session by a predicate has no gap that says when it is over: no time is too far away for the predicate. So it is
//! over with its last row, once that is more than the cutoff behind the watermark. A row that is not late comes after
//! the end of every closed session, and joins none of them, *also where the predicate holds* of the two times: it
//! begins a session of its own, or belongs to a later one. To lose nothing that the predicate would join, let the
//! cutoff be as large as the longest pause for which it holds, on top of the disorder of the rows. A row that is added
//! may part such a session, and a removal may shorten it. What is then left may have ended more than the cutoff ago,
//! and is closed after the same epoch.
//!
//! The end of a run shows and closes nothing: the next run may go on with the same windows, and results must not depend
//! on where one run ends and the next begins. What is held back stays in the state.
//!
//! A window whose delay ends after its cutoff is closed first and shown, as it was then, when the delay is over; only
//! then its state is freed. A bound past the largest 64-bit int is never reached; the largest one is reached by a row
//! of that time.

use std::fmt;
use std::sync::Arc;

use millpond_columns::types::Type;
use millpond_error::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::describe;
use super::group::ReduceSpec;
use super::session::SessionSpec;
use super::window::WindowSpans;
use crate::expr::Expr;
use crate::lengths::{self, number};
use crate::literal::Literal;
use crate::notation::Speller;
use crate::physical::{Explanation, Inputs, KeyedSpec};

/// When windows are shown and when they are over; see the [module](self). Lengths are in the unit of the time: an `int`
/// if the time is one, a `Duration` if it is a point in time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Behavior {
    /// Windows are shown after a delay and closed after a cutoff.
    Common {
        /// How far the watermark must be past a window's start before it is shown; `None` shows it at once.
        delay: Option<Literal>,
        /// How far the watermark must be past a window's end before it is closed; `None` never closes it.
        cutoff: Option<Literal>,
        /// Whether the result of a closed window stays.
        keep_results: bool,
    },
    /// Each window is shown once, when it is closed.
    ExactlyOnce {
        /// How far the watermark must be past a window's end; `None` is no distance.
        shift: Option<Literal>,
    },
}

impl Behavior {
    /// Whether it says nothing.
    pub(crate) fn is_plain(&self) -> bool {
        matches!(self, Behavior::Common { delay: None, cutoff: None, .. })
    }

    /// Adds what it says to a description, each length only if it is given.
    pub(super) fn describe(&self, fields: &mut Value) {
        match self {
            Behavior::Common { delay, cutoff, keep_results } => {
                for (name, length) in [("delay", delay), ("cutoff", cutoff)] {
                    if let Some(length) = length {
                        fields[name] = describe::number(length);
                    }
                }
                fields["keep_results"] = json!(keep_results);
            }
            Behavior::ExactlyOnce { shift } => {
                fields["exactly_once"] = json!(true);
                if let Some(shift) = shift {
                    fields["shift"] = describe::number(shift);
                }
            }
        }
    }

    /// Whether no result is ever removed.
    pub(crate) fn is_append_only(&self) -> bool {
        matches!(self, Behavior::ExactlyOnce { .. })
    }

    /// Checks its lengths for a time of type `ty`. Those of a point in time become ints.
    pub(crate) fn lifecycle(&self, time: &Expr, ty: Type) -> Result<Lifecycle> {
        let length = |what: &str, length: &Option<Literal>| {
            let number = length.as_ref().map(|length| number(what, length, ty, time)).transpose()?;
            match (number, length) {
                (Some(Literal::Int(..0)), Some(length)) => Err(negative(what, length)),
                (Some(Literal::Float(number)), Some(length)) if number < 0.0 => Err(negative(what, length)),
                (number, _) => Ok(number),
            }
        };
        Ok(match self {
            Behavior::Common { delay, cutoff, keep_results } => Lifecycle {
                shown: length("delay", delay)?.map_or(Shown::AtOnce, Shown::AfterStart),
                cutoff: length("cutoff", cutoff)?,
                keep_results: *keep_results,
            },
            Behavior::ExactlyOnce { shift } => {
                let none = if ty == Type::Float { Literal::Float(0.0) } else { Literal::Int(0) };
                let cutoff = Some(length("shift", shift)?.unwrap_or(none));
                Lifecycle { shown: Shown::AtClose, cutoff, keep_results: true }
            }
        })
    }
}

/// When windows are shown, and when they are over. Lengths are ints or floats, as the time; never negative.
#[derive(Clone, Debug, PartialEq)]
pub struct Lifecycle {
    /// When the result of a window is shown.
    pub shown: Shown,
    /// A window is closed once the watermark is so far past its end; `None` if it never is.
    pub cutoff: Option<Literal>,
    /// Whether the result of a closed window stays.
    pub keep_results: bool,
}

/// When the result of a window is shown.
#[derive(Clone, Debug, PartialEq)]
pub enum Shown {
    /// From its first row on.
    AtOnce,
    /// Once the watermark is so far past its start.
    AfterStart(Literal),
    /// When it is closed.
    AtClose,
}

/// The parameters of a `Windowed` node: a reduce or sessions whose groups are windows that are shown late, or that end.
/// Its output has the same columns.
#[derive(Clone, Debug)]
pub struct WindowedSpec {
    /// What it computes.
    pub windows: WindowSpec,
    /// When windows are shown and over.
    pub lifecycle: Lifecycle,
}

/// The windows of a `Windowed` node.
#[derive(Clone, Debug)]
pub enum WindowSpec {
    /// Groups whose last key is the number of a window.
    Numbered {
        /// The reduce.
        spec: ReduceSpec,
        /// Start and end by number.
        spans: Arc<WindowSpans>,
    },
    /// Sessions.
    Session(SessionSpec),
}

impl WindowSpec {
    fn spec(&self) -> &dyn KeyedSpec {
        match self {
            WindowSpec::Numbered { spec, .. } => spec,
            WindowSpec::Session(spec) => spec,
        }
    }
}

impl KeyedSpec for WindowedSpec {
    fn name(&self) -> &'static str {
        self.windows.spec().name()
    }

    fn explain(&self, inputs: &Inputs<'_>) -> Explanation {
        let Explanation { mut what, mut lines, .. } = self.windows.spec().explain(inputs);
        if matches!(self.windows, WindowSpec::Numbered { .. }) {
            what = "windows".to_owned();
        }
        if let Some((node, columns, time)) = inputs.clock {
            let time = &columns.columns()[time];
            let name = Speller::of_program().column(&time.name);
            lines.push(format!("watermark: the greatest {name} of {}", node.0 + 1));
            lines.extend(self.lifecycle.explain(time.ty.ty));
        }
        Explanation { what, more: ", shown and closed by a watermark".to_owned(), lines }
    }

    fn why_not_append_only(&self) -> &'static str {
        "the row of a window that changes is replaced"
    }
}

impl fmt::Display for WindowedSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.windows.spec(), self.lifecycle)
    }
}

impl Lifecycle {
    /// When windows over times of this type are shown and over, for people.
    fn explain(&self, time: Type) -> Vec<String> {
        let mut lines = vec![match &self.shown {
            Shown::AtOnce => "shown from the first row on".to_owned(),
            Shown::AfterStart(delay) => format!("shown {} after the start", lengths::spoken(delay, time)),
            Shown::AtClose => "shown once, when closed".to_owned(),
        }];
        lines.extend(self.cutoff.as_ref().map(|cutoff| {
            let kept = if self.keep_results { "its row stays" } else { "its row is removed" };
            format!("closed {} after the end; {kept}", lengths::spoken(cutoff, time))
        }));
        lines
    }
}

/// As a plan shows it, with a space behind it.
impl fmt::Display for Lifecycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.shown {
            Shown::AtOnce => {}
            Shown::AfterStart(delay) => write!(f, "delay {delay} ")?,
            Shown::AtClose => f.write_str("exactly once ")?,
        }
        if let Some(cutoff) = &self.cutoff {
            write!(f, "cutoff {cutoff} ")?;
        }
        f.write_str(if self.keep_results { "" } else { "forgets results " })
    }
}

fn negative(what: &str, length: &Literal) -> Error {
    Error::invalid(format!("{what} is {length}, but must not be negative"))
}
