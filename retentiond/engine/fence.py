"""
The fence: one row per job in its source, moved by every chunk in the transaction that changes rows.

Only one transaction can move it from one number to the next. So it tells, after a crash, whether a chunk was committed,
keeps two processes from doing the same work, and shows that a source or the state store was restored.
"""

import hashlib
from dataclasses import dataclass

import sqlalchemy as sa

from retentiond.catalog.faults import errors_of
from retentiond.catalog.model import Dialect
from retentiond.engine.session import Transaction
from retentiond.engine.sources import Sources
from retentiond.errors import TransientError

_LONGEST_KEY = 500
FENCED = "fenced:"
"""What stands before a batch that recovery shut out: it was not committed and never can be."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a fence is, and which batch moved it there."""

    seq: int
    batch: str


def fence_key(state_id: str, job: str) -> str:
    """What the job's row is called: two state stores never meet in one."""
    key = f"{state_id}/{job}"
    if len(key) <= _LONGEST_KEY:
        return key
    return f"{state_id}/sha256:{hashlib.sha256(job.encode()).hexdigest()}"


def fence_table(dialect: Dialect) -> sa.TableClause:
    """The fence table as statements name it."""
    columns = (sa.column("job", sa.String), sa.column("seq", sa.BigInteger), sa.column("batch", sa.String))
    return sa.table("retentiond_fence", *columns, schema="retentiond" if dialect == "postgresql" else None)


def standing_statement(dialect: Dialect, key: str) -> sa.Select[tuple[int, str]]:
    """Reads one fence."""
    fence = fence_table(dialect)
    return sa.select(fence.c.seq, fence.c.batch).where(fence.c.job == key)


def step_statement(dialect: Dialect, key: str, seq: int, batch: str) -> sa.Update:
    """Moves a fence from `seq` to the next number; one row, or somebody else has moved it."""
    fence = fence_table(dialect)
    return sa.update(fence).where(fence.c.job == key, fence.c.seq == seq).values(seq=seq + 1, batch=batch)


def read(transaction: Transaction, source: str, dialect: Dialect, key: str) -> Standing | None:
    """The fence as this transaction sees it; None where the job has none yet."""
    rows = transaction.fetch(source, standing_statement(dialect, key))
    return Standing(int(rows[0][0]), str(rows[0][1])) if rows else None


def step(transaction: Transaction, source: str, dialect: Dialect, key: str, batch: str) -> int:
    """
    Moves the fence inside the transaction; the number it stood at before.

    Raises:
        TransientError: where it is being moved by somebody else.
    """
    found = read(transaction, source, dialect, key)
    moved = 0
    if found is not None:
        moved = int(transaction.execute(source, step_statement(dialect, key, found.seq, batch)).rowcount)
    if found is None or moved != 1:
        raise TransientError(f"{source}: another process has moved the fence", code="fence-moved")
    return found.seq


def ensure(sources: Sources, source: str, dialect: Dialect, key: str) -> Standing:
    """The job's fence, made at 0 where there is none; committed when this returns."""
    fence = fence_table(dialect)
    with errors_of(source), sources.writing(source).connect() as connection, connection.begin():
        found = _standing(connection, dialect, key)
        if found is not None:
            return found
        connection.execute(sa.insert(fence).values(job=key, seq=0, batch=""))
    return Standing(0, "")


def standing(sources: Sources, source: str, dialect: Dialect, key: str) -> Standing | None:
    """The fence as it is committed, read in a session of its own."""
    with errors_of(source), sources.reading(source).connect() as connection, connection.begin():
        return _standing(connection, dialect, key)


def shut_out(sources: Sources, source: str, dialect: Dialect, key: str, seq: int, batch: str) -> Standing | None:
    """
    Competes with a batch for its step from `seq`; the fence as it stands afterwards, None where it is not there.

    Raises:
        TransientError: where the batch's transaction is still open.
    """
    with errors_of(source), sources.writing(source).connect() as connection, connection.begin():
        connection.execute(step_statement(dialect, key, seq, f"{FENCED}{batch}"))
        return _standing(connection, dialect, key)


def move_above(sources: Sources, source: str, dialect: Dialect, key: str, seq: int, batch: str) -> None:
    """Moves a fence that a restore took back to `seq`, above every number that was used; committed on return."""
    fence = fence_table(dialect)
    with errors_of(source), sources.writing(source).connect() as connection, connection.begin():
        moved = connection.execute(
            sa.update(fence).where(fence.c.job == key, fence.c.seq < seq).values(seq=seq, batch=batch)
        )
        if moved.rowcount == 0 and _standing(connection, dialect, key) is None:
            connection.execute(sa.insert(fence).values(job=key, seq=seq, batch=batch))


def _standing(connection: sa.Connection, dialect: Dialect, key: str) -> Standing | None:
    row = connection.execute(standing_statement(dialect, key)).mappings().one_or_none()
    return None if row is None else Standing(int(row["seq"]), str(row["batch"]))
