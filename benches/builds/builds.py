"""Compares two builds of Millpond on the model task: the first run, and a restart with new visits.

    cargo build --release -p millpond --example bench_sessions     # in the checkout of each
    python benches/builds/builds.py OLD/bench_sessions NEW/bench_sessions

Visits are made by benches/compare/workload.py, which needs numpy. Both builds' results are compared before anything is
timed. Then they take turns; printed are medians, and the median of the ratios of neighbours.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

COMPARE = Path(__file__).resolve().parent.parent / "compare"


class Sample(NamedTuple):
    wall_ms: float
    cpu_ms: float
    peak_mb: float


class Build:
    """A build, and the state of its first run."""

    def __init__(self, program: Path, folder: Path, data: Path, flags: list[str]) -> None:
        self.program, self.folder, self.data, self.flags = program.resolve(), folder, data, flags
        self.state, self.output = folder / "state", folder / "out.csv"
        folder.mkdir()

    def run(self) -> Sample:
        words = [self.program, "--input", self.data / "input", "--output", self.output, "--state", self.state]
        command = [*(str(word) for word in words), *self.flags]
        launched = [sys.executable, str(COMPARE / "launch.py"), "", os.devnull, *command]
        said = json.loads(subprocess.run(launched, check=True, capture_output=True, text=True).stdout)
        assert said["code"] == 0, command
        return Sample(said["wall_s"] * 1e3, said["cpu_s"] * 1e3, said["peak_mb"])

    def first(self) -> Sample:
        """A run from nothing."""
        shutil.rmtree(self.state, ignore_errors=True)
        self.output.unlink(missing_ok=True)
        return self.run()

    def restart(self) -> Sample:
        """A run with 1,000 new visits on the state of the first one."""
        added, saved = self.data / "input" / "visits_new.csv", self.folder / "saved"
        shutil.rmtree(saved, ignore_errors=True)
        self.state.rename(saved)
        shutil.copytree(saved, self.state)
        shutil.copyfile(self.data / "new.csv", added)
        os.sync()
        try:
            return self.run()
        finally:
            added.unlink()
            shutil.rmtree(self.state)
            saved.rename(self.state)

    def results(self) -> list[str]:
        """The lines of the result without their times."""
        lines = self.output.read_text().splitlines()
        at = lines[0].split(",").index("time")
        return sorted(",".join(cell for i, cell in enumerate(line.split(",")) if i != at) for line in lines)


def show(what: str, samples: list[tuple[Sample, Sample]]) -> None:
    print(what)
    for i, name in enumerate(Sample._fields):
        old, new = (statistics.median(pair[which][i] for pair in samples) for which in (0, 1))
        ratio = statistics.median(after[i] / before[i] for before, after in samples)
        print(f"    {name:8} {old:9.1f} -> {new:9.1f}   x {ratio:.3f}", flush=True)


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("old", type=Path)
    flags.add_argument("new", type=Path)
    flags.add_argument("--rows", type=int, default=10_000_000)
    flags.add_argument("--rounds", type=int, default=7)
    flags.add_argument("--flag", action="append", default=[], help="one more for both, such as --flag=--append-only")
    options = flags.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch) / "data"
        size = ["--rows", str(options.rows), "--users", str(options.rows // 50), "--files", "8"]
        subprocess.run([sys.executable, str(COMPARE / "workload.py"), str(data), *size], check=True)
        pair = [
            Build(program, Path(scratch) / name, data, options.flag)
            for name, program in (("old", options.old), ("new", options.new))
        ]
        for name in ("first", "restart"):
            kept = [getattr(build, name)() and build.results() for build in pair]
            assert kept[0] == kept[1], f"{name}: the results differ"
            print(f"{name}: {len(kept[0]) - 1:,} rows from both", flush=True)
        samples: dict[str, list[tuple[Sample, Sample]]] = {}
        for name in ("first", "restart"):
            samples[name] = []
            for number in range(options.rounds if name == "first" else 3 * options.rounds):
                turn = pair if number % 2 == 0 else pair[::-1]
                found = [getattr(build, name)() for build in turn]
                samples[name].append((found[number % 2], found[1 - number % 2]))
        for name, taken in samples.items():
            show(f"{name} run, {options.rows:,} rows, {len(taken)} rounds in turn", taken)


if __name__ == "__main__":
    main()
