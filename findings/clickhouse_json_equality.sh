#!/usr/bin/env bash
# ClickHouse's JSON type: a name with a dot is a nested object, and a null is no member at all.
#
# Versions:  chdb 4.4.0 (ClickHouse 26.9; PyPI); duckdb 2.0.1 beside it.
# Expected:  {"a.b":1} and {"a":{"b":1}} are two values, and so are {"a":1,"b":null} and {"a":1}; each is written as it was read.
# Happens:   they are equal, and the first is written as the second. The number 1.0 stays apart from 1, true from 1.
#            DuckDB compares the text: {"a":1} and {"a": 1}, with a space, are two groups.
# Matters:   equality of JSON is neither that of the text nor that of the value; a GROUP BY on it differs in all three engines.
set -euo pipefail
d=$(mktemp -d)
trap 'rm -rf "$d"' EXIT
python3 -m venv "$d/v"
"$d/v/bin/pip" install -q --no-compile --disable-pip-version-check 'chdb==4.4.0' 'duckdb==2.0.1'
"$d/v/bin/python" - <<'PY'
import json
import sys

import chdb
import duckdb

def seen(what, got, want):
    print(f"{what}: {got}")
    if str(got) != str(want):
        sys.exit(f"changed: it was {want}")


def click(query):
    return json.loads(chdb.query(f"select {query}", "JSONCompactEachRow").data())[0]


def equal(one, two):
    return bool(click(f"'{one}'::JSON = '{two}'::JSON"))


seen('ClickHouse, {"a.b":1} = {"a":{"b":1}}', equal('{"a.b":1}', '{"a":{"b":1}}'), True)
seen("  the first is written as", click("""'{"a.b":1}'::JSON::String"""), '{"a":{"b":1}}')
seen('ClickHouse, {"a":1,"b":null} = {"a":1}', equal('{"a":1,"b":null}', '{"a":1}'), True)
seen("  the first is written as", click("""'{"a":1,"b":null}'::JSON::String"""), '{"a":1}')
seen('ClickHouse, {"a":1} = {"a":1.0}', equal('{"a":1}', '{"a":1.0}'), False)
seen('ClickHouse, {"a":true} = {"a":1}', equal('{"a":true}', '{"a":1}'), False)
duck = duckdb.sql("""select '{"a":1}'::json = '{"a": 1}'::json, '{"a.b":1}'::json = '{"a":{"b":1}}'::json""").fetchall()[0]
seen('DuckDB, {"a":1} = {"a": 1}, {"a.b":1} = {"a":{"b":1}}', duck, (False, False))
PY
