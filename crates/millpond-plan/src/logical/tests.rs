use std::collections::BTreeMap;

use expect_test::{Expect, expect};
use millpond_columns::types::Type;
use serde_json::json;

use super::*;
use crate::expr::{Expr, coalesce, col, if_else, left, lit};
use crate::functions::Reducer;
use crate::literal::Literal;
use crate::logical::session::{SessionGap, SessionWindow};
use crate::logical::window::{SlidingWindow, WindowLength};
use crate::methods::reducers::{
    any, argmax, argmin, count, count_distinct, earliest, latest, max, min, sum, tuple, unique,
};
use crate::physical::{Consolidate, Node as PlanNode, OperatorSpec, PhysicalPlan};

mod behavior;
mod combine;
mod explain;
mod flatten;
mod join;
mod saved;

fn here() -> Origin {
    Origin { file: "visits.py".into(), line: 12 }
}

fn source(name: Option<&str>, append_only: bool) -> Table {
    let schema = Schema::new([
        ("user_id", Type::Str.required()),
        ("access_time", Type::Int.required()),
        ("page", Type::Str.optional()),
        ("bytes", Type::Int.optional()),
    ]);
    let name = name.map(str::to_owned);
    let description = json!({"delimiter": ","});
    Table::source(SourceDecl {
        name,
        kind: "csv".into(),
        schema,
        append_only,
        description,
        origin: here(),
        connector: Arc::new(()),
    })
    .unwrap()
}

fn named<const N: usize>(columns: [(&str, Expr); N]) -> Vec<(String, Expr)> {
    columns.into_iter().map(|(name, expr)| (name.to_owned(), expr)).collect()
}

fn sink(table: Table, keeps_table: bool) -> SinkDecl {
    let description = json!({"path": "out.csv"});
    SinkDecl {
        table,
        name: String::new(),
        kind: "csv".into(),
        description,
        keeps_table,
        origin: here(),
        connector: Arc::new(()),
    }
}

fn by_user(max_gap: i64) -> SessionWindow {
    let (time, instance) = (col("access_time"), Some(col("user_id")));
    SessionWindow { time, gap: SessionGap::Most(lit(max_gap)), instance, behavior: None }
}

/// The tutorial's sessions.
fn sessions(visits: &Table) -> Table {
    let time = || col("access_time");
    let outputs = named([
        ("user_id", col("user_id")),
        ("session_length", max(time()) - min(time())),
        ("session_start", min(time())),
        ("session_finish", max(time())),
        ("count", count()),
    ]);
    visits.session_reduce(by_user(300), outputs, &here()).unwrap()
}

fn plan<const N: usize>(tables: [Table; N]) -> PhysicalPlan {
    let plan = lower(tables.into_iter().map(|table| sink(table, false)).collect(), OnError::default()).unwrap();
    saved::check_made_again(&plan);
    plan
}

#[track_caller]
fn check<const N: usize>(tables: [Table; N], expected: Expect) {
    expected.assert_eq(&plan(tables).to_string());
}

/// The descriptions of all steps, by name.
fn descriptions(plan: &PhysicalPlan) -> BTreeMap<String, String> {
    let steps = plan.nodes.iter().filter_map(|node| node.step.as_ref());
    steps.map(|step| (step.name.clone(), step.description.to_string())).collect()
}

