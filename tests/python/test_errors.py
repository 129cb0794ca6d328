"""Mistakes in a program: the kind, the sentence, the line, the exit code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Script

import millpond as pw


class Visit(pw.Schema):
    user: str
    time: int
    note: str | None


VISITS = pw.debug.table_from_markdown("user | time | note\nann | 1 | x", schema=Visit)
OTHER = pw.debug.table_from_markdown("user | time\nann | 1")
SESSION = pw.temporal.session(max_gap=3)

MISTAKES: dict[str, tuple[Callable[[], Any], str]] = {
    "unknown attribute": (lambda: VISITS.nam, 'a table has no column or method "nam"; its columns are "user", "time"'),
    "unknown item": (lambda: VISITS["nam"], 'no column "nam" in the table'),
    "item that is no name": (lambda: VISITS[0], "a column is asked for by its name, not by 0"),  # type: ignore[index]
    "another table's column": (lambda: OTHER.select(VISITS.user), "a column of the table (user: str, time: int, note"),
    "column given twice": (lambda: VISITS.select(pw.this.user, user=1), 'the column "user" is given twice'),
    "nameless expression": (lambda: VISITS.select(pw.this.time + 1), "select: an expression needs a name"),  # type: ignore[arg-type]
    "value as a column": (lambda: VISITS.select("user"), 'expected a column such as pw.this.user_id, got "user"'),  # type: ignore[arg-type]
    "whole table as a column": (lambda: VISITS.select(pw.this), "expected columns, got <millpond.this>"),  # type: ignore[arg-type]
    "truth value": (lambda: VISITS.time > 1 and VISITS.time < 3, "an expression has no truth value"),
    "strange constant": (lambda: VISITS.time + {1}, "{1} (set) cannot stand in an expression"),  # type: ignore[operator]
    "huge constant": (lambda: VISITS.time + 2**63, "does not fit into an int of 64 bits"),
    "types that do not fit": (lambda: VISITS.select(x=pw.this.user + pw.this.time), "str"),
    "filter by a value": (lambda: VISITS.filter(True), "filter: expected an expression, got True"),  # type: ignore[arg-type]
    "filter by an int": (lambda: VISITS.filter(VISITS.time), "int"),
    "group by nothing": (lambda: VISITS.groupby(), "groupby: no column is given"),
    "group by an expression": (lambda: VISITS.groupby(VISITS.time // 60), "groupby: an expression needs a name"),  # type: ignore[arg-type]
    "reducer outside of reduce": (lambda: VISITS.select(n=pw.reducers.count()), "count"),
    "column outside of the key": (lambda: VISITS.groupby(VISITS.user).reduce(VISITS.time), "time"),
    "negative gap": (lambda: pw.temporal.session(max_gap=-1), "max_gap: -1 is negative"),
    "gap that is no number": (lambda: pw.temporal.session(max_gap="3"), 'max_gap: expected an int or a float, got "3"'),  # type: ignore[arg-type]
    "no window": (lambda: VISITS.windowby(VISITS.time, window=300), "window: expected a window, got 300"),  # type: ignore[arg-type]
    "text as time": (lambda: VISITS.windowby(VISITS.user, window=SESSION).reduce(n=pw.reducers.count()), "str"),
    "both spellings": (
        lambda: VISITS.windowby(VISITS.time, window=SESSION, instance=VISITS.user, shard=VISITS.user),
        "shard and instance are two spellings of one option",
    ),
    "no schema": (lambda: pw.io.csv.read("x", schema=dict), "schema: expected a schema, got <class 'dict'>"),  # type: ignore[arg-type]
    "empty schema": (lambda: pw.io.csv.read("x", schema=pw.Schema), "the schema Schema has no column"),
    "unknown mode": (
        lambda: pw.io.csv.read("x", schema=Visit, mode="live"),  # type: ignore[arg-type]
        'mode: "live" is none of "static", "streaming"',
    ),
    "path that is none": (lambda: pw.io.csv.read(7, schema=Visit), "path: expected a path, got 7 (int)"),  # type: ignore[arg-type]
    "wide delimiter": (
        lambda: pw.io.CsvParserSettings(delimiter="||"),
        'delimiter: expected one ASCII character, got "||"',
    ),
    "dead letter without file": (
        lambda: pw.io.csv.read("x", schema=Visit, on_error="dead_letter"),
        'dead_letter= goes with on_error="dead_letter", and that needs it',
    ),
    "unfinished table": (
        lambda: pw.io.csv.write(VISITS.groupby(VISITS.user), "x.csv"),  # type: ignore[arg-type]
        "table: expected a table, got <millpond.GroupedTable of <millpond.Table user: str",
    ),
    "config without backend": (lambda: pw.persistence.Config("state"), 'backend: expected a backend, got "state"'),  # type: ignore[arg-type]
    "no worker": (lambda: pw.run(workers=0), "workers: 0 is less than 1"),
    "nothing to run": (lambda: pw.run(), "there is nothing to run: no table is written"),
    "ids": (lambda: pw.debug.compute_and_print(VISITS, include_id=True), "rows have no ids in this version"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_with_its_line(mistake: str) -> None:
    make, expect = MISTAKES[mistake]
    with pytest.raises(pw.InvalidError) as error:
        make()
    assert expect in error.value.message
    assert error.value.kind == "invalid"
    assert error.value.origin is not None and Path(__file__).name in error.value.origin
    assert str(error.value).startswith(f"{error.value.origin}: {error.value.message}")


def test_an_error_is_shown_under_its_public_name() -> None:
    assert str(pw.InvalidError) == "<class 'millpond.InvalidError'>"
    assert str(pw.Table) == "<class 'millpond.Table'>"
    assert pw.run.__module__ == "millpond"


def test_a_mistake_ends_a_script_without_traceback_unless_asked(script: Script) -> None:
    code = 'import millpond as pw\npw.io.csv.read("x", schema=int)\n'
    ended = script(code)
    assert ended.returncode == 2
    first, hint = ended.stderr.splitlines()
    assert first == "script.py:2: schema: expected a schema, got <class 'int'>"
    assert hint.startswith("hint: ")
    ended = script(code, MILLPOND_TRACEBACK="1")
    assert ended.returncode == 2
    assert ended.stderr.startswith("Traceback")


def test_other_exceptions_keep_their_traceback(script: Script) -> None:
    ended = script("import millpond\nraise ValueError('mine')\n")
    assert ended.returncode == 1
    assert ended.stderr.startswith("Traceback") and ended.stderr.endswith("ValueError: mine\n")
