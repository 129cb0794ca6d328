#!/usr/bin/env bash
# pandas: a running sum by group turns inf + 1 into NaN, and four ways to add one column give four answers.
#
# Versions:  pandas 3.1.1 with numpy 2.4.6 (PyPI).
# Expected:  cumsum by group, of one group, is cumsum; the last row of either is the sum.
# Happens:   groupby.cumsum keeps a compensation that becomes inf - inf, so all after an infinity is NaN; Series.cumsum is right.
#            The sum by group of 1e308, 1e308, -1e308 is 1e308 (as exact arithmetic has it), of the column it is inf, and with
#            three of each it is inf by group as well. The sum of -0.0 is -0.0 by group, and 0.0 of the column.
# Matters:   pandas by group is what people compare an incremental result with; they differ, and both have a reason.
set -euo pipefail
d=$(mktemp -d)
trap 'rm -rf "$d"' EXIT
python3 -m venv "$d/v"
"$d/v/bin/pip" install -q --no-compile --disable-pip-version-check 'pandas==3.1.1' 'numpy==2.4.6'
"$d/v/bin/python" - <<'PY'
import sys

import pandas as pd

inf, nan = float("inf"), float("nan")


def seen(what, got, want):
    print(f"{what}: {got}")
    if str(got) != str(want):
        sys.exit(f"changed: it was {want}")


def of(values):
    frame = pd.DataFrame({"g": 1, "x": values})
    return frame.x, frame.groupby("g").x


column, grouped = of([inf, 1.0, -1.0])
seen("inf, 1, -1: cumsum", column.cumsum().tolist(), [inf, inf, inf])
seen("inf, 1, -1: cumsum by group", grouped.cumsum().tolist(), [inf, nan, nan])
seen("inf, 1, -1: sum by group", grouped.sum().tolist(), [inf])

column, grouped = of([1e308, 1e308, -1e308])
seen("1e308, 1e308, -1e308: sum", float(column.sum()), inf)
seen("1e308, 1e308, -1e308: sum by group", grouped.sum().tolist(), [1e308])
seen("1e308, 1e308, -1e308: cumsum by group", grouped.cumsum().tolist(), [1e308, inf, nan])
seen("1e308, 1e308, -1e308: sum of rolling(3)", column.rolling(3).sum().tolist()[-1], nan)
seen("three of 1e308, three of -1e308: sum by group", of([1e308] * 3 + [-1e308] * 3)[1].sum().tolist(), [inf])

column, grouped = of([-0.0])
seen("-0.0: sum", float(column.sum()), 0.0)
seen("-0.0: sum by group", grouped.sum().tolist(), [-0.0])
seen("-0.0: cumsum, and by group", (column.cumsum().tolist(), grouped.cumsum().tolist()), ([-0.0], [0.0]))
PY
