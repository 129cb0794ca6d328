//! Windows with behaviours: their plans, descriptions and mistakes.

use super::*;
use crate::behavior::Behavior;

fn common(delay: Option<Literal>, cutoff: Option<Literal>, keep_results: bool) -> Option<Behavior> {
    Some(Behavior::Common { delay, cutoff, keep_results })
}

fn once(shift: Option<Literal>) -> Option<Behavior> {
    Some(Behavior::ExactlyOnce { shift })
}

fn behaving_sessions(behavior: Option<Behavior>, names: &[&str]) -> Table {
    let outputs = [
        ("start", col("_pw_window_start")),
        ("end", col("_pw_window_end")),
        ("user_id", col("user_id")),
        ("n", count()),
    ];
    let outputs = named(outputs).into_iter().filter(|(name, _)| names.contains(&name.as_str())).collect();
    let window = SessionWindow { behavior, ..by_user(300) };
    source(None, false).session_reduce(window, outputs, &here()).unwrap()
}

#[test]
fn the_watermark_is_read_before_rows_are_repeated() {
    let window = windows(60, WindowLength::Duration(Literal::Int(90)), None);
    let behavior = common(Some(Literal::Int(5)), Some(Literal::Int(7)), false);
    check(
        [by_window(SlidingWindow { behavior, ..window })],
        expect![[r#"
            0: source "csv-0" (append-only): user_id: str, access_time: int, bytes: int?
            1: map 0 _pw_instance = user_id, window = step(access_time, 60, 0, 90) + 1, col("last window") = step(access_time, 60, 0, 0), bytes, time = access_time
            2: expand 1 [1]
            3: reduce 2 "csv-0/sliding-0" (append-only) key [0, 1]: sum(2), count_values(2), count(); delay 5 cutoff 7 forgets results watermark 1 [4]
            4: map 3 (consolidate in batch) start = window * 60, end = window * 60 + 90, user_id = _pw_instance, n = count(), bytes = sum(bytes)
            5: sink 4 csv
        "#]],
    );
    let window = windows(60, WindowLength::Hops(1), None);
    check(
        [by_window(SlidingWindow { behavior: once(None), ..window })],
        expect![[r#"
            0: source "csv-0" (append-only): user_id: str, access_time: int, bytes: int?
            1: map 0 _pw_instance = user_id, window = step(access_time, 60, 0, 0), bytes, time = access_time
            2: reduce 1 "csv-0/tumbling-0" (append-only) key [0, 1]: sum(2), count_values(2), count(); exactly once cutoff 0 watermark 1 [3]
            3: map 2 start = window * 60, end = window * 60 + 60, user_id = _pw_instance, n = count(), bytes = sum(bytes)
            4: sink 3 csv
        "#]],
    );
}

#[test]
fn a_time_that_is_read_anyway_is_read_once() {
    let window = SlidingWindow { behavior: once(None), ..windows(60, WindowLength::Hops(2), None) };
    let outputs = named([("n", count()), ("last", max(col("access_time")))]);
    check(
        [source(None, true).sliding_reduce(window, outputs, &here()).unwrap()],
        expect![[r#"
        0: source "csv-0" (append-only): user_id: str, access_time: int
        1: map 0 _pw_instance = user_id, window = step(access_time, 60, 0, 120) + 1, col("last window") = step(access_time, 60, 0, 0), access_time
        2: expand 1 [1]
        3: reduce 2 "csv-0/sliding-0" (append-only) key [0, 1]: max(2), count(); exactly once cutoff 0 watermark 1 [3]
        4: map 3 n = count(), last = max(access_time)
        5: sink 4 csv
    "#]],
    );
}

#[test]
fn sessions_shown_late_or_forgotten_come_apart_from_those_that_change() {
    let all = ["start", "end", "user_id", "n"];
    check(
        [behaving_sessions(common(Some(Literal::Int(5)), None, true), &all)],
        expect![[r#"
        0: source "csv-0": user_id: str, access_time: int
        1: session 0 "csv-0/session-0" (full) instance [0] time 1 max_gap 300: count(); delay 5 watermark 0 [1]
        2: map 1 start = _pw_window_start, end = _pw_window_end, user_id = _pw_instance, n = count()
        3: sink 2 csv
    "#]],
    );
    check(
        [behaving_sessions(common(Some(Literal::Int(5)), None, true), &["user_id", "n"])],
        expect![[r#"
        0: source "csv-0": user_id: str, access_time: int
        1: session 0 "csv-0/session-0" (full) instance [0] time 1 max_gap 300: count(); delay 5 watermark 0 [1]
        2: map 1 (consolidate by row) user_id = _pw_instance, n = count()
        3: sink 2 csv
    "#]],
    );
    check(
        [behaving_sessions(common(None, Some(Literal::Int(5)), true), &["user_id", "n"])],
        expect![[r#"
        0: source "csv-0": user_id: str, access_time: int
        1: session 0 "csv-0/session-0" (full) instance [0] time 1 max_gap 300: count(); cutoff 5 watermark 0 [1]
        2: map 1 (consolidate in batch) user_id = _pw_instance, n = count()
        3: sink 2 csv
    "#]],
    );
    check(
        [behaving_sessions(once(Some(Literal::Int(5))), &["user_id", "n"])],
        expect![[r#"
        0: source "csv-0": user_id: str, access_time: int
        1: session 0 "csv-0/session-0" (full) instance [0] time 1 max_gap 300: count(); exactly once cutoff 5 watermark 0 [1]
        2: map 1 user_id = _pw_instance, n = count()
        3: sink 2 csv
    "#]],
    );
}

#[test]
fn exactly_once_makes_any_table_append_only() {
    assert!(behaving_sessions(once(None), &["n"]).append_only());
    assert!(!behaving_sessions(common(None, Some(Literal::Int(0)), true), &["n"]).append_only());
    let counts = behaving_sessions(once(None), &["user_id", "n"]);
    let best = counts.group_reduce(named([("user_id", col("user_id"))]), named([("n", max(col("n")))]), &here());
    check(
        [best.unwrap()],
        expect![[r#"
            0: source "csv-0": user_id: str, access_time: int
            1: session 0 "csv-0/session-0" (full) instance [0] time 1 max_gap 300: count(); exactly once cutoff 0 watermark 0 [1]
            2: map 1 user_id = _pw_instance, n = count()
            3: reduce 2 "csv-0/session-0/reduce-0" (append-only) key [0]: max(1)
            4: map 3 (consolidate by row) n = max(n)
            5: sink 4 csv
        "#]],
    );
}

#[test]
fn sessions_by_a_predicate_have_behaviours() {
    let gap = SessionGap::Where((col("b") % 10).ne(0));
    let window = SessionWindow { gap, behavior: once(Some(Literal::Int(5))), ..by_user(1) };
    check(
        [source(None, true).session_reduce(window, named([("n", count())]), &here()).unwrap()],
        expect![[r#"
            0: source "csv-0" (append-only): user_id: str, access_time: int
            1: session 0 "csv-0/session-0" (append-only) instance [0] time 1 together = b % 10 != 0: count(); exactly once cutoff 5 watermark 0 [1]
            2: map 1 n = count()
            3: sink 2 csv
        "#]],
    );
}

#[test]
fn a_behaviour_that_says_nothing_is_none() {
    let plain = behaving_sessions(None, &["n"]);
    let empty = behaving_sessions(common(None, None, false), &["n"]);
    assert_eq!(descriptions(&plan([plain])), descriptions(&plan([empty])));
}

#[test]
fn a_behaviour_is_part_of_the_description() {
    let session = |behavior| {
        let steps = plan([behaving_sessions(behavior, &["n"])]);
        let step = steps.nodes.iter().filter_map(|node| node.step.clone()).next_back().unwrap();
        let mut description = step.description[1].clone();
        description
            .as_object_mut()
            .unwrap()
            .retain(|name, _| ["delay", "cutoff", "keep_results", "exactly_once", "shift"].contains(&name.as_str()));
        description
    };
    assert_eq!(session(None), json!({}));
    let behavior = common(Some(Literal::Int(1)), Some(Literal::Int(2)), true);
    assert_eq!(session(behavior), json!({"delay": 1, "cutoff": 2, "keep_results": true}));
    assert_eq!(session(common(Some(Literal::Int(1)), None, false)), json!({"delay": 1, "keep_results": false}));
    assert_eq!(session(once(None)), json!({"exactly_once": true}));
    assert_eq!(session(once(Some(Literal::Int(3)))), json!({"exactly_once": true, "shift": 3}));
}

#[test]
fn a_length_fits_the_time() {
    let tumbling = |behavior| SlidingWindow { behavior, ..windows(60, WindowLength::Hops(1), None) };
    window_error(tumbling(common(Some(Literal::Int(-1)), None, true)), "delay is -1, but must not be negative");
    window_error(
        tumbling(common(None, Some(Literal::Float(0.5)), true)),
        "cutoff is 0.5, which is Type::Float, but column \"access_time\" is Type::Int (give a whole number, or take col(\"access_time\").cast(Type::Float) as the time)",
    );
    window_error(
        tumbling(once(Some(Literal::Duration(5)))),
        "shift is Duration(\"PT0.000000005S\"), but must be a number",
    );
    let halves = SlidingWindow { time: col("access_time") / 2, ..tumbling(once(Some(Literal::Float(-0.5)))) };
    window_error(halves, "shift is -0.5, but must not be negative");
    session_error(
        SessionWindow { behavior: common(None, Some(Literal::from("5")), true), ..by_user(1) },
        "cutoff is \"5\", but must be a number",
    );
}
