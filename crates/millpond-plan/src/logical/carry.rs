//! Error values in the lowering: columns that can hold them are carried from one node to the next, each as
//! [`crate::errors`] says.

use std::collections::HashSet;

use millpond_columns::dialect::quoted;
use millpond_columns::types::{ColumnType, Schema, Type};
use millpond_error::Origin;

use super::anchor::Results;
use super::pipeline::Pipeline;
use super::{Table, log};
use crate::errors::{End, Lineage, Places};
use crate::eval::{FILTER, Root};
use crate::expr::UnaryOp;
use crate::literal::Literal;
use crate::terms::{Op, TermId, TermType, Terms};

/// What becomes of rows with error values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// The run ends for one in a row that reaches an output, or that decides where a row goes: a key, a time, a
    /// predicate.
    #[default]
    Terminate,
    /// The run goes on. An output writes nothing in such a cell; a row is left out where an error decides whether it is
    /// in, and rows whose key of a group is an error are one group.
    Continue,
}

/// What the lowering knows of error values.
#[derive(Default)]
pub(crate) struct Carrying {
    pub(super) on_error: OnError,
    pub(super) places: Places,
    /// Where errors are looked for, for the error log.
    pub(super) taps: Vec<Pipeline>,
    /// What the error log tells of.
    pub(super) logged: Vec<String>,
    /// Whether the program asks for an error log that is not lowered yet.
    pub(super) taps_are_open: bool,
    /// What is tapped already: a table, by its place in memory, at a step.
    pub(super) tapped: HashSet<(*const (), String, Option<TermId>)>,
}

/// A term that can be an error, for a column of a later node.
pub(crate) struct Carried {
    /// Null where there is an error.
    pub value: TermId,
    /// Beside an optional value: null only where there is an error.
    pub lane: Option<TermId>,
    /// Where its errors come from.
    pub from: Lineage,
}

impl Carried {
    /// The column that is null where there is an error, and only there.
    pub(crate) fn mark(&self) -> TermId {
        self.lane.unwrap_or(self.value)
    }
}

/// How messages call a column.
pub(super) fn column(name: &str) -> String {
    format!("column {}", quoted(name))
}

/// The name of the lane of a column.
pub(super) fn lane(name: &str) -> String {
    format!("error({name})")
}

/// How messages call a term, how the program writes it, and where.
pub(crate) type Written = (String, String, Option<Origin>);

/// What is known of a term that is one of these columns, of which it is known how they are written, and where.
pub(crate) fn of_column(
    term: TermId,
    schema: &Schema,
    columns: &[TermId],
    written: &[(String, Option<Origin>)],
) -> Option<Written> {
    let at = columns.iter().position(|column| *column == term)?;
    let (text, origin) = written.get(at)?.clone();
    Some((column(&schema.columns()[at].name), text, origin))
}

const LANE: ColumnType = ColumnType { ty: Type::Bool, optional: true };

impl Carrying {
    /// The term for a column of a later node whose nulls are values if it is `optional`; `None` if it cannot be an
    /// error. `written` says of it how messages call it, how it is written, and where.
    pub(crate) fn carry(
        &mut self,
        terms: &mut Terms,
        (term, optional): (TermId, bool),
        written: impl FnOnce() -> Written,
    ) -> Option<Carried> {
        if !terms.is_fallible(term) {
            return None;
        }
        let place = terms.place(term).unwrap_or_else(|| {
            let (what, written, origin) = written();
            self.places.add(what, written, origin)
        });
        let from = self.places.lineage([place], terms.lineages(term));
        let ty = TermType { optional: true, ..terms.ty(term) };
        let value = terms.add(Op::Carry(term, place), ty);
        let lane = optional.then(|| terms.add(Op::ErrorLane(term, place), LANE.into()));
        Some(Carried { value, lane, from })
    }

    /// The same for an argument that has to stay required: a value of its type where there is an error, and the lane.
    pub(crate) fn carry_filled(
        &mut self,
        terms: &mut Terms,
        term: TermId,
        written: impl FnOnce() -> Written,
    ) -> Option<Carried> {
        let carried = self.carry(terms, (term, true), written)?;
        let ty = terms.ty(term);
        let any = terms.add(Op::Literal(Literal::filler(ty.ty.expect("arguments have types"))), ty);
        Some(Carried { value: terms.add(Op::FillError(term, any), ty), ..carried })
    }

