//! What expressions mean, computed over whole columns.
//!
//! The meaning is Python's, where Python has one:
//!
//! - `/` gives a float; `//` and `%` round towards minus infinity, so that `%` has the divisor's sign. `int ** int` is
//!   an int, or a float if the exponent is a negative literal. `int` with `float` gives a float.
//! - Points in time and durations are exact to the nanosecond: the difference of two points is a duration, a point and
//!   a duration add up to a point; `//` and `%` of two durations are an int and a duration, and a duration may be
//!   multiplied by an int and divided (`//`) by one.
//! - Text compares by bytes, which is by code points. `int` and `float` compare by their exact numbers. No order holds
//!   for a NaN.
//! - *Nulls.* Arithmetic and order of a null are null. `==` and `!=` take null as a value: `None == None` is true,
//!   `None == 1` is false. `&` and `|` on bool are null unless the other operand decides. A null condition of `if_else`
//!   takes the second branch; a null predicate drops the row.
//! - *Error values.* A cell that cannot be computed (division by zero, an int outside 64 bits, text that is no number,
//!   a negative number to a broken power, `unwrap` of a null) is an error, and so is all that is computed of it. A
//!   filter drops it with its row, `if_else` and `coalesce` with the branch that is not taken, `fill_error` replaces
//!   it. To a later node it is carried as a null (`errors.rs`). What is left in an output column or a predicate
//!   of a row that is added ends the run; the lowering leaves it there where a run must not go on.
//!
//! Start reading at [`MapStage`]. The operators are in files by kind, and work on `cells`.

mod arithmetic;
mod carry;
mod cast;
mod cells;
mod choose;
mod compare;
mod divisor;
mod logic;
mod nested;
mod step;
mod text;
mod time;

use std::fmt;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray};
use arrow_buffer::BooleanBuffer;
use arrow_select::filter::{FilterBuilder, FilterPredicate};
use cells::{Cells, Data, ErrorCode, Reason};
use millpond_columns::dialect::{Notation, hint, quoted};
use millpond_columns::types::{self, ColumnType, Schema, Type};
use millpond_error::{Error, Origin, Result};

use crate::deep::deep;
use crate::errors::{End, Place, Places};
use crate::expr::{BinaryOp, UnaryOp};
use crate::literal::Literal;
use crate::notation::{ATOM, Speller};
use crate::terms::{self, Bounds, Op, Term, TermId, fallible};

/// What messages call a predicate.
pub(crate) const FILTER: &str = "filter";

/// Filters and computed columns of consecutive table operations, fused: what a stateless node of the plan does.
///
/// Filters go first, in their order, each on the rows that the one before it kept. A column is computed once, of the
/// rows that are left when it is first needed.
#[derive(Clone)]
pub struct MapStage {
    inputs: Schema,
    terms: Vec<Term>,
    predicates: Vec<Root>,
    outputs: Vec<(String, Root)>,
    places: Arc<Places>,
}

/// A term whose value matters, and the place in the program that asks for it.
#[derive(Clone)]
pub(crate) struct Root {
    pub term: TermId,
    pub origin: Option<Origin>,
}

/// What a [`MapStage`] makes of a batch.
#[derive(Clone, Debug)]
pub struct Mapped {
    /// The output columns, each `rows` long.
    pub columns: Vec<ArrayRef>,
    /// The number of rows that were kept.
    pub rows: usize,
    /// Which rows of the input were kept, without nulls; `None` if all were.
    pub selection: Option<BooleanArray>,
}

impl MapStage {
    /// A stage over columns `inputs`. `terms` hold no conversion that the types do not ask for.
    pub(crate) fn new(inputs: Schema, terms: Vec<Term>, predicates: Vec<Root>, outputs: Vec<(String, Root)>) -> Self {
        MapStage { inputs, terms, predicates, outputs, places: Arc::default() }
    }

    /// The same stage in a plan where errors arise at these places.
    pub(crate) fn noting(self, places: Arc<Places>) -> Self {
        MapStage { places, ..self }
    }

