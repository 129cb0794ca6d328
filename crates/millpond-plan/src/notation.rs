//! How a text writes types, values and expressions: as the plan does, or as the user's program would.
//!
//! A [`Type`] is displayed as the program spells it, since it is shown to people; what is saved asks for
//! [`Type::name`]. An [`Expr`] is displayed as the plan writes it, since descriptions hold it; messages ask for
//! [`spoken`], and hints that can be pasted for [`code`].

use std::collections::HashMap;
use std::fmt;

use millpond_columns::dialect::{Notation, hint, quoted};
use millpond_columns::types::Type;

use crate::deep::deep_of;
use crate::expr::{BinaryOp, ColumnRef, Expr, ExprKind, TableRef, UnaryOp};
use crate::functions::{Reducer, ReducerKind, TextFunction, TimeFunction};
use crate::literal::Literal;

impl Literal {
    /// A value as a language writes it: `True`, `true`; `datetime.timedelta(seconds=300)`, `Duration("PT5M")`.
    pub fn to_notation(&self, notation: Notation) -> String {
        match (notation, self) {
            (Notation::Rust, Literal::Bool(value)) => value.to_string(),
            (Notation::Python, value) => crate::literal::python_call(value).unwrap_or_else(|| value.to_string()),
            _ => self.to_string(),
        }
    }
}

impl ReducerKind {
    /// A call of it over columns that are written so, as the program writes it.
    pub fn call(self, columns: impl IntoIterator<Item = String>) -> String {
        let columns = columns.into_iter().map(|text| (text, ATOM)).collect();
        Speller::of_program().reducer(self.name(), self.skips_nones(), columns)
    }
}

/// An expression as a message says it: as the program writes it, with columns by their plain names.
pub fn spoken(expr: &Expr) -> String {
    Speller { notation: Notation::of_program(), pasted: false }.expr(expr).0
}

/// An expression as it can be pasted into the program.
pub fn code(expr: &Expr) -> String {
    Speller { notation: Notation::of_program(), pasted: true }.expr(expr).0
}

/// A cast, as it can be pasted into the program: `pw.cast(str, pw.this.x)`, `col("x").cast(Type::Str)`.
pub(crate) fn cast(expr: &Expr, to: Type) -> String {
    let speller = Speller { notation: Notation::of_program(), pasted: true };
    speller.cast(speller.expr(expr), to).0
}

/// A reducer over this expression, as it can be pasted into the program.
pub(crate) fn reducer(reducer: Reducer, arguments: &[&Expr]) -> String {
    let speller = Speller { notation: Notation::of_program(), pasted: true };
    speller.reducer(
        reducer.name(),
        reducer.skips_nones(),
        arguments.iter().map(|argument| speller.expr(argument)).collect(),
    )
}

/// What a hint says of a time that may be null.
pub(crate) fn required(time: &Expr) -> String {
    let time = code(time);
    hint(
        "keep the rows that have one, .filter(TIME.is_not_none()), and give TIME.unwrap()",
        "keep the rows that have one, .filter(TIME.is_not_none()), and give pw.unwrap(TIME)",
    )
    .replace("TIME", &time)
}

/// A longer expression is written with names for what stands in it several times.
pub(crate) const MOST_PARTS: u32 = 1_000;

/// The names of parts, by their addresses.
type Names = HashMap<*const (), String>;

/// A text, and how tightly its outermost operator binds; more is tighter.
pub(crate) type Bound = (String, u8);

/// How tightly a prefix operator binds.
pub(crate) const PREFIX: u8 = 7;
/// How tightly a name, a literal or a call binds.
pub(crate) const ATOM: u8 = 9;

/// How tightly an operator binds its operands.
fn precedence(op: BinaryOp) -> u8 {
    match op {
        BinaryOp::Eq | BinaryOp::Ne | BinaryOp::Lt | BinaryOp::Le | BinaryOp::Gt | BinaryOp::Ge => 1,
        BinaryOp::Or => 2,
        BinaryOp::Xor => 3,
        BinaryOp::And => 4,
        BinaryOp::Add | BinaryOp::Sub => 5,
        BinaryOp::Mul | BinaryOp::Div | BinaryOp::FloorDiv | BinaryOp::Mod => 6,
        BinaryOp::Pow => 8,
    }
}

