"""The figures that Millpond is held to, computed from what was measured."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Results = dict[str, Any]


def wall(results: Results, section: str, name: str) -> float:
    return float(results[section][name]["wall_s"])


def fastest_peer(results: Results, section: str) -> float:
    return min(wall(results, section, peer) for peer in ("DuckDB", "Polars"))


def restart_ms(results: Results, name: str) -> float:
    return wall(results, "restart", name) * 1e3


def peak_gb(results: Results) -> float:
    names = ("Millpond", "Millpond, append-only", "Millpond, computed", "Millpond, Python")
    return max(float(results["first_10m"][name]["peak_mb"]) for name in names if name in results["first_10m"]) / 1024


def growth(results: Results) -> float:
    return restart_ms(results, "Rust, full, 10m, warm") / restart_ms(results, "Rust, full, 1m, warm")


def cpu_growth(results: Results) -> float:
    cores = results["cores"]
    return float(cores["two cores"]["cpu_s"]) / float(cores["one core"]["cpu_s"])


# What it is, its unit, how it is computed, what it must reach, what it aims for; "<=" or ">=".
FIGURES: list[tuple[str, str, Callable[[Results], float], str, float | None, float | None]] = [
    (
        "first run, 10M rows, state saved / the faster of DuckDB and Polars",
        "x",
        lambda r: wall(r, "first_10m", "Millpond") / fastest_peer(r, "first_10m"),
        "<=",
        0.35,
        0.2,
    ),
    (
        "the same with a filter and a computed column / without",
        "x",
        lambda r: wall(r, "first_10m", "Millpond, computed") / wall(r, "first_10m", "Millpond"),
        "<=",
        1.25,
        None,
    ),
    (
        "the same from Python, less 0.2 s / the Rust program",
        "x",
        lambda r: (wall(r, "first_10m", "Millpond, Python") - 0.2) / wall(r, "first_10m", "Millpond"),
        "<=",
        1.1,
        None,
    ),
    (
        "first run, 1M rows: times faster than Pathway",
        "x",
        lambda r: wall(r, "pathway_1m", "Pathway") / wall(r, "pathway_1m", "Millpond"),
        ">=",
        250,
        500,
    ),
    ("peak memory, 10M rows, the largest of all forms", "GB", peak_gb, "<=", 1.0, 0.6),
    (
        "restart with 1,000 new rows on 10M rows, whole process",
        "ms",
        lambda r: restart_ms(r, "Rust, full, 10m, warm"),
        "<=",
        30,
        15,
    ),
    (
        "the same, append-only",
        "ms",
        lambda r: restart_ms(r, "Rust, append-only, 10m, warm"),
        "<=",
        30,
        15,
    ),
    (
        "the same, replacing the large result file of the first run",
        "ms",
        lambda r: restart_ms(r, "Rust, full, 10m, after the first run"),
        "<=",
        None,
        None,
    ),
    (
        "the same with a cold page cache",
        "ms",
        lambda r: restart_ms(r, "Rust, full, 10m, cold"),
        "<=",
        None,
        None,
    ),
    (
        "calls of fsync and fdatasync in it",
        "",
        lambda r: float(r["restart_syncs"]["Rust, full, 10m"]),
        "<=",
        None,
        None,
    ),
    (
        "the same from Python, interpreter included",
        "ms",
        lambda r: restart_ms(r, "Python, full, 10m, warm"),
        "<=",
        150,
        80,
    ),
    ("restart on 10M rows / restart on 1M rows", "x", growth, "<=", 1.3, 1.0),
    (
        "1,000 epochs of 1,000 rows on 10M rows, p50",
        "ms",
        lambda r: float(r["epochs"]["uniform users"]["p50_ms"]),
        "<=",
        4,
        1.5,
    ),
    ("the same, p99", "ms", lambda r: float(r["epochs"]["uniform users"]["p99_ms"]), "<=", 20, None),
    (
        "state / input, append-only",
        "x",
        lambda r: float(r["state_10m"]["ratio"]["append-only"]),
        "<=",
        0.4,
        0.2,
    ),
    ("state / input, full", "x", lambda r: float(r["state_10m"]["ratio"]["full"]), "<=", 0.5, 0.3),
    (
        "count per user, 10M rows / the faster of DuckDB and Polars",
        "x",
        lambda r: wall(r, "count_10m", "Millpond") / fastest_peer(r, "count_10m"),
        "<=",
        0.6,
        None,
    ),
    (
        "count per user and window of 300 s, 10M rows / the faster of DuckDB and Polars",
        "x",
        lambda r: wall(r, "windows_10m", "Millpond") / fastest_peer(r, "windows_10m"),
        "<=",
        0.8,
        None,
    ),
    (
        "10M rows on one pinned core / on two, no sync",
        "x",
        lambda r: wall(r, "cores", "one core") / wall(r, "cores", "two cores"),
        ">=",
        1.6,
        1.8,
    ),
    (
        "two processes of one thread / one process of two, 10M rows, first run",
        "x",
        lambda r: wall(r, "processes_10m", "two processes") / wall(r, "processes_10m", "one process"),
        "<=",
        1.3,
        None,
    ),
    ("CPU seconds on two / on one", "x", cpu_growth, "<=", 1.15, None),
    (
        "one user with 5M visits, 1,000 epochs of one visit, full, p50",
        "ms",
        lambda r: float(r["epochs"]["one user, full"]["p50_ms"]),
        "<=",
        1,
        None,
    ),
    (
        "the same, append-only",
        "ms",
        lambda r: float(r["epochs"]["one user, append-only"]["p50_ms"]),
        "<=",
        1,
        None,
    ),
    ("wheel", "MB", lambda r: float(r["wheel_mb"]), "<=", 20, None),
]


def figures(results: Results) -> list[dict[str, Any]]:
    """Every figure; `value` is None where it was not measured."""
    found = []
    for name, unit, compute, relation, must, aim in FIGURES:
        try:
            value: float | None = compute(results)
        except (KeyError, TypeError):
            value = None
        reached = None
        if value is not None and must is not None:
            reached = value <= must if relation == "<=" else value >= must
        row = {"name": name, "unit": unit, "value": value, "relation": relation, "must": must, "aim": aim}
        found.append({**row, "reached": reached})
    return found


def print_samples(results: Results) -> None:
    for section, samples in results.items():
        if not isinstance(samples, dict):
            continue
        rows = {name: value for name, value in samples.items() if isinstance(value, dict) and "cpu_s" in value}
        if not rows:
            continue
        fastest = min(value["wall_s"] for value in rows.values())
        print(f"\n{section:<34} {'wall s':>9} {'CPU s':>9} {'peak MB':>9} {'x fastest':>10}")
        for name, value in sorted(rows.items(), key=lambda row: float(row[1]["wall_s"])):
            times = value["wall_s"] / fastest
            print(f"  {name:<32} {value['wall_s']:9.3f} {value['cpu_s']:9.3f} {value['peak_mb']:9.0f} {times:10.2f}")


def print_figures(rows: list[dict[str, Any]]) -> None:
    print(f"\n{'figure':<70} {'value':>9}    {'must':>9} {'aim':>7}")
    for row in rows:
        value = "-" if row["value"] is None else f"{row['value']:.3g}"
        must, aim = ("" if row[key] is None else f"{row['relation']} {row[key]:g}" for key in ("must", "aim"))
        mark = {True: "ok", False: "NOT REACHED", None: ""}[row["reached"]]
        print(f"{row['name']:<70} {value:>9} {row['unit']:<2} {must:>9} {aim:>7}  {mark}")
