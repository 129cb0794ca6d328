"""The engine; see crates/millpond-python."""

from collections.abc import Callable
from typing import Any, TypeAlias, final

_Column: TypeAlias = tuple[str, str, bool]
"""Name, type ("bool", "int", "float", "str", "DateTimeNaive", "DateTimeUtc", "Duration"), whether it may hold nulls."""

_Time: TypeAlias = tuple[str, int]
"""A point in time or a duration: type and nanoseconds."""

_Place: TypeAlias = tuple[str, int]

__all__: list[str]
__version__: str

@final
class Expr:
    @staticmethod
    def column(name: str, place: _Place) -> Expr: ...
    @staticmethod
    def literal(value: int | float | str | bool | _Time | None, place: _Place) -> Expr: ...
    @staticmethod
    def if_else(condition: Expr, then: Expr, otherwise: Expr, place: _Place) -> Expr: ...
    @staticmethod
    def coalesce(values: list[Expr], place: _Place) -> Expr: ...
    def unary(self, operator: str, place: _Place) -> Expr: ...
    def binary(self, operator: str, other: Expr, place: _Place) -> Expr: ...
    def cast(self, ty: str, place: _Place) -> Expr: ...
    def fill_error(self, replacement: Expr, place: _Place) -> Expr: ...
    def text(self, function: str, arguments: list[Expr], place: _Place) -> Expr: ...
    def parse_int(self, optional: bool, place: _Place) -> Expr: ...
    def parse_float(self, optional: bool, place: _Place) -> Expr: ...
    def parse_bool(self, true_values: list[str], false_values: list[str], optional: bool, place: _Place) -> Expr: ...
    @staticmethod
    def reducer(name: str, arguments: list[Expr], place: _Place) -> Expr: ...

@final
class Behavior:
    @staticmethod
    def common(
        delay: int | float | _Time | None, cutoff: int | float | _Time | None, keep_results: bool
    ) -> Behavior: ...
    @staticmethod
    def exactly_once(shift: int | float | _Time | None) -> Behavior: ...

@final
class Table:
    def schema(self) -> list[_Column]: ...
    def select(self, outputs: list[tuple[str, Expr]], place: _Place) -> Table: ...
    def with_columns(self, outputs: list[tuple[str, Expr]], place: _Place) -> Table: ...
    def without(self, names: list[str], place: _Place) -> Table: ...
    def rename(self, names: list[tuple[str, str]], place: _Place) -> Table: ...
    def cast_to_types(self, types: list[tuple[str, str]], place: _Place) -> Table: ...
    def concat(self, others: list[Table], place: _Place) -> Table: ...
    def filter(self, condition: Expr, place: _Place) -> Table: ...
    def group_reduce(self, keys: list[tuple[str, Expr]], outputs: list[tuple[str, Expr]], place: _Place) -> Table: ...
    def session_reduce(
        self,
        time: Expr,
        max_gap: int | _Time,
        instance: Expr | None,
        behavior: Behavior | None,
        outputs: list[tuple[str, Expr]],
        place: _Place,
    ) -> Table: ...
    def sliding_reduce(
        self,
        time: Expr,
        hop: int | float | _Time,
        duration: int | float | _Time | None,
        ratio: int,
        start: int | float | _Time | None,
        instance: Expr | None,
        behavior: Behavior | None,
        outputs: list[tuple[str, Expr]],
        place: _Place,
    ) -> Table: ...
    def collect(self) -> list[tuple[tuple[Any, ...], int, int]]: ...

@final
class Sink: ...

@final
class Feed:
    def push(self, row: dict[str, Any], strict: bool) -> None: ...
    def remove(self, row: dict[str, Any]) -> None: ...
    def commit(self, position: str | None) -> None: ...
    def is_saved(self) -> bool: ...
    def close(self) -> None: ...
    def end(self, exception: BaseException | None) -> None: ...

def read_feed(
    start: Callable[[Feed, str | None], object],
    stop: Callable[[], object],
    schema: list[_Column],
    key: list[int],
    removals: bool,
    forgetful: tuple[str, str] | None,
    autocommit_ms: int | None,
    name: str | None,
    place: _Place,
) -> Table: ...
def read_csv(
    path: str,
    schema: list[_Column],
    delimiter: int,
    quote: int,
    escape: int | None,
    append_only: bool,
    on_error: str,
    dead_letter: str | None,
    name: str | None,
    commit_every_ms: int | None,
    place: _Place,
) -> Table: ...
def write_csv(table: Table, path: str, mode: str, name: str | None, place: _Place) -> Sink: ...
def subscribe(
    table: Table,
    on_change: Callable[[int, dict[str, Any], int, bool], object],
    on_time_end: Callable[[int], object] | None,
    on_end: Callable[[], object] | None,
    at_once: bool,
    name: str,
    place: _Place,
) -> Sink: ...
def read_json_lines(
    path: str,
    schema: list[_Column],
    field_paths: list[tuple[str, str]],
    append_only: bool,
    on_error: str,
    dead_letter: str | None,
    name: str | None,
    commit_every_ms: int | None,
    place: _Place,
) -> Table: ...
def write_json_lines(table: Table, path: str, mode: str, name: str | None, place: _Place) -> Sink: ...
def markdown(text: str, schema: list[_Column] | None, place: _Place) -> Table: ...
def run(
    sinks: list[Sink],
    state: str | None,
    workers: int | None,
    checkpoint_every_ms: int | None,
    monitoring: str,
    report: str | None,
    http: str | None,
) -> list[str]: ...
