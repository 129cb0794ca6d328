//! Plans as text for people.

use super::*;
use crate::behavior::Behavior;
use crate::logical::window::SlidingWindow;

#[track_caller]
fn check(table: &Table, expected: Expect) {
    expected.assert_eq(&table.explain(&here()).unwrap());
}

#[test]
fn sessions_say_what_they_keep_and_why() {
    check(
        &sessions(&source(None, false)),
        expect![[r#"
            1. source: csv, made at visits.py:12, saved as "csv-0"
               columns: user_id: Type::Str, access_time: Type::Int
               not append-only: the source may remove rows
            2. sessions of 1, saved as "csv-0/session-0"
               key: user_id
               time: access_time, neighbours no more than 300 apart
               computes: count()
               state: also what results need when rows are removed
               not append-only: 1 is not
            3. map of 2
               columns: user_id = _pw_instance, session_length = _pw_window_end - _pw_window_start, session_start = _pw_window_start, session_finish = _pw_window_end, count = count()
               fallible: session_length, by _pw_window_end - _pw_window_start
               not append-only: 2 is not
        "#]],
    );
    check(
        &sessions(&source(Some("visits"), true).filter(col("bytes").gt(0), &here()).unwrap()),
        expect![[r#"
            1. source: csv, made at visits.py:12, saved as "visits"
               columns: user_id: Type::Str, access_time: Type::Int, bytes: Type::Int.optional()
               append-only
            2. map of 1
               keeps rows where bytes.gt(0)
               columns: _pw_instance = user_id, access_time
               append-only
            3. sessions of 2, saved as "visits/session-0"
               key: _pw_instance
               time: access_time, neighbours no more than 300 apart
               computes: count()
               state: what the results need, since no row is ever removed
               not append-only: the row of a session that changes is replaced
            4. map of 3
               columns: user_id = _pw_instance, session_length = _pw_window_end - _pw_window_start, session_start = _pw_window_start, session_finish = _pw_window_end, count = count()
               fallible: session_length, by _pw_window_end - _pw_window_start
               not append-only: 3 is not
        "#]],
    );
}

#[test]
fn windows_are_explained_with_their_behavior() {
    let (time, instance) = (col("access_time"), Some(col("user_id")));
    let behavior =
        Behavior::Common { delay: Some(Literal::Int(5)), cutoff: Some(Literal::Int(60)), keep_results: false };
    let (hop, length) = (Literal::Int(60), WindowLength::Duration(Literal::Int(120)));
    let window = SlidingWindow { time, hop, length, origin: None, instance, behavior: Some(behavior) };
    let outputs = named([("start", col("_pw_window_start")), ("total", sum(col("bytes")))]);
    check(
        &source(None, true).sliding_reduce(window, outputs, &here()).unwrap(),
        expect![[r#"
            1. source: csv, made at visits.py:12, saved as "csv-0"
               columns: user_id: Type::Str, access_time: Type::Int, bytes: Type::Int.optional()
               append-only
            2. map of 1
               columns: _pw_instance = user_id, window = step(access_time, 60, 0, 120) + 1, col("last window") = step(access_time, 60, 0, 0), bytes, time = access_time
               fallible: window, by step(access_time, 60, 0, 120); col("last window"), by step(access_time, 60, 0, 0)
               append-only
            3. windows of 2
               repeats a row for each window from window to col("last window")
               append-only
            4. windows of 3, shown and closed by a watermark, saved as "csv-0/sliding-0"
               key: _pw_instance, window
               computes: sum(bytes), count_values(bytes)
               state: what the results need, since no row is ever removed
               watermark: the greatest time of 2
               shown 5 after the start
               closed 60 after the end; its row is removed
               not append-only: the row of a window that changes is replaced
            5. map of 4
               columns: start = window * 60, total = sum(bytes)
               fallible: start, by window * 60; total, by sum(bytes)
               rows that cancel are brought together by their hash, and dropped
               not append-only: 4 is not
        "#]],
    );
    let once = SessionWindow { behavior: Some(Behavior::ExactlyOnce { shift: None }), ..by_user(300) };
    check(
        &source(None, true).session_reduce(once, named([("n", count())]), &here()).unwrap(),
        expect![[r#"
            1. source: csv, made at visits.py:12, saved as "csv-0"
               columns: user_id: Type::Str, access_time: Type::Int
               append-only
            2. sessions of 1, shown and closed by a watermark, saved as "csv-0/session-0"
               key: user_id
               time: access_time, neighbours no more than 300 apart
               computes: count()
               state: what the results need, since no row is ever removed
               watermark: the greatest access_time of 1
               shown once, when closed
               closed 0 after the end; its row stays
               append-only
            3. map of 2
               columns: n = count()
               append-only
        "#]],
    );
}

#[test]
fn groups_and_combinations_are_explained() {
    let pages = source(None, true).group_reduce(
        named([("page", col("page"))]),
        named([("page", col("page")), ("users", count_distinct([col("user_id")]))]),
        &here(),
    );
    let pages = pages.unwrap();
    let others = source(Some("others"), true).with_id_from(vec![col("page")], &here()).unwrap();
    check(
        &pages.concat(std::slice::from_ref(&pages), &here()).unwrap(),
        expect![[r#"
            1. source: csv, made at visits.py:12, saved as "csv-0"
               columns: user_id: Type::Str, page: Type::Str.optional()
               append-only
            2. map of 1
               columns: page, user_id
               append-only
            3. reduce of 2, saved as "csv-0/reduce-0"
               key: page
               computes: count_distinct([user_id])
               state: what the results need, since no row is ever removed
               not append-only: the row of a group that changes is replaced
            4. all rows of 3 and 3
               columns: page: Type::Str.optional(), users: Type::Int
               rows that cancel are brought together by their hash, and dropped
               not append-only: 3 is not
        "#]],
    );
    check(
        &pages.difference(&others, &here()).unwrap(),
        expect![[r#"
            1. source: csv, made at visits.py:12, saved as "csv-0"
               columns: user_id: Type::Str, page: Type::Str.optional()
               append-only
            2. map of 1
               columns: page, user_id
               append-only
            3. reduce of 2, saved as "csv-0/reduce-0"
               key: page
               computes: count_distinct([user_id])
               state: what the results need, since no row is ever removed
               not append-only: the row of a group that changes is replaced
            4. source: csv, made at visits.py:12, saved as "others"
               columns: page: Type::Str.optional()
               append-only
            5. difference of 3 and 4, saved as "csv-0/reduce-0/difference-0"
               identity: page
               state: the rows of all tables, by identity
               not append-only: 3 is not
        "#]],
    );
    let all = source(None, true).group_reduce(vec![], named([("n", count())]), &here()).unwrap();
    check(
        &all,
        expect![[r#"
            1. source: csv, made at visits.py:12, saved as "csv-0"
               columns: none
               append-only
            2. reduce of 1, saved as "csv-0/reduce-0"
               key: none, all rows are one group
               computes: count()
               state: what the results need, since no row is ever removed
               not append-only: the row of a group that changes is replaced
        "#]],
    );
}
