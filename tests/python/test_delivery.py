"""Changes handed to a program, over kills, signals and exceptions: whoever passes over what it has gets each once."""

from __future__ import annotations

import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from conftest import Script

import millpond as pw

ROOT = Path(__file__).parents[2]
QUIET = pw.MonitoringLevel.NONE

PROGRAM = """\
import sys
import millpond as pw

class Visit(pw.Schema):
    user: str

def counts(mode="static"):
    visits = pw.io.csv.read("logs", schema=Visit, mode=mode, autocommit_duration_ms=5, name="visits")
    return visits.groupby(visits.user).reduce(visits.user, visits=pw.reducers.count())

def run(every_ms=15):
    backend = pw.persistence.Backend.filesystem("state")
    config = pw.persistence.Config(backend, snapshot_interval_ms=every_ms)
    pw.run(monitoring_level=pw.MonitoringLevel.NONE, persistence_config=config)
"""


def arrive(folder: Path, name: str, users: list[str]) -> None:
    path = folder / "logs" / name
    path.parent.mkdir(exist_ok=True)
    header = "" if path.exists() else "user\n"
    with path.open("a", encoding="utf-8") as file:
        file.write(header + "".join(f"{user}\n" for user in users))


def insert_class() -> str:
    """The receiver on the page about delivery."""
    page = (ROOT / "docs" / "delivery.md").read_text(encoding="utf-8")
    blocks = re.finditer(r"```python\n(.*?)```", page, re.DOTALL)
    return next(block[1] for block in blocks if "class Insert" in block[1])


def test_a_database_keeps_in_step_though_its_program_is_killed(tmp_path: Path, script: Script) -> None:
    receiver = f"""\
import sqlite3, time
{insert_class()}
class Slow(Insert):
    def on_change(self, *change):
        time.sleep(0.002)
        super().on_change(*change)

database = sqlite3.connect("counts.db", check_same_thread=False)
database.execute("CREATE TABLE IF NOT EXISTS counts (user TEXT, visits INT)")
database.execute("CREATE TABLE IF NOT EXISTS progress (time INT)")
database.commit()
pw.io.python.write(counts(sys.argv[1]), Slow(database), name="database")
run()
"""
    choose = random.Random(7)
    everyone: list[str] = []
    (tmp_path / "service.py").write_text(PROGRAM + receiver, encoding="utf-8")
    for _ in range(6):
        process = subprocess.Popen([sys.executable, "service.py", "streaming"], cwd=tmp_path)
        end = time.monotonic() + 0.4 + choose.random() * 0.5
        while time.monotonic() < end:
            users = [f"user {choose.randrange(9)}" for _ in range(choose.randrange(1, 6))]
            arrive(tmp_path, f"{choose.randrange(3)}.csv", users)
            everyone += users
            time.sleep(choose.random() * 0.03)
        process.kill()
        process.wait()
    for _ in range(2):
        ended = script(PROGRAM + receiver, "static")
        assert ended.returncode == 0, ended.stderr
        database = sqlite3.connect(tmp_path / "counts.db")
        assert sorted(database.execute("SELECT * FROM counts")) == sorted(Counter(everyone).items())
        times = [row[0] for row in database.execute("SELECT time FROM progress ORDER BY rowid")]
        assert times == sorted(set(times))
        database.close()


def test_what_an_exception_cut_off_is_delivered_again_with_the_same_times(tmp_path: Path, script: Script) -> None:
    program = (
        PROGRAM
        + """
def on_change(key, row, time, is_addition):
    print(time, row, is_addition, flush=True)
    if sys.argv[1] == row["user"]:
        raise RuntimeError("no more of " + row["user"])

pw.io.subscribe(counts(), on_change, on_time_end=lambda time: print("done", time), on_end=lambda: print("end"))
run()
"""
    )
    arrive(tmp_path, "a.csv", ["ann", "bob", "cid"])
    broken = script(program, "bob")
    assert broken.returncode == 1 and "RuntimeError: no more of bob" in broken.stderr
    arrive(tmp_path, "b.csv", ["bob"])
    again = script(program, "nobody").stdout.splitlines()
    assert again[: len(broken.stdout.splitlines())] == broken.stdout.splitlines()
    first, second = again[0].split()[0], again[-2].split()[1]
    assert int(first) < int(second)
    assert [line.split(" ", 1)[1] for line in again if line.startswith(second)] == [
        "{'user': 'bob', 'visits': 1} False",
        "{'user': 'bob', 'visits': 2} True",
    ]
    assert again.count(f"done {first}") == again.count(f"done {second}") == 1 and again[-1] == "end"
    assert script(program, "nobody").stdout.splitlines()[-1:] == ["end"]
    assert "user" not in script(program, "nobody").stdout


