#!/usr/bin/env bash
# CSV: DuckDB reads its own empty texts as nulls, and pyarrow its own nulls as empty texts.
#
# Versions:  duckdb 2.0.1, pyarrow 26.0.1, polars 2.1.0 (PyPI).
# Expected:  both write a null as nothing and an empty text as "", so that the two can be told apart, and read it so.
# Happens:   DuckDB's reader takes "" as null too; pyarrow's takes nothing as the empty text too, unless told otherwise. Each file is
#            right, and Polars reads both right: it is only the own reader that mixes them up.
# Matters:   a round trip through one's own file changes IS NULL, counts and joins; a file handed on keeps them.
set -euo pipefail
d=$(mktemp -d)
trap 'rm -rf "$d"' EXIT
python3 -m venv "$d/v"
"$d/v/bin/pip" install -q --no-compile --disable-pip-version-check 'duckdb==2.0.1' 'pyarrow==26.0.1' 'polars==2.1.0'
cd "$d"
"$d/v/bin/python" - <<'PY'
import pathlib
import sys

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.csv

def seen(what, got, want):
    print(f"{what}: {got}")
    if str(got) != str(want):
        sys.exit(f"changed: it was {want}")


rows = pa.table({"k": [1, 2, 3], "s": ["x", None, ""]})
duckdb.sql("copy rows to 'duckdb.csv' (format csv)")
pyarrow.csv.write_csv(rows, "pyarrow.csv")
seen("DuckDB writes", pathlib.Path("duckdb.csv").read_text().split(), ["k,s", "1,x", "2,", '3,""'])
seen("pyarrow writes", pathlib.Path("pyarrow.csv").read_text().split(), ['"k","s"', '1,"x"', "2,", '3,""'])
for path in ["duckdb.csv", "pyarrow.csv"]:
    seen(f"{path} read by DuckDB", [s for _, s in duckdb.read_csv(path).fetchall()], ["x", None, None])
    seen(f"{path} read by pyarrow", pyarrow.csv.read_csv(path)["s"].to_pylist(), ["x", "", ""])
    seen(f"{path} read by Polars", pl.read_csv(path)["s"].to_list(), ["x", None, ""])
options = pyarrow.csv.ConvertOptions(strings_can_be_null=True, quoted_strings_can_be_null=False)
seen("pyarrow, told so", pyarrow.csv.read_csv("duckdb.csv", convert_options=options)["s"].to_pylist(), ["x", None, ""])
PY
