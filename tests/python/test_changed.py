"""Programs that changed over their saved state: what would make a wrong log is refused, and nothing else."""

from __future__ import annotations

import datetime
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import millpond as pw

QUIET = pw.MonitoringLevel.NONE
COLUMNS: dict[str, Any] = {"user": str, "page": str, "ms": int, "ok": bool | None, "cost": float}


@pytest.fixture(autouse=True)
def _logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("logs").mkdir()
    for number in range(2):
        more(number)


def more(number: int) -> None:
    """Another file of visits."""
    Path(f"logs/{number}.csv").write_text(
        "cost,user,ms,page,ok,extra\n" + "".join(f"0.5,u{i % 3},{4 * number + i},p{i % 2},True,7\n" for i in range(4))
    )


_made: dict[str, pw.Table] = {}
"""Tables of the program that is being built: each is made once."""


def read(columns: dict[str, Any] = COLUMNS, **options: Any) -> pw.Table:
    key = f"read {columns} {options}"
    if key not in _made:
        _made[key] = pw.io.csv.read("logs", schema=pw.schema_from_types(**columns), name="logs", **options)
    return _made[key]


def run(*outputs: Callable[[], None], state: str = "state") -> list[str]:
    """Runs a program; returns what the refusal lists, if it is refused."""
    pw.clear()
    _made.clear()
    for output in outputs:
        output()
    try:
        pw.run(state=state, monitoring_level=QUIET)
    except pw.ChangedError as error:
        assert error.exit_code == 6 and error.hint is not None
        return [line.strip() for line in error.message.split("\n")[1:]]
    return []


def counts(columns: dict[str, Any] = COLUMNS, **options: Any) -> pw.Table:
    key = f"counts {columns} {options}"
    if key not in _made:
        table = read(columns, **options)
        _made[key] = table.groupby(table.user).reduce(table.user, n=pw.reducers.count())
    return _made[key]


def write(table: Callable[[], pw.Table], path: str = "out.csv", **options: Any) -> Callable[[], None]:
    module = pw.io.jsonlines if path.endswith(".jsonl") else pw.io.csv
    return lambda: module.write(table(), path, **options)


@pytest.mark.parametrize(("was", "now"), [("changes", "append"), ("append", "changes"), ("snapshot", "append")])
@pytest.mark.parametrize("table", [read, counts])
def test_another_mode_is_another_program(was: Any, now: Any, table: Callable[[], pw.Table]) -> None:
    assert run(write(table, mode=was)) == []
    assert run(write(table, mode=was)) == []
    kept = Path("out.csv").read_bytes()
    assert f'output "out.csv": mode was {was}, is {now}' in run(write(table, mode=now))
    assert Path("out.csv").read_bytes() == kept
    assert run(write(table, mode=was)) == []


def test_another_format_under_one_name_is_another_program() -> None:
    for mode in ("append", "changes", "snapshot"):
        state = f"state-{mode}"
        assert run(write(counts, f"{mode}.csv", name="out", mode=mode), state=state) == []
        said = run(write(counts, f"{mode}.jsonl", name="out", mode=mode), state=state)
        assert said == ['output "out": kind was csv, is jsonlines']


def test_a_log_that_comes_late_would_lack_what_came_before() -> None:
    assert run(write(counts)) == []
    said = run(write(counts), write(counts, "log.csv", mode="append"))
    assert said == ['output "log.csv": it is new, and a log of all runs would lack those before']
    assert run(write(counts), write(counts, "new.csv"), write(read, "visits.csv", mode="snapshot")) != []
    assert run(write(counts), write(counts, "new.csv")) == []


def test_what_lies_between_the_steps_and_an_output_is_part_of_the_program() -> None:
    def late(limit: int) -> Callable[[], pw.Table]:
        return lambda: read().filter(pw.this.ms > limit).select(pw.this.user)

    assert run(write(late(1))) == []
    assert run(write(late(2))) == ['output "out.csv": the filter before it: predicate was ms > 1, is ms > 2']
    assert run(write(lambda: late(1)().select(who=pw.this.user))) == [
        'output "out.csv": columns were user: str, are who: str',
        'output "out.csv": a select was added: who = user',
    ]
    assert run(write(late(1))) == []
    seen: list[Any] = []

    def subscribed(table: Callable[[], pw.Table]) -> Callable[[], None]:
        return lambda: pw.io.subscribe(table(), lambda *change: seen.append(change), name="seen")

    assert run(subscribed(lambda: counts().filter(pw.this.n > 1)), state="other") == []
    said = run(subscribed(lambda: counts().filter(pw.this.n > 2)), state="other")
    assert said == ['output "seen": the filter before it: predicate was n > 1, is n > 2']


