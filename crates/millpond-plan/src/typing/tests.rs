use millpond_columns::types::ColumnType;

use super::*;
use crate::expr::{coalesce, col, if_else, lit};
use crate::functions::{TextFunction, TimeFunction};
use crate::methods::reducers::max;

/// Columns `b`, `i`, `f`, `s` of the four types, and the same, optional, with `_`.
fn schema() -> Schema {
    let types = [("b", Type::Bool), ("i", Type::Int), ("f", Type::Float), ("s", Type::Str)];
    let columns = types.into_iter().flat_map(|(name, ty)| {
        [(name.to_owned(), ty.required()), (format!("{name}_"), ColumnType { ty, optional: true })]
    });
    Schema::new(columns)
}

#[track_caller]
fn check(expr: Expr, expected: &str) {
    let found = match select(&schema(), &[("x".into(), expr)]) {
        Ok(schema) => schema.columns()[0].ty.name(),
        Err(error) => match error.hint() {
            Some(hint) => format!("{} ({hint})", error.message()),
            None => error.message().to_owned(),
        },
    };
    assert_eq!(found, expected);
}

#[test]
fn arithmetic_has_pythons_types() {
    check(col("i") + 1, "int");
    check(col("i") / 2, "float");
    check(col("i").floordiv(2), "int");
    check(col("i") % col("f"), "float");
    check(col("i_") * col("f"), "float?");
    check(col("i").pow(2), "int");
    check(col("i").pow(-2), "float");
    check(col("s") + "x", "str");
    check(col("i") + lit(Literal::None), "int?");
    check(-col("f_"), "float?");
}

#[test]
fn a_word_that_is_no_number_is_compared_as_text() {
    check(
        col("i").ne("x"),
        "column \"i\" is Type::Int, but the value \"x\" is Type::Str: cannot apply != to Type::Int and Type::Str \
         (col(\"i\").cast(Type::Str) is compared as text)",
    );
    check(
        col("i").ne("7"),
        "column \"i\" is Type::Int, but the value \"7\" is Type::Str: cannot apply != to Type::Int and Type::Str \
         (lit(\"7\").cast(Type::Int) reads a number from text)",
    );
}

#[test]
fn a_mismatch_names_both_columns_and_types() {
    check(
        col("s") - col("i"),
        "column \"s\" is Type::Str, but \"i\" is Type::Int: cannot apply - to Type::Str and Type::Int \
         (col(\"s\").cast(Type::Int) reads a number from text)",
    );
    check(
        col("s").eq(1),
        "column \"s\" is Type::Str, but the value 1 is Type::Int: cannot apply == to Type::Str and Type::Int \
         (col(\"s\").cast(Type::Int) reads a number from text)",
    );
    check(
        (col("b") & col("b_")) + 1,
        "`b & b_` is Type::Bool.optional(), but the value 1 is Type::Int: cannot apply + to Type::Bool.optional() and Type::Int \
         ((col(\"b\") & col(\"b_\")).cast(Type::Int) makes 1 of true and 0 of false)",
    );
    check(-col("s"), "column \"s\" is Type::Str: cannot apply - to Type::Str");
}

#[test]
fn an_error_has_the_line_of_the_innermost_expression() {
    let line = line!() + 1;
    let bad = col("s") - 1;
    let error = select(&schema(), &[("x".into(), bad + 2)]).unwrap_err();
    assert_eq!(error.origin().map(|origin| origin.line), Some(line));
}

#[test]
fn comparisons_are_bool_and_equality_is_never_null() {
    check(col("i").lt(col("f")), "bool");
    check(col("i_").lt(3), "bool?");
    check(col("i_").eq(3), "bool");
    check(col("s_").eq(lit(Literal::None)), "bool");
    check(lit(Literal::None).eq(lit(Literal::None)), "bool");
}

