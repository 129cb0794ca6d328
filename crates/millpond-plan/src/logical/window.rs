//! Windows of one length that start one step apart: tumbling and sliding windows, as numbers.
//!
//! Window `k` is `[start(k), end(k))`, for every int `k`, or from 0 on if there is an origin:
//!
//! - `start(k) = k * hop + origin`, where a missing origin is 0;
//! - `end(k) = start(k + n)` if the length is `n` hops (a tumbling window: one), and `start(k) + duration` otherwise.
//!
//! A row is assigned to numbers, and a reduce keeps state by number; the bounds are computed of it afterwards. With
//! ints all of this is exact, and only a bound that is shown has to fit 64 bits. With floats each operation rounds
//! once, in the order written above. So bounds never fall as `k` grows, a tumbling window ends exactly where the next
//! one starts, and a time is in a window exactly if it is not below the start and below the end that the result shows.
//! A float without a window (NaN, an infinity, or so large that neighbouring bounds are one number) is an error value.

use millpond_columns::types::{ColumnType, Schema, Type};
use millpond_error::{Error, Result};
use serde::{Deserialize, Serialize};

use super::behavior::Behavior;
use crate::eval::{MapStage, Root};
use crate::expr::{BinaryOp, Expr};
use crate::lengths::{number, positive, time_type};
use crate::literal::Literal;
use crate::terms::{self, Bounds, Op, TermId, TermType, Terms};

/// Start of a window; of a session, the smallest time in it.
pub const WINDOW_START: &str = "_pw_window_start";
/// End of a window, the first time that is no longer in it; of a session, the largest time in it.
pub const WINDOW_END: &str = "_pw_window_end";
/// What a window's rows have in common: the value of its instance.
pub const INSTANCE: &str = "_pw_instance";

/// The most windows that one row may be in.
const MOST_WINDOWS: i64 = 1 << 16;

/// Windows of one length that start one hop apart. A tumbling window is one hop long.
#[derive(Clone, Debug)]
pub struct SlidingWindow {
    /// The time of a row: a required `int`, `float`, `DateTimeNaive` or `DateTimeUtc`.
    pub time: Expr,
    /// The distance between the starts of neighbouring windows, in the unit of the time: positive, an `int` if the time
    /// is one, a `Duration` if it is a point in time.
    pub hop: Literal,
    /// How long a window is.
    pub length: WindowLength,
    /// Where window 0 starts; no window starts before it. Without an origin, windows start at all multiples of the hop.
    pub origin: Option<Literal>,
    /// Windows are made apart for each value of this, for example for each user.
    pub instance: Option<Expr>,
    /// When windows are shown and when they are over; without one, they are shown at once and never over.
    pub behavior: Option<Behavior>,
}

/// How long a window is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowLength {
    /// So many hops, at least one.
    Hops(i64),
    /// In the unit of the time: positive, an `int` if the time is one, a `Duration` if it is a point in time.
    Duration(Literal),
}

/// Start and end of windows by their number.
#[derive(Clone, Debug)]
pub enum WindowSpans {
    /// Of whole times. A window may end after the last one, and start before the first one.
    Whole {
        /// The distance between starts.
        hop: i64,
        /// The start of window 0.
        origin: i64,
        /// From a window's start to its end.
        duration: i64,
    },
    /// Of floats: makes start and end of a column of numbers.
    Floats(MapStage),
}

/// A [`SlidingWindow`] whose numbers fit the time. Those of a point in time are nanoseconds, as ints.
pub(crate) struct Windows {
    ty: Type,
    hop: Literal,
    origin: Literal,
    /// Whether window 0 is the first.
    starts_at_origin: bool,
    length: WindowLength,
}

impl SlidingWindow {
    /// The name of such a window in the program.
    pub(crate) fn name(&self) -> &'static str {
        if self.length == WindowLength::Hops(1) { "tumbling" } else { "sliding" }
    }
}

