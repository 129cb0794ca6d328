"""Functions of text columns: what ``expression.str`` offers."""

from __future__ import annotations

from millpond._check import flag, invalid, show
from millpond._expression import ColumnExpression, to_expression
from millpond._names import is_looked_for, no_attribute
from millpond._origin import here

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import NoReturn

    from millpond._expression import Operand


class StringNamespace:
    """The functions of a ``str`` expression, named and meant as the methods of Python's ``str``.

    Arguments are values or expressions. Where the text or an argument is null, the result is null. Letters change their
    case by Unicode's rules, of the version that the engine was built with.

    Examples:
        >>> import millpond as pw
        >>> pages = pw.debug.table_from_markdown('''
        ...     url              | size
        ...     HTTP://A.org/b   | 12
        ...     https://a.org/cd | n/a
        ... ''')
        >>> pw.debug.compute_and_print(pages.select(
        ...     url=pw.this.url.str.lower(),
        ...     secure=pw.this.url.str.startswith("https:"),
        ...     scheme=pw.this.url.str.slice(0, pw.this.url.str.find(":")),
        ...     size=pw.this.size.str.parse_int(optional=True),
        ... ))
        url              | secure | scheme | size
        http://a.org/b   | False  | HTTP   | 12
        https://a.org/cd | True   | https  |
    """

    __slots__ = ("_expression",)

    def __init__(self, expression: ColumnExpression) -> None:
        self._expression = expression

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> None:
            subject = None if is_looked_for(name) else self._expression._operand()
            raise no_attribute("StringNamespace", name, dir(StringNamespace), subject=subject)

    if not TYPE_CHECKING:

        def __getitem__(self, key: object) -> NoReturn:
            raise invalid("a part of a text is not asked for in brackets", hint=self._slice(key))

    def _slice(self, key: object) -> str:
        """The part of the text that Python's brackets mean."""
        text = self._expression._operand()
        if isinstance(key, slice):
            start = 0 if key.start is None else key.start
            end = f"{text}.str.len()" if key.stop is None else key.stop
            return f"{text}.str.slice({start}, {end})"
        if isinstance(key, int):
            end = f"{text}.str.len()" if key == -1 else key + 1
            return f"{text}.str.slice({key}, {end})"
        return f"{text}.str.slice(start, end)"

    def lower(self) -> ColumnExpression:
        """In lower case."""
        return self._call("lower")

    def upper(self) -> ColumnExpression:
        """In upper case."""
        return self._call("upper")

    def strip(self, chars: Operand = None) -> ColumnExpression:
        """Without white space at both ends, or without the characters of ``chars``, in any order."""
        return self._call("strip") if chars is None else self._call("strip", chars)

    def len(self) -> ColumnExpression:
        """The number of code points, an ``int``."""
        return self._call("len")

    def startswith(self, prefix: Operand) -> ColumnExpression:
        """Whether the text begins with ``prefix``."""
        return self._call("startswith", prefix)

    def endswith(self, suffix: Operand) -> ColumnExpression:
        """Whether the text ends with ``suffix``."""
        return self._call("endswith", suffix)

    def contains(self, sub: Operand) -> ColumnExpression:
        """Whether ``sub`` is in the text: Python's ``sub in text``."""
        return self._call("contains", sub)

    def find(self, sub: Operand) -> ColumnExpression:
        """Where ``sub`` is in the text for the first time, in code points from 0; -1 if it is not."""
        return self._call("find", sub)

    def count(self, sub: Operand) -> ColumnExpression:
        """How often ``sub`` is in the text, without overlap."""
        return self._call("count", sub)

    def replace(self, old_value: Operand, new_value: Operand, count: Operand = -1) -> ColumnExpression:
        """With ``new_value`` for each ``old_value``, or for the first ``count`` of them if that is not negative."""
        if isinstance(count, int) and count == -1:
            return self._call("replace", old_value, new_value)
        return self._call("replace", old_value, new_value, count)

    def slice(self, start: Operand, end: Operand) -> ColumnExpression:
        """The code points from ``start`` up to ``end``, each counted from the end if negative: ``text[start:end]``."""
        return self._call("slice", start, end)

    def split(self, separator: Operand = None, maxsplit: Operand = -1) -> ColumnExpression:
        """The pieces of the text between separators, a ``list[str]``.

        Args:
            separator: What stands between the pieces. Without it that is any white space, and no piece is empty.
                An empty separator is an error; one in a column is a cell that cannot be computed.
            maxsplit: At how many separators the text is cut, from the left; at all if it is negative.

        Examples:
            >>> import millpond as pw
            >>> pages = pw.debug.table_from_markdown('''
            ...     path  | words
            ...     a/b/c | to be or not
            ... ''')
            >>> pw.debug.compute_and_print(pages.select(
            ...     parts=pw.this.path.str.split("/"),
            ...     file=pw.this.path.str.split("/")[-1],
            ...     words=pw.this.words.str.split(maxsplit=1),
            ... ))
            parts           | file | words
            ('a', 'b', 'c') | c    | ('to', 'be or not')
        """
        arguments = () if isinstance(maxsplit, int) and maxsplit == -1 else (maxsplit,)
        if separator is None:
            return self._call("split_whitespace", *arguments)
        return self._call("split", separator, *arguments)

    def parse_int(self, optional: bool = False) -> ColumnExpression:
        """The int that the text spells, as ``int`` reads it (ASCII digits only).

        Args:
            optional: Whether text that is no int of 64 bits is null. Without it, such a cell cannot be computed: it
                stops the run unless ``fill_error`` gives it a value.
        """
        native = self._expression._native.parse_int(flag(optional, "optional"), here())
        return ColumnExpression(native)

    def parse_float(self, optional: bool = False) -> ColumnExpression:
        """The float that the text spells, as ``float`` reads it (ASCII digits only).

        Args:
            optional: Whether text that is no float is null. Without it, such a cell cannot be computed.
        """
        native = self._expression._native.parse_float(flag(optional, "optional"), here())
        return ColumnExpression(native)

    def parse_bool(
        self,
        true_values: Iterable[str] = ("on", "true", "yes", "1"),
        false_values: Iterable[str] = ("off", "false", "no", "0"),
        optional: bool = False,
    ) -> ColumnExpression:
        """The bool that the text spells, in any case of letters.

        Args:
            true_values: The words for true.
            false_values: The words for false.
            optional: Whether text that is none of the words is null. Without it, such a cell cannot be computed.
        """
        true_words, false_words = list(_words(true_values, "true_values")), list(_words(false_values, "false_values"))
        native = self._expression._native.parse_bool(true_words, false_words, flag(optional, "optional"), here())
        return ColumnExpression(native)

    def _call(self, function: str, *arguments: Operand) -> ColumnExpression:
        expressions = [to_expression(argument) for argument in arguments]
        native = self._expression._native.text(function, [argument._native for argument in expressions], here())
        return ColumnExpression(native)

    def __repr__(self) -> str:
        return f"<millpond.StringNamespace of {self._expression._native}>"


def _words(words: object, what: str) -> Iterator[str]:
    if isinstance(words, str) or not hasattr(words, "__iter__"):
        raise invalid(f"{what}: expected a list of words, got {show(words)}")
    for word in words:
        if not isinstance(word, str):
            raise invalid(f"{what}: expected words, got {show(word)}")
        yield word