#[test]
fn branches_unify() {
    check(if_else(col("b"), col("i"), col("f")), "float");
    check(if_else(col("b"), col("i"), col("i_")), "int?");
    check(if_else(col("b"), col("s"), lit(Literal::None)), "str?");
    check(
        if_else(col("b"), col("s"), 1),
        "column \"s\" is Type::Str, but the value 1 is Type::Int: if_else cannot give one or the other",
    );
    check(if_else(col("i"), 1, 2), "column \"i\" is Type::Int, but if_else needs Type::Bool");
    check(coalesce([col("i_"), col("f_")]), "float?");
    check(coalesce([col("i_"), lit(0)]), "int");
    check(coalesce([lit(Literal::None), col("s")]), "str");
    check(coalesce(Vec::<Expr>::new()), "coalesce needs an argument");
}

#[test]
fn none_alone_has_no_type() {
    check(
        lit(Literal::None),
        "column \"x\" has no type: it is always None (say which: lit(Literal::None).cast(Type::Int))",
    );
    check(lit(Literal::None).cast(Type::Int), "int?");
}

#[test]
fn text_functions_need_text() {
    check(col("s").str().lower(), "str");
    check(col("s").str().find(col("s_")), "int?");
    check(col("s").str().slice(lit(Literal::None), 1), "str?");
    check(col("s").str().parse_float(), "float");
    check(col("s").str().try_parse_float(), "float?");
    check(
        (col("i") + 1).str().upper(),
        "`i + 1` is Type::Int, but str.upper needs Type::Str ((col(\"i\") + 1).cast(Type::Str))",
    );
    check(
        col("s").str().starts_with(1),
        "the value 1 is Type::Int, but argument 1 of str.startswith needs Type::Str (lit(1).cast(Type::Str))",
    );
    let short = Expr::new(ExprKind::Text(TextFunction::Find, vec![col("s")]));
    check(short, "str.find has 0 arguments, but takes 1");
    check(col("s").str().split(","), "list[str]");
    check(col("s_").str().split_whitespace_at_most(1), "list[str]?");
    check(
        col("s").str().split(""),
        "the separator of str.split is empty (without a separator, text is split at white space)",
    );
}

#[test]
fn functions_of_time_need_points_durations_or_timestamps() {
    use crate::functions::TimeUnit::Seconds;
    let point = col("i").dt().utc_from_timestamp(Seconds);
    check(point.clone(), "DateTimeUtc");
    check(col("i_").dt().from_timestamp(Seconds).dt().hour(), "int?");
    check(point.dt().timestamp(Seconds), "float");
    check(point.dt().timestamp_ns(), "int");
    check(point.dt().floor(std::time::Duration::from_secs(1)), "DateTimeUtc");
    check((&point - &point).dt().hours(), "int");
    check(
        col("i").dt().year(),
        "column \"i\" is Type::Int, but dt.year needs Type::DateTimeNaive or Type::DateTimeUtc",
    );
    check(
        point.dt().round(5),
        "the value 5 is Type::Int, but argument 1 of dt.round needs Type::Duration \
         (a duration is such as std::time::Duration::from_secs(300))",
    );
}

#[test]
fn formats_and_zones_are_checked() {
    use crate::functions::TimeUnit::Seconds;
    let (naive, utc) = (col("i").dt().from_timestamp(Seconds), col("i").dt().utc_from_timestamp(Seconds));
    check(naive.dt().strftime("%F"), "str");
    check(col("s").dt().strptime("%F"), "DateTimeNaive");
    check(col("s").dt().strptime("%F%z"), "DateTimeUtc");
    check(naive.dt().to_utc("Asia/Tokyo"), "DateTimeUtc");
    check(utc.dt().to_naive_in_timezone("Asia/Tokyo"), "DateTimeNaive");
    check(
        naive.dt().strftime("%F %Q"),
        "the format \"%F %Q\" cannot write a Type::DateTimeNaive: %Q is none of the words that it may have",
    );
    check(
        naive.dt().to_utc("Asia/Kyoto"),
        "there is no time zone \"Asia/Kyoto\" (names are those of the IANA database, such as \"Europe/Berlin\")",
    );
    check(col("i").dt().to_utc("UTC"), "column \"i\" is Type::Int, but dt.to_utc needs Type::DateTimeNaive");
    let zoned = Expr::new(ExprKind::Time(
        TimeFunction::Strptime { format: crate::TimeFormat::new("%F %T").into(), contains_timezone: Some(true) },
        vec![col("s")],
    ));
    check(
        zoned,
        "the format \"%F %T\" has no offset from UTC, but contains_timezone says otherwise \
         (%z reads an offset such as +0100, %:z one such as +01:00)",
    );
}

