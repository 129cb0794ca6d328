"""Windows over time.

Windows group the rows of a table by their time, for `Table.windowby`. The bounds of tumbling and sliding windows hang
on no row: window ``k`` is ``[start, end)`` with ``start = k * hop + origin``, for every int ``k``, or from 0 on if an
origin is given. Bounds are points in time where the time is one (a missing origin is then 1970-01-01, and lengths are
given as ``datetime.timedelta``), ints where it is an int, and floats where it is a float; with floats, each operation
of that formula rounds once, and the bounds that a result shows are those that decide.

A behaviour says when the result of a window is shown, and when the window is over, so that its state can be freed. Both
go by the *watermark*: the greatest time of all rows that were added so far, over all instances and all runs of the
program. It moves only between epochs (the commits of a streaming run, the runs of a static one). Rows are compared with
the watermark before their epoch, and windows with the watermark after it, so a run that reads everything at once
ignores nothing.

The end of a run shows nothing and closes nothing: the next run goes on with the same windows, so what is held back
waits in the state. A program that runs without state never shows what its input did not make due.
"""

from __future__ import annotations

import datetime

from millpond import _native
from millpond._check import flag, invalid, number, show, whole_number
from millpond._expression import ColumnExpression, to_expression
from millpond._origin import here
from millpond._time import to_native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    from millpond._expression import Operand

    Length: TypeAlias = int | float | datetime.timedelta
    """A distance in time, in the unit of the time column."""

    Time: TypeAlias = int | float | datetime.datetime
    """A point in time, as the time column has them."""

__all__ = [
    "CommonBehavior",
    "ExactlyOnceBehavior",
    "SessionWindow",
    "SlidingWindow",
    "common_behavior",
    "exactly_once_behavior",
    "session",
    "sliding",
    "tumbling",
]


class SessionWindow:
    """Maximal runs of rows in which neighbours are no further apart than ``max_gap``, or fulfil ``predicate``."""

    __slots__ = ("max_gap", "predicate")

    def __init__(self, max_gap: Length | None, predicate: ColumnExpression | None) -> None:
        self.max_gap = max_gap
        self.predicate = predicate

    def __repr__(self) -> str:
        if self.predicate is not None:
            return f"session(predicate={self.predicate._native})"
        return f"session(max_gap={self.max_gap})"


class SlidingWindow:
    """Windows of one length that start one ``hop`` apart: as long as ``duration``, or else as ``ratio`` hops."""

    __slots__ = ("duration", "hop", "origin", "ratio")

    def __init__(
        self,
        hop: Length,
        duration: Length | None,
        ratio: int,
        origin: Time | None,
    ) -> None:
        self.hop = hop
        self.duration = duration
        self.ratio = ratio
        self.origin = origin

    def __repr__(self) -> str:
        origin = "" if self.origin is None else f", origin={self.origin}"
        if self.duration is not None:
            return f"sliding(hop={self.hop}, duration={self.duration}{origin})"
        if self.ratio == 1:
            return f"tumbling(duration={self.hop}{origin})"
        return f"sliding(hop={self.hop}, ratio={self.ratio}{origin})"


class CommonBehavior:
    """Windows that are shown after a delay and closed after a cutoff, from `common_behavior`."""

    __slots__ = ("cutoff", "delay", "keep_results")

    def __init__(self, delay: Length | None, cutoff: Length | None, keep_results: bool) -> None:
        self.delay = delay
        self.cutoff = cutoff
        self.keep_results = keep_results

    def __repr__(self) -> str:
        return f"common_behavior(delay={self.delay}, cutoff={self.cutoff}, keep_results={self.keep_results})"


class ExactlyOnceBehavior:
    """Windows that are shown once, when they are closed, from `exactly_once_behavior`."""

    __slots__ = ("shift",)

    def __init__(self, shift: Length | None) -> None:
        self.shift = shift

    def __repr__(self) -> str:
        return f"exactly_once_behavior(shift={self.shift})"


