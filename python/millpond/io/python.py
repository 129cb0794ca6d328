"""Tables of rows that the program itself brings, and changes handed to an object of the program."""

from __future__ import annotations

import abc

from millpond import _check, _native
from millpond._errors import InputError, InvalidError
from millpond._names import no_argument
from millpond._origin import describe, here
from millpond._schema import native_columns, primary_key
from millpond._table import Table
from millpond.io._subscribe import subscribe

TYPE_CHECKING = False
if TYPE_CHECKING:
    import threading
    from typing import Any, ClassVar, Literal, NoReturn

    from millpond._schema import Schema

__all__ = ["ConnectorObserver", "ConnectorSubject", "read", "write"]


class ConnectorSubject(abc.ABC):
    """What brings the rows of a table: derive from it, and hand rows over in `run`.

    `read` makes the table. Each ``pw.run()`` calls `run` on a thread of its own. What was handed over up to a `commit`
    is one epoch: its changes have one ``time``, and count together or not at all. When `run` returns, the table is
    complete; a program that reads nothing else then ends. An exception in `run` ends the program with that exception.

    If the schema has a primary key (``pw.column_definition(primary_key=True)``), a row replaces the one before it with
    the same key, and `_remove` takes it away. Otherwise rows add up.

    A program that saves its state needs to know where the subject was: such a subject has a method `seek`, and says its
    position in every `commit`.

    Examples:
        >>> import millpond as pw
        >>> class Price(pw.Schema):
        ...     item: str = pw.column_definition(primary_key=True)
        ...     price: float
        >>> class Prices(pw.io.python.ConnectorSubject):
        ...     def run(self):
        ...         self.next(item="tea", price=2.5)
        ...         self.next(item="jam", price=4)
        ...         self.commit()
        ...         self.next(item="tea", price=2.75)
        ...         self._remove(item="jam")
        >>> prices = pw.io.python.read(Prices(), schema=Price)
        >>> pw.debug.compute_and_print_update_stream(prices)
        item | price | __time__ | __diff__
        jam  | 4.0   | 2        | 1
        tea  | 2.5   | 2        | 1
        jam  | 4.0   | 4        | -1
        tea  | 2.5   | 4        | -1
        tea  | 2.75  | 4        | 1
    """

    deletions_enabled: ClassVar[bool] = False
    """Without a primary key, whether `_remove` may be called. If it may not, operations keep less state.

    Such a subject's rows are known only where an operation has state: a `_remove` of a row that was never handed over
    is an error there. Where nothing but ``select``, ``filter`` and the like stand before an output, it gets a row
    with a ``diff`` of -1. With a primary key, every row is known.
    """

    _feeding: _Feeding | None = None

    @abc.abstractmethod
    def run(self) -> None:
        """Hands the rows over, and returns when there are no more."""

    def next(self, *values: NoReturn, **row: Any) -> None:
        """Hands a row over, each column by its name. An optional column that is left out is ``None``.

        Waits while more than about a million rows, or 64 MiB, wait to be processed. So a function that takes changes,
        for which the run waits, must not call it.

        Raises:
            millpond.InputError: If the row does not fit the schema; it names the column, the value and its type.
            millpond.InvalidError: If the subject is not being run, or a value is given without its column's name.
        """
        if values:  # looked at here, since a function around this one would cost as much as the rest, for each row
            raise no_argument(ConnectorSubject.next, ".next", (self, *values), row)
        self._working().push(row, True)

    def next_json(self, message: dict[str, Any] | str) -> None:
        """Hands a row over as a JSON object; fields that the schema does not have are ignored.

        A float that JSON has no number for may be one of the strings that `pw.io.jsonlines.write` writes for it.

        Raises:
            millpond.InputError: If it is no JSON object, or does not fit the schema.
            millpond.InvalidError: If the subject is not being run.
        """
        row: object = message
        if isinstance(message, str):
            import json

            try:
                row = json.loads(message)
            except ValueError as error:
                raise _input_error(f"{_check.show(message)} is not JSON: {error}") from None
            except RecursionError:
                raise _input_error(f"{_check.show(message)} is nested too deep") from None
        if not isinstance(row, dict):
            raise _input_error(f"{_check.show(message)} is not a JSON object")
        feed = self._working()
        for name in self._feeding.floats if self._feeding is not None else ():
            if isinstance(row.get(name), str) and row[name] in _NO_NUMBERS:
                row = {**row, name: float(row[name])}
        feed.push(row, False)

    def next_str(self, message: str) -> None:
        """Hands over a row of a schema whose one column is ``data: str``.

        Raises:
            millpond.InputError: If it is no text.
            millpond.InvalidError: If the schema is another, or the subject is not being run.
        """
        feed = self._working()
        self._check_data_column("next_str", "str")
        feed.push({"data": message}, True)

    def next_bytes(self, message: bytes) -> None:
        """Hands over a row of a schema whose one column is ``data: bytes``, or ``data: str`` for text in UTF-8.

        Raises:
            millpond.InputError: If it is no bytes, or no UTF-8 where the column is text.
            millpond.InvalidError: If the schema is another, or the subject is not being run.
        """
        feed = self._working()
        if self._check_data_column("next_bytes", "str", "bytes") == "bytes":
            feed.push({"data": bytes(message) if isinstance(message, (bytearray, memoryview)) else message}, True)
            return
        try:
            text = str(message, "utf-8")
        except (TypeError, ValueError):
            raise _input_error(f"data: {_check.show(message)} is not text in UTF-8") from None
        feed.push({"data": text}, True)

    def _remove(self, **row: Any) -> None:
        """Takes a row away: with a primary key by its columns, otherwise by all of them.

        A key that is not there is passed over. Without a primary key the row must have been handed over before; the
        first operation with state looks, so see `deletions_enabled` where there is none.

        Raises:
            millpond.InputError: If the row does not fit the schema.
            millpond.InvalidError: If there is no primary key, and ``deletions_enabled`` is not True.
        """
        feed = self._working()
        if self._feeding is not None and not self._feeding.removals:
            raise _check.invalid(
                "_remove: the table is declared never to lose a row",
                hint="give the schema a primary key, or the subject deletions_enabled = True",
            )
        feed.remove(row)

    def commit(self, position: object = None) -> None:
        """Ends an epoch: the rows since the last commit count from now on, all together.

        Without it, rows count after ``autocommit_duration_ms``.

        Args:
            position: For a subject with `seek`, and only for such: where it is after these rows, as a value that JSON
                has.

        Raises:
            millpond.InvalidError: If a position is missing, not expected or not for JSON, or the subject is not being
                run.
        """
        feed = self._working()
        if not _can_seek(self):
            if position is not None:
                raise _check.invalid(
                    "commit: there is a position, and no method to take it", hint="define seek(self, position)"
                )
            feed.commit(None)
            return
        if position is None:
            raise _check.invalid(
                "commit: the position is missing",
                hint="self.commit(position=...) with where the rows so far end: seek(position) gets it back",
            )
        import json

        try:
            text = json.dumps(position, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise _check.invalid(f"commit: the position {_check.show(position)} cannot be saved: {error}") from None
        feed.commit(text)

    def close(self) -> None:
        """Ends the table before `run` returns: what was handed over counts, and nothing more is taken."""
        self._working().close()

    def on_stop(self) -> None:  # noqa: B027  # not everyone needs it
        """Called once for each run: when `run` has ended or, on another thread, when the program is being stopped.

        Then `run` should return; it is waited for for ``MILLPOND_GRACE_S`` seconds (5), and left behind after that.
        Whatever it hands over is not taken, and ends its thread silently.
        """

    def on_persisted_run(self) -> None:  # noqa: B027  # not everyone needs it
        """Called before `seek` and `run`, on their thread, in a run that saves its state."""

    def seek(self, position: Any) -> None:  # noqa: B027  # not everyone needs it
        """Called before `run` with the position of the last commit that was saved, if one was.

        `run` must then hand over what comes after it. Defining this method makes a subject fit for saved state; each of
        its commits has a position, and rows count with the commit only.
        """

    def _working(self) -> _native.Feed:
        feed = None if self._feeding is None else self._feeding.usable_feed()
        if feed is None:
            raise _check.invalid(
                f"the subject {type(self).__name__} is not being run", hint="hand rows over in run(), during pw.run()"
            )
        return feed

    def _check_data_column(self, method: str, *types: str) -> str:
        columns = [] if self._feeding is None else self._feeding.columns
        if len(columns) != 1 or columns[0][0] != "data" or columns[0][1] not in types:
            needed = " or ".join(types)
            row = ", ".join(f"{name}=..." for name, _, _ in columns)
            raise _check.invalid(
                f"{method}: the schema must have one column, data: {needed}",
                hint=f"self.next({row}) hands over a row of this schema",
            )
        return columns[0][1]


_NO_NUMBERS = ("NaN", "Infinity", "-Infinity")
"""The floats that JSON has no number for, as JSON lines spell them."""


class _Feeding:
    """A subject at work for its table."""

    def __init__(self, subject: ConnectorSubject, columns: list[tuple[str, str, bool]], removals: bool) -> None:
        import threading

        self.columns = columns
        self.floats = [name for name, ty, _ in columns if ty == "float"]
        self.removals = removals
        self._feed: _native.Feed | None = None
        self._over = False
        self._subject = subject
        self._thread: threading.Thread | None = None
        self._stopped = True
        self._stopping = threading.Lock()
        self._inside: object = subject.run
        """What the thread is in."""

    def start(self, feed: _native.Feed, position: str | None) -> None:
        """Called by a run: lets the subject work on a thread of its own."""
        import threading

        name = type(self._subject).__name__
        if self._thread is not None and self._thread.is_alive():
            raise InvalidError(
                f"the subject {name} is still at work for the run before", hint="let its run() return after on_stop()"
            )
        self._feed = feed
        self._over = self._stopped = False
        # A subject that does not return must not keep the process alive.
        self._thread = threading.Thread(target=self._work, args=(feed, position), name=name, daemon=True)
        self._thread.start()

    def _work(self, feed: _native.Feed, position: str | None) -> None:
        import json

        try:
            try:
                if feed.is_saved():
                    self._inside = self._subject.on_persisted_run
                    self._subject.on_persisted_run()
                if position is not None:
                    self._inside = self._subject.seek
                    self._subject.seek(json.loads(position))
                self._inside = self._subject.run
                self._subject.run()
            finally:
                self._inside = self._subject.on_stop
                self._stop_once()
        except BaseException as exception:
            feed.end(exception)
        else:
            feed.end(None)

    def usable_feed(self) -> _native.Feed | None:
        """The feed of the present run. Threads that a run has left behind get it, too: it ends them silently."""
        if self._over:
            import threading

            if threading.current_thread() is threading.main_thread():
                return None
        return self._feed

    def stop(self) -> None:
        """Called by a run that ends."""
        self._stop_once()
        self._over = True

    def leave(self) -> None:
        """Called by a run for which the subject's thread has not ended in time."""
        import sys

        left = describe(self._inside)
        print(
            f"millpond: {left} did not return in time after the end of the run; its thread is left behind",
            file=sys.stderr,
        )

    def _stop_once(self) -> None:
        with self._stopping:
            if self._stopped:
                return
            self._stopped = True
        self._subject.on_stop()


def read(
    subject: ConnectorSubject,
    *,
    schema: type[Schema],
    autocommit_duration_ms: int | None = 1500,
    name: str | None = None,
) -> Table:
    """A table of the rows that a subject hands over.

    Args:
        subject: What hands them over; each table has a subject of its own.
        schema: The columns; those with ``pw.column_definition(primary_key=True)`` are the primary key.
        autocommit_duration_ms: A row waits for a commit for at most so many milliseconds, and then counts without one;
            ``None``: it waits, until a million rows or 64 MiB have come. A subject with positions always waits.
        name: The source's name in the saved state, so that a later version of the program finds it again.

    Raises:
        millpond.InvalidError: If an argument is wrong.

    Examples:
        >>> import millpond as pw
        >>> class Visit(pw.Schema):
        ...     user: str
        ...     page: int
        >>> class Visits(pw.io.python.ConnectorSubject):
        ...     def __init__(self, pages):
        ...         self.pages, self.start = pages, 0
        ...     def seek(self, position):
        ...         self.start = position["page"]
        ...     def run(self):
        ...         for page in range(self.start, self.pages):
        ...             self.next(user="ann", page=page)
        ...             self.commit(position={"page": page + 1})
        >>> visits = pw.io.python.read(Visits(3), schema=Visit, name="visits")
        >>> pw.debug.compute_and_print(visits.reduce(pages=pw.reducers.count()))
        pages
        3
    """
    if not isinstance(subject, ConnectorSubject):
        raise _check.invalid(
            f"subject: expected a pw.io.python.ConnectorSubject, got {_check.show(subject)}",
            hint="derive a class from it, and give read() an object of the class",
        )
    class_name = type(subject).__name__
    if subject._feeding is not None:
        raise _check.invalid(
            f"subject: this {class_name} is read by another table already",
            hint=f"give each table one of its own: pw.io.python.read({class_name}(...), schema={schema.__name__})",
        )
    columns = native_columns(schema, "schema")
    key = primary_key(schema)
    removals = bool(key) or _check.flag(subject.deletions_enabled, "deletions_enabled")
    if autocommit_duration_ms is not None:
        _check.whole_number(autocommit_duration_ms, "autocommit_duration_ms", least=0)
    forgetful = None
    if not _can_seek(subject):
        forgetful = (
            f"the program saves its state, and its subject {class_name} cannot say where it was",
            "define seek(self, position), and call commit(position=...) with where it is after the rows so far",
        )
    feeding = _Feeding(subject, columns, removals)
    origin = here()
    native = _native.read_feed(
        feeding.start,
        feeding.stop,
        feeding.leave,
        subject.on_stop,
        columns,
        [index for index, (column, _, _) in enumerate(columns) if column in key],
        removals,
        forgetful,
        autocommit_duration_ms,
        _check.name(name),
        origin,
    )
    subject._feeding = feeding
    return Table(native)


class ConnectorObserver(abc.ABC):
    """What takes the changes of a table: derive from it, and give an object to `write`."""

    @abc.abstractmethod
    def on_change(self, key: int, row: dict[str, Any], time: int, is_addition: bool) -> None:
        """Called for each row that is added or removed, as `pw.io.subscribe` describes it."""

    def on_time_end(self, time: int) -> None:  # noqa: B027  # not everyone needs it
        """Called after all changes of that time."""

    def on_end(self) -> None:  # noqa: B027  # not everyone needs it
        """Called at the end of the run; not if it ends with an error."""


def write(
    table: Table,
    observer: ConnectorObserver,
    *,
    delivery: Literal["after_commit", "at_once"] = "after_commit",
    name: str | None = None,
) -> None:
    r"""Hands the changes of a table to an object, in each ``pw.run()`` that follows; see `pw.io.subscribe`.

    Args:
        table: The table.
        observer: What takes the changes.
        delivery: ``"after_commit"``, or ``"at_once"``, as `pw.io.subscribe` describes them.
        name: The subscription's name in the saved state.

    Raises:
        millpond.InvalidError: If an argument is wrong.

    Examples:
        >>> import millpond as pw
        >>> class Show(pw.io.python.ConnectorObserver):
        ...     def on_change(self, key, row, time, is_addition):
        ...         print("+" if is_addition else "-", row)
        ...     def on_end(self):
        ...         print("end")
        >>> pw.io.python.write(pw.debug.table_from_markdown("user\nann"), Show())
        >>> summary = pw.run(monitoring_level=pw.MonitoringLevel.NONE)
        + {'user': 'ann'}
        end
        >>> pw.clear()
    """
    if not isinstance(observer, ConnectorObserver):
        raise _check.invalid(f"observer: expected a pw.io.python.ConnectorObserver, got {_check.show(observer)}")
    subscribe(table, observer.on_change, observer.on_end, observer.on_time_end, delivery=delivery, name=name)


def _can_seek(subject: ConnectorSubject) -> bool:
    return type(subject).seek is not ConnectorSubject.seek


def _input_error(message: str) -> InputError:
    file, line = here()
    return InputError(message, origin=f"{file}:{line}")
