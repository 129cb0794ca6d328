"""One process, measured: wall seconds, CPU seconds, peak memory."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

DROP_CACHES = Path("/proc/sys/vm/drop_caches")
LAUNCHER = Path(__file__).resolve().parent / "launch.py"


@dataclass(frozen=True)
class Sample:
    wall_s: float
    cpu_s: float
    peak_mb: float


@dataclass
class Samples:
    all: list[Sample] = field(default_factory=list)

    @property
    def wall_s(self) -> float:
        return median(sample.wall_s for sample in self.all)

    @property
    def cpu_s(self) -> float:
        return median(sample.cpu_s for sample in self.all)

    @property
    def peak_mb(self) -> float:
        return median(sample.peak_mb for sample in self.all)

    def as_json(self) -> dict[str, object]:
        return {
            "wall_s": self.wall_s,
            "cpu_s": self.cpu_s,
            "peak_mb": self.peak_mb,
            "rounds_wall_s": [sample.wall_s for sample in self.all],
            "rounds_cpu_s": [sample.cpu_s for sample in self.all],
        }


class Failed(Exception):
    """A program of the comparison did not end well."""


def run(command: list[str], *, env: Mapping[str, str] | None = None, cores: Iterable[int] = ()) -> Sample:
    """Runs one process to its end. Earlier writes of others are on the disk before it starts."""
    os.sync()
    with tempfile.NamedTemporaryFile("r", errors="replace") as said:
        # Without site packages, the launcher is small.
        launcher = [sys.executable, "-I", "-S", str(LAUNCHER), ",".join(map(str, cores)), said.name, *command]
        result = subprocess.run(
            launcher, env={**os.environ, **(env or {})}, capture_output=True, text=True, check=False
        )
        if result.returncode != 0:
            raise Failed(f"cannot start {command[0]}: {result.stderr}")
        found = json.loads(result.stdout)
        if found["code"] != 0:
            raise Failed(f"exit code {found['code']} of: {' '.join(command)}\n{said.read()[-2_000:]}")
    return Sample(found["wall_s"], found["cpu_s"], found["peak_mb"])


def syncs(command: list[str]) -> int | None:
    """The number of `fsync` and `fdatasync` calls of a process and its threads; None without `strace`."""
    if shutil.which("strace") is None:
        return None
    with tempfile.NamedTemporaryFile("r") as trace:
        calls = "trace=fsync,fdatasync,sync_file_range,msync"
        run(["strace", "-f", "-qq", "-o", trace.name, "-e", calls, *command])
        return sum("sync" in line and "resumed>" not in line for line in trace)


def can_drop_caches() -> bool:
    return os.access(DROP_CACHES, os.W_OK)


def drop_caches() -> None:
    os.sync()
    DROP_CACHES.write_text("3")


def bytes_under(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