    /// The first error value of each place in this plan where errors end.
    pub(crate) fn ended_errors(&self) -> Vec<(End, Error)> {
        self.places.ended()
    }

    /// The columns that it reads.
    pub fn inputs(&self) -> &Schema {
        &self.inputs
    }

    /// Whether it hands on every row and column as it is.
    pub fn is_identity(&self) -> bool {
        let plain = |(i, output): (usize, &(String, Root))| self.plain_column(output.1.term) == Some(i);
        self.predicates.is_empty()
            && self.outputs.len() == self.inputs.len()
            && self.outputs.iter().enumerate().all(plain)
    }

    /// Whether each of these input columns is an output too, as it is.
    pub fn keeps(&self, columns: impl IntoIterator<Item = usize>) -> bool {
        let kept = |column| self.outputs.iter().any(|(_, root)| self.told_column(root.term) == Some(column));
        columns.into_iter().all(kept)
    }

    /// The input column that cells of a term tell: the term itself, or one whose nulls stand for its errors.
    fn told_column(&self, term: TermId) -> Option<usize> {
        match &self.terms[term.index()].op {
            Op::Input(position) => Some(*position),
            Op::Loosened(a) | Op::Carry(a, _) => self.told_column(*a),
            Op::Carried { value, is_error: mark, .. } | Op::Sum { value, too_wide: mark } => {
                let is_null = matches!(self.terms[mark.index()].op, Op::Unary(UnaryOp::IsNone, of) if of == *value);
                if is_null { self.told_column(*value) } else { None }
            }
            _ => None,
        }
    }

    /// Evaluates the stage over the columns of a batch of `rows` rows, of which those with a negative diff are removed;
    /// without diffs, all are added.
    ///
    /// A removed row with an error value is one that an earlier run was let add: a predicate drops it, and in an output
    /// the cell is null.
    ///
    /// # Errors
    ///
    /// An `Input` error if a cell of an output or of a predicate of an added row is an error value; it names the
    /// column, the reason and the values that the row holds.
    pub fn apply(&self, columns: &[ArrayRef], rows: usize, diffs: Option<&[i64]>) -> Result<Mapped> {
        let mut batch = Batch::new(self, columns, rows, diffs);
        for predicate in &self.predicates {
            batch.filter(predicate)?;
        }
        let mut outputs = Vec::with_capacity(self.outputs.len());
        // Of removed rows, those where every cell that decides where the row goes is no error.
        let mut sound_rows: Vec<BooleanBuffer> = Vec::new();
        for (name, root) in &self.outputs {
            if let (Some(input), true) = (self.plain_column(root.term), batch.filters.is_empty()) {
                outputs.push(columns[input].clone());
                continue;
            }
            let mut cells = batch.cells(root.term);
            let ty = self.terms[root.term.index()].ty.ty.unwrap_or(Type::Bool);
            if let Some(errors) = &cells.errors {
                batch.check(&|| format!("column {}", quoted(name)), root, errors)?;
                if !matches!(self.terms[root.term.index()].op, Op::Loosened(_)) {
                    sound_rows.push(carry::sound(&cells, batch.rows));
                }
                cells = carry::or_null(&cells, ty);
            }
            outputs.push(cells.into_array(batch.rows, ty));
        }
        if let Some(sound) = sound_rows.into_iter().reduce(|a, b| &a & &b)
            && let Some(filter) = batch.keep(sound)
        {
            let kept = |column: &ArrayRef| filter.filter(column).expect("the mask is as long as the batch");
            outputs = outputs.iter().map(kept).collect();
        }
        let selection = batch.selection.take().map(|bits| BooleanArray::new(bits, None));
        Ok(Mapped { columns: outputs, rows: batch.rows, selection })
    }

    fn plain_column(&self, term: TermId) -> Option<usize> {
        match self.terms[term.index()].op {
            Op::Input(position) => Some(position),
            _ => None,
        }
    }