/// Whether a name reads as one word, and not as a literal.
fn is_word(name: &str) -> bool {
    let mut letters = name.chars();
    let first = letters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    let word = first && letters.all(|c| c.is_ascii_alphanumeric() || c == '_');
    word && !matches!(name, "None" | "True" | "False" | "inf" | "nan")
}

/// Writes expressions part by part, from the texts of their operands.
#[derive(Clone, Copy)]
pub(crate) struct Speller {
    pub notation: Notation,
    /// Whether columns are written as the program must.
    pub pasted: bool,
}

impl Speller {
    pub(crate) const PLAN: Speller = Speller { notation: Notation::Plan, pasted: false };

    /// That of messages about a run.
    pub(crate) fn of_program() -> Self {
        Speller { notation: Notation::of_program(), pasted: false }
    }

    /// An expression; of a long one, what stands in several places is written once and named: `$1 = a + 1; $1 * $1`.
    pub(crate) fn expr(self, expr: &Expr) -> Bound {
        let mut names = Names::new();
        if expr.size() <= MOST_PARTS {
            return self.part(expr, &names);
        }
        let mut text = String::new();
        for shared in expr.shared() {
            let name = format!("${}", names.len() + 1);
            text.push_str(&format!("{name} = {}; ", self.part(shared, &names).0));
            names.insert(shared.address(), name);
        }
        let (last, binds) = self.part(expr, &names);
        if names.is_empty() { (last, binds) } else { (text + &last, 0) }
    }

    fn part(self, expr: &Expr, names: &Names) -> Bound {
        match names.get(&expr.address()) {
            Some(name) => (name.clone(), ATOM),
            None => deep_of(expr.depth(), || self.parts(expr, names)),
        }
    }

    fn parts(self, expr: &Expr, names: &Names) -> Bound {
        let part = |expr: &Expr| self.part(expr, names);
        let parts = |all: &[Expr]| all.iter().map(part).collect::<Vec<_>>();
        match expr.kind() {
            ExprKind::Column(column) => (self.reference(column), ATOM),
            ExprKind::Literal(value) => self.literal(value),
            ExprKind::Unary(op, a) => self.unary(*op, part(a)),
            ExprKind::Binary(op, a, b) => self.binary(*op, part(a), part(b)),
            ExprKind::IfElse(a, b, c) => self.call("if_else", vec![part(a), part(b), part(c)]),
            ExprKind::Coalesce(arguments) => self.list_call("coalesce", parts(arguments)),
            ExprKind::Cast(a, ty) => self.cast(part(a), *ty),
            ExprKind::FillError(a, b) => self.fill_error(part(a), part(b)),
            ExprKind::Text(function, operands) => self.text(function, parts(operands)),
            ExprKind::Time(function, operands) => self.time(function, parts(operands)),
            ExprKind::Tuple(elements) => self.list_call("make_tuple", parts(elements)),
            ExprKind::Get(a, key, default) => self.get(part(a), part(key), default.as_ref().map(part)),
            ExprKind::JsonAs(a, ty) => self.json_as(part(a), *ty),
            ExprKind::Reducer(kind, arguments) => {
                (self.reducer(kind.name(), kind.skips_nones(), parts(arguments)), ATOM)
            }
        }
    }

    /// A column of the table at hand, or of one side of a join.
    fn reference(self, column: &ColumnRef) -> String {
        let side = match column.table {
            TableRef::This | TableRef::Of(_) => return self.column(&column.name),
            TableRef::Left => "left",
            TableRef::Right => "right",
        };
        let name = &column.name;
        match self.notation {
            Notation::Rust => format!("{side}({})", quoted(name)),
            Notation::Python if is_word(name) => format!("pw.{side}.{name}"),
            Notation::Python => format!("pw.{side}[{}]", quoted(name)),
            Notation::Plan => format!("{side}.{}", self.column(name)),
        }
    }

    /// A column's name if it reads as one word and not as a literal, else a call that takes it; a call in any case
    /// where it is to be pasted.
    pub(crate) fn column(self, name: &str) -> String {
        let word = is_word(name);
        match (self.notation, self.pasted) {
            (Notation::Python, true) if word => format!("pw.this.{name}"),
            (Notation::Plan | Notation::Rust, true) => format!("col({})", quoted(name)),
            _ if word => name.to_owned(),
            (Notation::Python, _) => format!("pw.this[{}]", quoted(name)),
            _ => format!("col({})", quoted(name)),
        }
    }

