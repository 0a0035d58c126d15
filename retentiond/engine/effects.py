"""
What a transaction touched, compared with what its own statements reported, before it may commit.

A foreign key, trigger or rule takes rows along with the same rights as ours and reports nothing of it. So the database is
asked what this transaction has changed in all: on PostgreSQL table by table, on the others as one sum. Whatever the
plan does not name rolls the chunk back.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from retentiond.compiler.plan import Job
from retentiond.engine.session import Transaction


@dataclass(frozen=True, slots=True)
class Expected:
    """
    What our own statements reported, by table label: rows that were deleted, and rows that were updated – masked, or
    unlinked before they went. A row that was unlinked and then deleted counts in both.
    """

    deleted: Mapping[str, int] = field(default_factory=dict)
    updated: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a session's counters said when its transaction began; by table, or under one name for all."""

    source: str
    counters: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(slots=True)
class Effects:
    """The effect check of one job."""

    job: Job

    def begin(self, transaction: Transaction, source: str) -> Baseline:
        """
        The counters of the source's session now: right after the transaction began, before anything is changed.

        Raises:
            RefusedError: `track-counts` where the server does not count.
        """
        raise NotImplementedError

    def check(
        self, transaction: Transaction, source: str, baseline: Baseline, expected: Expected, *, own_updates: int = 0
    ) -> dict[str, int]:
        """
        The rows that went or were masked, per table label of this source, after deferred constraints and triggers
        have acted. `own_updates`: rows that our own bookkeeping changed since the baseline (not asked on PostgreSQL).

        Raises:
            FailedError: `effect-mismatch`, with the tables and what reached them, where anything else was changed too.
        """
        raise NotImplementedError
