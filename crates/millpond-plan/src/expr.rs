//! Expressions as a user writes them: an untyped tree over named columns, cheap to clone. A column is of the table
//! whose method takes the expression, of one side of a join, or of a table that the expression names.
//!
//! An expression has Python's meaning (see [`crate::eval`] for the rules). Nothing is checked here; a
//! [`Table`](crate::Table) method checks it against the table's schema.
//!
//! ```
//! use millpond_plan::{col, max, min};
//!
//! let length = max(col("access_time")) - min(col("access_time"));
//! assert_eq!(length.to_string(), "max(access_time) - min(access_time)");
//! assert_eq!((col("bytes").floordiv(1024) * 2 + 1).gt(10).to_string(), "bytes // 1024 * 2 + 1 > 10");
//! ```

use std::collections::{HashMap, HashSet};
use std::ops;
use std::sync::Arc;

use millpond_columns::types::{Schema, Type};
use millpond_error::{Origin, Result};
use serde::{Deserialize, Serialize};

use crate::deep::deep_of;
use crate::functions::{Reducer, TextFunction, TimeFunction};
use crate::literal::Literal;

/// Operators of one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnaryOp {
    /// `-a`
    Neg,
    /// `abs(a)`
    Abs,
    /// `~a`: logical on `bool`, bitwise on `int`.
    Not,
    /// `is_none(a)`
    IsNone,
    /// `is_not_none(a)`
    IsNotNone,
    /// `unwrap(a)`: `a`, where a null is an error value.
    Unwrap,
}

/// Operators of two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BinaryOp {
    /// `a + b`; concatenates text.
    Add,
    /// `a - b`
    Sub,
    /// `a * b`
    Mul,
    /// `a / b`: always a float.
    Div,
    /// `a // b`: rounds towards minus infinity.
    FloorDiv,
    /// `a % b`: has the sign of `b`.
    Mod,
    /// `a ** b`
    Pow,
    /// `a == b`
    Eq,
    /// `a != b`
    Ne,
    /// `a < b`
    Lt,
    /// `a <= b`
    Le,
    /// `a > b`
    Gt,
    /// `a >= b`
    Ge,
    /// `a & b`: logical on `bool`, bitwise on `int`.
    And,
    /// `a | b`
    Or,
    /// `a ^ b`
    Xor,
}

/// A column by its name, and of which table it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnRef {
    /// The table.
    pub table: TableRef,
    /// The name.
    pub name: String,
}

/// Which table a column is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TableRef {
    /// The table whose method takes the expression.
    This,
    /// The left table of a join.
    Left,
    /// The right table of a join.
    Right,
    /// This very table. Tables hold no expression that says so: a method that takes one makes it say
    /// [`TableRef::This`] or a side.
    #[serde(skip)]
    Of(TableId),
}

/// What tells a table from all others of the program, and what messages say of it.
#[derive(Clone, Debug)]
pub struct TableId(Arc<(Schema, Origin)>);

impl TableId {
    /// A table that is like no other, with these columns, made at this place.
    pub(crate) fn new(schema: Schema, origin: Origin) -> Self {
        TableId(Arc::new((schema, origin)))
    }

    /// How a message names the table: by its columns and its place.
    pub(crate) fn describe(&self) -> String {
        let (schema, origin) = &*self.0;
        let columns = schema.columns().iter().map(|column| format!("{}: {}", column.name, column.ty));
        format!("the table ({}) of {origin}", columns.collect::<Vec<_>>().join(", "))
    }
}

impl PartialEq for TableId {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for TableId {}

/// What an [`Expr`] is; in a saved plan, its operands are numbers of other expressions.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExprKind<E = Expr> {
    /// A column.
    Column(ColumnRef),
    /// A value.
    Literal(Literal),
    /// An operator and its operand.
    Unary(UnaryOp, E),
    /// An operator and its operands.
    Binary(BinaryOp, E, E),
    /// `if_else(condition, then, otherwise)`
    IfElse(E, E, E),
    /// The first value that is not null.
    Coalesce(Vec<E>),
    /// A conversion.
    Cast(E, Type),
    /// The first expression, or the second where the first is an error value.
    FillError(E, E),
    /// A function of text, and its operands.
    Text(TextFunction, Vec<E>),
    /// A function of points in time and durations, and its operands.
    Time(TimeFunction, Vec<E>),
    /// `make_tuple(a, b)`
    Tuple(Vec<E>),
    /// `a[key]`, an error value where there is no such element; with a default `a.get(key, default)`.
    Get(E, E, Option<E>),
    /// The value of this type that a JSON value is, or null.
    JsonAs(E, Type),
    /// A reducer and its arguments; only in the outputs of a `reduce`.
    Reducer(Reducer, Vec<E>),
}

