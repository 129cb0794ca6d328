"""Programs that watch their input: new rows show up, signals end them well, kills lose nothing."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from results import sum_up

import millpond as pw

PATIENCE_S = 60

PROGRAM = """\
import sys
import millpond as pw

class Visit(pw.Schema):
    user: str
    time: int

mode, output_mode = sys.argv[1:]
visits = pw.io.csv.read("logs", schema=Visit, mode=mode, autocommit_duration_ms=10, name="visits")
counts = visits.groupby(visits.user).reduce(visits.user, n=pw.reducers.count())
pw.io.csv.write(counts, "result.csv", mode=output_mode)
backend = pw.persistence.Backend.filesystem("state")
pw.run(persistence_config=pw.persistence.Config(backend, snapshot_interval_ms=20))
"""


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


class Service:
    """A program over a folder of logs, run again and again, and what it should have found."""

    def __init__(self, root: Path, output_mode: str) -> None:
        self.root, self.output_mode = root, output_mode
        self.expected: Counter[tuple[str, ...]] = Counter()
        self.users: Counter[str] = Counter()
        self.running: list[subprocess.Popen[str]] = []
        (root / "logs").mkdir()
        (root / "program.py").write_text(PROGRAM, encoding="utf-8")

    def start(self, mode: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "program.py", mode, self.output_mode],
            cwd=self.root,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.running.append(process)
        return process

    def add(self, file: str, *users: str) -> None:
        path = self.root / "logs" / file
        with path.open("a", encoding="utf-8") as log:
            if log.tell() == 0:
                log.write("user,time\n")
            log.writelines(f"{user},1\n" for user in users)
        self.users.update(users)

    def result(self) -> Counter[str]:
        path = self.root / "result.csv"
        table: Counter[tuple[str, ...]] = Counter()
        if path.exists() and path.read_bytes().endswith(b"\n"):
            if self.output_mode == "append":
                sum_up(table, path)
            else:
                table.update(tuple(line.split(",")) for line in path.read_text(encoding="utf-8").splitlines()[1:])
        assert all(count == 1 for count in table.values()), table
        return Counter({user.strip('"'): int(n) for user, n in table})

    def is_right(self) -> bool:
        try:
            return self.result() == self.users
        except (AssertionError, ValueError):
            return False  # a line of an epoch that is being written


@pytest.fixture(params=["append", "snapshot"])
def service(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Service]:
    service = Service(tmp_path, request.param)
    yield service
    for process in service.running:
        process.kill()
        process.wait()
        if process.stderr is not None:
            process.stderr.close()


def test_what_arrives_shows_up_until_the_program_is_stopped(service: Service) -> None:
    service.add("a.csv", "ann", "bob")
    for stop, code in [(signal.SIGINT, 130), (signal.SIGTERM, 143)]:
        process = service.start("streaming")
        until(service.is_right)
        service.add("a.csv", "ann")
        until(service.is_right)
        service.add(f"{code}.csv", "cid", "ann")
        until(service.is_right)
        process.send_signal(stop)
        _, errors = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == code
        assert re.fullmatch(r"millpond: files .*; stopped before the end\n", errors)
        service.add("a.csv", "dan")  # while nothing runs
    static = service.start("static")
    _, errors = static.communicate(timeout=PATIENCE_S)
    assert static.returncode == 0, errors
    assert "0 new, 1 changed, 2 unchanged; 1 row read" in errors
    assert service.is_right()


def test_kills_lose_nothing_and_repeat_nothing(service: Service) -> None:
    seed = int(os.environ.get("SEED", random.randrange(1 << 30)))
    print(f"SEED={seed}")
    draw = random.Random(seed)
    for _ in range(8):
        process = service.start("streaming")
        for _ in range(draw.randrange(12)):
            service.add(f"{draw.randrange(3)}.csv", *draw.choices("abcdefg", k=draw.randrange(1, 5)))
            time.sleep(draw.random() * 0.05)
        time.sleep(draw.random() * 0.3)
        process.kill()
        process.wait()
    static = service.start("static")
    _, errors = static.communicate(timeout=PATIENCE_S)
    assert static.returncode == 0, errors
    assert service.result() == service.users


def test_a_last_line_waits_for_its_end(service: Service) -> None:
    process = service.start("streaming")
    service.add("a.csv", "ann")
    until(service.is_right)
    with (service.root / "logs" / "a.csv").open("a", encoding="utf-8") as log:
        log.write("bo")
        log.flush()
        time.sleep(0.2)
        log.write("b,1\n")
    service.users.update(["bob"])
    until(service.is_right)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=PATIENCE_S) == 130


def test_an_error_ends_a_service_and_loses_nothing(service: Service) -> None:
    process = service.start("streaming")
    service.add("a.csv", "ann")
    until(service.is_right)
    path = service.root / "logs" / "a.csv"
    whole = path.read_bytes()
    with path.open("ab") as log:
        log.write(b"bob,1,2\n")
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 3, errors
    assert "a.csv:3: " in errors and "3 fields" in errors
    path.write_bytes(whole)
    service.add("a.csv", "bob")
    static = service.start("static")
    _, errors = static.communicate(timeout=PATIENCE_S)
    assert static.returncode == 0, errors
    assert service.is_right()


@pytest.mark.parametrize("bad", [-1, 1.5, "soon", True])
def test_durations_are_checked(bad: object, tmp_path: Path) -> None:
    class Visit(pw.Schema):
        user: str

    with pytest.raises(pw.InvalidError, match="autocommit_duration_ms"):
        pw.io.csv.read(tmp_path, schema=Visit, mode="streaming", autocommit_duration_ms=bad)  # type: ignore[arg-type]
    with pytest.raises(pw.InvalidError, match="snapshot_interval_ms"):
        pw.persistence.Config(pw.persistence.Backend.filesystem(tmp_path), snapshot_interval_ms=bad)  # type: ignore[arg-type]
