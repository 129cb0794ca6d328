"""Hints about files, state and runs: each is followed, and the program then runs."""

# mypy: disable-error-code="arg-type,call-arg"

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import millpond as pw

QUIET = pw.MonitoringLevel.NONE
ROWS = "user,at\nann,1\nbob,2\n"


class Visit(pw.Schema):
    user: str
    at: int


class Event(pw.Schema):
    user: str
    city: str | None


class Keyed(pw.Schema):
    user: str = pw.column_definition(primary_key=True)
    at: int


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("MILLPOND_HTTP", "MILLPOND_HTTP_TOKEN", "MILLPOND_REPORT", "MILLPOND_GRACE_S"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_text(ROWS)


def run(
    read: dict[str, Any] | None = None,
    write: dict[str, Any] | None = None,
    make: Callable[[pw.Table], pw.Table] = lambda table: table,
    more: Callable[[pw.Table], object] = lambda table: None,
    **options: Any,
) -> pw.RunSummary:
    """Reads files, makes another table of them, writes it, and runs all that."""
    pw.clear()
    visits = pw.io.csv.read(**{"path": "in", "schema": Visit, "mode": "static", "name": "visits", **(read or {})})
    pw.io.csv.write(make(visits), **{"filename": "out.csv", **(write or {})})
    more(visits)
    return pw.run(**{"monitoring_level": QUIET, **options})


def before(do: Callable[[], object], then: Callable[[], object]) -> Callable[[], object]:
    """Both, one after the other."""

    def both() -> object:
        do()
        return then()

    return both


def setenv(name: str, value: str) -> Callable[[], object]:
    return lambda: os.environ.__setitem__(name, value)


def file(name: str, text: str) -> Callable[[], object]:
    def write() -> None:
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(text)

    return write


def saved(then: Callable[[], object], **options: Any) -> Callable[[], object]:
    """A first run that saves its state, something that happens, and another run."""

    def both() -> object:
        run(state="state", **options)
        then()
        return run(state="state", **options)

    return both


def with_files(names: str, then: Callable[[], object]) -> Callable[[], object]:
    return before(lambda: [file(f"in/{name}.csv", f"user,at\n{name},1\n")() for name in names], then)


LOG = {"mode": "append"}
NO_FILE = (
    'write to a regular file, such as "result.csv"; to print changes, or to pass them on, subscribe a function to the '
    "table"
)
ANEW = "run the program as it was, or give it another state directory (or remove this one) to compute everything anew"
AWAY = (
    "put it into another directory, or read a pattern that leaves it out; a directory also leaves out names that start "
    'with "."'
)
DAMAGE = "restore the state directory from a backup, or remove it and let the next run compute everything again"


def damage() -> None:
    manifest = max(Path("state").glob("manifest-*"))
    manifest.write_bytes(manifest.read_bytes()[:-20])


def moved(was: str, now: str) -> Callable[[], object]:
    return lambda: os.rename(was, now)


def sums(code: Callable[[pw.Table], pw.ColumnExpression]) -> Callable[[pw.Table], pw.Table]:
    return lambda table: table.reduce(total=pw.reducers.sum(code(table)))


def by_user(visits: pw.Table) -> pw.Table:
    return visits.with_id_from(visits.user)


def json_lines(**options: Any) -> pw.RunSummary:
    file("events/a.jsonl", '{"user":"ann","address":{"city":"Rome"}}\n')()
    pw.clear()
    pw.io.jsonlines.write(pw.io.jsonlines.read("events", schema=Event, mode="static", **options), "out.jsonl")
    return pw.run(monitoring_level=QUIET)


class Subject(pw.io.python.ConnectorSubject):
    """Calls a function."""

    def __init__(self, work: Callable[[Subject], object]) -> None:
        self.work = work

    def run(self) -> None:
        self.work(self)


class Deletes(Subject):
    deletions_enabled = True


class Seeks(Subject):
    def seek(self, position: Any) -> None: ...


def feed(
    work: Callable[[Subject], object], cls: type[Subject] = Subject, schema: type[pw.Schema] = Visit, **options: Any
) -> pw.RunSummary:
    pw.clear()
    pw.io.csv.write(pw.io.python.read(cls(work), schema=schema, name="rows"), "out.csv")
    return pw.run(monitoring_level=QUIET, **options)


def ann(subject: Subject) -> None:
    subject.next(user="ann", at=1)


def ann_with_position(subject: Subject) -> None:
    ann(subject)
    subject.commit(position=1)


def ann_comes_and_goes(subject: Subject) -> None:
    ann(subject)
    subject._remove(user="ann", at=1)


def read_twice(second: Callable[[], Subject] | None) -> object:
    subject = Subject(ann)
    pw.clear()
    pw.io.python.read(subject, schema=Visit)
    pw.io.csv.write(pw.io.python.read(subject if second is None else second(), schema=Visit), "out.csv")
    return pw.run(monitoring_level=QUIET)


def printed(**options: Any) -> None:
    pw.debug.compute_and_print(pw.io.csv.read("in", schema=Visit, **options))


Case = tuple[Callable[[], object], str, Callable[[], object]]

# What fails, the whole hint, and what works once it is followed.
CASES: dict[str, Case] = {
    "no output": (
        lambda: pw.run(),
        'add pw.io.csv.write(table, "result.csv") before pw.run()',
        lambda: run(write={"filename": "result.csv"}),
    ),
    "a level by its name": (
        lambda: run(monitoring_level="NONE"),
        "such as pw.MonitoringLevel.NONE",
        lambda: run(monitoring_level=pw.MonitoringLevel.NONE),
    ),
    "a path as a config": (
        lambda: run(persistence_config="state"),
        'state="state" is short for persistence_config='
        'pw.persistence.Config(pw.persistence.Backend.filesystem("state"))',
        lambda: run(state="state"),
    ),
    "two places of the state": (
        lambda: run(
            state="state", persistence_config=pw.persistence.Config(pw.persistence.Backend.filesystem("state"))
        ),
        'leave persistence_config out: state="state" is short for it',
        lambda: run(state="state"),
    ),
    "a number as a stop": (
        lambda: run(stop=5),
        "such as stop=threading.Event()",
        lambda: run(stop=threading.Event()),
    ),
    "a flag as an address": (
        lambda: run(http_address=True),
        'such as "127.0.0.1:20000"',
        lambda: run(http_address="127.0.0.1:0"),
    ),
    "no address": (
        lambda: run(http_address="nowhere"),
        "such as 127.0.0.1:20000, or 20000 for that port of this machine alone, or 0 for any port",
        lambda: run(http_address=0),
    ),
    "an address for everybody": (
        lambda: run(http_address="0.0.0.0:0"),
        "set MILLPOND_HTTP_TOKEN to a secret that requests must bear, or listen on 127.0.0.1",
        before(setenv("MILLPOND_HTTP_TOKEN", "secret" * 8), lambda: run(http_address="0.0.0.0:0")),
    ),
    "no number of seconds": (
        before(setenv("MILLPOND_GRACE_S", "soon"), run),
        "such as MILLPOND_GRACE_S=10",
        before(setenv("MILLPOND_GRACE_S", "10"), run),
    ),
    "a bad row without a file for it": (
        lambda: run({"on_error": "dead_letter"}),
        'such as on_error="dead_letter", dead_letter="bad-rows.csv"',
        lambda: run({"on_error": "dead_letter", "dead_letter": "bad-rows.csv"}),
    ),
    "a delimiter as settings": (
        lambda: run({"csv_settings": ";"}),
        'such as csv_settings=pw.io.CsvParserSettings(delimiter=";")',
        before(
            file("in/a.csv", ROWS.replace(",", ";")),
            lambda: run({"csv_settings": pw.io.CsvParserSettings(delimiter=";")}),
        ),
    ),
    "a key of files": (
        lambda: run({"schema": Keyed}),
        "leave primary_key=True out; to combine tables by it, say .with_id_from(pw.this.user) after reading",
        lambda: run(make=lambda visits: visits.with_id_from(pw.this.user).difference(by_user(visits))),
    ),
    "no schema": (
        lambda: run({"schema": dict}),
        "define one: class InputSchema(pw.Schema): followed by a line such as user_id: str",
        lambda: run({"schema": type("InputSchema", (pw.Schema,), {"__annotations__": {"user": str}})}),
    ),
    "a directory as a result": (
        before(lambda: Path("out").mkdir(), lambda: run(write={"filename": "out"})),
        'name a file in it, such as "out/result.csv"',
        lambda: run(write={"filename": "out/result.csv"}),
    ),
    "a name that ends as that of a directory": (
        lambda: run(write={"filename": "new/"}),
        'name a file in it, such as "new/result.csv"',
        lambda: run(write={"filename": "new/result.csv"}),
    ),
    "a result that the system swallows": (
        lambda: run(write={"filename": "/dev/null"}),
        NO_FILE,
        lambda: run(write={"filename": "result.csv"}, more=lambda visits: pw.io.subscribe(visits, print)),
    ),
    "a pipe": (
        before(lambda: os.mkfifo("pipe"), lambda: run(write={"filename": "pipe"})),
        NO_FILE,
        lambda: run(write={"filename": "result.csv"}),
    ),
    "a compressed result": (
        lambda: run(write={"filename": "x.csv.gz"}),
        'write "x.csv", and compress it after the run',
        lambda: run(write={"filename": "x.csv"}),
    ),
    "a result of another format": (
        lambda: run(write={"filename": "x.xlsx"}),
        'choose a name such as "x.csv"',
        lambda: run(write={"filename": "x.csv"}),
    ),
    "a log over a file": (
        before(file("out.csv", "mine\n"), lambda: run(write=LOG)),
        "choose another file, or move this one away; a log over all runs needs saved state",
        lambda: run(write={"filename": "other.csv", **LOG}, state="state"),
    ),
    "a column of changes": (
        lambda: run(make=lambda visits: visits.rename(time=pw.this.at)),
        'rename the column, or write the present table: mode "snapshot"',
        lambda: run(make=lambda visits: visits.rename(time=pw.this.at), write={"mode": "snapshot"}),
    ),
    "a result where a source reads": (
        lambda: run(write={"filename": "in/out.csv"}),
        AWAY,
        lambda: run(write={"filename": "in/.out.csv"}),
    ),
    "a report where a source reads": (
        lambda: run(report="in/report.json"),
        AWAY,
        lambda: run({"path": "in/*.csv"}, report="in/report.json"),
    ),
    "a result in place of the state": (
        lambda: run(write={"filename": "state/lock"}, state="state"),
        "choose another name, or another directory",
        lambda: run(write={"filename": "state/result.csv"}, state="state"),
    ),
    "two results in one file": (
        lambda: run(more=lambda visits: pw.io.csv.write(visits, "./out.csv")),
        "give each a file of its own",
        lambda: run(more=lambda visits: pw.io.csv.write(visits, "./other.csv")),
    ),
    "two results of one name": (
        lambda: run(write={"name": "x"}, more=lambda visits: pw.io.csv.write(visits, "other.csv", name="x")),
        "give each output a file and a name of its own",
        lambda: run(write={"name": "x"}, more=lambda visits: pw.io.csv.write(visits, "other.csv", name="y")),
    ),
    "two sources of one name": (
        lambda: run(
            make=lambda visits: visits.concat(pw.io.csv.read("in", schema=Visit, mode="static", name="visits"))
        ),
        'saved state is found by name: give each its own, such as name="visits-2"',
        lambda: run(
            make=lambda visits: visits.concat(pw.io.csv.read("in", schema=Visit, mode="static", name="visits-2"))
        ),
    ),
    "a log under another name": (
        before(
            lambda: run(state="state", write={"filename": "log.csv", "name": "log", **LOG}),
            lambda: run(state="state", write={"filename": "log2.csv", "name": "log", **LOG}),
        ),
        "rename log.csv to log2.csv, or write to the path that it had",
        before(
            moved("log.csv", "log2.csv"),
            lambda: run(state="state", write={"filename": "log2.csv", "name": "log", **LOG}),
        ),
    ),
    "the logs of another program": (
        before(
            lambda: run(state="state", write=LOG),
            lambda: run(state="state", make=lambda visits: visits.groupby(pw.this.at).reduce(pw.this.at), write=LOG),
        ),
        f"{ANEW}; then move out.csv away as well",
        before(
            moved("out.csv", "old.csv"),
            lambda: run(state="other", make=lambda visits: visits.groupby(pw.this.at).reduce(pw.this.at), write=LOG),
        ),
    ),
    "a word for nothing": (
        before(
            file("in/a.csv", "user,at\nann,N/A\n"),
            lambda: run({"schema": pw.schema_from_types(user=str, at=int | None)}),
        ),
        'csv_settings=pw.io.CsvParserSettings(null_values=["N/A"]) reads it as null',
        lambda: run(
            {
                "schema": pw.schema_from_types(user=str, at=int | None),
                "csv_settings": pw.io.CsvParserSettings(null_values=["N/A"]),
            }
        ),
    ),
    "a file without a header": (
        before(file("in/a.csv", "ann,1\n"), run),
        'the first line must be the header, with the names of the columns, such as user,at; here it is "ann", "1"',
        before(file("in/a.csv", "user,at\nann,1\n"), run),
    ),
    "a column that is taken": (
        before(file("in/a.csv", "u,y\nann,1\n"), lambda: run({"schema": pw.schema_from_types(u=str, x=int)})),
        'the header has "u", "y"',
        lambda: run({"schema": pw.schema_from_types(u=str, y=int)}),
    ),
    "the state of another program": (
        before(
            lambda: run(state="state", make=lambda visits: visits.groupby(pw.this.user).reduce(pw.this.user)),
            lambda: run(state="state", make=lambda visits: visits.groupby(pw.this.at).reduce(pw.this.at)),
        ),
        ANEW,
        lambda: run(state="other", make=lambda visits: visits.groupby(pw.this.at).reduce(pw.this.at)),
    ),
    "a damaged state": (
        saved(damage),
        DAMAGE,
        before(lambda: shutil.rmtree("state"), lambda: run(state="state")),
    ),
    "a log that is gone": (
        saved(lambda: os.unlink("out.csv"), write=LOG),
        "put the file back as it was, or remove it together with the saved state to start anew",
        before(lambda: shutil.rmtree("state"), lambda: run(write=LOG, state="state")),
    ),
    "a file that is gone": (
        with_files("bcd", saved(moved("in/a.csv", "a.csv"))),
        "put the file back, or start again with new state",
        before(moved("a.csv", "in/a.csv"), lambda: run(state="state")),
    ),
    "a file of another name": (
        with_files("bcd", saved(moved("in/a.csv", "in/z.csv"))),
        "put the old name back, or start again with new state",
        before(moved("in/z.csv", "in/a.csv"), lambda: run(state="state")),
    ),
    "a file that is shorter": (
        saved(file("in/a.csv", "user,at\nann,1\n")),
        "put the old content back, or start again with new state",
        before(file("in/a.csv", ROWS), lambda: run(state="state")),
    ),
    "a file that is another": (
        saved(file("in/a.csv", "user,at\nann,1\nbob,3\neve,4\n")),
        "put the old content back, and write new rows to a new file or to the end, or start again with new state",
        before(file("in/a.csv", ROWS + "eve,4\n"), lambda: run(state="state")),
    ),
    "a directory that is empty": (
        with_files("bcd", saved(before(moved("in", "away"), file("in/z.csv", "user,at\nzoe,99\n")))),
        "mount it, or put the files back, or start again with new state",
        before(lambda: shutil.copytree("away", "in", dirs_exist_ok=True), lambda: run(state="state")),
    ),
    "a path that is misspelled": (
        lambda: run({"path": "in/b.csv"}),
        "did you mean in/a.csv?",
        lambda: run({"path": "in/a.csv"}),
    ),
    "a path elsewhere": (
        lambda: run({"path": "in/logs/visits.csv"}),
        "in exists",
        lambda: run({"path": "in"}),
    ),
    "a pattern below nothing": (
        lambda: run({"path": "inn/*.csv"}),
        "did you mean in?",
        lambda: run({"path": "in/*.csv"}),
    ),
    "a column that is misspelled": (
        before(file("in/a.csv", "usr,at\nann,1\n"), run),
        'did you mean "usr"? the header has "usr", "at"',
        lambda: run({"schema": pw.schema_from_types(usr=str, at=int)}),
    ),
    "a column in white space": (
        before(file("in/a.csv", "user, at\nann,1\n"), run),
        '" at" has white space around it: remove it there, or name the column of the schema so',
        lambda: run({"schema": pw.schema_from_types(**{"user": str, " at": int})}),
    ),
    "another delimiter": (
        before(file("in/a.csv", "user;at\nann;1\n"), run),
        'the header is one column, "user;at": is the delimiter right?',
        lambda: run({"csv_settings": pw.io.CsvParserSettings(delimiter=";")}),
    ),
    "a sum that is too large": (
        before(
            file("in/a.csv", f"user,at\nann,{2**62}\nbob,{2**62}\n"), lambda: run(make=sums(lambda visits: visits.at))
        ),
        "cast the column to float before the sum, or take fewer rows together",
        lambda: run(make=sums(lambda visits: pw.cast(float, visits.at))),
    ),
    "two rows of one identity": (
        before(
            file("in/a.csv", "user,at\nann,1\nann,2\n"),
            lambda: run(make=lambda visits: by_user(visits).update_rows(by_user(visits))),
        ),
        "with_id_from(...) says what identifies a row",
        lambda: run(
            make=lambda visits: visits.with_id_from(pw.this.user, pw.this.at).update_rows(
                visits.with_id_from(pw.this.user, pw.this.at)
            )
        ),
    ),
    "a table that never ends": (
        lambda: printed(mode="streaming"),
        'read it with mode="static"',
        lambda: printed(mode="static"),
    ),
    "paths that are numbers": (
        lambda: json_lines(json_field_paths={"city": 1}),
        'such as json_field_paths={"city": "/address/city"}',
        lambda: json_lines(json_field_paths={"city": "/address/city"}),
    ),
    "paths with dots": (
        lambda: json_lines(json_field_paths={"city": "address.city"}),
        'a path is a JSON pointer such as "/address/city" or "/items/0/name"',
        lambda: json_lines(json_field_paths={"city": "/address/city"}),
    ),
    "the path of no column": (
        lambda: json_lines(json_field_paths={"town": "/address/city"}),
        'the schema has "user", "city"',
        lambda: json_lines(json_field_paths={"city": "/address/city"}),
    ),
    "a number as a subject": (
        lambda: pw.io.python.read(7, schema=Visit),
        "derive a class from it, and give read() an object of the class",
        lambda: feed(ann),
    ),
    "a subject for two tables": (
        lambda: read_twice(None),
        "give each table one of its own: pw.io.python.read(Subject(...), schema=Visit)",
        lambda: read_twice(lambda: Subject(ann)),
    ),
    "a row from outside": (
        lambda: Subject(ann).next(user="ann", at=1),
        "hand rows over in run(), during pw.run()",
        lambda: feed(ann),
    ),
    "an unknown column": (
        lambda: feed(lambda subject: subject.next(user="ann", time=1)),
        "it is user: str, at: int",
        lambda: feed(ann),
    ),
    "text of another schema": (
        lambda: feed(lambda subject: subject.next_str("ann")),
        "self.next(user=..., at=...) hands over a row of this schema",
        lambda: feed(lambda subject: subject.next(user="ann", at=1)),
    ),
    "a removal that is not declared": (
        lambda: feed(ann_comes_and_goes),
        "give the schema a primary key, or the subject deletions_enabled = True",
        before(lambda: feed(ann_comes_and_goes, Deletes), lambda: feed(ann_comes_and_goes, schema=Keyed)),
    ),
    "a position that nobody takes": (
        lambda: feed(ann_with_position),
        "define seek(self, position)",
        lambda: feed(ann_with_position, Seeks),
    ),
    "a commit without a position": (
        lambda: feed(lambda subject: subject.commit(), Seeks),
        "self.commit(position=...) with where the rows so far end: seek(position) gets it back",
        lambda: feed(ann_with_position, Seeks),
    ),
    "rows behind the last position": (
        lambda: feed(ann, Seeks),
        "end with a commit of the last position",
        lambda: feed(ann_with_position, Seeks),
    ),
    "a subject that forgets": (
        lambda: feed(ann, state="state"),
        "define seek(self, position), and call commit(position=...) with where it is after the rows so far",
        lambda: feed(ann_with_position, Seeks, state="state"),
    ),
}


@pytest.fixture
def _environment() -> Iterator[None]:
    known = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(known)


@pytest.mark.usefixtures("_environment")
@pytest.mark.parametrize("name", CASES)
def test_a_program_that_follows_the_hint_runs(name: str) -> None:
    fails, hint, works = CASES[name]
    with pytest.raises(pw.Error) as caught:
        fails()
    assert caught.value.hint == hint
    works()


def test_a_port_that_is_taken_is_left_to_its_owner() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(pw.UnavailableError) as caught:
            run(http_address=taken.getsockname()[1])
        assert caught.value.hint == "choose another port; 0 is any that is free"
        run(http_address=0)


def test_a_state_that_is_in_use_is_left_to_its_owner() -> None:
    run(state="state")
    with open("state/lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(pw.LockedError) as caught:
            run(state="state")
        assert caught.value.hint == "wait for it or stop it, or give this program a state directory of its own"
        run(state="other")
    run(state="state")


def test_a_subject_that_goes_on_is_waited_for_by_the_next_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLPOND_GRACE_S", "0.01")
    goes_on = threading.Event()
    rows: list[str] = []
    subject = Subject(lambda subject: goes_on.wait(60))
    pw.io.subscribe(
        pw.io.python.read(subject, schema=Visit), lambda key, row, time, is_addition: rows.append(row["user"])
    )
    stop = threading.Event()
    stop.set()
    pw.run(monitoring_level=QUIET, stop=stop)
    with pytest.raises(pw.InvalidError) as caught:
        pw.run(monitoring_level=QUIET)
    assert caught.value.message == "the subject Subject is still at work for the run before"
    assert caught.value.hint == "let its run() return after on_stop()"
    goes_on.set()
    assert subject._feeding is not None and subject._feeding._thread is not None
    subject._feeding._thread.join()
    subject.work = ann
    pw.run(monitoring_level=QUIET)
    assert rows == ["ann"]
