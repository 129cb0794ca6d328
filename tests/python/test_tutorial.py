"""The four acts of a program that groups visits into sessions, in every spelling that it may be written in."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Script
from results import changes, times

READ_NEW = 'visits = pw.io.csv.read("logs/", schema=Visit, mode="static", name="visits")'
READ_OLD = 'visits = pw.csv.read("logs/", mode="static", schema=Visit, persistent_id="visits")'

PROGRAM = """
import sys
import millpond as pw

class Visit(pw.Schema):
    user_id: str
    access_time: int

if __name__ == "__main__":
    {read}
    longest = pw.reducers.max(visits.access_time)
    sessions = visits.windowby(
        pw.this.access_time, window=pw.temporal.session(max_gap=300), {instance}=pw.this.user_id
    ).reduce(
        {user},
        session_length=longest - pw.reducers.min(visits.access_time),
        session_start=pw.reducers.min(pw.this.access_time),
        session_finish=longest,
        count=pw.reducers.count(),
    )
    {write}(sessions, "sessions.csv")
    options = {{}}
    if "--keep" in sys.argv:
        backend = pw.persistence.Backend.filesystem("./state")
        options["persistence_config"] = pw.persistence.Config(backend)
    pw.run(monitoring_level=pw.MonitoringLevel.NONE, **options)
"""

SPELLINGS = {
    "newer": PROGRAM.format(read=READ_NEW, instance="instance", user="pw.this.user_id", write="pw.io.csv.write"),
    "older": PROGRAM.format(read=READ_OLD, instance="shard", user="user_id=visits.user_id", write="pw.csv.write"),
    "window columns": PROGRAM.format(
        read=READ_NEW, instance="instance", user="user_id=pw.this._pw_instance", write="pw.io.csv.write"
    ).replace("session_start=pw.reducers.min(pw.this.access_time)", "session_start=pw.this._pw_window_start"),
}

FIRST = ["alice,0,1701102730,1701102730,1,1", "alice,583,1701103035,1701103618,5,1", "bob,62,1701102743,1701102805,3,1"]
NEW_FILE = ["bob,578,1701104640,1701105218,3,1"]
EXTENDED = ["alice,583,1701103035,1701103618,5,-1", "alice,881,1701103035,1701103916,8,1"]


def add(directory: Path, name: str, visits: dict[str, list[int]]) -> None:
    logs = directory / "logs"
    logs.mkdir(exist_ok=True)
    lines = [f"{user},{1701100000 + time}" for user, user_times in visits.items() for time in user_times]
    (logs / name).write_text("\n".join(["user_id,access_time", *lines]) + "\n", encoding="utf-8")


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("workers", ["1", "3"])
def test_four_acts(spelling: str, workers: str, tmp_path: Path, script: Script) -> None:
    result = tmp_path / "sessions.csv"
    seen: list[int] = []

    def act(*arguments: str, expect: list[str]) -> None:
        ended = script(SPELLINGS[spelling], *arguments, MILLPOND_WORKERS=workers)
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout == ""
        warned = [line for line in ended.stderr.splitlines() if not line.startswith("  ")]
        assert all("DeprecationWarning" in line for line in warned)
        assert bool(warned) == (spelling == "older")
        assert changes(result) == expect
        new = times(result)
        assert all(time % 2 == 0 for time in new)
        assert not seen or not new or min(new) > max(seen)
        seen.extend(new)

    add(tmp_path, "one.csv", {"alice": [2730, 3035, 3037], "bob": [2743, 2774, 2805]})
    add(tmp_path, "two.csv", {"alice": [3040, 3331, 3618]})
    act(expect=FIRST)
    act("--keep", expect=FIRST)
    act("--keep", expect=[])
    add(tmp_path, "three.csv", {"bob": [4640, 4931, 5218]})
    act("--keep", expect=NEW_FILE)
    add(tmp_path, "four.csv", {"alice": [3338, 3629, 3916]})
    act("--keep", expect=EXTENDED)


def test_the_older_spellings_warn_at_their_line(tmp_path: Path, script: Script) -> None:
    add(tmp_path, "one.csv", {"alice": [1]})
    ended = script(SPELLINGS["older"])
    expected = [
        "millpond.csv.read has moved",
        "persistent_id= is the older",
        "shard= is the older",
        "csv.write has moved",
    ]
    for message, line in zip(expected, [10, 10, 12, 21], strict=True):
        assert any(message in text and f"script.py:{line}: " in text for text in ended.stderr.splitlines()), (
            ended.stderr
        )