    fn to_notation(&self, speller: Speller, term: TermId) -> String {
        terms::to_notation(speller, &self.terms, term, &|input| self.input_to_notation(speller, input)).0
    }

    fn input_to_notation(&self, speller: Speller, input: usize) -> String {
        terms::input_to_notation(speller, &self.inputs, input)
    }
}

/// Where a term was written does not matter, nor where its errors arise.
impl PartialEq for MapStage {
    fn eq(&self, other: &Self) -> bool {
        let same = |a: &Root, b: &Root| a.term == b.term;
        let (predicates, outputs) = (&self.predicates, &self.outputs);
        self.inputs == other.inputs
            && self.terms == other.terms
            && predicates.len() == other.predicates.len()
            && predicates.iter().zip(&other.predicates).all(|(a, b)| same(a, b))
            && outputs.len() == other.outputs.len()
            && outputs.iter().zip(&other.outputs).all(|((name, a), (other, b))| name == other && same(a, b))
    }
}

/// `where a > 1: a, b = a + 1`
impl MapStage {
    /// What rows must fulfil to be kept.
    pub(crate) fn predicate_texts(&self, speller: Speller) -> Vec<String> {
        self.predicates.iter().map(|predicate| self.to_notation(speller, predicate.term)).collect()
    }

    /// The output columns that can be errors, and what of each can fail; nothing, where that is a column read.
    pub(crate) fn fallible_texts(&self, speller: Speller) -> Vec<(String, Option<String>)> {
        let fallible = self.fallible();
        let can_fail = |(name, root): &(String, Root)| {
            let inner = match &self.terms[root.term.index()].op {
                Op::Carry(inner, _) | Op::Loosened(inner) => *inner,
                _ => root.term,
            };
            fallible[inner.index()].then(|| {
                let fails = |id: &TermId| fallible::fails(&self.terms, &self.terms[id.index()]);
                let failing = terms::parts(&self.terms, inner).into_iter().find(fails);
                (speller.column(name), failing.map(|term| self.to_notation(speller, term)))
            })
        };
        self.outputs.iter().filter_map(can_fail).collect()
    }

    /// Which terms can be errors.
    fn fallible(&self) -> Vec<bool> {
        let mut fallible = Vec::with_capacity(self.terms.len());
        for term in &self.terms {
            let known: &Vec<bool> = &fallible;
            let is_fallible = fallible::is_fallible(&self.terms, term, &|id: TermId| known[id.index()]);
            fallible.push(is_fallible);
        }
        fallible
    }

    /// The output columns: `name`, or `name = expression`.
    pub(crate) fn output_texts(&self, speller: Speller) -> Vec<String> {
        let output = |(name, root): &(String, Root)| {
            let (text, column) = (self.to_notation(speller, root.term), speller.column(name));
            if *name == text || column == text { text } else { format!("{column} = {text}") }
        };
        self.outputs.iter().map(output).collect()
    }
}

impl fmt::Display for MapStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let predicates = self.predicate_texts(Speller::PLAN);
        if !predicates.is_empty() {
            write!(f, "where {}: ", predicates.join(" and "))?;
        }
        f.write_str(&self.output_texts(Speller::PLAN).join(", "))
    }
}

impl fmt::Debug for MapStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A batch under evaluation.
struct Batch<'a> {
    stage: &'a MapStage,
    columns: &'a [ArrayRef],
    /// Of all rows of the batch; none if all are added.
    diffs: Option<&'a [i64]>,
    /// Rows that are left.
    rows: usize,
    /// Which rows of the batch are left.
    selection: Option<BooleanBuffer>,
    /// What each predicate kept of the rows left by those before; one that kept all is not here.
    filters: Vec<FilterPredicate>,
    /// Cells of the terms computed so far, and the number of filters that they went through.
    done: Vec<Option<(Cells, usize)>>,
}

