"""Measures programs that go on running: throughput with and without checkpoints, latency, callbacks, rest.

    python3 benches/streaming/streaming.py [--peers-python PYTHON]

Builds nothing: `make develop` and `cargo build --release -p millpond --examples` come first. PYTHON is one that imports
Pathway (benches/compare/setup.sh makes it); without it, latency is measured for Millpond alone.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median, quantiles

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
USERS, MEAN_GAP_S = 20_000, 240
BATCH_ROWS = 1_000


def batches(rows: int, seed: int) -> list[bytes]:
    """Visits in the order of time, in pieces of BATCH_ROWS lines."""
    draw = random.Random(seed)
    pieces, at = [], 1_700_000_000.0
    for _ in range(rows // BATCH_ROWS):
        lines = []
        for _ in range(BATCH_ROWS):
            at += MEAN_GAP_S / USERS
            lines.append(b"user_%06d,%d\n" % (draw.randrange(USERS), at))
        pieces.append(b"".join(lines))
    return pieces


def throughput(pieces: list[bytes], programs: Path, folder: Path, checkpoint_ms: int | None) -> float:
    """Rows a second, from the start of the program to the change that holds the last row."""
    shutil.rmtree(folder, ignore_errors=True)
    logs = folder / "logs"
    logs.mkdir(parents=True)
    files = [(logs / f"{n}.csv").open("ab", buffering=0) for n in range(4)]
    for file in files:
        file.write(b"user_id,access_time\n")
    rows = len(pieces) * BATCH_ROWS
    saved = [str(folder / "state"), str(checkpoint_ms)] if checkpoint_ms else []
    command = [str(programs / "bench_stream"), str(logs), str(folder / "out.csv"), str(rows), "10", *saved]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    for number, piece in enumerate(pieces):
        files[number * len(files) // len(pieces)].write(piece)
    said, _ = process.communicate()
    if process.returncode != 0:
        sys.exit(f"{command[0]} failed")
    for file in files:
        file.close()
    return rows / float(said)


def latency(python: Path, engine: str, folder: Path, seconds: float) -> list[float]:
    """Delays in ms at 10,000 rows a second, written as 100 rows each 10 ms."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    log = folder / "a.csv"
    log.write_text("user,sent_ns\n")
    command = [str(python), str(HERE / "latency.py"), engine, str(folder), str(seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    ended = threading.Event()

    def write() -> None:
        number, due = 0, time.monotonic()
        with log.open("a", buffering=1 << 16) as file:
            while not ended.is_set():
                now = time.time_ns()
                file.writelines(f"user_{(number + i) % 10_000},{now}\n" for i in range(100))
                file.flush()
                number += 100
                due += 0.01
                time.sleep(max(0.0, due - time.monotonic()))

    writer = threading.Thread(target=write)
    writer.start()
    said, _ = process.communicate()
    ended.set()
    writer.join()
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)} failed")
    return [float(line) for line in said.split()]


def cpu_of(command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def idle(python: Path, folder: Path, seconds: float) -> float:
    """The share of a core that watching 1,000 files takes."""
    logs = folder / "logs"
    shutil.rmtree(folder, ignore_errors=True)
    logs.mkdir(parents=True)
    for n in range(1_000):
        (logs / f"{n}.csv").write_text(f"user_id,access_time\nuser,{n}\n")
    process = subprocess.Popen([str(python), str(HERE / "idle.py"), str(logs), str(folder)])
    time.sleep(3)
    tick = os.sysconf("SC_CLK_TCK")

    def cpu() -> float:
        fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / tick

    before = cpu()
    time.sleep(seconds)
    used = cpu() - before
    process.send_signal(signal.SIGINT)
    process.wait()
    return used / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=4_000_000)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--millpond-python", type=Path, default=ROOT / ".venv/bin/python")
    parser.add_argument("--peers-python", type=Path)
    parser.add_argument("--programs", type=Path, default=ROOT / "target/release/examples")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    results: dict[str, object] = {}
    table: list[tuple[str, str, str]] = []

    def show(name: str, value: float, unit: str, must: str) -> None:
        results[name] = value
        table.append((name, f"{value:,.3g} {unit}" if value < 1_000 else f"{value:,.0f} {unit}", must))

    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        pieces = batches(args.rows, 7)
        rates: dict[int | None, list[float]] = {1_000: [], None: []}
        for _ in range(args.rounds):
            for every, found in rates.items():
                found.append(throughput(pieces, args.programs, work / "stream", every))
        show("sessions, appended in batches of 1,000, saved each second", median(rates[1_000]), "rows/s", ">= 400,000")
        show("the same / without saved state", median(rates[1_000]) / median(rates[None]), "x", ">= 0.9")

        engines = [("millpond", args.millpond_python)]
        if args.peers_python:
            engines.append(("pathway", args.peers_python))
        delays: dict[str, list[list[float]]] = {engine: [] for engine, _ in engines}
        for _ in range(args.rounds):
            for engine, python in engines:
                delays[engine].append(latency(python, engine, work / "latency", args.seconds))
        for engine, _ in engines:
            p50 = median(median(found) for found in delays[engine])
            p99 = median(quantiles(found, n=100)[98] for found in delays[engine])
            must = ("<= 25", "<= 60") if engine == "millpond" else ("", "")
            show(f"from bytes appended to a function called, {engine}, p50", p50, "ms", must[0])
            show(f"the same, {engine}, p99", p99, "ms", must[1])

        log = work / "million.csv"
        log.write_bytes(b"user_id,access_time\n" + b"".join(batches(1_000_000, 8)))
        command = [str(args.millpond_python), str(HERE / "million.py"), str(log)]
        million = median(cpu_of(command) for _ in range(args.rounds))
        show("a million changes handed to a Python function, whole process", million, "CPU s", "<= 1.5")
        share = median(idle(args.millpond_python, work / "idle", args.seconds) for _ in range(3))
        show("watching 1,000 files that do not change", 100 * share, "% of a core", "< 1")

    width = max(len(name) for name, _, _ in table)
    for name, value, must in table:
        print(f"{name:{width}}  {value:>18}  {must}")
    if args.json:
        args.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
