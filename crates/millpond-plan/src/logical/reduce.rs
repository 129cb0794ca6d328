//! The outputs of a reduce, split in three: what is computed of each row before it, the reducers, and what is computed
//! of their results.
//!
//! Rows become columns `keys (or instance, time), arguments`; the keyed operator gives `keys (or instance, window
//! start, window end), reducers`. For tumbling and sliding windows the last key is the window's number. Reducers are
//! numbered in the order of the outputs' *names*, so that the layout of the state depends only on what the step's
//! description says, where outputs are sorted by name.

use std::sync::Arc;

use millpond_columns::dialect::{Notation, quoted};
use millpond_columns::types::{ColumnType, Schema, Type, one_of};
use millpond_error::{Error, Origin, Result};

use super::anchor::Results;
use super::behavior::{Behavior, Lifecycle};
use super::carry::{self, Carrying};
use super::session::{Gap, SessionGap};
use super::window::{INSTANCE, SlidingWindow, WINDOW_END, WINDOW_START, WindowSpans, Windows};
use crate::diagnostics::{self, at, no_column, subject};
use crate::errors::Lineage;
use crate::eval::Root;
use crate::expr::{BinaryOp, Expr, ExprKind, UnaryOp, col};
use crate::functions::{Reducer, ReducerKind};
use crate::lengths;
use crate::literal::Literal;
use crate::notation::{self, Speller, code, spoken};
use crate::terms::{Op, TermId, TermType, Terms};
use crate::typing::{self, RowScope, Scope, nested, typed_none_hint};

/// The column of windows' numbers, which no program sees.
const WINDOW_NUMBER: &str = "window";
/// What a window is called elsewhere, as a tuple.
const WINDOW: &str = "_pw_window";

/// A reduce, with names resolved and types checked.
pub(crate) struct Reduction {
    /// Terms over the rows' columns that make up the key, with their names.
    pub keys: Vec<(String, TermId)>,
    /// The term of a session's time.
    pub time: Option<TermId>,
    /// What neighbours in a session fulfil.
    pub gap: Option<Gap>,
    /// The numbers of a row's windows.
    pub windows: Option<WindowNumbers>,
    /// How the windows come and go, if not as groups do.
    pub lifecycle: Option<Lifecycle>,
    /// The reducers and the terms that they read.
    pub reducers: Vec<(ReducerKind, Vec<TermId>)>,
    /// The columns that the keyed operator gives: keys, window, reducers.
    pub reduced: Schema,
    /// Terms over the columns of `reduced`.
    pub results: Terms,
    /// Of the results: what tells one row from another.
    pub identity: Vec<(String, TermId)>,
    /// The terms of the outputs, in the order as written.
    pub outputs: Vec<TermId>,
    /// The outputs' columns.
    pub schema: Schema,
    /// Whether it is of sessions whose times are floats.
    pub floats: bool,
    /// The keys and arguments that can be errors, and how messages call them.
    pub fallible: Vec<(String, Root)>,
}

impl Reduction {
    /// The table's columns, which are these outputs.
    pub(super) fn results_of(&self, outputs: &[(String, Expr)]) -> Results {
        let columns = outputs.iter().zip(&self.outputs);
        Results {
            terms: self.results.clone(),
            columns: columns.map(|((_, expr), term)| Root { term: *term, origin: expr.origin().cloned() }).collect(),
            identity: self.identity.iter().map(|(_, term)| Root { term: *term, origin: None }).collect(),
        }
    }
}

/// The numbers of the windows that a row is in. Their column is the last key.
pub(crate) struct WindowNumbers {
    /// The last number, if there may be others than one: the key then is the first.
    pub last: Option<TermId>,
    /// What a row must fulfil to be in a window at all.
    pub predicate: Option<TermId>,
    /// Of the results: start and end, each of which tells the number.
    pub bounds: [TermId; 2],
    /// The time that they are computed of.
    pub time: TermId,
    /// Start and end by number.
    pub spans: Arc<WindowSpans>,
}

