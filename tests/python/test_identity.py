"""Tables combined by what identifies their rows: update_rows, update_cells, difference, intersect."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from results import sum_up

import millpond as pw


def visits() -> pw.Table:
    return pw.debug.table_from_markdown("""
        user | page | cents | __time__ | __diff__
        ann  | home | 1     | 2        | 1
        ann  | shop | 2     | 2        | 1
        bob  | home | 3     | 2        | 1
        eve  | shop | 4     | 4        | 1
        bob  | home | 3     | 6        | -1
    """)


def by_user() -> pw.Table:
    table = visits()
    return table.groupby(table.user).reduce(table.user, n=pw.reducers.count(), cents=pw.reducers.sum(table.cents))


def corrections() -> pw.Table:
    return pw.debug.table_from_markdown(
        """
        cents | n | user | __time__ | __diff__
        10    | 1 | kim  | 2        | 1
        70    | 7 | ann  | 4        | 1
        90    | 9 | zoe  | 4        | 1
        70    | 7 | ann  | 6        | -1
        80    | 8 | ann  | 6        | 1
        90    | 9 | zoe  | 8        | -1
        """,
        id_from=["user"],
    )


def changes(table: pw.Table) -> list[tuple[tuple[Any, ...], int, int]]:
    return sorted(table._native.collect(), key=lambda change: (change[1], change[2], repr(change[0])))


def test_rows_are_updated_and_come_back() -> None:
    assert changes(by_user().update_rows(corrections())) == [
        (("ann", 2, 3), 2, 1),
        (("bob", 1, 3), 2, 1),
        (("kim", 1, 10), 2, 1),
        (("ann", 2, 3), 4, -1),
        (("ann", 7, 70), 4, 1),
        (("eve", 1, 4), 4, 1),
        (("zoe", 9, 90), 4, 1),
        (("ann", 7, 70), 6, -1),
        (("bob", 1, 3), 6, -1),
        (("ann", 8, 80), 6, 1),
        (("zoe", 9, 90), 8, -1),
    ]


@pytest.mark.parametrize("shifted", [False, True])
def test_cells_are_updated_where_the_row_is_there(shifted: bool) -> None:
    cents = corrections().select(pw.this.cents)
    table = by_user() << cents if shifted else by_user().update_cells(cents)
    assert changes(table) == [
        (("ann", 2, 3), 2, 1),
        (("bob", 1, 3), 2, 1),
        (("ann", 2, 3), 4, -1),
        (("ann", 2, 70), 4, 1),
        (("eve", 1, 4), 4, 1),
        (("ann", 2, 70), 6, -1),
        (("bob", 1, 3), 6, -1),
        (("ann", 2, 80), 6, 1),
    ]


def test_difference_and_intersect_take_many_rows_of_one_identity() -> None:
    known = visits().with_id_from(pw.this.user)
    users = pw.debug.table_from_markdown("name | city\nann | Rome\nzoe | Oslo\nbob | Paris", id_from=["name"])
    assert changes(users.difference(known)) == [
        (("zoe", "Oslo"), 2, 1),
        (("bob", "Paris"), 6, 1),
    ]
    assert changes(users.intersect(known)) == [
        (("ann", "Rome"), 2, 1),
        (("bob", "Paris"), 2, 1),
        (("bob", "Paris"), 6, -1),
    ]
    away = pw.debug.table_from_markdown("who\nann", id_from=["who"])
    assert changes(users.intersect(known, away).select(users.city)) == [(("Rome",), 2, 1)]


def test_labels_and_primary_keys_identify_rows() -> None:
    class Pet(pw.Schema):
        name: str = pw.column_definition(primary_key=True)
        age: int

    pets = pw.debug.table_from_markdown("name | age\nRex | 4\nTom | 9", schema=Pet)
    older = pw.debug.table_from_markdown("  | age\n Tom | 10")
    assert changes(pets.update_cells(older).without("name")) == [((10,), 2, 1), ((4,), 2, 1)]


class Person(pw.Schema):
    name: str = pw.column_definition(primary_key=True)
    city: str


class People(pw.io.python.ConnectorSubject):
    def run(self) -> None:
        self.next(name="ann", city="Rome")
        self.next(name="bob", city="Oslo")
        self.commit()
        self.next(name="ann", city="Paris")


def test_a_subject_with_a_primary_key_updates_rows() -> None:
    people = pw.io.python.read(People(), schema=Person)
    homes = pw.debug.table_from_markdown("name | city\nann | Lima\neve | Bonn", schema=Person)
    table = homes.update_rows(people)
    counts: dict[tuple[Any, ...], int] = {}
    for row, _, diff in table._native.collect():
        counts[row] = counts.get(row, 0) + diff
    assert {row for row, count in counts.items() if count} == {("ann", "Paris"), ("bob", "Oslo"), ("eve", "Bonn")}


def test_files_are_combined_and_go_on_after_a_restart(tmp_path: Path) -> None:
    people, left = tmp_path / "people", tmp_path / "left"
    people.mkdir()
    left.mkdir()
    result = tmp_path / "result.csv"

    def run() -> None:
        pw.clear()
        schema = pw.schema_from_types(name=str, city=str)
        persons = pw.io.csv.read(people, schema=schema, mode="static", name="people").with_id_from(pw.this.name)
        gone = pw.io.jsonlines.read(left, schema=schema, mode="static", name="left").with_id_from(pw.this.name)
        pw.io.csv.write(persons.difference(gone), result)
        state = pw.persistence.Config(pw.persistence.Backend.filesystem(tmp_path / "state"))
        pw.run(persistence_config=state, monitoring_level=pw.MonitoringLevel.NONE)

    table: Counter[tuple[str, ...]] = Counter()
    (people / "1.csv").write_text("name,city\nann,Rome\nbob,Oslo\n")
    run()
    sum_up(table, result)
    assert table == {("ann", "Rome"): 1, ("bob", "Oslo"): 1}
    (left / "1.jsonl").write_text('{"name": "bob", "city": "-"}\n')
    run()
    sum_up(table, result)
    assert table == {("ann", "Rome"): 1}
    (people / "2.csv").write_text("name,city\neve,Bonn\n")
    (left / "2.jsonl").write_text('{"name": "ann", "city": "-"}\n{"name": "ann", "city": "?"}\n')
    run()
    sum_up(table, result)
    assert table == {("eve", "Bonn"): 1}
    (people / "3.csv").write_text("name,city\neve,Nice\n")
    with pytest.raises(pw.InputError) as caught:
        run()
    assert caught.value.message == 'two rows of table 1 of the difference have one identity: name="eve"'
    assert caught.value.origin is not None and "test_identity.py:" in caught.value.origin


def test_saying_what_identifies_a_row_keeps_the_state_of_other_steps(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "1.csv").write_text("name,city\nann,Rome\n")

    schema = pw.schema_from_types(name=str, city=str)
    for identified in (False, True, False):
        pw.clear()
        persons = pw.io.csv.read(tmp_path / "in", schema=schema, mode="static", name="people")
        if identified:
            persons = persons.with_id_from(pw.this.name)
        counts = persons.groupby(persons.city).reduce(persons.city, n=pw.reducers.count())
        pw.io.csv.write(counts, tmp_path / "out.csv")
        state = pw.persistence.Config(pw.persistence.Backend.filesystem(tmp_path / "state"))
        pw.run(persistence_config=state, monitoring_level=pw.MonitoringLevel.NONE)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda t: t.with_id_from(), "with_id_from needs a column"),
        (lambda t: t.with_id_from("user"), 'with_id_from: expected a column such as pw.this.user_id, got "user"'),
        (lambda t: t.with_id_from(pw.this.nobody), 'no column "nobody"'),
        (lambda t: t.difference(t), "nothing is known to identify the rows of table 1 of the difference, the one of "),
        (
            lambda t: by_user().difference(t.with_id_from(t.cents)),
            "the rows of table 1 of the difference are identified by user: str, but those of table 2 by cents: int",
        ),
        (lambda t: by_user().intersect(), "intersect needs another table"),
        (lambda t: t.update_rows(3), "update_rows: expected a table, got 3"),
        (
            lambda t: by_user().update_rows(corrections().without("n")),
            'table 1 of the update_rows has the columns "user", "n", "cents", but table 2 "cents", "user"',
        ),
        (
            lambda t: by_user() << corrections().cast_to_types(n=str),
            'column "n" is int in table 1 of the update_cells, but str in table 2',
        ),
        (
            lambda t: by_user() << corrections().rename(m="n"),
            'table 1 of the update_cells: no column "m": there are "user", "n", "cents"',
        ),
    ],
)
def test_a_mistake_is_refused_before_anything_runs(make, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(pw.InvalidError) as caught:
        make(visits())
    assert caught.value.message.startswith(message)
    assert caught.value.origin is not None and "test_identity.py:" in caught.value.origin
