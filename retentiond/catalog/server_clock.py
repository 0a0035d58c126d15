"""What time a database server believes it is."""

from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy import text

from retentiond.catalog.model import Dialect

# SYSDATE, not NOW: that one a session may set to what it likes. Our sessions speak UTC.
_QUESTIONS = {
    "postgresql": text("SELECT clock_timestamp()"),
    "mariadb": text("SELECT SYSDATE(6)"),
    "mysql": text("SELECT SYSDATE(6)"),
}


def server_time(connection: sa.Connection, dialect: Dialect) -> datetime | None:
    """The server's time, in UTC; None on SQLite, which has no clock but ours."""
    question = _QUESTIONS.get(dialect)
    if question is None:
        return None
    found = connection.execute(question).scalar_one()
    assert isinstance(found, datetime)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