def test_what_changes_no_row_is_taken() -> None:
    assert run(write(counts, name="out", mode="append")) == []
    Path("moved").mkdir()
    Path("out.csv").rename("moved/out.csv")
    more(2)
    assert run(write(counts, "moved/out.csv", name="out", mode="append")) == []
    dead = {"on_error": "dead_letter"}
    for options in ({"on_error": "skip"}, dead | {"dead_letter": "bad.csv"}, dead | {"dead_letter": "worse.csv"}, {}):

        def table(options: dict[str, Any] = options) -> pw.Table:
            return counts(**options)

        assert run(write(table, "moved/out.csv", name="out", mode="append")) == []


def test_settings_of_a_source_are_part_of_the_program() -> None:
    assert run(write(counts)) == []
    semicolons = pw.io.CsvParserSettings(delimiter=";")
    assert any("setting delimiter was ,, is ;" in line for line in run(write(lambda: counts(csv_settings=semicolons))))
    assert any("append_only was false, is true" in line for line in run(write(lambda: counts(append_only=True))))


PROGRAMS: list[tuple[set[str], Callable[[pw.Table], pw.Table]]] = [
    ({"user"}, lambda t: t.groupby(t.user).reduce(t.user, n=pw.reducers.count())),
    ({"user", "ms"}, lambda t: t.filter(t.ms > 1).groupby(t.user).reduce(t.user, n=pw.reducers.count())),
    ({"page", "ms"}, lambda t: t.select(t.page, slow=t.ms > 2)),
    (
        {"ms"},
        lambda t: (
            t.with_columns(cost=t.cost + 1)
            .windowby(pw.this.ms, window=pw.temporal.tumbling(duration=2))
            .reduce(n=pw.reducers.count())
        ),
    ),
    ({"page"}, lambda t: t.concat_reindex(t).groupby(pw.this.page).reduce(pw.this.page, n=pw.reducers.count())),
    (
        {"user", "ms"},
        lambda t: (
            t.select(t.user, t.ms)
            .with_id_from(pw.this.user, pw.this.ms)
            .difference(t.filter(t.user == "nobody").with_id_from(t.user, t.ms))
        ),
    ),
]
RETYPED: dict[str, Any] = {"user": str | None, "page": str | None, "ms": int | None, "ok": str, "cost": float | None}


@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_a_column_that_is_not_read_may_change(number: int) -> None:
    used, program = PROGRAMS[number]
    rng = random.Random(number)

    def attempt(columns: dict[str, Any]) -> list[str]:
        return run(write(lambda: program(read(columns)), mode="append"))

    assert attempt(COLUMNS) == []
    needed = used | ({"cost"} if number == 3 else set())  # what the program names
    for round in range(8):
        columns = {name: ty for name, ty in COLUMNS.items() if name in needed or rng.random() < 0.7}
        columns = {
            name: RETYPED[name] if name not in needed and rng.random() < 0.5 else ty for name, ty in columns.items()
        }
        if rng.random() < 0.5:
            columns["extra"] = rng.choice([int, str, float])
        shuffled = list(columns.items())
        rng.shuffle(shuffled)
        if round % 3 == 0:
            more(2 + round)
        assert attempt(dict(shuffled)) == []
    for name in sorted(used):
        try:
            said = attempt(COLUMNS | {name: RETYPED[name]})
        except pw.InvalidError:
            continue  # the program does not take the type at all
        assert any(f"column {name} was" in line or f"{name}:" in line for line in said), said
    assert attempt(COLUMNS) == []
    log = Path("out.csv").read_text().splitlines()[1:]
    pw.clear()
    fresh = program(read())._native.collect()
    assert sum(int(line.rsplit(",", 1)[1]) for line in log) == sum(diff for _, _, diff in fresh)


