"""
PostgreSQL: the system catalogues into a catalog, in one question per kind of thing.

`pg_catalog` shows every table, key and trigger to every role, so what is read here is complete whatever the role may.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from retentiond.catalog import sql_postgresql as sql
from retentiond.catalog.model import (
    Catalog,
    Check,
    Column,
    Family,
    ForeignKey,
    Index,
    Partitioning,
    Table,
    TableKind,
    Trigger,
    incoming_keys,
)
from retentiond.catalog.trigger_sets import assigned
from retentiond.catalog.trigger_text import Deeds, Name, deeds

_KINDS: dict[str, TableKind] = {
    "r": "table",
    "p": "partitioned",
    "v": "view",
    "m": "materialized view",
    "f": "foreign",
}
_ACTIONS = {"a": "NO ACTION", "r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}
_STRATEGIES = {"r": "RANGE", "l": "LIST", "h": "HASH"}
_RULE_EVENTS = {"1": "SELECT", "2": "UPDATE", "3": "INSERT", "4": "DELETE"}
_TRIGGER_EVENTS = {4: "INSERT", 8: "DELETE", 16: "UPDATE", 32: "TRUNCATE"}
_HARMLESS_FUNCTIONS = (
    "suppress_redundant_updates_trigger",
    "tsvector_update_trigger_byid",
    "tsvector_update_trigger_bycolumn",
)
_FIRES_FOR_US = ("O", "A")  # always, or in sessions that are no replica

_FAMILIES = {
    **dict.fromkeys(("int2", "int4", "int8"), Family.INTEGER),
    **dict.fromkeys(("text", "varchar", "bpchar", "name", "citext"), Family.TEXT),
    **dict.fromkeys(("float4", "float8"), Family.FLOAT),
    **dict.fromkeys(("json", "jsonb"), Family.JSON),
    **dict.fromkeys(("inet", "cidr"), Family.INET),
    "numeric": Family.DECIMAL,
    "bool": Family.BOOLEAN,
    "date": Family.DATE,
    "timestamp": Family.NAIVE,
    "timestamptz": Family.INSTANT,
    "uuid": Family.UUID,
    "bytea": Family.BINARY,
}

_Rows = Mapping[int, list[Any]]


def read(connection: sa.Connection, source: str) -> Catalog:
    """The catalog of every schema that is not the system's, a session's own or ours."""
    server = connection.execute(sql.SERVER).one()
    relations = connection.execute(sql.TABLES).all()
    parts = _Parts.of(connection, relations)
    tables = {_qualified(row.schema, row.name): parts.table(row) for row in relations}
    return Catalog(
        source=source,
        dialect="postgresql",
        version=(server.number // 10_000, server.number % 10_000),
        tables=dict(sorted(tables.items())),
        incoming=incoming_keys(tables),
        default_schema=_default_schema(server),
        features=frozenset({"icu"} if server.icu else ()),
    )


def _default_schema(server: Any) -> str:
    """The schema where the role's own search path would find an unqualified name first."""
    for part in server.search_path.split(","):
        name = part.strip()
        name = name[1:-1].replace('""', '"') if name.startswith('"') else name
        name = server.role if name == "$user" else name
        if name in server.schemas:
            return str(name)
    return "public"


