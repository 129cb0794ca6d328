"""Runs that are stopped from outside: by signals, by an event, in asyncio, and where a function does not return."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import Script, environment

import millpond as pw

QUIET = pw.MonitoringLevel.NONE
WATCHDOG_S = 60
"""A hang fails; nothing here takes nearly as long."""

BOTH = pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])


@contextmanager
def running(root: Path, code: str, **env: str) -> Iterator[subprocess.Popen[str]]:
    """A script that has said that it is ready."""
    (root / "job.py").write_text(code, encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "job.py"],
        cwd=root,
        env={**environment(), **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    watchdog = threading.Timer(WATCHDOG_S, process.kill)
    watchdog.start()
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", process.communicate()
        yield process
    finally:
        watchdog.cancel()
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, errors = process.communicate(timeout=WATCHDOG_S)
    return process.returncode, errors


SUBJECT = """\
import asyncio, json, logging, signal, sys, threading, time
import millpond as pw

def stuck():
    print("ready", flush=True)
    STUCK

class Numbers(pw.io.python.ConnectorSubject):
    START = None
    def run(self):
        self.next(number=1)
        self.commit(**self.position)
        STAY
    position = {}

class Row(pw.Schema):
    number: int
"""

KINDS = {"sleep": "time.sleep(1e6)", "loop": "while True: pass", "wait": "threading.Event().wait()"}


def subject(stuck: str = "sleep", stay: str = "return") -> str:
    return SUBJECT.replace("STUCK", KINDS[stuck]).replace("STAY", stay).replace("START = None", "pass")


SUBSCRIBERS = {
    "on_change": "def on_change(key, row, time, is_addition): stuck()",
    "on_time_end": "def on_time_end(time): stuck()",
    "on_end": "def on_end(): stuck()",
}


def subscribed(place: str, stuck: str) -> str:
    functions = {"on_change": "def on_change(key, row, time, is_addition): pass", place: SUBSCRIBERS[place]}
    return (
        subject(stuck)
        + "\n".join(functions.values())
        + "\n"
        + f"pw.io.subscribe(pw.io.python.read(Numbers(), schema=Row), {', '.join(f'{f}={f}' for f in functions)})\n"
        + "pw.run(monitoring_level=pw.MonitoringLevel.NONE)\n"
    )


@pytest.mark.parametrize(
    ("place", "stuck", "number", "code"),
    [
        ("on_change", "sleep", signal.SIGTERM, 143),
        ("on_change", "loop", signal.SIGINT, 130),
        ("on_time_end", "wait", signal.SIGINT, 130),
        ("on_end", "loop", signal.SIGTERM, 143),
    ],
)
def test_a_subscriber_that_never_returns_is_left_behind(
    place: str, stuck: str, number: int, code: int, tmp_path: Path
) -> None:
    with running(tmp_path, subscribed(place, stuck), MILLPOND_GRACE_S="0.2") as process:
        process.send_signal(number)
        returned, errors = ended(process)
    assert returned == code, errors
    assert f'{place} of "subscription 1", {place} (job.py:' in errors, errors
    assert "did not return within 0.2 s after the run was told to end" in errors and "Traceback" not in errors


# Method, what run does in the end, signal, exit code.
SUBJECTS = {
    "on_stop": ("def on_stop(self): stuck()", "return", signal.SIGINT, 130),
    "on_stop, called by the run": ("def on_stop(self): stuck()", "time.sleep(1e6)", signal.SIGTERM, 143),
    "run": ("", "stuck()", signal.SIGTERM, 143),
    "on_persisted_run": ("def on_persisted_run(self): stuck()", "return", signal.SIGINT, 130),
    "seek": ("def seek(self, position): stuck()", "return", signal.SIGTERM, 143),
}


@pytest.mark.parametrize("place", SUBJECTS)
def test_a_subject_that_never_returns_is_left_behind(place: str, tmp_path: Path) -> None:
    method, stay, number, code = SUBJECTS[place]
    saved = place in ("on_persisted_run", "seek")
    program = subject("sleep", stay).replace("    pass\n", f"    {method or 'pass'}\n")
    if saved:
        program = program.replace("position = {}", "position = {'position': 1}")
        if "def seek" not in method:
            program = program.replace("position = {", "def seek(self, position): pass\n    position = {")
    # Its on_stop is called by the run only if that ends first.
    on_change = 'print("ready", flush=True)' if "called by the run" in place else "None"
    config = 'pw.persistence.Config(pw.persistence.Backend.filesystem("state"))' if saved else "None"
    program += (
        "numbers = pw.io.python.read(Numbers(), schema=Row, name='numbers')\n"
        f"pw.io.subscribe(numbers, lambda *change: {on_change})\n"
        f"pw.run(monitoring_level=pw.MonitoringLevel.NONE, persistence_config={config})\n"
    )
    if place == "seek":
        (tmp_path / "first.py").write_text(program.replace("position): stuck()", "position): pass"), encoding="utf-8")
        subprocess.run([sys.executable, "first.py"], cwd=tmp_path, check=True, timeout=WATCHDOG_S)
    with running(tmp_path, program, MILLPOND_GRACE_S="0.2") as process:
        process.send_signal(number)
        returned, errors = ended(process)
    assert returned == code, errors
    assert f"Numbers.{place.partition(',')[0]} (job.py:" in errors and "did not return" in errors, errors
    assert "Traceback" not in errors, errors


@pytest.mark.parametrize(("stuck", "number", "code"), [("sleep", signal.SIGINT, 130), ("loop", signal.SIGTERM, 143)])
def test_a_second_signal_ends_at_once(stuck: str, number: int, code: int, tmp_path: Path) -> None:
    with running(tmp_path, subscribed("on_change", stuck), MILLPOND_GRACE_S="1e6") as process:
        process.send_signal(number)
        assert process.stderr is not None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.3)
        process.send_signal(number)
        returned, errors = ended(process)
    assert returned == code, errors
    assert 'a second signal, in on_change of "subscription 1", on_change (job.py:' in errors, errors
    assert "Traceback" not in errors, errors


def test_a_function_that_is_slow_and_returns_is_waited_for(tmp_path: Path) -> None:
    code = subject("sleep") + (
        "def on_change(key, row, at, is_addition):\n"
        "    if row['number'] == 0: print('ready', flush=True)\n"
        "    time.sleep(0.05)\n"
        "    if row['number'] == 19: print('done', flush=True)\n"
        "class Many(Numbers):\n"
        "    def run(self):\n"
        "        for number in range(20): self.next(number=number)\n"
        "pw.io.subscribe(pw.io.python.read(Many(), schema=Row), on_change)\n"
        "pw.run(monitoring_level=pw.MonitoringLevel.NONE)\n"
    )
    with running(tmp_path, code, MILLPOND_GRACE_S="0.5") as process:
        process.send_signal(signal.SIGTERM)
        out, errors = process.communicate(timeout=WATCHDOG_S)
    assert (process.returncode, out, errors) == (143, "done\n", "")


STREAMING = """\
import asyncio, signal, sys, threading
import millpond as pw
def on_change(key, row, time, is_addition): print("ready", flush=True)
visits = pw.io.csv.read("logs", schema=pw.schema_from_types(user=str), mode="streaming", name="visits")
pw.io.subscribe(visits, on_change)
config = pw.persistence.Config(pw.persistence.Backend.filesystem("state"))
OPTIONS = dict(monitoring_level=pw.MonitoringLevel.NONE, persistence_config=config)
"""


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.csv").write_text("user\nann\n", encoding="utf-8")
    return tmp_path


@BOTH
def test_a_storm_of_signals_shows_no_traceback(number: int, code: int, logs: Path) -> None:
    for _ in range(2):
        # Without saved state the row comes again each time.
        with running(logs, STREAMING.replace(", persistence_config=config", "") + "pw.run(**OPTIONS)\n") as process:
            while process.poll() is None:
                process.send_signal(number)
            returned, errors = ended(process)
        # The last ones may come when Python has no handlers any more.
        assert returned in (code, -number) and "Traceback" not in errors, (returned, errors)


LATE = """
import os, signal
import millpond as pw

