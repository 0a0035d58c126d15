"""Ledgers made in memory: entries as runs leave them, and their exports."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from retentiond.state.ledger.checkpoint import Checkpoint, origin_of, sign
from retentiond.state.ledger.leaf import canonical, instant_text
from retentiond.state.ledger.note import SigningKey
from retentiond.state.ledger.tree import leaf_hash, root_of
from retentiond.state.ledger.verify import export_lines

ORIGIN = origin_of("5f0e3c1a-0000-4000-8000-000000000001")
KEY = SigningKey(ORIGIN, bytes(range(32)))
LATER_KEY = SigningKey(ORIGIN, bytes(range(1, 33)))
BEGUN = datetime(2026, 11, 22, 1, tzinfo=UTC)
JOB = "sparkcentral/contract-data@crm"


class Book:
    """Entries one after the other, numbered and dated."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []

    def add(self, kind: str, **fields: Any) -> int:
        seq = len(self.entries)
        time = instant_text(BEGUN + timedelta(seconds=seq))
        self.entries.append({"seq": seq, "time": time, "kind": kind, **fields})
        return seq

    def intend(self, batch: str, tables: dict[str, int], **fields: Any) -> int:
        tokens = [
            {"table": table, "scheme": "a1", "key": "tokens-2026-0a1b2c3d", "sha256": "0", "count": count}
            for table, count in tables.items()
        ]
        return self.add("intent", batch=batch, job=JOB, tables=tables, tokens=tokens, **fields)

    def settle(self, batch: str, intent: int, status: str, tables: dict[str, int], **fields: Any) -> int:
        said = {"batch": batch, "job": JOB, "intent": intent, "status": status, "tables": tables}
        return self.add("outcome", **said | fields)

    def chunk(self, batch: str, tables: dict[str, int], status: str = "destroyed") -> None:
        seq = self.intend(batch, tables)
        self.settle(batch, seq, status, {} if status == "aborted" else tables)

    @property
    def leaves(self) -> list[bytes]:
        return [canonical(entry) for entry in self.entries]


def signed(leaves: Sequence[bytes], keys: Sequence[SigningKey] = (KEY,), origin: str = ORIGIN) -> str:
    """A checkpoint of these leaves."""
    point = Checkpoint(origin, len(leaves), root_of([leaf_hash(leaf) for leaf in leaves]), BEGUN + timedelta(days=1))
    return sign(point, keys)


def exported(leaves: Sequence[bytes], keys: Sequence[SigningKey] = (KEY,)) -> bytes:
    """The export of these leaves."""
    return b"".join(export_lines(leaves, signed(leaves, keys)))


def full_book() -> Book:
    """Some sixty entries of every kind, as some days of work leave them."""
    book = Book()
    book.add("key", event="made", key="ledger-0a1b2c3d", purpose="sign")
    book.add("approval", event="given", job=JOB, digest="ab" * 32, rows=1200, guards=["max_share"], by="amélie")
    for number in range(24):
        status = ("destroyed", "destroyed", "changed", "aborted")[number % 4]
        book.chunk(f"batch-{number}", {"crm.customers": 5}, status)
    book.add("hold", hold="h-1", event="added", hold_kind="proceedings", scope="subject", subjects=2, by="a b")
    book.add("stop", event="stopped", pattern="*", by="root")
    book.settle("", 0, "restored", {"crm.customers": 3})
    book.add("restore", source="crm", job=JOB, fence=3, known=5)
    book.add("prune", before=instant_text(BEGUN), lists=2, batches=1)
    book.chunk("batch-last", {"crm.customers": 1})
    book.add("request", request="r-1", event="added")
    return book
