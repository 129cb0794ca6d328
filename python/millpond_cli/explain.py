"""``millpond explain``: what a saved state is the state of."""

from __future__ import annotations

import sys

from millpond import Error, persistence

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser(
        "explain",
        help="say what a saved state is the state of",
        description="Says what the program that saved a state does, step by step, and what is kept for each step. "
        "The program is not needed, and may be running.",
    )
    parser.add_argument("state", metavar="DIRECTORY", help="the directory of the state")
    parser.set_defaults(do=explain)


def explain(arguments: argparse.Namespace) -> int:
    """Prints the text; returns the exit code."""
    try:
        text = persistence.Backend.filesystem(arguments.state).explain()
    except Error as error:
        hint = "" if error.hint is None else f"\nhint: {error.hint}"
        print(f"millpond explain: {error.message}{hint}", file=sys.stderr)
        return error.exit_code
    print(text, end="")
    return 0
