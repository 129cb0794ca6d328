"""Names that a program asks for and that are not there: the nearest name, or that this version has none.

A name that is asked for as an attribute is an `AttributeError` as well, so that `hasattr`, `copy` and notebooks work;
those that Python and notebooks look for themselves (`is_looked_for`) are refused without a word. A wrong argument is
a `TypeError` as well.
"""

from __future__ import annotations

import datetime
import functools
import types

from millpond._check import show
from millpond._errors import _NoArgument, _NoName
from millpond._origin import here

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

_ELSEWHERE = {
    "Table": """
        C, asof_join, asof_join_left, asof_join_outer, asof_join_right, asof_now_join,
        asof_now_join_inner, asof_now_join_left, await_futures, buffer, debug, deduplicate, diff, empty,
        forget, freeze, from_columns, from_streams, having, id, inactivity_detection, interpolate,
        interval_join, interval_join_inner, interval_join_left, interval_join_outer,
        interval_join_right, ix, ix_ref, keys, live, plot, pointer_from, promise_universe_is_equal_to,
        promise_universe_is_subset_of, promise_universes_are_disjoint, promise_universes_are_equal,
        restrict, show, slice, sort, split, stream_to_table, to_stream, typehints,
        update_id_type, update_types, window_join, window_join_inner, window_join_left,
        window_join_outer, window_join_right, with_prefix, with_suffix, with_universe_of
    """,
    "ColumnExpression": "num, bin, to_datetime",
    "StringNamespace": """
        capitalize, casefold, center, encode, expandtabs, extract, format, fullmatch, isalnum, isalpha,
        isdigit, isnumeric, isspace, join, ljust, lstrip, match, parse_json, partition, removeprefix,
        removesuffix, reversed, rfind, rjust, rpartition, rsplit, rstrip, splitlines, swapcase, title,
        to_bytes, to_datetime, translate, zfill
    """,
    "DateTimeNamespace": "ceil, date, isoformat, isocalendar, quarter, time, to_duration, dayofyear, week",
    "GroupedTable": "join, having, windowby, deduplicate",
    "JoinResult": "filter, groupby, reduce, join, join_inner, join_left, join_outer, join_right, windowby",
    "Schema": """
        as_dict, assert_equal_to, assert_matches_schema, columns, columns_to_json_serializable_dict,
        default_values, dtypes, from_dict, generate_class, generate_class_to_file, id_type, keys, to_dict,
        types, update_properties, update_types, values, with_id_type, with_types, without
    """,
    "pw": """
        BaseCustomAccumulator, ColumnNamespace, Date, ERROR, Joinable, LiveTable, PersistenceMode,
        Pointer, PyObjectWrapper, TableLike, TableSlice, Type, UDF, apply, apply_async, apply_with_type,
        assert_column_values, assert_table_has_schema, asynchronous, attribute, cli, declare_type, demo,
        enable_interactive_mode, export_table, graphs, groupby, import_table,
        indexing, input_attribute, input_method, iterate, iterate_universe, load_yaml, local_error_log,
        method, ml, numba_apply, ordered, output_attribute, pandas_transformer, require, run_all,
        schema_builder, schema_from_csv, schema_from_dict, schema_from_pandas, set_license_key,
        set_monitoring_config, sql, stateful, statistical, stdlib, table_transformer, transformer, udf,
        udf_async, udfs, universes, unpack_col, unpack_col_dict, utils, viz, wrap_py_object, xpacks
    """,
    "pw.io": """
        OnChangeCallback, OnFinishCallback, SynchronizedColumn, airbyte, bigquery, debezium, deltalake,
        dynamodb, elasticsearch, fs, gdrive, http, iceberg, kafka, kinesis, leann, logstash, milvus, minio,
        mongodb, mqtt, mssql, mysql, nats, null, parquet, plaintext, postgres, pubsub, pyfilesystem, questdb,
        rabbitmq, redpanda, register_input_synchronization_group, s3, s3_csv, slack, sqlite
    """,
    "pw.reducers": """
        collect, first, int_sum, last, list, mean, median, mode, ndarray, npsum, nunique, quantile,
        stateful_many, stateful_single, std, stddev, udf_reducer, var
    """,
    "pw.temporal": """
        AsofJoinResult, AsofNowJoinResult, Behavior, Direction, Interval, IntervalJoinResult, Window,
        WindowJoinResult, add_update_timestamp_utc, asof_join, asof_join_left, asof_join_outer,
        asof_join_right, asof_now_join, asof_now_join_inner, asof_now_join_left, inactivity_detection,
        interval, interval_join, interval_join_inner, interval_join_left, interval_join_outer,
        interval_join_right, intervals_over, utc_now, window_join, window_join_inner, window_join_left,
        window_join_outer, window_join_right, windowby
    """,
    "pw.debug": """
        StreamGenerator, StreamGeneratorError, diff_tables, parse_to_table, table_from_dicts,
        table_from_pandas, table_from_parquet, table_from_rows, table_to_dicts, table_to_pandas,
        table_to_parquet
    """,
    "pw.persistence": "PersistenceMode, s3, azure, mock",
    "Backend": "azure, mock, s3",
    "pw.io.csv": "CsvParserSettings",
    "pw.io.python": "ConnectorObserver, InteractiveCsvPlayer, write, read_from_iterable",
    "pw.io.jsonlines": "",
}
"""The public names of the same interface elsewhere, which programs may bring along. Some may be here by now."""

