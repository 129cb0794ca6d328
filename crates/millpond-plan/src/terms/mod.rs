//! Typed expressions: a graph of terms in which equal terms are one, so that each is computed once.
//!
//! Names are resolved to positions, conversions that the language implies are spelled out, and every term has a type.
//! [`crate::check`] makes terms of expressions, [`crate::eval`] computes them.

pub(crate) mod fallible;

use std::collections::{BTreeSet, HashMap, HashSet};

use millpond_columns::types::{ColumnType, Schema, Type};

use crate::deep::deep_of;
use crate::errors::{Lineage, Place};
use crate::expr::{BinaryOp, UnaryOp};
use crate::functions::{TextFunction, TimeFunction};
use crate::literal::Literal;
use crate::notation::{ATOM, Bound, MOST_PARTS, Speller};

/// The position of a term in its [`Terms`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TermId(u32);

/// One step of a computation over columns.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Term {
    pub op: Op,
    pub ty: TermType,
}

/// What a term does. Operands stand before it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Op {
    /// The column at this position of the input.
    Input(usize),
    /// A value; [`Literal::None`] is a null of the term's type.
    Literal(Literal),
    Unary(UnaryOp, TermId),
    /// Operands have one type, but for a comparison, which may have an `int` and a `float`.
    Binary(BinaryOp, TermId, TermId),
    IfElse(TermId, TermId, TermId),
    Coalesce(TermId, TermId),
    /// To the term's type, where the program says so.
    Cast(TermId),
    /// From `int` to `float`, where the language implies it.
    Widen(TermId),
    FillError(TermId, TermId),
    /// The first operand, an error where the second is another value. Both are null or none.
    Unique(TermId, TermId),
    Text(TextFunction, Vec<TermId>),
    Time(TimeFunction, Vec<TermId>),
    /// Of its elements.
    Tuple(Vec<TermId>),
    /// The element of a tuple at this position.
    Element(TermId, usize),
    /// The element of a list or a JSON value with this number or name, or else the default, or an error.
    Get(TermId, TermId, Option<TermId>),
    /// The list of the elements of a text, a JSON array or a tuple whose elements have one type.
    Elements(TermId),
    /// The value of the term's type that a JSON value is, or null.
    JsonAs(TermId),
    /// A JSON value, null where it is JSON's null.
    JsonOrNone(TermId),
    /// The number of the last bound that a time is not below.
    Step(TermId, Bounds),
    /// The bound of this number, of whole numbers.
    Bound(TermId, Bounds),
    /// The [instant](crate::instant) of a float; an error where it is not finite.
    Instant(TermId),
    /// The float of an instant.
    OfInstant(TermId),
    /// The cells of an earlier node: an error where `is_error` is true. They may come from these
    /// [places](crate::errors).
    Carried {
        value: TermId,
        is_error: TermId,
        from: Lineage,
    },
    /// A sum of ints or durations: an error where it is outside 64 bits.
    Sum {
        value: TermId,
        too_wide: TermId,
    },
    /// The cells for a later node: null where there is an error, which is noted as one of this place.
    Carry(TermId, Place),
    /// False, and null where the operand is an error, which is noted as one of this place: what an optional column is
    /// carried beside.
    ErrorLane(TermId, Place),
    /// The same cells in a column that may hold nulls.
    Loosened(TermId),
    /// The same cells, of rows none of which has an error there.
    Sound(TermId),
    /// Whether the cell is an error.
    IsError(TermId),
    /// Whether the first operand is an error that none of the others has.
    IsNew(TermId, Vec<TermId>),
    /// What is wrong with the cell of this place, or null.
    ErrorText(TermId, Place),
}

/// Bounds at a regular distance: bound `k` is `k * hop + origin + shift`, all three of one type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Bounds {
    pub hop: Literal,
    pub origin: Literal,
    pub shift: Literal,
}

impl Bounds {
    /// Bound `k` of whole numbers. It is exact, and may be outside 64 bits.
    pub(crate) fn whole(&self, k: i64) -> i128 {
        let [hop, origin, shift] = [&self.hop, &self.origin, &self.shift].map(whole);
        i128::from(k) * hop + origin + shift
    }

