#!/usr/bin/env bash
# CSV: a null that stands alone in its row is lost, or turns numbers into text, between almost any two tools.
#
# Versions:  duckdb 2.0.1, polars 2.1.0, pyarrow 26.0.1, pandas 3.1.1, datafusion 55.0.0, chdb 4.4.0 (PyPI).
# Expected:  what a tool writes it reads back, and the others read an empty line of a table with one column as its null.
# Happens:   DuckDB, Polars and pyarrow write an empty line (as psql's COPY and the sqlite3 shell do), pandas and DataFusion write "",
#            ClickHouse \N. Empty lines are passed over by pandas, DataFusion and pyarrow, which so loses its own row. "" makes
#            Polars read the whole column as text. \N is text to all but ClickHouse.
# Matters:   a count of rows that changes with the tool in between, without an error. Two columns avoid the first, not the last.
set -euo pipefail
d=$(mktemp -d)
trap 'rm -rf "$d"' EXIT
python3 -m venv "$d/v"
"$d/v/bin/pip" install -q --no-compile --disable-pip-version-check \
  'duckdb==2.0.1' 'polars==2.1.0' 'pyarrow==26.0.1' 'pandas==3.1.1' 'datafusion==55.0.0' 'chdb==4.4.0'
cd "$d"
"$d/v/bin/python" - <<'PY'
import pathlib
import sys

import chdb
import datafusion
import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

def seen(what, got, want):
    print(f"{what}: {got}")
    if str(got) != str(want):
        sys.exit(f"changed: it was {want}")


def fusion():
    return datafusion.SessionContext()


def fusion_writes(path):
    context = fusion()
    context.from_arrow(table, name="t")
    context.sql(f"copy t to '{path}' stored as csv").collect()


table = pa.table({"a": pa.array([1, None, 2])})
pyarrow.parquet.write_table(table, "t.parquet")
writers = {
    "DuckDB": lambda path: duckdb.sql(f"copy (from table) to '{path}' (format csv)".replace("table", '"table"')),
    "Polars": lambda path: pl.DataFrame(table).write_csv(path),
    "pyarrow": lambda path: pyarrow.csv.write_csv(table, path),
    "pandas": lambda path: table.to_pandas().convert_dtypes().to_csv(path, index=False),
    "DataFusion": fusion_writes,
    "ClickHouse": lambda path: pathlib.Path(path).write_bytes(
        chdb.query("select a from file('t.parquet')", "CSVWithNames").bytes()
    ),
}
readers = {
    "DuckDB": lambda path: [a for (a,) in duckdb.read_csv(path).fetchall()],
    "Polars": lambda path: pl.read_csv(path)["a"].to_list(),
    "pyarrow": lambda path: pyarrow.csv.read_csv(path)["a"].to_pylist(),
    "pandas": lambda path: pd.read_csv(path, dtype_backend="numpy_nullable")["a"].astype(object).replace(pd.NA, None).tolist(),
    "DataFusion": lambda path: fusion().read_csv(path).to_pydict()["a"],
    "ClickHouse": lambda path: chdb.query(f"select a from file('{path}', 'CSVWithNames')", "TSV").data().split("\n")[:-1],
}
right, lost, text, kept = [1, None, 2], [1, 2], ["1", "", "2"], ["1", "\\N", "2"]
click = ["1", "\\N", "2"]
expected = {  # by writer: the line that it writes, then what DuckDB, Polars, pyarrow, pandas, DataFusion, ClickHouse read
    "DuckDB": ("", [right, right, lost, lost, lost, click]),
    "Polars": ("", [right, right, lost, lost, lost, click]),
    "pyarrow": ("", [right, right, lost, lost, lost, click]),
    "pandas": ('""', [right, text, right, right, right, text]),
    "DataFusion": ('""', [right, text, right, right, right, text]),
    "ClickHouse": ("\\N", [kept, kept, kept, kept, kept, click]),
}
for writer, write in writers.items():
    path = f"{writer}.csv"
    write(path)
    line, reads = expected[writer]
    seen(f"{writer} writes the line", pathlib.Path(path).read_text().splitlines()[2], line)
    for (reader, read), want in zip(readers.items(), reads):
        seen(f"  {reader} reads it as", read(path), want)
PY
