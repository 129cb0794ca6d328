"""Functions of text against the methods of Python's ``str``."""

from __future__ import annotations

import sys
import unicodedata
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import millpond as pw

# Letters whose case does not depend on the version of Unicode, and all white space.
LETTERS = st.one_of(
    st.sampled_from("aAbB01 -_.\t\x1f\xa0\u2003éÉßΣσςİıǅﬁ𝄞\u0345"),  # noqa: RUF001,
    st.characters(max_codepoint=0x17F, exclude_characters='\r\n\0|"'),
)
TEXT = st.text(LETTERS, max_size=8)
NUMBERS = st.one_of(
    st.text("0123456789_+-.eEinfaty \t", max_size=8),
    st.integers(-(2**65), 2**65).map(str),
    st.floats().map(repr),
)
PLACES = st.one_of(st.integers(-9, 9), st.sampled_from([-(2**63), 2**63 - 1]))


def results(expressions: dict[str, Any]) -> dict[str, Any]:
    """The value of each expression, over a table of one row."""
    row = pw.debug.table_from_markdown("row\n1").select(**expressions)
    [(values, _, _)] = row._native.collect()
    return dict(zip(expressions, values, strict=True))


def constant(text: str) -> pw.ColumnExpression:
    return pw.cast(str, text)


@settings(max_examples=3000, deadline=None)
@given(TEXT, TEXT, TEXT, PLACES, PLACES)
@example("ΑΣ Σ ΑΣΑ", "Σ", "", 1, -1)
def test_functions_give_what_python_gives(text: str, part: str, new: str, start: int, end: int) -> None:
    value = constant(text).str
    found = results(
        {
            "lower": value.lower(),
            "upper": value.upper(),
            "strip": value.strip(),
            "strip_of": value.strip(part),
            "len": value.len(),
            "startswith": value.startswith(part),
            "endswith": value.endswith(part),
            "contains": value.contains(part),
            "find": value.find(part),
            "count": value.count(part),
            "replace": value.replace(part, new),
            "slice": value.slice(start, end),
        }
    )
    assert found == {
        "lower": text.lower(),
        "upper": text.upper(),
        "strip": text.strip(),
        "strip_of": text.strip(part),
        "len": len(text),
        "startswith": text.startswith(part),
        "endswith": text.endswith(part),
        "contains": part in text,
        "find": text.find(part),
        "count": text.count(part),
        "replace": text.replace(part, new),
        "slice": text[start:end],
    }


@settings(max_examples=500, deadline=None)
@given(TEXT, TEXT, TEXT, st.integers(-3, 5))
def test_a_count_limits_what_is_replaced(text: str, part: str, new: str, count: int) -> None:
    if not text and not part and sys.version_info < (3, 13):
        return  # Python had a bug here: "".replace("", "x", 1) was ""
    assert results({"x": constant(text).str.replace(part, new, count)}) == {"x": text.replace(part, new, count)}


@settings(max_examples=1000, deadline=None)
@given(st.text(st.sampled_from("ab \t\x1f\xa0\u2003é"), max_size=12), st.text("ab é", min_size=1, max_size=2), PLACES)
@example("", "a", 0)
@example("  a  b  ", " ", 1)
def test_text_is_split_as_python_splits_it(text: str, separator: str, maxsplit: int) -> None:
    value = constant(text).str
    assert results(
        {
            "split": value.split(separator),
            "at_most": value.split(separator, maxsplit),
            "spaces": value.split(),
            "spaces_at_most": value.split(maxsplit=maxsplit),
        }
    ) == {
        "split": tuple(text.split(separator)),
        "at_most": tuple(text.split(separator, maxsplit)),
        "spaces": tuple(text.split()),
        "spaces_at_most": tuple(text.split(None, maxsplit)),
    }


def test_an_empty_separator_is_refused() -> None:
    table = pw.debug.table_from_markdown("text\nabc")
    with pytest.raises(pw.InvalidError, match=r"the separator of str\.split is empty") as caught:
        table.select(x=pw.this.text.str.split(""))
    assert caught.value.origin is not None and "test_text.py:" in caught.value.origin
    with pytest.raises(pw.InputError, match="the separator is empty in "):
        table.select(x=pw.this.text.str.split(pw.this.text.str.slice(0, 0)))._native.collect()


@settings(max_examples=2000, deadline=None)
@given(st.one_of(TEXT, NUMBERS))
@example(" 1_000\xa0")
@example("+nan")
@example("0\x1f")
def test_numbers_are_read_as_python_reads_them(text: str) -> None:
    found = results(
        {
            "int": constant(text).str.parse_int(optional=True),
            "float": constant(text).str.parse_float(optional=True),
        }
    )
    assert repr(found) == repr({"int": parsed(int, text), "float": parsed(float, text)})


def parsed(kind: type[int] | type[float], text: str) -> int | float | None:
    try:
        value = kind(text)
    except ValueError:
        return None
    if isinstance(value, float):
        return value + 0.0  # no cell holds -0.0
    return value if -(2**63) <= value < 2**63 else None


def test_white_space_is_what_python_takes_for_it() -> None:
    for code in [*range(0xD800), *range(0xE000, 0x3100)]:
        if code not in (0, 10, 13) and (chr(code).isspace() or unicodedata.category(chr(code))[0] == "Z"):
            assert results({"x": constant(f"{chr(code)}a").str.strip()}) == {"x": "a"}


def test_words_for_bools_are_read_in_any_case() -> None:
    yes = constant("Да").str
    assert results({"x": yes.parse_bool(["ДА"], ["нет"]), "y": constant("oFF").str.parse_bool()}) == {
        "x": True,
        "y": False,
    }
    assert results({"x": yes.parse_bool(optional=True)}) == {"x": None}


def test_arguments_may_be_columns_and_nulls() -> None:
    table = pw.debug.table_from_markdown("""
        count | text | part | last
        1     | abab | b    | 0
        1     | abab |      | 0
        1     |      | b    | 0
    """)
    out = table.select(
        new=pw.this.text.str.replace(pw.this.part, "x", pw.this.count),
        has=pw.this.text.str.contains(pw.this.part),
    )
    assert repr(out) == "<millpond.Table new: str | None, has: bool | None>"
    assert sorted(map(repr, (row for row, _, _ in out._native.collect()))) == [
        "('axab', True)",
        "(None, None)",
        "(None, None)",
    ]


def test_text_that_is_no_number_stops_the_run() -> None:
    table = pw.debug.table_from_markdown("size\n12\nn/a")
    with pytest.raises(pw.InputError) as caught:
        table.select(size=pw.this.size.str.parse_int())._native.collect()
    assert 'the text is not int in size.str.parse_int(), where size = "n/a"' in caught.value.message
    assert caught.value.origin is not None and "test_text.py:" in caught.value.origin


def test_types_are_checked_at_the_line_of_the_call() -> None:
    table = pw.debug.table_from_markdown("size\n12")
    with pytest.raises(pw.InvalidError) as caught:
        table.select(size=pw.this.size.str.lower())
    assert caught.value.message == 'column "size" is int, but str.lower needs str'
    assert caught.value.origin is not None and "test_text.py:" in caught.value.origin
    with pytest.raises(pw.InvalidError, match=r"argument 1 of str\.find needs str"):
        table.select(size=pw.cast(str, pw.this.size).str.find(1))
    with pytest.raises(pw.InvalidError, match='true_values: expected a list of words, got "yes"'):
        pw.this.size.str.parse_bool("yes")
    with pytest.raises(pw.InvalidError, match="optional: expected True or False"):
        pw.this.size.str.parse_int(1)  # type: ignore[arg-type]
