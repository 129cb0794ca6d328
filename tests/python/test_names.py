"""Names of other tools and versions: the error says what does the same here, and that works."""

# mypy: disable-error-code="attr-defined"

from __future__ import annotations

import datetime
import re
from pathlib import Path

import pytest

import millpond as pw
from millpond import _names


class Row(pw.Schema):
    x: int
    s: str


TABLE = pw.debug.table_from_markdown("x | s\n1 | a\n2 | b", schema=Row)
GROUPED = TABLE.groupby(TABLE.s)
JOINED = TABLE.join(TABLE.copy(), pw.left.x == pw.right.x)
POINTS = pw.debug.table_from_markdown("x\n2026-01-02T03:04:05", schema=pw.schema_from_types(x=pw.DateTimeNaive))
OWNERS = {
    "Table": TABLE,
    "GroupedTable": GROUPED,
    "JoinResult": JOINED,
    "JoinMode": pw.JoinMode,
    "ColumnExpression": TABLE.x,
    "StringNamespace": TABLE.s.str,
    "Schema": Row,
    "DateTimeNamespace": POINTS.x.dt,
    "pw": pw,
    "pw.csv": pw.csv,
    "pw.debug": pw.debug,
    "pw.io": pw.io,
    "pw.io.csv": pw.io.csv,
    "pw.reducers": pw.reducers,
}
WHOLE = "TABLE.select(x={})"
GROUPS = "GROUPED.reduce(x={})"
OF_POINTS = "POINTS.select(y={})"
ZONED = 'POINTS.select(x=pw.this.x.dt.to_utc("Europe/Berlin")).select(y={})'
READ = ('pw.io.csv.read("logs/", schema=..., mode="static")', 'pw.io.csv.read("logs/", schema=Row, mode="static")')
IN_ORDER = "pw.debug.compute_and_print(table)"


def _same(code: str) -> tuple[str, str]:
    """A hint that is the whole program."""
    return code, code


def _grouped(code: str) -> tuple[str, str]:
    """A hint that is said of groups."""
    return code, f"GROUPED.{code}"


def _of_points(code: str) -> tuple[str, str]:
    """A hint that is an expression over points in time."""
    return code, OF_POINTS.format(code)


