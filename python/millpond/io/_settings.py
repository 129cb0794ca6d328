"""How CSV is written down."""

from __future__ import annotations

from millpond import _check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class CsvParserSettings:
    """Characters and values with a meaning in CSV.

    Args:
        delimiter: Stands between fields.
        quote: Stands around a field that holds delimiters or line breaks; within, it is written twice.
        escape: Takes the meaning from the character after it, inside quotes, if given.
        null_values: What a field reads that is ``None`` in an optional column, beside the empty field. In columns of
            text and bytes only without quotes: there ``"NA"`` in quotes is a text.

    Examples:
        >>> import millpond as pw
        >>> pw.io.CsvParserSettings(delimiter=";")
        CsvParserSettings(delimiter=';', quote='"', escape=None)
        >>> pw.io.CsvParserSettings(null_values=["NULL", "NA"])
        CsvParserSettings(delimiter=',', quote='"', escape=None, null_values=['NULL', 'NA'])
    """

    __slots__ = ("_delimiter", "_escape", "_null_values", "_quote")

    def __init__(
        self,
        delimiter: str = ",",
        quote: str = '"',
        escape: str | None = None,
        null_values: Sequence[str] = (),
    ) -> None:
        self._delimiter = _check.character(delimiter, "delimiter")
        self._quote = _check.character(quote, "quote")
        self._escape = None if escape is None else _check.character(escape, "escape")
        self._null_values = _check.texts(null_values, "null_values")
        if self._delimiter in (self._quote, self._escape):
            raise _check.invalid(
                f"delimiter: {_check.show(delimiter)} is also the quote or the escape",
                hint='give another one, such as quote="\'"',
            )

    def __repr__(self) -> str:
        escape = None if self._escape is None else chr(self._escape)
        nulls = f", null_values={self._null_values!r}" if self._null_values else ""
        marks = f"delimiter={chr(self._delimiter)!r}, quote={chr(self._quote)!r}, escape={escape!r}"
        return f"CsvParserSettings({marks}{nulls})"
