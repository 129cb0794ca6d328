"""Schemas: the names and types of a table's columns, as a class."""

from __future__ import annotations

import sys
import types

from millpond import _native
from millpond._check import invalid, show
from millpond._json import Json
from millpond._names import no_attribute
from millpond._time import DateTimeNaive, DateTimeUtc, Duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, TypeAlias

    NativeColumn: TypeAlias = tuple[str, str, bool]
    """A column as the engine says it: name, type, whether it may hold nulls."""

_TYPES: dict[object, str] = {
    bool: "bool",
    int: "int",
    float: "float",
    str: "str",
    DateTimeNaive: "DateTimeNaive",
    DateTimeUtc: "DateTimeUtc",
    Duration: "Duration",
    bytes: "bytes",
    Json: "json",
}
_MAX_DEPTH = 32
_CLASSES = {name: cls for cls, name in _TYPES.items()}


_TYPES_HINT = (
    "types are int, float, str, bool, bytes, pw.Json, pw.DateTimeNaive, pw.DateTimeUtc, pw.Duration, "
    "tuple[X, Y] and list[X], each also as X | None"
)


_INSTEAD = {
    "datetime": "pw.DateTimeNaive (or pw.DateTimeUtc, with a zone)",
    "date": "pw.DateTimeNaive",
    "Timestamp": "pw.DateTimeNaive",
    "timedelta": "pw.Duration",
    "Timedelta": "pw.Duration",
    "dict": "pw.Json",
    "Dict": "pw.Json",
    "object": "pw.Json",
    "Any": "pw.Json",
    "list": "list[str]",
    "tuple": "tuple[int, str]",
    "Decimal": "float, or int of the smallest unit",
    "bytearray": "bytes",
}
"""What columns of other types of Python's are here, by the name of the type."""


class ColumnDefinition:
    """What `column_definition` says about a column beyond its annotation."""

    __slots__ = ("dtype", "name", "primary_key")

    def __init__(self, dtype: object, name: str | None, primary_key: bool) -> None:
        self.dtype = dtype
        self.name = name
        self.primary_key = primary_key


class SchemaMeta(type):
    """The class of schemas: reads the annotations when a schema is defined."""

    if TYPE_CHECKING:  # annotations here would be taken for those of a schema that has none
        _columns: tuple[NativeColumn, ...]
        _primary_key: frozenset[str]

    def __init__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> None:
        super().__init__(name, bases, namespace)
        columns: dict[str, NativeColumn] = {}
        key: set[str] = set()
        for base in reversed(cls.__mro__[1:]):
            if isinstance(base, SchemaMeta):
                columns.update({column[0]: column for column in base._columns})
                key |= base._primary_key
        own: Mapping[str, object] = {} if not bases else cls.__annotations__
        for attribute, definition in namespace.items():
            if isinstance(definition, ColumnDefinition) and attribute not in own:
                if definition.dtype is None:
                    raise invalid(
                        f"schema {name}: column {show(attribute)} has no type",
                        hint=f"{attribute}: int = pw.column_definition(...), or dtype=int in it",
                    )
                own = {**own, attribute: definition.dtype}
        for attribute, hint in own.items():
            column = attribute
            definition = namespace.get(attribute)
            key.discard(attribute)
            if isinstance(definition, ColumnDefinition):
                column = definition.name or attribute
                hint = definition.dtype or hint
                if definition.primary_key:
                    key.add(column)
            elif definition is not None:
                raise invalid(
                    f"schema {name}: column {show(attribute)} is given the value {show(definition)}, "
                    "but a column has no default in this version",
                    hint=f"pw.coalesce(pw.this.{attribute}, {definition!r}) gives a null a value",
                )
            columns[column] = (column, *_column_type(hint, f"schema {name}: column {show(attribute)}", cls.__module__))
        cls._columns = tuple(columns.values())
        cls._primary_key = frozenset(key)

    def column_names(cls) -> list[str]:
        """The names of the columns, in order."""
        return [name for name, _, _ in cls._columns]

    def primary_key_columns(cls) -> list[str] | None:
        """The names of the columns of the primary key, in order, if there is one."""
        return [name for name in cls.column_names() if name in cls._primary_key] or None

    def typehints(cls) -> dict[str, Any]:
        """The type of each column, as a program would annotate it."""
        return {name: _annotation(ty, optional) for name, ty, optional in cls._columns}

    if not TYPE_CHECKING:

        def __getattr__(cls, name: str) -> None:
            raise no_attribute("Schema", name, dir(SchemaMeta), cls.column_names() if "_columns" in vars(cls) else ())

    def __repr__(cls) -> str:
        return f"<millpond.Schema {describe(cls._columns)}>" if cls._columns else "<millpond.Schema>"


