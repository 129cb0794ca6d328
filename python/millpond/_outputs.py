"""The outputs that a program has declared so far: what `run` runs."""

from __future__ import annotations

import os
import sys

from millpond._origin import here, is_interactive, running_cell, user_frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    from millpond import _native
    from millpond._errors import InvalidError


class _Declared:
    """A sink, and where and when the program declared it."""

    def __init__(self, sink: _native.Sink, own: frozenset[str]) -> None:
        self.sink = sink
        self.own = own
        """What no other has: the name that the state finds it by, and its file; or else the run of a cell."""
        self.line = _line()
        self.code = user_frame().f_code
        """Kept, since its id is a part of the line."""
        self.runs = _runs
        """How many runs there were before."""


_sinks: list[_Declared] = []
_runs = 0
_waiting: list[str] = []
"""Where outputs were declared since the last run."""
_is_watched = False


def register(sink: _native.Sink, name: str | None, path: str | None = None) -> None:
    """Adds a sink to the program.

    It takes the place of one that the same line declared before the last run: a function that declares a job and runs
    it can be called again. In an interactive session, it also takes the place of one that has its name or its file: a
    cell of a notebook that is run again declares its outputs again. In a script that is a mistake, which `run` names.
    """
    own = set()
    if path is not None:
        own.add(f"file {os.path.realpath(path)}")
    if name is not None or path is not None:
        own.add(f"name {name or path}")
    declared = _Declared(sink, frozenset(own or _unnamed()))
    before = _before()
    if before < len(_sinks):
        _sinks[before] = declared
    else:
        _sinks.append(declared)
    if is_interactive():
        _sinks[:] = [known for known in _sinks if known is declared or not own & known.own]
    _waiting.append("{}:{}".format(*here()))
    _watch_exit()


def next_subscription() -> str:
    """The name of a subscription to which the program gives none; no other has it.

    The cell of a notebook that is run again declares its subscriptions again: those of the run before are forgotten.
    """
    mine = _unnamed()
    if mine:
        cell = next(iter(mine)).rpartition(" ")[0]
        _sinks[:] = [known for known in _sinks if known.own == mine or not any(_is_run(it, cell) for it in known.own)]
    before = _before()
    names = {known.sink.name for at, known in enumerate(_sinks) if at != before}
    number = before + 1
    while f"subscription {number}" in names:
        number += 1
    return f"subscription {number}"


def _line() -> object:
    """What tells the line that declares an output from others, also where the program is in no file, as at a prompt.

    In a notebook, the run of the cell belongs to it: several cells may call one function.
    """
    frame = user_frame()
    file = frame.f_code.co_filename
    return (id(frame.f_code) if file.startswith("<") else file, frame.f_lineno, running_cell())


def _before() -> int:
    """The place of the first output that the line at hand declared before the last run, or of a new one."""
    line = _line()
    places = (at for at, known in enumerate(_sinks) if known.runs < _runs and known.line == line)
    return next(places, len(_sinks))


def _unnamed() -> frozenset[str]:
    """What an output without name and file has of its own: the cell that declares it, and which of its runs this is."""
    cell = running_cell()
    return frozenset() if cell is None else frozenset({"cell {} {}".format(*cell)})


def _is_run(own: str, cell: str) -> bool:
    return own.rpartition(" ")[0] == cell


def declared() -> list[_native.Sink]:
    """The sinks, in the order of the program.

    A line that has declared outputs anew since the last run may have declared fewer: the others are forgotten.
    """
    anew = [known.line for known in _sinks if known.runs == _runs]
    _sinks[:] = [known for known in _sinks if known.runs == _runs or known.line not in anew]
    return [known.sink for known in _sinks]


def clear() -> None:
    """Forgets every table that was to be written: in a notebook, before the program is built anew."""
    _sinks.clear()
    _waiting.clear()


def note_run() -> None:
    """Takes note that what is declared is being run."""
    global _runs
    _runs += 1
    _waiting.clear()


def tell_of_cells(error: InvalidError) -> None:
    """Says of two things with one name how it comes that the program has both: one may be of an earlier cell or run."""
    if not error.message.startswith("two "):
        return
    if is_interactive():
        error.hint = f"{error.hint}; pw.clear() forgets what earlier cells, or earlier runs of this one, declared"
    elif any(known.runs < _runs - 1 for known in _sinks):
        error.hint = f"{error.hint}; pw.clear() forgets what was declared for an earlier pw.run()"


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
