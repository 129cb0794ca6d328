//! Flattens: what is computed before and after them, and how rows that cancel come together.

use super::*;

#[test]
fn what_is_no_list_becomes_one_and_what_nobody_reads_is_left_out() {
    let visits = source(None, true).filter(col("bytes").gt(5), &here()).unwrap();
    let letters = visits.flatten("page", &here()).unwrap();
    assert!(letters.append_only());
    let columns = named([("letter", col("page")), ("bytes", col("bytes") + 1)]);
    check(
        [letters.select(columns, &here()).unwrap()],
        expect![[r#"
        0: source "csv-0" (append-only): page: str?, bytes: int?
        1: map 0 where bytes > 5: page = flatten(page), bytes
        2: flatten 1 [0]
        3: map 2 letter = page, bytes = bytes + 1
        4: sink 3 csv
    "#]],
    );
    let users = letters.select(named([("user_id", col("user_id"))]), &here()).unwrap();
    check(
        [users],
        expect![[r#"
        0: source "csv-0" (append-only): user_id: str, page: str?, bytes: int?
        1: map 0 where bytes > 5: user_id, page = flatten(page)
        2: flatten 1 [1]
        3: map 2 user_id
        4: sink 3 csv
    "#]],
    );
}

#[test]
fn elements_that_cancel_come_together() {
    let outputs = named([("user_id", col("user_id")), ("pages", tuple(col("page")))]);
    let lists = source(None, true).group_reduce(named([("user_id", col("user_id"))]), outputs, &here()).unwrap();
    let pages = lists.flatten("pages", &here()).unwrap();
    assert!(!pages.append_only() && pages.identity().is_none());
    let keys = named([("pages", col("pages"))]);
    check(
        [pages.group_reduce(keys, named([("n", count())]), &here()).unwrap()],
        expect![[r#"
            0: source "csv-0" (append-only): user_id: str, page: str?
            1: reduce 0 "csv-0/reduce-0" (append-only) key [0]: tuple(1)
            2: map 1 pages = tuple(page)
            3: flatten 2 (consolidate by row) [0]
            4: reduce 3 "csv-0/reduce-0/flatten-0/reduce-0" (full) key [0]: count()
            5: map 4 (consolidate by row) n = count()
            6: sink 5 csv
        "#]],
    );
}
