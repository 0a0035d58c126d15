"""A database with tables of one column, asked which of their rows are finished; and the values to ask about."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import sqlalchemy as sa
from hypothesis import strategies as st

from retentiond.catalog.connections import open_engine
from retentiond.catalog.model import Column, Dialect, Family
from retentiond.compiler.plan import Relation
from retentiond.compiler.recognise import is_done
from retentiond.compiler.recognise_sql import done_sql
from retentiond.compiler.tables import table_of
from retentiond.policy.model import Method


@dataclass
class Bench:
    """A database, and tables of one column each."""

    dialect: Dialect
    connection: sa.Connection
    made: int = 0
    shown: set[tuple[str, int]] = field(default_factory=set)

    def table(self, column: Column, collation: str = "") -> Relation:
        """A new table `(id, c)` whose column has the type of that column."""
        self.made += 1
        name = f"t{self.made}"
        full = f"public.{name}" if self.dialect == "postgresql" else name
        self.run(f"CREATE TABLE {full} (id INTEGER PRIMARY KEY, c {column.type} {collation} NULL)")
        identity = Column("id", "integer", Family.INTEGER)
        return Relation("crm", self.dialect, full, name, (identity, column), ("id",))

    def run(self, sql: str, *values: object) -> None:
        marks = {"sqlite": "?"}.get(self.dialect, "%s")
        self.connection.exec_driver_sql(sql.replace("?", marks), values or None)

    def fill(self, relation: Relation, values: Sequence[object]) -> None:
        self.run(f"DELETE FROM {relation.name}")
        for number, value in enumerate(values):
            # MariaDB's driver would bind a text; literals reach what no Python value can say.
            if isinstance(value, Literal):
                self.run(f"INSERT INTO {relation.name} VALUES ({number}, {value.sql})")
            else:
                self.run(f"INSERT INTO {relation.name} VALUES ({number}, ?)", value)

    def conditions(
        self, relation: Relation, table: sa.FromClause, methods: Sequence[Method]
    ) -> list[sa.ColumnElement[int]]:
        """For each method SQL's answer as a number; NULL would be neither."""
        found = [done_sql(method, relation.column("c"), relation, table) for method in methods]
        return [sa.case((done, 1), (sa.not_(done), 0)) for done in found if done is not None]

    def answers(self, relation: Relation, method: Method) -> list[tuple[object, object]]:
        """For each row the value as the driver hands it over, and SQL's answer."""
        return [(value, found[0]) for value, found in self._ask(relation, [method])]

    def _ask(self, relation: Relation, methods: Sequence[Method]) -> list[tuple[object, tuple[object, ...]]]:
        table = table_of(relation)
        answers = [
            answer.label(f"a{number}") for number, answer in enumerate(self.conditions(relation, table, methods))
        ]
        query = sa.select(table.c["c"], *answers).order_by(table.c["id"])
        # Plans show statements with their constants in them.
        if (question := (relation.name, len(methods))) not in self.shown:
            self.shown.add(question)
            assert str(query.compile(self.connection, compile_kwargs={"literal_binds": True}))
        return [(value, tuple(found)) for value, *found in self.connection.execute(query)]

    def agree(self, relation: Relation, *methods: Method) -> None:
        """SQL says of every row what Python says of it, and never NULL."""
        column = relation.column("c")
        rows = self._ask(relation, methods)
        assert rows, "no rows, no proof"
        for value, found in rows:
            for method, answer in zip(methods, found, strict=True):
                assert answer == is_done(method, value, column), (column.type, method, value)
        self.change(relation, methods, len(rows))

    def change(self, relation: Relation, methods: Sequence[Method], rows: int) -> None:
        """A change asks the same questions as a query; in a change MariaDB takes warnings for errors."""
        table = cast(sa.TableClause, table_of(relation))
        asked = sum(self.conditions(relation, table, methods), start=sa.literal(0))
        attempt = self.connection.begin_nested()
        assert self.connection.execute(sa.delete(table).where(asked >= 0)).rowcount == rows
        attempt.rollback()


@dataclass(frozen=True)
class Literal:
    """A value in SQL's own words."""

    sql: str


@contextmanager
def opened(url: str) -> Iterator[Bench]:
    address = sa.make_url(url)
    if address.drivername == "sqlite":
        sqlite3.connect(str(address.database)).close()
    engine = open_engine(url, read_only=False, statement_seconds=60, lock_seconds=5)
    dialect = "mariadb" if engine.dialect.name == "mysql" else engine.dialect.name
    with engine.connect() as connection, connection.begin():
        yield Bench(cast(Dialect, dialect), connection)


def column(sql_type: str, family: Family, **more: Any) -> Column:
    return Column("c", sql_type, family, **more)


TEXT_METHODS = (
    Method("random"),
    Method("token"),
    Method("token", "email"),
    Method("network"),
    Method("domain"),
    *(Method("prefix", count) for count in (1, 2, 4, 10**12)),
    *(Method("mask", count) for count in (1, 4, 10**12)),
    *(Method("truncate", unit) for unit in ("year", "month", "day")),
    *(Method("constant", text) for text in ("", "x", "X", "anon-x", "é", "e", "1", "2020-01-01", "a'b\\%s", "🦊")),
)

