"""Where a program keeps its state between runs."""

from __future__ import annotations

from millpond import _check, _native
from millpond._names import no_attribute

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os

__all__ = ["Backend", "Config"]


class _BackendMeta(type):
    """The class of `Backend`: says which places there are."""

    if not TYPE_CHECKING:

        def __getattr__(cls, name: str) -> None:
            raise no_attribute("Backend", name, ["filesystem"])


class Backend(metaclass=_BackendMeta):
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

    def explain(self) -> str:
        """What the program that saved this state does, step by step, and what is kept for each step.

        The text is that of `Table.explain`, without the program and while it may be running; the command
        ``millpond explain DIRECTORY`` prints it. Rows that cancel each other are counted until a merge drops them. The
        text may change with the version.

        Raises:
            InvalidError: There is no saved state.
            DataError: The state is damaged, or another version of Millpond saved it.
        """
        return _native.explain_state(self._path)

    def __repr__(self) -> str:
        return f"Backend.filesystem({self._path!r})"


class Config:
    """How a program keeps its state.

    Args:
        backend: Where the state is.
        snapshot_interval_ms: While a program runs for long, its state is saved every so many milliseconds, without
            a pause in its work. The end of a run saves it as well.
    """

    __slots__ = ("backend", "snapshot_interval_ms")

    def __init__(self, backend: Backend, *, snapshot_interval_ms: int = 1000) -> None:
        if not isinstance(backend, Backend):
            raise _check.invalid(
                f"backend: expected a backend, got {_check.show(backend)}",
                hint="pw.persistence.Backend.filesystem(path)",
            )
        self.backend = backend
        self.snapshot_interval_ms = _check.whole_number(snapshot_interval_ms, "snapshot_interval_ms", least=0)

    @classmethod
    def simple_config(cls, backend: Backend, *, snapshot_interval_ms: int = 1000) -> Config:
        """The older spelling of ``Config(backend)``."""
        return cls(backend, snapshot_interval_ms=snapshot_interval_ms)

    def __repr__(self) -> str:
        return f"Config({self.backend!r})"