impl<'a> Batch<'a> {
    fn new(stage: &'a MapStage, columns: &'a [ArrayRef], rows: usize, diffs: Option<&'a [i64]>) -> Self {
        debug_assert_eq!(columns.len(), stage.inputs.len());
        debug_assert!(columns.iter().all(|column| column.len() == rows));
        let done = vec![None; stage.terms.len()];
        Batch { stage, columns, diffs, rows, selection: None, filters: Vec::new(), done }
    }

    /// Keeps the rows for which the predicate is true.
    fn filter(&mut self, predicate: &Root) -> Result<()> {
        let mut cells = self.cells(predicate.term);
        if let Some(errors) = &cells.errors {
            self.check(&|| FILTER.to_owned(), predicate, errors)?;
            cells = carry::or_null(&cells, Type::Bool);
        }
        let Data::Bool(test) = &cells.data else { unreachable!("the type check wants a bool") };
        let mut mask = cells::spread(test.values(), cells.constant, self.rows);
        if let Some(nulls) = cells.nulls(self.rows) {
            mask = &mask & nulls.inner();
        }
        self.keep(mask);
        Ok(())
    }

    /// Keeps these of the rows that are left; gives the filter, unless it keeps all.
    fn keep(&mut self, mask: BooleanBuffer) -> Option<&FilterPredicate> {
        let kept = mask.count_set_bits();
        if kept == self.rows {
            return None;
        }
        self.rows = kept;
        self.filters.push(FilterBuilder::new(&BooleanArray::new(mask.clone(), None)).optimize().build());
        self.selection = Some(match self.selection.take() {
            None => mask,
            Some(before) => within(&before, &mask),
        });
        self.filters.last()
    }

    /// The cells of a term for the rows that are left.
    fn cells(&mut self, id: TermId) -> Cells {
        let (mut cells, filtered) = match self.done[id.index()].take() {
            Some(done) => done,
            None => deep(|| self.compute(id)),
        };
        for filter in &self.filters[filtered..] {
            cells = cells.filter(filter);
        }
        self.done[id.index()] = Some((cells.clone(), self.filters.len()));
        cells
    }

