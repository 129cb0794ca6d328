//! One row for each session: rows whose neighbours are no further apart than a gap, or fulfil a predicate over their
//! times.

use std::fmt;
use std::sync::Arc;

use millpond_columns::dialect::{self, Notation, hint, quoted};
use millpond_columns::types::{Schema, Type, one_of};
use millpond_error::{Error, Origin, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::anchor::{Keyed, KeyedOutput};
use super::behavior::{Behavior, Lifecycle, Shown, WindowSpec, WindowedSpec};
use super::describe::{self, Described, expressions};
use super::group::{ReducerCall, explain_reducers, write_reducers};
use super::lower::Lowering;
use super::pipeline::Pipeline;
use super::reduce::Grouping;
use super::saved::{Call, Saver};
use super::{Operation, Table};
use crate::diagnostics::{at, subject};
use crate::eval::{MapStage, Root};
use crate::expr::{ColumnRef, Expr, ExprKind, UnaryOp};
use crate::lengths;
use crate::literal::Literal;
use crate::notation::{self, Speller, spoken};
use crate::physical::{Explanation, Form, Inputs, KeyedSpec};
use crate::terms::{TermId, Terms};
use crate::typing::{self, Scope};

/// The column that stands for the time of a row, in the predicate of a session.
pub const BEFORE: &str = "a";
/// The column that stands for the time of the next row.
pub const AFTER: &str = "b";

/// What neighbours in a session fulfil.
#[derive(Clone, Debug)]
pub enum SessionGap {
    /// Their times are no further apart than this: a literal, not negative; an `int` or a `float` as the time, a
    /// `Duration` between points in time. Of floats it is their difference, as a float, that is not more.
    Most(Expr),
    /// This holds: a `bool` over the columns [`BEFORE`] and [`AFTER`], the times of two neighbours; null is false. Rows
    /// of one time are in one session, and it is not asked.
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

/// The parameters of a `Session` node. All positions are columns of the node's input.
///
/// It groups rows of an instance into sessions; one output row for each: the instance columns, `_pw_window_start`,
/// `_pw_window_end`, then one column for each reducer.
#[derive(Clone, Debug)]
pub struct SessionSpec {
    /// Columns that make up the instance (the key); may be empty.
    pub instance: Vec<usize>,
    /// The column of event times: a required `int` or point in time; an `int` where times are floats, the
    /// [instant](crate::instant) of each.
    pub time: usize,
    /// Whether times are floats.
    pub floats: bool,
    /// What neighbours in a session fulfil.
    pub gap: Gap,
    /// The reducers, in the order of their output columns.
    pub reducers: Vec<ReducerCall>,
    /// The form.
    pub form: Form,
}

#[derive(Debug)]
struct Session {
    time: Expr,
    gap: SessionGap,
    instance: Option<Expr>,
    behavior: Option<Behavior>,
    outputs: Vec<(String, Expr)>,
}

impl Table {
    /// One row for each session. In `outputs`, the instance expression, [`INSTANCE`](crate::INSTANCE),
    /// [`WINDOW_START`](crate::WINDOW_START) and [`WINDOW_END`](crate::WINDOW_END) are used plainly; every column of
    /// this table stands in a reducer.
    pub fn session_reduce(
        &self,
        window: SessionWindow,
        outputs: Vec<(String, Expr)>,
        origin: &Origin,
    ) -> Result<Table> {
        let SessionWindow { time, gap, instance, behavior } = window;
        let behavior = behavior.filter(|behavior| !behavior.is_plain());
        let bound = || -> Result<Session> {
            let (time, outputs) = (self.bind(&time)?, self.bind_all(outputs)?);
            let instance = instance.map(|instance| self.bind(&instance)).transpose()?;
            Ok(Session { time, gap, instance, behavior, outputs })
        };
        let session = bound().map_err(|error| error.at(origin))?;
        let (schema, identity) =
            self.reduced(&session.grouping(), &session.outputs).map_err(|error| error.at(origin))?;
        let append_only = session.behavior.as_ref().is_some_and(Behavior::is_append_only);
        Ok(Table::new(session, vec![self.clone()], schema, Some(identity), append_only, origin))
    }
}

impl Session {
    fn grouping(&self) -> Grouping<'_> {
        let (instance, behavior) = (self.instance.as_ref(), self.behavior.as_ref());
        Grouping::Session { time: &self.time, gap: &self.gap, instance, behavior }
    }
}

impl Operation for Session {
    fn describe(&self, of: &Described<'_>) -> Option<Value> {
        let mut fields = json!({
            "operator": "session",
            "time": self.time.to_string(),
            "instance": self.instance.iter().map(Expr::to_string).collect::<Vec<_>>(),
            "outputs": expressions(&self.outputs),
            "input": of.inputs[0],
        });
        match &self.gap {
            SessionGap::Most(max_gap) => {
                fields["max_gap"] = match max_gap.kind() {
                    ExprKind::Literal(value) => describe::number(value),
                    _ => Value::from(max_gap.to_string()),
                }
            }
            SessionGap::Where(predicate) => fields["predicate"] = Value::from(predicate.to_string()),
        }
        self.behavior.iter().for_each(|behavior| behavior.describe(&mut fields));
        Some(fields)
    }

    fn keeps_state(&self) -> bool {
        true
    }

    fn save(&self, saver: &mut Saver) -> (&'static str, Value) {
        let gap = match &self.gap {
            SessionGap::Most(most) => json!({ "most": saver.expr(most) }),
            SessionGap::Where(predicate) => json!({ "where": saver.expr(predicate) }),
        };
        let arguments = json!({
            "time": saver.expr(&self.time),
            "gap": gap,
            "instance": self.instance.as_ref().map(|instance| saver.expr(instance)),
            "behavior": self.behavior,
            "outputs": saver.named(&self.outputs),
        });
        ("session", arguments)
    }

    fn lower(&self, table: &Table, lowering: &mut Lowering) -> Result<Pipeline> {
        lowering.pipeline_on(table, |lowering| {
            let input = &table.inputs()[0];
            let mut rows = lowering.pipeline(input)?;
            let reduction = rows.reduction(input.schema(), &self.grouping(), &self.outputs, &mut lowering.errors)?;
            lowering.place_rows(table, &mut rows, &self.time, reduction.time);
            let reducers = lowering.reducer_rows(&mut rows, &reduction, table);
            let instance: Vec<usize> = (0..reduction.keys.len()).collect();
            let session = SessionSpec {
                instance: instance.clone(),
                time: instance.len(),
                floats: reduction.floats,
                gap: reduction.gap.clone().expect("sessions have a gap"),
                reducers,
                form: Form::of(input.append_only()),
            };
            let lifecycle = reduction.lifecycle.clone();
            // The sessions of an instance are shown and over one by one, and apart from those that change.
            let delays = |lifecycle: &Lifecycle| matches!(lifecycle.shown, Shown::AfterStart(_));
            let scatters = lifecycle.as_ref().is_some_and(|lifecycle| delays(lifecycle) || !lifecycle.keep_results);
            let output = KeyedOutput { scatters, ..KeyedOutput::by_key(instance.len()) };
            let clock = lifecycle.as_ref().map(|_| session.time);
            let spec: Arc<dyn KeyedSpec> = match lifecycle {
                Some(lifecycle) => Arc::new(WindowedSpec { windows: WindowSpec::Session(session), lifecycle }),
                None => Arc::new(session),
            };
            let keyed = Keyed { spec, keys: vec![instance], expands: None, clock, output };
            Ok(lowering.reducing("session", table, rows, keyed, &reduction, &self.outputs))
        })
    }
}

/// The table of a saved `session`.
pub(super) fn load(call: &Call<'_>) -> Result<Table> {
    #[derive(Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum SavedGap {
        Most(usize),
        Where(usize),
    }
    let gap = match call.value("gap")? {
        SavedGap::Most(most) => SessionGap::Most(call.numbered(most)?),
        SavedGap::Where(predicate) => SessionGap::Where(call.numbered(predicate)?),
    };
    let (time, instance) = (call.expr("time")?, call.optional_expr("instance")?);
    let window = SessionWindow { time, gap, instance, behavior: call.value("behavior")? };
    call.this()?.session_reduce(window, call.named("outputs")?, &call.origin)
}

