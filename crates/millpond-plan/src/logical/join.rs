//! Rows of two tables with equal keys, side by side: `left.join(right, ...).select(...)`.
//!
//! Both sides become rows of `keys, columns that the outputs use`; the keyed operator gives `keys, whether there is a
//! left row, whether there is a right row, columns of the left, columns of the right`, of the two flags those that may
//! be false. Columns are numbered in the order of the outputs' *names*, so that the layout of the state depends only on
//! what the step's description says, where outputs are sorted by name.

use std::fmt;
use std::sync::Arc;

use millpond_columns::dialect::{hint, quoted};
use millpond_columns::types::{ColumnType, Schema, Type};
use millpond_error::{Error, Origin, Result};
use serde_json::{Value, json};

use super::anchor::{Anchor, Keyed, KeyedOutput, Results};
use super::describe::{Described, expressions};
use super::lower::Lowering;
use super::pipeline::Pipeline;
use super::{Operation, Table};
use crate::diagnostics::{self, at, no_column, subject};
use crate::eval::Root;
use crate::expr::{BinaryOp, ColumnRef, Expr, ExprKind, TableRef};
use crate::notation::{self, spoken};
use crate::physical::{Explanation, Inputs, KeyedSpec};
use crate::terms::{Op, TermId, TermType, Terms};
use crate::typing::{self, RowScope, Scope};

/// Which rows a join has beside those that match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinMode {
    /// No others.
    Inner,
    /// The rows of the left table that match none, with nulls for the columns of the right one.
    Left,
    /// The rows of the right table that match none.
    Right,
    /// Those of both tables.
    Outer,
}

impl JoinMode {
    /// All of them.
    pub const ALL: [JoinMode; 4] = [JoinMode::Inner, JoinMode::Left, JoinMode::Right, JoinMode::Outer];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            JoinMode::Inner => "inner",
            JoinMode::Left => "left",
            JoinMode::Right => "right",
            JoinMode::Outer => "outer",
        }
    }

    /// Whether rows of a side stay that match none.
    pub fn keeps(self, side: Side) -> bool {
        match side {
            Side::Left => matches!(self, JoinMode::Left | JoinMode::Outer),
            Side::Right => matches!(self, JoinMode::Right | JoinMode::Outer),
        }
    }
}

/// A table of a join: the port of its rows, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The first table.
    Left = 0,
    /// The second table.
    Right = 1,
}

impl Side {
    /// Both, in order.
    pub const BOTH: [Side; 2] = [Side::Left, Side::Right];

    /// Its name.
    pub fn name(self) -> &'static str {
        if self == Side::Left { "left" } else { "right" }
    }

    /// Columns of it.
    fn table(self) -> TableRef {
        if self == Side::Left { TableRef::Left } else { TableRef::Right }
    }

    /// The other one.
    pub fn other(self) -> Side {
        if self == Side::Left { Side::Right } else { Side::Left }
    }
}

/// The parameters of a `Join` node, whose ports are the left and the right table. The rows of a port are its key, then
/// its own columns.
///
/// Its output: the key; of a side whose rows may be missing, whether there is one, the left first; the columns of the
/// left row; those of the right row. Where a row is missing, its columns are null.
#[derive(Clone, Debug)]
pub struct JoinSpec {
    /// Which rows it has.
    pub mode: JoinMode,
    /// How many columns the key has.
    pub key: usize,
    /// The side whose rows are each in at most one row of the join.
    pub id: Option<Side>,
    /// The place in the program, for errors in the data.
    pub origin: Origin,
}

/// How two tables are joined.
#[derive(Clone, Debug)]
pub struct JoinOn {
    /// Which rows there are.
    pub mode: JoinMode,
    /// The conditions: each an equality of an expression over one table and one over the other, or several of them
    /// joined by `&`.
    pub conditions: Vec<Expr>,
    /// The side whose identity a row of the join has; nothing identifies the rows without it. The other side has then
    /// at most one row for each key that the side has.
    pub id: Option<Side>,
}

/// The keys are over the columns of their side; the outputs name sides.
#[derive(Debug)]
struct Join {
    mode: JoinMode,
    id: Option<Side>,
    on: Vec<[Expr; 2]>,
    outputs: Vec<(String, Expr)>,
}

