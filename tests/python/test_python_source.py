"""Rows that the program itself hands over: they count once, through restarts, kills and stops."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import pytest
from conftest import Script
from hypothesis import given, settings
from hypothesis import strategies as st
from results import sum_up

import millpond as pw

QUIET = pw.MonitoringLevel.NONE
PATIENCE_S = 60

Row: TypeAlias = tuple[str, int | None, bool]


class Plain(pw.Schema):
    user: str
    size: int | None
    new: bool


class Keyed(pw.Schema):
    user: str = pw.column_definition(primary_key=True)
    size: int | None
    new: bool = pw.column_definition(primary_key=True)


class Subject(pw.io.python.ConnectorSubject):
    """Calls a function."""

    deletions_enabled = True

    def __init__(self, work: Callable[[Subject], object]) -> None:
        self.work = work
        self.stops = 0

    def run(self) -> None:
        self.work(self)

    def on_stop(self) -> None:
        self.stops += 1


class Crash(Exception):
    pass


class Steps(pw.io.python.ConnectorSubject):
    """Plays steps up to some one, and ends there well or with a crash; its position is the number of those done."""

    deletions_enabled = True

    def __init__(self, steps: list[tuple[str, Row]], end: int, crashes: bool) -> None:
        self.steps, self.end, self.crashes, self.done = steps, end, crashes, 0

    def seek(self, position: Any) -> None:
        self.done = position["done"]

    def run(self) -> None:
        for step, (user, size, new) in self.steps[self.done : self.end]:
            self.done += 1
            if step == "commit":
                self.commit({"done": self.done})
            elif step == "remove":
                self._remove(user=user, size=size, new=new)
            else:
                self.next(user=user, size=size, new=new)
        if self.crashes:
            raise Crash
        self.commit({"done": self.done})


def table_of(rows: Counter[Row]) -> Counter[Row]:
    return Counter({row: count for row, count in rows.items() if count})


def expected(steps: list[tuple[str, Row]], keyed: bool) -> Counter[Row]:
    added: Counter[Row] = Counter()
    by_key: dict[tuple[str, bool], Row] = {}
    for step, row in steps:
        if step == "next":
            added[row] += 1
            by_key[row[0], row[2]] = row
        elif step == "remove":
            added[row] -= 1
            by_key.pop((row[0], row[2]), None)
    return Counter(by_key.values()) if keyed else table_of(added)


rows = st.tuples(st.sampled_from("abc"), st.none() | st.integers(0, 2), st.booleans())
steps_of_a_subject = st.lists(st.tuples(st.sampled_from(["next", "next", "next", "remove", "commit"]), rows))


def observe(table: pw.Table, seen: Counter[Row]) -> None:
    def on_change(key: int, row: dict[str, Any], time: int, is_addition: bool) -> None:
        seen[row["user"], row["size"], row["new"]] += 1 if is_addition else -1

    pw.io.subscribe(table, on_change, name="seen")


@settings(max_examples=100, deadline=None)
@given(steps_of_a_subject, st.booleans(), st.sampled_from([None, 0, 1500]))
def test_what_is_handed_over_is_what_is_there(
    steps: list[tuple[str, Row]], keyed: bool, autocommit: int | None
) -> None:
    def work(subject: Subject) -> None:
        for step, (user, size, new) in steps:
            if step == "commit":
                subject.commit()
            elif step == "remove":
                subject._remove(user=user, size=size, new=new)
            else:
                subject.next_json({"user": user, "size": size, "new": new, "unknown": 1})

    pw.clear()
    seen: Counter[Row] = Counter()
    schema = Keyed if keyed else Plain
    observe(pw.io.python.read(Subject(work), schema=schema, autocommit_duration_ms=autocommit), seen)
    pw.run(monitoring_level=QUIET)
    assert table_of(seen) == expected(steps, keyed)


@settings(max_examples=60, deadline=None)
@given(steps_of_a_subject, st.lists(st.tuples(st.integers(0, 30), st.booleans()), max_size=4), st.booleans())
def test_restarts_go_on_from_the_saved_position(
    steps: list[tuple[str, Row]], restarts: list[tuple[int, bool]], keyed: bool
) -> None:
    with TemporaryDirectory() as folder:
        result = Path(folder) / "result.csv"
        config = pw.persistence.Config(pw.persistence.Backend.filesystem(f"{folder}/state"), snapshot_interval_ms=0)
        for end, crashes in [*restarts, (len(steps), False)]:
            pw.clear()
            subject = Steps(steps, end, crashes)
            table = pw.io.python.read(subject, schema=Keyed if keyed else Plain, name="rows")
            pw.io.csv.write(table, result, mode="append")
            try:
                pw.run(monitoring_level=QUIET, persistence_config=config)
                assert not crashes
            except Crash:
                assert crashes
        summed: Counter[tuple[str, ...]] = Counter()
        sum_up(summed, result)
        rows = expected(steps, keyed).items()
        texts = {(user, "" if size is None else str(size), str(new)): n for (user, size, new), n in rows}
        assert summed == texts


PROGRAM = """\
import sys, time
import millpond as pw

