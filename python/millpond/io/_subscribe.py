"""Changes of a table handed to functions of the program."""

from __future__ import annotations

from millpond import _check, _native
from millpond._origin import describe, here
from millpond._outputs import next_subscription, register
from millpond._table import Table, check_table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Literal, TypeAlias

    OnChange: TypeAlias = Callable[[int, dict[str, Any], int, bool], object]


def subscribe(
    table: Table,
    on_change: OnChange,
    on_end: Callable[[], object] | None = None,
    on_time_end: Callable[[int], object] | None = None,
    *,
    delivery: Literal["after_commit", "at_once"] = "after_commit",
    name: str | None = None,
) -> None:
    """Calls functions with the changes of a table, in each ``pw.run()`` that follows.

    What a line of the program declares again after a ``pw.run()`` takes the place of what it declared before.

    In a run that saves its state, changes are delivered after the commit that holds them. What may not have been
    delivered before a crash is delivered by the next run, before anything new and with the same times: a receiver that
    passes over the times that it has gets each change once. ``delivery="at_once"`` does not wait for a commit.

    An exception in a function ends the run and is raised by ``pw.run()``. The next run then delivers again, from the
    first change after the commit before.

    Args:
        table: The table.
        on_change: Called as ``on_change(key, row, time, is_addition)`` for each row that is added or removed. ``key``
            is a number that is the same for equal rows, ``row`` a dictionary of the columns. Within one time, removals
            come first, so that a row replaces the one before it.
        on_end: Called as ``on_end()`` at the end of the run; not if it ends with an error.
        on_time_end: Called as ``on_time_end(time)`` after all changes of that time, also if there were none.
        delivery: ``"after_commit"``, or ``"at_once"``: as soon as their time is done. What came after the last commit
            before a crash is then computed and delivered again, with later times. Without saved state there is no
            commit, and both are the same.
        name: The subscription's name in the saved state. In a notebook, a subscription takes the place of one that has
            its name; without a name, of those that its cell declared when it was run before.

    Raises:
        millpond.InvalidError: If a function cannot be called.

    Examples:
        >>> import millpond as pw
        >>> visits = pw.debug.table_from_markdown('''
        ... user | __time__ | __diff__
        ... ann  | 2        | 1
        ... bob  | 4        | 1
        ... ann  | 4        | 1
        ... ''')
        >>> counts = visits.groupby(visits.user).reduce(visits.user, visits=pw.reducers.count())
        >>> def show(key, row, time, is_addition):
        ...     print("+" if is_addition else "-", row)
        >>> pw.io.subscribe(counts.filter(counts.user == "ann"), show, on_end=lambda: print("end"))
        >>> summary = pw.run(monitoring_level=pw.MonitoringLevel.NONE)
        + {'user': 'ann', 'visits': 1}
        - {'user': 'ann', 'visits': 1}
        + {'user': 'ann', 'visits': 2}
        end
        >>> pw.clear()
    """
    native = check_table(table, "table")._native
    for what, function in (("on_change", on_change), ("on_end", on_end), ("on_time_end", on_time_end)):
        if not callable(function) and (function is not None or what == "on_change"):
            raise _check.invalid(f"{what}: expected a function, got {_check.show(function)}")
        _check_arguments(what, function)
    at_once = _check.choice(delivery, "delivery", ["after_commit", "at_once"]) == "at_once"
    given = _check.name(name)
    chosen = given or next_subscription()
    register(_native.subscribe(native, on_change, on_time_end, on_end, at_once, chosen, here()), given)


_CALLS = {"on_change": "key, row, time, is_addition", "on_end": "", "on_time_end": "time"}
"""The arguments of each function, by place."""


def _check_arguments(what: str, function: object) -> None:
    """Refuses a function that its call would fail on; what is no plain function or method is not looked into."""
    inner: Any = getattr(function, "__func__", function)
    code = getattr(inner, "__code__", None)
    if code is None or hasattr(inner, "__wrapped__"):
        return
    bound = inner is not function
    most = code.co_argcount - bound
    least = most - len(inner.__defaults__ or ())
    given = _CALLS[what].count(",") + 1 if _CALLS[what] else 0
    named = code.co_varnames[code.co_argcount :][: code.co_kwonlyargcount]
    takes_any = code.co_flags & _TAKES_ANY
    if (least <= given and (given <= most or takes_any)) and set(named) <= set(inner.__kwdefaults__ or ()):
        return
    raise _check.invalid(
        f"{what}: {describe(function)} cannot be called with ({_CALLS[what]})",
        hint=f"{what}=lambda {_CALLS[what]}: ..." if _CALLS[what] else f"{what}=lambda: ...",
    )


_TAKES_ANY = 0x04
"""``inspect.CO_VARARGS``, of a module that is slow to import."""
