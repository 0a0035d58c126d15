"""SQL and Python call the same values finished, on every engine, whatever a column holds."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from retentiond.catalog.model import Column, Family
from retentiond.compiler.masks_sql import set_sql
from retentiond.compiler.plan import Relation
from retentiond.compiler.recognise import is_done
from retentiond.compiler.recognise_sql import done_sql
from retentiond.compiler.tables import table_of
from retentiond.policy.model import Method
from tests.database.recognise_bench import (
    ANYTHING,
    DOCUMENTS,
    JSON_CONSTANTS,
    RANDOM_TEXTS,
    TEXT_METHODS,
    TEXTS,
    Bench,
    Literal,
    column,
    opened,
    prepare,
    text_columns,
)


@pytest.fixture
def bench(engine_url: str) -> Iterator[Bench]:
    with opened(engine_url) as opened_bench:
        yield opened_bench


@pytest.fixture(
    params=[
        pytest.param("postgresql", marks=pytest.mark.postgresql),
        pytest.param("mariadb", marks=pytest.mark.mariadb),
    ]
)
def typed(request: pytest.FixtureRequest, new_database: Callable[[str], str]) -> Iterator[Bench]:
    """A bench on an engine whose columns hold what they are declared to hold."""
    with opened(new_database(request.param)) as opened_bench:
        yield opened_bench


def test_texts(bench: Bench) -> None:
    prepare(bench)
    for text_column, collation in text_columns(bench.dialect):
        relation = bench.table(text_column, collation)
        bench.fill(relation, [None, *TEXTS])
        bench.agree(relation, Method("empty"), *(m for m in TEXT_METHODS if constant_fits(m, text_column)))


def constant_fits(method: Method, text_column: Column) -> bool:
    """An ISO text takes dates only as a constant."""
    return method.name != "constant" or text_column.family is Family.TEXT or str(method.argument).startswith("2020")


@pytest.mark.parametrize("engine", ["sqlite", pytest.param("mariadb", marks=pytest.mark.mariadb)])
def test_a_nul_character_ends_nothing(engine: str, new_database: Callable[[str], str]) -> None:
    """PostgreSQL stores none."""
    values = ["a\0secret", "\0", "ab\0", "1.2.3.0\0x", "::ffff:1.2.3.0\0x", "::\0", "2020-01-01\0x", "••••1\0secret"]
    values += ["anon-\0", "ano\0n-", "a\0@", "x\0", "é\0🦊", "\U0010ffff\0é"]
    with opened(new_database(engine)) as bench:
        relation = bench.table(text_columns(bench.dialect)[0][0])
        bench.fill(relation, values)
        bench.agree(relation, *TEXT_METHODS)


def test_narrow_character_sets_and_enums_of_mariadb(mariadb_url: str) -> None:
    with opened(mariadb_url) as bench:
        relation = bench.table(column("varchar(60)", Family.TEXT), "CHARACTER SET latin1")
        bench.fill(
            relation, [None, "", "x", "X", "é", "É", "••••1234", "••••12345", "anon-", "ANON-", "ab ", "1.2.3.0"]
        )
        bench.agree(relation, *TEXT_METHODS)
        relation = bench.table(column("enum('x','anon-x','1')", Family.TEXT, choices=("x", "anon-x", "1")))
        bench.fill(relation, [None, "x", "anon-x", "1"])
        bench.agree(relation, *TEXT_METHODS)


def test_enums_and_citext_of_postgresql(postgresql_url: str) -> None:
    with opened(postgresql_url) as bench:
        bench.run("CREATE TYPE public.mood AS ENUM ('x', 'X', 'anon-x', '1')")
        relation = bench.table(column("public.mood", Family.TEXT, choices=("x", "X", "anon-x", "1")))
        bench.fill(relation, [None, "x", "X", "anon-x", "1"])
        bench.agree(relation, *TEXT_METHODS)
        known = bench.connection.exec_driver_sql("SELECT 1 FROM pg_available_extensions WHERE name = 'citext'").all()
        if known:
            bench.run("CREATE EXTENSION citext SCHEMA public")
            relation = bench.table(column("public.citext", Family.TEXT))
            bench.fill(relation, [None, *TEXTS])
            bench.agree(relation, *TEXT_METHODS)


def test_blanks_that_pad_do_not_count(postgresql_url: str) -> None:
    """PostgreSQL's driver hands over the padding of a char(n), which is no part of the value."""
    with opened(postgresql_url) as bench:
        relation = bench.table(column("character(9)", Family.TEXT, length=9))
        bench.fill(relation, ["ab", "abc", "", "x", "1.2.3.0", "::", "anon-", "••••1", "••••12345"])
        for method in (Method("prefix", 2), Method("network"), Method("mask", 4), Method("constant", "x ")):
            wanted = replace(method, argument="x") if method.name == "constant" else method
            for value, answer in bench.answers(relation, method):
                assert answer == is_done(wanted, str(value).rstrip(" "), relation.column("c")), (value, method)


