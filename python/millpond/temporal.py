"""Windows over time."""

from __future__ import annotations

from millpond._check import invalid, whole_number

__all__ = ["SessionWindow", "session"]


class SessionWindow:
    """Maximal runs of rows in which neighbours are no further apart than ``max_gap``."""

    __slots__ = ("max_gap",)

    def __init__(self, max_gap: int) -> None:
        self.max_gap = max_gap

    def __repr__(self) -> str:
        return f"session(max_gap={self.max_gap})"


def session(*, max_gap: int) -> SessionWindow:
    """Sessions: rows whose times are at most ``max_gap`` apart are in one session.

    Args:
        max_gap: The largest distance of neighbours, in the unit of the time column; equal joins.

    Examples:
        >>> import millpond as pw
        >>> pw.temporal.session(max_gap=300)
        session(max_gap=300)
    """
    return SessionWindow(whole_number(max_gap, "max_gap", least=0))


def check_window(window: object) -> SessionWindow:
    """The window of a ``windowby``."""
    if not isinstance(window, SessionWindow):
        raise invalid(f"window: expected a window, got {window!r}", hint="window=pw.temporal.session(max_gap=300)")
    return window
