#!/bin/sh
# Installs the engines that Millpond is compared with into a virtual environment of their own.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
venv="${1:-$here/.venv}"
if [ ! -x "$venv/bin/python" ]; then
    "${PYTHON:-python3}" -m venv "$venv"
fi
"$venv/bin/python" -m pip install --quiet --requirement "$here/requirements.txt"
echo "$venv/bin/python"
