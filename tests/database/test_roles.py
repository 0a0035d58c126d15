"""What a session's role could do, which database it is in, and what time it is there."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from retentiond.catalog.connections import open_engine
from retentiond.catalog.identity import address_of, identity_of
from retentiond.catalog.model import Dialect
from retentiond.catalog.rights import quoted_role
from retentiond.catalog.roles import Role, role_of
from retentiond.catalog.server_clock import server_time
from retentiond.engine.prepare import has_fence, make_fence, make_sqlite_fence

NewDatabase = Callable[[str], str]
SERVERS = [
    pytest.param("postgresql", marks=pytest.mark.postgresql),
    pytest.param("mariadb", marks=pytest.mark.mariadb),
]


@contextmanager
def administrator(url: str) -> Iterator[Callable[[str], None]]:
    engine = sa.create_engine(fast(url), poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield lambda statement: connection.exec_driver_sql(statement, execution_options={"no_parameters": True}).close()


@contextmanager
def user(url: str, *grants: str, attributes: str = "") -> Iterator[tuple[str, str]]:
    """A fresh user's URL and name in GRANT; `{0}` in a grant is that name."""
    name = f"user_{uuid.uuid4().hex[:12]}"
    mariadb = url.startswith("mysql")
    spelled = f"'{name}'@'%'" if mariadb else name
    with administrator(url) as act:
        act(f"CREATE USER {spelled}" if mariadb else f"CREATE ROLE {spelled} LOGIN {attributes}")
        try:
            for grant in grants:
                act(grant.format(spelled) if "{0}" in grant else f"GRANT {grant} TO {spelled}")
            yield sa.make_url(fast(url)).set(username=name).render_as_string(hide_password=False), name
        finally:
            if not mariadb:
                act(f"REASSIGN OWNED BY {spelled} TO CURRENT_USER")
                act(f"DROP OWNED BY {spelled}")
            act(f"DROP USER {spelled}")


def fast(url: str) -> str:
    return f"{url}&ssl_disabled=true" if url.startswith("mysql") and "ssl_disabled" not in url else url


@contextmanager
def session(url: str, *, read_only: bool = True) -> Iterator[tuple[sa.Connection, Dialect]]:
    engine = open_engine(url, read_only=read_only, statement_seconds=None, lock_seconds=5)
    dialects: dict[str, Dialect] = {"postgresql": "postgresql", "mysql": "mariadb", "sqlite": "sqlite"}
    with engine.connect() as connection, connection.begin():
        yield connection, dialects[engine.dialect.name]


def found(url: str, tables: Sequence[str]) -> Role:
    with session(url) as (connection, dialect):
        return role_of(connection, dialect, tables)


@pytest.mark.postgresql
def test_a_plain_role_on_postgresql_has_no_power(postgresql_url: str) -> None:
    with administrator(postgresql_url) as act:
        act("CREATE TABLE t (id integer PRIMARY KEY)")
    with user(postgresql_url, "SELECT, UPDATE, DELETE ON t") as (url, name):
        assert found(url, ["public.t"]) == Role(name)


@pytest.mark.postgresql
@pytest.mark.parametrize("attribute", ["SUPERUSER", "BYPASSRLS", "REPLICATION", "CREATEROLE"])
def test_a_role_with_power_is_told_on_postgresql(postgresql_url: str, attribute: str) -> None:
    with user(postgresql_url, attributes=attribute) as (url, _):
        role = found(url, [])
        assert role.superuser
        assert attribute in role.extra


@pytest.mark.postgresql
@pytest.mark.parametrize("inherits", ["INHERIT", "NOINHERIT"])
@pytest.mark.parametrize("power", ["pg_write_all_data", "pg_execute_server_program", "strong"])
def test_a_member_of_a_powerful_role_has_its_power(postgresql_url: str, power: str, inherits: str) -> None:
    with user(postgresql_url, attributes="BYPASSRLS") as (_, strong):
        group = strong if power == "strong" else power
        with user(postgresql_url, group, attributes=inherits) as (url, _):
            assert found(url, []).superuser


@pytest.mark.postgresql
def test_a_table_belongs_to_its_owner_and_to_the_members_of_its_owner(postgresql_url: str) -> None:
    with administrator(postgresql_url) as act, user(postgresql_url) as (owner_url, owner):
        act('CREATE SCHEMA "Shop"')
        for table in ("t", '"Shop"."My table"', "other"):
            act(f"CREATE TABLE {table} (id integer PRIMARY KEY)")
        for table in ("t", '"Shop"."My table"'):
            act(f"ALTER TABLE {table} OWNER TO {owner}")
        tables = ["public.t", "Shop.My table", "public.other"]
        assert found(owner_url, tables).owned == ("Shop.My table", "public.t")
        assert found(owner_url, ["public.other"]).owned == ()
        with user(postgresql_url, owner, attributes="NOINHERIT") as (member_url, _):
            assert found(member_url, tables).owned == ("Shop.My table", "public.t")
        with user(postgresql_url, attributes="SUPERUSER") as (superuser_url, _):
            assert found(superuser_url, tables).owned == ()


