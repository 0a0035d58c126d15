"""What is read of a SQLite schema."""

from __future__ import annotations

import sqlite3

import pytest
from sqlalchemy import make_url

from retentiond.catalog.fingerprint import fingerprint
from retentiond.catalog.model import Check, Family, ForeignKey
from tests.database.schemas import carry_out, catalog_of, column_of

SCHEMA = (
    "CREATE TABLE base (a TEXT, b TEXT COLLATE NOCASE UNIQUE, PRIMARY KEY (b, a)) WITHOUT ROWID",
    (
        'CREATE TABLE "we ird""q" (id INTEGER PRIMARY KEY DESC, x DATE DEFAULT NULL,'
        " y VARCHAR(20) CHECK (y <> ')' /* ) */), z TEXT, -- a comment, with CHECK (nothing)\n"
        ' CONSTRAINT "ck 1" CHECK (x > 0), FOREIGN KEY (Z, x) REFERENCES Base DEFERRABLE INITIALLY DEFERRED)'
    ),
    (
        "CREATE TABLE plain (id INTEGER PRIMARY KEY, g TEXT AS (upper(n)) VIRTUAL, n TEXT NOT NULL, up INTEGER"
        " REFERENCES PLAIN(ID) ON DELETE SET NULL)"
    ),
    "CREATE UNIQUE INDEX part ON plain (n) WHERE up IS NOT NULL",
    "CREATE UNIQUE INDEX expr ON plain (lower(n))",
    "CREATE TABLE loose (id TEXT PRIMARY KEY, n)",
    "CREATE TABLE strict_one (id INT PRIMARY KEY) STRICT",
    "CREATE VIEW seen AS SELECT n, length(n) AS l FROM plain",
    "CREATE VIEW broken AS SELECT * FROM nowhere",
    "CREATE VIRTUAL TABLE words USING fts5(n)",
    "CREATE TRIGGER remember AFTER DELETE ON PLAIN WHEN OLD.n > 'x' BEGIN INSERT INTO LOOSE VALUES (OLD.id, 1); END",
    "CREATE TRIGGER through INSTEAD OF UPDATE OF n ON seen BEGIN SELECT 1; END",
    "CREATE TABLE retentiond_fence (job TEXT PRIMARY KEY)",
)


def test_tables_of_all_kinds(sqlite_url: str) -> None:
    carry_out(sqlite_url, *SCHEMA)
    catalog = catalog_of(sqlite_url)
    kinds = {name: table.kind for name, table in catalog.tables.items() if not name.startswith("words_")}
    assert kinds == {
        "base": "table",
        "broken": "view",
        "loose": "table",
        "plain": "table",
        "seen": "view",
        "strict_one": "table",
        'we ird"q': "table",
        "words": "foreign",
    }
    assert {table.kind for name, table in catalog.tables.items() if name.startswith("words_")} == {"foreign"}
    assert (catalog.dialect, catalog.default_schema, catalog.complete) == ("sqlite", None, True)
    assert [column.name for column in catalog.tables["seen"].columns] == ["n", "l"]
    assert [column.name for column in catalog.tables["words"].columns] == ["n"]


def test_keys(sqlite_url: str) -> None:
    carry_out(sqlite_url, *SCHEMA)
    catalog = catalog_of(sqlite_url)
    assert catalog.tables["base"].primary_key == ("b", "a")
    # No column named and another spelling: the primary key of the table as its own CREATE spells it.
    expected = ForeignKey('we ird"q(z, x)', 'we ird"q', ("z", "x"), "base", ("b", "a"), deferrable=True)
    assert catalog.incoming["base"] == (expected,)
    assert catalog.incoming["plain"] == (ForeignKey("plain(up)", "plain", ("up",), "plain", ("id",), "SET NULL"),)
    indexes = {index.name: index for index in catalog.tables["plain"].indexes}
    assert indexes["part"].where == "up IS NOT NULL"
    assert indexes["expr"].columns == (None,)
    assert catalog.tables["base"].is_unique(("b",))
    assert not catalog.tables["plain"].is_unique(("n",))


@pytest.mark.parametrize(
    ("table", "column", "nullable", "default"),
    [
        ("plain", "id", False, True),  # the rowid
        ("loose", "id", True, False),  # SQLite lets NULL into such a key
        ("strict_one", "id", False, False),
        ("base", "a", False, False),
        ('we ird"q', "id", True, False),  # INTEGER PRIMARY KEY DESC is no rowid
        ("plain", "n", False, False),
    ],
)
def test_which_columns_may_be_empty(sqlite_url: str, table: str, column: str, nullable: bool, default: bool) -> None:
    carry_out(sqlite_url, *SCHEMA)
    found = column_of(catalog_of(sqlite_url).tables[table], column)
    assert (found.nullable, found.default) == (nullable, default)