/// What is reduced by what.
pub(crate) enum Grouping<'a> {
    /// By keys with names.
    Keys(&'a [(String, Expr)]),
    /// By sessions.
    Session { time: &'a Expr, gap: &'a SessionGap, instance: Option<&'a Expr>, behavior: Option<&'a Behavior> },
    /// By tumbling or sliding windows.
    Sliding(&'a SlidingWindow),
}

/// Resolves a reduce of rows with these columns, as terms of `rows`.
pub(crate) fn reduction(
    rows: &mut Terms,
    schema: &Schema,
    (columns, written): (&[TermId], &[(String, Option<Origin>)]),
    grouping: &Grouping<'_>,
    outputs: &[(String, Expr)],
    errors: &mut Carrying,
) -> Result<Reduction> {
    diagnostics::unique("reduce", outputs.iter().map(|(name, _)| name.as_str()))?;
    if outputs.is_empty() {
        return Err(Error::invalid("reduce needs at least one output"));
    }
    let mut results = Terms::default();
    let row = RowScope { schema, columns, in_reducer: false };
    let mut scope = ReduceScope::new(rows, (row, written), grouping, &mut results, errors)?;
    let mut by_name: Vec<usize> = (0..outputs.len()).collect();
    by_name.sort_unstable_by_key(|i| &outputs[*i].0);
    for i in by_name {
        typing::term(&mut results, &mut scope, &outputs[i].1)?;
    }
    let schema = typing::outputs(&mut results, &mut scope, outputs)?;
    let terms = outputs.iter().map(|(_, expr)| typing::term(&mut results, &mut scope, expr)).collect::<Result<_>>()?;
    Ok(scope.finish(results, terms, schema))
}

/// What may be used plainly in the outputs: a column of the keyed operator that is not a reducer.
struct Plain {
    name: String,
    expr: Option<Expr>,
    ty: ColumnType,
    /// Whether no program sees it: the number of a window, a session's bounds as instants, the lane of another one.
    hidden: bool,
    /// How it is carried, if it can be an error: the column that is null for one, and what it is otherwise.
    carried: Option<(usize, Lineage, ColumnType)>,
}

impl Plain {
    fn new(name: &str, expr: Option<Expr>, ty: ColumnType) -> Self {
        Plain { name: name.to_owned(), expr, ty, hidden: false, carried: None }
    }

    fn hidden(name: &str, ty: ColumnType) -> Self {
        Plain { hidden: true, ..Plain::new(name, None, ty) }
    }
}

/// The scope of a reduce's outputs.
struct ReduceScope<'a> {
    rows: &'a mut Terms,
    row: RowScope<'a>,
    /// How each column of the rows is written, and where, if that is known.
    written: &'a [(String, Option<Origin>)],
    keys: Vec<(String, TermId)>,
    time: Option<TermId>,
    gap: Option<Gap>,
    plain: Vec<Plain>,
    /// The time of a session as a term of the rows, and its start and end as results.
    session: Option<(TermId, [TermId; 2])>,
    windows: Option<WindowNumbers>,
    lifecycle: Option<Lifecycle>,
    /// Start and end of a window that has a number, as results.
    bounds: Vec<(&'static str, TermId)>,
    calls: Vec<Call>,
    errors: &'a mut Carrying,
    fallible: Vec<(String, Root)>,
}

/// A reducer that the engine computes.
struct Call {
    kind: ReducerKind,
    /// As they are carried.
    arguments: Vec<TermId>,
    ty: ColumnType,
    text: String,
}

impl<'a> ReduceScope<'a> {
    fn new(
        rows: &'a mut Terms,
        (row, written): (RowScope<'a>, &'a [(String, Option<Origin>)]),
        grouping: &Grouping<'_>,
        results: &mut Terms,
        errors: &'a mut Carrying,
    ) -> Result<Self> {
        let mut scope = ReduceScope {
            rows,
            row,
            written,
            keys: Vec::new(),
            time: None,
            gap: None,
            plain: Vec::new(),
            session: None,
            windows: None,
            lifecycle: None,
            bounds: Vec::new(),
            calls: Vec::new(),
            errors,
            fallible: Vec::new(),
        };
        match grouping {
            Grouping::Keys(keys) => {
                diagnostics::unique("groupby", keys.iter().map(|(name, _)| name.as_str()))?;
                for (name, expr) in *keys {
                    scope.key(name, expr)?;
                }
            }
            Grouping::Session { time, gap, instance, behavior } => {
                if let Some(instance) = instance {
                    scope.key(INSTANCE, instance)?;
                }
                scope.session(time, gap, *behavior, results)?;
            }
            Grouping::Sliding(window) => {
                if let Some(instance) = &window.instance {
                    scope.key(INSTANCE, instance)?;
                }
                scope.sliding(window, results)?;
            }
        }
        for (i, plain) in scope.plain.iter().enumerate() {
            results.input(i, plain.ty);
        }
        Ok(scope)
    }

    fn key(&mut self, name: &str, expr: &Expr) -> Result<()> {
        let term = typing::term(self.rows, &mut self.row, expr)?;
        let ty = self.rows.ty(term).column().ok_or_else(|| {
            at(Error::invalid(format!("{} is no key: it is the same for every row", subject(expr))), expr)
        })?;
        let of_column = carry::of_column(term, self.row.schema, self.row.columns, self.written);
        let written =
            || of_column.unwrap_or_else(|| (format!("key {}", quoted(name)), spoken(expr), expr.origin().cloned()));
        let Some(carried) = self.errors.carry_key(self.rows, (term, ty.optional), written) else {
            self.keys.push((name.to_owned(), term));
            self.plain.push(Plain::new(name, Some(expr.clone()), ty));
            return Ok(());
        };
        self.fallible.push((format!("key {}", quoted(name)), Root { term, origin: expr.origin().cloned() }));
        let position = self.plain.len();
        self.keys.push((name.to_owned(), carried.value));
        let of = (position + usize::from(carried.lane.is_some()), carried.from, ty);
        let plain = Plain::new(name, Some(expr.clone()), ty.ty.optional());
        self.plain.push(Plain { carried: Some(of), ..plain });
        if let Some(lane) = carried.lane {
            self.keys.push((carry::lane(name), lane));
            self.plain.push(Plain::hidden(&carry::lane(name), Type::Bool.optional()));
        }
        Ok(())
    }

    fn session(
        &mut self,
        time: &Expr,
        gap: &SessionGap,
        behavior: Option<&Behavior>,
        results: &mut Terms,
    ) -> Result<()> {
        let term = typing::term(self.rows, &mut self.row, time)?;
        let ty = self.rows.ty(term);
        let good = ty.ty.is_some_and(lengths::is_time) && !ty.optional;
        let Some(time_type) = ty.ty.filter(|_| good) else {
            let needed = one_of(&lengths::TIMES);
            let error =
                Error::invalid(format!("{} is {ty}, but the time of a session must be {needed}", subject(time)));
            return Err(lengths::no_time(error, time, ty.ty));
        };
        self.gap = Some(gap.resolve(time, time_type)?);
        self.lifecycle = behavior.map(|behavior| behavior.lifecycle(time, time_type)).transpose()?;
        let floats = time_type == Type::Float;
        let kept = if floats { Type::Int } else { time_type };
        let start = self.plain.len();
        for name in [WINDOW_START, WINDOW_END] {
            self.plain.push(Plain { hidden: floats, ..Plain::new(name, None, kept.required()) });
        }
        for (i, plain) in self.plain.iter().enumerate() {
            results.input(i, plain.ty);
        }
        let mut bounds = [start, start + 1].map(|position| results.input(position, kept.required()));
        if floats {
            self.time = Some(self.rows.add(Op::Instant(term), TermType::new(Type::Int, false)));
            bounds = bounds.map(|bound| results.add(Op::OfInstant(bound), TermType::new(Type::Float, false)));
            self.bounds = vec![(WINDOW_START, bounds[0]), (WINDOW_END, bounds[1])];
        } else {
            self.time = Some(term);
        }
        self.session = Some((term, bounds));
        Ok(())
    }

    fn sliding(&mut self, window: &SlidingWindow, results: &mut Terms) -> Result<()> {
        let time = typing::term(self.rows, &mut self.row, &window.time)?;
        let windows = Windows::new(window, self.rows.ty(time).column())?;
        let (first, last) = windows.numbers(self.rows, time);
        let predicate = windows.predicate(self.rows, last);
        self.keys.push((WINDOW_NUMBER.to_owned(), first.unwrap_or(last)));
        self.lifecycle =
            window.behavior.as_ref().map(|behavior| behavior.lifecycle(&window.time, windows.ty())).transpose()?;
        let (ty, position) = (Type::Int.required(), self.plain.len());
        self.plain.push(Plain::hidden(WINDOW_NUMBER, ty));
        let number = results.input(position, ty);
        let (start, end) = windows.bounds(results, number);
        self.bounds = vec![(WINDOW_START, start), (WINDOW_END, end)];
        let (last, spans) = (first.map(|_| last), Arc::new(windows.spans()));
        self.windows = Some(WindowNumbers { last, predicate, bounds: [start, end], time, spans });
        Ok(())
    }

    fn reducer(&mut self, reducer: Reducer, arguments: &[Expr], results: &mut Terms) -> Result<TermId> {
        check_number(reducer, arguments)?;
        let mut row = RowScope { in_reducer: true, ..self.row };
        let mut terms = Vec::with_capacity(arguments.len());
        let mut types = Vec::with_capacity(arguments.len());
        for argument in arguments {
            let term = typing::term(self.rows, &mut row, argument)?;
            let no_type = || {
                let name = Notation::of_program().reducer(reducer.name());
                Error::invalid(format!("None has no type, but {name}() needs one")).with_hint(typed_none_hint())
            };
            types.push((argument, self.rows.ty(term).column().ok_or_else(no_type)?));
            terms.push(term);
        }
        let ty = reducer_type(reducer, &types)?;
        nested::check_depth(ty.ty)?;
        let mut call = |kind| self.call(kind, &terms, arguments, ty, results);
        Ok(match reducer {
            Reducer::Count => call(ReducerKind::Count),
            Reducer::Sum => call(ReducerKind::Sum),
            Reducer::Avg => call(ReducerKind::Avg),
            Reducer::Min | Reducer::Any => call(ReducerKind::Min),
            Reducer::Max => call(ReducerKind::Max),
            Reducer::Unique => {
                let (least, greatest) = (call(ReducerKind::Min), call(ReducerKind::Max));
                results.add(Op::Unique(least, greatest), ty.into())
            }
            Reducer::ArgMin => call(ReducerKind::ArgMin),
            Reducer::ArgMax => call(ReducerKind::ArgMax),
            Reducer::Earliest => call(ReducerKind::Earliest),
            Reducer::Latest => call(ReducerKind::Latest),
            Reducer::CountDistinct => call(ReducerKind::CountDistinct),
            Reducer::Tuple { skip_nones } => call(ReducerKind::Tuple { skip_nones }),
            Reducer::SortedTuple { skip_nones } => call(ReducerKind::SortedTuple { skip_nones }),
        })
    }

    /// The result of a reducer that the engine has, an error where one of its arguments is in a row of the group.
    fn call(
        &mut self,
        kind: ReducerKind,
        arguments: &[TermId],
        written: &[Expr],
        ty: ColumnType,
        results: &mut Terms,
    ) -> TermId {
        if let Some((time, [start, end])) = self.session
            && arguments == [time]
        {
            match kind {
                ReducerKind::Min => return start,
                ReducerKind::Max => return end,
                _ => {}
            }
        }
        let mut marks = Vec::new();
        let mut carried = Vec::with_capacity(arguments.len());
        for (argument, expr) in arguments.iter().zip(written) {
            let optional = self.rows.ty(*argument).optional;
            let of_column = carry::of_column(*argument, self.row.schema, self.row.columns, self.written);
            let place = || of_column.unwrap_or_else(|| (subject(expr), spoken(expr), expr.origin().cloned()));
            // Several that take one row are told by their columns being required.
            let by_arrival = matches!(kind, ReducerKind::Earliest | ReducerKind::Latest);
            let value = match by_arrival && !optional {
                true => self.errors.carry_filled(self.rows, *argument, place),
                false => self.errors.carry(self.rows, (*argument, optional), place),
            };
            match value {
                Some(value) => {
                    let root = Root { term: *argument, origin: expr.origin().cloned() };
                    if !self.fallible.iter().any(|(_, known)| known.term == root.term) {
                        self.fallible.push((subject(expr), root));
                    }
                    carried.push(value.value);
                    marks.push((value.mark(), value.from));
                }
                None => carried.push(*argument),
            }
        }
        let sums_ints = kind == ReducerKind::Sum && ty.ty != Type::Float;
        if marks.is_empty() && !sums_ints {
            return self.input(kind, carried, written, ty, results);
        }
        // Nulls that stand for errors are no elements; a group with one is an error itself.
        let required = arguments.iter().all(|argument| !self.rows.ty(*argument).optional);
        let (kind, of_values) = match kind {
            ReducerKind::Tuple { .. } if required => (ReducerKind::Tuple { skip_nones: true }, ty),
            ReducerKind::SortedTuple { .. } if required => (ReducerKind::SortedTuple { skip_nones: true }, ty),
            ReducerKind::Tuple { .. } | ReducerKind::SortedTuple { .. } | ReducerKind::CountDistinct => (kind, ty),
            ReducerKind::Earliest | ReducerKind::Latest if required => (kind, ty),
            _ => (kind, ty.ty.optional()),
        };
        let mut value = self.input(kind, carried.clone(), written, of_values, results);
        let (int, bool) = (Type::Int.required(), TermType::new(Type::Bool, false));
        if sums_ints {
            // A sum outside 64 bits is null, as is that of nulls and errors alone.
            let mut too_wide = results.add(Op::Unary(UnaryOp::IsNone, value), bool);
            if !required || !marks.is_empty() {
                let values = self.input(ReducerKind::CountValues, carried, written, int, results);
                let none = results.add(Op::Literal(Literal::Int(0)), int.into());
                let some = results.add(Op::Binary(BinaryOp::Ne, values, none), bool);
                too_wide = results.add(Op::Binary(BinaryOp::And, too_wide, some), bool);
            }
            value = results.add(Op::Sum { value, too_wide }, ty.into());
        }
        let mut is_error = None;
        for (mark, _) in &marks {
            let rows = self.input(ReducerKind::Count, Vec::new(), &[], int, results);
            let sound = self.input(ReducerKind::CountValues, vec![*mark], written, int, results);
            let some = results.add(Op::Binary(BinaryOp::Ne, rows, sound), bool);
            is_error = Some(is_error.map_or(some, |other| results.add(Op::Binary(BinaryOp::Or, other, some), bool)));
        }
        let Some(is_error) = is_error else { return value };
        let from = self.errors.places.lineage([], marks.into_iter().map(|(_, from)| from));
        results.add(Op::Carried { value, is_error, from }, ty.into())
    }

    /// The column of a reducer over these terms of the rows; one for all equal calls.
    fn input(
        &mut self,
        kind: ReducerKind,
        arguments: Vec<TermId>,
        written: &[Expr],
        ty: ColumnType,
        results: &mut Terms,
    ) -> TermId {
        let known = self.calls.iter().position(|known| known.kind == kind && known.arguments == arguments);
        let position = known.unwrap_or_else(|| {
            let speller = Speller::of_program();
            let text = speller.reducer(
                kind.name(),
                kind.skips_nones(),
                written.iter().map(|expr| speller.expr(expr)).collect(),
            );
            self.calls.push(Call { kind, arguments, ty, text });
            self.calls.len() - 1
        });
        results.input(self.plain.len() + position, ty)
    }

    /// What may be used plainly, at this position.
    fn plain(&self, position: usize, results: &mut Terms) -> TermId {
        let plain = &self.plain[position];
        let value = results.input(position, plain.ty);
        let Some((mark, from, ty)) = plain.carried else { return value };
        let mark = results.input(mark, self.plain[mark].ty);
        carry::uncarried(results, value, mark, ty, from)
    }

    fn plain_column(&self, name: &str) -> Error {
        let schema = self.row.schema;
        let windowed = self.session.is_some() || self.windows.is_some();
        if schema.index_of(name).is_none() {
            if windowed && name == WINDOW {
                let error = Error::invalid(format!("there is no {WINDOW} in this version"));
                let parts = [WINDOW_START, WINDOW_END].map(col);
                return error.with_hint(code(&crate::methods::make_tuple(parts)));
            }
            let plain = self.visible().map(|(_, plain)| plain.name.as_str());
            let bounds = self.bounds.iter().map(|(name, _)| *name);
            let columns = schema.columns().iter().map(|column| column.name.as_str());
            return no_column(name, plain.chain(bounds).chain(columns));
        }
        let what = if windowed { "the instance of the window" } else { "a key of the groupby" };
        let column = col(name);
        let name = quoted(name);
        let error = if self.keys.is_empty() && !windowed {
            Error::invalid(format!("column {name} is not inside a reducer"))
        } else {
            Error::invalid(format!("column {name} is neither {what} nor inside a reducer"))
        };
        let taken = notation::reducer(Reducer::Max, &[&column]);
        error.with_hint(format!("a group has many values of it; take one with a reducer, for example {taken}"))
    }

    /// What may be used plainly, with its position.
    fn visible(&self) -> impl Iterator<Item = (usize, &Plain)> {
        self.plain.iter().enumerate().filter(|(_, plain)| !plain.hidden)
    }

    /// The keys, or the instance with both bounds of the window.
    fn identity(&self, results: &mut Terms) -> Vec<(String, TermId)> {
        let plain = self.visible().map(|(position, plain)| (plain.name.clone(), self.plain(position, results)));
        plain.chain(self.bounds.iter().map(|(name, bound)| ((*name).to_owned(), *bound))).collect()
    }

    fn finish(self, mut results: Terms, outputs: Vec<TermId>, schema: Schema) -> Reduction {
        let identity = self.identity(&mut results);
        let floats = self.session.is_some_and(|(time, _)| Some(time) != self.time);
        let plain = self.plain.into_iter().map(|plain| (plain.name, plain.ty));
        let calls = self.calls.iter().map(|call| (call.text.clone(), call.ty));
        Reduction {
            keys: self.keys,
            time: self.time,
            gap: self.gap,
            windows: self.windows,
            lifecycle: self.lifecycle,
            reduced: Schema::new(plain.chain(calls)),
            reducers: self.calls.into_iter().map(|call| (call.kind, call.arguments)).collect(),
            results,
            identity,
            outputs,
            schema,
            floats,
            fallible: self.fallible,
        }
    }
}

impl Scope for ReduceScope<'_> {
    fn resolve(&mut self, expr: &Expr, results: &mut Terms) -> Option<Result<TermId>> {
        let named = |(_, plain): &(usize, &Plain)| expr.column_name() == Some(&plain.name);
        let same = |(_, plain): &(usize, &Plain)| plain.expr.as_ref().is_some_and(|key| key.same_as(expr));
        if let Some((position, _)) = self.visible().find(named).or_else(|| self.visible().find(same)) {
            return Some(Ok(self.plain(position, results)));
        }
        if let Some((_, bound)) = self.bounds.iter().find(|(name, _)| expr.column_name() == Some(name)) {
            return Some(Ok(*bound));
        }
        match expr.kind() {
            ExprKind::Column(column) => Some(Err(self.plain_column(&column.name))),
            ExprKind::Reducer(kind, arguments) => Some(self.reducer(*kind, arguments, results)),
            _ => None,
        }
    }
}