    /// The same for a key, where an error ends the run unless it goes on.
    pub(crate) fn carry_key(
        &mut self,
        terms: &mut Terms,
        key: (TermId, bool),
        written: impl FnOnce() -> Written,
    ) -> Option<Carried> {
        let carried = self.carry(terms, key, written)?;
        Some(match self.on_error {
            OnError::Terminate => Carried { value: loosened(terms, key.0), ..carried },
            OnError::Continue => carried,
        })
    }

    /// The predicate of rows that are kept where `root` is true. Where it is an error, the run ends or the row is left
    /// out.
    pub(super) fn predicate(&mut self, rows: &mut Pipeline, root: Root) -> Root {
        if self.on_error == OnError::Terminate || !rows.terms.is_fallible(root.term) {
            return root;
        }
        let written = rows.terms.to_notation(root.term, &rows.anchor_schema);
        let place = self.places.add_end(End::Row, FILTER.to_owned(), written, root.origin.clone());
        let ty = TermType { optional: true, ..rows.terms.ty(root.term) };
        Root { term: rows.terms.add(Op::Carry(root.term, place), ty), ..root }
    }

    /// Leaves out the rows where one of these terms, which decide where a row goes, is an error, unless that ends the
    /// run: where they are computed for their column, then. `what` is how messages call them.
    pub(super) fn keep_sound(&mut self, rows: &mut Pipeline, what: &str, roots: impl IntoIterator<Item = Root>) {
        for Root { term, origin } in roots {
            if self.on_error == OnError::Terminate || !rows.terms.is_fallible(term) {
                continue;
            }
            let written = rows.terms.to_notation(term, &rows.anchor_schema);
            let place = self.places.add_end(End::Row, what.to_owned(), written, origin);
            let lane = rows.terms.add(Op::ErrorLane(term, place), LANE.into());
            let sound = rows.terms.add(Op::Unary(UnaryOp::Not, lane), LANE.into());
            rows.predicates.push(Root { term: sound, origin: None });
        }
    }

    /// Makes the columns of rows that come into one node by several ports, or by one, fit for it; `schema` are the
    /// columns of all. Gives the columns of the node, and what a table makes of them.
    pub(super) fn carry_columns(&mut self, inputs: &mut [Pipeline], schema: &Schema) -> (Schema, Results) {
        let mut columns: Vec<(String, ColumnType)> =
            schema.columns().iter().map(|column| (column.name.clone(), column.ty)).collect();
        let mut lanes: Vec<(usize, Option<usize>, Lineage)> = Vec::new();
        for (i, declared) in schema.columns().iter().enumerate() {
            let mut lineages = Vec::new();
            if !inputs.iter().any(|rows| rows.terms.is_fallible(rows.columns[i].1.term)) {
                continue;
            }
            let lane = declared.ty.optional.then(|| {
                columns.push((self::lane(&declared.name), LANE));
                columns.len() - 1
            });
            columns[i].1.optional = true;
            let name = self::lane(&declared.name);
            for rows in inputs.iter_mut() {
                lineages.extend(self.carry_column(rows, i, lane.map(|_| name.as_str())));
            }
            lanes.push((i, lane, self.places.lineage([], lineages)));
        }
        let node = Schema::new(columns);
        let mut results = Results::plain(&node);
        for (i, lane, from) in lanes {
            let terms = &mut results.terms;
            let mark = results.columns[lane.unwrap_or(i)].term;
            results.columns[i].term = uncarried(terms, results.columns[i].term, mark, schema.columns()[i].ty, from);
        }
        results.columns.truncate(schema.len());
        (node, results)
    }

