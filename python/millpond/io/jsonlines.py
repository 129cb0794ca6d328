"""Tables from and to files of JSON lines."""

from __future__ import annotations

from millpond import _check, _native
from millpond._origin import here
from millpond._outputs import register
from millpond._table import Table, check_table
from millpond.io._files import file_columns, source_options

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from typing import Literal

    from millpond._schema import Schema

__all__ = ["read", "write"]


def read(
    path: str | os.PathLike[str],
    *,
    schema: type[Schema],
    mode: Literal["static", "streaming"] = "static",
    json_field_paths: Mapping[str, str] | None = None,
    allow_nan: bool = False,
    append_only: bool = False,
    on_error: Literal["fail", "skip", "dead_letter"] = "fail",
    dead_letter: str | os.PathLike[str] | None = None,
    autocommit_duration_ms: int = 1500,
    name: str | None = None,
    persistent_id: str | None = None,
    with_metadata: bool = False,
) -> Table:
    """A table of the rows of files that hold one JSON object a line.

    A column is the field of its name; fields that the schema does not have are ignored. An ``int`` column takes numbers
    without a point or exponent, a ``float`` column any number and the strings ``"NaN"``, ``"Infinity"`` and
    ``"-Infinity"``. An optional column reads ``null`` and a missing field as ``None``. Of a field that a line holds
    twice, the last counts. A line may have up to 16 MiB.

    Args:
        path: A file, a directory (read with its subdirectories) or a glob pattern.
        schema: The columns to read.
        mode: ``"static"`` reads what is there and ends. ``"streaming"`` goes on watching for new files and rows until
            the run is stopped; a last line without a newline then waits until it is complete. A program may change
            between the two: each goes on with the state of the other.
        json_field_paths: Columns that are not the field of their name, each with its JSON pointer.
        allow_nan: Reads ``NaN``, ``Infinity`` and ``-Infinity`` without quotes in ``float`` columns; they are not
            JSON, although Python's ``json`` writes them. Otherwise a line that holds one is an error.
        append_only: Declares that rows are only ever added, never changed or removed. Then less state is kept, and a
            last line without a newline waits until it is complete.
        on_error: What happens to a row that is not as the schema says: ``"fail"`` ends the run, ``"skip"`` leaves the
            row out, ``"dead_letter"`` appends it to a file; rows left out are counted in the summary.
        dead_letter: The CSV file for ``on_error="dead_letter"``.
        autocommit_duration_ms: In streaming mode, a new row waits for at most so many milliseconds before it is read;
            what comes in between is one epoch, whose changes have one ``time``.
        name: The source's name in the saved state, so that a later version of the program finds it again.
        persistent_id: The older spelling of ``name``.
        with_metadata: Adds a column ``_metadata``: a JSON object that says of which file a row is, as the
            file was when the row was read: ``path``, ``size`` in bytes, ``modified_at`` and ``seen_at`` in seconds
            since 1970, and ``owner``. A row keeps its object when the file grows.

    Raises:
        millpond.InvalidError: If an option is wrong, the path does not exist, or the schema has a primary key.

    Examples:
        >>> import pathlib, tempfile
        >>> import millpond as pw
        >>> class Visit(pw.Schema):
        ...     user_id: str
        ...     city: str | None
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> _ = (folder / "a.jsonl").write_text('{"user_id": "ann", "address": {"city": "Rome", "zip": 184}}')
        >>> visits = pw.io.jsonlines.read(folder, schema=Visit, json_field_paths={"city": "/address/city"})
        >>> pw.debug.compute_and_print(visits, include_id=False)
        user_id | city
        ann     | Rome
    """
    options = source_options(
        mode, append_only, on_error, dead_letter, autocommit_duration_ms, name, persistent_id, with_metadata
    )
    origin = here()
    native = _native.read_json_lines(
        _check.path(path, "path"),
        file_columns(schema),
        _field_paths(json_field_paths),
        _check.flag(allow_nan, "allow_nan"),
        *options,
        origin,
    )
    return Table(native)


def _field_paths(paths: object) -> list[tuple[str, str]]:
    """Columns and pointers; what they mean is checked with the schema."""
    if paths is None:
        return []
    try:
        pairs = dict(paths)  # type: ignore[call-overload]
    except (TypeError, ValueError):
        raise _check.invalid(f"json_field_paths: expected a dict, got {_check.show(paths)}") from None
    for column, pointer in pairs.items():
        if not isinstance(column, str) or not isinstance(pointer, str):
            raise _check.invalid(
                f"json_field_paths: expected names and paths, got {_check.show(column)}: {_check.show(pointer)}",
                hint='such as json_field_paths={"city": "/address/city"}',
            )
    return list(pairs.items())


def write(
    table: Table,
    filename: str | os.PathLike[str],
    *,
    mode: Literal["changes", "append", "snapshot"] = "changes",
    name: str | None = None,
) -> None:
    """Writes a table to a file of JSON lines, in each ``pw.run()`` that follows, as `pw.io.csv.write` declares it.

    Each line is an object with the columns of the table. ``None`` is ``null``. A float that JSON has no number for is
    one of the strings ``"NaN"``, ``"Infinity"`` and ``"-Infinity"``, which `read` takes for what they were.

    Args:
        table: What to write.
        filename: The file.
        mode: ``"changes"``: the file holds the changes of this run; each line ends with the fields ``diff`` (1 for a
            row that is added, -1 for one that is removed) and ``time``. ``"append"``: the same, for all runs in one
            file. ``"snapshot"``: the present table, replaced as a whole, without these fields.
        name: The sink's name in the saved state.

    Raises:
        millpond.InvalidError: If an option is wrong, a column of a log of changes is called ``time`` or ``diff``, or
            the name says that the file is of another format or compressed (``.parquet``, ``.gz``).

    Examples:
        >>> import pathlib, tempfile
        >>> import millpond as pw
        >>> table = pw.debug.table_from_markdown('''
        ...     user | visits
        ...     ann  | 2
        ... ''')
        >>> file = pathlib.Path(tempfile.mkdtemp()) / "users.jsonl"
        >>> pw.io.jsonlines.write(table, file, mode="snapshot")
        >>> summary = pw.run(monitoring_level=pw.MonitoringLevel.NONE)
        >>> print(file.read_text(), end="")
        {"user":"ann","visits":2}
        >>> pw.clear()
    """
    _check.choice(mode, "mode", ["changes", "append", "snapshot"])
    source = check_table(table, "table")
    path = _check.path(filename, "filename")
    name = _check.name(name)
    register(_native.write_json_lines(source._native, path, mode, name, here()), name, path)
