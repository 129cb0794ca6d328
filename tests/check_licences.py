"""Checks that every crate that Millpond is built from has a permissive licence, without a tool to install.

The list of licences is the one in deny.toml. An expression is satisfied as SPDX says: OR needs one side, AND both.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def allowed_licences(deny_toml: str) -> set[str]:
    listed = re.search(r"^allow = \[(.*?)^\]", deny_toml, re.DOTALL | re.MULTILINE)
    assert listed, "deny.toml holds no list `allow`"
    return set(re.findall(r'"([^"]+)"', listed[1]))


def permissive(expression: str, allowed: set[str]) -> bool:
    """Whether one may choose only allowed licences; `/` is an older way to write OR."""
    words = re.findall(r"[()]|[^\s()]+", expression.replace("/", " OR "))

    def either() -> bool:
        result = both()
        while words and words[0] == "OR":
            words.pop(0)
            result = both() or result
        return result

    def both() -> bool:
        result = one()
        while words and words[0] == "AND":
            words.pop(0)
            result = one() and result
        return result

    def one() -> bool:
        name = words.pop(0)
        if name == "(":
            result = either()
            words.pop(0)
            return result
        if words and words[0] == "WITH":
            words.pop(0)
            name += f" WITH {words.pop(0)}"
        return name in allowed

    return either()


def main() -> int:
    allowed = allowed_licences((ROOT / "deny.toml").read_text())
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--all-features"]
    metadata = json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)
    packages = metadata["packages"]
    refused = [
        f"{package['name']} {package['version']}: {package['license'] or 'no licence'}"
        for package in packages
        if not (package["license"] and permissive(package["license"], allowed))
    ]
    foreign = [p["name"] for p in packages if p["source"] and not p["source"].startswith("registry+")]
    for line in refused:
        print(f"not on the list in deny.toml: {line}", file=sys.stderr)
    for name in foreign:
        print(f"not from a registry: {name}", file=sys.stderr)
    print(f"{len(packages)} crates, {len(refused)} with a licence that is not on the list")
    return 1 if refused or foreign else 0


if __name__ == "__main__":
    sys.exit(main())
