"""Which places of the sources make an error, and which of them no test reaches.

The tests note the places that they reach in the file that the environment variable MILLPOND_ERROR_PLACES names: the
Rust sources where an `Error` is made or gets a hint, the Python package where something is raised. This script lists
all such places by reading the sources, and says which are missing in the notes. Those that no test can reach, or that
none does yet, stand in tests/error_places.txt with a reason; one on that list that is reached must be taken off.

    MILLPOND_ERROR_PLACES=$PWD/target/error-places.txt make test-rust test-python
    python tests/error_places.py target/error-places.txt

With ``--write``, the list is written anew: reasons are kept, new places get "not reached yet". With ``--report``, it is
counted only, and what is missing is written beside the notes.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXCEPTIONS = ROOT / "tests" / "error_places.txt"
KINDS = "invalid|input|data|locked|changed|unavailable|interrupted|new"
MADE = re.compile(rf"\bError::(?:{KINDS})\(|\.with_hint\(")
NOT_YET = "not reached yet"

Place = tuple[str, int]


def rust_places() -> dict[Place, str]:
    """Calls that make an `Error` or give it a hint, outside of tests, by file and line; with their line of source."""
    found: dict[Place, str] = {}
    for path in sorted((ROOT / "crates").glob("*/src/**/*.rs")):
        if path.name == "tests.rs" or "tests" in path.parts or path.parts[-3] == "millpond-error":
            continue
        for number, line in enumerate(path.read_text().split("\n"), 1):
            if line.startswith("#[cfg(test)]"):
                break  # the tests stand at the end of a file
            if MADE.search(line) and not line.lstrip().startswith("//"):
                found[str(path.relative_to(ROOT)), number] = line.strip()
    return found


def python_places() -> dict[Place, str]:
    """Statements that raise, by file and line; with their line of source."""
    found: dict[Place, str] = {}
    for path in sorted((ROOT / "python" / "millpond").glob("**/*.py")):
        text = path.read_text()
        lines = text.split("\n")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Raise) and node.exc is not None:
                found[str(path.relative_to(ROOT)), node.lineno] = lines[node.lineno - 1].strip()
    return found


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


def exceptions() -> dict[str, str]:
    """The reason for each place that is not reached."""
    reasons: dict[str, str] = {}
    reason = NOT_YET
    for line in EXCEPTIONS.read_text().splitlines() if EXCEPTIONS.exists() else ():
        if line.startswith("# "):
            reason = line[2:]
        elif line:
            reasons[line] = reason
    return reasons


def write(unreached: list[str], reasons: dict[str, str]) -> None:
    by_reason: dict[str, list[str]] = {}
    for name in unreached:
        by_reason.setdefault(reasons.get(name, NOT_YET), []).append(name)
    blocks = [f"# {reason}\n" + "\n".join(sorted(names)) for reason, names in sorted(by_reason.items())]
    EXCEPTIONS.write_text("\n\n".join(blocks) + "\n")


def main() -> int:
    arguments = [argument for argument in sys.argv[1:] if not argument.startswith("--")]
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    notes = Path(arguments[0])
    reached = set(notes.read_text().split()) if notes.exists() else set()
    names = named({**rust_places(), **python_places()})
    missing = [name for name, (file, line) in names.items() if f"{file}:{line}" not in reached]
    reasons = exceptions()
    if "--write" in sys.argv:
        write(missing, reasons)
        reasons = exceptions()
    print(f"{len(names)} places make an error; tests reach {len(names) - len(missing)}; {len(reasons)} are excepted")
    if "--report" in sys.argv:
        lines = sorted("{}:{}\n".format(*names[name]) for name in missing)
        notes.with_suffix(".missing.txt").write_text("".join(lines))
        return 0
    unexplained = [name for name in missing if name not in reasons]
    for name in unexplained:
        file, line = names[name]
        print(f"{file}:{line}: no test reaches it: {name.removeprefix(f'{file}: ')}")
    stale = [name for name in reasons if name not in missing]
    for name in stale:
        print(f"{EXCEPTIONS.name}: take it off the list, it is reached or gone: {name}")
    return 1 if unexplained or stale else 0


if __name__ == "__main__":
    sys.exit(main())
