"""The one row that everybody asks: the epoch of permissions, and how the clock stood when it was last looked at."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, select, update
from sqlalchemy.engine import Connection

from retentiond.errors import UsageError
from retentiond.state import tables as schema
from retentiond.state.faults import store_errors
from retentiond.state.ledger.ledger import Ledger
from retentiond.state.sqlite import WRITES
from retentiond.state.values import Person

_C = schema.control.c


@dataclass(frozen=True, slots=True)
class ClockNote:
    """What the wall clock said when the machine had been up for `uptime` seconds; `boot` tells boots apart."""

    wall: datetime
    uptime: float
    boot: str


class Control:
    """The part of a store that holds the epoch; got as `store.control`."""

    def __init__(self, engine: Engine, ledger: Ledger, *, writable: bool) -> None:
        self._engine = engine
        self._ledger = ledger
        self._writer = engine.execution_options(**{WRITES: True})
        self._writable = writable

    def epoch(self) -> int:
        """How often a permission was taken back; 0 where nothing was ever written."""
        with store_errors("reading the epoch"), self._engine.connect() as connection:
            return int(connection.execute(select(_C.epoch)).scalar_one_or_none() or 0)

    def raise_epoch(self, connection: Connection) -> None:
        """Tells, in the transaction that takes a permission back, all chunks at work that they must ask again."""
        connection.execute(update(schema.control).values(epoch=_C.epoch + 1))

    def clock_note(self) -> ClockNote | None:
        """How the clock stood at the last real run; None before the first."""
        with store_errors("reading the clock's note"), self._engine.connect() as connection:
            row = connection.execute(select(_C.clock_wall, _C.clock_uptime, _C.clock_boot)).one_or_none()
        if row is None or row.clock_wall is None:
            return None
        return ClockNote(row.clock_wall, row.clock_uptime, row.clock_boot)

    def note_clock(self, note: ClockNote) -> None:
        """Remembers how the clock stands."""
        self._must_write()
        with store_errors("noting the clock"), self._writer.begin() as connection:
            _note(connection, note)

    def accept_clock(self, note: ClockNote | None, *, now: datetime, by: Person) -> None:
        """From now on the clock as it is counts as right, whatever the last run or the ledger said."""
        self._must_write()
        with store_errors("accepting the clock"), self._writer.begin() as connection:
            self._ledger.accept_clock(connection, now)
            leaf = {"event": "clock", "by": by.name, "login_uid": by.login_uid}
            self._ledger.append(connection, "approval", now, leaf)
            if note is not None:
                _note(connection, note)

    def _must_write(self) -> None:
        if not self._writable:
            raise UsageError("the state store was opened for reading only", code="state-read-only")


def _note(connection: Connection, note: ClockNote) -> None:
    values = {"clock_wall": note.wall, "clock_uptime": note.uptime, "clock_boot": note.boot}
    connection.execute(update(schema.control).values(values))