def test_what_only_the_text_says(sqlite_url: str) -> None:
    carry_out(sqlite_url, *SCHEMA)
    catalog = catalog_of(sqlite_url)
    assert catalog.tables['we ird"q'].checks == (
        Check('we ird"q_check', "CHECK (y <> ')' /* ) */)"),
        Check("ck 1", "CHECK (x > 0)"),
    )
    assert column_of(catalog.tables["base"], "b").collation == "NOCASE"
    assert column_of(catalog.tables["plain"], "g").generated
    (trigger,) = catalog.tables["plain"].triggers
    assert (trigger.timing, trigger.events, trigger.touches) == ("AFTER", ("DELETE",), ("loose",))
    (through,) = catalog.tables["seen"].triggers
    assert (through.timing, through.events, through.touches) == ("INSTEAD OF", ("UPDATE",), ())


@pytest.mark.parametrize(
    ("declared", "family", "length"),
    [
        ("DATE", Family.TEXT_DATE, None),
        ("datetime", Family.TEXT_DATETIME, None),
        ("TIMESTAMP WITH TIME ZONE", Family.TEXT_DATETIME, None),
        ("TIMESTAMP(6)", Family.TEXT_DATETIME, None),
        ("INTEGER", Family.INTEGER, None),
        ("UNSIGNED BIG INT", Family.INTEGER, None),
        ("tinyint(1)", Family.INTEGER, None),
        ("BOOLEAN", Family.BOOLEAN, None),
        ("NVARCHAR(40)", Family.TEXT, 40),
        ("CHARACTER VARYING (7)", Family.TEXT, 7),
        ("CLOB", Family.TEXT, None),
        ("DOUBLE PRECISION", Family.FLOAT, None),
        ("DECIMAL(10,2)", Family.DECIMAL, None),
        ("NUMERIC", Family.DECIMAL, None),
        ("BLOB", Family.BINARY, None),
        ("UUID", Family.TEXT, None),
        ("JSON", Family.JSON, None),
        ("TIME", Family.OTHER, None),
        ("", Family.OTHER, None),
    ],
)
def test_declared_types(sqlite_url: str, declared: str, family: Family, length: int | None) -> None:
    carry_out(sqlite_url, f"CREATE TABLE t (id INTEGER PRIMARY KEY, c {declared})")
    column = column_of(catalog_of(sqlite_url).tables["t"], "c")
    assert (column.family, column.length) == (family, length)


def test_estimates_come_from_analyze(sqlite_url: str) -> None:
    carry_out(sqlite_url, "CREATE TABLE t (id INTEGER PRIMARY KEY, n TEXT)", "CREATE INDEX i ON t (n)")
    carry_out(sqlite_url, "INSERT INTO t (n) VALUES ('a'), ('b'), ('c')")
    assert catalog_of(sqlite_url).tables["t"].estimated_rows is None
    carry_out(sqlite_url, "ANALYZE")
    assert catalog_of(sqlite_url).tables["t"].estimated_rows == 3


def test_a_table_whose_module_is_missing_does_not_hide_the_others(sqlite_url: str) -> None:
    carry_out(sqlite_url, "CREATE TABLE t (id INTEGER PRIMARY KEY)")
    raw = sqlite3.connect(make_url(sqlite_url).database or "")
    raw.execute("PRAGMA writable_schema = ON")
    raw.execute("INSERT INTO sqlite_schema VALUES ('table', 'm', 'm', 0, 'CREATE VIRTUAL TABLE m USING missing(a)')")
    raw.commit()
    raw.close()
    tables = catalog_of(sqlite_url).tables
    assert (tables["m"].kind, tables["m"].columns) == ("foreign", ())
    assert tables["t"].primary_key == ("id",)


@pytest.mark.parametrize(
    ("change", "bears"),
    [
        ("ALTER TABLE plain ADD COLUMN phone TEXT", True),
        ("DROP TRIGGER remember", True),
        ("CREATE TABLE late (p INTEGER REFERENCES plain)", True),
        ("DROP INDEX part", True),
        ("CREATE INDEX more ON plain (up)", False),
        ("CREATE TABLE unrelated (id INTEGER)", False),
        ("INSERT INTO plain (n) VALUES ('a')", False),
    ],
)
def test_the_fingerprint_sees_what_bears_on_rows(sqlite_url: str, change: str, bears: bool) -> None:
    carry_out(sqlite_url, *SCHEMA)
    before = fingerprint(catalog_of(sqlite_url), ["plain"])
    carry_out(sqlite_url, change)
    assert (fingerprint(catalog_of(sqlite_url), ["plain"]) != before) == bears


def test_reading_twice_is_equal(sqlite_url: str) -> None:
    carry_out(sqlite_url, *SCHEMA)
    assert catalog_of(sqlite_url) == catalog_of(sqlite_url)


@pytest.mark.parametrize("name", ["select", "Ünï", "a.b", 'q"q', "x" * 200, "per%cent", "co:lon", "[b]", "it's"])
def test_names_of_all_sorts(sqlite_url: str, name: str) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    carry_out(sqlite_url, f"CREATE TABLE {quoted} ({quoted} INTEGER PRIMARY KEY, up INTEGER REFERENCES {quoted})")
    catalog = catalog_of(sqlite_url)
    assert (catalog.tables[name].primary_key, catalog.incoming[name][0].referenced_columns) == ((name,), (name,))
