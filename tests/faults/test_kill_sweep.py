"""SIGKILL or an error at every change to the disk, of every run and of its recovery: nothing lost, nothing twice.

A tenth of the recovery points is run by default, all of them with MILLPOND_TORTURE=1.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import sweep
from sweep import SWEPT, Broken, Fault, Play, Program

ROOT = Path(__file__).parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
TORTURE = "MILLPOND_TORTURE" in os.environ
MODES = ["changes", "append", "snapshot"]
FORMS = [(), ("--append-only",)]


@pytest.fixture(scope="session", autouse=True)
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sweep.build_shim(tmp_path_factory.mktemp("shim"))


def millpond(mode: str, workers: int = 1, flags: tuple[str, ...] = ()) -> Program:
    binary = Path(os.environ.get("MILLPOND_KILL_TARGET", TARGET / "debug" / "examples" / "bench_sessions"))
    assert binary.exists(), f"{binary} is not built: run `cargo build -p millpond --examples`, or `make test`"
    return Program((str(binary),), mode, workers, flags)


def standin(mode: str, broken: str = "nothing") -> Program:
    return Program((sys.executable, "-S", str(sweep.HERE / "standin.py")), mode, 1, ("--break", broken))


def run_all(plays: Iterable[Play]) -> int:
    """Runs plays on all cores; returns how many met their faults, raises what the first broken one raised."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        met = [play.met for play in pool.map(Play.run, plays)]
    assert sum(met) >= 0.8 * len(met)
    return sum(met)


def every(step: int, items: Iterator[Play]) -> list[Play]:
    """Every `step`-th play, the first and the last ones among them; all under torture."""
    listed = list(items)
    return listed if TORTURE else listed[::step] + listed[-1:]


# Millpond


@pytest.mark.parametrize("mode", MODES)
def test_the_sweep_sees_the_commit(mode: str) -> None:
    trace = sweep.points(millpond(mode), 0)
    assert len(trace) > 10, trace
    assert any(label.startswith("rename state/") for label in trace), trace
    assert any(label.startswith("fsync state/") for label in trace), trace
    assert any("out/sessions.csv" in label for label in trace), trace
    # Merging, and so the removal of what was merged, depends on the seed of the hashes: nearly always here.
    later = (label for _ in range(10) for label in sweep.points(millpond(mode), SWEPT[-1]))
    assert any(label.startswith("unlink state/runs") for label in later)


@pytest.mark.parametrize("act", SWEPT)
@pytest.mark.parametrize("flags", FORMS)
@pytest.mark.parametrize("mode", MODES)
def test_a_kill_at_any_point_of_a_run(mode: str, flags: tuple[str, ...], act: int) -> None:
    assert run_all(sweep.single_faults(millpond(mode, flags=flags), act)) > 10


@pytest.mark.parametrize("mode", MODES)
def test_a_kill_in_the_middle_of_any_write(mode: str) -> None:
    assert run_all(sweep.single_faults(millpond(mode), 2, kind="torn")) > 2


@pytest.mark.parametrize("mode", MODES)
def test_a_file_that_arrives_between_a_kill_and_the_rerun(mode: str) -> None:
    assert run_all(sweep.single_faults(millpond(mode), 2, late=True)) > 10


@pytest.mark.parametrize("act", [0, 2, SWEPT[-1]])
@pytest.mark.parametrize("mode", MODES)
def test_a_kill_at_any_point_of_the_recovery(mode: str, act: int) -> None:
    program = millpond(mode)
    firsts = sweep.faults_at(sweep.points(program, act))
    assert run_all(every(10, (play for first in firsts for play in sweep.double_kills(program, act, first)))) > 10


@pytest.mark.parametrize("mode", MODES)
def test_a_kill_with_two_workers(mode: str) -> None:
    for _ in range(5 if TORTURE else 1):
        assert run_all(sweep.single_faults(millpond(mode, workers=2), 2)) > 10


def test_a_result_file_that_is_not_cut_back_is_caught() -> None:
    """The rerun believes that it cut the file; the late file leaves it less to write than was there."""
    program = millpond("append")
    plays = list(sweep.single_faults(program, 2, late=True))
    for play in plays:
        play.fault_of_last_attempt = Fault(1, "truncate out/sessions.csv", "skip", forever=True)
    with pytest.raises(Broken):
        run_all(plays)


@pytest.mark.parametrize("kind", [errno.EIO, errno.ENOSPC], ids=["an I/O error", "a full disk"])
@pytest.mark.parametrize("mode", MODES)
def test_a_disk_that_fails_at_any_point(mode: str, kind: int) -> None:
    """The run ends with "unavailable", however far it came; once the disk is well, one rerun makes it right."""
    assert run_all(sweep.single_faults(millpond(mode), SWEPT[-1], kind=kind)) > 10


@pytest.mark.parametrize("mode", MODES)
def test_a_disk_that_fails_for_good(mode: str) -> None:
    plays = list(sweep.single_faults(millpond(mode), SWEPT[-1], kind=errno.EIO))
    for play in plays:
        play.faults = [replace(fault, forever=True) for fault in play.faults]
    assert run_all(plays) > 10


# The sweep itself


@pytest.mark.parametrize("mode", MODES)
def test_the_sweep_passes_a_program_that_keeps_the_promise(mode: str) -> None:
    assert run_all(every(3, sweep.single_faults(standin(mode), 2))) > 3


@pytest.mark.parametrize(
    ("mode", "broken"),
    [
        ("changes", "manifest first"),
        ("append", "manifest first"),
        ("changes", "new log for a continued run"),
        ("append", "sink not cut back"),
        ("snapshot", "snapshot in place"),
    ],
)
def test_the_sweep_catches(mode: str, broken: str) -> None:
    with pytest.raises(Broken, match=r"added up|holds the row"):
        run_all(sweep.single_faults(standin(mode, broken), 2))


def test_a_kill_is_a_kill() -> None:
    play = Play(standin("changes"), 0, [Fault(3)]).run()
    assert [attempt.code for attempt in play.attempts] == [-signal.SIGKILL, 0]
    assert len(play.attempts[0].trace) == 3
