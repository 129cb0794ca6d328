//! One row for each group of rows: `groupby(...).reduce(...)`.

use std::fmt;
use std::sync::Arc;

use millpond_columns::types::Schema;
use millpond_error::{Origin, Result};
use serde_json::{Value, json};

use super::anchor::{Anchor, Keyed, KeyedOutput};
use super::carry::Carrying;
use super::describe::{self, Described, expressions};
use super::lower::Lowering;
use super::pipeline::Pipeline;
use super::reduce::{self, Grouping, Reduction};
use super::saved::{Call, Saver};
use super::{Operation, Table};
use crate::expr::Expr;
use crate::functions::ReducerKind;
use crate::notation::{ATOM, Speller};
use crate::physical::{Explanation, Form, Inputs, KeyedSpec};
use crate::terms::{TermId, Terms};
use crate::typing;

/// The parameters of a `Reduce` node. All positions are columns of the node's input.
///
/// It groups rows by key; one output row for each group: the key columns, then one column for each reducer.
#[derive(Clone, Debug)]
pub struct ReduceSpec {
    /// Columns that make up the key.
    pub key: Vec<usize>,
    /// The reducers, in the order of their output columns.
    pub reducers: Vec<ReducerCall>,
    /// The form.
    pub form: Form,
}

/// A reducer over columns.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ReducerCall {
    /// Which reducer.
    pub kind: ReducerKind,
    /// The columns that it reads: as many as it has arguments.
    pub columns: Vec<usize>,
}

#[derive(Debug)]
struct Group {
    keys: Vec<(String, Expr)>,
    outputs: Vec<(String, Expr)>,
}

impl Table {
    /// One row for each distinct value of the keys; without keys, one row as long as the table has a row. In `outputs`,
    /// a key is used plainly, by its name or its expression; every other column of this table stands in a reducer.
    pub fn group_reduce(
        &self,
        keys: Vec<(String, Expr)>,
        outputs: Vec<(String, Expr)>,
        origin: &Origin,
    ) -> Result<Table> {
        let (keys, outputs) = (self.bind_all(keys), self.bind_all(outputs));
        let (keys, outputs) = (keys.map_err(|error| error.at(origin))?, outputs.map_err(|error| error.at(origin))?);
        let (schema, identity) = self.reduced(&Grouping::Keys(&keys), &outputs).map_err(|error| error.at(origin))?;
        Ok(Table::new(Group { keys, outputs }, vec![self.clone()], schema, Some(identity), false, origin))
    }

    /// The columns of a reduce, and what identifies its rows.
    pub(super) fn reduced(&self, grouping: &Grouping<'_>, outputs: &[(String, Expr)]) -> Result<(Schema, Schema)> {
        let mut rows = Terms::default();
        let columns = typing::input_terms(&mut rows, self.schema());
        let mut errors = Carrying::default();
        let reduction = reduce::reduction(&mut rows, self.schema(), (&columns, &[]), grouping, outputs, &mut errors)?;
        let ty = |term| reduction.results.ty(term).column().expect("keys and bounds have types");
        let identity = Schema::new(reduction.identity.iter().map(|(name, term)| (name.as_str(), ty(*term))));
        Ok((reduction.schema, identity))
    }
}

impl Operation for Group {
    fn describe(&self, of: &Described<'_>) -> Option<Value> {
        Some(json!({
            "operator": "reduce",
            "keys": self.keys.iter().map(describe::key).collect::<Vec<_>>(),
            "outputs": expressions(&self.outputs),
            "input": of.inputs[0],
        }))
    }

    fn keeps_state(&self) -> bool {
        true
    }

    fn save(&self, saver: &mut Saver) -> (&'static str, Value) {
        ("reduce", json!({ "keys": saver.named(&self.keys), "outputs": saver.named(&self.outputs) }))
    }

    fn lower(&self, table: &Table, lowering: &mut Lowering) -> Result<Pipeline> {
        lowering.pipeline_on(table, |lowering| {
            let input = &table.inputs()[0];
            let mut rows = lowering.pipeline(input)?;
            let grouping = Grouping::Keys(&self.keys);
            let reduction = rows.reduction(input.schema(), &grouping, &self.outputs, &mut lowering.errors)?;
            let reducers = lowering.reducer_rows(&mut rows, &reduction, table);
            let key: Vec<usize> = (0..reduction.keys.len()).collect();
            let output = KeyedOutput::by_key(key.len());
            let spec = ReduceSpec { key: key.clone(), reducers, form: Form::of(input.append_only()) };
            let keyed = Keyed { spec: Arc::new(spec), keys: vec![key], expands: None, clock: None, output };
            Ok(lowering.reducing("reduce", table, rows, keyed, &reduction, &self.outputs))
        })
    }
}

