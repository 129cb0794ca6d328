"""What the engine says, as records of the logger ``millpond``; loaded only by a program that has loaded `logging`."""

from __future__ import annotations

import logging

_TRACE = 5

logger = logging.getLogger("millpond")
# Without a handler of the program's own, warnings would go to standard error.
logger.addHandler(logging.NullHandler())


def lowest() -> int:
    """The lowest level that the logger takes, of those that the engine knows; above all of them, if none."""
    levels = (_TRACE, logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR)
    return next((level for level in levels if logger.isEnabledFor(level)), logging.CRITICAL)


def emit(level: int, message: str, created_s: float, file: str, line: int, thread: str, spans: str) -> None:
    """Hands one event to the handlers; called by ``millpond._native``.

    The record has the time and the thread of the event. Its attribute ``spans`` says what it is part of, such as
    ``run:epoch{epoch=4}``.
    """
    record = logger.makeRecord(logger.name, level, file, line, message, (), None, extra={"spans": spans})
    record.created = created_s
    record.msecs = created_s * 1000 % 1000
    record.threadName = thread
    logger.handle(record)
