#!/usr/bin/env bash
# Timestamps in nanoseconds end in 2262: in one library one door refuses what is later, and the next one wraps to 1678.
#
# Versions:  polars 2.1.0, pyarrow 26.0.1, pandas 3.1.1, chdb 4.4.0, duckdb 2.0.1 (PyPI).
# Expected:  a library checks or it does not; Arrow's casts are known to check unless told otherwise.
# Happens:   Polars refuses the cast, and its parser makes 1816 of the text 9999-12-31; offset_by wraps, too. pyarrow refuses cast and
#            text, and wraps in add and in rounding up (2262-04-11 to the year is 1678). ClickHouse refuses the text
#            and wraps when a year is added. pandas and DuckDB refuse throughout.
# Matters:   9999-12-31 is how "no end" is written in databases; a session of 1816 is the earliest instead of the last.
set -euo pipefail
d=$(mktemp -d)
trap 'rm -rf "$d"' EXIT
python3 -m venv "$d/v"
"$d/v/bin/pip" install -q --no-compile --disable-pip-version-check \
  'polars==2.1.0' 'pyarrow==26.0.1' 'pandas==3.1.1' 'chdb==4.4.0' 'duckdb==2.0.1'
"$d/v/bin/python" - <<'PY'
import datetime as dt
import sys

import chdb
import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

def seen(what, got, want):
    print(f"{what}: {got}")
    if str(got) != str(want):
        sys.exit(f"changed: it was {want}")


def refuses(what, door):
    try:
        got = door()
    except Exception as error:  # each library has a class of its own
        print(f"{what}: refused ({str(error).splitlines()[0][:90]})")
    else:
        sys.exit(f"changed: {what} gives {got}")


text, far, late = "9999-12-31 00:00:00", dt.datetime(9999, 12, 31), dt.datetime(2262, 1, 1)
refuses("Polars, cast", lambda: pl.Series([far]).cast(pl.Datetime("ns")))
seen("Polars, parse", pl.Series([text]).str.to_datetime(time_unit="ns").dt.year().to_list(), [1816])
seen("Polars, offset_by a year", pl.Series([late]).cast(pl.Datetime("ns")).dt.offset_by("1y").dt.year().to_list(), [1678])

ns = pa.timestamp("ns")
refuses("pyarrow, cast", lambda: pa.array([far]).cast(ns))
refuses("pyarrow, parse", lambda: pa.array([text]).cast(ns))
year = pa.scalar(dt.timedelta(days=365), pa.duration("ns"))
seen("pyarrow, add a year", pc.year(pc.add(pa.array([late], ns), year)).to_pylist(), [1678])
last = pa.array([dt.datetime(2262, 4, 11)], ns)
seen("pyarrow, round up to the year", pc.year(pc.ceil_temporal(last, unit="year")).to_pylist(), [1678])

refuses("ClickHouse, parse", lambda: chdb.query(f"select toDateTime64('{text}', 9, 'UTC')"))
click = chdb.query("select toYear(toDateTime64('2262-01-01 00:00:00', 9, 'UTC') + interval 1 year)", "TSV").data().strip()
seen("ClickHouse, add a year", click, "1678")

refuses("pandas, as_unit", lambda: pd.to_datetime([far]).as_unit("ns"))
refuses("pandas, add a year", lambda: pd.Series(pd.to_datetime([late]).as_unit("ns")) + pd.Timedelta(days=365))
refuses("DuckDB, parse", lambda: duckdb.sql(f"select '{text}'::timestamp_ns").fetchall())
refuses("DuckDB, add a year", lambda: duckdb.sql("select '2262-01-01'::timestamp_ns + interval 1 year").fetchall())
PY
