//! Tables of what expressions give, and a comparison with an interpreter that goes row by row.

mod nested;
mod oracle;
mod time;

use std::sync::Arc;

use arrow_array::{Float64Array, Int64Array, StringArray};

use super::*;
use crate::expr::{Expr, ExprKind, coalesce, col, if_else, lit};
use crate::functions::BoolWords;
use crate::terms::Terms;
use crate::typing::{self, RowScope};

const NONE: Literal = Literal::None;

/// A stage of these predicates and outputs over columns of `schema`.
pub(super) fn stage(schema: &Schema, predicates: &[Expr], outputs: &[Expr]) -> Result<MapStage> {
    let mut terms = Terms::default();
    let columns = typing::input_terms(&mut terms, schema);
    let mut scope = RowScope { schema, columns: &columns, in_reducer: false };
    let mut roots = Vec::new();
    for predicate in predicates {
        roots.push(typing::predicate(&mut terms, &mut scope, predicate)?);
    }
    for output in outputs {
        roots.push(typing::term(&mut terms, &mut scope, output)?);
    }
    let compacted = terms.compact(&roots, |input| input);
    let mut roots = compacted.roots.into_iter().map(|term| Root { term, origin: None });
    let predicates = roots.by_ref().take(predicates.len()).collect();
    let outputs = roots.enumerate().map(|(i, root)| (format!("out{i}"), root)).collect();
    Ok(MapStage::new(schema.clone(), compacted.terms, predicates, outputs))
}

/// The value or the reason of each cell of an output, with nothing made of errors.
pub(super) fn cell(cells: &Cells, ty: Type, row: usize) -> std::result::Result<Literal, Reason> {
    let row = if cells.constant { 0 } else { row };
    match cells.errors.as_ref().and_then(|errors| errors[row].parts()) {
        Some((_, reason)) => Err(reason),
        None => Ok(value(&cells.data.clone().into_array(ty), ty, row)),
    }
}

/// An array of `rows` times this value.
fn repeated(value: &Literal, ty: Type, rows: usize) -> ArrayRef {
    Cells::literal(value, ty).into_array(rows, ty)
}

fn literals(expr: &Expr, found: &mut Vec<Literal>) {
    let mut visit = |parts: &[&Expr]| parts.iter().for_each(|part| literals(part, found));
    match expr.kind() {
        ExprKind::Literal(value) if *value != NONE => found.push(value.clone()),
        ExprKind::Literal(_) | ExprKind::Column(_) | ExprKind::Reducer(..) => {}
        ExprKind::Unary(_, a) | ExprKind::Cast(a, _) | ExprKind::JsonAs(a, _) => visit(&[a]),
        // The key stays as it is: that of a tuple must be known.
        ExprKind::Get(a, _, default) => visit(&[&[a], default.as_ref().as_slice()].concat()),
        ExprKind::Binary(_, a, b) | ExprKind::FillError(a, b) => visit(&[a, b]),
        ExprKind::IfElse(a, b, c) => visit(&[a, b, c]),
        ExprKind::Coalesce(arguments)
        | ExprKind::Text(_, arguments)
        | ExprKind::Time(_, arguments)
        | ExprKind::Tuple(arguments) => visit(&arguments.iter().collect::<Vec<_>>()),
    }
}

/// The expression with those literals that `mask` has a bit for replaced by columns `c0`, `c1` and so on.
fn columnised(expr: &Expr, mask: usize, next: &mut usize) -> Expr {
    let mut part = |part: &Expr| columnised(part, mask, next);
    Expr::new(match expr.kind() {
        ExprKind::Literal(value) if *value != NONE => {
            *next += 1;
            let i = *next - 1;
            return if mask >> i & 1 == 1 { col(format!("c{i}")) } else { expr.clone() };
        }
        ExprKind::Literal(_) | ExprKind::Column(_) | ExprKind::Reducer(..) => return expr.clone(),
        ExprKind::Unary(op, a) => ExprKind::Unary(*op, part(a)),
        ExprKind::Cast(a, to) => ExprKind::Cast(part(a), *to),
        ExprKind::JsonAs(a, to) => ExprKind::JsonAs(part(a), *to),
        ExprKind::Get(a, key, default) => {
            let a = part(a);
            ExprKind::Get(a, key.clone(), default.as_ref().map(part))
        }
        ExprKind::Tuple(elements) => ExprKind::Tuple(elements.iter().map(part).collect()),
        ExprKind::Binary(op, a, b) => ExprKind::Binary(*op, part(a), part(b)),
        ExprKind::FillError(a, b) => ExprKind::FillError(part(a), part(b)),
        ExprKind::IfElse(a, b, c) => ExprKind::IfElse(part(a), part(b), part(c)),
        ExprKind::Coalesce(arguments) => ExprKind::Coalesce(arguments.iter().map(part).collect()),
        ExprKind::Text(function, operands) => ExprKind::Text(function.clone(), operands.iter().map(part).collect()),
        ExprKind::Time(function, operands) => ExprKind::Time(function.clone(), operands.iter().map(part).collect()),
    })
}

