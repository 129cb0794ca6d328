#!/usr/bin/env bash
# DataFusion: min and max of a group depend on the order of its rows where one of them is NaN.
#
# Versions:  datafusion 55.0.0, pyarrow 26.0.1 (PyPI); DuckDB 2.0.1 beside it.
# Expected:  one order of floats in all of min and max, with NaN above every number (as in PostgreSQL and DuckDB) or left out.
# Happens:   without GROUP BY NaN is the largest, and the smallest if its sign bit is set. With GROUP BY, over the same rows, the
#            answer is that of comparisons one after the other: 1, NaN, 2 has the minimum 2, for 1 is given up for NaN and NaN for 2.
# Matters:   a minimum that is not the smallest number, and another one after each reordering of files or threads.
set -euo pipefail
d=$(mktemp -d)
trap 'rm -rf "$d"' EXIT
python3 -m venv "$d/v"
"$d/v/bin/pip" install -q --no-compile --disable-pip-version-check 'datafusion==55.0.0' 'pyarrow==26.0.1' 'duckdb==2.0.1'
"$d/v/bin/python" - <<'PY'
import sys

import datafusion
import duckdb
import pyarrow as pa

nan = float("nan")


def seen(what, got, want):
    print(f"{what}: {got}")
    if str(got) != str(want):
        sys.exit(f"changed: it was {want}")


def of(values, group):
    table = pa.table({"g": [1] * len(values), "x": pa.array(values, pa.float64())})
    context = datafusion.SessionContext()
    context.from_arrow(table, name="t")
    row = context.sql(f"select min(x) a, max(x) b from t {group}").to_pydict()
    return row["a"][0], row["b"][0], duckdb.sql(f"select min(x), max(x) from \"table\" {group}").fetchall()[0]


for label, values, whole, grouped in [
    ("NaN, 1, 2", [nan, 1.0, 2.0], (1.0, nan), (1.0, 2.0)),
    ("1, NaN, 2", [1.0, nan, 2.0], (1.0, nan), (2.0, 2.0)),
    ("2, 1, NaN", [2.0, 1.0, nan], (1.0, nan), (nan, nan)),
    ("-NaN, 1", [-nan, 1.0], (nan, 1.0), (1.0, 1.0)),
]:
    low, high, peer = of(values, "")
    seen(f"min, max of {label}", (low, high), whole)
    low, high, peer_grouped = of(values, "group by g")
    seen("the same, GROUP BY g", (low, high), grouped)
    seen("DuckDB, both ways", (peer, peer_grouped), ((1.0, nan), (1.0, nan)))
PY
