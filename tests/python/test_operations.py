"""Everyday operations on tables: columns by name, tables together, whole tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from results import changes as written

import millpond as pw


def shop() -> pw.Table:
    return pw.debug.table_from_markdown("""
        user | item  | cents | __time__ | __diff__
        ann  | apple | 30    | 2        | 1
        bob  | pear  |       | 2        | 1
        ann  | apple | 30    | 4        | -1
        bob  | pear  |       | 6        | -1
    """)


def changes(table: pw.Table) -> list[tuple[tuple[Any, ...], int, int]]:
    return sorted(table._native.collect(), key=lambda change: (change[1], change[2], repr(change[0])))


def columns(table: pw.Table) -> str:
    return repr(table).removeprefix("<millpond.Table ").removesuffix(">")


def test_columns_are_left_out_by_name_or_as_columns() -> None:
    table = shop()
    assert columns(table.without("item", table.cents)) == "user: str"
    assert columns(table.without(pw.this.user)) == "item: str, cents: int | None"


def test_every_spelling_of_a_rename_does_the_same() -> None:
    table = shop()
    renamed = "who: str, item: str, price: int | None"
    assert columns(table.rename(who=table.user, price="cents")) == renamed
    assert columns(table.rename_columns(who=pw.this.user, price=table.cents)) == renamed
    assert columns(table.rename({"user": "who", "cents": "price"})) == renamed
    assert columns(table.rename_by_dict({table.user: "who", table.cents: "price"})) == renamed
    assert columns(table.rename(user=table.item, item=table.user)) == "item: str, user: str, cents: int | None"


def test_types_are_cast_in_place() -> None:
    table = shop().cast_to_types(cents=float, user=str)
    assert columns(table) == "user: str, item: str, cents: float | None"
    assert changes(table)[0] == (("ann", "apple", 30.0), 2, 1)


def test_a_cast_that_fails_names_the_line_that_asks_for_it() -> None:
    table = shop().cast_to_types(item=int)
    with pytest.raises(pw.InputError) as caught:
        changes(table)
    assert caught.value.message.startswith(
        'column "item": the text is not int in pw.cast(int, item), where item = "apple"'
    )
    assert caught.value.origin is not None and "test_operations.py:" in caught.value.origin


def test_concat_keeps_each_row_as_often_as_it_is_there() -> None:
    table = shop()
    both = table.concat_reindex(table.filter(table.user == "ann"), table.select(table.cents, table.item, table.user))
    assert changes(both) == [
        (("bob", "pear", None), 2, 2),
        (("ann", "apple", 30), 2, 3),
        (("ann", "apple", 30), 4, -3),
        (("bob", "pear", None), 6, -2),
    ]
    assert changes(table.concat(table)) == changes(table.concat_reindex(table))


def test_concat_of_tables_with_and_without_nulls_may_hold_nulls() -> None:
    table = shop()
    known = table.with_columns(cents=pw.coalesce(table.cents, 0))
    assert columns(known.concat_reindex(table)) == "user: str, item: str, cents: int | None"


def test_a_whole_table_has_one_row_while_it_has_rows() -> None:
    table = shop()
    total = table.reduce(n=pw.reducers.count(), cents=pw.reducers.sum(table.cents))
    assert changes(total) == [
        ((2, 30), 2, 1),
        ((2, 30), 4, -1),
        ((1, None), 4, 1),
        ((1, None), 6, -1),
    ]


def test_unique_follows_removals() -> None:
    table = shop().filter(pw.this.item != "")
    values = table.reduce(
        item=pw.fill_error(pw.reducers.unique(table.item), "several"), some=pw.reducers.any(table.user)
    )
    assert changes(values) == [
        (("several", "ann"), 2, 1),
        (("several", "ann"), 4, -1),
        (("pear", "bob"), 4, 1),
        (("pear", "bob"), 6, -1),
    ]


def test_several_values_are_an_error_that_shows_two() -> None:
    table = shop()
    with pytest.raises(pw.InputError) as caught:
        changes(table.reduce(who=pw.reducers.unique(table.user)))
    expect = 'column "who": there are several values in pw.reducers.unique(user), where pw.reducers.min(user) = "ann", '
    assert caught.value.message.startswith(expect)
    assert caught.value.origin is not None and "test_operations.py:" in caught.value.origin


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda t: t.without("price"), 'no column "price": there are "user", "item", "cents"'),
        (lambda t: t.without(3), "without: expected a column such as pw.this.user_id, got 3"),
        (lambda t: t.rename(item="user"), 'rename has two columns named "item"'),
        (lambda t: t.rename({"user": 3}), "rename_by_dict: a new name is a str, not 3"),
        (lambda t: t.rename({"user": "a"}, b="item"), "rename: a dictionary and names are given"),
        (lambda t: t.rename(["user"]), "rename_by_dict: expected a dictionary of names, got ['user']"),
        (lambda t: t.cast_to_types(price=int), 'no column "price": there are "user", "item", "cents"'),
        (lambda t: t.cast_to_types(cents=list), "cast_to_types: cents"),
        (
            lambda t: t.concat_reindex(t.without("item")),
            'table 1 of the concat has the columns "user", "item", "cents", but table 2 "user", "cents"',
        ),
        (
            lambda t: t.concat(t.cast_to_types(cents=str)),
            'column "cents" is int | None in table 1 of the concat, but str | None in table 2',
        ),
        (lambda t: t.concat(t.groupby(t.user)), "concat: expected a table"),
        (lambda t: t.flatten(t.cents), 'column "cents" is int | None, which has no elements'),
        (lambda t: t.flatten("price"), 'no column "price"'),
        (lambda t: t.flatten(t.item + ""), "flatten: an expression needs a name"),
        (lambda t: t.reduce(t.user), 'column "user" is not inside a reducer'),
        (lambda t: t.without(shop().user), "a column of the table"),
    ],
)
def test_a_mistake_is_refused_before_anything_runs(make, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(pw.InvalidError) as caught:
        make(shop())
    assert caught.value.message.startswith(message)
    assert caught.value.origin is not None and "test_operations.py:" in caught.value.origin


def test_what_stands_in_an_expression_several_times_is_planned_once(tmp_path: Path) -> None:
    """Broke once: an expression that uses the one before twice took twice as long with each step."""

    def run(rows: str) -> list[str]:
        (tmp_path / "in.csv").write_text("k,a\n" + rows, encoding="utf-8")
        table = pw.io.csv.read(str(tmp_path / "in.csv"), schema=pw.schema_from_types(k=str, a=int), name="in")
        left: pw.ColumnExpression = table.a
        for step in range(60):
            left = pw.if_else(left > step, left - step, left)
        assert len(repr(left)) < 5_000 and len(table.select(left=left).explain()) < 10_000
        groups = (
            table.select(table.k, left=left).groupby(pw.this.k).reduce(pw.this.k, most=pw.reducers.max(pw.this.left))
        )
        pw.io.csv.write(groups, str(tmp_path / "out.csv"))
        pw.run(state=str(tmp_path / "state"), monitoring_level=pw.MonitoringLevel.NONE)
        pw.clear()
        return written(tmp_path / "out.csv")

    def expected(a: int) -> int:
        for step in range(60):
            a -= step if a > step else 0
        return a

    assert run("x,1000003\n") == [f"x,{expected(1000003)},1"]
    assert run("x,1000003\nx,77\ny,77\n") == [f"y,{expected(77)},1"]
