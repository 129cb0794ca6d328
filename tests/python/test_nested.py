"""Bytes, JSON, tuples and lists: in schemas, files, feeds, expressions and saved state."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import millpond as pw


class Row(pw.Schema):
    name: str
    data: bytes | None
    event: pw.Json
    pair: tuple[int, str | None]
    marks: list[float] | None


ROWS: list[dict[str, Any]] = [
    {
        "name": "a",
        "data": b"\x00\xff",
        "event": pw.Json({"b": 1, "a": [None, 1.5, 'x,"y']}),
        "pair": (1, 'q"\n'),
        "marks": (1.0, float("inf"), -0.5),
    },
    {"name": "b", "data": None, "event": pw.Json(None), "pair": (-5, None), "marks": None},
    {"name": "c", "data": b"", "event": pw.Json([2**70, 1e300]), "pair": (2**62, ""), "marks": ()},
]


class Subject(pw.io.python.ConnectorSubject):
    def run(self) -> None:
        for row in ROWS:
            self.next(**row)


def collect(table: pw.Table) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    pw.io.subscribe(table, on_change=lambda key, row, time, is_addition: rows.append(row))
    pw.run()
    return sorted(rows, key=lambda row: str(row.get("name")))


@pytest.mark.parametrize("form", ["csv", "jsonlines"])
def test_values_come_back_from_files_as_they_were(tmp_path: Path, form: str) -> None:
    io = getattr(pw.io, form)
    file = tmp_path / f"rows.{form}"
    written = pw.io.python.read(Subject(), schema=Row)
    io.write(written, file)
    assert collect(written) == ROWS
    pw.clear()
    assert collect(io.read(file, schema=Row, mode="static")) == ROWS


def test_files_spell_values_as_documented(tmp_path: Path) -> None:
    table = pw.io.python.read(Subject(), schema=Row)
    pw.io.csv.write(table, tmp_path / "out.csv")
    pw.io.jsonlines.write(table, tmp_path / "out.jsonl")
    pw.run()
    first = (tmp_path / "out.csv").read_text().split("\n", 2)[1]
    expected = r'"a","AP8=","{""a"":[null,1.5,""x,\""y""],""b"":1}","[1,""q\""\n""]","[1.0,""Infinity"",-0.5]",'
    assert first.startswith(expected)
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert rows[0]["data"] == "AP8=" and rows[0]["event"] == {"a": [None, 1.5, 'x,"y'], "b": 1}
    assert rows[1]["pair"] == [-5, None] and rows[2]["marks"] == []


def test_a_value_of_another_type_is_named_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text('name,pair\na,"[1, ""x""]"\nb,"[""x"", 1]"\n')
    schema = pw.schema_from_types(name=str, pair=tuple[int, str])
    pw.io.csv.write(pw.io.csv.read(tmp_path / "bad.csv", schema=schema, mode="static"), tmp_path / "out.csv")
    with pytest.raises(pw.InputError, match=r'bad.csv:3: pair: "\[.*x.*, 1\]" is not a tuple\[int, str\]'):
        pw.run()
    pw.clear()
    (tmp_path / "bad.jsonl").write_text('{"data": "AP8="}\n{"data": "?"}\n')
    bad = pw.io.jsonlines.read(tmp_path / "bad.jsonl", schema=pw.schema_from_types(data=bytes), mode="static")
    pw.io.csv.write(bad, tmp_path / "out2.csv")
    with pytest.raises(pw.InputError, match=r'bad.jsonl:2: data: "\?" is not bytes in base64'):
        pw.run()


def test_groups_by_tuples_go_on_from_saved_state(tmp_path: Path) -> None:
    class Visit(pw.Schema):
        user: str
        page: int
        tags: list[str]

    def run() -> None:
        pw.clear()
        visits = pw.io.jsonlines.read(tmp_path / "in", schema=Visit, mode="static", name="visits")
        pairs = visits.select(
            key=pw.make_tuple(pw.this.user, pw.this.tags), last=pw.make_tuple(pw.this.page, pw.this.tags)
        )
        groups = pairs.groupby(pw.this.key).reduce(
            pw.this.key, last=pw.reducers.max(pw.this.last), visits=pw.reducers.count()
        )
        pw.io.jsonlines.write(groups, tmp_path / "out.jsonl")
        pw.run(persistence_config=pw.persistence.Config(pw.persistence.Backend.filesystem(tmp_path / "state")))

    (tmp_path / "in").mkdir()
    line = '{"user": "ann", "page": %d, "tags": ["x", "y"]}\n'
    (tmp_path / "in" / "1.jsonl").write_text(line % 3 + line % -1 + '{"user":"bob","page":1,"tags":[]}\n')
    run()
    (tmp_path / "in" / "2.jsonl").write_text(line % 7)
    run()
    changes = [json.loads(text) for text in (tmp_path / "out.jsonl").read_text().splitlines()]
    table: dict[str, int] = {}
    for change in changes:
        row = json.dumps([change["key"], change["last"], change["visits"]])
        table[row] = table.get(row, 0) + change["diff"]
    # Each run writes its own changes.
    assert table == {'[["ann", ["x", "y"]], [3, ["x", "y"]], 2]': -1, '[["ann", ["x", "y"]], [7, ["x", "y"]], 3]': 1}


def test_elements_and_json_in_expressions() -> None:
    table = pw.io.python.read(Subject(), schema=Row)
    result = table.select(
        pw.this.name,
        number=pw.this.pair[0],
        text=pw.this.pair[-1],
        second=pw.this.marks.get(1),
        b=pw.this.event.get("b").as_int(default=-1),
        inner=pw.this.event.get("a").get(2).as_str(),
        same=pw.this.event == pw.Json({"a": [None, 1.5, 'x,"y'], "b": 1}),
        empty=pw.this.data == b"",
        shown=pw.this.pair.to_string(),
        back=pw.cast(tuple[int, str | None], pw.this.pair.to_string()) == pw.this.pair,
    )
    first, second, third = collect(result)
    assert (first["number"], first["text"], first["second"], first["b"]) == (1, 'q"\n', float("inf"), 1)
    assert (first["inner"], first["same"], first["empty"]) == ('x,"y', True, False)
    assert (second["text"], second["second"], second["b"], second["empty"]) == (None, None, -1, False)
    assert (third["shown"], third["second"]) == ('[4611686018427387904,""]', None)
    assert (third["empty"], third["back"]) == (True, True)


def test_a_missing_element_stops_the_run_and_is_named() -> None:
    table = pw.io.python.read(Subject(), schema=Row)
    pw.io.subscribe(table.select(b=pw.this.event["b"]), on_change=lambda key, row, time, is_addition: None)
    with pytest.raises(pw.InputError, match=r"no such element in event.*, where event = pw.Json.parse\('null'\)"):
        pw.run()


def test_types_are_checked_when_the_plan_is_made() -> None:
    table = pw.io.python.read(Subject(), schema=Row)
    with pytest.raises(pw.InvalidError, match='column "name" is str, which has no elements'):
        table.select(x=pw.this.name[0])
    with pytest.raises(pw.InvalidError, match="an expression cannot be walked through"):
        list(table.pair)
    with pytest.raises(pw.InvalidError, match="has the type dict"):
        pw.schema_from_types(x=dict[str, int])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"pair": (1,)}, r"pair: \(1,\) \(tuple\) is not a tuple\[int, str \| None\]"),
        ({"pair": ("x", None)}, r'pair: "x" \(str\) is not an int'),
        ({"event": {1, 2}}, "event: .* is not JSON"),
        ({"marks": [None]}, "marks: None is in it, which is not optional"),
        ({"data": "not base64!"}, r"data: .* \(str\) is not a bytes"),
    ],
)
def test_values_that_do_not_fit_are_refused(value: dict[str, Any], message: str) -> None:
    class Bad(pw.io.python.ConnectorSubject):
        def run(self) -> None:
            self.next(**{**ROWS[0], **value})

    with pytest.raises(pw.InputError, match=message):
        collect(pw.io.python.read(Bad(), schema=Row))


def test_next_bytes_and_next_json() -> None:
    class Bytes(pw.io.python.ConnectorSubject):
        def run(self) -> None:
            self.next_bytes(b"\xff\x00")

    assert collect(pw.io.python.read(Bytes(), schema=pw.schema_from_types(data=bytes))) == [{"data": b"\xff\x00"}]
    pw.clear()

    class Lines(pw.io.python.ConnectorSubject):
        def run(self) -> None:
            self.next_json({"name": "a", "data": "AP8=", "event": [1], "pair": [1, None], "marks": [1]})

    (row,) = collect(pw.io.python.read(Lines(), schema=Row))
    assert row == {"name": "a", "data": b"\x00\xff", "event": pw.Json([1]), "pair": (1, None), "marks": (1.0,)}


def test_next_json_takes_floats_as_json_lines_spell_them() -> None:
    class Lines(pw.io.python.ConnectorSubject):
        def run(self) -> None:
            self.next_json('{"x": "Infinity", "s": "NaN"}')
            self.next_json({"x": "-Infinity", "s": "Infinity"})

    rows = collect(pw.io.python.read(Lines(), schema=pw.schema_from_types(x=float, s=str)))
    assert sorted(rows, key=repr) == [
        {"x": float("-inf"), "s": "Infinity"},
        {"x": float("inf"), "s": "NaN"},
    ]


def test_json_that_is_too_deep_is_named_as_such() -> None:
    deep: list[Any] = []
    for _ in range(900):
        deep = [deep]

    class Deep(pw.io.python.ConnectorSubject):
        def run(self) -> None:
            self.next(j=deep)

    with pytest.raises(pw.InputError, match=r"j: .* is nested more than 128 deep"):
        collect(pw.io.python.read(Deep(), schema=pw.schema_from_types(j=pw.Json)))
    pw.clear()

    class Deeper(pw.io.python.ConnectorSubject):
        def run(self) -> None:
            self.next_json("[" * 100_000 + "]" * 100_000)

    with pytest.raises(pw.InputError, match="is nested too deep"):
        collect(pw.io.python.read(Deeper(), schema=pw.schema_from_types(j=pw.Json)))
    with pytest.raises(pw.InvalidError, match="nested more than 128 deep"):
        pw.debug.table_from_markdown("a\n1").select(j=pw.Json(deep))


def test_a_row_is_there_for_each_element() -> None:
    table = pw.io.python.read(Subject(), schema=Row)
    marks = table.flatten(table.marks)
    assert repr(marks).endswith("event: pw.Json, pair: tuple[int, str | None], marks: float>")
    assert [row["marks"] for row in collect(marks)] == [1.0, float("inf"), -0.5]


def test_each_kind_of_elements_is_taken_apart() -> None:
    table = pw.debug.table_from_markdown(
        """
        name | event           | __time__ | __diff__
        née  | [null,{"b":[1]}] | 2        | 1
        b    | []              | 2        | 1
        c    |                 | 2        | 1
        née  | [null,{"b":[1]}] | 4        | -1
        """,
        schema=pw.schema_from_types(name=str, event=pw.Json | None),
    )

    def changes(table: pw.Table) -> list[tuple[tuple[Any, ...], int, int]]:
        return sorted(table._native.collect(), key=repr)

    events = [((pw.Json(None),), 2, 1), ((pw.Json({"b": [1]}),), 2, 1)]
    removed = [(row, 4, -1) for row, _, _ in events]
    assert changes(table.flatten("event").select(pw.this.event)) == sorted([*events, *removed], key=repr)
    letters = table.filter(pw.this.name != "b").flatten(pw.this.name).groupby(pw.this.name).reduce(pw.this.name)
    assert changes(letters) == sorted(
        [((letter,), 2, 1) for letter in "néec"] + [((letter,), 4, -1) for letter in "né"] + [(("e",), 4, -1)], key=repr
    )
    pairs = table.select(pair=pw.make_tuple(pw.this.name, pw.cast(str, pw.this.event)))
    assert repr(pairs.flatten(pw.this.pair)) == "<millpond.Table pair: str | None>"
    both = [(((value,), 2, 1)) for value in ("née", '[null,{"b":[1]}]', "b", "[]", "c", None)]
    assert [change for change in changes(pairs.flatten("pair")) if change[1] == 2] == sorted(both, key=repr)


def test_json_that_is_no_array_has_no_elements() -> None:
    table = pw.debug.table_from_markdown(
        """
        name | event
        a    | {"b":1}
        """,
        schema=pw.schema_from_types(name=str, event=pw.Json),
    )
    with pytest.raises(pw.InputError) as caught:
        table.flatten(pw.this.event)._native.collect()
    assert caught.value.message == (
        'column "event": the json is no array in flatten(event), where event = pw.Json.parse(\'{"b":1}\')'
    )
    assert caught.value.origin is not None and "test_nested.py:" in caught.value.origin
    lists = table.select(event=pw.fill_error(pw.cast(list[pw.Json], pw.this.event), pw.cast(list[pw.Json], "[7]")))
    assert lists.flatten(pw.this.event)._native.collect() == [((pw.Json(7),), 2, 1)]


def test_elements_of_several_types_are_not_one_column() -> None:
    table = pw.io.python.read(Subject(), schema=Row)
    with pytest.raises(
        pw.InvalidError, match=r'"pair" is tuple\[int, str \| None\], whose elements are not of one type'
    ):
        table.flatten(table.pair)


SPELLINGS = {
    "100": "100",
    "100.0": "100.0",
    "1e2": "100.0",
    "[100]": "[100]",
    "[100.0]": "[100.0]",
    '{"a":100}': '{"a":100}',
    '{"a":1E2}': '{"a":100.0}',
    '"100"': '"100"',
    "1e400": "1e400",
    "[1e400,-1e400]": "[1e400,-1e400]",
    "9007199254740993.0": "9.007199254740993e15",
    "9007199254740993": "9007199254740993",
    "123456789012345678901": "123456789012345678901",
    "1E-400": "1e-400",
    "0.0": "0.0",
    "-0": "0",
    "true": "true",
    "null": "null",
}
"""Values of JSON, and the one text that tells each from all others."""


def test_json_values_are_told_apart_in_every_sink(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Row(pw.Schema):
        n: int
        j: pw.Json

    lines = [f'{{"n": {n}, "j": {text}}}' for n, text in enumerate(SPELLINGS)]
    (tmp_path / "in.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    expected = list(SPELLINGS.values())

    def read_back(file: str) -> pw.Table:
        reads: dict[str, Callable[..., pw.Table]] = {"csv": pw.io.csv.read, "jsonl": pw.io.jsonlines.read}
        return reads[file.rpartition(".")[2]](tmp_path / file, schema=Row, mode="static")

    table = pw.io.jsonlines.read(tmp_path / "in.jsonl", schema=Row, mode="static")
    for number in (1, 2):
        seen: dict[int, str] = {}
        pw.io.csv.write(table, tmp_path / f"out{number}.csv", mode="snapshot")
        pw.io.jsonlines.write(table, tmp_path / f"out{number}.jsonl", mode="snapshot")
        pw.io.jsonlines.write(
            table.select(pw.this.n, pair=pw.make_tuple(pw.this.j, pw.this.j), text=pw.cast(str, pw.this.j)),
            tmp_path / f"pair{number}.jsonl",
            mode="snapshot",
        )

        def see(key: int, row: dict[str, Any], time: int, is_addition: bool, seen: dict[int, str] = seen) -> None:
            seen[row["n"]] = str(row["j"])

        pw.io.subscribe(table, see)
        pw.run(monitoring_level=pw.MonitoringLevel.NONE)
        pw.clear()
        assert [seen[n] for n in range(len(expected))] == expected
        written = (tmp_path / f"out{number}.jsonl").read_text(encoding="utf-8")
        assert sorted(written.splitlines()) == sorted(f'{{"n":{n},"j":{text}}}' for n, text in enumerate(expected))
        csv = (tmp_path / f"out{number}.csv").read_text(encoding="utf-8").splitlines()[1:]
        quoted = [text.replace('"', '""') for text in expected]
        assert sorted(csv) == sorted(f'{n},"{text}"' for n, text in enumerate(quoted))
        pairs = (tmp_path / f"pair{number}.jsonl").read_text(encoding="utf-8").splitlines()
        texts = [text.replace('"', '\\"') for text in expected]
        assert sorted(pairs) == sorted(
            f'{{"n":{n},"pair":[{text},{text}],"text":"{escaped}"}}'
            for n, (text, escaped) in enumerate(zip(expected, texts, strict=True))
        )
        # What was written is read as the same values.
        table = read_back(f"out{number}.{'csv' if number == 1 else 'jsonl'}")
    pw.debug.compute_and_print(table.select(pw.this.j))
    assert sorted(capsys.readouterr().out.splitlines()[1:]) == sorted(expected)
    groups = table.groupby(table.j).reduce(table.j, n=pw.reducers.count())
    assert len(list(groups._native.collect())) == len(set(expected)) == len(expected) - 1


def test_json_null_is_none_where_a_value_may_be_missing(tmp_path: Path) -> None:
    """Broke once: a missing element and one that is null were two groups, which JSON lines wrote alike."""
    (tmp_path / "in.jsonl").write_text(
        '{"n":1,"j":{"a":null}}\n{"n":2,"j":{}}\n{"n":null,"j":{"a":1}}\n{"n":3,"j":null}\n'
    )
    required = pw.io.jsonlines.read(
        tmp_path / "in.jsonl", schema=pw.schema_from_types(n=int | None, j=pw.Json), mode="static"
    )
    inner, flag = pw.this.j.get("a", None), pw.this.n == 2
    null = pw.Json(None)
    for made, expected in (
        (inner, [None, None, pw.Json(1), None]),
        (pw.if_else(flag, None, pw.this.j), [pw.Json({"a": None}), None, pw.Json({"a": 1}), None]),
        (pw.if_else(flag, inner, null), [None] * 4),
        (pw.coalesce(inner, null), [null, null, pw.Json(1), null]),
        (pw.coalesce(inner, inner), [None, None, pw.Json(1), None]),
        (pw.fill_error(pw.this.j["a"], None), [None, None, pw.Json(1), None]),
        (pw.make_tuple(pw.if_else(flag, None, pw.this.j))[0], [pw.Json({"a": None}), None, pw.Json({"a": 1}), None]),
        (pw.make_tuple(pw.this.j).get(0), [pw.Json({"a": None}), pw.Json({}), pw.Json({"a": 1}), null]),
        (inner.is_none(), [True, True, False, True]),
        (pw.this.j.get("a", null) == null, [True, True, False, True]),
    ):
        if made is inner:
            groups = required.select(x=made).groupby(pw.this.x).reduce(pw.this.x, n=pw.reducers.count())
            assert sorted((row for row, _, _ in groups._native.collect()), key=repr) == [(None, 3), (pw.Json(1), 1)]
        rows = {row for row, _, _ in required.select(pw.this.n, pw.this.j, x=made)._native.collect()}
        assert {(n, j): x for n, j, x in rows} == dict(
            zip(
                [(1, pw.Json({"a": None})), (2, pw.Json({})), (None, pw.Json({"a": 1})), (3, null)],
                expected,
                strict=True,
            )
        ), made
    last = required.reduce(least=pw.reducers.argmin(pw.if_else(flag, None, pw.this.n), pw.if_else(flag, null, null)))
    assert [row for row, _, _ in last._native.collect()] == [(None,)]

    # Every way into a column that holds nulls.
    (tmp_path / "in.csv").write_text('j,l\n,[null]\nnull,[null]\n"null","[ null ]"\n1,[]\n')
    schema = pw.schema_from_types(j=pw.Json | None, l=list[pw.Json | None])
    (tmp_path / "opt.jsonl").write_text(
        '{"j":null,"l":[null]}\n{"l":[null]}\n{"j": null ,"l":[ null]}\n{"j":1,"l":[]}\n'
    )

    class Rows(pw.io.python.ConnectorSubject):
        def run(self) -> None:
            for value in (None, null, null):
                self.next(j=value, l=[value])
            self.next(j=pw.Json(1), l=[])

    expected_rows = [((None, (None,)), 3), ((pw.Json(1), ()), 1)]
    for table in (
        pw.io.csv.read(tmp_path / "in.csv", schema=schema, mode="static"),
        pw.io.jsonlines.read(tmp_path / "opt.jsonl", schema=schema, mode="static"),
        pw.io.python.read(Rows(), schema=schema),
        pw.debug.table_from_markdown("j | l\n | [null]\nnull | [null]\nnull | [null]\n1 | []", schema=schema),
    ):
        groups = table.groupby(pw.this.j, pw.this.l).reduce(pw.this.j, pw.this.l, n=pw.reducers.count())
        assert sorted(((row[:2], row[2]) for row, _, _ in groups._native.collect()), key=repr) == expected_rows

    # Every way to become one.
    plain = required.filter(pw.this.n.is_not_none()).select(n=pw.unwrap(pw.this.n), j=pw.this.j).with_id_from(pw.this.n)
    other = pw.debug.table_from_markdown(
        "n | j\n3 | \n4 | null", schema=pw.schema_from_types(n=int, j=pw.Json | None)
    ).with_id_from(pw.this.n)
    for both, nones in ((plain.concat(other), 3), (plain.update_rows(other), 2), (other.update_rows(plain), 2)):
        assert sum(diff for row, _, diff in both._native.collect() if row[1] is None) == nones
        assert not [row for row, _, _ in both._native.collect() if row[1] == null]
    cells = [row for row, _, _ in other.update_cells(plain.filter(pw.this.n == 3))._native.collect()]
    assert sorted(cells) == [(3, None), (4, None)]


def test_a_json_value_keeps_its_text_on_its_way_through_python() -> None:
    for text, expected in SPELLINGS.items():
        value = pw.Json.parse(text)
        assert str(value) == expected, text
        assert (value == pw.Json.parse(expected)) and hash(value) == hash(pw.Json.parse(expected))
    assert len({pw.Json.parse(text) for text in SPELLINGS}) == len(set(SPELLINGS.values()))
    with pytest.raises(ValueError, match="Expecting"):
        pw.Json.parse("[")

    class Rows(pw.io.python.ConnectorSubject):
        def run(self) -> None:
            for text in SPELLINGS:
                self.next(j=pw.Json.parse(text))

    seen: list[str] = []
    table = pw.io.python.read(Rows(), schema=pw.schema_from_types(j=pw.Json))
    pw.io.subscribe(table, lambda key, row, time, is_addition: seen.append(str(row["j"])))
    pw.run(monitoring_level=pw.MonitoringLevel.NONE)
    pw.clear()
    assert sorted(seen) == sorted(SPELLINGS.values())


def test_a_number_that_its_type_has_no_place_for_is_named() -> None:
    """Broke once: it was None, as if there were no number."""
    for text, read, reason in (
        ("1e400", pw.this.j.as_float(), "the float is too large in j.as_float(), where j = "),
        ("-1e400", pw.this.j.as_float(), "the float is too large"),
        ("9223372036854775808", pw.this.j.as_int(), "the int is outside 64 bits in j.as_int(), where j = "),
        ("-9223372036854775809", pw.this.j.as_int(), "the int is outside 64 bits"),
    ):
        table = pw.debug.table_from_markdown(f"j\n{text}", schema=pw.schema_from_types(j=pw.Json))
        with pytest.raises(pw.InputError) as caught:
            list(table.select(x=read)._native.collect())
        assert reason in caught.value.message and text in caught.value.message, caught.value
        filled = table.select(x=pw.fill_error(read, -1))._native.collect()
        assert [row for row, _, _ in filled] == [(-1,)]
    table = pw.debug.table_from_markdown("j\n9223372036854775808", schema=pw.schema_from_types(j=pw.Json))
    assert [row for row, _, _ in table.select(x=pw.this.j.as_float())._native.collect()] == [(2.0**63,)]


def test_a_json_value_says_what_it_is_not() -> None:
    for read, message in (
        (lambda: pw.Json(True).as_int(), "true is not an int"),
        (lambda: pw.Json("1").as_int(), '"1" is not an int'),
        (lambda: pw.Json([1]).as_dict(), "[1] is not a dict"),
        (lambda: pw.Json({"a": 1}).as_float(), '{"a":1} is not a float'),
    ):
        with pytest.raises(ValueError) as caught:
            read()
        assert str(caught.value) == message
    with pytest.raises(TypeError, match="there is no set in JSON"):
        pw.Json.dumps({"a": {1}})
