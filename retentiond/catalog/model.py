"""
A live schema as frozen values: what the compiler may know of a database.

Table names are `schema.table` where the database has schemas, else `table`. All tuples keep the database's order.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

Dialect = Literal["postgresql", "mariadb", "mysql", "sqlite"]
TableKind = Literal["table", "partitioned", "partition", "view", "materialized view", "foreign"]


class Family(StrEnum):
    """What a column's type is good for, whatever the engine calls it."""

    INTEGER = "integer"
    DECIMAL = "decimal"
    FLOAT = "float"
    TEXT = "text"
    BOOLEAN = "boolean"
    DATE = "date"
    NAIVE = "timestamp without zone"
    INSTANT = "timestamp with zone"
    TEXT_DATE = "date as ISO text"  # SQLite: declared DATE
    TEXT_DATETIME = "timestamp as ISO text"  # SQLite: declared DATETIME or TIMESTAMP
    UUID = "uuid"
    JSON = "json"
    INET = "inet"
    BINARY = "binary"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Column:
    """
    One column. `type` is the engine's own words, `length` the most characters a text may have, `choices` the only
    values of an enum. `generated`: nobody may set it (a generated column, or an identity ALWAYS).
    """

    name: str
    type: str
    family: Family
    nullable: bool = True
    length: int | None = None
    default: bool = False
    generated: bool = False
    on_update: bool = False  # MariaDB/MySQL: ON UPDATE CURRENT_TIMESTAMP
    collation: str | None = None  # None: the database's own (PostgreSQL), bytes (SQLite), no text
    choices: tuple[str, ...] = ()
    identity: bool = False  # PostgreSQL identity, MariaDB/MySQL AUTO_INCREMENT


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """
    A reference from `table` to `referenced`; actions in capitals: NO ACTION, RESTRICT, CASCADE, SET NULL, SET DEFAULT.

    MariaDB/MySQL: a table of another database of the server stands as `database.table` and is not in the catalog.
    """

    name: str
    table: str
    columns: tuple[str, ...]
    referenced: str
    referenced_columns: tuple[str, ...]
    on_delete: str = "NO ACTION"
    on_update: str = "NO ACTION"
    deferrable: bool = False


@dataclass(frozen=True, slots=True)
class Index:
    """
    An index or unique constraint other than the primary key's own. An expression, or a column of which only a prefix is
    indexed, stands as None; `where` marks a partial one. `unique` is False while the engine does not vouch for it.
    """

    name: str
    columns: tuple[str | None, ...]
    unique: bool = False
    where: str | None = None
    method: str = "btree"  # in lower case: btree, hash, gin, fulltext …
    nulls_distinct: bool = True  # False: NULL counts as one value (PostgreSQL)


@dataclass(frozen=True, slots=True)
class Check:
    """A CHECK constraint in the engine's own words."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Trigger:
    """A trigger or (PostgreSQL) rewrite rule that acts on the table; `digest` is of its definition."""

    name: str
    kind: Literal["trigger", "rule"]
    timing: str  # BEFORE, AFTER, INSTEAD OF
    events: tuple[str, ...]  # INSERT, UPDATE, DELETE, TRUNCATE
    digest: str
    enabled: bool = True
    # What its text names, None where that cannot be told: tables whose rows it changes, those of them it deletes from,
    # and the columns of its own table that it sets.
    touches: tuple[str, ...] | None = None
    removes: tuple[str, ...] | None = None
    sets: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Partitioning:
    """How a table is cut up: RANGE, LIST, HASH or KEY, over which columns, into which partitions."""

    strategy: str
    columns: tuple[str | None, ...]
    partitions: tuple[tuple[str, str], ...]  # (name, bound in the engine's words)


@dataclass(frozen=True, slots=True)
class Table:
    """One table with everything that a change of its rows may set off."""

    name: str
    kind: TableKind
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    indexes: tuple[Index, ...] = ()
    checks: tuple[Check, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    row_security: bool = False
    inherits: tuple[str, ...] = ()
    inherited_by: tuple[str, ...] = ()
    partition_of: str | None = None
    partitioning: Partitioning | None = None
    engine: str | None = None  # MariaDB/MySQL: InnoDB, Aria …
    system_versioned: bool = False
    estimated_rows: int | None = None
    schema: str | None = None  # its own schema, also where a name holds a dot
    triggers_known: bool = True  # MariaDB/MySQL: False where the role may not see them

    @property
    def bare_name(self) -> str:
        """The name without its schema, for quoting."""
        return self.name if self.schema is None else self.name.removeprefix(f"{self.schema}.")

    def column(self, name: str) -> Column | None:
        """The column of that name, or None."""
        return next((column for column in self.columns if column.name == name), None)

    def is_unique(self, columns: tuple[str, ...]) -> bool:
        """True where these columns identify at most one row: the primary key or a full unique index over them."""
        wanted = set(columns)
        if self.primary_key and set(self.primary_key) <= wanted:
            return True
        return any(
            i.unique and i.where is None and None not in i.columns and set(i.columns) <= wanted for i in self.indexes
        )


@dataclass(frozen=True, slots=True)
class Catalog:
    """
    All tables of one source. `incoming` maps a table to the foreign keys that point at it. `complete` is False where
    the role may not see all incoming foreign keys. `features` names what the server can do (`icu`).
    """

    source: str
    dialect: Dialect
    version: tuple[int, ...]
    tables: Mapping[str, Table]
    incoming: Mapping[str, tuple[ForeignKey, ...]]
    default_schema: str | None = None
    complete: bool = True
    features: frozenset[str] = field(default_factory=frozenset)

    def find(self, name: str) -> Table | None:
        """The table of that name, looked up in the default schema where the name has none; None where absent."""
        if name in self.tables:
            return self.tables[name]
        return self.tables.get(f"{self.default_schema}.{name}") if self.default_schema else None

    def short(self, table: Table | str) -> str:
        """The name as people write it: without the default schema."""
        name = table if isinstance(table, str) else table.name
        prefix = f"{self.default_schema}." if self.default_schema else ""
        return name.removeprefix(prefix) if prefix else name


def incoming_keys(tables: Mapping[str, Table]) -> dict[str, tuple[ForeignKey, ...]]:
    """For each referenced table the foreign keys that point at it, self-references included."""
    found: dict[str, list[ForeignKey]] = {}
    for table in tables.values():
        for key in table.foreign_keys:
            found.setdefault(key.referenced, []).append(key)
    return {name: tuple(keys) for name, keys in found.items()}
