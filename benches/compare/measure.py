"""One process, measured: wall seconds, CPU seconds, peak memory."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

DROP_CACHES = Path("/proc/sys/vm/drop_caches")


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


def run(command: list[str], *, env: Mapping[str, str] | None = None, cores: Iterable[int] | None = None) -> Sample:
    """Runs one process to its end. Earlier writes of others are on the disk before it starts."""
    os.sync()
    pin = None if cores is None else (lambda: os.sched_setaffinity(0, set(cores)))
    with tempfile.TemporaryFile() as said:
        start = time.perf_counter()
        process = subprocess.Popen(
            command,
            env={**os.environ, **(env or {})},
            stdout=subprocess.DEVNULL,
            stderr=said,
            preexec_fn=pin,
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            said.seek(0)
            text = said.read().decode(errors="replace")[-2_000:]
            raise Failed(f"exit code {process.returncode} of: {' '.join(command)}\n{text}")
    return Sample(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


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