def test_a_column_that_is_read_at_last_is_refused() -> None:
    assert run(write(counts)) == []
    said = run(write(counts), write(lambda: read().select(pw.this.page), "pages.csv"))
    assert said == ['step "logs": column page is new (str)']
    assert run(write(counts), write(lambda: read().select(pw.this.user), "users.csv")) == []


def test_a_column_that_is_read_no_more_is_taken_and_refused_when_it_comes_back() -> None:
    pages = write(lambda: read().select(pw.this.page), "pages.csv")
    assert run(write(counts), pages) == []
    assert run(write(counts), pages) == []
    assert run(write(counts)) == []
    assert run(write(counts), pages) == ['step "logs": column page is new (str)']


def test_paths_of_fields_count_where_they_are_read() -> None:
    Path("events").mkdir()
    Path("events/a.jsonl").write_text('{"a": {"b": 1, "c": 2}, "d": 3}\n')

    def table(**paths: str) -> pw.Table:
        schema = pw.schema_from_types(x=int, y=int)
        events = pw.io.jsonlines.read("events", schema=schema, json_field_paths=paths, name="events")
        return events.groupby(events.x).reduce(events.x, n=pw.reducers.count())

    assert run(write(lambda: table(x="/a/b", y="/a/c"))) == []
    assert run(write(lambda: table(x="/a/b", y="/d"))) == []
    said = run(write(lambda: table(x="/a/c", y="/a/c")))
    assert 'step "events": setting json_field_path x was /a/b, is /a/c' in said


def test_a_limit_that_is_made_from_the_clock_is_told_apart() -> None:
    def since(limit: Any) -> Callable[[], pw.Table]:
        def table() -> pw.Table:
            times = read().with_columns(at=pw.this.ms.dt.utc_from_timestamp(unit="s"))
            return times.filter(pw.this.at > limit).groupby(pw.this.user).reduce(n=pw.reducers.count())

        return table

    now = datetime.datetime.now(datetime.timezone.utc)
    earlier = now - datetime.timedelta(minutes=10)
    assert run(write(since(earlier))) == []
    pw.clear()
    _made.clear()
    write(since(now))()
    with pytest.raises(pw.ChangedError) as caught:
        pw.run(state="state")
    assert ": it looks like the time of the run, and so makes another program in each run" in caught.value.message
    assert caught.value.hint is not None and "takes no value from the clock" in caught.value.hint
    old = datetime.datetime(2001, 1, 1, tzinfo=datetime.timezone.utc)
    assert run(write(since(old)), state="other") == []
    assert "looks like" not in " ".join(run(write(since(old + datetime.timedelta(days=1))), state="other"))


def totals(name: str | None = None) -> pw.Table:
    table = read()
    made = table.groupby(table.page).reduce(table.page, ms=pw.reducers.sum(table.ms))
    return made if name is None else made.named(name)


def test_outputs_in_another_order_and_tables_with_names_are_the_same_program() -> None:
    first, second = write(counts, "counts.csv", mode="append"), write(totals, "totals.csv", mode="append")
    named = write(lambda: totals("per page"), "totals.csv", mode="append")
    assert run(first, second) == []
    # Unnamed steps are numbered in the order of outputs: `logs/reduce-0` was the other one.
    for number, program in enumerate([(second, first), (first, named), (named, first), (first, second)], 2):
        more(number)
        assert run(*program) == []
    for path, expected in [("counts.csv", {"u0": 12, "u1": 6, "u2": 6}), ("totals.csv", {"p0": 132, "p1": 144})]:
        found: dict[str, int] = {}
        for line in Path(path).read_text().splitlines()[1:]:
            key, value, _, diff = line.split(",")
            found[key.strip('"')] = found.get(key.strip('"'), 0) + int(value) * int(diff)
        assert found == expected


def test_a_step_is_not_found_by_what_it_is_made_of_where_that_is_not_certain() -> None:
    def of(path: str, name: str) -> Callable[[], None]:
        def declare() -> None:
            made = read().groupby(pw.this.user).reduce(pw.this.user, n=pw.reducers.count())
            pw.io.csv.write(made.named(name), path)

        return declare

    assert run(of("one.csv", "a"), of("two.csv", "b")) == []
    refused = run(of("one.csv", "a"), of("two.csv", "c"))
    assert 'step "c" is new' in refused
    assert 'step "b" is gone' in refused
    assert run(of("one.csv", "a"), of("two.csv", "b")) == []


