"""SQLite: pragmas and the text of CREATE statements into a catalog."""

import hashlib
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from retentiond.catalog.create_text import TableText, read_condition, read_table, read_trigger
from retentiond.catalog.model import Catalog, Check, Column, ForeignKey, Index, Table, TableKind, Trigger, incoming_keys
from retentiond.catalog.sqlite_types import family_of, length_of
from retentiond.catalog.trigger_sets import assigned
from retentiond.catalog.trigger_text import Name, deeds, sqlite_body

_OBJECTS = sa.text(r"""
    SELECT type, name, tbl_name AS table_name, coalesce(sql, '') AS sql
      FROM sqlite_schema
     WHERE name NOT LIKE 'sqlite\_%' ESCAPE '\' AND name NOT LIKE 'retentiond\_%' ESCAPE '\'
     ORDER BY name
""")
# Virtual tables and views are asked one by one: one whose module is missing, or whose table is gone, is an error.
_LIST = sa.text("SELECT name, type, wr AS without_rowid, strict FROM pragma_table_list WHERE schema = 'main'")
_COLUMNS = sa.text("""
    SELECT l.name AS table_name, p.name, p.type, p."notnull" AS not_null, p.dflt_value AS default_text, p.pk, p.hidden
      FROM pragma_table_list AS l JOIN pragma_table_xinfo(l.name) AS p
     WHERE l.schema = 'main' AND l.type IN ('table', 'shadow')
     ORDER BY l.name, p.cid
""")
_COLUMNS_OF_ONE = sa.text("""
    SELECT :name AS table_name, p.name, p.type, p."notnull" AS not_null, p.dflt_value AS default_text, p.pk, p.hidden
      FROM pragma_table_xinfo(:name) AS p
     ORDER BY p.cid
""")
_KEYS = sa.text("""
    SELECT l.name AS table_name, p.id, p."table" AS referenced, p."from" AS "column", p."to" AS referenced_column,
           p.on_delete, p.on_update
      FROM pragma_table_list AS l JOIN pragma_foreign_key_list(l.name) AS p
     WHERE l.schema = 'main' AND l.type = 'table'
     ORDER BY l.name, p.id DESC, p.seq
""")
_INDEXES = sa.text("""
    SELECT l.name AS table_name, i.name, i."unique" AS is_unique, i.origin, i.partial, x.name AS "column", x.cid
      FROM pragma_table_list AS l JOIN pragma_index_list(l.name) AS i JOIN pragma_index_xinfo(i.name) AS x
     WHERE l.schema = 'main' AND l.type = 'table' AND x.key
     ORDER BY l.name, i.name, x.seqno
""")
_HAS_STATISTICS = sa.text("SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_stat1'")
_STATISTICS = sa.text("SELECT tbl AS table_name, stat FROM sqlite_stat1")

_KINDS: dict[str, TableKind] = {"table": "table", "view": "view", "virtual": "foreign", "shadow": "foreign"}
_HIDDEN, _GENERATED = 1, (2, 3)

_Rows = Mapping[str, list[Any]]


def read(connection: sa.Connection, source: str) -> Catalog:
    """The catalog of the main database of the file."""
    objects = connection.execute(_OBJECTS).all()
    listed = {row.name: row for row in connection.execute(_LIST)}
    parts = _Parts.of(connection, objects)
    tables = {
        row.name: parts.table(connection, listed[row.name], row.sql)
        for row in objects
        if row.type in ("table", "view") and row.name in listed
    }
    return Catalog(
        source=source,
        dialect="sqlite",
        version=sqlite3.sqlite_version_info,
        tables=tables,
        incoming=incoming_keys(tables),
    )


