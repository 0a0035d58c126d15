"""Rights on MariaDB and MySQL, out of what `SHOW GRANTS` says of the session's account."""

from collections.abc import Iterable, Sequence

import sqlalchemy as sa
from sqlalchemy import text

from retentiond.catalog import sql_mysql as sql
from retentiond.catalog.grants_mysql import EVERYTHING, grants, holds
from retentiond.catalog.rights import Held, Right, quoted_role

_DATABASE = text("SELECT DATABASE()")


def has(connection: sa.Connection, wanted: Sequence[Right]) -> list[bool]:
    """For each right, on one column at most, whether the session's account has it."""
    database, held_rights = str(connection.execute(_DATABASE).scalar_one()), grants(connection)
    found = []
    for right in wanted:
        if right.kind == "server":
            found.append(any(one.is_global and one.covers(right.privilege) for one in held_rights))
        else:
            column = right.columns[0] if right.columns else None
            found.append(holds(held_rights, right.privilege, database, right.name, column))
    return found


def held(connection: sa.Connection) -> Iterable[Held]:
    """The account's rights on this database and its tables, those of the role in use included."""
    database = str(connection.execute(_DATABASE).scalar_one())
    own = quoted_role("mariadb", str(connection.execute(sql.CURRENT_USER).scalar_one()))
    for one in grants(connection):
        if not one.is_global and one.holds_in(database) and one.right not in ("USAGE", "GRANT OPTION"):
            right = "ALL PRIVILEGES" if one.right in EVERYTHING else one.right
            yield Held(one.table, right, one.columns, "" if one.grantee == own else one.grantee)
