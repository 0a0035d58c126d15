"""Rights on PostgreSQL, asked of the server: also those through membership, PUBLIC or the role's own attributes."""

from collections.abc import Collection, Iterable, Sequence

import sqlalchemy as sa
from sqlalchemy import text

from retentiond.catalog.rights import Held, Right

# A column or table that is not there is not had. A right on the whole table is one on each of its columns.
_HAS = text("""
    SELECT CASE WHEN w.kind = 'schema' THEN coalesce(has_schema_privilege(s.oid, w.privilege), false)
                WHEN w.col = '' THEN coalesce(has_table_privilege(c.oid, w.privilege), false)
                ELSE coalesce(has_column_privilege(c.oid, a.attnum, w.privilege), false)
           END
      FROM unnest(CAST(:kinds AS text[]), CAST(:names AS text[]), CAST(:privileges AS text[]), CAST(:columns AS text[]))
           WITH ORDINALITY AS w(kind, name, privilege, col, place)
           LEFT JOIN pg_namespace AS s ON w.kind = 'schema' AND s.nspname = w.name
           LEFT JOIN (pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace)
             ON w.kind = 'table' AND n.nspname || '.' || c.relname = w.name
           LEFT JOIN pg_attribute AS a
             ON a.attrelid = c.oid AND a.attname = w.col AND a.attnum > 0 AND NOT a.attisdropped
     ORDER BY w.place
""")

# Of PUBLIC only what touches the tables asked for: views of extensions are everybody's.
_HELD = text("""
    SELECT g.name, g.privilege, g.columns,
           CASE WHEN g.grantee = 0 THEN 'PUBLIC'
                WHEN pg_get_userbyid(g.grantee) = current_user THEN '' ELSE pg_get_userbyid(g.grantee)::text
           END AS through
      FROM (SELECT c.oid, n.nspname || '.' || c.relname AS name, x.privilege_type AS privilege, x.grantee,
                   ARRAY[]::text[] AS columns, n.nspname, c.relowner
              FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace, aclexplode(c.relacl) AS x
             WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
            UNION ALL
            SELECT c.oid, n.nspname || '.' || c.relname, x.privilege_type, x.grantee,
                   array_agg(a.attname::text ORDER BY a.attnum), n.nspname, c.relowner
              FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
                   JOIN pg_attribute AS a ON a.attrelid = c.oid AND NOT a.attisdropped, aclexplode(a.attacl) AS x
             GROUP BY 1, 2, 3, 4, 6, 7) AS g
     WHERE g.grantee <> g.relowner AND g.nspname !~ '^pg_' AND g.nspname <> 'information_schema'
       AND CASE WHEN g.grantee = 0 THEN g.name = ANY(CAST(:tables AS text[]))
                ELSE pg_has_role(current_user, g.grantee, 'USAGE') END
     ORDER BY g.name, g.privilege, through
""")


def has(connection: sa.Connection, wanted: Sequence[Right]) -> list[bool]:
    """For each right, on one column at most, whether the session's role has it."""
    asked = {
        "kinds": [right.kind for right in wanted],
        "names": [right.name for right in wanted],
        "privileges": [right.privilege for right in wanted],
        "columns": [right.columns[0] if right.columns else "" for right in wanted],
    }
    return [bool(found) for found in connection.execute(_HAS, asked).scalars()]


def held(connection: sa.Connection, tables: Collection[str]) -> Iterable[Held]:
    """The rights on tables that were given to the session's role; not those of an owner."""
    rows = connection.execute(_HELD, {"tables": list(tables)}).all()
    return [Held(row.name, row.privilege, tuple(row.columns), row.through) for row in rows]
