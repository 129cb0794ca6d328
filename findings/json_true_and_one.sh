#!/usr/bin/env bash
# JSON true and 1: one value to ClickHouse, pandas and Python, two to DuckDB; and a hand-over turns 1 and "1" into one.
#
# Versions:  chdb 4.4.0, pandas 3.1.1, duckdb 2.0.1, polars 2.1.0, pyarrow 26.0.1 (PyPI).
# Expected:  a column of true and 1 is refused, or keeps both kinds.
# Happens:   ClickHouse and pandas read the lines as 1 and 1; DuckDB keeps JSON true and JSON 1; Polars and pyarrow refuse the file. A
#            pandas column of objects True, 1, 1.0, "1" has two groups in pandas (the first three are equal, in Python), and three in
#            DuckDB over the same frame: True, 1.0, and 1 together with "1".
# Matters:   grouping by a JSON value counts other groups before and after a hand-over between two libraries in one program.
set -euo pipefail
d=$(mktemp -d)
trap 'rm -rf "$d"' EXIT
python3 -m venv "$d/v"
"$d/v/bin/pip" install -q --no-compile --disable-pip-version-check \
  'chdb==4.4.0' 'pandas==3.1.1' 'duckdb==2.0.1' 'polars==2.1.0' 'pyarrow==26.0.1'
cd "$d"
printf '{"a":true}\n{"a":1}\n' > flags.jsonl
"$d/v/bin/python" - <<'PY'
import sys

import chdb
import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.json

def seen(what, got, want):
    print(f"{what}: {got}")
    if str(got) != str(want):
        sys.exit(f"changed: it was {want}")


click = chdb.query("select a, toTypeName(a) from file('flags.jsonl', 'JSONEachRow')", "TSV").data().split()
seen("ClickHouse", click, ["1", "Nullable(Int64)", "1", "Nullable(Int64)"])
seen("pandas", pd.read_json("flags.jsonl", lines=True).a.tolist(), [1, 1])
seen("DuckDB", duckdb.read_json("flags.jsonl", format="newline_delimited").fetchall(), [("true",), ("1",)])
for name, read, error in [
    ("Polars", pl.read_ndjson, pl.exceptions.ComputeError),
    ("pyarrow", pyarrow.json.read_json, pa.ArrowInvalid),
]:
    try:
        seen(name, read("flags.jsonl"), "an error")
    except error as refusal:
        print(f"{name}: refused ({str(refusal).splitlines()[0]})")

frame = pd.DataFrame({"x": pd.Series([True, 1, 1.0, "1"], dtype=object)})
seen("pandas, objects by group", sorted(frame.groupby("x").size().tolist()), [1, 3])
groups = duckdb.sql("select x, count(*) from frame group by x order by x").fetchall()
seen("DuckDB over that frame", groups, [("1", 2), ("1.0", 1), ("True", 1)])
PY
