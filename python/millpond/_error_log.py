"""The table of a program's error values."""

from __future__ import annotations

from millpond import _native
from millpond._origin import here
from millpond._table import Table


def global_error_log() -> Table:
    """The table of all error values of the program: a row for each, where it arises.

    Its columns are ``operator_id``, the step where the error arises; ``message``, what is wrong with which cell, and
    the values that it was computed of; ``trace``, the expression. A row whose error goes, since a row of the input went
    or changed, is removed. Errors are told of in tables that an output needs and that are not made of such a log
    themselves, whether or not a later step fills them or drops their rows. Of errors that are not, a run has rows only
    with ``terminate_on_error=False``: any other ends at the first.

    Examples:
        >>> import millpond as pw
        >>> table = pw.debug.table_from_markdown('''
        ...     pages | visits
        ...     12    | 4
        ...     3     | 0
        ... ''')
        >>> shares = table.select(a_visit=table.pages / table.visits)
        >>> pw.io.subscribe(shares, lambda key, row, time, is_addition: print(row))
        >>> pw.io.subscribe(pw.global_error_log(), lambda key, row, time, is_addition: print(row["message"]))
        >>> summary = pw.run(terminate_on_error=False, monitoring_level=pw.MonitoringLevel.NONE)
        {'a_visit': 3.0}
        {'a_visit': None}
        column "a_visit": division by zero in pages / visits, where pages = 3, visits = 0
        >>> pw.clear()
    """
    return Table(_native.error_log(here()))