impl Table {
    /// Rows of this table, the left one, and of `right`, side by side wherever all conditions hold; nulls are equal to
    /// each other.
    ///
    /// In `outputs`, [`left`](crate::left) and [`right`](crate::right) are columns of the tables, as are those that
    /// name a table; a plain column is one that only one of both has, or that they are joined by under one name. Of a
    /// side whose row may be missing, columns may be null.
    ///
    /// # Errors
    ///
    /// `Invalid` if a condition is none, keys are of different types, an output is not over these columns, or nothing
    /// identifies the rows of the side that gives the identity.
    pub fn join_select(
        &self,
        right: &Table,
        join: JoinOn,
        outputs: Vec<(String, Expr)>,
        origin: &Origin,
    ) -> Result<Table> {
        let JoinOn { mode, conditions: written, id } = join;
        let tables = [self, right];
        let joined = || -> Result<_> {
            let mut keys = Vec::new();
            for condition in &written {
                conditions(tables, &with_sides(tables, condition)?, &mut keys)?;
            }
            if keys.is_empty() {
                let error = Error::invalid("join: no condition is given");
                return Err(error.with_hint(such_as(tables)));
            }
            let identity = id.map(|side| identity_of(tables, mode, side)).transpose()?;
            let named = |(name, expr): (String, Expr)| Ok((name, with_only_side(tables, &with_sides(tables, &expr)?)));
            let outputs = outputs.into_iter().map(named).collect::<Result<_>>()?;
            let join = Join { mode, id, on: keys, outputs };
            let mut terms = [Terms::default(), Terms::default()];
            let columns = [0, 1].map(|side| typing::input_terms(&mut terms[side], tables[side].schema()));
            let [left_terms, right_terms] = &mut terms;
            let left = SideRows { terms: left_terms, schema: self.schema(), columns: &columns[0], identity: &[] };
            let right = SideRows { terms: right_terms, schema: right.schema(), columns: &columns[1], identity: &[] };
            let schema = join.resolve(left, right)?.schema;
            Ok((join, schema, identity))
        };
        let (join, schema, identity) = joined().map_err(|error| error.at(origin))?;
        let append_only = mode == JoinMode::Inner && self.append_only() && right.append_only();
        Ok(Table::new(join, vec![self.clone(), right.clone()], schema, identity, append_only, origin))
    }
}

/// What identifies the rows of a join that have the identity of a side.
fn identity_of(tables: [&Table; 2], mode: JoinMode, side: Side) -> Result<Schema> {
    let name = side.name();
    if mode.keeps(side.other()) {
        let mode = mode.name();
        let error =
            format!("join: a row of the {mode} join may have no row of the {name} table, whose id it would have");
        let inner = hint("take an inner join, or leave the id out", "take an inner join, or leave id= out");
        return Err(Error::invalid(error).with_hint(inner));
    }
    tables[side as usize].identity().cloned().ok_or_else(|| {
        let made = tables[side as usize].origin();
        let error = format!("join: nothing is known to identify the rows of the {name} table, the one of {made}");
        let first = tables[side as usize].schema().columns().first().map_or("id", |column| column.name.as_str());
        let column = notation::code(&crate::expr::col(first));
        let columns = hint("[COLUMN]", "COLUMN").replace("COLUMN", &column);
        Error::invalid(error).with_hint(format!("say which columns do, for example with_id_from({columns})"))
    })
}

/// The rows of a side, before the join.
struct SideRows<'a> {
    terms: &'a mut Terms,
    schema: &'a Schema,
    columns: &'a [TermId],
    /// What identifies a row, if a row of the join has its identity.
    identity: &'a [TermId],
}

/// A join, with names resolved and types checked.
struct Joined {
    /// The key, as terms of each side, and how it is named.
    keys: Vec<(String, [TermId; 2])>,
    /// The other columns that outputs use of each side.
    used: [Vec<(String, TermId)>; 2],
    /// What the keyed operator gives.
    output: Schema,
    /// Terms over the columns of `output`.
    results: Terms,
    /// The terms of the outputs, in the order as written.
    outputs: Vec<TermId>,
    /// What identifies a row.
    identity: Vec<TermId>,
    /// The outputs' columns.
    schema: Schema,
}