    /// Says of bound `k`, which is no value of type `ty`, what it is.
    pub(crate) fn outside(&self, k: i64, ty: Type) -> String {
        let (bound, shift) = (self.whole(k), whole(&self.shift));
        let text = |value: i128| match i64::try_from(value) {
            Ok(value) if ty.is_time() => crate::time::text(ty, value),
            _ => value.to_string(),
        };
        let (first, last) = (text(i64::MIN.into()), text(i64::MAX.into()));
        match bound < i64::MIN.into() {
            true => format!(
                "the window before that of {} starts before {first}, the first {ty}",
                text(bound + whole(&self.hop))
            ),
            false => format!("the window that starts at {} ends after {last}, the last {ty}", text(bound - shift)),
        }
    }
}

fn whole(value: &Literal) -> i128 {
    value.as_int().expect("bounds of whole times are whole").into()
}

/// The type of a term; `ty` is missing for a literal `None` that nothing has given a type yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TermType {
    pub ty: Option<Type>,
    pub optional: bool,
}

/// A graph of terms in topological order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Terms {
    terms: Vec<Term>,
    ids: HashMap<Term, TermId>,
    /// Which of them can be error values.
    fallible: Vec<bool>,
}

/// The terms that some outputs need, numbered anew.
pub(crate) struct Compacted {
    pub terms: Vec<Term>,
    /// The new position of each root.
    pub roots: Vec<TermId>,
}

impl TermId {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }

    pub(crate) fn new(index: usize) -> Self {
        TermId(u32::try_from(index).expect("a program has fewer than 2^32 terms"))
    }
}

impl From<ColumnType> for TermType {
    fn from(ty: ColumnType) -> Self {
        TermType { ty: Some(ty.ty), optional: ty.optional }
    }
}

impl TermType {
    pub(crate) fn new(ty: Type, optional: bool) -> Self {
        TermType { ty: Some(ty), optional }
    }

    /// The type of a column of such cells; `None` if it is not known.
    pub(crate) fn column(self) -> Option<ColumnType> {
        self.ty.map(|ty| ColumnType { ty, optional: self.optional })
    }
}

impl std::fmt::Display for TermType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.column() {
            Some(ty) => ty.fmt(f),
            None => f.write_str("None"),
        }
    }
}

impl Op {
    /// Calls `visit` with each operand.
    pub(crate) fn operands(&self, mut visit: impl FnMut(TermId)) {
        self.clone().map(|operand| {
            visit(operand);
            operand
        });
    }

    /// The same operation on other operands.
    fn map(self, mut to: impl FnMut(TermId) -> TermId) -> Op {
        match self {
            Op::Input(_) | Op::Literal(_) => self,
            Op::Unary(op, a) => Op::Unary(op, to(a)),
            Op::Binary(op, a, b) => Op::Binary(op, to(a), to(b)),
            Op::IfElse(a, b, c) => Op::IfElse(to(a), to(b), to(c)),
            Op::Coalesce(a, b) => Op::Coalesce(to(a), to(b)),
            Op::Cast(a) => Op::Cast(to(a)),
            Op::Widen(a) => Op::Widen(to(a)),
            Op::FillError(a, b) => Op::FillError(to(a), to(b)),
            Op::Unique(a, b) => Op::Unique(to(a), to(b)),
            Op::Text(function, operands) => Op::Text(function, operands.into_iter().map(to).collect()),
            Op::Time(function, operands) => Op::Time(function, operands.into_iter().map(to).collect()),
            Op::Tuple(elements) => Op::Tuple(elements.into_iter().map(to).collect()),
            Op::Element(a, position) => Op::Element(to(a), position),
            Op::Get(a, key, default) => Op::Get(to(a), to(key), default.map(to)),
            Op::Elements(a) => Op::Elements(to(a)),
            Op::JsonAs(a) => Op::JsonAs(to(a)),
            Op::JsonOrNone(a) => Op::JsonOrNone(to(a)),
            Op::Step(a, bounds) => Op::Step(to(a), bounds),
            Op::Bound(a, bounds) => Op::Bound(to(a), bounds),
            Op::Instant(a) => Op::Instant(to(a)),
            Op::OfInstant(a) => Op::OfInstant(to(a)),
            Op::Carried { value, is_error, from } => Op::Carried { value: to(value), is_error: to(is_error), from },
            Op::Sum { value, too_wide } => Op::Sum { value: to(value), too_wide: to(too_wide) },
            Op::Carry(a, place) => Op::Carry(to(a), place),
            Op::ErrorLane(a, place) => Op::ErrorLane(to(a), place),
            Op::Loosened(a) => Op::Loosened(to(a)),
            Op::Sound(a) => Op::Sound(to(a)),
            Op::IsError(a) => Op::IsError(to(a)),
            Op::IsNew(a, others) => Op::IsNew(to(a), others.into_iter().map(to).collect()),
            Op::ErrorText(a, place) => Op::ErrorText(to(a), place),
        }
    }
}

