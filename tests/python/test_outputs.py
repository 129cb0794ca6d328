"""Result files: what may be written where, and under which name."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Script
from results import changes

import millpond as pw

QUIET = pw.MonitoringLevel.NONE


class Visit(pw.Schema):
    user: str
    at: int


class Keyed(pw.Schema):
    user: str = pw.column_definition(primary_key=True)
    at: int = pw.column_definition(primary_key=True, name="at o'clock")


def table(**columns: str) -> pw.Table:
    return pw.debug.table_from_markdown("user | at\nann | 1\nbob | 2").select(
        **{name: pw.this[column] for name, column in columns.items()}
    )


@pytest.mark.parametrize("format", [pw.io.csv, pw.io.jsonlines])
@pytest.mark.parametrize("name", ["time", "diff"])
def test_a_log_has_no_column_of_its_own_twice(format: object, name: str, tmp_path: Path) -> None:
    suffix = "csv" if format is pw.io.csv else "jsonl"
    for mode in ("changes", "append"):
        with pytest.raises(pw.InvalidError) as caught:
            format.write(table(user="user", **{name: "at"}), tmp_path / f"x.{suffix}", mode=mode)  # type: ignore[attr-defined]
        assert (
            caught.value.message == f'a column is called "{name}", and so is one that each change of a log has besides'
        )
        assert caught.value.hint == 'rename the column, or write the present table: mode "snapshot"'
        assert caught.value.origin is not None and "test_outputs.py:" in caught.value.origin
    path = tmp_path / f"present.{suffix}"
    format.write(table(user="user", **{name: "at"}), path, mode="snapshot")  # type: ignore[attr-defined]
    format.write(table(Time="at", DIFF="user"), tmp_path / f"log.{suffix}")  # type: ignore[attr-defined]
    pw.run(monitoring_level=QUIET)
    again = format.read(path, schema=pw.schema_from_types(**{"user": str, name: int}))  # type: ignore[attr-defined]
    assert sorted(row for row, _, _ in again._native.collect()) == [("ann", 1), ("bob", 2)]


@pytest.mark.parametrize(
    "name", ["x.parquet", "x.csv.gz", "x.csv.zst", "x.JSON", "x.jsonl", "x.tsv", "x.xlsx", "x.db", "x.feather"]
)
def test_a_name_that_says_something_else_is_refused(name: str, tmp_path: Path) -> None:
    suffix = "." + name.rsplit(".", 1)[1]
    with pytest.raises(pw.InvalidError, match=f'ends with "{suffix}", which says'):
        pw.io.csv.write(table(user="user"), tmp_path / name)
    with pytest.raises(pw.InvalidError, match=f'dead letters: .*ends with "{suffix}", which says'):
        pw.io.csv.read(tmp_path, schema=Visit, on_error="dead_letter", dead_letter=tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_standard_output_is_not_emptied(tmp_path: Path, script: Script) -> None:
    program = (
        "import millpond as pw, sys\n"
        "table = pw.debug.table_from_markdown('user\\nann')\n"
        "pw.io.csv.write(table, sys.argv[1])\npw.run()\n"
    )
    log = tmp_path / "job.log"
    log.write_text("kept\n")
    (tmp_path / "link.csv").symlink_to("/dev/stdout")
    (tmp_path / "script.py").write_text(program)
    for path in ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "link.csv", "/dev/null"):
        with log.open("a") as out:
            ended = subprocess.run(
                [sys.executable, "script.py", path], cwd=tmp_path, stdout=out, stderr=subprocess.PIPE, text=True
            )
        assert ended.returncode == 2
        assert (
            f'script.py:3: "{path}" is a name of the system, and results go to a file\nhint: write to' in ended.stderr
        )
        assert log.read_text() == "kept\n"


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(tmp_path / "socket"))
        for name, what in [("pipe", "a pipe"), ("socket", "a socket"), ("", "a directory")]:
            with pytest.raises(pw.InvalidError, match=f"is {what}, and results go to a") as caught:
                pw.io.csv.write(table(user="user"), tmp_path / name)
            assert caught.value.hint is not None
            with pytest.raises(pw.InvalidError, match=f"is {what}, and"):
                pw.io.csv.read(tmp_path, schema=Visit, on_error="dead_letter", dead_letter=tmp_path / name)


def test_a_path_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    bad = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.csv")
    table_of_users = table(user="user")
    uses: list[tuple[str, Callable[[], object]]] = [
        ("filename", lambda: pw.io.csv.write(table_of_users, bad)),
        ("filename", lambda: pw.io.jsonlines.write(table_of_users, Path(bad))),
        ("path", lambda: pw.io.csv.read(bad, schema=Visit)),
        ("dead_letter", lambda: pw.io.csv.read(tmp_path, schema=Visit, on_error="dead_letter", dead_letter=bad)),
        ("path", lambda: pw.persistence.Backend.filesystem(bad)),
        ("state", lambda: pw.run(state=bad)),
        ("report", lambda: pw.run(report=bad)),
    ]
    for what, use in uses:
        with pytest.raises(pw.InvalidError, match=f"^[^:]*:[0-9]*: {what}: the path '.*caf.udce9.csv' is not UTF-8"):
            use()
    with pytest.raises(pw.InvalidError, match=r"name: .* is not UTF-8"):
        pw.io.csv.write(table_of_users, tmp_path / "x.csv", name="\udce9")


def test_results_are_written_below_a_directory_that_is_not_utf_8(tmp_path: Path) -> None:
    directory = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(directory)
    code = (
        "import millpond as pw\npw.io.csv.write(pw.debug.table_from_markdown('a\\n1'), 'x.csv')\npw.run(state='state')"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=directory, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr.count("\n")) == (0, 1)
    assert changes(Path(os.fsdecode(directory)) / "x.csv") == ["1,1"]


@pytest.mark.parametrize("format", [pw.io.csv, pw.io.jsonlines])
def test_a_primary_key_of_files_is_refused(format: object, tmp_path: Path) -> None:
    with pytest.raises(pw.InvalidError) as caught:
        format.read(tmp_path, schema=Keyed)  # type: ignore[attr-defined]
    assert caught.value.message == (
        "schema: Keyed has a primary key (user, at o'clock), and rows of files replace no other row in this version"
    )
    assert caught.value.hint == (
        "leave primary_key=True out; to combine tables by it, say "
        '.with_id_from(pw.this.user, pw.this["at o\'clock"]) after reading'
    )


def test_the_state_has_a_short_form(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("user,at\nann,1\n")
    visits = pw.io.csv.read(tmp_path / "a.csv", schema=Visit, name="visits")
    pw.io.csv.write(visits, tmp_path / "out" / "log.csv", mode="append")
    pw.run(state=tmp_path / "state", monitoring_level=QUIET)
    with (tmp_path / "a.csv").open("a") as file:
        file.write("bob,2\n")
    config = pw.persistence.Config(pw.persistence.Backend.filesystem(tmp_path / "state"))
    pw.run(persistence_config=config, monitoring_level=QUIET)
    assert changes(tmp_path / "out" / "log.csv") == ["ann,1,1", "bob,2,1"]
    with pytest.raises(pw.InvalidError, match="state and persistence_config both say where the state is kept"):
        pw.run(state=tmp_path / "state", persistence_config=config)
    with pytest.raises(pw.InvalidError, match="state: expected a path, got 1"):
        pw.run(state=1)  # type: ignore[arg-type]


def test_the_rows_of_a_present_table_are_no_changes(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()

    def run(*rows: str) -> str:
        pw.clear()
        (tmp_path / "in" / f"{len(list((tmp_path / 'in').iterdir()))}.csv").write_text(
            "\n".join(["user,at", *rows, ""])
        )
        visits = pw.io.csv.read(tmp_path / "in", schema=Visit, name="visits")
        users = visits.groupby(visits.user).reduce(visits.user, n=pw.reducers.count())
        pw.io.csv.write(users, tmp_path / "now.csv", mode="snapshot")
        pw.io.csv.write(users, tmp_path / "changes.csv")
        pw.run(state=tmp_path / "state", report=tmp_path / "report.json")
        outputs = json.loads((tmp_path / "report.json").read_text())["outputs"]
        return capfd.readouterr().err.split("read, ")[1].split(", 0.")[0] + f" {[o['current_rows'] for o in outputs]}"

    assert run("ann,1", "bob,2") == "2 changes written, 2 current rows [2, None]"
    assert run("ann,3") == "2 changes written, 2 current rows [2, None]"
    assert run("eve,3") == "1 change written, 3 current rows [3, None]"
    assert run() == "0 changes written, 3 current rows [3, None]"


def names(summary: pw.RunSummary) -> list[str]:
    return [output.name for output in summary.outputs]


def test_a_job_that_is_run_again_declares_its_outputs_again(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.csv").write_text("user,at\nann,1\n")
    seen: list[tuple[str, str]] = []

    def job(copies: int) -> pw.RunSummary:
        visits = pw.io.csv.read(tmp_path / "in", schema=Visit, name="visits")
        pw.io.subscribe(visits, lambda key, row, time, is_addition: seen.append(("first", row["user"])))
        for number in range(copies):
            pw.io.csv.write(visits, tmp_path / f"out{number}.csv", mode="append")
            pw.io.subscribe(visits, lambda key, row, time, is_addition: seen.append(("copy", row["user"])))
        return pw.run(state=tmp_path / "state", monitoring_level=QUIET)

    first = job(2)
    assert sorted(seen) == [("copy", "ann"), ("copy", "ann"), ("first", "ann")]
    seen.clear()
    (tmp_path / "in/b.csv").write_text("user,at\nbob,2\n")
    second = job(2)
    assert sorted(seen) == [("copy", "bob"), ("copy", "bob"), ("first", "bob")]
    assert names(first) == names(second)
    for number in range(2):
        lines = (tmp_path / f"out{number}.csv").read_text().splitlines()
        assert [line.partition(",")[0] for line in lines] == ["user", '"ann"', '"bob"']


def test_a_job_that_declares_fewer_outputs_than_before_forgets_the_others(tmp_path: Path) -> None:
    def job(files: str) -> list[str]:
        for name in files:
            pw.io.csv.write(table(user="user"), tmp_path / f"{name}.csv")
        return [Path(output.name).stem for output in pw.run(monitoring_level=QUIET).outputs]

    assert [job("abc"), job("b"), job(""), job("de")] == [["a", "b", "c"], ["b"], ["b"], ["d", "e"]]


def test_a_run_runs_what_other_lines_declared_before(tmp_path: Path) -> None:
    pw.io.csv.write(table(user="user"), tmp_path / "a.csv")
    pw.run(monitoring_level=QUIET)
    pw.io.csv.write(table(user="user"), tmp_path / "b.csv")
    summary = pw.run(monitoring_level=QUIET)
    assert [Path(output.name).stem for output in summary.outputs] == ["a", "b"]


TWICE = {
    "two outputs write to one file": 'pw.io.csv.write(T, "out.csv")',
    "two outputs are named": 'pw.io.csv.write(T, FILE, name="out")',
    "two sources are named": 'pw.io.csv.write(pw.io.csv.read("in", schema=S, name="in"), FILE)',
}


@pytest.mark.parametrize("message", TWICE)
def test_a_name_of_an_earlier_run_is_said_to_be_one(message: str, tmp_path: Path, script: Script) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.csv").write_text("user\nann\n")
    first, second = (TWICE[message].replace("FILE", f'"{name}.csv"') for name in ("a", "b"))
    program = (
        "import millpond as pw\n"
        "S = pw.schema_from_types(user=str)\n"
        "T = pw.debug.table_from_markdown('user\\nann')\n"
        f"{first}\nRUN\n{second}\npw.run()\n"
    )
    hint = "; pw.clear() forgets what was declared for an earlier pw.run()"
    ran = script(program.replace("RUN", "pw.run()"))
    assert (ran.returncode, message in ran.stderr, hint in ran.stderr) == (2, True, True), ran.stderr
    ran = script(program.replace("RUN", ""))
    assert (ran.returncode, message in ran.stderr, hint in ran.stderr) == (2, True, False), ran.stderr
    ran = script(program.replace("RUN", "pw.run(); pw.clear()"))
    assert ran.returncode == 0, ran.stderr


def test_a_reader_that_has_seen_enough_ends_a_program_quietly(tmp_path: Path) -> None:
    program = (
        "import millpond as pw\n"
        "rows = '\\n'.join(map(str, range(50_000)))\n"
        "pw.debug.compute_and_print(pw.debug.table_from_markdown('n\\n' + rows))\n"
    )
    command = f'{sys.executable} -c "$PROGRAM" | head -n 2; echo ${{PIPESTATUS[0]}}'
    ran = subprocess.run(
        ["bash", "-c", command], env={**os.environ, "PROGRAM": program}, capture_output=True, text=True, timeout=60
    )
    assert (ran.stdout, ran.stderr) == ("n\n0\n141\n", "")
