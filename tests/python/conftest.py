"""What all tests of the Python package share."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import millpond as pw

# A shell that runs the tests in the background lets them, and all programs that they start, ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)

Script = Callable[..., "subprocess.CompletedProcess[str]"]


def environment() -> dict[str, str]:
    """That of a program which the shell of whoever runs the tests says nothing to; places of errors are noted."""
    said = {name for name in os.environ if name.startswith(("MILLPOND", "PYTHONW"))} - {"MILLPOND_ERROR_PLACES"}
    return {name: value for name, value in os.environ.items() if name not in said}


@pytest.fixture(autouse=True)
def _nothing_to_run() -> Iterator[None]:
    pw.clear()
    yield
    pw.clear()


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """Runs Python code as a script of its own in the test's directory."""

    def run(code: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        path = tmp_path / "script.py"
        path.write_text(code, encoding="utf-8")
        return subprocess.run(
            [sys.executable, path.name, *arguments],
            cwd=tmp_path,
            env={**environment(), **env},
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run
