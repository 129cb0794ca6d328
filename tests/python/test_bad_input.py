"""Bad input, damaged state, a full disk, a second process: each ends with an error that says what to do.

Nothing is half-done then: the result is what it was, and once the cause is gone, one rerun makes everything right.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Script
from results import changes, sum_up

import millpond as pw

PROGRAM = """
import sys
import millpond as pw

class Visit(pw.Schema):
    user_id: str
    access_time: int
    score: float | None
    paid: bool | None

visits = pw.io.csv.read("logs", schema=Visit, mode="static", name="logs"{options})
users = visits.groupby(pw.this.user_id).reduce(pw.this.user_id, last=pw.reducers.max(pw.this.access_time))
pw.io.csv.write(users, "users.csv", mode="append")
pw.io.csv.write(visits, "visits.csv", mode="append")
pw.run(persistence_config=pw.persistence.Config(pw.persistence.Backend.filesystem("state")))
"""
FAILS = PROGRAM.format(options="")

HEADER = b"user_id,access_time,score,paid\n"
GOOD = HEADER + b"ada,1000,0.5,true\nben,1013,,\n"
MORE = HEADER + b"ada,2000,1.5,false\ncyd,1020,,\n"


class Pipeline:
    """A program, its input, state and result in one directory."""

    def __init__(self, root: Path, script: Script) -> None:
        self.root = root
        self.script = script
        self.result = root / "users.csv"
        (root / "logs").mkdir()

    def add(self, name: str, text: bytes) -> None:
        (self.root / "logs" / name).write_bytes(text)

    def succeeds(self, program: str = FAILS) -> str:
        ended = self.script(program)
        assert ended.returncode == 0, ended.stderr
        return ended.stderr

    def fails(self, code: int, *parts: str, program: str = FAILS) -> None:
        """The run ends with `code` and a message that holds all `parts`; the result stays as it was."""
        before = self.results()
        ended = self.script(program)
        assert ended.returncode == code, (ended.returncode, ended.stderr)
        assert ended.stdout == ""
        for part in parts:
            assert part in ended.stderr, ended.stderr
        for noise in ("Traceback", "panicked", "Error("):
            assert noise not in ended.stderr, ended.stderr
        assert self.results() == before

    def results(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.root.glob("*.csv")}

    def holds(self, **last: int) -> None:
        """All changes, added up, are one row for each user."""
        table: Counter[tuple[str, ...]] = Counter()
        sum_up(table, self.result)
        assert table == Counter({(user, str(time)): 1 for user, time in last.items()})


@pytest.fixture
def pipeline(tmp_path: Path, script: Script) -> Pipeline:
    """A pipeline that has run once."""
    made = Pipeline(tmp_path, script)
    made.add("good.csv", GOOD)
    made.succeeds()
    made.holds(ada=1000, ben=1013)
    return made


BAD_FILES = {
    "a value that is no int": (
        HEADER + b"ada,2000,,\nben,12:30,,\n",
        'logs/bad.csv:3: access_time: "12:30" is not an int',
    ),
    "an empty value": (HEADER + b"ada,,,\n", "logs/bad.csv:2: access_time: ", "is not an int"),
    "an int of 65 bits": (HEADER + b"ada,18446744073709551616,,\n", "logs/bad.csv:2: access_time: ", "64-bit"),
    "a value that is no float": (HEADER + b"ada,1,much,\n", 'logs/bad.csv:2: score: "much" is not a float'),
    "a value that is no bool": (HEADER + b"ada,1,,perhaps\n", 'logs/bad.csv:2: paid: "perhaps" is not a bool'),
    "a value after a quoted newline": (
        HEADER + b'"a\nd\na",1,,\nben,soon,,\n',
        'logs/bad.csv:5: access_time: "soon" is not an int',
    ),
    "too few fields": (HEADER + b"ada,1,,\nben,2\n", "logs/bad.csv:3: ", "2 fields where the header has 4"),
    "too many fields": (HEADER + b"ada,1,,,,\n", "logs/bad.csv:2: ", "6 fields where the header has 4"),
    "bytes that are not UTF-8": (HEADER + b"ada,1,,\n\xff\xfe,2,,\n", "logs/bad.csv:3: ", "not UTF-8", "0xff"),
    "lines that end with a carriage return alone": (
        HEADER[:-1] + b"\rada,1,,\rben,2,,\r",
        "logs/bad.csv:1: the header: a carriage return",
        "tr '\\r' '\\n'",
    ),
    "one such line": (HEADER + b"ada,1,,\rben,2,,\n", "logs/bad.csv:2: a carriage return"),
    "text behind a closing quote": (
        HEADER + b'"a\\"da",1,,\n',
        "logs/bad.csv:2: user_id: a field goes on behind its closing quote",
        'escape="\\\\"',
    ),
    "NUL bytes": (HEADER + b"\0\0\0\n", "logs/bad.csv:2: ", "3 NUL bytes"),
    "a null of another database": (
        HEADER + b"ada,\\N,,\n",
        'logs/bad.csv:2: access_time: "\\\\N" is not an int',
        'null_values=["\\\\N"]',
    ),
    "an open quote": (HEADER + b'ada,1,,\n"ben,2,,\n', "logs/bad.csv:3: ", "quote"),
    "a wrong column name": (b"user,access_time,score,paid\nada,1,,\n", "logs/bad.csv", '"user_id"', '"user"'),
    "a missing column": (b"user_id,score,paid\nada,,\n", "logs/bad.csv", '"access_time"'),
    "a field over 16 MiB": (HEADER + b"a" * ((16 << 20) + 1) + b",1,,\n", "logs/bad.csv:2: ", "user_id", "limit"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_stops_the_run_until_it_is_repaired(case: str, pipeline: Pipeline) -> None:
    text, *parts = BAD_FILES[case]
    assert isinstance(text, bytes)
    pipeline.add("bad.csv", text)
    pipeline.add("more.csv", MORE)
    pipeline.fails(3, *map(str, parts))
    pipeline.fails(3, *map(str, parts))
    pipeline.add("bad.csv", HEADER + b"dan,7,,\n")
    pipeline.succeeds()
    pipeline.holds(ada=2000, ben=1013, cyd=1020, dan=7)


def test_a_bad_line_that_was_appended_to_a_known_file(pipeline: Pipeline) -> None:
    pipeline.add("good.csv", GOOD + b"ada,now,,\n")
    pipeline.fails(3, 'logs/good.csv:4: access_time: "now" is not an int')
    pipeline.add("good.csv", GOOD + b"ada,3000,,\n")
    pipeline.succeeds()
    pipeline.holds(ada=3000, ben=1013)


def test_bad_rows_may_be_skipped(pipeline: Pipeline) -> None:
    pipeline.add("bad.csv", MORE + b"dan,then,,\neve,5\n")
    summary = pipeline.succeeds(PROGRAM.format(options=', on_error="skip"'))
    assert re.search(r"\b2 rows? (rejected|skipped)", summary), summary
    pipeline.holds(ada=2000, ben=1013, cyd=1020)


def test_bad_rows_may_be_collected(pipeline: Pipeline) -> None:
    pipeline.add("bad.csv", MORE + b"dan,then,,\neve,5\n")
    summary = pipeline.succeeds(PROGRAM.format(options=', on_error="dead_letter", dead_letter="bad-rows.csv"'))
    assert re.search(r"\b2 rows? (rejected|skipped)", summary), summary
    letters = (pipeline.root / "bad-rows.csv").read_text()
    assert "bad.csv" in letters and "then" in letters and "eve,5" in letters, letters
    pipeline.holds(ada=2000, ben=1013, cyd=1020)


def test_a_half_written_last_row_is_left_to_the_next_run(pipeline: Pipeline) -> None:
    """Broke once: it ended the run with exit code 3."""
    report = pipeline.root / "report.json"
    program = FAILS.replace("pw.run(", 'pw.run(report="report.json", ')
    pipeline.add("half.csv", HEADER + b'ada,2000,,\n"cy')
    pipeline.add("header.csv", b"user_id,acc")
    notices = [
        "logs/half.csv:3: the last row has no end yet and waits (3 bytes; a quote that opens in line 3 is not closed)",
        "logs/header.csv:1: the last line has no newline, cannot be read, and waits for the rest (11 bytes; ",
    ]
    for _ in range(2):
        said = pipeline.succeeds(program)
        told = json.loads(report.read_text())["notices"]
        for notice in notices:
            assert notice in said, said
            assert any(line.startswith(notice) for line in told), told
        pipeline.holds(ada=2000, ben=1013)
    pipeline.add("half.csv", HEADER + b'ada,2000,,\n"cyd",7,,')
    pipeline.add("header.csv", HEADER + b"dan,8,,\n")
    said = pipeline.succeeds(program)
    assert "waits" not in said and json.loads(report.read_text())["notices"] == []
    pipeline.holds(ada=2000, ben=1013, cyd=7, dan=8)


def test_every_place_where_a_good_file_may_end_for_now(pipeline: Pipeline) -> None:
    """A file that is cut anywhere is read as far as it goes, and its rest later."""
    whole = HEADER + b'"a""d\xc3\xa9",20,1.5,true\r\nben,-3,,no\n'
    for cut in range(len(whole)):
        pipeline.add(f"{cut}.csv", whole[:cut])
    pipeline.succeeds()
    for cut in range(len(whole)):
        pipeline.add(f"{cut}.csv", whole)
    pipeline.succeeds()
    table: Counter[tuple[str, ...]] = Counter()
    sum_up(table, pipeline.root / "visits.csv")
    assert table[('a"d\u00e9', "20", "1.5", "True")] == len(whole)
    assert table[("ben", "-3", "", "False")] == len(whole)
    assert len(table) == 4


@pytest.mark.parametrize("on_error", ['"skip"', '"dead_letter", dead_letter="bad-rows.csv"'])
def test_after_an_open_quote_the_file_is_left_out_to_its_end(on_error: str, pipeline: Pipeline) -> None:
    """Broke once: nothing said so, and what was appended later was left out, too."""
    program = PROGRAM.format(options=f", on_error={on_error}").replace("pw.run(", 'pw.run(report="report.json", ')
    open_quote = HEADER + b'ada,2000,,\n"ben,1,,\ncyd,2,,\n'
    pipeline.add("bad.csv", open_quote)
    told = (
        "logs/bad.csv:3: a quote opens here and is never closed: "
        "2 lines (17 bytes) up to the end of the file are left out"
    )
    said = pipeline.succeeds(program)
    assert told in said and "(1 row rejected)" in said, said
    assert told in json.loads((pipeline.root / "report.json").read_text())["notices"]
    pipeline.holds(ada=2000, ben=1013)
    pipeline.add("bad.csv", open_quote + b"dan,4,,\n")
    said = pipeline.succeeds(program)
    assert "left out" not in said and "rejected" not in said, said
    pipeline.holds(ada=2000, ben=1013, dan=4)
    if "dead_letter" in on_error:
        (letter,) = changes(pipeline.root / "bad-rows.csv")
        assert "2 lines (17 bytes) up to the end of the file" in letter and '"ben,1,,\ncyd,2,,\n' in letter, letter


def test_a_half_record_is_no_dead_letter(pipeline: Pipeline) -> None:
    """Broke once: it stayed among the dead letters although the row was read later."""
    program = PROGRAM.format(options=', on_error="dead_letter", dead_letter="bad-rows.csv"')
    pipeline.add("half.csv", HEADER + b'eve,no,,\nada,1,,\n"cyd\n",2')
    pipeline.succeeds(program)
    pipeline.add("half.csv", HEADER + b'eve,no,,\nada,1,,\n"cyd\n",2,,\n')
    pipeline.succeeds(program)
    (letter,) = changes(pipeline.root / "bad-rows.csv")
    assert "eve,no,," in letter
    pipeline.holds(ada=1000, ben=1013, **{"cyd\n": 2})
    # One that is cut behind the line break in its quotes is one, until it is whole.
    half = HEADER + b'"dan\n'
    pipeline.add("more.csv", half)
    pipeline.succeeds(program)
    pipeline.add("more.csv", half + b'",3,,\neve,4,,\n')
    pipeline.succeeds(program)
    pipeline.holds(ada=1000, ben=1013, eve=4, **{"cyd\n": 2, "dan\n": 3})
    letters = changes(pipeline.root / "bad-rows.csv")
    more = [letter.rsplit(",", 1) for letter in letters if "more.csv" in letter]
    assert len(letters) == 3 and [(letter, int(diff)) for letter, diff in more] == [(more[0][0], -1), (more[0][0], 1)]


def test_nulls_of_many_spellings(tmp_path: Path) -> None:
    class Row(pw.Schema):
        n: int | None
        text: str | None
        yes: bool | None

    (tmp_path / "old.csv").write_text('n,text\n1,a\n"",""\n')
    (tmp_path / "new.csv").write_text('yes,n,text\nT,NA,NA\noff,"NA","NA"\n\\N,2,\\N\n')
    settings = pw.io.CsvParserSettings(null_values=["NA", "\\N"])
    rows = pw.io.csv.read(tmp_path, schema=Row, csv_settings=settings)
    seen: list[tuple[object, ...]] = []
    pw.io.subscribe(rows, lambda key, row, time, is_addition: seen.append(tuple(row.values())))
    pw.run(monitoring_level=pw.MonitoringLevel.NONE)
    expect = [(1, "a", None), (None, "", None), (None, None, True), (None, "NA", False), (2, None, None)]
    assert sorted(seen, key=repr) == sorted(expect, key=repr)


@pytest.mark.parametrize("null_values", ["NA", [1], {"NA": 1}, None])
def test_null_values_are_a_list_of_texts(null_values: object) -> None:
    with pytest.raises(pw.InvalidError, match="null_values: expected a list of texts"):
        pw.io.CsvParserSettings(null_values=null_values)  # type: ignore[arg-type]


def test_formulas_are_escaped_where_that_is_asked_for(tmp_path: Path) -> None:
    table = pw.debug.table_from_markdown("text | n\n=1+1 | -1\n@x | 2\nplain | 3")
    for name, escape in (("plain.csv", False), ("safe.csv", True)):
        pw.io.csv.write(table, tmp_path / name, mode="snapshot", escape_formulas=escape)
    pw.run(monitoring_level=pw.MonitoringLevel.NONE)
    assert sorted((tmp_path / "plain.csv").read_text().splitlines()) == ['"=1+1",-1', '"@x",2', '"plain",3', "text,n"]
    assert sorted((tmp_path / "safe.csv").read_text().splitlines()) == [
        '"\'=1+1",-1',
        '"\'@x",2',
        '"plain",3',
        "text,n",
    ]
    with pytest.raises(pw.InvalidError, match="escape_formulas"):
        pw.io.csv.write(table, tmp_path / "x.csv", escape_formulas="yes")  # type: ignore[arg-type]


def test_links_that_lead_nowhere_are_left_out_with_a_notice(pipeline: Pipeline) -> None:
    """Broke once: they ended the run, and the service."""
    logs = pipeline.root / "logs"
    (logs / "gone.csv").symlink_to("nothing")
    (logs / "loop.csv").symlink_to("loop.csv")
    (logs / "below").mkdir()
    (logs / "below" / "up").symlink_to("..")
    (pipeline.root / "logs" / os.fsdecode(b"n\xff.csv")).write_bytes(GOOD)
    pipeline.add("more.csv", MORE)
    said = pipeline.succeeds()
    for told in (
        "logs/gone.csv is left out: a link to nothing",
        "logs/loop.csv is left out: a link to itself",
        "logs/below/up is left out: a link to a directory that it is in",
        "is left out: its name is not UTF-8",
    ):
        assert told in said, said
    pipeline.holds(ada=2000, ben=1013, cyd=1020)


# The path


def test_a_path_that_does_not_exist(tmp_path: Path, script: Script) -> None:
    ended = script(FAILS)
    assert ended.returncode == 2, ended.stderr
    assert "no file or directory logs" in ended.stderr, ended.stderr
    assert not (tmp_path / "state").exists() and not (tmp_path / "users.csv").exists()


def test_an_empty_directory_says_so(tmp_path: Path, script: Script) -> None:
    (tmp_path / "logs").mkdir()
    ended = script(FAILS)
    assert ended.returncode == 0, ended.stderr
    assert re.search(r"logs.*(empty|no file)|(empty|no file).*logs", ended.stderr), ended.stderr


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv takes the rights that root has over modes")
def test_a_directory_without_permission(pipeline: Pipeline) -> None:
    private = pipeline.root / "logs" / "private"
    private.mkdir(mode=0o000)
    before = pipeline.result.read_bytes()
    command = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", sys.executable, "script.py"]
    ended = subprocess.run(command, cwd=pipeline.root, capture_output=True, text=True)
    assert ended.returncode == 7, ended.stderr
    assert "no permission to read logs/private" in ended.stderr
    assert pipeline.result.read_bytes() == before
    private.chmod(0o700)
    pipeline.succeeds()


@pytest.mark.parametrize(
    "change",
    [
        lambda file: file.rename(file.with_name("renamed.csv")),
        lambda file: file.write_bytes(GOOD.replace(b"1013", b"1014") + b"eve,1,,\n"),
        lambda file: file.write_bytes(GOOD[:-12]),
        lambda file: file.unlink(),
    ],
    ids=["renamed", "rewritten", "shorter", "deleted"],
)
def test_a_known_file_that_is_not_what_it_was(change: Callable[[Path], object], pipeline: Pipeline) -> None:
    file = pipeline.root / "logs" / "good.csv"
    change(file)
    pipeline.fails(3, "logs/good.csv")
    (pipeline.root / "logs" / "renamed.csv").unlink(missing_ok=True)
    file.write_bytes(GOOD + b"ada,1100,,\n")
    pipeline.succeeds()
    pipeline.holds(ada=1100, ben=1013)


# The state


def state_files(root: Path) -> list[Path]:
    return sorted(path for path in (root / "state").rglob("*") if path.is_file() and path.stat().st_size > 0)


def test_flipped_bits_in_state_are_never_believed(pipeline: Pipeline) -> None:
    """Each file, at several places: an error that names it, or, where the byte does not matter, the right result."""
    pristine = pipeline.root / "pristine"
    shutil.copytree(pipeline.root / "state", pristine / "state")
    results = pipeline.results()
    pipeline.add("more.csv", MORE)
    refused = 0
    for file in state_files(pristine):
        size = file.stat().st_size
        for place in {0, size // 3, size // 2, size - 9, size - 1}:
            shutil.rmtree(pipeline.root / "state")
            shutil.copytree(pristine / "state", pipeline.root / "state")
            for name, result in results.items():
                (pipeline.root / name).write_bytes(result)
            damaged = pipeline.root / file.relative_to(pristine)
            flipped = bytearray(damaged.read_bytes())
            flipped[max(place, 0)] ^= 0x10
            damaged.write_bytes(flipped)
            ended = pipeline.script(FAILS)
            if ended.returncode == 0:
                pipeline.holds(ada=2000, ben=1013, cyd=1020)
            else:
                assert ended.returncode == 4, (damaged, place, ended.returncode, ended.stderr)
                assert damaged.name in ended.stderr, ended.stderr
                refused += 1
    assert refused > 5


@pytest.mark.parametrize("damage", ["deleted", "cut", "empty"])
def test_a_state_file_that_is_gone_or_cut_is_named(damage: str, pipeline: Pipeline) -> None:
    largest = max(state_files(pipeline.root), key=lambda file: file.stat().st_size)
    whole = largest.read_bytes()
    if damage == "deleted":
        largest.unlink()
    else:
        largest.write_bytes(whole[: len(whole) // 2] if damage == "cut" else b"")
    pipeline.add("more.csv", MORE)
    pipeline.fails(4, largest.name)
    largest.write_bytes(whole)
    pipeline.succeeds()
    pipeline.holds(ada=2000, ben=1013, cyd=1020)


def test_the_state_of_another_program_is_refused_with_the_difference(pipeline: Pipeline) -> None:
    pipeline.add("more.csv", MORE)
    pipeline.fails(6, "max", "min", program=FAILS.replace("pw.reducers.max", "pw.reducers.min"))
    pipeline.fails(6, "score", program=FAILS.replace("score: float | None", "score: str"))
    pipeline.succeeds()
    pipeline.holds(ada=2000, ben=1013, cyd=1020)


def test_a_result_file_that_somebody_else_changed_is_not_cut(pipeline: Pipeline) -> None:
    theirs = b"not what the program wrote\n"
    ours = pipeline.result.read_bytes()
    pipeline.result.write_bytes(theirs)
    pipeline.add("more.csv", MORE)
    pipeline.fails(4, "users.csv")
    pipeline.result.write_bytes(ours)


# Other processes, signals, and a disk that is full

BIG_USERS = {f"user{i}": i for i in range(20_000)}
BIG = "".join(f"{user},{time},,\n" for user, time in BIG_USERS.items()).encode()


def started(pipeline: Pipeline, copies: int) -> subprocess.Popen[str]:
    """A process in the middle of a run over much input."""
    with (pipeline.root / "logs" / "big.csv").open("wb") as file:
        file.write(HEADER)
        for _ in range(copies):
            file.write(BIG)
    before = {path: path.stat().st_mtime_ns for path in (pipeline.root / "state").rglob("*")}
    process = subprocess.Popen(
        [sys.executable, "script.py"],
        cwd=pipeline.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        now = {path: path.stat().st_mtime_ns for path in (pipeline.root / "state").rglob("*")}
        if now != before:
            return process
        time.sleep(0.0005)
    pytest.fail(f"the run did not touch its state: {process.communicate()}")


def test_a_second_process_is_told_who_holds_the_state(pipeline: Pipeline) -> None:
    first = started(pipeline, 100)
    first.send_signal(signal.SIGSTOP)
    try:
        ended = pipeline.script(FAILS)
    finally:
        first.send_signal(signal.SIGCONT)
    _, errors = first.communicate(timeout=60)
    assert first.returncode == 0, errors
    assert ended.returncode == 5, ended.stderr
    assert str(first.pid) in ended.stderr and "state" in ended.stderr
    pipeline.succeeds()
    pipeline.holds(ada=1000, ben=1013, **BIG_USERS)


def test_ctrl_c_ends_the_run_and_the_next_one_goes_on(pipeline: Pipeline) -> None:
    process = started(pipeline, 200)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode in (130, -signal.SIGINT), (process.returncode, errors)
    assert "panicked" not in errors
    pipeline.succeeds()
    pipeline.holds(ada=1000, ben=1013, **BIG_USERS)


def test_a_full_disk_is_an_error_and_room_is_enough_to_go_on(pipeline: Pipeline) -> None:
    pipeline.add("more.csv", HEADER + BIG)
    limited = FAILS.replace("import sys\n", "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (4096, -1))\n")
    ended = pipeline.script(limited)
    assert ended.returncode == 7, (ended.returncode, ended.stderr)
    pipeline.succeeds()
    pipeline.holds(ada=1000, ben=1013, **BIG_USERS)
