"""Points in time and durations: in files, expressions, groups and windows, against Python's datetime."""

from __future__ import annotations

import datetime
import json
import re
import zoneinfo
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import millpond as pw

UTC = datetime.timezone.utc
NAIVE = st.datetimes(datetime.datetime(1900, 1, 1), datetime.datetime(2100, 1, 1))
LENGTHS = st.timedeltas(datetime.timedelta(days=-9000), datetime.timedelta(days=9000))


class Event(pw.Schema):
    user: str
    at: pw.DateTimeNaive
    utc: pw.DateTimeUtc | None
    length: pw.Duration | None


def rows(table: pw.Table) -> list[tuple[Any, ...]]:
    return sorted((row for row, _, diff in table._native.collect() for _ in range(diff)), key=repr)


def value(expression: Any) -> Any:
    [(found,)] = rows(pw.debug.table_from_markdown("row\n1").select(x=expression))
    return found


def literal(of: Any) -> pw.ColumnExpression:
    return pw.coalesce(of)


@settings(max_examples=1000, deadline=None)
@given(NAIVE, NAIVE, LENGTHS, LENGTHS.filter(bool), st.integers(-5, 5))
def test_arithmetic_is_pythons(
    a: datetime.datetime, b: datetime.datetime, x: datetime.timedelta, y: datetime.timedelta, n: int
) -> None:
    [found] = rows(
        pw.debug.table_from_markdown("row\n1").select(
            between=literal(a) - b,
            utc=literal(a.replace(tzinfo=UTC)) - b.replace(tzinfo=UTC),
            later=literal(a) + x,
            after=x + literal(a),
            before=literal(a) - x,
            sum=literal(x) + y,
            difference=literal(x) - y,
            times=literal(x) * n,
            quotient=literal(x) // y,
            rest=literal(x) % y,
            negative=-literal(x),
            less=literal(a) < b,
            same=literal(a) == b,
        )
    )
    assert found == (
        a - b,
        a - b,
        a + x,
        x + a,
        a - x,
        x + y,
        x - y,
        x * n,
        x // y,
        x % y,
        -x,
        a < b,
        a == b,
    )


@settings(max_examples=500, deadline=None)
@given(NAIVE)
def test_points_read_as_python_writes_them(at: datetime.datetime) -> None:
    assert value(pw.cast(pw.DateTimeNaive, literal(at.isoformat()))) == at
    assert value(pw.cast(pw.DateTimeUtc, literal(at.replace(tzinfo=UTC).isoformat()))) == at.replace(tzinfo=UTC)
    assert datetime.datetime.fromisoformat(value(pw.cast(str, literal(at)))) == at


