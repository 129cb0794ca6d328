"""JSON lines as input and as results: values, nested fields, the law, mistakes and bad lines."""

from __future__ import annotations

import json
import math
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Script
from hypothesis import given, settings
from hypothesis import strategies as st
from results import changes

import millpond as pw

QUIET = pw.MonitoringLevel.NONE


class Visit(pw.Schema):
    user: str
    at: int
    score: float | None
    paid: bool | None
    city: str | None


CITY = {"city": "/address/city"}


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def kept(path: Path) -> pw.persistence.Config:
    return pw.persistence.Config(pw.persistence.Backend.filesystem(path))


def test_what_is_read_is_what_is_written(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    rows = [
        {"user": "ann", "at": 1, "score": 0.5, "paid": True, "address": {"city": "Rome"}, "more": [{}]},
        {"at": -(2**63), "user": 'é "\\\n\U0001f600', "score": 3, "address": {"city": None}},
        {"at": 2**63 - 1, "user": "", "score": "-Infinity", "paid": False, "address": "none"},
    ]
    text = "".join(json.dumps(row, ensure_ascii=i == 1) + "\r\n" for i, row in enumerate(rows))
    (tmp_path / "logs" / "a.jsonl").write_bytes(b"\xef\xbb\xbf" + text.encode())
    visits = pw.io.jsonlines.read(tmp_path / "logs", schema=Visit, json_field_paths=CITY)
    pw.io.jsonlines.write(visits, tmp_path / "changes.jsonl")
    pw.io.jsonlines.write(visits, tmp_path / "snapshot.jsonl", mode="snapshot")
    pw.run(monitoring_level=QUIET)
    snapshot = lines(tmp_path / "snapshot.jsonl")
    assert sorted(snapshot, key=lambda row: row["at"]) == [
        {"user": 'é "\\\n\U0001f600', "at": -(2**63), "score": 3.0, "paid": None, "city": None},
        {"user": "ann", "at": 1, "score": 0.5, "paid": True, "city": "Rome"},
        {"user": "", "at": 2**63 - 1, "score": "-Infinity", "paid": False, "city": None},
    ]
    log = lines(tmp_path / "changes.jsonl")
    assert all(list(change) == ["user", "at", "score", "paid", "city", "diff", "time"] for change in log)
    assert {change["diff"] for change in log} == {1}
    assert len({change["time"] for change in log}) == 1


def test_results_are_input_of_another_program(tmp_path: Path) -> None:
    class Number(pw.Schema):
        x: float

    numbers = [0.1, -0.0, 1e16, 5e-324, 1.7976931348623157e308, math.inf, -math.inf, math.nan]
    (tmp_path / "a.csv").write_text("x\n" + "".join(f"{x!r}\n" for x in numbers), encoding="utf-8")
    pw.io.jsonlines.write(pw.io.csv.read(tmp_path / "a.csv", schema=Number), tmp_path / "b.jsonl")
    pw.run(monitoring_level=QUIET)
    pw.clear()
    pw.io.csv.write(pw.io.jsonlines.read(tmp_path / "b.jsonl", schema=Number), tmp_path / "c.csv")
    pw.run(monitoring_level=QUIET)
    assert changes(tmp_path / "c.csv") == sorted(f"{x + 0.0!r},1" for x in numbers)


ROWS = st.lists(st.tuples(st.sampled_from(["ann", "b\"o'b\n", "\\"]), st.none() | st.integers(-30, 30)), max_size=8)


@settings(max_examples=30, deadline=None)
@given(st.lists(ROWS, min_size=1, max_size=4), st.booleans(), st.booleans())
def test_changes_of_all_runs_add_up_to_one_run_over_everything(
    runs: list[list[tuple[str, int | None]]], append_only: bool, one_file: bool
) -> None:
    class Row(pw.Schema):
        user: str
        n: int | None

    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "logs").mkdir()
        total: Counter[tuple[Any, ...]] = Counter()
        for i, rows in enumerate(runs):
            with (directory / "logs" / f"{0 if one_file else i}.jsonl").open("a", encoding="utf-8") as file:
                file.writelines(json.dumps({"v": [{"n": n}], "user": user}) + "\n" for user, n in rows)
            pw.clear()
            table = pw.io.jsonlines.read(
                directory / "logs", schema=Row, json_field_paths={"n": "/v/0/n"}, append_only=append_only
            )
            users = table.groupby(table.user).reduce(
                table.user, count=pw.reducers.count(), most=pw.reducers.max(table.n)
            )
            pw.io.jsonlines.write(users, directory / "result.jsonl")
            pw.run(monitoring_level=QUIET, persistence_config=kept(directory / "state"), workers=1 + i % 3)
            for change in lines(directory / "result.jsonl"):
                total[change["user"], change["count"], change["most"]] += change["diff"]
            assert +total == total_of([row for run in runs[: i + 1] for row in run])
            assert min(total.values(), default=0) >= 0


