"""What a run says of itself: the report, the terminal, HTTP. All of it on standard error or where it was asked for."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import pty
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import environment

import millpond as pw

PATIENCE_S = 30
COLUMNS = 120
TOKEN = "t0ken-that-nobody-may-see"

PROGRAM = """\
import sys
import millpond as pw

class Visit(pw.Schema):
    user: str
    time: int

mode, level = sys.argv[1:3]
options = dict(argument.split("=") for argument in sys.argv[3:])
visits = pw.io.csv.read("logs", schema=Visit, mode=mode, autocommit_duration_ms=10, name="visits")
counts = visits.groupby(visits.user).reduce(visits.user, n=pw.reducers.count(), last=pw.reducers.max(visits.time))
pw.io.csv.write(counts, "result.csv")
backend = pw.persistence.Backend.filesystem("state")
config = pw.persistence.Config(backend, snapshot_interval_ms=20)
pw.run(monitoring_level=getattr(pw.MonitoringLevel, level), persistence_config=config, workers=2, **options)
"""


class Program:
    """A program over a folder of logs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.processes: list[subprocess.Popen[bytes]] = []
        (root / "logs").mkdir()
        (root / "program.py").write_text(PROGRAM, encoding="utf-8")

    def add(self, file: str, *users: str) -> None:
        rows = "".join(f"{user},{at}\n" for at, user in enumerate(users))
        (self.root / "logs" / file).write_text(f"user,time\n{rows}", encoding="utf-8")

    def start(
        self, *arguments: str, stderr: int = subprocess.PIPE, env: dict[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "program.py", *arguments],
            cwd=self.root,
            env={**environment(), "TERM": "xterm", **(env or {})},
            stdout=subprocess.PIPE,
            stderr=stderr,
        )
        self.processes.append(process)
        return process

    def run(self, *arguments: str, **env: str) -> tuple[int, bytes, bytes]:
        process = self.start(*arguments, env=env)
        out, err = process.communicate(timeout=PATIENCE_S)
        return process.returncode, out, err

    def report(self) -> dict[str, Any]:
        report = json.loads((self.root / "report.json").read_text(encoding="utf-8"))
        assert isinstance(report, dict)
        return report


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    program = Program(tmp_path)
    yield program
    for process in program.processes:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


# The report


def test_a_report_is_written_where_the_argument_or_else_the_environment_says(program: Program) -> None:
    program.add("one.csv", "ann", "bob", "ann")
    assert program.run("static", "NONE", "report=report.json", MILLPOND_REPORT="other.json") == (0, b"", b"")
    report = program.report()
    assert not (program.root / "other.json").exists()
    assert (report["schema"], report["version"], report["status"]) == ("millpond.run-report", 1, "finished")
    assert report["sources"][0]["rows_read"] == 3
    assert program.run("static", "NONE", MILLPOND_REPORT="other.json") == (0, b"", b"")
    assert json.loads((program.root / "other.json").read_text())["sources"][0]["files_unchanged"] == 1


def test_a_run_that_fails_has_a_report(program: Program) -> None:
    (program.root / "logs" / "one.csv").write_text("user,time\nann,noon\n")
    code, out, err = program.run("static", "ALL", "report=report.json")
    report = program.report()
    assert (code, out, report["status"]) == (pw.InputError.exit_code, b"", "failed")
    assert report["error"]["kind"] == "input"
    assert report["error"]["message"] in err.decode()


def test_what_is_asked_for_is_checked_before_anything_runs(tmp_path: Path) -> None:
    table = pw.debug.table_from_markdown("a\n1")
    pw.io.csv.write(table, str(tmp_path / "result.csv"))
    with pytest.raises(pw.InvalidError, match="report: there is no folder"):
        pw.run(report=tmp_path / "nowhere" / "report.json")
    with pytest.raises(pw.InvalidError, match="report: expected a path, got 3"):
        pw.run(report=3)  # type: ignore[arg-type]
    with pytest.raises(pw.InvalidError, match='http_address: "nowhere" is not an address'):
        pw.run(http_address="nowhere")
    with pytest.raises(pw.InvalidError, match="http_address: expected an address or a port, got True"):
        pw.run(http_address=True)
    with pytest.raises(pw.InvalidError, match="can be reached from other machines\nhint: set MILLPOND_HTTP_TOKEN"):
        pw.run(http_address="0.0.0.0:0")
    assert not (tmp_path / "result.csv").exists()


