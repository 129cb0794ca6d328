#!/bin/sh
# Installs the other engines, builds Millpond for speed, compares, and draws the chart. Flags go to compare.py.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
"$here/setup.sh" > /dev/null
(cd "$root" && cargo build --release --locked -p millpond --examples)
python="${PYTHON:-python3}"
"$python" "$here/compare.py" "$@"
if [ "$#" -eq 0 ]; then
    "$python" "$here/plot.py"
fi
