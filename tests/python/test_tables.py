"""Operations on tables, by what they print."""

from __future__ import annotations

import ast

import pytest

import millpond as pw

SHOP = """
    user | item  | cents | count | __time__ | __diff__
    ann  | apple | 30    | 4     | 2        | 1
    ann  | pear  | 45    | 0     | 2        | 1
    bob  | apple |       | 2     | 2        | 1
    ann  | pear  | 45    | 0     | 4        | -1
    bob  | fig   | 10    | 1     | 6        | 1
"""


def shop() -> pw.Table:
    return pw.debug.table_from_markdown(SHOP)


def check(capsys: pytest.CaptureFixture[str], table: pw.Table, expect: str) -> None:
    pw.debug.compute_and_print(table)
    lines = [line.strip() for line in expect.strip().splitlines()]
    assert capsys.readouterr().out.splitlines() == lines


def check_changes(capsys: pytest.CaptureFixture[str], table: pw.Table, expect: str) -> None:
    pw.debug.compute_and_print_update_stream(table)
    lines = [line.strip() for line in expect.strip().splitlines()]
    assert capsys.readouterr().out.splitlines() == lines


def test_a_table_shows_its_columns() -> None:
    assert repr(shop()) == "<millpond.Table user: str, item: str, cents: int | None, count: int>"
    assert "cents" in dir(shop())
    assert hasattr(shop(), "cents") and not hasattr(shop(), "price")


def test_select_keeps_names_and_computes(capsys: pytest.CaptureFixture[str]) -> None:
    table = shop()
    check(
        capsys,
        table.select(pw.this.item, table["user"], twice=2 * table.cents, known=table.cents.is_not_none()),
        """
        item  | user | twice | known
        apple | ann  | 60    | True
        apple | bob  |       | False
        fig   | bob  | 20    | True
        """,
    )


def test_with_columns_adds_and_replaces(capsys: pytest.CaptureFixture[str]) -> None:
    check(
        capsys,
        shop().with_columns(cents=pw.coalesce(pw.this.cents, 0), total=pw.this.cents * pw.this.count),
        """
        user | item  | cents | count | total
        ann  | apple | 30    | 4     | 120
        bob  | apple | 0     | 2     |
        bob  | fig   | 10    | 1     | 10
        """,
    )


def test_filter_drops_rows_where_the_condition_is_null(capsys: pytest.CaptureFixture[str]) -> None:
    table = shop()
    check(
        capsys,
        table.filter(table.cents > 10).select(table.item, pw.this.cents),
        """
        item  | cents
        apple | 30
        """,
    )


def test_a_filtered_table_takes_columns_of_the_whole_one(capsys: pytest.CaptureFixture[str]) -> None:
    table = shop()
    check(
        capsys,
        table.filter(table.user == "bob").filter(table["count"] > 1).select(table.item, n=table["count"]),
        """
        item  | n
        apple | 2
        """,
    )


def test_groups_follow_removals(capsys: pytest.CaptureFixture[str]) -> None:
    check_changes(
        capsys,
        shop()
        .groupby(pw.this.user)
        .reduce(pw.this.user, rows=pw.reducers.count(), mean=pw.reducers.avg(pw.this.cents) / 10),
        """
        user | rows | mean | __time__ | __diff__
        ann  | 2    | 3.75 | 2        | 1
        bob  | 1    |      | 2        | 1
        ann  | 2    | 3.75 | 4        | -1
        ann  | 1    | 3.0  | 4        | 1
        bob  | 1    |      | 6        | -1
        bob  | 2    | 1.0  | 6        | 1
        """,
    )


def test_sessions_split_when_their_bridge_is_removed(capsys: pytest.CaptureFixture[str]) -> None:
    table = pw.debug.table_from_markdown("""
        who | at | __time__ | __diff__
        ann | 0  | 2        | 1
        ann | 8  | 2        | 1
        ann | 16 | 2        | 1
        ann | 8  | 4        | -1
    """)
    check_changes(
        capsys,
        table.windowby(table.at, window=pw.temporal.session(max_gap=10), instance=table.who).reduce(
            who=pw.this._pw_instance,
            start=pw.this._pw_window_start,
            end=pw.this._pw_window_end,
            n=pw.reducers.count(),
        ),
        """
        who | start | end | n | __time__ | __diff__
        ann | 0     | 16  | 3 | 2        | 1
        ann | 0     | 16  | 3 | 4        | -1
        ann | 0     | 0   | 1 | 4        | 1
        ann | 16    | 16  | 1 | 4        | 1
        """,
    )


def test_windows_need_no_instance(capsys: pytest.CaptureFixture[str]) -> None:
    table = pw.debug.table_from_markdown("""
        at
        5
        1
        90
    """)
    check(
        capsys,
        table.windowby(pw.this.at, window=pw.temporal.session(max_gap=4)).reduce(n=pw.reducers.count()),
        """
        n
        1
        2
        """,
    )


def test_a_table_prints_each_row_as_often_as_it_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    table = pw.debug.table_from_markdown("""
        a
        1
        1
    """)
    check(capsys, table, "a\n1\n1")
    pw.debug.compute_and_print(table, n_rows=1)
    assert capsys.readouterr().out == "a\n1\n"


CASES = {
    "7 / 2": "3.5",
    "-7 // 2": "-4",
    "-7 % 3": "2",
    "2 ** 10": "1024",
    "1 + 0.5": "1.5",
    "'a' + 'b'": "ab",
    "(7 > 2) & (1 == 1.0)": "True",
    "(7 > 2) ^ (1 != 2)": "False",
}


class Constants(ast.NodeTransformer):
    """Makes an expression of the engine of each constant in a Python expression."""

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.Call(ast.Name("constant", ast.Load()), [node], [])


@pytest.mark.parametrize("text", CASES)
def test_an_expression_means_what_python_says(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    def constant(value: int | float | str) -> pw.ColumnExpression:
        return pw.if_else(pw.this.one == 1, value, value)

    table = pw.debug.table_from_markdown("one\n1")
    tree = ast.fix_missing_locations(Constants().visit(ast.parse(text, mode="eval")))
    value = eval(compile(tree, "<case>", "eval"), {"constant": constant})
    pw.debug.compute_and_print(table.select(value=value))
    assert capsys.readouterr().out == f"value\n{CASES[text]}\n"
    assert str(eval(text)) == CASES[text]