/// Checks that a reducer has as many arguments as it takes.
fn check_number(reducer: Reducer, arguments: &[Expr]) -> Result<()> {
    let name = Notation::of_program().reducer(reducer.name());
    let problem = match (reducer, arguments.len()) {
        (Reducer::Count, 0) | (Reducer::ArgMin | Reducer::ArgMax, 2) | (Reducer::CountDistinct, 1..) => return Ok(()),
        (Reducer::Count, _) => format!("{name}() counts rows and takes no argument"),
        (Reducer::ArgMin | Reducer::ArgMax, 1) => {
            let (value, most) = (&arguments[0], if reducer == Reducer::ArgMin { "smallest" } else { "largest" });
            let spoken = spoken(value);
            let error = Error::invalid(format!("{name}({spoken}) does not say what it takes of the row"));
            let both = notation::reducer(reducer, &[value, &col("name")]);
            let hint = format!("{both} is the name of the row with the {most} {spoken}; a row has no id");
            return Err(error.with_hint(hint));
        }
        (Reducer::ArgMin | Reducer::ArgMax, found) => format!("{name}() has {found} arguments, but takes 2"),
        (_, 0) => format!("{name}() needs an argument"),
        (_, 1) => return Ok(()),
        (_, found) => format!("{name}() has {found} arguments, but takes 1"),
    };
    Err(Error::invalid(problem))
}

