"""Reducers that pick a value by another or by its arrival, and those that need all values."""

from __future__ import annotations

from typing import Any

import pytest

import millpond as pw


def moves() -> pw.Table:
    return pw.debug.table_from_markdown("""
        user | city | cents | at | __time__ | __diff__
        ann  | Rome | 30    | 1  | 2        | 1
        ann  | Oslo | 30    | 2  | 2        | 1
        bob  | Bonn |       | 7  | 2        | 1
        ann  | Rome | 10    | 3  | 4        | 1
        ann  | Oslo | 30    | 2  | 6        | -1
        ann  | Rome | 10    | 3  | 8        | -1
        bob  | Bonn |       | 7  | 8        | -1
        bob  | Bern | 20    | 8  | 8        | 1
    """)


def changes(table: pw.Table) -> list[tuple[tuple[Any, ...], int, int]]:
    return sorted(table._native.collect(), key=lambda change: (change[1], change[2], repr(change[0])))


def final(table: pw.Table) -> list[tuple[Any, ...]]:
    rows: dict[tuple[Any, ...], int] = {}
    for row, _, diff in changes(table):
        rows[row] = rows.get(row, 0) + diff
    assert set(rows.values()) <= {0, 1}
    return sorted((row for row, diff in rows.items() if diff), key=repr)


def test_an_argument_follows_removals_and_ties_go_to_the_smallest_or_largest() -> None:
    table = moves().filter(pw.this.user == "ann")
    cities = table.reduce(
        least=pw.reducers.argmin(table.cents, table.city), most=pw.reducers.argmax(table.cents, table.city + "!")
    )
    assert changes(cities) == [
        (("Oslo", "Rome!"), 2, 1),
        (("Oslo", "Rome!"), 4, -1),
        (("Rome", "Rome!"), 4, 1),
    ]


def test_rows_without_a_value_have_no_argument() -> None:
    table = moves()
    least = table.groupby(table.user).reduce(table.user, city=pw.reducers.argmin(table.cents, table.city))
    assert repr(least) == "<millpond.Table user: str, city: str | None>"
    assert changes(least)[:2] == [(("ann", "Oslo"), 2, 1), (("bob", None), 2, 1)]


def test_the_latest_value_follows_removals() -> None:
    table = moves().filter(pw.this.user == "ann")
    cities = table.reduce(first=pw.reducers.earliest(table.at), last=pw.reducers.latest(table.at))
    assert changes(cities) == [
        ((1, 2), 2, 1),
        ((1, 2), 4, -1),
        ((1, 3), 4, 1),
        ((1, 3), 8, -1),
        ((1, 1), 8, 1),
    ]


def test_of_equal_rows_the_first_that_came_is_removed() -> None:
    table = pw.debug.table_from_markdown("""
        x | __time__ | __diff__
        1 | 2        | 1
        2 | 4        | 1
        1 | 6        | 1
        1 | 8        | -1
    """)
    ends = table.reduce(first=pw.reducers.earliest(table.x), last=pw.reducers.latest(table.x))
    assert final(ends) == [(2, 1)]


def test_distinct_values_are_counted_exactly() -> None:
    table = moves()
    counts = table.groupby(table.user).reduce(
        table.user,
        cities=pw.reducers.count_distinct(table.city),
        pairs=pw.reducers.count_distinct(table.city, table.cents) * 10,
    )
    assert repr(counts) == "<millpond.Table user: str, cities: int, pairs: int>"
    assert changes(counts) == [
        (("ann", 2, 20), 2, 1),
        (("bob", 1, 0), 2, 1),
        (("ann", 2, 20), 4, -1),
        (("ann", 2, 30), 4, 1),
        (("ann", 2, 30), 6, -1),
        (("ann", 1, 20), 6, 1),
        (("ann", 1, 20), 8, -1),
        (("bob", 1, 0), 8, -1),
        (("ann", 1, 10), 8, 1),
        (("bob", 1, 10), 8, 1),
    ]


@pytest.mark.parametrize(
    "window", [pw.temporal.session(max_gap=2), pw.temporal.tumbling(5), pw.temporal.sliding(5, duration=10)]
)
def test_windows_have_all_reducers(window: Any) -> None:
    table = moves()
    result = table.windowby(table.at, window=window).reduce(
        least=pw.reducers.argmin(table.cents, table.city),
        most=pw.reducers.argmax(table.at, table.city),
        first=pw.reducers.earliest(table.user),
        last=pw.reducers.latest(table.user),
        users=pw.reducers.count_distinct(table.user, table.at),
        cities=pw.reducers.tuple(table.city),
        cents=pw.reducers.sorted_tuple(table.cents, skip_nones=True),
    )
    rows = final(result)
    assert ("Rome", "Rome", "ann", "ann", 1, ("Rome",), (30,)) in rows
    assert ("Bern", "Bern", "bob", "bob", 1, ("Bern",), (20,)) in rows


@pytest.mark.parametrize(
    ("make", "message", "hint"),
    [
        (
            lambda t: pw.reducers.argmin(t.cents),
            "pw.reducers.argmin(cents) does not say what it takes of the row",
            "pw.reducers.argmin(pw.this.cents, pw.this.name) is the name of the row with the smallest cents",
        ),
        (
            lambda t: pw.reducers.latest(None),
            "None has no type, but pw.reducers.latest() needs one",
            "say which: pw.cast(int, None)",
        ),
        (
            lambda t: pw.reducers.argmax(t.cents, pw.reducers.max(t.at)),
            "`pw.reducers.max(at)` is inside another reducer",
            "",
        ),
    ],
)
def test_wrong_arguments_are_refused_with_the_line(make: Any, message: str, hint: str) -> None:
    table = moves()
    with pytest.raises(pw.InvalidError) as caught:
        table.reduce(x=make(table))
    assert caught.value.message == message and hint in (caught.value.hint or "")
    assert caught.value.origin is not None and "test_reducers.py:" in caught.value.origin


def test_a_reducer_over_another_table_is_refused() -> None:
    table, other = moves(), moves()
    with pytest.raises(pw.Error, match="table"):
        table.reduce(x=pw.reducers.argmin(table.cents, other.city))


def test_tuples_hold_all_values_by_arrival_or_in_order() -> None:
    table = pw.debug.table_from_markdown("""
        x    | __time__ | __diff__
        3    | 2        | 1
        1    | 2        | 1
        None | 4        | 1
        2    | 4        | 1
        1    | 6        | 1
        1    | 8        | -1
    """)
    lists = table.reduce(
        all=pw.reducers.tuple(table.x),
        known=pw.reducers.tuple(table.x, skip_nones=True),
        sorted=pw.reducers.sorted_tuple(table.x),
        known_sorted=pw.reducers.sorted_tuple(table.x + 1, skip_nones=True),
    )
    ints, optional = "list[int]", "list[int | None]"
    assert repr(lists) == f"<millpond.Table all: {optional}, known: {ints}, sorted: {optional}, known_sorted: {ints}>"
    assert final(lists) == [((3, None, 2, 1), (3, 2, 1), (None, 1, 2, 3), (2, 3, 4))]
