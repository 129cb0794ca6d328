"""Expressions over columns, built with Python's operators."""

from __future__ import annotations

import datetime

from millpond import _native
from millpond._check import flag, invalid, show, type_name
from millpond._json import Json, dumps
from millpond._names import column_code, is_looked_for, no_attribute
from millpond._origin import here
from millpond._schema import native_type
from millpond._time import to_native

TYPE_CHECKING = False
if TYPE_CHECKING:
    import builtins
    from typing import Any, NoReturn, TypeAlias

    from millpond._date_time import DateTimeNamespace
    from millpond._errors import InvalidError
    from millpond._table import Table
    from millpond._text import StringNamespace

    Scalar: TypeAlias = int | float | str | bool | bytes | Json | datetime.datetime | datetime.timedelta | None
    """A value that an expression may hold as a constant."""

    Operand: TypeAlias = "ColumnExpression | Scalar"
    """What stands beside an operator."""


_REPR = "<millpond.Column"
"""How the text of an expression begins."""


class ColumnExpression:
    """A computation over the columns of a table, one value for each row.

    It is built with Python's operators and means what they mean in Python: ``/`` of two ints is a float, ``//`` and
    ``%`` round towards minus infinity, ``None == None`` is true. The boolean operators are ``&``, ``|``, ``^`` and
    ``~``. A cell that cannot be computed (a division by zero, an overflow) is an error value, which ends the run if it
    reaches an output, unless ``if_else``, ``fill_error``, a filter or `Table.remove_errors` leaves it out.

    Examples:
        >>> import millpond as pw
        >>> prices = pw.debug.table_from_markdown('''
        ...     item  | cents | count
        ...     apple | 30    | 4
        ...     pear  | 45    | 0
        ... ''')
        >>> pw.debug.compute_and_print(prices.select(
        ...     pw.this.item,
        ...     total=pw.this.cents * pw.this.count / 100,
        ...     sold=pw.this.count > 0,
        ... ))
        item  | total | sold
        apple | 1.2   | True
        pear  | 0.0   | False
    """

    __slots__ = ("_native",)

    def __init__(self, native: _native.Expr) -> None:
        self._native = native

    def is_none(self) -> ColumnExpression:
        """Whether the value is null."""
        return ColumnExpression(self._native.unary("is_none", here()))

    def is_not_none(self) -> ColumnExpression:
        """Whether the value is not null."""
        return ColumnExpression(self._native.unary("is_not_none", here()))

    @property
    def str(self) -> StringNamespace:
        """The functions of text, such as ``pw.this.name.str.lower()``."""
        from millpond._text import StringNamespace  # which needs this class

        return StringNamespace(self)

    @property
    def dt(self) -> DateTimeNamespace:
        """The functions of points in time, durations and timestamps, such as ``pw.this.access_time.dt.hour()``."""
        from millpond._date_time import DateTimeNamespace  # which needs this class

        return DateTimeNamespace(self)

    def __getitem__(self, key: int | builtins.str | ColumnExpression) -> ColumnExpression:
        """The element of a tuple, a list or a `Json` with this number or name.

        Where there is none, the cell cannot be computed.
        """
        position = to_expression(key)
        return ColumnExpression(self._native.get(position._native, None, here()))

    if not TYPE_CHECKING:

        def __getattr__(self, name: builtins.str) -> None:
            # An object that is being copied has no expression yet.
            subject = None if is_looked_for(name) else self._operand()
            raise no_attribute("ColumnExpression", name, dir(ColumnExpression), subject=subject)

    def __iter__(self) -> NoReturn:
        raise invalid(
            "an expression cannot be walked through: it stands for one value in each row",
            hint=self._walks(),
        )

    def _walks(self) -> builtins.str:
        """What somebody may mean who walks through an expression: ``sum``, ``max`` and ``min`` do so, too."""
        flatten = f"the elements of a list become rows with table.flatten({self._code()})"
        reduce = f"pw.reducers.sum({self._code()}) adds up the values of a group; so do max and min"
        ty = self._type()
        if ty is None:
            return f"{reduce}; {flatten}"
        return flatten if ty.startswith(("list", "tuple", "json", "str")) else reduce

    def _type(self) -> builtins.str | None:
        """The name of its type, if it is a column of a known table."""
        return None

    def get(self, key: int | builtins.str | ColumnExpression, default: Operand = None) -> ColumnExpression:
        """The element of a tuple, a list or a `Json` with this number or name, or else ``default``.

        Examples:
            >>> import millpond as pw
            >>> table = pw.debug.table_from_markdown('''
            ...     words
            ...     ["to","be"]
            ...     []
            ... ''', schema=pw.schema_from_types(words=list[str]))
            >>> pw.debug.compute_and_print(
            ...     table.select(first=pw.this.words.get(0, "-"), pair=pw.make_tuple(1, pw.this.words))
            ... )
            first | pair
            -     | (1, ())
            to    | (1, ('to', 'be'))
        """
        position, other = to_expression(key), to_expression(default)
        native = self._native.get(position._native, other._native, here())
        return ColumnExpression(native)

    def as_int(self, default: Operand = None, unwrap: bool = False) -> ColumnExpression:
        """The int that a `Json` value is, or ``default``; with ``unwrap``, a value that is none is an error.

        An int outside 64 bits is an error cell.
        """
        return self._json_as("int", default, unwrap)

    def as_float(self, default: Operand = None, unwrap: bool = False) -> ColumnExpression:
        """The float nearest to the number that a `Json` value is, or ``default``; ``unwrap`` is as for `as_int`.

        A number that is too large for a float, such as ``1e400``, is an error cell.
        """
        return self._json_as("float", default, unwrap)

    def as_str(self, default: Operand = None, unwrap: bool = False) -> ColumnExpression:
        """The text of the string that a `Json` value is, or ``default``; ``unwrap`` is as for `as_int`."""
        return self._json_as("str", default, unwrap)

    def as_bool(self, default: Operand = None, unwrap: bool = False) -> ColumnExpression:
        """The bool that a `Json` value is, or ``default``; ``unwrap`` is as for `as_int`."""
        return self._json_as("bool", default, unwrap)

    def to_string(self) -> ColumnExpression:
        """The value as text, as ``pw.cast(str, ...)`` writes it."""
        return ColumnExpression(self._native.cast("str", here()))

    def _json_as(self, ty: builtins.str, default: Operand, unwrapped: bool) -> ColumnExpression:
        value = ColumnExpression(self._native.json_as(ty, here()))
        if default is not None:
            value = coalesce(value, default)
        return unwrap(value) if flag(unwrapped, "unwrap") else value

    def __add__(self, other: Operand) -> ColumnExpression:
        return _binary("+", self, other)

    def __radd__(self, other: Operand) -> ColumnExpression:
        return _binary("+", other, self)

    def __sub__(self, other: Operand) -> ColumnExpression:
        return _binary("-", self, other)

    def __rsub__(self, other: Operand) -> ColumnExpression:
        return _binary("-", other, self)

    def __mul__(self, other: Operand) -> ColumnExpression:
        return _binary("*", self, other)

    def __rmul__(self, other: Operand) -> ColumnExpression:
        return _binary("*", other, self)

    def __truediv__(self, other: Operand) -> ColumnExpression:
        return _binary("/", self, other)

    def __rtruediv__(self, other: Operand) -> ColumnExpression:
        return _binary("/", other, self)

    def __floordiv__(self, other: Operand) -> ColumnExpression:
        return _binary("//", self, other)

    def __rfloordiv__(self, other: Operand) -> ColumnExpression:
        return _binary("//", other, self)

    def __mod__(self, other: Operand) -> ColumnExpression:
        return _binary("%", self, other)

    def __rmod__(self, other: Operand) -> ColumnExpression:
        return _binary("%", other, self)

    def __pow__(self, other: Operand) -> ColumnExpression:
        return _binary("**", self, other)

    def __rpow__(self, other: Operand) -> ColumnExpression:
        return _binary("**", other, self)

    def __eq__(self, other: Operand) -> ColumnExpression:  # type: ignore[override]
        return _binary("==", self, other)

    def __ne__(self, other: Operand) -> ColumnExpression:  # type: ignore[override]
        return _binary("!=", self, other)

    def __lt__(self, other: Operand) -> ColumnExpression:
        return _binary("<", self, other)

    def __le__(self, other: Operand) -> ColumnExpression:
        return _binary("<=", self, other)

    def __gt__(self, other: Operand) -> ColumnExpression:
        return _binary(">", self, other)

    def __ge__(self, other: Operand) -> ColumnExpression:
        return _binary(">=", self, other)

    def __and__(self, other: Operand) -> ColumnExpression:
        return _binary("&", self, other)

    def __rand__(self, other: Operand) -> ColumnExpression:
        return _binary("&", other, self)

    def __or__(self, other: Operand) -> ColumnExpression:
        return _binary("|", self, other)

    def __ror__(self, other: Operand) -> ColumnExpression:
        return _binary("|", other, self)

    def __xor__(self, other: Operand) -> ColumnExpression:
        return _binary("^", self, other)

    def __rxor__(self, other: Operand) -> ColumnExpression:
        return _binary("^", other, self)

    def __neg__(self) -> ColumnExpression:
        return ColumnExpression(self._native.unary("-", here()))

    def __abs__(self) -> ColumnExpression:
        return ColumnExpression(self._native.unary("abs", here()))

    def __invert__(self) -> ColumnExpression:
        return ColumnExpression(self._native.unary("~", here()))

    def __hash__(self) -> int:
        return id(self)

    def __bool__(self) -> bool:
        raise invalid(
            "an expression has no truth value: it stands for one value in each row",
            hint="write & | ~ for and, or, not; (a < b) & (b < c) for a < b < c; (a == 1) | (a == 2) for a in [1, 2]; "
            "pw.if_else(condition, a, b) for if",
        )

    def _code(self) -> builtins.str:
        """The expression as it can be pasted into the program."""
        return self._native.code()

    def _operand(self) -> builtins.str:
        """The same, as it can stand beside an operator or before a dot."""
        return f"({self._code()})"

    def _no_value(self, wanted: builtins.str, hint: builtins.str) -> InvalidError:
        return invalid(f"an expression is no {wanted}: it stands for one value in each row", hint=hint)

    def __format__(self, spec: builtins.str) -> builtins.str:
        raise self._no_value("text", f'"a " + pw.cast(str, {self._code()}) joins texts, where f"a {{...}}" cannot')

    def __int__(self) -> int:
        raise self._no_value("number", f"pw.cast(int, {self._code()})")

    def __float__(self) -> float:
        raise self._no_value("number", f"pw.cast(float, {self._code()}); a root is {self._operand()} ** 0.5")

    def __complex__(self) -> complex:
        raise self._no_value("number", f"pw.cast(float, {self._code()})")

    def __index__(self) -> int:
        raise self._no_value("number", f"pw.cast(int, {self._code()}); a part of a text is .str.slice(start, end)")

    def __round__(self, digits: int | None = None) -> NoReturn:
        if not digits:
            hint = f"pw.cast(int, ({self._operand()} + 0.5) // 1) rounds to a whole number"
        elif digits > 0:
            unit = 10**digits
            hint = f"({self._operand()} * {unit} + 0.5) // 1 / {unit} rounds to {digits} digit{'s' * (digits > 1)}"
        else:
            unit = 10**-digits
            hint = f"({self._operand()} / {unit} + 0.5) // 1 * {unit} rounds to whole {unit}s"
        raise self._no_value("number", hint)

    def __trunc__(self) -> NoReturn:
        raise self._no_value("number", f"pw.cast(int, {self._code()})")

    def __floor__(self) -> NoReturn:
        raise self._no_value("number", f"{self._operand()} // 1")

    def __ceil__(self) -> NoReturn:
        raise self._no_value("number", f"-(-{self._operand()} // 1)")

    def __len__(self) -> int:
        ty = self._type()
        if ty is None or ty.startswith("str"):
            raise self._no_value("sequence", f"{self._operand()}.str.len() is the length of text")
        raise self._no_value("sequence", "table.reduce(rows=pw.reducers.count()) counts the rows")

    def __contains__(self, part: object) -> bool:
        raise self._no_value("sequence", f"{self._operand()}.str.contains(...) looks into text")

    def __reversed__(self) -> NoReturn:
        raise self._no_value("sequence", f"pw.reducers.sorted_tuple({self._code()}) has the values of a group in order")

    def __call__(self, *arguments: object, **options: object) -> NoReturn:
        raise invalid(f"an expression cannot be called: {self!r} is no method", hint=f"write {self._code()}")

    def __lshift__(self, other: object) -> NoReturn:
        raise invalid("an expression has no bits to shift", hint=f"{self._operand()} * 2 ** {_shown(other)}")

    def __rshift__(self, other: object) -> NoReturn:
        raise invalid("an expression has no bits to shift", hint=f"{self._operand()} // 2 ** {_shown(other)}")

    def __repr__(self) -> builtins.str:
        # Also what `print` shows; a constant that holds it is refused (`to_expression`).
        return f"{_REPR}Expression {self._native}>"


