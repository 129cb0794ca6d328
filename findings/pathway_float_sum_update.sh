#!/usr/bin/env bash
# Pathway: a sum of floats does not follow an update.
#
# Versions:  pathway 0.33.0 (PyPI), as a user runs it: a Python source, max for each key, and the sum of these.
# Expected:  each commit that changes a key's maximum changes the total, for floats as for ints.
# Happens:   a commit that takes away as many rows as it adds (every update of a value does) leaves sum and avg of floats as they
#            were: 1 and 2 that become 7.25 and 50 still have the sum 3.0. The difference is never made up for: a new key with 100
#            gives 103.0 instead of 157.25. The sum of the same numbers as ints is right throughout, and so is sorted_tuple.
# Matters:   balances, prices and readings are updated, not only added; the count looks right, so nobody looks twice.
set -euo pipefail
d=$(mktemp -d)
trap 'rm -rf "$d"' EXIT
python3 -m venv "$d/v"
"$d/v/bin/pip" install -q --no-compile --disable-pip-version-check 'pathway==0.33.0'
cat > "$d/total.py" <<'PY'
import sys
import time

import pathway as pw


class Reading(pw.Schema):
    key: int
    value: float


class Readings(pw.io.python.ConnectorSubject):
    def run(self):
        for commit in [[(0, 1.0), (1, 2.0)], [(1, 50.0)], [(0, 7.25)], [(2, 100.0)]]:
            for key, value in commit:
                self.next(key=key, value=value)
            self.commit()
            time.sleep(1.5)


readings = pw.io.python.read(Readings(), schema=Reading)
largest = readings.groupby(readings.key).reduce(readings.key, value=pw.reducers.max(readings.value))
largest = largest.with_columns(quarters=pw.cast(int, pw.this.value * 4))
total = largest.reduce(
    count=pw.reducers.count(),
    floats=pw.reducers.sum(largest.value),
    average=pw.reducers.avg(largest.value),
    ints=pw.reducers.sum(largest.quarters),
    values=pw.reducers.sorted_tuple(largest.value),
)
seen = []
pw.io.subscribe(total, on_change=lambda key, row, time, is_addition: seen.append(row) if is_addition else None)
pw.run(monitoring_level=pw.MonitoringLevel.NONE)
for row in seen:
    print("values {values}: sum of floats {floats}, their average {average}, sum of four times ints {ints}".format(**row))
last = seen[-1]
got = last["values"], last["floats"], last["average"], last["ints"]
sys.exit(0 if got == ((7.25, 50.0, 100.0), 103.0, 103 / 3, 629) else f"changed: {got}")
PY
"$d/v/bin/python" "$d/total.py" 2> "$d/log" || { tail -5 "$d/log"; exit 1; }
