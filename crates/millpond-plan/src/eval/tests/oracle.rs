//! Random expressions over random columns: whole columns at a time against one row at a time.

use std::sync::Arc;

use arrow_array::{Float64Array, Int64Array, StringArray};

use super::*;
use crate::expr::{Expr, ExprKind, coalesce, col, if_else, lit};
use crate::functions::TextFunction;
use crate::functions::{TimeFunction, TimePart, TimeUnit};
use crate::logical::made_again;
use crate::time_format::TimeFormat;
use crate::zone::Zone;

const TYPES: [Type; 7] =
    [Type::Bool, Type::Int, Type::Float, Type::Str, Type::DateTimeNaive, Type::DateTimeUtc, Type::Duration];
const TIME_TEXTS: [&str; 5] = ["2026-11-22T10:00", "2026-11-22T10:00:00.5Z", "2026-11-22", "PT5M", "-P1DT0.000001S"];

/// Random numbers (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    fn value(&mut self, ty: Type) -> Literal {
        match ty {
            Type::Bool => Literal::Bool(self.below(2) == 0),
            Type::Int if self.below(8) == 0 => {
                Literal::Int(self.one(&[i64::MIN, i64::MAX, 1 << 53, (1 << 53) + 1, -1 << 62, 1 << 32]))
            }
            Type::Int => Literal::Int(self.below(9) as i64 - 4),
            Type::Float if self.below(4) == 0 => Literal::Float(self.one(&[
                f64::NAN,
                -f64::NAN,
                f64::from_bits(0x7ff0_0000_0000_0123),
                f64::INFINITY,
                -0.0,
                0.0,
                1e300,
                -1e-300,
                f64::from_bits(1),
                f64::MAX,
                9007199254740992.0,
                1e19,
            ])),
            Type::Float => Literal::Float((self.below(17) as f64 - 8.0) / 2.0),
            Type::DateTimeNaive | Type::DateTimeUtc | Type::Duration if self.below(2) == 0 => {
                let (value, scale) = (self.below(usize::MAX) as i64, self.below(63));
                Literal::of_int(ty, value >> scale)
            }
            Type::DateTimeNaive | Type::DateTimeUtc | Type::Duration => {
                let Literal::Int(value) = self.value(Type::Int) else { unreachable!() };
                Literal::of_int(ty, value)
            }
            Type::Str if self.below(6) == 0 => Literal::Str(self.one(&TIME_TEXTS).into()),
            Type::Bytes | Type::Json | Type::Tuple(_) | Type::List(_) => unreachable!("not generated"),
            Type::Str => {
                Literal::Str(self.one(&["", "a", "ab", "B", "é", "ΑΣ", "12", "-3.5", " 7 ", "true", "0"]).into())
            }
        }
    }

    /// An expression of this type, `int` for `float` now and then if `loose`.
    fn expr(&mut self, ty: Type, depth: usize, loose: bool) -> Expr {
        let ty = if loose && ty == Type::Float && self.below(3) == 0 { Type::Int } else { ty };
        if depth == 0 || self.below(8) == 0 {
            return match self.below(5) {
                0 => lit(self.value(ty)),
                1 => lit(NONE).cast(ty),
                _ => col(format!("{ty}{}", self.one(&["", "_opt"]))),
            };
        }
        let depth = depth - 1;
        match self.below(10) {
            0 => {
                let condition = self.expr(Type::Bool, depth, false);
                if_else(condition, self.expr(ty, depth, false), self.expr(ty, depth, true))
            }
            1 => {
                let arguments = [self.expr(ty, depth, true), self.expr(ty, depth, true), self.expr(ty, depth, false)];
                coalesce(arguments)
            }
            2 => self.expr(ty, depth, true).fill_error(self.expr(ty, depth, false)),
            3 => self.expr(ty, depth, false).unwrap(),
            4 => {
                let from = self.one(&TYPES);
                let castable = ty == from || !(from.is_time() && ty != Type::Str || ty.is_time() && from != Type::Str);
                let from = if castable { from } else { Type::Str };
                self.expr(from, depth, false).cast(ty)
            }
            _ => self.operator(ty, depth),
        }
    }

    fn operator(&mut self, ty: Type, depth: usize) -> Expr {
        use BinaryOp::*;
        match ty {
            Type::Str if self.below(3) == 0 => {
                Expr::binary(Add, self.expr(ty, depth, false), self.expr(ty, depth, false))
            }
            Type::Str if self.below(4) == 0 => {
                let (text, maxsplit) = (self.expr(ty, depth, false), self.expr(Type::Int, depth, false));
                // A separator that is written as an empty literal is refused.
                let separator = Expr::binary(Add, self.expr(ty, depth, false), lit(""));
                let pieces = match self.below(4) {
                    0 => text.str().split(separator),
                    1 => text.str().split_at_most(separator, maxsplit),
                    2 => text.str().split_whitespace(),
                    _ => text.str().split_whitespace_at_most(maxsplit),
                };
                pieces.get(self.expr(Type::Int, depth, false), self.expr(ty, depth, false))
            }
            Type::Str if self.below(6) == 0 => self.time_function(ty, depth),
            Type::Str => self.text_function(ty, depth),
            _ if !ty.is_time() && self.below(6) == 0 => self.text_function(ty, depth),
            Type::DateTimeNaive | Type::DateTimeUtc | Type::Int | Type::Float if self.below(4) == 0 => {
                self.time_function(ty, depth)
            }
            Type::DateTimeNaive | Type::DateTimeUtc => {
                let (point, duration) = (self.expr(ty, depth, false), self.expr(Type::Duration, depth, false));
                match self.below(3) {
                    0 => point + duration,
                    1 => duration + point,
                    _ => point - duration,
                }
            }
            Type::Duration if self.below(6) == 0 => -self.expr(ty, depth, false),
            Type::Duration => {
                let (point, int) = (self.one(&[Type::DateTimeNaive, Type::DateTimeUtc]), Type::Int);
                let forms = [(Sub, point, point), (Add, ty, ty), (Sub, ty, ty), (Mod, ty, ty)];
                let by_int = [(Mul, ty, int), (Mul, int, ty), (FloorDiv, ty, int)];
                let (op, left, right) = if self.below(2) == 0 { self.one(&forms) } else { self.one(&by_int) };
                Expr::binary(op, self.expr(left, depth, false), self.expr(right, depth, false))
            }
            Type::Int if self.below(6) == 0 => {
                let (a, b) = (self.expr(Type::Duration, depth, false), self.expr(Type::Duration, depth, false));
                a.floordiv(b)
            }
            Type::Int if self.below(6) == 0 => {
                let op = self.one(&[UnaryOp::Neg, UnaryOp::Abs, UnaryOp::Not]);
                Expr::unary(op, self.expr(ty, depth, false))
            }
            Type::Int => {
                let op = self.one(&[Add, Sub, Mul, FloorDiv, Mod, Pow, And, Or, Xor]);
                let right = match self.expr(ty, depth, false) {
                    // A negative literal makes a power a float.
                    right if op == Pow => right + 0,
                    right => right,
                };
                Expr::binary(op, self.expr(ty, depth, false), right)
            }
            Type::Bytes | Type::Json | Type::Tuple(_) | Type::List(_) => unreachable!("not generated"),
            Type::Float if self.below(6) == 0 => -self.expr(ty, depth, false),
            Type::Float => {
                let op = self.one(&[Add, Sub, Mul, FloorDiv, Mod, Pow, Div]);
                Expr::binary(op, self.expr(ty, depth, op == Div), self.expr(ty, depth, false))
            }
            Type::Bool => match self.below(4) {
                0 => {
                    let op = self.one(&[And, Or, Xor]);
                    Expr::binary(op, self.expr(ty, depth, false), self.expr(ty, depth, false))
                }
                1 => {
                    let op = self.one(&[UnaryOp::IsNone, UnaryOp::IsNotNone]);
                    let of = self.one(&TYPES);
                    Expr::unary(op, self.expr(of, depth, false))
                }
                2 => !self.expr(ty, depth, false),
                _ => {
                    let (op, of) = (self.one(&[Eq, Ne, Lt, Le, Gt, Ge]), self.one(&TYPES));
                    Expr::binary(op, self.expr(of, depth, true), self.expr(of, depth, true))
                }
            },
        }
    }

    /// A function of text that gives this type.
    fn text_function(&mut self, ty: Type, depth: usize) -> Expr {
        let optional = self.below(2) == 0;
        let mut functions = TextFunction::PLAIN.to_vec();
        functions.push(TextFunction::ParseInt { optional });
        functions.push(TextFunction::ParseFloat { optional });
        functions.push(TextFunction::ParseBool { words: Default::default(), optional });
        functions.retain(|function| function.ty() == ty);
        let function = self.one(&functions);
        let (types, left_out) = function.operands();
        let operands = types.len() - self.below(left_out + 1);
        let operands: Vec<Expr> = types[..operands].iter().map(|ty| self.expr(*ty, depth, false)).collect();
        operands[0].str().call(function, operands[1..].iter().cloned())
    }

    /// A function of time that gives this type.
    fn time_function(&mut self, ty: Type, depth: usize) -> Expr {
        let unit = self.one(&TimeUnit::ALL);
        let points = [Type::DateTimeNaive, Type::DateTimeUtc];
        let mut functions = TimeFunction::PLAIN.to_vec();
        functions.extend([TimeFunction::Timestamp(None), TimeFunction::Timestamp(Some(unit))]);
        functions.extend([false, true].map(|utc| TimeFunction::FromTimestamp { unit, utc }));
        let point = if ty.is_point() { ty } else { self.one(&points) };
        let zone = if point == Type::DateTimeUtc { "%z" } else { "" };
        let format = self.one(&["%Y-%m-%dT%H:%M:%S.%9f", "%F %H:%M:%S.%f", "%F"]).to_owned() + zone;
        let read = Arc::new(TimeFormat::new(&format));
        functions.push(TimeFunction::Strftime(read.clone()));
        functions.push(TimeFunction::Strptime { format: read, contains_timezone: None });
        // A zone that never changes its clocks; the others are compared with Python's.
        let zone = Arc::new(Zone::new("Etc/GMT+5"));
        functions.extend([TimeFunction::ToUtc(zone.clone()), TimeFunction::ToNaive(zone)]);
        functions.retain(|function| function.ty(point) == ty);
        let function = self.one(&functions);
        let subject = match function {
            TimeFunction::FromTimestamp { .. } => self.one(&[Type::Int, Type::Float]),
            TimeFunction::Whole(_) => Type::Duration,
            TimeFunction::ToUtc(_) => Type::DateTimeNaive,
            TimeFunction::ToNaive(_) => Type::DateTimeUtc,
            _ => point,
        };
        let arguments = usize::from(matches!(function, TimeFunction::Floor | TimeFunction::Round));
        let mut subject = self.expr(subject, depth, false);
        if let TimeFunction::Strptime { format, .. } = &function {
            subject = subject.dt().strftime(format.text());
        }
        let arguments: Vec<Expr> = (0..arguments).map(|_| self.expr(Type::Duration, depth, false)).collect();
        subject.dt().call(function, arguments)
    }

    fn column(&mut self, ty: Type, optional: bool, rows: usize) -> (Vec<Literal>, ArrayRef) {
        let values: Vec<Literal> =
            (0..rows).map(|_| if optional && self.below(3) == 0 { NONE } else { one_zero(self.value(ty)) }).collect();
        let array: ArrayRef = match ty {
            Type::DateTimeNaive | Type::DateTimeUtc | Type::Duration => {
                let ints = Int64Array::from_iter(values.iter().map(Literal::as_int));
                ty.int_array(ints.values().clone(), ints.nulls().cloned())
            }
            Type::Bool => Arc::new(BooleanArray::from_iter(values.iter().map(|value| match value {
                Literal::Bool(value) => Some(*value),
                _ => None,
            }))),
            Type::Int => Arc::new(Int64Array::from_iter(values.iter().map(|value| match value {
                Literal::Int(value) => Some(*value),
                _ => None,
            }))),
            Type::Float => Arc::new(Float64Array::from_iter(values.iter().map(|value| match value {
                Literal::Float(value) => Some(*value),
                _ => None,
            }))),
            Type::Str => Arc::new(StringArray::from_iter(values.iter().map(|value| match value {
                Literal::Str(value) => Some(value.to_string()),
                _ => None,
            }))),
            Type::Bytes | Type::Json | Type::Tuple(_) | Type::List(_) => unreachable!("not generated"),
        };
        (values, array)
    }
}

