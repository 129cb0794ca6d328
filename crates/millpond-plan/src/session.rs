//! What joins neighbouring rows to one session: a largest gap, or a predicate over their times.

use std::fmt;
use std::sync::Arc;

use millpond_columns::dialect::{self, Notation, hint, quoted};
use millpond_columns::types::{Schema, Type, one_of};
use millpond_error::{Error, Result};

use crate::behavior::Behavior;
use crate::diagnostics::{at, subject};
use crate::eval::{MapStage, Root};
use crate::expr::{Expr, ExprKind, UnaryOp};
use crate::literal::Literal;
use crate::notation::{self, spoken};
use crate::terms::{TermId, Terms};
use crate::typing::{self, Scope};

/// The column that stands for the time of a row, in the predicate of a session.
pub const BEFORE: &str = "a";
/// The column that stands for the time of the next row.
pub const AFTER: &str = "b";

/// What neighbours in a session fulfil.
#[derive(Clone, Debug)]
pub enum SessionGap {
    /// Their times are no further apart than this: a literal, not negative; an `int` or a `float` as the time, a `Duration`
    /// between points in time. Of floats it is their difference, as a float, that is not more.
    Most(Expr),
    /// This holds: a `bool` over the columns [`BEFORE`] and [`AFTER`], the times of two neighbours; null is false. Rows of
    /// one time are in one session, and it is not asked.
    Where(Expr),
}

/// A session window: rows of one instance belong together if their times are not further apart than a gap (or, more
/// generally, fulfil a predicate), or if rows between them bridge it.
#[derive(Clone, Debug)]
pub struct SessionWindow {
    /// The time of a row: a required `int`.
    pub time: Expr,
    /// What neighbours in a session fulfil.
    pub gap: SessionGap,
    /// Sessions are found apart for each value of this, for example for each user.
    pub instance: Option<Expr>,
    /// When sessions are shown and when they are over; without one, they are shown at once and never over.
    pub behavior: Option<Behavior>,
}

/// What neighbours in a session fulfil. Rows of one time are in one session in any case.
#[derive(Clone, Debug)]
pub enum Gap {
    /// They are no further apart than this: not negative; nanoseconds between points in time.
    Most(i64),
    /// The difference of their times, as a float, is not more than this: finite and not negative.
    MostFloat(f64),
    /// The one output of this stage is true of the times of a row and of the next one, which are its inputs.
    Where(Arc<MapStage>),
}

impl Gap {
    /// That a predicate holds of two times of type `time`, the columns [`BEFORE`] and [`AFTER`].
    ///
    /// # Errors
    /// `Invalid` if it is no `bool`, or uses anything else.
    pub fn predicate(predicate: &Expr, time: Type) -> Result<Gap> {
        self::predicate(predicate, time).map(|stage| Gap::Where(stage.into()))
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Gap::Most(max_gap) => write!(f, "max_gap {max_gap}"),
            Gap::MostFloat(max_gap) => write!(f, "max_gap {max_gap:?}"),
            Gap::Where(predicate) => write!(f, "{predicate}"),
        }
    }
}

impl SessionGap {
    /// Checks it for sessions over a time of type `ty`.
    pub(crate) fn resolve(&self, time: &Expr, ty: Type) -> Result<Gap> {
        match self {
            SessionGap::Most(expr) => {
                let gap = max_gap(expr)?;
                match (&gap, ty) {
                    (Literal::Int(gap), Type::Int) => return Ok(Gap::Most(*gap)),
                    (Literal::Int(gap), Type::Float) => return Ok(Gap::MostFloat(*gap as f64)),
                    (Literal::Float(gap), Type::Float) => return Ok(Gap::MostFloat(*gap)),
                    (Literal::Duration(gap), ty) if ty.is_point() => return Ok(Gap::Most(*gap)),
                    _ => {}
                }
                let found = gap.ty().expect("a gap is not None");
                let needed = if ty.is_point() { Type::Duration } else { ty };
                let written = gap.to_notation(Notation::of_program());
                let message = format!("max_gap is {written}, which is {found}, but must be {needed}");
                let error = Error::invalid(format!("{message}: {} is {ty}", subject(time)));
                Err(match (found, needed) {
                    (Type::Float, Type::Int) => {
                        let cast = notation::cast(time, Type::Float);
                        error.with_hint(format!("give a whole number, or take {cast} as the time"))
                    }
                    (_, Type::Duration) => error.with_hint(dialect::duration()),
                    _ => error,
                })
            }
            SessionGap::Where(expr) => Gap::predicate(expr, ty),
        }
    }
}