#[test]
fn a_time_is_made_of_a_number_and_a_number_of_a_time() {
    use crate::functions::TimeUnit::Seconds;
    let (naive, utc) = (col("i").dt().from_timestamp(Seconds), col("i").dt().utc_from_timestamp(Seconds));
    let hint = |expr: Expr| {
        let error = select(&schema(), &[("x".into(), expr)]).unwrap_err();
        error.hint().unwrap().replace("col(\"i\").dt().", "")
    };
    assert_eq!(
        hint(naive.cast(Type::Int)),
        "from_timestamp(TimeUnit::Seconds).dt().timestamp(TimeUnit::Seconds) is a number of seconds since 1970"
    );
    assert_eq!(
        hint((&naive - &naive).cast(Type::Float)),
        "(from_timestamp(TimeUnit::Seconds) - from_timestamp(TimeUnit::Seconds)).dt().seconds() is a number of seconds"
    );
    assert_eq!(
        hint(col("i").cast(Type::DateTimeNaive)),
        "from_timestamp(TimeUnit::Seconds) takes it for seconds since 1970"
    );
    assert_eq!(
        hint(col("f").cast(Type::DateTimeUtc)),
        "col(\"f\").dt().utc_from_timestamp(TimeUnit::Seconds) takes it for seconds since 1970"
    );
    assert_eq!(
        hint(utc.cast(Type::DateTimeNaive)),
        "utc_from_timestamp(TimeUnit::Seconds).dt().to_naive_in_timezone(\"Europe/Berlin\") makes one of the other"
    );
    assert_eq!(hint(col("b").cast(Type::Duration)), "points in time and durations are cast to and from Type::Str only");
}

#[test]
fn unwrap_makes_required() {
    check(col("i_").unwrap(), "int");
    check(col("i").unwrap(), "int");
}

#[test]
fn an_unknown_column_suggests_the_nearest() {
    let schema = Schema::new([("user_id", Type::Str.required()), ("access_time", Type::Int.required())]);
    let error = select(&schema, &[("x".into(), col("userid"))]).unwrap_err();
    assert_eq!(error.message(), "no column \"userid\": there are \"user_id\", \"access_time\"");
    assert_eq!(error.hint(), Some("did you mean \"user_id\"?"));
    assert_eq!(select(&schema, &[("x".into(), col("bytes"))]).unwrap_err().hint(), None);
}

#[test]
fn reducers_stand_in_a_reduce() {
    let error = select(&schema(), &[("x".into(), max(col("i")) + 1)]).unwrap_err();
    assert_eq!(error.message(), "`max(i)` is a reducer outside of a reduce");
}

#[test]
fn names_are_unique() {
    let error = select(&schema(), &[("x".into(), col("i")), ("x".into(), col("s"))]).unwrap_err();
    assert_eq!(error.message(), "select has two columns named \"x\"");
    let error = select(&schema(), &[(String::new(), col("i"))]).unwrap_err();
    assert_eq!(error.message(), "select has a column without a name");
}

#[test]
fn a_filter_needs_bool() {
    assert!(filter(&schema(), &col("b_")).is_ok());
    let error = filter(&schema(), &(col("i") + 1)).unwrap_err();
    assert_eq!(error.message(), "`i + 1` is Type::Int, but a filter needs Type::Bool");
}
