"""Visits for each user with DuckDB: `duckdb_count.py INPUT OUTPUT`."""

import sys

import duckdb

VISITS = "read_csv('{source}/*.csv', header = true, columns = {{'user_id': 'VARCHAR', 'access_time': 'BIGINT'}})"


def main(source: str, target: str) -> None:
    connection = duckdb.connect()
    connection.execute("SET threads = 2")
    connection.execute("SET preserve_insertion_order = false")
    query = f"SELECT user_id, count(*) AS count FROM {VISITS.format(source=source)} GROUP BY user_id"
    connection.execute(f"COPY ({query}) TO '{target}' (HEADER, FORCE_QUOTE (user_id))")


if __name__ == "__main__":
    main(*sys.argv[1:])
