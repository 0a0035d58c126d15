"""A database error becomes one of ours: of the right class, with the names that help, without a value of any row."""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Callable

import pytest
import sqlalchemy as sa
from sqlalchemy import make_url, text

from retentiond.catalog.faults import as_failure, describe_error, errors_of, is_connection_lost, is_database_error
from retentiond.errors import EvidenceError, FailedError, RetentiondError, TransientError, UsageError
from tests import servers
from tests.database.schemas import as_user, carry_out, source

CANARY = "canary-7Q4x@example.org"

SCHEMA = (
    (
        "CREATE TABLE people (id INTEGER PRIMARY KEY, email VARCHAR(40) UNIQUE, born DATE, n INTEGER NOT NULL,"
        " CONSTRAINT positive CHECK (n > 0))"
    ),
    "CREATE TABLE orders (id INTEGER PRIMARY KEY, person INTEGER NOT NULL, FOREIGN KEY (person) REFERENCES people(id))",
    f"INSERT INTO people VALUES (1, '{CANARY}', NULL, 1)",
    f"INSERT INTO people VALUES (2, '{CANARY}2', NULL, 1)",
    "INSERT INTO orders VALUES (1, 1)",
)

FAULTS: dict[str, tuple[str, dict[str, object], dict[str, str], str]] = {
    # name: statement, values, expected code by engine, a name that must be told
    "unique": (
        "UPDATE {s}people SET email = :v WHERE id = 2",
        {"v": CANARY},
        {"postgresql": "23505", "mysql": "1062", "sqlite": "SQLITE_CONSTRAINT_UNIQUE"},
        "email",
    ),
    "not null": (
        "UPDATE {s}people SET n = :v, email = '" + CANARY + "3' WHERE id = 2",
        {"v": None},
        {"postgresql": "23502", "mysql": "1048", "sqlite": "SQLITE_CONSTRAINT_NOTNULL"},
        "n",
    ),
    "check": (
        "UPDATE {s}people SET n = :v WHERE id = 2",
        {"v": -77771},
        {"postgresql": "23514", "mysql": "4025", "sqlite": "SQLITE_CONSTRAINT_CHECK"},
        "",
    ),
    "parent": (
        "DELETE FROM {s}people WHERE id = :v",
        {"v": 1},
        {"postgresql": "23503", "mysql": "1451", "sqlite": "SQLITE_CONSTRAINT_FOREIGNKEY"},
        "",
    ),
    "child": (
        "UPDATE {s}orders SET person = :v WHERE id = 1",
        {"v": 77772},
        {"postgresql": "23503", "mysql": "1452", "sqlite": "SQLITE_CONSTRAINT_FOREIGNKEY"},
        "",
    ),
    "cast": (
        "UPDATE {s}people SET n = CAST(CAST(:v AS TEXT) AS INTEGER) WHERE id = 2",
        {"v": CANARY},
        {"postgresql": "22P02"},
        "",
    ),
    "too long": (
        "UPDATE {s}people SET email = :v WHERE id = 2",
        {"v": CANARY * 9},
        {"postgresql": "22001", "mysql": "1406"},
        "",
    ),
    "not a date": (
        "UPDATE {s}people SET born = :v WHERE id = 2",
        {"v": CANARY},
        {"mysql": "1292"},
        "born",
    ),
    "no table": (
        "SELECT * FROM {s}absent WHERE email = :v",
        {"v": CANARY},
        {"postgresql": "42P01", "mysql": "1146", "sqlite": "SQLITE_ERROR"},
        "",
    ),
    "syntax": (
        "SELECT FROM WHERE '" + CANARY + "' :v !",
        {"v": CANARY},
        {"postgresql": "42601", "mysql": "1064", "sqlite": "SQLITE_ERROR"},
        "",
    ),
    "too large": (
        "UPDATE {s}people SET n = :v WHERE id = 2",
        {"v": 77773 * 10**40},
        {"postgresql": "22003", "mysql": "1264", "sqlite": "bad-value"},
        "",
    ),
}


def everything_said(error: RetentiondError) -> str:
    """All that a person, a log or a traceback could show of it."""
    return "\n".join(
        [
            str(error),
            repr(error),
            error.hint,
            error.code,
            repr(error.args),
            "".join(traceback.format_exception(error)),
            logging.Formatter().formatException((type(error), error, error.__traceback__)),
        ]
    )


