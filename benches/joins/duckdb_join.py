"""Visits joined with users and counted per country, with DuckDB: `duckdb_join.py VISITS USERS OUTPUT`."""

import sys

import duckdb

FILES = "read_csv('{source}/*.csv', header = true, columns = {{'user_id': 'VARCHAR', '{other}': '{type}'}})"


def main(visits: str, users: str, target: str) -> None:
    connection = duckdb.connect()
    connection.execute("SET threads = 2")
    connection.execute("SET preserve_insertion_order = false")
    left = FILES.format(source=visits, other="access_time", type="BIGINT")
    right = FILES.format(source=users, other="country", type="VARCHAR")
    query = f"SELECT country, count(*) AS visits FROM {left} JOIN {right} USING (user_id) GROUP BY country"
    connection.execute(f"COPY ({query}) TO '{target}' (HEADER, FORCE_QUOTE (country))")


if __name__ == "__main__":
    main(*sys.argv[1:])
