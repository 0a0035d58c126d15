"""
What the test itself knows of the data: every row that ever was, what became of it by the company's own hand, and which
rows retentiond may not touch. It knows nothing of retentiond.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

Table = str
Id = int


@dataclass(frozen=True)
class Entry:
    """What one transaction of the company did to some rows of a table."""

    what: Literal["made due", "made live", "revived", "took"]
    table: Table
    ids: frozenset[Id]


@dataclass
class Journal:
    """
    Rows by table: `known` all that ever were, `live` those that are not due, `held` those that a hold keeps, `removed`
    those that the company deleted, `doubtful` those of a transaction of which it never heard how it ended.
    """

    known: dict[Table, set[Id]] = field(default_factory=lambda: defaultdict(set))
    live: dict[Table, set[Id]] = field(default_factory=lambda: defaultdict(set))
    held: dict[Table, set[Id]] = field(default_factory=lambda: defaultdict(set))
    removed: dict[Table, set[Id]] = field(default_factory=lambda: defaultdict(set))
    doubtful: dict[Table, set[Id]] = field(default_factory=lambda: defaultdict(set))
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def tell(self, entries: Iterable[Entry]) -> None:
        """What the company did and its database confirmed."""
        with self._lock:
            for entry in entries:
                if entry.what in ("made due", "made live"):
                    self.known[entry.table] |= entry.ids
                if entry.what in ("made live", "revived"):
                    self.live[entry.table] |= entry.ids
                if entry.what == "took":
                    self.removed[entry.table] |= entry.ids

    def doubt(self, entries: Iterable[Entry]) -> None:
        """What the company tried, without an answer from its database."""
        with self._lock:
            for entry in entries:
                self.known[entry.table] |= entry.ids
                self.doubtful[entry.table] |= entry.ids

    def hold(self, table: Table, ids: Iterable[Id]) -> None:
        """Rows that a hold keeps, seen there after it was said to be in force."""
        with self._lock:
            self.held[table] |= set(ids)

    def due(self, table: Table) -> list[Id]:
        """Rows that nobody revived or took yet, as far as the company knows."""
        with self._lock:
            return sorted(self.known[table] - self.live[table] - self.removed[table] - self.doubtful[table])