    /// A column of the plan, some of which are named after the call that they are the result of, or after a side of a
    /// join.
    pub(crate) fn input(self, name: &str) -> String {
        let of_a_side = ["left.", "right.", "pw.left", "pw.right"].iter().any(|side| name.starts_with(side));
        if name.ends_with(')') || of_a_side { name.to_owned() } else { self.column(name) }
    }

    pub(crate) fn literal(self, value: &Literal) -> Bound {
        let text = value.to_notation(self.notation);
        let precedence = if text.starts_with('-') { PREFIX } else { ATOM };
        (text, precedence)
    }

    /// A call of a function of the package.
    pub(crate) fn call(self, function: &str, arguments: Vec<Bound>) -> Bound {
        (call(&self.notation.function(function), arguments.into_iter().map(|(text, _)| text)), ATOM)
    }

    /// The same of a function that takes an array in Rust.
    pub(crate) fn list_call(self, function: &str, arguments: Vec<Bound>) -> Bound {
        if self.notation != Notation::Rust {
            return self.call(function, arguments);
        }
        let arguments: Vec<String> = arguments.into_iter().map(|(text, _)| text).collect();
        (format!("{function}([{}])", arguments.join(", ")), ATOM)
    }

    pub(crate) fn cast(self, value: Bound, to: Type) -> Bound {
        let ty = to.to_notation(self.notation);
        match self.notation {
            Notation::Plan => self.call("cast", vec![value, (ty, ATOM)]),
            Notation::Python => self.call("cast", vec![(ty, ATOM), value]),
            Notation::Rust => self.method(value, "cast", [ty]),
        }
    }

    pub(crate) fn fill_error(self, value: Bound, other: Bound) -> Bound {
        match self.notation {
            Notation::Rust => self.method(value, "fill_error", [other.0]),
            _ => self.call("fill_error", vec![value, other]),
        }
    }

    pub(crate) fn text(self, function: &TextFunction, operands: Vec<Bound>) -> Bound {
        let rust = self.notation == Notation::Rust;
        let attempt = if rust && function.is_optional() { "try_" } else { "" };
        let name = format!("{}.{attempt}{}", if rust { "str()" } else { "str" }, function.name());
        self.method_of(&name, operands, function.options(self.notation))
    }

    pub(crate) fn time(self, function: &TimeFunction, operands: Vec<Bound>) -> Bound {
        let name = format!("{}.{}", if self.notation == Notation::Rust { "dt()" } else { "dt" }, function.name());
        self.method_of(&name, operands, function.options(self.notation))
    }

    fn method_of(self, name: &str, operands: Vec<Bound>, options: Vec<String>) -> Bound {
        let mut operands = operands.into_iter();
        let subject = operands.next().expect("a method has a subject");
        self.method(subject, name, operands.map(|(text, _)| text).chain(options))
    }

    fn method(self, subject: Bound, name: &str, arguments: impl IntoIterator<Item = String>) -> Bound {
        (call(&format!("{}.{name}", self.receiver(subject)), arguments), ATOM)
    }

    /// What a method is called of; a value is no expression in Rust.
    fn receiver(self, subject: Bound) -> String {
        let value = subject.0.starts_with(|c: char| c.is_ascii_digit() || c == '"' || c == '-')
            || matches!(subject.0.as_str(), "true" | "false");
        if self.notation == Notation::Rust && value && !subject.0.contains(' ') {
            return format!("lit({})", subject.0);
        }
        within(subject, ATOM)
    }

    /// `a[key]`, `a.get(key, default)`
    pub(crate) fn get(self, subject: Bound, key: Bound, default: Option<Bound>) -> Bound {
        match (default, self.notation) {
            (Some(default), _) => self.method(subject, "get", [key.0, default.0]),
            (None, Notation::Rust) => self.method(subject, "item", [key.0]),
            (None, _) => (format!("{}[{}]", within(subject, ATOM), key.0), ATOM),
        }
    }

    /// `a.as_int()`
    pub(crate) fn json_as(self, subject: Bound, ty: Type) -> Bound {
        self.method(subject, &format!("as_{}", ty.name()), [])
    }