def test_an_exception_at_the_end_leaves_the_run_undelivered(tmp_path: Path, script: Script) -> None:
    program = (
        PROGRAM
        + """
def on_end():
    if sys.argv[1] == "broken":
        raise RuntimeError("the queue is gone")

pw.io.subscribe(counts(), lambda key, row, time, is_addition: print(time, row), on_end=on_end)
run()
"""
    )
    arrive(tmp_path, "a.csv", ["ann", "bob"])
    broken = script(program, "broken")
    assert "RuntimeError: the queue is gone" in broken.stderr
    assert script(program, "well").stdout == broken.stdout != ""
    assert script(program, "well").stdout == ""


def test_ctrl_c_while_changes_are_delivered_lets_them_all_come_once(tmp_path: Path, script: Script) -> None:
    program = (
        PROGRAM
        + """
import time as clock

def on_change(key, row, time, is_addition):
    print(time, row["user"], flush=True)
    clock.sleep(0.01)

pw.io.subscribe(counts(sys.argv[1]), on_change, on_end=lambda: print("end", flush=True))
run()
"""
    )
    arrive(tmp_path, "a.csv", [f"user {number}" for number in range(40)])
    (tmp_path / "service.py").write_text(program, encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "service.py", "streaming"], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(3)]
    os.kill(process.pid, signal.SIGINT)
    lines += process.stdout.readlines()
    process.stdout.close()
    assert process.wait() in (130, -signal.SIGINT)
    assert lines[-1] == "end\n"
    assert sorted(line.split(" ", 1)[1] for line in lines[:-1]) == sorted(f"user {n}\n" for n in range(40))
    assert script(program, "static").stdout == "end\n"


def test_at_once_does_not_wait_for_a_commit(tmp_path: Path, script: Script) -> None:
    program = (
        PROGRAM
        + """
import os, threading, time as clock

class Visits(pw.io.python.ConnectorSubject):
    def seek(self, position): ...
    def run(self):
        for number in range(3):
            self.next(user=f"user {number}")
            self.commit(position=number)
            clock.sleep(0.2)

visits = pw.io.python.read(Visits(), schema=Visit, name="visits")

def show(which):
    return lambda key, row, time, is_addition: print(which, row["user"], flush=True)

pw.io.subscribe(visits, show("at once"), delivery="at_once")
pw.io.subscribe(visits, show("after the commit"), delivery="after_commit")
run(every_ms=3_600_000)
"""
    )
    lines = script(program).stdout.splitlines()
    # The first commit of a program that watches comes soon, the second at its end.
    rest = lines[lines.index("at once user 1") :]
    assert rest == ["at once user 1", "at once user 2", "after the commit user 1", "after the commit user 2"]
    assert "after the commit user 0" in lines and "at once user 0" in lines


@pytest.mark.parametrize("write", ["subscribe", "observer"])
def test_another_word_for_delivery_is_refused(write: str) -> None:
    class Observer(pw.io.python.ConnectorObserver):
        def on_change(self, key: int, row: dict[str, object], time: int, is_addition: bool) -> None: ...

    table = pw.debug.table_from_markdown("user\nann")
    with pytest.raises(pw.InvalidError, match='delivery: "later" is none of "after_commit", "at_once"'):
        if write == "subscribe":
            pw.io.subscribe(table, Observer().on_change, delivery="later")  # type: ignore[arg-type]
        else:
            pw.io.python.write(table, Observer(), delivery="later")  # type: ignore[arg-type]
