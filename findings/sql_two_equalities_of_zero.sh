#!/usr/bin/env bash
# ClickHouse and DataFusion: whether 0.0 and -0.0 are equal depends on the clause, in ClickHouse also on the join's algorithm.
#
# Versions:  chdb 4.4.0 (ClickHouse 26.9), datafusion 55.0.0, pyarrow 26.0.1, duckdb 2.0.1 (PyPI).
# Expected:  ClickHouse hashes bits, so two groups; DataFusion, too; but each by one rule throughout.
# Happens:   ClickHouse: `= 0.0` finds both, `IN (0.0)` one, GROUP BY makes two groups, a hash join keeps them apart and a sorting merge
#            join brings them together: 5 rows or 9 from one query. DataFusion: GROUP BY, DISTINCT and joins take them as one,
#            PARTITION BY as two. DuckDB takes them as one in every clause.
# Matters:   the planner may choose the algorithm by size, so a join that gave one result yesterday gives another one today.
set -euo pipefail
d=$(mktemp -d)
trap 'rm -rf "$d"' EXIT
python3 -m venv "$d/v"
"$d/v/bin/pip" install -q --no-compile --disable-pip-version-check 'chdb==4.4.0' 'datafusion==55.0.0' 'pyarrow==26.0.1' 'duckdb==2.0.1'
"$d/v/bin/python" - <<'PY'
import sys

import chdb
import datafusion
import duckdb
import pyarrow as pa

zeros = pa.table({"x": [0.0, -0.0, 0.0]})
context = datafusion.SessionContext()
context.from_arrow(zeros, name="t")


def seen(what, got, want):
    print(f"{what}: {got}")
    if str(got) != str(want):
        sys.exit(f"changed: it was {want}")


def click(query, settings=""):
    table = "(select arrayJoin([0.0, -0.0, 0.0]) x)"
    return chdb.query(f"select count() from ({query.format(t=table)}) {settings}", "TSV").data().strip()


def fusion(query):
    return len(context.sql(query).to_pylist())


def duck(query):
    return len(duckdb.sql(query.replace(" t", " zeros")).fetchall())


seen("ClickHouse, rows where x = 0.0", click("select x from {t} where x = 0.0"), 3)
seen("ClickHouse, rows where x in (0.0)", click("select x from {t} where x in (0.0)"), 2)
seen("ClickHouse, groups", click("select x from {t} group by x"), 2)
join = "select a.x from {t} a join {t} b on a.x = b.x"
seen("ClickHouse, hash join", click(join, "settings join_algorithm = 'hash'"), 5)
seen("ClickHouse, sorting merge join", click(join, "settings join_algorithm = 'full_sorting_merge'"), 9)

groups, parts = "select x from t group by x", "select x from t qualify row_number() over (partition by x) = 1"
seen("DataFusion, groups", fusion(groups), 1)
seen("DataFusion, partitions", fusion(parts), 2)
seen("DataFusion, rows where x in (0.0)", fusion("select x from t where x in (0.0)"), 3)
seen("DuckDB, groups and partitions", (duck(groups), duck(parts)), (1, 1))
PY
