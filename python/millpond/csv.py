"""The older place of `millpond.io.csv`."""

from __future__ import annotations

from millpond._origin import warn_deprecated
from millpond.io import csv as _csv

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from millpond._table import Table

    read = _csv.read
    write = _csv.write

else:

    def read(*args: Any, **options: Any) -> Table:
        """The older place of ``millpond.io.csv.read``."""
        warn_deprecated("millpond.csv.read has moved to millpond.io.csv.read")
        return _csv.read(*args, **options)

    def write(*args: Any, **options: Any) -> None:
        """The older place of ``millpond.io.csv.write``."""
        warn_deprecated("millpond.csv.write has moved to millpond.io.csv.write")
        _csv.write(*args, **options)


__all__ = ["read", "write"]
