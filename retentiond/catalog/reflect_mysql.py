"""
MariaDB and MySQL: `information_schema` into a catalog, in one question per kind of thing.

A role sees there only what it has rights on. Foreign keys of tables it may not see are found in InnoDB's own view,
which takes the PROCESS right; without it the catalog is not `complete`.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from retentiond.catalog import sql_mysql as sql
from retentiond.catalog.create_text import read_table
from retentiond.catalog.model import (
    Catalog,
    Check,
    Column,
    Dialect,
    ForeignKey,
    Index,
    Partitioning,
    Table,
    Trigger,
    incoming_keys,
)
from retentiond.catalog.mysql_keys import read_foreign_keys
from retentiond.catalog.mysql_rights import Rights
from retentiond.catalog.mysql_types import family_of
from retentiond.catalog.trigger_sets import assigned
from retentiond.catalog.trigger_text import Name, deeds

_TABLE_DENIED = 1142

_Rows = dict[str, list[Any]]


def read(connection: sa.Connection, source: str) -> Catalog:
    """The catalog of the URL's database."""
    server = connection.execute(sql.SERVER).one()
    dialect: Dialect = "mariadb" if "MariaDB" in server.version else "mysql"
    listed = [row for row in connection.execute(sql.TABLES).all() if row.type in sql.KINDS]
    keys, complete = read_foreign_keys(connection, dialect, server, {row.name for row in listed})
    rights = Rights.of(connection, server.database)
    parts = _Parts.of(connection, dialect, keys)
    if not rights.whole_database:
        parts.checks.update(_checks_one_by_one(connection, [row.name for row in listed if row.type != "VIEW"]))
    tables = {row.name: parts.table(row, rights) for row in listed}
    incoming = incoming_keys(tables)
    for key in keys:
        if key.table not in tables and key.referenced in tables:
            incoming[key.referenced] = (*incoming.get(key.referenced, ()), key)
    return Catalog(
        source=source,
        dialect=dialect,
        version=sql.version_numbers(server.version),
        tables=dict(sorted(tables.items())),
        incoming=incoming,
        complete=complete,
    )


def triggers_of(connection: sa.Connection, table: str, dialect: Dialect) -> tuple[Trigger, ...] | None:
    """The triggers of one table, without reading the others; None where the role may not see them."""
    server = connection.execute(sql.SERVER).one()
    if not Rights.of(connection, server.database).sees_triggers(table):
        return None
    return tuple(_trigger(row, dialect) for row in connection.execute(sql.TRIGGERS_OF_TABLE, {"table": table}))


@dataclass(frozen=True)
class _Parts:
    """What belongs to tables, by the table's name."""

    dialect: Dialect
    columns: _Rows
    primary_keys: _Rows
    indexes: _Rows
    checks: _Rows
    triggers: _Rows
    partitions: _Rows
    foreign_keys: dict[str, list[ForeignKey]]

    @classmethod
    def of(cls, connection: sa.Connection, dialect: Dialect, keys: Iterable[ForeignKey]) -> "_Parts":
        """All parts, one question each."""
        statistics = connection.execute(sql.STATISTICS).all()
        foreign_keys: dict[str, list[ForeignKey]] = defaultdict(list)
        for key in keys:
            foreign_keys[key.table].append(key)
        return cls(
            dialect=dialect,
            columns=_by_table(connection.execute(sql.COLUMNS)),
            primary_keys=_by_table(row for row in statistics if row.name == "PRIMARY"),
            indexes=_by_table(row for row in statistics if row.name != "PRIMARY"),
            checks=_by_table(connection.execute(sql.CHECKS_MARIADB if dialect == "mariadb" else sql.CHECKS_MYSQL)),
            triggers=_by_table(connection.execute(sql.TRIGGERS)),
            partitions=_by_table(connection.execute(sql.PARTITIONS)),
            foreign_keys=foreign_keys,
        )

    def table(self, row: Any, rights: Rights) -> Table:
        """One table with all that belongs to it."""
        checks = tuple(Check(check.name, check.text) for check in self.checks.get(row.name, ()))
        partitions = self.partitions.get(row.name, ())
        view = row.type == "VIEW"
        return Table(
            name=row.name,
            kind="view" if view else "partitioned" if partitions else "table",
            columns=tuple(_column(column, checks) for column in self.columns.get(row.name, ())),
            primary_key=tuple(part.column for part in self.primary_keys.get(row.name, ())),
            foreign_keys=tuple(self.foreign_keys.get(row.name, ())),
            indexes=tuple(_indexes(self.indexes.get(row.name, ()))),
            checks=checks,
            triggers=tuple(_trigger(trigger, self.dialect) for trigger in self.triggers.get(row.name, ())),
            partitioning=_partitioning(partitions),
            engine=row.engine,
            system_versioned=row.type == "SYSTEM VERSIONED",
            estimated_rows=None if view else row.estimate,
            triggers_known=view or rights.sees_triggers(row.name),
        )