def test_files_keep_nanoseconds_and_python_gets_microseconds(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(
        "user,at,utc,length\n"
        "ann,2026-11-22T10:00:00.123456789,2026-11-22T10:00:00+05:30,PT90.000000001S\n"
        "bob,1969-12-31 23:59:59.999999999,,\n"
    )
    events = pw.io.csv.read(tmp_path / "in.csv", schema=Event, mode="static")
    assert rows(events) == [
        (
            "ann",
            datetime.datetime(2026, 11, 22, 10, 0, 0, 123456),
            datetime.datetime(2026, 11, 22, 4, 30, tzinfo=UTC),
            datetime.timedelta(seconds=90),
        ),
        ("bob", datetime.datetime(1969, 12, 31, 23, 59, 59, 999999), None, None),
    ]
    pw.io.csv.write(events, tmp_path / "out.csv")
    pw.io.jsonlines.write(events, tmp_path / "out.jsonl")
    pw.run()
    lines = sorted((tmp_path / "out.csv").read_text().splitlines())
    assert [line.rsplit(",", 2)[0] for line in lines] == [
        '"ann",2026-11-22T10:00:00.123456789,2026-11-22T04:30:00Z,PT1M30.000000001S',
        '"bob",1969-12-31T23:59:59.999999999,,',
        "user,at,utc,length",
    ]
    objects = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert sorted(objects, key=lambda row: row["user"])[0]["length"] == "PT1M30.000000001S"
    again = pw.io.jsonlines.read(tmp_path / "out.jsonl", schema=Event, mode="static")
    assert rows(again) == rows(events)


def test_a_value_that_is_no_point_names_file_line_column_and_value(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("user,at,utc,length\nann,2026-11-22T10:00:00Z,,\n")
    with pytest.raises(pw.InputError) as caught:
        rows(pw.io.csv.read(tmp_path / "in.csv", schema=Event, mode="static"))
    assert 'in.csv:2: at: "2026-11-22T10:00:00Z" is not a DateTimeNaive' in caught.value.message
    assert caught.value.hint == "one reads 2026-11-22T10:00:00, without a zone"


TIMES = """
    user | at
    ann  | 2026-11-22T10:00:00
    ann  | 2026-11-22T10:04:00
    ann  | 2026-11-22T10:20:00
    bob  | 2026-11-22T10:05:00
"""


def times() -> pw.Table:
    return pw.debug.table_from_markdown(TIMES, schema=pw.schema_from_types(user=str, at=pw.DateTimeNaive))


def at(minute: int) -> datetime.datetime:
    return datetime.datetime(2026, 11, 22, 10) + datetime.timedelta(minutes=minute)


def test_windows_are_cut_over_points_in_time() -> None:
    table = times()
    outputs = (table.user, pw.this._pw_window_start, pw.this._pw_window_end)

    def windows(window: Any) -> list[tuple[Any, ...]]:
        return rows(table.windowby(table.at, window=window, instance=table.user).reduce(*outputs))

    minutes = datetime.timedelta(minutes=1)
    assert windows(pw.temporal.session(max_gap=5 * minutes)) == [
        ("ann", at(0), at(4)),
        ("ann", at(20), at(20)),
        ("bob", at(5), at(5)),
    ]
    assert windows(pw.temporal.tumbling(5 * minutes)) == [
        ("ann", at(0), at(5)),
        ("ann", at(20), at(25)),
        ("bob", at(5), at(10)),
    ]
    assert windows(pw.temporal.sliding(hop=5 * minutes, duration=10 * minutes, origin=at(3))) == [
        ("ann", at(13), at(23)),
        ("ann", at(18), at(28)),
        ("ann", at(3), at(13)),
        ("bob", at(3), at(13)),
    ]


def test_reducers_keep_the_type() -> None:
    table = times().with_columns(length=pw.this.at - at(0))
    assert rows(
        table.groupby(table.user).reduce(
            table.user,
            first=pw.reducers.min(table.at),
            last=pw.reducers.max(table.at),
            total=pw.reducers.sum(table.length),
            mean=pw.reducers.avg(table.length),
        )
    ) == [
        ("ann", at(0), at(20), datetime.timedelta(minutes=24), datetime.timedelta(minutes=8)),
        ("bob", at(5), at(5), datetime.timedelta(minutes=5), datetime.timedelta(minutes=5)),
    ]


class Stay(pw.Schema):
    user: int
    nanoseconds: int | None
    row: int


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.none() | st.integers(-9, 9) | st.integers(-(10**15), 10**15)), min_size=1)
)
def test_the_mean_of_durations_is_pythons(stays: list[tuple[int, int | None]]) -> None:
    lines = (f"{user} | {'' if length is None else length} | {row}" for row, (user, length) in enumerate(stays))
    table = pw.debug.table_from_markdown("user | nanoseconds | row\n" + "\n".join(lines), schema=Stay)
    table = table.select(table.user, length=pw.cast(pw.Duration, "PT0.000000001S") * table.nanoseconds)
    # Python rounds to the microsecond, so its durations are a thousand times as long.
    found = table.groupby(table.user).reduce(table.user, mean=pw.reducers.avg(table.length) * 1000)
    assert repr(found) == "<millpond.Table user: int, mean: pw.Duration | None>"
    users: dict[int, list[datetime.timedelta]] = {user: [] for user, _ in stays}
    for user, length in stays:
        if length is not None:
            users[user].append(datetime.timedelta(microseconds=length))
    means = ((user, sum(of, datetime.timedelta()) / len(of) if of else None) for user, of in users.items())
    assert rows(found) == sorted(means, key=repr)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda t: t.select(x=t.at + t.at), "cannot apply + to pw.DateTimeNaive and pw.DateTimeNaive"),
        (
            lambda t: t.select(x=t.at < at(0).replace(tzinfo=UTC)),
            "cannot apply < to pw.DateTimeNaive and pw.DateTimeUtc",
        ),
        (lambda t: t.select(x=pw.cast(int, t.at)), "which cannot be cast to int"),
        (
            lambda t: t.windowby(t.at, window=pw.temporal.session(max_gap=3)).reduce(n=pw.reducers.count()),
            "must be pw.Duration",
        ),
        (
            lambda t: t.windowby(t.at, window=pw.temporal.tumbling(3)).reduce(n=pw.reducers.count()),
            "must be pw.Duration",
        ),
        (lambda t: t.groupby(t.user).reduce(x=pw.reducers.sum(t.at)), "sum needs int, float or pw.Duration"),
        (lambda t: t.groupby(t.user).reduce(x=pw.reducers.avg(t.at)), "avg needs int, float or pw.Duration"),
        (lambda t: pw.temporal.session(max_gap=datetime.timedelta(-1)), "is negative"),
        (lambda t: t.select(x=datetime.datetime(1, 1, 1)), "does not fit into 64 bits of nanoseconds"),
    ],
)
def test_types_are_checked_before_anything_runs(make: Any, message: str) -> None:
    with pytest.raises(pw.InvalidError) as caught:
        make(times())
    assert message in caught.value.message
    assert caught.value.origin is not None and "test_times.py:" in caught.value.origin


