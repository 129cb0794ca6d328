"""Runs: summary, workers, sinks, the law, Ctrl-C."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from conftest import Script
from hypothesis import given, settings
from hypothesis import strategies as st
from results import changes, sum_up

import millpond as pw

QUIET = pw.MonitoringLevel.NONE


class Visit(pw.Schema):
    user: str
    time: int


def write_visits(path: Path, rows: list[tuple[str, int]]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("user,time\n" + "".join(f"{user},{at}\n" for user, at in rows), encoding="utf-8")


def per_user(logs: Path) -> pw.Table:
    visits = pw.io.csv.read(logs, schema=Visit)
    return visits.groupby(visits.user).reduce(visits.user, n=pw.reducers.count())


def kept(path: Path) -> pw.persistence.Config:
    return pw.persistence.Config(pw.persistence.Backend.filesystem(path))


def test_a_run_says_one_line_or_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write_visits(tmp_path / "logs" / "a.csv", [("ann", 1), ("bob", 2), ("ann", 3)])
    pw.io.csv.write(per_user(tmp_path / "logs"), tmp_path / "result.csv")
    pw.run(monitoring_level=QUIET)
    assert capfd.readouterr() == ("", "")
    pw.run()
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    for part in ["1 new", "0 changed", "0 unchanged", "3 rows read", "2 changes written"]:
        assert part in err


def test_a_run_returns_what_it_did(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    logs = tmp_path / "logs"
    write_visits(logs / "a.csv", [("ann", 1), ("bob", 2), ("ann", 3)])
    (logs / "b.csv").write_text("user,time\nann,noon\ncyd,5\n", encoding="utf-8")
    visits = pw.io.csv.read(
        logs, schema=Visit, name="visits", on_error="dead_letter", dead_letter=tmp_path / "rejected.csv"
    )
    counts = visits.windowby(
        visits.time, window=pw.temporal.tumbling(duration=10), behavior=pw.temporal.common_behavior(cutoff=0)
    ).reduce(n=pw.reducers.count())
    users = visits.groupby(visits.user).reduce(visits.user)
    pw.io.csv.write(counts, tmp_path / "counts.csv")
    pw.io.csv.write(users, tmp_path / "users.csv", mode="snapshot")
    summary = pw.run(persistence_config=kept(tmp_path / "state"))
    assert isinstance(summary, pw.RunSummary)
    assert (summary.files_new, summary.files_changed, summary.files_unchanged) == (2, 0, 0)
    assert (summary.rows_read, summary.rows_rejected, summary.late_rows, summary.windows_closed) == (4, 1, 0, 0)
    assert (summary.changes_written, summary.current_rows, summary.stopped, summary.process) == (1, 3, False, 0)
    assert (summary.epochs, summary.checkpoints) == (1, 1) and summary.elapsed_s > 0
    (source,) = summary.sources
    assert (source.name, source.kind, source.files_new, source.rows_read, source.rows_rejected) == (
        "visits",
        "csv",
        2,
        4,
        1,
    )
    outputs = [
        (Path(output.name).name, output.kind, output.rows_written, output.current_rows) for output in summary.outputs
    ]
    assert outputs == [
        ("counts.csv", "csv", 1, None),
        ("users.csv", "csv", 3, 3),
        ("rejected.csv", "dead_letter", 1, None),
    ]
    assert {step.kind for step in summary.steps} >= {"reduce"} and sum(step.rows_in for step in summary.steps) >= 8
    line = "files 2 new, 0 changed, 0 unchanged; 4 rows read (1 row rejected), 1 change written, 3 current rows, "
    assert str(summary).startswith(f"millpond: {line}") and repr(summary).startswith(f"<millpond.RunSummary {line}")
    assert capfd.readouterr().err.endswith(f"{summary}\n")

    write_visits(logs / "c.csv", [("ann", 100), ("dan", 6)])
    assert pw.run(monitoring_level=QUIET, persistence_config=kept(tmp_path / "state")).windows_closed == 1
    write_visits(logs / "d.csv", [("ann", 7)])
    late = pw.run(monitoring_level=QUIET, persistence_config=kept(tmp_path / "state"))
    assert (late.late_rows, late.changes_written, late.current_rows, late.files_unchanged) == (1, 0, 4, 3)


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_results_do_not_depend_on_workers(workers: int, tmp_path: Path) -> None:
    write_visits(tmp_path / "logs" / "a.csv", [(f"user{i % 7}", i) for i in range(100)])
    pw.io.csv.write(per_user(tmp_path / "logs"), tmp_path / "result.csv")
    pw.run(monitoring_level=QUIET, workers=workers)
    assert changes(tmp_path / "result.csv") == sorted(f"user{i},{14 + (i < 2)},1" for i in range(7))


def test_two_sinks_and_a_second_run_in_one_process(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    write_visits(logs / "a.csv", [("ann", 1)])
    table = per_user(logs)
    for mode in ("changes", "append", "snapshot"):
        pw.io.csv.write(table, tmp_path / f"{mode}.csv", mode=mode)
    pw.run(monitoring_level=QUIET, persistence_config=kept(tmp_path / "state"))
    write_visits(logs / "b.csv", [("ann", 2)])
    pw.run(monitoring_level=QUIET, persistence_config=kept(tmp_path / "state"))
    assert changes(tmp_path / "changes.csv") == ["ann,1,-1", "ann,2,1"]
    assert changes(tmp_path / "append.csv") == ["ann,1,-1", "ann,1,1", "ann,2,1"]
    assert (tmp_path / "snapshot.csv").read_text() in ('user,n\n"ann",2\n', "user,n\nann,2\n")


def test_settings_of_a_dialect_are_heard(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbfuser;time\r\n'an;n';1\r\n'b\\'ob';2\r\n")
    settings = pw.io.CsvParserSettings(delimiter=";", quote="'", escape="\\")
    visits = pw.io.csv.read(tmp_path / "a.csv", schema=Visit, csv_settings=settings)
    pw.io.csv.write(visits.select(pw.this.user, at=pw.this.time), tmp_path / "result.csv")
    pw.run(monitoring_level=QUIET)
    assert changes(tmp_path / "result.csv") == ["an;n,1,1", "b'ob,2,1"]


VISITS = st.lists(st.tuples(st.sampled_from(["ann", "bob", ""]), st.integers(-30, 30)), max_size=8)


@settings(max_examples=30, deadline=None)
@given(st.lists(VISITS, min_size=1, max_size=4), st.booleans())
def test_changes_of_all_runs_add_up_to_one_run_over_everything(
    runs: list[list[tuple[str, int]]], append_only: bool
) -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        total: Counter[tuple[str, ...]] = Counter()
        for i, rows in enumerate(runs):
            write_visits(directory / "logs" / f"{i}.csv", [(f'"{user}"', at) for user, at in rows])
            pw.clear()
            visits = pw.io.csv.read(directory / "logs", schema=Visit, append_only=append_only)
            sessions = visits.windowby(visits.time, window=pw.temporal.session(max_gap=5), instance=visits.user).reduce(
                visits.user, start=pw.this._pw_window_start, n=pw.reducers.count()
            )
            pw.io.csv.write(sessions, directory / "result.csv")
            pw.run(monitoring_level=QUIET, persistence_config=kept(directory / "state"), workers=1 + i % 3)
            sum_up(total, directory / "result.csv")
            assert total == sessions_of([row for run in runs[: i + 1] for row in run], max_gap=5)


def sessions_of(visits: list[tuple[str, int]], max_gap: int) -> Counter[tuple[str, ...]]:
    result: list[list[object]] = []
    last: tuple[str, int] | None = None
    for user, at in sorted(visits):
        if last is None or last[0] != user or at - last[1] > max_gap:
            result.append([user, at, 0])
        result[-1][2] = int(str(result[-1][2])) + 1
        last = (user, at)
    return Counter(tuple(map(str, row)) for row in result)


ENDLESS = """
import millpond as pw

