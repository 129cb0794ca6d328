"""A service over 1,000 files that are written to all the time stays as it was, and its results are right.

Three minutes by default; MILLPOND_SOAK_SECONDS says otherwise, MILLPOND_SOAK_SEED chooses another writer.
"""

from __future__ import annotations

import os
from pathlib import Path

from soak import soak

SECONDS = float(os.environ.get("MILLPOND_SOAK_SECONDS", "180"))
SEED = int(os.environ.get("MILLPOND_SOAK_SEED", "1"))


def test_memory_files_and_runs_stay_flat(tmp_path: Path) -> None:
    report = soak(tmp_path, SECONDS, SEED)
    print(report)
    assert not report.grown(), f"{report.grown()}\n{report}"