def test_names_of_tables_are_checked() -> None:
    pw.clear()
    _made.clear()
    with pytest.raises(pw.InvalidError) as raised:
        read().filter(pw.this.ms > 1).named("late")
    assert raised.value.message == "nothing is kept for this table, so there is no state to name"
    with pytest.raises(pw.InvalidError) as raised:
        read().named("visits")
    assert raised.value.hint == 'name="..."'
    table = totals("per page")
    assert table.named("per page") is not None
    with pytest.raises(pw.InvalidError, match='named "per page" already, and not "other"'):
        table.named("other")
    pw.io.csv.write(table, "a.csv")
    pw.io.csv.write(counts().named("per page"), "b.csv")
    with pytest.raises(pw.InvalidError) as raised:
        pw.run(monitoring_level=QUIET)
    assert raised.value.message == 'two tables, or a table and a source, are named "per page"'
    assert raised.value.hint == 'saved state is found by name: give each its own, such as .named("per page-2")'
    pw.clear()


def log_of(path: str, **options: Any) -> Callable[[], None]:
    return write(counts, path, mode="append", **options)


def rows(path: str) -> list[str]:
    """The rows that a log adds up to."""
    total: dict[str, int] = {}
    for line in Path(path).read_text().splitlines()[1:]:
        *cells, _, diff = line.split(",")
        row = ",".join(cells)
        total[row] = total.get(row, 0) + int(diff)
    return sorted(row for row, count in total.items() for _ in range(count))


def test_a_log_may_get_a_name_or_lose_it_or_move() -> None:
    assert run(log_of("log.csv")) == []
    more(2)
    assert run(log_of("log.csv", name="users")) == []
    more(3)
    assert run(log_of("log.csv", name="people")) == []
    more(4)
    assert run(log_of("log.csv")) == []
    Path("moved").mkdir()
    Path("log.csv").rename("moved/log.csv")
    more(5)
    assert run(log_of("moved/log.csv")) == []
    assert run(write(counts, "all.csv", mode="append"), state="anew") == []
    assert rows("moved/log.csv") == rows("all.csv")


def test_a_log_under_another_file_says_how_it_goes_on() -> None:
    assert run(log_of("log.csv")) == []
    Path("log.csv").rename("people.csv")
    more(2)
    assert run(log_of("people.csv")) == [
        'output "people.csv": it is new, and a log of all runs would lack those before',
        'if it goes on with the log of "log.csv", which is gone, rename that file and say name="log.csv"',
    ]
    assert run(log_of("people.csv", name="log.csv")) == []
    assert run(write(counts, "all.csv", mode="append"), state="anew") == []
    assert rows("people.csv") == rows("all.csv")


def test_two_logs_that_could_be_the_one_are_not_guessed() -> None:
    for folder in ("a", "b", "c", "d"):
        Path(folder).mkdir()
    assert run(log_of("a/log.csv"), log_of("b/log.csv")) == []
    assert len([line for line in run(log_of("c/log.csv"), log_of("d/log.csv")) if "it is new" in line]) == 2
    assert run(log_of("a/log.csv"), log_of("b/log.csv")) == []


def test_what_differs_is_said_once() -> None:
    def chain(most: int) -> Callable[[], pw.Table]:
        def table() -> pw.Table:
            late = read().filter(pw.this.ms > most)
            users = late.groupby(pw.this.user).reduce(pw.this.user, n=pw.reducers.count())
            counted = users.groupby(pw.this.n).reduce(pw.this.n, users=pw.reducers.count())
            return counted.groupby(pw.this.users).reduce(pw.this.users, times=pw.reducers.count())

        return table

    assert run(write(chain(0), mode="snapshot")) == []
    assert run(write(chain(1), mode="snapshot")) == [
        'step "logs/reduce-0": the filter before it: predicate was ms > 0, is ms > 1',
        "and 3 steps made of what differs",
    ]


PAIR = {"k": str, "v": int}


def pair(name: str) -> pw.Table:
    """The rows of one of two sources that are alike."""
    if name not in _made:
        _made[name] = pw.io.csv.read(f"{name}/", schema=pw.schema_from_types(**PAIR), name=name)
    return _made[name]