def total_of(rows: list[tuple[str, int | None]]) -> Counter[tuple[Any, ...]]:
    users: dict[str, list[int | None]] = {}
    for user, n in rows:
        users.setdefault(user, []).append(n)
    known = {user: [n for n in numbers if n is not None] for user, numbers in users.items()}
    return Counter((user, len(numbers), max(known[user], default=None)) for user, numbers in users.items())


PROGRAM = """
import millpond as pw

class Visit(pw.Schema):
    user: str
    at: int
    score: float | None
    city: str | None

visits = pw.io.jsonlines.read("logs", schema=Visit, json_field_paths={{"city": "/address/city"}}, name="logs"{options})
pw.io.jsonlines.write(visits, "visits.jsonl", mode="append")
pw.run(persistence_config=pw.persistence.Config(pw.persistence.Backend.filesystem("state")))
"""
GOOD = b'{"user": "ada", "at": 1000}\n'
HINT = 'hint: a line is one object in braces, such as {"name": "value"}'

BAD_LINES = {
    "text for an int": (b'{"user": "ben", "at": "12:30"}', 'logs/bad.jsonl:2: at: "12:30" is not an int'),
    "a float for an int": (b'{"user": "ben", "at": 3.0}', "logs/bad.jsonl:2: at: 3.0 is not an int"),
    "an int of 65 bits": (b'{"user": "ben", "at": 18446744073709551616}', "is outside the 64-bit range of int"),
    "text for a float": (b'{"user": "ben", "at": 1, "score": "much"}', 'score: "much" is not a float'),
    "an object for a str": (b'{"user": "ben", "at": 1, "address": {"city": {}}}', "city: {} is not a str"),
    "null": (
        b'{"user": null, "at": 1}',
        "logs/bad.jsonl:2: user: null is not a str",
        "hint: a column of type str | None",
    ),
    "a missing field": (b'{"user": "ben"}', "logs/bad.jsonl:2: at: the field is missing"),
    "an array": (b"[1, 2]", "logs/bad.jsonl:2: an array where an object is expected", HINT),
    "no JSON": (b"user,at", "logs/bad.jsonl:2: not JSON: a value is expected (byte 1)", HINT),
    "an object over several lines": (b"{\n}", "logs/bad.jsonl:2: not JSON: the line ends where a field name", HINT),
    "two objects": (b"{} {}", "logs/bad.jsonl:2: not JSON: the object has ended, and more follows (byte 4)"),
    "bytes that are not UTF-8": (b'{"user": "\xff", "at": 1}', "logs/bad.jsonl:2: not UTF-8: byte 0xff"),
    "half a pair": (b'{"user": "\\ud83d", "at": 1}', "holds half of a pair of \\u escapes"),
    "deep nesting": (b'{"x": ' + b"[" * 1_000_000, "logs/bad.jsonl:2: ", "nested more than 128 deep"),
    "a row over 16 MiB": (b'{"user": "' + b"a" * (16 << 20) + b'"}', "logs/bad.jsonl:2: ", "limit of 16,777,216"),
}