/// One row, and the types of expressions over it.
struct Row<'a> {
    schema: &'a Schema,
    columns: &'a [Vec<Literal>],
    row: usize,
}

type Cell = std::result::Result<Literal, Reason>;

impl Row<'_> {
    fn ty(&self, expr: &Expr) -> Option<Type> {
        let stage = stage(self.schema, &[], std::slice::from_ref(expr)).unwrap();
        stage.terms[stage.outputs[0].1.term.index()].ty.ty
    }

    /// The value, as a float if that is the type of the expression around it.
    fn branch(&self, part: &Expr, around: &Expr) -> Cell {
        match self.eval(part)? {
            Literal::Int(value) if self.ty(around) == Some(Type::Float) => Ok(Literal::Float(value as f64)),
            value => Ok(value),
        }
    }

    /// The value. No operation gives -0.0 or a second NaN.
    fn eval(&self, expr: &Expr) -> Cell {
        self.as_written(expr).map(one_zero)
    }

    fn as_written(&self, expr: &Expr) -> Cell {
        match expr.kind() {
            ExprKind::Column(column) => Ok(self.columns[self.schema.index_of(&column.name).unwrap()][self.row].clone()),
            ExprKind::Literal(value) => Ok(value.clone()),
            ExprKind::Unary(op, a) => unary(*op, self.eval(a)?),
            ExprKind::Binary(op, a, b) => {
                let (left, right) = (self.eval(a)?, self.eval(b)?);
                let float = matches!(b.kind(), ExprKind::Literal(Literal::Int(b)) if *b < 0 && *op == BinaryOp::Pow);
                binary(*op, left, right, float)
            }
            ExprKind::IfElse(condition, a, b) => {
                let chosen = if self.eval(condition)? == Literal::Bool(true) { a } else { b };
                self.branch(chosen, expr)
            }
            ExprKind::Coalesce(arguments) => {
                for argument in arguments {
                    let value = self.branch(argument, expr)?;
                    if value != NONE {
                        return Ok(value);
                    }
                }
                Ok(NONE)
            }
            ExprKind::FillError(a, b) => self.branch(a, expr).or_else(|_| self.branch(b, expr)),
            ExprKind::Cast(a, to) => cast(self.eval(a)?, *to),
            ExprKind::Text(function, operands) => {
                let operands =
                    operands.iter().map(|operand| self.eval(operand)).collect::<std::result::Result<Vec<_>, _>>()?;
                if operands.contains(&NONE) { Ok(NONE) } else { text(function, &operands) }
            }
            ExprKind::Time(function, operands) => {
                let operands =
                    operands.iter().map(|operand| self.eval(operand)).collect::<std::result::Result<Vec<_>, _>>()?;
                if operands.contains(&NONE) { Ok(NONE) } else { time(function, &operands) }
            }
            ExprKind::Get(pieces, number, Some(default)) => {
                let ExprKind::Text(function, operands) = pieces.kind() else { unreachable!("not generated") };
                let operands =
                    operands.iter().map(|operand| self.eval(operand)).collect::<std::result::Result<Vec<_>, _>>()?;
                let pieces = if operands.contains(&NONE) { None } else { Some(split(function, &operands)?) };
                let (Literal::Int(number), Some(pieces)) = (self.eval(number)?, pieces) else { return Ok(NONE) };
                let count = pieces.len() as i128;
                let place = i128::from(number) + if number < 0 { count } else { 0 };
                let piece = usize::try_from(place).ok().and_then(|place| pieces.get(place));
                piece.map_or_else(|| self.eval(default), |piece| Ok(Literal::Str(piece.as_str().into())))
            }
            ExprKind::Tuple(_) | ExprKind::Get(..) | ExprKind::JsonAs(..) | ExprKind::Reducer(..) => {
                unreachable!("not generated")
            }
        }
    }
}

