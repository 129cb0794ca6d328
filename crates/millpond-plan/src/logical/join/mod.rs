//! Rows of two tables with equal keys, side by side: `left.join(right, ...).select(...)`.
//!
//! Both sides become rows of `keys, columns that the outputs use`; the keyed operator gives `keys, whether there is a
//! left row, whether there is a right row, columns of the left, columns of the right`, of the two flags those that may
//! be false. Columns are numbered in the order of the outputs' *names*, so that the layout of the state depends only on
//! what the step's description says, where outputs are sorted by name. Columns that can be errors are carried as
//! everywhere, with their lanes behind the columns of their side; behind the keys stands, for each that can be an error
//! in a row that is kept without a match, the number of the side whose error it is.

mod conditions;
mod scope;

use std::fmt;
use std::sync::Arc;

use millpond_columns::dialect::hint;
use millpond_columns::types::{ColumnType, Schema, Type};
use millpond_error::{Error, Origin, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use conditions::{conditions, sided, such_as, with_only_side, with_sides};
use scope::{BOOL, Found, JoinScope, KeyMark, Mark, find, number_of};

use super::anchor::{Anchor, Keyed, KeyedOutput, Results};
use super::carry::{self, Carrying};
use super::describe::{Described, expressions};
use super::lower::Lowering;
use super::pipeline::Pipeline;
use super::saved::{Call, Saver};
use super::{Operation, Table};
use crate::diagnostics::{self, at, subject};
use crate::eval::Root;
use crate::expr::{Expr, TableRef};
use crate::literal::Literal;
use crate::notation::{self, spoken};
use crate::physical::{Explanation, Inputs, KeyedSpec};
use crate::terms::{Op, TermId, TermType, Terms};
use crate::typing::{self, RowScope};

/// Which rows a join has beside those that match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
            let left = SideRows {
                side: Side::Left,
                terms: left_terms,
                schema: self.schema(),
                columns: &columns[0],
                written: &[],
                identity: &[],
            };
            let right = SideRows {
                side: Side::Right,
                terms: right_terms,
                schema: right.schema(),
                columns: &columns[1],
                written: &[],
                identity: &[],
            };
            let schema = join.resolve(left, right, &mut Carrying::default())?.schema;
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
    side: Side,
    terms: &'a mut Terms,
    schema: &'a Schema,
    columns: &'a [TermId],
    /// Where each column is written, and what it is, if that is known.
    written: &'a [(String, Option<Origin>)],
    /// What identifies a row, if a row of the join has its identity.
    identity: &'a [TermId],
}

/// The keys of a join as they are carried.
#[derive(Default)]
struct CarriedKeys {
    /// The key columns, of each side: the keys, then those that say of which side an error is.
    columns: Vec<(String, [TermId; 2])>,
    types: Vec<ColumnType>,
    /// Of each key.
    marks: Vec<KeyMark>,
    /// As in [`Joined`].
    placing: [Vec<(String, Root)>; 2],
    /// As in [`Joined`].
    fallible: [Vec<(String, Root)>; 2],
}

/// A join, with names resolved and types checked.
struct Joined {
    /// The columns of each side, as they are carried: the key, and those that outputs use with their lanes.
    sides: [Vec<(String, TermId)>; 2],
    /// The keys that are no columns of a row where they are errors: they match nothing, and such rows are not kept.
    placing: [Vec<(String, Root)>; 2],
    /// What can be an error of each side, and how messages call it.
    fallible: [Vec<(String, Root)>; 2],
    /// How many columns the key has.
    key: usize,
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

impl Join {
    fn resolve(&self, left: SideRows<'_>, right: SideRows<'_>, errors: &mut Carrying) -> Result<Joined> {
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
        let used = self.used(sides.each_ref(), &keys)?;
        let carried_keys = self.carry_keys(&mut sides, &keys, &key_types, errors);
        let [left, right] = sides.each_mut().map(|rows| {
            let used = &used[rows.side as usize];
            carry_columns(rows, used, errors)
        });
        let columns_of = [left.0, right.0];
        let marks = [left.1, right.1];
        let terms = sides.each_ref().map(|rows| &*rows.terms);
        let output = self.output(&carried_keys.columns, &carried_keys.types, &columns_of, terms);
        let mut results = Terms::default();
        typing::input_terms(&mut results, &output);
        let key = carried_keys.columns.len();
        let mut scope = JoinScope {
            mode: self.mode,
            schemas: sides.each_ref().map(|rows| rows.schema),
            columns: sides.each_ref().map(|rows| rows.columns),
            keys: &keys,
            key_types,
            key_marks: carried_keys.marks,
            key,
            used: &used,
            marks: &marks,
            widths: columns_of.each_ref().map(Vec::len),
            output: &output,
        };
        let schema = typing::outputs(&mut results, &mut scope, &self.outputs)?;
        let terms = self.outputs.iter().map(|(_, expr)| typing::term(&mut results, &mut scope, expr));
        let outputs = terms.collect::<Result<_>>()?;
        let identity = sides.iter().flat_map(|rows| rows.identity.iter().map(|term| (rows.side, *term)));
        let identity = identity.map(|(side, term)| scope.side_value(&mut results, side, term)).collect();
        let sides = Side::BOTH.map(|side| {
            let side = side as usize;
            let written = self.on.iter().map(|condition| Some(spoken(&condition[side])));
            let keys = carried_keys.columns.iter().zip(written.chain(std::iter::repeat(None)));
            let keys = keys.map(|((name, key), written)| (written.unwrap_or_else(|| name.clone()), key[side]));
            keys.chain(columns_of[side].iter().cloned()).collect()
        });
        let CarriedKeys { placing, fallible, .. } = carried_keys;
        Ok(Joined { sides, placing, fallible, key, output, results, outputs, identity, schema })
    }

