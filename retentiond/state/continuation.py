"""
Going on after the state store was lost or restored from a back-up.

The ledger that was lost cannot be had back, and its name must not sign another one. So the store gets a new id: its
ledger signs under a new name, its fences start anew beside the old ones, and its first leaf under that name says what
it does not know. Approvals are void, for some of them may have been withdrawn since; holds stay, some may be missing.
"""

import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import delete, update
from sqlalchemy.engine import Connection

from retentiond.state import tables as schema
from retentiond.state.faults import store_errors
from retentiond.state.keys import add_identity
from retentiond.state.store import Store


@dataclass(frozen=True, slots=True)
class Gap:
    """A job of which a source knows more than the state store: the numbers of their fences."""

    job: str
    source: str
    known: int
    found: int


def continue_anew(store: Store, keys: Path, name: str, gaps: Sequence[Gap], by: str, now: datetime) -> str:
    """
    The store's new id. `name` is the file's, `keys` the folder of the keys; `gaps` are told in the ledger.

    A crash leaves the store as it was, or as it is afterwards.
    """
    before = store.identity
    state_id = str(uuid.uuid4())
    add_identity(keys, name, state_id)
    leaf = {"event": "state-continued", "before": before, "state": state_id, "by": by}
    with store_errors("going on"), store.writing() as connection:
        store.ledger.append(connection, "restore", now, {**leaf, "gaps": [asdict(gap) for gap in gaps]})
        connection.execute(update(schema.identity).values(state_id=state_id))
        store.intents.give_up(connection, now)
        _void(connection, by, now)
        store.control.raise_epoch(connection)
    return state_id


def _void(connection: Connection, by: str, now: datetime) -> None:
    """What was true under the old id only: fences, signatures, who may sign, and every approval."""
    connection.execute(delete(schema.fences))
    connection.execute(delete(schema.checkpoints))
    signing = (schema.keys.c.purpose == "sign") & schema.keys.c.destroyed_at.is_(None)
    connection.execute(update(schema.keys).where(signing).values(destroyed_at=now))
    given = schema.approvals.c.withdrawn_at.is_(None)
    connection.execute(update(schema.approvals).where(given).values(withdrawn_at=now, withdrawn_by=by))
