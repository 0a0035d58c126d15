"""Which rights a session's role lacks of those it needs, and which it has beyond them."""

from collections.abc import Iterable, Mapping, Sequence

import sqlalchemy as sa

from retentiond.catalog import privileges_mysql, privileges_postgresql
from retentiond.catalog.model import Dialect, Table
from retentiond.catalog.rights import Held, Right, Surplus, beyond, merged, quoted_role

_CURRENT_USER = sa.text("SELECT CURRENT_USER")  # a name on PostgreSQL, user@host on the others


def lacking(connection: sa.Connection, dialect: Dialect, needed: Iterable[Right]) -> tuple[Right, ...]:
    """Those of the rights that the session's role does not have; of rights on columns those columns."""
    single = [
        Right(right.kind, right.name, right.privilege, (column,) if column else ())
        for right in needed
        for column in right.columns or ("",)
    ]
    if dialect == "sqlite" or not single:
        return ()
    ask = privileges_postgresql.has if dialect == "postgresql" else privileges_mysql.has
    return merged(right for right, had in zip(single, ask(connection, single), strict=True) if not had)


def surplus(
    connection: sa.Connection, dialect: Dialect, needed: Sequence[Right], tables: Mapping[str, Table]
) -> tuple[Surplus, ...]:
    """
    What the role may do to tables of this database beyond these rights. Powers over the server and ownership are told
    by `roles`; of a superuser there is nothing more to say.
    """
    if dialect == "sqlite":
        return ()
    held: Iterable[Held]
    if dialect == "postgresql":
        held = privileges_postgresql.held(connection, tables)
    else:
        held = privileges_mysql.held(connection)
    return beyond(dialect, held, needed, tables, quoted_role(dialect, role_name(connection, dialect)))


def role_name(connection: sa.Connection, dialect: Dialect) -> str:
    """The session's role: its name, on MariaDB and MySQL `user@host`; "" on SQLite."""
    return "" if dialect == "sqlite" else str(connection.execute(_CURRENT_USER).scalar_one())