/// Letter by letter.
fn split(function: &TextFunction, operands: &[Literal]) -> std::result::Result<Vec<String>, Reason> {
    let (mut text, mut separator, mut most) = (vec![], Option::None, i64::MAX);
    for (i, operand) in operands.iter().enumerate() {
        match operand {
            Literal::Str(letters) if i == 0 => text = letters.chars().collect::<Vec<char>>(),
            Literal::Str(letters) => separator = Some(letters.chars().collect::<Vec<char>>()),
            Literal::Int(count) => most = if *count < 0 { i64::MAX } else { *count },
            other => unreachable!("{function:?} of {other}"),
        }
    }
    if separator.as_ref().is_some_and(Vec::is_empty) {
        return Err(Reason::EmptySeparator);
    }
    let (mut pieces, mut piece, mut i) = (vec![], String::new(), 0);
    while i < text.len() {
        let cut = match &separator {
            Some(separator) if text[i..].starts_with(separator) => separator.len(),
            Option::None if text[i] == ' ' => 1,
            _ => 0,
        };
        let may = (pieces.len() as i64) < most;
        match (&separator, cut > 0) {
            // White space before a piece is no piece.
            (Option::None, true) if piece.is_empty() => i += 1,
            (_, true) if may => {
                pieces.push(std::mem::take(&mut piece));
                i += cut;
            }
            _ => {
                piece.push(text[i]);
                i += 1;
            }
        }
    }
    if separator.is_some() || !piece.is_empty() {
        pieces.push(piece);
    }
    Ok(pieces)
}

