//! Tables side by side.

use super::*;
use crate::expr::{left, right};
use crate::logical::join::{JoinMode, JoinOn, Side};

fn users() -> Table {
    let schema = Schema::new([
        ("name", Type::Str.required()),
        ("city", Type::Str.required()),
        ("born", Type::Int.optional()),
        ("page", Type::Str.optional()),
    ]);
    let (name, description) = (Some("users".to_owned()), json!({"delimiter": ","}));
    let connector = Arc::new(());
    Table::source(SourceDecl {
        name,
        kind: "csv".into(),
        schema,
        append_only: true,
        description,
        origin: here(),
        connector,
    })
    .unwrap()
}

fn visits() -> Table {
    source(Some("visits"), true)
}

fn by_name() -> Vec<Expr> {
    vec![left("user_id").eq(right("name"))]
}

fn joined(mode: JoinMode, conditions: Vec<Expr>) -> JoinOn {
    JoinOn { mode, conditions, id: None }
}

fn join(mode: JoinMode, outputs: Vec<(String, Expr)>) -> Table {
    visits().join_select(&users(), joined(mode, by_name()), outputs, &here()).unwrap()
}

#[track_caller]
fn check_error(on: Vec<Expr>, outputs: Vec<(String, Expr)>, expected: &str) {
    let error = visits().join_select(&users(), joined(JoinMode::Inner, on), outputs, &here()).unwrap_err();
    let hint = error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
    assert_eq!(format!("{}{hint}", error.message()), expected);
}

