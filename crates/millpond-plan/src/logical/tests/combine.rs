//! Tables that are combined by the identity of their rows.

use super::*;

fn by_user(table: &Table) -> Table {
    let outputs = named([("user_id", col("user_id")), ("pages", count()), ("bytes", sum(col("bytes")))]);
    table.group_reduce(named([("user_id", col("user_id"))]), outputs, &here()).unwrap()
}

fn corrections() -> Table {
    let table = source(Some("corrections"), true).with_id_from(vec![col("user_id")], &here()).unwrap();
    let columns = named([("user_id", col("user_id")), ("bytes", col("bytes")), ("pages", col("access_time"))]);
    table.select(columns, &here()).unwrap()
}

fn identity(table: &Table) -> String {
    table.identity().map_or_else(|| "none".to_owned(), Schema::to_string)
}

#[test]
fn rows_are_combined_by_an_identity_that_is_kept_once() {
    let counts = by_user(&source(Some("visits"), false));
    check(
        [counts.update_rows(&corrections(), &here()).unwrap()],
        expect![[r#"
            0: source "visits": user_id: str, bytes: int?
            1: reduce 0 "visits/reduce-0" (full) key [0]: sum(1), count_values(1), count()
            2: source "corrections" (append-only): user_id: str, access_time: int, bytes: int?
            3: map 1 user_id, bytes = sum(bytes), pages = count(), col("error(bytes)") = is_error(sum(bytes))
            4: map 2 user_id, bytes, pages = access_time, col("error(bytes)") = False
            5: update_rows 3 4 "visits/reduce-0/update_rows-0" key [0]: bytes: int?, pages: int, error(bytes): bool? updated [0, 1, 2]
            6: map 5 (consolidate in batch) user_id, pages, bytes
            7: sink 6 csv
        "#]],
    );
}

#[test]
fn of_other_tables_only_the_identity_is_read() {
    let visits = source(Some("visits"), true).with_id_from(vec![col("user_id"), col("page")], &here()).unwrap();
    let seen = source(Some("seen"), true).with_id_from(vec![col("user_id"), col("page")], &here()).unwrap();
    let known = source(Some("known"), false);
    let known = known.with_id_from(vec![col("user_id"), col("page").str().lower()], &here()).unwrap();
    let columns = named([("page", col("page")), ("bytes", col("bytes") + 1)]);
    let narrow = visits.select(columns, &here()).unwrap();
    check(
        [narrow.difference(&seen, &here()).unwrap(), narrow.intersect(&[seen, known], &here()).unwrap()],
        expect![[r#"
            0: source "visits" (append-only): user_id: str, page: str?, bytes: int?
            1: source "seen" (append-only): user_id: str, page: str?
            2: map 0 user_id, page, bytes = bytes + 1, col("error(bytes)") = is_error(bytes + 1)
            3: difference 2 1 "visits/difference-0" key [0, 1]: bytes: int?, error(bytes): bool?
            4: source "known": user_id: str, page: str?
            5: map 4 user_id, page = page.str.lower()
            6: intersect 2 1 5 "visits/intersect-0" key [0, 1]: bytes: int?, error(bytes): bool?
            7: map 3 (consolidate by row) page, bytes
            8: map 6 (consolidate by row) page, bytes
            9: sink 7 csv
            10: sink 8 csv
        "#]],
    );
}

#[test]
fn cells_are_updated_where_the_second_table_has_them() {
    let counts = by_user(&source(Some("visits"), true));
    let bytes = corrections().select(named([("bytes", col("bytes"))]), &here()).unwrap();
    let updated = counts.update_cells(&bytes, &here()).unwrap();
    assert_eq!(updated.to_string(), "Table(user_id: str, pages: int, bytes: int?)");
    check(
        [updated],
        expect![[r#"
            0: source "visits" (append-only): user_id: str, bytes: int?
            1: reduce 0 "visits/reduce-0" (append-only) key [0]: sum(1), count_values(1), count()
            2: source "corrections" (append-only): user_id: str, bytes: int?
            3: map 1 user_id, bytes = sum(bytes), pages = count(), col("error(bytes)") = is_error(sum(bytes))
            4: map 2 user_id, bytes, col("error(bytes)") = False
            5: update_cells 3 4 "visits/reduce-0/update_cells-0" key [0]: bytes: int?, pages: int, error(bytes): bool? updated [0, 2]
            6: map 5 (consolidate in batch) user_id, pages, bytes
            7: sink 6 csv
        "#]],
    );
}

#[test]
fn an_identity_that_is_no_column_is_carried_only_to_the_combination() {
    let visits = source(Some("visits"), true);
    let pages = visits.with_id_from(vec![col("access_time") * 2], &here()).unwrap();
    let pages = pages.filter(col("bytes").gt(0), &here()).unwrap();
    let pages = pages.select(named([("page", col("page"))]), &here()).unwrap();
    let seen = source(Some("seen"), true).with_id_from(vec![col("access_time")], &here()).unwrap();
    let rest = pages.difference(&seen, &here()).unwrap();
    assert_eq!(identity(&rest), "access_time * 2: int");
    check(
        [pages, rest],
        expect![[r#"
            0: source "visits" (append-only): access_time: int, page: str?, bytes: int?
            1: source "seen" (append-only): access_time: int
            2: map 0 where bytes > 0: access_time * 2, page
            3: difference 2 1 "visits/difference-0" key [0]: page: str?
            4: map 0 where bytes > 0: page
            5: map 3 (consolidate by row) page
            6: sink 4 csv
            7: sink 5 csv
        "#]],
    );
}

#[test]
fn the_rows_of_reduces_and_windows_have_an_identity_and_those_of_a_concat_have_none() {
    let visits = source(None, true);
    let counts = by_user(&visits);
    assert_eq!(identity(&visits), "none");
    assert_eq!(identity(&counts), "user_id: str");
    assert_eq!(identity(&counts.without(&["user_id".to_owned()], &here()).unwrap()), "user_id: str");
    assert_eq!(identity(&counts.concat(std::slice::from_ref(&counts), &here()).unwrap()), "none");
    let all = visits.group_reduce(vec![], named([("n", count())]), &here()).unwrap();
    assert_eq!(identity(&all), "");
    let bounds = "_pw_instance: str, _pw_window_start: int, _pw_window_end: int";
    assert_eq!(identity(&sessions(&visits)), bounds);
    assert_eq!(identity(&by_window(windows(60, WindowLength::Hops(1), None))), bounds);
    let named_anew = counts.with_id_from(vec![col("pages"), col("user_id") + "!"], &here()).unwrap();
    assert_eq!(identity(&named_anew), "pages: int, user_id + \"!\": str");
}

/// The time of a window must not be null: a column that tables are combined by was taken to be as optional as in the
/// second table.
#[test]
fn a_column_of_the_identity_keeps_its_type() {
    let visits = source(None, true).with_id_from(vec![col("access_time")], &here()).unwrap();
    let seen = source(None, true).with_id_from(vec![col("bytes")], &here()).unwrap();
    let rest = visits.difference(&seen, &here()).unwrap();
    assert_eq!(identity(&rest), "access_time: int?");
    let plan = plan([sessions(&rest)]);
    let difference = plan.nodes.iter().find(|node| matches!(node.operator, OperatorSpec::Keyed(_))).unwrap();
    assert_eq!(difference.schema.to_string(), "access_time: int, bytes: int?, page: str?, user_id: str");
}

#[test]
fn windows_are_combined_by_instance_and_bounds() {
    let windows = || by_window(windows(60, WindowLength::Hops(1), None));
    let starts = windows().select(named([("start", col("start"))]), &here()).unwrap();
    check(
        [starts.intersect(&[windows()], &here()).unwrap()],
        expect![[r#"
            0: source "csv-0" (append-only): user_id: str, access_time: int, bytes: int?
            1: map 0 _pw_instance = user_id, window = step(access_time, 60, 0, 0), bytes
            2: reduce 1 "csv-0/tumbling-0" (append-only) key [0, 1]: sum(2), count_values(2), count()
            3: source "csv-1" (append-only): user_id: str, access_time: int, bytes: int?
            4: map 3 _pw_instance = user_id, window = step(access_time, 60, 0, 0), bytes
            5: reduce 4 "csv-1/tumbling-0" (append-only) key [0, 1]: sum(2), count_values(2), count()
            6: map 2 _pw_instance, _pw_window_start = window * 60, _pw_window_end = window * 60 + 60
            7: map 5 _pw_instance, _pw_window_start = window * 60, _pw_window_end = window * 60 + 60
            8: intersect 6 7 "csv-0/tumbling-0/intersect-0" key [0, 1, 2]: 
            9: map 8 (consolidate by row) start = _pw_window_start
            10: sink 9 csv
        "#]],
    );
}

#[test]
fn an_intersection_of_tables_that_only_grow_only_grows() {
    let grown = |append_only| source(None, append_only).with_id_from(vec![col("user_id")], &here()).unwrap();
    assert!(grown(true).intersect(&[grown(true)], &here()).unwrap().append_only());
    assert!(!grown(true).intersect(&[grown(true), grown(false)], &here()).unwrap().append_only());
    assert!(!grown(true).difference(&grown(true), &here()).unwrap().append_only());
    assert!(!grown(true).update_rows(&grown(true), &here()).unwrap().append_only());
}

#[test]
fn an_identity_is_described_where_it_matters() {
    let visits = source(Some("visits"), true);
    let identified = visits.with_id_from(vec![col("user_id"), col("page")], &here()).unwrap();
    assert_eq!(descriptions(&plan([by_user(&visits)])), descriptions(&plan([by_user(&identified)])));
    let late = visits.select(named([("user_id", col("page")), ("page", col("user_id"))]), &here()).unwrap();
    let late = late.with_id_from(vec![col("user_id"), col("page")], &here()).unwrap();
    let early = identified.select(named([("user_id", col("page")), ("page", col("user_id"))]), &here()).unwrap();
    let step = |table: &Table| {
        let plan = plan([table.difference(&identified, &here()).unwrap()]);
        let step = plan.nodes.iter().filter_map(|node| node.step.clone()).find(|step| step.name.contains("difference"));
        step.unwrap()
    };
    assert_eq!(step(&early).name, "visits/difference-0");
    let difference = crate::difference(&step(&early).description, &step(&late).description);
    assert_eq!(
        difference.iter().map(crate::Difference::to_string).collect::<Vec<_>>(),
        [
            "in table 1, a select was removed: page = user_id, user_id = page",
            "in table 1, a select was added: page = user_id, user_id = page"
        ]
    );
}

#[test]
fn the_order_of_columns_changes_neither_description_nor_layout() {
    let counts = by_user(&source(Some("visits"), true));
    let turned = counts.select(named(["bytes", "pages", "user_id"].map(|name| (name, col(name)))), &here()).unwrap();
    let [one, other] = [counts.clone(), turned].map(|table| {
        plan([table
            .update_rows(&corrections(), &here())
            .unwrap()
            .select(named([("n", col("pages"))]), &here())
            .unwrap()])
    });
    let layout = |plan: &PhysicalPlan| {
        plan.nodes.iter().filter(|node| node.step.is_some()).map(|node| node.schema.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(layout(&one), layout(&other));
}

#[test]
fn tables_without_a_common_identity_are_refused() {
    let visits = source(None, true);
    let counts = by_user(&visits);
    check_error(
        counts.difference(&visits, &here()),
        "nothing is known to identify the rows of table 2 of the difference, the one of visits.py:12 \
         (say which columns do, for example with_id_from([col(\"user_id\")]))",
    );
    check_error(
        counts.intersect(&[counts.clone(), sessions(&visits)], &here()),
        "the rows of table 1 of the intersect are identified by user_id: Type::Str, but those of table 3 by \
         _pw_instance: Type::Str, _pw_window_start: Type::Int, _pw_window_end: Type::Int \
         (say which columns do, for example with_id_from([col(\"user_id\")]))",
    );
    let all = visits.group_reduce(vec![], named([("n", count())]), &here()).unwrap();
    check_error(
        counts.difference(&all, &here()),
        "the rows of table 1 of the difference are identified by user_id: Type::Str, but those of table 2 by \
         no column, since there is one row (say which columns do, for example with_id_from([col(\"n\")]))",
    );
    check_error(
        counts.difference(&visits.with_id_from(vec![col("bytes")], &here()).unwrap(), &here()),
        "the rows of table 1 of the difference are identified by user_id: Type::Str, but those of table 2 by \
         bytes: Type::Int.optional() (say which columns do, for example with_id_from([col(\"user_id\")]))",
    );
    check_error(counts.intersect(&[], &here()), "intersect needs another table");
}

#[test]
fn an_update_needs_columns_that_fit() {
    let counts = by_user(&source(None, true));
    check_error(
        counts.update_rows(&corrections().without(&["bytes".to_owned()], &here()).unwrap(), &here()),
        "table 1 of the update_rows has the columns \"user_id\", \"pages\", \"bytes\", \
         but table 2 \"user_id\", \"pages\" (select(...), without(...) and rename(...) make columns equal)",
    );
    let text = || corrections().cast_to_types(&[("bytes".to_owned(), Type::Str)], &here()).unwrap();
    let other_type = |place| {
        format!(
            "column \"bytes\" is Type::Int.optional() in table 1 of the {place}, but Type::Str.optional() in table 2 (table 2 can be given as .cast_to_types([(\"bytes\", Type::Int)]))"
        )
    };
    check_error(counts.update_rows(&text(), &here()), &other_type("update_rows"));
    check_error(counts.update_cells(&text(), &here()), &other_type("update_cells"));
    check_error(
        counts.update_cells(&corrections().rename(&[("pages".into(), "page".into())], &here()).unwrap(), &here()),
        "table 1 of the update_cells: no column \"page\": there are \"user_id\", \"pages\", \"bytes\" \
         (did you mean \"pages\"?)",
    );
}

#[test]
fn with_id_from_needs_values() {
    let visits = source(None, true);
    check_error(visits.with_id_from(vec![], &here()), "with_id_from needs a column");
    check_error(
        visits.with_id_from(vec![col("user")], &here()),
        "no column \"user\": there are \"user_id\", \"access_time\", \"page\", \"bytes\"",
    );
    check_error(
        visits.with_id_from(vec![lit(Literal::None)], &here()),
        "the value None identifies no row: it is always None",
    );
}