class Schema(metaclass=SchemaMeta):
    """The columns of a table: one annotation each.

    Types are ``int``, ``float``, ``str``, ``bool``, ``bytes``, ``pw.Json``, ``pw.DateTimeNaive``, ``pw.DateTimeUtc``,
    ``pw.Duration``, ``tuple[int, str]`` (of any types) and ``list[int]`` (of any type), read as a tuple.
    In CSV, bytes are written as base64, JSON, tuples and lists as JSON.

    ``X | None`` (or ``Optional[X]``) is a column that may hold nulls. In CSV a null is an empty field without quotes,
    in JSON lines ``null`` or a missing field.

    Examples:
        >>> import millpond as pw
        >>> class Visit(pw.Schema):
        ...     user_id: str
        ...     access_time: int
        ...     referrer: str | None
        >>> Visit
        <millpond.Schema user_id: str, access_time: int, referrer: str | None>
    """


def column_definition(*, primary_key: bool = False, dtype: Any = None, name: str | None = None) -> Any:
    """Says more about a column of a `Schema` than its annotation does.

    Args:
        primary_key: Whether the column is part of the primary key, which identifies a row for `Table.update_rows` and
            its like. Of rows with one key, `pw.io.python.read` keeps the last. Files take no schema with a primary key
            in this version, since their rows replace none: say `Table.with_id_from` after reading instead.
        dtype: The type, if it is not annotated.
        name: The name in the data, if it is no Python identifier.

    Examples:
        >>> import millpond as pw
        >>> class Visit(pw.Schema):
        ...     user_id: str = pw.column_definition(name="user id")
        >>> Visit.column_names()
        ['user id']
    """
    if name is not None and (not isinstance(name, str) or not name):
        raise invalid(f"name: expected a non-empty str, got {show(name)}")
    if not isinstance(primary_key, bool):
        raise invalid(f"primary_key: expected True or False, got {show(primary_key)}")
    return ColumnDefinition(dtype, name, primary_key)


def schema_from_types(_name: str = "Schema", /, **columns: Any) -> type[Schema]:
    """A schema from keyword arguments.

    Examples:
        >>> import millpond as pw
        >>> pw.schema_from_types(user_id=str, access_time=int)
        <millpond.Schema user_id: str, access_time: int>
    """
    return _make(_name, columns)


def schema_of(columns: list[NativeColumn]) -> type[Schema]:
    """The schema class of a table of the engine."""
    return _make("Schema", {name: _annotation(ty, optional) for name, ty, optional in columns})


def native_columns(schema: object, what: str) -> list[NativeColumn]:
    """The columns of a schema as the engine takes them."""
    if not isinstance(schema, SchemaMeta):
        raise invalid(
            f"{what}: expected a schema, got {show(schema)}",
            hint="define one: class InputSchema(pw.Schema): followed by a line such as user_id: str",
        )
    if not schema._columns:
        raise invalid(f"{what}: the schema {schema.__name__} has no column")
    return list(schema._columns)