    fn compute(&mut self, id: TermId) -> (Cells, usize) {
        let Term { op, ty } = &self.stage.terms[id.index()];
        let to = ty.ty.unwrap_or(Type::Bool);
        let cells = match op {
            Op::Input(position) => {
                let data = Data::of(&self.columns[*position]).expect("the columns have the types of the schema");
                return (Cells::new(data, false, None), 0);
            }
            Op::Literal(value) => Cells::literal(value, to),
            Op::Unary(op, a) => {
                let a = self.cells(*a);
                match op {
                    UnaryOp::Neg => arithmetic::negate(&a, id),
                    UnaryOp::Abs => arithmetic::absolute(&a, id),
                    UnaryOp::Not => logic::not(&a),
                    UnaryOp::IsNone => logic::is_none(&a, false),
                    UnaryOp::IsNotNone => logic::is_none(&a, true),
                    UnaryOp::Unwrap => logic::unwrap(&a, id),
                }
            }
            Op::Binary(op, a, b) => {
                use BinaryOp::*;
                let (a, b) = (self.cells(*a), self.cells(*b));
                match op {
                    Add | Sub | Mul | Div | FloorDiv | Mod | Pow => arithmetic::arithmetic(*op, &a, &b, id),
                    Eq | Ne | Lt | Le | Gt | Ge => compare::compare(*op, &a, &b),
                    And | Or | Xor => logic::logic(*op, &a, &b),
                }
            }
            Op::IfElse(condition, a, b) => {
                let condition = self.cells(*condition);
                choose::if_else(&condition, &self.cells(*a), &self.cells(*b))
            }
            Op::Coalesce(a, b) => choose::coalesce(&self.cells(*a), &self.cells(*b)),
            Op::Cast(a) => {
                let from = self.stage.terms[a.index()].ty.ty.unwrap_or(Type::Bool);
                cast::cast(&self.cells(*a), from, to, id)
            }
            Op::Widen(a) => arithmetic::widen(&self.cells(*a)),
            Op::FillError(a, b) => choose::fill_error(&self.cells(*a), &self.cells(*b)),
            Op::Unique(a, b) => choose::unique(&self.cells(*a), &self.cells(*b), id),
            Op::Text(function, operands) => {
                let operands: Vec<Cells> = operands.iter().map(|operand| self.cells(*operand)).collect();
                text::call(function, &operands, id)
            }
            Op::Time(function, operands) => {
                let ty = self.stage.terms[operands[0].index()].ty.ty.unwrap_or(Type::DateTimeNaive);
                let operands: Vec<Cells> = operands.iter().map(|operand| self.cells(*operand)).collect();
                time::call(function, ty, &operands, id)
            }
            Op::Tuple(operands) => {
                let typed = operands.iter().map(|id| (self.cells(*id), self.stage.terms[id.index()].ty.ty));
                let typed: Vec<_> = typed.map(|(cells, ty)| (cells, ty.unwrap_or(Type::Bool))).collect();
                nested::tuple(&typed, id)
            }
            Op::Element(a, position) => {
                let from = self.stage.terms[a.index()].ty.ty.unwrap_or(Type::Bool);
                nested::element(&self.cells(*a), from, *position, id)
            }
            Op::Get(a, key, default) => {
                let from = self.stage.terms[a.index()].ty.ty.unwrap_or(Type::Bool);
                let (a, key) = (self.cells(*a), self.cells(*key));
                let default = default.map(|default| self.cells(default));
                nested::get(&a, from, &key, default.as_ref(), id)
            }
            Op::Elements(a) => {
                let from = self.stage.terms[a.index()].ty.ty.unwrap_or(Type::Bool);
                nested::elements(&self.cells(*a), from, to, id)
            }
            Op::JsonAs(a) => nested::json_as(&self.cells(*a), to, id),
            Op::JsonOrNone(a) => nested::json_or_none(&self.cells(*a)),
            Op::Step(a, bounds) => step::step(&self.cells(*a), bounds, id),
            Op::Bound(a, bounds) => step::bound(&self.cells(*a), bounds, id),
            Op::Instant(a) => step::instant(&self.cells(*a), id),
            Op::OfInstant(a) => step::of_instant(&self.cells(*a)),
            Op::Carried { value, is_error, .. } => {
                let code = ErrorCode::new(id, Reason::Carried);
                carry::carried(&self.cells(*value), &self.cells(*is_error), ty.optional, code)
            }
            Op::Sum { value, too_wide } => {
                let code = ErrorCode::new(id, Reason::IntOverflow);
                carry::carried(&self.cells(*value), &self.cells(*too_wide), ty.optional, code)
            }
            Op::Carry(a, place) => carry::or_null(&self.noted(*a, *place), to),
            Op::ErrorLane(a, place) => carry::error_lane(&self.noted(*a, *place)),
            Op::Loosened(a) | Op::Sound(a) => self.cells(*a),
            Op::IsError(a) => carry::is_error(&self.cells(*a)),
            Op::IsNew(a, others) => {
                let others: Vec<Cells> = others.iter().map(|other| self.cells(*other)).collect();
                carry::is_new(&self.cells(*a), &others)
            }
            Op::ErrorText(a, place) => {
                let (a, rows) = (self.cells(*a), self.positions());
                let what = self.stage.places.what(*place);
                carry::error_text(&a, |row, code| self.describe(what, None, rows(row), code).message().to_owned())
            }
        };
        (cells, self.filters.len())
    }

    /// Checks that no row that is left and added has an error.
    fn check(&self, what: &dyn Fn() -> String, root: &Root, errors: &[ErrorCode]) -> Result<()> {
        let Some((row, code)) = self.first_error(errors) else { return Ok(()) };
        Err(self.describe(&what(), root.origin.as_ref(), row, code))
    }

    /// The first added row with an error, as a row of the batch. A constant has one cell for all rows.
    fn first_error(&self, errors: &[ErrorCode]) -> Option<(usize, ErrorCode)> {
        let row_of = self.positions();
        let code_of = |i: usize| if errors.len() == 1 { errors[0] } else { errors[i] };
        let failed = (0..self.rows).filter(|i| code_of(*i).is_error()).map(|i| (row_of(i), code_of(i)));
        failed.into_iter().find(|(row, _)| self.diffs.is_none_or(|diffs| diffs[*row] > 0))
    }

