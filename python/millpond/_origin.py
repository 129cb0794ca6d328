"""The line of the user's program that called Millpond."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep


def user_frame() -> FrameType:
    """The innermost frame that is not of this package."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return frame


def here() -> tuple[str, int]:
    """File and line of the user's program, for messages and for the plan; short if the file is below this directory."""
    frame = user_frame()
    return _short(frame.f_code.co_filename), frame.f_lineno


def describe(function: object) -> str:
    """A function of the user's program, by name and place: ``on_row (job.py:7)``."""
    inner = getattr(function, "func", function)  # of a functools.partial
    name = getattr(inner, "__qualname__", type(inner).__qualname__)
    code = getattr(inner, "__code__", None)
    if code is None and callable(inner):  # an object with a method __call__
        code = getattr(type(inner).__call__, "__code__", None)
    return name if code is None else f"{name} ({_short(code.co_filename)}:{code.co_firstlineno})"


def _short(file: str) -> str:
    cell = _cell(file)
    if cell is not None:
        return cell
    try:
        directory = os.path.join(os.getcwd(), "")
    except OSError:  # it is gone
        directory = ""
    return file.removeprefix(directory)


def _ipython() -> Any:
    """The running shell of IPython or of a notebook, if there is one."""
    module = sys.modules.get("IPython")
    return None if module is None else module.get_ipython()


def is_interactive() -> bool:
    """Whether somebody enters the program piece by piece: at a prompt or in a notebook."""
    return hasattr(sys, "ps1") or bool(sys.flags.interactive) or _ipython() is not None


def _cell(file: str) -> str | None:
    """The cell of a notebook that a code object's file stands for, as tracebacks call it: ``Cell In[13]``."""
    shell = _ipython()
    if shell is None:
        return None
    try:
        named = shell.compile.format_code_name(file)
    except Exception:  # an older IPython
        named = None
    if named:
        return " ".join(named)
    if file.startswith("<ipython-input-"):
        return f"Cell In[{file.removeprefix('<ipython-input-').partition('-')[0]}]"
    return None


def running_cell() -> tuple[str, int] | None:
    """What tells the cell of a notebook that is being run from all others, and this run of it from those before.

    A front end that names its cells says which one it is; otherwise it is known by its text.
    """
    shell = _ipython()
    count = getattr(shell, "execution_count", None)
    if not isinstance(count, int):
        return None
    message = getattr(shell, "parent_header", None)
    metadata = message.get("metadata") if isinstance(message, dict) else None
    name = metadata.get("cellId") if isinstance(metadata, dict) else None
    if isinstance(name, str):
        return name, count
    cell = None
    frame: FrameType | None = user_frame()
    while frame is not None:
        if frame.f_code.co_name == "<module>" and _cell(frame.f_code.co_filename) is not None:
            cell = frame.f_code.co_filename
        frame = frame.f_back
    return None if cell is None else (cell, count)


def warn_deprecated(message: str) -> None:
    """Warns about an older spelling, at the line that uses it; shown by default if that line is in the main script."""
    import warnings

    frame = user_frame()
    warnings.warn_explicit(
        message,
        DeprecationWarning,
        filename=frame.f_code.co_filename,
        lineno=frame.f_lineno,
        module=frame.f_globals.get("__name__", "__main__"),
        registry=frame.f_globals.setdefault("__warningregistry__", {}),
    )