@dataclass(frozen=True)
class _Parts:
    """What belongs to tables, by the table's name."""

    columns: _Rows
    keys: _Rows
    indexes: _Rows
    triggers: _Rows
    index_sql: Mapping[str, str]
    estimates: Mapping[str, int]
    spelled: Mapping[str, str]  # by the name in lower case

    @classmethod
    def of(cls, connection: sa.Connection, objects: Iterable[Any]) -> "_Parts":
        """All parts, one question each."""
        objects = list(objects)
        spelled = {row.name.lower(): row.name for row in objects if row.type in ("table", "view")}
        triggers: dict[str, list[Any]] = defaultdict(list)
        for row in objects:
            if row.type == "trigger":  # its ON may spell the table in another case
                triggers[spelled.get(row.table_name.lower(), row.table_name)].append(row)
        return cls(
            columns=_by_table(connection.execute(_COLUMNS)),
            keys=_by_table(connection.execute(_KEYS)),
            indexes=_by_table(connection.execute(_INDEXES)),
            triggers=triggers,
            index_sql={row.name: row.sql for row in objects if row.type == "index"},
            estimates=_estimates(connection),
            spelled=spelled,
        )

    def table(self, connection: sa.Connection, row: Any, sql: str) -> Table:
        """One table with all that belongs to it."""
        name = row.name
        rows = self.columns.get(name) or _columns_of_one(connection, name)
        text = read_table(sql) if row.type == "table" else TableText((), {}, deferred=False)
        key = sorted((column for column in rows if column.pk), key=lambda column: column.pk)
        indexes = self.indexes.get(name, ())
        # An INTEGER PRIMARY KEY is the rowid itself: no index was made for it, and it cannot be NULL.
        is_rowid = len(key) == 1 and not row.without_rowid and not any(index.origin == "pk" for index in indexes)
        filled = {column.name for column in key} if is_rowid else set()
        return Table(
            name=name,
            kind=_KINDS.get(row.type, "foreign"),
            columns=tuple(_column(column, text, filled) for column in rows if column.hidden != _HIDDEN),
            primary_key=tuple(column.name for column in key),
            foreign_keys=tuple(self._foreign_keys(name, deferrable=text.deferred)),
            indexes=tuple(self._indexes(indexes)),
            checks=tuple(Check(check or f"{name}_check", words) for check, words in text.checks),
            triggers=tuple(self._trigger(trigger) for trigger in self.triggers.get(name, ())),
            engine=None if row.type in ("table", "view") else row.type,
            estimated_rows=self.estimates.get(name),
        )

    def _trigger(self, row: Any) -> Trigger:
        timing, event = read_trigger(row.sql)
        body = sqlite_body(row.sql)
        found = deeds(body, "sqlite")
        own = row.table_name.lower()
        return Trigger(
            name=row.name,
            kind="trigger",
            timing=timing,
            events=(event,),
            digest=hashlib.sha256(row.sql.encode("utf-8", "surrogateescape")).hexdigest(),
            touches=self._named(found.touches) if found else None,
            removes=self._named(found.removes) if found else None,
            sets=assigned(body, "sqlite", lambda name: name[-1].lower() == own) if found else None,
        )

    def _named(self, names: Iterable[Name]) -> tuple[str, ...]:
        return tuple(self._spelled(name[-1]) for name in names)

    def _foreign_keys(self, table: str, *, deferrable: bool) -> Iterable[ForeignKey]:
        grouped: dict[int, list[Any]] = defaultdict(list)
        for row in self.keys.get(table, ()):
            grouped[row.id].append(row)
        for rows in grouped.values():
            referenced = self._spelled(rows[0].referenced)
            columns = tuple(self._column_spelled(table, row.column) for row in rows)
            yield ForeignKey(
                name=f"{table}({', '.join(columns)})",  # SQLite does not tell the names of constraints
                table=table,
                columns=columns,
                referenced=referenced,
                referenced_columns=self._referenced_columns(referenced, rows),
                on_delete=rows[0].on_delete,
                on_update=rows[0].on_update,
                deferrable=deferrable,
            )

    def _referenced_columns(self, referenced: str, rows: list[Any]) -> tuple[str, ...]:
        """The named columns, or, where none is named, the primary key."""
        if rows[0].referenced_column is not None:
            return tuple(self._column_spelled(referenced, row.referenced_column) for row in rows)
        key = sorted((c for c in self.columns.get(referenced, ()) if c.pk), key=lambda column: column.pk)
        return tuple(column.name for column in key)

    def _spelled(self, table: str) -> str:
        """The table's name as its own CREATE spells it."""
        return table if table in self.columns else self.spelled.get(table.lower(), table)

    def _column_spelled(self, table: str, column: str) -> str:
        names = (row.name for row in self.columns.get(table, ()))
        return next((name for name in names if name.lower() == column.lower()), column)

    def _indexes(self, rows: Iterable[Any]) -> Iterable[Index]:
        grouped: dict[str, list[Any]] = defaultdict(list)
        for row in rows:
            if row.origin != "pk":
                grouped[row.name].append(row)
        for name, parts in grouped.items():
            condition = read_condition(self.index_sql.get(name, "")) if parts[0].partial else None
            yield Index(name, tuple(part.column for part in parts), unique=bool(parts[0].is_unique), where=condition)


def _by_table(rows: Iterable[Any]) -> dict[str, list[Any]]:
    grouped: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        grouped[row.table_name].append(row)
    return dict(grouped)


def _columns_of_one(connection: sa.Connection, name: str) -> list[Any]:
    try:
        return list(connection.execute(_COLUMNS_OF_ONE, {"name": name}))
    except OperationalError:
        return []  # its module is not loaded here, or the view's table is gone: nobody can read it, we neither


def _column(row: Any, text: TableText, filled: Iterable[str]) -> Column:
    family = family_of(row.type)
    collation = text.collations.get(row.name.lower())
    return Column(
        name=row.name,
        type=row.type,
        family=family,
        nullable=not row.not_null and row.name not in filled,
        length=length_of(row.type, family),
        default=row.default_text is not None or row.name in filled,
        generated=row.hidden in _GENERATED,
        collation=None if collation == "BINARY" else collation,
    )


def _estimates(connection: sa.Connection) -> dict[str, int]:
    """Rows as ANALYZE counted them, where it ever ran."""
    if connection.execute(_HAS_STATISTICS).first() is None:
        return {}
    found: dict[str, int] = {}
    for row in connection.execute(_STATISTICS):
        first = str(row.stat or "").split(" ", 1)[0]
        if first.isdigit():
            found[row.table_name] = max(int(first), found.get(row.table_name, 0))
    return found
