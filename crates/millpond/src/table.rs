//! A table of a pipeline, for Rust programs: the logical plan with methods that read well.
//!
//! A mistake (an unknown column, types that do not fit) does not end the program where it is made, so that a pipeline
//! reads without a `?` on every line; [`run`](crate::run) returns it, with the line that it was made on.

use millpond_columns::{Schema, Type};
use millpond_error::{Error, Origin, Result};
use millpond_plan::{self as plan, Behavior, Expr, JoinMode, JoinOn, Literal, Side, WindowLength};

/// A table: rows with typed columns that change over time.
#[derive(Clone, Debug)]
pub struct Table {
    node: Result<plan::Table>,
}

/// Sessions: maximal runs of events, none further than `max_gap` from its neighbour, or each of which fulfils a
/// predicate with its neighbour. One of the two says it.
#[derive(Clone, Debug)]
pub struct SessionWindow {
    max_gap: Option<Literal>,
    predicate: Option<Expr>,
}

/// Starts the description of a session window; see [`SessionWindow::max_gap`] and [`SessionWindow::predicate`].
pub fn session() -> SessionWindow {
    SessionWindow { max_gap: None, predicate: None }
}

impl SessionWindow {
    /// Two neighbours belong to one session when they are no more than `max_gap` apart, in the unit of the event time.
    #[must_use]
    pub fn max_gap(self, max_gap: impl Into<Literal>) -> Self {
        SessionWindow { max_gap: Some(max_gap.into()), ..self }
    }

    /// Two neighbours belong to one session when this holds of their times, of which the earlier one comes first: an
    /// expression of type `bool`. Events of one time are in one session in any case.
    ///
    /// All events are kept in the state, and one that comes late costs as much as the session that it falls into is
    /// long. With a behaviour, a session is over with its last event: its [cutoff](crate::CommonBehavior::cutoff)
    /// should be as large as the longest pause for which the predicate holds.
    ///
    /// ```
    /// use millpond::session;
    ///
    /// // Days, in a column of hours.
    /// let window = session().predicate(|a, b| a.floordiv(24).eq(b.floordiv(24)));
    /// ```
    #[must_use]
    #[track_caller]
    pub fn predicate(self, predicate: impl FnOnce(Expr, Expr) -> Expr) -> Self {
        SessionWindow { predicate: Some(predicate(plan::col(plan::BEFORE), plan::col(plan::AFTER))), ..self }
    }

    fn gap(self) -> Result<plan::SessionGap> {
        match (self.max_gap, self.predicate) {
            (Some(max_gap), None) => Ok(plan::SessionGap::Most(plan::lit(max_gap))),
            (None, Some(predicate)) => Ok(plan::SessionGap::Where(predicate)),
            (max_gap, _) => {
                let problem = if max_gap.is_some() { "both are" } else { "neither is" };
                let message = "session: max_gap or predicate says which rows are in one session";
                let error = Error::invalid(format!("{message}; {problem} given"));
                Err(error.with_hint("such as session().max_gap(300)"))
            }
        }
    }
}

/// Windows of one length that start one hop apart. Window `k`, for every int `k`, is `[start, end)` with `start = k *
/// hop + origin`; without an origin, that is 0. See [`tumbling`] and [`sliding`].
#[derive(Clone, Debug)]
pub struct SlidingWindow {
    hop: Literal,
    length: WindowLength,
    origin: Option<Literal>,
}

/// Windows that follow each other without gap or overlap. The duration is an `int` or a `float`, as the event time.
pub fn tumbling(duration: impl Into<Literal>) -> SlidingWindow {
    sliding(duration)
}

/// Windows that start every `hop`, and are as long until [`SlidingWindow::duration`] or [`SlidingWindow::ratio`] says
/// otherwise. The hop is an `int` or a `float`, as the event time.
pub fn sliding(hop: impl Into<Literal>) -> SlidingWindow {
    SlidingWindow { hop: hop.into(), length: WindowLength::Hops(1), origin: None }
}

impl SlidingWindow {
    /// Makes windows this long, in the unit of the event time.
    #[must_use]
    pub fn duration(self, duration: impl Into<Literal>) -> Self {
        SlidingWindow { length: WindowLength::Duration(duration.into()), ..self }
    }

    /// Makes windows as long as this many hops.
    #[must_use]
    pub fn ratio(self, hops: i64) -> Self {
        SlidingWindow { length: WindowLength::Hops(hops), ..self }
    }

    /// Lets the first window start here, and none before.
    #[must_use]
    pub fn origin(self, origin: impl Into<Literal>) -> Self {
        SlidingWindow { origin: Some(origin.into()), ..self }
    }
}

