//! Hints that show code, in Rust: each stands in the program below it as it was given, and the program works.

#![allow(clippy::unwrap_used, reason = "a test")]

use millpond::{
    Expr, Literal, RunOptions, Table, TimeUnit, Type, Window, argmax, col, count, csv, debug, lit, make_tuple, max,
    session, sum, tumbling,
};

fn table() -> Table {
    debug::table_from_markdown("i | f | s | b | o\n1 | 1.5 | x | true |\n2 | 2.5 | y | false | 3")
}

#[track_caller]
fn check(mistake: &Table, hint: &str) {
    let error = mistake.schema().unwrap_err();
    assert_eq!(error.hint(), Some(hint), "{error}");
}

fn alone() -> RunOptions {
    RunOptions { workers: Some(1), ..RunOptions::default() }
}

#[track_caller]
fn works(table: &Table) {
    debug::collect(table.plan().unwrap(), &alone()).unwrap();
}

fn select(x: Expr) -> Table {
    table().select([("x", x)])
}

fn reduce(x: Expr) -> Table {
    table().groupby(["i"]).reduce([("x", x)])
}

/// The mistake, the words around the code in the hint, and what the program becomes with it.
macro_rules! hints {
    ($($name:ident: $mistake:expr, $before:literal $code:expr, $after:literal => $follow:expr;)*) => { $(
        #[test]
        fn $name() {
            check(&$mistake, &format!("{}{}{}", $before, stringify!($code), $after));
            works(&$follow($code));
        }
    )* };
}

