"""
What a transaction touched, compared with what its own statements reported, before it may commit.

A foreign key, trigger or rule takes rows along with our rights and reports nothing of it. So the database is asked what
this transaction has changed in all: on PostgreSQL table by table, on the others as sums. Whatever the plan does not
name rolls the chunk back. Why each engine is asked as it is: docs/decisions/0008-effect-check.md.
"""

from dataclasses import dataclass, field

from retentiond.compiler.plan import Job
from retentiond.engine import effects_mysql, effects_postgresql, effects_sqlite
from retentiond.engine.effects_causes import described, schema_of
from retentiond.engine.effects_values import Baseline, Expected, Share
from retentiond.engine.session import Transaction
from retentiond.errors import FailedError

__all__ = ["Baseline", "Effects", "Expected"]

_ALL = "all"


@dataclass(slots=True)
class Effects:
    """The effect check of one job."""

    job: Job
    _tables: dict[str, effects_mysql.Tables] = field(default_factory=dict, repr=False)

    def begin(self, transaction: Transaction, source: str) -> Baseline:
        """
        The counters of the source's session now: before the first change of the job's rows, in the same transaction.

        Raises:
            RefusedError: `track-counts` where the server does not count.
        """
        dialect = self._dialect(source)
        if dialect == "postgresql":
            return Baseline(source, effects_postgresql.counters(transaction, source))
        if dialect == "sqlite":
            return Baseline(source, {_ALL: effects_sqlite.counters(transaction, source)})
        if source not in self._tables:
            relations = {step.relation.name: step.relation for step in self._share(source).steps}
            self._tables[source] = effects_mysql.tables(transaction, source, list(relations.values()))
        return Baseline(source, {_ALL: effects_mysql.counters(transaction, source)})

    def check(
        self, transaction: Transaction, source: str, baseline: Baseline, expected: Expected, *, own_updates: int = 0
    ) -> dict[str, int]:
        """
        The rows that went or were masked, per table label of this source, after deferred constraints and triggers
        have acted. `own_updates`: rows that our own bookkeeping updated since the baseline; PostgreSQL is not asked of
        the fence.

        Raises:
            FailedError: `effect-mismatch`, with the tables and what reached them, where anything else was changed too;
            all is rolled back then.
        """
        share = self._share(source, expected)
        measured = {name: (share.updated[name], share.deleted[name]) for name in share.deleted}
        dialect = self._dialect(source)
        if dialect == "postgresql":
            effects_postgresql.act_now(transaction, source)
            found, measured = effects_postgresql.widenings(transaction, share, baseline.counters)
        elif dialect == "sqlite":
            found = effects_sqlite.widenings(transaction, share, baseline.counters[_ALL], own_updates)
        else:
            known = self._tables[source]
            found = effects_mysql.widenings(transaction, share, known, baseline.counters[_ALL], own_updates)
        if found:
            transaction.rollback()  # no lock is held while the schema is searched for what did it
            raise FailedError(
                described(found, share, schema_of(transaction.session.sources, source)),
                hint="this chunk was rolled back: declare the table in `cascade`, or have what acts there dropped",
                code="effect-mismatch",
            )
        masking = self.job.step.masking is not None
        return {share.labels[name]: updated if masking else deleted for name, (updated, deleted) in measured.items()}

    def _dialect(self, source: str) -> str:
        return next(
            step.relation.dialect for step in (*self.job.cascade, self.job.step) if step.relation.source == source
        )

    def _share(self, source: str, expected: Expected | None = None) -> Share:
        return Share.of(self.job, source, expected or Expected())