/// How a table is cut into windows.
#[derive(Clone, Debug)]
pub enum Window {
    /// See [`session`].
    Session(SessionWindow),
    /// See [`tumbling`] and [`sliding`].
    Sliding(SlidingWindow),
}

impl From<SessionWindow> for Window {
    fn from(window: SessionWindow) -> Self {
        Window::Session(window)
    }
}

impl From<SlidingWindow> for Window {
    fn from(window: SlidingWindow) -> Self {
        Window::Sliding(window)
    }
}

/// A table cut into windows, waiting for its [`reduce`](Windowed::reduce).
#[derive(Clone, Debug)]
pub struct Windowed {
    table: Table,
    time: Expr,
    window: Window,
    instance: Option<Expr>,
    behavior: Option<Behavior>,
}

/// A table cut into groups, waiting for its [`reduce`](Grouped::reduce).
#[derive(Clone, Debug)]
pub struct Grouped {
    table: Table,
    keys: Vec<(String, Expr)>,
}

/// Two tables side by side, waiting for their [`select`](Joined::select).
#[derive(Clone, Debug)]
pub struct Joined {
    left: Table,
    right: Table,
    on: JoinOn,
}

type Named<N> = (N, Expr);

fn owned<N: Into<String>>(columns: impl IntoIterator<Item = Named<N>>) -> Vec<(String, Expr)> {
    columns.into_iter().map(|(name, expr)| (name.into(), expr)).collect()
}

impl Table {
    /// The logical plan's table, or the first mistake that was made on the way to it.
    pub fn plan(&self) -> Result<&plan::Table> {
        self.node.as_ref().map_err(Error::clone)
    }

