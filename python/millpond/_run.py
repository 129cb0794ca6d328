"""Running a program."""

from __future__ import annotations

import os
import sys

from millpond import _check, _native, _outputs
from millpond._errors import InvalidError, UnavailableError
from millpond._summary import RunSummary
from millpond.persistence import Backend, Config

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar, Protocol

    class Flag(Protocol):
        """What may stop a run: a `threading.Event`, or another object that says whether it is set."""

        def is_set(self) -> bool: ...


_HTTP_ADDRESS = "127.0.0.1:20000"
_WAKE_S = 0.05


class MonitoringLevel:
    """How much a run shows of itself, on standard error.

    Every level but `NONE` ends with one line of summary. What is drawn on a terminal is gone by then. A run that comes
    to its end has a progress bar, one that goes on until it is stopped a dashboard.
    """

    __slots__ = ("_name",)

    NONE: ClassVar[MonitoringLevel]
    """Nothing."""
    AUTO: ClassVar[MonitoringLevel]
    """On a terminal, a progress bar, unless the program's own functions are called, which may print as well."""
    AUTO_ALL: ClassVar[MonitoringLevel]
    """On a terminal, as `ALL`; otherwise as `AUTO`."""
    IN_OUT: ClassVar[MonitoringLevel]
    """Progress bar, or a dashboard of sources and outputs; without a terminal, a line every five seconds."""
    ALL: ClassVar[MonitoringLevel]
    """As `IN_OUT`, and the dashboard shows every step as well."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return f"MonitoringLevel.{self._name}"


for _level in ("NONE", "AUTO", "AUTO_ALL", "IN_OUT", "ALL"):
    setattr(MonitoringLevel, _level, MonitoringLevel(_level))


def run(
    *,
    monitoring_level: MonitoringLevel = MonitoringLevel.AUTO,
    persistence_config: Config | None = None,
    state: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    memory_limit: int | str | None = None,
    report: str | os.PathLike[str] | None = None,
    with_http_server: bool = False,
    http_address: str | int | None = None,
    stop: Flag | None = None,
    terminate_on_error: bool = True,
) -> RunSummary:
    """Runs the program: reads what is new, and writes every table given to ``pw.io.csv.write``.

    A second call runs the same program again. Ctrl-C, SIGTERM and ``stop`` stop a run. A static one leaves what it had
    not finished to the next run; one with a source in streaming mode, or a subject of its own, finishes what it has
    read, and saves its state. After a signal a script ends with exit code 130 or 143; a second signal ends it at once.
    A function of the program that does not return within ``MILLPOND_GRACE_S`` seconds (5) is left behind.

    A run on another thread goes on when whoever waits for it is interrupted or cancelled, such as by the stop button of
    a notebook in ``await asyncio.to_thread(pw.run)``: give it ``stop``, or use `run_async`, which stops it.

    Args:
        monitoring_level: What the run shows of itself on standard error; ``MonitoringLevel.NONE`` is nothing.
        persistence_config: Where the state is kept between runs. Without it and ``state``, every run starts from
            nothing.
        state: The directory where the state is kept: short for ``persistence_config=pw.persistence.Config(
            pw.persistence.Backend.filesystem(state))``.
        workers: The number of threads; by default ``MILLPOND_WORKERS``, or else the number of cores.
        memory_limit: About how much memory the process may take: a number of bytes, or a text such as ``"150MB"`` or
            ``"2GiB"``; by default what ``MILLPOND_MEMORY`` says, or else half of the machine's, or of the control
            group's. What does not fit waits in scratch files, which are gone when the process ends: in the directory
            that ``MILLPOND_SCRATCH`` names, or else in that of the state, or of temporary files.
        report: A file for the report of the run, as JSON, written when it ends, also if it fails; by default the file
            that ``MILLPOND_REPORT`` names, if it names one.
        with_http_server: Whether to serve ``/metrics`` for Prometheus, and ``/healthz``, while the run goes on; also if
            ``http_address`` or ``MILLPOND_HTTP`` names an address.
        http_address: Where to serve them: ``"host:port"``, or a port of this machine alone, by default 20000; 0 is any
            that is free. An address that other machines can reach needs a token in ``MILLPOND_HTTP_TOKEN``.
        stop: A `threading.Event` that ends the run once it is set, from another thread, a task or a handler of signals.
        terminate_on_error: Whether the run ends for an error value, such as a division by zero, in a row that reaches
            an output, or that decides where a row goes. With ``False`` such a cell is empty in its outputs, or null;
            a row is left out where an error decides whether it is in, as the condition of a `filter`, the time of a
            window, what tables are combined or joined by (an outer join keeps it, without a match); the rows of which
            a key of a group is an error are one group. A notice tells of the first of each. `global_error_log` is the
            table of all errors. The same state serves both.

    Returns:
        What the run did; of one that ``stop`` has ended, what it did until then.

    Raises:
        millpond.Error: If the run cannot be done; the subclass says what to do about it.
        KeyboardInterrupt: If the run was stopped by Ctrl-C.
        SystemExit: If the run was stopped by SIGTERM, for which the program has no handler of its own.

    Examples:
        >>> import millpond as pw
        >>> pw.run()
        Traceback (most recent call last):
        ...
        millpond.InvalidError: ...: there is nothing to run: no table is written
        hint: add pw.io.csv.write(table, "result.csv") before pw.run()
    """
    if not isinstance(monitoring_level, MonitoringLevel):
        raise _check.invalid(
            f"monitoring_level: expected a pw.MonitoringLevel, got {_check.show(monitoring_level)}",
            hint="such as pw.MonitoringLevel.NONE",
        )
    if persistence_config is not None and not isinstance(persistence_config, Config):
        raise _check.invalid(
            f"persistence_config: expected a pw.persistence.Config, got {_check.show(persistence_config)}",
            hint='state="state" is short for persistence_config='
            'pw.persistence.Config(pw.persistence.Backend.filesystem("state"))',
        )
    if state is not None:
        if persistence_config is not None:
            raise _check.invalid(
                "state and persistence_config both say where the state is kept",
                hint=f"leave persistence_config out: state={_check.show(state)} is short for it",
            )
        persistence_config = Config(Backend(_check.path(state, "state")))
    if workers is not None:
        _check.whole_number(workers, "workers", least=1)
    if memory_limit is not None and (isinstance(memory_limit, bool) or not isinstance(memory_limit, (int, str))):
        raise _check.invalid(
            f"memory_limit: expected a number of bytes, got {_check.show(memory_limit)}",
            hint='such as memory_limit="150MB" or memory_limit="2GiB"',
        )
    report_path = None if report is None else _check.path(report, "report")
    _check.flag(with_http_server, "with_http_server")
    _check.flag(terminate_on_error, "terminate_on_error")
    address = _http(with_http_server, http_address)
    sinks = _outputs.declared()
    if not sinks:
        raise _check.invalid(
            "there is nothing to run: no table is written",
            hint='add pw.io.csv.write(table, "result.csv") before pw.run()',
        )
    if stop is not None and not callable(getattr(stop, "is_set", None)):
        raise _check.invalid(
            f"stop: expected a threading.Event, got {_check.show(stop)}", hint="such as stop=threading.Event()"
        )
    directory = None if persistence_config is None else persistence_config.backend._path
    every_ms = None if persistence_config is None else persistence_config.snapshot_interval_ms
    from millpond import _stops  # loads modules that a program needs only when it runs

    _outputs.note_run()
    try:
        with _stops.while_running() as signals:
            did, left = _native.run(
                sinks,
                directory,
                workers,
                None if memory_limit is None else str(memory_limit),
                every_ms,
                terminate_on_error,
                monitoring_level._name,
                report_path,
                address,
                signals,
                _stops.asked_by(stop),
            )
            if did is not None and monitoring_level is not MonitoringLevel.NONE:
                _tell(did)  # before a signal that ended the run raises what it stands for
    except InvalidError as error:
        _outputs.tell_of_cells(error)
        raise
    if did is None:
        raise UnavailableError(f"the run was left behind: {left}")
    _, _, text, numbers = did
    return RunSummary(text, numbers)


def _tell(did: tuple[int, list[str], str, str]) -> None:
    """Prints notices and the line of summary; of several processes, the first one speaks."""
    process, notices, text, _ = did
    if process == 0:
        print(*(f"millpond: {notice}" for notice in notices), text, sep="\n", file=sys.stderr)


async def run_async(*, stop: Flag | None = None, **options: Any) -> RunSummary:
    """Runs the program as `run` does, on a thread of its own, so that other tasks go on meanwhile.

    When the task that awaits it is cancelled, the run is stopped, and has ended when this raises
    `asyncio.CancelledError`: Ctrl-C in a program of ``asyncio.run``, the stop button in a notebook, a `TaskGroup` of
    which another task has failed. A second cancellation does not wait. SIGTERM stops the run as it stops `run`, if the
    program has no handler of its own for it.

    Args:
        stop: As for `run`.
        **options: All other arguments of `run`.

    Examples:
        >>> import asyncio
        >>> import millpond as pw
        >>> visits = pw.debug.table_from_markdown('''
        ...     user | pages
        ...     ann  | 3
        ... ''')
        >>> pw.io.subscribe(visits, lambda key, row, time, is_addition: print(row))
        >>> summary = asyncio.run(pw.run_async(monitoring_level=pw.MonitoringLevel.NONE))
        {'user': 'ann', 'pages': 3}
        >>> summary.rows_read
        1
        >>> pw.clear()
    """
    import asyncio
    import functools
    import threading

    cancelled = threading.Event()
    flag = cancelled if stop is None else _Either(cancelled, stop)
    work = asyncio.get_running_loop().run_in_executor(None, functools.partial(run, stop=flag, **options))
    from millpond import _stops  # loads modules that a program needs only when it runs

    with _stops.while_awaiting(cancelled):
        try:
            while not work.done():
                # The loop of a notebook hears of a signal only when it wakes up.
                await asyncio.wait([work], timeout=_WAKE_S)
            return work.result()
        except asyncio.CancelledError:
            cancelled.set()
            await asyncio.wait([work])
            error = work.exception()
            if error is not None:
                raise error from None
            raise


class _Either:
    """A flag that is set when one of two is."""

    def __init__(self, one: Flag, other: Flag) -> None:
        self._one = one
        self._other = other

    def is_set(self) -> bool:
        return self._one.is_set() or self._other.is_set()


def _http(with_http_server: bool, address: str | int | None) -> str | None:
    """Where to listen, if the program says so."""
    if address is None:
        return _HTTP_ADDRESS if with_http_server and not os.environ.get("MILLPOND_HTTP") else None
    if isinstance(address, bool) or not isinstance(address, (str, int)):
        raise _check.invalid(
            f"http_address: expected an address or a port, got {_check.show(address)}",
            hint='such as "127.0.0.1:20000"',
        )
    return str(address)
