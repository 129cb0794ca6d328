"""Notes each place of the package that makes an error, for tests/error_places.py; Python imports it by its name.

The package is compiled so that each ``raise``, and each ``return`` of an error that a call has made, notes its line.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import os
import sys
from importlib.machinery import SourceFileLoader
from typing import Any

FILE = os.environ.get("MILLPOND_ERROR_PLACES")
PACKAGE = os.sep + os.path.join("python", "millpond") + os.sep
NOTE = "__millpond_note__"

known: set[tuple[str, int]] = set()


def note(path: str, line: int, value: Any) -> Any:
    cls = value if isinstance(value, type) else type(value)
    if issubclass(cls, BaseException) and (path, line) not in known:
        known.add((path, line))
        # Whether a test passes does not hang on what is noted about it: a full disk may be what it is about.
        with contextlib.suppress(OSError), open(str(FILE), "a") as file:
            file.write(f"{path}:{line}\n")
    return value


class Noting(ast.NodeTransformer):
    def __init__(self, path: str) -> None:
        self.path = path

    def noted(self, statement: ast.stmt, value: ast.expr) -> ast.expr:
        place = [ast.Constant(self.path), ast.Constant(statement.lineno)]
        call = ast.Call(ast.Name(NOTE, ast.Load()), [*place, value], [])
        return ast.fix_missing_locations(ast.copy_location(call, value))

    def visit_Raise(self, node: ast.Raise) -> ast.Raise:
        if node.exc is not None:
            node.exc = self.noted(node, node.exc)
        return node

    def visit_Return(self, node: ast.Return) -> ast.Return:
        if isinstance(node.value, ast.Call):
            node.value = self.noted(node, node.value)
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
