"""The walk over a job's table, page by page along its key."""

from collections.abc import Iterator
from datetime import datetime
from functools import partial

from retentiond.compiler.key_sets import Key
from retentiond.compiler.plan import Job
from retentiond.compiler.statements import page_statement
from retentiond.engine.retry import retried
from retentiond.engine.session import Session


def pages(job: Job, at: datetime, session: Session, size: int) -> Iterator[list[Key]]:
    """Keys of rows that may be due, in key order, `size` at a time; of all rows where only another source can tell."""
    after: Key | None = None
    while True:
        statement = page_statement(job, at, after, size, everything=not job.expiry.local)
        rows, _ = retried(partial(session.read, job.source, statement))
        keys = [tuple(row) for row in rows]
        if keys:
            yield keys
        if len(keys) < size:
            return
        after = keys[-1]
