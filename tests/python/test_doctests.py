"""The examples in docstrings of methods. pytest finds those of modules, classes and functions by itself, but not those
of methods, where a class shows another module than its own.
"""

from __future__ import annotations

import doctest
import inspect

import pytest

import millpond as pw


def examples() -> list[doctest.DocTest]:
    classes = [value for value in vars(pw).values() if inspect.isclass(value) and value.__module__ == "millpond"]
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = [test for cls in classes for test in finder.find(cls, cls.__name__, module=False, globs={})]
    return [test for test in found if "." in test.name and test.examples]


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.name)
def test_the_example_of_a_method_prints_what_it_shows(example: doctest.DocTest) -> None:
    runner = doctest.DebugRunner(optionflags=doctest.ELLIPSIS)
    try:
        runner.run(example)
    except doctest.DocTestFailure as failure:
        pytest.fail(f"{failure.example.source}expected:\n{failure.example.want}got:\n{failure.got}")


def test_there_are_such_examples() -> None:
    assert {"Table.select", "Table.update_rows"} <= {example.name for example in examples()}
