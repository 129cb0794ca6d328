"""What a program may say about files of any format."""

from __future__ import annotations

from millpond import _check
from millpond._schema import native_columns, primary_key

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os

    from millpond._schema import NativeColumn, Schema


def file_columns(schema: type[Schema]) -> list[NativeColumn]:
    """The columns of a schema of files, which has no primary key: rows of files are added, and replace none."""
    columns = native_columns(schema, "schema")
    key = primary_key(schema)
    if key:
        named = ", ".join(
            f"pw.this[{_check.show(name)}]" if not name.isidentifier() else f"pw.this.{name}" for name in key
        )
        raise _check.invalid(
            f"schema: {schema.__name__} has a primary key ({', '.join(key)}), and rows of files replace no "
            "other row in this version",
            hint=f"leave primary_key=True out; to combine tables by it, say .with_id_from({named}) after reading",
        )
    return columns


def source_options(
    mode: str,
    append_only: bool,
    on_error: str,
    dead_letter: str | os.PathLike[str] | None,
    autocommit_duration_ms: int,
    name: str | None,
    persistent_id: str | None,
    with_metadata: bool,
) -> tuple[bool, str, str | None, str | None, int | None, bool]:
    """The checked options of a source, as ``millpond._native`` takes them.

    They are: append-only, what happens to bad rows, the file for them, the source's name, the time between two epochs
    in ms of a source that goes on watching, and whether there is a column ``_metadata``.
    """
    chosen_name = _check.name(_check.renamed("persistent_id", persistent_id, "name", name))
    streaming = _check.choice(mode, "mode", ["static", "streaming"]) == "streaming"
    commit_every_ms = _check.whole_number(autocommit_duration_ms, "autocommit_duration_ms", least=0)
    _check.choice(on_error, "on_error", ["fail", "skip", "dead_letter"])
    if (dead_letter is None) == (on_error == "dead_letter"):
        raise _check.invalid(
            'dead_letter= goes with on_error="dead_letter", and that needs it',
            hint='such as on_error="dead_letter", dead_letter="bad-rows.csv"',
        )
    return (
        _check.flag(append_only, "append_only"),
        on_error,
        None if dead_letter is None else _check.path(dead_letter, "dead_letter"),
        chosen_name,
        commit_every_ms if streaming else None,
        _check.flag(with_metadata, "with_metadata"),
    )
