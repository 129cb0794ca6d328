"""Visits for each user, or each user and window of 300 s, with Polars: `polars_count.py INPUT OUTPUT [--windows]`."""

import os
import sys

os.environ.setdefault("POLARS_MAX_THREADS", "2")

import polars as pl


def main(source: str, target: str, windows: str = "") -> None:
    visits = pl.scan_csv(f"{source}/*.csv", schema={"user_id": pl.String, "access_time": pl.Int64})
    start = [(pl.col("access_time") // 300 * 300).alias("window_start")] if windows else []
    counts = visits.group_by("user_id", *start).agg(count=pl.len()).collect()
    counts.write_csv(target, quote_style="non_numeric")


if __name__ == "__main__":
    main(*sys.argv[1:])