impl Terms {
    /// The term that does `op`; an equal one if there is one already.
    pub(crate) fn add(&mut self, op: Op, ty: TermType) -> TermId {
        let term = Term { op, ty };
        if let Some(id) = self.ids.get(&term) {
            return *id;
        }
        let id = TermId::new(self.terms.len());
        let is_fallible = |id: TermId| self.fallible[id.index()];
        self.fallible.push(fallible::is_fallible(&self.terms, &term, &is_fallible));
        self.terms.push(term.clone());
        self.ids.insert(term, id);
        id
    }

    /// The input column at `position`.
    pub(crate) fn input(&mut self, position: usize, ty: ColumnType) -> TermId {
        self.add(Op::Input(position), ty.into())
    }

    pub(crate) fn ty(&self, id: TermId) -> TermType {
        self.terms[id.index()].ty
    }

    pub(crate) fn op(&self, id: TermId) -> &Op {
        &self.terms[id.index()].op
    }

    /// Whether a cell of it can be an error.
    pub(crate) fn is_fallible(&self, id: TermId) -> bool {
        self.fallible[id.index()]
    }

    /// The place of a term that is carried already.
    pub(crate) fn place(&self, id: TermId) -> Option<Place> {
        self.terms.iter().find_map(|term| match term.op {
            Op::Carry(carried, place) | Op::ErrorLane(carried, place) if carried == id => Some(place),
            _ => None,
        })
    }

    /// Where the carried errors come from that a term may hold.
    pub(crate) fn lineages(&self, id: TermId) -> impl Iterator<Item = Lineage> {
        let needed = needed(&self.terms, &[id]);
        self.terms.iter().zip(needed).filter_map(|(term, needed)| match term.op {
            Op::Carried { from, .. } if needed => Some(from),
            _ => None,
        })
    }

    /// Positions of the input columns that `roots` need, in ascending order.
    pub(crate) fn inputs(&self, roots: &[TermId]) -> Vec<usize> {
        inputs(&self.terms, roots)
    }

    /// The text of a term over input columns of these names, as the program writes it.
    pub(crate) fn to_notation(&self, id: TermId, inputs: &Schema) -> String {
        let speller = Speller::of_program();
        to_notation(speller, &self.terms, id, &|input| input_to_notation(speller, inputs, input)).0
    }

    /// The terms that a term is made of, itself included.
    pub(crate) fn parts(&self, id: TermId) -> Vec<TermId> {
        parts(&self.terms, id)
    }

    /// The terms that `roots` need alone, and the new position of each root.
    pub(crate) fn part(&self, roots: &[TermId]) -> (Terms, Vec<TermId>) {
        let compacted = self.compact(roots, |input| input);
        let mut terms = Terms::default();
        compacted.terms.into_iter().for_each(|term| {
            terms.add(term.op, term.ty);
        });
        (terms, compacted.roots)
    }