/// With a vector of letters for the text.
fn text(function: &TextFunction, operands: &[Literal]) -> Cell {
    use Literal::{Bool, Int, Str};
    let letters = |i: usize| match &operands[i] {
        Str(text) => text.chars().collect::<Vec<char>>(),
        other => unreachable!("{other} is no text"),
    };
    let int = |i: usize| match &operands[i] {
        Int(value) => *value,
        other => unreachable!("{other} is no int"),
    };
    let found = |value: Option<Literal>, optional| match value {
        Option::None if optional => Ok(NONE),
        value => value.ok_or(Reason::Unreadable),
    };
    let whole = letters(0);
    let text: String = whole.iter().collect();
    let str = |letters: &[char]| Str(letters.iter().collect::<String>().into());
    let places = |part: &[char]| -> Vec<usize> {
        let mut places = vec![];
        for i in 0..=whole.len() {
            let free = places.last().is_none_or(|last| i >= last + part.len());
            if free && whole[i..].starts_with(part) {
                places.push(i);
            }
        }
        places
    };
    Ok(match function {
        TextFunction::Lower => Str(text.to_lowercase().into()),
        TextFunction::Upper => Str(text.to_uppercase().into()),
        TextFunction::Strip => {
            let out = match operands.len() {
                1 => vec![' '],
                _ => letters(1),
            };
            let start = whole.iter().position(|c| !out.contains(c)).unwrap_or(whole.len());
            let end = whole.iter().rposition(|c| !out.contains(c)).map_or(start, |last| last + 1);
            str(&whole[start..end])
        }
        TextFunction::Len => Int(whole.len() as i64),
        TextFunction::StartsWith => Bool(whole.starts_with(&letters(1))),
        TextFunction::EndsWith => Bool(whole.ends_with(&letters(1))),
        TextFunction::Contains => Bool(!places(&letters(1)).is_empty()),
        TextFunction::Find => Int(places(&letters(1)).first().map_or(-1, |place| *place as i64)),
        TextFunction::Count => Int(places(&letters(1)).len() as i64),
        TextFunction::Replace => {
            let (old, new) = (letters(1), letters(2));
            let count = if operands.len() == 4 { int(3) } else { -1 };
            let mut replaced = vec![];
            let mut rest = 0;
            for place in places(&old).into_iter().take(usize::try_from(count).unwrap_or(usize::MAX)) {
                replaced.extend_from_slice(&whole[rest..place]);
                replaced.extend_from_slice(&new);
                rest = place + old.len();
            }
            replaced.extend_from_slice(&whole[rest..]);
            str(&replaced)
        }
        TextFunction::Slice => {
            let len = whole.len() as i128;
            let place = |at: i64| i128::from(at) + if at < 0 { len } else { 0 };
            let (start, end) = (place(int(1)), place(int(2)));
            let kept = whole.iter().enumerate().filter(|(i, _)| (start..end).contains(&(*i as i128)));
            str(&kept.map(|(_, c)| *c).collect::<Vec<char>>())
        }
        TextFunction::Split | TextFunction::SplitWhitespace => unreachable!("generated in an element only"),
        TextFunction::ParseInt { optional } => return found(crate::python_repr::parse_int(&text).map(Int), *optional),
        TextFunction::ParseFloat { optional } => {
            return found(crate::python_repr::parse_float(&text).map(Literal::Float), *optional);
        }
        TextFunction::ParseBool { optional, .. } => {
            let value = match text.to_lowercase().as_str() {
                "on" | "true" | "yes" | "1" => Some(Bool(true)),
                "off" | "false" | "no" | "0" => Some(Bool(false)),
                _ => Option::None,
            };
            return found(value, *optional);
        }
    })
}

