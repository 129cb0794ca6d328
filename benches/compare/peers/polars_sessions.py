"""Sessions with Polars: `polars_sessions.py INPUT OUTPUT`.

Of the formulations that were tried (sort and a running session number, sort and the edges of sessions, categorical
users, expressions inside the groups, each eager and streaming), sorting inside the groups and then taking the edges of
sessions takes the least time.
"""

import os
import sys

os.environ.setdefault("POLARS_MAX_THREADS", "2")

import polars as pl


def main(source: str, target: str) -> None:
    user, time = pl.col("user_id"), pl.col("access_time")
    visits = (
        pl.scan_csv(f"{source}/*.csv", schema={"user_id": pl.String, "access_time": pl.Int64})
        .group_by("user_id")
        .agg(time.sort())
        .explode("access_time")
        .with_columns(starts=((user != user.shift(1)) | (time - time.shift(1) > 300)).fill_null(True))
        .collect()
    )
    starts = visits["starts"].arg_true()
    ends = pl.concat([starts[1:], pl.Series([visits.height], dtype=starts.dtype)])
    start, finish = visits["access_time"].gather(starts), visits["access_time"].gather(ends - 1)
    pl.DataFrame(
        {
            "user_id": visits["user_id"].gather(starts),
            "session_length": finish - start,
            "session_start": start,
            "session_finish": finish,
            "count": ends - starts,
        }
    ).write_csv(target, quote_style="non_numeric")


if __name__ == "__main__":
    main(*sys.argv[1:])
