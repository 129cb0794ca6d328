"""What ``reduce`` computes of the rows of a group or a session.

All but `count`, `tuple` and `sorted_tuple` leave nulls out; of nulls alone they make null. Reducers stand in
expressions like any value: ``pw.reducers.max(pw.this.t) - pw.reducers.min(pw.this.t)``.

`earliest`, `latest` and `tuple` go by arrival: a row has arrived with the change that added it, and changes that cancel
within an epoch are none. A row that is removed is the first that came of all rows equal to it in what the ``reduce``
reads.

Warning:
    What is read together has arrived together. **All lines of the files of a static run are one epoch**, so there
    `latest` is the largest value and not that of the last line, and `tuple` has the values in order and not as the
    lines stand. If the order of lines matters, let a column tell it, such as a time: ``argmax(pw.this.time,
    pw.this.city)``.

Several `argmin` (or `argmax`) of one value in a ``reduce`` take their arguments from *one* row, so no row is put
together of several. The same holds for several `earliest` (or `latest`) of columns that are not optional. To have cells
of one row in any other case, take a tuple: ``argmax(pw.this.time, pw.make_tuple(pw.this.id, pw.this.price))``.

Examples:
    >>> import millpond as pw
    >>> orders = pw.debug.table_from_markdown('''
    ...     item  | cents
    ...     apple | 30
    ...     apple | 20
    ...     pear  | 45
    ... ''')
    >>> pw.debug.compute_and_print(orders.groupby(pw.this.item).reduce(
    ...     pw.this.item,
    ...     orders=pw.reducers.count(),
    ...     mean=pw.reducers.avg(pw.this.cents),
    ... ))
    item  | orders | mean
    apple | 2      | 25.0
    pear  | 1      | 45.0
"""

from __future__ import annotations

from types import EllipsisType

from millpond import _native
from millpond._expression import ColumnExpression, to_expression
from millpond._origin import here

TYPE_CHECKING = False
if TYPE_CHECKING:
    from millpond._expression import Operand

__all__ = [
    "any",
    "argmax",
    "argmin",
    "avg",
    "count",
    "count_distinct",
    "earliest",
    "latest",
    "max",
    "min",
    "sorted_tuple",
    "sum",
    "tuple",
    "unique",
]


def count() -> ColumnExpression:
    """The number of rows."""
    return _reducer("count")


def sum(value: Operand) -> ColumnExpression:
    """The sum of an int, float or Duration expression, of the same type.

    Floats are added up exactly, and the sum is rounded once, to the nearest float: it hangs neither on the order of the
    rows nor on what was removed again. A NaN, or infinities of both signs, make it NaN as long as they are there.

    Ints and Durations are added up in 128 bits. A sum that leaves the 64 bits of its type is an error only where it is
    a result: at the end of an epoch, which then is not saved, so that a later run may add what brings it back.

    Examples:
        >>> import millpond as pw
        >>> numbers = pw.debug.table_from_markdown('''
        ...     number
        ...     1e308
        ...     0.1
        ...     0.2
        ...     -1e308
        ... ''')
        >>> pw.debug.compute_and_print(numbers.reduce(sum=pw.reducers.sum(numbers.number)))
        sum
        0.30000000000000004
    """
    return _reducer("sum", value)


def avg(value: Operand) -> ColumnExpression:
    """The mean: of an int or float expression a float, of a Duration one, rounded half to even to the nanosecond.

    A float is the one nearest to the exact sum by the number of values, also where the sum itself is beyond the range
    of floats or ints.

    Examples:
        >>> import millpond as pw
        >>> visits = pw.debug.table_from_markdown('''
        ...     user | stay
        ...     ann  | PT4M
        ...     ann  | PT5M
        ... ''', schema=pw.schema_from_types(user=str, stay=pw.Duration))
        >>> pw.debug.compute_and_print(visits.groupby(visits.user).reduce(
        ...     visits.user, stay=pw.reducers.avg(visits.stay)
        ... ))
        user | stay
        ann  | 0:04:30
    """
    return _reducer("avg", value)


def min(value: Operand) -> ColumnExpression:
    """The smallest value, of the same type; NaN is greater than every number."""
    return _reducer("min", value)


def max(value: Operand) -> ColumnExpression:
    """The largest value, of the same type; NaN is greater than every number."""
    return _reducer("max", value)


def any(value: Operand) -> ColumnExpression:
    """One of the values; the smallest, so that the result does not hang on the order of rows."""
    return _reducer("any", value)


def unique(value: Operand) -> ColumnExpression:
    """The one value that all rows have. Several values are an error, which ``pw.fill_error`` may replace.

    Examples:
        >>> import millpond as pw
        >>> visits = pw.debug.table_from_markdown('''
        ...     user  | city | page
        ...     alice | Rome | home
        ...     alice | Rome | shop
        ...     bob   | Oslo | home
        ... ''')
        >>> pw.debug.compute_and_print(visits.groupby(visits.user).reduce(
        ...     visits.user,
        ...     city=pw.reducers.unique(visits.city),
        ...     page=pw.fill_error(pw.reducers.unique(visits.page), "several"),
        ... ))
        user  | city | page
        alice | Rome | several
        bob   | Oslo | home
    """
    return _reducer("unique", value)