class Timed(pw.Schema):
    at: pw.DateTimeNaive
    seen: pw.DateTimeUtc | None
    stay: pw.Duration | None


def handed_over(*rows: dict[str, Any]) -> list[dict[str, object]]:
    class Rows(pw.io.python.ConnectorSubject):
        def run(self) -> None:
            for row in rows:
                self.next(**row)

    found: list[dict[str, object]] = []
    table = pw.io.python.read(Rows(), schema=Timed)
    pw.io.subscribe(table, lambda key, row, time, is_addition: found.append(row))
    pw.run(monitoring_level=pw.MonitoringLevel.NONE)
    return found


def test_a_program_hands_times_over() -> None:
    at = datetime.datetime(2026, 11, 22, 10, 0, 0, 5)
    seen = datetime.datetime(2026, 11, 22, 10, tzinfo=datetime.timezone.utc)
    stay = datetime.timedelta(days=-1, microseconds=7)
    row: dict[str, Any] = {"at": at, "seen": seen, "stay": stay}
    spelled = {"at": "2026-11-22T10:00:00.000005", "seen": "2026-11-22T11:00:00+01:00", "stay": "-PT23H59M59.999993S"}
    assert handed_over(row, spelled) == [row, row]
    pw.clear()
    assert handed_over({"at": at}) == [{"at": at, "seen": None, "stay": None}]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"at": datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)}, "at: .* is not a pw.DateTimeNaive"),
        ({"at": datetime.datetime(1600, 1, 1)}, "at: .* does not fit into 64 bits of nanoseconds"),
        ({"at": "noon"}, 'at: "noon" .* is not a pw.DateTimeNaive'),
        ({"at": datetime.datetime(2026, 1, 1), "stay": 7}, "stay: 7 .* is not a pw.Duration"),
    ],
)
def test_a_wrong_time_that_is_handed_over_is_named(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(pw.InputError, match=said):
        handed_over(wrong)


EPOCH = datetime.datetime(1970, 1, 1)
MICROSECOND = datetime.timedelta(microseconds=1)
UNITS = {
    "microseconds": MICROSECOND,
    "milliseconds": datetime.timedelta(milliseconds=1),
    "seconds": datetime.timedelta(seconds=1),
    "minutes": datetime.timedelta(minutes=1),
    "hours": datetime.timedelta(hours=1),
    "days": datetime.timedelta(days=1),
    "weeks": datetime.timedelta(weeks=1),
}


def computed(**expressions: Any) -> dict[str, Any]:
    """The value of each expression, over a table of one row."""
    [values] = rows(pw.debug.table_from_markdown("row\n1").select(**expressions))
    return dict(zip(expressions, values, strict=True))


@settings(max_examples=300, deadline=None)
@given(NAIVE, LENGTHS, st.timedeltas(MICROSECOND, datetime.timedelta(days=400)))
def test_functions_of_time_are_those_of_python(
    at: datetime.datetime, length: datetime.timedelta, step: datetime.timedelta
) -> None:
    naive, utc, duration = pw.cast(pw.DateTimeNaive, at.isoformat()), to_utc(at), pw.coalesce(length)
    parts = ["year", "month", "day", "hour", "minute", "second", "microsecond", "weekday"]
    expected: dict[str, Any] = {part: getattr(at, part) for part in parts if part != "weekday"}
    expected["weekday"] = at.weekday()
    for point in (naive, utc):
        assert computed(**{part: getattr(point.dt, part)() for part in parts}) == expected
    assert computed(ms=naive.dt.millisecond(), ns=utc.dt.nanosecond()) == {
        "ms": at.microsecond // 1000,
        "ns": at.microsecond * 1000,
    }

    def toward_zero(unit: datetime.timedelta) -> int:
        return abs(length) // unit * (1 if length >= datetime.timedelta(0) else -1)

    whole = computed(**{unit: getattr(duration.dt, unit)() for unit in UNITS})
    assert whole == {unit: toward_zero(one) for unit, one in UNITS.items()}

    since = at - EPOCH
    stamp = since // MICROSECOND
    found = computed(ns=naive.dt.timestamp(), s=utc.dt.timestamp(unit="s"), us=naive.dt.timestamp(unit="us"))
    assert found["ns"] == stamp * 1000
    assert (found["s"], found["us"]) == (pytest.approx(since.total_seconds(), rel=1e-15), float(stamp))
    back = pw.cast(int, stamp).dt
    assert computed(naive=back.from_timestamp("us"), utc=back.utc_from_timestamp("us")) == {
        "naive": at,
        "utc": at.replace(tzinfo=UTC),
    }

    down = at - since % step
    nearest = down if since % step * 2 < step else down + step
    assert computed(floor=naive.dt.floor(step), round=naive.dt.round(step)) == {"floor": down, "round": nearest}
    assert computed(floor=utc.dt.floor(step)) == {"floor": down.replace(tzinfo=UTC)}


def to_utc(at: datetime.datetime) -> pw.ColumnExpression:
    return pw.cast(pw.DateTimeUtc, f"{at.isoformat()}Z")


def test_functions_of_time_are_checked_before_anything_runs() -> None:
    table = pw.debug.table_from_markdown("a\n1")
    with pytest.raises(pw.InvalidError, match=r'"a" is int, but dt\.hour needs pw.DateTimeNaive or pw.DateTimeUtc'):
        table.select(x=pw.this.a.dt.hour())
    with pytest.raises(pw.InvalidError, match='unit: "h" is none of "s", "ms", "us", "ns"'):
        pw.this.a.dt.from_timestamp("h")  # type: ignore[arg-type]
    with pytest.raises(pw.InputError, match="the DateTimeNaive is outside 64 bits of nanoseconds"):
        pw.debug.compute_and_print(table.select(x=(pw.this.a * 10**10).dt.from_timestamp("s")))


WORDS = ["%Y", "%m", "%d", "%H", "%M", "%S", "%f", "%j", "%b", "%B", "%a", "%A", "%p", "%I", "%y", "%%", "T", "-", " "]


@settings(max_examples=300, deadline=None)
@given(NAIVE, st.lists(st.sampled_from([*WORDS, "%U", "%W", "%w"]), max_size=12))
def test_points_are_written_as_python_writes_them(at: datetime.datetime, words: list[str]) -> None:
    fmt = "/".join(words)
    utc = f"{fmt}%z %Z"
    expected = at.strftime(fmt)
    found = computed(
        naive=literal(at).dt.strftime(fmt), utc=to_utc(at).dt.strftime(utc), iso=literal(at).dt.strftime("%FT%T")
    )
    assert found == {"naive": expected, "utc": f"{expected}+0000 UTC", "iso": at.isoformat(timespec="seconds")}


@pytest.mark.parametrize(
    "fmt",
    [
        "%Y-%m-%d %H:%M:%S.%f",
        "%d/%b/%Y:%H:%M:%S",
        "%A, %d %B %Y, %I:%M:%S %p",
        "%Y%m%dT%H%M%S",
        "%a %j %Y %H.%M",
        "%d.%m.%Y",
    ],
)
@settings(max_examples=100, deadline=None)
@given(at=NAIVE, minutes=st.integers(-14 * 60, 14 * 60))
def test_points_are_read_as_python_reads_them(fmt: str, at: datetime.datetime, minutes: int) -> None:
    text = at.strftime(fmt)
    zone = datetime.timezone(datetime.timedelta(minutes=minutes))
    zoned = at.replace(tzinfo=zone).strftime(f"{fmt} %z")
    assert computed(
        naive=pw.coalesce(text).dt.strptime(fmt),
        utc=pw.coalesce(zoned).dt.strptime(f"{fmt} %z", contains_timezone=True),
    ) == {
        "naive": datetime.datetime.strptime(text, fmt),
        "utc": datetime.datetime.strptime(zoned, f"{fmt} %z").astimezone(UTC),
    }


ZONES = ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "America/Sao_Paulo", "UTC"]