/// A column that an output uses.
#[derive(Clone, Copy)]
enum Found {
    /// Of a side, at this position.
    Of(Side, usize),
    /// The key of this number, under one name on both sides.
    Key(usize),
}

/// What the names of outputs mean.
struct JoinScope<'a> {
    mode: JoinMode,
    schemas: [&'a Schema; 2],
    /// The terms of the columns, of each side.
    columns: [&'a [TermId]; 2],
    keys: &'a [(String, [TermId; 2])],
    used: &'a [Vec<(String, TermId)>; 2],
    /// The types of the operator's columns.
    output: &'a Schema,
}

impl Join {
    fn resolve(&self, left: SideRows<'_>, right: SideRows<'_>) -> Result<Joined> {
        diagnostics::unique("select", self.outputs.iter().map(|(name, _)| name.as_str()))?;
        let mut sides = [left, right];
        let mut keys = Vec::with_capacity(self.on.len());
        let mut key_types = Vec::with_capacity(self.on.len());
        for condition in &self.on {
            let (key, ty) = self.key(&mut sides, condition)?;
            let [left, right] = sided(condition);
            keys.push((format!("key({})", spoken(&left.eq(right))), key));
            key_types.push(ty);
        }
        let [left, right] = &sides;
        let (schemas, columns) = ([left.schema, right.schema], [left.columns, right.columns]);
        let mut used: [Vec<(String, TermId)>; 2] = Default::default();
        let mut by_name: Vec<&(String, Expr)> = self.outputs.iter().collect();
        by_name.sort_unstable_by_key(|(name, _)| name);
        for (_, expr) in by_name {
            let mut failed = Ok(());
            expr.each_column(&mut |column| {
                let found = find(schemas, columns, &keys, column);
                if let Ok(Found::Of(side, position)) = found {
                    let term = columns[side as usize][position];
                    let known = |(_, other): &(String, TermId)| *other == term;
                    let is_key = keys.iter().any(|(_, key)| key[side as usize] == term);
                    if !is_key && !used[side as usize].iter().any(known) {
                        used[side as usize].push((column.name.clone(), term));
                    }
                }
                if failed.is_ok() {
                    failed = found.map(drop);
                }
            });
            failed.map_err(|error| at(error, expr))?;
        }
        for (side, rows) in [left, right].into_iter().enumerate() {
            for (number, term) in (1..).zip(rows.identity) {
                let is_key = keys.iter().any(|(_, key)| key[side] == *term);
                if !is_key && !used[side].iter().any(|(_, known)| known == term) {
                    used[side].push((format!("id({number})"), *term));
                }
            }
        }
        let output = self.output(&keys, &key_types, &used, [left.terms, right.terms]);
        let mut results = Terms::default();
        typing::input_terms(&mut results, &output);
        let mut scope = JoinScope { mode: self.mode, schemas, columns, keys: &keys, used: &used, output: &output };
        let schema = typing::outputs(&mut results, &mut scope, &self.outputs)?;
        let terms = self.outputs.iter().map(|(_, expr)| typing::term(&mut results, &mut scope, expr));
        let outputs = terms.collect::<Result<_>>()?;
        let identities = Side::BOTH.into_iter().zip([left, right]);
        let identities = identities.flat_map(|(side, rows)| rows.identity.iter().map(move |term| (side, *term)));
        let identity = identities.map(|(side, term)| scope.side_value(&mut results, side, term)).collect();
        Ok(Joined { keys, used, output, results, outputs, identity, schema })
    }

    /// The terms of a key, and the type of its column in the output.
    fn key(&self, sides: &mut [SideRows<'_>; 2], condition: &[Expr; 2]) -> Result<([TermId; 2], ColumnType)> {
        let mut terms = Vec::with_capacity(2);
        for (rows, expr) in sides.iter_mut().zip(condition) {
            let mut scope = RowScope { schema: rows.schema, columns: rows.columns, in_reducer: false };
            terms.push(typing::term(rows.terms, &mut scope, expr)?);
        }
        let mut term = [terms[0], terms[1]];
        let [left, right] = [0, 1].map(|side| sides[side].terms.ty(term[side]).column());
        let (Some(left), Some(right)) = (left, right) else {
            let side = usize::from(left.is_some());
            return Err(at(
                Error::invalid(format!("{} is no key: it is always None", subject(&sided(condition)[side]))),
                &condition[side],
            ));
        };
        // What is in tuples and lists is of one type, too, or equal values would be stored otherwise.
        let Some(common) = left.common(right).filter(|_| left.ty == right.ty) else {
            let sided = sided(condition);
            let [a, b] = sided.each_ref().map(subject);
            let error = Error::invalid(format!("join: {a} is {left}, but {b} is {right}"));
            let cast = match (left.ty, right.ty) {
                (from, to) if from.common(to) == Some(to) => Some((0, to)),
                (to, from) if from.common(to) == Some(to) => Some((1, to)),
                (Type::Int | Type::Bool, Type::Float) | (Type::Bool, Type::Int) => Some((0, right.ty)),
                (Type::Float, Type::Int | Type::Bool) | (Type::Int, Type::Bool) => Some((1, left.ty)),
                (from, to) if typing::castable(to, from) => Some((1, from)),
                _ => None,
            };
            let error = match cast {
                Some((side, to)) => error.with_hint(notation::cast(&sided[side], to)),
                None => error,
            };
            return Err(at(error, &condition[1]));
        };
        // JSON's null is no value where the other side may have none.
        let nulls_differ = common.ty == Type::Json && left.optional != right.optional;
        if nulls_differ {
            let required = usize::from(left.optional);
            let null_is_none = Op::JsonOrNone(term[required]);
            term[required] = sides[required].terms.add(null_is_none, TermType::new(Type::Json, true));
        }
        let optional = match self.mode {
            _ if nulls_differ => true,
            JoinMode::Inner => left.optional && right.optional,
            JoinMode::Left => left.optional,
            JoinMode::Right => right.optional,
            JoinMode::Outer => common.optional,
        };
        Ok((term, ColumnType { optional, ..common }))
    }

    /// The columns of the keyed operator.
    fn output(
        &self,
        keys: &[(String, [TermId; 2])],
        key_types: &[ColumnType],
        used: &[Vec<(String, TermId)>; 2],
        terms: [&Terms; 2],
    ) -> Schema {
        let keys = keys.iter().map(|(name, _)| name.clone()).zip(key_types.iter().copied());
        let flag = |side: Side| {
            let name = if side == Side::Left { "has_left()" } else { "has_right()" };
            self.mode.keeps(side.other()).then(|| (name.to_owned(), Type::Bool.required()))
        };
        let columns = Side::BOTH.into_iter().flat_map(|side| {
            let may_be_missing = self.mode.keeps(side.other());
            used[side as usize].iter().map(move |(name, term)| {
                let ty = terms[side as usize].ty(*term).column().expect("columns have types");
                let name = spoken(&Expr::column(side.table(), name));
                (name, ColumnType { optional: ty.optional || may_be_missing, ..ty })
            })
        });
        Schema::new(keys.chain(Side::BOTH.into_iter().filter_map(flag)).chain(columns))
    }
}

/// What a column of an output is.
fn find(
    schemas: [&Schema; 2],
    columns: [&[TermId]; 2],
    keys: &[(String, [TermId; 2])],
    column: &ColumnRef,
) -> Result<Found> {
    let name = &column.name;
    let names = |schema: &'_ Schema| schema.columns().iter().map(|column| column.name.clone()).collect::<Vec<_>>();
    let of = |side: Side| match schemas[side as usize].index_of(name) {
        Some(position) => Ok(Found::Of(side, position)),
        None => Err(no_column(name, names(schemas[side as usize]).iter().map(String::as_str))),
    };
    match column.table {
        TableRef::Left => of(Side::Left),
        TableRef::Right => of(Side::Right),
        TableRef::This | TableRef::Of(_) => match Side::BOTH.map(|side| schemas[side as usize].index_of(name)) {
            [Some(left), Some(right)] => {
                let joined = |(_, key): &(String, [TermId; 2])| *key == [columns[0][left], columns[1][right]];
                keys.iter().position(joined).map(Found::Key).ok_or_else(|| {
                    let error = Error::invalid(format!("both tables of the join have a column {}", quoted(name)));
                    let sides = [TableRef::Left, TableRef::Right].map(|side| spoken(&Expr::column(side, name)));
                    error.with_hint(format!("say which: {} or {}", sides[0], sides[1]))
                })
            }
            [Some(left), None] => Ok(Found::Of(Side::Left, left)),
            [None, Some(right)] => Ok(Found::Of(Side::Right, right)),
            [None, None] => {
                let all: Vec<String> = schemas.iter().flat_map(|schema| names(schema)).collect();
                Err(no_column(name, all.iter().map(String::as_str)))
            }
        },
    }
}

impl JoinScope<'_> {
    fn input(&self, results: &mut Terms, position: usize) -> TermId {
        results.input(position, self.output.columns()[position].ty)
    }

    /// The position of the flag that says whether a side has a row, if it may have none.
    fn flag(&self, side: Side) -> Option<usize> {
        let before = usize::from(side == Side::Right && self.mode.keeps(Side::Right));
        self.mode.keeps(side.other()).then(|| self.keys.len() + before)
    }

    fn value(&self, results: &mut Terms, found: Found) -> TermId {
        let (side, position) = match found {
            Found::Key(key) => return self.input(results, key),
            Found::Of(side, position) => (side, position),
        };
        let term = self.columns[side as usize][position];
        let declared = self.schemas[side as usize].columns()[position].ty;
        let value = self.side_value(results, side, term);
        // JSON's null is no value where there may be none.
        match declared.ty == Type::Json && !declared.optional && self.flag(side).is_some() {
            true => results.add(Op::JsonOrNone(value), TermType::new(Type::Json, true)),
            false => value,
        }
    }

    /// The value of a term over the rows of a side, which is a key or one of the columns that are used.
    fn side_value(&self, results: &mut Terms, side: Side, term: TermId) -> TermId {
        if let Some(key) = self.keys.iter().position(|(_, key)| key[side as usize] == term) {
            let value = self.input(results, key);
            let Some(flag) = self.flag(side) else { return value };
            let (flag, ty) = (self.input(results, flag), results.ty(value));
            let none = typing::typed_none(results, ty.ty.expect("keys have types"));
            return results.add(Op::IfElse(flag, value, none), TermType { optional: true, ..ty });
        }
        let flags = Side::BOTH.into_iter().filter(|side| self.flag(*side).is_some()).count();
        let before = if side == Side::Left { 0 } else { self.used[Side::Left as usize].len() };
        let place = self.used[side as usize].iter().position(|(_, known)| *known == term);
        let place = self.keys.len() + flags + before + place.expect("the column was found to be used");
        self.input(results, place)
    }
}

impl Scope for JoinScope<'_> {
    fn resolve(&mut self, expr: &Expr, results: &mut Terms) -> Option<Result<TermId>> {
        match expr.kind() {
            ExprKind::Column(column) => {
                let found = find(self.schemas, self.columns, self.keys, column);
                Some(found.map(|found| self.value(results, found)))
            }
            ExprKind::Reducer(..) => {
                Some(Err(Error::invalid(format!("{} is a reducer outside of a reduce", subject(expr)))
                    .with_hint("the join is a table: reduce it with groupby(...).reduce(...) after the select(...)")))
            }
            _ => None,
        }
    }
}