def argmin(value: Operand, argument: Operand | EllipsisType = ...) -> ColumnExpression:
    """The ``argument`` of the row with the smallest ``value``.

    Of several rows with that value, it is the smallest argument, so that the result does not hang on the order of rows.
    Several `argmin` of one value take one row: the one with the smallest arguments, compared in the order of the names
    of the outputs that they stand in. Rows without a value are left out; the argument may be None.

    Args:
        value: What is the smallest.
        argument: What is taken of that row.

    Examples:
        >>> import millpond as pw
        >>> offers = pw.debug.table_from_markdown('''
        ...     item  | shop  | cents
        ...     apple | north | 30
        ...     apple | south | 20
        ...     pear  | north | 45
        ...     pear  | south | 45
        ... ''')
        >>> pw.debug.compute_and_print(offers.groupby(offers.item).reduce(
        ...     offers.item,
        ...     cheapest=pw.reducers.argmin(offers.cents, offers.shop),
        ...     dearest=pw.reducers.argmax(offers.cents, offers.shop),
        ... ))
        item  | cheapest | dearest
        apple | south    | north
        pear  | north    | south
    """
    return _reducer("argmin", value, *_given(argument))


def argmax(value: Operand, argument: Operand | EllipsisType = ...) -> ColumnExpression:
    """The ``argument`` of the row with the largest ``value``, of several the largest argument; see `argmin`.

    Examples:
        Both visits are the last ones, and their columns stay together:

        >>> import millpond as pw
        >>> visits = pw.debug.table_from_markdown('''
        ...     user  | at | page | seconds
        ...     alice | 9  | shop | 20
        ...     alice | 9  | home | 45
        ... ''')
        >>> pw.debug.compute_and_print(visits.groupby(visits.user).reduce(
        ...     visits.user,
        ...     page=pw.reducers.argmax(visits.at, visits.page),
        ...     seconds=pw.reducers.argmax(visits.at, visits.seconds),
        ... ))
        user  | page | seconds
        alice | shop | 20
    """
    return _reducer("argmax", value, *_given(argument))


def earliest(value: Operand) -> ColumnExpression:
    """The value that came first: that of the row with the smallest epoch, and of several such, the smallest value.

    The lines of files that one static run reads came together: see the warning of this module.

    Examples:
        >>> import millpond as pw
        >>> moves = pw.debug.table_from_markdown('''
        ...     user  | city | __time__
        ...     alice | Rome | 2
        ...     alice | Oslo | 4
        ...     bob   | Bonn | 4
        ...     alice | Bonn | 6
        ... ''')
        >>> pw.debug.compute_and_print(moves.groupby(moves.user).reduce(
        ...     moves.user,
        ...     born=pw.reducers.earliest(moves.city),
        ...     lives=pw.reducers.latest(moves.city),
        ... ))
        user  | born | lives
        alice | Rome | Bonn
        bob   | Bonn | Bonn
    """
    return _reducer("earliest", value)


def latest(value: Operand) -> ColumnExpression:
    """The value that came last: that of the row with the largest epoch, and of several such, the largest value.

    **Of the lines of a file that a static run reads it is the largest value, not the last line's**: they are one epoch,
    and came together. See the warning of this module, and `earliest` for an example.
    """
    return _reducer("latest", value)


def count_distinct(value: Operand, *more: Operand) -> ColumnExpression:
    """The number of distinct values; of several expressions, of distinct combinations without a None among them.

    Examples:
        >>> import millpond as pw
        >>> visits = pw.debug.table_from_markdown('''
        ...     user  | page | city
        ...     alice | home | Rome
        ...     alice | home | Oslo
        ...     bob   | home | Oslo
        ... ''')
        >>> pw.debug.compute_and_print(visits.reduce(
        ...     pages=pw.reducers.count_distinct(visits.page),
        ...     homes=pw.reducers.count_distinct(visits.page, visits.city),
        ... ))
        pages | homes
        1     | 2
    """
    return _reducer("count_distinct", value, *more)


def tuple(value: Operand, *, skip_nones: bool = False) -> ColumnExpression:
    """A list of the values in the order of their arrival: by epoch, those that came in one epoch in order.

    **The values of the lines of a file that a static run reads stand in order, not as the lines do**: they are one
    epoch, and came together. See the warning of this module.

    Args:
        value: What the list holds for each row.
        skip_nones: Whether None is left out.

    Examples:
        >>> import millpond as pw
        >>> visits = pw.debug.table_from_markdown('''
        ...     user  | page | __time__
        ...     alice | shop | 2
        ...     alice | home | 4
        ...     bob   | home | 4
        ... ''')
        >>> paths = visits.groupby(visits.user).reduce(visits.user, path=pw.reducers.tuple(visits.page))
        >>> paths
        <millpond.Table user: str, path: list[str]>
        >>> pw.debug.compute_and_print(paths)
        user  | path
        alice | ('shop', 'home')
        bob   | ('home',)
    """
    return _reducer("tuple", value, skip_nones=skip_nones)


def sorted_tuple(value: Operand, *, skip_nones: bool = False) -> ColumnExpression:
    """A list of the values in order, None first and NaN last.

    Args:
        value: What the list holds for each row.
        skip_nones: Whether None is left out.

    Examples:
        >>> import millpond as pw
        >>> orders = pw.debug.table_from_markdown('''
        ...     item  | cents
        ...     apple | 30
        ...     pear  | None
        ...     apple | 20
        ... ''')
        >>> pw.debug.compute_and_print(orders.reduce(
        ...     all=pw.reducers.sorted_tuple(orders.cents),
        ...     known=pw.reducers.sorted_tuple(orders.cents, skip_nones=True),
        ... ))
        all            | known
        (None, 20, 30) | (20, 30)
    """
    return _reducer("sorted_tuple", value, skip_nones=skip_nones)


def _given(argument: Operand | EllipsisType) -> list[Operand]:
    return [] if isinstance(argument, EllipsisType) else [argument]


def _reducer(name: str, *arguments: Operand, skip_nones: bool = False) -> ColumnExpression:
    expressions = [to_expression(argument) for argument in arguments]
    native = _native.Expr.reducer(name, [expression._native for expression in expressions], skip_nones, here())
    return ColumnExpression(native)