@pytest.mark.postgresql
def test_rights_that_no_rule_needs_are_listed_on_postgresql(postgresql_url: str) -> None:
    database = sa.make_url(postgresql_url).database
    with administrator(postgresql_url) as act:
        act("CREATE TABLE t (id integer PRIMARY KEY)")
    grants = ("TRUNCATE ON t", "CREATE ON SCHEMA public", f"CREATE ON DATABASE {database}")
    with user(postgresql_url, *grants, attributes="CREATEDB") as (url, _):
        role = found(url, ["public.t"])
        assert not role.superuser
        assert role.extra == (
            "CREATEDB",
            f"CREATE ON DATABASE {database}",
            "CREATE ON SCHEMA public",
        )


@pytest.mark.mariadb
def test_a_plain_account_on_mariadb_has_no_power_and_is_blind(mariadb_url: str) -> None:
    database = sa.make_url(mariadb_url).database
    with administrator(mariadb_url) as act:
        act("CREATE TABLE t (id integer PRIMARY KEY, `a,b` integer)")
    with user(mariadb_url, "SELECT (id, `a,b`), UPDATE (id), DELETE, TRIGGER ON t") as (url, name):
        assert found(url, ["t"]) == Role(f"{name}@%", blind=True)
    with user(mariadb_url, f"SELECT ON {database}.*", "PROCESS ON *.*") as (url, name):
        assert found(url, ["t"]) == Role(f"{name}@%")


@pytest.mark.mariadb
@pytest.mark.parametrize(
    "power", ["SUPER", "FILE", "CREATE USER", "SET USER", "ALL PRIVILEGES", "DELETE", "SELECT, INSERT, ALTER"]
)
def test_an_account_with_power_is_told_on_mariadb(mariadb_url: str, power: str) -> None:
    visits = f"SHOW VIEW ON {sa.make_url(mariadb_url).database}.*"  # else it cannot come in
    with user(mariadb_url, f"{power} ON *.*", visits) as (url, _):
        role = found(url, [])
        assert role.superuser
        assert any(part in " ".join(role.extra) for part in power.split(", "))


@pytest.mark.mariadb
def test_all_rights_on_one_database_are_no_power_over_the_server(mariadb_url: str) -> None:
    database = sa.make_url(mariadb_url).database
    with user(mariadb_url, f"ALL PRIVILEGES ON {database}.*") as (url, name):
        assert found(url, []) == Role(f"{name}@%", blind=True)
    with user(mariadb_url, f"GRANT SELECT ON {database}.* TO {{0}} WITH GRANT OPTION") as (url, name):
        assert found(url, []) == Role(f"{name}@%", blind=True, extra=(f"GRANT OPTION ON {database}.*",))


@pytest.mark.mariadb
def test_a_role_that_is_in_use_counts_and_one_that_is_not_is_listed(mariadb_url: str) -> None:
    role = f"role_{uuid.uuid4().hex[:12]}"
    visits = f"SHOW VIEW ON {sa.make_url(mariadb_url).database}.*"
    with administrator(mariadb_url) as act:
        act(f"CREATE ROLE {role}")
        act(f"GRANT SUPER ON *.* TO {role}")
        try:
            with user(mariadb_url, role, visits) as (url, name):
                idle = found(url, [])
                assert not idle.superuser
                assert idle.extra == (f"role {role}, which it can take on",)
                act(f"SET DEFAULT ROLE {role} FOR '{name}'@'%'")
                assert found(url, []).superuser
        finally:
            act(f"DROP ROLE {role}")


def test_sqlite_has_no_roles(sqlite_url: str) -> None:
    create(sqlite_url)
    assert found(sqlite_url, ["t"]) == Role()


def create(url: str) -> None:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (id INTEGER PRIMARY KEY)")