/// In 128 bits, and the parts of a point of its text.
fn time(function: &TimeFunction, operands: &[Literal]) -> Cell {
    let ty = function.ty(operands[0].ty().unwrap());
    let wide = |i: usize| i128::from(operands[i].as_int().unwrap());
    let found = match function {
        TimeFunction::Part(part) => {
            let text = crate::time::text(Type::DateTimeNaive, operands[0].as_int().unwrap());
            let number = |from: usize, to: usize| text[from..to].parse::<i128>().unwrap();
            let fraction = format!("{:0<9}", text.get(20..).unwrap_or(""));
            match part {
                TimePart::Year => number(0, 4),
                TimePart::Month => number(5, 7),
                TimePart::Day => number(8, 10),
                TimePart::Weekday => {
                    // T. Sakamoto's: Sunday is 0.
                    let (month, day) = (number(5, 7), number(8, 10));
                    let year = number(0, 4) - i128::from(month < 3);
                    let shift = [0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4][month as usize - 1];
                    (year + year / 4 - year / 100 + year / 400 + shift + day + 6) % 7
                }
                TimePart::Hour => number(11, 13),
                TimePart::Minute => number(14, 16),
                TimePart::Second => number(17, 19),
                TimePart::Millisecond => fraction[..3].parse().unwrap(),
                TimePart::Microsecond => fraction[..6].parse().unwrap(),
                TimePart::Nanosecond => fraction.parse().unwrap(),
            }
        }
        TimeFunction::Whole(unit) => wide(0) / i128::from(unit.ns()),
        TimeFunction::Timestamp(None) => wide(0),
        TimeFunction::Timestamp(Some(unit)) => {
            let ns = i128::from(unit.ns());
            return Ok(Literal::Float((wide(0) / ns) as f64 + (wide(0) % ns) as f64 / ns as f64));
        }
        TimeFunction::FromTimestamp { unit, .. } => match operands[0] {
            Literal::Float(value) if !(value * unit.ns() as f64).is_finite() => return Err(Reason::IntOverflow),
            Literal::Float(value) => (value * unit.ns() as f64).round() as i128,
            _ => wide(0) * i128::from(unit.ns()),
        },
        TimeFunction::Floor | TimeFunction::Round => {
            let step = wide(1).abs();
            if step == 0 {
                return Err(Reason::DivisionByZero);
            }
            let half = if *function == TimeFunction::Round { step } else { 0 };
            (2 * wide(0) + half).div_euclid(2 * step) * step
        }
        TimeFunction::Strftime(format) => {
            let text = crate::time::text(Type::DateTimeNaive, operands[0].as_int().unwrap());
            let fraction = format!("{:0<9}", text.get(20..).unwrap_or(""));
            let written = format.text().replace("%Y-%m-%d", "%F").replace("%F", &text[..10]);
            let written = written.replace("%H:%M:%S", &text[11..19]).replace("%9f", &fraction);
            return Ok(Literal::Str(written.replace("%f", &fraction[..6]).replace("%z", "+0000").into()));
        }
        TimeFunction::Strptime { .. } => {
            let Literal::Str(text) = &operands[0] else { unreachable!("the type check wants text") };
            let text = text.replace("+0000", "").replace(' ', "T");
            return Ok(Literal::of_int(ty, read_time(Type::DateTimeNaive, &text)?));
        }
        TimeFunction::ToUtc(_) => wide(0) + 5 * i128::from(TimeUnit::Hours.ns()),
        TimeFunction::ToNaive(_) => wide(0) - 5 * i128::from(TimeUnit::Hours.ns()),
    };
    i64::try_from(found).map(|value| Literal::of_int(ty, value)).map_err(|_| Reason::IntOverflow)
}

