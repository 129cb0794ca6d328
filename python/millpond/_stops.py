"""How a run is stopped from outside."""

from __future__ import annotations

import contextlib
import signal
import threading

from millpond._errors import STOPPED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_SIGTERM_EXIT_CODE = 128 + signal.SIGTERM


@contextlib.contextmanager
def while_running() -> Iterator[None]:
    """Turns SIGTERM into `SystemExit`, as Ctrl-C is turned into `KeyboardInterrupt`, unless the program handles it.

    A `KeyboardInterrupt` that passes is marked, so that a script that does not catch it ends without a traceback.
    """
    ours = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if ours:
        signal.signal(signal.SIGTERM, _exit)
    try:
        yield
    except KeyboardInterrupt as stop:
        stop.args = (STOPPED,)
        raise
    finally:
        if ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _exit(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(_SIGTERM_EXIT_CODE)
