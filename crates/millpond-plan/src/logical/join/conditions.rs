//! The conditions of a join, and of which side a column is.

use millpond_columns::dialect::{hint, quoted};
use millpond_error::{Error, Result};

use super::{Side, Table};
use crate::diagnostics::{self, at, subject};
use crate::expr::{BinaryOp, ColumnRef, Expr, ExprKind, TableRef};
use crate::notation::spoken;

/// The expression with columns that name a table said to be of its side.
pub(super) fn with_sides(tables: [&Table; 2], expr: &Expr) -> Result<Expr> {
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
pub(super) fn with_only_side(tables: [&Table; 2], expr: &Expr) -> Expr {
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
pub(super) fn conditions(tables: [&Table; 2], condition: &Expr, keys: &mut Vec<[Expr; 2]>) -> Result<()> {
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
pub(super) fn sided(condition: &[Expr; 2]) -> [Expr; 2] {
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
                error.with_hint("each side of == is over the columns of one table; for more, .select(...).filter(...)"),
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
pub(super) fn such_as(tables: [&Table; 2]) -> String {
    let first = |table: &Table| table.schema().columns().first().map_or("id".to_owned(), |column| column.name.clone());
    let condition = Expr::column(TableRef::Left, first(tables[0])).eq(Expr::column(TableRef::Right, first(tables[1])));
    format!("such as {}", spoken(&condition))
}
