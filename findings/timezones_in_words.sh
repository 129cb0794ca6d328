#!/usr/bin/env bash
# Time zones in words: "UTC+3" is six hours apart between pandas and DuckDB, and IST is two places.
#
# Versions:  pandas 3.1.1, duckdb 2.0.1, chdb 4.4.0 (PyPI); PostgreSQL 15.18 (Debian) was run by hand.
# Expected:  PostgreSQL reads UTC+3 by the rule of POSIX, west of Greenwich, as it documents; all others as three hours east.
# Happens:   pandas does as PostgreSQL: 00:00 UTC+3 is 03:00 UTC. DuckDB and ClickHouse have 21:00 of the day before. All agree on +03:00.
#            IST is Israel in PostgreSQL and India in DuckDB, BST is British in the one and Bangladesh in the other.
# Matters:   no error anywhere, and the rows land in another day's window. Only offsets of the form +03:00 mean one thing.
set -euo pipefail
d=$(mktemp -d)
trap 'rm -rf "$d"' EXIT
python3 -m venv "$d/v"
"$d/v/bin/pip" install -q --no-compile --disable-pip-version-check 'pandas==3.1.1' 'duckdb==2.0.1' 'chdb==4.4.0'
"$d/v/bin/python" - <<'PY'
import sys

import chdb
import duckdb
import pandas as pd

duckdb.sql("set timezone = 'UTC'")


def seen(what, got, want):
    print(f"{what}: {got}")
    if str(got) != str(want):
        sys.exit(f"changed: it was {want}")


def pandas(text):
    return pd.Timestamp(text).tz_convert("UTC").strftime("%d %H:%M")


def duck(text):
    return duckdb.sql(f"select strftime('{text}'::timestamptz, '%d %H:%M')").fetchall()[0][0]


def click(text):
    return chdb.query(f"select formatDateTime(parseDateTimeBestEffort('{text}', 'UTC'), '%d %H:%i', 'UTC')", "TSV").data().strip()


for zone, at, want in [
    ("+03:00", "", ["14 21:00", "14 21:00", "14 21:00"]),
    ("UTC+3", " ", ["15 03:00", "14 21:00", "14 21:00"]),
    ("GMT+3", " ", ["15 03:00", "14 21:00", "14 21:00"]),
]:
    text = f"2024-01-15 00:00:00{at}{zone}"
    for name, read, expected in zip(["pandas", "DuckDB", "ClickHouse"], [pandas, duck, click], want):
        seen(f"{text}, in UTC: {name}", read(text), expected)
for zone, want in [("IST", "14 18:30"), ("BST", "14 18:00"), ("EST", "15 05:00")]:
    seen(f"{zone}: DuckDB", duck(f"2024-01-15 00:00:00 {zone}"), want)
    try:
        seen(f"{zone}: pandas", pandas(f"2024-01-15 00:00:00 {zone}"), "an error")
    except ValueError as error:
        print(f"{zone}: pandas: refused ({str(error)[:70]})")
PY