@dataclass(frozen=True)
class _Parts:
    """What belongs to tables, by the table's oid."""

    names: frozenset[str]
    columns: _Rows
    domains: Mapping[int, Any]
    domain_checks: _Rows
    enums: _Rows
    constraints: _Rows
    indexes: _Rows
    triggers: _Rows
    rules: _Rows
    parents: _Rows
    children: _Rows

    @classmethod
    def of(cls, connection: sa.Connection, relations: Iterable[Any]) -> "_Parts":
        """All parts, one question each."""
        inheritance = connection.execute(sql.INHERITANCE).all()
        return cls(
            names=frozenset(_qualified(row.schema, row.name) for row in relations),
            columns=_by(connection.execute(sql.COLUMNS), "relation"),
            domains={row.domain: row for row in connection.execute(sql.DOMAINS)},
            domain_checks=_by(connection.execute(sql.DOMAIN_CHECKS), "domain"),
            enums=_by(connection.execute(sql.ENUMS), "type"),
            constraints=_by(connection.execute(sql.CONSTRAINTS), "relation"),
            indexes=_by(connection.execute(sql.INDEXES), "relation"),
            triggers=_by(connection.execute(sql.TRIGGERS), "relation"),
            rules=_by(connection.execute(sql.RULES), "relation"),
            parents=_by(inheritance, "child"),
            children=_by(inheritance, "parent"),
        )

    def table(self, row: Any) -> Table:
        """One table with all that belongs to it."""
        columns = [(column, *self._base(column)) for column in self.columns.get(row.relation, ())]
        numbered = {column.number: column.name for column, _, _ in columns}
        name = _qualified(row.schema, row.name)
        constraints = self.constraints.get(row.relation, ())
        parents = [
            _qualified(parent.parent_schema, parent.parent_name) for parent in self.parents.get(row.relation, ())
        ]
        children = self.children.get(row.relation, ())
        return Table(
            name=name,
            schema=row.schema,
            kind="partition" if row.is_partition and row.kind == "r" else _KINDS[row.kind],
            columns=tuple(self._column(*column) for column in columns),
            primary_key=next((_named(numbered, c.columns) for c in constraints if c.kind == "p"), ()),
            foreign_keys=tuple(_foreign_key(name, c) for c in constraints if c.kind == "f"),
            indexes=tuple(_index(numbered, index) for index in self.indexes.get(row.relation, ())),
            checks=(
                *(Check(c.name, c.text) for c in constraints if c.kind == "c"),
                *(check for column, _, _ in columns for check in self._domain_checks(column)),
            ),
            triggers=(
                *(self._trigger(trigger, name) for trigger in self.triggers.get(row.relation, ())),
                *(_rule(rule) for rule in self.rules.get(row.relation, ())),
            ),
            row_security=row.row_security,
            inherits=() if row.is_partition else tuple(parents),
            inherited_by=tuple(_qualified(c.child_schema, c.child_name) for c in children if not c.is_partition),
            partition_of=parents[0] if row.is_partition and parents else None,
            partitioning=_partitioning(row, numbered, children),
            estimated_rows=self._estimate(row.relation, row.estimate),
        )

    def _trigger(self, row: Any, table: str) -> Trigger:
        harmless = row.language == "internal" and row.body in _HARMLESS_FUNCTIONS
        found = deeds(row.body, "postgresql") if row.language == "plpgsql" else Deeds((), ()) if harmless else None
        settings = row.settings or ()
        touches = self._all_resolved(found.touches, settings) if found else None
        sets: tuple[str, ...] | None = () if harmless else None  # a tsvector is nobody's clock
        if touches is not None and not harmless:
            sets = assigned(row.body, "postgresql", lambda name: self._resolved(name, settings) == table)
        return Trigger(
            name=row.name,
            kind="trigger",
            timing="BEFORE" if row.flags & 2 else "INSTEAD OF" if row.flags & 64 else "AFTER",
            events=tuple(event for bit, event in _TRIGGER_EVENTS.items() if row.flags & bit),
            digest=_digest(row.enabled, row.definition, row.digested),
            enabled=row.enabled in _FIRES_FOR_US,
            touches=touches,
            removes=self._all_resolved(found.removes, settings) if found else None,
            sets=sets,
        )

    def _all_resolved(self, names: Iterable[Name], settings: Iterable[str]) -> tuple[str, ...] | None:
        """The tables that a function names; None where one of them is not known."""
        found = [self._resolved(name, settings) for name in names]
        return None if None in found else tuple(name for name in found if name is not None)

    def _resolved(self, name: Name, settings: Iterable[str]) -> str | None:
        """The table meant: named in full, or found on the function's own search path."""
        if len(name) == 2:
            folded = _qualified(*name)
            return folded if folded in self.names else None
        for setting in settings:
            key, _, value = setting.partition("=")
            if key == "search_path":
                paths = (_qualified(schema.strip().strip('"'), name[0]) for schema in value.split(","))
                return next((path for path in paths if path in self.names), None)
        return None

    def _base(self, column: Any) -> tuple[Any, bool]:
        """The type below all domains, and whether one of them forbids NULL."""
        kind, not_null = column, False
        while kind.type_kind == "d":
            kind = self.domains[kind.type]
            not_null = not_null or kind.not_null
        return kind, not_null

    def _column(self, column: Any, base: Any, not_null: bool) -> Column:
        enum = base.type_kind == "e"
        sized = base.type_name in ("varchar", "bpchar") and base.modifier > 0
        return Column(
            name=column.name,
            type=column.type_text,
            family=Family.TEXT if enum else _FAMILIES.get(base.type_name, Family.OTHER),
            nullable=not (column.not_null or not_null),
            length=base.modifier - 4 if sized else 63 if base.type_name == "name" else None,
            default=column.has_default,
            generated=column.generated,
            collation=column.collation,
            choices=tuple(label.label for label in self.enums.get(base.type, ())) if enum else (),
            identity=column.identity,
        )

    def _domain_checks(self, column: Any) -> Iterable[Check]:
        """The CHECKs of a column's domains, saying the column's name where they say VALUE."""
        kind = column
        while kind.type_kind == "d":
            for check in self.domain_checks.get(kind.type, ()):
                yield Check(check.name, sql.VALUE.sub(lambda _: column.quoted_name, check.text))
            kind = self.domains[kind.type]

    def _estimate(self, relation: int, own: float) -> int | None:
        """Rows as the planner believes; of a partitioned table never analysed, the sum of its partitions."""
        if own >= 0:
            return int(own)
        partitions = [child for child in self.children.get(relation, ()) if child.is_partition]
        estimates = [self._estimate(child.child, child.estimate) for child in partitions]
        known = [estimate for estimate in estimates if estimate is not None]
        return sum(known) if known and len(known) == len(estimates) else None


