"""How powerful a session's role is, and whether that makes our own care worthless."""

from collections.abc import Collection
from dataclasses import dataclass

import sqlalchemy as sa

from retentiond.catalog import roles_mysql, roles_postgresql
from retentiond.catalog.model import Dialect


@dataclass(frozen=True, slots=True)
class Role:
    """
    `superuser`: rights and row-level security do not bind it, or it can free itself of them. `owned`: those of the
    tables that it owns, or could own. `blind`: it may not see all foreign keys that point at a table. `extra`: powers
    beside rights on tables that no rule ever needs, each in the engine's words.
    """

    name: str = ""
    superuser: bool = False
    owned: tuple[str, ...] = ()
    blind: bool = False
    extra: tuple[str, ...] = ()


def role_of(connection: sa.Connection, dialect: Dialect, tables: Collection[str]) -> Role:
    """The role of the session and what it could do to these tables (by the catalog's names). SQLite has no roles."""
    if dialect == "postgresql":
        found = roles_postgresql.read(connection, tables)
        return Role(found.name, found.superuser, found.owned, extra=found.extra)
    if dialect in ("mariadb", "mysql"):
        account = roles_mysql.read(connection, dialect)
        return Role(account.name, account.superuser, blind=account.blind, extra=account.extra)
    return Role()