def test_what_else_a_column_of_sqlite_may_hold(sqlite_url: str) -> None:
    methods = (*TEXT_METHODS, Method("round", 1), Method("round", 5), Method("round", 10), Method("round", 10**20))
    with opened(sqlite_url) as bench:
        cases: list[tuple[str, Family, tuple[str, ...]]] = [
            ("TEXT", Family.TEXT, ("x", "2020-01-01")),
            ("UUID", Family.TEXT, ("x", "10")),
            ("INTEGER", Family.INTEGER, ("10", "-1", str(2**64))),
            ("REAL", Family.FLOAT, ("10", "1.5", "-0.0")),
            ("DECIMAL(10,2)", Family.DECIMAL, ("10.00", "1.5", "1e300", str(2**70))),
            ("BOOLEAN", Family.BOOLEAN, ("true", "false")),
            ("DATE", Family.TEXT_DATE, ("2020-01-01",)),
            ("JSON", Family.JSON, ('{"a": 1}', "[1]", "10", "null")),
            ("BLOB", Family.BINARY, ()),
        ]
        for sql_type, family, constants in cases:
            relation = bench.table(column(sql_type, family))
            bench.fill(relation, ANYTHING)
            others = (method for method in methods if method.name != "constant")
            # A text of numbers only is a number in these columns, and SQLite's writes it its own way.
            bench.agree(relation, *others, *(Method("constant", constant) for constant in constants))


def test_text_that_is_no_utf8_stops_nothing(sqlite_url: str) -> None:
    with opened(sqlite_url) as bench:
        relation = bench.table(column("TEXT", Family.TEXT))
        bench.fill(
            relation, [Literal(f"CAST(x'{raw}' AS TEXT)") for raw in ("ff", "616e6f6e2dff", "c3", "323032302dff")]
        )
        bench.agree(relation, *TEXT_METHODS)


MOMENTS = tuple(
    f"{day}{time}"
    for day in ("2020-01-01", "2020-02-01", "2020-02-29", "1969-12-31", "0001-01-01", "9999-12-31", "1000-01-01")
    for time in ("", " 00:00:01", " 00:00:00.000001", " 23:59:59.999999", " 12:00:00")
)
TRUNCATE = tuple(Method("truncate", unit) for unit in ("year", "month", "day"))
MOMENT_CONSTANTS = tuple(
    Method("constant", text) for text in ("2020-01-01", "2020-01-01T12:00:00", "2020-01-01 00:00:00.000001")
)


def test_dates_and_timestamps(typed: Bench) -> None:
    naive = "timestamp without time zone" if typed.dialect == "postgresql" else "datetime(6)"
    instant = "timestamp with time zone" if typed.dialect == "postgresql" else "timestamp(6)"
    relation = typed.table(column("date", Family.DATE))
    typed.fill(relation, [None, *(moment[:10] for moment in MOMENTS)])
    typed.agree(relation, *TRUNCATE, Method("constant", "2020-01-01"))
    relation = typed.table(column(naive, Family.NAIVE))
    typed.fill(relation, [None, *MOMENTS])
    typed.agree(relation, *TRUNCATE, *MOMENT_CONSTANTS)
    relation = typed.table(column(instant, Family.INSTANT))
    wide = typed.dialect == "postgresql"
    typed.fill(relation, [None, *(moment for moment in MOMENTS if wide or moment.startswith("2020"))])
    typed.agree(relation, *TRUNCATE, *MOMENT_CONSTANTS, Method("constant", "2020-01-01T02:00:00+02:00"))


def test_moments_beyond_python(postgresql_url: str) -> None:
    far = ("infinity", "-infinity", "0044-01-01 BC", "4713-01-01 BC", "10000-01-01", "9999-12-31", "0001-01-01")
    with opened(postgresql_url) as bench:
        for sql_type, family, most in [
            ("date", Family.DATE, "5874897-01-01"),
            ("timestamp without time zone", Family.NAIVE, "294276-01-01"),
            ("timestamp with time zone", Family.INSTANT, "294276-01-01"),
        ]:
            relation = bench.table(column(sql_type, family))
            bench.fill(relation, [*far, most])
            bench.agree(relation, *TRUNCATE, Method("constant", "0001-01-01"), Method("constant", "9999-12-31"))