    pub(crate) fn unary(self, op: UnaryOp, operand: Bound) -> Bound {
        let prefix = match (op, self.notation) {
            (UnaryOp::Neg, _) => "-",
            (UnaryOp::Not, Notation::Rust) => "!",
            (UnaryOp::Not, _) => "~",
            (UnaryOp::Abs, Notation::Rust) => return self.method(operand, "abs", []),
            (UnaryOp::Abs, _) => return (call("abs", [operand.0]), ATOM),
            (UnaryOp::IsNone, Notation::Plan) => return self.call("is_none", vec![operand]),
            (UnaryOp::IsNotNone, Notation::Plan) => return self.call("is_not_none", vec![operand]),
            (UnaryOp::IsNone, _) => return self.method(operand, "is_none", []),
            (UnaryOp::IsNotNone, _) => return self.method(operand, "is_not_none", []),
            (UnaryOp::Unwrap, Notation::Rust) => return self.method(operand, "unwrap", []),
            (UnaryOp::Unwrap, _) => return self.call("unwrap", vec![operand]),
        };
        // `-1` is a literal, so the negation of the literal 1 is `-(1)`.
        let number = operand.0.starts_with(|c: char| c.is_ascii_digit()) || matches!(operand.0.as_str(), "inf" | "nan");
        let operand = if number { format!("({})", operand.0) } else { within(operand, PREFIX) };
        (format!("{prefix}{operand}"), PREFIX)
    }

    pub(crate) fn binary(self, op: BinaryOp, left: Bound, right: Bound) -> Bound {
        let method = match op {
            BinaryOp::Eq => "eq",
            BinaryOp::Ne => "ne",
            BinaryOp::Lt => "lt",
            BinaryOp::Le => "le",
            BinaryOp::Gt => "gt",
            BinaryOp::Ge => "ge",
            BinaryOp::FloorDiv => "floordiv",
            BinaryOp::Pow => "pow",
            _ => "",
        };
        if self.notation == Notation::Rust && !method.is_empty() {
            return self.method(left, method, [right.0]);
        }
        let precedence = precedence(op);
        // Equal operators group from the left, but comparisons not at all and powers from the right.
        let (left_needs, right_needs) = match op {
            BinaryOp::Pow => (precedence + 1, PREFIX),
            _ if precedence == 1 => (precedence + 1, precedence + 1),
            _ => (precedence, precedence + 1),
        };
        let (left, right) = (within(left, left_needs), within(right, right_needs));
        (format!("{left} {} {right}", op.symbol()), precedence)
    }

    /// A call of a reducer of this name.
    pub(crate) fn reducer(self, name: &str, skips: bool, arguments: Vec<Bound>) -> String {
        let option = (skips && self.notation != Notation::Rust).then(|| "skip_nones=True".to_owned());
        let arguments = arguments.into_iter().map(|(text, _)| text).chain(option);
        let mut text = match (name, self.notation) {
            ("count_distinct", Notation::Rust) => format!("{name}([{}])", arguments.collect::<Vec<_>>().join(", ")),
            _ => call(&self.notation.reducer(name), arguments),
        };
        if skips && self.notation == Notation::Rust {
            text.push_str(".skip_nones()");
        }
        text
    }
}

fn call(function: &str, arguments: impl IntoIterator<Item = String>) -> String {
    format!("{function}({})", arguments.into_iter().collect::<Vec<_>>().join(", "))
}

fn within((text, precedence): Bound, needs: u8) -> String {
    if precedence < needs { format!("({text})") } else { text }
}

/// The expression in the [plan's notation](crate::notation), as descriptions hold it. Two expressions have the same
/// text exactly if they are the same.
impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Speller::PLAN.expr(self).0)
    }
}