class Row(pw.Schema):
    a: int

table = pw.io.csv.read("big.csv", schema=Row)
counts = table.groupby(table.a).reduce(table.a, n=pw.reducers.count())
pw.io.csv.write(counts, "result.csv", mode="append")
config = pw.persistence.Config(pw.persistence.Backend.filesystem("state"))
print("ready", flush=True)
while True:
    pw.run(persistence_config=config, monitoring_level=pw.MonitoringLevel.NONE)
"""


def test_ctrl_c_ends_a_run_and_the_next_one_goes_on(tmp_path: Path, script: Script) -> None:
    (tmp_path / "big.csv").write_text("a\n" + "".join(f"{i}\n" for i in range(300_000)), encoding="utf-8")
    (tmp_path / "endless.py").write_text(ENDLESS, encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "endless.py"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    # Between two runs it is Python's own interrupt.
    assert (err, process.returncode) == ("", 130) or err.endswith("KeyboardInterrupt\n"), (err, process.returncode)
    ended = script(ENDLESS.replace("while True:", "if True:"))
    assert ended.returncode == 0, ended.stderr
    total: Counter[tuple[str, ...]] = Counter()
    sum_up(total, tmp_path / "result.csv")
    assert total == Counter((str(i), "1") for i in range(300_000))


def test_environment_sets_the_number_of_workers(tmp_path: Path, script: Script) -> None:
    write_visits(tmp_path / "logs" / "a.csv", [("ann", 1)])
    code = """
