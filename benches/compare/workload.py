"""Workload S: visits of users, as CSV files whose times rise from file to file, and 1,000 new visits.

Needs numpy. The same arguments always give the same bytes.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

MEAN_GAP_S = 240.0
START_S = 1_701_102_730
HEADER = b"user_id,access_time\n"
NEW_ROWS = 1_000
SEED = 20231129

Ints = NDArray[np.int64]


def lines(users: Ints, times: Ints) -> bytes:
    """`user_000123,1701102730` and a newline, row by row."""
    text = np.empty((len(users), 23), dtype=np.uint8)
    text[:, :] = np.frombuffer(b"user_000000,0000000000\n", dtype=np.uint8)
    for column, values in ((10, users), (21, times)):
        rest = values.copy()
        while rest.any():
            rest, digit = np.divmod(rest, 10)
            text[:, column] += digit.astype(np.uint8)
            column -= 1
    return text.tobytes()


def generate(folder: Path, rows: int, users: int, files: int) -> None:
    """Writes `input/visits_*.csv` and `new.csv` into `folder`."""
    random = np.random.default_rng(SEED)
    visits = rows // users
    gaps = random.exponential(MEAN_GAP_S, (users, visits))
    times = START_S + np.cumsum(gaps, axis=1).astype(np.int64)
    last = times[:, -1].copy()
    user = np.repeat(np.arange(users, dtype=np.int64), visits)
    order = np.argsort(times.ravel(), kind="stable")
    user, at = user[order], times.ravel()[order]

    (folder / "input").mkdir(parents=True)
    bounds = [rows * i // files for i in range(files + 1)]
    for i, (start, stop) in enumerate(itertools.pairwise(bounds)):
        with (folder / "input" / f"visits_{i:02}.csv").open("wb") as file:
            file.write(HEADER)
            for piece in range(start, stop, 1 << 20):
                end = min(piece + (1 << 20), stop)
                file.write(lines(user[piece:end], at[piece:end]))

    new_user = random.integers(0, users, NEW_ROWS)
    new_time = last[new_user] + random.exponential(MEAN_GAP_S, NEW_ROWS).astype(np.int64)
    (folder / "new.csv").write_bytes(HEADER + lines(new_user, new_time))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--users", type=int, required=True)
    parser.add_argument("--files", type=int, required=True)
    args = parser.parse_args()
    generate(args.folder, args.rows, args.users, args.files)
