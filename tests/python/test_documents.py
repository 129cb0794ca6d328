"""Runs what the documents show, and compares what is printed.

Two kinds of blocks count, in the order of the page, all in one empty directory:

* a block after a line `<!-- file: NAME -->` becomes that file (`<!-- append: NAME -->` adds to it);
* a `console` block is a sequence of commands after `$ `, each with what it prints. A command must succeed, unless the
  next one is `echo $?`.

Times and durations may differ, and so may the order of lines within one output. MILLPOND_UPDATE=1 writes what was
printed into the pages.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", "docs/quickstart.md"]
BLOCK = re.compile(r"(?:^<!-- (file|append): (\S+) -->\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TIME = re.compile(r"\b\d{13}\b")
DURATION = re.compile(r"\b\d+(\.\d+)? ?(ms|s)\b")


def masked(output: str) -> list[str]:
    lines = output.rstrip("\n").split("\n")
    return sorted(DURATION.sub("<duration>", TIME.sub("<time>", line)) for line in lines)


class Page:
    """A page that is being run in an empty directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.status = 0
        self.wrong: list[str] = []
        self.commands = 0
        self.env = dict(os.environ, PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}")

    def block(self, block: re.Match[str]) -> str:
        """Runs one block; returns it with the output that it really has."""
        action, name, language, body = block.groups()
        if action:
            path = self.directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a" if action == "append" else "w") as file:
                file.write(body)
        if language != "console":
            return block[0]
        head, _, _ = block[0].partition("```console\n")
        return f"{head}```console\n{self.console(body)}```"

    def console(self, body: str) -> str:
        steps = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", body, re.MULTILINE)
        assert steps, f"a console block without a command:\n{body}"
        result = ""
        for i, (command, expected) in enumerate(steps):
            ended = subprocess.run(
                ["bash", "-c", f"(exit {self.status}); {command}"],
                cwd=self.directory,
                env=self.env,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=60,
            )
            self.status, printed = ended.returncode, ended.stdout
            self.commands += 1
            if masked(printed) != masked(expected):
                self.wrong.append(f"$ {command}\nprints\n{printed}and the page says\n{expected}")
            asked = i + 1 < len(steps) and steps[i + 1][0] == "echo $?"
            if self.status != 0 and not asked:
                self.wrong.append(f"$ {command}\nends with exit code {self.status}:\n{printed}")
            if printed and not printed.endswith("\n"):
                printed += "\n"
            result += f"$ {command}\n{expected if masked(printed) == masked(expected) else printed}"
        return result


@pytest.mark.parametrize("name", PAGES)
def test_what_a_page_shows_is_what_happens(name: str, tmp_path: Path) -> None:
    page = Page(tmp_path)
    text = (ROOT / name).read_text()
    updated = BLOCK.sub(page.block, text)
    assert page.commands > 0
    if "MILLPOND_UPDATE" in os.environ:
        (ROOT / name).write_text(updated)
    else:
        assert not page.wrong, "\n".join(page.wrong)


def test_links_within_the_repository_lead_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
    for page in pages:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)|(?:src|srcset)=\"([^\":]+)\"", page.read_text()):
            path = target[0] or target[1]
            assert (page.parent / path).exists(), f"{page.name} links to {path}"