fn read_time(ty: Type, text: &str) -> std::result::Result<i64, Reason> {
    let is_outside = crate::time::is_outside(ty, text.as_bytes());
    crate::time::read(ty, text.as_bytes()).ok_or(if is_outside { Reason::IntOverflow } else { Reason::Unreadable })
}

fn unary(op: UnaryOp, a: Literal) -> Cell {
    Ok(match (op, a) {
        (UnaryOp::IsNone, a) => Literal::Bool(a == NONE),
        (UnaryOp::IsNotNone, a) => Literal::Bool(a != NONE),
        (UnaryOp::Unwrap, Literal::None) => return Err(Reason::Null),
        (UnaryOp::Unwrap, a) => a,
        (_, Literal::None) => NONE,
        (UnaryOp::Neg, Literal::Int(a)) => Literal::Int(a.checked_neg().ok_or(Reason::IntOverflow)?),
        (UnaryOp::Neg, Literal::Duration(a)) => Literal::Duration(a.checked_neg().ok_or(Reason::IntOverflow)?),
        (UnaryOp::Neg, Literal::Float(a)) => Literal::Float(-a),
        (UnaryOp::Abs, Literal::Int(a)) => Literal::Int(a.checked_abs().ok_or(Reason::IntOverflow)?),
        (UnaryOp::Abs, Literal::Duration(a)) => Literal::Duration(a.checked_abs().ok_or(Reason::IntOverflow)?),
        (UnaryOp::Abs, Literal::Float(a)) => Literal::Float(a.abs()),
        (UnaryOp::Not, Literal::Int(a)) => Literal::Int(!a),
        (UnaryOp::Not, Literal::Bool(a)) => Literal::Bool(!a),
        (op, a) => unreachable!("{op:?} {a}"),
    })
}

fn binary(op: BinaryOp, a: Literal, b: Literal, float: bool) -> Cell {
    use BinaryOp::*;
    use Literal::*;
    match op {
        Eq => return Ok(Bool(order(&a, &b) == Some(std::cmp::Ordering::Equal))),
        Ne => return Ok(Bool(order(&a, &b) != Some(std::cmp::Ordering::Equal))),
        And if a == Bool(false) || b == Bool(false) => return Ok(Bool(false)),
        Or if a == Bool(true) || b == Bool(true) => return Ok(Bool(true)),
        _ if a == NONE || b == NONE => return Ok(NONE),
        Lt => return Ok(Bool(order(&a, &b).is_some_and(|order| order.is_lt()))),
        Le => return Ok(Bool(order(&a, &b).is_some_and(|order| order.is_le()))),
        Gt => return Ok(Bool(order(&a, &b).is_some_and(|order| order.is_gt()))),
        Ge => return Ok(Bool(order(&a, &b).is_some_and(|order| order.is_ge()))),
        _ => {}
    }
    if let (Some(x), Some(y)) = (a.ty().filter(|ty| *ty != Type::Int), b.ty())
        && (x.is_time() || y.is_time())
    {
        let (left, right) = (a.as_int().unwrap(), b.as_int().unwrap());
        let ty = match (op, x.is_point(), y.is_point()) {
            (_, true, true) => Type::Duration,
            (_, true, false) => x,
            (_, false, true) => y,
            (FloorDiv, ..) if y == Type::Duration => Type::Int,
            _ => Type::Duration,
        };
        return int(op, left, right).map(|value| Literal::of_int(ty, value));
    }
    match (a, b) {
        (Int(a), Duration(b)) => int(op, a, b).map(Duration),
        (Bool(a), Bool(b)) => Ok(Bool(match op {
            And => a & b,
            Or => a | b,
            _ => a ^ b,
        })),
        (Str(a), Str(b)) => Ok(Str(format!("{a}{b}").into())),
        (Int(a), Int(b)) if op != Div && !float => int(op, a, b).map(Int),
        (Int(a), Int(b)) => floats(op, a as f64, b as f64),
        (Int(a), Float(b)) => floats(op, a as f64, b),
        (Float(a), Int(b)) => floats(op, a, b as f64),
        (Float(a), Float(b)) => floats(op, a, b),
        (a, b) => unreachable!("{a} {op:?} {b}"),
    }
}

