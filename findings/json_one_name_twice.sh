#!/usr/bin/env bash
# JSON lines with one name twice: the first value in Polars and SQLite, the last in pandas, DataFusion and Python, an error elsewhere.
#
# Versions:  polars 2.1.0, pandas 3.1.1, datafusion 55.0.0, apsw 3.54.1.0 (SQLite 3.54.1), duckdb 2.0.1, pyarrow 26.0.1 (PyPI).
# Expected:  the last value wins nearly everywhere, as in JavaScript and Python.
# Happens:   Polars and SQLite silently take the first one, pandas, DataFusion and Python the last one; DuckDB and pyarrow refuse.
# Matters:   loggers write a field twice when a caller's field has the name of a standard one, so level or time depend on the reader.
set -euo pipefail
d=$(mktemp -d)
trap 'rm -rf "$d"' EXIT
python3 -m venv "$d/v"
"$d/v/bin/pip" install -q --no-compile --disable-pip-version-check \
  'polars==2.1.0' 'pandas==3.1.1' 'datafusion==55.0.0' 'apsw==3.54.1.0' 'duckdb==2.0.1' 'pyarrow==26.0.1'
cd "$d"
printf '{"level":"info","level":"error"}\n' > log.json
"$d/v/bin/python" - <<'PY'
import json
import pathlib
import sys

import apsw
import datafusion
import duckdb
import pandas as pd
import polars as pl
import pyarrow.json

def seen(what, got, want):
    print(f"{what}: {got}")
    if str(got) != str(want):
        sys.exit(f"changed: it was {want}")


line = pathlib.Path("log.json").read_text()
seen("Polars", pl.read_ndjson("log.json")["level"].to_list(), ["info"])
sqlite = apsw.Connection(":memory:")
seen("SQLite", next(sqlite.execute("select json_extract(?, '$.level'), ? ->> 'level'", (line, line))), ("info", "info"))
seen("pandas", pd.read_json("log.json", lines=True).level.tolist(), ["error"])
seen("DataFusion", datafusion.SessionContext().read_json("log.json").to_pydict()["level"], ["error"])
seen("Python", json.loads(line)["level"], "error")
for name, read in [("DuckDB", lambda path: duckdb.read_json(path).fetchall()), ("pyarrow", pyarrow.json.read_json)]:
    try:
        seen(name, read("log.json"), "an error")
    except (duckdb.Error, pyarrow.ArrowInvalid) as error:
        print(f"{name}: refused ({str(error).splitlines()[0]})")
PY
