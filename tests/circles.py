"""Refuses circles of imports between the nouns of a crate: the files and folders right in its `src`.

Inside a folder, files may know one another. Tests, which look at a crate from outside, are left out.

    python tests/circles.py
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent

USE = re.compile(r"^[ \t]*(?P<public>pub(?:\([^)]*\))? )?use (?P<tree>[^;]+);", re.M)
PATH = re.compile(r"\b(?:crate|super|self)(?:::\w+)+")
COMMENT = re.compile(r"//[^\n]*")
TESTS = re.compile(r"#\[cfg\(test\)\]\s*mod \w+ \{")

Module = tuple[str, ...]


def branches(tree: str) -> Iterator[str]:
    """The parts of a use tree that commas separate, those inside braces left whole."""
    depth, start = 0, 0
    for at, letter in enumerate(tree):
        depth += (letter == "{") - (letter == "}")
        if letter == "," and depth == 0:
            yield tree[start:at]
            start = at + 1
    yield tree[start:]


def paths(tree: str, prefix: Module = ()) -> Iterator[Module]:
    """The paths that a use tree names."""
    for branch in filter(None, map(str.strip, branches(tree))):
        head, brace, inside = branch.partition("{")
        names = tuple(name for name in head.split(" as ")[0].strip().split("::") if name)
        if brace:
            yield from paths(inside.rstrip().removesuffix("}"), prefix + names)
        else:
            yield prefix + names


class Crate:
    """The modules of a crate, and which of them name items of which others."""

    def __init__(self, source: Path) -> None:
        self.texts: dict[Module, str] = {}
        for file in sorted(source.rglob("*.rs")):
            module = file.relative_to(source).with_suffix("").parts
            module = module[:-1] if module[-1] in ("mod", "lib") else module
            if not {"tests", "testing"} & set(module):
                text = COMMENT.sub("", file.read_text(encoding="utf-8"))
                self.texts[module] = TESTS.split(text)[0]
        # Where an item is that a module hands on.
        self.handed_on: dict[tuple[Module, str], Module] = {}
        for module, text in self.texts.items():
            for use in USE.finditer(text):
                for path in paths(use["tree"]) if use["public"] else ():
                    if found := self.find(module, path):
                        self.handed_on[module, path[-1]] = found[0]

    def find(self, module: Module, path: Module) -> tuple[Module, str] | None:
        """The module that a path leads to from another one, and the item in it; None if it is of another crate."""
        first, *rest = path
        if first == "crate":
            base: Module = ()
        elif first in ("self", "super"):
            base = module[:-1] if first == "super" else module
            while rest and rest[0] == "super":
                base, rest = base[:-1], rest[1:]
        elif (*module, first) in self.texts:
            base, rest = module, [first, *rest]
        else:
            return None
        while rest and (*base, rest[0]) in self.texts:
            base, rest = (*base, rest[0]), rest[1:]
        return base, rest[0] if rest else "*"

    def names(self) -> Iterator[tuple[Module, Module, str]]:
        """Each item that a module names of another one."""
        for module, text in self.texts.items():
            named = [path for use in USE.finditer(text) if not use["public"] for path in paths(use["tree"])]
            body = USE.sub("", text)
            named += [tuple(match[0].split("::")) for match in PATH.finditer(body)]
            for path in named:
                if found := self.find(module, path):
                    target, item = found
                    seen = set()
                    while (target, item) in self.handed_on and target not in seen:
                        seen.add(target)
                        target = self.handed_on[target, item]
                    yield module, target, item


def circles(arrows: dict[str, dict[str, set[str]]]) -> Iterator[list[str]]:
    """The groups of nouns that all reach one another."""
    reach = {noun: set(targets) for noun, targets in arrows.items()}
    for via in list(reach):
        for targets in reach.values():
            if via in targets:
                targets |= reach[via]
    seen: set[str] = set()
    for noun in sorted(reach):
        if noun in reach[noun] and noun not in seen:
            circle = [other for other in sorted(reach[noun]) if noun in reach.get(other, ())]
            seen |= set(circle)
            yield circle


def check(source: Path) -> Iterator[str]:
    """What is wrong with a crate."""
    arrows: dict[str, dict[str, set[str]]] = {}
    for module, target, item in Crate(source).names():
        if module and target and module[0] != target[0]:
            arrows.setdefault(module[0], {}).setdefault(target[0], set()).add(item)
    for circle in circles(arrows):
        yield f"{source.parent.name}: {', '.join(circle)} depend on one another:"
        for noun in circle:
            for other in sorted(set(arrows[noun]) & set(circle)):
                yield f"    {noun} names {', '.join(sorted(arrows[noun][other]))} of {other}"


def main(sources: Iterable[Path]) -> int:
    sources = list(sources)
    problems = [line for source in sources for line in check(source)]
    print("\n".join(problems) if problems else f"no circle between the nouns of {len(sources)} crates")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sorted(ROOT.glob("crates/*/src"))))