/// In 128 bits, then checked.
fn int(op: BinaryOp, a: i64, b: i64) -> std::result::Result<i64, Reason> {
    use BinaryOp::*;
    let (x, y) = (i128::from(a), i128::from(b));
    let wide = match op {
        Add => x + y,
        Sub => x - y,
        Mul => x * y,
        FloorDiv | Mod if b == 0 => return Err(Reason::DivisionByZero),
        FloorDiv => (x - x.rem_euclid(y.abs()) - if y < 0 && x.rem_euclid(y.abs()) != 0 { y } else { 0 }) / y,
        Mod => match x.rem_euclid(y.abs()) {
            remainder if y < 0 && remainder != 0 => remainder + y,
            remainder => remainder,
        },
        Pow if b < 0 => return Err(Reason::Power),
        Pow if a == 0 || a == 1 => {
            if b == 0 {
                1
            } else {
                x
            }
        }
        Pow if a == -1 => {
            if b % 2 == 0 {
                1
            } else {
                -1
            }
        }
        Pow => (0..b.min(64)).try_fold(1i128, |power, _| power.checked_mul(x)).unwrap_or(i128::MAX),
        And => x & y,
        Or => x | y,
        _ => x ^ y,
    };
    i64::try_from(wide).map_err(|_| Reason::IntOverflow)
}

fn floats(op: BinaryOp, a: f64, b: f64) -> Cell {
    use BinaryOp::*;
    let modulo = |a: f64, b: f64| {
        let remainder = a % b;
        match remainder == 0.0 {
            true => 0f64.copysign(b),
            false if (remainder < 0.0) != (b < 0.0) => remainder + b,
            false => remainder,
        }
    };
    Ok(Literal::Float(match op {
        Add => a + b,
        Sub => a - b,
        Mul => a * b,
        Div | FloorDiv | Mod if b == 0.0 => return Err(Reason::DivisionByZero),
        Div => a / b,
        Mod => modulo(a, b),
        FloorDiv => {
            let remainder = a % b;
            let whole = (a - remainder) / b;
            let whole = if remainder != 0.0 && (remainder < 0.0) != (b < 0.0) { whole - 1.0 } else { whole };
            match whole == 0.0 {
                true => 0f64.copysign(a / b),
                false if whole - whole.floor() > 0.5 => whole.floor() + 1.0,
                false => whole.floor(),
            }
        }
        _ if a == 0.0 && b < 0.0 && b.is_finite() => return Err(Reason::DivisionByZero),
        _ if a.is_finite() && a < 0.0 && b.is_finite() && b.fract() != 0.0 => return Err(Reason::Power),
        _ if a.is_finite() && b.is_finite() && a.powf(b).is_infinite() => return Err(Reason::FloatOverflow),
        _ => a.powf(b),
    }))
}