/// Two expressions each, by their addresses.
type Pairs = HashSet<(*const (), *const ())>;

/// An expression; see the [module](self).
#[derive(Clone)]
pub struct Expr(Arc<Node>);

struct Node {
    kind: ExprKind,
    origin: Option<Origin>,
    /// How many operations stand one in another, this one included.
    depth: u32,
    /// How many parts it has when it is written out, each as often as it stands in it.
    size: u32,
    /// Whether a column in it is said to be of some table.
    names_tables: bool,
}

/// One level after another, since each would otherwise be freed on the stack of the one above it.
impl Drop for Node {
    fn drop(&mut self) {
        let mut parts = Vec::new();
        self.kind.take_parts(&mut parts);
        while let Some(part) = parts.pop() {
            if let Some(mut node) = Arc::into_inner(part.0) {
                node.kind.take_parts(&mut parts);
            }
        }
    }
}

impl ExprKind {
    /// Calls `visit` with each operand.
    fn parts<'a>(&'a self, mut visit: impl FnMut(&'a Expr)) {
        match self {
            ExprKind::Column(_) | ExprKind::Literal(_) => {}
            ExprKind::Unary(_, a) | ExprKind::Cast(a, _) | ExprKind::JsonAs(a, _) => visit(a),
            ExprKind::Binary(_, a, b) | ExprKind::FillError(a, b) => [a, b].into_iter().for_each(visit),
            ExprKind::IfElse(a, b, c) => [a, b, c].into_iter().for_each(visit),
            ExprKind::Get(a, key, default) => [a, key].into_iter().chain(default).for_each(visit),
            ExprKind::Coalesce(parts)
            | ExprKind::Text(_, parts)
            | ExprKind::Time(_, parts)
            | ExprKind::Tuple(parts)
            | ExprKind::Reducer(_, parts) => parts.iter().for_each(visit),
        }
    }

    /// Adds the operands to `out`.
    fn parts_of<'a>(&'a self, out: &mut Vec<&'a Expr>) {
        self.parts(|part| out.push(part));
    }

    /// Moves the operands to `out`, unless it has none.
    fn take_parts(&mut self, out: &mut Vec<Expr>) {
        if matches!(self, ExprKind::Column(_) | ExprKind::Literal(_)) {
            return;
        }
        match std::mem::replace(self, ExprKind::Tuple(Vec::new())) {
            ExprKind::Column(_) | ExprKind::Literal(_) => {}
            ExprKind::Unary(_, a) | ExprKind::Cast(a, _) | ExprKind::JsonAs(a, _) => out.push(a),
            ExprKind::Binary(_, a, b) | ExprKind::FillError(a, b) => out.extend([a, b]),
            ExprKind::IfElse(a, b, c) => out.extend([a, b, c]),
            ExprKind::Get(a, key, default) => out.extend([a, key].into_iter().chain(default)),
            ExprKind::Coalesce(parts)
            | ExprKind::Text(_, parts)
            | ExprKind::Time(_, parts)
            | ExprKind::Tuple(parts)
            | ExprKind::Reducer(_, parts) => out.extend(parts),
        }
    }
}

