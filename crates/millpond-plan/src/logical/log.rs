//! The error log: a table with a row for each error value, where it arises.

use std::collections::HashSet;

use millpond_columns::types::{Schema, Type};
use millpond_error::{Origin, Result};
use serde_json::{Value, json};

use super::anchor::{Anchor, AnchorOperator};
use super::describe::Described;
use super::lower::Lowering;
use super::pipeline::Pipeline;
use super::saved::{Call, Saver};
use super::{Operation, Table};
use crate::errors::Place;
use crate::eval::Root;
use crate::literal::Literal;
use crate::terms::{Op, TermId, TermType};

/// The columns of the error log: the step where an error arises, what is wrong, and the expression.
const COLUMNS: [&str; 3] = ["operator_id", "message", "trace"];

#[derive(Debug)]
struct ErrorLog;

impl Table {
    /// A row for each error value of the program where it arises, in tables that an output needs and that are not made
    /// of an error log themselves: `operator_id`, the step; `message`, what is wrong with which cell, and the values
    /// that it was computed of; `trace`, the expression. A row whose error goes is removed.
    pub fn error_log(origin: &Origin) -> Table {
        let schema = Schema::new(COLUMNS.map(|name| (name, Type::Str.required())));
        Table::new(ErrorLog, Vec::new(), schema, None, false, origin)
    }

    /// Whether an error log is among the tables that it is made of.
    pub(super) fn holds_error_log(&self) -> bool {
        self.with_all_before().into_iter().any(|table| table.operation().is_error_log())
    }
}

impl Operation for ErrorLog {
    fn describe(&self, of: &Described<'_>) -> Option<Value> {
        Some(json!({ "operator": "error_log", "of": of.logged }))
    }

    fn is_error_log(&self) -> bool {
        true
    }

    fn save(&self, _: &mut Saver) -> (&'static str, Value) {
        ("error_log", Value::Null)
    }

    fn lower(&self, table: &Table, lowering: &mut Lowering) -> Result<Pipeline> {
        lowering.pipeline_on(table, |lowering| {
            lowering.errors.taps_are_open = false;
            lowering.errors.logged.sort_unstable();
            let inputs = lowering.errors.taps.clone();
            let cancels = inputs.iter().any(|rows| lowering.cancels(rows));
            let step = lowering.step_of_none("error_log");
            Ok(Anchor::new(AnchorOperator::Concat { cancels }, inputs, table, step))
        })
    }
}

/// The table of a saved `error_log`.
pub(super) fn load(call: &Call<'_>) -> Result<Table> {
    Ok(Table::error_log(&call.origin))
}

/// The rows of the log for the errors of `root` over these rows, which none of the `others` has already.
pub(super) fn tap(
    before: &Pipeline,
    step: &str,
    (root, place): (&Root, Place),
    others: &HashSet<TermId>,
    written: &str,
) -> Pipeline {
    // What it is made of decides which columns are read.
    let made_of = before.terms.parts(root.term).into_iter().filter(|term| others.contains(term));
    let others: Vec<TermId> = made_of.collect();
    let (mut rows, roots) = before.part(others.iter().copied().chain([root.term]));
    let (term, others) = roots.split_last().expect("there is a root");
    let new = rows.terms.add(Op::IsNew(*term, others.to_vec()), TermType::new(Type::Bool, false));
    rows.predicates.push(Root { term: new, origin: None });
    let ty = TermType::new(Type::Str, false);
    let mut text = |text: &str| rows.terms.add(Op::Literal(Literal::Str(text.into())), ty);
    let (step, trace) = (text(step), text(written));
    let message = rows.terms.add(Op::ErrorText(*term, place), ty);
    let columns = COLUMNS.into_iter().zip([step, message, trace]);
    rows.project(columns.map(|(name, term)| (name.to_owned(), term)).collect(), root.origin.as_ref());
    rows
}
