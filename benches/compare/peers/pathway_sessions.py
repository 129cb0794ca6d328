"""Sessions with Pathway: `pathway_sessions.py INPUT OUTPUT`. Its gap comparison is strict, so 300 s is 301 here."""

import sys

import pathway as pw


class Visits(pw.Schema):
    user_id: str
    access_time: int


def main(source: str, target: str) -> None:
    visits = pw.io.csv.read(source, schema=Visits, mode="static")
    sessions = visits.windowby(
        visits.access_time,
        window=pw.temporal.session(max_gap=301),
        instance=visits.user_id,
    ).reduce(
        user_id=pw.this._pw_instance,
        session_length=pw.reducers.max(pw.this.access_time) - pw.reducers.min(pw.this.access_time),
        session_start=pw.reducers.min(pw.this.access_time),
        session_finish=pw.reducers.max(pw.this.access_time),
        count=pw.reducers.count(),
    )
    pw.io.csv.write(sessions, target)
    pw.run(monitoring_level=pw.MonitoringLevel.NONE)


if __name__ == "__main__":
    main(*sys.argv[1:])
