"""Checks of arguments, made before anything is read or written."""

from __future__ import annotations

import math
import os

from millpond._errors import InvalidError
from millpond._origin import here, warn_deprecated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def invalid(message: str, hint: str | None = None) -> InvalidError:
    """An error at the line of the user's program that is running."""
    file, line = here()
    return InvalidError(message, hint=hint, origin=f"{file}:{line}")


def type_name(value: object) -> str:
    """How a message calls the type of a value."""
    return "None" if value is None else type(value).__name__


def show(value: object) -> str:
    """A value in a message: quoted like a literal of a program, and short."""
    text = f'"{value}"' if isinstance(value, str) else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def path(value: object, what: str) -> str:
    """A path as text."""
    try:
        text = os.fspath(value)  # type: ignore[call-overload]
    except TypeError:
        raise invalid(f"{what}: expected a path, got {show(value)} ({type_name(value)})") from None
    if not isinstance(text, str):
        raise invalid(f"{what}: expected a path as text, got {show(text)}")
    if not text:
        raise invalid(f"{what}: the path is empty")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise invalid(
            f"{what}: the path {text!r} is not UTF-8", hint="rename what it names: paths and names are text in UTF-8"
        ) from None
    if "\0" in text:
        raise invalid(f"{what}: the path {text!r} holds a zero byte")
    return text


def choice(value: object, what: str, choices: Iterable[str]) -> str:
    """One of a few words."""
    choices = list(choices)
    if not isinstance(value, str) or value not in choices:
        raise invalid(f"{what}: {show(value)} is none of {', '.join(map(show, choices))}")
    return value


def words(value: object, what: str) -> str:
    """A text that the program itself must know, not one of a row."""
    if not isinstance(value, str):
        raise invalid(f"{what}: expected a str, got {show(value)}")
    return value


def flag(value: object, what: str) -> bool:
    """True or False, and nothing that merely looks like it."""
    if not isinstance(value, bool):
        raise invalid(f"{what}: expected True or False, got {show(value)}")
    return value


def whole_number(value: object, what: str, *, least: int) -> int:
    """An int of 64 bits that is not below `least`."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise invalid(f"{what}: expected an int, got {show(value)} ({type_name(value)})")
    if value < least:
        raise invalid(f"{what}: {value} is negative" if least == 0 else f"{what}: {value} is less than {least}")
    if value >= 2**63:
        raise invalid(f"{what}: {value} is too large")
    return value


def number(value: object, what: str, *, positive: bool = False) -> int | float:
    """A finite int or float; above 0 if `positive`."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise invalid(f"{what}: expected an int or a float, got {show(value)} ({type_name(value)})")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise invalid(f"{what}: {value} does not fit into an int of 64 bits")
    if isinstance(value, float) and not math.isfinite(value):
        raise invalid(f"{what}: {value} is not finite")
    if positive and value <= 0:
        raise invalid(f"{what}: {value} is not more than 0")
    return value


def character(value: object, what: str) -> int:
    """One ASCII character, as its byte."""
    if not isinstance(value, str) or len(value) != 1 or not value.isascii() or value in "\r\n":
        raise invalid(f"{what}: expected one ASCII character, got {show(value)}")
    return ord(value)


def texts(value: object, what: str) -> list[str]:
    """Checks an option that is a list of texts."""
    if isinstance(value, (list, tuple)) and all(isinstance(text, str) for text in value):
        return list(value)
    raise invalid(f"{what}: expected a list of texts, got {show(value)}", hint=f'such as {what}=["NULL", "NA"]')


def name(value: object, what: str = "name") -> str | None:
    """The name of a source or sink."""
    if value is None:
        return None
    if not isinstance(value, str) or not value:
        raise invalid(f"{what}: expected a non-empty str, got {show(value)}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise invalid(f"{what}: {value!r} is not UTF-8") from None
    return value


def renamed(old: str, old_value: object, new: str, new_value: object) -> object:
    """The value of an option that has an older spelling."""
    if old_value is None:
        return new_value
    if new_value is not None:
        raise invalid(f"{old} and {new} are two spellings of one option; both are given", hint=f"keep {new}")
    warn_deprecated(f"{old}= is the older spelling of {new}=")
    return old_value
