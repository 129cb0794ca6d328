"""Tables, and what can be made of them."""

from __future__ import annotations

from collections.abc import Mapping

from millpond import _native
from millpond._check import invalid, renamed, show
from millpond._expression import ColumnExpression, ColumnReference, This, no_item, to_expression
from millpond._join import JoinMode, join_mode
from millpond._names import column_code, nearest, no_attribute
from millpond._origin import here
from millpond._schema import describe, native_type, primary_key, schema_of
from millpond.temporal import SessionWindow, check_behavior, check_window, native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Literal, NoReturn

    from millpond._errors import InvalidError
    from millpond._expression import Operand
    from millpond._schema import Schema
    from millpond.temporal import Behavior, Window

    Output = tuple[str, _native.Expr]


class Table:
    """Rows of named, typed columns, kept up to date by each run.

    A table is a plan: nothing is read before ``pw.run()``. Its columns are attributes (``table.user_id``) or items
    (``table["user_id"]``). Tables are made by ``pw.io.csv.read`` and by the methods below.

    Examples:
        >>> import millpond as pw
        >>> visits = pw.debug.table_from_markdown('''
        ...     user  | time
        ...     alice | 100
        ...     alice | 130
        ...     bob   | 110
        ...     alice | 900
        ... ''')
        >>> visits
        <millpond.Table user: str, time: int>
        >>> pw.debug.compute_and_print(visits.filter(visits.user == "alice"))
        user  | time
        alice | 100
        alice | 130
        alice | 900
    """

    __slots__ = ("_native",)

    def __init__(self, native: _native.Table) -> None:
        self._native = native

    @property
    def schema(self) -> type[Schema]:
        """The names and types of the columns."""
        return schema_of(self._native.schema())

    def column_names(self) -> list[str]:
        """The names of the columns, in order."""
        return [name for name, _, _ in self._native.schema()]

    def explain(self) -> str:
        """What a program that writes this table does, as text for people.

        Each step has a number, what it reads, its key, the name of its state, and whether its rows are only added, or
        why not. The text may change with the version; `pw.explain` prints it.

        Examples:
            >>> import millpond as pw
            >>> visits = pw.debug.table_from_markdown('''
            ...     user  | pages
            ...     alice | 3
            ... ''')
            >>> many = visits.filter(pw.this.pages > 1)
            >>> totals = many.groupby(pw.this.user).reduce(pw.this.user, n=pw.reducers.count())
            >>> print(totals.explain())
            1. source: table, made at ..., saved as "table-0"
               columns: user: str, pages: int
               append-only
            2. map of 1
               keeps rows where pages > 1
               columns: user
               append-only
            3. reduce of 2, saved as "table-0/reduce-0"
               key: user
               computes: pw.reducers.count()
               state: what the results need, since no row is ever removed
               not append-only: the row of a group that changes is replaced
            <BLANKLINE>
        """
        return self._native.explain(here())

    def select(self, *columns: ColumnReference, **named: Operand) -> Table:
        """A table of these columns alone.

        Args:
            *columns: Columns that keep their names.
            **named: Columns computed by an expression, by name.

        Examples:
            >>> import millpond as pw
            >>> table = pw.debug.table_from_markdown('''
            ...     name  | born
            ...     alice | 1985
            ... ''')
            >>> pw.debug.compute_and_print(table.select(pw.this.name, age=2025 - pw.this.born))
            name  | age
            alice | 40
        """
        outputs = outputs_of("select", columns, named)
        return Table(self._native.select(outputs, here()))

    def with_columns(self, *columns: ColumnReference, **named: Operand) -> Table:
        """This table with more columns; one that has the name of an existing column takes its place.

        Examples:
            >>> import millpond as pw
            >>> table = pw.debug.table_from_markdown('''
            ...     name  | born
            ...     alice | 1985
            ... ''')
            >>> table.with_columns(age=2025 - table.born)
            <millpond.Table name: str, born: int, age: int>
        """
        outputs = outputs_of("with_columns", columns, named)
        return Table(self._native.with_columns(outputs, here()))

    def filter(self, condition: ColumnExpression) -> Table:
        """The rows for which ``condition`` holds; those for which it is null are left out.

        Examples:
            >>> import millpond as pw
            >>> table = pw.debug.table_from_markdown('''
            ...     name  | born
            ...     alice | 1985
            ...     bob   | 2001
            ... ''')
            >>> pw.debug.compute_and_print(table.filter((table.born >= 2000) & (table.name != "carol")))
            name | born
            bob  | 2001
        """
        if not isinstance(condition, ColumnExpression):
            code = f"pw.this.{condition}"
            hint = code if isinstance(condition, str) and _is_code(code) else "such as pw.this.x > 1"
            raise invalid(f"filter: expected an expression, got {show(condition)}", hint=hint)
        return Table(self._native.filter(condition._native, here()))

    def remove_errors(self) -> Table:
        """The rows none of whose cells is an error value, such as that of a division by zero.

        Examples:
            >>> import millpond as pw
            >>> table = pw.debug.table_from_markdown('''
            ...     pages | visits
            ...     12    | 4
            ...     3     | 0
            ... ''')
            >>> shares = table.select(table.pages, a_visit=table.pages / table.visits)
            >>> pw.debug.compute_and_print(shares.remove_errors())
            pages | a_visit
            12    | 3.0
        """
        return Table(self._native.remove_errors(here()))

    def without(self, *columns: str | ColumnReference) -> Table:
        """This table without some columns.

        Args:
            *columns: The columns to leave out, or their names.

        Examples:
            >>> import millpond as pw
            >>> table = pw.debug.table_from_markdown('''
            ...     name  | born | city
            ...     alice | 1985 | Rome
            ... ''')
            >>> table.without(table.born, "city")
            <millpond.Table name: str>
        """
        names = [self._name("without", column) for column in columns]
        return Table(self._native.without(names, here()))

    def rename_columns(self, **names: str | ColumnReference) -> Table:
        """This table with other names for some columns: the new name is given the old column.

        Examples:
            >>> import millpond as pw
            >>> table = pw.debug.table_from_markdown('''
            ...     name  | born
            ...     alice | 1985
            ... ''')
            >>> table.rename_columns(user=table.name)
            <millpond.Table user: str, born: int>
        """
        pairs = [(self._name("rename_columns", old), new) for new, old in names.items()]
        return Table(self._native.rename(pairs, here()))

    def rename_by_dict(self, names_mapping: Mapping[str, str] | Mapping[ColumnReference, str]) -> Table:
        """This table with other names for some columns, from a dictionary of old names and new ones.

        Args:
            names_mapping: For each column to rename, or its name, the new name.

        Examples:
            >>> import millpond as pw
            >>> table = pw.debug.table_from_markdown('''
            ...     name  | born
            ...     alice | 1985
            ... ''')
            >>> table.rename_by_dict({"name": "user", "born": "year"})
            <millpond.Table user: str, year: int>
        """
        if not isinstance(names_mapping, Mapping):
            raise invalid(f"rename_by_dict: expected a dictionary of names, got {show(names_mapping)}")
        pairs = []
        for old, new in names_mapping.items():
            if not isinstance(new, str):
                raise invalid(f"rename_by_dict: a new name is a str, not {show(new)}")
            pairs.append((self._name("rename_by_dict", old), new))
        return Table(self._native.rename(pairs, here()))

    def rename(
        self,
        names_mapping: Mapping[str, str] | Mapping[ColumnReference, str] | None = None,
        **names: str | ColumnReference,
    ) -> Table:
        """`rename_by_dict` of a dictionary, or `rename_columns` of names.

        Examples:
            >>> import millpond as pw
            >>> table = pw.debug.table_from_markdown('''
            ...     name  | born
            ...     alice | 1985
            ... ''')
            >>> table.rename({"name": "user"}).rename(year=pw.this.born)
            <millpond.Table user: str, year: int>
        """
        if names_mapping is not None and names:
            new = ", ".join(f"{new}=..." for new in names)
            raise invalid(
                "rename: a dictionary and names are given", hint=f"call it twice: .rename({{...}}).rename({new})"
            )
        return self.rename_columns(**names) if names_mapping is None else self.rename_by_dict(names_mapping)

    def cast_to_types(self, **types: Any) -> Table:
        """This table with some columns converted as `pw.cast` does it; null stays null.

        Examples:
            >>> import millpond as pw
            >>> table = pw.debug.table_from_markdown('''
            ...     name  | born
            ...     alice | 1985
            ... ''')
            >>> table.cast_to_types(born=float)
            <millpond.Table name: str, born: float>
        """
        targets = [(name, native_type(target, f"cast_to_types: {name}")) for name, target in types.items()]
        return Table(self._native.cast_to_types(targets, here()))

    def concat_reindex(self, *tables: Table) -> Table:
        """All rows of this table and of others; a row that is in two of them is in the result twice.

        Args:
            *tables: Tables with the same columns, in any order. A column may hold nulls if it may in one of them.

        Examples:
            >>> import millpond as pw
            >>> web = pw.debug.table_from_markdown('''
            ...     user  | pages
            ...     alice | 3
            ...     bob   | 1
            ... ''')
            >>> phone = pw.debug.table_from_markdown('''
            ...     pages | user
            ...     4     | alice
            ... ''')
            >>> pw.debug.compute_and_print(web.concat_reindex(phone))
            user  | pages
            alice | 3
            alice | 4
            bob   | 1
        """
        others = [check_table(table, "concat_reindex")._native for table in tables]
        return Table(self._native.concat(others, here()))

    def concat(self, *tables: Table) -> Table:
        """The same as `concat_reindex`: rows of the result have no identity, so none can be in conflict.

        Args:
            *tables: Tables with the same columns, in any order.
        """
        others = [check_table(table, "concat")._native for table in tables]
        return Table(self._native.concat(others, here()))

    def flatten(self, to_flatten: str | ColumnReference) -> Table:
        """Each row once for each element of a column, which becomes the element; the other columns stay.

        The column holds lists, tuples whose elements are of one type, JSON arrays or texts, whose elements are their
        characters. A row without elements, as that of a null, is left out. Rows of the result have no identity.

        Args:
            to_flatten: The column, or its name.

        Raises:
            millpond.InvalidError: If there is no such column, or it has no elements, or these are not of one type.
            millpond.InputError: From ``pw.run``, if a JSON value is no array.

        Examples:
            >>> import millpond as pw
            >>> posts = pw.debug.table_from_markdown('''
            ...     title | tags
            ...     first | ["sea","sun"]
            ...     next  | ["sun"]
            ...     last  | []
            ... ''', schema=pw.schema_from_types(title=str, tags=list[str]))
            >>> pw.debug.compute_and_print(posts.flatten(pw.this.tags))
            title | tags
            first | sea
            first | sun
            next  | sun
            >>> pw.debug.compute_and_print(posts.flatten(posts.tags).groupby(pw.this.tags).reduce(
            ...     tag=pw.this.tags, posts=pw.reducers.count()
            ... ))
            tag | posts
            sea | 1
            sun | 2
        """
        return Table(self._native.flatten(self._name("flatten", to_flatten), here()))

    def with_id_from(self, *columns: ColumnExpression) -> Table:
        """The same rows, identified by these values: no two rows of the table have the same.

        `update_rows`, `update_cells`, `difference` and `intersect` bring rows of one identity together. Without this
        method, a row of a ``reduce`` is identified by its group (in a window: by the instance, the window's start and
        its end), and one of a source by its primary key. What works on single rows, such as `select` and `filter`,
        keeps the identity, even where its columns are left out. Rows of `concat` and `flatten` have none.

        Two rows of one identity are found, and are an error, where a table of them is combined with another.

        Args:
            *columns: Columns, or expressions over them.

        Examples:
            >>> import millpond as pw
            >>> prices = pw.debug.table_from_markdown('''
            ...     item  | shop | cents
            ...     apple | a    | 30
            ...     pear  | a    | 40
            ...     pear  | b    | 45
            ... ''')
            >>> sold_out = pw.debug.table_from_markdown('''
            ...     place | thing
            ...     a     | pear
            ... ''')
            >>> prices = prices.with_id_from(pw.this.item, pw.this.shop)
            >>> pw.debug.compute_and_print(prices.difference(sold_out.with_id_from(pw.this.thing, pw.this.place)))
            item  | shop | cents
            apple | a    | 30
            pear  | b    | 45
        """
        for column in columns:
            if not isinstance(column, ColumnExpression):
                raise invalid(f"with_id_from: expected a column such as pw.this.user_id, got {show(column)}")
        return Table(self._native.with_id_from([column._native for column in columns], here()))

    def update_rows(self, other: Table) -> Table:
        """The rows of another table, and those of this one whose identity it has not.

        Args:
            other: A table with the same columns, in any order. In both, rows have an identity, of the same types: see
                `with_id_from`.

        Examples:
            >>> import millpond as pw
            >>> counted = pw.debug.table_from_markdown('''
            ...     user | pages
            ...     ann  | 3
            ...     bob  | 1
            ... ''').with_id_from(pw.this.user)
            >>> corrected = pw.debug.table_from_markdown('''
            ...     user  | pages
            ...     bob   | 2
            ...     carol | 7
            ... ''').with_id_from(pw.this.user)
            >>> pw.debug.compute_and_print(counted.update_rows(corrected))
            user  | pages
            ann   | 3
            bob   | 2
            carol | 7
        """
        return Table(self._native.update_rows(check_table(other, "update_rows")._native, here()))

    def update_cells(self, other: Table) -> Table:
        """The rows of this table, some of whose cells are those of another one; also written ``self << other``.

        In the columns that the other table has, a cell comes from its row of the same identity, if there is one. Its
        rows of other identities count for nothing.

        Args:
            other: A table of some of the columns. In both, rows have an identity, of the same types: see
                `with_id_from`.

        Examples:
            >>> import millpond as pw
            >>> pets = pw.debug.table_from_markdown('''
            ...       | name | age
            ...     1 | Rex  | 4
            ...     2 | Tom  | 9
            ... ''')
            >>> birthdays = pw.debug.table_from_markdown('''
            ...       | age
            ...     2 | 10
            ... ''')
            >>> pw.debug.compute_and_print(pets.update_cells(birthdays))
            name | age
            Rex  | 4
            Tom  | 10
        """
        return Table(self._native.update_cells(check_table(other, "update_cells")._native, here()))

    def __lshift__(self, other: Table) -> Table:
        return self.update_cells(other)

    def difference(self, other: Table) -> Table:
        """The rows of this table whose identity no row of another one has.

        Args:
            other: A table of any columns, where many rows may have one identity. Its types are those of this table's
                identity: see `with_id_from`.

        Examples:
            >>> import millpond as pw
            >>> users = pw.debug.table_from_markdown('''
            ...     user | city
            ...     ann  | Rome
            ...     bob  | Oslo
            ... ''').with_id_from(pw.this.user)
            >>> visits = pw.debug.table_from_markdown('''
            ...     visitor | page
            ...     ann     | home
            ...     ann     | shop
            ... ''')
            >>> pw.debug.compute_and_print(users.difference(visits.with_id_from(visits.visitor)))
            user | city
            bob  | Oslo
        """
        return Table(self._native.difference(check_table(other, "difference")._native, here()))

    def intersect(self, *tables: Table) -> Table:
        """The rows of this table whose identity a row of each other table has.

        Args:
            *tables: Tables of any columns, where many rows may have one identity. Its types are those of this table's
                identity: see `with_id_from`.

        Examples:
            >>> import millpond as pw
            >>> users = pw.debug.table_from_markdown('''
            ...     user | city
            ...     ann  | Rome
            ...     bob  | Oslo
            ... ''').with_id_from(pw.this.user)
            >>> visits = pw.debug.table_from_markdown('''
            ...     visitor | page
            ...     ann     | home
            ...     ann     | shop
            ... ''')
            >>> pw.debug.compute_and_print(users.intersect(visits.with_id_from(visits.visitor)))
            user | city
            ann  | Rome
        """
        others = [check_table(table, "intersect")._native for table in tables]
        return Table(self._native.intersect(others, here()))

    def named(self, name: str) -> Table:
        """The same table, with a name for what is kept for it.

        By this name its state is found, wherever in the program the table is made; reports, the dashboard and
        `Table.explain` show it. Without one, its state is found by what the table is made of.

        Args:
            name: A name that no other table and no source has.

        Raises:
            millpond.InvalidError: If nothing is kept for the table: it is of no ``reduce``, window, join or
                combination by identity.

        Examples:
            >>> import millpond as pw
            >>> visits = pw.debug.table_from_markdown('''
            ...     user  | pages
            ...     alice | 3
            ... ''')
            >>> totals = visits.groupby(pw.this.user).reduce(n=pw.reducers.count()).named("per user")
            >>> print(totals.explain().splitlines()[3])
            2. reduce of 1, saved as "per user"
        """
        if not isinstance(name, str):
            raise invalid(f"named: a name is a str, not {show(name)}")
        return Table(self._native.named(name, here()))

    def copy(self) -> Table:
        """The same rows as a table of its own, so that a table can be joined with itself.

        Examples:
            >>> import millpond as pw
            >>> people = pw.debug.table_from_markdown('''
            ...     name | boss
            ...     ann  | eve
            ...     bob  | ann
            ... ''')
            >>> bosses = people.copy()
            >>> pw.debug.compute_and_print(
            ...     people.join(bosses, people.boss == bosses.name).select(people.name, above=bosses.boss)
            ... )
            name | above
            bob  | eve
        """
        return Table(self._native.copy(here()))

    def join(
        self,
        other: Table,
        *on: ColumnExpression,
        id: ColumnReference | RowId | None = None,
        how: JoinMode | Literal["inner", "left", "right", "outer"] = JoinMode.INNER,
    ) -> JoinResult:
        """Rows of this table and of another one side by side, wherever all conditions hold, for `JoinResult.select`.

        Each table may change at any time; the result follows both. Rows without a match are in the result if ``how``
        says so, with null for the columns of the other table. A key that is null equals one that is null, and
        ``-0.0`` equals ``0.0``. The state is the rows of both tables, of each the columns that the select uses.

        Args:
            other: The right table.
            *on: Conditions, each of which is an equality: of an expression over this table, on the left, and one over
                the other, such as ``pw.left.user == pw.right.name`` or ``visits.user == users.name``. Both are of one
                type.
            id: ``pw.left.id`` or ``pw.right.id`` for rows with the identity of their row on that side, which must never
                be missing and match one row at most: a second match ends the run. Without it nothing identifies the
                rows (see `with_id_from`).
            how: ``"inner"`` for rows that match alone, ``"left"``, ``"right"`` or ``"outer"`` for all rows of this
                table, of the other one, or of both.

        Raises:
            millpond.InvalidError: If a condition is no such equality, or the types of a key differ.

        Examples:
            >>> import millpond as pw
            >>> visits = pw.debug.table_from_markdown('''
            ...     user | pages
            ...     ann  | 3
            ...     bob  | 4
            ...     ann  | 5
            ... ''')
            >>> users = pw.debug.table_from_markdown('''
            ...     name | city
            ...     ann  | Rome
            ...     eve  | Oslo
            ... ''')
            >>> pw.debug.compute_and_print(
            ...     visits.join(users, visits.user == users.name).select(visits.pages, pw.right.city)
            ... )
            pages | city
            3     | Rome
            5     | Rome
            >>> pw.debug.compute_and_print(
            ...     visits.join(users, pw.left.user == pw.right.name, how="outer").select(
            ...         pw.this.user, pw.this.name, pages=pw.coalesce(pw.this.pages, 0)
            ...     )
            ... )
            user | name | pages
                 | eve  | 0
            ann  | ann  | 3
            ann  | ann  | 5
            bob  |      | 4
        """
        return JoinResult(self, check_table(other, "join"), on, how, id)

    def join_inner(self, other: Table, *on: ColumnExpression, id: ColumnReference | RowId | None = None) -> JoinResult:
        """`join` with ``how="inner"``: rows that match."""
        return self.join(other, *on, id=id)

    def join_left(self, other: Table, *on: ColumnExpression, id: ColumnReference | RowId | None = None) -> JoinResult:
        """`join` with ``how="left"``: all rows of this table."""
        return self.join(other, *on, id=id, how=JoinMode.LEFT)

    def join_right(self, other: Table, *on: ColumnExpression, id: ColumnReference | RowId | None = None) -> JoinResult:
        """`join` with ``how="right"``: all rows of the other table."""
        return self.join(other, *on, id=id, how=JoinMode.RIGHT)

    def join_outer(self, other: Table, *on: ColumnExpression, id: ColumnReference | RowId | None = None) -> JoinResult:
        """`join` with ``how="outer"``: all rows of both tables."""
        return self.join(other, *on, id=id, how=JoinMode.OUTER)

    def groupby(self, *columns: ColumnReference) -> GroupedTable:
        """Groups of rows that are equal in these columns, for `GroupedTable.reduce`.

        Examples:
            >>> import millpond as pw
            >>> table = pw.debug.table_from_markdown('''
            ...     user  | page
            ...     alice | home
            ...     bob   | home
            ...     alice | shop
            ... ''')
            >>> pages = table.groupby(table.user).reduce(table.user, pages=pw.reducers.count())
            >>> pw.debug.compute_and_print(pages)
            user  | pages
            alice | 2
            bob   | 1
        """
        if not columns:
            raise invalid("groupby: no column is given", hint="table.reduce(...) makes one row of the whole table")
        keys: dict[str, _native.Expr] = {}
        for column in columns:
            reference = _reference("groupby", column)
            keys[reference.name] = self._bind(reference)

        def reduce(outputs: list[Output], origin: tuple[str, int]) -> _native.Table:
            return self._native.group_reduce(list(keys.items()), outputs, origin)

        return GroupedTable(self, reduce)

    def reduce(self, *columns: ColumnReference, **named: Operand) -> Table:
        """One row for the whole table, as long as the table has a row.

        Examples:
            >>> import millpond as pw
            >>> table = pw.debug.table_from_markdown('''
            ...     cents
            ...     30
            ...     45
            ... ''')
            >>> pw.debug.compute_and_print(table.reduce(total=pw.reducers.sum(table.cents), n=pw.reducers.count()))
            total | n
            75    | 2
        """
        outputs = outputs_of("reduce", columns, named)
        return Table(self._native.group_reduce([], outputs, here()))

    def windowby(
        self,
        time_expr: ColumnExpression,
        *,
        window: Window,
        behavior: Behavior | None = None,
        instance: ColumnExpression | None = None,
        shard: ColumnExpression | None = None,
    ) -> WindowedTable:
        """Windows over time, for `WindowedTable.reduce`.

        Args:
            time_expr: The time of a row: an int, or for tumbling and sliding windows an int or a float; never null.
            window: The kind of window: ``pw.temporal.session(max_gap=300)``, ``pw.temporal.tumbling(duration=60)`` or
                ``pw.temporal.sliding(hop=10, duration=60)``.
            behavior: When windows are shown and when they are over: ``pw.temporal.common_behavior(...)`` or
                ``pw.temporal.exactly_once_behavior(...)``. Without one they are shown at once, and never over.
            instance: Rows with different values of this expression are in different windows.
            shard: The older spelling of ``instance``.

        Examples:
            >>> import millpond as pw
            >>> visits = pw.debug.table_from_markdown('''
            ...     user  | time
            ...     alice | 100
            ...     alice | 130
            ...     bob   | 110
            ...     alice | 900
            ... ''')
            >>> sessions = visits.windowby(
            ...     visits.time, window=pw.temporal.session(max_gap=60), instance=visits.user
            ... ).reduce(
            ...     visits.user,
            ...     start=pw.this._pw_window_start,
            ...     end=pw.this._pw_window_end,
            ...     visits=pw.reducers.count(),
            ... )
            >>> pw.debug.compute_and_print(sessions)
            user  | start | end | visits
            alice | 100   | 130 | 2
            alice | 900   | 900 | 1
            bob   | 110   | 110 | 1
        """
        chosen = renamed("shard", shard, "instance", instance)
        if not isinstance(time_expr, ColumnExpression):
            raise invalid(f"windowby: expected a time column, got {show(time_expr)}", hint="such as pw.this.time")
        kind = check_window(window)
        behaves = check_behavior(behavior)
        time = self._bind(time_expr)
        if isinstance(chosen, str):
            raise invalid(f"windowby: instance is the text {show(chosen)}", hint=f"a column is {column_code(chosen)}")
        key = None if chosen is None else self._bind(to_expression(chosen))

        def reduce(outputs: list[Output], origin: tuple[str, int]) -> _native.Table:
            if isinstance(kind, SessionWindow):
                predicate = None if kind.predicate is None else kind.predicate._native
                return self._native.session_reduce(time, native(kind.max_gap), predicate, key, behaves, outputs, origin)
            return self._native.sliding_reduce(
                time,
                native(kind.hop),
                None if kind.duration is None else native(kind.duration),
                kind.ratio,
                None if kind.origin is None else native(kind.origin),
                key,
                behaves,
                outputs,
                origin,
            )

        return WindowedTable(self, reduce)

    def __getattr__(self, name: str) -> ColumnReference:
        if name == "id" and name not in self.column_names():
            return RowId(self)  # type: ignore[return-value]
        if name.startswith("__") or name not in self.column_names():
            raise no_attribute("Table", name, dir(Table), self.column_names())
        return ColumnReference(name, self)

    def __getitem__(self, name: str) -> ColumnReference:
        if not isinstance(name, str):
            raise no_item(name)
        return self._column(name)

    def __setitem__(self, name: object, value: object) -> NoReturn:
        raise _no_change(name)

    def __delitem__(self, name: object) -> NoReturn:
        raise invalid("a table is never changed", hint=f"table = table.without({show(name)})")

    if not TYPE_CHECKING:

        def __setattr__(self, name: str, value: object) -> None:
            if name not in Table.__slots__:
                raise _no_change(name)
            object.__setattr__(self, name, value)

        def __add__(self, other: object) -> NoReturn:
            raise invalid("tables are not added up with +", hint="table.concat(...) has the rows of both")

        def __or__(self, other: object) -> NoReturn:
            raise invalid("tables are not put together with |", hint="table.concat(...) has the rows of both")

        def __sub__(self, other: object) -> NoReturn:
            raise invalid(
                "tables are not subtracted with -",
                hint="table.difference(...) has the rows of one whose identity the other has not",
            )

    def __len__(self) -> NoReturn:
        raise invalid(
            "a table has no length before the run", hint="table.reduce(rows=pw.reducers.count()) counts the rows"
        )

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> NoReturn:
        raise invalid(
            "a table cannot be walked through: it is a plan, and has no rows before the run",
            hint="pw.io.subscribe(table, on_change=...) hands over each row; table.column_names() are the columns",
        )

    def __contains__(self, name: object) -> bool:
        return name in self.column_names()

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.column_names()]

    def __repr__(self) -> str:
        return f"<millpond.Table {describe(self._native.schema())}>"

    def _column(self, name: str) -> ColumnReference:
        names = self.column_names()
        if name not in names:
            near = nearest(name, names)
            raise invalid(
                f"no column {show(name)} in the table ({describe(self._native.schema())})",
                hint=f"did you mean {show(near)}?" if near else None,
            )
        return ColumnReference(name, self)

    def _name(self, method: str, column: object) -> str:
        """The name of a column of this table that is given by name or as a column."""
        if isinstance(column, str):
            return column
        reference = _reference(method, column)
        self._bind(reference)
        return reference.name

    def _bind(self, expression: ColumnExpression) -> _native.Expr:
        """The engine's expression, once every column in it is known to be of this table."""
        self._native.check(expression._native, here())
        return expression._native

    def _column_of(self, name: str) -> _native.Expr:
        return self._native.column(name, here())