_INSTEAD = {
    ("Table", "columns"): "table.column_names() gives the names, table.schema the types",
    ("Table", "dtypes"): "table.schema says the types",
    ("Table", "head"): "pw.debug.compute_and_print(table, n_rows=5) prints the first rows",
    ("Table", "show"): "pw.debug.compute_and_print(table) prints the rows",
    ("Table", "limit"): "pw.debug.compute_and_print(table, n_rows=5) prints the first rows",
    ("Table", "shape"): "table.reduce(rows=pw.reducers.count()) counts the rows",
    ("Table", "to_pandas"): 'pw.io.csv.write(table, "result.csv") writes what pandas reads',
    ("Table", "to_csv"): 'pw.io.csv.write(table, "result.csv")',
    ("Table", "to_dict"): "pw.io.subscribe(table, on_change=...) hands over each row as a dictionary",
    ("Table", "collect"): "pw.io.subscribe(table, on_change=...) hands over each row",
    ("Table", "where"): "table.filter(...)",
    ("Table", "drop"): "table.without(...)",
    ("Table", "assign"): "table.with_columns(...)",
    ("Table", "apply"): "table.select(...) computes columns from expressions",
    ("Table", "union"): "table.concat(...)",
    ("Table", "append"): "table.concat(...)",
    ("Table", "group_by"): "table.groupby(...)",
    ("Table", "agg"): "table.reduce(...)",
    ("Table", "astype"): "table.cast_to_types(...)",
    ("Table", "explode"): "table.flatten(...)",
    ("Table", "count"): "table.reduce(rows=pw.reducers.count())",
    ("Table", "sort_values"): "pw.debug.compute_and_print(table) prints the rows in order; a table has none",
    ("Table", "order_by"): "pw.debug.compute_and_print(table) prints the rows in order; a table has none",
    ("Table", "sum"): "table.reduce(total=pw.reducers.sum(pw.this.x))",
    ("Table", "fillna"): "table.with_columns(x=pw.coalesce(pw.this.x, 0))",
    ("Table", "dropna"): "table.filter(pw.this.x.is_not_none())",
    ("Table", "fill_error"): "table.with_columns(x=pw.fill_error(pw.this.x, 0))",
    ("Table", "query"): "table.filter(pw.this.x > 1)",
    ("Table", "having"): "table.filter(pw.this.x > 1) after the reduce",
    ("Table", "to_list"): "pw.io.subscribe(table, on_change=...) hands over each row as a dictionary",
    ("Table", "iterrows"): "pw.io.subscribe(table, on_change=...) hands over each row as a dictionary",
    ("Table", "merge"): "table.join(...)",
    ("Table", "left_join"): "table.join_left(...)",
    ("Table", "right_join"): "table.join_right(...)",
    ("Table", "outer_join"): "table.join_outer(...)",
    ("Table", "full_join"): "table.join_outer(...)",
    ("JoinResult", "with_columns"): "select(...) makes a table of it, which can get more columns",
    ("JoinResult", "join"): "select(...) makes a table of it, which can be joined",
    ("JoinResult", "explain"): "select(...) makes a table of it, which can be explained",
    ("JoinResult", "filter"): "select(...) makes a table of it, which can be filtered",
    ("JoinResult", "groupby"): "select(...) makes a table of it, which can be grouped",
    ("JoinResult", "reduce"): "select(...) makes a table of it, which can be reduced",
    ("GroupedTable", "agg"): "reduce(...)",
    ("GroupedTable", "count"): "reduce(rows=pw.reducers.count())",
    ("GroupedTable", "size"): "reduce(rows=pw.reducers.count())",
    ("GroupedTable", "sum"): "reduce(total=pw.reducers.sum(pw.this.x))",
    ("GroupedTable", "mean"): "reduce(mean=pw.reducers.avg(pw.this.x))",
    ("GroupedTable", "max"): "reduce(largest=pw.reducers.max(pw.this.x))",
    ("GroupedTable", "min"): "reduce(smallest=pw.reducers.min(pw.this.x))",
    ("GroupedTable", "having"): "reduce(n=pw.reducers.count()).filter(pw.this.n > 1)",
    ("GroupedTable", "apply"): "reduce(...) computes columns from reducers",
    ("ColumnExpression", "cast"): "pw.cast(int, pw.this.x)",
    ("ColumnExpression", "astype"): "pw.cast(int, pw.this.x)",
    ("ColumnExpression", "isin"): "(pw.this.x == 1) | (pw.this.x == 2)",
    ("ColumnExpression", "isna"): "pw.this.x.is_none()",
    ("ColumnExpression", "isnull"): "pw.this.x.is_none()",
    ("ColumnExpression", "notna"): "pw.this.x.is_not_none()",
    ("ColumnExpression", "notnull"): "pw.this.x.is_not_none()",
    ("ColumnExpression", "fillna"): "pw.coalesce(pw.this.x, 0)",
    ("ColumnExpression", "fill_error"): "pw.fill_error(pw.this.x, 0)",
    ("ColumnExpression", "between"): "(pw.this.x >= 1) & (pw.this.x <= 2)",
    ("ColumnExpression", "abs"): "abs(pw.this.x)",
    ("ColumnExpression", "sum"): "pw.reducers.sum(pw.this.x)",
    ("ColumnExpression", "max"): "pw.reducers.max(pw.this.x)",
    ("ColumnExpression", "min"): "pw.reducers.min(pw.this.x)",
    ("ColumnExpression", "mean"): "pw.reducers.avg(pw.this.x)",
    ("ColumnExpression", "count"): "pw.reducers.count()",
    ("ColumnExpression", "nunique"): "pw.reducers.count_distinct(pw.this.x)",
    ("ColumnExpression", "like"): 'pw.this.x.str.contains("a"), or .startswith or .endswith in place of .contains',
    ("ColumnExpression", "length"): "pw.this.x.str.len()",
    ("ColumnExpression", "date"): "pw.this.x.dt.floor(datetime.timedelta(days=1))",
    ("ColumnExpression", "isoformat"): "pw.cast(str, pw.this.x)",
    ("DateTimeNamespace", "date"): "pw.this.x.dt.floor(datetime.timedelta(days=1))",
    ("DateTimeNamespace", "isoformat"): "pw.cast(str, pw.this.x)",
    ("DateTimeNamespace", "quarter"): "(pw.this.x.dt.month() + 2) // 3",
    ("DateTimeNamespace", "day_of_week"): "pw.this.x.dt.weekday()",
    ("DateTimeNamespace", "dayofweek"): "pw.this.x.dt.weekday()",
    ("DateTimeNamespace", "isoweekday"): "pw.this.x.dt.weekday() + 1",
    ("DateTimeNamespace", "total_seconds"): "pw.this.x.dt.seconds()",
    ("DateTimeNamespace", "tz_localize"): 'pw.this.x.dt.to_utc("Europe/Berlin")',
    ("DateTimeNamespace", "tz_convert"): 'pw.this.x.dt.to_naive_in_timezone("Europe/Berlin")',
    ("pw", "read_csv"): 'pw.io.csv.read("logs/", schema=..., mode="static")',
    ("pw.csv", "read_csv"): 'pw.io.csv.read("logs/", schema=..., mode="static")',
    ("pw.io", "read_csv"): 'pw.io.csv.read("logs/", schema=..., mode="static")',
    ("pw.io.csv", "read_csv"): 'pw.io.csv.read("logs/", schema=..., mode="static")',
    ("pw", "col"): "pw.this.x",
    ("pw", "merge"): "table.join(...)",
    ("pw", "concat"): "table.concat(...)",
    ("JoinMode", "FULL"): "pw.JoinMode.OUTER",
    ("pw", "remove_errors"): "table.remove_errors()",
    ("pw", "error_log"): "pw.global_error_log()",
    ("pw.debug", "table_from_pandas"): 'frame.to_csv("rows.csv", index=False) writes what pw.io.csv.read reads',
    ("pw.debug", "table_to_pandas"): 'pw.io.csv.write(table, "result.csv", mode="snapshot") writes what pandas reads',
    ("pw.reducers", "mean"): "pw.reducers.avg(...)",
    ("pw.reducers", "average"): "pw.reducers.avg(...)",
    ("pw.reducers", "nunique"): "pw.reducers.count_distinct(...)",
    ("pw.reducers", "first"): "pw.reducers.earliest(...)",
    ("pw.reducers", "last"): "pw.reducers.latest(...)",
    ("pw.reducers", "list"): "pw.reducers.tuple(...)",
    ("StringNamespace", "length"): "len()",
    ("StringNamespace", "lstrip"): "strip()",
    ("StringNamespace", "rstrip"): "strip()",
    ("Schema", "columns"): "column_names() gives the names",
}
"""What does the same here; ``pw.this.x`` stands for the expression at hand, if there is one."""

