"""Compares sums and means of prices with cents between two builds: time, and the size of the state.

    python benches/sums/sums.py --old OLD/bin/python --new NEW/bin/python

The two builds take turns, each run a process of its own on files and state of its own, and medians are shown. Before
anything is measured, results are checked: those of the new build against `math.fsum` and fractions, which are exact,
and those of the old one to be at most one unit in the last place off.
"""

from __future__ import annotations

import argparse
import csv
import math
import os
import random
import shutil
import statistics
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

PROGRAM = """
import sys
import millpond as pw

class Order(pw.Schema):
    item: int
    price: float

orders = pw.io.csv.read(sys.argv[1], schema=Order, mode="static", name="orders")
reducers = {"sum": pw.reducers.sum(orders.price), "avg": pw.reducers.avg(orders.price)}
outputs = {name: reducers[name] for name in sys.argv[3].split(",")}
pw.io.csv.write(orders.groupby(orders.item).reduce(orders.item, **outputs), sys.argv[2] + "/out.csv", name="out")
backend = pw.persistence.Backend.filesystem(sys.argv[2] + "/state")
pw.run(monitoring_level=pw.MonitoringLevel.NONE, persistence_config=pw.persistence.Config(backend))
"""


def make(path: Path, rows: int, groups: int) -> None:
    """Files of orders, whose prices go from a cent to a thousand."""
    if path.exists():
        return
    unfinished = path.with_suffix(".tmp")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    chance = random.Random(7)
    for part in range(8):
        with (unfinished / f"{part}.csv").open("w", encoding="utf-8") as file:
            file.write("item,price\n")
            for row in range(rows * part // 8, rows * (part + 1) // 8):
                # Every group has a row, in no order.
                item = row * 7_368_787 % groups if groups == rows else chance.randrange(groups)
                cents = chance.randrange(1, 100_000)
                file.write(f"{item},{cents // 100}.{cents % 100:02}\n")
    unfinished.rename(path)


class Sample(NamedTuple):
    wall_s: float
    cpu_s: float
    state_mb: float


def run(python: Path, data: Path, work: Path, outputs: str) -> Sample:
    """What one run from nothing takes."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    began, before = time.perf_counter(), os.times()
    subprocess.run([str(python), "-c", PROGRAM, str(data), str(work), outputs], check=True)
    wall, after = time.perf_counter() - began, os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Sample(wall, cpu, sum(file.stat().st_size for file in (work / "state").iterdir()) / 1e6)


def results(work: Path) -> dict[int, list[float]]:
    with (work / "out.csv").open(encoding="utf-8") as file:
        return {int(row[0]): [float(cell) for cell in row[1:-2]] for row in list(csv.reader(file))[1:]}


def check(data: Path, old: Path, new: Path) -> None:
    """Compares sums and means with exact ones; means of every 50th group, which take long."""
    prices: dict[int, list[float]] = {}
    for part in sorted(data.iterdir()):
        with part.open(encoding="utf-8") as file:
            next(file)
            for line in file:
                item, price = line.split(",")
                prices.setdefault(int(item), []).append(float(price))
    found, before = results(new), results(old)
    assert found.keys() == before.keys() == prices.keys()
    for number, (item, of_item) in enumerate(prices.items()):
        total, mean = found[item]
        assert total == math.fsum(of_item), item
        if number % 50 == 0:
            assert mean == float(sum(map(Fraction, of_item)) / len(of_item)), item
        for now, then in zip(found[item], before[item], strict=True):
            assert abs(now - then) <= math.ulp(now), item
    print(f"{len(prices)} groups: results are exact, and those before at most one ulp off")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--old", type=Path, required=True)
    parser.add_argument("--new", type=Path, default=Path(sys.executable))
    parser.add_argument("--work", type=Path, default=Path("/tmp/millpond-sums"))
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    builds = {"old": args.old, "new": args.new}
    for groups in (args.rows // 50, args.rows):
        data = args.work / f"{args.rows}-{groups}"
        make(data, args.rows, groups)
        for name, python in builds.items():
            run(python, data, args.work / name, "sum,avg")
        check(data, args.work / "old", args.work / "new")
        for outputs in ("sum", "avg", "sum,avg"):
            samples: dict[str, list[Sample]] = {name: [] for name in builds}
            for _ in range(args.rounds):
                for name, python in builds.items():
                    samples[name].append(run(python, data, args.work / name, outputs))
            print(f"{args.rows} rows, {groups} groups, {outputs}")
            for i, what in enumerate(Sample._fields):
                old, new = (statistics.median(sample[i] for sample in samples[name]) for name in ("old", "new"))
                print(f"    {what:10} {old:8.2f} -> {new:8.2f}  x {new / old:.3f}", flush=True)


if __name__ == "__main__":
    main()
