"""Windows that are shown late, or that end: by what they print, over runs, and against the simplest code."""

from __future__ import annotations

import datetime
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from results import sum_up

import millpond as pw


def visits(epochs: list[list[int]]) -> pw.Table:
    """Visits at these times, epoch by epoch."""
    rows = "\n".join(f"{at} | {2 * (number + 1)}" for number, epoch in enumerate(epochs) for at in epoch)
    return pw.debug.table_from_markdown(f"at | __time__\n{rows}")


def changes(table: pw.Table) -> list[tuple[Any, ...]]:
    """All changes of a table, in order: row, epoch, multiplicity."""
    return sorted(((*row, epoch, diff) for row, epoch, diff in table._native.collect()), key=lambda row: row[-2:])


def windows(table: pw.Table, window: pw.temporal.Window, behavior: pw.temporal.Behavior | None) -> pw.Table:
    return table.windowby(table.at, window=window, behavior=behavior).reduce(
        start=pw.this._pw_window_start, n=pw.reducers.count()
    )


TUMBLING = pw.temporal.tumbling(10)
SESSION = pw.temporal.session(max_gap=5)
# A session goes on until the next row at a multiple of ten, however long that takes.
TENS = pw.temporal.session(predicate=lambda _, b: b % 10 != 0)


def test_a_result_waits_for_its_delay() -> None:
    table = windows(visits([[1], [4], [6, 11]]), TUMBLING, pw.temporal.common_behavior(delay=4))
    assert changes(table) == [(0, 2, 4, 1), (0, 2, 6, -1), (0, 3, 6, 1)]


def test_a_closed_window_takes_no_rows() -> None:
    epochs = [[1], [12], [2], [15], [3, 25]]
    table = windows(visits(epochs), TUMBLING, pw.temporal.common_behavior(cutoff=5))
    assert changes(table) == [
        (0, 1, 2, 1),
        (10, 1, 4, 1),
        (0, 1, 6, -1),
        (0, 2, 6, 1),
        (10, 1, 8, -1),
        (10, 2, 8, 1),
        (20, 1, 10, 1),
    ]


def test_results_of_closed_windows_may_be_removed() -> None:
    behavior = pw.temporal.common_behavior(cutoff=0, keep_results=False)
    table = windows(visits([[1], [10], [11, 30]]), TUMBLING, behavior)
    assert changes(table) == [(0, 1, 2, 1), (0, 1, 4, -1), (10, 1, 4, 1), (10, 1, 6, -1), (30, 1, 6, 1)]


def test_a_session_is_shown_once_when_nothing_can_join_it() -> None:
    behavior = pw.temporal.exactly_once_behavior(shift=2)
    table = windows(visits([[0, 3], [10], [11], [8, 9], [30]]), SESSION, behavior)
    # The first ends at 3, and 3 + 5 + 2 < 11; the row at 8 is three behind 11, and so too late, the one at 9 is not.
    assert changes(table) == [(0, 2, 6, 1), (9, 3, 10, 1)]


Visit = tuple[str, int, int]
"""Who, when, and whether it is added or removed."""


def sessions(
    epochs: list[list[Visit]], window: pw.temporal.Window, behavior: pw.temporal.Behavior
) -> list[tuple[Any, ...]]:
    """All changes of who, start, rows of each session."""
    rows = [f"{who} | {at} | {2 * n + 2} | {diff}" for n, epoch in enumerate(epochs) for who, at, diff in epoch]
    table = pw.debug.table_from_markdown("who | at | __time__ | __diff__\n" + "\n".join(rows))
    return changes(
        table.windowby(table.at, window=window, behavior=behavior, instance=table.who).reduce(
            table.who, start=pw.this._pw_window_start, n=pw.reducers.count()
        )
    )


@pytest.mark.parametrize(
    ("cutoff", "expected"),
    [
        # Ann's row at 1 is more than 5 behind 9, so its session is closed when the one at 7 comes, which is in time.
        (5, [("ann", 1, 1, 2, 1), ("bob", 9, 1, 4, 1), ("ann", 7, 1, 6, 1)]),
        (8, [("ann", 1, 1, 2, 1), ("bob", 9, 1, 4, 1), ("ann", 1, 1, 6, -1), ("ann", 1, 2, 6, 1)]),
    ],
)
def test_a_closed_session_is_not_joined_though_the_predicate_holds(
    cutoff: int, expected: list[tuple[Any, ...]]
) -> None:
    epochs = [[("ann", 1, 1)], [("bob", 9, 1)], [("ann", 7, 1)]]
    assert sessions(epochs, TENS, pw.temporal.common_behavior(cutoff=cutoff)) == expected


