"""What each source was when it was met: its identity and its address, so that another database there is noticed."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, delete, insert, select

from retentiond.errors import UsageError
from retentiond.state import tables as schema
from retentiond.state.faults import store_errors
from retentiond.state.ledger.ledger import Ledger
from retentiond.state.sqlite import WRITES
from retentiond.state.values import Person

_P = schema.pins.c


@dataclass(frozen=True, slots=True)
class Pin:
    """A source as it was met; `identity` is the database's own word, `address` where it was reached."""

    source: str
    identity: str
    address: str


class Pins:
    """The part of a store that remembers what sources are; got as `store.pins`."""

    def __init__(self, engine: Engine, ledger: Ledger, *, writable: bool) -> None:
        self._engine = engine
        self._writer = engine.execution_options(**{WRITES: True})
        self._ledger = ledger
        self._writable = writable

    def of(self, source: str) -> Pin | None:
        """The pin of a source, or None where it was never met."""
        query = select(_P.source, _P.identity, _P.address).where(_P.source == source)
        with store_errors("reading a pin"), self._engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else Pin(*row)

    def pin(self, pin: Pin, *, now: datetime, by: Person) -> None:
        """From now on the source is this. In the ledger stands that it was pinned, and no address."""
        self._must_write()
        with store_errors("pinning a source"), self._writer.begin() as connection:
            known = connection.execute(delete(schema.pins).where(_P.source == pin.source)).rowcount
            values = {"source": pin.source, "identity": pin.identity, "address": pin.address, "pinned_at": now}
            connection.execute(insert(schema.pins).values(values))
            leaf = {"event": "pinned", "anew": bool(known), "source": pin.source, "by": by.name}
            self._ledger.append(connection, "approval", now, leaf | {"login_uid": by.login_uid})

    def forget(self, source: str, *, now: datetime, by: Person) -> None:
        """Lets the source be met for the first time again."""
        self._must_write()
        with store_errors("forgetting a source"), self._writer.begin() as connection:
            if connection.execute(delete(schema.pins).where(_P.source == source)).rowcount:
                leaf = {"event": "unpinned", "source": source, "by": by.name, "login_uid": by.login_uid}
                self._ledger.append(connection, "approval", now, leaf)

    def _must_write(self) -> None:
        if not self._writable:
            raise UsageError("the state store was opened for reading only", code="state-read-only")
