"""The site of documents builds without a warning, holds every public name, and fetches nothing from elsewhere."""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
import re
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import millpond as pw

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", folder],
        cwd=ROOT,
        env=dict(os.environ, NO_MKDOCS_2_WARNING="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    assert built.returncode == 0, built.stdout
    return folder


def public_modules() -> Iterator[ModuleType]:
    yield pw
    for found in pkgutil.walk_packages(pw.__path__, "millpond."):
        if not any(part.startswith("_") for part in found.name.split(".")):
            yield importlib.import_module(found.name)


def public_names() -> Iterator[str]:
    """Names as a program writes them, and the methods of classes among them."""
    for module in public_modules():
        for name in module.__all__:
            thing = getattr(module, name)
            if inspect.ismodule(thing):
                continue
            yield f"{module.__name__}.{name}"
            if inspect.isclass(thing):
                yield from methods(thing, f"{module.__name__}.{name}")
    for name, thing in vars(pw.ColumnExpression).items():
        if isinstance(thing, property):  # the functions of a type, such as .str
            namespace = type(getattr(pw.this.column, name))
            yield from methods(namespace, f"{namespace.__module__}.{namespace.__qualname__}")


def methods(cls: type, path: str) -> Iterator[str]:
    for name, thing in vars(cls).items():
        if not name.startswith("_") and (callable(thing) or isinstance(thing, (property, classmethod, staticmethod))):
            yield f"{path}.{name}"


def test_the_reference_holds_every_public_name(site: Path) -> None:
    inventory = (site / "objects.inv").read_bytes()
    entries = zlib.decompress(inventory.split(b"\n", 4)[4]).decode()
    described = {line.split(" ")[0] for line in entries.splitlines()}
    missing = [name for name in public_names() if name not in described]
    assert not missing, f"docs/reference/ does not hold {missing}"
    assert "millpond.io.python.ConnectorSubject._remove" in described


def test_every_page_is_in_the_navigation(site: Path) -> None:
    home = (site / "index.html").read_text()
    linked = set(re.findall(r'<a href="?([^" ]+)"? class="?md-nav__link', home))
    pages = (page.relative_to(ROOT / "docs") for page in ROOT.glob("docs/**/*.md"))
    missing = {page.with_suffix(".html").as_posix() for page in pages if page.name != "index.md"} - linked
    assert not missing


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    fetched = re.compile(r"<(?:script|img|iframe|source|link)\b[^>]*\b(?:src|srcset|href)=\"?(?:https?:)?//[^>]*>")
    pages = list(site.glob("**/*.html"))
    assert len(pages) > 10
    for page in pages:
        assert not fetched.findall(page.read_text()), f"{page.name} fetches from elsewhere"
    for sheet in site.glob("**/*.css"):
        assert not re.findall(r"url\(['\"]?(?:https?:)?//", sheet.read_text()), f"{sheet.name} fetches from elsewhere"


def test_the_pictures_are_there_in_both_schemes(site: Path) -> None:
    home = (site / "index.html").read_text()
    picture = re.search(r"<picture>.*?</picture>", home, re.DOTALL)
    assert picture
    assert re.search(r'<source[^>]*prefers-color-scheme: dark[^>]*srcset="?([^">]+)', picture[0])
    for path in re.findall(r'(?:src|srcset)="([^"]+)"', picture[0]):
        assert (site / path).exists(), path


def test_search_works_in_pages_that_are_opened_from_a_folder(site: Path) -> None:
    index = (site / "search" / "search_index.js").read_text()
    assert index.startswith("var __index = {")
    assert "flock -n state/lock" in index
    for page in ("index.html", "reference/tables.html"):
        shim = re.search(r'<script src="?([^ ">]+iframe-worker\.js)', (site / page).read_text())
        assert shim, page
        assert ((site / page).parent / shim[1]).exists()


def test_a_block_that_is_a_file_has_its_name_for_a_title(site: Path) -> None:
    shown = re.findall(r'<span class="?filename"?>([^<]+)</span>', (site / "restart.html").read_text())
    assert "work.py" in shown
    assert "reports/tuesday.csv (goes on)" in shown
    blocks = re.findall(r"^<!-- (?:file|append): ", (ROOT / "docs/restart.md").read_text(), re.MULTILINE)
    assert len(shown) == len(blocks)


def test_long_lines_of_blocks_are_wrapped(site: Path) -> None:
    assert re.search(r'<link rel="?stylesheet"? href="?assets/site\.css', (site / "index.html").read_text())
    assert "pre-wrap" in (site / "assets" / "site.css").read_text()
