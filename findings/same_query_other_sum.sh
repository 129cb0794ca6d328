#!/usr/bin/env bash
# One query, one file, twelve runs, up to twelve sums: also in Polars' own engine, in pyarrow by group, and in sumKahan.
#
# Versions:  duckdb 2.0.1, polars 2.1.0, chdb 4.4.0, datafusion 55.0.0, pyarrow 26.0.1 (PyPI); two threads.
# Expected:  DuckDB's and DataFusion's parallel sums differ from run to run; Polars in memory, pyarrow and compensated sums repeat.
# Happens:   DuckDB gives another sum in each of twelve runs (fsum one), ClickHouse several, sumKahan several as well, since the parts
#            are added in the order in which threads finish. Polars' in-memory engine and pyarrow's group_by differ as well,
#            in the last place. DataFusion repeats itself: its partitions are fixed.
# Matters:   a result that is compared with the one of yesterday changes without a change of data; only the correctly rounded
#            sum, which Python's fsum gives, is one number.
set -euo pipefail
d=$(mktemp -d)
trap 'rm -rf "$d"' EXIT
python3 -m venv "$d/v"
"$d/v/bin/pip" install -q --no-compile --disable-pip-version-check \
  'duckdb==2.0.1' 'polars==2.1.0' 'chdb==4.4.0' 'datafusion==55.0.0' 'pyarrow==26.0.1' 'numpy==2.4.6'
cd "$d"
POLARS_MAX_THREADS=2 "$d/v/bin/python" - <<'PY'
import math
import sys

import chdb
import datafusion
import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet

random = np.random.default_rng(1)
x = (random.random(3_000_000) - 0.5) * 10.0 ** random.integers(-8, 9, 3_000_000)
table = pa.table({"g": random.integers(0, 10, len(x)), "x": x})
pyarrow.parquet.write_table(table, "x.parquet", row_group_size=100_000)

duck = duckdb.connect(config={"threads": 2})
context = datafusion.SessionContext(datafusion.SessionConfig().with_target_partitions(2))
context.register_parquet("t", "x.parquet")
click = "select {}(x) from file('x.parquet') settings max_threads = 2"
frame = pl.scan_parquet("x.parquet")
sums = {
    "DuckDB sum": lambda: duck.sql("select sum(x) from 'x.parquet'").fetchall(),
    "DuckDB fsum": lambda: duck.sql("select fsum(x) from 'x.parquet'").fetchall(),
    "ClickHouse sum": lambda: chdb.query(click.format("sum"), "TSV").data(),
    "ClickHouse sumKahan": lambda: chdb.query(click.format("sumKahan"), "TSV").data(),
    "Polars by group, in memory": lambda: frame.group_by("g").agg(pl.col("x").sum()).collect(engine="in-memory").sort("g").rows(),
    "pyarrow by group": lambda: table.group_by("g").aggregate([("x", "sum")]).sort_by("g").to_pydict(),
    "DataFusion": lambda: context.sql("select sum(x) s from t").to_pydict(),
}
print(f"correctly rounded: {math.fsum(x)!r}")
numbers = {name: len({str(run()) for _ in range(12)}) for name, run in sums.items()}
for name, number in numbers.items():
    print(f"{name}: {number} in 12 runs")
if any(numbers[name] == 1 for name in ["DuckDB sum", "ClickHouse sum", "ClickHouse sumKahan", "Polars by group, in memory"]):
    sys.exit("changed: these had several")
if numbers["DataFusion"] != 1:
    sys.exit("changed: DataFusion had one")
PY