/// The table of a saved `reduce`.
pub(super) fn load(call: &Call<'_>) -> Result<Table> {
    call.this()?.group_reduce(call.named("keys")?, call.named("outputs")?, &call.origin)
}

impl Lowering {
    /// Narrows `rows` to what a keyed operator reads: the keys, the time, then the reducers' arguments, each once.
    /// `table` is what becomes of them.
    pub(super) fn reducer_rows(
        &mut self,
        rows: &mut Pipeline,
        reduction: &Reduction,
        table: &Table,
    ) -> Vec<ReducerCall> {
        self.tap(table, "reduce", rows, &reduction.fallible);
        let names = self.output_of(rows).clone();
        let known: Vec<(TermId, String)> = rows.columns.iter().map(|(name, root)| (root.term, name.clone())).collect();
        let text = |terms: &Terms, term: TermId| match known.iter().find(|(known, _)| *known == term) {
            Some((_, name)) => name.clone(),
            None => terms.to_notation(term, &names),
        };
        let mut columns = reduction.keys.clone();
        columns.extend(reduction.time.map(|time| (text(&rows.terms, time), time)));
        let mut reducers = Vec::with_capacity(reduction.reducers.len());
        for (kind, arguments) in &reduction.reducers {
            let mut column = |argument: &TermId| {
                columns.iter().position(|(_, term)| term == argument).unwrap_or_else(|| {
                    columns.push((text(&rows.terms, *argument), *argument));
                    columns.len() - 1
                })
            };
            let columns = arguments.iter().map(&mut column).collect();
            reducers.push(ReducerCall { kind: *kind, columns });
        }
        rows.project(columns, Some(table.origin()));
        reducers
    }

    /// The anchor that a reduce of these rows is.
    pub(super) fn reducing(
        &mut self,
        name: &str,
        table: &Table,
        rows: Pipeline,
        keyed: Keyed,
        reduction: &Reduction,
        outputs: &[(String, Expr)],
    ) -> Anchor {
        let anchor = self.keyed(name, table, vec![rows], keyed);
        let anchor = Anchor { schema: reduction.reduced.clone(), results: reduction.results_of(outputs), ..anchor };
        self.tap_results(table, &anchor);
        anchor
    }
}

impl KeyedSpec for ReduceSpec {
    fn name(&self) -> &'static str {
        "reduce"
    }

    fn explain(&self, inputs: &Inputs<'_>) -> Explanation {
        let mut lines = vec![match self.key.as_slice() {
            [] => "key: none, all rows are one group".to_owned(),
            key => format!("key: {}", inputs.names(0, key)),
        }];
        lines.extend(explain_reducers(&self.reducers, self.form, inputs));
        Explanation { what: "reduce".to_owned(), lines, ..Explanation::default() }
    }

    fn why_not_append_only(&self) -> &'static str {
        "the row of a group that changes is replaced"
    }
}

/// What reducers compute, and what is kept for them.
pub(super) fn explain_reducers(reducers: &[ReducerCall], form: Form, inputs: &Inputs<'_>) -> Vec<String> {
    let call = |reducer: &ReducerCall| reducer.kind.call(reducer.columns.iter().map(|column| inputs.name(0, *column)));
    let calls: Vec<String> = reducers.iter().map(call).collect();
    let computes = (!calls.is_empty()).then(|| format!("computes: {}", calls.join(", ")));
    let state = match form {
        Form::AppendOnly => "state: what the results need, since no row is ever removed",
        Form::Full => "state: also what results need when rows are removed",
    };
    computes.into_iter().chain([state.to_owned()]).collect()
}

impl fmt::Display for ReduceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}) key {:?}: ", self.form, self.key)?;
        write_reducers(&self.reducers, f)
    }
}

pub(super) fn write_reducers(reducers: &[ReducerCall], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (i, reducer) in reducers.iter().enumerate() {
        let comma = if i > 0 { ", " } else { "" };
        let columns = reducer.columns.iter().map(|column| (column.to_string(), ATOM)).collect();
        write!(f, "{comma}{}", Speller::PLAN.reducer(reducer.kind.name(), reducer.kind.skips_nones(), columns))?;
    }
    Ok(())
}
