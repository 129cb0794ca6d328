"""Where a program keeps its state between runs."""

from __future__ import annotations

from millpond import _check

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os

__all__ = ["Backend", "Config"]


class Backend:
    """A place for saved state."""

    __slots__ = ("_path",)

    def __init__(self, path: str) -> None:
        self._path = path

    @classmethod
    def filesystem(cls, path: str | os.PathLike[str]) -> Backend:
        """A directory on a local disk; it is made by the first run.

        Examples:
            >>> import millpond as pw
            >>> pw.persistence.Backend.filesystem("./state")
            Backend.filesystem('./state')
        """
        return cls(_check.path(path, "path"))

    def __repr__(self) -> str:
        return f"Backend.filesystem({self._path!r})"


class Config:
    """How a program keeps its state.

    Args:
        backend: Where the state is.
    """

    __slots__ = ("backend",)

    def __init__(self, backend: Backend) -> None:
        if not isinstance(backend, Backend):
            raise _check.invalid(
                f"backend: expected a backend, got {_check.show(backend)}",
                hint="pw.persistence.Backend.filesystem(path)",
            )
        self.backend = backend

    @classmethod
    def simple_config(cls, backend: Backend) -> Config:
        """The older spelling of ``Config(backend)``."""
        return cls(backend)

    def __repr__(self) -> str:
        return f"Config({self.backend!r})"