impl Windows {
    /// Checks a window over a time of type `ty`.
    pub(crate) fn new(window: &SlidingWindow, ty: Option<ColumnType>) -> Result<Self> {
        let ty = time_type(&window.time, ty)?;
        let step = if window.name() == "tumbling" { "duration" } else { "hop" };
        let hop = positive(step, number(step, &window.hop, ty, &window.time)?)?;
        let zero = if ty == Type::Float { Literal::Float(0.0) } else { Literal::Int(0) };
        let origin = window.origin.as_ref().map(|origin| number("origin", origin, ty, &window.time)).transpose()?;
        let length = match (&window.length, &hop) {
            (WindowLength::Hops(hops), _) if *hops < 1 => {
                return Err(Error::invalid(format!("ratio is {hops}, but must be at least 1")));
            }
            (WindowLength::Hops(hops), Literal::Int(hop)) => {
                let duration = hop
                    .checked_mul(*hops)
                    .ok_or_else(|| Error::invalid(format!("{hops} times the hop {hop} is no duration of 64 bits")))?;
                WindowLength::Duration(Literal::Int(duration))
            }
            (WindowLength::Hops(hops), _) => WindowLength::Hops(*hops),
            (WindowLength::Duration(duration), _) => {
                WindowLength::Duration(positive("duration", number("duration", duration, ty, &window.time)?)?)
            }
        };
        let windows = Windows { ty, hop, starts_at_origin: origin.is_some(), origin: origin.unwrap_or(zero), length };
        windows.check_number()?;
        Ok(windows)
    }

    /// The number of the last window that the time is not before, and of the first one that it is not past. A row is in
    /// all windows from the first to the last; the first is missing where that is exactly one, the last.
    pub(crate) fn numbers(&self, terms: &mut Terms, time: TermId) -> (Option<TermId>, TermId) {
        let last = self.step(terms, time, self.zero());
        if self.is_tumbling() {
            return (None, last);
        }
        let mut first = match &self.length {
            WindowLength::Hops(hops) => int_sum(terms, last, 1 - hops),
            WindowLength::Duration(duration) => {
                let ended = self.step(terms, time, duration.clone());
                int_sum(terms, ended, 1)
            }
        };
        if self.starts_at_origin {
            let zero = int(terms, 0);
            let below = terms.add(Op::Binary(BinaryOp::Lt, first, zero), TermType::new(Type::Bool, false));
            first = terms.add(Op::IfElse(below, zero, first), TermType::new(Type::Int, false));
        }
        (Some(first), last)
    }

    /// What a row must fulfil to be in the window of number `last` when that is its only one.
    pub(crate) fn predicate(&self, terms: &mut Terms, last: TermId) -> Option<TermId> {
        let needed = self.starts_at_origin && self.is_tumbling();
        needed.then(|| {
            let zero = int(terms, 0);
            terms.add(Op::Binary(BinaryOp::Ge, last, zero), TermType::new(Type::Bool, false))
        })
    }

    /// Start and end of the window of this number.
    pub(crate) fn bounds(&self, terms: &mut Terms, number: TermId) -> (TermId, TermId) {
        if self.ty() != Type::Float {
            let WindowLength::Duration(duration) = &self.length else { unreachable!("hops of ints are a duration") };
            return (self.bound(terms, number, Literal::Int(0)), self.bound(terms, number, duration.clone()));
        }
        let start = self.start(terms, number);
        let end = match &self.length {
            WindowLength::Hops(hops) => {
                let next = int_sum(terms, number, *hops);
                self.start(terms, next)
            }
            WindowLength::Duration(duration) => sum(terms, start, duration),
        };
        (start, end)
    }

