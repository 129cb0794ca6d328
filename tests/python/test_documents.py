"""Runs what the documents show, and compares what is printed.

These blocks count, in the order of the page, all in one empty directory:

* a block after a line `<!-- file: NAME -->` becomes that file (`<!-- append: NAME -->` adds to it);
* a `console` block is a sequence of commands after `$ `, each with what it prints. A command must succeed, unless the
  next one is `echo $?`;
* a `pycon` block is a part of one session at Python's prompt, with what it prints;
* a `python` block that is no file is a program of its own, which must succeed.

In consoles, times and durations may differ, and so may the order of lines within one output. MILLPOND_UPDATE=1 writes
what was printed there into the pages.
"""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import millpond as pw

ROOT = Path(__file__).parents[2]
RUN = re.compile(r"^```(console|pycon|python)$", re.MULTILINE)
PAGES = sorted(
    str(page.relative_to(ROOT))
    for page in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]
    if RUN.search(page.read_text())
)
BLOCK = re.compile(r"(?:^<!-- (file|append): (\S+) -->\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HOME = "/home/ann"
TIME = re.compile(r"\b(\d{13}|\d{16})\b")  # the other is the generation of a saved state
DURATION = re.compile(r"\b\d+(\.\d+)? ?(ms|s)\b")
SIZE = re.compile(r"\b\d+(\.\d+)? (B|KiB|MiB)\b")  # of saved rows, whose hashes are others for each state
HOLDER = re.compile(r"process \d+ since [-\d]+ [:\d]+")


def masked(output: str) -> list[str]:
    lines = output.rstrip("\n").split("\n")
    for what, pattern in (("<time>", TIME), ("<duration>", DURATION), ("<process>", HOLDER), ("<size>", SIZE)):
        lines = [pattern.sub(what, line) for line in lines]
    return sorted(lines)


class Page:
    """A page that is being run in an empty directory, which the page calls HOME."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.status = 0
        self.wrong: list[str] = []  # what an update does not mend
        self.differs: list[str] = []
        self.commands = 0
        self.names: dict[str, object] = {"__name__": "__main__"}
        self.env = dict(os.environ, PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}")

    def block(self, block: re.Match[str]) -> str:
        """Runs one block; returns it with the output that it really has."""
        action, name, language, body = block.groups()
        if action:
            path = self.directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a" if action == "append" else "w") as file:
                file.write(body)
        elif language == "python":
            self.commands += 1
            ended = self.run([sys.executable, "-c", body])
            if ended.returncode != 0:
                self.wrong.append(f"{body}ends with exit code {ended.returncode}:\n{ended.stdout}")
        elif language == "pycon":
            self.commands += 1
            self.session(body)
        if language != "console":
            return block[0]
        head, _, _ = block[0].partition("```console\n")
        return f"{head}```console\n{self.console(body)}```"

    def run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.directory,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )

    def session(self, body: str) -> None:
        test = doctest.DocTestParser().get_doctest(body, self.names, "page", None, None)
        runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS, verbose=False)
        runner.run(test, out=self.wrong.append, clear_globs=False)
        self.names = test.globs

    def console(self, body: str) -> str:
        steps = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", body, re.MULTILINE)
        assert steps, f"a console block without a command:\n{body}"
        result = ""
        for i, (command, expected) in enumerate(steps):
            ended = self.run(["bash", "-c", f"(exit {self.status}); {command}"])
            self.status, printed = ended.returncode, ended.stdout.replace(str(self.directory), HOME)
            self.commands += 1
            if masked(printed) != masked(expected):
                self.differs.append(f"$ {command}\nprints\n{printed}and the page says\n{expected}")
            asked = i + 1 < len(steps) and steps[i + 1][0] == "echo $?"
            if self.status != 0 and not asked:
                self.wrong.append(f"$ {command}\nends with exit code {self.status}:\n{printed}")
            if printed and not printed.endswith("\n"):
                printed += "\n"
            result += f"$ {command}\n{expected if masked(printed) == masked(expected) else printed}"
        return result


@pytest.mark.parametrize("name", PAGES)
def test_what_a_page_shows_is_what_happens(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = Page(tmp_path)
    text = (ROOT / name).read_text()
    updated = BLOCK.sub(page.block, text)
    assert page.commands > 0
    assert not page.wrong, "\n".join(page.wrong + page.differs)
    if "MILLPOND_UPDATE" in os.environ:
        (ROOT / name).write_text(updated)
    else:
        assert not page.differs, "\n".join(page.differs)


def test_links_within_the_repository_lead_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    for page in pages:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)|(?:src|srcset)=\"([^\":]+)\"", page.read_text()):
            path = target[0] or target[1]
            assert (page.parent / path).exists(), f"{page.name} links to {path}"


def test_the_table_of_types_is_that_of_the_source() -> None:
    source = (ROOT / "crates/millpond-columns/src/types.rs").read_text()
    rows = [re.split(r" *\| *", row) for row in re.findall(r"^//! \| *(.+?) *\|$", source, re.MULTILINE)]
    assert len(rows) > 6
    rows[1] = ["---"] * len(rows[0])
    table = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    table = re.sub(r"\[`crate::(\w+)`\]", r"`\1`", table)  # links for readers of the source
    page = ROOT / "docs/types.md"
    text = page.read_text()
    marked = re.compile(r"(<!-- types: .* -->\n)(.*?)(<!-- /types -->)", re.DOTALL)
    updated = marked.sub(lambda found: found[1] + "\n" + table + "\n" + found[3], text)
    if "MILLPOND_UPDATE" in os.environ:
        page.write_text(updated)
    assert updated == page.read_text(), "run with MILLPOND_UPDATE=1"


def test_the_table_of_exit_codes_is_that_of_the_program() -> None:
    page = (ROOT / "docs/errors.md").read_text()
    listed = {name: int(code) for code, name in re.findall(r"^\| (\d+) \| `(?:millpond\.)?(\w+)`", page, re.MULTILINE)}
    errors = {name: getattr(pw, name) for name in pw.__all__ if name.endswith("Error")}
    expected = {name: error.exit_code for name, error in errors.items() if error is not pw.Error}
    assert listed == {**expected, "KeyboardInterrupt": 130, "SystemExit": 143}
    quickstart = (ROOT / "docs/quickstart.md").read_text()
    assert {name: code for name, code in expected.items() if f"| {code} | `millpond.{name}` |" not in quickstart} == {}