class ColumnReference(ColumnExpression):
    """A column by its name.

    It is of a table (``table.user_id``), of the table at hand (``pw.this.user_id``) or of one side of a join
    (``pw.left.user_id``).
    """

    __slots__ = ("_name", "_table")

    def __init__(self, name: str, table: Table | This) -> None:
        super().__init__(table._column_of(name))
        self._name = name
        self._table = table

    @property
    def name(self) -> str:
        """The name of the column."""
        return self._name

    def _operand(self) -> str:
        return self._code()

    def _type(self) -> str | None:
        schema = [] if isinstance(self._table, This) else self._table._native.schema()
        return next((ty for name, ty, _ in schema if name == self._name), None)

    def __repr__(self) -> str:
        return f"{_REPR}Reference {self._name}>"


class This:
    """The table at hand, of which ``pw.this.user_id`` is a column: the table whose method gets the expression.

    ``pw.left`` and ``pw.right`` are the two tables of a join.
    """

    __slots__ = ("_side",)

    def __init__(self, side: str = "this") -> None:
        self._side = side

    def _column_of(self, name: str) -> _native.Expr:
        if self._side == "this":
            return _native.Expr.column(name, here())
        return _native.Expr.side_column(self._side == "left", name, here())

    def __getattr__(self, name: str) -> ColumnReference:
        if name.startswith(("__", "_repr_", "_ipython_")):
            raise AttributeError(name)
        return ColumnReference(name, self)

    def __getitem__(self, name: str) -> ColumnReference:
        if not isinstance(name, str):
            raise no_item(name)
        return ColumnReference(name, self)

    def __iter__(self) -> NoReturn:
        raise invalid(
            f"pw.{self._side} cannot be walked through: it stands for a table, whatever its columns are",
            hint=f"table.with_columns(...) keeps all columns, table.select(pw.{self._side}.<column>, ...) those that "
            "are named",
        )

    def __repr__(self) -> str:
        return f"<millpond.{self._side}>"


