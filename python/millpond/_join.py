"""What kinds of joins there are."""

from __future__ import annotations

from millpond._check import invalid, show
from millpond._names import no_attribute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar


_NAMES = ("inner", "left", "right", "outer")
_HINT = "one of " + ", ".join(f'"{name}"' for name in _NAMES)


class _JoinModeMeta(type):
    """The class of `JoinMode`: says which kinds there are."""

    if not TYPE_CHECKING:

        def __getattr__(cls, name: str) -> None:
            raise no_attribute("JoinMode", name, [value.upper() for value in _NAMES])


class JoinMode(metaclass=_JoinModeMeta):
    """Which rows a join has beside those that match."""

    __slots__ = ("value",)

    INNER: ClassVar[JoinMode]
    """No others."""
    LEFT: ClassVar[JoinMode]
    """The rows of the left table that match none."""
    RIGHT: ClassVar[JoinMode]
    """The rows of the right table that match none."""
    OUTER: ClassVar[JoinMode]
    """Those of both tables."""

    def __init__(self, value: str) -> None:
        if value not in _NAMES:
            raise invalid(f"JoinMode: {show(value)} is no kind of join", hint=_HINT)
        self.value = value

    def __eq__(self, other: object) -> bool:
        return self.value == other.value if isinstance(other, JoinMode) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.value)

    def __repr__(self) -> str:
        return f"JoinMode.{self.value.upper()}"


MODES = {value: JoinMode(value) for value in _NAMES}
for _mode in MODES.values():
    setattr(JoinMode, _mode.value.upper(), _mode)


def join_mode(how: object) -> JoinMode:
    """A kind of join, by itself or by its name."""
    if isinstance(how, JoinMode):
        return how
    if isinstance(how, str) and how in MODES:
        return MODES[how]
    hint = 'how="outer" has the rows of both tables' if how in ("full", "full_outer") else _HINT
    raise invalid(f"join: how is {show(how)}", hint=hint)