def failure_of(url: str, statement: str, values: dict[str, object] | None = None) -> FailedError:
    """What carrying out the statement ends with."""
    with (
        source(url, read_only=False) as engine,
        pytest.raises(FailedError) as raised,
        errors_of("crm"),
        engine.begin() as connection,
    ):
        connection.execute(text(statement), values or {})
    return raised.value


@pytest.mark.parametrize(
    ("engine", "fault"),
    [
        pytest.param(engine, fault, id=f"{engine}-{fault}")
        for engine in ("postgresql", "mysql", "sqlite")
        for fault in FAULTS
        if engine in FAULTS[fault][2]
    ],
)
def test_no_value_of_a_row_gets_out(engine: str, fault: str, new_database: Callable[[str], str]) -> None:
    statement, values, codes, name = FAULTS[fault]
    url = new_database("mariadb" if engine == "mysql" else engine)
    carry_out(url, *SCHEMA)
    qualified = statement.format(s="public." if engine == "postgresql" else "")
    error = failure_of(url, qualified, values)
    said = everything_said(error)
    assert error.code == codes[engine]
    assert str(error).startswith("crm: ")
    assert name in error.message
    for canary in ("canary", "example.org", "7777", str(7777 * 10**40)):
        # The traceback's own lines of source hold the statement of this test, not the server's words.
        assert canary not in said.replace(qualified, ""), said


def test_names_that_help_are_told(engine_url: str) -> None:
    carry_out(engine_url, *SCHEMA)
    table = "public.people" if engine_url.startswith("postgresql") else "people"
    error = failure_of(engine_url, f"DELETE FROM {table} WHERE id = 1")
    assert "cascade" in error.hint
    if not engine_url.startswith("sqlite"):  # which does not say them
        assert "orders" in error.message
        assert "constraint orders_" in error.message


@pytest.mark.postgresql
def test_a_raise_may_not_smuggle_values_in_as_names(postgresql_url: str) -> None:
    carry_out(
        postgresql_url,
        *SCHEMA,
        "CREATE FUNCTION veto() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE EXCEPTION 'no, %', OLD.email USING ERRCODE = 'unique_violation', TABLE = OLD.email,"
        " CONSTRAINT = OLD.email, COLUMN = OLD.email, DETAIL = OLD.email; END $$",
        "CREATE TRIGGER veto BEFORE DELETE ON people FOR EACH ROW EXECUTE FUNCTION veto()",
    )
    error = failure_of(postgresql_url, "DELETE FROM public.people WHERE id = 2")
    assert "canary" not in everything_said(error)


@pytest.mark.mariadb
def test_a_signal_may_say_what_it_likes(mariadb_url: str) -> None:
    carry_out(
        mariadb_url,
        *SCHEMA,
        "CREATE TRIGGER veto BEFORE DELETE ON people FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'canary'",
    )
    error = failure_of(mariadb_url, "DELETE FROM people WHERE id = 2")
    assert "canary" not in everything_said(error)


def test_a_sqlite_raise_may_too(sqlite_url: str) -> None:
    veto = "CREATE TRIGGER veto BEFORE DELETE ON people BEGIN SELECT RAISE(ABORT, 'canary'); END"
    carry_out(sqlite_url, *SCHEMA, veto)
    error = failure_of(sqlite_url, "DELETE FROM people WHERE id = 2")
    assert "canary" not in everything_said(error)