@pytest.mark.parametrize("engine", SERVERS)
def test_an_identity_stays_and_differs_from_another_database_and_needs_no_rights(
    engine: str, new_database: NewDatabase
) -> None:
    one, other = new_database(engine), new_database(engine)
    identities = []
    for url in (one, other):
        with session(fast(url)) as (connection, dialect):
            identities.append(identity_of(connection, dialect))
    assert None not in identities
    assert identities[0] != identities[1]
    # MariaDB lets nobody use a database in which he may do nothing.
    visits = () if engine == "postgresql" else (f"SHOW VIEW ON {sa.make_url(one).database}.*",)
    with user(one, *visits) as (url, _), session(url) as (connection, dialect):
        assert identity_of(connection, dialect) == identities[0]


def test_a_sqlite_file_has_the_identity_it_got_with_its_fence(new_database: NewDatabase) -> None:
    identities = []
    for url in (new_database("sqlite"), new_database("sqlite")):
        create(url)
        with session(url) as (connection, dialect):
            assert identity_of(connection, dialect) is None
        for _ in range(2):
            with session(url, read_only=False) as (connection, dialect):
                make_sqlite_fence(connection)
                identities.append(identity_of(connection, dialect))
    first, again, other, _ = identities
    assert first is not None
    assert first == again != other
    assert len(first) == 32


@pytest.mark.parametrize("engine", SERVERS)
def test_a_server_tells_its_time(engine: str, new_database: NewDatabase) -> None:
    with session(fast(new_database(engine))) as (connection, dialect):
        if engine == "mariadb":
            connection.exec_driver_sql("SET SESSION timestamp = 1")  # NOW() would believe it
        told = server_time(connection, dialect)
    assert told is not None
    assert abs(told - datetime.now(UTC)) < timedelta(seconds=30)
    assert told.utcoffset() == timedelta(0)


def test_sqlite_has_no_clock_of_its_own(sqlite_url: str) -> None:
    create(sqlite_url)
    with session(sqlite_url) as (connection, dialect):
        assert server_time(connection, dialect) is None


def test_an_address_names_the_file(sqlite_url: str) -> None:
    assert address_of(sa.make_url(sqlite_url)) == sqlite_url.removeprefix("sqlite:///")


@pytest.mark.parametrize("engine", SERVERS)
def test_a_fence_is_usable_for_the_role_it_was_made_for_and_no_more(engine: str, new_database: NewDatabase) -> None:
    base = new_database(engine)
    database = sa.make_url(base).database
    visits = () if engine == "postgresql" else (f"SHOW VIEW ON {database}.*",)
    with user(base, *visits) as (url, name), user(base, *visits) as (other_url, _):
        with session(url) as (connection, dialect):
            assert not has_fence(connection, dialect)
        with session(fast(base), read_only=False) as (connection, dialect):
            role = name if engine == "postgresql" else f"{name}@%"
            for _ in range(2):
                make_fence(connection, dialect, role)
            assert has_fence(connection, dialect)
        with session(url) as (connection, dialect):
            assert has_fence(connection, dialect)
        with session(other_url) as (connection, dialect):
            assert not has_fence(connection, dialect)
        table = "retentiond.retentiond_fence" if engine == "postgresql" else "retentiond_fence"
        with session(url, read_only=False) as (connection, _):
            connection.exec_driver_sql(f"INSERT INTO {table} VALUES ('j', 0, 'b')")
            connection.exec_driver_sql(f"UPDATE {table} SET seq = 1 WHERE job = 'j'")
            assert connection.exec_driver_sql(f"SELECT seq FROM {table}").scalar() == 1
        for refused in (f"DELETE FROM {table}", f"DROP TABLE {table}", f"ALTER TABLE {table} ADD x integer"):
            with session(url, read_only=False) as (connection, _), pytest.raises(sa.exc.DBAPIError):
                connection.exec_driver_sql(refused)


@pytest.mark.parametrize("engine", SERVERS)
def test_a_fence_that_its_role_may_not_write_is_none(engine: str, new_database: NewDatabase) -> None:
    base = new_database(engine)
    table = "retentiond.retentiond_fence" if engine == "postgresql" else "retentiond_fence"
    usage = ("USAGE ON SCHEMA retentiond",) if engine == "postgresql" else ()
    with session(fast(base), read_only=False) as (connection, dialect):
        make_fence(connection, dialect, None)
    for rights, expected in (("SELECT, INSERT", False), ("SELECT, INSERT, UPDATE", True)):
        with user(base, f"{rights} ON {table}", *usage) as (url, _), session(url) as (connection, dialect):
            assert has_fence(connection, dialect) is expected


def test_a_strange_name_cannot_leave_its_quotes() -> None:
    assert quoted_role("postgresql", 'a"; DROP') == '"a""; DROP"'
    assert quoted_role("mariadb", "a`b@10.0.%") == "`a``b`@`10.0.%`"
