#!/usr/bin/env bash
# "Kahan" is not one sum: 1e16, 1, -1e16 is 0 in ClickHouse's sumKahan, and 1 in DuckDB's and SQLite's.
#
# Versions:  chdb 4.4.0, duckdb 2.0.1, apsw 3.54.1.0 (SQLite 3.54.1), pandas 3.1.1 (PyPI).
# Expected:  a function with this name gets the textbook case right, whatever the order.
# Happens:   ClickHouse and pandas by group do Kahan's first form, which loses the 1 when the larger number comes second; pandas
#            gives 0.0 or 1.0 by the order of rows. DuckDB's kahan_sum and fsum, and SQLite's sum, do that of Neumaier. None is
#            exact, and at the end of the range they part: 1e308, 1e308, -1e308 is nan in sumKahan, inf in the others.
# Matters:   a name does not say what two systems will agree on; only a correctly rounded sum has one answer.
set -euo pipefail
d=$(mktemp -d)
trap 'rm -rf "$d"' EXIT
python3 -m venv "$d/v"
"$d/v/bin/pip" install -q --no-compile --disable-pip-version-check 'chdb==4.4.0' 'duckdb==2.0.1' 'apsw==3.54.1.0' 'pandas==3.1.1'
"$d/v/bin/python" - <<'PY'
import math
import sys

import apsw
import chdb
import duckdb
import pandas as pd

inf, nan = float("inf"), float("nan")


def seen(what, got, want):
    print(f"{what}: {got}")
    if str(got) != str(want):
        sys.exit(f"changed: it was {want}")


def sums(values):
    frame = pd.DataFrame({"g": 1, "i": range(len(values)), "x": values})
    rows = ", ".join(f"({x!r})" for x in values)
    return {
        "ClickHouse sumKahan": float(chdb.query(f"select sumKahan(x) from (select arrayJoin({values}) x)", "TSV").data()),
        "DuckDB kahan_sum": duckdb.sql("select kahan_sum(x order by i) from frame").fetchall()[0][0],
        "SQLite sum": next(apsw.Connection(":memory:").execute(f"select sum(column1) from (values {rows})"))[0],
        "pandas by group": frame.groupby("g").x.sum().tolist()[0],
    }


for values, want in [
    ([1e16, 1.0, -1e16], [0.0, 1.0, 1.0, 0.0]),
    ([1.0, 1e16, -1e16], [0.0, 1.0, 1.0, 1.0]),
    ([1e308, 1e308, -1e308], [nan, inf, inf, 1e308]),
    ([1.0, 1e16, 1e-16, -1e16, -1.0], None),
]:
    got = sums(values)
    if want is None:
        print(f"{values}, correctly rounded {math.fsum(values)}: {got}")
        if math.fsum(values) in [x for x in got.values()]:
            sys.exit("changed: one of them is exact here")
        continue
    for (name, value), expected in zip(got.items(), want):
        seen(f"{values}: {name}", value, expected)
PY
