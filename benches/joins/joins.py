"""Compares a join of visits with users, counted per country, with DuckDB and Polars, which compute it anew each time.

    cargo build --release -p millpond --example bench_join
    python benches/joins/joins.py target/release/examples/bench_join --peers-python benches/compare/.venv/bin/python

Visits are made by benches/compare/workload.py, which needs numpy. All results are compared before anything is timed.
Then all take turns; printed are medians, and the medians of the ratios to the faster peer of the same turn. Millpond
saves its state, and is started again with 1,000 new visits.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
COMPARE = HERE.parent / "compare"
COUNTRIES = 200


class Sample(NamedTuple):
    wall_s: float
    cpu_s: float
    peak_mb: float


def launch(command: list[str]) -> Sample:
    """What a process takes."""
    launched = [sys.executable, str(COMPARE / "launch.py"), "", os.devnull, *command]
    said = json.loads(subprocess.run(launched, check=True, capture_output=True, text=True).stdout)
    assert said["code"] == 0, command
    return Sample(said["wall_s"], said["cpu_s"], said["peak_mb"])


def counts(path: Path) -> Counter[str]:
    """The sum of the changes in a result file, or its rows."""
    header, *lines = path.read_text().splitlines()
    total: Counter[str] = Counter()
    for line in lines:
        cells = line.split(",")
        diff = int(cells[-1]) if header.endswith("time,diff") else 1
        total[",".join(cells[:2])] += diff
    return Counter({row: count for row, count in total.items() if count})


class Bench:
    def __init__(self, program: Path, peers: str, scratch: Path, rows: int, users: int) -> None:
        self.program, self.peers, self.scratch = program.resolve(), peers, scratch
        self.data, self.users, self.state = scratch / "data", scratch / "users", scratch / "state"
        size = ["--rows", str(rows), "--users", str(users), "--files", "8"]
        subprocess.run([peers, str(COMPARE / "workload.py"), str(self.data), *size], check=True)
        self.users.mkdir()
        chance = random.Random(3)
        lines = [f"user_{user:06},country_{chance.randrange(COUNTRIES):03}\n" for user in range(users)]
        (self.users / "users.csv").write_text("user_id,country\n" + "".join(lines))

    def output(self, name: str) -> Path:
        return self.scratch / f"{name}.csv"

    def run(self) -> Sample:
        places = ["--visits", self.data / "input", "--users", self.users, "--output", self.output("millpond")]
        words = [self.program, *places, "--state", self.state]
        return launch([str(word) for word in words])

    def first(self) -> Sample:
        shutil.rmtree(self.state, ignore_errors=True)
        self.output("millpond").unlink(missing_ok=True)
        return self.run()

    def peer(self, name: str) -> Sample:
        script, visits = str(HERE / f"{name}_join.py"), str(self.data / "input")
        return launch([self.peers, script, visits, str(self.users), str(self.output(name))])

    def restart(self) -> Sample:
        """A run with 1,000 new visits on the state of the first one, which is kept as it is."""
        added, saved = self.data / "input" / "visits_new.csv", self.scratch / "saved"
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


def show(what: str, samples: list[Sample]) -> None:
    wall, cpu, peak = (statistics.median(sample[i] for sample in samples) for i in range(3))
    print(f"    {what:24} {wall * 1e3:9.1f} ms wall  {cpu * 1e3:9.1f} ms CPU  {peak:7.1f} MB", flush=True)


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("program", type=Path)
    flags.add_argument("--peers-python", default=sys.executable, help="a Python that has duckdb, polars and numpy")
    flags.add_argument("--rows", type=int, default=10_000_000)
    flags.add_argument("--users", type=int, default=200_000)
    flags.add_argument("--rounds", type=int, default=5)
    options = flags.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(options.program, options.peers_python, Path(scratch), options.rows, options.users)
        bench.first()
        expected = counts(bench.output("millpond"))
        for name in ("duckdb", "polars"):
            bench.peer(name)
            assert counts(bench.output(name)) == expected, f"{name} and Millpond differ"
        bench.restart()
        changed = [line.split(",") for line in bench.output("millpond").read_text().splitlines()[1:]]
        more = sum(int(cells[1]) * int(cells[-1]) for cells in changed)
        assert more == 1_000, f"1,000 new visits changed counts by {more}"
        print(
            f"{options.rows:,} visits, {options.users:,} users: {len(expected)} counts, the same from all", flush=True
        )
        samples: dict[str, list[Sample]] = {"millpond": [], "duckdb": [], "polars": []}
        for number in range(options.rounds):
            turn = list(samples) if number % 2 == 0 else list(samples)[::-1]
            for name in turn:
                samples[name].append(bench.first() if name == "millpond" else bench.peer(name))
        print(f"first run, state saved; {options.rounds} rounds in turn")
        for name, taken in samples.items():
            show(name, taken)
        turns = list(zip(*samples.values(), strict=True))
        for i, what in enumerate(Sample._fields):
            ratio = statistics.median(own[i] / min(duckdb[i], polars[i]) for own, duckdb, polars in turns)
            print(f"    {what:24} x {ratio:.3f} of the better peer")
        restarts = [bench.restart() for _ in range(3 * options.rounds)]
        print(f"restart with 1,000 new visits, {len(restarts)} times")
        show("millpond", restarts)


if __name__ == "__main__":
    main()
