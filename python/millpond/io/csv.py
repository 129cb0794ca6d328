"""Tables from and to CSV files."""

from __future__ import annotations

from millpond import _check, _native
from millpond._origin import here
from millpond._outputs import register
from millpond._table import Table, check_table
from millpond.io._files import file_columns, source_options
from millpond.io._settings import CsvParserSettings

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from typing import Literal

    from millpond._schema import Schema

__all__ = ["read", "write"]


def read(
    path: str | os.PathLike[str],
    *,
    schema: type[Schema],
    mode: Literal["static", "streaming"] = "static",
    csv_settings: CsvParserSettings | None = None,
    append_only: bool = False,
    on_error: Literal["fail", "skip", "dead_letter"] = "fail",
    dead_letter: str | os.PathLike[str] | None = None,
    autocommit_duration_ms: int = 1500,
    name: str | None = None,
    persistent_id: str | None = None,
    with_metadata: bool = False,
) -> Table:
    """A table of the rows of CSV files.

    Every file has a header line. Columns are found by name; those that the schema does not have are ignored, and an
    optional column that a file's header does not have is ``None`` in its rows, with a notice. A last line that has no
    newline is a row, if it can be read as one; otherwise it waits for the rest, and each run names it.

    Args:
        path: A file, a directory (read with its subdirectories) or a glob pattern.
        schema: The columns to read.
        mode: ``"static"`` reads what is there and ends. ``"streaming"`` goes on watching for new files and rows until
            the run is stopped; a last line without a newline then waits until it is complete. A program may change
            between the two: each goes on with the state of the other.
        csv_settings: Delimiter, quote, escape, and what reads as ``None``.
        append_only: Declares that rows are only ever added, never changed or removed. Then less state is kept, and a
            last line without a newline waits until it is complete.
        on_error: What happens to a row that is not as the schema says: ``"fail"`` ends the run, ``"skip"`` leaves the
            row out, ``"dead_letter"`` appends it to a file; rows left out are counted in the summary. After a quote
            that is never closed, all up to the end of the file is left out, since no line behind it can be trusted;
            what is appended later is read.
        dead_letter: The file for ``on_error="dead_letter"``.
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
        >>> import millpond as pw
        >>> class Visit(pw.Schema):
        ...     user_id: str
        ...     access_time: int
        >>> pw.io.csv.read("logs/", schema=Visit)  # doctest: +SKIP
        <millpond.Table user_id: str, access_time: int>
    """
    settings = CsvParserSettings() if csv_settings is None else csv_settings
    if not isinstance(settings, CsvParserSettings):
        raise _check.invalid(
            f"csv_settings: expected a pw.io.CsvParserSettings, got {_check.show(settings)}",
            hint='such as csv_settings=pw.io.CsvParserSettings(delimiter=";")',
        )
    options = source_options(
        mode, append_only, on_error, dead_letter, autocommit_duration_ms, name, persistent_id, with_metadata
    )
    origin = here()
    native = _native.read_csv(
        _check.path(path, "path"),
        file_columns(schema),
        settings._delimiter,
        settings._quote,
        settings._escape,
        settings._null_values,
        *options,
        origin,
    )
    return Table(native)


def write(
    table: Table,
    filename: str | os.PathLike[str],
    *,
    mode: Literal["changes", "append", "snapshot"] = "changes",
    escape_formulas: bool = False,
    name: str | None = None,
) -> None:
    """Writes a table to a CSV file, in each ``pw.run()`` that follows.

    What a line of the program declares again after a ``pw.run()`` takes the place of what it declared before. In a
    notebook or at a prompt, writing to a file again takes the place of what was declared for it before.

    Args:
        table: What to write.
        filename: The file.
        mode: ``"changes"``: the file holds the changes of this run, with the columns ``time`` and ``diff`` (1 for a
            row that is added, -1 for one that is removed). ``"append"``: the same, for all runs in one file.
            ``"snapshot"``: the present table, replaced as a whole.
        escape_formulas: Puts a ``'`` in front of each text that a spreadsheet would take for a formula, since it starts
            with ``=``, ``+``, ``-``, ``@``, a tab or a line break: for files that people open, with text that strangers
            wrote. The text then reads back with that ``'``.
        name: The sink's name in the saved state.

    Raises:
        millpond.InvalidError: If an option is wrong, a column of a log of changes is called ``time`` or ``diff``, or
            the name says that the file is of another format or compressed (``.parquet``, ``.gz``).

    Examples:
        >>> import millpond as pw
        >>> pw.io.csv.write(pw.this, "sessions.csv")
        Traceback (most recent call last):
        ...
        millpond.InvalidError: ...: table: expected a table, got <millpond.this>
    """
    _check.choice(mode, "mode", ["changes", "append", "snapshot"])
    source = check_table(table, "table")
    path = _check.path(filename, "filename")
    escape = _check.flag(escape_formulas, "escape_formulas")
    name = _check.name(name)
    register(_native.write_csv(source._native, path, mode, escape, name, here()), name, path)
