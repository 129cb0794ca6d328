"""Sums that are exact, and floats with one zero and one NaN: compared as text, as results are."""

from __future__ import annotations

import datetime
import itertools
import math
import random
import struct
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

import millpond as pw

QUIET = pw.MonitoringLevel.NONE
MAX = sys.float_info.max

Change = tuple[float, int, int]
"""A value, its epoch and its diff."""


class Value(pw.Schema):
    at: int
    f: float


def as_text(table: pw.Table) -> list[str]:
    """The rows that all changes add up to, as text; no row is there less than never."""
    rows: Counter[str] = Counter()
    for row, _, diff in table._native.collect():
        rows[repr(row)] += diff
    assert min(rows.values(), default=0) >= 0, rows
    return sorted(rows.elements())


def markdown(rows: Iterable[tuple[object, ...]], columns: str = "at f __time__ __diff__") -> pw.Table:
    lines = [" | ".join(columns.split()), *(" | ".join(map(str, row)) for row in rows)]
    return pw.debug.table_from_markdown("\n".join(lines), schema=Value)


def reduced(table: pw.Table, window: Any = None, **outputs: Any) -> pw.Table:
    if window is None:
        return table.reduce(**outputs)
    return table.windowby(table.at, window=window).reduce(**outputs)


def reducers(table: pw.Table) -> dict[str, Any]:
    r, f = pw.reducers, table.f
    return {
        "sum": r.sum(f),
        "avg": r.avg(f),
        "min": r.min(f),
        "max": r.max(f),
        "any": r.any(f),
        "unique": pw.fill_error(r.unique(f), 12.5),
        "earliest": r.earliest(f),
        "latest": r.latest(f),
        "argmin": r.argmin(f, table.at),
        "argmax": r.argmax(table.at, f),
        "distinct": r.count_distinct(f),
        "tuple": r.tuple(f),
        "sorted": r.sorted_tuple(f),
        "pair": r.min(pw.make_tuple(f, table.at)),
    }


WINDOWS: dict[str, Any] = {
    "none": None,
    "max_gap": pw.temporal.session(max_gap=5),
    "predicate": pw.temporal.session(predicate=lambda a, b: b - a <= 5),
    "tumbling": pw.temporal.tumbling(duration=8),
    "sliding": pw.temporal.sliding(hop=3, duration=8),
}

FLOATS = [
    *(0.0, -0.0, math.nan, -math.nan, math.inf, -math.inf, MAX, -MAX, 5e-324, -5e-324, 1e300, -1e300, 2.5e-308),
    *(0.1, 0.2, 0.3, 19.99, -19.99, 1e16, 1.0),
    struct.unpack("<d", struct.pack("<Q", 0xFFF8_0000_0000_0123))[0],
]


@pytest.mark.parametrize("window", WINDOWS)
def test_all_changes_add_up_to_one_run_as_text(window: str) -> None:
    """In many epochs, with removals, the sums of changes are those of what is left in one epoch."""
    chance = random.Random(f"numbers {window}")
    for _ in range(12):
        left: list[tuple[int, float]] = []
        history: list[tuple[object, ...]] = []
        for epoch in range(2, 2 + 2 * chance.randint(1, 5), 2):
            for _ in range(chance.randint(1, 4)):
                if left and chance.random() < 0.4:
                    history.append((*left.pop(chance.randrange(len(left))), epoch, -1))
                else:
                    left.append((chance.randrange(30), chance.choice(FLOATS)))
                    history.append((*left[-1], epoch, 1))
        # What comes by arrival hangs on the epochs; one epoch alone shows the same of the others.
        skipped = ("earliest", "latest", "tuple")
        table, whole = markdown(history), markdown([(*row, 2, 1) for row in left])
        outputs, expected = reducers(table), reducers(whole)
        for name in skipped:
            as_text(reduced(table, WINDOWS[window], x=outputs.pop(name)))
            del expected[name]
        found = as_text(reduced(table, WINDOWS[window], **outputs))
        assert found == as_text(reduced(whole, WINDOWS[window], **expected)), history
        assert "-0.0" not in str(found)