/// Checks an expression over literals, and the same with each choice of literals as columns of three rows.
#[track_caller]
fn check(expr: Expr, expected: &str) {
    let mut values = Vec::new();
    literals(&expr, &mut values);
    let types: Vec<Type> = values.iter().map(|value| value.ty().unwrap()).collect();
    let schema = Schema::new(types.iter().enumerate().map(|(i, ty)| (format!("c{i}"), ty.required())));
    let columns: Vec<ArrayRef> = values.iter().zip(&types).map(|(value, ty)| repeated(value, *ty, 3)).collect();
    for mask in 0..1 << values.len() {
        // An exponent that is no literal is not known to be negative.
        let keep = matches!(expr.kind(), ExprKind::Binary(BinaryOp::Pow, _, b)
            if matches!(b.kind(), ExprKind::Literal(Literal::Int(b)) if *b < 0));
        if keep && mask & 2 != 0 {
            continue;
        }
        let stage = stage(&schema, &[], &[columnised(&expr, mask, &mut 0)]).unwrap();
        let mut batch = Batch::new(&stage, &columns, 3, None);
        let cells = batch.cells(stage.outputs[0].1.term);
        assert!(cells.errors.is_none() || stage.fallible()[stage.outputs[0].1.term.index()], "{stage:?} fails");
        let ty = stage.terms[stage.outputs[0].1.term.index()].ty.ty.unwrap();
        for row in 0..3 {
            let found = match cell(&cells, ty, row) {
                Ok(value) => value.to_string(),
                Err(reason) => reason_text(reason, stage.terms[stage.outputs[0].1.term.index()].ty.ty),
            };
            assert_eq!(found, expected, "{stage:?}");
        }
    }
}

#[test]
fn division_is_pythons() {
    check(lit(7) / 2, "3.5");
    check(lit(6) / 3, "2.0");
    check(lit(7).floordiv(2), "3");
    check(lit(7).floordiv(-2), "-4");
    check(lit(-7).floordiv(2), "-4");
    check(lit(-7).floordiv(-2), "3");
    check(lit(-6).floordiv(2), "-3");
    check(lit(7) % 3, "1");
    check(lit(-7) % 3, "2");
    check(lit(7) % -3, "-2");
    check(lit(-7) % -3, "-1");
    check(lit(-6) % 3, "0");
    check(lit(i64::MIN) % lit(-1), "0");
}

#[test]
fn floats_divide_as_in_python() {
    check(lit(7.5).floordiv(2.0), "3.0");
    check(lit(-7.5).floordiv(2.0), "-4.0");
    check(lit(-7.5) % 2.0, "0.5");
    check(lit(7.5) % -2.0, "-0.5");
    check(lit(1.0).floordiv(0.1), "9.0");
    check(lit(1.0) % 0.1, "0.09999999999999995");
    check(lit(-0.0) % 3.0, "0.0");
    check(lit(-0.0), "0.0");
    check(-lit(0.0), "0.0");
    check(lit(0.0) * -1.0, "0.0");
    check(lit(0.0) / -3.0, "0.0");
    check(lit(-1e-300) * 1e-300, "0.0");
    check(lit(0.0).floordiv(-3.0), "0.0");
    check(lit(-1e-200).pow(3.0), "0.0");
    check(lit("-0.0").cast(Type::Float), "0.0");
    check(lit(" -0_0.0 ").str().parse_float(), "0.0");
    check(if_else(lit(false), lit(1.0), lit(-0.0)), "0.0");
    check(lit(6.0) % -3.0, "0.0");
    check(lit(-1.0).floordiv(f64::INFINITY), "-1.0");
    check(lit(-1.0) % f64::INFINITY, "inf");
    check(lit(f64::INFINITY).floordiv(2.0), "nan");
    check(lit(1e300).floordiv(1e-300), "inf");
    check(lit(7).floordiv(2.0), "3.0");
    check(lit(7.0) % 4, "3.0");
}