    /// The columns beside the keys that the outputs use of each side, or that identify a row, each once.
    fn used(&self, sides: [&SideRows<'_>; 2], keys: &[(String, [TermId; 2])]) -> Result<[Vec<(String, TermId)>; 2]> {
        let (schemas, columns) = (sides.map(|rows| rows.schema), sides.map(|rows| rows.columns));
        let mut used: [Vec<(String, TermId)>; 2] = Default::default();
        let mut by_name: Vec<&(String, Expr)> = self.outputs.iter().collect();
        by_name.sort_unstable_by_key(|(name, _)| name);
        let mut add = |side: Side, name: String, term: TermId| {
            let side = side as usize;
            let is_key = keys.iter().any(|(_, key)| key[side] == term);
            if !is_key && !used[side].iter().any(|(_, known)| *known == term) {
                used[side].push((name, term));
            }
        };
        for (_, expr) in by_name {
            let mut failed = Ok(());
            expr.each_column(&mut |column| {
                let found = find(schemas, columns, keys, column);
                if let Ok(Found::Of(side, position)) = found {
                    add(side, column.name.clone(), columns[side as usize][position]);
                }
                if failed.is_ok() {
                    failed = found.map(drop);
                }
            });
            failed.map_err(|error| at(error, expr))?;
        }
        for rows in sides {
            let identity = (1..).zip(rows.identity);
            identity.for_each(|(number, term)| add(rows.side, format!("id({number})"), *term));
        }
        Ok(used)
    }

    /// The keys as they are carried. An error matches nothing: a row that is kept without a match has it as a null, and
    /// in a key column of its own the number of its side; others are left out.
    fn carry_keys(
        &self,
        sides: &mut [SideRows<'_>; 2],
        keys: &[(String, [TermId; 2])],
        types: &[ColumnType],
        errors: &mut Carrying,
    ) -> CarriedKeys {
        let marks = vec![KeyMark::default(); keys.len()];
        let (columns, types) = (keys.to_vec(), types.to_vec());
        let mut carried = CarriedKeys { columns, types, marks, ..CarriedKeys::default() };
        for (number, (name, key)) in keys.iter().enumerate() {
            for (rows, written) in sides.iter_mut().zip(&self.on[number]) {
                let (side, key) = (rows.side as usize, key[rows.side as usize]);
                if !rows.terms.is_fallible(key) {
                    continue;
                }
                let (what, root) = (format!("key {}", spoken(written)), root(key, written));
                carried.fallible[side].push((what.clone(), root.clone()));
                if !self.mode.keeps(rows.side) {
                    carried.placing[side].push((what, root));
                    continue;
                }
                let place = || (what, spoken(written), written.origin().cloned());
                let value = errors.carry_key(rows.terms, (key, false), place).expect("the key can be an error");
                carried.marks[number].from[side] = Some(value.from);
                carried.columns[number].1[side] = value.value;
                carried.types[number].optional = true;
            }
            let mark = &mut carried.marks[number];
            if mark.from.iter().any(Option::is_some) {
                mark.position = carried.columns.len();
                let of_side = sides.each_mut().map(|rows| {
                    let side = rows.side as usize;
                    side_of_error(rows.terms, mark.from[side].map(|_| key[side]), rows.side)
                });
                carried.columns.push((carry::lane(name), of_side));
                carried.types.push(Type::Int.required());
            }
        }
        carried
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

/// The number of the side where its key is an error, else 0; 0 if it cannot be one.
fn side_of_error(terms: &mut Terms, key: Option<TermId>, side: Side) -> TermId {
    let int = TermType::from(Type::Int.required());
    let none = terms.add(Op::Literal(Literal::Int(0)), int);
    let Some(key) = key else { return none };
    let (failed, number) = (terms.add(Op::IsError(key), BOOL), terms.add(Op::Literal(number_of(side)), int));
    terms.add(Op::IfElse(failed, number, none), int)
}

/// The columns of a side that are used, as they are carried, with their lanes behind them; and how each is found there.
fn carry_columns(
    rows: &mut SideRows<'_>,
    used: &[(String, TermId)],
    errors: &mut Carrying,
) -> (Vec<(String, TermId)>, Vec<Mark>) {
    let (mut columns, mut lanes, mut marks) = (Vec::new(), Vec::new(), Vec::new());
    for (position, (name, term)) in used.iter().enumerate() {
        let ty = rows.terms.ty(*term).column().expect("columns have types");
        let of_column = carry::of_column(*term, rows.schema, rows.columns, rows.written);
        let place = || of_column.unwrap_or_else(|| (carry::column(name), name.clone(), None));
        let carried = errors.carry(rows.terms, (*term, ty.optional), place);
        columns.push((name.clone(), carried.as_ref().map_or(*term, |carried| carried.value)));
        let carried = carried.map(|carried| match carried.lane {
            Some(lane) => {
                lanes.push((carry::lane(name), lane));
                (used.len() + lanes.len() - 1, carried.from)
            }
            None => (position, carried.from),
        });
        marks.push(Mark { ty, carried });
    }
    columns.extend(lanes);
    (columns, marks)
}

/// A term and where it is written.
fn root(term: TermId, written: &Expr) -> Root {
    Root { term, origin: written.origin().cloned() }
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

    fn save(&self, saver: &mut Saver) -> (&'static str, Value) {
        let on: Vec<_> = self.on.iter().map(|condition| saver.exprs(condition)).collect();
        ("join", json!({ "how": self.mode, "on": on, "id": self.id, "outputs": saver.named(&self.outputs) }))
    }

    fn lower(&self, table: &Table, lowering: &mut Lowering) -> Result<Pipeline> {
        lowering.pipeline_on(table, |lowering| {
            let [left_table, right_table] = table.inputs() else { unreachable!("a join has two tables") };
            let (mut left, mut right) = (lowering.pipeline(left_table)?, lowering.pipeline(right_table)?);
            let (left_columns, right_columns) = (left.column_terms(), right.column_terms());
            let (left_written, right_written) = (left.written(), right.written());
            let identity = |rows: &Pipeline, side| match self.id == Some(side) {
                true => rows.identity.iter().map(|root| root.term).collect(),
                false => Vec::new(),
            };
            let (left_id, right_id) = (identity(&left, Side::Left), identity(&right, Side::Right));
            let joined = self.resolve(
                SideRows {
                    side: Side::Left,
                    terms: &mut left.terms,
                    schema: left_table.schema(),
                    columns: &left_columns,
                    written: &left_written,
                    identity: &left_id,
                },
                SideRows {
                    side: Side::Right,
                    terms: &mut right.terms,
                    schema: right_table.schema(),
                    columns: &right_columns,
                    written: &right_written,
                    identity: &right_id,
                },
                &mut lowering.errors,
            )?;
            let Joined { sides, placing, fallible, key, output, results, outputs, identity, .. } = joined;
            let parts = sides.into_iter().zip(placing).zip(fallible);
            for ((rows, side), ((columns, placing), fallible)) in
                [&mut left, &mut right].into_iter().zip(Side::BOTH).zip(parts)
            {
                lowering.tap(table, side.name(), rows, &fallible);
                for (what, root) in placing {
                    lowering.errors.keep_sound(rows, &what, [root]);
                }
                rows.project(columns, Some(table.origin()));
            }
            let key: Vec<usize> = (0..key).collect();
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
            let anchor = Anchor { schema: output, results, ..anchor };
            lowering.tap_results(table, &anchor);
            Ok(anchor)
        })
    }
}

/// The table of a saved `join`.
pub(super) fn load(call: &Call<'_>) -> Result<Table> {
    let equality = |[left, right]: [usize; 2]| {
        let [left, right] = sided(&[call.numbered(left)?, call.numbered(right)?]);
        Ok(left.eq(right))
    };
    let conditions = call.value::<Vec<[usize; 2]>>("on")?.into_iter().map(equality).collect::<Result<_>>()?;
    let on = JoinOn { mode: call.value("how")?, conditions, id: call.value("id")? };
    call.this()?.join_select(call.other()?, on, call.named("outputs")?, &call.origin)
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
