#!/usr/bin/env bash
# RocksDB: a store that is opened, written and closed again and again keeps a log file of each opening, far beyond its data.
#
# Versions:  rocksdict 0.3.29 (RocksDB), lmdb 3.0.0, duckdb 2.0.1 (PyPI).
# Expected:  a constant number of files: compaction is what an LSM tree is known for.
# Happens:   data stay compact (2 tables), but each opening leaves a LOG.old.<time> of some 30 kB, up to 1,000 of them by default: 300
#            runs of one row make over 300 files. LMDB grows by some pages and stays at 2 files, DuckDB at 1.
# Matters:   jobs that run every few minutes are all openings; keep_log_file_num is the option, and none of the data is in there.
set -euo pipefail
d=$(mktemp -d)
trap 'rm -rf "$d"' EXIT
python3 -m venv "$d/v"
"$d/v/bin/pip" install -q --no-compile --disable-pip-version-check 'rocksdict==0.3.29' 'lmdb==3.0.0' 'duckdb==2.0.1'
cd "$d"
"$d/v/bin/python" - <<'PY'
import os
import sys

import duckdb
import lmdb
from rocksdict import Options, Rdict, WriteBatch

ROWS, RUNS = 200_000, 300


def used(folder):
    files = [os.stat(os.path.join(folder, name)) for name in os.listdir(folder)]
    return sum(file.st_blocks * 512 for file in files), len(files)


def rocks(write):
    store = Rdict("rocksdb", Options(raw_mode=True))
    write(store)
    store.close()


def rocks_fill(store):
    batch = WriteBatch(raw_mode=True)
    for k in range(ROWS):
        batch.put(b"%08d" % k, b"%016d" % k)
    store.write(batch)
    store.flush()


def lmdb_put(rows):
    store = lmdb.open("lmdb", map_size=1 << 30)
    with store.begin(write=True) as transaction:
        for k in rows:
            transaction.put(b"%08d" % k, b"%016d" % k)
    store.close()


def duck(query):
    with duckdb.connect("duckdb/file") as store:
        store.execute(query)


os.mkdir("duckdb")
rocks(rocks_fill)
lmdb_put(range(ROWS))
duck(f"create table t as select range k, range v from range({ROWS})")
fresh = {name: used(name) for name in ["rocksdb", "lmdb", "duckdb"]}
for run in range(RUNS):
    k = run * 7919 % ROWS
    rocks(lambda store: store.put(b"%08d" % k, b"%016d" % run))
    lmdb_put([k])
    duck(f"update t set v = {run} where k = {k}")
for name, (size, files) in fresh.items():
    size_now, files_now = used(name)
    print(f"{name}: {size / 1e6:.1f} MB in {files} files, after {RUNS} runs of one row {size_now / 1e6:.1f} MB in {files_now}")
logs = [name for name in os.listdir("rocksdb") if name.startswith("LOG.old")]
print(f"RocksDB's old logs: {len(logs)}")
if len(logs) < RUNS or used("lmdb")[1] != 2 or used("duckdb")[1] != 1:
    sys.exit("changed: a log for each run, two files, one file")
PY
