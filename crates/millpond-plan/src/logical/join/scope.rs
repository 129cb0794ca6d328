//! What the names in the outputs of a join mean: columns of the keyed operator.

use millpond_columns::dialect::quoted;
use millpond_columns::types::{ColumnType, Schema, Type};
use millpond_error::{Error, Result};

use super::{JoinMode, Side};
use crate::diagnostics::{no_column, subject};
use crate::errors::Lineage;
use crate::expr::{BinaryOp, ColumnRef, Expr, ExprKind, TableRef, UnaryOp};
use crate::literal::Literal;
use crate::notation::spoken;
use crate::terms::{Op, TermId, TermType, Terms};
use crate::typing::{self, Scope};

/// A column that an output uses.
#[derive(Clone, Copy)]
pub(super) enum Found {
    /// Of a side, at this position.
    Of(Side, usize),
    /// The key of this number, under one name on both sides.
    Key(usize),
}

/// What the names of outputs mean.
pub(super) struct JoinScope<'a> {
    pub(super) mode: JoinMode,
    pub(super) schemas: [&'a Schema; 2],
    /// The terms of the columns, of each side.
    pub(super) columns: [&'a [TermId]; 2],
    pub(super) keys: &'a [(String, [TermId; 2])],
    pub(super) key_types: Vec<ColumnType>,
    /// How each key is carried.
    pub(super) key_marks: Vec<KeyMark>,
    /// How many columns the key has.
    pub(super) key: usize,
    pub(super) used: &'a [Vec<(String, TermId)>; 2],
    /// How each of the columns that are used is carried.
    pub(super) marks: &'a [Vec<Mark>; 2],
    /// How many columns each side has beside the key.
    pub(super) widths: [usize; 2],
    /// The types of the operator's columns.
    pub(super) output: &'a Schema,
}

/// A key that can be an error in a row that is kept without a match.
#[derive(Clone, Default)]
pub(super) struct KeyMark {
    /// The key column that holds the number of the side whose error it is, from 1, or else 0.
    pub(super) position: usize,
    /// Where errors of each side come from.
    pub(super) from: [Option<Lineage>; 2],
}

/// A column of a side.
pub(super) struct Mark {
    pub(super) ty: ColumnType,
    /// The column among those of the side that is null for an error, if it can be one, and where that comes from.
    pub(super) carried: Option<(usize, Lineage)>,
}

pub(super) const BOOL: TermType = TermType { ty: Some(Type::Bool), optional: false };

/// The number of a side in a column that says of which side an error is.
pub(super) fn number_of(side: Side) -> Literal {
    Literal::Int(side as i64 + 1)
}

/// What a column of an output is.
pub(super) fn find(
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
        self.mode.keeps(side.other()).then(|| self.key + before)
    }

    fn value(&self, results: &mut Terms, found: Found) -> TermId {
        let (side, position) = match found {
            Found::Key(key) => return self.key_value(results, key, &Side::BOTH),
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

    /// The value of a key, an error where it is one of one of these sides.
    fn key_value(&self, results: &mut Terms, key: usize, of: &[Side]) -> TermId {
        let (value, mark) = (self.input(results, key), &self.key_marks[key]);
        let mut is_error = None;
        let mut lineage = None;
        for side in of.iter().filter(|side| mark.from[**side as usize].is_some()) {
            let number = results.add(Op::Literal(number_of(*side)), Type::Int.required().into());
            let failed = Op::Binary(BinaryOp::Eq, self.input(results, mark.position), number);
            let failed = results.add(failed, BOOL);
            is_error =
                Some(is_error.map_or(failed, |other| results.add(Op::Binary(BinaryOp::Or, other, failed), BOOL)));
            lineage = lineage.or(mark.from[*side as usize]);
        }
        match (is_error, lineage) {
            (Some(is_error), Some(from)) => {
                results.add(Op::Carried { value, is_error, from }, self.key_types[key].into())
            }
            _ => value,
        }
    }

    /// The value of a term over the rows of a side, which is a key or one of the columns that are used.
    pub(super) fn side_value(&self, results: &mut Terms, side: Side, term: TermId) -> TermId {
        let flag = self.flag(side).map(|flag| self.input(results, flag));
        if let Some(key) = self.keys.iter().position(|(_, key)| key[side as usize] == term) {
            let value = self.key_value(results, key, &[side]);
            let Some(flag) = flag else { return value };
            let ty = results.ty(value);
            let none = typing::typed_none(results, ty.ty.expect("keys have types"));
            return results.add(Op::IfElse(flag, value, none), TermType { optional: true, ..ty });
        }
        let flags = Side::BOTH.into_iter().filter(|side| self.flag(*side).is_some()).count();
        let before = if side == Side::Left { 0 } else { self.widths[Side::Left as usize] };
        let first = self.key + flags + before;
        let place = self.used[side as usize].iter().position(|(_, known)| *known == term);
        let place = place.expect("the column was found to be used");
        let value = self.input(results, first + place);
        let Mark { ty, carried } = &self.marks[side as usize][place];
        let Some((mark, from)) = *carried else { return value };
        let mark = self.input(results, first + mark);
        let mut is_error = results.add(Op::Unary(UnaryOp::IsNone, mark), BOOL);
        // Where the row is missing, so is the mark.
        if let Some(flag) = flag {
            is_error = results.add(Op::Binary(BinaryOp::And, flag, is_error), BOOL);
        }
        let ty = TermType { optional: ty.optional || flag.is_some(), ..(*ty).into() };
        results.add(Op::Carried { value, is_error, from }, ty)
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
