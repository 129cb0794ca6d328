"""Incremental data processing: write a pipeline once, each run processes only what is new.

Examples:
    The program below reads a directory of CSV files, groups each user's visits into sessions and writes what changed
    since the last run::

        import millpond as pw

        class Visit(pw.Schema):
            user_id: str
            access_time: int

        visits = pw.io.csv.read("logs/", schema=Visit, name="logs")
        sessions = visits.windowby(
            visits.access_time, window=pw.temporal.session(max_gap=300), instance=visits.user_id
        ).reduce(visits.user_id, start=pw.this._pw_window_start, visits=pw.reducers.count())
        pw.io.csv.write(sessions, "sessions.csv")
        pw.run(state="state")
"""

import sys

from millpond import csv, debug, io, persistence, reducers, temporal
from millpond._date_time import DateTimeNamespace
from millpond._error_log import global_error_log
from millpond._errors import (
    ChangedError,
    DataError,
    Error,
    InputError,
    InvalidError,
    LockedError,
    UnavailableError,
    install_excepthook,
)
from millpond._expression import (
    ColumnExpression,
    ColumnReference,
    cast,
    coalesce,
    fill_error,
    if_else,
    left,
    make_tuple,
    right,
    this,
    unwrap,
)
from millpond._join import JoinMode
from millpond._json import Json
from millpond._names import finish_class, finish_module
from millpond._native import __version__
from millpond._outputs import clear
from millpond._run import MonitoringLevel, run, run_async
from millpond._schema import Schema, column_definition, schema_from_types
from millpond._summary import OutputSummary, RunSummary, SourceSummary, StepSummary
from millpond._table import (
    GroupedTable,
    JoinResult,
    Table,
    WindowedTable,
    explain,
    join,
    join_inner,
    join_left,
    join_outer,
    join_right,
)
from millpond._text import StringNamespace
from millpond._time import DateTimeNaive, DateTimeUtc, Duration

__all__ = [
    "ChangedError",
    "ColumnExpression",
    "ColumnReference",
    "DataError",
    "DateTimeNaive",
    "DateTimeUtc",
    "Duration",
    "Error",
    "GroupedTable",
    "InputError",
    "InvalidError",
    "JoinMode",
    "JoinResult",
    "Json",
    "LockedError",
    "MonitoringLevel",
    "OutputSummary",
    "RunSummary",
    "Schema",
    "SourceSummary",
    "StepSummary",
    "Table",
    "UnavailableError",
    "WindowedTable",
    "__version__",
    "cast",
    "clear",
    "coalesce",
    "column_definition",
    "csv",
    "debug",
    "explain",
    "fill_error",
    "global_error_log",
    "if_else",
    "io",
    "join",
    "join_inner",
    "join_left",
    "join_outer",
    "join_right",
    "left",
    "make_tuple",
    "persistence",
    "reducers",
    "right",
    "run",
    "run_async",
    "schema_from_types",
    "temporal",
    "this",
    "unwrap",
]

for _name in __all__:
    _object = globals()[_name]
    if hasattr(_object, "__qualname__") and _object.__module__.startswith("millpond._"):
        _object.__module__ = "millpond"  # so that messages show millpond.Table, where users find it
del _name, _object

for _module, _shown in (
    (sys.modules[__name__], "pw"),
    (csv, "pw.csv"),
    (io, "pw.io"),
    (io.csv, "pw.io.csv"),
    (io.jsonlines, "pw.io.jsonlines"),
    (io.python, "pw.io.python"),
    (debug, "pw.debug"),
    (persistence, "pw.persistence"),
    (reducers, "pw.reducers"),
    (temporal, "pw.temporal"),
):
    finish_module(_module, _shown)
finish_class(StringNamespace, ".str")
finish_class(DateTimeNamespace, ".dt")
del _module, _shown

install_excepthook()
