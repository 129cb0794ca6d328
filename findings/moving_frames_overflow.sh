#!/usr/bin/env bash
# Polars and SQLite: one frame of finite values whose sum passes the largest float spoils every frame after it.
#
# Versions:  polars 2.1.0, pandas 3.1.1, apsw 3.54.1.0 (SQLite 3.54.1), duckdb 2.0.1, chdb 4.4.0 (PyPI).
# Expected:  all of them add compensated and look out for infinities that leave, so the frames after it are right again.
# Happens:   they look at the leaving value, which is finite here, and not at the sum, which is infinite: Polars gives NaN from then
#            on, SQLite inf, for ever; SQLite gives NULL for ever after a true infinity. pandas recovers after one NaN, and drops
#            infinities (inf, 1 has the sum 1). DuckDB and ClickHouse are right.
# Matters:   a service that keeps a moving sum never recovers from one bad reading of 1.8e308, a common "no value" in instruments.
set -euo pipefail
d=$(mktemp -d)
trap 'rm -rf "$d"' EXIT
python3 -m venv "$d/v"
"$d/v/bin/pip" install -q --no-compile --disable-pip-version-check \
  'polars==2.1.0' 'pandas==3.1.1' 'apsw==3.54.1.0' 'duckdb==2.0.1' 'chdb==4.4.0' 'pyarrow==26.0.1'
"$d/v/bin/python" - <<'PY'
import sys

import apsw
import chdb
import duckdb
import pandas as pd
import polars as pl

inf, nan, top = float("inf"), float("nan"), 1.7976931348623157e308
FRAME = "over (order by i rows between 1 preceding and current row)"


def seen(what, got, want):
    print(f"{what}: {got}")
    if str(got) != str(want):
        sys.exit(f"changed: it was {want}")


def moving(values):
    frame = pd.DataFrame({"i": range(len(values)), "x": values})
    sqlite = apsw.Connection(":memory:")
    sqlite.execute("create table t (i, x real)")
    sqlite.executemany("insert into t values (?, ?)", list(enumerate(values)))
    click = " union all ".join(f"select {i} i, toFloat64('{x}') x" for i, x in enumerate(values))
    return {
        "Polars": pl.Series(values).rolling_sum(2, min_samples=1).to_list(),
        "pandas": frame.x.rolling(2, min_periods=1).sum().tolist(),
        "SQLite": [r for (r,) in sqlite.execute(f"select sum(x) {FRAME} from t order by i")],
        "DuckDB": [r for (r,) in duckdb.sql(f"select sum(x) {FRAME} from frame order by i").fetchall()],
        "ClickHouse": [float(r) for r in chdb.query(f"select sum(x) {FRAME} from ({click}) order by i", "TSV").data().split()],
    }


right = [top, inf, top, 2.0, 2.0]
got = moving([top, top, 1.0, 1.0, 1.0])
seen("Polars", got["Polars"], [top, inf, nan, nan, nan])
seen("pandas", got["pandas"], [top, inf, nan, 2.0, 2.0])
seen("SQLite", got["SQLite"], [top, inf, inf, inf, inf])
seen("DuckDB", got["DuckDB"], right)
seen("ClickHouse", got["ClickHouse"], right)

got = moving([inf, 1.0, 1.0, 1.0])
seen("after a true infinity: Polars", got["Polars"], [inf, inf, 2.0, 2.0])
seen("after a true infinity: pandas", got["pandas"], [nan, 1.0, 2.0, 2.0])
seen("after a true infinity: SQLite", got["SQLite"], [inf, inf, None, None])
seen("after a true infinity: DuckDB", got["DuckDB"], [inf, inf, 2.0, 2.0])
PY
