"""The recipes for cron, systemd and Kubernetes are well-formed, and treat exit codes as the table of errors says."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

import millpond as pw

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/recipes.md").read_text()
FILES = dict(re.findall(r"^<!-- file: (\S+) -->\n```\w+\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
# Running again does not help after these.
FOR_A_PERSON = {pw.InvalidError.exit_code, pw.InputError.exit_code, pw.DataError.exit_code, pw.ChangedError.exit_code}

PROGRAM = """
import sys
import millpond as pw
if len(sys.argv) > 1:
    sys.exit(int(sys.argv[1]))
table = pw.io.csv.read("reports/", schema=pw.schema_from_types(machine=str), name="reports")
pw.io.csv.write(table, "changes.csv")
pw.run(persistence_config=pw.persistence.Config(pw.persistence.Backend.filesystem("state/")))
"""


def test_the_page_sorts_exit_codes_as_the_table_of_errors_does() -> None:
    page = (ROOT / "docs/errors.md").read_text()
    assert "2, 3, 4 and 6 come back until a person has done something" in page
    assert "After 2, 3, 4 and 6 a person must" in PAGE
    assert {2, 3, 4, 6} == FOR_A_PERSON
    assert pw.LockedError.exit_code == 5


@pytest.mark.parametrize(
    ("name", "code", "ends"),
    [("crontab", "", 0), ("crontab-mail", "", 0), ("crontab-mail", "5", 0), ("crontab-mail", "7", 1)],
)
def test_a_line_of_cron_runs(name: str, code: str, ends: int, tmp_path: Path) -> None:
    (line,) = (line for line in FILES[name].splitlines() if not line.startswith("MAILTO="))
    assert "%" not in line
    fields = line.split(" ", 5)
    assert re.fullmatch(r"\d+( \*){4}", " ".join(fields[:5]))
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/one.csv").write_text("machine\nsaw\n")
    (tmp_path / "work.py").write_text(PROGRAM)
    command = fields[5].replace("/srv/work", str(tmp_path)).replace(".venv/bin/python", sys.executable)
    command = command.replace("work.py", f"work.py {code}", 1)
    ran = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, timeout=60)
    assert ran.returncode == ends, ran
    if not code:
        assert (tmp_path / "changes.csv").read_text().startswith("machine,time,diff\n")
    if name == "crontab":
        assert "1 row read" in (tmp_path / "work.log").read_text()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    units = [name for name in FILES if name.endswith((".service", ".timer"))]
    assert sorted(units) == ["watch.service", "work.service", "work.timer"]
    for name in units:
        text = FILES[name].replace("/srv/work/.venv/bin/python", sys.executable).replace("/srv/work", str(tmp_path))
        (tmp_path / name).write_text(text)
    command = ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / name) for name in units)]
    verified = subprocess.run(command, capture_output=True, text=True, timeout=60)
    about_ours = [line for line in verified.stderr.splitlines() if str(tmp_path) in line or "Unknown" in line]
    assert verified.returncode == 0 and not about_ours, verified.stderr


def settings(name: str) -> dict[str, str]:
    return dict(re.findall(r"^(\w+)=(.*)$", FILES[name], re.MULTILINE))


def test_systemd_restarts_what_a_restart_can_mend() -> None:
    service = settings("watch.service")
    assert set(map(int, service["RestartPreventExitStatus"].split())) == FOR_A_PERSON
    assert (service["Restart"], service["SuccessExitStatus"]) == ("on-failure", "143")
    assert settings("work.service")["SuccessExitStatus"] == str(pw.LockedError.exit_code)


def test_the_job_of_kubernetes_is_well_formed() -> None:
    claim, job = yaml.safe_load_all(FILES["work.yaml"])
    assert (claim["kind"], job["kind"], job["apiVersion"]) == ("PersistentVolumeClaim", "CronJob", "batch/v1")
    assert job["spec"]["concurrencyPolicy"] == "Forbid"
    spec: dict[str, Any] = job["spec"]["jobTemplate"]["spec"]
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    rule = spec["podFailurePolicy"]["rules"][0]
    assert set(rule["onExitCodes"]["values"]) == FOR_A_PERSON
    assert rule["onExitCodes"]["containerName"] == container["name"]
    assert pod["restartPolicy"] == "Never"  # a pod failure policy asks for it
    (volume,) = pod["volumes"]
    assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert container["volumeMounts"] == [{"name": volume["name"], "mountPath": container["workingDir"]}]