impl<E> ExprKind<E> {
    /// The same on other operands.
    pub(crate) fn map_parts<F>(&self, to: &mut dyn FnMut(&E) -> Result<F>) -> Result<ExprKind<F>> {
        fn all<E, F>(parts: &[E], to: &mut dyn FnMut(&E) -> Result<F>) -> Result<Vec<F>> {
            parts.iter().map(to).collect()
        }
        Ok(match self {
            ExprKind::Column(column) => ExprKind::Column(column.clone()),
            ExprKind::Literal(value) => ExprKind::Literal(value.clone()),
            ExprKind::Unary(op, a) => ExprKind::Unary(*op, to(a)?),
            ExprKind::Cast(a, ty) => ExprKind::Cast(to(a)?, *ty),
            ExprKind::JsonAs(a, ty) => ExprKind::JsonAs(to(a)?, *ty),
            ExprKind::Binary(op, a, b) => ExprKind::Binary(*op, to(a)?, to(b)?),
            ExprKind::FillError(a, b) => ExprKind::FillError(to(a)?, to(b)?),
            ExprKind::IfElse(a, b, c) => ExprKind::IfElse(to(a)?, to(b)?, to(c)?),
            ExprKind::Get(a, key, default) => {
                ExprKind::Get(to(a)?, to(key)?, default.as_ref().map(&mut *to).transpose()?)
            }
            ExprKind::Coalesce(parts) => ExprKind::Coalesce(all(parts, to)?),
            ExprKind::Text(function, parts) => ExprKind::Text(function.clone(), all(parts, to)?),
            ExprKind::Time(function, parts) => ExprKind::Time(function.clone(), all(parts, to)?),
            ExprKind::Tuple(parts) => ExprKind::Tuple(all(parts, to)?),
            ExprKind::Reducer(kind, parts) => ExprKind::Reducer(*kind, all(parts, to)?),
        })
    }
}

/// The column of this name of the table whose method takes the expression. In the outputs of a join, a column that only
/// one of both tables has, or that they are joined by under one name.
#[track_caller]
pub fn col(name: impl Into<String>) -> Expr {
    Expr::column(TableRef::This, name)
}

/// The column of this name of the left table of a join.
#[track_caller]
pub fn left(name: impl Into<String>) -> Expr {
    Expr::column(TableRef::Left, name)
}

/// The column of this name of the right table of a join.
#[track_caller]
pub fn right(name: impl Into<String>) -> Expr {
    Expr::column(TableRef::Right, name)
}

/// A value; `lit(None::<i64>)` or [`Literal::None`] is Python's `None`.
#[track_caller]
pub fn lit(value: impl Into<Literal>) -> Expr {
    Expr::new(ExprKind::Literal(value.into()))
}

/// `then` where `condition` is true, `otherwise` where it is false or null. Error values of the branch that is not
/// taken do not matter.
#[track_caller]
pub fn if_else(condition: impl Into<Expr>, then: impl Into<Expr>, otherwise: impl Into<Expr>) -> Expr {
    Expr::new(ExprKind::IfElse(condition.into(), then.into(), otherwise.into()))
}

/// The first of `arguments` that is not null; null if all are. Later arguments do not matter, errors in them neither.
#[track_caller]
pub fn coalesce(arguments: impl IntoIterator<Item = impl Into<Expr>>) -> Expr {
    Expr::new(ExprKind::Coalesce(arguments.into_iter().map(Into::into).collect()))
}

impl Expr {
    /// An expression that comes from the caller's place in the program.
    #[track_caller]
    pub fn new(kind: ExprKind) -> Self {
        Expr::made(kind, Some(Origin::caller()))
    }

    pub(crate) fn made(kind: ExprKind, origin: Option<Origin>) -> Self {
        let (mut depth, mut size) = (0, 1u32);
        let mut names_tables = matches!(&kind, ExprKind::Column(column) if column.table != TableRef::This);
        kind.parts(|part| {
            depth = depth.max(part.depth());
            size = size.saturating_add(part.0.size);
            names_tables |= part.0.names_tables;
        });
        Expr(Arc::new(Node { kind, origin, depth: depth.saturating_add(1), size, names_tables }))
    }

    /// A column of a table.
    #[track_caller]
    pub fn column(table: TableRef, name: impl Into<String>) -> Self {
        Expr::new(ExprKind::Column(ColumnRef { table, name: name.into() }))
    }

    /// Whether a column in it is said to be of some table, and not of the one whose method takes the expression.
    pub fn names_tables(&self) -> bool {
        self.0.names_tables
    }

