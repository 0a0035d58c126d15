"""
The weaker way where a source may hold no table of ours: it asks whether the rows of a batch still exist.

It cannot tell our commit from somebody else's deletion of the same rows, which is why the ledger and the certificate
call such evidence `probe`. Until the answer is known the keys lie sealed in the state store.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from retentiond.catalog.faults import errors_of
from retentiond.compiler.key_sets import Key, in_keys
from retentiond.compiler.plan import Relation
from retentiond.engine.sources import Sources
from retentiond.errors import FailedError
from retentiond.state.intents import Intent
from retentiond.state.keys import KeyRing

_BATCH = 1000


def sealed_keys(gone: Mapping[str, tuple[Relation, Sequence[Key]]], keys: KeyRing) -> bytes:
    """The keys of the rows that a chunk deletes, for nobody but a recovery to read."""
    document = [
        {
            "source": relation.source,
            "schema": _schema(relation),
            "table": _table(relation),
            "key": list(relation.key),
            "rows": [[_tagged(value) for value in row] for row in rows],
        }
        for relation, rows in gone.values()
    ]
    return keys.sealer().seal(json.dumps(document).encode())


def probed(intent: Intent, sources: Sources, keys: KeyRing) -> list[str]:
    """
    The sources in which the intent's rows are gone; where one of them is still there, its transaction was not
    committed.

    Raises:
        TransientError: where its transaction is open yet. FailedError: for masks, whose rows stay in any case.
    """
    if intent.planned.probe is None:
        raise FailedError(
            f"{intent.planned.job}: whether batch {intent.planned.batch} was committed cannot be probed",
            code="unresolved",
        )
    gone: dict[str, bool] = {}
    for part in json.loads(keys.sealer().open(intent.planned.probe)):
        gone[part["source"]] = gone.get(part["source"], True) and not _any_left(part, sources)
    return [source for source, all_gone in gone.items() if all_gone]


def _any_left(part: Mapping[str, Any], sources: Sources) -> bool:
    columns: list[sa.ColumnElement[Any]] = [sa.column(name) for name in part["key"]]
    table = sa.table(part["table"], *(sa.column(name) for name in part["key"]), schema=part["schema"])
    rows = [tuple(map(_untagged, row)) for row in part["rows"]]
    dialect = sources.dialect(part["source"])
    with errors_of(part["source"]), sources.writing(part["source"]).connect() as connection, connection.begin():
        for start in range(0, len(rows), _BATCH):
            found = sa.select(*columns).select_from(table).where(in_keys(columns, rows[start : start + _BATCH]))
            # Locked, so that a deletion which is under way is waited for.
            if connection.execute(found if dialect == "sqlite" else found.with_for_update()).first() is not None:
                return True
    return False


def _schema(relation: Relation) -> str | None:
    return relation.name.rpartition(".")[0] or None if relation.dialect == "postgresql" else None


def _table(relation: Relation) -> str:
    return relation.name.rpartition(".")[2] if relation.dialect == "postgresql" else relation.name


def _tagged(value: object) -> list[object]:
    match value:
        case bool() | int() | None | str():
            return ["plain", value]
        case bytes() | memoryview():
            return ["bytes", bytes(value).hex()]
        case UUID():
            return ["uuid", str(value)]
        case Decimal():
            return ["decimal", str(value)]
        case datetime():
            return ["datetime", value.isoformat()]
        case date():
            return ["date", value.isoformat()]
    raise FailedError(f"a key of the type {type(value).__name__} cannot be probed for", code="no-probe")


def _untagged(pair: Iterable[Any]) -> object:
    kind, value = pair
    read = {
        "plain": lambda text: text,
        "bytes": bytes.fromhex,
        "uuid": UUID,
        "decimal": Decimal,
        "datetime": datetime.fromisoformat,
        "date": date.fromisoformat,
    }
    return read[kind](value)
