#!/usr/bin/env bash
# Polars: max leaves NaN out, rolling_max spreads it, cum_max does either by position, and the median counts it as the largest.
#
# Versions:  polars 2.1.0 (PyPI).
# Expected:  one rule; max and min document that they leave NaN out (nan_max is there for the other rule).
# Happens:   of 2, NaN the max is 2, the rolling max of both NaN, and the cumulative max 2; of NaN, 2 the last is 2 as well, but NaN
#            stands in the first row. The median of 1, 2, NaN is 2, equal to the max that left NaN out; top_k(1) is NaN.
# Matters:   a window of the whole column is not the column's own result, so a moving maximum cannot be checked against max.
set -euo pipefail
d=$(mktemp -d)
trap 'rm -rf "$d"' EXIT
python3 -m venv "$d/v"
"$d/v/bin/pip" install -q --no-compile --disable-pip-version-check 'polars==2.1.0'
"$d/v/bin/python" - <<'PY'
import sys

import polars as pl

nan = float("nan")


def seen(what, got, want):
    print(f"{what}: {got}")
    if str(got) != str(want):
        sys.exit(f"changed: it was {want}")


for values, rolling, running in [([2.0, nan], nan, [2.0, 2.0]), ([nan, 2.0], nan, [nan, 2.0])]:
    x = pl.Series(values)
    seen(f"{values}: max, min", (x.max(), x.min()), (2.0, 2.0))
    seen(f"{values}: rolling_max(2), last row", x.rolling_max(2).to_list()[-1], rolling)
    seen(f"{values}: cum_max", x.cum_max().to_list(), running)
    seen(f"{values}: top_k(1)", x.top_k(1).to_list(), [nan])
x = pl.Series([1.0, 2.0, nan])
seen("1, 2, NaN: median, max", (x.median(), x.max()), (2.0, 2.0))
PY