impl KeyedSpec for SessionSpec {
    fn name(&self) -> &'static str {
        "session"
    }

    fn explain(&self, inputs: &Inputs<'_>) -> Explanation {
        let mut lines = Vec::new();
        if !self.instance.is_empty() {
            lines.push(format!("key: {}", inputs.names(0, &self.instance)));
        }
        let ty = inputs.schemas[0].columns()[self.time].ty.ty;
        let gap = match &self.gap {
            Gap::Most(gap) => format!("no more than {} apart", lengths::spoken(&Literal::Int(*gap), ty)),
            Gap::MostFloat(gap) => format!("no more than {} apart", lengths::spoken(&Literal::Float(*gap), ty)),
            Gap::Where(predicate) => format!("where {}", predicate.output_texts(Speller::of_program()).join(", ")),
        };
        lines.push(format!("time: {}, neighbours {gap}", inputs.name(0, self.time)));
        lines.extend(explain_reducers(&self.reducers, self.form, inputs));
        Explanation { what: "sessions".to_owned(), lines, ..Explanation::default() }
    }

    fn why_not_append_only(&self) -> &'static str {
        "the row of a session that changes is replaced"
    }
}

impl fmt::Display for SessionSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SessionSpec { instance, time, floats: _, gap, reducers, form } = self;
        write!(f, "({form}) instance {instance:?} time {time} {gap}: ")?;
        write_reducers(reducers, f)
    }
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
            ExprKind::Column(ColumnRef { name, .. }) => {
                Some(match name.as_str() {
                    _ if expr.names_tables() => {
                        Err(Error::invalid(format!("the predicate of a session uses column {}", quoted(name)))
                            .with_hint(SEES))
                    }
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