@pytest.mark.parametrize("case", BAD_LINES)
def test_a_bad_line_stops_the_run_until_it_is_repaired(case: str, tmp_path: Path, script: Script) -> None:
    line, *parts = BAD_LINES[case]
    assert isinstance(line, bytes)
    program = PROGRAM.format(options="")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.jsonl").write_bytes(GOOD)
    assert script(program).returncode == 0
    before = (tmp_path / "visits.jsonl").read_bytes()
    bad = tmp_path / "logs" / "bad.jsonl"
    bad.write_bytes(GOOD + line + b"\n")
    ended = script(program)
    assert ended.returncode == 3, ended.stderr
    for part in parts:
        assert str(part) in ended.stderr, ended.stderr
    assert "Traceback" not in ended.stderr and "panicked" not in ended.stderr
    assert (tmp_path / "visits.jsonl").read_bytes() == before
    bad.write_bytes(GOOD)
    ended = script(program)
    assert ended.returncode == 0, ended.stderr
    assert [row["user"] for row in lines(tmp_path / "visits.jsonl")] == ["ada", "ada"]


def test_bad_lines_may_be_skipped_or_collected(tmp_path: Path, script: Script) -> None:
    (tmp_path / "logs").mkdir()
    bad = [b'{"user": "ben"}\n', b"nonsense\n", b'{"user": "cyd", "at": 1}\n', b'{"user": "dan", "at": }\n']
    (tmp_path / "logs" / "a.jsonl").write_bytes(GOOD + b"".join(bad))
    ended = script(PROGRAM.format(options=', on_error="skip"'))
    assert ended.returncode == 0 and "3 rows rejected" in ended.stderr, ended.stderr
    assert sorted(row["user"] for row in lines(tmp_path / "visits.jsonl")) == ["ada", "cyd"]
    (tmp_path / "visits.jsonl").unlink()
    program = PROGRAM.format(options=', on_error="dead_letter", dead_letter="bad.csv"').replace('"state"', '"other"')
    ended = script(program)
    assert ended.returncode == 0, ended.stderr
    letters = (tmp_path / "bad.csv").read_text()
    for part in ["the field is missing", "nonsense", "not JSON"]:
        assert part in letters


def test_a_file_that_is_not_what_it_was(tmp_path: Path, script: Script) -> None:
    program = PROGRAM.format(options="")
    (tmp_path / "logs").mkdir()
    file = tmp_path / "logs" / "a.jsonl"
    file.write_bytes(GOOD)
    assert script(program).returncode == 0
    file.write_bytes(GOOD.replace(b"1000", b"2000") + GOOD)
    ended = script(program)
    assert ended.returncode == 3 and "logs/a.jsonl was rewritten" in ended.stderr, ended.stderr


def test_other_paths_are_another_program(tmp_path: Path, script: Script) -> None:
    (tmp_path / "logs").mkdir()
    program = PROGRAM.format(options="")
    assert script(program).returncode == 0
    ended = script(program.replace("/address/city", "/city"))
    assert ended.returncode == 6 and "/address/city" in ended.stderr, ended.stderr


TABLE = pw.debug.table_from_markdown("user | time\nann | 1")


def read(**options: Any) -> pw.Table:
    return pw.io.jsonlines.read("x", schema=Visit, **options)


