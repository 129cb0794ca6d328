"""Tumbling and sliding windows, by what they print, and against the simplest code on random times."""

from __future__ import annotations

import datetime
import itertools
import random
from collections import Counter
from typing import Any

import pytest

import millpond as pw


def rows(table: pw.Table) -> Counter[tuple[object, ...]]:
    """The rows of a table, each with its number."""
    found: Counter[tuple[object, ...]] = Counter()
    for row, _, diff in table._native.collect():
        found[row] += diff
    return found


def times(*values: float) -> pw.Table:
    return pw.debug.table_from_markdown("\n".join(["at", *map(repr, values)]))


def windows(table: pw.Table, window: pw.temporal.SlidingWindow) -> Counter[tuple[object, ...]]:
    return rows(
        table.windowby(pw.this.at, window=window).reduce(
            start=pw.this._pw_window_start, end=pw.this._pw_window_end, n=pw.reducers.count()
        )
    )


def test_a_time_on_a_bound_is_in_the_window_that_starts_there() -> None:
    assert windows(times(-10, -1, 0, 9, 10), pw.temporal.tumbling(10)) == Counter(
        {(-10, 0, 2): 1, (0, 10, 2): 1, (10, 20, 1): 1}
    )


def test_no_window_starts_before_the_origin() -> None:
    assert windows(times(4, 5, 14, 15), pw.temporal.tumbling(duration=10, origin=5)) == Counter(
        {(5, 15, 2): 1, (15, 25, 1): 1}
    )
    assert windows(times(4, 5, 11), pw.temporal.sliding(hop=5, duration=10, origin=5)) == Counter(
        {(5, 15, 2): 1, (10, 20, 1): 1}
    )


def test_a_row_between_two_windows_is_in_none() -> None:
    assert windows(times(0, 3, 9, 10), pw.temporal.sliding(hop=10, duration=3)) == Counter(
        {(0, 3, 1): 1, (10, 13, 1): 1}
    )


def test_a_tumbling_window_of_floats_ends_where_the_next_one_starts() -> None:
    table = times(*(i / 10 for i in range(1000)))
    found = windows(table, pw.temporal.tumbling(0.1))
    assert sum(n * count for (_, _, n), count in found.items()) == 1000  # type: ignore[operator, misc]
    bounds = sorted((start, end) for start, end, _ in found)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(bounds))  # type: ignore[operator]


def test_an_int_fits_a_time_of_floats() -> None:
    assert windows(times(0.5, 1.5, 2.0), pw.temporal.sliding(hop=1, ratio=2)) == Counter(
        {(-1.0, 1.0, 1): 1, (0.0, 2.0, 2): 1, (1.0, 3.0, 2): 1, (2.0, 4.0, 1): 1}
    )


@pytest.mark.parametrize("seed", range(60))
def test_windows_are_those_of_the_definition(seed: int) -> None:
    chance = random.Random(seed)
    floats = chance.random() < 0.5
    step = chance.choice([0.1, 0.25, 1 / 3]) if floats else 1
    hop = chance.randint(1, 12) * step
    ratio = chance.choice([None, 1, 2, 5])
    duration = chance.randint(1, 30) * step if ratio is None else None
    origin = chance.choice([None, chance.randint(-20, 20) * step])
    values = [chance.randint(-40, 40) * step for _ in range(30)]
    window = pw.temporal.sliding(hop=hop, duration=duration, ratio=ratio, origin=origin)

    def start(k: int) -> float:
        return k * hop + (origin or 0)

    expected: Counter[tuple[object, ...]] = Counter()
    for k in range(-200 if origin is None else 0, 200):
        end = start(k + ratio) if ratio is not None else start(k) + (duration or 0)
        n = sum(start(k) <= value < end for value in values)
        if n:
            expected[(start(k), end, n)] += 1
    assert windows(times(*values), window) == expected


def test_windows_follow_removals(capsys: pytest.CaptureFixture[str]) -> None:
    table = pw.debug.table_from_markdown("""
        who | at | __time__ | __diff__
        ann | 1  | 2        | 1
        ann | 8  | 2        | 1
        ann | 8  | 4        | -1
    """)
    pw.debug.compute_and_print_update_stream(
        table.windowby(table.at, window=pw.temporal.sliding(hop=5, duration=10), instance=table.who).reduce(
            table.who, start=pw.this._pw_window_start, last=pw.reducers.max(table.at)
        )
    )
    assert [line.split(" | ") for line in capsys.readouterr().out.splitlines()] == [
        ["who", "start", "last", "__time__", "__diff__"],
        ["ann", "-5   ", "1   ", "2       ", "1"],
        ["ann", "0    ", "8   ", "2       ", "1"],
        ["ann", "5    ", "8   ", "2       ", "1"],
        ["ann", "0    ", "8   ", "4       ", "-1"],
        ["ann", "5    ", "8   ", "4       ", "-1"],
        ["ann", "0    ", "1   ", "4       ", "1"],
    ]


def test_a_window_shows_how_it_was_made() -> None:
    shown = [
        (pw.temporal.tumbling(5), "tumbling(duration=5)"),
        (pw.temporal.tumbling(0.5, origin=1), "tumbling(duration=0.5, origin=1)"),
        (pw.temporal.sliding(5, 10), "sliding(hop=5, duration=10)"),
        (pw.temporal.sliding(hop=5, ratio=3, origin=-1), "sliding(hop=5, ratio=3, origin=-1)"),
    ]
    assert [repr(window) for window, _ in shown] == [text for _, text in shown]


