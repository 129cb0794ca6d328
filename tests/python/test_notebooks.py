"""Programs that are entered piece by piece, and scripts that never run what they declare."""

from __future__ import annotations

import ast
import re
import sys
import types
import zlib
from pathlib import Path
from typing import Any

import pytest
from conftest import Script

import millpond as pw

QUIET = pw.MonitoringLevel.NONE


class Shell:
    """Stands for the shell of IPython: runs cells, and knows which code is of which."""

    def __init__(self) -> None:
        self.cells: dict[str, int] = {}
        self.names: dict[str, Any] = {"pw": pw}
        self.execution_count = 0
        self.parent_header: dict[str, Any] = {}
        self.compile = self

    def format_code_name(self, name: str) -> tuple[str, str] | None:
        return ("Cell", f"In[{self.cells[name]}]") if name in self.cells else None

    def run(self, code: str, cell: str | None = None) -> None:
        """Runs a cell; as IPython does, each of its statements by itself. ``cell`` is its name in the front end."""
        file = f"/tmp/ipykernel_7/{zlib.crc32(code.encode())}.py"
        self.execution_count += 1
        self.cells[file] = self.execution_count
        self.parent_header = {"metadata": {} if cell is None else {"cellId": cell}}
        for statement in ast.parse(code).body:
            exec(compile(ast.Module([statement], []), file, "exec"), self.names)


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Shell:
    shell = Shell()
    ipython = types.ModuleType("IPython")
    ipython.get_ipython = lambda: shell  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text("user,at\nann,1\n")
    shell.names["QUIET"] = QUIET
    return shell


READ = "visits = pw.io.csv.read('a.csv', schema=pw.schema_from_types(user=str, at=int), name='visits')"


def test_a_cell_that_is_run_again_declares_its_output_again(shell: Shell, tmp_path: Path) -> None:
    for suffix in ("1", "2"):
        shell.run(READ)
        shell.run(f"pw.io.csv.write(visits.select(x=pw.this.at + {suffix}), 'x.csv', mode='snapshot')")
        shell.run("pw.io.jsonlines.write(visits.select(pw.this.user), './y.jsonl', mode='snapshot', name='y')")
        shell.run(f"pw.io.jsonlines.write(visits.select(y={suffix}), 'z{suffix}.jsonl', mode='snapshot', name='y')")
    shell.run("pw.run(monitoring_level=QUIET)")
    assert (tmp_path / "x.csv").read_text() == "x\n3\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "x.csv", "z2.jsonl"]


def test_an_output_takes_the_place_of_one_with_its_file(shell: Shell, tmp_path: Path) -> None:
    shell.run(READ)
    shell.run("pw.io.csv.write(visits.select(pw.this.at), 'x.csv', mode='snapshot', name='one')")
    shell.run("pw.io.csv.write(visits.select(pw.this.user), './x.csv', mode='snapshot', name='two')")
    shell.run("pw.run(monitoring_level=QUIET)")
    assert (tmp_path / "x.csv").read_text() == 'user\n"ann"\n'


def test_a_cell_that_is_run_again_subscribes_again(shell: Shell, tmp_path: Path) -> None:
    """Broke once: each change came as often as the cell had been run."""
    seen: list[str] = []
    shell.names["seen"] = seen
    follow = "pw.io.subscribe({}, lambda key, row, time, is_addition: seen.append('{}' + row['user']))"
    shell.run(READ)
    # Two subscriptions of one cell, one of them in a loop, and the same text in another cell.
    cell = follow.format("visits", "a") + "\nfor mark in 'bc': " + follow.format("visits", "b")
    for _ in range(3):
        shell.run(cell)
    shell.run(follow.format("visits", "d"))
    shell.run("pw.io.csv.write(visits, 'x.csv')")
    shell.run(cell)
    shell.run("pw.run(monitoring_level=QUIET, state='s')")
    assert sorted(seen) == ["aann", "bann", "bann", "dann"]
    # A front end that names its cells: the text may change.
    shell.run("pw.clear()")
    seen.clear()
    shell.run(READ)
    for mark in "xyz":
        shell.run(follow.format("visits", mark), cell="7f3a")
    shell.run(follow.format("visits", "z"), cell="0b11")
    shell.run("pw.run(monitoring_level=QUIET)")
    assert sorted(seen) == ["zann", "zann"]