MISTAKES: dict[str, tuple[Callable[[], Any], str]] = {
    "an unknown source mode": (lambda: read(mode="live"), 'mode: "live" is none of "static", "streaming"'),
    "a negative interval": (lambda: read(autocommit_duration_ms=-1), "autocommit_duration_ms: -1 is negative"),
    "no schema": (lambda: pw.io.jsonlines.read("x", schema=dict), "schema: expected a schema"),  # type: ignore[arg-type]
    "paths that are none": (lambda: read(json_field_paths=["city"]), "json_field_paths: expected a dict"),
    "a path that is no text": (
        lambda: read(json_field_paths={"city": 1}),
        "json_field_paths: expected names and paths",
    ),
    "a path without a slash": (
        lambda: read(json_field_paths={"city": "address.city"}),
        'json_field_paths: city: "address.city" is no path: it does not start with "/"',
    ),
    "a path of no column": (
        lambda: read(json_field_paths={"town": "/town"}),
        'json_field_paths: there is no column "town" in the schema',
    ),
    "dead letter without file": (lambda: read(on_error="dead_letter"), "dead_letter= goes with"),
    "both spellings": (lambda: read(name="a", persistent_id="b"), "persistent_id and name are two spellings"),
    "a column called time": (lambda: pw.io.jsonlines.write(TABLE, "x.jsonl"), 'a column is called "time"'),
    "no table": (lambda: pw.io.jsonlines.write(pw.this, "x.jsonl"), "table: expected a table"),  # type: ignore[arg-type]
    "unknown mode": (
        lambda: pw.io.jsonlines.write(TABLE, "x.jsonl", mode="all"),  # type: ignore[arg-type]
        'mode: "all" is none of "changes", "append", "snapshot"',
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_with_its_line(mistake: str) -> None:
    make, expect = MISTAKES[mistake]
    with pytest.raises(pw.InvalidError) as error:
        make()
    assert expect in error.value.message
    assert error.value.origin is not None and Path(__file__).name in error.value.origin


def test_what_is_no_number_of_json_is_named_or_read(tmp_path: Path) -> None:
    class Row(pw.Schema):
        a: float
        b: float | None

    file = tmp_path / "a.jsonl"
    file.write_text('{"a":NaN,"b":-Infinity}\n{"a":Infinity}\n')
    pw.io.jsonlines.write(pw.io.jsonlines.read(file, schema=Row), tmp_path / "out.jsonl", mode="snapshot")
    with pytest.raises(pw.InputError, match=r"a.jsonl:1: not JSON: NaN is no number of JSON \(byte 6\)\n.*allow_nan"):
        pw.run(monitoring_level=QUIET)
    pw.clear()
    table = pw.io.jsonlines.read(file, schema=Row, allow_nan=True)
    pw.io.jsonlines.write(table, tmp_path / "out.jsonl", mode="snapshot")
    pw.run(monitoring_level=QUIET)
    assert sorted(map(repr, lines(tmp_path / "out.jsonl"))) == [
        "{'a': 'Infinity', 'b': None}",
        "{'a': 'NaN', 'b': '-Infinity'}",
    ]
    with pytest.raises(pw.InvalidError, match="allow_nan"):
        pw.io.jsonlines.read(file, schema=Row, allow_nan=1)  # type: ignore[arg-type]


def test_a_half_written_line_waits_for_the_rest(tmp_path: Path) -> None:
    """Broke once: it ended the run."""
    file = tmp_path / "a.jsonl"
    whole = '{"n":1}\n{"n": 12}\n'
    for cut in range(8, len(whole)):
        file.write_text(whole[:cut])
        pw.clear()
        table = pw.io.jsonlines.read(file, schema=pw.schema_from_types(n=int), name="a")
        pw.io.jsonlines.write(table, tmp_path / "out.jsonl", mode="snapshot")
        report = tmp_path / "report.json"
        pw.run(monitoring_level=QUIET, report=report, persistence_config=kept(tmp_path / "state"))
        told = json.loads(report.read_text())["notices"]
        ends = cut >= len(whole) - 1 or cut == 8
        found = sorted(row["n"] for row in lines(tmp_path / "out.jsonl"))
        assert found == ([1] if cut < len(whole) - 1 else [1, 12])
        assert (told == []) == ends, told
        assert (
            ends
            or f"a.jsonl:2: the last line has no newline, cannot be read, and waits for the rest ({cut - 8} byte"
            in told[0]
        )
