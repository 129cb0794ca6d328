//! What joins neighbouring rows to one session: a largest gap, or a predicate over their times.

use millpond_error::{Error, Result};

use crate::check::{self, Scope, at, subject};
use crate::eval::{MapStage, Root};
use crate::expr::{Expr, ExprKind, Literal, UnaryOp, quoted};
use crate::physical::Gap;
use crate::terms::{TermId, Terms};
use crate::types::{Schema, Type};

/// The column that stands for the time of a row, in the predicate of a session.
pub const BEFORE: &str = "a";
/// The column that stands for the time of the next row.
pub const AFTER: &str = "b";

/// What neighbours in a session fulfil.
#[derive(Clone, Debug)]
pub enum SessionGap {
    /// Their times are no further apart than this: a literal, not negative; an `int` where the time is one, else a
    /// `Duration`.
    Most(Expr),
    /// This holds: a `bool` over the columns [`BEFORE`] and [`AFTER`], the times of two neighbours; null is false. Rows of
    /// one time are in one session, and it is not asked.
    Where(Expr),
}

impl SessionGap {
    /// Checks it for sessions over a time of type `ty`.
    pub(crate) fn resolve(&self, time: &Expr, ty: Type) -> Result<Gap> {
        match self {
            SessionGap::Most(expr) => {
                let gap = max_gap(expr)?;
                let found = gap.ty().expect("a gap is not None");
                if (ty == Type::Int) == (found == Type::Int) {
                    return Ok(Gap::Most(gap.as_int().expect("a gap is an int or a duration")));
                }
                let needed = if ty == Type::Int { "an int" } else { "a Duration" };
                let time = subject(time);
                Err(Error::invalid(format!("max_gap is {gap}, which is {found}, but must be {needed}: {time} is {ty}")))
            }
            SessionGap::Where(expr) => Gap::predicate(expr, ty),
        }
    }
}

/// Checks the largest gap of a session window.
pub(crate) fn max_gap(max_gap: &Expr) -> Result<Literal> {
    let problem = match max_gap.kind() {
        ExprKind::Literal(gap @ (Literal::Int(0..) | Literal::Duration(0..))) => return Ok(gap.clone()),
        ExprKind::Literal(gap @ (Literal::Int(_) | Literal::Duration(_))) => {
            format!("max_gap is {gap}, but must not be negative")
        }
        ExprKind::Unary(UnaryOp::Neg, a) if matches!(a.kind(), ExprKind::Literal(Literal::Int(_))) => {
            format!("max_gap is {max_gap}, but must not be negative")
        }
        ExprKind::Literal(value) => {
            let ty = value.ty().map_or("None".to_owned(), |ty| ty.to_string());
            format!("max_gap is {value}, which is {ty}, but must be an int or a Duration, as the time asks")
        }
        _ => format!("max_gap is `{max_gap}`, but must be a number that is known before the run"),
    };
    Err(at(Error::invalid(problem), max_gap))
}

/// The stage that computes a predicate of two columns of times.
pub(crate) fn predicate(expr: &Expr, ty: Type) -> Result<MapStage> {
    let times = Schema::new([(BEFORE, ty.required()), (AFTER, ty.required())]);
    let mut terms = Terms::default();
    let columns = check::input_terms(&mut terms, &times);
    let term = check::term(&mut terms, &mut TimesScope { columns }, expr)?;
    let found = terms.ty(term);
    if found.ty != Some(Type::Bool) {
        let error =
            Error::invalid(format!("{} is {found}, but the predicate of a session must be bool", subject(expr)));
        return Err(at(error.with_hint("compare the two times: b - a < ..."), expr));
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