def test_zero_dates(mariadb_url: str) -> None:
    with opened(mariadb_url) as bench:
        bench.run("SET SESSION sql_mode = 'ALLOW_INVALID_DATES'")
        days = ("0000-00-00", "2020-00-00", "2020-00-01", "2020-01-00", "0000-01-01", "2020-02-31", "0001-01-01")
        relation = bench.table(column("date", Family.DATE))
        bench.fill(relation, days)
        bench.agree(relation, *TRUNCATE, Method("constant", "2020-01-01"))
        relation = bench.table(column("datetime", Family.NAIVE))
        bench.fill(relation, [*days, *(f"{day} 10:00:00" for day in days)])
        bench.agree(relation, *TRUNCATE, Method("constant", "2020-01-01"))


ROUND = tuple(Method("round", bucket) for bucket in (1, 5, 1000, 2**63 - 1, 2**63, 10**30))
WHOLE = (0, 1, -1, 5, -5, 999, 1000, -1000, 1001, 2**31 - 1)
LARGE = (2**63 - 1, -(2**63), 2**53, 2**53 + 1)
FRACTIONS = ("0", "0.5", "-0.5", "5", "-5", "1000", "1000.0001", "999.9999", "-1000", "0.1", "123456789012345.5")


def number_columns(dialect: str) -> list[tuple[Column, Sequence[object]]]:
    double = (*map(float, FRACTIONS), 1e300, -1e300, 5e-324, float(2**53 - 1), float(2**53), float(-(2**53)), 1e18)
    single = (0.0, 0.5, -5.0, 1000.0, 999.5, 16384.0, 0.1, -0.1)
    if dialect == "postgresql":
        special = (Literal("'NaN'"), Literal("'Infinity'"), Literal("'-Infinity'"))
        huge = Literal("1" + "0" * 60 + ".5"), Literal("1" + "0" * 60), Literal("1e1000"), Literal("1e-1000")
        close = (1000.0000000000001, 1234567890123456.0, 9007199254740991.0)
        return [
            (column("smallint", Family.INTEGER), (0, 5, -5, 1000, 32767)),
            (column("bigint", Family.INTEGER), (*WHOLE, *LARGE)),
            (column("numeric", Family.DECIMAL), (*map(Literal, FRACTIONS), *special, *huge)),
            (column("numeric(10,2)", Family.DECIMAL), (Literal("0.10"), Literal("1000"), Literal("5.01"))),
            (column("real", Family.FLOAT), (*single, *special, 1.23e10, 16777216.0, 1234567.0, 3e38, 1e-40)),
            (column("double precision", Family.FLOAT), (*double, *close, *special)),
        ]
    return [
        (column("int", Family.INTEGER), WHOLE),
        (column("bigint", Family.INTEGER), (*WHOLE, *LARGE)),
        (column("bigint unsigned", Family.INTEGER), (0, 5, 2**63, 2**64 - 1)),
        (column("decimal(30,4)", Family.DECIMAL), tuple(map(Literal, FRACTIONS))),
        (column("float", Family.FLOAT), (*single, 1.23e10)),
        (column("double", Family.FLOAT), (*double, 1000.0000000000001, 1234567890123456.0)),
    ]


def test_numbers(typed: Bench) -> None:
    for number_column, values in number_columns(typed.dialect):
        relation = typed.table(number_column)
        typed.fill(relation, [None, *values])
        constants = ["0", "5", "-5", "1000", "+5", str(2**63), str(10**40)]
        if number_column.family is not Family.INTEGER:
            constants += ["0.1", "-0.1", "0.5", "1000.0001", "1e300", "1e-40"]
        if number_column.family is Family.DECIMAL:
            # What a column would round is tested with what it stores.
            constants = [text for text in constants if text not in ("1000.0001", "1e-40")]
        typed.agree(relation, *ROUND, *(Method("constant", text) for text in constants))


def test_booleans(bench: Bench) -> None:
    sql_type = {"postgresql": "boolean", "mariadb": "tinyint(1)", "sqlite": "BOOLEAN"}[bench.dialect]
    relation = bench.table(column(sql_type, Family.BOOLEAN))
    bench.fill(relation, [None, True, False] if bench.dialect == "postgresql" else [None, 0, 1, 2, -1])
    bench.agree(relation, Method("empty"), *(Method("constant", text) for text in ("true", "False", "1", "0")))