    /// Makes a column of these rows fit to be carried, with a lane of this name at the end if its nulls are values.
    /// Gives where its errors come from, if it can be one.
    pub(super) fn carry_column(&mut self, rows: &mut Pipeline, position: usize, lane: Option<&str>) -> Option<Lineage> {
        let (name, Root { term, origin }) = rows.columns[position].clone();
        let fallible = rows.terms.is_fallible(term);
        let written = if fallible { rows.terms.to_notation(term, &rows.anchor_schema) } else { String::new() };
        let carried = self.carry(&mut rows.terms, (term, lane.is_some()), || (column(&name), written, origin));
        let value = carried.as_ref().map(|carried| carried.value);
        rows.columns[position].1.term = value.unwrap_or_else(|| loosened(&mut rows.terms, term));
        rows.retype(position);
        if let Some(name) = lane {
            let mark = carried.as_ref().and_then(|carried| carried.lane).unwrap_or_else(|| no_error(&mut rows.terms));
            rows.insert_column(rows.columns.len(), name, LANE, Root { term: mark, origin: None });
        }
        carried.map(|carried| carried.from)
    }

    /// Makes the columns of these rows fit for an output, which knows no errors.
    pub(super) fn end(&mut self, rows: &mut Pipeline) {
        for i in 0..rows.columns.len() {
            let Root { term, .. } = rows.columns[i].1;
            if !rows.terms.is_fallible(term) {
                continue;
            }
            rows.columns[i].1.term = match self.on_error {
                OnError::Terminate => loosened(&mut rows.terms, term),
                OnError::Continue => {
                    let (name, Root { origin, .. }) = rows.columns[i].clone();
                    let written = rows.terms.to_notation(term, &rows.anchor_schema);
                    let place = self.places.add_end(End::Cell, column(&name), written, origin);
                    let ty = TermType { optional: true, ..rows.terms.ty(term) };
                    rows.terms.add(Op::Carry(term, place), ty)
                }
            };
            rows.retype(i);
        }
    }

    /// Has the error log look at these terms of `table`, which are made of the columns of `before`.
    /// `written` is what the program says of them, if that is not their text.
    pub(super) fn tap(
        &mut self,
        table: &Table,
        step: &str,
        before: &Pipeline,
        made: &[(String, Root)],
        written: Option<&str>,
    ) {
        // A table is lowered for each that is made of it, each time to the same terms.
        let first = made.first().map(|(_, root)| root.term);
        if !self.tapped.insert((table.address(), step.to_owned(), first)) {
            return;
        }
        let mut fallible: HashSet<TermId> = before.column_terms().into_iter().collect();
        fallible.retain(|term| before.terms.is_fallible(*term));
        for (what, root) in made {
            if before.terms.is_fallible(root.term) && !fallible.contains(&root.term) {
                let text = || before.terms.to_notation(root.term, &before.anchor_schema);
                let written = written.map_or_else(text, str::to_owned);
                let place = self.places.add(what.clone(), written.clone(), root.origin.clone());
                self.logged.push(format!("{step}: {what}: {written}"));
                self.taps.push(log::tap(before, step, (root, place), &fallible, &written));
            }
        }
    }
}

impl Pipeline {
    /// Leaves out the rows where this term is an error.
    pub(super) fn without_errors_of(&mut self, term: TermId) {
        let sound = is_sound(&mut self.terms, term);
        self.predicates.push(Root { term: sound, origin: None });
    }
}

/// The same cells, in a column that may hold nulls.
fn loosened(terms: &mut Terms, term: TermId) -> TermId {
    let ty = TermType { optional: true, ..terms.ty(term) };
    terms.add(Op::Loosened(term), ty)
}

/// The lane of cells none of which is an error.
fn no_error(terms: &mut Terms) -> TermId {
    let no = terms.add(Op::Literal(Literal::Bool(false)), TermType::new(Type::Bool, false));
    loosened(terms, no)
}

/// Whether a cell is no error.
pub(super) fn is_sound(terms: &mut Terms, term: TermId) -> TermId {
    let ty = TermType::new(Type::Bool, false);
    let failed = terms.add(Op::IsError(term), ty);
    terms.add(Op::Unary(UnaryOp::Not, failed), ty)
}

/// The cells of type `ty` that were carried as `value`, which are errors where `mark` is null.
pub(super) fn uncarried(terms: &mut Terms, value: TermId, mark: TermId, ty: ColumnType, from: Lineage) -> TermId {
    let is_error = terms.add(Op::Unary(UnaryOp::IsNone, mark), TermType::new(Type::Bool, false));
    terms.add(Op::Carried { value, is_error, from }, ty.into())
}
