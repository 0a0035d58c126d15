"""The foreign keys of MariaDB and MySQL, from where the role may see them."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from retentiond.catalog import sql_mysql as sql
from retentiond.catalog.model import Dialect, ForeignKey

_ACCESS_DENIED = 1227


def read_foreign_keys(
    connection: sa.Connection, dialect: Dialect, server: Any, tables: Collection[str]
) -> tuple[list[ForeignKey], bool]:
    """All foreign keys from or to tables of this database, and whether these are certainly all."""
    keys = [_from_schema(rows, server.database) for rows in _grouped(connection.execute(sql.KEYS))]
    question = sql.INNODB_KEYS_MARIADB if dialect == "mariadb" else sql.INNODB_KEYS_MYSQL
    try:
        rows = connection.execute(question).all()
    except OperationalError as error:
        if error.orig is None or error.orig.args[0] != _ACCESS_DENIED:
            raise
        return keys, False
    known = {_identity(key) for key in keys}
    names = _Names(connection, server, tables, rows)
    for group in _grouped(rows):
        key = names.foreign_key(group)
        if key is not None and _identity(key) not in known:
            keys.append(key)
    return keys, True


def _grouped(rows: Iterable[Any]) -> Iterable[list[Any]]:
    groups: dict[tuple[Any, ...], list[Any]] = defaultdict(list)
    for row in rows:
        groups[row.child_schema, row.child, row.id].append(row)
    return groups.values()


def _from_schema(rows: list[Any], database: str) -> ForeignKey:
    first = rows[0]
    return ForeignKey(
        name=first.id,
        table=_local(first.child_schema, first.child, database),
        columns=tuple(row.column for row in rows),
        referenced=_local(first.referenced_schema, first.referenced_name, database),
        referenced_columns=tuple(row.referenced_column for row in rows),
        on_delete=first.on_delete or "NO ACTION",
        on_update=first.on_update or "NO ACTION",
    )


def _local(schema: str, table: str, database: str) -> str:
    return table if schema.lower() == database.lower() else f"{schema}.{table}"


def _identity(key: ForeignKey) -> tuple[object, ...]:
    """What makes two reports the same key; InnoDB may fold the case of names."""
    return (
        key.table.lower(),
        tuple(column.lower() for column in key.columns),
        key.referenced.lower(),
        tuple(column.lower() for column in key.referenced_columns),
    )


class _Names:
    """InnoDB's names, which stand as their files do (`my@0020table`), made readable."""

    def __init__(self, connection: sa.Connection, server: Any, tables: Collection[str], rows: Iterable[Any]) -> None:
        self._database = server.database
        self._known = (
            {name.lower(): name for name in tables} if server.case_folding else {name: name for name in tables}
        )
        encoded = {
            part for row in rows for name in (row.child, row.parent) for part in name.split("/", 1) if "@" in part
        }
        self._decoded = {part: _decode(connection, part) for part in sorted(encoded)}

    def foreign_key(self, rows: list[Any]) -> ForeignKey | None:
        """The key, or None where it neither starts nor ends in this database."""
        first = rows[0]
        child, parent = self._pair(first.child), self._pair(first.parent)
        if self._database.lower() not in (child[0].lower(), parent[0].lower()):
            return None
        return ForeignKey(
            name=first.id.split("/", 1)[-1],
            table=self._table(child),
            columns=tuple(row.column for row in rows),
            referenced=self._table(parent),
            referenced_columns=tuple(row.referenced_column for row in rows),
            on_delete="CASCADE" if first.flags & 1 else "SET NULL" if first.flags & 2 else "NO ACTION",
            on_update="CASCADE" if first.flags & 4 else "SET NULL" if first.flags & 8 else "NO ACTION",
        )

    def _pair(self, name: str) -> tuple[str, str]:
        schema, _, table = name.partition("/")
        return self._decoded.get(schema, schema), self._decoded.get(table, table)

    def _table(self, pair: tuple[str, str]) -> str:
        name = _local(*pair, self._database)
        return self._known.get(name, self._known.get(name.lower(), name))


def _decode(connection: sa.Connection, encoded: str) -> str:
    """The server alone knows this encoding. A name in it has only letters, digits, `_`, `$`, `#` and `@`."""
    if not re.fullmatch(r"[\w$#@-]+", encoded):
        return encoded
    statement = sa.text(f"SELECT CONVERT(_filename '{encoded}' USING utf8mb4)")
    return str(connection.execute(statement).scalar_one())
