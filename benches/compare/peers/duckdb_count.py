"""Visits for each user, or each user and window of 300 s, with DuckDB: `duckdb_count.py INPUT OUTPUT [--windows]`."""

import sys

import duckdb

VISITS = "read_csv('{source}/*.csv', header = true, columns = {{'user_id': 'VARCHAR', 'access_time': 'BIGINT'}})"


def main(source: str, target: str, windows: str = "") -> None:
    connection = duckdb.connect()
    connection.execute("SET threads = 2")
    connection.execute("SET preserve_insertion_order = false")
    start = "access_time // 300 * 300 AS window_start, " if windows else ""
    query = f"SELECT user_id, {start}count(*) AS count FROM {VISITS.format(source=source)} GROUP BY ALL"
    connection.execute(f"COPY ({query}) TO '{target}' (HEADER, FORCE_QUOTE (user_id))")


if __name__ == "__main__":
    main(*sys.argv[1:])