class RowId:
    """What identifies the rows of a table, ``table.id``, for the ``id`` of a `Table.join`."""

    __slots__ = ("_table",)

    def __init__(self, table: Table) -> None:
        self._table = table

    def __repr__(self) -> str:
        return f"<millpond.RowId of {self._table!r}>"


class JoinResult:
    """Two tables side by side, from `Table.join`."""

    __slots__ = ("_how", "_id", "_left", "_on", "_right")

    def __init__(self, left: Table, right: Table, on: tuple[ColumnExpression, ...], how: object, id: object) -> None:
        self._left = left
        self._right = right
        self._how = join_mode(how)
        self._id = None if id is None else _side_of_id(id, left, right)
        self._on = [_condition(condition, left, right) for condition in on]
        # Says at once what is wrong with the conditions.
        left._native.join_select(right._native, self._how.value, self._on, self._id, [], here())

    def select(self, *columns: ColumnReference, **named: Operand) -> Table:
        """A table of these columns of both tables.

        Columns are those of the two tables (``visits.pages``), of a side (``pw.left.pages``, ``pw.right.city``), or
        plain ones (``pw.this.pages``) that only one of the tables has, or that both are joined by under one name. Where
        a row of a side may be missing, its columns may be null. The rows have no identity: see `Table.with_id_from`.

        Args:
            *columns: Columns that keep their names.
            **named: Columns computed by an expression, by name.

        Examples:
            >>> import millpond as pw
            >>> orders = pw.debug.table_from_markdown('''
            ...     item | cents
            ...     tea  | 300
            ... ''')
            >>> stock = pw.debug.table_from_markdown('''
            ...     item | left
            ...     tea  | 7
            ... ''')
            >>> joined = orders.join_left(stock, orders.item == stock.item)
            >>> joined.select(pw.this.item, orders.cents, rest=pw.right["left"])
            <millpond.Table item: str, cents: int, rest: int | None>
        """
        outputs = outputs_of("select", columns, named)
        native = self._left._native.join_select(
            self._right._native, self._how.value, self._on, self._id, outputs, here()
        )
        return Table(native)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> None:
            raise no_attribute("JoinResult", name, dir(type(self)))

        def __getitem__(self, name: object) -> NoReturn:
            raise invalid(
                "a join has no columns before its select",
                hint="select(pw.left.x, pw.right.y) makes a table of it",
            )

        def __iter__(self) -> NoReturn:
            raise invalid(
                "a join cannot be walked through: it has no rows before the run",
                hint="select(pw.left.x, pw.right.y) makes a table of it",
            )

    def __repr__(self) -> str:
        return f"<millpond.JoinResult of {self._left!r} and {self._right!r}>"