import millpond as pw
class Visit(pw.Schema):
    user: str
    time: int
pw.io.csv.write(pw.io.csv.read("logs", schema=Visit).select(pw.this.user), "result.csv")
pw.run()
"""
    assert script(code, MILLPOND_WORKERS="2").returncode == 0
    ended = script(code, MILLPOND_WORKERS="many")
    assert ended.returncode == 2 and 'MILLPOND_WORKERS: "many"' in ended.stderr


def test_a_run_takes_so_much_memory(tmp_path: Path, script: Script) -> None:
    write_visits(tmp_path / "logs" / "a.csv", [("ann", 1), ("bob", 2), ("ann", 3)])
    pw.io.csv.write(per_user(tmp_path / "logs"), tmp_path / "result.csv")
    wrong: list[tuple[Any, str]] = [
        (True, "memory_limit: expected a number of bytes, got True"),
        (1.5, "memory_limit: expected a number of bytes, got 1.5"),
        ("lots", 'memory_limit: "lots" is not a number of bytes'),
        (1000, "memory_limit must be at least 16.0 MiB, not 1000 bytes"),
    ]
    for limit, said in wrong:
        with pytest.raises(pw.InvalidError, match=re.escape(said)) as caught:
            pw.run(monitoring_level=QUIET, memory_limit=limit)
        assert "150MB" in str(caught.value), "the hint says what to write"
    right: list[tuple[int | str, int]] = [("150MB", 150_000_000), (1 << 30, 1 << 30)]
    for limit, size in right:
        pw.run(monitoring_level=QUIET, memory_limit=limit, report=tmp_path / "report.json")
        run = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["run"]
        assert (run["memory_limit"], run["spilled_bytes"]) == (size, 0)
    code = "import millpond as pw\npw.io.csv.write(pw.debug.table_from_markdown('a\\n1'), 'result.csv')\npw.run()\n"
    ended = script(code, MILLPOND_MEMORY="much")
    assert ended.returncode == 2 and 'MILLPOND_MEMORY: "much" is not a number of bytes' in ended.stderr
    assert script(code, MILLPOND_MEMORY="1GB").returncode == 0
    assert script(code, MILLPOND_MEMORY="").returncode == 0
