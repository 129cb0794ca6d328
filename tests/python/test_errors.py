"""Mistakes in a program: the kind, the sentence, the line, the exit code."""

from __future__ import annotations

import datetime
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
    "path of bytes": (lambda: pw.io.csv.read(b"x", schema=Visit), "path: expected a path as text, got b'x'"),  # type: ignore[arg-type]
    "empty path": (lambda: pw.io.csv.read("", schema=Visit), "path: the path is empty"),
    "zero byte": (lambda: pw.io.csv.read("a\0b", schema=Visit), "path: the path 'a\\x00b' holds a zero byte"),
    "format that is no text": (lambda: VISITS.note.dt.strptime(5), "expected a str, got 5"),  # type: ignore[arg-type]
    "text as a number": (lambda: pw.run(workers="2"), 'workers: expected an int, got "2" (str)'),  # type: ignore[arg-type]
    "huge number": (lambda: pw.run(workers=2**63), "workers: 9223372036854775808 is too large"),
    "empty name": (lambda: pw.io.csv.read("x", schema=Visit, name=""), 'name: expected a non-empty str, got ""'),
    "empty name of a column": (lambda: pw.column_definition(name=""), 'name: expected a non-empty str, got ""'),
    "level that is none": (
        lambda: pw.run(monitoring_level="NONE"),  # type: ignore[arg-type]
        'monitoring_level: expected a pw.MonitoringLevel, got "NONE"',
    ),
    "config that is none": (
        lambda: pw.run(persistence_config="state"),  # type: ignore[arg-type]
        'persistence_config: expected a pw.persistence.Config, got "state"',
    ),
    "time that is no column": (
        lambda: VISITS.windowby("time", window=SESSION),  # type: ignore[arg-type]
        'windowby: expected a time column, got "time"',
    ),
    "number among words": (
        lambda: VISITS.note.str.parse_bool(true_values=[1]),  # type: ignore[list-item]
        "true_values: expected words, got 1",
    ),
    "table of no text": (lambda: pw.debug.table_from_markdown(5), "table_def: expected text, got 5"),  # type: ignore[arg-type]
    "one mark for two things": (
        lambda: pw.io.CsvParserSettings(delimiter='"'),
        'delimiter: """ is also the quote or the escape',
    ),
    "settings that are none": (
        lambda: pw.io.csv.read("x", schema=Visit, csv_settings=";"),  # type: ignore[arg-type]
        'csv_settings: expected a pw.io.CsvParserSettings, got ";"',
    ),
    "observer that is none": (
        lambda: pw.io.python.write(VISITS, 5),  # type: ignore[arg-type]
        "observer: expected a pw.io.python.ConnectorObserver, got 5",
    ),
    "receiver that is none": (
        lambda: pw.io.subscribe(VISITS, "print"),  # type: ignore[arg-type]
        'on_change: expected a function, got "print"',
    ),
    "item of this that is no name": (lambda: pw.this[0], "a column is asked for by its name, not by 0"),  # type: ignore[index]
    "nothing to choose from": (lambda: pw.coalesce(), "coalesce: no value is given"),
    "column without a name": (lambda: VISITS.select(**{"": VISITS.time}), "select has a column without a name"),
    "identity of nothing": (lambda: VISITS.with_id_from(), "with_id_from needs a column"),
    "identity of no value": (
        lambda: VISITS.with_id_from(pw.coalesce(None)),
        "`pw.coalesce(None)` identifies no row: it is always None",
    ),
    "column of no columns": (
        lambda: VISITS.select().select(pw.this.user),
        'no column "user": there are no columns',
    ),
    "nothing to intersect": (lambda: VISITS.intersect(), "intersect needs another table"),
    "reduce to nothing": (lambda: VISITS.groupby(VISITS.user).reduce(), "reduce needs at least one output"),
    "instance of no value": (
        lambda: VISITS.windowby(VISITS.time, window=SESSION, instance=pw.coalesce(None)).reduce(n=pw.reducers.count()),
        "`pw.coalesce(None)` is no key: it is the same for every row",
    ),
    "time of no value": (
        lambda: VISITS.windowby(pw.coalesce(None), window=pw.temporal.tumbling(3)).reduce(n=pw.reducers.count()),
        "the time of a window is always None, but must be int, float, pw.DateTimeNaive or pw.DateTimeUtc",
    ),
    "window of 65 bits": (
        lambda: VISITS.windowby(VISITS.time, window=pw.temporal.sliding(2**62, ratio=2)).reduce(n=pw.reducers.count()),
        "2 times the hop 4611686018427387904 is no duration of 64 bits",
    ),
    "duration over ints": (
        lambda: VISITS.windowby(VISITS.time, window=pw.temporal.tumbling(datetime.timedelta(minutes=5))).reduce(
            n=pw.reducers.count()
        ),
        "duration is datetime.timedelta(seconds=300), but must be a number",
    ),
    "element that is not there": (lambda: VISITS.select(x=pw.make_tuple(1, "a")[2]), "which has no element 2"),
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


def test_a_summary_says_which_number_it_lacks() -> None:
    pw.io.subscribe(VISITS, lambda key, row, time, is_addition: None)
    summary = pw.run(monitoring_level=pw.MonitoringLevel.NONE)
    with pytest.raises(AttributeError, match="a RunSummary has no 'rows'"):
        _ = summary.rows


def test_no_thread_for_a_run_is_an_error_of_the_machine(script: Script) -> None:
    code = "import millpond as pw\npw.debug.compute_and_print(pw.debug.table_from_markdown('a\\n1'))\n"
    ended = script(code, RUST_MIN_STACK=str(2**50))  # no machine has as much for the stack of a thread
    assert ended.returncode == 7, ended.stderr
    assert ended.stderr.startswith("no thread to run on: ")


def test_other_exceptions_keep_their_traceback(script: Script) -> None:
    ended = script("import millpond\nraise ValueError('mine')\n")
    assert ended.returncode == 1
    assert ended.stderr.startswith("Traceback") and ended.stderr.endswith("ValueError: mine\n")