class GroupedTable:
    """Rows in groups, from `Table.groupby`."""

    __slots__ = ("_reduce", "_source")

    def __init__(self, source: Table, reduce: Callable[[list[Output], tuple[str, int]], _native.Table]) -> None:
        self._source = source
        self._reduce = reduce

    def reduce(self, *columns: ColumnReference, **named: Operand) -> Table:
        """A table of one row for each group.

        Args:
            *columns: Columns that make up the group, under their own names.
            **named: Expressions over such columns and over ``pw.reducers``, by name.
        """
        outputs = outputs_of("reduce", columns, named)
        return Table(self._reduce(outputs, here()))

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> None:
            raise no_attribute(type(self).__name__, name, dir(type(self)))

        def __getitem__(self, name: object) -> NoReturn:
            raise invalid(
                "a grouped table has no columns before it is reduced",
                hint="reduce(total=pw.reducers.sum(pw.this.x)) makes a table of it",
            )

        def __iter__(self) -> NoReturn:
            raise invalid(
                "a grouped table cannot be walked through: it has no rows before the run",
                hint="reduce(rows=pw.reducers.count()) makes a table of it",
            )

    def __repr__(self) -> str:
        return f"<millpond.{type(self).__name__} of {self._source!r}>"


class WindowedTable(GroupedTable):
    """Rows in windows, from `Table.windowby`.

    ``reduce`` makes one row of each window. Beside the reducers it may use the instance, as written or as
    ``pw.this._pw_instance``, and the window's bounds, ``pw.this._pw_window_start`` and ``pw.this._pw_window_end``: the
    first and the last time of a session; for other windows the start, which belongs to it, and the end, which does not.
    """

    __slots__ = ()


