"""Functions of points in time and durations: what ``expression.dt`` offers."""

from __future__ import annotations

from millpond._check import choice, flag, words
from millpond._expression import ColumnExpression, to_expression
from millpond._names import is_looked_for, no_attribute
from millpond._origin import here

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from millpond._expression import Operand

_UNITS = ("s", "ms", "us", "ns")


class DateTimeNamespace:
    """The functions of a point in time (`DateTimeNaive`, `DateTimeUtc`), a `Duration`, or a number that is a timestamp.

    Arguments are values or expressions; where one of them or the subject is null, the result is null. Parts of a point
    are those that its text shows, before 1970 as well; those of a `DateTimeUtc` are in UTC. Whole units of a duration
    are cut off towards zero: 90 minutes are one hour, and -90 minutes are -1 hour.

    Examples:
        >>> import datetime
        >>> import millpond as pw
        >>> visits = pw.debug.table_from_markdown('''
        ...     at                  | left
        ...     2026-11-22T10:40:00 | 2026-11-22T12:10:30
        ... ''', schema=pw.schema_from_types(at=pw.DateTimeNaive, left=pw.DateTimeNaive))
        >>> pw.debug.compute_and_print(visits.select(
        ...     year=pw.this.at.dt.year(),
        ...     weekday=pw.this.at.dt.weekday(),
        ...     hour=pw.this.at.dt.floor(datetime.timedelta(hours=1)),
        ...     minutes=(pw.this.left - pw.this.at).dt.minutes(),
        ...     seconds=pw.this.at.dt.timestamp(unit="s"),
        ... ))
        year | weekday | hour                | minutes | seconds
        2026 | 6       | 2026-11-22 10:00:00 | 90      | 1795344000.0
    """

    __slots__ = ("_expression",)

    def __init__(self, expression: ColumnExpression) -> None:
        self._expression = expression

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> None:
            subject = None if is_looked_for(name) else self._expression._operand()
            raise no_attribute("DateTimeNamespace", name, dir(DateTimeNamespace), subject=subject)

    def nanosecond(self) -> ColumnExpression:
        """The nanoseconds since the last full second, 0 to 999,999,999."""
        return self._call("nanosecond")

    def microsecond(self) -> ColumnExpression:
        """The whole microseconds since the last full second, 0 to 999,999, as in Python's ``datetime``."""
        return self._call("microsecond")

    def millisecond(self) -> ColumnExpression:
        """The whole milliseconds since the last full second, 0 to 999."""
        return self._call("millisecond")

    def second(self) -> ColumnExpression:
        """The second, 0 to 59."""
        return self._call("second")

    def minute(self) -> ColumnExpression:
        """The minute, 0 to 59."""
        return self._call("minute")

    def hour(self) -> ColumnExpression:
        """The hour, 0 to 23."""
        return self._call("hour")

    def day(self) -> ColumnExpression:
        """The day of the month, from 1."""
        return self._call("day")

    def month(self) -> ColumnExpression:
        """The month, 1 to 12."""
        return self._call("month")

    def year(self) -> ColumnExpression:
        """The year."""
        return self._call("year")

    def weekday(self) -> ColumnExpression:
        """The day of the week, 0 for Monday to 6 for Sunday."""
        return self._call("weekday")

    def nanoseconds(self) -> ColumnExpression:
        """The nanoseconds of a duration."""
        return self._call("nanoseconds")

    def microseconds(self) -> ColumnExpression:
        """The whole microseconds of a duration."""
        return self._call("microseconds")

    def milliseconds(self) -> ColumnExpression:
        """The whole milliseconds of a duration."""
        return self._call("milliseconds")

    def seconds(self) -> ColumnExpression:
        """The whole seconds of a duration."""
        return self._call("seconds")

    def minutes(self) -> ColumnExpression:
        """The whole minutes of a duration."""
        return self._call("minutes")

    def hours(self) -> ColumnExpression:
        """The whole hours of a duration."""
        return self._call("hours")

    def days(self) -> ColumnExpression:
        """The whole days of a duration, each of 24 hours."""
        return self._call("days")

    def weeks(self) -> ColumnExpression:
        """The whole weeks of a duration."""
        return self._call("weeks")

    def timestamp(self, unit: Literal["s", "ms", "us", "ns"] | None = None) -> ColumnExpression:
        """How long after 1970-01-01T00:00:00 a point is; negative before.

        Args:
            unit: What is counted, in a ``float``. Without it, nanoseconds in an ``int``, which are exact.
        """
        unit_name = None if unit is None else choice(unit, "unit", _UNITS)
        native = self._expression._native.timestamp(unit_name, here())
        return ColumnExpression(native)

    def from_timestamp(self, unit: Literal["s", "ms", "us", "ns"]) -> ColumnExpression:
        """The `DateTimeNaive` that is so many units after 1970-01-01T00:00:00; of a ``float``, the nearest nanosecond.

        A point outside the years 1677 to 2262 cannot be computed: it stops the run unless ``fill_error`` gives it a
        value.

        Args:
            unit: What the number counts.
        """
        native = self._expression._native.from_timestamp(choice(unit, "unit", _UNITS), False, here())
        return ColumnExpression(native)

    def utc_from_timestamp(self, unit: Literal["s", "ms", "us", "ns"]) -> ColumnExpression:
        """The `DateTimeUtc` that is so many units after 1970-01-01T00:00:00Z; see `from_timestamp`.

        Args:
            unit: What the number counts.
        """
        native = self._expression._native.from_timestamp(choice(unit, "unit", _UNITS), True, here())
        return ColumnExpression(native)

    def floor(self, duration: Operand) -> ColumnExpression:
        """The last point that is not later, of those that are a multiple of ``duration`` from 1970-01-01T00:00:00.

        So weeks begin on Thursdays. The sign of ``duration`` does not matter; by a duration of 0 the cell cannot be
        computed, nor where the result is outside 64 bits of nanoseconds.
        """
        return self._call("floor", duration)

    def round(self, duration: Operand) -> ColumnExpression:
        """The nearest of the points that `floor` knows; the later one of two that are equally near."""
        return self._call("round", duration)

    def strftime(self, fmt: str) -> ColumnExpression:
        """A point as text, in the words of Python's ``strftime``, with English names.

        The words are ``%Y %y %G %m %B %b %h %d %e %j %U %W %V %A %a %u %w``, ``%H %k %I %l %p %P %M %S %f``, ``%F %D %T
        %R``, ``%n %t %%``, and of a `DateTimeUtc` ``%z`` (``+0000``), ``%:z`` (``+00:00``) and ``%Z`` (``UTC``). ``%f``
        has 6 digits, ``%3f`` and ``%9f`` have so many; digits beyond are cut off. ``%-d`` has no leading zero. Any
        other word is an error before anything runs.

        Examples:
            >>> import millpond as pw
            >>> visits = pw.debug.table_from_markdown('''
            ...     at
            ...     2026-11-22T10:40:00.25
            ... ''', schema=pw.schema_from_types(at=pw.DateTimeNaive))
            >>> pw.debug.compute_and_print(visits.select(
            ...     date=pw.this.at.dt.strftime("%a %d %b %Y"), time=pw.this.at.dt.strftime("%I:%M:%S.%f %p")
            ... ))
            date            | time
            Sun 22 Nov 2026 | 10:40:00.250000 AM
        """
        return ColumnExpression(self._expression._native.strftime(words(fmt, "fmt"), here()))

    def strptime(self, fmt: str, contains_timezone: bool | None = None) -> ColumnExpression:
        """The point that a text spells, in the words of `strftime`.

        It is a `DateTimeUtc` if the format has an offset (``%z`` reads ``+0100``, ``%:z`` reads ``+01:00``), a
        `DateTimeNaive` otherwise. The format must have a date; hours and smaller units that it does not have are 0.
        ``%f`` reads 1 to 9 digits of a fraction. Upper and lower case of names are the same, zeros in front may be
        missing, and a weekday must be that of the date. A text that does not fit cannot be computed, nor can a point
        outside the years 1677 to 2262: it stops the run unless ``fill_error`` gives it a value.

        Args:
            fmt: How the text is written.
            contains_timezone: Whether the format has an offset; if given, it must be so.

        Examples:
            >>> import millpond as pw
            >>> lines = pw.debug.table_from_markdown('''
            ...     text
            ...     22/Nov/2026:10:40:00+0100
            ... ''')
            >>> pw.debug.compute_and_print(lines.select(at=pw.this.text.dt.strptime("%d/%b/%Y:%H:%M:%S%z")))
            at
            2026-11-22 09:40:00+00:00
        """
        expected = None if contains_timezone is None else flag(contains_timezone, "contains_timezone")
        native = self._expression._native.strptime(words(fmt, "fmt"), expected, here())
        return ColumnExpression(native)

    def to_utc(self, from_timezone: str) -> ColumnExpression:
        """The `DateTimeUtc` at which clocks of a time zone show a `DateTimeNaive`.

        Of a time that clocks show twice, it is the first instant; a time that they skip is read with the offset before
        the gap. So Python's ``zoneinfo`` has it with ``fold=0``. The time zones of the IANA database are built in.

        Args:
            from_timezone: The name of the zone, such as ``"Europe/Berlin"``.

        Examples:
            >>> import millpond as pw
            >>> visits = pw.debug.table_from_markdown('''
            ...     at
            ...     2026-03-29T01:30:00
            ...     2026-03-29T02:30:00
            ... ''', schema=pw.schema_from_types(at=pw.DateTimeNaive))
            >>> pw.debug.compute_and_print(visits.select(utc=pw.this.at.dt.to_utc("Europe/Berlin")))
            utc
            2026-03-29 00:30:00+00:00
            2026-03-29 01:30:00+00:00
        """
        native = self._expression._native.to_utc(words(from_timezone, "from_timezone"), here())
        return ColumnExpression(native)

    def to_naive_in_timezone(self, timezone: str) -> ColumnExpression:
        """The `DateTimeNaive` that clocks of a time zone show at a `DateTimeUtc`.

        Args:
            timezone: The name of the zone, such as ``"Europe/Berlin"``.
        """
        native = self._expression._native.to_naive_in_timezone(words(timezone, "timezone"), here())
        return ColumnExpression(native)

    def add_duration_in_timezone(self, duration: Operand, timezone: str) -> ColumnExpression:
        """What clocks of a time zone show so long after they show a `DateTimeNaive`.

        Args:
            duration: How long, a `Duration`; a day is 24 hours, also where clocks are set.
            timezone: The name of the zone.

        Examples:
            >>> import datetime
            >>> import millpond as pw
            >>> nights = pw.debug.table_from_markdown('''
            ...     at
            ...     2026-03-29T01:30:00
            ... ''', schema=pw.schema_from_types(at=pw.DateTimeNaive))
            >>> hour = datetime.timedelta(hours=1)
            >>> pw.debug.compute_and_print(nights.select(
            ...     later=pw.this.at.dt.add_duration_in_timezone(hour, "Europe/Berlin")
            ... ))
            later
            2026-03-29 03:30:00
        """
        return (self.to_utc(timezone) + duration).dt.to_naive_in_timezone(timezone)

    def subtract_duration_in_timezone(self, duration: Operand, timezone: str) -> ColumnExpression:
        """What clocks of a time zone show so long before they show a `DateTimeNaive`.

        Args:
            duration: How long, a `Duration`; a day is 24 hours, also where clocks are set.
            timezone: The name of the zone.
        """
        return (self.to_utc(timezone) - duration).dt.to_naive_in_timezone(timezone)

    def subtract_date_time_in_timezone(self, date_time: Operand, timezone: str) -> ColumnExpression:
        """The `Duration` from one `DateTimeNaive` to this one, both as clocks of a time zone show them.

        Args:
            date_time: The point to count from.
            timezone: The name of the zone.
        """
        return self.to_utc(timezone) - to_expression(date_time).dt.to_utc(timezone)

    def _call(self, function: str, *arguments: Operand) -> ColumnExpression:
        expressions = [to_expression(argument) for argument in arguments]
        native = self._expression._native.time(function, [argument._native for argument in expressions], here())
        return ColumnExpression(native)

    def __repr__(self) -> str:
        return f"<millpond.DateTimeNamespace of {self._expression._native}>"
