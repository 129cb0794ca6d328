"""The service that the soak watches: `service.py FOLDER`. Its tables stay small, however long it runs."""

import sys

import millpond as pw


class Visit(pw.Schema):
    user_id: str
    access_time: int
    ms: int


def main(folder: str) -> None:
    visits = pw.io.csv.read(
        f"{folder}/logs/", schema=Visit, mode="streaming", append_only=True, autocommit_duration_ms=250, name="logs"
    )
    users = visits.groupby(visits.user_id).reduce(
        visits.user_id,
        visits=pw.reducers.count(),
        ms=pw.reducers.sum(visits.ms),
        last=pw.reducers.max(visits.access_time),
    )
    hours = visits.windowby(
        visits.access_time, window=pw.temporal.tumbling(duration=3600), instance=visits.user_id
    ).reduce(visits.user_id, start=pw.this._pw_window_start, visits=pw.reducers.count())
    sessions = visits.windowby(
        visits.access_time, window=pw.temporal.session(max_gap=60), instance=visits.user_id
    ).reduce(
        visits.user_id,
        start=pw.this._pw_window_start,
        end=pw.this._pw_window_end,
        visits=pw.reducers.count(),
    )
    pw.io.csv.write(users, f"{folder}/users.csv", mode="append")
    pw.io.jsonlines.write(hours, f"{folder}/hours.jsonl", mode="append")
    pw.io.csv.write(sessions, f"{folder}/sessions.csv", mode="snapshot")

    present: dict[str, int] = {}  # the number of visits of each user, as a program keeps it that answers questions

    def on_change(key: int, row: dict[str, object], time: int, is_addition: bool) -> None:
        user, count = str(row["user_id"]), row["visits"]
        if is_addition:
            assert isinstance(count, int)
            present[user] = count
        elif present.get(user) == count:
            del present[user]

    pw.io.subscribe(users, on_change, name="present")
    backend = pw.persistence.Backend.filesystem(f"{folder}/state")
    try:
        pw.run(
            monitoring_level=pw.MonitoringLevel.NONE,
            persistence_config=pw.persistence.Config(backend, snapshot_interval_ms=1000),
        )
    finally:
        print(sum(present.values()))


if __name__ == "__main__":
    main(sys.argv[1])
