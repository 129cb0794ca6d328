"""Sessions with DuckDB: `duckdb_sessions.py INPUT OUTPUT [--by-window]`.

Of the formulations that were tried (window functions and `GROUP BY`, window functions alone, lists for each user with
and without window functions), lists for each user take the least time and memory. `--by-window` runs the textbook
formulation, as the reference for results: sessions are numbered over a RANGE frame, since with ROWS two visits in the
same second could fall into two sessions.
"""

import sys

import duckdb

VISITS = "read_csv('{source}/*.csv', header = true, columns = {{'user_id': 'VARCHAR', 'access_time': 'BIGINT'}})"

BY_LIST = """
WITH users AS (
    SELECT user_id, list_sort(list(access_time)) AS t FROM {visits} GROUP BY user_id
), breaks AS (
    SELECT user_id, t, list_filter(range(1, len(t) + 1), lambda i: i = 1 OR t[i] - t[i - 1] > 300) AS s FROM users
), ends AS (
    SELECT user_id, t, unnest(s) AS f, unnest(list_append(list_transform(s[2:], lambda i: i - 1), len(t))) AS l
    FROM breaks
)
SELECT user_id, t[l] - t[f] AS session_length, t[f] AS session_start, t[l] AS session_finish, l - f + 1 AS count
FROM ends
"""

BY_WINDOW = """
WITH gaps AS (
    SELECT user_id, access_time,
        CASE WHEN access_time - lag(access_time) OVER visits > 300 THEN 1 ELSE 0 END AS starts
    FROM {visits} WINDOW visits AS (PARTITION BY user_id ORDER BY access_time)
), numbered AS (
    SELECT user_id, access_time,
        sum(starts) OVER (PARTITION BY user_id ORDER BY access_time RANGE UNBOUNDED PRECEDING) AS session
    FROM gaps
)
SELECT user_id, max(access_time) - min(access_time) AS session_length, min(access_time) AS session_start,
    max(access_time) AS session_finish, count(*) AS count
FROM numbered GROUP BY user_id, session
"""


def main(source: str, target: str, *flags: str) -> None:
    connection = duckdb.connect()
    connection.execute("SET threads = 2")
    connection.execute("SET preserve_insertion_order = false")
    query = BY_WINDOW if "--by-window" in flags else BY_LIST
    query = query.format(visits=VISITS.format(source=source))
    connection.execute(f"COPY ({query}) TO '{target}' (HEADER, FORCE_QUOTE (user_id))")


if __name__ == "__main__":
    main(*sys.argv[1:])
