"""From bytes appended to a file to a function called: `latency.py ENGINE FOLDER SECONDS`; ENGINE: millpond, pathway.

Rows hold the time at which they were written. Prints the delay of every change, in ms, one a line.
"""

import importlib
import os
import sys
import threading
import time

engine, folder, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
pw = importlib.import_module(engine)


class Row(pw.Schema):
    user: str
    sent_ns: int


delays: list[float] = []


def on_change(key: object, row: dict[str, int], time: int, is_addition: bool) -> None:
    if is_addition:
        delays.append((now_ns() - row["last_ns"]) / 1e6)


def now_ns() -> int:
    return time.time_ns()


def finish() -> None:
    time.sleep(seconds)
    # The first rows meet an engine that is still starting.
    for delay in delays[len(delays) // 5 :]:
        print(f"{delay:.3f}")
    sys.stdout.flush()
    os._exit(0)


rows = pw.io.csv.read(folder, schema=Row, mode="streaming", autocommit_duration_ms=10)
users = rows.groupby(rows.user).reduce(rows.user, last_ns=pw.reducers.max(rows.sent_ns), visits=pw.reducers.count())
at_once = {"delivery": "at_once"} if engine == "millpond" else {}
pw.io.subscribe(users, on_change, **at_once)
threading.Thread(target=finish, daemon=True).start()
pw.run(monitoring_level=pw.MonitoringLevel.NONE)