    /// Calls `visit` with each column in it, and once where one part stands in several places.
    pub(crate) fn each_column(&self, visit: &mut dyn FnMut(&ColumnRef)) {
        let mut seen = HashSet::new();
        let mut waiting = vec![self];
        while let Some(expr) = waiting.pop() {
            if !seen.insert(Arc::as_ptr(&expr.0)) {
                continue;
            }
            match expr.kind() {
                ExprKind::Column(column) => visit(column),
                kind => {
                    let first = waiting.len();
                    kind.parts_of(&mut waiting);
                    // The first part is visited first.
                    waiting[first..].reverse();
                }
            }
        }
    }

    /// The same expression with all columns replaced.
    pub(crate) fn with_columns(&self, replace: &dyn Fn(&ColumnRef) -> ColumnRef) -> Expr {
        let mapped = self.mapped(&|_| true, &|column| Ok(replace(column)), &mut HashMap::new());
        mapped.expect("no replacement fails")
    }

    /// The same expression, with those columns that are said to be of some table replaced.
    pub(crate) fn map_columns(&self, replace: &dyn Fn(&ColumnRef) -> Result<ColumnRef>) -> Result<Expr> {
        self.mapped(&|expr| expr.0.names_tables, replace, &mut HashMap::new())
    }

    /// A part that stands in several places is replaced once: else a graph would be walked through as a tree.
    fn mapped(
        &self,
        concerns: &dyn Fn(&Expr) -> bool,
        replace: &dyn Fn(&ColumnRef) -> Result<ColumnRef>,
        done: &mut HashMap<*const (), Expr>,
    ) -> Result<Expr> {
        if !concerns(self) {
            return Ok(self.clone());
        }
        let address = Arc::as_ptr(&self.0).cast();
        if let Some(known) = done.get(&address) {
            return Ok(known.clone());
        }
        let kind = match self.kind() {
            ExprKind::Column(column) => ExprKind::Column(replace(column)?),
            kind => deep_of(self.depth(), || kind.map_parts(&mut |part| part.mapped(concerns, replace, done)))?,
        };
        let mapped = Expr::made(kind, self.origin().cloned());
        done.insert(address, mapped.clone());
        Ok(mapped)
    }

    /// How many operations stand one in another in it.
    pub(crate) fn depth(&self) -> u32 {
        self.0.depth
    }

    /// How many parts it has when it is written out, each as often as it stands in it; no more than an `u32` counts.
    pub(crate) fn size(&self) -> u32 {
        self.0.size
    }

    /// What tells it from other expressions, also from equal ones that were made elsewhere.
    pub(crate) fn address(&self) -> *const () {
        Arc::as_ptr(&self.0).cast()
    }

    /// The operations in it that stand in several places, each after those that it is made of.
    pub(crate) fn shared(&self) -> Vec<&Expr> {
        let mut places: HashMap<*const (), usize> = HashMap::new();
        let (mut order, mut waiting) = (Vec::new(), vec![(self, false)]);
        while let Some((expr, parts_are_known)) = waiting.pop() {
            if parts_are_known {
                order.push(expr);
                continue;
            }
            let count = places.entry(expr.address()).or_default();
            *count += 1;
            if *count == 1 && !matches!(expr.kind(), ExprKind::Column(_) | ExprKind::Literal(_)) {
                waiting.push((expr, true));
                expr.kind().parts(|part| waiting.push((part, false)));
            }
        }
        order.into_iter().filter(|expr| places[&expr.address()] > 1).collect()
    }

    /// An operator applied to `operand`.
    #[track_caller]
    pub fn unary(op: UnaryOp, operand: Expr) -> Self {
        Expr::new(ExprKind::Unary(op, operand))
    }

    /// An operator applied to two operands.
    #[track_caller]
    pub fn binary(op: BinaryOp, left: Expr, right: Expr) -> Self {
        Expr::new(ExprKind::Binary(op, left, right))
    }

    /// A reducer over these arguments.
    #[track_caller]
    pub fn reducer(kind: Reducer, arguments: impl IntoIterator<Item = Expr>) -> Self {
        Expr::new(ExprKind::Reducer(kind, arguments.into_iter().collect()))
    }