    /// Where the rows that are left stand in the batch.
    fn positions(&self) -> impl Fn(usize) -> usize + use<> {
        let kept: Option<Vec<usize>> = self.selection.as_ref().map(|kept| kept.set_indices().collect());
        move |row| kept.as_ref().map_or(row, |kept| kept[row])
    }

    /// The cells of a term, of whose errors the first is noted as one of this place.
    fn noted(&mut self, id: TermId, place: Place) -> Cells {
        let cells = self.cells(id);
        let places = &self.stage.places;
        if let Some((row, code)) = cells.errors.as_ref().and_then(|errors| self.first_error(errors)) {
            places.note(place, || self.describe(places.what(place), places.origin(place), row, code));
        }
        cells
    }

    /// What is wrong with a cell of a row of the batch.
    fn describe(&self, place: &str, origin: Option<&Origin>, row: usize, code: ErrorCode) -> Error {
        let (term, reason) = code.parts().expect("the cell is an error");
        let at = |error: Error| match origin {
            Some(origin) => error.at(origin),
            None => error,
        };
        let Term { op, ty } = &self.stage.terms[term.index()];
        if let Op::Carried { from, .. } = op {
            return self.stage.places.why(place, *from);
        }
        if let Op::Bound(number, bounds) = op {
            return at(self.outside(place, row, *number, bounds, ty.ty.unwrap_or(Type::Int)));
        }
        let speller = Speller::of_program();
        let values: Vec<String> = terms::inputs_of_value(&self.stage.terms, term)
            .into_iter()
            .map(|input| {
                let ColumnType { ty, .. } = self.stage.inputs.columns()[input].ty;
                let value = value(&self.columns[input], ty, row);
                format!("{} = {}", self.stage.input_to_notation(speller, input), value.to_notation(speller.notation))
            })
            .collect();
        let mut message = match op {
            // The number of a window is no column or call that the program has written.
            Op::Step(time, _) | Op::Instant(time) => {
                let time = match &self.stage.terms[time.index()].op {
                    Op::Input(_) => values.join(", "),
                    _ => self.stage.to_notation(speller, *time),
                };
                match reason {
                    Reason::IntOverflow => format!("the time {time} is in a window that starts outside 64 bits"),
                    _ => format!("the time {time} is in no window"),
                }
            }
            Op::Sum { .. } => {
                let (sum, ty) = (self.stage.to_notation(speller, term), ty.ty.unwrap_or(Type::Int));
                let message = format!("{place}: {sum} is outside the range of {ty}");
                return at(Error::input(message).with_hint(match ty {
                    Type::Int => "cast the column to float before the sum, or take fewer rows together",
                    _ => "take fewer rows together",
                }));
            }
            _ => format!("{place}: {} in {}", reason_text(reason, ty.ty), self.stage.to_notation(speller, term)),
        };
        if !values.is_empty() && !message.contains(&values.join(", ")) {
            message = format!("{message}, where {}", values.join(", "));
        }
        if let Op::Elements(array) = op {
            return at(Error::input(message).with_hint(self.arrays_alone(*array)));
        }
        let error = Error::input(message).with_hint(match op {
            Op::Step(..) | Op::Instant(_) => ".filter(...) drops the rows whose time is in no window",
            _ if place == FILTER => hint(
                ".filter(....fill_error(false)) leaves such rows out",
                ".filter(pw.fill_error(..., False)) leaves such rows out",
            ),
            _ => hint(
                ".fill_error(...) gives such cells a value, .remove_errors() drops their rows",
                "pw.fill_error(..., None) makes null of such cells, .remove_errors() drops their rows",
            ),
        });
        at(error)
    }

