"""A quick guess at what is due, for tables that are too large to count while somebody waits."""

import json
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from retentiond.compiler.plan import Job
from retentiond.compiler.statements import due_statement
from retentiond.engine.session import Session
from retentiond.errors import UsageError

CAP = 10_000
"""Where the planner's guess is useless, rows are counted up to here."""


def estimate_due(job: Job, at: datetime, session: Session) -> int:
    """
    About how many rows are due: PostgreSQL's planner says, elsewhere a count that stops at `CAP` + 1.

    Raises:
        UsageError: where another source decides, so that no statistics of this one can tell.
    """
    if not job.expiry.local:
        raise UsageError(
            f"{job.name}: its clock is in another source and cannot be estimated",
            hint="plan without --estimate counts it",
            code="no-estimate",
        )
    due = due_statement(job, at)
    if job.step.relation.dialect == "postgresql":
        explained = sa.text("EXPLAIN (FORMAT JSON) " + _rendered(due))
        document = session.read(job.source, explained)[0][0]
        plan = json.loads(document) if isinstance(document, str) else document
        return int(plan[0]["Plan"]["Plan Rows"])
    capped = due.limit(CAP + 1).subquery()
    return int(session.read(job.source, sa.select(sa.func.count()).select_from(capped))[0][0])


def _rendered(statement: sa.Select[*tuple[object, ...]]) -> str:
    dialect: sa.Dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    text = str(statement.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
    return text.replace(":", r"\:")