def join(
    left: Table,
    right: Table,
    *on: ColumnExpression,
    id: ColumnReference | RowId | None = None,
    how: JoinMode | Literal["inner", "left", "right", "outer"] = JoinMode.INNER,
) -> JoinResult:
    """`Table.join` as a function: two tables side by side, for `JoinResult.select`."""
    return check_table(left, "join").join(right, *on, id=id, how=how)


def join_inner(
    left: Table, right: Table, *on: ColumnExpression, id: ColumnReference | RowId | None = None
) -> JoinResult:
    """`Table.join_inner` as a function."""
    return join(left, right, *on, id=id)


def join_left(
    left: Table, right: Table, *on: ColumnExpression, id: ColumnReference | RowId | None = None
) -> JoinResult:
    """`Table.join_left` as a function."""
    return join(left, right, *on, id=id, how=JoinMode.LEFT)


def join_right(
    left: Table, right: Table, *on: ColumnExpression, id: ColumnReference | RowId | None = None
) -> JoinResult:
    """`Table.join_right` as a function."""
    return join(left, right, *on, id=id, how=JoinMode.RIGHT)


def join_outer(
    left: Table, right: Table, *on: ColumnExpression, id: ColumnReference | RowId | None = None
) -> JoinResult:
    """`Table.join_outer` as a function."""
    return join(left, right, *on, id=id, how=JoinMode.OUTER)