    /// Names what is kept for this table, of a reduce, of windows, of a join or of tables combined by identity: by this
    /// name its state is found, and reports and dashboards show it. Without a name, it is found by what it is made of.
    ///
    /// ```
    /// use millpond::{count, debug};
    ///
    /// let visits = debug::table_from_markdown("user | pages\nann | 3\nbob | 4");
    /// let per_user = visits.groupby(["user"]).reduce([("visits", count())]).named("per user");
    /// assert!(per_user.explain()?.contains("saved as \"per user\""));
    /// # Ok::<(), millpond::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn named(&self, name: &str) -> Table {
        let origin = Origin::caller();
        self.then(|table| table.named(name, &origin))
    }

    /// The columns.
    ///
    /// # Errors
    /// The first mistake that was made on the way to this table.
    pub fn schema(&self) -> Result<&Schema> {
        Ok(self.plan()?.schema())
    }

    /// What a program that writes this table does, as text for people: each step with what it reads, its key, the name
    /// of its state, and whether it is append-only, or why not. The text may change with the version.
    ///
    /// ```
    /// use millpond::{count, debug};
    ///
    /// let visits = debug::table_from_markdown("user | pages\nann | 3\nbob | 4");
    /// let text = visits.groupby(["user"]).reduce([("visits", count())]).explain()?;
    /// assert!(text.contains("key: user"), "{text}");
    /// # Ok::<(), millpond::Error>(())
    /// ```
    ///
    /// # Errors
    /// The first mistake that was made on the way to this table.
    #[track_caller]
    pub fn explain(&self) -> Result<String> {
        let origin = Origin::caller();
        self.plan()?.explain(&origin)
    }

    /// A table of just these columns.
    #[track_caller]
    #[must_use]
    pub fn select<N: Into<String>>(&self, columns: impl IntoIterator<Item = Named<N>>) -> Table {
        let origin = Origin::caller();
        self.then(|table| table.select(owned(columns), &origin))
    }

    /// This table with more columns, or with other values in columns that it has.
    #[track_caller]
    #[must_use]
    pub fn with_columns<N: Into<String>>(&self, columns: impl IntoIterator<Item = Named<N>>) -> Table {
        let origin = Origin::caller();
        self.then(|table| table.with_columns(owned(columns), &origin))
    }

    /// All columns but these.
    #[track_caller]
    #[must_use]
    pub fn without<N: Into<String>>(&self, columns: impl IntoIterator<Item = N>) -> Table {
        let origin = Origin::caller();
        let columns: Vec<String> = columns.into_iter().map(Into::into).collect();
        self.then(|table| table.without(&columns, &origin))
    }

    /// The same columns in the same places, some with another name; each pair is the old name and the new one.
    #[track_caller]
    #[must_use]
    pub fn rename<O: Into<String>, N: Into<String>>(&self, columns: impl IntoIterator<Item = (O, N)>) -> Table {
        let origin = Origin::caller();
        let columns: Vec<_> = columns.into_iter().map(|(old, new)| (old.into(), new.into())).collect();
        self.then(|table| table.rename(&columns, &origin))
    }

    /// The same columns, these cast to other types as [`Expr::cast`] does it.
    #[track_caller]
    #[must_use]
    pub fn cast_to_types<N: Into<String>>(&self, types: impl IntoIterator<Item = (N, Type)>) -> Table {
        let origin = Origin::caller();
        let types: Vec<_> = types.into_iter().map(|(name, ty)| (name.into(), ty)).collect();
        self.then(|table| table.cast_to_types(&types, &origin))
    }

    /// All rows of this table and of `others`; the tables have the same columns, in any order. A row that is in two of
    /// them is in the result twice.
    #[track_caller]
    #[must_use]
    pub fn concat<'a>(&self, others: impl IntoIterator<Item = &'a Table>) -> Table {
        let origin = Origin::caller();
        let others: Result<Vec<plan::Table>> = others.into_iter().map(|other| other.plan().cloned()).collect();
        self.then(|table| table.concat(&others?, &origin))
    }

    /// The same rows, with another identity: no two rows of the table have the same values of these.
    /// [`update_rows`](Self::update_rows), [`update_cells`](Self::update_cells), [`difference`](Self::difference) and
    /// [`intersect`](Self::intersect) bring rows of one identity together.
    ///
    /// Without it, a row of a reduce is identified by its group (in a window: by the instance, the window's start and
    /// its end), and one of a feed with a primary key by that; `select`, `filter` and what else works on single rows
    /// keep the identity, even where its columns are left out. Rows of files, of a concat and of a flatten have none.
    #[track_caller]
    #[must_use]
    pub fn with_id_from<E: Into<Expr>>(&self, columns: impl IntoIterator<Item = E>) -> Table {
        let origin = Origin::caller();
        self.then(|table| table.with_id_from(columns.into_iter().map(Into::into).collect(), &origin))
    }

    /// The rows of this table whose [identity](Self::with_id_from) no row of `other` has.
    #[track_caller]
    #[must_use]
    pub fn difference(&self, other: &Table) -> Table {
        let origin = Origin::caller();
        self.then(|table| table.difference(other.plan()?, &origin))
    }

    /// The rows of this table whose [identity](Self::with_id_from) a row of each of `others` has.
    #[track_caller]
    #[must_use]
    pub fn intersect<'a>(&self, others: impl IntoIterator<Item = &'a Table>) -> Table {
        let origin = Origin::caller();
        let others: Result<Vec<plan::Table>> = others.into_iter().map(|other| other.plan().cloned()).collect();
        self.then(|table| table.intersect(&others?, &origin))
    }

    /// The rows of `other`, and those of this table whose [identity](Self::with_id_from) no row of `other` has. The
    /// tables have the same columns, in any order.
    #[track_caller]
    #[must_use]
    pub fn update_rows(&self, other: &Table) -> Table {
        let origin = Origin::caller();
        self.then(|table| table.update_rows(other.plan()?, &origin))
    }

    /// The rows of this table, in the columns of `other` with the cells of the row of `other` that has the same
    /// [identity](Self::with_id_from), where there is one. Other rows of `other` count for nothing.
    #[track_caller]
    #[must_use]
    pub fn update_cells(&self, other: &Table) -> Table {
        let origin = Origin::caller();
        self.then(|table| table.update_cells(other.plan()?, &origin))
    }

    /// One row for the whole table, as long as it has a row: reducers over its rows, and expressions over reducers.
    #[track_caller]
    #[must_use]
    pub fn reduce<N: Into<String>>(&self, outputs: impl IntoIterator<Item = Named<N>>) -> Table {
        let origin = Origin::caller();
        self.then(|table| table.group_reduce(Vec::new(), owned(outputs), &origin))
    }

    /// Each row once for each element of `column`, which becomes the element: of a list, of a tuple whose elements have
    /// one type, of a JSON array, or of a text, whose elements are its characters. The other columns stay. A row
    /// without elements, as that of a null, is left out. JSON that is no array ends the run with an error.
    ///
    /// ```no_run
    /// use millpond::{Type, col, count, csv};
    ///
    /// let posts = csv::read("posts", [("title", Type::Str.required()), ("tags", Type::list(Type::Str).required())]).table();
    /// let by_tag = posts.flatten("tags").groupby(["tags"]).reduce([("tag", col("tags")), ("posts", count())]);
    /// assert_eq!(by_tag.schema()?.to_string(), "tag: str, posts: int");
    /// # Ok::<(), millpond::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn flatten(&self, column: impl AsRef<str>) -> Table {
        let origin = Origin::caller();
        self.then(|table| table.flatten(column.as_ref(), &origin))
    }

    /// The rows for which `predicate` is true.
    #[track_caller]
    #[must_use]
    pub fn filter(&self, predicate: impl Into<Expr>) -> Table {
        let origin = Origin::caller();
        self.then(|table| table.filter(predicate.into(), &origin))
    }

    /// The rows none of whose cells is an error value.
    #[track_caller]
    #[must_use]
    pub fn remove_errors(&self) -> Table {
        let origin = Origin::caller();
        self.then(|table| Ok(table.remove_errors(&origin)))
    }

    /// The table of all error values of the program, in tables that an output needs and that are not made of such a
    /// table themselves: `operator_id`, the step where the error arises; `message`, what is wrong with which cell, and
    /// the values that it was computed of; `trace`, the expression. A row whose error goes is removed.
    ///
    /// It has rows where errors [do not end the run](crate::RunOptions::terminate_on_error).
    ///
    /// ```
    /// use millpond::{RunOptions, Table, col, csv, debug, run};
    ///
    /// # fn main() -> millpond::Result<()> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # std::env::set_current_dir(&folder).unwrap();
    /// let pages = debug::table_from_markdown("hits | tries\n1 | 2\n3 | 0");
    /// let rates = pages.select([("rate", col("hits") / col("tries"))]);
    /// let outputs = [csv::write(&rates, "rates.csv"), csv::write(&Table::error_log(), "errors.csv")];
    /// let error = run(outputs.clone(), &RunOptions::default().quiet()).unwrap_err();
    /// assert_eq!(error.message(), "column \"rate\": division by zero in hits / tries, where hits = 3, tries = 0");
    /// let summary = run(outputs, &RunOptions::default().quiet().terminate_on_error(false))?;
    /// assert_eq!(summary.changes_written, 3);
    /// assert_eq!(debug::collect(rates.remove_errors().plan()?, &RunOptions::default())?.batches.len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    #[must_use]
    pub fn error_log() -> Table {
        Table { node: Ok(plan::Table::error_log(&Origin::caller())) }
    }

    /// A column of this very table, which tells the tables of a [join](Self::join) apart. `col(name)` is the column of
    /// the table whose method takes the expression.
    #[track_caller]
    #[must_use]
    pub fn col(&self, name: impl Into<String>) -> Expr {
        match &self.node {
            Ok(table) => Expr::column(plan::TableRef::Of(table.id().clone()), name),
            // The mistake is returned by whatever becomes of the table.
            Err(_) => plan::col(name),
        }
    }

    /// The same rows as a table of its own, so that a table can be joined with itself.
    #[track_caller]
    #[must_use]
    pub fn copy(&self) -> Table {
        let origin = Origin::caller();
        self.then(|table| Ok(table.copy(&origin)))
    }

    /// Rows of this table, the left one, and of `right`, side by side wherever all conditions hold. A condition is an
    /// equality of an expression over one table and one over the other, such as `left("user").eq(right("id"))`; a
    /// missing key equals a missing key. Each side may change at any time: what is joined is what both have after an
    /// epoch.
    ///
    /// The state is the rows of both tables by key, of each the columns that the select uses.
    ///
    /// ```
    /// use millpond::{debug, left, right};
    ///
    /// let visits = debug::table_from_markdown("user | pages\nann | 3\nbob | 4\nann | 5");
    /// let users = debug::table_from_markdown("name | city\nann | Rome\neve | Oslo");
    /// let joined = visits.join(&users, [left("user").eq(right("name"))]);
    /// let pages = joined.select([("city", right("city")), ("pages", left("pages"))]);
    /// assert_eq!(pages.schema()?.to_string(), "city: str, pages: int");
    /// # Ok::<(), millpond::Error>(())
    /// ```
    #[must_use]
    pub fn join<E: Into<Expr>>(&self, right: &Table, on: impl IntoIterator<Item = E>) -> Joined {
        let conditions = on.into_iter().map(Into::into).collect();
        let on = JoinOn { mode: JoinMode::Inner, conditions, id: None };
        Joined { left: self.clone(), right: right.clone(), on }
    }

    /// As [`join`](Self::join), with the rows of this table that match none: the columns of the other are null.
    #[must_use]
    pub fn join_left<E: Into<Expr>>(&self, right: &Table, on: impl IntoIterator<Item = E>) -> Joined {
        self.join(right, on).how(JoinMode::Left)
    }

    /// As [`join`](Self::join), with the rows of the right table that match none.
    #[must_use]
    pub fn join_right<E: Into<Expr>>(&self, right: &Table, on: impl IntoIterator<Item = E>) -> Joined {
        self.join(right, on).how(JoinMode::Right)
    }

    /// As [`join`](Self::join), with the rows of both tables that match none.
    #[must_use]
    pub fn join_outer<E: Into<Expr>>(&self, right: &Table, on: impl IntoIterator<Item = E>) -> Joined {
        self.join(right, on).how(JoinMode::Outer)
    }

    /// Groups rows that are equal in these columns.
    #[must_use]
    pub fn groupby<N: Into<String>>(&self, columns: impl IntoIterator<Item = N>) -> Grouped {
        let keys = columns.into_iter().map(|name| {
            let name = name.into();
            (name.clone(), plan::col(&name))
        });
        Grouped { table: self.clone(), keys: keys.collect() }
    }

    /// Cuts the table into windows over an event time.
    #[must_use]
    pub fn windowby(&self, time: impl Into<Expr>, window: impl Into<Window>) -> Windowed {
        Windowed { table: self.clone(), time: time.into(), window: window.into(), instance: None, behavior: None }
    }

    fn then(&self, build: impl FnOnce(&plan::Table) -> Result<plan::Table>) -> Table {
        Table { node: self.plan().and_then(build) }
    }
}

