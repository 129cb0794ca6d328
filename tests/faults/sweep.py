"""Kills a program at each of its changes to the disk, or lets them fail, runs it again, and adds up what it emitted.

The job is the tutorial's: sessions of visits, with new files and grown files between runs. A *play* is one pass
through the acts of the job; in a chosen act it meets faults before it may finish. After every act
the emitted changes, added up over all runs, must equal the sessions that `sessions_of` computes from the files.

What a reader may rely on, by the mode of the result file:

* changes: once a run has finished, the file holds the changes of that run, those of its killed attempts included. A
  killed process has not finished its run: the mark that says so is the last change that a run makes to any disk.
* append: once a run has finished, the file holds the changes of all runs.
* snapshot: at any time the file holds one whole table, the one before the run or the one after it.
"""

from __future__ import annotations

import csv
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from oracle import Row, Table, sessions_of

HERE = Path(__file__).parent
HANG_SECONDS = 60
UNAVAILABLE = 7  # the exit code

# What arrives before each run: rows are appended to the file of that name, which is created where it is not there.
ACTS: list[dict[str, list[Row]]] = [
    {
        "one.csv": [("ada", 1000), ("ben", 1013), ("ada", 1305), ("ben", 1044), ("ben", 1075), ("ada", 1307)],
        "two.csv": [("ada", 1310), ("ada", 1601), ("ada", 1888)],
    },
    {"three.csv": [("ben", 2910), ("ben", 3201), ("ben", 3488)]},
    {
        "four.csv": [("ada", 1608), ("ada", 1899), ("ada", 2186), ("dee", 0), ("dee", 400), ("dee", 800)],
        "three.csv": [("ben", 3789), ("dee", 1200)],
    },
    {"five.csv": [("ada", 2487), ("eve", 1)]},
    {"five.csv": [("eve", 301)], "one.csv": [("ben", 1100)]},
    {"six.csv": [("ben", 1500), ("eve", 900)]},
]
# The acts that meet faults: each has one after it, which works with what they left. The last one removes old run files.
SWEPT = range(len(ACTS) - 1)

# Arrives after a kill in act 2. It joins sessions, so the rerun writes less than the killed attempt did.
LATE: dict[str, list[Row]] = {"late.csv": [("dee", 200), ("dee", 600), ("dee", 1000)]}


class Broken(Exception):
    """The program broke its promise; the message says in which play, and how."""


@dataclass(frozen=True)
class Program:
    """A command line that takes the flags of `crates/millpond/examples/bench_sessions.rs`."""

    command: tuple[str, ...]
    mode: str = "changes"
    workers: int = 1
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fault:
    """What goes wrong at the n-th change to the disk that has this label, or at the n-th of all.

    A label is better: the seed of a new state's hashes decides how often a run file is written, and with the number all
    points after it would move. `kind` is "kill" (before it), "torn" (after half of a write), "skip" (done only in
    appearance) or an errno.
    """

    at: int
    label: str | None = None
    kind: str | int = "kill"
    forever: bool = False

    def __str__(self) -> str:
        return f"{self.kind}{' from' if self.forever else ' at'} {self.at}{f' of {self.label}' if self.label else ''}"

    def met(self, trace: list[str]) -> bool:
        """Whether a process with this trace came to the point."""
        return self.at <= (trace.count(self.label) if self.label else len(trace))


@dataclass(frozen=True)
class Attempt:
    """One process: how it ended, and the labels of its changes to the disk in order."""

    code: int
    trace: list[str]
    output: str