def test_a_closed_session_that_is_not_shown_yet_is_not_joined() -> None:
    epochs = [[("ann", 1, 1)], [("bob", 9, 1)], [("ann", 7, 1)], [("bob", 31, 1)]]
    behavior = pw.temporal.common_behavior(delay=30, cutoff=5)
    assert sessions(epochs, TENS, behavior) == [("ann", 1, 1, 8, 1)]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(("ann", 20, 1), id="parted"),
        pytest.param(("ann", 21, -1), id="shortened"),
    ],
)
def test_what_is_left_of_a_session_may_be_over_at_once(change: Visit) -> None:
    """Its last row is long behind the watermark, and nothing after that moves it."""
    epochs = [[("ann", 1, 1), ("ann", 21, 1)], [change]]
    assert sessions(epochs, TENS, pw.temporal.exactly_once_behavior(5)) == [("ann", 1, 1, 4, 1)]


def replay(
    epochs: list[list[Visit]], joins: Callable[[int, int], bool], behavior: pw.temporal.Behavior
) -> list[Counter[tuple[str, int, int]]]:
    """The sessions that are to be seen after each epoch, by the simplest code."""
    delay: Any
    cutoff: Any
    if isinstance(behavior, pw.temporal.ExactlyOnceBehavior):
        once, delay, cutoff, keeps = True, None, behavior.shift, True
    else:
        once, delay, cutoff, keeps = False, behavior.delay, behavior.cutoff, behavior.keep_results
    watermark: int | None = None
    opened: dict[str, Counter[int]] = {}
    held: list[tuple[str, int, int]] = []
    kept: Counter[tuple[str, int, int]] = Counter()
    seen = []
    for epoch in epochs:
        for who, at, diff in epoch:
            if watermark is None or cutoff is None or at >= watermark - cutoff:
                opened.setdefault(who, Counter())[at] += diff
        now = max([at for _, at, diff in epoch if diff > 0] + ([] if watermark is None else [watermark]))
        watermark = now
        shown = Counter(kept)
        for who, times in opened.items():
            runs: list[list[int]] = []
            for at in sorted(times.elements()):
                if runs and (runs[-1][-1] == at or joins(runs[-1][-1], at)):
                    runs[-1].append(at)
                else:
                    runs.append([at])
            for run in runs:
                result = (who, run[0], len(run))
                if cutoff is not None and run[-1] + cutoff < now:
                    held.append(result)
                    for at in run:
                        times[at] = 0
                elif not once and (delay is None or run[0] + delay <= now):
                    shown[result] += 1
        over = [result for result in held if delay is None or result[1] + delay <= now]
        held = [result for result in held if result not in over]
        if keeps:
            kept.update(over)
            shown.update(over)
        seen.append(shown)
    return seen