def test_the_float_of_mariadb_that_hides_its_digits(mariadb_url: str) -> None:
    """The driver reads 1234570; writing that finishes the row, which it is not yet."""
    with opened(mariadb_url) as bench:
        relation = bench.table(column("float", Family.FLOAT))
        bench.fill(relation, [1234567.0, 1234570.0, 16777216.0])
        assert [done for _, done in bench.answers(relation, Method("round", 10))] == [0, 1, 0]


def test_addresses(bench: Bench) -> None:
    v4 = ("192.0.2.0", "192.0.2.1", "0.0.0.0", "255.255.255.255")
    v6 = ("::", "::1", "2001:db8::", "2001:db8:1::", "2001:db8:1:2::", "fe80::1", "1:0:3::", "::1.2.3.0", "0:0:1::")
    methods = (Method("network"), *(Method("constant", text) for text in ("192.0.2.0", "2001:DB8:1:0::", "::")))
    if bench.dialect == "postgresql":
        relation = bench.table(column("inet", Family.INET))
        bench.fill(relation, [None, *v4, *v6, "192.0.2.0/24", "192.0.2.1/24", "2001:db8:1::/48"])
        bench.agree(relation, *methods, Method("constant", "192.0.2.0/24"), Method("constant", "fe80::1%eth0"))
        bench.agree(relation, Method("random"), Method("domain"), Method("prefix", 9), Method("mask", 1))
        relation = bench.table(column("cidr", Family.INET))
        bench.fill(relation, [None, *v4, "192.0.2.0/24", "10.0.0.0/8", "2001:db8:1::/48"])
        bench.agree(relation, *methods, Method("constant", "192.0.2.0/24"))
    if bench.dialect == "mariadb":
        relation = bench.table(column("inet6", Family.INET))
        bench.fill(relation, [None, *v6, "::ffff:192.0.2.0", "::ffff:192.0.2.1"])
        bench.agree(relation, *methods, Method("random"), Method("domain"), Method("prefix", 9))
        relation = bench.table(column("inet4", Family.INET))
        bench.fill(relation, [None, *v4])
        bench.agree(relation, *methods)


def test_uuids(typed: Bench) -> None:
    one, other = "6f9619ff-8b86-d011-b42d-00c04fc964ff", "00000000-0000-0000-0000-000000000000"
    relation = typed.table(column("uuid", Family.UUID))
    typed.fill(relation, [None, one, other])
    typed.agree(relation, Method("constant", one.upper()), Method("constant", other), Method("prefix", 36))
    typed.agree(relation, Method("token"), Method("domain"), Method("prefix", 35))


def test_documents(bench: Bench) -> None:
    sql_types = {"postgresql": ("json", "jsonb"), "mariadb": ("json",), "sqlite": ("JSON", "TEXT")}[bench.dialect]
    for sql_type in sql_types:
        relation = bench.table(column(sql_type, Family.JSON))
        deep = [] if bench.dialect == "mariadb" else ["[" * 200 + "]" * 200]
        bench.fill(relation, [None, *DOCUMENTS, *deep, "[" * 31 + "]" * 31])
        constants = JSON_CONSTANTS
        if bench.dialect == "postgresql":
            # The driver hands documents over: null as None, and a text without its quotes.
            bench.run(f"DELETE FROM {relation.name} WHERE c::text = 'null'")
            constants = tuple(method for method in constants if method.argument != '"x"')
        bench.agree(relation, *constants)


def test_documents_that_jsonb_refuses(postgresql_url: str) -> None:
    with opened(postgresql_url) as bench:
        relation = bench.table(column("json", Family.JSON))
        bench.fill(relation, ['"\\u0000"', '"\\ud800"', "1e999999", '{"a": 1}'])
        bench.run(f"INSERT INTO {relation.name} VALUES (9, repeat('1', 200000)::json)")
        table = table_of(relation)
        done = done_sql(Method("constant", '{"a":1}'), relation.column("c"), relation, table)
        assert done is not None
        assert bench.connection.scalars(sa.select(done).order_by(table.c["id"])).all() == [
            False,
            False,
            False,
            True,
            False,
        ]