    /// Of [`tuple()`](crate::tuple()) or [`sorted_tuple`](crate::sorted_tuple): the same without nulls. Any other
    /// expression as it is.
    #[track_caller]
    #[must_use]
    pub fn skip_nones(&self) -> Expr {
        match self.kind() {
            ExprKind::Reducer(kind, arguments) => Expr::reducer(kind.skipping_nones(), arguments.clone()),
            _ => self.clone(),
        }
    }

    /// The same expression, said to come from `origin` (its operands keep their own).
    #[must_use]
    pub fn at(&self, origin: Origin) -> Self {
        Expr::made(self.0.kind.clone(), Some(origin))
    }

    /// What it is.
    pub fn kind(&self) -> &ExprKind {
        &self.0.kind
    }

    /// Where in the user's program it was written.
    pub fn origin(&self) -> Option<&Origin> {
        self.0.origin.as_ref()
    }

    /// The name, if this is a plain column of one table at hand.
    pub fn column_name(&self) -> Option<&str> {
        match self.kind() {
            ExprKind::Column(ColumnRef { table: TableRef::This | TableRef::Of(_), name }) => Some(name),
            _ => None,
        }
    }

    /// Whether both are the same expression, wherever they were written.
    pub fn same_as(&self, other: &Expr) -> bool {
        self.is_same(other, &mut HashSet::new())
    }

    /// `known` are pairs that are found to be the same.
    fn is_same(&self, other: &Expr, known: &mut Pairs) -> bool {
        let pair = (self.address(), other.address());
        if pair.0 == pair.1 || known.contains(&pair) {
            return true;
        }
        let same = (self.depth(), self.size()) == (other.depth(), other.size())
            && deep_of(self.depth(), || self.same_parts(other, known));
        if same {
            known.insert(pair);
        }
        same
    }

    fn same_parts(&self, other: &Expr, known: &mut Pairs) -> bool {
        use ExprKind::*;
        match (self.kind(), other.kind()) {
            (Column(a), Column(b)) => a == b,
            (Literal(a), Literal(b)) => a == b,
            (Unary(op, a), Unary(other_op, b)) => op == other_op && a.is_same(b, known),
            (Binary(op, a, b), Binary(other_op, c, d)) => op == other_op && a.is_same(c, known) && b.is_same(d, known),
            (IfElse(a, b, c), IfElse(d, e, f)) => a.is_same(d, known) && b.is_same(e, known) && c.is_same(f, known),
            (Coalesce(a), Coalesce(b)) => all_same(a, b, known),
            (Cast(a, ty), Cast(b, other_ty)) => ty == other_ty && a.is_same(b, known),
            (FillError(a, b), FillError(c, d)) => a.is_same(c, known) && b.is_same(d, known),
            (Text(function, a), Text(other, b)) => function == other && all_same(a, b, known),
            (Time(function, a), Time(other, b)) => function == other && all_same(a, b, known),
            (Tuple(a), Tuple(b)) => all_same(a, b, known),
            (Get(a, b, default), Get(c, d, other)) => {
                a.is_same(c, known) && b.is_same(d, known) && all_same(default.as_slice(), other.as_slice(), known)
            }
            (JsonAs(a, ty), JsonAs(b, other)) => ty == other && a.is_same(b, known),
            (Reducer(kind, a), Reducer(other_kind, b)) => kind == other_kind && all_same(a, b, known),
            _ => false,
        }
    }

    /// `self == other`; null equals null and nothing else.
    #[track_caller]
    pub fn eq(&self, other: impl Into<Expr>) -> Expr {
        Expr::binary(BinaryOp::Eq, self.clone(), other.into())
    }

    /// `self != other`, the opposite of [`Expr::eq`].
    #[track_caller]
    pub fn ne(&self, other: impl Into<Expr>) -> Expr {
        Expr::binary(BinaryOp::Ne, self.clone(), other.into())
    }

    /// `self < other`
    #[track_caller]
    pub fn lt(&self, other: impl Into<Expr>) -> Expr {
        Expr::binary(BinaryOp::Lt, self.clone(), other.into())
    }

