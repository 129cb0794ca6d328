"""Hints that show code: each is pasted into the program that it was given to, which then works."""

# mypy: disable-error-code="attr-defined,arg-type,call-arg,call-overload,index,misc,operator"

from __future__ import annotations

import copy
import datetime
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Script

import millpond as pw


class Row(pw.Schema):
    i: int
    f: float
    s: str
    b: bool
    o: int | None
    j: pw.Json
    at: pw.DateTimeNaive
    utc: pw.DateTimeUtc
    d: pw.Duration
    pair: tuple[int, str]
    ints: list[int]
    raw: bytes


ROW = '1|1.5|7|true|2|{"x":3}|2026-01-02T03:04:05|2026-01-02T03:04:05Z|PT5M|[1,"a"]|[1,2]|YQ=='
T = pw.debug.table_from_markdown(f"{'|'.join(Row.column_names())}\n{ROW}", schema=Row)
OTHER = pw.debug.table_from_markdown("i | s\n1 | x", schema=pw.schema_from_types(i=str, s=str))
SESSION = pw.temporal.session(max_gap=3)
HOURS = pw.temporal.tumbling(duration=3)
ONE = pw.reducers.count()


def select(code: Any) -> pw.Table:
    return T.select(x=code)


def reduce(code: Any) -> pw.Table:
    return T.groupby(T.i).reduce(x=code)


def windows(time: Any, window: Any = HOURS) -> pw.Table:
    return T.windowby(time, window=window).reduce(n=ONE)


def subscribed(**functions: Any) -> pw.Table:
    pw.io.subscribe(T, **functions)
    return T


Mistake = tuple[Callable[[], Any], str, str, Callable[[Any], pw.Table]]