def explain(table: Table) -> None:
    """Prints what a program that writes this table does: the text of `Table.explain`.

    Args:
        table: The table to explain. Nothing is read.

    Examples:
        >>> import millpond as pw
        >>> users = pw.debug.table_from_markdown('''
        ...     user
        ...     alice
        ... ''')
        >>> pw.explain(users)
        1. source: table, made at ..., saved as "table-0"
           columns: user: str
           append-only
    """
    print(check_table(table, "explain").explain(), end="")


def identified(native: _native.Table, schema: type[Schema], origin: tuple[str, int]) -> _native.Table:
    """The table of a source, whose rows the primary key of its schema identifies, if there is one."""
    key = primary_key(schema)
    if not key:
        return native
    return native.with_id_from([_native.Expr.column(name, origin) for name in key], origin)


def outputs_of(method: str, columns: tuple[ColumnReference, ...], named: dict[str, Operand]) -> list[Output]:
    """Positional columns under their own names, then the named expressions."""
    outputs: dict[str, _native.Expr] = {}
    for column in columns:
        reference = _reference(method, column)
        if reference.name in outputs or reference.name in named:
            raise invalid(f"{method}: the column {show(reference.name)} is given twice")
        outputs[reference.name] = reference._native
    for name, value in named.items():
        outputs[name] = to_expression(value)._native
    return list(outputs.items())


