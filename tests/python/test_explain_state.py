"""``millpond explain``: what a saved state is the state of, without the program."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import millpond as pw

QUIET = pw.MonitoringLevel.NONE


class Visit(pw.Schema):
    user: str
    at: int
    pages: int | None


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("visits.csv").write_text("user,at,pages\nu1,5,1\nu2,400,2\nu1,600,\n")
    Path("names.csv").write_text("user,name\nu1,Ann\n")


def program(**more: type) -> None:
    """Declares outputs of a program with most kinds of steps; `more` are columns that it does not use."""
    pw.clear()
    visits = pw.io.csv.read("visits.csv", schema=Visit, mode="static", name="visits")
    columns = pw.schema_from_types(user=str, name=str, **more)
    names = pw.io.csv.read("names.csv", schema=columns, mode="static", name="names", append_only=True)
    windows = visits.windowby(
        pw.this.at,
        window=pw.temporal.sliding(hop=100, duration=250),
        instance=pw.this.user,
        behavior=pw.temporal.common_behavior(cutoff=1000),
    ).reduce(pw.this.user, start=pw.this._pw_window_start, pages=pw.reducers.sum(pw.fill_error(pw.this.pages // 0, 7)))
    known = visits.join_left(names, pw.left.user == pw.right.user).select(
        pw.left.user, pw.right.name, hour=pw.left.at // 3600
    )
    per_hour = known.groupby(pw.this.hour).reduce(pw.this.hour, users=pw.reducers.count_distinct(pw.this.user))
    pw.io.csv.write(windows, "windows.csv", mode="snapshot")
    pw.io.jsonlines.write(per_hour.named("per hour"), "hours.jsonl")
    pw.io.csv.write(pw.global_error_log(), "errors.csv")


def explain(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "millpond_cli", "explain", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


SIZE = re.compile(r"\d+ B")
PER_HOUR = """\
9. reduce of 8, saved as "per hour"
   key: hour
   computes: pw.reducers.count_distinct(user)
   state: also what results need when rows are removed
   not append-only: 8 is not
   kept: groups: 1 row, <size>; order_0: 2 rows, <size>
"""
OUTPUTS = """\
output "windows.csv": csv of 16
output "hours.jsonl": jsonlines of 9
output "errors.csv": csv of 14
"""


def test_a_state_says_what_it_is_the_state_of() -> None:
    program()
    pw.run(state="state", monitoring_level=QUIET)
    Path("visits.csv").unlink()
    pw.clear()
    said = explain("state")
    assert (said.returncode, said.stderr) == (0, "")
    text = SIZE.sub("<size>", said.stdout)
    assert text.startswith(
        f'checkpoint 2 of run 1, written by Millpond {pw.__version__}\n1. source: csv, saved as "visits"\n'
    )
    assert PER_HOUR in text
    assert text.endswith(OUTPUTS)
    assert pw.persistence.Backend.filesystem("state").explain() == said.stdout


def test_the_steps_are_those_that_the_program_explains() -> None:
    visits = pw.io.csv.read("visits.csv", schema=Visit, mode="static", name="visits")
    users = visits.groupby(pw.this.user).reduce(pw.this.user, pages=pw.reducers.sum(pw.this.pages))
    explained = re.sub(r", made at [^,]*", "", users.explain()).splitlines()
    pw.io.csv.write(users, "users.csv")
    pw.run(state="state", monitoring_level=QUIET)
    said = pw.persistence.Backend.filesystem("state").explain().splitlines()
    assert [line for line in said[1:-1] if not line.startswith("   kept: ")] == explained
    assert said[-1] == 'output "users.csv": csv of 3'


def test_what_is_no_state_is_said() -> None:
    said = explain("nowhere")
    assert (said.returncode, said.stdout) == (2, "")
    assert said.stderr == f"millpond explain: there is no saved state in {Path('nowhere').absolute()}/\n"
    with pytest.raises(pw.InvalidError, match="there is no saved state"):
        pw.persistence.Backend.filesystem("nowhere").explain()
    assert not Path("nowhere").exists()


def test_a_run_that_saved_nothing_yet_is_said() -> None:
    program()
    Path("visits.csv").write_text("user,at,pages\nu1,five,1\n")
    with pytest.raises(pw.InputError):
        pw.run(state="state", monitoring_level=QUIET)
    said = explain("state")
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout == f"checkpoint 1 of run 1, written by Millpond {pw.__version__}\nnothing is saved yet\n"


def test_a_damaged_plan_is_named() -> None:
    program()
    pw.run(state="state", monitoring_level=QUIET)
    [plan] = Path("state").glob("plan-*")
    whole = plan.read_bytes()
    plan.write_bytes(whole[:-20])
    said = explain("state")
    assert said.returncode == 4
    damaged = f"{plan.absolute()} is damaged: its content is not the one that it is named by\nhint: "
    assert said.stderr.startswith(f"millpond explain: {damaged}")
    program()
    with pytest.raises(pw.DataError, match="is damaged: its content is not the one"):
        pw.run(state="state", monitoring_level=QUIET)
    plan.write_bytes(whole)
    program()
    pw.run(state="state", monitoring_level=QUIET)


def test_a_plan_is_written_when_the_program_changes() -> None:
    program()
    pw.run(state="state", monitoring_level=QUIET)
    [first] = Path("state").glob("plan-*")
    made = first.stat().st_mtime_ns
    with Path("visits.csv").open("a") as visits:
        visits.write("u3,700,1\n")
    program()
    pw.run(state="state", monitoring_level=QUIET)
    assert [(plan, plan.stat().st_mtime_ns) for plan in Path("state").glob("plan-*")] == [(first, made)]
    # Another column of a source that nothing reads: another plan, and the same steps.
    program(city=str)
    pw.run(state="state", monitoring_level=QUIET)
    [second] = Path("state").glob("plan-*")
    assert second != first


def test_a_state_without_one_of_its_files_is_damaged() -> None:
    program()
    pw.run(state="state", monitoring_level=QUIET)
    blob = max(Path("state").glob("runs-*"), key=lambda path: path.stat().st_size)
    blob.unlink()
    said = explain("state")
    assert said.returncode == 4
    assert said.stderr.startswith(f"millpond explain: {blob.absolute()} is missing\nhint: ")


def test_what_is_no_directory_is_said() -> None:
    said = explain("visits.csv")
    assert (said.returncode, said.stdout) == (2, "")
    assert said.stderr == "millpond explain: visits.csv is a file, not the directory of a saved state\n"
    said = explain("")
    assert (said.returncode, said.stderr) == (2, "millpond explain: path: the path is empty\n")
