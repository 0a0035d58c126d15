"""Reading a live database into a catalog."""

import sqlalchemy as sa

from retentiond.catalog import reflect_mysql, reflect_postgresql, reflect_sqlite
from retentiond.catalog.faults import errors_of
from retentiond.catalog.model import Catalog
from retentiond.errors import UsageError

_READERS = {
    "postgresql": reflect_postgresql.read,
    "mysql": reflect_mysql.read,
    "mariadb": reflect_mysql.read,
    "sqlite": reflect_sqlite.read,
}


def reflect(engine: sa.Engine, source: str) -> Catalog:
    """The schema of that source as it is now, read in one transaction that changes nothing."""
    if engine.dialect.name not in _READERS:
        raise UsageError(f"{source}: no way to read a schema of {engine.dialect.name}", code="unknown-dialect")
    with errors_of(source), engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            # All questions see the same moment, or a key might refer to a table that the first did not find.
            connection = connection.execution_options(isolation_level="REPEATABLE READ")  # noqa: PLW2901
        with connection.begin():
            return read_inside(connection, source)


def read_inside(connection: sa.Connection, source: str) -> Catalog:
    """The schema as the connection's open transaction sees it."""
    return _READERS[connection.dialect.name](connection, source)
