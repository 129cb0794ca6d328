"""The package as a whole: what its import costs, what it shows, what its examples print."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from conftest import Script

import millpond as pw

EXAMPLES = Path(__file__).parents[2] / "examples"

HEAVY = [
    "asyncio",
    "dataclasses",
    "enum",
    "inspect",
    "json",
    "logging",
    "pathlib",
    "re",
    "subprocess",
    "tempfile",
    "typing",
]


def test_import_brings_no_heavy_module() -> None:
    code = "import sys; import millpond; print(*sorted(set(sys.argv[1:]) & set(sys.modules)))"
    ended = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}; {code}", *HEAVY],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout == "\n"


def test_public_names_are_there_and_documented() -> None:
    for name in pw.__all__:
        assert name == "__version__" or getattr(pw, name).__doc__, name


def test_sessions_example(tmp_path: Path, script: Script) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "a.csv").write_text("user_id,access_time\nann,5\nann,305\nbob,7\n", encoding="utf-8")
    ended = script((EXAMPLES / "sessions.py").read_text(encoding="utf-8"), "logs", "result.csv", "state")
    assert ended.returncode == 0, ended.stderr
    assert "2 changes written" in ended.stderr
    assert script((EXAMPLES / "sessions.py").read_text(encoding="utf-8")).returncode == 1


def test_demo_plays_four_acts() -> None:
    ended = subprocess.run(
        [sys.executable, str(EXAMPLES / "demo.py")], capture_output=True, text=True, timeout=60, check=True
    )
    acts = ended.stdout.split("\n== ")
    assert len(acts) == 5
    assert [act.count(",1\n") - act.count(",-1\n") for act in acts[1:]] == [4, 4, 1, 0]
    assert "What to try next" in acts[-1]
