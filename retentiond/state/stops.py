"""The kill switch: which rules are stopped, since when and by whom. It survives every restart."""

from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase

from sqlalchemy import Engine, insert, select, update

from retentiond.errors import UsageError
from retentiond.state import tables as schema
from retentiond.state.control import Control
from retentiond.state.faults import store_errors
from retentiond.state.ledger.ledger import Ledger
from retentiond.state.sqlite import WRITES

EVERYTHING = "*"

_S = schema.stops.c


@dataclass(frozen=True, slots=True)
class Stop:
    """One throw of the switch; `pattern` is `policy/rule` or a glob of it."""

    seq: int
    pattern: str
    stopped_at: datetime
    stopped_by: str

    def covers(self, rule: str) -> bool:
        """True for a `policy/rule` that it stops."""
        return fnmatchcase(rule, self.pattern)


class Stops:
    """The part of a store that remembers stops; got as `store.stops`. Writing wants the gate taken exclusively."""

    def __init__(self, engine: Engine, ledger: Ledger, control: Control, *, writable: bool) -> None:
        self._engine = engine
        self._writer = engine.execution_options(**{WRITES: True})
        self._ledger = ledger
        self._control = control
        self._writable = writable

    def active(self) -> tuple[Stop, ...]:
        """The stops in force, oldest first."""
        query = select(_S.seq, _S.pattern, _S.stopped_at, _S.stopped_by).where(_S.resumed_at.is_(None)).order_by(_S.seq)
        with store_errors("reading stops"), self._engine.connect() as connection:
            return tuple(Stop(*row) for row in connection.execute(query))

    def covering(self, rule: str) -> Stop | None:
        """The oldest stop in force that covers this `policy/rule`, or None."""
        return next((stop for stop in self.active() if stop.covers(rule)), None)

    def stop(self, pattern: str, *, now: datetime, by: str) -> bool:
        """Stops the rules of that pattern; False where exactly that is in force already, and nothing was written."""
        self._must_write()
        with store_errors("writing a stop"), self._writer.begin() as connection:
            same = select(_S.seq).where((_S.pattern == pattern) & _S.resumed_at.is_(None))
            if connection.execute(same).first() is not None:
                return False
            connection.execute(insert(schema.stops).values(pattern=pattern, stopped_at=now, stopped_by=by))
            self._ledger.append(connection, "stop", now, {"event": "stopped", "pattern": pattern, "by": by})
            self._control.raise_epoch(connection)
        return True

    def resume(self, pattern: str, *, now: datetime, by: str) -> tuple[str, ...]:
        """Ends the stops whose pattern is this one or matches it; the patterns of those that were ended."""
        self._must_write()
        with store_errors("ending a stop"), self._writer.begin() as connection:
            query = select(_S.seq, _S.pattern).where(_S.resumed_at.is_(None)).order_by(_S.seq)
            rows = connection.execute(query).all()
            same = [row for row in rows if row.pattern == pattern != EVERYTHING]
            ended = same or [row for row in rows if fnmatchcase(row.pattern, pattern)]
            for row in ended:
                gone = {"resumed_at": now, "resumed_by": by}
                connection.execute(update(schema.stops).where(_S.seq == row.seq).values(gone))
                self._ledger.append(connection, "stop", now, {"event": "resumed", "pattern": row.pattern, "by": by})
            if ended:
                self._control.raise_epoch(connection)
        return tuple(row.pattern for row in ended)

    def _must_write(self) -> None:
        if not self._writable:
            raise UsageError("the state store was opened for reading only", code="state-read-only")