hints! {
    text_and_a_number: select(col("s") + col("i")),
        "" col("i").cast(Type::Str), " makes text of it" => |code: Expr| select(col("s").cast(Type::Str) + code);
    bool_and_number: select(col("b") + col("i")),
        "" col("b").cast(Type::Int), " makes 1 of true and 0 of false" => |code: Expr| select(code + col("i"));
    always_none: select(lit(Literal::None)),
        "say which: " lit(Literal::None).cast(Type::Int), "" => select;
    text_method_of_a_number: select(col("i").str().len()),
        "" col("i").cast(Type::Str), "" => |code: Expr| select(code.str().len());
    floor_by_a_number: select(col("i").dt().from_timestamp(TimeUnit::Seconds).dt().floor(5)),
        "a duration is such as " std::time::Duration::from_secs(300), "" =>
            |code| select(col("i").dt().from_timestamp(TimeUnit::Seconds).dt().floor(code));
    column_outside_of_a_reducer: reduce(col("f")),
        "a group has many values of it; take one with a reducer, for example " max(col("f")), "" => reduce;
    argmax_of_one_argument: reduce(argmax_of_one()),
        "" argmax(col("f"), col("name")), " is the name of the row with the largest f; a row has no id" =>
            |code| table().with_columns([("name", col("s"))]).groupby(["i"]).reduce([("x", code)]);
    sum_of_bools: reduce(sum(col("b"))),
        "" col("b").cast(Type::Int), " makes 1 of true and 0 of false" => |code: Expr| reduce(sum(code));
    element_by_a_column: select(pair().item(col("i"))),
        "write the number of the element: " make_tuple([col("i"), col("f")]).item(0), "" => select;
    bool_as_the_time_of_a_session:
        table().windowby(col("b"), session().max_gap(3)).reduce([("n", count())]),
        "" col("b").cast(Type::Int), "" =>
            |code: Expr| table().windowby(code, session().max_gap(3)).reduce([("n", count())]);
    float_window_over_ints: table().windowby(col("i"), tumbling(0.5)).reduce([("n", count())]),
        "give a whole number, or take " col("i").cast(Type::Float), " as the time" =>
            |code: Expr| table().windowby(code, tumbling(0.5)).reduce([("n", count())]);
    the_window_as_a_tuple: table().windowby(col("i"), tumbling(5)).reduce([("x", col("_pw_window"))]),
        "" make_tuple([col("_pw_window_start"), col("_pw_window_end")]), "" =>
            |code: Expr| table().windowby(col("i"), tumbling(5)).reduce([("x", code)]);
    number_and_text: select(col("i") * text()),
        "" col("i").cast(Type::Str).cast(Type::Int), " reads a number from text" =>
            |code: Expr| select(col("i") * code);
    json_and_number: select(json() + 1),
        "" make_tuple([col("i")]).cast(Type::Json).item(0).as_int(),
        " makes an int of JSON; so do as_float(), as_str() and as_bool()" => |code: Expr| select(code + 1);
    none_in_a_tuple: select(make_tuple([lit(1), lit(Literal::None)])),
        "say which: " lit(Literal::None).cast(Type::Int), "" => |code: Expr| select(make_tuple([lit(1), code]));
    none_in_a_reducer: reduce(max(lit(Literal::None))),
        "say which: " lit(Literal::None).cast(Type::Int), "" => |code: Expr| reduce(max(code));
    argument_of_a_text_method: select(col("s").str().find(col("i"))),
        "" col("i").cast(Type::Str), "" => |code: Expr| select(col("s").str().find(code));
    point_of_the_other_kind: select(utc().dt().to_utc("Europe/Berlin")),
        "" col("i").dt().utc_from_timestamp(TimeUnit::Seconds).dt().to_naive_in_timezone("Europe/Berlin"),
        " makes one of the other" => select;
    unknown_time_zone: select(utc().dt().to_naive_in_timezone("Berlin")),
        "names are those of the IANA database, such as " "Europe/Berlin", "" =>
            |code| select(utc().dt().to_naive_in_timezone(code));
    point_as_a_number: select(utc().cast(Type::Int)),
        "" col("i").dt().utc_from_timestamp(TimeUnit::Seconds).dt().timestamp(TimeUnit::Seconds),
        " is a number of seconds since 1970" => select;
    number_as_a_point: select(col("i").cast(Type::DateTimeUtc)),
        "" col("i").dt().utc_from_timestamp(TimeUnit::Seconds), " takes it for seconds since 1970" => select;
    number_as_a_point_without_a_zone: select(col("f").cast(Type::DateTimeNaive)),
        "" col("f").dt().from_timestamp(TimeUnit::Seconds), " takes it for seconds since 1970" => select;
    value_as_json: select(text().as_int()),
        "" col("i").cast(Type::Str).cast(Type::Int), "" => select;
    cast_of_json: select(json().cast(Type::Int)),
        "" make_tuple([col("i")]).cast(Type::Json).item(0).as_int(), " reads it, and gives null for others" => select;
    sum_of_text: reduce(sum(text())),
        "col(\"i\").cast(Type::Str).cast(Type::Int) or " col("i").cast(Type::Str).cast(Type::Float), "" =>
            |code: Expr| reduce(sum(code));
    sum_of_json: reduce(sum(json())),
        "" make_tuple([col("i")]).cast(Type::Json).item(0).as_int(), " makes an int of JSON, or null" =>
            |code: Expr| reduce(sum(code));
    optional_time_of_a_session: windows(col("o"), session().max_gap(3)),
        "keep the rows that have one, .filter(col(\"o\").is_not_none()), and give " col("o").unwrap(), "" =>
            |code: Expr| table().filter(col("o").is_not_none()).windowby(code, tumbling(3)).reduce([("n", count())]);
    float_gap_over_ints: windows(col("i"), session().max_gap(0.5)),
        "give a whole number, or take " col("i").cast(Type::Float), " as the time" =>
            |code: Expr| windows(code, session().max_gap(0.5));
    number_as_a_gap_of_points: windows(utc(), session().max_gap(3)),
        "a duration is such as " std::time::Duration::from_secs(300), "" =>
            |code: std::time::Duration| windows(utc(), session().max_gap(code));
    number_as_a_duration: windows(utc(), tumbling(3)),
        "a duration is such as " std::time::Duration::from_secs(300), "" =>
            |code: std::time::Duration| windows(utc(), tumbling(code));
    predicate_that_is_no_bool: by_predicate(|a, b| b - a),
        "such as " |a, b| (b - a).lt(300), "" => by_predicate;
}

fn utc() -> Expr {
    col("i").dt().utc_from_timestamp(TimeUnit::Seconds)
}

fn text() -> Expr {
    col("i").cast(Type::Str)
}

fn json() -> Expr {
    make_tuple([col("i")]).cast(Type::Json).item(0)
}

fn windows(time: Expr, window: impl Into<Window>) -> Table {
    table().windowby(time, window).reduce([("n", count())])
}

fn by_predicate(predicate: impl FnOnce(Expr, Expr) -> Expr) -> Table {
    windows(col("i"), session().predicate(predicate))
}

