"""Passes on what `make test` prints, and says at the end how long each suite took: it begins with a line in bold."""

import sys
import time

sys.stdin.reconfigure(errors="replace")  # type: ignore[union-attr]
suites: list[tuple[str, float]] = []
for line in sys.stdin:
    print(line, end="", flush=True)
    if line.startswith("\x1b[1m"):
        suites.append((line.removeprefix("\x1b[1m").split("\x1b")[0].strip(), time.monotonic()))
ends = [begun for _, begun in suites[1:]] + [time.monotonic()]
for (name, begun), end in zip(suites, ends, strict=True):
    print(f"{end - begun:6.0f} s  {name}")