@dataclass
class Play:
    """The acts up to the one after `act`, which meets `faults`: one in each attempt, and none in the last."""

    program: Program
    act: int = 0
    faults: Sequence[Fault] = ()
    late: bool = False
    fault_of_last_attempt: Fault | None = None
    attempts: list[Attempt] = field(default_factory=list)  # of act number `act`
    met: bool = True  # whether every fault was met

    def __str__(self) -> str:
        return (
            f"mode {self.program.mode}, {self.program.workers} workers, flags {' '.join(self.program.flags)}, "
            f"act {self.act}, {', '.join(map(str, self.faults)) or 'no fault'}{', a late file' if self.late else ''}"
        )

    def run(self) -> Play:
        """Plays; raises `Broken` where the promise does not hold."""
        root = Path(tempfile.mkdtemp(prefix="millpond-faults-"))
        try:
            for name in ("logs", "out"):
                (root / name).mkdir()
            self._acts(root)
        except Broken as error:
            raise Broken(f"{self}: {error}\nlast trace:\n{_numbered(self.attempts[-1:])}") from None
        finally:
            shutil.rmtree(root)
        return self

    def _acts(self, root: Path) -> None:
        result = root / "out" / "sessions.csv"
        rows: list[Row] = []
        emitted: Table = Counter()  # over all finished runs
        last_time = -1
        for number, arrivals in enumerate(ACTS[: self.act + 2]):
            before = sessions_of(rows)
            rows += _arrive(root, arrivals)
            faults = self.faults if number == self.act else ()
            for i, fault in enumerate(faults):
                attempt = _attempt(self.program, root, fault)
                self.attempts.append(attempt)
                if self._ended(attempt, fault):
                    last_time = self._take(result, emitted, last_time)
                    _same(emitted, sessions_of(rows))
                elif self.program.mode == "snapshot":
                    _same(_net(result), before, sessions_of(rows))
                if self.late and i == 0:
                    rows += _arrive(root, LATE)
            attempt = _attempt(self.program, root, self.fault_of_last_attempt if faults else None)
            if number == self.act:
                self.attempts.append(attempt)
            if attempt.code != 0:
                raise Broken(f"the rerun ended with {attempt.code}: {attempt.output}")
            last_time = self._take(result, emitted, last_time)
            _same(emitted, sessions_of(rows))

    def _ended(self, attempt: Attempt, fault: Fault) -> bool:
        """Checks how an attempt with a fault ended; returns whether it finished the run all the same."""
        if not fault.met(attempt.trace):
            self.met = False
            expected = {0}
        elif not isinstance(fault.kind, int):
            expected = {-signal.SIGKILL}
        elif (fault.label or "").startswith("unlink"):
            expected = {0, UNAVAILABLE}  # what could not be removed now is removed later
        else:
            expected = {UNAVAILABLE}
        if attempt.code not in expected or "panicked" in attempt.output:
            raise Broken(f"{fault}: ended with {attempt.code}: {attempt.output}")
        return attempt.code == 0

    def _take(self, result: Path, emitted: Table, last_time: int) -> int:
        """Adds the result file of a finished run to `emitted`; returns the greatest time seen."""
        changes = _net(result)
        if self.program.mode != "changes":
            emitted.clear()
        for row, diff in changes.items():
            emitted[row] += diff
        times = [int(row["time"]) for row in _read(result) if "time" in row]
        if times != sorted(times) or any(time % 2 for time in times):
            raise Broken(f"times {times} are not even or not in order")
        if self.program.mode == "changes" and any(time <= last_time for time in times):
            raise Broken(f"times {times} are not greater than {last_time}, the last one of the run before")
        return max(times, default=last_time)


def points(program: Program, act: int, faults: Sequence[Fault] = ()) -> list[str]:
    """The changes to the disk of the last attempt of `act`, after those with a fault."""
    return Play(program, act, faults).run().attempts[-1].trace


def faults_at(labels: Sequence[str], kind: str | int = "kill") -> Iterator[Fault]:
    """A fault at every point of a trace.

    Torn is every write but the last one, which is the finished mark: half of it may count or not.
    """
    seen: Counter[str] = Counter()
    for n, label in enumerate(labels, 1):
        seen[label] += 1
        if kind != "torn" or ("write " in label and n < len(labels)):
            yield Fault(seen[label], label, kind)


