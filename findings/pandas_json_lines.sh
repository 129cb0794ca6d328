#!/usr/bin/env bash
# pandas: JSON lines do not come back as they went: ten decimals out, other floats in, and digits in quotes become numbers.
#
# Versions:  pandas 3.1.1; polars 2.1.0, duckdb 2.0.1 beside it (PyPI).
# Expected:  a float is written with as many digits as it needs, and a reader rounds correctly; a JSON string stays text.
# Happens:   to_json writes at most ten decimals, so 1e-11 is 0.0. read_json misreads most floats of 15 or more digits in the last
#            place or two (all other readers tried: none), has 0 for -0.0, and makes 123 of the text "00123". precise_float=True
#            and dtype=False end this; read_csv is exact.
# Matters:   a sum compared with one from pandas differs in the last digits by the reader alone; keys such as postcodes change.
set -euo pipefail
d=$(mktemp -d)
trap 'rm -rf "$d"' EXIT
python3 -m venv "$d/v"
"$d/v/bin/pip" install -q --no-compile --disable-pip-version-check 'pandas==3.1.1' 'polars==2.1.0' 'duckdb==2.0.1'
cd "$d"
"$d/v/bin/python" - <<'PY'
import io
import random
import sys

import duckdb
import pandas as pd
import polars as pl

def seen(what, got, want):
    print(f"{what}: {got}")
    if str(got) != str(want):
        sys.exit(f"changed: it was {want}")


seen("written", pd.Series([1e-11, 1 / 3, 0.1234567890123]).to_json(orient="values"), "[0.0,0.3333333333,0.123456789]")

random.seed(1)
floats = [random.random() for _ in range(20_000)]
with open("floats.jsonl", "w") as file:
    file.writelines(f'{{"x":{x!r}}}\n' for x in floats)
wrong = {
    "pandas": pd.read_json("floats.jsonl", lines=True).x,
    "pandas, precise_float": pd.read_json("floats.jsonl", lines=True, precise_float=True).x,
    "Polars": pl.read_ndjson("floats.jsonl")["x"],
    "DuckDB": [x for (x,) in duckdb.read_json("floats.jsonl").fetchall()],
}
wrong = {name: sum(x != y for x, y in zip(read, floats)) for name, read in wrong.items()}
print(f"floats read wrong, of 20,000: {wrong}")
if wrong.pop("pandas") < 10_000 or any(wrong.values()):
    sys.exit("changed: it was most of them in pandas, none in the others")

line = '{"zip":"00123","x":-0.0}'
seen("text of digits and -0.0", pd.read_json(io.StringIO(line), lines=True).values.tolist(), [[123, 0]])
seen("with dtype=False", pd.read_json(io.StringIO(line), lines=True, dtype=False).zip.tolist(), ["00123"])
seen("Polars", pl.read_ndjson(io.StringIO(line)).rows(), [("00123", -0.0)])
PY