@pytest.mark.parametrize("engine", ["postgresql", "mariadb"])
def test_of_two_in_a_deadlock_one_may_try_again(engine: str, new_database: Callable[[str], str]) -> None:
    url = new_database(engine)
    carry_out(url, "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)", "INSERT INTO t VALUES (1, 0), (2, 0)")
    table = "public.t" if engine == "postgresql" else "t"
    both = threading.Barrier(2)
    errors: list[BaseException] = []

    def work(first: int, second: int) -> None:
        with source(url, read_only=False) as made:
            try:
                with errors_of("crm"), made.begin() as connection:
                    connection.execute(text(f"UPDATE {table} SET n = n + 1 WHERE id = {first}"))
                    both.wait(20)
                    connection.execute(text(f"UPDATE {table} SET n = n + 1 WHERE id = {second}"))
            except RetentiondError as error:
                errors.append(error)

    threads = [threading.Thread(target=work, args=pair) for pair in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert errors
    # On a slow day the lock's time-out may come before the deadlock is found.
    assert {type(error) for error in errors} == {TransientError}


@pytest.mark.parametrize("engine", ["postgresql", "mariadb"])
def test_a_killed_connection_is_lost_and_may_be_tried_again(engine: str, new_database: Callable[[str], str]) -> None:
    url = new_database(engine)
    with source(url) as made, made.connect() as victim:
        if engine == "postgresql":
            carry_out(url, f"SELECT pg_terminate_backend({victim.scalar(text('SELECT pg_backend_pid()'))})")
        else:
            carry_out(url, f"KILL CONNECTION {victim.scalar(text('SELECT connection_id()'))}")
        with pytest.raises(sa.exc.DBAPIError) as raised:
            victim.execute(text("SELECT 1"))
        assert is_connection_lost(raised.value)
        assert isinstance(as_failure(raised.value, "crm"), TransientError)


@pytest.mark.parametrize("engine", ["postgresql", "mariadb"])
def test_a_missing_right_is_a_failure_with_a_hint(
    engine: str, new_database: Callable[[str], str], server_address: Callable[[servers.Kind], servers.Address]
) -> None:
    url = new_database(engine)
    role = f"r_{(make_url(url).database or '')[2:14]}"
    carry_out(url, *SCHEMA)
    if engine == "postgresql":
        carry_out(url, f"CREATE ROLE {role} LOGIN", f"GRANT SELECT ON people TO {role}")
        cleaning, table = [f"DROP OWNED BY {role}", f"DROP ROLE {role}"], "public.people"
    else:
        carry_out(url, f"CREATE USER {role}@'%'", f"GRANT SELECT ON people TO {role}@'%'")
        cleaning, table = [f"DROP USER {role}@'%'"], "people"
    try:
        error = failure_of(as_user(url, role), f"DELETE FROM {table} WHERE id = 2")
    finally:
        carry_out(url, *cleaning)
    assert error.code in ("42501", "1142")
    assert "rights" in error.hint


@pytest.mark.postgresql
def test_rows_hidden_by_a_policy_are_an_error(postgresql_url: str) -> None:
    role = f"r_{(make_url(postgresql_url).database or '')[2:14]}"
    carry_out(
        postgresql_url,
        *SCHEMA,
        "ALTER TABLE people ENABLE ROW LEVEL SECURITY",
        f"CREATE ROLE {role} LOGIN",
        f"GRANT SELECT, DELETE ON people TO {role}",
    )
    try:
        error = failure_of(as_user(postgresql_url, role), "DELETE FROM public.people WHERE id = 2")
    finally:
        carry_out(postgresql_url, f"DROP OWNED BY {role}", f"DROP ROLE {role}")
    assert error.code == "42501"


def test_what_is_no_database_error_passes() -> None:
    with pytest.raises(KeyError), errors_of("crm"):
        raise KeyError("ours")
    with pytest.raises(EvidenceError), errors_of("crm"):
        raise EvidenceError
    assert not is_database_error(RuntimeError())


def test_our_own_errors_stay_themselves() -> None:
    for error in (TransientError("a"), FailedError("b"), UsageError("c")):
        assert as_failure(error, "crm") is error


def test_an_unknown_error_is_a_failure_that_names_only_its_kind() -> None:
    kind, code, message = describe_error(sa.exc.NoResultFound("canary"))
    assert (kind, code) == ("failed", "NoResultFound")
    assert "canary" not in message


@pytest.mark.parametrize(
    ("name", "kind"),
    [("SQLITE_IOERR_READ", "failed"), ("SQLITE_BUSY_SNAPSHOT", "transient"), ("SQLITE_CORRUPT_INDEX", "failed")],
)
def test_a_finer_code_of_sqlite_means_what_its_class_means(name: str, kind: str) -> None:
    import sqlite3

    error = sqlite3.OperationalError("canary")
    error.sqlite_errorname = name
    assert describe_error(error)[:2] == (kind, name)