#[test]
fn division_by_zero_is_an_error_value() {
    for zero in [lit(0), lit(0.0), lit(-0.0)] {
        check(lit(1) / &zero, "division by zero");
        check(lit(1).floordiv(&zero), "division by zero");
        check(lit(1) % &zero, "division by zero");
        check(lit(0.0) / &zero, "division by zero");
    }
    check(lit(0).pow(-1), "division by zero");
}

#[test]
fn ints_outside_64_bits_are_error_values() {
    check(lit(i64::MAX) + 1, "the int is outside 64 bits");
    check(lit(i64::MIN) - 1, "the int is outside 64 bits");
    check(lit(i64::MAX) * 2, "the int is outside 64 bits");
    check(lit(i64::MIN).floordiv(-1), "the int is outside 64 bits");
    check(-lit(i64::MIN), "the int is outside 64 bits");
    check(lit(2).pow(63), "the int is outside 64 bits");
    check(lit(i64::MAX) + 1.0, "9.223372036854776e+18");
}

#[test]
fn powers_are_pythons() {
    check(lit(2).pow(10), "1024");
    check(lit(-2).pow(3), "-8");
    check(lit(0).pow(0), "1");
    check(lit(2).pow(-1), "0.5");
    check(lit(2.0).pow(0.5), "1.4142135623730951");
    check(lit(-1).pow(i64::MAX), "-1");
    check(lit(3).pow(1i64 << 40), "the int is outside 64 bits");
    check(lit(2).pow(-lit(1)), "the power is no number of its type");
    check(lit(-8.0).pow(0.5), "the power is no number of its type");
    check(lit(10.0).pow(400), "the float is too large");
    check(lit(0.0).pow(-1.0), "division by zero");
    check(lit(f64::INFINITY).pow(2), "inf");
}

#[test]
fn order_of_numbers_is_exact_and_has_no_place_for_nan() {
    check(lit(1).eq(1.0), "True");
    check(lit(2).lt(2.5), "True");
    check(lit(-2).gt(-2.5), "True");
    check(lit((1i64 << 53) + 1).eq((1i64 << 53) as f64), "False");
    check(lit((1i64 << 53) + 1).gt((1i64 << 53) as f64), "True");
    check(lit(i64::MAX).lt(9_223_372_036_854_775_808.0), "True");
    check(lit(i64::MIN).eq(-9_223_372_036_854_775_808.0), "True");
    check(lit(1).lt(f64::NAN), "False");
    check(lit(f64::NAN).ge(1), "False");
    check(lit(f64::NAN).ne(f64::NAN), "True");
    check(lit(f64::NAN).eq(1), "False");
    check(lit(0.0).eq(-0.0), "True");
    check(lit(-0.0).lt(0.0), "False");
}

#[test]
fn text_and_bools_compare() {
    check(lit("a").lt("b"), "True");
    check(lit("Z").lt("a"), "True");
    check(lit("").ge("a"), "False");
    check(lit("é").gt("z"), "True");
    check(lit("ab") + "c", "\"abc\"");
    check(lit(false).lt(true), "True");
    check(lit(true).le(false), "False");
    check(lit(true).eq(true), "True");
}

#[test]
fn equality_takes_null_as_a_value() {
    let none = || lit(NONE).cast(Type::Int);
    check(lit(NONE).eq(NONE), "True");
    check(none().eq(none()), "True");
    check(none().eq(1), "False");
    check(none().ne(1), "True");
    check(none().ne(none()), "False");
    check(lit(1).eq(NONE), "False");
    check(lit(1).ne(NONE), "True");
    check(none().lt(1), "None");
    check(none() + 1, "None");
    check(none().floordiv(0), "None");
    check(lit("a") + lit(NONE), "None");
}

