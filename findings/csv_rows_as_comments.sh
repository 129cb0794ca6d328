#!/usr/bin/env bash
# CSV: DuckDB drops a row that begins with #, if the rest of the column looks like numbers.
#
# Versions:  duckdb 2.0.1; pandas 3.1.1, polars 2.1.0 beside it (PyPI).
# Expected:  CSV knows no comments, so a value that begins with # is a value, at worst one that makes the column text.
# Happens:   the reader looks for a comment character by itself: of the rooms 101, #102, 103 one is gone, without a word. Where
#            other values of the column are text the row stays, and so it does if the text is quoted.
# Matters:   rows vanish by what stands in other rows, so the same row counts in one file and not in the next. comment='' ends it.
set -euo pipefail
d=$(mktemp -d)
trap 'rm -rf "$d"' EXIT
python3 -m venv "$d/v"
"$d/v/bin/pip" install -q --no-compile --disable-pip-version-check 'duckdb==2.0.1' 'pandas==3.1.1' 'polars==2.1.0'
cd "$d"
printf 'room,guests\n101,1\n#102,2\n103,3\n' > rooms.csv
printf 'room,guests\nlobby,1\n#102,2\n103,3\n' > words.csv
"$d/v/bin/python" - <<'PY'
import sys

import duckdb
import pandas as pd
import polars as pl

def seen(what, got, want):
    print(f"{what}: {got}")
    if str(got) != str(want):
        sys.exit(f"changed: it was {want}")


seen("DuckDB", duckdb.read_csv("rooms.csv").fetchall(), [(101, 1), (103, 3)])
seen("DuckDB, another row is a word", duckdb.read_csv("words.csv").fetchall(), [("lobby", 1), ("#102", 2), ("103", 3)])
told = duckdb.sql("from read_csv('rooms.csv', comment = '')").fetchall()
seen("DuckDB with comment = ''", told, [("101", 1), ("#102", 2), ("103", 3)])
seen("pandas", pd.read_csv("rooms.csv").room.tolist(), ["101", "#102", "103"])
seen("Polars", pl.read_csv("rooms.csv")["room"].to_list(), ["101", "#102", "103"])
PY
