"""JSON values."""

from __future__ import annotations

from millpond import _native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, TypeVar

    T = TypeVar("T")


class Json:
    """A JSON value, and the type of columns of such values: an annotation in a `Schema`.

    A cell of such a column is read as an object of this class, whose ``value`` is made of dicts, lists, strs, ints,
    floats, bools and None. ``json[key]`` and ``json.get(key)`` of a column take it apart, ``as_int()``,
    ``as_float()``, ``as_str()`` and ``as_bool()`` read what it is.

    Equal values have one text, with sorted fields, and only they are equal: ``1``, ``1.0``, ``true`` and ``"1"`` are
    four values, as rows of a table and in Python. A number with a fraction or an exponent is a float, another an int;
    they keep all their digits in tables and files.

    Examples:
        >>> import millpond as pw
        >>> pw.Json({"b": 1, "a": [True, None]})
        pw.Json({'b': 1, 'a': [True, None]})
        >>> pw.Json.parse('{"a": [1, 2]}')["a"][1].as_int()
        2
        >>> pw.Json([1]) == pw.Json([True]), pw.Json({"a": 1, "b": 2}) == pw.Json({"b": 2, "a": 1})
        (False, True)
        >>> class Event(pw.Schema):
        ...     event: pw.Json
        >>> events = pw.debug.table_from_markdown('''
        ...     event
        ...     {"user":"ann","pages":[3,4]}
        ...     {"user":"bob"}
        ... ''', schema=Event)
        >>> pw.debug.compute_and_print(events.select(
        ...     user=pw.this.event["user"].as_str(),
        ...     last_page=pw.this.event.get("pages").get(-1).as_int(),
        ... ))
        user | last_page
        ann  | 4
        bob  |
    """

    NULL: Json
    """JSON's null."""

    __slots__ = ("_text", "_value")

    def __init__(self, value: Any = None) -> None:
        self._value = value.value if isinstance(value, Json) else value
        self._text: str | None = value._text if isinstance(value, Json) else None

    @staticmethod
    def parse(text: str | bytes) -> Json:
        """The value that a JSON text stands for."""
        value = Json(_loads(text))
        # A number may have more digits, or a larger exponent, than a float of Python's.
        value._text = _native.json_text(text if isinstance(text, str) else text.decode())
        return value

    @staticmethod
    def dumps(value: Any) -> str:
        """The JSON text of a value, which may be a `Json` or hold some."""
        return dumps(value)

    @property
    def value(self) -> Any:
        """The value as Python's own objects."""
        if self._value is None and self._text is not None:
            self._value = _loads(self._text)
        return self._value

    def as_int(self) -> int:
        """The value, if it is an int."""
        if isinstance(self.value, bool):
            raise ValueError(f"{self} is not an int")
        return self._as(int)

    def as_float(self) -> float:
        """The value as a float, if it is a number."""
        if isinstance(self.value, int) and not isinstance(self.value, bool):
            return float(self.value)
        return self._as(float)

    def as_str(self) -> str:
        """The value, if it is a str."""
        return self._as(str)

    def as_bool(self) -> bool:
        """The value, if it is a bool."""
        return self._as(bool)

    def as_list(self) -> list[Any]:
        """The value, if it is a list."""
        return self._as(list)

    def as_dict(self) -> dict[str, Any]:
        """The value, if it is a dict."""
        return self._as(dict)

    def _as(self, cls: type[T]) -> T:
        if not isinstance(self.value, cls):
            raise ValueError(f"{self} is not {'an' if cls is int else 'a'} {cls.__name__}")
        found: T = self.value
        return found

    def __getitem__(self, key: str | int) -> Json:
        return Json(self.value[key])

    def __iter__(self) -> Iterator[Json]:
        return (Json(element) for element in self.value)

    def __len__(self) -> int:
        return len(self.value)

    def __bool__(self) -> bool:
        return bool(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Json) and _key(self) == _key(other)

    def __hash__(self) -> int:
        return hash(_key(self))

    def __str__(self) -> str:
        return dumps(self)

    def __repr__(self) -> str:
        return f"pw.Json({self.value!r})"


Json.NULL = Json(None)


def parse(text: str) -> Json:
    """The value of a text of the engine, which is read when it is asked for."""
    value = Json()
    value._text = text
    return value


def dumps(value: object) -> str:
    """The JSON text of a value as the engine takes it."""
    if isinstance(value, Json) and value._text is not None:
        return value._text
    import json  # which takes a while

    return json.dumps(value, default=_plain, allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def _loads(text: str | bytes) -> Any:
    import json  # which takes a while

    return json.loads(text)


def _plain(value: object) -> object:
    if isinstance(value, Json):
        return value.value
    raise TypeError(f"there is no {type(value).__name__} in JSON")


def _key(value: Json) -> str:
    """What equal values have in common: the one text that they have in tables."""
    if value._text is not None:
        return value._text
    try:
        text = _native.json_text(dumps(value))
    except (TypeError, ValueError):
        text = None
    # Not every object of Python's is JSON; such a one equals what looks the same.
    return repr(value.value) if text is None else text
