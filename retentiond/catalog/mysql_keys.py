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

# A role with SELECT alone on the child sees that there is a key, but not what it does. The worst is assumed.
_UNKNOWN_RULES = ("CASCADE", "CASCADE")


def read_foreign_keys(
    connection: sa.Connection, dialect: Dialect, server: Any, tables: Collection[str]
) -> tuple[list[ForeignKey], bool]:
    """All foreign keys from or to tables of this database, and whether these are certainly all."""
    try:
        rows = connection.execute(sql.INNODB_KEYS[dialect]).all()
        columns = connection.execute(sql.INNODB_KEY_COLUMNS[dialect]).all()
    except OperationalError as error:
        if error.orig is None or error.orig.args[0] != _ACCESS_DENIED:
            raise
        return list(_from_schema(connection, server.database, {})), False
    found = list(_Names(connection, server, tables, rows).foreign_keys(rows, columns))
    rules = {_identity(key): (key.on_delete, key.on_update) for key in found}
    # The schema's words first: it spells names as people do, and tells RESTRICT from NO ACTION.
    keys = list(_from_schema(connection, server.database, rules))
    known = {_identity(key) for key in keys}
    return [*keys, *(key for key in found if _identity(key) not in known)], True


_Identity = tuple[object, ...]


def _from_schema(
    connection: sa.Connection, database: str, innodb_rules: dict[_Identity, tuple[str, str]]
) -> Iterable[ForeignKey]:
    rules = {
        (row.child_schema, row.child, row.name): (row.on_delete, row.on_update)
        for row in connection.execute(sql.KEY_RULES)
    }
    groups: dict[tuple[str, str, str], list[Any]] = defaultdict(list)
    for row in connection.execute(sql.KEY_COLUMNS):
        groups[row.child_schema, row.child, row.name].append(row)
    for (schema, child, name), rows in groups.items():
        table, referenced = _local(schema, child, database), _local(rows[0].parent_schema, rows[0].parent, database)
        columns = tuple(row.column for row in rows)
        referenced_columns = tuple(row.referenced_column for row in rows)
        identity = _identity_of(table, columns, referenced, referenced_columns)
        on_delete, on_update = rules.get((schema, child, name)) or innodb_rules.get(identity, _UNKNOWN_RULES)
        yield ForeignKey(name, table, columns, referenced, referenced_columns, on_delete, on_update)


def _local(schema: str, table: str, database: str) -> str:
    return table if schema.lower() == database.lower() else f"{schema}.{table}"


def _identity(key: ForeignKey) -> _Identity:
    return _identity_of(key.table, key.columns, key.referenced, key.referenced_columns)


def _identity_of(table: str, columns: Iterable[str], referenced: str, referenced_columns: Iterable[str]) -> _Identity:
    """What makes two reports the same key; InnoDB may fold the case of names."""
    return (
        table.lower(),
        tuple(column.lower() for column in columns),
        referenced.lower(),
        tuple(column.lower() for column in referenced_columns),
    )


class _Names:
    """InnoDB's names, which stand as their files do (`my@0020table`), made readable."""

    def __init__(self, connection: sa.Connection, server: Any, tables: Collection[str], rows: Iterable[Any]) -> None:
        self._database = server.database
        self._known = (
            {name.lower(): name for name in tables} if server.case_folding else {name: name for name in tables}
        )
        parts = {part for row in rows for name in (row.child, row.parent) for part in name.split("/", 1)}
        self._decoded = {part: decoded(connection, part) for part in sorted(parts) if "@" in part}

    def foreign_keys(self, rows: Iterable[Any], columns: Iterable[Any]) -> Iterable[ForeignKey]:
        """The keys that start or end in this database."""
        grouped: dict[str, list[Any]] = defaultdict(list)
        for column in columns:
            grouped[column.id].append(column)
        for row in rows:
            child, parent = self._pair(row.child), self._pair(row.parent)
            if self._database.lower() not in (child[0].lower(), parent[0].lower()):
                continue
            yield ForeignKey(
                name=row.id.split("/", 1)[-1],
                table=self._table(child),
                columns=tuple(column.column for column in grouped[row.id]),
                referenced=self._table(parent),
                referenced_columns=tuple(column.referenced_column for column in grouped[row.id]),
                on_delete="CASCADE" if row.flags & 1 else "SET NULL" if row.flags & 2 else "NO ACTION",
                on_update="CASCADE" if row.flags & 4 else "SET NULL" if row.flags & 8 else "NO ACTION",
            )

    def _pair(self, name: str) -> tuple[str, str]:
        schema, _, table = name.partition("/")
        return self._decoded.get(schema, schema), self._decoded.get(table, table)

    def _table(self, pair: tuple[str, str]) -> str:
        name = _local(*pair, self._database)
        return self._known.get(name, self._known.get(name.lower(), name))


def decoded(connection: sa.Connection, encoded: str) -> str:
    """
    A name of InnoDB's as people write it. The server alone knows this encoding; a name in it has only letters, digits,
    `_`, `$`, `#`, `-` and `@`.
    """
    if not re.fullmatch(r"[\w$#@-]+", encoded):
        return encoded
    statement = sa.text(f"SELECT CONVERT(_filename '{encoded}' USING utf8mb4)")
    return str(connection.execute(statement).scalar_one())
