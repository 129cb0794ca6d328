//! When each window is shown and when it is over, in instants of the watermark. They have more bits than it has, so
//! that no sum is cut off: an instant past the last one is never reached, and the last one is.

use arrow_array::{Array, ArrayRef, BooleanArray};
use millpond_columns::view::ints;
use millpond_error::Result;
use millpond_plan::{Gap, Lifecycle, Literal, SessionSpec, Shown, WindowSpans, WindowSpec, instant};

use crate::instant::later;
use crate::keyed::KeyedChanges;

/// The first instant stands for what has always been, the last one for what never comes.
const ALWAYS: i128 = i128::MIN;
const NEVER: i128 = i128::MAX;

/// Whether `watermark` has come to `due`.
#[inline]
pub(super) fn is_past(due: i128, watermark: Option<i64>) -> bool {
    due == ALWAYS || watermark.is_some_and(|watermark| due <= watermark.into())
}

/// What a window waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lifetime {
    /// From here on, it is shown.
    pub shown: i128,
    /// Here, its result is final, it has been shown if it ever will be, and its state goes.
    pub over: i128,
}

impl Lifetime {
    /// The instants that it waits for after `watermark`. The last one may be past already: what is left of a session by
    /// a predicate that is parted, or loses its last rows, may have ended long ago.
    pub(super) fn timers(self, watermark: Option<i64>) -> impl Iterator<Item = i64> {
        let shown = (self.shown != self.over && !is_past(self.shown, watermark)).then_some(self.shown);
        // A window may start, and even end, before the first instant, which any watermark has come to.
        let reached = |due: i128| i64::try_from(due.max(i64::MIN.into())).ok();
        shown.into_iter().chain([self.over]).filter_map(reached)
    }
}

/// The behaviour of one node's windows.
#[derive(Debug)]
pub(super) struct Lifetimes {
    windows: WindowSpec,
    lifecycle: Lifecycle,
}

impl Lifetimes {
    pub(super) fn new(windows: &WindowSpec, lifecycle: &Lifecycle) -> Self {
        Lifetimes { windows: windows.clone(), lifecycle: lifecycle.clone() }
    }

    /// Whether results stay when their windows are over.
    pub(super) fn keeps_results(&self) -> bool {
        self.lifecycle.keep_results
    }

    /// What windows wait for: `windows` are the columns of numbered windows' keys, or at least start and end of
    /// sessions.
    pub(super) fn of(&self, windows: &[ArrayRef], rows: usize) -> Result<Vec<Lifetime>> {
        let Lifecycle { shown, cutoff, .. } = &self.lifecycle;
        let closed = cutoff.as_ref().map(|cutoff| match &self.windows {
            WindowSpec::Numbered { spans, .. } => after(spans, &windows[windows.len() - 1], Side::End, cutoff),
            WindowSpec::Session(spec) => {
                let closed = |end: &i64| match cutoff {
                    Literal::Float(cutoff) => closed_float(*end, float_gap(spec), *cutoff),
                    cutoff => i128::from(*end) + i128::from(max_gap(spec)) + i128::from(whole(cutoff)) + 1,
                };
                Ok(ints(&windows[windows.len() - 1]).iter().map(closed).collect())
            }
        });
        let closed: Vec<i128> = closed.unwrap_or_else(|| Ok(vec![NEVER; rows]))?;
        let shown = match (shown, &self.windows) {
            (Shown::AtOnce, _) => vec![ALWAYS; rows],
            (Shown::AfterStart(delay), WindowSpec::Numbered { spans, .. }) => {
                after(spans, &windows[windows.len() - 1], Side::Start, delay)?
            }
            (Shown::AfterStart(delay), WindowSpec::Session(_)) => later(&windows[windows.len() - 2], delay),
            (Shown::AtClose, _) => closed.clone(),
        };
        Ok(shown.into_iter().zip(closed).map(|(shown, closed)| Lifetime { shown, over: closed.max(shown) }).collect())
    }

