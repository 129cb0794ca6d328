"""The column that says of which file a row is."""

from __future__ import annotations

import getpass
import json
import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import millpond as pw

QUIET = pw.MonitoringLevel.NONE


class Visit(pw.Schema):
    user: str


def read_csv(path: Path, **options: Any) -> pw.Table:
    return pw.io.csv.read(path, schema=Visit, name="visits", **options)


def read_json(path: Path, **options: Any) -> pw.Table:
    return pw.io.jsonlines.read(path, schema=Visit, name="visits", **options)


FORMATS: list[tuple[Callable[..., pw.Table], str, Callable[[str], str]]] = [
    (read_csv, "user\n", lambda user: user),
    (read_json, "", lambda user: json.dumps({"user": user})),
]


def run(table: pw.Table, state: Path, sum_of: Counter[tuple[str, str]]) -> None:
    """Adds the changes of a run to those of the runs before; no row is taken back that was not there."""

    def on_change(key: int, row: dict[str, Any], time: int, is_addition: bool) -> None:
        sum_of[row["user"], pw.Json.dumps(row["_metadata"])] += 1 if is_addition else -1
        assert sum_of[row["user"], pw.Json.dumps(row["_metadata"])] >= 0

    pw.clear()
    pw.io.subscribe(table, on_change)
    config = pw.persistence.Config(pw.persistence.Backend.filesystem(state))
    pw.run(monitoring_level=QUIET, persistence_config=config)


@pytest.mark.parametrize(("read", "header", "line"), FORMATS)
def test_a_row_says_of_which_file_it_is(
    tmp_path: Path, read: Callable[..., pw.Table], header: str, line: Callable[[str], str]
) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    for name in ("a", 'odd "name"'):
        (logs / name).write_text(header + line(name) + "\n", encoding="utf-8")
        os.utime(logs / name, (1_700_000_000, 1_700_000_000))
    before = int(time.time())
    rows: Counter[tuple[str, str]] = Counter()
    quoted = 'odd "name"' if header == "" else "odd"
    if header:
        (logs / 'odd "name"').write_text(header + "odd\n", encoding="utf-8")
        os.utime(logs / 'odd "name"', (1_700_000_000, 1_700_000_000))
    run(read(logs, with_metadata=True), tmp_path / "state", rows)
    found = {user: json.loads(metadata) for (user, metadata), count in rows.items() if count == 1}
    assert set(found) == {"a", quoted}
    for user, name in (("a", "a"), (quoted, 'odd "name"')):
        metadata = found[user]
        assert metadata["path"] == str(logs / name)
        assert metadata["size"] == (logs / name).stat().st_size
        assert metadata["modified_at"] == 1_700_000_000
        assert before <= metadata["seen_at"] <= time.time()
        assert metadata["owner"] == getpass.getuser()
        assert list(metadata) == sorted(metadata)


@pytest.mark.parametrize(("read", "header", "line"), FORMATS)
def test_a_row_that_is_taken_back_has_what_it_was_read_with(
    tmp_path: Path, read: Callable[..., pw.Table], header: str, line: Callable[[str], str]
) -> None:
    """The last line has no newline and goes on: a later run takes it back, when the file has another time and size."""
    path, state = tmp_path / "a", tmp_path / "state"
    rows: Counter[tuple[str, str]] = Counter()
    ann, bob, dan, eve = (line(user) for user in ("ann", "bob", "dan", "eve"))
    bob_goes_on = bob + (" and cid" if header else " ")
    texts = [
        f"{header}{ann}\n{bob}",
        # A new time only: nothing is read.
        f"{header}{ann}\n{bob}",
        f"{header}{ann}\n{bob_goes_on}\n{dan}",
        # The last line gets its newline: it is the same row.
        f"{header}{ann}\n{bob_goes_on}\n{dan}\n",
        f"{header}{ann}\n{bob_goes_on}\n{dan}\n{eve}",
    ]
    for number, text in enumerate(texts):
        path.write_text(text, encoding="utf-8")
        os.utime(path, (1_700_000_000 + number, 1_700_000_000 + number))
        run(read(path, with_metadata=True), state, rows)
    rows = +rows
    times = {user: json.loads(metadata)["modified_at"] - 1_700_000_000 for user, metadata in rows}
    assert times == {"ann": 0, "bob and cid" if header else "bob": 2, "dan": 2, "eve": 4}
    assert set(rows.values()) == {1}


@pytest.mark.parametrize("on_error", ["skip", "fail"])
def test_rows_left_out_leave_no_gap(tmp_path: Path, on_error: str) -> None:
    class Number(pw.Schema):
        number: int

    bad = "x\n" if on_error == "skip" else ""
    for name in "abc":
        (tmp_path / f"{name}.csv").write_text(f"number\n1\n{bad}2\n{bad}", encoding="utf-8")
    table = pw.io.csv.read(tmp_path, schema=Number, on_error=on_error, with_metadata=True)  # type: ignore[arg-type]
    rows: Counter[tuple[int, str]] = Counter()

    def on_change(key: int, row: dict[str, Any], time: int, is_addition: bool) -> None:
        rows[row["number"], Path(row["_metadata"]["path"].as_str()).stem] += 1

    pw.io.subscribe(table, on_change)
    pw.run(monitoring_level=QUIET)
    assert rows == {(number, name): 1 for number in (1, 2) for name in "abc"}


def test_a_table_may_use_the_column_alone_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("user\nann\nbob\n", encoding="utf-8")
    table = read_csv(tmp_path, with_metadata=True)
    seen: list[dict[str, Any]] = []
    take = lambda key, row, time, is_addition: seen.append(row)  # noqa: E731
    pw.io.subscribe(table.groupby(table._metadata).reduce(rows=pw.reducers.count()), take)
    pw.io.subscribe(table.select(table.user).filter(pw.this.user == "ann"), take)
    pw.run(monitoring_level=QUIET)
    assert sorted(map(str, seen)) == ["{'rows': 2}", "{'user': 'ann'}"]


def test_a_schema_with_a_column_of_that_name_is_refused(tmp_path: Path) -> None:
    class Taken(pw.Schema):
        _metadata: str

    (tmp_path / "a.csv").write_text("_metadata\nx\n", encoding="utf-8")
    with pytest.raises(pw.InvalidError, match="the schema has a column _metadata"):
        pw.io.csv.read(tmp_path, schema=Taken, with_metadata=True)
    with pytest.raises(pw.InvalidError, match="with_metadata: expected True or False, got 1"):
        read_csv(tmp_path, with_metadata=1)