# In the small hours of those months in which clocks are set.
CHANGES = st.builds(
    lambda year, month, day, minute: datetime.datetime(year, month, day, minute // 60, minute % 60),
    st.integers(1971, 2036),
    st.sampled_from([3, 4, 10, 11]),
    st.integers(1, 30),
    st.integers(0, 239),
)


@settings(max_examples=1000, deadline=None)
@given(st.datetimes(datetime.datetime(1971, 1, 1), datetime.datetime(2037, 1, 1)) | CHANGES, st.sampled_from(ZONES))
def test_clocks_of_a_zone_are_those_of_python(at: datetime.datetime, name: str) -> None:
    zone = zoneinfo.ZoneInfo(name)
    instant, length = at.replace(tzinfo=zone).astimezone(UTC), datetime.timedelta(hours=5)
    assert computed(
        utc=literal(at).dt.to_utc(from_timezone=name),
        naive=to_utc(at).dt.to_naive_in_timezone(name),
        later=literal(at).dt.add_duration_in_timezone(length, name),
        earlier=literal(at).dt.subtract_duration_in_timezone(length, timezone=name),
        since=literal(at).dt.subtract_date_time_in_timezone(EPOCH, name),
    ) == {
        "utc": instant,
        "later": (instant + length).astimezone(zone).replace(tzinfo=None),
        "earlier": (instant - length).astimezone(zone).replace(tzinfo=None),
        "since": instant - EPOCH.replace(tzinfo=zone).astimezone(UTC),
        "naive": at.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None),
    }


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda at: at.dt.strftime("%Q"), 'the format "%Q" cannot write a pw.DateTimeNaive: %Q is none of the words'),
        (lambda at: at.dt.strftime("%"), 'the format "%" cannot write'),
        (lambda at: at.dt.strftime("%z"), 'the format "%z" cannot write a pw.DateTimeNaive'),
        (lambda at: at.dt.strftime(at), "fmt: expected a str"),
        (lambda at: pw.this.user.dt.strptime("%H:%M"), 'the format "%H:%M" cannot read a pw.DateTimeNaive'),
        (lambda at: pw.this.user.dt.strptime("%F %c"), "%c is none of the words"),
        (lambda at: pw.this.user.dt.strptime("%F", contains_timezone=True), 'the format "%F" has no offset from UTC'),
        (lambda at: pw.this.user.dt.strptime("%F %z", contains_timezone=False), "has an offset from UTC"),
        (lambda at: at.dt.to_utc("Europe/Bonn"), 'there is no time zone "Europe/Bonn"'),
        (lambda at: at.dt.to_naive_in_timezone("UTC"), "dt.to_naive_in_timezone needs pw.DateTimeUtc"),
    ],
)
def test_formats_and_zones_are_checked_before_anything_runs(make: Any, message: str) -> None:
    with pytest.raises(pw.InvalidError) as caught:
        times().select(x=make(pw.this.at))
    assert message in caught.value.message
    assert caught.value.origin is not None and "test_times.py:" in caught.value.origin