@pytest.mark.parametrize("name", list(reducers(markdown([(1, "0.5", 2, 1)]))))
@pytest.mark.parametrize("window", WINDOWS)
def test_a_negative_zero_leaves_as_it_came(name: str, window: str) -> None:
    table = markdown([(1, "-0.0", 2, 1), (2, "5.0", 4, 1), (1, "0.0", 6, -1), (2, "nan", 8, 1), (2, "-nan", 10, -1)])
    result = reduced(table, WINDOWS[window], x=reducers(table)[name])
    left = markdown([(2, "5.0", 2, 1)])
    assert as_text(result) == as_text(reduced(left, WINDOWS[window], x=reducers(left)[name]))
    assert not any("-0.0" in repr(change) for change in result._native.collect())


def nearest(values: list[float], count: int = 1) -> str:
    """The nearest float to the quotient of the exact sum."""
    exact = sum(map(Fraction, values), Fraction(0)) / count
    try:
        return repr(float(exact) + 0.0)
    except OverflowError:
        return "inf" if exact > 0 else "-inf"


def test_sums_and_means_are_the_nearest_floats_in_every_order() -> None:
    chance = random.Random(9)
    pool = [f for f in FLOATS if math.isfinite(f)] + [chance.uniform(-1e3, 1e3) for _ in range(5)]
    for _ in range(60):
        values = [chance.choice(pool) for _ in range(chance.randint(1, 7))]
        for order in itertools.islice(itertools.permutations(values), 0, None, 211):
            epochs = [(1, value, 2 + 2 * chance.randint(0, 2), 1) for value in order]
            table = markdown(sorted(epochs, key=lambda row: str(row[2])))
            [row] = as_text(table.reduce(sum=pw.reducers.sum(table.f), avg=pw.reducers.avg(table.f)))
            assert row == f"({nearest(values)}, {nearest(values, len(values))})", values


@pytest.mark.parametrize(
    ("changes", "expect"),
    [
        ([(MAX, 2, 1), (MAX, 2, 1)], f"(inf, {MAX!r})"),
        ([(MAX, 2, 1), (MAX, 2, 1), (MAX, 4, -1), (MAX, 4, -1), (2.0, 4, 1), (3.0, 4, 1)], "(5.0, 2.5)"),
        ([(1e308, 2, 1), (1e308, 2, 1), (-1e308, 4, 1)], "(1e+308, 3.333333333333333e+307)"),
        ([(-1e308, 2, 1), (1e308, 4, 1), (1e308, 4, 1)], "(1e+308, 3.333333333333333e+307)"),
        ([(0.1, 2, 1), (0.2, 2, 1), (0.3, 2, 1), (0.2, 4, -1), (1e300, 4, 1), (1e300, 6, -1), (-0.2, 6, 1)], None),
        ([(math.inf, 2, 1), (-math.inf, 2, 1), (1.5, 2, 1), (math.inf, 4, -1)], "(-inf, -inf)"),
        ([(math.inf, 2, 1), (-math.inf, 2, 1), (1.5, 2, 1)], "(nan, nan)"),
        ([(math.nan, 2, 1), (1.5, 2, 1), (math.nan, 4, -1)], "(1.5, 1.5)"),
        ([(math.inf, 2, 3), (1.5, 2, 3), (math.inf, 4, -3)], "(4.5, 1.5)"),
        ([(0.1, 2, 3), (0.1, 4, 7)], f"({float(Fraction(0.1) * 10)!r}, 0.1)"),
        ([(0.1, 2, 10**9)], f"({float(Fraction(0.1) * 10**9)!r}, 0.1)"),
        ([(MAX, 2, 10**9)], f"(inf, {MAX!r})"),
    ],
)
def test_what_left_leaves_nothing_in_a_sum(changes: list[Change], expect: str | None) -> None:
    table = markdown((1, *change) for change in changes)
    left = [value for value, _, diff in changes if diff > 0 and (value, diff) not in [(v, -d) for v, _, d in changes]]
    expect = expect or f"({nearest([0.1, 0.3, -0.2])}, {nearest([0.1, 0.3, -0.2], 3)})"
    assert left
    for window in WINDOWS.values():
        if window is not WINDOWS["sliding"]:
            outputs = {"sum": pw.reducers.sum(table.f), "zavg": pw.reducers.avg(table.f)}
            assert as_text(reduced(table, window, **outputs)) == [expect]


