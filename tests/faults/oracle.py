"""The sessions of visits, computed from nothing by the simplest code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

MAX_GAP = 300

Row = tuple[str, int]
Session = tuple[str, int, int, int, int]  # user, length, start, finish, count
Table = Counter[Session]


def sessions_of(rows: Sequence[Row]) -> Table:
    """The sessions of all rows, computed from nothing."""
    times: dict[str, list[int]] = {}
    for user, time in rows:
        times.setdefault(user, []).append(time)
    table: Table = Counter()
    for user, visits in times.items():
        visits.sort()
        start = 0
        for i in range(1, len(visits) + 1):
            if i == len(visits) or visits[i] - visits[i - 1] > MAX_GAP:
                first, last = visits[start], visits[i - 1]
                table[user, last - first, first, last, i - start] += 1
                start = i
    return table