/// The expression with columns that name a table said to be of its side.
fn with_sides(tables: [&Table; 2], expr: &Expr) -> Result<Expr> {
    expr.map_columns(&|column| {
        let TableRef::Of(id) = &column.table else { return Ok(column.clone()) };
        let is = tables.map(|table| table.id() == id);
        let admits = tables.map(|table| table.admits(id));
        let table = match (is, admits) {
            ([true, false], _) | ([false, false], [true, false]) => TableRef::Left,
            ([false, true], _) | ([false, false], [false, true]) => TableRef::Right,
            (_, [false, false]) => {
                let [left, right] = tables.map(|table| table.id().describe());
                let other = id.describe();
                let error = Error::invalid(format!("a column of {other} is used in the join of {left} and {right}"));
                let code = hint("left(\"<column>\") and right(\"<column>\")", "pw.left.<column> and pw.right.<column>");
                return Err(error.with_hint(format!("columns of a join are {code}")));
            }
            _ => {
                let error =
                    Error::invalid(format!("column {} may be of both tables of the join", quoted(&column.name)));
                let [left, right] =
                    [TableRef::Left, TableRef::Right].map(|side| spoken(&Expr::column(side, &column.name)));
                return Err(
                    error.with_hint(format!("say which: {left} or {right}; or join with a .copy() of the table"))
                );
            }
        };
        Ok(ColumnRef { table, name: column.name.clone() })
    })
}