_DISTINCT = ("distinct", "drop_duplicates", "unique")

_ARGUMENTS = {
    "sep": "delimiter",
    "delimiter": "delimiter",
    "quote": "quote",
    "quotechar": "quote",
    "escape": "escape",
    "escapechar": "escape",
    "null_values": "null_values",
    "na_values": "null_values",
}
"""Arguments of ``pw.io.csv.read`` elsewhere, and those of the settings that say the same here."""

_CONDITIONS = ("on", "left_on", "right_on", "by", "using", "condition")
"""Arguments of joins elsewhere that say by what is joined."""
_JOIN_HINT = "the conditions come after the other table: join(other, pw.left.x == pw.right.y)"

_FIRST = {"pw.temporal.session": "max_gap"}
"""What somebody means who gives an argument without a name, where it is not the first."""

_PHRASES = {
    "Table": "a table has",
    "GroupedTable": "a grouped table has",
    "WindowedTable": "a table cut into windows has",
    "ColumnExpression": "an expression has",
    "ColumnReference": "an expression has",
    "StringNamespace": ".str has",
    "DateTimeNamespace": ".dt has",
    "Schema": "a schema has",
}


_ANY_ARGUMENTS = 0x04 | 0x08
"""``inspect.CO_VARARGS`` and ``CO_VARKEYWORDS``, of a module that is slow to import."""