impl From<Result<plan::Table>> for Table {
    fn from(node: Result<plan::Table>) -> Self {
        Table { node }
    }
}

impl Joined {
    /// Says which rows are there beside those that match.
    #[must_use]
    pub fn how(self, mode: JoinMode) -> Self {
        Joined { on: JoinOn { mode, ..self.on }, ..self }
    }

    /// Gives each row the [identity](Table::with_id_from) of its row on this side, which must never be missing, and
    /// match one row at most: a second match ends the run with an error. Without it, nothing identifies the rows of a
    /// join.
    #[must_use]
    pub fn id(self, side: Side) -> Self {
        Joined { on: JoinOn { id: Some(side), ..self.on }, ..self }
    }

    /// A table of these columns: expressions over [`left`](crate::left) and [`right`](crate::right) columns, over
    /// [columns of a table](Table::col), and over plain columns that only one table has or that both are joined by
    /// under one name. Columns of a side whose row may be missing are optional.
    #[track_caller]
    #[must_use]
    pub fn select<N: Into<String>>(self, columns: impl IntoIterator<Item = Named<N>>) -> Table {
        let origin = Origin::caller();
        let Joined { left, right, on } = self;
        left.then(|left| left.join_select(right.plan()?, on, owned(columns), &origin))
    }
}

