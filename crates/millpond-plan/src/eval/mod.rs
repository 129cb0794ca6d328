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
//!   it. What reaches an output column or a predicate ends the run.
//!
//! Start reading at [`MapStage`]. The operators are in files by kind, and work on `cells`.

mod arithmetic;
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

use arrow_array::{Array, ArrayRef, BooleanArray};
use arrow_buffer::BooleanBuffer;
use arrow_select::filter::{FilterBuilder, FilterPredicate};
use cells::{Cells, Data, Reason};
use millpond_columns::dialect::{Notation, hint, quoted};
use millpond_columns::types::{self, ColumnType, Schema, Type};
use millpond_error::{Error, Origin, Result};

use crate::deep::deep;
use crate::expr::{BinaryOp, UnaryOp};
use crate::literal::Literal;
use crate::notation::{ATOM, Speller};
use crate::terms::{self, Bounds, Op, Term, TermId};

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
        MapStage { inputs, terms, predicates, outputs }
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
        let kept = |column| self.outputs.iter().any(|(_, root)| self.plain_column(root.term) == Some(column));
        columns.into_iter().all(kept)
    }

    /// Evaluates the stage over the columns of a batch of `rows` rows.
    ///
    /// # Errors
    ///
    /// An `Input` error if a cell of an output or of a predicate is an error value; it names the column, the reason and
    /// the values that the row holds.
    pub fn apply(&self, columns: &[ArrayRef], rows: usize) -> Result<Mapped> {
        let mut batch = Batch::new(self, columns, rows);
        for predicate in &self.predicates {
            batch.filter(predicate)?;
        }
        let mut outputs = Vec::with_capacity(self.outputs.len());
        for (name, root) in &self.outputs {
            if let (Some(input), true) = (self.plain_column(root.term), batch.filters.is_empty()) {
                outputs.push(columns[input].clone());
                continue;
            }
            let cells = batch.cells(root.term);
            if let Some(errors) = &cells.errors
                && batch.rows > 0
            {
                return Err(batch.error(&format!("column {}", quoted(name)), root, errors));
            }
            let ty = self.terms[root.term.index()].ty.ty.unwrap_or(Type::Bool);
            outputs.push(cells.into_array(batch.rows, ty));
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

/// Where a term was written does not matter.
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
    fn new(stage: &'a MapStage, columns: &'a [ArrayRef], rows: usize) -> Self {
        debug_assert_eq!(columns.len(), stage.inputs.len());
        debug_assert!(columns.iter().all(|column| column.len() == rows));
        let done = vec![None; stage.terms.len()];
        Batch { stage, columns, rows, selection: None, filters: Vec::new(), done }
    }

    /// Keeps the rows for which the predicate is true.
    fn filter(&mut self, predicate: &Root) -> Result<()> {
        let cells = self.cells(predicate.term);
        if let Some(errors) = &cells.errors
            && self.rows > 0
        {
            return Err(self.error("filter", predicate, errors));
        }
        let Data::Bool(test) = &cells.data else { unreachable!("the type check wants a bool") };
        let mut mask = cells::spread(test.values(), cells.constant, self.rows);
        if let Some(nulls) = cells.nulls(self.rows) {
            mask = &mask & nulls.inner();
        }
        let kept = mask.count_set_bits();
        if kept == self.rows {
            return Ok(());
        }
        self.rows = kept;
        self.filters.push(FilterBuilder::new(&BooleanArray::new(mask.clone(), None)).optimize().build());
        self.selection = Some(match self.selection.take() {
            None => mask,
            Some(before) => within(&before, &mask),
        });
        Ok(())
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
        };
        (cells, self.filters.len())
    }

    /// The error of the first row that has one.
    fn error(&self, place: &str, root: &Root, errors: &[cells::ErrorCode]) -> Error {
        let first = errors.iter().enumerate().find_map(|(row, code)| Some((row, code.parts()?)));
        let (row, (term, reason)) = first.expect("errors hold at least one");
        let row = match &self.selection {
            Some(kept) => kept.set_indices().nth(row).expect("a row that is left was selected"),
            None => row,
        };
        let at = |error: Error| match &root.origin {
            Some(origin) => error.at(origin),
            None => error,
        };
        let Term { op, ty } = &self.stage.terms[term.index()];
        if let Op::Bound(number, bounds) = op {
            return at(self.outside(place, row, *number, bounds, ty.ty.unwrap_or(Type::Int)));
        }
        let speller = Speller::of_program();
        let values: Vec<String> = terms::inputs(&self.stage.terms, &[term])
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
            _ => hint(
                ".fill_error(...) gives such cells a value, .filter(...) drops their rows",
                "pw.fill_error(..., None) makes null of such cells, .filter(...) drops their rows",
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
    }
}

#[cfg(test)]
mod tests;
