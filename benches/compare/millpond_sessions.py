"""The program of the comparison in Python, with the flags of the Rust one (`examples/bench_sessions.rs`)."""

from __future__ import annotations

import argparse
from pathlib import Path

import millpond as pw


class Visits(pw.Schema):
    user_id: str
    access_time: int


def sessions_of(visits: pw.Table, computed: bool) -> pw.Table:
    outputs = {
        "user_id": pw.this.user_id,
        "session_length": pw.reducers.max(pw.this.access_time) - pw.reducers.min(pw.this.access_time),
        "session_start": pw.reducers.min(pw.this.access_time),
        "session_finish": pw.reducers.max(pw.this.access_time),
        "count": pw.reducers.count(),
    }
    if computed:
        outputs["last_minute"] = pw.reducers.max(pw.this.minute)
    window = pw.temporal.session(max_gap=300)
    return visits.windowby(pw.this.access_time, window=window, instance=pw.this.user_id).reduce(**outputs)


def visits_of(visits: pw.Table) -> pw.Table:
    return visits.groupby(pw.this.user_id).reduce(user_id=pw.this.user_id, count=pw.reducers.count())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--state", type=Path)
    parser.add_argument("--append-only", action="store_true")
    parser.add_argument("--computed", action="store_true", help="a filter and a computed column come first")
    parser.add_argument("--count", action="store_true", help="visits for each user instead of sessions")
    parser.add_argument("--workers", type=int)
    args = parser.parse_args()

    visits = pw.io.csv.read(str(args.input), schema=Visits, mode="static", name="logs", append_only=args.append_only)
    if args.computed:
        visits = visits.filter(pw.this.access_time > 0).with_columns(
            minute=pw.this.access_time // 60, access_time=pw.this.access_time + 0
        )
    results = visits_of(visits) if args.count else sessions_of(visits, args.computed)
    pw.io.csv.write(results, str(args.output))
    config = None
    if args.state is not None:
        config = pw.persistence.Config(pw.persistence.Backend.filesystem(str(args.state)))
    pw.run(monitoring_level=pw.MonitoringLevel.NONE, persistence_config=config, workers=args.workers)


if __name__ == "__main__":
    main()
