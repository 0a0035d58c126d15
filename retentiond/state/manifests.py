"""What administrators saw of sources whose role is blind, as `catalog.manifest` reads it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, delete, insert, select

from retentiond.errors import UsageError
from retentiond.state import tables as schema
from retentiond.state.faults import store_errors
from retentiond.state.ledger.ledger import Ledger
from retentiond.state.sqlite import WRITES

_M = schema.manifests.c


@dataclass(frozen=True, slots=True)
class Recorded:
    """A manifest, when it was made and by whom."""

    document: Mapping[str, Any] = field(repr=False)
    made_at: datetime
    made_by: str


class Manifests:
    """The part of a store that remembers what administrators saw; got as `store.manifests`."""

    def __init__(self, engine: Engine, ledger: Ledger, *, writable: bool) -> None:
        self._engine = engine
        self._writer = engine.execution_options(**{WRITES: True})
        self._ledger = ledger
        self._writable = writable

    def of(self, source: str) -> Recorded | None:
        """The manifest of a source, or None where none was recorded."""
        query = select(_M.document, _M.made_at, _M.made_by).where(_M.source == source)
        with store_errors("reading a manifest"), self._engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else Recorded(*row)

    def record(
        self, source: str, document: Mapping[str, Any], *, now: datetime, by: str, login_uid: int | None = None
    ) -> None:
        """From now on this is what was seen; in the ledger stands its digest."""
        if not self._writable:
            raise UsageError("the state store was opened for reading only", code="state-read-only")
        text = json.dumps(document, sort_keys=True, separators=(",", ":"))
        leaf = {
            "event": "inspected",
            "source": source,
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
            "by": by,
            "login_uid": login_uid,
        }
        with store_errors("recording a manifest"), self._writer.begin() as connection:
            connection.execute(delete(schema.manifests).where(_M.source == source))
            values = {"source": source, "document": dict(document), "made_at": now, "made_by": by}
            connection.execute(insert(schema.manifests).values(values))
            self._ledger.append(connection, "approval", now, leaf)
