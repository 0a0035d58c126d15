"""
The connections of one job: one per source and kind, kept for all its chunks, every error made ours at the edge.

A `Transaction` spans the sources that a chunk touches. Leaving it rolls back; only `engine.gate` commits.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Any, Protocol, Self

import sqlalchemy as sa
from sqlalchemy import Connection, Executable, RootTransaction

from retentiond.catalog.faults import errors_of
from retentiond.compiler.key_sets import Key
from retentiond.compiler.plan import ClockRead, Relation
from retentiond.compiler.statements import lock_related_statements
from retentiond.engine.sources import Sources

Rows = Sequence[Any]
_BATCH = 2000


class Asked(Protocol):
    """Questions that were asked of other sources, which can be asked again."""

    def floored(self) -> set[Key]:
        """The keys that a floor of another source holds."""
        ...

    def asks(self) -> bool:
        """True where something was asked at all."""
        ...


@dataclass(slots=True)
class Transaction:
    """
    One open transaction per touched source; begun by the first statement on it.

    `crossings` are the questions that rows of a table asked of other sources, to be asked again before the commit.
    """

    session: "Session"
    writes: bool
    begun: dict[str, RootTransaction] = field(default_factory=dict)
    crossings: list[tuple[str, Asked]] = field(default_factory=list)

    def execute(self, source: str, statement: Executable, parameters: list[dict[str, Any]] | None = None) -> Any:
        """The result of a statement on a source, inside this transaction."""
        with errors_of(source):
            connection = self.session.connection(source, writes=self.writes)
            if source not in self.begun:
                self.begun[source] = connection.begin()
            return connection.execute(statement, parameters) if parameters else connection.execute(statement)

    def fetch(self, source: str, statement: Executable) -> Rows:
        """All rows of a query on a source, inside this transaction."""
        with errors_of(source):
            rows: Rows = self.execute(source, statement).all()
            return rows

    def lock_related(self, clock: ClockRead, relation: Relation, at: datetime, keys: Sequence[Key]) -> None:
        """Locks the rows of the same source that a clock leads to from the rows of these keys."""
        if not (clock.hops and clock.local):
            return
        for start in range(0, len(keys), _BATCH):
            for statement in lock_related_statements(clock, relation, at, keys[start : start + _BATCH]):
                self.fetch(relation.source, statement)

    def rollback(self) -> None:
        """Undoes everything; a connection that is gone has undone it already."""
        for source, transaction in reversed(self.begun.items()):
            if not transaction.is_active:
                # Its COMMIT failed. SQLAlchemy takes it for ended; SQLite has it open still, and keeps its lock.
                self.session.drop(source, writes=self.writes)
                continue
            try:
                with errors_of(source):
                    transaction.rollback()
            except Exception:  # noqa: BLE001 - whatever stops a rollback, the server ends the transaction with us
                self.session.drop(source, writes=self.writes)
        self.begun.clear()


class Session:
    """What a job is executed with. Reading connections cannot write; the dry run has no others."""

    def __init__(self, sources: Sources, *, apply: bool) -> None:
        self.sources = sources
        self.apply = apply
        self._connections: dict[tuple[str, bool], Connection] = {}

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """A transaction that is rolled back unless the gate committed it: writing in a real run, else read-only."""
        transaction = Transaction(self, writes=self.apply)
        try:
            yield transaction
        finally:
            transaction.rollback()

    def read(self, source: str, statement: Executable) -> Rows:
        """All rows of a query on a source, in a read-only transaction: the one that is open there, or a short one."""
        transaction = Transaction(self, writes=False)
        with errors_of(source):
            connection = self.connection(source, writes=False)
            if connection.in_transaction():
                return connection.execute(statement).all()
        try:
            return transaction.fetch(source, statement)
        finally:
            transaction.rollback()

    def stream(self, source: str, statement: Executable, size: int = 2000) -> Iterator[sa.Row[Any]]:
        """The rows of a query on a source, never all in memory, in a read-only transaction of its own."""
        transaction = Transaction(self, writes=False)
        try:
            with errors_of(source):
                streamed = statement.execution_options(yield_per=size)
                yield from transaction.execute(source, streamed)
        finally:
            transaction.rollback()

    def connection(self, source: str, *, writes: bool) -> Connection:
        """The session's connection to a source."""
        if (source, writes) not in self._connections:
            engine = self.sources.writing(source) if writes else self.sources.reading(source)
            self._connections[source, writes] = engine.connect()
        return self._connections[source, writes]

    def drop(self, source: str, *, writes: bool) -> None:
        """Forgets a connection that is of no more use."""
        connection = self._connections.pop((source, writes), None)
        if connection is not None:
            connection.invalidate()
            connection.close()

    def close(self) -> None:
        """Ends every connection."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
