"""The settings of a server that bear on durability and on what its logs keep, as the server itself says them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import text

from retentiond.catalog.model import Dialect

# `reset_val`: what a session begins with, before ours asks for more.
_POSTGRESQL = text("""
    SELECT name, CASE WHEN name = 'synchronous_commit' THEN reset_val ELSE setting END
      FROM pg_settings
     WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit', 'track_counts', 'session_replication_role',
                    'log_statement', 'log_min_duration_statement', 'log_min_duration_sample',
                    'log_transaction_sample_rate', 'log_parameter_max_length', 'log_parameter_max_length_on_error')
    UNION ALL SELECT 'in_recovery', CASE WHEN pg_is_in_recovery() THEN 'on' ELSE 'off' END
    UNION ALL SELECT 'encrypted', CASE WHEN ssl THEN 'on' ELSE 'off' END
                FROM pg_stat_ssl WHERE pid = pg_backend_pid()
""")
_MYSQL = text("""
    SHOW GLOBAL VARIABLES WHERE Variable_name IN ('innodb_flush_log_at_trx_commit', 'innodb_doublewrite', 'sync_binlog',
      'log_bin', 'binlog_format', 'slow_query_log', 'general_log', 'read_only')
""")
_MYSQL_CIPHER = text("SHOW SESSION STATUS LIKE 'Ssl_cipher'")
_SQLITE = ("journal_mode", "secure_delete")

_PUBLICATIONS = text("""
    SELECT p.pubname::text AS name, t.schemaname || '.' || t.tablename AS "table",
           p.pubdelete AS deletes, p.pubupdate AS updates
      FROM pg_publication AS p JOIN pg_publication_tables AS t USING (pubname)
     WHERE t.schemaname || '.' || t.tablename = ANY(CAST(:tables AS text[]))
     ORDER BY 1, 2
""")


@dataclass(frozen=True, slots=True)
class Publication:
    """A publication of PostgreSQL that carries a table to other databases, and what of its changes it carries."""

    name: str
    table: str
    deletes: bool
    updates: bool


def server_settings(connection: sa.Connection, dialect: Dialect) -> Mapping[str, str]:
    """
    By name in the server's own words, on and off in lower case. Of our own: `in_recovery`, `encrypted` (of this
    session).
    """
    if dialect == "postgresql":
        return {str(name): str(value) for name, value in connection.execute(_POSTGRESQL)}
    if dialect == "sqlite":
        return {name: str(connection.exec_driver_sql(f"PRAGMA {name}").scalar()) for name in _SQLITE}
    found = {str(name): str(value).lower() for name, value in connection.execute(_MYSQL)}
    cipher = connection.execute(_MYSQL_CIPHER).one_or_none()
    return {**found, "encrypted": "on" if cipher is not None and cipher[1] else "off"}


def publications(connection: sa.Connection, dialect: Dialect, tables: Collection[str]) -> list[Publication]:
    """The publications that carry one of these tables; only PostgreSQL has such."""
    if dialect != "postgresql":
        return []
    rows = connection.execute(_PUBLICATIONS, {"tables": list(tables)})
    return [Publication(row.name, row.table, row.deletes, row.updates) for row in rows]
