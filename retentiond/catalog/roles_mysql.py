"""The powers of an account on MariaDB or MySQL."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from retentiond.catalog import sql_mysql as sql
from retentiond.catalog.grants_mysql import EVERYTHING, grants, idle_roles
from retentiond.catalog.model import Dialect

ACCESS_DENIED = 1227

# Whoever has one of these for the whole server can give himself the others: the tables of accounts are tables too.
_POWERS = frozenset({
    *EVERYTHING,
    *("SUPER", "CREATE USER", "GRANT OPTION", "FILE", "SET USER", "INSERT", "UPDATE", "DELETE", "DROP", "ALTER"),
    *("CREATE", "SYSTEM_USER", "SET_USER_ID", "SET_ANY_DEFINER", "ROLE_ADMIN", "CONNECTION_ADMIN"),
})  # fmt: skip
_HARMLESS = frozenset({
    *("USAGE", "PROCESS", "SHOW DATABASES", "REPLICATION CLIENT", "BINLOG MONITOR", "SLAVE MONITOR"),
    "REPLICA MONITOR",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Account:
    """Who the session is (`user@host`), and what no rule needs that is not a right on a table."""

    name: str
    superuser: bool
    blind: bool
    extra: tuple[str, ...]


def read(connection: sa.Connection, dialect: Dialect) -> Account:
    """The session's account."""
    held = grants(connection)
    return Account(
        name=str(connection.execute(sql.CURRENT_USER).scalar_one()),
        superuser=any(one.is_global and one.right in _POWERS for one in held),
        blind=not sees_all_keys(connection, dialect),
        extra=(
            *(
                str(one)
                for one in held
                if (one.is_global or one.right == "GRANT OPTION") and one.right not in _HARMLESS
            ),
            *(f"role {name}, which it can take on" for name in idle_roles(connection)),
        ),
    )


def sees_all_keys(connection: sa.Connection, dialect: Dialect) -> bool:
    """True where the account has PROCESS, and InnoDB therefore shows it the keys of every table."""
    try:
        connection.execute(sql.INNODB_KEYS[dialect]).first()
    except OperationalError as error:
        if error.orig is None or error.orig.args[0] != ACCESS_DENIED:
            raise
        return False
    return True
