"""What ``reduce`` computes of the rows of a group or a session.

All but `count` leave nulls out; of nulls alone they make null. Reducers stand in expressions like any value:
``pw.reducers.max(pw.this.t) - pw.reducers.min(pw.this.t)``.

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

from millpond import _native
from millpond._expression import ColumnExpression, to_expression
from millpond._origin import here

TYPE_CHECKING = False
if TYPE_CHECKING:
    from millpond._expression import Operand

__all__ = ["any", "avg", "count", "max", "min", "sum", "unique"]


def count() -> ColumnExpression:
    """The number of rows."""
    return ColumnExpression(_native.Expr.count(here()), ())


def sum(value: Operand) -> ColumnExpression:
    """The sum of an int or float expression, of the same type."""
    return _reducer("sum", value)


def avg(value: Operand) -> ColumnExpression:
    """The mean of an int or float expression, a float."""
    return _reducer("avg", value)


def min(value: Operand) -> ColumnExpression:
    """The smallest value, of the same type."""
    return _reducer("min", value)


def max(value: Operand) -> ColumnExpression:
    """The largest value, of the same type."""
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


def _reducer(kind: str, value: Operand) -> ColumnExpression:
    expression = to_expression(value)
    return ColumnExpression(expression._native.reduce(kind, here()), expression._tables)