def single_faults(program: Program, act: int, *, kind: str | int = "kill", late: bool = False) -> Iterator[Play]:
    """A play for every point of an act."""
    for fault in faults_at(points(program, act), kind):
        yield Play(program, act, [fault], late=late)


def double_kills(program: Program, act: int, first: Fault) -> Iterator[Play]:
    """A play for every point of the rerun after a kill."""
    for second in faults_at(points(program, act, [first])):
        yield Play(program, act, [first, second])


def build_shim(folder: Path) -> Path:
    """Compiles the shim, and returns where it is."""
    shim = folder / "faultshim.so"
    flags = ["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    subprocess.run(
        [os.environ.get("CC", "cc"), *flags, "-o", shim, HERE / "faultshim.c", "-ldl", "-pthread"], check=True
    )
    os.environ["MILLPOND_FAULTSHIM"] = str(shim)
    return shim


def _attempt(program: Program, root: Path, fault: Fault | None) -> Attempt:
    log = root / "trace"
    log.write_text("")
    env = dict(os.environ, LD_PRELOAD=os.environ["MILLPOND_FAULTSHIM"], FAULT_LOG=str(log))
    env["FAULT_DIRS"] = f"{root}/state:{root}/out"
    if fault:
        env |= {"FAULT_AT": str(fault.at), "FAULT_KIND": str(fault.kind)}
        env |= {"FAULT_LABEL": fault.label} if fault.label else {}
        env |= {"FAULT_FROM": "1"} if fault.forever else {}
    command = [*program.command, "--input", f"{root}/logs", "--output", f"{root}/out/sessions.csv"]
    command += ["--state", f"{root}/state", "--mode", program.mode, "--workers", str(program.workers), *program.flags]
    try:
        ended = subprocess.run(command, env=env, capture_output=True, text=True, timeout=HANG_SECONDS)
    except subprocess.TimeoutExpired:
        raise Broken(f"the program hung for {HANG_SECONDS} s") from None
    trace = [line.partition("\t")[2] for line in log.read_text().splitlines()]
    return Attempt(ended.returncode, trace, ended.stdout + ended.stderr)


def _arrive(root: Path, arrivals: dict[str, list[Row]]) -> list[Row]:
    for name, rows in arrivals.items():
        path = root / "logs" / name
        header = "" if path.exists() else "user_id,access_time\n"
        with path.open("a") as file:
            file.write(header + "".join(f"{user},{time}\n" for user, time in rows))
    return [row for rows in arrivals.values() for row in rows]


def _read(result: Path) -> list[dict[str, str]]:
    if not result.exists():
        return []
    with result.open(newline="") as file:
        return list(csv.DictReader(file))


def _net(result: Path) -> Table:
    """The rows of a result file with their diffs added up; a table's row counts once."""
    table: Table = Counter()
    for row in _read(result):
        try:
            session = (
                row["user_id"],
                int(row["session_length"]),
                int(row["session_start"]),
                int(row["session_finish"]),
                int(row["count"]),
            )
            table[session] += int(row.get("diff", "1"))
        except (KeyError, TypeError, ValueError):
            raise Broken(f"{result.name} holds the row {row}") from None
    return table


def _same(found: Table, *allowed: Table) -> None:
    live = {row: diff for row, diff in found.items() if diff}
    if live not in [{row: diff for row, diff in table.items() if diff} for table in allowed]:
        raise Broken(
            f"added up, the changes are\n  {sorted(live.items())}\nand should be\n  {sorted(allowed[-1].items())}"
        )


def _numbered(attempts: Sequence[Attempt]) -> str:
    return "\n".join(f"  {n} {label}" for attempt in attempts for n, label in enumerate(attempt.trace, 1))


if __name__ == "__main__":
    # sweep.py COMMAND...: prints the points of each act, for a look at what a program does.
    with tempfile.TemporaryDirectory() as folder:
        build_shim(Path(folder))
        for act in range(len(ACTS)):
            print(f"act {act}")
            print(*points(Program(tuple(sys.argv[1:])), act), sep="\n")