put_back = signal.signal

def interrupted_put_back(number, handler):
    if handler is signal.default_int_handler:
        os.kill(os.getpid(), number)
    return put_back(number, handler)

signal.signal = interrupted_put_back
pw.io.subscribe(pw.debug.table_from_markdown("a\\n1"), on_change=lambda key, row, time, is_addition: None)
pw.run(monitoring_level=pw.MonitoringLevel.NONE)
"""


def test_a_signal_that_comes_as_a_run_has_ended_shows_no_traceback(tmp_path: Path, script: Script) -> None:
    ended = script(LATE)
    assert (ended.returncode, ended.stderr) == (130, "")


def test_a_handler_of_logging_that_never_returns_is_interrupted(logs: Path) -> None:
    code = (
        "import logging, time\n"
        + STREAMING.replace('print("ready", flush=True)', "pass")
        + (
            "class Stuck(logging.Handler):\n"
            "    def emit(self, record):\n"
            "        print('ready', flush=True)\n"
            "        time.sleep(1e6)\n"
            "logging.getLogger('millpond').addHandler(Stuck())\n"
            "logging.getLogger('millpond').setLevel(logging.DEBUG)\n"
            "pw.run(**OPTIONS)\n"
        )
    )
    with running(logs, code, MILLPOND_GRACE_S="0.2") as process:
        process.send_signal(signal.SIGTERM)
        returned, errors = ended(process)
    assert (returned, errors) == (143, "millpond: a handler of logging did not return within 0.2 s\n")


def test_an_error_of_the_run_is_not_hidden_by_a_signal(logs: Path) -> None:
    code = STREAMING.replace('print("ready", flush=True)', "fail()") + (
        "def fail():\n"
        "    import time\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(0.5)\n"
        "    raise ValueError('lost')\n"
        "pw.run(**OPTIONS)\n"
    )
    with running(logs, code) as process:
        process.send_signal(signal.SIGTERM)
        returned, errors = ended(process)
    assert returned == 1 and errors.endswith("ValueError: lost\n"), (returned, errors)


@pytest.mark.parametrize(
    "program",
    [
        # The loop waits for the run.
        "async def main(): pw.run(**OPTIONS)",
        "async def main():\n"
        "    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, print)\n"
        "    pw.run(**OPTIONS)",
        "async def main(): await pw.run_async(**OPTIONS)",
        pytest.param(
            "async def main(): await asyncio.to_thread(pw.run, **OPTIONS)",
            marks=pytest.mark.skipif(sys.version_info < (3, 11), reason="Ctrl-C cancels no task"),
        ),
        "async def main():\n"
        "    stop = threading.Event()\n"
        "    try: await asyncio.to_thread(pw.run, stop=stop, **OPTIONS)\n"
        "    finally: stop.set()",
        # Where Ctrl-C cancels no task.
        "async def main():\n"
        "    signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "    await pw.run_async(**OPTIONS)",
    ],
)
def test_the_first_interrupt_ends_a_program_of_asyncio(program: str, logs: Path) -> None:
    with running(logs, f"{STREAMING}{program}\nasyncio.run(main())\n") as process:
        process.send_signal(signal.SIGINT)
        returned, errors = ended(process)
    if "default_int_handler" in program:
        assert returned in (130, -signal.SIGINT), (returned, errors)
    else:
        assert (returned, errors) == (130, "")
    again = "import millpond as pw\n" + STREAMING.replace('"streaming"', '"static"') + "print(pw.run(**OPTIONS))\n"
    (logs / "again.py").write_text(again, encoding="utf-8")
    result = subprocess.run([sys.executable, "again.py"], cwd=logs, capture_output=True, text=True, timeout=WATCHDOG_S)
    assert "1 unchanged; 0 rows read" in result.stdout, result


def test_sigterm_ends_a_program_of_asyncio(logs: Path) -> None:
    program = """