    /// `self <= other`
    #[track_caller]
    pub fn le(&self, other: impl Into<Expr>) -> Expr {
        Expr::binary(BinaryOp::Le, self.clone(), other.into())
    }

    /// `self > other`
    #[track_caller]
    pub fn gt(&self, other: impl Into<Expr>) -> Expr {
        Expr::binary(BinaryOp::Gt, self.clone(), other.into())
    }

    /// `self >= other`
    #[track_caller]
    pub fn ge(&self, other: impl Into<Expr>) -> Expr {
        Expr::binary(BinaryOp::Ge, self.clone(), other.into())
    }

    /// `self // other`: division that rounds towards minus infinity.
    #[track_caller]
    pub fn floordiv(&self, other: impl Into<Expr>) -> Expr {
        Expr::binary(BinaryOp::FloorDiv, self.clone(), other.into())
    }

    /// `self ** other`
    #[track_caller]
    pub fn pow(&self, other: impl Into<Expr>) -> Expr {
        Expr::binary(BinaryOp::Pow, self.clone(), other.into())
    }

    /// The absolute value of a number or a duration.
    #[track_caller]
    pub fn abs(&self) -> Expr {
        Expr::unary(UnaryOp::Abs, self.clone())
    }

    /// Whether it is null.
    #[track_caller]
    pub fn is_none(&self) -> Expr {
        Expr::unary(UnaryOp::IsNone, self.clone())
    }

    /// Whether it is not null.
    #[track_caller]
    pub fn is_not_none(&self) -> Expr {
        Expr::unary(UnaryOp::IsNotNone, self.clone())
    }

    /// An optional expression as a required one; a null is an error value.
    #[track_caller]
    pub fn unwrap(&self) -> Expr {
        Expr::unary(UnaryOp::Unwrap, self.clone())
    }

    /// Converts to another type; a null stays one.
    #[track_caller]
    pub fn cast(&self, to: Type) -> Expr {
        Expr::new(ExprKind::Cast(self.clone(), to))
    }

    /// Takes `default` where this is an error value.
    #[track_caller]
    pub fn fill_error(&self, default: impl Into<Expr>) -> Expr {
        Expr::new(ExprKind::FillError(self.clone(), default.into()))
    }
}

/// Whether these are the same expressions, one by one.
fn all_same(a: &[Expr], b: &[Expr], known: &mut Pairs) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.is_same(b, known))
}

macro_rules! operators {
    ($($trait:ident $method:ident $op:ident),* $(,)?) => { $(
        impl<R: Into<Expr>> ops::$trait<R> for Expr {
            type Output = Expr;
            #[track_caller]
            fn $method(self, other: R) -> Expr {
                Expr::binary(BinaryOp::$op, self, other.into())
            }
        }
        impl<R: Into<Expr>> ops::$trait<R> for &Expr {
            type Output = Expr;
            #[track_caller]
            fn $method(self, other: R) -> Expr {
                Expr::binary(BinaryOp::$op, self.clone(), other.into())
            }
        }
        operators!(from_left $trait $method $op: i64 f64 bool &str);
    )* };
    (from_left $trait:ident $method:ident $op:ident: $($left:ty)*) => { $(
        impl ops::$trait<Expr> for $left {
            type Output = Expr;
            #[track_caller]
            fn $method(self, other: Expr) -> Expr {
                Expr::binary(BinaryOp::$op, lit(self), other)
            }
        }
    )* };
}

operators! {
    Add add Add,
    Sub sub Sub,
    Mul mul Mul,
    Div div Div,
    Rem rem Mod,
    BitAnd bitand And,
    BitOr bitor Or,
    BitXor bitxor Xor,
}

impl ops::Neg for Expr {
    type Output = Expr;
    #[track_caller]
    fn neg(self) -> Expr {
        Expr::unary(UnaryOp::Neg, self)
    }
}

impl ops::Not for Expr {
    type Output = Expr;
    #[track_caller]
    fn not(self) -> Expr {
        Expr::unary(UnaryOp::Not, self)
    }
}

