"""Two tables side by side: join, its kinds, and what it says of mistakes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from results import changes as written
from results import sum_up

import millpond as pw

MODES = ["inner", "left", "right", "outer"]


def visits() -> pw.Table:
    return pw.debug.table_from_markdown("""
        user | pages | __time__ | __diff__
        ann  | 3     | 2        | 1
        bob  | 4     | 2        | 1
        ann  | 5     | 4        | 1
        ann  | 3     | 6        | -1
    """)


def users() -> pw.Table:
    return pw.debug.table_from_markdown("""
        user | city  | __time__ | __diff__
        ann  | Rome  | 2        | 1
        eve  | Oslo  | 2        | 1
        ann  | Rome  | 4        | -1
        ann  | Paris | 4        | 1
        bob  | Bonn  | 6        | 1
    """)


def changes(table: pw.Table) -> list[tuple[tuple[Any, ...], int, int]]:
    return sorted(table._native.collect(), key=lambda change: (change[1], change[2], repr(change[0])))


def rows(table: pw.Table) -> Counter[tuple[Any, ...]]:
    total: Counter[tuple[Any, ...]] = Counter()
    for row, _, diff in table._native.collect():
        total[row] += diff
    return Counter({row: count for row, count in total.items() if count})


def test_rows_that_match_follow_both_tables() -> None:
    joined = visits().join(users(), pw.left.user == pw.right.user).select(pw.this.user, pw.this.pages, pw.this.city)
    assert changes(joined) == [
        (("ann", 3, "Rome"), 2, 1),
        (("ann", 3, "Rome"), 4, -1),
        (("ann", 3, "Paris"), 4, 1),
        (("ann", 5, "Paris"), 4, 1),
        (("ann", 3, "Paris"), 6, -1),
        (("bob", 4, "Bonn"), 6, 1),
    ]


def test_a_row_without_a_match_goes_when_one_comes() -> None:
    table = visits()
    joined = table.join_left(users(), pw.left.user == pw.right.user).select(table.user, pw.this.pages, pw.this.city)
    assert [change for change in changes(joined) if change[0][0] == "bob"] == [
        (("bob", 4, None), 2, 1),
        (("bob", 4, None), 6, -1),
        (("bob", 4, "Bonn"), 6, 1),
    ]


@pytest.mark.parametrize(
    ("how", "left", "right"),
    [
        ("inner", "user: str, pages: int", "city: str"),
        ("left", "user: str, pages: int", "city: str | None"),
        ("right", "user: str | None, pages: int | None", "city: str"),
        ("outer", "user: str | None, pages: int | None", "city: str | None"),
    ],
)
def test_a_side_that_may_be_missing_is_optional(how: str, left: str, right: str) -> None:
    joined = visits().join(users(), pw.left.user == pw.right.user, how=how)  # type: ignore[arg-type]
    assert repr(joined.select(pw.left.user, pw.this.pages, pw.this.city)) == f"<millpond.Table {left}, {right}>"
    # Under one name on both sides, a key is the one that is there.
    assert repr(joined.select(pw.this.user)) == "<millpond.Table user: str>"


@pytest.mark.parametrize("how", MODES)
def test_what_is_left_over_equals_a_join_by_hand(how: Any) -> None:
    left, right = visits(), users()
    joined = left.join(right, left.user == right.user, how=how).select(
        pw.this.user, mine=pw.left.user, theirs=pw.right.user, pages=left.pages, city=right.city
    )
    read, live = {"ann": [5], "bob": [4]}, {"ann": ["Paris"], "eve": ["Oslo"], "bob": ["Bonn"]}
    expected: set[tuple[Any, ...]] = set()
    for user in {*read, *live}:
        pages, cities = read.get(user, []), live.get(user, [])
        expected |= {(user, user, user, page, city) for page in pages for city in cities}
        if not cities and how in ("left", "outer"):
            expected |= {(user, user, None, page, None) for page in pages}
        if not pages and how in ("right", "outer"):
            expected |= {(user, None, user, None, city) for city in cities}
    assert rows(joined) == Counter(expected)


def test_missing_keys_are_equal_and_so_are_the_floats_that_equal() -> None:
    schema = pw.schema_from_types(key=float | None, n=int)
    left = pw.debug.table_from_markdown("key | n\n | 1\nnan | 2\n-0.0 | 3\n1.5 | 4", schema=schema)
    right = pw.debug.table_from_markdown("key | n\n | 10\nnan | 20\n0.0 | 30\n2.5 | 40", schema=schema)
    joined = left.join(right, left.key == right.key).select(a=pw.left.n, b=pw.right.n)
    assert rows(joined) == Counter([(1, 10), (2, 20), (3, 30)])
    assert "a key without a value equals another without one" in joined.explain()


def test_keys_of_several_columns_and_of_expressions() -> None:
    left = pw.debug.table_from_markdown("user | day\nAnn | 3\nBob | 4")
    right = pw.debug.table_from_markdown("name | next | cents\nann | 4 | 7\nbob | 4 | 9")
    both = (left.user.str.lower() == right.name) & (right.next == left.day + 1)
    expected = Counter([("Ann", 7)])
    assert rows(left.join(right, both).select(left.user, right.cents)) == expected
    apart = left.join(right, left.user.str.lower() == right.name, left.day + 1 == right.next)
    assert rows(apart.select(pw.this.user, pw.this.cents)) == expected


def test_a_table_is_joined_with_a_copy_of_itself() -> None:
    people = pw.debug.table_from_markdown("name | boss\nann | eve\nbob | ann\neve |")
    bosses = people.copy()
    joined = people.join(bosses, people.boss == bosses.name).select(people.name, above=bosses.boss)
    assert rows(joined) == Counter([("ann", None), ("bob", "eve")])
    # Of a part of a table, columns of the whole are its own.
    late = people.filter(people.name > "b")
    joined = late.join(bosses, people.boss == bosses.name).select(people.name)
    assert rows(joined) == Counter([("bob",)])


def test_a_join_is_joined_and_reduced() -> None:
    table, cities = visits(), users()
    first = table.join(cities, table.user == cities.user).select(cities.city, table.pages)
    lands = pw.debug.table_from_markdown("town | land\nParis | France\nBonn | Germany")
    second = pw.join_outer(first, lands, first.city == lands.town).select(lands.land, first.pages)
    totals = second.groupby(pw.this.land).reduce(pw.this.land, pages=pw.reducers.sum(pw.this.pages))
    assert rows(totals) == Counter([("France", 5), ("Germany", 4)])


def run(folder: Path, **files: str) -> Path:
    """Counts visits per country, over what is in the files by now."""
    for name, text in files.items():
        (folder / name).mkdir(exist_ok=True)
        number = len(list((folder / name).iterdir()))
        (folder / name / f"{number}.csv").write_text(text)
    table = pw.io.csv.read(folder / "visits", schema=pw.schema_from_types(user=str), name="visits")
    people = pw.io.csv.read(folder / "users", schema=pw.schema_from_types(name=str, land=str), name="users")
    joined = table.join_left(people, table.user == people.name).select(people.land)
    counts = joined.groupby(joined.land).reduce(joined.land, n=pw.reducers.count())
    pw.io.csv.write(counts, folder / "counts.csv")
    pw.run(state=folder / "state", monitoring_level=pw.MonitoringLevel.NONE)
    pw.clear()
    return folder / "counts.csv"


def test_a_restart_emits_changed_counts_only(tmp_path: Path) -> None:
    total: Counter[tuple[str, ...]] = Counter()
    sum_up(total, run(tmp_path, visits="user\nann\nbob\nann\n", users="name,land\nann,it\neve,no\n"))
    assert total == Counter({("it", "2"): 1, ("", "1"): 1})
    counts = run(tmp_path, visits="user\neve\n")
    assert written(counts) == ["no,1,1"]
    sum_up(total, counts)
    counts = run(tmp_path, users="name,land\nbob,it\n")
    assert written(counts) == [",1,-1", "it,2,-1", "it,3,1"]
    sum_up(total, counts)
    assert written(run(tmp_path)) == []
    assert total == Counter({("it", "3"): 1, ("no", "1"): 1})


def test_a_changed_join_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_text("k,n\n1,2\n")

    def program(how: Any, *columns: str) -> None:
        table = pw.io.csv.read(tmp_path / "in", schema=pw.schema_from_types(k=int, n=int), name="in")
        other = table.copy()
        condition = [getattr(table, column) == getattr(other, column) for column in columns]
        joined = table.join(other, *condition, how=how).select(table.k, m=other.n)
        pw.io.csv.write(joined.groupby(joined.k).reduce(joined.k, m=pw.reducers.sum(joined.m)), tmp_path / "out.csv")
        try:
            pw.run(state=tmp_path / "state", monitoring_level=pw.MonitoringLevel.NONE)
        finally:
            pw.clear()

    program("inner", "k")
    program("inner", "k")
    with pytest.raises(pw.ChangedError, match="how was inner, is left"):
        program("left", "k")
    with pytest.raises(pw.ChangedError, match=r"are left\.k == right\.k, left\.n == right\.n"):
        program("inner", "k", "n")


@pytest.mark.parametrize(
    ("condition", "message", "hint"),
    [
        (
            lambda v, u: v.pages == u.user,
            "join: `pw.left.pages` is int, but `pw.right.user` is str",
            "pw.cast(int, pw.right.user)",
        ),
        (
            lambda v, u: v.pages == pw.cast(float, u.n),
            "join: `pw.left.pages` is int, but `pw.cast(float, pw.right.n)` is float",
            "pw.cast(float, pw.left.pages)",
        ),
        (
            lambda v, u: v.user > u.user,
            "join: `pw.left.user > pw.right.user` is no equality of a column of each table",
            "such as pw.left.user == pw.right.user",
        ),
        (
            lambda v, u: v.user == v.user,
            "join: both sides of `pw.left.user == pw.left.user` are of the left table",
            "such as pw.left.user == pw.right.user",
        ),
        (
            lambda v, u: v.pages == 3,
            "join: the value 3 is of no table",
            "each side of == is over the columns of one table",
        ),
        (
            lambda v, u: pw.this.user == u.user,
            'join: of which table column "user" is, is not said',
            "write pw.left.user or pw.right.user",
        ),
    ],
)
def test_a_condition_that_is_none_is_named(condition: Any, message: str, hint: str) -> None:
    left = pw.debug.table_from_markdown("user | pages\nann | 3")
    right = pw.debug.table_from_markdown("user | n\nann | 3")
    with pytest.raises(pw.InvalidError) as raised:
        left.join(right, condition(left, right)).select(left.user)
    assert (raised.value.message, raised.value.hint) == (message, hint)


def test_an_ambiguous_column_is_named() -> None:
    left = pw.debug.table_from_markdown("user | n\nann | 3")
    right = pw.debug.table_from_markdown("user | n\nann | 3")
    joined = left.join(right, left.user == right.user)
    with pytest.raises(pw.InvalidError) as raised:
        joined.select(pw.this.n)
    assert raised.value.message == 'both tables of the join have a column "n"'
    assert raised.value.hint == "say which: pw.left.n or pw.right.n"
    with pytest.raises(pw.InvalidError) as raised:
        left.join(left, left.user == left.user)
        left.join(left, left.user == left.user).select(left.n)
    assert raised.value.hint is not None
    assert ".copy()" in raised.value.hint


def test_a_column_of_a_third_table_and_sides_outside_of_a_join_are_refused() -> None:
    left = pw.debug.table_from_markdown("user | n\nann | 3")
    right, third = left.copy(), left.copy()
    with pytest.raises(pw.InvalidError, match="is used in the join of"):
        left.join(right, left.user == right.user).select(third.n)
    with pytest.raises(pw.InvalidError, match=r"pw\.left\.n is used outside of a join"):
        left.select(pw.left.n)
    with pytest.raises(pw.InvalidError, match='how is "full"'):
        left.join(right, left.user == right.user, how="full")  # type: ignore[arg-type]
    with pytest.raises(pw.InvalidError, match="expected a table"):
        left.concat(left.join(right, left.user == right.user))  # type: ignore[arg-type]


def test_rows_may_have_the_identity_of_a_side() -> None:
    left = visits().with_id_from(pw.this.user, pw.this.pages)
    right = users()
    joined = left.join_left(right, left.user == right.user, id=left.id).select(right.city, left.pages)
    assert rows(joined.difference(left.filter(left.pages == 5))) == Counter([("Bonn", 4)])
    assert "identity: that of the left table" in joined.explain()
    table = left.join(right, left.user == right.user, id=pw.left.id).select(right.city)
    assert rows(table.intersect(left)) == Counter([("Paris",), ("Bonn",)])


def test_a_second_match_of_a_row_that_gives_the_identity_ends_the_run() -> None:
    left = pw.debug.table_from_markdown("user | n\nann | 3").with_id_from(pw.this.user)
    right = pw.debug.table_from_markdown("user | city\nann | Rome\nann | Oslo")
    joined = left.join(right, left.user == right.user, id=pw.left.id).select(right.city)
    with pytest.raises(pw.InputError) as raised:
        joined._native.collect()
    assert 'two rows of the right table match one row of the left, whose id the row of the join has: user="ann"' in (
        raised.value.message
    )
    assert raised.value.hint == "leave id= out, or let each key be once in the right table"


def test_an_id_that_is_none_is_named() -> None:
    left = pw.debug.table_from_markdown("user | n\nann | 3").with_id_from(pw.this.user)
    right = pw.debug.table_from_markdown("user | city\nann | Rome")
    condition = left.user == right.user
    with pytest.raises(pw.InvalidError) as raised:
        left.join_outer(right, condition, id=left.id).select(left.n)
    assert raised.value.hint == "take an inner join, or leave id= out"
    with pytest.raises(pw.InvalidError) as raised:
        left.join(right, condition, id=right.id).select(left.n)
    assert raised.value.hint == "say which columns do, for example with_id_from(pw.this.user)"
    for wrong in (left.n, pw.this.id, "id"):
        with pytest.raises(pw.InvalidError) as raised:
            left.join(right, condition, id=wrong)  # type: ignore[arg-type]
        assert raised.value.hint == "pw.left.id or pw.right.id"
    with pytest.raises(pw.InvalidError):
        left.select(left.id)


def test_tables_meet_at_the_times_that_they_say() -> None:
    visits = pw.debug.table_from_markdown("k | x | __time__\n1 | 10 | 2\n1 | 11 | 10")
    users = pw.debug.table_from_markdown("k | y | __time__\n1 | 7 | 6\n1 | 8 | 12")
    joined = visits.join(users, pw.left.k == pw.right.k).select(pw.left.x, pw.right.y)
    assert changes(joined) == [((10, 7), 6, 1), ((11, 7), 10, 1), ((10, 8), 12, 1), ((11, 8), 12, 1)]
    # A table without times comes with what comes first.
    names = pw.debug.table_from_markdown("k | name\n1 | ann")
    assert changes(visits.join(names, visits.k == names.k).select(visits.x, names.name)) == [
        ((10, "ann"), 2, 1),
        ((11, "ann"), 10, 1),
    ]
    # An odd time is shown as the next even one.
    odd = pw.debug.table_from_markdown("x | __time__\n1 | 1\n2 | 2\n3 | 7")
    assert changes(odd) == [((1,), 2, 1), ((2,), 4, 1), ((3,), 8, 1)]


@pytest.mark.parametrize("how", ["left", "outer"])
def test_a_json_null_of_a_side_that_may_be_missing_is_none_as_a_key_too(how: Any) -> None:
    schema = pw.schema_from_types(j=pw.Json, n=int)
    left = pw.debug.table_from_markdown("j | n\nnull | 1\n5 | 2", schema=schema)
    right = pw.debug.table_from_markdown("j | n\nnull | 3", schema=schema)
    joined = left.join(right, left.j == right.j, how=how).select(left.n, right.j, none=right.j.is_none())
    assert rows(joined) == {(1, None, True): 1, (2, None, True): 1}
    assert rows(joined.groupby(joined.j).reduce(n=pw.reducers.count())) == {(2,): 1}


def test_a_json_key_that_may_be_missing_on_both_sides_needs_no_side() -> None:
    schema = pw.schema_from_types(j=pw.Json | None, n=int)
    left = pw.debug.table_from_markdown("j | n\n5 | 1\nnull | 2", schema=schema)
    right = pw.debug.table_from_markdown("j | n\n5 | 3\nnull | 4", schema=schema)
    joined = left.join(right, left.j == right.j).select(pw.this.j, a=left.n, b=right.n)
    assert rows(joined) == {(pw.Json(5), 1, 3): 1, (None, 2, 4): 1}


def test_a_json_null_matches_what_is_missing_and_is_so_then() -> None:
    left = pw.debug.table_from_markdown("j | n\nnull | 1", schema=pw.schema_from_types(j=pw.Json, n=int))
    right = pw.debug.table_from_markdown("j | n\nnull | 2", schema=pw.schema_from_types(j=pw.Json | None, n=int))
    joined = left.join(right, left.j == right.j).select(b=right.j, none=right.j.is_none(), n=left.n)
    assert rows(joined) == {(None, True, 1): 1}


def test_a_removal_names_the_table_that_had_no_such_row() -> None:
    left = pw.debug.table_from_markdown("k | n\n1 | 0")
    right = pw.debug.table_from_markdown("q | b | __time__ | __diff__\n1 | 2 | 2 | -1")
    joined = left.join(right, left.k == right.q).select(left.k, right.b)
    with pytest.raises(pw.InputError, match="a row was removed that was never added: q=1, in the right table"):
        pw.debug.compute_and_print(joined)


def test_kinds_of_joins_are_values() -> None:
    assert pw.JoinMode("left") == pw.JoinMode.LEFT != pw.JoinMode.OUTER
    assert len({pw.JoinMode("left"), pw.JoinMode.LEFT}) == 1
    with pytest.raises(pw.InvalidError, match='JoinMode: "zzz" is no kind of join'):
        pw.JoinMode("zzz")


def test_state_goes_on_however_a_column_is_written(tmp_path: Path) -> None:
    def run(column: Any) -> None:
        left, right = visits(), pw.debug.table_from_markdown("user | city\nann | Rome")
        joined = left.join(right, left.user == right.user).select(left.user, n=column(left))
        pw.io.csv.write(joined, tmp_path / "result.csv")
        pw.run(persistence_config=pw.persistence.Config(pw.persistence.Backend.filesystem(tmp_path / "state")))

    run(lambda left: left.pages)
    run(lambda left: pw.this.pages)
    run(lambda left: pw.left.pages)


def test_a_column_that_stays_is_no_change() -> None:
    """Where a source removes rows, what is left of a row after a select may be what comes in its stead."""
    table = pw.debug.table_from_markdown("k | n | __time__ | __diff__\n1 | 1 | 2 | 1\n1 | 1 | 4 | -1\n1 | 2 | 4 | 1")
    assert changes(table.select(table.k)) == [((1,), 2, 1)]
    other = pw.debug.table_from_markdown("k | n | __time__\n1 | 1 | 4")
    assert changes(table.concat(other)) == [((1, 1), 2, 1), ((1, 2), 4, 1)]


@pytest.mark.parametrize("left_join", [False, True])
def test_a_row_too_often_is_an_error_of_the_input(left_join: bool) -> None:
    rows = "\n".join(f"1 | {n} | 1000000000" for n in range(10))
    left = pw.debug.table_from_markdown(f"k | n | __diff__\n{rows}")
    right = pw.debug.table_from_markdown("k | __diff__\n1 | 1000000000")
    many = left.join(right, left.k == right.k).select(left.k, left.n)
    other = pw.debug.table_from_markdown("k\n1")
    joined = many.join(other, many.k == other.k, how="left" if left_join else "inner")
    table = joined.select(many.n, m=other.k) if left_join else joined.select(other.k)
    with pytest.raises(pw.InputError, match=r"more than 2\^6. times"):
        changes(table)


def test_mistakes_in_the_data_of_keys_and_arguments_name_the_line() -> None:
    table = pw.debug.table_from_markdown("n\n0")
    other = pw.debug.table_from_markdown("k\n1")
    for mistaken in [
        table.join(other, 10 // pw.left.n == pw.right.k).select(pw.right.k),
        table.groupby(pw.this.n).reduce(most=pw.reducers.max(10 // pw.this.n)),
        table.windowby(10 // pw.this.n, window=pw.temporal.tumbling(duration=5)).reduce(n=pw.reducers.count()),
    ]:
        with pytest.raises(pw.InputError, match="division by zero") as caught:
            pw.debug.compute_and_print(mistaken)
        assert caught.value.origin is not None and "test_joins.py:" in caught.value.origin


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (list[pw.Json], list[pw.Json | None]),
        (tuple[int, int], tuple[int, int | None]),
    ],
)
def test_keys_of_tuples_and_lists_are_of_one_type(left: Any, right: Any) -> None:
    a = pw.debug.table_from_markdown("t\n[1,2]", schema=pw.schema_from_types(t=left))
    b = pw.debug.table_from_markdown("t\n[1,2]", schema=pw.schema_from_types(t=right))
    with pytest.raises(pw.InvalidError, match=r"join: `pw\.left\.t` is .*, but `pw\.right\.t` is ") as caught:
        a.join(b, a.t == b.t).select(a.t)
    assert caught.value.hint is not None and "pw.left.t" in caught.value.hint


def test_a_key_that_is_always_none_is_none() -> None:
    none = pw.if_else(pw.left.user == "ann", None, None)
    with pytest.raises(pw.InvalidError, match="is no key: it is always None"):
        visits().join(users(), none == pw.right.user).select(pw.left.user)


def test_the_name_of_a_state_is_a_text() -> None:
    with pytest.raises(pw.InvalidError, match="named: a name is a str, not 3"):
        visits().named(3)  # type: ignore[arg-type]
    with pytest.raises(pw.InvalidError, match="the name of a table is empty"):
        visits().groupby(pw.this.user).reduce(pw.this.user).named("")


def test_a_join_has_columns_and_rows_only_after_its_select() -> None:
    joined: Any = visits().join(users(), pw.left.user == pw.right.user)
    with pytest.raises(pw.InvalidError) as caught:
        joined["user"]
    assert caught.value.message == "a join has no columns before its select"
    with pytest.raises(pw.InvalidError) as caught:
        list(joined)
    assert caught.value.message == "a join cannot be walked through: it has no rows before the run"
    # What both hints say.
    assert changes(joined.select(pw.left.user, pw.right.city))


def test_a_condition_that_is_none_is_refused_with_one_that_is() -> None:
    with pytest.raises(pw.InvalidError) as caught:
        visits().join(users(), "user")  # type: ignore[arg-type]
    assert caught.value.message == 'join: expected a condition, got "user"'
    assert caught.value.hint == "such as pw.left.user == pw.right.user"
    with pytest.raises(pw.InvalidError, match='select: the column "user" is given twice'):
        visits().join(users(), pw.left.user == pw.right.user).select(pw.left.user, pw.right.user)


def test_a_join_says_at_once_what_is_wrong_with_its_conditions() -> None:
    visits = pw.debug.table_from_markdown("user | page\nann | 1")
    users = pw.debug.table_from_markdown("user | city\nann | Rome")
    for conditions, message in [
        ((), "join: no condition is given"),
        ((visits.user,), "join: `pw.left.user` is no equality"),
        ((visits.user == visits.user,), "are of the left table"),
        ((pw.left.user == pw.right.usr,), 'no column "usr"'),
        ((visits.page == users.city,), "int"),
    ]:
        with pytest.raises(pw.InvalidError) as caught:
            visits.join(users, *conditions)
        assert message in caught.value.message, caught.value


@pytest.mark.parametrize("name", ["on", "left_on", "by"])
@pytest.mark.parametrize("join", ["join", "join_left"])
def test_arguments_of_joins_elsewhere_say_where_conditions_stand(join: str, name: str) -> None:
    visits = pw.debug.table_from_markdown("user | page\nann | 1")
    with pytest.raises(pw.InvalidError) as caught:
        getattr(visits, join)(visits.copy(), **{name: "user"})
    assert caught.value.hint == "the conditions come after the other table: join(other, pw.left.x == pw.right.y)"
    with pytest.raises(pw.InvalidError) as caught:
        visits.join(visits.copy(), pw.left.user == pw.right.user, how="full")  # type: ignore[arg-type]
    assert caught.value.hint == 'how="outer" has the rows of both tables'
