"""A thousand tables with three thousand foreign keys are read in less than two seconds."""

from __future__ import annotations

import time

from sqlalchemy import NullPool, create_engine, event

from retentiond.catalog.reflection import reflect
from tests.database.schemas import source

TABLES = 1_000
SECONDS = 2.0
BUSY_MACHINE = 4  # how much longer it may take while other tests have the machine
QUESTIONS = 20


def test_a_thousand_tables(engine_url: str) -> None:
    _fill(engine_url)
    asked: list[str] = []
    with source(engine_url) as engine:
        event.listen(engine, "before_cursor_execute", lambda *arguments: asked.append(arguments[2]))
        began, worked = time.monotonic(), time.process_time()
        catalog = reflect(engine, "big")
        took, work = time.monotonic() - began, time.process_time() - worked
    assert len(catalog.tables) == TABLES
    assert sum(len(table.foreign_keys) for table in catalog.tables.values()) == 3 * (TABLES - 1)
    assert len(asked) <= QUESTIONS, asked
    assert work < SECONDS
    assert took < SECONDS * BUSY_MACHINE


def _fill(url: str) -> None:
    engine = create_engine(url, poolclass=NullPool)
    create = (
        "CREATE TABLE t{0} (id INT PRIMARY KEY, a INT, b INT, c INT, name VARCHAR(40) UNIQUE, at TIMESTAMP NULL{1})"
    )
    with engine.begin() as connection:
        for number in range(TABLES):
            keys = "".join(_key(number, place, column) for place, column in enumerate("abc")) if number else ""
            connection.exec_driver_sql(create.format(number, keys))
    engine.dispose()


def _key(table: int, place: int, column: str) -> str:
    """A foreign key to a table that is there already, a different one for each column where there are enough."""
    return f", FOREIGN KEY ({column}) REFERENCES t{(table * 7 + place) % table} (id) ON DELETE CASCADE"
