"""Refuses comments of the documentation that are wider than 120 columns, which rustfmt leaves alone.

Tables and code stay as they are.

    python tests/doc_width.py
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
WIDEST = 120
DOC = re.compile(r"^ *//[/!] ?(?P<text>.*)$")


def wide(file: Path) -> Iterator[str]:
    """The lines of a file that are too wide."""
    in_code = False
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        found = DOC.match(line)
        if not found:
            in_code = False
            continue
        text = found["text"].lstrip()
        if text.startswith("```"):
            in_code = not in_code
        if len(line) > WIDEST and not in_code and not text.startswith("|"):
            yield f"{file.relative_to(ROOT)}:{number}: {len(line)} columns"


def main() -> int:
    problems = [line for file in sorted(ROOT.glob("crates/*/**/*.rs")) for line in wide(file)]
    print("\n".join(problems) if problems else f"no comment of the documentation is wider than {WIDEST} columns")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