def test_a_text_that_does_not_fit_a_format_is_an_error_value() -> None:
    read = pw.this.user.dt.strptime("%F")
    assert rows(times().select(x=pw.fill_error(read, None))) == [(None,)] * 4
    with pytest.raises(
        pw.InputError, match=r'the text is not DateTimeNaive in user\.dt\.strptime\("%F"\), where user = "ann"'
    ):
        rows(times().select(x=read))


def read_text(directory: Path, kind: str, value: str, ty: object) -> pw.Table:
    """The table of one value, as it stands in a file of CSV or JSON lines."""
    texts = {"csv": f"user,at\nann,{value}\n", "jsonl": f'{{"user": "ann", "at": {value}}}\n'}
    (directory / f"in.{kind}").write_text(texts[kind], encoding="utf-8")
    reads: dict[str, Callable[..., pw.Table]] = {"csv": pw.io.csv.read, "jsonl": pw.io.jsonlines.read}
    schema = pw.schema_from_types(user=str, at=ty)
    return reads[kind](directory / f"in.{kind}", schema=schema, mode="static")


OTHER_SPELLINGS: list[tuple[str, str, object, str]] = [
    ("jsonl", "1700000000123", pw.DateTimeNaive, "2023-11-14 22:13:20.123000"),
    ("jsonl", "1700000000", pw.DateTimeUtc, "2023-11-14 22:13:20+00:00"),
    ("jsonl", "1700000000.5", pw.DateTimeUtc, "2023-11-14 22:13:20.500000+00:00"),
    ("jsonl", "1.7e9", pw.DateTimeNaive, "2023-11-14 22:13:20"),
    ("jsonl", "1700000000123456", pw.DateTimeNaive | None, "2023-11-14 22:13:20.123456"),
    ("jsonl", "1700000000123456000", pw.DateTimeNaive, "2023-11-14 22:13:20.123456"),
    ("csv", "-1700000000123", pw.DateTimeUtc | None, "1916-02-18 01:46:39.877000+00:00"),
    ("csv", "0", pw.DateTimeNaive, "1970-01-01 00:00:00"),
    ("csv", "90", pw.Duration, "0:01:30"),
    ("jsonl", "90", pw.Duration | None, "0:01:30"),
    ("csv", "01:30:00", pw.Duration, "1:30:00"),
    ("csv", "1:30", pw.Duration | None, "1:30:00"),
    ("csv", "23:59:59.25", pw.Duration, "23:59:59.250000"),
    ("jsonl", '"01:30:00"', pw.Duration, "1:30:00"),
]


