"""A million changes handed to a Python function: `million.py FILE`."""

import sys
from typing import Any

import millpond as pw


class Visit(pw.Schema):
    user_id: str
    access_time: int


calls = 0


def on_change(key: int, row: dict[str, Any], time: int, is_addition: bool) -> None:
    global calls
    calls += 1


pw.io.subscribe(pw.io.csv.read(sys.argv[1], schema=Visit, mode="static", append_only=True), on_change)
pw.run(monitoring_level=pw.MonitoringLevel.NONE)
assert calls == 1_000_000, calls