# HTTP


def get(url: str, token: str | None = None) -> tuple[int, str]:
    request = urllib.request.Request(url, headers={} if token is None else {"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@contextlib.contextmanager
def serving(program: Program, *arguments: str, **env: str) -> Iterator[str]:
    """A running program and the address that it serves; stopped at the end."""
    process = program.start("streaming", "AUTO", *arguments, env=env)
    assert process.stderr is not None
    found = re.match(r"millpond: metrics at (http://127\.0\.0\.1:\d+)/metrics\n", process.stderr.readline().decode())
    assert found
    yield found[1]
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out) == (130, b"")
    assert TOKEN not in err.decode()


def values(page: str) -> dict[str, float]:
    """Every number by its name and the name of what it is about, as a parser of Prometheus reads them."""
    parser = pytest.importorskip("prometheus_client.parser")
    families = list(parser.text_string_to_metric_families(page))
    assert all(family.name.startswith("millpond_") and family.documentation for family in families)
    samples = [sample for family in families for sample in family.samples]
    label = ("source", "step", "output")
    names = [" ".join([s.name, *(s.labels[key] for key in label if key in s.labels)]) for s in samples]
    assert len(set(names)) == len(names)
    return {name: sample.value for name, sample in zip(names, samples, strict=True)}


def test_a_running_program_serves_its_numbers(program: Program) -> None:
    program.add("one.csv", "ann", "bob", "ann")
    with serving(program, "http_address=0") as url:
        until(lambda: values(get(f"{url}/metrics")[1]).get("millpond_output_rows_total result.csv") == 2)
        program.add("two.csv", "cid")
        until(lambda: values(get(f"{url}/metrics")[1])["millpond_source_rows_total visits"] == 4)
        until(lambda: json.loads(get(f"{url}/healthz")[1])["last_checkpoint_age_s"] is not None)
        page = values(get(f"{url}/metrics")[1])
        assert page["millpond_source_files_new_total visits"] == 2
        assert page["millpond_source_read_bytes_total visits"] == len("user,time\n") * 2 + len("ann,0\n") * 4
        assert page["millpond_workers"] == 2
        assert page["millpond_lag_seconds"] == 0
        assert [value for name, value in page.items() if name.startswith("millpond_step_input_rows_total")] == [4]
        code, body = get(f"{url}/healthz")
        assert (code, json.loads(body)["status"]) == (200, "ok")
        assert get(f"{url}/elsewhere")[0] == 404


def test_a_quote_that_nobody_closes_is_seen_and_told_of(program: Program) -> None:
    program.add("one.csv", "ann")
    process = program.start("streaming", "AUTO", "http_address=0")
    assert process.stderr is not None
    # A line that never comes fails the test.
    watchdog = threading.Timer(PATIENCE_S, process.kill)
    watchdog.daemon = True
    watchdog.start()
    url = process.stderr.readline().decode().split()[-1]
    until(lambda: values(get(url)[1]).get("millpond_output_rows_total result.csv") == 1)
    log = program.root / "logs" / "one.csv"
    with log.open("a") as file:
        file.write('"bob,2\n' + "cid,3\n" * 3)
    notice = process.stderr.readline().decode()
    assert "logs/one.csv:3: the last row has no end yet and waits (4 lines, 25 bytes" in notice
    assert "a quote that opens in line 3 is not closed" in notice
    page = values(get(url)[1])
    assert page["millpond_source_waiting_bytes visits"] == 25
    assert page["millpond_lag_seconds"] > 0
    with log.open("a") as file:
        file.write("cid,3\n" * 10)
    assert "(14 lines, 85 bytes" in process.stderr.readline().decode()
    with log.open("a") as file:
        file.write('",9\n')
    until(lambda: values(get(url)[1])["millpond_source_rows_total visits"] == 2)
    page = values(get(url)[1])
    assert (page["millpond_source_waiting_bytes visits"], page["millpond_lag_seconds"]) == (0, 0)
    watchdog.cancel()
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 143
    summary = r"millpond: files 1 new, \d+ changed, 0 unchanged; 2 rows read, .*; stopped before the end\n"
    assert re.fullmatch(summary, err.decode())


def test_only_names_of_this_machine_are_answered_beside_silent_clients(program: Program) -> None:
    program.add("one.csv", "ann")
    with serving(program, "http_address=0") as url, contextlib.ExitStack() as silent:
        place = urllib.parse.urlsplit(url)
        for _ in range(80):
            silent.enter_context(socket.create_connection(("127.0.0.1", place.port or 0)))
        assert get(f"{url}/healthz")[0] == 200
        for host, code in [("localhost", 200), (f"[::1]:{place.port}", 200), ("evil.example", 421)]:
            request = urllib.request.Request(f"{url}/metrics", headers={"Host": host})
            try:
                with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
                    assert response.status == code
            except urllib.error.HTTPError as error:
                with error:
                    assert (error.code, b"millpond_" in error.read()) == (code, False)


def test_a_token_is_asked_for_and_never_shown(program: Program) -> None:
    program.add("one.csv", "ann")
    env = {"MILLPOND_HTTP": "0", "MILLPOND_HTTP_TOKEN": TOKEN}
    with serving(program, "report=report.json", **env) as url:
        assert get(f"{url}/metrics")[0] == 401
        assert get(f"{url}/healthz", "another")[0] == 401
        until(lambda: get(f"{url}/metrics", TOKEN)[1].count("millpond_") > 10)
        pages = [get(f"{url}/{page}", TOKEN) for page in ("metrics", "healthz")]
        assert [code for code, _ in pages] == [200, 200]
        assert not any(TOKEN in body for _, body in pages)
    assert program.report()["status"] == "stopped"
    assert TOKEN not in (program.root / "report.json").read_text()


# The terminal


class Screen:
    """A terminal, as far as a program uses it that draws and clears lines."""

    def __init__(self) -> None:
        self.lines = [""]
        self.row = self.column = 0
        self.shown = ""

    def feed(self, text: str) -> None:
        self.shown += text
        for control, command, plain in re.findall(r"(\x1b\[[0-9;?]*([A-Za-z]))|([^\x1b])", text):
            if control:
                self._control(command, control[2:-1])
            elif plain == "\r":
                self.column = 0
            elif plain == "\n":
                self._move(1)
            else:
                if self.column == COLUMNS:
                    self.column = 0
                    self._move(1)
                line = self.lines[self.row].ljust(self.column)
                self.lines[self.row] = line[: self.column] + plain + line[self.column + 1 :]
                self.column += 1

    def _control(self, command: str, argument: str) -> None:
        count = int(argument or "1") if argument.isdigit() or not argument else 0
        if command in "AB":
            self._move(-count if command == "A" else count)
        elif command == "K":
            self.lines[self.row] = "" if argument == "2" else self.lines[self.row][: self.column]
        elif command == "J":
            self.lines[self.row] = self.lines[self.row][: self.column]
            del self.lines[self.row + 1 :]
        elif command == "G":
            self.column = count - 1
        elif command in ("h", "l"):
            assert argument != "?25", "the cursor was hidden"
        elif command != "m":
            raise AssertionError(f"a control that the test does not know: {argument}{command}")

    def _move(self, down: int) -> None:
        self.row = max(0, self.row + down)
        self.lines += [""] * (self.row + 1 - len(self.lines))

    def text(self) -> list[str]:
        return [line.rstrip() for line in self.lines if line.strip()]


class Terminal:
    """A program whose standard error is a terminal."""

    def __init__(self, program: Program, *arguments: str) -> None:
        self.screen = Screen()
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
        self.process = program.start(*arguments, stderr=slave)
        os.close(slave)

    def read_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, f"it did not happen: {self.screen.text()}"
            if not self._read():
                break
        assert condition(), self.screen.text()

    def end(self) -> int:
        """The exit code, when all was read."""
        while self._read():
            pass
        out, _ = self.process.communicate(timeout=PATIENCE_S)
        assert out == b"", "nothing is for standard output"
        os.close(self.master)
        return self.process.returncode

    def _read(self) -> bool:
        if not select.select([self.master], [], [], 0.1)[0]:
            return True
        try:
            part = os.read(self.master, 65536)
        except OSError:  # the other side is closed
            return False
        self.screen.feed(part.decode())
        return bool(part)


SUMMARY = r"millpond: files \d+ new, 0 changed, 0 unchanged; [\d,]+ rows? read, [\d,]+ changes? written, [\d.]+ s"


@contextlib.contextmanager
def slow(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Lets a process run for a sixth of the time, as on a slow machine."""

    def brake() -> None:
        while process.poll() is None:
            process.send_signal(signal.SIGSTOP)
            time.sleep(0.025)
            process.send_signal(signal.SIGCONT)
            time.sleep(0.005)

    thread = threading.Thread(target=brake)
    thread.start()
    yield
    thread.join()


@pytest.mark.parametrize("level", ["AUTO", "ALL"])
def test_a_static_run_has_a_progress_bar_that_goes_away(program: Program, level: str) -> None:
    program.add("0.csv", *(f"user {number}" for number in range(100_000)))
    for file in range(1, 20):
        shutil.copy(program.root / "logs" / "0.csv", program.root / "logs" / f"{file}.csv")
    terminal = Terminal(program, "static", level)
    with slow(terminal.process):
        assert terminal.end() == 0
    assert re.search(r"\d+% \[[=> ]+\] .*B/.*B, .*B/s, .* left, [\d,]+ rows, files \d+/20", terminal.screen.shown)
    (line,) = terminal.screen.text()
    assert re.fullmatch(SUMMARY, line)


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_dashboard_shows_a_streaming_run_and_goes_away(program: Program, stop: signal.Signals) -> None:
    program.add("one.csv", "ann", "bob", "ann")
    terminal = Terminal(program, "streaming", "ALL")
    screen = terminal.screen

    def shows(*patterns: str) -> bool:
        lines = screen.text()
        return all(any(re.match(pattern, line) for line in lines) for pattern in patterns)

    terminal.read_until(
        lambda: shows(
            r"millpond: running for 0:00:\d\d; .* epochs?, .*lag .* s; state .*, saved .* s ago in",
            r"source  visits +3 rows +\d+/s",
            r"step    visits/reduce-0 +3 in +\d+/s  2 out  state \d+ rows",
            r"output  result.csv +2 rows",
        )
    )
    program.add("two.csv", "cid")
    terminal.read_until(lambda: shows(r"source  visits +4 rows", r"output  result.csv +3 rows"))
    assert len(screen.text()) == 4, "it is drawn over and over in one place"
    terminal.process.send_signal(stop)
    assert terminal.end() == 128 + stop
    assert len(screen.text()) == 1 and screen.text()[0].startswith("millpond: files 2 new"), "only the summary is left"


def test_an_error_stands_alone_where_a_dashboard_was(program: Program) -> None:
    program.add("one.csv", "ann")
    terminal = Terminal(program, "streaming", "IN_OUT")
    terminal.read_until(lambda: any(line.startswith("output  result.csv") for line in terminal.screen.text()))
    assert not any(line.startswith("step") for line in terminal.screen.text())
    (program.root / "logs" / "two.csv").write_text("user,time\nann,noon\n")
    assert terminal.end() == pw.InputError.exit_code
    (line,) = terminal.screen.text()
    assert line.endswith('logs/two.csv:2: time: "noon" is not an int')


def test_no_level_draws_where_nothing_can_be_drawn(program: Program) -> None:
    program.add("one.csv", "ann")
    for level in ["NONE", "AUTO", "AUTO_ALL", "IN_OUT", "ALL"]:
        code, out, err = program.run("static", level)
        assert (code, out) == (0, b"")
        assert err.count(b"\n") == (level != "NONE")
        assert b"\x1b" not in err
    terminal = Terminal(program, "static", "NONE")
    assert terminal.end() == 0
    assert terminal.screen.shown == ""


def test_without_a_terminal_a_line_now_and_then_says_how_it_goes(program: Program) -> None:
    program.add("one.csv", "ann", "bob")
    process = program.start("streaming", "ALL")
    assert process.stderr is not None
    line = process.stderr.readline().decode()
    assert re.fullmatch(r"millpond: 2 rows read \(\d+/s\), 2 rows written \(\d+/s\); 1 epoch, .*\n", line)


# Logging


def test_the_logger_says_what_the_engine_does(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "one.csv").write_text("user\nann\nbob,too,much\n")
    visits = pw.io.csv.read(str(tmp_path / "logs"), schema=pw.schema_from_types(user=str), mode="static", name="visits")
    skipping = pw.io.csv.read(
        str(tmp_path / "logs"), schema=pw.schema_from_types(user=str), mode="static", name="skipping", on_error="skip"
    )
    pw.io.csv.write(skipping, str(tmp_path / "result.csv"))
    config = pw.persistence.Config(pw.persistence.Backend.filesystem(str(tmp_path / "state")))
    with caplog.at_level("DEBUG", logger="millpond"):
        pw.run(monitoring_level=pw.MonitoringLevel.NONE, persistence_config=config)
    records = [(record.levelname, record.getMessage(), record.spans) for record in caplog.records]  # type: ignore[attr-defined]
    assert {record.name for record in caplog.records} == {"millpond"}

    def has(level: str, message: str, spans: str) -> bool:
        return any(
            level == record[0] and re.fullmatch(message, record[1]) and re.fullmatch(spans, record[2])
            for record in records
        )

    assert has("INFO", r"run started processes=1 workers=\d+ streaming=false", "run"), records
    assert has("DEBUG", r"new input source=skipping bytes=22 waiting_bytes=0", "run"), records
    assert has("WARNING", r"1 row left out; the first: .*one.csv:3: .* source=skipping", r"run:epoch\{epoch=\d+\}"), (
        records
    )
    assert has("DEBUG", r"epoch done epoch=\d+ duration_s=[\d.e-]+", r"run:epoch\{epoch=\d+\}"), records
    assert has("DEBUG", r"checkpoint committed epoch=\d+ bytes=\d+ .*", r"run:checkpoint\{epoch=\d+\}"), records
    assert has("INFO", "run ended", "run"), records
    assert caplog.records[0].created <= caplog.records[-1].created <= time.time()

    caplog.clear()
    pw.clear()
    pw.io.csv.write(visits, str(tmp_path / "other.csv"))
    with caplog.at_level("WARNING", logger="millpond"), pytest.raises(pw.InputError) as raised:
        pw.run(monitoring_level=pw.MonitoringLevel.NONE)
    (record,) = caplog.records
    assert (record.levelname, record.getMessage()) == ("ERROR", f"run failed: {raised.value} kind=input")


def test_the_logger_is_silent_unless_it_is_asked(script: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    code = """
import logging
import millpond as pw
table = pw.io.csv.read("empty", schema=pw.schema_from_types(a=int), mode="static")
pw.io.csv.write(table, "result.csv")
import os
os.mkdir("empty")
pw.run(monitoring_level=pw.MonitoringLevel.NONE)
"""
    done = script(code)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_handler_that_fails_ends_the_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Full(Exception):
        pass

    def refuse(record: logging.LogRecord) -> bool:
        raise Full

    pw.io.csv.write(pw.debug.table_from_markdown("a\n1"), str(tmp_path / "result.csv"))
    logger = logging.getLogger("millpond")
    logger.addFilter(refuse)
    try:
        with caplog.at_level("INFO", logger="millpond"), pytest.raises(Full):
            pw.run(monitoring_level=pw.MonitoringLevel.NONE)
    finally:
        logger.removeFilter(refuse)
