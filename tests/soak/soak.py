"""Lets a service run for long over files that are written to all the time, and checks that it stays as it was.

    python tests/soak/soak.py [--seconds 1800] [--seed 1] [--samples FILE]

A writer appends rows to 900 files, in halves of lines at times, and adds 100 files: some moved in whole, some begun in
place. The keys are few, so the state has its full size after the warm-up, the first third of the time. From then on
memory, open files, and the files and runs of the saved state must not grow: the last third of the samples is compared
with the second. In the end the service is stopped by SIGTERM, and its results are compared with a computation from
nothing.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import astuple, dataclass, fields
from math import sqrt
from pathlib import Path
from statistics import mean, median

HERE = Path(__file__).parent
HEADER = "user_id,access_time,ms\n"
FILES_AT_FIRST, FILES_AT_LAST = 900, 1000
USERS, HOURS = 200, 20
ROWS_AT_FIRST = 20
TICK_SECONDS, FILES_A_TICK = 0.1, 10
SAMPLE_SECONDS = 2.0


@dataclass(frozen=True)
class Sample:
    """What the service holds at one time."""

    rss_kb: int
    open_files: int
    threads: int
    state_files: int
    runs: int
    run_bytes: int
    disk_bytes: int


SAWTOOTH = ("state_files", "runs", "run_bytes", "disk_bytes")


def level(name: str, samples: list[Sample]) -> float:
    """What stands for many samples: the typical memory, the most threads and files, the mean of what merging moves."""
    values: list[int] = [getattr(each, name) for each in samples]
    return median(values) if name == "rss_kb" else mean(values) if name in SAWTOOTH else max(values)


def allowed(name: str, before: float, samples: int) -> float:
    """The most that counts as the same as before.

    What is saved goes up and down with merges, those of the largest runs minutes apart, so a mean of more samples is
    closer to the truth: means of 30 samples differed by up to 25 %, those of 300 by 4 %. The files that are added make
    the table of files, a part of the state, longer by a tenth in the whole time.
    """
    if name == "rss_kb":
        return before * 1.03 + 1024
    return before * (1 + 0.5 * sqrt(30 / samples)) if name in SAWTOOTH else before + 2


def sample(pid: int, state: Path) -> Sample:
    process = Path(f"/proc/{pid}")
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    manifest = newest_manifest(state)
    runs = [run for step in manifest["steps"] for part in step["arrangements"] for run in part["runs"]]
    sizes = []
    for entry in os.scandir(state):
        try:
            sizes.append(entry.stat().st_size)
        except FileNotFoundError:  # removed in between
            sizes.append(0)
    return Sample(
        rss_kb=int(status["VmRSS"].split()[0]),
        open_files=len(os.listdir(process / "fd")),
        threads=int(status["Threads"]),
        state_files=len(sizes),
        runs=len(runs),
        run_bytes=sum(run["length"] for run in runs),
        disk_bytes=sum(sizes),
    )


def newest_manifest(state: Path) -> dict[str, list[dict[str, list[dict[str, list[dict[str, int]]]]]]]:
    while True:
        try:
            text = max(state.glob("manifest-*")).read_text()
        except FileNotFoundError:  # replaced by a newer one
            continue
        return json.loads(text.split("\n")[1])  # type: ignore[no-any-return]


class Writer:
    """Writes visits, the same for one seed; knows the sum of what it wrote."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.logs, self.staging = folder / "logs", folder / "staging"
        self.logs.mkdir()
        self.staging.mkdir()
        self.draw = random.Random(seed)
        self.files: list[Path] = []
        self.halves: dict[Path, str] = {}  # what is missing of a line that was begun
        self.rows = 0
        for _ in range(FILES_AT_FIRST):
            self.add_file(in_place=True)

    def row(self) -> str:
        # Visits come close together at the start of an hour, so that each user has one session in each.
        at = 3600 * self.draw.randrange(HOURS) + self.draw.randrange(40)
        self.rows += 1
        return f"user_{self.draw.randrange(USERS):03},{at},{self.draw.randrange(1000)}\n"

    def add_file(self, in_place: bool) -> None:
        name = f"{len(self.files):04}.csv"
        path = (self.logs if in_place else self.staging) / name
        path.write_text(HEADER + "".join(self.row() for _ in range(ROWS_AT_FIRST)))
        if not in_place:
            path.rename(self.logs / name)
        self.files.append(self.logs / name)

    def append(self) -> None:
        path = self.draw.choice(self.files)
        text = self.halves.pop(path, "") + "".join(self.row() for _ in range(self.draw.randrange(1, 4)))
        if self.draw.random() < 0.1:
            at = len(text) - self.draw.randrange(1, 6)
            text, self.halves[path] = text[:at], text[at:]
        with path.open("a") as file:
            file.write(text)

    def finish(self) -> None:
        for path, rest in self.halves.items():
            with path.open("a") as file:
                file.write(rest)
        self.halves.clear()

    def write_for(self, seconds: float, service: subprocess.Popen[str], state: Path) -> list[Sample]:
        """Writes at an even pace, and takes samples meanwhile."""
        start = time.monotonic()
        ticks = 0
        samples: list[Sample] = []
        to_add = FILES_AT_LAST - FILES_AT_FIRST
        while (passed := time.monotonic() - start) < seconds:
            for _ in range(FILES_A_TICK):
                self.append()
            if len(self.files) - FILES_AT_FIRST < int(to_add * passed / seconds):
                self.add_file(in_place=self.draw.random() < 0.5)
            if passed > SAMPLE_SECONDS * len(samples):
                assert service.poll() is None, f"the service ended with exit code {service.returncode}"
                if any(state.glob("manifest-*")):
                    samples.append(sample(service.pid, state))
            ticks += 1
            time.sleep(max(0.0, start + ticks * TICK_SECONDS - time.monotonic()))
        self.finish()
        return samples