def _checks_one_by_one(connection: sa.Connection, tables: Iterable[str]) -> dict[str, list[Any]]:
    """CHECKs out of SHOW CREATE TABLE: a role with rights on single tables finds none in the information schema."""
    found = {}
    for table in tables:
        name = table.replace("`", "``")
        try:
            # no_parameters: a % in the name is no placeholder
            asked = connection.exec_driver_sql(f"SHOW CREATE TABLE `{name}`", execution_options={"no_parameters": True})
        except OperationalError as error:
            if error.orig is None or error.orig.args[0] != _TABLE_DENIED:
                raise
            continue
        checks = read_table(asked.one()[1]).checks
        found[table] = [Check(check or f"{table}_check", _inside(words)) for check, words in checks]
    return found


def _inside(check: str) -> str:
    """The condition of `CHECK (…)`, as the information schema gives it."""
    return check[check.index("(") + 1 : -1].strip()


def _by_table(rows: Iterable[Any]) -> _Rows:
    grouped: _Rows = defaultdict(list)
    for row in rows:
        grouped[row.table_name].append(row)
    return dict(grouped)


def _column(row: Any, checks: tuple[Check, ...]) -> Column:
    extra = row.extra.upper()
    generated = bool(row.generation) or "GENERATED" in extra.replace("DEFAULT_GENERATED", "")
    return Column(
        name=row.name,
        type=row.type,
        family=family_of(row, checks),
        nullable=row.nullable == "YES",
        # A binary column's length counts bytes, and nothing is put into those.
        length=row.length if row.collation is not None else None,
        default=(row.default_text is not None and row.default_text != "NULL") or "AUTO_INCREMENT" in extra,
        generated=generated,
        on_update="ON UPDATE" in extra,
        collation=row.collation,
        choices=sql.choices(row.type) if row.data_type == "enum" else (),
        identity="AUTO_INCREMENT" in extra,
    )


def _indexes(parts: Iterable[Any]) -> Iterable[Index]:
    grouped: _Rows = defaultdict(list)
    for part in parts:
        grouped[part.name].append(part)
    for name, members in grouped.items():
        yield Index(
            name=name,
            # A prefix of a column, like an expression, says nothing of the whole value.
            columns=tuple(None if part.prefix is not None else part.column for part in members),
            unique=not members[0].non_unique,
            method=members[0].method.lower(),
        )


def _trigger(row: Any, dialect: Dialect) -> Trigger:
    # Without the TRIGGER right a trigger has a name, but neither body nor definer.
    parts = (row.timing, row.event, row.body, row.definer, row.sql_mode, row.place)
    text = "\0".join(str(part or "") for part in parts)
    digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
    found = deeds(row.body, dialect) if row.body else None
    return Trigger(
        name=row.name,
        kind="trigger",
        timing=row.timing,
        events=(row.event,),
        digest=digest,
        touches=tuple(_local_name(name, row.database) for name in found.touches) if found else None,
        removes=tuple(_local_name(name, row.database) for name in found.removes) if found else None,
        # A trigger here may not change its own table but through NEW.
        sets=assigned(row.body, dialect, lambda _: False) if found else None,
    )


def _local_name(name: Name, database: str) -> str:
    return name[-1] if name[0] == database or len(name) == 1 else ".".join(name)


def _partitioning(rows: Iterable[Any]) -> Partitioning | None:
    parts = list(rows)
    if not parts:
        return None
    names = {part.name: part.bound or "" for part in parts}  # a sub-partition repeats its partition
    return Partitioning(parts[0].strategy, sql.partition_columns(parts[0].expression), tuple(names.items()))
