//! The types of functions of text and of time.

use millpond_columns::dialect::{self, hint};
use millpond_columns::types::{Type, one_of};
use millpond_error::{Error, Result};

use super::Operand;
use super::casts::castable;
use super::give_type;
use crate::diagnostics::subject;
use crate::expr::{Expr, ExprKind};
use crate::functions::{TextFunction, TimeFunction};
use crate::literal::Literal;
use crate::notation::{self, code};
use crate::terms::{Op, TermId, TermType, Terms};

pub(super) fn text(terms: &mut Terms, function: &TextFunction, operands: &[Operand<'_>]) -> Result<TermId> {
    let (types, left_out) = function.operands();
    let accepted: Vec<&[Type]> = types.iter().map(std::slice::from_ref).collect();
    let (typed, optional) = arguments(terms, &format!("str.{}", function.name()), &accepted, left_out, operands)?;
    if let (TextFunction::Split, Some((separator, _))) = (function, operands.get(1))
        && matches!(separator.kind(), ExprKind::Literal(Literal::Str(text)) if text.is_empty())
    {
        let error = Error::invalid("the separator of str.split is empty");
        return Err(error.with_hint("without a separator, text is split at white space"));
    }
    let optional = optional || function.is_optional();
    Ok(terms.add(Op::Text(function.clone(), typed), TermType::new(function.ty(), optional)))
}

pub(super) fn time(terms: &mut Terms, function: &TimeFunction, operands: &[Operand<'_>]) -> Result<TermId> {
    let accepted = function.operands();
    let (typed, optional) = arguments(terms, &format!("dt.{}", function.name()), accepted, 0, operands)?;
    let subject = terms.ty(typed[0]).ty.unwrap_or(accepted[0][0]);
    function.check(subject)?;
    Ok(terms.add(Op::Time(function.clone(), typed), TermType::new(function.ty(subject), optional)))
}

/// The operands of a method, each of one of the types that it accepts there, and whether one of them may be null. So
/// many may be left out at the end.
fn arguments(
    terms: &mut Terms,
    method: &str,
    accepted: &[&[Type]],
    left_out: usize,
    operands: &[Operand<'_>],
) -> Result<(Vec<TermId>, bool)> {
    if !(accepted.len() - left_out..=accepted.len()).contains(&operands.len()) {
        let (most, found) = (accepted.len() - 1, operands.len().saturating_sub(1));
        return Err(Error::invalid(format!("{method} has {found} arguments, but takes {most}")));
    }
    let mut optional = false;
    let mut typed = Vec::with_capacity(operands.len());
    for (i, ((expr, operand), accepted)) in operands.iter().zip(accepted).enumerate() {
        let operand = give_type(terms, *operand, accepted[0]);
        let ty = terms.ty(operand);
        if !ty.ty.is_some_and(|ty| accepted.contains(&ty)) {
            let place = if i == 0 { method.to_owned() } else { format!("argument {i} of {method}") };
            let needed = one_of(accepted);
            let error = Error::invalid(format!("{} is {ty}, but {place} needs {needed}", subject(expr)));
            return Err(match accepted {
                [Type::Duration] => error.with_hint(dialect::duration()),
                [needed] if needed.is_point() && ty.ty.is_some_and(Type::is_point) => {
                    error.with_hint(format!("{} makes one of the other", zoned(expr, *needed)))
                }
                [needed] if ty.ty.is_some_and(|ty| castable(ty, *needed)) => {
                    error.with_hint(notation::cast(expr, *needed))
                }
                _ => error,
            });
        }
        optional |= ty.optional;
        typed.push(operand);
    }
    Ok((typed, optional))
}

/// The call that makes a point in time of type `needed` of one of the other type.
pub(super) fn zoned(expr: &Expr, needed: Type) -> String {
    let (expr, method) = (code(expr), if needed == Type::DateTimeUtc { "to_utc" } else { "to_naive_in_timezone" });
    format!("{expr}.{}.{method}(\"Europe/Berlin\")", hint("dt()", "dt"))
}