def test_a_subscription_with_a_name_takes_the_place_of_another_cells(shell: Shell) -> None:
    seen: list[str] = []
    shell.names["seen"] = seen
    shell.run(READ)
    for mark in "ab":
        shell.run(f"pw.io.subscribe(visits, lambda *change: seen.append('{mark}'), name='s')")
    shell.run("pw.run(monitoring_level=QUIET)")
    assert seen == ["b"]


def test_a_name_that_two_cells_give_is_explained(shell: Shell) -> None:
    for number in (1, 2):
        shell.run(READ)
        shell.run(f"pw.io.csv.write(visits, 'x{number}.csv')")
    with pytest.raises(pw.InvalidError) as caught:
        shell.run("pw.run(monitoring_level=QUIET)")
    assert caught.value.origin == "Cell In[3]:1"
    assert caught.value.message == 'two sources are named "visits"'
    assert caught.value.hint is not None and "pw.clear() forgets what earlier cells" in caught.value.hint


def test_a_cell_is_the_place_of_a_mistake(shell: Shell) -> None:
    shell.run(READ)
    with pytest.raises(pw.InvalidError) as caught:
        shell.run("\nvisits.ust")
    assert (caught.value.origin, type(caught.value).__name__) == ("Cell In[2]:2", "InvalidError")
    shell.format_code_name = lambda name: 1 / 0  # type: ignore[assignment,method-assign,return-value]
    code = compile("visits.ust", "<ipython-input-13-0f2a>", "exec")
    with pytest.raises(pw.InvalidError) as caught:
        exec(code, shell.names)
    assert caught.value.origin == "Cell In[13]:1"


def test_no_private_name_is_shown() -> None:
    table = pw.debug.table_from_markdown("user\nann")
    with pytest.raises(AttributeError) as caught:
        _ = table.at
    shown = f"{type(caught.value)!r} {type(caught.value).__mro__[1]!r} {caught.value!r}"
    assert not re.search(r"[\W]_[a-zA-Z]", shown), shown


def test_two_outputs_of_a_script_are_a_mistake(tmp_path: Path) -> None:
    table = pw.debug.table_from_markdown("user\nann")
    pw.io.csv.write(table, tmp_path / "x.csv")
    pw.io.csv.write(table, tmp_path / "x.csv")
    with pytest.raises(pw.InvalidError, match="two outputs write to"):
        pw.run(monitoring_level=QUIET)


WRITE = "import millpond as pw\ntable = pw.debug.table_from_markdown('a\\n1')\npw.io.csv.write(table, 'x.csv')\n"
NOTICE = "millpond: nothing was written: script.py:3 declares an output, and no pw.run() follows\n"


@pytest.mark.parametrize(
    ("code", "notice"),
    [
        (WRITE, NOTICE),
        (WRITE + "pw.debug.compute_and_print(table)", NOTICE),
        (WRITE + "pw.io.subscribe(table, print)", NOTICE.replace("declares an output", "and 1 more declare outputs")),
        (
            WRITE + "pw.run(monitoring_level=pw.MonitoringLevel.NONE)\npw.io.csv.write(table, 'y.csv')",
            NOTICE.replace(":3 ", ":5 "),
        ),
        (WRITE + "pw.run(monitoring_level=pw.MonitoringLevel.NONE)", ""),
        (WRITE + "pw.clear()", ""),
        ("import millpond as pw", ""),
    ],
)
def test_a_script_that_does_not_run_is_told(code: str, notice: str, script: Script) -> None:
    ended = script(code)
    assert (ended.returncode, ended.stderr) == (0, notice)


def test_an_exception_says_enough(script: Script) -> None:
    for code, message in [
        ("1 / 0", "ZeroDivisionError"),
        ("table.b", "no column"),
        ("pw.run(workers=0)", "workers: 0"),
    ]:
        ended = script(WRITE + code)
        assert message in ended.stderr and "nothing was written" not in ended.stderr


def test_who_is_only_helped_by_the_script_is_not_told(script: Script) -> None:
    assert "nothing was written" not in script(WRITE, MILLPOND_PROCESS_ID="1").stderr
    assert "nothing was written" not in script("import sys\nsys.ps1 = '> '\n" + WRITE).stderr
