"""Every session is set up as promised, whatever the server or the URL says."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import make_url, text

from retentiond.catalog.connections import open_engine
from retentiond.catalog.faults import errors_of
from retentiond.errors import FailedError, TransientError, UsageError
from tests.database.schemas import as_user, carry_out, source

EXPECTED_POSTGRESQL = {
    "search_path": "pg_catalog, pg_temp",
    "row_security": "off",
    "TimeZone": "UTC",
    "synchronous_commit": "on",
    "transaction_isolation": "read committed",
    "lock_timeout": "1s",
    "statement_timeout": "30s",
    "application_name": "retentiond",
    "standard_conforming_strings": "on",
    "client_encoding": "UTF8",
}


@pytest.mark.postgresql
@pytest.mark.parametrize("read_only", [True, False])
def test_settings_of_a_postgresql_session(postgresql_url: str, read_only: bool) -> None:
    name = make_url(postgresql_url).database
    carry_out(postgresql_url, f"ALTER DATABASE {name} SET standard_conforming_strings = off")
    carry_out(postgresql_url, f"ALTER DATABASE {name} SET TimeZone = 'Asia/Tokyo'")
    with source(postgresql_url, read_only=read_only) as engine, engine.connect() as connection:
        found = {name: connection.scalar(text(f"SHOW {name}")) for name in EXPECTED_POSTGRESQL}
        assert found == EXPECTED_POSTGRESQL
        assert connection.scalar(text("SHOW transaction_read_only")) == ("on" if read_only else "off")
        connection.rollback()  # what was set must survive it
        assert connection.scalar(text("SHOW TimeZone")) == "UTC"


@pytest.mark.mariadb
@pytest.mark.parametrize("read_only", [True, False])
@pytest.mark.parametrize("scheme", ["mysql", "mariadb", "mysql+pymysql"])
def test_settings_of_a_mariadb_session(mariadb_url: str, read_only: bool, scheme: str) -> None:
    url = make_url(mariadb_url).set(drivername=scheme).render_as_string(hide_password=False)
    with source(url, read_only=read_only) as engine, engine.connect() as connection:
        asked = (
            "SELECT @@sql_mode, @@time_zone, @@collation_connection, @@tx_isolation, @@tx_read_only,"
            " @@max_statement_time, @@innodb_lock_wait_timeout, @@foreign_key_checks"
        )
        mode, *rest = connection.execute(text(asked)).one()
        assert set(mode.split(",")) == {"STRICT_ALL_TABLES", "STRICT_TRANS_TABLES", "NO_ENGINE_SUBSTITUTION"}
        assert rest == ["+00:00", "utf8mb4_bin", "READ-COMMITTED", int(read_only), 30, 1, 1]


def test_a_reader_cannot_write(engine_url: str) -> None:
    carry_out(engine_url, "CREATE TABLE people (id INTEGER PRIMARY KEY)")
    table = "public.people" if engine_url.startswith("postgresql") else "people"
    with source(engine_url) as engine, engine.connect() as connection:
        with pytest.raises(FailedError) as raised, errors_of("crm"):
            connection.execute(text(f"INSERT INTO {table} VALUES (1)"))
        assert raised.value.code in ("25006", "1792", "SQLITE_READONLY")


def test_a_statement_that_takes_too_long_is_stopped(engine_url: str) -> None:
    endless = {
        "sqlite": "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n",
        "postgresql": "SELECT pg_sleep(30)",
        "mysql": "SELECT sum(a.seq * b.seq) FROM seq_1_to_1000000 AS a, seq_1_to_1000000 AS b",
    }[make_url(engine_url).get_backend_name()]
    carry_out(engine_url, "CREATE TABLE people (id INTEGER PRIMARY KEY)")
    began = time.monotonic()
    with source(engine_url, statement_seconds=0.3) as engine, engine.connect() as connection:
        with pytest.raises(TransientError) as raised, errors_of("crm"):
            connection.execute(text(endless)).all()
        assert raised.value.code in ("57014", "1969", "SQLITE_INTERRUPT")
    assert time.monotonic() - began < 10


def test_a_lock_is_not_waited_for_longer_than_said(engine_url: str) -> None:
    carry_out(engine_url, "CREATE TABLE people (id INTEGER PRIMARY KEY, n INTEGER)", "INSERT INTO people VALUES (1, 1)")
    table = "public.people" if engine_url.startswith("postgresql") else "people"
    change = text(f"UPDATE {table} SET n = n + 1 WHERE id = 1")
    with (
        source(engine_url, read_only=False) as engine,
        engine.connect() as first,
        engine.connect() as second,
        first.begin(),
    ):
        first.execute(change)
        with pytest.raises(TransientError) as raised, errors_of("crm"), second.begin():
            second.execute(change)
        assert raised.value.code in ("55P03", "1205", "SQLITE_BUSY")


@pytest.mark.mariadb
def test_dates_that_are_none_come_as_text_from_mariadb(mariadb_url: str) -> None:
    carry_out(
        mariadb_url,
        "SET SESSION sql_mode = ''",
        "CREATE TABLE z (id INT PRIMARY KEY, d DATE, t DATETIME, s TIMESTAMP NULL, b VARCHAR(9) COLLATE utf8mb4_bin)",
    )
    with source(mariadb_url, read_only=False) as engine, engine.begin() as connection:
        connection.execute(text("INSERT INTO z VALUES (1, '0000-00-00', '0000-00-00 00:00:00', NULL, 'ä')"))
        connection.execute(text("INSERT INTO z VALUES (2, '2020-00-00', '2020-01-00 10:00:00', NULL, 'b')"))
        connection.execute(text("INSERT INTO z VALUES (3, '2020-02-29', '2020-01-01 10:00:00.5', NULL, 'c')"))
        assert [tuple(row) for row in connection.execute(text("SELECT d, t, b FROM z ORDER BY id"))] == [
            ("0000-00-00", "0000-00-00 00:00:00", "ä"),
            ("2020-00-00", "2020-01-00 10:00:00", "b"),
            (date(2020, 2, 29), datetime(2020, 1, 1, 10, 0), "c"),  # noqa: DTZ001 – the column has no zone
        ]
        # A strict session may still ask for them in a statement that deletes.
        assert connection.execute(text("DELETE FROM z WHERE d = '0000-00-00'")).rowcount == 1


@pytest.mark.postgresql
@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("'infinity'::date", "infinity"),
        ("'-infinity'::timestamptz", "-infinity"),
        ("'0044-03-15 BC'::date", "0044-03-15 BC"),
        ("'0044-03-15 12:00 BC'::timestamp", "0044-03-15 12:00:00 BC"),
        ("'10000-01-01'::date", "10000-01-01"),
        ("'100011-01-01 00:00'::timestamptz", "100011-01-01 00:00:00+00"),
        ("'24:00'::time", "24:00:00"),
        ("'2020-02-29'::date", date(2020, 2, 29)),
        ("'2020-02-29 23:59:59.5'::timestamp", datetime(2020, 2, 29, 23, 59, 59, 500_000)),  # noqa: DTZ001
        ("'2020-02-29 23:59:59+02'::timestamptz", datetime(2020, 2, 29, 21, 59, 59, tzinfo=UTC)),
    ],
)
def test_dates_python_cannot_hold_come_as_text_from_postgresql(
    postgresql_url: str, expression: str, expected: object
) -> None:
    with source(postgresql_url) as engine, engine.connect() as connection:
        found = connection.scalar(text(f"SELECT {expression}"))
    assert found == expected
    if isinstance(found, datetime) and isinstance(expected, datetime):
        assert found.utcoffset() == expected.utcoffset()


@pytest.mark.postgresql
def test_a_role_that_acts_as_a_replica_is_refused(postgresql_url: str) -> None:
    name = make_url(postgresql_url).database
    carry_out(postgresql_url, f"ALTER DATABASE {name} SET session_replication_role = replica")
    with source(postgresql_url) as engine, pytest.raises(FailedError) as raised:
        engine.connect()
    assert raised.value.code == "replication-role"


@pytest.mark.postgresql
def test_a_trigger_function_that_needs_a_search_path_is_named_as_the_cause(postgresql_url: str) -> None:
    carry_out(
        postgresql_url,
        "CREATE TABLE people (id int PRIMARY KEY)",
        "CREATE TABLE gone (id int)",
        "CREATE FUNCTION remember() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN INSERT INTO gone VALUES (OLD.id); RETURN OLD; END $$",
        "CREATE TRIGGER remember BEFORE DELETE ON people FOR EACH ROW EXECUTE FUNCTION remember()",
        "INSERT INTO people VALUES (1)",
    )
    delete = text("DELETE FROM public.people WHERE id = 1")
    with source(postgresql_url, read_only=False) as engine:
        with pytest.raises(FailedError, match="trigger function") as raised, errors_of("crm"), engine.begin() as first:
            first.execute(delete)
        assert "search_path" in raised.value.hint
        carry_out(postgresql_url, "ALTER FUNCTION remember() SET search_path = public")
        with engine.begin() as second:
            assert second.execute(delete).rowcount == 1


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("", "bad-url"),
        ("nonsense", "bad-url"),
        ("oracle://scott:tiger@db/x", "unknown-dialect"),
        ("sqlite://", "bad-url"),
        ("sqlite:///:memory:", "bad-url"),
        ("sqlite:////tmp/x.db?mode=rwc", "bad-url"),
    ],
)
def test_urls_that_cannot_be_used(url: str, code: str) -> None:
    with pytest.raises(UsageError) as raised:
        open_engine(url, read_only=True, statement_seconds=1, lock_seconds=1)
    assert raised.value.code == code
    assert "tiger" not in str(raised.value)


@pytest.mark.postgresql
@pytest.mark.mariadb
@pytest.mark.parametrize("engine", ["postgresql", "mariadb"])
def test_a_wrong_login_is_a_matter_of_settings(
    engine: str, postgresql_url: str, mariadb_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = as_user(postgresql_url if engine == "postgresql" else mariadb_url, "no_such_person")
    wrong = open_engine(url, read_only=True, password="hunter2", statement_seconds=1, lock_seconds=1)
    with pytest.raises(UsageError) as raised, errors_of("crm"):
        wrong.connect()
    assert "hunter2" not in str(raised.value) + repr(wrong)


def test_a_server_that_is_not_there_may_come_back() -> None:
    for url in ("postgresql://x@127.0.0.1:1/x", "mysql://x@127.0.0.1:1/x"):
        engine = open_engine(url, read_only=True, statement_seconds=1, lock_seconds=1)
        with pytest.raises(TransientError), errors_of("crm"):
            engine.connect()


# SQLite


def test_no_sqlite_file_is_ever_made(tmp_path: Path) -> None:
    for read_only in (True, False):
        engine = open_engine(f"sqlite:///{tmp_path}/typo.db", read_only=read_only, statement_seconds=1, lock_seconds=1)
        with pytest.raises(UsageError):
            engine.connect()
    assert list(tmp_path.iterdir()) == []


def test_a_sqlite_path_may_hold_anything(tmp_path: Path) -> None:
    path = tmp_path / "a b?mode=rwc&x=%41#ü.db"
    sqlite3.connect(path).close()
    path.write_bytes(b"")  # an empty file is an empty database
    url = sa.URL.create("sqlite", database=str(path))
    engine = open_engine(url, read_only=False, statement_seconds=1, lock_seconds=1)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t (id INTEGER PRIMARY KEY)"))
    assert path.stat().st_size > 0


def test_sqlite_transactions_are_real(sqlite_url: str) -> None:
    carry_out(sqlite_url, "CREATE TABLE t (id INTEGER PRIMARY KEY)", "PRAGMA journal_mode = WAL")
    with source(sqlite_url, read_only=False) as writer, source(sqlite_url) as reader:
        with reader.connect() as reading:
            assert reading.scalar(text("SELECT count(*) FROM t")) == 0
            with writer.begin() as writing:
                writing.execute(text("INSERT INTO t VALUES (1)"))
            # The reader's transaction still sees the moment it began with.
            assert reading.scalar(text("SELECT count(*) FROM t")) == 0
        with writer.connect() as writing:
            writing.execute(text("INSERT INTO t VALUES (2)"))
            writing.rollback()
        with reader.connect() as reading:
            assert reading.scalars(text("SELECT id FROM t")).all() == [1]


def test_sqlite_enforces_foreign_keys_and_cascades_into_itself(sqlite_url: str) -> None:
    carry_out(
        sqlite_url,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, up INTEGER REFERENCES t ON DELETE CASCADE)",
        "INSERT INTO t VALUES (1, NULL), (2, 1), (3, 2), (4, 3)",
    )
    with source(sqlite_url, read_only=False) as engine, engine.begin() as connection:
        connection.execute(text("DELETE FROM t WHERE id = 1"))
        assert connection.scalar(text("SELECT count(*) FROM t")) == 0


def test_our_functions_know_unicode_and_leave_the_built_in_ones_alone(sqlite_url: str) -> None:
    carry_out(
        sqlite_url,
        "CREATE TABLE p (id INTEGER PRIMARY KEY, e TEXT, g TEXT AS (lower(e)) STORED, CHECK (upper(e) <> 'X'))",
        "CREATE INDEX i ON p (lower(e))",
        "INSERT INTO p (e) VALUES ('ÄB'), ('CD')",
    )
    with source(sqlite_url, read_only=False) as engine, engine.begin() as connection:
        found = connection.execute(
            text("SELECT lower(e), retentiond_lower(e), retentiond_upper('straße') FROM p")
        ).all()
        assert [tuple(row) for row in found] == [("Äb", "äb", "STRASSE"), ("cd", "cd", "STRASSE")]
        # An index over the built-in lower() stays whole.
        connection.execute(text("UPDATE p SET e = 'ÜÜ' WHERE id = 2"))
        connection.execute(text("DELETE FROM p WHERE id = 1"))
        assert connection.scalar(text("PRAGMA integrity_check")) == "ok"


@pytest.mark.parametrize(
    "value",
    [
        "NULL",
        "12",
        "-3",
        "1.5",
        "1e20",
        "1e-7",
        "123456789012345678.0",
        "-0.0",
        "1e15",
        "9e999",
        "x'4142'",
        "0.1",
        "'aB'",
    ],
)
def test_our_functions_read_other_values_as_sqlite_does(sqlite_url: str, value: str) -> None:
    carry_out(sqlite_url, "CREATE TABLE t (id INTEGER PRIMARY KEY)")
    asked = f"SELECT lower({value}) IS retentiond_lower({value}), upper({value}), retentiond_upper({value})"
    with source(sqlite_url) as engine, engine.connect() as connection:
        same, expected, found = connection.execute(text(asked)).one()
    assert same
    assert found == (expected if value not in ("1e20", "1e-7", "123456789012345678.0", "1e15") else expected.upper())


def test_bytes_that_are_no_text_do_not_stop_the_other_rows(sqlite_url: str) -> None:
    carry_out(sqlite_url, "CREATE TABLE t (id INTEGER PRIMARY KEY, n TEXT)")
    carry_out(sqlite_url, "INSERT INTO t VALUES (1, 'a'), (2, CAST(x'ff41' AS TEXT)), (3, 'a' || char(0) || 'b')")
    with source(sqlite_url) as engine, engine.connect() as connection:
        assert connection.scalars(text("SELECT n FROM t ORDER BY id")).all() == ["a", "\udcffA", "a\0b"]


def test_a_full_text_index_fed_by_triggers_goes_on_working(sqlite_url: str) -> None:
    carry_out(
        sqlite_url,
        "CREATE TABLE p (id INTEGER PRIMARY KEY, e TEXT)",
        "CREATE VIRTUAL TABLE f USING fts5(e, content='p', content_rowid='id')",
        "CREATE TRIGGER ti AFTER INSERT ON p BEGIN INSERT INTO f (rowid, e) VALUES (NEW.id, NEW.e); END",
        "CREATE TRIGGER td AFTER DELETE ON p BEGIN INSERT INTO f (f, rowid, e) VALUES ('delete', OLD.id, OLD.e); END",
        "INSERT INTO p VALUES (1, 'word')",
    )
    with source(sqlite_url, read_only=False) as engine, engine.begin() as connection:
        connection.execute(text("DELETE FROM p WHERE id = 1"))
        assert connection.scalar(text("SELECT count(*) FROM f WHERE f MATCH 'word'")) == 0


def test_a_mistyped_column_is_an_error_where_names_are_qualified(sqlite_url: str) -> None:
    carry_out(sqlite_url, "CREATE TABLE t (id INTEGER PRIMARY KEY, status TEXT)", "INSERT INTO t VALUES (1, 'open')")
    with source(sqlite_url) as engine, engine.connect() as connection, pytest.raises(FailedError), errors_of("crm"):
        connection.execute(text("SELECT * FROM t WHERE t.\"statsu\" <> 'closed'"))


CRASH = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size = 2")
if sys.argv[2] == "wal":
    connection.execute("INSERT INTO t VALUES (NULL, 'committed')")
connection.execute("BEGIN IMMEDIATE")
connection.execute("UPDATE t SET n = n || 'y'")
os._exit(1)
"""


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_what_a_crash_left_behind_is_named_by_readers_and_put_right_by_writers(sqlite_url: str, mode: str) -> None:
    path = Path(make_url(sqlite_url).database or "")
    carry_out(
        sqlite_url,
        f"PRAGMA journal_mode = {mode}",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n TEXT)",
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 300)"
        " INSERT INTO t SELECT x, printf('%3000d', x) FROM c",
    )
    subprocess.run([sys.executable, "-c", CRASH, str(path), mode], check=False)
    left = path.with_name(f"{path.name}-{'wal' if mode == 'wal' else 'journal'}")
    before = path.read_bytes(), left.read_bytes()
    with source(sqlite_url) as reader:
        if mode == "wal":
            with reader.connect() as connection:
                assert connection.scalar(text("SELECT count(*) FROM t WHERE n LIKE '%y'")) == 0
                assert connection.scalar(text("SELECT count(*) FROM t WHERE n = 'committed'")) == 1
        else:
            with reader.connect() as connection, pytest.raises(FailedError, match="hot journal"), errors_of("crm"):
                connection.execute(text("SELECT count(*) FROM t"))
    assert (path.read_bytes(), left.read_bytes()) == before
    with source(sqlite_url, read_only=False) as writer, writer.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM t WHERE n LIKE '%y'")) == 0


def test_nothing_of_a_session_is_left_open(sqlite_url: str) -> None:
    carry_out(sqlite_url, "CREATE TABLE t (id INTEGER PRIMARY KEY)")
    with source(sqlite_url) as engine:
        for _ in range(3):
            with engine.connect() as connection:
                connection.execute(text("SELECT * FROM t")).all()
        path = make_url(sqlite_url).database
        held = [str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink() and link.exists()]
        assert path not in held


def test_seconds_are_rounded_up() -> None:
    from retentiond.catalog.limits import Limits

    limits = Limits(
        read_only=False, statement=0.0001, lock=timedelta(milliseconds=1).total_seconds() / 10, application_name=""
    )
    assert (limits.statement_milliseconds, limits.lock_milliseconds, limits.lock_whole_seconds) == (1, 1, 1)
