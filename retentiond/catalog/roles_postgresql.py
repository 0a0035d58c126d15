"""The powers of a role on PostgreSQL."""

from collections.abc import Collection
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import text

# Roles of the server's own that open every table, or the machine: whoever has one is as good as a superuser.
_POWERFUL = ("pg_write_all_data", "pg_execute_server_program", "pg_read_server_files", "pg_write_server_files")
# As good as a superuser up to version 15; later it reaches the roles it made only.
_CREATEROLE = 160_000

# Attributes are not inherited, but a member can SET ROLE. `session_user`: a role setting may have put another one on.
_WHO = text("""
    SELECT current_user::text AS name, current_setting('server_version_num')::integer AS version,
           coalesce(bool_or(r.rolsuper), false) AS superuser, coalesce(bool_or(r.rolbypassrls), false) AS bypasses,
           coalesce(bool_or(r.rolreplication), false) AS replicates,
           coalesce(bool_or(r.rolcreaterole), false) AS makes_roles,
           coalesce(bool_or(r.rolcreatedb), false) AS makes_databases,
           array_agg(r.rolname::text ORDER BY r.rolname) AS roles
      FROM pg_roles AS r
     WHERE pg_has_role(current_user, r.oid, 'MEMBER') OR pg_has_role(session_user, r.oid, 'MEMBER')
""")

# A superuser counts as a member of every role; of him only the tables that are his own are told.
_OWNED = text("""
    SELECT n.nspname || '.' || c.relname AS name
      FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
     WHERE n.nspname || '.' || c.relname = ANY(:tables)
       AND CASE WHEN :superuser THEN pg_get_userbyid(c.relowner) IN (current_user, session_user)
                ELSE pg_has_role(current_user, c.relowner, 'MEMBER') OR pg_has_role(session_user, c.relowner, 'MEMBER')
           END
     ORDER BY 1
""")

_EXTRA = text("""
    SELECT 'CREATE ON DATABASE ' || quote_ident(current_database())
     WHERE has_database_privilege(current_database(), 'CREATE')
    UNION ALL
    SELECT 'CREATE ON SCHEMA ' || quote_ident(n.nspname)
      FROM pg_namespace AS n
     WHERE has_schema_privilege(n.oid, 'CREATE') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
     ORDER BY 1
""")


@dataclass(frozen=True, slots=True)
class Found:
    """Who the session is, and what no rule needs that is not a right on a table."""

    name: str
    superuser: bool
    owned: tuple[str, ...]
    extra: tuple[str, ...]


def read(connection: sa.Connection, tables: Collection[str]) -> Found:
    """The session's role."""
    who = connection.execute(_WHO).one()
    powerful = who.superuser or who.bypasses or who.replicates or bool(set(_POWERFUL) & set(who.roles))
    powerful = powerful or (who.makes_roles and who.version < _CREATEROLE)
    owned = connection.execute(_OWNED, {"tables": list(tables), "superuser": who.superuser}).scalars().all()
    extra = [] if who.superuser else list(connection.execute(_EXTRA).scalars())
    attributes = {
        "SUPERUSER": who.superuser,
        "BYPASSRLS": who.bypasses,
        "REPLICATION": who.replicates,
        "CREATEROLE": who.makes_roles,
        "CREATEDB": who.makes_databases,
    }
    extra = [name for name, has in attributes.items() if has] + extra
    if not who.superuser:
        extra += [f"member of {role}" for role in who.roles if role in (*_POWERFUL, "pg_read_all_data")]
    return Found(who.name, powerful, tuple(owned), tuple(extra))
