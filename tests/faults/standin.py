"""A small program that keeps the promise, and breaks it in a chosen way, so that the sweep itself is tested.

It takes the flags of the real program. Its state is one JSON manifest: rows read of each file, all rows, the length of
the result file, whether the run finished. One checkpoint for each input file, and one at the end.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from oracle import sessions_of

HEADER = "user_id,session_length,session_start,session_finish,count"


def run(args: argparse.Namespace) -> None:
    args.state.mkdir(exist_ok=True)
    manifest = args.state / "manifest.json"
    state: dict[str, Any] = {"files": {}, "rows": [], "length": 0, "finished": True, "time": 0}
    if manifest.exists():
        state = json.loads(manifest.read_text())
    log = None if args.mode == "snapshot" else open_log(args, state)
    for path in sorted(args.input.iterdir()):
        before = sessions_of(state["rows"])
        lines = path.read_text().splitlines()[1:]
        for line in lines[state["files"].get(path.name, 0) :]:
            user, time = line.split(",")
            state["rows"].append([user, int(time)])
        state["files"][path.name] = len(lines)
        state["time"] += 2
        state["finished"] = False
        if args.broken == "manifest first":
            commit(state, manifest)
        if log is not None:
            changes = sessions_of(state["rows"])
            changes.subtract(before)
            for row, diff in changes.items():
                if diff:
                    os.write(log, line_of(*row, state["time"], diff))
            os.fsync(log)
            state["length"] = os.lseek(log, 0, os.SEEK_CUR)
        if args.broken != "manifest first":
            commit(state, manifest)
    if log is None:
        write_snapshot(args, state)
    state["finished"] = True
    commit(state, manifest)


def open_log(args: argparse.Namespace, state: dict[str, Any]) -> int:
    log = os.open(args.output, os.O_CREAT | os.O_RDWR, 0o644)
    if (args.mode == "changes" and state["finished"]) or args.broken == "new log for a continued run":
        state["length"] = 0
    if args.broken != "sink not cut back":
        os.ftruncate(log, state["length"])
    if os.lseek(log, 0, os.SEEK_END) == 0:
        os.write(log, line_of(HEADER, "time", "diff"))
    return log


def write_snapshot(args: argparse.Namespace, state: dict[str, Any]) -> None:
    staged = args.output if args.broken == "snapshot in place" else args.output.with_suffix(".tmp")
    with staged.open("wb", buffering=0) as file:
        for row in [(HEADER,), *sessions_of(state["rows"])]:
            file.write(line_of(*row))
    staged.rename(args.output)


def commit(state: dict[str, Any], manifest: Path) -> None:
    staged = manifest.with_suffix(".tmp")
    with staged.open("w") as file:
        json.dump(state, file)
        file.flush()
        os.fsync(file.fileno())
    staged.rename(manifest)


def line_of(*values: object) -> bytes:
    return (",".join(map(str, values)) + "\n").encode()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for flag in ("--input", "--output", "--state"):
        parser.add_argument(flag, type=Path)
    parser.add_argument("--mode")
    parser.add_argument("--workers")
    parser.add_argument("--break", dest="broken")
    run(parser.parse_args())
