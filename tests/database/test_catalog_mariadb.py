"""What is read of a MariaDB schema, and what a role with few rights is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import make_url

from retentiond.catalog.fingerprint import fingerprint
from retentiond.catalog.model import Family, ForeignKey, Partitioning
from tests.database.schemas import as_user, carry_out, catalog_of, column_of

pytestmark = pytest.mark.mariadb

SCHEMA = (
    "SET SESSION sql_mode = ''",
    (
        "CREATE TABLE z (id INT PRIMARY KEY AUTO_INCREMENT, d DATE, t DATETIME(3) DEFAULT CURRENT_TIMESTAMP ON UPDATE"
        " CURRENT_TIMESTAMP, ts TIMESTAMP NULL, n VARCHAR(10) COLLATE utf8mb4_bin, j JSON, long_one LONGTEXT,"
        " e ENUM('a','b''c'), s SET('x','y'), b BIT(1), u UUID, i4 INET4, i6 INET6, ok BOOLEAN, de DECIMAL(10,2),"
        " f DOUBLE, g INT AS (de + 1) VIRTUAL, vb VARBINARY(9), hidden INT INVISIBLE, c CHAR(3) DEFAULT 'x', y YEAR,"
        " tm TIME,"
        " CHECK (n <> 'q'), CONSTRAINT positive CHECK (de > 1), KEY prefix (long_one(10)), UNIQUE up (long_one(20)),"
        " UNIQUE un (n, d), FULLTEXT ft (long_one))"
    ),
    "CREATE TABLE `a bü.t'x` (`i d` INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES z (id) ON DELETE CASCADE)",
    "CREATE TABLE hist (id INT PRIMARY KEY) WITH SYSTEM VERSIONING",
    "CREATE TABLE my (id INT) ENGINE = MyISAM",
    "CREATE VIEW v AS SELECT id, n FROM z",
    "CREATE TABLE comp (a INT, b INT, PRIMARY KEY (b, a))",
    "CREATE TABLE comp2 (x INT, y INT, FOREIGN KEY (x, y) REFERENCES comp (b, a) ON UPDATE SET NULL)",
    (
        "CREATE TABLE par (id INT, at DATE, PRIMARY KEY (id, at)) PARTITION BY RANGE COLUMNS (at)"
        " (PARTITION p0 VALUES LESS THAN ('2020-01-01'), PARTITION pm VALUES LESS THAN MAXVALUE)"
    ),
    "CREATE TABLE by_year (at DATE) PARTITION BY RANGE (year(at)) (PARTITION old VALUES LESS THAN (2020))",
    "CREATE TRIGGER remember BEFORE DELETE ON z FOR EACH ROW INSERT INTO my VALUES (OLD.id)",
    "CREATE SEQUENCE numbers",
    "CREATE TABLE retentiond_fence (job VARCHAR(10) PRIMARY KEY)",
)


@contextmanager
def role_with(url: str, *grants: str) -> Iterator[str]:
    """The URL for a role of its own that has these rights; {db} is the database, {to} the role."""
    name = f"r_{(make_url(url).database or '')[2:14]}"
    granted = (f"GRANT {grant.format(db=make_url(url).database)} TO {name}@'%'" for grant in grants)
    carry_out(url, f"CREATE USER {name}@'%'")
    try:
        carry_out(url, *granted)
        yield as_user(url, name)
    finally:
        carry_out(url, f"DROP USER {name}@'%'")


def test_tables_of_all_kinds(mariadb_url: str) -> None:
    carry_out(mariadb_url, *SCHEMA)
    catalog = catalog_of(mariadb_url)
    assert {name: (table.kind, table.engine) for name, table in catalog.tables.items()} == {
        "a bü.t'x": ("table", "InnoDB"),
        "by_year": ("partitioned", "InnoDB"),
        "comp": ("table", "InnoDB"),
        "comp2": ("table", "InnoDB"),
        "hist": ("table", "InnoDB"),
        "my": ("table", "MyISAM"),
        "par": ("partitioned", "InnoDB"),
        "v": ("view", None),
        "z": ("table", "InnoDB"),
    }
    assert (catalog.dialect, catalog.default_schema, catalog.complete) == ("mariadb", None, True)
    assert catalog.version[:1] >= (10,)
    assert [name for name, table in catalog.tables.items() if table.system_versioned] == ["hist"]
    bounds = (("p0", "'2020-01-01'"), ("pm", "MAXVALUE"))
    assert catalog.tables["par"].partitioning == Partitioning("RANGE COLUMNS", ("at",), bounds)
    assert catalog.tables["by_year"].partitioning == Partitioning("RANGE", (None,), (("old", "2020"),))


def test_columns(mariadb_url: str) -> None:
    carry_out(mariadb_url, *SCHEMA)
    table = catalog_of(mariadb_url).tables["z"]
    assert {column.name: column.family for column in table.columns} == {
        "id": Family.INTEGER,
        "d": Family.DATE,
        "t": Family.NAIVE,
        "ts": Family.INSTANT,
        "n": Family.TEXT,
        "j": Family.JSON,
        "long_one": Family.TEXT,
        "e": Family.TEXT,
        "s": Family.TEXT,
        "b": Family.OTHER,
        "u": Family.UUID,
        "i4": Family.INET,
        "i6": Family.INET,
        "ok": Family.BOOLEAN,
        "de": Family.DECIMAL,
        "f": Family.FLOAT,
        "g": Family.INTEGER,
        "vb": Family.BINARY,
        "hidden": Family.INTEGER,
        "c": Family.TEXT,
        "y": Family.INTEGER,
        "tm": Family.OTHER,
    }
    assert [name for name in ("t", "ts", "d") if column_of(table, name).on_update] == ["t"]
    assert [column_of(table, name).length for name in ("n", "c", "vb")] == [10, 3, None]
    assert column_of(table, "e").choices == ("a", "b'c")
    assert column_of(table, "n").collation == "utf8mb4_bin"
    assert column_of(table, "g").generated
    key = column_of(table, "id")
    assert (key.identity, key.default, key.generated, key.nullable) == (True, True, False, False)
    assert [column.name for column in table.columns if column.default] == ["id", "t", "c"]
    assert {check.text for check in table.checks} == {"`n` <> 'q'", "`de` > 1", "json_valid(`j`)"}


def test_keys_indexes_and_triggers(mariadb_url: str) -> None:
    carry_out(mariadb_url, *SCHEMA)
    catalog = catalog_of(mariadb_url)
    table = catalog.tables["z"]
    assert {index.name: (index.columns, index.unique, index.method) for index in table.indexes} == {
        "prefix": ((None,), False, "btree"),
        "up": ((None,), True, "btree"),
        "un": (("n", "d"), True, "btree"),
        "ft": (("long_one",), False, "fulltext"),
    }
    assert table.is_unique(("d", "n"))
    assert not table.is_unique(("long_one",))
    assert catalog.tables["comp"].primary_key == ("b", "a")
    (key,) = catalog.incoming["comp"]
    assert (key.columns, key.referenced_columns, key.on_update) == (("x", "y"), ("b", "a"), "SET NULL")
    (trigger,) = table.triggers
    assert (trigger.timing, trigger.events, trigger.touches) == ("BEFORE", ("DELETE",), ("my",))
    assert table.triggers_known


def test_keys_from_another_database(mariadb_url: str) -> None:
    other = f"{make_url(mariadb_url).database} ü@x"
    carry_out(mariadb_url, "CREATE TABLE z (id INT PRIMARY KEY)", f"CREATE DATABASE `{other}`")
    try:
        carry_out(
            mariadb_url,
            f"CREATE TABLE `{other}`.`kind@er` (id INT PRIMARY KEY, p INT, CONSTRAINT `my fk` FOREIGN KEY (p)"
            f" REFERENCES {make_url(mariadb_url).database}.z (id) ON DELETE SET NULL ON UPDATE CASCADE)",
        )
        expected = ForeignKey("my fk", f"{other}.kind@er", ("p",), "z", ("id",), "SET NULL", "CASCADE")
        catalog = catalog_of(mariadb_url)
        assert catalog.incoming == {"z": (expected,)}
        assert list(catalog.tables) == ["z"]
        # A role that has no right on the other database finds it in InnoDB's own view.
        with role_with(mariadb_url, "SELECT, DELETE ON {db}.z", "PROCESS ON *.*") as url:
            seen = catalog_of(url)
        assert seen.incoming["z"][0].on_delete == "SET NULL"
        assert seen.incoming["z"][0].table == f"{other}.kind@er"
        assert seen.complete
        with role_with(mariadb_url, "SELECT, DELETE ON {db}.z") as url:
            blind = catalog_of(url)
        assert (blind.incoming, blind.complete) == ({}, False)
    finally:
        carry_out(mariadb_url, f"DROP DATABASE `{other}`")


def test_a_role_with_few_rights_knows_what_it_does_not_see(mariadb_url: str) -> None:
    carry_out(mariadb_url, *SCHEMA)
    full = catalog_of(mariadb_url)
    with role_with(mariadb_url, "SELECT, DELETE ON {db}.z") as url:
        seen = catalog_of(url)
    assert list(seen.tables) == ["z"]
    assert not seen.complete
    assert not seen.tables["z"].triggers_known
    # Its checks, and with them that a column is JSON, are found all the same.
    assert seen.tables["z"].columns == full.tables["z"].columns
    assert {check.text for check in seen.tables["z"].checks} == {check.text for check in full.tables["z"].checks}


@pytest.mark.parametrize(
    ("grants", "known"),
    [
        (("SELECT ON {db}.*", "TRIGGER ON {db}.z"), True),
        (("SELECT, TRIGGER ON {db}.*",), True),
        (("ALL ON {db}.*",), True),
        (("SELECT ON *.*",), False),
        (("SELECT ON {db}.*", "TRIGGER ON {db}.comp"), False),
    ],
)
def test_who_is_told_of_triggers(mariadb_url: str, grants: tuple[str, ...], known: bool) -> None:
    carry_out(mariadb_url, *SCHEMA)
    with role_with(mariadb_url, *grants) as url:
        table = catalog_of(url).tables["z"]
    assert table.triggers_known == known
    if known:
        assert table.triggers[0].touches == ("my",)


def test_a_key_whose_action_is_hidden_is_taken_for_the_worst(mariadb_url: str) -> None:
    carry_out(mariadb_url, *SCHEMA)
    with role_with(mariadb_url, "SELECT, DELETE ON {db}.comp", "SELECT ON {db}.comp2") as url:
        (key,) = catalog_of(url).incoming["comp"]
    assert (key.on_delete, key.on_update) == ("CASCADE", "CASCADE")
    with role_with(mariadb_url, "SELECT, DELETE ON {db}.comp", "SELECT ON {db}.comp2", "PROCESS ON *.*") as url:
        (key,) = catalog_of(url).incoming["comp"]
    assert (key.on_delete, key.on_update) == ("NO ACTION", "SET NULL")


@pytest.mark.parametrize(
    ("change", "bears"),
    [
        ("ALTER TABLE z ADD COLUMN phone TEXT", True),
        ("DROP TRIGGER remember", True),
        ("ALTER TABLE z MODIFY d DATETIME", True),
        ("CREATE TABLE late (p INT, FOREIGN KEY (p) REFERENCES z (id))", True),
        ("ALTER TABLE z ADD SYSTEM VERSIONING", True),
        ("ALTER TABLE z DROP INDEX ft", False),
        ("CREATE TABLE unrelated (id INT)", False),
        ("INSERT INTO z (n) VALUES ('a'), ('b')", False),
    ],
)
def test_the_fingerprint_sees_what_bears_on_rows(mariadb_url: str, change: str, bears: bool) -> None:
    carry_out(mariadb_url, *SCHEMA)
    before = fingerprint(catalog_of(mariadb_url), ["z"])
    carry_out(mariadb_url, change)
    assert (fingerprint(catalog_of(mariadb_url), ["z"]) != before) == bears


def test_reading_twice_is_equal(mariadb_url: str) -> None:
    carry_out(mariadb_url, *SCHEMA)
    assert catalog_of(mariadb_url) == catalog_of(mariadb_url)


@pytest.mark.parametrize("name", ["select", "Ünï", "a.b", "q`q", "x" * 64, "per%cent", "co:lon", "a/b", "at@at", "#x"])
def test_names_of_all_sorts(mariadb_url: str, name: str) -> None:
    quoted = "`" + name.replace("`", "``") + "`"
    carry_out(
        mariadb_url,
        f"CREATE TABLE {quoted} ({quoted} INT PRIMARY KEY, up INT, j JSON,"
        f" CONSTRAINT fk FOREIGN KEY (up) REFERENCES {quoted} ({quoted}))",
    )
    with role_with(mariadb_url, f"SELECT ON {{db}}.{quoted}", "PROCESS ON *.*") as url:
        seen = catalog_of(url)
    full = catalog_of(mariadb_url)
    for catalog in (full, seen):
        table = catalog.tables[name]
        assert (table.bare_name, table.primary_key) == (name, (name,))
        assert [key.referenced for key in catalog.incoming[name]] == [name]
        assert column_of(table, "j").family is Family.JSON
