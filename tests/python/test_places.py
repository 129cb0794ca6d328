"""What a program writes does not lie where it reads, nor where it writes something else."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import millpond as pw

QUIET = pw.MonitoringLevel.NONE


class Visit(pw.Schema):
    user: str
    at: int


ROWS = "user,at\nann,1\nbob,x\n"


def content(directory: Path) -> dict[str, bytes]:
    """Every file below a directory with what it holds."""
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "in" / "a.csv").write_text(ROWS)
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / "c.csv").write_text(ROWS)
    (tmp_path / "also").symlink_to("in")
    os.link("in/a.csv", "linked.csv")
    (tmp_path / "link.csv").symlink_to("in/a.csv")


def refused(
    source: str,
    *,
    result: str = "result",
    mode: str = "changes",
    dead_letter: str | None = None,
    state: str | None = None,
    report: str | None = None,
) -> str | None:
    """The message of the refusal, if there is one; then nothing was touched."""
    pw.clear()
    before = content(Path())
    on_error = "skip" if dead_letter is None else "dead_letter"
    visits = pw.io.csv.read(source, schema=Visit, on_error=on_error, dead_letter=dead_letter)  # type: ignore[arg-type]
    pw.io.csv.write(visits, result, mode=mode)  # type: ignore[arg-type]
    try:
        pw.run(state=state, report=report, monitoring_level=QUIET)
    except pw.InvalidError as error:
        after = content(Path())
        if report is not None and "the report " not in error.message:
            assert json.loads(after.pop(report))["error"]["message"] == error.message
        assert after == before
        assert error.exit_code == 2 and error.hint is not None
        place = error.origin or ""
        assert "test_places.py:" in place or (error.message.startswith("the report") and "saved state" in error.message)
        return error.message
    return None


@pytest.mark.parametrize("mode", ["changes", "append", "snapshot"])
@pytest.mark.parametrize(
    ("source", "result"),
    [
        ("in/a.csv", "in/a.csv"),
        ("in/a.csv", "./in/../in/a.csv"),
        ("in/a.csv", "also/a.csv"),
        ("in/a.csv", "link.csv"),
        ("in/a.csv", "linked.csv"),
        ("link.csv", "in/a.csv"),
        ("linked.csv", "link.csv"),
        ("in", "in/out.csv"),
        ("in", "in/new/out.csv"),
        ("in/", "also/sub/out.csv"),
        ("also", "in/out.csv"),
        ("in", "linked.csv"),
        ("in/*", "in/out.csv"),
        ("in/*.csv", "also/out.csv"),
        ("in/**/*.csv", "in/sub/out.csv"),
        ("*/*.csv", "beside/out.csv"),
        (".", "out.csv"),
        ("in/.*", "in/out.csv"),  # by the name that it has while it is written
    ],
)
def test_a_result_where_a_source_reads_is_refused(source: str, result: str, mode: str) -> None:
    for path in (result, str(Path(result).absolute())):
        message = refused(source, result=path, mode=mode)
        assert message is not None and message.startswith(f'the result "{path}" lies where the source "{source}" (')


@pytest.mark.parametrize(
    ("source", "result"),
    [
        ("in/a.csv", "in/out.csv"),
        ("in", "out.csv"),
        ("in", "in/.out.csv"),
        ("in", "in/.out/out.csv"),
        ("in/*.csv", "in/out.txt"),
        ("in/a*.csv", "in/out.csv"),
        ("in/*.csv", "in/sub/out.csv"),
        ("in/sub", "in/out.csv"),
        ("beside/*.csv", "linked.csv"),
    ],
)
def test_a_result_that_a_source_leaves_out_is_fine(source: str, result: str) -> None:
    assert refused(source, result=result, state="state", report="report.json") is None
    assert refused(source, result=result, state="state", report="report.json") is None


@pytest.mark.parametrize(
    ("what", "arguments"),
    [
        ('file of dead letters "in/bad.csv"', {"source": "in", "dead_letter": "in/bad.csv"}),
        ('file of dead letters "linked.csv"', {"source": "in/a.csv", "dead_letter": "linked.csv"}),
        ('report "in/report.json"', {"source": "in", "report": "in/report.json"}),
        ('report "in/a.csv"', {"source": "in/a.csv", "report": "in/a.csv"}),
        ('report "linked.csv"', {"source": "in/*.csv", "report": "linked.csv"}),
        ('saved state in "in/state"', {"source": "in", "state": "in/state"}),
        ('saved state in "in"', {"source": "in", "state": "in"}),
        ('saved state in "also/sub"', {"source": "in", "state": "also/sub"}),
        ('saved state in "in/sub"', {"source": "in/*/*", "state": "in/sub"}),
        ('saved state in "in/sub"', {"source": "in/*/lock", "state": "in/sub"}),
        ('saved state in "in/new"', {"source": "in/**/manifest-*", "state": "in/new"}),
    ],
)
def test_what_else_is_written_where_a_source_reads_is_refused(what: str, arguments: dict[str, str]) -> None:
    message = refused(**arguments)
    assert message is not None and message.startswith(f"the {what} lies where the source ")


@pytest.mark.parametrize(
    ("target", "link", "what", "arguments"),
    [
        ("../st", "l", 'saved state in "st"', {"source": "in", "state": "st"}),
        ("../st", "l", 'saved state in "st"', {"source": "in/*/*", "state": "st"}),
        ("../x", "l", 'saved state in "x/st"', {"source": "in", "state": "x/st"}),
        ("../st/lock", "l", 'saved state in "st"', {"source": "in", "state": "st"}),
        ("../o.csv", "l.csv", 'result "o.csv"', {"source": "in/*.csv", "result": "o.csv"}),
        ("../bad.csv", "l.csv", 'file of dead letters "bad.csv"', {"source": "in", "dead_letter": "bad.csv"}),
        ("../r", "l", 'report "r"', {"source": "in", "report": "r"}),
    ],
)
def test_a_link_to_what_the_first_run_would_make_is_refused(
    target: str, link: str, what: str, arguments: dict[str, str]
) -> None:
    """Broke once: the link led nowhere yet, and the next run read what the first one had written."""
    Path("in", link).symlink_to(target)
    message = refused(**arguments)
    assert message is not None and message.startswith(f"the {what} lies where the source ")


def test_a_state_that_a_source_leaves_out_is_fine() -> None:
    assert refused("in", state="in/.state") is None
    assert refused("in/*.csv", state="in/state") is None
    assert refused("in/*.csv", state="in", result="result.csv") is None


@pytest.mark.parametrize(
    "name",
    ["lock", "finished", "manifest-0000000000000002", "runs-0000000000000001-0", f"plan-{7:032x}"],
)
def test_a_result_with_the_name_of_a_state_file_is_refused(name: str) -> None:
    taken = "would take the place of a file of the saved state in state"
    for _ in range(2):
        for arguments in (
            {"result": f"state/{name}"},
            {"dead_letter": f"./state/{name}"},
            {"report": f"state/{name}"},
            {"result": "state"} if not Path("state").exists() else {"result": f"state/../state/{name}"},
        ):
            message = refused("in/a.csv", state="state", **arguments)
            assert message is not None and message.endswith(taken)
        assert refused("in/a.csv", state="state", result="state/result.csv") is None


@pytest.mark.parametrize(
    ("what", "arguments"),
    [
        (
            'two outputs write to one file: the file of dead letters "x.csv", and the result "./x.csv" (',
            {"result": "./x.csv", "dead_letter": "x.csv"},
        ),
        ('the report "x" and the result "x" (', {"result": "x", "report": "x"}),
        ('the report "x.csv" and the file of dead letters "x.csv" (', {"dead_letter": "x.csv", "report": "x.csv"}),
        ('the report "./x" and the result "./y" (', {"result": "./y", "report": "./x"}),
    ],
)
def test_two_things_in_one_file_are_refused(what: str, arguments: dict[str, str]) -> None:
    Path("x").write_text("")
    os.link("x", "y")
    message = refused("in/a.csv", **arguments)
    assert message is not None and message.startswith(what)


def test_two_results_in_one_file_are_refused_with_both_places() -> None:
    visits = pw.io.csv.read("in/a.csv", schema=Visit, on_error="skip")
    Path("x.csv").write_text("old\n")
    os.link("x.csv", "y.csv")
    for first, second, said in [
        ("x.csv", "x.csv", 'two outputs write to one file: the result "x.csv", and the result "x.csv" ('),
        ("x.csv", "./x.csv", 'two outputs write to one file: the result "./x.csv", and the result "x.csv" ('),
        ("x.csv", "y.csv", 'two outputs write to one file: the result "y.csv", and the result "x.csv" ('),
        (
            "x.csv",
            ".x.csv.millpond-tmp",
            'two outputs write to one file: the result ".x.csv.millpond-tmp", and the result "x.csv" (',
        ),
    ]:
        pw.clear()
        pw.io.csv.write(visits, first)
        pw.io.csv.write(visits, second)
        with pytest.raises(pw.InvalidError) as caught:
            pw.run(monitoring_level=QUIET)
        one, other = caught.value.origin, caught.value.message
        assert one is not None and other.startswith(said)
        line = int(one.rsplit(":", 1)[1])
        assert f"test_places.py:{line - 1}" in other
        assert Path("x.csv").read_text() == "old\n"


def test_another_source_of_the_program_counts_as_well() -> None:
    visits = pw.io.csv.read("in/a.csv", schema=Visit, on_error="skip")
    other = pw.io.jsonlines.read("beside", schema=Visit)
    pw.io.csv.write(visits, "beside/c.csv")
    pw.io.csv.write(other, "other.csv")
    with pytest.raises(pw.InvalidError, match=r'the result "beside/c.csv" lies where the source "beside"'):
        pw.run(monitoring_level=QUIET)
    assert Path("beside/c.csv").read_text() == ROWS


def test_the_report_of_the_environment_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLPOND_REPORT", "in/a.csv")
    message = refused("in", result="out.csv")
    assert message is not None and message.startswith('the report "in/a.csv" lies where the source "in"')
    assert Path("in/a.csv").read_text() == ROWS
