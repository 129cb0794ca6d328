"""Small tables from text, and tables as text."""

from __future__ import annotations

import os
import sys

from millpond import _check, _native
from millpond._json import Json
from millpond._origin import here
from millpond._schema import native_columns
from millpond._table import Table, check_table, identified

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from millpond._schema import Schema

    Row = tuple[Any, ...]

_CLOSED = 141
"""The exit code of programs that SIGPIPE ends."""

__all__ = ["compute_and_print", "compute_and_print_update_stream", "table_from_markdown"]


def table_from_markdown(
    table_def: str, id_from: list[str] | None = None, *, schema: type[Schema] | None = None
) -> Table:
    """A table written down as text, with ``|`` between the columns.

    A column ``__time__`` says in which epoch a row comes, a column ``__diff__`` whether it is added (1) or removed
    (-1); it may also say how often, up to a billion times. Tables that are computed together come in the order of
    their times; one without times comes with the first of the others. Of an odd time, the next even one is shown.

    A first column without a name says what identifies a row, see `Table.with_id_from`; so do ``id_from`` and the
    primary key of the schema.

    Args:
        table_def: The text: a line of column names, then a line for each row.
        id_from: The names of columns that identify a row.
        schema: The types of the columns; without it they are guessed from the values.

    Examples:
        >>> import millpond as pw
        >>> table = pw.debug.table_from_markdown('''
        ...     name  | age | __time__ | __diff__
        ...     alice | 39  | 2        | 1
        ...     bob   |     | 2        | 1
        ...     alice | 39  | 4        | -1
        ...     alice | 40  | 4        | 1
        ... ''')
        >>> table
        <millpond.Table name: str, age: int | None>
        >>> pw.debug.compute_and_print(table)
        name  | age
        alice | 40
        bob   |
    """
    if not isinstance(table_def, str):
        raise _check.invalid(f"table_def: expected text, got {_check.show(table_def)}")
    columns = None if schema is None else native_columns(schema, "schema")
    origin = here()
    table = Table(_native.markdown(table_def, columns, origin))
    if schema is not None:
        table = Table(identified(table._native, schema, origin))
    return table if id_from is None else table.with_id_from(*(table[name] for name in id_from))


def compute_and_print(
    *tables: Table, include_id: bool = False, n_rows: int | None = None, terminate_on_error: bool = True
) -> None:
    """Computes tables and prints their rows, sorted.

    Tables whose files are followed (``mode="streaming"``) are never complete, and are refused.

    Args:
        *tables: What to print.
        include_id: Only False: rows have no ids in this version.
        n_rows: Print at most so many rows of each table, the first in order. Of tables that are read from files they
            are found in little memory, however many there are.
        terminate_on_error: Whether a cell that cannot be computed is raised, or printed as ``Error``, as in `run`.

    Examples:
        >>> import millpond as pw
        >>> visits = pw.debug.table_from_markdown('''
        ...     user | visits
        ...     bob  | 0
        ...     ann  | 12
        ... ''')
        >>> pw.debug.compute_and_print(visits)
        user | visits
        ann  | 12
        bob  | 0
        >>> pw.debug.compute_and_print(visits.select(visits.user, share=60 // visits.visits), terminate_on_error=False)
        user | share
        ann  | 5
        bob  | Error
    """
    for table in _checked(tables, include_id, n_rows):
        counts: dict[Row, int] = {}
        for row, _, diff in _changes(table, n_rows, terminate_on_error=terminate_on_error):
            counts[row] = counts.get(row, 0) + diff
        rows = [row for row in sorted(counts, key=_order) for _ in range(counts[row])]
        _print(table.column_names(), rows, n_rows)


def compute_and_print_update_stream(
    *tables: Table, include_id: bool = False, n_rows: int | None = None, terminate_on_error: bool = True
) -> None:
    """Computes tables and prints every change of them: the epoch in ``__time__``, 1 or -1 in ``__diff__``.

    Args:
        *tables: What to print.
        include_id: Only False: rows have no ids in this version.
        n_rows: Print at most so many changes of each table, the first in order.
        terminate_on_error: Whether a cell that cannot be computed is raised, or printed as ``Error``, as in `run`.

    Examples:
        >>> import millpond as pw
        >>> visits = pw.debug.table_from_markdown('''
        ...     user | page | __time__
        ...     ann  | home | 2
        ...     bob  | home | 2
        ...     ann  | shop | 4
        ... ''')
        >>> pw.debug.compute_and_print_update_stream(
        ...     visits.groupby(visits.user).reduce(visits.user, pages=pw.reducers.count())
        ... )
        user | pages | __time__ | __diff__
        ann  | 1     | 2        | 1
        bob  | 1     | 2        | 1
        ann  | 1     | 4        | -1
        ann  | 2     | 4        | 1
    """
    for table in _checked(tables, include_id, n_rows):
        changes = sorted(
            _changes(table, n_rows, by_epoch=True, terminate_on_error=terminate_on_error),
            key=lambda change: (change[1], change[2], _order(change[0])),
        )
        rows = [(*row, time, diff) for row, time, diff in changes]
        _print([*table.column_names(), "__time__", "__diff__"], rows, n_rows)


def _checked(tables: tuple[Table, ...], include_id: bool, n_rows: int | None) -> list[Table]:
    if _check.flag(include_id, "include_id"):
        raise _check.invalid("include_id: rows have no ids in this version", hint="leave include_id out")
    if n_rows is not None:
        _check.whole_number(n_rows, "n_rows", least=0)
    return [check_table(table, "table") for table in tables]


class _Error:
    """Stands for an error value."""

    def __str__(self) -> str:
        return "Error"


_ERROR = _Error()


def _changes(
    table: Table, most: int | None, *, by_epoch: bool = False, terminate_on_error: bool
) -> list[tuple[Row, int, int]]:
    """All changes of a table, or those that its first rows or changes are made of: row, epoch, multiplicity."""
    from millpond import _stops

    goes_on = not _check.flag(terminate_on_error, "terminate_on_error")
    native = table._native.mark_errors(here()) if goes_on else table._native
    with _stops.while_running() as signals:
        changes = native.collect(signals, most, by_epoch, terminate_on_error)
    if not goes_on:
        return changes
    width = len(table.column_names())

    def marked(row: Row) -> Row:
        cells = zip(row[:width], row[width:], strict=True)
        return tuple(_ERROR if is_error else cell for cell, is_error in cells)

    return [(marked(row), time, diff) for row, time, diff in changes]


def _order(row: Row) -> list[tuple[int, Any]]:
    """Sorts rows by their values, nulls and errors first."""
    first: dict[object, tuple[int, Any]] = {None: (0, 0), _ERROR: (1, 0)}
    return [(2, _key(value)) if value is not None and value is not _ERROR else first[value] for value in row]


def _key(value: Any) -> Any:
    """What a value is sorted by."""
    if isinstance(value, tuple):
        return _order(value)
    if isinstance(value, float):
        # A NaN is the last one, as the greatest value.
        return (value != value, value)
    return str(value) if isinstance(value, Json) else value


def _print(header: list[str], rows: list[Row], n_rows: int | None) -> None:
    null = "" if len(header) > 1 else "None"
    lines = [header]
    lines += [[null if value is None else str(value) for value in row] for row in rows[:n_rows]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    try:
        for line in lines:
            print(" | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
        print(end="", flush=True)
    except BrokenPipeError:
        # Whoever reads, such as `head`, has seen enough. The interpreter would fail on what is left in the buffer.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(_CLOSED) from None