#[test]
fn the_sessions_of_the_tutorial_need_no_accumulator_but_count() {
    check(
        [sessions(&source(None, false))],
        expect![[r#"
        0: source "csv-0": user_id: str, access_time: int
        1: session 0 "csv-0/session-0" (full) instance [0] time 1 max_gap 300: count()
        2: map 1 user_id = _pw_instance, session_length = _pw_window_end - _pw_window_start, session_start = _pw_window_start, session_finish = _pw_window_end, count = count()
        3: sink 2 csv
    "#]],
    );
}

#[test]
fn pruning_reaches_the_source_and_a_plain_column_needs_no_map() {
    let visits = source(Some("visits"), true);
    check(
        [visits.select(named([("page", col("page"))]), &here()).unwrap()],
        expect![[r#"
        0: source "visits" (append-only): page: str?
        1: sink 0 csv
    "#]],
    );
    check(
        [source(None, true)],
        expect![[r#"
        0: source "csv-0" (append-only): user_id: str, access_time: int, page: str?, bytes: int?
        1: sink 0 csv
    "#]],
    );
}

#[test]
fn selects_and_filters_before_a_keyed_operator_are_one_map() {
    let minute = source(None, true)
        .filter(col("access_time").gt(1000), &here())
        .unwrap()
        .with_columns(named([("minute", col("access_time").floordiv(60)), ("unused", col("bytes") + 1)]), &here())
        .unwrap()
        .filter(col("minute").ne(7), &here())
        .unwrap();
    let per_minute = minute
        .group_reduce(
            named([("user_id", col("user_id")), ("minute", col("minute"))]),
            named([("minute", col("minute") * 60), ("user", col("user_id")), ("last", max(col("access_time")))]),
            &here(),
        )
        .unwrap();
    check(
        [per_minute],
        expect![[r#"
        0: source "csv-0" (append-only): user_id: str, access_time: int
        1: map 0 where access_time > 1000 and access_time // 60 != 7: user_id, minute = access_time // 60, access_time
        2: reduce 1 "csv-0/reduce-0" (append-only) key [0, 1]: max(2)
        3: map 2 (consolidate by row) minute = minute * 60, user = user_id, last = max(access_time)
        4: sink 3 csv
    "#]],
    );
}

#[test]
fn maps_after_a_keyed_operator_are_one_map() {
    let long = sessions(&source(None, false)).filter(col("session_length").ge(60), &here()).unwrap();
    check(
        [long.select(named([("user", col("user_id")), ("count", col("count"))]), &here()).unwrap()],
        expect![[r#"
        0: source "csv-0": user_id: str, access_time: int
        1: session 0 "csv-0/session-0" (full) instance [0] time 1 max_gap 300: count()
        2: map 1 (consolidate in batch) where _pw_window_end - _pw_window_start >= 60: user = _pw_instance, count = count()
        3: sink 2 csv
    "#]],
    );
}

#[test]
fn consolidation_follows_from_what_is_kept_of_the_key() {
    let visits = source(None, false);
    let counts = visits
        .group_reduce(
            named([("user_id", col("user_id")), ("page", col("page"))]),
            named([("user_id", col("user_id")), ("page", col("page")), ("n", count()), ("bytes", sum(col("bytes")))]),
            &here(),
        )
        .unwrap();
    let select = |columns| counts.select(columns, &here()).unwrap();
    let all = select(named([("n", col("n")), ("p", col("page")), ("u", col("user_id")), ("b", col("bytes"))]));
    let key = select(named([("p", col("page")), ("u", col("user_id")), ("many", col("n").gt(1))]));
    let part = select(named([("u", col("user_id")), ("n", col("n")), ("b", col("bytes"))]));
    let changed = select(named([("u", col("user_id") + "!"), ("p", col("page")), ("n", col("n"))]));
    check(
        [all, key, part, changed],
        expect![[r#"
            0: source "csv-0": user_id: str, page: str?, bytes: int?
            1: reduce 0 "csv-0/reduce-0" (full) key [0, 1]: sum(2), count_values(2), count()
            2: map 1 (consolidate in batch) n = count(), p = page, u = user_id, b = sum(bytes)
            3: map 1 (consolidate in batch) p = page, u = user_id, many = count() > 1
            4: map 1 (consolidate by row) u = user_id, n = count(), b = sum(bytes)
            5: map 1 (consolidate by row) u = user_id + "!", p = page, n = count()
            6: sink 2 csv
            7: sink 3 csv
            8: sink 4 csv
            9: sink 5 csv
        "#]],
    );
}

#[test]
fn a_session_without_an_instance_has_one_key() {
    let window = SessionWindow { instance: None, ..by_user(5) };
    let outputs = named([("start", col("_pw_window_start")), ("n", count())]);
    check(
        [source(None, false).session_reduce(window, outputs, &here()).unwrap()],
        expect![[r#"
        0: source "csv-0": access_time: int
        1: session 0 "csv-0/session-0" (full) instance [] time 0 max_gap 5: count()
        2: map 1 (consolidate in batch) start = _pw_window_start, n = count()
        3: sink 2 csv
    "#]],
    );
}

/// Windows of the access time, for each user.
fn windows(hop: impl Into<Literal>, length: WindowLength, origin: Option<Literal>) -> SlidingWindow {
    let (time, instance) = (col("access_time"), Some(col("user_id")));
    SlidingWindow { time, hop: hop.into(), length, origin, instance, behavior: None }
}

/// Bounds, user and number of visits of windows.
fn by_window(window: SlidingWindow) -> Table {
    let outputs = named([
        ("start", col("_pw_window_start")),
        ("end", col("_pw_window_end")),
        ("user_id", col("user_id")),
        ("n", count()),
        ("bytes", sum(col("bytes"))),
    ]);
    source(None, true).sliding_reduce(window, outputs, &here()).unwrap()
}

#[test]
fn a_tumbling_window_is_a_computed_key() {
    check(
        [by_window(windows(60, WindowLength::Hops(1), None))],
        expect![[r#"
            0: source "csv-0" (append-only): user_id: str, access_time: int, bytes: int?
            1: map 0 _pw_instance = user_id, window = step(access_time, 60, 0, 0), bytes
            2: reduce 1 "csv-0/tumbling-0" (append-only) key [0, 1]: sum(2), count_values(2), count()
            3: map 2 (consolidate in batch) start = window * 60, end = window * 60 + 60, user_id = _pw_instance, n = count(), bytes = sum(bytes)
            4: sink 3 csv
        "#]],
    );
    check(
        [by_window(windows(60, WindowLength::Hops(1), Some(Literal::Int(15))))],
        expect![[r#"
            0: source "csv-0" (append-only): user_id: str, access_time: int, bytes: int?
            1: map 0 where step(access_time, 60, 15, 0) >= 0: _pw_instance = user_id, window = step(access_time, 60, 15, 0), bytes
            2: reduce 1 "csv-0/tumbling-0" (append-only) key [0, 1]: sum(2), count_values(2), count()
            3: map 2 (consolidate in batch) start = window * 60 + 15, end = window * 60 + 15 + 60, user_id = _pw_instance, n = count(), bytes = sum(bytes)
            4: sink 3 csv
        "#]],
    );
}

#[test]
fn a_sliding_window_puts_a_row_into_each_of_its_windows() {
    let duration = WindowLength::Duration(Literal::Int(90));
    check(
        [by_window(windows(60, duration.clone(), None))],
        expect![[r#"
            0: source "csv-0" (append-only): user_id: str, access_time: int, bytes: int?
            1: map 0 _pw_instance = user_id, window = step(access_time, 60, 0, 90) + 1, col("last window") = step(access_time, 60, 0, 0), bytes
            2: expand 1 [1]
            3: reduce 2 "csv-0/sliding-0" (append-only) key [0, 1]: sum(2), count_values(2), count()
            4: map 3 (consolidate in batch) start = window * 60, end = window * 60 + 90, user_id = _pw_instance, n = count(), bytes = sum(bytes)
            5: sink 4 csv
        "#]],
    );
    check(
        [by_window(windows(60, duration, Some(Literal::Int(15))))],
        expect![[r#"
            0: source "csv-0" (append-only): user_id: str, access_time: int, bytes: int?
            1: map 0 _pw_instance = user_id, window = if_else(step(access_time, 60, 15, 90) + 1 < 0, 0, step(access_time, 60, 15, 90) + 1), col("last window") = step(access_time, 60, 15, 0), bytes
            2: expand 1 [1]
            3: reduce 2 "csv-0/sliding-0" (append-only) key [0, 1]: sum(2), count_values(2), count()
            4: map 3 (consolidate in batch) start = window * 60 + 15, end = window * 60 + 15 + 90, user_id = _pw_instance, n = count(), bytes = sum(bytes)
            5: sink 4 csv
        "#]],
    );
    let halves = SlidingWindow { time: col("access_time") / 2, ..windows(0.5, WindowLength::Hops(3), None) };
    check(
        [by_window(halves)],
        expect![[r#"
            0: source "csv-0" (append-only): user_id: str, access_time: int, bytes: int?
            1: map 0 _pw_instance = user_id, window = step(access_time / 2.0, 0.5, 0.0, 0.0) + -2, col("last window") = step(access_time / 2.0, 0.5, 0.0, 0.0), bytes
            2: expand 1 [1]
            3: reduce 2 "csv-0/sliding-0" (append-only) key [0, 1]: sum(2), count_values(2), count()
            4: map 3 (consolidate in batch) start = window * 0.5, end = (window + 3) * 0.5, user_id = _pw_instance, n = count(), bytes = sum(bytes)
            5: sink 4 csv
        "#]],
    );
}

#[test]
fn a_windows_start_or_end_stands_for_its_number() {
    let select = |columns: &[(&str, Expr)]| {
        let table = by_window(windows(60, WindowLength::Hops(1), None));
        table.select(columns.iter().map(|(name, expr)| ((*name).to_owned(), expr.clone())).collect(), &here()).unwrap()
    };
    let (user, start, end) = (("user_id", col("user_id")), ("start", col("start")), ("end", col("end")));
    let consolidation = |table| {
        let map = |node: &PlanNode| match &node.operator {
            OperatorSpec::Map { consolidate, .. } => Some(*consolidate),
            _ => None,
        };
        plan([table]).nodes.iter().rev().find_map(map).unwrap()
    };
    assert_eq!(consolidation(select(&[user.clone(), start.clone()])), Consolidate::InBatch);
    assert_eq!(consolidation(select(&[user.clone(), end])), Consolidate::InBatch);
    assert_eq!(consolidation(select(&[start])), Consolidate::ByRow);
    assert_eq!(consolidation(select(&[user])), Consolidate::ByRow);
}

#[test]
fn a_window_is_described_as_written() {
    let window = windows(60, WindowLength::Duration(Literal::Int(90)), Some(Literal::Int(5)));
    let plan = plan([by_window(window)]);
    let step = plan.nodes.iter().rev().find_map(|node| node.step.as_ref()).unwrap();
    assert_eq!(step.name, "csv-0/sliding-0");
    assert_eq!(
        step.description[1],
        json!({
            "operator": "sliding",
            "time": "access_time",
            "hop": 60,
            "duration": 90,
            "origin": 5,
            "instance": ["user_id"],
            "outputs": {
                "start": "_pw_window_start",
                "end": "_pw_window_end",
                "user_id": "user_id",
                "n": "count()",
                "bytes": "sum(bytes)",
            },
            "input": 0,
        })
    );
}

#[track_caller]
fn window_error(window: SlidingWindow, expected: &str) {
    check_error(source(None, true).sliding_reduce(window, named([("n", count())]), &here()), expected);
}

#[test]
fn a_window_fits_its_time() {
    let tumbling = || windows(60, WindowLength::Hops(1), None);
    window_error(
        SlidingWindow { time: col("bytes"), ..tumbling() },
        "column \"bytes\" is Type::Int.optional(), but the time of a window must be \
         Type::Int, Type::Float, Type::DateTimeNaive or Type::DateTimeUtc \
         (keep the rows that have one, .filter(col(\"bytes\").is_not_none()), and give col(\"bytes\").unwrap())",
    );
    window_error(
        SlidingWindow { time: col("user_id"), ..tumbling() },
        "column \"user_id\" is Type::Str, but the time of a window must be \
         Type::Int, Type::Float, Type::DateTimeNaive or Type::DateTimeUtc \
         (col(\"user_id\").cast(Type::Int))",
    );
    window_error(
        windows(0.5, WindowLength::Hops(1), None),
        "duration is 0.5, which is Type::Float, but column \"access_time\" is Type::Int \
         (give a whole number, or take col(\"access_time\").cast(Type::Float) as the time)",
    );
    window_error(windows(60, WindowLength::Hops(1), Some("x".into())), "origin is \"x\", but must be a number");
    window_error(windows(0, WindowLength::Hops(2), None), "hop is 0, but must be more than 0");
    window_error(
        SlidingWindow { time: lit(Literal::None), ..tumbling() },
        "the time of a window is always None, but must be Type::Int, Type::Float, Type::DateTimeNaive or Type::DateTimeUtc",
    );
    window_error(windows(1, WindowLength::Hops(0), None), "ratio is 0, but must be at least 1");
    window_error(windows(5, WindowLength::Duration(Literal::Int(-1)), None), "duration is -1, but must be more than 0");
    window_error(
        SlidingWindow { time: col("access_time") / 2, ..windows(f64::INFINITY, WindowLength::Hops(1), None) },
        "duration is inf, but must be finite",
    );
    window_error(
        windows(2, WindowLength::Duration(Literal::Int(1_000_000)), None),
        "each row would be in 500000 windows, but 65536 are the most (a longer hop makes fewer windows)",
    );
    window_error(
        windows(i64::MAX, WindowLength::Hops(2), None),
        "2 times the hop 9223372036854775807 is no duration of 64 bits",
    );
}

#[test]
fn a_windows_tuple_is_refused_and_its_number_is_hidden() {
    let tumbling = || windows(60, WindowLength::Hops(1), None);
    let reduce = |column| source(None, true).sliding_reduce(tumbling(), named([("x", col(column))]), &here());
    check_error(
        reduce("_pw_window"),
        "there is no _pw_window in this version \
         (make_tuple([col(\"_pw_window_start\"), col(\"_pw_window_end\")]))",
    );
    check_error(
        reduce("window"),
        "no column \"window\": there are \"_pw_instance\", \"_pw_window_start\", \"_pw_window_end\", \
         \"user_id\", \"access_time\", \"page\", \"bytes\"",
    );
    check_error(
        reduce("page"),
        "column \"page\" is neither the instance of the window nor inside a reducer \
         (a group has many values of it; take one with a reducer, for example max(col(\"page\")))",
    );
}

#[test]
fn keyed_operators_stand_on_each_other() {
    let per_user = sessions(&source(Some("visits"), true))
        .group_reduce(
            named([("user_id", col("user_id"))]),
            named([("user_id", col("user_id")), ("sessions", count()), ("longest", max(col("session_length")))]),
            &here(),
        )
        .unwrap();
    check(
        [per_user],
        expect![[r#"
            0: source "visits" (append-only): user_id: str, access_time: int
            1: session 0 "visits/session-0" (append-only) instance [0] time 1 max_gap 300: count()
            2: map 1 user_id = _pw_instance, _pw_window_end - _pw_window_start
            3: reduce 2 "visits/session-0/reduce-0" (full) key [0]: max(1), count(), count_values(1)
            4: map 3 (consolidate in batch) user_id, sessions = count(), longest = max(session_length)
            5: sink 4 csv
        "#]],
    );
}

#[test]
fn twins_have_ordinals_and_one_map() {
    let visits = source(None, true);
    let map = visits.filter(col("bytes").gt(0), &here()).unwrap();
    check(
        [sessions(&map), sessions(&map)],
        expect![[r#"
            0: source "csv-0" (append-only): user_id: str, access_time: int, bytes: int?
            1: map 0 where bytes > 0: _pw_instance = user_id, access_time
            2: session 1 "csv-0/session-0" (append-only) instance [0] time 1 max_gap 300: count()
            3: session 1 "csv-0/session-1" (append-only) instance [0] time 1 max_gap 300: count()
            4: map 2 user_id = _pw_instance, session_length = _pw_window_end - _pw_window_start, session_start = _pw_window_start, session_finish = _pw_window_end, count = count()
            5: map 3 user_id = _pw_instance, session_length = _pw_window_end - _pw_window_start, session_start = _pw_window_start, session_finish = _pw_window_end, count = count()
            6: sink 4 csv
            7: sink 5 csv
        "#]],
    );
}

#[test]
fn a_table_that_is_written_twice_is_computed_once() {
    let table = sessions(&source(None, false));
    let sinks = vec![sink(table.clone(), true), sink(table.clone(), false), sink(table, true)];
    expect![[r#"
        0: source "csv-0": user_id: str, access_time: int
        1: session 0 "csv-0/session-0" (full) instance [0] time 1 max_gap 300: count()
        2: map 1 user_id = _pw_instance, session_length = _pw_window_end - _pw_window_start, session_start = _pw_window_start, session_finish = _pw_window_end, count = count()
        3: keep 2 "csv-0/session-0/keep-0"
        4: sink 3 csv
        5: sink 2 csv
        6: sink 3 csv
    "#]].assert_eq(&lower(sinks, OnError::default()).unwrap().to_string());
}

#[test]
fn equal_reducers_are_one_and_arguments_may_be_keys() {
    let outputs = named([
        ("b_twice", sum(col("bytes") * 1) + sum(col("bytes") * 1)),
        ("a_user", max(col("user_id"))),
        ("c", sum(col("bytes")) + 1),
        ("user_id", col("user_id")),
    ]);
    let keys = named([("user_id", col("user_id"))]);
    check(
        [source(None, true).group_reduce(keys, outputs, &here()).unwrap()],
        expect![[r#"
            0: source "csv-0" (append-only): user_id: str, bytes: int?
            1: map 0 user_id, bytes * 1, is_error(bytes * 1), bytes
            2: reduce 1 "csv-0/reduce-0" (append-only) key [0]: max(0), sum(1), count_values(1), count(), count_values(2), sum(3), count_values(3)
            3: map 2 (consolidate in batch) b_twice = sum(bytes * 1) + sum(bytes * 1), a_user = max(user_id), c = sum(bytes) + 1, user_id
            4: sink 3 csv
        "#]],
    );
}

#[test]
fn unnamed_sources_count_and_avoid_given_names() {
    check(
        [source(None, true), source(Some("csv-0"), true), source(None, true)],
        expect![[r#"
        0: source "csv-1" (append-only): user_id: str, access_time: int, page: str?, bytes: int?
        1: source "csv-0" (append-only): user_id: str, access_time: int, page: str?, bytes: int?
        2: source "csv-2" (append-only): user_id: str, access_time: int, page: str?, bytes: int?
        3: sink 0 csv
        4: sink 1 csv
        5: sink 2 csv
    "#]],
    );
}

#[test]
fn two_sources_of_one_name_are_refused() {
    let sinks = [source(Some("logs"), true), source(Some("logs"), true)].map(|table| sink(table, false));
    let error = lower(sinks.into(), OnError::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "visits.py:12: two sources are named \"logs\"\nhint: saved state is found by name: give each its own, such as .name(\"logs-2\")"
    );
}

#[test]
fn a_description_says_what_the_program_says() {
    let visits = source(Some("visits"), false).filter(col("access_time").gt(5), &here()).unwrap();
    let plan = plan([sessions(&visits)]);
    let step = plan.nodes[2].step.as_ref().unwrap();
    assert_eq!(
        step.description,
        json!([
            {
                "operator": "source",
                "name": "visits",
                "kind": "csv",
                "columns": {"user_id": "str", "access_time": "int"},
                "append_only": false,
                "settings": {"delimiter": ","},
            },
            {"operator": "filter", "predicate": "access_time > 5", "input": 0},
            {
                "operator": "session",
                "time": "access_time",
                "max_gap": 300,
                "instance": ["user_id"],
                "outputs": {
                    "count": "count()",
                    "session_finish": "max(access_time)",
                    "session_length": "max(access_time) - min(access_time)",
                    "session_start": "min(access_time)",
                    "user_id": "user_id",
                },
                "input": 1,
            },
        ])
    );
}

#[test]
fn equal_tables_are_described_once() {
    let visits = source(Some("visits"), true);
    let late = || visits.filter(col("access_time").gt(5), &here()).unwrap();
    let shared = late();
    let described =
        |table: Table| plan([by_page(&table)]).nodes.iter().rev().find_map(|node| node.step.clone()).unwrap();
    let (once, twice) = (shared.concat(std::slice::from_ref(&shared), &here()), late().concat(&[late()], &here()));
    let (once, twice) = (described(once.unwrap()).description, described(twice.unwrap()).description);
    assert_eq!(once, twice);
    assert_eq!(once[2], json!({"operator": "concat", "inputs": [1, 1]}));
    // Every step doubles what a tree of its parts would hold.
    let doubled = (0..40).fold(visits.clone(), |table, _| {
        let part = table.filter(col("access_time").gt(5), &here()).unwrap();
        table.concat(&[part], &here()).unwrap()
    });
    let described =
        |table: &Table| crate::logical::describe::describe(table, &crate::logical::describe::ReadColumns::new(), &[]);
    assert_eq!(described(&doubled).as_array().unwrap().len(), 81);
    let other = doubled.filter(col("access_time").gt(6), &here()).unwrap();
    let difference = crate::difference(&described(&doubled), &described(&other));
    let difference: Vec<String> = difference.iter().map(crate::Difference::to_string).collect();
    assert_eq!(difference, ["a filter was added: access_time > 6"]);
}

fn by_page(table: &Table) -> Table {
    table.group_reduce(named([("page", col("page"))]), named([("n", count())]), &here()).unwrap()
}

#[test]
fn descriptions_and_state_do_not_depend_on_who_reads_a_step() {
    let visits = source(None, false);
    let table = sessions(&visits);
    let narrow = table.select(named([("n", col("count"))]), &here()).unwrap();
    let (alone, narrowed) = (plan([table]), plan([narrow.clone()]));
    assert_eq!(descriptions(&alone), descriptions(&narrowed));
    // Another reader of the source adds columns to it, and to nothing else.
    let shared = plan([visits, narrow]);
    let without_source = |plan| {
        let mut described = descriptions(plan);
        described.remove("csv-0").expect("the source");
        described
    };
    assert_eq!(without_source(&alone), without_source(&shared));
    let schema = |plan: &PhysicalPlan| {
        let session = plan.nodes.iter().find(|node| matches!(node.operator, OperatorSpec::Keyed(_)));
        session.unwrap().schema.clone()
    };
    assert_eq!(schema(&alone), schema(&shared));
    assert_eq!(schema(&alone), schema(&narrowed));
}

#[test]
fn a_source_is_described_by_the_columns_that_are_read_of_it() {
    let visits = source(Some("visits"), false);
    let columns = |table: Table, step: &str| {
        let plan = plan([table]);
        let step = plan.nodes.iter().filter_map(|node| node.step.as_ref()).find(|known| known.name == step).unwrap();
        step.description[0]["columns"].as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ")
    };
    let pages = |table: &Table| {
        let keys = named([("page", col("page"))]);
        table.group_reduce(keys, named([("page", col("page")), ("n", count())]), &here()).unwrap()
    };
    assert_eq!(columns(pages(&visits), "visits"), "page");
    assert_eq!(columns(pages(&visits), "visits/reduce-0"), "page");
    let filtered = visits.filter(col("bytes").gt(5), &here()).unwrap();
    assert_eq!(columns(pages(&filtered), "visits/reduce-0"), "bytes page");
    let both = visits.concat(std::slice::from_ref(&filtered), &here()).unwrap();
    assert_eq!(columns(pages(&both), "visits/concat-0/reduce-0"), "bytes page");
    let letters = pages(&visits.flatten("page", &here()).unwrap());
    assert_eq!(columns(letters, "visits/flatten-0/reduce-0"), "page");
    // A column that is computed and not used is not read.
    let unused = visits.with_columns(named([("bytes", col("bytes") + 1)]), &here()).unwrap();
    assert_eq!(columns(pages(&unused), "visits/reduce-0"), "page");
}

#[test]
fn an_output_is_described_up_to_the_steps_before_it() {
    let visits = source(Some("visits"), false);
    let late = |table: &Table| table.filter(col("access_time").gt(5), &here()).unwrap();
    let written = plan([late(&visits).select(named([("page", col("page"))]), &here()).unwrap()]);
    assert_eq!(
        written.sinks[0].description,
        json!([
            {"operator": "step", "step": "visits"},
            {"operator": "filter", "predicate": "access_time > 5", "input": 0},
            {"operator": "select", "outputs": {"page": "page"}, "input": 1},
            {"operator": "output", "kind": "csv", "path": "out.csv", "columns": ["page: str?"], "input": 2},
        ])
    );
    let kept = lower(vec![sink(late(&visits), true)], OnError::default()).unwrap();
    assert_eq!(kept.sinks[0].description, json!([{"operator": "output", "kind": "csv", "path": "out.csv"}]));
}

#[test]
fn the_order_of_outputs_changes_neither_description_nor_layout() {
    let visits = source(None, true);
    let reduce = |outputs| {
        let keys = named([("user_id", col("user_id"))]);
        plan([visits.group_reduce(keys, outputs, &here()).unwrap()])
    };
    let (a, b) = (("a", max(col("page"))), ("b", sum(col("bytes"))));
    let (one, other) = (reduce(named([a.clone(), b.clone()])), reduce(named([b, a])));
    assert_eq!(descriptions(&one), descriptions(&other));
    let layout = |plan: &PhysicalPlan| plan.to_string().lines().nth(1).unwrap().to_owned();
    assert_eq!(layout(&one), layout(&other));
}

#[test]
fn keys_are_described_by_name_and_expression() {
    let keys = named([("user_id", col("user_id")), ("minute", col("access_time").floordiv(60))]);
    let table = source(None, true).group_reduce(keys, named([("n", count())]), &here()).unwrap();
    let plan = plan([table]);
    let step = plan.nodes[2].step.as_ref().unwrap();
    assert_eq!(step.description[1]["keys"], json!(["user_id", "minute = access_time // 60"]));
}

#[track_caller]
fn check_error(result: Result<Table>, expected: &str) {
    let error = result.expect_err("the program is wrong");
    let origin = error.origin().expect("the place is known");
    assert!(origin.file.contains("logical/tests") || *origin == here());
    let hint = error.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
    assert_eq!(format!("{}{hint}", error.message()), expected);
}

fn session_error(window: SessionWindow, expected: &str) {
    check_error(source(None, true).session_reduce(window, named([("n", count())]), &here()), expected);
}

#[test]
fn the_time_of_a_session_is_required() {
    session_error(
        SessionWindow { time: col("page"), ..by_user(1) },
        "column \"page\" is Type::Str.optional(), but the time of a session must be \
         Type::Int, Type::Float, Type::DateTimeNaive or Type::DateTimeUtc \
         (col(\"page\").cast(Type::Int))",
    );
    session_error(
        SessionWindow { time: col("bytes"), ..by_user(1) },
        "column \"bytes\" is Type::Int.optional(), but the time of a session must be \
         Type::Int, Type::Float, Type::DateTimeNaive or Type::DateTimeUtc \
         (keep the rows that have one, .filter(col(\"bytes\").is_not_none()), and give col(\"bytes\").unwrap())",
    );
    let time = coalesce([col("bytes"), lit(0)]);
    let window = SessionWindow { time, ..by_user(1) };
    assert!(source(None, true).session_reduce(window, named([("n", count())]), &here()).is_ok());
}

#[test]
fn max_gap_is_a_number_that_is_not_negative() {
    session_error(by_user(-5), "max_gap is -5, but must not be negative");
    session_error(
        SessionWindow { gap: SessionGap::Most(-lit(5)), ..by_user(1) },
        "max_gap is -(5), but must not be negative",
    );
    session_error(
        SessionWindow { gap: SessionGap::Most(lit(2.5)), ..by_user(1) },
        "max_gap is 2.5, which is Type::Float, but must be Type::Int: column \"access_time\" is Type::Int \
         (give a whole number, or take col(\"access_time\").cast(Type::Float) as the time)",
    );
    session_error(
        SessionWindow { gap: SessionGap::Most(lit("5")), ..by_user(1) },
        "max_gap is \"5\", which is Type::Str, but must be Type::Int, Type::Float or Type::Duration, as the time asks",
    );
    session_error(
        SessionWindow { gap: SessionGap::Most(lit(Literal::None)), ..by_user(1) },
        "max_gap is None, which is None, but must be Type::Int, Type::Float or Type::Duration, as the time asks",
    );
    session_error(
        SessionWindow { gap: SessionGap::Most(col("bytes")), ..by_user(1) },
        "max_gap is `bytes`, but must be a number that is known before the run",
    );
}

#[test]
fn a_predicate_sees_two_times_and_is_bool() {
    let (a, b) = (|| col("a"), || col("b"));
    let by = |predicate| SessionWindow { gap: SessionGap::Where(predicate), ..by_user(1) };
    let sessions = |predicate| source(None, true).session_reduce(by(predicate), named([("n", count())]), &here());
    check(
        [sessions((b() - a()).abs().lt(10)).unwrap()],
        expect![[r#"
            0: source "csv-0" (append-only): user_id: str, access_time: int
            1: session 0 "csv-0/session-0" (append-only) instance [0] time 1 together = abs(b - a) < 10: count()
            2: map 1 (consolidate by row) n = count()
            3: sink 2 csv
        "#]],
    );
    let plan = plan([sessions(b().lt(a() + 10)).unwrap()]);
    let description = &plan.nodes[1].step.as_ref().unwrap().description[1];
    assert_eq!((&description["predicate"], description.get("max_gap")), (&json!("b < a + 10"), None));
    session_error(
        by(b() - a()),
        "`b - a` is Type::Int, but the predicate of a session must be Type::Bool (such as |a, b| (b - a).lt(300))",
    );
    session_error(
        by(b().lt(col("bytes"))),
        "the predicate of a session uses column \"bytes\" \
         (it sees the times of two neighbouring rows, a and b, and nothing else)",
    );
    session_error(
        by(b().lt(left("bytes"))),
        "the predicate of a session uses column \"bytes\" \
         (it sees the times of two neighbouring rows, a and b, and nothing else)",
    );
    session_error(
        by(max(b()).lt(a())),
        "the predicate of a session uses the reducer `max(b)` \
         (it sees the times of two neighbouring rows, a and b, and nothing else)",
    );
    session_error(
        by(b().lt("x")),
        "column \"b\" is Type::Int, but the value \"x\" is Type::Str: cannot apply < to Type::Int and Type::Str",
    );
    session_error(
        by(lit(Literal::None)),
        "the value None is None, but the predicate of a session must be Type::Bool (such as |a, b| (b - a).lt(300))",
    );
}

fn outputs_error(output: Expr, expected: &str) {
    check_error(source(None, true).session_reduce(by_user(1), named([("x", output)]), &here()), expected);
}

#[test]
fn a_plain_column_in_a_reduce_is_a_key_or_stands_in_a_reducer() {
    outputs_error(
        col("page"),
        "column \"page\" is neither the instance of the window nor inside a reducer \
         (a group has many values of it; take one with a reducer, for example max(col(\"page\")))",
    );
    outputs_error(
        max(col("access_time")) - col("access_time"),
        "column \"access_time\" is neither the instance of the window nor inside a reducer \
         (a group has many values of it; take one with a reducer, for example max(col(\"access_time\")))",
    );
    outputs_error(
        max(min(col("bytes"))),
        "`min(bytes)` is inside another reducer \
         (reduce twice, or use the inner reducer beside the outer one)",
    );
    outputs_error(
        sum(col("page")),
        "column \"page\" is Type::Str.optional(), but sum needs Type::Int or Type::Float \
         (col(\"page\").cast(Type::Int) or col(\"page\").cast(Type::Float))",
    );
    outputs_error(
        sum(col("bytes").gt(1)),
        "`bytes.gt(1)` is Type::Bool.optional(), but sum needs Type::Int or Type::Float \
         (col(\"bytes\").gt(1).cast(Type::Int) makes 1 of true and 0 of false)",
    );
    outputs_error(
        col("_pw_window_begin"),
        "no column \"_pw_window_begin\": there are \"_pw_instance\", \"_pw_window_start\", \"_pw_window_end\", \
         \"user_id\", \"access_time\", \"page\", \"bytes\" (did you mean \"_pw_window_end\"?)",
    );
}

#[test]
fn the_types_of_a_reduce_follow_its_arguments() {
    let outputs = named([
        ("start", col("_pw_window_start")),
        ("user", col("_pw_instance")),
        ("n", count()),
        ("bytes", sum(col("bytes"))),
        ("mean", crate::methods::reducers::avg(col("access_time"))),
        ("page", min(col("page"))),
    ]);
    let table = source(None, true).session_reduce(by_user(1), outputs, &here()).unwrap();
    assert_eq!(table.to_string(), "Table(start: int, user: str, n: int, bytes: int?, mean: float, page: str?)");
    assert!(!table.append_only());
}

#[test]
fn the_mean_of_durations_is_a_duration() {
    let avg = crate::methods::reducers::avg;
    let at = lit(Literal::DateTimeUtc(7));
    let stay = &at - &at;
    let maybe = &stay * col("bytes");
    let mean = |of: Expr| source(None, true).group_reduce(vec![], named([("mean", avg(of))]), &here());
    assert_eq!(mean(stay).unwrap().to_string(), "Table(mean: Duration)");
    assert_eq!(mean(maybe).unwrap().to_string(), "Table(mean: Duration?)");
    assert!(
        mean(at)
            .unwrap_err()
            .message()
            .ends_with("is Type::DateTimeUtc, but avg needs Type::Int, Type::Float or Type::Duration")
    );
}

#[test]
fn a_whole_table_is_reduced_without_a_key() {
    let outputs = named([("n", count()), ("bytes", sum(col("bytes")))]);
    check(
        [source(None, true).group_reduce(vec![], outputs, &here()).unwrap()],
        expect![[r#"
            0: source "csv-0" (append-only): bytes: int?
            1: reduce 0 "csv-0/reduce-0" (append-only) key []: sum(0), count_values(0), count()
            2: map 1 (consolidate in batch) n = count(), bytes = sum(bytes)
            3: sink 2 csv
        "#]],
    );
    check_error(source(None, true).group_reduce(vec![], vec![], &here()), "reduce needs at least one output");
    check_error(
        source(None, true).group_reduce(named([("k", lit(Literal::None))]), named([("n", count())]), &here()),
        "the value None is no key: it is the same for every row",
    );
    check_error(
        source(None, true).group_reduce(vec![], named([("page", col("page"))]), &here()),
        "column \"page\" is not inside a reducer \
         (a group has many values of it; take one with a reducer, for example max(col(\"page\")))",
    );
}

#[test]
fn any_and_unique_are_made_of_the_least_and_the_greatest_value() {
    let outputs = || {
        named([
            ("page", unique(col("page"))),
            ("some", any(col("page"))),
            ("at", unique(col("access_time")).fill_error(0)),
        ])
    };
    let keys = named([("user_id", col("user_id"))]);
    check(
        [source(None, true).group_reduce(keys, outputs(), &here()).unwrap()],
        expect![[r#"
        0: source "csv-0" (append-only): user_id: str, access_time: int, page: str?
        1: reduce 0 "csv-0/reduce-0" (append-only) key [0]: min(1), max(1), min(2), max(2)
        2: map 1 (consolidate by row) page = unique(page), some = min(page), at = fill_error(unique(access_time), 0)
        3: sink 2 csv
    "#]],
    );
    let table = source(None, true).session_reduce(by_user(5), outputs(), &here()).unwrap();
    assert_eq!(table.to_string(), "Table(page: str?, some: str?, at: int)");
    check(
        [table],
        expect![[r#"
        0: source "csv-0" (append-only): user_id: str, access_time: int, page: str?
        1: session 0 "csv-0/session-0" (append-only) instance [0] time 1 max_gap 5: min(2), max(2)
        2: map 1 (consolidate by row) page = unique(page), some = min(page), at = fill_error(unique(_pw_window_start, _pw_window_end), 0)
        3: sink 2 csv
    "#]],
    );
}

#[test]
fn reducers_of_several_columns_read_each_once() {
    let outputs = named([
        ("first", argmin(col("access_time"), col("page"))),
        ("last", argmax(col("access_time"), col("page")) + "!"),
        ("pages", count_distinct([col("page"), col("user_id")]) * 2),
        ("came", latest(col("bytes"))),
        ("at", earliest(col("access_time"))),
        ("most", argmax(col("bytes"), col("access_time"))),
    ]);
    let table = source(None, false).group_reduce(vec![], outputs, &here()).unwrap();
    let schema = "Table(first: str?, last: str?, pages: int, came: int?, at: int, most: int?)";
    assert_eq!(table.to_string(), schema);
    check(
        [table],
        expect![[r#"
            0: source "csv-0": user_id: str, access_time: int, page: str?, bytes: int?
            1: map 0 access_time, bytes, page, user_id
            2: reduce 1 "csv-0/reduce-0" (full) key []: earliest(0), latest(1), argmin(0, 2), argmax(0, 2), argmax(1, 0), count_distinct(2, 3)
            3: map 2 (consolidate in batch) first = argmin(access_time, page), last = argmax(access_time, page) + "!", pages = count_distinct([page, user_id]) * 2, came = latest(bytes), at = earliest(access_time), most = argmax(bytes, access_time)
            4: sink 3 csv
        "#]],
    );
}

#[test]
fn reducers_say_how_many_arguments_they_take() {
    outputs_error(
        Expr::reducer(Reducer::ArgMax, [col("bytes")]),
        "argmax(bytes) does not say what it takes of the row \
         (argmax(col(\"bytes\"), col(\"name\")) is the name of the row with the largest bytes; a row has no id)",
    );
    outputs_error(Expr::reducer(Reducer::ArgMin, []), "argmin() has 0 arguments, but takes 2");
    outputs_error(Expr::reducer(Reducer::Latest, [col("bytes"), col("page")]), "latest() has 2 arguments, but takes 1");
    outputs_error(count_distinct::<Expr>([]), "count_distinct() needs an argument");
    outputs_error(Expr::reducer(Reducer::Count, [col("bytes")]), "count() counts rows and takes no argument");
    outputs_error(
        max(lit(Literal::None)),
        "None has no type, but max() needs one (say which: lit(Literal::None).cast(Type::Int))",
    );
    outputs_error(
        argmin(col("bytes"), max(col("page"))),
        "`max(page)` is inside another reducer (reduce twice, or use the inner reducer beside the outer one)",
    );
    outputs_error(
        argmin(col("bytes"), col("pages")),
        "no column \"pages\": there are \"user_id\", \"access_time\", \"page\", \"bytes\" (did you mean \"page\"?)",
    );
}

#[test]
fn a_concat_reads_only_what_is_needed_and_in_the_order_of_its_first_table() {
    let (one, two) = (source(Some("one"), true), source(Some("two"), true));
    let columns = named([("bytes", col("bytes") + 1), ("page", col("page")), ("user_id", col("user_id"))]);
    let other = two.filter(col("access_time").gt(5), &here()).unwrap().select(columns, &here()).unwrap();
    let all = one.without(&["access_time".to_owned()], &here()).unwrap().concat(&[other], &here()).unwrap();
    check(
        [all.select(named([("user_id", col("user_id")), ("bytes", col("bytes"))]), &here()).unwrap()],
        expect![[r#"
            0: source "one" (append-only): user_id: str, bytes: int?
            1: source "two" (append-only): user_id: str, access_time: int, bytes: int?
            2: map 0 user_id, bytes, col("error(bytes)") = False
            3: map 1 where access_time > 5: user_id, bytes = bytes + 1, col("error(bytes)") = is_error(bytes + 1)
            4: union 2 3 user_id: str, bytes: int?, error(bytes): bool?
            5: map 4 user_id, bytes
            6: sink 5 csv
        "#]],
    );
    let keys = named([("user_id", col("user_id"))]);
    check(
        [all.group_reduce(keys, named([("n", count())]), &here()).unwrap()],
        expect![[r#"
        0: source "one" (append-only): user_id: str
        1: source "two" (append-only): user_id: str, access_time: int
        2: map 1 where access_time > 5: user_id
        3: union 0 2 user_id: str
        4: reduce 3 "one/concat-0/reduce-0" (append-only) key [0]: count()
        5: map 4 (consolidate by row) n = count()
        6: sink 5 csv
    "#]],
    );
}

#[test]
fn a_concat_brings_rows_together_that_inputs_with_removals_cancel() {
    let (visits, outputs) = (source(None, true), || named([("user_id", col("user_id")), ("n", count())]));
    let counts = visits.group_reduce(named([("user_id", col("user_id"))]), outputs(), &here()).unwrap();
    let users = visits.select(named([("user_id", col("user_id")), ("n", lit(0))]), &here()).unwrap();
    let all = users.concat(&[counts], &here()).unwrap();
    assert!(!all.append_only());
    check(
        [all.clone(), all.select(named([("n", col("n"))]), &here()).unwrap()],
        expect![[r#"
            0: source "csv-0" (append-only): user_id: str
            1: reduce 0 "csv-0/reduce-0" (append-only) key [0]: count()
            2: map 0 user_id, n = 0
            3: union 2 1 (consolidate by row) user_id: str, n: int
            4: map 3 (consolidate by row) n
            5: sink 3 csv
            6: sink 4 csv
        "#]],
    );
}

#[test]
fn a_concat_needs_the_same_columns() {
    let visits = source(None, true);
    let with = |types: &[(&str, Type)]| {
        let types: Vec<_> = types.iter().map(|(name, ty)| ((*name).to_owned(), *ty)).collect();
        visits.cast_to_types(&types, &here()).unwrap()
    };
    check_error(
        visits.concat(&[with(&[("bytes", Type::Float)])], &here()),
        "column \"bytes\" is Type::Int.optional() in table 1 of the concat, but Type::Float.optional() in table 2 (table 1 can be given as .cast_to_types([(\"bytes\", Type::Float)]))",
    );
    check_error(
        visits.concat(&[visits.clone(), visits.without(&["page".to_owned()], &here()).unwrap()], &here()),
        "table 1 of the concat has the columns \"user_id\", \"access_time\", \"page\", \"bytes\", \
         but table 3 \"user_id\", \"access_time\", \"bytes\" \
         (select(...), without(...) and rename(...) make columns equal)",
    );
    let unwrapped = visits.with_columns(named([("bytes", coalesce([col("bytes"), lit(0)]))]), &here()).unwrap();
    assert_eq!(unwrapped.concat(std::slice::from_ref(&visits), &here()).unwrap().schema(), visits.schema());
}

#[test]
fn columns_are_renamed_in_place_and_left_out_by_name() {
    let visits = source(None, true);
    let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(old, new)| ((*old).to_owned(), (*new).to_owned())).collect()
    };
    let swapped = visits.rename(&pairs(&[("page", "bytes"), ("bytes", "page")]), &here()).unwrap();
    assert_eq!(swapped.to_string(), "Table(user_id: str, access_time: int, bytes: str?, page: int?)");
    check_error(visits.rename(&pairs(&[("page", "bytes")]), &here()), "rename has two columns named \"bytes\"");
    check_error(
        visits.rename(&pairs(&[("pages", "p")]), &here()),
        "no column \"pages\": there are \"user_id\", \"access_time\", \"page\", \"bytes\" (did you mean \"page\"?)",
    );
    check_error(
        visits.without(&["page".to_owned(), "page".to_owned()], &here()),
        "without has two columns named \"page\"",
    );
}

#[test]
fn with_columns_replaces_in_place() {
    let visits = source(None, true);
    let columns = named([("page", col("bytes")), ("new", col("page"))]);
    let table = visits.with_columns(columns, &here()).unwrap();
    assert_eq!(table.to_string(), "Table(user_id: str, access_time: int, page: int?, bytes: int?, new: str?)");
}

/// `e = if_else(e > i, e - i, e)`, so often that it would not fit into memory if it were written out.
fn doubled(times: i64) -> Expr {
    (0..times).fold(col("access_time"), |e, i| if_else(e.clone().gt(i), e.clone() - i, e))
}

#[test]
fn what_stands_in_an_expression_several_times_is_written_once() {
    let short = doubled(2);
    let text = "if_else(if_else(access_time > 0, access_time - 0, access_time) > 1, if_else(access_time > 0, \
                access_time - 0, access_time) - 1, if_else(access_time > 0, access_time - 0, access_time))";
    assert_eq!(short.to_string(), text);
    let long = doubled(60);
    let text = long.to_string();
    assert!(text.starts_with(
        "$1 = if_else(access_time > 0, access_time - 0, access_time); $2 = if_else($1 > 1, $1 - 1, $1); "
    ));
    assert!(text.len() < 3_000, "{text}");
    assert!(long.same_as(&doubled(60)) && !long.same_as(&doubled(59)));
    let table = source(None, true).select(named([("e", long)]), &here()).unwrap();
    let counted = table.group_reduce(named([("e", col("e"))]), named([("n", count())]), &here()).unwrap();
    let plan = plan([counted]);
    let description = &plan.nodes.iter().find_map(|node| node.step.as_ref().filter(|step| step.operator() == "reduce"));
    assert!(description.unwrap().description.to_string().len() < 4_000 && plan.to_string().len() < 10_000);
}
