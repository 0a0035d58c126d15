"""Which keys the state store knows of: what a ledger's leaf said was made, so that a lost one is never made anew."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Engine, insert, select, update
from sqlalchemy.engine import Connection

from retentiond.state import tables as schema
from retentiond.state.faults import store_errors
from retentiond.state.ledger.ledger import Ledger
from retentiond.state.sqlite import WRITES

Purpose = Literal["mask", "seal", "sign", "tokens"]

_K = schema.keys.c


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A key by its id, which says nothing of the key itself."""

    key: str
    purpose: str
    made_at: datetime
    destroyed_at: datetime | None


class KnownKeys:
    """The part of a store that knows the keys; got as `store.keys`. Each change is a leaf of the ledger too."""

    def __init__(self, engine: Engine, ledger: Ledger, *, writable: bool) -> None:
        self._engine = engine
        self._writer = engine.execution_options(**{WRITES: True})
        self._ledger = ledger
        self.writable = writable

    def state_id(self) -> str:
        """The id of the state store; empty where there is none yet."""
        return self._ledger.state_id()

    def of(self, purpose: Purpose) -> list[KnownKey]:
        """The keys made for that purpose, destroyed ones too, oldest first."""
        query = select(schema.keys).where(_K.purpose == purpose).order_by(_K.made_at, _K.key)
        with store_errors("reading the keys"), self._engine.connect() as connection:
            return [KnownKey(**row._mapping) for row in connection.execute(query)]  # noqa: SLF001 - its public name

    def made(self, key: str, purpose: Purpose, now: datetime) -> None:
        """Note that a key was made; once, however often it is said."""
        with store_errors("noting a key"), self._writer.begin() as connection:
            if not self._known(connection, key):
                self._insert(connection, key, purpose, now)
                self._ledger.append(connection, "key", now, {"event": "made", "key": key, "purpose": purpose})

    def rotated(self, key: str, before: str, purpose: Purpose, now: datetime) -> None:
        """Note that a key took the place of another; once, however often it is said."""
        with store_errors("noting a key"), self._writer.begin() as connection:
            if not self._known(connection, key):
                self._insert(connection, key, purpose, now)
                connection.execute(update(schema.keys).where(_K.key == before).values(destroyed_at=now))
                fields = {"event": "rotated", "key": key, "before": before, "purpose": purpose}
                self._ledger.append(connection, "key", now, fields)

    def destroyed(self, key: str, now: datetime) -> None:
        """Note that a key is destroyed; once, however often it is said."""
        with store_errors("noting a key"), self._writer.begin() as connection:
            row = connection.execute(select(schema.keys).where(_K.key == key)).one_or_none()
            if row is not None and row.destroyed_at is None:
                connection.execute(update(schema.keys).where(_K.key == key).values(destroyed_at=now))
                fields = {"event": "destroyed", "key": key, "purpose": row.purpose}
                self._ledger.append(connection, "key", now, fields)

    @staticmethod
    def _known(connection: Connection, key: str) -> bool:
        return connection.execute(select(_K.key).where(_K.key == key)).first() is not None

    @staticmethod
    def _insert(connection: Connection, key: str, purpose: Purpose, now: datetime) -> None:
        connection.execute(insert(schema.keys).values(key=key, purpose=purpose, made_at=now))
