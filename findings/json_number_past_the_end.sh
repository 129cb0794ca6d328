#!/usr/bin/env bash
# JSON 1e400, a valid number: infinite in four readers, an error in five, and null or no JSON when written again.
#
# Versions:  duckdb 2.0.1, chdb 4.4.0, pandas 3.1.1, polars 2.1.0, pyarrow 26.0.1, datafusion 55.0.0, orjson 3.13.0, msgspec 0.23.0 (PyPI).
# Expected:  an error, or a decimal of that size, since JSON has no infinity.
# Happens:   DuckDB, ClickHouse, pandas and Python's json read inf; Polars, pyarrow, DataFusion, orjson and msgspec refuse the line. What
#            was read as inf leaves as Infinity, which is not JSON (DuckDB, Python), or as null (pandas, ClickHouse).
# Matters:   one line of a log makes a sum infinite for good, ends the job, or passes as a missing value, by the reader.
set -euo pipefail
d=$(mktemp -d)
trap 'rm -rf "$d"' EXIT
python3 -m venv "$d/v"
"$d/v/bin/pip" install -q --no-compile --disable-pip-version-check \
  'duckdb==2.0.1' 'chdb==4.4.0' 'pandas==3.1.1' 'polars==2.1.0' 'pyarrow==26.0.1' 'datafusion==55.0.0' 'orjson==3.13.0' 'msgspec==0.23.0'
cd "$d"
printf '{"a":1e400}\n' > large.json
"$d/v/bin/python" - <<'PY'
import json
import pathlib
import sys

import chdb
import datafusion
import duckdb
import msgspec
import orjson
import pandas as pd
import polars as pl
import pyarrow.json

def seen(what, got, want):
    print(f"{what}: {got}")
    if str(got) != str(want):
        sys.exit(f"changed: it was {want}")


line, inf = pathlib.Path("large.json").read_text(), float("inf")
seen("DuckDB", duckdb.read_json("large.json").fetchall(), [(inf,)])
seen("DuckDB writes", duckdb.sql("select to_json(a) from 'large.json'").fetchall()[0][0], "Infinity")
seen("ClickHouse", chdb.query("select a from file('large.json', 'JSONEachRow')", "TSV").data().strip(), "inf")
seen("ClickHouse writes", chdb.query("select a from file('large.json', 'JSONEachRow')", "JSONEachRow").data().strip(), '{"a":null}')
frame = pd.read_json("large.json", lines=True)
seen("pandas", frame.a.tolist(), [inf])
seen("pandas writes", frame.to_json(orient="records"), '[{"a":null}]')
seen("Python", json.loads(line), {"a": inf})
seen("Python writes", json.dumps(json.loads(line)), '{"a": Infinity}')
for name, read in [
    ("Polars", lambda: pl.read_ndjson("large.json")),
    ("pyarrow", lambda: pyarrow.json.read_json("large.json")),
    ("DataFusion", lambda: datafusion.SessionContext().read_json("large.json").to_pydict()),
    ("orjson", lambda: orjson.loads(line)),
    ("msgspec", lambda: msgspec.json.decode(line)),
]:
    try:
        got = read()
    except Exception as error:  # each has a class of its own
        print(f"{name}: refused ({str(error).splitlines()[0][:90]})")
    else:
        sys.exit(f"changed: {name} reads {got}")
PY