this = This()
left = This("left")
right = This("right")


def if_else(condition: Operand, then: Operand, otherwise: Operand) -> ColumnExpression:
    """The value of ``then`` in rows where ``condition`` holds, of ``otherwise`` in the others.

    A cell of the side that is not taken may fail without harm.

    Examples:
        >>> import millpond as pw
        >>> table = pw.debug.table_from_markdown('''
        ...     hits | tries
        ...     1    | 2
        ...     0    | 0
        ... ''')
        >>> pw.debug.compute_and_print(table.select(
        ...     rate=pw.if_else(pw.this.tries == 0, 0.0, pw.this.hits / pw.this.tries),
        ...     pw_tries=pw.this.tries,
        ... ))
        rate | pw_tries
        0.0  | 0
        0.5  | 2
    """
    a, b, c = to_expression(condition), to_expression(then), to_expression(otherwise)
    return ColumnExpression(_native.Expr.if_else(a._native, b._native, c._native, here()))


def coalesce(*values: Operand) -> ColumnExpression:
    """The first of the values that is not null, or null.

    Examples:
        >>> import millpond as pw
        >>> coalesced = pw.coalesce(pw.this.nickname, pw.this.name, "nobody")
    """
    if not values:
        raise invalid("coalesce: no value is given", hint='such as pw.coalesce(pw.this.name, "nobody")')
    expressions = [to_expression(value) for value in values]
    native = _native.Expr.coalesce([expression._native for expression in expressions], here())
    return ColumnExpression(native)


