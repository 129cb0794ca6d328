"""Errors, by what the caller can do."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, TracebackType
    from typing import ClassVar


STOPPED = "the run was stopped"
"""The argument of a `KeyboardInterrupt` that stopped a run."""

interrupted = False
"""Whether Ctrl-C has stopped a run: then another one, while the program ends, says nothing new."""

last_code: CodeType | None = None
"""That of the hook which a script ends with."""


class Error(Exception):
    """Anything that Millpond refuses or cannot do; one subclass for each thing that the caller can do about it.

    A program that does not catch it ends with the message on standard error, without a traceback, and with
    ``exit_code``; set the environment variable ``MILLPOND_TRACEBACK`` to see the traceback as well.

    Attributes:
        message: The sentence, without place and hint.
        kind: The name of the subclass's kind, such as ``"input"``.
        hint: What to try next, if there is something to say.
        origin: The line of the program that is to blame, as ``"file:line"``, if one is.
        exit_code: The exit code of a program that ends with this error.

    Examples:
        >>> import millpond as pw
        >>> try:
        ...     pw.temporal.session(max_gap=-1)
        ... except pw.Error as error:
        ...     print(error.kind, error.exit_code, error.message, sep=": ")
        invalid: 2: max_gap: -1 is negative
    """

    kind: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None, origin: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.origin = origin

    def __str__(self) -> str:
        place = f"{self.origin}: " if self.origin else ""
        hint = f"\nhint: {self.hint}" if self.hint else ""
        return f"{place}{self.message}{hint}"


class InvalidError(Error):
    """Fix the program or its options, then run again."""

    kind = "invalid"
    exit_code = 2


class InputError(Error):
    """Input rows could not be read as the schema says; the message names file, line and reason."""

    kind = "input"
    exit_code = 3


class DataError(Error):
    """Saved bytes are damaged, or of a newer version; restore or reset them."""

    kind = "data"
    exit_code = 4


class LockedError(Error):
    """Another process owns the state; stop one of the two."""

    kind = "locked"
    exit_code = 5


class ChangedError(Error):
    """The saved state belongs to another program."""

    kind = "changed"
    exit_code = 6


class UnavailableError(Error):
    """The disk, store or server failed; the run stopped and can be started again."""

    kind = "unavailable"
    exit_code = 7


class _NoName(InvalidError, AttributeError):
    """An unknown name asked for as an attribute, so that `hasattr` works."""

    def __init__(self, message: str, *, hint: str | None, origin: str | None, name: str) -> None:
        super().__init__(message, hint=hint, origin=origin)
        self.name = name


class _NoArgument(InvalidError, TypeError):
    """Arguments that a function does not take."""


for _error in (_NoName, _NoArgument):  # shown as what users catch
    _error.__name__ = _error.__qualname__ = "InvalidError"
    _error.__module__ = "millpond"
del _error


_BY_KIND = {
    error.kind: error for error in (InvalidError, InputError, DataError, LockedError, ChangedError, UnavailableError)
}


def from_native(kind: str, message: str, hint: str | None, origin: str | None) -> Error:
    """The exception for an error of the engine; called by ``millpond._native``."""
    if hint is not None and "null_values=[" in hint:
        import re

        # The engine says the option alone, which in Python stands in an object.
        hint = re.sub(r'null_values=\["(?:[^"\\]|\\.)*"\]', r"csv_settings=pw.io.CsvParserSettings(\g<0>)", hint)
    return _BY_KIND.get(kind, Error)(message, hint=hint, origin=origin)


def install_excepthook() -> None:
    """Lets a script that does not catch a `millpond.Error` end with its message and its exit code.

    One whose run was stopped by Ctrl-C ends with exit code 130, and says nothing.

    Every other exception, and every interactive session, goes to the hook that was there before.
    """
    previous = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        interactive = hasattr(sys, "ps1") or sys.flags.interactive
        if isinstance(error, KeyboardInterrupt) and interrupted and not interactive:
            _hear_no_more()
            raise SystemExit(130)
        if not isinstance(error, Error) or interactive:
            previous(kind, error, traceback)
            return
        if os.environ.get("MILLPOND_TRACEBACK"):
            previous(kind, error, traceback)
        else:
            print(error, file=sys.stderr)
        raise SystemExit(error.exit_code)

    sys.excepthook = hook
    global last_code
    last_code = hook.__code__


def _hear_no_more() -> None:
    """Lets one more Ctrl-C end the process as it is: an exception in its last moments would show where it struck."""
    while True:
        try:
            import signal

            signal.signal(signal.SIGINT, signal.SIG_DFL)
            return
        except KeyboardInterrupt:
            continue
