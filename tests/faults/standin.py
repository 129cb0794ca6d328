"""A small program that keeps the promise, and breaks it in a chosen way, so that the sweep itself is tested.

It takes the flags of the real program. Its state is one JSON manifest: rows read of each file, all rows, the length of
the result file, whether the run finished. One checkpoint for each input file, and one at the end.
"""

import argparse
import json
import os
from pathlib import Path

from sweep import sessions_of

parser = argparse.ArgumentParser()
parser.add_argument("--input", type=Path)
parser.add_argument("--output", type=Path)
parser.add_argument("--state", type=Path)
parser.add_argument("--mode")
parser.add_argument("--workers")
parser.add_argument("--break", dest="broken", default="nothing")
args = parser.parse_args()

args.state.mkdir(exist_ok=True)
manifest = args.state / "manifest.json"
state = {"files": {}, "rows": [], "length": 0, "finished": True, "time": 0}
if manifest.exists():
    state = json.loads(manifest.read_text())


def commit() -> None:
    staged = args.state / "manifest.tmp"
    with staged.open("w") as file:
        json.dump(state, file)
        file.flush()
        os.fsync(file.fileno())
    staged.rename(manifest)


HEADER = "user_id,session_length,session_start,session_finish,count"
if args.mode == "snapshot":
    output = None
else:
    HEADER += ",time,diff"
    output = os.open(args.output, os.O_CREAT | os.O_RDWR, 0o644)
    if args.mode == "changes" and state["finished"] or args.broken == "new log for a continued run":
        state["length"] = 0
    if args.broken != "sink not cut back":
        os.ftruncate(output, state["length"])
    os.lseek(output, 0, os.SEEK_END)
    if os.fstat(output).st_size == 0:
        os.write(output, f"{HEADER}\n".encode())

for path in sorted(args.input.iterdir()):
    lines = path.read_text().splitlines()[1:]
    new = [line.split(",") for line in lines[state["files"].get(path.name, 0) :]]
    before = sessions_of([(user, time) for user, time in state["rows"]])
    state["rows"] += [(user, int(time)) for user, time in new]
    state["files"][path.name] = len(lines)
    after = sessions_of([(user, time) for user, time in state["rows"]])
    state["time"] += 2
    state["finished"] = False
    if args.broken == "manifest first":
        commit()
    if output is not None:
        after.subtract(before)
        for row, diff in after.items():
            if diff:
                os.write(output, (",".join(map(str, (*row, state["time"], diff))) + "\n").encode())
        os.fsync(output)
        state["length"] = os.lseek(output, 0, os.SEEK_CUR)
    if args.broken != "manifest first":
        commit()

if output is None:
    staged = args.output if args.broken == "snapshot in place" else args.output.with_suffix(".tmp")
    with staged.open("w") as file:
        file.write(HEADER + "\n")
        for row in sessions_of([(user, time) for user, time in state["rows"]]):
            file.write(",".join(map(str, row)) + "\n")
            file.flush()
    staged.rename(args.output)
state["finished"] = True
commit()