#[test]
fn logic_with_an_unknown_operand() {
    let none = || lit(NONE).cast(Type::Bool);
    check(lit(false) & none(), "False");
    check(none() & true, "None");
    check(lit(true) | none(), "True");
    check(none() | false, "None");
    check(none() ^ true, "None");
    check(!none(), "None");
    check(!lit(true), "False");
    check(lit(6) & 3, "2");
    check(lit(6) | 3, "7");
    check(lit(6) ^ 3, "5");
    check(!lit(6), "-7");
    check((lit(1) / 0).gt(1) & false, "division by zero");
}

#[test]
fn branches_not_taken_do_not_fail() {
    check(if_else(lit(1).gt(0), 5, lit(1).floordiv(0)), "5");
    check(if_else(lit(1).gt(2), 5, lit(1).floordiv(0)), "division by zero");
    check(if_else((lit(1) / 0).gt(0), 1, 2), "division by zero");
    check(if_else(lit(NONE), 1, 2), "2");
    check(if_else(lit(true), 1, 2.5), "1.0");
    check(if_else(lit(true), NONE, "x"), "None");
    check(coalesce([lit(1), lit(1).floordiv(0)]), "1");
    check(coalesce([lit(NONE), lit(1).floordiv(0)]), "division by zero");
    check(coalesce([lit(1).floordiv(0), lit(1)]), "division by zero");
    check(coalesce([lit(NONE), lit(NONE), lit("x")]), "\"x\"");
    check(lit(1).floordiv(0).fill_error(7), "7");
    check(lit(1).floordiv(1).fill_error(7), "1");
    check(lit(1).floordiv(0).fill_error(NONE), "None");
    check((lit(1).floordiv(0) + 1).is_none(), "division by zero");
}

#[test]
fn casts_are_pythons() {
    use Type::*;
    check(lit(3.99).cast(Int), "3");
    check(lit(-3.99).cast(Int), "-3");
    check(lit(1e19).cast(Int), "the float is no int of 64 bits");
    check(lit(f64::NAN).cast(Int), "the float is no int of 64 bits");
    check(lit(-9_223_372_036_854_775_808.0).cast(Int), "-9223372036854775808");
    check(lit(3).cast(Float), "3.0");
    check(lit(1.0).cast(Str), "\"1.0\"");
    check(lit(1e16).cast(Str), "\"1e+16\"");
    check(lit(-7).cast(Str), "\"-7\"");
    check(lit(true).cast(Str), "\"True\"");
    check(lit(" 42 ").cast(Int), "42");
    check(lit("1_000").cast(Int), "1000");
    check(lit("4.2").cast(Int), "the text is not int");
    check(lit("4.2").cast(Float), "4.2");
    check(lit("x").cast(Float), "the text is not float");
    check(lit("TRUE").cast(Bool), "True");
    check(lit("yes").cast(Bool), "the text is not bool");
    check(lit(true).cast(Int), "1");
    check(lit(2).cast(Bool), "True");
    check(lit(0.0).cast(Bool), "False");
    check(lit(false).cast(Float), "0.0");
    check(lit(NONE).cast(Int).cast(Str), "None");
}

#[test]
fn unwrap_of_a_null_is_an_error_value() {
    check(lit(NONE).cast(Type::Str).unwrap(), "there is no value");
    check(lit(NONE).cast(Type::Int).unwrap().fill_error(3), "3");
    check(lit(1).unwrap(), "1");
}

/// Columns `a: int?`, `b: int`, `s: str` of five rows.
fn rows() -> (Schema, Vec<ArrayRef>) {
    let schema = Schema::new([("a", Type::Int.optional()), ("b", Type::Int.required()), ("s", Type::Str.required())]);
    let a = Int64Array::from(vec![Some(10), None, Some(30), Some(40), Some(50)]);
    let b = Int64Array::from(vec![1, 2, 0, 4, 0]);
    let s = StringArray::from(vec!["v", "w", "x", "y", "z"]);
    (schema, vec![Arc::new(a), Arc::new(b), Arc::new(s)])
}