def test_means_of_ints_are_the_nearest_floats() -> None:
    chance = random.Random(4)
    edge = [2**63 - 1, -(2**63), 2**53 + 1, 2**53, 3, 1, -1, 0]
    for _ in range(40):
        ints = [chance.choice([*edge, chance.randrange(-(2**63), 2**63)]) for _ in range(chance.randint(1, 9))]
        table = markdown((value, "0.0", 2, 1) for value in ints)
        [row] = as_text(table.reduce(avg=pw.reducers.avg(table.at)))
        assert row == f"({float(Fraction(sum(ints), len(ints))) + 0.0!r},)", ints


def test_a_sum_of_ints_may_leave_64_bits_within_an_epoch_and_in_a_run_that_fails(tmp_path: Path) -> None:
    def run() -> list[str]:
        pw.clear()
        (tmp_path / "in").mkdir(exist_ok=True)
        table = pw.io.csv.read(tmp_path / "in", schema=pw.schema_from_types(at=int), name="in")
        pw.io.csv.write(table.reduce(s=pw.reducers.sum(table.at)), tmp_path / "out.csv", mode="append", name="out")
        backend = pw.persistence.Backend.filesystem(tmp_path / "state")
        pw.run(monitoring_level=QUIET, persistence_config=pw.persistence.Config(backend))
        out = (tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()[1:]
        return sorted(line.split(",")[0] + "," + line.split(",")[2] for line in out)

    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "1.csv").write_text(f"at\n{2**63 - 1}\n1\n-1\n", encoding="utf-8")
    assert run() == [f"{2**63 - 1},1"]
    (tmp_path / "in" / "2.csv").write_text("at\n1\n", encoding="utf-8")
    with pytest.raises(pw.InputError, match=r'column "s": pw.reducers.sum\(at\) is outside the range of int'):
        run()
    (tmp_path / "in" / "3.csv").write_text("at\n-8\n", encoding="utf-8")
    assert run() == [f"{2**63 - 8},1", f"{2**63 - 1},-1", f"{2**63 - 1},1"]


def test_no_row_says_more_than_sums_can_take() -> None:
    """Broke once: the numbers of equal rows went round beyond 64 bits."""
    for diff in (2**63 - 1, -(2**63), 10**9 + 1):
        with pytest.raises(pw.InvalidError, match=f"__diff__: {diff} is more than 1000000000 rows at once"):
            markdown([(7, 0.5, 2, diff), (7, 0.5, 2, diff)])
    table = markdown([(7, 0.5, 2, 10**9), (7, 0.5, 2, 10**9), (8, 0.5, 4, 10**9)])
    for window in (None, pw.temporal.session(max_gap=5)):
        assert as_text(reduced(table, window, n=pw.reducers.count())) == ["(3000000000,)"]