#[test]
fn of_each_side_only_what_the_outputs_use_is_kept() {
    let outputs = named([("city", right("city")), ("many", left("bytes") * 2), ("who", col("name"))]);
    let table = join(JoinMode::Inner, outputs);
    assert!(table.append_only());
    assert_eq!(table.to_string(), "Table(city: str, many: int?, who: str)");
    check(
        [table],
        expect![[r#"
            0: source "visits" (append-only): user_id: str, bytes: int?
            1: source "users" (append-only): name: str, city: str
            2: join 0 1 "visits/join-0" inner key [0]
            3: map 2 city = right("city"), many = left("bytes") * 2, who = key(left("user_id").eq(right("name")))
            4: sink 3 csv
        "#]],
    );
}

#[test]
fn a_side_that_may_be_missing_is_flagged() {
    let outputs = named([("user_id", left("user_id")), ("name", col("name")), ("city", col("city"))]);
    let table = join(JoinMode::Outer, outputs);
    assert_eq!(table.to_string(), "Table(user_id: str?, name: str?, city: str?)");
    check(
        [table],
        expect![[r#"
            0: source "visits" (append-only): user_id: str
            1: source "users" (append-only): name: str, city: str
            2: join 0 1 "visits/join-0" outer key [0]
            3: map 2 (consolidate by row) user_id = if_else(has_left(), key(left("user_id").eq(right("name"))), None), name = if_else(has_right(), key(left("user_id").eq(right("name"))), None), city = right("city")
            4: sink 3 csv
        "#]],
    );
}

#[test]
fn a_key_under_one_name_is_the_one_that_is_there() {
    let users = users().rename(&[("name".to_owned(), "user_id".to_owned())], &here()).unwrap();
    let on = || vec![left("user_id").eq(right("user_id")) & right("page").eq(left("page"))];
    for (mode, page) in [(JoinMode::Inner, "str?"), (JoinMode::Left, "str?"), (JoinMode::Outer, "str?")] {
        let outputs = named([("user_id", col("user_id")), ("page", col("page"))]);
        let table = visits().join_select(&users, joined(mode, on()), outputs, &here()).unwrap();
        assert_eq!(table.to_string(), format!("Table(user_id: str, page: {page})"));
    }
}

/// Whatever way columns are named, the state is the same.
#[test]
fn a_join_is_described_by_sides() {
    let (visits, users) = (visits(), users());
    let of = |table: &Table, name: &str| Expr::column(crate::expr::TableRef::Of(table.id().clone()), name);
    let outputs = named([("b", left("bytes")), ("a", right("city"))]);
    let on = vec![right("name").eq(left("user_id"))];
    let plain = visits.join_select(&users, joined(JoinMode::Left, on), outputs, &here()).unwrap();
    let outputs = named([("a", of(&users, "city")), ("b", of(&visits, "bytes"))]);
    let on = vec![of(&visits, "user_id").eq(of(&users, "name"))];
    let named = visits.join_select(&users, joined(JoinMode::Left, on), outputs, &here()).unwrap();
    let [plain, named] = [plain, named].map(|table| descriptions(&plan([table])));
    assert_eq!(plain, named);
    let description: serde_json::Value = plain["visits/join-0"].parse().unwrap();
    assert_eq!(
        description[2],
        json!({
            "operator": "join",
            "how": "left",
            "on": ["left.user_id == right.name"],
            "outputs": {"a": "right.city", "b": "left.bytes"},
            "inputs": [0, 1],
        })
    );
}

#[test]
fn a_copy_is_the_same_rows_under_another_name() {
    let visits = visits();
    let other = visits.copy(&here());
    let outputs = named([("page", left("page")), ("next", right("page"))]);
    let on = vec![left("user_id").eq(right("user_id")), (left("access_time") + 1).eq(right("access_time"))];
    let table = visits.join_select(&other, joined(JoinMode::Inner, on), outputs, &here()).unwrap();
    check(
        [table],
        expect![[r#"
        0: source "visits" (append-only): user_id: str, access_time: int, page: str?
        1: map 0 user_id, access_time + 1, page
        2: join 1 0 "visits/join-0" inner key [0, 1]
        3: map 2 page = left("page"), next = right("page")
        4: sink 3 csv
    "#]],
    );
}

#[test]
fn what_is_no_condition_is_named() {
    let city = || named([("city", right("city"))]);
    check_error(vec![], city(), "join: no condition is given; such as left(\"user_id\").eq(right(\"name\"))");
    check_error(
        vec![left("user_id").lt(right("name"))],
        city(),
        "join: `left(\"user_id\").lt(right(\"name\"))` is no equality of a column of each table; \
         such as left(\"user_id\").eq(right(\"name\"))",
    );
    check_error(
        vec![left("access_time").eq(right("name"))],
        city(),
        "join: `left(\"access_time\")` is Type::Int, but `right(\"name\")` is Type::Str; \
         right(\"name\").cast(Type::Int)",
    );
    check_error(
        vec![left("user_id").eq(right("nam"))],
        city(),
        "no column \"nam\": there are \"name\", \"city\", \"born\", \"page\"; did you mean \"name\"?",
    );
    check_error(
        vec![(left("user_id") + right("city")).eq(right("name"))],
        city(),
        "join: `left(\"user_id\") + right(\"city\")` is of both tables; \
         each side of == is over the columns of one table; for more, .select(...).filter(...)",
    );
    check_error(
        by_name(),
        named([("page", col("page"))]),
        "both tables of the join have a column \"page\"; say which: left(\"page\") or right(\"page\")",
    );
    check_error(
        by_name(),
        named([("n", count())]),
        "`count()` is a reducer outside of a reduce; \
         the join is a table: reduce it with groupby(...).reduce(...) after the select(...)",
    );
}

#[test]
fn a_row_may_have_the_identity_of_a_side() {
    let visits = visits().with_id_from(vec![col("user_id"), col("access_time")], &here()).unwrap();
    let by = |mode, id| JoinOn { id: Some(id), ..joined(mode, by_name()) };
    let city = || named([("city", right("city"))]);
    let table = visits.join_select(&users(), by(JoinMode::Left, Side::Left), city(), &here()).unwrap();
    assert_eq!(table.identity().unwrap().to_string(), "user_id: str, access_time: int");
    // What identifies a row is kept, though no output uses it.
    let seen = visits.filter(col("bytes").gt(7), &here()).unwrap();
    check(
        [table.difference(&seen, &here()).unwrap()],
        expect![[r#"
            0: source "visits" (append-only): user_id: str, access_time: int, bytes: int?
            1: source "users" (append-only): name: str, city: str
            2: map 0 user_id, col("id(2)") = access_time
            3: join 2 1 "visits/join-0" left key [0]
            4: map 3 user_id = key(left("user_id").eq(right("name"))), access_time = left("id(2)"), city = right("city")
            5: map 0 where bytes > 7: user_id, access_time
            6: difference 4 5 "visits/join-0/difference-0" key [0, 1]: city: str?
            7: map 6 (consolidate by row) city
            8: sink 7 csv
        "#]],
    );
    let error = visits.join_select(&users(), by(JoinMode::Outer, Side::Left), city(), &here()).unwrap_err();
    let text = "join: a row of the outer join may have no row of the left table, whose id it would have";
    assert_eq!(error.message(), text);
    let error = visits.join_select(&users(), by(JoinMode::Inner, Side::Right), city(), &here()).unwrap_err();
    assert_eq!(error.hint(), Some("say which columns do, for example with_id_from([col(\"name\")])"));
}
