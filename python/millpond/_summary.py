"""What a run did, in numbers."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar


class _Numbers:
    """Named values; shown with their names."""

    __slots__: ClassVar[tuple[str, ...]] = ()

    def __init__(self, values: dict[str, Any]) -> None:
        for name in self.__slots__:
            setattr(self, name, values[name])

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__)
        return f"{type(self).__name__}({values})"


class SourceSummary(_Numbers):
    """The numbers of one source.

    Attributes:
        name: Its name in the saved state.
        kind: Such as ``"csv"``.
        files_new: Files seen for the first time.
        files_changed: Files that had grown or changed.
        files_unchanged: Files that were as before.
        rows_read: Rows read.
        rows_rejected: Rows that could not be read and were left out (``on_error="skip"`` or ``"dead_letter"``).
        bytes_read: Bytes read.
    """

    __slots__ = (
        "bytes_read",
        "files_changed",
        "files_new",
        "files_unchanged",
        "kind",
        "name",
        "rows_read",
        "rows_rejected",
    )
    name: str
    kind: str
    files_new: int
    files_changed: int
    files_unchanged: int
    rows_read: int
    rows_rejected: int
    bytes_read: int


class StepSummary(_Numbers):
    """The numbers of one step that keeps state, such as a ``groupby`` or a window.

    Attributes:
        name: Its name in the saved state.
        kind: Such as ``"reduce"``.
        rows_in: Changes taken in.
        rows_out: Changes handed on.
        late_rows: Rows ignored as late, by the behavior of a window.
        windows_closed: Windows that were closed by it.
        state_rows: Rows of its state.
        state_bytes: Bytes of its state.
    """

    __slots__ = ("kind", "late_rows", "name", "rows_in", "rows_out", "state_bytes", "state_rows", "windows_closed")
    name: str
    kind: str
    rows_in: int
    rows_out: int
    late_rows: int
    windows_closed: int
    state_rows: int
    state_bytes: int


class OutputSummary(_Numbers):
    """The numbers of one output, or of a file of rejected rows.

    Attributes:
        name: Its name, such as the path of the file.
        kind: Such as ``"csv"``, or ``"dead_letter"``.
        rows_written: Rows written by this run: changes, or rows of present tables.
        current_rows: Rows of the present table, if the output holds it (``mode="snapshot"``); otherwise ``None``.
    """

    __slots__ = ("current_rows", "kind", "name", "rows_written")
    name: str
    kind: str
    rows_written: int
    current_rows: int | None


class RunSummary(_Numbers):
    """What a run did; ``str`` of it is the line that the run shows.

    Attributes:
        stopped: Whether it was stopped before all input was read; the next run reads the rest.
        elapsed_s: Seconds that it took.
        files_new: Files seen for the first time.
        files_changed: Files that had grown or changed.
        files_unchanged: Files that were as before.
        rows_read: Rows read, from all sources.
        rows_rejected: Rows that could not be read and were left out (``on_error="skip"`` or ``"dead_letter"``).
        late_rows: Rows ignored as late, by the behaviors of windows.
        windows_closed: Windows closed by them.
        changes_written: Changes written to all outputs that take changes.
        current_rows: Rows that the outputs hold which are present tables (``mode="snapshot"``); ``None`` if none is.
        epochs: Epochs done.
        checkpoints: Checkpoints committed to the saved state.
        notices: Sentences about what may not be as meant, such as an empty input directory.
        sources: A `SourceSummary` of each source, in the order of the program.
        steps: A `StepSummary` of each step with state.
        outputs: An `OutputSummary` of each output, then of each file of rejected rows.
        process: The number of this process, of several; all numbers are those of process 0, and 0 in the others.
    """

    __slots__ = (
        "_json",
        "_text",
        "changes_written",
        "checkpoints",
        "current_rows",
        "elapsed_s",
        "epochs",
        "files_changed",
        "files_new",
        "files_unchanged",
        "late_rows",
        "notices",
        "outputs",
        "process",
        "rows_read",
        "rows_rejected",
        "sources",
        "steps",
        "stopped",
        "windows_closed",
    )
    stopped: bool
    elapsed_s: float
    files_new: int
    files_changed: int
    files_unchanged: int
    rows_read: int
    rows_rejected: int
    late_rows: int
    windows_closed: int
    changes_written: int
    current_rows: int | None
    epochs: int
    checkpoints: int
    notices: list[str]
    sources: list[SourceSummary]
    steps: list[StepSummary]
    outputs: list[OutputSummary]
    process: int

    def __init__(self, text: str, numbers: str) -> None:
        self._text = text
        self._json = numbers

    def __getattr__(self, name: str) -> Any:
        """Reads the numbers when one of them is asked for the first time: most programs ask for none."""
        if name.startswith("_") or name not in self.__slots__:
            raise AttributeError(f"a RunSummary has no {name!r}", name=name, obj=self)
        import json

        values = json.loads(self._json)
        values["sources"] = [SourceSummary(source) for source in values["sources"]]
        values["steps"] = [StepSummary(step) for step in values["steps"]]
        values["outputs"] = [OutputSummary(output) for output in values["outputs"]]
        for number, value in values.items():
            setattr(self, number, value)
        return values[name]

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"<millpond.RunSummary {self._text.removeprefix('millpond: ')}>"