/// The type that a reducer gives for its arguments.
fn reducer_type(reducer: Reducer, arguments: &[(&Expr, ColumnType)]) -> Result<ColumnType> {
    let [(argument, ty), rest @ ..] = arguments else { return Ok(Type::Int.required()) };
    match (reducer, ty.ty) {
        (Reducer::Count | Reducer::CountDistinct, _) => Ok(Type::Int.required()),
        (Reducer::Min | Reducer::Max | Reducer::Any | Reducer::Unique | Reducer::Earliest | Reducer::Latest, _)
        | (Reducer::Sum, Type::Int | Type::Float | Type::Duration)
        | (Reducer::Avg, Type::Duration) => Ok(*ty),
        (Reducer::ArgMin | Reducer::ArgMax, _) => {
            // Over null values alone there is no row to take it of.
            let of = rest.first().map_or(*ty, |(_, of)| *of);
            Ok(ColumnType { optional: of.optional || ty.optional, ..of })
        }
        (Reducer::Tuple { skip_nones } | Reducer::SortedTuple { skip_nones }, of) => {
            Ok(Type::list(ColumnType { ty: of, optional: ty.optional && !skip_nones }).required())
        }
        (Reducer::Avg, Type::Int | Type::Float) => Ok(ColumnType { ty: Type::Float, ..*ty }),
        (Reducer::Sum | Reducer::Avg, of) => {
            let needed = [Type::Int, Type::Float, Type::Duration];
            let needed = one_of(if of.is_time() { &needed } else { &needed[..2] });
            let name = Notation::of_program().reducer(reducer.name());
            let error = Error::invalid(format!("{} is {ty}, but {name} needs {needed}", subject(argument)));
            Err(match ty.ty {
                of if of.is_time() => {
                    error.with_hint("one point in time less another is a duration, which can be summed")
                }
                Type::Bool => {
                    error.with_hint(format!("{} makes 1 of true and 0 of false", notation::cast(argument, Type::Int)))
                }
                of if typing::castable(of, Type::Int) => error.with_hint(format!(
                    "{} or {}",
                    notation::cast(argument, Type::Int),
                    notation::cast(argument, Type::Float)
                )),
                Type::Json => error.with_hint(format!("{}.as_int() makes an int of JSON, or null", code(argument))),
                _ => error,
            })
        }
    }
}
