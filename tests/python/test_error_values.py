"""Error values: cells that cannot be computed, where they go, and what a run does for them."""

from __future__ import annotations

import functools
import json
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import environment
from results import changes as written

import millpond as pw

QUIET = pw.MonitoringLevel.NONE
HINT = "pw.fill_error(..., None) makes null of such cells, .remove_errors() drops their rows"

Row = tuple[Any, ...]
Rows = Counter[Row]


class Required(pw.Schema):
    k: str
    n: int
    a: int
    b: int


class Optional(pw.Schema):
    k: str
    n: int
    a: int | None
    b: int | None


class _Error:
    """What no comparison is true of, and what an output leaves out."""

    def __repr__(self) -> str:
        return "ERROR"


ERROR = _Error()


def quotient(a: int | None, b: int | None) -> Any:
    if a is None or b is None:
        return None
    return ERROR if b == 0 else a // b


def group(rows: list[Row], key: int, reduce: Callable[[list[Row]], Row]) -> list[Row]:
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        groups.setdefault(row[key], []).append(row)
    return [(k, *reduce(of)) for k, of in groups.items()]


def reducers(rows: list[Row]) -> Row:
    """`count`, and of the quotients `sum`, `min`, `sorted_tuple`, `count_distinct` and `argmax` of the name."""
    values = [row[1] for row in rows]
    if ERROR in values:
        return (len(rows), *[ERROR] * 5)
    known = [value for value in values if value is not None]
    most = max(known, default=None)
    return (
        len(rows),
        sum(known) if known else None,
        min(known, default=None),
        tuple(sorted(values, key=lambda value: (value is not None, value))),
        len(set(known)),
        max((row[0] for row in rows if row[1] == most), default=None) if known else None,
    )


def joined(how: str, left: list[Row], right: list[Row]) -> list[Row]:
    """`(name, quotient)` of the left with `(name, quotient)` of the right of the same quotient."""
    found: list[Row] = []
    matches = [[a for a in left if a[1] is not ERROR and a[1] == b[1]] for b in right]
    for b, of in zip(right, matches, strict=True):
        found += [(*a, *b) for a in of]
        if not of and how in ("right", "outer"):
            found.append((None, None, *b))
    if how in ("left", "outer"):
        matched = {id(a) for of in matches for a in of}
        found += [(*a, None, None) for a in left if id(a) not in matched]
    return found


def told_by_n(table: pw.Table, condition: Any = None, **columns: Any) -> pw.Table:
    table = table.with_id_from(table.n)
    return (table if condition is None else table.filter(condition)).select(**columns)


def joined_by_quotient(how: str, table: pw.Table) -> pw.Table:
    both: pw.JoinResult = getattr(table, f"join_{how}")(table.copy(), pw.left.q == pw.right.q)
    return both.select(k=pw.left.k, q=pw.left.q, other=pw.right.k, same=pw.right.q)


OUTPUTS: dict[str, Callable[[Any], pw.Table]] = {
    "select": lambda t: t.select(t.k, t.q, twice=t.q + t.q),
    "filter": lambda t: t.filter(t.q > 1).select(pw.this.k, pw.this.q),
    "clean": lambda t: t.select(t.k, t.q).remove_errors(),
    "filled": lambda t: t.select(t.k, q=pw.fill_error(t.q, -7)),
    "groups": lambda t: t.groupby(t.k).reduce(
        t.k,
        n=pw.reducers.count(),
        sum=pw.reducers.sum(t.q),
        min=pw.reducers.min(t.q),
        all=pw.reducers.sorted_tuple(t.q),
        different=pw.reducers.count_distinct(t.q),
        most=pw.reducers.argmax(t.q, t.k),
    ),
    "filled groups": lambda t: (
        t.groupby(t.k).reduce(t.k, sum=pw.reducers.sum(t.q)).select(pw.this.k, sum=pw.fill_error(pw.this.sum, -7))
    ),
    "by quotient": lambda t: t.groupby(t.q).reduce(t.q, n=pw.reducers.count(), ks=pw.reducers.sorted_tuple(t.k)),
    "concat": lambda t: t.select(t.k, t.q).concat(t.select(t.k, q=t.a)).filter(pw.this.k != "x"),
    "join": lambda t: t.join(t.copy(), pw.left.k == pw.right.k).select(pw.left.k, one=pw.left.q, two=pw.right.q),
    **{how: functools.partial(joined_by_quotient, how) for how in ("inner", "left", "right", "outer")},
    "newest": lambda t: told_by_n(t, k=pw.this.k, q=pw.this.q).update_cells(told_by_n(t, pw.this.a > 2, q=pw.this.a)),
    "all rows": lambda t: told_by_n(t, k=pw.this.k, q=pw.this.q).update_rows(
        told_by_n(t, pw.this.a > 2, k=pw.this.k, q=pw.this.a)
    ),
    "known": lambda t: t.with_id_from(t.q, t.n).select(pw.this.k, pw.this.q).intersect(t.with_id_from(t.a, t.n)),
    "log": lambda t: pw.global_error_log().select(pw.this.message, pw.this.trace),
}
"""Tables of the columns k, n, a, b and the quotient q."""