impl Windowed {
    /// Windows are made among rows of equal `instance` only.
    #[must_use]
    pub fn instance(mut self, instance: impl Into<Expr>) -> Self {
        self.instance = Some(instance.into());
        self
    }

    /// Says when windows are shown and when they are over: see [`common_behavior`](crate::common_behavior) and
    /// [`exactly_once_behavior`](crate::exactly_once_behavior). Without one they are shown at once, and never over.
    #[must_use]
    pub fn behavior(mut self, behavior: impl Into<Behavior>) -> Self {
        self.behavior = Some(behavior.into());
        self
    }

    /// One row for each window: reducers over its rows, and expressions over reducers. The columns of the instance,
    /// `_pw_window_start`, `_pw_window_end` and `_pw_instance` may be used plainly.
    #[track_caller]
    #[must_use]
    pub fn reduce<N: Into<String>>(self, outputs: impl IntoIterator<Item = Named<N>>) -> Table {
        let origin = Origin::caller();
        let (time, instance, behavior) = (self.time, self.instance, self.behavior);
        self.table.then(|table| match self.window {
            Window::Session(window) => {
                let gap = window.gap().map_err(|error| error.at(&origin))?;
                let window = plan::SessionWindow { time, gap, instance, behavior };
                table.session_reduce(window, owned(outputs), &origin)
            }
            Window::Sliding(SlidingWindow { hop, length, origin: first }) => {
                let window = plan::SlidingWindow { time, hop, length, origin: first, instance, behavior };
                table.sliding_reduce(window, owned(outputs), &origin)
            }
        })
    }
}

impl Grouped {
    /// One row for each group: reducers over its rows, and expressions over reducers. The group's columns may be used
    /// plainly.
    #[track_caller]
    #[must_use]
    pub fn reduce<N: Into<String>>(self, outputs: impl IntoIterator<Item = Named<N>>) -> Table {
        let origin = Origin::caller();
        self.table.then(|table| table.group_reduce(self.keys, owned(outputs), &origin))
    }
}