keyed = "keyed" in sys.argv

class Visit(pw.Schema):
    user: str = pw.column_definition(primary_key=keyed)
    n: int

class Lines(pw.io.python.ConnectorSubject):
    at = 0

    def seek(self, position):
        self.at = position

    def run(self):
        with open("visits.txt") as lines:
            lines.seek(self.at)
            while line := lines.readline():
                self.next_json(line)
                if line.endswith("1}\\n"):
                    self.commit(lines.tell())
                    time.sleep(0.001)
            self.commit(lines.tell())
        print("read to", lines.name)

visits = pw.io.python.read(Lines(), schema=Visit, name="visits")
counts = visits.groupby(visits.user).reduce(visits.user, n=pw.reducers.count())
pw.io.csv.write(visits if keyed else counts, "result.csv", mode="append")
backend = pw.persistence.Backend.filesystem("state")
pw.run(persistence_config=pw.persistence.Config(backend, snapshot_interval_ms=20))
"""


@pytest.mark.parametrize("kind", ["keyed", "plain"])
def test_kills_lose_nothing_and_repeat_nothing(kind: str, tmp_path: Path) -> None:
    seed = int(os.environ.get("SEED", random.randrange(1 << 30)))
    print(f"SEED={seed}")
    draw = random.Random(seed)
    users = draw.choices("abcdefg", k=6000)
    lines = [f'{{"user": "{user}", "n": {n}, "ends": {draw.choice([0, 0, 1])}}}\n' for n, user in enumerate(users)]
    (tmp_path / "visits.txt").write_text("".join(lines), encoding="utf-8")
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    kills = 0
    while True:
        process = subprocess.Popen(
            [sys.executable, "program.py", kind],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            _, errors = process.communicate(timeout=0.15 + draw.random() * 0.6 if kills < 8 else PATIENCE_S)
            assert process.returncode == 0, errors
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
    assert kills > 0
    summed: Counter[tuple[str, ...]] = Counter()
    sum_up(summed, tmp_path / "result.csv")
    last = {user: n for n, user in enumerate(users)}
    assert summed == {(user, str(n)): 1 for user, n in (last if kind == "keyed" else Counter(users)).items()}


STOPPED = """\
import sys, threading, time
import millpond as pw

class Visit(pw.Schema):
    user: str

class Waits(pw.io.python.ConnectorSubject):
    stopped = threading.Event()

    def run(self):
        self.next(user="ann")
        self.commit()
        {wait}

    def on_stop(self):
        print("on_stop", flush=True)
        self.stopped.set()

visits = pw.io.python.read(Waits(), schema=Visit)
if "--print" in sys.argv:
    pw.debug.compute_and_print(visits)