def _by(rows: Iterable[Any], key: str) -> dict[int, list[Any]]:
    grouped: dict[int, list[Any]] = defaultdict(list)
    for row in rows:
        grouped[getattr(row, key)].append(row)
    return dict(grouped)


def _qualified(schema: str, name: str) -> str:
    return f"{schema}.{name}"


def _named(numbered: Mapping[int, str], numbers: Iterable[int]) -> tuple[str, ...]:
    return tuple(numbered[number] for number in numbers)


def _foreign_key(table: str, row: Any) -> ForeignKey:
    return ForeignKey(
        name=row.name,
        table=table,
        columns=tuple(row.column_names),
        referenced=_qualified(row.referenced_schema, row.referenced_name),
        referenced_columns=tuple(row.referenced_columns),
        on_delete=_ACTIONS[row.on_delete],
        on_update=_ACTIONS[row.on_update],
        deferrable=row.deferrable,
    )


def _index(numbered: Mapping[int, str], row: Any) -> Index:
    return Index(
        name=row.name,
        columns=tuple(numbered.get(number) for number in row.columns),  # 0, an expression, is nobody's number
        unique=row.is_unique and row.is_valid,
        where=row.condition,
        method=row.method,
        nulls_distinct=not row.nulls_not_distinct,
    )


def _rule(row: Any) -> Trigger:
    return Trigger(
        name=row.name,
        kind="rule",
        timing="INSTEAD OF" if row.instead else "AFTER",
        events=(_RULE_EVENTS[row.event],),
        digest=_digest(row.enabled, row.definition),
        enabled=row.enabled in _FIRES_FOR_US,
    )


def _digest(*parts: str | None) -> str:
    return hashlib.sha256("\0".join(part or "" for part in parts).encode()).hexdigest()


def _partitioning(row: Any, numbered: Mapping[int, str], children: Iterable[Any]) -> Partitioning | None:
    if row.strategy is None:
        return None
    return Partitioning(
        strategy=_STRATEGIES.get(row.strategy, row.strategy),
        columns=tuple(numbered.get(number) for number in row.partition_columns),
        partitions=tuple((_qualified(c.child_schema, c.child_name), c.bound) for c in children),
    )