if TYPE_CHECKING:
    Window: TypeAlias = SessionWindow | SlidingWindow
    """How `Table.windowby` cuts a table."""

    Behavior: TypeAlias = CommonBehavior | ExactlyOnceBehavior
    """When the windows of `Table.windowby` are shown, and when they are over."""


def session(
    *,
    predicate: Callable[[ColumnExpression, ColumnExpression], Operand] | None = None,
    max_gap: Length | None = None,
) -> SessionWindow:
    """Sessions: neighbouring rows are in one session if they are at most ``max_gap`` apart, or fulfil ``predicate``.

    Rows of one time are in one session in any case. A predicate may be anything that can be said of two times. With
    it, all rows are kept in the state, and a late row costs as much as the session that it falls into is long. With a
    behaviour, such a session is over with its last row: see `common_behavior` for the cutoff that it needs.

    Args:
        predicate: A function of two neighbouring times, the earlier one first, that gives an expression of type bool;
            called once, with expressions.
        max_gap: The largest distance of neighbours, in the unit of the time column (a ``timedelta`` where that holds
            points in time); equal joins. Of floats, it is the difference of both times, as a float, that counts.

    Examples:
        >>> import millpond as pw
        >>> pw.temporal.session(max_gap=300)
        session(max_gap=300)
        >>> table = pw.debug.table_from_markdown('''
        ...     at
        ...     1
        ...     5
        ...     11
        ...     18
        ... ''')
        >>> window = pw.temporal.session(predicate=lambda a, b: abs(a - b) < 7)
        >>> pw.debug.compute_and_print(table.windowby(table.at, window=window).reduce(
        ...     start=pw.this._pw_window_start,
        ...     end=pw.this._pw_window_end,
        ...     rows=pw.reducers.count(),
        ... ))
        start | end | rows
        1     | 11  | 3
        18    | 18  | 1
    """
    if (predicate is None) == (max_gap is None):
        problem = "neither is" if max_gap is None else "both are"
        raise invalid(f"session: max_gap or predicate says which rows are in one session; {problem} given")
    if predicate is not None:
        return SessionWindow(None, _of_times(predicate))
    if isinstance(max_gap, datetime.timedelta):
        if max_gap < datetime.timedelta(0):
            raise invalid(f"max_gap: {max_gap} is negative")
        return SessionWindow(max_gap, None)
    gap = _number(max_gap, "max_gap")
    if gap < 0:
        raise invalid(f"max_gap: {gap} is negative")
    return SessionWindow(gap, None)


def _of_times(predicate: object) -> ColumnExpression:
    """What a predicate gives for two times."""
    if not callable(predicate):
        raise invalid(
            f"predicate: expected a function of two times, got {show(predicate)}",
            hint="predicate=lambda a, b: b - a < 10",
        )
    times = [ColumnExpression(_native.Expr.column(name, here())) for name in ("a", "b")]
    result = to_expression(predicate(*times))
    if result._native.names_tables():
        raise invalid(f"predicate: {result._native} uses a table, but it sees the times of two neighbouring rows only")
    return result


def tumbling(duration: Length, origin: Time | None = None) -> SlidingWindow:
    """Windows that follow each other without gap or overlap: each row is in exactly one.

    Args:
        duration: How long a window is, in the unit of the time column: a ``timedelta`` where that holds points in time.
        origin: Where the first window starts; rows before it are in no window. Without it, windows start at all
            multiples of the duration.

    Examples:
        >>> import millpond as pw
        >>> visits = pw.debug.table_from_markdown('''
        ...     user  | at
        ...     alice | 3
        ...     alice | 9
        ...     bob   | 5
        ...     alice | 10
        ... ''')
        >>> pw.debug.compute_and_print(
        ...     visits.windowby(visits.at, window=pw.temporal.tumbling(duration=10), instance=visits.user).reduce(
        ...         visits.user,
        ...         start=pw.this._pw_window_start,
        ...         end=pw.this._pw_window_end,
        ...         visits=pw.reducers.count(),
        ...     )
        ... )
        user  | start | end | visits
        alice | 0     | 10  | 2
        alice | 10    | 20  | 1
        bob   | 0     | 10  | 1
    """
    return SlidingWindow(_length(duration, "duration"), None, 1, _origin(origin))