def primary_key(schema: type[Schema]) -> list[str]:
    """The columns of a schema's primary key, if it has one."""
    return schema.primary_key_columns() or []


def describe(columns: tuple[NativeColumn, ...] | list[NativeColumn]) -> str:
    """Names and types on one line."""
    return ", ".join(f"{name}: {_native.spell_type(ty, optional)}" for name, ty, optional in columns)


def native_type(hint: object, what: str) -> str:
    """The engine's name of a type that holds no nulls by itself, such as the target of a cast."""
    ty, _ = _column_type(hint, what, None)
    return ty


def _make(name: str, columns: Mapping[str, object]) -> type[Schema]:
    namespace = {"__annotations__": dict(columns), "__module__": __name__}
    return SchemaMeta(name, (Schema,), namespace)  # type: ignore[return-value]


def _annotation(ty: str, optional: bool) -> Any:
    cls, rest = _class(ty)
    assert not rest, ty
    return cls | None if optional else cls


def _class(ty: str) -> tuple[Any, str]:
    """The type that a text of the engine starts with, as a program would annotate it, and the rest of the text."""
    end = next((i for i, letter in enumerate(ty) if not letter.isalpha()), len(ty))
    name, rest = ty[:end], ty[end:]
    if name not in ("tuple", "list"):
        return _CLASSES[name], rest
    rest = rest[1:]
    elements: list[Any] = []
    while not rest.startswith("]"):
        element, rest = _class(rest.removeprefix(", "))
        optional = rest.startswith("?")
        elements.append(element | None if optional else element)
        rest = rest.removeprefix("?")
    return (list[elements[0]] if name == "list" else tuple[tuple(elements)]), rest[1:]  # type: ignore[misc,valid-type]


def _column_type(hint: object, what: str, module: str | None, depth: int = 0) -> tuple[str, bool]:
    """The engine's name of the type that an annotation means, and whether nulls are allowed."""
    original = hint
    if isinstance(hint, str) and module is not None:
        hint = _evaluate(hint, module)
    members = list(hint.__args__) if _is_union(hint) else [hint]  # type: ignore[attr-defined]
    optional = type(None) in members
    members = [member for member in members if member is not type(None)]
    if depth > _MAX_DEPTH:
        raise invalid(f"{what}: tuples and lists are more than {_MAX_DEPTH} deep one in another")
    ty = _name(members[0], what, depth) if len(members) == 1 else None
    if ty is None:
        shown = original if isinstance(original, str) else getattr(original, "__name__", None) or repr(original)
        instead = _INSTEAD.get(getattr(members[0], "__name__", "")) if len(members) == 1 else None
        raise invalid(f"{what} has the type {shown}", hint=f"the type for it is {instead}" if instead else _TYPES_HINT)
    return ty, optional


def _name(hint: object, what: str, depth: int) -> str | None:
    """The engine's name of a type; nothing if it has none."""
    of = getattr(hint, "__origin__", None)
    if of is None:
        return _TYPES.get(hint) if isinstance(hint, type) else None
    arguments = list(hint.__args__)  # type: ignore[attr-defined]
    if of is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        of, arguments = list, arguments[:1]
    if of not in (tuple, list):
        return None
    elements = []
    for argument in arguments:
        element, optional = _column_type(argument, what, None, depth + 1)
        elements.append(f"{element}?" if optional else element)
    return f"{of.__name__}[{', '.join(elements)}]"


def _is_union(hint: object) -> bool:
    if isinstance(hint, types.UnionType):
        return True
    typing = sys.modules.get("typing")  # a program that wrote Optional[X] has imported it
    return typing is not None and getattr(hint, "__origin__", None) is typing.Union


def _evaluate(hint: str, module: str) -> object:
    """The meaning of an annotation that `from __future__ import annotations` left as text."""
    scope = vars(sys.modules[module]) if module in sys.modules else {}
    try:
        return eval(hint, dict(scope))  # the text is the program's own source
    except Exception:
        return hint
