"""A first run over much input in little memory, beside one over a tenth of it without a limit.

    cargo build --release -p millpond --example bench_sessions
    python benches/memory/memory.py target/release/examples/bench_sessions

Visits are made by benches/compare/workload.py, which needs numpy: 100 million of 2 million users (2.3 GB), and a tenth
of both. The result in little memory is compared with that of a run without a limit before anything is timed. Printed
are medians, the memory that is the process's own (RssAnon, looked at every 5 ms), and the cost of a row beside that of
the smaller run in the same round. With --sliding, windows of ten minutes each minute are counted in place of sessions:
each visit is in ten of them.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

WORKLOAD = Path(__file__).resolve().parent.parent / "compare" / "workload.py"
WITHOUT = "1TiB"


class Sample(NamedTuple):
    wall_s: float
    cpu_s: float
    anonymous_mb: float


class Job:
    """First runs over some visits."""

    def __init__(self, program: Path, folder: Path, rows: int, limit: str, flags: list[str]) -> None:
        self.program, self.folder, self.rows, self.limit = program.resolve(), folder, rows, limit
        self.flags = flags
        self.state, self.output = folder / "state", folder / "out.csv"

    def run(self) -> Sample:
        shutil.rmtree(self.state, ignore_errors=True)
        self.output.unlink(missing_ok=True)
        os.sync()
        words = ["--input", self.folder / "input", "--output", self.output, "--state", self.state, *self.flags]
        environment = {**os.environ, "MILLPOND_MEMORY": self.limit}
        began, most = time.monotonic(), 0
        process = subprocess.Popen(
            [self.program, *words], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        status = Path(f"/proc/{process.pid}/status")
        while True:
            found, code, usage = os.wait4(process.pid, os.WNOHANG)
            if found:
                break
            for line in status.read_text().splitlines():
                if line.startswith("RssAnon:"):
                    most = max(most, int(line.split()[1]) * 1024)
            time.sleep(0.005)
        assert code == 0, f"{self.program} ended with {code}"
        return Sample(time.monotonic() - began, usage.ru_utime + usage.ru_stime, most / 1e6)

    def result(self) -> tuple[int, int]:
        """The number of lines, and the sum of the hashes of them without their time."""
        lines = total = 0
        with self.output.open("rb") as file:
            names = file.readline().split(b",")
            at = names.index(b"time")
            for line in file:
                cells = line.split(b",")
                del cells[at]
                total += int.from_bytes(hashlib.blake2b(b",".join(cells), digest_size=8).digest(), "little")
                lines += 1
        return lines, total % 2**64


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("program", type=Path)
    flags.add_argument("--rows", type=int, default=100_000_000)
    flags.add_argument("--limit", default="1GB")
    flags.add_argument("--rounds", type=int, default=5)
    flags.add_argument("--sliding", action="store_true")
    flags.add_argument("--folder", type=Path, help="where the files are, some 15 GB of them")
    options = flags.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        jobs = {
            "large": (options.rows, options.limit),
            "large, no limit": (options.rows, WITHOUT),
            "small, no limit": (options.rows // 10, WITHOUT),
        }
        made: dict[str, Job] = {}
        for name, (rows, limit) in jobs.items():
            folder = Path(scratch) / str(rows)
            if not folder.exists():
                size = ["--rows", str(rows), "--users", str(rows // 50), "--files", "8"]
                subprocess.run([sys.executable, str(WORKLOAD), str(folder), *size], check=True)
            made[name] = Job(options.program, folder, rows, limit, ["--sliding"] if options.sliding else [])
        results = {name: made[name].run() and made[name].result() for name in ("large", "large, no limit")}
        assert len(set(results.values())) == 1, f"the results differ: {results}"
        print(f"{results['large'][0]:,} rows of results, equal with and without a limit", flush=True)
        samples: dict[str, list[Sample]] = {name: [] for name in made}
        for number in range(options.rounds):
            for name in list(made) if number % 2 == 0 else reversed(made):
                samples[name].append(made[name].run())
        for name, found in samples.items():
            wall, cpu, anonymous = (statistics.median(values) for values in zip(*found, strict=True))
            small = samples["small, no limit"]
            scale = made["small, no limit"].rows / made[name].rows
            pairs = list(zip(found, small, strict=True))
            wall_ratio = statistics.median(own.wall_s / other.wall_s * scale for own, other in pairs)
            cpu_ratio = statistics.median(own.cpu_s / other.cpu_s * scale for own, other in pairs)
            print(
                f"{name:16} {made[name].rows:11,} rows, {wall:6.2f} s, {cpu:6.2f} CPU s, RssAnon {anonymous:5.0f} MB;"
                f" per row x {wall_ratio:.2f}, CPU x {cpu_ratio:.2f}"
            )


if __name__ == "__main__":
    main()