    /// The first end of a session that is not closed at `watermark`.
    pub(super) fn open_from(&self, watermark: Option<i64>) -> i64 {
        match (&self.windows, &self.lifecycle.cutoff, watermark) {
            (WindowSpec::Session(_), Some(Literal::Float(cutoff)), Some(watermark)) => {
                // Only a predicate asks, which has no gap.
                instant::of(instant::float(watermark) - cutoff)
            }
            (WindowSpec::Session(spec), Some(cutoff), Some(watermark)) => {
                watermark.saturating_sub(whole(cutoff)).saturating_sub(max_gap(spec))
            }
            _ => i64::MIN,
        }
    }

    /// Which of these rows are in time, where the watermark was here before they came; `None` if all are.
    pub(super) fn in_time(&self, rows: &KeyedChanges, watermark: Option<i64>) -> Result<Option<BooleanArray>> {
        let (Some(cutoff), Some(watermark)) = (&self.lifecycle.cutoff, watermark) else { return Ok(None) };
        let in_time: Vec<bool> = match &self.windows {
            WindowSpec::Numbered { spans, .. } => {
                let closed = after(spans, &rows.keys[rows.keys.len() - 1], Side::End, cutoff)?;
                rows.key_of_row.iter().map(|&key| !is_past(closed[key as usize], Some(watermark))).collect()
            }
            WindowSpec::Session(spec) => {
                let first = match cutoff {
                    Literal::Float(cutoff) => instant::of(instant::float(watermark) - cutoff),
                    cutoff => watermark.saturating_sub(whole(cutoff)),
                };
                ints(&rows.column(spec.time)).iter().map(|time| *time >= first).collect()
            }
        };
        Ok(in_time.contains(&false).then(|| BooleanArray::from(in_time)))
    }
}

/// A bound of a window.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Start,
    End,
}

/// The instants that are so much later than this bound of the windows of these numbers. No bound of whole numbers is
/// cut off.
fn after(spans: &WindowSpans, numbers: &ArrayRef, side: Side, by: &Literal) -> Result<Vec<i128>> {
    Ok(match spans {
        WindowSpans::Whole { hop, origin, duration } => {
            let length = if side == Side::End { *duration } else { 0 };
            let shift = i128::from(*origin) + i128::from(length) + i128::from(whole(by));
            ints(numbers).iter().map(|number| i128::from(*number) * i128::from(*hop) + shift).collect()
        }
        WindowSpans::Floats(stage) => {
            let spans = stage.apply(std::slice::from_ref(numbers), numbers.len(), None)?.columns;
            later(&spans[usize::from(side == Side::End)], by)
        }
    })
}

/// How far behind the end of a session a row may join it, before a cutoff says more: a predicate names no such
/// distance.
fn max_gap(spec: &SessionSpec) -> i64 {
    match spec.gap {
        Gap::Most(max_gap) => max_gap,
        Gap::MostFloat(_) | Gap::Where(_) => 0,
    }
}

/// The same where times are floats.
fn float_gap(spec: &SessionSpec) -> f64 {
    match spec.gap {
        Gap::MostFloat(max_gap) => max_gap,
        Gap::Most(_) | Gap::Where(_) => 0.0,
    }
}

/// The first instant of the watermark at which no row in time can join a session that ends here.
///
/// A row in time is not before `watermark - cutoff`, and joins if its distance from the end is at most the gap. Each
/// sum is rounded up to a float that is more, so that the two differences, rounded, are still not less than what they
/// must be: the distance is more than the gap.
fn closed_float(end: i64, max_gap: f64, cutoff: f64) -> i128 {
    let last = (instant::float(end) + max_gap.next_up()).next_up();
    let closed = (last + cutoff.next_up()).next_up();
    if closed.is_finite() { instant::of(closed).into() } else { NEVER }
}

/// The cutoff of sessions over whole times.
fn whole(cutoff: &Literal) -> i64 {
    cutoff.as_int().expect("other times are whole")
}