#[test]
fn a_filter_spares_the_rows_that_it_drops() {
    let (schema, columns) = rows();
    let stage = stage(&schema, &[col("b").ne(0), col("a").gt(10)], &[col("s"), col("a").floordiv(col("b"))]).unwrap();
    let mapped = stage.apply(&columns, 5, None).unwrap();
    assert_eq!(mapped.rows, 1);
    assert_eq!(mapped.columns[0].as_ref(), &StringArray::from(vec!["y"]) as &dyn Array);
    assert_eq!(mapped.columns[1].as_ref(), &Int64Array::from(vec![10]) as &dyn Array);
    assert_eq!(mapped.selection, Some(BooleanArray::from(vec![false, false, false, true, false])));
}

#[test]
fn a_filter_may_use_what_a_later_filter_guards() {
    let (schema, columns) = rows();
    let ratio = col("a") / col("b");
    let stage = stage(&schema, &[col("b").ne(0), ratio.gt(0)], &[&ratio + 1]).unwrap();
    let mapped = stage.apply(&columns, 5, None).unwrap();
    assert_eq!(mapped.columns[0].as_ref(), &Float64Array::from(vec![11.0, 11.0]) as &dyn Array);
}

#[test]
fn columns_that_pass_are_not_copied() {
    let (schema, columns) = rows();
    let stage = stage(&schema, &[col("b").ge(0)], &[col("s"), col("b")]).unwrap();
    let mapped = stage.apply(&columns, 5, None).unwrap();
    assert!(Arc::ptr_eq(&mapped.columns[0], &columns[2]) && Arc::ptr_eq(&mapped.columns[1], &columns[1]));
    assert!(mapped.selection.is_none());
}

#[test]
fn an_error_shows_column_reason_and_the_values_of_the_row() {
    let (schema, columns) = rows();
    let outputs = [col("b"), (col("a") + 1).floordiv(col("b")) * 2];
    let stage = stage(&schema, &[col("s").gt("v")], &outputs).unwrap();
    let error = stage.apply(&columns, 5, None).unwrap_err();
    assert_eq!(error.kind(), millpond_error::ErrorKind::Input);
    assert_eq!(error.message(), "column \"out1\": division by zero in (a + 1).floordiv(b), where a = 30, b = 0");
}

#[test]
fn an_error_in_a_predicate_ends_the_run() {
    let (schema, columns) = rows();
    let stage = stage(&schema, &[(col("b") / (col("b") - 2)).gt(1)], &[col("s")]).unwrap();
    let error = stage.apply(&columns, 5, None).unwrap_err();
    assert_eq!(error.message(), "filter: division by zero in b / (b - 2), where b = 2");
}

#[test]
fn an_empty_batch_has_no_errors() {
    let (schema, columns) = rows();
    let columns: Vec<ArrayRef> = columns.iter().map(|column| column.slice(0, 0)).collect();
    let stage = stage(&schema, &[(lit(1) / 0).gt(1)], &[lit(1).floordiv(0), col("a") + 1]).unwrap();
    let mapped = stage.apply(&columns, 0, None).unwrap();
    assert_eq!((mapped.rows, mapped.columns[0].len(), mapped.columns[1].len()), (0, 0, 0));
}