def expected(name: str, rows: list[Row]) -> list[Row]:
    """The same over rows of k, n, a and b."""
    named = [(k, quotient(a, b)) for k, _, a, b in rows]
    is_error = [q is ERROR for _, q in named]
    match name:
        case "select":
            return [(k, q, q if q in (None, ERROR) else q + q) for k, q in named]
        case "filter":
            return [row for row in named if row[1] not in (None, ERROR) and row[1] > 1]
        case "clean":
            return [row for row in named if row[1] is not ERROR]
        case "filled":
            return [(k, -7 if q is ERROR else q) for k, q in named]
        case "groups":
            return group(named, 0, reducers)
        case "filled groups":
            return [(k, -7 if of[1] is ERROR else of[1]) for k, *of in group(named, 0, reducers)]
        case "by quotient":
            return group(named, 1, lambda of: (len(of), tuple(sorted(k for k, _ in of))))
        case "concat":
            return [row for row in [*named, *((k, a) for k, _, a, _ in rows)] if row[0] != "x"]
        case "join":
            return [(k, q, other) for k, q in named for same, other in named if k == same]
        case "inner" | "left" | "right" | "outer":
            return joined(name, named, list(named))
        case "newest":
            return [(k, a if a is not None and a > 2 else quotient(a, b)) for k, _, a, b in rows]
        case "all rows":
            return [(k, a if a is not None and a > 2 else quotient(a, b)) for k, _, a, b in rows]
        case "known":
            return [
                (k, q)
                for (k, q), (_, n, _, _) in zip(named, rows, strict=True)
                if any(q is not ERROR and (q, n) == (a, m) for _, m, a, _ in rows)
            ]
    assert name == "log"
    message = 'column "q": division by zero in a // b, where a = {}, b = 0'
    return [(message.format(a), "a // b") for (_, _, a, _), failed in zip(rows, is_error, strict=True) if failed]


def shown(rows: list[Row]) -> Rows:
    return Counter(tuple(None if cell is ERROR else cell for cell in row) for row in rows)


