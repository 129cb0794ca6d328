"""A program that watches files which nobody writes to: `idle.py FOLDER STATE`."""

import sys

import millpond as pw


class Visit(pw.Schema):
    user_id: str
    access_time: int


visits = pw.io.csv.read(sys.argv[1], schema=Visit, mode="streaming")
counts = visits.groupby(visits.user_id).reduce(visits.user_id, visits=pw.reducers.count())
pw.io.csv.write(counts, f"{sys.argv[2]}/counts.csv", mode="append")
backend = pw.persistence.Backend.filesystem(f"{sys.argv[2]}/state")
pw.run(monitoring_level=pw.MonitoringLevel.NONE, persistence_config=pw.persistence.Config(backend))
