"""Making and dropping one test's database on a running server, through the drivers alone."""

from __future__ import annotations

import gc
from typing import Any

from tests.servers import Address


def create(where: Address, name: str) -> str:
    """Make the empty database; returns its SQLAlchemy URL."""
    if where.kind == "postgresql":
        with _postgresql(where) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return f"postgresql+psycopg://{where.user}@{where.host}:{where.port}/{name}"
    with _mariadb(where) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4")
    return f"mysql+pymysql://{where.user}@{where.host}:{where.port}/{name}?charset=utf8mb4"


def drop(where: Address, name: str) -> None:
    """Drop the database, whoever is still connected to it.

    Connections nobody refers to any more are closed before: later, a rollback on a server that has gone would be
    logged from inside the garbage collector, at a moment when Python 3.11 may not survive it.
    """
    if where.kind == "postgresql":
        with _postgresql(where) as connection:
            row = connection.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = %s", [name]).fetchone()
            if row[0]:
                gc.collect()
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        return
    with _mariadb(where) as connection, connection.cursor() as cursor:
        sessions = "SELECT id FROM information_schema.processlist WHERE db = %s"
        if cursor.execute(sessions, [name]):
            gc.collect()
            cursor.execute(sessions, [name])
        for (session,) in cursor.fetchall():
            cursor.execute("KILL SOFT CONNECTION %s", [session])  # else DROP waits for its table locks
        cursor.execute(f"DROP DATABASE IF EXISTS `{name}`")


def _postgresql(where: Address) -> Any:
    import psycopg

    return psycopg.connect(host=where.host, port=where.port, user=where.user, dbname="postgres", autocommit=True)


def _mariadb(where: Address) -> Any:
    import pymysql

    return pymysql.connect(host=where.host, port=where.port, user=where.user, autocommit=True)