def _condition(condition: object, left: Table, right: Table) -> _native.Expr:
    """A condition of a join, whatever it is: the plan says whether it is an equality."""
    if isinstance(condition, ColumnExpression):
        return condition._native
    near = next((name for name in left.column_names() if name in right.column_names()), None)
    name = condition if isinstance(condition, str) and condition in left.column_names() else near
    column = "." + name if name is not None and name.isidentifier() else ".x"
    raise invalid(
        f"join: expected a condition, got {show(condition)}", hint=f"such as pw.left{column} == pw.right{column}"
    )


def _side_of_id(id: object, left: Table, right: Table) -> str:
    """The side whose identity a row of a join has."""
    if isinstance(id, (RowId, ColumnReference)) and (isinstance(id, RowId) or id.name == "id"):
        table = id._table
        if isinstance(table, This) and table._side != "this":
            return table._side
        if table is left or table is right:
            return "left" if table is left else "right"
    raise invalid(f"join: id is {show(id)}", hint="pw.left.id or pw.right.id")


def _is_code(text: str) -> bool:
    """Whether a text can be pasted into a program."""
    try:
        compile(text, "<hint>", "eval")
    except (SyntaxError, ValueError):
        return False
    return True


def _no_change(name: object) -> InvalidError:
    """The error of a program that sets a column."""
    named = f"{name}=..." if isinstance(name, str) and name.isidentifier() else f"**{{{show(name)}: ...}}"
    return invalid("a table is never changed", hint=f"table = table.with_columns({named})")


def check_table(value: object, what: str) -> Table:
    """A table, and nothing else."""
    if not isinstance(value, Table):
        hint = "finish it with .reduce(...)" if isinstance(value, GroupedTable) else None
        hint = "finish it with .select(...)" if isinstance(value, JoinResult) else hint
        raise invalid(f"{what}: expected a table, got {show(value)}", hint=hint)
    return value


def _reference(method: str, column: object) -> ColumnReference:
    if isinstance(column, ColumnReference):
        return column
    if isinstance(column, (Table, This)):
        raise invalid(f"{method}: expected columns, got {show(column)}", hint="name them: pw.this.<column>")
    if isinstance(column, ColumnExpression):
        hint = f"{method}(name=...)" if method != "groupby" else "compute it in with_columns(name=...) first"
        raise invalid(f"{method}: an expression needs a name", hint=hint)
    raise invalid(f"{method}: expected a column such as pw.this.user_id, got {show(column)}")
