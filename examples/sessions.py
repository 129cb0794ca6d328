"""Sessions of visits to a website: the result after each run holds just the sessions that changed.

Usage: python examples/sessions.py LOGS RESULT [STATE]

LOGS is a directory of CSV files with the columns user_id and access_time (in seconds), RESULT the CSV file to write,
STATE a directory for what is kept between runs; without it every run starts from nothing.
"""

import sys

import millpond as pw


class Visit(pw.Schema):
    """A line of the logs."""

    user_id: str
    access_time: int


def main(logs: str, result: str, state: str | None = None) -> None:
    """Reads the logs, writes the sessions."""
    visits = pw.io.csv.read(logs, schema=Visit, mode="static", name="logs")
    time = visits.access_time
    sessions = visits.windowby(
        time,
        window=pw.temporal.session(max_gap=300),  # visits up to five minutes apart are one session
        instance=visits.user_id,
    ).reduce(
        visits.user_id,
        start=pw.reducers.min(time),
        end=pw.reducers.max(time),
        seconds=pw.reducers.max(time) - pw.reducers.min(time),
        visits=pw.reducers.count(),
    )
    pw.io.csv.write(sessions, result)

    pw.run(state=state)


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    main(*sys.argv[1:])
