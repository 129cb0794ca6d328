"""Types of points in time and of durations, and their values in Python."""

from __future__ import annotations

import datetime

from millpond._check import invalid, show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    NativeTime: TypeAlias = tuple[str, int]
    """A value as the engine takes it: type and nanoseconds."""


class DateTimeNaive(datetime.datetime):
    """The type of points in time without a zone, to the nanosecond: an annotation in a `Schema`.

    A value is written as a ``datetime.datetime`` without a ``tzinfo``, and read as one. Python's datetimes have
    microseconds only: what is finer is kept in tables and files, and cut off where a value becomes a Python object. In
    CSV and JSON lines a value reads ``2026-11-22T10:00:00.123456789``.

    Examples:
        >>> import datetime
        >>> import millpond as pw
        >>> class Visit(pw.Schema):
        ...     at: pw.DateTimeNaive
        ...     left: pw.DateTimeNaive | None
        >>> visits = pw.debug.table_from_markdown('''
        ...     at                  | left
        ...     2026-11-22T10:00:00 | 2026-11-22T10:00:30
        ...     2026-11-22T23:59:00 | 2026-11-23T01:00:00
        ... ''', schema=Visit)
        >>> pw.debug.compute_and_print(visits.select(
        ...     pw.this.at,
        ...     stay=pw.this.left - pw.this.at,
        ...     next_day=pw.this.left >= datetime.datetime(2026, 11, 23),
        ... ))
        at                  | stay    | next_day
        2026-11-22 10:00:00 | 0:00:30 | False
        2026-11-22 23:59:00 | 1:01:00 | True
    """

    __slots__ = ()


class DateTimeUtc(datetime.datetime):
    """The type of points in time in UTC, to the nanosecond: an annotation in a `Schema`.

    A value is written as a ``datetime.datetime`` with a ``tzinfo``, and read as one in UTC, cut to microseconds. In
    CSV and JSON lines a value reads ``2026-11-22T10:00:00.123456789Z``; an offset such as ``+05:30`` is read, too.
    """

    __slots__ = ()


class Duration(datetime.timedelta):
    """The type of durations, to the nanosecond: an annotation in a `Schema`.

    A value is written as a ``datetime.timedelta``, and read as one, cut to microseconds. In CSV and JSON lines
    a value reads ``P1DT2H3M4.5S``.
    """

    __slots__ = ()


_EPOCH = datetime.datetime(1970, 1, 1)
_EPOCH_UTC = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
_MICROSECOND = datetime.timedelta(microseconds=1)


def from_nanoseconds(ty: str, nanoseconds: int) -> datetime.datetime | datetime.timedelta:
    """A value of the engine; what is finer than a microsecond is cut off, towards minus infinity."""
    duration = datetime.timedelta(microseconds=nanoseconds // 1000)
    if ty == "Duration":
        return duration
    return duration + (_EPOCH if ty == "DateTimeNaive" else _EPOCH_UTC)


def of_object(value: object) -> NativeTime | None:
    """Any value as the engine takes it; nothing for what is neither a point in time nor a duration."""
    return to_native(value) if isinstance(value, (datetime.datetime, datetime.timedelta)) else None


def to_native(value: datetime.datetime | datetime.timedelta) -> NativeTime:
    """A value as the engine takes it."""
    if isinstance(value, datetime.timedelta):
        ty, duration = "Duration", value
    elif value.utcoffset() is None:
        ty, duration = "DateTimeNaive", value.replace(tzinfo=None) - _EPOCH
    else:
        ty, duration = "DateTimeUtc", value - _EPOCH_UTC
    nanoseconds = duration // _MICROSECOND * 1000
    if not -(2**63) <= nanoseconds < 2**63:
        raise invalid(f"{show(value)} does not fit into 64 bits of nanoseconds")
    return ty, nanoseconds