    /// The terms that `roots` need, with the input at position `i` moved to `position(i)`.
    pub(crate) fn compact(&self, roots: &[TermId], position: impl Fn(usize) -> usize) -> Compacted {
        let needed = needed(&self.terms, roots);
        let mut places = vec![TermId(0); self.terms.len()];
        let mut terms = Vec::new();
        for (i, term) in self.terms.iter().enumerate().filter(|(i, _)| needed[*i]) {
            let op = match term.op.clone() {
                Op::Input(input) => Op::Input(position(input)),
                op => op.map(|operand| places[operand.index()]),
            };
            places[i] = TermId::new(terms.len());
            terms.push(Term { op, ty: term.ty });
        }
        Compacted { terms, roots: roots.iter().map(|root| places[root.index()]).collect() }
    }
}

/// Positions of the input columns that `roots` need, in ascending order.
pub(crate) fn inputs(terms: &[Term], roots: &[TermId]) -> Vec<usize> {
    let needed = needed(terms, roots);
    let used = terms.iter().zip(needed).filter(|(_, needed)| *needed);
    let mut inputs: Vec<usize> = used
        .filter_map(|(term, _)| match term.op {
            Op::Input(position) => Some(position),
            _ => None,
        })
        .collect();
    inputs.sort_unstable();
    inputs
}

/// Positions of the input columns that the value of a term is made of, in ascending order; what says whether it is an
/// error is no part of it.
pub(crate) fn inputs_of_value(terms: &[Term], root: TermId) -> Vec<usize> {
    let (mut seen, mut waiting, mut inputs) = (HashSet::new(), vec![root], BTreeSet::new());
    while let Some(id) = waiting.pop() {
        match &terms[id.index()].op {
            Op::Input(position) => drop(inputs.insert(*position)),
            Op::Carried { value, .. } | Op::Sum { value, .. } => waiting.push(*value),
            op => op.operands(|operand| {
                if seen.insert(operand) {
                    waiting.push(operand);
                }
            }),
        }
    }
    inputs.into_iter().collect()
}

/// The terms that `root` is made of, itself included, each after those that it is made of.
pub(crate) fn parts(terms: &[Term], root: TermId) -> Vec<TermId> {
    let needed = needed(terms, &[root]).into_iter().enumerate();
    needed.filter(|(_, needed)| *needed).map(|(i, _)| TermId::new(i)).collect()
}

/// Which terms `roots` need.
fn needed(terms: &[Term], roots: &[TermId]) -> Vec<bool> {
    let mut needed = vec![false; terms.len()];
    for root in roots {
        needed[root.index()] = true;
    }
    for (i, term) in terms.iter().enumerate().rev() {
        if needed[i] {
            term.op.operands(|operand| needed[operand.index()] = true);
        }
    }
    needed
}

/// How an input column is written. The result of a reducer is named after its call.
pub(crate) fn input_to_notation(speller: Speller, inputs: &Schema, input: usize) -> String {
    speller.input(&inputs.columns()[input].name)
}

/// How many parts each term has when it is written out, each as often as it stands in it.
fn sizes(terms: &[Term]) -> Vec<u32> {
    let mut sizes: Vec<u32> = Vec::with_capacity(terms.len());
    for term in terms {
        let mut size = 1u32;
        term.op.operands(|operand| size = size.saturating_add(sizes[operand.index()]));
        sizes.push(size);
    }
    sizes
}

/// The text of a term, over input columns of these names. In that of a long one, what stands in several places is
/// written once and named.
pub(crate) fn to_notation(speller: Speller, terms: &[Term], id: TermId, name: &dyn Fn(usize) -> String) -> Bound {
    let mut names: HashMap<TermId, String> = HashMap::new();
    let terms = &terms[..=id.index()];
    if sizes(terms)[id.index()] <= MOST_PARTS {
        return part_to_notation(speller, terms, id, (name, &names));
    }
    let mut places = vec![0u32; terms.len()];
    let parts = parts(terms, id);
    parts.iter().for_each(|part| terms[part.index()].op.operands(|operand| places[operand.index()] += 1));
    let mut text = String::new();
    for part in parts {
        let is_leaf = matches!(terms[part.index()].op, Op::Input(_) | Op::Literal(_));
        if places[part.index()] > 1 && !is_leaf {
            let number = format!("${}", names.len() + 1);
            text.push_str(&format!("{number} = {}; ", part_to_notation(speller, terms, part, (name, &names)).0));
            names.insert(part, number);
        }
    }
    let (last, binds) = part_to_notation(speller, terms, id, (name, &names));
    if names.is_empty() { (last, binds) } else { (text + &last, 0) }
}