def cast(target: Any, value: Operand) -> ColumnExpression:
    """The value converted to ``int``, ``float``, ``str`` or ``bool``; null stays null.

    Points in time and durations are converted to and from ``str`` only; so are bytes, as UTF-8, and `Json`, tuples and
    lists, as JSON text. These three are converted into each other, too.

    Examples:
        >>> import millpond as pw
        >>> table = pw.debug.table_from_markdown('''
        ...     text
        ...     12
        ... ''', schema=pw.schema_from_types(text=str))
        >>> table.select(number=pw.cast(int, table.text))
        <millpond.Table number: int>
    """
    expression = to_expression(value)
    ty = native_type(target, "cast: the target")
    return ColumnExpression(expression._native.cast(ty, here()))


def make_tuple(*values: Operand) -> ColumnExpression:
    """The tuple of the values, some of which may be null.

    Tuples are compared element by element, null first, and may be keys of groups.

    Examples:
        >>> import millpond as pw
        >>> table = pw.debug.table_from_markdown('''
        ...     user | page
        ...     ann  | 3
        ...     bob  | 1
        ... ''')
        >>> pairs = table.select(pair=pw.make_tuple(pw.this.page, pw.this.user))
        >>> pairs
        <millpond.Table pair: tuple[int, str]>
        >>> pw.debug.compute_and_print(pairs.select(pw.this.pair, user=pw.this.pair[1]))
        pair       | user
        (1, 'bob') | bob
        (3, 'ann') | ann
    """
    expressions = [to_expression(value) for value in values]
    native = _native.Expr.make_tuple([expression._native for expression in expressions], here())
    return ColumnExpression(native)


