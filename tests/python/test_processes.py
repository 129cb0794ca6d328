"""``millpond spawn``: one program in several processes, which end together."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

PATIENCE_S = 60
KILLS = 40 if os.environ.get("MILLPOND_TORTURE") else 3

PROGRAM = """
import sys
import millpond as pw

class Visit(pw.Schema):
    user: str
    time: int

mode = sys.argv[1]
logs = pw.io.csv.read("logs", schema=Visit, mode=mode, autocommit_duration_ms=20, name="logs")
counts = logs.groupby(pw.this.user).reduce(pw.this.user, visits=pw.reducers.count(), last=pw.reducers.max(pw.this.time))
pw.io.csv.write(counts, "counts.csv", mode="append")
backend = pw.persistence.Backend.filesystem("state")
pw.run(persistence_config=pw.persistence.Config(backend, snapshot_interval_ms=30))
"""


def spawn(root: Path, *words: str, mode: str = "static", program: str = PROGRAM, **env: str) -> subprocess.Popen[str]:
    (root / "program.py").write_text(program)
    (root / "logs").mkdir(exist_ok=True)
    command = [sys.executable, "-m", "millpond_cli", "spawn", *words, "program.py", mode]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=root, env=dict(os.environ, **env), stdout=pipe, stderr=pipe, text=True)


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    output, errors = process.communicate(timeout=PATIENCE_S)
    assert output == ""
    return process.returncode, errors


def append(root: Path, number: int, rows: int) -> None:
    draw = random.Random(number)
    path = root / "logs" / f"{number % 3}.csv"
    header = "" if path.exists() else "user,time\n"
    with path.open("a") as log:
        log.write(header + "".join(f"user-{draw.randrange(500)},{draw.randrange(10**6)}\n" for _ in range(rows)))


def is_right(root: Path) -> bool:
    """Whether the changes written so far add up to the counts of all rows."""
    visits: Counter[str] = Counter()
    last: dict[str, int] = {}
    for path in (root / "logs").iterdir():
        for row in csv.DictReader(path.read_text().splitlines()):
            visits[row["user"]] += 1
            last[row["user"]] = max(last.get(row["user"], 0), int(row["time"]))
    expected = Counter({(user, str(count), str(last[user])): 1 for user, count in visits.items()})
    found: Counter[tuple[str, str, str]] = Counter()
    try:
        for row in csv.DictReader((root / "counts.csv").read_text().splitlines()):
            found[row["user"], row["visits"], row["last"]] += int(row["diff"])
    except (FileNotFoundError, KeyError, TypeError, ValueError):
        return False
    return Counter({row: diff for row, diff in found.items() if diff}) == expected


def children_now(process: subprocess.Popen[str]) -> list[int]:
    try:
        text = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    except FileNotFoundError:
        return []
    return sorted(int(pid) for pid in text.split())


def children(process: subprocess.Popen[str], count: int) -> list[int]:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        found = children_now(process)
        if len(found) == count:
            return found
        time.sleep(0.01)
    raise AssertionError("the processes did not start")


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for_end(pids: list[int]) -> None:
    until = time.monotonic() + PATIENCE_S
    while any(map(is_alive, pids)):
        assert time.monotonic() < until, "the processes did not end"
        time.sleep(0.01)


def test_runs_with_other_numbers_go_on_from_each_other(tmp_path: Path) -> None:
    for number, (processes, threads) in enumerate([(2, 1), (1, 2), (3, 1)]):
        (tmp_path / "logs").mkdir(exist_ok=True)
        append(tmp_path, number, 60_000)
        code, errors = finish(spawn(tmp_path, "-n", str(processes), "-t", str(threads)))
        assert code == 0, errors
        assert errors.count("millpond: ") == 1, "one process sums the run up"
        assert is_right(tmp_path)


def test_the_ends_of_files_are_said_whichever_process_reads_them(tmp_path: Path) -> None:
    """What waits and what is left out to the end of a file is found where it is parsed, and told by process 0."""
    skips = PROGRAM.replace('name="logs"', 'name="logs", on_error="skip"').replace(
        "pw.run(", 'pw.run(report="r.json", '
    )
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "open.csv").write_text('user,time\nann,1\n"bob,2\ncyd,3\n')
    (tmp_path / "logs" / "half.csv").write_text("user,time\nann,2\ndan,-")
    told = [
        "logs/open.csv:3: a quote opens here and is never closed: "
        "2 lines (13 bytes) up to the end of the file are left out",
        "logs/half.csv:3: the last line has no newline, cannot be read, and waits for the rest "
        '(5 bytes; time: "-" is not an int)',
    ]
    for notices, more in ((told, ""), (told[1:], "eve,4\n")):
        with (tmp_path / "logs" / "open.csv").open("a") as file:
            file.write(more)
        code, errors = finish(spawn(tmp_path, "-n", "2", "-t", "1", program=skips))
        assert code == 0, errors
        said = json.loads((tmp_path / "r.json").read_text())["notices"]
        assert [line for line in said if "; the first: " not in line] == notices
    with (tmp_path / "logs" / "half.csv").open("a") as file:
        file.write("5\n")
    assert finish(spawn(tmp_path, "-n", "2", "-t", "1", program=skips))[0] == 0
    table: Counter[tuple[str, str, str]] = Counter()
    with (tmp_path / "counts.csv").open() as log:
        for row in csv.DictReader(log):
            table[row["user"], row["visits"], row["last"]] += int(row["diff"])
    assert +table == {("ann", "2", "2"): 1, ("eve", "1", "4"): 1, ("dan", "1", "-5"): 1}


def test_process_0_alone_reports_and_listens(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    append(tmp_path, 0, 1000)
    own_file = 'import os\nos.environ["MILLPOND_REPORT"] += os.environ["MILLPOND_PROCESS_ID"]\n'
    process = spawn(tmp_path, "-n", "3", "--report", "report-", program=own_file + PROGRAM, MILLPOND_HTTP="0")
    code, errors = finish(process)
    assert code == 0, errors
    assert errors.count("http://127.0.0.1:") == 1, errors
    assert [path.name for path in tmp_path.glob("report-*")] == ["report-0"]
    report = json.loads((tmp_path / "report-0").read_text())
    assert (report["status"], report["sources"][0]["rows_read"]) == ("finished", 1000)


def test_a_killed_process_ends_all_and_a_rerun_converges(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    append(tmp_path, 0, 1000)
    draw = random.Random(17)
    for number in range(KILLS):
        process = spawn(tmp_path, "-n", "3", mode="streaming")
        victims = children(process, 3)
        victim = number % 3
        until = time.monotonic() + 1.0 + draw.random()
        while time.monotonic() < until:
            append(tmp_path, draw.randrange(1000), 2000)
            time.sleep(0.02)
        killed = time.monotonic()
        os.kill(victims[victim], signal.SIGKILL)
        code, errors = finish(process)
        assert time.monotonic() - killed < 10
        assert code == 7, errors
        assert f"process {victim} (pid {victims[victim]}) was killed by SIGKILL" in errors
        assert "panicked" not in errors
        if "Error" in errors:
            assert f"process {victim} (127.0.0.1:" in errors
    code, errors = finish(spawn(tmp_path, "-n", "2"))
    assert code == 0, errors
    assert is_right(tmp_path)


@pytest.mark.parametrize("seed", range(100 if os.environ.get("MILLPOND_TORTURE") else 1))
def test_any_process_may_be_killed_at_any_time_and_any_other_numbers_go_on(tmp_path: Path, seed: int) -> None:
    (tmp_path / "logs").mkdir()
    draw = random.Random(seed)
    append(tmp_path, seed, 100)
    for kill in range(4):
        words = ["-n", str(draw.randint(1, 3)), "-t", str(draw.randint(1, 2))]
        append(tmp_path, draw.randrange(1000), draw.choice([10, 1000, 100_000]))
        process = spawn(tmp_path, *words, mode=draw.choice(["static", "streaming"]))
        until = time.monotonic() + draw.choice([0.2, 0.5, 1.5]) * draw.random()
        while time.monotonic() < until:
            append(tmp_path, draw.randrange(1000), 500)
            time.sleep(0.01)
        pids = children_now(process)
        victim, number = (
            draw.choice([process.pid, *pids]),
            draw.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM]),
        )
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, number)
        what = f"seed {seed}, kill {kill}: {words}, {number.name} to {victim} of {[process.pid, *pids]}"
        code, errors = finish(process)
        wait_for_end(pids)
        assert code in (0, 7, 143, -signal.SIGKILL, -signal.SIGTERM), f"{what}: {code} {errors}"
        assert "panicked" not in errors, f"{what}: {errors}"
    code, errors = finish(spawn(tmp_path, "-n", str(draw.randint(1, 3)), "-t", str(draw.randint(1, 2))))
    assert code == 0, f"seed {seed}: {errors}"
    assert is_right(tmp_path), f"seed {seed}"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_all(tmp_path: Path, number: signal.Signals, code: int) -> None:
    (tmp_path / "logs").mkdir()
    append(tmp_path, 1, 5000)
    process = spawn(tmp_path, "-n", "2", mode="streaming")
    until = time.monotonic() + PATIENCE_S
    while not is_right(tmp_path) and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(number)
    ended, errors = finish(process)
    assert ended == code, errors
    assert is_right(tmp_path)


@pytest.mark.parametrize("hurry", [False, True])
def test_a_process_that_does_not_end_is_killed(tmp_path: Path, hurry: bool) -> None:
    (tmp_path / "logs").mkdir()
    append(tmp_path, 1, 5000)
    process = spawn(tmp_path, "-n", "2", "--grace", "100000" if hurry else "0.5", mode="streaming")
    pids = children(process, 2)
    until = time.monotonic() + PATIENCE_S
    while not is_right(tmp_path) and time.monotonic() < until:
        time.sleep(0.05)
    os.kill(pids[1], signal.SIGSTOP)
    try:
        process.send_signal(signal.SIGTERM)
        if hurry:
            time.sleep(0.2)
            process.send_signal(signal.SIGTERM)
        code, errors = finish(process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pids[1], signal.SIGKILL)
    assert code == 143, errors
    assert f"process 1 (pid {pids[1]}) did not end in time and was killed" in errors
    wait_for_end(pids)
    code, errors = finish(spawn(tmp_path, "-n", "2"))
    assert code == 0, errors
    assert is_right(tmp_path)


def test_a_storm_of_signals_shows_no_traceback(tmp_path: Path) -> None:
    process = spawn(tmp_path, "-n", "2", mode="streaming")
    children(process, 2)
    while process.poll() is None:
        process.send_signal(signal.SIGTERM)
    code, errors = finish(process)
    assert code in (143, -signal.SIGTERM) and "Traceback" not in errors, (code, errors)


@pytest.mark.parametrize("processes", [1, 2])
def test_processes_end_when_the_spawner_is_killed(tmp_path: Path, processes: int) -> None:
    (tmp_path / "logs").mkdir()
    append(tmp_path, 1, 5000)
    process = spawn(tmp_path, "-n", str(processes), mode="streaming")
    pids = children(process, processes)
    until = time.monotonic() + PATIENCE_S
    while not is_right(tmp_path) and time.monotonic() < until:
        time.sleep(0.05)
    process.kill()
    wait_for_end(pids)
    finish(process)
    assert is_right(tmp_path), "they were asked to stop, and did so after a checkpoint"


def test_saved_state_is_read_where_it_was_saved_in_all_processes(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "many.csv").write_text("user,time\n" + "".join(f"user-{n},{n}\n" for n in range(200_000)))
    process = spawn(tmp_path, "-n", "2", mode="streaming")
    pids = children(process, 2)
    until = time.monotonic() + PATIENCE_S

    def maps_state(pid: int) -> bool:
        return "/state/runs-" in Path(f"/proc/{pid}/maps").read_text()

    while not all(map(maps_state, pids)) and time.monotonic() < until:
        append(tmp_path, 1, 10)
        time.sleep(0.1)
    assert all(map(maps_state, pids))
    process.send_signal(signal.SIGTERM)
    code, errors = finish(process)
    assert code == 143, errors
    assert is_right(tmp_path)


def test_what_cannot_work_is_said(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    append(tmp_path, 1, 5)
    env = {"MILLPOND_SECRET": ""}
    code, errors = finish(spawn(tmp_path, "--addresses", "127.0.0.1:4000,192.0.2.7:4001", **env))
    assert code == 2 and "192.0.2.7:4001" in errors and "MILLPOND_SECRET" in errors
    code, errors = finish(spawn(tmp_path, "-n", "3", "--addresses", "127.0.0.1:4000"))
    assert code == 2 and "1 addresses for 3 processes" in errors
    code, errors = finish(spawn(tmp_path, "-n", "0"))
    assert code == 2 and "from 1 to 256" in errors
