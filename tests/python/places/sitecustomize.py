"""Notes each place of the package that raises an error, for tests/error_places.py; Python imports it by its name.

The package is compiled so that each ``raise`` notes its line first.
"""

from __future__ import annotations

import ast
import builtins
import os
import sys
from importlib.machinery import SourceFileLoader
from typing import Any

FILE = os.environ.get("MILLPOND_ERROR_PLACES")
PACKAGE = os.sep + os.path.join("python", "millpond") + os.sep
NOTE = "__millpond_note__"

known: set[tuple[str, int]] = set()


def note(path: str, line: int, raised: Any) -> Any:
    if (path, line) not in known:
        known.add((path, line))
        with open(str(FILE), "a") as file:
            file.write(f"{path}:{line}\n")
    return raised


class Noting(ast.NodeTransformer):
    def __init__(self, path: str) -> None:
        self.path = path

    def visit_Raise(self, node: ast.Raise) -> ast.Raise:
        if node.exc is not None:
            place = [ast.Constant(self.path), ast.Constant(node.lineno)]
            call = ast.Call(ast.Name(NOTE, ast.Load()), [*place, node.exc], [])
            node.exc = ast.fix_missing_locations(ast.copy_location(call, node.exc))
        return node


compiled = SourceFileLoader.source_to_code


def source_to_code(self: Any, data: Any, path: Any, **options: Any) -> Any:
    if PACKAGE not in path:
        return compiled(self, data, path, **options)
    tree = Noting(path[path.index(PACKAGE) + 1 :]).visit(ast.parse(data))
    return compile(tree, path, "exec", dont_inherit=True, optimize=options.get("_optimize", -1))


if FILE:
    setattr(builtins, NOTE, note)
    SourceFileLoader.source_to_code = source_to_code  # type: ignore[method-assign]
    sys.pycache_prefix = FILE + ".pycache"  # what was compiled without notes is not to be found
