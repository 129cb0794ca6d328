"""Which places of the sources make an error, and which of them no test reaches.

The tests note the places that they reach in the file that the environment variable MILLPOND_ERROR_PLACES names: the
Rust sources where an `Error` is made or gets a hint, the Python package where something is raised or such an error is
returned. This script lists all such places by reading the sources, and fails for each that is missing in the notes.
Those that no test can reach stand in tests/error_places.txt, below a line with the reason; one on that list that is
reached, or gone, must be taken off. It fails as well for a note that is no place of its list: then it would not see
that place missing.

    MILLPOND_ERROR_PLACES=$PWD/target/error-places.txt make test-rust test-python
    python tests/error_places.py target/error-places.txt
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import TypeGuard

ROOT = Path(__file__).resolve().parent.parent
EXCEPTIONS = ROOT / "tests" / "error_places.txt"
KINDS = "invalid|input|data|locked|changed|unavailable|interrupted|new|of_panic"
MADE = re.compile(rf"\bError::(?:{KINDS})\(|\.with_hint\(")
TEST_MODULE = re.compile(r"(?:pub(?:\(crate\))? )?mod (\w+)( \{|;)")
RETURNED = re.compile(r"(?:\w+\.)?(?:error|invalid|_No\w+|\w+Error)")
"""What the Python package calls to make an error."""

Place = tuple[str, int]


def rust_sources() -> Iterator[tuple[str, list[tuple[int, str]]]]:
    """Each file of a crate's library with its numbered lines, without tests."""
    files = sorted((ROOT / "crates").glob("*/src/**/*.rs"))
    texts = {path: path.read_text().split("\n") for path in files}
    tests: set[Path] = set()
    for path, lines in texts.items():
        for attribute, module in pairwise(lines):
            if attribute == "#[cfg(test)]" and (declared := TEST_MODULE.match(module)):
                folder = path.parent if path.stem in ("lib", "main", "mod") else path.with_suffix("")
                tests |= {folder / f"{declared[1]}.rs", folder / declared[1]}
    for path, lines in texts.items():
        if tests.isdisjoint([path, *path.parents]):
            yield str(path.relative_to(ROOT)), list(without_tests(lines))


def without_tests(lines: list[str]) -> Iterator[tuple[int, str]]:
    inside = False
    for number, line in enumerate(lines, 1):
        if lines[number - 2 : number - 1] == ["#[cfg(test)]"] and line.endswith("{"):
            inside = True
        if not inside:
            yield number, line
        inside = inside and line != "}"


def rust_places() -> dict[Place, str]:
    """Calls that make an `Error` or give it a hint, by file and line; with their line of source."""
    return {
        (file, number): line.strip()
        for file, lines in rust_sources()
        if not file.startswith("crates/millpond-error/")
        for number, line in lines
        if MADE.search(line) and not line.lstrip().startswith("//")
    }


def python_places() -> dict[Place, str]:
    """Statements that raise something, or return an error that they make; with their line of source."""
    found: dict[Place, str] = {}
    for path in sorted((ROOT / "python" / "millpond").glob("**/*.py")):
        text = path.read_text()
        lines = text.split("\n")
        for node in ast.walk(ast.parse(text)):
            if (isinstance(node, ast.Raise) and node.exc is not None) or returns_error(node):
                found[str(path.relative_to(ROOT)), node.lineno] = lines[node.lineno - 1].strip()
    return found


def returns_error(node: ast.AST) -> TypeGuard[ast.Return]:
    """Whether a statement is such as ``return invalid(...)``."""
    made = isinstance(node, ast.Return) and isinstance(node.value, ast.Call) and ast.unparse(node.value.func)
    return bool(made and RETURNED.fullmatch(made))


def named(places: dict[Place, str]) -> dict[str, Place]:
    """A name of each place that stays when lines are added elsewhere: its file and source, numbered if twice."""
    names: dict[str, Place] = {}
    for (file, line), source in sorted(places.items()):
        name, number = f"{file}: {source}", 1
        while name in names:
            number += 1
            name = f"{file}: {source} ({number})"
        names[name] = (file, line)
    return names


def hidden(notes: set[Place], places: set[Place]) -> list[Place]:
    """Notes of the libraries that are no places: of an error that is made in a way that this script does not know."""
    known = {(file, number) for file, lines in rust_sources() for number, _ in lines}
    return sorted((notes & known) - places)


def exceptions() -> dict[str, str]:
    """The reason for each place that is not reached."""
    reasons: dict[str, str] = {}
    reason = ""
    for line in EXCEPTIONS.read_text().splitlines() if EXCEPTIONS.exists() else ():
        if line.startswith("# "):
            reason = line[2:]
        elif line:
            reasons[line] = reason
    return reasons


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    noted = Path(sys.argv[1])
    lines = noted.read_text().split() if noted.exists() else []
    notes = {(file, int(number)) for file, _, number in (line.rpartition(":") for line in lines)}
    names = named({**rust_places(), **python_places()})
    missing = {name: place for name, place in names.items() if place not in notes}
    reasons = exceptions()
    print(f"{len(names)} places make an error; tests reach {len(names) - len(missing)}; {len(reasons)} are excepted")
    unexplained = {name: place for name, place in missing.items() if not reasons.get(name)}
    for name, (file, line) in unexplained.items():
        print(f"{file}:{line}: no test reaches it: {name.removeprefix(f'{file}: ')}")
    stale = [name for name in reasons if name not in missing]
    for name in stale:
        print(f"{EXCEPTIONS.name}: take it off the list, it is reached or gone: {name}")
    unseen = hidden(notes, set(names.values()))
    for file, line in unseen:
        print(f"{file}:{line}: an error is made here, and this script does not see how")
    return 1 if unexplained or stale or unseen else 0


if __name__ == "__main__":
    sys.exit(main())
