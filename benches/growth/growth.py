"""What a job costs that runs again and again: 1,000 runs of one row each on a history of a million.

    cargo build --release -p millpond --example bench_sessions
    python benches/growth/growth.py target/release/examples/bench_sessions

The job finds the sessions of each user in a directory of CSV files. Before each run one row is added, to the end of one
file or, with --new-files, in a file of its own. Printed are the bytes and files of its state beside those of one fresh
run over the same files, and what the first and the last hundred runs cost: bytes written to the state and files of it
opened, by `strace`, and of every tenth the instructions, by `valgrind`, less those of a run that finds nothing new
among the same files: what start and scan take. Then the scan of a directory: the processor time of a run that finds
nothing new among --files files, beside one with a single file.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

HEADER = "user_id,access_time\n"
TRACED = "trace=openat,open,pwrite64,write,writev,pwritev"


def visit(draw: random.Random, users: int) -> str:
    """A row."""
    return f"user {draw.randrange(users)},{draw.randrange(1 << 27)}\n"


class Job:
    """The program, its input and its state."""

    def __init__(self, program: Path, folder: Path) -> None:
        self.program, self.folder = program.resolve(), folder
        self.logs, self.state = folder / "logs", folder / "state"
        self.logs.mkdir(parents=True)

    def command(self, state: Path) -> list[str]:
        """What runs it."""
        flags = {"input": self.logs, "output": self.folder / f"{state.name}.csv", "state": state, "workers": 1}
        return [str(self.program), *(str(word) for name, value in flags.items() for word in (f"--{name}", value))]

    def run(self, state: Path | None = None) -> float:
        """Runs it; returns the seconds of processor time that it took."""
        running = subprocess.Popen(self.command(state or self.state), stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(running.pid, 0)
        running.returncode = os.waitstatus_to_exitcode(status)
        assert running.returncode == 0
        return usage.ru_utime + usage.ru_stime

    def instructions(self) -> int:
        """Runs it; returns how many instructions it took."""
        counted = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
        ended = subprocess.run([*counted, *self.command(self.state)], check=True, capture_output=True, text=True)
        number = re.search(r"I\s+refs:\s+([\d,]+)", ended.stderr)
        assert number is not None
        return int(number[1].replace(",", ""))

    def traced(self) -> tuple[int, int]:
        """Runs it; returns bytes written to the state, and how often a file of it was opened."""
        trace = self.folder / "trace"
        traced = ["strace", "-f", "-y", "-qq", "-s", "0", "-e", TRACED, "-o", str(trace), *self.command(self.state)]
        subprocess.run(traced, check=True, capture_output=True)
        written = opened = 0
        for line in trace.read_text(errors="replace").splitlines():
            if f"{self.state}/" not in line:
                continue
            result = line.rsplit("= ", 1)[-1].split("<")[0].split(" ")[0]
            if "open" in line.split("(")[0]:
                opened += int(result) >= 0
            elif result.isdigit():
                written += int(result)
        return written, opened

    def size(self, state: Path | None = None) -> tuple[int, int]:
        """Bytes and files of a state."""
        lengths = [path.stat().st_size for path in (state or self.state).iterdir()]
        return sum(lengths), len(lengths)

    def fresh(self) -> tuple[int, int]:
        """Bytes and files of the state of one run over all that is there."""
        state = self.folder / "fresh"
        shutil.rmtree(state, ignore_errors=True)
        self.run(state)
        return self.size(state)


def growth(program: Path, folder: Path, runs: int, rows: int, new_files: bool, pause: float) -> None:
    """Runs a job again and again, and prints what became of its state."""
    job, draw = Job(program, folder), random.Random(7)
    users = rows // 5
    with (job.logs / "history.csv").open("w") as history:
        history.write(HEADER)
        history.writelines(visit(draw, users) for _ in range(rows))
    time.sleep(0.2)
    job.run()
    part = min(100, runs // 3)
    traced: dict[bool, list[tuple[int, int]]] = {False: [], True: []}
    counted: dict[bool, list[int]] = {False: [], True: []}
    for number in range(runs):
        path = job.logs / (f"{number:06}.csv" if new_files else "today.csv")
        header = "" if path.exists() else HEADER
        with path.open("a") as today:
            today.write(header + visit(draw, users))
        time.sleep(pause)
        late = number >= runs - part
        if part <= number and not late:
            job.run()
        elif number % 10 == 5:
            whole = job.instructions()
            time.sleep(0.2)  # Files that were changed a moment ago are read again.
            job.run()
            counted[late].append(whole - job.instructions())
        else:
            traced[late].append(job.traced())
    (size, files), (fresh_size, fresh_files) = job.size(), job.fresh()
    kind = "a new file before each run" if new_files else "rows at the end of one file"
    print(f"{kind}, {runs} runs on {rows:,} rows, {pause} s apart")
    print(f"  state: {size / 1e6:.2f} MB in {files} files; afresh {fresh_size / 1e6:.2f} MB in {fresh_files} files")
    print(f"  ratio: bytes {size / fresh_size:.2f}, files {files / fresh_files:.2f}")
    numbers = {
        "bytes written": [[written for written, _ in traced[late]] for late in (False, True)],
        "files opened": [[opened for _, opened in traced[late]] for late in (False, True)],
        "instructions without the scan": [counted[late] for late in (False, True)],
    }
    for name, (some, others) in numbers.items():
        first, last = statistics.mean(some), statistics.mean(others)
        print(f"  {name}: {first:,.0f} a run in the first {part}, {last:,.0f} in the last; ratio {last / first:.2f}")


def scan(program: Path, folder: Path, files: int) -> None:
    """Prints what it takes to find that nothing is new among `files` files."""
    job, draw = Job(program, folder), random.Random(7)
    (job.logs / "0.csv").write_text(HEADER + visit(draw, 9))

    def quickest() -> float:
        job.run()
        return min(job.run() for _ in range(7))

    few = quickest()
    for number in range(files):
        (job.logs / f"{number:06}.csv").write_text(HEADER + visit(draw, 9))
    # Files that were changed a moment ago are read again.
    time.sleep(0.2)
    job.run()
    time.sleep(2)
    many = quickest()
    each = (many - few) * 1e6 / files
    print(f"scan of {files:,} files: {each:.2f} µs a file ({few * 1e3:.1f} ms, then {many * 1e3:.1f} ms)")


def main() -> None:
    """Measures what the flags say."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("program", type=Path)
    flags.add_argument("--runs", type=int, default=1_000)
    flags.add_argument("--rows", type=int, default=1_000_000)
    flags.add_argument("--new-files", action="store_true")
    flags.add_argument("--pause", type=float, default=0.0, help="seconds between a new row and the run that reads it")
    flags.add_argument("--files", type=int, default=50_000, help="files to scan; 0 leaves the scan out")
    options = flags.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.runs:
            folder_of = Path(folder) / "growth"
            growth(options.program, folder_of, options.runs, options.rows, options.new_files, options.pause)
        if options.files:
            scan(options.program, Path(folder) / "scan", options.files)


if __name__ == "__main__":
    main()