/// Checks the largest gap of a session window.
pub(crate) fn max_gap(max_gap: &Expr) -> Result<Literal> {
    let problem = match max_gap.kind() {
        ExprKind::Literal(gap @ (Literal::Int(0..) | Literal::Duration(0..))) => return Ok(gap.clone()),
        ExprKind::Literal(gap @ Literal::Float(value)) if value.is_finite() && *value >= 0.0 => return Ok(gap.clone()),
        ExprKind::Literal(gap @ Literal::Float(value)) if !value.is_finite() => {
            format!("max_gap is {gap}, but must be finite")
        }
        ExprKind::Literal(gap @ (Literal::Int(_) | Literal::Float(_) | Literal::Duration(_))) => {
            format!("max_gap is {gap}, but must not be negative")
        }
        ExprKind::Unary(UnaryOp::Neg, a) if matches!(a.kind(), ExprKind::Literal(Literal::Int(_))) => {
            format!("max_gap is {max_gap}, but must not be negative")
        }
        ExprKind::Literal(value) => {
            let ty = value.ty().map_or("None".to_owned(), |ty| ty.to_string());
            let needed = one_of(&[Type::Int, Type::Float, Type::Duration]);
            format!("max_gap is {value}, which is {ty}, but must be {needed}, as the time asks")
        }
        _ => format!("max_gap is `{}`, but must be a number that is known before the run", spoken(max_gap)),
    };
    Err(at(Error::invalid(problem), max_gap))
}

/// The stage that computes a predicate of two columns of times.
pub(crate) fn predicate(expr: &Expr, ty: Type) -> Result<MapStage> {
    let times = Schema::new([(BEFORE, ty.required()), (AFTER, ty.required())]);
    let mut terms = Terms::default();
    let columns = typing::input_terms(&mut terms, &times);
    let term = typing::term(&mut terms, &mut TimesScope { columns }, expr)?;
    let found = terms.ty(term);
    if found.ty != Some(Type::Bool) {
        let error = Error::invalid(format!(
            "{} is {found}, but the predicate of a session must be {}",
            subject(expr),
            Type::Bool
        ));
        let hint = hint("such as |a, b| (b - a).lt(300)", "such as lambda a, b: b - a < 300");
        return Err(at(error.with_hint(hint), expr));
    }
    let compacted = terms.compact(&[term], |input| input);
    let root = Root { term: compacted.roots[0], origin: expr.origin().cloned() };
    Ok(MapStage::new(times, compacted.terms, Vec::new(), vec![("together".to_owned(), root)]))
}

/// The times of two neighbours.
struct TimesScope {
    columns: Vec<TermId>,
}

impl Scope for TimesScope {
    fn resolve(&mut self, expr: &Expr, _: &mut Terms) -> Option<Result<TermId>> {
        const SEES: &str = "it sees the times of two neighbouring rows, a and b, and nothing else";
        match expr.kind() {
            ExprKind::Column(name) => {
                Some(match name.as_str() {
                    BEFORE => Ok(self.columns[0]),
                    AFTER => Ok(self.columns[1]),
                    _ => Err(Error::invalid(format!("the predicate of a session uses column {}", quoted(name)))
                        .with_hint(SEES)),
                })
            }
            ExprKind::Reducer(..) => {
                Some(Err(Error::invalid(format!("the predicate of a session uses the reducer {}", subject(expr)))
                    .with_hint(SEES)))
            }
            _ => None,
        }
    }
}