/// The expression with plain columns that only one table has said to be of its side: however a column is written, the
/// state is the same.
fn with_only_side(tables: [&Table; 2], expr: &Expr) -> Expr {
    expr.with_columns(&|column| {
        let has = tables.map(|table| table.schema().index_of(&column.name).is_some());
        let table = match (&column.table, has) {
            (TableRef::This, [true, false]) => TableRef::Left,
            (TableRef::This, [false, true]) => TableRef::Right,
            (table, _) => table.clone(),
        };
        ColumnRef { table, name: column.name.clone() }
    })
}

/// Adds the keys of a condition to `keys`, the left one first.
fn conditions(tables: [&Table; 2], condition: &Expr, keys: &mut Vec<[Expr; 2]>) -> Result<()> {
    diagnostics::check_depth(condition)?;
    let mut waiting = vec![condition];
    while let Some(condition) = waiting.pop() {
        match condition.kind() {
            ExprKind::Binary(BinaryOp::And, a, b) => waiting.extend([b, a]),
            ExprKind::Binary(BinaryOp::Eq, a, b) => {
                let plain = |expr: &Expr| {
                    expr.map_columns(&|column| Ok(ColumnRef { table: TableRef::This, name: column.name.clone() }))
                };
                match (side_of(a)?, side_of(b)?) {
                    (Side::Left, Side::Right) => keys.push([plain(a)?, plain(b)?]),
                    (Side::Right, Side::Left) => keys.push([plain(b)?, plain(a)?]),
                    (side, _) => {
                        let side = side.name();
                        let error = format!("join: both sides of {} are of the {side} table", subject(condition));
                        return Err(at(Error::invalid(error).with_hint(such_as(tables)), condition));
                    }
                }
            }
            _ => {
                let error = format!("join: {} is no equality of a column of each table", subject(condition));
                return Err(at(Error::invalid(error).with_hint(such_as(tables)), condition));
            }
        }
    }
    Ok(())
}