# The mistake, the whole hint, the part of it that is code, and what the program becomes with it.
HINTS: dict[str, Mistake] = {
    "text and a number": (
        lambda: select(pw.this.s + pw.this.i),
        "pw.cast(str, pw.this.i) makes text of it",
        "pw.cast(str, pw.this.i)",
        lambda code: select(pw.this.s + code),
    ),
    "number and text": (
        lambda: select(pw.this.i * pw.this.s),
        "pw.cast(int, pw.this.s) reads a number from text",
        "pw.cast(int, pw.this.s)",
        lambda code: select(pw.this.i * code),
    ),
    "float and text": (
        lambda: select(pw.this.f < pw.this.s),
        "pw.cast(float, pw.this.s) reads a number from text",
        "pw.cast(float, pw.this.s)",
        lambda code: select(pw.this.f < code),
    ),
    "bool and number": (
        lambda: select(pw.this.b + pw.this.i),
        "pw.cast(int, pw.this.b) makes 1 of true and 0 of false",
        "pw.cast(int, pw.this.b)",
        lambda code: select(code + pw.this.i),
    ),
    "json and number": (
        lambda: select(pw.this.j["x"] + 1),
        'pw.this.j["x"].as_int() makes an int of JSON; so do as_float(), as_str() and as_bool()',
        'pw.this.j["x"].as_int()',
        lambda code: select(code + 1),
    ),
    "always None": (
        lambda: select(None),
        "say which: pw.cast(int, None)",
        "pw.cast(int, None)",
        select,
    ),
    "None in a tuple": (
        lambda: select(pw.make_tuple(1, None)),
        "say which: pw.cast(int, None)",
        "pw.cast(int, None)",
        lambda code: select(pw.make_tuple(1, code)),
    ),
    "None in a reducer": (
        lambda: reduce(pw.reducers.max(None)),
        "say which: pw.cast(int, None)",
        "pw.cast(int, None)",
        lambda code: reduce(pw.reducers.max(code)),
    ),
    "argument of a text method": (
        lambda: select(pw.this.s.str.find(pw.this.i)),
        "pw.cast(str, pw.this.i)",
        "pw.cast(str, pw.this.i)",
        lambda code: select(pw.this.s.str.find(code)),
    ),
    "text method of a number": (
        lambda: select(pw.this.i.str.len()),
        "pw.cast(str, pw.this.i)",
        "pw.cast(str, pw.this.i)",
        lambda code: select(code.str.len()),
    ),
    "floor by a number": (
        lambda: select(pw.this.at.dt.floor(5)),
        "a duration is such as datetime.timedelta(minutes=5)",
        "datetime.timedelta(minutes=5)",
        lambda code: select(pw.this.at.dt.floor(code)),
    ),
    "point of the other kind": (
        lambda: select(pw.this.utc.dt.to_utc("Europe/Berlin")),
        'pw.this.utc.dt.to_naive_in_timezone("Europe/Berlin") makes one of the other',
        'pw.this.utc.dt.to_naive_in_timezone("Europe/Berlin")',
        lambda code: select(code.dt.to_utc("Europe/Berlin")),
    ),
    "unknown time zone": (
        lambda: select(pw.this.at.dt.to_utc("Berlin")),
        'names are those of the IANA database, such as "Europe/Berlin"',
        '"Europe/Berlin"',
        lambda code: select(pw.this.at.dt.to_utc(code)),
    ),
    "value as JSON": (
        lambda: select(pw.this.s.as_int()),
        "pw.cast(int, pw.this.s)",
        "pw.cast(int, pw.this.s)",
        select,
    ),
    "cast of JSON": (
        lambda: select(pw.cast(int, pw.this.j["x"])),
        'pw.this.j["x"].as_int() reads it, and gives null for others',
        'pw.this.j["x"].as_int()',
        select,
    ),
    "element by a column": (
        lambda: select(pw.this.pair[pw.this.i]),
        "write the number of the element: pw.this.pair[0]",
        "pw.this.pair[0]",
        select,
    ),
    "column outside of a reducer": (
        lambda: reduce(pw.this.s),
        "a group has many values of it; take one with a reducer, for example pw.reducers.max(pw.this.s)",
        "pw.reducers.max(pw.this.s)",
        reduce,
    ),
    "argmax of one argument": (
        lambda: reduce(pw.reducers.argmax(pw.this.f)),
        "pw.reducers.argmax(pw.this.f, pw.this.name) is the name of the row with the largest f; a row has no id",
        "pw.reducers.argmax(pw.this.f, pw.this.name)",
        lambda code: T.with_columns(name=pw.this.s).groupby(pw.this.i).reduce(x=code),
    ),
    "sum of text": (
        lambda: reduce(pw.reducers.sum(pw.this.s)),
        "pw.cast(int, pw.this.s) or pw.cast(float, pw.this.s)",
        "pw.cast(float, pw.this.s)",
        lambda code: reduce(pw.reducers.sum(code)),
    ),
    "sum of bools": (
        lambda: reduce(pw.reducers.sum(pw.this.b)),
        "pw.cast(int, pw.this.b) makes 1 of true and 0 of false",
        "pw.cast(int, pw.this.b)",
        lambda code: reduce(pw.reducers.sum(code)),
    ),
    "sum of JSON": (
        lambda: reduce(pw.reducers.sum(pw.this.j["x"])),
        'pw.this.j["x"].as_int() makes an int of JSON, or null',
        'pw.this.j["x"].as_int()',
        lambda code: reduce(pw.reducers.sum(code)),
    ),
    "the window as a tuple": (
        lambda: T.windowby(T.i, window=HOURS).reduce(x=pw.this._pw_window),
        "pw.make_tuple(pw.this._pw_window_start, pw.this._pw_window_end)",
        "pw.make_tuple(pw.this._pw_window_start, pw.this._pw_window_end)",
        lambda code: T.windowby(T.i, window=HOURS).reduce(x=code),
    ),
    "text as the time of a window": (
        lambda: windows(T.s),
        "pw.cast(int, pw.this.s)",
        "pw.cast(int, pw.this.s)",
        windows,
    ),
    "text as the time of a session": (
        lambda: windows(T.s, SESSION),
        "pw.cast(int, pw.this.s)",
        "pw.cast(int, pw.this.s)",
        lambda code: windows(code, SESSION),
    ),
    "optional time of a session": (
        lambda: windows(T.o, SESSION),
        "keep the rows that have one, .filter(pw.this.o.is_not_none()), and give pw.unwrap(pw.this.o)",
        "pw.unwrap(pw.this.o)",
        lambda code: T.filter(pw.this.o.is_not_none()).windowby(code, window=SESSION).reduce(n=ONE),
    ),
    "float window over ints": (
        lambda: windows(T.i, pw.temporal.tumbling(duration=0.5)),
        "give a whole number, or take pw.cast(float, pw.this.i) as the time",
        "pw.cast(float, pw.this.i)",
        lambda code: windows(code, pw.temporal.tumbling(duration=0.5)),
    ),
    "float gap over ints": (
        lambda: windows(T.i, pw.temporal.session(max_gap=0.5)),
        "give a whole number, or take pw.cast(float, pw.this.i) as the time",
        "pw.cast(float, pw.this.i)",
        lambda code: windows(code, pw.temporal.session(max_gap=0.5)),
    ),
    "number as a duration": (
        lambda: windows(T.at),
        "a duration is such as datetime.timedelta(minutes=5)",
        "datetime.timedelta(minutes=5)",
        lambda code: windows(T.at, pw.temporal.tumbling(duration=code)),
    ),
    "number as a gap of points": (
        lambda: windows(T.at, SESSION),
        "a duration is such as datetime.timedelta(minutes=5)",
        "datetime.timedelta(minutes=5)",
        lambda code: windows(T.at, pw.temporal.session(max_gap=code)),
    ),
    "predicate that is no bool": (
        lambda: windows(T.i, pw.temporal.session(predicate=lambda a, b: b - a)),
        "such as lambda a, b: b - a < 300",
        "lambda a, b: b - a < 300",
        lambda code: windows(T.i, pw.temporal.session(predicate=code)),
    ),
    "predicate that is no function": (
        lambda: pw.temporal.session(predicate=True),
        "predicate=lambda a, b: b - a < 10",
        "lambda a, b: b - a < 10",
        lambda code: windows(T.i, pw.temporal.session(predicate=code)),
    ),
    "no window": (
        lambda: T.windowby(T.i, window=300),
        "window=pw.temporal.session(max_gap=300)",
        "pw.temporal.session(max_gap=300)",
        lambda code: windows(T.i, code),
    ),
    "tables that are not identified": (
        lambda: T.difference(T),
        "say which columns do, for example with_id_from(pw.this.i)",
        "pw.this.i",
        lambda code: T.with_id_from(code).difference(T.with_id_from(code)),
    ),
    "columns of other types": (
        lambda: T.select(T.i, T.s).concat(OTHER),
        "table 2 can be given as .cast_to_types(i=int)",
        "dict(i=int)",
        lambda code: T.select(T.i, T.s).concat(OTHER.cast_to_types(**code).filter(pw.this.i > 5)),
    ),
    "misspelled column": (
        lambda: select(pw.this.att),
        'did you mean "at"?',
        "pw.this.at",
        select,
    ),
    "text of a column": (
        lambda: select(f"user {pw.this.s}"),
        '"a " + pw.cast(str, pw.this.s) joins texts, where f"a {...}" cannot',
        '"a " + pw.cast(str, pw.this.s)',
        select,
    ),
    "str of a column": (
        lambda: select(str(T.i)),
        'pw.cast(str, pw.this.x) makes text of a column x; "a " + pw.cast(str, pw.this.x) joins texts',
        "pw.cast(str, pw.this.x)",
        lambda code: T.with_columns(x=pw.this.i).select(x=code),
    ),
    "a column in an old format": (
        lambda: select("user %s" % T.s),  # noqa: UP031
        'pw.cast(str, pw.this.x) makes text of a column x; "a " + pw.cast(str, pw.this.x) joins texts',
        '"a " + pw.cast(str, pw.this.x)',
        lambda code: T.with_columns(x=pw.this.i).select(x=code),
    ),
    "int of a column": (
        lambda: select(int(pw.this.s)),
        "pw.cast(int, pw.this.s)",
        "pw.cast(int, pw.this.s)",
        select,
    ),
    "root of a column": (
        lambda: select(__import__("math").sqrt(pw.this.f)),
        "pw.cast(float, pw.this.f); a root is pw.this.f ** 0.5",
        "pw.this.f ** 0.5",
        select,
    ),
    "floor of a column": (
        lambda: select(__import__("math").floor(pw.this.f)),
        "pw.this.f // 1",
        "pw.this.f // 1",
        select,
    ),
    "ceiling of a column": (
        lambda: select(__import__("math").ceil(pw.this.f)),
        "-(-pw.this.f // 1)",
        "-(-pw.this.f // 1)",
        select,
    ),
    "rounded column": (
        lambda: select(round(pw.this.f, 2)),
        "(pw.this.f * 100 + 0.5) // 1 / 100 rounds to 2 digits",
        "(pw.this.f * 100 + 0.5) // 1 / 100",
        select,
    ),
    "length of a column": (
        lambda: select(len(pw.this.s)),
        "pw.this.s.str.len() is the length of text",
        "pw.this.s.str.len()",
        select,
    ),
    "column as an index": (
        lambda: select("abc"[pw.this.i]),
        "pw.cast(int, pw.this.i); a part of a text is .str.slice(start, end)",
        "pw.cast(int, pw.this.i)",
        select,
    ),
    "walk through a column": (
        lambda: list(T.ints),
        "the elements of a list become rows with table.flatten(pw.this.ints)",
        "pw.this.ints",
        lambda code: T.flatten(code),
    ),
    "truth of a column": (
        lambda: T.filter(pw.this.i in [1, 2]),
        "write & | ~ for and, or, not; (a < b) & (b < c) for a < b < c; (a == 1) | (a == 2) for a in [1, 2]; "
        "pw.if_else(condition, a, b) for if",
        "(pw.this.i == 1) | (pw.this.i == 2)",
        lambda code: T.filter(code),
    ),
    "method that is not called": (
        lambda: select(pw.this.s.str.lower),
        "call it: lower()",
        "pw.this.s.str.lower()",
        select,
    ),
    "list as a value": (
        lambda: select([1, 2]),
        "pw.make_tuple(...) makes a tuple of values",
        "pw.make_tuple(1, 2)",
        select,
    ),
    "dictionary as a value": (
        lambda: select({"a": 1}),
        "pw.Json({...}) is a value",
        'pw.Json({"a": 1})',
        select,
    ),
    "group by nothing": (
        lambda: T.groupby(),
        "table.reduce(...) makes one row of the whole table",
        "T.reduce(n=pw.reducers.count())",
        lambda code: code,
    ),
    "point as a number": (
        lambda: select(pw.cast(int, pw.this.at)),
        'pw.this.at.dt.timestamp(unit="s") is a number of seconds since 1970',
        'pw.this.at.dt.timestamp(unit="s")',
        select,
    ),
    "duration as a number": (
        lambda: select(pw.cast(float, pw.this.d)),
        "pw.this.d.dt.seconds() is a number of seconds",
        "pw.this.d.dt.seconds()",
        select,
    ),
    "number as a point": (
        lambda: select(pw.cast(pw.DateTimeNaive, pw.this.i)),
        'pw.this.i.dt.from_timestamp(unit="s") takes it for seconds since 1970',
        'pw.this.i.dt.from_timestamp(unit="s")',
        select,
    ),
    "number as a point with a zone": (
        lambda: select(pw.cast(pw.DateTimeUtc, pw.this.f)),
        'pw.this.f.dt.utc_from_timestamp(unit="s") takes it for seconds since 1970',
        'pw.this.f.dt.utc_from_timestamp(unit="s")',
        select,
    ),
    "point as one of the other kind": (
        lambda: select(pw.cast(pw.DateTimeUtc, pw.this.at)),
        'pw.this.at.dt.to_utc("Europe/Berlin") makes one of the other',
        'pw.this.at.dt.to_utc("Europe/Berlin")',
        select,
    ),
    "constant point and text": (
        lambda: select(pw.this.s + datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)),
        "pw.cast(str, datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)) makes text of it",
        "pw.cast(str, datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc))",
        lambda code: select(pw.this.s + code),
    ),
    "constant duration and text": (
        lambda: select(pw.this.s + datetime.timedelta(milliseconds=1)),
        "pw.cast(str, datetime.timedelta(microseconds=1000)) makes text of it",
        "pw.cast(str, datetime.timedelta(microseconds=1000))",
        lambda code: select(pw.this.s + code),
    ),
    "constant JSON and number": (
        lambda: select(pw.this.i + pw.Json({"a": None})),
        "pw.Json.parse('{\"a\":null}').as_int() makes an int of JSON; so do as_float(), as_str() and as_bool()",
        'pw.Json.parse("1").as_int()',
        lambda code: select(pw.this.i + code),
    ),
    "bytes as a number": (
        lambda: select(pw.cast(int, pw.this.raw)),
        "bytes is cast to and from str only, as UTF-8",
        "pw.cast(str, pw.this.raw)",
        select,
    ),
    "number as a list": (
        lambda: select(pw.cast(list[int], pw.this.i)),
        "pw.Json, tuples and lists are cast to and from str, as JSON text, and into each other",
        "pw.cast(list[int], pw.make_tuple(pw.this.i))",
        select,
    ),
    "reducer in a reducer": (
        lambda: reduce(pw.reducers.max(pw.reducers.sum(pw.this.i))),
        "reduce twice, or use the inner reducer beside the outer one",
        "T.groupby(T.s).reduce(n=pw.reducers.sum(T.i)).reduce(x=pw.reducers.max(pw.this.n))",
        lambda code: code,
    ),
    "reducer outside of a reduce": (
        lambda: select(pw.reducers.count()),
        "reducers stand in the outputs of groupby(...).reduce(...) and windowby(...).reduce(...)",
        "T.groupby(T.s).reduce(x=pw.reducers.count())",
        lambda code: code,
    ),
    "tables of other columns": (
        lambda: T.select(T.i).concat(T.select(T.i, T.s)),
        "select(...), without(...) and rename(...) make columns equal",
        "T.select(T.i, T.s).without(pw.this.s)",
        lambda code: T.select(T.i).concat(code),
    ),
    "tables identified otherwise": (
        lambda: T.with_id_from(T.i).difference(T.with_id_from(T.s)),
        "say which columns do, for example with_id_from(pw.this.i)",
        "pw.this.i",
        lambda code: T.with_id_from(T.i).difference(T.with_id_from(code)),
    ),
    "empty separator": (
        lambda: select(pw.this.s.str.split("")),
        "without a separator, text is split at white space",
        "pw.this.s.str.split()",
        select,
    ),
    "format without an offset": (
        lambda: select(pw.this.s.dt.strptime("%F %T", contains_timezone=True)),
        "%z reads an offset such as +0100, %:z one such as +01:00",
        'pw.coalesce("2026-01-02 03:04:05+01:00").dt.strptime("%F %T%:z", contains_timezone=True)',
        select,
    ),
    "element of a number": (
        lambda: select(pw.this.i[0]),
        "tuples, lists and JSON values have elements",
        "pw.this.pair[0]",
        select,
    ),
    "elements of two types": (
        lambda: T.flatten(T.pair),
        "flatten takes a list, a tuple of one type, a JSON array or text",
        "pw.this.ints",
        lambda code: T.flatten(code),
    ),
    "sum of points in time": (
        lambda: reduce(pw.reducers.sum(pw.this.at)),
        "one point in time less another is a duration, which can be summed",
        "pw.reducers.sum(pw.this.at - datetime.datetime(2026, 1, 1))",
        reduce,
    ),
    "predicate of a column": (
        lambda: windows(T.i, pw.temporal.session(predicate=lambda a, b: b - a < pw.this.o)),
        "it sees the times of two neighbouring rows, a and b, and nothing else",
        "pw.temporal.session(predicate=lambda a, b: b - a < 2)",
        lambda code: windows(T.i, code),
    ),
    "predicate of a reducer": (
        lambda: windows(T.i, pw.temporal.session(predicate=lambda a, b: b - a < pw.reducers.count())),
        "it sees the times of two neighbouring rows, a and b, and nothing else",
        "pw.temporal.session(predicate=lambda a, b: b - a < 2)",
        lambda code: windows(T.i, code),
    ),
    "too many windows": (
        lambda: windows(T.i, pw.temporal.sliding(hop=1, duration=10**6)),
        "a longer hop makes fewer windows",
        "pw.temporal.sliding(hop=10**5, duration=10**6)",
        lambda code: windows(T.i, code),
    ),
    "optional time of a window": (
        lambda: windows(T.o),
        "keep the rows that have one, .filter(pw.this.o.is_not_none()), and give pw.unwrap(pw.this.o)",
        "pw.unwrap(pw.this.o)",
        lambda code: T.filter(pw.this.o.is_not_none()).windowby(code, window=HOURS).reduce(n=ONE),
    ),
    "cell that cannot be computed": (
        lambda: select(pw.this.i // (pw.this.i - 1))._native.collect(),
        "pw.fill_error(..., None) makes null of such cells, .remove_errors() drops their rows",
        "pw.fill_error(pw.this.i // (pw.this.i - 1), None)",
        select,
    ),
    "condition that cannot be computed": (
        lambda: T.filter(pw.this.i // (pw.this.i - 1) > 0)._native.collect(),
        ".filter(pw.fill_error(..., False)) leaves such rows out",
        "pw.fill_error(pw.this.i // (pw.this.i - 1) > 0, False)",
        lambda code: T.filter(code),
    ),
    "time in no window": (
        lambda: windows(pw.cast(float, "nan"))._native.collect(),
        ".filter(...) drops the rows whose time is in no window",
        "T.filter(T.f < 10.0)",
        lambda code: code.windowby(pw.this.f, window=HOURS).reduce(n=ONE),
    ),
    "part of a column": (
        lambda: "7" in T.s,
        "pw.this.s.str.contains(...) looks into text",
        'pw.this.s.str.contains("7")',
        select,
    ),
    "column backwards": (
        lambda: list(reversed(T.s)),
        "pw.reducers.sorted_tuple(pw.this.s) has the values of a group in order",
        "pw.reducers.sorted_tuple(pw.this.s)",
        reduce,
    ),
    "column as a function": (
        lambda: select(T.i()),
        "write pw.this.i",
        "pw.this.i",
        select,
    ),
    "float of a column": (
        lambda: select(float(pw.this.s)),
        "pw.cast(float, pw.this.s); a root is pw.this.s ** 0.5",
        "pw.cast(float, pw.this.s)",
        select,
    ),
    "complex number of a column": (
        lambda: select(complex(pw.this.s)),
        "pw.cast(float, pw.this.s)",
        "pw.cast(float, pw.this.s)",
        select,
    ),
    "whole part of a column": (
        lambda: select(__import__("math").trunc(pw.this.f)),
        "pw.cast(int, pw.this.f)",
        "pw.cast(int, pw.this.f)",
        select,
    ),
    "set as a value": (
        lambda: select({1}),
        "expressions are made of columns, int, float, str, bool, bytes, pw.Json, datetime, timedelta and None",
        "pw.Json([1])",
        select,
    ),
    "nothing to choose from": (
        lambda: select(pw.coalesce()),
        'such as pw.coalesce(pw.this.name, "nobody")',
        'pw.coalesce(pw.this.name, "nobody")',
        lambda code: T.with_columns(name=pw.this.s).select(x=code),
    ),
    "item that is misspelled": (
        lambda: T["att"],
        'did you mean "at"?',
        'T["at"]',
        select,
    ),
    "length of a table": (
        lambda: len(T),
        "table.reduce(rows=pw.reducers.count()) counts the rows",
        "T.reduce(rows=pw.reducers.count())",
        lambda code: code,
    ),
    "column of another table": (
        lambda: OTHER.select(T.i),
        "columns come from the table whose method is called, pw.this.<column>; to put those of two tables side by "
        "side, join them",
        "pw.this.i",
        lambda code: OTHER.select(code),
    ),
    "a whole table as a column": (
        lambda: T.select(pw.this),
        "name them: pw.this.<column>",
        "pw.this.i",
        lambda code: T.select(code),
    ),
    "expression without a name": (
        lambda: T.select(pw.this.i + 1),
        "select(name=...)",
        "dict(name=pw.this.i + 1)",
        lambda code: T.select(**code),
    ),
    "group by an expression": (
        lambda: T.groupby(pw.this.i // 2),
        "compute it in with_columns(name=...) first",
        "dict(name=pw.this.i // 2)",
        lambda code: T.with_columns(**code).groupby(pw.this.name).reduce(pw.this.name, n=ONE),
    ),
    "grouped table as a table": (
        lambda: T.concat(T.groupby(T.i)),
        "finish it with .reduce(...)",
        "T.groupby(T.i).reduce(T.i)",
        lambda code: T.select(T.i).concat(code),
    ),
    "two ways to rename": (
        lambda: T.rename({"i": "a"}, c=T.s),
        "call it twice: .rename({...}).rename(c=...)",
        'T.rename({"i": "a"}).rename(c=pw.this.s)',
        lambda code: code,
    ),
    "name as a time": (
        lambda: windows("time"),
        "such as pw.this.time",
        "pw.this.time",
        lambda code: T.rename(time=T.i).windowby(code, window=HOURS).reduce(n=ONE),
    ),
    "two spellings": (
        lambda: T.windowby(T.i, window=HOURS, shard=T.s, instance=T.s),
        "keep instance",
        "dict(instance=T.s)",
        lambda code: T.windowby(T.i, window=HOURS, **code).reduce(n=ONE),
    ),
    "no behavior": (
        lambda: T.windowby(T.i, window=HOURS, behavior="once"),
        "behavior=pw.temporal.exactly_once_behavior()",
        "pw.temporal.exactly_once_behavior()",
        lambda code: T.windowby(T.i, window=HOURS, behavior=code).reduce(n=ONE),
    ),
    "column without a type": (
        lambda: type("Visit", (pw.Schema,), {"i": pw.column_definition()}),
        "i: int = pw.column_definition(...), or dtype=int in it",
        "pw.column_definition(dtype=int)",
        lambda code: pw.debug.table_from_markdown("i\n1", schema=type("Visit", (pw.Schema,), {"i": code})),
    ),
    "text that is no path of a config": (
        lambda: pw.persistence.Config("state"),
        "pw.persistence.Backend.filesystem(path)",
        'pw.persistence.Config(pw.persistence.Backend.filesystem("state"))',
        lambda code: T,
    ),
    "text as null values": (
        lambda: pw.io.CsvParserSettings(null_values="NA"),
        'such as null_values=["NULL", "NA"]',
        'pw.io.CsvParserSettings(null_values=["NULL", "NA"])',
        lambda code: T,
    ),
    "two things with one mark": (
        lambda: pw.io.CsvParserSettings(delimiter='"'),
        'give another one, such as quote="\'"',
        "pw.io.CsvParserSettings(delimiter='\"', quote=\"'\")",
        lambda code: T,
    ),
    "ids": (
        lambda: pw.debug.compute_and_print(T, include_id=True),
        "leave include_id out",
        "pw.debug.compute_and_print(T)",
        lambda code: T,
    ),
    "type that no column has": (
        lambda: pw.schema_from_types(i=set),
        "types are int, float, str, bool, bytes, pw.Json, pw.DateTimeNaive, pw.DateTimeUtc, pw.Duration, "
        "tuple[X, Y] and list[X], each also as X | None",
        "[int, float, str, bool, bytes, pw.Json, pw.DateTimeNaive, pw.DateTimeUtc, pw.Duration, tuple[int, str], "
        "list[bool], int | None]",
        lambda code: T.select(**{f"c{n}": pw.cast(ty, None) for n, ty in enumerate(code)}),
    ),
    "default of a column": (
        lambda: type("Visit", (pw.Schema,), {"__annotations__": {"o": int | None}, "o": 5}),
        "pw.coalesce(pw.this.o, 5) gives a null a value",
        "pw.coalesce(pw.this.o, 5)",
        select,
    ),
    "rounded sum": (
        lambda: select(round(pw.this.f + pw.this.i, 1)),
        "((pw.this.f + pw.this.i) * 10 + 0.5) // 1 / 10 rounds to 1 digit",
        "((pw.this.f + pw.this.i) * 10 + 0.5) // 1 / 10",
        select,
    ),
    "rounded to a whole number": (
        lambda: select(round(pw.this.f)),
        "pw.cast(int, (pw.this.f + 0.5) // 1) rounds to a whole number",
        "pw.cast(int, (pw.this.f + 0.5) // 1)",
        select,
    ),
    "rounded to hundreds": (
        lambda: select(round(pw.this.f, -2)),
        "(pw.this.f / 100 + 0.5) // 1 * 100 rounds to whole 100s",
        "(pw.this.f / 100 + 0.5) // 1 * 100",
        select,
    ),
    "sum of a column": (
        lambda: reduce(sum(T.f)),
        "pw.reducers.sum(pw.this.f) adds up the values of a group; so do max and min",
        "pw.reducers.sum(pw.this.f)",
        reduce,
    ),
    "maximum of an unknown column": (
        lambda: reduce(max(pw.this.f)),
        "pw.reducers.sum(pw.this.f) adds up the values of a group; so do max and min; "
        "the elements of a list become rows with table.flatten(pw.this.f)",
        "pw.reducers.max(pw.this.f)",
        reduce,
    ),
    "number of rows": (
        lambda: len(T.i),
        "table.reduce(rows=pw.reducers.count()) counts the rows",
        "T.reduce(rows=pw.reducers.count())",
        lambda code: code,
    ),
    "gap without its name": (
        lambda: pw.temporal.session(300),
        "name the others, such as max_gap=300",
        "dict(max_gap=300)",
        lambda code: windows(T.i, pw.temporal.session(**code)),
    ),
    "predicate without its name": (
        lambda: pw.temporal.session(lambda a, b: b - a < 2),
        "name the others, such as predicate=...",
        "dict(predicate=lambda a, b: b - a < 2)",
        lambda code: windows(T.i, pw.temporal.session(**code)),
    ),
    "text as a gap": (
        lambda: pw.temporal.session(max_gap="5min"),
        "max_gap=datetime.timedelta(minutes=5) where the time column holds points in time, else a number",
        "datetime.timedelta(minutes=5)",
        lambda code: windows(T.at, pw.temporal.session(max_gap=code)),
    ),
    "text as a length": (
        lambda: pw.temporal.tumbling(duration="1h"),
        "duration=datetime.timedelta(hours=1) where the time column holds points in time, else a number",
        "datetime.timedelta(hours=1)",
        lambda code: windows(T.at, pw.temporal.tumbling(duration=code)),
    ),
    "text as a cutoff": (
        lambda: pw.temporal.common_behavior(cutoff="2 days"),
        "cutoff=datetime.timedelta(days=2) where the time column holds points in time, else a number",
        "datetime.timedelta(days=2)",
        lambda code: T.windowby(
            T.at,
            window=pw.temporal.tumbling(duration=datetime.timedelta(hours=1)),
            behavior=pw.temporal.common_behavior(cutoff=code),
        ).reduce(n=ONE),
    ),
    "point and text": (
        lambda: T.filter(T.at > "2026-01-01"),
        'pw.cast(pw.DateTimeNaive, "2026-01-01") reads a point in time from text',
        'pw.cast(pw.DateTimeNaive, "2026-01-01")',
        lambda code: T.filter(T.at > code),
    ),
    "naive and UTC": (
        lambda: T.filter(T.utc > T.at),
        'pw.this.utc.dt.to_naive_in_timezone("Europe/Berlin") makes one of the other',
        'pw.this.utc.dt.to_naive_in_timezone("Europe/Berlin")',
        lambda code: T.filter(code > T.at),
    ),
    "UTC and a naive constant": (
        lambda: select(datetime.datetime(2026, 1, 1) < T.utc),
        'pw.this.utc.dt.to_naive_in_timezone("Europe/Berlin") makes one of the other',
        'pw.this.utc.dt.to_naive_in_timezone("Europe/Berlin")',
        lambda code: select(datetime.datetime(2026, 1, 1) < code),
    ),
    "number that is not a word": (
        lambda: T.filter(T.i != "x"),
        "pw.cast(str, pw.this.i) is compared as text",
        "pw.cast(str, pw.this.i)",
        lambda code: T.filter(code != "x"),
    ),
    "filter in brackets": (
        lambda: T[T.i == 1],
        "table.filter(pw.this.i == 1) keeps the rows for which it holds",
        "pw.this.i == 1",
        lambda code: T.filter(code),
    ),
    "columns in brackets": (
        lambda: T[["i", "s"]],
        "table.select(pw.this.i, pw.this.s)",
        "pw.this.i, pw.this.s",
        lambda code: T.select(*code),
    ),
    "row by its number": (
        lambda: T[0],
        "pw.debug.compute_and_print(table, n_rows=5) prints the first rows; rows have no numbers",
        "pw.debug.compute_and_print(T, n_rows=5)",
        lambda code: T,
    ),
    "filter as text": (
        lambda: T.filter("i > 1"),
        "pw.this.i > 1",
        "pw.this.i > 1",
        lambda code: T.filter(code),
    ),
    "all columns": (
        lambda: T.select(*pw.this),
        "table.with_columns(...) keeps all columns, table.select(pw.this.<column>, ...) those that are named",
        "T.with_columns(x=1)",
        lambda code: code,
    ),
    "new column by item": (
        lambda: T.__setitem__("z", 1),
        "table = table.with_columns(z=...)",
        "dict(z=1)",
        lambda code: T.with_columns(**code),
    ),
    "new column by attribute": (
        lambda: setattr(T, "z", 1),
        "table = table.with_columns(z=...)",
        "dict(z=1)",
        lambda code: T.with_columns(**code),
    ),
    "column to delete": (
        lambda: T.__delitem__("s"),
        'table = table.without("s")',
        '"s"',
        lambda code: T.without(code),
    ),
    "tables with a plus": (
        lambda: T + T,
        "table.concat(...) has the rows of both",
        "T.concat(T)",
        lambda code: code,
    ),
    "tables joined by a bar": (
        lambda: T | T,
        "table.concat(...) has the rows of both",
        "T.concat(T)",
        lambda code: code,
    ),
    "tables with a minus": (
        lambda: T.with_id_from(T.i) - T.with_id_from(T.i),
        "table.difference(...) has the rows of one whose identity the other has not",
        "T.with_id_from(T.i).difference(T.with_id_from(T.i))",
        lambda code: code,
    ),
    "column of groups": (
        lambda: T.groupby(T.i)["f"].sum(),
        "reduce(total=pw.reducers.sum(pw.this.x)) makes a table of it",
        "dict(total=pw.reducers.sum(pw.this.f))",
        lambda code: T.groupby(T.i).reduce(**code),
    ),
    "walk through groups": (
        lambda: list(T.groupby(T.i)),
        "reduce(rows=pw.reducers.count()) makes a table of it",
        "dict(rows=pw.reducers.count())",
        lambda code: T.groupby(T.i).reduce(**code),
    ),
    "shifted bits": (
        lambda: T.i << 3,
        "pw.this.i * 2 ** 3",
        "pw.this.i * 2 ** 3",
        select,
    ),
    "bits shifted back": (
        lambda: T.i >> 1,
        "pw.this.i // 2 ** 1",
        "pw.this.i // 2 ** 1",
        select,
    ),
    "character of a text": (
        lambda: T.s.str[0],
        "pw.this.s.str.slice(0, 1)",
        "pw.this.s.str.slice(0, 1)",
        select,
    ),
    "last character of a text": (
        lambda: T.s.str[-1],
        "pw.this.s.str.slice(-1, pw.this.s.str.len())",
        "pw.this.s.str.slice(-1, pw.this.s.str.len())",
        select,
    ),
    "part of a text": (
        lambda: T.s.str[1:],
        "pw.this.s.str.slice(1, pw.this.s.str.len())",
        "pw.this.s.str.slice(1, pw.this.s.str.len())",
        select,
    ),
    "counted column": (
        lambda: pw.reducers.count(T.i),
        "pw.reducers.count() counts rows, pw.reducers.count_distinct(...) values",
        "pw.reducers.count_distinct(pw.this.i)",
        reduce,
    ),
    "half of a character": (
        lambda: select("\ud800"),
        "'\\ud800'.encode(errors=\"replace\").decode()",
        "'\\ud800'.encode(errors=\"replace\").decode()",
        select,
    ),
    "a wider type in the second table": (
        lambda: T.select(T.i).concat(T.select(i=T.f)),
        "table 1 can be given as .cast_to_types(i=float)",
        "dict(i=float)",
        lambda code: T.select(T.i).cast_to_types(**code).concat(T.select(i=T.f)),
    ),
    "flatten of JSON that is no array": (
        lambda: T.flatten(T.j)._native.collect(),
        "flatten pw.fill_error(pw.cast(list[pw.Json], pw.this.j), None) instead: a value that is no array then gives "
        "no row",
        "pw.fill_error(pw.cast(list[pw.Json], pw.this.j), None)",
        lambda code: T.with_columns(j=code).flatten(pw.this.j),
    ),
    "Python's point in time": (
        lambda: pw.schema_from_types(i=datetime.datetime),
        "the type for it is pw.DateTimeNaive (or pw.DateTimeUtc, with a zone)",
        "pw.DateTimeNaive",
        lambda code: T.select(x=pw.cast(code, None)),
    ),
    "Python's duration": (
        lambda: pw.schema_from_types(i=datetime.timedelta | None),
        "the type for it is pw.Duration",
        "pw.Duration",
        lambda code: T.select(x=pw.cast(code, None)),
    ),
    "Python's dictionary": (
        lambda: pw.schema_from_types(i=dict),
        "the type for it is pw.Json",
        "pw.Json",
        lambda code: T.select(x=pw.cast(code, None)),
    ),
    "function of a row alone": (
        lambda: pw.io.subscribe(T, lambda row: print(row)),
        "on_change=lambda key, row, time, is_addition: ...",
        "lambda key, row, time, is_addition: ...",
        lambda code: subscribed(on_change=code),
    ),
    "end with an argument": (
        lambda: pw.io.subscribe(T, print, lambda time: None),
        "on_end=lambda: ...",
        "lambda: ...",
        lambda code: subscribed(on_change=print, on_end=code),
    ),
}

# What a hint says in words, or with a part that only the user knows: of these the code is not a part of the hint.
WORDS = {
    "maximum of an unknown column",
    "number of rows",
    "gap without its name",
    "predicate without its name",
    "row by its number",
    "all columns",
    "new column by item",
    "new column by attribute",
    "tables with a plus",
    "tables joined by a bar",
    "tables with a minus",
    "column of groups",
    "walk through groups",
    "counted column",
    "a wider type in the second table",
    "group by nothing",
    "misspelled column",
    "item that is misspelled",
    "truth of a column",
    "method that is not called",
    "list as a value",
    "dictionary as a value",
    "set as a value",
    "columns of other types",
    "constant JSON and number",
    "bytes as a number",
    "number as a list",
    "reducer in a reducer",
    "reducer outside of a reduce",
    "tables of other columns",
    "empty separator",
    "format without an offset",
    "element of a number",
    "elements of two types",
    "sum of points in time",
    "predicate of a column",
    "predicate of a reducer",
    "too many windows",
    "cell that cannot be computed",
    "condition that cannot be computed",
    "time in no window",
    "part of a column",
    "length of a table",
    "column of another table",
    "a whole table as a column",
    "expression without a name",
    "group by an expression",
    "grouped table as a table",
    "two ways to rename",
    "two spellings",
    "column without a type",
    "text that is no path of a config",
    "text as null values",
    "two things with one mark",
    "ids",
    "type that no column has",
}


@pytest.mark.parametrize("name", HINTS)
def test_a_program_that_follows_the_hint_works(name: str) -> None:
    mistake, hint, code, follow = HINTS[name]
    with pytest.raises(pw.Error) as caught:
        mistake()
    assert caught.value.hint == hint
    assert (code in hint) != (name in WORDS)
    follow(eval(code, {"pw": pw, "T": T, "datetime": datetime}))._native.collect()


NOT_THERE: dict[str, tuple[Callable[[], Any], str]] = {
    "a method of other versions": (lambda: T.deduplicate, 'a table has no method "deduplicate" in this version'),
    "head": (
        lambda: T.head,
        'a table has no method "head"\nhint: pw.debug.compute_and_print(table, n_rows=5) prints the first rows',
    ),
    "columns": (lambda: T.columns, 'a table has no method "columns"\nhint: table.column_names() gives the names'),
    "to_pandas": (lambda: T.to_pandas, 'a table has no method "to_pandas"\nhint: pw.io.csv.write(table'),
    "a misspelled method": (lambda: T.filtr, 'no column or method "filtr"'),
    "a misspelled column": (lambda: T.utcc, 'did you mean "utc"?'),
    "another case": (lambda: T.GroupBy, 'did you mean "groupby"?'),
    "text": (lambda: T.s.str.lowr, '.str has no method "lowr"\nhint: did you mean "lower"?'),
    "text, elsewhere": (lambda: T.s.str.title, '.str has no method "title" in this version'),
    "times": (lambda: T.at.dt.hours_, 'did you mean "hours"?'),
    "an expression": (lambda: T.i.fillna, "pw.coalesce(pw.this.i, 0)"),
    "an aggregate": (lambda: T.b.max, "\nhint: pw.reducers.max(pw.this.b)"),
    "an expression in brackets": (lambda: (T.i + 1).isna, "\nhint: (pw.this.i + 1).is_none()"),
    "a method of text": (lambda: T.s.upper, "\nhint: pw.this.s.str.upper()"),
    "a method of text with arguments": (lambda: T.s.replace, "\nhint: pw.this.s.str.replace(...)"),
    "a part of a point": (lambda: T.at.hour, "\nhint: pw.this.at.dt.hour()"),
    "a day": (lambda: T.at.date, "\nhint: pw.this.at.dt.floor(datetime.timedelta(days=1))"),
    "a day of the week": (lambda: T.at.dt.day_of_week, "\nhint: pw.this.at.dt.weekday()"),
    "a pattern": (lambda: T.s.like, '\nhint: pw.this.s.str.contains("a")'),
    "distinct rows": (
        lambda: T.select(T.i, T.s).distinct,
        "\nhint: table.groupby(pw.this.i, pw.this.s).reduce(pw.this.i, pw.this.s) has each row once",
    ),
    "sorted rows": (lambda: T.sort_values, "\nhint: pw.debug.compute_and_print(table) prints the rows in order"),
    "a sum of groups": (lambda: T.groupby(T.i).sum, "\nhint: reduce(total=pw.reducers.sum(pw.this.x))"),
    "groups with a condition": (
        lambda: T.groupby(T.i).having,
        "\nhint: reduce(n=pw.reducers.count()).filter(pw.this.n > 1)",
    ),
    "a function of pandas": (lambda: pw.read_csv, '\nhint: pw.io.csv.read("logs/", schema=..., mode="static")'),
    "an older place": (lambda: pw.csv.read_csv, '\nhint: pw.io.csv.read("logs/", schema=..., mode="static")'),
    "a place of state": (lambda: pw.persistence.Backend.s3, 'Backend has no name "s3" in this version'),
    "a numeric method": (lambda: T.i.num, 'an expression has no method "num" in this version'),
    "groups": (lambda: T.groupby(T.i).agg, 'a grouped table has no method "agg"\nhint: reduce(...)'),
    "windows": (lambda: T.windowby(T.i, window=HOURS).redcue, 'did you mean "reduce"?'),
    "a schema": (lambda: Row.column_name, 'a schema has no method "column_name"\nhint: did you mean "column_names"?'),
    "the package": (lambda: pw.udf, 'pw has no name "udf" in this version'),
    "the package, misspelled": (lambda: pw.colesce, 'pw has no name "colesce"\nhint: did you mean "coalesce"?'),
    "a connector": (lambda: pw.io.kafka, 'pw.io has no name "kafka" in this version'),
    "a connector's function": (lambda: pw.io.csv.raed, 'pw.io.csv has no name "raed"\nhint: did you mean "read"?'),
    "a reducer": (lambda: pw.reducers.ndarray, 'pw.reducers has no name "ndarray" in this version'),
    "a reducer by another name": (lambda: pw.reducers.mean, "pw.reducers.avg(...)"),
    "a window": (lambda: pw.temporal.tumblin, 'did you mean "tumbling"?'),
    "a join": (lambda: pw.temporal.asof_join, 'pw.temporal has no name "asof_join" in this version'),
    "debug": (
        lambda: pw.debug.table_from_pandas,
        'pw.debug has no name "table_from_pandas" in this version\n'
        'hint: frame.to_csv("rows.csv", index=False) writes what pw.io.csv.read reads',
    ),
    "persistence": (lambda: pw.persistence.Backnd, 'did you mean "Backend"?'),
}


@pytest.mark.parametrize("name", NOT_THERE)
def test_a_name_that_is_not_there_is_said_to_be_so(name: str) -> None:
    ask, expected = NOT_THERE[name]
    with pytest.raises(pw.InvalidError) as caught:
        ask()
    assert expected in str(caught.value)
    assert isinstance(caught.value, AttributeError)
    assert str(caught.value).startswith(("tests/", "/"))


ARGUMENTS: dict[str, tuple[Callable[[], Any], str]] = {
    "of pandas": (
        lambda: pw.io.csv.read("x", schema=Row, sep=";"),
        "there is no argument \"sep\" in this version\nhint: csv_settings=pw.io.CsvParserSettings(delimiter=';')",
    ),
    "of the settings": (
        lambda: pw.io.csv.read("x", schema=Row, null_values=["N/A"]),
        "\nhint: csv_settings=pw.io.CsvParserSettings(null_values=['N/A'])",
    ),
    "misspelled": (
        lambda: pw.io.csv.read("x", shema=Row),
        'pw.io.csv.read: there is no argument "shema" in this version\nhint: did you mean schema=?',
    ),
    "unknown": (
        lambda: pw.io.csv.read("x", schema=Row, quux=5),
        'pw.io.csv.read: there is no argument "quux" in this version\nhint: the arguments are path, schema,',
    ),
    "missing": (lambda: pw.io.csv.read("x"), "pw.io.csv.read: the argument schema is missing"),
    "too many": (
        lambda: T.s.str.lower(1),
        ".lower: 0 arguments at most can be given without a name, but 1 are",
    ),
    "twice": (
        lambda: T.s.str.find("a", sub="b"),
        ".find: the argument sub is given twice",
    ),
    "of a window": (
        lambda: pw.temporal.session(max_gapp=3),
        "did you mean max_gap=?",
    ),
    "of windowby": (
        lambda: T.windowby(T.i, window=HOURS, instanc=T.s),
        "did you mean instance=?",
    ),
    "of groupby": (
        lambda: T.groupby(T.i, instance=T.s),
        '.groupby: there is no argument "instance" in this version',
    ),
    "of a reducer": (
        lambda: pw.reducers.tuple(T.i, skip_none=True),
        "did you mean skip_nones=?",
    ),
    "of a class": (
        lambda: pw.persistence.Config(pw.persistence.Backend.filesystem("x"), snapshot_interval=3),
        "pw.persistence.Config: there is no argument",
    ),
    "of run": (lambda: pw.run(persistence_confg=None), "did you mean persistence_config=?"),
    "of debug": (lambda: pw.debug.compute_and_print(T, nrows=5), "did you mean n_rows=?"),
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_arguments_that_are_not_there_are_said_to_be_so(name: str) -> None:
    call, expected = ARGUMENTS[name]
    with pytest.raises(pw.InvalidError) as caught:
        call()
    assert expected in str(caught.value)
    assert isinstance(caught.value, TypeError)


def test_an_error_of_the_users_own_is_not_touched() -> None:
    def predicate(a: pw.ColumnExpression, b: pw.ColumnExpression) -> bool:
        raise TypeError("mine")

    with pytest.raises(TypeError, match="mine") as caught:
        pw.temporal.session(predicate=predicate)
    assert not isinstance(caught.value, pw.Error)


@pytest.mark.parametrize("value", [T, T.i, T.s.str, T.at.dt, T.groupby(T.i), Row, pw, pw.io, pw.reducers, pw.this])
def test_what_python_and_notebooks_look_for_is_quietly_not_there(value: object) -> None:
    names = ["__wrapped__", "__array__", "_repr_html_", "_ipython_canary_method_should_not_exist_", "__len_hint__"]
    for name in names:
        assert not hasattr(value, name)
    assert repr(value)
    dir(value)


def test_expressions_are_copied_and_shown_for_debugging() -> None:
    assert repr(T.i) == "<millpond.ColumnReference i>"
    assert repr(T.i + 1) == "<millpond.ColumnExpression i + 1>"
    assert repr(pw.cast(str, T.i)) == "<millpond.ColumnExpression pw.cast(str, i)>"
    assert repr(copy.copy(T.i)) == repr(T.i)
    assert hash(T.i) != hash(T.s)
    with pytest.raises(TypeError):
        pickle.dumps(T)


@pytest.mark.parametrize(
    "use",
    [
        lambda: bool(T.i),
        lambda: 1 if T.b else 2,
        lambda: T.b and T.b,
        lambda: not T.b,
        lambda: 1 in T.ints,
        lambda: float(T.i),
        lambda: complex(T.i),
        lambda: range(T.i),
        lambda: "{}".format(T.s),  # noqa: UP032
        lambda: f"{T.s:>5}",
        lambda: " ".join(T.s),
        lambda: sorted(T.s),
        lambda: reversed(T.s),
        lambda: max(T.i, T.f),
        lambda: [1, 2, 3][T.i],
        lambda: T.i(),
        lambda: len(T),
        lambda: list(T),
    ],
)
def test_what_an_expression_is_not_is_refused_with_a_way_out(use: Callable[[], Any]) -> None:
    with pytest.raises(pw.InvalidError) as caught:
        use()
    assert caught.value.hint
    assert str(Path(__file__).name) in (caught.value.origin or "")


@pytest.mark.parametrize(
    "value", [pw.Json("\ud800"), pw.Json(float("nan")), pw.Json(object()), pw.Json({"a": {1, 2}}), "a\udfff"]
)
def test_what_is_no_value_of_a_row_is_named(value: Any) -> None:
    with pytest.raises(pw.InvalidError, match=r"is not (text in UTF-8|JSON)"):
        T.select(x=value)


def test_expressions_can_be_printed(capsys: pytest.CaptureFixture[str]) -> None:
    print(T.i > 1, pw.this.s)
    assert capsys.readouterr().out == "<millpond.ColumnExpression i > 1> <millpond.ColumnReference s>\n"
    with pytest.raises(pw.InvalidError, match="an expression is no text"):
        T.filter(T.s == " ".join([str(T.i), "a"]))


def test_functions_that_can_be_called_are_taken() -> None:
    class Changes:
        def take(self, key: int, row: dict[str, Any], time: int, is_addition: bool) -> None: ...

        def __call__(self, *values: object) -> None: ...

    def more(key: int, row: object, time: int, is_addition: bool, extra: int = 1, *, quiet: bool = True) -> None: ...

    taken: list[Any] = [Changes().take, Changes(), print, more, lambda *values: None]
    for function in taken:
        pw.io.subscribe(T, function)
    wrong: list[Any] = [Changes.take, lambda: None, lambda a, b, c, d, e: None, lambda a, b, c, d, *, e: None]
    for function in wrong:
        with pytest.raises(pw.InvalidError, match="cannot be called with"):
            pw.io.subscribe(T, function)


def test_types_are_said_as_python_says_them() -> None:
    assert repr(T.select(T.o, T.j, T.at, T.pair)) == (
        "<millpond.Table o: int | None, j: pw.Json, at: pw.DateTimeNaive, pair: tuple[int, str]>"
    )
    with pytest.raises(pw.InvalidError, match=r'column "o" is int \| None, but str.len needs str'):
        select(T.o.str.len())


def test_an_empty_column_name_is_not_what_was_meant(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(",b\n1,2\n")
    table = pw.io.csv.read(tmp_path / "a.csv", schema=pw.schema_from_types(x=int), mode="static")
    with pytest.raises(pw.InputError) as caught:
        pw.debug.compute_and_print(table)
    assert 'did you mean ""' not in str(caught.value)


DEEP = """
import sys, threading
import millpond as pw

class Row(pw.Schema):
    a: int

def main():
    table = pw.debug.table_from_markdown("a\\n1\\n2", schema=Row)
    {program}

for run in (main, lambda: (thread := threading.Thread(target=main)).start() or thread.join()):
    run()
print("done")
"""

DEEP_PROGRAMS = {
    "additions": "e = table.a\n    for i in range(2500): e = e + 1\n    pw.debug.compute_and_print(table.select(e=e))",
    "a wide sum": "pw.debug.compute_and_print(table.select(e=sum([table.a] * 4096)))",
    "choices": "e = table.a\n    for i in range(1500): e = pw.if_else(table.a == i, i, e)\n"
    "    pw.debug.compute_and_print(table.select(e=e))",
    "filters": "t = table\n    for i in range(4000): t = t.filter(pw.this.a > -i)\n    pw.debug.compute_and_print(t)",
    "columns": "t = table\n    for i in range(1000): t = t.with_columns(a=pw.this.a + 1)\n"
    "    pw.debug.compute_and_print(t)",
    "concats": "t = table\n    for i in range(2000): t = t.concat(table)\n"
    "    pw.debug.compute_and_print(t.reduce(n=pw.reducers.count()))",
    "groupbys": "t = table\n    for i in range(60): t = t.groupby(pw.this.a).reduce(pw.this.a)\n"
    "    pw.debug.compute_and_print(t)",
    "updates": "t = table.with_id_from(pw.this.a)\n    u = t\n    for i in range(60): t = t.update_rows(u)\n"
    "    pw.debug.compute_and_print(t)",
}


@pytest.mark.parametrize("name", DEEP_PROGRAMS)
def test_deep_programs_work_on_any_thread(name: str, script: Script) -> None:
    result = script(DEEP.format(program=DEEP_PROGRAMS[name]))
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.endswith("done\n")


def test_what_is_too_deep_is_refused_by_name(script: Script) -> None:
    result = script(DEEP.format(program="e = table.a\n    for i in range(20000): e = e + 1\n    table.select(e=e)"))
    assert result.returncode == 2
    assert "an expression is 20001 operations deep, but 10000 at most are possible" in result.stderr
    nested = "e = table.a\n    for i in range(40): e = pw.make_tuple(e)\n    table.select(e=e)"
    result = script(DEEP.format(program=nested))
    assert result.returncode == 2
    assert "tuples and lists are 33 deep one in another, but 32 at most are possible" in result.stderr
    annotated = "t = int\n    for i in range(40): t = list[t]\n    pw.schema_from_types(x=t)"
    result = script(DEEP.format(program=annotated))
    assert result.returncode == 2
    assert "more than 32 deep" in result.stderr


def test_a_chain_of_steps_finds_its_state_again(script: Script, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("a\n1\n2\n")
    program = """
import sys
import millpond as pw
t = pw.io.csv.read("in.csv", schema=pw.schema_from_types(a=int), mode="static")
for i in range(int(sys.argv[1])):
    t = t.filter(pw.this.a > -i)
pw.io.csv.write(t.groupby(pw.this.a).reduce(pw.this.a, n=pw.reducers.count()), "out.csv")
pw.run(persistence_config=pw.persistence.Config(pw.persistence.Backend.filesystem("state")))
"""
    for _ in range(2):
        result = script(program, "150")
        assert result.returncode == 0, result.stderr
    result = script(program, "149")
    assert result.returncode == 6
    assert "a filter was removed: a > -149" in result.stderr


def test_the_first_rows_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "".join(f"{i * 7919 % 100_003},{i % 3}\n" for i in range(100_000))
    (tmp_path / "a.csv").write_text("a,b\n" + rows)
    table = pw.io.csv.read(tmp_path / "a.csv", schema=pw.schema_from_types(a=int, b=int), mode="static")
    expected = sorted((i * 7919 % 100_003, i % 3) for i in range(100_000))[:3]
    pw.debug.compute_and_print(table, n_rows=3)
    assert capsys.readouterr().out.split("\n")[1:-1] == [f"{a} | {b}" for a, b in expected]
    pw.debug.compute_and_print(table.groupby(table.b).reduce(table.b, n=pw.reducers.count()), n_rows=1)
    assert capsys.readouterr().out == "b | n\n0 | 33334\n"
    pw.debug.compute_and_print_update_stream(table, n_rows=1)
    a, b = expected[0]
    assert capsys.readouterr().out.split("\n")[1] == f"{a} | {b} | 2        | 1"


def test_the_first_rows_are_right_where_rows_go_again(capsys: pytest.CaptureFixture[str]) -> None:
    table = pw.debug.table_from_markdown("a | __time__ | __diff__\n1 | 2 | 1\n2 | 2 | 1\n3 | 2 | 1\n1 | 4 | -1")
    pw.debug.compute_and_print(table, n_rows=2)
    assert capsys.readouterr().out == "a\n2\n3\n"


def test_a_table_that_is_followed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a\n1\n")
    table = pw.io.csv.read(tmp_path, schema=pw.schema_from_types(a=int), mode="streaming")
    for show in (pw.debug.compute_and_print, pw.debug.compute_and_print_update_stream):
        with pytest.raises(pw.InvalidError, match="never complete") as caught:
            show(table, n_rows=5)
        assert caught.value.hint == 'read it with mode="static"'
        assert str(Path(__file__).name) in (caught.value.origin or "")


FLOATS = pw.debug.table_from_markdown(
    """
    t
    0.1
    0.5
    0.9
    1.5
    """
)


def test_sessions_over_floats(capsys: pytest.CaptureFixture[str]) -> None:
    def show(gap: float) -> str:
        window = pw.temporal.session(max_gap=gap)
        bounds = {"start": pw.this._pw_window_start, "end": pw.this._pw_window_end}
        result = FLOATS.windowby(FLOATS.t, window=window).reduce(**bounds, last=pw.reducers.max(pw.this.t), n=ONE)
        pw.debug.compute_and_print(result)
        return capsys.readouterr().out

    assert show(0.5) == "start | end | last | n\n0.1   | 0.9 | 0.9  | 3\n1.5   | 1.5 | 1.5  | 1\n"
    assert show(1) == "start | end | last | n\n0.1   | 1.5 | 1.5  | 4\n"
    assert show(0).count("\n") == 5


@pytest.mark.parametrize("window", [pw.temporal.session(max_gap=0.5), pw.temporal.tumbling(duration=0.5)])
@pytest.mark.parametrize("time", ["nan", "inf", "-inf"])
def test_a_time_that_is_not_finite_is_named(window: Any, time: str) -> None:
    table = pw.debug.table_from_markdown(f"t\n1.5\n{time}", schema=pw.schema_from_types(t=float))
    with pytest.raises(pw.InputError) as caught:
        table.windowby(table.t, window=window).reduce(n=ONE)._native.collect()
    assert caught.value.message == f"the time t = {time} is in no window"
    assert caught.value.hint == ".filter(...) drops the rows whose time is in no window"


def test_an_empty_last_cell_is_a_cell(capsys: pytest.CaptureFixture[str]) -> None:
    pw.debug.compute_and_print(pw.debug.table_from_markdown("a | b\n1 | 2\n3 |"))
    assert capsys.readouterr().out == "a | b\n1 | 2\n3 |\n"