pw.io.subscribe(visits, lambda key, row, time, is_addition: print(row["user"], flush=True))
pw.run(monitoring_level=pw.MonitoringLevel.NONE)
"""


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize(
    ("wait", "most_s"),
    [
        ("self.stopped.wait()", 2.5),
        ("while True: self.next(user='bob'); time.sleep(0.001)", 2.5),
        ("time.sleep(1000)", 8),
    ],
)
def test_a_signal_ends_the_program(wait: str, most_s: float, signum: int, code: int, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(STOPPED.replace("{wait}", wait), encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "program.py"],
        cwd=tmp_path,
        env={**os.environ, "MILLPOND_GRACE_S": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ann\n"
        process.send_signal(signum)
        began = time.monotonic()
        output, errors = process.communicate(timeout=PATIENCE_S)
        assert time.monotonic() - began < most_s
        left = "Waits.run (program.py:10) did not return in time after the end of the run; its thread is left behind"
        assert (process.returncode, errors) == (code, f"millpond: {left}\n" if "1000" in wait else "")
        assert output.replace("bob\n", "") == "on_stop\n"
    finally:
        process.kill()
        process.communicate()


def test_printing_an_endless_table_can_be_stopped(tmp_path: Path) -> None:
    code = STOPPED.replace("{wait}", "print('ann', flush=True)\n        while True: self.next(user='bob')")
    (tmp_path / "program.py").write_text(code, encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "program.py", "--print"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ann\n"
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=PATIENCE_S)
        assert (process.returncode, output, errors) == (130, "on_stop\n", "")
    finally:
        process.kill()
        process.communicate()


def run_alone(work: Callable[[Subject], object], schema: type[pw.Schema] = Plain) -> tuple[Subject, Counter[Row]]:
    seen: Counter[Row] = Counter()
    subject = Subject(work)
    pw.clear()
    observe(pw.io.python.read(subject, schema=schema), seen)
    pw.run(monitoring_level=QUIET)
    return subject, seen


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"user": "ann", "new": 1}, "new: 1 (int) is not a bool"),
        ({"user": 7, "new": True}, "user: 7 (int) is not a str"),
        ({"user": "ann", "size": True, "new": True}, "size: True (bool) is not an int"),
        ({"user": "ann", "size": 1.0, "new": True}, "size: 1.0 (float) is not an int"),
        ({"user": "ann", "size": 2**63, "new": True}, "size: 9223372036854775808 does not fit into an int of 64 bits"),
        ({"user": "\ud800", "new": True}, r"user: '\ud800' is not valid text"),
        ({"user": "ann"}, "new: a value is missing, of type bool"),
        ({"user": None, "new": True}, "user: a value is missing, of type str"),
        ({"user": "ann", "new": True, "nwe": 1}, 'the schema has no column "nwe"'),
    ],
)
def test_a_wrong_row_is_refused_where_it_is_handed_over(row: dict[str, Any], message: str) -> None:
    def work(subject: Subject) -> None:
        with pytest.raises(pw.InputError, match=rf"test_python_source.py:\d+: {re.escape(message)}"):
            subject.next(**row)
        subject.next(user="bob", new=False)  # nothing of the other is left

    _, seen = run_alone(work)
    assert seen == {("bob", None, False): 1}

    def fails(subject: Subject) -> None:
        subject.next(**row)

    with pytest.raises(pw.InputError, match=re.escape(message)):
        run_alone(fails)


def test_an_exception_ends_the_run_and_is_raised() -> None:
    def work(subject: Subject) -> None:
        subject.next(user="ann", new=True)
        raise Crash("the end")

    with pytest.raises(Crash, match="the end"):
        run_alone(work)
    table = pw.io.python.read(Subject(work), schema=Plain)
    with pytest.raises(Crash, match="the end"):
        pw.debug.compute_and_print(table)


def test_a_closed_source_takes_nothing_more() -> None:
    def work(subject: Subject) -> None:
        subject.next(user="ann", new=True)
        subject.close()
        with pytest.raises(pw.InvalidError, match="the source is closed"):
            subject.next(user="bob", new=True)

    subject, seen = run_alone(work)
    assert seen == {("ann", None, True): 1}
    assert subject.stops == 1


def test_floats_take_ints_and_commits_have_times_of_their_own() -> None:
    class Price(pw.Schema):
        price: float

    times: dict[float, int] = {}

    def work(subject: Subject) -> None:
        for price in (1, 2.5, float("inf")):
            subject.next(price=price)
            subject.commit()
        subject.commit()

    pw.io.subscribe(
        pw.io.python.read(Subject(work), schema=Price),
        lambda key, row, time, is_addition: times.update({row["price"]: time}),
    )
    pw.run(monitoring_level=QUIET)
    assert list(times) == [1.0, 2.5, float("inf")]
    assert list(times.values()) == sorted(set(times.values()))


def test_rows_of_one_column_are_text_or_bytes() -> None:
    class Data(pw.Schema):
        data: str

    seen: list[str] = []

    def work(subject: Subject) -> None:
        subject.next_str("tea")
        subject.next_bytes("süß".encode())
        with pytest.raises(pw.InputError, match=r"data: b'\\xff' is not text in UTF-8"):
            subject.next_bytes(b"\xff")
        with pytest.raises(pw.InputError, match=r"data: 7 \(int\) is not a str"):
            subject.next_str(7)  # type: ignore[arg-type]

    pw.io.subscribe(
        pw.io.python.read(Subject(work), schema=Data), lambda key, row, time, is_addition: seen.append(row["data"])
    )
    pw.run(monitoring_level=QUIET)
    assert sorted(seen) == ["süß", "tea"]

    def wrong(subject: Subject) -> None:
        subject.next_str("ann")

    with pytest.raises(pw.InvalidError, match="next_str: the schema must have one column, data: str"):
        run_alone(wrong)


@pytest.mark.parametrize("message", ["{", "[1]", '"x"', 7])
def test_what_is_no_json_object_is_refused(message: Any) -> None:
    def work(subject: Subject) -> None:
        with pytest.raises(pw.InputError, match=r"is not (a )?JSON"):
            subject.next_json(message)

    run_alone(work)


def test_a_program_runs_again_with_the_same_subject() -> None:
    seen: Counter[Row] = Counter()
    subject = Subject(lambda subject: subject.next(user="ann", new=True))
    observe(pw.io.python.read(subject, schema=Plain), seen)
    pw.run(monitoring_level=QUIET)
    pw.run(monitoring_level=QUIET)
    assert seen == {("ann", None, True): 2}
    assert subject.stops == 2
    with pytest.raises(pw.InvalidError, match="the subject Subject is not being run"):
        subject.next(user="ann", new=True)


def test_files_and_subjects_are_read_together(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("user,size,new\nann,1,true\n", encoding="utf-8")
    seen: Counter[Row] = Counter()
    handed = pw.io.python.read(Subject(lambda subject: subject.next(user="bob", new=False)), schema=Plain)
    observe(handed.concat_reindex(pw.io.csv.read(tmp_path, schema=Plain, mode="static")), seen)
    pw.run(monitoring_level=QUIET)
    assert seen == {("ann", 1, True): 1, ("bob", None, False): 1}


def test_any_thread_may_hand_rows_over() -> None:
    def work(subject: Subject) -> None:
        def push(user: str) -> None:
            for size in range(1000):
                subject.next(user=user, size=size, new=True)

        threads = [threading.Thread(target=push, args=(user,)) for user in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    _, seen = run_alone(work)
    assert seen == {(user, size, True): 1 for user in "abcd" for size in range(1000)}


def test_saved_state_needs_a_subject_that_says_where_it_was(tmp_path: Path, script: Script) -> None:
    subject = Subject(lambda subject: subject.next(user="ann", new=True))
    pw.io.csv.write(pw.io.python.read(subject, schema=Plain), tmp_path / "result.csv")
    backend = pw.persistence.Backend.filesystem(tmp_path / "state")
    with pytest.raises(pw.InvalidError, match="Subject cannot say where it was") as refused:
        pw.run(persistence_config=pw.persistence.Config(backend))
    assert "define seek(self, position)" in str(refused.value)
    assert subject.stops == 0
    assert list(tmp_path.iterdir()) == []


def test_positions_belong_to_subjects_that_seek() -> None:
    class Seeks(Subject):
        def seek(self, position: Any) -> None:
            raise AssertionError

    def fail(work: Callable[[Subject], object], message: str, cls: type[Subject] = Seeks) -> None:
        table = pw.io.python.read(cls(work), schema=Plain)
        with pytest.raises(pw.InvalidError, match=message):
            pw.debug.compute_and_print(table)

    fail(lambda subject: subject.commit(), "the position is missing")
    fail(lambda subject: subject.commit({1, 2}), "cannot be saved")
    fail(lambda subject: subject.commit(float("nan")), "cannot be saved")
    fail(lambda subject: subject.next(user="ann", new=True), "after the last commit with a position")
    fail(lambda subject: subject.commit(1), "no method to take it", Subject)


def test_a_subject_is_told_that_the_run_saves_its_state(tmp_path: Path) -> None:
    calls: list[object] = []

    class Told(Subject):
        def on_persisted_run(self) -> None:
            calls.append("persisted")

        def seek(self, position: Any) -> None:
            calls.append(position)

    def work(subject: Subject) -> None:
        calls.append("run")
        subject.next(user="ann", new=True)
        subject.commit(position=1)

    pw.io.subscribe(pw.io.python.read(Told(work), schema=Plain), lambda key, row, time, is_addition: None)
    pw.run(monitoring_level=QUIET)
    assert calls == ["run"]
    config = pw.persistence.Config(pw.persistence.Backend.filesystem(tmp_path / "state"))
    for _ in range(2):
        pw.run(monitoring_level=QUIET, persistence_config=config)
    assert calls[1:] == ["persisted", "run", "persisted", 1, "run"]


def test_removals_need_a_key_or_a_declaration() -> None:
    class Grows(Subject):
        deletions_enabled = False

    subject = Grows(lambda subject: subject._remove(user="ann", size=None, new=True))
    with pytest.raises(pw.InvalidError, match="_remove: the table is declared never to lose a row"):
        pw.debug.compute_and_print(pw.io.python.read(subject, schema=Plain))


def test_a_key_is_enough_to_take_a_row_away() -> None:
    def work(subject: Subject) -> None:
        subject.next(user="ann", size=1, new=True)
        subject.next(user="bob", size=1, new=True)
        subject.commit()
        subject._remove(user="ann", new=True)
        subject._remove(user="cid", new=True)
        with pytest.raises(pw.InputError, match="new: a value is missing"):
            subject._remove(user="bob")

    _, seen = run_alone(work, Keyed)
    assert table_of(seen) == {("bob", 1, True): 1}


def test_what_is_wrong_before_a_run() -> None:
    subject = Subject(print)
    with pytest.raises(pw.InvalidError, match="the subject Subject is not being run"):
        subject.next(user="ann")
    with pytest.raises(pw.InvalidError, match=r"subject: expected a pw\.io\.python\.ConnectorSubject, got 7"):
        pw.io.python.read(7, schema=Plain)  # type: ignore[arg-type]
    with pytest.raises(pw.InvalidError, match="autocommit_duration_ms: -1 is negative"):
        pw.io.python.read(subject, schema=Plain, autocommit_duration_ms=-1)
    pw.io.python.read(subject, schema=Plain)
    with pytest.raises(pw.InvalidError, match="this Subject is read by another table already"):
        pw.io.python.read(subject, schema=Plain)
    with pytest.raises(pw.InvalidError, match="primary_key: expected True or False, got 1"):
        pw.column_definition(primary_key=1)  # type: ignore[arg-type]


def test_an_observer_takes_changes() -> None:
    calls: list[Any] = []

    class Observer(pw.io.python.ConnectorObserver):
        def on_change(self, key: int, row: dict[str, Any], time: int, is_addition: bool) -> None:
            calls.append((row["user"], time, is_addition))

        def on_time_end(self, time: int) -> None:
            calls.append(time)

        def on_end(self) -> None:
            calls.append("end")

    subject = Subject(lambda subject: subject.next(user="ann", new=True))
    pw.io.python.write(pw.io.python.read(subject, schema=Plain), Observer())
    pw.run(monitoring_level=QUIET)
    (user, time, is_addition), *rest = calls
    assert (user, is_addition, rest) == ("ann", True, [time, "end"])
    with pytest.raises(pw.InvalidError, match=r"observer: expected a pw\.io\.python\.ConnectorObserver, got"):
        pw.io.python.write(pw.io.python.read(Subject(print), schema=Plain), print)  # type: ignore[arg-type]


def test_the_primary_key_of_a_schema() -> None:
    assert Keyed.primary_key_columns() == ["user", "new"]
    assert Plain.primary_key_columns() is None


def test_what_a_long_run_has_saved_is_read_where_it_was_saved(tmp_path: Path) -> None:
    class Rows(pw.io.python.ConnectorSubject):
        def seek(self, position: int) -> None: ...

        def run(self) -> None:
            # What is not much smaller than the state is merged with it; the last commits leave it as it is.
            for part, rows in enumerate([30_000, 30_000, 30_000, 1, 1]):
                for row in range(rows):
                    self.next(user=f"user {part} {row}")
                self.commit(position=part)

    mapped = []

    def on_end() -> None:
        mapped.append(Path("/proc/self/maps").read_text())

    rows = pw.io.python.read(Rows(), schema=pw.schema_from_types(user=str), name="rows")
    users = rows.groupby(rows.user).reduce(rows.user, n=pw.reducers.count())
    pw.io.subscribe(users, lambda key, row, time, is_addition: None, on_end=on_end)
    backend = pw.persistence.Backend.filesystem(tmp_path / "state")
    config = pw.persistence.Config(backend, snapshot_interval_ms=0)
    pw.run(persistence_config=config, monitoring_level=pw.MonitoringLevel.NONE)
    assert f"{tmp_path}/state/runs-" in mapped[0]


def test_a_value_without_the_name_of_its_column_is_refused() -> None:
    subject = Subject(lambda subject: subject.next("ann"))  # type: ignore[arg-type]
    pw.io.subscribe(pw.io.python.read(subject, schema=Plain), lambda key, row, time, is_addition: None)
    with pytest.raises(
        pw.InvalidError, match=r"^[^\n]*\.next: 0 arguments at most can be given without a name"
    ) as caught:
        pw.run(monitoring_level=QUIET)
    assert isinstance(caught.value, TypeError)
