#!/usr/bin/env bash
# CSV: a file whose last record is only half written is one column to DuckDB, a null to pandas and Polars, an error to Arrow.
#
# Versions:  duckdb 2.0.1, pandas 3.1.1, polars 2.1.0, pyarrow 26.0.1 (PyPI).
# Expected:  an error that names the line, or a null for what is not there yet.
# Happens:   `a,b`, `1,x`, `2` (the writer is at work) is read by DuckDB as one text column called "a,b", with the rows "1,x" and "2",
#            since it chooses the dialect in which all lines agree. A number cut in half (20 of 200) is taken by all.
# Matters:   a reader that polls a growing file meets this; a cut is to be seen only by the newline that is not there.
set -euo pipefail
d=$(mktemp -d)
trap 'rm -rf "$d"' EXIT
python3 -m venv "$d/v"
"$d/v/bin/pip" install -q --no-compile --disable-pip-version-check 'duckdb==2.0.1' 'pandas==3.1.1' 'polars==2.1.0' 'pyarrow==26.0.1'
cd "$d"
printf 'a,b\n1,x\n2' > half.csv
printf 'a,b\n1,100\n2,20' > digits.csv
"$d/v/bin/python" - <<'PY'
import sys

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv

def seen(what, got, want):
    print(f"{what}: {got}")
    if str(got) != str(want):
        sys.exit(f"changed: it was {want}")


half = duckdb.read_csv("half.csv")
seen("DuckDB", (half.columns, half.fetchall()), (["a,b"], [("1,x",), ("2",)]))
seen("pandas", pd.read_csv("half.csv").b.isna().tolist(), [False, True])
seen("Polars", pl.read_csv("half.csv").rows(), [(1, "x"), (2, None)])
try:
    seen("pyarrow", pyarrow.csv.read_csv("half.csv").to_pylist(), "an error")
except pa.ArrowInvalid as error:
    print(f"pyarrow: refused ({error})")
for name, rows in [
    ("DuckDB", duckdb.read_csv("digits.csv").fetchall()),
    ("pandas", [tuple(row) for row in pd.read_csv("digits.csv").to_numpy().tolist()]),
    ("Polars", pl.read_csv("digits.csv").rows()),
    ("pyarrow", [tuple(row.values()) for row in pyarrow.csv.read_csv("digits.csv").to_pylist()]),
]:
    seen(f"{name}, 20 of 200", rows, [(1, 100), (2, 20)])
PY
