"""Visits for each user with Polars: `polars_count.py INPUT OUTPUT`."""

import os
import sys

os.environ.setdefault("POLARS_MAX_THREADS", "2")

import polars as pl


def main(source: str, target: str) -> None:
    visits = pl.scan_csv(f"{source}/*.csv", schema={"user_id": pl.String, "access_time": pl.Int64})
    counts = visits.group_by("user_id").agg(count=pl.len()).collect()
    counts.write_csv(target, quote_style="non_numeric")


if __name__ == "__main__":
    main(*sys.argv[1:])
