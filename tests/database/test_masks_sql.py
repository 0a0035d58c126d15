"""What SQL sets is what SQL then calls finished, however the column rounds, pads or spells it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import pytest
import sqlalchemy as sa

from retentiond.catalog.model import Column, Family
from retentiond.compiler.masks_sql import set_sql
from retentiond.compiler.tables import table_of
from retentiond.policy.model import Method
from tests.database.recognise_bench import TEXT_METHODS, Bench, column, opened


@pytest.fixture
def bench(engine_url: str) -> Iterator[Bench]:
    with opened(engine_url) as opened_bench:
        yield opened_bench


def settable(dialect: str) -> list[tuple[Column, object, str]]:
    """Columns, a value in them, and a constant that the column may store another way."""
    match dialect:
        case "sqlite":
            return [
                (column("TEXT", Family.TEXT), "y", "x "),
                (column("UUID", Family.TEXT), "y", "007"),
                (column("INTEGER", Family.INTEGER), 1, "7"),
                (column("REAL", Family.FLOAT), 1.0, "0.1"),
                (column("DECIMAL(10,2)", Family.DECIMAL), 1, "0.105"),
                (column("BOOLEAN", Family.BOOLEAN), 1, "false"),
                (column("DATE", Family.TEXT_DATE), "2020-01-02", "2020-01-01"),
                (column("TIMESTAMP", Family.TEXT_DATETIME), "2020-01-02", "2020-01-01T10:00:00Z"),
                (column("JSON", Family.JSON), "[]", "1e2"),
                (column("JSON", Family.JSON), "[]", '{"b": 1, "a": "\\u0001"}'),
            ]
        case "postgresql":
            return [
                (column("text", Family.TEXT), "y", "x "),
                (column("character(9)", Family.TEXT), "y", "x "),
                (column("public.mood", Family.TEXT, choices=("x", "y")), "y", "x"),
                (column("bigint", Family.INTEGER), 1, "7"),
                (column("numeric(10,2)", Family.DECIMAL), 1, "0.105"),
                (column("real", Family.FLOAT), 1.0, "0.123456789"),
                (column("double precision", Family.FLOAT), 1.0, "0.123456789"),
                (column("boolean", Family.BOOLEAN), True, "false"),
                (column("date", Family.DATE), "2020-01-02", "2020-01-01"),
                (column("timestamp(0) without time zone", Family.NAIVE), "2020-01-02", "2020-01-01T10:00:00.7"),
                (column("timestamp with time zone", Family.INSTANT), "2020-01-02", "2020-01-01T10:00:00.7+02:00"),
                (
                    column("uuid", Family.UUID),
                    "00000000-0000-0000-0000-000000000000",
                    "{6F9619FF8B86D011B42D00C04FC964FF}",
                ),
                (column("inet", Family.INET), "::", "192.0.2.0/255.255.255.0"),
                (column("cidr", Family.INET), "::", "192.0.2.0/24"),
                (column("json", Family.JSON), "[]", '{"b": 1, "a": "\\u0001"}'),
                (column("jsonb", Family.JSON), "[]", '{"b": 1, "a": "\\u0001"}'),
                (column("interval", Family.OTHER), "2 days", "1 day"),
            ]
        case _:
            return [
                (column("varchar(9)", Family.TEXT), "y", "x "),
                (column("char(9)", Family.TEXT), "y", "x "),
                (column("enum('x','y')", Family.TEXT, choices=("x", "y")), "y", "x"),
                (column("bigint unsigned", Family.INTEGER), 1, str(2**64 - 1)),
                (column("decimal(10,2)", Family.DECIMAL), 1, "0.105"),
                (column("float", Family.FLOAT), 1.0, "0.123456789"),
                (column("double", Family.FLOAT), 1.0, "0.123456789"),
                (column("tinyint(1)", Family.BOOLEAN), 1, "false"),
                (column("date", Family.DATE), "2020-01-02", "2020-01-01"),
                (column("datetime", Family.NAIVE), "2020-01-02", "2020-01-01T10:00:00.7"),
                (column("timestamp(3)", Family.INSTANT), "2020-01-02", "2020-01-01T10:00:00.7777+02:00"),
                (
                    column("uuid", Family.UUID),
                    "00000000-0000-0000-0000-000000000001",
                    "6F9619FF8B86D011B42D00C04FC964FF",
                ),
                (column("inet6", Family.INET), "::", "2001:DB8:0::1"),
                (column("inet4", Family.INET), "0.0.0.0", "192.0.2.0"),
                (column("json", Family.JSON), "[]", '{"b": 1, "a": "\\u0001"}'),
                (column("time", Family.OTHER), "10:00:00", "11:00:00"),
            ]


def test_what_is_set_is_done(bench: Bench) -> None:
    """However the column rounds, pads or spells the constant; and twice is once."""
    if bench.dialect == "postgresql":
        bench.run("CREATE TYPE public.mood AS ENUM ('x', 'y')")
    for changed, value, constant in settable(bench.dialect):
        relation = bench.table(changed)
        table = table_of(relation)
        for method in (Method("constant", constant), Method("empty")):
            bench.fill(relation, [None, value])
            new = set_sql(method, changed, relation, table)
            assert new is not None
            wanted = [0, 0] if method.name == "constant" else [1, 0]
            assert [done for _, done in bench.answers(relation, method)] == wanted
            update = sa.update(cast(sa.TableClause, table)).values({"c": new})
            bench.connection.execute(update)
            found = bench.answers(relation, method)
            assert [done for _, done in found] == [1, 1], (changed.type, found)


def test_other_methods_are_left_to_python(bench: Bench) -> None:
    text = column("TEXT", Family.TEXT)
    relation = bench.table(text)
    for method in TEXT_METHODS:
        if method.name != "constant":
            assert set_sql(method, text, relation, table_of(relation)) is None
    number = column("INTEGER", Family.INTEGER)
    assert set_sql(Method("constant", "seven"), number, relation, table_of(relation)) is None