def sliding(
    hop: Length,
    duration: Length | None = None,
    ratio: int | None = None,
    origin: Time | None = None,
) -> SlidingWindow:
    """Windows that start every ``hop``: each row is in all that hold its time.

    Args:
        hop: The distance between the starts of neighbouring windows, in the unit of the time column.
        duration: How long a window is. With a hop above it, rows between two windows are in none.
        ratio: The length in hops, in place of ``duration``.
        origin: Where the first window starts. Without it, windows start at all multiples of the hop.

    Examples:
        >>> import millpond as pw
        >>> visits = pw.debug.table_from_markdown('''
        ...     at
        ...     3
        ...     9
        ...     12
        ... ''')
        >>> pw.debug.compute_and_print(
        ...     visits.windowby(visits.at, window=pw.temporal.sliding(hop=5, duration=10)).reduce(
        ...         start=pw.this._pw_window_start,
        ...         end=pw.this._pw_window_end,
        ...         visits=pw.reducers.count(),
        ...     )
        ... )
        start | end | visits
        -5    | 5   | 1
        0     | 10  | 2
        5     | 15  | 2
        10    | 20  | 1
    """
    hop = _length(hop, "hop")
    if (duration is None) == (ratio is None):
        problem = "neither is" if ratio is None else "both are"
        raise invalid(f"sliding: duration or ratio says how long a window is; {problem} given")
    if ratio is not None:
        return SlidingWindow(hop, None, whole_number(ratio, "ratio", least=1), _origin(origin))
    return SlidingWindow(hop, _length(duration, "duration"), 1, _origin(origin))


def common_behavior(
    delay: Length | None = None,
    cutoff: Length | None = None,
    keep_results: bool = True,
) -> CommonBehavior:
    """Windows that are shown after a delay, and closed after a cutoff.

    The watermark is the greatest time of all rows added so far, even of one that was removed again, be it in the same
    commit. Late rows are ignored, removals like others; the summary of a run says how many there were. A cutoff as
    large as the greatest disorder of the rows ignores none.

    A session by a predicate is over with its last row. A row that comes after it was closed does not join it, even
    where the predicate holds of the two times: it begins a session of its own. Let the cutoff be as large as the
    longest pause for which the predicate holds, and as the disorder of the rows on top of it.

    Args:
        delay: A window is shown once the watermark is at least its start and this. Without it, it is shown at once.
        cutoff: A tumbling or sliding window is closed once the watermark is at least its end and this, and its rows are
            late from then on. A session is closed once the watermark is past its end, ``max_gap`` and this (with a
            ``predicate``, past its end and this); a row of sessions is late if it is more than this behind the
            watermark. The result of a closed window does not change any more, and its state is freed. Without a
            cutoff, a window is never closed.
        keep_results: Whether the result of a closed window stays; otherwise it is removed.

    Examples:
        When the last two rows come, the watermark is 28: the window of the row at 8 is closed since 20, that of the
        row at 17 will be closed at 30.

        >>> import millpond as pw
        >>> visits = pw.debug.table_from_markdown('''
        ...     at | __time__
        ...     3  | 2
        ...     28 | 4
        ...     8  | 6
        ...     17 | 6
        ... ''')
        >>> behavior = pw.temporal.common_behavior(cutoff=10)
        >>> pw.debug.compute_and_print(
        ...     visits.windowby(visits.at, window=pw.temporal.tumbling(duration=10), behavior=behavior).reduce(
        ...         start=pw.this._pw_window_start,
        ...         visits=pw.reducers.count(),
        ...     )
        ... )
        start | visits
        0     | 1
        10    | 1
        20    | 1
    """
    return CommonBehavior(_distance(delay, "delay"), _distance(cutoff, "cutoff"), flag(keep_results, "keep_results"))