TEXTS = (
    *(
        "",
        " ",
        "x",
        "X",
        "x ",
        " x",
        "é",
        "e",
        "É",
        "ss",
        "ß",
        "🦊",
        "ab",
        "ab ",
        "äöü",
        "ab🦊d",
        "abcde",
        "a'b\\%s",
        "1",
    ),
    *("anon-", "ANON-", "anon-x", "Anon-x", "anon", "anon ", "an\u00f3n-x", " anon-x", "anon\u2010x"),
    *("••••", "••••1", "••••1234", "••••12345", "•••1234", "••••••••", "....1234", "•••• ", "••••é🦊ab"),
    *("a@b", "@", "ab@", "\uff20", "example.com"),
    *("2020-01-01", "2020-02-01", "2020-02-02", "2020-01-01T00:00:00", "2020-01-01 00:00:00.000", "2020-01-01 "),
    *("2020-01-01T00:00:00Z", "2020-01-01t00:00:00", "2020-01-01 00:00:00+00:00", "2020-01-01 00:00:00-00:00"),
    *(
        "2020-01-01 00:00:01",
        "2020-01-01 00:00:00.001",
        "2020-1-01",
        "20200-01-01",
        "2020-01-0",
        "2020-01",
        "0000-00-00",
    ),
    *(
        "2020-01-01\n",
        "\n2020-01-01",
        "2020-13-01",
        "2020-01-011",
        "٢٠٢٠-01-01",
        "----------",
        "2-020-01-01",
        "202001-01-",
    ),
    *(
        "192.0.2.0",
        "192.0.2.1",
        "192.0.2.00",
        "192.0.2.10",
        "192.0.2.0 ",
        "0.0.0.0",
        "...0",
        ".0.0.0.0",
        "1.2.3.4.0",
        "1.2.0",
    ),
    *("::ffff:192.0.2.0", "::ffff:192.0.2.1", "::FFFF:192.0.2.0", "::ff1ff:192.0.2.0", "::ffff:1.1.1.1::ffff:.0"),
    *(
        "1.2.3.0\n",
        "a.b.c.0",
        "00000000000000000.0.0.0",
        "00000000000000.0.0.0",
        "::ffff:0.0.0.0",
        "::ffff:255.255.255.0",
    ),
    *("::", "2001:db8::", "2001:db8:1::", "2001:DB8:1::", "2001:db8:1:2::", "2001:db8::1", ":", ":::", "::::", ":::::"),
    *("1::2::", "a:b:c::", "0000:0000:0000::", "00000:0000:0000::", "g::", "2001:db8:1:: ", "fe80::1", "::1"),
)


ANYTHING = (
    *(None, "", "x", "anon-", "anon-x", b"", b"x", b"anon-x", "••••12".encode(), b"1.2.3.0", b"2020-01-01", b"\xff\0"),
    *(0, 1, -1, 5, -5, 10, -10, 15, 2**53, 2**63 - 1, -(2**63), 20200101, 1.5, 10.0, -10.0, 0.0, -0.0, 1e300),
    *(float(2**53 - 2), float(2**53 + 2), float("inf"), float("-inf"), 10.5, "10", "10.0", "ten", "2020-01-01", "true"),
    *('{"a":1}', '{"a": 1}', "[", "null", "{}\0x", "1e400", "[1]", b"[1]", b"{}"),
)


FRAGMENTS = (
    *(
        "anon-",
        "ANON-",
        "••••",
        "•",
        "@",
        ".",
        ".0",
        "0",
        "1",
        "12",
        "::",
        ":",
        "::ffff:",
        "a",
        "A",
        "f",
        "é",
        "🦊",
        " ",
    ),
    *("2020", "-01", "-02", "-01-01", "T00:00:00", "Z", "+00:00", "-", "\n", "x", "192.0.2", "%", "_", "\\", "'"),
)
RANDOM_TEXTS = st.one_of(
    st.lists(st.sampled_from(FRAGMENTS), max_size=7).map("".join),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12),
    st.ip_addresses().map(str),
    st.dates().map(dt.date.isoformat),
)


def text_columns(dialect: str) -> list[tuple[Column, str]]:
    """Every kind of text column, with a collation that is not bytes."""
    match dialect:
        case "sqlite":
            return [
                (column("TEXT", Family.TEXT), ""),
                (column("VARCHAR(20)", Family.TEXT, length=20), "COLLATE NOCASE"),
                (column("TEXT", Family.TEXT), "COLLATE RTRIM"),
                (column("DATE", Family.TEXT_DATE), ""),
                (column("DATETIME", Family.TEXT_DATETIME), ""),
            ]
        case "postgresql":
            return [
                (column("text", Family.TEXT), ""),
                (column("character varying(60)", Family.TEXT, length=60), 'COLLATE "und-x-icu"'),
                (column("text", Family.TEXT, collation="ci"), "COLLATE public.ci"),
                (column("name", Family.TEXT, length=63), ""),
            ]
        case _:
            return [
                (column("varchar(60)", Family.TEXT, length=60), "COLLATE utf8mb4_general_ci"),
                (column("longtext", Family.TEXT), "COLLATE utf8mb4_unicode_nopad_ci"),
                (column("varchar(60)", Family.TEXT, length=60), "COLLATE utf8mb4_bin"),
                (column("char(60)", Family.TEXT, length=60), "COLLATE utf8mb4_general_ci"),
                (column("text", Family.TEXT), "CHARACTER SET utf16"),
            ]


def prepare(bench: Bench) -> None:
    if bench.dialect == "postgresql":
        bench.run("CREATE COLLATION public.ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false)")


DOCUMENTS = (
    *('{"a":1,"b":[true,null]}', '{"a": 1, "b": [true, null]}', "{}", "[]", "null", '"x"', '"X"', "1", "10", "1.5"),
    *('{"a":{"a":1}}', '{"a":"é"}', '{"a":2,"b":[true,null]}', '{"a":1,"b":[null,true]}', "true"),
)
JSON_CONSTANTS = tuple(
    Method("constant", text) for text in ('{"a":1, "b":[true,null]}', "{}", '"x"', "10", '{"a": "é"}', "null")
)
