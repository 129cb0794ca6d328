#!/usr/bin/env bash
# CSV: the same text is another value by its neighbours: 01/02/2024 is in February or in January, and Norway is false.
#
# Versions:  duckdb 2.0.1, chdb 4.4.0; pandas 3.1.1 and polars 2.1.0 leave all of these as text (PyPI).
# Expected:  a type that is guessed may differ between files, but a value of that type means one thing.
# Happens:   DuckDB reads a file of 01/02/2024 and 03/04/2024 day first, and one of 01/02/2024 and 01/31/2024 month first: the first
#            row moves from 1 February to 2 January. ClickHouse chooses for each row. A column of country codes that holds only `no` is
#            BOOLEAN in DuckDB, and text as soon as another country is there.
# Matters:   files that arrive day by day are read one by one, so one row means other things in a file of its own and in the union.
set -euo pipefail
d=$(mktemp -d)
trap 'rm -rf "$d"' EXIT
python3 -m venv "$d/v"
"$d/v/bin/pip" install -q --no-compile --disable-pip-version-check 'duckdb==2.0.1' 'chdb==4.4.0' 'pandas==3.1.1' 'polars==2.1.0'
cd "$d"
printf 'day,n\n01/02/2024,1\n03/04/2024,2\n' > monday.csv
printf 'day,n\n01/02/2024,1\n01/31/2024,2\n' > tuesday.csv
printf 'country,n\nno,1\nno,2\n' > norway.csv
printf 'country,n\nno,1\nse,2\n' > north.csv
"$d/v/bin/python" - <<'PY'
import sys

import chdb
import duckdb
import pandas as pd
import polars as pl

def seen(what, got, want):
    print(f"{what}: {got}")
    if str(got) != str(want):
        sys.exit(f"changed: it was {want}")


def duck(path):
    return [str(value) for value, _ in duckdb.read_csv(path).fetchall()]


def click(path):
    return chdb.query(f"select toDate(day) from file('{path}', 'CSVWithNames')", "TSV").data().split()


seen("DuckDB, 01/02 and 03/04", duck("monday.csv"), ["2024-02-01", "2024-04-03"])
seen("DuckDB, 01/02 and 01/31", duck("tuesday.csv"), ["2024-01-02", "2024-01-31"])
seen("ClickHouse, 01/02 and 01/31", click("tuesday.csv"), ["2024-02-01", "2024-01-31"])
seen("DuckDB, no and no", duck("norway.csv"), ["False", "False"])
seen("DuckDB, no and se", duck("north.csv"), ["no", "se"])
for path, name, text in [("tuesday.csv", "day", ["01/02/2024", "01/31/2024"]), ("norway.csv", "country", ["no", "no"])]:
    seen(f"pandas, {path}", pd.read_csv(path)[name].tolist(), text)
    seen(f"Polars, {path}", pl.read_csv(path)[name].to_list(), text)
PY