/// Both expressions of a key, with columns that say their side.
fn sided(condition: &[Expr; 2]) -> [Expr; 2] {
    Side::BOTH.map(|side| {
        let of_side = |column: &ColumnRef| ColumnRef { table: side.table(), name: column.name.clone() };
        condition[side as usize].with_columns(&of_side)
    })
}

/// The side that all columns of an expression are of.
fn side_of(expr: &Expr) -> Result<Side> {
    let (mut sides, mut plain) = ([false; 2], None);
    expr.each_column(&mut |column| match column.table {
        TableRef::Left => sides[0] = true,
        TableRef::Right => sides[1] = true,
        TableRef::This | TableRef::Of(_) => plain = Some(column.name.clone()),
    });
    if let Some(name) = plain {
        let [left, right] = [TableRef::Left, TableRef::Right].map(|side| spoken(&Expr::column(side, &name)));
        let error = Error::invalid(format!("join: of which table column {} is, is not said", quoted(&name)));
        return Err(at(error.with_hint(format!("write {left} or {right}")), expr));
    }
    match sides {
        [true, false] => Ok(Side::Left),
        [false, true] => Ok(Side::Right),
        [true, true] => {
            let error = Error::invalid(format!("join: {} is of both tables", subject(expr)));
            Err(at(
                error.with_hint("each side of == is over the columns of one table; filter(...) the join for more"),
                expr,
            ))
        }
        [false, false] => {
            let error = Error::invalid(format!("join: {} is of no table", subject(expr)));
            Err(at(error.with_hint("each side of == is over the columns of one table"), expr))
        }
    }
}

/// A condition for these tables, as the program writes it.
fn such_as(tables: [&Table; 2]) -> String {
    let first = |table: &Table| table.schema().columns().first().map_or("id".to_owned(), |column| column.name.clone());
    let condition = Expr::column(TableRef::Left, first(tables[0])).eq(Expr::column(TableRef::Right, first(tables[1])));
    format!("such as {}", spoken(&condition))
}

