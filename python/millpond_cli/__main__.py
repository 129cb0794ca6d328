"""The command ``millpond``."""

from __future__ import annotations

import argparse
import sys

from millpond import __version__
from millpond_cli import explain, spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def main(words: Sequence[str] | None = None) -> int:
    """Does what the command line says; returns the exit code."""
    parser = argparse.ArgumentParser(prog="millpond", description="Runs programs that use Millpond.")
    parser.add_argument("--version", action="version", version=f"millpond {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    spawn.add_to(commands)
    explain.add_to(commands)
    arguments = parser.parse_args(words)
    code: int = arguments.do(arguments)
    return code


if __name__ == "__main__":
    sys.exit(main())