# For each hint its code and the program that it is a part of, in which "..." is what the user has there.
LEFT_JOIN = "table.join_{0}(GROUPED.reduce(pw.this.s), pw.left.s == pw.right.s).select(pw.this.x)"
FOLLOWED: dict[tuple[str, str], tuple[str, str]] = {
    ("Table", "columns"): ("table.column_names()", "table.column_names()"),
    ("Table", "dtypes"): ("table.schema", "table.schema"),
    ("Table", "head"): ("pw.debug.compute_and_print(table, n_rows=5)", "pw.debug.compute_and_print(table, n_rows=5)"),
    ("Table", "show"): ("pw.debug.compute_and_print(table)", "pw.debug.compute_and_print(table)"),
    ("Table", "limit"): ("pw.debug.compute_and_print(table, n_rows=5)", "pw.debug.compute_and_print(table, n_rows=5)"),
    ("Table", "shape"): ("table.reduce(rows=pw.reducers.count())", "table.reduce(rows=pw.reducers.count())"),
    ("Table", "to_pandas"): ('pw.io.csv.write(table, "result.csv")', 'pw.io.csv.write(table, "result.csv")'),
    ("Table", "to_csv"): ('pw.io.csv.write(table, "result.csv")', 'pw.io.csv.write(table, "result.csv")'),
    ("Table", "to_dict"): (
        "pw.io.subscribe(table, on_change=...)",
        "pw.io.subscribe(table, on_change=lambda key, row, time, is_addition: dict(row))",
    ),
    ("Table", "collect"): (
        "pw.io.subscribe(table, on_change=...)",
        "pw.io.subscribe(table, on_change=lambda key, row, time, is_addition: None)",
    ),
    ("Table", "where"): ("table.filter(...)", "table.filter(pw.this.x > 1)"),
    ("Table", "drop"): ("table.without(...)", "table.without(pw.this.x)"),
    ("Table", "assign"): ("table.with_columns(...)", "table.with_columns(y=pw.this.x + 1)"),
    ("Table", "apply"): ("table.select(...)", "table.select(y=pw.this.x + 1)"),
    ("Table", "union"): ("table.concat(...)", "table.concat(table)"),
    ("Table", "append"): ("table.concat(...)", "table.concat(table)"),
    ("Table", "group_by"): ("table.groupby(...)", "table.groupby(pw.this.s).reduce(pw.this.s)"),
    ("Table", "agg"): ("table.reduce(...)", "table.reduce(n=pw.reducers.count())"),
    ("Table", "astype"): ("table.cast_to_types(...)", "table.cast_to_types(x=float)"),
    ("Table", "explode"): ("table.flatten(...)", "table.flatten(pw.this.s)"),
    ("Table", "count"): ("table.reduce(rows=pw.reducers.count())", "table.reduce(rows=pw.reducers.count())"),
    ("Table", "merge"): (
        "table.join(...)",
        "table.join(GROUPED.reduce(pw.this.s), pw.left.s == pw.right.s).select(pw.this.x)",
    ),
    ("Table", "left_join"): ("table.join_left(...)", LEFT_JOIN.format("left")),
    ("Table", "right_join"): ("table.join_right(...)", LEFT_JOIN.format("right")),
    ("Table", "outer_join"): ("table.join_outer(...)", LEFT_JOIN.format("outer")),
    ("Table", "full_join"): ("table.join_outer(...)", LEFT_JOIN.format("outer")),
    ("JoinResult", "with_columns"): ("select(...)", "JOINED.select(pw.this.x).with_columns(y=pw.this.x)"),
    ("JoinResult", "join"): (
        "select(...)",
        "JOINED.select(pw.this.x).join(table, pw.left.x == pw.right.x).select(pw.left.x)",
    ),
    ("JoinResult", "explain"): ("select(...)", "JOINED.select(pw.this.x).explain()"),
    ("pw", "merge"): (
        "table.join(...)",
        "table.join(GROUPED.reduce(pw.this.s), pw.left.s == pw.right.s).select(pw.this.x)",
    ),
    ("pw", "concat"): ("table.concat(...)", "table.concat(table.copy())"),
    ("JoinMode", "FULL"): ("pw.JoinMode.OUTER", "pw.JoinMode.OUTER"),
    ("JoinResult", "filter"): ("select(...)", "JOINED.select(pw.this.x).filter(pw.this.x > 1)"),
    ("JoinResult", "groupby"): ("select(...)", "JOINED.select(pw.this.x).groupby(pw.this.x).reduce(pw.this.x)"),
    ("JoinResult", "reduce"): ("select(...)", "JOINED.select(pw.this.x).reduce(n=pw.reducers.count())"),
    ("GroupedTable", "agg"): ("reduce(...)", "GROUPED.reduce(n=pw.reducers.count())"),
    ("GroupedTable", "count"): ("reduce(rows=pw.reducers.count())", "GROUPED.reduce(rows=pw.reducers.count())"),
    ("ColumnExpression", "cast"): ("pw.cast(int, pw.this.x)", WHOLE.format("pw.cast(int, pw.this.x)")),
    ("ColumnExpression", "astype"): ("pw.cast(int, pw.this.x)", WHOLE.format("pw.cast(int, pw.this.x)")),
    ("ColumnExpression", "isin"): (
        "(pw.this.x == 1) | (pw.this.x == 2)",
        "TABLE.filter((pw.this.x == 1) | (pw.this.x == 2))",
    ),
    ("Table", "fill_error"): (
        "table.with_columns(x=pw.fill_error(pw.this.x, 0))",
        "table.with_columns(x=pw.fill_error(pw.this.x, 0))",
    ),
    ("ColumnExpression", "fill_error"): ("pw.fill_error(pw.this.x, 0)", WHOLE.format("pw.fill_error(pw.this.x, 0)")),
    ("pw", "remove_errors"): ("table.remove_errors()", "table.remove_errors()"),
    ("pw", "error_log"): (
        "pw.global_error_log()",
        "pw.io.subscribe(pw.global_error_log(), on_change=lambda key, row, time, is_addition: None)",
    ),
    ("ColumnExpression", "isna"): ("pw.this.x.is_none()", WHOLE.format("pw.this.x.is_none()")),
    ("ColumnExpression", "isnull"): ("pw.this.x.is_none()", WHOLE.format("pw.this.x.is_none()")),
    ("ColumnExpression", "fillna"): ("pw.coalesce(pw.this.x, 0)", WHOLE.format("pw.coalesce(pw.this.x, 0)")),
    ("ColumnExpression", "between"): (
        "(pw.this.x >= 1) & (pw.this.x <= 2)",
        "TABLE.filter((pw.this.x >= 1) & (pw.this.x <= 2))",
    ),
    ("ColumnExpression", "abs"): ("abs(pw.this.x)", WHOLE.format("abs(pw.this.x)")),
    ("ColumnExpression", "sum"): ("pw.reducers.sum(pw.this.x)", GROUPS.format("pw.reducers.sum(pw.this.x)")),
    ("ColumnExpression", "max"): ("pw.reducers.max(pw.this.x)", GROUPS.format("pw.reducers.max(pw.this.x)")),
    ("ColumnExpression", "min"): ("pw.reducers.min(pw.this.x)", GROUPS.format("pw.reducers.min(pw.this.x)")),
    ("ColumnExpression", "mean"): ("pw.reducers.avg(pw.this.x)", GROUPS.format("pw.reducers.avg(pw.this.x)")),
    ("ColumnExpression", "count"): ("pw.reducers.count()", GROUPS.format("pw.reducers.count()")),
    ("pw.reducers", "mean"): ("pw.reducers.avg(...)", GROUPS.format("pw.reducers.avg(pw.this.x)")),
    ("pw.reducers", "average"): ("pw.reducers.avg(...)", GROUPS.format("pw.reducers.avg(pw.this.x)")),
    ("pw.reducers", "nunique"): (
        "pw.reducers.count_distinct(...)",
        GROUPS.format("pw.reducers.count_distinct(pw.this.x)"),
    ),
    ("pw.reducers", "first"): ("pw.reducers.earliest(...)", GROUPS.format("pw.reducers.earliest(pw.this.x)")),
    ("pw.reducers", "last"): ("pw.reducers.latest(...)", GROUPS.format("pw.reducers.latest(pw.this.x)")),
    ("pw.reducers", "list"): ("pw.reducers.tuple(...)", GROUPS.format("pw.reducers.tuple(pw.this.x)")),
    ("StringNamespace", "length"): ("len()", WHOLE.format("pw.this.s.str.len()")),
    ("StringNamespace", "lstrip"): ("strip()", WHOLE.format("pw.this.s.str.strip()")),
    ("StringNamespace", "rstrip"): ("strip()", WHOLE.format("pw.this.s.str.strip()")),
    ("Schema", "columns"): ("column_names()", "Row.column_names()"),
    ("Table", "sort_values"): (IN_ORDER, IN_ORDER),
    ("Table", "order_by"): (IN_ORDER, IN_ORDER),
    ("Table", "sum"): _same("table.reduce(total=pw.reducers.sum(pw.this.x))"),
    ("Table", "fillna"): _same("table.with_columns(x=pw.coalesce(pw.this.x, 0))"),
    ("Table", "dropna"): _same("table.filter(pw.this.x.is_not_none())"),
    ("Table", "query"): _same("table.filter(pw.this.x > 1)"),
    ("Table", "having"): _same("table.filter(pw.this.x > 1)"),
    ("Table", "to_list"): (
        "pw.io.subscribe(table, on_change=...)",
        "pw.io.subscribe(table, on_change=lambda key, row, time, is_addition: dict(row))",
    ),
    ("Table", "iterrows"): (
        "pw.io.subscribe(table, on_change=...)",
        "pw.io.subscribe(table, on_change=lambda key, row, time, is_addition: dict(row))",
    ),
    ("GroupedTable", "size"): ("reduce(rows=pw.reducers.count())", "GROUPED.reduce(rows=pw.reducers.count())"),
    ("GroupedTable", "sum"): _grouped("reduce(total=pw.reducers.sum(pw.this.x))"),
    ("GroupedTable", "mean"): _grouped("reduce(mean=pw.reducers.avg(pw.this.x))"),
    ("GroupedTable", "max"): _grouped("reduce(largest=pw.reducers.max(pw.this.x))"),
    ("GroupedTable", "min"): _grouped("reduce(smallest=pw.reducers.min(pw.this.x))"),
    ("GroupedTable", "having"): (
        "reduce(n=pw.reducers.count()).filter(pw.this.n > 1)",
        "table.concat(table).groupby(pw.this.s).reduce(n=pw.reducers.count()).filter(pw.this.n > 1)",
    ),
    ("GroupedTable", "apply"): ("reduce(...)", "GROUPED.reduce(n=pw.reducers.count())"),
    ("ColumnExpression", "notna"): ("pw.this.x.is_not_none()", WHOLE.format("pw.this.x.is_not_none()")),
    ("ColumnExpression", "notnull"): ("pw.this.x.is_not_none()", WHOLE.format("pw.this.x.is_not_none()")),
    ("ColumnExpression", "nunique"): (
        "pw.reducers.count_distinct(pw.this.x)",
        GROUPS.format("pw.reducers.count_distinct(pw.this.x)"),
    ),
    ("ColumnExpression", "like"): ('.str.contains("a")', WHOLE.format('pw.this.s.str.contains("a")')),
    ("ColumnExpression", "length"): (".str.len()", WHOLE.format("pw.this.s.str.len()")),
    ("ColumnExpression", "date"): _of_points("pw.this.x.dt.floor(datetime.timedelta(days=1))"),
    ("ColumnExpression", "isoformat"): _of_points("pw.cast(str, pw.this.x)"),
    ("DateTimeNamespace", "date"): _of_points("pw.this.x.dt.floor(datetime.timedelta(days=1))"),
    ("DateTimeNamespace", "isoformat"): _of_points("pw.cast(str, pw.this.x)"),
    ("DateTimeNamespace", "quarter"): _of_points("(pw.this.x.dt.month() + 2) // 3"),
    ("DateTimeNamespace", "day_of_week"): _of_points("pw.this.x.dt.weekday()"),
    ("DateTimeNamespace", "dayofweek"): _of_points("pw.this.x.dt.weekday()"),
    ("DateTimeNamespace", "isoweekday"): _of_points("pw.this.x.dt.weekday() + 1"),
    ("DateTimeNamespace", "total_seconds"): (
        "pw.this.x.dt.seconds()",
        "POINTS.select(x=pw.this.x - pw.this.x).select(y=pw.this.x.dt.seconds())",
    ),
    ("DateTimeNamespace", "tz_localize"): _of_points('pw.this.x.dt.to_utc("Europe/Berlin")'),
    ("DateTimeNamespace", "tz_convert"): (
        'pw.this.x.dt.to_naive_in_timezone("Europe/Berlin")',
        ZONED.format('pw.this.x.dt.to_naive_in_timezone("Europe/Berlin")'),
    ),
    ("pw", "read_csv"): READ,
    ("pw.csv", "read_csv"): READ,
    ("pw.io", "read_csv"): READ,
    ("pw.io.csv", "read_csv"): READ,
    ("pw", "col"): ("pw.this.x", WHOLE.format("pw.this.x")),
    ("pw.debug", "table_from_pandas"): ("pw.io.csv.read", READ[1]),
    ("pw.debug", "table_to_pandas"): (
        'pw.io.csv.write(table, "result.csv", mode="snapshot")',
        'pw.io.csv.write(table, "result.csv", mode="snapshot")',
    ),
}


def test_each_hint_is_followed() -> None:
    assert FOLLOWED.keys() == _names._INSTEAD.keys()


@pytest.mark.parametrize(("owner", "name"), FOLLOWED)
def test_what_a_hint_says_does_the_same(owner: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/a.csv").write_text("x,s\n1,a\n")
    with pytest.raises(pw.InvalidError) as caught:
        getattr(OWNERS[owner], name)
    code, program = FOLLOWED[owner, name]
    assert code in (caught.value.hint or "")
    assert re.search(re.escape(code).replace(re.escape("..."), ".+"), program)
    names = {
        "pw": pw,
        "datetime": datetime,
        "table": TABLE,
        "TABLE": TABLE,
        "GROUPED": GROUPED,
        "JOINED": JOINED,
        "POINTS": POINTS,
    }
    made = eval(program, {**names, "Row": Row})
    if isinstance(made, pw.Table):
        assert made._native.collect()
    elif made is None and "pw.io" in program:
        pw.run(monitoring_level=pw.MonitoringLevel.NONE)