impl Operation for Join {
    fn describe(&self, of: &Described<'_>) -> Option<Value> {
        let condition = |condition: &[Expr; 2]| {
            let [left, right] = sided(condition);
            format!("{left} == {right}")
        };
        let mut fields = json!({
            "operator": "join",
            "how": self.mode.name(),
            "on": self.on.iter().map(condition).collect::<Vec<_>>(),
            "outputs": expressions(&self.outputs),
            "inputs": of.inputs,
        });
        if let Some(side) = self.id {
            fields["id"] = json!(side.name());
        }
        Some(fields)
    }

    fn asks_identity(&self, _: bool) -> bool {
        self.id.is_some()
    }

    fn keeps_state(&self) -> bool {
        true
    }

    fn lower(&self, table: &Table, lowering: &mut Lowering) -> Result<Pipeline> {
        lowering.pipeline_on(table, |lowering| {
            let [left_table, right_table] = table.inputs() else { unreachable!("a join has two tables") };
            let (mut left, mut right) = (lowering.pipeline(left_table)?, lowering.pipeline(right_table)?);
            let (left_columns, right_columns) = (left.column_terms(), right.column_terms());
            let identity = |rows: &Pipeline, side| match self.id == Some(side) {
                true => rows.identity.iter().map(|root| root.term).collect(),
                false => Vec::new(),
            };
            let (left_id, right_id) = (identity(&left, Side::Left), identity(&right, Side::Right));
            let joined = self.resolve(
                SideRows {
                    terms: &mut left.terms,
                    schema: left_table.schema(),
                    columns: &left_columns,
                    identity: &left_id,
                },
                SideRows {
                    terms: &mut right.terms,
                    schema: right_table.schema(),
                    columns: &right_columns,
                    identity: &right_id,
                },
            )?;
            let Joined { keys, used, output, results, outputs, identity, .. } = joined;
            for (side, rows) in Side::BOTH.into_iter().zip([&mut left, &mut right]) {
                let keys = keys.iter().zip(&self.on);
                let keys = keys.map(|((_, key), written)| (spoken(&written[side as usize]), key[side as usize]));
                rows.project(keys.chain(used[side as usize].iter().cloned()).collect(), table.origin());
            }
            let key: Vec<usize> = (0..keys.len()).collect();
            let spec = JoinSpec { mode: self.mode, key: key.len(), id: self.id, origin: table.origin().clone() };
            let keyed = Keyed {
                spec: Arc::new(spec),
                keys: vec![key.clone(), key.clone()],
                expands: None,
                clock: None,
                // A key with many rows on both sides leaves in several batches.
                output: KeyedOutput { scatters: true, ..KeyedOutput::by_key(key.len()) },
            };
            let columns = self.outputs.iter().zip(outputs);
            let columns = columns.map(|((_, expr), term)| Root { term, origin: expr.origin().cloned() }).collect();
            let identity = identity.into_iter().map(|term| Root { term, origin: None }).collect();
            let results = Results { terms: results, columns, identity };
            let anchor = lowering.keyed("join", table, vec![left, right], keyed);
            Ok(Anchor { schema: output, results, ..anchor })
        })
    }
}

impl KeyedSpec for JoinSpec {
    fn name(&self) -> &'static str {
        "join"
    }

    fn explain(&self, inputs: &Inputs<'_>) -> Explanation {
        let name = |key: usize| match Side::BOTH.map(|side| inputs.name(side as usize, key)) {
            [left, right] if left == right => left,
            [left, right] => format!("{left} = {right}"),
        };
        let optional = |key: usize| inputs.schemas.iter().all(|schema| schema.columns()[key].ty.optional);
        let mut lines = vec![format!("key: {}", (0..self.key).map(name).collect::<Vec<_>>().join(", "))];
        if (0..self.key).any(optional) {
            lines.push("a key without a value equals another without one".to_owned());
        }
        if let Some(side) = self.id {
            lines.push(format!("identity: that of the {} table", side.name()));
        }
        lines.push("state: the rows of both tables, by key".to_owned());
        Explanation { what: format!("{} join", self.mode.name()), lines, ..Explanation::default() }
    }

    fn why_not_append_only(&self) -> &'static str {
        "a row without a match is replaced when one comes"
    }
}

impl fmt::Display for JoinSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} key {:?}", self.mode.name(), (0..self.key).collect::<Vec<_>>())
    }
}
