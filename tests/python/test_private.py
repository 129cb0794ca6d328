"""Directories and names that somebody else may write to: what is refused, and what a planted link can do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from conftest import Script

AS_ANOTHER_USER = """
import os
import millpond as pw
from millpond import _stops, _summary

table = pw.debug.table_from_markdown("a\\n1")
pw.io.subscribe(table, print)
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
pw.run(state={state!r}, monitoring_level=pw.MonitoringLevel.NONE)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can run a program as another user")
@pytest.mark.parametrize(("mode", "taken"), [(0o777, False), (0o1777, False), (0o757, False)])
def test_a_state_directory_of_another_user_that_others_may_write_to_is_refused(
    mode: int, taken: bool, tmp_path: Path, script: Script
) -> None:
    for directory in (tmp_path, *tmp_path.parents[:2]):
        directory.chmod(0o755)
    state = tmp_path / "state"
    state.mkdir()
    state.chmod(mode)
    ended = script(AS_ANOTHER_USER.format(state=str(state)))
    assert ended.returncode == 2, ended
    told = f"{state} belongs to another user, and not only that user may change files in it"
    assert (
        told in ended.stderr
        and f"hint: save the state in a directory of its own, such as {state}/state" in ended.stderr
    )
    assert (list(state.iterdir()), state.stat().st_mode & 0o7777) == ([], mode)
    # What the hint says: nobody else may write to a directory in it.
    ended = script(AS_ANOTHER_USER.format(state=str(state / "state")))
    assert ended.returncode == 0, ended
    made = (state / "state").stat()
    assert (made.st_uid, made.st_mode & 0o777) == (65534, 0o700)


FOLLOWS = """
import os
import threading
import millpond as pw

class Row(pw.Schema):
    user: str

stop = threading.Event()
times = []

def after(time):
    times.append(time)
    if len(times) == 1:
        {planted}
        with open("logs/b.csv", "w") as file:
            file.write("user\\nbob\\n")
    elif {enough}:
        stop.set()

visits = pw.io.csv.read("logs", schema=Row, mode="streaming", autocommit_duration_ms=20)
pw.io.csv.write(visits, "out.csv", mode={mode!r})
pw.io.subscribe(visits, on_change=lambda *change: None, on_time_end=after)
pw.run(stop=stop, state="state", monitoring_level=pw.MonitoringLevel.NONE)
"""


@pytest.mark.parametrize("mode", ["changes", "append", "snapshot"])
def test_a_link_that_takes_the_place_of_an_output_is_not_written_through(
    mode: str, tmp_path: Path, script: Script
) -> None:
    """A file that is open stays the one that is written; one that is made anew takes the place of the link."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.csv").write_text("user\nann\n")
    (tmp_path / "victim").write_text("precious")
    planted = (
        'os.rename("out.csv", "moved.csv") if os.path.exists("out.csv") else None; os.symlink("victim", "out.csv")'
    )
    ended = script(FOLLOWS.format(planted=planted, mode=mode, enough="len(times) == 2"))
    assert (tmp_path / "victim").read_text() == "precious", ended
    # The next run, which has something to read, goes on with its own file or refuses the link.
    (tmp_path / "logs" / "new.csv").write_text("user\ncyd\n")
    again = script(FOLLOWS.format(planted="pass", mode=mode, enough="True").replace("logs/b", "logs/c"))
    assert (tmp_path / "victim").read_text() == "precious", again


def test_a_link_in_a_directory_that_is_read_is_followed(tmp_path: Path, script: Script) -> None:
    """As SECURITY.md says: whoever may write to the directory chooses what the program reads."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.csv").write_text("user\nann\n")
    (tmp_path / "other.csv").write_text("user\neve\n")
    (tmp_path / "names").write_text("root:x:0\n")
    planted = 'os.symlink("../other.csv", "logs/d.csv")'
    ended = script(FOLLOWS.format(planted=planted, mode="append", enough="len(times) >= 2"))
    assert ended.returncode == 0, ended
    # One to a file that is no CSV of these columns ends the run, and names it.
    (tmp_path / "logs" / "e.csv").symlink_to("../names")
    ended = script(FOLLOWS.format(planted="pass", mode="append", enough="True"))
    assert ended.returncode == 3 and "logs/e.csv" in ended.stderr, ended
    assert '"eve"' in (tmp_path / "out.csv").read_text()


@pytest.mark.parametrize("mode", ["changes", "append", "snapshot"])
@pytest.mark.parametrize(
    ("planted", "told"),
    [
        ('os.symlink("../out.csv", "logs/l.csv")', 'the result "out.csv"'),
        ('os.link("out.csv", "logs/l.csv")', 'the result "out.csv"'),
        ('os.symlink("../state", "logs/l")', 'the saved state in "state"'),
        ('os.link("state/lock", "logs/l")', 'the saved state in "state"'),
        ('os.symlink("../report.json", "logs/l")', 'the report "report.json"'),
    ],
)
def test_a_link_to_what_a_service_writes_ends_it(
    planted: str, told: str, mode: str, tmp_path: Path, script: Script
) -> None:
    """Broke once: it read its own result, again and again."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.csv").write_text("user\nann\n")
    program = FOLLOWS.format(planted=planted, mode=mode, enough="len(times) == 9")
    ended = script(program.replace("pw.run(", 'pw.run(report="report.json", '))
    assert ended.returncode == 2, ended
    assert f'{told} lies where the source "logs" (' in ended.stderr, ended
    assert "hint: put it into another directory" in ended.stderr, ended
    rows = (tmp_path / "out.csv").read_text().splitlines()[1:]
    assert all(row.startswith('"ann"') for row in rows) and len(rows) == 1, ended