def is_looked_for(name: str) -> bool:
    """Whether Python or a notebook looks for a name on its own, to see what an object can do."""
    return name.startswith("_")


def no_attribute(
    owner: str, name: str, known: Iterable[str], columns: Iterable[str] = (), subject: str | None = None
) -> AttributeError:
    """The error for an unknown method or function of `owner`; `known` are those that are there.

    Args:
        owner: What it is asked of.
        name: What is asked for.
        known: The names that are there.
        columns: The columns of a table.
        subject: An expression that it is asked of, as it can be pasted.
    """
    if is_looked_for(name):
        return AttributeError(name)
    columns = [column for column in columns if column]
    known = [name for name in known if not name.startswith("_")]
    elsewhere = _elsewhere(owner)
    phrase = _PHRASES.get(owner) or f"{owner} has"
    kind = "method" if owner in _PHRASES else "name"
    instead = _INSTEAD.get((owner, name)) or _INSTEAD.get((_base(owner), name)) or _of_a_namespace(owner, name)
    if owner == "Table" and name in _DISTINCT and columns:
        listed = ", ".join(map(column_code, columns))
        instead = f"table.groupby({listed}).reduce({listed}) has each row once"
    if instead is not None and subject is not None:
        instead = instead.replace("pw.this.x", subject)
    near = nearest(name, [*columns, *known])
    file, line = here()
    if name in elsewhere and near not in columns:
        message, hint = f"{phrase} no {kind} {show(name)} in this version", instead
    elif owner == "Table" and instead is None:
        listed = ", ".join(map(show, columns))
        message, hint = f"a table has no column or method {show(name)}; its columns are {listed}", None
    else:
        message, hint = f"{phrase} no {kind} {show(name)}", instead
    if hint is None and near is not None:
        hint = f"did you mean {show(near)}?"
    return _NoName(message, hint=hint, origin=f"{file}:{line}", name=name)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The name that somebody who wrote `name` may have meant."""
    import difflib

    by_case = {candidate.lower(): candidate for candidate in known if candidate}
    found = difflib.get_close_matches(name.lower(), by_case, 1, cutoff=0.7)
    return by_case[found[0]] if found else None


def _of_a_namespace(owner: str, name: str) -> str | None:
    """The method of ``.str`` or ``.dt`` that somebody means who asks an expression itself for it."""
    if _base(owner) != "ColumnExpression" or is_looked_for(name):
        return None
    from millpond._date_time import DateTimeNamespace
    from millpond._text import StringNamespace

    for shown, namespace in ((".str", StringNamespace), (".dt", DateTimeNamespace)):
        if name in vars(namespace):
            method = vars(namespace)[name]
            method = getattr(method, "__wrapped__", method)
            needed = method.__code__.co_argcount - len(method.__defaults__ or ())
            arguments = "" if needed == 1 else "..."
            return f"pw.this.x{shown}.{name}({arguments})"
    return None


def column_code(column: str) -> str:
    """A column as a program writes it."""
    return f"pw.this.{column}" if column.isidentifier() else f"pw.this[{column!r}]"


def _base(owner: str) -> str:
    return {"WindowedTable": "GroupedTable", "ColumnReference": "ColumnExpression"}.get(owner, owner)


def _elsewhere(owner: str) -> set[str]:
    return {name.strip() for name in _ELSEWHERE.get(_base(owner), "").split(",")}


def finish_module(module: types.ModuleType, shown: str) -> None:
    """Lets the functions of a module say what is wrong with their arguments, and the module with other names."""
    public = list(module.__all__)

    def missing(name: str) -> Any:
        raise no_attribute(shown, name, public)

    module.__getattr__ = missing  # type: ignore[method-assign]
    for name in public:
        value = getattr(module, name)
        if isinstance(value, types.FunctionType) and not hasattr(value, "__wrapped__"):
            setattr(module, name, checked(value, f"{shown}.{name}"))
        elif isinstance(value, type) and value.__module__.startswith("millpond"):
            finish_class(value, f"{shown}.{name}")


def finish_class(cls: type, shown: str) -> None:
    """The same for the public methods of a class, and for making an object of it."""
    if issubclass(cls, BaseException) or hasattr(cls, "__members__"):
        return
    for name, value in list(vars(cls).items()):
        if hasattr(value, "__wrapped__"):
            continue
        elif name == "__init__" and shown.startswith("pw."):
            setattr(cls, name, checked(value, shown))
        elif name.startswith("_"):
            continue
        elif isinstance(value, types.FunctionType):
            if not _takes_anything(value):
                setattr(cls, name, checked(value, f".{name}"))
        elif isinstance(value, (classmethod, staticmethod)):
            setattr(cls, name, type(value)(checked(value.__func__, f"{shown}.{name}")))


def _takes_anything(function: types.FunctionType) -> bool:
    """Whether a call of it never fails on its way in: such a function looks at its arguments itself."""
    return function.__code__.co_flags & _ANY_ARGUMENTS == _ANY_ARGUMENTS


def checked(function: Callable[..., Any], shown: str) -> Callable[..., Any]:
    """The function, whose caller is told in words of a wrong argument."""

    @functools.wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        try:
            return function(*arguments, **options)
        except TypeError as error:
            if error.__traceback__ is None or error.__traceback__.tb_next is not None:
                raise  # from inside the function
            refused = no_argument(function, shown, arguments, options)
        raise refused

    return call


def no_argument(
    function: Callable[..., Any], shown: str, arguments: tuple[Any, ...], options: dict[str, Any]
) -> Exception:
    """What is wrong with the arguments of a call."""
    import inspect  # only where it is needed, for the sake of quick starts

    kinds = inspect.Parameter
    parameters = list(inspect.signature(function).parameters.values())
    if parameters and parameters[0].name in ("self", "cls"):
        parameters, arguments = parameters[1:], arguments[1:]
    by_name = [p.name for p in parameters if p.kind in (kinds.POSITIONAL_OR_KEYWORD, kinds.KEYWORD_ONLY)]
    by_place = [p.name for p in parameters if p.kind in (kinds.POSITIONAL_OR_KEYWORD, kinds.POSITIONAL_ONLY)]
    file, line = here()

    def error(message: str, hint: str | None) -> Exception:
        return _NoArgument(f"{shown}: {message}", hint=hint, origin=f"{file}:{line}")

    listed = f"the arguments are {', '.join(by_name)}" if by_name else None
    if shown == "pw.reducers.count":
        listed = "pw.reducers.count() counts rows, pw.reducers.count_distinct(...) values"
    for name in options:
        if name not in by_name:
            if ".join" in shown and name in _CONDITIONS:
                return error(f"there is no argument {show(name)} in this version", _JOIN_HINT)
            near = nearest(name, by_name)
            if shown == "pw.io.csv.read" and name in _ARGUMENTS:
                setting = f"pw.io.CsvParserSettings({_ARGUMENTS[name]}={_code(options[name])})"
                return error(f"there is no argument {show(name)} in this version", f"csv_settings={setting}")
            return error(
                f"there is no argument {show(name)} in this version", f"did you mean {near}=?" if near else listed
            )
    if len(arguments) > len(by_place):
        most = f"{len(by_place)} argument{'' if len(by_place) == 1 else 's'}"
        extra = [name for name in by_name if name not in by_place and name not in options]
        hint = listed
        if extra:
            meant, value = _FIRST.get(shown, extra[0]), arguments[len(by_place)]
            named = extra[0] if callable(value) or meant not in extra else meant
            hint = f"name the others, such as {named}={_code(value)}"
        return error(f"{most} at most can be given without a name, but {len(arguments)} are", hint)
    for name in by_place[: len(arguments)]:
        if name in options:
            return error(f"the argument {name} is given twice", None)
    # Python has refused the call, so what is left is one without a default.
    needed = [p.name for p in parameters if p.default is kinds.empty and p.name in {*by_name, *by_place}]
    missing = next(name for name in needed if name not in options and name not in by_place[: len(arguments)])
    return error(f"the argument {missing} is missing", listed)


def _code(value: object) -> str:
    """A value as a program writes it; only of those whose ``repr`` is that."""
    plain = isinstance(value, (str, int, float, datetime.timedelta))
    plain = plain or (isinstance(value, list) and all(isinstance(text, str) for text in value))
    return repr(value) if plain else "..."
