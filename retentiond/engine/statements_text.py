"""The dry run's question as text that a DBA can read and paste."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite

from retentiond.compiler.plan import Job
from retentiond.compiler.statements import due_statement

_DIALECTS: dict[str, type[sa.Dialect]] = {
    "postgresql": postgresql.dialect,
    "mariadb": mysql.dialect,
    "mysql": mysql.dialect,
    "sqlite": sqlite.dialect,
}


def predicate_text(job: Job, at: datetime) -> str:
    """
    The SELECT that finds the keys of a job's due rows at `at`, constants filled in.

    Clocks of other sources are not in it: it then finds rows that may be due.
    """
    dialect = _DIALECTS[job.step.relation.dialect]()
    return str(due_statement(job, at).compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
