"""The line of the user's program that called Millpond."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

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
    file = frame.f_code.co_filename
    try:
        directory = os.path.join(os.getcwd(), "")
    except OSError:  # it is gone
        directory = ""
    return file.removeprefix(directory), frame.f_lineno


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
