"""Changes handed to functions of the program."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from conftest import Script

import millpond as pw

QUIET = pw.MonitoringLevel.NONE

VISITS = """
user | pages | __time__ | __diff__
ann  | 1     | 2        | 1
bob  |       | 2        | 1
bob  | 5     | 2        | 2
ann  | 2     | 4        | 1
bob  |       | 6        | -1
bob  | 5     | 6        | -2
"""


def visits() -> pw.Table:
    return pw.debug.table_from_markdown(VISITS)


def test_every_change_is_delivered_with_its_time() -> None:
    seen: list[tuple[dict[str, Any], int, bool]] = []
    pw.io.subscribe(visits(), lambda key, row, time, is_addition: seen.append((row, time, is_addition)))
    pw.run(monitoring_level=QUIET)
    times = sorted({time for _, time, _ in seen})
    assert [sum(time == at for _, time, _ in seen) for at in times] == [4, 1, 3]
    assert ({"user": "bob", "pages": None}, times[0], True) in seen
    assert seen.count(({"user": "bob", "pages": 5}, times[2], False)) == 2


def test_a_new_row_comes_after_the_one_that_it_replaces() -> None:
    counts = visits().groupby(pw.this.user).reduce(pw.this.user, n=pw.reducers.count())
    present: dict[str, int] = {}
    calls: list[object] = []

    def on_change(key: int, row: dict[str, Any], time: int, is_addition: bool) -> None:
        if is_addition:
            assert row["user"] not in present
            present[row["user"]] = row["n"]
        else:
            assert present.pop(row["user"]) == row["n"]

    pw.io.subscribe(counts, on_change, on_end=lambda: calls.append("end"), on_time_end=calls.append)
    pw.run(monitoring_level=QUIET)
    assert present == {"ann": 2}
    assert len(calls) == 4 and calls[:3] == sorted(calls[:3]) and calls[3] == "end"  # type: ignore[type-var]


def test_equal_rows_have_equal_keys() -> None:
    keys: Counter[tuple[int, str]] = Counter()
    pw.io.subscribe(visits(), lambda key, row, time, is_addition: keys.update([(key, str(row))]))
    pw.run(monitoring_level=QUIET)
    assert len({key for key, _ in keys}) == len({row for _, row in keys}) == len(keys) == 4


def test_an_exception_ends_the_run_and_is_raised() -> None:
    class Broken(Exception):
        pass

    def on_change(key: int, row: dict[str, Any], time: int, is_addition: bool) -> None:
        raise Broken(row["user"])

    ends: list[str] = []
    pw.io.subscribe(visits(), on_change, on_end=lambda: ends.append("end"))
    with pytest.raises(Broken, match=r"ann|bob"):
        pw.run(monitoring_level=QUIET)
    assert ends == []


@pytest.mark.parametrize("wrong", ["on_change", "on_end", "on_time_end"])
def test_what_cannot_be_called_is_refused(wrong: str) -> None:
    functions: dict[str, Any] = {"on_change": print, wrong: 7}
    with pytest.raises(pw.InvalidError, match=f"{wrong}: expected a function, got 7"):
        pw.io.subscribe(visits(), **functions)


def test_with_saved_state_only_what_is_new_is_delivered(tmp_path: Path, script: Script) -> None:
    code = """\
import millpond as pw
class Visit(pw.Schema):
    user: str
visits = pw.io.csv.read("logs", schema=Visit, mode="static", name="visits")
counts = visits.groupby(visits.user).reduce(visits.user, n=pw.reducers.count())
pw.io.subscribe(counts, lambda key, row, time, is_addition: print(row, is_addition))
pw.run(
    monitoring_level=pw.MonitoringLevel.NONE,
    persistence_config=pw.persistence.Config(pw.persistence.Backend.filesystem("state")),
)
"""
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.csv").write_text("user\nann\n", encoding="utf-8")
    assert script(code).stdout == "{'user': 'ann', 'n': 1} True\n"
    assert script(code).stdout == ""
    (tmp_path / "logs" / "b.csv").write_text("user\nann\n", encoding="utf-8")
    assert script(code).stdout == "{'user': 'ann', 'n': 1} False\n{'user': 'ann', 'n': 2} True\n"
