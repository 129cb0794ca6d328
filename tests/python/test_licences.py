"""The reading of licence expressions in tests/check_licences.py."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

permissive = runpy.run_path(str(Path(__file__).parents[1] / "check_licences.py"))["permissive"]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("MIT/Apache-2.0", True),
        ("GPL-3.0-only OR MIT", True),
        ("GPL-3.0-only AND MIT", False),
        ("MIT AND (GPL-3.0-only OR Zlib)", True),
        ("(MIT OR Zlib) AND GPL-3.0-only", False),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("GPL-2.0 WITH Classpath-exception-2.0", False),
    ],
)
def test_a_licence_expression(expression: str, expected: bool) -> None:
    assert permissive(expression, {"MIT", "Zlib", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"}) is expected