fn argmax_of_one() -> Expr {
    Expr::reducer(millpond_plan::Reducer::ArgMax, [col("f")])
}

fn pair() -> Expr {
    make_tuple([col("i"), col("f")])
}

#[test]
fn types_are_said_as_rust_says_them() {
    let error = table().filter(col("o")).schema().unwrap_err();
    assert_eq!(error.message(), "column \"o\" is Type::Int.optional(), but a filter needs Type::Bool");
}

#[test]
fn tables_of_other_types_are_cast() {
    let other = table().select([("i", col("i").cast(Type::Str))]);
    check(
        &table().select([("i", col("i"))]).concat([&other]),
        "table 2 can be given as .cast_to_types([(\"i\", Type::Int)])",
    );
    works(&table().select([("i", col("i"))]).concat([&other.cast_to_types([("i", Type::Int)])]));
}

#[test]
fn tables_of_wider_types_are_not_cut() {
    let other = table().select([("i", col("f"))]);
    check(
        &table().select([("i", col("i"))]).concat([&other]),
        "table 1 can be given as .cast_to_types([(\"i\", Type::Float)])",
    );
    works(&table().select([("i", col("i"))]).cast_to_types([("i", Type::Float)]).concat([&other]));
}

#[test]
fn json_that_is_no_array_is_left_out_of_a_flatten() {
    let flat = table().select([("j", json())]).flatten("j");
    let error = debug::collect(flat.plan().unwrap(), &alone()).unwrap_err();
    let hint =
        ".cast(Type::list(Type::Json)).fill_error(Literal::None) instead: a value that is no array then gives no row";
    assert!(error.hint().is_some_and(|found| found.ends_with(hint)), "{error}");
    let arrays = col("j").cast(Type::list(Type::Json)).fill_error(Literal::None);
    works(&table().select([("j", json())]).with_columns([("j", arrays)]).flatten("j"));
}

#[test]
fn tables_are_identified() {
    check(&table().difference(&table()), "say which columns do, for example with_id_from([col(\"i\")])");
    let identified = || table().with_id_from([col("i")]);
    works(&identified().difference(&identified()));
}

#[test]
fn a_cell_that_cannot_be_computed_gets_a_value_or_its_row_is_left_out() {
    let quotient = || col("i").floordiv(col("i") - 1);
    let mistake = select(quotient());
    let error = debug::collect(mistake.plan().unwrap(), &alone()).unwrap_err();
    assert_eq!(
        error.hint(),
        Some(".fill_error(...) gives such cells a value, .remove_errors() drops their rows"),
        "{error}"
    );
    works(&select(quotient().fill_error(0)));
    works(&select(quotient()).remove_errors());
    let filtered = table().filter(quotient().gt(1));
    let error = debug::collect(filtered.plan().unwrap(), &alone()).unwrap_err();
    assert_eq!(error.hint(), Some(".filter(....fill_error(false)) leaves such rows out"), "{error}");
    works(&table().filter(quotient().gt(1).fill_error(false)));
}

#[test]
fn a_table_that_is_followed_is_never_complete() {
    let options = csv::read("logs", [("a", Type::Int)]).streaming(csv::Streaming::default()).table();
    let error = debug::collect(options.plan().unwrap(), &RunOptions::default()).unwrap_err();
    assert_eq!(error.hint(), Some("read it without .streaming(...)"));
}

/// On the 2 MiB of a test's thread.
#[test]
fn deep_programs_work_and_are_freed() {
    let mut sum = col("i");
    for _ in 0..2_500 {
        sum = sum + 1;
    }
    works(&select(sum));
    let wide = (0..4_096).fold(col("i"), |sum, _| sum + col("i"));
    works(&select(wide));
    let filtered = (0..4_000).fold(table(), |table, i| table.filter(col("i").gt(-i)));
    works(&filtered);
    let deep = (0..1_000_000).fold(col("i"), |deep, _| -deep);
    let error = select(deep.clone()).schema().unwrap_err();
    assert_eq!(error.message(), "an expression is 1000001 operations deep, but 10000 at most are possible");
    drop(deep);
    let columns = (0..10_000).fold(table(), |table, _| table.select([("i", col("i"))]));
    assert_eq!(columns.schema().unwrap().len(), 1);
}
