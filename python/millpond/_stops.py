"""How a run is stopped from outside, and what becomes of one that does not stop."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import threading

from millpond import _errors, _native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType
    from typing import Any

    from millpond._run import Flag

_EXIT_S = 1.0
"""What is left behind may hold locks that the last functions of the program need, or that of standard output."""


@contextlib.contextmanager
def while_running() -> Iterator[_native.Signals]:
    """Lets SIGINT (Ctrl-C) and SIGTERM stop a run, unless the program handles them.

    The handlers only take note. What is raised is raised here, once the run has ended or was left behind: so signals
    that come one after the other do not show where the last one struck.
    """
    signals = _native.Signals()
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number, default in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
            handler = signal.getsignal(number)
            if handler in (default, _interrupt_again) or _is_of_a_loop(handler):
                before[number] = handler
                signal.signal(number, signals)
    try:
        yield signals
    finally:
        if signals.first == signal.SIGINT:
            _errors.interrupted = True
        for which, handler in before.items():
            again = signals.first == which == signal.SIGINT and handler is signal.default_int_handler
            signal.signal(which, _interrupt_again if again else handler)
    if signals.first == signal.SIGINT:
        _errors.interrupted = True  # it may have come while the handlers were being put back
        raise KeyboardInterrupt(_errors.STOPPED)
    if signals.first is not None:
        raise SystemExit(128 + signals.first)


@contextlib.contextmanager
def while_awaiting(stopped: threading.Event) -> Iterator[None]:
    """Lets SIGTERM stop a run that a task of this thread awaits, as `while_running` does it for a run of this thread.

    Ctrl-C cancels the task. A second SIGTERM ends the program at once.
    """
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    ):
        yield
        return
    heard = False

    def hear(number: int, frame: FrameType | None) -> None:
        nonlocal heard
        heard = True
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        stopped.set()

    signal.signal(signal.SIGTERM, hear)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if heard:
        raise SystemExit(128 + signal.SIGTERM)


def _interrupt_again(number: int, frame: FrameType | None) -> None:
    """Takes the place of Python's own handler of SIGINT once a run was stopped by one.

    It does the same, but where the script is ending for the first: an exception there would show where it struck.
    """
    inside = frame
    while inside is not None:
        if inside.f_code is _errors.last_code:
            os._exit(128 + number)
        inside = inside.f_back
    signal.default_int_handler(number, frame)


def _is_of_a_loop(handler: object) -> bool:
    """Whether a handler is that of an event loop, in a program or a notebook.

    It asks the loop to do something: but the loop waits for the run.
    """
    module = getattr(getattr(handler, "func", handler), "__module__", None) or ""
    return module.partition(".")[0] in ("asyncio", "ipykernel", "uvloop")


def asked_by(stop: Flag | None) -> Callable[[], bool] | None:
    """A function that says whether the program wants a run of this thread to end."""
    task = _interrupted_task()
    if task is None:
        return None if stop is None else stop.is_set

    def is_asked() -> bool:
        if task.cancelling() or task.cancelled():
            _errors.interrupted = True
            return True
        return stop is not None and stop.is_set()

    return is_asked


def _interrupted_task() -> Any:
    """The task that Ctrl-C cancels, if this thread works for a program of ``asyncio.run``.

    That program ends when its threads have ended. (From Python 3.11 on; before that, Ctrl-C cancels nothing.)
    """
    if threading.current_thread() is threading.main_thread():
        return None
    handler = signal.getsignal(signal.SIGINT)
    task = getattr(handler, "keywords", {}).get("main_task") if _is_of_a_loop(handler) else None
    return task if hasattr(task, "cancelling") else None


def leave_behind(reason: str, code: int, is_running: Callable[[], bool]) -> None:
    """Says why a run is not waited for any more; called by ``millpond._native``."""
    print(f"millpond: {reason}", file=sys.stderr)
    atexit.register(_end, code, is_running)


def _end(code: int, is_running: Callable[[], bool]) -> None:
    """Ends the process if the thread of a run is still there: it must not wake up in an interpreter that is gone."""
    if not is_running():
        return
    atexit.unregister(_end)
    last = threading.Thread(target=_do_last, daemon=True)
    last.start()
    last.join(_EXIT_S)
    os._exit(code)


def _do_last() -> None:
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