    /// Start and end by number.
    pub(crate) fn spans(&self) -> WindowSpans {
        if let (Literal::Int(hop), Literal::Int(origin), WindowLength::Duration(Literal::Int(duration))) =
            (&self.hop, &self.origin, &self.length)
        {
            return WindowSpans::Whole { hop: *hop, origin: *origin, duration: *duration };
        }
        let mut terms = Terms::default();
        let number = terms.input(0, Type::Int.required());
        let (start, end) = self.bounds(&mut terms, number);
        let terms::Compacted { terms, roots } = terms.compact(&[start, end], |input| input);
        let names = ["start of a window", "end of a window"];
        let outputs = names.iter().zip(roots).map(|(name, term)| ((*name).to_owned(), Root { term, origin: None }));
        let inputs = Schema::new([("window", Type::Int.required())]);
        WindowSpans::Floats(MapStage::new(inputs, terms, Vec::new(), outputs.collect()))
    }

    /// The type of the bounds, which is that of the time.
    pub(crate) fn ty(&self) -> Type {
        self.ty
    }

    fn is_tumbling(&self) -> bool {
        match &self.length {
            WindowLength::Hops(hops) => *hops == 1,
            WindowLength::Duration(duration) => self.ty() != Type::Float && *duration == self.hop,
        }
    }

    fn zero(&self) -> Literal {
        if self.ty() == Type::Float { Literal::Float(0.0) } else { Literal::Int(0) }
    }

    fn step(&self, terms: &mut Terms, time: TermId, shift: Literal) -> TermId {
        let bounds = Bounds { hop: self.hop.clone(), origin: self.origin.clone(), shift };
        terms.add(Op::Step(time, bounds), TermType::new(Type::Int, false))
    }

    /// A bound of whole numbers.
    fn bound(&self, terms: &mut Terms, number: TermId, shift: Literal) -> TermId {
        let bounds = Bounds { hop: self.hop.clone(), origin: self.origin.clone(), shift };
        terms.add(Op::Bound(number, bounds), TermType::new(self.ty(), false))
    }

    /// The start of a window of floats.
    fn start(&self, terms: &mut Terms, number: TermId) -> TermId {
        let ty = TermType::new(self.ty(), false);
        let number = terms.add(Op::Widen(number), ty);
        let hop = literal(terms, &self.hop);
        let steps = terms.add(Op::Binary(BinaryOp::Mul, number, hop), ty);
        sum(terms, steps, &self.origin)
    }

    fn check_number(&self) -> Result<()> {
        let windows = match (&self.length, &self.hop) {
            (WindowLength::Hops(hops), _) => *hops as f64,
            (WindowLength::Duration(Literal::Int(duration)), Literal::Int(hop)) => *duration as f64 / *hop as f64,
            (WindowLength::Duration(Literal::Float(duration)), Literal::Float(hop)) => duration / hop,
            _ => unreachable!("numbers have the type of the time"),
        };
        if windows <= MOST_WINDOWS as f64 {
            return Ok(());
        }
        let error =
            Error::invalid(format!("each row would be in {windows:.0} windows, but {MOST_WINDOWS} are the most"));
        Err(error.with_hint("a longer hop makes fewer windows"))
    }
}

fn literal(terms: &mut Terms, value: &Literal) -> TermId {
    terms.add(Op::Literal(value.clone()), TermType { ty: value.ty(), optional: false })
}

fn int(terms: &mut Terms, value: i64) -> TermId {
    literal(terms, &Literal::Int(value))
}

fn int_sum(terms: &mut Terms, a: TermId, b: i64) -> TermId {
    sum(terms, a, &Literal::Int(b))
}

/// `a + b`; `a` itself if `b` is 0.
fn sum(terms: &mut Terms, a: TermId, b: &Literal) -> TermId {
    match b {
        Literal::Int(0) => a,
        Literal::Float(0.0) => a,
        _ => {
            let (b, ty) = (literal(terms, b), terms.ty(a));
            terms.add(Op::Binary(BinaryOp::Add, a, b), ty)
        }
    }
}