import asyncio, json
import millpond as pw

def on_change(key, row, time, is_addition): print("ready", flush=True)

table = pw.io.csv.read("logs/", schema=pw.schema_from_types(user=str), mode="streaming", name="logs")
pw.io.subscribe(table, on_change, lambda: print("over", flush=True))
asyncio.run(pw.run_async(report="report.json", state="state"))
"""
    with running(logs, program) as process:
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=WATCHDOG_S)
    assert process.returncode == 143 and output.endswith("over\n"), (process.returncode, output, errors)
    assert "Traceback" not in errors
    assert '"status": "stopped"' in (logs / "report.json").read_text()


def write_numbers(seen: threading.Event) -> None:
    class Numbers(pw.io.python.ConnectorSubject):
        def run(self) -> None:
            self.end = threading.Event()
            self.next(number=1)
            self.commit()
            self.end.wait(WATCHDOG_S)

        def on_stop(self) -> None:
            self.end.set()

    numbers = pw.io.python.read(Numbers(), schema=pw.schema_from_types(number=int))
    pw.io.subscribe(numbers, lambda key, row, time, is_addition: seen.set())


def test_an_event_ends_a_run_of_another_thread() -> None:
    seen, stop = threading.Event(), threading.Event()
    write_numbers(seen)
    summaries: list[pw.RunSummary] = []
    thread = threading.Thread(target=lambda: summaries.append(pw.run(stop=stop, monitoring_level=QUIET)))
    thread.start()
    assert seen.wait(WATCHDOG_S)
    stop.set()
    thread.join(WATCHDOG_S)
    assert summaries and summaries[0].stopped and summaries[0].rows_read == 1


def test_an_event_ends_a_run_of_this_thread_and_counts_before_it() -> None:
    seen, stop = threading.Event(), threading.Event()
    write_numbers(seen)

    def stop_when_seen() -> None:
        seen.wait(WATCHDOG_S)
        stop.set()

    threading.Thread(target=stop_when_seen).start()
    assert pw.run(stop=stop, monitoring_level=QUIET).stopped
    assert pw.run(stop=stop, monitoring_level=QUIET).stopped


def test_an_event_ends_a_static_run_which_the_next_one_does(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("user\n" + "ann\n" * 300_000, encoding="utf-8")
    visits = pw.io.csv.read(tmp_path / "a.csv", schema=pw.schema_from_types(user=str), name="visits")
    pw.io.csv.write(visits.groupby(pw.this.user).reduce(n=pw.reducers.count()), tmp_path / "result.csv")
    config = pw.persistence.Config(pw.persistence.Backend.filesystem(tmp_path / "state"))
    stop = threading.Event()
    stop.set()
    stopped = pw.run(stop=stop, monitoring_level=QUIET, persistence_config=config)
    done = pw.run(monitoring_level=QUIET, persistence_config=config)
    assert not done.stopped
    # The file may have been read by the time that somebody looked.
    assert (stopped.stopped, done.rows_read) in [(True, 300_000), (False, 0)]


def test_a_cancelled_task_has_ended_its_run() -> None:
    seen = threading.Event()
    write_numbers(seen)

    async def main() -> None:
        task = asyncio.create_task(pw.run_async(monitoring_level=QUIET))
        assert await asyncio.to_thread(seen.wait, WATCHDOG_S)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        # The subject is free for another run.
        stop = threading.Event()
        seen.clear()
        again = asyncio.create_task(pw.run_async(stop=stop, monitoring_level=QUIET))
        assert await asyncio.to_thread(seen.wait, WATCHDOG_S)
        stop.set()
        assert (await again).stopped

    asyncio.run(main())


def test_an_error_of_a_run_reaches_the_task_that_awaits_it(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("number\nx\n", encoding="utf-8")
    numbers = pw.io.csv.read(tmp_path / "a.csv", schema=pw.schema_from_types(number=int))
    pw.io.csv.write(numbers, tmp_path / "result.csv")
    with pytest.raises(pw.InputError, match='"x" is not an int'):
        asyncio.run(pw.run_async(monitoring_level=QUIET))


def test_an_error_of_a_run_that_is_cancelled_is_not_hidden() -> None:
    seen, goes_on = threading.Event(), threading.Event()

    def fail(key: int, row: dict[str, object], time: int, is_addition: bool) -> None:
        seen.set()
        goes_on.wait(WATCHDOG_S)
        raise ValueError("mine")

    pw.io.subscribe(pw.debug.table_from_markdown("a\n1"), fail)

    async def main() -> None:
        task = asyncio.create_task(pw.run_async(monitoring_level=QUIET))
        assert await asyncio.to_thread(seen.wait, WATCHDOG_S)
        task.cancel()
        await asyncio.sleep(0)
        goes_on.set()
        with pytest.raises(ValueError, match="mine"):
            await task

    asyncio.run(main())


def test_a_function_that_never_returns_is_left_behind_by_an_event(tmp_path: Path) -> None:
    code = subscribed("on_change", "sleep").replace(
        "pw.run(", "stop = threading.Event()\nthreading.Timer(0.2, stop.set).start()\npw.run(stop=stop, "
    )
    with running(tmp_path, code, MILLPOND_GRACE_S="0.2") as process:
        returned, errors = ended(process)
    assert returned == 7 and "the run was left behind: on_change" in errors and "Traceback" not in errors, errors


def test_what_cannot_be_a_flag_or_a_number_of_seconds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    write_numbers(threading.Event())
    with pytest.raises(pw.InvalidError, match=r"stop: expected a threading.Event, got True"):
        pw.run(stop=True)  # type: ignore[arg-type]
    for text in ("soon", "-1", "nan", "inf"):
        monkeypatch.setenv("MILLPOND_GRACE_S", text)
        with pytest.raises(pw.InvalidError, match=f'MILLPOND_GRACE_S: "{text}" is not a number of seconds'):
            pw.run(monitoring_level=QUIET)


@pytest.mark.parametrize("loops", [False, True])
def test_handlers_of_the_program_stay(loops: bool) -> None:
    def own(number: int, frame: object) -> None:
        pass

    async def main() -> None:
        pw.run(monitoring_level=QUIET)

    before = {number: signal.signal(number, own) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        visits = pw.debug.table_from_markdown("user\nann")
        during: list[object] = []
        pw.io.subscribe(visits, lambda *change: during.append(signal.getsignal(signal.SIGINT)))
        asyncio.run(main()) if loops else pw.run(monitoring_level=QUIET)
        assert during == [own]
        assert [signal.getsignal(number) for number in before] == [own, own]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
