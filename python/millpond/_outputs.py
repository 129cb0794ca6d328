"""The outputs that a program has declared so far: what `run` runs."""

from __future__ import annotations

import os
import sys

from millpond._origin import here, is_interactive, running_cell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from millpond import _native
    from millpond._errors import InvalidError

_sinks: list[tuple[frozenset[str], _native.Sink]] = []
"""Each with what no other has: the name that the state finds it by, and its file; or else the run of a cell."""
_waiting: list[str] = []
"""Where outputs were declared since the last run."""
_is_watched = False


def register(sink: _native.Sink, name: str | None, path: str | None = None) -> None:
    """Adds a sink to the program.

    In an interactive session, it takes the place of one that has its name or its file: a cell of a notebook that is run
    again declares its outputs again. In a script that is a mistake, which `run` names.
    """
    own = set()
    if path is not None:
        own.add(f"file {os.path.realpath(path)}")
    if name is not None or path is not None:
        own.add(f"name {name or path}")
    if is_interactive():
        _sinks[:] = [(others, known) for others, known in _sinks if not own & others]
    _sinks.append((frozenset(own or _unnamed()), sink))
    _waiting.append("{}:{}".format(*here()))
    _watch_exit()


def next_subscription() -> str:
    """The name of a subscription to which the program gives none; no other has it.

    The cell of a notebook that is run again declares its subscriptions again: those of the run before are forgotten.
    """
    mine = _unnamed()
    if mine:
        cell = next(iter(mine)).rpartition(" ")[0]
        _sinks[:] = [(own, sink) for own, sink in _sinks if own == mine or not any(_is_run(it, cell) for it in own)]
    number = len(_sinks) + 1
    names = {sink.name for _, sink in _sinks}
    while f"subscription {number}" in names:
        number += 1
    return f"subscription {number}"


def _unnamed() -> frozenset[str]:
    """What an output without name and file has of its own: the cell that declares it, and which of its runs this is."""
    cell = running_cell()
    return frozenset() if cell is None else frozenset({"cell {} {}".format(*cell)})


def _is_run(own: str, cell: str) -> bool:
    return own.rpartition(" ")[0] == cell


def declared() -> list[_native.Sink]:
    """The sinks, in the order of the program."""
    return [sink for _, sink in _sinks]


def clear() -> None:
    """Forgets every table that was to be written: in a notebook, before the program is built anew."""
    _sinks.clear()
    _waiting.clear()


def note_run() -> None:
    """Takes note that what is declared is being run."""
    _waiting.clear()


def tell_of_cells(error: InvalidError) -> None:
    """Says of two things with one name how it comes that a notebook has both."""
    if is_interactive() and error.message.startswith("two "):
        error.hint = f"{error.hint}; pw.clear() forgets what earlier cells, or earlier runs of this one, declared"


def _watch_exit() -> None:
    global _is_watched
    if not _is_watched:
        import atexit

        _is_watched = True
        atexit.register(_say_waiting)


def _say_waiting() -> None:
    """Says at the end of a script that it did not run what it declared, unless an exception ended it."""
    if not _waiting or is_interactive() or hasattr(sys, "last_value") or _is_helper():
        return
    more = len(_waiting) - 1
    declares = f"and {more} more declare outputs" if more else "declares an output"
    print(f"millpond: nothing was written: {_waiting[0]} {declares}, and no pw.run() follows", file=sys.stderr)


def _is_helper() -> bool:
    """Whether another process has the say."""
    multiprocessing = sys.modules.get("multiprocessing")
    child = multiprocessing is not None and multiprocessing.parent_process() is not None
    return child or os.environ.get("MILLPOND_PROCESS_ID", "0") != "0"