Tables = tuple[Counter[tuple[str, ...]], Counter[tuple[str, ...]], Counter[tuple[str, ...]]]


def computed(logs: Path) -> Tables:
    """The three results, from nothing."""
    users: dict[str, list[tuple[int, int]]] = {}
    for path in sorted(logs.iterdir()):
        with path.open() as file:
            for row in csv.DictReader(file):
                users.setdefault(row["user_id"], []).append((int(row["access_time"]), int(row["ms"])))
    totals, hours, sessions = Counter(), Counter(), Counter()  # type: Tables
    for user, visits in users.items():
        visits.sort()
        totals[user, str(len(visits)), str(sum(ms for _, ms in visits)), str(visits[-1][0])] += 1
        for start, count in Counter(at // 3600 * 3600 for at, _ in visits).items():
            hours[user, str(start), str(count)] += 1
        first, last, count = visits[0][0], visits[0][0], 0
        for at, _ in [*visits, (sys.maxsize, 0)]:
            if at - last > 60:
                sessions[user, str(first), str(last), str(count)] += 1
                first, count = at, 0
            last, count = at, count + 1
    return totals, hours, sessions


def written(folder: Path) -> Tables:
    """The three results, as the service wrote them: the sum of the changes, and the snapshot."""
    totals, hours, sessions = Counter(), Counter(), Counter()  # type: Tables
    with (folder / "users.csv").open() as file:
        for row in csv.DictReader(file):
            totals[row["user_id"], row["visits"], row["ms"], row["last"]] += int(row["diff"])
    with (folder / "hours.jsonl").open() as file:
        for line in file:
            change = json.loads(line)
            hours[change["user_id"], str(change["start"]), str(change["visits"])] += change["diff"]
    with (folder / "sessions.csv").open() as file:
        for row in csv.DictReader(file):
            sessions[row["user_id"], row["start"], row["end"], row["visits"]] += 1
    for table in (totals, hours, sessions):
        for key in [key for key, count in table.items() if count == 0]:
            del table[key]
    return totals, hours, sessions


@dataclass(frozen=True)
class Report:
    """What a soak found: the samples of its three parts, and how the service worked."""

    warm_up: list[Sample]
    earlier: list[Sample]
    later: list[Sample]
    seconds: float
    rows: int
    cpu_share: float

    def grown(self) -> list[str]:
        """What is larger in the last part than it may be."""
        wrong = []
        for name in (each.name for each in fields(Sample)):
            before, after = level(name, self.earlier), level(name, self.later)
            most = allowed(name, before, len(self.earlier))
            if after > most:
                wrong.append(f"{name} grew from {before:,.0f} to {after:,.0f}, allowed are {most:,.0f}")
        return wrong

    def __str__(self) -> str:
        lines = [
            f"{self.rows:,} rows in {self.seconds:.0f} s, {100 * self.cpu_share:.1f} % of a core",
            f"{'':12} {'warm-up':>12} {'then':>12} {'at last':>12}",
        ]
        for each in fields(Sample):
            values = (level(each.name, part) for part in (self.warm_up, self.earlier, self.later))
            lines.append(f"{each.name:12} " + " ".join(f"{value:12,.0f}" for value in values))
        return "\n".join(lines)


def soak(folder: Path, seconds: float, seed: int) -> Report:
    """Runs the service for so long; raises if its results are wrong."""
    writer = Writer(folder, seed)
    command = [sys.executable, str(HERE / "service.py"), str(folder)]
    service = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        samples = writer.write_for(seconds, service, folder / "state")
        time.sleep(3)  # two looks at the files, and a checkpoint
        ticks = Path(f"/proc/{service.pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
        service.send_signal(signal.SIGTERM)
        said, _ = service.communicate(timeout=60)
    finally:
        service.kill()
    assert service.returncode == 128 + signal.SIGTERM, f"the service ended with exit code {service.returncode}"
    assert int(said) == writer.rows, f"{writer.rows} rows were written, and the function had heard of {int(said)}"
    for name, found, expected in zip(
        ("users", "hours", "sessions"), written(folder), computed(writer.logs), strict=True
    ):
        assert found == expected, f"{name}: {found - expected} and not {expected - found}, seed {seed}"
    third = len(samples) // 3
    assert third > 2, f"{len(samples)} samples are too few"
    return Report(
        samples[:third],
        samples[third : 2 * third],
        samples[2 * third :],
        seconds,
        writer.rows,
        sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK") / seconds,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1800)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--samples", type=Path, help="a CSV file for all samples")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = soak(Path(folder), args.seconds, args.seed)
    print(report)
    if args.samples:
        with args.samples.open("w", newline="") as file:
            lines = csv.writer(file)
            lines.writerow(each.name for each in fields(Sample))
            lines.writerows(astuple(each) for each in report.warm_up + report.earlier + report.later)
    if wrong := report.grown():
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
