"""
Engines on a company's databases, with safe defaults set on every single connection.

How to use one: `with engine.connect() as connection, connection.begin():`. There is no pool – a connection ends where
its `with` ends, so nothing stays open behind a company's back – and a run therefore keeps one connection for all its
chunks. Every session speaks UTC and READ COMMITTED, cannot wait for ever, and writes nothing where `read_only`.
"""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool

from retentiond.catalog import session_mysql, session_postgresql, session_sqlite
from retentiond.catalog.limits import Limits
from retentiond.errors import UsageError

_DRIVERS = {
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mysql+pymysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
    "mariadb+pymysql": "mariadb+pymysql",
    "sqlite": "sqlite",
    "sqlite+pysqlite": "sqlite",
}


def open_engine(
    url: str | sa.URL,
    *,
    read_only: bool,
    password: str | None = None,
    statement_seconds: float | None,
    lock_seconds: float,
    application_name: str = "retentiond",
) -> sa.Engine:
    """An engine on that database; nothing is connected yet. `statement_seconds` None: a statement may take its time."""
    limits = Limits(read_only, statement_seconds, lock_seconds, application_name)
    address = _address(url, password)
    if address.drivername == "sqlite":
        return session_sqlite.engine(address, limits)
    prepare: Callable[[Any, Limits], None]
    if address.drivername.startswith("postgresql"):
        arguments, prepare = session_postgresql.arguments(limits), session_postgresql.prepare
    else:
        arguments, prepare = session_mysql.arguments(limits), session_mysql.prepare
    try:
        engine = sa.create_engine(address, poolclass=NullPool, hide_parameters=True, connect_args=arguments)
    except ModuleNotFoundError:
        extra = "postgresql" if address.drivername.startswith("postgresql") else "mysql"
        raise UsageError(
            f"the driver of {address.drivername} is not installed",
            hint=f"pip install 'retentiond[{extra}]'",
            code="driver-missing",
        ) from None
    # PostgreSQL: before SQLAlchemy's own first look, so that it sees the session as it will be. MySQL: after it, since
    # it sends a SET NAMES of its own that takes our collation back.
    first = address.drivername.startswith("postgresql")
    event.listen(engine, "connect", lambda connection, _record: prepare(connection, limits), insert=first)
    return engine


def _address(url: str | sa.URL, password: str | None) -> sa.URL:
    try:
        address = sa.make_url(url)
    except (ArgumentError, ValueError):
        # `from None`: the library's message may repeat the text, and the text may hold a password.
        raise UsageError("this is not a database URL", hint="dialect://user@host/database", code="bad-url") from None
    if address.drivername not in _DRIVERS:
        known = ", ".join(_DRIVERS)
        raise UsageError(
            f"no way to reach databases of the kind {address.drivername}", hint=known, code="unknown-dialect"
        )
    address = address.set(drivername=_DRIVERS[address.drivername])
    return address if password is None else address.set(password=password)
