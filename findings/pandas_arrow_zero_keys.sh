#!/usr/bin/env bash
# pandas with Arrow types: 0.0 == -0.0, and yet they are two groups, two join keys and two distinct values.
#
# Versions:  pandas 3.1.1, pyarrow 26.0.1 (PyPI).
# Expected:  a type changes how values are stored, not which of them are equal; Arrow itself says that 0.0 equals -0.0.
# Happens:   with float64 and Float64 there is one group; with float64[pyarrow] there are two, since pyarrow groups, joins, encodes
#            and looks up floats by their bits, while its comparison, equals and rank take both zeros as one. NaN splits in
#            the same way: the NaN of float("nan") and that of 0.0 / 0.0 have other signs on x86.
# Matters:   -0.0 comes of rounding or of multiplying by -1; totals by group are then short, and to_dict() keeps only one of the two.
set -euo pipefail
d=$(mktemp -d)
trap 'rm -rf "$d"' EXIT
python3 -m venv "$d/v"
"$d/v/bin/pip" install -q --no-compile --disable-pip-version-check 'pandas==3.1.1' 'pyarrow==26.0.1'
"$d/v/bin/python" - <<'PY'
import sys

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc


def seen(what, got, want):
    print(f"{what}: {got}")
    if str(got) != str(want):
        sys.exit(f"changed: it was {want}")


for dtype, totals, pairs, distinct in [
    ("float64", [7, 8], 10, 2),
    ("Float64", [7, 8], 10, 2),
    ("float64[pyarrow]", [5, 2, 8], 6, 3),
]:
    frame = pd.DataFrame({"x": pd.Series([0.0, -0.0, 0.0, 1.0], dtype=dtype), "v": [1, 2, 4, 8]})
    seen(f"{dtype}: x == 0", (frame.x == 0).tolist(), [True, True, True, False])
    seen(f"{dtype}: sum of v by x", frame.groupby("x", sort=False).v.sum().tolist(), totals)
    seen(f"{dtype}: rows of a join with itself", len(frame.merge(frame, on="x")), pairs)
    seen(f"{dtype}: distinct values", frame.x.nunique(), distinct)

zeros = pa.array([0.0, -0.0])
seen("pyarrow: equals", pa.array([0.0]).equals(pa.array([-0.0])), True)
seen("pyarrow: dense rank", pc.rank(zeros, tiebreaker="dense").to_pylist(), [1, 1])
seen("pyarrow: unique", pc.unique(zeros).to_pylist(), [0.0, -0.0])
seen("pyarrow: -0.0 is in (0.0)", pc.is_in(zeros, value_set=pa.array([0.0])).to_pylist(), [True, False])
nans = pa.array([float("nan"), -float("nan")])
seen("pyarrow: groups of NaN and -NaN", pa.table({"x": nans}).group_by("x").aggregate([([], "count_all")]).num_rows, 2)
PY
