"""
What a source needs of ours: one small table, the fence, in which a commit leaves its number.

An administrator makes it, once; the daemon's role may read and write its rows and nothing else. In a SQLite source,
where there are no roles, the first run makes it.
"""

import sqlalchemy as sa
from sqlalchemy import text

from retentiond.catalog.grants_mysql import grants, holds
from retentiond.catalog.model import Dialect
from retentiond.catalog.rights import quoted_role

SCHEMA = "retentiond"  # on PostgreSQL
TABLE = "retentiond_fence"
RIGHTS = ("SELECT", "INSERT", "UPDATE")

_COLUMNS = "job varchar(500) PRIMARY KEY, seq bigint NOT NULL, batch varchar(100) NOT NULL"
_ASCII = "CHARACTER SET ascii COLLATE ascii_bin"

_IDENTIFY_SQLITE = (
    "INSERT OR IGNORE INTO retentiond_fence (job, seq, batch) VALUES ('identity', 0, lower(hex(randomblob(16))))"
)

_SAME_SQLITE = text("UPDATE retentiond_fence SET batch = :identity WHERE job = 'identity'")

_POSTGRESQL = text("""
    SELECT has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
           AND has_table_privilege(c.oid, 'INSERT') AND has_table_privilege(c.oid, 'UPDATE')
      FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
     WHERE n.nspname = :schema AND c.relname = :table
""")
_MYSQL = text("""
    SELECT TABLE_SCHEMA FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = :table
""")
_SQLITE = text("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = :table")


def fence_statements(dialect: Dialect, role: str | None) -> list[str]:
    """
    What makes the fence and gives it to the role (MariaDB, MySQL: `user@host`); harmless where it is there already.

    MariaDB and MySQL make it in the database that the session uses.
    """
    if dialect == "postgresql":
        return _for_postgresql(role)
    if dialect == "sqlite":
        return [
            f"CREATE TABLE IF NOT EXISTS {TABLE} ({_COLUMNS.replace(' PRIMARY', ' NOT NULL PRIMARY')})",
            _IDENTIFY_SQLITE,
        ]
    columns = _COLUMNS.replace("(500)", f"(500) {_ASCII}").replace("(100)", f"(100) {_ASCII}")
    made = [f"CREATE TABLE IF NOT EXISTS {TABLE} ({columns}) ENGINE=InnoDB"]
    return made + ([f"GRANT {', '.join(RIGHTS)} ON {TABLE} TO {quoted_role(dialect, role)}"] if role else [])


def make_fence(connection: sa.Connection, dialect: Dialect, role: str | None) -> None:
    """Makes the fence in the caller's transaction."""
    for statement in fence_statements(dialect, role):
        # no_parameters: a % in an account's host is no placeholder
        connection.exec_driver_sql(statement, execution_options={"no_parameters": True})


def make_sqlite_fence(connection: sa.Connection, identity: str | None = None) -> None:
    """
    Makes the fence and the identity of a SQLite source in the caller's transaction; `identity` is the one it had
    before it was restored from a back-up.
    """
    make_fence(connection, "sqlite", None)
    if identity is not None:
        connection.execute(_SAME_SQLITE, {"identity": identity})


def has_fence(connection: sa.Connection, dialect: Dialect) -> bool:
    """True where the fence is there and the session's role may use it."""
    if dialect == "postgresql":
        return bool(connection.execute(_POSTGRESQL, {"schema": SCHEMA, "table": TABLE}).scalar())
    if dialect == "sqlite":
        return connection.execute(_SQLITE, {"table": TABLE}).first() is not None
    database = connection.execute(_MYSQL, {"table": TABLE}).scalar()
    if database is None:
        return False
    held = grants(connection)
    return all(holds(held, right, str(database), TABLE) for right in RIGHTS)


def _for_postgresql(role: str | None) -> list[str]:
    table = f"{SCHEMA}.{TABLE}"
    statements = [
        f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}",
        f"CREATE TABLE IF NOT EXISTS {table} ({_COLUMNS})",
        f"REVOKE ALL ON SCHEMA {SCHEMA} FROM PUBLIC",
        f"REVOKE ALL ON TABLE {table} FROM PUBLIC",
    ]
    if role is None:
        return statements
    role = quoted_role("postgresql", role)
    return [
        *statements,
        f"REVOKE ALL ON SCHEMA {SCHEMA} FROM {role}",
        f"REVOKE ALL ON TABLE {table} FROM {role}",
        f"GRANT USAGE ON SCHEMA {SCHEMA} TO {role}",
        f"GRANT {', '.join(RIGHTS)} ON TABLE {table} TO {role}",
    ]
