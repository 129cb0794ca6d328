#!/usr/bin/env bash
# Pathway: reducers leave error values out in silence, but count() counts their rows.
#
# Versions:  pathway 0.33.0 (PyPI), terminate_on_error=False, errors watched through global_error_log() as its guide says.
# Expected:  a group with a cell that could not be computed has an error for its sum, or the log says that a row was left out; and
#            sum divided by count is the average.
# Happens:   of the quotients 1 // 0, 2 and 3 the sum is 5, the average 2.5, the tuple (2, 3), and the count 3. The log has the
#            division by zero, where it arose, and nothing of the three reducers that went on without it. (A filter, a key and an
#            output that leave out a row are logged, each.) The group is written as if it were whole.
# Matters:   a total of invoices that lacks one of them looks like any other total, and a log that was read once tells nothing of
#            the tables that the error went into.
set -euo pipefail
d=$(mktemp -d)
trap 'rm -rf "$d"' EXIT
python3 -m venv "$d/v"
"$d/v/bin/pip" install -q --no-compile --disable-pip-version-check 'pathway==0.33.0'
cat > "$d/shares.py" <<'PY'
import sys

import pathway as pw

orders = pw.debug.table_from_markdown(
    """
    shop  | amount | people
    north | 1      | 0
    north | 4      | 2
    north | 9      | 3
    """
)
shares = orders.select(orders.shop, share=orders.amount // orders.people)
totals = shares.groupby(shares.shop).reduce(
    shares.shop,
    count=pw.reducers.count(),
    sum=pw.reducers.sum(shares.share),
    average=pw.reducers.avg(shares.share),
    shares=pw.reducers.sorted_tuple(shares.share),
)
rows, log = [], []
pw.io.subscribe(totals, on_change=lambda key, row, time, is_addition: rows.append(row))
pw.io.subscribe(pw.global_error_log(), on_change=lambda key, row, time, is_addition: log.append(row["message"]))
pw.run(terminate_on_error=False, monitoring_level=pw.MonitoringLevel.NONE)
for row in rows:
    print("count {count}, sum {sum}, average {average}, shares {shares}".format(**row))
print("log:", log)
got = [tuple(row[name] for name in ("count", "sum", "average", "shares")) for row in rows], log
sys.exit(0 if got == ([(3, 5, 2.5, (2, 3))], ["division by zero"]) else f"changed: {got}")
PY
"$d/v/bin/python" "$d/shares.py" 2> "$d/log" || { tail -5 "$d/log"; exit 1; }
