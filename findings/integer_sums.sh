#!/usr/bin/env bash
# Sums and averages of integers: the average of two large ones is -1 in ClickHouse, and Polars widens small types but not 32 bits.
#
# Versions:  chdb 4.4.0, polars 2.1.0, pandas 3.1.1, numpy 2.4.6, duckdb 2.0.1 (PyPI).
# Expected:  64-bit sums wrap in most; averages are computed in floats; sums of narrower types are given as 64 bits.
# Happens:   ClickHouse's avg(Int64) divides the wrapped sum: -1. Polars gives Int8 and Int16 sums as Int64, and wraps Int32 at 32 bits
#            (the type in which DuckDB, Arrow and databases hand over INTEGER). pandas refuses the sum of two long
#            durations and makes their mean NaT, a missing value, with a warning about a cast at most.
# Matters:   none of them ends the program, and each is right on small data.
set -euo pipefail
d=$(mktemp -d)
trap 'rm -rf "$d"' EXIT
python3 -m venv "$d/v"
"$d/v/bin/pip" install -q --no-compile --disable-pip-version-check \
  'chdb==4.4.0' 'polars==2.1.0' 'pandas==3.1.1' 'numpy==2.4.6' 'duckdb==2.0.1' 'pyarrow==26.0.1'
"$d/v/bin/python" - <<'PY'
import sys

import chdb
import duckdb
import numpy as np
import pandas as pd
import polars as pl

top64, top32 = 2**63 - 1, 2**31 - 1


def seen(what, got, want):
    print(f"{what}: {got}")
    if str(got) != str(want):
        sys.exit(f"changed: it was {want}")


click = chdb.query(f"select avg(x), sum(x) from values('x Int64', {top64}, {top64})", "TSV").data().split()
seen("ClickHouse, avg and sum of two 2^63-1", click, ["-1", "-2"])
frame = pd.DataFrame({"x": [top64, top64]})
seen("DuckDB", duckdb.sql("select avg(x), sum(x) from frame").fetchall()[0], (9.223372036854776e18, 2 * top64))
seen("pandas", (float(frame.x.mean()), int(frame.x.sum())), (9.223372036854776e18, -2))

for dtype, value, total in [(pl.Int8, 127, 254), (pl.Int16, 32767, 65534), (pl.Int32, top32, -2)]:
    x = pl.Series([value, value], dtype=dtype)
    seen(f"Polars, {dtype}: sum, cum_sum", (x.sum(), x.cum_sum().to_list()[-1]), (total, total))
handed_over = duckdb.sql(f"select {top32}::integer as x from range(2)").pl()
seen("DuckDB's INTEGER summed by Polars", handed_over["x"].sum(), -2)
seen("DuckDB's INTEGER summed by DuckDB", duckdb.sql("select sum(x)::varchar from handed_over").fetchall()[0][0], 4294967294)

long = pd.Series(np.array([top64, top64], "m8[ns]"))
try:
    seen("pandas, sum of two durations of 292 years", long.sum(), "an error")
except pd.errors.OutOfBoundsTimedelta as error:
    print(f"pandas, sum of two durations of 292 years: refused ({error})")
seen("pandas, their mean", long.mean(), "NaT")
PY
