#!/usr/bin/env bash
# DataFusion: in a moving frame a variance falls below zero, and one large value spoils all frames after it.
#
# Versions:  datafusion 55.0.0, pyarrow 26.0.1, duckdb 2.0.1, apsw 3.54.1.0 (SQLite 3.54.1), polars 2.1.0 (PyPI).
# Expected:  rounding in the last digits, which ends when the large value has left the frame; a variance of at least 0.
# Happens:   DataFusion takes the leaving row back out of plain running sums. After 1e16 has left, the variance of 2 and 3 is
#            -9007199254740990, its square root NaN; the sum of 0.4 and -0.4 is 1.7e-16. Polars keeps 3.6e-13 of a value that
#            left long ago. SQLite and DuckDB (which adds each frame up anew, from a tree of parts) are right here.
# Matters:   the same happens to every result that is kept up to date by subtracting: the error is of the size of the largest
#            value that ever passed, not of those that are there.
set -euo pipefail
d=$(mktemp -d)
trap 'rm -rf "$d"' EXIT
python3 -m venv "$d/v"
"$d/v/bin/pip" install -q --no-compile --disable-pip-version-check \
  'datafusion==55.0.0' 'pyarrow==26.0.1' 'duckdb==2.0.1' 'apsw==3.54.1.0' 'polars==2.1.0'
"$d/v/bin/python" - <<'PY'
import sys

import apsw
import datafusion
import duckdb
import polars as pl
import pyarrow as pa

FRAME = "over (order by i rows between {} preceding and current row)"


def seen(what, got, want):
    print(f"{what}: {got}")
    if str(got) != str(want):
        sys.exit(f"changed: it was {want}")


def moving(function, values, before=1):
    frame = f"{function}(x) {FRAME.format(before)}"
    table = pa.table({"i": range(len(values)), "x": values})
    context = datafusion.SessionContext()
    context.from_arrow(table, name="t")
    out = {"DataFusion": context.sql(f"select i, {frame} as r from t order by i").to_pydict()["r"]}
    out["DuckDB"] = [r for (r,) in duckdb.sql(f'select {frame} from "table" order by i').fetchall()]
    if function == "sum":
        sqlite = apsw.Connection(":memory:")
        sqlite.execute("create table t (i, x real)")
        sqlite.executemany("insert into t values (?, ?)", list(enumerate(values)))
        out["SQLite"] = [r for (r,) in sqlite.execute(f"select {frame} from t order by i")]
    return out


steps = [1e16, 1.0, 2.0, 3.0, 3.0]
got = moving("var_samp", steps)
seen("variance, DataFusion", got["DataFusion"][2:], [-9007199254740992.0, -9007199254740990.0, -9007199254740989.0])
seen("variance, DuckDB", got["DuckDB"][2:], [0.5, 0.5, 0.0])
seen("its root, DataFusion", moving("stddev", steps)["DataFusion"][2:], [float("nan")] * 3)

cents = [0.1, 0.2, 0.3, 0.4, -0.4]
got = moving("sum", cents)
seen("sum of 0.4 and -0.4, DataFusion", got["DataFusion"][4], 1.6653345369377348e-16)
seen("sum of 0.4 and -0.4, DuckDB and SQLite", (got["DuckDB"][4], got["SQLite"][4]), (0.0, 0.0))

large = [1e17, 1.0, 1.0, 1.0]
got = moving("sum", large)
seen("sum after 1e17, DataFusion", got["DataFusion"][2:], [0.0, 0.0])
seen("sum after 1e17, DuckDB and SQLite", (got["DuckDB"][2:], got["SQLite"][2:]), ([2.0, 2.0], [2.0, 2.0]))

mixed = [1e20, 3e10, 7.0, 0.1, 0.1, 0.1, 0.1]
seen("sum of 0.1 three times, Polars", pl.Series(mixed).rolling_sum(3).to_list()[-1], 0.3000000000003638)
seen("the same, DuckDB", moving("sum", mixed, 2)["DuckDB"][-1], 0.30000000000000004)
PY