#[test]
fn text_functions_are_pythons() {
    let text = |text: &str| lit(text).str();
    check(text("aÉΣ").lower(), "\"aéς\"");
    check(text("Straße").upper(), "\"STRASSE\"");
    check(text("\u{1f} \u{a0}x y\n").strip(), "\"x y\"");
    check(text("xyaxy").strip_of("yx"), "\"a\"");
    check(text("é𝄞").len(), "2");
    check(text("é𝄞e").find("e"), "2");
    check(text("é").find("e"), "-1");
    check(text("é").find(""), "0");
    check(text("aaaa").count("aa"), "2");
    check(text("é𝄞").count(""), "3");
    check(text("abc").contains("bc"), "True");
    check(text("abc").starts_with("b"), "False");
    check(text("abc").ends_with(""), "True");
    check(text("aaa").replace("a", "bb"), "\"bbbbbb\"");
    check(text("aaa").replace_first("a", "", 2), "\"a\"");
    check(text("aé").replace_first("", "-", 2), "\"-a-é\"");
    check(text("héllo").slice(1, -1), "\"éll\"");
    check(text("héllo").slice(i64::MIN, i64::MAX), "\"héllo\"");
    check(text("héllo").slice(4, 1), "\"\"");
    check(text("hello").slice(-3, 4), "\"ll\"");
    let shown = |list: Expr| list.cast(Type::Str);
    check(shown(text("a,,b,").split(",")), r#""[\"a\",\"\",\"b\",\"\"]""#);
    check(shown(text("").split(",")), r#""[\"\"]""#);
    check(shown(text("a, b, c").split_at_most(", ", 1)), r#""[\"a\",\"b, c\"]""#);
    check(shown(text("a,b").split_at_most(",", 0)), r#""[\"a,b\"]""#);
    check(shown(text(" a\u{a0} b ").split_whitespace()), r#""[\"a\",\"b\"]""#);
    check(shown(text(" a  b  c ").split_whitespace_at_most(1)), r#""[\"a\",\"b  c \"]""#);
    check(shown(text(" ").split_whitespace_at_most(i64::MAX)), r#""[]""#);
    check(shown(text("a").split(lit("").str().strip())), "the separator is empty");
}

#[test]
fn text_that_is_no_value_is_an_error_or_null() {
    let text = |text: &str| lit(text).str();
    check(text(" 1_000 ").parse_int(), "1000");
    check(text("1.0").parse_int(), "the text is not int");
    check(text("1.0").try_parse_int(), "None");
    check(text("x").try_parse_int().fill_error(1), "None");
    check(text("x").parse_int().fill_error(1), "1");
    check(text("-1e3").parse_float(), "-1000.0");
    check(text("").parse_float(), "the text is not float");
    check(text("").try_parse_float(), "None");
    check(text("YES").parse_bool(Default::default()), "True");
    check(text("y").parse_bool(Default::default()), "the text is not bool");
    check(text("y").try_parse_bool(BoolWords::new(["Y"], ["N"])), "True");
    check(text("yes").try_parse_bool(BoolWords::new(["Y"], ["N"])), "None");
}

#[test]
fn text_that_would_not_fit_a_column_is_an_error_value() {
    let column = |text: String| Arc::new(StringArray::from(vec![text])) as ArrayRef;
    let schema = Schema::new([("a", Type::Str.required()), ("b", Type::Str.required())]);
    let stage = stage(&schema, &[], &[col("a").str().replace("", col("b")).str().len()]).unwrap();
    let error = stage.apply(&[column("x".repeat(1 << 16)), column("y".repeat(1 << 16))], 1, None).unwrap_err();
    assert!(error.message().contains("the text is too long in a.str().replace(\"\", b)"), "{}", &error.message()[..99]);
}

#[test]
fn times_are_exact_to_the_nanosecond() {
    let (point, later) = (lit(Literal::DateTimeNaive(1)), lit(Literal::DateTimeNaive(3_600_000_000_000)));
    let (day, hour) = (lit(Literal::Duration(86_400_000_000_000)), lit(Literal::Duration(3_600_000_000_000)));
    check(&later - &point, "Duration(\"PT59M59.999999999S\")");
    check(&point + &day, "DateTimeNaive(\"1970-01-02T00:00:00.000000001\")");
    check(&day + &point, "DateTimeNaive(\"1970-01-02T00:00:00.000000001\")");
    check(&point - &day, "DateTimeNaive(\"1969-12-31T00:00:00.000000001\")");
    check(-(&day - &hour), "Duration(\"-PT23H\")");
    check(day.floordiv(&hour), "24");
    check((&hour - &day).floordiv(&day), "-1");
    check((&hour - &day) % &day, "Duration(\"PT1H\")");
    check(&hour * 36, "Duration(\"P1DT12H\")");
    check(2 * hour.clone(), "Duration(\"PT2H\")");
    check(hour.floordiv(0), "division by zero");
    check(&hour * (1_i64 << 40), "the Duration is outside 64 bits of nanoseconds");
    check(point.lt(&later), "True");
    check(later.cast(Type::Str), "\"1970-01-01T01:00:00\"");
    check(lit(" 1970-01-01T01:00+01:00 ").cast(Type::DateTimeUtc), "DateTimeUtc(\"1970-01-01T00:00:00Z\")");
    check(lit("noon").cast(Type::DateTimeNaive), "the text is not DateTimeNaive");
    check(lit("P1DT1M").cast(Type::Duration), "Duration(\"P1DT1M\")");
}