@pytest.mark.parametrize("optional", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_errors_keep_the_law(optional: bool, seed: int) -> None:
    drawn = random.Random(seed)
    present: list[Row] = []
    lines = ["k | n | a | b | __time__ | __diff__"]

    def change(row: Row, time: int, diff: int) -> None:
        cells = ["" if cell is None else cell for cell in row]
        lines.append(" | ".join(map(str, [*cells, time, diff])))

    for time in range(2, 14, 2):
        for _ in range(drawn.randrange(5)):
            if present and drawn.random() < 0.4:
                change(present.pop(drawn.randrange(len(present))), time, -1)
            else:
                a, b = (None if optional and drawn.random() < 0.2 else drawn.randrange(most) for most in (7, 3))
                present.append((drawn.choice("xyz"), len(lines), a, b))
                change(present[-1], time, 1)

    table = pw.debug.table_from_markdown("\n".join(lines), schema=Optional if optional else Required)
    table = table.with_columns(q=table.a // table.b)
    results: dict[str, Rows] = {}
    for name, make in OUTPUTS.items():
        results[name] = Counter()

        def add(key: object, row: dict[str, Any], time: int, is_addition: bool, of: Rows = results[name]) -> None:
            of[tuple(row.values())] += 1 if is_addition else -1

        pw.io.subscribe(make(table), add)
    pw.run(terminate_on_error=False, monitoring_level=QUIET)
    pw.clear()
    for name, result in results.items():
        left = {row: count for row, count in result.items() if count}
        assert left == shown(expected(name, present)), name


LINES = "k,n,a,b\n"


def kept(directory: Path, terminate: bool = True) -> None:
    pw.run(state=str(directory / "state"), terminate_on_error=terminate, monitoring_level=QUIET)
    pw.clear()


def declare(directory: Path) -> None:
    """Every table of `OUTPUTS` in a change log of its own, over the files of a directory."""
    table = pw.io.csv.read(str(directory / "rows"), schema=Required, name="rows")
    table = table.with_columns(q=table.a // table.b)
    for name, make in OUTPUTS.items():
        pw.io.jsonlines.write(make(table), str(directory / f"{name}.jsonl"))


def collect(directory: Path, results: dict[str, Counter[str]]) -> None:
    for name, result in results.items():
        for line in (directory / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            time, diff = row.pop("time"), row.pop("diff")
            assert time
            result[json.dumps(row)] += diff


@pytest.mark.parametrize("seed", range(3))
def test_all_runs_add_up_to_one(seed: int, tmp_path: Path) -> None:
    """Rows come in several runs, and lines are cut: what was a row at the end of a file is taken back."""
    drawn = random.Random(seed)
    text = "".join(f"{drawn.choice('xyz')},{n},{drawn.randrange(20)},{drawn.randrange(15)}\n" for n in range(30))
    results: dict[str, Counter[str]] = {name: Counter() for name in OUTPUTS}
    (tmp_path / "rows").mkdir()
    at = 0
    while at < len(text):
        # A cut within the last number of a line leaves a row, such as one of b = 1 that is to be 12.
        cuts = [
            i
            for i in range(at + 1, len(text) + 1)
            if text[i - 1] == "\n" or (text[i - 1].isdigit() and is_last(text, i))
        ]
        end = drawn.choice(cuts[:12])
        (tmp_path / "rows/one.csv").write_text(LINES + text[:end], encoding="utf-8")
        declare(tmp_path)
        kept(tmp_path, terminate=False)
        collect(tmp_path, results)
        at = end
    whole = tmp_path / "whole"
    (whole / "rows").mkdir(parents=True)
    (whole / "rows/one.csv").write_text(LINES + text, encoding="utf-8")
    declare(whole)
    kept(whole, terminate=False)
    once: dict[str, Counter[str]] = {name: Counter() for name in OUTPUTS}
    collect(whole, once)
    for name in OUTPUTS:
        assert +results[name] == once[name] and not -results[name], name


def is_last(text: str, end: int) -> bool:
    """Whether a text that ends there ends in the last cell of a line."""
    return text[:end].rpartition("\n")[2].count(",") == 3


def rows(directory: Path, text: str) -> pw.Table:
    (directory / "rows.csv").write_text(LINES + text, encoding="utf-8")
    table = pw.io.csv.read(str(directory / "rows.csv"), schema=Required, name="rows")
    return table.with_columns(q=table.a // table.b)


def test_a_run_that_ends_for_errors_and_one_that_goes_on_share_a_state(tmp_path: Path) -> None:
    def run(text: str, terminate: bool) -> list[str]:
        table = rows(tmp_path, text)
        sums = table.groupby(table.k).reduce(table.k, sum=pw.reducers.sum(table.q))
        pw.io.csv.write(sums, str(tmp_path / "sums.csv"))
        kept(tmp_path, terminate)
        return written(tmp_path / "sums.csv")

    with pytest.raises(pw.InputError) as caught:
        run("x,1,6,2\nx,2,4,0", True)
    first = 'the first was column "q": division by zero in a // b, where a = 4, b = 0'
    assert caught.value.message == f'column "sum" holds an error value; {first}'
    assert caught.value.hint == HINT
    pw.clear()
    assert run("x,1,6,2\nx,2,4,0", False) == ["x,,1"]
    # An error of the state is no new one; it goes when its row is another.
    assert run("x,1,6,2\nx,2,4,0", True) == []
    assert run("x,1,6,2\nx,2,4,04\ny,3,9,3", True) == ["x,,-1", "x,4,1", "y,3,1"]
    with pytest.raises(pw.InputError, match="division by zero"):
        run("x,1,6,2\nx,2,4,04\ny,3,9,3\ny,4,1,0", True)


def test_an_error_of_an_earlier_run_is_named_by_what_can_fail(tmp_path: Path) -> None:
    def run(text: str, city: str, terminate: bool) -> None:
        table = rows(tmp_path, text)
        (tmp_path / "cities.csv").write_text("k,city\n" + city, encoding="utf-8")
        cities = pw.io.csv.read(
            str(tmp_path / "cities.csv"), schema=pw.schema_from_types(k=str, city=str), name="cities"
        )
        both = table.join(cities, pw.left.k == pw.right.k).select(pw.left.q, pw.right.city)
        pw.io.csv.write(both, str(tmp_path / "both.csv"))
        kept(tmp_path, terminate)

    run("x,1,6,0\n", "", True)  # it reaches no output
    assert written(tmp_path / "both.csv") == []
    with pytest.raises(pw.InputError) as caught:
        run("x,1,6,0\n", "x,Rome\n", True)
    assert caught.value.message == 'column "q" holds an error value that was made before, of a // b'
    assert (caught.value.origin or "").rpartition(":")[0].endswith("test_error_values.py")
    pw.clear()
    run("x,1,6,0\n", "x,Rome\n", False)
    assert written(tmp_path / "both.csv") == [",Rome,1"]


def test_what_is_filled_or_left_out_later_ends_no_run(tmp_path: Path) -> None:
    table = rows(tmp_path, "x,1,6,0\nx,2,6,3\ny,3,8,2\n")
    groups = table.groupby(table.k).reduce(table.k, sum=pw.reducers.sum(table.q), n=pw.reducers.count())
    outputs = {
        "filled": (groups.select(groups.k, sum=pw.fill_error(groups.sum, 0)), ["x,0,1", "y,4,1"]),
        "filtered": (groups.filter(groups.n < 2), ["y,4,1,1"]),
        "removed": (groups.remove_errors(), ["y,4,1,1"]),
        "not used": (table.select(table.k, table.q).concat(table.select(table.k, q=table.a)).select(pw.this.k), None),
        "joined": (
            table.join(groups, pw.left.k == pw.right.k).select(pw.left.n, of=pw.right.n),
            ["1,2,1", "2,2,1", "3,1,1"],
        ),
    }
    for name, (output, _) in outputs.items():
        pw.io.csv.write(output, str(tmp_path / f"{name}.csv"))
    kept(tmp_path)
    for name, (_, result) in outputs.items():
        assert result is None or written(tmp_path / f"{name}.csv") == result, name


@pytest.mark.parametrize("terminate", [True, False])
def test_an_error_in_a_key_a_time_or_a_condition(terminate: bool, tmp_path: Path) -> None:
    table = rows(tmp_path, "x,1,6,0\nx,2,6,3\ny,3,8,4\n")
    sessions = table.windowby(table.q, window=pw.temporal.session(max_gap=5)).reduce(
        start=pw.this._pw_window_start, n=pw.reducers.count()
    )
    windows = table.windowby(table.q, window=pw.temporal.sliding(hop=2, duration=4)).reduce(
        start=pw.this._pw_window_start, n=pw.reducers.count()
    )
    outputs = {
        "key": (table.groupby(table.q).reduce(table.q, n=pw.reducers.count()).select(pw.this.n), ["1,1", "2,1"]),
        "session": (sessions, ["2,2,1"]),
        "window": (windows, ["0,2,1", "2,2,1"]),
        "filter": (table.filter(table.q == 2).select(pw.this.n), ["2,1", "3,1"]),
        "identity": (
            table.with_id_from(table.q, table.n).difference(table.with_id_from(table.a, table.n)).select(pw.this.n),
            ["2,1", "3,1"],
        ),
        "join": (table.join(table.copy(), pw.left.q == pw.right.a - 4).select(pw.left.n, of=pw.right.n), None),
    }
    for name, (output, _) in outputs.items():
        pw.io.csv.write(output, str(tmp_path / f"{name}.csv"))
        if not terminate:
            continue
        with pytest.raises(pw.InputError, match="division by zero in a // b, where a = 6, b = 0"):
            pw.run(monitoring_level=QUIET)
        pw.clear()
    if not terminate:
        pw.run(terminate_on_error=False, monitoring_level=QUIET)
        for name, (_, result) in outputs.items():
            assert result is None or written(tmp_path / f"{name}.csv") == result, name


def test_a_sum_outside_64_bits_is_an_error_value(tmp_path: Path) -> None:
    table = pw.debug.table_from_markdown(f"""
        k | a          | __time__ | __diff__
        x | {2**63 - 1} | 2        | 1
        x | 1          | 4        | 1
        y | 1          | 4        | 1
        x | 1          | 6        | -1
    """)
    sums = table.groupby(table.k).reduce(table.k, sum=pw.reducers.sum(table.a))
    seen: list[Row] = []
    told: list[Row] = []

    def add(to: list[Row], *columns: str) -> Callable[..., None]:
        return lambda key, row, time, is_addition: to.append((time, is_addition, *(row[column] for column in columns)))

    pw.io.subscribe(sums, add(seen, "k", "sum"))
    pw.io.subscribe(pw.global_error_log(), add(told, "operator_id", "message"))
    pw.run(terminate_on_error=False, monitoring_level=QUIET)
    times = sorted({time for time, *_ in seen})
    changed = [sorted((row[1:] for row in seen if row[0] == time), key=repr) for time in times]
    most = 2**63 - 1
    assert changed == [
        [(True, "x", most)],
        [(False, "x", most), (True, "x", None), (True, "y", 1)],
        [(False, "x", None), (True, "x", most)],
    ]
    error = ("table-0/reduce-0", 'column "sum": pw.reducers.sum(a) is outside the range of int')
    assert told == [(times[1], True, *error), (times[2], False, *error)]
    pw.clear()
    pw.io.subscribe(sums.filter(sums.k == "y"), add(seen, "k", "sum"))
    pw.run(monitoring_level=QUIET)
    assert seen[-1][1:] == (True, "y", 1)
    pw.clear()
    pw.io.subscribe(sums, add(seen, "k", "sum"))
    with pytest.raises(pw.InputError) as caught:
        pw.run(monitoring_level=QUIET)
    assert caught.value.message == error[1]
    assert caught.value.hint == "cast the column to float before the sum, or take fewer rows together"


def test_explain_says_what_can_be_an_error_and_by_what() -> None:
    table = pw.debug.table_from_markdown("k | a | b\nx | 1 | 2")
    table = table.select(table.k, q=table.a // table.b, half=table.a // 2, r=table.a / 2.5)
    groups = table.groupby(table.k).reduce(table.k, most=pw.reducers.max(table.q), n=pw.reducers.count())
    lines = groups.explain().splitlines()
    assert [line.strip() for line in lines if "fallible" in line] == [
        'fallible: pw.this["a // b"], by a // b',
        "fallible: most",
    ]


def test_several_processes_agree_on_errors(tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    drawn = random.Random(7)
    text = "".join(f"{drawn.choice('xyz')},{n},{drawn.randrange(20)},{drawn.randrange(4)}\n" for n in range(300))
    (tmp_path / "rows/one.csv").write_text(LINES + text, encoding="utf-8")
    program = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
import millpond as pw
import test_error_values as test
test.declare(Path("."))
pw.run(terminate_on_error=False, monitoring_level=pw.MonitoringLevel.NONE)
"""
    (tmp_path / "program.py").write_text(program, encoding="utf-8")
    results: list[dict[str, Counter[str]]] = []
    for processes in (1, 2):
        command = [sys.executable, "-m", "millpond_cli", "spawn", "-n", str(processes), "-t", "2", "program.py"]
        ended = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=100)
        assert ended.returncode == 0, ended.stderr
        results.append({name: Counter() for name in OUTPUTS})
        collect(tmp_path, results[-1])
    assert results[0] == results[1]


def test_whether_a_run_ends_for_errors_is_a_bool() -> None:
    with pytest.raises(pw.InvalidError, match="terminate_on_error"):
        pw.run(terminate_on_error="no")  # type: ignore[arg-type]


def logged(*tables: pw.Table) -> Counter[str]:
    """What the error log says of a program that writes these tables."""
    told: Counter[str] = Counter()

    def add(key: object, row: dict[str, Any], time: int, is_addition: bool) -> None:
        told[f"{row['operator_id']}: {row['message']}: {row['trace']}"] += 1 if is_addition else -1

    for table in tables:
        pw.io.subscribe(table, lambda key, row, time, is_addition: None)
    pw.io.subscribe(pw.global_error_log(), add)
    pw.run(terminate_on_error=False, monitoring_level=QUIET)
    pw.clear()
    return told


def test_the_log_tells_of_each_error_once() -> None:
    table = pw.debug.table_from_markdown("k | a | b\nx | 6 | 0\ny | 4 | 2")
    q = "division by zero in a // b, where a = 6, b = 0: a // b"
    reduced = table.groupby(table.k).reduce(
        table.k,
        sum=pw.reducers.sum(table.a // table.b),
        max=pw.reducers.max(table.a // table.b),
        only=pw.reducers.unique(table.a // table.b),
    )
    assert logged(reduced) == {f"table-0/reduce: `a // b`: {q}": 1}
    for window in (pw.temporal.sliding(hop=2, duration=6), pw.temporal.tumbling(5), pw.temporal.session(max_gap=5)):
        windows = table.windowby(table.a // table.b, window=window).reduce(n=pw.reducers.count())
        (told,) = logged(windows).items()
        assert "division by zero in a // b" in told[0] and told[0].endswith(": a // b"), told
        assert told[1] == 1
    lists = pw.debug.table_from_markdown(
        'k | j\na | {"x":1}\nb | [1]\nc | 7', schema=pw.schema_from_types(k=str, j=pw.Json)
    )
    (one, two) = sorted(logged(lists.flatten(lists.j)).elements())
    assert "the json is no array" in one and "the json is no array" in two
    assert '{"x":1}' in one + two and "'7'" in one + two


@pytest.mark.parametrize("log_first", [True, False])
def test_the_log_tells_of_what_it_is_joined_with(log_first: bool) -> None:
    table = pw.debug.table_from_markdown("k | a | b\nx | 1 | 0\ny | 4 | 2")
    made = table.select(table.k, step="table-0/select", q=table.a // table.b)
    log = pw.global_error_log()
    if log_first:
        joined = log.join(made, log.operator_id == made.step).select(made.k, log.message)
    else:
        joined = made.join(log, made.step == log.operator_id).select(made.k, log.message)
    seen: list[str] = []
    pw.io.subscribe(joined, lambda key, row, time, is_addition: seen.append(row["k"]))
    pw.run(terminate_on_error=False, monitoring_level=QUIET)
    assert sorted(seen) == ["x", "y"]


def test_a_log_of_another_program_is_refused(tmp_path: Path) -> None:
    def run(*outputs: str) -> None:
        table = rows(tmp_path, "x,1,6,0\n")
        made = {"q": table.q, "r": table.n // table.b}
        for name in outputs:
            pw.io.csv.write(table.select(cell=made[name]), str(tmp_path / name))
        counts = pw.global_error_log().reduce(n=pw.reducers.count())
        pw.io.csv.write(counts, str(tmp_path / "n.csv"))
        kept(tmp_path, terminate=False)

    run("q")
    run("q")
    with pytest.raises(pw.ChangedError):
        run("q", "r")


def test_a_table_is_printed_with_its_errors(capsys: pytest.CaptureFixture[str]) -> None:
    table = pw.debug.table_from_markdown("k | a | b\nx | 1 | 0\ny | 4 | 2\nz | 4 | \nw | 3 | 1")
    made = table.select(table.k, q=table.a // table.b)
    pw.debug.compute_and_print(made, terminate_on_error=False)
    assert capsys.readouterr().out == "k | q\nw | 3\nx | Error\ny | 2\nz |\n"
    pw.debug.compute_and_print_update_stream(made.select(pw.this.q), n_rows=1, terminate_on_error=False)
    assert capsys.readouterr().out == "q | __time__ | __diff__\n  | 2        | 1\n"
    with pytest.raises(pw.InputError, match="division by zero"):
        pw.debug.compute_and_print(made)


def test_an_error_in_an_output_is_told_at_the_end(tmp_path: Path) -> None:
    table = rows(tmp_path, "x,1,6,0\nx,2,5,0\n")
    pw.io.csv.write(table.select(table.q), str(tmp_path / "q.csv"))
    pw.io.csv.write(table.select(q=pw.fill_error(table.q, 0)), str(tmp_path / "filled.csv"))
    summary = pw.run(terminate_on_error=False, monitoring_level=QUIET)
    (notice,) = summary.notices
    assert notice.endswith(
        'cells of an output are left empty: column "q": division by zero in a // b, where a = 6, b = 0; '
        "pw.global_error_log() has all errors"
    )


def test_rows_that_are_left_out_are_told_of(tmp_path: Path) -> None:
    table = rows(tmp_path, "x,1,6,0\nx,2,6,3\n")
    sessions = table.windowby(table.q, window=pw.temporal.session(max_gap=5)).reduce(n=pw.reducers.count())
    pw.io.csv.write(table.filter(table.q > 1), str(tmp_path / "filtered.csv"))
    pw.io.csv.write(sessions, str(tmp_path / "sessions.csv"))
    pw.io.csv.write(table.join(table.copy(), pw.left.q == pw.right.a).select(pw.left.n), str(tmp_path / "joined.csv"))
    summary = pw.run(terminate_on_error=False, monitoring_level=QUIET, report=str(tmp_path / "report.json"), workers=1)
    told = {notice.rpartition("rows are left out: ")[2].partition(": ")[0] for notice in summary.notices}
    assert told == {"filter", 'column "q"', "key q"}, summary.notices
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["notices"] == summary.notices


def test_a_log_alone_is_not_printed() -> None:
    with pytest.raises(pw.InvalidError, match="an error log tells of what a program writes"):
        pw.debug.compute_and_print(pw.global_error_log(), terminate_on_error=False)


def test_a_message_holds_the_values_that_the_program_wrote() -> None:
    table = pw.debug.table_from_markdown("k | a | b\nx | 1 | 0\ny | 4 | 2")
    groups = table.groupby(table.k).reduce(
        table.k, of=pw.reducers.sum(table.a + table.b), people=pw.reducers.sum(table.b)
    )
    with pytest.raises(pw.InputError) as caught:
        pw.debug.compute_and_print(groups.select(share=groups.of // groups.people))
    assert caught.value.message.endswith("where pw.reducers.sum(a + b) = 1, pw.reducers.sum(b) = 0")


def test_an_error_of_a_row_that_goes_in_its_epoch_ends_no_run() -> None:
    lines = ["k | a | b | __time__ | __diff__", "x | 1 | 0 | 2 | 1", "x | 1 | 0 | 2 | -1", "y | 4 | 2 | 2 | 1"]
    table = pw.debug.table_from_markdown("\n".join(lines))
    assert table.select(table.k, q=table.a // table.b)._native.collect() == [(("y", 2), 2, 1)]
    table = pw.debug.table_from_markdown("\n".join([*lines, "x | 1 | 0 | 4 | 1", "x | 1 | 0 | 6 | -1"]))
    with pytest.raises(pw.InputError, match="division by zero"):
        table.select(table.k, q=table.a // table.b)._native.collect()
