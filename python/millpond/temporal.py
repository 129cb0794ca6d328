"""Windows over time.

Windows group the rows of a table by their time, for `Table.windowby`. The bounds of tumbling and sliding windows hang
on no row: window ``k`` is ``[start, end)`` with ``start = k * hop + origin``, for every int ``k``, or from 0 on if an
origin is given. Bounds are points in time where the time is one (a missing origin is then 1970-01-01, and lengths are
given as ``datetime.timedelta``), ints where it is an int, and floats where it is a float; with floats, each operation
of that formula rounds once, and the bounds that a result shows are those that decide.
"""

from __future__ import annotations

import datetime

from millpond import _native
from millpond._check import invalid, number, show, whole_number
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

__all__ = ["SessionWindow", "SlidingWindow", "session", "sliding", "tumbling"]


class SessionWindow:
    """Maximal runs of rows in which neighbours are no further apart than ``max_gap``, or fulfil ``predicate``."""

    __slots__ = ("max_gap", "predicate")

    def __init__(self, max_gap: int | datetime.timedelta | None, predicate: ColumnExpression | None) -> None:
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


if TYPE_CHECKING:
    Window: TypeAlias = SessionWindow | SlidingWindow
    """How `Table.windowby` cuts a table."""


def session(
    *,
    predicate: Callable[[ColumnExpression, ColumnExpression], Operand] | None = None,
    max_gap: int | datetime.timedelta | None = None,
) -> SessionWindow:
    """Sessions: neighbouring rows are in one session if they are at most ``max_gap`` apart, or fulfil ``predicate``.

    Rows of one time are in one session in any case. A predicate may be anything that can be said of two times. With
    it, all rows are kept in the state, and a late row costs as much as the session that it falls into is long.

    Args:
        predicate: A function of two neighbouring times, the earlier one first, that gives an expression of type bool;
            called once, with expressions.
        max_gap: The largest distance of neighbours, in the unit of the time column (a ``timedelta`` where that holds
            points in time); equal joins.

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
    return SessionWindow(whole_number(max_gap, "max_gap", least=0), None)


def _of_times(predicate: object) -> ColumnExpression:
    """What a predicate gives for two times."""
    if not callable(predicate):
        raise invalid(
            f"predicate: expected a function of two times, got {show(predicate)}",
            hint="predicate=lambda a, b: b - a < 10",
        )
    times = [ColumnExpression(_native.Expr.column(name, here()), ()) for name in ("a", "b")]
    result = to_expression(predicate(*times))
    if result._tables:
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


def check_window(window: object) -> Window:
    """The window of a ``windowby``."""
    if not isinstance(window, (SessionWindow, SlidingWindow)):
        raise invalid(f"window: expected a window, got {show(window)}", hint="window=pw.temporal.session(max_gap=300)")
    return window


def native(value: Any) -> Any:
    """A number of a window as the engine takes it."""
    return to_native(value) if isinstance(value, (datetime.datetime, datetime.timedelta)) else value


def _length(length: object, what: str) -> Length:
    if not isinstance(length, datetime.timedelta):
        return number(length, what, positive=True)
    if length <= datetime.timedelta(0):
        raise invalid(f"{what}: {length} is not more than 0")
    return length


def _origin(origin: Time | None) -> Time | None:
    return origin if origin is None or isinstance(origin, datetime.datetime) else number(origin, "origin")
