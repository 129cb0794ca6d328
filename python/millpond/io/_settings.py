"""How CSV is written down."""

from __future__ import annotations

from millpond import _check


class CsvParserSettings:
    """Characters with a meaning in CSV.

    Args:
        delimiter: Stands between fields.
        quote: Stands around a field that holds delimiters or line breaks; within, it is written twice.
        escape: Takes the meaning from the character after it, if given.

    Examples:
        >>> import millpond as pw
        >>> pw.io.CsvParserSettings(delimiter=";")
        CsvParserSettings(delimiter=';', quote='"', escape=None)
    """

    __slots__ = ("_delimiter", "_escape", "_quote")

    def __init__(self, delimiter: str = ",", quote: str = '"', escape: str | None = None) -> None:
        self._delimiter = _check.character(delimiter, "delimiter")
        self._quote = _check.character(quote, "quote")
        self._escape = None if escape is None else _check.character(escape, "escape")
        if self._delimiter in (self._quote, self._escape):
            raise _check.invalid(f"delimiter: {_check.show(delimiter)} is also the quote or the escape")

    def __repr__(self) -> str:
        escape = None if self._escape is None else chr(self._escape)
        return f"CsvParserSettings(delimiter={chr(self._delimiter)!r}, quote={chr(self._quote)!r}, escape={escape!r})"