def exactly_once_behavior(shift: Length | None = None) -> ExactlyOnceBehavior:
    """Windows that are shown once, when they are closed: no result is ever changed or removed.

    Args:
        shift: How long a window stays open: the ``cutoff`` of `common_behavior`. Without it, a tumbling or sliding
            window is closed at its end, and a session when the watermark is more than ``max_gap`` past its last row;
            with a ``predicate``, when the watermark is past its last row, so give it the longest pause that the
            predicate allows.

    Examples:
        The window from 20 on may still get rows, so it is not shown.

        >>> import millpond as pw
        >>> visits = pw.debug.table_from_markdown('''
        ...     at
        ...     3
        ...     9
        ...     12
        ...     20
        ... ''')
        >>> pw.debug.compute_and_print(
        ...     visits.windowby(
        ...         visits.at,
        ...         window=pw.temporal.tumbling(duration=10),
        ...         behavior=pw.temporal.exactly_once_behavior(),
        ...     ).reduce(start=pw.this._pw_window_start, visits=pw.reducers.count())
        ... )
        start | visits
        0     | 2
        10    | 1
    """
    return ExactlyOnceBehavior(_distance(shift, "shift"))


def check_behavior(behavior: object) -> _native.Behavior | None:
    """The behaviour of a ``windowby``, as the engine takes it."""
    if behavior is None:
        return None
    if isinstance(behavior, CommonBehavior):
        return _native.Behavior.common(native(behavior.delay), native(behavior.cutoff), behavior.keep_results)
    if isinstance(behavior, ExactlyOnceBehavior):
        return _native.Behavior.exactly_once(native(behavior.shift))
    hint = "behavior=pw.temporal.exactly_once_behavior()"
    raise invalid(f"behavior: expected a behavior, got {show(behavior)}", hint=hint)


def check_window(window: object) -> Window:
    """The window of a ``windowby``."""
    if not isinstance(window, (SessionWindow, SlidingWindow)):
        raise invalid(f"window: expected a window, got {show(window)}", hint="window=pw.temporal.session(max_gap=300)")
    return window


def native(value: Any) -> Any:
    """A number of a window as the engine takes it."""
    return to_native(value) if isinstance(value, (datetime.datetime, datetime.timedelta)) else value


def _number(value: object, what: str, *, positive: bool = False) -> int | float:
    """A number, or the error of what is none; a text may say a duration, which here is a ``timedelta``."""
    if isinstance(value, str):
        raise invalid(
            f"{what}: expected an int or a float, got {show(value)} (str)",
            hint=f"{what}={_timedelta(value)} where the time column holds points in time, else a number",
        )
    return number(value, what, positive=positive)


def _timedelta(text: str) -> str:
    """The ``timedelta`` that a text such as ``"5min"`` means."""
    digits = text[: len(text) - len(text.lstrip("0123456789"))]
    unit = text[len(digits) :].strip().lower()
    for word, letters in _UNITS.items():
        if unit in (word, word[:-1], *letters) and unit:
            return f"datetime.timedelta({word}={int(digits or 1)})"
    return "datetime.timedelta(minutes=5)"


_UNITS = {
    "weeks": ("w",),
    "days": ("d",),
    "hours": ("h", "hr", "hrs"),
    "minutes": ("m", "min", "mins", "t"),
    "seconds": ("s", "sec", "secs"),
    "milliseconds": ("ms",),
}


def _length(length: object, what: str) -> Length:
    if not isinstance(length, datetime.timedelta):
        return _number(length, what, positive=True)
    if length <= datetime.timedelta(0):
        raise invalid(f"{what}: {length} is not more than 0")
    return length


def _distance(distance: Length | None, what: str) -> Length | None:
    if distance is None:
        return None
    if isinstance(distance, datetime.timedelta):
        negative = distance < datetime.timedelta(0)
    else:
        negative = _number(distance, what) < 0
    if negative:
        raise invalid(f"{what}: {distance} is negative")
    return distance


def _origin(origin: Time | None) -> Time | None:
    return origin if origin is None or isinstance(origin, datetime.datetime) else number(origin, "origin")
