"""Schemas as classes."""

from __future__ import annotations

import datetime
import decimal
from typing import Any, Optional

import pytest

import millpond as pw


class Base(pw.Schema):
    id: int
    name: str


class Derived(Base):
    price: float | None
    sold: Optional[bool]  # noqa: UP045
    name: str | None  # type: ignore[assignment]


def test_a_schema_inherits_and_replaces_columns() -> None:
    assert repr(Derived) == "<millpond.Schema id: int, name: str | None, price: float | None, sold: bool | None>"
    assert Base.column_names() == ["id", "name"]
    assert Derived.typehints() == {"id": int, "name": str | None, "price": float | None, "sold": bool | None}


def test_annotations_may_be_objects_or_text() -> None:
    expected = repr(pw.schema_from_types(a=int, b=str | None))
    assert repr(pw.schema_from_types(a="int", b="str | None")) == expected
    assert repr(pw.schema_from_types(a=int, b=Optional[str])) == expected  # noqa: UP045


def test_a_definition_renames_and_types_a_column() -> None:
    class Renamed(pw.Schema):
        user: str = pw.column_definition(name="user id")
        age = pw.column_definition(dtype=int | None)

    assert repr(Renamed) == "<millpond.Schema user id: str, age: int | None>"


def test_a_table_has_the_schema_that_it_was_read_with() -> None:
    table = pw.io.csv.read(__file__, schema=Derived)
    assert repr(table.schema) == repr(Derived)
    assert table.column_names() == Derived.column_names()
    assert repr(table) == repr(Derived).replace("Schema", "Table")


@pytest.mark.parametrize("hint", [int | str, None, "Missing", 7, set, list[complex]])
def test_a_type_that_no_column_has_is_refused(hint: Any) -> None:
    with pytest.raises(pw.InvalidError, match='column "x" has the type') as error:
        pw.schema_from_types(x=hint)
    assert (
        error.value.hint
        == "types are int, float, str, bool, bytes, pw.Json, pw.DateTimeNaive, pw.DateTimeUtc, pw.Duration, "
        "tuple[X, Y] and list[X], each also as X | None"
    )


@pytest.mark.parametrize(
    ("hint", "instead"),
    [
        (list[dict[str, int]], "pw.Json"),
        (Any, "pw.Json"),
        (bytearray, "bytes"),
        (list, "list[str]"),
        (datetime.date | None, "pw.DateTimeNaive"),
        (decimal.Decimal, "float, or int of the smallest unit"),
    ],
)
def test_a_type_of_python_is_answered_with_the_one_for_it(hint: Any, instead: str) -> None:
    with pytest.raises(pw.InvalidError, match='column "x" has the type') as error:
        pw.schema_from_types(x=hint)
    assert error.value.hint == f"the type for it is {instead}"


def test_a_column_with_a_value_is_refused() -> None:
    with pytest.raises(pw.InvalidError, match='column "x" is given the value 1'):

        class Wrong(pw.Schema):
            x: int = 1


def test_a_schema_of_definitions_alone_has_their_columns_only() -> None:
    class Defined(pw.Schema):
        x = pw.column_definition(dtype=int, name="an x")

    class Same(Defined):
        pass

    for schema in (Defined, Same):
        assert repr(schema) == "<millpond.Schema an x: int>"