    /// What to flatten in place of JSON that is not always an array: a flatten itself gives no cell that could be
    /// filled.
    fn arrays_alone(&self, json: TermId) -> String {
        let speller = Speller { notation: Notation::of_program(), pasted: true };
        let binds = if matches!(self.stage.terms[json.index()].op, Op::Input(_)) { ATOM } else { 0 };
        let list = speller.cast((self.stage.to_notation(speller, json), binds), Type::list(Type::Json.required()));
        let filled = speller.fill_error(list, (hint("Literal::None", "None").to_owned(), ATOM)).0;
        format!("flatten {filled} instead: a value that is no array then gives no row")
    }

    /// A bound of a window that is no value of its type. The number of the window is no column of the program.
    fn outside(&self, place: &str, row: usize, number: TermId, bounds: &Bounds, ty: Type) -> Error {
        let Op::Input(input) = self.stage.terms[number.index()].op else {
            unreachable!("the number of a window is a column")
        };
        let Literal::Int(number) = value(&self.columns[input], Type::Int, row) else {
            unreachable!("the number of a window is an int")
        };
        let drops = ".filter(...) before the windows drops their rows";
        Error::input(format!("{place}: {}", bounds.outside(number, ty))).with_hint(hint(
            &format!(".fill_error(...) gives such bounds a value, {drops}"),
            &format!("pw.fill_error(..., None) makes null of such bounds, {drops}"),
        ))
    }
}

/// Of the bits set in `outer`, those that `inner`, which has one bit for each of them, keeps.
fn within(outer: &BooleanBuffer, inner: &BooleanBuffer) -> BooleanBuffer {
    let mut kept = inner.iter();
    BooleanBuffer::collect_bool(outer.len(), |i| outer.value(i) && kept.next().unwrap_or(false))
}

/// A cell as Python writes it.
fn value(array: &ArrayRef, ty: Type, row: usize) -> Literal {
    if array.is_null(row) {
        return Literal::None;
    }
    if let Some(values) = types::int_values(array) {
        return Literal::of_int(ty, values[row]);
    }
    match Data::of(array) {
        Some(Data::Bool(array)) => Literal::Bool(array.value(row)),
        Some(Data::Int(array)) => Literal::Int(array.value(row)),
        Some(Data::Float(array)) => Literal::Float(array.value(row)),
        Some(Data::Str(array)) => Literal::Str(array.value(row).into()),
        Some(Data::Bytes(array)) => Literal::Stored(ty, array.value(row).into()),
        None => Literal::None,
    }
}

fn reason_text(reason: Reason, ty: Option<Type>) -> String {
    match reason {
        Reason::DivisionByZero => "division by zero".into(),
        Reason::IntOverflow => match ty {
            Some(ty @ (Type::DateTimeNaive | Type::DateTimeUtc)) => {
                format!("the {} is outside 64 bits of nanoseconds, the years 1677 to 2262", ty.name())
            }
            Some(ty) if ty.is_time() => format!("the {} is outside 64 bits of nanoseconds", ty.name()),
            _ => "the int is outside 64 bits".into(),
        },
        Reason::FloatOverflow => "the float is too large".into(),
        Reason::Power => "the power is no number of its type".into(),
        Reason::NotAnInt => "the float is no int of 64 bits".into(),
        Reason::Unreadable => match ty {
            Some(Type::Str) => "the bytes are not UTF-8".into(),
            Some(ty) => format!("the text is not {}", ty.name()),
            None => "the text cannot be read".into(),
        },
        Reason::Null => "there is no value".into(),
        Reason::Several => "there are several values".into(),
        Reason::NoWindow => "the time is in no window".into(),
        Reason::TooLong if ty == Some(Type::Str) => "the text is too long".into(),
        Reason::TooLong => "the value is too long".into(),
        Reason::Missing => "there is no such element".into(),
        Reason::NotAnArray => "the json is no array".into(),
        Reason::EmptySeparator => "the separator is empty".into(),
        Reason::Carried => "an earlier step made it".into(),
    }
}

#[cfg(test)]
mod tests;
