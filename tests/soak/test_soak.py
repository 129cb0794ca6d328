"""A service over 1,000 files that are written to all the time stays as it was, and its results are right.

Three minutes by default; MILLPOND_SOAK_SECONDS says otherwise, MILLPOND_SOAK_SEED chooses another writer.
"""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from pathlib import Path

from soak import Report, Sample, soak

SECONDS = float(os.environ.get("MILLPOND_SOAK_SECONDS", "180"))
SEED = int(os.environ.get("MILLPOND_SOAK_SEED", "1"))


def test_memory_files_and_runs_stay_flat(tmp_path: Path) -> None:
    report = soak(tmp_path, SECONDS, SEED)
    print(report)
    assert not report.grown(), f"{report.grown()}\n{report}"


def test_growth_is_noticed() -> None:
    flat = Sample(
        rss_kb=26_000, open_files=9, threads=5, state_files=22, runs=60, run_bytes=1_500_000, disk_bytes=4_000_000
    )
    assert Report([flat], [flat] * 30, [flat] * 30, 180, 0, 0).grown() == []
    for name, value in asdict(flat).items():
        grown = replace(flat, **{name: value * 2})
        (told,) = Report([flat], [flat] * 30, [grown] * 30, 180, 0, 0).grown()
        assert told.startswith(f"{name} grew from {value:,}"), told
