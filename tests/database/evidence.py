"""State stores with a ledger in them, and what somebody with the right to write to the file can do to one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from retentiond.state.intents import Effect, Ending, FenceStep, Planned, Status
from retentiond.state.keys import KeyRing
from retentiond.state.ledger.token_list import TokenList
from retentiond.state.ledger.tokens import make_tokens
from retentiond.state.ledger.verify import Verified
from retentiond.state.store import Store, open_store
from retentiond.state.values import JobIdentity

NOW = datetime(2026, 11, 22, 1, 0, 0, tzinfo=UTC)
JOB = "sparkcentral/contract-data@crm"
TABLE = "crm.customers"


@dataclass
class Archive:
    """A folder with a state store, its keys and the second place of its checkpoints, and a clock that can be set."""

    folder: Path
    now: datetime = NOW
    batches: int = 0
    rows: int = 0

    @property
    def file(self) -> Path:
        return self.folder / "state.db"

    @property
    def url(self) -> str:
        return f"sqlite:///{self.file}"

    @property
    def keys(self) -> Path:
        return self.folder / "keys"

    @property
    def copies(self) -> Path:
        return self.folder / "evidence"

    @contextmanager
    def open(self) -> Iterator[tuple[Store, KeyRing]]:
        """The store opened to write, with its keys."""
        with open_store(self.url, create=True, keys=self.keys) as store:
            yield store, KeyRing(self.keys, store.keys, lambda: self.now)

    def copy(self) -> str | None:
        """The checkpoint in the second place."""
        found = list(self.copies.glob("*.checkpoint"))
        assert len(found) < 2
        return found[0].read_text(encoding="utf-8") if found else None

    def tick(self, **by: float) -> datetime:
        """It gets later."""
        self.now += timedelta(**(by or {"seconds": 1}))
        return self.now

    def chunk(
        self, store: Store, ring: KeyRing, rows: int = 5, status: Status | None = "destroyed", job: str = JOB
    ) -> str:
        """A chunk of new rows, recorded; without a status its end stays unknown."""
        self.batches += 1
        batch = f"batch-{self.batches}"
        key, secret = ring.token_key(self.tick())
        scheme, tokens = make_tokens(secret, "crm", "", "customers", [(self.rows + one,) for one in range(rows)])
        self.rows += rows
        effect = Effect({TABLE: rows}, {TABLE: rows}, rows, self.batches)
        planned = Planned(batch, self.run(store), job, "delete", "fence", (FenceStep("crm", self.batches - 1),), effect)
        intent = store.intents.open(planned, [TokenList(TABLE, scheme, key, tokens)], {"plan": "d" * 64}, self.now)
        if status is not None:
            done = effect if status != "aborted" else Effect({}, {}, 0, self.batches)
            ending = Ending(status, done, "fence", (FenceStep("crm", self.batches),))
            store.intents.close(intent, ending, self.tick())
        return batch

    def run(self, store: Store) -> str:
        """The id of a run that chunks may belong to."""
        last = store.runs.last("sparkcentral", "contract-data", "crm")
        if last is not None:
            return last.id
        job = JobIdentity("sparkcentral", "contract-data", "crm", "customer", "customers", "delete")
        return store.runs.begin(job, plan_digest="d", as_of=self.now, now=self.now)

    def sign(self, store: Store, ring: KeyRing) -> str:
        """A checkpoint, here and in the second place."""
        return store.ledger.checkpoint(ring, self.copies, self.tick())

    def fill(self, chunks: int = 6) -> None:
        """Some chunks, of which some are signed twice."""
        with self.open() as (store, ring):
            for number in range(chunks):
                self.chunk(store, ring, status="aborted" if number % 3 == 2 else "destroyed")
                if number % 2:
                    self.sign(store, ring)
            self.sign(store, ring)

    def verify(self, copy: str | None = None) -> Verified:
        """What `ledger verify` finds; with the copy in the second place where no other is named."""
        with open_store(self.url, create=False) as store:
            return store.ledger.verify(KeyRing(self.keys, store.keys).verifiers(), copy or self.copy())

    def tamper(self, *statements: str | tuple[str, Sequence[Any]]) -> None:
        """What somebody does who may write to the file, and knows how to get around the triggers."""
        connection = sqlite3.connect(self.file)
        with connection:
            triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
            for (name,) in triggers:
                connection.execute(f"DROP TRIGGER {name}")
            for statement in statements:
                sql, values = statement if isinstance(statement, tuple) else (statement, ())
                connection.execute(sql, values)
        connection.close()

    def rows_of(self, query: str) -> list[tuple[Any, ...]]:
        """What is in the file."""
        connection = sqlite3.connect(self.file)
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()
