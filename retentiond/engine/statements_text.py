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


# SQLite keeps dates as text that takes more than SQL to read: there it calls retentiond back.
_OWN_FUNCTION = "-- retentiond_clock_state(column, bounds) is retentiond's own function: 0 suspect, 1 not due, 2 due"


def predicate_text(job: Job, at: datetime) -> str:
    """
    The SELECT that finds the keys of a job's due rows at `at`, constants filled in.

    Clocks of other sources are not in it: it then finds rows that may be due.
    """
    dialect = _DIALECTS[job.step.relation.dialect]()
    text = str(due_statement(job, at).compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
    return f"{_OWN_FUNCTION}\n{text}" if "retentiond_clock_state(" in text else text
