"""Visits joined with users and counted per country, with Polars: `polars_join.py VISITS USERS OUTPUT`."""

import os
import sys

os.environ.setdefault("POLARS_MAX_THREADS", "2")

import polars as pl


def main(visits: str, users: str, target: str) -> None:
    left = pl.scan_csv(f"{visits}/*.csv", schema={"user_id": pl.String, "access_time": pl.Int64})
    right = pl.scan_csv(f"{users}/*.csv", schema={"user_id": pl.String, "country": pl.String})
    counts = left.join(right, on="user_id").group_by("country").agg(visits=pl.len())
    counts.collect(engine="streaming").write_csv(target, quote_style="non_numeric")


if __name__ == "__main__":
    main(*sys.argv[1:])
