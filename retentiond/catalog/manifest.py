"""
What an administrator saw of a MariaDB or MySQL database, written down for a role that may not see it itself.

InnoDB shows the foreign keys of all tables to who has PROCESS, and triggers show to who has TRIGGER. A daemon's role
needs neither, if it is told. What changes later it is not told: a manifest is as true as the day it was made.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from retentiond.catalog.model import Catalog, ForeignKey, Table, Trigger, incoming_keys

_VERSION = 1


@dataclass(frozen=True, slots=True)
class Manifest:
    """The tables there were, every foreign key that points at one of them, and their triggers."""

    tables: frozenset[str]
    keys: tuple[ForeignKey, ...]
    triggers: Mapping[str, tuple[Trigger, ...]]

    def as_document(self) -> dict[str, Any]:
        """The manifest as JSON has it."""
        return {
            "version": _VERSION,
            "tables": sorted(self.tables),
            "keys": [asdict(key) for key in self.keys],
            "triggers": {name: [asdict(trigger) for trigger in found] for name, found in self.triggers.items()},
        }


def read_manifest(document: Mapping[str, Any]) -> Manifest | None:
    """The manifest that the document is; None where another version of the program wrote it."""
    if document.get("version") != _VERSION:
        return None
    return Manifest(
        tables=frozenset(document["tables"]),
        keys=tuple(ForeignKey(**_tuples(key)) for key in document["keys"]),
        triggers={
            name: tuple(Trigger(**_tuples(trigger)) for trigger in found)
            for name, found in document["triggers"].items()
        },
    )


def manifest_of(catalog: Catalog) -> Manifest | None:
    """What this catalog tells; None where its reader could not see everything himself."""
    if not catalog.complete or hides_triggers(catalog):
        return None
    triggers = {table.name: table.triggers for table in catalog.tables.values() if table.triggers}
    keys = (key for found in catalog.incoming.values() for key in found)
    return Manifest(frozenset(catalog.tables), tuple(sorted(keys, key=_identity)), triggers)


def hides_triggers(catalog: Catalog) -> bool:
    """True where the reader may not see the triggers of some table."""
    return not all(table.triggers_known for table in catalog.tables.values())


def with_manifest(catalog: Catalog, manifest: Manifest) -> Catalog:
    """
    The catalog with what its reader could not see. Complete only where each of its tables was there when the manifest
    was made; where the reader sees for himself, that counts.
    """
    tables = {name: _with_triggers(table, manifest) for name, table in catalog.tables.items()}
    if catalog.complete:
        return replace(catalog, tables=tables)
    known = {_identity(key): key for key in manifest.keys}
    # What a key does is hidden from who may only read its table; the manifest says it.
    tables = {name: replace(table, foreign_keys=_told(table.foreign_keys, known)) for name, table in tables.items()}
    seen = [key for found in catalog.incoming.values() for key in found]
    everything = {_identity(key): key for key in (*seen, *manifest.keys)}
    incoming = incoming_keys(tables)
    for key in everything.values():
        if key.table not in tables and key.referenced in tables:
            incoming[key.referenced] = (*incoming.get(key.referenced, ()), key)
    return replace(catalog, tables=tables, incoming=incoming, complete=manifest.tables >= set(catalog.tables))


def _with_triggers(table: Table, manifest: Manifest) -> Table:
    if table.triggers_known or table.name not in manifest.tables:
        return table
    told = {trigger.name: trigger for trigger in manifest.triggers.get(table.name, ())}
    # Its reader may see names. One that came later stays what it is to him: something nobody can look into.
    later = {trigger.name: trigger for trigger in table.triggers if trigger.name not in told}
    return replace(table, triggers=(*told.values(), *later.values()), triggers_known=True)


def _told(keys: Iterable[ForeignKey], known: Mapping[tuple[object, ...], ForeignKey]) -> tuple[ForeignKey, ...]:
    return tuple(known.get(_identity(key), key) for key in keys)


def _identity(key: ForeignKey) -> tuple[object, ...]:
    """What makes two reports the same key; InnoDB may fold the case of names."""
    columns = (tuple(column.lower() for column in found) for found in (key.columns, key.referenced_columns))
    return (key.table.lower(), key.referenced.lower(), *columns)


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