def sums(name: str) -> pw.Table:
    return pair(name).groupby(pw.this.k).reduce(pw.this.k, s=pw.reducers.sum(pw.this.v))


def largest(name: str) -> pw.Table:
    return pair(name).groupby(pw.this.k).reduce(pw.this.k, s=pw.reducers.max(pw.this.v))


def side_by_side(left: pw.Table, right: pw.Table) -> pw.Table:
    return left.join_left(right, left.k == right.k).select(left.k)


EXCHANGED: dict[str, Callable[[str, str], list[Callable[[], pw.Table]]]] = {
    "join": lambda a, b: [lambda: side_by_side(pair(a), pair(b))],
    "join of reduces": lambda a, b: [lambda: side_by_side(sums(a), sums(b))],
    "two reducers": lambda a, b: [lambda: sums(a), lambda: largest(b)],
    "named": lambda a, b: [lambda: sums(a).named("p"), lambda: sums(b).named("q")],
    "update_rows": lambda a, b: [
        lambda: sums(a).with_id_from(pw.this.k).update_rows(largest(b).with_id_from(pw.this.k))
    ],
    "difference": lambda a, b: [
        lambda: pair(a).with_id_from(pw.this.k, pw.this.v).difference(pair(b).with_id_from(pw.this.k, pw.this.v))
    ],
}


@pytest.mark.parametrize("what", EXCHANGED)
def test_sources_that_are_alike_are_told_apart(what: str) -> None:
    for name, text in (("a", "k,v\na,1\na,2\n"), ("b", "k,v\na,10\nb,20\n")):
        Path(name).mkdir()
        Path(f"{name}/1.csv").write_text(text)

    def outputs(first: str, second: str) -> list[Callable[[], None]]:
        tables = EXCHANGED[what](first, second)
        return [write(table, f"{number}.csv", mode="append") for number, table in enumerate(tables)]

    assert run(*outputs("a", "b")) == []
    before = [Path(f"{number}.csv").read_text() for number in range(len(outputs("a", "b")))]
    assert run(*outputs("b", "a")) != []
    assert [Path(f"{number}.csv").read_text() for number in range(len(before))] == before
    Path("a/2.csv").write_text("k,v\na,7\nc,8\n")
    assert run(*outputs("a", "b")) == []
    for number, table in enumerate(EXCHANGED[what]("a", "b")):
        assert run(write(table, "anew.csv", mode="append"), state=f"anew-{number}") == []
        assert rows(f"{number}.csv") == rows("anew.csv")
        Path("anew.csv").unlink()


def test_a_source_that_is_alike_to_none_may_get_another_name() -> None:
    def program(name: str) -> Callable[[], None]:
        def table() -> pw.Table:
            visits = pw.io.csv.read("logs", schema=pw.schema_from_types(**COLUMNS), name=name)
            return visits.groupby(pw.this.user).reduce(pw.this.user, n=pw.reducers.count())

        return write(table, mode="append")

    assert run(program("logs")) == []
    more(2)
    assert run(program("visits")) == []
    assert run(write(counts, "all.csv", mode="append"), state="anew") == []
    assert rows("out.csv") == rows("all.csv")


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.rename_columns(who=pw.this.user),
        lambda table: table.rename_by_dict({"user": "who"}),
        lambda table: table.rename(who=pw.this.user).without(pw.this.page),
    ],
)
def test_columns_that_nothing_uses_come_and_go_behind_a_rename(change: Callable[[pw.Table], pw.Table]) -> None:
    def program(columns: dict[str, Any]) -> Callable[[], None]:
        def table() -> pw.Table:
            visits = pw.io.csv.read("logs", schema=pw.schema_from_types(**columns), name="logs")
            return change(visits).groupby(pw.this.who).reduce(pw.this.who, n=pw.reducers.sum(pw.this.ms))

        return write(table, mode="append")

    assert run(program({"user": str, "page": str, "ms": int})) == []
    more(2)
    assert run(program(COLUMNS | {"extra": int})) == []
    said = run(write(lambda: read().rename(who=pw.this.page).groupby(pw.this.who).reduce(pw.this.who), mode="append"))
    assert any("rename" in line or "reduce" in line for line in said)