def test_zeros_and_nans_are_one_from_every_source(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("at,f\n1,-0.0\n2,-nan\n3,-1e-400\n", encoding="utf-8")
    rows = ['{"at":1,"f":-0.0}', '{"at":2,"f":"NaN"}', '{"at":3,"f":-0}']
    (tmp_path / "a.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")

    class Subject(pw.io.python.ConnectorSubject):
        def run(self) -> None:
            self.next(at=1, f=-0.0)
            self.next(at=2, f=-math.nan)
            self.next(at=3, f=-0.0)

    tables = [
        pw.io.csv.read(tmp_path / "a.csv", schema=Value),
        pw.io.jsonlines.read(tmp_path / "a.jsonl", schema=Value),
        pw.io.python.read(Subject(), schema=Value),
        markdown([(1, "-0.0", 2, 1), (2, "-nan", 2, 1), (3, "-0.0", 2, 1)]),
    ]
    for i, table in enumerate(tables):
        pw.io.csv.write(table, tmp_path / f"{i}.csv")
    pw.run(monitoring_level=QUIET)
    for i in range(len(tables)):
        lines = (tmp_path / f"{i}.csv").read_text(encoding="utf-8").splitlines()[1:]
        assert sorted(line.rsplit(",", 2)[0] for line in lines) == ["1,0.0", "2,nan", "3,0.0"]


def test_zeros_and_nans_are_one_in_every_expression() -> None:
    table = markdown([(0, "-0.0", 2, 1)])
    zero, inf, nan = table.f, table.f + math.inf, table.f + math.inf - math.inf
    text = pw.cast(str, table.f)
    json = pw.cast(pw.Json, pw.make_tuple(-0.0))
    zeros = {
        "literal": pw.if_else(table.at == 0, -0.0, 1.0),
        "minus": -zero,
        "times": zero * -1.0,
        "by": zero / -3.0,
        "floor": zero // -3.0,
        "rest": (zero + 6.0) % -3.0,
        "power": (zero - 1e-200) ** 3.0,
        "tiny": (zero - 1e-300) * 1e-300,
        "cast": pw.cast(float, pw.cast(str, table.at) + ".0"),
        "parsed": ("-" + text).str.parse_float(),
        "json": json[0].as_float(),
        "tuple": pw.make_tuple(-0.0, zero * -1.0)[1],
        "filled": pw.fill_error(zero / zero, -0.0),
        "default": pw.coalesce(pw.if_else(table.at == 0, None, 1.0), -0.0),
        "get": pw.make_tuple(zero).get(3, default=-0.0),
        "timestamp": pw.cast(float, table.at * -1),
    }
    assert {repr(value) for value in table.select(**zeros)._native.collect()[0][0]} == {"0.0"}
    assert {repr(value) for value in table.select(t=pw.make_tuple(*zeros.values()))._native.collect()[0][0][0]} == {
        "0.0"
    }
    nans = [inf - inf, inf * 0.0, -nan, nan * -1.0, -nan + 1.0, -nan - 1.0, inf // 1.0, inf % 1.0, inf / inf, abs(-nan)]
    nans += [-(nan**1.0), pw.cast(float, pw.cast(str, -nan)), pw.make_tuple(-nan)[0]]
    groups = [table.select(f=x) for x in nans]
    both = groups[0].concat_reindex(*groups[1:]).groupby(pw.this.f).reduce(pw.this.f, n=pw.reducers.count())
    assert as_text(both) == [f"(nan, {len(nans)})"]
    every = groups[0].concat_reindex(*groups[1:]).reduce(one=pw.reducers.unique(pw.this.f))
    assert as_text(every) == ["(nan,)"]


def test_nan_is_the_greatest_value_whatever_its_sign() -> None:
    table = markdown([(1, "-nan", 2, 1), (2, "inf", 2, 1), (3, "-inf", 2, 1), (4, "nan", 2, 1)])
    r = pw.reducers
    outputs = {"a": r.min(table.f), "b": r.max(table.f), "c": r.argmin(table.f, table.at), "e": r.sorted_tuple(table.f)}
    assert as_text(table.reduce(**outputs)) == ["(-inf, nan, 3, (-inf, inf, nan, nan))"]


def test_rows_with_nan_are_printed_last(capsys: pytest.CaptureFixture[str]) -> None:
    chance = random.Random(3)
    for _ in range(5):
        floats = ["nan", "-inf", "1.0", "-1.0", "-nan", "inf", "0.5"]
        chance.shuffle(floats)
        pw.debug.compute_and_print(markdown([(1, f, 2, 1) for f in floats]).select(f=pw.this.f))
        printed = capsys.readouterr().out.split()
        assert printed == ["f", "-inf", "-1.0", "0.5", "1.0", "inf", "nan", "nan"]


def test_rows_with_nan_are_printed_as_often_as_they_are_there(capsys: pytest.CaptureFixture[str]) -> None:
    table = markdown([(1, "nan", 2, 1), (1, "nan", 2, 1), (1, "nan", 4, -1)])
    pw.debug.compute_and_print(table.select(f=table.f + 1.0, pair=pw.make_tuple(table.f)))
    assert capsys.readouterr().out.splitlines() == ["f   | pair", "nan | (nan,)"]


@pytest.mark.parametrize("kind", ["argmin", "argmax"])
def test_arguments_of_a_tie_are_of_one_row(kind: str) -> None:
    chance = random.Random(kind)
    reducer, choose = getattr(pw.reducers, kind), max if kind == "argmax" else min
    for _ in range(30):
        rows = [tuple(chance.randrange(3) for _ in range(3)) for _ in range(5)]
        lines = [f"{a} | {b} | {c} | {chance.choice([2, 4])}" for a, b, c in rows]
        table = pw.debug.table_from_markdown("\n".join(["v | x | y | __time__", *sorted(lines, key=lambda x: x[-1])]))
        # By the names of the outputs, y comes before x.
        outputs = {"b": reducer(table.v, table.x), "a": reducer(table.v, table.y), "c": reducer(table.v, table.y + 1)}
        _, y, x = choose((v, y, x) for v, x, y in rows)
        assert as_text(table.reduce(**outputs)) == [f"({x}, {y}, {y + 1})"]
        single = table.reduce(t=reducer(table.v, pw.make_tuple(table.x, table.y)))
        _, x, y = choose(rows)
        assert as_text(single) == [f"(({x}, {y}),)"]


def test_zeros_tie_as_they_are_equal() -> None:
    table = markdown([(1, "0.0", 2, 1), (2, "-0.0", 4, 1)])
    r = pw.reducers
    assert as_text(table.reduce(a=r.argmax(table.f, table.at), b=r.argmin(table.f, table.at))) == ["(2, 1)"]


def test_json_values_keep_their_kind(capsys: pytest.CaptureFixture[str]) -> None:
    values = [
        1,
        True,
        1.0,
        "1",
        0,
        False,
        -0.0,
        None,
        "",
        [],
        {},
        [1],
        [True],
        {"a": 1},
        {"a": True},
        {"a": {"b": [1.0]}},
    ]
    for a, b in itertools.product(range(len(values)), repeat=2):
        assert (pw.Json(values[a]) == pw.Json(values[b])) == (a == b), (values[a], values[b])
    assert len({pw.Json(value) for value in values}) == len(values)
    assert pw.Json({"b": 1e300, "a": [2**70]}) == pw.Json.parse('{"a": [1180591620717411303424], "b": 1e+300}')
    assert pw.Json(-0.0) == pw.Json(0.0) and hash(pw.Json(-0.0)) == hash(pw.Json(0.0))
    assert pw.Json(math.nan) != pw.Json(1)
    table = pw.debug.table_from_markdown(
        'j\n1\ntrue\n1.0\n"1"\n{"a":1}\n{"a":true}\n{"a":[1]}\n{"a":[1.0]}', schema=pw.schema_from_types(j=pw.Json)
    )
    pw.debug.compute_and_print(table)
    printed = capsys.readouterr().out.splitlines()[1:]
    assert sorted(printed) == sorted(["1", "true", "1.0", '"1"', '{"a":1}', '{"a":true}', '{"a":[1]}', '{"a":[1.0]}'])
    assert {row[0] for row, _, _ in table._native.collect()} == {pw.Json.parse(text) for text in printed}
    counts = table.groupby(table.j).reduce(table.j, n=pw.reducers.count())
    assert len(as_text(counts)) == len(printed)


@pytest.mark.parametrize("time", [2**63 - 1, -(2**63), 2**63 - 2, 0])
@pytest.mark.parametrize("window", ["max_gap", "predicate"])
def test_windows_at_the_ends_of_time_are_shown(time: int, window: str) -> None:
    table = markdown([(time, "1.0", 2, 1)])
    for behavior in (pw.temporal.common_behavior(delay=0), pw.temporal.common_behavior(delay=0, cutoff=0), None):
        windows = table.windowby(table.at, window=WINDOWS[window], behavior=behavior)
        result = windows.reduce(at=pw.this._pw_window_start, n=pw.reducers.count())
        assert as_text(result) == [f"({time}, 1)"]


LAST = datetime.datetime(2262, 4, 11, 12, 0, 0)
WEEK = datetime.timedelta(days=7)
UTC = datetime.timezone.utc

AT_THE_ENDS: list[tuple[Any, Any, Any, str]] = [
    (
        2**63 - 1,
        int,
        pw.temporal.tumbling(duration=8),
        "the window that starts at 9223372036854775800 ends after 9223372036854775807, the last int",
    ),
    (
        2**63 - 1,
        int,
        pw.temporal.sliding(hop=3, duration=8),
        "ends after 9223372036854775807, the last int",
    ),
    (
        2**63 - 10,
        int,
        pw.temporal.tumbling(duration=2**62, origin=-(2**62) + 5),
        "the window that starts at 4611686018427387909 ends after 9223372036854775807, the last int",
    ),
    (
        LAST,
        pw.DateTimeNaive,
        pw.temporal.tumbling(duration=WEEK),
        "T00:00:00 ends after 2262-04-11T23:47:16.854775807, the last pw.DateTimeNaive",
    ),
    (
        LAST.replace(tzinfo=UTC),
        pw.DateTimeUtc,
        pw.temporal.sliding(hop=datetime.timedelta(days=2), duration=WEEK),
        "ends after 2262-04-11T23:47:16.854775807Z, the last pw.DateTimeUtc",
    ),
    (
        -(2**63) + 1,
        int,
        pw.temporal.tumbling(duration=10),
        "the window before that of -9223372036854775800 starts before -9223372036854775808, the first int",
    ),
    (
        datetime.datetime(1677, 9, 22),
        pw.DateTimeNaive,
        pw.temporal.tumbling(duration=WEEK),
        "starts before 1677-09-21T00:12:43.145224192, the first pw.DateTimeNaive",
    ),
]


@pytest.mark.parametrize(("at", "ty", "window", "told"), AT_THE_ENDS)
def test_a_window_that_passes_the_ends_of_time_is_named_where_that_is_shown(
    at: Any, ty: Any, window: Any, told: str
) -> None:
    """Broke once: the message quoted an expression that no program holds, and a behaviour ended the run in any case."""
    text = at.isoformat() if isinstance(at, datetime.datetime) else at
    table = pw.debug.table_from_markdown(f"at\n{text}", schema=pw.schema_from_types(at=ty))
    behaviors = [
        None,
        pw.temporal.common_behavior(delay=ZEROS[type(at)], cutoff=ZEROS[type(at)]),
        pw.temporal.common_behavior(cutoff=ZEROS[type(at)], keep_results=False),
    ]
    bounds = {"start": pw.this._pw_window_start, "end": pw.this._pw_window_end}
    for behavior in behaviors:
        windows = table.windowby(table.at, window=window, behavior=behavior)
        good = as_text(windows.reduce(n=pw.reducers.count()))
        assert set(good) == {"(1,)"}, good
        with pytest.raises(pw.InputError) as caught:
            as_text(windows.reduce(**bounds))
        assert told in caught.value.message and caught.value.message.startswith("column "), caught.value
        assert "window *" not in str(caught.value) and "_pw_window" not in caught.value.message
        assert caught.value.hint is not None and "pw.fill_error(..., None)" in caught.value.hint
        # What the hint says.
        filled = {name: pw.fill_error(bound, None) for name, bound in bounds.items()}
        shown = as_text(windows.reduce(**filled))
        assert len(shown) == len(good) and any("None" in row for row in shown), shown
        length = pw.fill_error(bounds["end"] - bounds["start"], None)
        assert len(as_text(windows.reduce(length=length))) == len(good)


ZEROS: dict[type, Any] = {int: 0, datetime.datetime: datetime.timedelta(0)}


def test_the_end_of_a_window_is_reached_or_not_exactly() -> None:
    """The last window ends after the last int, so no watermark comes to it: it is never over."""
    last = 2**63 - 1
    table = markdown([(last - 7, "1.0", 2, 1), (last, "2.0", 4, 1), (last, "4.0", 6, 1), (1, "9.0", 8, 1)])
    behavior = pw.temporal.common_behavior(cutoff=0)
    result = table.windowby(table.at, window=pw.temporal.tumbling(duration=8), behavior=behavior)
    assert as_text(result.reduce(pw.this._pw_window_start, sum=pw.reducers.sum(pw.this.f))) == [
        f"({last - 7}, 7.0)",
    ]
    exactly = table.windowby(
        table.at, window=pw.temporal.tumbling(duration=8), behavior=pw.temporal.exactly_once_behavior()
    )
    assert as_text(exactly.reduce(pw.this._pw_window_start)) == []


def test_a_session_may_have_any_gap() -> None:
    first, last = -(2**63), 2**63 - 1
    rows = [(first, "1.0", 2, 1), (last, "2.0", 2, 1), (0, "4.0", 4, 1), (0, "4.0", 6, -1)]
    for gap in (last, 2**62, 1):
        table, window = markdown(rows), pw.temporal.session(max_gap=gap)
        sessions = [f"({first}, {first})", f"({last}, {last})"]
        for behavior in (None, pw.temporal.common_behavior(delay=gap, cutoff=gap)):
            result = table.windowby(table.at, window=window, behavior=behavior)
            shown = as_text(result.reduce(pw.this._pw_window_start, pw.this._pw_window_end))
            # No watermark comes to the gap behind the last instant.
            assert shown == (sorted(sessions) if behavior is None else sessions[:1]), gap


@pytest.mark.parametrize("window", [w for w in WINDOWS if w != "none"])
def test_a_sum_that_does_not_fit_is_an_error_where_it_is_shown(window: str) -> None:
    """Broke once: a window that was held back ended the run before anybody saw it."""
    most = 2**62
    rows = [(1, most, 2, 1), (1, most, 2, 1), (1, most, 4, -1), (9, 1, 6, 1), (300, 1, 8, 1)]
    schema = pw.schema_from_types(at=int, n=int)

    def result(rows: Sequence[tuple[int, ...]], behavior: Any) -> pw.Table:
        lines = ["at | n | __time__ | __diff__", *(" | ".join(map(str, row)) for row in rows)]
        table = pw.debug.table_from_markdown("\n".join(lines), schema=schema)
        windows = table.windowby(table.at, window=WINDOWS[window], behavior=behavior)
        return windows.reduce(pw.this._pw_window_start, sum=pw.reducers.sum(pw.this.n))

    whole = [(1, most, 2, 1), (9, 1, 2, 1), (300, 1, 8, 1)]
    for behavior in (
        pw.temporal.common_behavior(delay=50),
        pw.temporal.common_behavior(delay=50, cutoff=100),
        pw.temporal.exactly_once_behavior(shift=50),
    ):
        assert as_text(result(rows, behavior)) == as_text(result(whole, behavior)) != []
        # It is still too large when its time has come.
        with pytest.raises(pw.InputError, match="sum") as caught:
            as_text(result([row for row in rows if row[3] > 0], behavior))
        assert "is outside the range of int" in caught.value.message and caught.value.hint is not None
    # A window that is shown at once, and one of which nobody ever sees the result.
    with pytest.raises(pw.InputError, match="sum"):
        as_text(result(rows, None))
    assert as_text(result(rows[:2], pw.temporal.common_behavior(delay=50))) == []


def test_a_row_that_comes_and_goes_in_one_commit_moves_the_watermark() -> None:
    """As the docs of behaviours say."""
    table = markdown([(1, "1.0", 2, 1), (50, "1.0", 4, 1), (50, "1.0", 4, -1)])
    behavior = pw.temporal.exactly_once_behavior()
    windows = table.windowby(table.at, window=WINDOWS["tumbling"], behavior=behavior)
    assert as_text(windows.reduce(at=pw.this._pw_window_start)) == ["(0,)"]