def test_what_no_value_can_look_like(bench: Bench) -> None:
    """Methods that the checks refuse for a column: only NULL is done, and no statement fails."""
    types: dict[str, list[tuple[str, Family, object]]] = {
        "postgresql": [
            ("bytea", Family.BINARY, b"anon-"),
            ("time", Family.OTHER, "10:00"),
            ("jsonb", Family.JSON, "[]"),
        ],
        "mariadb": [("blob", Family.BINARY, b"anon-"), ("time", Family.OTHER, "10:00"), ("double", Family.FLOAT, 1.0)],
        "sqlite": [("BLOB", Family.BINARY, b"anon-")],
    }
    for sql_type, family, value in types[bench.dialect]:
        relation = bench.table(column(sql_type, family))
        bench.fill(relation, [None, value])
        for method in (Method("token"), Method("prefix", 50), Method("mask", 4), Method("network"), *TRUNCATE):
            assert [done for _, done in bench.answers(relation, method)] == [1, 0], (sql_type, method)


def test_only_a_marker_can_tell(bench: Bench) -> None:
    text = column("TEXT", Family.TEXT)
    relation = bench.table(text)
    for method in (Method("redact"), Method("json", inside=(("a", Method("empty")),))):
        assert done_sql(method, text, relation, table_of(relation)) is None
        assert set_sql(method, text, relation, table_of(relation)) is None


def check(bench: Bench, table: Relation, values: st.SearchStrategy[Any], *methods: Method) -> None:
    @settings(max_examples=10, database=None)
    @given(st.lists(values, min_size=1, max_size=30))
    def agrees(drawn: list[object]) -> None:
        bench.fill(table, drawn)
        bench.agree(table, *methods)

    agrees()


def test_random_texts(bench: Bench) -> None:
    prepare(bench)
    for text_column, collation in text_columns(bench.dialect)[:2]:
        wide = replace(text_column, type={"sqlite": "TEXT", "postgresql": "text"}.get(bench.dialect, "longtext"))
        methods = [method for method in TEXT_METHODS if method.name != "constant"]
        check(bench, bench.table(wide, collation), RANDOM_TEXTS, *methods, Method("constant", "a"))


def test_random_numbers(bench: Bench) -> None:
    wholes = st.integers(-(2**63), 2**63 - 1) | st.integers(-5000, 5000)
    floats = (
        st.floats(allow_nan=False, allow_infinity=False)
        | wholes.map(float)
        | st.integers(-500, 500).map(lambda n: n / 2)
    )
    real = {"sqlite": "REAL", "postgresql": "double precision"}.get(bench.dialect, "double")
    decimals = st.decimals(-(10**9), 10**9, places=4) | st.integers(-5000, 5000).map(lambda n: n * 5)
    check(bench, bench.table(column("bigint", Family.INTEGER)), wholes, *ROUND, Method("constant", "0"))
    check(bench, bench.table(column(real, Family.FLOAT)), floats, *ROUND, Method("constant", "0.5"))
    if bench.dialect != "sqlite":
        check(bench, bench.table(column("decimal(20,4)", Family.DECIMAL)), decimals, *ROUND, Method("constant", "5"))
    if bench.dialect == "postgresql":
        check(bench, bench.table(column("real", Family.FLOAT)), st.floats(width=32, allow_nan=False), *ROUND)


def test_random_moments(typed: Bench) -> None:
    starts = st.dates().map(lambda day: dt.datetime.combine(day.replace(day=1), dt.time()))
    naive = "timestamp without time zone" if typed.dialect == "postgresql" else "datetime(6)"
    check(typed, typed.table(column("date", Family.DATE)), st.dates(), *TRUNCATE)
    check(typed, typed.table(column(naive, Family.NAIVE)), st.datetimes() | starts, *TRUNCATE)
    if typed.dialect == "postgresql":
        zoned = st.datetimes(timezones=st.just(dt.UTC)) | starts.map(lambda moment: moment.replace(tzinfo=dt.UTC))
        check(typed, typed.table(column("timestamp with time zone", Family.INSTANT)), zoned, *TRUNCATE)


def test_sqlite_can_read_it_inside_much_else(sqlite_url: str) -> None:
    """Its parser gives up where a hundred symbols are open; a condition stands deep in a statement."""
    with opened(sqlite_url) as bench:
        relation = bench.table(column("TEXT", Family.TEXT))
        table = table_of(relation)
        for method in (*TEXT_METHODS, *ROUND):
            done = done_sql(method, relation.column("c"), relation, table)
            assert done is not None
            shown = str(done.compile(bench.connection, compile_kwargs={"literal_binds": True}))
            bench.run(f"SELECT {'(' * 60}{shown}{')' * 60} FROM {relation.name}")