def test_a_time_without_a_window_ends_the_run() -> None:
    table = pw.debug.table_from_markdown("at\n0.5\nnan")
    with pytest.raises(pw.InputError, match=r"the time at = nan is in no window"):
        windows(table, pw.temporal.tumbling(2))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: pw.temporal.tumbling(0), "duration: 0 is not more than 0"),
        (lambda: pw.temporal.tumbling(datetime.timedelta(0)), "duration: 0:00:00 is not more than 0"),
        (
            lambda: pw.temporal.tumbling("5"),  # type: ignore[arg-type]
            'duration: expected an int or a float, got "5" (str)',
        ),
        (lambda: pw.temporal.tumbling(True), "duration: expected an int or a float, got True (bool)"),
        (lambda: pw.temporal.tumbling(5, origin=float("inf")), "origin: inf is not finite"),
        (lambda: pw.temporal.tumbling(2**63), f"duration: {2**63} does not fit into an int of 64 bits"),
        (lambda: pw.temporal.sliding(5), "sliding: duration or ratio says how long a window is; neither is given"),
        (lambda: pw.temporal.sliding(5, 5, 1), "sliding: duration or ratio says how long a window is; both are given"),
        (lambda: pw.temporal.sliding(5, ratio=0), "ratio: 0 is less than 1"),
        (
            lambda: windows(times(1), pw.temporal.tumbling(0.5)),
            'duration is 0.5, which is float, but column "at" is int',
        ),
        (
            lambda: times(1).windowby(pw.this.at, window=pw.temporal.tumbling(2)).reduce(x=pw.this._pw_window),
            "there is no _pw_window in this version",
        ),
    ],
)
def test_a_wrong_window_is_refused(make, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(pw.InvalidError) as caught:
        make()
    assert caught.value.message == message
    assert caught.value.origin is not None and "test_windows.py:" in caught.value.origin


def visits() -> pw.Table:
    return pw.debug.table_from_markdown("""
        who | at | __time__ | __diff__
        ann | 1  | 2        | 1
        ann | 9  | 2        | 1
        ann | 5  | 4        | 1
        bob | 5  | 4        | 1
        ann | 5  | 6        | -1
    """)


def session_changes(window: Any) -> list[tuple[tuple[Any, ...], int, int]]:
    table = visits()
    sessions = table.windowby(table.at, window=window, instance=table.who).reduce(
        table.who, start=pw.this._pw_window_start, end=pw.this._pw_window_end, n=pw.reducers.count()
    )
    return sorted(sessions._native.collect(), key=lambda change: (change[1], change[2], change[0]))


def test_a_predicate_joins_neighbours_and_parts_them_again() -> None:
    near = [
        (("ann", 1, 1, 1), 2, 1),
        (("ann", 9, 9, 1), 2, 1),
        (("ann", 1, 1, 1), 4, -1),
        (("ann", 9, 9, 1), 4, -1),
        (("ann", 1, 9, 3), 4, 1),
        (("bob", 5, 5, 1), 4, 1),
        (("ann", 1, 9, 3), 6, -1),
        (("ann", 1, 1, 1), 6, 1),
        (("ann", 9, 9, 1), 6, 1),
    ]
    assert session_changes(pw.temporal.session(predicate=lambda a, b: abs(a - b) < 5)) == near
    assert session_changes(pw.temporal.session(max_gap=4)) == near


def test_a_row_between_two_may_part_a_session() -> None:
    far = session_changes(pw.temporal.session(predicate=lambda a, b: b - a > 4))
    assert [change for change in far if change[0][0] == "ann"] == [
        (("ann", 1, 9, 2), 2, 1),
        (("ann", 1, 9, 2), 4, -1),
        (("ann", 1, 1, 1), 4, 1),
        (("ann", 5, 5, 1), 4, 1),
        (("ann", 9, 9, 1), 4, 1),
        (("ann", 1, 1, 1), 6, -1),
        (("ann", 5, 5, 1), 6, -1),
        (("ann", 9, 9, 1), 6, -1),
        (("ann", 1, 9, 2), 6, 1),
    ]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: pw.temporal.session(), "neither is given"),
        (lambda: pw.temporal.session(max_gap=1, predicate=lambda a, b: a < b), "both are given"),
        (
            lambda: pw.temporal.session(predicate=3),  # type: ignore[arg-type]
            "expected a function of two times, got 3",
        ),
        (
            lambda: session_changes(pw.temporal.session(predicate=lambda a, b: b - a)),
            "`b - a` is int, but the predicate of a session must be bool",
        ),
        (
            lambda: session_changes(pw.temporal.session(predicate=lambda a, b: b - a < visits().at)),
            "it sees the times of two neighbouring rows only",
        ),
        (
            lambda: session_changes(pw.temporal.session(predicate=lambda a, b: b < pw.this.who)),
            'the predicate of a session uses column "who"',
        ),
    ],
)
def test_a_predicate_is_checked(make: Any, message: str) -> None:
    with pytest.raises(pw.InvalidError) as caught:
        make()
    assert message in caught.value.message


def test_an_instance_is_a_column_and_not_its_name() -> None:
    visits = pw.debug.table_from_markdown("user | t\nann | 1")
    with pytest.raises(pw.InvalidError) as caught:
        visits.windowby(visits.t, window=pw.temporal.session(max_gap=3), instance="user")  # type: ignore[arg-type]
    assert (caught.value.message, caught.value.hint) == (
        'windowby: instance is the text "user"',
        "a column is pw.this.user",
    )
