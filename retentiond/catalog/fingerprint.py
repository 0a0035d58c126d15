"""A digest of what bears on the rows of some tables, so that a changed schema stops a run before it does harm."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from retentiond.catalog.model import Catalog, Column, ForeignKey, Index, Table, Trigger

_OURS = "retentiond"


def fingerprint(catalog: Catalog, tables: Iterable[str]) -> str:
    """
    The SHA-256, in hex, of the columns, keys, foreign keys (incoming ones too) and triggers of these tables.

    What comes and goes without bearing on rows is left out: estimates, other tables, our own, the order of columns,
    plain indexes, and new partitions – unless a partition has a trigger or a foreign key of its own.
    """
    return _sha256({name: _described(catalog, name) for name in sorted(set(tables)) if not _is_ours(name)})


def combined(fingerprints: Mapping[str, str]) -> str:
    """One fingerprint of several, by whatever tells them apart."""
    return _sha256(dict(fingerprints))


def _sha256(plain: object) -> str:
    text = json.dumps(plain, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _described(catalog: Catalog, name: str) -> dict[str, Any] | None:
    table = catalog.find(name)
    if table is None:
        return None
    return {
        "kind": table.kind,
        "columns": {column.name: _column(column) for column in table.columns},
        "primary_key": table.primary_key,
        "unique": sorted(_unique(index) for index in table.indexes if index.unique),
        "foreign_keys": sorted(_key(key) for key in table.foreign_keys),
        "incoming": _incoming(catalog, table),
        "triggers": sorted(_trigger(trigger) for trigger in table.triggers),
        "row_security": table.row_security,
        "inherits": sorted(table.inherits),
        "inherited_by": sorted(table.inherited_by),
        "partitioned_by": [table.partitioning.strategy, *table.partitioning.columns] if table.partitioning else None,
        "partitions": _peculiar_partitions(catalog, table),
        "engine": table.engine,
        "system_versioned": table.system_versioned,
    }


def _peculiar_partitions(catalog: Catalog, table: Table) -> dict[str, Any]:
    """Those partitions, of all levels, on which something acts that does not act on the whole table."""
    found: dict[str, Any] = {}
    for name, _ in table.partitioning.partitions if table.partitioning else ():
        partition = catalog.tables.get(name)
        if partition is None:
            continue
        triggers = sorted(_trigger(trigger) for trigger in partition.triggers)
        incoming = _incoming(catalog, partition)
        if triggers or incoming:
            found[name] = {"triggers": triggers, "incoming": incoming}
        found |= _peculiar_partitions(catalog, partition)
    return found


def _incoming(catalog: Catalog, table: Table) -> list[str]:
    keys = catalog.incoming.get(table.name, ())
    return sorted(_key(key) for key in keys if not _is_ours(key.table))


def _is_ours(name: str) -> bool:
    return any(part.startswith(_OURS) for part in name.split("."))


def _column(column: Column) -> list[Any]:
    # The type in the engine's words says length and precision too.
    return [column.type, column.nullable, column.generated, column.on_update, column.collation, *column.choices]


def _unique(index: Index) -> str:
    return json.dumps([index.columns, index.where, index.nulls_distinct])


def _key(key: ForeignKey) -> str:
    return json.dumps(
        [
            key.table,
            key.columns,
            key.referenced,
            key.referenced_columns,
            key.on_delete.replace("RESTRICT", "NO ACTION"),  # MariaDB's views differ in which of the two they say
            key.on_update.replace("RESTRICT", "NO ACTION"),
            key.deferrable,
        ]
    )


def _trigger(trigger: Trigger) -> str:
    return json.dumps([trigger.name, trigger.kind, trigger.timing, trigger.events, trigger.digest, trigger.enabled])