/// How inputs are written, and the names of parts that are written already.
type Known<'a> = (&'a dyn Fn(usize) -> String, &'a HashMap<TermId, String>);

fn part_to_notation(speller: Speller, terms: &[Term], id: TermId, known: Known<'_>) -> Bound {
    match known.1.get(&id) {
        Some(name) => (name.clone(), ATOM),
        // A term comes after all that it is made of.
        None => deep_of(id.index() as u32, || parts_to_notation(speller, terms, id, known)),
    }
}

fn parts_to_notation(speller: Speller, terms: &[Term], id: TermId, known: Known<'_>) -> Bound {
    let part = |id: TermId| part_to_notation(speller, terms, id, known);
    let parts = |ids: &[TermId]| ids.iter().map(|id| part(*id)).collect::<Vec<_>>();
    let term = &terms[id.index()];
    match &term.op {
        Op::Input(position) => (known.0(*position), ATOM),
        Op::Literal(value) => speller.literal(value),
        Op::Unary(op, a) => speller.unary(*op, part(*a)),
        Op::Binary(op, a, b) => speller.binary(*op, part(*a), part(*b)),
        Op::IfElse(a, b, c) => speller.call("if_else", parts(&[*a, *b, *c])),
        Op::Coalesce(a, b) => speller.list_call("coalesce", parts(&[*a, *b])),
        Op::Cast(a) => speller.cast(part(*a), term.ty.ty.expect("a cast has a type")),
        Op::Widen(a)
        | Op::JsonOrNone(a)
        | Op::Instant(a)
        | Op::OfInstant(a)
        | Op::Carry(a, _)
        | Op::Loosened(a)
        | Op::Sound(a) => part(*a),
        Op::Carried { value, .. } | Op::Sum { value, .. } => part(*value),
        // No program writes these.
        Op::ErrorLane(a, _) | Op::IsError(a) | Op::IsNew(a, _) => (format!("is_error({})", part(*a).0), ATOM),
        Op::ErrorText(a, _) => (format!("error({})", part(*a).0), ATOM),
        Op::FillError(a, b) => speller.fill_error(part(*a), part(*b)),
        // Both are results of the reducer's argument, and named so.
        Op::Unique(a, b) => match part(*a).0.strip_prefix(&speller.notation.reducer("min")) {
            Some(argument) => (format!("{}{argument}", speller.notation.reducer("unique")), ATOM),
            None => speller.call("unique", parts(&[*a, *b])),
        },
        Op::Text(function, operands) => speller.text(function, parts(operands)),
        Op::Time(function, operands) => speller.time(function, parts(operands)),
        Op::Tuple(elements) => speller.list_call("make_tuple", parts(elements)),
        Op::Element(a, position) => speller.get(part(*a), (position.to_string(), ATOM), None),
        Op::Get(a, key, default) => speller.get(part(*a), part(*key), default.map(part)),
        Op::Elements(a) => (format!("flatten({})", part(*a).0), ATOM),
        Op::JsonAs(a) => speller.json_as(part(*a), term.ty.ty.unwrap_or(Type::Json)),
        Op::Step(a, bounds) => {
            let [hop, origin, shift] = [&bounds.hop, &bounds.origin, &bounds.shift].map(|value| speller.literal(value));
            speller.call("step", vec![part(*a), hop, origin, shift])
        }
        Op::Bound(a, Bounds { hop, origin, shift }) => {
            let steps = speller.binary(BinaryOp::Mul, part(*a), speller.literal(hop));
            let more = [origin, shift].into_iter().filter(|value| **value != Literal::Int(0));
            more.fold(steps, |sum, value| speller.binary(BinaryOp::Add, sum, speller.literal(value)))
        }
    }
}
