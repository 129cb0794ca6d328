"""What all tests of the Python package share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import millpond as pw

Script = Callable[..., "subprocess.CompletedProcess[str]"]


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
        noted = {"MILLPOND_ERROR_PLACES"}
        clean = {
            name: value
            for name, value in os.environ.items()
            if name in noted or not name.startswith(("MILLPOND", "PYTHONW"))
        }
        return subprocess.run(
            [sys.executable, path.name, *arguments],
            cwd=tmp_path,
            env={**clean, **env},
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run