impl fmt::Debug for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::col;
    use crate::if_else;
    use crate::lit;
    use crate::max;
    use crate::tuple;

    #[track_caller]
    fn check(expr: &Expr, python: &str, rust: &str) {
        let text = |notation| Speller { notation, pasted: true }.expr(expr).0;
        assert_eq!(text(Notation::Python), python);
        assert_eq!(text(Notation::Rust), rust);
    }

    #[test]
    fn types_are_spelled_as_the_program_does() {
        let place = Type::tuple([Type::Str.required(), Type::Float.optional()]);
        let types = [
            (Type::Int.required(), "int", "Type::Int", "int"),
            (Type::Float.optional(), "float?", "Type::Float.optional()", "float | None"),
            (Type::Duration.required(), "Duration", "Type::Duration", "pw.Duration"),
            (Type::DateTimeUtc.optional(), "DateTimeUtc?", "Type::DateTimeUtc.optional()", "pw.DateTimeUtc | None"),
            (Type::Json.required(), "json", "Type::Json", "pw.Json"),
            (Type::Bytes.required(), "bytes", "Type::Bytes", "bytes"),
            (
                Type::list(place).required(),
                "list[tuple[str, float?]]",
                "Type::list(Type::tuple([Type::Str.required(), Type::Float.optional()]))",
                "list[tuple[str, float | None]]",
            ),
        ];
        for (ty, plan, rust, python) in types {
            assert_eq!(ty.to_notation(Notation::Plan), plan);
            assert_eq!(ty.to_notation(Notation::Rust), rust);
            assert_eq!(ty.to_notation(Notation::Python), python);
        }
    }

    #[test]
    fn expressions_can_be_pasted() {
        let (a, b) = (col("a"), col("b c"));
        check(&a.cast(Type::Str), "pw.cast(str, pw.this.a)", "col(\"a\").cast(Type::Str)");
        check(&max(&b), "pw.reducers.max(pw.this[\"b c\"])", "max(col(\"b c\"))");
        check(
            &(a.gt(1) & b.is_none()),
            "(pw.this.a > 1) & pw.this[\"b c\"].is_none()",
            "col(\"a\").gt(1) & col(\"b c\").is_none()",
        );
        check(&(lit(7) - &a).floordiv(2), "(7 - pw.this.a) // 2", "(7 - col(\"a\")).floordiv(2)");
        check(&lit(7).pow(&a), "7 ** pw.this.a", "lit(7).pow(col(\"a\"))");
        check(&!a.eq(true), "~(pw.this.a == True)", "!col(\"a\").eq(true)");
        check(&a.str().len(), "pw.this.a.str.len()", "col(\"a\").str().len()");
        check(&a.dt().hour(), "pw.this.a.dt.hour()", "col(\"a\").dt().hour()");
        check(
            &if_else(a.is_none(), 0, &a),
            "pw.if_else(pw.this.a.is_none(), 0, pw.this.a)",
            "if_else(col(\"a\").is_none(), 0, col(\"a\"))",
        );
        check(&a.item("x").as_int(), "pw.this.a[\"x\"].as_int()", "col(\"a\").item(\"x\").as_int()");
        check(
            &tuple(&a).skip_nones(),
            "pw.reducers.tuple(pw.this.a, skip_nones=True)",
            "tuple(col(\"a\")).skip_nones()",
        );
        check(&a.unwrap().abs(), "abs(pw.unwrap(pw.this.a))", "col(\"a\").unwrap().abs()");
        check(&a.fill_error(0), "pw.fill_error(pw.this.a, 0)", "col(\"a\").fill_error(0)");
    }

    #[test]
    fn values_are_spelled_as_the_program_makes_them() {
        let json = Literal::Stored(Type::Json, (*b"{\"a\":null}").into());
        let values = [
            (Literal::Bool(true), "True", "true"),
            (json, "pw.Json.parse('{\"a\":null}')", r#"json({"a":null})"#),
            (Literal::Duration(-1_500_000), "datetime.timedelta(microseconds=-1500)", "Duration(\"-PT0.001500S\")"),
            (Literal::Duration(300_000_000_000), "datetime.timedelta(seconds=300)", "Duration(\"PT5M\")"),
            (Literal::Duration(1), "Duration(\"PT0.000000001S\")", "Duration(\"PT0.000000001S\")"),
            (
                Literal::DateTimeNaive(1_000_000_000_000_000_000),
                "datetime.datetime(2001, 9, 9, 1, 46, 40)",
                "DateTimeNaive(\"2001-09-09T01:46:40\")",
            ),
            (
                Literal::DateTimeUtc(-1000),
                "datetime.datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=datetime.timezone.utc)",
                "DateTimeUtc(\"1969-12-31T23:59:59.999999Z\")",
            ),
            (
                Literal::DateTimeNaive(0),
                "datetime.datetime(1970, 1, 1, 0, 0)",
                "DateTimeNaive(\"1970-01-01T00:00:00\")",
            ),
        ];
        for (value, python, rust) in values {
            assert_eq!(
                (value.to_notation(Notation::Python), value.to_notation(Notation::Rust)),
                (python.into(), rust.into())
            );
        }
    }
}
