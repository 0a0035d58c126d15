"""
PostgreSQL counts, table by table, what a transaction has inserted, updated and deleted, with whosever rights.

The counters are the session's: they go on over transactions until the server takes them, and count what a savepoint has
undone. Hence differences from a baseline that was read inside the same transaction.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from retentiond.engine.effects_values import Share, What, Widening
from retentiond.engine.session import Transaction
from retentiond.errors import RefusedError

# Asked of every table: the view would ask twice as much, and leave out the server's own catalogue, where a TRUNCATE, a
# DROP or a large object that a trigger took away show. Not of TOAST tables, which store the long values of others, nor
# of a session's temporary tables.
_TOUCHED = sa.text("""
    SELECT c.oid::bigint AS relation, n.nspname || '.' || c.relname AS name,
           ARRAY(SELECT an.nspname || '.' || a.relname
                   FROM pg_partition_ancestors(c.oid) AS p
                        JOIN pg_class AS a ON a.oid = p.relid JOIN pg_namespace AS an ON an.oid = a.relnamespace
                ) AS ancestors,
           pg_stat_get_xact_tuples_inserted(c.oid) AS inserted,
           pg_stat_get_xact_tuples_updated(c.oid) AS updated,
           pg_stat_get_xact_tuples_deleted(c.oid) AS deleted
      FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't'
       AND (pg_stat_get_xact_tuples_inserted(c.oid) <> 0 OR pg_stat_get_xact_tuples_updated(c.oid) <> 0
            OR pg_stat_get_xact_tuples_deleted(c.oid) <> 0)
     ORDER BY name
""")
_COUNTS = sa.text("SELECT current_setting('track_counts') = 'on'")
_NOW = sa.text("SET CONSTRAINTS ALL IMMEDIATE")
_FENCE = "retentiond.retentiond_fence"


def counters(transaction: Transaction, source: str) -> dict[str, tuple[int, ...]]:
    """
    What this session has changed so far: inserted, updated, deleted, by the table's oid.

    Raises:
        RefusedError: `track-counts` where the server counts nothing.
    """
    if not transaction.fetch(source, _COUNTS)[0][0]:
        raise RefusedError(
            f"{source}: the server does not count changes: nobody can tell what a foreign key or trigger takes along",
            hint="ALTER ROLE … RESET track_counts, or set it on",
            code="track-counts",
        )
    rows = transaction.fetch(source, _TOUCHED)
    return {str(row.relation): (row.inserted, row.updated, row.deleted) for row in rows}


def act_now(transaction: Transaction, source: str) -> None:
    """Deferred constraints and triggers act now, and not behind the check's back."""
    transaction.execute(source, _NOW)


def widenings(
    transaction: Transaction, share: Share, baseline: Mapping[str, tuple[int, ...]]
) -> tuple[list[Widening], dict[str, tuple[int, int]]]:
    """What was changed beyond the share; and what was changed of it: rows updated and deleted, by table."""
    own = {name: _Sum() for name in share.deleted}
    found: list[Widening] = []
    for row in transaction.fetch(share.source, _TOUCHED):
        before = baseline.get(str(row.relation), (0, 0, 0))
        inserted, updated, deleted = (
            now - then for now, then in zip((row.inserted, row.updated, row.deleted), before, strict=True)
        )
        table = next((name for name in (row.name, *row.ancestors) if name in own), None)
        if table is not None:
            own[table].add(inserted, updated, deleted, partition=table != row.name)
        elif row.name != _FENCE:
            found += _foreign(row.name, inserted, updated, deleted)
    for name, total in own.items():
        found += total.widenings(name, share)
    return found, {name: total.rows for name, total in own.items()}


def _foreign(table: str, inserted: int, updated: int, deleted: int) -> Iterator[Widening]:
    for what, rows in _words(("deleted", deleted), ("updated", updated), ("inserted", inserted)):
        yield Widening(table, what, rows)


def _words(*changes: tuple[What, int]) -> Iterator[tuple[What, int]]:
    return ((what, rows) for what, rows in changes if rows)


@dataclass(slots=True)
class _Sum:
    """
    What was changed of one table of the job, all its partitions together. `moved`: an UPDATE that takes a row to
    another partition deletes it from one and inserts it into the other.
    """

    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    moved: int = 0

    def add(self, inserted: int, updated: int, deleted: int, *, partition: bool) -> None:
        self.inserted += inserted
        self.updated += updated
        self.deleted += deleted
        self.moved += inserted if partition else 0

    @property
    def rows(self) -> tuple[int, int]:
        """Rows updated and rows deleted."""
        return self.updated + self.moved, self.deleted - self.moved

    def widenings(self, table: str, share: Share) -> Iterator[Widening]:
        """What differs from what was reported."""
        updated, deleted = self.rows
        updated -= share.updated[table]
        if updated > 0 and table in share.stirred:
            updated = 0
        inserted = self.inserted - min(self.moved, share.updated[table])
        yield from _foreign(table, inserted, updated, deleted - share.deleted[table])
