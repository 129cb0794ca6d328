#!/usr/bin/env bash
# JSON lines: one NaN in a column, and what DuckDB exports is not JSON; the others write null.
#
# Versions:  duckdb 2.0.1, polars 2.1.0, pandas 3.1.1, datafusion 55.0.0, chdb 4.4.0, orjson 3.13.0 (PyPI).
# Expected:  null, or a text in quotes (as PostgreSQL's to_json writes), since JSON has neither NaN nor Infinity.
# Happens:   COPY … (FORMAT json) writes bare NaN and -Infinity. DuckDB itself, pyarrow and ClickHouse read the file back; Polars,
#            DataFusion and orjson refuse it. Polars, pandas, DataFusion and ClickHouse write null: both are then missing values.
#            DataFusion leaves a missing value out altogether, so a line without the member is no sign of another schema.
# Matters:   the file is refused far from where it was made, after weeks in which no value was NaN.
set -euo pipefail
d=$(mktemp -d)
trap 'rm -rf "$d"' EXIT
python3 -m venv "$d/v"
"$d/v/bin/pip" install -q --no-compile --disable-pip-version-check \
  'duckdb==2.0.1' 'polars==2.1.0' 'pandas==3.1.1' 'datafusion==55.0.0' 'chdb==4.4.0' 'orjson==3.13.0' 'pyarrow==26.0.1'
cd "$d"
"$d/v/bin/python" - <<'PY'
import pathlib
import sys

import chdb
import datafusion
import duckdb
import orjson
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.json
import pyarrow.parquet

def seen(what, got, want):
    print(f"{what}: {got}")
    if str(got) != str(want):
        sys.exit(f"changed: it was {want}")


nan, inf = float("nan"), float("inf")
rows = pa.table({"k": [1, 2, 3], "x": pa.array([nan, -inf, None])})
pyarrow.parquet.write_table(rows, "rows.parquet")
context = datafusion.SessionContext()
context.from_arrow(rows, name="rows")

duckdb.sql("copy rows to 'duckdb.json' (format json)")
pl.DataFrame(rows).write_ndjson("polars.json")
pd.DataFrame({"k": [1, 2, 3], "x": [nan, -inf, None]}).to_json("pandas.json", orient="records", lines=True)
context.sql("copy rows to 'datafusion.json' stored as json").collect()
pathlib.Path("chdb.json").write_bytes(chdb.query("select * from file('rows.parquet')", "JSONEachRow").bytes())
nulls = ['{"k":1,"x":null}', '{"k":2,"x":null}', '{"k":3,"x":null}']
for name, lines in [
    ("duckdb", ['{"k":1,"x":NaN}', '{"k":2,"x":-Infinity}', '{"k":3,"x":null}']),
    ("polars", nulls),
    ("pandas", nulls),
    ("datafusion", nulls[:2] + ['{"k":3}']),
    ("chdb", nulls),
]:
    seen(f"{name} writes", pathlib.Path(f"{name}.json").read_text().split(), lines)

seen("DuckDB reads its own", duckdb.read_json("duckdb.json").fetchall(), [(1, nan), (2, -inf), (3, None)])
seen("pyarrow reads DuckDB's", pyarrow.json.read_json("duckdb.json")["x"].to_pylist(), [nan, -inf, None])
for name, read in [
    ("Polars", lambda: pl.read_ndjson("duckdb.json")),
    ("DataFusion", lambda: datafusion.SessionContext().read_json("duckdb.json").to_pydict()),
    ("orjson", lambda: orjson.loads(pathlib.Path("duckdb.json").read_text().split()[0])),
]:
    try:
        got = read()
    except Exception as error:  # each has a class of its own
        print(f"{name} refuses DuckDB's ({str(error).splitlines()[0][:80]})")
    else:
        sys.exit(f"changed: {name} reads {got}")
PY