/// Where both are integers of 128 bits, exactly; otherwise as floats.
fn order(a: &Literal, b: &Literal) -> Option<std::cmp::Ordering> {
    use Literal::*;
    match (a, b) {
        (Literal::None, Literal::None) => Some(std::cmp::Ordering::Equal),
        (Bool(a), Bool(b)) => Some(a.cmp(b)),
        (Str(a), Str(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
        (Int(a), Int(b)) => Some(a.cmp(b)),
        (Int(a), Float(b)) if b.fract() == 0.0 && b.abs() < 1e30 => Some(i128::from(*a).cmp(&(*b as i128))),
        (Float(a), Int(b)) if a.fract() == 0.0 && a.abs() < 1e30 => Some((*a as i128).cmp(&i128::from(*b))),
        (Int(a), Float(b)) => (*a as f64).partial_cmp(b),
        (Float(a), Int(b)) => a.partial_cmp(&(*b as f64)),
        (Float(a), Float(b)) => a.partial_cmp(b),
        _ => Some(a.as_int()?.cmp(&b.as_int()?)),
    }
}

fn cast(a: Literal, to: Type) -> Cell {
    use Literal::*;
    Ok(match (a.clone(), to) {
        (Literal::None, _) => NONE,
        (Bool(a), Type::Int) => Int(a.into()),
        (Bool(a), Type::Float) => Float(if a { 1.0 } else { 0.0 }),
        (Bool(a), Type::Str) => Str(if a { "True" } else { "False" }.into()),
        (Int(a), Type::Bool) => Bool(a != 0),
        (Int(a), Type::Float) => Float(a as f64),
        (Int(a), Type::Str) => Str(a.to_string().into()),
        (Float(a), Type::Bool) => Bool(a != 0.0),
        (Float(a), Type::Int) if !a.is_finite() || a.abs() > 1e30 => return Err(Reason::NotAnInt),
        (Float(a), Type::Int) => Int(i64::try_from(a as i128).map_err(|_| Reason::NotAnInt)?),
        (Float(a), Type::Str) => Str(crate::python_repr::float(a).into()),
        (Str(a), to) if to.is_time() => Literal::of_int(to, read_time(to, a.trim())?),
        (DateTimeNaive(_) | DateTimeUtc(_) | Duration(_), Type::Str) => {
            Str(crate::time::text(a.ty().unwrap(), a.as_int().unwrap()).into())
        }
        (Str(a), Type::Bool) => Bool(crate::python_repr::parse_bool(&a).ok_or(Reason::Unreadable)?),
        (Str(a), Type::Int) => Int(crate::python_repr::parse_int(&a).ok_or(Reason::Unreadable)?),
        (Str(a), Type::Float) => Float(crate::python_repr::parse_float(&a).ok_or(Reason::Unreadable)?),
        (a, _) => a,
    })
}

fn one_zero(value: Literal) -> Literal {
    match value {
        Literal::Float(0.0) => Literal::Float(0.0),
        Literal::Float(value) if value.is_nan() => Literal::Float(f64::NAN),
        value => value,
    }
}

fn case(seed: u64) {
    let mut random = Random(seed);
    let rows = random.below(70);
    let names = TYPES.iter().flat_map(|ty| [(ty.to_string(), ty.required()), (format!("{ty}_opt"), ty.optional())]);
    let schema = Schema::new(names);
    let (columns, arrays): (Vec<_>, Vec<_>) =
        schema.columns().iter().map(|column| random.column(column.ty.ty, column.ty.optional, rows)).unzip();
    // As batches often are: parts of a longer array.
    let start = random.below(rows + 1);
    let columns: Vec<Vec<Literal>> = columns.iter().map(|column| column[start..].to_vec()).collect();
    let arrays: Vec<ArrayRef> = arrays.iter().map(|array| array.slice(start, rows - start)).collect();
    let rows = rows - start;

    let outputs: Vec<Expr> = (0..3)
        .map(|_| {
            let ty = random.one(&TYPES);
            random.expr(ty, 4, false)
        })
        .collect();
    let predicates: Vec<Expr> =
        (0..random.below(3)).map(|_| random.expr(Type::Bool, 3, false).fill_error(false)).collect();
    let row = |row| Row { schema: &schema, columns: &columns, row };

    // A saved plan gives the same.
    let whole = stage(&schema, &[], &made_again(&outputs)).unwrap();
    let mut batch = Batch::new(&whole, &arrays, rows, None);
    for (expr, (_, root)) in outputs.iter().zip(&whole.outputs) {
        let cells = batch.cells(root.term);
        assert!(
            cells.errors.is_none() || whole.fallible()[root.term.index()],
            "seed {seed}: {expr} is told not to fail"
        );
        let ty = whole.terms[root.term.index()].ty.ty.unwrap();
        for i in 0..rows {
            let (found, expected) = (cell(&cells, ty, i), row(i).eval(expr));
            assert!(found == expected, "seed {seed}, row {i}: {found:?}, not {expected:?}, for {expr}");
        }
    }

    let kept = |i: usize| predicates.iter().all(|predicate| row(i).eval(predicate) == Ok(Literal::Bool(true)));
    let kept: Vec<bool> = (0..rows).map(kept).collect();
    let left: Vec<usize> = (0..rows).filter(|i| kept[*i]).collect();
    let fails = left.iter().any(|i| outputs.iter().any(|expr| row(*i).eval(expr).is_err()));
    match stage(&schema, &predicates, &outputs).unwrap().apply(&arrays, rows, None) {
        Err(error) => assert!(fails, "seed {seed}: {error}"),
        Ok(mapped) => {
            assert!(!fails, "seed {seed}: an error is missing");
            let selection = mapped.selection.map_or(vec![true; rows], |bits| bits.values().iter().collect());
            assert_eq!(selection, kept, "seed {seed}");
            for (expr, array) in outputs.iter().zip(&mapped.columns) {
                assert_eq!(array.len(), left.len(), "seed {seed}");
                for (place, i) in left.iter().enumerate() {
                    let (found, expected) =
                        (Ok(value(array, row(*i).ty(expr).unwrap_or(Type::Bool), place)), row(*i).eval(expr));
                    assert!(found == expected, "seed {seed}, row {i}: {found:?}, not {expected:?}, for {expr}");
                }
            }
        }
    }
}

#[test]
fn columns_at_a_time_equal_rows_at_a_time() {
    for seed in 0..6000 {
        case(seed);
    }
}
