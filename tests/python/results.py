"""Reading change logs the simple way."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path


def changes(path: Path) -> list[str]:
    """The rows of a change log without `time`, in order of text."""
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header[-2:] == ["time", "diff"]
    return sorted(",".join([*row[:-2], row[-1]]) for row in rows)


def times(path: Path) -> list[int]:
    """The `time` of each row of a change log."""
    with path.open(newline="", encoding="utf-8") as file:
        return [int(row["time"]) for row in csv.DictReader(file)]


def sum_up(table: Counter[tuple[str, ...]], path: Path) -> None:
    """Adds the changes of a log to a table."""
    with path.open(newline="", encoding="utf-8") as file:
        _, *rows = csv.reader(file)
    for row in rows:
        table[tuple(row[:-2])] += int(row[-1])
        if table[tuple(row[:-2])] == 0:
            del table[tuple(row[:-2])]