PREDICATES: list[tuple[Callable[[Any, Any], Any], Callable[[int, int], bool]]] = [
    (lambda _, b: b % 10 != 0, lambda _, b: b % 10 != 0),
    (lambda a, b: b - a < 25, lambda a, b: b - a < 25),
    (lambda a, b: b - a > 4, lambda a, b: b - a > 4),
    (lambda a, b: (a // 12 == b // 12) | (b - a > 9), lambda a, b: a // 12 == b // 12 or b - a > 9),
]


@pytest.mark.parametrize("seed", range(40))
def test_sessions_by_a_predicate_are_those_of_a_replay(seed: int) -> None:
    chance = random.Random(seed)
    written, joins = PREDICATES[seed % len(PREDICATES)]
    delay, cutoff = chance.choice([None, 0, 3, 8, 20]), chance.choice([None, 0, 3, 8, 20])
    behavior: pw.temporal.Behavior = pw.temporal.common_behavior(delay, cutoff, chance.random() < 0.5)
    if chance.random() < 0.3:
        behavior = pw.temporal.exactly_once_behavior(chance.choice([0, 3, 8, 20]))
    present: list[tuple[str, int]] = []
    epochs: list[list[Visit]] = []
    for number in range(8):
        gone = chance.sample(present, len(present) // 3)
        for row in gone:
            present.remove(row)
        came = [(chance.choice(["ann", "bob"]), 8 * number + chance.randrange(-20, 8)) for _ in range(4)]
        came = [row for row in came if row not in gone]
        present += came
        epochs.append([(*row, -1) for row in gone] + [(*row, 1) for row in came])
    made = sessions(epochs, pw.temporal.session(predicate=written), behavior)
    total: Counter[tuple[Any, ...]] = Counter()
    for number, expected in enumerate(replay(epochs, joins, behavior)):
        for *columns, epoch, diff in made:
            if epoch == 2 * number + 2:
                total[tuple(columns)] += diff
        assert +total == expected, f"after epoch {number} of {epochs} with {behavior}"
        assert min(total.values(), default=0) >= 0
    if isinstance(behavior, pw.temporal.ExactlyOnceBehavior):
        assert all(change[-1] == 1 for change in made)


def test_points_in_time_have_durations() -> None:
    minute = datetime.timedelta(minutes=1)
    times = "\n".join(f"2026-01-01T10:{minutes:02}:00Z" for minutes in (0, 3, 9, 20))
    table = pw.debug.table_from_markdown(f"at\n{times}", schema=pw.schema_from_types(at=pw.DateTimeUtc))
    shown = windows(table, pw.temporal.tumbling(10 * minute), pw.temporal.exactly_once_behavior(5 * minute))
    assert [row[1] for row in changes(shown)] == [3]


@pytest.mark.parametrize("behavior", ["delay", "cutoff", "forgotten", "once"])
@pytest.mark.parametrize("window", [TUMBLING, SESSION, TENS], ids=["tumbling", "session", "predicate"])
def test_runs_go_on_with_each_others_windows(tmp_path: Path, window: pw.temporal.Window, behavior: str) -> None:
    """What is held back at the end of a run comes in a later one; each run is one epoch."""
    behaviors: dict[str, pw.temporal.Behavior] = {
        "delay": pw.temporal.common_behavior(delay=7),
        "cutoff": pw.temporal.common_behavior(cutoff=4),
        "forgotten": pw.temporal.common_behavior(delay=2, cutoff=4, keep_results=False),
        "once": pw.temporal.exactly_once_behavior(1),
    }
    behaves = behaviors[behavior]
    chance = random.Random(behavior)
    logs = tmp_path / "logs"
    logs.mkdir()
    epochs: list[list[int]] = []
    total: Counter[tuple[str, ...]] = Counter()
    for number in range(6):
        epochs.append([number * 8 + chance.randrange(-9, 9) for _ in range(4)])
        (logs / f"{number}.csv").write_text("at\n" + "".join(f"{at}\n" for at in epochs[-1]))
        pw.clear()
        source = pw.io.csv.read(logs, schema=pw.schema_from_types(at=int), mode="static", name="visits")
        pw.io.csv.write(windows(source, window, behaves), tmp_path / "out.csv")
        pw.run(
            monitoring_level=pw.MonitoringLevel.NONE,
            persistence_config=pw.persistence.Config(pw.persistence.Backend.filesystem(tmp_path / "state")),
            workers=1 + number % 3,
        )
        sum_up(total, tmp_path / "out.csv")
        at_once: Counter[tuple[str, ...]] = Counter()
        for start, n, _, diff in changes(windows(visits(epochs), window, behaves)):
            at_once[(str(start), str(n))] += diff
        assert total == +at_once, f"after run {number} of {epochs}"


def test_the_summary_tells_of_late_rows(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pw.clear()
    pw.io.csv.write(
        windows(visits([[1], [30], [2, 3]]), TUMBLING, pw.temporal.common_behavior(cutoff=0)), tmp_path / "out.csv"
    )
    pw.run()
    assert "4 rows read, 2 rows ignored as late, 2 changes written" in capfd.readouterr().err


def test_a_behaviour_shows_how_it_was_made() -> None:
    behavior = pw.temporal.common_behavior(delay=1, cutoff=2.5, keep_results=False)
    assert repr(behavior) == "common_behavior(delay=1, cutoff=2.5, keep_results=False)"
    assert repr(pw.temporal.exactly_once_behavior()) == "exactly_once_behavior(shift=None)"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: pw.temporal.common_behavior(delay=-1), "delay: -1 is negative"),
        (
            lambda: pw.temporal.common_behavior(cutoff="1"),  # type: ignore[arg-type]
            'cutoff: expected an int or a float, got "1" (str)',
        ),
        (
            lambda: pw.temporal.common_behavior(keep_results=1),  # type: ignore[arg-type]
            "keep_results: expected True or False, got 1",
        ),
        (
            lambda: pw.temporal.exactly_once_behavior(datetime.timedelta(seconds=-1)),
            "shift: -1 day, 23:59:59 is negative",
        ),
        (
            lambda: windows(visits([[1]]), TUMBLING, 5),  # type: ignore[arg-type]
            "behavior: expected a behavior, got 5",
        ),
        (
            lambda: windows(visits([[1]]), TUMBLING, pw.temporal.exactly_once_behavior(0.5)),
            'shift is 0.5, which is float, but column "at" is int',
        ),
        (
            lambda: windows(visits([[1]]), SESSION, pw.temporal.exactly_once_behavior(datetime.timedelta(1))),
            "shift is datetime.timedelta(seconds=86400), but must be a number",
        ),
    ],
)
def test_a_wrong_behaviour_is_refused(make, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(pw.InvalidError) as caught:
        make()
    assert message in str(caught.value)
    assert caught.value.origin is not None and "test_behaviors.py:" in caught.value.origin