@pytest.mark.parametrize(("kind", "value", "ty", "shown"), OTHER_SPELLINGS)
def test_the_hint_for_another_spelling_of_a_time_can_be_followed(
    kind: str, value: str, ty: object, shown: str, tmp_path: Path
) -> None:
    """Broke once: epoch milliseconds, as pandas writes them, and clock times were refused without a way on."""
    with pytest.raises(pw.InputError) as caught:
        rows(read_text(tmp_path, kind, value, ty))
    hint = re.fullmatch(r"declare the column as (.*), and take (.*?)( if it counts seconds)?", caught.value.hint or "")
    assert hint, caught.value.hint
    names = {"pw": pw, "datetime": datetime, "int": int, "float": float, "str": str}
    table = read_text(tmp_path, kind, value, eval(hint[1], names))
    assert [str(at) for (at,) in rows(table.select(at=eval(hint[2], names)))] == [shown]


@pytest.mark.parametrize(
    ("kind", "value", "ty"),
    [
        ("csv", "20240101", pw.DateTimeNaive),
        ("csv", "25:00:00", pw.Duration),
        ("csv", "soon", pw.Duration),
        ("csv", "1:2:3:4", pw.Duration),
        ("csv", "1.5", pw.Duration),
        ("jsonl", "true", pw.DateTimeUtc),
        ("jsonl", '"1700000000"', pw.DateTimeUtc),
        ("csv", "1e999", pw.DateTimeUtc),
    ],
)
def test_a_hint_does_not_guess(kind: str, value: str, ty: object, tmp_path: Path) -> None:
    with pytest.raises(pw.InputError) as caught:
        rows(read_text(tmp_path, kind, value, ty))
    assert caught.value.hint is not None and caught.value.hint.startswith("one reads"), caught.value.hint