def unwrap(value: Operand) -> ColumnExpression:
    """The value, of a type without nulls; a null becomes an error value.

    Examples:
        >>> import millpond as pw
        >>> table = pw.debug.table_from_markdown('''
        ...     age
        ...     31
        ... ''', schema=pw.schema_from_types(age=int | None))
        >>> table.select(age=pw.unwrap(table.age))
        <millpond.Table age: int>
    """
    expression = to_expression(value)
    return ColumnExpression(expression._native.unary("unwrap", here()))


def fill_error(value: Operand, replacement: Operand) -> ColumnExpression:
    """The value, or ``replacement`` in rows where it cannot be computed.

    Examples:
        >>> import millpond as pw
        >>> table = pw.debug.table_from_markdown('''
        ...     a | b
        ...     6 | 2
        ...     1 | 0
        ... ''')
        >>> pw.debug.compute_and_print(table.select(pw.this.a, ratio=pw.fill_error(table.a // table.b, -1)))
        a | ratio
        1 | -1
        6 | 3
    """
    a, b = to_expression(value), to_expression(replacement)
    return ColumnExpression(a._native.fill_error(b._native, here()))


def to_expression(value: object) -> ColumnExpression:
    """An expression as it is, a constant as an expression."""
    if isinstance(value, ColumnExpression):
        return value
    if isinstance(value, (datetime.datetime, datetime.timedelta)):
        return ColumnExpression(_native.Expr.literal(to_native(value), here()))
    if isinstance(value, Json):
        return ColumnExpression(_native.Expr.literal(("json", _json_text(value)), here()))
    if value is not None and not isinstance(value, (bool, int, float, str, bytes)):
        hint = "expressions are made of columns, int, float, str, bool, bytes, pw.Json, datetime, timedelta and None"
        if callable(value) and hasattr(value, "__self__"):
            hint = f"call it: {getattr(value, '__name__', '...')}()"
        elif isinstance(value, (list, tuple)):
            hint = "pw.make_tuple(...) makes a tuple of values"
        elif isinstance(value, dict):
            hint = "pw.Json({...}) is a value"
        raise invalid(f"{show(value)} ({type_name(value)}) cannot stand in an expression", hint=hint)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise invalid(f"{value} does not fit into an int of 64 bits")
    if isinstance(value, str):
        _check_text(value)
    return ColumnExpression(_native.Expr.literal(value, here()))


def _check_text(value: str) -> None:
    """Refuses what is no text of a row."""
    if _REPR in value:
        raise invalid(
            f"an expression is no text: it stands for one value in each row, but here its name is one: {show(value)}",
            hint='pw.cast(str, pw.this.x) makes text of a column x; "a " + pw.cast(str, pw.this.x) joins texts',
        )
    try:
        value.encode()
    except UnicodeEncodeError:
        raise invalid(f"{value!r} is not text in UTF-8", hint=f'{value!r}.encode(errors="replace").decode()') from None


def _json_text(value: Json) -> str:
    text: str | None
    try:
        text = dumps(value)
        text.encode()
    except UnicodeEncodeError:
        raise invalid(f"{value!r} is not text in UTF-8") from None
    except RecursionError:
        text = None
    except (TypeError, ValueError) as error:
        raise invalid(f"{show(value)} is not JSON: {error}") from None
    if text is None or _native.json_text(text) is None:
        raise invalid("a pw.Json is nested more than 128 deep")
    return text


def _shown(value: object) -> str:
    return value._operand() if isinstance(value, ColumnExpression) else show(value)


def no_item(key: object) -> InvalidError:
    """The error of a program that asks a table for anything but a column by its name."""
    hint = None
    if isinstance(key, ColumnExpression):
        hint = f"table.filter({key._code()}) keeps the rows for which it holds"
        if isinstance(key, ColumnReference):
            hint = f"table[{show(key.name)}]"
    elif isinstance(key, (list, tuple)) and key and all(isinstance(name, str) for name in key):
        hint = f"table.select({', '.join(map(column_code, key))})"
    elif isinstance(key, (int, slice)):
        hint = "pw.debug.compute_and_print(table, n_rows=5) prints the first rows; rows have no numbers"
    return invalid(f"a column is asked for by its name, not by {show(key)}", hint=hint)


def _binary(operator: str, left: Operand, right: Operand) -> ColumnExpression:
    a, b = to_expression(left), to_expression(right)
    return ColumnExpression(a._native.binary(operator, b._native, here()))