macro_rules! literals {
    ($($from:ty: $value:ident => $literal:expr),* $(,)?) => { $(
        impl From<$from> for Literal {
            fn from($value: $from) -> Self {
                $literal
            }
        }
        impl From<$from> for Expr {
            #[track_caller]
            fn from(value: $from) -> Self {
                lit(value)
            }
        }
    )* };
}

literals! {
    bool: value => Literal::Bool(value),
    i32: value => Literal::Int(value.into()),
    i64: value => Literal::Int(value),
    f64: value => Literal::Float(value),
    &str: value => Literal::Str(value.into()),
    String: value => Literal::Str(value.into()),
    &[u8]: value => Literal::Stored(Type::Bytes, value.into()),
    std::time::Duration: value => Literal::Duration(i64::try_from(value.as_nanos()).unwrap_or(i64::MAX)),
}

impl From<Literal> for Expr {
    #[track_caller]
    fn from(value: Literal) -> Self {
        lit(value)
    }
}

impl From<&Expr> for Expr {
    fn from(expr: &Expr) -> Self {
        expr.clone()
    }
}

impl BinaryOp {
    /// How it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::FloorDiv => "//",
            BinaryOp::Mod => "%",
            BinaryOp::Pow => "**",
            BinaryOp::Eq => "==",
            BinaryOp::Ne => "!=",
            BinaryOp::Lt => "<",
            BinaryOp::Le => "<=",
            BinaryOp::Gt => ">",
            BinaryOp::Ge => ">=",
            BinaryOp::And => "&",
            BinaryOp::Or => "|",
            BinaryOp::Xor => "^",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(expr: Expr, text: &str) {
        assert_eq!(expr.to_string(), text);
    }

    #[test]
    fn text_has_the_parentheses_that_python_needs() {
        let (a, b, c) = (col("a"), col("b"), col("c"));
        check(&a - (&b - &c), "a - (b - c)");
        check(&a - &b - &c, "a - b - c");
        check((&a + &b) * 2, "(a + b) * 2");
        check(a.pow(b.pow(2)), "a ** b ** 2");
        check(a.pow(2).pow(&b), "(a ** 2) ** b");
        check(-a.pow(2), "-a ** 2");
        check((-a.clone()).pow(2), "(-a) ** 2");
        check(a.pow(-b.clone()), "a ** -b");
        check(a.gt(1) & b.lt(2), "(a > 1) & (b < 2)");
        check((&a & &b).eq(true), "a & b == True");
        check(a.lt(&b).eq(&c), "(a < b) == c");
        check(!(&a | &b), "~(a | b)");
    }

    #[test]
    fn text_tells_literals_from_columns_and_ints_from_floats() {
        check(col("b c") + col("None"), "col(\"b c\") + col(\"None\")");
        check(lit("x\"") + lit(1.0), "\"x\\\"\" + 1.0");
        check(-lit(1), "-(1)");
        check(lit(-1), "-1");
        check(1 - col("x"), "1 - x");
        check(lit(Literal::None), "None");
    }

    #[test]
    fn text_of_a_method_binds_its_subject() {
        let text = col("a") + "b";
        check(text.str().replace_first("x", &text, 1), "(a + \"b\").str.replace(\"x\", a + \"b\", 1)");
        check(text.str().len() - 1, "(a + \"b\").str.len() - 1");
        check(col("a").str().try_parse_int(), "a.str.parse_int(optional=True)");
        let words = crate::functions::BoolWords::new(["Y"], ["n", "\""]);
        check(col("a").str().parse_bool(words), "a.str.parse_bool([\"y\"], [\"n\", \"\\\"\"])");
    }

    #[test]
    fn an_operator_remembers_the_line_of_its_caller() {
        let line = line!() + 1;
        let sum = col("a") + 1;
        assert_eq!(sum.origin().map(|origin| (origin.file.as_str(), origin.line)), Some((file!(), line)));
    }

    #[test]
    fn same_expressions_are_the_same_wherever_written() {
        assert!((col("a") + 1).same_as(&(col("a") + 1)));
        assert!(!(col("a") + 1).same_as(&(col("a") + 1.0)));
    }
}
